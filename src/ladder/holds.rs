//! What stands against the next rung.

use super::{
    Rung, Thresholds,
    facts::{Facts, is_legitimate, sum},
};
use crate::{
    evidence::streams::{Changed, Class, OfDay, Stream},
    words::words,
};

/// The last days on which a stream sent, of which most must have been aligned.
const SENDING_DAYS: usize = 14;
/// What the operator said of all who send holds for a year.
const CONFIRMED_DAYS: i32 = 365;
/// So many failed messages order a small domain back.
const FEW: u64 = 2;

words! {
    /// Why a domain stays where it is.
    #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
    pub enum HoldCode {
        /// Nobody can tell which record is published.
        UnknownRecord = "unknown_record",
        /// The record of a domain that is not ours speaks for it.
        RecordElsewhere = "record_elsewhere",
        /// Too few days of reports under this rung.
        NotEnoughDays = "not_enough_days",
        /// No reports of late, or from too few.
        NoRecentReports = "no_recent_reports",
        /// Mail is reported, and none of it is known to be ours or of someone who is known.
        NoLegitimateMail = "no_legitimate_mail",
        /// Someone sends, and nobody has said who.
        UnknownStream = "unknown_stream",
        /// Legitimate mail fails.
        FailingStream = "failing_stream",
        /// Legitimate mail has SPF alone, which forwarding breaks.
        SpfOnlyStream = "spf_only_stream",
        /// People write to mailing lists.
        ListStream = "list_stream",
        /// Legitimate mail from a name below fails.
        SubdomainStream = "subdomain_stream",
        /// Nobody has said this year that all who send are known.
        Unconfirmed = "unconfirmed",
    }
}

words! {
    /// What a hold asks for.
    #[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
    pub enum Asks {
        /// Time.
        Wait = "wait",
        /// Someone has to put a stream right.
        Fix = "fix",
        /// Someone has to say what a stream is.
        Ask = "ask",
    }
}

impl HoldCode {
    /// What it asks for.
    pub fn asks(self) -> Asks {
        match self {
            Self::UnknownRecord | Self::NotEnoughDays | Self::NoRecentReports => Asks::Wait,
            Self::FailingStream | Self::SpfOnlyStream | Self::SubdomainStream => Asks::Fix,
            Self::RecordElsewhere
            | Self::NoLegitimateMail
            | Self::UnknownStream
            | Self::ListStream
            | Self::Unconfirmed => Asks::Ask,
        }
    }

    /// The first rung that it stands against; none: each.
    fn from(self) -> Option<Rung> {
        match self {
            Self::SpfOnlyStream | Self::ListStream => Some(Rung::RejectTest),
            Self::Unconfirmed => Some(Rung::Reject),
            _ => None,
        }
    }

    /// Whether it stands against this rung.
    pub fn is_against(self, rung: Rung) -> bool {
        self.from().is_none_or(|from| rung >= from)
    }
}

/// What stands against a rung.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Hold {
    /// Why.
    pub code: HoldCode,
    /// The next rung that it stands against.
    pub blocks: Rung,
    /// The stream that it is about.
    pub stream: Option<String>,
    /// What that is called.
    pub name: Option<String>,
    /// The messages that it is about.
    pub messages: u64,
    /// The days that are missing.
    pub days: u16,
}

/// All holds of a domain on a rung, in the order of their codes. At the top nothing is left to
/// wait for, but streams ask as before: mail of one that begins there is refused until somebody
/// says what it is.
pub(super) fn holds(facts: &Facts, rung: Rung, thresholds: &Thresholds) -> Vec<Hold> {
    let is_top = rung.next().is_none();
    let next = rung.next().unwrap_or(rung);
    let mut holds = Vec::new();
    let mut add = |code: HoldCode, stream: Option<&Stream>, messages: u64, days: u16| {
        holds.push(Hold {
            code,
            blocks: code.from().map_or(next, |from| from.max(next)),
            stream: stream.map(|stream| stream.id.clone()),
            name: stream.and_then(|stream| stream.label.clone()),
            messages,
            days,
        });
    };
    let missing = thresholds.days(rung).saturating_sub(facts.days_under(rung));
    if missing > 0 {
        add(HoldCode::NotEnoughDays, None, 0, missing);
    }
    if !is_top && !facts.is_reported(thresholds.reporters) {
        add(HoldCode::NoRecentReports, None, 0, 0);
    }
    let legitimate = facts.legitimate();
    if legitimate.messages == 0 && facts.messages() > 0 {
        add(HoldCode::NoLegitimateMail, None, facts.messages(), 0);
    }
    for stream in &facts.streams {
        let lately = facts.lately(stream);
        if let Some((code, messages)) =
            of_stream(stream, lately, legitimate, facts.today, thresholds)
        {
            add(code, Some(stream), messages, 0);
        }
    }
    let is_confirmed = facts
        .confirmed
        .is_some_and(|day| facts.today - day < CONFIRMED_DAYS);
    if thresholds.confirm && !is_confirmed && rung < Rung::Reject {
        add(HoldCode::Unconfirmed, None, 0, 0);
    }
    holds.sort_by_key(|hold| (hold.code, std::cmp::Reverse(hold.messages)));
    holds
}

