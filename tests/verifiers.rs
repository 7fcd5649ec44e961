//! The verifiers themselves: they accept what is right and refuse what is not.

#[path = "support/verifiers.rs"]
mod verifiers;

use std::fs;
use std::path::Path;
use std::process::Command;

use verifiers::{Records, Verdict, Verifier, assert_all_pass, verify_all};

const RFC_8463_RSA: &str = "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiG\
    s5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+P\
    L6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB";
const RFC_6376_RSA: &str = "v=DKIM1; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDwIRP/UC3SBsEmGqZ9ZJW3\
    /DkMoGeLnQg1fWn7/zYtIxN2SnFCjxOCKG9v3b4jYfcTNh5ijSsq631uBItLa7od+v/RtdC2UzJ1lWT947qR+Rcac2gbt\
    o/NMqJ0fzfVjH4OuKhitdY9tf6mcwGjaNBcWToIMmPSPDdQPNUYckcQ2QIDAQAB";

#[test]
fn the_examples_of_the_standards_pass() {
    assert_all_pass(&[fixture("rfc8463.eml")], &standard_records(), 2);
    assert_all_pass(&[fixture("rfc6376.eml")], &standard_records(), 1);
}

#[test]
fn verdicts_name_the_signatures_from_the_top() {
    for verifier in Verifier::ALL {
        let results = verify_all(verifier, &[fixture("rfc8463.eml")], &standard_records());
        let selectors: Vec<&str> = results[0].iter().map(|v| v.selector.as_str()).collect();
        assert_eq!(selectors, ["brisbane", "test"], "{}", verifier.name());
        assert!(
            results[0]
                .iter()
                .all(|v| v.domain == "football.example.com")
        );
    }
}

#[test]
fn a_change_to_the_body_a_field_or_a_signature_fails() {
    let message = fixture("rfc8463.eml");
    let changed = [
        replaced(&message, "hungry", "thirsty"),
        replaced(&message, "Is dinner", "Is lunch"),
        replaced(
            &message,
            "From: Joe",
            "From: Eve <eve@example.org>\r\nFrom: Joe",
        ),
        replaced(&message, "b=/gCr", "b=/gCs"),
    ];
    for verifier in Verifier::ALL {
        let results = verify_all(verifier, &changed, &standard_records());
        for verdicts in &results[..3] {
            assert!(
                verdicts.iter().all(refused),
                "{}: {verdicts:?}",
                verifier.name()
            );
        }
        let passed: Vec<bool> = results[3].iter().map(|verdict| verdict.passed).collect();
        assert_eq!(passed, [false, true], "{}", verifier.name());
    }
}

#[test]
fn a_missing_revoked_or_wrong_key_fails() {
    let message = [fixture("rfc8463.eml")];
    let mut wrong = Records::new();
    wrong.insert("football.example.com", "brisbane", RFC_8463_RSA);
    wrong.insert("football.example.com", "test", RFC_6376_RSA);
    let mut revoked = Records::new();
    revoked.insert("football.example.com", "brisbane", "v=DKIM1; k=ed25519; p=");
    revoked.insert("football.example.com", "test", "v=DKIM1; k=rsa; p=");
    for verifier in Verifier::ALL {
        for records in [&Records::new(), &wrong, &revoked] {
            let results = verify_all(verifier, &message, records);
            assert_eq!(results[0].len(), 2, "{}", verifier.name());
            assert!(
                results[0].iter().all(refused),
                "{}: {results:?}",
                verifier.name()
            );
        }
    }
}

#[test]
fn a_message_without_signature_has_no_verdict() {
    let plain = b"From: a@example.com\r\n\r\nHello.\r\n".to_vec();
    for verifier in Verifier::ALL {
        let results = verify_all(verifier, &[plain.clone(), Vec::new()], &Records::new());
        assert!(results[0].is_empty(), "{}: {results:?}", verifier.name());
    }
}

#[test]
fn what_dkimpy_signs_passes_and_what_is_then_changed_fails() {
    let folder = tempfile::tempdir().unwrap();
    let status = Command::new("/usr/bin/python3")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/verifiers/signed_by_dkimpy.py"))
        .arg(folder.path())
        .status()
        .expect("python3 runs");
    assert!(status.success(), "see tests/install-packages");
    let records = Records::parse(&fs::read_to_string(folder.path().join("records")).unwrap());
    let good = messages(&folder.path().join("good"));
    assert_eq!(
        good.len(),
        2 * 4 * 5,
        "algorithms, canonicalisations, messages"
    );
    assert_all_pass(&good, &records, 1);
    let bad = messages(&folder.path().join("bad"));
    for verifier in Verifier::ALL {
        for (message, verdicts) in bad.iter().zip(verify_all(verifier, &bad, &records)) {
            let refused = !verdicts.is_empty() && verdicts.iter().all(refused);
            assert!(refused, "{}: {}", verifier.name(), message.escape_ascii());
        }
    }
}

#[test]
fn two_thousand_messages_are_one_batch() {
    let messages = vec![fixture("rfc8463.eml"); 2000];
    assert_all_pass(&messages, &standard_records(), 2);
}

fn refused(verdict: &Verdict) -> bool {
    !verdict.passed && !verdict.detail.is_empty()
}

fn standard_records() -> Records {
    let mut records = Records::new();
    let ed25519 = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    records.insert("football.example.com", "brisbane", ed25519);
    records.insert("football.example.com", "test", RFC_8463_RSA);
    records.insert("example.com", "brisbane", RFC_6376_RSA);
    records
}

fn fixture(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/messages");
    fs::read(folder.join(name)).expect("a fixture")
}

fn messages(folder: &Path) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(folder).expect("a folder of messages");
    entries
        .map(|entry| fs::read(entry.expect("an entry").path()).expect("a message"))
        .collect()
}

fn replaced(message: &[u8], from: &str, to: &str) -> Vec<u8> {
    let text = String::from_utf8(message.to_vec()).expect("an ASCII fixture");
    assert!(text.contains(from), "{from}");
    text.replacen(from, to, 1).into_bytes()
}
