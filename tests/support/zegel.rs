//! The real signer: the built binary with a configuration and a keystore of its own.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;

use jiff::Timestamp;
use zegel::dkim::{Algorithm, key::generate_pem};
use zegel::keys::State;
use zegel::keystore::{Keystore, Target};
use zegel::names::{DomainName, OrganisationId, Selector};

use super::open_folder;
use super::port::Port;
use super::process::{GUARD, Supervised, read_lossy};
use super::sandbox;
use super::verifiers::Records;

/// With this in the environment the keys of all signers lie sealed.
const SEALED: &str = "ZEGEL_TEST_SEALED";
/// The file of the sealing key, in the folder of a signer.
const SEALING_KEY: &str = "sealing.key";

/// An organisation as a test wants it.
#[derive(Clone, Debug)]
pub struct Org {
    id: String,
    domains: Vec<String>,
    parked: Vec<String>,
    algorithms: Vec<Algorithm>,
    /// Further lines of its file.
    more: String,
    keys: Keys,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Keys {
    Active,
    Lost,
    None,
}

impl Org {
    /// With an RSA key in use for all `domains`.
    pub fn new(id: &str, domains: &[&str]) -> Self {
        Self {
            id: id.to_owned(),
            domains: domains.iter().map(|&domain| domain.to_owned()).collect(),
            parked: Vec::new(),
            algorithms: vec![Algorithm::RsaSha256],
            more: String::new(),
            keys: Keys::Active,
        }
    }

    /// With an Ed25519 key besides.
    pub fn signing_twice(mut self) -> Self {
        self.algorithms.push(Algorithm::Ed25519Sha256);
        self
    }

    /// With keys of this algorithm alone.
    pub fn signing_by(mut self, algorithm: Algorithm) -> Self {
        self.algorithms = vec![algorithm];
        self
    }

    /// Without any key yet.
    pub fn without_keys(mut self) -> Self {
        self.keys = Keys::None;
        self
    }

    /// With keys in use whose files are gone.
    pub fn with_lost_keys(mut self) -> Self {
        self.keys = Keys::Lost;
        self
    }

    /// With domains that never send.
    pub fn parked(mut self, domains: &[&str]) -> Self {
        self.parked = domains.iter().map(|&domain| domain.to_owned()).collect();
        self
    }

    /// With further lines in its file, such as `[senders]`.
    pub fn more(mut self, lines: &str) -> Self {
        self.more.push_str(lines);
        self.more.push('\n');
        self
    }

    fn file(&self) -> String {
        let names: Vec<&str> = self.algorithms.iter().map(|one| one.as_str()).collect();
        format!(
            "name = \"{}\"\ndomains = {:?}\nparked = {:?}\nalgorithms = {names:?}\n{}",
            self.id, self.domains, self.parked, self.more
        )
    }
}

/// A signer at work, with one listener `relay` on a unix socket unless its settings say other.
#[derive(Debug)]
pub struct Zegel {
    process: Option<Supervised>,
    folder: tempfile::TempDir,
    http: Port,
}

impl Zegel {
    /// With the usual listener, for all mail that is authenticated or from loopback.
    pub fn start(orgs: &[Org]) -> Self {
        Self::with_settings(orgs, "")
    }

    /// With further lines of `zegel.toml`. `{folder}` in them is the folder of this signer;
    /// the usual listener is left out when they have listeners of their own, and so is the
    /// usual address of the pages (`{folder}/run/http.sock` is the other one).
    pub fn with_settings(orgs: &[Org], settings: &str) -> Self {
        let mut zegel = Self::prepared(orgs, settings);
        zegel.launch();
        zegel
    }

    /// Everything in place but the process.
    pub fn prepared(orgs: &[Org], settings: &str) -> Self {
        let folder = open_folder("signer");
        let zegel = Self {
            process: None,
            folder,
            http: Port::free(),
        };
        fs::create_dir(zegel.path("orgs.d")).expect("a folder for organisations");
        Keystore::create(&zegel.path("keys")).expect("a keystore");
        if std::env::var_os(SEALED).is_some() {
            zegel.make_sealing_key();
        }
        zegel.write_settings(settings);
        for org in orgs {
            zegel.add(org);
        }
        zegel
    }

    /// Starts the process and waits until it is ready.
    pub fn launch(&mut self) {
        self.launch_by(&[]);
    }

    /// The same, through a program that becomes the signer, such as `env NAME=VALUE`.
    pub fn launch_by(&mut self, prefix: &[&str]) {
        self.launch_until(prefix, "200 OK");
    }

    /// Starts a process that waits for something before it is ready, until it says so. Gives
    /// what it says.
    pub fn launch_unready(&mut self, prefix: &[&str]) -> String {
        self.launch_until(prefix, "503 Service Unavailable");
        self.why_unready().expect("it was not ready just now")
    }

