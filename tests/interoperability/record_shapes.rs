//! Key records in all shapes that people and DNS panels give them: what the verifiers find in
//! each, and what the keeper says of it. The table in `docs/verifiers.md` is kept true here.

use std::{fmt::Write, fs, path::Path, process::Command, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use zegel::{
    dkim::{Canonicalisation, CanonicalisationPair, HeaderRules, PublicKey, record::RecordError},
    dns::{Link, Observation, Outcome, ServerAnswer, Text, ZoneSeen, judge},
    keys::Sight,
    words::Severity,
};

use crate::{
    mail::{Field, Mail},
    mail_auth,
    random::Random,
    signer::{Choice, Identity, Keys, Order, sign},
    standards::fixture,
    verifiers::{Records, Verifier, verify_all},
};

/// The verifiers, in the order of the table.
const VERIFIERS: [Verifier; 4] = [
    Verifier::Dkimpy,
    Verifier::MailDkim,
    Verifier::OpenDkim,
    Verifier::Mailauth,
];
const DOMAIN: &str = "example.com";

/// A record, and a message that is signed with its key.
struct Shape {
    what: String,
    selector: String,
    /// The strings of the TXT record.
    strings: Vec<String>,
    /// None when Zegel takes no such key.
    key: Option<PublicKey>,
    message: Vec<u8>,
}

/// What is said of a record.
struct Row {
    shape: Shape,
    /// By [`VERIFIERS`] and then mail-auth: whether the signature passes.
    passed: Vec<bool>,
    /// Whether the keeper would let the key sign.
    seen: bool,
}

#[test]
fn a_record_counts_as_published_only_if_every_verifier_reads_it() {
    let rows = rows();
    assert!(rows.len() > 150, "{}", rows.len());
    let wrong: Vec<String> = rows
        .iter()
        .filter(|row| row.seen && row.passed.contains(&false))
        .map(Row::cells)
        .collect();
    assert!(wrong.is_empty(), "seen as good:\n{}", wrong.join("\n"));
    let row = |what: &str| rows.iter().find(|row| row.shape.what == what);
    let bare = row("`p=` bare RSAPublicKey (PKCS#1)").expect("it is a shape");
    assert_eq!(bare.passed[..4], [true, false, false, false]);
    for usual in ["as Zegel writes it", "Ed25519: as Zegel writes it"] {
        let row = row(usual).expect("it is a shape");
        assert!(row.seen && !row.passed.contains(&false), "{}", row.cells());
    }
    // The table has those on which they do not agree.
    let mut table = format!(
        "| record | {} | mail-auth | Zegel |\n|{}\n",
        VERIFIERS.map(Verifier::name).join(" | "),
        "---|".repeat(VERIFIERS.len() + 3)
    );
    for row in rows.iter().filter(|row| row.is_disputed()) {
        writeln!(table, "{}", row.cells()).expect("a String");
    }
    // mail-auth built with ring reads less, in two rows; the table shows it with its default.
    if cfg!(feature = "aws-lc-rs") {
        keep_table(&table);
    }
}

fn rows() -> Vec<Row> {
    let shapes = shapes();
    let mut records = Records::new();
    for shape in &shapes {
        records.insert(DOMAIN, &shape.selector, &shape.strings.concat());
    }
    let messages: Vec<Vec<u8>> = shapes.iter().map(|shape| shape.message.clone()).collect();
    let (messages, records) = (&messages, &records);
    let mut results = std::thread::scope(|scope| {
        let verify = |verifier| scope.spawn(move || verify_all(verifier, messages, records));
        let running = VERIFIERS.map(verify);
        running
            .map(|thread| thread.join().expect("it runs"))
            .to_vec()
    });
    results.push(mail_auth::verify_all(messages, records));
    let rows = shapes.into_iter().enumerate().map(|(index, shape)| {
        let passed = |verdicts: &Vec<Vec<_>>| {
            assert_eq!(verdicts[index].len(), 1, "{}", shape.what);
            let verdict: &crate::Verdict = &verdicts[index][0];
            verdict.passed
        };
        Row {
            passed: results.iter().map(passed).collect(),
            seen: shape.is_seen(),
            shape,
        }
    });
    rows.collect()
}

impl Shape {
    /// What the keeper says when all servers show the record. What it does not accept has a
    /// finding that names the record as it should be.
    fn is_seen(&self) -> bool {
        let Some(key) = &self.key else {
            return false;
        };
        let (sight, findings) = judge(&self.observation(), key);
        let seen = matches!(sight, Sight::Everywhere { .. });
        let act = findings
            .iter()
            .any(|found| found.severity == Severity::Act && found.expected == key.record());
        assert_eq!(seen, !act, "{}: {sight:?} {findings:?}", self.what);
        seen
    }

    fn observation(&self) -> Observation {
        let name = format!("{}._domainkey.{DOMAIN}", self.selector);
        let strings = self.strings.iter().map(|text| text.as_bytes().to_vec());
        let answer = ServerAnswer {
            server: format!("ns1.{DOMAIN}"),
            address: Some([192, 0, 2, 1].into()),
            outcome: Outcome::Texts {
                texts: vec![Text(strings.collect())],
                ttl: Duration::from_mins(5),
            },
        };
        let link = Link {
            name: name.clone(),
            zone: Ok(ZoneSeen {
                apex: DOMAIN.to_owned(),
                negative_ttl: Duration::from_mins(5),
                delegation: zegel::dns::Delegation::Agrees,
            }),
            answers: vec![answer],
        };
        Observation {
            name,
            links: vec![link],
            endless: false,
            resolvers: Vec::new(),
            other_types: Vec::new(),
            doubled: None,
        }
    }
}

impl Row {
    fn is_disputed(&self) -> bool {
        self.passed.iter().any(|passed| *passed != self.seen)
    }

    fn cells(&self) -> String {
        let word = |passed: &bool| if *passed { "yes" } else { "**no**" };
        let words: Vec<&str> = self.passed.iter().map(word).collect();
        let what = self.shape.what.replace('|', "\\|");
        format!("| {what} | {} | {} |", words.join(" | "), word(&self.seen))
    }
}

fn shapes() -> Vec<Shape> {
    let keys = Keys::new();
    let [rsa, ed25519] = [Choice::Rsa, Choice::Ed25519].map(|choice| keys.key(choice));
    let mut shapes = Vec::new();
    let mut add = |what: &str, choice, strings: Vec<String>, key: &PublicKey| {
        let selector = format!("s{}", shapes.len());
        let message = message(&keys, choice, &selector);
        shapes.push(Shape {
            what: what.to_owned(),
            selector,
            strings,
            key: Some(key.clone()),
            message,
        });
    };
    let p = STANDARD.encode(rsa.subject_public_key_info());
    for (what, strings) in crate::record_texts::rsa(&p) {
        add(&what, Choice::Rsa, strings, &rsa);
    }
    for (what, value) in key_infos() {
        let record = format!("v=DKIM1; k=rsa; p={}", STANDARD.encode(value));
        add(what, Choice::Rsa, vec![record], &rsa);
    }
    let record = ed25519.record();
    let (_, p) = record.split_once("p=").expect("a key");
    let spki = STANDARD.encode(ed25519.subject_public_key_info());
    for (what, text) in crate::record_texts::ed25519(p, &spki) {
        let what = format!("Ed25519: {what}");
        add(&what, Choice::Ed25519, vec![text], &ed25519);
    }
    shapes.extend(odd_exponents());
    shapes
}

fn message(keys: &Keys, choice: Choice, selector: &str) -> Vec<u8> {
    let mail = Mail {
        fields: vec![
            Field::new("From", format!(" post@{DOMAIN}")),
            Field::new("Subject", " a shape"),
        ],
        body: b"Hello.\r\n".to_vec(),
        separated: true,
    };
    let selector: zegel::names::Selector = selector.parse().expect("a selector");
    let identity = Identity {
        domain: DOMAIN.parse().expect("a domain"),
        rsa: selector.clone(),
        ed25519: selector,
    };
    let order = Order {
        keys,
        identity: &identity,
        choice,
        rules: &HeaderRules::default(),
        canonicalisation: CanonicalisationPair {
            header: Canonicalisation::Relaxed,
            body: Canonicalisation::Relaxed,
        },
    };
    sign(&mut Random::new(1), &mail, &order).bytes
}

/// The RSA key in other forms than the SubjectPublicKeyInfo of RFC 3279 §2.3.1.
fn key_infos() -> Vec<(&'static str, Vec<u8>)> {
    const RSA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";
    const PSS: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a";
    const NULL: &[u8] = b"\x05\x00";
    const SEQUENCE: &[u8] = b"\x30\x00";
    let text = String::from_utf8(fixture("keys/unsafe-rsa2048-public-pkcs1.pem")).expect("ASCII");
    let base64: String = text.lines().filter(|line| !line.contains('-')).collect();
    let bare = STANDARD.decode(base64).expect("base64");
    let info = |algorithm: &[&[u8]]| {
        let bits = der(0x03, &[&[0], bare.as_slice()].concat());
        der(0x30, &[der(0x30, &algorithm.concat()), bits].concat())
    };
    let whole = info(&[RSA, NULL]);
    vec![
        ("`p=` made here, with the NULL", whole.clone()),
        ("`p=` bare RSAPublicKey (PKCS#1)", bare.clone()),
        ("`p=` without the NULL", info(&[RSA])),
        (
            "`p=` an empty SEQUENCE for the NULL",
            info(&[RSA, SEQUENCE]),
        ),
        ("`p=` an RSA-PSS key", info(&[PSS])),
        (
            "`p=` NUL octets behind the key",
            [&whole[..], &[0, 0, 0]].concat(),
        ),
    ]
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).expect("a short one");
    let [high, low] = length.to_be_bytes();
    let mut octets = vec![tag];
    match length {
        0..=127 => octets.push(low),
        128..=255 => octets.extend([0x81, low]),
        _ => octets.extend([0x82, high, low]),
    }
    octets.extend_from_slice(content);
    octets
}

