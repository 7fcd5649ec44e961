//! What programs read is what `docs/schemas` says, by a validator that is not ours: every command
//! with `--json`, `/status.json` and what the program of `[hooks]` gets.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod book;
#[path = "../command_line/dns_server.rs"]
#[expect(dead_code, reason = "others use it too")]
mod dns_server;
mod fleet;
mod live;
mod offline;
#[path = "../command_line/setup.rs"]
#[expect(dead_code, reason = "others use it too")]
mod setup;
#[path = "../support/mod.rs"]
mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use self::book::Book;

/// Members of which no document here has anything, with what is in them: it takes months, faults
/// or luck to have it.
const NOT_SEEN: &[&str] = &[
    "audit/summary/in_use_too_long/[]",
    "audit/summary/keys_of_several/[]",
    "audit/summary/selectors_of_several/[]",
    "audit/organisations/[]/unknown/[]",
    "dns-records-all/left/[]",
    "pack_domain/remove/[]",
    "explain/signatures/[]/problem",
    "matter/when",
    "import/organisations/[]/keys/[]/waits_for/[]",
    "listed_key/domains/[]/left",
    "listed_key/domains/[]/reported",
    "org-retire/missing/[]",
    "org-show/suspended",
    "org-unsigned/not_collected/*",
    "org-unsigned/gaps/[]",
    "status-json-keeper/not_ready",
    "status-json-signer/not_ready",
    "report_figures/problem",
    "signer_figures/configuration_newer_since",
    "signer_figures/beyond/*",
];

/// The schemas of each command with `--json`.
const COMMANDS: &[(&str, &[&str])] = &[
    ("audit", &["audit", "audit-out"]),
    ("check", &["check"]),
    ("database init", &["database-init"]),
    ("database status", &["database-status"]),
    ("database sync", &["database-sync"]),
    ("database upload", &["database-upload"]),
    ("dmarc confirm", &["dmarc-confirm"]),
    ("dmarc overview", &["dmarc-overview"]),
    ("dmarc status", &["dmarc-status"]),
    ("dns check", &["dns-check"]),
    ("dns records", &["dns-records", "dns-records-all"]),
    ("doctor", &["doctor"]),
    ("explain", &["explain"]),
    ("import opendkim", &["import"]),
    ("import rspamd", &["import"]),
    ("keeper look", &["key-list"]),
    ("key activate", &["key-activate"]),
    ("key generate", &["key-added"]),
    ("key import", &["key-import"]),
    ("key list", &["key-list"]),
    ("key revoke", &["key-revoke"]),
    ("key roll", &["key-added", "key-given-up"]),
    ("key withdraw", &["key-given-up"]),
    ("keystore init", &["keystore-init"]),
    ("keystore restore", &["keystore-restore"]),
    ("keystore seal", &["keystore-seal"]),
    ("keystore sealing-key", &["keystore-sealing-key"]),
    ("org add", &["org-add", "org-add-from"]),
    ("org handed-over", &["org-handed-over"]),
    ("org list", &["org-list", "org-list-waiting"]),
    ("org move", &["org-move"]),
    ("org resume", &["org-standing"]),
    ("org retire", &["org-retire"]),
    ("org show", &["org-show"]),
    ("org suspend", &["org-standing"]),
    ("org unsigned", &["org-unsigned"]),
    ("org wait", &["org-wait"]),
    ("report forget", &["report-forget"]),
    ("report ingest", &["report-ingest"]),
    ("report name", &["report-name"]),
    ("report streams", &["report-streams"]),
    ("status", &["status"]),
    ("verify", &["verify"]),
];

/// What is no document of a command.
const OTHERS: [&str; 4] = ["error", "hook", "status-json-keeper", "status-json-signer"];

/// Commands that print no JSON: they serve until they are told to stop, or what they print has a
/// form of its own.
const WITHOUT: [&str; 8] = [
    "demo",
    "dmarc letter",
    "dns zone",
    "keeper",
    "key export",
    "run",
    "sign",
    "top",
];

fn schemas() -> BTreeSet<String> {
    let files = fs::read_dir("docs/schemas").unwrap();
    let name = |file: fs::DirEntry| file.file_name().into_string().unwrap();
    let names = files.map(|file| name(file.unwrap()));
    names
        .map(|name| name.strip_suffix(".json").unwrap().to_owned())
        .collect()
}

/// The commands that do something, and whether each has `--json`.
fn commands(above: &clap::Command, words: &str, all: &mut BTreeMap<String, bool>) {
    for command in above.get_subcommands() {
        let words = format!("{words} {}", command.get_name());
        if !command.has_subcommands() || command.get_name() == "keeper" {
            let has_json = command.get_arguments().any(|one| one.get_id() == "json");
            all.insert(words.trim().to_owned(), has_json);
        }
        commands(command, &words, all);
    }
}

#[test]
fn every_command_has_a_schema_or_a_reason() {
    let mut all = BTreeMap::new();
    commands(&zegel::cli::command(), "", &mut all);
    let with = all
        .iter()
        .filter(|(_, has)| **has)
        .map(|(name, _)| &name[..]);
    let known: Vec<&str> = COMMANDS.iter().map(|(name, _)| *name).collect();
    assert_eq!(with.collect::<Vec<_>>(), known);
    let without = all.iter().filter(|(_, has)| !**has);
    let without: Vec<&str> = without.map(|(name, _)| &name[..]).collect();
    assert_eq!(without, WITHOUT);
    let named = COMMANDS.iter().flat_map(|(_, names)| names.iter());
    let named: BTreeSet<String> = named
        .chain(&OTHERS)
        .map(|name| (*name).to_owned())
        .collect();
    assert_eq!(named, schemas());
}

#[test]
fn the_page_has_every_schema() {
    let page = fs::read_to_string("docs/platform.md").unwrap();
    for name in schemas() {
        let link = format!("](schemas/{name}.json)");
        assert!(page.contains(&link), "{link}");
    }
    for (command, names) in COMMANDS {
        for name in *names {
            let link = format!("](schemas/{name}.json)");
            let rows = page.lines().filter(|line| line.contains(&link));
            let found = rows
                .filter(|row| row.contains(&format!("`zegel {command}")))
                .count();
            assert_eq!(found, 1, "zegel {command}: {name}");
        }
    }
}

#[test]
fn every_document_is_what_its_schema_says() {
    let book = Book::new();
    offline::organisations(&book);
    offline::leaving(&book);
    offline::delegation(&book);
    offline::keys(&book);
    offline::records(&book);
    offline::messages(&book);
    offline::keystore(&book);
    fleet::database(&book);
    offline::others(&book);
    offline::reports(&book);
    offline::errors(&book);
    live::processes(&book);
    live::hook(&book);
    let mut wrong = book.wrong();
    wrong.retain(|line| {
        let place = line.strip_prefix("nothing in ").unwrap_or_default();
        !NOT_SEEN.iter().any(|known| place.starts_with(known))
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
