//! One writer at a time, and one keeper.

use std::{
    fs::File,
    io::{Read, Seek, Write},
    sync::mpsc,
    thread,
    time::Duration,
};

use jiff::Timestamp;
use rustix::fs::FlockOperation;

use super::{
    files::Folder,
    problem::{FileError, KeystoreError},
};

/// Held while something is written.
pub(super) const WRITER: &str = "lock";
/// Held by a keeper for as long as it runs.
const KEEPER: &str = "keeper.lock";
/// Held while files of organisations are looked at and written after that, in `orgs.d`.
const ORGANISATIONS: &str = "orgs.lock";
/// The files of all of them.
pub(super) const NAMES: [&str; 3] = [WRITER, KEEPER, ORGANISATIONS];

/// How long a writer waits for another. Each holds the lock for some milliseconds.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// How long whoever writes files of organisations waits for others: one may write thousands, and
/// dozens may each write one.
const PATIENCE_FOR_FILES: Duration = Duration::from_secs(30);

const NOTE_OCTETS: u64 = 100;

/// Held while the keystore is written, or kept. The kernel lets go of it when the process dies.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Lock {
    /// Waits for the lock of the writers.
    pub(super) fn of_writer(root: &Folder, patience: Duration) -> Result<Self, KeystoreError> {
        let note = format!("process {}", std::process::id());
        Self::acquire(root, (WRITER, &note), patience)
    }

    /// Takes the lock of the keeper, or says who has it and since when.
    pub(super) fn of_keeper(root: &Folder, now: Timestamp) -> Result<Self, KeystoreError> {
        let note = format!("the keeper, process {}, since {now:.0}", std::process::id());
        Self::acquire(root, (KEEPER, &note), Duration::ZERO)
    }

    /// Waits for the lock of those who write files of organisations.
    pub(super) fn of_organisations(root: &Folder) -> Result<Self, KeystoreError> {
        let process = std::process::id();
        let note = format!("process {process}, which writes files of organisations");
        Self::acquire(root, (ORGANISATIONS, &note), PATIENCE_FOR_FILES)
    }

    /// Waits for a lock; `note` is what others are told while it is held.
    fn acquire(
        root: &Folder,
        (name, note): (&str, &str),
        patience: Duration,
    ) -> Result<Self, KeystoreError> {
        let path = root.path(name);
        let mut file = root.lock_file(name)?;
        let taken = match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) if !patience.is_zero() => {
                queue(root.lock_file(name)?, patience)
            }
            taken => taken.map(|()| None),
        };
        match taken {
            Ok(None) => {}
            Ok(Some(queued)) => file = queued,
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let holder = holder(&mut file);
                return Err(KeystoreError::Busy { path, holder });
            }
            Err(error) => return Err(FileError::io(&path, error.into()).into()),
        }
        // Only for the message to others: a full disk must not be in the way.
        let _ = file
            .set_len(0)
            .and_then(|()| file.write_all(note.as_bytes()));
        Ok(Self(file))
    }
}

/// Waits in the queue of the kernel, where each gets the lock in its turn. Whoever tries again and
/// again instead may find it taken for ever, where dozens want it.
fn queue(file: File, patience: Duration) -> Result<Option<File>, rustix::io::Errno> {
    let (sender, receiver) = mpsc::sync_channel(1);
    thread::spawn(move || {
        let taken = loop {
            match rustix::fs::flock(&file, FlockOperation::LockExclusive) {
                Err(rustix::io::Errno::INTR) => {}
                taken => break taken,
            }
        };
        // If nobody waits any more, the file is dropped, and the lock with it.
        let _ = sender.send(taken.map(|()| Some(file)));
    });
    let answer = receiver.recv_timeout(patience);
    answer.unwrap_or(Err(rustix::io::Errno::WOULDBLOCK))
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
        .and_then(|()| file.take(NOTE_OCTETS).read_to_string(&mut text));
    let printable = !text.is_empty() && !text.contains(|c: char| c.is_control());
    match read {
        Ok(_) if printable => text,
        _ => "another process".to_owned(),
    }
}
