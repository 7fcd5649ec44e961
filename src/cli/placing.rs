//! Files that are put into a folder in one step each, or all together where there are many.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rustix::fs::FlockOperation;

use super::failure::Failure;

/// Fewer files than this are brought to the disk one by one: the rest of a file system may be
/// busy with mail.
const FEW: usize = 16;

/// Nothing in these is secret.
const FOLDER_MODE: u32 = 0o755;
const FILE_MODE: u32 = 0o644;

/// How long a folder is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is done with a file that is there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Existing {
    /// It stays, and nothing is put there.
    Refused,
    /// The new one takes its place.
    Replaced,
}

/// Held by the one who looks what is in a folder and writes there after that. Others wait, but
/// not for ever: whoever can read a folder can hold its lock.
#[derive(Debug)]
pub(super) struct FolderLock(#[expect(dead_code, reason = "it is the lock")] File);

impl FolderLock {
    pub(super) fn new(folder: &Path) -> Result<Self, Failure> {
        Self::within(folder, PATIENCE)
    }

    fn within(folder: &Path, patience: Duration) -> Result<Self, Failure> {
        let handle = File::open(folder).map_err(|error| failed(folder, &error))?;
        let start = Instant::now();
        loop {
            match rustix::fs::flock(&handle, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self(handle)),
                Err(rustix::io::Errno::WOULDBLOCK) if start.elapsed() < patience => {
                    thread::sleep(Duration::from_millis(20));
                }
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    return Err(Failure::Other(format!(
                        "{}: another process holds the lock of this folder: a zegel that writes \
                         there, or any other that can read it; `lsof` names it; wait until it is \
                         done, or choose another folder",
                        folder.display()
                    )));
                }
                Err(error) => return Err(failed(folder, &error.into())),
            }
        }
    }
}

/// Makes a folder and those above it, if need be. Those that are there stay as they are.
pub(super) fn make_folder(path: &Path) -> Result<(), Failure> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent().filter(|parent| *parent != Path::new("")) {
        make_folder(parent)?;
    }
    match fs::create_dir(path) {
        // Whatever the umask takes away: the user zegel is to read it.
        Ok(()) => fs::set_permissions(path, fs::Permissions::from_mode(FOLDER_MODE)),
        // Another process may have made it meanwhile.
        Err(_) if path.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
    .map_err(|error| failed(path, &error))
}

/// Writes a file that is not there, in one step. What becomes of it when the power fails is
/// settled by [`sync`].
pub(super) fn put(path: &Path, content: &[u8]) -> Result<(), Failure> {
    let temporary = write_beside(path, content, false)?;
    let placed = place(&temporary, path, Existing::Refused);
    placed.map_err(|error| failed(path, &error))
}

/// Puts these into a folder, each in one step; all of them are on the disk when the first one is
/// seen, and stay when the power fails. Needs the lock of the folder.
pub(super) fn put_all(
    folder: &Path,
    files: &[(String, Vec<u8>)],
    existing: Existing,
) -> Result<(), Failure> {
    let is_few = files.len() < FEW;
    let mut written = Vec::with_capacity(files.len());
    for (name, content) in files {
        let path = folder.join(name);
        match write_beside(&path, content, is_few) {
            Ok(temporary) => written.push((temporary, path)),
            Err(error) => {
                remove(&written);
                return Err(error);
            }
        }
    }
    if !is_few {
        sync(folder).inspect_err(|_| remove(&written))?;
    }
    for (at, (temporary, path)) in written.iter().enumerate() {
        if let Err(error) = place(temporary, path, existing) {
            remove(&written[at..]);
            return Err(failed(path, &error));
        }
    }
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| failed(folder, &error))
}

fn remove(written: &[(PathBuf, PathBuf)]) {
    for (temporary, _) in written {
        // There is a reason for that already, which is the one to tell.
        let _ = fs::remove_file(temporary);
    }
}

/// The name that a file has until it is put in its place.
fn write_beside(path: &Path, content: &[u8], is_synced: bool) -> Result<PathBuf, Failure> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // What begins with a dot is no organisation.
    let temporary = path.with_file_name(format!(".{name}.import"));
    // What a command left that died, or a link that somebody put there.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(failed(&temporary, &error));
        }
        Ok(()) | Err(_) => {}
    }
    let written = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(&temporary)
        .and_then(|mut file| {
            // Whatever the umask takes away: the user zegel is to read it.
            file.set_permissions(fs::Permissions::from_mode(FILE_MODE))?;
            file.write_all(content)?;
            if is_synced { file.sync_all() } else { Ok(()) }
        });
    if let Err(error) = written {
        let _ = fs::remove_file(&temporary);
        return Err(failed(path, &error));
    }
    Ok(temporary)
}

fn place(temporary: &Path, path: &Path, existing: Existing) -> io::Result<()> {
    if existing == Existing::Replaced {
        return fs::rename(temporary, path);
    }
    let linked = fs::hard_link(temporary, path);
    let removed = fs::remove_file(temporary);
    linked.and(removed)
}

/// All files of the file system at once: there may be ten thousand.
pub(super) fn sync(folder: &Path) -> Result<(), Failure> {
    File::open(folder)
        .and_then(|folder| Ok(rustix::fs::syncfs(&folder)?))
        .map_err(|error| failed(folder, &error))
}

pub(super) fn failed(path: &Path, error: &io::Error) -> Failure {
    Failure::Other(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn nothing_is_written_through_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let victim = folder.path().join("victim");
        fs::write(&victim, "as it was").unwrap();
        let file = folder.path().join("een.toml");
        symlink(&victim, folder.path().join(".een.toml.import")).unwrap();
        put(&file, b"new").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert_eq!(fs::read(&victim).unwrap(), b"as it was");
        // Nor is a file replaced, or a link followed in its place.
        assert!(put(&file, b"other").is_err());
        fs::remove_file(&file).unwrap();
        symlink(&victim, &file).unwrap();
        assert!(put(&file, b"other").is_err());
        assert_eq!(fs::read(&victim).unwrap(), b"as it was");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_folder_that_is_held_is_not_waited_for_without_end() {
        let folder = tempfile::tempdir().unwrap();
        let within = || FolderLock::within(folder.path(), Duration::from_millis(50));
        let held = within().unwrap();
        let refused = within().unwrap_err().to_string();
        assert!(refused.contains("another process holds"), "{refused}");
        drop(held);
        within().unwrap();
    }

    #[test]
    fn many_are_put_together_and_what_is_there_stays() {
        let folder = tempfile::tempdir().unwrap();
        let names: Vec<String> = (0..20).map(|at| format!("{at:02}.toml")).collect();
        let files: Vec<(String, Vec<u8>)> = names
            .iter()
            .map(|name| (name.clone(), b"new".to_vec()))
            .collect();
        fs::write(folder.path().join("19.toml"), "old").unwrap();
        let put = |existing| put_all(folder.path(), &files, existing);
        assert!(put(Existing::Refused).is_err());
        assert_eq!(fs::read(folder.path().join("19.toml")).unwrap(), b"old");
        put(Existing::Replaced).unwrap();
        assert_eq!(fs::read(folder.path().join("19.toml")).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 20);
    }
}
