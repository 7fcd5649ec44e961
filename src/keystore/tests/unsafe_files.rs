//! Every way in which a file is not safe to use, and that the message mends it.
//!
//! | case | test |
//! |---|---|
//! | owner | `a_file_of_someone_else` |
//! | mode | `a_file_that_others_can_use` |
//! | folders above | `a_folder_above_that_others_can_write_in` |
//! | symbolic link | `a_symbolic_link`, `a_link_or_a_file_in_the_place_of_a_folder` |
//! | hard link | `a_hard_link` |
//! | FIFO | `a_pipe` |
//! | folder that its group can write in | `a_folder_that_others_can_write_in` |
//! | swapped between check and open | `a_file_that_is_swapped_while_it_is_opened`, `a_folder_that_is_swapped_after_it_was_opened` |

use std::{
    os::unix::fs::{MetadataExt, chown, symlink},
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use rustix::fs::{CWD, FileType, Mode, RenameFlags};

use super::*;

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Runs the command that a message ends with, and sees that it helped.
fn mend(fixture: &Fixture, message: &str, start: &str) {
    let from = message.find(start).unwrap_or_else(|| panic!("{message}"));
    let command = message[from..].split(" (key ").next().unwrap();
    let status = Command::new("sh").args(["-c", command]).status().unwrap();
    assert!(status.success(), "{command}");
    let loaded = fixture.load("een");
    assert_eq!(loaded.keys.len(), 2, "{:?}", loaded.refused);
}

#[test]
fn a_file_that_others_can_use() {
    let fixture = Fixture::with_two_keys();
    for mode in [0o644, 0o640, 0o604, 0o660, 0o601] {
        fixture.set_mode("een/s1.pem", mode);
        let message = fixture.refusal_of_s1();
        assert!(message.contains(&format!("mode {mode:04o}")), "{message}");
        mend(&fixture, &message, "chmod 600 ");
    }
    fixture.set_mode("een/s1.pem", 0o400);
    assert_eq!(fixture.load("een").keys.len(), 2);
}

#[test]
fn a_file_of_someone_else() {
    if !is_root() {
        return;
    }
    let fixture = Fixture::with_two_keys();
    chown(fixture.path("een/s1.pem"), Some(4711), None).unwrap();
    let message = fixture.refusal_of_s1();
    assert!(message.contains("user 4711"), "{message}");
    mend(&fixture, &message, "chown 0 ");
}

#[test]
fn root_writes_for_the_owner_of_the_keystore() {
    if !is_root() {
        return;
    }
    let fixture = Fixture::new();
    chown(fixture.keystore.path(), Some(4711), Some(4712)).unwrap();
    fixture.generate("een", "s1");
    assert_eq!(fixture.load("een").keys.len(), 1);
    for file in [
        "een",
        "een/s1.pem",
        "een/keyring.json",
        "generation",
        "lock",
    ] {
        let metadata = fs::metadata(fixture.path(file)).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (4711, 4712), "{file}");
    }
}

#[test]
fn a_symbolic_link() {
    let fixture = Fixture::with_two_keys();
    let (file, elsewhere) = (fixture.path("een/s1.pem"), fixture.path("elsewhere"));
    fs::rename(&file, &elsewhere).unwrap();
    symlink(&elsewhere, &file).unwrap();
    let message = fixture.refusal_of_s1();
    assert!(message.contains("symbolic link"), "{message}");
    mend(&fixture, &message, "cp --remove-destination ");
    assert!(!file.is_symlink());
}

#[test]
fn a_hard_link() {
    let fixture = Fixture::with_two_keys();
    fs::hard_link(fixture.path("een/s1.pem"), fixture.path("other-name")).unwrap();
    let message = fixture.refusal_of_s1();
    assert!(message.contains("2 names"), "{message}");
    mend(&fixture, &message, "cp -p ");
}

