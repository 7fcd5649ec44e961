//! Batch verification of signed messages by independent implementations of DKIM.
//!
//! One process verifies a whole batch, with the public keys given here and no DNS, so that
//! thousands of messages take seconds. Use it from an integration test with
//! `#[path = "support/verifiers.rs"] mod verifiers;`. The packages that it needs are those
//! of `tests/install-packages`.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses its own part of this module"
)]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The exit status with which a script says that a package is missing (EX_UNAVAILABLE).
const MISSING_PACKAGE: i32 = 69;

/// The public keys that the verifiers see: TXT records by name.
#[derive(Clone, Debug, Default)]
pub struct Records(BTreeMap<String, String>);

impl Records {
    /// No records: every signature fails for want of a key.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the record of `selector` for `domain`, as in `v=DKIM1; k=rsa; p=…`.
    pub fn insert(&mut self, domain: &str, selector: &str, text: &str) {
        assert!(!text.contains('\0'), "a record ends at a NUL: {text}");
        let name = format!("{selector}._domainkey.{domain}").to_ascii_lowercase();
        self.0.insert(name, text.to_owned());
    }

    /// Reads lines of a name, a tab and the text of its record.
    pub fn parse(lines: &str) -> Self {
        let split = |line: &str| {
            let (name, text) = line.split_once('\t').expect("a name, a tab and a text");
            (name.to_ascii_lowercase(), text.to_owned())
        };
        Self(lines.lines().map(split).collect())
    }

    /// The names, in lower case, and the texts.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let records = self.0.iter();
        records.map(|(name, text)| (name.as_str(), text.as_str()))
    }

    fn write(&self, path: &Path) {
        let mut entries = String::new();
        for (name, text) in &self.0 {
            entries.extend([name.as_str(), "\t", text.as_str(), "\0"]);
        }
        fs::write(path, entries).expect("the records can be written");
    }
}

/// An implementation of DKIM that is not ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verifier {
    /// dkimpy, in Python.
    Dkimpy,
    /// Mail::DKIM, in Perl.
    MailDkim,
    /// libopendkim, in C: the verifier of OpenDKIM.
    OpenDkim,
    /// mailauth, in JavaScript. Not in [`Verifier::ALL`]: it is not one of Debian's.
    Mailauth,
}

impl Verifier {
    /// Those of Debian.
    pub const ALL: [Self; 3] = [Self::Dkimpy, Self::MailDkim, Self::OpenDkim];

    /// The name under which it is known.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dkimpy => "dkimpy",
            Self::MailDkim => "Mail::DKIM",
            Self::OpenDkim => "OpenDKIM",
            Self::Mailauth => "mailauth",
        }
    }

    fn command(self) -> Command {
        match self {
            // Not the first python3 of PATH: Debian's packages are seen by Debian's only.
            Self::Dkimpy => interpreter("/usr/bin/python3", "dkimpy.py"),
            Self::MailDkim => interpreter("/usr/bin/perl", "mail_dkim.pl"),
            Self::OpenDkim => Command::new(opendkim()),
            Self::Mailauth => {
                let mut command = interpreter("node", "mailauth.js");
                let checkout = Path::new(env!("CARGO_MANIFEST_DIR"));
                command.arg(checkout.join("target/tools/from-readers"));
                command
            }
        }
    }
}

/// What a verifier says of one signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// `d=`, in lower case; `-` when it could not be read or the message was refused as a whole.
    pub domain: String,
    /// `s=`; `-` as for `domain`.
    pub selector: String,
    /// Whether the signature is good.
    pub passed: bool,
    /// The verifier's own words; empty when it passed.
    pub detail: String,
}

