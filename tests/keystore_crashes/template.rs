//! Three organisations in the middle of their rotations.

use std::fs;
use std::os::unix::fs::lchown;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use jiff::Timestamp;
use tempfile::TempDir;
use zegel::config;
use zegel::dkim::Algorithm;
use zegel::keys::{Delegated, Moment, Reported, Sight, Situation};
use zegel::keystore::{Keystore, Lie, Target};
use zegel::names::{DomainName, OrganisationId, Selector};

use crate::support::open_folder;

/// Whose the keystore is: the programs run as root, and what they make must be this user's.
pub(crate) const OWNER: u32 = 1234;

/// Beside the keystore.
pub(crate) const SEALING_KEY: &str = "sealing.key";

const DAY: Duration = Duration::from_hours(24);
const MINUTE: Duration = Duration::from_mins(1);
const SEEN: Sight = Sight::Everywhere {
    ttl: MINUTE,
    negative_ttl: MINUTE,
};

/// A configuration and a keystore in a folder:
///
/// | organisation | its keys | what the keeper does |
/// |---|---|---|
/// | `een` | `s1` active, `s2` published for ten minutes | activates `s2`, drains `s1` |
/// | `twee` | `s1` active for 200 days | notes the check, makes a successor |
/// | `drie` | none | makes a first key |
pub(crate) struct Template {
    pub(crate) folder: TempDir,
    /// What is later than this is of the program under test.
    pub(crate) made: Timestamp,
}

impl Template {
    /// With `[keeper] resolvers` as given.
    pub(crate) fn new(resolver: &str) -> Self {
        let folder = open_folder("crashes");
        let now = Timestamp::now();
        write_configuration(folder.path(), resolver);
        let keystore = Keystore::create(&folder.path().join("keys")).expect("a keystore");
        age(&keystore, folder.path(), now);
        // The lock of the keeper, as it is after its first start.
        drop(keystore.keep(now).expect("the lock of the keeper"));
        hand_over(&folder.path().join("keys"));
        hand_over(&folder.path().join("keys.mark"));
        Self { folder, made: now }
    }

    /// Names a new sealing key in the configuration. The keys lie as they did.
    pub(crate) fn make_sealing_key(&self) {
        let folder = self.folder.path();
        zegel::keystore::make_sealing_key(&folder.join(SEALING_KEY)).expect("a sealing key");
        hand_over(&folder.join(SEALING_KEY));
        let file = folder.join("zegel.toml");
        let text = fs::read_to_string(&file).expect("the configuration");
        // A path, since there is a / in it.
        let table = format!("[keystore]\nsealing_keys = [\"./{SEALING_KEY}\"]\n");
        let text = text.replace("[keystore]\n", &table);
        fs::write(file, text).expect("the configuration");
    }

    /// Has the keys lie sealed.
    pub(crate) fn seal(&self) {
        let keystore = crate::verdict::open(self.folder.path());
        let sealed = keystore.reseal(Lie::Sealed, Timestamp::now());
        assert_eq!(sealed.expect("a sealing key").changed, 3);
    }

    /// The same in a folder of its own, which is `parent/name`.
    pub(crate) fn copy(&self, parent: &Path, name: &str) -> PathBuf {
        let copy = parent.join(name);
        let status = Command::new("cp")
            .arg("-a")
            .args([self.folder.path(), &copy])
            .status();
        assert!(status.expect("cp").success());
        let text = fs::read_to_string(copy.join("zegel.toml")).expect("the configuration");
        let (old, new) = (self.folder.path().display(), copy.display());
        let text = text.replace(&old.to_string(), &new.to_string());
        fs::write(copy.join("zegel.toml"), text).expect("the configuration");
        copy
    }
}

fn write_configuration(folder: &Path, resolver: &str) {
    let keys = folder.join("keys");
    let text = format!(
        "[keystore]\npath = \"{}\"\n[keeper]\nlocal_servers = true\nresolvers = [\"{resolver}\"]\nsettle = \"1m\"\n",
        keys.display()
    );
    fs::write(folder.join("zegel.toml"), text).expect("the configuration");
    fs::create_dir(folder.join("orgs.d")).expect("a folder");
    for organisation in ["een", "twee", "drie"] {
        let text =
            format!("domains = [\"{organisation}.example\"]\nalgorithms = [\"ed25519-sha256\"]\n");
        let file = folder.join(format!("orgs.d/{organisation}.toml"));
        fs::write(file, text).expect("an organisation");
    }
}

/// What the program and the keeper did until now.
fn age(keystore: &Keystore, folder: &Path, now: Timestamp) {
    add(keystore, ("een", "s1"), now - 100 * DAY);
    activate(keystore, ("een", "s1"), now - 100 * DAY);
    add(keystore, ("een", "s2"), now - DAY);
    add(keystore, ("twee", "s1"), now - 200 * DAY);
    activate(keystore, ("twee", "s1"), now - 200 * DAY);
    let loaded = config::load(&folder.join("zegel.toml")).expect("a configuration");
    let timing = loaded.settings.timing();
    let moment = Moment::steady(now - 10 * MINUTE);
    for organisation in &loaded.organisations {
        let keyring = keystore.read_keyring(&organisation.id).expect("a keyring");
        let situation = Situation {
            keyring: &keyring,
            domains: &organisation.domains,
            incoming: &[],
            away: &[],
            algorithms: &organisation.algorithms,
            timing: &timing,
            delegated: Delegated::default(),
            reported: Reported::default(),
        };
        let plan = situation.plan(moment, |_, _| SEEN);
        let mut writer = keystore.writer().expect("the lock");
        writer
            .apply(&organisation.id, &plan.changes, moment.now)
            .expect("a plan");
    }
}

/// Adds an Ed25519 key to an organisation.
pub(crate) fn add(keystore: &Keystore, (organisation, selector): (&str, &str), now: Timestamp) {
    with_target((organisation, selector), |target| {
        let made = keystore.generate(target, Algorithm::Ed25519Sha256, 0, now);
        made.unwrap_or_else(|error| panic!("{organisation}/{selector}: {error}"));
    });
}

fn activate(keystore: &Keystore, key: (&str, &str), now: Timestamp) {
    with_target(key, |target| {
        let done = keystore.activate(target, &config::Settings::default().timing(), now);
        done.expect("an activation");
    });
}

fn with_target((organisation, selector): (&str, &str), act: impl FnOnce(&Target<'_>)) {
    let domain: DomainName = format!("{organisation}.example").parse().expect("a domain");
    let organisation: OrganisationId = organisation.parse().expect("an organisation");
    let selector: Selector = selector.parse().expect("a selector");
    act(&Target {
        organisation: &organisation,
        selector: &selector,
        domains: &[domain],
    });
}

fn hand_over(path: &Path) {
    lchown(path, Some(OWNER), Some(OWNER)).expect("another owner");
    if path.is_dir() {
        for entry in fs::read_dir(path).expect("a folder") {
            hand_over(&entry.expect("an entry").path());
        }
    }
}
