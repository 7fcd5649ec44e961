//! Many small files: whether one is still as it was read, and reading many at once.
//!
//! With 100,000 organisations a reload looks at every file and reads the few that have
//! changed.

mod owner;

use std::{
    fs::{self, Metadata},
    hash::{DefaultHasher, Hash, Hasher},
    num::NonZero,
    os::unix::fs::MetadataExt,
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustix::fs::Stat;

pub use self::owner::as_owner;

/// So long after its last change a file gets another stamp by any further one. The clocks
/// of file systems go in steps: of milliseconds mostly, of two seconds at worst (FAT).
const SETTLED_AFTER: Duration = Duration::from_secs(3);

/// More threads than this only wait for each other.
const MOST_THREADS: usize = 8;
/// For fewer items than this a thread costs more than it brings.
const ITEMS_EACH: usize = 64;

/// What the system says of a file without reading it. A file that has changed has another
/// one, whoever changed it and however: the time of change can't be set by a program.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Stamp {
    inode: u64,
    octets: u64,
    /// In nanoseconds since 1970, as the next.
    modified: i64,
    /// Also of the mode and the owner.
    changed: i64,
}

impl Stamp {
    /// The stamp, if any further change gives another one: not of a file that has changed
    /// within the last seconds. To be asked for before the file is read: a reading that takes
    /// seconds may miss a change at its beginning.
    pub fn settled(self) -> Option<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
        let now = i64::try_from(now.as_nanos()).ok()?;
        let margin = i64::try_from(SETTLED_AFTER.as_nanos()).ok()?;
        (self.changed.checked_add(margin)? < now).then_some(self)
    }
}

impl From<&Metadata> for Stamp {
    fn from(metadata: &Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            octets: metadata.len(),
            modified: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            changed: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

impl From<&Stat> for Stamp {
    fn from(stat: &Stat) -> Self {
        Self {
            inode: stat.st_ino,
            octets: u64::try_from(stat.st_size).unwrap_or_default(),
            modified: nanoseconds(stat.st_mtime, stat.st_mtime_nsec),
            changed: nanoseconds(stat.st_ctime, stat.st_ctime_nsec),
        }
    }
}

/// A number for how these files are, and those in this folder: with each change it is another
/// one. What is not there counts as such.
pub fn stamps(files: &[&Path], folder: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    let mut add = |path: &Path| {
        let stamp = fs::metadata(path).ok().map(|found| Stamp::from(&found));
        (path, stamp).hash(&mut hasher);
    };
    for path in files {
        add(path);
    }
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.sort_unstable();
    for path in &paths {
        add(path);
    }
    hasher.finish()
}

/// Times beyond the year 2262 are taken for that year.
fn nanoseconds(seconds: impl Into<i128>, nanoseconds: impl Into<i128>) -> i64 {
    let sum = seconds.into() * 1_000_000_000 + nanoseconds.into();
    i64::try_from(sum).unwrap_or(i64::MAX)
}

/// Does this for each item, on all processors where there are many, and gives the results
/// in the order of the items. For the start, when there is no mail to wait behind it.
pub fn each<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    let threads = processors.min(MOST_THREADS).min(items.len() / ITEMS_EACH);
    if threads <= 1 {
        return items.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    let chunks: Vec<&[T]> = items.chunks(ITEMS_EACH).collect();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(chunk) = chunks.get(place) else {
                        return;
                    };
                    let results: Vec<R> = chunk.iter().map(&work).collect();
                    let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                    done.push((place, results));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_unstable_by_key(|(place, _)| *place);
    done.into_iter().flat_map(|(_, results)| results).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn stamp(path: &Path) -> Stamp {
        let stat = rustix::fs::stat(path).unwrap();
        let stamp = Stamp::from(&stat);
        assert_eq!(stamp, Stamp::from(&fs::metadata(path).unwrap()));
        stamp
    }

    #[test]
    fn every_change_shows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "one").unwrap();
        let first = stamp(&path);
        assert_eq!(stamp(&path), first);
        fs::write(&path, "longer").unwrap();
        let second = stamp(&path);
        assert_ne!(second, first);
        fs::write(folder.path().join("other"), "longer").unwrap();
        fs::rename(folder.path().join("other"), &path).unwrap();
        let third = stamp(&path);
        assert_ne!(third, second);
        // The time of change has steps, so that a mode alone may need a moment to show.
        thread::sleep(Duration::from_millis(50));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_ne!(stamp(&path), third);
    }

    #[test]
    fn what_has_just_changed_is_not_settled() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "one").unwrap();
        assert_eq!(stamp(&path).settled(), None);
        let old = Stamp {
            changed: stamp(&path).changed - 4_000_000_000,
            ..stamp(&path)
        };
        assert_eq!(old.settled(), Some(old));
        // Whatever a clock says that went ahead.
        let ahead = Stamp {
            changed: i64::MAX,
            ..old
        };
        assert_eq!(ahead.settled(), None);
    }

    #[test]
    fn results_come_in_the_order_of_the_items() {
        let items: Vec<usize> = (0..1000).collect();
        let doubled = each(&items, |item| item * 2);
        assert_eq!(
            doubled,
            items.iter().map(|item| item * 2).collect::<Vec<_>>()
        );
        assert!(each(&[0; 0], |item: &usize| *item).is_empty());
    }
}
