//! A private Postfix instance whose milter settings are those of `conf/postfix/`.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant, SystemTime};

use super::logins::Login;
use super::port::Port;
use super::process::{GUARD, Supervised, program, read_lossy, strays};
use super::smtp::Message;
use super::{fragment, logins, open_folder, require_root};

/// The socket that the fragments name, which the test bed replaces with the milter's.
const SOCKET: &str = "unix:zegel/relay.sock";

/// The host name of the instance: bounces come from MAILER-DAEMON at it.
pub const HOST_NAME: &str = "mail.testbed.example";

/// What an instance needs to know.
#[derive(Debug, Clone)]
pub struct PostfixOptions {
    /// The milter as `unix:/path` or `inet:127.0.0.1:port`. The user postfix must be able to enter
    /// its folders and to write to the socket.
    pub milter: String,
    /// Another one for the submission service, as `conf/postfix/master.cf` describes it.
    pub submission_milter: Option<String>,
    /// Where all mail goes.
    pub sink_port: u16,
    /// Lines that are put at the end of main.cf, so that they win.
    pub main_cf: Vec<String>,
    /// Who may log in on the submission port.
    pub logins: Vec<Login>,
    /// What postconf is told before the start: an option and its argument.
    pub changes: Vec<[String; 2]>,
    /// What is written in `conf/postfix/master.cf`, and what takes its place.
    pub replaced: Vec<[String; 2]>,
}

impl PostfixOptions {
    /// Without further settings, and with the logins `crm` and `nieuwsbrief` (password `geheim`).
    pub fn new(milter: impl Into<String>, sink_port: u16) -> Self {
        Self {
            milter: milter.into(),
            submission_milter: None,
            sink_port,
            main_cf: Vec::new(),
            logins: logins::usual(),
            changes: Vec::new(),
            replaced: Vec::new(),
        }
    }

    /// Mail with a login goes to this milter.
    pub fn submission_milter(mut self, milter: impl Into<String>) -> Self {
        self.submission_milter = Some(milter.into());
        self
    }

    /// What postconf is told of the files before the start, such as `-P` and
    /// `{relay}/inet/name=value`; `{relay}`, `{submission}`, `{outside}` and `{reinjection}` are
    /// the names of the services.
    pub fn change(mut self, option: &str, argument: &str) -> Self {
        self.changes.push([option.to_owned(), argument.to_owned()]);
        self
    }

    /// Another text in the place of one of `conf/postfix/master.cf`.
    pub fn replaced(mut self, text: &str, by: &str) -> Self {
        self.replaced.push([text.to_owned(), by.to_owned()]);
        self
    }

    /// One more line for main.cf.
    pub fn main_cf(mut self, line: &str) -> Self {
        self.main_cf.push(line.to_owned());
        self
    }
}

/// A running instance. Stops when dropped.
#[derive(Debug)]
pub struct Postfix {
    process: Supervised,
    relay: Port,
    submission: Port,
    outside: Port,
    reinjection: Port,
    folder: tempfile::TempDir,
}

impl Postfix {
    /// Starts an instance and waits until its ports answer. Panics with its log if they do not.
    pub fn start(options: &PostfixOptions) -> Self {
        require_root();
        program("/usr/sbin/postfix");
        let folder = open_folder("postfix");
        let ports = [Port::free(), Port::free(), Port::free(), Port::free()];
        lay_out(folder.path(), options, &ports);
        let process = launch(folder.path());
        let [relay, submission, outside, reinjection] = ports;
        let mut postfix = Self {
            process,
            relay,
            submission,
            outside,
            reinjection,
            folder,
        };
        postfix.wait_for_ports();
        postfix
    }

    /// Ends it and starts it again, on the same files and ports.
    pub fn restart(&mut self) {
        self.process.stop();
        self.process = launch(self.folder.path());
        self.wait_for_ports();
    }

    fn wait_for_ports(&mut self) {
        let log = self.folder.path().join("log/mail.log");
        for port in self.ports() {
            self.process.wait_for_port(port, || read_lossy(&log));
        }
    }

