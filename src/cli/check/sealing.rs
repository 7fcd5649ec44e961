//! How private keys lie in the keystore.

use serde::Serialize;

use super::{Report, Severity};
use crate::{
    cli::output::Output,
    keystore::{Keystore, Lying},
    sealing::SealingKeyId,
};

/// How many private keys lie how.
#[derive(Serialize)]
pub(super) struct PrivateKeys {
    /// In the clear.
    plain: usize,
    /// By the sealing key that each names.
    sealed: Vec<SealedKeys>,
    /// In a form of a later version.
    unknown: usize,
}

#[derive(Serialize)]
struct SealedKeys {
    sealing_key: SealingKeyId,
    keys: usize,
}

impl From<Lying> for PrivateKeys {
    fn from(lying: Lying) -> Self {
        let sealed = lying.sealed.into_iter();
        Self {
            plain: lying.plain,
            sealed: sealed
                .map(|(sealing_key, keys)| SealedKeys { sealing_key, keys })
                .collect(),
            unknown: lying.unknown,
        }
    }
}

impl PrivateKeys {
    /// How many are not sealed with this one.
    fn not_sealed_with(&self, wanted: SealingKeyId) -> usize {
        let sealed = self.sealed.iter();
        let others = sealed.filter(|one| one.sealing_key != wanted);
        self.plain + others.map(|one| one.keys).sum::<usize>()
    }

    /// For people.
    pub(super) fn print(&self, output: &mut Output) {
        let sealed = self.sealed.iter();
        let mut parts: Vec<String> = sealed
            .map(|one| format!("{} sealed with {}", one.keys, one.sealing_key))
            .collect();
        if self.plain > 0 || parts.is_empty() {
            parts.push(format!("{} in the clear", self.plain));
        }
        if self.unknown > 0 {
            parts.push(format!("{} in an unknown form", self.unknown));
        }
        output.line(format_args!("private keys: {}", parts.join(", ")));
    }
}

impl Report {
    /// Whether keys can be opened; if not, one line says why.
    pub(super) fn examine_sealing(&mut self, keystore: &Keystore) -> bool {
        self.private_keys = keystore.lying().ok().map(PrivateKeys::from);
        if let Err(error) = keystore.check_sealing() {
            self.say(Severity::Act, &error);
            return false;
        }
        for file in keystore.missing_sealing_keys().unwrap_or_default() {
            let text = format!(
                "sealing key {}: it does not exist, and no key names it: take it out of [keystore] \
                 sealing_keys",
                file.display()
            );
            self.say(Severity::Note, &text);
        }
        let keys = keystore.sealing_keys().ok();
        let first = keys.and_then(|keys| keys.first().map(|key| key.id()));
        if let (Some(first), Some(keys)) = (first, &self.private_keys) {
            let others = keys.not_sealed_with(first);
            if others > 0 {
                let text = format!(
                    "private keys that are not sealed with {first}, the first of [keystore] \
                     sealing_keys: {others}; run `zegel keystore seal`"
                );
                self.say(Severity::Note, &text);
            }
        }
        true
    }
}
