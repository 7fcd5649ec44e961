//! What dead or competing processes leave behind.

use std::{collections::HashSet, io::Write, os::unix::fs::OpenOptionsExt, thread, time::Duration};

use super::{
    super::{files::Folder, lock::Lock},
    *,
};

fn write_secret(path: &Path, content: &[u8]) {
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600);
    file.open(path).unwrap().write_all(content).unwrap();
}

#[test]
fn half_written_files_harm_nothing_and_go_away() {
    let fixture = Fixture::with_two_keys();
    for left in [
        "een/.tmp-s3.pem",
        "een/.tmp-keyring.json",
        ".tmp-generation",
    ] {
        write_secret(&fixture.path(left), b"-----BEGIN PRIV");
    }
    let loaded = fixture.load("een");
    assert_eq!(
        (
            loaded.keys.len(),
            loaded.refused.len(),
            loaded.warnings.len()
        ),
        (2, 0, 0)
    );
    fixture.generate("een", "s4");
    for left in [
        "een/.tmp-s3.pem",
        "een/.tmp-keyring.json",
        ".tmp-generation",
    ] {
        assert!(!fixture.path(left).exists(), "{left}");
    }
}

#[test]
fn a_key_file_without_an_entry_is_mentioned_and_never_overwritten() {
    let fixture = Fixture::with_two_keys();
    let stray = fixture.path("een/s3.pem");
    write_secret(&stray, &test_key("ed25519-v1"));
    let loaded = fixture.load("een");
    assert_eq!((loaded.keys.len(), loaded.refused.len()), (2, 0));
    let [warning] = loaded.warnings.as_slice() else {
        panic!("{:?}", loaded.warnings);
    };
    let message = warning.to_string();
    assert!(
        message.starts_with(&stray.display().to_string()),
        "{message}"
    );

    let (organisation, selector) = (id("een"), name("s3"));
    let target = target(&organisation, &selector, &[]);
    let generation = fixture.keystore.generation().unwrap();
    let result = fixture
        .keystore
        .generate(&target, Algorithm::Ed25519Sha256, 0, second(2));
    assert!(matches!(result, Err(KeystoreError::UnusableKey(_))));
    assert_eq!(fs::read(&stray).unwrap(), test_key("ed25519-v1"));
    assert_eq!(fixture.keystore.generation().unwrap(), generation);

    fs::rename(&stray, fixture.path("een/s3.pem.old")).unwrap();
    fixture.generate("een", "s3");
    assert!(fixture.load("een").warnings.is_empty());
}

#[test]
fn a_copy_in_progress_harms_only_what_is_missing() {
    let fixture = Fixture::with_two_keys();
    // The keyring came over, and one of its files did not yet.
    fs::remove_file(fixture.path("een/s1.pem")).unwrap();
    assert!(fixture.refusal_of_s1().contains("missing"));
    // The files came over, and the keyring did not yet.
    fs::remove_file(fixture.path("een/keyring.json")).unwrap();
    let loaded = fixture.load("een");
    assert_eq!((loaded.keys.len(), loaded.warnings.len()), (0, 1));
}

#[test]
fn a_broken_keyring_harms_only_its_organisation() {
    let fixture = Fixture::with_two_keys();
    fixture.generate("twee", "s1");
    let file = fixture.path("een/keyring.json");
    let whole = fs::read_to_string(&file).unwrap();
    let doubled = whole.replace("\"s2\"", "\"s1\"");
    for (content, expected) in [
        (whole[..40].to_owned(), "line"),
        (String::new(), "line 1 column 0"),
        (
            whole.replace("created", "creatid"),
            "unknown field `creatid`",
        ),
        (
            whole.replace("\"version\": 3", "\"version\": 4, \"x\": []"),
            "upgrade zegel",
        ),
        (
            whole.replace("\"version\": 3", "\"version\": 0"),
            "no version 0",
        ),
        (doubled, "the selector s1 is there twice"),
    ] {
        fs::write(&file, content).unwrap();
        let message = fixture
            .keystore
            .load_organisation(&id("een"))
            .unwrap_err()
            .to_string();
        assert!(
            message.starts_with(&file.display().to_string()),
            "{message}"
        );
        assert!(message.contains(expected), "{message}");
        assert_eq!(fixture.load("twee").keys.len(), 1);
        fixture.keystore.organisations().unwrap();
    }
}

#[test]
fn a_broken_generation_stops_changes_before_they_begin() {
    let fixture = Fixture::with_two_keys();
    fs::write(fixture.path("generation"), "x").unwrap();
    let (organisation, selector) = (id("een"), name("s3"));
    let target = target(&organisation, &selector, &[]);
    let result = fixture
        .keystore
        .generate(&target, Algorithm::Ed25519Sha256, 0, second(2));
    assert!(matches!(result, Err(KeystoreError::Generation(_))));
    assert!(!fixture.path("een/s3.pem").exists());
    assert_eq!(fixture.load("een").keys.len(), 2);
}

