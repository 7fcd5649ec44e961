//! How files are written: beside their place, down to the disk, and then put there in one
//! step.

use std::io::{self, Write};

use rustix::fs::{AtFlags, OFlags, RenameFlags};
use zeroize::Zeroizing;

use super::{super::problem::FileError, Durability, Folder, Secrecy, TEMPORARY};

/// A file that is written and does not count yet: it goes away with this value, unless it is
/// renamed or kept.
#[must_use]
pub(in crate::keystore) struct Prepared<'a> {
    folder: &'a Folder,
    name: String,
    /// The name that it has for now.
    place: String,
    fate: Fate,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fate {
    Removed,
    Kept,
}

impl Prepared<'_> {
    /// Puts it in its place, in one step: whoever reads it gets the old or the new content.
    /// If that fails, nothing has changed.
    pub(in crate::keystore) fn rename(&mut self) -> Result<(), FileError> {
        let handle = &self.folder.handle;
        rustix::fs::renameat(handle, &self.place, handle, &self.name)
            .map_err(|error| FileError::io(&self.folder.path.join(&self.name), error.into()))?;
        self.place.clone_from(&self.name);
        self.keep();
        Ok(())
    }

    /// Leaves it where it is, whatever happens.
    pub(in crate::keystore) fn keep(&mut self) {
        self.fate = Fate::Kept;
    }
}

impl Drop for Prepared<'_> {
    fn drop(&mut self) {
        if self.fate == Fate::Removed {
            // There is a reason for that already, which is the one to tell.
            let _ = rustix::fs::unlinkat(&self.folder.handle, &self.place, AtFlags::empty());
        }
    }
}

impl Folder {
    /// Writes a file that must not be there yet, in one step.
    pub(in crate::keystore) fn create(
        &self,
        name: &str,
        content: &[u8],
    ) -> Result<Prepared<'_>, FileError> {
        let mut prepared = self.prepare(name, content)?;
        let (handle, flags) = (&self.handle, RenameFlags::NOREPLACE);
        let temporary = prepared.place.as_str();
        match rustix::fs::renameat_with(handle, temporary, handle, name, flags) {
            // NFS and others do not know the flag. Under the lock, after a look at what is
            // there, the plain rename does the same.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
                rustix::fs::renameat(handle, temporary, handle, name)
            }
            renamed => renamed,
        }
        .map_err(|error| FileError::io(&self.path.join(name), error.into()))?;
        name.clone_into(&mut prepared.place);
        self.sync()?;
        Ok(prepared)
    }

    /// Writes what is to replace a file, beside it. Nothing of it stays if it is dropped.
    pub(in crate::keystore) fn prepare(
        &self,
        name: &str,
        content: &[u8],
    ) -> Result<Prepared<'_>, FileError> {
        self.prepare_with(name, content, Durability::Now)
    }

    /// The same, which a power cut may undo before the next [`Folder::sync_file_system`].
    pub(in crate::keystore) fn prepare_unsynced(
        &self,
        name: &str,
        content: &[u8],
    ) -> Result<Prepared<'_>, FileError> {
        self.prepare_with(name, content, Durability::Later)
    }

    fn prepare_with(
        &self,
        name: &str,
        content: &[u8],
        durability: Durability,
    ) -> Result<Prepared<'_>, FileError> {
        let place = self.write_temporary(name, content, durability)?;
        Ok(Prepared {
            folder: self,
            name: name.to_owned(),
            place,
            fate: Fate::Removed,
        })
    }

    /// What a process that died had prepared for this file.
    pub(in crate::keystore) fn left_over(
        &self,
        name: &str,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, FileError> {
        self.read(&format!("{TEMPORARY}{name}"), Secrecy::State)
    }

    /// Takes over what a process that died had prepared for this file.
    pub(in crate::keystore) fn take_over(&self, name: &str) -> Result<Prepared<'_>, FileError> {
        let place = format!("{TEMPORARY}{name}");
        let file = self.kept_file(&place, OFlags::empty(), Secrecy::State)?;
        file.sync_all()
            .map_err(|error| FileError::io(&self.path.join(&place), error))?;
        Ok(Prepared {
            folder: self,
            name: name.to_owned(),
            place,
            fate: Fate::Kept,
        })
    }

    /// Writes `content` beside `name`. Only under the lock: what a process that died left
    /// there is replaced.
    fn write_temporary(
        &self,
        name: &str,
        content: &[u8],
        durability: Durability,
    ) -> Result<String, FileError> {
        let temporary = format!("{TEMPORARY}{name}");
        let path = self.path.join(&temporary);
        let failed = |error: io::Error| FileError::io(&path, error);
        match rustix::fs::unlinkat(&self.handle, &temporary, AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => {}
            Err(error) => return Err(failed(error.into())),
        }
        let flags = OFlags::WRONLY | OFlags::EXCL;
        let mut file = self.open_for_writing(&temporary, flags).map_err(failed)?;
        let written = file
            .write_all(content)
            .and_then(|()| self.hand_over(&file))
            .and_then(|()| match durability {
                Durability::Now => file.sync_all(),
                Durability::Later => Ok(()),
            });
        if let Err(error) = written {
            let _ = rustix::fs::unlinkat(&self.handle, &temporary, AtFlags::empty());
            return Err(failed(error));
        }
        Ok(temporary)
    }
}
