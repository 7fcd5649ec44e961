//! Servers as child processes that never outlive the test.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take until its port answers.
pub const START_LIMIT: Duration = Duration::from_secs(20);
const STOP_LIMIT: Duration = Duration::from_secs(20);
/// How long a server that was told to end may take, its clients included.
const END_LIMIT: Duration = Duration::from_mins(1);

/// A server that runs under a shell script, which ends it when its standard input closes: on drop,
/// and just as well when the test process is killed.
#[derive(Debug)]
pub struct Supervised {
    name: &'static str,
    child: Child,
    output: PathBuf,
}

impl Supervised {
    /// Runs `command`, whose standard input becomes the lifeline (see [`GUARD`]) and whose output
    /// goes into `output`.
    pub fn start(name: &'static str, mut command: Command, output: &Path) -> Self {
        let file = fs::File::create(output).expect("a file for the output of a server");
        let copy = file.try_clone().expect("a second handle of an open file");
        let child = command
            .stdin(Stdio::piped())
            .stdout(file)
            .stderr(copy)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name} ({command:?}): {error}"));
        Self {
            name,
            child,
            output: output.to_owned(),
        }
    }

    /// What the server and its script wrote to standard output and error.
    pub fn output(&self) -> String {
        read_lossy(&self.output)
    }

    /// Waits until something listens on the port. Panics with `log` when the server ended or time
    /// is up.
    pub fn wait_for_port(&mut self, port: u16, log: impl Fn() -> String) {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        self.wait_until(&format!("port {port} answers"), log, || {
            TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
        });
    }

    /// Waits until `ready` says so. Panics with `log` when the server ended or time is up.
    pub fn wait_until(&mut self, what: &str, log: impl Fn() -> String, ready: impl Fn() -> bool) {
        let deadline = Instant::now() + START_LIMIT;
        while !ready() {
            let ended = self.child.try_wait().expect("the state of a child");
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "{} did not start: waited until {what}, process {}\n--- its output ---\n{}\n\
                 --- its log ---\n{}",
                self.name,
                ended.map_or_else(|| "runs".to_owned(), |status| format!("ended, {status}")),
                self.output(),
                log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the server has ended by itself, and gives its status.
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + END_LIMIT;
        loop {
            if let Some(status) = self.child.try_wait().expect("the state of a child") {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "{} did not end in {END_LIMIT:?}\n--- its output ---\n{}",
                self.name,
                self.output()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends the server and waits for it. Nothing happens the second time.
    pub fn stop(&mut self) {
        drop(self.child.stdin.take());
        let deadline = Instant::now() + STOP_LIMIT;
        while !matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
            if Instant::now() > deadline {
                // Not a panic: this runs on drop, perhaps of a test that fails already.
                eprintln!("{} did not end in {STOP_LIMIT:?} and is killed", self.name);
                self.child.kill().ok();
                self.child.wait().ok();
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A shell function: `guard STOP-COMMAND PROGRAM ARGUMENTS…` runs the program until it ends by
/// itself or the script's standard input closes; then it runs the stop command, with the program's
/// process id in `$daemon`.
pub const GUARD: &str = r#"
guard() {
    stop=$1; shift
    exec 3<&0
    "$@" 3<&- </dev/null & daemon=$!
    cat <&3 >/dev/null 2>&1 & lifeline=$!
    wait -n "$daemon" "$lifeline"
    eval "$stop"
    wait "$daemon"; status=$?
    kill "$lifeline" 2>/dev/null
    exit "$status"
}
"#;

/// The processes (id and command line) that have `folder` in their command line, environment or as
/// their working folder: what a server that has its files there left behind. One without a command
/// line has given up its memory: it is on its way out.
pub fn strays(folder: &Path) -> Vec<(u32, String)> {
    let needle = folder.to_str().expect("a temporary folder in UTF-8");
    let own = std::process::id();
    fs::read_dir("/proc")
        .expect("the list of processes")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .filter(|id| *id != own)
        .filter_map(|id| {
            let process = PathBuf::from(format!("/proc/{id}"));
            let command = read_lossy(&process.join("cmdline")).replace('\0', " ");
            let environment = read_lossy(&process.join("environ"));
            let working = fs::read_link(process.join("cwd")).unwrap_or_default();
            let found = command.contains(needle)
                || environment.contains(needle)
                || working.starts_with(folder);
            (found && !command.is_empty()).then_some((id, command))
        })
        .collect()
}

/// The path of a program, or a panic that names `tests/install-packages`.
pub fn program(path: &str) -> &str {
    assert!(
        Path::new(path).exists(),
        "{path} is missing: run tests/install-packages as root"
    );
    path
}

/// The file as text, empty where it cannot be read.
pub fn read_lossy(path: &Path) -> String {
    fs::read(path).map_or_else(
        |_| String::new(),
        |bytes| String::from_utf8_lossy(&bytes).into_owned(),
    )
}
