//! Sealed keys in a keystore: read, written, moved, and when the sealing key is not there.

use std::os::unix::fs::MetadataExt;

use super::*;
use crate::{dkim::SigningKey, sealing::SealingKeyId};

/// A keystore with a sealing key beside it.
struct Sealed {
    fixture: Fixture,
    first: PathBuf,
    id: SealingKeyId,
}

impl Sealed {
    fn new() -> Self {
        let fixture = Fixture::new();
        let first = fixture.beside("first.key");
        let id = make_sealing_key(&first).unwrap();
        let mut sealed = Self {
            first: first.clone(),
            fixture,
            id,
        };
        sealed.configure(&[&first]);
        sealed
    }

    fn with_two_keys() -> Self {
        let sealed = Self::new();
        sealed.fixture.generate("een", "s1");
        sealed.fixture.generate("een", "s2");
        sealed
    }

    /// As a process with these sealing keys opens it.
    fn configure(&mut self, files: &[&PathBuf]) {
        let files: Vec<PathBuf> = files.iter().map(|file| (*file).clone()).collect();
        let keystore = Keystore::open(self.fixture.keystore.path()).unwrap();
        self.fixture.keystore = keystore.sealed_by(&files);
    }

    fn text(&self, file: &str) -> String {
        fs::read_to_string(self.fixture.path(file)).unwrap()
    }

    fn reseal(&self, lie: Lie) -> (usize, usize, usize) {
        let resealed = self.fixture.keystore.reseal(lie, second(9)).unwrap();
        assert!(resealed.unread.is_empty(), "{:?}", resealed.unread);
        (resealed.changed, resealed.unchanged, resealed.failed.len())
    }

    fn audit_log(&self) -> String {
        self.text("audit.log")
    }
}

impl Fixture {
    fn beside(&self, name: &str) -> PathBuf {
        self.keystore.path().parent().unwrap().join(name)
    }
}

fn is_sealed(text: &str, id: SealingKeyId) -> bool {
    text.starts_with(&format!("zegel-sealed-key 1 sealing-key={id}\n")) && !text.contains("PRIVATE")
}

