//! What of the private keys is in the memory of a signer, found as root through `/proc/PID/mem`.
//!
//! A key lives once, in the form that the cryptography library signs with. The file it came from
//! (PEM, base64, DER) is not there any more as soon as the key has been read.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use memchr::memmem;
use zegel::{config::Settings, keystore::Lie};

use super::support::zegel::Zegel;
use super::{AS_NOBODY, LISTENER, NOBODY, give, of_nobody, sign};

/// Octets of a key that are never anything else.
struct Needle {
    what: String,
    octets: Vec<u8>,
    /// How often they may be in memory.
    most: usize,
}

/// The numbers of an RSA key that are secret (RFC 8017 appendix A.1.2), and how often each may
/// be in memory as the library keeps it: words, the lowest first.
///
/// aws-lc has d and the two exponents in a second copy of fixed width, and the primes in a
/// second copy as moduli.
const NUMBERS: [(usize, &str, usize); 5] = [
    (3, "d", 2),
    (4, "p", 2),
    (5, "q", 2),
    (6, "d mod p-1", 2),
    (7, "d mod q-1", 2),
];

/// ring leaves numbers behind on the stack and the heap, for as long as nothing else comes there:
/// with it only the forms of the file are looked for.
const LIBRARY_WIPES: bool = cfg!(feature = "aws-lc-rs");

/// Everything of the keys in the keystore that must not be found, or not often.
fn needles(keystore: &Path) -> Vec<Needle> {
    let folder = keystore.join("voorbeeld");
    let mut needles = Vec::new();
    let mut add = |what: String, octets: &[u8], most| {
        needles.push(Needle {
            what,
            octets: octets.to_vec(),
            most,
        });
    };
    for kind in ["rsa", "ed25519"] {
        let pem = fs::read_to_string(folder.join(format!("voorbeeld-{kind}.pem"))).expect("a key");
        let lines = || pem.lines().filter(|line| !line.starts_with("-----"));
        for (number, line) in lines().enumerate() {
            // Half of a line: whatever buffers or line ends a copy went through.
            let part = &line.as_bytes()[line.len() / 2..];
            add(format!("base64 of {kind}, line {number}"), part, 0);
        }
        let der = decoded(&lines().collect::<String>());
        if kind == "ed25519" {
            // RFC 8410 §7: the last field is the seed. As such, and after its tags.
            add("the PKCS#8 of ed25519".to_owned(), &der, 0);
            add("the seed of ed25519".to_owned(), &der[der.len() - 32..], 1);
            continue;
        }
        for (index, name, most) in NUMBERS {
            let mut number = integers(&der)[index].to_vec();
            // As in DER. Half of it, so that a copy that is cut is found.
            add(format!("the DER of rsa, {name}"), middle(&number), 0);
            number.reverse();
            let most = if LIBRARY_WIPES { most } else { usize::MAX };
            add(format!("the number of rsa, {name}"), middle(&number), most);
        }
    }
    needles
}

fn middle(octets: &[u8]) -> &[u8] {
    &octets[octets.len() / 4..octets.len() / 4 * 3]
}

fn decoded(base64: &str) -> Vec<u8> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    STANDARD.decode(base64).expect("base64")
}

/// The INTEGERs of an RSA key in PKCS#8.
fn integers(der: &[u8]) -> Vec<&[u8]> {
    let (mut found, mut rest) = (Vec::new(), content(der, 0x30).0);
    rest = content(rest, 0x02).1;
    rest = content(rest, 0x30).1;
    rest = content(content(rest, 0x04).0, 0x30).0;
    while !rest.is_empty() {
        let (number, after) = content(rest, 0x02);
        found.push(number);
        rest = after;
    }
    found
}

/// What is in a field, and what is after it.
fn content(der: &[u8], tag: u8) -> (&[u8], &[u8]) {
    assert_eq!(der[0], tag);
    let (length, from) = match usize::from(der[1]) {
        short if short < 0x80 => (short, 2),
        long => {
            let octets = &der[2..2 + (long & 0x7f)];
            let fold = |sum: usize, octet: &u8| sum << 8 | usize::from(*octet);
            (octets.iter().fold(0, fold), 2 + octets.len())
        }
    };
    der[from..].split_at(length)
}

/// All that the process can read and write.
fn memory(process: u32) -> Vec<(String, Vec<u8>)> {
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).expect("maps");
    let memory = File::open(format!("/proc/{process}/mem")).expect("memory");
    let mut parts = Vec::new();
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (range, rights) = (words.next().expect("a range"), words.next());
        if !rights.is_some_and(|rights| rights.starts_with("rw")) {
            continue;
        }
        let (from, to) = range.split_once('-').expect("a range");
        let number = |text| u64::from_str_radix(text, 16).expect("a number");
        let (mut from, to) = (number(from), number(to));
        let mut octets = Vec::new();
        let mut page = vec![0; 1 << 20];
        while from < to {
            let length = usize::try_from(to - from)
                .expect("a length")
                .min(page.len());
            match memory.read_at(&mut page[..length], from) {
                Ok(read) if read > 0 => octets.extend_from_slice(&page[..read]),
                // Gone since, or a page that cannot be read: so there is nothing in it.
                _ => break,
            }
            from += u64::try_from(page[..length].len()).expect("a length");
        }
        parts.push((line.to_owned(), octets));
    }
    parts
}

