//! A message of our own, signed by the keys of a domain and verified by their records:
//! the whole way but for the MTA and the DNS.

use std::sync::Arc;

use crate::{
    dkim::{FIELD_NAME, Message, ParsedSignature, PublicKey},
    names::DomainName,
    organisation::Ground,
    signer::{Body, Decision, Work},
    snapshot::{ActiveKey, Domain, Snapshot},
};

const BODY: &[u8] = b"One line,\r\nand another. \r\n\r\n";

/// What a probe is signed with.
pub(super) struct Probe<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) name: &'a DomainName,
    pub(super) domain: &'a Arc<Domain>,
    pub(super) keys: &'a Arc<[Arc<ActiveKey>]>,
    pub(super) now: u64,
}

impl Probe<'_> {
    /// Signs with every key, and verifies every signature with what the record of its key
    /// says. An error names the key that failed.
    pub(super) fn run(&self) -> Result<(), String> {
        let text = format!(
            "From: zegel <probe@{}>\r\nTo: probe@example.com\r\nSubject: probe\r\n\
             Date: Thu, 01 Jan 1970 00:00:00 +0000\r\n\r\n",
            self.name
        );
        let message = Message::parse(text.as_bytes()).map_err(|error| error.to_string())?;
        // It comes from nobody: what decides on senders has no say.
        let decision = Decision {
            author: Ok(self.name.clone()),
            domain: Some(Arc::clone(self.domain)),
            outbound: Some(Ground::Anybody),
            permission: Some(Ground::Anybody),
            verdict: Ok(Arc::clone(self.keys)),
        };
        let canonicalisation = self.snapshot.signing().canonicalisation;
        let mut body = Body::new(canonicalisation);
        body.update(BODY);
        let signed = Work::new(
            &decision,
            self.snapshot,
            &message.header,
            canonicalisation,
            self.now,
        )
        .and_then(|work| work.sign(body))
        .map_err(|refused| format!("a probe cannot be signed: {}", refused.refusal))?;
        for (key, field) in self.keys.iter().zip(&signed.fields) {
            self.verify(&message, key, field.value()).map_err(|error| {
                format!(
                    "a probe signed by {} does not verify: {error}",
                    key.selector
                )
            })?;
        }
        Ok(())
    }

    fn verify(&self, message: &Message<'_>, key: &ActiveKey, value: &str) -> Result<(), String> {
        let signature = ParsedSignature::parse(FIELD_NAME.as_bytes(), value.as_bytes())
            .map_err(|error| error.to_string())?;
        let mut hasher = signature.body_hasher();
        hasher.update(BODY);
        let record = key.signing_key.public_key().record();
        let public_key = PublicKey::from_record(&record).map_err(|error| error.to_string())?;
        signature
            .verify(&message.header, &hasher.finish(), &public_key, self.now)
            .map_err(|error| error.to_string())
    }
}
