//! The keeper as a process.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output};

use super::port::Port;
use super::process::{GUARD, Supervised, read_lossy};
use super::sandbox;
use super::zegel::get;

/// `zegel keeper` with the configuration and the keystore of a signer.
#[derive(Debug)]
pub struct Keeper {
    /// Of the signer.
    folder: PathBuf,
    process: Option<Supervised>,
    /// What those before it wrote.
    earlier: String,
    http: SocketAddr,
}

impl Keeper {
    /// Of a configuration that has `http` as this port.
    pub fn start(folder: &Path, http: &Port) -> Self {
        let mut keeper = Self::of(folder, http);
        keeper.launch_until(&[], "200 OK");
        keeper
    }

    /// The same for one that waits for something before it is ready, through a program that
    /// becomes the keeper.
    pub fn start_unready(folder: &Path, http: &Port, prefix: &[&str]) -> Self {
        let mut keeper = Self::of(folder, http);
        keeper.launch_until(prefix, "503 Service Unavailable");
        keeper
    }

    fn of(folder: &Path, http: &Port) -> Self {
        Self {
            folder: folder.to_owned(),
            process: None,
            earlier: String::new(),
            http: SocketAddr::from(([127, 0, 0, 1], http.number())),
        }
    }

    /// What it says of its readiness; none where nobody answers.
    pub fn readiness(&self) -> Option<String> {
        get(self.http, "/health/ready")
    }

    fn launch_until(&mut self, prefix: &[&str], says: &str) {
        let script = format!(
            r#"{GUARD} guard 'kill "$daemon"' \
               bash -c 'echo $$ >"$0"; exec "$@"' "$0" "$@""#
        );
        // systemd sets the restrictions up once the keystore is there (`RequiresMountsFor=`).
        let restrictions = if sandbox::is_wanted() && self.folder.join("keys").exists() {
            sandbox::around_keeper(&self.folder)
        } else {
            Vec::new()
        };
        let mut command = Command::new("bash");
        command
            .args(["-c", &script])
            .arg(self.folder.join("keeper.pid"))
            .args(prefix)
            .args(restrictions)
            .args([env!("CARGO_BIN_EXE_zegel"), "keeper", "--config"])
            .arg(self.folder.join("zegel.toml"));
        let output = self.folder.join("keeper.output");
        let mut process = Supervised::start("the keeper", command, &output);
        let http = self.http;
        process.wait_until(
            "it is ready",
            || read_lossy(&output),
            || get(http, "/health/ready").is_some_and(|page| page.contains(says)),
        );
        self.process = Some(process);
    }

    /// Sends it a signal, such as `-HUP`.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.id()]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Ends it by this signal.
    pub fn end(&mut self, signal: &str) -> ExitStatus {
        self.signal(signal);
        self.process.take().expect("a keeper").wait()
    }

    /// Ends it by this signal and starts another one.
    pub fn restart(&mut self, signal: &str) -> ExitStatus {
        let status = self.end(signal);
        self.earlier = self.log();
        self.launch_until(&[], "200 OK");
        status
    }

    /// The number of the process.
    pub fn id(&self) -> String {
        let text = fs::read_to_string(self.folder.join("keeper.pid"));
        text.expect("the number of the keeper").trim().to_owned()
    }

    /// What all of them have written so far.
    pub fn log(&self) -> String {
        // Lines gather for a moment before they are written.
        std::thread::sleep(std::time::Duration::from_millis(60));
        let own = read_lossy(&self.folder.join("keeper.output"));
        format!("{}{own}", self.earlier)
    }

    /// Its metrics, as text.
    pub fn page(&self) -> String {
        get(self.http, "/metrics").expect("the metrics")
    }

    /// Whether its metrics hold this line.
    pub fn shows(&self, line: &str) -> bool {
        self.page().lines().any(|one| one == line)
    }
}

/// Runs `zegel` with these arguments to its end.
pub fn command(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_zegel"))
        .args(arguments)
        .arg("--config")
        .arg(folder.join("zegel.toml"))
        .output()
        .expect("zegel runs")
}
