//! The steps of the decision, in the order in which the milter takes them.

use serde::Serialize;

use super::Explanation;
use crate::{
    cli::trial::{CircumstanceArguments, Trial},
    dkim::AuthorRefusal,
    organisation::{Ground, Refusal},
    signer::Decision,
    words::words,
};

/// One step.
#[derive(Serialize)]
pub(super) struct Step {
    #[serde(rename = "step")]
    pub(super) stage: Stage,
    /// Whether the message passed it; none where it did not come so far.
    pub(super) passed: Option<bool>,
    pub(super) text: String,
}

words! {
    /// What is looked at, in this order: the first that refuses decides.
    #[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
    pub(super) enum Stage {
        Outbound = "outbound",
        From = "from",
        Organisation = "organisation",
        Sender = "sender",
        Keys = "keys",
        Limits = "limits",
        AlreadySigned = "already_signed",
        Hazards = "hazards",
        Signature = "signature",
        Verification = "verification",
        Reply = "reply",
    }
}

impl Stage {
    /// For people.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::From => "From",
            Self::AlreadySigned => "signed already",
            other => other.as_str(),
        }
    }

    /// Where a message is refused for this reason.
    pub(super) fn of(refusal: Refusal, decision: &Decision) -> Self {
        match refusal {
            Refusal::NotOutbound => Self::Outbound,
            Refusal::FromMissing
            | Refusal::FromRepeated
            | Refusal::FromSeveralMailboxes
            | Refusal::FromUnparsable => Self::From,
            Refusal::UnknownDomain | Refusal::ParkedDomain => Self::Organisation,
            Refusal::UnauthorisedSender => Self::Sender,
            Refusal::Suspended | Refusal::AwaitingKey => Self::Keys,
            Refusal::LimitExceeded => Self::Limits,
            Refusal::AlreadySigned => Self::AlreadySigned,
            Refusal::Hazard => Self::Hazards,
            Refusal::SigningFailure if decision.verdict.is_err() => Self::Keys,
            Refusal::SigningFailure => Self::Signature,
        }
    }
}

/// All of them, each with what is known there.
pub(super) fn steps(
    trial: &Trial<'_>,
    explanation: &Explanation,
    arguments: &CircumstanceArguments,
) -> Vec<Step> {
    let refused_at = explanation
        .reason
        .map(|refusal| Stage::of(refusal, &trial.decision));
    let teller = Teller {
        trial,
        explanation,
        arguments,
    };
    let step = |step: Stage| {
        let reached = refused_at.is_none_or(|at| step <= at || step == Stage::Reply);
        let passed = match step {
            Stage::Reply => matches!(explanation.result, "signed" | "unsigned"),
            Stage::Verification => explanation.signatures.iter().all(|one| one.verifies),
            _ => refused_at != Some(step),
        };
        let text = if reached {
            teller.text(step)
        } else {
            "not looked at: decided before".to_owned()
        };
        Step {
            stage: step,
            passed: reached.then_some(passed),
            text,
        }
    };
    Stage::ALL.into_iter().map(step).collect()
}

struct Teller<'a> {
    trial: &'a Trial<'a>,
    explanation: &'a Explanation,
    arguments: &'a CircumstanceArguments,
}

