//! The settings that the pages show are those of `conf/`, which the tests with real servers use.

use super::{
    page::{What, steps},
    pages,
    support::fragment,
};

/// What a page sets otherwise than `conf/`, and says why.
const OTHERWISE: [&str; 1] =
    ["smtpd_milters = { unix:zegel/relay.sock, default_action=tempfail, connect_timeout=10s }"];

/// The lines of these blocks of a page that are not commands.
fn others(page: &str) -> Vec<String> {
    let steps = steps(&pages()[page]);
    let lines = steps.into_iter().filter_map(|step| match step.what {
        What::Other(line) => Some(line.trim().to_owned()),
        _ => None,
    });
    lines.collect()
}

/// The lines of these blocks that something else runs.
fn elsewhere(page: &str) -> String {
    let steps = steps(&pages()[page]);
    let lines = steps.into_iter().filter_map(|step| match step.what {
        What::Elsewhere(line) => Some(line + "\n"),
        _ => None,
    });
    lines.collect()
}

/// What `postconf -e` is told on the page.
fn told(page: &str) -> Vec<String> {
    let steps = steps(&pages()[page]);
    let settings = steps.into_iter().filter_map(|step| match step.what {
        What::Command(command, _) => {
            let setting = command.strip_prefix("postconf -e '")?;
            Some(setting.split('\'').next()?.to_owned())
        }
        _ => None,
    });
    settings.collect()
}

/// Settings of `main.cf`, without comments.
fn of_main_cf() -> Vec<String> {
    let text = fragment("postfix/main.cf");
    let lines = text.lines().map(str::trim_end);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

#[test]
fn the_settings_of_postfix_are_those_that_are_tested() {
    let ours = of_main_cf();
    let told = told("docs/postfix.md");
    for setting in &ours {
        assert!(
            told.contains(setting),
            "docs/postfix.md is without {setting}"
        );
    }
    for setting in told {
        let is_known = ours.contains(&setting) || OTHERWISE.contains(&setting.as_str());
        assert!(is_known, "conf/postfix/main.cf is without {setting}");
    }
    let readme = elsewhere("README.md");
    let lines = readme
        .lines()
        .filter(|line| line.contains(" = ") && !line.contains("awk"));
    let shown: Vec<&str> = lines.filter_map(|line| line.split('\'').nth(1)).collect();
    assert!(shown.len() > 2, "{shown:?}");
    for setting in shown {
        assert!(
            ours.iter().any(|own| own == setting),
            "conf/postfix/main.cf is without {setting}"
        );
    }
}

#[test]
fn services_of_postfix_are_those_that_are_tested() {
    let master = fragment("postfix/master.cf");
    let options = others("docs/postfix.md");
    let mut number = 0;
    for option in options.iter().filter(|line| line.starts_with("-o ")) {
        let is_there = master.lines().any(|line| line.trim() == option);
        assert!(is_there, "conf/postfix/master.cf is without {option}");
        number += 1;
    }
    assert!(number > 1, "{number} options are shown");
}

#[test]
fn the_lines_of_sendmail_are_those_that_are_tested() {
    let fragment = fragment("sendmail/zegel.mc");
    let mut number = 0;
    for line in others("docs/sendmail.md") {
        if line.ends_with("dnl") {
            assert!(fragment.contains(&line), "zegel.mc is without {line}");
            number += 1;
        }
    }
    assert!(number > 3, "{number} lines are shown");
}

#[test]
fn the_way_of_reports_is_the_one_that_is_tested() {
    let shown = others("docs/reports.md");
    let master = fragment("postfix/master.cf");
    let service = master.lines().map(str::trim).filter(|line| {
        line.starts_with("zegel-reports unix") || line.starts_with("user=zegel-reports")
    });
    let map = fragment("postfix/zegel-reports");
    let settings = map.lines().filter_map(|line| line.strip_prefix("#   "));
    let lines: Vec<&str> = service.chain(settings).collect();
    assert_eq!(lines.len(), 5, "{lines:?}");
    for line in lines {
        let is_shown = shown.iter().any(|one| one == line);
        assert!(is_shown, "docs/reports.md is without {line}");
    }
}
