//! What is handed over, what waits for it, and until when: `dns records --all`, `org handed-over`,
//! `org list --waiting` and `org wait`.

use std::{fs, os::unix::fs::PermissionsExt};

use jiff::{Timestamp, ToSpan};
use serde_json::{Value, json};

use crate::{
    onboarding::names,
    setup::{Setup, finish},
};

const DAY: &str = "2026-01-02T00:00:00Z";

/// `voorbeeld` with a key that nobody has published, and one that does not wait.
fn waiting() -> Setup {
    let setup = Setup::with_key();
    setup.write(
        "orgs.d/nieuw.toml",
        "name = \"=Gemeente; \\\"Nieuw\\\"\"\ncontact = \"dns@nieuw.nl\"\n\
         domains = [\"nieuw.nl\", \"ander.nl\"]\n",
    );
    setup.run(["key", "generate", "nieuw"]).expect(0);
    setup
}

#[test]
fn what_waits_is_listed_for_a_spreadsheet() {
    let setup = waiting();
    let listed = setup
        .run(["org", "list", "--waiting", "--json"])
        .expect(0)
        .member("waiting");
    let rows = listed.as_array().unwrap();
    assert_eq!(rows.len(), 2, "{listed}");
    assert_eq!(rows[0]["organisation"], "nieuw");
    assert_eq!(rows[0]["contact"], "dns@nieuw.nl");
    assert_eq!(rows[0]["asked"], "publish_record");
    assert_eq!(rows[0]["level"], "not_live");
    assert_eq!(rows[0]["days"], 0);
    assert_eq!(rows[0]["handed_over"], Value::Null);
    let csv = setup.run(["org", "list", "--waiting", "0d", "--csv", "--lang", "en"]);
    let csv = csv.expect(0).out;
    let lines: Vec<&str> = csv.split_terminator("\r\n").collect();
    assert_eq!(lines.len(), 3, "{csv}");
    assert_eq!(
        lines[0],
        "organisation,name,contact,domain,selector,level,asked,sentence,since,days,due,handed_over"
    );
    let begins = "nieuw,\"'=Gemeente; \"\"Nieuw\"\"\",dns@nieuw.nl,ander.nl,nieuw-";
    assert!(lines[1].starts_with(begins), "{csv}");
    assert!(lines[1].contains(",not_live,publish_record,"), "{csv}");
    setup.run(["org", "list", "--waiting"]).expect(0).says(&[
        "HANDED OVER",
        "publish_record",
        "nieuw.nl",
    ]);
    // Nothing waits for two weeks yet.
    let old = setup.run(["org", "list", "--waiting", "2w", "--json"]);
    assert_eq!(old.expect(0).member("waiting"), Value::Array(Vec::new()));
    setup.run(["org", "list", "--waiting", "soon"]).expect(2);
    setup.run(["org", "list", "--csv"]).expect(2);
}

#[test]
fn the_list_says_when_records_were_handed_over() {
    let setup = waiting();
    let handed_over = || -> Vec<Value> {
        let listed = setup
            .run(["org", "list", "--waiting", "--json"])
            .expect(0)
            .member("waiting");
        let rows = listed.as_array().unwrap().iter();
        rows.map(|row| row["handed_over"].clone()).collect()
    };
    let one = ["org", "handed-over", "nieuw", "--domain", "nieuw.nl"];
    let noted = setup
        .run(one.iter().chain(&["--on", "2026-01-02"]))
        .expect(0);
    noted.says(&["nieuw.nl: nieuw-", "add: handed over on 2026-01-02"]);
    assert_eq!(handed_over(), [Value::Null, "2026-01-02T00:00:00Z".into()]);
    let csv = setup
        .run(["org", "list", "--waiting", "--csv"])
        .expect(0)
        .out;
    assert!(csv.ends_with(",2026-01-02\r\n"), "{csv}");
    let all = setup
        .run(["org", "handed-over", "nieuw", "--json"])
        .expect(0)
        .json();
    assert_eq!(all["records"].as_array().unwrap().len(), 2);
    assert_eq!(all["records"][0]["task"], "add");
    assert!(
        handed_over().iter().all(|time| *time == all["time"]),
        "{all}"
    );
    setup
        .run(["org", "handed-over", "voorbeeld"])
        .expect(0)
        .says(&["nothing is asked of the DNS administrator of voorbeeld now"]);
    setup
        .run(["org", "handed-over", "nieuw", "--on", "2999-01-01"])
        .expect(2)
        .complains(&["still to come"]);
    let log = fs::read_to_string(setup.path("keys/audit.log")).unwrap();
    assert_eq!(log.matches("\"event\":\"handed_over\"").count(), 2);
    // What cannot be read costs its dates, and no list.
    let file = setup.path("keys/handed.over/nieuw.json");
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    fs::write(&file, "{}").unwrap();
    let listed = setup.run(["org", "list", "--waiting", "--json"]).expect(0);
    listed.warns(&["nieuw.json: it does not say"]);
    assert_eq!(handed_over(), [Value::Null, Value::Null]);
    setup.run(["keystore", "restore"]).expect(0);
    setup.run(["check"]).expect(0);
}

