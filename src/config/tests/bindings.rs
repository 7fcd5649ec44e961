//! Bindings of organisations to senders that no listener takes mail from.

use super::{NONE, good, short};

/// The warnings for an organisation with this `[senders]` table beside listeners with these
/// outbound rules.
fn warnings(rules: &[&str], senders: &str) -> Vec<String> {
    let listener = |(place, rule): (usize, &&str)| {
        format!("[[listener]]\nname = \"l{place}\"\nsocket = \"fd:l{place}\"\noutbound = {rule}\n")
    };
    let listeners: String = rules.iter().enumerate().map(listener).collect();
    let organisation = format!("domains = [\"a.nl\"]\n[senders]\n{senders}");
    let files = [
        ("zegel.toml", listeners.as_str()),
        ("orgs.d/a.toml", organisation.as_str()),
    ];
    good(&files, NONE).warnings.iter().map(short).collect()
}

const TEN: &str = "{ networks = [\"10.0.0.0/8\"] }";
const LOGINS: &str = "{ authenticated = true }";
const DEFAULT: &str = "{ authenticated = true, networks = [\"127.0.0.0/8\", \"::1/128\"] }";

#[test]
fn bindings_that_work_are_not_warned_of() {
    for (rules, senders) in [
        (
            &["\"all\""][..],
            "networks = [\"192.0.2.0/24\"]\nauth = [\"crm\"]",
        ),
        (&[TEN, "\"all\""], "networks = [\"::/0\"]\nauth = [\"crm\"]"),
        (&[TEN], "networks = [\"10.20.0.0/16\", \"10.0.0.0/8\"]"),
        (&[TEN], "networks = [\"::ffff:10.20.0.0/112\"]"),
        (
            &[
                "{ networks = [\"10.0.0.0/9\"] }",
                "{ networks = [\"10.128.0.0/9\"] }",
            ],
            "networks = [\"10.0.0.0/8\"]",
        ),
        (&[TEN, LOGINS], "auth = [\"crm\"]"),
        (
            &[DEFAULT],
            "networks = [\"127.0.0.0/8\", \"::1\"]\nauth = [\"crm\"]",
        ),
        (
            &["{ networks = [\"127.0.0.1\"] }"],
            "networks = [\"127.0.0.0/8\"]",
        ),
        (&[TEN], "listeners = [\"l0\"]"),
    ] {
        assert_eq!(warnings(rules, senders), [""; 0], "{rules:?} {senders}");
    }
}

#[test]
fn bindings_that_cannot_work_are_warned_of() {
    for (rules, senders, expected) in [
        (
            &[TEN][..],
            "networks = [\"192.0.2.0/24\"]",
            "a.toml: senders.networks: no listener takes mail from 192.0.2.0/24 for outbound: ",
        ),
        (
            &[DEFAULT],
            "networks = [\"10.20.0.0/16\"]",
            "a.toml: senders.networks: no listener takes mail from 10.20.0.0/16 for outbound, \
             unless the client logged in: ",
        ),
        (
            &[TEN],
            "networks = [\"10.0.0.0/7\"]",
            "a.toml: senders.networks: no listener takes mail from 11.0.0.0/8 for outbound: ",
        ),
        (
            &[TEN],
            "networks = [\"::/0\", \"10.1.2.3\"]",
            "a.toml: senders.networks: no listener takes mail from ::/0 for outbound: ",
        ),
        (
            &[TEN],
            "networks = [\"127.0.0.0/8\"]",
            "a.toml: senders.networks: no listener takes mail from 127.0.0.0/8 for outbound: ",
        ),
        (
            &["{ networks = [\"127.0.0.1\"] }"],
            "networks = [\"127.0.0.2\"]",
            "a.toml: senders.networks: no listener takes mail from 127.0.0.2/32 for outbound: ",
        ),
        (
            &["{ networks = [\"10.0.0.1\"] }"],
            "networks = [\"10.0.0.0/29\", \"10.0.0.16/28\", \"10.0.1.0/24\", \"10.0.2.0/24\"]",
            "a.toml: senders.networks: no listener takes mail from 10.0.0.0/32, 10.0.0.2/31, \
             10.0.0.4/30, 10.0.0.16/28 and 2 more for outbound: ",
        ),
        (
            &[TEN, "{ networks = [\"::1\"] }"],
            "auth = [\"crm\"]",
            "a.toml: senders.auth: no listener takes mail for outbound because its client logged \
             in: these logins count only for clients in 10.0.0.0/8, ::1/128; set authenticated",
        ),
        (
            &[TEN],
            "networks = [\"10.0.0.0/8\"]\nauth = [\"crm\"]",
            "a.toml: senders.auth: no listener ",
        ),
    ] {
        let found = warnings(rules, senders);
        assert_eq!(found.len(), 1, "{rules:?} {senders} {found:#?}");
        assert!(found[0].starts_with(expected), "{}", found[0]);
        assert!(found[0].contains("zegel.toml"), "{}", found[0]);
    }
}
