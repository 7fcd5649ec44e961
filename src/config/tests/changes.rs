//! What a reload changes.

use std::{sync::Arc, time::Duration};

use super::*;
use crate::{
    config::changes::described,
    keys::Delegations,
    organisation::{Organisation, Policy, SelectorTemplate, Senders},
};

fn loaded(change: impl FnOnce(&mut Loaded)) -> Loaded {
    let organisation = |id: &str, domain: &str| {
        let id = id.parse().unwrap();
        Arc::new(Organisation {
            name: "Voorbeeld".into(),
            domains: vec![domain.parse().unwrap()],
            parked: Vec::new(),
            incoming: Vec::new(),
            contact: None,
            selector: SelectorTemplate::new("{org}", &id).unwrap(),
            algorithms: vec![Algorithm::RsaSha256],
            senders: None,
            delegations: Delegations::default(),
            language: crate::words::Language::default(),
            policy: Policy::default(),
            id,
        })
    };
    let mut loaded = Loaded {
        settings: Settings::default(),
        organisations: vec![organisation("a", "a.nl"), organisation("b", "b.nl")],
        warnings: Vec::new(),
        mistakes: Mistakes::default(),
    };
    change(&mut loaded);
    loaded
}

fn lines(changes: &[Change]) -> Vec<String> {
    changes.iter().map(ToString::to_string).collect()
}

#[test]
fn nothing_changed() {
    let same = loaded(|_| {});
    assert_eq!(changes(&same, &same), []);
}

#[test]
fn each_change_has_its_line() {
    let old = loaded(|loaded| {
        let first = Arc::make_mut(&mut loaded.organisations[0]);
        first.parked = ["p.nl", "q.nl"].map(|name| name.parse().unwrap()).into();
    });
    let new = loaded(|loaded| {
        loaded.settings.limits.idle = Duration::from_mins(5);
        loaded.settings.policy.hazard = Action::Reject;
        let [first, second] = &mut loaded.organisations[..] else {
            panic!("two organisations")
        };
        let first = Arc::make_mut(first);
        first.domains = vec!["c.nl".parse().unwrap()];
        // In another order they are the same.
        first.parked = ["q.nl", "p.nl"].map(|name| name.parse().unwrap()).into();
        first.senders = Some(Senders::default());
        first.policy.hazard = Action::Tempfail;
        Arc::make_mut(second).id = "x".parse().unwrap();
    });
    let found = changes(&old, &new);
    let expected = [
        "limits.idle: 2h 10s -> 5m",
        "policy.hazard: accept -> reject",
        "organisation b removed",
        "domains of a: +c.nl -a.nl",
        "senders of a: any outbound mail -> logins none, networks none, listeners none",
        "policy.hazard of a: accept -> tempfail",
        "organisation x added: b.nl",
    ];
    assert_eq!(lines(&found), expected);
    assert!(found.iter().all(|change| change.effect == Effect::AtOnce));
}

#[test]
fn what_needs_a_restart() {
    let old = loaded(|_| {});
    let new = loaded(|loaded| {
        loaded.settings.keystore_path = "/keys".into();
        loaded.settings.listeners.push(ListenerSettings {
            name: "news".into(),
            socket: Socket::Inherited("news".into()),
            allow_users: Some(vec![AllowedUser {
                name: "postfix".into(),
                number: 101,
            }]),
            outbound: Outbound::All,
            observe: true,
        });
        loaded.settings.log.filter = LogFilter::new("debug").unwrap();
        loaded.settings.log.format = LogFormat::Json;
    });
    let expected = [
        "keystore.path: /var/lib/zegel/keys -> /keys",
        "listener news allow_users added: postfix (101)",
        "listener news observe added: true",
        "listener news outbound added: all",
        "listener news socket added: fd:news",
        "log.filter: info -> debug",
        "log.format: text -> json",
    ];
    let found = changes(&old, &new);
    assert_eq!(lines(&found), expected);
    assert!(found.iter().all(|change| change.effect != Effect::AtOnce));
    let removed = changes(&new, &old);
    assert_eq!(
        removed[1].to_string(),
        "listener news allow_users removed (was postfix (101))"
    );
}