impl Teller<'_> {
    fn text(&self, stage: Stage) -> String {
        match stage {
            Stage::Outbound => self.outbound(),
            Stage::From => self.from(),
            Stage::Organisation => self.organisation(),
            Stage::Sender => self.sender(),
            Stage::Keys => self.keys(),
            Stage::Limits => match self.explanation.reason {
                Some(Refusal::LimitExceeded) => "the header section is beyond [limits]".to_owned(),
                _ => "the header section is within [limits]".to_owned(),
            },
            Stage::AlreadySigned => match self.explanation.reason {
                Some(Refusal::AlreadySigned) => "it carries a valid signature of ours".to_owned(),
                _ => "it carries no valid signature of ours".to_owned(),
            },
            Stage::Hazards => self.hazards(),
            Stage::Signature => self.signature(),
            Stage::Verification => self.verification(),
            Stage::Reply => self.reply(),
        }
    }

    fn outbound(&self) -> String {
        let listener = &self.trial.listener.name;
        match self.trial.decision.outbound {
            None => format!(
                "by the rule of the listener {listener} mail {} is not outbound{}",
                self.origin(),
                if self.arguments.client.address().is_none() {
                    "; if all mail without an address is made on this host, add \
                     without_address = true to that rule and restart"
                } else {
                    ""
                }
            ),
            Some(Ground::Anybody) => format!("all mail on the listener {listener} is outbound"),
            Some(ground) => format!(
                "the listener {listener} takes it for outbound: {}",
                self.ground(ground)
            ),
        }
    }

    fn from(&self) -> String {
        match &self.trial.decision.author {
            Ok(domain) => format!("the domain of its one mailbox is {domain}"),
            Err(AuthorRefusal::Missing) => "there is no From field".to_owned(),
            Err(AuthorRefusal::Repeated) => "there are several From fields".to_owned(),
            Err(AuthorRefusal::SeveralMailboxes) => {
                "the field does not name exactly one mailbox".to_owned()
            }
            Err(AuthorRefusal::Unparsable) => {
                "the field is not what RFC 5322 and RFC 6532 allow".to_owned()
            }
        }
    }

    fn organisation(&self) -> String {
        let decision = &self.trial.decision;
        match (&decision.domain, &self.explanation.file) {
            (Some(domain), Some(file)) => {
                let parked = if domain.keys.is_none() {
                    ", which has it parked: it never sends"
                } else {
                    ""
                };
                let organisation = &domain.organisation;
                format!("{}{parked} ({})", organisation.id, file.display())
            }
            _ => "no organisation has that domain".to_owned(),
        }
    }

    fn sender(&self) -> String {
        match self.trial.decision.permission {
            None => format!(
                "[senders] does not allow mail {}{}",
                self.origin(),
                self.other_spelling()
            ),
            Some(Ground::Anybody) => {
                "any outbound mail may use its domains: there is no [senders]".to_owned()
            }
            Some(ground) => format!("[senders] allows it: {}", self.ground(ground)),
        }
    }

    fn keys(&self) -> String {
        let signing: Vec<&str> = self.trial.keys().map(|key| key.selector.as_str()).collect();
        let (mut used, mut others) = (Vec::new(), Vec::new());
        for key in &self.explanation.keys {
            let (selector, algorithm) = (&key.selector, key.algorithm);
            let text = format!("{selector} ({algorithm}, {})", key.state.as_str());
            if signing.contains(&key.selector.as_str()) {
                used.push(text);
            } else {
                others.push(text);
            }
        }
        match (used.as_slice(), others.join(", ")) {
            ([], others) if others.is_empty() => {
                "the organisation has none for this domain".to_owned()
            }
            ([], others) => format!("none can be used: {others}"),
            (used, others) => {
                let verb = if used.len() == 1 { "signs" } else { "sign" };
                let not = if others.is_empty() { "" } else { ", not " };
                format!("{} {verb}{not}{others}", used.join(" and "))
            }
        }
    }

    fn hazards(&self) -> String {
        match self.explanation.hazards.as_deref() {
            None | Some([]) => "none".to_owned(),
            Some(hazards) => format!("it holds {}", hazards.join(", ")),
        }
    }

    fn signature(&self) -> String {
        let signatures = self.explanation.signatures.iter();
        let signatures: Vec<String> = signatures
            .map(|one| format!("s={} a={}", one.selector, one.algorithm))
            .collect();
        match (&self.trial.decision.author, signatures.is_empty()) {
            (Ok(domain), false) => format!("d={domain} {}", signatures.join(", ")),
            _ => "the cryptography failed".to_owned(),
        }
    }

    fn verification(&self) -> String {
        let problems: Vec<&str> = self
            .explanation
            .signatures
            .iter()
            .filter_map(|one| one.problem.as_deref())
            .collect();
        if problems.is_empty() {
            return "with the public key, as a receiver would: pass".to_owned();
        }
        problems.join(", ")
    }

    fn reply(&self) -> String {
        if self.trial.listener.observe {
            return "it passes as it is: the listener has observe = true".to_owned();
        }
        match self.explanation.result {
            "signed" => "the signature is inserted on top, and the message accepted".to_owned(),
            "tempfailed" => "by the policy it is put off (451 4.7.1)".to_owned(),
            "rejected" => "by the policy it is rejected (550 5.7.1)".to_owned(),
            _ => "by the policy it passes unsigned".to_owned(),
        }
    }

    fn origin(&self) -> String {
        let client = self.arguments.client;
        match self.arguments.login() {
            Some(login) => format!("from {client}, logged in as {login},"),
            None => format!("from {client} without a login"),
        }
    }

    /// Says so where `[senders]` has the login as Sendmail writes it, or the other way round.
    fn other_spelling(&self) -> String {
        let organisation = self
            .trial
            .decision
            .domain
            .as_ref()
            .map(|one| &one.organisation);
        let senders = organisation.and_then(|one| one.senders.as_ref());
        let names = senders.map_or(&[][..], |senders| &senders.auth);
        let login = self.arguments.login().unwrap_or_default();
        let is_same = |name: &&String| as_sendmail(name) == login || **name == as_sendmail(login);
        let name = names.iter().find(is_same);
        name.filter(|_| !login.is_empty())
            .map_or_else(String::new, |name| {
                format!(
                    " and auth has {name}: it has to stand there as the MTA passes it on, which is \
                 {login} here (Sendmail writes + and others as + and two digits)"
                )
            })
    }

    fn ground(&self, ground: Ground) -> String {
        match ground {
            Ground::Anybody => "everybody".to_owned(),
            Ground::Login => format!("the login {}", self.arguments.login().unwrap_or_default()),
            Ground::Network(network) => {
                format!("{} lies in {network}", self.arguments.client)
            }
            Ground::NoAddress => "its client has no address".to_owned(),
            Ground::Listener => format!("it came by the listener {}", self.trial.listener.name),
        }
    }
}

/// A login as Sendmail passes it on: in xtext (RFC 3461 §4), and some more of it encoded.
fn as_sendmail(login: &str) -> String {
    use std::fmt::Write;

    let mut text = String::with_capacity(login.len());
    for octet in login.bytes() {
        if octet.is_ascii_graphic() && !b"+\\()<>\"".contains(&octet) {
            text.push(char::from(octet));
        } else {
            let _ = write!(text, "+{octet:02X}");
        }
    }
    text
}
