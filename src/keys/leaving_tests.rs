//! What leaves an organisation signs no more, and signs again only with evidence of its own.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    Change, ChangeRefusal, Delegated, Event, KeyEntry, Keyring, Moment, Publication, Revocation,
    Sight, Situation, State, Timing, What, Why, Withdrawal, retire,
};
use crate::{
    dkim::key::Algorithm::{self, Ed25519Sha256, RsaSha256},
    names::{DomainName, Selector},
    words::Level,
};

pub(super) const NOW: Timestamp = Timestamp::UNIX_EPOCH;
pub(super) const TIMING: Timing = Timing {
    check_every: Duration::from_hours(1),
    settle: Duration::from_mins(10),
    drain: Duration::from_hours(5),
    longest_expiry: Duration::from_hours(2),
    rotate_every: Duration::from_hours(1000),
    lead_time: Duration::from_hours(20),
};
pub(super) const SEEN: Sight = Sight::Everywhere {
    ttl: Duration::from_hours(1),
    negative_ttl: Duration::from_mins(5),
};
pub(super) const ABSENT: Sight = Sight::Absent {
    negative_ttl: Duration::from_mins(5),
};

pub(super) fn name(text: &str) -> DomainName {
    text.parse().unwrap()
}

/// Where the configuration has `een.example`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Place {
    Here,
    /// Parked, or of another organisation: the planner does not tell these apart.
    Away,
    /// It comes from another organisation, which signs for it.
    Incoming,
    /// In no file.
    Missing,
    AlgorithmOff,
}

/// One organisation whose keys are looked at each hour.
pub(super) struct Life {
    pub(super) keyring: Keyring,
    pub(super) now: Timestamp,
    pub(super) place: Place,
}

impl Life {
    /// With a key for each of these states.
    pub(super) fn new(states: &[State]) -> Self {
        let mut keyring = Keyring::default();
        for (number, state) in (1..).zip(states) {
            let publication = Publication {
                state: *state,
                checked: Some(NOW),
                ..Publication::generated(NOW)
            };
            keyring.add(key(number, RsaSha256, publication));
        }
        Self {
            keyring,
            now: NOW,
            place: Place::Here,
        }
    }

