//! The configuration: `zegel.toml` and the organisations of `orgs.d/`, read whole and
//! checked whole. Every problem is reported at once, with its place and the way out.

mod bindings;
mod changes;
mod listener;
mod organisations;
mod problem;
mod section;
mod settings;
mod settings_file;
mod source;

#[cfg(test)]
mod tests;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

pub(crate) use self::section::distance;
pub use self::{
    changes::{Change, Effect, Value, changes},
    problem::{Place, Problem, Problems},
    settings::{
        AllowedUser, Claims, HttpListen, KeeperSettings, Limits, ListenerSettings, Loaded,
        LogFilter, LogFormat, LogSettings, Outbound, Resolvers, Settings, SigningSettings, Socket,
        away, situation,
    },
};
use self::{
    organisations::{Memory, Surroundings},
    problem::Report,
};
use crate::{files, organisation::Policy};

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

    /// A number that is another one when a file of the configuration has changed, has come or
    /// has gone. Reads none of them.
    pub fn stamps(&self) -> u64 {
        let folder = self.config_file.with_file_name("orgs.d");
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

    fn load_with(
        &mut self,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Loaded, Problems> {
        let report = Report::default();
        let root = source::read(&self.config_file, environment, &report);
        let settings = root.map(|root| settings_file::read(root, &report));
        // Without settings the organisations are read as well, for what is wrong with them.
        let surroundings = Surroundings {
            policy: settings
                .as_ref()
                .map_or_else(Policy::default, |settings| settings.policy),
            listeners: settings.as_ref().map(|settings| {
                settings
                    .listeners
                    .iter()
                    .map(|listener| listener.name.clone())
                    .collect()
            }),
        };
        let folder = self.config_file.with_file_name("orgs.d");
        let organisations = self.memory.read(&folder, surroundings, &report);
        if let Some(settings) = &settings {
            bindings::check(&organisations, &settings.listeners, &folder, &report);
        }
        let warnings = report.conclude()?;
        Ok(Loaded {
            settings: settings.unwrap_or_default(),
            organisations,
            warnings,
        })
    }
}
