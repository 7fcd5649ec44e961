//! The private keys of another signer.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs,
    os::unix::fs::MetadataExt,
    panic::resume_unwind,
    path::Path,
    thread,
};

use zeroize::Zeroizing;

use crate::{
    dkim::KeyError,
    import::{Code, Finding, KeyFacts, KeySource, Signing},
    keys::NewKey,
    keystore::KeystoreError,
};

/// No key file is longer.
const LONGEST: u64 = 64 * 1024;

/// Each was read once.
pub(super) struct Keys(HashMap<KeySource, Result<NewKey, (Code, String)>>);

impl Keys {
    pub(super) fn read<'a>(sources: impl Iterator<Item = &'a KeySource>) -> Self {
        let sources: HashSet<&KeySource> = sources.collect();
        let sources: Vec<&KeySource> = sources.into_iter().collect();
        // Each is tried, which takes a millisecond; there may be ten thousand.
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let share = sources.len().div_ceil(threads).max(1);
        let read_share = |share: &[&KeySource]| -> Vec<_> {
            share
                .iter()
                .map(|source| ((*source).clone(), read(source)))
                .collect()
        };
        Self(thread::scope(|scope| {
            let running: Vec<_> = sources
                .chunks(share)
                .map(|share| scope.spawn(move || read_share(share)))
                .collect();
            running
                .into_iter()
                .flat_map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
                .collect()
        }))
    }

    pub(super) fn get(&self, source: &KeySource) -> Option<&NewKey> {
        self.0.get(source)?.as_ref().ok()
    }

    pub(super) fn facts(&self) -> BTreeMap<KeySource, KeyFacts> {
        let facts = |found: &Result<NewKey, (Code, String)>| match found {
            Ok(key) => KeyFacts::Usable {
                fingerprint: key.public_key().fingerprint(),
                algorithm: key.public_key().algorithm(),
            },
            Err((code, reason)) => KeyFacts::Refused {
                code: *code,
                reason: reason.clone(),
            },
        };
        self.0
            .iter()
            .map(|(source, found)| (source.clone(), facts(found)))
            .collect()
    }

    /// Files that others can read, each at the first place that names it.
    pub(super) fn findings(signings: &[Signing]) -> Vec<Finding> {
        let mut seen = HashSet::new();
        let mut findings = Vec::new();
        for signing in signings {
            let KeySource::File(path) = &signing.key else {
                continue;
            };
            if seen.insert(path)
                && let Ok(metadata) = fs::metadata(path)
                && metadata.mode() & 0o007 != 0
            {
                let found = format!(
                    "{}: every user of this host can get at this private key (mode {:04o})",
                    path.display(),
                    metadata.mode() & 0o7777
                );
                let done = "it was taken over as it is; if others may have read it, make a new \
                            one with `zegel key roll`, and remove the file when it is not needed";
                findings.push(Finding::at(
                    Code::UnsafeKeyFile,
                    &signing.place,
                    found,
                    done,
                ));
            }
        }
        findings
    }
}

fn read(source: &KeySource) -> Result<NewKey, (Code, String)> {
    match source {
        KeySource::File(path) => parse(&read_file(path)?),
        KeySource::Inline(text) => parse(text.expose().as_bytes()),
    }
}

fn read_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, (Code, String)> {
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => (Code::MissingKey, "there is no such file".to_owned()),
        _ => (Code::UnusableKey, format!("it cannot be read: {error}")),
    };
    let metadata = fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() || metadata.len() > LONGEST {
        return Err((Code::UnusableKey, "it is not a key file".to_owned()));
    }
    Ok(Zeroizing::new(fs::read(path).map_err(failed)?))
}

fn parse(octets: &[u8]) -> Result<NewKey, (Code, String)> {
    NewKey::from_any_form(octets).map_err(|error| match error {
        KeyError::TooShort { .. } => (Code::WeakKey, error.to_string()),
        other => (Code::UnusableKey, KeystoreError::from(other).to_string()),
    })
}
