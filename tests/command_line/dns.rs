//! `zegel dns check` and `zegel key activate` with real name servers.

use std::{thread::sleep, time::Duration};

use serde_json::Value;

use crate::{
    setup::{RSA_KEY, Setup},
    support::name_world::World,
};

const RECORD_NAME: &str = "s1._domainkey";

/// The organisation `voorbeeld` in this world, which waits no longer than it must.
fn setup(world: &World) -> Setup {
    let setup = Setup::new();
    setup.write(
        "zegel.toml",
        &format!(
            "[keystore]\npath = \"{}\"\n[keeper]\nlocal_servers = true\nresolvers = [\"{}\"]\nsettle = \"1s\"\n\
             relay_addresses = [\"192.0.2.25\"]\n",
            setup.path("keys").display(),
            world.resolver.address()
        ),
    );
    setup.write(
        "orgs.d/voorbeeld.toml",
        "domains = [\"voorbeeld.example\"]\nparked = [\"oud.example\"]\n",
    );
    setup
}

/// Imports the key `s1`, and gives its record as a zone file has it.
fn import(setup: &Setup) -> String {
    let made = setup
        .run([
            "key",
            "import",
            "voorbeeld",
            RSA_KEY,
            "--selector",
            "s1",
            "--json",
        ])
        .expect(0)
        .json();
    let record = made["record"].as_str().unwrap();
    let (begin, end) = record.split_at(200);
    format!("{RECORD_NAME} TXT \"{begin}\" \"{end}\"\n")
}

/// What a domain that sends mail should have beside its keys.
fn policies(more: &str) -> String {
    format!(
        "@ TXT \"v=spf1 ip4:192.0.2.0/24 -all\"\n\
         _dmarc TXT \"v=DMARC1; p=reject; rua=mailto:d@voorbeeld.example\"\n{more}"
    )
}

fn codes(found: &Value, place: usize) -> Vec<String> {
    let findings = found["domains"][place]["findings"].as_array().unwrap();
    let codes = findings.iter().map(|one| one["code"].as_str().unwrap());
    codes.map(str::to_owned).collect()
}

#[test]
fn what_is_wrong_in_dns_is_found_and_what_is_right_is_good() {
    let world = World::of_two_primaries();
    let setup = setup(&world);
    let record = import(&setup);
    world.set_both(
        "voorbeeld.example",
        "@ TXT \"v=spf1 ip4:198.51.100.1 -all\"\n",
    );
    world.set_both("oud.example", "@ MX 5 mail\n");
    let found = setup.run(["dns", "check", "--json"]).expect(1).json();
    assert_eq!(found["good"], false);
    assert_eq!(
        codes(&found, 0),
        ["dkim.missing", "spf.relay_not_allowed", "dmarc.missing"]
    );
    assert_eq!(
        codes(&found, 1),
        ["spf.not_parked", "dmarc.missing", "mx.not_null"]
    );
    assert_eq!(found["domains"][0]["keys"][0]["sight"], "absent");
    setup
        .run(["dns", "check", "voorbeeld", "--lang", "nl"])
        .expect(1)
        .says(&[
            "error     dkim.missing",
            "s1._domainkey.voorbeeld.example",
            "expected: v=DKIM1; k=rsa; p=MII",
            "Voeg op s1._domainkey.voorbeeld.example een TXT-record toe",
            "looked at 2 domains and 1 key records: ",
        ]);

    world.set_both("voorbeeld.example", &policies(&record));
    let parked = "@ MX 0 .\n@ TXT \"v=spf1 -all\"\n_dmarc TXT \"v=DMARC1; p=reject;\"\n";
    world.set_both("oud.example", parked);
    let found = setup.run(["dns", "check", "--json"]).expect(0).json();
    assert_eq!(found["good"], true, "{found}");
    assert_eq!(found["domains"][0]["keys"][0]["sight"], "everywhere");
    setup
        .run(["dns", "check", "--domain", "voorbeeld.example"])
        .expect(0)
        .says(&["looked at 1 domains and 1 key records: 0 errors, 0 warnings"]);
}

#[test]
fn a_key_signs_when_every_name_server_has_shown_it_for_long_enough() {
    let world = World::of_two_primaries();
    let setup = setup(&world);
    let record = import(&setup);
    let zone = "voorbeeld.example";
    world.set_ttl(2);
    let activate = ["key", "activate", "voorbeeld", "s1"];
    world.set_both(zone, &policies(""));
    setup.run(activate).expect(1).complains(&[
        "voorbeeld.example: s1 was not activated; next: publish its record",
        "dkim.missing: s1._domainkey.voorbeeld.example: seen: ",
        "Add a TXT record",
    ]);

    world.set_zone(zone, &policies(&record));
    setup.run(activate).expect(1).complains(&[
        "next: correct its record, at every name server",
        "dkim.servers_disagree",
    ]);

    world.set_both(zone, &policies(&record));
    setup
        .run(activate)
        .expect(1)
        .complains(&["its record is seen everywhere, and must have been for long enough"]);
    let state = || {
        let keys = setup
            .run(["key", "list", "--json"])
            .expect(0)
            .member("keys");
        keys[0]["domains"][0].clone()
    };
    assert_eq!(state()["state"], "published");
    assert_eq!(state()["next"]["what"], "activate");
    // Others may remember for that long that there is no record.
    assert_eq!(state()["negative_ttl"], 2);
    sleep(Duration::from_secs(3));
    setup
        .run(activate)
        .expect(0)
        .says(&["voorbeeld.example: s1 signs from now on"]);
    let state = state();
    assert_eq!(state["state"], "active");
    assert!(state["assumed"].is_null());
    setup
        .run(activate)
        .expect(0)
        .says(&["voorbeeld.example: s1 signed already"]);
}
