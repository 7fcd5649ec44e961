//! `zegel dmarc overview`: what the DNS has of each domain, and the totals.

use std::{collections::HashMap, fs, path::Path};

use serde_json::{Value, json};
use zegel::{keys::Keyring, keystore::Keystore};

use crate::{
    dns_server::{Answer, serve},
    setup::Setup,
};

type Answers = HashMap<String, Answer>;

fn text(text: &str) -> Answer {
    Answer::Texts(vec![text.to_owned()])
}

fn domain(texts: &[&str], mail: &[&str], signed: bool) -> Answer {
    let all = |some: &[&str]| some.iter().map(|one| (*one).to_owned()).collect();
    Answer::Domain {
        texts: all(texts),
        mail: all(mail),
        signed,
    }
}

/// The record of the key `s1`.
fn key_record(keys: &Path) -> String {
    let id = "voorbeeld".parse().unwrap();
    let keystore = Keystore::open(keys).unwrap();
    let keyring: Keyring = keystore.read_keyring(&id).unwrap();
    let entry = keyring.keys().first().unwrap();
    keystore.public_key(&id, entry).unwrap().record()
}

/// All is well with voorbeeld.nl; of what is below, DMARC is above and enforces nothing there.
fn zone(setup: &Setup) -> Answers {
    let key = text(&key_record(&setup.path("keys")));
    let server = "mx.relay.example";
    let dmarc = text("v=DMARC1; p=reject; sp=none; rua=mailto:a@voorbeeld.nl");
    HashMap::from(
        [
            (
                "voorbeeld.nl",
                domain(
                    &["x", "v=spf1 redirect=_spf.relay.example"],
                    &[server],
                    true,
                ),
            ),
            ("_spf.relay.example", text("v=spf1 mx ~all")),
            ("s1._domainkey.voorbeeld.nl", key),
            ("_dmarc.voorbeeld.nl", dmarc),
            ("_mta-sts.voorbeeld.nl", text("v=STSv1; id=1;")),
            ("_25._tcp.mx.relay.example", Answer::Tlsa),
            (
                "nieuws.voorbeeld.nl",
                domain(
                    &["v=spf1 a ?all"],
                    &["mx.relay.example", "oud.relay.example"],
                    false,
                ),
            ),
            ("s1._domainkey.nieuws.voorbeeld.nl", text("v=DKIM1; p=")),
            ("oud-voorbeeld.nl", domain(&["v=spf1 -all"], &["."], true)),
            ("_dmarc.oud-voorbeeld.nl", text("v=DMARC1; p=reject;")),
        ]
        .map(|(name, answer)| (name.to_owned(), answer)),
    )
}

fn ask_there(setup: &Setup, answers: Answers) {
    let settings = format!(
        "[keystore]\npath = \"{}\"\n[keeper]\nresolvers = [\"{}\"]\n",
        setup.path("keys").display(),
        serve(answers)
    );
    setup.write("zegel.toml", &settings);
}

fn found(document: &Value, name: &str) -> Value {
    let domains = document["domains"].as_array().unwrap();
    let mut found = domains
        .iter()
        .find(|one| one["domain"] == name)
        .unwrap()
        .clone();
    let members = found.as_object_mut().unwrap();
    members.remove("domain");
    members.remove("organisation");
    found
}

const OVERVIEW: [&str; 2] = ["dmarc", "overview"];