    /// The folder of main.cf and master.cf.
    pub fn configuration(&self) -> PathBuf {
        self.folder.path().join("config")
    }

    /// Takes mail from 127.0.0.0/8 for anywhere, without a login.
    pub fn relay_port(&self) -> u16 {
        self.relay.number()
    }

    /// The submission service of `conf/postfix/master.cf`, without TLS: wants a login.
    pub fn submission_port(&self) -> u16 {
        self.submission.number()
    }

    /// Trusts nobody (`mynetworks=192.0.2.0/24`): takes mail from anywhere, but only for
    /// `inside.example`. Its `{daemon_name}` is `outside`.
    pub fn outside_port(&self) -> u16 {
        self.outside.number()
    }

    /// The service of `conf/postfix/master.cf` that takes mail back from a content filter, without
    /// the milter.
    pub fn reinjection_port(&self) -> u16 {
        self.reinjection.number()
    }

    /// Hands a message to `sendmail -t`, as a local program does: lines end in LF.
    pub fn submit(&self, envelope_from: &str, message: &[u8]) -> Output {
        let mut child = self
            .command("/usr/sbin/sendmail", "-C")
            .args(["-t", "-i", "-f", envelope_from])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("sendmail runs");
        let mut input = child.stdin.take().expect("a piped input");
        // A sendmail that refuses early says so by its status.
        std::io::Write::write_all(&mut input, message).ok();
        drop(input);
        child.wait_with_output().expect("sendmail ends")
    }

    /// Hands a message to sendmail as a content filter gives it back.
    pub fn give_back(&self, message: &Message) {
        let mut child = self
            .command("/usr/sbin/sendmail", "-C")
            .args(["-G", "-i", "-f", &message.from, "--"])
            .args(&message.to)
            .stdin(Stdio::piped())
            .spawn()
            .expect("sendmail runs");
        let mut input = child.stdin.take().expect("a piped input");
        std::io::Write::write_all(&mut input, &message.bytes).expect("sendmail takes it");
        drop(input);
        assert!(child.wait().expect("sendmail ends").success());
    }

    /// The messages in the queue, one JSON object each (`postqueue -j`).
    pub fn queue(&self) -> Vec<String> {
        let listed = self.run("/usr/sbin/postqueue", &["-j"]);
        let text = String::from_utf8_lossy(&listed.stdout);
        text.lines().map(str::to_owned).collect()
    }

    /// Tries everything in the queue at once.
    pub fn flush(&self) {
        self.run("/usr/sbin/postqueue", &["-f"]);
    }

