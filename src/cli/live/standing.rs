//! How things stand, and what of it somebody should look at.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{ALERTS, LookError, duration, reported::of_reports};
use crate::{
    cli::judging::{BEHIND, Judgements},
    judgement::{SignerReport, Told, ToldMatter},
    observe::{
        metrics::OTHER,
        status::{KeeperFigures, KeeperStatus, KeyFigures, Role, SignerFigures, SignerStatus},
    },
    words::Level,
};

/// For so long a signing failure is news: mail that was put off comes again within it.
const FAILURE_IS_NEWS: u64 = 3600;
/// So many lines about keys in reports an organisation has beside its worst.
const REPORTED: usize = 5;
/// As the alert ZegelKeeperStale has it.
const CHECK_IS_OLD: u64 = 6 * 3600;

/// Everything that `zegel status` says.
#[derive(Debug, Serialize)]
pub(super) struct Standing {
    /// `ready`, `not ready`, `away` if nobody answers, or `unknown` if the answer can't be read.
    pub(super) state: &'static str,
    /// Where it was asked.
    pub(super) signer: String,
    /// None if it does not answer.
    pub(super) figures: Option<SignerFigures>,
    /// None if it was not asked, or does not answer.
    pub(super) keeper: Option<KeeperFigures>,
    /// Whether it was.
    pub(super) keeper_was_asked: bool,
    /// How the organisations stand, the worst first; of another host those that are not well.
    pub(super) judgements: Vec<Judged>,
    /// What somebody should look at, one line each, with the way out.
    pub(super) attention: Vec<String>,
}

/// How one organisation stands.
#[derive(Debug, Serialize)]
pub(super) struct Judged {
    pub(super) organisation: String,
    #[serde(flatten)]
    pub(super) told: Told,
}

/// What was heard of a keeper.
pub(super) struct KeeperLook {
    /// Where it was asked.
    pub(super) endpoint: String,
    pub(super) status: Result<KeeperStatus, LookError>,
}

impl Standing {
    /// `judged` are the organisations of this host, or why they can't be judged; none if another
    /// one is looked at. `is_behind` says that the configuration on this host is newer than the
    /// one in use. `now` is in seconds since 1970.
    pub(super) fn new(
        signer: String,
        (look, keeper): (Result<SignerReport, LookError>, Option<KeeperLook>),
        is_behind: bool,
        judged: Option<Result<Judgements, String>>,
        now: u64,
    ) -> Self {
        // What could not be asked comes first.
        let mut unasked = Vec::new();
        let mut attention = Vec::new();
        let mut reported = BTreeMap::new();
        let (state, figures) = match look {
            Ok(report) => {
                reported = report.judgements.unwrap_or_default();
                let state = of_report(&report.status, now, &mut attention);
                (state, Some(report.status.figures))
            }
            Err(error) => {
                unasked.push(unanswered(&error, Role::Signer, &signer));
                let is_away = matches!(error, LookError::Away(_));
                (if is_away { "away" } else { "unknown" }, None)
            }
        };
        let keeper_was_asked = keeper.is_some();
        let keeper = keeper.and_then(|keeper| match keeper.status {
            Ok(status) => Some(status.figures),
            Err(error) => {
                unasked.push(unanswered(&error, Role::Keeper, &keeper.endpoint));
                None
            }
        });
        let here = judged.unwrap_or_else(|| Err(String::new()));
        let is_judged = here.is_ok();
        let judgements = here.unwrap_or_else(|error| {
            if !error.is_empty() {
                unasked.push(format!("the keys can't be judged: {error}"));
            }
            reported
        });
        if let Some(keeper) = &keeper {
            of_keeper(keeper, (is_judged, &judgements), now, &mut attention);
        }
        let judgements = sorted(judgements);
        let says_so = |one: &SignerFigures| one.configuration_newer_since.is_some();
        if is_behind && !figures.as_ref().is_some_and(says_so) {
            unasked.push(BEHIND.to_owned());
        }
        unasked.append(&mut attention);
        unasked.extend(judgements.iter().flat_map(Judged::attention));
        Self {
            state,
            signer,
            figures,
            keeper,
            keeper_was_asked,
            judgements,
            attention: unasked,
        }
    }
}