#[test]
fn each_domain_is_told_and_the_totals() {
    let setup = Setup::with_key();
    ask_there(&setup, zone(&setup));
    let done = setup.run(OVERVIEW.iter().chain(&["--json"])).expect(0);
    let document = done.json();
    assert_eq!(
        found(&document, "voorbeeld.nl"),
        json!({"parked": false, "spf": true, "dkim": true, "dmarc": true, "strict": true,
               "dnssec": true, "tlsa": true, "mta_sts": true, "problem": null})
    );
    assert_eq!(
        found(&document, "nieuws.voorbeeld.nl"),
        json!({"parked": false, "spf": true, "dkim": false, "dmarc": true, "strict": false,
               "dnssec": false, "tlsa": false, "mta_sts": false, "problem": null})
    );
    // A null MX: nothing to encrypt. A domain that never sends needs no key.
    assert_eq!(
        found(&document, "oud-voorbeeld.nl"),
        json!({"parked": true, "spf": true, "dmarc": true, "strict": true, "dnssec": true,
               "problem": null})
    );
    let totals = &document["totals"];
    assert_eq!(totals["all"]["domains"], 3);
    assert_eq!(
        totals["all"]["strict"],
        json!({"count": 2, "of": 3, "unknown": 0, "percent": 66.7, "count_change": null,
               "percent_change": null})
    );
    assert_eq!(totals["sending"]["dkim"]["percent"], 50.0);
    assert_eq!(totals["parked"]["dkim"]["of"], 0);
    assert_eq!(totals["parked"]["dkim"]["percent"], Value::Null);

    let table = setup.run(OVERVIEW.iter().chain(&["voorbeeld"])).expect(0);
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let lines: Vec<String> = table.out.lines().map(words).collect();
    for line in [
        "voorbeeld voorbeeld.nl sending yes yes yes yes yes yes yes",
        "voorbeeld oud-voorbeeld.nl parked yes yes yes yes",
        "strict 2 of 3 (66.7 %) 1 of 2 (50.0 %) 1 of 1 (100.0 %)",
        "tlsa 1 of 2 (50.0 %) 1 of 2 (50.0 %) 0 of 0",
    ] {
        assert!(lines.iter().any(|one| one == line), "{line}\n{}", table.out);
    }

    let csv = setup.run(OVERVIEW.iter().chain(&["--csv"])).expect(0).out;
    assert_eq!(
        csv,
        "domain,organisation,use,spf,dkim,dmarc,strict,dnssec,tlsa,mta_sts\r\n\
         voorbeeld.nl,voorbeeld,sending,yes,yes,yes,yes,yes,yes,yes\r\n\
         nieuws.voorbeeld.nl,voorbeeld,sending,yes,no,yes,no,no,no,no\r\n\
         oud-voorbeeld.nl,voorbeeld,parked,yes,,yes,yes,yes,,\r\n"
    );
}

#[test]
fn the_totals_show_what_has_changed() {
    let setup = Setup::with_key();
    let mut answers = zone(&setup);
    ask_there(&setup, answers.clone());
    let all = OVERVIEW.iter().chain(&["--json"]);
    let earlier = setup.write("earlier.json", &setup.run(all).expect(0).out);
    // A test does not count as strict.
    let test = text("v=DMARC1; p=quarantine; t=y; pct=0; rua=mailto:a@b.nl");
    answers.insert("_dmarc.voorbeeld.nl".to_owned(), test);
    let servers = ["_25._tcp.oud.relay.example".to_owned()];
    answers.extend(servers.map(|name| (name, Answer::Tlsa)));
    ask_there(&setup, answers);
    let since = ["--since", &earlier];
    let since = [&OVERVIEW[..], &since].concat();
    let document = setup.run([&since[..], &["--json"]].concat()).expect(0);
    let document = document.json();
    assert_eq!(document["since"], document["date"]);
    let strict = &document["totals"]["all"]["strict"];
    assert_eq!(strict["count_change"], -1);
    assert_eq!(strict["percent_change"], -33.4);
    let tlsa = &document["totals"]["sending"]["tlsa"];
    assert_eq!(
        (&tlsa["count_change"], &tlsa["percent"]),
        (&json!(1), &json!(100.0))
    );
    let parked = &document["totals"]["parked"]["tlsa"];
    assert_eq!(parked["percent_change"], Value::Null);
    let said = setup.run(&since).expect(0).out;
    assert!(said.contains("1 of 3 (33.3 %), -1 (-33.4)"), "{said}");
    assert!(said.contains("changes are those since 2"), "{said}");

    // About others, or something else.
    let one = [&since[..], &["voorbeeld"]].concat();
    let one = setup.run(one).expect(2);
    one.complains(&["it is about all organisations"]);
    fs::write(setup.path("earlier.json"), "{\"version\": 1}").unwrap();
    setup
        .run(&since)
        .expect(2)
        .complains(&["this is no `dmarc overview --json`"]);
}

