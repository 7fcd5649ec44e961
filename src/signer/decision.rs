//! Sign or not, as whom, and why not: the one place where that is decided.
//!
//! Pure: a snapshot, a header section and the circumstances go in, a decision comes out.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    config::{Limits, Outbound},
    dkim::{AuthorRefusal, HeaderSection, author_domain, named_domains},
    names::DomainName,
    observe::metrics::Limit,
    organisation::{Action, Client, Ground, Policy, Refusal, Sender},
    snapshot::{ActiveKey, Domain, DomainKeys, Signing, Snapshot},
};

/// Where a message came from.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    /// The name of the listener.
    pub listener: &'a str,
    /// The rule of the listener.
    pub outbound: &'a Outbound,
    /// The login that the MTA vouches for (`{auth_authen}`).
    pub login: Option<&'a str>,
    /// The SMTP client, as the MTA shows it.
    pub client: Client,
    /// Whether the header section is whole: it [exceeds](exceeded_limit) no limit.
    pub header_is_whole: bool,
}

/// The limit that a header section of this size exceeds, if it does.
pub fn exceeded_limit(limits: &Limits, octets: usize, fields: usize) -> Option<Limit> {
    if octets > limits.header_bytes {
        return Some(Limit::HeaderBytes);
    }
    (fields > limits.header_fields).then_some(Limit::HeaderFields)
}

/// What is known of a message when its header section is complete.
#[derive(Clone, Debug)]
pub struct Decision {
    /// The domain of the one mailbox in the one From field, if there is one.
    pub author: Result<DomainName, AuthorRefusal>,
    /// What our configuration says of that domain, if it is ours. Where there is none, a
    /// domain that the From fields name, if all of those that are ours are one organisation's:
    /// such mail counts as its mail, and its policy holds.
    pub domain: Option<Arc<Domain>>,
    /// What makes the message outbound; none if it is not.
    pub outbound: Option<Ground>,
    /// What lets the sender use that domain; none if nothing does.
    pub permission: Option<Ground>,
    /// Sign with these keys, or don't for this reason.
    pub verdict: Result<Arc<[Arc<ActiveKey>]>, Refusal>,
}

/// How far the header section decides.
#[derive(Clone, Debug)]
pub enum Ruling {
    /// Nothing is left to be found out.
    Decided(Decision),
    /// The keys of the message have to be read first.
    AwaitingKeys(PendingDecision),
}

impl Ruling {
    /// The decision, for which keys are read where that has to be. Blocks then: not for a
    /// task on an async runtime.
    pub fn read_keys(self) -> Decision {
        match self {
            Self::Decided(decision) => decision,
            Self::AwaitingKeys(pending) => pending.read_keys(),
        }
    }
}

/// A message that is to be signed with keys that nobody has read yet.
#[derive(Clone, Debug)]
pub struct PendingDecision {
    /// As it is if the keys can't be read.
    decision: Decision,
    header_is_whole: bool,
}

impl PendingDecision {
    /// The decision for as long as the keys are not read, and if they never are.
    pub fn without_keys(&self) -> &Decision {
        &self.decision
    }

    /// Reads the keys and decides. Blocks: not for a task on an async runtime.
    pub fn read_keys(self) -> Decision {
        let mut decision = self.decision;
        let keys = decision.domain.as_ref().and_then(|one| one.keys.as_ref());
        if let Some(keys) = keys {
            decision.verdict = verdict(&keys.load(), self.header_is_whole);
        }
        decision
    }
}

