//! A signer on a disk of its own, with Postfix in front and the sink behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::account::{Row, settle};
use super::faults::Fault;
use super::support::postfix::{Postfix, PostfixOptions};
use super::support::sink::Sink;
use super::support::zegel::{Org, Zegel};
use super::traffic::Traffic;

/// Between two faults: messages that wait are tried again.
const CALM: Duration = Duration::from_millis(700);
/// What is in the queue of Postfix has arrived by then.
const DELIVERY: Duration = Duration::from_mins(3);

/// One RSA key.
pub(super) fn first() -> Org {
    Org::new("voorbeeld", &["voorbeeld.example"])
}

/// Two keys.
pub(super) fn second() -> Org {
    Org::new("dubbel", &["dubbel.example"]).signing_twice()
}

/// See the module. What is first ends first.
pub(super) struct Stage {
    postfix: Postfix,
    disk: Disk,
    zegel: Zegel,
    sink: Sink,
}

impl Stage {
    /// With this `milter_default_action`.
    pub(super) fn new(action: &str) -> Self {
        let mut zegel = Zegel::prepared(&[first(), second()], "");
        let disk = Disk::below(&zegel.path(""));
        zegel.launch();
        let sink = Sink::start();
        // Postfix gives up before those that are stopped go on.
        let options = PostfixOptions::new(zegel.milter(), sink.port())
            .main_cf("smtpd_error_sleep_time = 0")
            .main_cf("milter_connect_timeout = 2s")
            .main_cf("milter_command_timeout = 2s")
            .main_cf("milter_content_timeout = 2s")
            .main_cf(&format!("milter_default_action = {action}"));
        let postfix = Postfix::start(&options);
        Self {
            postfix,
            disk,
            zegel,
            sink,
        }
    }

    /// One fault after the other, each for so many seconds, under load all the time; then
    /// everything must arrive.
    pub(super) fn suffer(mut self, faults: &[Fault], seconds: f64) -> Vec<Row> {
        let traffic = Traffic::default();
        let port = self.postfix.relay_port();
        let notes = thread::scope(|scope| {
            let _stop = traffic.start(scope, port);
            let mut notes = Vec::new();
            for (phase, &fault) in faults.iter().enumerate() {
                traffic.enter(phase);
                let until = Instant::now() + Duration::from_secs_f64(seconds);
                notes.push(fault.inflict(&mut self.zegel, &self.disk, until));
                thread::sleep(CALM);
            }
            notes
        });
        self.postfix.wait_for_empty_queue(DELIVERY);
        let attempts = traffic.attempts();
        settle(&attempts, &self.sink.received(), &self.zegel, faults, notes)
    }
}

/// A tmpfs in place of a folder.
pub(super) struct Disk {
    folder: PathBuf,
}

impl Disk {
    /// With everything that was in the folder.
    fn below(folder: &Path) -> Self {
        let place = tempfile::tempdir().expect("a temporary folder");
        let options = ["-t", "tmpfs", "-o", "size=48m,mode=755", "tmpfs"];
        run(Command::new("mount").args(options).arg(place.path()));
        for entry in fs::read_dir(folder).expect("the folder of the signer") {
            let path = entry.expect("an entry").path();
            run(Command::new("mv").arg(path).arg(place.path()));
        }
        run(Command::new("mount")
            .arg("--move")
            .arg(place.path())
            .arg(folder));
        Self {
            folder: folder.to_owned(),
        }
    }

    /// Takes all room there is, and what becomes free until [`Self::free`].
    pub(super) fn fill(&self) {
        let filler = self.folder.join("filler");
        let file = fs::File::options().create(true).append(true).open(filler);
        let mut file = file.expect("a file on the disk");
        while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
    }

    /// Gives the room back.
    pub(super) fn free(&self) {
        fs::remove_file(self.folder.join("filler")).expect("the filler");
    }
}

impl Drop for Disk {
    /// So that the folder below can be removed.
    fn drop(&mut self) {
        let detached = Command::new("umount").arg("-l").arg(&self.folder).status();
        if !detached.is_ok_and(|status| status.success()) {
            eprintln!("{} stays mounted", self.folder.display());
        }
    }
}

fn run(command: &mut Command) {
    let output = command.output().expect("a program that runs");
    assert!(output.status.success(), "{command:?}: {output:?}");
}
