//! What the keeper counts and shows: keys, rotations, the state of the DNS.
//!
//! Kept as facts for each organisation, replaced whole by each check, and written out at each
//! scrape: a key or a finding that is gone leaves no series behind.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use jiff::Timestamp;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, text},
    metrics::{MetricType, gauge::ConstGauge},
    registry::Registry,
};

use crate::{names::OrganisationId, observe::http::Exposition};

/// What a check found out about one organisation.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Whose it is.
    pub organisation: OrganisationId,
    /// When it was looked at.
    pub checked: Timestamp,
    /// Domain and code of each finding.
    pub findings: BTreeSet<(String, &'static str)>,
    /// Domain and kind of each alarm.
    pub alarms: BTreeSet<(String, &'static str)>,
    /// Whether a key is longer in use than it should be.
    pub rotation_overdue: bool,
    /// Selector, creation and states of each key.
    pub keys: Vec<(String, Timestamp, Vec<&'static str>)>,
}

/// The metrics of the keeper; a cheap handle.
#[derive(Clone, Debug)]
pub struct KeeperMetrics {
    registry: Arc<Registry>,
    table: Arc<Table>,
}

#[derive(Debug, Default)]
struct Table(Mutex<BTreeMap<OrganisationId, Arc<Facts>>>);

impl KeeperMetrics {
    /// Of no organisation yet.
    #[expect(
        clippy::new_without_default,
        reason = "there is one in a process; none should come by default"
    )]
    pub fn new() -> Self {
        let table = Arc::new(Table::default());
        let mut registry = Registry::with_prefix("zegel");
        registry.register_collector(Box::new(KeyCollector(Arc::clone(&table))));
        Self {
            registry: Arc::new(registry),
            table,
        }
    }

    /// An organisation was looked at.
    pub fn checked(&self, facts: Facts) {
        let mut table = self.table.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.insert(facts.organisation.clone(), Arc::new(facts));
    }

    /// Forgets the organisations that are no more.
    pub fn retain(&self, keep: impl Fn(&OrganisationId) -> bool) {
        let mut table = self.table.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.retain(|id, _| keep(id));
    }
}

impl Exposition for KeeperMetrics {
    fn render(&self) -> Result<String, fmt::Error> {
        let mut page = String::new();
        text::encode(&mut page, &self.registry)?;
        Ok(page)
    }
}

#[derive(Debug)]
struct KeyCollector(Arc<Table>);

impl Collector for KeyCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let table = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all: Vec<Arc<Facts>> = table.values().map(Arc::clone).collect();
        drop(table);
        let now = Timestamp::now();
        gauges(
            &mut encoder,
            ("key_age_seconds", "Age of the keys"),
            |write| {
                for facts in &all {
                    for (selector, created, states) in &facts.keys {
                        let age = now.duration_since(*created).as_secs();
                        for state in states {
                            let labels = [("selector", selector.as_str()), ("state", state)];
                            write(&facts.organisation, &labels, age)?;
                        }
                    }
                }
                Ok(())
            },
        )?;
        let help = "Whether a key is longer in use than it should be";
        gauges(&mut encoder, ("rotation_overdue", help), |write| {
            let mut each = all.iter();
            each.try_for_each(|one| write(&one.organisation, &[], one.rotation_overdue.into()))
        })?;
        words(
            &mut encoder,
            &all,
            ("dns_finding", "Findings in the DNS", "code"),
        )?;
        words(
            &mut encoder,
            &all,
            ("key_alarm", "What somebody should look at", "kind"),
        )?;
        let help = "When the DNS of the organisation was last looked at";
        gauges(
            &mut encoder,
            ("dns_last_check_timestamp_seconds", help),
            |write| {
                let mut each = all.iter();
                each.try_for_each(|one| write(&one.organisation, &[], one.checked.as_second()))
            },
        )
    }
}

type Write<'w> = dyn FnMut(&OrganisationId, &[(&str, &str)], i64) -> fmt::Result + 'w;

/// A gauge for which `series` writes what it has, always labelled with the organisation.
fn gauges(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help): (&str, &str),
    series: impl FnOnce(&mut Write<'_>) -> fmt::Result,
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    series(&mut |organisation, labels, value| {
        let mut all = vec![("organisation", organisation.as_str())];
        all.extend_from_slice(labels);
        ConstGauge::new(value).encode(metric.encode_family(&all)?)
    })
}

/// A gauge that is 1 for each domain and word.
fn words(
    encoder: &mut DescriptorEncoder<'_>,
    all: &[Arc<Facts>],
    (name, help, label): (&str, &str, &str),
) -> fmt::Result {
    gauges(encoder, (name, help), |write| {
        for facts in all {
            let words = match label {
                "code" => &facts.findings,
                _ => &facts.alarms,
            };
            for (domain, word) in words {
                write(
                    &facts.organisation,
                    &[("domain", domain.as_str()), (label, word)],
                    1,
                )?;
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_leaves_no_series() {
        let metrics = KeeperMetrics::new();
        let organisation: OrganisationId = "een".parse().unwrap();
        let mut facts = Facts {
            organisation: organisation.clone(),
            checked: Timestamp::from_second(1_790_000_000).unwrap(),
            findings: [("een.example".to_owned(), "dkim.missing")].into(),
            alarms: [("een.example".to_owned(), "active_gone")].into(),
            rotation_overdue: true,
            keys: vec![(
                "s1".to_owned(),
                Timestamp::now(),
                vec!["active", "draining"],
            )],
        };
        metrics.checked(facts.clone());
        let page = metrics.render().unwrap();
        for line in [
            "zegel_dns_finding{organisation=\"een\",domain=\"een.example\",code=\"dkim.missing\"} 1",
            "zegel_key_alarm{organisation=\"een\",domain=\"een.example\",kind=\"active_gone\"} 1",
            "zegel_rotation_overdue{organisation=\"een\"} 1",
            "zegel_dns_last_check_timestamp_seconds{organisation=\"een\"} 1790000000",
            "zegel_key_age_seconds{organisation=\"een\",selector=\"s1\",state=\"draining\"} 0",
        ] {
            assert!(page.contains(line), "{line}\n{page}");
        }
        facts.findings.clear();
        facts.rotation_overdue = false;
        metrics.checked(facts);
        let page = metrics.render().unwrap();
        assert!(!page.contains("dkim.missing"), "{page}");
        assert!(page.contains("zegel_rotation_overdue{organisation=\"een\"} 0"));
        metrics.retain(|id| *id != organisation);
        assert!(!metrics.render().unwrap().contains("een"));
    }
}
