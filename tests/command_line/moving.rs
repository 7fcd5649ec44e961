//! `zegel org move`, where the operator says that records are there; with mail, a keeper and name
//! servers it is in tests/many_customers.

use std::fs;

use crate::setup::{Done, Setup};

/// `voorbeeld` with the key s1, and `nieuw` with a domain of its own and the key of that.
fn setup() -> Setup {
    let setup = Setup::with_key();
    setup.write(
        "orgs.d/nieuw.toml",
        "# Ours.\nname = \"Nieuw\"\ndomains = [\"nieuw.nl\"]\n",
    );
    setup
}

fn start_to_move(setup: &Setup, more: &[&str]) -> Done {
    let arguments = ["org", "move", "nieuws.voorbeeld.nl", "--to", "nieuw"];
    setup.run(arguments.iter().chain(more))
}

fn file(setup: &Setup, id: &str) -> String {
    fs::read_to_string(setup.path(&format!("orgs.d/{id}.toml"))).unwrap()
}

fn domains(setup: &Setup, id: &str, key: &str) -> Vec<String> {
    let table: toml::Table = file(setup, id).parse().unwrap();
    let list = table.get(key).and_then(toml::Value::as_array).cloned();
    let items = list.unwrap_or_default().into_iter();
    items.map(|one| one.as_str().unwrap().to_owned()).collect()
}

fn activate(setup: &Setup, id: &str) {
    let list = setup
        .run(["key", "list", id, "--json"])
        .expect(0)
        .member("keys");
    for key in list.as_array().unwrap() {
        let selector = key["selector"].as_str().unwrap();
        let arguments = ["key", "activate", id, selector, "--assume-published"];
        setup.run(arguments).expect(0);
    }
}

#[test]
fn the_new_organisation_gets_its_key_ready_before_the_lines_change() {
    let setup = setup();
    let first = start_to_move(&setup, &["--json"]).expect(0).json();
    assert_eq!(first["moved"], false);
    assert_eq!(first["domains"][0]["state"], "preparing");
    assert_eq!(first["domains"][0]["from"], "voorbeeld");
    assert_eq!(first["domains"][0]["keys"][0]["state"], "generated");
    let records = first["records"]["domains"].as_array().unwrap();
    let coming = records
        .iter()
        .find(|one| one["domain"] == "nieuws.voorbeeld.nl");
    assert_eq!(coming.unwrap()["keys"][0]["task"], "add", "{first}");
    assert_eq!(
        domains(&setup, "nieuw", "incoming"),
        ["nieuws.voorbeeld.nl"]
    );
    assert_eq!(domains(&setup, "voorbeeld", "domains").len(), 2);
    let checked = setup.run(["check"]);
    assert!(!checked.err.contains("orgs.d"), "{}", checked.err);
    // Again, nothing is doubled.
    let second = start_to_move(&setup, &["--json"]).expect(0).json();
    assert_eq!(first["domains"], second["domains"]);
    // Still the old one.
    let explained = |setup: &Setup| {
        let message = setup.write("m.eml", "From: a@nieuws.voorbeeld.nl\n\nx\n");
        setup.run(["explain", &message]).out
    };
    assert!(
        explained(&setup).contains(" s=s1 "),
        "{}",
        explained(&setup)
    );
    activate(&setup, "nieuw");
    let matter = setup.run(["key", "list", "nieuw"]).expect(0);
    assert!(matter.out.contains("org move"), "{}", matter.out);
    start_to_move(&setup, &[])
        .expect(0)
        .complains(&["moved from voorbeeld to nieuw"]);
    assert_eq!(
        domains(&setup, "nieuw", "domains"),
        ["nieuw.nl", "nieuws.voorbeeld.nl"]
    );
    assert_eq!(domains(&setup, "nieuw", "incoming"), Vec::<String>::new());
    assert_eq!(domains(&setup, "voorbeeld", "domains"), ["voorbeeld.nl"]);
    assert!(file(&setup, "nieuw").starts_with("# Ours.\n"));
    assert!(
        !explained(&setup).contains(" s=s1 "),
        "{}",
        explained(&setup)
    );
    start_to_move(&setup, &[])
        .expect(0)
        .complains(&["nieuw has it"]);
}

#[test]
fn all_that_an_organisation_has_goes_and_its_file_with_it() {
    let setup = setup();
    let merge = ["org", "move", "--from", "voorbeeld", "--to", "nieuw"];
    setup.run(merge).expect(0);
    activate(&setup, "nieuw");
    setup
        .run(merge)
        .expect(0)
        .complains(&["oud-voorbeeld.nl: moved", "voorbeeld.toml: removed"]);
    assert!(!setup.path("orgs.d/voorbeeld.toml").exists());
    assert_eq!(domains(&setup, "nieuw", "domains").len(), 3);
    assert_eq!(domains(&setup, "nieuw", "parked"), ["oud-voorbeeld.nl"]);
}

#[test]
fn a_move_that_broke_off_between_the_files_is_finished() {
    let setup = setup();
    start_to_move(&setup, &[]).expect(0);
    activate(&setup, "nieuw");
    let old = file(&setup, "voorbeeld");
    start_to_move(&setup, &[]).expect(0);
    setup.write("orgs.d/voorbeeld.toml", &old);
    start_to_move(&setup, &[]).expect(0);
    assert_eq!(domains(&setup, "voorbeeld", "domains"), ["voorbeeld.nl"]);
    let checked = setup.run(["check"]);
    assert!(!checked.err.contains("also in"), "{}", checked.err);
}

