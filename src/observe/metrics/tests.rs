use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::{
    names::{OrganisationId, Selector},
    observe::status::Order,
    organisation::{Action, Refusal},
};

fn id(text: &str) -> OrganisationId {
    text.parse().unwrap()
}

fn selector() -> Selector {
    "s1".parse().unwrap()
}

fn page(metrics: &Metrics) -> String {
    metrics.render().unwrap()
}

#[track_caller]
fn assert_line(metrics: &Metrics, line: &str) {
    let page = page(metrics);
    assert!(page.lines().any(|found| found == line), "{line}\n{page}");
}

#[test]
fn a_listener_has_all_its_series_from_the_start() {
    let metrics = Metrics::new();
    metrics.listener("relay");
    for line in [
        r#"zegel_messages_total{listener="relay",result="signed"} 0"#,
        r#"zegel_messages_total{listener="relay",result="unsigned"} 0"#,
        r#"zegel_messages_total{listener="relay",result="tempfailed"} 0"#,
        r#"zegel_messages_total{listener="relay",result="rejected"} 0"#,
        r#"zegel_messages_total{listener="relay",result="observed"} 0"#,
        r#"zegel_observed_total{listener="relay",result="signed"} 0"#,
        r#"zegel_connections{listener="relay"} 0"#,
        r#"zegel_connections_accepted_total{listener="relay"} 0"#,
        r#"zegel_messages_in_progress{listener="relay"} 0"#,
        r#"zegel_connections_refused_total{listener="relay"} 0"#,
        r#"zegel_peers_refused_total{listener="relay"} 0"#,
        r#"zegel_limits_reached_total{listener="relay",limit="connections"} 0"#,
        r#"zegel_limits_reached_total{listener="relay",limit="command_bytes"} 0"#,
        r#"zegel_protocol_errors_total{listener="relay"} 0"#,
        r#"zegel_accept_errors_total{listener="relay"} 0"#,
    ] {
        assert_line(&metrics, line);
    }
}

#[test]
fn each_limit_is_counted_by_itself() {
    let metrics = Metrics::new();
    let relay = metrics.listener("relay");
    relay.limit_reached(Limit::Connections);
    relay.limit_reached(Limit::Commands);
    relay.limit_reached(Limit::Commands);
    for line in [
        r#"zegel_limits_reached_total{listener="relay",limit="connections"} 1"#,
        r#"zegel_limits_reached_total{listener="relay",limit="commands"} 2"#,
        r#"zegel_limits_reached_total{listener="relay",limit="command_bytes"} 0"#,
    ] {
        assert_line(&metrics, line);
    }
}

#[test]
fn the_process_has_its_series_from_the_start() {
    let metrics = Metrics::new();
    for line in [
        "zegel_panics_total 0",
        "zegel_log_lines_lost_total 0",
        "zegel_header_memory_bytes 0",
        r#"zegel_reload_total{result="ok"} 0"#,
        r#"zegel_reload_total{result="failed"} 0"#,
        "zegel_last_reload_successful 1",
        "zegel_organisations 0",
        "zegel_keystore_generation 0",
        "zegel_last_signing_failure_timestamp_seconds 0.0",
        "zegel_large_message_wait_seconds_count 0",
        "zegel_sign_seconds_count 0",
        r#"zegel_sign_seconds_bucket{le="0.00005"} 0"#,
        r#"zegel_unsigned_total{organisation="",reason="unknown_domain"} 0"#,
        r#"zegel_unsigned_total{organisation="",reason="not_outbound"} 0"#,
    ] {
        assert_line(&metrics, line);
    }
    drop(metrics.waits_for_turn());
    assert_line(&metrics, "zegel_large_message_wait_seconds_count 1");
    metrics.signing_failed();
    let page = page(&metrics);
    for start in [
        "zegel_last_signing_failure_timestamp_seconds 1",
        "process_cpu_seconds_total ",
        "process_resident_memory_bytes ",
        "process_start_time_seconds 1",
        "zegel_build_info{version=\"",
    ] {
        assert!(page.contains(&format!("\n{start}")), "{start}\n{page}");
    }
    assert!(page.ends_with("# EOF\n"));
}

