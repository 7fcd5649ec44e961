//! `zegel audit`, over a keystore that went through real commands.

use std::fs;

use serde_json::Value;

use crate::setup::{OTHER_RSA_KEY, Setup};

/// Made, in use, rolled, revoked; and another one that was imported.
fn driven() -> Setup {
    let setup = Setup::new();
    let run = |arguments: &[&str]| setup.run(arguments).expect(0);
    run(&["key", "generate", "voorbeeld", "--selector", "s1"]);
    run(&["key", "activate", "voorbeeld", "s1", "--assume-published"]);
    run(&["key", "roll", "voorbeeld"]);
    let keys = run(&["key", "list", "--json"]).member("keys");
    let keys = keys.as_array().unwrap();
    let mut selectors = keys.iter().map(|key| key["selector"].as_str().unwrap());
    let next = selectors.find(|name| *name != "s1").unwrap();
    run(&["key", "activate", "voorbeeld", next, "--assume-published"]);
    run(&["key", "revoke", "voorbeeld", "s1", "--compromised"]);
    run(&["org", "suspend", "voorbeeld"]);
    run(&["org", "resume", "voorbeeld"]);
    setup.write(
        "orgs.d/ander.toml",
        "domains = [\"ander.nl\", \"geen.nl\"]\n",
    );
    run(&[
        "key",
        "import",
        "ander",
        OTHER_RSA_KEY,
        "--selector",
        "a1",
        "--domain",
        "ander.nl",
        "--assume-published",
    ]);
    setup
}

/// The audit log as if all of it had happened so many years earlier.
fn earlier(setup: &Setup) {
    let path = setup.path("keys/audit.log");
    let text = fs::read_to_string(&path).unwrap();
    let year = jiff::Zoned::now().year();
    let moved = text.replace(&format!("\"time\":\"{year}-"), "\"time\":\"2020-");
    assert_ne!(moved, text);
    fs::write(&path, moved).unwrap();
}

#[test]
fn what_happened_to_the_keys_is_proved() {
    let setup = driven();
    let report = setup.run(["audit", "--json"]).expect(0).json();
    let summary = &report["summary"];
    assert_eq!(summary["keys"], 3, "{summary}");
    assert_eq!(
        (&summary["organisations"], &summary["domains"]),
        (&2.into(), &3.into())
    );
    assert_eq!(summary["shortest_rsa_bits"], 2048);
    assert_eq!(
        (&summary["rotations"], &summary["revoked"]),
        (&2.into(), &1.into())
    );
    assert_eq!(
        (&summary["assumed"], &summary["suspensions"]),
        (&3.into(), &1.into())
    );
    assert_eq!(summary["without_key"][0]["organisation"], "ander");
    assert_eq!(
        summary["without_key"][0]["domains"],
        serde_json::json!(["geen.nl"])
    );
    assert_eq!(summary["keys_of_several"], serde_json::json!([]));
    let [ander, voorbeeld] = &report["organisations"].as_array().unwrap()[..] else {
        panic!("{report}");
    };
    assert_eq!(ander["keys"][0]["bits"], 3072);
    assert_eq!(ander["keys"][0]["imported"], true);
    let of_s1 = |key: &&Value| key["selector"] == "s1" && key["domain"] == "voorbeeld.nl";
    let s1 = voorbeeld["keys"]
        .as_array()
        .unwrap()
        .iter()
        .find(of_s1)
        .unwrap();
    assert_eq!(s1["algorithm"], "rsa-sha256");
    assert_eq!(s1["fingerprint"].as_str().unwrap().len(), 64);
    assert_eq!(s1["made_by"]["by"], "key generate");
    let signed = &s1["signed"][0];
    assert_eq!(
        (&signed["assumed"], &signed["by"]["by"]),
        (&true.into(), &"key activate".into())
    );
    assert_eq!(signed["ending"]["event"], "draining");
    assert_eq!(s1["revoked"]["word"], "compromised");
    assert_eq!(s1["revoked"]["by"]["by"], "key revoke");
    assert_eq!(voorbeeld["rotations"][0]["from"], "s1");
    let uid = rustix::process::getuid().as_raw();
    setup.run(["audit", "voorbeeld"]).expect(0).says(&[
        "DKIM keys of voorbeeld, from ",
        " until now (",
        "Shortest RSA key: 2048 bits",
        "Keys of several organisations: not looked at",
        &format!("by zegel key activate (user {uid})"),
        "revoked (compromised) ",
        "which had signed for 0 days",
        "suspended ",
        "Alarms are those that the keeper has written down",
    ]);
}