#[test]
fn a_pack_is_written_for_each_that_has_something_to_do() {
    let setup = waiting();
    let out = setup.path("packs").display().to_string();
    let all = ["dns", "records", "--all", "--out", &out];
    let done = setup.run(all.iter().chain(&["--mark"])).expect(0);
    done.says(&["packs/nieuw.txt: add 2"]);
    assert_eq!(names(&setup.path("packs")), ["nieuw.txt"]);
    let listed = setup
        .run(["org", "list", "--waiting", "--json"])
        .expect(0)
        .member("waiting");
    assert_ne!(listed[0]["handed_over"], Value::Null);
    let html = ["--format", "html", "--lang", "en", "--json"];
    let json = setup.run(all.iter().chain(&html)).expect(0).json();
    assert_eq!(json["written"][0]["organisation"], "nieuw");
    assert_eq!(json["written"][0]["tasks"][0]["task"], "add");
    assert_eq!(names(&setup.path("packs")), ["nieuw.html", "nieuw.txt"]);
    // Somebody else's file is none of ours.
    fs::write(setup.path("packs/nieuw.md"), "mine").unwrap();
    let markdown = ["--format", "markdown"];
    let refused = setup.run(all.iter().chain(&markdown)).expect(1);
    refused.complains(&["nieuw.md: it is there, and zegel did not write it"]);
    assert_eq!(fs::read(setup.path("packs/nieuw.md")).unwrap(), b"mine");
    // Nothing is to be done any more: what nobody has changed goes.
    let selector = listed[0]["selector"].as_str().unwrap();
    let assumed = ["key", "activate", "nieuw", selector, "--assume-published"];
    setup.run(assumed).expect(0);
    fs::write(setup.path("packs/nieuw.html"), "changed by hand").unwrap();
    let done = setup.run(all).expect(0);
    done.says(&["packs/nieuw.txt: removed"])
        .complains(&["nieuw.html: nothing is to be done any more, and somebody has changed"]);
    assert_eq!(names(&setup.path("packs")), ["nieuw.html", "nieuw.md"]);
    setup.run(all).expect(0).says(&["there are no packs"]);
}

/// What the keeper saw of the policies of `voorbeeld`: there are none.
fn without_policies(setup: &Setup) {
    let finding = |code: &str, name: &str| json!({ "code": code, "name": name, "seen": "", "expected": "", "since": DAY });
    let seen = json!({ "domains": { "voorbeeld.nl": {
        "checked": DAY, "spf": [], "dmarc": [],
        "findings": [
            finding("spf.missing", "voorbeeld.nl"),
            finding("dmarc.missing", "_dmarc.voorbeeld.nl"),
        ],
    }}});
    fs::create_dir_all(setup.path("keys/keeper.seen")).unwrap();
    setup.write("keys/keeper.seen/voorbeeld.json", &seen.to_string());
}

#[test]
fn a_pack_that_asks_for_policies_alone_says_so() {
    let setup = Setup::with_key();
    without_policies(&setup);
    let out = setup.path("packs").display().to_string();
    let all = ["dns", "records", "--all", "--out", &out, "--mark"];
    let done = setup.run(all).expect(0);
    done.says(&["packs/voorbeeld.txt: SPF, DMARC\n"]);
    let json = setup.run(all.iter().chain(&["--json"])).expect(0).json();
    let task = |kind: &str| json!({ "domain": "voorbeeld.nl", "kind": kind, "selector": null, "task": "add" });
    let tasks = &json["written"][0]["tasks"];
    assert_eq!(*tasks, json!([task("spf"), task("dmarc")]));
    // Only keys have a date of their own.
    assert!(!setup.path("keys/handed.over/voorbeeld.json").exists());
    let noted = setup.run(["org", "handed-over", "voorbeeld"]).expect(0);
    noted.says(&["only for SPF or DMARC", "nothing was noted"]);
    // A key beside them: it is marked, and they are not.
    setup.run(["key", "roll", "voorbeeld"]).expect(0);
    let done = setup.run(all).expect(0);
    done.says(&["packs/voorbeeld.txt: add 2, SPF, DMARC\n"]);
    let json = setup.run(["org", "handed-over", "voorbeeld", "--json"]);
    let json = json.expect(0).json();
    let records = json["records"].as_array().unwrap();
    assert_eq!(records.len(), 2, "{json}");
    assert!(records.iter().all(|one| one["kind"] == "dkim"), "{json}");
}