#[test]
fn a_pipe() {
    let fixture = Fixture::with_two_keys();
    let file = fixture.path("een/s1.pem");
    fs::remove_file(&file).unwrap();
    // Nobody writes into this pipe: opening it must not wait.
    rustix::fs::mknodat(CWD, &file, FileType::Fifo, Mode::RUSR, 0).unwrap();
    let message = fixture.refusal_of_s1();
    assert!(message.contains("not a regular file"), "{message}");
}

#[test]
fn what_is_not_a_file() {
    let fixture = Fixture::with_two_keys();
    let file = fixture.path("een/s1.pem");
    fs::remove_file(&file).unwrap();
    let socket = std::os::unix::net::UnixListener::bind(&file).unwrap();
    let message = fixture.refusal_of_s1();
    assert!(message.contains("not a regular file"), "{message}");
    drop(socket);
    fs::remove_file(&file).unwrap();

    fs::create_dir(&file).unwrap();
    let message = fixture.refusal_of_s1();
    assert!(message.contains("not a regular file"), "{message}");
    fs::remove_dir(&file).unwrap();

    let message = fixture.refusal_of_s1();
    assert!(message.contains("key file is missing"), "{message}");
}

#[test]
fn what_is_not_the_key() {
    let fixture = Fixture::with_two_keys();
    let file = fixture.path("een/s1.pem");
    let whole = fs::read(&file).unwrap();
    for (content, expected) in [
        (whole[..60].to_vec(), "cut off"),
        (Vec::new(), "empty"),
        (vec![b' '; 65_537], "65537 octets"),
        (test_key("rsa2048-public"), "only the public key"),
        (test_key("rsa2048-pkcs8-encrypted"), "encrypted"),
        (test_key("rsa1024-pkcs8"), "1024 bits"),
        (test_key("ed25519-v1"), "another key"),
        (test_key("rsa2048-pkcs8"), "another key"),
        (fs::read(fixture.path("een/s2.pem")).unwrap(), "another key"),
    ] {
        fs::write(&file, content).unwrap();
        let message = fixture.refusal_of_s1();
        assert!(message.contains(expected), "{message}");
        let path = file.display().to_string();
        assert!(message.starts_with(&path), "{message}");
    }
    let text = String::from_utf8(whole).unwrap().replace('\n', "\r\n");
    fs::write(&file, format!("\u{feff}{text}")).unwrap();
    assert_eq!(fixture.load("een").keys.len(), 2);
}

#[test]
fn a_folder_that_others_can_write_in() {
    let fixture = Fixture::with_two_keys();
    fixture.generate("twee", "s1");
    let failure = || fixture.keystore.load_organisation(&id("een")).unwrap_err();
    for mode in [0o770, 0o707, 0o1777] {
        fixture.set_mode("een", mode);
        let message = failure().to_string();
        let command = format!("chmod 700 {}", fixture.path("een").display());
        assert!(message.ends_with(&command), "{message}");
        assert_eq!(fixture.load("twee").keys.len(), 1);
    }
    fixture.set_mode("een", 0o755);
    assert_eq!(fixture.load("een").keys.len(), 2);

    fixture.set_mode("", 0o777);
    assert!(fixture.keystore.generation().is_err());
    assert!(Keystore::open(fixture.keystore.path()).is_err());
}

#[test]
fn a_folder_above_that_others_can_write_in() {
    let folder = TempDir::new().unwrap();
    let above = folder.path().join("a folder");
    fs::create_dir(&above).unwrap();
    let keystore = Keystore::create(&above.join("keys")).unwrap();
    let mode = |mode| fs::set_permissions(&above, fs::Permissions::from_mode(mode)).unwrap();
    mode(0o777);
    let message = Keystore::open(keystore.path()).unwrap_err().to_string();
    assert!(message.contains("chmod go-w '"), "{message}");
    mode(0o1777);
    assert!(Keystore::open(keystore.path()).is_ok());
}