#[test]
fn new_keys_are_sealed_and_sign() {
    let sealed = Sealed::with_two_keys();
    for file in ["een/s1.pem", "een/s2.pem"] {
        assert!(is_sealed(&sealed.text(file), sealed.id), "{file}");
        let mode = fs::metadata(sealed.fixture.path(file)).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let loaded = sealed.fixture.load("een");
    assert_eq!(loaded.keys.len(), 2, "{:?}", loaded.refused);
    for key in &loaded.keys {
        key.signing_key.sign(b"data").unwrap();
    }
    sealed.fixture.keystore.check_sealing().unwrap();
    let lying = sealed.fixture.keystore.lying().unwrap();
    assert_eq!((lying.plain, lying.sealed[&sealed.id]), (0, 2));
    // It is kept from programs that are started.
    let places = sealed.fixture.keystore.places();
    assert!(places.contains(&sealed.first.canonicalize().unwrap()));
}

#[test]
fn a_key_file_that_is_changed_or_moved_is_refused_and_no_other() {
    let sealed = Sealed::with_two_keys();
    let fixture = &sealed.fixture;
    let good = fs::read(fixture.path("een/s1.pem")).unwrap();
    for octet in [0, 20, 35, 49, 60, good.len() / 2, good.len() - 2] {
        let mut changed = good.clone();
        changed[octet] ^= 1;
        fs::write(fixture.path("een/s1.pem"), &changed).unwrap();
        let message = fixture.refusal_of_s1();
        assert!(message.contains("een/s1.pem: "), "{message}");
        assert!(message.contains("key s1 of een is not used"), "{message}");
    }
    // Another key of the same organisation under this selector, and that of another one.
    fixture.generate("twee", "s1");
    for other in ["een/s2.pem", "twee/s1.pem"] {
        fs::copy(fixture.path(other), fixture.path("een/s1.pem")).unwrap();
        let message = fixture.refusal_of_s1();
        assert!(message.contains("does not open here"), "{message}");
    }
    fs::write(fixture.path("een/s1.pem"), &good).unwrap();
    assert_eq!(fixture.load("een").keys.len(), 2);

    // The same folder under another id, for a process that starts.
    let opened = || {
        let keystore = Keystore::open(fixture.keystore.path()).unwrap();
        let keystore = keystore.sealed_by(std::slice::from_ref(&sealed.first));
        keystore.load_organisation(&id("een")).unwrap()
    };
    let id = sealed.text("keystore.id");
    fs::write(fixture.path("keystore.id"), id.replace(['0', '1'], "2")).unwrap();
    assert_eq!(opened().refused.len(), 2);
    // One that runs knows which it is.
    assert_eq!(fixture.load("een").keys.len(), 2);
    fs::write(fixture.path("keystore.id"), id).unwrap();
    // The id is in the mark, too.
    fs::remove_file(fixture.path("keystore.id")).unwrap();
    assert_eq!(opened().keys.len(), 2);
}

#[test]
fn an_old_file_does_not_open_under_a_new_fingerprint() {
    let sealed = Sealed::new();
    sealed.fixture.generate("een", "s1");
    let old = fs::read(sealed.fixture.path("een/s1.pem")).unwrap();
    let other = Sealed::new();
    other.fixture.generate("een", "s1");
    for file in ["een/keyring.json", "keystore.id"] {
        fs::copy(other.fixture.path(file), sealed.fixture.path(file)).unwrap();
    }
    fs::write(sealed.fixture.path("een/s1.pem"), old).unwrap();
    let loaded = sealed.fixture.load("een");
    let [problem] = loaded.refused.as_slice() else {
        panic!("{loaded:?}");
    };
    assert!(problem.to_string().contains("does not open here"));
    assert!(!problem.is_of_the_moment());
}

#[test]
fn a_copy_of_the_folder_opens_with_the_same_sealing_key() {
    let sealed = Sealed::with_two_keys();
    let copy = sealed.fixture.beside("copy");
    let status = std::process::Command::new("cp")
        .arg("-a")
        .args([sealed.fixture.keystore.path(), &copy])
        .status();
    assert!(status.unwrap().success());
    let keystore = Keystore::open(&copy).unwrap();
    let keystore = keystore.sealed_by(std::slice::from_ref(&sealed.first));
    assert_eq!(
        keystore.load_organisation(&id("een")).unwrap().keys.len(),
        2
    );
}

#[test]
fn a_sealing_key_is_replaced_and_given_up() {
    let mut sealed = Sealed::with_two_keys();
    let (first, second) = (sealed.first.clone(), sealed.fixture.beside("second.key"));
    let other = make_sealing_key(&second).unwrap();
    assert_eq!(sealed.reseal(Lie::Sealed), (0, 2, 0));

    // Of the old one alone it says which is wanted.
    sealed.configure(&[&second]);
    let message = sealed.fixture.load("een").refused[0].to_string();
    let (wanted, there) = (sealed.id, other);
    assert!(
        message.contains(&format!(
            "sealing key {wanted}, and [keystore] sealing_keys has {there}"
        )),
        "{message}"
    );
    assert_eq!(sealed.reseal(Lie::Sealed), (0, 0, 2));

    sealed.configure(&[&second, &first]);
    sealed.fixture.generate("twee", "s1");
    assert!(is_sealed(&sealed.text("twee/s1.pem"), other));
    assert_eq!(sealed.fixture.load("een").keys.len(), 2);
    assert_eq!(sealed.reseal(Lie::Sealed), (2, 1, 0));
    assert!(is_sealed(&sealed.text("een/s1.pem"), other));

    sealed.configure(&[&second]);
    assert_eq!(sealed.fixture.load("een").keys.len(), 2);
    assert_eq!(sealed.reseal(Lie::Plain), (3, 0, 0));
    assert_eq!(sealed.reseal(Lie::Plain), (0, 3, 0));
    for file in ["een/s1.pem", "een/s2.pem", "twee/s1.pem"] {
        SigningKey::from_pem(sealed.text(file).as_bytes()).unwrap();
    }
    sealed.configure(&[]);
    assert_eq!(sealed.fixture.load("een").keys.len(), 2);
    let error = sealed
        .fixture
        .keystore
        .reseal(Lie::Sealed, super::second(9));
    let message = error.unwrap_err().to_string();
    assert!(
        message.contains("zegel keystore sealing-key FILE"),
        "{message}"
    );

    let log = sealed.audit_log();
    let of = |event: &str| log.lines().filter(|line| line.contains(event)).count();
    assert_eq!(of("\"event\":\"sealed\",\"keys\":2"), 1, "{log}");
    assert_eq!(of("\"event\":\"unsealed\",\"keys\":3"), 1, "{log}");
    assert!(log.contains(&other.to_string()), "{log}");
}

/// As a run that was broken off leaves it: both kinds beside each other sign, and the next run
/// does the rest.
#[test]
fn both_kinds_lie_beside_each_other() {
    let mut sealed = Sealed::with_two_keys();
    let first = sealed.first.clone();
    let text = sealed.text("een/s1.pem");
    assert_eq!(sealed.reseal(Lie::Plain), (2, 0, 0));
    fs::write(sealed.fixture.path("een/s1.pem"), text).unwrap();
    assert_eq!(sealed.fixture.load("een").keys.len(), 2);
    sealed.fixture.keystore.check_sealing().unwrap();
    let lying = sealed.fixture.keystore.lying().unwrap();
    assert_eq!((lying.plain, lying.sealed[&sealed.id]), (1, 1));

    // What a first attempt at an import left behind is bound to nothing: it is named, and stays.
    let left = sealed.fixture.path("een/s9.pem");
    fs::write(&left, test_key("ed25519-v1")).unwrap();
    sealed.fixture.set_mode("een/s9.pem", 0o600);
    // What a process that died had written beside its place is nobody's.
    fs::write(sealed.fixture.path("een/.tmp-s1.pem"), "half").unwrap();
    // What is broken stays as it is, and holds up nothing.
    fs::write(sealed.fixture.path("een/s8.pem"), "rubbish").unwrap();
    sealed.fixture.set_mode("een/s8.pem", 0o600);
    sealed.configure(&[&first]);
    assert_eq!(sealed.reseal(Lie::Sealed), (1, 1, 2));
    for file in ["een/s1.pem", "een/s2.pem"] {
        assert!(is_sealed(&sealed.text(file), sealed.id), "{file}");
    }
    let pem = String::from_utf8(test_key("ed25519-v1")).unwrap();
    assert_eq!(sealed.text("een/s9.pem"), pem);
    assert_eq!(sealed.text("een/s8.pem"), "rubbish");
    assert!(!sealed.fixture.path("een/.tmp-s1.pem").exists());
    assert_eq!(sealed.fixture.load("een").keys.len(), 2);

    let key = NewKey::from_pem(&test_key("ed25519-v1")).unwrap();
    let (een, s9) = (id("een"), name("s9"));
    let addition = Addition {
        target: target(&een, &s9, &[]),
        key: &key,
        signs_for: &[],
    };
    let mut writer = sealed.fixture.keystore.writer().unwrap();
    let added = writer.add_all(&[addition], &TIMING, second(2)).unwrap();
    assert!(added[0].is_ok(), "{added:?}");
    drop(writer);
    assert_eq!(sealed.fixture.load("een").keys.len(), 3);
    // The second attempt seals it.
    assert!(is_sealed(&sealed.text("een/s9.pem"), sealed.id));
}

/// Nothing could open it again.
#[test]
fn a_sealed_key_that_no_keyring_names_is_told_to_go() {
    let sealed = Sealed::with_two_keys();
    fs::copy(
        sealed.fixture.path("een/s1.pem"),
        sealed.fixture.path("een/s7.pem"),
    )
    .unwrap();
    assert_eq!(
        sealed.fixture.keystore.lying().unwrap().sealed[&sealed.id],
        2
    );
    let resealed = sealed.fixture.keystore.reseal(Lie::Plain, second(9));
    let resealed = resealed.unwrap();
    assert_eq!((resealed.changed, resealed.failed.len()), (2, 1));
    let message = resealed.failed[0].to_string();
    assert!(message.contains("remove the file"), "{message}");
}

/// With a new id none of the keys would open again.
#[test]
fn where_the_id_is_lost_no_writer_makes_another() {
    let sealed = Sealed::with_two_keys();
    let backup = tempfile::tempdir().unwrap();
    let folder = backup.path().join("keys");
    let copy = |from: &Path, to: &Path| {
        fs::create_dir_all(to.join("een")).unwrap();
        for file in ["een/s1.pem", "een/s2.pem", "een/keyring.json", "generation"] {
            fs::copy(from.join(file), to.join(file)).unwrap();
        }
    };
    copy(sealed.fixture.keystore.path(), &folder);
    for folder in [&folder, &folder.join("een")] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).unwrap();
    }
    let keystore = Keystore::open(&folder).unwrap();
    let keystore = keystore.sealed_by(std::slice::from_ref(&sealed.first));
    let refused = |error: KeystoreError| {
        let message = error.to_string();
        assert!(message.contains("keystore.id is missing"), "{message}");
    };
    refused(keystore.writer().map(drop).unwrap_err());
    let elsewhere = Keystore::make(&backup.path().join("new")).unwrap();
    refused(elsewhere.copy_from(&folder).unwrap_err());
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    // Back in its place all is as it was.
    fs::copy(
        sealed.fixture.path("keystore.id"),
        folder.join("keystore.id"),
    )
    .unwrap();
    let loaded = keystore.load_organisation(&id("een")).unwrap();
    assert_eq!(loaded.keys.len(), 2);
    keystore.writer().map(drop).unwrap();
}

