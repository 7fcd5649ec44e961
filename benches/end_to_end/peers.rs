//! The signers: how each is told to sign for the same organisations with the same keys.

use std::{
    fmt::Write as _,
    fs,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    thread,
};

use jiff::Timestamp;
use zegel::{
    dkim::{Algorithm, SigningKey, key::normalise_pem},
    keys::{KeyEntry, Keyring, Publication, State},
    keystore::Keystore,
};

use crate::{
    daemon::Prepared,
    organisations::{KeyCache, domain, id, selector},
};

/// What is to be signed for.
pub(crate) struct World<'a> {
    /// The keys.
    pub(crate) keys: &'a KeyCache,
    /// How many organisations there are.
    pub(crate) organisations: u32,
    /// How many of them have RSA keys; the others have Ed25519 keys.
    pub(crate) with_rsa: u32,
    /// Whether each signs twice (RSA and Ed25519); only Zegel is told so.
    pub(crate) double: bool,
    /// The program of Zegel.
    pub(crate) zegel: &'a Path,
}

impl World<'_> {
    /// Makes the keys that are not there yet.
    pub(crate) fn make_keys(&self) {
        self.keys
            .fill(self.with_rsa.min(self.organisations), Algorithm::RsaSha256);
        if self.double || self.with_rsa < self.organisations {
            self.keys.fill(self.organisations, Algorithm::Ed25519Sha256);
        }
    }

    fn algorithms(&self, number: u32) -> &'static [Algorithm] {
        if self.double {
            &Algorithm::ALL
        } else if number < self.with_rsa {
            &Algorithm::ALL[..1]
        } else {
            &Algorithm::ALL[1..]
        }
    }

    fn algorithm(&self, number: u32) -> Algorithm {
        self.algorithms(number)[0]
    }
}

/// A signer that can be compared.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum Peer {
    /// Ours.
    Zegel,
    /// Our signer behind the protocol engine of indymilter.
    ZegelIndymilter,
    /// OpenDKIM with its tables as plain files.
    Opendkim,
    /// OpenDKIM with its signing table as patterns (`refile:`).
    OpendkimRefile,
    /// rspamd that does nothing but sign.
    Rspamd,
    /// dkim-milter.
    DkimMilter,
}

impl Peer {
    /// For the tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Zegel => "Zegel",
            Self::ZegelIndymilter => "Zegel, indymilter",
            Self::Opendkim => "OpenDKIM (file)",
            Self::OpendkimRefile => "OpenDKIM (refile)",
            Self::Rspamd => "rspamd",
            Self::DkimMilter => "dkim-milter",
        }
    }

    /// Where its program is.
    ///
    /// # Errors
    /// How to get it, if it is nowhere.
    pub(crate) fn program(self, zegel: &Path) -> Result<PathBuf, String> {
        let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/bin/dkim-milter");
        let itself = std::env::current_exe().map_err(|error| error.to_string())?;
        let (places, advice): (&[PathBuf], _) = match self {
            Self::Zegel => (&[zegel.to_owned()], "name it with --zegel"),
            Self::ZegelIndymilter => (&[itself], "this bench is it"),
            Self::Opendkim | Self::OpendkimRefile => (
                &["/usr/sbin/opendkim".into()],
                "run tests/install-packages, or apt-get install opendkim",
            ),
            Self::Rspamd => (
                &["/usr/bin/rspamd".into()],
                "apt-get install --no-install-recommends rspamd, and do not start its service",
            ),
            Self::DkimMilter => (
                &[tools, "/usr/sbin/dkim-milter".into()],
                "cargo install dkim-milter --version 0.2.0-alpha.1 --root target/tools",
            ),
        };
        let found = places.iter().find(|path| path.exists());
        found.cloned().ok_or_else(|| format!("missing: {advice}"))
    }

    /// Its configuration in a folder of its own.
    ///
    /// # Errors
    /// As [`Self::program`].
    pub(crate) fn prepare(self, world: &World<'_>) -> Result<Prepared, String> {
        let program = self.program(world.zegel)?.display().to_string();
        let folder = tempfile::Builder::new()
            .prefix("zegel-bench-")
            .tempdir()
            .expect("a temporary folder");
        let path = folder.path().display().to_string();
        let arguments = match self {
            Self::Zegel => {
                write_zegel(folder.path(), world);
                strings(["run", "--config", "{folder}/zegel.toml"])
            }
            Self::ZegelIndymilter => {
                write_zegel(folder.path(), world);
                strings(["--foreign-engine", "{folder}/zegel.toml"])
            }
            Self::Opendkim => opendkim(folder.path(), world, false),
            Self::OpendkimRefile => opendkim(folder.path(), world, true),
            Self::Rspamd => rspamd(folder.path(), world),
            Self::DkimMilter => dkim_milter(folder.path(), world),
        };
        let arguments = arguments
            .iter()
            .map(|argument| argument.replace("{folder}", &path));
        Ok(Prepared {
            name: self.name(),
            folder,
            command: std::iter::once(program).chain(arguments).collect(),
        })
    }
}

