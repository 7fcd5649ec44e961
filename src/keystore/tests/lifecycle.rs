//! Plans that are written to disk, and keyrings of before there were any.

use std::time::Duration;

use super::*;
use crate::keys::{
    AlarmKind, Change, CommandError, Delegated, Event, Insistence, Moment, Revocation, Sight,
    Situation, What, Withdrawal, abort, revoke, withdraw,
};

const HOUR: Duration = Duration::from_hours(1);
const ALGORITHMS: [Algorithm; 1] = [Algorithm::Ed25519Sha256];
const EVERYWHERE: Sight = Sight::Everywhere {
    ttl: HOUR,
    negative_ttl: Duration::from_mins(5),
};
const ABSENT: Sight = Sight::Absent {
    negative_ttl: Duration::from_mins(5),
};

/// The organisation `een` with the domain `een.nl`, and a clock in hours.
struct Life {
    fixture: Fixture,
    domains: Vec<DomainName>,
    hour: i64,
}

impl Life {
    /// With `s1` in DNS and signing.
    fn started() -> Self {
        let fixture = Fixture::new();
        let mut life = Self {
            fixture,
            domains: domains(&["een.nl"]),
            hour: 0,
        };
        assert_eq!(life.make_wanted("s1"), 1);
        assert_eq!(life.round(ABSENT), [Event::Checked]);
        assert_eq!(life.round(EVERYWHERE), [Event::Published]);
        assert_eq!(life.next("s1").when, Some(second(life.hour * 3600 + 600)));
        let activated = Event::Activated { instead_of: None };
        assert_eq!(life.round(EVERYWHERE), [activated]);
        life
    }

    fn now(&self) -> Timestamp {
        second(self.hour * 3600)
    }

    fn keyring(&self) -> Keyring {
        self.fixture.keystore.read_keyring(&id("een")).unwrap()
    }