/// A file that someone made by hand has comments, and one folder that is open to others.
#[test]
fn a_long_file_and_an_unsafe_folder_hold_up_nothing() {
    let mut sealed = Sealed::with_two_keys();
    sealed.fixture.generate("twee", "s1");
    assert_eq!(sealed.reseal(Lie::Plain), (3, 0, 0));
    let with_comment = format!("{}\n{}", "x".repeat(55_000), sealed.text("twee/s1.pem"));
    fs::write(sealed.fixture.path("twee/s1.pem"), with_comment).unwrap();
    assert_eq!(sealed.fixture.load("twee").keys.len(), 1);
    sealed.fixture.set_mode("een", 0o777);
    let first = sealed.first.clone();
    sealed.configure(&[&first]);
    let resealed = sealed.fixture.keystore.reseal(Lie::Sealed, second(9));
    let resealed = resealed.unwrap();
    assert_eq!((resealed.changed, resealed.unread.len()), (1, 1));
    assert_eq!(sealed.fixture.load("twee").keys.len(), 1);
    sealed.fixture.set_mode("een", 0o700);
    assert_eq!(sealed.reseal(Lie::Sealed), (2, 1, 0));
}

/// What opens no private key gets along without the sealing key.
#[test]
fn what_needs_no_private_key_needs_no_sealing_key() {
    let mut sealed = Sealed::with_two_keys();
    let missing = sealed.fixture.beside("missing.key");
    for files in [vec![], vec![&missing]] {
        sealed.configure(&files);
        let keystore = &sealed.fixture.keystore;
        let keyring = keystore.read_keyring(&id("een")).unwrap();
        let public = keystore.read_public_keys(&id("een"), |_| true).unwrap();
        assert_eq!(public.public.len(), 2);
        assert_eq!(keyring.keys().len(), 2);
        keystore.witness().unwrap();
        assert_eq!(keystore.lying().unwrap().sealed[&sealed.id], 2);
        let mut writer = keystore.writer().unwrap();
        writer.suspend(&id("een"), second(5)).unwrap();
        writer.resume(&id("een"), second(6)).unwrap();
    }
    // Nothing is written in the clear because the sealing key is not there.
    let keystore = &sealed.fixture.keystore;
    let (twee, s1) = (id("twee"), name("s1"));
    let target = target(&twee, &s1, &[]);
    let refused = keystore.generate(&target, Algorithm::Ed25519Sha256, 0, second(7));
    let message = refused.unwrap_err().to_string();
    assert!(
        message.contains("missing.key: it does not exist"),
        "{message}"
    );
    assert!(!sealed.fixture.path("twee/s1.pem").exists());
    // It may come yet, so nobody gives the key up.
    let problem = &sealed.fixture.load("een").refused[0];
    assert!(problem.is_of_the_moment());
    let copied = fs::copy(&sealed.first, &missing);
    copied.unwrap();
    assert_eq!(sealed.fixture.load("een").keys.len(), 2);
}

