//! A signer under test: a process with a folder of its own.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{account::Family, load, message::Message};

/// How long a start may take; OpenDKIM with many organisations takes its time.
const START: Duration = Duration::from_mins(5);

/// Everything that a signer needs on the disk; starts it as often as wanted.
pub(crate) struct Prepared {
    /// For the tables.
    pub(crate) name: &'static str,
    /// Its configuration, its socket, and its output.
    pub(crate) folder: tempfile::TempDir,
    /// The program and its arguments.
    pub(crate) command: Vec<String>,
}

/// A signer at work; ends with this value, and when the bench is killed.
pub(crate) struct Daemon {
    child: Child,
    socket: PathBuf,
}

impl Prepared {
    /// Its milter socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("milter.sock")
    }

    /// Starts it and waits until it has signed a message of organisation 0; says how long that
    /// took from the start of the process.
    ///
    /// # Errors
    /// When it ends, or does not sign.
    pub(crate) fn start(&self, message: &Message) -> Result<(Daemon, Duration), String> {
        self.start_with(message, 1)
    }

    /// The same where each message gets so many signatures.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub(crate) fn start_with(
        &self,
        message: &Message,
        signatures: usize,
    ) -> Result<(Daemon, Duration), String> {
        let socket = self.socket();
        let _ = fs::remove_file(&socket);
        let output = self.folder.path().join("output");
        let file = File::create(&output).expect("a file for the output");
        let begun = Instant::now();
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .args(&self.command)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a handle"))
            .stderr(file)
            .spawn()
            .map_err(|error| format!("setpriv: {error}"))?;
        let mut daemon = Daemon { child, socket };
        loop {
            let failed = match load::send_one(&daemon.socket, (message, 0), signatures) {
                Ok(()) => return Ok((daemon, begun.elapsed())),
                Err(failed) => failed,
            };
            let ended = daemon.child.try_wait().expect("a child");
            if ended.is_some() || begun.elapsed() > START {
                return Err(format!("{failed}. Its output:\n{}", tail(&output)));
            }
            thread::sleep(Duration::from_millis(2));
            // It listens, and still something is wrong: that does not change.
            if daemon.socket.exists() && !failed.contains("no connection") {
                let patience = Duration::from_secs(20);
                if begun.elapsed() > patience {
                    return Err(format!("{failed}. Its output:\n{}", tail(&output)));
                }
            }
        }
    }
}

impl Daemon {
    /// Its processes as they are now.
    pub(crate) fn family(&self) -> Family {
        Family::of(self.child.id())
    }

    /// Its milter socket.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// The number of its first process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // The workers of rspamd outlive their parent's SIGKILL.
        let _ = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(3) {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The last lines of a file.
fn tail(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}
