//! The Maildir that reports come in at. Whoever fills it may be taken over: nothing but regular
//! files is opened, and root works in it as its owner.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;

use crate::{
    cli::{
        failure::Failure,
        output::{printable, warn},
    },
    files::as_owner,
};

/// What is complete; `tmp` is where files are written.
const FOLDERS: [&str; 2] = ["new", "cur"];

#[derive(Clone)]
pub(super) struct Maildir {
    path: PathBuf,
}

impl Maildir {
    /// The Maildir at this path.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let is_folder = |name: &&str| {
            let found = fs::symlink_metadata(path.join(name));
            found.map(|found| found.is_dir())
        };
        for name in &FOLDERS {
            let problem = match is_folder(name) {
                Ok(true) => continue,
                Ok(false) => format!("{name} in it is no folder"),
                Err(error) => format!("{name} in it: {error}"),
            };
            let path = path.display();
            return Err(Failure::Usage(format!(
                "{path} is no Maildir: {problem}; make it with the folders new, cur and tmp, or \
                 correct [reports] maildir in zegel.toml"
            )));
        }
        Ok(Self {
            path: path.to_owned(),
        })
    }

    /// Its messages, in the order of their names.
    ///
    /// # Errors
    /// When it cannot be listed.
    pub(super) fn files(&self) -> Result<Vec<PathBuf>, Failure> {
        let mut files = Vec::new();
        for name in FOLDERS {
            let folder = self.path.join(name);
            let listed = as_owner(&self.path, || list(&folder)).flatten();
            let listed = listed.map_err(|error| {
                Failure::Other(format!(
                    "{}: {error}; see whether this user may read and write there",
                    folder.display()
                ))
            })?;
            files.extend(listed);
        }
        Ok(files)
    }

    /// Opens one; none if it has gone or is no regular file.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(super) fn read(&self, file: &Path) -> io::Result<Option<File>> {
        // A pipe would wait for its other end.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(flags.bits().cast_signed());
        let opened = match as_owner(&self.path, || options.open(file)).flatten() {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let is_file = opened.metadata()?.is_file();
        Ok(is_file.then_some(opened))
    }

    /// Deletes one, if it is still there.
    ///
    /// # Errors
    /// When it cannot be deleted.
    pub(super) fn delete(&self, file: &Path) -> io::Result<()> {
        match as_owner(&self.path, || fs::remove_file(file)).flatten() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            deleted => deleted,
        }
    }
}

/// What becomes of its messages while they are read.
pub(super) struct Emptying {
    maildir: Maildir,
    /// They go when what they bring is on the disk.
    read: Vec<PathBuf>,
    /// Whether something stays there that cannot be read or deleted.
    left: bool,
}

impl Emptying {
    pub(super) fn new(maildir: Maildir) -> Self {
        Self {
            maildir,
            read: Vec::new(),
            left: false,
        }
    }

    pub(super) fn maildir(&self) -> Maildir {
        self.maildir.clone()
    }

    /// A message that is read, or cannot be.
    pub(super) fn add(&mut self, file: PathBuf, is_read: bool) {
        if is_read {
            self.read.push(file);
        } else {
            self.left = true;
        }
    }

    /// What was read is not on the disk: it stays, and is read again the next time.
    pub(super) fn keep_what_is_read(&mut self) {
        self.read.clear();
        self.left = true;
    }

    /// Deletes what is read: what it brings is on the disk.
    pub(super) fn empty(&mut self) {
        for file in self.read.drain(..) {
            if let Err(error) = self.maildir.delete(&file) {
                self.left = true;
                let line = format!(
                    "{}: it is read and cannot be deleted: {error}",
                    file.display()
                );
                warn(printable(&line));
            }
        }
    }

    pub(super) fn is_left(&self) -> bool {
        self.left
    }
}

fn list(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // A name with a dot in front is that of no message.
        let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if !is_hidden && entry.file_type()?.is_file() {
            files.push(entry.path());
        }
    }
    files.sort_unstable();
    Ok(files)
}
