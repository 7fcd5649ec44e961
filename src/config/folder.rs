//! The files of `orgs.d/`: all of them at once where there are many, and of those that were
//! read before only what has changed since.
//!
//! Only what is good is read here. As soon as anything is wrong, all is read once more from
//! the first file to the last, so that every problem is told, and in its order.

use std::{
    collections::HashSet,
    ffi::{OsStr, OsString},
    fs::File,
    io::Read,
    os::unix::ffi::OsStrExt,
    path::Path,
    sync::Arc,
};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};

use super::{
    FILE_OCTETS,
    organisation_file::{self, Domains, Surroundings},
    problem::{Report, Site},
    source,
};
use crate::{
    files::{self, Stamp},
    organisation::{Organisation, Policy},
};

/// What came of the files when they were last read.
#[derive(Debug, Default)]
pub(super) struct Memory {
    frame: Option<Frame>,
    /// In the order of the names of the files.
    files: Vec<Known>,
}

/// What the files were read against: what `zegel.toml` says also decides what is in them.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Frame {
    policy: Policy,
    listeners: Option<Vec<String>>,
}

#[derive(Clone, Debug)]
struct Known {
    organisation: Arc<Organisation>,
    /// None when a change could leave no trace: then it is read again.
    stamp: Option<Stamp>,
}

impl Memory {
    /// The organisations in these files; nothing when anything is wrong with one of them,
    /// or with all together.
    pub(super) fn read(
        &mut self,
        folder: &Path,
        names: &[OsString],
        surroundings: &Surroundings<'_>,
    ) -> Option<Vec<Arc<Organisation>>> {
        let frame = Frame::new(surroundings);
        if self.frame.as_ref() != Some(&frame) {
            // Kept for what turns out to say the same.
            for known in &mut self.files {
                known.stamp = None;
            }
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = rustix::fs::open(folder, flags, Mode::empty()).ok()?;
        let folder = Folder {
            handle: handle.into(),
            frame: &frame,
        };
        let pairs = self.with_known(names);
        let read = files::each(&pairs, |(name, known)| folder.read(name, *known));
        let read: Vec<Known> = read.into_iter().collect::<Option<_>>()?;
        // Domains that nobody has taken since are as far apart as they were.
        let mut both = read.iter().zip(&pairs);
        let as_before = both.all(|(new, (_, old))| old.is_some_and(|old| old.has_domains_of(new)));
        if !as_before && !are_apart(&read) {
            return None;
        }
        self.files = read;
        self.frame = Some(frame);
        let files = self.files.iter();
        Some(files.map(|known| Arc::clone(&known.organisation)).collect())
    }

    /// Each name with what is known of that file; both are in the same order.
    fn with_known<'a>(&'a self, names: &'a [OsString]) -> Vec<(&'a OsStr, Option<&'a Known>)> {
        let mut files = self.files.iter().peekable();
        let find = |name: &'a OsString| {
            while files.next_if(|known| known.comes_before(name)).is_some() {}
            let known = files.next_if(|known| known.is_in(name));
            (name.as_os_str(), known)
        };
        names.iter().map(find).collect()
    }
}

impl Known {
    fn is_in(&self, name: &OsStr) -> bool {
        let stem = name.as_bytes().strip_suffix(b".toml");
        stem == Some(self.organisation.id.as_str().as_bytes())
    }

    fn comes_before(&self, name: &OsStr) -> bool {
        let own = self.organisation.id.as_str().bytes();
        !self.is_in(name) && own.chain(*b".toml").lt(name.as_bytes().iter().copied())
    }

    fn has_domains_of(&self, other: &Self) -> bool {
        let (own, other) = (&self.organisation, &other.organisation);
        Arc::ptr_eq(own, other) || (own.domains == other.domains && own.parked == other.parked)
    }
}

impl Frame {
    fn new(surroundings: &Surroundings<'_>) -> Self {
        let owned = |names: &Vec<&str>| names.iter().map(|&name| name.to_owned()).collect();
        Self {
            policy: surroundings.policy,
            listeners: surroundings.listeners.as_ref().map(owned),
        }
    }
}

/// Whether no domain is in two of them.
fn are_apart(all: &[Known]) -> bool {
    let mut domains = HashSet::with_capacity(all.len());
    all.iter().all(|known| {
        let organisation = &known.organisation;
        let mut names = organisation.domains.iter().chain(&organisation.parked);
        names.all(|name| domains.insert(name.as_str()))
    })
}

/// `orgs.d/`, opened.
struct Folder<'a> {
    handle: File,
    frame: &'a Frame,
}

impl Folder<'_> {
    fn read(&self, name: &OsStr, known: Option<&Known>) -> Option<Known> {
        if let Some(known) = known
            && let Some(stamp) = known.stamp
        {
            let stat = rustix::fs::statat(&self.handle, name, AtFlags::empty()).ok()?;
            if Stamp::from(&stat) == stamp {
                return Some(known.clone());
            }
        }
        let (text, stamp) = self.text(name)?;
        let id = organisation_file::id(Path::new(name)).ok()?;
        let report = Report::default();
        let surroundings = Surroundings {
            policy: self.frame.policy,
            listeners: self.frame.listeners.as_ref().map(|names| {
                let names = names.iter();
                names.map(String::as_str).collect()
            }),
            report: &report,
        };
        let root = source::parse(&Site::file(Path::new(name)), &text, &report)?;
        let read = organisation_file::read(root, id, &surroundings, &mut Domains::new())?;
        if !report.is_empty() {
            return None;
        }
        let same = known.filter(|known| *known.organisation == read);
        let organisation =
            same.map_or_else(|| Arc::new(read), |known| Arc::clone(&known.organisation));
        Some(Known {
            organisation,
            stamp,
        })
    }

    /// The text of a file that is as it should be, and the stamp from before it was read.
    fn text(&self, name: &OsStr) -> Option<(String, Option<Stamp>)> {
        // A pipe is not waited for.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.handle, name, flags, Mode::empty()).ok()?;
        let stat = rustix::fs::fstat(&file).ok()?;
        let octets = u64::try_from(stat.st_size).ok()?;
        let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        let world_writable = Mode::from_raw_mode(stat.st_mode).contains(Mode::WOTH);
        if !is_file || world_writable || octets > FILE_OCTETS {
            return None;
        }
        let stamp = Stamp::from(&stat).settled();
        let mut text = String::with_capacity(usize::try_from(octets).ok()? + 1);
        // One octet more: if there is one, the file is being written.
        let read = File::from(file).take(octets + 1).read_to_string(&mut text);
        let whole = read.ok()? as u64 == octets;
        Some((text, stamp.filter(|_| whole)))
    }
}