/// Verifies every signature of every message; verdicts are in the order of the signatures,
/// from the top of the message.
///
/// A message that the verifier refuses as a whole has one verdict, which did not pass.
///
/// # Panics
///
/// If a package is missing (see `tests/install-packages`) or the verifier breaks off.
pub fn verify_all(
    verifier: Verifier,
    messages: &[Vec<u8>],
    records: &Records,
) -> Vec<Vec<Verdict>> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let records_path = folder.path().join("records");
    let messages_path = folder.path().join("messages");
    records.write(&records_path);
    write_messages(&messages_path, messages);
    let input = File::open(&messages_path).expect("the messages just written");
    let output = verifier
        .command()
        .arg(&records_path)
        .stdin(Stdio::from(input))
        .output()
        .unwrap_or_else(|error| install(verifier.name(), &error.to_string()));
    let verdicts = parse_output(verifier, &output);
    assert_eq!(
        verdicts.len(),
        messages.len(),
        "{} gave a line for each message",
        verifier.name()
    );
    verdicts
}

/// Panics, with the detail of each, if not all three verifiers accept all signatures of all
/// messages, or if a message has another number of signatures than `expected`.
pub fn assert_all_pass(messages: &[Vec<u8>], records: &Records, expected: usize) {
    for verifier in Verifier::ALL {
        let results = verify_all(verifier, messages, records);
        for (message, verdicts) in messages.iter().zip(&results) {
            let good = verdicts.iter().filter(|verdict| verdict.passed).count();
            assert!(
                good == expected && verdicts.len() == expected,
                "{}: {verdicts:?}\n{}",
                verifier.name(),
                message.escape_ascii()
            );
        }
    }
}

fn write_messages(path: &Path, messages: &[Vec<u8>]) {
    let mut stream = BufWriter::new(File::create(path).expect("a new file"));
    for message in messages {
        writeln!(stream, "{}", message.len()).expect("the disk has room");
        stream.write_all(message).expect("the disk has room");
    }
    stream.flush().expect("the disk has room");
}

fn parse_output(verifier: Verifier, output: &Output) -> Vec<Vec<Verdict>> {
    let complaint = String::from_utf8_lossy(&output.stderr);
    let missing = complaint.contains("MODULE_NOT_FOUND");
    if output.status.code() == Some(MISSING_PACKAGE) || missing {
        install(verifier.name(), &complaint);
    }
    assert!(
        output.status.success(),
        "{} ended with {}: {complaint}",
        verifier.name(),
        output.status
    );
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| {
            line.split('\t')
                .filter(|part| !part.is_empty())
                .map(parse_verdict)
                .collect()
        })
        .collect()
}

fn parse_verdict(text: &str) -> Verdict {
    let mut words = text.splitn(4, ' ');
    let mut word = || words.next().unwrap_or_default();
    let passed = match word() {
        "pass" => true,
        "fail" => false,
        other => panic!("a verdict begins with pass or fail, not with {other:?}"),
    };
    Verdict {
        passed,
        domain: word().to_ascii_lowercase(),
        selector: word().to_owned(),
        detail: word().trim_end().to_owned(),
    }
}

fn interpreter(program: &str, script: &str) -> Command {
    let mut command = Command::new(program);
    command.arg(sources().join(script));
    command
}

/// The C program, compiled if that was not done since it was last changed.
fn opendkim() -> PathBuf {
    let source = sources().join("opendkim.c");
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let program = folder.join("verifier-opendkim");
    if modified(&program) > modified(&source) {
        return program;
    }
    // Other tests may do the same now: each compiles for itself, the last rename wins.
    let own = tempfile::Builder::new()
        .prefix("verifier-opendkim-")
        .tempdir_in(&folder)
        .expect("target is writable");
    let fresh = own.path().join("program");
    let output = Command::new("cc")
        .args(["-O1", "-Wall", "-I/usr/include/opendkim", "-o"])
        .args([&fresh, &source])
        .arg("-lopendkim")
        .output()
        .unwrap_or_else(|error| install("cc", &error.to_string()));
    if !output.status.success() {
        install("libopendkim-dev", &String::from_utf8_lossy(&output.stderr));
    }
    fs::rename(&fresh, &program).expect("a rename within target");
    program
}

fn modified(path: &Path) -> Option<std::time::SystemTime> {
    fs::metadata(path).and_then(|data| data.modified()).ok()
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/verifiers")
}

fn install(what: &str, detail: &str) -> ! {
    panic!("{what} cannot be used: {detail}\nRun tests/install-packages as root.")
}
