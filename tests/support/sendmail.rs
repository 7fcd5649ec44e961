//! A private Sendmail instance whose milter settings are those of `conf/sendmail/zegel.mc`.
//!
//! It runs in namespaces of its own: with a host name that has a dot (else it sleeps a minute),
//! with a `/run` that only root can write to, where its files and the milter's socket are bound
//! (Sendmail refuses sockets below a folder like `/tmp`), and with process 1 of its own, so that
//! nothing survives it.

mod mc;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::logins::Login;
use super::port::Port;
use super::process::{GUARD, Supervised, program, strays};
use super::{checkout, logins, open_folder, require_root};

/// The host name of the instance.
pub const HOST_NAME: &str = "mta.testbed.example";

/// What an instance needs to know.
#[derive(Debug, Clone)]
pub struct SendmailOptions {
    /// The milter as `unix:/path` or `inet:127.0.0.1:port`. The folder of the socket is bound into
    /// the instance: a milter that starts anew there is found again.
    pub milter: String,
    /// Another one for the submission port, as `conf/sendmail/zegel.mc` describes it; in the same
    /// folder, if it is a unix socket.
    pub submission_milter: Option<String>,
    /// Where all mail goes.
    pub sink_port: u16,
    /// Lines for the `.mc` file, before the fragment.
    pub mc: Vec<String>,
    /// Lines for its end.
    pub last: Vec<String>,
    /// Who may log in on the submission port.
    pub logins: Vec<Login>,
}

impl SendmailOptions {
    /// Without further settings, and with the logins `crm` and `nieuwsbrief` (password `geheim`).
    pub fn new(milter: impl Into<String>, sink_port: u16) -> Self {
        Self {
            milter: milter.into(),
            submission_milter: None,
            sink_port,
            mc: Vec::new(),
            last: Vec::new(),
            logins: logins::usual(),
        }
    }

    /// Mail with a login goes to this milter.
    pub fn submission_milter(mut self, milter: impl Into<String>) -> Self {
        self.submission_milter = Some(milter.into());
        self
    }

    /// Lines for the end of the `.mc` file, where mailers are defined.
    pub fn last(mut self, lines: &str) -> Self {
        self.last.push(lines.to_owned());
        self
    }

    /// One more line for the `.mc` file.
    pub fn mc(mut self, line: &str) -> Self {
        self.mc.push(line.to_owned());
        self
    }
}

/// A running instance. Stops when dropped.
#[derive(Debug)]
pub struct Sendmail {
    process: Supervised,
    log: Arc<Mutex<String>>,
    relay: Port,
    submission: Port,
    folder: tempfile::TempDir,
}

impl Sendmail {
    /// Starts an instance and waits until its ports answer. Panics with its log if they do not.
    pub fn start(options: &SendmailOptions) -> Self {
        require_root();
        require_namespaces();
        program(
            root()
                .join("usr/libexec/sendmail/sendmail")
                .to_str()
                .expect("a path in UTF-8"),
        );
        let folder = open_folder("sendmail");
        let (relay, submission) = (Port::free(), Port::free());
        lay_out(
            folder.path(),
            options,
            [relay.number(), submission.number()],
        );
        let log = keep_log(folder.path());
        let script = format!(
            "{GUARD} set -e\n{NAMESPACE}\nset +e\n\
             guard 'kill $daemon' \"$SENDMAIL\" -bD -q1s -C /run/testbed/sendmail.cf"
        );
        let command = enter(folder.path(), &script, &milter_folder(options));
        let output = folder.path().join("output");
        let mut sendmail = Self {
            process: Supervised::start("Sendmail", command, &output),
            log,
            relay,
            submission,
            folder,
        };
        for port in [sendmail.relay.number(), sendmail.submission.number()] {
            let log = Arc::clone(&sendmail.log);
            sendmail.process.wait_for_port(port, || text(&log));
        }
        sendmail
    }

    /// Takes mail from 127.0.0.1 for anywhere; `{daemon_name}` is `relay`.
    pub fn relay_port(&self) -> u16 {
        self.relay.number()
    }

    /// Takes mail for anywhere after a login; `{daemon_name}` is `submission`.
    pub fn submission_port(&self) -> u16 {
        self.submission.number()
    }

