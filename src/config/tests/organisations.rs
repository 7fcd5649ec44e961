//! Organisations: what is read, and each problem.

use super::{NONE, expect_problem, good, problems, short};
use crate::organisation::{Action, Client, Ground, Sender};

const SETTINGS: (&str, &str) = (
    "zegel.toml",
    "policy.hazard = \"reject\"\n[[listener]]\nname = \"newsletter\"\nsocket = \"fd:news\"\n",
);

#[test]
fn an_organisation_is_what_is_written() {
    let text = r#"
        domains = ["Bücher.Example.", "a.nl"]
        parked = ["p.nl"]
        algorithms = ["ed25519-sha256", "rsa-sha256"]
        selector = "s{year}.{org}"
        [senders]
        auth = ["crm"]
        listeners = ["newsletter"]
        [policy]
        awaiting_key = "tempfail"
    "#;
    let files = [
        SETTINGS,
        ("orgs.d/b-1.toml", text),
        ("orgs.d/a.toml", "domains = [\"b.nl\"]"),
    ];
    let organisations = good(&files, NONE).organisations;
    let [other, one] = &organisations[..] else {
        panic!("there are two")
    };
    assert_eq!((other.id.as_str(), one.id.as_str()), ("a", "b-1"));
    assert_eq!(one.name, "b-1");
    assert_eq!(one.domains[0].as_str(), "xn--bcher-kva.example");
    assert_eq!(one.parked[0].as_str(), "p.nl");
    assert_eq!(one.algorithms.len(), 2);
    let day = jiff::civil::date(2026, 8, 1);
    assert_eq!(one.selector.render(day).as_str(), "s2026.b-1");
    assert_eq!(other.selector.render(day).as_str(), "a-2026b");
    let sender = |login, listener| Sender {
        login,
        client: Client::Unknown,
        listener,
    };
    let senders = one.senders.as_ref().unwrap();
    let ground = |login, listener| senders.ground(&sender(login, listener));
    assert_eq!(ground(Some("crm"), "relay"), Some(Ground::Login));
    assert_eq!(ground(None, "newsletter"), Some(Ground::Listener));
    assert_eq!(ground(None, "relay"), None);
    assert!(other.senders.is_none());
    // Its own policy, over that of zegel.toml, over the built-in one.
    assert_eq!(one.policy.awaiting_key, Action::Tempfail);
    assert_eq!(one.policy.hazard, Action::Reject);
    assert_eq!(one.policy.signing_failure, Action::Tempfail);
    assert_eq!(other.policy.awaiting_key, Action::Accept);
}

#[test]
fn an_organisation_may_have_only_parked_domains() {
    let organisation = ("orgs.d/a.toml", "domains = []\nparked = [\"a.nl\"]");
    assert_eq!(good(&[SETTINGS, organisation], NONE).organisations.len(), 1);
}

/// What comes after the domains, how the problem begins, and what it says further on.
const CASES: &[(&str, &str, &str)] = &[
    ("nam = \"A\"", "a.toml:2: nam: unknown key", "mean name?"),
    ("name = 5", "a.toml:2: name: this is a number", "in quotes"),
    ("name = \"A\\nB\"", "a.toml:2: name", "on one line"),
    (
        "parked = [\n\"b.nl\",\n\"a.nl\"]",
        "a.toml:4: parked: a.nl is also in domains of",
        "a.toml:1",
    ),
    (
        "parked = [\"*.b.nl\"]",
        "a.toml:2: parked",
        "exactly the domains",
    ),
    (
        "parked = [\"info@b.nl\"]",
        "a.toml:2: parked",
        "after the @",
    ),
    (
        "parked = [\"https://b.nl/\"]",
        "a.toml:2: parked",
        "only the name",
    ),
    (
        "parked = [\"b_c.nl\"]",
        "a.toml:2: parked",
        "such as voorbeeld.nl",
    ),
    (
        "parked = [5]",
        "a.toml:2: parked: this is a number",
        "in quotes",
    ),
    ("contact = \"dns\"", "a.toml:2: contact", "dns@voorbeeld.nl"),
    (
        "language = \"de\"",
        "a.toml:2: language",
        "write one of: nl, en",
    ),
    (
        "contact = \"<dns@a.nl>\"",
        "a.toml:2: contact",
        "dns@voorbeeld.nl",
    ),
    (
        "selector = \"{month}\"",
        "a.toml:2: selector",
        "{org}, {year} and {half}",
    ),
    ("selector = \"a b\"", "a.toml:2: selector", "hyphens"),
    (
        "algorithms = []",
        "a.toml:2: algorithms",
        "[\"rsa-sha256\"]",
    ),
    (
        "algorithms = [\"rsa-sha1\"]",
        "a.toml:2: algorithms",
        "RFC 8301",
    ),
    (
        "algorithms = [\"rsa\"]",
        "a.toml:2: algorithms",
        "rsa-sha256, ed25519-sha256",
    ),
    (
        "algorithms = [\"rsa-sha256\",\n\"rsa-sha256\"]",
        "a.toml:3: algorithms",
        "name it once",
    ),
    (
        "[senders]",
        "a.toml:2: senders: by this table nobody",
        "take [senders] out",
    ),
    (
        "[senders]\nauth = []",
        "a.toml:2: senders: by this table nobody",
        "fill in",
    ),
    (
        "[senders]\nauth = [\"\"]",
        "a.toml:3: senders.auth",
        "fill it in",
    ),
    (
        "[senders]\nnetworks = [\"10.20.0.0\",\n\"10.20.1.0/16\"]",
        "a.toml:4: senders.networks",
        "10.20.0.0/16",
    ),
    (
        "[senders]\nnetworks = [\"10.20.*\"]",
        "a.toml:3: senders.networks",
        "2001:db8::/32",
    ),
    (
        "[senders]\nlisteners = [\"newsleter\"]",
        "a.toml:3: senders.listeners",
        "mean newsletter?",
    ),
    (
        "[senders]\nlisteners = [\"submission\"]",
        "a.toml:3: senders.listeners",
        "zegel.toml has: newsletter",
    ),
    (
        "[policy]\nhazard = \"drop\"",
        "a.toml:3: policy.hazard",
        "accept, tempfail, reject",
    ),
    (
        "[policy]\nhazzard = \"accept\"",
        "a.toml:3: policy.hazzard",
        "mean hazard?",
    ),
    (
        "senders = 5",
        "a.toml:2: senders: this is a number",
        "as a table",
    ),
    ("domains = [\"b.nl\"]", "a.toml:2: ", "correct the TOML"),
    ("[senders", "a.toml:2: ", "correct the TOML"),
    (
        "selector = \"{org}xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"",
        "a.toml:2: selector",
        "longer than 59",
    ),
];

