//! What leaves at the operator's word signs until the grace is over, and not after that.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    Departure, Departures, Keyring, Moment, State, Timing, What, Why,
    leaving_tests::{ABSENT, Life, NOW, Place, SEEN, TIMING, name, selector},
    revoke,
};
use crate::words::Level;

fn hours(hours: u64) -> Timestamp {
    NOW + Duration::from_hours(hours)
}

fn notice(until: Timestamp) -> Departure {
    Departure {
        since: NOW,
        until,
        ended: None,
    }
}

impl Life {
    /// As `zegel org retire` notes it, for `een.example` or the organisation.
    fn leaves(&mut self, is_whole: bool, departure: Option<Departure>) {
        let domain = name("een.example");
        let mut departures = self.keyring.departures().clone();
        departures.set((!is_whole).then_some(&domain), departure);
        self.keyring.set_departures(departures);
    }

    /// As the keeper does after a look.
    fn end_departures(&mut self) {
        if let Some(ended) = self.keyring.departures().ended_by(self.now) {
            self.keyring.set_departures(ended);
        }
    }

    /// A look, and what the keeper notes after it.
    fn look_and_note(&mut self) -> (Vec<&'static str>, usize) {
        let found = self.look(SEEN);
        self.end_departures();
        found
    }
}

#[test]
fn it_signs_until_the_grace_is_over_and_drains_by_itself() {
    for is_whole in [true, false] {
        // With or without its file.
        for place in [Place::Here, Place::Missing] {
            let mut life = Life::new(&[State::Active]);
            life.place = place;
            life.leaves(is_whole, Some(notice(hours(5))));
            for _ in 0..4 {
                assert_eq!(life.look_and_note(), (vec![], 0));
                assert_eq!(life.of(1).state, State::Active);
                assert_eq!(life.next(1), (What::SignUntil, Level::Well));
            }
            assert_eq!(life.look_and_note(), (vec!["left"], 0));
            assert!(life.keyring.has_left(&name("een.example")));
            assert_eq!(life.next(1), (What::KeepRecord, Level::Well));
            // It does not come back, and nothing takes its place.
            life.place = Place::Here;
            while life.of(1).withdrawal.is_none() {
                let (events, wanted) = life.look_and_note();
                assert!(events.is_empty() || events == ["withdrawal_asked"]);
                assert_eq!((life.of(1).state, wanted), (State::Draining, 0));
            }
            assert_eq!(life.next(1), (What::EmptyRecord, Level::Act));
            assert_eq!(life.look(ABSENT), (vec!["withdrawn"], 0));
            assert_eq!(life.next(1).0, What::Nothing);
            assert_eq!(life.look(ABSENT), (vec![], 0));
            assert!(life.with(|situation| situation.pending()).is_none());
        }
    }
}

#[test]
fn a_clock_that_jumps_ends_no_grace() {
    let mut life = Life::new(&[State::Active]);
    life.look(SEEN);
    life.leaves(true, Some(notice(hours(1000))));
    life.now += Duration::from_hours(10_000);
    let moment = Moment::steady(life.now);
    let plan = life.with(|situation| situation.plan(moment, |_, _| SEEN));
    assert!(!plan.ends_departures);
    life.keyring.apply(&plan.changes).unwrap();
    assert_eq!(life.of(1).state, State::Active);
    // If the clock is right after all, the next look ends it.
    let moment = Moment::steady(life.now + Duration::from_hours(1));
    let plan = life.with(|situation| situation.plan(moment, |_, _| SEEN));
    assert!(plan.ends_departures);
    life.keyring.apply(&plan.changes).unwrap();
    assert_eq!(life.of(1).state, State::Draining);
}

#[test]
fn nothing_that_was_waiting_is_used_after_it_has_left() {
    let mut life = Life::new(&[State::Generated]);
    life.leaves(true, Some(notice(hours(1))));
    assert_eq!(life.look_and_note().0, Vec::<&str>::new());
    assert_eq!(life.next(1), (What::Configure, Level::Well));
    for _ in 0..3 {
        assert_eq!(life.look_and_note(), (vec![], 0));
        assert_eq!(life.of(1).state, State::Generated);
        assert_eq!(life.of(1).why, Some(Why::NotConfigured));
    }
}

