//! Those who administer the DNS of the customers: they do what Zegel asks for, on the primary;
//! the secondary follows when the test says so.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::support::keeper::command;
use super::support::name_world::World;
use super::{ORGANISATION, TTL};

/// What is to be done about one key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Task {
    pub(super) selector: String,
    /// `add`, `keep`, `empty` or `remove`.
    pub(super) what: String,
    name: String,
    /// None where there is to be none.
    strings: Option<Vec<String>>,
}

type Zone = BTreeMap<String, Vec<String>>;

pub(super) struct Administrator<'a> {
    world: &'a World,
    /// Of the signer.
    folder: PathBuf,
    /// By domain: names and the strings of their records.
    zones: RefCell<BTreeMap<String, Zone>>,
}

impl<'a> Administrator<'a> {
    /// Of domains that have no keys yet.
    pub(super) fn new(world: &'a World, folder: &Path, domains: &[&str]) -> Self {
        let administrator = Self {
            world,
            folder: folder.to_owned(),
            zones: RefCell::default(),
        };
        for domain in domains {
            administrator.change(domain, |_| ());
            administrator.transfer(domain);
        }
        administrator
    }

    /// What the hand-over pack says of a domain.
    pub(super) fn tasks(&self, domain: &str) -> Vec<Task> {
        let arguments = ["dns", "records", ORGANISATION, "--format", "json"];
        let output = command(&self.folder, &arguments);
        assert!(output.status.success(), "{output:?}");
        let pack: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let domains = pack["domains"].as_array().expect("domains");
        let domain = domains.iter().find(|one| one["domain"] == *domain);
        let keys = domain.expect("the domain")["keys"].as_array();
        keys.expect("keys").iter().map(task).collect()
    }

    /// The one about this key.
    pub(super) fn task(&self, domain: &str, selector: &str) -> String {
        let tasks = self.tasks(domain).into_iter();
        let mut tasks = tasks.filter(|task| task.selector == selector);
        tasks
            .next()
            .map_or_else(String::new, |task| task.what.clone())
    }

    /// Does what is asked for, on the primary.
    pub(super) fn follow(&self, domain: &str) {
        let tasks = self.tasks(domain);
        self.change(domain, |zone| {
            for task in tasks {
                match (task.what.as_str(), task.strings) {
                    ("add" | "restore" | "mend" | "empty", Some(strings)) => {
                        zone.insert(task.name, strings);
                    }
                    ("keep", strings) => assert_eq!(zone.get(&task.name), strings.as_ref()),
                    ("remove", None) => {
                        zone.remove(&task.name);
                    }
                    other => panic!("{other:?}"),
                }
            }
        });
    }

    /// Takes a record away by mistake, on the primary.
    pub(super) fn lose(&self, domain: &str, selector: &str) {
        let name = format!("{selector}._domainkey.{domain}");
        self.change(domain, |zone| {
            zone.remove(&name).expect("a record to be lost");
        });
    }

    /// Takes a zone from a back-up: all that is to be kept, and what was lost, is there again.
    pub(super) fn restore(&self, domain: &str) {
        let tasks = self.tasks(domain);
        self.change(domain, |zone| {
            for task in tasks {
                if ["keep", "add", "restore", "mend"].contains(&task.what.as_str()) {
                    zone.insert(task.name, task.strings.expect("a record that is needed"));
                }
            }
        });
    }

    fn change(&self, domain: &str, change: impl FnOnce(&mut Zone)) {
        let mut zones = self.zones.borrow_mut();
        let zone = zones.entry(domain.to_owned()).or_default();
        change(zone);
        let mut text = String::new();
        for (name, strings) in zone {
            let quoted: Vec<String> = strings.iter().map(|one| format!("\"{one}\"")).collect();
            let strings = quoted.join(" ");
            writeln!(text, "{name}. {TTL} TXT {strings}").expect("a string takes everything");
        }
        self.world.set_zone(domain, &text);
    }

    /// Lets the secondary catch up. Nobody tells the resolver.
    pub(super) fn transfer(&self, domain: &str) {
        let serial = self.world.primary.serial_of(domain);
        self.world.secondary.transfer(domain, serial);
    }
}

fn task(key: &Value) -> Task {
    let word = |value: &Value| value.as_str().expect("a word").to_owned();
    let strings = key["record"]["strings"].as_array();
    Task {
        selector: word(&key["selector"]),
        what: word(&key["task"]),
        name: word(&key["name"]),
        strings: strings.map(|strings| strings.iter().map(word).collect()),
    }
}