    /// Hands a message to `sendmail -t`, as a local program does: lines end in LF. It goes by SMTP
    /// to the relay port, and so past the milter.
    pub fn submit(&self, envelope_from: &str, message: &[u8]) -> Output {
        let script = format!(
            "set -e\n{NAMESPACE}\n\
             exec \"$SENDMAIL\" -C /run/testbed/submit.cf -t -i -f \"$ENVELOPE_FROM\""
        );
        let mut child = enter(self.folder.path(), &script, self.folder.path())
            .env("ENVELOPE_FROM", envelope_from)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("sendmail runs");
        let mut input = child.stdin.take().expect("a piped input");
        // A sendmail that refuses early says so by its status.
        input.write_all(message).ok();
        drop(input);
        child.wait_with_output().expect("sendmail ends")
    }

    /// Hands a message to `sendmail -bs`, which speaks SMTP on standard input, as some local
    /// programs do: its client has no address. `zegel` is the folder of the socket. Gives what
    /// it answered.
    pub fn submit_by_smtp(&self, zegel: &Path, envelope_from: &str, message: &[u8]) -> Output {
        let script =
            format!("set -e\n{NAMESPACE}\nexec \"$SENDMAIL\" -bs -C /run/testbed/sendmail.cf");
        let mut child = enter(self.folder.path(), &script, zegel)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("sendmail runs");
        let mut input = child.stdin.take().expect("a piped input");
        let mut answers = BufReader::new(child.stdout.take().expect("a piped output"));
        let sender = format!("MAIL FROM:<{envelope_from}>\r\n");
        // It takes no command before it has answered the one before.
        for command in [
            "HELO localhost\r\n",
            &sender,
            "RCPT TO:<bs@elsewhere.example>\r\n",
            "DATA\r\n",
        ] {
            let mut answer = String::new();
            answers.read_line(&mut answer).expect("an answer");
            input.write_all(command.as_bytes()).ok();
        }
        let mut answer = String::new();
        answers.read_line(&mut answer).expect("an answer");
        for part in [message, b".\r\nQUIT\r\n"] {
            input.write_all(part).ok();
        }
        drop(input);
        child.wait_with_output().expect("sendmail ends")
    }

    /// The identifiers of the messages in the queue.
    pub fn queue(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path().join("queue")).expect("the queue");
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        names
            .filter_map(|name| Some(name.strip_prefix("qf")?.to_owned()))
            .collect()
    }

    /// What Sendmail logged, and what it wrote to standard error.
    pub fn log(&self) -> String {
        text(&self.log) + &self.process.output()
    }

    /// Stops the instance and returns the processes that it left behind: none.
    pub fn stop(mut self) -> Vec<(u32, String)> {
        self.process.stop();
        strays(self.folder.path())
    }
}

impl Drop for Sendmail {
    /// Shows the log where a test fails.
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::thread::sleep(Duration::from_millis(300));
            eprintln!("--- the log of Sendmail ---\n{}", self.log());
        }
    }
}

/// Makes the world that Sendmail sees. `$0` is the folder of the instance, `$1` that of the socket.
const NAMESPACE: &str = r#"
hostname "$HOST_NAME"
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -m 755 /run/testbed /run/zegel /run/dev
mount --bind "$0" /run/testbed
mount --bind "$1" /run/zegel
mount --bind /run/testbed/hosts /etc/hosts
mount --bind /run/testbed/resolv.conf "$(realpath /etc/resolv.conf)" 2>/dev/null || true
# syslog(3) writes to /dev/log: a /dev of our own with the devices of the old one.
mount --rbind /dev /run/dev
mount -t tmpfs -o mode=755 tmpfs /dev
for device in null zero random urandom; do
    touch "/dev/$device"
    mount --bind "/run/dev/$device" "/dev/$device"
done
ln -s /run/testbed/syslog /dev/log
"#;

