//! A file that is lost is no removal.

use super::*;
use crate::{keys::Timing, names::Selector, snapshot::Signing};

fn timing() -> Timing {
    Settings::default().timing()
}

/// These organisations; of those with a `-` before it the domain is in no list of their file.
fn files(ids: &[&str]) -> Loaded {
    let mut loaded = loaded(&[]);
    for id in ids {
        let mut one = organisation(id.trim_start_matches('-'));
        if id.starts_with('-') {
            one.domains = vec![format!("nieuw-{}.example", one.id).parse().unwrap()];
        }
        loaded.organisations.push(Arc::new(one));
    }
    loaded
}

fn build_from(loaded: Loaded, keystore: &Keystore, previous: Option<&Snapshot>) -> Built {
    Snapshot::build(loaded, keystore, &Metrics::new(), previous).unwrap()
}

/// What is done with mail of this domain, and whose it is.
fn treated(built: &Built, name: &str) -> String {
    let Some(domain) = built.snapshot.domain(&name.parse().unwrap()) else {
        return "unknown".to_owned();
    };
    let id = &domain.organisation.id;
    match domain.keys.as_ref().map(DomainKeys::load) {
        None => format!("{id} parked"),
        Some(Signing::Active(_)) => format!("{id} signs"),
        Some(Signing::Suspended) => format!("{id} suspended"),
        Some(Signing::Awaiting) => format!("{id} awaits"),
        Some(Signing::Unusable) => format!("{id} {:?}", domain.organisation.policy.signing_failure),
    }
}

fn retire(keystore: &Keystore, id: &str) {
    let id: OrganisationId = id.parse().unwrap();
    let mut writer = keystore.writer().unwrap();
    writer
        .retire(&id, None, &timing(), Timestamp::now())
        .unwrap();
}

#[test]
fn a_running_signer_goes_on_with_the_file_that_it_read_last() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore_with_key(folder.path(), "a");
    add_key(&keystore, "b");
    let mut first = files(&["a", "b"]);
    let senders = crate::organisation::Senders {
        auth: vec!["crm".to_owned()],
        networks: Vec::new(),
        listeners: Vec::new(),
    };
    let mut a = organisation("a");
    a.senders = Some(senders.clone());
    first.organisations[0] = Arc::new(a);
    let first = build_from(first, &keystore, None);
    for lost in [&["b"][..], &["b", "-a"]] {
        let second = build_from(files(lost), &keystore, Some(&first.snapshot));
        assert_eq!(treated(&second, "a.example"), "a signs", "{lost:?}");
        assert_eq!(treated(&second, "b.example"), "b signs");
        assert!(!second.has_lost, "its numbers stay");
        let [problem] = &second.problems[..] else {
            panic!("{:?}", second.problems)
        };
        assert!(
            problem.starts_with("orgs.d/a.toml: a.example of a is in no file"),
            "{problem}"
        );
        assert!(
            problem.contains("zegel org retire a --domain a.example"),
            "{problem}"
        );
        assert_eq!(second.snapshot.key_problems(), 1);
        if *lost == ["b"] {
            let name = "a.example".parse().unwrap();
            let domain = second.snapshot.domain(&name).unwrap();
            assert_eq!(domain.organisation.senders, Some(senders.clone()));
        }
        // And on, whatever comes: one more reload, the file again.
        let third = build_from(files(lost), &keystore, Some(&second.snapshot));
        assert_eq!(treated(&third, "a.example"), "a signs");
        let back = build_from(files(&["a", "b"]), &keystore, Some(&third.snapshot));
        assert_eq!(treated(&back, "a.example"), "a signs");
        assert_eq!(back.problems, Vec::<String>::new());
    }
}

#[test]
fn where_the_file_is_not_known_mail_is_put_off_under_its_organisation() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore_with_key(folder.path(), "a");
    for lost in [&[][..], &["c"], &["-a"], &["c", "-a"]] {
        let start = build_from(files(lost), &keystore, None);
        assert_eq!(treated(&start, "a.example"), "a Tempfail", "{lost:?}");
        assert_eq!(start.problems.len(), 1, "{:?}", start.problems);
        // A reload does not make it sign either, nor lets it go.
        let reload = build_from(files(lost), &keystore, Some(&start.snapshot));
        assert_eq!(treated(&reload, "a.example"), "a Tempfail", "{lost:?}");
        assert_eq!(reload.problems.len(), 1, "{:?}", reload.problems);
        let back = build_from(files(&["a"]), &keystore, Some(&reload.snapshot));
        assert_eq!(treated(&back, "a.example"), "a signs", "{lost:?}");
        assert_eq!(back.problems, Vec::<String>::new());
    }
}

