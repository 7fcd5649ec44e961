//! A snapshot for mail of a few domains says of them what one of all organisations says.

use std::collections::BTreeSet;

use super::*;

fn names(domains: &[&str]) -> BTreeSet<DomainName> {
    domains.iter().map(|one| one.parse().unwrap()).collect()
}

fn about(loaded: Loaded, keystore: &Keystore, domains: &BTreeSet<DomainName>) -> Built {
    assert!(keystore.witness().unwrap().tells_of_all());
    Snapshot::about(loaded, keystore, &Metrics::new(), domains).unwrap()
}

#[test]
fn only_what_has_to_do_with_the_domain_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore_with_key(folder.path(), "een");
    add_key(&keystore, "twee");
    fs::write(folder.path().join("keys/twee/keyring.json"), "{").unwrap();
    let whole = build(&["een", "twee"], &keystore, None);
    assert!(!whole.problems.is_empty());
    let built = about(loaded(&["een"]), &keystore, &names(&["een.example"]));
    assert_eq!(built.problems, [""; 0]);
    assert_eq!(keys(&built, "een.example"), keys(&whole, "een.example"));
    assert_eq!(built.snapshot.organisations().len(), 1);
}

/// Its file is lost, or it was taken out of the file.
#[test]
fn a_domain_that_no_file_has_is_put_off_where_a_key_is_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore_with_key(folder.path(), "een");
    add_key(&keystore, "twee");
    let domains = names(&["een.example"]);
    let holders = keystore.witness().unwrap().holders(&domains);
    assert_eq!(holders, ["een".parse().unwrap()].into());
    let told = |built: &Built| {
        let told = built.problems.iter();
        told.filter(|one| one.contains("een.example"))
            .cloned()
            .collect::<Vec<_>>()
    };
    let whole = build(&["twee"], &keystore, None);
    let built = about(loaded(&[]), &keystore, &domains);
    assert_eq!(told(&built), told(&whole));
    assert_eq!(told(&built).len(), 1);
    assert_eq!(keys(&built, "een.example"), keys(&whole, "een.example"));

    let mut without = loaded(&["een"]);
    let mut organisation = organisation("een");
    organisation.domains = vec!["other.example".parse().unwrap()];
    without.organisations = vec![organisation.into()];
    let whole = Snapshot::build(without.clone(), &keystore, &Metrics::new(), None).unwrap();
    let built = about(without, &keystore, &domains);
    assert_eq!(told(&built), told(&whole));
    assert_eq!(keys(&built, "een.example"), keys(&whole, "een.example"));
}

#[test]
fn a_domain_of_nobody_has_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore_with_key(folder.path(), "een");
    let built = about(loaded(&[]), &keystore, &names(&["niemand.example"]));
    assert!(built.snapshot.organisations().is_empty());
    assert_eq!(built.problems, [""; 0]);
}
