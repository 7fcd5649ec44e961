//! A new key against the one that it took the place of: does its mail pass as often?

use crate::{
    keys::{KeyEntry, Keyring, State},
    keystore::{SelectorSeen, Senders},
    names::DomainName,
};

/// Fewer messages of either say nothing.
const ENOUGH: u64 = 500;
/// So many thousandths less is too much.
const LESS: u128 = 20;

/// A key whose mail passes less often than that of the one before.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Weaker {
    /// The one that signs.
    pub new: SelectorSeen,
    /// The one that signed before.
    pub old: SelectorSeen,
}

/// The keys in use whose mail passes by two hundredths less often than that of the key before,
/// each over at least 500 messages. Keys of other algorithms are no measure: not all receivers
/// know each.
pub fn weaker(keyring: &Keyring, senders: &Senders) -> Vec<Weaker> {
    let mut found = Vec::new();
    for (place, new) in keyring.keys().iter().enumerate() {
        for (domain, publication) in &new.publications {
            if publication.state != State::Active {
                continue;
            }
            let before = keyring.keys().get(..place).unwrap_or_default();
            let mut before = before.iter().rev();
            let old = before.find_map(|old| {
                let seen = senders.of_key(domain, &old.selector)?;
                (has_signed(old, new, domain) && seen.messages >= ENOUGH).then_some(seen)
            });
            let new = senders.of_key(domain, &new.selector);
            if let (Some(new), Some(old)) = (new, old)
                && is_weaker(&new, &old)
            {
                found.push(Weaker { new, old });
            }
        }
    }
    found
}

/// Whether a key was in use in this domain before another one of its kind.
fn has_signed(old: &KeyEntry, new: &KeyEntry, domain: &DomainName) -> bool {
    let has_signed = |state| !matches!(state, State::Generated | State::Published | State::Active);
    old.algorithm == new.algorithm && old.state(domain).is_some_and(has_signed)
}

fn is_weaker(new: &SelectorSeen, old: &SelectorSeen) -> bool {
    let share = |one: &SelectorSeen, other: &SelectorSeen| {
        u128::from(one.passed.min(one.messages)) * u128::from(other.messages)
    };
    let all = u128::from(new.messages) * u128::from(old.messages);
    let is_enough = new.messages >= ENOUGH && old.messages >= ENOUGH;
    let less = share(old, new).saturating_sub(share(new, old));
    // Divided first, or it may not fit.
    is_enough && less >= all / 1_000 * LESS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(messages: u64, passed: u64) -> SelectorSeen {
        SelectorSeen {
            domain: "een.nl".parse().unwrap(),
            selector: "s1".parse().unwrap(),
            messages,
            passed,
            last_seen: None,
        }
    }

    #[test]
    fn two_hundredths_over_five_hundred_messages_are_too_much() {
        let old = seen(10_000, 9_900);
        assert!(is_weaker(&seen(500, 485), &old));
        assert!(!is_weaker(&seen(500, 486), &old));
        assert!(!is_weaker(&seen(499, 0), &old));
        assert!(!is_weaker(&seen(500, 0), &seen(499, 499)));
        assert!(!is_weaker(&seen(500, 500), &old));
        let most = seen(u64::MAX, u64::MAX);
        assert!(is_weaker(&seen(u64::MAX, 0), &most) && !is_weaker(&most, &most));
        assert_eq!(seen(1000, 999).share(), "99.9 %");
        assert_eq!(seen(0, 0).share(), "0.0 %");
    }
}
