//! The DMARC reports that were read, as the keeper sees their store, and what they say of each
//! domain.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};

use crate::{evidence::streams::Class, ladder::Action, observe::status::ReportFigures};

/// So many domains at most have a series for keys that nobody knows, so many keys for passing less
/// often, and so many for mail that was not signed.
const WITH_UNKNOWN: usize = 1000;
/// The domains of so many at most have a series, those first that have waited for longest: the
/// others can't be worse.
const LONGEST_AGO: usize = 1000;

/// So many domains at most have series for their mail and their rung: those first that someone
/// should look at. It is what a keeper serves by far, and each of them has some ten series.
const DOMAINS: usize = 5000;
/// Classes of mail that must not be lost.
const LEGITIMATE: [Class; 2] = [Class::Ours, Class::Known];

/// What reports say of one domain: its mail of the last seven whole days (UTC), and how far it has
/// come on the ladder of DMARC.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct DomainFigures {
    /// Whose it is.
    pub organisation: String,
    /// The policy domain: one of ours.
    pub domain: String,
    /// Messages by the word of their class.
    pub classes: BTreeMap<&'static str, ClassFigures>,
    /// Streams that sent, and that nobody knows.
    pub unknown_streams: u64,
    /// The word for its rung; none without a record, or if nobody knows.
    pub rung: Option<String>,
    /// The word for what someone has to do; none if nobody knows which record it has.
    pub action: Option<String>,
    /// What holds it: the word, and how often.
    pub holds: BTreeMap<String, u64>,
}

/// Messages of one class.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ClassFigures {
    /// With DKIM or SPF aligned.
    pub aligned: u64,
    /// The others.
    pub failed: u64,
    /// Refused by receivers, however they were.
    pub rejected: u64,
}

impl DomainFigures {
    /// The worse, the greater.
    fn urgency(&self) -> (bool, u64, usize, u64) {
        let legitimate = || {
            LEGITIMATE
                .iter()
                .filter_map(|class| self.classes.get(class.as_str()))
        };
        let rejected: u64 = legitimate().map(|class| class.rejected).sum();
        let failed: u64 = legitimate().map(|class| class.failed).sum();
        let steps_back = self.action.as_deref() == Some(Action::StepBack.as_str());
        (steps_back, rejected, self.holds.len(), failed)
    }
}

/// What was last seen; nothing before, or if there is no store. A cheap handle.
#[derive(Clone, Debug, Default)]
pub(super) struct Reports(Arc<Mutex<Seen>>);

#[derive(Clone, Debug, Default)]
struct Seen {
    figures: Option<Arc<ReportFigures>>,
    domains: Arc<[DomainFigures]>,
    /// When those were found out, in seconds since 1970.
    sorted: Option<i64>,
}

impl Reports {
    pub(super) fn set(&self, figures: Option<ReportFigures>) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.figures = figures.map(Arc::new);
    }

    /// Of all domains with reports, as of `now` in seconds since 1970; sorted here, and not at each
    /// scrape.
    pub(super) fn set_domains(&self, mut domains: Vec<DomainFigures>, now: i64) {
        domains.sort_by_cached_key(|one| std::cmp::Reverse(one.urgency()));
        domains.truncate(DOMAINS);
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.domains = domains.into();
        seen.sorted = Some(now);
    }

    pub(super) fn get(&self) -> Option<Arc<ReportFigures>> {
        self.seen().figures
    }

    fn seen(&self) -> Seen {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.clone()
    }
}

