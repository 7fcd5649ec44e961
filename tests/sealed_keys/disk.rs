//! Nothing of a key is ever written to the disk in the clear, not even into a file that is removed
//! again: of all that Zegel writes, and on the blocks of a disk that it has worked on.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use memchr::memmem;

use super::start::Ending;
use super::support::require_root;
use super::support::zegel::{Org, Zegel};
use super::traces::{KEY, pieces};
use super::{files_below, make_sealing_key};

/// All that makes, brings in or seals keys, in this order.
const WORK: [&[&str]; 5] = [
    &[
        "org",
        "add",
        "een",
        "--name",
        "Een",
        "--domain",
        "een.example",
        "--contact",
        "a@dns.example",
    ],
    &[
        "org",
        "add",
        "twee",
        "--name",
        "Twee",
        "--domain",
        "twee.example",
        "--contact",
        "a@dns.example",
    ],
    &["key", "generate", "een", "--another", "--selector", "g1"],
    &[
        "key",
        "import",
        "twee",
        KEY,
        "--selector",
        "i1",
        "--assume-published",
    ],
    &["keeper", "--once"],
];
const SEAL: &[&str] = &["keystore", "seal"];

/// The calls that write, or could: into a file, a socket, or a file that is a piece of memory.
const WRITING: &str = "trace=write,writev,pwrite64,pwritev,pwritev2,sendto,sendmsg,sendmmsg,\
                       vmsplice,splice,tee,sendfile,copy_file_range,mmap,io_uring_setup,ftruncate";

/// A configuration whose folders are below `root`, and whose sealing keys are elsewhere.
struct Place {
    /// The sealing keys, and what must not be on the disk.
    outside: Zegel,
    root: PathBuf,
}

impl Place {
    fn new(root: Option<PathBuf>) -> Self {
        let outside = Zegel::prepared(&[], "");
        let root = root.unwrap_or_else(|| outside.path("disk"));
        fs::create_dir_all(&root).expect("a folder");
        for name in ["first.key", "second.key"] {
            make_sealing_key(&outside, name);
        }
        Self { outside, root }
    }

    fn configure(&self, sealing_keys: &[&str]) {
        let paths = sealing_keys.iter().map(|name| self.outside.path(name));
        let paths: Vec<String> = paths.map(|path| path.display().to_string()).collect();
        let root = self.root.display();
        let text = format!(
            "[keystore]\npath = \"{root}/keys\"\nsealing_keys = {paths:?}\n\
             [log]\nfilter = \"trace\"\n\
             [keeper]\nresolvers = [\"127.0.0.1:1\"]\n\
             [[listener]]\nname = \"relay\"\nsocket = \"unix:{root}/relay.sock\"\n\
             outbound = {{ authenticated = true }}\n"
        );
        fs::write(self.outside.path("disk.toml"), text).expect("settings");
    }

    fn initialise(&self) {
        // For the keeper, which makes its key.
        let org = Org::new("drie", &["drie.example"]).without_keys();
        self.outside.add(&org);
        fs::create_dir(self.root.join("keys")).expect("a folder");
        fs::set_permissions(self.root.join("keys"), fs::Permissions::from_mode(0o700))
            .expect("a mode");
        let output = self.command(&[], &["keystore", "init"]);
        assert!(output.status.success(), "{output:?}");
    }

    /// `zegel` with these arguments, whose temporary files, should it make any, are on the disk too.
    fn command(&self, prefix: &[String], arguments: &[&str]) -> Output {
        let mut line: Vec<String> = prefix.to_vec();
        line.extend([
            env!("CARGO_BIN_EXE_zegel").to_owned(),
            "--config".to_owned(),
            self.outside.path("disk.toml").display().to_string(),
        ]);
        line.extend(arguments.iter().map(|&one| one.to_owned()));
        let output = Command::new(&line[0])
            .args(&line[1..])
            .env("TMPDIR", &self.root)
            .stdin(Stdio::null())
            .output();
        output.unwrap_or_else(|error| panic!("{line:?}: {error} (tests/install-packages)"))
    }

