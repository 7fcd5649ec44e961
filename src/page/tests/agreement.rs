//! What comes next for a key is the same wherever it is said: in the list, in the metrics, on
//! the page, and in the pack, with the keys in full and by CNAME.

use super::*;
use crate::{
    config::SendersBelow,
    dkim::{Algorithm, PublicKey},
    handover::{DomainTasks, Format, KeyPack},
    judgement::Fact,
    keys::{Actor, Delegations, KeyEntry, NewKey, NextStep, Revocation, Task},
    names::Selector,
    organisation::{Policy, SelectorTemplate},
    words::{Language, Level},
};

const STATES: [State; 6] = standing::STATES;
const WHYS: [Option<Why>; 16] = [
    None,
    Some(Why::NotSeen),
    Some(Why::SeenPartly),
    Some(Why::SeenWrong),
    Some(Why::SeenRevoked),
    Some(Why::Unreachable),
    Some(Why::Settling),
    Some(Why::Clock),
    Some(Why::Signing),
    Some(Why::Superseded),
    Some(Why::NotConfigured),
    Some(Why::Draining),
    Some(Why::GoneEarly),
    Some(Why::AwaitingWithdrawal),
    Some(Why::AwaitingRemoval),
    Some(Why::Done),
];
const WITHDRAWALS: [Option<Withdrawal>; 4] = [
    None,
    Some(Withdrawal::Asked),
    Some(Withdrawal::Emptied),
    Some(Withdrawal::Gone),
];
const REVOCATIONS: [Option<Revocation>; 3] = [
    None,
    Some(Revocation::Compromised),
    Some(Revocation::Aborted),
];
/// Of an organisation: the key that is looked at, between one that signs and a successor.
const SUBJECT: &str = "subject";

struct World {
    organisation: Organisation,
    settings: config::Settings,
    public_keys: BTreeMap<Selector, PublicKey>,
}

/// What each place says of the key.
struct Said {
    step: NextStep,
    full: Option<KeyPack>,
    delegated: Option<KeyPack>,
    page: Standing,
    /// The most urgent of all keys.
    most_urgent: Level,
    text: String,
}

impl World {
    fn new() -> Self {
        let algorithm = Algorithm::Ed25519Sha256;
        let id = "a".parse().unwrap();
        let key = |selector: &str| {
            let key = NewKey::generate(algorithm, 0).unwrap();
            (selector.parse().unwrap(), key.public_key().clone())
        };
        Self {
            organisation: Organisation {
                selector: SelectorTemplate::new("{org}", &id).unwrap(),
                id,
                name: "A".to_owned(),
                domains: vec!["a.example".parse().unwrap()],
                parked: Vec::new(),
                incoming: Vec::new(),
                contact: None,
                algorithms: vec![algorithm],
                senders: None,
                delegations: Delegations::default(),
                language: Language::default(),
                policy: Policy::default(),
            },
            settings: config::Settings::default(),
            public_keys: ["active", SUBJECT, "successor"].map(key).into(),
        }
    }

    fn keyring(&self, keys: &[(&str, Publication)]) -> Keyring {
        let mut keyring = Keyring::default();
        for (selector, publication) in keys {
            let selector: Selector = selector.parse().unwrap();
            let key = &self.public_keys[&selector];
            keyring.add(KeyEntry {
                selector,
                algorithm: key.algorithm(),
                created: Timestamp::UNIX_EPOCH,
                fingerprint: key.fingerprint(),
                public_key: None,
                publications: [(self.organisation.domains[0].clone(), *publication)].into(),
            });
        }
        keyring
    }

    fn ask(&self, keyring: &Keyring) -> Said {
        let timing = self.settings.timing();
        let situation = situation(&self.organisation, keyring, &[], &timing);
        let domain = &self.organisation.domains[0];
        let steps = keyring.keys().iter();
        let steps = steps.map(|key| situation.next_step(key, domain).level);
        let handover = Handover {
            organisation: &self.organisation,
            below: &SendersBelow::default(),
            keyring,
            public_keys: &self.public_keys,
            sightings: &Sightings::default(),
            senders: &Senders::default(),
            settings: &self.settings,
            now: Timestamp::UNIX_EPOCH,
        };
        let scope = |delegation| Scope {
            domain: None,
            delegation,
        };
        let full = handover.pack(&scope(None)).unwrap();
        let operator = Some("relay.example".parse().unwrap());
        let delegated = handover.pack(&scope(operator)).unwrap();
        Said {
            step: situation.next_step(keyring.key(&subject()).unwrap(), domain),
            text: full.render(Format::Text, Language::English),
            full: key_of(full),
            delegated: key_of(delegated),
            page: Standing::of(&situation, self.organisation.policy, Timestamp::UNIX_EPOCH),
            most_urgent: steps.min().unwrap(),
        }
    }
}

