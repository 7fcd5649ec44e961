//! The `zegel` command: arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    zegel::cli::main()
}