/// Decides on the header section alone; hazards and older signatures come later. Looks at no
/// disk.
pub fn decide(snapshot: &Snapshot, header: &HeaderSection, of: &Circumstances<'_>) -> Ruling {
    let author = author(header);
    let domain = match &author {
        Ok(author) => snapshot.domain(author),
        Err(_) => named_domain(snapshot, header),
    };
    let domain = domain.cloned();
    let sender = Sender {
        login: of.login,
        client: of.client,
        listener: of.listener,
    };
    let mut decision = Decision {
        permission: domain.as_deref().and_then(|domain| {
            let senders = domain.organisation.senders.as_ref();
            senders.map_or(Some(Ground::Anybody), |senders| senders.ground(&sender))
        }),
        outbound: of.outbound.ground(&sender),
        author,
        domain,
        // As long as the keys are not read.
        verdict: Err(Refusal::SigningFailure),
    };
    let verdict = match decision.keys().map(DomainKeys::ready) {
        Err(refusal) => Some(Err(refusal)),
        Ok(signing) => signing.map(|signing| verdict(signing, of.header_is_whole)),
    };
    let Some(verdict) = verdict else {
        return Ruling::AwaitingKeys(PendingDecision {
            decision,
            header_is_whole: of.header_is_whole,
        });
    };
    decision.verdict = verdict;
    Ruling::Decided(decision)
}

impl Decision {
    /// The keys to sign with, if it is for us to sign; the first refusal in this order counts.
    fn keys(&self) -> Result<&DomainKeys, Refusal> {
        self.outbound.ok_or(Refusal::NotOutbound)?;
        self.author.as_ref().map_err(|refusal| match refusal {
            AuthorRefusal::Missing => Refusal::FromMissing,
            AuthorRefusal::Repeated => Refusal::FromRepeated,
            AuthorRefusal::SeveralMailboxes => Refusal::FromSeveralMailboxes,
            AuthorRefusal::Unparsable => Refusal::FromUnparsable,
        })?;
        let domain = self.domain.as_ref().ok_or(Refusal::UnknownDomain)?;
        let keys = domain.keys.as_ref().ok_or(Refusal::ParkedDomain)?;
        self.permission.ok_or(Refusal::UnauthorisedSender)?;
        Ok(keys)
    }

    /// What the MTA is told if the message is not signed for this reason.
    pub fn action(&self, snapshot: &Snapshot, refusal: Refusal) -> Action {
        self.policy(snapshot).action(refusal)
    }

    /// The policy that holds for the message.
    pub fn policy<'a>(&'a self, snapshot: &'a Snapshot) -> &'a Policy {
        match &self.domain {
            Some(domain) => &domain.organisation.policy,
            None => &snapshot.settings().policy,
        }
    }
}

/// Every domain on which the decision depends.
pub fn asked_domains(header: &HeaderSection) -> BTreeSet<DomainName> {
    let author = author(header).into_iter();
    author.chain(named_domains(header.values("from"))).collect()
}

/// The domain of the From field that every reader of the message sees.
fn author(header: &HeaderSection) -> Result<DomainName, AuthorRefusal> {
    if header.fields().any(|field| field.looks_like("from")) {
        return Err(AuthorRefusal::Unparsable);
    }
    author_domain(header.values("from"))
}

/// The first domain of ours that the From fields name, if no other organisation's is there.
fn named_domain<'a>(snapshot: &'a Snapshot, header: &HeaderSection) -> Option<&'a Arc<Domain>> {
    let mut ours =
        named_domains(header.values("from")).filter_map(|domain| snapshot.domain(&domain));
    let first = ours.next()?;
    ours.all(|other| other.organisation.id == first.organisation.id)
        .then_some(first)
}

fn verdict(signing: &Signing, header_is_whole: bool) -> Result<Arc<[Arc<ActiveKey>]>, Refusal> {
    match signing {
        Signing::Suspended => Err(Refusal::Suspended),
        Signing::Awaiting => Err(Refusal::AwaitingKey),
        Signing::Unusable => Err(Refusal::SigningFailure),
        // Only what would be signed is refused for its size.
        Signing::Active(_) if !header_is_whole => Err(Refusal::LimitExceeded),
        Signing::Active(keys) => Ok(Arc::clone(keys)),
    }
}
