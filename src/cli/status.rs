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
    /// It cannot be done now: try again (`EX_TEMPFAIL` of sysexits.h).
    Later,
    /// `zegel.toml` has problems (`EX_CONFIG` of sysexits.h).
    Configuration,
}

impl Status {
    /// What a check ends with.
    pub(super) const fn of_check(is_good: bool) -> Self {
        if is_good { Self::Good } else { Self::Finding }
    }
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(match status {
            Status::Good => 0,
            Status::Finding => 1,
            Status::Usage => 2,
            Status::Later => 75,
            Status::Configuration => EXIT_CONFIGURATION,
        })
    }
}
