//! Keys in a zone of the operator: `delegation` in a file of `orgs.d/`, from the first pack to a
//! key that signs, in the real DNS.

use std::{thread::sleep, time::Duration};

use serde_json::{Value, json};

use crate::{
    setup::{Done, RSA_KEY, Setup},
    support::name_world::World,
};

const ZONE: &str = "voorbeeld.example";
const OPERATOR: &str = "dkim.relay.example";
const POLICIES: &str = "@ TXT \"v=spf1 ip4:192.0.2.0/24 -all\"\n\
    _dmarc TXT \"v=DMARC1; p=reject; rua=mailto:dmarc@voorbeeld.example\"\n";

fn write_organisation(setup: &Setup, delegation: &str) {
    setup.write(
        "orgs.d/voorbeeld.toml",
        &format!("domains = [\"{ZONE}\"]\ndelegation = {delegation}\n"),
    );
}

fn settings(setup: &Setup, handover: &str, keeper: &str) {
    let keys = setup.path("keys");
    let keys = keys.display();
    setup.write(
        "zegel.toml",
        &format!(
            "[keystore]\npath = \"{keys}\"\n[handover]\n{handover}\n[keeper]\n\
             relay_addresses = [\"192.0.2.25\"]\n{keeper}\n"
        ),
    );
}

/// The organisation `voorbeeld`, which hands its keys over in this way, with the key `s1`.
fn setup(delegation: &str, keeper: &str) -> Setup {
    let setup = Setup::new();
    let handover = format!(
        "zone = \"{OPERATOR}\"\nname_servers = [\"ns1.relay.example\", \"ns2.relay.example\"]"
    );
    settings(&setup, &handover, keeper);
    write_organisation(&setup, delegation);
    setup
        .run(["key", "import", "voorbeeld", RSA_KEY, "--selector", "s1"])
        .expect(0);
    setup
}

/// A world that forgets at once.
fn world() -> World {
    let world = World::of_two_primaries();
    world.set_ttl(1);
    world
}

fn in_world(delegation: &str, world: &World) -> Setup {
    let keeper = format!(
        "local_servers = true\nresolvers = [\"{}\"]\nsettle = \"1s\"",
        world.resolver.address()
    );
    setup(delegation, &keeper)
}

fn unreachable(delegation: &str) -> Setup {
    setup(delegation, "resolvers = [\"127.0.0.1:1\"]")
}

/// What comes next for the key, who has to do it, and how bad it is, as the list and the
/// judgement have it.
fn next(setup: &Setup) -> (String, String, String) {
    let listed = setup.run(["key", "list", "--json"]).expect(0);
    let listed = listed.member("keys");
    let domain = &listed[0]["domains"][0];
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    let (next, level) = (&domain["next"], word(&domain["level"]));
    (word(&next["what"]), word(&next["actor"]), level)
}

fn pack(setup: &Setup) -> Value {
    let arguments = ["dns", "records", "voorbeeld", "--format", "json"];
    setup.run(arguments).expect(0).json()["domains"][0].clone()
}

fn look(setup: &Setup) -> Done {
    setup.run(["keeper", "look", "voorbeeld"])
}

/// What everybody is told of the organisation.
fn waiting(setup: &Setup) -> Value {
    let arguments = ["org", "list", "--waiting", "--json"];
    setup.run(arguments).expect(0).member("waiting")
}

fn expect_next(setup: &Setup, what: &str, actor: &str, level: &str) {
    let (is_what, is_actor, is_level) = next(setup);
    assert_eq!(
        (is_what.as_str(), is_actor.as_str(), is_level.as_str()),
        (what, actor, level)
    );
    // The customer is asked, or nobody.
    let asked = actor == "dns_administrator";
    assert_eq!(waiting(setup).as_array().unwrap().len(), usize::from(asked));
}

/// The keys of the operator's zone, as they are now.
fn publish(setup: &Setup, world: &World, arguments: &[&str], zone: &str) {
    let lines = setup.run([&["dns", "zone"], arguments].concat()).expect(0);
    world.set_both(zone, &lines.out);
}

