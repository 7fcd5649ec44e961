//! The `zegel` command: arguments in, exit code out.

use std::{path::Path, process::ExitCode};

fn main() -> ExitCode {
    let file = std::env::args().nth(3).unwrap_or_default();
    if std::env::args().nth(1).as_deref() == Some("demo") {
        return zegel::cli::demo::Demo {
            keys: "keys".into(),
            after: zegel::cli::demo::After::Stop,
        }
        .run();
    }
    zegel::daemon::run(Path::new(&file))
}
