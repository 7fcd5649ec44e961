//! A TOML file as a tree of values that know where they stand.

use std::{borrow::Cow, collections::BTreeMap, ops::Range};

use toml::de::{DeTable, DeValue};

use super::problem::{Fault, Report, Site};

/// A value and its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) site: Site,
    pub(super) value: Value,
}

/// The values that the configuration knows.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    /// From the environment, where everything is text: may be meant as a number, a truth
    /// value or a list with commas.
    Environment(String),
    Number(i64),
    Truth(bool),
    List(Vec<Node>),
    Table(Table),
    /// What no key takes, in words.
    Other(&'static str),
}

/// What is said of a number that is not an integer.
pub(super) const FRACTION: &str = "a number with a fraction";
/// What is said of an integer of more than 64 bits.
pub(super) const OUT_OF_RANGE: &str = "a number beyond all bounds";

pub(super) type Table = BTreeMap<String, Node>;

impl Value {
    /// What it is, for a message.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Environment(_) => "a text from the environment",
            Self::Number(_) => "a number",
            Self::Truth(_) => "true or false",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Other(kind) => kind,
        }
    }
}

/// Parses a file; every syntax error becomes a problem, and then there is no tree, for what
/// the parser made of the rest may not be what was meant.
pub(super) fn parse(file: &Site, text: &str, report: &Report) -> Option<Node> {
    let lines = Lines::new(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut reported = None;
    for error in &errors {
        let line = error.span().map(|span| lines.number(&span));
        // What else the parser finds on this line mostly follows from the first.
        if reported == Some(line) {
            continue;
        }
        reported = Some(line);
        let site = line.map_or_else(|| file.clone(), |line| file.on_line(line));
        let advice = "correct the TOML; texts stand in quotes, lists in [ ]";
        report.problem(&site, Fault::new(error.message(), advice));
    }
    let builder = Builder { lines };
    errors.is_empty().then(|| Node {
        site: file.clone(),
        value: Value::Table(builder.table(table.into_inner(), file)),
    })
}

struct Builder {
    lines: Lines,
}

impl Builder {
    fn table(&self, table: DeTable<'_>, site: &Site) -> Table {
        let entry = |(key, value): (toml::Spanned<Cow<'_, str>>, toml::Spanned<DeValue<'_>>)| {
            let line = self.lines.number(&key.span());
            let name = key.into_inner().into_owned();
            let site = site.child(&name).on_line(line);
            let value = self.value(value.into_inner(), &site);
            (name, Node { site, value })
        };
        table.into_iter().map(entry).collect()
    }

    fn value(&self, value: DeValue<'_>, site: &Site) -> Value {
        match value {
            DeValue::String(text) => Value::Text(text.into_owned()),
            DeValue::Integer(digits) => i64::from_str_radix(digits.as_str(), digits.radix())
                .map_or(Value::Other(OUT_OF_RANGE), Value::Number),
            DeValue::Float(_) => Value::Other(FRACTION),
            DeValue::Boolean(truth) => Value::Truth(truth),
            DeValue::Datetime(_) => Value::Other("a date or a time"),
            DeValue::Table(table) => Value::Table(self.table(table, site)),
            DeValue::Array(array) => {
                let item = |(index, value): (usize, toml::Spanned<DeValue<'_>>)| {
                    let line = self.lines.number(&value.span());
                    let mut site = site.on_line(line);
                    // Tables are told apart by their number; for the rest the line suffices.
                    if value.get_ref().is_table() {
                        site.key = format!("{}[{index}]", site.key).into();
                    }
                    let value = self.value(value.into_inner(), &site);
                    Node { site, value }
                };
                Value::List(array.into_iter().enumerate().map(item).collect())
            }
        }
    }
}

/// Where the lines of a text begin.
struct Lines(Vec<usize>);

impl Lines {
    fn new(text: &str) -> Self {
        let ends = memchr::memchr_iter(b'\n', text.as_bytes()).map(|end| end + 1);
        Self(std::iter::once(0).chain(ends).collect())
    }

    /// The number of the line in which a span begins, counted from 1.
    fn number(&self, span: &Range<usize>) -> usize {
        self.0.partition_point(|begin| *begin <= span.start)
    }
}