#[test]
fn a_customer_adds_one_dname_and_is_never_asked_for_a_key() {
    let world = world();
    let setup = in_world("\"dname\"", &world);
    let dname = format!("_domainkey DNAME voorbeeld.{OPERATOR}.\n");
    world.set_both(ZONE, POLICIES);
    world.set_both(OPERATOR, "");
    look(&setup);
    expect_next(&setup, "delegate", "dns_administrator", "not_live");
    let asked = pack(&setup);
    assert_eq!(asked["delegation"]["way"], "dname");
    assert_eq!(asked["delegation"]["task"], "add");
    assert_eq!(asked["keys"][0]["task"], "keep");
    let line = format!("_domainkey.{ZONE}. 3600 IN DNAME voorbeeld.{OPERATOR}.");
    assert_eq!(asked["records"][0]["zone_line"], json!(line));
    let packs = setup.path("packs");
    let all = ["dns", "records", "--all", "--out", packs.to_str().unwrap()];
    setup.run(all).expect(0).says(&["delegation"]);

    // It leads to us, and our zone is empty: that is our turn.
    world.set_both(ZONE, &format!("{POLICIES}{dname}"));
    look(&setup);
    expect_next(&setup, "publish_record", "operator", "not_live");
    assert_eq!(pack(&setup)["delegation"]["task"], "keep");
    setup.run(all).expect(0).says(&["removed"]);
    setup
        .run(["key", "list"])
        .expect(0)
        .says(&["put its record into our own zone (see `zegel dns zone`)"]);

    publish(&setup, &world, &[], OPERATOR);
    look(&setup);
    sleep(Duration::from_secs(3));
    look(&setup).expect(0);
    expect_next(&setup, "make_successor", "keeper", "well");
    setup
        .run(["dns", "records", "voorbeeld", "--lang", "en"])
        .expect(0)
        .says(&["The keys of this domain are in our own zone."]);

    // What mail needs is gone from our zone: still not the customer's turn.
    world.set_both(OPERATOR, "");
    look(&setup);
    expect_next(&setup, "restore_record", "operator", "unverifiable");

    // The customer has taken the DNAME away.
    publish(&setup, &world, &[], OPERATOR);
    world.set_both(ZONE, POLICIES);
    look(&setup);
    expect_next(&setup, "delegate", "dns_administrator", "unverifiable");
    assert_eq!(pack(&setup)["delegation"]["urgent"], true);
}

#[test]
fn a_key_in_the_customers_own_zone_works_on_until_its_name_is_handed_over() {
    let world = world();
    let setup = in_world("\"none\"", &world);
    let full = pack(&setup);
    let record = full["keys"][0]["record"]["zone_line"].as_str().unwrap();
    world.set_both(ZONE, &format!("{POLICIES}{record}\n"));
    look(&setup);
    sleep(Duration::from_secs(3));
    look(&setup).expect(0);
    expect_next(&setup, "make_successor", "keeper", "well");
    assert_eq!(full["delegation"], Value::Null);

    write_organisation(&setup, &format!("{{ \"{ZONE}\" = \"cname\" }}"));
    look(&setup);
    expect_next(&setup, "delegate", "dns_administrator", "act");
    let asked = pack(&setup);
    let key = &asked["keys"][0]["record"];
    let target = format!("s1.voorbeeld.{OPERATOR}.");
    assert_eq!(
        (&key["type"], &key["value"]),
        (&json!("CNAME"), &json!(target))
    );
    // The names of keys to come, too.
    assert!(asked["records"].as_array().unwrap().len() > 4, "{asked}");

    publish(&setup, &world, &[], OPERATOR);
    world.set_both(ZONE, &format!("{POLICIES}s1._domainkey CNAME {target}\n"));
    look(&setup).expect(0);
    expect_next(&setup, "make_successor", "keeper", "well");
    let done = pack(&setup);
    assert_eq!(done["delegation"]["task"], "keep");
    assert_eq!(done["records"], json!([]));
    assert_eq!(done["keys"][0]["task"], "keep");
}

#[test]
fn a_zone_on_our_own_name_servers_is_written_and_seen() {
    let world = world();
    let setup = in_world("\"ns\"", &world);
    let apex = format!("_domainkey.{ZONE}");
    world.set_both(ZONE, POLICIES);
    look(&setup);
    expect_next(&setup, "delegate", "dns_administrator", "not_live");
    let records = pack(&setup)["records"].clone();
    let lines: Vec<&str> = records
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["zone_line"].as_str().unwrap())
        .collect();
    let expected = ["ns1", "ns2"].map(|host| format!("{apex}. 3600 IN NS {host}.relay.example."));
    assert_eq!(lines, expected);

    // The servers of this world have names in each zone of theirs.
    let servers = format!("name_servers = [\"ns1.{ZONE}\", \"ns2.{ZONE}\"]");
    let keeper = format!(
        "local_servers = true\nresolvers = [\"{}\"]\nsettle = \"1s\"",
        world.resolver.address()
    );
    settings(&setup, &servers, &keeper);
    let delegation = "_domainkey NS ns1\n_domainkey NS ns2\n";
    world.set_both(ZONE, &format!("{POLICIES}{delegation}"));
    let lines = setup.run(["dns", "zone", "--domain", ZONE]).expect(0).out;
    let zone = format!("@ NS ns1.{ZONE}.\n@ NS ns2.{ZONE}.\n{lines}");
    world.primary.set_zone(&apex, &zone);
    world.secondary.set_zone(&apex, &zone);
    world.resolver.flush(".");
    look(&setup);
    sleep(Duration::from_secs(3));
    look(&setup).expect(0);
    expect_next(&setup, "make_successor", "keeper", "well");
    assert_eq!(pack(&setup)["delegation"]["task"], "keep");
}

