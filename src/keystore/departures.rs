//! Who leaves, by the operator's word. Beside the keyring, as [`super::deadlines`] are: an older
//! zegel, which knows nothing of it, reads the keyring all the same.

use serde::{Deserialize, Serialize};

use super::{
    KeystoreError,
    files::{Folder, Prepared, Secrecy},
};
use crate::keys::{Departures, Keyring, Revision};

const NAME: &str = "leaving.json";

const VERSION: u32 = 1;

#[derive(Deserialize, Serialize)]
struct Document {
    version: u32,
    #[serde(flatten)]
    departures: Departures,
}

/// Adds to a keyring what the operator said. What can't be read says nothing: it is no reason to
/// refuse the keys, and a key that drains comes back only where its record is seen and its file
/// is there.
pub(super) fn complete(folder: &Folder, keyring: &mut Keyring) {
    let json = folder.read(NAME, Secrecy::State).ok().flatten();
    let document = json.and_then(|json| serde_json::from_slice::<Document>(&json).ok());
    if let Some(document) = document.filter(|document| document.version == VERSION) {
        keyring.set_departures(document.departures);
    }
}

/// Writes what changes, still under another name; none if nothing does.
pub(super) fn prepare<'a>(
    folder: &'a Folder,
    revision: &Revision<'_>,
) -> Result<Option<Prepared<'a>>, KeystoreError> {
    let departures = revision.after.departures();
    if departures == revision.before.departures() {
        return Ok(None);
    }
    let document = Document {
        version: VERSION,
        departures: departures.clone(),
    };
    let mut json = serde_json::to_vec_pretty(&document)
        .expect("domains are text, and nothing in it fails to serialise");
    json.push(b'\n');
    Ok(Some(folder.prepare(NAME, &json)?))
}
