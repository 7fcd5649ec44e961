//! What the keeper saw of SPF and DMARC, as matters.

use super::{Fact, Judgement, Matter, Witness, sentences};
use crate::{
    dns::Code,
    keys::Actor,
    keystore::{DomainSighting, FindingSeen, Sightings},
    names::DomainName,
    organisation::Organisation,
    words::Level,
};

impl Judgement {
    /// With what the keeper saw of the policies of its domains.
    #[must_use]
    pub fn saw(mut self, organisation: &Organisation, sightings: &Sightings) -> Self {
        for domain in organisation.domains.iter().chain(&organisation.parked) {
            // It is no longer ours to advise on.
            if self.has_left(domain) {
                continue;
            }
            if let Some(sighting) = sightings.domains.get(domain) {
                let findings = sighting.findings.iter();
                let matters = findings.filter_map(|one| matter(domain, sighting, one));
                self.matters.extend(matters);
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
