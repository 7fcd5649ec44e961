//! One organisation with a key in every state.

use std::{collections::BTreeMap, fs, path::PathBuf};

use jiff::Timestamp;
use zegel::{
    config::Settings,
    dkim::{Algorithm, PublicKey},
    handover::{Handover, Pack, Scope},
    keys::Keyring,
    names::{DomainName, Selector},
    organisation::{Organisation, Policy, SelectorTemplate},
};

/// Selector, then domain, state (and how far it is given up) and since for each publication.
type Life = (
    &'static str,
    &'static [(&'static str, &'static str, &'static str)],
);

const LIVES: [Life; 8] = [
    ("gv-2020a", &[("voorbeeld.nl", "withdrawn", "2021-01-01")]),
    (
        "gv-2024b",
        &[("voorbeeld.nl", "withdrawn emptied", "2026-03-01")],
    ),
    (
        "gv-2025a",
        &[
            ("oud-voorbeeld.nl", "draining asked", "2026-11-17"),
            ("voorbeeld.nl", "draining asked", "2026-11-18"),
        ],
    ),
    ("gv-2025b", &[("voorbeeld.nl", "draining", "2026-11-17")]),
    ("gv-2026a", &[("voorbeeld.nl", "active", "2026-06-05")]),
    ("gv-2026a-2", &[("voorbeeld.nl", "revoked", "2026-11-20")]),
    (
        "gv-2026b",
        &[
            ("nieuws.voorbeeld.nl", "generated", "2026-11-20"),
            ("voorbeeld.nl", "generated", "2026-11-20"),
        ],
    ),
    (
        "gv-2026b-2",
        &[
            ("voorbeeld.nl", "published", "2026-11-20"),
            ("xn--cafvoorbeeld-deb.nl", "generated", "2026-11-20"),
        ],
    ),
];

/// The zones that its domains are in.
pub const ZONES: [&str; 3] = [
    "voorbeeld.nl",
    "xn--cafvoorbeeld-deb.nl",
    "oud-voorbeeld.nl",
];

pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/handover")
}

pub struct Fixture {
    pub organisation: Organisation,
    pub keyring: Keyring,
    pub public_keys: BTreeMap<Selector, PublicKey>,
    pub settings: Settings,
}

impl Fixture {
    pub fn new() -> Self {
        let names = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect();
        let id = "gemeente-voorbeeld".parse().unwrap();
        let public_keys = public_keys();
        Self {
            organisation: Organisation {
                selector: SelectorTemplate::new("gv-{year}{half}", &id).unwrap(),
                id,
                name: "Gemeente Voorbeeld".into(),
                domains: names(&[
                    "voorbeeld.nl",
                    "nieuws.voorbeeld.nl",
                    "cafévoorbeeld.nl",
                    "leeg.voorbeeld.nl",
                ]),
                parked: names(&["oud-voorbeeld.nl"]),
                contact: Some("dns@voorbeeld.nl".into()),
                algorithms: Algorithm::ALL.into(),
                senders: None,
                policy: Policy::default(),
            },
            keyring: keyring(&public_keys),
            public_keys,
            settings: Settings::default(),
        }
    }

    pub fn handover(&self) -> Handover<'_> {
        Handover {
            organisation: &self.organisation,
            keyring: &self.keyring,
            public_keys: &self.public_keys,
            settings: &self.settings,
            now: time("2026-11-21"),
        }
    }

    pub fn pack(&self, delegation: Option<&str>) -> Pack {
        let scope = Scope {
            domain: None,
            delegation: delegation.map(|zone| zone.parse().unwrap()),
        };
        self.handover().pack(&scope).unwrap()
    }

    /// The pack of one domain.
    pub fn domain_pack(&self, domain: &DomainName, delegation: Option<&str>) -> Pack {
        let scope = Scope {
            domain: Some(domain.clone()),
            delegation: delegation.map(|zone| zone.parse().unwrap()),
        };
        self.handover().pack(&scope).unwrap()
    }
}

fn time(date: &str) -> Timestamp {
    format!("{date}T12:00:00Z").parse().unwrap()
}

fn public_keys() -> BTreeMap<Selector, PublicKey> {
    let read = |(selector, _): &Life| {
        let pem = fs::read(folder().join(format!("keys/{selector}.pem"))).ok()?;
        Some((
            selector.parse().unwrap(),
            PublicKey::from_pem(&pem).unwrap(),
        ))
    };
    LIVES.iter().filter_map(read).collect()
}

fn keyring(public_keys: &BTreeMap<Selector, PublicKey>) -> Keyring {
    let entry = |(selector, publications): &Life| {
        let key = public_keys.get(*selector);
        let publications: serde_json::Map<_, _> = publications
            .iter()
            .map(|(domain, state, since)| {
                let mut words = state.split(' ');
                let publication = serde_json::json!({
                    "state": words.next(), "withdrawal": words.next(), "since": time(since),
                    "ttl": 3600,
                });
                ((*domain).to_owned(), publication)
            })
            .collect();
        serde_json::json!({
            "selector": selector,
            "algorithm": key.map_or("rsa-sha256", |key| key.algorithm().as_str()),
            "created": time("2026-01-01"),
            "fingerprint": key.map_or("0".repeat(64), |key| key.fingerprint().to_string()),
            "publications": publications,
        })
    };
    let keys: Vec<_> = LIVES.iter().map(entry).collect();
    let json = serde_json::json!({"version": 1, "keys": keys}).to_string();
    Keyring::parse(json.as_bytes()).unwrap()
}