impl Judged {
    /// What someone should look at: the worst, and beside that what reports show of keys; nothing
    /// if it is well or goes on by itself.
    fn attention(&self) -> Vec<String> {
        let is_wanted = self.told.level <= Level::Act;
        let mut matters = self.told.matters.iter();
        let Some(worst) = matters.next().filter(|_| is_wanted) else {
            return Vec::new();
        };
        let reported = matters.filter(|one| one.is_reported_key()).take(REPORTED);
        let shown: Vec<&ToldMatter> = [worst].into_iter().chain(reported).collect();
        let id = &self.organisation;
        let line = |one: &&ToldMatter| format!("{id}: {}: {}", one.level, one.text.en);
        let mut lines: Vec<String> = shown.iter().map(line).collect();
        let more = self.told.matters.len() - shown.len();
        if let Some(first) = lines.first_mut().filter(|_| more > 0) {
            first.push_str(" (and ");
            first.push_str(&more.to_string());
            first.push_str(" more)");
        }
        lines
    }
}

/// The worst first.
fn sorted(judgements: Judgements) -> Vec<Judged> {
    let judgements = judgements.into_iter();
    let mut sorted: Vec<Judged> = judgements
        .map(|(organisation, told)| Judged { organisation, told })
        .collect();
    sorted.sort_by_key(|one| one.told.level);
    sorted
}

/// With the way out.
fn unanswered(error: &LookError, role: Role, endpoint: &str) -> String {
    let unit = match (error, role) {
        (LookError::Away(_), Role::Signer) => "; see `systemctl status zegel`",
        (LookError::Away(_), Role::Keeper) => "; see `systemctl status zegel-keeper`",
        _ => "",
    };
    format!("{}{unit}", error.of(role, endpoint))
}

/// Gives the word for its state.
fn of_report(look: &SignerStatus, now: u64, attention: &mut Vec<String>) -> &'static str {
    let not_ready = look.not_ready.as_ref();
    attention.extend(not_ready.map(|why| format!("the signer is not ready: {why}")));
    of_signer(&look.figures, now, attention);
    if not_ready.is_some() {
        "not ready"
    } else {
        "ready"
    }
}

fn of_signer(figures: &SignerFigures, now: u64, attention: &mut Vec<String>) {
    let mut say = |is_so: bool, text: String| {
        if is_so {
            attention.push(text);
        }
    };
    say(
        !figures.last_reload_successful,
        "what is on disk cannot be loaded, and what was before is in use: see `zegel check`".into(),
    );
    let newer = figures.configuration_newer_since;
    say(
        figures.last_reload_successful && newer.is_some(),
        format!(
            "the configuration on disk is newer than the one in use, for {}: organisations \
             are taken up by themselves within half a minute, `zegel.toml` with `systemctl reload \
             zegel`",
            duration(now.saturating_sub(newer.unwrap_or_default()))
        ),
    );
    let problems = figures.key_problems;
    say(
        problems > 0,
        format!(
            "keys or keyrings cannot be used as they should ({problems}): `zegel check` names \
             them, and the log those that are gone"
        ),
    );
    let since = figures
        .last_signing_failure
        .map(|time| now.saturating_sub(time));
    say(
        since.is_some_and(|since| since < FAILURE_IS_NEWS),
        format!(
            "mail could not be signed {} ago: see the log for reason=\"signing_failure\"",
            duration(since.unwrap_or_default())
        ),
    );
    let panics = figures.panics;
    say(
        panics > 0,
        format!("there were faults in Zegel since its start ({panics}): please report them"),
    );
    let limit = figures.connections_limit;
    for (name, listener) in &figures.listeners {
        say(
            limit > 0 && listener.connections >= limit,
            format!(
                "{name}: limits.connections ({limit}) is reached: further connections are refused"
            ),
        );
    }
}

