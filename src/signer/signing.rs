//! The end of a message: what its body held, whether we have signed it before, and the
//! signatures. The milter and the commands both come through here.

use std::{collections::HashMap, sync::Arc, time::Duration};

use super::decision::Decision;
use crate::{
    config::SigningSettings,
    dkim::{
        BodyHasher, BodyInspector, CanonicalisationPair, FIELD_NAME, Hazard, Hazards,
        HeaderSection, ParsedSignature, Signatory, SignatureField, SignedContent,
        VerificationError, allows_eight_bit, listed_names,
    },
    names::DomainName,
    observe::processor_time,
    organisation::{Action, Policy, Refusal},
    snapshot::{ActiveKey, Snapshot},
};

/// What OpenDKIM reads of `h=`.
const NAME_LIST_OCTETS: usize = 4096;
/// So many names more than ours has now `h=` of an older signature of ours may have: it was
/// made by other rules, before a reload or on another relay.
const NAMES_OF_OTHER_RULES: usize = 1000;
/// How many signatures in our name are verified, to see whether one is ours.
const SIGNATURES_LOOKED_AT: usize = 4;
/// So many seconds the clock of another relay may be ahead of ours.
const CLOCKS_APART: u64 = 300;

/// The body of a message that is to be signed, while it passes; memory does not grow with it.
pub struct Body {
    hasher: BodyHasher,
    inspector: BodyInspector,
}

impl Body {
    /// A body of which nothing has come yet.
    pub fn new(canonicalisation: CanonicalisationPair) -> Self {
        Self {
            hasher: BodyHasher::new(canonicalisation.body),
            inspector: BodyInspector::default(),
        }
    }

    /// The next chunk, cut anywhere.
    pub fn update(&mut self, chunk: &[u8]) {
        self.hasher.update(chunk);
        self.inspector.update(chunk);
    }
}

/// What a message is signed with.
#[derive(Clone, Copy)]
pub struct Work<'a> {
    /// The fields of the message.
    pub header: &'a HeaderSection,
    /// The From domain, for `d=`.
    pub author: &'a DomainName,
    /// The keys to sign with, one signature each.
    pub keys: &'a [Arc<ActiveKey>],
    /// What is signed, and how long a signature holds.
    pub rules: &'a SigningSettings,
    /// The canonicalisation of the body that has passed, and of the header section.
    pub canonicalisation: CanonicalisationPair,
    /// The policy that holds for the organisation.
    pub policy: &'a Policy,
    /// The time in seconds since 1970.
    pub now: u64,
}

/// A signed message.
#[derive(Clone, Debug)]
pub struct Signed {
    /// One field for each key, in the order of the keys; to be inserted on top.
    pub fields: Vec<SignatureField>,
    /// What may break the signatures on their way.
    pub hazards: Hazards,
    /// The processor time that it took.
    pub processor_time: Duration,
    body_hash: [u8; 32],
}

/// A message that is not signed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Refused {
    /// Why.
    pub refusal: Refusal,
    /// What was seen in it.
    pub hazards: Hazards,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self {
            refusal,
            hazards: Hazards::default(),
        }
    }
}

impl<'a> Work<'a> {
    /// What is to be done for a message that was decided on. `now` is in seconds since 1970.
    ///
    /// # Errors
    ///
    /// When the decision is not to sign.
    pub fn new(
        decision: &'a Decision,
        snapshot: &'a Snapshot,
        header: &'a HeaderSection,
        canonicalisation: CanonicalisationPair,
        now: u64,
    ) -> Result<Self, Refused> {
        let keys = decision.verdict.as_ref().map_err(|&refusal| refusal)?;
        let Ok(author) = &decision.author else {
            return Err(Refusal::SigningFailure.into());
        };
        Ok(Self {
            header,
            author,
            keys,
            rules: snapshot.signing(),
            canonicalisation,
            policy: decision.policy(snapshot),
            now,
        })
    }

    /// Signs with all keys or with none.
    ///
    /// # Errors
    ///
    /// When a signature of ours is there already, when the policy refuses a hazard, or when
    /// the cryptography fails.
    pub fn sign(&self, body: Body) -> Result<Signed, Refused> {
        let begun = processor_time::of_thread();
        let names = self.rules.headers.select(self.header);
        let hazards = self.hazards(&names, body.inspector);
        let refused = |refusal| Refused { refusal, hazards };
        let body_hash = body.hasher.finish();
        if self.is_signed_already(&names, &body_hash) {
            return Err(refused(Refusal::AlreadySigned));
        }
        if !hazards.is_empty() && self.policy.hazard != Action::Accept {
            return Err(refused(Refusal::Hazard));
        }
        let content = SignedContent::new(self.header, names, body_hash, self.canonicalisation);
        let mut fields = Vec::with_capacity(self.keys.len());
        for key in self.keys {
            let field = content.sign(&self.signatory(key)).map_err(|error| {
                let selector = key.selector.as_str();
                tracing::error!(domain = %self.author, selector, %error, "signing failed");
                refused(Refusal::SigningFailure)
            })?;
            fields.push(field);
        }
        Ok(Signed {
            fields,
            hazards,
            processor_time: processor_time::of_thread().saturating_sub(begun),
            body_hash,
        })
    }

