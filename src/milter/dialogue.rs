//! What the MTA says and what it is answered: the order of commands, and what each does to
//! the message.
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

use indymilter::{MacroStage, message::command::CommandKind};

use super::{
    negotiation::Agreement,
    report::report_incomplete,
    service::ListenerContext,
    transaction::{Ending, Phase, Route, SignedMessage, Standing, Transaction},
    wire::{Malformed, client, macro_value, reply, string},
};
use crate::{
    config::Limits,
    dkim::FIELD_NAME,
    names::OrganisationId,
    observe::metrics::Limit,
    organisation::{Action, Client, Refusal},
    signer::{Decision, PendingDecision},
};

/// A queue id is shorter by far; what is longer is cut in the log.
const LONGEST_QUEUE_ID: usize = 100;

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
    /// The message is complete and to be signed for this organisation. When its turn comes,
    /// [`Dialogue::end_of_message`] is to be called.
    ToSign(OrganisationId),
    /// The message is complete: its reply is to be written, and [`Dialogue::answered`]
    /// called.
    Ended(Ending),
    /// The MTA takes its leave.
    Quit,
}

/// One connection, as far as it is talk.
pub(super) struct Dialogue {
    route: Route,
    has_client: bool,
    transaction: Transaction,
    /// `{auth_authen}` of the macros right before a MAIL, and for no other command.
    login: Option<String>,
    queue_id: String,
}

impl Dialogue {
    pub(super) fn new(listener: Arc<ListenerContext>, limits: &Limits) -> Self {
        Self {
            route: Route {
                listener,
                agreement: None,
                client: Client::Unknown,
            },
            has_client: false,
            transaction: Transaction::new(limits),
            login: None,
            queue_id: String::new(),
        }
    }

    /// Where the message stands.
    pub(super) fn standing(&self) -> Standing {
        self.transaction.standing()
    }

    /// Whether the two sides have agreed.
    pub(super) fn has_negotiated(&self) -> bool {
        self.route.agreement.is_some()
    }

    /// Counts a command that is no body, with what is in it, against `[limits]`.
    pub(super) fn spend(&mut self, octets: usize) -> Result<(), Limit> {
        self.transaction.spend(octets)
    }

    /// The octets that it holds of the message and of macros.
    pub(super) fn held(&self) -> usize {
        self.transaction.held() + self.login.as_ref().map_or(0, String::len)
    }

    /// Lets go of what it holds, as far as that costs no more than this message.
    pub(super) fn let_go(&mut self) {
        let phase = self.transaction.phase();
        if self.guard(phase, |transaction, _| transaction.let_go()) == Some(true) {
            self.route
                .listener
                .metrics
                .limit_reached(Limit::HeaderMemory);
        }
    }

    /// A piece of the body, of a BODY command or of the end of the message.
    pub(super) fn body(&mut self, piece: &[u8]) {
        if self.transaction.phase() == Phase::Body {
            self.guard(Phase::Body, |transaction, _| transaction.body(piece));
        }
    }

    /// Takes a command, and appends the reply to `output` where there is one at once.
    pub(super) fn command(
        &mut self,
        command: CommandKind,
        data: &[u8],
        output: &mut Vec<u8>,
    ) -> Result<Step, Malformed> {
        if command == CommandKind::DefMacros {
            self.macros(data)?;
            return Ok(Step::GoOn);
        }
        // It is for the command right behind the macros alone.
        let login = self.login.take();
        let phase = self.transaction.phase();
        let before_body = matches!(phase, Phase::Envelope | Phase::Header);
        let mut step = Step::GoOn;
        match command {
            CommandKind::OptNeg if self.route.agreement.is_none() => {
                self.negotiate(data, output)?;
            }
            CommandKind::ConnInfo if !self.has_client => self.connect(data)?,
            CommandKind::Helo => {
                string(data)?;
            }
            CommandKind::Mail => {
                // The sender of the envelope decides nothing.
                string(data)?;
                self.guard(Phase::Envelope, |transaction, route| {
                    transaction.begin(route, login);
                });
            }
            CommandKind::Rcpt | CommandKind::Data if phase == Phase::Envelope => {}
            CommandKind::Unknown => {}
            CommandKind::Header if before_body => self.header(data)?,
            CommandKind::Eoh if before_body => {
                let pending = self.guard(Phase::Body, Transaction::end_of_header);
                step = pending.flatten().map_or(Step::GoOn, Step::ReadKeys);
            }
            CommandKind::BodyChunk if phase == Phase::Body => {}
            CommandKind::BodyEnd if phase == Phase::Body => return Ok(self.complete()),
            CommandKind::Abort => {
                self.queue_id.clear();
                self.transaction.abort();
            }
            CommandKind::Quit | CommandKind::QuitNc => return Ok(Step::Quit),
            // Out of order.
            _ => return Ok(Step::GoOn),
        }
        if self.agreed().wants_reply(command) {
            reply::go_on(output);
        }
        Ok(step)
    }

