//! What the keeper saw of SPF and DMARC, as matters.

use super::{Fact, Judgement, Matter, Witness};
use crate::{
    dns::Code,
    keys::Actor,
    keystore::{DomainSighting, FindingSeen, Sightings},
    names::DomainName,
    organisation::Organisation,
    words::Level,
};

/// What is wrong with a policy, and asks for someone: mail is fine meanwhile, or was never better.
/// What could be better, such as `p=none`, is a step on the way and not a matter.
const POLICIES: [Code; 9] = [
    Code::SpfMissing,
    Code::SpfTwoRecords,
    Code::SpfRelay,
    Code::SpfBroken,
    Code::SpfNotParked,
    Code::DmarcMissing,
    Code::DmarcTwoRecords,
    Code::DmarcMalformed,
    Code::DmarcNotParked,
];

impl Judgement {
    /// With what the keeper saw of the policies of its domains.
    #[must_use]
    pub fn saw(mut self, organisation: &Organisation, sightings: &Sightings) -> Self {
        for domain in organisation.domains.iter().chain(&organisation.parked) {
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
    let code = Code::named(&finding.code).filter(|code| POLICIES.contains(code))?;
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
