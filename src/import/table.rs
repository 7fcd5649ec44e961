//! Files of lines, each a key and a value: tables of OpenDKIM, maps of rspamd.

use std::{path::PathBuf, sync::Arc};

use super::finding::Place;

/// A line of a table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    /// Everything behind the white space after the key.
    pub(super) value: String,
    pub(super) place: Place,
}

/// How the keys of a data set are compared.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Comparison {
    /// As they are.
    Exact,
    /// As patterns.
    Wildcards,
}

#[derive(Debug)]
pub(super) struct DataSet {
    pub(super) entries: Vec<Entry>,
    pub(super) comparison: Comparison,
}

impl DataSet {
    /// The first entry for `key`.
    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| match self.comparison {
            Comparison::Exact => entry.key.eq_ignore_ascii_case(key),
            Comparison::Wildcards => glob(&entry.key, key),
        })
    }
}

/// The lines of a file: `#` begins a comment, white space separates key and value.
pub(super) fn entries(file: PathBuf, text: &str) -> Vec<Entry> {
    let file = Arc::new(file);
    let numbered = text.lines().zip(1..);
    numbered
        .filter_map(|(line, number)| {
            let line = line.split('#').next().unwrap_or(line).trim();
            let end = line.find(char::is_whitespace).unwrap_or(line.len());
            let (key, value) = line.split_at(end);
            let place = Place {
                file: Arc::clone(&file),
                line: number,
            };
            (!key.is_empty()).then(|| Entry {
                key: key.to_owned(),
                value: value.trim_start().to_owned(),
                place,
            })
        })
        .collect()
}

/// Whether `pattern` matches all of `text`, `*` standing for anything; letters of either case
/// are the same.
pub(super) fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.to_lowercase(), text.to_lowercase());
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}