    /// The keys have been read. A panic there costs this message, which goes on without them.
    pub(super) fn keys_read(&mut self, decision: Option<Decision>) {
        if let Some(decision) = decision {
            self.guard(Phase::Body, |transaction, route| {
                transaction.keys_read(route, decision);
            });
        } else {
            self.route.listener.all_metrics.panicked();
        }
    }

    /// The message is not signed, since something of ours came too late: its end says so.
    pub(super) fn give_up_signing(&mut self, lateness: Lateness) {
        tracing::warn!(
            queue_id = self.queue_id,
            listener = self.route.listener.name,
            "{}",
            match lateness {
                Lateness::Keys =>
                    "the keys for a message were not read in time: is their disk slow?",
                Lateness::Turn =>
                    "a message had no turn to be signed in time: are the processors busy?",
            }
        );
        self.transaction.give_up_signing();
    }

    fn agreed(&self) -> Agreement {
        self.route.agreement.unwrap_or(Agreement::NONE)
    }

    fn negotiate(&mut self, data: &[u8], output: &mut Vec<u8>) -> Result<(), Malformed> {
        if self.has_client {
            // The client was shown before anything was agreed upon: what it may is unknown.
            return Err(Malformed);
        }
        let agreement = Agreement::on(data)?;
        reply::negotiate(output, agreement.reply());
        if !agreement.allows_insertion() && !self.route.listener.observe {
            tracing::error!(
                listener = self.route.listener.name,
                "the MTA does not allow header fields to be added: mail that must be signed \
                 will be tempfailed"
            );
        }
        self.route.agreement = Some(agreement);
        self.transaction.lose(self.transaction.phase());
        Ok(())
    }

    fn connect(&mut self, data: &[u8]) -> Result<(), Malformed> {
        self.route.client = client(data)?;
        self.has_client = true;
        self.transaction.lose(self.transaction.phase());
        Ok(())
    }

