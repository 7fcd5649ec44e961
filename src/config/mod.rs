//! The configuration: `zegel.toml` and the organisations of `orgs.d/`, read whole and
//! checked whole. Every problem is reported at once, with its place and the way out.

mod changes;
mod folder;
mod listener;
mod organisation_file;
mod problem;
mod section;
mod settings;
mod settings_file;
mod source;

#[cfg(test)]
mod tests;

use std::{
    ffi::{OsStr, OsString},
    fs, io,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

pub(crate) use self::section::distance;
pub use self::{
    changes::{diff, needs_restart},
    problem::{Place, Problem, Problems},
    settings::{
        AllowedUser, HttpListen, KeeperSettings, Limits, ListenerSettings, LogFormat, LogSettings,
        Outbound, Resolvers, Settings, SigningSettings, Socket, situation,
    },
};
use self::{
    folder::Memory,
    organisation_file::{Domains, Surroundings},
    problem::{Fault, Report, Site},
};
use crate::{organisation::Organisation, shell};

/// A file that is larger is not read: it is no configuration.
const FILE_OCTETS: u64 = 16 * 1024 * 1024;

/// A configuration without problems.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Loaded {
    /// What `zegel.toml` and the environment say.
    pub settings: Settings,
    /// In the order of their files; no domain is in two of them. One whose file has not
    /// changed is the same one after a reload.
    pub organisations: Vec<Arc<Organisation>>,
    /// What deserves attention.
    pub warnings: Vec<Problem>,
}

/// Reads `zegel.toml`, the environment of this process, and `orgs.d/` beside the file. Looks
/// at nothing else: no keys, no network.
///
/// # Errors
///
/// Every problem of every file.
pub fn load(config_file: &Path) -> Result<Loaded, Problems> {
    Reader::new(config_file).load()
}

/// [`load`] with another environment than that of this process.
///
/// # Errors
///
/// Every problem of every file.
pub fn load_with(
    config_file: &Path,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Loaded, Problems> {
    Reader::new(config_file).load_with(environment)
}

/// Reads a configuration again and again: of `orgs.d/` only what has changed since.
#[derive(Debug)]
pub struct Reader {
    config_file: PathBuf,
    memory: Memory,
}

impl Reader {
    /// A reader that has read nothing yet.
    pub fn new(config_file: &Path) -> Self {
        Self {
            config_file: config_file.to_owned(),
            memory: Memory::default(),
        }
    }

    /// As [`load`].
    ///
    /// # Errors
    ///
    /// Every problem of every file.
    pub fn load(&mut self) -> Result<Loaded, Problems> {
        self.load_with(std::env::vars_os())
    }

    fn load_with(
        &mut self,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Loaded, Problems> {
        load_anew(&self.config_file, environment, &mut self.memory)
    }
}

fn load_anew(
    config_file: &Path,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    memory: &mut Memory,
) -> Result<Loaded, Problems> {
    let report = Report::default();
    let site = Site::file(config_file);
    let root = read_text(config_file, Kind::Settings)
        .map_err(|fault| report.problem(&site, fault))
        .ok()
        .and_then(|text| source::read(&site, &text, environment, &report));
    let settings = root.map(|root| settings_file::read(root, &report));
    let defaults = Settings::default();
    let surroundings = Surroundings {
        policy: settings
            .as_ref()
            .map_or(defaults.policy, |settings| settings.policy),
        listeners: settings.as_ref().map(|settings| {
            let names = settings.listeners.iter();
            names.map(|listener| listener.name.as_str()).collect()
        }),
        report: &report,
    };
    let folder = config_file.parent().unwrap_or(Path::new(""));
    let organisations = read_organisations(&folder.join("orgs.d"), &surroundings, memory);
    let warnings = report.conclude()?;
    Ok(Loaded {
        settings: settings.unwrap_or(defaults),
        organisations,
        warnings,
    })
}

fn read_organisations(
    folder: &Path,
    surroundings: &Surroundings<'_>,
    memory: &mut Memory,
) -> Vec<Arc<Organisation>> {
    let report = surroundings.report;
    let site = Site::file(folder);
    let names = match organisation_files(folder, report) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let fault = Fault::new(
                "there is no such folder, so there are no organisations",
                "make it, with one file for each organisation, such as voorbeeld.toml",
            );
            report.warning(&site, fault);
            return Vec::new();
        }
        Err(error) => {
            report.problem(&site, unreadable(folder, &error));
            return Vec::new();
        }
    };
    if let Some(organisations) = memory.read(folder, &names, surroundings) {
        return organisations;
    }
    let mut taken = Domains::new();
    let read = |name: OsString| {
        let file = folder.join(name);
        let site = Site::file(&file);
        let id = organisation_file::id(&file).unwrap_or_else(|fault| {
            report.problem(&site, fault);
            // What is in the file is checked all the same.
            "x".parse().expect("this is an id")
        });
        let text = read_text(&file, Kind::Organisation)
            .map_err(|fault| report.problem(&site, fault))
            .ok()?;
        let root = source::parse(&site, &text, report)?;
        organisation_file::read(root, id, surroundings, &mut taken).map(Arc::new)
    };
    names.into_iter().filter_map(read).collect()
}

