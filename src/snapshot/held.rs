//! A private key of a snapshot: read once, when mail first needs it, and then kept; and the care
//! for all keys while mail passes.
//!
//! Snapshots share the key, so a reload does not read again what has not changed.

use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use super::Snapshot;
use crate::{
    dkim::SigningKey,
    files::Stamp,
    keys::KeyIdentity,
    keystore::{KeyProblem, Keystore},
    names::{OrganisationId, Selector},
    observe::logging::KEYS,
};

/// A key that signs.
#[derive(Clone, Debug)]
pub struct ActiveKey {
    /// For `s=`.
    pub selector: Selector,
    /// The private key.
    pub signing_key: Arc<SigningKey>,
}

/// A key that is in use, whether it has been read yet or not.
pub(super) struct HeldKey {
    keystore: Keystore,
    organisation: OrganisationId,
    identity: KeyIdentity,
    read: OnceLock<Result<ReadKey, Refused>>,
    /// Held while its file is read.
    reading: Mutex<()>,
    /// Was read, found good, and forgotten again.
    tried: AtomicBool,
}

struct ReadKey {
    key: Arc<ActiveKey>,
    /// Of the file as it was read; none when it must be read again.
    stamp: Mutex<Option<Stamp>>,
    /// Whether the file has come to be refused since.
    spoilt: AtomicBool,
}

/// Its file is refused, and someone was told why. It stays so until the keys are read anew.
struct Refused(Box<str>);

impl HeldKey {
    pub(super) fn new(
        keystore: &Keystore,
        organisation: &OrganisationId,
        identity: KeyIdentity,
    ) -> Self {
        Self {
            keystore: keystore.clone(),
            organisation: organisation.clone(),
            identity,
            read: OnceLock::new(),
            reading: Mutex::new(()),
            tried: AtomicBool::new(false),
        }
    }

    pub(super) fn identity(&self) -> &KeyIdentity {
        &self.identity
    }

    /// Whether it is known if it can be used, so that [`HeldKey::load`] looks at no disk.
    pub(super) fn is_read(&self) -> bool {
        self.read.get().is_some()
    }

    pub(super) fn is_usable(&self) -> bool {
        matches!(self.read.get(), Some(Ok(_)))
    }

    pub(super) fn is_refused(&self) -> bool {
        matches!(self.read.get(), Some(Err(Refused(_))))
    }

    /// Why it can't be used; none if it can, or if nobody has read it.
    pub(super) fn refusal(&self) -> Option<&str> {
        match self.read.get() {
            Some(Err(Refused(why))) => Some(why),
            _ => None,
        }
    }

    /// Whether its file is refused, though the key as it was may be in use.
    pub(super) fn is_file_refused(&self) -> bool {
        match self.read.get() {
            Some(Ok(read)) => read.spoilt.load(Ordering::Relaxed),
            Some(Err(Refused(_))) => true,
            None => false,
        }
    }

    /// The key; nothing when it is refused, of which `tell` hears once. Reads the file if nobody
    /// has done so yet; whoever comes meanwhile waits for that one reading.
    ///
    /// If the system can't read the file for want of something, such as descriptors, `tell`
    /// hears of it each time, and whoever needs the key next tries again.
    pub(super) fn load(&self, tell: impl FnOnce(Box<KeyProblem>)) -> Option<&Arc<ActiveKey>> {
        if self.read.get().is_none() {
            let _reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
            if self.read.get().is_none() {
                let read = match self.read_file() {
                    Ok(read) => Ok(read),
                    Err(problem) => {
                        let passes = problem.is_of_the_moment();
                        let why = problem.to_string();
                        tell(problem);
                        if passes {
                            return None;
                        }
                        Err(Refused(why.into()))
                    }
                };
                // While the lock is held only `try_out` may have set it, and it found the
                // same.
                let _ = self.read.set(read);
            }
        }
        let read = self.read.get()?.as_ref();
        read.ok().map(|read| &read.key)
    }

