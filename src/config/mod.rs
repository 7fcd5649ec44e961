//! The configuration: `zegel.toml` and the organisations of `orgs.d/`, read whole and
//! checked whole. Every problem is reported at once, with its place and the way out.

mod below;
mod bindings;
mod changes;
mod contested;
mod database;
mod dmarc;
mod handover;
mod hooks;
mod listener;
mod log;
mod mistakes;
mod on_disk;
mod organisations;
mod problem;
mod reports;
mod section;
mod settings;
mod settings_file;
mod signers;
mod source;

#[cfg(test)]
mod tests;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    sync::Arc,
};

pub(crate) use self::section::distance;
pub use self::{
    below::{MOST_BELOW, SendersBelow},
    changes::{Change, Effect, Value, changes},
    database::{DatabaseSettings, Tls},
    handover::HandoverSettings,
    hooks::HookSettings,
    log::{LogFilter, LogFormat, LogSettings},
    mistakes::{Broken, Contested, Mistakes},
    on_disk::Seen,
    organisations::{About, Candidate, Examined},
    problem::{Place, Problem, Problems},
    reports::{ReportLimits, ReportSettings},
    settings::{
        AllowedUser, Claims, HttpListen, KeeperSettings, Limits, ListenerSettings, Loaded,
        Outbound, Resolvers, Settings, SigningSettings, Socket, away, situation,
    },
    signers::{SignerAddress, Signers},
};
use self::{
    organisations::{Memory, Surroundings},
    problem::Report,
};
use crate::{
    files::{self, Stamp},
    organisation::{Organisation, Policy},
};

/// Reads `zegel.toml`, the environment of this process, and `orgs.d/` beside the file. Looks
/// at nothing else: no keys, no network. A mistake in a file of `orgs.d/` concerns its own
/// organisation ([`Mistakes`]).
///
/// # Errors
///
/// Every problem of every file, if one is in `zegel.toml` or with `orgs.d/` as a whole.
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

/// When a file of a configuration last changed, or came or went, in milliseconds since 1970; none
/// if there is none.
pub fn changed(config_file: &Path) -> Option<u64> {
    on_disk::changed(config_file, &config_file.with_file_name("orgs.d"))
}

/// Reads a configuration again and again: of `orgs.d/` only what has changed since.
#[derive(Debug)]
pub struct Reader {
    config_file: PathBuf,
    memory: Memory,
    /// The text of `zegel.toml` that was last read without a problem; none before that.
    settings: Option<u64>,
    /// The listeners of the process, if it has opened them.
    bound: Option<Vec<String>>,
}

impl Reader {
    /// A reader that has read nothing yet.
    pub fn new(config_file: &Path) -> Self {
        Self {
            config_file: config_file.to_owned(),
            memory: Memory::default(),
            settings: None,
            bound: None,
        }
    }

    /// From now on an organisation may name these listeners only: the process has no others,
    /// whatever `zegel.toml` says by now.
    pub fn bind(&mut self, listeners: Vec<String>) {
        self.bound = Some(listeners);
    }

    /// A number for the text of `zegel.toml` as it was last read without a problem; none before
    /// that.
    pub fn settings_read(&self) -> Option<u64> {
        self.settings
    }

    /// A number for the text of `zegel.toml` as it is now.
    pub fn settings_on_disk(&self) -> u64 {
        on_disk::settings(&self.config_file)
    }

    /// How the files of the organisations are now. Looks at each, and reads none.
    pub fn organisations_on_disk(&self) -> Seen {
        on_disk::organisations(&self.folder())
    }

    /// How `orgs.d/` itself is: this tells of files that come, go or are replaced, with one look.
    pub fn folder_on_disk(&self) -> Option<Stamp> {
        on_disk::folder(&self.folder())
    }

    fn folder(&self) -> PathBuf {
        self.config_file.with_file_name("orgs.d")
    }

    /// A number that is another one when a file of the configuration has changed, has come or
    /// has gone. Reads none of them.
    pub fn stamps(&self) -> u64 {
        let folder = self.folder();
        files::stamps(&[&self.config_file, &folder], &folder)
    }

    /// As [`load`].
    ///
    /// # Errors
    ///
    /// Every problem of every file.
    pub fn load(&mut self) -> Result<Loaded, Problems> {
        self.load_with(std::env::vars_os())
    }

