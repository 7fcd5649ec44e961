//! Our signer behind the engine of indymilter: the same decision and the same signatures, with
//! another's reading of the protocol. It shows what our own engine is worth.
//!
//! The engine of indymilter 0.3 has two tasks and a channel for each connection, and copies each
//! frame. It agrees on the same options as ours does. Reloads, limits of time, metrics and the
//! log of messages are left out, to its advantage.

use std::{
    ffi::{CStr, CString},
    future, io,
    net::IpAddr,
    path::Path,
    sync::Arc,
    time::SystemTime,
};

use indymilter::{
    Actions, Callbacks, Config, ContextActions, EomContext, MacroStage, ProtoOpts, SocketInfo,
    Status,
};
use zegel::{
    config::{self, ListenerSettings},
    dkim::{FIELD_NAME, HeaderSection, LeadingSpace},
    keystore::Keystore,
    observe::metrics::Metrics,
    organisation::{Action, Client},
    signer::{Body, Circumstances, Decision, Work, decide, exceeded_limit},
    snapshot::Snapshot,
};

/// Signs on `milter.sock` beside its configuration until it is killed.
///
/// # Panics
///
/// When something of the configuration is missing or wrong.
pub(crate) fn serve(config_file: &Path) -> io::Result<()> {
    let loaded = config::load(config_file).expect("a configuration");
    let keystore = Keystore::open(&loaded.settings.keystore_path).expect("a keystore");
    let built = Snapshot::build(loaded, &keystore, &Metrics::new(), None);
    let snapshot = Arc::new(built.expect("a snapshot").snapshot);
    let socket = config_file.with_file_name("milter.sock");
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.enable_all().build()?.block_on(async {
        let listener = tokio::net::UnixListener::bind(socket)?;
        let config = Config {
            max_connections: 1000,
            ..Config::default()
        };
        indymilter::run(
            listener,
            callbacks(snapshot),
            config,
            future::pending::<()>(),
        )
        .await
    })
}

/// A connection, and the message on it.
struct Conversation {
    snapshot: Arc<Snapshot>,
    client: Option<IpAddr>,
    login: Option<String>,
    header: HeaderSection,
    decision: Option<Decision>,
    body: Option<Body>,
}

fn callbacks(snapshot: Arc<Snapshot>) -> Callbacks<Conversation> {
    Callbacks::new()
        .on_negotiate(|context, _, _| {
            context.requested_actions = Actions::ADD_HEADER;
            context.requested_opts = ProtoOpts::LEADING_SPACE
                | ProtoOpts::NO_HELO
                | ProtoOpts::NO_RCPT
                | ProtoOpts::NO_UNKNOWN
                | ProtoOpts::NO_DATA
                | ProtoOpts::NOREPLY_CONNECT
                | ProtoOpts::NOREPLY_MAIL
                | ProtoOpts::NOREPLY_HEADER
                | ProtoOpts::NOREPLY_EOH
                | ProtoOpts::NOREPLY_BODY;
            let macros = &mut context.requested_macros;
            macros.insert(MacroStage::Mail, c"{auth_authen}".to_owned());
            answer(Status::Continue)
        })
        .on_connect(move |context, _, socket| {
            let client = match socket {
                SocketInfo::Inet(address) => Some(address.ip().to_canonical()),
                SocketInfo::Unix(_) | SocketInfo::Unknown => None,
            };
            context.data = Some(Conversation {
                snapshot: Arc::clone(&snapshot),
                client,
                login: None,
                header: HeaderSection::default(),
                decision: None,
                body: None,
            });
            answer(Status::Noreply)
        })
        .on_mail(|context, _| {
            let login = context
                .macros
                .get(c"{auth_authen}")
                .map(CStr::to_string_lossy);
            if let Some(conversation) = &mut context.data {
                conversation.login = login.map(String::from);
                conversation.header = HeaderSection::default();
                conversation.decision = None;
            }
            answer(Status::Noreply)
        })
        .on_header(|context, name, value| {
            if let Some(conversation) = &mut context.data {
                conversation.header.push(name.to_bytes(), value.to_bytes());
            }
            answer(Status::Noreply)
        })
        .on_eoh(|context| {
            if let Some(conversation) = &mut context.data {
                conversation.decide();
            }
            answer(Status::Noreply)
        })
        .on_body(|context, chunk| {
            if let Some(body) = context.data.as_mut().and_then(|one| one.body.as_mut()) {
                body.update(&chunk);
            }
            answer(Status::Noreply)
        })
        .on_eom(|context| Box::pin(end_of_message(context)))
}

fn answer(status: Status) -> indymilter::CallbackFuture<'static> {
    Box::pin(future::ready(status))
}

async fn end_of_message(context: &mut EomContext<Conversation>) -> Status {
    let signed = context.data.as_mut().map(Conversation::sign);
    let values = match signed {
        Some(Ok(values)) => values,
        Some(Err(Action::Accept)) => return Status::Accept,
        Some(Err(Action::Reject)) => return Status::Reject,
        Some(Err(Action::Tempfail)) | None => return Status::Tempfail,
    };
    for value in values {
        let inserted = context.actions.insert_header(0, FIELD_NAME, value);
        if inserted.await.is_err() {
            return Status::Tempfail;
        }
    }
    Status::Accept
}

impl Conversation {
    fn listener(&self) -> &ListenerSettings {
        &self.snapshot.settings().listeners[0]
    }

    fn decide(&mut self) {
        let listener = self.listener();
        let limits = &self.snapshot.settings().limits;
        let exceeded = exceeded_limit(limits, self.header.octets(), self.header.len());
        let circumstances = Circumstances {
            listener: &listener.name,
            outbound: &listener.outbound,
            login: self.login.as_deref(),
            client: self.client.map_or(Client::Unknown, Client::At),
            header_is_whole: exceeded.is_none(),
        };
        let decision = decide(&self.snapshot, &self.header, &circumstances).read_keys();
        let canonicalisation = self.snapshot.signing().canonicalisation;
        self.body = decision
            .verdict
            .is_ok()
            .then(|| Body::new(canonicalisation));
        self.decision = Some(decision);
    }

    /// The values of the fields, or what is done with a message that is not signed.
    fn sign(&mut self) -> Result<Vec<CString>, Action> {
        let decision = self.decision.take().ok_or(Action::Tempfail)?;
        let body = self.body.take();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.expect("a time after 1970").as_secs();
        let canonicalisation = self.snapshot.signing().canonicalisation;
        let work = Work::new(
            &decision,
            &self.snapshot,
            &self.header,
            canonicalisation,
            now,
        );
        let work = work.map_err(|refused| decision.action(&self.snapshot, refused.refusal))?;
        let signed = work.sign(body.ok_or(Action::Tempfail)?);
        let signed = signed.map_err(|refused| decision.action(&self.snapshot, refused.refusal))?;
        let values = signed.fields.iter();
        let values = values.map(|field| field.milter_value(LeadingSpace::Ours));
        Ok(values
            .map(|value| CString::new(value).expect("no NUL"))
            .collect())
    }
}
