//! The `[dmarc]` table: the numbers of the ladder.

use super::{
    problem::Fault,
    section::{Section, number, quoted, text, truth},
    source::Node,
};
use crate::ladder::{Share, Thresholds};

/// A rung is tried for a day at least, and for a year at most.
const MOST_DAYS: usize = 365;
const MOST_REPORTERS: usize = 100;
const MOST_MESSAGES: usize = 1_000_000;
const MOST_TIMES: usize = 1_000;

pub(super) fn read(mut section: Section<'_>) -> Thresholds {
    let defaults = Thresholds::default();
    let mut small = |key, default: u16, most| {
        let read = section.read(key, number(1..=most));
        read.and_then(|number| u16::try_from(number).ok())
            .unwrap_or(default)
    };
    let none_days = small("none_days", defaults.none_days, MOST_DAYS);
    let test_days = defaults.quarantine_test_days;
    let quarantine_test_days = small("quarantine_test_days", test_days, MOST_DAYS);
    let quarantine_days = small("quarantine_days", defaults.quarantine_days, MOST_DAYS);
    let reject_test_days = small("reject_test_days", defaults.reject_test_days, MOST_DAYS);
    let reporters = small("reporters", defaults.reporters, MOST_REPORTERS);
    let replay_factor = small("replay_factor", defaults.replay_factor, MOST_TIMES);
    let mut messages = |key, default: u64| {
        let read = section.read(key, number(1..=MOST_MESSAGES));
        read.and_then(|number| u64::try_from(number).ok())
            .unwrap_or(default)
    };
    let unknown_messages = messages("unknown_messages", defaults.unknown_messages);
    let list_messages = messages("list_messages", defaults.list_messages);
    let failed_messages = messages("failed_messages", defaults.failed_messages);
    let replay_messages = messages("replay_messages", defaults.replay_messages);
    let thresholds = Thresholds {
        none_days,
        quarantine_test_days,
        quarantine_days,
        reject_test_days,
        reporters,
        unknown_messages,
        unknown_share: section.read_or("unknown_share", defaults.unknown_share, share),
        aligned_share: section.read_or("aligned_share", defaults.aligned_share, share),
        spf_only_share: section.read_or("spf_only_share", defaults.spf_only_share, share),
        list_messages,
        failed_messages,
        failed_share: section.read_or("failed_share", defaults.failed_share, share),
        replay_factor,
        replay_messages,
        confirm: section.read_or("confirm", defaults.confirm, truth),
    };
    section.finish();
    thresholds
}

/// A part of all messages: `"99%"`, or `"0.1%"`.
fn share(node: &Node) -> Result<Share, Fault> {
    const ADVICE: &str = "write a part of all messages, such as \"99%\" or \"0.1%\"";
    let written = text(node)?;
    let thousandths = written.strip_suffix('%').and_then(|number| {
        let (whole, tenth) = number.split_once('.').unwrap_or((number, "0"));
        let is_number =
            |digits: &str| !digits.is_empty() && digits.bytes().all(|one| one.is_ascii_digit());
        if tenth.len() != 1 || whole.len() > 3 || !is_number(whole) || !is_number(tenth) {
            return None;
        }
        let whole: u16 = whole.parse().ok()?;
        let tenth: u16 = tenth.parse().ok()?;
        Some(whole * 10 + tenth)
    });
    match thousandths {
        Some(thousandths) if thousandths <= 1_000 => Ok(Share(thousandths)),
        _ => Err(Fault::new(
            format!("{} is no share from 0% to 100%", quoted(written)),
            ADVICE,
        )),
    }
}