#[test]
fn messages_are_counted_where_they_belong() {
    let metrics = Metrics::new();
    let relay = metrics.listener("relay");
    let newsletter = metrics.listener("newsletter");
    relay.message(Outcome::Signed, 2048);
    relay.signing_took(Duration::from_micros(300), Duration::from_micros(200));
    // Resolved again after a reload: the same series.
    metrics.listener("relay").message(Outcome::Signed, 10);
    newsletter.message(Outcome::Rejected, 10);
    newsletter.observed(Forecast::Unverified, 0);
    for line in [
        r#"zegel_messages_total{listener="relay",result="signed"} 2"#,
        r#"zegel_messages_total{listener="newsletter",result="signed"} 0"#,
        r#"zegel_messages_total{listener="newsletter",result="rejected"} 1"#,
        r#"zegel_messages_total{listener="newsletter",result="observed"} 1"#,
        r#"zegel_observed_total{listener="newsletter",result="unverified"} 1"#,
        r#"zegel_sign_seconds_bucket{le="0.00025"} 0"#,
        r#"zegel_sign_seconds_bucket{le="0.0005"} 1"#,
        r#"zegel_sign_seconds_bucket{le="+Inf"} 1"#,
        "zegel_sign_seconds_sum 0.0003",
        r#"zegel_signing_cpu_seconds_bucket{le="0.00025"} 1"#,
        "zegel_signing_cpu_seconds_sum 0.0002",
        "zegel_message_bytes_sum 2068.0",
        "zegel_message_bytes_count 4",
    ] {
        assert_line(&metrics, line);
    }
}

#[test]
fn organisations_show_what_happened_to_them_only() {
    let metrics = Metrics::new();
    let one = metrics.organisation(&id("gemeente-1"));
    metrics.organisation(&id("gemeente-2"));
    one.signed(&selector(), "rsa-sha256");
    one.unsigned(Refusal::AwaitingKey);
    one.unsigned(Refusal::Hazard);
    one.hazard("long_line");
    metrics
        .without_organisation()
        .unsigned(Refusal::UnknownDomain);
    for line in [
        r#"zegel_signed_total{organisation="gemeente-1",selector="s1",algorithm="rsa-sha256"} 1"#,
        r#"zegel_unsigned_total{organisation="gemeente-1",reason="awaiting_key"} 1"#,
        r#"zegel_unsigned_total{organisation="gemeente-1",reason="hazard"} 1"#,
        r#"zegel_hazards_total{organisation="gemeente-1",hazard="long_line"} 1"#,
        r#"zegel_unsigned_total{organisation="",reason="unknown_domain"} 1"#,
    ] {
        assert_line(&metrics, line);
    }
    let page = page(&metrics);
    assert_eq!(page.matches("gemeente-1").count(), 4, "{page}");
    assert!(!page.contains("gemeente-2"), "{page}");
}

#[test]
fn counters_survive_a_reload_and_go_with_their_organisation() {
    let metrics = Metrics::new();
    metrics
        .organisation(&id("stays"))
        .signed(&selector(), "rsa-sha256");
    let goes = metrics.organisation(&id("goes"));
    goes.signed(&selector(), "rsa-sha256");
    metrics.retain_organisations(|id| id.as_str() == "stays");
    metrics
        .organisation(&id("stays"))
        .signed(&selector(), "rsa-sha256");
    goes.signed(&selector(), "rsa-sha256");
    assert_line(
        &metrics,
        r#"zegel_signed_total{organisation="stays",selector="s1",algorithm="rsa-sha256"} 2"#,
    );
    assert!(!page(&metrics).contains("goes"));
}

/// The sum of the series of a counter with this label.
fn sum(metrics: &Metrics, start: &str) -> u64 {
    let page = page(metrics);
    let lines = page.lines().filter(|line| line.starts_with(start));
    let value = |line: &str| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap();
    lines.map(value).sum()
}

