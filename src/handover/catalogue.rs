//! The sentences of a pack, one set for each language.

use super::{dutch::DUTCH, english::ENGLISH};
use crate::words::Language;

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
    title, introduction, public_only,
    organisation, contact, made_on,
    // What to do, in a line each: for the summary, headings and comments in zones.
    summary, nothing_to_do,
    add_by, add_now, restore, mend, keep, keep_until, empty, empty_now, remove, remove_now, coming_names,
    park,
    // Domains and keys.
    domain, unicode_domain, no_keys, key,
    name_in_zone, name_otherwise, whole_name, record_type, ttl, value, value_in_parts,
    state, since, check_with,
    generated, published, active, draining, withdrawn, revoked,
    // What happens next, by state.
    next_first, next_successor, next_published, next_active, next_followed, next_kept, next_restored,
    next_leaving, next_draining, next_empty, next_revoked, next_removed,
    other_checks,
    // SPF and DMARC.
    spf, dmarc, spf_add, spf_see, spf_mend, spf_join, spf_broken, spf_keep,
    dmarc_add, dmarc_see, dmarc_mend, dmarc_join, dmarc_keep,
    // The ladder of DMARC.
    dmarc_up, dmarc_back, dmarc_complete, dmarc_proved, dmarc_lost, dmarc_lacks, dmarc_held,
    dmarc_waits, dmarc_done, dmarc_says_more, dmarc_rung,
    rung_none, rung_quarantine_test, rung_quarantine, rung_reject_test, rung_reject,
    policy_now, policy_none, policy_not_looked, spf_what, spf_others, spf_unconfigured, spf_part,
    dmarc_what,
    // What was seen of a record that is wrong, and who sends this.
    there_now, what_is_wrong, sender, questions,
    // A customer who leaves.
    leaving_title, leaving, leaving_until, leaving_left, leaving_leave, leaving_keep,
    leaving_empty, leaving_spf, leaving_dmarc, leaving_ask,
    // The CNAME variant.
    delegation, delegation_what, delegation_names, delegation_beside, delegation_dot,
    delegation_dname, delegate_by, delegate_now, delegation_done, delegation_dname_what,
    delegation_ns_what, delegation_last, delegated_keep, delegated_remove, coming,
    coming_columns, coming_lines,
    // Parked domains.
    parked_domain, parked_what, parked_waits, parked_exact, parked_remove, parked_remove_keys,
    parked_wildcards,
    // Advice for all.
    entering, enter_zone_name, enter_quotes, enter_semicolon, enter_length, enter_exact,
    enter_ttl, enter_beside, enter_idn,
    checking, check_servers, check_output, check_windows, check_early,
    later, later_rotation, later_drain,
    // Words.
    weeks, week, days, day, hours, hour, minutes, minute, seconds, second,
}

impl Catalogue {
    /// `21 november 2026`.
    pub(super) fn date(&self, date: jiff::civil::Date) -> String {
        let month = usize::try_from(date.month() - 1).unwrap_or_default();
        let month = self.months.get(month).copied().unwrap_or_default();
        format!("{} {month} {}", date.day(), date.year())
    }

    /// In the largest unit that needs no fraction, but days rather than one week.
    pub(super) fn duration(&self, duration: std::time::Duration) -> String {
        let seconds = duration.as_secs();
        let units = [
            (7 * 24 * 60 * 60, self.week, self.weeks),
            (24 * 60 * 60, self.day, self.days),
            (60 * 60, self.hour, self.hours),
            (60, self.minute, self.minutes),
            (1, self.second, self.seconds),
        ];
        let (length, one, several) = units
            .into_iter()
            .find(|(length, ..)| seconds >= 2 * length && seconds.is_multiple_of(*length))
            .unwrap_or((1, self.second, self.seconds));
        let number = seconds / length;
        format!("{number} {}", if number == 1 { one } else { several })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::paper::say_the_same;

    #[test]
    fn the_languages_say_the_same() {
        say_the_same(DUTCH.sentences(), ENGLISH.sentences());
    }

    #[test]
    fn durations_are_in_words() {
        for (seconds, expected) in [
            (0, "0 seconden"),
            (1, "1 seconde"),
            (600, "10 minuten"),
            (3600, "60 minuten"),
            (7 * 86400, "7 dagen"),
            (26 * 7 * 86400, "26 weken"),
            (7 * 86400 + 3600, "169 uur"),
        ] {
            assert_eq!(DUTCH.duration(Duration::from_secs(seconds)), expected);
        }
    }
}