    /// Waits until nothing is queued. Panics with the queue and the log when time is up.
    pub fn wait_for_empty_queue(&self, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        while !self.queue().is_empty() {
            assert!(
                Instant::now() < deadline,
                "the queue is not empty after {timeout:?}: {:?}\n{}",
                self.queue(),
                self.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The mail log, and what was written to standard error.
    pub fn log(&self) -> String {
        read_lossy(&self.folder.path().join("log/mail.log")) + &self.process.output()
    }

    /// Stops the instance and returns the processes that it left behind: none.
    pub fn stop(mut self) -> Vec<(u32, String)> {
        self.process.stop();
        strays(self.folder.path())
    }

    fn ports(&self) -> [u16; 4] {
        [
            &self.relay,
            &self.submission,
            &self.outside,
            &self.reinjection,
        ]
        .map(Port::number)
    }

    fn command(&self, program: &str, option: &str) -> Command {
        let mut command = Command::new(program);
        command.arg(option).arg(self.folder.path().join("config"));
        command
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Output {
        let mut command = self.command(program, "-c");
        let output = command.args(arguments).output().expect("a Postfix command");
        assert!(output.status.success(), "{command:?}: {output:?}");
        output
    }
}

impl Drop for Postfix {
    /// Shows the log where a test fails.
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The log is written by a process of its own.
            std::thread::sleep(Duration::from_millis(300));
            eprintln!("--- the log of Postfix ---\n{}", self.log());
        }
    }
}

fn launch(folder: &Path) -> Supervised {
    let mut command = Command::new("bash");
    // As `postfix start-fg` ends, but without its checks of the whole installation.
    let master = "/usr/lib/postfix/sbin/master -c \"$0\" -s";
    let script = format!("{GUARD} guard 'kill \"$daemon\"' {master}");
    command.args(["-c", &script]).arg(folder.join("config"));
    Supervised::start("Postfix", command, &folder.join("output"))
}

/// Has postconf change the files that were laid out.
fn change(folder: &Path, options: &PostfixOptions, ports: &[Port; 4]) {
    let names = ["{relay}", "{submission}", "{outside}", "{reinjection}"];
    for [option, argument] in &options.changes {
        let mut argument = argument.clone();
        for (name, port) in names.iter().zip(ports) {
            let service = format!("127.0.0.1:{}", port.number());
            argument = argument.replace(name, &service);
        }
        let mut command = Command::new("/usr/sbin/postconf");
        command
            .arg("-c")
            .arg(folder.join("config"))
            .args([option, &argument]);
        let output = command.output().expect("postconf runs");
        assert!(output.status.success(), "{command:?}: {output:?}");
    }
}

fn lay_out(folder: &Path, options: &PostfixOptions, ports: &[Port; 4]) {
    for name in ["config", "queue", "data", "log"] {
        fs::create_dir(folder.join(name)).expect("a folder");
    }
    let user = account("/etc/passwd", "postfix");
    chown(folder.join("data"), Some(user), None).expect("a folder of the user postfix");
    make_queue(&folder.join("queue"), user);
    let main = folder.join("config/main.cf");
    fs::write(&main, main_cf(folder, options)).expect("main.cf");
    fs::write(folder.join("config/master.cf"), master_cf(options, ports)).expect("master.cf");
    change(folder, options, ports);
    // Postfix waits until a new main.cf has not changed for a while: an old one starts at once.
    let main = fs::File::options().append(true).open(&main);
    let hour_ago = SystemTime::now() - Duration::from_hours(1);
    main.and_then(|main| main.set_modified(hour_ago))
        .expect("main.cf with an old date");
    // Where Debian's Postfix looks, whatever `cyrus_sasl_config_path` says; others follow that.
    let sasl = folder.join("config/sasl");
    let database = logins::make(&sasl, "smtpd.conf", &sasl, &options.logins);
    chown(database, Some(user), None).expect("a password file of the user postfix");
}

/// What `postfix start` would make.
fn make_queue(queue: &Path, user: u32) {
    let group = account("/etc/group", "postdrop");
    let make = |name: &str, mode: u32, group: Option<u32>| {
        let folder = queue.join(name);
        fs::create_dir(&folder).expect("a queue folder");
        chown(&folder, Some(user), group).expect("a queue folder of the user postfix");
        fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).expect("a mode");
    };
    for name in [
        "active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming",
    ] {
        make(name, 0o700, None);
    }
    for name in ["private", "saved", "trace"] {
        make(name, 0o700, None);
    }
    make("maildrop", 0o1730, Some(group));
    make("public", 0o2710, Some(group));
    fs::create_dir(queue.join("pid")).expect("a folder for lock files");
}

fn main_cf(folder: &Path, options: &PostfixOptions) -> String {
    let fragment = fragment("postfix/main.cf");
    assert!(
        fragment.contains(SOCKET),
        "conf/postfix/main.cf names {SOCKET}"
    );
    let base = format!(
        "compatibility_level = 3.7
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/log/mail.log
maillog_file_prefixes = {folder}
cyrus_sasl_config_path = {folder}/config/sasl
smtpd_sasl_path = smtpd
smtpd_sasl_local_domain = {realm}
smtpd_sasl_security_options = noanonymous
meta_directory = /etc/postfix
myhostname = {HOST_NAME}
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_authorized_xclient_hosts = 127.0.0.0/8
smtpd_peername_lookup = no
smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination
relay_domains = inside.example
relay_recipient_maps =
relayhost = [127.0.0.1]:{sink}
smtp_dns_support_level = disabled
smtp_host_lookup = native
smtp_tls_security_level = none
minimal_backoff_time = 1s
maximal_backoff_time = 2s
queue_run_delay = 2s
notify_classes =
",
        folder = folder.display(),
        realm = logins::REALM,
        sink = options.sink_port,
    );
    let usual = base + &fragment.replace(SOCKET, &options.milter);
    let name = |line: &str| line.split_once('=').map(|(name, _)| name.trim().to_owned());
    let extra: Vec<_> = options.main_cf.iter().map(|line| name(line)).collect();
    // Every process would warn of a setting that is there twice; a postlogd that has to do so
    // before it reads waits for itself for ever.
    let mut lines: Vec<&str> = usual.lines().collect();
    lines.retain(|line| {
        line.starts_with([' ', '#']) || name(line).is_none_or(|name| !extra.contains(&Some(name)))
    });
    lines.extend(options.main_cf.iter().map(String::as_str));
    lines.join("\n") + "\n"
}

fn master_cf(options: &PostfixOptions, ports: &[Port; 4]) -> String {
    let [relay, submission, outside, reinjection] = ports.each_ref().map(Port::number);
    let base = format!(
        "127.0.0.1:{relay} inet n - n - - smtpd
127.0.0.1:{outside} inet n - n - - smtpd
  -o mynetworks=192.0.2.0/24
  -o milter_macro_daemon_name=outside
postlog   unix-dgram n - n - 1 postlogd
pickup    unix n - n 1 1 pickup
cleanup   unix n - n - 0 cleanup
qmgr      unix n - n 300 1 qmgr
rewrite   unix - - n - - trivial-rewrite
bounce    unix - - n - 0 bounce
defer     unix - - n - 0 bounce
trace     unix - - n - 0 bounce
flush     unix n - n 1000? 0 flush
proxymap  unix - - n - - proxymap
smtp      unix - - n - - smtp
relay     unix - - n - - smtp
showq     unix n - n - - showq
error     unix - - n - - error
retry     unix - - n - - error
discard   unix - - n - - discard
local     unix - n n - - local
anvil     unix - - n - 1 anvil
"
    );
    let mut services = fragment("postfix/master.cf");
    for [text, by] in &options.replaced {
        assert!(services.contains(text), "conf/postfix/master.cf has {text}");
        services = services.replace(text, by);
    }
    let services = services
        .replace("submission  inet", &format!("127.0.0.1:{submission} inet"))
        .replace("127.0.0.1:10025", &format!("127.0.0.1:{reinjection}"))
        .replace(
            "smtpd_tls_security_level=encrypt",
            "smtpd_tls_security_level=none",
        )
        .replace("smtpd_tls_auth_only=yes", "smtpd_tls_auth_only=no");
    base + &with_submission_milter(services, options)
}

/// The services, with the line that `conf/postfix/master.cf` has for a listener of submission.
fn with_submission_milter(services: String, options: &PostfixOptions) -> String {
    let line = "  -o smtpd_milters=unix:zegel/submission.sock\n";
    assert!(services.contains(line), "conf/postfix/master.cf has {line}");
    let Some(milter) = &options.submission_milter else {
        return services;
    };
    let login = "  -o smtpd_sasl_auth_enable=yes\n";
    services.replace(login, &format!("{login}  -o smtpd_milters={milter}\n"))
}

/// The number of a user or group in `/etc/passwd` or `/etc/group`.
fn account(file: &str, name: &str) -> u32 {
    let accounts = read_lossy(Path::new(file));
    let mut entries = accounts
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>());
    let entry = entries.find(|fields| fields[0] == name);
    entry
        .and_then(|fields| fields.get(2)?.parse().ok())
        .unwrap_or_else(|| panic!("no {name} in {file}: run tests/install-packages as root"))
}