/// What a stream stands against, with the messages that it is about: the worst of it.
fn of_stream(
    stream: &Stream,
    lately: OfDay,
    legitimate: OfDay,
    today: i32,
    thresholds: &Thresholds,
) -> Option<(HoldCode, u64)> {
    let is_spf_only = || {
        let share = thresholds.spf_only_share;
        share.is_below(lately.spf_only, lately.messages)
    };
    match stream.class {
        Class::Unknown => {
            let is_large = lately.messages >= thresholds.unknown_messages
                && !thresholds
                    .unknown_share
                    .is_above(lately.messages, legitimate.messages);
            if !is_large {
                return None;
            }
            if lately.aligned < lately.messages {
                return Some((HoldCode::UnknownStream, lately.messages));
            }
            // Whoever the domain's own SPF record lets send belongs to it, named or not.
            is_spf_only().then_some((HoldCode::SpfOnlyStream, lately.spf_only))
        }
        Class::Ours | Class::Known => {
            let last = last_sent(stream, today);
            let share = thresholds.aligned_share;
            let [(above, failed_above), (below, failed_below)] = failed(last);
            if share.is_above(above - failed_above, above) {
                return Some((HoldCode::FailingStream, failed_above));
            }
            if share.is_above(below - failed_below, below) {
                return Some((HoldCode::SubdomainStream, failed_below));
            }
            is_spf_only().then_some((HoldCode::SpfOnlyStream, lately.spf_only))
        }
        Class::List => (!stream.named && lately.messages >= thresholds.list_messages)
            .then_some((HoldCode::ListStream, lately.messages)),
        Class::Forwarding | Class::Abuse => None,
    }
}

/// The messages of the last days on which it sent, whenever that was: mail of a season that
/// failed fails again.
pub(super) fn last_sent(stream: &Stream, today: i32) -> OfDay {
    let days = stream.days.range(..=today).rev();
    let sending = days.map(|(_, day)| day).filter(|day| day.messages > 0);
    sum(sending.take(SENDING_DAYS))
}

/// The streams of which mail is lost: the policy is enforced on them, and they fail. With the
/// messages that failed within the last days.
pub(super) fn lost<'a>(
    facts: &'a Facts,
    enforced: bool,
    enforced_below: bool,
    thresholds: &Thresholds,
) -> Vec<(&'a Stream, u64)> {
    // One that moves is still the one that is known: it may have lost its signatures on the way.
    let is_ours =
        |stream: &&Stream| is_legitimate(stream) || stream.changed == Some(Changed::Network);
    let enough = if facts.is_small() {
        thresholds.failed_messages.min(FEW)
    } else {
        thresholds.failed_messages
    };
    let failing = facts.streams.iter().filter(is_ours).filter_map(|stream| {
        // Nothing is reported about today yet.
        let last = facts.of(stream, facts.today - super::facts::LAST - 1);
        let refused: u64 = [enforced, enforced_below]
            .into_iter()
            .zip(failed(last))
            .zip([
                last.doubtful.saturating_sub(last.doubtful_below),
                last.doubtful_below,
            ])
            // Nobody steps back on the word of a newcomer.
            .map(|((is_enforced, (messages, failed)), doubtful)| {
                let known = messages.saturating_sub(doubtful);
                (is_enforced, (known, failed.saturating_sub(doubtful)))
            })
            .filter(|(is_enforced, (messages, lost))| {
                *is_enforced
                    && *lost >= enough
                    && thresholds.failed_share.is_below(*lost, *messages)
            })
            .map(|(_, (_, lost))| lost)
            .sum();
        (refused > 0).then_some((stream, refused))
    });
    failing.collect()
}

/// The messages from the domain itself and how many of them failed; and the same of names below.
fn failed(day: OfDay) -> [(u64, u64); 2] {
    let below = day.below.min(day.messages);
    let above = day.messages - below;
    let below_aligned = day.below_aligned.min(below);
    let above_aligned = day.aligned.saturating_sub(below_aligned).min(above);
    [
        (above, above - above_aligned),
        (below, below - below_aligned),
    ]
}