    /// Verifies what [`Work::sign`] made, as a receiver would, each signature with the key
    /// in its place.
    pub fn verify(&self, signed: &Signed) -> Vec<Result<(), VerificationError>> {
        let verify = |(key, field): (&Arc<ActiveKey>, &SignatureField)| {
            let signature =
                ParsedSignature::parse(FIELD_NAME.as_bytes(), field.value().as_bytes())?;
            let public_key = key.signing_key.public_key();
            signature.verify(self.header, &signed.body_hash, public_key, self.now)
        };
        self.keys.iter().zip(&signed.fields).map(verify).collect()
    }

    fn signatory<'k>(&'k self, key: &'k ActiveKey) -> Signatory<'k> {
        Signatory {
            domain: self.author,
            selector: &key.selector,
            key: &key.signing_key,
            canonicalisation: self.canonicalisation,
            time: self.now,
            expiration: self
                .rules
                .expire
                .map(|duration| self.now.saturating_add(duration.as_secs())),
        }
    }

    fn hazards(&self, names: &[&str], body: BodyInspector) -> Hazards {
        // The rules are few; of `names` there is one for each field that comes.
        let rules = &self.rules.headers;
        let mut hazards = Hazards::of_header(self.header, |name| rules.cover(name));
        if names.iter().map(|name| name.len() + 1).sum::<usize>() > NAME_LIST_OCTETS {
            hazards.add(Hazard::LongNameList);
        }
        hazards | body.finish(allows_eight_bit(self.header))
    }

    /// Whether one of our keys has signed exactly this message before, and as much of it as
    /// these names say: a content filter may have brought it back (`d=` and `s=` are compared
    /// first, since anybody can write them).
    fn is_signed_already(&self, names: &[&str], body_hash: &[u8; 32]) -> bool {
        let most_names = self.rules.headers.most_names(self.header) + NAMES_OF_OTHER_RULES;
        self.header
            .fields()
            .filter(|field| field.is(FIELD_NAME))
            // What lists more is none of ours, and each name would be looked for.
            .filter(|field| listed_names(field.value) <= most_names)
            .filter_map(|field| ParsedSignature::parse(field.name, field.value).ok())
            .filter(|signature| signature.domain == *self.author)
            .filter(|signature| signature.canonicalisation.body == self.canonicalisation.body)
            .filter(|signature| self.is_as_strong(signature, names))
            // The header section is canonicalised for each: a message may hold thousands.
            .take(SIGNATURES_LOOKED_AT)
            .any(|signature| {
                self.keys
                    .iter()
                    .filter(|key| key.selector == signature.selector)
                    .any(|key| {
                        let public_key = key.signing_key.public_key();
                        signature
                            .verify(self.header, body_hash, public_key, self.now)
                            .is_ok()
                    })
            })
    }