fn subject() -> Selector {
    SUBJECT.parse().unwrap()
}

fn key_of(mut pack: Pack) -> Option<KeyPack> {
    match pack.domains.remove(0).tasks {
        DomainTasks::Sending { keys, .. } => keys.into_iter().find(|key| key.selector == subject()),
        DomainTasks::Parked { .. } => panic!("it sends"),
    }
}

/// The tasks that fit a word in the list, which is that of the metrics too.
fn tasks_of(word: &str) -> &'static [Option<Task>] {
    match word {
        "publish_record" => &[Some(Task::Add)],
        "unrevoke" => &[Some(Task::Mend)],
        "mend_record" => &[Some(Task::Add), Some(Task::Mend)],
        // Not seen yet: it is asked for. Seen before: it has to stay.
        "await_servers" => &[Some(Task::Add), Some(Task::Keep)],
        "look" | "activate" | "make_successor" | "await_successor" | "keep_record"
        | "await_reports" | "mend_clock" | "leave" | "settle_domain" | "take_over" | "take_in"
        | "return" => &[Some(Task::Keep)],
        "restore_record" | "restore_draining_record" => &[Some(Task::Restore)],
        "empty_record" => &[Some(Task::Empty)],
        "remove_record" => &[Some(Task::Remove)],
        "configure" => &[Some(Task::Keep), None],
        "forget" | "nothing" => &[None],
        other => panic!("{other}"),
    }
}

fn check(said: &Said, has_others: bool, case: &str) {
    let step = &said.step;
    let list = serde_json::to_value(step).unwrap();
    let word = list["what"].as_str().unwrap();
    assert_eq!(word, step.what.as_str(), "{case}");
    let task = said.full.as_ref().map(|key| key.task);
    assert!(tasks_of(word).contains(&task), "{case}: {word} {task:?}");

    // Someone has to do something everywhere, or nowhere.
    let asked = task.is_some_and(|task| task != Task::Keep);
    assert_eq!(step.actor() == Actor::Administrator, asked, "{case}");
    let has_work = asked || step.actor() == Actor::Operator;
    match step.level {
        Level::Waits | Level::Well => assert!(!has_work, "{case}"),
        // It may be the keeper's turn.
        Level::Unsigned | Level::NotLive => {}
        level => assert!(has_work, "{case}: {level}"),
    }
    let nothing = step.what.to_string().starts_with("none");
    assert_eq!(nothing, step.actor() == Actor::Nobody, "{case}");
    assert!(!nothing || step.level == Level::Well, "{case}");

    // As urgent in the pack as on the page.
    let urgent = said.full.as_ref().is_some_and(|key| key.urgent);
    let is_first = step.level == Level::NotLive && asked;
    let is_spoken_of = said.full.is_some();
    assert_eq!(
        urgent,
        is_spoken_of && (step.level.is_urgent() || is_first),
        "{case}"
    );
    let judgement = &said.page.judgement;
    if judgement.matters.iter().any(|one| one.fact == Fact::NoKey) {
        assert!(judgement.level <= Level::NotLive, "{case}");
    } else {
        assert_eq!(judgement.level, said.most_urgent, "{case}");
    }
    if !has_others {
        let idle = said.text.contains("There is nothing to change now");
        assert_eq!(idle, !asked, "{case}");
    }

    // By CNAME the same, but that what is to be emptied goes whole.
    let delegated = said.delegated.as_ref().map(|key| key.task);
    let expected = match task {
        Some(Task::Empty) => Some(Task::Remove),
        other => other,
    };
    assert_eq!(delegated, expected, "{case}");
    assert_eq!(
        said.delegated.as_ref().map(|key| key.urgent),
        said.full.as_ref().map(|key| key.urgent),
        "{case}"
    );

    // What stays or comes back holds the key; what is said has a date where there is a place.
    if let Some(key) = &said.full {
        let value = key.record.as_ref().map(|record| record.data.value());
        match key.task {
            Task::Remove => assert_eq!(value, None, "{case}"),
            Task::Empty => assert!(value.unwrap().ends_with("p="), "{case}"),
            _ => assert!(!value.unwrap().ends_with("p="), "{case}"),
        }
    }
    for gap in [
        " by .", " until ,", "Around  ", "From  ", "until  ", "from \n",
    ] {
        assert!(!said.text.contains(gap), "{case}: {gap:?}");
    }
}

