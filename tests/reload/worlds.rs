//! The states between which the configuration goes to and fro, and what must be seen of them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use zegel::dkim::Algorithm;

use super::support::signatures::PublicKeys;
use super::support::zegel::{Org, Zegel};

/// What a message can be decided by.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct World {
    /// Alfa signs with its second key.
    pub(super) second_key: bool,
    /// Beta has a domain more, and mail of unknown domains is tempfailed.
    pub(super) second_settings: bool,
}

impl World {
    /// All of it the other way; gamma is there.
    pub(super) fn other(self) -> Self {
        Self {
            second_key: !self.second_key,
            second_settings: !self.second_settings,
        }
    }
}

/// What is broken, while everything else changes to the other state.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Breakage {
    Syntax,
    DuplicateDomain,
    OpenKeyFile,
    KeyringGarbage,
    OrganisationRemoved,
}

impl Breakage {
    pub(super) const ALL: [Self; 5] = [
        Self::Syntax,
        Self::DuplicateDomain,
        Self::OpenKeyFile,
        Self::KeyringGarbage,
        Self::OrganisationRemoved,
    ];
}

/// A signer with its files, and every world that it has been in.
pub(super) struct Stage {
    pub(super) zegel: Zegel,
    pub(super) keys: PublicKeys,
    /// Alfa's keyring with its first and with its second key in use.
    keyrings: [String; 2],
    history: Mutex<History>,
}

struct History {
    worlds: Vec<World>,
    /// The last one that is known to be in use; behind it those that may be.
    confirmed: usize,
}

const GAMMA: &str = "name = \"gamma\"\ndomains = [\"gamma.example\"]\n";

impl Stage {
    pub(super) fn start() -> Self {
        let alfa = Org::new("alfa", &["alfa.example"]);
        let orgs = [
            alfa.clone(),
            Org::new("beta", &["beta.example", "extra.example"]),
            Org::new("gamma", &["gamma.example"]),
        ];
        let zegel = Zegel::prepared(&orgs, "");
        zegel.add_key(&alfa, "alfa-second", Algorithm::RsaSha256);
        let second = fs::read_to_string(zegel.path("keys/alfa/keyring.json")).expect("a keyring");
        // It would know that the first key drains, and the test goes back and forth.
        fs::remove_dir_all(zegel.path("keys.mark")).expect("the mark");
        let mut stage = Self {
            keys: PublicKeys::of(&zegel.keystore()),
            keyrings: [with_publications_swapped(&second), second],
            history: Mutex::new(History {
                worlds: vec![World::default()],
                confirmed: 0,
            }),
            zegel,
        };
        stage.write(World::default());
        stage.zegel.launch();
        stage
    }

    /// The world that is in use.
    pub(super) fn now(&self) -> World {
        let history = self.history.lock().expect("no panic");
        history.worlds[history.confirmed]
    }

    /// The number of the world that is in use for certain.
    pub(super) fn confirmed(&self) -> usize {
        self.history.lock().expect("no panic").confirmed
    }

    /// The worlds that may have been in use since `confirmed`.
    pub(super) fn since(&self, confirmed: usize) -> Vec<World> {
        self.history.lock().expect("no panic").worlds[confirmed..].to_vec()
    }

    /// Writes the files of a world, all of them sound.
    pub(super) fn write(&self, world: World) {
        self.write_keyring(&self.keyrings[usize::from(world.second_key)]);
        for name in ["alfa-rsa.pem", "alfa-second.pem"] {
            self.set_mode(&format!("keys/alfa/{name}"), 0o600);
        }
        let extra = if world.second_settings {
            ", \"extra.example\""
        } else {
            ""
        };
        let beta = format!("name = \"beta\"\ndomains = [\"beta.example\"{extra}]\n");
        self.replace("orgs.d/beta.toml", &beta, 0o644);
        self.replace("orgs.d/gamma.toml", GAMMA, 0o644);
        let action = if world.second_settings {
            "tempfail"
        } else {
            "accept"
        };
        self.zegel.write_settings(&format!(
            "[policy]\nunknown_domain = \"{action}\"\n\
             [log]\nfilter = \"info,zegel::message=warn\"\n"
        ));
    }

    /// Changes to the other state, without any fault.
    pub(super) fn change(&self) {
        let other = self.now().other();
        self.write(other);
        self.reload("ok", other);
    }

    /// Writes the other state with this fault in it, and reloads.
    pub(super) fn break_it(&self, breakage: Breakage) {
        let now = self.now();
        let other = now.other();
        self.write(other);
        match breakage {
            Breakage::Syntax => self.write_garbage(),
            Breakage::DuplicateDomain => {
                let gamma = GAMMA.replace('[', "[\"alfa.example\", ");
                self.replace("orgs.d/gamma.toml", &gamma, 0o644);
            }
            Breakage::OpenKeyFile => {
                let name = ["alfa-rsa", "alfa-second"][usize::from(other.second_key)];
                self.set_mode(&format!("keys/alfa/{name}.pem"), 0o644);
            }
            Breakage::KeyringGarbage => self.write_keyring("{\"version\": 1, \"keys\": ["),
            Breakage::OrganisationRemoved => {
                fs::remove_file(self.zegel.path("orgs.d/gamma.toml")).expect("gamma");
            }
        }
        let (result, next) = match breakage {
            Breakage::Syntax => ("failed", now),
            // Alfa keeps its last good key; nobody else is touched.
            Breakage::OpenKeyFile | Breakage::KeyringGarbage => {
                let second_key = now.second_key;
                (
                    "ok",
                    World {
                        second_key,
                        ..other
                    },
                )
            }
            // A lost file is no removal: gamma signs on. A domain of alfa's that gamma's file has
            // too stays with alfa.
            Breakage::OrganisationRemoved | Breakage::DuplicateDomain => ("ok", other),
        };
        self.reload(result, next);
    }

