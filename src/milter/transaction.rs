//! A message of a connection: where it stands, what has come of it, and how it ends.
//!
//! ```text
//!         MAIL              HEADER             EOH            end of message          reply
//!   Idle ──────► Envelope ────────► Header ────────► Body ──────────────────► Ended ───────► Idle
//! ```
//!
//! ABORT leads back to idle from everywhere. Each message starts from nothing but the
//! [`Route`] by which it comes, so that what one organisation sends never touches what
//! another one sends behind it.

use std::{borrow::Cow, sync::Arc};

use tokio::time::Instant;

use super::{
    drain::MessageToken,
    memory::OWN_OCTETS,
    negotiation::Agreement,
    report::{Rehearsal, Report, report_incomplete},
    service::ListenerContext,
};
use crate::{
    config::Limits,
    dkim::{Canonicalisation, CanonicalisationPair, Field, HeaderSection, LeadingSpace},
    names::OrganisationId,
    observe::metrics::{Counted, Limit},
    organisation::{Action, Client, Refusal},
    signer::{
        Body, Circumstances, Decision, PendingDecision, Refused, Ruling, Signed, Work, decide,
        exceeded_limit,
    },
    snapshot::Snapshot,
};

/// From fields are kept even beyond `[limits]`, to know whose message it is that can't be
/// signed: one tells that, and a second that it is nobody's. A frame bounds each to 1 MiB.
const FROM_FIELDS_BEYOND_LIMITS: usize = 2;

/// What is kept of a message without memory for its header section: its From fields, which an
/// MTA cuts at less (60,000 in Postfix).
const KEPT_OCTETS: usize = OWN_OCTETS - 1024;

/// The way by which all messages of a connection come.
pub(super) struct Route {
    pub(super) listener: Arc<ListenerContext>,
    /// None before anything is agreed upon.
    pub(super) agreement: Option<Agreement>,
    /// The SMTP client behind the MTA.
    pub(super) client: Client,
}

/// Where a message stands, as far as others need to know.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Phase {
    /// Between messages.
    Idle,
    /// From MAIL until the content comes: an SMTP client may take its time.
    Envelope,
    /// In the header section.
    Header,
    /// Behind the header section, until the MTA has our reply.
    Body,
}

/// Where a message stands, and since when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    pub(super) phase: Phase,
    pub(super) since: Instant,
}

/// The message of a connection, or that there is none.
pub(super) struct Transaction {
    stage: Stage,
    /// Since when it is in its phase; the header section and the body are one.
    since: Instant,
    /// What is left until the end of a message.
    left: Allowance,
    allowance: Allowance,
    /// Held, never read, from MAIL on: dropping them counts the message out.
    in_progress: Option<(MessageToken, Counted)>,
}

/// Where a message stands, with what has come of it.
enum Stage {
    /// There is no message.
    Idle,
    /// From MAIL until its content comes, with the login of the sender.
    Envelope(Option<String>),
    /// In the header section.
    Header(Collected),
    /// Behind the header section.
    Body(Box<Decided>),
    /// It is complete, and its reply on the way.
    Ended,
    /// It can't be trusted to be whole, since a step panicked or the MTA broke the order of
    /// commands. It is heard to its end, for which it is in this phase.
    Lost(Phase),
}

/// What may come without the end of a message, its body left out: macros that are sent
/// without end cost time, though no memory.
#[derive(Clone, Copy)]
struct Allowance {
    /// Frames.
    commands: usize,
    /// What is in them.
    octets: usize,
}

/// A message in its header section.
struct Collected {
    /// Taken when the content begins: the message keeps it to its end.
    snapshot: Arc<Snapshot>,
    login: Option<String>,
    header: HeaderSection,
    /// Whether it is within `[limits]`.
    header_is_whole: bool,
    from_fields_beyond: usize,
    /// All that has come, kept or not.
    octets: u64,
}

/// A message behind its header section.
struct Decided {
    collected: Collected,
    decision: Decision,
    /// Only where there is something to sign.
    body: Option<Body>,
    /// When its end came; it may have waited for its turn since.
    complete: Option<Instant>,
}

/// What the MTA is told at the end of a message.
pub(super) enum Ending {
    /// Insert signatures on top, then accept.
    Signed(Box<SignedMessage>),
    /// Not signed, and what is done with it.
    Refused(Box<RefusedMessage>),
    /// Accept the message as it came: the listener only looks on.
    Observed,
    /// The message did not come whole, which is in the log.
    Incomplete,
}

/// A message whose signatures have not been handed over yet.
pub(super) struct SignedMessage {
    /// The DKIM-Signature values.
    pub(super) values: Vec<String>,
    decision: Decision,
    signed: Signed,
    octets: u64,
    complete: Instant,
}

