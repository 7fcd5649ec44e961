use super::*;
use crate::{
    config::Settings,
    dkim::Algorithm,
    keys::{
        Delegated, Delegations, Keyring, Lead, Publication, Revocation, State, Why, Withdrawal,
    },
    ladder::holds::HoldCode,
    organisation::{Policy, SelectorTemplate},
};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn organisation() -> Organisation {
    let id: OrganisationId = "a".parse().unwrap();
    Organisation {
        selector: SelectorTemplate::new("{org}", &id).unwrap(),
        id,
        name: "A".to_owned(),
        domains: vec!["a.example".parse().unwrap()],
        parked: Vec::new(),
        incoming: Vec::new(),
        contact: None,
        algorithms: vec![Algorithm::RsaSha256],
        senders: None,
        delegations: Delegations::default(),
        language: Language::default(),
        policy: Policy::default(),
    }
}

fn publication(state: State, why: Why) -> Publication {
    Publication {
        state,
        why: Some(why),
        ..Publication::generated(NOW)
    }
}

/// With one key for each publication of the domain.
fn judge(publications: &[Publication]) -> Judgement {
    let keyring = Keyring::of("a.example", publications);
    let organisation = organisation();
    let situation = Situation {
        keyring: &keyring,
        domains: &organisation.domains,
        incoming: &[],
        away: &[],
        algorithms: &organisation.algorithms,
        timing: &Settings::default().timing(),
        delegated: Delegated::default(),
        reported: crate::keys::Reported::default(),
    };
    Judgement::of(&situation, organisation.policy, NOW)
}

#[test]
fn levels_are_in_the_order_of_their_harm() {
    let active = publication(State::Active, Why::Signing);
    let revoked = |revocation| Publication {
        revocation: Some(revocation),
        ..publication(State::Revoked, Why::AwaitingWithdrawal)
    };
    let stolen = revoked(Revocation::Compromised);
    let withdrawn = Publication {
        withdrawal: Some(Withdrawal::Gone),
        ..publication(State::Withdrawn, Why::Done)
    };
    let waiting = publication(State::Generated, Why::NotSeen);
    for (publications, expected, what) in [
        (vec![], Level::NotLive, "no_key"),
        (vec![waiting], Level::NotLive, "publish_record"),
        (
            vec![publication(State::Published, Why::Settling)],
            Level::NotLive,
            "activate",
        ),
        // It has signed before, so it has mail.
        (vec![withdrawn, waiting], Level::Unsigned, "publish_record"),
        (vec![active, waiting], Level::Act, "publish_record"),
        (
            vec![active, publication(State::Published, Why::Settling)],
            Level::Waits,
            "activate",
        ),
        (
            vec![publication(State::Active, Why::SeenWrong)],
            Level::Unverifiable,
            "mend_record",
        ),
        (
            vec![publication(State::Active, Why::NotSeen)],
            Level::Unverifiable,
            "restore_record",
        ),
        (
            vec![publication(State::Draining, Why::GoneEarly), active],
            Level::Unverifiable,
            "restore_draining_record",
        ),
        (
            vec![publication(State::Active, Why::NotSeen), stolen],
            Level::Compromised,
            "empty_record",
        ),
        (
            vec![active, revoked(Revocation::Aborted)],
            Level::Act,
            "empty_record",
        ),
    ] {
        let judgement = judge(&publications);
        let worst = judgement.worst().unwrap();
        assert_eq!(
            (judgement.level, worst.fact.as_str()),
            (expected, what),
            "{publications:?}"
        );
    }
    assert_eq!(judge(&[active]), Judgement::default());
}

#[test]
fn what_the_signer_says_counts() {
    let organisation = organisation();
    let domain = &organisation.domains[0];
    let not_live = judge(&[publication(State::Generated, Why::NotSeen)]);
    let sends = SignerFacts {
        sends_without_key: true,
        ..SignerFacts::default()
    };
    let silent = not_live
        .clone()
        .heard(&organisation, &SignerFacts::default());
    assert_eq!(silent.level, Level::NotLive);
    assert_eq!(
        not_live.clone().heard(&organisation, &sends).level,
        Level::Unsigned
    );
    let mut strict = organisation.clone();
    strict.policy.awaiting_key = Action::Tempfail;
    assert_eq!(not_live.heard(&strict, &sends).level, Level::Tempfailed);

    let well = || judge(&[publication(State::Active, Why::Signing)]);
    let refused = SignerFacts {
        put_off: [(domain.to_string(), "keys/a/s.pem: mode".to_owned())].into(),
        ..SignerFacts::default()
    };
    let judgement = well().heard(&organisation, &refused);
    assert_eq!(judgement.level, Level::Tempfailed);
    assert_eq!(judgement.of_domain(domain), Level::Tempfailed);
    assert!(
        judgement.matters[0]
            .sentence(&organisation.id, Language::English)
            .contains("s.pem")
    );
}

