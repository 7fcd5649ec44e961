//! A signer with three organisations, as small as it can be: `a` signs for anybody, `b` with
//! two keys and for those that it knows, `c` has no key in use and a parked domain.

use jiff::Timestamp;
use tempfile::TempDir;
use zegel::{
    config::{Limits, Settings, SigningSettings},
    keystore::{Keystore, Target},
    names::{DomainName, OrganisationId, Selector},
    observe::metrics::Metrics,
    snapshot::Snapshot,
};

use crate::files::Configuration;

/// Signs for anybody.
pub const OPEN: &str = "voorbeeld.example";
/// Signs for the login `crm` and the network 10.0.0.0/8.
pub const BOUND: &str = "ander.example";
/// Has a key that is not in use.
pub const WAITING: &str = "wacht.example";
/// Never sends.
pub const PARKED: &str = "oud.example";

const ORGANISATIONS: [&[u8]; 3] = [
    br#"
domains = ["voorbeeld.example"]
algorithms = ["ed25519-sha256"]
"#,
    br#"
domains = ["ander.example"]
algorithms = ["rsa-sha256", "ed25519-sha256"]
[senders]
auth = ["crm"]
networks = ["10.0.0.0/8"]
"#,
    br#"
domains = ["wacht.example"]
parked = ["oud.example"]
"#,
];

/// Organisation, selector, domain and file of each key.
const KEYS: [(&str, &str, &str, &[u8]); 3] = [
    (
        "a",
        "ed",
        OPEN,
        include_bytes!("../../tests/fixtures/keys/unsafe-ed25519-v1.pem"),
    ),
    (
        "b",
        "rsa",
        BOUND,
        include_bytes!("../../tests/fixtures/keys/unsafe-rsa2048-pkcs8.pem"),
    ),
    (
        "b",
        "ed",
        BOUND,
        include_bytes!("../../tests/fixtures/keys/unsafe-rfc8463-v1.pem"),
    ),
];

/// What messages are decided and signed with.
pub fn snapshot() -> Snapshot {
    snapshot_with(b"", Limits::default())
}

/// The same with settings, and with limits that no configuration could have.
pub fn snapshot_with(settings: &[u8], limits: Limits) -> Snapshot {
    let mut files = Configuration::new();
    files.settings(settings);
    files.organisations(ORGANISATIONS.into_iter());
    let mut loaded = files.load(&[]).expect("the configuration is good");
    loaded.settings.limits = limits;
    let folder = TempDir::new().expect("a folder for keys");
    let keystore = Keystore::create(&folder.path().join("keys")).expect("a keystore");
    for (organisation, selector, domain, pem) in KEYS {
        let organisation: OrganisationId = organisation.parse().expect("an id");
        let selector: Selector = selector.parse().expect("a selector");
        let domain: DomainName = domain.parse().expect("a domain");
        let target = Target {
            organisation: &organisation,
            selector: &selector,
            domains: &[domain],
        };
        let now = Timestamp::UNIX_EPOCH;
        keystore.import(&target, pem, now).expect("a new key");
        keystore
            .activate(&target, &Settings::default().timing(), now)
            .expect("a key that was never used");
    }
    let built = Snapshot::build(loaded, &keystore, &Metrics::new(), None);
    let built = built.expect("the keystore can be read");
    assert!(built.problems.is_empty(), "{:?}", built.problems);
    built.snapshot
}

/// The built-in settings, and some that differ from them as far as the configuration allows.
pub fn signing_settings() -> [SigningSettings; 2] {
    let mut other = SigningSettings {
        expire: Some(std::time::Duration::from_hours(24)),
        ..SigningSettings::default()
    };
    let headers = &mut other.headers;
    headers.sign = headers.oversign.drain(..).collect();
    let names = ["x-zegel", "list-id", "comments"];
    headers.oversign = names.map(|name| name.parse().expect("a name")).into();
    headers.oversign_if_present.truncate(4);
    [SigningSettings::default(), other]
}
