//! The lines of `opendkim.conf`: a name, white space, a value. The last one counts. And the
//! data sets that they name (opendkim(8), "DATA SETS"): lists in the configuration itself, and
//! files. The others are named and left to the operator.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::import::{
    Files,
    finding::{Code, Place},
    setup::Setup,
    table::{Comparison, DataSet, Entry},
};

/// As in OpenDKIM.
const INCLUDE_DEPTH: usize = 5;
/// OpenDKIM knows no such limit; files that include each other would be read thousands of
/// times within the five levels.
const INCLUDED_FILES: usize = 100;

/// What is asked of a program or a server, by the word before the colon.
const ELSEWHERE: &[(&str, &str)] = &[
    ("db", "a Berkeley database"),
    ("dsn", "an SQL database"),
    ("ldap", "an LDAP server"),
    ("ldaps", "an LDAP server"),
    ("ldapi", "an LDAP server"),
    ("lua", "a Lua script"),
    ("memcache", "memcached"),
    ("erlang", "an Erlang node"),
    ("mdb", "an LMDB database"),
    ("socket", "a server"),
];

/// A line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Setting {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) place: Place,
}

/// All lines, those of included files in the place of the `Include`.
#[derive(Debug)]
pub(super) struct Configuration {
    pub(super) settings: Vec<Setting>,
    base: PathBuf,
    /// How many files have been included.
    included: usize,
}

impl Configuration {
    pub(super) fn read(file: &Path, files: &dyn Files, setup: &mut Setup) -> io::Result<Self> {
        let base = file.parent().unwrap_or(Path::new("/")).to_owned();
        let mut configuration = Self {
            settings: Vec::new(),
            base,
            included: 0,
        };
        configuration.include(file, files, 0, setup)?;
        if let Some(directory) = configuration.get("BaseDirectory") {
            configuration.base = PathBuf::from(&directory.value);
        }
        Ok(configuration)
    }

    fn include(
        &mut self,
        file: &Path,
        files: &dyn Files,
        depth: usize,
        setup: &mut Setup,
    ) -> io::Result<()> {
        let text = files.read(file)?;
        let file = Arc::new(file.to_owned());
        for (line, number) in text.split('\n').zip(1..) {
            let line = line.split(['#', '\r']).next().unwrap_or(line).trim();
            let place = Place {
                file: Arc::clone(&file),
                line: number,
            };
            let Some(end) = line.find([' ', '\t']) else {
                if !line.is_empty() {
                    let found = format!("{line} has no value");
                    setup.say(Code::BadEntry, &place, found, "it was left out");
                }
                continue;
            };
            let setting = Setting {
                name: line[..end].to_owned(),
                value: line[end..].trim().to_owned(),
                place,
            };
            if !setting.name.eq_ignore_ascii_case("Include") {
                self.settings.push(setting);
                continue;
            }
            let included = self.base.join(&setting.value);
            self.included += 1;
            let read = if depth >= INCLUDE_DEPTH {
                Err(io::Error::other("there are more than five levels"))
            } else if self.included > INCLUDED_FILES {
                Err(io::Error::other("there are more than 100 files"))
            } else {
                self.include(&included, files, depth + 1, setup)
            };
            if let Err(error) = read {
                let found = format!("{} cannot be included: {error}", included.display());
                let done = "what it says is missing here; see that it can be read, and try again";
                setup.say(Code::UnreadableFile, &setting.place, found, done);
            }
        }
        Ok(())
    }

    /// The setting that counts; names are the same in either case.
    pub(super) fn get(&self, name: &str) -> Option<&Setting> {
        let mut settings = self.settings.iter().rev();
        settings.find(|setting| setting.name.eq_ignore_ascii_case(name))
    }

    /// Whether a switch is on. Only the first letter counts.
    pub(super) fn is_on(&self, name: &str) -> bool {
        self.get(name)
            .is_some_and(|setting| setting.value.starts_with(['t', 'T', 'y', 'Y', '1']))
    }

    /// A path of the configuration, from the folder that paths are relative to.
    pub(super) fn path(&self, text: &str) -> PathBuf {
        self.base.join(text)
    }

    /// The entries of a data set, if it can be read here.
    pub(super) fn data_set(
        &self,
        setting: &Setting,
        files: &dyn Files,
        setup: &mut Setup,
    ) -> Option<DataSet> {
        let value = setting.value.as_str();
        let (word, rest) = value.split_once(':').unwrap_or(("", value));
        let word = word.to_ascii_lowercase();
        let mut kinds = ELSEWHERE.iter();
        let elsewhere = match kinds.find(|(name, _)| *name == word) {
            Some((_, kind)) => Some(*kind),
            None if ["file", "refile", "csl"].contains(&word.as_str()) => None,
            None => (Path::new(value).extension() == Some("db".as_ref()))
                .then_some("a Berkeley database"),
        };
        if let Some(kind) = elsewhere {
            setup.say(
                Code::DataSet,
                &setting.place,
                format!("{} is in {kind}", setting.name),
                "nothing in it was taken over; write its content into a file (file: or refile:), \
                 name that file here in a copy of this configuration, and import the copy",
            );
            return None;
        }
        let (comparison, path) = match word.as_str() {
            "file" => (Comparison::Exact, rest),
            "refile" => (Comparison::Wildcards, rest),
            "csl" => return Some(list(rest, setting)),
            _ if value.starts_with('/') => (Comparison::Exact, value),
            _ => return Some(list(value, setting)),
        };
        let path = self.path(path.trim());
        let mut entries = setup.lines_of(path, files, &setting.name, &setting.place)?;
        for entry in &mut entries {
            // Only the reader of `refile:` takes white space for the end of the key.
            entry.indented &= comparison == Comparison::Wildcards;
        }
        Some(DataSet::new(entries, comparison))
    }
}

/// A list with commas, whose items may be `key=value`.
fn list(text: &str, setting: &Setting) -> DataSet {
    let items = text.split(',').map(str::trim);
    let entries = items.filter(|item| !item.is_empty()).map(|item| {
        let (key, value) = item.split_once('=').unwrap_or((item, ""));
        Entry {
            key: key.trim().to_owned(),
            value: value.trim().to_owned(),
            indented: false,
            place: setting.place.clone(),
        }
    });
    DataSet::new(entries.collect(), Comparison::Exact)
}
