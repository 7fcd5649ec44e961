//! `zegel check`, exit statuses, and what holds for every command.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
};

use crate::setup::{ED25519_KEY, RSA_KEY, Setup, finish, zegel};

#[test]
fn every_problem_of_the_configuration_is_shown() {
    let setup = Setup::new();
    setup.write(
        "zegel.toml",
        "[limits]\nidel = \"1s\"\nconnections = \"many\"\n",
    );
    setup.write(
        "orgs.d/twee.toml",
        "domains = [\"voorbeeld.nl\", \"-.nl\"]\n",
    );
    let texts = [
        "zegel.toml:2: limits.idel: ",
        "did you mean idle?",
        "zegel.toml:3: limits.connections: ",
        "voorbeeld.nl",
        "-.nl",
    ];
    for arguments in [&["check"][..], &["org", "list"], &["key", "list"]] {
        setup.run(arguments).expect(78).complains(&texts);
    }
    let found = setup.run(["check", "--json"]).expect(78);
    assert_eq!(found.err, "");
    let found = found.json();
    assert_eq!(found["good"], false);
    let problems = found["problems"].as_array().unwrap();
    assert!(problems.len() >= 4, "{problems:?}");
    assert_eq!(problems[0]["line"], 2);
    assert_eq!(problems[0]["key"], "limits.idel");
    let missing = finish(
        zegel().args(["check", "--config", "/nowhere/zegel.toml"]),
        b"",
    );
    missing
        .expect(78)
        .complains(&["/nowhere/zegel.toml: there is no such file"]);
}

/// A mistake in the file of one organisation stops nobody who is about another one.
#[test]
fn a_mistake_of_one_organisation_is_its_own() {
    let setup = Setup::with_key();
    setup.write("orgs.d/twee.toml", "domians = [\"twee.example\"]\n");
    let mistake = "twee.toml:1: domians: unknown key; did you mean domains?";
    setup
        .run(["check"])
        .expect(1)
        .says(&["s1"])
        .complains(&[mistake]);
    let found = setup.run(["check", "--json"]).expect(1).json();
    assert_eq!(found["problems"].as_array().unwrap().len(), 2, "{found}");
    let warning = &["warning: ", mistake];
    setup.run(["org", "list"]).expect(0).complains(warning);
    let revoke = ["key", "revoke", "voorbeeld", "s1", "--compromised"];
    setup.run(revoke).expect(0).says(&["s1 is revoked"]);
    // It may be meant to have a domain of this one.
    setup.write("orgs.d/drie.toml", "domians = [\"voorbeeld.nl\"]\n");
    let warning = &["warning: ", "drie.toml:1: domians: unknown key"];
    let show = ["org", "show", "voorbeeld"];
    setup.run(show).expect(0).complains(warning);
    // Its own.
    for arguments in [
        &["key", "generate", "twee"][..],
        &["org", "show", "twee"],
        &["org", "retire", "twee"],
    ] {
        let own = "twee.toml: the file of twee has mistakes (above); correct them first";
        setup.run(arguments).expect(1).complains(&[mistake, own]);
    }
    // What would be wrong without it.
    let zone = ["dns", "zone", "dkim.example"];
    setup.run(zone).expect(1).complains(&[mistake]);
    // Two files have a domain.
    setup.write("orgs.d/twee.toml", "domains = [\"voorbeeld.nl\"]\n");
    let retire = ["org", "retire", "voorbeeld", "--domain", "voorbeeld.nl"];
    setup
        .run(retire)
        .expect(2)
        .complains(&["take voorbeeld.nl out of domains in orgs.d/voorbeeld.toml"]);
}

#[test]
fn the_file_can_come_from_the_environment() {
    let setup = Setup::with_key();
    let mut command = zegel();
    command.env("ZEGEL_CONFIG", setup.path("zegel.toml"));
    finish(command.arg("check"), b"").expect(0).says(&["s1"]);
    // The option wins.
    finish(command.args(["--config", "/nowhere"]), b"").expect(78);
}

#[test]
fn good_keys_pass() {
    let setup = Setup::with_key();
    let found = setup.run(["check", "--json"]).expect(0).json();
    assert_eq!(found["good"], true);
    let domains = found["organisations"][0]["domains"].as_array().unwrap();
    let states: Vec<_> = domains.iter().map(|domain| &domain["state"]).collect();
    assert_eq!(states, ["signs", "signs", "parked"]);
    assert_eq!(domains[0]["keys"][0]["selector"], "s1");
    assert_eq!(domains[0]["keys"][0]["algorithm"], "rsa-sha256");
    setup.run(["check"]).expect(0).says(&[
        "ORGANISATION",
        "nieuws.voorbeeld.nl",
        "s1 (rsa-sha256)",
        "problems: 0",
    ]);
}

#[test]
fn what_waits_is_a_warning() {
    let setup = Setup::with_key();
    setup.write("orgs.d/twee.toml", "domains = [\"twee.example\"]\n");
    setup.write(
        "orgs.d/voorbeeld.toml",
        "domains = [\"voorbeeld.nl\", \"nieuws.voorbeeld.nl\"]\n\
         algorithms = [\"rsa-sha256\", \"ed25519-sha256\"]\n",
    );
    setup
        .run(["check"])
        .expect(0)
        .complains(&[
            "warning: twee.example of twee has no key in use",
            "warning: voorbeeld.nl of voorbeeld has no ed25519-sha256 key in use",
        ])
        .says(&["awaiting key", "warnings: 3"]);
    fs::remove_file(setup.path("orgs.d/voorbeeld.toml")).unwrap();
    setup
        .run(["check"])
        .expect(1)
        .complains(&["voorbeeld.nl of voorbeeld is in no file any more"]);
}