    /// Reads its file once to see whether the key can be used, and forgets the key if it can.
    pub(super) fn try_out(&self) {
        if self.is_read() || self.tried.swap(true, Ordering::Relaxed) {
            return;
        }
        match self.read_file() {
            Err(problem) if problem.is_of_the_moment() => {
                self.tried.store(false, Ordering::Relaxed);
            }
            Err(problem) => {
                let refused = Refused(problem.to_string().into());
                if self.read.set(Err(refused)).is_ok() {
                    log(&problem);
                }
            }
            Ok(_) => {}
        }
    }

    /// Reads its file again if the file has changed. Whatever is wrong with the file now, the
    /// key stays in use.
    pub(super) fn look_again(&self) {
        let Some(Ok(read)) = self.read.get() else {
            return;
        };
        let mut stamp = read.stamp.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self
            .keystore
            .key_stamp(&self.organisation, &self.identity.selector);
        if now.is_some() && now == *stamp {
            read.spoilt.store(false, Ordering::Relaxed);
            return;
        }
        match self.keystore.read_key(&self.organisation, &self.identity) {
            Ok((_, now)) => {
                *stamp = now;
                read.spoilt.store(false, Ordering::Relaxed);
            }
            Err(problem) => {
                if !problem.is_of_the_moment() {
                    read.spoilt.store(true, Ordering::Relaxed);
                }
                tracing::error!(target: KEYS, "{problem}; the key as it was stays in use");
            }
        }
    }

    /// Whether its file was refused, and is good now. Reads it.
    fn is_mended(&self) -> bool {
        self.is_refused() && self.read_file().is_ok()
    }

    fn read_file(&self) -> Result<ReadKey, Box<KeyProblem>> {
        let (key, stamp) = self.keystore.read_key(&self.organisation, &self.identity)?;
        Ok(ReadKey {
            key: Arc::new(ActiveKey {
                selector: self.identity.selector.clone(),
                signing_key: Arc::new(key),
            }),
            stamp: Mutex::new(stamp),
            spoilt: AtomicBool::new(false),
        })
    }
}

impl Snapshot {
    /// Whether a key that was refused could be used now: its file has come right, of which the
    /// generation tells nothing. Reads the files of the refused keys.
    pub fn has_mended_keys(&self) -> bool {
        self.held().any(|held| held.is_mended())
    }
}

/// Tells of a key that is read while mail passes.
pub(super) fn log(problem: &KeyProblem) {
    tracing::error!(target: KEYS, "{problem}");
}

/// So many keys are kept ahead of their mail; an RSA key of 2048 bits takes 6.5 KiB of memory
/// with aws-lc. The rest are only tried, to see whether they can be used; each is kept once mail
/// needs it.
const KEPT_AHEAD: usize = 16_384;

/// A round along all keys of a snapshot: those that no mail has needed yet are read ahead of it,
/// and the files of the others are looked at again.
pub struct KeyCare {
    keys: std::vec::IntoIter<Arc<HeldKey>>,
    /// How many more keys may be kept.
    room: usize,
}

impl KeyCare {
    pub(super) fn new(keys: Vec<Arc<HeldKey>>) -> Self {
        let kept = keys.iter().filter(|key| key.is_read()).count();
        Self {
            keys: keys.into_iter(),
            room: KEPT_AHEAD.saturating_sub(kept),
        }
    }

    /// Works for about this long; false when the round is done. Reads files, so it blocks.
    pub fn work(&mut self, time: Duration) -> bool {
        let begun = Instant::now();
        for key in self.keys.by_ref() {
            if key.is_read() {
                key.look_again();
            } else if self.room > 0 {
                key.load(|problem| log(&problem));
                self.room -= 1;
            } else {
                key.try_out();
            }
            if begun.elapsed() >= time {
                return true;
            }
        }
        false
    }
}