/// The names of the files of the organisations, in their order.
fn organisation_files(folder: &Path, report: &Report) -> io::Result<Vec<OsString>> {
    let entries = fs::read_dir(folder)?;
    let site = Site::file(folder);
    if world_writable(&fs::metadata(folder)?) {
        report.problem(&site, open_to_all(folder));
    }
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        // Hidden files, and locks of Emacs (.#voorbeeld.toml).
        if name.as_bytes().starts_with(b".") {
            continue;
        }
        if is_folder(&entry) {
            let text = "subfolders are not read";
            let advice = "put the files of organisations into orgs.d itself";
            report.warning(&Site::file(&entry.path()), Fault::new(text, advice));
        } else if Path::new(&name).extension() == Some(OsStr::new("toml")) {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Also of a link to one.
fn is_folder(entry: &fs::DirEntry) -> bool {
    match entry.file_type() {
        Ok(kind) if !kind.is_symlink() => kind.is_dir(),
        _ => entry.path().is_dir(),
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Settings,
    Organisation,
}

fn read_text(file: &Path, kind: Kind) -> Result<String, Fault> {
    let metadata = fs::metadata(file).map_err(|error| match (error.kind(), kind) {
        (io::ErrorKind::NotFound, Kind::Settings) => Fault::new(
            "there is no such file",
            "make it (an empty file has every default), or name another with --config FILE",
        ),
        _ => unreadable(file, &error),
    })?;
    // Before it is opened: opening a pipe would wait for ever.
    if !metadata.is_file() {
        return Err(Fault::new(
            "this is no file",
            "put a text file in its place",
        ));
    }
    if metadata.len() > FILE_OCTETS {
        return Err(Fault::new(
            "the file is larger than 16 MiB",
            "see what it really is",
        ));
    }
    if world_writable(&metadata) {
        return Err(open_to_all(file));
    }
    let bytes = fs::read(file).map_err(|error| unreadable(file, &error))?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = memchr::memchr_iter(b'\n', valid).count() + 1;
        let text = format!("line {line} is not UTF-8");
        Fault::new(text, "save the file in UTF-8")
    })
}

fn world_writable(metadata: &fs::Metadata) -> bool {
    metadata.permissions().mode() & 0o002 != 0
}

fn open_to_all(path: &Path) -> Fault {
    Fault::new(
        "every user of this host may change this",
        format!("run: chmod o-w {}", shell::quoted_path(path)),
    )
}

fn unreadable(path: &Path, error: &io::Error) -> Fault {
    Fault::new(
        format!("cannot be read: {error}"),
        format!("see who may read it: namei -l {}", path.display()),
    )
}