#[test]
fn the_first_with_mail_have_series_of_their_own() {
    let metrics = Metrics::with_series(2);
    let all = ["a", "b", "c", "d", "other"].map(|name| metrics.organisation(&id(name)));
    // Not the first in the alphabet or in the configuration.
    for place in [4, 3, 1, 0, 2] {
        all[place].signed(&selector(), "rsa-sha256");
        all[place].unsigned(Refusal::AwaitingKey);
        all[place].hazard("long_line");
    }
    for line in [
        "zegel_organisations_with_series 2",
        r#"zegel_signed_total{organisation="d",selector="s1",algorithm="rsa-sha256"} 1"#,
        r#"zegel_signed_total{organisation="b",selector="s1",algorithm="rsa-sha256"} 1"#,
        r#"zegel_signed_total{organisation="other",selector="",algorithm="rsa-sha256"} 3"#,
        r#"zegel_unsigned_total{organisation="other",reason="awaiting_key"} 3"#,
        r#"zegel_hazards_total{organisation="other",hazard="long_line"} 3"#,
    ] {
        assert_line(&metrics, line);
    }
    let page = page(&metrics);
    for hidden in [r#""a""#, r#""c""#] {
        assert!(!page.contains(hidden), "{page}");
    }
}

#[test]
fn no_sum_falls_when_organisations_come_and_go() {
    let metrics = Metrics::with_series(1);
    let signed = "zegel_signed_total{";
    let own = metrics.organisation(&id("own"));
    let shared = metrics.organisation(&id("shared"));
    own.signed(&selector(), "rsa-sha256");
    shared.signed(&selector(), "rsa-sha256");
    shared.signed(&selector(), "rsa-sha256");
    assert_eq!(sum(&metrics, signed), 3);
    // Gone, with a message on its way that still has the counters.
    metrics.retain_organisations(|id| id.as_str() == "own");
    shared.signed(&selector(), "rsa-sha256");
    assert_eq!(sum(&metrics, signed), 4);
    // Back.
    metrics
        .organisation(&id("shared"))
        .signed(&selector(), "rsa-sha256");
    let of_shared =
        r#"zegel_signed_total{organisation="other",selector="",algorithm="rsa-sha256"} 4"#;
    assert_line(&metrics, of_shared);
    // Who has counted among the others stays there, though a place is free.
    metrics.retain_organisations(|id| id.as_str() == "shared");
    drop(own);
    assert_line(&metrics, "zegel_organisations_with_series 0");
    metrics
        .organisation(&id("shared"))
        .signed(&selector(), "rsa-sha256");
    metrics
        .organisation(&id("next"))
        .signed(&selector(), "rsa-sha256");
    metrics
        .organisation(&id("own"))
        .signed(&selector(), "rsa-sha256");
    for line in [
        r#"zegel_signed_total{organisation="other",selector="",algorithm="rsa-sha256"} 6"#,
        r#"zegel_signed_total{organisation="next",selector="s1",algorithm="rsa-sha256"} 1"#,
    ] {
        assert_line(&metrics, line);
    }
    assert_eq!(sum(&metrics, r#"zegel_signed_total{organisation="own""#), 0);
}

#[test]
fn threads_share_the_places_without_one_too_many() {
    let metrics = Metrics::with_series(10);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let metrics = &metrics;
            scope.spawn(move || {
                for number in 0..50 {
                    let name = format!("org-{thread}-{number}");
                    metrics
                        .organisation(&id(&name))
                        .signed(&selector(), "rsa-sha256");
                }
            });
        }
    });
    assert_line(&metrics, "zegel_organisations_with_series 10");
    let of_others =
        r#"zegel_signed_total{organisation="other",selector="",algorithm="rsa-sha256"} 190"#;
    assert_line(&metrics, of_others);
}

