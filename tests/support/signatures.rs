//! Quick verification with our own verifier: for thousands of messages in a test. Samples go
//! through the verifiers of others (see `verifiers`).

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use zegel::dkim::{FIELD_NAME, Message, ParsedSignature, PublicKey};
use zegel::keystore::Keystore;

/// Public keys by domain and selector.
#[derive(Clone, Debug, Default)]
pub struct PublicKeys(BTreeMap<(String, String), PublicKey>);

impl PublicKeys {
    /// Those of all keys of a keystore, in whatever state they are.
    pub fn of(keystore: &Keystore) -> Self {
        let mut keys = BTreeMap::new();
        for id in keystore.organisations().expect("organisations") {
            for key in keystore.load_organisation(&id).expect("keys").keys {
                for domain in key.entry.publications.keys() {
                    let name = (domain.to_string(), key.entry.selector.to_string());
                    keys.insert(name, key.signing_key.public_key().clone());
                }
            }
        }
        Self(keys)
    }

    /// The one in this record.
    ///
    /// # Errors
    ///
    /// When there is none in it.
    pub fn of_record(domain: &str, selector: &str, record: &str) -> Result<Self, String> {
        let key = PublicKey::from_record(record).map_err(|error| error.to_string())?;
        let name = (domain.to_owned(), selector.to_owned());
        Ok(Self(BTreeMap::from([(name, key)])))
    }

    /// Verifies every signature of a message with CRLF; from the top.
    ///
    /// # Errors
    ///
    /// What is wrong with the first one that does not verify.
    pub fn verify(&self, message: &[u8]) -> Result<Vec<ParsedSignature>, String> {
        self.verify_with(message, |signature, body| {
            let mut hasher = signature.body_hasher();
            hasher.update(body);
            hasher.finish()
        })
    }

    /// The same for a body that is not at hand, by its hash.
    ///
    /// # Errors
    ///
    /// What is wrong with the first one that does not verify.
    pub fn verify_header(
        &self,
        header: &[u8],
        body_hash: &[u8; 32],
    ) -> Result<Vec<ParsedSignature>, String> {
        self.verify_with(header, |_, _| *body_hash)
    }

    fn verify_with(
        &self,
        message: &[u8],
        hash: impl Fn(&ParsedSignature, &[u8]) -> [u8; 32],
    ) -> Result<Vec<ParsedSignature>, String> {
        let parsed = Message::parse(message).map_err(|error| error.to_string())?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.expect("the clock runs").as_secs();
        let mut signatures = Vec::new();
        for field in parsed.header.fields().filter(|field| field.is(FIELD_NAME)) {
            let signature = ParsedSignature::parse(field.name, field.value)
                .map_err(|error| format!("{error} in {}", field.value.escape_ascii()))?;
            let name = (signature.domain.to_string(), signature.selector.to_string());
            let key = self.0.get(&name).ok_or(format!("no key for {name:?}"))?;
            let body_hash = hash(&signature, parsed.body);
            signature
                .verify(&parsed.header, &body_hash, key, now)
                .map_err(|error| format!("{error} in {}", message.escape_ascii()))?;
            signatures.push(signature);
        }
        Ok(signatures)
    }

    /// The `d=` and `s=` of the signatures of a message, all of which must verify.
    #[track_caller]
    pub fn signers(&self, message: &[u8]) -> Vec<(String, String)> {
        let signatures = self.verify(message).expect("signatures that verify");
        let name = |one: &ParsedSignature| (one.domain.to_string(), one.selector.to_string());
        signatures.iter().map(name).collect()
    }
}
