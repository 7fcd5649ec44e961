//! How the files of the configuration are on the disk: numbers that tell whether something has
//! changed, without reading what organisations say.

use std::{
    ffi::OsStr,
    fs::{self, File},
    hash::{DefaultHasher, Hash, Hasher},
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::Path,
};

use rustix::fs::{AtFlags, CWD};

use super::source;
use crate::files::Stamp;

/// The files of `orgs.d/` at some moment.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Seen {
    /// Another one with each change of a file of an organisation.
    pub number: u64,
    /// Whether each further change gives another number: not if a file has changed within the
    /// last seconds, since the clocks of file systems go in steps.
    pub is_settled: bool,
}

/// Whether `orgs.d/` is about an organisation in the file of this name. Hidden files are not
/// read; nor are the files that editors put beside the one that they write.
pub(super) fn is_organisation_file(name: &OsStr) -> bool {
    !name.as_bytes().starts_with(b".") && Path::new(name).extension() == Some(OsStr::new("toml"))
}

/// Looks at each file, and reads none.
pub(super) fn organisations(folder: &Path) -> Seen {
    let mut seen = Seen {
        number: 0,
        is_settled: true,
    };
    let Ok(handle) = File::open(folder) else {
        return seen;
    };
    // What may be done in the folder is told of as well; when it was last written is not.
    if let Ok(stat) = rustix::fs::fstat(&handle) {
        seen.add(&(stat.st_dev, stat.st_ino, stat.st_mode));
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if !is_organisation_file(&name) {
            continue;
        }
        let stat = rustix::fs::statat(&handle, name.as_os_str(), AtFlags::empty()).ok();
        let stamp = stat.as_ref().map(Stamp::from);
        seen.is_settled &= stamp.is_none_or(|stamp| stamp.settled().is_some());
        seen.add(&(name, stamp));
    }
    seen
}

impl Seen {
    /// In any order: a folder gives its files in another one after a change.
    fn add(&mut self, one: &impl Hash) {
        let mut hasher = DefaultHasher::new();
        one.hash(&mut hasher);
        self.number = self.number.wrapping_add(hasher.finish());
    }
}

/// The folder itself: another one when a file in it comes, goes or is replaced. One look, however
/// many files there are; it does not tell of a file that is written to where it is.
pub(super) fn folder(folder: &Path) -> Option<Stamp> {
    fs::metadata(folder)
        .ok()
        .map(|metadata| Stamp::from(&metadata))
}

/// The text of `zegel.toml`: a file that is written anew with the same words is the same.
pub(super) fn settings(file: &Path) -> u64 {
    let text = source::read_text(CWD, file, file).ok();
    let mut hasher = DefaultHasher::new();
    text.map(|(text, _)| text).hash(&mut hasher);
    hasher.finish()
}

/// When a file of the configuration last changed, or came or went, in milliseconds since 1970;
/// none if there is none. Looks at each, and reads none. It is a time that nobody can set.
pub(super) fn changed(file: &Path, folder: &Path) -> Option<u64> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let files = files.filter(|entry| is_organisation_file(&entry.file_name()));
    let own = [file.to_owned(), folder.to_owned()].into_iter();
    let paths = own.chain(files.map(|entry| entry.path()));
    let times = paths.filter_map(|path| {
        let stat = fs::metadata(path).ok()?;
        let seconds = u64::try_from(stat.ctime()).ok()?;
        let more = u64::try_from(stat.ctime_nsec() / 1_000_000).ok()?;
        Some(seconds.saturating_mul(1000).saturating_add(more))
    });
    times.max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_an_organisation_gives_another_number_and_no_other_file_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orgs.d");
        let number = || organisations(&path).number;
        let nothing = number();
        fs::create_dir(&path).unwrap();
        let empty = number();
        assert_ne!(empty, nothing);
        for name in [".een.toml.swp", ".#een.toml", "een.toml~", "een.toml.new"] {
            fs::write(path.join(name), "").unwrap();
            assert_eq!(number(), empty, "{name}");
        }
        fs::write(path.join("een.toml"), "one").unwrap();
        let one = organisations(&path);
        assert_ne!(one.number, empty);
        assert!(!one.is_settled);
        assert_eq!(organisations(&path), one);
        fs::write(path.join("een.toml"), "longer").unwrap();
        assert_ne!(number(), one.number);
        let before = number();
        fs::rename(path.join("een.toml"), path.join("twee.toml")).unwrap();
        assert_ne!(number(), before);
        fs::remove_file(path.join("twee.toml")).unwrap();
        assert_eq!(number(), empty);
    }

    #[test]
    fn the_settings_are_known_by_their_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("zegel.toml");
        let nothing = settings(&path);
        fs::write(&path, "a = 1\n").unwrap();
        let one = settings(&path);
        assert_ne!(one, nothing);
        fs::write(&path, "a = 2\n").unwrap();
        assert_ne!(settings(&path), one);
        fs::write(&path, "a = 1\n").unwrap();
        assert_eq!(settings(&path), one);
    }
}
