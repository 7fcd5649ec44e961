//! A domain of an organisation, and what to sign with for it.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use super::{held::ActiveKey, keys::KeySet};
use crate::{names::DomainName, observe::metrics::OrganisationMetrics, organisation::Organisation};

/// A domain of an organisation.
#[derive(Debug)]
pub struct Domain {
    /// The organisation that has it.
    pub organisation: Arc<Organisation>,
    /// The counters of that organisation.
    pub metrics: OrganisationMetrics,
    /// What to sign with; nothing for a parked domain.
    pub keys: Option<DomainKeys>,
}

/// The keys of a domain that are in use. Their files are read when they are first needed.
pub struct DomainKeys {
    domain: DomainName,
    set: Arc<KeySet>,
    signing: OnceLock<Signing>,
}

/// What to sign with for a domain.
#[derive(Clone, Debug)]
pub enum Signing {
    /// At least one, in the order of the organisation's algorithms.
    Active(Arc<[Arc<ActiveKey>]>),
    /// None yet.
    Awaiting,
    /// There is one and it can't be used: mail must not leave unsigned because of that.
    Unusable,
}

impl DomainKeys {
    pub(super) fn new(domain: &DomainName, set: &Arc<KeySet>) -> Self {
        Self {
            domain: domain.clone(),
            set: Arc::clone(set),
            signing: OnceLock::new(),
        }
    }

    /// What to sign with, if that is known already; nothing when a key has to be read for
    /// that ([`DomainKeys::load`]). Looks at no disk and waits for nobody.
    pub fn ready(&self) -> Option<&Signing> {
        let known = self.signing.get();
        known.or_else(|| self.set.is_read().then(|| self.choose()))
    }

    /// What to sign with. Reads the keys that nobody has read yet, and then blocks: not for
    /// a task on an async runtime. A key is read once, however many messages wait for it;
    /// what is wrong with it is logged then. What could not be read for want of something
    /// is read again the next time.
    pub fn load(&self) -> Signing {
        let chosen = self.set.choose(&self.domain);
        match self.ready() {
            Some(signing) => signing.clone(),
            None => chosen,
        }
    }

    fn choose(&self) -> &Signing {
        self.signing.get_or_init(|| self.set.choose(&self.domain))
    }

    /// Whether the domain has no key in use; this is known without reading one.
    pub fn is_awaiting(&self) -> bool {
        self.set.is_awaiting(&self.domain)
    }
}

/// The selectors, or why there are none; of keys that nobody has read yet, those that the
/// keyring has.
impl fmt::Display for DomainKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let selectors = match self.ready() {
            Some(Signing::Unusable) => return formatter.write_str("unusable"),
            Some(Signing::Active(keys)) => keys.iter().map(|key| key.selector.as_str()).collect(),
            Some(Signing::Awaiting) | None => self.set.selectors(&self.domain),
        };
        if selectors.is_empty() {
            let is_awaiting = self.is_awaiting();
            return formatter.write_str(if is_awaiting {
                "awaiting a key"
            } else {
                "unusable"
            });
        }
        formatter.write_str(&selectors.join(" and "))
    }
}

impl fmt::Debug for DomainKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("DomainKeys")
            .field("domain", &self.domain)
            .field("signing", &self.signing)
            .finish_non_exhaustive()
    }
}
