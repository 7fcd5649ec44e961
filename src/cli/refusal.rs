//! Why a message is not signed, for people: what it means and what to do about it.

use crate::{
    dkim::Hazard,
    organisation::Refusal,
    signer::{Decision, Refused},
};

/// The same where no key is in use since the operator has said that the domain leaves.
pub(super) fn has_left(decision: &Decision) -> String {
    let author = decision.author.as_ref();
    let author = author.map_or("the From domain", |author| author.as_str());
    let domain = decision.domain.as_ref();
    let organisation = domain.map_or("the organisation", |domain| domain.organisation.id.as_str());
    format!(
        "{author} of {organisation} has left, by `zegel org retire`; see `zegel org show \
         {organisation}`, and `zegel org retire {organisation} --undo` if it comes back"
    )
}

/// One sentence or two for a refusal.
pub(super) fn explain(decision: &Decision, refused: Refused, listener: &str) -> String {
    let author = decision.author.as_ref();
    let author = author.map_or("the From domain", |author| author.as_str());
    let domain = decision.domain.as_ref();
    let organisation = domain.map_or("the organisation", |domain| domain.organisation.id.as_str());
    match refused.refusal {
        Refusal::NotOutbound => format!(
            "the rule of the listener {listener} says that this mail is not outbound; see \
             `outbound` of that [[listener]], and try --client or --auth"
        ),
        Refusal::UnknownDomain => format!(
            "no organisation has {author}; if it is one of yours, add it to `domains` in a \
             file in orgs.d (a subdomain must be there itself)"
        ),
        Refusal::ParkedDomain => format!(
            "{author} is parked by {organisation}: it never sends mail; if it does now, move \
             it from `parked` to `domains` in orgs.d/{organisation}.toml"
        ),
        Refusal::UnauthorisedSender => format!(
            "{organisation} does not allow this sender to use its domains; see [senders] in \
             orgs.d/{organisation}.toml, and try --client, --auth or --listener"
        ),
        Refusal::Suspended => format!(
            "the operator has suspended {organisation}; `zegel org resume {organisation}` ends that"
        ),
        Refusal::AwaitingKey => format!(
            "{organisation} has no key in use for {author} yet; see `zegel key list \
             {organisation}`, then `zegel key generate` or `zegel key activate`"
        ),
        Refusal::SigningFailure => {
            format!("the keys of {author} cannot be used; `zegel check` says why")
        }
        Refusal::Hazard => {
            let words: Vec<&str> = refused.hazards.iter().map(Hazard::as_str).collect();
            format!(
                "the message holds what breaks signatures on its way ({}), and the policy refuses \
                 that",
                words.join(", ")
            )
        }
        Refusal::FromMissing => "the message has no From field".to_owned(),
        Refusal::FromRepeated => {
            "the message has several From fields, and readers differ in which they show".to_owned()
        }
        Refusal::FromSeveralMailboxes => {
            "the From field does not name exactly one mailbox".to_owned()
        }
        Refusal::FromUnparsable => "the From field is not what RFC 5322 allows, and readers \
                                    differ in what they make of it"
            .to_owned(),
        Refusal::AlreadySigned => "a valid signature of ours is there already".to_owned(),
        Refusal::LimitExceeded => "the header section is larger than [limits] header_bytes or \
                                   header_fields allow"
            .to_owned(),
    }
}