#[test]
fn a_connection_is_open_while_it_lives() {
    let metrics = Metrics::new();
    let listener = metrics.listener("relay");
    let first = listener.connection();
    let second = listener.connection();
    assert_line(&metrics, r#"zegel_connections{listener="relay"} 2"#);
    let message = listener.begin_message();
    assert_line(
        &metrics,
        r#"zegel_messages_in_progress{listener="relay"} 1"#,
    );
    drop((first, second, message));
    for line in [
        r#"zegel_connections{listener="relay"} 0"#,
        r#"zegel_connections_accepted_total{listener="relay"} 2"#,
        r#"zegel_messages_in_progress{listener="relay"} 0"#,
    ] {
        assert_line(&metrics, line);
    }
}

#[test]
fn reloads_and_the_snapshot_in_use() {
    let metrics = Metrics::new();
    metrics.snapshot_in_use(&SnapshotFacts {
        organisations: 3,
        keystore_generation: 17,
        domains_without_key: 2,
        key_problems: 1,
        connections: 50,
        loaded_at: UNIX_EPOCH + Duration::from_millis(1_800_000_000_500),
    });
    metrics.reload_failed();
    for line in [
        "zegel_organisations 3",
        "zegel_keystore_generation 17",
        "zegel_domains_without_key 2",
        "zegel_key_problems 1",
        "zegel_connections_limit 50",
        "zegel_snapshot_generation 1",
        "zegel_last_reload_timestamp_seconds 1800000000.5",
        r#"zegel_reload_total{result="failed"} 1"#,
        "zegel_last_reload_successful 0",
    ] {
        assert_line(&metrics, line);
    }
    metrics.reload_succeeded();
    assert_line(&metrics, "zegel_last_reload_successful 1");
}

#[test]
fn a_label_cannot_break_out_of_its_quotes() {
    let metrics = Metrics::new();
    metrics.listener("a\"b\\c\nd");
    assert_line(&metrics, r#"zegel_connections{listener="a\"b\\c\nd"} 0"#);
}

#[test]
fn threads_lose_no_count() {
    let metrics = Metrics::new();
    let organisation = metrics.organisation(&id("busy"));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..1000 {
                    organisation.unsigned(Refusal::AlreadySigned);
                    organisation.signed(&selector(), "ed25519-sha256");
                }
            });
        }
    });
    assert_line(
        &metrics,
        r#"zegel_unsigned_total{organisation="busy",reason="already_signed"} 4000"#,
    );
    assert_line(
        &metrics,
        r#"zegel_signed_total{organisation="busy",selector="s1",algorithm="ed25519-sha256"} 4000"#,
    );
}

fn ask(query: &str) -> Ask {
    query.parse().unwrap()
}

/// The ids in their order.
fn first(metrics: &Metrics, query: &str) -> Vec<String> {
    let status = metrics.status(None, &ask(query));
    let rates = status.top.unwrap().organisations;
    let ids: Vec<String> = rates.into_iter().map(|one| one.id).collect();
    let known: Vec<&String> = status.figures.organisations.keys().collect();
    let mut sorted: Vec<&String> = ids.iter().collect();
    sorted.sort();
    assert_eq!(known, sorted, "{query}");
    ids
}

