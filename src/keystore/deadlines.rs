//! By when records are to be there, where the operator named a day. Beside the keyring: an older
//! zegel, which knows nothing of it, reads the keyring all the same.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    KeystoreError,
    files::{Folder, Secrecy},
};
use crate::{
    keys::{Keyring, State},
    names::Selector,
};

pub(super) const NAME: &str = "deadlines.json";

const VERSION: u32 = 1;

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    keys: BTreeMap<Selector, Timestamp>,
}

/// Adds the deadlines to a keyring in which a key waits. What can't be read is none: it is no
/// reason to refuse the keys.
pub(super) fn complete(folder: &Folder, keyring: &mut Keyring) {
    if waiting(keyring).next().is_some() {
        keyring.set_deadlines(read(folder));
    }
}

fn read(folder: &Folder) -> BTreeMap<Selector, Timestamp> {
    let json = folder.read(NAME, Secrecy::State).ok().flatten();
    let document = json.and_then(|json| serde_json::from_slice::<Document>(&json).ok());
    let document = document.filter(|document| document.version == VERSION);
    document.map(|document| document.keys).unwrap_or_default()
}

fn json(document: &Document) -> Vec<u8> {
    let mut json = serde_json::to_vec_pretty(document)
        .expect("selectors are text, and nothing in it fails to serialise");
    json.push(b'\n');
    json
}

/// The keys of which somebody may have to publish a record.
fn waiting(keyring: &Keyring) -> impl Iterator<Item = &Selector> {
    let keys = keyring.keys().iter().filter(|key| {
        let mut states = key.publications.values().map(|one| one.state);
        states.any(|state| matches!(state, State::Generated | State::Published))
    });
    keys.map(|key| &key.selector)
}

/// Notes a deadline for these keys of a keyring. What was said of keys that wait no more goes.
pub(super) fn set<'a>(
    folder: &Folder,
    keyring: &Keyring,
    selectors: impl Iterator<Item = &'a Selector>,
    by: Timestamp,
) -> Result<(), KeystoreError> {
    let mut keys = read(folder);
    keys.extend(selectors.map(|selector| (selector.clone(), by)));
    keys.retain(|selector, _| waiting(keyring).any(|one| one == selector));
    let document = Document {
        version: VERSION,
        keys,
    };
    folder.prepare(NAME, &json(&document))?.rename()?;
    Ok(folder.sync()?)
}
