//! Which organisations come of which domains and keys.

use std::collections::BTreeMap;

use super::*;
use crate::{
    dkim::key::{Algorithm, SigningKey},
    names::{DomainName, OrganisationId},
};

/// Signs for `author` with the key that is called so; keys are called after their algorithms.
fn signing(author: &str, selector: &str, key: &str) -> Signing {
    Signing {
        author: author.parse().unwrap(),
        signer: author.parse().unwrap(),
        selector: selector.parse().unwrap(),
        key: KeySource::File(key.into()),
        in_use: true,
        hidden_by: None,
        place: Place {
            file: PathBuf::from("t").into(),
            line: 1,
        },
    }
}

fn facts() -> BTreeMap<KeySource, KeyFacts> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/keys");
    let usable = |name: &str, file: &str| {
        let pem = std::fs::read(folder.join(file)).unwrap();
        let key = SigningKey::from_pem(&pem).unwrap();
        let facts = KeyFacts::Usable {
            fingerprint: key.public_key().fingerprint(),
            algorithm: key.algorithm(),
        };
        (KeySource::File(name.into()), facts)
    };
    BTreeMap::from([
        usable("rsa", "unsafe-rsa2048-pkcs8.pem"),
        usable("same", "unsafe-rsa2048-pkcs1.pem"),
        usable("other", "unsafe-rsa3072-pkcs8.pem"),
        usable("ed", "unsafe-ed25519-v1.pem"),
        (
            KeySource::File("weak".into()),
            KeyFacts::Refused {
                code: Code::WeakKey,
                reason: "it is too short".to_owned(),
            },
        ),
    ])
}

fn planned(signings: Vec<Signing>, taken: &Taken) -> Plan {
    let setup = Setup {
        signings,
        ..Setup::default()
    };
    plan(setup, &facts(), taken)
}

fn shape(plan: &Plan) -> Vec<String> {
    let organisations = plan.organisations.iter();
    organisations
        .map(|one| {
            let domains: Vec<&str> = one.domains.iter().map(DomainName::as_str).collect();
            let keys: Vec<String> = one
                .keys
                .iter()
                .map(|key| format!("{}/{}", key.selector, key.in_use.len()))
                .collect();
            format!("{}: {}; {}", one.id, domains.join(" "), keys.join(" "))
        })
        .collect()
}

fn codes(plan: &Plan) -> Vec<&str> {
    plan.findings
        .iter()
        .map(|finding| finding.code.as_str())
        .collect()
}

#[test]
fn a_key_makes_an_organisation_wherever_it_lies() {
    let plan = planned(
        vec![
            signing("a.nl", "s", "rsa"),
            signing("b.nl", "s", "other"),
            signing("x.a.nl", "s", "same"),
            signing("x.a.nl", "e", "ed"),
        ],
        &Taken::default(),
    );
    assert_eq!(
        shape(&plan),
        ["a-nl: a.nl x.a.nl; s/2 e/1", "b-nl: b.nl; s/1"]
    );
    assert_eq!(codes(&plan), [""; 0]);
    let algorithms = plan.organisations[0].keys.iter().map(|key| key.algorithm);
    assert!(algorithms.eq([Algorithm::RsaSha256, Algorithm::Ed25519Sha256]));
}

#[test]
fn a_key_has_one_selector_and_a_domain_one_key_of_a_kind() {
    let plan = planned(
        vec![
            signing("a.nl", "one", "rsa"),
            signing("b.a.nl", "two", "rsa"),
            signing("c.a.nl", "two", "rsa"),
            signing("c.a.nl", "two", "other"),
        ],
        &Taken::default(),
    );
    assert_eq!(shape(&plan), ["a-nl: a.nl b.a.nl c.a.nl; two/2"]);
    assert_eq!(codes(&plan), ["several_keys", "several_selectors"]);
}

#[test]
fn strangers_with_one_key_are_named() {
    for (one, other, shared) in [
        ("a.nl", "b.nl", true),
        ("x.a.nl", "y.a.nl", false),
        ("a.co.uk", "b.co.uk", true),
        ("x.a.co.uk", "a.co.uk", false),
        ("a.example", "a.test", true),
    ] {
        let signings = vec![signing(one, "s", "rsa"), signing(other, "s", "rsa")];
        let plan = planned(signings, &Taken::default());
        assert_eq!(
            codes(&plan).contains(&"shared_key"),
            shared,
            "{one} {other}"
        );
    }
}

/// It is not taken over, and makes them one organisation all the same.
#[test]
fn a_weak_key_of_strangers_is_told() {
    let signings = vec![signing("a.nl", "s", "weak"), signing("b.nl", "s", "weak")];
    let plan = planned(signings, &Taken::default());
    assert_eq!(shape(&plan), ["a-nl: a.nl b.nl; "]);
    let mut codes = codes(&plan);
    codes.sort_unstable();
    assert_eq!(codes, ["no_key", "shared_key", "weak_key"]);
}

#[test]
fn names_are_unique_and_short_enough() {
    let long = "een-heel-lange-naam-van-een-gemeente-in-het-noorden.nl";
    let mut taken = Taken::default();
    let id: OrganisationId = "a-b-nl".parse().unwrap();
    taken.insert(&id, &["elders.nl".parse().unwrap()]);
    let plan = planned(
        vec![
            signing("a.b.nl", "s", "rsa"),
            signing("a-b.nl", "s", "other"),
            signing(long, "s", "ed"),
            signing(&format!("{long}.nl"), "s", "none"),
            signing("lock", "s", "nor this"),
        ],
        &taken,
    );
    let ids: Vec<&str> = plan
        .organisations
        .iter()
        .map(|one| one.id.as_str())
        .collect();
    assert_eq!(
        ids,
        [
            "a-b-nl-2",
            "a-b-nl-3",
            "een-heel-lange-naam-van-een-gemeente-in",
            "een-heel-lange-naam-van-een-gemeente-i-2",
            "lock-2"
        ]
    );
}