fn strings<const N: usize>(arguments: [&str; N]) -> Vec<String> {
    arguments.map(str::to_owned).to_vec()
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("a file in a temporary folder");
}

/// With everything at its default; the keystore in the documented form, written at once.
fn write_zegel(folder: &Path, world: &World<'_>) {
    let path = folder.display();
    let settings = format!(
        "[keystore]\npath = \"{path}/keys\"\n[http]\nlisten = \"unix:{path}/http.sock\"\n\
         [[listener]]\nname = \"relay\"\nsocket = \"unix:{path}/milter.sock\"\nmode = \"0600\"\n\
         outbound = {{ authenticated = true, networks = [\"127.0.0.0/8\"] }}\n"
    );
    write(&folder.join("zegel.toml"), &settings);
    fs::create_dir(folder.join("orgs.d")).expect("a folder");
    Keystore::create(&folder.join("keys")).expect("a keystore");
    write_in_parts(world.organisations, |number| {
        let text = organisation_file(number, world.algorithms(number));
        write(&folder.join(format!("orgs.d/{}.toml", id(number))), &text);
        write_keys(&folder.join("keys").join(id(number)), number, world);
    });
}

/// The file in `orgs.d/`.
pub(crate) fn organisation_file(number: u32, algorithms: &[Algorithm]) -> String {
    let names: Vec<&str> = algorithms.iter().map(|one| one.as_str()).collect();
    format!(
        "name = \"{}\"\ndomains = [\"{}\"]\nalgorithms = {names:?}\n",
        id(number),
        domain(number)
    )
}

/// All numbers, on all processors.
fn write_in_parts(number: u32, work: impl Fn(u32) + Sync) {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for first in 0..threads {
            let work = &work;
            scope.spawn(move || (0..number).skip(first).step_by(threads).for_each(work));
        }
    });
}

/// The folder of an organisation in the keystore.
fn write_keys(folder: &Path, number: u32, world: &World<'_>) {
    let mut builder = fs::DirBuilder::new();
    builder.mode(0o700).create(folder).expect("a folder");
    let now = Timestamp::now();
    let mut keyring = Keyring::default();
    for &algorithm in world.algorithms(number) {
        let pem = fs::read(world.keys.path(number, algorithm)).expect("a key of the cache");
        let key = SigningKey::from_pem(&pem).expect("a key");
        let publication = Publication {
            state: State::Active,
            assumed: true,
            ..Publication::generated(now)
        };
        keyring.add(KeyEntry {
            selector: selector(algorithm).parse().expect("a selector"),
            algorithm,
            created: now,
            fingerprint: key.public_key().fingerprint(),
            public_key: Some(key.public_key().clone()),
            publications: [(domain(number).parse().expect("a domain"), publication)].into(),
        });
        let pem = normalise_pem(&pem).expect("a key");
        let name = format!("{}.pem", selector(algorithm));
        write_secret(&folder.join(name), pem.as_bytes());
    }
    let json = keyring.to_json().expect("a keyring");
    write_secret(&folder.join("keyring.json"), &json);
}

fn write_secret(path: &Path, bytes: &[u8]) {
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    std::io::Write::write_all(&mut file.expect("a file"), bytes).expect("a file");
}

