//! Data sets (opendkim(8), "DATA SETS"): lists in the configuration itself, and files. The
//! others are named and left to the operator.

use std::path::{Path, PathBuf};

use super::configuration::{Configuration, Setting};
use crate::import::{
    files::Files,
    finding::{Code, Finding},
    table::{self, Comparison, DataSet, Entry},
};

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

impl DataSet {
    pub(super) fn read(
        setting: &Setting,
        configuration: &Configuration,
        files: &dyn Files,
    ) -> Result<Self, Box<Finding>> {
        let value = setting.value.as_str();
        let (word, rest) = value.split_once(':').unwrap_or(("", value));
        let word = word.to_ascii_lowercase();
        let known = ELSEWHERE.iter().find(|(name, _)| *name == word);
        let (comparison, path) = match word.as_str() {
            _ if known.is_some() => {
                return Err(elsewhere(setting, known.map_or("", |known| known.1)).into());
            }
            "file" => (Comparison::Exact, rest),
            "refile" => (Comparison::Wildcards, rest),
            "csl" => return Ok(Self::list(rest, setting)),
            _ if Path::new(value).extension() == Some("db".as_ref()) => {
                return Err(elsewhere(setting, "a Berkeley database").into());
            }
            _ if value.starts_with('/') => (Comparison::Exact, value),
            _ => return Ok(Self::list(value, setting)),
        };
        let path: PathBuf = configuration.path(path.trim());
        let text = files.read(&path).map_err(|error| {
            Box::new(Finding::at(
                Code::UnreadableFile,
                &setting.place,
                format!(
                    "{}: {} cannot be read: {error}",
                    setting.name,
                    path.display()
                ),
                "nothing in it was taken over; see that it can be read, and try again",
            ))
        })?;
        Ok(Self::new(table::entries(path, &text), comparison))
    }

    /// A list with commas, whose items may be `key=value`.
    fn list(text: &str, setting: &Setting) -> Self {
        let items = text.split(',').map(str::trim);
        let entries = items.filter(|item| !item.is_empty()).map(|item| {
            let (key, value) = item.split_once('=').unwrap_or((item, ""));
            Entry {
                key: key.trim().to_owned(),
                value: value.trim().to_owned(),
                place: setting.place.clone(),
            }
        });
        Self::new(entries.collect(), Comparison::Exact)
    }
}

fn elsewhere(setting: &Setting, kind: &str) -> Finding {
    Finding::at(
        Code::DataSet,
        &setting.place,
        format!("{} is in {kind}", setting.name),
        "nothing in it was taken over; write its content into a file (file: or refile:), name \
         that file here in a copy of this configuration, and import the copy",
    )
}
