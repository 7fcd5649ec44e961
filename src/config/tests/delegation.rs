//! `delegation` of an organisation: what is read, and each problem.

use super::{NONE, expect_problem, good};
use crate::keys::Way;

const SETTINGS: (&str, &str) = (
    "zegel.toml",
    "[handover]\nzone = \"dkim.relay.example\"\nname_servers = [\"ns1.relay.example\"]\n",
);

fn ways(delegation: &str) -> Vec<(String, Way)> {
    let text = format!("domains = [\"a.nl\", \"bücher.nl\"]\nparked = [\"p.nl\"]\n{delegation}");
    let organisations = good(&[SETTINGS, ("orgs.d/a.toml", &text)], NONE).organisations;
    let delegations = &organisations[0].delegations;
    let known = !delegations.ways.is_empty();
    assert_eq!(delegations.zone.is_some(), known);
    assert_eq!(delegations.name_servers.len(), usize::from(known));
    let ways = delegations.ways.iter();
    ways.map(|(domain, way)| (domain.to_string(), *way))
        .collect()
}

#[test]
fn a_word_is_for_all_domains_and_a_table_for_some() {
    let all = |way| {
        vec![
            ("a.nl".to_owned(), way),
            ("xn--bcher-kva.nl".to_owned(), way),
        ]
    };
    assert_eq!(ways(""), []);
    assert_eq!(ways("delegation = \"none\""), []);
    assert_eq!(ways("delegation = \"dname\""), all(Way::Dname));
    assert_eq!(ways("delegation = \"ns\""), all(Way::Ns));
    let table = "[delegation]\n\"A.nl.\" = \"none\"\n\"bücher.nl\" = \"cname\"";
    assert_eq!(ways(table), [("xn--bcher-kva.nl".to_owned(), Way::Cname)]);
}

#[test]
fn what_is_wrong_is_said_with_a_way_out() {
    for (text, beginning, words) in [
        (
            "delegation = \"cnam\"",
            "a.toml:3: delegation",
            "write one of: cname, dname, ns, none",
        ),
        (
            "delegation = true",
            "a.toml:3: delegation",
            "delegation = \"dname\"",
        ),
        (
            "[delegation]\n\"b.nl\" = \"ns\"",
            "a.toml:4: delegation.",
            "none of its domains",
        ),
        (
            "[delegation]\n\"p.nl\" = \"ns\"",
            "a.toml:4: delegation.",
            "parked ones have no keys",
        ),
        (
            "[delegation]\n\"a.nl\" = 5",
            "a.toml:4: delegation.",
            "write one of",
        ),
    ] {
        let text = format!("parked = [\"p.nl\"]\ndomains = [\"a.nl\"]\n{text}");
        expect_problem(&[SETTINGS, ("orgs.d/a.toml", &text)], beginning, words);
    }
}

#[test]
fn where_keys_are_handed_over_to_is_a_domain_name() {
    for (text, beginning) in [
        ("[handover]\nzone = \"a b\"", "zegel.toml:2: handover.zone"),
        (
            "[handover]\nname_servers = [\"*\"]",
            "zegel.toml:2: handover.name_servers",
        ),
    ] {
        expect_problem(&[("zegel.toml", text)], beginning, "no domain name");
    }
}
