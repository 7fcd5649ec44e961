//! An organisation: its domains, who may send in its name, and what is done with mail
//! that cannot be signed for it.

mod network;
mod policy;
mod selector_template;
mod senders;

pub use self::{
    network::{NetworkError, WrittenNetwork, network_of, remainder},
    policy::{Action, Policy, Refusal},
    selector_template::{SelectorTemplate, TemplateError},
    senders::{Client, Ground, Sender, Senders},
};

use crate::{
    dkim::{Delegations, key::Algorithm},
    names::{DomainName, OrganisationId},
    words::Language,
};

/// One customer: one file in `orgs.d/`, checked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Organisation {
    /// The stem of its file.
    pub id: OrganisationId,
    /// Its name for people; the id where the file gives none.
    pub name: String,
    /// The exact From domains that are signed, in the order of the file.
    pub domains: Vec<DomainName>,
    /// Domains that never send mail.
    pub parked: Vec<DomainName>,
    /// Domains that come from another organisation: it signs for them as long as they are in its
    /// file; this one gets its key ready.
    pub incoming: Vec<DomainName>,
    /// The mail address of whoever looks after its DNS.
    pub contact: Option<String>,
    /// Of packs, letters and other texts for it.
    pub language: Language,
    /// How its selectors are named.
    pub selector: SelectorTemplate,
    /// One signature for each of these; never empty, no duplicates.
    pub algorithms: Vec<Algorithm>,
    /// Who may use its domains; none: any outbound mail.
    pub senders: Option<Senders>,
    /// Whose keys are in a zone of the operator.
    pub delegations: Delegations,
    /// Its own policy over that of `zegel.toml`.
    pub policy: Policy,
}

impl Organisation {
    /// The domains that are to have a key: those that it sends from, and those that come.
    pub fn keyed(&self) -> impl Iterator<Item = &DomainName> {
        self.domains.iter().chain(&self.incoming)
    }

    /// Of which nothing is known but its id.
    pub fn without_file(id: &OrganisationId) -> Self {
        Self {
            name: id.to_string(),
            domains: Vec::new(),
            parked: Vec::new(),
            incoming: Vec::new(),
            contact: None,
            language: Language::default(),
            selector: SelectorTemplate::of_organisation(id),
            algorithms: vec![Algorithm::RsaSha256],
            senders: None,
            delegations: Delegations::default(),
            policy: Policy::default(),
            id: id.clone(),
        }
    }
}
