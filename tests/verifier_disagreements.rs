//! Keeps the tables of `docs/verifiers.md` true: signs its messages to the letter of RFC 6376,
//! asks the three verifiers, and compares. `ZEGEL_UPDATE_DOCS=1 cargo test --test
//! verifier_disagreements` writes the tables anew.

#[path = "support/verifiers.rs"]
mod verifiers;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use verifiers::{Records, Verifier, verify_all};

#[test]
fn the_tables_say_what_the_verifiers_do() {
    let cases = signed_cases();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/verifiers.md");
    let before = fs::read_to_string(&page).expect("docs/verifiers.md");
    let mut after = with_table(&before, "messages", &messages_table(&cases));
    after = with_table(&after, "signatures", &signatures_table(&cases));
    if std::env::var_os("ZEGEL_UPDATE_DOCS").is_some() {
        fs::write(&page, &after).expect("docs/verifiers.md can be written");
    }
    let differences: Vec<_> = after
        .lines()
        .filter(|line| !before.lines().any(|old| old == *line))
        .collect();
    assert!(
        after == before,
        "docs/verifiers.md differs from what the verifiers do; \
         ZEGEL_UPDATE_DOCS=1 writes it anew. New lines:\n{}",
        differences.join("\n")
    );
}

/// A message or a form of the signature, in all its canonicalisations.
struct Case {
    table: String,
    label: String,
    rule: String,
    zegel: String,
    methods: Vec<String>,
    /// For each verifier, for each of `methods`: whether it accepts the signature.
    accepted: [Vec<bool>; 3],
}

fn signed_cases() -> Vec<Case> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/verifiers/disagreements.py");
    let status = Command::new("/usr/bin/python3")
        .arg("-B")
        .args([script.as_path(), folder.path()])
        .status()
        .expect("python3 runs");
    assert!(status.success(), "see tests/install-packages");
    let read = |name: &str| fs::read(folder.path().join(name)).expect("the script wrote it");
    let text = |name: &str| String::from_utf8(read(name)).expect("UTF-8");
    let messages = split_stream(&read("messages"));
    let records = Records::parse(&text("records"));
    let results = Verifier::ALL.map(|verifier| verify_all(verifier, &messages, &records));
    let mut cases: Vec<Case> = Vec::new();
    for (index, line) in text("cases").lines().enumerate() {
        let columns: Vec<&str> = line.split('\t').collect();
        let [table, label, rule, zegel, method] = columns[..] else {
            panic!("five columns: {line}");
        };
        if !cases
            .last()
            .is_some_and(|last| last.table == table && last.label == label)
        {
            cases.push(Case {
                table: table.to_owned(),
                label: label.to_owned(),
                rule: rule.to_owned(),
                zegel: zegel.to_owned(),
                methods: Vec::new(),
                accepted: Default::default(),
            });
        }
        let case = cases.last_mut().expect("pushed just now");
        case.methods.push(method.to_owned());
        for (accepted, result) in case.accepted.iter_mut().zip(&results) {
            let verdicts = &result[index];
            accepted.push(!verdicts.is_empty() && verdicts.iter().all(|verdict| verdict.passed));
        }
    }
    cases
}

fn split_stream(mut stream: &[u8]) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    while let Some(end) = stream.iter().position(|&byte| byte == b'\n') {
        let length = std::str::from_utf8(&stream[..end]).expect("a number");
        let length: usize = length.parse().expect("a number");
        let (message, rest) = stream[end + 1..].split_at(length);
        messages.push(message.to_vec());
        stream = rest;
    }
    messages
}

fn messages_table(cases: &[Case]) -> String {
    let mut table = heading(&["RFC 6376", "Zegel"]);
    for case in cases.iter().filter(|case| case.table == "messages") {
        writeln!(table, "{} | {} | {} |", cells(case), case.rule, case.zegel).expect("a String");
    }
    table
}

fn signatures_table(cases: &[Case]) -> String {
    let mut table = heading(&["RFC 6376"]);
    for case in cases.iter().filter(|case| case.table == "signatures") {
        writeln!(
            table,
            "{} | {} |",
            cells(case),
            case.rule.replace('|', "\\|")
        )
        .expect("a String");
    }
    table
}

fn heading(more: &[&str]) -> String {
    let names = Verifier::ALL.map(Verifier::name);
    let columns = 1 + names.len() + more.len();
    let titles = format!("{} | {}", names.join(" | "), more.join(" | "));
    format!("| | {titles} |\n|{}\n", "---|".repeat(columns))
}

fn cells(case: &Case) -> String {
    let [first, second, third] = case
        .accepted
        .each_ref()
        .map(|accepted| cell(&case.methods, accepted));
    let label = case.label.replace('|', "\\|");
    format!("| {label} | {first} | {second} | {third}")
}

/// `yes`, `no`, or what is refused: `not simple/*` and the like.
fn cell(methods: &[String], accepted: &[bool]) -> String {
    let refused: Vec<&str> = methods
        .iter()
        .zip(accepted)
        .filter(|(_, accepted)| !**accepted)
        .map(|(method, _)| method.as_str())
        .collect();
    if refused.is_empty() {
        return "yes".to_owned();
    }
    if refused.len() == methods.len() {
        return "**no**".to_owned();
    }
    let whole = |pattern: fn(&&str) -> bool| {
        let count = methods.iter().filter(|m| pattern(&m.as_str())).count();
        count > 1 && refused.len() == count && refused.iter().all(pattern)
    };
    if whole(|method| method.starts_with("simple/")) {
        "**not simple/\\***".to_owned()
    } else if whole(|method| method.starts_with("relaxed/")) {
        "**not relaxed/\\***".to_owned()
    } else if whole(|method| method.ends_with("/simple")) {
        "**not \\*/simple**".to_owned()
    } else if whole(|method| method.ends_with("/relaxed")) {
        "**not \\*/relaxed**".to_owned()
    } else {
        format!("**not {}**", refused.join(", "))
    }
}

/// `page` with the table between its two markers replaced.
fn with_table(page: &str, name: &str, table: &str) -> String {
    let begin = format!("<!-- {name}: begin -->\n");
    let end = format!("<!-- {name}: end -->");
    let (before, rest) = page.split_once(&begin).expect("the first marker");
    let (_, after) = rest.split_once(&end).expect("the second marker");
    format!("{before}{begin}\n{table}\n{end}{after}")
}