#[test]
fn the_start_wants_a_sealing_key_that_fits() {
    let mut sealed = Sealed::new();
    let (first, other) = (sealed.first.clone(), sealed.fixture.beside("other.key"));
    let there = make_sealing_key(&other).unwrap();
    // No key yet: nothing to complain of.
    sealed.configure(&[&other]);
    sealed.fixture.keystore.check_sealing().unwrap();
    sealed.configure(&[&first]);
    sealed.fixture.generate("een", "s1");
    sealed.fixture.keystore.check_sealing().unwrap();

    let refused = |sealed: &Sealed| {
        let error = sealed.fixture.keystore.check_sealing().unwrap_err();
        (error.is_of_configuration(), error.to_string())
    };
    sealed.configure(&[&other]);
    let (is_final, message) = refused(&sealed);
    assert!(is_final);
    for part in [
        format!("sealed with {}", sealed.id),
        format!("sealing_keys has {there} ({})", other.display()),
    ] {
        assert!(message.contains(&part), "{message}");
    }
    sealed.configure(&[]);
    let (is_final, message) = refused(&sealed);
    assert!(
        is_final && message.contains("sealing_keys has none"),
        "{message}"
    );

    // Late, empty, or half written: it may come yet.
    let late = sealed.fixture.beside("late.key");
    sealed.configure(&[&late]);
    let (is_final, message) = refused(&sealed);
    assert!(!is_final && message.contains("does not exist"), "{message}");
    let whole = fs::read_to_string(&first).unwrap();
    for (text, said) in [("", "is empty"), (&whole[..20], "only the beginning")] {
        fs::write(&late, text).unwrap();
        fs::set_permissions(&late, fs::Permissions::from_mode(0o600)).unwrap();
        let (is_final, message) = refused(&sealed);
        assert!(!is_final && message.contains(said), "{message}");
    }
    fs::write(&late, "hunter2!\n").unwrap();
    let (is_final, message) = refused(&sealed);
    assert!(is_final && message.contains("no sealing key"), "{message}");
    assert!(!message.contains("hunter2"), "{message}");
    // It was tried in the same process.
    fs::write(&late, &whole).unwrap();
    sealed.fixture.keystore.check_sealing().unwrap();

    sealed.configure(&[&late]);
    for mode in [0o640, 0o644, 0o620, 0o604] {
        fs::set_permissions(&late, fs::Permissions::from_mode(mode)).unwrap();
        let (is_final, message) = refused(&sealed);
        assert!(is_final && message.contains("chmod 600"), "{message}");
    }
    fs::set_permissions(&late, fs::Permissions::from_mode(0o400)).unwrap();
    sealed.fixture.keystore.check_sealing().unwrap();
}