#[test]
fn no_rotation_begins_and_none_is_overdue_while_it_leaves() {
    let timing = Timing {
        rotate_every: Duration::from_hours(30),
        ..TIMING
    };
    for (leaves, wanted) in [(false, 1), (true, 0)] {
        let mut life = Life::new(&[State::Active]);
        if leaves {
            life.leaves(true, Some(notice(hours(10_000))));
        }
        life.look(SEEN);
        let moment = Moment::steady(hours(1) + Duration::from_hours(3));
        let plan = life.with(|situation| {
            let situation = super::Situation {
                timing: &timing,
                ..situation
            };
            let rolled = situation.roll().len();
            assert_eq!(rolled, wanted);
            situation.plan(moment, |_, _| SEEN)
        });
        assert_eq!((plan.wanted.len(), plan.alarms.len()), (0, 0));
        let late = Moment::steady(hours(40));
        life.keyring = {
            let mut keyring = life.keyring.clone();
            let changes = life
                .with(|situation| situation.plan(Moment::steady(hours(39)), |_, _| SEEN))
                .changes;
            keyring.apply(&changes).unwrap();
            keyring
        };
        let plan = life.with(|situation| {
            let situation = super::Situation {
                timing: &timing,
                ..situation
            };
            situation.plan(late, |_, _| SEEN)
        });
        assert_eq!((plan.wanted.len(), plan.alarms.len()), (wanted, wanted));
    }
}

#[test]
fn a_key_that_is_stolen_while_it_leaves_gets_a_successor() {
    let mut life = Life::new(&[State::Active]);
    life.leaves(true, Some(notice(hours(100))));
    let changes = revoke(&life.keyring, &selector(1), NOW).unwrap();
    life.keyring.apply(&changes).unwrap();
    // Mail is to be signed until the grace is over.
    assert_eq!(life.look_and_note().1, 1);
    life.now = hours(98);
    life.look(SEEN);
    // After that nobody needs one, and nobody misses one.
    while !life.keyring.has_left(&name("een.example")) {
        life.look_and_note();
    }
    life.now += Duration::from_hours(1);
    let moment = Moment::steady(life.now);
    let plan = life.with(|situation| situation.plan(moment, |_, _| ABSENT));
    assert_eq!((plan.wanted.len(), plan.alarms), (0, vec![]));
}

#[test]
fn a_notice_that_is_taken_back_leaves_no_trace_or_lets_the_key_return() {
    let mut life = Life::new(&[State::Active]);
    life.leaves(true, Some(notice(hours(2))));
    life.look_and_note();
    life.leaves(true, None);
    for _ in 0..3 {
        assert_eq!(life.look_and_note(), (vec![], 0));
    }
    assert_eq!(life.next(1).0, What::MakeSuccessor);
    // Once more, and too late.
    life.leaves(true, Some(notice(life.now)));
    assert_eq!(life.look_and_note().0, ["left"]);
    life.leaves(true, None);
    assert_eq!(life.next(1), (What::Return, Level::Unsigned));
    assert_eq!(life.look_and_note(), (vec!["returned"], 0));
}

#[test]
fn of_two_notices_the_first_to_end_holds() {
    let mut departures = Departures::default();
    let (one, other) = (name("een.example"), name("twee.example"));
    departures.set(None, Some(notice(hours(10))));
    departures.set(Some(&one), Some(notice(hours(5))));
    assert_eq!(departures.of(&one).unwrap().until, hours(5));
    assert_eq!(departures.of(&other).unwrap().until, hours(10));
    assert_eq!(departures.ended_by(hours(4)), None);
    let mut ended = departures.ended_by(hours(6)).unwrap();
    assert_eq!(ended.of(&one).unwrap().ended, Some(hours(6)));
    assert_eq!(ended.of(&other).unwrap().ended, None);
    assert_eq!(ended.ended_by(hours(6)), None);
    ended.set(Some(&one), None);
    assert_eq!(ended.of(&one).unwrap().until, hours(10));
    ended.set(None, None);
    assert_eq!(ended, Departures::default());
    assert_eq!(Keyring::default().departure(&one), None);
}

#[test]
fn notices_that_nobody_can_read_are_not_taken_for_none() {
    // It has left, and its file is there: without the notice its key would come back.
    let mut life = Life::new(&[State::Active]);
    life.leaves(true, Some(notice(hours(1))));
    life.look_and_note();
    assert_eq!(life.of(1).state, State::Draining);
    life.keyring.set_departures(Departures::default());
    let mut known = life.keyring.clone();
    life.keyring
        .set_departures_problem("leaving.json: it is broken".to_owned());
    assert_eq!(life.look(SEEN), (vec![], 0));
    assert_eq!(life.of(1).state, State::Draining);
    std::mem::swap(&mut known, &mut life.keyring);
    assert_eq!(life.look(SEEN), (vec!["returned"], 0));
    // Nor does it get a new one.
    let mut life = Life::new(&[]);
    life.keyring
        .set_departures_problem("leaving.json: it is broken".to_owned());
    assert_eq!(life.look(SEEN), (vec![], 0));
}