    /// Changes nothing but alfa's key, without a signal: the signer sees it by itself.
    pub(super) fn change_generation(&self) {
        let before = self.counted("ok");
        let second_key = !self.now().second_key;
        self.upcoming(World {
            second_key,
            ..self.now()
        });
        for name in ["alfa-rsa.pem", "alfa-second.pem"] {
            self.set_mode(&format!("keys/alfa/{name}"), 0o600);
        }
        self.write_keyring(&self.keyrings[usize::from(second_key)]);
        let generation = fs::read_to_string(self.zegel.path("keys/generation")).expect("a number");
        let generation: u64 = generation.trim().parse().expect("a number");
        self.replace("keys/generation", &format!("{}\n", generation + 1), 0o600);
        self.wait("ok", before + 1);
        self.confirm();
    }

    pub(super) fn write_garbage(&self) {
        let path = self.zegel.path("zegel.toml");
        let text = fs::read_to_string(path).expect("settings");
        self.replace("zegel.toml", &format!("{text}[policy\n"), 0o644);
    }

    pub(super) fn hang_up(&self) {
        let id = i32::try_from(self.zegel.id()).expect("the number of a process");
        let id = rustix::process::Pid::from_raw(id).expect("not 0");
        rustix::process::kill_process(id, rustix::process::Signal::HUP).expect("it lives");
    }

    /// How many reloads have ended so.
    pub(super) fn counted(&self, result: &str) -> u64 {
        let series = format!("zegel_reload_total{{result=\"{result}\"}}");
        self.zegel.counter(&series)
    }

    /// Waits until no reload is under way any more.
    pub(super) fn settle(&self) {
        let mut before = u64::MAX;
        while self.counted("ok") != before {
            before = self.counted("ok");
            thread::sleep(Duration::from_millis(500));
        }
    }

    /// Reloads and waits until that is done: it leads to `next`.
    fn reload(&self, result: &str, next: World) {
        let before = self.counted(result);
        self.upcoming(next);
        self.hang_up();
        self.wait(result, before + 1);
        self.confirm();
    }

    fn wait(&self, result: &str, count: u64) {
        let begun = Instant::now();
        while self.counted(result) < count {
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "no reload was {result}:\n{}",
                self.zegel.log()
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn upcoming(&self, world: World) {
        self.history.lock().expect("no panic").worlds.push(world);
    }

    fn confirm(&self) {
        let mut history = self.history.lock().expect("no panic");
        history.confirmed = history.worlds.len() - 1;
    }

    fn write_keyring(&self, text: &str) {
        self.replace("keys/alfa/keyring.json", text, 0o600);
    }

    fn replace(&self, name: &str, text: &str, mode: u32) {
        let path = self.zegel.path(name);
        let temporary = path.with_extension("new");
        fs::write(&temporary, text).expect("a file");
        fs::set_permissions(&temporary, fs::Permissions::from_mode(mode)).expect("a mode");
        fs::rename(&temporary, path).expect("a rename");
    }

    fn set_mode(&self, name: &str, mode: u32) {
        let path: &Path = &self.zegel.path(name);
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
    }

    /// The log names what changed and what was wrong, each time.
    pub(super) fn assert_log(&self, good: usize) {
        let log = self.zegel.log();
        let count = |text: &str| log.matches(text).count();
        let each = good / Breakage::ALL.len();
        for text in EACH_BREAKAGE {
            assert_eq!(count(text), each, "{text}");
        }
        for (there, back) in TO_AND_FRO {
            assert!(count(there) > good / 2, "{there}");
            assert!(count(there).abs_diff(count(back)) <= 1, "{there}");
        }
        let lost = "extra.example of beta is in no file any more";
        assert!(count(lost) > good / 2, "{lost}");
        assert_eq!(count("reloaded: keys of alfa.example"), good + 2 * each);
        assert_eq!(count(": reload failed, all stays as it was: "), each);
        assert_eq!(count(": reloaded changes="), good + 4 * each);
        assert_eq!(self.counted("failed"), each as u64);
        assert_eq!(self.counted("ok"), (good + 4 * each) as u64);
    }
}

/// What is in the log once for each time that something was broken.
const EACH_BREAKAGE: [&str; 8] = [
    "zegel.toml:16: unclosed table, expected `]`; correct the TOML",
    "orgs.d/gamma.toml:2: domains: alfa.example is also in domains of ",
    "orgs.d/alfa.toml:2; take it out of one of the two",
    "alfa.example stays with alfa until one file has it",
    "it can be used by others (mode 0644); chmod 600 ",
    " goes on signing in place of its successor",
    "keys/alfa/keyring.json: it is not a keyring: EOF while parsing",
    "orgs.d/gamma.toml: gamma.example of gamma is in no file any more",
];

const TO_AND_FRO: [(&str, &str); 2] = [
    (
        "keys of alfa.example: alfa-rsa -> alfa-second",
        "keys of alfa.example: alfa-second -> alfa-rsa",
    ),
    (
        "policy.unknown_domain: accept -> tempfail",
        "policy.unknown_domain: tempfail -> accept",
    ),
];

/// The same keyring with the two keys of alfa in each other's place.
fn with_publications_swapped(keyring: &str) -> String {
    let mut keyring: serde_json::Value = serde_json::from_str(keyring).expect("a keyring");
    let keys = keyring["keys"].as_array_mut().expect("keys");
    let first = keys[0]["publications"].take();
    let second = keys[1]["publications"].take();
    keys[0]["publications"] = second;
    keys[1]["publications"] = first;
    keyring.to_string()
}
