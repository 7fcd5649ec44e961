//! From the events of the milter protocol to the methods of a session: negotiation, and one
//! short callback for each event.
//!
//! Nothing is answered before the end of a message but "go on" (or nothing at all, where
//! the MTA agrees to that), and no callback waits for anything. A panic costs one message.

use std::{
    ffi::CStr,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use indymilter::{
    Actions, Callbacks, Context, ContextActions, EomContext, MacroStage, NegotiateContext,
    ProtoOpts, SetErrorReply, SocketInfo, Status,
};

use tokio::task::spawn_blocking;

use super::{
    context::ListenerContext,
    session::{Agreement, Ending, Insertion, Session, SignedMessage},
};
use crate::{
    dkim::{FIELD_NAME, LeadingSpace},
    organisation::Refusal,
};

/// What we would rather not be sent: it decides nothing.
const NOT_NEEDED: ProtoOpts = ProtoOpts::NO_HELO
    .union(ProtoOpts::NO_RCPT)
    .union(ProtoOpts::NO_DATA)
    .union(ProtoOpts::NO_UNKNOWN);

/// The events that need no answer, where the MTA offers that.
const NO_REPLY: ProtoOpts = ProtoOpts::NOREPLY_CONNECT
    .union(ProtoOpts::NOREPLY_HELO)
    .union(ProtoOpts::NOREPLY_MAIL)
    .union(ProtoOpts::NOREPLY_RCPT)
    .union(ProtoOpts::NOREPLY_DATA)
    .union(ProtoOpts::NOREPLY_HEADER)
    .union(ProtoOpts::NOREPLY_EOH)
    .union(ProtoOpts::NOREPLY_BODY)
    .union(ProtoOpts::NOREPLY_UNKNOWN);

/// A session and what was agreed upon for its connection.
pub(super) struct Connection {
    listener: Arc<ListenerContext>,
    session: Session,
    agreed: ProtoOpts,
}

/// The callbacks of one listener.
pub(super) fn callbacks(listener: Arc<ListenerContext>) -> Callbacks<Connection> {
    Callbacks::new()
        .on_negotiate(move |context, actions, options| {
            let status = negotiate(context, &listener, (actions, options));
            Box::pin(async move { status })
        })
        .on_connect(|context, _, socket| {
            let client = match socket {
                SocketInfo::Inet(address) => Some(address.ip()),
                SocketInfo::Unix(_) | SocketInfo::Unknown => None,
            };
            let status = step(context, ProtoOpts::NOREPLY_CONNECT, |session| {
                session.connect(client);
            });
            Box::pin(async move { status })
        })
        .on_helo(|context, _| no_step(context, ProtoOpts::NOREPLY_HELO))
        .on_mail(|context, _| {
            let login = macro_text(context.macros.get(c"{auth_authen}"));
            let status = step(context, ProtoOpts::NOREPLY_MAIL, |session| {
                session.mail(login);
            });
            Box::pin(async move { status })
        })
        .on_rcpt(|context, _| no_step(context, ProtoOpts::NOREPLY_RCPT))
        .on_data(|context| no_step(context, ProtoOpts::NOREPLY_DATA))
        .on_header(|context, name, value| {
            let status = step(context, ProtoOpts::NOREPLY_HEADER, |session| {
                session.header(name.to_bytes(), value.to_bytes());
            });
            Box::pin(async move { status })
        })
        .on_eoh(|context| {
            Box::pin(async move {
                let status = step(context, ProtoOpts::NOREPLY_EOH, Session::end_of_header);
                if let Some(connection) = &mut context.data {
                    connection.read_keys().await;
                }
                status
            })
        })
        .on_body(|context, chunk| {
            // Never Noreply: an end of message that carries data would then not be seen as
            // one (indymilter corrects it where no reply was agreed upon).
            let status = step(context, ProtoOpts::empty(), |session| session.body(&chunk));
            Box::pin(async move { status })
        })
        .on_eom(|context| Box::pin(end_of_message(context)))
        .on_abort(|context| {
            let status = step(context, ProtoOpts::empty(), Session::abort);
            Box::pin(async move { status })
        })
        .on_close(|context| {
            context.data = None;
            Box::pin(async { Status::Continue })
        })
        .on_unknown(|context, _| no_step(context, ProtoOpts::NOREPLY_UNKNOWN))
}

/// Asks for as little as possible, and only for what is offered: an MTA closes the
/// connection, or indymilter does, when more is asked for.
fn negotiate(
    context: &mut NegotiateContext<Connection>,
    listener: &Arc<ListenerContext>,
    (actions, options): (Actions, ProtoOpts),
) -> Status {
    let insertion = if actions.contains(Actions::ADD_HEADER) {
        Insertion::Allowed
    } else {
        tracing::error!(
            listener = listener.name,
            "the MTA does not allow header fields to be added: mail that must be signed will be tempfailed"
        );
        Insertion::Forbidden
    };
    context.requested_actions = actions & (Actions::ADD_HEADER | Actions::REQUEST_MACROS);
    context.requested_opts = options & (ProtoOpts::LEADING_SPACE | NOT_NEEDED | NO_REPLY);
    if actions.contains(Actions::REQUEST_MACROS) {
        let macros = &mut context.requested_macros;
        macros.insert(
            MacroStage::Mail,
            c"{auth_authen} {auth_type} {mail_addr}".to_owned(),
        );
        macros.insert(MacroStage::Eom, c"i".to_owned());
    }
    let leading_space = if options.contains(ProtoOpts::LEADING_SPACE) {
        LeadingSpace::Ours
    } else {
        LeadingSpace::AddedByMta
    };
    context.data = Some(Connection {
        listener: listener.clone(),
        session: Session::new(
            listener.clone(),
            Agreement {
                leading_space,
                insertion,
            },
        ),
        agreed: context.requested_opts,
    });
    Status::Continue
}

/// Runs one step of the session and gives the status that was agreed upon for its event.
fn step(
    context: &mut Context<Connection>,
    no_reply: ProtoOpts,
    step: impl FnOnce(&mut Session),
) -> Status {
    let Some(connection) = &mut context.data else {
        return Status::Continue;
    };
    connection.guard(step);
    if !no_reply.is_empty() && connection.agreed.contains(no_reply) {
        Status::Noreply
    } else {
        Status::Continue
    }
}

fn no_step(
    context: &mut Context<Connection>,
    no_reply: ProtoOpts,
) -> indymilter::CallbackFuture<'_> {
    let status = step(context, no_reply, |_| {});
    Box::pin(async move { status })
}