#[test]
fn what_nobody_has_seen_yet_is_asked_of_the_customer_once() {
    let setup = unreachable("\"dname\"");
    expect_next(&setup, "delegate", "dns_administrator", "not_live");
    let text = |language| {
        let arguments = ["dns", "records", "voorbeeld", "--lang", language];
        setup.run(arguments).expect(0)
    };
    let name = format!("_domainkey.{ZONE}");
    text("en").says(&[
        &format!("{name}: add 1 DNAME record(s), once,"),
        "With this DNAME record",
    ]);
    text("nl").says(&[&format!("{name}: eenmalig 1 DNAME-record(s)")]);
    for format in ["html", "markdown", "zone"] {
        setup
            .run(["dns", "records", "voorbeeld", "--format", format])
            .expect(0)
            .says(&[&format!("voorbeeld.{OPERATOR}.")]);
    }
    // It is in the spreadsheet, and when it was handed over, too.
    assert_eq!(waiting(&setup)[0]["asked"], "delegate");
    setup
        .run(["dns", "records", "voorbeeld", "--mark"])
        .expect(0);
    assert!(waiting(&setup)[0]["handed_over"].is_string());
    // The option of the command goes before the file.
    let arguments = [
        "dns",
        "records",
        "voorbeeld",
        "--cname",
        "x.example",
        "--format",
        "json",
    ];
    let by_option = setup.run(arguments).expect(0).json();
    assert_eq!(by_option["delegation"], "x.example");
    let record = &by_option["domains"][0]["keys"][0]["record"];
    assert_eq!(record["value"], "s1.voorbeeld.x.example.");
    setup
        .run(["dns", "zone"])
        .expect(0)
        .says(&[&format!("s1.voorbeeld.{OPERATOR}. 3600 IN TXT")]);
}

#[test]
fn a_delegation_that_cannot_work_is_said() {
    let setup = unreachable("\"dname\"");
    settings(&setup, "", "resolvers = [\"127.0.0.1:1\"]");
    setup.run(["check"]).expect(1).complains(&[
        "voorbeeld: voorbeeld.example is to point to our own zone",
        "The operator sets zone in [handover]",
    ]);
    setup
        .run(["dns", "records", "voorbeeld"])
        .expect(2)
        .complains(&["set zone in [handover], or say --cname ZONE"]);
    setup
        .run(["dns", "zone"])
        .expect(2)
        .complains(&["name the zone"]);
    let listed = setup.run(["key", "list", "--json"]).expect(0);
    assert_eq!(listed.member("keys")[0]["domains"][0]["level"], "not_live");
    setup
        .run(["dns", "zone", "--domain", ZONE])
        .expect(2)
        .complains(&["voorbeeld.example is not delegated with NS"]);
    // A mistake is of this organisation only.
    setup.write("orgs.d/ander.toml", "domains = [\"ander.example\"]\n");
    write_organisation(&setup, "{ \"vorbeeld.example\" = \"dname\" }");
    setup.run(["check"]).expect(1).complains(&[
        "voorbeeld.toml:2: delegation.vorbeeld.example",
        "is none of its domains",
    ]);
    setup.run(["key", "generate", "ander"]).expect(0);
}

#[test]
fn a_new_organisation_is_delegated_from_the_start() {
    let setup = unreachable("\"none\"");
    let add = |more: &[&str]| {
        let arguments = [
            "org",
            "add",
            "nieuw",
            "--name",
            "Nieuw",
            "--domain",
            "nieuw.example",
        ];
        let contact = ["--contact", "dns@nieuw.example", "--lang", "en"];
        setup.run([&arguments[..], &contact[..], more].concat())
    };
    add(&["--delegation", "dname"])
        .expect(0)
        .says(&["_domainkey.nieuw.example: add 1 DNAME record(s), once"]);
    let file = std::fs::read_to_string(setup.path("orgs.d/nieuw.toml")).unwrap();
    assert!(file.contains("delegation = \"dname\"\n"), "{file}");
    std::fs::remove_file(setup.path("orgs.d/nieuw.toml")).unwrap();
    // A cell of a sheet comes before the option, which is for all rows.
    let rows = "id,name,domains,contact,delegation\n\
                een,Een,een.example,dns@een.example,cname\n\
                twee,Twee,twee.example,dns@twee.example,\n";
    let sheet = setup.write("sheet.csv", rows);
    let from = ["org", "add", "--from", &sheet, "--delegation", "dname"];
    setup.run(from).expect(0);
    for (id, way) in [("een", "cname"), ("twee", "dname")] {
        let file = std::fs::read_to_string(setup.path(&format!("orgs.d/{id}.toml"))).unwrap();
        let line = format!("delegation = \"{way}\"\n");
        assert!(file.contains(&line), "{file}");
    }
    settings(&setup, "", "resolvers = [\"127.0.0.1:1\"]");
    add(&["--delegation", "ns"])
        .expect(1)
        .complains(&["zegel.toml does not say to where its keys are delegated"]);
    assert!(!setup.path("orgs.d/nieuw.toml").exists());
}