#[test]
fn the_status_has_the_numbers_of_the_page() {
    let metrics = Metrics::with_series(1);
    let relay = metrics.listener("relay");
    let _open = (relay.connection(), relay.begin_message());
    relay.connection_refused();
    relay.message(Outcome::Tempfailed, 1);
    relay.observed(Forecast::Signed, 1);
    let one = metrics.organisation(&id("een"));
    // Two keys one after the other, and a second algorithm beside them.
    for (selector, algorithm, count) in [
        ("a", "rsa-sha256", 3),
        ("b", "rsa-sha256", 4),
        ("c", "ed25519-sha256", 6),
    ] {
        for _ in 0..count {
            one.signed(&selector.parse().unwrap(), algorithm);
        }
    }
    one.unsigned(Refusal::AwaitingKey);
    one.kept_back(Refusal::AwaitingKey, Action::Tempfail);
    one.kept_back(Refusal::AwaitingKey, Action::Accept);
    let totals = metrics.totals()[0].1;
    assert_eq!(
        (totals.unsigned, totals.kept_back, totals.left()),
        (1, 1, 0)
    );
    one.hazard("long_line");
    let twee = metrics.organisation(&id("twee"));
    twee.unsigned(Refusal::SigningFailure);
    twee.signed(&selector(), "rsa-sha256");
    twee.signed_message();
    metrics.panicked();
    metrics.reload_failed();
    metrics.signing_failed();
    metrics.snapshot_in_use(&SnapshotFacts {
        organisations: 3,
        keystore_generation: 17,
        domains_without_key: 2,
        key_problems: 1,
        connections: 50,
        loaded_at: UNIX_EPOCH + Duration::from_millis(1_800_000_000_500),
    });
    let status = metrics.status(Some("starting".to_owned()), &Ask::default());
    let text = serde_json::to_string(&status).unwrap();
    let status: SignerStatus = crate::observe::status::read_status(Role::Signer, &text).unwrap();
    assert_eq!(
        (status.not_ready.as_deref(), status.top),
        (Some("starting"), None)
    );
    let figures = status.figures;
    assert_eq!(figures.version, env!("CARGO_PKG_VERSION"));
    assert_eq!(figures.backend, dkim::BACKEND);
    assert_line(
        &metrics,
        &format!("process_start_time_seconds {}", figures.started),
    );
    assert_eq!(
        (figures.loaded, figures.connections_limit),
        (1_800_000_000, 50)
    );
    assert_eq!(
        (figures.snapshot_generation, figures.keystore_generation),
        (1, 17)
    );
    assert_eq!(
        (figures.organisations_in_use, figures.domains_without_key),
        (3, 2)
    );
    assert_eq!((figures.key_problems, figures.panics), (1, 1));
    assert_eq!(
        (figures.last_reload_successful, figures.reloads_failed),
        (false, 1)
    );
    assert!(figures.last_signing_failure.unwrap() >= figures.started);
    let relay = &figures.listeners["relay"];
    assert_eq!((relay.connections, relay.messages_in_progress), (1, 1));
    assert_eq!((relay.connections_refused, relay.messages.len()), (1, 5));
    assert_eq!(
        (relay.messages["tempfailed"], relay.messages["observed"]),
        (1, 1)
    );
    let beyond = &figures.beyond["twee"];
    assert_eq!((beyond.signed, beyond.all_unsigned()), (1, 1));
    let [none, een, other] = ["", "een", OTHER].map(|id| &figures.organisations[id]);
    assert_eq!(figures.organisations.len(), 3);
    assert_eq!((een.put_off["awaiting_key"], een.rejected.len()), (1, 0));
    assert_eq!(
        (een.signed, een.all_unsigned(), een.hazards["long_line"]),
        (7, 1, 1)
    );
    assert_eq!((other.signed, other.unsigned["signing_failure"]), (1, 1));
    let by = [("a", 3), ("b", 4), ("c", 6)].map(|(name, count)| (name.to_owned(), count));
    assert_eq!((&een.signed_by, other.signed_by.len()), (&by.into(), 0));
    assert_eq!(beyond.signed_by, [("s1".to_owned(), 1)].into());
    assert_eq!(
        (none.unsigned["unknown_domain"], none.all_unsigned()),
        (0, 0)
    );
}

#[test]
fn the_first_organisations_are_those_that_were_asked_for() {
    let metrics = Metrics::new();
    let [a, b, c] = ["a", "b", "c"].map(|name| metrics.organisation(&id(name)));
    for _ in 0..3 {
        a.signed(&selector(), "rsa-sha256");
        b.unsigned(Refusal::AwaitingKey);
    }
    b.signed(&selector(), "rsa-sha256");
    c.unsigned(Refusal::LimitExceeded);
    c.hazard("long_line");
    for (query, expected) in [
        ("top=2&by=signed", vec!["a", "b"]),
        ("top=9&by=signed", vec!["a", "b", "", "c"]),
        ("top=2&by=unsigned", vec!["b", "c"]),
        ("top=1&by=failures", vec!["c"]),
        ("top=1&by=hazards", vec!["c"]),
        ("top=2&by=name", vec!["", "a"]),
        ("top=3", vec!["b", "a", "c"]),
        ("top=0", vec![]),
    ] {
        assert_eq!(first(&metrics, query), expected, "{query}");
    }
    assert_eq!(metrics.status(None, &ask("top=1")).top.unwrap().of, 4);
}

