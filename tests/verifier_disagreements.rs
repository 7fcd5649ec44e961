//! Keeps the tables of `docs/verifiers.md` true: signs its messages to the letter of RFC 6376,
//! asks the three verifiers and Zegel, and compares. `ZEGEL_UPDATE_DOCS=1 cargo test --test
//! verifier_disagreements` writes the tables anew.

#[path = "support/standards.rs"]
mod standards;
#[path = "support/verifiers.rs"]
mod verifiers;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use zegel::dkim::allows_eight_bit;
use zegel::dkim::{BodyInspector, Hazard, Hazards, Message, ParsedSignature, PublicKey};
use zegel::names::DomainName;

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
    /// What Zegel does when it is to sign this.
    signing: String,
    methods: Vec<String>,
    /// For each verifier and for Zegel, for each of `methods`: whether it accepts the signature.
    accepted: [Vec<bool>; 4],
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
    let others = Verifier::ALL.map(|verifier| verify_all(verifier, &messages, &records));
    let keys = keys(&text("records"));
    let mut cases: Vec<Case> = Vec::new();
    for (index, line) in text("cases").lines().enumerate() {
        let columns: Vec<&str> = line.split('\t').collect();
        let [table, label, rule, method] = columns[..] else {
            panic!("four columns: {line}");
        };
        if !cases
            .last()
            .is_some_and(|last| last.table == table && last.label == label)
        {
            cases.push(Case {
                table: table.to_owned(),
                label: label.to_owned(),
                rule: rule.to_owned(),
                signing: signing(&messages[index]),
                methods: Vec::new(),
                accepted: Default::default(),
            });
        }
        let case = cases.last_mut().expect("pushed just now");
        case.methods.push(method.to_owned());
        let [first, second, third] = &others;
        for (accepted, result) in case.accepted.iter_mut().zip([first, second, third]) {
            let verdicts = &result[index];
            accepted.push(!verdicts.is_empty() && verdicts.iter().all(|verdict| verdict.passed));
        }
        case.accepted[3].push(zegel_accepts(&messages[index], &keys));
    }
    cases
}

/// The keys as Zegel reads them, by the names of their records.
fn keys(records: &str) -> BTreeMap<String, PublicKey> {
    let key = |line: &str| {
        let (name, text) = line.split_once('\t').expect("a name, a tab and a text");
        let (selector, domain) = name.split_once("._domainkey.").expect("a key record");
        let domain: DomainName = domain.parse().expect("a domain");
        let key = PublicKey::from_record(text).ok()?;
        Some((format!("{selector}._domainkey.{domain}"), key))
    };
    records.lines().filter_map(key).collect()
}

fn zegel_accepts(message: &[u8], keys: &BTreeMap<String, PublicKey>) -> bool {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.expect("a time after 1970").as_secs();
    let key = |signature: &ParsedSignature| {
        let name = signature.selector.record_name(&signature.domain);
        keys.get(&name).cloned()
    };
    Message::parse(message).is_ok() && standards::verify(message, now, key) == [Ok(())]
}

/// What Zegel counts when it signs a message: that below the signature which is there.
fn signing(message: &[u8]) -> String {
    let Ok(message) = Message::parse(message) else {
        return "not a message".to_owned();
    };
    let signature = standards::signature_fields(&message.header)[0];
    let Ok(signature) = ParsedSignature::parse(signature.name, signature.value) else {
        return "-".to_owned();
    };
    let is_signed = |name: &[u8]| {
        let mut names = signature.names.iter();
        names.any(|signed| signed.as_bytes().eq_ignore_ascii_case(name))
    };
    let mut inspector = BodyInspector::default();
    inspector.update(message.body);
    let hazards = Hazards::of_header(&message.header, is_signed)
        | inspector.finish(allows_eight_bit(&message.header));
    if hazards.is_empty() {
        return "signs".to_owned();
    }
    let words: Vec<_> = hazards.iter().map(Hazard::as_str).collect();
    format!("hazard: {}", words.join(", "))
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
    let mut table = heading(&["RFC 6376", "when Zegel signs it"]);
    for case in cases.iter().filter(|case| case.table == "messages") {
        writeln!(
            table,
            "{} | {} | {} |",
            cells(case),
            case.rule,
            case.signing
        )
        .expect("a String");
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
    let columns = 2 + names.len() + more.len();
    let titles = format!("{} | Zegel | {}", names.join(" | "), more.join(" | "));
    format!("| | {titles} |\n|{}\n", "---|".repeat(columns))
}

fn cells(case: &Case) -> String {
    let cells = case
        .accepted
        .each_ref()
        .map(|accepted| cell(&case.methods, accepted));
    let label = case.label.replace('|', "\\|");
    format!("| {label} | {}", cells.join(" | "))
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
