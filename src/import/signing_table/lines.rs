//! Which lines of a signing table take all mail of a domain, and in which order the other
//! signer comes to them (`dkimf_apply_signtable` and `dkimf_db_rewalk` of OpenDKIM 2.11).

use std::collections::HashMap;

use crate::{
    import::table::{Comparison, DataSet, glob},
    names::DomainName,
};

/// Stands for the local part of any address: no pattern has it, so a pattern that matches it
/// matches every other one as well.
const ANYBODY: char = '\u{0}';

/// What means more than itself in the regular expressions that such patterns become.
const REGULAR: &[char] = &['?', '|', '(', ')', '[', ']', '{', '}', '\\', '^', '$'];

/// A signing table by what its lines end with.
pub(super) struct Lines<'a> {
    table: &'a DataSet,
    /// Patterns with `*` first, by what is behind their last `*`.
    by_end: HashMap<String, Vec<usize>>,
    /// The first line of which nobody knows what it takes.
    pub(super) unknown: Option<usize>,
}

impl<'a> Lines<'a> {
    pub(super) fn new(table: &'a DataSet) -> Self {
        let mut by_end: HashMap<String, Vec<usize>> = HashMap::new();
        let mut unknown = None;
        if table.comparison == Comparison::Wildcards {
            for (at, entry) in table.entries.iter().enumerate() {
                if entry.indented {
                    continue;
                }
                if is_regular(&entry.key) {
                    unknown = unknown.or(Some(at));
                } else if entry.key.starts_with('*')
                    && let Some((_, end)) = entry.key.rsplit_once('*')
                {
                    by_end.entry(end.to_lowercase()).or_default().push(at);
                }
            }
        }
        Self {
            table,
            by_end,
            unknown,
        }
    }

    /// The lines that take every address of `domain`, first come, first served.
    pub(super) fn taking_all_of(&self, domain: &DomainName) -> Vec<usize> {
        match self.table.comparison {
            Comparison::Exact => self.looked_up(domain.as_str()),
            Comparison::Wildcards => self.matching(domain.as_str()),
        }
    }

    /// `host`, then `.parent` for each of its parents, then `*`.
    fn looked_up(&self, domain: &str) -> Vec<usize> {
        let parents = domain.match_indices('.').map(|(at, _)| &domain[at..]);
        let keys = std::iter::once(domain).chain(parents).chain(["*"]);
        keys.filter_map(|key| self.table.position(key)).collect()
    }

    fn matching(&self, domain: &str) -> Vec<usize> {
        let address = format!("{ANYBODY}@{domain}");
        let ends = (1..=address.len()).map(|start| &address[start..]);
        let mut lines: Vec<usize> = ends
            .filter_map(|end| self.by_end.get(end))
            .flatten()
            .copied()
            .filter(|at| glob(&self.table.entries[*at].key, &address))
            .collect();
        lines.sort_unstable();
        lines
    }
}

/// Whether a pattern is more than text and `*`.
pub(super) fn is_regular(pattern: &str) -> bool {
    pattern.contains(REGULAR)
}