    /// Why it is not ready; none if it is.
    pub fn why_unready(&self) -> Option<String> {
        let page = self.ready()?;
        let (_, why) = page.split_once("not ready: ")?;
        Some(why.trim_end().to_owned())
    }

    fn launch_until(&mut self, prefix: &[&str], says: &str) {
        let restrictions = if sandbox::is_wanted() {
            sandbox::around(self.folder.path())
        } else {
            Vec::new()
        };
        // The number of the process is that of the signer, since the shell becomes it.
        let script = format!(
            r#"{GUARD} guard 'kill "$daemon"' \
               bash -c 'echo $$ >"$0/pid"; exec "$@"' "$0" "$@""#
        );
        let mut command = Command::new("bash");
        command
            .args(["-c", &script])
            .arg(self.folder.path())
            .args(prefix)
            .args(restrictions)
            .args([env!("CARGO_BIN_EXE_zegel"), "run", "--config"])
            .arg(self.path("zegel.toml"));
        let output = self.path("output");
        let mut process = Supervised::start("zegel", command, &output);
        process.wait_until(
            "it is ready",
            || read_lossy(&output),
            || self.ready().is_some_and(|page| page.contains(says)),
        );
        self.process = Some(process);
    }

    /// The page that says whether it is ready, from `{folder}/run/http.sock` if that is there.
    fn ready(&self) -> Option<String> {
        match UnixStream::connect(self.path("run/http.sock")) {
            Ok(stream) => get_from(stream, "/health/ready"),
            Err(_) => self.page("/health/ready"),
        }
    }

    /// A path in the folder of this signer.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The usual socket.
    pub fn socket(&self) -> PathBuf {
        self.path("relay.sock")
    }

    /// The usual socket as an MTA wants it, `unix:/…`.
    pub fn milter(&self) -> String {
        self.milter_of("relay")
    }

    /// The same for a listener whose socket is `{folder}/NAME.sock`.
    pub fn milter_of(&self, listener: &str) -> String {
        let socket = self.path(&format!("{listener}.sock"));
        format!("unix:{}", socket.display())
    }

    /// Writes `zegel.toml` anew (see [`Self::with_settings`]).
    pub fn write_settings(&self, settings: &str) {
        let folder = self.folder.path().display().to_string();
        let listener = if settings.contains("[[listener]]") {
            String::new()
        } else {
            format!(
                "[[listener]]\nname = \"relay\"\nsocket = \"unix:{folder}/relay.sock\"\n\
                 mode = \"0660\"\ngroup = \"postfix\"\n\
                 outbound = {{ authenticated = true, networks = [\"127.0.0.0/8\"] }}\n"
            )
        };
        let http = if settings.contains("[http]") {
            String::new()
        } else {
            format!("[http]\nlisten = \"{}\"\n", self.http_address())
        };
        // As many lines of both: some tests know the number of one.
        let keystore = if self.path(SEALING_KEY).exists() {
            format!(
                "keystore.path = \"{folder}/keys\"\n\
                 keystore.sealing_keys = [\"{folder}/{SEALING_KEY}\"]\n"
            )
        } else {
            format!("[keystore]\npath = \"{folder}/keys\"\n")
        };
        let text = format!(
            "{keystore}{http}{listener}{}\n",
            settings.replace("{folder}", &folder)
        );
        let text = if sandbox::is_wanted() {
            sandbox::without_groups(&text)
        } else {
            text
        };
        fs::write(self.path("zegel.toml"), text).expect("settings");
    }

    /// Writes the file of an organisation, and its keys if it has none yet.
    pub fn add(&self, org: &Org) {
        let file = self.path("orgs.d").join(format!("{}.toml", org.id));
        fs::write(&file, org.file()).expect("an organisation file");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("a mode");
        if org.keys == Keys::None {
            return;
        }
        for &algorithm in &org.algorithms {
            let selector = format!("{}-{}", org.id, algorithm.key_type());
            self.add_key(org, &selector, algorithm);
            if org.keys == Keys::Lost {
                let file = format!("keys/{}/{selector}.pem", org.id);
                fs::remove_file(self.path(&file)).expect("the key just made");
            }
        }
    }

    /// Makes a key and puts it in use for all domains of the organisation.
    pub fn add_key(&self, org: &Org, selector: &str, algorithm: Algorithm) {
        let keystore = self.keystore();
        let id: OrganisationId = org.id.parse().expect("an organisation");
        let selector: Selector = selector.parse().expect("a selector");
        if keystore
            .read_keyring(&id)
            .expect("a keyring")
            .key(&selector)
            .is_some()
        {
            return;
        }
        let domains: Vec<DomainName> = org
            .domains
            .iter()
            .map(|domain| domain.parse().expect("a domain"))
            .collect();
        let target = Target {
            organisation: &id,
            selector: &selector,
            domains: &domains,
        };
        let now = Timestamp::now();
        keystore
            .import(&target, key_of(&selector, algorithm).as_bytes(), now)
            .expect("a key");
        keystore
            .activate(&target, &zegel::config::Settings::default().timing(), now)
            .expect("a key in use");
    }

