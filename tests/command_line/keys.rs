//! `zegel key`

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
};

use serde_json::Value;

use crate::setup::{ED25519_KEY, MESSAGE, OTHER_RSA_KEY, RSA_KEY, Setup, is_sealed};

#[test]
fn the_whole_way_of_a_key() {
    let setup = Setup::new();
    let made = setup
        .run(["key", "generate", "voorbeeld", "--json"])
        .expect(0);
    let made = &made.member("keys")[0];
    let selector = made["selector"].as_str().unwrap();
    assert!(selector.starts_with("voorbeeld-2"), "{selector}");
    assert_eq!(made["bits"], 2048);
    assert_eq!(
        made["names"][1],
        format!("{selector}._domainkey.voorbeeld.nl")
    );
    let file = made["file"].as_str().unwrap();
    assert_eq!(fs::metadata(file).unwrap().mode() & 0o777, 0o600);

    let message = setup.write("message", MESSAGE);
    setup
        .run(["sign", &message])
        .expect(1)
        .complains(&["not signed: awaiting_key: ", "it would pass unsigned"]);
    setup
        .run(["key", "activate", "voorbeeld", selector])
        .expect(1)
        .complains(&["was not activated", "--assume-published", "audit log"]);
    setup
        .run([
            "key",
            "activate",
            "voorbeeld",
            selector,
            "--assume-published",
        ])
        .expect(0)
        .says(&[
            "voorbeeld.nl: ",
            "signs from now on",
            "nothing has to be restarted",
        ]);
    setup.run(["check"]).expect(0).says(&["signs", selector]);

    let signed = setup.run(["sign", &message]).expect(0).out;
    let record = made["record"].as_str().unwrap();
    setup
        .run_with(&["verify", "--record", record], signed.as_bytes())
        .expect(0)
        .says(&["pass", selector, "2048"]);
    let export = ["key", "export", "voorbeeld", selector];
    let plain = setup.write("plain.pem", &setup.run(export).expect(0).out);
    let file = if is_sealed() { &plain } else { file };
    for file in [file, &plain] {
        setup
            .run_with(&["verify", "--key", file], signed.as_bytes())
            .expect(0);
    }
    // Another year of the same: the next selector.
    let next = setup.run(["key", "generate", "voorbeeld"]).expect(0);
    next.says(&[
        &format!("key {selector}-2 of voorbeeld: rsa-sha256, 2048 bits"),
        &format!("zegel key activate voorbeeld {selector}-2"),
        "p=MIIB",
    ]);
}

#[test]
fn one_key_for_each_algorithm() {
    let setup = Setup::new();
    setup.write(
        "orgs.d/voorbeeld.toml",
        "domains = [\"voorbeeld.nl\"]\nalgorithms = [\"ed25519-sha256\", \"rsa-sha256\"]\n",
    );
    setup
        .run(["key", "generate", "voorbeeld", "--selector", "x"])
        .expect(2)
        .complains(&["--algorithm"]);
    let made = setup
        .run(["key", "generate", "voorbeeld", "--json"])
        .expect(0);
    let made = made.member("keys");
    let algorithms: Vec<&str> = made
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["algorithm"].as_str().unwrap())
        .collect();
    assert_eq!(algorithms, ["ed25519-sha256", "rsa-sha256"]);
    assert_eq!(
        made[1]["selector"],
        format!("{}-2", made[0]["selector"].as_str().unwrap())
    );
}

#[test]
fn a_selector_and_domains_of_choice() {
    let setup = Setup::new();
    let arguments = [
        "key",
        "generate",
        "voorbeeld",
        "--algorithm",
        "ed25519-sha256",
        "--selector",
        "Lente",
        "--domain",
        "NIEUWS.voorbeeld.nl",
        "--json",
    ];
    let made = setup
        .run(arguments)
        .expect(0)
        .warns(&["ed25519-sha256 is not among the algorithms of voorbeeld"]);
    let names = &made.member("keys")[0]["names"];
    assert_eq!(
        *names,
        serde_json::json!(["lente._domainkey.nieuws.voorbeeld.nl"])
    );
    setup.run(arguments).expect(0);
    let another = [&arguments[..], &["--another"]].concat();
    setup
        .run(another)
        .expect(1)
        .says(&["voorbeeld has or had a key with the selector lente"]);
    for (domain, expected) in [
        ("oud-voorbeeld.nl", "is parked"),
        ("nieuw.voorbeeld.nl", "did you mean nieuws.voorbeeld.nl?"),
        (
            "anders.example",
            "add it to domains in orgs.d/voorbeeld.toml",
        ),
    ] {
        setup
            .run(["key", "generate", "voorbeeld", "--domain", domain])
            .expect(2)
            .complains(&[expected]);
    }
}

