//! Why a command could not do what it was asked for.

use std::{fmt, io};

use super::status::Status;
use crate::{config::Problems, keystore::KeystoreError};

/// Displayed as one line or several, each with the way out.
#[derive(Debug)]
pub(super) enum Failure {
    /// Every problem of the configuration.
    Configuration(Problems),
    /// The keystore cannot be read, or the change cannot be made.
    Keystore(KeystoreError),
    /// What the command line names is not there.
    Usage(String),
    /// Anything else.
    Other(String),
    /// Standard output cannot be written to.
    Output(io::Error),
}

impl Failure {
    /// The exit status that tells it.
    pub(super) fn status(&self) -> Status {
        match self {
            Self::Configuration(_) => Status::Configuration,
            Self::Usage(_) => Status::Usage,
            Self::Keystore(_) | Self::Other(_) | Self::Output(_) => Status::Finding,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration(problems) => problems.fmt(formatter),
            Self::Keystore(error) => error.fmt(formatter),
            Self::Usage(text) | Self::Other(text) => formatter.write_str(text),
            Self::Output(error) => write!(formatter, "standard output: {error}"),
        }
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self::Configuration(problems)
    }
}

impl From<KeystoreError> for Failure {
    fn from(error: KeystoreError) -> Self {
        Self::Keystore(error)
    }
}
