//! Domains that several files have, where nobody knows who had them before.

use crate::{
    config::{Contested, Loaded},
    keystore::View,
    names::OrganisationId,
};

/// At a start: each goes to the organisation that has a key in use for it, if one has.
pub(super) fn settle_by_keys(loaded: &mut Loaded, view: &View) {
    settle(loaded, |contested| {
        let has_key = |id: &&OrganisationId| {
            let keyring = view.read_keyring(id);
            keyring.is_ok_and(|(keyring, _)| keyring.in_use().contains(&contested.domain))
        };
        let mut with_key = contested.senders.iter().filter(has_key);
        let one = with_key.next();
        one.filter(|_| with_key.next().is_none())
    });
}

/// While no key can be read, each is put under the first that sends from it: its mail is put off.
pub(super) fn settle_for_now(loaded: &mut Loaded) {
    settle(loaded, |contested| contested.senders.first());
}

fn settle(loaded: &mut Loaded, holder: impl Fn(&Contested) -> Option<&OrganisationId>) {
    for contested in &mut loaded.mistakes.contested {
        if contested.holder.is_some() {
            continue;
        }
        let holder = holder(contested).cloned();
        let organisations = &mut loaded.organisations;
        let of_holder = organisations
            .iter_mut()
            .find(|one| Some(&one.id) == holder.as_ref());
        if let Some(organisation) = of_holder {
            let mut with_domain = (**organisation).clone();
            with_domain.domains.push(contested.domain.clone());
            *organisation = with_domain.into();
            contested.holder = holder;
        }
    }
}
