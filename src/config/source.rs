//! The files of the configuration: read, parsed to trees of values that know where they stand,
//! and for `zegel.toml` with the environment over it. The `config` crate is named only here.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    ffi::OsString,
    fs::File,
    io::{self, Read},
    ops::Range,
    os::fd::AsFd,
    path::Path,
};

use rustix::{
    fs::{CWD, FileType, Mode, OFlags, Stat},
    io::Errno,
    path::Arg,
};
use toml::de::{DeTable, DeValue};

use super::problem::{Fault, Report, Site};
use crate::{files::Stamp, shell};

/// A file that is larger is not read: it is no configuration.
const FILE_OCTETS: u64 = 16 * 1024 * 1024;

/// The text of the file `name` in a folder, whose path is `path`; and the stamp that it had
/// before it was read, if any change since then gives it another one.
pub(super) fn read_text(
    folder: impl AsFd,
    name: impl Arg,
    path: &Path,
) -> Result<(String, Option<Stamp>), Fault> {
    let is_no_file = || Fault::new("this is no file", "put a text file in its place");
    // A pipe is not waited for.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(folder, name, flags, Mode::empty());
    let file = opened.map_err(|error| match error {
        // A socket.
        Errno::NXIO => is_no_file(),
        _ => unreadable(path, &error.into()),
    })?;
    let stat = rustix::fs::fstat(&file).map_err(|error| unreadable(path, &error.into()))?;
    let octets = u64::try_from(stat.st_size).unwrap_or_default();
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(is_no_file());
    }
    let is_too_large = || Fault::new("the file is larger than 16 MiB", "see what it really is");
    if octets > FILE_OCTETS {
        return Err(is_too_large());
    }
    if is_world_writable(&stat) {
        return Err(open_to_all(path));
    }
    let stamp = Stamp::from(&stat).settled();
    // One octet more than there are, so that the reading finds the end.
    let mut bytes = Vec::with_capacity(usize::try_from(octets).unwrap_or_default() + 1);
    let read = File::from(file)
        .take(FILE_OCTETS + 1)
        .read_to_end(&mut bytes);
    let read = read.map_err(|error| unreadable(path, &error))? as u64;
    if read > FILE_OCTETS {
        return Err(is_too_large());
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = memchr::memchr_iter(b'\n', valid).count() + 1;
        let text = format!("line {line} is not UTF-8");
        Fault::new(text, "save the file in UTF-8")
    })?;
    // A file that is being written is read again the next time.
    Ok((text, stamp.filter(|_| read == octets)))
}

pub(super) fn is_world_writable(stat: &Stat) -> bool {
    Mode::from_raw_mode(stat.st_mode).contains(Mode::WOTH)
}

pub(super) fn open_to_all(path: &Path) -> Fault {
    Fault::new(
        "every user of this host may change this",
        format!("run: chmod o-w {}", shell::quoted_path(path)),
    )
}

pub(super) fn unreadable(path: &Path, error: &io::Error) -> Fault {
    Fault::new(
        format!("cannot be read: {error}"),
        format!("see who may read it: namei -l {}", path.display()),
    )
}

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
const FRACTION: &str = "a number with a fraction";
/// What is said of an integer of more than 64 bits.
const OUT_OF_RANGE: &str = "a number beyond all bounds";

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