/// What is written in `zegel.toml` (of a listener: in its table), how the line of that
/// change begins, and when it takes effect.
const SETTINGS: &[(&str, &str, Effect)] = {
    use Effect::{AtOnce, AtStartOfBoth, AtStartOfKeeper, AtStartOfSigner};
    &[
        (
            "keystore.path = \"/k\"",
            "keystore.path: /var/lib/zegel/keys -> /k",
            AtStartOfBoth,
        ),
        (
            "keystore.mark = \"/m\"",
            "keystore.mark: beside the keystore -> /m",
            AtStartOfBoth,
        ),
        (
            "keystore.sealing_keys = [\"/k\", \"zegel-sealing\"]",
            "keystore.sealing_keys: none -> /k zegel-sealing",
            AtOnce,
        ),
        (
            "socket = \"unix:/s\"",
            "listener relay socket: unix:/run/zegel/relay.sock -> unix:/s",
            AtStartOfSigner,
        ),
        (
            "mode = \"0600\"",
            "listener relay mode: 0660 -> 0600",
            AtStartOfSigner,
        ),
        (
            "group = \"g\"",
            "listener relay group: that of the process -> g",
            AtStartOfSigner,
        ),
        (
            "outbound = \"all\"",
            "listener relay outbound: authenticated true, networks 127.0.0.0/8 ::1/128 -> all",
            AtStartOfSigner,
        ),
        (
            "signing.canonicalization = \"simple/simple\"",
            "signing.canonicalization: relaxed/relaxed -> simple/simple",
            AtOnce,
        ),
        (
            "signing.expire = \"1d\"",
            "signing.expire: off -> 1day",
            AtOnce,
        ),
        (
            "signing.headers.sign = [\"x-a\"]",
            "signing.headers.sign: none -> x-a",
            AtOnce,
        ),
        (
            "signing.headers.oversign = [\"from\"]",
            "signing.headers.oversign: from to cc subject reply-to mime-version content-type \
             content-transfer-encoding content-disposition -> from",
            AtOnce,
        ),
        (
            "signing.headers.oversign_if_present = [\"x-b\"]",
            "signing.headers.oversign_if_present: ",
            AtOnce,
        ),
        (
            "policy.unknown_domain = \"reject\"",
            "policy.unknown_domain: accept -> reject",
            AtOnce,
        ),
        (
            "policy.bad_from = \"reject\"",
            "policy.bad_from: accept -> reject",
            AtOnce,
        ),
        (
            "policy.unauthorised_sender = \"reject\"",
            "policy.unauthorised_sender: accept -> reject",
            AtOnce,
        ),
        (
            "policy.suspended = \"accept\"",
            "policy.suspended: tempfail -> accept",
            AtOnce,
        ),
        (
            "policy.awaiting_key = \"tempfail\"",
            "policy.awaiting_key: accept -> tempfail",
            AtOnce,
        ),
        (
            "policy.parked_domain = \"reject\"",
            "policy.parked_domain: accept -> reject",
            AtOnce,
        ),
        (
            "policy.signing_failure = \"accept\"",
            "policy.signing_failure: tempfail -> accept",
            AtOnce,
        ),
        (
            "policy.hazard = \"reject\"",
            "policy.hazard: accept -> reject",
            AtOnce,
        ),
        (
            "limits.connections = 5",
            "limits.connections: 1000 -> 5",
            AtOnce,
        ),
        ("limits.idle = \"5m\"", "limits.idle: 2h 10s -> 5m", AtOnce),
        (
            "limits.message = \"1m\"",
            "limits.message: 5m -> 1m",
            AtOnce,
        ),
        (
            "limits.header_bytes = 4096",
            "limits.header_bytes: 1048576 -> 4096",
            AtOnce,
        ),
        (
            "limits.header_fields = 20",
            "limits.header_fields: 2000 -> 20",
            AtOnce,
        ),
        (
            "limits.header_memory = 1048576",
            "limits.header_memory: 134217728 -> 1048576",
            AtOnce,
        ),
        (
            "limits.commands = 1000",
            "limits.commands: 1000000 -> 1000",
            AtOnce,
        ),
        (
            "limits.command_bytes = 1048576",
            "limits.command_bytes: 268435456 -> 1048576",
            AtOnce,
        ),
        (
            "http.listen = \"off\"",
            "http.listen: 127.0.0.1:9465 -> off",
            AtStartOfSigner,
        ),
        (
            "http.organisations = 5",
            "http.organisations: 1000 -> 5",
            AtStartOfBoth,
        ),
        (
            "http.page = false",
            "http.page: true -> false",
            AtStartOfSigner,
        ),
        (
            "log.format = \"json\"",
            "log.format: text -> json",
            AtStartOfBoth,
        ),
        (
            "log.filter = \"warn\"",
            "log.filter: info -> warn",
            AtStartOfBoth,
        ),
        (
            "keeper.resolvers = [\"127.0.0.1:53\"]",
            "keeper.resolvers: system -> 127.0.0.1:53",
            AtOnce,
        ),
        (
            "keeper.local_servers = true",
            "keeper.local_servers: false -> true",
            AtOnce,
        ),
        (
            "keeper.private_servers = false",
            "keeper.private_servers: true -> false",
            AtOnce,
        ),
        (
            "keeper.check_every = \"2h\"",
            "keeper.check_every: 1h -> 2h",
            AtOnce,
        ),
        (
            "keeper.rotate_every = \"100d\"",
            "keeper.rotate_every: ",
            AtOnce,
        ),
        (
            "keeper.lead_time = \"1d\"",
            "keeper.lead_time: 30days -> 1day",
            AtOnce,
        ),
        (
            "keeper.retire_grace = \"30d\"",
            "keeper.retire_grace: 14days -> 30days",
            AtOnce,
        ),
        ("keeper.settle = \"1h\"", "keeper.settle: 10m -> 1h", AtOnce),
        (
            "keeper.drain = \"1d\"",
            "keeper.drain: 7days -> 1day",
            AtOnce,
        ),
        (
            "keeper.relay_addresses = [\"192.0.2.1\"]",
            "keeper.relay_addresses: none -> 192.0.2.1",
            AtOnce,
        ),
        (
            "keeper.http = \"127.0.0.1:1\"",
            "keeper.http: 127.0.0.1:9466 -> 127.0.0.1:1",
            AtStartOfKeeper,
        ),
        (
            "keeper.lead = false",
            "keeper.lead: true -> false",
            AtStartOfKeeper,
        ),
        (
            "database.url = \"postgresql://zegel@db.example/zegel\"",
            "database: none -> postgresql://zegel@db.example/zegel (password_file none, tls verify, \
             ca_file none, relay by its host, poll_every 5s)",
            AtStartOfKeeper,
        ),
        (
            "handover.spf = \"include:_spf.relay.example\"",
            "handover.spf added: include:_spf.relay.example",
            AtOnce,
        ),
        (
            "handover.rua = \"dmarc@relay.example\"",
            "handover.rua added: dmarc@relay.example",
            AtOnce,
        ),
        (
            "hooks.command = [\"/usr/local/bin/on-zegel\"]",
            "hooks.command: none -> /usr/local/bin/on-zegel",
            AtOnce,
        ),
        ("hooks.timeout = \"1m\"", "hooks.timeout: 30s -> 1m", AtOnce),
        (
            "reports.state = \"/srv/r\"",
            "reports.state: /var/lib/zegel/reports -> /srv/r",
            AtOnce,
        ),
        (
            "reports.maildir = \"/srv/m\"",
            "reports.maildir: none -> /srv/m",
            AtOnce,
        ),
        (
            "reports.address = \"mailto:dmarc@relay.example\"",
            "reports.address: none -> dmarc@relay.example",
            AtOnce,
        ),
        (
            "reports.authserv_id = \"MX.relay.example\"",
            "reports.authserv_id: none -> mx.relay.example",
            AtOnce,
        ),
        (
            "reports.keep = \"365d\"",
            "reports.keep: 400d -> 365d",
            AtOnce,
        ),
        (
            "reports.keep_addresses = \"1d\"",
            "reports.keep_addresses: 90d -> 1d",
            AtOnce,
        ),
        (
            "reports.keep_refused = \"1d\"",
            "reports.keep_refused: 30d -> 1d",
            AtOnce,
        ),
        (
            "reports.limits.message = \"1M\"",
            "reports.limits.message: 26214400 -> 1048576",
            AtOnce,
        ),
        (
            "reports.limits.expanded = \"1M\"",
            "reports.limits.expanded: 268435456 -> 1048576",
            AtOnce,
        ),
        (
            "reports.limits.records = 9",
            "reports.limits.records: 500000 -> 9",
            AtOnce,
        ),
        (
            "reports.limits.entries = 9",
            "reports.limits.entries: 100 -> 9",
            AtOnce,
        ),
        (
            "reports.limits.nesting = 9",
            "reports.limits.nesting: 3 -> 9",
            AtOnce,
        ),
        ("dmarc.none_days = 60", "dmarc.none_days: 56 -> 60", AtOnce),
        (
            "dmarc.quarantine_test_days = 7",
            "dmarc.quarantine_test_days: 14 -> 7",
            AtOnce,
        ),
        (
            "dmarc.quarantine_days = 28",
            "dmarc.quarantine_days: 30 -> 28",
            AtOnce,
        ),
        (
            "dmarc.reject_test_days = 21",
            "dmarc.reject_test_days: 14 -> 21",
            AtOnce,
        ),
        ("dmarc.reporters = 5", "dmarc.reporters: 3 -> 5", AtOnce),
        (
            "dmarc.unknown_messages = 50",
            "dmarc.unknown_messages: 20 -> 50",
            AtOnce,
        ),
        (
            "dmarc.unknown_share = \"1%\"",
            "dmarc.unknown_share: 0.1% -> 1%",
            AtOnce,
        ),
        (
            "dmarc.aligned_share = \"98.5%\"",
            "dmarc.aligned_share: 99% -> 98.5%",
            AtOnce,
        ),
        (
            "dmarc.spf_only_share = \"5%\"",
            "dmarc.spf_only_share: 2% -> 5%",
            AtOnce,
        ),
        (
            "dmarc.list_messages = 1",
            "dmarc.list_messages: 10 -> 1",
            AtOnce,
        ),
        (
            "dmarc.failed_messages = 1",
            "dmarc.failed_messages: 10 -> 1",
            AtOnce,
        ),
        (
            "dmarc.failed_share = \"0%\"",
            "dmarc.failed_share: 2% -> 0%",
            AtOnce,
        ),
        (
            "dmarc.replay_factor = 5",
            "dmarc.replay_factor: 3 -> 5",
            AtOnce,
        ),
        (
            "dmarc.replay_messages = 100",
            "dmarc.replay_messages: 1000 -> 100",
            AtOnce,
        ),
        (
            "dmarc.confirm = true",
            "dmarc.confirm: false -> true",
            AtOnce,
        ),
        (
            "keeper.signers = [\"http://127.0.0.1:1\", \"unix:/run/h.sock\"]",
            "keeper.signers: http.listen -> http://127.0.0.1:1 unix:/run/h.sock",
            AtStartOfKeeper,
        ),
    ]
};

#[test]
fn each_setting_takes_effect_when_it_should() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("zegel.toml");
    let load = |text: &str| {
        let listener = ["socket = ", "mode = ", "group = ", "outbound = "];
        let text = if listener.iter().any(|key| text.starts_with(key)) {
            let socket = "socket = \"unix:/run/zegel/relay.sock\"\n";
            let socket = if text.starts_with("socket") {
                ""
            } else {
                socket
            };
            format!("[[listener]]\nname = \"relay\"\n{socket}{text}")
        } else {
            text.to_owned()
        };
        fs::write(&file, &text).unwrap();
        load_with(&file, []).unwrap_or_else(|problems| panic!("{text}: {problems}"))
    };
    let old = load("");
    let mut left = described(&old.settings);
    for (text, line, effect) in SETTINGS {
        let found = changes(&old, &load(text));
        let [change] = &found[..] else {
            panic!("{text}: {found:?}")
        };
        assert!(change.to_string().starts_with(line), "{change}");
        assert_eq!(change.effect, *effect, "{change}");
        left.remove(&change.key);
    }
    let left: Vec<String> = left.into_keys().collect();
    assert_eq!(left, [""; 0], "settings without a line in SETTINGS");
}
