//! Observations that no test bed makes.

use std::{
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::*;
use crate::{
    dkim::key::{Algorithm, generate_pem},
    dns::{
        delegation::Delegation,
        exchange::Silence,
        observation::{Link, ResolverAnswer, ServerAnswer, ZoneSeen},
    },
};

const TTL: Duration = Duration::from_mins(5);
const NEGATIVE: Duration = Duration::from_mins(15);
const FOUR: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const SIX: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));

fn key() -> PublicKey {
    let pem = generate_pem(Algorithm::Ed25519Sha256, 0).expect("a key");
    PublicKey::from_pem(pem.as_bytes()).expect("its public half")
}

fn text(value: &str) -> Outcome {
    Outcome::Texts {
        texts: vec![Text(vec![value.as_bytes().to_vec()])],
        ttl: TTL,
    }
}

fn observation(answers: Vec<(&str, Option<IpAddr>, Outcome)>) -> Observation {
    let name = "s1._domainkey.voorbeeld.nl".to_owned();
    let answers = answers
        .into_iter()
        .map(|(server, address, outcome)| ServerAnswer {
            server: server.to_owned(),
            address,
            outcome,
        });
    let link = Link {
        name: name.clone(),
        zone: Ok(ZoneSeen {
            apex: "voorbeeld.nl".to_owned(),
            negative_ttl: NEGATIVE,
            delegation: Delegation::Agrees,
        }),
        answers: answers.collect(),
    };
    Observation {
        name,
        links: vec![link],
        endless: false,
        resolvers: Vec::new(),
        other_types: Vec::new(),
        doubled: None,
    }
}

fn codes(findings: &[Finding]) -> Vec<(Code, Severity)> {
    let both = |finding: &Finding| (finding.code, finding.severity);
    findings.iter().map(both).collect()
}

const EVERYWHERE: Sight = Sight::Everywhere {
    ttl: TTL,
    negative_ttl: NEGATIVE,
};

#[test]
fn an_address_without_a_route_does_not_count_when_its_server_answered() {
    let key = key();
    let no_route = || Outcome::Silent(Silence::NoRoute);
    let right = || text(&key.record());
    let both = observation(vec![
        ("ns1", Some(FOUR), right()),
        ("ns1", Some(SIX), no_route()),
    ]);
    let (sight, findings) = judge(&both, &key);
    assert_eq!(sight, EVERYWHERE);
    assert_eq!(codes(&findings), [(Code::Unreachable, Severity::Warning)]);

    let other = observation(vec![
        ("ns1", Some(FOUR), right()),
        ("ns2", Some(SIX), no_route()),
    ]);
    let (sight, findings) = judge(&other, &key);
    assert_eq!(sight, Sight::Unknown);
    assert_eq!(codes(&findings), [(Code::Unreachable, Severity::Act)]);
}

#[test]
fn who_cannot_be_asked_freezes_everything() {
    let key = key();
    for outcome in [
        Outcome::Failure("SERVFAIL".to_owned()),
        Outcome::NotAuthoritative,
        Outcome::Silent(Silence::TimedOut),
        Outcome::Silent(Silence::Broken(ErrorKind::ConnectionRefused)),
    ] {
        for other in [text(&key.record()), Outcome::NoSuchName, text("nonsense")] {
            let answers = vec![
                ("ns1", Some(FOUR), other),
                ("ns2", Some(SIX), outcome.clone()),
            ];
            assert_eq!(judge(&observation(answers), &key).0, Sight::Unknown);
        }
    }
    assert_eq!(judge(&observation(vec![]), &key).0, Sight::Unknown);
    // Nobody can ask a server without an address.
    let answers = vec![
        ("ns1", Some(FOUR), text(&key.record())),
        ("ns2", None, Outcome::NoAddress),
    ];
    assert_eq!(judge(&observation(answers), &key).0, EVERYWHERE);
    let answers = vec![("ns2", None, Outcome::NoAddress)];
    assert_eq!(judge(&observation(answers), &key).0, Sight::Unknown);
}

#[test]
fn what_differs_is_never_everywhere() {
    let key = key();
    let right = || text(&key.record());
    let revoked = || text("v=DKIM1; k=ed25519; p=");
    let other = || text("v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
    for (one, two, expected) in [
        (right(), Outcome::NoText, Sight::Partly),
        (right(), revoked(), Sight::Partly),
        (revoked(), Outcome::NoSuchName, Sight::Partly),
        (right(), other(), Sight::Wrong),
        (other(), Outcome::NoSuchName, Sight::Wrong),
        (revoked(), revoked(), Sight::RevokedEverywhere),
        (
            Outcome::NoText,
            Outcome::NoSuchName,
            Sight::Absent {
                negative_ttl: NEGATIVE,
            },
        ),
    ] {
        let answers = vec![("ns1", Some(FOUR), one), ("ns2", Some(FOUR), two)];
        let observation = observation(answers);
        let (sight, findings) = judge(&observation, &key);
        assert_eq!(sight, expected, "{observation:?}");
        assert!(!findings.is_empty());
    }
}

#[test]
fn resolvers_may_lag_but_not_all_fail() {
    let key = key();
    let seen_by = |outcomes: Vec<Outcome>| {
        let mut observation = observation(vec![("ns1", Some(FOUR), text(&key.record()))]);
        let resolver = |outcome| ResolverAnswer {
            address: "192.0.2.53:53".parse().expect("an address"),
            outcome,
        };
        observation.resolvers = outcomes.into_iter().map(resolver).collect();
        let (sight, findings) = judge(&observation, &key);
        (sight, codes(&findings))
    };
    let failed = || Outcome::Failure("SERVFAIL".to_owned());
    assert_eq!(seen_by(vec![text(&key.record())]), (EVERYWHERE, vec![]));
    let behind = vec![(Code::ResolverBehind, Severity::Note)];
    assert_eq!(seen_by(vec![Outcome::NoSuchName]), (EVERYWHERE, behind));
    let servfail = vec![(Code::Servfail, Severity::Act)];
    assert_eq!(seen_by(vec![failed()]), (Sight::Unknown, servfail.clone()));
    let one_of_two = vec![failed(), text(&key.record())];
    assert_eq!(seen_by(one_of_two), (EVERYWHERE, servfail));
}

#[test]
fn a_key_of_nobody_is_reported_unless_it_is_revoked() {
    let codes_of = |outcome| {
        let answers = vec![("ns1", Some(FOUR), outcome)];
        codes(&judge_unknown(&observation(answers)))
    };
    let unknown = vec![(Code::UnknownSelector, Severity::Warning)];
    assert_eq!(codes_of(text(&key().record())), unknown);
    assert_eq!(codes_of(text("v=DKIM1; p=")), vec![]);
    assert_eq!(codes_of(Outcome::NoSuchName), vec![]);
}
