//! `zegel demo`

use std::{path::PathBuf, process::ExitCode};

use clap::Args;

#[derive(Args, Debug)]
pub(super) struct DemoArguments {
    /// Go on serving until interrupted
    #[arg(long)]
    pub(super) serve: bool,

    /// The keystore of the demo
    #[arg(long, value_name = "DIR")]
    pub(super) keys: Option<PathBuf>,
}

/// Runs the demo.
pub(super) fn run(_arguments: &DemoArguments) -> ExitCode {
    ExitCode::FAILURE
}
