//! What was refused is put aside, with the reason, so that someone can look at it.

use std::{
    fmt::Write as _,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use jiff::Timestamp;
use serde::Serialize;

use super::found::RefusalFound;
use crate::{dkim::digest::Sha256, files::as_owner};

/// The folder below that of the store.
const FOLDER: &str = "refused";
/// Octets of all copies: anybody can send what is refused. Beyond, only the reason is kept.
const TOTAL: u64 = 1 << 30;
/// Refusals of one file that are noted.
const NOTED: usize = 100;
/// Beyond so many files nothing more is put aside: the store counts it all the same.
const MOST_FILES: u64 = 20_000;

/// Why it is there.
#[derive(Serialize)]
struct Note<'a> {
    time: Timestamp,
    path: &'a str,
    /// How many refusals there were; the first 100 follow.
    number: usize,
    refusals: &'a [RefusalFound],
}

/// Reads the same once more; none if it cannot be had.
pub(super) type Again<'a> = &'a dyn Fn() -> Option<Box<dyn Read + 'a>>;

/// The folder with what was refused.
pub(super) struct Refused {
    state: PathBuf,
    folder: PathBuf,
    /// Octets that are there.
    total: u64,
    /// Files that are there.
    files: u64,
}

impl Refused {
    pub(super) fn new(state: &Path) -> Self {
        Self {
            state: state.to_owned(),
            folder: state.join(FOLDER),
            total: 0,
            files: 0,
        }
    }

    /// Puts a copy aside, and beside it the reason, with `.json` after its name. The name is made
    /// of the content, or without one of path and reasons: what comes again is there already. When
    /// this returns, both are on the disk.
    pub(super) fn keep(
        &mut self,
        path: &str,
        content: Option<Again<'_>>,
        refusals: &[RefusalFound],
    ) -> io::Result<()> {
        let note = Note {
            time: Timestamp::now(),
            path,
            number: refusals.len(),
            refusals: &refusals[..refusals.len().min(NOTED)],
        };
        // Read as who we are: the owner of the store may not be allowed to.
        let content = || content.and_then(|again| again());
        let name = if let Some(content) = content() {
            digest(content.take(TOTAL))?
        } else {
            let reasons = serde_json::to_vec(note.refusals)?;
            digest(path.as_bytes().chain(&*reasons))?
        };
        let content = content().filter(|_| self.total < TOTAL);
        let state = self.state.clone();
        as_owner(&state, || self.keep_as_owner(&name, content, &note))?
    }

    fn keep_as_owner(
        &mut self,
        name: &str,
        content: Option<Box<dyn Read + '_>>,
        note: &Note<'_>,
    ) -> io::Result<()> {
        let copy = self.folder.join(name);
        let beside = self.folder.join(format!("{name}.json"));
        let is_there = copy.exists();
        if beside.exists() && (is_there || content.is_none()) {
            // It stays as long as if it had come now.
            let _ = touch(&beside);
            let _ = touch(&copy);
            return Ok(());
        }
        if self.files >= MOST_FILES {
            return Ok(());
        }
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)?;
        if let Some(content) = content.filter(|_| !is_there) {
            self.copy(&copy, content)?;
        }
        self.files += 1;
        write_whole(&beside, |file| {
            serde_json::to_writer_pretty(&mut *file, note)?;
            file.write_all(b"\n")
        })?;
        File::open(&self.folder)?.sync_all()
    }

    /// All of it, or none of it if there is no room left for it.
    fn copy(&mut self, path: &Path, content: impl Read) -> io::Result<()> {
        let room = TOTAL.saturating_sub(self.total);
        let mut copied = 0;
        let mut content = content.take(room);
        let is_whole = write_whole(path, |file| {
            copied = io::copy(&mut content, file)?;
            Ok(())
        });
        is_whole?;
        if copied >= room {
            return fs::remove_file(path);
        }
        self.total += copied;
        self.files += 1;
        Ok(())
    }

    /// Removes what has been there for longer than this, and sees how much is left.
    pub(super) fn forget(&mut self, keep: Duration) -> io::Result<()> {
        let state = self.state.clone();
        as_owner(&state, || self.forget_as_we_are(keep))?
    }

    fn forget_as_we_are(&mut self, keep: Duration) -> io::Result<()> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let now = SystemTime::now();
        for entry in entries {
            let entry = entry?;
            let found = match entry.metadata() {
                Ok(found) => found,
                // Another process is at the same.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let age = now.duration_since(found.modified()?).unwrap_or_default();
            if !found.is_file() || age <= keep {
                self.total += found.len();
                self.files += 1;
                continue;
            }
            match fs::remove_file(entry.path()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Whether this speaks of a failure report (RFC 9991), which carries someone's message: such a
/// thing is not kept, whatever it was refused for.
pub(super) fn speaks_of_failure(mut content: impl Read) -> bool {
    const SIGNS: [&[u8]; 2] = [b"feedback-report", b"feedback-type:"];
    let mut held: Vec<u8> = Vec::new();
    let mut piece = [0; 16 << 10];
    loop {
        match content.read(&mut piece) {
            Ok(0) => return false,
            // What cannot be read cannot be kept either.
            Err(_) => return true,
            Ok(read) => held.extend(piece[..read].iter().map(u8::to_ascii_lowercase)),
        }
        if SIGNS
            .iter()
            .any(|sign| memchr::memmem::find(&held, sign).is_some())
        {
            return true;
        }
        held.drain(..held.len().saturating_sub(32));
    }
}

/// A name for what is read.
fn digest(mut content: impl Read) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut piece = [0; 16 << 10];
    loop {
        let read = content.read(&mut piece)?;
        if read == 0 {
            let digest = hash.finish();
            let mut name = String::with_capacity(32);
            for octet in digest.iter().take(16) {
                // A String can be written to at any time.
                let _ = write!(name, "{octet:02x}");
            }
            return Ok(name);
        }
        hash.update(&piece[..read]);
    }
}

/// A file with this content, which is there whole or not at all, and on the disk.
fn write_whole(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let process = std::process::id();
    let prepared = path.with_extension(format!("{process}.new"));
    // Of a process with the same number that was killed.
    let _ = fs::remove_file(&prepared);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&prepared)
        .and_then(|mut file| {
            write(&mut file)?;
            file.sync_all()?;
            fs::rename(&prepared, path)
        });
    if written.is_err() {
        // Half of it helps nobody, and takes the room of what can be kept.
        let _ = fs::remove_file(&prepared);
    }
    written
}

fn touch(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options
        .write(true)
        .open(path)?
        .set_modified(SystemTime::now())
}
