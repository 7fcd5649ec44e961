mod batch;
mod crashes;
mod handed_over;
mod in_use;
mod life;
mod lifecycle;
mod marks;
mod part_of_mark;
mod sealed;
mod unsafe_files;

use std::{fs, os::unix::fs::PermissionsExt, time::Duration};

use tempfile::TempDir;

use super::*;
use crate::{
    keys::{Delegations, Keyring, NewKey, Publication, State},
    organisation::{Organisation, Policy, SelectorTemplate},
};

const TIMING: Timing = Timing {
    check_every: Duration::from_hours(1),
    settle: Duration::from_mins(10),
    drain: Duration::from_hours(5),
    longest_expiry: Duration::ZERO,
    rotate_every: Duration::from_hours(100),
    lead_time: Duration::from_hours(20),
};

/// A keystore in a folder of its own, which goes away with it.
struct Fixture {
    keystore: Keystore,
    _folder: TempDir,
}

impl Fixture {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let keystore = Keystore::create(&folder.path().join("keys")).unwrap();
        Self {
            keystore,
            _folder: folder,
        }
    }

    /// With the Ed25519 keys `s1` and `s2` of the organisation `een`.
    fn with_two_keys() -> Self {
        let fixture = Self::new();
        fixture.generate("een", "s1");
        fixture.generate("een", "s2");
        fixture
    }

    fn generate(&self, organisation: &str, selector: &str) -> KeyEntry {
        let (organisation, selector) = (id(organisation), name(selector));
        let target = target(&organisation, &selector, &[]);
        let algorithm = Algorithm::Ed25519Sha256;
        self.keystore
            .generate(&target, algorithm, 0, second(1))
            .unwrap()
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.keystore.path().join(relative)
    }

    fn set_mode(&self, relative: &str, mode: u32) {
        fs::set_permissions(self.path(relative), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn load(&self, organisation: &str) -> OrganisationKeys {
        self.keystore.load_organisation(&id(organisation)).unwrap()
    }

    /// That `s1` of `een` is refused and `s2` is not; the message for `s1`.
    fn refusal_of_s1(&self) -> String {
        let loaded = self.load("een");
        let selectors: Vec<&str> = loaded
            .keys
            .iter()
            .map(|key| key.entry.selector.as_str())
            .collect();
        assert_eq!(selectors, ["s2"]);
        let [problem] = loaded.refused.as_slice() else {
            panic!("{:?}", loaded.refused);
        };
        assert_eq!(problem.selector.as_str(), "s1");
        assert_eq!(problem.path, self.path("een/s1.pem"));
        let entry = self.keystore.read_keyring(&id("een")).unwrap();
        let entry = entry.key(&name("s1")).unwrap();
        let one = self.keystore.load_key(&id("een"), entry).unwrap_err();
        assert_eq!(one.to_string(), problem.to_string());
        problem.to_string()
    }
}

fn id(text: &str) -> OrganisationId {
    text.parse().unwrap()
}

fn name(text: &str) -> Selector {
    text.parse().unwrap()
}

fn domains(texts: &[&str]) -> Vec<DomainName> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn target<'a>(
    organisation: &'a OrganisationId,
    selector: &'a Selector,
    domains: &'a [DomainName],
) -> Target<'a> {
    Target {
        organisation,
        selector,
        domains,
    }
}

fn second(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn test_key(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/keys");
    fs::read(folder.join(format!("unsafe-{name}.pem"))).unwrap()
}

/// `een`, whose next key has this selector.
fn organisation(selector: &str) -> Organisation {
    let id = id("een");
    Organisation {
        name: String::new(),
        domains: domains(&["een.nl"]),
        parked: Vec::new(),
        incoming: Vec::new(),
        contact: None,
        selector: SelectorTemplate::new(selector, &id).unwrap(),
        algorithms: vec![Algorithm::Ed25519Sha256],
        senders: None,
        delegations: Delegations::default(),
        language: crate::words::Language::default(),
        policy: Policy::default(),
        id,
    }
}