#[test]
fn what_got_no_answer_is_unknown_and_never_missing() {
    let setup = Setup::with_key();
    let mut answers = zone(&setup);
    for name in [
        "_25._tcp.mx.relay.example",
        "_spf.relay.example",
        "s1._domainkey.voorbeeld.nl",
        "_dmarc.oud-voorbeeld.nl",
    ] {
        answers.insert(name.to_owned(), Answer::Failure);
    }
    ask_there(&setup, answers);
    let document = setup
        .run(OVERVIEW.iter().chain(&["--json"]))
        .expect(1)
        .json();
    let main = found(&document, "voorbeeld.nl");
    for (name, value) in [
        ("spf", json!(true)),
        ("strict", Value::Null),
        ("dkim", Value::Null),
        ("tlsa", Value::Null),
        ("mta_sts", json!(true)),
    ] {
        assert_eq!(main[name], value, "{name}");
    }
    assert!(main["problem"].as_str().unwrap().contains("SERVFAIL"));
    // One of its two servers has no record for certain.
    assert_eq!(found(&document, "nieuws.voorbeeld.nl")["tlsa"], false);
    let parked = found(&document, "oud-voorbeeld.nl");
    assert_eq!(
        (&parked["dmarc"], &parked["strict"]),
        (&Value::Null, &Value::Null)
    );
    let dmarc = &document["totals"]["all"]["dmarc"];
    assert_eq!((&dmarc["of"], &dmarc["unknown"]), (&json!(2), &json!(1)));
    let said = setup.run(OVERVIEW).expect(1).out;
    assert!(said.contains("2 of 2 (100.0 %), 1 unknown"), "{said}");
    assert!(
        said.contains("voorbeeld.nl: the resolvers get no answer"),
        "{said}"
    );

    // Nobody answers at all.
    let setup = Setup::with_key();
    let csv = setup.run(OVERVIEW.iter().chain(&["--csv"])).expect(1).out;
    let row = "oud-voorbeeld.nl,voorbeeld,parked,unknown,,unknown,unknown,unknown,unknown,unknown";
    assert!(csv.contains(row), "{csv}");
    assert!(!csv.contains(",no"), "{csv}");
}

/// One file that runs nothing and fetches nothing, in both languages.
#[test]
fn the_page_says_the_same_in_both_languages() {
    let setup = Setup::with_key();
    ask_there(&setup, zone(&setup));
    let before = setup.run(OVERVIEW.iter().chain(&["--json"])).expect(0).out;
    let mut before: Value = serde_json::from_str(&before).unwrap();
    before["totals"]["all"]["spf"]["count"] = json!(2);
    setup.write("before.json", &before.to_string());
    let before = setup.path("before.json").display().to_string();
    let since = ["--since", &before];
    let page = |more: &[&str]| {
        let words = OVERVIEW.iter().chain(&["--html"]).chain(more).chain(&since);
        setup.run(words).expect(0).out
    };
    let dutch = page(&[]);
    for words in [
        "<html lang=\"nl\">",
        "<th>alle (3)</th><th>verzendend (2)</th><th>geparkeerd (1)</th>",
        "<tr><th>SPF</th><td>3 van 3 <small>100,0 %</small>",
        "<small>+1</small>",
        "<td>oud-voorbeeld.nl</td><td>geparkeerd</td><td>ja</td><td>niet nodig</td>",
        "<td class=\"no\">nee</td>",
        "Het verschil is dat met",
    ] {
        assert!(dutch.contains(words), "{words}: {dutch}");
    }
    for foreign in ["<script", "http:", "https:", "src=", "url("] {
        assert!(!dutch.contains(foreign), "{foreign}");
    }
    let english = page(&["--lang", "en"]);
    for words in [
        "<html lang=\"en\">",
        "3 of 3 <small>100.0 %</small>",
        "<td>not needed</td>",
        "Changes are those since",
    ] {
        assert!(english.contains(words), "{words}: {english}");
    }
    setup
        .run(OVERVIEW.iter().chain(&["--html", "--json"]))
        .expect(2);
    setup
        .run(OVERVIEW.iter().chain(&["--lang", "en"]))
        .expect(2);
}
