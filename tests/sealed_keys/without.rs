//! What an operator still gets where the sealing key can't be read: the records, the pages, and what
//! the DNS shows.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use super::support::keeper;
use super::support::name_world::World;
use super::support::require_root;
use super::support::zegel::{Org, Zegel};
use super::{
    assert_put_off, assert_signed, command, configure, make_sealing_key, public_keys, run, sealed,
};

const DOMAINS: [&str; 3] = ["een.example", "twee.example", "drie.example"];

/// With the records of `een` and `twee` in the DNS; `drie` has no key yet.
fn published(world: &World) -> Zegel {
    let orgs = super::orgs();
    let zegel = Zegel::prepared(&orgs, "");
    for domain in DOMAINS {
        let mut zone = String::new();
        for (name, text) in zegel
            .records()
            .iter()
            .filter(|(name, _)| name.ends_with(domain))
        {
            let strings: Vec<&str> = text
                .as_bytes()
                .chunks(200)
                .map(|part| std::str::from_utf8(part).expect("ASCII"))
                .collect();
            let strings = strings.join("\" \"");
            writeln!(zone, "{name}. 60 TXT \"{strings}\"").expect("a string");
        }
        world.set_both(domain, &zone);
    }
    zegel.add(&Org::new("drie", &[DOMAINS[2]]).without_keys());
    make_sealing_key(&zegel, "sealing.key");
    configure(&zegel, &["sealing.key"]);
    let file = zegel.path("zegel.toml");
    let settings = fs::read_to_string(&file).expect("settings");
    let keeper = format!(
        "{settings}\n[keeper]\nlocal_servers = true\nresolvers = [\"{}\"]\n",
        world.resolver.address()
    );
    fs::write(file, keeper).expect("settings");
    run(&zegel, &["keystore", "seal"]);
    zegel
}

/// When this key was last looked for in the DNS, as the keyring says.
fn checked(zegel: &Zegel, organisation: &str) -> Vec<Option<jiff::Timestamp>> {
    let id = organisation.parse().expect("an id");
    let keyring = zegel.keystore().read_keyring(&id).expect("a keyring");
    let keys = keyring.keys().iter();
    keys.flat_map(|key| key.publications.values())
        .map(|publication| publication.checked)
        .collect()
}

/// What is said then, and what is done to the file.
type Way = (&'static str, fn(&Path));

/// Makes the file unreadable by the rules, in one way after the other.
const WITHOUT: [Way; 4] = [
    ("it does not exist", |file| {
        fs::remove_file(file).expect("a file");
    }),
    ("it belongs to user 65534", |file| {
        chown(file, Some(65_534), None).expect("an owner");
    }),
    ("mode 0644", |file| {
        fs::set_permissions(file, fs::Permissions::from_mode(0o644)).expect("a mode");
    }),
    ("the file is empty", |file| {
        fs::write(file, "").expect("a file");
    }),
];

#[test]
fn a_single_round_notes_what_the_dns_shows_without_the_sealing_key() {
    require_root();
    let world = World::start();
    for (says, hide) in WITHOUT {
        let zegel = published(&world);
        let file = zegel.path("sealing.key");
        fs::copy(&file, zegel.path("away")).expect("a copy");
        hide(&file);
        let once = || {
            let output = keeper::command(&zegel.path(""), &["keeper", "--once"]);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            (output.status.code(), said)
        };
        let (status, said) = once();
        assert_eq!(status, Some(1), "{said}");
        let complaint = "no key is made in this round, and none begins to sign: sealing key ";
        assert_eq!(said.matches(complaint).count(), 1, "{said}");
        assert_eq!(said.matches("sealing.key: ").count(), 1, "{said}");
        assert!(said.contains(says), "{said}");
        let before = checked(&zegel, "een");
        assert!(
            before.len() == 2 && before.iter().all(Option::is_some),
            "{said}"
        );
        assert!(checked(&zegel, "drie").is_empty());

        // Judged by the DNS alone.
        let output = command(&zegel, &["dns", "check", "een"]);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() < Some(2), "{told}");
        assert!(!told.contains("sealing"), "{told}");

        // A look at one alone: it is noted as well, and the reason is given there.
        let output = command(&zegel, &["keeper", "look", "een"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert!(checked(&zegel, "een") > before, "{said}");
        let output = command(&zegel, &["keeper", "look", "drie"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(says), "{said}");

        // It may be gone already.
        let _ = fs::remove_file(&file);
        fs::rename(zegel.path("away"), &file).expect("a sealing key");
        let (status, said) = once();
        assert_eq!(status, Some(0), "{said}");
        assert_eq!(checked(&zegel, "drie").len(), 1);
        for entry in fs::read_dir(zegel.path("keys/drie")).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|one| one == "pem") {
                let text = fs::read_to_string(path).expect("a key");
                assert!(text.starts_with("zegel-sealed-key 1 "));
            }
        }
    }
}

/// With a sealing key that can be read and is another one, keys would be made that nothing here
/// opens.
#[test]
fn a_single_round_with_the_wrong_sealing_key_makes_no_key() {
    let world = World::start();
    let zegel = published(&world);
    fs::remove_file(zegel.path("sealing.key")).expect("a file");
    make_sealing_key(&zegel, "sealing.key");
    let output = keeper::command(&zegel.path(""), &["keeper", "--once"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(
        said.contains("no key of this keystore can be opened"),
        "{said}"
    );
    assert!(checked(&zegel, "een").iter().all(Option::is_none));
}

/// What a signer shows that runs: all of it, also after a change of the keyrings. One that waits
/// says what it waits for.
#[test]
fn the_pages_need_no_sealing_key() {
    let mut zegel = sealed();
    let keys = public_keys(&zegel);
    zegel.launch();
    assert_signed(&zegel, &keys, "een.example", 2);
    fs::remove_file(zegel.path("sealing.key")).expect("a file");
    run(&zegel, &["org", "suspend", "twee"]);
    zegel.wait_for_log(" reloaded ", 1);
    let page = |zegel: &Zegel, path: &str| {
        let page = zegel.page(path).expect("an answer");
        assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{path}: {page}");
        page
    };
    for path in ["/org/een", "/org/een/records.txt", "/org/een/records.zone"] {
        let text = page(&zegel, path);
        assert!(text.contains("een-rsa._domainkey"), "{path}: {text}");
    }
    assert!(page(&zegel, "/status.json").contains("\"een\""));
    // One of them is suspended.
    let status = command(&zegel, &["status"]);
    assert!(status.status.code() < Some(2), "{status:?}");
    let said = String::from_utf8_lossy(&status.stdout);
    assert!(said.contains("twee") && !said.contains("sealing"), "{said}");
    assert!(zegel.terminate().success());

    let why = zegel.launch_unready(&[]);
    assert!(why.contains("sealing.key: it does not exist"), "{why}");
    let ready = zegel.page("/health/ready").expect("an answer");
    assert!(ready.contains("sealing.key: it does not exist"), "{ready}");
    assert!(page(&zegel, "/status.json").contains("sealing.key: it does not exist"));
    assert!(page(&zegel, "/org/een").contains("the keystore can't be read yet: /health/ready"));
    let output = command(&zegel, &["status"]);
    let said = String::from_utf8_lossy(&output.stdout);
    let why = "- the signer is not ready: sealing key ";
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.matches(why).count(), 1, "{said}");
    assert_put_off(&zegel, "een.example");
    // Whose records are in no page now has them all the same.
    let said = run(&zegel, &["dns", "records", "een"]);
    assert!(said.contains("een-rsa._domainkey.een.example"), "{said}");
}
