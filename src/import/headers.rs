//! Which header fields are to be signed otherwise than by default.

use super::{
    finding::{Code, Place},
    setup::Setup,
};
use crate::{
    dkim::{HeaderRules, NEVER_SIGNED},
    names::FieldName,
};

/// The built-in lists, and what another signer does differently.
#[derive(Debug, Default)]
pub(super) struct HeaderChanges {
    rules: HeaderRules,
}

impl HeaderChanges {
    /// Signed once more than it is there.
    pub(super) fn oversign(&mut self, name: &str, place: &Place, setup: &mut Setup) {
        let Some(name) = allowed(name, place, setup) else {
            return;
        };
        if !self.rules.oversign.contains(&name) {
            self.remove(&name);
            self.rules.oversign.push(name);
        }
    }

    /// Signed once more than it is there, if it is there.
    pub(super) fn oversign_if_present(&mut self, name: &str, place: &Place, setup: &mut Setup) {
        let Some(name) = allowed(name, place, setup) else {
            return;
        };
        let rules = &mut self.rules;
        if !rules.oversign.contains(&name) && !rules.oversign_if_present.contains(&name) {
            rules.sign.retain(|listed| *listed != name);
            rules.oversign_if_present.push(name);
        }
    }

    /// Signed as often as it is there.
    pub(super) fn sign(&mut self, name: &str, place: &Place, setup: &mut Setup) {
        let Some(name) = allowed(name, place, setup) else {
            return;
        };
        let rules = &self.rules;
        let mut listed = (rules.oversign.iter())
            .chain(&rules.oversign_if_present)
            .chain(&rules.sign);
        if !listed.any(|listed| *listed == name) {
            self.rules.sign.push(name);
        }
    }

    /// Not signed.
    pub(super) fn omit(&mut self, name: &str, place: &Place, setup: &mut Setup) {
        match name.parse::<FieldName>() {
            Ok(name) if name.as_str() == "from" => setup.say(
                Code::DroppedOption,
                place,
                "From is among the fields that are left out",
                "it is signed all the same (RFC 6376 §5.4)",
            ),
            Ok(name) => self.remove(&name),
            Err(_) => {}
        }
    }

    fn remove(&mut self, name: &FieldName) {
        self.rules.oversign.retain(|listed| listed != name);
        self.rules
            .oversign_if_present
            .retain(|listed| listed != name);
        self.rules.sign.retain(|listed| listed != name);
    }

    /// The lists, if they are not the built-in ones.
    pub(super) fn finish(self) -> Option<HeaderRules> {
        (self.rules != HeaderRules::default()).then_some(self.rules)
    }
}

fn allowed(name: &str, place: &Place, setup: &mut Setup) -> Option<FieldName> {
    match name.parse::<FieldName>() {
        Ok(name) if !NEVER_SIGNED.contains(&name.as_str()) => Some(name),
        Ok(name) => {
            setup.say(
                Code::DroppedOption,
                place,
                format!("{name} is among the fields that are signed"),
                "Zegel never signs it: it changes on the way",
            );
            None
        }
        Err(error) => {
            setup.say(
                Code::BadEntry,
                place,
                format!("{name:?} is no name of a header field: {error}"),
                "it was left out",
            );
            None
        }
    }
}
