//! `zegel org retire` while the file is there, and what is left of those who have left.

use std::{fs, thread, time::Duration};

use serde_json::Value;

use crate::setup::{MESSAGE, Setup};

fn events(setup: &Setup) -> Vec<String> {
    let text = fs::read_to_string(setup.path("keys/audit.log")).unwrap();
    let lines = text.lines().map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        line["event"].as_str().unwrap().to_owned()
    });
    lines.collect()
}

/// The domains that a list has, with their states and what comes next.
fn listed(keys: &Value) -> Vec<[String; 3]> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let keys = keys.as_array().unwrap().iter();
    keys.flat_map(|key| key["domains"].as_array().unwrap())
        .map(|one| [&one["domain"], &one["state"], &one["next"]["what"]].map(text))
        .collect()
}

fn row(domain: &str, state: &str, next: &str) -> [String; 3] {
    [domain, state, next].map(str::to_owned)
}

#[test]
fn an_organisation_that_leaves_is_signed_for_a_grace_and_can_stay() {
    let setup = Setup::with_key();
    let message = setup.write("message", MESSAGE);
    let before = events(&setup).len();
    let settings = fs::read_to_string(setup.path("zegel.toml")).unwrap();
    let handover = "\n[handover]\ncontact = \"dns@relay.example\"\n\
                    spf = \"include:_spf.relay.example\"\nrua = \"dmarc@relay.example\"\n";
    setup.write("zegel.toml", &(settings + handover));
    let english = ["org", "retire", "voorbeeld", "--lang", "en"];
    setup.run(english).expect(0).says(&[
        "voorbeeld leaves: its mail is signed until ",
        "To take it back: zegel org retire voorbeeld --undo",
        "The end of our e-mail service for ",
        "We sign e-mail from voorbeeld.nl, nieuws.voorbeeld.nl until ",
        "leave all records as they are",
        "an empty p=",
        "take include:_spf.relay.example out of your SPF record",
        "take mailto:dmarc@relay.example out of rua=",
        "ask dns@relay.example",
    ]);
    setup.run(["sign", &message]).expect(0);
    // A fortnight, by default; another time, by name.
    let told = |setup: &Setup| {
        let found = setup.run(["org", "show", "voorbeeld", "--json"]).expect(0);
        found.json()["leaving"].clone()
    };
    let first = told(&setup);
    let again = ["org", "retire", "voorbeeld", "--grace", "60d", "--json"];
    let done = setup.run(again).expect(0).json();
    assert_eq!(
        (&done["became"], &done["drained"]),
        (&"leaving".into(), &Value::Array(vec![]))
    );
    assert!(
        done["text"]
            .as_str()
            .unwrap()
            .contains("U vertrekt bij ons")
    );
    let second = told(&setup);
    assert_eq!(first["since"], second["since"]);
    assert_eq!(done["until"], second["until"]);
    assert!(first["until"].as_str() < second["until"].as_str());
    assert_eq!(second["ended"], Value::Null);
    // Everything says the same.
    let all = setup.run(["key", "list", "--retired", "--json"]).expect(0);
    let expected = [
        row("nieuws.voorbeeld.nl", "active", "sign_until"),
        row("voorbeeld.nl", "active", "sign_until"),
    ];
    assert_eq!(listed(&all.member("keys")), expected);
    let pack = ["dns", "records", "voorbeeld", "--format", "json"];
    let pack = setup.run(pack).expect(0).json();
    let leaving = &pack["domains"][0]["leaving"];
    assert_eq!(leaving["ended"], false);
    assert_eq!(leaving["spf_remove"], "include:_spf.relay.example");
    assert!(leaving["keep_until"].as_str() > leaving["signs_until"].as_str());
    assert_eq!(pack["domains"][0]["keys"][0]["task"], "keep");
    setup.run(["dns", "records", "voorbeeld"]).expect(0).says(&[
        "U vertrekt bij ons",
        "Wij ondertekenen e-mail van voorbeeld.nl, nieuws.voorbeeld.nl tot en met ",
    ]);
    setup
        .run(["key", "roll", "voorbeeld"])
        .expect(1)
        .complains(&["voorbeeld leaves, so that no rotation begins"]);
    // And all is as it was.
    let undo = ["org", "retire", "voorbeeld", "--undo"];
    setup
        .run(undo)
        .expect(0)
        .says(&["voorbeeld does not leave: its mail is signed as before"]);
    assert_eq!(told(&setup), Value::Null);
    setup
        .run(undo)
        .expect(2)
        .complains(&["nobody said that voorbeeld leaves: there is nothing to undo"]);
    setup
        .run(["key", "list", "--retired"])
        .expect(0)
        .says(&["nothing leaves, and no key is left of what has left"]);
    assert_eq!(events(&setup)[before..], ["leaving", "leaving", "stays"]);
}