    /// Whether a signature holds no longer than one of today, give or take [`CLOCKS_APART`], and
    /// signs each of these names at least as often: one that signs less lets a field be changed,
    /// or added (RFC 6376 §8.15).
    fn is_as_strong(&self, signature: &ParsedSignature, names: &[&str]) -> bool {
        let latest = self
            .rules
            .expire
            .map(|duration| duration.as_secs().saturating_add(CLOCKS_APART))
            .map(|lifetime| self.now.saturating_add(lifetime));
        if latest.is_some_and(|latest| signature.expiration.is_none_or(|end| end > latest)) {
            return false;
        }
        let mut left: HashMap<String, usize> = HashMap::new();
        for name in &signature.names {
            *left.entry(name.to_ascii_lowercase()).or_default() += 1;
        }
        names.iter().all(|name| {
            let left = left.get_mut(&name.to_ascii_lowercase());
            left.is_some_and(|count| count.checked_sub(1).map(|less| *count = less).is_some())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dkim::{Algorithm, SigningKey, key};

    /// A message that our key has signed by other rules is to be signed.
    struct Before {
        /// `h=` of the older signature, made of what it is today.
        names: fn(&mut Vec<&str>),
        expiration: Option<u64>,
        /// How long a signature holds today.
        expire: Option<Duration>,
        /// A field that was added behind the older signature.
        added: Option<(&'static str, &'static str)>,
    }

    const AS_TODAY: Before = Before {
        names: |_| {},
        expiration: None,
        expire: None,
        added: None,
    };
    const NOW: u64 = 1_800_000_000;

    fn again(before: &Before) -> Result<(), Refusal> {
        let pem = key::generate_pem(Algorithm::Ed25519Sha256, 0).unwrap();
        let key = ActiveKey {
            selector: "s1".parse().unwrap(),
            signing_key: Arc::new(SigningKey::from_pem(pem.as_bytes()).unwrap()),
        };
        let (keys, rules) = (
            [Arc::new(key)],
            SigningSettings {
                expire: before.expire,
                ..SigningSettings::default()
            },
        );
        let author = "een.example".parse().unwrap();
        let mut header = HeaderSection::default();
        header.push(b"From", b" a@een.example");
        header.push(b"Subject", b" one");
        let work = Work {
            header: &header,
            author: &author,
            keys: &keys,
            rules: &rules,
            canonicalisation: rules.canonicalisation,
            policy: &Policy::default(),
            now: NOW,
        };
        let mut names = rules.headers.select(&header);
        (before.names)(&mut names);
        let body_hash = BodyHasher::new(rules.canonicalisation.body).finish();
        let content = SignedContent::new(&header, names, body_hash, rules.canonicalisation);
        let signatory = Signatory {
            expiration: before.expiration,
            ..work.signatory(&keys[0])
        };
        let signature = content.sign(&signatory).unwrap();
        let mut header = header.clone();
        header.push(FIELD_NAME.as_bytes(), signature.value().as_bytes());
        if let Some((name, value)) = before.added {
            header.push(name.as_bytes(), value.as_bytes());
        }
        let again = Work {
            header: &header,
            ..work
        };
        let signed = again.sign(Body::new(rules.canonicalisation));
        signed.map(|_| ()).map_err(|refused| refused.refusal)
    }

    #[test]
    fn a_signature_of_ours_is_known_unless_it_lists_what_nobody_would() {
        let known = Err(Refusal::AlreadySigned);
        let with = |names| again(&Before { names, ..AS_TODAY });
        assert_eq!(again(&AS_TODAY), known);
        assert_eq!(
            with(|names| names.resize(names.len() + NAMES_OF_OTHER_RULES, "x-absent")),
            known
        );
        assert_eq!(
            with(|names| names.resize(names.len() + 2 * NAMES_OF_OTHER_RULES, "x-absent")),
            Ok(())
        );
        assert_eq!(with(|names| names.resize(500_000, "x-absent")), Ok(()));
    }

    #[test]
    fn a_weaker_signature_of_ours_does_not_count() {
        let known = Err(Refusal::AlreadySigned);
        for names in [
            // Only From; without the Subject; each once, so that another may be added.
            (|names| names.retain(|name| *name == "from")) as fn(&mut Vec<&str>),
            |names| *names = vec!["from"],
            |names| names.retain(|name| !name.eq_ignore_ascii_case("subject")),
            |names| names.retain(|name| !name.eq_ignore_ascii_case("reply-to")),
            |names| names.retain(|name| !name.eq_ignore_ascii_case("cc")),
            // The list of 0.1, for plain mail.
            |names| names.retain(|name| !name.contains("content-") && *name != "mime-version"),
            |names| {
                names.sort_unstable();
                names.dedup();
            },
        ] {
            assert_eq!(again(&Before { names, ..AS_TODAY }), Ok(()));
        }
        // In another order, and with more, it is as strong.
        for names in [(|names| names.reverse()) as fn(&mut Vec<&str>), |names| {
            names.extend(["from", "list-id", "x-mailer"]);
        }] {
            assert_eq!(again(&Before { names, ..AS_TODAY }), known);
        }
        // A field that is signed today came later; one that is not is of no matter.
        let added = Some(("Message-ID", " <1@een.example>"));
        assert_eq!(again(&Before { added, ..AS_TODAY }), Ok(()));
        let added = Some(("X-Spam-Status", " No"));
        assert_eq!(again(&Before { added, ..AS_TODAY }), known);
        // It must not hold longer than one of today.
        let expire = Some(Duration::from_hours(24));
        for (expiration, expected) in [
            (None, Ok(())),
            (Some(NOW + 86_400 + CLOCKS_APART + 1), Ok(())),
            // The relay that signed it has a clock that is ahead of ours.
            (Some(NOW + 86_400 + CLOCKS_APART), known),
            (Some(NOW + 86_400), known),
            (Some(NOW + 60), known),
        ] {
            let before = Before {
                expiration,
                expire,
                ..AS_TODAY
            };
            assert_eq!(again(&before), expected, "{expiration:?}");
        }
    }
}
