//! How the organisations of this host stand: their keyrings as they are on the disk, with what
//! the signer says.

use std::{collections::BTreeMap, path::Path};

use jiff::Timestamp;

use crate::{
    config::{self, Claims, Loaded},
    judgement::{Judgement, Told},
    keys::Keyring,
    keystore::{KeystoreError, Senders, Sightings, View},
    names::OrganisationId,
    observe::status::{SignerFacts, SignerFigures},
    organisation::{Organisation, Refusal},
};

/// What is said where [`is_behind`].
pub(super) const BEHIND: &str = "the configuration on disk is newer than the one in use: the \
     signer takes organisations up within seconds, and zegel.toml at `systemctl reload zegel`";

/// The clocks of file systems go in steps, of at most so many milliseconds.
const CLOCK_STEP: u64 = 10;

/// Whether the signer uses another configuration than the one on the disk, by its own word or
/// since a file there has changed after its last look.
pub(super) fn is_behind(figures: &SignerFigures, config_file: &Path) -> bool {
    let has_changed = |looked_at: u64| {
        let now = u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0);
        // A time that is to come is of a clock that was wrong.
        let changed = config::changed(config_file).filter(|changed| *changed <= now + CLOCK_STEP);
        changed.is_some_and(|changed| changed + CLOCK_STEP > looked_at)
    };
    figures.configuration_newer_since.is_some()
        || figures.configuration_looked_at_ms.is_some_and(has_changed)
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

    /// What it found of them in DMARC reports; nothing if that can't be read.
    pub(super) fn senders(&self, organisation: &Organisation) -> Senders {
        self.view.senders(&organisation.id).unwrap_or_default()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signer_that_has_not_looked_since_a_change_is_behind() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("zegel.toml");
        std::fs::write(&file, "").unwrap();
        std::fs::create_dir(folder.path().join("orgs.d")).unwrap();
        let organisation = folder.path().join("orgs.d/een.toml");
        let is_behind = |newer_since, looked_at| {
            let figures = SignerFigures {
                configuration_newer_since: newer_since,
                configuration_looked_at_ms: looked_at,
                ..SignerFigures::default()
            };
            is_behind(&figures, &file)
        };
        let now = || config::changed(&file).unwrap();
        let first = now();
        std::thread::sleep(std::time::Duration::from_millis(30));
        let changes: [&dyn Fn(); 4] = [
            &|| (),
            &|| std::fs::write(&organisation, "domains = []").unwrap(),
            &|| std::fs::write(&organisation, "domains = [ ]").unwrap(),
            &|| std::fs::remove_file(&organisation).unwrap(),
        ];
        for change in changes {
            change();
            let latest = now();
            assert!(is_behind(None, Some(latest)));
            assert!(is_behind(None, Some(latest - 1)));
            assert!(!is_behind(None, Some(latest + CLOCK_STEP)));
            // What it says itself counts.
            assert!(is_behind(Some(1), Some(latest + CLOCK_STEP)));
        }
        assert!(now() > first);
        // One that is older than this says nothing of its looks.
        assert!(!is_behind(None, None));
    }
}