#[test]
fn a_key_that_comes_into_use_for_what_this_signer_has_not_read_puts_its_mail_off() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore_with_key(folder.path(), "a");
    let start = build_from(files(&["-a", "b"]), &keystore, None);
    assert_eq!(treated(&start, "a.example"), "a Tempfail");
    assert_eq!(treated(&start, "c.example"), "unknown");
    // The keeper has read files that this signer has not: one of c, and another domain of a.
    add_key(&keystore, "c");
    let (a, selector) = ("a".parse().unwrap(), "s1".parse().unwrap());
    let domains = ["nieuw-a.example", "extra.example"].map(|name| name.parse().unwrap());
    let target = Target {
        organisation: &a,
        selector: &selector,
        domains: &domains,
    };
    keystore
        .activate(&target, &timing(), Timestamp::now())
        .unwrap();
    let keys = build_from(files(&["-a", "b"]), &keystore, Some(&start.snapshot));
    let again = build_from(files(&["-a", "b"]), &keystore, Some(&keys.snapshot));
    for built in [&keys, &again] {
        assert_eq!(treated(built, "a.example"), "a Tempfail");
        assert_eq!(treated(built, "nieuw-a.example"), "a signs");
        assert_eq!(treated(built, "extra.example"), "a Tempfail");
        assert_eq!(treated(built, "c.example"), "c Tempfail");
        assert_eq!(built.problems.len(), 3, "{:?}", built.problems);
        assert_eq!(treated(built, "b.example"), "b awaits");
    }
    let reload = build_from(files(&["a", "b", "c"]), &keystore, Some(&again.snapshot));
    assert_eq!(treated(&reload, "a.example"), "a signs");
    assert_eq!(treated(&reload, "c.example"), "c signs");
    assert_eq!(treated(&reload, "extra.example"), "a Tempfail");
}

#[test]
fn what_goes_on_to_nowhere_is_not_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore_with_key(folder.path(), "a");
    let first = build_from(files(&["a", "b"]), &keystore, None);
    let mut moved = files(&["-a"]);
    let mut b = organisation("b");
    b.domains.push("a.example".parse().unwrap());
    moved.organisations.push(Arc::new(b));
    let moved = build_from(moved, &keystore, Some(&first.snapshot));
    assert_eq!(treated(&moved, "a.example"), "b awaits");
    let gone = build_from(files(&["-a", "b"]), &keystore, Some(&moved.snapshot));
    assert_eq!(treated(&gone, "a.example"), "a Tempfail");
    retire(&keystore, "a");
    let retired = build_from(files(&["-a", "b"]), &keystore, Some(&gone.snapshot));
    assert_eq!(treated(&retired, "a.example"), "unknown");
}

#[test]
fn another_file_or_the_operator_ends_it() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore_with_key(folder.path(), "a");
    let claim = |parked: bool| {
        let mut other = organisation("b");
        let name = "a.example".parse().unwrap();
        if parked {
            other.parked.push(name);
        } else {
            other.domains.push(name);
        }
        let mut loaded = files(&[]);
        loaded.organisations.push(Arc::new(other));
        loaded
    };
    let first = build_from(files(&["a", "b"]), &keystore, None);
    let lost = build_from(files(&["b"]), &keystore, Some(&first.snapshot));
    let unknown = build_from(files(&["b"]), &keystore, None);
    for before in [None, Some(&first), Some(&lost), Some(&unknown)] {
        let before = before.map(|built| &built.snapshot);
        let claimed = build_from(claim(false), &keystore, before);
        assert_eq!(treated(&claimed, "a.example"), "b awaits");
        assert_eq!(claimed.problems, Vec::<String>::new());
        let parked = build_from(claim(true), &keystore, before);
        assert_eq!(treated(&parked, "a.example"), "b parked");
    }
    retire(&keystore, "a");
    for before in [None, Some(&first), Some(&lost), Some(&unknown)] {
        let before = before.map(|built| &built.snapshot);
        let retired = build_from(files(&["b"]), &keystore, before);
        assert_eq!(treated(&retired, "a.example"), "unknown");
        assert_eq!(retired.problems, Vec::<String>::new());
    }
    // Putting the file back lets nothing sign: the keeper has to look first.
    let back = build_from(files(&["a", "b"]), &keystore, Some(&lost.snapshot));
    assert_eq!(treated(&back, "a.example"), "a awaits");
}