#[test]
fn a_policy_has_the_last_date_of_the_keys_of_its_domain() {
    let setup = Setup::with_key();
    without_policies(&setup);
    let dates = || -> Vec<Value> {
        let listed = setup.run(["org", "list", "--waiting", "--json"]);
        let listed = listed.expect(0).member("waiting");
        let rows = listed.as_array().unwrap().iter();
        let policies = rows.filter(|row| row["selector"].is_null());
        policies.map(|row| row["handed_over"].clone()).collect()
    };
    assert_eq!(dates(), [Value::Null, Value::Null]);
    let note = |day: &str, domain: &str| {
        let note = ["org", "handed-over", "voorbeeld", "--on", day];
        setup
            .run(note.iter().chain(&["--domain", domain]))
            .expect(0);
    };
    setup.run(["key", "roll", "voorbeeld"]).expect(0);
    // The pack of another domain is another matter.
    note("2026-03-04", "nieuws.voorbeeld.nl");
    assert_eq!(dates(), [Value::Null, Value::Null]);
    note("2026-01-02", "voorbeeld.nl");
    assert_eq!(dates(), [DAY, DAY]);
}

#[test]
fn a_pack_stays_while_its_organisation_is_not_known() {
    let setup = waiting();
    let out = setup.path("packs").display().to_string();
    let all = ["dns", "records", "--all", "--out", &out];
    setup.run(all).expect(0);
    setup.write("orgs.d/nieuw.toml", "domians = []\n");
    setup
        .run(all)
        .expect(0)
        .complains(&["warning: ", "domians"]);
    assert_eq!(names(&setup.path("packs")), ["nieuw.txt"]);
    setup.run(["dns", "records", "--all"]).expect(2);
    setup
        .run(["dns", "records", "voorbeeld", "--all", "--out", &out])
        .expect(2);
}

#[test]
fn the_pack_of_one_is_marked_too() {
    let setup = waiting();
    let plain = setup.run(["dns", "records", "nieuw"]).expect(0).out;
    let marked = setup.run(["dns", "records", "nieuw", "--domain", "ander.nl", "--mark"]);
    assert!(plain.len() > marked.expect(0).out.len());
    let listed = setup
        .run(["org", "list", "--waiting", "--json"])
        .expect(0)
        .member("waiting");
    assert_ne!(listed[0]["handed_over"], Value::Null);
    assert_eq!(listed[1]["handed_over"], Value::Null);
}

#[test]
fn a_script_waits_for_the_first_key() {
    let setup = waiting();
    let wait = ["org", "wait", "nieuw", "--until", "active", "--timeout"];
    let late = setup.run(wait.iter().chain(&["1s"])).expect(1);
    late.says(&["nieuw.nl: its key is generated, not active", "ander.nl: "]);
    let mut command = setup.command();
    command.args(wait).args(["1m", "--json"]);
    let waiting = std::thread::spawn(move || finish(&mut command, b""));
    let listed = setup
        .run(["org", "list", "--waiting", "--json"])
        .expect(0)
        .member("waiting");
    let selector = listed[0]["selector"].as_str().unwrap();
    let assumed = ["key", "activate", "nieuw", selector, "--assume-published"];
    setup.run(assumed).expect(0);
    let reached = waiting.join().unwrap().expect(0).json();
    assert_eq!(reached["reached"], true);
    assert_eq!(reached["until"], "active");
    assert_eq!(reached["waiting"], Value::Array(Vec::new()));
    let published = [
        "org",
        "wait",
        "nieuw",
        "--until",
        "published",
        "--timeout",
        "0s",
    ];
    setup
        .run(published)
        .expect(0)
        .says(&["every domain of nieuw has a key"]);
    setup.run(["org", "suspend", "nieuw"]).expect(0);
    let suspended = setup
        .run(wait.iter().chain(&["0s", "--json"]))
        .expect(1)
        .json();
    assert_eq!(suspended["suspended"], true);
    setup
        .run(["org", "wait", "neiuw"])
        .expect(2)
        .complains(&["did you mean nieuw?"]);
}

