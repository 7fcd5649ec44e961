//! What the keeper counts and shows: keys, rotations, the state of the DNS.
//!
//! Kept as facts for each organisation, replaced whole by each check, and written out at each
//! scrape: a key or a finding that is gone leaves no series behind. Organisations without
//! series of their own are one more, `other`, that has the worst of them, or their number: what
//! somebody should look at is never left out.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{
        MetricType,
        counter::Counter,
        family::Family,
        gauge::{ConstGauge, Gauge as OneGauge},
    },
    registry::Registry,
};

pub use super::reports::{ClassFigures, DomainFigures};
use super::{
    machine::{self, Machine},
    organisations::{OTHER, may_be_own},
    reports::Reports,
};
use crate::{
    names::OrganisationId,
    observe::status::{
        KeeperFigures, KeeperStatus, Key, KeyFigures, NextStep, ReportFigures, Role, VERSION,
    },
};

/// What a check found out about one organisation.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Whose it is.
    pub organisation: OrganisationId,
    /// When it was looked at.
    pub checked: Timestamp,
    /// How long that took.
    pub took: Duration,
    /// Domain and code of each finding.
    pub findings: BTreeSet<(String, &'static str)>,
    /// Domain and kind of each alarm.
    pub alarms: BTreeSet<(String, &'static str)>,
    /// Whether a key is longer in use than it should be.
    pub rotation_overdue: bool,
    /// Each key.
    pub keys: Vec<KeyFacts>,
    /// The next step of each key, by its selector, and in how many domains it is that.
    pub next_steps: BTreeMap<(String, &'static str), i64>,
}

/// What a check found out about one key.
#[derive(Clone, Debug)]
pub struct KeyFacts {
    /// Its selector.
    pub selector: String,
    /// When it was made.
    pub created: Timestamp,
    /// Each state that it has in some domain.
    pub states: Vec<&'static str>,
}

/// The metrics of the keeper; a cheap handle.
#[derive(Clone, Debug)]
pub struct KeeperMetrics {
    registry: Arc<Registry>,
    machine: Arc<Machine>,
    checks: [Counter; 2],
    late: OneGauge,
    over_budget: Counter,
    reports: Reports,
    table: Arc<Table>,
}

#[derive(Debug)]
struct Table {
    /// The most organisations that may have series of their own.
    series: usize,
    organisations: Mutex<Organisations>,
}

#[derive(Debug, Default)]
struct Organisations {
    facts: BTreeMap<OrganisationId, Arc<Facts>>,
    /// Those with series of their own.
    own: BTreeSet<OrganisationId>,
}

impl Organisations {
    fn give_place(&mut self, organisation: &OrganisationId, series: usize) {
        if self.own.len() < series && may_be_own(organisation) {
            self.own.insert(organisation.clone());
        }
    }
}

impl Table {
    fn lock(&self) -> MutexGuard<'_, Organisations> {
        let organisations = self.organisations.lock();
        organisations.unwrap_or_else(PoisonError::into_inner)
    }

    /// A copy, so that a scrape holds no lock while it writes.
    fn own_and_others(&self) -> (Vec<Arc<Facts>>, Vec<Arc<Facts>>) {
        let organisations = self.lock();
        let all = organisations.facts.values().map(Arc::clone);
        all.partition(|facts| organisations.own.contains(&facts.organisation))
    }
}

impl KeeperMetrics {
    /// Of no organisation yet; the first `series` of them have series of their own.
    pub fn with_series(series: usize) -> Self {
        let table = Arc::new(Table {
            series,
            organisations: Mutex::default(),
        });
        let mut registry = machine::registry();
        registry.register_collector(Box::new(KeyCollector(Arc::clone(&table))));
        let reports = Reports::default();
        registry.register_collector(Box::new(reports.clone()));
        let checks = Family::<[(&str, &str); 1], Counter>::default();
        let help = "Looks at the DNS of one organisation";
        registry.register("checks", help, checks.clone());
        let late = OneGauge::default();
        let help = "By how many seconds the look at the DNS is late that is due for longest";
        registry.register("keeper_late_seconds", help, late.clone());
        let over_budget = Counter::default();
        let help = "Looks in which a zone took more time or questions than it may";
        registry.register("checks_over_budget", help, over_budget.clone());
        Self {
            checks: ["ok", "failed"].map(|word| checks.get_or_create_owned(&[("result", word)])),
            registry: Arc::new(registry),
            machine: Arc::new(Machine::new()),
            late,
            over_budget,
            reports,
            table,
        }
    }

    /// These are the organisations, in their order: others are forgotten, and places that are
    /// free go to the first that have none.
    pub fn organisations<'a>(&self, ids: impl Iterator<Item = &'a OrganisationId>) {
        let ids: Vec<&OrganisationId> = ids.collect();
        let known: HashSet<&OrganisationId> = ids.iter().copied().collect();
        let mut organisations = self.table.lock();
        organisations.facts.retain(|id, _| known.contains(id));
        organisations.own.retain(|id| known.contains(id));
        for id in ids {
            organisations.give_place(id, self.table.series);
        }
    }

    /// The look that is due for longest is late by this much.
    pub fn late(&self, late: Duration) {
        self.late
            .set(i64::try_from(late.as_secs()).unwrap_or(i64::MAX));
    }

    /// A zone of an organisation took more than it may.
    pub fn over_budget(&self) {
        self.over_budget.inc();
    }

    /// What was last seen of DMARC reports; none if there is no store of them.
    pub fn reports(&self, figures: Option<ReportFigures>) {
        self.reports.set(figures);
    }

    /// What reports say of each domain that has some, as of `now` in seconds since 1970.
    pub fn domains(&self, domains: Vec<DomainFigures>, now: i64) {
        self.reports.set_domains(domains, now);
    }

    /// An organisation could not be looked at.
    pub fn failed(&self) {
        self.checks[1].inc();
    }

    /// An organisation was looked at.
    pub fn checked(&self, facts: Facts) {
        self.checks[0].inc();
        let mut organisations = self.table.lock();
        let organisation = facts.organisation.clone();
        organisations.give_place(&organisation, self.table.series);
        organisations.facts.insert(organisation, Arc::new(facts));
    }

    /// The page for a scrape, of the type [`CONTENT_TYPE`](super::CONTENT_TYPE); it may have
    /// megabytes.
    ///
    /// # Errors
    ///
    /// None is known: a `String` can be written to at any time.
    pub fn render(&self) -> Result<String, fmt::Error> {
        self.machine.render(&self.registry)
    }

    /// The same for programs, and what keeps the keeper from being ready; it may have megabytes
    /// too.
    pub fn status(&self, not_ready: Option<String>) -> KeeperStatus {
        let (own, others) = self.table.own_and_others();
        let all = shown(&own, &others).into_iter();
        KeeperStatus {
            version: VERSION,
            role: Role::Keeper,
            not_ready,
            figures: KeeperFigures {
                organisations: all
                    .map(|(id, rows)| (id.to_owned(), figures(rows)))
                    .collect(),
                reports: self.reports.get().map(|figures| (*figures).clone()),
            },
        }
    }
}