#[test]
fn rates_are_right_whoever_was_among_the_first_before() {
    let metrics = Metrics::new();
    let slow = metrics.organisation(&id("slow"));
    for _ in 0..5 {
        slow.signed(&selector(), "rsa-sha256");
    }
    std::thread::sleep(Duration::from_millis(600));
    let before = metrics.status(None, &ask("top=1")).top.unwrap();
    assert_eq!(before.organisations[0].id, "slow");
    // One that was not in the answer, and one that had no mail at all.
    let fast = metrics.organisation(&id("fast"));
    for _ in 0..20 {
        fast.unsigned(Refusal::AwaitingKey);
    }
    slow.signed(&selector(), "rsa-sha256");
    let query = format!("top=2&since={}", before.sample);
    let top = metrics.status(None, &ask(&query)).top.unwrap();
    let grown: Vec<(&str, f64, f64)> = top
        .organisations
        .iter()
        .map(|one| {
            let [signed, unsigned] = [one.signed_per_second, one.unsigned_per_second];
            (
                one.id.as_str(),
                signed * top.seconds,
                unsigned * top.seconds,
            )
        })
        .collect();
    let expected = [("fast", 0.0, 20.0), ("slow", 1.0, 0.0)];
    for ((id, signed, unsigned), expected) in grown.into_iter().zip(expected) {
        assert_eq!((id, signed.round(), unsigned.round()), expected);
    }
    // Of a signer that was started again, or of a copy that is gone: since the oldest.
    let top = metrics.status(None, &ask("top=1&since=0")).top.unwrap();
    let signed = top.organisations[0].unsigned_per_second * top.seconds;
    assert_eq!(
        (top.organisations[0].id.as_str(), signed.round()),
        ("fast", 20.0)
    );
}

#[test]
fn an_organisation_that_goes_and_comes_back_begins_anew() {
    let metrics = Metrics::new();
    let sign = |count| {
        let organisation = metrics.organisation(&id("a"));
        (0..count).for_each(|_| organisation.signed(&selector(), "rsa-sha256"));
    };
    sign(100);
    std::thread::sleep(Duration::from_millis(600));
    let sample = metrics.status(None, &ask("top=1")).top.unwrap().sample;
    assert_eq!(sample, 1);
    metrics.retain_organisations(|_| false);
    sign(2);
    let top = metrics.status(None, &ask("top=1&since=1")).top.unwrap();
    let signed = top.organisations[0].signed_per_second * top.seconds;
    assert!((signed - 2.0).abs() < 0.1, "{signed}");
}

/// Someone who looks every two seconds fetches little, however many there are.
#[test]
fn the_first_of_a_hundred_thousand_are_a_small_answer() {
    let metrics = Metrics::new();
    for number in 0..100_000 {
        let name = format!("organisation-with-a-long-name-{number:06}");
        let organisation = metrics.organisation(&id(&name));
        organisation.signed(&selector(), "rsa-sha256");
        for refusal in Refusal::ALL {
            organisation.unsigned(refusal);
        }
        organisation.hazard("long_line");
        if number == 70_000 {
            organisation.signed(&selector(), "rsa-sha256");
        }
    }
    let busiest = "organisation-with-a-long-name-070000";
    assert_eq!(first(&metrics, "top=1"), [busiest]);
    assert_eq!(first(&metrics, "top=1&by=signed"), [busiest]);
    for order in Order::ALL {
        let query = format!("top=50&by={}", order.as_str());
        let status = metrics.status(None, &ask(&query));
        let text = serde_json::to_vec(&status).unwrap();
        assert!(text.len() < 40_000, "{query}: {} octets", text.len());
        assert_eq!(status.top.unwrap().of, 100_001);
    }
}