    /// What a search must not find: of every key that there is now.
    fn secrets(&self) -> Vec<Vec<u8>> {
        let sealing = ["first.key", "second.key"].map(|name| self.outside.path(name));
        let keystore = zegel::keystore::Keystore::open(&self.root.join("keys"));
        let keystore = keystore.expect("the keystore").sealed_by(&sealing);
        let mut secrets = Vec::new();
        let mut keys = 0;
        for id in keystore.organisations().expect("organisations") {
            let keyring = keystore.read_keyring(&id).expect("a keyring");
            for key in keyring.keys() {
                let arguments = ["key", "export", id.as_str(), key.selector.as_str()];
                let output = self.command(&[], &arguments);
                assert!(output.status.success(), "{output:?}");
                let pem = String::from_utf8(output.stdout).expect("PEM");
                assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----\n"));
                secrets.extend(pieces(&pem));
                keys += 1;
            }
        }
        // Of `org add` two, and one each of `key generate`, `key import` and the keeper.
        assert_eq!(keys, 5);
        secrets
    }
}

/// As many octets of each piece are looked for: the shortest has no more.
const NEEDLE: usize = 12;

/// How many of these begin somewhere in the text. There are thousands of them.
fn found(secrets: &[Vec<u8>], text: &[u8]) -> usize {
    let needles: HashSet<&[u8]> = secrets.iter().map(|secret| &secret[..NEEDLE]).collect();
    let mut found = HashSet::new();
    // The blocks of a disk that nobody has written are all zero.
    let mut from = 0;
    while let Some(begin) = text[from..].iter().position(|&octet| octet != 0) {
        let begin = from + begin;
        let zeroes = memmem::find(&text[begin..], &[0; 512]);
        let end = zeroes.map_or(text.len(), |length| begin + length + NEEDLE);
        for window in text[begin..end.min(text.len())].windows(NEEDLE) {
            if needles.contains(window) {
                found.insert(window);
            }
        }
        from = end.min(text.len());
    }
    found.len()
}

/// Whether any of these is named in a line of strace.
fn is_call(line: &str, names: &[&str]) -> bool {
    names.iter().any(|name| line.contains(&format!(" {name}(")))
}

/// The octets of all strings in the log of `strace -xx`, one after the other for each call.
fn written(log: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    for line in log.lines() {
        assert!(!line.contains("\"..."), "strace cut it: {}", &line[..80]);
        for part in line.split("\\x").skip(1) {
            let digits = part.get(..2).expect("two digits");
            octets.push(u8::from_str_radix(digits, 16).expect("hexadecimal"));
        }
        octets.extend(b"\n\0\n");
    }
    octets
}

/// Every octet that leaves the process, into whatever: stronger than any look at a disk.
#[test]
fn no_call_writes_anything_of_a_key_that_is_to_be_sealed() {
    require_root();
    let place = Place::new(None);
    place.configure(&["first.key"]);
    place.initialise();
    let mut logs = Vec::new();
    let traced = |arguments: &[&str]| {
        let log = place.outside.path("strace");
        let words = format!(
            "strace -f -qq -xx -s 1048576 -e {WRITING} -o {}",
            log.display()
        );
        let prefix: Vec<String> = words.split(' ').map(str::to_owned).collect();
        let output = place.command(&prefix, arguments);
        // The keeper finds that no record is there.
        assert!(output.status.code() < Some(2), "{arguments:?}: {output:?}");
        fs::read_to_string(&log).expect("the log of strace")
    };
    for arguments in WORK {
        logs.push((arguments, traced(arguments)));
    }
    place.configure(&["second.key", "first.key"]);
    logs.push((SEAL, traced(SEAL)));
    let secrets = place.secrets();
    for (arguments, log) in &logs {
        let octets = written(log);
        let is_sealed = found(&[b"zegel-sealed-key 1 ".to_vec()], &octets) > 0;
        assert!(is_sealed, "{arguments:?}");
        assert_eq!(found(&secrets, &octets), 0, "{arguments:?}");
        // What these write is in no text of strace.
        for line in log.lines() {
            let is_blind = is_call(
                line,
                &["splice", "vmsplice", "tee", "sendfile", "copy_file_range"],
            ) || is_call(line, &["io_uring_setup"])
                || (is_call(line, &["mmap"])
                    && line.contains("PROT_WRITE")
                    && line.contains("MAP_SHARED"));
            assert!(!is_blind, "{arguments:?}: {line}");
        }
    }
    // That the search finds what is written.
    place.configure(&["second.key"]);
    let plain = written(&traced(&["keystore", "seal", "--plain"]));
    assert!(
        found(&secrets, &plain) > secrets.len() / 10,
        "{}",
        found(&secrets, &plain)
    );
}

