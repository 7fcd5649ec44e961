//! The exit statuses, all of them.

use std::process::ExitCode;

use crate::process::EXIT_CONFIGURATION;

/// What a command ends with; scripts rely on the numbers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Status {
    /// It was done, and all is well.
    Good,
    /// A check found something, or it could not be done.
    Finding,
    /// The command line asks for what there is not: an option, a file, an organisation.
    Usage,
    /// The configuration has problems (`EX_CONFIG` of sysexits.h).
    Configuration,
}

impl Status {
    const fn code(self) -> u8 {
        match self {
            Self::Good => 0,
            Self::Finding => 1,
            Self::Usage => 2,
            Self::Configuration => EXIT_CONFIGURATION,
        }
    }
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(status.code())
    }
}
