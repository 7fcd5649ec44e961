//! What must hold of a keystore after its writer was killed.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use jiff::Timestamp;
use serde_json::Value;
use zegel::config;
use zegel::keys::Keyring;
use zegel::keystore::Keystore;
use zegel::names::OrganisationId;
use zegel::observe::metrics::Metrics;
use zegel::snapshot::{Signing, Snapshot};

use crate::template::{OWNER, SEALING_KEY, Template, add};

const ORGANISATIONS: [&str; 3] = ["een", "twee", "drie"];

/// The keyrings, without what differs from run to run, and the generation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct State {
    pub(crate) generation: u64,
    /// For each organisation its keys, by selector.
    rings: BTreeMap<&'static str, BTreeMap<String, Value>>,
}

impl State {
    /// Through the library. Every key that is named must load.
    pub(crate) fn read(world: &Path, template: &Template) -> Self {
        let keystore = open(world);
        let rings = ORGANISATIONS.map(|name| {
            let loaded = keystore.load_organisation(&id(name)).expect("its keyring");
            assert!(loaded.refused.is_empty(), "{:?}", loaded.refused);
            // At most the one key that was being made.
            assert!(loaded.warnings.len() <= 1, "{:?}", loaded.warnings);
            let keys = loaded.keys.iter().map(|key| {
                let mut value = serde_json::to_value(&key.entry).expect("a value");
                let created = key.entry.created;
                forget_times(&mut value, template.made);
                if created > template.made {
                    value["fingerprint"] = "new".into();
                    value["public_key"] = "new".into();
                }
                (key.entry.selector.to_string(), value)
            });
            (name, keys.collect())
        });
        let generation = keystore.generation().expect("a generation");
        Self {
            generation,
            rings: rings.into(),
        }
    }

    /// What may be announced by now: the keyrings differ from those of `old` by more than the
    /// time of a check.
    fn has_moved(&self, old: &Self) -> bool {
        let states = |state: &Self| {
            let keys = state.rings.values().flat_map(BTreeMap::iter);
            let publications = keys.map(|(selector, key)| {
                let publications = key["publications"].as_object().expect("a table");
                let states = publications.iter();
                let states = states.map(|(domain, one)| (domain.clone(), one["state"].to_string()));
                (selector.clone(), states.collect::<Vec<_>>())
            });
            publications.collect::<Vec<_>>()
        };
        states(self) != states(old)
    }

    /// The keys of an organisation as they were before those were added that `old` lacks.
    fn without_new(&self, name: &str, old: &Self) -> BTreeMap<String, Value> {
        let mut ring = self.rings[name].clone();
        ring.retain(|selector, _| old.rings[name].contains_key(selector));
        ring
    }

    /// The same, when the new keys do nothing yet.
    fn with_new_idle(&self, name: &str, old: &Self) -> BTreeMap<String, Value> {
        let mut ring = old.rings[name].clone();
        for (selector, key) in &self.rings[name] {
            if ring.contains_key(selector) {
                continue;
            }
            let mut key = key.clone();
            for (_, publication) in key["publications"].as_object_mut().expect("a table") {
                *publication = serde_json::json!({ "state": "generated", "since": "later" });
            }
            ring.insert(selector.clone(), key);
        }
        ring
    }
}

/// Times after `made` are those of the run.
fn forget_times(value: &mut Value, made: Timestamp) {
    match value {
        Value::String(text) if text.parse().is_ok_and(|time: Timestamp| time > made) => {
            "later".clone_into(text);
        }
        Value::Object(map) => map.values_mut().for_each(|one| forget_times(one, made)),
        Value::Array(list) => list.iter_mut().for_each(|one| forget_times(one, made)),
        _ => {}
    }
}

/// Panics unless the keystore in `world` is as it was before the operation, or as after it, and
/// can be used and written.
pub(crate) fn judge(world: &Path, (old, new): (&State, &State), template: &Template) {
    let state = State::read(world, template);
    for name in ORGANISATIONS {
        // One operation may consist of two changes.
        let steps = [
            old.rings[name].clone(),
            new.without_new(name, old),
            new.with_new_idle(name, old),
            new.rings[name].clone(),
        ];
        assert!(
            steps.contains(&state.rings[name]),
            "{name}: {:#?}\nis neither\n{:#?}\nnor\n{:#?}",
            state.rings[name],
            old.rings[name],
            new.rings[name]
        );
    }
    let range = old.generation..=new.generation;
    assert!(range.contains(&state.generation), "{state:?}");
    every_change_is_told(world, (&state, old));
    a_signer_starts(world);
    writing_goes_on(world, (&state, old));
    is_the_owners(&world.join("keys"));
}