#[derive(Debug)]
struct KeyCollector(Arc<Table>);

impl Collector for KeyCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (own, others) = self.0.own_and_others();
        let all = shown(&own, &others);
        for (place, gauge) in GAUGES.iter().enumerate() {
            let mut metric =
                encoder.encode_descriptor(gauge.name, gauge.help, None, MetricType::Gauge)?;
            for (organisation, rows) in &all {
                for (values, value) in &rows[place] {
                    let mut labels = vec![("organisation", *organisation)];
                    labels.extend(gauge.labels.iter().copied().zip(*values));
                    ConstGauge::new(*value).encode(metric.encode_family(&labels)?)?;
                }
            }
        }
        Ok(())
    }
}

/// A gauge, always labelled with the organisation.
struct Gauge {
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
    /// The value for several organisations.
    together: fn(i64, i64) -> i64,
}

const GAUGES: [Gauge; 7] = [
    Gauge {
        name: "key_age_seconds",
        help: "Age of the keys; of the oldest for others together",
        labels: &["selector", "state"],
        together: i64::max,
    },
    Gauge {
        name: "key_next_step",
        help: "Domains in which this is the next step of the key",
        labels: &["selector", "step"],
        together: i64::saturating_add,
    },
    Gauge {
        name: "rotation_overdue",
        help: "Organisations of which a key is longer in use than it should be",
        labels: &[],
        together: i64::saturating_add,
    },
    Gauge {
        name: "dns_finding",
        help: "Findings in the DNS",
        labels: &["domain", "code"],
        together: i64::saturating_add,
    },
    Gauge {
        name: "key_alarm",
        help: "What somebody should look at",
        labels: &["domain", "kind"],
        together: i64::saturating_add,
    },
    Gauge {
        name: "dns_last_check_timestamp_seconds",
        help: "When the DNS of the organisation was last looked at",
        labels: &[],
        together: i64::min,
    },
    Gauge {
        name: "dns_look_seconds",
        help: "How long the last look at the DNS of the organisation took",
        labels: &[],
        together: i64::max,
    },
];

/// The series that an organisation has of one gauge: the values of the further labels, of
/// which the last is from a closed set, and the value.
type Rows<'a> = Vec<([&'a str; 2], i64)>;

