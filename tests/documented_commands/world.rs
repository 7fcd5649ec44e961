//! A host of its own for each page, below a temporary folder: a command names `/etc/zegel`, and
//! meets the `etc/zegel` of that folder. What is said back has the names of the page.
//!
//! In `bin/`, which is the first place where commands are looked for, are those that would
//! change the real host: see [`stand_ins`](super::stand_ins).

use std::{
    cell::RefCell,
    fmt::Write as _,
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;

use super::{
    stand_ins::STAND_INS,
    support::{
        checkout,
        name_world::World as Names,
        open_folder,
        port::Port,
        process::{GUARD, Supervised},
    },
};

const ORGANISATION: &str = "name    = \"Gemeente Voorbeeld\"\n\
    domains = [\"voorbeeld.example\", \"nieuws.voorbeeld.example\"]\n";
const MESSAGE: &str = "From: Een <een@voorbeeld.example>\nTo: twee@example.com\nSubject: hoi\n\
    Date: Sun, 22 Nov 2026 10:00:00 +0100\nMessage-ID: <1@voorbeeld.example>\n\nDag.\n";
/// The folders that commands name. Each is below the folder of the world.
const FOLDERS: [&str; 4] = ["/etc/", "/var/", "/run/", "/usr/bin/zegel"];
/// Of records and of negative answers, in seconds.
const TTL: u32 = 1;

/// What a command did.
pub(crate) struct Done {
    pub(crate) status: i32,
    /// What it said, in the order in which it said it.
    pub(crate) said: String,
}

pub(crate) struct World {
    folder: tempfile::TempDir,
    names: Option<Names>,
    http: Port,
    signer: RefCell<Option<Supervised>>,
}

impl World {
    /// One organisation, and no key. With name servers, if the page needs them.
    pub(crate) fn new(with_names: bool) -> Self {
        let names = with_names.then(|| {
            let names = Names::of_two_primaries();
            names.set_ttl(TTL);
            names
        });
        let world = Self {
            folder: open_folder("page"),
            names,
            http: Port::free(),
            signer: RefCell::default(),
        };
        for folder in [
            "bin",
            "root",
            "run/zegel",
            "usr/bin",
            "etc/zegel/orgs.d",
            "etc/mail",
            "etc/postfix",
            "etc/systemd/system",
            "var/spool/postfix",
            "var/lib/zegel/keys",
            "relay2/etc",
            "relay2/var/lib/zegel/keys",
        ] {
            fs::create_dir_all(world.path(folder)).unwrap();
        }
        for keys in ["var/lib/zegel/keys", "relay2/var/lib/zegel/keys"] {
            fs::set_permissions(world.path(keys), fs::Permissions::from_mode(0o700)).unwrap();
        }
        fs::copy(
            checkout().join("conf/zegel.toml"),
            world.path("etc/zegel/zegel.toml"),
        )
        .unwrap();
        world.write("etc/zegel/orgs.d/gemeente-voorbeeld.toml", ORGANISATION);
        world.write("etc/postfix/main.cf", "compatibility_level = 3.6\n");
        world.write("etc/postfix/master.cf", MASTER);
        world.write("root/message.eml", MESSAGE);
        world.lay_out_checkout();
        world.write_stand_ins();
        world
    }

    /// Commands are given in a checkout; what they write there is not written into this one.
    fn lay_out_checkout(&self) {
        for name in ["conf", "systemd", "tests", "examples"] {
            symlink(checkout().join(name), self.path("root").join(name)).unwrap();
        }
        let binary = format!("#!/bin/sh\nexec {} \"$@\"\n", env!("CARGO_BIN_EXE_zegel"));
        fs::create_dir_all(self.path("root/target/release")).unwrap();
        for place in ["root/target/release/zegel", "bin/zegel"] {
            self.write_program(place, &binary);
        }
    }

    fn write_stand_ins(&self) {
        for (name, _, script) in STAND_INS {
            let script = script.replace("CHECKOUT", &checkout().display().to_string());
            let script = script.replace("ROOT", &self.root());
            self.write_program(
                &format!("bin/{name}"),
                &format!("#!/bin/bash\nset -eu\n{script}\n"),
            );
        }
    }

    /// By a process of its own: a file that this one has open for writing may be inherited by a
    /// command that another page starts at that moment, and could not be executed until then.
    fn write_program(&self, place: &str, script: &str) {
        self.write("script", script);
        let installed = Command::new("/usr/bin/install")
            .args(["-m", "755"])
            .args([self.path("script"), self.path(place)])
            .status();
        assert!(installed.unwrap().success(), "{place}");
    }

    fn write(&self, place: &str, text: &str) {
        fs::write(self.path(place), text).unwrap();
    }

    fn path(&self, place: &str) -> PathBuf {
        self.folder.path().join(place)
    }

    fn root(&self) -> String {
        self.folder.path().display().to_string()
    }

    /// Gives a line to bash.
    pub(crate) fn run(&self, command: &str) -> Done {
        let script = format!("exec 2>&1\n{}", self.inward(command));
        let output = self
            .command("bash")
            .args(["-c", &script])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        Done {
            status: output.status.code().expect("no signal ended it"),
            said: said.replace(&self.root(), ""),
        }
    }

    /// What happens between two commands: `publish ORG`, `signer`, or a line for bash.
    /// Gives what went wrong.
    pub(crate) fn happen(&self, what: &str) -> Option<String> {
        if what == "signer" {
            self.start_signer_of("var/lib/zegel/keys");
        } else if let Some(organisation) = what.strip_prefix("publish ") {
            self.publish(organisation);
        } else {
            let done = self.run(what);
            return (done.status != 0).then_some(done.said);
        }
        None
    }

    /// Where that signer listens.
    pub(crate) fn milter(&self) -> String {
        format!("unix:{}", self.path("run/relay.sock").display())
    }

    /// Where commands are given, and what is different there.
    fn command(&self, program: impl AsRef<Path>) -> Command {
        let path = format!("{}/bin:/usr/sbin:/usr/bin:/sbin:/bin", self.root());
        let resolver = self.names.as_ref().map_or_else(
            // Nobody listens there, and the system says so at once.
            || "127.0.0.1:1".to_owned(),
            |names| names.resolver.address().to_string(),
        );
        let listen = format!("127.0.0.1:{}", self.http.number());
        let mut command = Command::new(program.as_ref());
        command
            .current_dir(self.path("root"))
            .env("PATH", path)
            .env("ZEGEL_CONFIG", self.path("etc/zegel/zegel.toml"))
            .env("ZEGEL__KEYSTORE__PATH", self.path("var/lib/zegel/keys"))
            .env("ZEGEL__KEEPER__RESOLVERS", resolver)
            .env("ZEGEL__KEEPER__SETTLE", "1s")
            // No keeper runs here.
            .env("ZEGEL__KEEPER__HTTP", "off")
            // Its name servers are on this host.
            .env("ZEGEL__KEEPER__LOCAL_SERVERS", "true")
            .env("ZEGEL__KEEPER__RELAY_ADDRESSES", "192.0.2.25")
            .env("ZEGEL__HTTP__LISTEN", listen);
        command
    }

    /// The signer over this keystore, with a socket of its own.
    pub(crate) fn start_signer_of(&self, keystore: &str) {
        let settings = fs::read_to_string(self.path("etc/zegel/zegel.toml")).unwrap();
        let socket = format!("socket = \"{}\"", self.milter());
        let line = |line: &str| {
            let is_socket = line.starts_with("socket = ");
            let line = if is_socket { &socket } else { line };
            format!("{line}\n")
        };
        let settings: String = settings.lines().map(line).collect();
        self.write("etc/zegel/signer.toml", &settings);
        let mut command = self.command("bash");
        let binary = env!("CARGO_BIN_EXE_zegel");
        command.arg("-c");
        command.arg(format!("{GUARD} guard 'kill \"$daemon\"' {binary} run"));
        command.env("ZEGEL_CONFIG", self.path("etc/zegel/signer.toml"));
        command.env("ZEGEL__KEYSTORE__PATH", self.path(keystore));
        let output = self.path("run/output");
        let mut signer = Supervised::start("the signer", command, &output);
        let log = || fs::read_to_string(&output).unwrap_or_default();
        signer.wait_for_port(self.http.number(), log);
        self.signer.replace(Some(signer));
    }

    /// The DNS administrator does what the hand-over pack says, in every zone.
    fn publish(&self, organisation: &str) {
        let names = self.names.as_ref().expect("a page with name servers");
        let done = self.run(&format!("zegel dns records {organisation} --format json"));
        let pack: Value = serde_json::from_str(&done.said).expect(&done.said);
        let mut zones = String::new();
        for domain in pack["domains"].as_array().unwrap() {
            for key in domain["keys"].as_array().unwrap() {
                let line = key["record"]["zone_line"].as_str();
                let strings = key["record"]["strings"].as_array();
                let (Some(_), Some(strings)) = (line, strings) else {
                    continue;
                };
                let strings = strings.iter().map(ToString::to_string);
                let strings: Vec<String> = strings.collect();
                let name = key["name"].as_str().unwrap();
                writeln!(zones, "{name}. TXT {}", strings.join(" ")).unwrap();
            }
            let name = domain["domain"].as_str().unwrap();
            write!(
                zones,
                "{name}. TXT \"v=spf1 ip4:192.0.2.0/24 -all\"\n\
                 _dmarc.{name}. TXT \"v=DMARC1; p=reject; rua=mailto:d@voorbeeld.example\"\n"
            )
            .unwrap();
        }
        names.set_both("voorbeeld.example", &zones);
    }

    /// With the paths of this world.
    fn inward(&self, command: &str) -> String {
        let root = self.root();
        let mut text = command.replace("relay2:/", &format!("relay2:{root}/relay2/"));
        for folder in FOLDERS {
            let mut inward = String::new();
            let mut before = None;
            let mut rest = text.as_str();
            while let Some(place) = rest.find(folder) {
                let (head, tail) = rest.split_at(place);
                before = head.chars().last().or(before);
                inward.push_str(head);
                // Not in the middle of a path, nor where it has been done.
                if before.is_none_or(|letter| " \n'\"=:>|`".contains(letter)) {
                    inward.push_str(&root);
                }
                inward.push_str(folder);
                before = folder.chars().last();
                rest = &tail[folder.len()..];
            }
            inward.push_str(rest);
            text = inward;
        }
        text
    }
}

const MASTER: &str = "\
smtp      inet  n       -       y       -       -       smtpd
submission inet n       -       y       -       -       smtpd
cleanup   unix  n       -       y       -       0       cleanup
smtp      unix  -       -       y       -       -       smtp
";
