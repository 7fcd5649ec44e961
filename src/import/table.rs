//! Files of lines, each a key and a value: tables of OpenDKIM, maps of rspamd.

use std::{collections::HashMap, path::PathBuf, sync::Arc};

use super::finding::Place;

/// A line of a table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    /// Everything behind the white space after the key.
    pub(super) value: String,
    /// Whether white space stands before the key.
    pub(super) indented: bool,
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

/// Entries that are looked up by their keys, the first of which counts.
#[derive(Debug)]
pub(super) struct DataSet {
    pub(super) entries: Vec<Entry>,
    pub(super) comparison: Comparison,
    /// The first entry with a key that is no pattern.
    index: HashMap<String, usize>,
    /// The entries with patterns.
    patterns: Vec<usize>,
    case_counts: bool,
}

impl DataSet {
    pub(super) fn new(entries: Vec<Entry>, comparison: Comparison) -> Self {
        let mut index = HashMap::with_capacity(entries.len());
        let mut patterns = Vec::new();
        for (at, entry) in entries.iter().enumerate() {
            if comparison == Comparison::Wildcards && entry.key.contains('*') {
                patterns.push(at);
            } else {
                index.entry(entry.key.to_lowercase()).or_insert(at);
            }
        }
        Self {
            entries,
            comparison,
            index,
            patterns,
            case_counts: false,
        }
    }

    /// The same, in which letters of the other case are others.
    pub(super) fn with_case(mut self) -> Self {
        self.case_counts = true;
        self.index.clear();
        for (at, entry) in self.entries.iter().enumerate() {
            if self.patterns.binary_search(&at).is_err() {
                self.index.entry(entry.key.clone()).or_insert(at);
            }
        }
        self
    }

    /// Where the first entry with just this key is; letters of either case are the same.
    pub(super) fn position(&self, key: &str) -> Option<usize> {
        self.index.get(&key.to_lowercase()).copied()
    }

    /// The first entry for `key`.
    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        let matches = |at: &&usize| glob(&self.entries[**at].key, key);
        let by_pattern = self.patterns.iter().find(matches);
        let by_name = if self.case_counts {
            self.index.get(key)
        } else {
            self.index.get(&key.to_lowercase())
        };
        let at = by_pattern.into_iter().chain(by_name).min()?;
        self.entries.get(*at)
    }
}

/// The lines of a file: `#` begins a comment, white space separates key and value.
pub(super) fn entries(file: PathBuf, text: &str) -> Vec<Entry> {
    let file = Arc::new(file);
    let numbered = text.lines().zip(1..);
    numbered
        .filter_map(|(line, number)| {
            let indented = line.starts_with(char::is_whitespace);
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
                indented,
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
