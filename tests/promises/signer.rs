//! The signer, as `src/daemon/reload.rs` runs it: a snapshot that is made anew when the keystore
//! has changed or somebody says so, and one message at a time.

use zegel::{
    config::Reader,
    dkim::{
        CanonicalisationPair, Message, ParsedSignature,
        key::{Fingerprint, PublicKey},
    },
    keystore::Keystore,
    observe::metrics::Metrics,
    organisation::{Action, Client, Refusal},
    signer::{Body, Circumstances, Decision, Work, decide},
    snapshot::Snapshot,
};

use crate::{
    events::{DOMAINS, Dom},
    files::Files,
};

pub(crate) struct Signer {
    reader: Reader,
    /// None while no configuration can be read: then the process has ended.
    snapshot: Option<Snapshot>,
    metrics: Metrics,
}

/// What became of a message.
#[derive(Debug)]
pub(crate) enum Fate {
    /// With these keys, each with its selector.
    Signed(Vec<Signature>),
    Unsigned(Refusal),
    PutOff,
    /// There is no signer that it could come to.
    Waits,
}

#[derive(Debug)]
pub(crate) struct Signature {
    pub(crate) organisation: String,
    pub(crate) selector: String,
    pub(crate) key: Fingerprint,
    value: String,
}

impl Signer {
    pub(crate) fn start(files: &Files) -> Self {
        let metrics = Metrics::new();
        let mut reader = Reader::new(&files.path("zegel.toml"));
        let snapshot: Option<Snapshot> = reader.load().ok().map(|loaded| {
            let keystore = loaded.settings.open_keystore();
            let built =
                keystore.and_then(|keystore| Snapshot::first(loaded.clone(), &keystore, &metrics));
            let marked = loaded.settings.marked_in_use();
            let waiting = |_| Snapshot::waiting(loaded, &metrics, None, &marked);
            built.unwrap_or_else(waiting).snapshot
        });
        let mut signer = Self {
            reader,
            snapshot,
            metrics,
        };
        signer.note_holders();
        signer
    }

    /// A domain that two files have stays with the one that has it now.
    fn note_holders(&mut self) {
        if let Some(snapshot) = &self.snapshot {
            self.reader.go_on_from(match snapshot.keystore() {
                Some(_) => snapshot.organisations(),
                None => &snapshot.loaded().organisations,
            });
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.snapshot.is_some()
    }

    /// Upon a signal: the files too. Whether they are in use now.
    pub(crate) fn reload(&mut self) -> bool {
        let Some(before) = &self.snapshot else {
            return false;
        };
        let Ok(loaded) = self.reader.load() else {
            return false;
        };
        if loaded.organisations.is_empty() && !before.organisations().is_empty() {
            return false;
        }
        self.build(loaded)
    }

    /// When it looks, which it does every two seconds: the keys alone.
    pub(crate) fn look(&mut self) {
        let Some(before) = &self.snapshot else {
            return;
        };
        let keystore = keystore(before);
        let generation = keystore.and_then(|keystore| keystore.generation_stamp().ok());
        let has_changed = generation != Some(before.generation());
        if generation.is_some() && (has_changed || before.has_unread_keyrings()) {
            let loaded = before.loaded().clone();
            self.build(loaded);
        }
    }

    fn build(&mut self, loaded: zegel::config::Loaded) -> bool {
        let Some(before) = &self.snapshot else {
            return false;
        };
        let (is_waiting, metrics) = (before.keystore().is_none(), &self.metrics);
        let built = keystore(before).and_then(|keystore| {
            let built = if is_waiting {
                Snapshot::first(loaded.clone(), &keystore, metrics)
            } else {
                Snapshot::build(loaded.clone(), &keystore, metrics, Some(before))
            };
            built.ok()
        });
        let built = match built {
            None if is_waiting => {
                let marked = loaded.settings.marked_in_use();
                let waiting = Snapshot::waiting(loaded, metrics, Some(before), &marked);
                Some(waiting)
            }
            built => built,
        };
        let has_built = built.is_some();
        if let Some(built) = built {
            self.snapshot = Some(built.snapshot);
            self.note_holders();
        }
        has_built
    }

    pub(crate) fn send(&self, dom: Dom) -> Fate {
        let Some(snapshot) = &self.snapshot else {
            return Fate::Waits;
        };
        let text = text(dom);
        let message = Message::parse(text.as_bytes()).unwrap();
        let listener = &snapshot.settings().listeners[0];
        let circumstances = Circumstances {
            listener: &listener.name,
            outbound: &listener.outbound,
            login: None,
            client: Client::WithoutAddress,
            header_is_whole: true,
        };
        let decision = decide(snapshot, &message.header, &circumstances).read_keys();
        match sign(snapshot, &decision, &message) {
            Ok(signatures) => Fate::Signed(signatures),
            Err(refusal) => match decision.action(snapshot, refusal) {
                Action::Accept => Fate::Unsigned(refusal),
                Action::Tempfail | Action::Reject => Fate::PutOff,
            },
        }
    }
}

fn keystore(snapshot: &Snapshot) -> Option<Keystore> {
    let known = snapshot.keystore().cloned();
    known.or_else(|| snapshot.settings().open_keystore().ok())
}

fn text(dom: Dom) -> String {
    let domain = DOMAINS[dom];
    format!(
        "From: <a@{domain}>\r\nTo: <b@elsewhere.example>\r\nSubject: one\r\n\
         Date: Fri, 21 Nov 2025 10:00:00 +0000\r\nMessage-ID: <1@{domain}>\r\n\r\nIt is one.\r\n"
    )
}

fn sign(
    snapshot: &Snapshot,
    decision: &Decision,
    message: &Message<'_>,
) -> Result<Vec<Signature>, Refusal> {
    let canonicalisation: CanonicalisationPair = snapshot.signing().canonicalisation;
    let header = &message.header;
    let work = Work::new(decision, snapshot, header, canonicalisation, 1_800_000_000);
    let work = work.map_err(|refused| refused.refusal)?;
    let mut body = Body::new(canonicalisation);
    body.update(message.body);
    let signed = work.sign(body).map_err(|refused| refused.refusal)?;
    let keys = decision.verdict.as_ref().unwrap();
    assert_eq!(keys.len(), signed.fields.len());
    let organisation = &decision.domain.as_ref().unwrap().organisation.id;
    let pairs = keys.iter().zip(&signed.fields);
    let signature = |(key, field): (&std::sync::Arc<zegel::snapshot::ActiveKey>, _)| Signature {
        organisation: organisation.to_string(),
        selector: key.selector.to_string(),
        key: key.signing_key.public_key().fingerprint(),
        value: zegel::dkim::SignatureField::value(field).to_owned(),
    };
    Ok(pairs.map(signature).collect())
}

impl Signature {
    /// Verifies it, as whoever receives the message does with the record of this key.
    pub(crate) fn check(&self, dom: Dom, public_key: &PublicKey) {
        let parsed = ParsedSignature::parse(b"DKIM-Signature", self.value.as_bytes()).unwrap();
        assert_eq!(parsed.domain.as_str(), DOMAINS[dom]);
        assert_eq!(parsed.selector.as_str(), self.selector);
        let text = text(dom);
        let message = Message::parse(text.as_bytes()).unwrap();
        let mut hasher = parsed.body_hasher();
        hasher.update(message.body);
        let verified = parsed.verify(&message.header, &hasher.finish(), public_key, 1_800_000_000);
        assert_eq!(verified, Ok(()), "{self:?}");
    }
}
