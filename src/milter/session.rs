//! One connection of an MTA and the message it carries: collects what comes, decides when
//! the header section is complete, and signs at the end of the message.
//!
//! Every message starts from nothing but the connection's client address (`mail`), so that
//! what one organisation sends never touches what another one sends behind it.

use std::{borrow::Cow, net::IpAddr, sync::Arc, time::Instant};

use super::{
    collected::Collected,
    context::ListenerContext,
    negotiation::{Agreement, Insertion},
    report::Report,
};
use crate::{
    dkim::{Canonicalisation, CanonicalisationPair, LeadingSpace, VerificationError},
    names::OrganisationId,
    organisation::{Action, Refusal},
    signer::{
        Body, Circumstances, Decision, PendingDecision, Refused, Ruling, Signed, Work, decide,
    },
    snapshot::Snapshot,
};

/// A connection.
pub(super) struct Session {
    listener: Arc<ListenerContext>,
    agreement: Agreement,
    client: Option<IpAddr>,
    message: State,
    /// When the end of the message came, which may have waited since.
    ended: Option<Instant>,
}

/// Where the message of a session stands.
enum State {
    /// There is no message.
    None,
    /// From MAIL until its content comes, with the login of the sender.
    Envelope(Option<String>),
    /// In the header section.
    Header(Collected),
    /// Behind the header section.
    Body(Box<Decided>),
    /// A step panicked: the message can't be trusted to be whole.
    Failed,
}

/// A message behind its header section.
struct Decided {
    collected: Collected,
    decision: Decision,
    /// Only where there is something to sign.
    body: Option<Body>,
}

/// What the MTA is told at the end of a message.
pub(super) enum Ending {
    /// Insert signatures on top, then accept.
    Signed(Box<SignedMessage>),
    /// Not signed, and what is done with it.
    Refused(Box<RefusedMessage>),
    /// Accept the message as it came: the listener only looks on.
    Observed,
    /// The message did not come whole, which was told.
    Incomplete,
}

/// A message whose signatures have not been handed over yet.
pub(super) struct SignedMessage {
    /// The DKIM-Signature values.
    pub(super) values: Vec<String>,
    decision: Decision,
    signed: Signed,
    octets: u64,
    begun: Instant,
}

/// A message that is not signed, of which the MTA has not heard yet.
pub(super) struct RefusedMessage {
    pub(super) action: Action,
    pub(super) refused: Refused,
    decision: Decision,
    octets: u64,
    begun: Instant,
}

impl Session {
    pub(super) fn new(listener: Arc<ListenerContext>, agreement: Agreement) -> Self {
        Self {
            listener,
            agreement,
            client: None,
            message: State::None,
            ended: None,
        }
    }

    /// An SMTP client has connected to the MTA.
    pub(super) fn connect(&mut self, client: Option<IpAddr>) {
        self.client = client.map(|address| address.to_canonical());
        self.message = State::None;
    }

    /// A message begins; nothing of the one before is left.
    pub(super) fn mail(&mut self, login: Option<String>) {
        self.message = State::Envelope(login.filter(|login| !login.is_empty()));
    }

    /// The next header field, as the MTA shows it.
    pub(super) fn header(&mut self, name: &[u8], value: &[u8]) {
        self.begin_content();
        if let State::Header(collected) = &mut self.message {
            let value = match self.agreement.leading_space {
                LeadingSpace::Ours => Cow::Borrowed(value),
                LeadingSpace::AddedByMta => Cow::Owned([b" ", value].concat()),
            };
            if let Some(limit) = collected.push(name, &value) {
                self.listener.metrics.limit_reached(limit);
            }
        }
    }

    /// The header section is complete: the decision falls, though nothing is said of it yet.
    ///
    /// Where a key has to be read first, [`Session::resolved`] is to be called before
    /// anything else; without that the message is not signed.
    pub(super) fn end_of_header(&mut self) -> Option<PendingDecision> {
        self.begin_content();
        let State::Header(collected) = std::mem::replace(&mut self.message, State::None) else {
            return None;
        };
        let (decision, pending) = match self.decide(&collected) {
            Ruling::Decided(decision) => (decision, None),
            Ruling::AwaitingKeys(pending) => (pending.without_keys().clone(), Some(pending)),
        };
        self.message = self.decided(collected, decision);
        pending
    }

    /// The keys have been read.
    pub(super) fn resolved(&mut self, decision: Decision) {
        self.message = match std::mem::replace(&mut self.message, State::None) {
            State::Body(decided) => self.decided(decided.collected, decision),
            other => other,
        };
    }

    /// Something that the message needs of us did not come in time: it is not signed.
    pub(super) fn put_off(&mut self) {
        if let State::Body(decided) = &mut self.message {
            decided.decision.verdict = Err(Refusal::SigningFailure);
        }
    }

    /// The next piece of the body.
    pub(super) fn body(&mut self, chunk: &[u8]) {
        if let State::Body(decided) = &mut self.message {
            decided.collected.octets += chunk.len() as u64;
            if let Some(body) = &mut decided.body {
                body.update(chunk);
            }
        }
    }

    /// The end of the message has come; whose it is, if there is something to sign.
    pub(super) fn end_comes(&mut self) -> Option<OrganisationId> {
        self.ended = Some(Instant::now());
        let State::Body(decided) = &self.message else {
            return None;
        };
        decided.body.as_ref()?;
        let domain = decided.decision.domain.as_ref()?;
        Some(domain.organisation.id.clone())
    }

