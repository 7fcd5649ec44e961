//! Alerts, runbook and dashboard: what they name is there, and the rules do what they say.

// A test may panic.
#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Command, Output},
};

use zegel::keys::AlarmKind;

const RULES: &str = "conf/prometheus/zegel.rules.yml";
const RULE_TESTS: &str = "tests/alerts/rules_test.yml";
const DASHBOARD: &str = "conf/grafana/zegel.json";
const RUNBOOK: &str = "docs/alerts.md";
/// The same where the package puts it, on a relay.
const INSTALLED_RUNBOOK: &str = "/usr/share/doc/zegel/docs/alerts.md";

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
        let link = format!("runbook_url: {INSTALLED_RUNBOOK}#{}", alert.to_lowercase());
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

/// The keeper and `zegel status` name the kind, and the page says which alert that is.
#[test]
fn each_kind_of_alarm_leads_to_its_alert() {
    let runbook = read(RUNBOOK);
    for (kind, alert) in [
        (AlarmKind::ActiveGone, "ZegelActiveKeyGone"),
        (AlarmKind::ActivePartly, "ZegelActiveKeyGone"),
        (AlarmKind::ActiveWrong, "ZegelActiveKeyGone"),
        (AlarmKind::GoneEarly, "ZegelKeyAlarm"),
        (AlarmKind::RotationOverdue, "ZegelRotationOverdue"),
        (AlarmKind::CompromisedSeen, "ZegelKeyAlarm"),
        (AlarmKind::NoActiveKey, "ZegelKeyAlarm"),
        (AlarmKind::RestoredUnseen, "ZegelKeystoreRestored"),
    ] {
        let kind = format!("`{}`", kind.as_str());
        let mut rows = runbook.lines().filter(|line| line.starts_with("| `"));
        let row = rows.find(|row| row.contains(&kind));
        let row = row.unwrap_or_else(|| panic!("{RUNBOOK} is without {kind}"));
        assert!(row.contains(&format!("[{alert}](")), "{row}");
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
            assert!(expression.contains("zegel_"), "{expression}");
        }
    }
}