#[test]
fn every_place_says_the_same_of_every_key() {
    let world = World::new();
    let active = publication(State::Active, Why::Signing);
    let successor = publication(State::Generated, Why::NotSeen);
    for state in STATES {
        for (why, withdrawal) in WHYS
            .into_iter()
            .flat_map(|why| WITHDRAWALS.map(|withdrawal| (why, withdrawal)))
        {
            for revocation in REVOCATIONS {
                for (another, followed) in
                    [(false, false), (false, true), (true, false), (true, true)]
                {
                    if another && state == State::Active {
                        continue;
                    }
                    let subject = Publication {
                        state,
                        why,
                        withdrawal,
                        revocation,
                        ..Publication::generated(Timestamp::UNIX_EPOCH)
                    };
                    let mut keys = vec![(SUBJECT, subject)];
                    if another {
                        keys.insert(0, ("active", active));
                    }
                    if followed {
                        keys.push(("successor", successor));
                    }
                    let case = format!(
                        "{state} {why:?} {withdrawal:?} {revocation:?} \
                         another: {another} successor: {followed}"
                    );
                    check(
                        &world.ask(&world.keyring(&keys)),
                        another || followed,
                        &case,
                    );
                }
            }
        }
    }
}

/// Where one place once contradicted the others.
#[test]
fn nobody_is_told_two_things() {
    let world = World::new();
    let active = publication(State::Active, Why::Signing);
    let told = |keys: &[(&str, Publication)]| {
        let said = world.ask(&world.keyring(keys));
        let full = said.full.as_ref();
        (
            said.step.what.as_str(),
            full.map(|key| (key.task, key.urgent)),
            said.step.level,
        )
    };
    // `zegel key withdraw`
    let withdrawn = publication(State::Withdrawn, Why::Done);
    assert_eq!(
        told(&[(SUBJECT, withdrawn), ("active", active)]),
        ("nothing", None, Level::Well)
    );
    // Made, and the keeper has not looked yet.
    let made = Publication::generated(Timestamp::UNIX_EPOCH);
    assert_eq!(
        told(&[(SUBJECT, made)]),
        ("publish_record", Some((Task::Add, true)), Level::NotLive)
    );
    // Its record is gone, and mail is signed with it.
    assert_eq!(
        told(&[(SUBJECT, publication(State::Active, Why::NotSeen))]),
        (
            "restore_record",
            Some((Task::Restore, true)),
            Level::Unverifiable
        )
    );
    assert_eq!(
        told(&[
            (SUBJECT, publication(State::Draining, Why::GoneEarly)),
            ("active", active)
        ]),
        (
            "restore_draining_record",
            Some((Task::Restore, true)),
            Level::Unverifiable
        )
    );
    // A later key came into use before it.
    assert_eq!(
        told(&[
            (SUBJECT, publication(State::Generated, Why::Superseded)),
            ("active", active)
        ]),
        ("forget", None, Level::Well)
    );
    // Given up before it signed: nobody else has it.
    let aborted = Publication {
        revocation: Some(Revocation::Aborted),
        ..publication(State::Revoked, Why::AwaitingWithdrawal)
    };
    assert_eq!(
        told(&[("active", active), (SUBJECT, aborted)]),
        ("empty_record", Some((Task::Empty, false)), Level::Act)
    );
    // Others have it, and its record is still there after years.
    let mut world = World::new();
    world.settings.keeper.drain = Duration::ZERO;
    let stolen = Publication {
        ttl: Some(Duration::ZERO),
        ..publication(State::Revoked, Why::AwaitingWithdrawal)
    };
    let said = world.ask(&world.keyring(&[("active", active), (SUBJECT, stolen)]));
    assert_eq!(said.step.what.as_str(), "empty_record");
    assert_eq!(said.full.unwrap().task, Task::Empty);
}
