//! What is seen of a key record, on real name servers.

mod support;

use std::time::Duration;

use support::name_world::World;
use zegel::config::Resolvers;
use zegel::dkim::key::{Algorithm, PublicKey, generate_pem};
use zegel::dns::{
    Code, Finding, Limits, Observation, Observer, Outcome, Reach, RelayPart, Round, Silence, judge,
    judge_parked, judge_sending,
};
use zegel::keys::Sight;

const EVERYWHERE: Sight = Sight::Everywhere {
    ttl: Duration::from_mins(1),
    negative_ttl: Duration::from_mins(1),
};
const ABSENT: Sight = Sight::Absent {
    negative_ttl: Duration::from_mins(1),
};

fn new_key() -> PublicKey {
    let pem = generate_pem(Algorithm::RsaSha256, 2048).expect("a key");
    PublicKey::from_pem(pem.as_bytes()).expect("its public half")
}

fn round(world: &World) -> Round {
    let (local, private) = (true, false);
    round_within(world, Reach { local, private })
}

fn round_within(world: &World, reach: Reach) -> Round {
    let resolvers = Resolvers::Addresses(vec![world.resolver.address()]);
    let limits = Limits {
        reach,
        ..Limits::default()
    };
    let observer = Observer::new(&resolvers, limits).expect("an observer");
    observer.round()
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().expect("a runtime");
    runtime.block_on(future)
}

fn look(world: &World, name: &str, key: &PublicKey) -> (Sight, Vec<Finding>, Observation) {
    let observation = run(round(world).observe(name));
    let (sight, findings) = judge(&observation, key);
    (sight, findings, observation)
}

/// A TXT in the form of a zone file, its value in strings of at most 255 octets.
fn txt(value: &str) -> String {
    let escaped = |part: &[u8]| {
        let text = String::from_utf8_lossy(part);
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
    };
    let strings: Vec<_> = value.as_bytes().chunks(255).map(escaped).collect();
    format!("TXT {}", strings.join(" "))
}

fn codes(findings: &[Finding]) -> Vec<Code> {
    let mut codes: Vec<_> = findings.iter().map(|finding| finding.code).collect();
    codes.sort_unstable();
    codes.dedup();
    codes
}

#[test]
fn wrong_records_give_their_finding_and_the_right_sight() {
    let world = World::of_two_primaries();
    let key = new_key();
    let cases = wrong_records(&key);
    for (word, records, ..) in &cases {
        world.set_both(&format!("{word}.example"), records);
    }
    for (word, _, expected, sight) in &cases {
        let name = format!("s1._domainkey.{word}.example");
        let (seen, findings, observation) = look(&world, &name, &key);
        assert_eq!(
            codes(&findings),
            *expected,
            "{word}: {findings:?} {observation:?}"
        );
        assert_eq!(seen, *sight, "{word}: {findings:?}");
        assert!(
            findings
                .iter()
                .all(|finding| finding.domain == format!("{word}.example"))
        );
    }
}