#[test]
fn what_has_no_key_in_use_is_removed_by_absence() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore_with_key(folder.path(), "a");
    let first = build_from(files(&["a", "b"]), &keystore, None);
    let second = build_from(files(&["a"]), &keystore, Some(&first.snapshot));
    assert_eq!(treated(&second, "b.example"), "unknown");
    assert!(second.has_lost);
    // A key that is only generated, revoked or drained is not in use.
    let c = organisation("c");
    let selector: Selector = "s1".parse().unwrap();
    let target = Target {
        organisation: &c.id,
        selector: &selector,
        domains: &c.domains,
    };
    let now = Timestamp::now();
    keystore
        .generate(&target, Algorithm::Ed25519Sha256, 0, now)
        .unwrap();
    let third = build_from(files(&["a", "c"]), &keystore, Some(&second.snapshot));
    let fourth = build_from(files(&["a"]), &keystore, Some(&third.snapshot));
    assert_eq!(treated(&fourth, "c.example"), "unknown");
    assert_eq!(fourth.problems, Vec::<String>::new());
}

#[test]
fn what_had_no_file_when_0_1_wrote_it_stays_removed() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore_with_key(folder.path(), "a");
    let path = folder.path().join("keys/a/keyring.json");
    let json = fs::read_to_string(&path).unwrap();
    fs::write(&path, json.replace("\"version\": 3", "\"version\": 2")).unwrap();
    for lost in [&["b"][..], &["-a"]] {
        let start = build_from(files(lost), &keystore, None);
        assert_eq!(treated(&start, "a.example"), "unknown");
        assert_eq!(start.problems, Vec::<String>::new());
    }
    // A signer that has read the file knows better.
    let first = build_from(files(&["a"]), &keystore, None);
    let lost = build_from(files(&["b"]), &keystore, Some(&first.snapshot));
    assert_eq!(treated(&lost, "a.example"), "a signs");
}

#[test]
fn what_is_lost_while_the_keystore_is_away_is_put_off() {
    let metrics = Metrics::new();
    let first = Snapshot::waiting(files(&["a", "b"]), &metrics, None, &[]);
    for left in [&["b"][..], &[]] {
        let built = Snapshot::waiting(files(left), &metrics, Some(&first.snapshot), &[]);
        assert_eq!(treated(&built, "a.example"), "a Tempfail", "{left:?}");
        let again = Snapshot::waiting(files(left), &metrics, Some(&built.snapshot), &[]);
        assert_eq!(treated(&again, "a.example"), "a Tempfail", "{left:?}");
        // It is back.
        let back = Snapshot::waiting(files(&["a"]), &metrics, Some(&again.snapshot), &[]);
        assert_eq!(back.snapshot.organisations().len(), 2);
    }
}

#[test]
fn what_the_mark_knows_is_put_off_though_file_and_keyring_are_lost() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore_with_key(folder.path(), "a");
    let path = folder.path().join("keys");
    let settings = Settings {
        keystore_path: path.clone(),
        ..Settings::default()
    };
    let running = build_from(files(&["a", "b"]), &keystore, None);
    fs::rename(path.join("a"), folder.path().join("away")).unwrap();
    for lost in [&["b"][..], &["-a", "b"]] {
        let start = build_from(files(lost), &keystore, None);
        assert_eq!(treated(&start, "a.example"), "a Tempfail", "{lost:?}");
        let again = build_from(files(lost), &keystore, Some(&start.snapshot));
        assert_eq!(treated(&again, "a.example"), "a Tempfail", "{lost:?}");
        let reload = build_from(files(lost), &keystore, Some(&running.snapshot));
        assert_eq!(treated(&reload, "a.example"), "a signs", "{lost:?}");
        // The keystore is not there at all.
        let marked = settings.marked_in_use();
        let waiting = Snapshot::waiting(files(lost), &Metrics::new(), None, &marked);
        assert_eq!(treated(&waiting, "a.example"), "a Tempfail", "{lost:?}");
        assert_eq!(treated(&waiting, "c.example"), "unknown");
        retire_and_undo(&keystore, &start, lost);
    }
}

/// Retiring ends it. Then the mark is as it was before.
fn retire_and_undo(keystore: &Keystore, before: &Built, lost: &[&str]) {
    let mark = keystore.path().with_extension("mark").join("mark.jsonl");
    let (text, generation) = (fs::read(&mark).unwrap(), keystore.path().join("generation"));
    let number = fs::read(&generation).unwrap();
    retire(keystore, "a");
    for before in [None, Some(&before.snapshot)] {
        let retired = build_from(files(lost), keystore, before);
        assert_eq!(treated(&retired, "a.example"), "unknown", "{lost:?}");
    }
    fs::write(mark, text).unwrap();
    fs::write(generation, number).unwrap();
}

