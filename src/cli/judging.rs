//! How the organisations of this host stand: their keyrings as they are on the disk, with what
//! the signer says.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::{
    config::{self, Claims, Loaded},
    judgement::{Judgement, Told},
    keys::Keyring,
    keystore::{KeystoreError, Sightings, View},
    names::OrganisationId,
    observe::status::{SignerFacts, SignerFigures},
    organisation::{Organisation, Refusal},
};

/// What is said where [`is_behind`].
pub(super) const BEHIND: &str = "the configuration on disk is newer than the one in use: the \
     signer takes organisations up within seconds, and zegel.toml at `systemctl reload zegel`";

/// Whether the signer uses another configuration than the one on the disk.
pub(super) fn is_behind(figures: &SignerFigures) -> bool {
    figures.configuration_newer_since.is_some()
}

/// By organisation, also of those that are well.
pub(super) type Judgements = BTreeMap<String, Told>;

/// Judges organisations as every other surface does.
pub(super) struct Judge<'a> {
    loaded: &'a Loaded,
    claims: Claims,
    view: View,
    /// None if the signer could not be asked.
    figures: Option<&'a SignerFigures>,
    now: Timestamp,
}

impl<'a> Judge<'a> {
    /// With what the signer says, if it could be asked.
    ///
    /// # Errors
    ///
    /// When the keystore as a whole can't be read.
    pub(super) fn new(
        loaded: &'a Loaded,
        figures: Option<&'a SignerFigures>,
    ) -> Result<Self, KeystoreError> {
        Ok(Self {
            loaded,
            claims: loaded.claims(),
            view: loaded.settings.open_keystore()?.view()?,
            figures,
            now: Timestamp::now(),
        })
    }

    /// All organisations of the configuration.
    pub(super) fn all(&self) -> Judgements {
        let organisations = self.loaded.organisations.iter();
        let told = |one: &Organisation| (one.id.to_string(), self.judge(one).told(&one.id));
        organisations.map(|one| told(one)).collect()
    }

    /// One of them.
    pub(super) fn judge(&self, organisation: &Organisation) -> Judgement {
        match self.view.read_keyring(&organisation.id) {
            Ok((keyring, _)) => self.judge_with(organisation, &keyring),
            Err(problem) => self.heard(organisation, Judgement::unreadable(&problem.to_string())),
        }
    }

    /// One of them, whose keyring has been read.
    pub(super) fn judge_with(&self, organisation: &Organisation, keyring: &Keyring) -> Judgement {
        self.heard(organisation, self.of_keyring(organisation, keyring))
    }

    fn heard(&self, organisation: &Organisation, judgement: Judgement) -> Judgement {
        match self.figures {
            Some(figures) => judgement.heard(organisation, &facts(figures, &organisation.id)),
            None => judgement,
        }
    }

    /// What the keeper saw beside the keys; nothing if that can't be read.
    pub(super) fn sightings(&self, organisation: &Organisation) -> Sightings {
        let read = self.view.sightings(&organisation.id);
        read.map(|(sightings, _)| sightings).unwrap_or_default()
    }

    fn of_keyring(&self, organisation: &Organisation, keyring: &Keyring) -> Judgement {
        let timing = self.loaded.settings.timing();
        let away = self.claims.away(organisation, keyring);
        let sightings = self.sightings(organisation);
        let situation = config::situation(organisation, keyring, &away, &timing);
        let situation = situation.seen(&sightings.leads);
        let publications = keyring
            .keys()
            .iter()
            .flat_map(|key| key.publications.values());
        let checked = publications.filter_map(|one| one.checked).max();
        Judgement::of(&situation, organisation.policy, self.now)
            .saw(organisation, &sightings)
            .looked(checked, timing.check_every, self.now)
    }
}

/// What the signer says of an organisation; one that shows no facts shows its counters.
fn facts(figures: &SignerFigures, id: &OrganisationId) -> SignerFacts {
    let mut facts = figures.facts.get(id.as_str()).cloned().unwrap_or_default();
    let own = figures.organisations.get(id.as_str());
    let awaiting = own.and_then(|own| own.unsigned.get(Refusal::AwaitingKey.as_str()));
    facts.sends_without_key |= awaiting.is_some_and(|count| *count > 0);
    facts
}