impl Connection {
    /// Has keys read that the message waits for: files, so not on this thread.
    async fn read_keys(&mut self) {
        let Some(pending) = self.guard(Session::pending).flatten() else {
            return;
        };
        if let Ok(decision) = spawn_blocking(move || pending.resolve()).await {
            self.guard(|session| session.resolved(decision));
        } else {
            // A panic there; the message fails, alone.
            self.listener.all_metrics.panicked();
            self.session.fail();
        }
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

async fn end_of_message(context: &mut EomContext<Connection>) -> Status {
    let queue_id = macro_text(context.macros.get(c"i")).unwrap_or_default();
    if let Some(connection) = &mut context.data {
        // Without a body there may be no end of header either.
        connection.guard(Session::end_of_header);
        connection.read_keys().await;
    }
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let ending = context
        .data
        .as_mut()
        .and_then(|connection| connection.guard(|session| session.end_of_message(&queue_id, now)));
    match ending.unwrap_or(Ending::Tempfail(Refusal::SigningFailure)) {
        Ending::Unsigned => Status::Accept,
        Ending::Tempfail(refusal) => refuse(context, "451", refusal),
        Ending::Reject(refusal) => refuse(context, "550", refusal),
        Ending::Signed(message) => hand_over(context, &message, &queue_id).await,
    }
}

/// Inserts the signatures. What cannot be inserted does not count as signed.
async fn hand_over(
    context: &mut EomContext<Connection>,
    message: &SignedMessage,
    queue_id: &str,
) -> Status {
    // The last one inserted is on top: the first key's signature.
    for value in message.values.iter().rev() {
        let inserted = context
            .actions
            .insert_header(0, FIELD_NAME, value.as_str())
            .await;
        if let Err(error) = inserted {
            tracing::error!(queue_id, %error, "the signature could not be handed over: tempfailed");
            report(context, |session| session.not_inserted(message, queue_id));
            return refuse(context, "451", Refusal::SigningFailure);
        }
    }
    report(context, |session| session.inserted(message, queue_id));
    Status::Accept
}

fn report(context: &mut EomContext<Connection>, report: impl FnOnce(&Session)) {
    if let Some(connection) = &mut context.data {
        connection.guard(|session| report(session));
    }
}

/// A refusal of this message alone, with an enhanced status code (RFC 3463).
fn refuse(context: &mut EomContext<Connection>, code: &str, refusal: Refusal) -> Status {
    let (status, enhanced, advice) = if code == "451" {
        (Status::Tempfail, "4.7.1", ", try again later")
    } else {
        (Status::Reject, "5.7.1", "")
    };
    let text = format!("Message cannot be signed ({refusal}){advice}");
    // The parts are well-formed; without the text the status alone says enough.
    let _ = context
        .reply
        .set_error_reply(code, Some(enhanced), [text.as_str()]);
    status
}

fn macro_text(value: Option<&CStr>) -> Option<String> {
    value.map(|value| value.to_string_lossy().into_owned())
}
