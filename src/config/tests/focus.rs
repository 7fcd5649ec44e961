//! A command about one organisation reads those that matter to it.

use std::collections::BTreeSet;

use super::{folder, short};
use crate::config::{About, Loaded, Reader};

fn about(organisations: &[&str], domains: &[&str]) -> About {
    About {
        organisations: organisations.iter().map(|id| id.parse().unwrap()).collect(),
        domains: domains.iter().map(|one| one.parse().unwrap()).collect(),
    }
}

fn ids(loaded: &Loaded) -> Vec<&str> {
    let all = loaded.organisations.iter();
    all.map(|one| one.id.as_str()).collect()
}

const FILES: [(&str, &str); 6] = [
    ("zegel.toml", ""),
    (
        "orgs.d/een.toml",
        "domains = [\"een.example\", \"twist.example\"]",
    ),
    (
        "orgs.d/twee.toml",
        "parked = [\"Twist.Example.\"]\ndomains = [\"twee.example\"]",
    ),
    (
        "orgs.d/drie.toml",
        "domains = [\"drie.example\"]\ncontact = \"dns@een.example\"",
    ),
    ("orgs.d/stuk.toml", "domains = [\"stuk.example\"]\nfout = 1"),
    ("orgs.d/stuk-ook.toml", "domains = [\"een.example\"\n"),
];

#[test]
fn those_that_have_its_domains_are_read_with_it() {
    let folder = folder(&FILES);
    let mut reader = Reader::new(&folder.path().join("zegel.toml"));
    let whole = reader.load().unwrap();
    let loaded = reader.load_about(|_| about(&["een"], &[])).unwrap();
    assert_eq!(ids(&loaded), ["een", "twee"]);
    // As it is among all of them: what two files have is of nobody.
    assert_eq!(
        loaded.organisations[..],
        [
            whole.organisations[1].clone(),
            whole.organisations[2].clone()
        ]
    );
    assert_eq!(loaded.organisations[0].domains.len(), 1);
    assert_eq!(loaded.mistakes.contested, whole.mistakes.contested);
    // What may have its domain is told of, and what has nothing to do with it is not.
    let broken: Vec<String> = loaded.mistakes.problems().iter().map(short).collect();
    assert!(
        broken.iter().any(|one| one.starts_with("stuk-ook.toml")),
        "{broken:?}"
    );
    assert!(
        !broken.iter().any(|one| one.starts_with("stuk.toml")),
        "{broken:?}"
    );
}

#[test]
fn a_domain_alone_finds_whose_it_is() {
    let folder = folder(&FILES);
    let file = folder.path().join("zegel.toml");
    let of = |organisations: &[&str], domains: &[&str]| {
        let loaded = Reader::new(&file)
            .load_about(|_| about(organisations, domains))
            .unwrap();
        ids(&loaded)
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(of(&[], &["drie.example"]), ["drie"]);
    assert_eq!(of(&["niemand"], &["twee.example"]), ["twee"]);
    assert_eq!(of(&[], &["niemand.example"]), [""; 0]);
    assert_eq!(of(&[], &[]), [""; 0]);
}

#[test]
fn what_comes_or_is_replaced_meanwhile_is_looked_through() {
    let folder = folder(&FILES[..4]);
    let mut reader = Reader::new(&folder.path().join("zegel.toml"));
    let mut found = || {
        let loaded = reader
            .load_about(|_| about(&[], &["nieuw.example"]))
            .unwrap();
        ids(&loaded)
            .into_iter()
            .map(str::to_owned)
            .collect::<BTreeSet<_>>()
    };
    assert!(found().is_empty());
    let orgs = folder.path().join("orgs.d");
    let text = "domains = [\"nieuw.example\"]";
    std::fs::write(orgs.join("vier.toml"), text).unwrap();
    assert_eq!(found(), ["vier".to_owned()].into());
    // As every command writes files: beside, and then renamed.
    std::fs::write(orgs.join(".drie"), text).unwrap();
    std::fs::rename(orgs.join(".drie"), orgs.join("drie.toml")).unwrap();
    assert!(found().contains("drie"));
    std::fs::remove_file(orgs.join("vier.toml")).unwrap();
    assert!(!found().contains("vier"));
}
