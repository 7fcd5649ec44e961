//! Files and folders that hold keys: what is safe to read, and how they are written.
//!
//! A file is opened first, without following a link or waiting for a writer, and what was
//! opened is examined: nobody can put another in its place between the two. Everything
//! below a folder is reached through its handle.

mod prepared;

use std::{
    fs::{self, File},
    io::{self, Read},
    os::{
        fd::OwnedFd,
        unix::fs::{MetadataExt, PermissionsExt, fchown},
    },
    path::{Path, PathBuf},
};

use rustix::fs::{AtFlags, Dir, Mode, OFlags};
use zeroize::Zeroizing;

pub(in crate::keystore) use self::prepared::Prepared;
use super::problem::{FileError, FileProblem};
use crate::{files::Stamp, keys::Place};

const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// Before the name of a file while it is written. No selector begins with a dot.
pub(super) const TEMPORARY: &str = ".tmp-";

/// What is in a file: it may be a private key.
type Content = Zeroizing<Vec<u8>>;

/// How much a file says to those who can read it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Secrecy {
    /// A private key: nobody else may read it. At most 64 KiB.
    Secret,
    /// The same in a folder that systemd made for this process alone. There a file may be root's,
    /// with an access list for the user, which looks as if its group could read it.
    Credential,
    /// Nobody else may write it. At most 16 MiB.
    State,
    /// Nobody else may write it. Of any length.
    Log,
}

impl Secrecy {
    fn forbidden_mode(self) -> u32 {
        match self {
            Self::Secret => 0o077,
            Self::Credential => 0o037,
            Self::State | Self::Log => 0o022,
        }
    }

    fn maximal_octets(self) -> u64 {
        match self {
            Self::Secret | Self::Credential => 64 * 1024,
            Self::State => 16 * 1024 * 1024,
            Self::Log => u64::MAX,
        }
    }
}

/// When what is written is down on the disk.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Durability {
    Now,
    /// With the next [`Folder::sync_file_system`].
    Later,
}

/// A folder that was found safe, and stays open.
#[derive(Debug)]
pub(super) struct Folder {
    handle: OwnedFd,
    path: PathBuf,
    owner: Owner,
}

/// A file as it was before it was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadFile {
    pub(super) stamp: Stamp,
    /// The same, if any change during the reading or later gives another one.
    pub(super) settled: Option<Stamp>,
}

/// Whose the keystore is. When root writes into it, the files become the owner's, or the
/// signer could not read them.
#[derive(Clone, Copy, Debug)]
struct Owner {
    user: u32,
    group: u32,
}

impl Owner {
    fn accepts(self, user: u32) -> bool {
        let ours = rustix::process::geteuid().as_raw();
        user == 0 || user == ours || (ours == 0 && user == self.user)
    }
}

/// The real path of a keystore, if nobody but its owner can put another in its place.
pub(super) fn safe_path(path: &Path) -> Result<PathBuf, FileError> {
    let real = fs::canonicalize(path).map_err(|error| FileError::io(path, error))?;
    for parent in real.ancestors().skip(1) {
        let metadata = fs::metadata(parent).map_err(|error| FileError::io(parent, error))?;
        let mode = metadata.mode();
        let sticky = mode & 0o1000 != 0;
        // A group of one's own, as many systems give to each user, is nobody else.
        let own_group =
            metadata.gid() == 0 || metadata.gid() == rustix::process::getegid().as_raw();
        let writable = mode & 0o002 != 0 || (mode & 0o020 != 0 && !own_group);
        if writable && !sticky {
            return Err(FileError::new(parent, FileProblem::ParentMode { mode }));
        }
    }
    Ok(real)
}

/// Makes the folder of a keystore, but not those above it.
pub(super) fn make_folder(path: &Path) -> Result<(), FileError> {
    match rustix::fs::mkdir(path, Mode::from_raw_mode(FOLDER_MODE)) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(()),
        Err(error) => Err(FileError::io(path, error.into())),
    }
}

