//! The sentences of a letter, one set for each language, and how numbers and dates are written.

use jiff::civil::Date;

use super::{dutch::DUTCH, english::ENGLISH};
use crate::{ladder::Rung, words::Language};

/// The sentences of a language.
pub(super) fn of(language: Language) -> &'static Catalogue {
    match language {
        Language::Dutch => &DUTCH,
        Language::English => &ENGLISH,
    }
}

macro_rules! catalogue {
    ($($name:ident),* $(,)?) => {
        /// All sentences of one language.
        pub(super) struct Catalogue {
            $(pub(super) $name: &'static str,)*
            pub(super) months: [&'static str; 12],
            /// Between thousands, and before tenths.
            pub(super) thousands: char,
            pub(super) tenths: char,
        }

        impl Catalogue {
            /// All of them by name, to compare languages.
            #[cfg(test)]
            pub(super) fn sentences(&self) -> Vec<(&'static str, &'static str)> {
                vec![$((stringify!($name), self.$name)),*]
            }
        }
    };
}

catalogue! {
    // The top.
    title, introduction, introduction_part, written, sender, questions,
    // What senders are called.
    ours, via, list, net, key, signed, nameless, others,
    // What is asked, and by when.
    asked, nothing_asked, now, by, before_reject, after, for_us,
    step_back, stranger, parked_passes, first, broken, next, same, park, record, records,
    who, people_write, who_sends, elsewhere, failing, failing_ours, below, below_ours,
    spf_only, spf_only_ours, whole, more,
    // How far a domain is.
    step_none, step_unknown, at_step, since, above_not_ours, also,
    none, quarantine_test, quarantine, reject_test, reject,
    not_before, waits_for_you, waits_for_you_not_before, waits_for_reports, arrived,
    // Who sent.
    messages_in, recognised, column_sender, column_before, unknown_sender,
    other_senders, forwarded, no_reports, no_mail, reading,
    // What was stopped.
    stopped, stopped_rest, stopped_nothing, nothing_false, own_stopped,
    // What has changed.
    compared, changed_share, changed_step, changed_new, changed_new_more, nothing_new, first_month,
    not_compared,
    // Domains that never send.
    parked, parked_what, parked_none, column_domain, column_false, column_rejected,
    column_quarantined, other_domains, parked_waits, parked_no_reports,
    // Words.
    message, messages, and,
}

impl Catalogue {
    /// `oktober 2026`.
    pub(super) fn month(&self, date: Date) -> String {
        format!("{} {}", self.month_name(date), date.year())
    }

    /// `oktober`.
    pub(super) fn month_name(&self, date: Date) -> &'static str {
        let month = usize::try_from(date.month() - 1).unwrap_or_default();
        self.months.get(month).copied().unwrap_or_default()
    }

    /// `21 november 2026`.
    pub(super) fn date(&self, date: Date) -> String {
        format!("{} {}", date.day(), self.month(date))
    }

    /// `12.345`.
    pub(super) fn number(&self, number: u64) -> String {
        let digits = number.to_string();
        let mut text = String::with_capacity(digits.len() * 4 / 3 + 1);
        for (place, digit) in digits.chars().enumerate() {
            if place > 0 && (digits.len() - place).is_multiple_of(3) {
                text.push(self.thousands);
            }
            text.push(digit);
        }
        text
    }

    /// `97,3%`, rounded down: one that is missing never reads as all. None of none.
    pub(super) fn share(&self, part: u64, whole: u64) -> Option<String> {
        let thousandths = (u128::from(part) * 1_000).checked_div(u128::from(whole))?;
        let (percent, tenth) = (thousandths / 10, thousandths % 10);
        Some(if tenth == 0 {
            format!("{percent}%")
        } else {
            format!("{percent}{}{tenth}%", self.tenths)
        })
    }

    /// `1 bericht`, `12 berichten`.
    pub(super) fn messages(&self, number: u64) -> String {
        let word = if number == 1 {
            self.message
        } else {
            self.messages
        };
        format!("{} {word}", self.number(number))
    }

    /// What receivers do on a rung.
    pub(super) fn rung(&self, rung: Rung) -> &'static str {
        match rung {
            Rung::None => self.none,
            Rung::QuarantineTest => self.quarantine_test,
            Rung::Quarantine => self.quarantine,
            Rung::RejectTest => self.reject_test,
            Rung::Reject => self.reject,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paper::say_the_same;

    #[test]
    fn the_languages_say_the_same() {
        say_the_same(DUTCH.sentences(), ENGLISH.sentences());
    }

    #[test]
    fn nobody_has_to_know_the_words_of_mail_servers() {
        let foreign = [
            "align", "DMARC", "selector", "milter", "policy", "rua", "p=",
        ];
        for catalogue in [&DUTCH, &ENGLISH] {
            for (name, sentence) in catalogue.sentences() {
                let sentence = sentence.replace("{selector}", "");
                for word in foreign {
                    // Who enters the record sees its first word.
                    let is_record = matches!(name, "record" | "records");
                    assert!(is_record || !sentence.contains(word), "{name}: {sentence}");
                }
            }
        }
    }

    #[test]
    fn numbers_and_days_are_written_as_in_the_language() {
        assert_eq!(DUTCH.number(0), "0");
        assert_eq!(DUTCH.number(1_234_567), "1.234.567");
        assert_eq!(ENGLISH.number(123_456), "123,456");
        assert_eq!(DUTCH.share(999_999, 1_000_000).as_deref(), Some("99,9%"));
        assert_eq!(DUTCH.share(1, 1).as_deref(), Some("100%"));
        assert_eq!(ENGLISH.share(973, 1_000).as_deref(), Some("97.3%"));
        assert_eq!(DUTCH.share(u64::MAX, u64::MAX).as_deref(), Some("100%"));
        assert_eq!(DUTCH.share(0, 0), None);
        assert_eq!(DUTCH.messages(1), "1 bericht");
        assert_eq!(DUTCH.messages(2_000), "2.000 berichten");
        assert_eq!(ENGLISH.messages(1), "1 message");
        let day = jiff::civil::date(2026, 10, 3);
        assert_eq!(DUTCH.date(day), "3 oktober 2026");
        assert_eq!(ENGLISH.month(day), "October 2026");
    }
}