    /// The message is complete. `now` is in seconds since 1970.
    pub(super) fn end_of_message(&mut self, queue_id: &str, now: u64) -> Ending {
        let begun = self.ended.take().unwrap_or_else(Instant::now);
        match std::mem::replace(&mut self.message, State::None) {
            State::Body(decided) => self.end(*decided, &self.report(queue_id, begun), now),
            State::None | State::Envelope(_) | State::Header(_) | State::Failed => {
                self.listener.incomplete_message(queue_id);
                Ending::Incomplete
            }
        }
    }

    /// The MTA has been told, or could not be: what it has not got counts as tempfailed, since
    /// that is what becomes of it.
    pub(super) fn told(&self, ending: &Ending, queue_id: &str, written: bool) {
        match ending {
            Ending::Signed(message) => self.told_signed(message, queue_id, written),
            Ending::Refused(message) => {
                let action = if written {
                    message.action
                } else {
                    Action::Tempfail
                };
                let report = self.report(queue_id, message.begun);
                report.refused(&message.decision, message.refused, (action, message.octets));
            }
            Ending::Observed | Ending::Incomplete => {}
        }
    }

    fn told_signed(&self, message: &SignedMessage, queue_id: &str, written: bool) {
        let report = self.report(queue_id, message.begun);
        if written {
            return report.signed(&message.decision, &message.signed, message.octets);
        }
        tracing::error!(queue_id, "the signature could not be handed over");
        let refused = Refused {
            refusal: Refusal::SigningFailure,
            hazards: message.signed.hazards,
        };
        report.refused(
            &message.decision,
            refused,
            (Action::Tempfail, message.octets),
        );
    }

    fn report<'a>(&'a self, queue_id: &'a str, begun: Instant) -> Report<'a> {
        Report {
            listener: &self.listener,
            queue_id,
            begun,
        }
    }

    /// The message is given up by the MTA.
    pub(super) fn abort(&mut self) {
        self.message = State::None;
    }

    /// What was collected can't be trusted any more.
    pub(super) fn fail(&mut self) {
        self.message = State::Failed;
    }

    /// The content begins, if it has not. The snapshot is taken only now: between MAIL and
    /// this an SMTP client may be silent for hours, and a key be revoked meanwhile.
    fn begin_content(&mut self) {
        if let State::Envelope(login) = &mut self.message {
            let collected = Collected::new(self.listener.snapshot(), login.take());
            self.message = State::Header(collected);
        }
    }

    fn decide(&self, collected: &Collected) -> Ruling {
        let circumstances = Circumstances {
            listener: &self.listener.name,
            outbound: &self.listener.outbound,
            login: collected.login.as_deref(),
            client: self.client,
            header_is_whole: collected.header_is_whole,
        };
        decide(&collected.snapshot, &collected.header, &circumstances)
    }

    fn decided(&self, collected: Collected, mut decision: Decision) -> State {
        let forbidden = self.agreement.insertion == Insertion::Forbidden;
        if forbidden && !self.listener.observe && decision.verdict.is_ok() {
            decision.verdict = Err(Refusal::SigningFailure);
        }
        let body = decision
            .verdict
            .is_ok()
            .then(|| Body::new(self.canonicalisation(&collected.snapshot)));
        State::Body(Box::new(Decided {
            collected,
            decision,
            body,
        }))
    }

    /// Simple header canonicalisation needs values exactly as they are: where the MTA keeps
    /// a blank to itself only relaxed can be right.
    fn canonicalisation(&self, snapshot: &Snapshot) -> CanonicalisationPair {
        let mut pair = snapshot.signing().canonicalisation;
        if self.agreement.leading_space == LeadingSpace::AddedByMta {
            pair.header = Canonicalisation::Relaxed;
        }
        pair
    }

    fn end(&self, decided: Decided, report: &Report<'_>, now: u64) -> Ending {
        let Decided {
            collected,
            decision,
            body,
        } = decided;
        let canonicalisation = self.canonicalisation(&collected.snapshot);
        let work = Work::new(
            &decision,
            &collected.snapshot,
            &collected.header,
            canonicalisation,
            now,
        );
        let result =
            work.and_then(|work| Ok((work, work.sign(body.ok_or(Refusal::SigningFailure)?)?)));
        if self.listener.observe {
            let result = result.map(|(work, signed)| (signed.hazards, verified(&work, &signed)));
            let action = |refusal| decision.action(&collected.snapshot, refusal);
            report.observed(&decision, result, (action, collected.octets));
            return Ending::Observed;
        }
        match result.map(|(_, signed)| signed) {
            Ok(signed) => {
                let leading_space = self.agreement.leading_space;
                let values = signed.fields.iter();
                let values = values.map(|field| field.milter_value(leading_space));
                Ending::Signed(Box::new(SignedMessage {
                    values: values.collect(),
                    decision,
                    signed,
                    octets: collected.octets,
                    begun: report.begun,
                }))
            }
            Err(refused) => {
                let action = decision.action(&collected.snapshot, refused.refusal);
                Ending::Refused(Box::new(RefusedMessage {
                    action,
                    refused,
                    decision,
                    octets: collected.octets,
                    begun: report.begun,
                }))
            }
        }
    }
}

/// Whether every signature verifies.
fn verified(work: &Work<'_>, signed: &Signed) -> Result<(), VerificationError> {
    work.verify(signed).into_iter().collect()
}
