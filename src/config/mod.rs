//! The configuration: `zegel.toml` and the organisations of `orgs.d/`, read whole and
//! checked whole. Every problem is reported at once, with its place and the way out.

mod changes;
mod file;
mod http;
mod listener;
mod organisation_file;
mod problem;
mod section;
mod settings;
mod source;
mod timing;
mod tree;
mod values;

#[cfg(test)]
mod tests;

use std::{
    ffi::{OsStr, OsString},
    fs, io,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::{Path, PathBuf},
};

pub(crate) use self::section::distance;
pub use self::{
    changes::{diff, needs_restart},
    problem::{Place, Problem, Problems},
    settings::{
        HttpListen, KeeperSettings, Limits, ListenerSettings, LogFormat, LogSettings, Outbound,
        Resolvers, Settings, SigningSettings, Socket,
    },
};
use self::{
    organisation_file::{Domains, Surroundings},
    problem::{Fault, Report, Site},
};
use crate::organisation::Organisation;

/// A file that is larger is not read: it is no configuration.
const FILE_OCTETS: u64 = 16 * 1024 * 1024;

/// A configuration without problems.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Loaded {
    /// What `zegel.toml` and the environment say.
    pub settings: Settings,
    /// In the order of their ids; no domain is in two of them.
    pub organisations: Vec<Organisation>,
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
    load_with(config_file, std::env::vars_os())
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
    let report = Report::default();
    let site = Site::file(config_file);
    let root = read_text(config_file, Kind::Settings)
        .map_err(|fault| report.problem(&site, fault))
        .ok()
        .and_then(|text| source::read(&site, &text, environment, &report));
    let settings = root.map(|root| file::read(root, &report));
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
    let organisations = read_organisations(&folder.join("orgs.d"), &surroundings);
    let warnings = report.conclude()?;
    Ok(Loaded {
        settings: settings.unwrap_or(defaults),
        organisations,
        warnings,
    })
}

fn read_organisations(folder: &Path, surroundings: &Surroundings<'_>) -> Vec<Organisation> {
    let report = surroundings.report;
    let site = Site::file(folder);
    let files = match organisation_files(folder, report) {
        Ok(files) => files,
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
    let mut taken = Domains::new();
    let read = |file: PathBuf| {
        let site = Site::file(&file);
        let id = organisation_file::id(&file).unwrap_or_else(|fault| {
            report.problem(&site, fault);
            // What is in the file is checked all the same.
            "x".parse().expect("this is an id")
        });
        let text = read_text(&file, Kind::Organisation)
            .map_err(|fault| report.problem(&site, fault))
            .ok()?;
        let root = tree::parse(&site, &text, report)?;
        organisation_file::read(root, id, surroundings, &mut taken)
    };
    files.into_iter().filter_map(read).collect()
}

/// The files of the organisations, in the order of their names.
fn organisation_files(folder: &Path, report: &Report) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)?;
    let site = Site::file(folder);
    if world_writable(&fs::metadata(folder)?) {
        report.problem(&site, open_to_all(folder));
    }
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        // Hidden files, and locks of Emacs (.#voorbeeld.toml).
        if entry.file_name().as_bytes().starts_with(b".") {
            continue;
        }
        if path.is_dir() {
            let text = "subfolders are not read";
            let advice = "put the files of organisations into orgs.d itself";
            report.warning(&Site::file(&path), Fault::new(text, advice));
        } else if path.extension() == Some(OsStr::new("toml")) {
            files.push(path);
        }
    }
    files.sort_unstable();
    Ok(files)
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
        format!("run: chmod o-w {}", path.display()),
    )
}

fn unreadable(path: &Path, error: &io::Error) -> Fault {
    Fault::new(
        format!("cannot be read: {error}"),
        format!("see who may read it: namei -l {}", path.display()),
    )
}
