//! What the log is told of a keystore that can be used, and may still be wrong.

use crate::{keystore::UnusedSealingKey, snapshot::Snapshot};

/// Files of sealing keys that are missing and not needed.
pub(super) fn of_unused(files: &[UnusedSealingKey]) {
    for file in files {
        tracing::warn!("{file}");
    }
}

/// A keystore that is not whole looks like one in which no key is in use yet.
pub(super) fn of_unsigned(snapshot: &Snapshot) {
    let domains = snapshot.domains_without_key();
    if domains > 0 {
        let keystore = &snapshot.settings().keystore_path;
        tracing::warn!(
            domains,
            "domains have no key in use, so that their mail is not signed: is this the right \
             keystore, and is it whole? ({})",
            keystore.display()
        );
    }
}

/// A zegel of 0.1 made it, or it is a copy that is not whole.
pub(super) fn of_no_id(snapshot: &Snapshot) {
    if snapshot.lacks_id() {
        tracing::warn!(
            "{}: the keystore has no id, so nobody notices if another one is put in its place; it \
             gets one with its next change, and on a relay that only reads with its next copy \
             (docs/several-relays.md)",
            snapshot.settings().keystore_path.display()
        );
    }
}