impl Collector for Reports {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let seen = self.seen();
        let Some(figures) = seen.figures else {
            return Ok(());
        };
        let counters = [
            (
                "reports",
                "DMARC reports that were read, by what became of them",
                "outcome",
                &figures.outcomes,
            ),
            (
                "report_refusals",
                "What was refused where DMARC reports come in, by the reason",
                "reason",
                &figures.refusals,
            ),
        ];
        for (name, help, label, numbers) in counters {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (word, number) in numbers {
                let labels = [(label, word.as_str())];
                ConstCounter::new(*number).encode(metric.encode_family(&labels)?)?;
            }
        }
        let octets = i64::try_from(figures.store_bytes).unwrap_or(i64::MAX);
        let gauge = ConstGauge::new(octets);
        let help = "Size of the store of reports";
        let metric =
            encoder.encode_descriptor("report_store_bytes", help, None, MetricType::Gauge)?;
        gauge.encode(metric)?;
        let help = "Until when the newest DMARC report about the domain tells";
        let name = "report_latest_timestamp_seconds";
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        let mut latest: Vec<_> = figures.latest.iter().collect();
        latest.sort_by_key(|one| one.end);
        for one in latest.into_iter().take(LONGEST_AGO) {
            let labels = [
                ("organisation", one.organisation.as_str()),
                ("domain", one.domain.as_str()),
            ];
            let end = i64::try_from(one.end).unwrap_or(i64::MAX);
            ConstGauge::new(end).encode(metric.encode_family(&labels)?)?;
        }
        encode_age(&mut encoder, &figures, seen.sorted)?;
        encode_unknown(&mut encoder, &figures)?;
        encode_weaker(&mut encoder, &figures)?;
        encode_replayed(&mut encoder, &figures)?;
        encode_mail(&mut encoder, &seen.domains)?;
        encode_ladder(&mut encoder, &seen.domains)
    }
}

/// Whether the rest is of today: what nobody can read any more stays as it was last seen, since a
/// store that can't be read must not end an alarm.
fn encode_age(
    encoder: &mut DescriptorEncoder<'_>,
    figures: &ReportFigures,
    sorted: Option<i64>,
) -> fmt::Result {
    let help = "0 if the keeper can't read the store of reports: what it says of them is then old";
    let name = "report_store_readable";
    let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    ConstGauge::new(i64::from(figures.problem.is_none())).encode(metric)?;
    let Some(sorted) = sorted else {
        return Ok(());
    };
    let help =
        "When the keeper last found out from DMARC reports who sends, and how far domains are";
    let name = "report_sorted_timestamp_seconds";
    let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    ConstGauge::new(sorted).encode(metric)
}

fn encode_unknown(encoder: &mut DescriptorEncoder<'_>, figures: &ReportFigures) -> fmt::Result {
    let help =
        "Selectors that sign in the name of the domain by DMARC reports, and that nobody knows";
    let name = "report_unknown_selectors";
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for one in figures.unknown_selectors.iter().take(WITH_UNKNOWN) {
        let labels = [
            ("organisation", one.organisation.as_str()),
            ("domain", one.domain.as_str()),
        ];
        let number = i64::try_from(one.number).unwrap_or(i64::MAX);
        ConstGauge::new(number).encode(metric.encode_family(&labels)?)?;
    }
    Ok(())
}

/// A gauge that a domain has more than one of, each with its words for the labels.
struct OfDomains<'a, const LABELS: usize> {
    name: &'a str,
    help: &'a str,
    labels: [&'a str; LABELS],
}