/// The keeper makes keys too: whoever asks for one gets the one that waits.
#[test]
fn a_key_that_waits_is_given_back() {
    let setup = Setup::new();
    let generate = |options: &[&str]| {
        setup.run([&["key", "generate", "voorbeeld", "--json"], options].concat())
    };
    let first = generate(&[]).expect(0).member("keys");
    assert_eq!(first[0]["made"], true);
    let selector = first[0]["selector"].as_str().unwrap().to_owned();
    // The same options, said or not.
    for options in [&[][..], &["--bits", "2048"], &["--selector", &selector]] {
        let mut again = generate(options).expect(0).member("keys");
        assert_eq!(again[0]["made"], false, "{options:?}");
        again[0]["made"] = true.into();
        assert_eq!(again, first, "{options:?}");
    }
    let one = generate(&["--domain", "voorbeeld.nl"])
        .expect(0)
        .member("keys");
    assert_eq!(one[0]["made"], false);
    assert_eq!(one[0]["domains"], serde_json::json!(["voorbeeld.nl"]));
    setup
        .run(["key", "generate", "voorbeeld"])
        .expect(0)
        .says(&[
            &format!("key {selector} of voorbeeld: rsa-sha256, 2048 bits"),
            "It was made on ",
            "and still waits. --another makes one more.",
            &format!("  {selector}._domainkey.voorbeeld.nl"),
            &format!("zegel key activate voorbeeld {selector}"),
        ]);
    // Others are not what waits.
    for options in [["--bits", "3072"], ["--selector", "herfst"]] {
        generate(&options).expect(1).says(&[
            &format!("no key was made: {selector} of voorbeeld (rsa-sha256, 2048 bits)"),
            "with --another, one more is made",
        ]);
    }
    let another = generate(&["--another"]).expect(0).member("keys");
    assert_eq!(another[0]["made"], true);
    assert_eq!(another[0]["selector"], format!("{selector}-2"));
    // Of two, the last one is it.
    let again = generate(&[]).expect(0).member("keys");
    assert_eq!(again[0]["selector"], another[0]["selector"]);
    let ed25519 = ["--algorithm", "ed25519-sha256"];
    assert_eq!(generate(&ed25519).expect(0).member("keys")[0]["made"], true);
    assert_eq!(
        generate(&ed25519).expect(0).member("keys")[0]["made"],
        false
    );
    let another = ["--algorithm", "ed25519-sha256", "--bits", "3072"];
    assert_eq!(
        generate(&another).expect(0).member("keys")[0]["made"],
        false
    );
}

#[test]
fn only_domains_without_a_key_that_waits_get_a_new_one() {
    let setup = Setup::new();
    let generate = |options: &[&str]| {
        let made = setup.run([&["key", "generate", "voorbeeld", "--json"], options].concat());
        made.expect(0).member("keys")
    };
    let first = generate(&["--domain", "voorbeeld.nl"]);
    let both = generate(&[]);
    assert_eq!(both[0]["selector"], first[0]["selector"]);
    assert_eq!(both[0]["made"], false);
    assert_eq!(both[1]["made"], true);
    assert_eq!(
        both[1]["domains"],
        serde_json::json!(["nieuws.voorbeeld.nl"])
    );
    // One that signs waits no more.
    let selector = both[1]["selector"].as_str().unwrap();
    let activate = ["key", "activate", "voorbeeld", selector];
    setup
        .run(activate.into_iter().chain(["--assume-published"]))
        .expect(0);
    let more = generate(&[]);
    assert_eq!(more[0]["selector"], first[0]["selector"]);
    assert_eq!(more[1]["made"], true);
    assert_ne!(more[1]["selector"], both[1]["selector"]);
}

#[test]
fn a_key_without_its_file_waits_for_nothing() {
    let setup = Setup::new();
    let generate = || setup.run(["key", "generate", "voorbeeld", "--json"]);
    let lost = generate().expect(0).member("keys");
    fs::remove_file(lost[0]["file"].as_str().unwrap()).unwrap();
    let made = generate().expect(0).warns(&[
        &format!(
            "{}: the key file is missing",
            lost[0]["file"].as_str().unwrap()
        ),
        "another key is made",
    ]);
    assert_eq!(made.member("keys")[0]["made"], true);
    assert_eq!(generate().expect(0).member("keys")[0]["made"], false);
}

