//! mail-auth as a verifier. Zegel uses that library for SPF and as its resolver; its parser, its
//! canonicalisation and its verification of signatures are strangers to what signs.
//!
//! It gets two kinds of body wrong, which `docs/verifiers.md` tells of: see [`misreads`].

use std::{borrow::Borrow, collections::HashMap, hash::Hash, time::Instant};

use mail_auth::{
    AuthenticatedMessage, DkimResult, DnsError, Error, MessageAuthenticator, Parameters,
    ResolverCache, Txt,
    common::{parse::TxtRecordParser, verify::DomainKey},
    hickory_resolver::config::{ResolverConfig, ResolverOpts},
};
use zegel::dkim::{Canonicalisation, Message};

use crate::{
    signer::Signed,
    verifiers::{Records, Verdict},
};

pub(crate) const NAME: &str = "mail-auth";

/// As [`crate::verifiers::verify_all`] does it.
pub(crate) fn verify_all(messages: &[Vec<u8>], records: &Records) -> Vec<Vec<Verdict>> {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a runtime").block_on(async {
        let nowhere = ResolverConfig::from_parts(None, Vec::new(), Vec::new());
        let verifier = MessageAuthenticator::new(nowhere, ResolverOpts::default());
        let verifier = verifier.expect("a resolver that is never asked");
        let keys = Keys::of(records);
        let mut verdicts = Vec::new();
        for message in messages {
            verdicts.push(verify(&verifier, message, &keys).await);
        }
        verdicts
    })
}

async fn verify(verifier: &MessageAuthenticator, message: &[u8], keys: &Keys) -> Vec<Verdict> {
    let message = AuthenticatedMessage::parse(message).expect("a message");
    let parameters = Parameters::new(&message).with_txt_cache(keys);
    let results = verifier.verify_dkim(parameters).await;
    let verdict = results.iter().map(|result| {
        let signature = result.signature();
        let tag = |read: fn(&mail_auth::dkim::Signature) -> &String| {
            signature.map_or("-".to_owned(), |signature| read(signature).clone())
        };
        Verdict {
            domain: tag(|signature| &signature.d).to_ascii_lowercase(),
            selector: tag(|signature| &signature.s),
            passed: *result.result() == DkimResult::Pass,
            detail: format!("{:?}", result.result()),
        }
    });
    verdict.collect()
}

/// Whether mail-auth 0.13.3 gets the hash of this body wrong: it leaves out a CR without LF, and
/// does not take lines of blanks at the end of a relaxed body for empty ones.
pub(crate) fn misreads(signed: &Signed) -> bool {
    let message = Message::parse(&signed.bytes).expect("a message");
    let is_blank = |octet: &u8| b" \t\r\n".contains(octet);
    let text = message.body.iter().rposition(|octet| !is_blank(octet));
    let end = &message.body[text.map_or(0, |last| last + 1)..];
    // The rest of the last line that holds a word belongs to that line.
    let line = end.windows(2).position(|pair| pair == b"\r\n");
    let end = match (text, line) {
        (Some(_), Some(line)) => &end[line + 2..],
        _ => end,
    };
    let bare_cr = message
        .body
        .windows(2)
        .any(|pair| pair[0] == b'\r' && pair[1] != b'\n');
    let relaxed = signed.canonicalisation.body == Canonicalisation::Relaxed;
    bare_cr || (relaxed && end.iter().any(|octet| b" \t".contains(octet)))
}

/// The records, in the place of what the resolver has heard before.
struct Keys(HashMap<Box<str>, Txt>);

impl Keys {
    fn of(records: &Records) -> Self {
        let keys = records.iter().map(|(name, text)| {
            let key = match DomainKey::parse(text.as_bytes()) {
                Ok(key) => Txt::DomainKey(key.into()),
                Err(error) => Txt::Error(error),
            };
            (format!("{name}.").into(), key)
        });
        Self(keys.collect())
    }
}

impl ResolverCache<Box<str>, Txt> for Keys {
    fn get<Q>(&self, name: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let none = || Txt::Error(Error::Dns(DnsError::InvalidRecordType));
        Some(self.0.get(name).cloned().unwrap_or_else(none))
    }

    fn remove<Q>(&self, _: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        None
    }

    fn insert(&self, _: Box<str>, _: Txt, _: Instant) {}
}
