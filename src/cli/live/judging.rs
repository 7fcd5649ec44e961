//! How the organisations of this host stand: their keyrings as they are on the disk, with what
//! the signer says.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::{
    config::{self, Claims, Loaded},
    judgement::{Judgement, Told},
    keystore::{KeystoreError, View},
    names::OrganisationId,
    observe::status::{SignerFacts, SignerFigures},
    organisation::{Organisation, Refusal},
};

/// By organisation, also of those that are well.
pub(super) type Judgements = BTreeMap<String, Told>;

/// Judges all organisations of the configuration.
///
/// # Errors
///
/// When the keystore as a whole can't be read.
pub(super) fn judge_all(
    loaded: &Loaded,
    figures: Option<&SignerFigures>,
) -> Result<Judgements, KeystoreError> {
    let view = loaded.settings.open_keystore()?.view()?;
    let claims = loaded.claims();
    let now = Timestamp::now();
    let judge = |organisation: &Organisation| {
        let known = figures.map(|figures| facts(figures, &organisation.id));
        let judgement = judge(organisation, (loaded, &claims), &view, now);
        let judgement = match known {
            Some(facts) => judgement.heard(organisation, &facts),
            None => judgement,
        };
        (
            organisation.id.to_string(),
            judgement.told(&organisation.id),
        )
    };
    let organisations = loaded.organisations.iter();
    Ok(organisations.map(|one| judge(one)).collect())
}

fn judge(
    organisation: &Organisation,
    (loaded, claims): (&Loaded, &Claims),
    view: &View,
    now: Timestamp,
) -> Judgement {
    let keyring = match view.read_keyring(&organisation.id) {
        Ok((keyring, _)) => keyring,
        Err(problem) => return Judgement::unreadable(&problem.to_string()),
    };
    let timing = loaded.settings.timing();
    let away = claims.away(organisation, &keyring);
    let situation = config::situation(organisation, &keyring, &away, &timing);
    let publications = keyring
        .keys()
        .iter()
        .flat_map(|key| key.publications.values());
    let checked = publications.filter_map(|one| one.checked).max();
    Judgement::of(&situation, organisation.policy, now).looked(checked, timing.check_every, now)
}

/// What the signer says of an organisation; one that shows no facts shows its counters.
fn facts(figures: &SignerFigures, id: &OrganisationId) -> SignerFacts {
    let mut facts = figures.facts.get(id.as_str()).cloned().unwrap_or_default();
    let own = figures.organisations.get(id.as_str());
    let awaiting = own.and_then(|own| own.unsigned.get(Refusal::AwaitingKey.as_str()));
    facts.sends_without_key |= awaiting.is_some_and(|count| *count > 0);
    facts
}
