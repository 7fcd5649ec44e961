//! What the MTA says and what it is answered: the order of commands, and who hears of each.
//!
//! ```text
//!          MAIL              HEADER             EOH             end of message
//!   Idle ────────► Envelope ────────► Header ────────► Body ───────────────────► Idle
//!     ▲                │                 │               │
//!     └────────────────┴──── ABORT ──────┴───────────────┘
//! ```
//!
//! A command that makes no sense where it stands is ignored, without a reply: it costs its
//! message at most. Nothing is said before the end of a message but "go on", and not even
//! that where the MTA agrees to hear nothing. A panic costs one message.
//!
//! Pure but for the time of day: no socket, no waiting.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use super::{
    address,
    context::ListenerContext,
    negotiation::{Agreement, Insertion, protocol},
    session::{Ending, Session, SignedMessage},
    wire::{Command, Malformed, macro_value, reply, string},
};
use crate::{
    dkim::FIELD_NAME,
    names::OrganisationId,
    organisation::{Action, Refusal},
    signer::{Decision, PendingDecision},
};

/// A queue id is shorter by far; what is longer is cut in the log.
const LONGEST_QUEUE_ID: usize = 100;

/// Where a connection stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Phase {
    /// Between messages.
    Idle,
    /// From MAIL until the content comes: an SMTP client may take its time.
    Envelope,
    /// In the header section.
    Header,
    /// Behind the header section.
    Body,
}

/// What of ours a message waited for until it was too late.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lateness {
    /// The keys to sign it with were not read.
    Keys,
    /// There was no turn to sign it.
    Turn,
}

/// What follows from a command.
pub(super) enum Step {
    /// Nothing but what was written.
    GoOn,
    /// Keys have to be read for the decision, and [`Dialogue::keys_read`] called.
    ReadKeys(PendingDecision),
    /// The message is complete, and to be signed for this organisation when it is its turn:
    /// by [`Dialogue::end_of_message`].
    ToSign(OrganisationId),
    /// The message is complete: its reply is to be written, and [`Dialogue::told`] called.
    Ended(Ending),
    /// The MTA takes its leave.
    Quit,
}

/// One connection, as far as it is talk.
pub(super) struct Dialogue {
    listener: Arc<ListenerContext>,
    agreement: Option<Agreement>,
    session: Session,
    phase: Phase,
    has_client: bool,
    /// `{auth_authen}` of the macros right before a MAIL, and for no other command.
    login: Option<String>,
    queue_id: String,
}

impl Dialogue {
    pub(super) fn new(listener: Arc<ListenerContext>) -> Self {
        Self {
            session: Session::new(Arc::clone(&listener), Agreement::NONE),
            listener,
            agreement: None,
            phase: Phase::Idle,
            has_client: false,
            login: None,
            queue_id: String::new(),
        }
    }

    /// Where it stands.
    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    /// A piece of the body, of a BODY command or of the end of the message.
    pub(super) fn body(&mut self, piece: &[u8]) {
        if self.phase == Phase::Body {
            self.guard(|session| session.body(piece));
        }
    }

