//! Sign or not, as whom, and why not: the one place where that is decided.
//!
//! Pure: a snapshot, a header section and the circumstances go in, a decision comes out.

use std::{net::IpAddr, sync::Arc};

use crate::{
    config::Outbound,
    dkim::{AuthorRefusal, HeaderSection, author_domain},
    names::DomainName,
    organisation::{Action, Policy, Refusal, Sender},
    snapshot::{ActiveKey, Domain, DomainKeys, Snapshot},
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
    /// Sign with these keys, or don't for this reason.
    pub verdict: Result<Arc<[Arc<ActiveKey>]>, Refusal>,
}

impl Decision {
    /// Decides on the header section alone; hazards and older signatures come later.
    pub fn new(snapshot: &Snapshot, header: &HeaderSection, of: &Circumstances<'_>) -> Self {
        let author = author_domain(header.values("from"));
        let domain = author
            .as_ref()
            .ok()
            .and_then(|author| snapshot.domain(author))
            .cloned();
        let verdict = decide(author.as_ref(), domain.as_deref(), of);
        Self {
            author,
            domain,
            verdict,
        }
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

fn decide(
    author: Result<&DomainName, &AuthorRefusal>,
    domain: Option<&Domain>,
    of: &Circumstances<'_>,
) -> Result<Arc<[Arc<ActiveKey>]>, Refusal> {
    let sender = Sender {
        login: of.login,
        client: of.client,
        listener: of.listener,
    };
    if !of.outbound.covers(&sender) {
        return Err(Refusal::NotOutbound);
    }
    author.map_err(|refusal| match refusal {
        AuthorRefusal::Missing => Refusal::FromMissing,
        AuthorRefusal::Repeated => Refusal::FromRepeated,
        AuthorRefusal::SeveralMailboxes => Refusal::FromSeveralMailboxes,
        AuthorRefusal::Unparsable => Refusal::FromUnparsable,
    })?;
    let domain = domain.ok_or(Refusal::UnknownDomain)?;
    let keys = domain.keys.as_ref().ok_or(Refusal::ParkedDomain)?;
    let allowed = domain
        .organisation
        .senders
        .as_ref()
        .is_none_or(|senders| senders.allow(&sender));
    if !allowed {
        return Err(Refusal::UnauthorisedSender);
    }
    match keys {
        DomainKeys::Awaiting => Err(Refusal::AwaitingKey),
        DomainKeys::Unusable => Err(Refusal::SigningFailure),
        // Only what would be signed is refused for its size.
        DomainKeys::Active(_) if !of.header_is_whole => Err(Refusal::LimitExceeded),
        DomainKeys::Active(keys) => Ok(Arc::clone(keys)),
    }
}
