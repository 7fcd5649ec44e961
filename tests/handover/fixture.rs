//! One organisation with a key in every state.

use std::{collections::BTreeMap, fs, path::PathBuf};

use jiff::Timestamp;
use zegel::{
    config::{SendersBelow, Settings},
    dkim::{Algorithm, PublicKey},
    handover::{Handover, Pack, Scope},
    keys::{Delegations, Keyring},
    keystore::{Senders, Sightings},
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

/// One domain of each kind: without our part in SPF and without DMARC, with two SPF records, with
/// all that it should have; and one that nobody has looked at.
fn sightings() -> Sightings {
    let finding = |code: &str, name: &str, expected: &str| {
        serde_json::json!({
            "code": code, "name": name, "seen": "", "expected": expected,
            "since": "2026-11-01T00:00:00Z",
        })
    };
    let domain = |spf: &[&str], dmarc: &[&str], findings: &[serde_json::Value]| {
        serde_json::json!({
            "checked": "2026-11-20T00:00:00Z", "spf": spf, "dmarc": dmarc, "findings": findings,
        })
    };
    let relay = "include:_spf.relay.example";
    let sightings = serde_json::json!({ "domains": {
        "voorbeeld.nl": domain(
            &["v=spf1 mx -all"],
            &[],
            &[
                finding("spf.relay_not_allowed", "voorbeeld.nl", relay),
                finding("dmarc.missing", "_dmarc.voorbeeld.nl", "v=DMARC1; p=none"),
            ],
        ),
        "nieuws.voorbeeld.nl": domain(
            &["v=spf1 mx -all", "v=spf1 a:kantoor.voorbeeld.nl ~all"],
            &["v=DMARC1; p=reject; rua=mailto:dmarc@voorbeeld.nl"],
            &[finding("spf.two_records", "nieuws.voorbeeld.nl", "one SPF record")],
        ),
        "leeg.voorbeeld.nl": domain(
            &["v=spf1 include:_spf.relay.example -all"],
            &["v=DMARC1; p=none; rua=mailto:dmarc@relay.example"],
            &[],
        ),
    }});
    serde_json::from_value(sightings).unwrap()
}

fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.handover.spf = Some("include:_spf.relay.example".to_owned());
    settings.handover.rua = Some("dmarc@relay.example".to_owned());
    settings.handover.sender = Some("Relay Voorbeeld".to_owned());
    settings.handover.contact = Some("post@relay.example".to_owned());
    settings
}

pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/handover")
}

pub struct Fixture {
    pub organisation: Organisation,
    pub keyring: Keyring,
    pub public_keys: BTreeMap<Selector, PublicKey>,
    pub sightings: Sightings,
    pub senders: Senders,
    pub settings: Settings,
    pub below: SendersBelow,
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
                incoming: Vec::new(),
                contact: Some("dns@voorbeeld.nl".into()),
                algorithms: Algorithm::ALL.into(),
                senders: None,
                delegations: Delegations::default(),
                language: zegel::words::Language::default(),
                policy: Policy::default(),
            },
            keyring: keyring(&public_keys),
            public_keys,
            sightings: sightings(),
            senders: Senders::default(),
            settings: settings(),
            below: SendersBelow::default(),
        }
    }

    pub fn handover(&self) -> Handover<'_> {
        Handover {
            organisation: &self.organisation,
            below: &self.below,
            keyring: &self.keyring,
            public_keys: &self.public_keys,
            sightings: &self.sightings,
            senders: &self.senders,
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
