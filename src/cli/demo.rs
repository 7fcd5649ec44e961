//! `zegel demo`: the whole way of one message on an empty machine, with the real signer.
//!
//! A throw-away organisation gets a key, the signer serves on loopback, a message goes
//! through its milter socket as an MTA would send it, and the signature is verified against
//! the record that would be in DNS.

mod mta;

use std::{
    io::{self, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use clap::Args;
use jiff::Timestamp;

use crate::{
    config::{HttpListen, ListenerSettings, Loaded, Reader, Settings, Socket},
    daemon::{Daemon, InheritedSockets, Signals},
    dkim::{Algorithm, Message, ParsedSignature, PublicKey, key::NEW_RSA_BITS},
    handover::Data,
    keys::{Delegations, NewKey, State},
    keystore::{Keystore, Target},
    names::{DomainName, OrganisationId, Selector},
    organisation::{Organisation, Policy, SelectorTemplate},
};

const ORGANISATION: &str = "demo";
const DOMAIN: &str = "gemeente.example";
const LISTENER: &str = "demo";

/// The message that is signed.
const MESSAGE: &str = "\
From: Gemeente Voorbeeld <info@gemeente.example>\r\n\
To: inwoner@example.net\r\n\
Subject: Uw afspraak\r\n\
Date: Mon, 05 Oct 2026 09:30:00 +0200\r\n\
Message-ID: <1@gemeente.example>\r\n\
MIME-Version: 1.0\r\n\
Content-Type: text/plain; charset=us-ascii\r\n\
\r\n\
Geachte inwoner,\r\n\
\r\n\
Uw afspraak is op dinsdag om 10 uur.\r\n";

type Failure = Box<dyn std::error::Error>;

#[derive(Args, Debug)]
pub(super) struct DemoArguments {
    /// Go on serving until interrupted
    #[arg(long)]
    serve: bool,

    /// The keystore of the demo, made if it is not there
    #[arg(long, value_name = "DIR", default_value = "keys")]
    keys: PathBuf,
}

/// Shows it all on standard output.
pub(super) fn run(arguments: &DemoArguments) -> ExitCode {
    let runtime = tokio::runtime::Runtime::new();
    let shown = runtime
        .map_err(Failure::from)
        .and_then(|runtime| runtime.block_on(arguments.show()));
    match shown {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            super::output::complain(format_args!("demo: {error}"));
            ExitCode::FAILURE
        }
    }
}

impl DemoArguments {
    async fn show(&self) -> Result<(), Failure> {
        let organisation = organisation()?;
        let domain = &organisation.domains[0];
        let (keystore, selector) = prepare_key(&self.keys, &organisation)?;
        say(&format!(
            "1. A key for the organisation \"{ORGANISATION}\": {}/{ORGANISATION}/{selector}.pem\n",
            keystore.path().display()
        ))?;
        let signals = Signals::install()?;
        let daemon = Daemon::start(
            Reader::new(&self.keys.join("zegel.toml")),
            loaded(organisation.clone(), keystore.path()),
            InheritedSockets::none(),
        )
        .await?;
        let address = address(&daemon)?;
        say(&format!(
            "2. The signer listens on inet:{address}, as Postfix would find it.\n"
        ))?;
        let signed = mta::send(address, MESSAGE.as_bytes()).await?;
        say("3. The message went through the milter socket and came back with this on top:\n")?;
        say(&indent(&String::from_utf8_lossy(
            &signed[..signed.len() - MESSAGE.len()],
        )))?;
        let record = record(&keystore, &organisation.id, &selector)?;
        verify(&signed, &record)?;
        say(
            "4. The signature verifies against this record, which the DNS administrator of\n   \
             the organisation would publish:\n",
        )?;
        let name = selector.record_name(domain);
        // Cut into strings, which the readers of a zone file join again.
        let strings = Data::Text(record).strings().join("\" \"");
        say(&indent(&format!("{name}. TXT \"{strings}\"")))?;
        say("5. The lines for /etc/postfix/main.cf (conf/postfix/main.cf says more):\n")?;
        say(&indent(&format!(
            "smtpd_milters = inet:{address}\nnon_smtpd_milters = $smtpd_milters\n\
             internal_mail_filter_classes = bounce\nmilter_default_action = tempfail"
        )))?;
        if self.serve {
            say("The signer goes on; end it with Ctrl-C.")?;
            daemon.run(signals).await?;
        } else {
            daemon.stop().await;
        }
        Ok(())
    }
}

fn say(text: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{text}")
}

fn indent(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    format!("     {}\n", lines.join("\n     "))
}

fn organisation() -> Result<Organisation, Failure> {
    let id: OrganisationId = ORGANISATION.parse()?;
    Ok(Organisation {
        selector: SelectorTemplate::new(SelectorTemplate::DEFAULT, &id)?,
        id,
        name: "Gemeente Voorbeeld".to_owned(),
        domains: vec![DOMAIN.parse::<DomainName>()?],
        parked: Vec::new(),
        incoming: Vec::new(),
        contact: None,
        algorithms: vec![Algorithm::RsaSha256],
        senders: None,
        delegations: Delegations::default(),
        language: crate::words::Language::default(),
        policy: Policy::default(),
    })
}

fn loaded(organisation: Organisation, keys: &Path) -> Loaded {
    let settings = Settings {
        keystore_path: keys.to_owned(),
        listeners: vec![ListenerSettings {
            name: LISTENER.to_owned(),
            socket: Socket::Tcp(SocketAddr::from(([127, 0, 0, 1], 0))),
            ..ListenerSettings::default()
        }],
        http: HttpListen::Off,
        ..Settings::default()
    };
    Loaded {
        settings,
        organisations: vec![organisation.into()],
        warnings: Vec::new(),
        mistakes: crate::config::Mistakes::default(),
    }
}

/// The keystore and the selector of the key in use, which is made if there is none.
fn prepare_key(path: &Path, organisation: &Organisation) -> Result<(Keystore, Selector), Failure> {
    let keystore = Keystore::create(path)?;
    let keyring = keystore.read_keyring(&organisation.id)?;
    let domain = &organisation.domains[0];
    let in_use = keyring
        .keys()
        .iter()
        .find(|key| key.state(domain) == Some(State::Active));
    if let Some(key) = in_use {
        return Ok((keystore, key.selector.clone()));
    }
    let now = Timestamp::now();
    let key = NewKey::generate(Algorithm::RsaSha256, NEW_RSA_BITS[0])?;
    let added = keystore
        .writer()?
        .add_next(organisation, &organisation.domains, &key, now)?;
    let target = Target {
        organisation: &organisation.id,
        selector: &added.selector,
        domains: &organisation.domains,
    };
    // There is no DNS for a domain under .example: the record is shown instead.
    keystore.activate(&target, &Settings::default().timing(), now)?;
    Ok((keystore, added.selector))
}

fn address(daemon: &Daemon) -> Result<SocketAddr, Failure> {
    Ok(daemon
        .addresses()
        .iter()
        .find(|(name, _)| name == LISTENER)
        .ok_or("the signer does not listen")?
        .1)
}

fn record(
    keystore: &Keystore,
    organisation: &OrganisationId,
    selector: &Selector,
) -> Result<String, Failure> {
    let keyring = keystore.read_keyring(organisation)?;
    let entry = keyring.key(selector).ok_or("the key is gone")?;
    Ok(keystore.public_key(organisation, entry)?.record())
}

/// What any receiver does, with the record at hand instead of in DNS.
fn verify(signed: &[u8], record: &str) -> Result<(), Failure> {
    let message = Message::parse(signed)?;
    let field = message
        .header
        .fields()
        .next()
        .ok_or("nothing was inserted")?;
    let signature = ParsedSignature::parse(field.name, field.value)?;
    let mut hasher = signature.body_hasher();
    hasher.update(message.body);
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let key = PublicKey::from_record(record)?;
    signature.verify(&message.header, &hasher.finish(), &key, now)?;
    Ok(())
}
