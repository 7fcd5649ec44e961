//! What the keystore says of organisations before anyone has looked at the DNS for them, or when
//! someone else has changed their keys: whether something waits there.

use std::{collections::HashMap, sync::Arc};

use crate::{
    config::situation,
    keys::{Pending, Timing},
    keystore::{GenerationStamp, KeyringStamp, Keystore},
    names::OrganisationId,
    organisation::Organisation,
};

/// The keyrings as they were last read.
#[derive(Debug, Default)]
pub(super) struct Survey {
    stamps: HashMap<OrganisationId, KeyringStamp>,
    generation: Option<GenerationStamp>,
}

impl Survey {
    /// Whether the keyrings were read at this generation.
    pub(super) fn is_of(&self, generation: Option<GenerationStamp>) -> bool {
        generation == self.generation
    }

    /// What waits in each organisation whose keyring was not read before, or has changed.
    pub(super) fn read(
        &mut self,
        keystore: &Keystore,
        organisations: &[Arc<Organisation>],
        timing: &Timing,
    ) -> Vec<(OrganisationId, Option<Pending>)> {
        let mut read = Vec::new();
        // Before the keyrings: what changes from now on is seen the next time.
        self.generation = keystore.generation_stamp().ok();
        let Ok(view) = keystore.view() else {
            return read;
        };
        let mut before = std::mem::take(&mut self.stamps);
        for organisation in organisations {
            let id = &organisation.id;
            if let Some((id, stamp)) = before.remove_entry(id)
                && view.is_unchanged(&id, &stamp)
            {
                self.stamps.insert(id, stamp);
                continue;
            }
            // What can't be read is for the look to say.
            let Ok((keyring, stamp)) = view.read_keyring(id) else {
                continue;
            };
            if let Some(stamp) = stamp {
                self.stamps.insert(id.clone(), stamp);
            }
            let situation = situation(organisation, &keyring, &[], timing);
            read.push((id.clone(), situation.pending()));
        }
        read
    }
}
