//! What the keeper saw of SPF and DMARC, as matters.

use super::{Fact, Judgement, Matter, Witness, alarms, climbing, sentences};
use crate::{
    dns::Code,
    keys::Actor,
    keystore::{DomainSighting, FindingSeen, Sightings},
    names::DomainName,
    organisation::Organisation,
    words::Level,
};

impl Judgement {
    /// With what the keeper saw of the policies of its domains, how far they have come on the
    /// ladder of DMARC, and what reports show of keys.
    #[must_use]
    pub fn saw(mut self, organisation: &Organisation, sightings: &Sightings) -> Self {
        // What waits would stand before the first key, which has to come first.
        let is_live = self.matters.iter().all(|one| one.level != Level::NotLive);
        for domain in organisation.domains.iter().chain(&organisation.parked) {
            // It is no longer ours to advise on.
            if self.has_left(domain) {
                continue;
            }
            let mut is_said = false;
            if let Some(sighting) = sightings.domains.get(domain) {
                let findings = sighting.findings.iter();
                let matters = findings.filter_map(|one| matter(domain, sighting, one));
                let matters: Vec<Matter> = matters.collect();
                is_said = matters
                    .iter()
                    .any(|one| one.fact.as_str().starts_with("dmarc."));
                self.matters.extend(matters);
            }
            if let Some(climbed) = sightings.climbed.get(domain) {
                // Where the record is missing or wrong, that is said once.
                let matters = climbing::matters(domain, climbed).into_iter();
                let is_new = |one: &Matter| !(is_said && one.fact.as_str() == "dmarc.publish");
                let counts = |one: &Matter| is_new(one) && (is_live || one.level != Level::Waits);
                self.matters.extend(matters.filter(counts));
                self.matters.extend(alarms::matters(domain, climbed));
            }
        }
        self.sort();
        self
    }
}

fn matter(domain: &DomainName, sighting: &DomainSighting, finding: &FindingSeen) -> Option<Matter> {
    let code = Code::named(&finding.code).filter(|code| sentences::is_policy(*code))?;
    let fact = Fact::Policy {
        code,
        name: finding.name.clone(),
        expected: finding.expected.clone(),
    };
    Some(Matter {
        domain: Some(domain.clone()),
        since: Some(finding.since),
        seen: Some(sighting.checked),
        actor: Actor::Administrator,
        ..Matter::new(Level::Act, fact, Witness::Keeper)
    })
}
