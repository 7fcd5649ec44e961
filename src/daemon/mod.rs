//! The life of the signer: start, reload, drain, stop.

use std::{path::Path, process::ExitCode};

/// Runs the signer until it is told to stop.
pub fn run(_config_file: &Path) -> ExitCode {
    ExitCode::FAILURE
}
