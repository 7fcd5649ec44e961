//! The sentences of a report, as its text and its HTML have them.

use jiff::{Timestamp, tz::TimeZone};

use super::{
    period::Period,
    told::{Done, KeyReport, Report, Signed, Summary, Suspension},
};

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
        let wrong = summary.wrong_now.map(|count| count.to_string());
        let wrong = wrong.unwrap_or_else(|| NOT_OF_THEN.to_owned());
        let mut answers = Vec::from(summary.of_strength());
        answers.push((
            "In use for longer than rotate_every",
            format!(
                "{} (it is {} days)",
                summary.too_long(),
                self.rotate_every_days
            ),
        ));
        answers.extend(summary.of_separation());
        answers.extend(summary.of_events());
        answers.push(("Records that are wrong now", wrong));
        let question = "Keys of which it is not known whether they signed";
        answers.push((question, summary.unknown.to_string()));
        answers
    }
}

const NOT_OF_THEN: &str = "not known of a period that is over";

impl Summary {
    /// R1: how long and how old the keys are.
    fn of_strength(&self) -> [(&'static str, String); 4] {
        let oldest = self.oldest_active.as_ref().map(|key| {
            let (selector, organisation) = (&key.selector, &key.organisation);
            format!("{selector} of {organisation}: {} days", key.age_days)
        });
        let bits = self.shortest_rsa_bits.map(|bits| format!("{bits} bits"));
        let unknown = match self.bits_unknown {
            0 => String::new(),
            count => format!("; not known of {count}"),
        };
        [
            (
                "Keys that signed",
                format!(
                    "{}, for {} of {}",
                    self.keys,
                    count(self.domains, "domain"),
                    count(self.organisations, "organisation")
                ),
            ),
            (
                "Shortest RSA key",
                format!("{}{unknown}", bits.unwrap_or_else(|| "none".into())),
            ),
            (
                "RSA keys of less than 2048 bits",
                self.rsa_below_2048.to_string(),
            ),
            (
                "Oldest key in use at the end",
                oldest.unwrap_or_else(|| "none".into()),
            ),
        ]
    }

    /// R4: whether keys are replaced in time.
    fn too_long(&self) -> String {
        let keys = self.in_use_too_long.iter().map(|key| {
            let (selector, organisation) = (&key.selector, &key.organisation);
            format!("{selector} of {organisation} ({} days)", key.used_days)
        });
        or_none(&keys.collect::<Vec<_>>().join(", "))
    }

    /// R3: whether each organisation has keys and selectors of its own.
    fn of_separation(&self) -> [(&'static str, String); 4] {
        let without_key = match &self.without_key {
            None => NOT_OF_THEN.to_owned(),
            Some(all) => {
                let all = all.iter();
                let all = all.map(|one| format!("{} ({})", one.organisation, join(&one.domains)));
                or_none(&all.collect::<Vec<_>>().join(", "))
            }
        };
        [
            (
                "Keys of several organisations",
                or_not_looked_at(self.keys_of_several.as_deref()),
            ),
            (
                "Selectors of several organisations",
                or_not_looked_at(self.selectors_of_several.as_deref()),
            ),
            ("Sending domains without a key", without_key),
            (
                "Keyrings that can't be read",
                or_none(&join(&self.unreadable_keyrings)),
            ),
        ]
    }

    fn of_events(&self) -> [(&'static str, String); 6] {
        let standing = match self.alarms_standing {
            0 => String::new(),
            count => format!(", and {count} from before that stood at the beginning"),
        };
        [
            ("Rotations", self.rotations.to_string()),
            ("Keys revoked", self.revoked.to_string()),
            ("Keys withdrawn", self.withdrawn.to_string()),
            (
                "Put in use on the operator's word",
                self.assumed.to_string(),
            ),
            ("Suspensions", self.suspensions.to_string()),
            ("Alarms", format!("{}{standing}", self.alarms)),
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
        let times_lost = match self.record_lost {
            0 => String::new(),
            count => format!(", lost {count} times before use"),
        };
        if self.record_first_seen.or(self.record_last_seen).is_none() {
            return format!("never seen{times_lost}");
        }
        let [first, last] = [self.record_first_seen, self.record_last_seen].map(moment);
        format!("{first} to {last}{times_lost}")
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

fn or_none(text: &str) -> String {
    if text.is_empty() { "none" } else { text }.to_owned()
}

fn or_not_looked_at(items: Option<&[impl ToString]>) -> String {
    let items = items.map(|items| or_none(&join(items)));
    items.unwrap_or_else(|| "not looked at: this is about one organisation only".to_owned())
}

fn count(number: usize, word: &str) -> String {
    let end = if number == 1 { "" } else { "s" };
    format!("{number} {word}{end}")
}

pub(super) fn join(items: &[impl ToString]) -> String {
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    items.join(", ")
}