/// What is shown of each organisation, under its label.
fn shown<'a>(
    own: &'a [Arc<Facts>],
    others: &'a [Arc<Facts>],
) -> Vec<(&'a str, [Rows<'a>; GAUGES.len()])> {
    let now = Timestamp::now();
    let own = own
        .iter()
        .map(|facts| (facts.organisation.as_str(), rows(facts, now)));
    let others = (!others.is_empty()).then(|| (OTHER, together(others, now)));
    own.chain(others).collect()
}

/// The same rows for programs.
fn figures([ages, steps, overdue, findings, alarms, checked, _]: [Rows<'_>; 7]) -> KeyFigures {
    let number = |value| u64::try_from(value).unwrap_or(0);
    let only = |rows: Rows<'_>| rows.first().map_or(0, |(_, value)| number(*value));
    let words = |rows: Rows<'_>| {
        rows.into_iter()
            .map(|(words, _)| words.map(str::to_owned))
            .collect()
    };
    let keys = ages.into_iter().map(|([selector, state], age)| Key {
        selector: selector.to_owned(),
        state: state.to_owned(),
        age_seconds: number(age),
    });
    let next_steps = steps
        .into_iter()
        .map(|([selector, step], domains)| NextStep {
            selector: selector.to_owned(),
            step: step.to_owned(),
            domains: number(domains),
        });
    KeyFigures {
        keys: keys.collect(),
        next_steps: next_steps.collect(),
        alarms: words(alarms),
        findings: words(findings),
        rotation_overdue: only(overdue),
        last_check: only(checked),
    }
}

/// What is shown of one organisation, in the order of [`GAUGES`].
fn rows(facts: &Facts, now: Timestamp) -> [Rows<'_>; GAUGES.len()] {
    let mut ages = Rows::new();
    for key in &facts.keys {
        let age = now.duration_since(key.created).as_secs();
        let states = key.states.iter();
        ages.extend(states.map(|state| ([key.selector.as_str(), *state], age)));
    }
    let steps = facts
        .next_steps
        .iter()
        .map(|((selector, step), domains)| ([selector.as_str(), *step], *domains));
    [
        ages,
        steps.collect(),
        vec![([""; 2], facts.rotation_overdue.into())],
        words(&facts.findings),
        words(&facts.alarms),
        vec![([""; 2], facts.checked.as_second())],
        vec![(
            [""; 2],
            i64::try_from(facts.took.as_secs()).unwrap_or(i64::MAX),
        )],
    ]
}