#[test]
fn bad_keys_are_found() {
    let setup = Setup::with_key();
    let arguments = [
        "key",
        "import",
        "voorbeeld",
        ED25519_KEY,
        "--selector",
        "s2",
    ];
    setup.run(arguments).expect(0);
    let spare = setup.path("keys/voorbeeld/s2.pem");
    fs::set_permissions(&spare, fs::Permissions::from_mode(0o644)).unwrap();
    // Not in use, so the signer would not mind, but the next one will.
    setup
        .run(["check"])
        .expect(1)
        .complains(&["chmod 600", "s2.pem"])
        .says(&["problems: 1"]);
    fs::set_permissions(&spare, fs::Permissions::from_mode(0o600)).unwrap();
    fs::remove_file(setup.path("keys/voorbeeld/s1.pem")).unwrap();
    let message = setup.write("message", crate::setup::MESSAGE);
    setup
        .run(["check"])
        .expect(1)
        .complains(&["s1.pem: the key file is missing"])
        .says(&["UNUSABLE"]);
    setup.run(["sign", &message]).expect(1).complains(&[
        "s1.pem: the key file is missing",
        "not signed: signing_failure: ",
        "it would be put off (451)",
    ]);
}

#[test]
fn no_organisations_need_no_keystore() {
    let setup = Setup::new();
    fs::remove_file(setup.path("orgs.d/voorbeeld.toml")).unwrap();
    fs::remove_dir_all(setup.path("keys")).unwrap();
    setup.run(["check"]).expect(0).complains(&["warning: "]);
    setup
        .run(["org", "list"])
        .expect(0)
        .says(&["there are no organisations"]);
}

#[test]
fn usage() {
    for (arguments, status) in [
        (&["--version"][..], 0),
        (&["--help"], 0),
        (&["key", "generate", "--help"], 0),
        (&[], 2),
        (&["chekc"], 2),
        (&["check", "--jsno"], 2),
        (&["key", "generate", "voorbeeld", "--bits", "1024"], 2),
        (
            &["key", "generate", "voorbeeld", "--algorithm", "rsa-sha1"],
            2,
        ),
        (&["key", "import", "voorbeeld", RSA_KEY], 2),
        (&["verify", "--resolver", "x"], 2),
        (
            &["verify", "--resolver", "127.0.0.1", "--record", "v=DKIM1"],
            2,
        ),
    ] {
        let done = finish(zegel().args(arguments), b"").expect(status);
        assert_eq!(done.out.is_empty(), status != 0, "{arguments:?}");
        assert_eq!(done.err.is_empty(), status == 0, "{arguments:?}");
    }
    let version = finish(zegel().arg("--version"), b"").out;
    let backend = if cfg!(feature = "aws-lc-rs") {
        "aws-lc-rs"
    } else {
        "ring"
    };
    assert_eq!(
        version,
        format!("zegel {} ({backend})\n", env!("CARGO_PKG_VERSION"))
    );
}

/// `zegel … | head`, with a reader that is gone before anything is written.
#[test]
fn a_closed_pipe_is_no_error() {
    let setup = Setup::with_key();
    let closed = |command: &mut Command| {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        output.status.code()
    };
    for arguments in [
        &["check"][..],
        &["check", "--json"],
        &["org", "list"],
        &["key", "list"],
        &["--help"],
    ] {
        assert_eq!(
            closed(setup.command().args(arguments)),
            Some(0),
            "{arguments:?}"
        );
    }
    // What changes something does so to its end.
    let arguments = ["key", "generate", "voorbeeld", "--selector", "s2"];
    assert_eq!(closed(setup.command().args(arguments)), Some(0));
    setup.run(["key", "list"]).expect(0).says(&["s2"]);
}

#[test]
fn a_full_disk_is_an_error() {
    let setup = Setup::with_key();
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let output = setup
        .command()
        .args(["org", "list"])
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("standard output: No space"));
}

#[test]
fn a_listener_that_signs_nothing_is_a_warning() {
    let setup = Setup::with_key();
    let text = fs::read_to_string(setup.path("zegel.toml")).unwrap();
    let listener =
        "[[listener]]\nname = \"trial\"\nsocket = \"unix:/run/zegel/trial.sock\"\nobserve = true\n";
    setup.write("zegel.toml", &format!("{text}{listener}"));
    setup.run(["check"]).expect(0).complains(&[
        "warning: ",
        "listener[0].observe: this listener only looks on: no mail on it is signed",
    ]);
    let explained = setup.run_with(&["explain"], crate::setup::MESSAGE.as_bytes());
    explained.expect(0).says(&["observe = true"]);
}

#[test]
fn a_pool_smaller_than_one_message_is_warned_of() {
    let setup = Setup::with_key();
    let before = fs::read_to_string(setup.path("zegel.toml")).unwrap();
    let limits = |memory: &str| {
        let limits = format!("[limits]\nheader_bytes = \"4M\"\nheader_memory = \"{memory}\"\n");
        setup.write("zegel.toml", &format!("{limits}{before}"));
        setup.run(["check"])
    };
    limits("2M").complains(&[
        "zegel.toml:3: limits.header_memory: ",
        "2097152 bytes",
        "less than the 4194304 of header_bytes",
        "make it at least header_bytes",
    ]);
    let good = limits("4M");
    assert!(!good.err.contains("header_memory"), "{}", good.err);
}
