//! Why a command could not do what it was asked for.

use std::io;

use serde::Serialize;

use super::status::Status;
use crate::{config::Problems, keystore::KeystoreError};

/// Displayed as one line or several, each with the way out.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// Every problem of the configuration.
    #[error(transparent)]
    Configuration(#[from] Problems),
    /// Every problem of the files of organisations.
    #[error("{0}")]
    Organisations(Problems),
    /// The keystore cannot be read, or the change cannot be made.
    #[error(transparent)]
    Keystore(#[from] KeystoreError),
    /// What the command line names is not there.
    #[error("{0}")]
    Usage(String),
    /// Anything else.
    #[error("{0}")]
    Other(String),
    /// Standard output cannot be written to.
    #[error("standard output: {0}")]
    Output(io::Error),
}

/// A failure for programs; `docs/platform.md` describes it.
#[derive(Serialize)]
pub(super) struct Told {
    error: ToldError,
}

#[derive(Serialize)]
struct ToldError {
    code: &'static str,
    message: String,
    /// The file that it is about, if it is about one.
    place: Option<String>,
}

impl Told {
    /// That the command line is wrong.
    pub(super) fn usage(message: String) -> Self {
        Self {
            error: ToldError {
                code: "usage",
                message,
                place: None,
            },
        }
    }
}

impl Failure {
    /// For programs.
    pub(super) fn told(&self) -> Told {
        let (code, place) = match self {
            Self::Configuration(problems) => ("configuration", problems.place()),
            Self::Organisations(problems) => ("organisations", problems.place()),
            Self::Keystore(KeystoreError::Busy { .. }) => ("busy", None),
            Self::Keystore(_) => ("keystore", None),
            Self::Usage(_) => ("usage", None),
            Self::Other(_) | Self::Output(_) => ("failed", None),
        };
        Told {
            error: ToldError {
                code,
                message: self.to_string(),
                place,
            },
        }
    }

    /// The exit status that tells it.
    pub(super) fn status(&self) -> Status {
        match self {
            Self::Configuration(_) => Status::Configuration,
            Self::Usage(_) => Status::Usage,
            Self::Organisations(_) | Self::Keystore(_) | Self::Other(_) | Self::Output(_) => {
                Status::Finding
            }
        }
    }
}
