//! What the kernel would show of the process, and to whom.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use super::support::zegel::Zegel;
use super::{AS_NOBODY, of_nobody, sign};

/// Started by hand, with all that a core needs: no limit, and a folder that is writable.
fn dumpable(zegel: &mut Zegel) {
    let script = format!(
        "ulimit -c unlimited; cd '{}'; exec \"$@\"",
        zegel.path("run").display()
    );
    let prefix = [&AS_NOBODY[..], &["bash", "-c", &script, "bash"]].concat();
    zegel.launch_by(&prefix);
}

#[test]
fn a_signer_that_crashes_leaves_no_core() {
    for signal in ["SEGV", "ABRT"] {
        let mut zegel = of_nobody("");
        dumpable(&mut zegel);
        sign(&zegel, 1);
        let limits = fs::read_to_string(format!("/proc/{}/limits", zegel.id())).expect("limits");
        let of_cores = limits
            .lines()
            .find(|line| line.starts_with("Max core file size"));
        let words: Vec<&str> = of_cores.expect("a limit").split_whitespace().collect();
        assert_eq!(words[4..6], ["0", "0"], "{limits}");
        end_by(signal, zegel.id());
        assert!(!zegel.wait().success());
        let left: Vec<_> = fs::read_dir(zegel.path("run"))
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name())
            .filter(|name| name != "relay.sock")
            .collect();
        assert!(left.is_empty(), "{left:?}");
        // The shell says "(core dumped)" of any, wherever it went.
        let output = zegel.log();
        assert!(!output.contains("core dumped"), "{output}");
    }
}

/// More than one may be needed: Rust catches the first SIGSEGV, looks whether the stack has
/// overflown, and leaves it to the next one to end the process.
fn end_by(signal: &str, process: u32) {
    while Path::new(&format!("/proc/{process}")).exists() {
        let mut kill = Command::new("kill");
        kill.args([&format!("-{signal}"), &process.to_string()]);
        // It fails when the process has ended meanwhile.
        kill.stderr(Stdio::null()).status().expect("kill runs");
        thread::sleep(Duration::from_millis(20));
    }
}

/// What only a process may see that could also change it.
const FILES: [&str; 4] = ["environ", "mem", "maps", "fd/0"];

fn read_as_nobody(process: u32, file: &str) -> Output {
    // Opened, and no more: of the memory the first page is never there.
    let script = format!("exec </proc/{process}/{file}");
    Command::new(AS_NOBODY[0])
        .args(&AS_NOBODY[1..])
        .args(["sh", "-c", &script])
        .output()
        .expect("setpriv runs")
}

#[test]
fn another_process_of_the_same_user_sees_nothing() {
    let mut zegel = of_nobody("");
    zegel.launch_by(&AS_NOBODY);
    for file in FILES {
        let output = read_as_nobody(zegel.id(), file);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{file} can be read");
        assert!(error.contains("Permission denied"), "{file}: {error}");
    }
    let owner = fs::metadata(format!("/proc/{}/environ", zegel.id())).expect("a process");
    assert_eq!(owner.uid(), 0);

    // Of an unguarded process it sees all, so that the guard it is.
    let mut other = unguarded();
    for file in FILES {
        let output = read_as_nobody(other.id(), file);
        assert!(output.status.success(), "{file}: {output:?}");
    }
    other.kill().expect("a child");
    other.wait().expect("a child");
}

fn unguarded() -> Child {
    let mut child = Command::new(AS_NOBODY[0])
        .args(&AS_NOBODY[1..])
        .args(["sh", "-c", "echo; exec sleep 600"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("setpriv runs");
    // Until it has become somebody else.
    let mut line = [0];
    let mut output = child.stdout.take().expect("a pipe");
    std::io::Read::read_exact(&mut output, &mut line).expect("a line");
    child
}