#[test]
fn each_problem_of_an_organisation() {
    let with = |rest: &str| format!("domains = [\"a.nl\"]\n{rest}");
    for (rest, beginning, words) in CASES {
        expect_problem(
            &[SETTINGS, ("orgs.d/a.toml", &with(rest))],
            beginning,
            words,
        );
    }
    let label = "a".repeat(60);
    let long_domain = format!("domains = [\"{label}.{label}.{label}.{label}.nl\"]");
    for (text, beginning, words) in [
        ("", "a.toml: the organisation has no domains", "domains = ["),
        (
            "domains = []",
            "a.toml:1: domains: the organisation",
            "domains = [",
        ),
        (
            "domains = \"a.nl\"",
            "a.toml:1: domains: this is a text",
            "domains = [",
        ),
        (
            "domains = [\"a.nl\",\n\"A.nl.\"]",
            "a.toml:2: domains: a.nl is also in domains of",
            "a.toml:1",
        ),
        (
            &long_domain,
            "a.toml:1: domains: with the selector",
            "shorter selector",
        ),
    ] {
        expect_problem(&[SETTINGS, ("orgs.d/a.toml", text)], beginning, words);
    }
}

#[test]
fn a_domain_in_two_files_is_reported_with_both() {
    let files = [
        SETTINGS,
        ("orgs.d/a.toml", "domains = [\"x.nl\",\n\"bücher.example\"]"),
        (
            "orgs.d/b.toml",
            "\nparked = [\"xn--bcher-kva.example\"]\ndomains = [\"b.nl\"]",
        ),
    ];
    let beginning = "b.toml:2: parked: xn--bcher-kva.example is also in domains of";
    expect_problem(&files, beginning, "orgs.d/a.toml:2; take it out of one");
}

#[test]
fn everything_is_reported_at_once() {
    let files = [
        (
            "zegel.toml",
            "colour = 1\n[limits]\nidle = \"x\"\nidel = 1\n[log]\nformt = 1\n",
        ),
        (
            "orgs.d/a.toml",
            "domains = [\"a.nl\", \"?\"]\nnam = 1\nparkd = 2\n",
        ),
        ("orgs.d/B.toml", "domains = [\"a.nl\"]\nx = 1\n"),
        ("orgs.d/c.toml", "domains = [\n= 5\n"),
    ];
    let found = problems(&files, &[("ZEGEL__HTTP__LISTN", "off")]);
    let lines: Vec<String> = found.iter().map(short).collect();
    for beginning in [
        "environment: ZEGEL__HTTP__LISTN: unknown key",
        "zegel.toml:1: colour: unknown key",
        "zegel.toml:3: limits.idle",
        "zegel.toml:4: limits.idel: unknown key",
        "zegel.toml:6: log.formt: unknown key",
        "a.toml:1: domains: \"?\"",
        "a.toml:2: nam: unknown key",
        "a.toml:3: parkd: unknown key",
        "B.toml: \"B\" is no id",
        "B.toml:2: x: unknown key",
        "a.toml:1: domains: a.nl is also in domains of",
        "c.toml:2",
    ] {
        let count = lines
            .iter()
            .filter(|line| line.starts_with(beginning))
            .count();
        assert_eq!(count, 1, "{beginning}\n{lines:#?}");
    }
    assert_eq!(lines.len(), 12, "{lines:#?}");
}

#[test]
fn organisations_are_checked_when_the_settings_are_broken() {
    let files = [
        ("zegel.toml", "[limits"),
        (
            "orgs.d/a.toml",
            "domains = [\"a.nl\"]\nsenders.listeners = [\"unknown\"]\nx = 1",
        ),
    ];
    let lines: Vec<String> = problems(&files, NONE).iter().map(short).collect();
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(lines[0].starts_with("zegel.toml:1: "), "{}", lines[0]);
    assert!(lines[1].starts_with("a.toml:3: x"), "{}", lines[1]);
}
