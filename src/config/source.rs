//! `zegel.toml` with the environment over it. The `config` crate is named only here.

use std::{
    collections::{BTreeMap, HashMap},
    ffi::OsString,
};

use super::{
    problem::{Fault, Report, Site},
    tree::{self, Node, Table, Value},
};

const PREFIX: &str = "ZEGEL__";
/// What the `config` crate calls the origin of a value from the environment.
const ENVIRONMENT_ORIGIN: &str = "the environment";

/// Reads the text of `zegel.toml`, lays the variables `ZEGEL__SECTION__KEY` over it, and
/// gives every value its place. Nothing when the text is not TOML.
pub(super) fn read(
    file: &Site,
    text: &str,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    report: &Report,
) -> Option<Node> {
    let overrides = overrides(environment, report);
    let written = tree::parse(file, text, report)?;
    if !plain_keys(&written, report) {
        return None;
    }
    let merged = ::config::Config::builder()
        .add_source(::config::File::from_str(text, ::config::FileFormat::Toml))
        .add_source(
            ::config::Environment::with_prefix("ZEGEL")
                .prefix_separator("__")
                .separator("__")
                .source(Some(overrides)),
        )
        .build();
    match merged {
        Ok(merged) => Some(locate(merged.cache, Some(&written), file)),
        Err(error) => {
            let site = number_out_of_range(&written).unwrap_or(file);
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

/// The `config` crate does not tell upper from lower case, and goes by no order: of two
/// variables for one setting, or for a section and a part of it, chance would choose.
/// Returns those that are refused.
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
        Value::Other(tree::FRACTION | tree::OUT_OF_RANGE) => Some(&node.site),
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
        ..Site::file(std::path::Path::new("environment"))
    }
}