    /// Macros come before the command that they are for; nothing of an earlier message's is
    /// kept, and what can't be read is not there.
    fn macros(&mut self, data: &[u8]) -> Result<(), Malformed> {
        let (&stage, data) = data.split_first().ok_or(Malformed)?;
        if stage == u8::from(MacroStage::Mail) {
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
        self.guard(Phase::Header, |transaction, route| {
            transaction.header(route, name, value);
        });
        Ok(())
    }

    fn complete(&mut self) -> Step {
        match self.guard(Phase::Body, |transaction, _| transaction.complete()) {
            Some(Some(organisation)) => Step::ToSign(organisation),
            Some(None) | None => Step::Ended(self.end_of_message()),
        }
    }

    /// Signs the message that is complete, or says why not.
    pub(super) fn end_of_message(&mut self) -> Ending {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let queue_id = std::mem::take(&mut self.queue_id);
        let ending = self.guard(Phase::Body, |transaction, route| {
            transaction.end(route, &queue_id, now)
        });
        self.queue_id = queue_id;
        self.or_incomplete(ending)
    }

    /// What the MTA is told, also of a message that was lost to a panic at its end.
    fn or_incomplete(&self, ending: Option<Ending>) -> Ending {
        let ending = ending.unwrap_or_else(|| {
            report_incomplete(&self.route.listener, &self.queue_id);
            Ending::Incomplete
        });
        if self.route.listener.observe {
            return Ending::Observed;
        }
        ending
    }

    /// The final reply to a message has been written, or could not be.
    pub(super) fn answered(&mut self, ending: &Ending, written: bool) {
        let queue_id = std::mem::take(&mut self.queue_id);
        self.guard(Phase::Idle, |transaction, route| {
            transaction.answered(route, ending, &queue_id, written);
        });
    }

    /// Keeps a panic from ending the connection: the message is lost, alone, and then stands
    /// in this phase.
    fn guard<T>(
        &mut self,
        phase: Phase,
        step: impl FnOnce(&mut Transaction, &Route) -> T,
    ) -> Option<T> {
        let (transaction, route) = (&mut self.transaction, &self.route);
        let result = catch_unwind(AssertUnwindSafe(|| step(transaction, route)));
        if result.is_err() {
            self.route.listener.all_metrics.panicked();
            self.transaction.lose(phase);
        }
        result.ok()
    }
}

/// The final reply to a message, with all that goes before it.
pub(super) fn write_final_reply(ending: &Ending, output: &mut Vec<u8>) {
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
mod tests {
    use super::*;
    use crate::milter::service::{
        Service,
        tests::{revoke, service},
    };

    fn agreed(service: &Service) -> Dialogue {
        let limits = service.context.snapshot().settings().limits;
        let mut dialogue = Dialogue::new(Arc::clone(&service.context), &limits);
        let offer = [0, 0, 0, 6, 0, 0, 0, 1, 0, 0, 0, 0];
        let agreed = dialogue.command(CommandKind::OptNeg, &offer, &mut Vec::new());
        assert!(agreed.is_ok());
        dialogue
    }

    /// A message of this author. What is to happen before a command does.
    fn message(
        dialogue: &mut Dialogue,
        author: &str,
        mut happens: impl FnMut(&mut Dialogue, CommandKind),
    ) -> Ending {
        let from = format!("From\0 {author}\0");
        for (command, data) in [
            (CommandKind::Mail, &b"<a@b.example>\0"[..]),
            (CommandKind::Header, from.as_bytes()),
            (CommandKind::Eoh, b""),
            (CommandKind::BodyChunk, b""),
            (CommandKind::BodyEnd, b""),
        ] {
            happens(dialogue, command);
            let ending = match dialogue.command(command, data, &mut Vec::new()) {
                Ok(Step::GoOn) => continue,
                Ok(Step::ReadKeys(pending)) => {
                    dialogue.keys_read(Some(pending.read_keys()));
                    continue;
                }
                Ok(Step::ToSign(_)) => dialogue.end_of_message(),
                Ok(Step::Ended(ending)) => ending,
                _ => panic!("{command:?}"),
            };
            dialogue.answered(&ending, true);
            return ending;
        }
        panic!("no end");
    }

    #[test]
    fn a_panic_costs_its_message_alone() {
        let (service, _folder) = service();
        let mut dialogue = agreed(&service);
        for (times, panics_at) in (1..).zip([
            CommandKind::Header,
            CommandKind::Eoh,
            CommandKind::BodyChunk,
            CommandKind::BodyEnd,
        ]) {
            // Not even mail of others goes on as if nothing had been.
            let ending = message(&mut dialogue, "a@b.example", |dialogue, command| {
                if command == panics_at {
                    let phase = dialogue.standing().phase;
                    let step: Option<()> = dialogue.guard(phase, |_, _| panic!("of a test"));
                    assert!(step.is_none());
                }
            });
            assert!(matches!(ending, Ending::Incomplete), "{panics_at:?}");
            let ending = message(&mut dialogue, "a@b.example", |_, _| {});
            assert!(matches!(
                ending,
                Ending::Refused(message) if message.action == Action::Accept
            ));
            let page = service.context.all_metrics.render().unwrap();
            assert!(page.contains(&format!("zegel_panics_total {times}\n")));
        }
    }

    /// A client that is shown in the middle of a message may not be the one who sends it.
    #[test]
    fn a_client_that_comes_late_costs_the_message_alone() {
        for shown_before in [
            CommandKind::Header,
            CommandKind::Eoh,
            CommandKind::BodyChunk,
            CommandKind::BodyEnd,
        ] {
            let (service, _folder) = service();
            let mut dialogue = agreed(&service);
            let ending = message(&mut dialogue, "a@een.example", |dialogue, command| {
                if command == shown_before {
                    let phase = dialogue.standing().phase;
                    let client = b"host\0U";
                    let step = dialogue.command(CommandKind::ConnInfo, client, &mut Vec::new());
                    assert!(matches!(step, Ok(Step::GoOn)));
                    assert_eq!(dialogue.standing().phase, phase);
                }
            });
            assert!(matches!(ending, Ending::Incomplete), "{shown_before:?}");
            assert_eq!(dialogue.standing().phase, Phase::Idle);
            let ending = message(&mut dialogue, "a@een.example", |_, _| {});
            assert!(matches!(ending, Ending::Signed(_)));
        }
    }

    /// An MTA that never comes to an end is stopped; one that does has its allowance again.
    #[test]
    fn what_may_be_said_begins_anew_behind_a_message() {
        let (service, _folder) = service();
        let mut dialogue = agreed(&service);
        let most = service.context.snapshot().settings().limits.command_bytes;
        assert_eq!(dialogue.spend(most), Ok(()));
        assert_eq!(dialogue.spend(1), Err(Limit::CommandBytes));
        // There is no message that it could end.
        let aborted = dialogue.command(CommandKind::Abort, b"", &mut Vec::new());
        assert!(aborted.is_ok());
        assert_eq!(dialogue.spend(1), Err(Limit::CommandBytes));
        message(&mut dialogue, "a@b.example", |_, _| {});
        assert_eq!(dialogue.spend(most), Ok(()));
    }

    /// A key that is revoked while the client of a MAIL is silent signs no more.
    #[test]
    fn a_message_has_the_snapshot_of_the_moment_in_which_its_content_begins() {
        for (revoked_before, is_signed) in [
            (CommandKind::Mail, false),
            (CommandKind::Header, false),
            (CommandKind::Eoh, true),
            (CommandKind::BodyEnd, true),
        ] {
            let (service, folder) = service();
            let mut dialogue = agreed(&service);
            let ending = message(&mut dialogue, "a@een.example", |_, command| {
                if command == revoked_before {
                    let before = revoke(&service, &folder);
                    let is_held = Arc::strong_count(&before) > 1;
                    assert_eq!(is_held, is_signed, "{command:?}");
                }
            });
            let signed = matches!(ending, Ending::Signed(_));
            assert_eq!(signed, is_signed, "{revoked_before:?}");
        }
    }

    /// Macros of a MAIL that come before the end of another message are not those of the next.
    #[test]
    fn a_login_is_for_the_command_behind_it() {
        let (service, _folder) = service();
        for given_before in [
            CommandKind::Header,
            CommandKind::Eoh,
            CommandKind::BodyChunk,
            CommandKind::BodyEnd,
        ] {
            let mut dialogue = agreed(&service);
            message(&mut dialogue, "a@b.example", |dialogue, command| {
                if command == given_before {
                    let macros = b"M{auth_authen}\0crm\0";
                    let step = dialogue.command(CommandKind::DefMacros, macros, &mut Vec::new());
                    assert!(matches!(step, Ok(Step::GoOn)));
                }
            });
            assert_eq!(dialogue.login, None, "{given_before:?}");
        }
    }

    #[test]
    fn a_listener_that_looks_on_tells_of_a_panic_at_the_end() {
        let (mut service, _folder) = service();
        let context = Arc::get_mut(&mut service.context);
        context.expect("nobody else has it").observe = true;
        let mut dialogue = agreed(&service);
        let lost: Option<Ending> = dialogue.guard(Phase::Body, |_, _| panic!("of a test"));
        assert!(matches!(dialogue.or_incomplete(lost), Ending::Observed));
        let page = service.context.all_metrics.render().unwrap();
        let counted = r#"zegel_observed_total{listener="relay",result="tempfailed"} 1"#;
        assert!(page.contains(counted), "{page}");
    }
}