#[test]
fn a_keyring_that_cannot_be_written_leaves_the_old_one() {
    let fixture = Fixture::with_two_keys();
    // A folder in the place of the temporary file: the write fails, even for root.
    fs::create_dir_all(fixture.path("twee/.tmp-keyring.json")).unwrap();
    fixture.set_mode("twee", 0o700);
    let (organisation, selector) = (id("twee"), name("s1"));
    let target = target(&organisation, &selector, &[]);
    let generation = fixture.keystore.generation().unwrap();
    let result = fixture
        .keystore
        .generate(&target, Algorithm::Ed25519Sha256, 0, second(2));
    assert!(matches!(result, Err(KeystoreError::File(_))));
    assert_eq!(fixture.keystore.generation().unwrap(), generation);
    assert!(fixture.load("twee").keys.is_empty());
    assert_eq!(fixture.load("een").keys.len(), 2);
}

#[test]
fn writers_take_turns_and_the_generation_only_grows() {
    const WRITERS: usize = 4;
    const KEYS: usize = 5;
    let fixture = Fixture::new();
    let write = |writer: usize| {
        for key in 0..KEYS {
            fixture.generate("een", &format!("s{writer}-{key}"));
        }
    };
    thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| scope.spawn(move || write(writer)))
            .collect();
        let mut last = 0;
        while !writers.iter().all(thread::ScopedJoinHandle::is_finished) {
            let generation = fixture.keystore.generation().unwrap();
            assert!(generation >= last);
            last = generation;
            // Whoever reads meanwhile finds every key that the keyring names.
            assert!(fixture.load("een").refused.is_empty());
        }
    });
    let loaded = fixture.load("een");
    let selectors: HashSet<_> = loaded.keys.iter().map(|key| &key.entry.selector).collect();
    assert_eq!(selectors.len(), WRITERS * KEYS);
    let generation = fixture.keystore.generation().unwrap();
    assert_eq!(generation, (WRITERS * KEYS) as u64);
}

#[test]
fn who_waits_too_long_hears_of_whom() {
    let fixture = Fixture::new();
    let root = Folder::open(fixture.keystore.path()).unwrap();
    let patience = Duration::from_millis(30);
    let lock = Lock::of_writer(&root, patience).unwrap();
    let message = Lock::of_writer(&root, patience).unwrap_err().to_string();
    let holder = format!("process {}", std::process::id());
    assert!(message.contains(&holder), "{message}");
    drop(lock);
    Lock::of_writer(&root, patience).unwrap();
}

#[test]
fn a_change_that_nobody_heard_of_is_announced_by_the_next_writer() {
    let fixture = Fixture::with_two_keys();
    let generation = fixture.keystore.generation().unwrap();
    // The keyring is in its place, and the process died before the generation was.
    write_secret(
        &fixture.path(".tmp-generation"),
        format!("{}\n", generation + 1).as_bytes(),
    );
    drop(fixture.keystore.writer().unwrap());
    assert_eq!(fixture.keystore.generation().unwrap(), generation + 1);
    // One that is old, or cut off, is none.
    for left in [format!("{generation}\n"), format!("{}", generation + 9)] {
        write_secret(&fixture.path(".tmp-generation"), left.as_bytes());
        drop(fixture.keystore.writer().unwrap());
        assert_eq!(fixture.keystore.generation().unwrap(), generation + 1);
    }
}

#[test]
fn a_change_that_cannot_be_told_or_made_leaves_nothing_behind() {
    let fixture = Fixture::with_two_keys();
    let (organisation, selector) = (id("een"), name("s3"));
    let target = target(&organisation, &selector, &[]);
    let generation = fixture.keystore.generation().unwrap();
    let audit = fs::read(fixture.path("audit.log")).unwrap();
    let folder_contents = || Folder::open(&fixture.path("een")).unwrap().names().unwrap();
    let before = folder_contents();
    // In the place of the audit log, and of the two temporary files.
    for place in ["audit.log", ".tmp-generation", "een/.tmp-keyring.json"] {
        let place = fixture.path(place);
        let _ = fs::rename(&place, place.with_extension("aside"));
        fs::create_dir(&place).unwrap();
        let made = fixture
            .keystore
            .generate(&target, Algorithm::Ed25519Sha256, 0, second(2));
        assert!(made.is_err(), "{}", place.display());
        fs::remove_dir(&place).unwrap();
        let _ = fs::rename(place.with_extension("aside"), &place);
        assert_eq!(folder_contents(), before, "{}", place.display());
        assert_eq!(fixture.keystore.generation().unwrap(), generation);
        assert_eq!(fs::read(fixture.path("audit.log")).unwrap(), audit);
    }
    fixture.generate("een", "s3");
}
