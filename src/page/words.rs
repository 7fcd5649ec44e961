//! What is said on the page, where no other module has the words.

use jiff::Timestamp;

use crate::{
    keys::{Actor, NextStep, State, What, Why},
    names::OrganisationId,
    words::Level,
};

/// The heading over organisations of this level.
pub(super) fn level(level: Level) -> &'static str {
    match level {
        Level::Compromised => "Compromised key visible",
        Level::Unverifiable => "Fails to verify",
        Level::Tempfailed => "Mail put off",
        Level::Unsigned => "Mail unsigned",
        Level::Act => "To do",
        Level::Waits => "Waits",
        Level::NotLive => "Not live yet",
        Level::Well => "Well",
    }
}

/// What that means.
pub(super) fn meaning(level: Level) -> &'static str {
    match level {
        Level::Compromised => "others can write in their name",
        Level::Unverifiable => "signed mail is not trusted",
        Level::Tempfailed => "mail waits at the sender",
        Level::Unsigned => "mail leaves without a signature",
        Level::Act => "mail is fine, someone has work",
        Level::Waits => "goes on by itself",
        Level::NotLive => "no key signs, no mail so far",
        Level::Well => "nothing to do",
    }
}

/// Who has to act.
pub(super) fn actor(actor: Actor) -> &'static str {
    match actor {
        Actor::Administrator => "the DNS administrator",
        Actor::Operator => "the operator of this relay",
        Actor::Keeper => "the keeper, by itself",
        Actor::Nobody => "nobody",
    }
}

/// What a class of streams is; a later version may have others.
pub(super) fn class(class: &str) -> &'static str {
    match class {
        "ours" => "sent by your relays",
        "known" => "you know who sends it",
        "unknown" => "nobody has said who sends it",
        "list" => "mailing lists, through which mail in your name comes",
        "forwarding" => "mail of yours that somebody else sends on",
        "abuse" => "mail that nobody stands for",
        _ => "",
    }
}

/// The rule that made a stream, as `docs/reports.md` has them.
pub(super) fn rule(rule: u8) -> &'static str {
    match rule {
        1 => "it comes from an address of your relays.",
        2 => {
            "the receiver says that it came by a mailing list, or a signature of yours fails beside \
              a passing one of somebody else."
        }
        3 => "a signature with a selector of yours passes, from another address.",
        4 => "a signature of yours or of a known sender fails, and none passes.",
        5 => "a signature of somebody else's domain passes.",
        6 => "SPF of somebody else's domain passes, and no signature is aligned.",
        7 => "a signature of your domain passes, with a selector that is not one of ours.",
        8 => "only SPF speaks for it.",
        _ => "nothing that DMARC looks at speaks for it.",
    }
}

/// Why the operator's word for a stream does not hold any more.
pub(super) fn changed(changed: &str) -> &'static str {
    match changed {
        "aligned" => {
            "It was named abuse, and some of it is aligned now: look at it, and name it again."
        }
        "network" => {
            "It was named known, and comes from other networks now: look at it, and name it again."
        }
        _ => "What was said of it does not hold any more: look at it, and name it again.",
    }
}

/// What a key does in this state.
pub(super) fn state(state: State) -> &'static str {
    match state {
        State::Generated => "Made, not in DNS yet",
        State::Published => "In DNS, not signing yet",
        State::Active => "Signs",
        State::Draining => "Signs no more, record stays",
        State::Withdrawn => "Given up",
        State::Revoked => "Revoked",
    }
}

/// What the keeper found in DNS, or why it did not look.
pub(super) fn why(why: Why) -> &'static str {
    match why {
        Why::NotSeen => "No server shows the record",
        Why::SeenPartly => "Some servers show the record, others do not",
        Why::SeenWrong => "A server shows another or a broken record",
        Why::SeenRevoked => "The record has an empty p=, which revokes the key",
        Why::Unreachable => "A name server could not be asked",
        Why::Settling => "Seen everywhere, not yet for long enough",
        Why::Clock => "Too long between two looks for time to count",
        Why::Signing => "Seen everywhere",
        Why::Superseded => "Not looked at: a later key is in use",
        Why::NotConfigured => "Not looked at: not in the configuration",
        Why::Draining => "The record is there and must stay",
        Why::GoneEarly => "The record is gone while mail still needs it",
        Why::AwaitingWithdrawal => "The record is there and may be given up",
        Why::AwaitingRemoval => "The record is empty and may be removed",
        Why::Done => "Done",
    }
}

/// A next step, as a sentence without a full stop.
pub(super) fn step(step: &NextStep) -> String {
    let text = step.text();
    // A selector is written as it is.
    if matches!(step.what, What::AwaitSuccessor(_)) {
        return text;
    }
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(characters).collect()
}

/// What is to be done where no key signs or is to.
pub(super) fn no_key(id: &OrganisationId) -> String {
    format!("No key yet: the keeper makes one, or `zegel key generate {id}`")
}

/// The day and the minute, in UTC.
pub(super) fn time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M").to_string()
}

/// The same for machines (RFC 3339).
pub(super) fn machine_time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%MZ").to_string()
}

/// With thin spaces between thousands, from five digits on.
pub(super) fn number(number: u64) -> String {
    let digits = number.to_string();
    if digits.len() < 5 {
        return digits;
    }
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// `1 organisation`, `2 organisations`.
pub(super) fn count(amount: usize, one: &str, several: &str) -> String {
    let word = if amount == 1 { one } else { several };
    format!("{} {word}", number(amount as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        for (value, text) in [
            (0, "0"),
            (9999, "9999"),
            (10_000, "10\u{202f}000"),
            (1_234_567, "1\u{202f}234\u{202f}567"),
        ] {
            assert_eq!(number(value), text);
        }
        assert_eq!(count(1, "key", "keys"), "1 key");
        assert_eq!(count(0, "key", "keys"), "0 keys");
    }
}