impl<const LABELS: usize> OfDomains<'_, LABELS> {
    /// What is 0 has no series.
    fn encode<'d>(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        domains: &'d [DomainFigures],
        values: impl Fn(&'d DomainFigures) -> Vec<([&'d str; LABELS], u64)>,
    ) -> fmt::Result {
        let Self { name, help, labels } = self;
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for one in domains {
            for (words, value) in values(one).into_iter().filter(|(_, value)| *value > 0) {
                let whose = [
                    ("organisation", one.organisation.as_str()),
                    ("domain", one.domain.as_str()),
                ];
                let of_it = labels.iter().copied().zip(words);
                let labels: Vec<(&str, &str)> = whose.into_iter().chain(of_it).collect();
                let value = i64::try_from(value).unwrap_or(i64::MAX);
                ConstGauge::new(value).encode(metric.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

fn encode_mail(encoder: &mut DescriptorEncoder<'_>, domains: &[DomainFigures]) -> fmt::Result {
    let messages = OfDomains {
        name: "report_messages",
        help: "Messages of the last seven whole days by DMARC reports, by the class of their stream",
        labels: ["class", "result"],
    };
    messages.encode(encoder, domains, |one| {
        let classes = one.classes.iter();
        let of_class = |(class, sums): (&&'static str, &ClassFigures)| {
            [
                ([*class, "aligned"], sums.aligned),
                ([*class, "failed"], sums.failed),
            ]
        };
        classes.flat_map(of_class).collect()
    })?;
    let rejected = OfDomains {
        name: "report_rejected_messages",
        help: "Messages of the last seven whole days that receivers refused, by DMARC reports",
        labels: ["class"],
    };
    rejected.encode(encoder, domains, |one| {
        let classes = one.classes.iter();
        classes
            .map(|(class, sums)| ([*class], sums.rejected))
            .collect()
    })?;
    let unknown = OfDomains {
        name: "report_unknown_streams",
        help: "Streams of the last seven whole days that nobody knows, by DMARC reports",
        labels: [],
    };
    unknown.encode(encoder, domains, |one| vec![([], one.unknown_streams)])
}

fn encode_ladder(encoder: &mut DescriptorEncoder<'_>, domains: &[DomainFigures]) -> fmt::Result {
    let rung = OfDomains {
        name: "dmarc_rung",
        help: "1 for the rung of DMARC that the domain is on",
        labels: ["rung"],
    };
    rung.encode(encoder, domains, |one| {
        one.rung.iter().map(|rung| ([rung.as_str()], 1)).collect()
    })?;
    let action = OfDomains {
        name: "dmarc_action",
        help: "1 for what someone has to do about the DMARC record of the domain",
        labels: ["action"],
    };
    action.encode(encoder, domains, |one| {
        one.action
            .iter()
            .map(|action| ([action.as_str()], 1))
            .collect()
    })?;
    let holds = OfDomains {
        name: "dmarc_holds",
        help: "What holds the domain on its rung of DMARC, and how often",
        labels: ["code"],
    };
    holds.encode(encoder, domains, |one| {
        let holds = one.holds.iter();
        holds
            .map(|(code, number)| ([code.as_str()], *number))
            .collect()
    })
}

/// By how much, in per cent points.
fn encode_weaker(encoder: &mut DescriptorEncoder<'_>, figures: &ReportFigures) -> fmt::Result {
    let help = "By how many per cent points mail signed with a new key passes less often, by DMARC \
                reports, than mail signed with the key before";
    let name = "report_weaker_selector_points";
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for one in figures.weaker_selectors.iter().take(WITH_UNKNOWN) {
        let labels = [
            ("organisation", one.organisation.as_str()),
            ("domain", one.domain.as_str()),
            ("selector", one.selector.as_str()),
        ];
        let less = per_mille(one.before_passed, one.before_messages)
            .saturating_sub(per_mille(one.passed, one.messages));
        let points = f64::from(less) / 10.0;
        ConstGauge::new(points).encode(metric.encode_family(&labels)?)?;
    }
    Ok(())
}

fn encode_replayed(encoder: &mut DescriptorEncoder<'_>, figures: &ReportFigures) -> fmt::Result {
    let help = "Messages within a week that passed with a selector of ours by DMARC reports, beyond \
                what was signed with it";
    let name = "report_replayed_messages";
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for one in figures.replayed_selectors.iter().take(WITH_UNKNOWN) {
        let labels = [
            ("organisation", one.organisation.as_str()),
            ("domain", one.domain.as_str()),
            ("selector", one.selector.as_str()),
        ];
        let more = i64::try_from(one.passed.saturating_sub(one.signed)).unwrap_or(i64::MAX);
        ConstGauge::new(more).encode(metric.encode_family(&labels)?)?;
    }
    Ok(())
}

fn per_mille(passed: u64, messages: u64) -> u16 {
    let per_mille = u128::from(passed) * 1_000 / u128::from(messages.max(1));
    u16::try_from(per_mille).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use prometheus_client::{encoding::text::encode, registry::Registry};

    use super::*;
    use crate::observe::status::ReplayedSelector;

    fn shown(reports: &Reports) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(reports.clone()));
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        text
    }

    fn domain(name: &str, rejected: u64, action: &str) -> DomainFigures {
        let sums = ClassFigures {
            aligned: 90,
            failed: 10,
            rejected,
        };
        DomainFigures {
            organisation: "een".to_owned(),
            domain: name.to_owned(),
            classes: [("known", sums)].into(),
            unknown_streams: 2,
            rung: Some("none".to_owned()),
            action: Some(action.to_owned()),
            holds: [("unknown_stream".to_owned(), 3)].into(),
        }
    }

    #[test]
    fn a_domain_has_what_is_not_zero() {
        let reports = Reports::default();
        reports.set_domains(vec![domain("een.nl", 0, "ask")], 7);
        // Without a store there is nothing.
        assert!(!shown(&reports).contains("een.nl"));
        reports.set(Some(ReportFigures::default()));
        let text = shown(&reports);
        let lines = text.lines().filter(|line| line.contains("een.nl"));
        let named = "organisation=\"een\",domain=\"een.nl\"";
        let expected = [
            format!("report_messages{{{named},class=\"known\",result=\"aligned\"}} 90"),
            format!("report_messages{{{named},class=\"known\",result=\"failed\"}} 10"),
            format!("report_unknown_streams{{{named}}} 2"),
            format!("dmarc_rung{{{named},rung=\"none\"}} 1"),
            format!("dmarc_action{{{named},action=\"ask\"}} 1"),
            format!("dmarc_holds{{{named},code=\"unknown_stream\"}} 3"),
        ];
        assert_eq!(lines.collect::<Vec<_>>(), expected);
    }

    /// Its gauges stand still: who looks at them has to know.
    #[test]
    fn a_store_that_cannot_be_read_is_told_beside_what_was_last_seen() {
        let reports = Reports::default();
        let mut figures = ReportFigures {
            problem: Some("Permission denied".to_owned()),
            ..ReportFigures::default()
        };
        // Since the start: nothing was found out yet.
        reports.set(Some(figures.clone()));
        let has = |line: &str| shown(&reports).lines().any(|one| one == line);
        assert!(has("report_store_readable 0"));
        assert!(!shown(&reports).contains("report_sorted_timestamp_seconds "));
        figures.problem = None;
        reports.set(Some(figures.clone()));
        reports.set_domains(vec![domain("een.nl", 0, "step_back")], 7);
        assert!(has("report_store_readable 1") && has("report_sorted_timestamp_seconds 7"));
        figures.problem = Some("Permission denied".to_owned());
        reports.set(Some(figures));
        assert!(has("report_store_readable 0") && has("report_sorted_timestamp_seconds 7"));
        assert!(shown(&reports).contains("action=\"step_back\"} 1"));
    }

    #[test]
    fn mail_that_was_not_signed_has_a_number() {
        let reports = Reports::default();
        let replayed = ReplayedSelector {
            organisation: "een".to_owned(),
            domain: "een.nl".to_owned(),
            selector: "s1".to_owned(),
            passed: 12_000,
            signed: 500,
        };
        reports.set(Some(ReportFigures {
            replayed_selectors: vec![replayed],
            ..ReportFigures::default()
        }));
        let text = shown(&reports);
        let line = "report_replayed_messages{organisation=\"een\",domain=\"een.nl\",selector=\"s1\"} 11500";
        assert!(text.lines().any(|one| one == line), "{text}");
    }

    #[test]
    fn with_too_many_domains_those_have_series_that_someone_should_look_at() {
        let reports = Reports::default();
        reports.set(Some(ReportFigures::default()));
        let quiet = (0..DOMAINS).map(|number| domain(&format!("d{number}.nl"), 0, "wait"));
        let loud = [
            domain("weg.nl", 1, "wait"),
            domain("terug.nl", 0, "step_back"),
        ];
        reports.set_domains(quiet.chain(loud).collect(), 7);
        let text = shown(&reports);
        assert!(
            text.contains("weg.nl") && text.contains("terug.nl"),
            "{text}"
        );
        assert_eq!(text.matches("dmarc_rung{").count(), DOMAINS);
    }
}