#[test]
fn an_imported_key_takes_over_and_the_older_one_drains() {
    let setup = Setup::with_key();
    let file = setup.write("key.pem", &fs::read_to_string(OTHER_RSA_KEY).unwrap());
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let import = ["key", "import", "voorbeeld", &file, "--selector", "s2"];
    setup
        .run(import)
        .expect(0)
        .complains(&["warning: ", "others can read this private key"])
        .says(&["rsa-sha256, 3072 bits", "It does not sign yet"]);
    let activate = [
        "key",
        "activate",
        "voorbeeld",
        "s2",
        "--assume-published",
        "--domain",
        "voorbeeld.nl",
    ];
    setup
        .run(activate)
        .expect(0)
        .says(&["voorbeeld.nl: s2 signs from now on; s1 drains: leave its record in the DNS"]);
    setup
        .run(activate)
        .expect(0)
        .says(&["voorbeeld.nl: s2 signed already"]);

    let keys = setup.run(["key", "list", "voorbeeld", "--json"]).expect(0);
    let states: Vec<(String, String, String)> = keys
        .member("keys")
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|key| {
            let domains = key["domains"].as_array().unwrap().clone();
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let selector = text(&key["selector"]);
            domains.into_iter().map(move |domain| {
                (
                    selector.clone(),
                    text(&domain["domain"]),
                    text(&domain["state"]),
                )
            })
        })
        .collect();
    let expected = [
        ("s1", "nieuws.voorbeeld.nl", "active"),
        ("s1", "voorbeeld.nl", "draining"),
        ("s2", "nieuws.voorbeeld.nl", "generated"),
        ("s2", "voorbeeld.nl", "active"),
    ];
    let expected = expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned()));
    assert_eq!(states, expected);
    setup
        .run(["key", "list"])
        .expect(0)
        .says(&["SELECTOR", "draining", "3072"]);
    setup
        .run(["key", "activate", "voorbeeld", "s1", "--assume-published"])
        .expect(1)
        .complains(&["s1, for voorbeeld.nl: a key that is draining cannot become active"]);
}

#[test]
fn what_is_done_with_keys_is_in_the_audit_log() {
    let setup = Setup::with_key();
    let text = fs::read_to_string(setup.path("keys/audit.log")).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["event"], "imported");
    assert_eq!(lines[0]["evidence"], Value::Null);
    assert_eq!(lines[1]["event"], "activated");
    assert_eq!(lines[1]["evidence"], "assumed");
    assert_eq!(lines[1]["selector"], "s1");
    assert_eq!(lines[1]["domains"].as_array().unwrap().len(), 2);
    for field in ["time", "uid", "pid", "organisation"] {
        assert!(!lines[1][field].is_null(), "{field}");
    }
    let metadata = fs::metadata(setup.path("keys/audit.log")).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
}

#[test]
fn what_cannot_be_imported() {
    let setup = Setup::with_key();
    let folder = "tests/fixtures/keys";
    for (file, status, expected) in [
        ("unsafe-rsa1024-pkcs8.pem", 1, "the RSA key has 1024 bits"),
        ("unsafe-rsa2048-public.pem", 1, "only the public key"),
        ("unsafe-rsa2048-pkcs8-encrypted.pem", 1, "it is encrypted"),
        (
            "unsafe-rsa2048-pkcs8.pem",
            1,
            "already that of voorbeeld, with the selector s1",
        ),
        ("nowhere.pem", 2, "nowhere.pem: No such file"),
    ] {
        let file = format!("{folder}/{file}");
        setup
            .run(["key", "import", "voorbeeld", &file, "--selector", "s2"])
            .expect(status)
            .complains(&[expected]);
    }
}

#[test]
fn names_that_are_nearly_right() {
    let setup = Setup::with_key();
    for arguments in [
        &["key", "generate", "voorbeld"][..],
        &["key", "list", "voorbeld"],
        &["key", "import", "voorbeld", RSA_KEY, "--selector", "s"],
        &["org", "show", "voorbeld"],
    ] {
        setup
            .run(arguments)
            .expect(2)
            .complains(&["there is no organisation voorbeld; did you mean voorbeeld?"]);
    }
    setup
        .run(["key", "activate", "voorbeeld", "s2", "--assume-published"])
        .expect(2)
        .complains(&["voorbeeld has no key with the selector s2; did you mean s1?"]);
    setup
        .run(["key", "list", "iets-heel-anders"])
        .expect(2)
        .complains(&["see `zegel org list`"]);
}

#[test]
fn no_keystore_yet() {
    let setup = Setup::new();
    fs::remove_dir_all(setup.path("keys")).unwrap();
    fs::remove_dir_all(setup.path("keys.mark")).unwrap();
    for arguments in [
        &[
            "key",
            "generate",
            "voorbeeld",
            "--algorithm",
            "ed25519-sha256",
        ][..],
        &["key", "list"],
        &["check"],
    ] {
        setup
            .run(arguments)
            .expect(1)
            .complains(&["there is no keystore; make it with `install -d -m 700"]);
    }
    // The configuration can be shown all the same.
    setup
        .run(["org", "list"])
        .expect(0)
        .complains(&["warning: ", "there is no keystore"])
        .says(&["voorbeeld"]);
    setup.make_keystore();
    setup
        .run(["key", "list"])
        .expect(0)
        .says(&["zegel key generate ORG"]);
    setup
        .run([
            "key",
            "import",
            "voorbeeld",
            ED25519_KEY,
            "--selector",
            "s1",
        ])
        .expect(0);
}