#[test]
fn status_tells_who_leaves_and_who_has_left() {
    let setup = Setup::with_key();
    let judged = |setup: &Setup| {
        let status = setup.run(["status", "--json"]).json();
        let mut judgements = status["judgements"].as_array().unwrap().iter();
        judgements
            .find(|one| one["organisation"] == "voorbeeld")
            .cloned()
    };
    let matter = |setup: &Setup| {
        let matters = judged(setup)?["matters"].clone();
        let is_it = |one: &&Value| ["leaving", "left"].contains(&one["what"].as_str().unwrap());
        matters.as_array().unwrap().iter().find(is_it).cloned()
    };
    assert_eq!(matter(&setup), None);
    let grace = ["org", "retire", "voorbeeld", "--grace", "30d"];
    setup.run(grace).expect(0);
    let found = matter(&setup).unwrap();
    assert_eq!(found["level"], "waits");
    assert_eq!(found["actor"], "keeper");
    assert!(found["when"].is_string(), "{found}");
    let text = found["text"]["en"].as_str().unwrap();
    assert!(
        text.starts_with("voorbeeld leaves: its mail is signed until "),
        "{text}"
    );
    let text = found["text"]["nl"].as_str().unwrap();
    assert!(
        text.starts_with("voorbeeld vertrekt: de mail wordt ondertekend tot "),
        "{text}"
    );
    // At once, after all.
    let now = ["org", "retire", "voorbeeld", "--now"];
    setup.run(now).expect(0).says(&[
        "\nvoorbeeld.nl: s1 signs no more; leave its record in the DNS",
        "voorbeeld has left: none of its mail is signed, whatever its file says",
    ]);
    let message = setup.write("message", MESSAGE);
    setup
        .run(["explain", &message])
        .expect(1)
        .complains(&["voorbeeld.nl of voorbeeld has left, by `zegel org retire`"]);
    let checked = setup.run(["check", "--json"]).expect(0).json();
    let domains = &checked["organisations"][0]["domains"];
    assert_eq!(domains[0]["state"], "left");
    assert_eq!(
        checked["warnings"].as_array().unwrap().len(),
        0,
        "{checked}"
    );
    let found = matter(&setup).unwrap();
    assert_eq!(
        (&found["what"], &found["level"]),
        (&"left".into(), &"waits".into())
    );
    // Nobody is told that mail leaves unsigned, or that a key is missing.
    let told = judged(&setup).unwrap();
    assert_eq!(told["level"], "waits", "{told}");
    // Its records are gone: the file may go too.
    let withdraw = ["key", "withdraw", "voorbeeld", "s1", "--force"];
    setup.run(withdraw).expect(0);
    let found = matter(&setup).unwrap();
    assert_eq!(
        (&found["level"], &found["actor"]),
        (&"act".into(), &"operator".into())
    );
    setup
        .run(["org", "retire", "voorbeeld"])
        .expect(2)
        .complains(&[
            "voorbeeld has left already",
            "zegel org retire voorbeeld --undo",
        ]);
}

