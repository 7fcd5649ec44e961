//! DMARC reports on their way from a real MTA into the store, as a user who can read no key. A
//! disk that is full loses none.

mod support;

use std::{
    fs,
    io::Write,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use flate2::{Compression, write::GzEncoder};
use jiff::Timestamp;
use serde_json::Value;
use support::{
    checkout, fragment, open_folder,
    port::Port,
    postfix::{Postfix, PostfixOptions},
    process::{GUARD, Supervised, program, read_lossy},
    require_root,
    sendmail::{Sendmail, SendmailOptions},
    sink::Sink,
    smtp::{Client, Message},
    stage::wait_until,
    zegel::{Org, Zegel},
};
use zegel::keystore::Keystore;

const TIMEOUT: Duration = Duration::from_mins(1);
/// Debian's nobody and nogroup, in the place of zegel-reports.
const USER: u32 = 65_534;
const AS_USER: [&str; 4] = [
    "setpriv",
    "--reuid=65534",
    "--regid=65534",
    "--clear-groups",
];
const ADDRESS: &str = "dmarc@reports.relay.example";
/// Set in the process that has mounts of its own.
const MOUNTS: &str = "ZEGEL_TEST_MOUNTS";

/// A configuration, a keystore of root, and a store and a Maildir of the other user.
struct World {
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        require_root();
        let world = Self {
            folder: open_folder("reports"),
        };
        fs::create_dir(world.path("orgs.d")).expect("a folder");
        let organisation = "name = \"Gemeente Voorbeeld\"\ndomains = [\"voorbeeld.nl\"]\n";
        fs::write(world.path("orgs.d/voorbeeld.toml"), organisation).expect("an organisation");
        let settings = format!(
            "[keystore]\npath = \"{0}/keys\"\n[reports]\nstate = \"{0}/state\"\n\
             maildir = \"{0}/mail/Maildir\"\n",
            world.folder.path().display()
        );
        fs::write(world.path("zegel.toml"), settings).expect("zegel.toml");
        // Where any user may run it.
        fs::copy(env!("CARGO_BIN_EXE_zegel"), world.path("zegel")).expect("the program");
        Keystore::create(&world.path("keys")).expect("a keystore");
        let key = checkout().join("tests/fixtures/keys/unsafe-rsa2048-pkcs8.pem");
        let key = key.to_str().expect("a path in UTF-8");
        let import = ["key", "import", "voorbeeld", key, "--selector", "s1"];
        world.good(&[&import[..], &["--assume-published"]].concat());
        for name in ["state", "mail"] {
            fs::create_dir(world.path(name)).expect("a folder");
            world.hand_over(name);
        }
        world
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    fn hand_over(&self, name: &str) {
        let mode = fs::Permissions::from_mode(0o750);
        chown(self.path(name), Some(USER), Some(USER)).expect("another owner");
        fs::set_permissions(self.path(name), mode).expect("a mode");
    }

    /// The command as the program that runs it for an MTA has it.
    fn program(&self) -> String {
        let folder = self.folder.path().display();
        format!("{folder}/zegel --config {folder}/zegel.toml")
    }

    /// Run by root, or through the words in front.
    fn run(&self, front: &[&str], arguments: &[&str]) -> Output {
        let program = self.program();
        let words = front.iter().copied().chain(program.split(' '));
        let words: Vec<&str> = words.chain(arguments.iter().copied()).collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).current_dir("/");
        command.output().expect("a command")
    }

    #[track_caller]
    fn good(&self, arguments: &[&str]) -> String {
        let output = self.run(&[], arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// The messages that reports tell of; none as long as there is no report.
    fn messages(&self) -> Option<u64> {
        let output = self.run(&[], &["report", "streams", "voorbeeld.nl", "--json"]);
        let document: Value = serde_json::from_slice(&output.stdout).ok()?;
        document["messages"].as_u64()
    }

    fn wait_for_messages(&self, messages: u64) {
        wait_until("the reports are in the store", || {
            self.messages() == Some(messages)
        });
    }

    /// Everything in the store is of the other user, who can read nothing of the keystore.
    fn assert_apart(&self) {
        for path in everything(&self.path("state")) {
            let found = fs::symlink_metadata(&path).expect("a file");
            assert_eq!(
                (found.uid(), found.gid()),
                (USER, USER),
                "{}",
                path.display()
            );
        }
        let key = self.path("keys/voorbeeld/s1.pem");
        assert!(fs::read(&key).is_ok());
        for (program, path) in [("cat", key), ("ls", self.path("keys"))] {
            let mut command = Command::new(AS_USER[0]);
            command.args(&AS_USER[1..]).arg(program).arg(path);
            let output = command.output().expect("a command");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(said.contains("Permission denied"), "{output:?}");
        }
    }

    /// A Postfix that hands reports on as `conf/postfix` says, with other lines of main.cf.
    fn postfix(&self, sink: &Sink, transports: &str, lines: &str) -> Postfix {
        fs::write(self.path("zegel-reports"), transports).expect("a transport map");
        let map = format!("texthash:{}", self.path("zegel-reports").display());
        let mut options = PostfixOptions::new("inet:127.0.0.1:1", sink.port())
            .replaced("user=zegel-reports", "user=nobody:nogroup")
            .replaced("/usr/bin/zegel", &self.program())
            .change("-M", "virtual/unix=virtual unix - n n - - virtual")
            .main_cf("smtpd_milters =")
            .main_cf("relay_domains = reports.relay.example")
            .main_cf(&format!("relay_recipient_maps = {map}"))
            .main_cf(&format!("transport_maps = {map}"));
        for line in lines.lines() {
            options = options.main_cf(line);
        }
        Postfix::start(&options)
    }
}

fn everything(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![folder.to_owned()];
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(everything(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// A message with a report of yesterday as receivers send it, about seven messages.
fn report(id: &str) -> Message {
    let begin = (Timestamp::now().as_second() / 86_400 - 1) * 86_400;
    let end = begin + 86_399;
    let xml = format!(
        "<?xml version=\"1.0\"?><feedback><report_metadata><org_name>reporter.example</org_name>\
         <report_id>{id}</report_id><date_range><begin>{begin}</begin><end>{end}</end>\
         </date_range></report_metadata><policy_published><domain>voorbeeld.nl</domain><p>none</p>\
         </policy_published><record><row><source_ip>192.0.2.1</source_ip><count>7</count>\
         <policy_evaluated><disposition>none</disposition><dkim>pass</dkim><spf>fail</spf>\
         </policy_evaluated></row><identifiers><header_from>voorbeeld.nl</header_from>\
         </identifiers><auth_results><dkim><domain>voorbeeld.nl</domain><selector>s1</selector>\
         <result>pass</result></dkim></auth_results></record></feedback>"
    );
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(xml.as_bytes()).expect("memory");
    let packed = STANDARD.encode(packed.finish().expect("memory"));
    let lines: Vec<&str> = packed
        .as_bytes()
        .chunks(76)
        .map(|line| std::str::from_utf8(line).expect("base64"))
        .collect();
    let name = format!("reporter.example!voorbeeld.nl!{begin}!{end}.xml.gz");
    let text = format!(
        "From: noreply@reporter.example\r\nTo: {ADDRESS}\r\nMIME-Version: 1.0\r\n\
         Subject: Report Domain: voorbeeld.nl Submitter: reporter.example Report-ID: {id}\r\n\
         Content-Type: application/gzip; name=\"{name}\"\r\n\
         Content-Disposition: attachment; filename=\"{name}\"\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n{}\r\n",
        lines.join("\r\n")
    );
    Message::new("noreply@reporter.example", ADDRESS, text)
}

fn rubbish() -> Message {
    let text = format!("From: a@b.example\r\nTo: {ADDRESS}\r\nSubject: hello\r\n\r\nno report\r\n");
    Message::new("a@b.example", ADDRESS, text)
}

fn send(port: u16, messages: &[Message]) {
    let mut client = Client::greeted(port);
    for message in messages {
        client.send(message).expect_accepted();
    }
}

fn notes(world: &World) -> usize {
    let files = everything(&world.path("state/refused"));
    let is_note = |path: &&PathBuf| path.extension().is_some_and(|end| end == "json");
    files.iter().filter(is_note).count()
}

#[test]
fn postfix_gives_reports_to_a_user_who_can_read_no_key() {
    let world = World::new();
    let sink = Sink::start();
    let postfix = world.postfix(&sink, &fragment("postfix/zegel-reports"), "");
    send(
        postfix.relay_port(),
        &[report("1"), rubbish(), report("2"), report("2")],
    );
    postfix.wait_for_empty_queue(TIMEOUT);
    assert_eq!(world.messages(), Some(14));
    // What is refused is put aside, and nobody hears of it.
    assert_eq!(notes(&world), 1);
    assert!(sink.received().is_empty(), "{:?}", sink.received());
    world.assert_apart();
    let log = postfix.log();
    assert!(log.contains("status=sent (delivered via zegel-reports service)"));
    // What root says of a stream is no hindrance.
    let name = ["report", "name", "voorbeeld.nl", "forwarding", "--as"];
    world.good(&[&name[..], &["forwarding"]].concat());
    world.good(&["report", "forget", "--before", "2020-01-01"]);
    send(postfix.relay_port(), &[report("3")]);
    postfix.wait_for_empty_queue(TIMEOUT);
    assert_eq!(world.messages(), Some(21));
    world.assert_apart();
}

#[test]
fn postfix_fills_a_maildir_that_is_emptied_by_a_user_who_can_read_no_key() {
    let world = World::new();
    let sink = Sink::start();
    let postfix = world.postfix(
        &sink,
        &format!("{ADDRESS} virtual:\n"),
        &format!(
            "virtual_mailbox_base = {}\nvirtual_mailbox_maps = inline:{{ {ADDRESS}=Maildir/ }}\n\
             virtual_uid_maps = static:{USER}\nvirtual_gid_maps = static:{USER}\n",
            world.path("mail").display(),
        ),
    );
    send(postfix.relay_port(), &[report("1"), rubbish(), report("2")]);
    postfix.wait_for_empty_queue(TIMEOUT);
    let new = world.path("mail/Maildir/new");
    assert_eq!(fs::read_dir(&new).expect("a Maildir").count(), 3);
    let empty = world.run(&AS_USER, &["report", "ingest", "--maildir"]);
    assert_eq!(empty.status.code(), Some(0), "{empty:?}");
    assert_eq!(fs::read_dir(&new).expect("a Maildir").count(), 0);
    assert_eq!(world.messages(), Some(14));
    assert_eq!(notes(&world), 1);
    world.assert_apart();
}

/// The disk of the store is full: Postfix keeps what comes, and so does the Maildir.
#[test]
fn a_full_disk_loses_no_report() {
    if std::env::var_os(MOUNTS).is_none() {
        let this = std::env::current_exe().expect("this program");
        let status = Command::new("unshare")
            .args(["--mount", "--propagation", "private"])
            .arg(this)
            .args(["--exact", "a_full_disk_loses_no_report", "--nocapture"])
            .env(MOUNTS, "1")
            .status();
        assert!(status.expect("unshare").success());
        return;
    }
    let world = World::new();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"])
        .arg(world.path("state"))
        .status();
    assert!(mounted.expect("mount").success());
    world.hand_over("state");
    let sink = Sink::start();
    let postfix = world.postfix(&sink, &fragment("postfix/zegel-reports"), "");
    send(postfix.relay_port(), &[report("1")]);
    postfix.wait_for_empty_queue(TIMEOUT);
    assert_eq!(world.messages(), Some(7));
    let key = world.path("state/reports.sqlite");
    let before = fs::metadata(&key).expect("the store").len();

    fill(&world.path("state/filler"));
    send(postfix.relay_port(), &[report("2"), rubbish(), report("3")]);
    wait_until("Postfix has tried each", || {
        postfix.log().matches("status=deferred").count() >= 3
    });
    assert_eq!(postfix.queue().len(), 3, "{:?}", postfix.queue());
    assert!(postfix.log().contains("dsn=4.3.0"));
    for name in ["cur", "new", "tmp"] {
        fs::create_dir_all(world.path("mail/Maildir").join(name)).expect("a Maildir");
    }
    let letter = world.path("mail/Maildir/new/1");
    fs::write(&letter, report("4").bytes).expect("a letter");
    for path in everything(&world.path("mail")) {
        chown(path, Some(USER), Some(USER)).expect("another owner");
    }
    let full = world.run(&AS_USER, &["report", "ingest", "--maildir"]);
    assert_eq!(full.status.code(), Some(75), "{full:?}");
    assert!(letter.exists());
    // What is there can be read meanwhile, and nothing is there by half.
    assert_eq!(world.messages(), Some(7));
    assert_eq!(fs::metadata(&key).expect("the store").len(), before);

    fs::remove_file(world.path("state/filler")).expect("room");
    let room = world.run(&AS_USER, &["report", "ingest", "--maildir"]);
    assert_eq!(room.status.code(), Some(0), "{room:?}");
    assert!(!letter.exists());
    postfix.flush();
    postfix.wait_for_empty_queue(TIMEOUT);
    assert_eq!(world.messages(), Some(28));
    assert_eq!(notes(&world), 1);
    assert!(sink.received().is_empty(), "{:?}", sink.received());
    world.assert_apart();
}

/// Takes all room of the disk.
fn fill(path: &Path) {
    let mut filler = fs::File::create(path).expect("a file");
    while filler.write_all(&[0; 4096]).is_ok() {}
}

#[test]
fn sendmail_gives_reports_to_a_user_who_can_read_no_key() {
    let world = World::new();
    let sink = Sink::start();
    let mailer = fragment("sendmail/zegel-reports.mc");
    let program = world.program();
    let changes = [
        ("U=zegel-reports:zegel-reports", "U=nobody:nogroup"),
        ("/usr/bin/zegel", program.as_str()),
    ];
    let mailer = with(mailer, &changes);
    let table = world.path("mailertable");
    fs::write(&table, "reports.relay.example\tzegel-reports:dmarc\n").expect("a table");
    // Below /tmp, and in no database.
    let table = format!(
        "FEATURE(`mailertable', `text -k0 -v1 {}')dnl",
        table.display()
    );
    let zegel = Zegel::start(&[Org::new("anders", &["anders.example"])]);
    let options = SendmailOptions::new(zegel.milter(), sink.port())
        .mc("RELAY_DOMAIN(`127')dnl")
        .mc("define(`confDONT_BLAME_SENDMAIL', `MapInUnsafeDirPath')dnl")
        .mc(&table)
        .last(&mailer);
    let sendmail = Sendmail::start(&options);
    send(
        sendmail.relay_port(),
        &[report("1"), rubbish(), report("2")],
    );
    world.wait_for_messages(14);
    wait_until("the queue is empty", || sendmail.queue().is_empty());
    assert_eq!(notes(&world), 1);
    world.assert_apart();
    // A store that cannot be written: Sendmail keeps the message and tries again.
    chown(world.path("state"), Some(0), Some(0)).expect("root");
    send(sendmail.relay_port(), &[report("3")]);
    wait_until("Sendmail has tried", || {
        sendmail.log().contains("stat=Deferred")
    });
    assert_eq!(sendmail.queue().len(), 1);
    world.hand_over("state");
    world.wait_for_messages(21);
    world.assert_apart();
}

/// A Dovecot with mailboxes of the other user, of which each has two messages.
struct Dovecot {
    process: Supervised,
    port: Port,
}

impl Dovecot {
    fn start(world: &World, users: &[&str]) -> Self {
        let port = Port::free();
        let folder = world.path("imap");
        for user in users {
            let new = folder.join("mail").join(user).join("new");
            fs::create_dir_all(&new).expect("a mailbox");
            for number in ["1", "2"] {
                let id = format!("{user}-{number}");
                fs::write(new.join(number), report(&id).bytes).expect("a message");
            }
        }
        for path in everything(&folder.join("mail")) {
            chown(path, Some(USER), Some(USER)).expect("another owner");
        }
        let folder = folder.display();
        let settings = format!(
            "base_dir = {folder}/run\nstate_dir = {folder}/state\nlog_path = /dev/stderr\n\
             protocols = imap\nlisten = 127.0.0.1\nssl = no\ndisable_plaintext_auth = no\n\
             mail_location = maildir:{folder}/mail/%n\nfirst_valid_uid = 1\n\
             service imap-login {{\n inet_listener imap {{\n port = {}\n }}\n\
             inet_listener imaps {{\n port = 0\n }}\n}}\n\
             passdb {{\n driver = static\n args = password=geheim\n}}\n\
             userdb {{\n driver = static\n args = uid={USER} gid={USER} home={folder}/mail/%n\n}}\n",
            port.number()
        );
        let file = world.path("dovecot.conf");
        fs::write(&file, settings).expect("dovecot.conf");
        program("/usr/sbin/dovecot");
        let mut command = Command::new("bash");
        let script = format!("{GUARD} guard 'kill \"$daemon\"' dovecot -F -c \"$0\"");
        command.args(["-c", &script]).arg(&file);
        let output = world.path("dovecot.output");
        let mut process = Supervised::start("Dovecot", command, &output);
        process.wait_for_port(port.number(), || read_lossy(&output));
        Self { process, port }
    }
}

/// The block of `docs/reports.md` that has this text.
fn shown(text: &str) -> String {
    let page = fs::read_to_string(checkout().join("docs/reports.md")).expect("the page");
    let mut blocks = page.split("```ini\n").skip(1);
    let block = blocks.find_map(|rest| {
        let (block, _) = rest.split_once("```")?;
        block.contains(text).then(|| block.to_owned())
    });
    block.unwrap_or_else(|| panic!("docs/reports.md shows {text}"))
}

/// The text with others in the place of some, each of which must be there.
fn with(mut text: String, changes: &[(&str, &str)]) -> String {
    for (one, other) in changes {
        assert!(text.contains(one), "{one} is in {text}");
        text = text.replace(one, other);
    }
    text
}

/// What the page shows of mbsync and getmail, but for TLS, works on a real IMAP server.
#[test]
fn fetchers_fill_the_maildir_as_the_page_shows() {
    let world = World::new();
    let dovecot = Dovecot::start(&world, &["mbsync", "getmail"]);
    let maildir = world.path("mail/Maildir");
    for name in ["cur", "new", "tmp"] {
        fs::create_dir_all(maildir.join(name)).expect("a Maildir");
    }
    fs::create_dir(world.path("mail/.getmail")).expect("a folder");
    let port = dovecot.port.number().to_string();
    let password = world.path("password").display().to_string();
    fs::write(&password, "geheim\n").expect("a password");
    let maildir = maildir.display().to_string();
    let usual = [
        ("imap.relay.example", "127.0.0.1"),
        ("/etc/zegel-reports.password", password.as_str()),
        ("/var/lib/zegel/reports/Maildir", maildir.as_str()),
    ];
    let mbsync = with(shown("IMAPAccount"), &usual);
    let plain = format!("SSLType None\nAuthMechs LOGIN\nPort {port}\n");
    let changes = [("SSLType IMAPS\n", plain.as_str()), ("dmarc@", "mbsync@")];
    fs::write(world.path("mail/.mbsyncrc"), with(mbsync, &changes)).expect("a file");
    let getmail = with(shown("[retriever]"), &usual);
    let plain = format!("type = SimpleIMAPRetriever\nport = {port}\n");
    let changes = [
        ("type = SimpleIMAPSSLRetriever\n", plain.as_str()),
        ("dmarc@", "getmail@"),
    ];
    fs::write(
        world.path("mail/.getmail/getmailrc"),
        with(getmail, &changes),
    )
    .expect("a file");
    for path in everything(&world.path("mail")) {
        chown(path, Some(USER), Some(USER)).expect("another owner");
    }
    let fetch = |arguments: &[&str]| {
        let mut command = Command::new(AS_USER[0]);
        command
            .args(&AS_USER[1..])
            .args(arguments)
            .current_dir("/")
            .env("HOME", world.path("mail"));
        let output = command.output().expect("a fetcher");
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    };
    let empty = || world.run(&AS_USER, &["report", "ingest", "--maildir"]);
    // mbsync deletes with the next run what has been read.
    for messages in [14, 14] {
        fetch(&["mbsync", "reports"]);
        assert_eq!(empty().status.code(), Some(0));
        assert_eq!(world.messages(), Some(messages));
    }
    fetch(&["getmail"]);
    assert_eq!(empty().status.code(), Some(0));
    assert_eq!(world.messages(), Some(28));
    for user in ["mbsync", "getmail"] {
        let mailbox = world.path("imap/mail").join(user);
        let is_message = |path: &PathBuf| {
            let above = path.parent().and_then(Path::file_name);
            path.is_file() && above.is_some_and(|name| name == "new" || name == "cur")
        };
        let left: Vec<_> = everything(&mailbox)
            .into_iter()
            .filter(is_message)
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
    drop(dovecot.process);
}
