//! `docs/metrics.md` against the metrics of a real signer and a real keeper, and against what
//! alerts and dashboard name.

// A test may panic.
#![allow(clippy::unwrap_used)]

#[path = "support/mod.rs"]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use support::keeper::Keeper;
use support::milter::{Connection, Message, Offer, Peer};
use support::port::Port;
use support::reports::ingest;
use support::zegel::{Org, Zegel};

const REFERENCE: &str = "docs/metrics.md";
const RULES: &str = "conf/prometheus/zegel.rules.yml";
const DASHBOARD: &str = "conf/grafana/zegel.json";

/// What is known of a metric: on the page, or in the reference.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Metric {
    kind: String,
    labels: BTreeSet<String>,
}

type Metrics = BTreeMap<String, Metric>;

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap()
}

/// What stands between backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The cells of the rows that begin with the name of a metric.
fn rows(reference: &str) -> Vec<Vec<&str>> {
    let lines = reference.lines();
    lines
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            let cells = line
                .strip_prefix("| ")
                .and_then(|line| line.strip_suffix('|'));
            cells.unwrap().split('|').map(str::trim).collect()
        })
        .collect()
}

fn documented(reference: &str) -> Metrics {
    let mut metrics = Metrics::new();
    for row in rows(reference) {
        let [name, kind, labels, meaning, _, _] = row[..] else {
            panic!("not six cells: {row:?}");
        };
        let name = quoted(name).next().unwrap().to_owned();
        assert!(!meaning.is_empty(), "{name} has no meaning");
        let metric = Metric {
            kind: kind.to_owned(),
            labels: quoted(labels).map(str::to_owned).collect(),
        };
        assert!(
            metrics.insert(name.clone(), metric).is_none(),
            "{name} twice"
        );
    }
    metrics
}

/// The name that a metric has in an expression, without those of its parts.
fn name_of(name: &str, kind: &str) -> String {
    match kind {
        "counter" => format!("{name}_total"),
        "info" => format!("{name}_info"),
        _ => name.to_owned(),
    }
}

/// Adds what a page shows; labels as far as there are series.
fn shown(page: &str, metrics: &mut Metrics) {
    for line in page.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        let metric = metrics.entry(name_of(name, kind)).or_default();
        kind.clone_into(&mut metric.kind);
    }
    for line in page.lines().filter(|line| line.contains('{')) {
        let (name, rest) = line.split_once('{').unwrap();
        let (labels, _) = rest.rsplit_once('}').unwrap();
        let name = name.strip_suffix("_bucket").unwrap_or(name);
        let labels = labels
            .split("\",")
            .filter_map(|label| label.split('=').next());
        let labels = labels.filter(|label| *label != "le").map(str::to_owned);
        let metric = metrics.get_mut(name);
        metric.expect("a series has a type").labels.extend(labels);
    }
}

/// Of a signer that has had mail with and without a signature, and of a keeper that has looked.
fn shown_by_both() -> Metrics {
    let http = Port::free();
    let settings = format!(
        "[keeper]\nresolvers = [\"127.0.0.1:1\"]\nhttp = \"127.0.0.1:{}\"\n\
         check_every = \"2s\"\n",
        http.number()
    );
    let orgs = [
        Org::new("een", &["een.example"]),
        Org::new("twee", &["twee.example"]).without_keys(),
    ];
    let settings = settings + "[reports]\nstate = \"{folder}/reports\"\n";
    let zegel = Zegel::with_settings(&orgs, &settings);
    ingest(&zegel.path(""));
    let mut connection = Connection::negotiated(&zegel.milter(), Offer::POSTFIX);
    assert!(connection.greet(&Peer::local()).goes_on());
    for domain in ["een.example", "twee.example"] {
        let hazard = "x".repeat(1200);
        let text = format!("From: a@{domain}\r\nSubject: s\r\n\r\n{hazard}\r\n");
        connection.send_message(&Message::parse(text.as_bytes()));
    }
    connection.quit();
    let mut metrics = Metrics::new();
    shown(&zegel.metrics(), &mut metrics);
    let keeper = Keeper::start(&zegel.path(""), &http);
    let begun = std::time::Instant::now();
    let done = "all organisations have been looked at";
    while !keeper.log().contains(done) {
        assert!(begun.elapsed().as_secs() < 60, "{}", keeper.log());
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    shown(&keeper.page(), &mut metrics);
    metrics
}

#[test]
fn the_reference_has_every_metric_and_no_other() {
    let reference = read(REFERENCE);
    let documented = documented(&reference);
    let shown = shown_by_both();
    let names = |metrics: &Metrics| metrics.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(
        names(&documented),
        names(&shown),
        "{REFERENCE}, and what is shown"
    );
    let mut with_labels = 0;
    for (name, metric) in &shown {
        let row = &documented[name];
        assert_eq!(row.kind, metric.kind, "{name}");
        if !metric.labels.is_empty() {
            assert_eq!(row.labels, metric.labels, "{name}");
            with_labels += 1;
        }
    }
    assert!(with_labels > 15, "{shown:#?}");
}

#[test]
fn what_alerts_and_dashboard_name_is_in_the_reference() {
    let reference = read(REFERENCE);
    let documented = documented(&reference);
    for file in [RULES, DASHBOARD] {
        let text = read(file);
        let word = |character: char| character.is_ascii_alphanumeric() || "_:".contains(character);
        let words = text.split(|character| !word(character));
        let named: BTreeSet<&str> = words.filter(|word| word.starts_with("zegel_")).collect();
        assert!(named.len() > 5, "{file}: {named:?}");
        for name in named {
            let mut parts = ["_bucket", "_sum", "_count"].iter();
            let whole = parts
                .find_map(|part| name.strip_suffix(part))
                .unwrap_or(name);
            assert!(documented.contains_key(whole), "{file}: {name}");
        }
    }
}

/// The alert, and what its expression and the recording rules in it are made of.
fn alerts(rules: &str) -> BTreeMap<String, String> {
    let records = rules.split("- record: ").skip(1);
    let records: BTreeMap<&str, &str> = records
        .filter_map(|record| record.split("- alert: ").next()?.split_once('\n'))
        .collect();
    let mut alerts = BTreeMap::new();
    for alert in rules.split("- alert: ").skip(1) {
        let (name, rest) = alert.split_once('\n').unwrap();
        let mut expression = rest.split("labels:").next().unwrap().to_owned();
        for (record, text) in &records {
            if expression.contains(record) {
                expression.push_str(text);
            }
        }
        alerts.insert(name.to_owned(), expression);
    }
    alerts
}

#[test]
fn each_alert_stands_with_a_metric_that_it_is_made_of() {
    let (reference, rules) = (read(REFERENCE), read(RULES));
    let alerts = alerts(&rules);
    let mut seen = BTreeSet::new();
    for row in rows(&reference) {
        let name = quoted(row[0]).next().unwrap();
        for alert in row[5].split(", ").filter(|alert| !alert.is_empty()) {
            let expression = alerts.get(alert);
            let expression = expression.unwrap_or_else(|| panic!("{name}: there is no {alert}"));
            assert!(expression.contains(name), "{alert} is not made of {name}");
            seen.insert(alert.to_owned());
        }
    }
    // That one is of what Prometheus knows by itself.
    seen.insert("ZegelDown".to_owned());
    let all: BTreeSet<String> = alerts.into_keys().collect();
    assert_eq!(seen, all);
}