#[test]
fn a_period_that_is_over_is_told_in_the_same_words_every_time() {
    let setup = driven();
    earlier(&setup);
    let period = ["audit", "--from", "2020-01-01", "--to", "2020-12-31"];
    let forms = ["--json", "--csv", "--html"];
    let made = |form: &str| setup.run(period.iter().chain([&form])).expect(0).out;
    let first = forms.map(made);
    // What happens later changes nothing, nor do orgs.d and a file that takes the place of another.
    setup.run(["key", "roll", "voorbeeld"]).expect(0);
    setup
        .run(["key", "revoke", "ander", "a1", "--compromised"])
        .expect(0);
    setup.write("orgs.d/nieuw.toml", "domains = [\"nieuw.nl\"]\n");
    setup.run(["org", "suspend", "voorbeeld"]).expect(0);
    for (form, first) in forms.into_iter().zip(&first) {
        let file = setup.write("report", "older");
        let out = setup
            .run(period.iter().chain([&form, &"--out", &file.as_str()]))
            .expect(0)
            .out;
        let written = fs::read_to_string(&file).unwrap();
        if form == "--json" {
            // What is said meanwhile is no part of the report.
            let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap();
            let (out, mut first) = (parse(&out), parse(first));
            assert_eq!(out, serde_json::json!({"file": file, "warnings": []}));
            let warnings = first.as_object_mut().unwrap().remove("warnings");
            assert_eq!(warnings, Some(Value::Array(Vec::new())));
            assert_eq!(parse(&written), first);
            continue;
        }
        assert_eq!(out, "");
        assert_eq!(&written, first, "{form}");
    }
    let [json, csv, html] = &first;
    let json: Value = serde_json::from_str(json).unwrap();
    assert_eq!(json["summary"]["keys"], 3);
    assert_eq!(json["summary"]["without_key"], Value::Null);
    assert_eq!(json["period"]["now"], Value::Null);
    assert!(
        csv.starts_with("organisation,domain,selector,algorithm,bits,"),
        "{csv}"
    );
    assert_eq!(csv.lines().count(), 1 + 5, "{csv}");
    assert!(
        html.contains("<h1>DKIM keys, from 2020-01-01 to 2020-12-31</h1>"),
        "{html}"
    );
    for forbidden in ["<script", "http://", "https://", "src=", "until now"] {
        assert!(!html.contains(forbidden), "{forbidden}");
    }
    // Before anything happened.
    let before = [
        "audit",
        "--from",
        "2019-01-01",
        "--to",
        "2019-12-31",
        "--json",
    ];
    let before = setup.run(before).expect(0).json();
    assert_eq!(before["summary"]["keys"], 0);
    assert_eq!(before["organisations"], serde_json::json!([]));
}

#[test]
fn lines_that_cannot_be_read_are_named_and_stop_nothing() {
    let setup = driven();
    let path = setup.path("keys/audit.log");
    let text = fs::read_to_string(&path).unwrap();
    let (first, rest) = text.split_once('\n').unwrap();
    fs::write(&path, format!("{first}\n{{\"time\":\n\u{0}\n{rest}")).unwrap();
    setup.run(["audit"]).expect(0).says(&[
        "can't be read, and are left out: 2 (line 2, 3)",
        "Keys that signed: 3,",
    ]);
    // Without the log, what the keyrings say of today is all that there is.
    fs::remove_file(&path).unwrap();
    setup
        .run(["audit"])
        .expect(0)
        .says(&["The audit log is empty", "Keys that signed: 2,"]);
    let usage = |arguments: &[&str], text: &str| {
        setup.run(arguments).expect(2).complains(&[text]);
    };
    usage(&["audit", "nobody"], "no organisation nobody");
    usage(&["audit", "--to", "9999-01-01"], "in the future");
    usage(
        &["audit", "--from", "2020-02-01", "--to", "2020-01-01"],
        "before it begins",
    );
    setup
        .run(["audit", "--out", "/nowhere/report"])
        .expect(1)
        .complains(&["/nowhere/report"]);
}

#[test]
fn a_keyring_that_cannot_be_read_is_named_in_the_proof_of_the_others() {
    let setup = driven();
    fs::write(setup.path("keys/ander/keyring.json"), "{").unwrap();
    let ran = setup.run(["audit", "--json"]).expect(1);
    let summary = &ran.json()["summary"];
    assert_eq!(summary["unreadable_keyrings"], serde_json::json!(["ander"]));
    assert_eq!(summary["without_key"], serde_json::json!([]));
    let file = setup.write("report", "older");
    setup.run(["audit", "--out", &file]).expect(1);
    let written = fs::read_to_string(&file).unwrap();
    assert!(
        written.contains("Keyrings that can't be read: ander\n"),
        "{written}"
    );
    setup.run(["audit", "voorbeeld"]).expect(0);
}