    /// As [`load`], with the organisations alone that matter to what a command is about: those
    /// that it names, and those that may have one of its domains. A domain that two files have is
    /// found all the same; what is wrong with a file that names none of them is not.
    ///
    /// `about` gets what `zegel.toml` says. If that has problems, every file is read.
    ///
    /// # Errors
    ///
    /// As [`load`].
    pub fn load_about(
        &mut self,
        about: impl FnOnce(&Settings) -> About,
    ) -> Result<Loaded, Problems> {
        self.load_part(std::env::vars_os(), |settings| Some(about(settings)))
    }

    fn load_with(
        &mut self,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Loaded, Problems> {
        self.load_part(environment, |_| None)
    }

    fn load_part(
        &mut self,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        about: impl FnOnce(&Settings) -> Option<About>,
    ) -> Result<Loaded, Problems> {
        // Before it is read: what is written meanwhile is another text.
        let text = self.settings_on_disk();
        let report = Report::default();
        let root = source::read(&self.config_file, environment, &report);
        let settings = root.map(|root| settings_file::read(root, &report));
        // Without settings the organisations are read as well, for what is wrong with them.
        let good = settings.as_ref().filter(|_| !report.has_problems());
        let about = good.and_then(about);
        let (organisations, mistakes) =
            self.read_organisations(settings.as_ref(), about.as_ref(), &report);
        if report.has_problems() {
            report.add(mistakes.problems());
        }
        let warnings = report.conclude()?;
        self.settings = Some(text);
        Ok(Loaded {
            settings: settings.unwrap_or_default(),
            organisations,
            warnings,
            mistakes,
        })
    }

    /// What would come of these files if they were in `orgs.d/`, beside what was read there last.
    /// Their names are none of those.
    pub fn examine(&self, loaded: &Loaded, candidates: &[Candidate]) -> Vec<Examined> {
        self.memory
            .examine(&self.folder(), &loaded.mistakes, candidates)
    }

    /// What a file of `orgs.d/` would say with this text in its place, whoever has its domains now.
    ///
    /// # Errors
    ///
    /// Every problem of the text.
    pub fn try_out(&self, candidate: &Candidate) -> Examined {
        self.memory.try_out(&self.folder(), candidate)
    }

    /// Reads the organisations alone, against settings that are in use: `zegel.toml` may say
    /// something else by now, and is not read.
    ///
    /// # Errors
    ///
    /// What is wrong with the folder as a whole.
    pub fn load_organisations(&mut self, settings: &Settings) -> Result<Loaded, Problems> {
        let report = Report::default();
        let (organisations, mistakes) = self.read_organisations(Some(settings), None, &report);
        let warnings = report.conclude()?;
        Ok(Loaded {
            settings: settings.clone(),
            organisations,
            warnings,
            mistakes,
        })
    }

    fn read_organisations(
        &mut self,
        settings: Option<&Settings>,
        about: Option<&About>,
        report: &Report,
    ) -> (Vec<Arc<Organisation>>, Mistakes) {
        let names = |settings: &Settings| -> Vec<String> {
            let listeners = settings.listeners.iter();
            listeners.map(|listener| listener.name.clone()).collect()
        };
        let listeners = settings.map(names);
        let mut unbound = listeners.clone().unwrap_or_default();
        // Without any of its own, every one is there.
        unbound.retain(|name| {
            self.bound
                .as_ref()
                .is_some_and(|bound| !bound.contains(name))
        });
        let surroundings = Surroundings {
            policy: settings.map_or_else(Policy::default, |settings| settings.policy),
            zone: settings.and_then(|settings| settings.handover.zone.clone()),
            name_servers: settings
                .map_or_else(Vec::new, |settings| settings.handover.name_servers.clone()),
            listeners,
            unbound,
        };
        let folder = self.folder();
        let (organisations, mistakes) = self.memory.read(&folder, surroundings, about, report);
        if let Some(settings) = settings {
            bindings::check(&organisations, &settings.listeners, &folder, report);
        }
        (organisations, mistakes)
    }

    /// These organisations are in use: a domain that several files have stays with the one that
    /// has it here.
    pub fn go_on_from(&mut self, organisations: &[Arc<Organisation>]) {
        self.memory.go_on_from(organisations);
    }
}
