//! A message on the way that it would take through the milter: the same decision and the
//! same signatures, without an MTA.

use std::{collections::BTreeSet, net::AddrParseError};

use clap::Args;

use super::{
    context::{self, Context, nearest},
    failure::Failure,
};
use crate::{
    config::{About, ListenerSettings, Loaded, Reader, Settings},
    dkim::{HeaderSection, Message, VerificationError},
    keystore::{Keystore, Witness},
    names::{DomainName, OrganisationId},
    observe::metrics::Metrics,
    organisation::Client,
    signer::{
        Body, Circumstances, Decision, Refused, Signed, Work, asked_domains, decide, exceeded_limit,
    },
    snapshot::{ActiveKey, Built, Snapshot},
};

/// Where the message is taken to come from.
#[derive(Args, Debug)]
pub(super) struct CircumstanceArguments {
    /// As if it came in by this listener [default: the first one]
    #[arg(long, value_name = "NAME")]
    listener: Option<String>,

    /// As if this SMTP client had sent it; `none`: one of which the MTA knows no address
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1", value_parser = client)]
    pub(super) client: Client,

    /// As if the client had logged in by this name
    #[arg(long, value_name = "LOGIN")]
    auth: Option<String>,
}

impl CircumstanceArguments {
    /// The login, if there is one.
    pub(super) fn login(&self) -> Option<&str> {
        self.auth.as_deref().filter(|login| !login.is_empty())
    }
}

/// What a signer would start with, as far as it concerns a message with this header section, and
/// where its keys are.
pub(super) fn build(
    context: &Context,
    header: &HeaderSection,
) -> Result<(Built, Keystore), Failure> {
    let domains = asked_domains(header);
    if let Some((loaded, keystore)) = load_about(context, &domains)? {
        context::warn_of(&loaded);
        let built = Snapshot::about(loaded, &keystore, &Metrics::new(), &domains)?;
        return Ok((built, keystore));
    }
    let loaded = context.load()?;
    let keystore = loaded.settings.open_keystore()?;
    let built = Snapshot::build(loaded, &keystore, &Metrics::new(), None)?;
    Ok((built, keystore))
}

/// The organisations that have to do with these domains; none if that is only known once all have
/// been read.
fn load_about(
    context: &Context,
    domains: &BTreeSet<DomainName>,
) -> Result<Option<(Loaded, Keystore)>, Failure> {
    let about = |organisations| About {
        organisations,
        domains: domains.clone(),
    };
    let mut reader = Reader::new(context.config_file());
    let mut opened = None;
    let loaded = reader.load_about(|settings| {
        let keystore = settings.open_keystore().ok();
        let keystore = keystore.map(|one| one.about(domains, &BTreeSet::new()));
        let witness = keystore.as_ref().and_then(|one| one.witness().ok());
        let complete = witness.filter(Witness::tells_of_all);
        let Some((keystore, witness)) = keystore.zip(complete) else {
            return About::default();
        };
        let holders = witness.holders(domains);
        opened = Some((keystore, witness));
        about(holders)
    })?;
    let Some((keystore, witness)) = opened else {
        return Ok(None);
    };
    // A key that several have signs for none of them.
    let ids = loaded.organisations.iter().map(|one| one.id.clone());
    let mut ids: BTreeSet<OrganisationId> = ids.collect();
    // Files may give a domain to someone who never had a key for it.
    let is_new = !ids.is_subset(&witness.holders(domains));
    let (keystore, witness) = if is_new {
        let keystore = keystore.about(domains, &ids);
        let witness = keystore.witness()?;
        (keystore, witness)
    } else {
        (keystore, witness)
    };
    let mut sharing = witness.sharing(&ids);
    if sharing.is_empty() {
        return Ok(Some((loaded, keystore)));
    }
    ids.append(&mut sharing);
    Ok(Some((reader.load_about(|_| about(ids))?, keystore)))
}

/// A message and what is decided of it.
pub(super) struct Trial<'a> {
    snapshot: &'a Snapshot,
    message: &'a Message<'a>,
    pub(super) listener: &'a ListenerSettings,
    pub(super) decision: Decision,
    /// The time in seconds since 1970.
    now: u64,
}

impl<'a> Trial<'a> {
    pub(super) fn new(
        snapshot: &'a Snapshot,
        message: &'a Message<'a>,
        arguments: &CircumstanceArguments,
    ) -> Result<Self, Failure> {
        let settings = snapshot.settings();
        let listener = listener(settings, arguments.listener.as_deref())?;
        let header = &message.header;
        let circumstances = Circumstances {
            listener: &listener.name,
            outbound: &listener.outbound,
            login: arguments.login(),
            client: arguments.client,
            header_is_whole: exceeded_limit(&settings.limits, header.octets(), header.len())
                .is_none(),
        };
        Ok(Self {
            snapshot,
            message,
            listener,
            decision: decide(snapshot, header, &circumstances).read_keys(),
            now: context::now(),
        })
    }

    /// Signs the message, if that is what was decided.
    pub(super) fn sign(&self) -> Result<Signed, Refused> {
        let work = self.work()?;
        let mut body = Body::new(work.canonicalisation);
        body.update(self.message.body);
        work.sign(body)
    }

    /// Verifies each signature with its key.
    pub(super) fn verify(&self, signed: &Signed) -> Vec<Result<(), VerificationError>> {
        self.work()
            .map(|work| work.verify(signed))
            .unwrap_or_default()
    }

    /// The keys that are signed with, in the order of the signatures.
    pub(super) fn keys(&self) -> impl Iterator<Item = &ActiveKey> {
        let keys = self.decision.verdict.as_deref().unwrap_or_default();
        keys.iter().map(AsRef::as_ref)
    }

    fn work(&self) -> Result<Work<'_>, Refused> {
        Work::new(
            &self.decision,
            self.snapshot,
            &self.message.header,
            self.snapshot.signing().canonicalisation,
            self.now,
        )
    }
}

fn client(text: &str) -> Result<Client, AddrParseError> {
    match text {
        "none" => Ok(Client::WithoutAddress),
        _ => text.parse().map(Client::At),
    }
}

fn listener<'a>(
    settings: &'a Settings,
    name: Option<&str>,
) -> Result<&'a ListenerSettings, Failure> {
    let listeners = &settings.listeners;
    let Some(name) = name else {
        return listeners
            .first()
            .ok_or_else(|| Failure::Usage("the configuration has no [[listener]]".to_owned()));
    };
    let found = listeners.iter().find(|listener| listener.name == name);
    found.ok_or_else(|| {
        let names: Vec<&str> = listeners
            .iter()
            .map(|listener| listener.name.as_str())
            .collect();
        let advice = nearest(name, names.iter().copied());
        Failure::Usage(format!(
            "there is no listener {name}; {}",
            advice.unwrap_or_else(|| format!("there are: {}", names.join(", ")))
        ))
    })
}
