//! The customers, each with a zone of its own, whose administrators do what the packs say.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::support::keeper::command;
use super::support::name_world::World;
use super::support::zegel::Zegel;

/// Names and the strings of their records.
type Zone = BTreeMap<String, Vec<String>>;

pub(super) struct Customers<'a> {
    world: &'a World,
    /// Where the packs are that its administrators read.
    folder: PathBuf,
    zones: RefCell<BTreeMap<String, Zone>>,
    count: usize,
}

pub(super) fn id(customer: usize) -> String {
    format!("klant-{customer:03}")
}

pub(super) fn domain(customer: usize) -> String {
    format!("{}.example", id(customer))
}

impl<'a> Customers<'a> {
    /// With empty zones.
    pub(super) fn new(world: &'a World, folder: PathBuf, count: usize) -> Self {
        let domains = (0..count).map(domain);
        let empty: Vec<_> = domains
            .clone()
            .map(|domain| (domain, String::new()))
            .collect();
        world.set_many(&empty);
        Self {
            world,
            folder,
            zones: RefCell::new(domains.map(|domain| (domain, Zone::new())).collect()),
            count,
        }
    }

    pub(super) fn sheet(&self) -> String {
        let mut sheet = "id,name,domains,contact\n".to_owned();
        for customer in 0..self.count {
            let (id, domain) = (id(customer), domain(customer));
            writeln!(sheet, "{id},Klant {customer},{domain},dns@{domain}").expect("text");
        }
        sheet
    }

    /// What comes next for the keys of a customer, in the words for programs.
    pub(super) fn asked(&self, customer: usize, zegel: &Zegel) -> String {
        let id = id(customer);
        let lists: [&[&str]; 2] = [&[], &["--retired"]];
        let lists = lists.iter().map(|more| {
            let list = [&["key", "list", &id, "--json"], *more].concat();
            let output = command(&zegel.path(""), &list);
            String::from_utf8(output.stdout).expect("text")
        });
        lists.collect()
    }

    /// These customers do what the packs of today ask for; those of `wrong` with a mistake.
    pub(super) fn publish(
        &self,
        zegel: &Zegel,
        who: &dyn Fn(usize) -> bool,
        wrong: &dyn Fn(usize) -> bool,
    ) {
        let folder = self.folder.display().to_string();
        let arguments = [
            "dns", "records", "--all", "--out", &folder, "--format", "json",
        ];
        let output = command(&zegel.path(""), &arguments);
        assert!(output.status.success(), "{output:?}");
        let mut changed = BTreeSet::new();
        for entry in fs::read_dir(&self.folder).expect("the packs") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|one| one == "json")
                && !path
                    .file_name()
                    .is_some_and(|name| name.as_encoded_bytes()[0] == b'.')
            {
                let pack = fs::read(&path).expect("a pack");
                let pack = serde_json::from_slice(&pack).expect("JSON");
                changed.append(&mut self.follow(&pack, who, wrong));
            }
        }
        self.serve(&changed);
    }

    /// One customer does what its pack of now asks for.
    pub(super) fn publish_one(&self, zegel: &Zegel, customer: usize) {
        let arguments = ["dns", "records", &id(customer), "--format", "json"];
        let output = command(&zegel.path(""), &arguments);
        let pack = serde_json::from_slice(&output.stdout).expect("JSON");
        let changed = self.follow(&pack, &|one| one == customer, &|_| false);
        self.serve(&changed);
    }

    fn serve(&self, changed: &BTreeSet<String>) {
        let zones = self.zones.borrow();
        let text = |zone: &Zone| {
            let mut text = String::new();
            for (name, strings) in zone {
                let quoted: Vec<String> = strings.iter().map(|one| format!("\"{one}\"")).collect();
                let strings = quoted.join(" ");
                writeln!(text, "{name}. 1 TXT {strings}").expect("text");
            }
            text
        };
        let changed: Vec<_> = changed
            .iter()
            .map(|name| (name.clone(), text(&zones[name])))
            .collect();
        self.world.replace_many(&changed);
    }

    /// Does what a pack asks for in the zones of these customers.
    fn follow(
        &self,
        pack: &Value,
        who: &dyn Fn(usize) -> bool,
        wrong: &dyn Fn(usize) -> bool,
    ) -> BTreeSet<String> {
        let mut changed = BTreeSet::new();
        let mut zones = self.zones.borrow_mut();
        for customer in 0..self.count {
            if !who(customer) {
                continue;
            }
            let name = domain(customer);
            let domains = pack["domains"].as_array().expect("domains");
            let Some(tasks) = domains.iter().find(|one| one["domain"] == *name) else {
                continue;
            };
            let zone = zones.get_mut(&name).expect("a zone");
            let before = zone.clone();
            for task in ["keys", "policies"] {
                for one in tasks[task].as_array().into_iter().flatten() {
                    do_task(zone, one, wrong(customer));
                }
            }
            if *zone != before {
                changed.insert(name);
            }
        }
        changed
    }
}

fn do_task(zone: &mut Zone, task: &Value, is_wrong: bool) {
    let name = task["name"].as_str().expect("a name").to_owned();
    let strings = task["record"]["strings"].as_array();
    let strings = strings.map(|all| {
        let all = all.iter().map(|one| one.as_str().expect("a string"));
        all.map(str::to_owned).collect::<Vec<_>>()
    });
    match (task["task"].as_str(), strings) {
        (Some("add" | "restore" | "mend" | "empty"), Some(mut strings)) => {
            if is_wrong && name.contains("_domainkey") {
                strings[0] = strings[0].replace("v=DKIM1;", "v=DKIM;");
            }
            zone.insert(name, strings);
        }
        (Some("remove"), None) => {
            zone.remove(&name);
        }
        // What the keeper has not looked at yet.
        (Some("keep"), _) | (Some("add"), None) => {}
        other => panic!("{other:?}: {task}"),
    }
}