#[test]
fn a_suspension_holds_although_the_keyring_is_gone() {
    for loss in ["keyring.json", ""] {
        let folder = tempfile::tempdir().unwrap();
        let keystore = keystore_with_key(folder.path(), "a");
        let a: OrganisationId = "a".parse().unwrap();
        let first = build_from(files(&["a"]), &keystore, None);
        let lost = folder.path().join("keys/a").join(loss);
        fs::rename(&lost, folder.path().join("away")).unwrap();
        let built = build_from(files(&["a"]), &keystore, Some(&first.snapshot));
        assert_eq!(treated(&built, "a.example"), "a signs", "{loss}");
        let mut writer = keystore.writer().unwrap();
        writer.suspend(&a, Timestamp::now()).unwrap();
        let built = build_from(files(&["a"]), &keystore, Some(&built.snapshot));
        assert_eq!(treated(&built, "a.example"), "a suspended", "{loss}");
    }
}

#[test]
fn a_suspension_holds_until_it_ends_and_keeps_the_keys() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore_with_key(folder.path(), "a");
    let a: OrganisationId = "a".parse().unwrap();
    let first = build_from(files(&["a"]), &keystore, None);
    let now = Timestamp::now();
    let generation = keystore.generation().unwrap();
    keystore.writer().unwrap().suspend(&a, now).unwrap();
    assert!(keystore.generation().unwrap() > generation);
    for before in [None, Some(&first.snapshot)] {
        for lost in [&["a"][..], &["b"]] {
            let built = build_from(files(lost), &keystore, before);
            let expected = if before.is_none() && *lost == ["b"] {
                // Its file is lost as well; either way nothing is signed.
                ["a Tempfail", "a suspended"]
            } else {
                ["a suspended"; 2]
            };
            let treated = treated(&built, "a.example");
            assert!(expected.contains(&treated.as_str()), "{treated}");
        }
    }
    keystore.writer().unwrap().resume(&a, now).unwrap();
    let resumed = build_from(files(&["a"]), &keystore, Some(&first.snapshot));
    assert_eq!(treated(&resumed, "a.example"), "a signs");
    let log = fs::read_to_string(folder.path().join("keys/audit.log")).unwrap();
    for event in ["suspended", "resumed"] {
        assert_eq!(
            log.matches(&format!("\"event\":\"{event}\"")).count(),
            1,
            "{log}"
        );
    }
}

#[test]
fn a_signer_that_has_not_read_the_files_yet_signs_on_with_a_key_that_has_left() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore_with_key(folder.path(), "a");
    let both = files(&["a", "b"]);
    let start = build_from(both.clone(), &keystore, None);
    assert_eq!(treated(&start, "a.example"), "a signs");
    // The keeper has: another organisation has the domain there.
    retire(&keystore, "a");
    let keys = build_from(both.clone(), &keystore, Some(&start.snapshot));
    let again = build_from(both, &keystore, Some(&keys.snapshot));
    for built in [&keys, &again] {
        assert_eq!(treated(built, "a.example"), "a signs");
        assert_eq!(built.problems, Vec::<String>::new());
    }
    // By the files that it has now the domain is gone; one that starts never signed with it.
    let gone = build_from(files(&["b"]), &keystore, Some(&again.snapshot));
    assert_eq!(treated(&gone, "a.example"), "unknown");
    let fresh = build_from(files(&["a", "b"]), &keystore, None);
    assert_eq!(treated(&fresh, "a.example"), "a awaits");
}

#[test]
fn a_key_that_is_ready_for_a_domain_of_nobody_puts_no_mail_off() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore_with_key(folder.path(), "a");
    let (a, selector) = ("a".parse().unwrap(), "s1".parse().unwrap());
    let domains = ["komt.example".parse().unwrap()];
    let target = Target {
        organisation: &a,
        selector: &selector,
        domains: &domains,
    };
    keystore
        .activate(&target, &timing(), Timestamp::now())
        .unwrap();
    let mut coming = files(&["b"]);
    let mut one = organisation("a");
    one.incoming = domains.to_vec();
    coming.organisations.push(Arc::new(one));
    let built = build_from(coming, &keystore, None);
    assert_eq!(treated(&built, "komt.example"), "unknown");
    assert_eq!(treated(&built, "a.example"), "a signs");
    // Said of nothing, it is lost as before.
    let lost = build_from(files(&["a", "b"]), &keystore, None);
    assert_eq!(treated(&lost, "komt.example"), "a Tempfail");
}