#[test]
fn one_domain_leaves_and_the_other_stays() {
    let setup = Setup::with_key();
    let message = setup.write("message", MESSAGE);
    let retire = [
        "org",
        "retire",
        "voorbeeld",
        "--domain",
        "nieuws.voorbeeld.nl",
    ];
    setup
        .run(retire)
        .expect(0)
        .says(&["nieuws.voorbeeld.nl of voorbeeld leaves: its mail is signed until "]);
    let undo = ["org", "retire", "voorbeeld", "--undo"];
    setup.run(undo).expect(2).complains(&[
        "nobody said that voorbeeld leaves, though that of nieuws.voorbeeld.nl is there",
    ]);
    setup.run(retire.into_iter().chain(["--now"])).expect(0);
    setup.run(["sign", &message]).expect(0);
    let keys = setup.run(["key", "list", "--retired", "--json"]).expect(0);
    let drains = [row("nieuws.voorbeeld.nl", "draining", "keep_record")];
    assert_eq!(listed(&keys.member("keys")), drains);
    setup
        .run(["org", "show", "voorbeeld"])
        .expect(0)
        .says(&["nieuws.voorbeeld.nl (has left, since "]);
    // It comes back with the command, and not before.
    let next = |setup: &Setup| {
        let keys = setup.run(["key", "list", "--json"]).expect(0);
        listed(&keys.member("keys"))[0].clone()
    };
    assert_eq!(next(&setup), drains[0]);
    setup
        .run(retire.into_iter().chain(["--undo"]))
        .expect(0)
        .says(&["nieuws.voorbeeld.nl of voorbeeld may come back"]);
    assert_eq!(
        next(&setup),
        row("nieuws.voorbeeld.nl", "draining", "return")
    );
}

#[test]
fn keys_without_a_file_are_listed_handed_over_and_revoked() {
    let setup = Setup::with_key();
    fs::remove_file(setup.path("orgs.d/voorbeeld.toml")).unwrap();
    let list = |setup: &Setup| {
        let keys = setup.run(["key", "list", "--retired", "--json"]).expect(0);
        listed(&keys.member("keys"))
    };
    let both = |state: &str, next: &str| {
        ["nieuws.voorbeeld.nl", "voorbeeld.nl"].map(|domain| row(domain, state, next))
    };
    assert_eq!(list(&setup), both("active", "settle_domain"));
    setup
        .run(["key", "list", "voorbeeld", "--retired"])
        .expect(0)
        .says(&["s1", "put its domain back into orgs.d"]);
    // Nobody signs, so that there is nothing to go on with.
    setup
        .run(["org", "retire", "voorbeeld", "--grace", "1d"])
        .expect(2)
        .complains(&["--grace: voorbeeld is in no file of orgs.d any more"]);
    setup.run(["org", "retire", "voorbeeld"]).expect(0);
    assert_eq!(list(&setup), both("draining", "keep_record"));
    setup
        .run(["dns", "records", "voorbeeld", "--lang", "en"])
        .expect(0)
        .says(&["s1._domainkey.voorbeeld.nl"]);
    let revoke = ["key", "revoke", "voorbeeld", "s1", "--compromised"];
    setup.run(revoke).expect(0).says(&[
        "s1 is revoked for nieuws.voorbeeld.nl, voorbeeld.nl",
        "s1._domainkey.voorbeeld.nl. TXT \"v=DKIM1; k=rsa; p=\"",
    ]);
    assert_eq!(list(&setup), both("revoked", "empty_record"));
    setup
        .run(["dns", "records", "voorbeeld", "--lang", "en"])
        .expect(0)
        .says(&["replace it immediately"]);
    // Nothing was made for what is gone.
    assert_eq!(
        fs::read_dir(setup.path("keys/voorbeeld")).unwrap().count(),
        2
    );
    let withdraw = ["key", "withdraw", "voorbeeld", "s1"];
    setup.run(withdraw).expect(0);
    assert_eq!(list(&setup), Vec::<[String; 3]>::new());
    setup
        .run(["key", "revoke", "vorbeeld", "s1", "--compromised"])
        .expect(2)
        .complains(&["there is no organisation vorbeeld"]);
}

