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
    /// How many are not sealed with the first of these, and could be: they lie in the clear, or are
    /// sealed with another one of them.
    fn to_seal(&self, known: &[SealingKeyId]) -> usize {
        let others = known.get(1..).unwrap_or_default();
        let sealed = self.sealed.iter();
        let sealed = sealed.filter(|one| others.contains(&one.sealing_key));
        self.plain + sealed.map(|one| one.keys).sum::<usize>()
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
        match keystore.check_sealing() {
            Ok(unused) => unused
                .iter()
                .for_each(|file| self.say(Severity::Note, file)),
            Err(error) => {
                self.say(Severity::Act, &error);
                return false;
            }
        }
        let keys = keystore.sealing_keys().ok();
        let known = keys.map(|keys| keys.ids()).unwrap_or_default();
        if let (Some(first), Some(keys)) = (known.first(), &self.private_keys) {
            let others = keys.to_seal(&known);
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
