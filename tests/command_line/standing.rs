//! `zegel org suspend`, `resume` and `retire`.

use std::fs;

use serde_json::Value;

use crate::setup::{MESSAGE, Setup};

/// The words of the audit log, in their order.
fn audited(setup: &Setup) -> Vec<String> {
    let text = fs::read_to_string(setup.path("keys/audit.log")).unwrap();
    text.lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|line| line["event"].as_str().unwrap().to_owned())
        .collect()
}

fn states(setup: &Setup) -> Vec<(String, String)> {
    let keys = setup
        .run(["key", "list", "--json"])
        .expect(0)
        .member("keys");
    let domains = keys[0]["domains"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    domains
        .map(|one| (text(&one["domain"]), text(&one["state"])))
        .collect()
}

fn state(domain: &str, state: &str) -> (String, String) {
    (domain.to_owned(), state.to_owned())
}

#[test]
fn an_organisation_is_suspended_and_resumed() {
    let setup = Setup::with_key();
    let message = setup.write("message", MESSAGE);
    let before = audited(&setup).len();
    setup
        .run(["org", "resume", "voorbeeld"])
        .expect(0)
        .says(&["voorbeeld is not suspended: nothing has changed"]);
    setup.run(["org", "suspend", "voorbeeld"]).expect(0).says(&[
        "voorbeeld is suspended: a running signer signs none of its mail",
        "[policy] suspended",
        "`zegel org resume voorbeeld` ends it",
    ]);
    let shown = setup.run(["org", "show", "voorbeeld", "--json"]).expect(0);
    let since = shown.json()["suspended"].as_str().unwrap().to_owned();
    setup.run(["org", "suspend", "voorbeeld"]).expect(0).says(&[
        "voorbeeld is suspended already, since ",
        &since[..since.len().min(19)],
    ]);
    setup
        .run(["sign", &message])
        .expect(1)
        .complains(&["suspended"]);
    setup
        .run(["org", "resume", "voorbeeld"])
        .expect(0)
        .says(&["voorbeeld is suspended no more"]);
    setup.run(["sign", &message]).expect(0);
    assert_eq!(audited(&setup)[before..], ["suspended", "resumed"]);
    let shown = setup.run(["org", "show", "voorbeeld", "--json"]).expect(0);
    assert_eq!(shown.json()["suspended"], Value::Null);
}

#[test]
fn an_organisation_without_keys_is_suspended() {
    let setup = Setup::new();
    setup.run(["org", "suspend", "voorbeeld"]).expect(0);
    setup
        .run(["org", "show", "voorbeeld"])
        .expect(0)
        .says(&["since "]);
}

#[test]
fn an_unknown_organisation_has_no_standing() {
    let setup = Setup::with_key();
    for word in ["suspend", "resume", "retire"] {
        setup
            .run(["org", word, "vorbeeld"])
            .expect(2)
            .complains(&["there is no organisation vorbeeld", "zegel org list"]);
    }
    assert!(!setup.path("keys/vorbeeld").exists());
}

#[test]
fn an_organisation_is_retired_when_its_file_is_gone() {
    let setup = Setup::with_key();
    fs::remove_file(setup.path("orgs.d/voorbeeld.toml")).unwrap();
    // The keystore still knows it.
    setup.run(["org", "suspend", "voorbeeld"]).expect(0);
    setup.run(["org", "resume", "voorbeeld"]).expect(0);
    setup.run(["org", "retire", "voorbeeld"]).expect(0).says(&[
        "nieuws.voorbeeld.nl: s1 signs no more",
        "\nvoorbeeld.nl: s1 signs no more",
        "leave its record in the DNS until the keeper asks for it",
        "To undo this, put the file of voorbeeld back",
    ]);
    setup
        .run(["org", "retire", "voorbeeld"])
        .expect(0)
        .complains(&["warning: voorbeeld has no key in use, so there is nothing to retire"]);
}

#[test]
fn one_domain_is_retired_when_its_file_does_not_have_it() {
    let setup = Setup::with_key();
    let retire = [
        "org",
        "retire",
        "voorbeeld",
        "--domain",
        "nieuws.voorbeeld.nl",
    ];
    setup.write("orgs.d/voorbeeld.toml", "domains = [\"voorbeeld.nl\"]\n");
    // Not that of a mistake.
    setup
        .run([
            "org",
            "retire",
            "voorbeeld",
            "--domain",
            "niews.voorbeeld.nl",
        ])
        .expect(2)
        .complains(&[
            "no key of voorbeeld was made for niews.voorbeeld.nl",
            "did you mean nieuws.voorbeeld.nl?",
        ]);
    let done = setup
        .run(retire)
        .expect(0)
        .says(&["nieuws.voorbeeld.nl: s1 signs no more"]);
    assert!(!done.out.contains("\nvoorbeeld.nl: "), "{}", done.out);
    assert_eq!(
        states(&setup),
        [
            state("nieuws.voorbeeld.nl", "draining"),
            state("voorbeeld.nl", "active")
        ]
    );
    setup
        .run(retire)
        .expect(0)
        .complains(&["warning: nieuws.voorbeeld.nl of voorbeeld has no key in use"]);
}

#[test]
fn a_mark_that_cannot_be_written_is_told_of() {
    let setup = Setup::with_key();
    fs::remove_dir_all(setup.path("keys.mark")).unwrap();
    setup.write("keys.mark", "");
    setup
        .run(["org", "suspend", "voorbeeld"])
        .expect(0)
        .complains(&["warning: ", "keys.mark"]);
}