#[test]
fn a_grace_is_a_time_and_only_the_keeper_ends_it() {
    let setup = Setup::with_key();
    let message = setup.write("message", MESSAGE);
    for wrong in ["0s", "soon", "99999999y"] {
        setup
            .run(["org", "retire", "voorbeeld", "--grace", wrong])
            .expect(2);
    }
    let both = ["org", "retire", "voorbeeld", "--now", "--undo"];
    setup.run(both).expect(2);
    let settings = fs::read_to_string(setup.path("zegel.toml")).unwrap();
    setup.write("zegel.toml", &(settings + "retire_grace = \"1s\"\n"));
    setup.run(["org", "retire", "voorbeeld"]).expect(0);
    thread::sleep(Duration::from_millis(1100));
    setup.run(["sign", &message]).expect(0);
    // What can't be read says nothing.
    setup.write("keys/voorbeeld/leaving.json", "?");
    let shown = setup.run(["org", "show", "voorbeeld", "--json"]).expect(0);
    assert_eq!(shown.json()["leaving"], Value::Null);
}

#[test]
fn of_two_notices_the_other_one_is_named() {
    let setup = Setup::with_key();
    let of_all = ["org", "retire", "voorbeeld"];
    let of_one = ["org", "retire", "voorbeeld", "--domain", "voorbeeld.nl"];
    let run = |first: &[&str], more: &[&str]| setup.run(first.iter().chain(more)).expect(0);
    let all_hold = "another notice holds, that of voorbeeld: its mail is signed until ";
    let one_holds = "another notice holds, that of voorbeeld.nl of voorbeeld: its mail is signed ";
    let done = run(&of_all, &["--grace", "30d"]);
    assert!(!done.err.contains("another notice"), "{}", done.err);
    run(&of_one, &["--grace", "60d"]).complains(&[
        all_hold,
        "to take it back: zegel org retire voorbeeld --undo",
    ]);
    run(&of_all, &["--grace", "20d"]).complains(&[one_holds]);
    run(&of_one, &["--undo"])
        .complains(&[all_hold])
        .says(&["The notice of voorbeeld.nl of voorbeeld is taken back, and the other one"]);
    run(&of_one, &["--grace", "60d"]);
    let undone = run(&of_all, &["--undo", "--json"]);
    let warnings = undone.json()["warnings"].to_string();
    assert!(warnings.contains(one_holds), "{warnings}");
    run(&of_one, &["--undo"]).says(&["voorbeeld.nl of voorbeeld does not leave"]);
}

#[test]
fn a_broken_notice_is_named_and_stops_who_goes_by_it() {
    let setup = Setup::with_key();
    let message = setup.write("message", MESSAGE);
    let retire = ["org", "retire", "voorbeeld"];
    setup.run(retire).expect(0);
    let file = setup.path("keys/voorbeeld/leaving.json");
    let text = fs::read_to_string(&file).unwrap();
    for broken in ["{", &text.replace("\"version\": 1", "\"version\": 2")] {
        fs::write(&file, broken).unwrap();
        setup.run(["check"]).expect(1).complains(&[
            "keys/voorbeeld/leaving.json: it ",
            "zegel org retire voorbeeld",
        ]);
        setup
            .run(["status"])
            .expect(1)
            .says(&["Nobody can tell whether voorbeeld or a domain of it leaves"]);
        setup
            .run(["key", "list", "voorbeeld"])
            .expect(0)
            .complains(&["voorbeeld: whether it leaves is not known"]);
        for more in [&[][..], &["--undo"], &["--now"]] {
            let refused = setup.run(retire.iter().chain(more)).expect(1);
            refused.complains(&["leaving.json: it ", "remove it and say again who leaves"]);
        }
        // What signs goes on, and the file is as it was.
        setup.run(["sign", &message]).expect(0);
        assert_eq!(fs::read_to_string(&file).unwrap(), broken);
    }
    fs::remove_file(&file).unwrap();
    setup.run(retire).expect(0);
}
