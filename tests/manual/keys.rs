//! Every key of the configuration is in its page. Which keys there are, the program says
//! itself: where it does not know one, it names those that it does.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use tempfile::TempDir;

use super::{document, said, zegel};

/// Like no key there is, so that none is taken for what was meant.
const UNKNOWN: &str = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx = 1\n";

/// The tables of `zegel.toml`, with what else must be in them.
const TABLES: [(&str, &str); 15] = [
    ("[keystore]", ""),
    ("[[listener]]", "name = \"a\"\nsocket = \"fd:a\"\n"),
    ("[signing]", ""),
    ("[signing.headers]", ""),
    ("[policy]", ""),
    ("[limits]", ""),
    ("[http]", ""),
    ("[log]", ""),
    ("[keeper]", ""),
    ("[handover]", ""),
    ("[hooks]", ""),
    ("[reports]", ""),
    ("[reports.limits]", ""),
    ("[dmarc]", ""),
    (
        "[database]",
        "url = \"postgresql://zegel@db.example/zegel\"\n",
    ),
];

/// The keys that are known where one of these texts has [`UNKNOWN`].
fn known(settings: &str, organisation: &str) -> BTreeSet<String> {
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("orgs.d")).unwrap();
    fs::write(folder.path().join("zegel.toml"), settings).unwrap();
    fs::write(folder.path().join("orgs.d/gv.toml"), organisation).unwrap();
    let config = folder.path().join("zegel.toml");
    let output = zegel().arg("check").arg("--config").arg(config).output();
    let said = said(&output.unwrap());
    let list = said.split_once("take it out; known here: ");
    let list = list.unwrap_or_else(|| panic!("{settings}{organisation}: {said}"));
    let list = list.1.lines().next().unwrap().split(", ");
    list.map(str::to_owned).collect()
}

/// The keys of each section of a page: what is bold there, up to the sign.
fn written(page: &str) -> BTreeMap<String, BTreeSet<String>> {
    let text = fs::read_to_string(document("man").join(page)).unwrap();
    let mut sections = BTreeMap::new();
    let mut keys: &mut BTreeSet<String> = sections.entry(String::new()).or_default();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix(".SH ") {
            keys = sections.entry(name.to_owned()).or_default();
        } else if let Some(key) = line.strip_prefix("\\fB") {
            let key = key.trim_end_matches("\\fR").trim_start_matches("# ");
            keys.insert(key.split(" = ").next().unwrap().to_owned());
        }
    }
    sections
}

#[test]
fn every_key_of_the_configuration_is_in_its_page() {
    let written = written("zegel.toml.5");
    for (table, needed) in TABLES {
        let mut known = known(&format!("{table}\n{needed}{UNKNOWN}"), "domains = []");
        // These are tables, with sections of their own.
        known.remove("headers");
        if table == "[reports]" {
            known.remove("limits");
        }
        assert_eq!(written[table], known, "{table}");
    }
    let tables = TABLES.map(|(table, _)| table.trim_matches(['[', ']']).to_owned());
    let tables = tables.into_iter().filter(|table| !table.contains('.'));
    assert_eq!(known(UNKNOWN, "domains = []"), tables.collect());
}

#[test]
fn every_key_of_an_organisation_is_in_its_page() {
    let written = written("zegel-org.5");
    let mut top = known("", &format!("domains = [\"a.example\"]\n{UNKNOWN}"));
    for table in ["senders", "policy"] {
        assert!(top.remove(table), "{table}");
    }
    assert_eq!(written["DESCRIPTION"], top);
    let begin = "domains = [\"a.example\"]\n";
    let senders = known("", &format!("{begin}[senders]\n{UNKNOWN}"));
    assert_eq!(written["[senders]"], senders);
    // For these the page sends its reader to the other one.
    let policy = known("", &format!("{begin}[policy]\n{UNKNOWN}"));
    assert_eq!(policy, known(&format!("[policy]\n{UNKNOWN}"), ""));
    assert!(policy.is_superset(&written["[policy]"]));
}
