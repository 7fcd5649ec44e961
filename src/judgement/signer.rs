//! What this process, a signer, knows of an organisation beyond the keyring.

use crate::{
    observe::{metrics::Metrics, status::SignerFacts},
    organisation::Organisation,
    snapshot::Snapshot,
};

/// As it is in use. Looks at no disk: of a key that nobody has read yet nothing is known.
pub fn facts(organisation: &Organisation, snapshot: &Snapshot, metrics: &Metrics) -> SignerFacts {
    let put_off = organisation.domains.iter().filter_map(|name| {
        let keys = snapshot.domain(name)?.keys.as_ref()?;
        Some((name.to_string(), keys.why_unusable()?))
    });
    SignerFacts {
        sends_without_key: metrics.sends_without_key(&organisation.id),
        put_off: put_off.collect(),
    }
}
