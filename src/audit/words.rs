//! The sentences of a report, as its text and its HTML have them.

use jiff::{Timestamp, tz::TimeZone};

use super::{Done, KeyReport, Period, Report, Signed, Suspension};

impl Report {
    /// The heading.
    pub fn title(&self) -> String {
        match &self.organisation {
            Some(id) => format!("DKIM keys of {id}, {}", self.period.words()),
            None => format!("DKIM keys, {}", self.period.words()),
        }
    }

    /// The answer in short: what is asked, and the answer.
    pub fn answers(&self) -> Vec<(&'static str, String)> {
        let summary = &self.summary;
        let or_none = |text: String| {
            if text.is_empty() {
                "none".to_owned()
            } else {
                text
            }
        };
        let oldest = summary.oldest_active.as_ref().map(|key| {
            format!(
                "{} of {}: {} days",
                key.selector, key.organisation, key.age_days
            )
        });
        let bits = summary.shortest_rsa_bits.map(|bits| format!("{bits} bits"));
        let unknown = match summary.bits_unknown {
            0 => String::new(),
            count => format!("; not known of {count}"),
        };
        let too_long = summary.in_use_too_long.iter().map(|key| {
            format!(
                "{} of {} ({} days)",
                key.selector, key.organisation, key.used_days
            )
        });
        let without_key = match &summary.without_key {
            None => "not known of a period that is over".to_owned(),
            Some(all) => {
                let all = all.iter();
                let all = all.map(|one| format!("{} ({})", one.organisation, join(&one.domains)));
                or_none(all.collect::<Vec<_>>().join(", "))
            }
        };
        vec![
            (
                "Keys that signed",
                format!(
                    "{}, for {} of {}",
                    summary.keys,
                    count(summary.domains, "domain"),
                    count(summary.organisations, "organisation")
                ),
            ),
            (
                "Shortest RSA key",
                format!("{}{unknown}", bits.unwrap_or_else(|| "none".into())),
            ),
            (
                "RSA keys of less than 2048 bits",
                summary.rsa_below_2048.to_string(),
            ),
            (
                "Oldest key in use at the end",
                oldest.unwrap_or_else(|| "none".into()),
            ),
            (
                "In use for longer than rotate_every",
                format!(
                    "{} (it is {} days)",
                    or_none(too_long.collect::<Vec<_>>().join(", ")),
                    self.rotate_every_days
                ),
            ),
            (
                "Keys of several organisations",
                or_none(join(&summary.keys_of_several)),
            ),
            (
                "Selectors of several organisations",
                or_none(summary.selectors_of_several.join(", ")),
            ),
            ("Sending domains without a key", without_key),
            ("Rotations", summary.rotations.to_string()),
            ("Keys revoked", summary.revoked.to_string()),
            ("Keys withdrawn", summary.withdrawn.to_string()),
            (
                "Put in use on the operator's word",
                summary.assumed.to_string(),
            ),
            ("Suspensions", summary.suspensions.to_string()),
            (
                "Records that are wrong now",
                if self.period.now.is_some() {
                    summary.alarms.to_string()
                } else {
                    "not known of a period that is over".into()
                },
            ),
            (
                "Keys of which it is not known whether they signed",
                summary.unknown.to_string(),
            ),
        ]
    }
}

impl Period {
    /// From when to when, for people.
    pub fn words(&self) -> String {
        match self.now {
            Some(now) => format!("from {} until now ({now:.0})", self.from),
            None => format!("from {} to {}", self.from, self.to),
        }
    }
}

impl KeyReport {
    /// Algorithm and bits.
    pub fn kind(&self) -> String {
        match (self.algorithm, self.bits) {
            (Some(algorithm), Some(bits)) => format!("{algorithm} {bits}"),
            (Some(algorithm), None) => format!("{algorithm}, bits not known"),
            _ => "not known".to_owned(),
        }
    }

    /// When its record was seen.
    pub fn record(&self) -> String {
        let lost = match self.record_lost {
            0 => String::new(),
            count => format!(", lost {count} times before use"),
        };
        match (self.record_first_seen, self.record_last_seen) {
            (None, None) => format!("never seen{lost}"),
            (first, last) => {
                let [first, last] = [first, last].map(moment);
                format!("{first} to {last}{lost}")
            }
        }
    }

    /// What else is to be said of it, by the word of the log.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if self.imported {
            remarks.push("imported: it may be older".to_owned());
        }
        if self.too_long {
            remarks.push("in use for longer than rotate_every".to_owned());
        }
        if let Some(why) = self.alarm {
            remarks.push(format!("its record is wrong now: {why}"));
        }
        for done in [&self.revoked, &self.withdrawn].into_iter().flatten() {
            remarks.push(format!("{} {}", done.words(), moment(Some(done.time))));
        }
        remarks
    }
}

impl Signed {
    /// From when to when, and by whom.
    pub fn words(&self) -> String {
        let by = |by: Option<String>| by.map_or(String::new(), |by| format!(" ({by})"));
        let until = match (self.until, &self.ending) {
            (None, _) => "the end".to_owned(),
            (Some(until), ending) => {
                let ending = ending.as_ref();
                let ending = ending.map(|ending| format!("{} by {}", ending.event, ending.by));
                format!("{}{}", moment(Some(until)), by(ending))
            }
        };
        let begun = self.by.as_ref().map(|who| {
            let word = if self.assumed {
                "on the operator's word, "
            } else {
                ""
            };
            format!("{word}by {who}")
        });
        format!("{}{} to {until}", moment(self.from), by(begun))
    }
}

impl Done {
    /// What was done.
    pub fn words(&self) -> String {
        match &self.word {
            Some(word) => format!("{} ({word})", self.event),
            None => self.event.clone(),
        }
    }
}

impl Suspension {
    /// From when to when, and by whom.
    pub fn words(&self) -> String {
        let until = self
            .until
            .map_or("the end".to_owned(), |until| moment(Some(until)));
        format!("{} to {until}, by {}", moment(Some(self.from)), self.by)
    }
}

/// The day and the minute, in UTC.
pub fn moment(time: Option<Timestamp>) -> String {
    time.map_or("not known".to_owned(), |time| {
        let zoned = time.to_zoned(TimeZone::UTC);
        zoned.strftime("%Y-%m-%d %H:%MZ").to_string()
    })
}

fn count(number: usize, word: &str) -> String {
    let end = if number == 1 { "" } else { "s" };
    format!("{number} {word}{end}")
}

pub(super) fn join(items: &[impl ToString]) -> String {
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    items.join(", ")
}