#[test]
fn a_link_or_a_file_in_the_place_of_a_folder() {
    let fixture = Fixture::with_two_keys();
    symlink(fixture.path("een"), fixture.path("twee")).unwrap();
    fs::write(fixture.path("drie"), "").unwrap();
    for organisation in ["twee", "drie"] {
        let error = fixture
            .keystore
            .read_keyring(&id(organisation))
            .unwrap_err();
        assert!(error.to_string().contains("not a folder"), "{error}");
    }
    for organisation in ["lock", "generation"] {
        let error = fixture
            .keystore
            .read_keyring(&id(organisation))
            .unwrap_err();
        assert!(matches!(error, KeystoreError::ReservedName(_)), "{error}");
    }
}

/// Nothing is found out of a name: what was opened is what is examined and read.
#[test]
fn a_file_that_is_swapped_while_it_is_opened() {
    let fixture = Fixture::with_two_keys();
    let folder = Folder::open(&fixture.path("een")).unwrap();
    let (file, loose) = (fixture.path("een/swapped"), fixture.path("een/loose"));
    let link = fixture.path("een/link");
    fs::write(&file, "safe").unwrap();
    fixture.set_mode("een/swapped", 0o600);
    fs::write(&loose, "somebody else's").unwrap();
    fixture.set_mode("een/loose", 0o666);
    symlink(&loose, &link).unwrap();
    let over = AtomicBool::new(false);
    let swap = |other| rustix::fs::renameat_with(CWD, &file, CWD, other, RenameFlags::EXCHANGE);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                for other in [&loose, &link] {
                    swap(other).unwrap();
                    swap(other).unwrap();
                }
            }
        });
        // Set when an assertion fails, too: the other thread would never end.
        let _over = Over(&over);
        let (mut safe, mut refused) = (0, 0);
        // Until it has been met in both states often enough.
        while safe < 500 || refused < 500 {
            match folder.read("swapped", Secrecy::Secret) {
                Ok(content) => {
                    assert_eq!(content.unwrap().as_slice(), b"safe");
                    safe += 1;
                }
                Err(error) => {
                    let unsafe_file = matches!(
                        error.problem,
                        FileProblem::FileMode { .. } | FileProblem::Symlink
                    );
                    assert!(unsafe_file, "{error}");
                    refused += 1;
                }
            }
        }
    });
}

struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_folder_that_is_swapped_after_it_was_opened() {
    let fixture = Fixture::with_two_keys();
    fixture.generate("twee", "s1");
    let ours = fs::read(fixture.path("een/s1.pem")).unwrap();
    let root = Folder::open(fixture.keystore.path()).unwrap();
    let folder = root.child("een").unwrap().unwrap();
    fs::rename(fixture.path("een"), fixture.path("drie")).unwrap();
    symlink(fixture.path("twee"), fixture.path("een")).unwrap();
    let read = folder.read("s1.pem", Secrecy::Secret).unwrap().unwrap();
    assert_eq!(*read, ours);
    let error = root.child("een").unwrap_err();
    assert!(matches!(error.problem, FileProblem::NotAFolder), "{error}");
}

#[test]
fn state_that_others_can_write() {
    let fixture = Fixture::with_two_keys();
    fixture.set_mode("een/keyring.json", 0o644);
    assert_eq!(fixture.load("een").keys.len(), 2);
    fixture.set_mode("een/keyring.json", 0o664);
    let error = fixture.keystore.load_organisation(&id("een")).unwrap_err();
    assert!(error.to_string().contains("chmod 600 "), "{error}");
    fixture.set_mode("generation", 0o666);
    assert!(fixture.keystore.generation().is_err());
}

#[test]
fn no_keystore() {
    let folder = TempDir::new().unwrap();
    let message = Keystore::open(&folder.path().join("none"))
        .unwrap_err()
        .to_string();
    assert!(message.contains("install -d -m 700"), "{message}");
    let below = folder.path().join("none/keys");
    let error = Keystore::create(&below).unwrap_err();
    assert!(matches!(error, KeystoreError::NoKeystore(path) if path == below));
}