fn words<'a>(words: &'a BTreeSet<(String, &'static str)>) -> Rows<'a> {
    words
        .iter()
        .map(|(domain, word)| ([domain.as_str(), *word], 1))
        .collect()
}

/// The same of several organisations, without what tells them apart.
fn together(all: &[Arc<Facts>], now: Timestamp) -> [Rows<'_>; GAUGES.len()] {
    let mut sums: [BTreeMap<&str, i64>; GAUGES.len()] = Default::default();
    for facts in all {
        for ((sum, rows), gauge) in sums.iter_mut().zip(rows(facts, now)).zip(&GAUGES) {
            for ([_, word], value) in rows {
                let one = sum.entry(word);
                one.and_modify(|sum| *sum = (gauge.together)(*sum, value))
                    .or_insert(value);
            }
        }
    }
    sums.map(|sum| {
        let rows = sum.into_iter();
        rows.map(|(word, value)| (["", word], value)).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_leaves_no_series() {
        let metrics = KeeperMetrics::with_series(usize::MAX);
        let organisation: OrganisationId = "een".parse().unwrap();
        let mut facts = Facts {
            organisation: organisation.clone(),
            checked: Timestamp::from_second(1_790_000_000).unwrap(),
            took: Duration::from_secs(7),
            findings: [("een.example".to_owned(), "dkim.missing")].into(),
            alarms: [("een.example".to_owned(), "active_gone")].into(),
            rotation_overdue: true,
            keys: vec![key(&["active", "draining"])],
            next_steps: [(("s1".to_owned(), "restore_record"), 2)].into(),
        };
        metrics.checked(facts.clone());
        metrics.late(Duration::from_secs(90));
        let page = metrics.render().unwrap();
        for line in [
            "zegel_dns_finding{organisation=\"een\",domain=\"een.example\",code=\"dkim.missing\"} 1",
            "zegel_key_alarm{organisation=\"een\",domain=\"een.example\",kind=\"active_gone\"} 1",
            "zegel_rotation_overdue{organisation=\"een\"} 1",
            "zegel_key_next_step{organisation=\"een\",selector=\"s1\",step=\"restore_record\"} 2",
            "zegel_checks_total{result=\"ok\"} 1",
            "zegel_checks_total{result=\"failed\"} 0",
            "zegel_dns_last_check_timestamp_seconds{organisation=\"een\"} 1790000000",
            "zegel_dns_look_seconds{organisation=\"een\"} 7",
            "zegel_keeper_late_seconds 90",
            "zegel_key_age_seconds{organisation=\"een\",selector=\"s1\",state=\"draining\"} 0",
        ] {
            assert!(page.contains(line), "{line}\n{page}");
        }
        let keys = &metrics.status(None).figures.organisations["een"];
        let states: Vec<&str> = keys.keys.iter().map(|key| key.state.as_str()).collect();
        assert_eq!(states, ["active", "draining"]);
        assert!(keys.keys.iter().all(|key| key.selector == "s1"));
        let step = &keys.next_steps[0];
        assert_eq!(
            (step.selector.as_str(), step.step.as_str(), step.domains),
            ("s1", "restore_record", 2)
        );
        assert_eq!(keys.alarms, [["een.example", "active_gone"]]);
        assert_eq!(keys.findings, [["een.example", "dkim.missing"]]);
        assert_eq!((keys.rotation_overdue, keys.last_check), (1, 1_790_000_000));
        facts.findings.clear();
        facts.rotation_overdue = false;
        metrics.checked(facts);
        let page = metrics.render().unwrap();
        assert!(!page.contains("dkim.missing"), "{page}");
        assert!(page.contains("zegel_rotation_overdue{organisation=\"een\"} 0"));
        metrics.organisations([].iter());
        assert!(!metrics.render().unwrap().contains("een"));
    }

    fn key(states: &[&'static str]) -> KeyFacts {
        KeyFacts {
            selector: "s1".to_owned(),
            created: Timestamp::now(),
            states: states.to_vec(),
        }
    }

    fn facts(organisation: &OrganisationId, checked: i64) -> Facts {
        Facts {
            organisation: organisation.clone(),
            checked: Timestamp::from_second(checked).unwrap(),
            took: Duration::from_secs(7),
            findings: [(format!("{organisation}.example"), "dkim.missing")].into(),
            alarms: [(format!("{organisation}.example"), "active_gone")].into(),
            rotation_overdue: true,
            keys: vec![key(&["active"])],
            next_steps: [(("s1".to_owned(), "restore_record"), 3)].into(),
        }
    }

    fn lines_with<'p>(page: &'p str, text: &str) -> Vec<&'p str> {
        page.lines().filter(|line| line.contains(text)).collect()
    }

    #[test]
    fn the_first_have_series_of_their_own_and_the_others_are_one() {
        let ids = ["a", "b", "other", "c"].map(|id| id.parse::<OrganisationId>().unwrap());
        let metrics = KeeperMetrics::with_series(2);
        metrics.organisations(ids.iter());
        // In whatever order they are looked at.
        for (id, checked) in ids.iter().rev().zip([1300, 1200, 1100, 1000]) {
            metrics.checked(facts(id, checked));
        }
        let page = metrics.render().unwrap();
        for line in [
            "zegel_dns_last_check_timestamp_seconds{organisation=\"a\"} 1000",
            "zegel_dns_last_check_timestamp_seconds{organisation=\"b\"} 1100",
            "zegel_dns_last_check_timestamp_seconds{organisation=\"other\"} 1200",
            "zegel_dns_finding{organisation=\"other\",domain=\"\",code=\"dkim.missing\"} 2",
            "zegel_key_alarm{organisation=\"other\",domain=\"\",kind=\"active_gone\"} 2",
            "zegel_rotation_overdue{organisation=\"other\"} 2",
            "zegel_key_next_step{organisation=\"other\",selector=\"\",step=\"restore_record\"} 6",
            "zegel_key_age_seconds{organisation=\"other\",selector=\"\",state=\"active\"} 0",
        ] {
            assert_eq!(lines_with(&page, line), [line], "{page}");
        }
        assert!(lines_with(&page, "\"c").is_empty(), "{page}");
        let organisations = metrics.status(None).figures.organisations;
        assert_eq!(
            organisations.keys().collect::<Vec<_>>(),
            ["a", "b", "other"]
        );
        let others = &organisations["other"];
        assert_eq!(others.alarms, [["", "active_gone"]]);
        assert_eq!((others.rotation_overdue, others.last_check), (2, 1200));
        // One goes, and the next in the order has its place.
        metrics.organisations(ids[1..].iter());
        let page = metrics.render().unwrap();
        assert!(lines_with(&page, "\"a\"").is_empty(), "{page}");
        assert_eq!(lines_with(&page, "overdue{organisation=\"c\"} 1").len(), 1);
        assert_eq!(
            lines_with(&page, "overdue{organisation=\"other\"} 1").len(),
            1
        );
        // It comes back, and everybody else keeps what they have.
        metrics.organisations(ids.iter());
        metrics.checked(facts(&ids[0], 2000));
        let page = metrics.render().unwrap();
        assert_eq!(lines_with(&page, "overdue{organisation=\"c\"} 1").len(), 1);
        assert_eq!(
            lines_with(&page, "overdue{organisation=\"other\"} 2").len(),
            1
        );
    }
}
