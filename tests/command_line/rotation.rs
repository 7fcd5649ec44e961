//! `zegel key roll`, `revoke`, `withdraw` and `list`: the life of keys at the operator's word.

use std::fs;

use serde_json::Value;

use crate::setup::{MESSAGE, OTHER_RSA_KEY, Setup};

/// The words of the audit log for one key.
fn audited(setup: &Setup, selector: &str) -> Vec<String> {
    let text = fs::read_to_string(setup.path("keys/audit.log")).unwrap();
    text.lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|line| line["selector"] == selector)
        .map(|line| line["event"].as_str().unwrap().to_owned())
        .collect()
}

/// The only key of `key list` that is not `s1`.
fn successor(setup: &Setup) -> String {
    let keys = setup
        .run(["key", "list", "--json"])
        .expect(0)
        .member("keys");
    let selectors = keys.as_array().unwrap().iter();
    let selectors = selectors.map(|key| key["selector"].as_str().unwrap().to_owned());
    let others: Vec<String> = selectors.filter(|name| name != "s1").collect();
    assert_eq!(others.len(), 1, "{others:?}");
    others[0].clone()
}

fn domain_of(keys: &Value, selector: &str, domain: &str) -> Value {
    let keys = keys.as_array().unwrap();
    let key = keys.iter().find(|key| key["selector"] == selector).unwrap();
    let domains = key["domains"].as_array().unwrap();
    let found = domains.iter().find(|one| one["domain"] == domain);
    found.unwrap().clone()
}

#[test]
fn a_rotation_is_started_and_given_up() {
    let setup = Setup::with_key();
    setup.run(["key", "roll", "voorbeeld"]).expect(0).says(&[
        "made the key voorbeeld-2",
        "(rsa-sha256) for nieuws.voorbeeld.nl, voorbeeld.nl",
        "zegel dns records voorbeeld",
        "Nothing changes for mail until then",
        "zegel key activate voorbeeld voorbeeld-2",
    ]);
    let next = successor(&setup);
    assert_eq!(audited(&setup, &next), ["generated"]);
    setup
        .run(["dns", "records", "voorbeeld"])
        .expect(0)
        .says(&[&next]);
    setup
        .run(["key", "roll", "voorbeeld"])
        .expect(1)
        .complains(&["no key was made", &next, "--abort voorbeeld"]);
    let keys = setup
        .run(["key", "list", "--json"])
        .expect(0)
        .member("keys");
    let first = domain_of(&keys, "s1", "voorbeeld.nl");
    assert_eq!(first["next"]["what"], "await_successor");
    assert_eq!(first["next"]["successor"], next);
    setup.run(["key", "list"]).expect(0).says(&[
        "AGE",
        "NEXT STEP",
        "takes its place",
        "publish its record",
    ]);

    setup.run(["key", "roll", "voorbeeld", &next]).expect(2);
    setup
        .run(["key", "roll", "--abort", "voorbeeld", "s1"])
        .expect(1)
        .complains(&["s1 signs for nieuws.voorbeeld.nl", "nothing was changed"]);
    setup
        .run(["key", "withdraw", "voorbeeld", &next])
        .expect(1)
        .complains(&["never signed", &format!("--abort voorbeeld {next}")]);
    setup
        .run(["key", "roll", "--abort", "voorbeeld", &next])
        .expect(0)
        .says(&["is given up for nieuws.voorbeeld.nl, voorbeeld.nl"]);
    setup
        .run(["key", "roll", "--abort", "voorbeeld", &next])
        .expect(1)
        .complains(&["waits to sign for none of these domains"]);
    // Once more, and never with the same selector.
    let made = setup.run(["key", "roll", "voorbeeld", "--json"]).expect(0);
    assert_eq!(made.member("keys")[0]["selector"], format!("{next}-2"));
}

#[test]
fn rotation_of_one_algorithm() {
    let setup = Setup::with_key();
    setup
        .run(["key", "roll", "voorbeeld", "--algorithm", "ed25519-sha256"])
        .expect(2)
        .complains(&["not among the algorithms of voorbeeld"]);
    setup.write(
        "orgs.d/voorbeeld.toml",
        "domains = [\"voorbeeld.nl\", \"nieuws.voorbeeld.nl\"]\n\
         algorithms = [\"rsa-sha256\", \"ed25519-sha256\"]\n",
    );
    let arguments = ["key", "roll", "voorbeeld", "--algorithm", "ed25519-sha256"];
    let made = setup
        .run(arguments.into_iter().chain(["--json"]))
        .expect(0)
        .member("keys");
    assert_eq!(made.as_array().unwrap().len(), 1);
    assert_eq!(made[0]["algorithm"], "ed25519-sha256");
    setup.run(arguments).expect(1);
    let made = setup.run(["key", "roll", "voorbeeld", "--json"]).expect(0);
    assert_eq!(made.member("keys")[0]["algorithm"], "rsa-sha256");
}

