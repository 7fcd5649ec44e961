use std::{collections::BTreeMap, fs};

use super::*;
use crate::{
    config,
    keys::{Publication, Situation, State, Why, Withdrawal},
    names::DomainName,
    page::standing::Standing,
};

mod agreement;

const HOSTILE: &str = r#"</title><script>alert("1")</script>&amp; 'a'"#;

fn page(folder: &std::path::Path) -> Page {
    let path = folder.display();
    fs::create_dir(folder.join("orgs.d")).unwrap();
    fs::write(
        folder.join("zegel.toml"),
        format!("[keystore]\npath = \"{path}/keys\"\n"),
    )
    .unwrap();
    let name = serde_json::to_string(HOSTILE).unwrap();
    fs::write(
        folder.join("orgs.d/a.toml"),
        format!("name = {name}\ndomains = [\"a.example\"]\n"),
    )
    .unwrap();
    let loaded = config::load(&folder.join("zegel.toml")).unwrap();
    let keystore = Keystore::create(&folder.join("keys")).unwrap();
    let metrics = Metrics::new();
    let built = Snapshot::first(loaded, &keystore, &metrics).unwrap();
    Page::new(SnapshotHolder::new(built.snapshot), metrics)
}

#[test]
fn all_text_is_escaped() {
    let folder = tempfile::tempdir().unwrap();
    let page = page(folder.path());
    let escaped = "&lt;/title&gt;&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;amp; 'a'";
    for (path, query) in [("/", ""), ("/", "q=%22%3E%3Cscript%3E"), ("/org/a", "")] {
        let answer = page.answer(path, query);
        assert!(answer.found, "{path}");
        let body = answer.body;
        assert!(!body.contains("<script") && !body.contains("<b>"), "{body}");
        assert_eq!(body.contains(escaped), query.is_empty(), "{path}: {body}");
    }
    assert!(!page.answer("/org/b", "").found);
    assert!(!page.answer("/org/a/records.exe", "").found);
}

fn publication(state: State, why: Why) -> Publication {
    Publication {
        state,
        why: Some(why),
        ..Publication::generated(Timestamp::UNIX_EPOCH)
    }
}

fn standing(publications: &[Publication]) -> Standing {
    standing_at(publications, Timestamp::UNIX_EPOCH)
}

fn standing_at(publications: &[Publication], now: Timestamp) -> Standing {
    let domains: [DomainName; 1] = ["a.example".parse().unwrap()];
    Standing::of(
        &Situation {
            keyring: &Keyring::of("a.example", publications),
            domains: &domains,
            incoming: &[],
            away: &[],
            algorithms: &[crate::dkim::Algorithm::RsaSha256],
            timing: &config::Settings::default().timing(),
            delegated: crate::keys::Delegated::default(),
            reported: crate::keys::Reported::default(),
        },
        crate::organisation::Policy::default(),
        now,
    )
}

#[test]
fn what_the_dns_showed_is_a_finding_if_it_is_not_as_it_should_be() {
    let active = publication(State::Active, Why::Signing);
    for (publications, finding) in [
        (vec![], None),
        (vec![active], None),
        (
            vec![active, publication(State::Published, Why::Settling)],
            None,
        ),
        (
            vec![active, publication(State::Generated, Why::NotSeen)],
            Some(Why::NotSeen),
        ),
        (
            vec![publication(State::Draining, Why::GoneEarly), active],
            Some(Why::GoneEarly),
        ),
    ] {
        assert_eq!(standing(&publications).finding, finding, "{publications:?}");
    }
}

#[test]
fn the_worst_comes_first_and_the_others_are_counted() {
    let found = standing(&[
        publication(State::Withdrawn, Why::Done),
        publication(State::Draining, Why::GoneEarly),
        publication(State::Draining, Why::GoneEarly),
        publication(State::Active, Why::SeenWrong),
        publication(State::Generated, Why::SeenPartly),
    ]);
    let selector = found.judgement.worst().unwrap().selector.as_ref().unwrap();
    assert_eq!(selector.as_str(), "s1");
    assert_eq!(found.judgement.others(), 2);
    assert_eq!(found.finding, Some(Why::SeenWrong));
    assert_eq!(found.states, [1, 0, 1, 2, 0, 1]);
}

#[test]
fn what_mail_suffers_from_besides_the_worst_is_known() {
    let mut judgement = standing(&[
        publication(State::Active, Why::SeenWrong),
        publication(State::Generated, Why::SeenPartly),
    ])
    .judgement;
    assert_eq!(judgement.level, Level::Unverifiable);
    assert_eq!(judgement.also_urgent(), []);
    for matter in &mut judgement.matters[1..] {
        matter.level = Level::Unsigned;
    }
    assert_eq!(judgement.also_urgent(), [Level::Unsigned]);
}

/// So that the list does not go on saying what was so when the keyring was read.
#[test]
fn a_key_becomes_overdue_though_its_keyring_stays_as_it_is() {
    let active = [publication(State::Active, Why::Signing)];
    let first = standing(&active);
    assert_eq!(first.judgement.level, Level::Well);
    let overdue = first.overdue.unwrap();
    let later = standing_at(&active, overdue);
    assert_eq!(later.judgement.level, Level::Act);
    assert_eq!(later.overdue, None);
}