    /// Takes a command, and appends the reply to `output` where there is one at once.
    pub(super) fn command(
        &mut self,
        command: Command,
        data: &[u8],
        output: &mut Vec<u8>,
    ) -> Result<Step, Malformed> {
        if command == Command::Macros {
            self.macros(data)?;
            return Ok(Step::GoOn);
        }
        // It is for the command right behind the macros alone.
        let login = self.login.take();
        let mut next = None;
        // The bit that leaves the reply out, for commands that have one.
        let left_out_by = match command {
            // A client that was shown before would be forgotten, and with it what it may.
            Command::Negotiate if self.has_client && self.agreement.is_none() => {
                return Err(Malformed);
            }
            Command::Negotiate if self.agreement.is_none() => {
                self.negotiate(data, output)?;
                None
            }
            Command::Connect if !self.has_client => {
                self.connect(data)?;
                Some(protocol::NO_REPLY_CONNECT)
            }
            Command::Helo => {
                string(data)?;
                Some(protocol::NO_REPLY_HELO)
            }
            Command::Mail => {
                // The sender of the envelope decides nothing.
                string(data)?;
                self.phase = Phase::Envelope;
                self.guard(|session| session.mail(login));
                Some(protocol::NO_REPLY_MAIL)
            }
            Command::Recipient if self.phase == Phase::Envelope => {
                Some(protocol::NO_REPLY_RECIPIENT)
            }
            Command::Data if self.phase == Phase::Envelope => Some(protocol::NO_REPLY_DATA),
            Command::Unknown => Some(protocol::NO_REPLY_UNKNOWN),
            Command::Header if matches!(self.phase, Phase::Envelope | Phase::Header) => {
                self.header(data)?;
                Some(protocol::NO_REPLY_HEADER)
            }
            Command::EndOfHeader if matches!(self.phase, Phase::Envelope | Phase::Header) => {
                self.phase = Phase::Body;
                next = self.guard(Session::end_of_header).flatten();
                Some(protocol::NO_REPLY_END_OF_HEADER)
            }
            Command::Body if self.phase == Phase::Body => Some(protocol::NO_REPLY_BODY),
            Command::EndOfMessage if self.phase == Phase::Body => {
                let organisation = self.guard(Session::end_comes).flatten();
                return Ok(match organisation {
                    Some(organisation) => Step::ToSign(organisation),
                    None => Step::Ended(self.end_of_message()),
                });
            }
            Command::Abort => {
                self.phase = Phase::Idle;
                self.queue_id.clear();
                self.guard(Session::abort);
                None
            }
            Command::Quit => return Ok(Step::Quit),
            // Out of order.
            _ => None,
        };
        if left_out_by.is_some_and(|bit| self.agreed().wants_reply(bit)) {
            reply::go_on(output);
        }
        Ok(next.map_or(Step::GoOn, Step::ReadKeys))
    }

    /// The keys have been read. A panic there costs this message, which goes on without them.
    pub(super) fn keys_read(&mut self, decision: Option<Decision>) {
        if let Some(decision) = decision {
            self.guard(|session| session.resolved(decision));
        } else {
            self.listener.all_metrics.panicked();
        }
    }

    /// The message is not signed, since something of ours came too late: its end says so.
    pub(super) fn put_off(&mut self, lateness: Lateness) {
        tracing::warn!(
            queue_id = self.queue_id,
            listener = self.listener.name,
            "{}",
            match lateness {
                Lateness::Keys =>
                    "the keys for a message were not read in time: is their disk slow?",
                Lateness::Turn =>
                    "a message had no turn to be signed in time: are the processors busy?",
            }
        );
        self.guard(Session::put_off);
    }

    fn agreed(&self) -> Agreement {
        self.agreement.unwrap_or(Agreement::NONE)
    }

    fn negotiate(&mut self, data: &[u8], output: &mut Vec<u8>) -> Result<(), Malformed> {
        let mut answer = Vec::new();
        let agreement = Agreement::on(data, &mut answer)?;
        reply::negotiate(output, &answer);
        if agreement.insertion == Insertion::Forbidden && !self.listener.observe {
            tracing::error!(
                listener = self.listener.name,
                "the MTA does not allow header fields to be added: mail that must be signed \
                 will be tempfailed"
            );
        }
        self.agreement = Some(agreement);
        self.session = Session::new(Arc::clone(&self.listener), agreement);
        Ok(())
    }

    fn connect(&mut self, data: &[u8]) -> Result<(), Malformed> {
        let client = address::client(data)?;
        self.has_client = true;
        self.guard(|session| session.connect(client));
        Ok(())
    }