fn opendkim(folder: &Path, world: &World<'_>, patterns: bool) -> Vec<String> {
    let (mut keys, mut signers) = (String::new(), String::new());
    for number in 0..world.organisations {
        let (domain, algorithm) = (domain(number), world.algorithm(number));
        let (selector, path) = (selector(algorithm), world.keys.path(number, algorithm));
        let pattern = if patterns { "*@" } else { "" };
        writeln!(keys, "{domain} {domain}:{selector}:{}", path.display()).expect("a string");
        writeln!(signers, "{pattern}{domain} {domain}").expect("a string");
    }
    write(&folder.join("keys"), &keys);
    write(&folder.join("signers"), &signers);
    let path = folder.display();
    let kind = if patterns { "refile" } else { "file" };
    let settings = format!(
        "Syslog no\nMode s\nSocket local:{path}/milter.sock\nUMask 000\nRequireSafeKeys no\n\
         KeyTable file:{path}/keys\nSigningTable {kind}:{path}/signers\n\
         Canonicalization relaxed/relaxed\nOversignHeaders From\n"
    );
    write(&folder.join("opendkim.conf"), &settings);
    strings(["-f", "-x", "{folder}/opendkim.conf"])
}

/// A proxy worker per processor that scans by itself, and no other module than that for signing.
fn rspamd(folder: &Path, world: &World<'_>) -> Vec<String> {
    let path = folder.display();
    let keys = world.keys.folder().display();
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let selector = selector(world.algorithm(0));
    // Instead of the rules that come with it; what its modules rely on is there.
    let lua = "require \"global_functions\" ()\nconfig[\"regexp\"] = {}\nrspamd_maps = {}\n";
    write(&folder.join("rspamd.lua"), lua);
    let settings = format!(
        r#"
options {{
  pidfile = "{path}/rspamd.pid";
  tempdir = "{path}";
  cache_file = "{path}/symbols.cache";
  history_file = "{path}/history";
  hs_cache_dir = "{path}";
  control_socket = "{path}/control.sock mode=0600";
  url_tld = "/usr/share/rspamd/effective_tld_names.dat";
  local_addrs = [127.0.0.0/8];
  filters = "dkim";
  dns {{ nameserver = ["127.0.0.1:1"]; }}
}}
logging {{ type = "file"; filename = "{path}/rspamd.log"; level = "notice"; }}
metric {{ name = "default"; actions {{ reject = 1000; }} }}
worker "rspamd_proxy" {{
  bind_socket = "{path}/milter.sock mode=0666";
  milter = yes;
  timeout = 120s;
  count = {workers};
  upstream "local" {{ default = yes; self_scan = yes; }}
}}
modules {{ path = "/usr/share/rspamd/plugins/dkim_signing.lua"; }}
lua = "{path}/rspamd.lua";
dkim_signing {{
  enabled = true;
  path = "{keys}/$domain.$selector.pem";
  selector = "{selector}";
  use_domain = "header";
  use_esld = false;
  sign_authenticated = true;
  sign_local = true;
  allow_username_mismatch = true;
  allow_hdrfrom_mismatch = true;
  try_fallback = true;
}}
"#
    );
    write(&folder.join("rspamd.conf"), &settings);
    strings(["-i", "-f", "-c", "{folder}/rspamd.conf"])
}

fn dkim_milter(folder: &Path, world: &World<'_>) -> Vec<String> {
    let (mut keys, mut senders) = (String::new(), String::new());
    for number in 0..world.organisations {
        let (domain, algorithm) = (domain(number), world.algorithm(number));
        let (selector, path) = (selector(algorithm), world.keys.path(number, algorithm));
        writeln!(keys, "{domain} <{}", path.display()).expect("a string");
        writeln!(senders, "{domain} {domain} {selector} {domain}").expect("a string");
    }
    write(&folder.join("keys"), &keys);
    write(&folder.join("senders"), &senders);
    let path = folder.display();
    let settings = format!(
        "socket = unix:{path}/milter.sock\nlog_destination = stderr\nmode = sign\n\
         signing_keys = <{path}/keys\nsigning_senders = <{path}/senders\n\
         canonicalization = relaxed/relaxed\n"
    );
    write(&folder.join("dkim-milter.conf"), &settings);
    strings(["-c", "{folder}/dkim-milter.conf"])
}
