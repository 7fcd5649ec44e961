//! Who leaves, by the operator's word. Beside the keyring, as [`super::deadlines`] are: an older
//! zegel, which knows nothing of it, reads the keyring all the same.

use serde::{Deserialize, Serialize};

use super::{
    KeystoreError,
    files::{Folder, Prepared, Secrecy},
};
use crate::keys::{Departures, Keyring, Revision};

pub(super) const NAME: &str = "leaving.json";

const VERSION: u32 = 1;

#[derive(Deserialize, Serialize)]
struct Document {
    version: u32,
    #[serde(flatten)]
    departures: Departures,
}

/// As much as can be read of any version.
#[derive(Deserialize)]
struct AnyVersion {
    version: u32,
}

/// Adds to a keyring what the operator said, or why that can't be read: it is no reason to refuse
/// the keys, and it is not taken for nothing either.
pub(super) fn complete(folder: &Folder, keyring: &mut Keyring) {
    match read(folder) {
        Ok(None) => {}
        Ok(Some(departures)) => keyring.set_departures(departures),
        Err(problem) => keyring.set_departures_problem(problem),
    }
}

/// None if nobody leaves.
fn read(folder: &Folder) -> Result<Option<Departures>, String> {
    // With the name of the file.
    let json = folder.read(NAME, Secrecy::State);
    let Some(json) = json.map_err(|error| error.to_string())? else {
        return Ok(None);
    };
    let place = || folder.path(NAME).display().to_string();
    let broken = |error: serde_json::Error| format!("{}: it is broken: {error}", place());
    let any: AnyVersion = serde_json::from_slice(&json).map_err(broken)?;
    if any.version != VERSION {
        let version = any.version;
        return Err(format!(
            "{}: it has version {version}, and this zegel knows {VERSION}",
            place()
        ));
    }
    let document: Document = serde_json::from_slice(&json).map_err(broken)?;
    Ok(Some(document.departures))
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