/// Only what no judgement tells.
fn of_keeper(
    figures: &KeeperFigures,
    (is_judged, judgements): (bool, &Judgements),
    now: u64,
    attention: &mut Vec<String>,
) {
    if let Some(reports) = &figures.reports {
        of_reports(reports, judgements, now, attention);
    }
    if is_judged {
        return;
    }
    for (id, keys) in &figures.organisations {
        if id == OTHER {
            of_others(keys, attention);
            continue;
        }
        for [domain, kind] in &keys.alarms {
            attention.push(format!(
                "{id}: {kind} {domain}: see `zegel key list {id}`, and {kind} in {ALERTS}"
            ));
        }
        let is_told = keys
            .alarms
            .iter()
            .any(|[_, kind]| kind == "rotation_overdue");
        if keys.rotation_overdue > 0 && !is_told {
            attention.push(format!(
                "{id}: a key is longer in use than it should be: see `zegel key list {id}`"
            ));
        }
        let age = now.saturating_sub(keys.last_check);
        if age > CHECK_IS_OLD {
            attention.push(format!(
                "{id}: its DNS was not looked at for {}: see `zegel keeper --once`",
                duration(age)
            ));
        }
    }
}

/// Of organisations that have no series of their own, of which one or several are meant.
fn of_others(keys: &KeyFigures, attention: &mut Vec<String>) {
    let mut kinds: Vec<&str> = keys.alarms.iter().map(|[_, kind]| kind.as_str()).collect();
    if keys.rotation_overdue > 0 {
        kinds.push("rotation_overdue");
    }
    kinds.sort_unstable();
    kinds.dedup();
    if !kinds.is_empty() {
        attention.push(format!(
            "of organisations beyond [http] organisations: {}: `zegel keeper --once` names them",
            kinds.join(", ")
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::status::{LatestReport, ListenerFigures, ReportFigures, VERSION};

    const NOW: u64 = 1_800_000_000;

    fn signer(figures: SignerFigures) -> SignerReport {
        let status = SignerStatus {
            version: VERSION,
            role: Role::Signer,
            not_ready: None,
            top: None,
            figures,
        };
        SignerReport {
            status,
            judgements: None,
        }
    }

    fn well() -> SignerFigures {
        SignerFigures {
            last_reload_successful: true,
            ..SignerFigures::default()
        }
    }

    fn keeper(status: Result<KeeperStatus, LookError>) -> KeeperLook {
        KeeperLook {
            endpoint: "k".to_owned(),
            status,
        }
    }

    fn attention(figures: SignerFigures, keys: Option<(&str, KeyFigures)>) -> Vec<String> {
        let asked = keys.map(|(id, keys)| {
            let organisations = [(id.to_owned(), keys)].into();
            let status = KeeperStatus {
                version: VERSION,
                role: Role::Keeper,
                not_ready: None,
                figures: KeeperFigures {
                    organisations,
                    reports: None,
                },
            };
            keeper(Ok(status))
        });
        let looks = (Ok(signer(figures)), asked);
        Standing::new("s".to_owned(), looks, false, None, NOW).attention
    }

    #[test]
    fn what_deserves_attention_of_a_signer() {
        assert_eq!(attention(well(), None), Vec::<String>::new());
        let failed = |time| SignerFigures {
            last_signing_failure: Some(time),
            ..well()
        };
        assert_eq!(attention(failed(NOW - 10_000), None), Vec::<String>::new());
        let full = ListenerFigures {
            connections: 2,
            ..ListenerFigures::default()
        };
        for (figures, expected) in [
            (SignerFigures::default(), "cannot be loaded"),
            (
                SignerFigures {
                    key_problems: 2,
                    ..well()
                },
                "as they should (2)",
            ),
            (
                SignerFigures {
                    panics: 1,
                    ..well()
                },
                "faults in Zegel",
            ),
            (
                SignerFigures {
                    configuration_newer_since: Some(NOW - 60),
                    ..well()
                },
                "newer than the one in use, for 1m",
            ),
            (failed(NOW - 60), "could not be signed 1m ago"),
            (
                SignerFigures {
                    connections_limit: 2,
                    listeners: [("a".to_owned(), full)].into(),
                    ..well()
                },
                "a: limits.connections (2) is reached",
            ),
        ] {
            let said = attention(figures, None);
            assert!(said.len() == 1 && said[0].contains(expected), "{said:?}");
        }
    }

    #[test]
    fn what_deserves_attention_of_a_keeper() {
        let checked = KeyFigures {
            last_check: NOW,
            ..KeyFigures::default()
        };
        let said = attention(well(), Some(("a", checked.clone())));
        assert_eq!(said, Vec::<String>::new());
        let overdue = KeyFigures {
            rotation_overdue: 1,
            ..checked.clone()
        };
        let gone = KeyFigures {
            alarms: vec![["a.nl", "active_gone"].map(str::to_owned)],
            ..checked
        };
        let old = KeyFigures {
            last_check: NOW - 100_000,
            ..KeyFigures::default()
        };
        for (id, keys, expected) in [
            ("a", overdue, "a: a key is longer in use"),
            ("a", gone.clone(), "a: active_gone a.nl"),
            (
                OTHER,
                gone,
                "organisations: active_gone: `zegel keeper --once`",
            ),
            ("a", old, "not looked at for 1d 3h"),
        ] {
            let said = attention(well(), Some((id, keys)));
            assert!(said.len() == 1 && said[0].contains(expected), "{said:?}");
        }
    }

    #[test]
    fn reports_that_do_not_come_deserve_attention() {
        let latest = |days: &[u64]| ReportFigures {
            latest: days
                .iter()
                .map(|days| LatestReport {
                    organisation: "a".to_owned(),
                    domain: format!("d{days}.nl"),
                    end: NOW - days * 86_400,
                })
                .collect(),
            ..ReportFigures::default()
        };
        let said = |reports: &ReportFigures| {
            let mut said = Vec::new();
            of_reports(reports, &Judgements::new(), NOW, &mut said);
            said
        };
        // Of an archive that was read once, none are expected.
        assert_eq!(said(&latest(&[0, 6, 61])), Vec::<String>::new());
        let missing = said(&latest(&[1, 8, 9]));
        assert!(
            missing[0].contains("for 7d about d8.nl, d9.nl:"),
            "{missing:?}"
        );
        let many = said(&latest(&[10, 11, 12, 13, 14, 15, 16]));
        assert!(many[0].contains("d14.nl and 2 more:"), "{many:?}");
        let mut broken = latest(&[]);
        broken.problem = Some("Permission denied".to_owned());
        let broken = said(&broken);
        assert!(
            broken[0].contains("Permission denied; see [reports] state"),
            "{broken:?}"
        );
    }

    #[test]
    fn who_does_not_answer_deserves_attention() {
        let away = LookError::Away("refused".to_owned());
        let asked = Some(keeper(Err(away.clone())));
        let standing = Standing::new("s".to_owned(), (Err(away), asked), false, None, NOW);
        assert_eq!(standing.state, "away");
        assert_eq!(
            standing.attention,
            [
                "no signer answers at s: refused; see `systemctl status zegel`",
                "no keeper answers at k: refused; see `systemctl status zegel-keeper`",
            ]
        );
        let asked = Some(keeper(Err(LookError::Old)));
        let standing = Standing::new(
            "s".to_owned(),
            (Err(LookError::Old), asked),
            false,
            None,
            NOW,
        );
        assert_eq!(standing.state, "unknown");
        for said in standing.attention {
            assert!(said.contains("has no /status.json: it is older"), "{said}");
        }
        let mut look = signer(well());
        look.status.not_ready = Some("draining".to_owned());
        let standing = Standing::new("s".to_owned(), (Ok(look), None), false, None, NOW);
        assert_eq!(standing.state, "not ready");
        assert_eq!(standing.attention, ["the signer is not ready: draining"]);
    }

    #[test]
    fn a_disk_that_the_signer_has_not_looked_at_is_said_once() {
        let said = |figures, is_behind| {
            let looks = (Ok(signer(figures)), None);
            let standing = Standing::new("s".to_owned(), looks, is_behind, None, NOW);
            standing.attention
        };
        assert_eq!(said(well(), true), [BEHIND]);
        let knows = SignerFigures {
            configuration_newer_since: Some(NOW - 60),
            ..well()
        };
        let [line] = &said(knows, true)[..] else {
            panic!("it is said twice");
        };
        assert!(line.contains("newer than the one in use, for 1m"), "{line}");
    }

    #[test]
    fn durations_have_two_units() {
        for (seconds, expected) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (3661, "1h 1m"),
            (86400 * 3 + 7, "3d"),
            (86400 * 3 + 7200, "3d 2h"),
        ] {
            assert_eq!(duration(seconds), expected);
        }
    }
}