#[test]
fn a_dns_that_nobody_looks_at_is_said() {
    let every = Duration::from_hours(1);
    let after = |hours| {
        let now = NOW + jiff::SignedDuration::from_hours(hours);
        Judgement::default().looked(Some(NOW), every, now).level
    };
    assert_eq!((after(6), after(7)), (Level::Well, Level::Act));
    assert_eq!(
        Judgement::default()
            .looked(None, every, Timestamp::MAX)
            .level,
        Level::Well
    );
}

#[test]
fn every_sentence_is_whole_in_both_languages() {
    let facts = What::each().map(Fact::Step).into_iter().chain([
        Fact::NoKey,
        Fact::Keyring("it is a folder".to_owned()),
        Fact::KeyRefused("it is a folder".to_owned()),
        Fact::Suspended,
        Fact::Leaving,
        Fact::Left,
        Fact::Departures("it is a folder".to_owned()),
        Fact::Overdue,
        Fact::NotLooked,
        Fact::NoTarget(Way::Dname),
        Fact::NoTarget(Way::Ns),
        Fact::Advised(Advised::of(true)),
        Fact::Advised(Advised::of(false)),
        Fact::Advised(Advised {
            is_same_rung: true,
            record: None,
            ..Advised::of(false)
        }),
    ]);
    let facts = facts.chain(HoldCode::ALL.map(|code| Fact::Held(Hold::of(code))));
    let id: OrganisationId = "org".parse().unwrap();
    for fact in facts {
        let actors = [Actor::Administrator, Actor::Operator];
        for (level, actor) in Level::ALL
            .into_iter()
            .flat_map(|level| actors.map(|actor| (level, actor)))
        {
            let matter = Matter {
                actor,
                domain: Some("a.example".parse().unwrap()),
                selector: Some("s1".parse().unwrap()),
                since: Some(NOW),
                ..Matter::new(level, fact.clone(), Witness::Keeper)
            };
            let [english, dutch] =
                [Language::English, Language::Dutch].map(|one| matter.sentence(&id, one));
            assert_ne!(english, dutch);
            for text in [english, dutch] {
                assert!(text.ends_with('.') && !text.contains(['{', '}']), "{text}");
                assert_eq!(text.matches('`').count() % 2, 0, "{text}");
            }
        }
    }
}

#[test]
fn what_is_in_our_own_zone_is_the_operators_turn_and_what_leads_there_the_customers() {
    let mut organisation = organisation();
    let domain = organisation.domains[0].clone();
    let wanted = &mut organisation.delegations;
    wanted.ways.insert(domain.clone(), Way::Dname);
    let of = |organisation: &Organisation, publication, is_ours: Option<bool>| {
        let keyring = Keyring::of("a.example", &[publication]);
        let lead = |is_ours| Lead {
            selector: keyring.keys()[0].selector.clone(),
            domain: domain.clone(),
            is_ours,
        };
        let leads: Vec<Lead> = is_ours.map(lead).into_iter().collect();
        let timing = Settings::default().timing();
        let situation = crate::config::situation(organisation, &keyring, &[], &timing);
        let judgement = Judgement::of(&situation.seen(&leads), organisation.policy, NOW);
        let matters = judgement.matters.iter();
        let told = matters.map(|one| (one.fact.as_str(), one.actor, one.level));
        told.collect::<Vec<_>>()
    };
    let unknown = of(
        &organisation,
        publication(State::Active, Why::Signing),
        None,
    );
    let unset = ("delegation_without_target", Actor::Operator, Level::Act);
    assert_eq!(unknown, [unset]);
    organisation.delegations.zone = Some("relay.example".parse().unwrap());
    let missing = publication(State::Generated, Why::NotSeen);
    let signs = publication(State::Active, Why::Signing);
    let gone = publication(State::Active, Why::NotSeen);
    let revoked = Publication {
        revocation: Some(Revocation::Compromised),
        ..publication(State::Revoked, Why::AwaitingWithdrawal)
    };
    let (customer, operator) = (Actor::Administrator, Actor::Operator);
    for (publication, is_ours, expected) in [
        (missing, None, ("delegate", customer, Level::NotLive)),
        (missing, Some(false), ("delegate", customer, Level::NotLive)),
        (
            missing,
            Some(true),
            ("publish_record", operator, Level::NotLive),
        ),
        (signs, Some(false), ("delegate", customer, Level::Act)),
        (
            gone,
            Some(false),
            ("delegate", customer, Level::Unverifiable),
        ),
        (
            gone,
            Some(true),
            ("restore_record", operator, Level::Unverifiable),
        ),
        (
            gone,
            None,
            ("restore_record", customer, Level::Unverifiable),
        ),
        (
            revoked,
            Some(true),
            ("empty_record", operator, Level::Compromised),
        ),
        // Where nobody has looked, it may be in either zone: a thief does not wait for a look.
        (
            revoked,
            None,
            ("empty_record", customer, Level::Compromised),
        ),
        (
            revoked,
            Some(false),
            ("empty_record", customer, Level::Compromised),
        ),
    ] {
        let told = of(&organisation, publication, is_ours);
        assert_eq!(told[0], expected, "{publication:?} {is_ours:?}");
    }
    assert_eq!(of(&organisation, signs, Some(true)), []);
    assert_eq!(of(&organisation, signs, None), []);
}