    pub(super) fn with<T>(&self, ask: impl FnOnce(Situation<'_>) -> T) -> T {
        let names = [name("een.example")];
        let (here, away) = match self.place {
            Place::Here | Place::AlgorithmOff => (&names[..], &[][..]),
            Place::Away | Place::Incoming => (&[][..], &names[..]),
            Place::Missing => (&[][..], &[][..]),
        };
        let algorithm: Algorithm = match self.place {
            Place::AlgorithmOff => Ed25519Sha256,
            _ => RsaSha256,
        };
        ask(Situation {
            keyring: &self.keyring,
            domains: here,
            incoming: if self.place == Place::Incoming {
                &names
            } else {
                &[]
            },
            away,
            algorithms: &[algorithm],
            timing: &TIMING,
            delegated: Delegated::default(),
            reported: crate::keys::Reported::default(),
        })
    }

    /// A look, an hour after the one before; gives the events of those that move, and how many
    /// keys are wanted.
    pub(super) fn look(&mut self, sight: Sight) -> (Vec<&'static str>, usize) {
        self.now += Duration::from_hours(1);
        let moment = Moment::steady(self.now);
        let plan = self.with(|situation| situation.plan(moment, |_, _| sight));
        self.keyring.apply(&plan.changes).unwrap();
        let moves = plan
            .changes
            .iter()
            .filter(|change| change.event != Event::Checked);
        let wanted = plan.wanted.iter().filter(|one| one.algorithm == RsaSha256);
        (
            moves.map(|one| one.event.as_str()).collect(),
            wanted.count(),
        )
    }

    pub(super) fn of(&self, number: u8) -> Publication {
        let key = self.keyring.key(&selector(number)).unwrap();
        key.publications["een.example"]
    }

    pub(super) fn next(&self, number: u8) -> (What, Level) {
        let key = self.keyring.key(&selector(number)).unwrap();
        let step = self.with(|situation| situation.next_step(key, &name("een.example")));
        (step.what, step.level)
    }
}

pub(super) fn selector(number: u8) -> Selector {
    format!("s{number}").parse().unwrap()
}

fn key(number: u8, algorithm: Algorithm, publication: Publication) -> KeyEntry {
    let json = serde_json::json!({
        "selector": selector(number), "algorithm": algorithm, "created": NOW,
        "fingerprint": format!("{number:064}"), "publications": {"een.example": publication},
    });
    serde_json::from_value(json).unwrap()
}

#[test]
fn what_leaves_drains_and_is_asked_back_without_a_successor() {
    for place in [Place::Away, Place::AlgorithmOff] {
        // Whatever is seen: nobody has to answer for a key to leave.
        for sight in [SEEN, ABSENT, Sight::Unknown, Sight::Wrong, Sight::Partly] {
            let mut life = Life::new(&[State::Active]);
            assert_eq!(life.look(SEEN).0, Vec::<&str>::new());
            life.place = place;
            assert_eq!(life.next(1), (What::Leave, Level::Waits));
            assert_eq!(life.look(sight), (vec!["left"], 0), "{place:?} {sight:?}");
            assert_eq!(life.of(1).state, State::Draining);
            let drained = life.now + TIMING.drain_time(life.of(1).ttl);
            assert_eq!(life.of(1).drain_until, Some(drained));
            while life.now + Duration::from_hours(1) < drained {
                assert_eq!(life.look(SEEN).0, Vec::<&str>::new());
            }
            assert_eq!(life.look(SEEN), (vec!["withdrawal_asked"], 0));
            assert_eq!(life.next(1), (What::EmptyRecord, Level::Act));
            assert_eq!(life.look(ABSENT).0, ["withdrawn"]);
        }
    }
}

#[test]
fn what_is_in_no_file_stays_active_and_is_watched() {
    let mut life = Life::new(&[State::Active]);
    life.place = Place::Missing;
    for sight in [SEEN, Sight::Unknown, ABSENT, SEEN] {
        assert_eq!(life.look(sight), (vec![], 0));
        assert_eq!(life.of(1).state, State::Active);
        assert_eq!(life.of(1).checked, Some(life.now));
    }
    assert_eq!(life.next(1), (What::SettleDomain, Level::Act));
    life.look(ABSENT);
    assert_eq!(life.next(1), (What::RestoreRecord, Level::Unverifiable));
}

#[test]
fn what_comes_back_signs_after_a_fresh_look_that_shows_its_record() {
    for place in [Place::Away, Place::AlgorithmOff] {
        for hours_away in [0, 1, 4] {
            let mut life = Life::new(&[State::Active]);
            life.look(SEEN);
            life.place = place;
            life.look(SEEN);
            for _ in 0..hours_away {
                assert_eq!(life.look(SEEN).0, Vec::<&str>::new());
            }
            life.place = Place::Here;
            assert_eq!(life.next(1), (What::Return, Level::Unsigned));
            // What was seen while it was away does not count, nor does no answer.
            assert_eq!(life.look(Sight::Unknown), (vec![], 0));
            assert_eq!(life.of(1).state, State::Draining);
            assert_eq!(life.look(SEEN), (vec!["returned"], 0));
            let publication = life.of(1);
            assert_eq!(publication.state, State::Active);
            assert_eq!((publication.left, publication.drain_until), (None, None));
            assert_eq!(life.look(SEEN), (vec![], 0));
        }
    }
}

#[test]
fn no_sight_but_everywhere_brings_a_key_back() {
    for sight in [
        ABSENT,
        Sight::Unknown,
        Sight::Wrong,
        Sight::Partly,
        Sight::RevokedEverywhere,
    ] {
        let mut life = Life::new(&[State::Active]);
        life.look(SEEN);
        life.place = Place::Away;
        life.look(SEEN);
        life.place = Place::Here;
        assert_eq!(life.look(sight), (vec![], 0), "{sight:?}");
        assert_eq!(life.of(1).state, State::Draining);
        if sight != Sight::Unknown {
            let expected = (What::RestoreDrainingRecord, Level::Unverifiable);
            assert_eq!(life.next(1), expected, "{sight:?}");
        }
        // It was only late.
        assert_eq!(life.look(SEEN).0, ["returned"], "{sight:?}");
    }
}

#[test]
fn after_its_record_is_asked_back_only_a_new_key_serves() {
    let mut life = Life::new(&[State::Active]);
    life.look(SEEN);
    life.place = Place::Away;
    while life.of(1).withdrawal.is_none() {
        life.look(SEEN);
    }
    life.place = Place::Here;
    assert_eq!(life.look(SEEN), (vec![], 1));
    assert_eq!(life.of(1).state, State::Draining);
    // The record goes, and stays gone or comes back: the key does not.
    assert_eq!(life.look(ABSENT), (vec!["withdrawn"], 1));
    assert_eq!(life.look(SEEN), (vec![], 1));
    assert_eq!(life.of(1).state, State::Withdrawn);
}

#[test]
fn a_key_that_another_replaced_or_that_was_revoked_never_comes_back() {
    // Replaced: it drains, but has not left.
    let mut life = Life::new(&[State::Draining]);
    life.place = Place::Away;
    life.look(SEEN);
    life.place = Place::Here;
    assert_eq!(life.look(SEEN), (vec![], 1));
    // Revoked while it was away.
    let mut life = Life::new(&[State::Active]);
    life.place = Place::Away;
    life.look(SEEN);
    let changes = super::revoke(&life.keyring, &selector(1), life.now).unwrap();
    life.keyring.apply(&changes).unwrap();
    life.place = Place::Here;
    assert_eq!(life.look(SEEN), (vec![], 1));
    assert_eq!(life.of(1).state, State::Revoked);
    assert_eq!(life.of(1).revocation, Some(Revocation::Compromised));
}

#[test]
fn a_key_comes_back_only_where_no_other_signs_and_the_last_one_first() {
    // Two that left, one after the other.
    let mut life = Life::new(&[State::Active]);
    life.place = Place::Away;
    life.look(SEEN);
    life.keyring.add(key(
        2,
        RsaSha256,
        Publication {
            state: State::Active,
            ..Publication::generated(NOW)
        },
    ));
    life.look(SEEN);
    assert_eq!(life.of(2).state, State::Draining);
    life.place = Place::Here;
    assert_eq!(life.look(SEEN).0, ["returned"]);
    assert_eq!(
        (life.of(1).state, life.of(2).state),
        (State::Draining, State::Active)
    );
    // The older one stays where it is now that the younger one signs.
    assert_eq!(life.look(SEEN).0, Vec::<&str>::new());
    assert_eq!(life.of(1).state, State::Draining);
}

#[test]
fn what_is_there_and_gone_between_two_looks_has_the_evidence_of_the_look_before() {
    let mut life = Life::new(&[State::Active]);
    life.look(SEEN);
    life.place = Place::Away;
    life.place = Place::Here;
    assert_eq!(life.look(SEEN), (vec![], 0));
    assert_eq!(life.of(1).state, State::Active);
    assert_eq!(life.of(1).why, Some(Why::Signing));
}

#[test]
fn leaving_needs_no_look_at_the_dns() {
    let mut life = Life::new(&[State::Active, State::Published, State::Withdrawn]);
    for (place, expected) in [
        (Place::Here, 0),
        (Place::Missing, 0),
        (Place::Away, 1),
        (Place::AlgorithmOff, 1),
    ] {
        life.place = place;
        let changes = life.with(|situation| situation.leave(life.now));
        assert_eq!(changes.len(), expected, "{place:?}");
    }
    let changes = life.with(|situation| situation.leave(life.now));
    life.keyring.apply(&changes).unwrap();
    assert_eq!(life.of(1).state, State::Draining);
    // Nobody has looked since: the drain is counted from the next look.
    assert_eq!(life.of(1).checked, None);
    life.now += Duration::from_hours(100);
    life.place = Place::Away;
    assert_eq!(life.look(SEEN).0, Vec::<&str>::new());
    assert!(life.of(1).drain_until.unwrap() > life.now);
}

#[test]
fn what_is_retired_comes_back_with_its_file() {
    let mut life = Life::new(&[State::Active, State::Published]);
    life.place = Place::Missing;
    assert!(retire(&life.keyring, Some(&name("twee.example")), &TIMING, NOW).is_empty());
    let changes = retire(&life.keyring, None, &TIMING, NOW);
    let [Change { event, .. }] = &changes[..] else {
        panic!("{changes:?}")
    };
    assert_eq!(event.as_str(), "left");
    life.keyring.apply(&changes).unwrap();
    assert!(retire(&life.keyring, None, &TIMING, NOW).is_empty());
    assert_eq!(life.look(SEEN).0, Vec::<&str>::new());
    assert_eq!(life.next(1).0, What::KeepRecord);
    life.place = Place::Here;
    let (events, _) = life.look(SEEN);
    assert_eq!(events, ["returned"]);
}

#[test]
fn nobody_can_write_a_return_without_its_evidence() {
    let life = Life::new(&[State::Draining]);
    let left = Publication {
        left: Some(NOW),
        seen_last: Some(NOW),
        ..life.of(1)
    };
    let good = Publication {
        state: State::Active,
        left: None,
        ..left
    };
    for (before, after, is_fine) in [
        (left, good, true),
        // Replaced, and not left.
        (Publication { left: None, ..left }, good, false),
        (
            Publication {
                withdrawal: Some(Withdrawal::Asked),
                ..left
            },
            good,
            false,
        ),
        // Seen, but not at the last look; never seen; on someone's word.
        (
            left,
            Publication {
                checked: Some(NOW + Duration::from_secs(1)),
                ..good
            },
            false,
        ),
        (
            left,
            Publication {
                seen_last: None,
                ..good
            },
            false,
        ),
        (
            left,
            Publication {
                assumed: true,
                ..good
            },
            false,
        ),
    ] {
        let mut keyring = Keyring::default();
        keyring.add(key(1, RsaSha256, before));
        let change = Change {
            selector: selector(1),
            domain: name("een.example"),
            before: Some(before),
            after,
            event: Event::Returned,
        };
        let changes = [change];
        let applied = keyring.apply(&changes).map_err(|(_, refusal)| refusal);
        let expected = if is_fine {
            Ok(())
        } else {
            Err(ChangeRefusal::NoEvidence)
        };
        assert_eq!(applied, expected, "{before:?} {after:?}");
    }
}

#[test]
fn a_domain_gets_a_new_key_where_another_organisation_has_the_selector() {
    let life = Life::new(&[State::Active]);
    let domains = [name("een.example"), name("twee.example")];
    let situation = Situation {
        keyring: &life.keyring,
        domains: &domains,
        incoming: &[],
        away: &[],
        algorithms: &[RsaSha256],
        timing: &TIMING,
        delegated: Delegated::default(),
        reported: crate::keys::Reported::default(),
    };
    let plan = situation.plan(Moment::steady(life.now), |_, _| SEEN);
    let added = |plan: &super::Plan| {
        let changes = plan.changes.iter();
        changes.filter(|one| one.event == Event::Added).count()
    };
    assert_eq!((added(&plan), plan.wanted.len()), (1, 0));
    for (is_taken, expected) in [(false, (1, 0)), (true, (0, 1))] {
        let mut plan = plan.clone();
        let asked = plan.avoid_taken(&life.keyring, |taken, domain| {
            assert_eq!((taken, domain), (&selector(1), &domains[1]));
            Ok::<_, ()>(is_taken)
        });
        asked.unwrap();
        assert_eq!((added(&plan), plan.wanted.len()), expected);
        let wanted = plan.wanted.iter().flat_map(|one| &one.domains);
        assert!(wanted.eq(domains[1..].iter().filter(|_| is_taken)));
    }
    let failed = plan
        .clone()
        .avoid_taken(&life.keyring, |_, _| Err("unreadable"));
    assert_eq!(failed, Err("unreadable"));
}

#[test]
fn a_domain_that_comes_has_its_key_ready_and_nobody_is_alarmed() {
    let mut life = Life::new(&[]);
    life.place = Place::Incoming;
    assert_eq!(life.look(ABSENT), (vec![], 1));
    life.keyring
        .add(key(1, RsaSha256, Publication::generated(life.now)));
    life.look(ABSENT);
    assert_eq!(life.next(1), (What::PublishRecord, Level::Act));
    assert_eq!(life.look(SEEN).0, ["published"]);
    assert_eq!(life.look(SEEN), (vec!["activated"], 0));
    assert_eq!(life.next(1), (What::TakeOver, Level::Act));
    // Nobody signs with it: its record is missed, and that is no alarm.
    life.now += Duration::from_hours(1);
    let moment = Moment::steady(life.now);
    let plan = life.with(|situation| situation.plan(moment, |_, _| ABSENT));
    assert_eq!(plan.alarms, []);
    life.keyring.apply(&plan.changes).unwrap();
    assert_eq!(life.next(1), (What::RestoreRecord, Level::Act));
    // It is here: the same key signs, and has a successor like any other.
    life.place = Place::Here;
    assert_eq!(life.look(SEEN), (vec![], 0));
    assert_eq!(life.next(1), (What::MakeSuccessor, Level::Well));
    // It does not come after all.
    life.place = Place::Away;
    assert_eq!(life.look(SEEN), (vec!["left"], 0));
}
