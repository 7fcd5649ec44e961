//! One writer at a time.

use std::{
    fs::File,
    io::{Read, Seek, Write},
    thread,
    time::{Duration, Instant},
};

use rustix::fs::FlockOperation;

use super::{
    files::Folder,
    problem::{FileError, KeystoreError},
};

pub(super) const NAME: &str = "lock";

/// How long a writer waits for another. Each holds the lock for some milliseconds.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Held while the keystore is written. The kernel lets go of it when the process dies.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Lock {
    /// Waits for the lock, for as long as `patience`.
    pub(super) fn acquire(root: &Folder, patience: Duration) -> Result<Self, KeystoreError> {
        let path = root.path(NAME);
        let mut file = root.lock_file(NAME)?;
        let start = Instant::now();
        loop {
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(rustix::io::Errno::WOULDBLOCK) if start.elapsed() < patience => {
                    thread::sleep(Duration::from_millis(20));
                }
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    let holder = holder(&mut file);
                    return Err(KeystoreError::Busy { path, holder });
                }
                Err(error) => return Err(FileError::io(&path, error.into()).into()),
            }
        }
        // Only for the message to others: a full disk must not be in the way.
        let _ = file
            .set_len(0)
            .and_then(|()| file.write_all(std::process::id().to_string().as_bytes()));
        Ok(Self(file))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = self.0.set_len(0);
    }
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file
        .rewind()
        .and_then(|()| file.take(20).read_to_string(&mut text));
    match text.trim().parse::<u32>() {
        Ok(process) if read.is_ok() => format!("process {process}"),
        _ => "another process".to_owned(),
    }
}
