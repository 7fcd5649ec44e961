//! New keys in the place of those that there are.

use jiff::Timestamp;

use super::{addition::Addition, choice::list, generate::free_selector};
use crate::{
    cli::{failure::Failure, output::Output},
    keys::WantedKey,
    keystore::{Keystore, NewKey, Target},
    organisation::Organisation,
};

/// What the guidance asks for; verifiers are slow or fail with more.
const RSA_BITS: usize = 2048;

/// Makes the keys. A domain that has got a successor in the meantime is left out.
pub(super) fn make(
    keystore: &Keystore,
    organisation: &Organisation,
    wanted: &[WantedKey],
) -> Result<Vec<Addition>, Failure> {
    let mut added = Vec::with_capacity(wanted.len());
    for wanted in wanted {
        // Outside the lock: it takes long.
        let key = NewKey::generate(wanted.algorithm, RSA_BITS)?;
        let mut writer = keystore.writer()?;
        let selector = free_selector(keystore, organisation)?;
        let target = Target {
            organisation: &organisation.id,
            selector: &selector,
            domains: &wanted.domains,
        };
        if let Some(entry) = writer.add_wanted(&target, &key, Timestamp::now())? {
            added.push(Addition::new(keystore, &organisation.id, &entry)?);
        }
    }
    Ok(added)
}

/// Who has to do what with them.
pub(super) fn print(organisation: &Organisation, added: &[Addition], output: &mut Output) {
    for addition in added {
        output.line(format_args!(
            "made the key {} of {} ({}) for {}",
            addition.selector,
            organisation.id,
            addition.algorithm,
            list(&addition.domains)
        ));
    }
    output.line(format_args!(
        "Hand its record over to whoever runs the DNS: zegel dns records {}",
        organisation.id
    ));
}
