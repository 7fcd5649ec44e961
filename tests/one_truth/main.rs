//! One truth on every surface: what can be wrong with an organisation, brought about with real
//! name servers, a real Postfix, the signer and the keeper, and what each surface then says of it.

#[path = "../support/mod.rs"]
mod support;

mod stage;
mod surfaces;

use std::fs;

use stage::{Stage, good, record};
use support::zegel::Org;
use surfaces::Said;

/// A zone has all that it should have: the base of the other lines.
#[test]
fn all_is_well() {
    let stage = Stage::start(&["een"]);
    stage.set_zone("een", &good(&stage, "een"));
    stage.look("een");
    assert_eq!(stage.send("een"), 250);
    stage.expect(&Said {
        level: "well",
        ..Said::of("een")
    });
}

/// The key is made, its record is not in the DNS, and mail leaves unsigned: also before the keeper
/// has looked.
#[test]
fn no_record_and_mail_leaves_unsigned() {
    let stage = Stage::start_with(&["twee"], Org::without_keys);
    stage.set_zone("twee", &good(&stage, "twee"));
    stage.run(&["key", "generate", "twee"], 0);
    let expected = Said {
        level: "unsigned",
        what: Some("publish_record"),
        key: "unsigned",
        task: Some("add"),
        ..Said::of("twee")
    };
    assert_eq!(stage.send("twee"), 250);
    stage.expect(&expected);
    stage.look("twee");
    stage.expect(&expected);
}

#[test]
fn the_record_of_an_active_key_is_gone() {
    let stage = Stage::start(&["drie"]);
    stage.set_zone("drie", &good(&stage, "drie"));
    stage.look("drie");
    let key = record(&stage, "drie");
    stage.set_zone("drie", &good(&stage, "drie").replace(&key, ""));
    stage.look("drie");
    stage.expect(&Said {
        level: "unverifiable",
        what: Some("restore_record"),
        key: "unverifiable",
        task: Some("restore"),
        ..Said::of("drie")
    });
}

#[test]
fn the_record_of_an_active_key_is_malformed() {
    let stage = Stage::start(&["vier"]);
    let zone = good(&stage, "vier");
    stage.set_zone("vier", &zone);
    stage.look("vier");
    stage.set_zone("vier", &zone.replace("v=DKIM1;", "\\\"v=DKIM1;"));
    stage.look("vier");
    stage.expect(&Said {
        level: "unverifiable",
        what: Some("mend_record"),
        key: "unverifiable",
        task: Some("mend"),
        ..Said::of("vier")
    });
    // What stands there now, and what is wrong with it.
    let pack = stage.json(&["dns", "records", "vier", "--format", "json"]);
    let finding = &pack["domains"][0]["keys"][0]["findings"][0];
    assert_eq!(finding["code"], "dkim.quoting", "{pack}");
    let text = stage.run(&["dns", "records", "vier", "--lang", "en"], 0);
    assert!(text.contains("In your DNS now: "), "{text}");
    assert!(
        text.contains("Quotes or backslashes have become part"),
        "{text}"
    );
}

#[test]
fn the_file_of_a_key_is_refused() {
    let stage = Stage::start_with(&["vijf"], Org::with_lost_keys);
    stage.set_zone("vijf", "");
    assert_eq!(stage.send("vijf"), 451);
    stage.expect(&Said {
        level: "tempfailed",
        what: Some("key_refused"),
        key: "tempfailed",
        // The page and the pack know the public half from the keyring.
        task: Some("keep"),
        ..Said::of("vijf")
    });
}

#[test]
fn an_organisation_comes_to_a_signer_that_runs() {
    let stage = Stage::start(&["een"]);
    stage.add("zes");
    // It notices within seconds, and takes it up when the files have been quiet.
    stage.wait_for("the change is told", || {
        let attention = stage.status()["attention"].to_string();
        attention.contains("is newer than the one in use") || stage.page("/").contains("/org/zes")
    });
    stage.wait_for("the signer has taken it up", || {
        stage.page("/").contains("/org/zes") && stage.send("zes") == 250
    });
    stage.set_zone("zes", &good(&stage, "zes"));
    stage.look("zes");
    stage.expect(&Said {
        level: "well",
        ..Said::of("zes")
    });
}

#[test]
fn spf_or_dmarc_is_missing() {
    let stage = Stage::start(&["zeven"]);
    stage.set_zone("zeven", &record(&stage, "zeven"));
    stage.look("zeven");
    assert_eq!(stage.send("zeven"), 250);
    stage.expect(&Said {
        level: "act",
        what: Some("spf.missing"),
        key: "well",
        task: Some("keep"),
        policies: &["spf add", "dmarc add"],
        ..Said::of("zeven")
    });
    let pack = stage.json(&["dns", "records", "zeven", "--format", "json"]);
    let policies = &pack["domains"][0]["policies"];
    let values = [
        "v=spf1 include:_spf.relay.example ~all",
        "v=DMARC1; p=none; rua=mailto:dmarc@relay.example",
    ];
    for (place, value) in values.into_iter().enumerate() {
        assert_eq!(policies[place]["record"]["value"], value, "{pack}");
    }
    let text = stage.run(&["dns", "records", "zeven", "--lang", "en"], 0);
    assert!(!text.contains("nothing to change now"), "{text}");
    // What the pack asks for is what the keeper then finds well.
    let zone = format!(
        "{}@ TXT \"{}\"\n_dmarc TXT \"{}\"\n",
        record(&stage, "zeven"),
        values[0],
        values[1].replace("relay.example", "zeven.example")
    );
    stage.set_zone("zeven", &zone);
    stage.look("zeven");
    stage.expect(&Said {
        level: "well",
        ..Said::of("zeven")
    });
}

/// Before the keeper's next look, and as the first of all rows.
#[test]
fn a_key_was_stolen_and_revoked() {
    let stage = Stage::start(&["acht", "aaa", "aab"]);
    for org in ["acht", "aaa"] {
        stage.set_zone(org, &good(&stage, org));
        stage.look(org);
    }
    // A worse one than this one would be the first, and a lesser one is not.
    stage.set_zone("aab", "");
    stage.look("aab");
    let key = "acht-ed25519";
    stage.run(&["key", "revoke", "acht", key, "--compromised"], 0);
    stage.expect(&Said {
        level: "compromised",
        what: Some("empty_record"),
        key: "compromised",
        task: Some("empty"),
        ..Said::of("acht")
    });
    let page = stage.page("/");
    let first = page.find("/org/acht").expect("a row");
    assert!(page.find("/org/aaa").is_none_or(|other| first < other));
    assert!(page.find("/org/aab").is_none_or(|other| first < other));
    let status = stage.status();
    assert_eq!(status["judgements"][0]["organisation"], "acht", "{status}");
    assert!(fs::exists(stage.path("keys/audit.log")).expect("a keystore"));
}
