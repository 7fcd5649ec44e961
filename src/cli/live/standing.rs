//! How things stand, and what of it somebody should look at.

use serde::Serialize;

use super::{
    Look,
    figures::{Figures, KeeperFigures, KeyFigures},
};
use crate::observe::metrics::OTHER;

/// For so long a signing failure is news: mail that was put off comes again within it.
const FAILURE_IS_NEWS: u64 = 3600;
/// As the alert ZegelKeeperStale has it.
const CHECK_IS_OLD: u64 = 6 * 3600;

/// Everything that `zegel status` says.
#[derive(Debug, Serialize)]
pub(super) struct Standing {
    /// `ready`, `not ready`, or `away` if nobody answers.
    pub(super) state: &'static str,
    /// Where it was asked.
    pub(super) signer: String,
    /// None if it does not answer.
    pub(super) figures: Option<Figures>,
    /// None if it was not asked, or does not answer.
    pub(super) keeper: Option<KeeperFigures>,
    /// What somebody should look at, one line each, with the way out.
    pub(super) attention: Vec<String>,
}

/// What was heard of the keeper, if it was asked.
pub(super) type KeeperLook = Option<(String, Result<KeeperFigures, String>)>;

impl Standing {
    /// `now` is in seconds since 1970.
    pub(super) fn new(
        signer: String,
        look: Result<Look, String>,
        keeper: KeeperLook,
        now: u64,
    ) -> Self {
        let mut attention = Vec::new();
        let (state, figures) = match look {
            Ok(look) => {
                let state = if look.not_ready.is_some() {
                    "not ready"
                } else {
                    "ready"
                };
                attention.extend(look.not_ready.map(|why| format!("the signer is {why}")));
                of_signer(&look.figures, now, &mut attention);
                (state, Some(look.figures))
            }
            Err(error) => {
                attention.push(format!(
                    "no signer answers at {signer}: {error}; see `systemctl status zegel`"
                ));
                ("away", None)
            }
        };
        let keeper = keeper.and_then(|(endpoint, look)| match look {
            Ok(figures) => {
                of_keeper(&figures, now, &mut attention);
                Some(figures)
            }
            Err(error) => {
                attention.push(format!(
                    "no keeper answers at {endpoint}: {error}; see `systemctl status zegel-keeper`"
                ));
                None
            }
        });
        Self {
            state,
            signer,
            figures,
            keeper,
            attention,
        }
    }
}

fn of_signer(figures: &Figures, now: u64, attention: &mut Vec<String>) {
    let mut say = |is_so: bool, text: String| {
        if is_so {
            attention.push(text);
        }
    };
    say(
        !figures.last_reload_successful,
        "what is on disk cannot be loaded, and what was before is in use: see `zegel check`".into(),
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

fn of_keeper(figures: &KeeperFigures, now: u64, attention: &mut Vec<String>) {
    for (id, keys) in &figures.organisations {
        if id == OTHER {
            of_others(keys, attention);
            continue;
        }
        for [domain, kind] in &keys.alarms {
            attention.push(format!(
                "{id}: {kind} {domain}: see `zegel key list {id}` and docs/alerts.md"
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

/// Seconds in the two largest units that they have.
pub(super) fn duration(seconds: u64) -> String {
    let units = [("d", 86400), ("h", 3600), ("m", 60), ("s", 1)];
    let first = units.iter().position(|(_, unit)| seconds >= *unit);
    let first = first.unwrap_or(units.len() - 1);
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (name, unit) in units.iter().skip(first).take(2) {
        if rest >= *unit || parts.is_empty() {
            parts.push(format!("{}{name}", rest / unit));
        }
        rest %= unit;
    }
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::live::page::Page;

    const NOW: u64 = 1_800_000_000;

    fn attention(signer: &str, keeper: Option<&str>) -> Vec<String> {
        let page = |text: &str| Page::parse(&format!("{text}# EOF\n")).unwrap();
        let look = Look {
            not_ready: None,
            figures: Figures::of(&page(&format!("zegel_last_reload_successful 1\n{signer}"))),
        };
        let keeper = keeper.map(|text| ("k".to_owned(), Ok(KeeperFigures::of(&page(text)))));
        Standing::new("s".to_owned(), Ok(look), keeper, NOW).attention
    }

    #[test]
    fn what_deserves_attention() {
        let check = format!("zegel_dns_last_check_timestamp_seconds{{organisation=\"a\"}} {NOW}\n");
        assert_eq!(attention("", Some(&check)), Vec::<String>::new());
        for (signer, expected) in [
            ("zegel_key_problems 2\n", "as they should (2)"),
            ("zegel_panics_total 1\n", "faults in Zegel"),
            (
                "zegel_last_signing_failure_timestamp_seconds 1799999940.5\n",
                "could not be signed 1m ago",
            ),
            (
                "zegel_connections_limit 2\nzegel_connections{listener=\"a\"} 2\n",
                "limits.connections (2) is reached",
            ),
        ] {
            let said = attention(signer, None);
            assert!(said.len() == 1 && said[0].contains(expected), "{said:?}");
        }
        let long_ago = "zegel_last_signing_failure_timestamp_seconds 1799990000.0\n";
        assert_eq!(attention(long_ago, None), Vec::<String>::new());
        for (keeper, expected) in [
            (
                "zegel_rotation_overdue{organisation=\"a\"} 1\n",
                "longer in use",
            ),
            (
                "zegel_key_alarm{organisation=\"a\",domain=\"a.nl\",kind=\"active_gone\"} 1\n",
                "a: active_gone a.nl",
            ),
        ] {
            let said = attention("", Some(&format!("{keeper}{check}")));
            assert!(said.len() == 1 && said[0].contains(expected), "{said:?}");
        }
        let old = "zegel_dns_last_check_timestamp_seconds{organisation=\"a\"} 1799900000\n";
        assert!(attention("", Some(old))[0].contains("not looked at for 1d 3h"));
    }

    #[test]
    fn who_does_not_answer_deserves_attention() {
        let keeper = Some(("k".to_owned(), Err("refused".to_owned())));
        let standing = Standing::new("s".to_owned(), Err("refused".to_owned()), keeper, NOW);
        assert_eq!(standing.state, "away");
        assert_eq!(standing.attention.len(), 2);
        let look = Look {
            not_ready: Some("not ready: draining".to_owned()),
            figures: Figures::of(&Page::default()),
        };
        let standing = Standing::new("s".to_owned(), Ok(look), None, NOW);
        assert_eq!(standing.state, "not ready");
        assert!(standing.attention[0].contains("draining"));
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
