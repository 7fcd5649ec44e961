//! Writes what goes into a package beside the program: manual pages and completions.
//!
//! ```sh
//! cargo run --example documents -- FOLDER [SECONDS]
//! ```
//!
//! SECONDS (since 1970) is the date of the pages; without it, it is that of today.
//!
//! They are made when a package is made, and not kept in the repository: nothing can be out of
//! step with the program. An example and not a command, so that the program that reads keys
//! has neither the code nor the libraries for it.

mod write;

use std::{env, io, path::Path, process::ExitCode};

use jiff::Timestamp;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (folder, date) = match &arguments[..] {
        [folder] => (folder, Ok(Timestamp::now())),
        [folder, seconds] => (folder, timestamp(seconds)),
        _ => {
            eprintln!("usage: cargo run --example documents -- FOLDER [SECONDS]");
            return ExitCode::from(2);
        }
    };
    match date.and_then(|date| write::write(Path::new(folder), date)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{folder}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn timestamp(seconds: &str) -> io::Result<Timestamp> {
    let seconds = seconds.parse().map_err(io::Error::other)?;
    Timestamp::from_second(seconds).map_err(io::Error::other)
}