/// Parses a file. Every syntax error becomes a problem, and then there is no tree: what the
/// parser made of the rest may not be what was meant.
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
    errors.is_empty().then(|| Node {
        site: file.clone(),
        value: Value::Table(lines.table(table.into_inner(), file)),
    })
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

    fn table(&self, table: DeTable<'_>, site: &Site) -> Table {
        let entry = |(key, value): (toml::Spanned<Cow<'_, str>>, toml::Spanned<DeValue<'_>>)| {
            let line = self.number(&key.span());
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
                    let line = self.number(&value.span());
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

const PREFIX: &str = "ZEGEL__";
/// What the `config` crate calls the origin of a value from the environment.
const ENVIRONMENT_ORIGIN: &str = "the environment";

/// Reads `zegel.toml`, lays the variables `ZEGEL__SECTION__KEY` over it, and gives every value
/// its place. Nothing when that can't be done.
pub(super) fn read(
    file: &Path,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    report: &Report,
) -> Option<Node> {
    let site = Site::file(file);
    let text = if file.try_exists().unwrap_or(true) {
        read_text(CWD, file, file).map(|(text, _)| text)
    } else {
        Err(Fault::new(
            "there is no such file",
            "make it (an empty file has every default), or name another with --config FILE",
        ))
    };
    let text = text.map_err(|fault| report.problem(&site, fault)).ok()?;
    let overrides = overrides(environment, report);
    let written = parse(&site, &text, report)?;
    if !plain_keys(&written, report) {
        return None;
    }
    let merged = ::config::Config::builder()
        .add_source(::config::File::from_str(&text, ::config::FileFormat::Toml))
        .add_source(
            ::config::Environment::with_prefix("ZEGEL")
                .prefix_separator("__")
                .separator("__")
                .source(Some(overrides)),
        )
        .build();
    match merged {
        Ok(merged) => Some(locate(merged.cache, Some(&written), &site)),
        Err(error) => {
            let site = number_out_of_range(&written).unwrap_or(&site);
            let advice = "write a smaller number";
            report.problem(site, Fault::new(error.to_string(), advice));
            None
        }
    }
}

/// The variables that are meant for us.
fn overrides(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    report: &Report,
) -> ::config::Map<String, String> {
    let mut found = BTreeMap::new();
    for (name, value) in environment {
        let name = name.to_string_lossy().into_owned();
        let Some(path) = name.strip_prefix(PREFIX) else {
            continue;
        };
        match check_variable(path, value) {
            Ok(value) => {
                found.insert(name, value);
            }
            Err(fault) => report.problem(&variable_site(&name), fault),
        }
    }
    for name in refuse_conflicts(&found, report) {
        found.remove(&name);
    }
    found.into_iter().collect()
}

/// Refuses all but one of the variables that set the same thing, be it a section and a part
/// of it, and returns their names. The `config` crate does not tell upper from lower case and
/// keeps no order, so chance would choose between them.
fn refuse_conflicts(variables: &BTreeMap<String, String>, report: &Report) -> Vec<String> {
    let mut refused = Vec::new();
    let mut refuse = |name: &String, text| {
        let fault = Fault::new(text, "keep one of the two");
        report.problem(&variable_site(name), fault);
        refused.push(name.clone());
    };
    let mut taken: HashMap<String, &str> = HashMap::new();
    for name in variables.keys() {
        let lower = name.to_ascii_lowercase();
        if let Some(other) = taken.get(&lower) {
            refuse(name, format!("{other} is the same setting"));
        } else {
            taken.insert(lower, name);
        }
    }
    for name in variables.keys() {
        let lower = name.to_ascii_lowercase();
        let mut above = lower.match_indices("__").map(|(end, _)| &lower[..end]);
        if let Some(whole) = above.find_map(|above| taken.get(above)) {
            let text = format!("{whole} sets all of the section that this is in");
            refuse(name, text);
        }
    }
    refused
}

fn check_variable(path: &str, value: OsString) -> Result<String, Fault> {
    // The config crate takes [ and ] as subscripts and would make lists of that size.
    let plain = |part: &str| {
        let valid = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'_';
        !part.is_empty() && part.bytes().all(valid)
    };
    if !path.split("__").all(plain) {
        return Err(Fault::new(
            "this is no name of a setting",
            "write ZEGEL__SECTION__KEY, such as ZEGEL__LOG__FORMAT",
        ));
    }
    let section = path.split("__").next().unwrap_or_default();
    if section.eq_ignore_ascii_case("listener") {
        return Err(Fault::new(
            "listeners cannot be set from the environment",
            "set them in zegel.toml",
        ));
    }
    value
        .into_string()
        .map_err(|_| Fault::new("the value is not UTF-8", "write it in UTF-8"))
}

/// Whether the keys at the top have no characters that the `config` crate would take for a
/// path: `"a[99999999]" = 1` makes a list of that length.
fn plain_keys(root: &Node, report: &Report) -> bool {
    let Value::Table(table) = &root.value else {
        return true;
    };
    let valid = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'_' | b'-');
    let mut all_plain = true;
    for (key, node) in table {
        if key.is_empty() || !key.bytes().all(valid) {
            let advice = "take it out; sections are written as [limits], without quotes";
            report.problem(&node.site, Fault::new("unknown key", advice));
            all_plain = false;
        }
    }
    all_plain
}

/// Numbers are all that the `config` crate refuses in good TOML, and it does not say where.
fn number_out_of_range(node: &Node) -> Option<&Site> {
    match &node.value {
        Value::Other(FRACTION | OUT_OF_RANGE) => Some(&node.site),
        Value::List(nodes) => nodes.iter().find_map(number_out_of_range),
        Value::Table(table) => table.values().find_map(number_out_of_range),
        _ => None,
    }
}

/// The merged tree, with the places from the file as it is written.
fn locate(value: ::config::Value, written: Option<&Node>, site: &Site) -> Node {
    let from_environment = value.origin() == Some(ENVIRONMENT_ORIGIN);
    let site = match written {
        _ if from_environment => variable_site(&variable_name(&site.key)),
        Some(node) => node.site.clone(),
        None => site.clone(),
    };
    let value = match value.kind {
        ::config::ValueKind::String(text) if from_environment => Value::Environment(text),
        ::config::ValueKind::Table(table) => {
            let entry = |(key, value): (String, ::config::Value)| {
                let node = locate(value, child(written, &key), &site.child(&key));
                (key, node)
            };
            Value::Table(table.into_iter().map(entry).collect::<Table>())
        }
        // Only whole lists come from the environment, so what is below is as it is written.
        // Numbers, truths and dates are the same in both trees, too.
        _ => written.map_or(Value::Other("a value"), |node| node.value.clone()),
    };
    Node { site, value }
}

fn child<'a>(written: Option<&'a Node>, key: &str) -> Option<&'a Node> {
    match &written?.value {
        Value::Table(table) => table.get(key),
        _ => None,
    }
}

fn variable_name(key: &str) -> String {
    format!("{PREFIX}{}", key.to_ascii_uppercase().replace('.', "__"))
}

fn variable_site(name: &str) -> Site {
    Site {
        key: name.into(),
        ..Site::file(Path::new("environment"))
    }
}
