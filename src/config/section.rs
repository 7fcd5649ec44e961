//! A table that is read key by key, and then has nothing left.

use super::{
    problem::{Fault, Report, Site},
    tree::{Node, Table, Value},
};

/// A table under examination: each key is taken out by name, with the function that reads
/// it; [`Section::finish`] reports what nobody took.
pub(super) struct Section<'r> {
    pub(super) site: Site,
    pub(super) report: &'r Report,
    entries: Table,
    known: Vec<&'static str>,
}

impl<'r> Section<'r> {
    /// The table in this node; an empty one, and a problem, when it is something else.
    pub(super) fn new(node: Node, report: &'r Report) -> Self {
        let entries = match node.value {
            Value::Table(entries) => entries,
            other => {
                let text = format!("this is {}, and must be a table", other.kind());
                let advice = format!("write it as a table: [{}]", node.site.key);
                report.problem(&node.site, Fault::new(text, advice));
                Table::new()
            }
        };
        Self {
            site: node.site,
            report,
            entries,
            known: Vec::new(),
        }
    }

    /// Takes out a value as it is.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Node> {
        self.known.push(key);
        self.entries.remove(key)
    }

    /// Takes out a table; an empty one when there is none.
    pub(super) fn section(&mut self, key: &'static str) -> Section<'r> {
        let node = self.take(key).unwrap_or_else(|| Node {
            site: self.site.child(key),
            value: Value::Table(Table::new()),
        });
        Section::new(node, self.report)
    }

    /// Reads a value; nothing when it is absent, or wrong and reported.
    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        reader: impl FnOnce(&Node) -> Result<T, Fault>,
    ) -> Option<T> {
        let node = self.take(key)?;
        reader(&node)
            .map_err(|fault| self.report.problem(&node.site, fault))
            .ok()
    }

    /// Reads a value that must be there.
    pub(super) fn required<T>(
        &mut self,
        key: &'static str,
        example: &str,
        reader: impl FnOnce(&Node) -> Result<T, Fault>,
    ) -> Option<T> {
        if !self.entries.contains_key(key) {
            let fault = Fault::new(format!("{key} is missing"), format!("add {example}"));
            self.report.problem(&self.site, fault);
        }
        self.read(key, reader)
    }

    /// Where a key is written, if it is.
    pub(super) fn written(&self, key: &str) -> Option<Site> {
        self.entries.get(key).map(|node| node.site.clone())
    }

    /// Where a key is written, or else the table.
    pub(super) fn site_of(&self, key: &str) -> Site {
        self.written(key).unwrap_or_else(|| self.site.clone())
    }

    /// How many items are written in a list; nothing when there is none.
    pub(super) fn length(&self, key: &str) -> Option<usize> {
        self.entries.get(key).map(|node| match &node.value {
            Value::List(nodes) => nodes.len(),
            _ => 1,
        })
    }

    /// Reads the items of a list, each with its place. Items that are wrong are reported
    /// and left out; nothing when there is no list.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        reader: impl Fn(&Node) -> Result<T, Fault>,
    ) -> Option<List<T>> {
        let node = self.take(key)?;
        self.list_in(node, reader)
    }

    /// Reads the items of a list that was taken out before.
    pub(super) fn list_in<T>(
        &self,
        node: Node,
        reader: impl Fn(&Node) -> Result<T, Fault>,
    ) -> Option<List<T>> {
        let nodes = match items(node.value, &node.site) {
            Ok(nodes) => nodes,
            Err(kind) => {
                let text = format!("this is {kind}, and must be a list");
                let advice = format!("write {} = [\"…\", \"…\"]", last_part(&node.site.key));
                self.report.problem(&node.site, Fault::new(text, advice));
                return None;
            }
        };
        let mut list = List {
            empty: nodes.is_empty(),
            site: node.site,
            items: Vec::with_capacity(nodes.len()),
        };
        for node in nodes {
            match reader(&node) {
                Ok(item) => list.items.push((item, node.site)),
                Err(fault) => self.report.problem(&node.site, fault),
            }
        }
        Some(list)
    }

    /// Reports the keys that nobody took, each with the nearest that exists.
    pub(super) fn finish(self) {
        for (key, node) in &self.entries {
            let nearest = self
                .known
                .iter()
                .map(|known| (distance(key, known), known))
                .min()
                .filter(|(distance, known)| *distance <= known.len().div_ceil(3));
            let advice = match nearest {
                Some((_, known)) => format!("did you mean {known}?"),
                None => format!("take it out; known here: {}", self.known.join(", ")),
            };
            self.report
                .problem(&node.site, Fault::new("unknown key", advice));
        }
    }
}

/// The valid items of a list, each with its place.
pub(super) struct List<T> {
    pub(super) site: Site,
    /// Whether nothing was written, as against nothing valid.
    pub(super) empty: bool,
    pub(super) items: Vec<(T, Site)>,
}

impl<T> List<T> {
    /// The items alone.
    pub(super) fn into_values(self) -> Vec<T> {
        self.items.into_iter().map(|(item, _)| item).collect()
    }
}

/// The items of a list, or what it is instead.
fn items(value: Value, site: &Site) -> Result<Vec<Node>, &'static str> {
    match value {
        Value::List(nodes) => Ok(nodes),
        Value::Environment(text) => {
            let item = |word: &str| Node {
                site: site.clone(),
                value: Value::Environment(word.trim().to_owned()),
            };
            let words = text.split(',').filter(|word| !word.trim().is_empty());
            Ok(words.map(item).collect())
        }
        other => Err(other.kind()),
    }
}

fn last_part(key: &str) -> &str {
    key.rsplit(['.']).next().unwrap_or(key)
}

/// How many letters must be added, taken away or changed (Levenshtein) to make one word of
/// the other.
pub(crate) fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    // A key is as long as someone cares to make it; the end of a long one decides nothing.
    for (line, from) in left.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, to) in right.iter().enumerate() {
            let changed = diagonal + usize::from(from != *to);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (left, right, expected) in [
            ("idle", "idle", 0),
            ("idel", "idle", 2),
            ("canonicalisation", "canonicalization", 1),
            ("", "idle", 4),
            ("idle", "", 4),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(left, right), expected, "{left} {right}");
        }
    }
}