/// A message that is not signed, of which the MTA has not heard yet.
pub(super) struct RefusedMessage {
    pub(super) action: Action,
    pub(super) refused: Refused,
    decision: Decision,
    octets: u64,
    complete: Instant,
}

impl Transaction {
    pub(super) fn new(limits: &Limits) -> Self {
        let allowance = Allowance {
            commands: limits.commands,
            octets: limits.command_bytes,
        };
        Self {
            stage: Stage::Idle,
            since: Instant::now(),
            left: allowance,
            allowance,
            in_progress: None,
        }
    }

    pub(super) fn phase(&self) -> Phase {
        match &self.stage {
            Stage::Idle => Phase::Idle,
            Stage::Envelope(_) => Phase::Envelope,
            Stage::Header(_) => Phase::Header,
            Stage::Body(_) | Stage::Ended => Phase::Body,
            Stage::Lost(phase) => *phase,
        }
    }

    pub(super) fn standing(&self) -> Standing {
        Standing {
            phase: self.phase(),
            since: self.since,
        }
    }

    fn enter(&mut self, stage: Stage) {
        let before = self.phase();
        self.stage = stage;
        let phase = self.phase();
        if phase == before {
            return;
        }
        if (before, phase) != (Phase::Header, Phase::Body) {
            self.since = Instant::now();
        }
        if phase == Phase::Idle {
            self.in_progress = None;
            self.left = self.allowance;
        }
    }

    /// Takes what has come of the message, which is lost unless another stage follows.
    fn take(&mut self) -> Stage {
        let phase = self.phase();
        std::mem::replace(&mut self.stage, Stage::Lost(phase))
    }

    /// Counts a command that is no body, with what is in it.
    pub(super) fn spend(&mut self, octets: usize) -> Result<(), Limit> {
        let commands = self.left.commands.checked_sub(1).ok_or(Limit::Commands)?;
        let octets = self.left.octets.checked_sub(octets);
        self.left = Allowance {
            commands,
            octets: octets.ok_or(Limit::CommandBytes)?,
        };
        Ok(())
    }

    /// A message begins; nothing of the one before is left.
    pub(super) fn begin(&mut self, route: &Route, login: Option<String>) {
        if self.in_progress.is_none() {
            let counted = route.listener.metrics.begin_message();
            self.in_progress = Some((route.listener.drain.begin_message(), counted));
        }
        self.enter(Stage::Envelope(login.filter(|login| !login.is_empty())));
    }

    /// The content begins, if it has not. The snapshot is taken only now: between MAIL and
    /// this an SMTP client may be silent for hours, and a key be revoked meanwhile.
    fn begin_content(&mut self, route: &Route) {
        match &mut self.stage {
            Stage::Envelope(login) => {
                let collected = Collected::new(route.listener.snapshot(), login.take());
                self.enter(Stage::Header(collected));
            }
            Stage::Lost(Phase::Envelope) => self.lose(Phase::Header),
            _ => {}
        }
    }

    /// The next header field, as the MTA shows it.
    pub(super) fn header(&mut self, route: &Route, name: &[u8], value: &[u8]) {
        self.begin_content(route);
        if let Stage::Header(collected) = &mut self.stage {
            let value = match route.leading_space() {
                LeadingSpace::Ours => Cow::Borrowed(value),
                LeadingSpace::AddedByMta => Cow::Owned([b" ", value].concat()),
            };
            if let Some(limit) = collected.push(name, &value) {
                route.listener.metrics.limit_reached(limit);
            }
        }
    }

    /// The octets that it holds of the message.
    pub(super) fn held(&self) -> usize {
        let login = |login: &Option<String>| login.as_ref().map_or(0, String::len);
        let of = |collected: &Collected| collected.header.memory() + login(&collected.login);
        match &self.stage {
            Stage::Envelope(name) => login(name),
            Stage::Header(collected) => of(collected),
            Stage::Body(decided) => of(&decided.collected),
            Stage::Idle | Stage::Ended | Stage::Lost(_) => 0,
        }
    }

    /// Lets go of a header section that there is no memory for; false if there is none. The
    /// message is not signed. Its From fields are kept, for they tell whose it is; if they are
    /// too large for that, nobody knows, and the message is lost.
    pub(super) fn let_go(&mut self) -> bool {
        match self.take() {
            Stage::Header(collected) => {
                if let Some(collected) = collected.without_header() {
                    self.stage = Stage::Header(collected);
                }
                true
            }
            // A login of more than that.
            Stage::Envelope(_) => true,
            other => {
                self.stage = other;
                false
            }
        }
    }