/// Whoever deletes the file of a sealing key that was replaced, before the settings, stops nobody.
#[test]
fn a_missing_sealing_key_that_no_key_names_stops_nothing() {
    let mut sealed = Sealed::with_two_keys();
    let (first, late) = (sealed.first.clone(), sealed.fixture.beside("late.key"));
    sealed.configure(&[&first, &late]);
    let keystore = &sealed.fixture.keystore;
    assert_eq!(
        keystore.check_sealing().unwrap(),
        [UnusedSealingKey(late.clone())]
    );
    assert_eq!(sealed.fixture.load("een").keys.len(), 2);

    // Missing is the one that seals, or one that a key names: it may come yet.
    let missing = |sealed: &Sealed| {
        let error = sealed.fixture.keystore.check_sealing().unwrap_err();
        assert!(!error.is_of_configuration());
        let message = error.to_string();
        assert!(message.contains("late.key: it does not exist"), "{message}");
    };
    sealed.configure(&[&late, &first]);
    missing(&sealed);
    let away = sealed.fixture.beside("away.key");
    make_sealing_key(&away).unwrap();
    sealed.configure(&[&away]);
    sealed.fixture.generate("twee", "s1");
    sealed.configure(&[&first, &late]);
    missing(&sealed);

    // That key alone is put off, and opens in the same process when its sealing key has come.
    assert_eq!(sealed.fixture.load("een").keys.len(), 2);
    let problem = &sealed.fixture.load("twee").refused[0];
    assert!(problem.is_of_the_moment(), "{problem}");
    assert_eq!(sealed.fixture.load("een").keys.len(), 2);
    fs::rename(&away, &late).unwrap();
    assert_eq!(sealed.fixture.load("twee").keys.len(), 1);
    let unused = sealed.fixture.keystore.check_sealing().unwrap();
    assert!(unused.is_empty(), "{unused:?}");
}

#[test]
fn a_folder_in_which_others_write_is_named_with_the_sealing_key() {
    let mut sealed = Sealed::with_two_keys();
    let folder = sealed.fixture.beside("shared");
    fs::create_dir(&folder).unwrap();
    let file = folder.join("sealing.key");
    make_sealing_key(&file).unwrap();
    // As /tmp is, and without the sticky bit.
    for mode in [0o1777, 0o777] {
        fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();
        sealed.configure(&[&file]);
        let error = sealed.fixture.keystore.check_sealing().unwrap_err();
        let message = error.to_string();
        assert!(error.is_of_configuration());
        let is_in = |word: &str| message.contains(word);
        assert!(
            is_in("shared/sealing.key: ") && is_in("a folder of its own"),
            "{message}"
        );
        assert!(!is_in("chmod"), "{message}");
    }
}

