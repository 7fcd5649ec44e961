//! What was refused is put aside, with the reason, so that someone can look at it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use jiff::Timestamp;
use serde::Serialize;

use super::found::RefusalFound;

/// The folder below that of the store.
const FOLDER: &str = "refused";

/// Why it is there.
#[derive(Serialize)]
struct Note<'a> {
    time: Timestamp,
    path: &'a str,
    refusals: &'a [RefusalFound],
}

/// The folder with what was refused.
pub(super) struct Refused {
    folder: PathBuf,
    /// Octets of a file; a larger one is not copied.
    limit: u64,
    number: u64,
}

impl Refused {
    pub(super) fn new(state: &Path, limit: u64) -> Self {
        Self {
            folder: state.join(FOLDER),
            limit,
            number: 0,
        }
    }

    /// Puts a copy aside, and beside it the reason, with `.json` after its name.
    pub(super) fn keep(
        &mut self,
        path: &str,
        content: Option<&mut dyn Read>,
        refusals: &[RefusalFound],
    ) -> io::Result<()> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)?;
        let now = Timestamp::now();
        self.number += 1;
        let name = format!(
            "{}-{}-{}",
            now.strftime("%Y%m%dT%H%M%S"),
            std::process::id(),
            self.number
        );
        if let Some(content) = content {
            let mut file = create(&self.folder.join(&name))?;
            io::copy(&mut content.take(self.limit), &mut file)?;
            file.sync_all()?;
        }
        let note = Note {
            time: now,
            path,
            refusals,
        };
        let mut file = create(&self.folder.join(format!("{name}.json")))?;
        serde_json::to_writer_pretty(&mut file, &note)?;
        file.write_all(b"\n")?;
        file.sync_all()
    }

    /// Removes what has been there for longer than this.
    pub(super) fn forget(&self, keep: Duration) -> io::Result<()> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let now = SystemTime::now();
        for entry in entries {
            let entry = entry?;
            let found = entry.metadata()?;
            let age = now.duration_since(found.modified()?).unwrap_or_default();
            if found.is_file() && age > keep {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}