    fn with_situation<T>(&self, ask: impl FnOnce(Situation<'_>) -> T) -> T {
        let keyring = self.keyring();
        ask(Situation {
            keyring: &keyring,
            domains: &self.domains,
            incoming: &[],
            away: &[],
            algorithms: &ALGORITHMS,
            timing: &TIMING,
            delegated: Delegated::default(),
            reported: crate::keys::Reported::default(),
        })
    }

    fn next(&self, selector: &str) -> crate::keys::NextStep {
        let domain = &self.domains[0];
        self.with_situation(|now| now.next_step(now.keyring.key(&name(selector)).unwrap(), domain))
    }

    /// An hour later.
    fn round(&mut self, sight: Sight) -> Vec<Event> {
        self.hour += 1;
        let moment = Moment::steady(self.now());
        let plan = self.with_situation(|now| now.plan(moment, |_, _| sight));
        assert_eq!(self.apply(&plan.changes).unwrap(), 0);
        plan.changes
            .into_iter()
            .map(|change| change.event)
            .collect()
    }

    fn apply(&self, changes: &[Change]) -> Result<usize, KeystoreError> {
        let mut writer = self.fixture.keystore.writer().unwrap();
        writer
            .apply(&id("een"), changes, Timestamp::now())
            .map(|unusable| unusable.len())
    }

    /// How many keys were wanted; the first of them is made.
    fn make_wanted(&mut self, selector: &str) -> usize {
        let moment = Moment::steady(self.now());
        let wanted = self.with_situation(|now| now.plan(moment, |_, _| Sight::Unknown).wanted);
        if let Some(wanted) = wanted.first() {
            let organisation = organisation(selector);
            let key = NewKey::generate(wanted.algorithm, 0).unwrap();
            let mut writer = self.fixture.keystore.writer().unwrap();
            let mut add = || writer.add_wanted(&organisation, wanted, &key, self.now());
            assert_eq!(add().unwrap().unwrap().selector, name(selector));
            assert!(add().unwrap().is_none());
        }
        wanted.len()
    }

    fn publication(&self, selector: &str) -> Publication {
        self.keyring().key(&name(selector)).unwrap().publications["een.nl"]
    }
}

#[test]
fn a_key_lives_and_gives_way_to_the_next() {
    let mut life = Life::started();
    let since = life.hour;
    assert_eq!(life.next("s1").what, What::MakeSuccessor);
    assert_eq!(life.next("s1").when, Some(second((since + 80) * 3600)));
    while life.hour < since + 79 {
        assert_eq!(life.round(EVERYWHERE), [Event::Checked]);
        assert_eq!(life.make_wanted("s2"), 0);
    }
    let generation = life.fixture.keystore.generation().unwrap();
    assert_eq!(life.round(EVERYWHERE), [Event::Checked]);
    assert_eq!(life.fixture.keystore.generation().unwrap(), generation);
    assert_eq!(life.make_wanted("s2"), 1);
    assert_eq!(life.make_wanted("s3"), 0);
    assert_eq!(life.next("s1").what, What::AwaitSuccessor(name("s2")));

    life.round(EVERYWHERE);
    let draining = Event::Draining {
        successor: name("s2"),
    };
    let instead_of = Some(name("s1"));
    assert_eq!(
        life.round(EVERYWHERE),
        [draining, Event::Activated { instead_of }]
    );
    // Five hours of drain, and a TTL of one.
    let until = second((life.hour + 6) * 3600);
    assert_eq!(life.publication("s1").drain_until, Some(until));
    assert_eq!(life.next("s1").what, What::KeepRecord);
    for _ in 0..5 {
        assert_eq!(life.round(EVERYWHERE), [Event::Checked, Event::Checked]);
    }
    // The state is the same, but a signer with s1 in the place of s2 has to hear of it.
    let generation = life.fixture.keystore.generation().unwrap();
    assert_eq!(life.round(EVERYWHERE)[0], Event::WithdrawalAsked);
    assert_eq!(life.fixture.keystore.generation().unwrap(), generation + 1);
    assert_eq!(life.next("s1").what, What::EmptyRecord);
    assert_eq!(life.round(EVERYWHERE)[0], Event::Checked);
    assert_eq!(life.fixture.keystore.generation().unwrap(), generation + 1);
    assert_eq!(life.round(Sight::RevokedEverywhere)[0], Event::Withdrawn);
    assert_eq!(life.next("s1").what, What::RemoveRecord);
    assert_eq!(life.round(ABSENT)[0], Event::RecordGone);
    assert_eq!(life.publication("s1").withdrawal, Some(Withdrawal::Gone));
    assert_eq!(life.next("s2").what, What::RestoreRecord);
}

#[test]
fn a_plan_that_is_too_old_changes_nothing() {
    let life = Life::started();
    let moment = Moment::steady(second((life.hour + 1) * 3600));
    let plan = life.with_situation(|now| now.plan(moment, |_, _| EVERYWHERE));
    let revoked = revoke(&life.keyring(), &name("s1"), moment.now).unwrap();
    life.apply(&revoked).unwrap();
    let before = (life.keyring(), life.fixture.keystore.generation().unwrap());
    let error = life.apply(&plan.changes).unwrap_err().to_string();
    assert_eq!(
        error,
        "een: s1, for een.nl: the key was changed by someone else in the meantime; \
         nothing was changed"
    );
    let after = (life.keyring(), life.fixture.keystore.generation().unwrap());
    assert_eq!(after, before);
}

#[test]
fn a_key_without_a_file_does_not_take_over() {
    let mut life = Life::started();
    life.hour += 80;
    life.round(EVERYWHERE);
    life.round(EVERYWHERE);
    assert_eq!(life.make_wanted("s2"), 1);
    life.round(EVERYWHERE);
    fs::remove_file(life.fixture.path("een/s2.pem")).unwrap();
    life.hour += 1;
    let moment = Moment::steady(life.now());
    let plan = life.with_situation(|now| now.plan(moment, |_, _| EVERYWHERE));
    assert_eq!(plan.changes.len(), 2);
    assert_eq!(life.apply(&plan.changes).unwrap(), 1);
    assert_eq!(life.publication("s1").state, State::Active);
    assert_eq!(life.publication("s2").state, State::Published);
}

#[test]
fn commands_do_what_may_be_done() {
    let life = Life::started();
    let (keyring, s1) = (life.keyring(), name("s1"));
    let signing = Err(CommandError::Signing {
        selector: s1.clone(),
        domain: life.domains[0].clone(),
    });
    assert_eq!(abort(&keyring, &s1, &life.domains, life.now()), signing);
    for insistence in [Insistence::WhenDue, Insistence::Force] {
        let withdrawn = withdraw(&keyring, &s1, &life.domains, insistence, life.now());
        assert_eq!(withdrawn, signing);
    }
    let changes = revoke(&keyring, &s1, life.now()).unwrap();
    life.apply(&changes).unwrap();
    assert_eq!(
        life.publication("s1").revocation,
        Some(Revocation::Compromised)
    );
    assert!(revoke(&life.keyring(), &s1, life.now()).is_err());
    let wanted = life.with_situation(|now| now.roll());
    assert_eq!(wanted.len(), 1);
    let unknown = revoke(&keyring, &name("s9"), life.now());
    assert_eq!(unknown, Err(CommandError::UnknownKey(name("s9"))));
}

#[test]
fn withdrawing_early_takes_insistence() {
    let life = Life::started();
    life.fixture.generate("een", "s2");
    let (organisation, s2) = (id("een"), name("s2"));
    let target = target(&organisation, &s2, &life.domains);
    let keystore = &life.fixture.keystore;
    keystore.activate(&target, &TIMING, life.now()).unwrap();
    let (keyring, s1) = (life.keyring(), name("s1"));
    let refused = withdraw(
        &keyring,
        &s1,
        &life.domains,
        Insistence::WhenDue,
        life.now(),
    );
    assert!(matches!(refused, Err(CommandError::NotDrained { .. })));
    let changes = withdraw(&keyring, &s1, &life.domains, Insistence::Force, life.now()).unwrap();
    life.apply(&changes).unwrap();
    assert_eq!(life.publication("s1").state, State::Withdrawn);
}

#[test]
fn a_change_without_evidence_is_refused() {
    let life = Life::started();
    life.fixture.generate("een", "s2");
    let keystore = &life.fixture.keystore;
    let before = life.publication("s1");
    let change = |after, event| Change {
        selector: name("s1"),
        domain: life.domains[0].clone(),
        before: Some(before),
        after,
        event,
    };
    let mut draining = before;
    draining.state = State::Draining;
    let successor = name("s2");
    let lonely = change(draining, Event::Draining { successor });
    let error = life.apply(&[lonely]).unwrap_err().to_string();
    assert!(error.contains("left without a key"), "{error}");
    let mut back = before;
    back.state = State::Generated;
    assert!(life.apply(&[change(back, Event::Unpublished)]).is_err());
    assert_eq!(keystore.read_keyring(&id("een")).unwrap(), life.keyring());
}

#[test]
fn a_clock_that_jumps_takes_no_step_but_tells_what_the_dates_say() {
    let mut life = Life::started();
    life.hour += 87_600;
    life.round(EVERYWHERE);
    let jumped = Moment::steady(second((life.hour + 87_600) * 3600));
    let plan = life.with_situation(|now| now.plan(jumped, |_, _| EVERYWHERE));
    assert!(plan.wanted.is_empty());
    let kinds: Vec<AlarmKind> = plan.alarms.iter().map(|alarm| alarm.kind).collect();
    assert!(kinds.contains(&AlarmKind::RotationOverdue), "{kinds:?}");
    assert_eq!(life.make_wanted("s2"), 1);
}

#[test]
fn a_stolen_key_that_can_be_seen_is_an_alarm() {
    let mut life = Life::started();
    let changes = revoke(&life.keyring(), &name("s1"), life.now()).unwrap();
    life.apply(&changes).unwrap();
    life.hour += 1;
    let kinds = |sight| {
        let plan = life.with_situation(|now| now.plan(Moment::steady(life.now()), |_, _| sight));
        let kinds = plan.alarms.iter().map(|alarm| alarm.kind);
        kinds.collect::<Vec<_>>()
    };
    let (stolen, none) = (AlarmKind::CompromisedSeen, AlarmKind::NoActiveKey);
    assert_eq!(kinds(EVERYWHERE), [stolen, none]);
    assert_eq!(kinds(Sight::Partly), [stolen, none]);
    assert_eq!(kinds(Sight::RevokedEverywhere), [none]);
    assert_eq!(kinds(ABSENT), [none]);
}