#[test]
fn a_sealing_key_is_written_once() {
    let fixture = Fixture::new();
    let path = fixture.beside("sealing.key");
    make_sealing_key(&path).unwrap();
    let text = fs::read(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
    make_sealing_key(&path).unwrap_err();
    assert_eq!(fs::read(&path).unwrap(), text);
}

#[test]
fn an_exported_key_can_be_brought_in() {
    let sealed = Sealed::with_two_keys();
    let een = id("een");
    let keyring = sealed.fixture.keystore.read_keyring(&een).unwrap();
    let entry = keyring.key(&name("s1")).unwrap();
    let pem = sealed.fixture.keystore.export_key(&een, entry, second(3));
    let pem = pem.unwrap();
    let key = NewKey::from_any_form(&pem).unwrap();
    assert_eq!(key.public_key().fingerprint(), entry.fingerprint);
    assert_eq!(key.pem(), pem.as_slice());
    let log = sealed.audit_log();
    let last = log.lines().last().unwrap();
    assert!(
        last.contains(r#""event":"exported","organisation":"een","selector":"s1""#),
        "{last}"
    );
    // It is no event of its life.
    sealed.fixture.keystore.witness().unwrap();
    let (other, s9) = (Sealed::new(), name("s9"));
    let target = target(&een, &s9, &[]);
    let imported = other.fixture.keystore.import(&target, &pem, second(4));
    assert_eq!(imported.unwrap().fingerprint, entry.fingerprint);
}

/// By a reload: for every copy of the keystore in the process, and with no key lost on the way.
#[test]
fn other_sealing_keys_are_taken_whole_or_not_at_all() {
    let sealed = Sealed::with_two_keys();
    let keystore = &sealed.fixture.keystore;
    let (copy, first) = (keystore.clone(), sealed.first.clone());
    let second = sealed.fixture.beside("second.key");
    let second_id = make_sealing_key(&second).unwrap();
    let ids = || copy.sealing_keys().unwrap().ids();
    let refused = |files: &[&PathBuf]| {
        let files: Vec<PathBuf> = files.iter().map(|file| (*file).clone()).collect();
        let before = ids();
        let error = keystore.exchange_sealing_keys(&files).unwrap_err();
        assert_eq!(ids(), before);
        error.to_string()
    };
    let missing = sealed.fixture.beside("missing.key");
    assert!(refused(&[&missing, &first]).contains("missing.key: it does not exist"));
    assert!(refused(&[&second]).contains("no key of this keystore can be opened"));
    assert!(refused(&[]).contains("no key of this keystore can be opened"));

    let both = [second.clone(), first.clone()];
    let failed = keystore.with_sealing_keys(&both, || -> Result<(), _> {
        assert_eq!(ids(), [second_id, sealed.id]);
        Err(KeystoreError::NoKeystore(second.clone()))
    });
    failed.unwrap_err();
    assert_eq!(ids(), [sealed.id]);
    keystore.exchange_sealing_keys(&both).unwrap();
    assert_eq!(ids(), [second_id, sealed.id]);

    // Some are sealed with the new one, some with the old one, which is still needed.
    sealed.fixture.generate("twee", "s1");
    let said = refused(&[&second]);
    let needed = format!("keys are still sealed with {}, ", sealed.id);
    assert!(said.starts_with(&needed), "{said}");
    assert_eq!(sealed.fixture.load("een").keys.len(), 2);
    assert_eq!(sealed.reseal(Lie::Sealed), (2, 1, 0));
    let alone = std::slice::from_ref(&second);
    keystore.exchange_sealing_keys(alone).unwrap();
    assert_eq!(ids(), [second_id]);
    for organisation in ["een", "twee"] {
        assert!(sealed.fixture.load(organisation).refused.is_empty());
    }
    // The same list is no reason to read files again.
    fs::remove_file(&second).unwrap();
    keystore.exchange_sealing_keys(alone).unwrap();
    assert_eq!(sealed.reseal(Lie::Plain), (3, 0, 0));
    keystore.exchange_sealing_keys(&[]).unwrap();
    assert!(ids().is_empty());
    assert_eq!(sealed.fixture.load("een").keys.len(), 2);
}