/// Panics if there is more of the keys in memory than the library needs. Gives how many of the
/// needles were found.
#[track_caller]
fn scan(zegel: &Zegel, needles: &[Needle], when: &str) -> usize {
    let memory = memory(zegel.id());
    let octets: usize = memory.iter().map(|(_, octets)| octets.len()).sum();
    assert!(octets > 1 << 20, "that is not its memory: {octets} octets");
    let (mut seen, mut leaks) = (0, Vec::new());
    for needle in needles {
        let finder = memmem::Finder::new(&needle.octets);
        let places: Vec<String> = memory
            .iter()
            .flat_map(|(place, octets)| finder.find_iter(octets).map(move |at| (place, at)))
            .map(|(place, at)| format!("{at:#x} in {place}"))
            .collect();
        eprintln!("{when}: {} {} times", needle.what, places.len());
        seen += usize::from(!places.is_empty());
        if places.len() > needle.most {
            leaks.push(format!("{}: {places:#?}", needle.what));
        }
    }
    assert!(leaks.is_empty(), "{when}:\n{}", leaks.join("\n"));
    seen
}

/// Has the keys lie sealed from now on.
fn seal(zegel: &Zegel, settings: &str) {
    zegel.make_sealing_key();
    zegel.write_settings(&format!("{settings}\n{LISTENER}"));
    let resealed = zegel.keystore().reseal(Lie::Sealed, Timestamp::now());
    assert_eq!(resealed.expect("a sealing key").changed, 2);
    // What was written, and who may read it.
    give(&zegel.path("keys"), NOBODY);
    give(&zegel.path("sealing.key"), NOBODY);
}

#[test]
fn keys_are_in_memory_only_as_the_library_keeps_them() {
    let zegel = of_nobody("");
    let needles = needles(&zegel.path("keys"));
    are_only_as_the_library_keeps_them(zegel, &needles);
}

#[test]
fn sealed_keys_are_in_memory_only_as_the_library_keeps_them() {
    let zegel = of_nobody("");
    let needles = needles(&zegel.path("keys"));
    seal(&zegel, "");
    are_only_as_the_library_keeps_them(zegel, &needles);
}

fn are_only_as_the_library_keeps_them(mut zegel: Zegel, needles: &[Needle]) {
    zegel.launch_by(&AS_NOBODY);
    scan(&zegel, needles, "after the start");
    sign(&zegel, 1);
    // Otherwise the search would find nothing anywhere.
    let found = scan(&zegel, needles, "after one message");
    assert!(found > 0, "not even what the library signs with");
    sign(&zegel, 100);
    scan(&zegel, needles, "after a hundred messages");
    zegel.signal("HUP");
    zegel.wait_for_log(" reloaded ", 1);
    sign(&zegel, 2);
    scan(&zegel, needles, "after a reload");

    // Nobody has these keys in use any more.
    fs::remove_file(zegel.path("orgs.d/voorbeeld.toml")).expect("a file");
    let keystore = zegel.keystore();
    let id = "voorbeeld".parse().expect("an id");
    let timing = Settings::default().timing();
    let mut writer = keystore.writer().expect("nobody else writes");
    let retired = writer.retire(&id, None, &timing, Timestamp::now());
    assert!(!retired.expect("it can be retired").changes.is_empty());
    drop(writer);
    zegel.signal("HUP");
    zegel.wait_for_log(" reloaded ", 2);
    let begun = Instant::now();
    // What was in use is let go of when the last who looks at it is done.
    while scan(&zegel, needles, "after the organisation has left") > 0 && LIBRARY_WIPES {
        let log = zegel.log();
        assert!(
            begun.elapsed() < Duration::from_mins(1),
            "they stay:\n{log}"
        );
    }
}

/// At the level at which everything is said, of all that is done with a key.
#[test]
fn no_log_holds_anything_of_a_key() {
    let mut zegel = of_nobody("[log]\nfilter = \"trace\"");
    let needles = needles(&zegel.path("keys"));
    zegel.launch_by(&AS_NOBODY);
    sign(&zegel, 3);
    // A key that is another's, and one that is broken: what is said of them is read, too.
    let file = zegel.path("keys/voorbeeld/voorbeeld-rsa.pem");
    let pem = fs::read_to_string(&file).expect("a key");
    fs::write(&file, &pem[..pem.len() / 2]).expect("half a key");
    zegel.signal("HUP");
    zegel.wait_for_log("reloaded", 1);
    zegel.wait_for_log("cut off: ", 1);
    fs::write(&file, pem.replace('M', "N")).expect("a broken key");
    zegel.signal("HUP");
    zegel.wait_for_log("stays in use", 2);
    zegel.signal("TERM");
    assert!(zegel.wait().success());
    let log = fs::read(zegel.path("output")).expect("a log");
    let text = String::from_utf8_lossy(&log).to_lowercase();
    for needle in &needles {
        let octets = &needle.octets;
        let finder = memmem::Finder::new(octets);
        assert!(finder.find(&log).is_none(), "{}", needle.what);
        // As `{:?}` and `{:x?}` write octets.
        let some = &octets[..octets.len().min(12)];
        let hex = format!("{some:02x?}");
        let unbroken = hex.replace(", ", "");
        for written in [format!("{some:?}"), hex, unbroken] {
            let inner = written.trim_matches(['[', ']']);
            assert!(!text.contains(inner), "{}: {inner}", needle.what);
        }
    }
}