fn every_change_is_told(world: &Path, (state, old): (&State, &State)) {
    let text = fs::read_to_string(world.join("keys/audit.log")).expect("the audit log");
    let lines = text.lines().map(serde_json::from_str);
    let lines: Vec<Value> = lines.collect::<Result<_, _>>().expect("whole lines");
    for (organisation, ring) in &state.rings {
        for (selector, key) in ring {
            let before = old.rings[organisation].get(selector);
            let domain = format!("{organisation}.example");
            let now = &key["publications"][&domain]["state"];
            if before.map(|key| &key["publications"][&domain]["state"]) == Some(now) {
                continue;
            }
            // A key that gives way to another is told of by the one that takes its place.
            let told = lines.iter().any(|line| {
                let events = match now.as_str().expect("a state") {
                    "generated" => ["generated", "imported"],
                    "draining" => ["draining", "activated"],
                    _ => ["activated", "published"],
                };
                line["organisation"] == *organisation
                    && (line["selector"] == *selector || *now == "draining")
                    && events.contains(&line["event"].as_str().expect("a word"))
            });
            assert!(told, "{organisation}/{selector}, {now}, in\n{text}");
        }
    }
}

fn a_signer_starts(world: &Path) {
    let loaded = config::load(&world.join("zegel.toml")).expect("a configuration");
    let built = Snapshot::build(loaded, &open(world), &Metrics::new(), None).expect("a snapshot");
    assert_eq!(built.problems, [""; 0]);
    for organisation in ["een", "twee"] {
        let name = format!("{organisation}.example").parse().expect("a domain");
        let domain = built.snapshot.domain(&name).expect("a domain");
        let keys = domain.keys.as_ref().expect("keys");
        assert!(
            matches!(keys.load(), Signing::Active(keys) if keys.len() == 1),
            "{name}: {keys}"
        );
    }
}

fn writing_goes_on(world: &Path, (state, old): (&State, &State)) {
    let keystore = open(world);
    // No lock is left, neither that of the writers nor that of the keeper.
    drop(keystore.keep(Timestamp::now()).expect("the keeper's lock"));
    drop(keystore.writer().expect("the lock"));
    let announced = keystore.generation().expect("a generation");
    assert!(
        announced > old.generation || !state.has_moved(old),
        "no signer hears of the change"
    );
    for organisation in ORGANISATIONS {
        let before = keystore.generation().expect("a generation");
        add(&keystore, (organisation, "next"), Timestamp::now());
        assert_eq!(keystore.generation().expect("a generation"), before + 1);
        let loaded = keystore.load_organisation(&id(organisation));
        assert!(loaded.expect("its keyring").refused.is_empty());
    }
}

/// Nothing is left half written, and nothing that only root can read.
fn is_the_owners(path: &Path) {
    // What the keeper saw and its alarms are its own: the next one writes them anew.
    let is_its_own = |name: &OsStr| name == "keeper.seen" || name == ".tmp-keeper.alarms";
    if path.file_name().is_some_and(is_its_own) {
        return;
    }
    let metadata = fs::symlink_metadata(path).expect("its owner");
    assert_eq!(metadata.uid(), OWNER, "{}", path.display());
    let name = path.file_name().expect("a name").to_string_lossy();
    assert!(!name.starts_with(".tmp"), "{}", path.display());
    if metadata.is_dir() {
        for entry in fs::read_dir(path).expect("a folder") {
            is_the_owners(&entry.expect("an entry").path());
        }
    }
}

/// The state of every key for every domain.
pub(crate) fn state_words(keystore: &Keystore) -> Vec<&'static str> {
    let organisations = keystore.organisations().expect("organisations");
    let rings = organisations.iter().map(|id| keystore.read_keyring(id));
    let rings: Vec<_> = rings.collect::<Result<_, _>>().expect("keyrings");
    let keys = rings.iter().flat_map(Keyring::keys);
    let publications = keys.flat_map(|key| key.publications.values());
    publications.map(|one| one.state.as_str()).collect()
}

/// With its sealing key, if it has one.
pub(crate) fn open(world: &Path) -> Keystore {
    let keystore = Keystore::open(&world.join("keys")).expect("a keystore");
    let file = world.join(SEALING_KEY);
    if file.exists() {
        keystore.sealed_by(&[file])
    } else {
        keystore
    }
}

fn id(name: &str) -> OrganisationId {
    name.parse().expect("an organisation")
}