/// The same by the eyes of a thief: all blocks of a disk on which everything was done, those of
/// removed files and the journal of the file system with them.
#[test]
fn nothing_of_a_sealed_key_is_on_the_blocks_of_a_disk() {
    require_root();
    let base = Zegel::prepared(&[], "");
    let (image, mount) = (base.path("image"), base.path("mount"));
    let script = |what: &str| {
        let output = Command::new("bash")
            .args(["-euc", what])
            .env("IMAGE", &image)
            .env("MOUNT", &mount)
            .output()
            .expect("bash runs");
        assert!(output.status.success(), "{what}: {output:?}");
    };
    // `sync`, so that what is removed at once has been on the disk; `data=journal`, so that all of it
    // is in the journal as well.
    script(
        "truncate -s 12M \"$IMAGE\"; mkfs.ext4 -q \"$IMAGE\"; mkdir \"$MOUNT\"; \
         mount -o loop,sync,data=journal \"$IMAGE\" \"$MOUNT\"",
    );
    let mounted = Mounted(&mount);
    let place = Place::new(Some(mount.join("zegel")));
    place.configure(&["first.key"]);
    place.initialise();
    for arguments in WORK {
        let output = place.command(&[], arguments);
        assert!(output.status.code() < Some(2), "{arguments:?}: {output:?}");
        fs::write(place.root.join("log"), &output.stderr).expect("a log");
    }
    place.configure(&["second.key", "first.key"]);
    assert!(place.command(&[], SEAL).status.success());
    let secrets = place.secrets();
    assert!(files_below(&place.root).len() > 8);
    // That the search finds what has been there for a moment.
    let trace = b"a trace that was removed again";
    fs::write(place.root.join("trace"), trace).expect("a file");
    fs::remove_file(place.root.join("trace")).expect("the file");
    drop(mounted);
    let disk = fs::read(&image).expect("the disk");
    assert_eq!(found(&[trace.to_vec()], &disk), 1);
    assert_eq!(found(&[b"zegel-sealed-key 1 ".to_vec()], &disk), 1);
    assert_eq!(found(&secrets, &disk), 0);
}

/// Unmounts it, also when the test fails.
struct Mounted<'a>(&'a Path);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.0).status();
        let is_unmounted = unmounted.is_ok_and(|status| status.success());
        assert!(is_unmounted || thread::panicking(), "it is still mounted");
    }
}

/// The keeper opens private keys, too. Of the signer `tests/guard/dumps.rs` shows the same.
#[test]
fn a_keeper_that_crashes_leaves_no_core() {
    for (signal, number) in [("SEGV", 11), ("ABRT", 6)] {
        let place = Place::new(None);
        place.configure(&["first.key"]);
        place.initialise();
        let folder = place.root.join("crash");
        fs::create_dir(&folder).expect("a folder");
        let script = "ulimit -c unlimited; cd \"$0\"; exec \"$@\"";
        let keeper = Command::new("bash")
            .args(["-c", script])
            .arg(&folder)
            .args([env!("CARGO_BIN_EXE_zegel"), "keeper", "--config"])
            .arg(place.outside.path("disk.toml"))
            .stdin(Stdio::null())
            .stderr(fs::File::create(folder.join("output")).expect("a file"))
            .spawn();
        let mut keeper = Ending(keeper.expect("bash runs"));
        let log = || fs::read_to_string(folder.join("output")).unwrap_or_default();
        let begun = Instant::now();
        while !log().contains("all organisations have been looked at") {
            assert!(begun.elapsed() < Duration::from_secs(30), "{}", log());
            thread::sleep(Duration::from_millis(20));
        }
        let limits = fs::read_to_string(format!("/proc/{}/limits", keeper.0.id())).expect("limits");
        let of_cores = limits
            .lines()
            .find(|line| line.starts_with("Max core file size"));
        let words: Vec<&str> = of_cores.expect("a limit").split_whitespace().collect();
        assert_eq!(words[4..6], ["0", "0"], "{limits}");
        // Rust catches the first SIGSEGV; see `tests/guard/dumps.rs`.
        let status = loop {
            let kill = Command::new("kill")
                .args([&format!("-{signal}"), &keeper.0.id().to_string()])
                .stderr(Stdio::null())
                .status();
            kill.expect("kill runs");
            thread::sleep(Duration::from_millis(20));
            if let Some(status) = keeper.0.try_wait().expect("a child") {
                break status;
            }
        };
        assert_eq!(status.signal(), Some(number));
        assert!(!status.core_dumped());
        let files = files_below(&folder);
        assert_eq!(files, [folder.join("output")]);
    }
}