    /// The header section is complete: the decision falls, though nothing is said of it yet.
    ///
    /// Where a key has to be read first, [`Transaction::keys_read`] is to be called before
    /// anything else; without that the message is not signed.
    pub(super) fn end_of_header(&mut self, route: &Route) -> Option<PendingDecision> {
        self.begin_content(route);
        let Stage::Header(collected) = self.take() else {
            self.lose(Phase::Body);
            return None;
        };
        let (decision, pending) = match collected.decide(route) {
            Ruling::Decided(decision) => {
                route.tell_of_no_address(&decision);
                (decision, None)
            }
            Ruling::AwaitingKeys(pending) => (pending.without_keys().clone(), Some(pending)),
        };
        let mut decided = Box::new(Decided {
            collected,
            decision,
            body: None,
            complete: None,
        });
        decided.prepare_body(route);
        if pending.is_none() && decided.body.is_none() {
            // It is needed only to sign.
            decided.collected.header = HeaderSection::default();
        }
        self.enter(Stage::Body(decided));
        pending
    }

    /// The keys have been read.
    pub(super) fn keys_read(&mut self, route: &Route, decision: Decision) {
        if let Stage::Body(decided) = &mut self.stage {
            decided.decision = decision;
            decided.prepare_body(route);
        }
    }

    /// The message is not signed, since something that it needs of us came too late. What is
    /// left of it has its time anew.
    pub(super) fn give_up_signing(&mut self) {
        self.since = Instant::now();
        if let Stage::Body(decided) = &mut self.stage {
            decided.decision.verdict = Err(Refusal::SigningFailure);
        }
    }

    /// The next piece of the body.
    pub(super) fn body(&mut self, chunk: &[u8]) {
        if let Stage::Body(decided) = &mut self.stage {
            decided.collected.octets += chunk.len() as u64;
            if let Some(body) = &mut decided.body {
                body.update(chunk);
            }
        }
    }

    /// The message is complete; whose it is, if there is something to sign.
    pub(super) fn complete(&mut self) -> Option<OrganisationId> {
        let Stage::Body(decided) = &mut self.stage else {
            return None;
        };
        decided.complete = Some(Instant::now());
        decided.body.as_ref()?;
        let domain = decided.decision.domain.as_ref()?;
        Some(domain.organisation.id.clone())
    }

    /// Signs the message that is complete, or says why not. `now` is in seconds since 1970.
    pub(super) fn end(&mut self, route: &Route, queue_id: &str, now: u64) -> Ending {
        match std::mem::replace(&mut self.stage, Stage::Ended) {
            // Nobody knows what an MTA would do with a signature that has agreed to nothing.
            Stage::Body(decided) if route.agreement.is_some() => decided.end(route, queue_id, now),
            _ => {
                report_incomplete(&route.listener, queue_id);
                Ending::Incomplete
            }
        }
    }

    /// The MTA has its reply, or could not be told. What it has not got counts as tempfailed,
    /// since that is what becomes of it.
    pub(super) fn answered(
        &mut self,
        route: &Route,
        ending: &Ending,
        queue_id: &str,
        written: bool,
    ) {
        match ending {
            Ending::Signed(message) => message.report(route, queue_id, written),
            Ending::Refused(message) => message.report(route, queue_id, written),
            Ending::Observed | Ending::Incomplete => {}
        }
        self.abort();
    }

    /// There is no message any more.
    pub(super) fn abort(&mut self) {
        self.enter(Stage::Idle);
    }

    /// What has come of the message, if there is one, can't be trusted any more.
    pub(super) fn lose(&mut self, phase: Phase) {
        self.enter(match phase {
            Phase::Idle => Stage::Idle,
            Phase::Envelope | Phase::Header | Phase::Body => Stage::Lost(phase),
        });
    }
}

impl Route {
    fn leading_space(&self) -> LeadingSpace {
        self.agreement.unwrap_or(Agreement::NONE).leading_space()
    }

    /// Simple header canonicalisation needs values exactly as they are: where the MTA keeps
    /// a blank to itself only relaxed can be right.
    fn canonicalisation(&self, snapshot: &Snapshot) -> CanonicalisationPair {
        let mut pair = snapshot.signing().canonicalisation;
        if self.leading_space() == LeadingSpace::AddedByMta {
            pair.header = Canonicalisation::Relaxed;
        }
        pair
    }

    fn tell_of_no_address(&self, decision: &Decision) {
        let refusal = decision.verdict.as_ref().err();
        if self.client == Client::WithoutAddress
            && refusal == Some(&Refusal::NotOutbound)
            && decision.domain.is_some()
            && let Ok(author) = &decision.author
        {
            self.listener.tell_of_no_address(author);
        }
    }

    fn report<'a>(&'a self, queue_id: &'a str, complete: Instant) -> Report<'a> {
        Report {
            listener: &self.listener,
            queue_id,
            complete,
        }
    }
}

impl Collected {
    fn new(snapshot: Arc<Snapshot>, login: Option<String>) -> Self {
        Self {
            snapshot,
            login,
            header: HeaderSection::default(),
            header_is_whole: true,
            from_fields_beyond: 0,
            octets: 0,
        }
    }