    /// Macros come before the command that they are for; nothing of an earlier message's is
    /// kept, and what can't be read is not there.
    fn macros(&mut self, data: &[u8]) -> Result<(), Malformed> {
        let (&stage, data) = data.split_first().ok_or(Malformed)?;
        if stage == b'M' {
            let login = macro_value(data, b"{auth_authen}");
            self.login = login.map(|login| String::from_utf8_lossy(login).into_owned());
            self.queue_id.clear();
        }
        // Postfix gives it with every header field again.
        if self.queue_id.is_empty()
            && let Some(id) = macro_value(data, b"i")
        {
            let id = &id[..id.len().min(LONGEST_QUEUE_ID)];
            self.queue_id.push_str(&String::from_utf8_lossy(id));
        }
        Ok(())
    }

    fn header(&mut self, data: &[u8]) -> Result<(), Malformed> {
        let (name, rest) = string(data)?;
        // What stands behind the value is not part of the message.
        let (value, _) = string(rest)?;
        if name.is_empty() {
            return Err(Malformed);
        }
        self.phase = Phase::Header;
        self.guard(|session| session.header(name, value));
        Ok(())
    }

    /// Signs the message that is complete, or says why not.
    pub(super) fn end_of_message(&mut self) -> Ending {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let queue_id = std::mem::take(&mut self.queue_id);
        if self.agreement.is_none() {
            // Nobody knows what this MTA would do with a signature.
            self.guard(Session::fail);
        }
        let ending = self.guard(|session| session.end_of_message(&queue_id, now));
        self.queue_id = queue_id;
        self.ending(ending)
    }

    /// What the MTA is told, of a message that was lost to a panic at its end as well.
    fn ending(&self, ending: Option<Ending>) -> Ending {
        let ending = ending.unwrap_or_else(|| {
            self.listener.incomplete_message(&self.queue_id);
            Ending::Incomplete
        });
        if self.listener.observe {
            return Ending::Observed;
        }
        ending
    }

    /// The final reply to a message has been written, or could not be.
    pub(super) fn told(&mut self, ending: &Ending, written: bool) {
        self.phase = Phase::Idle;
        let queue_id = std::mem::take(&mut self.queue_id);
        self.guard(|session| session.told(ending, &queue_id, written));
    }

    /// Keeps a panic from ending the connection: the message fails, alone.
    fn guard<T>(&mut self, step: impl FnOnce(&mut Session) -> T) -> Option<T> {
        let session = &mut self.session;
        let result = catch_unwind(AssertUnwindSafe(|| step(session)));
        if result.is_err() {
            self.listener.all_metrics.panicked();
            self.session.fail();
        }
        result.ok()
    }
}

/// The final reply to a message, with all that goes before it.
pub(super) fn write_ending(ending: &Ending, output: &mut Vec<u8>) {
    match ending {
        Ending::Signed(message) => write_signatures(message, output),
        Ending::Refused(message) => write_refusal(message.action, message.refused.refusal, output),
        Ending::Observed => reply::accept(output),
        Ending::Incomplete => write_refusal(Action::Tempfail, Refusal::SigningFailure, output),
    }
}

/// A refusal of this message alone, with an enhanced status code (RFC 3463).
fn write_refusal(action: Action, refusal: Refusal, output: &mut Vec<u8>) {
    match action {
        Action::Accept => reply::accept(output),
        Action::Tempfail => {
            let text = format!("451 4.7.1 Message cannot be signed ({refusal}), try again later");
            reply::refuse(output, &text);
        }
        Action::Reject => {
            let text = format!("550 5.7.1 Message cannot be signed ({refusal})");
            reply::refuse(output, &text);
        }
    }
}

fn write_signatures(message: &SignedMessage, output: &mut Vec<u8>) {
    // The last one inserted is on top: the first key's signature.
    for value in message.values.iter().rev() {
        reply::insert_on_top(output, FIELD_NAME, value);
    }
    reply::accept(output);
}

#[cfg(test)]
mod tests;