/// RSA keys with other public exponents than 65,537. dkimpy signs: Zegel makes no such keys.
fn odd_exponents() -> Vec<Shape> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/verifiers/odd_exponents.py");
    let status = Command::new("/usr/bin/python3")
        .args([&script, folder.path()])
        .status();
    let status = status.expect("python3 runs");
    assert!(status.success(), "see tests/install-packages");
    let mut shapes = Vec::new();
    for entry in fs::read_dir(folder.path()).expect("a folder") {
        let path = entry.expect("an entry").path();
        let selector = path.file_stem().and_then(|name| name.to_str());
        let selector = selector.expect("a name").to_owned();
        if path.extension().is_some_and(|extension| extension == "eml") {
            let p = fs::read_to_string(path.with_extension("p")).expect("the key");
            let record = format!("v=DKIM1; k=rsa; p={p}");
            shapes.push(Shape {
                what: format!("RSA with an exponent of {} bits", &selector[1..]),
                key: key_of(&record),
                selector,
                strings: vec![record],
                message: fs::read(&path).expect("the message"),
            });
        }
    }
    assert_eq!(shapes.len(), 5, "exponents");
    shapes.sort_by_key(|shape| (shape.selector.len(), shape.selector.clone()));
    shapes
}

fn key_of(record: &str) -> Option<PublicKey> {
    let key = PublicKey::from_record(record);
    assert!(
        matches!(key, Ok(_) | Err(RecordError::LargeExponent)),
        "{key:?}"
    );
    key.ok()
}

/// The table of `docs/verifiers.md` is this one; `ZEGEL_UPDATE_DOCS=1` writes it anew.
fn keep_table(table: &str) {
    const BEGIN: &str = "<!-- records: begin -->\n";
    const END: &str = "<!-- records: end -->";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/verifiers.md");
    let page = fs::read_to_string(&path).expect("docs/verifiers.md");
    let (before, rest) = page.split_once(BEGIN).expect("the first marker");
    let (_, behind) = rest.split_once(END).expect("the second marker");
    let new = format!("{before}{BEGIN}\n{table}\n{END}{behind}");
    if std::env::var_os("ZEGEL_UPDATE_DOCS").is_some() {
        fs::write(&path, &new).expect("docs/verifiers.md can be written");
        return;
    }
    let lines = new
        .lines()
        .filter(|line| !page.lines().any(|old| old == *line));
    let lines: Vec<&str> = lines.collect();
    assert!(
        new == page,
        "ZEGEL_UPDATE_DOCS=1 writes docs/verifiers.md anew. New lines:\n{}",
        lines.join("\n")
    );
}
