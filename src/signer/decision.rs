//! Sign or not, as whom, and why not: the one place where that is decided.
//!
//! Pure: a snapshot, a header section and the circumstances go in, a decision comes out.

use std::{net::IpAddr, sync::Arc};

use crate::{
    config::Outbound,
    dkim::{AuthorRefusal, HeaderSection, author_domain},
    names::DomainName,
    organisation::{Action, Ground, Policy, Refusal, Sender},
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
    /// The address of the SMTP client, as the MTA gives it.
    pub client: Option<IpAddr>,
    /// Whether the header section is whole: within `[limits]`.
    pub header_is_whole: bool,
}

/// What is known of a message when its header section is complete.
#[derive(Clone, Debug)]
pub struct Decision {
    /// The domain of the one mailbox in the one From field, if there is one.
    pub author: Result<DomainName, AuthorRefusal>,
    /// What our configuration says of that domain, if it is ours.
    pub domain: Option<Arc<Domain>>,
    /// What makes the message outbound; none if it is not.
    pub outbound: Option<Ground>,
    /// What lets the sender use that domain; none if nothing does.
    pub permission: Option<Ground>,
    /// Sign with these keys, or don't for this reason.
    pub verdict: Result<Arc<[Arc<ActiveKey>]>, Refusal>,
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
    pub fn resolve(self) -> Decision {
        let mut decision = self.decision;
        let keys = decision.domain.as_ref().and_then(|one| one.keys.as_ref());
        if let Some(keys) = keys {
            decision.verdict = verdict(&keys.load(), self.header_is_whole);
        }
        decision
    }
}

impl Decision {
    /// Decides on the header section alone; hazards and older signatures come later. Looks
    /// at no disk.
    ///
    /// # Errors
    ///
    /// Nothing is wrong: the keys have to be read first.
    pub fn new(
        snapshot: &Snapshot,
        header: &HeaderSection,
        of: &Circumstances<'_>,
    ) -> Result<Self, PendingDecision> {
        let author = author(header);
        let domain = author
            .as_ref()
            .ok()
            .and_then(|author| snapshot.domain(author))
            .cloned();
        let sender = Sender {
            login: of.login,
            client: of.client,
            listener: of.listener,
        };
        let outbound = of.outbound.ground(&sender);
        let permission = domain.as_deref().and_then(|domain| {
            let senders = domain.organisation.senders.as_ref();
            senders.map_or(Some(Ground::Anybody), |senders| senders.ground(&sender))
        });
        let keys = keys_for(author.as_ref(), domain.as_deref(), (outbound, permission));
        let verdict = match keys.map(DomainKeys::ready) {
            Err(refusal) => Some(Err(refusal)),
            Ok(signing) => signing.map(|signing| verdict(signing, of.header_is_whole)),
        };
        let is_known = verdict.is_some();
        let decision = Self {
            author,
            domain,
            outbound,
            permission,
            verdict: verdict.unwrap_or(Err(Refusal::SigningFailure)),
        };
        if is_known {
            return Ok(decision);
        }
        Err(PendingDecision {
            decision,
            header_is_whole: of.header_is_whole,
        })
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

/// The domain of the From field that every reader of the message sees.
fn author(header: &HeaderSection) -> Result<DomainName, AuthorRefusal> {
    if header.fields().any(|field| field.looks_like("from")) {
        return Err(AuthorRefusal::Unparsable);
    }
    author_domain(header.values("from"))
}

/// The keys to sign with, if it is for us to sign.
fn keys_for<'a>(
    author: Result<&DomainName, &AuthorRefusal>,
    domain: Option<&'a Domain>,
    (outbound, permission): (Option<Ground>, Option<Ground>),
) -> Result<&'a DomainKeys, Refusal> {
    outbound.ok_or(Refusal::NotOutbound)?;
    author.map_err(|refusal| match refusal {
        AuthorRefusal::Missing => Refusal::FromMissing,
        AuthorRefusal::Repeated => Refusal::FromRepeated,
        AuthorRefusal::SeveralMailboxes => Refusal::FromSeveralMailboxes,
        AuthorRefusal::Unparsable => Refusal::FromUnparsable,
    })?;
    let domain = domain.ok_or(Refusal::UnknownDomain)?;
    let keys = domain.keys.as_ref().ok_or(Refusal::ParkedDomain)?;
    permission.ok_or(Refusal::UnauthorisedSender)?;
    Ok(keys)
}

fn verdict(signing: &Signing, header_is_whole: bool) -> Result<Arc<[Arc<ActiveKey>]>, Refusal> {
    match signing {
        Signing::Awaiting => Err(Refusal::AwaitingKey),
        Signing::Unusable => Err(Refusal::SigningFailure),
        // Only what would be signed is refused for its size.
        Signing::Active(_) if !header_is_whole => Err(Refusal::LimitExceeded),
        Signing::Active(keys) => Ok(Arc::clone(keys)),
    }
}
