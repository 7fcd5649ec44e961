//! Manual pages and completions, as files.

mod commands;
mod configuration;
mod tidy;

use std::{fs, io, path::Path};

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

/// Writes `man/` and `completions/` below this folder; the date is that of the pages.
pub(crate) fn write(folder: &Path, date: Timestamp) -> io::Result<()> {
    let edition = Edition {
        date: date.to_zoned(TimeZone::UTC).date().to_string(),
        source: format!("zegel {}", env!("CARGO_PKG_VERSION")),
    };
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