impl Folder {
    /// Opens the folder of a keystore, whose path [`safe_path`] gave.
    pub(super) fn open(path: &Path) -> Result<Self, FileError> {
        let handle = rustix::fs::open(path, folder_flags(), Mode::empty());
        let handle = handle.map_err(|error| FileError::io(path, error.into()))?;
        Self::examined(handle, path.to_owned(), None)
    }

    /// Opens a folder that is elsewhere, if nobody but its owner can put another in its place.
    pub(super) fn open_safely(path: &Path) -> Result<Self, FileError> {
        Self::open(&safe_path(path)?)
    }

    /// Reads a file that is elsewhere, which belongs to root or to the owner of `like`, if nobody
    /// else can put another one in its place.
    pub(super) fn read_beside(
        path: &Path,
        like: &Self,
        secrecy: Secrecy,
    ) -> Result<Content, FileError> {
        let missing = || FileError::new(path, FileProblem::Missing);
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(missing());
        };
        let name = name.to_str().ok_or_else(missing)?;
        let real = safe_path(folder).map_err(|error| match error.problem {
            FileProblem::Missing => missing(),
            _ => error,
        })?;
        let handle = rustix::fs::open(&real, folder_flags(), Mode::empty());
        let handle = handle.map_err(|error| FileError::io(&real, error.into()))?;
        let folder = Self::examined(handle, real, Some(like.owner))?;
        folder.read(name, secrecy)?.ok_or_else(missing)
    }

    /// Opens a folder that is elsewhere, for the owner of `like`, and makes it if need be.
    pub(super) fn open_or_made(path: &Path, like: &Self) -> Result<Self, FileError> {
        make_folder(path)?;
        let path = safe_path(path)?;
        let failed = |error: io::Error| FileError::io(&path, error);
        let handle = rustix::fs::open(&path, folder_flags(), Mode::empty());
        let folder = File::from(handle.map_err(|error| failed(error.into()))?);
        like.hand_over(&folder).map_err(failed)?;
        Self::examined(folder.into(), path, Some(like.owner))
    }

    /// Opens a folder in this one; `None` when there is none.
    pub(super) fn child(&self, name: &str) -> Result<Option<Self>, FileError> {
        let path = self.path.join(name);
        match rustix::fs::openat(&self.handle, name, folder_flags(), Mode::empty()) {
            Ok(handle) => Self::examined(handle, path, Some(self.owner)).map(Some),
            Err(rustix::io::Errno::NOENT) => Ok(None),
            Err(rustix::io::Errno::NOTDIR | rustix::io::Errno::LOOP) => {
                Err(FileError::new(path, FileProblem::NotAFolder))
            }
            Err(error) => Err(FileError::io(&path, error.into())),
        }
    }

    /// Opens a folder in this one, and makes it if there is none.
    pub(super) fn child_or_new(&self, name: &str) -> Result<Self, FileError> {
        self.child_or_made(name, Durability::Now)
    }

    /// The same, which a power cut may undo before the next [`Folder::sync_file_system`].
    pub(super) fn child_or_new_unsynced(&self, name: &str) -> Result<Self, FileError> {
        self.child_or_made(name, Durability::Later)
    }

    fn child_or_made(&self, name: &str, durability: Durability) -> Result<Self, FileError> {
        if let Some(child) = self.child(name)? {
            // Who made it may have died before it was the owner's.
            let failed = |error| FileError::io(&child.path, error);
            let folder = child.handle.try_clone().map_err(failed)?;
            self.hand_over(&folder.into()).map_err(failed)?;
            return Ok(child);
        }
        let path = self.path.join(name);
        let failed = |error: io::Error| FileError::io(&path, error);
        rustix::fs::mkdirat(&self.handle, name, Mode::from_raw_mode(FOLDER_MODE))
            .map_err(|error| failed(error.into()))?;
        let handle = rustix::fs::openat(&self.handle, name, folder_flags(), Mode::empty())
            .map_err(|error| failed(error.into()))?;
        let folder = File::from(handle);
        self.hand_over(&folder).map_err(failed)?;
        if durability == Durability::Now {
            self.sync()?;
        }
        Self::examined(folder.into(), path, Some(self.owner))
    }

    fn examined(handle: OwnedFd, path: PathBuf, owner: Option<Owner>) -> Result<Self, FileError> {
        let handle = File::from(handle);
        let metadata = handle
            .metadata()
            .map_err(|error| FileError::io(&path, error))?;
        let owner = owner.unwrap_or(Owner {
            user: metadata.uid(),
            group: metadata.gid(),
        });
        if !owner.accepts(metadata.uid()) {
            return Err(wrong_owner(&path, &metadata, owner));
        }
        let mode = metadata.mode();
        if mode & 0o022 != 0 {
            return Err(FileError::new(path, FileProblem::FolderMode { mode }));
        }
        Ok(Self {
            handle: handle.into(),
            path,
            owner,
        })
    }

    /// What messages call a file in this folder.
    pub(super) fn place(&self, name: &str) -> Place {
        Place::new(self.path(name).display())
    }

    /// Its path.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The names in it, sorted, without those that are not UTF-8.
    pub(super) fn names(&self) -> Result<Vec<String>, FileError> {
        let failed = |error: rustix::io::Errno| FileError::io(&self.path, error.into());
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.handle).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            match entry.file_name().to_str() {
                Ok("." | "..") | Err(_) => {}
                Ok(name) => names.push(name.to_owned()),
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Reads a file after examining what was opened; `None` when there is none.
    pub(super) fn read(&self, name: &str, secrecy: Secrecy) -> Result<Option<Content>, FileError> {
        let read = self.read_stamped(name, secrecy)?;
        Ok(read.map(|(content, _)| content))
    }

    /// As [`Folder::read`], with the stamp that the file had before.
    pub(super) fn read_stamped(
        &self,
        name: &str,
        secrecy: Secrecy,
    ) -> Result<Option<(Content, ReadFile)>, FileError> {
        let path = self.path.join(name);
        let Some((file, metadata)) = self.open_to_read(name, secrecy)? else {
            return Ok(None);
        };
        let stamp = Stamp::from(&metadata);
        let read = ReadFile {
            stamp,
            settled: stamp.settled(),
        };
        let length = metadata.len();
        // Room for all of it from the start: growing would leave copies behind.
        let room = usize::try_from(length).unwrap_or_default() + 64;
        let mut content = Zeroizing::new(Vec::with_capacity(room));
        file.take(length)
            .read_to_end(&mut content)
            .map_err(|error| FileError::io(&path, error))?;
        Ok(Some((content, read)))
    }

    /// Opens a file that only grows, to read it; `None` when there is none.
    pub(super) fn open_log(&self, name: &str) -> Result<Option<(File, fs::Metadata)>, FileError> {
        self.open_to_read(name, Secrecy::Log)
    }

    /// Opens a file and examines what was opened.
    fn open_to_read(
        &self,
        name: &str,
        secrecy: Secrecy,
    ) -> Result<Option<(File, fs::Metadata)>, FileError> {
        let path = self.path.join(name);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let problem = match rustix::fs::openat(&self.handle, name, flags, Mode::empty()) {
            Ok(handle) => {
                let file = File::from(handle);
                let metadata = self.examine(&file, &path, secrecy)?;
                return Ok(Some((file, metadata)));
            }
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(rustix::io::Errno::LOOP) => FileProblem::Symlink,
            // A socket.
            Err(rustix::io::Errno::NXIO) => FileProblem::NotAFile,
            Err(rustix::io::Errno::ACCESS) => FileProblem::Unreadable {
                user: self.owner.user,
            },
            Err(error) => return Err(FileError::io(&path, error.into())),
        };
        Err(FileError::new(path, problem))
    }

    /// Whether a file, which may be a link, has this stamp now; `None` of one that is not
    /// there.
    pub(super) fn has_stamp(&self, name: &str, stamp: Option<Stamp>) -> bool {
        match rustix::fs::statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stamp == Some(Stamp::from(&stat)),
            Err(rustix::io::Errno::NOENT) => stamp.is_none(),
            Err(_) => false,
        }
    }

    /// Whether there is a file with this name, of whatever kind.
    pub(super) fn has(&self, name: &str) -> bool {
        rustix::fs::statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// What is known of an opened file, if it is safe to use.
    fn examine(
        &self,
        file: &File,
        path: &Path,
        secrecy: Secrecy,
    ) -> Result<fs::Metadata, FileError> {
        let metadata = file
            .metadata()
            .map_err(|error| FileError::io(path, error))?;
        let mode = metadata.mode();
        let problem = if !metadata.is_file() {
            FileProblem::NotAFile
        } else if metadata.nlink() > 1 {
            FileProblem::HardLinks {
                count: metadata.nlink(),
            }
        } else if !self.owner.accepts(metadata.uid()) {
            return Err(wrong_owner(path, &metadata, self.owner));
        } else if mode & secrecy.forbidden_mode() != 0 {
            FileProblem::FileMode { mode }
        } else if metadata.len() > secrecy.maximal_octets() {
            FileProblem::TooLarge {
                octets: metadata.len(),
            }
        } else {
            return Ok(metadata);
        };
        Err(FileError::new(path, problem))
    }

    /// Removes what processes that died left half written. Only under the lock.
    pub(super) fn sweep(&self) -> Result<(), FileError> {
        for name in self.names()? {
            if name.starts_with(TEMPORARY) {
                rustix::fs::unlinkat(&self.handle, &name, AtFlags::empty())
                    .map_err(|error| FileError::io(&self.path.join(&name), error.into()))?;
            }
        }
        Ok(())
    }

    /// Removes a file, if there is one.
    pub(super) fn remove(&self, name: &str) -> Result<(), FileError> {
        match rustix::fs::unlinkat(&self.handle, name, AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(error) => Err(FileError::io(&self.path.join(name), error.into())),
        }
    }

    /// Opens the file that is locked while someone writes, and makes it if need be.
    pub(super) fn lock_file(&self, name: &str) -> Result<File, FileError> {
        self.kept_file(name, OFlags::empty(), Secrecy::State)
    }

    /// Opens a file that only grows, and makes it if need be.
    pub(super) fn log_file(&self, name: &str) -> Result<File, FileError> {
        self.kept_file(name, OFlags::APPEND, Secrecy::Log)
    }

    fn kept_file(&self, name: &str, flags: OFlags, secrecy: Secrecy) -> Result<File, FileError> {
        let path = self.path.join(name);
        let file = self
            .open_for_writing(name, flags | OFlags::RDWR | OFlags::NONBLOCK)
            .map_err(|error| FileError::io(&path, error))?;
        self.examine(&file, &path, secrecy)?;
        self.hand_over(&file)
            .map_err(|error| FileError::io(&path, error))?;
        Ok(file)
    }

    fn open_for_writing(&self, name: &str, flags: OFlags) -> io::Result<File> {
        let flags = flags | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(FILE_MODE);
        let file = File::from(rustix::fs::openat(&self.handle, name, flags, mode)?);
        if flags.contains(OFlags::EXCL) {
            // Whatever the umask takes away.
            file.set_permissions(fs::Permissions::from_mode(FILE_MODE))?;
        }
        Ok(file)
    }

    fn hand_over(&self, file: &File) -> io::Result<()> {
        if rustix::process::geteuid().is_root() && self.owner.user != 0 {
            fchown(file, Some(self.owner.user), Some(self.owner.group))?;
        }
        Ok(())
    }

    /// Everything that was written in the file system stays so when the power fails.
    pub(super) fn sync_file_system(&self) -> Result<(), FileError> {
        rustix::fs::syncfs(&self.handle).map_err(|error| FileError::io(&self.path, error.into()))
    }

    /// What was put in place stays so when the power fails.
    pub(super) fn sync(&self) -> Result<(), FileError> {
        rustix::fs::fsync(&self.handle).map_err(|error| FileError::io(&self.path, error.into()))
    }
}

fn folder_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

fn wrong_owner(path: &Path, metadata: &fs::Metadata, owner: Owner) -> FileError {
    let ours = rustix::process::geteuid().as_raw();
    let problem = FileProblem::Owner {
        user: metadata.uid(),
        expected: if ours == 0 { owner.user } else { ours },
    };
    FileError::new(path, problem)
}