#[test]
fn a_move_can_be_given_up() {
    let setup = setup();
    start_to_move(&setup, &[]).expect(0);
    start_to_move(&setup, &["--cancel"])
        .expect(0)
        .complains(&["stays where it is"]);
    assert_eq!(domains(&setup, "nieuw", "incoming"), Vec::<String>::new());
    assert_eq!(domains(&setup, "voorbeeld", "domains").len(), 2);
    // What may have been published is asked back.
    let pack = setup.run(["dns", "records", "nieuw", "--format", "json"]);
    let pack = pack.expect(0).json();
    let domains = pack["domains"].as_array().unwrap();
    let given_up = domains
        .iter()
        .find(|one| one["domain"] == "nieuws.voorbeeld.nl")
        .unwrap();
    assert_eq!(given_up["keys"][0]["task"], "empty", "{pack}");
    // A file that has nothing else stays, with all that it says.
    let only = setup.write(
        "orgs.d/nieuw.toml",
        "name = \"Nieuw\"\nincoming = [\"nieuws.voorbeeld.nl\"]\n",
    );
    let refused = start_to_move(&setup, &["--cancel"]).expect(1);
    refused.complains(&["the organisation has no domains", "nothing was written"]);
    assert!(fs::read_to_string(only).unwrap().contains("incoming"));
}

#[test]
fn what_would_be_signed_by_nobody_is_not_moved() {
    let setup = setup();
    let refused = |said: &str| {
        start_to_move(&setup, &[]).expect(1).complains(&[said]);
        assert_eq!(domains(&setup, "nieuw", "incoming"), Vec::<String>::new());
    };
    setup.run(["org", "suspend", "nieuw"]).expect(0);
    refused("nieuw is suspended");
    setup.run(["org", "resume", "nieuw"]).expect(0);
    setup.run(["org", "retire", "nieuw"]).expect(0);
    refused("`zegel org retire nieuw --undo` first");
    setup.run(["org", "retire", "nieuw", "--undo"]).expect(0);
    let old = file(&setup, "voorbeeld");
    setup.write(
        "orgs.d/voorbeeld.toml",
        &format!("delegation = \"cname\"\n{old}"),
    );
    refused("voorbeeld.toml: delegation");
}

#[test]
fn a_parked_domain_whose_move_broke_off_is_moved() {
    let setup = setup();
    let old = file(&setup, "voorbeeld");
    let arguments = ["org", "move", "oud-voorbeeld.nl", "--to", "nieuw"];
    setup.run(arguments).expect(0).complains(&["parked"]);
    setup.write("orgs.d/voorbeeld.toml", &old);
    setup.run(arguments).expect(0).complains(&["parked"]);
    assert_eq!(domains(&setup, "voorbeeld", "parked"), Vec::<String>::new());
    assert_eq!(domains(&setup, "nieuw", "parked"), ["oud-voorbeeld.nl"]);
}

#[test]
fn what_cannot_be_moved_is_refused_and_changes_nothing() {
    let setup = setup();
    let before = (file(&setup, "nieuw"), file(&setup, "voorbeeld"));
    for (arguments, said) in [
        (
            &["vreemd.nl", "--to", "nieuw"][..],
            "no organisation has vreemd.nl",
        ),
        (&["voorbeeld.nl", "--to", "niewu"], "did you mean nieuw?"),
        (
            &["--from", "nieuw", "--to", "nieuw"],
            "name two organisations",
        ),
    ] {
        let arguments = ["org", "move"].iter().chain(arguments);
        setup.run(arguments).expect(2).complains(&[said]);
    }
    setup.write(
        "orgs.d/mist.toml",
        "domains = [\"mist.nl\"]\ndomians = []\n",
    );
    // Of others, nobody has to wait for the mistake of one.
    let broken = ["org", "move", "voorbeeld.nl", "--to", "mist"];
    setup.run(broken).expect(1).complains(&["has mistakes"]);
    assert_eq!(before, (file(&setup, "nieuw"), file(&setup, "voorbeeld")));
    start_to_move(&setup, &["--wait", "1s"]).expect(1);
}

#[test]
fn what_nobody_has_any_more_does_not_come() {
    let setup = setup();
    start_to_move(&setup, &[]).expect(0);
    activate(&setup, "nieuw");
    let matters = |setup: &Setup| setup.run(["status", "--json"]).json().to_string();
    assert!(matters(&setup).contains("another organisation signs"));
    let file = file(&setup, "voorbeeld");
    setup.write(
        "orgs.d/voorbeeld.toml",
        &file.replace("\"nieuws.voorbeeld.nl\"", ""),
    );
    let said = matters(&setup);
    assert!(!said.contains("another organisation signs"), "{said}");
    assert!(said.contains("\"take_in\""), "{said}");
    start_to_move(&setup, &[])
        .expect(2)
        .complains(&["no organisation has nieuws.voorbeeld.nl"]);
    start_to_move(&setup, &["--cancel"])
        .expect(0)
        .complains(&["comes to nieuw no more, and no file has it"]);
    assert_eq!(domains(&setup, "nieuw", "incoming"), Vec::<String>::new());
}
