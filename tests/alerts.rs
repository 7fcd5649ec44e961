//! Alerts, runbook and dashboard: what they name is there, and the rules do what they say.

// A test may panic.
#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

const RULES: &str = "conf/prometheus/zegel.rules.yml";
const RULE_TESTS: &str = "tests/alerts/rules_test.yml";
const DASHBOARD: &str = "conf/grafana/zegel.json";
const RUNBOOK: &str = "docs/alerts.md";

fn promtool(arguments: &[&str]) -> Output {
    let unpacked = Path::new("target/prometheus-root/usr/bin/promtool");
    let program = if unpacked.exists() {
        unpacked
    } else {
        Path::new("promtool")
    };
    let output = Command::new(program).args(arguments).output();
    output.expect("promtool is missing: run tests/install-packages")
}

fn assert_good(output: &Output) {
    let said = [&output.stdout[..], &output.stderr].concat();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&said)
    );
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap()
}

#[test]
fn prometheus_accepts_the_rules_and_they_fire_when_they_should() {
    assert_good(&promtool(&["check", "rules", RULES]));
    assert_good(&promtool(&["test", "rules", RULE_TESTS]));
}

fn alerts() -> Vec<String> {
    let rules = read(RULES);
    let names = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "));
    names.map(str::to_owned).collect()
}

#[test]
fn each_alert_has_its_page_and_its_tests() {
    let (rules, runbook, tests) = (read(RULES), read(RUNBOOK), read(RULE_TESTS));
    let sections = runbook.lines().filter_map(|line| line.strip_prefix("## "));
    let sections: Vec<String> = sections.map(str::to_owned).collect();
    assert_eq!(
        sections,
        alerts(),
        "the sections of {RUNBOOK} and the alerts"
    );
    for alert in alerts() {
        let link = format!("runbook_url: {RUNBOOK}#{}", alert.to_lowercase());
        assert!(rules.contains(&link), "{alert} has no {link}");
        let section = runbook.split(&format!("## {alert}\n")).nth(1).unwrap();
        let section = section.split("\n## ").next().unwrap();
        assert!(section.contains("\n- "), "{alert}: there is nothing to do");
        let fires = format!("alertname: {alert}\n        exp_alerts:");
        assert!(tests.contains(&fires), "{alert} is never seen to fire");
        let quiet = format!("{{eval_time: 900m, alertname: {alert}}}");
        assert!(tests.contains(&quiet), "{alert} is never seen to be quiet");
    }
}

/// What stands in the text like the name of a metric, without what a type adds.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let word = |character: char| character.is_ascii_alphanumeric() || "_:".contains(character);
    let words = text.split(|character| !word(character));
    let names = words.filter_map(|word| word.strip_prefix("zegel_"));
    let bare = |name: &str| {
        let mut suffixes = ["_total", "_bucket", "_sum", "_count"].iter();
        let bare = suffixes.find_map(|suffix| name.strip_suffix(suffix));
        bare.unwrap_or(name).to_owned()
    };
    names.map(bare).collect()
}

fn source(folder: &Path, found: &mut String) {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            source(&path, found);
        } else if path.file_stem().is_some_and(|stem| stem != "tests") {
            let text = fs::read_to_string(&path).unwrap();
            found.push_str(text.split("#[cfg(test)]").next().unwrap());
        }
    }
}

#[test]
fn every_metric_that_is_named_is_one_of_ours() {
    let mut known = String::new();
    source(Path::new("src/observe/metrics"), &mut known);
    known.push_str(&read("src/observe/metrics.rs"));
    for file in [RULES, DASHBOARD, RUNBOOK] {
        let named = metrics_in(&read(file));
        assert!(!named.is_empty(), "{file} names no metric");
        for name in named {
            assert!(
                known.contains(&format!("\"{name}\"")),
                "{file}: zegel_{name}"
            );
        }
    }
}

#[test]
fn the_dashboard_is_whole() {
    let dashboard: serde_json::Value = serde_json::from_str(&read(DASHBOARD)).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() >= 10);
    let mut ids = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        for target in panel["targets"].as_array().unwrap() {
            let expression = target["expr"].as_str().unwrap();
            assert!(!metrics_in(expression).is_empty(), "{expression}");
        }
    }
}