#[test]
fn a_key_that_others_have_is_revoked_at_once() {
    let setup = Setup::with_key();
    let message = setup.write("message", MESSAGE);
    setup.run(["sign", &message]).expect(0);
    setup
        .run(["key", "revoke", "voorbeeld", "s1"])
        .expect(2)
        .complains(&[
            "s1 was not revoked",
            "mail is unsigned until a successor is active",
            "zegel key revoke voorbeeld s1 --compromised",
        ]);
    setup.run(["sign", &message]).expect(0);

    let arguments = ["key", "revoke", "voorbeeld", "s1", "--compromised"];
    let done = setup.run(arguments).expect(0).complains(&[
        "warning: mail from voorbeeld.nl, nieuws.voorbeeld.nl is not signed until a successor",
    ]);
    let next = successor(&setup);
    done.says(&[
        "s1 is revoked for nieuws.voorbeeld.nl, voorbeeld.nl",
        "s1._domainkey.voorbeeld.nl. TXT \"v=DKIM1; k=rsa; p=\"",
        &format!("made the key {next}"),
        &format!("zegel key activate voorbeeld {next}"),
        "--assume-published",
    ]);
    setup
        .run(["sign", &message])
        .expect(1)
        .complains(&["awaiting_key"]);
    assert_eq!(
        audited(&setup, "s1"),
        ["imported", "activated", "revoked", "revoked"]
    );
    setup
        .run(arguments)
        .expect(1)
        .complains(&["s1 was revoked before"]);
    // The way out: the operator's word.
    setup
        .run(["key", "activate", "voorbeeld", &next, "--assume-published"])
        .expect(0);
    setup.run(["sign", &message]).expect(0);
    setup
        .run(["key", "withdraw", "voorbeeld", "s1"])
        .expect(0)
        .says(&["s1 is withdrawn for nieuws.voorbeeld.nl, voorbeeld.nl"]);
}

#[test]
fn a_waiting_successor_is_the_one_after_a_revocation() {
    let setup = Setup::with_key();
    setup.run(["key", "roll", "voorbeeld"]).expect(0);
    let next = successor(&setup);
    setup
        .run(["key", "revoke", "voorbeeld", "s1", "--compromised"])
        .expect(0)
        .says(&[&format!("zegel key activate voorbeeld {next}")]);
    assert_eq!(successor(&setup), next);
}

#[test]
fn a_record_is_given_up_when_it_may_be() {
    let setup = Setup::with_key();
    let arguments = [
        "key",
        "import",
        "voorbeeld",
        OTHER_RSA_KEY,
        "--selector",
        "s2",
    ];
    setup
        .run(arguments.into_iter().chain(["--assume-published"]))
        .expect(0);
    let withdraw = ["key", "withdraw", "voorbeeld", "s1"];
    setup
        .run(withdraw)
        .expect(1)
        .complains(&["mail on its way may still need the record of s1", "--force"]);
    setup
        .run(["key", "withdraw", "voorbeeld", "s2", "--force"])
        .expect(1)
        .complains(&["s2 signs for", "nothing was changed"]);
    setup
        .run(withdraw.into_iter().chain(["--domain", "anders.nl"]))
        .expect(2)
        .complains(&["s1 was not made for anders.nl"]);
    let forced = ["--force", "--domain", "voorbeeld.nl"];
    setup
        .run(withdraw.into_iter().chain(forced))
        .expect(0)
        .says(&["s1 is withdrawn for voorbeeld.nl, as you say"]);
    let keys = setup
        .run(["key", "list", "--json"])
        .expect(0)
        .member("keys");
    let state = |domain| domain_of(&keys, "s1", domain)["state"].clone();
    assert_eq!(state("voorbeeld.nl"), "withdrawn");
    assert_eq!(state("nieuws.voorbeeld.nl"), "draining");
    let events = audited(&setup, "s1");
    assert_eq!(events.last().unwrap(), "withdrawn_by_word");
    setup
        .run(withdraw.into_iter().chain(forced))
        .expect(1)
        .complains(&["withdrawn already"]);
}

#[test]
fn keys_are_listed_with_what_comes_next() {
    let setup = Setup::with_key();
    let keys = setup
        .run(["key", "list", "--json"])
        .expect(0)
        .member("keys");
    assert!(keys[0]["age_seconds"].as_u64().unwrap() < 600);
    let next = &keys[0]["domains"][0]["next"];
    assert_eq!(next["what"], "make_successor");
    assert_eq!(next["text"], "its successor is made");
    assert!(next["when"].as_str().unwrap().starts_with("20"));
    assert!(next.get("successor").is_none());
    setup
        .run(["key", "list"])
        .expect(0)
        .says(&["its successor is made", "NEXT AT"]);
}

#[test]
fn nothing_is_concluded_without_an_answer() {
    let setup = Setup::with_key();
    setup.run(["key", "roll", "voorbeeld"]).expect(0);
    let next = successor(&setup);
    setup
        .run(["key", "activate", "voorbeeld", &next])
        .expect(1)
        .complains(&[
            &format!("voorbeeld.nl: {next} was not activated"),
            "every name server must answer",
            "dkim.unreachable: ",
            "--assume-published",
        ]);
    setup
        .run(["key", "activate", "voorbeeld", "s1"])
        .expect(0)
        .says(&["voorbeeld.nl: s1 signed already"]);
    let found = setup.run(["dns", "check", "--json"]).expect(1).json();
    assert_eq!(found["good"], false);
    assert_eq!(found["domains"].as_array().unwrap().len(), 3);
    assert_eq!(found["domains"][0]["keys"][0]["sight"], "unknown");
    assert_eq!(found["domains"][2]["role"], "parked");
    setup
        .run(["dns", "check", "voorbeeld", "--domain", "oud-voorbeeld.nl"])
        .expect(1)
        .says(&["dns.unknown", "looked at 1 domains and 0 key records"]);
    setup
        .run(["dns", "check", "--domain", "niews.voorbeeld.nl"])
        .expect(2)
        .complains(&["did you mean nieuws.voorbeeld.nl?"]);
}
