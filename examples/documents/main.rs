//! Writes what goes into a package beside the program: manual pages and completions.
//!
//! ```sh
//! cargo run --example documents -- FOLDER
//! ```
//!
//! They are made when a package is made, and not kept in the repository: nothing can be out of
//! step with the program. An example and not a command, so that the program that reads keys
//! has neither the code nor the libraries for it.

mod commands;
mod configuration;
mod tidy;

use std::{
    env,
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use jiff::{Timestamp, tz::TimeZone};

/// What stands at the foot of every page, and when it was made.
struct Edition {
    /// As `2026-11-22`.
    date: String,
    /// As `zegel 0.1.0`.
    source: String,
}

/// The name of the manual at the head of every page.
const MANUAL: &str = "Zegel";

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let [folder] = &arguments[..] else {
        eprintln!("usage: cargo run --example documents -- FOLDER");
        return ExitCode::from(2);
    };
    match write(&PathBuf::from(folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", Path::new(folder).display());
            ExitCode::FAILURE
        }
    }
}

fn write(folder: &Path) -> io::Result<()> {
    let edition = edition(env::var_os("SOURCE_DATE_EPOCH").as_deref())?;
    let (manual, completions) = (folder.join("man"), folder.join("completions"));
    for folder in [&manual, &completions] {
        fs::create_dir_all(folder)?;
    }
    let command = zegel::cli::command();
    commands::completions(&command, &completions)?;
    for page in commands::pages(&command, &edition)?
        .into_iter()
        .chain(configuration::pages(&edition))
    {
        fs::write(manual.join(page.file), tidy::tidy(&page.text))?;
    }
    Ok(())
}

/// A manual page.
struct Page {
    file: String,
    text: String,
}

/// The date is that of the source, where whoever packs says it: two packages of one commit are
/// then the same.
fn edition(seconds: Option<&OsStr>) -> io::Result<Edition> {
    let time = match seconds {
        None => Timestamp::now(),
        Some(seconds) => seconds
            .to_str()
            .and_then(|seconds| seconds.parse().ok())
            .and_then(|seconds| Timestamp::from_second(seconds).ok())
            .ok_or_else(|| io::Error::other("SOURCE_DATE_EPOCH is no number of seconds"))?,
    };
    Ok(Edition {
        date: time.to_zoned(TimeZone::UTC).date().to_string(),
        source: format!("zegel {}", env!("CARGO_PKG_VERSION")),
    })
}