    /// The keystore, with its sealing key if it has one.
    pub fn keystore(&self) -> Keystore {
        let keystore = Keystore::open(&self.path("keys")).expect("the keystore");
        let file = self.path(SEALING_KEY);
        if file.exists() {
            keystore.sealed_by(&[file])
        } else {
            keystore
        }
    }

    /// Makes a sealing key, with which the next settings have keys sealed. Gives its id.
    pub fn make_sealing_key(&self) -> String {
        let made = zegel::keystore::make_sealing_key(&self.path(SEALING_KEY));
        made.expect("a sealing key").to_string()
    }

    /// The records of all keys, in whatever state but withdrawn.
    pub fn records(&self) -> Records {
        let keystore = self.keystore();
        let mut records = Records::new();
        for id in keystore.organisations().expect("organisations") {
            for key in keystore.load_organisation(&id).expect("keys").keys {
                for (domain, publication) in &key.entry.publications {
                    if publication.state != State::Withdrawn {
                        let text = key.signing_key.public_key().record();
                        let selector = key.entry.selector.as_str();
                        records.insert(domain.as_str(), selector, &text);
                    }
                }
            }
        }
        records
    }

    /// The address of the metrics.
    pub fn http_address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.http.number()))
    }

    /// A page with its head; none if nobody answers.
    pub fn page(&self, path: &str) -> Option<String> {
        get(self.http_address(), path)
    }

    /// The metrics, as text.
    pub fn metrics(&self) -> String {
        // A message counts once its reply is out, which is when the test goes on, too.
        std::thread::sleep(std::time::Duration::from_millis(10));
        get(self.http_address(), "/metrics").expect("the metrics")
    }

    /// The value of a series, as it is written before its value; 0 where there is none.
    pub fn metric(&self, series: &str) -> f64 {
        let page = self.metrics();
        let mut lines = page.lines().filter_map(|line| line.rsplit_once(' '));
        let found = lines.find(|(name, _)| *name == series);
        found.map_or(0.0, |(_, value)| value.parse().expect("a number"))
    }

    /// The value of a counter, as for [`Self::metric`].
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it counts"
    )]
    pub fn counter(&self, series: &str) -> u64 {
        self.metric(series) as u64
    }

    /// Sends a signal, such as `HUP`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.id().to_string())
            .status()
            .expect("kill runs");
        assert!(status.success());
    }

    /// The number of the process.
    pub fn id(&self) -> u32 {
        let text = read_lossy(&self.path("pid"));
        text.trim().parse().expect("the number of the process")
    }

    /// What it has written so far.
    pub fn log(&self) -> String {
        // Lines gather for a moment before they are written.
        std::thread::sleep(std::time::Duration::from_millis(60));
        read_lossy(&self.path("output"))
    }

    /// Waits until the log holds `text` at least `times` times.
    pub fn wait_for_log(&self, text: &str, times: usize) {
        let begun = std::time::Instant::now();
        while self.log().matches(text).count() < times {
            assert!(
                begun.elapsed() < std::time::Duration::from_secs(30),
                "the log never said {text:?} {times} times:\n{}",
                self.log()
            );
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// Ends it with SIGKILL.
    pub fn kill(&mut self) {
        self.signal("KILL");
        let mut process = self.process.take().expect("the signer runs");
        process.wait();
    }

    /// Ends it with SIGTERM and gives its exit status.
    pub fn terminate(&mut self) -> std::process::ExitStatus {
        self.signal("TERM");
        self.wait()
    }

    /// Waits for its end and gives its exit status.
    pub fn wait(&mut self) -> std::process::ExitStatus {
        let mut process = self.process.take().expect("the signer runs");
        process.wait()
    }
}

/// A key for this selector. To make one takes long, so each is made once in a process.
fn key_of(selector: &Selector, algorithm: Algorithm) -> String {
    static MADE: Mutex<BTreeMap<(String, Algorithm), String>> = Mutex::new(BTreeMap::new());
    let name = (selector.to_string(), algorithm);
    let known = |made: &BTreeMap<_, String>| made.get(&name).cloned();
    if let Some(pem) = known(&MADE.lock().expect("no thread panics with the keys")) {
        return pem;
    }
    // Without the lock: several are made at the same time.
    let pem = generate_pem(algorithm, 2048).expect("a key").to_string();
    let mut made = MADE.lock().expect("no thread panics with the keys");
    made.entry(name).or_insert(pem).clone()
}

/// One request; none if nobody answers.
pub fn get(address: SocketAddr, path: &str) -> Option<String> {
    get_from(TcpStream::connect(address).ok()?, path)
}

fn get_from(mut stream: impl Read + Write, path: &str) -> Option<String> {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}