    /// Keeps a field as long as the header section is within `[limits]`; gives the limit
    /// when it is reached.
    fn push(&mut self, name: &[u8], value: &[u8]) -> Option<Limit> {
        let limits = &self.snapshot.settings().limits;
        let octets = self.header.octets() + name.len() + value.len();
        self.octets += (name.len() + value.len()) as u64;
        let exceeded = exceeded_limit(limits, octets, self.header.len() + 1);
        let first = exceeded.filter(|_| self.header_is_whole);
        self.header_is_whole &= exceeded.is_none();
        let is_from = name.trim_ascii_end().eq_ignore_ascii_case(b"from");
        if self.header_is_whole {
            self.header.push(name, value);
        } else if is_from && self.from_fields_beyond < FROM_FIELDS_BEYOND_LIMITS {
            self.from_fields_beyond += 1;
            self.header.push(name, value);
        }
        first
    }

    /// The same without header fields but From, and no more whole; nothing if even that is
    /// large.
    fn without_header(self) -> Option<Self> {
        let mut header = HeaderSection::default();
        let is_from = |field: &Field<'_>| field.is("from") || field.looks_like("from");
        let kept = self.header.fields().filter(is_from);
        for field in kept.take(FROM_FIELDS_BEYOND_LIMITS) {
            header.push(field.name, field.value);
        }
        let login = self.login.as_ref().map_or(0, String::len);
        (header.memory() + login <= KEPT_OCTETS).then_some(Self {
            header,
            header_is_whole: false,
            ..self
        })
    }

    fn decide(&self, route: &Route) -> Ruling {
        let circumstances = Circumstances {
            listener: &route.listener.name,
            outbound: &route.listener.outbound,
            login: self.login.as_deref(),
            client: route.client,
            header_is_whole: self.header_is_whole,
        };
        decide(&self.snapshot, &self.header, &circumstances)
    }
}

impl Decided {
    /// Makes ready for the body, if there is something to sign.
    fn prepare_body(&mut self, route: &Route) {
        let allowed = route.agreement.is_some_and(Agreement::allows_insertion);
        if !allowed && !route.listener.observe && self.decision.verdict.is_ok() {
            self.decision.verdict = Err(Refusal::SigningFailure);
        }
        let verdict = self.decision.verdict.as_ref();
        self.body = verdict
            .ok()
            .map(|_| Body::new(route.canonicalisation(&self.collected.snapshot)));
    }

    fn end(self, route: &Route, queue_id: &str, now: u64) -> Ending {
        let Self {
            collected,
            decision,
            body,
            complete,
        } = self;
        let complete = complete.unwrap_or_else(Instant::now);
        let snapshot = &collected.snapshot;
        let canonicalisation = route.canonicalisation(snapshot);
        let result = Work::new(
            &decision,
            snapshot,
            &collected.header,
            canonicalisation,
            now,
        )
        .and_then(|work| Ok((work, work.sign(body.ok_or(Refusal::SigningFailure)?)?)));
        if route.listener.observe {
            let rehearsal = result.map(|(work, signed)| Rehearsal {
                hazards: signed.hazards,
                verified: work.verify(&signed).into_iter().collect(),
            });
            let policy = *decision.policy(snapshot);
            let report = route.report(queue_id, complete);
            report.observed(&decision, policy, rehearsal, collected.octets);
            return Ending::Observed;
        }
        match result.map(|(_, signed)| signed) {
            Ok(signed) => {
                let leading_space = route.leading_space();
                let fields = signed.fields.iter();
                Ending::Signed(Box::new(SignedMessage {
                    values: fields
                        .map(|field| field.milter_value(leading_space))
                        .collect(),
                    decision,
                    signed,
                    octets: collected.octets,
                    complete,
                }))
            }
            Err(refused) => Ending::Refused(Box::new(RefusedMessage {
                action: decision.action(snapshot, refused.refusal),
                refused,
                decision,
                octets: collected.octets,
                complete,
            })),
        }
    }
}

impl SignedMessage {
    fn report(&self, route: &Route, queue_id: &str, written: bool) {
        let report = route.report(queue_id, self.complete);
        if written {
            return report.signed(&self.decision, &self.signed, self.octets);
        }
        tracing::error!(queue_id, "the signature could not be handed over");
        let refused = Refused {
            refusal: Refusal::SigningFailure,
            hazards: self.signed.hazards,
        };
        report.refused(&self.decision, refused, Action::Tempfail, self.octets);
    }
}

impl RefusedMessage {
    fn report(&self, route: &Route, queue_id: &str, written: bool) {
        let action = if written {
            self.action
        } else {
            Action::Tempfail
        };
        let report = route.report(queue_id, self.complete);
        report.refused(&self.decision, self.refused, action, self.octets);
    }
}