#[test]
fn a_rotation_by_hand_has_a_day_by_which_its_records_are_to_be_there() {
    let dates = |setup: &Setup| -> Vec<String> {
        let pack = setup.run(["dns", "records", "voorbeeld", "--format", "json"]);
        let pack = pack.expect(0).json();
        let domains = pack["domains"].as_array().unwrap().iter();
        let keys = domains.flat_map(|domain| domain["keys"].as_array().unwrap());
        let added = keys.filter(|key| key["task"] == "add");
        added
            .map(|key| key["date"].as_str().unwrap().to_owned())
            .collect()
    };
    let setup = Setup::with_key();
    let roll = ["key", "roll", "voorbeeld"];
    // Two weeks, unless the operator names a day.
    setup.run(roll).expect(0);
    let day = |time: Timestamp| {
        let time = time + (14 * 24).hours();
        time.strftime("%Y-%m-%d").to_string()
    };
    let before = day(Timestamp::now() - 1.minute());
    let found = dates(&setup);
    assert_eq!(found.len(), 2);
    assert!(
        found
            .iter()
            .all(|one| *one == before || *one == day(Timestamp::now())),
        "{found:?}"
    );
    let setup = Setup::with_key();
    let past = setup.run(roll.iter().chain(&["--by", "2026-01-02"]));
    past.expect(2)
        .complains(&["--by 2026-01-02T23:59:59Z: that is over"]);
    setup
        .run(roll.iter().chain(&["--by", "2999-01-02"]))
        .expect(0);
    assert_eq!(dates(&setup), ["2999-01-02", "2999-01-02"]);
    let listed = setup.run(["org", "list", "--waiting", "--json"]);
    let listed = listed.expect(0).member("waiting");
    assert_eq!(listed[0]["due"], "2999-01-02T23:59:59Z");
    assert_eq!(listed[0]["level"], "act");
    // The keyring does not say it: an older zegel reads it as before.
    let keyring = fs::read_to_string(setup.path("keys/voorbeeld/keyring.json")).unwrap();
    assert!(!keyring.contains("2999"), "{keyring}");
    // What can't be read is as if it were not there.
    fs::write(setup.path("keys/voorbeeld/deadlines.json"), "?").unwrap();
    assert_ne!(dates(&setup), ["2999-01-02", "2999-01-02"]);
    setup.run(["check"]).expect(0);
}

/// What the keeper would have seen of a parked domain.
const PARKED_SEEN: &str = r#"{"domains": {"oud.nl": {"checked": "2026-01-02T00:00:00Z",
    "spf": [], "dmarc": ["v=DMARC1; p=none"], "findings": [
    {"code": "spf.not_parked", "name": "oud.nl", "seen": "", "expected": "v=spf1 -all",
     "since": "2026-01-02T00:00:00Z"},
    {"code": "dmarc.not_parked", "name": "_dmarc.oud.nl", "seen": "v=DMARC1; p=none",
     "expected": "v=DMARC1; p=reject;", "since": "2026-01-02T00:00:00Z"}]}}}"#;

#[test]
fn packs_go_to_those_with_parked_domains_or_without_a_file_too() {
    let setup = waiting();
    setup.write(
        "orgs.d/stil.toml",
        "name = \"Stil\"\nparked = [\"oud.nl\", \"goed.nl\"]\n",
    );
    let packs = setup.path("packs");
    let all = ["dns", "records", "--all", "--out", packs.to_str().unwrap()];
    // Nobody has looked at its domains: nobody knows of anything to do.
    setup.run(all).expect(0);
    assert_eq!(names(&packs), ["nieuw.txt"]);
    fs::create_dir_all(setup.path("keys/keeper.seen")).unwrap();
    setup.write("keys/keeper.seen/stil.json", PARKED_SEEN);
    let written = setup.run(all.iter().chain(&["--json"])).expect(0);
    let written = written.member("written");
    let stil = written.as_array().unwrap().iter();
    let stil = stil.clone().find(|one| one["organisation"] == "stil");
    let told = |kind: &str, task: &str| json!({"domain": "oud.nl", "kind": kind, "selector": null, "task": task});
    assert_eq!(
        stil.unwrap()["tasks"],
        json!([told("spf", "add"), told("dmarc", "mend")])
    );
    // A stolen key, whose organisation has no file any more: its record has to go.
    let revoke = ["key", "revoke", "voorbeeld", "s1", "--compromised"];
    setup.run(revoke).expect(0);
    fs::remove_file(setup.path("orgs.d/voorbeeld.toml")).unwrap();
    let listed = setup.run(["org", "list", "--waiting", "--json"]).expect(0);
    let first = &listed.member("waiting")[0];
    assert_eq!(first["organisation"], "voorbeeld", "the worst first");
    assert_eq!(first["level"], "compromised");
    setup.run(all).expect(0);
    let files = ["nieuw.txt", "stil.txt", "voorbeeld.txt"];
    assert_eq!(names(&packs), files);
    // What a file with mistakes wants is not known.
    setup.write("orgs.d/nieuw.toml", "domians = []\n");
    let listed = setup.run(["org", "list", "--waiting", "--json"]);
    let listed = listed.expect(0).member("waiting");
    let mut rows = listed.as_array().unwrap().iter();
    assert!(rows.all(|row| row["organisation"] != "nieuw"), "{listed}");
}