/// A word, the records, and what is expected of them.
type Case = (&'static str, String, Vec<Code>, Sight);

fn wrong_records(key: &PublicKey) -> Vec<Case> {
    let right = key.record();
    let name = "s1._domainkey";
    let one = |value: &str| format!("{name} {}\n", txt(value));
    let other = new_key().record();
    let (before, p) = right.split_once("p=").expect("a key");
    let wrong = Sight::Wrong;
    let revoked = Sight::RevokedEverywhere;
    vec![
        ("right", one(&right), vec![], EVERYWHERE),
        ("none", String::new(), vec![Code::Missing], ABSENT),
        (
            "two",
            one(&right) + &one("hello"),
            vec![Code::TwoRecords],
            wrong,
        ),
        ("cut", one(&right[..255]), vec![Code::Truncated], wrong),
        (
            "quotes",
            one(&format!("\"{right}\"")),
            vec![Code::Quoting],
            wrong,
        ),
        (
            "inner",
            one(&format!("{before}p={}\" \"{}", &p[..200], &p[200..])),
            vec![Code::Quoting],
            wrong,
        ),
        (
            "slash",
            one(&right.replace(';', "\\;")),
            vec![Code::Quoting],
            wrong,
        ),
        (
            "blanks",
            one(&format!("{before}p={} {}", &p[..200], &p[200..])),
            vec![Code::Blanks],
            EVERYWHERE,
        ),
        (
            "list",
            one(&format!("{before}s=email:tlsrpt; p={p}")),
            vec![Code::PartlyRead],
            wrong,
        ),
        (
            "type",
            format!("{name} A 192.0.2.1\n"),
            vec![Code::WrongType],
            ABSENT,
        ),
        ("other", one(&other), vec![Code::Mismatch], wrong),
        (
            "empty",
            one("v=DKIM1; k=rsa; p="),
            vec![Code::Revoked],
            revoked,
        ),
        (
            "testing",
            one(&format!("{right}; t=y")),
            vec![Code::Testing],
            EVERYWHERE,
        ),
        (
            "circle",
            format!("{name} CNAME b\nb CNAME {name}\n"),
            vec![Code::AliasLoop],
            wrong,
        ),
        (
            "nowhere",
            format!("{name} CNAME b\n"),
            vec![Code::DanglingAlias],
            ABSENT,
        ),
        (
            "doubled",
            format!("{name}.doubled.example {}\n", txt(&right)),
            vec![Code::DoubledName],
            ABSENT,
        ),
        (
            "nonsense",
            one("hello \u{1b}[31m"),
            vec![Code::Malformed],
            wrong,
        ),
    ]
}

#[test]
fn one_server_that_differs_is_noticed() {
    let world = World::of_two_primaries();
    let key = new_key();
    let record = format!("s1._domainkey {}\n", txt(&key.record()));
    let name = "s1._domainkey.one.example";
    world.set_both("one.example", &record);
    assert_eq!(look(&world, name, &key).0, EVERYWHERE);

    world.secondary.set_zone("one.example", &world.servers());
    let (sight, findings, _) = look(&world, name, &key);
    assert_eq!(sight, Sight::Partly);
    let expected = [Code::Missing, Code::ServersDisagree, Code::NxdomainAtOne];
    assert_eq!(codes(&findings), expected, "{findings:?}");

    world.secondary.break_zone("one.example");
    let (sight, findings, _) = look(&world, name, &key);
    assert_eq!(sight, Sight::Unknown);
    assert_eq!(codes(&findings), [Code::Servfail], "{findings:?}");

    world.primary.break_zone("one.example");
    world.resolver.flush("one.example");
    let (sight, findings, _) = look(&world, name, &key);
    assert_eq!(sight, Sight::Unknown);
    assert_eq!(codes(&findings), [Code::Servfail], "{findings:?}");
}

#[test]
fn a_lagging_secondary_shows_until_it_has_caught_up() {
    let world = World::start();
    let key = new_key();
    let name = "s1._domainkey.lag.example";
    world.set_zone("lag.example", "");
    world.transfer("lag.example");
    assert_eq!(look(&world, name, &key).0, ABSENT);

    world.set_zone(
        "lag.example",
        &format!("s1._domainkey {}\n", txt(&key.record())),
    );
    let (sight, findings, _) = look(&world, name, &key);
    assert_eq!(sight, Sight::Partly, "{findings:?}");
    assert!(codes(&findings).contains(&Code::ServersDisagree));

    world.transfer("lag.example");
    let (sight, findings, _) = look(&world, name, &key);
    assert_eq!(
        (sight, codes(&findings)),
        (EVERYWHERE, vec![]),
        "{findings:?}"
    );

    world.secondary.pause();
    let (sight, findings, _) = look(&world, name, &key);
    assert_eq!(sight, Sight::Unknown, "{findings:?}");
    assert_eq!(codes(&findings), [Code::Unreachable], "{findings:?}");

    world.secondary.resume();
    world.transfer("lag.example");
    assert_eq!(look(&world, name, &key).0, EVERYWHERE);
}

#[test]
fn aliases_are_followed_into_other_zones() {
    let world = World::of_two_primaries();
    let key = new_key();
    let record = |name: &str, ttl: u32| format!("{name} {ttl} {}\n", txt(&key.record()));
    world.set_both("keys.example", &record("customer", 120));
    world.set_both(
        "cname.example",
        "s1._domainkey CNAME customer.keys.example.\n",
    );
    let (sight, findings, observation) = look(&world, "s1._domainkey.cname.example", &key);
    let longer = Sight::Everywhere {
        ttl: Duration::from_mins(2),
        negative_ttl: Duration::from_mins(1),
    };
    assert_eq!((sight, findings.len()), (longer, 0), "{findings:?}");
    let names: Vec<_> = observation
        .links
        .iter()
        .map(|link| link.name.as_str())
        .collect();
    assert_eq!(
        names,
        ["s1._domainkey.cname.example", "customer.keys.example"]
    );

    world.set_both("under.example", &record("s1", 60));
    world.set_both("dname.example", "_domainkey DNAME under.example.\n");
    let (sight, findings, _) = look(&world, "s1._domainkey.dname.example", &key);
    assert_eq!((sight, findings.len()), (EVERYWHERE, 0), "{findings:?}");

    // The target's own servers count, not what the alias' servers know of it.
    world.secondary.set_zone("keys.example", &world.servers());
    let (sight, findings, _) = look(&world, "s1._domainkey.cname.example", &key);
    assert_eq!(sight, Sight::Partly, "{findings:?}");
    assert!(
        codes(&findings).contains(&Code::DanglingAlias),
        "{findings:?}"
    );

    let chain: Vec<_> = (1..12)
        .map(|step| format!("a{step} CNAME a{}\n", step + 1))
        .collect();
    world.set_both("long.example", &chain.concat());
    let (sight, findings, _) = look(&world, "a1.long.example", &key);
    assert_eq!(
        (sight, codes(&findings)),
        (Sight::Wrong, vec![Code::AliasLoop])
    );
}

#[test]
fn a_long_answer_comes_by_tcp_and_a_missing_zone_is_no_accident() {
    let world = World::of_two_primaries();
    let key = new_key();
    let many: Vec<_> = (0..12)
        .map(|number| {
            format!(
                "s1._domainkey {}\n",
                txt(&format!("{number} {}", "x".repeat(250)))
            )
        })
        .collect();
    world.set_both("long.example", &many.concat());
    let (sight, findings, _) = look(&world, "s1._domainkey.long.example", &key);
    assert_eq!(
        (sight, codes(&findings)),
        (Sight::Wrong, vec![Code::TwoRecords])
    );
    assert!(findings[0].seen.starts_with("12 records"), "{findings:?}");

    let (sight, findings, _) = look(&world, "s1._domainkey.nothing.example", &key);
    assert_eq!(
        (sight, codes(&findings)),
        (ABSENT, vec![Code::Missing]),
        "{findings:?}"
    );
}

#[test]
fn every_address_of_every_server_counts() {
    let world = World::of_two_primaries();
    let key = new_key();
    world.delegate("dead.example");
    // Nobody listens there, and loopback says so at once.
    let dead = [format!("A {}", world.dead_address()), "AAAA ::1".to_owned()];
    for address in dead {
        let records = format!(
            "@ NS ns1\nns1 A {}\nns1 {address}\ns1._domainkey {}\n",
            world.primary.address(),
            txt(&key.record())
        );
        world.primary.set_zone("dead.example", &records);
        world.secondary.set_zone("dead.example", &records);
        world.resolver.flush("dead.example");
        let (sight, findings, _) = look(&world, "s1._domainkey.dead.example", &key);
        let expected = (
            Sight::Unknown,
            vec![Code::Unreachable, Code::DelegationDiffers],
        );
        assert_eq!((sight, codes(&findings)), expected, "{findings:?}");
    }
}

#[test]
fn servers_that_only_the_parent_or_only_the_zone_names_count() {
    let world = World::of_two_primaries();
    let key = new_key();
    // By the parent these are ns1 and ns2, by the zone this one and what a case adds.
    let first = format!("@ NS ns1\nns1 A {}\n", world.primary.address());
    let second = format!("@ NS ns2\nns2 A {}\n", world.secondary.address());
    let third = format!("@ NS ns3\nns3 A {}\n", world.secondary.address());
    let ours = format!("s1._domainkey {}\n", txt(&key.record()));
    let other = format!("s1._domainkey {}\n", txt(&new_key().record()));
    let nothing = String::new();
    // Name, what the zone names besides, what the second server shows, what is seen.
    let differs = "only the parent names";
    let cases = [
        ("same", &second, &ours, EVERYWHERE, ""),
        ("parent", &nothing, &ours, EVERYWHERE, differs),
        ("empty", &nothing, &nothing, Sight::Partly, differs),
        ("other", &nothing, &other, Sight::Wrong, differs),
        ("zone", &third, &ours, EVERYWHERE, "only the zone names"),
        ("stale", &third, &nothing, Sight::Partly, differs),
    ];
    for (label, more, shown, expected, difference) in cases {
        let zone = format!("{label}.example");
        world.delegate(&zone);
        let on_first = format!("{first}{more}{ours}");
        world.primary.set_zone(&zone, &on_first);
        let on_second = format!("{first}{more}{shown}");
        world.secondary.set_zone(&zone, &on_second);
        world.resolver.flush(&zone);
        let (sight, findings, _) = look(&world, &format!("s1._domainkey.{zone}"), &key);
        assert_eq!(sight, expected, "{label}: {findings:?}");
        let told = findings
            .iter()
            .find(|finding| finding.code == Code::DelegationDiffers);
        match told {
            Some(finding) => assert!(
                !difference.is_empty() && finding.seen.contains(difference),
                "{label}: {finding:?}"
            ),
            None => assert_eq!(difference, "", "{label}: {findings:?}"),
        }
    }

    // The parent names it, and it does not have the zone.
    world.delegate("lame.example");
    let records = format!("{first}{ours}");
    world.primary.set_zone("lame.example", &records);
    let (sight, findings, _) = look(&world, "s1._domainkey.lame.example", &key);
    let expected = [Code::NotAuthoritative, Code::DelegationDiffers];
    assert_eq!(sight, Sight::Unknown);
    assert_eq!(codes(&findings), expected, "{findings:?}");
}

/// What is seen of a zone with a third server at this address alone: `A 192.0.2.1`.
fn look_at_third(
    world: &World,
    key: &PublicKey,
    address: &str,
    reach: Reach,
) -> (Sight, Vec<Finding>, Observation) {
    let record = txt(&key.record());
    let records = format!("@ NS ns3\nns3 {address}\ns1._domainkey {record}\n");
    world.set_both("reach.example", &records);
    let observation = run(round_within(world, reach).observe("s1._domainkey.reach.example"));
    let (sight, findings) = judge(&observation, key);
    (sight, findings, observation)
}

fn passed_over(observation: &Observation) -> Vec<&str> {
    let answers = observation.links.iter().flat_map(|link| &link.answers);
    answers
        .filter(|answer| matches!(answer.outcome, Outcome::Silent(Silence::PassedOver(_))))
        .map(|answer| answer.server.as_str())
        .collect()
}

#[test]
fn addresses_that_are_private_or_no_servers_are_passed_over_and_nothing_is_concluded() {
    let world = World::of_two_primaries();
    let key = new_key();
    let own = format!("A {}", world.secondary.address());
    let (local, private) = (true, false);
    let (sight, findings, _) = look_at_third(&world, &key, &own, Reach { local, private });
    assert_eq!(sight, EVERYWHERE, "{findings:?}");

    // All other servers show the key.
    for (address, private) in [
        ("A 10.255.255.254", false),
        ("A 192.168.255.254", false),
        ("AAAA fd00::5", false),
        ("AAAA ::ffff:10.255.255.254", false),
        ("AAAA 64:ff9b::10.255.255.254", false),
        ("A 0.0.0.0", true),
        ("A 255.255.255.255", true),
        ("AAAA ff02::1", true),
    ] {
        let reach = Reach { local, private };
        let (sight, findings, observation) = look_at_third(&world, &key, address, reach);
        assert_eq!(sight, Sight::Unknown, "{address}: {findings:?}");
        let codes = codes(&findings);
        let is_told = codes.contains(&Code::AddressPassedOver);
        assert!(is_told, "{address}: {findings:?}");
        assert_eq!(
            passed_over(&observation),
            ["ns3.reach.example"],
            "{address}"
        );
    }
}

#[test]
fn addresses_of_this_host_are_passed_over_but_its_resolvers_are_asked() {
    // All servers of this world are on loopback.
    let world = World::of_two_primaries();
    let key = new_key();
    let own = format!("A {}", world.secondary.address());
    let elsewhere = [
        "AAAA ::1",
        "A 169.254.169.254",
        "AAAA fe80::1",
        "A 127.0.0.1",
    ];
    for address in elsewhere.into_iter().chain([own.as_str()]) {
        let reach = Reach::default();
        let (sight, findings, observation) = look_at_third(&world, &key, address, reach);
        assert_eq!(sight, Sight::Unknown, "{address}: {findings:?}");
        let answers = observation.links.iter().flat_map(|link| &link.answers);
        let passed_over = passed_over(&observation);
        assert_eq!(passed_over.len(), answers.count(), "{observation:?}");
        assert_eq!(passed_over.len(), 3, "{observation:?}");
        let resolver = &observation.resolvers[0].outcome;
        assert!(matches!(resolver, Outcome::Texts { .. }), "{resolver:?}");
    }
}

#[test]
fn policies_are_read_and_judged() {
    let world = World::of_two_primaries();
    let relay = "192.0.2.25".parse().expect("an address");
    let good = "@ TXT \"v=spf1 include:spf.other.example -all\"
_dmarc TXT \"v=DMARC1; p=reject; rua=mailto:d@other.example\"
sub A 192.0.2.1
";
    let other = "spf TXT \"v=spf1 ip4:192.0.2.0/27 ~all\"\n";
    let agreed = "good.example._report._dmarc TXT \"v=DMARC1\"\n";
    world.set_both("good.example", good);
    world.set_both("other.example", &format!("{other}{agreed}"));
    let parked = "@ MX 0 .\n@ TXT \"v=spf1 -all\"\n_dmarc TXT \"v=DMARC1; p=reject;\"\n";
    world.set_both("parked.example", parked);
    world.set_both(
        "bad.example",
        "@ TXT \"v=spf1 ip4:198.51.100.1 -all\"\n@ MX 5 mail\n",
    );
    let policy = |domain: &str| run(round(&world).mail_policy(domain, &[relay]));
    let part = RelayPart {
        terms: None,
        addresses: vec![relay],
    };

    let seen = policy("good.example");
    assert_eq!(codes(&judge_sending(&seen, &part)), [], "{seen:?}");
    let inherited = policy("sub.good.example");
    let (owner, _) = inherited
        .dmarc
        .clone()
        .expect("an answer")
        .expect("a record");
    assert_eq!(owner, "good.example");
    assert_eq!(codes(&judge_sending(&inherited, &part)), [Code::SpfMissing]);

    world.set_both("other.example", other);
    let seen = policy("good.example");
    assert_eq!(
        codes(&judge_sending(&seen, &part)),
        [Code::DmarcReportsUnwanted],
        "{seen:?}"
    );

    let seen = policy("parked.example");
    assert_eq!(codes(&judge_parked(&seen, false)), [], "{seen:?}");
    let seen = policy("bad.example");
    assert_eq!(
        codes(&judge_sending(&seen, &part)),
        [Code::SpfRelay, Code::DmarcMissing],
        "{seen:?}"
    );
    let expected = [Code::SpfNotParked, Code::DmarcMissing, Code::MxNotNull];
    assert_eq!(codes(&judge_parked(&seen, false)), expected, "{seen:?}");
    // One below it sends, and has no record of its own.
    let waiting = codes(&judge_parked(&seen, true));
    assert!(
        waiting
            .iter()
            .all(|code| !code.as_str().starts_with("dmarc."))
    );
    assert!(!waiting.is_empty());
}