/// A command that runs the script in new namespaces; `zegel` is what appears as `/run/zegel`.
fn enter(folder: &Path, script: &str, zegel: &Path) -> Command {
    let root = root();
    let libraries = ["usr/lib", "lib"].map(|lib| {
        let path = root
            .join(lib)
            .join(format!("{}-linux-gnu", std::env::consts::ARCH));
        path.display().to_string()
    });
    let mut command = Command::new(program("/usr/bin/unshare"));
    command
        .args([
            "--uts",
            "--mount",
            "--pid",
            "--fork",
            "--mount-proc",
            "--kill-child",
        ])
        .args(["bash", "-c", script])
        .args([folder, zegel])
        .env("HOST_NAME", HOST_NAME)
        .env("SENDMAIL", root.join("usr/libexec/sendmail/sendmail"))
        .env("LD_LIBRARY_PATH", libraries.join(":"))
        .env("SASL_PATH", "/usr/lib/sasl2")
        .current_dir("/");
    command
}

fn require_namespaces() {
    let tried = Command::new(program("/usr/bin/unshare"))
        .args(["--uts", "--mount", "--pid", "--fork", "true"])
        .output()
        .expect("unshare runs");
    assert!(
        tried.status.success(),
        "tests with Sendmail need namespaces of their own (a container needs CAP_SYS_ADMIN, as \
         with `docker run --privileged`): {}",
        String::from_utf8_lossy(&tried.stderr)
    );
}

fn root() -> PathBuf {
    checkout().join("target/sendmail-root")
}

/// What is bound to `/run/zegel`: the folder of the socket, or anything where there is none.
fn milter_folder(options: &SendmailOptions) -> PathBuf {
    let socket = options
        .milter
        .strip_prefix("unix:")
        .unwrap_or("/run/zegel/none");
    let folder = Path::new(socket)
        .parent()
        .expect("a socket lies in a folder");
    assert!(
        !options.milter.starts_with("unix:") || folder.is_dir(),
        "{} must be there before Sendmail starts",
        folder.display()
    );
    if folder.is_dir() {
        folder.to_owned()
    } else {
        std::env::temp_dir()
    }
}

fn lay_out(folder: &Path, options: &SendmailOptions, ports: [u16; 2]) {
    fs::create_dir(folder.join("queue")).expect("a queue");
    // sendmail(1) insists on another user than root: Debian's mail.
    let client_queue = folder.join("client-queue");
    fs::create_dir(&client_queue).expect("a queue");
    chown(&client_queue, Some(8), Some(8)).expect("a queue of the user mail");
    fs::set_permissions(&client_queue, fs::Permissions::from_mode(0o770)).expect("a mode");
    let file = |name: &str, content: &str| {
        fs::write(folder.join(name), content).expect("a file of the instance");
    };
    file("hosts", &format!("127.0.0.1 {HOST_NAME} mta localhost\n"));
    file(
        "resolv.conf",
        "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n",
    );
    file("service.switch", "hosts files\naliases files\n");
    file("statistics", "");
    file("zegel.mc", &mc::milter_fragment(options));
    file("sendmail.mc", &mc::sendmail_mc(options, ports));
    file("submit.mc", &mc::submit_mc(ports[0]));
    let seen = Path::new("/run/testbed/sasl");
    logins::make(&folder.join("sasl"), "Sendmail.conf", seen, &options.logins);
    for name in ["sendmail", "submit"] {
        fs::write(folder.join(format!("{name}.cf")), mc::expand(folder, name)).expect("a .cf file");
    }
}

/// Receives what Sendmail writes to /dev/log, until the folder is gone.
fn keep_log(folder: &Path) -> Arc<Mutex<String>> {
    let socket = UnixDatagram::bind(folder.join("syslog")).expect("a socket for the log");
    let pause = Some(Duration::from_millis(500));
    socket.set_read_timeout(pause).expect("a timeout");
    let log = Arc::new(Mutex::new(String::new()));
    let (kept, folder) = (Arc::clone(&log), folder.to_owned());
    std::thread::spawn(move || {
        let mut line = [0; 8192];
        while folder.exists() {
            if let Ok(length) = socket.recv(&mut line) {
                let line = String::from_utf8_lossy(&line[..length]);
                let mut kept = kept.lock().expect("no thread panics with the log");
                kept.push_str(line.trim_end());
                kept.push('\n');
            }
        }
    });
    log
}

fn text(log: &Mutex<String>) -> String {
    log.lock().expect("no thread panics with the log").clone()
}
