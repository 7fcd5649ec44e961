//! The promises, held against a book of our own in real time.

use std::time::Duration;

use zegel::{
    dkim::Algorithm,
    keys::{Change, Event, Keyring, LONGEST_TTL, Revocation, Sight, State, Timing, Withdrawal},
    names::{DomainName, Selector},
};

/// Which key (its number), for which domain (its place in [`DOMAINS`]).
pub(crate) type Place = (usize, usize);

/// All domains that the organisation may have.
pub(crate) const DOMAINS: [&str; 3] = ["drie.nl", "een.nl", "twee.nl"];

/// The place of a key that has its number in its selector.
pub(crate) fn place(selector: &Selector, domain: &DomainName) -> Place {
    let number = selector.as_str()[1..].parse().unwrap();
    let domain = DOMAINS.iter().position(|name| *name == domain.as_str());
    (number, domain.unwrap())
}

/// Something for each place.
#[derive(Default)]
pub(crate) struct Table<T>(Vec<[T; DOMAINS.len()]>);

impl<T: Copy + Default> Table<T> {
    pub(crate) fn get(&self, (key, domain): Place) -> T {
        self.0.get(key).map_or_else(T::default, |row| row[domain])
    }

    pub(crate) fn at(&mut self, (key, domain): Place) -> &mut T {
        if self.0.len() <= key {
            self.0.resize(key + 1, [T::default(); DOMAINS.len()]);
        }
        &mut self.0[key][domain]
    }

    pub(crate) fn all(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut().flatten()
    }
}

/// How often the things happened that this is about.
#[derive(Debug, Default)]
pub(crate) struct Counts([u64; 11]);

const NAMES: [&str; 11] = [
    "published",
    "unpublished",
    "activated after seen",
    "taken over",
    "withdrawal asked",
    "withdrawn",
    "record gone",
    "revoked",
    "given up by an administrator",
    "left",
    "came back",
];

impl Counts {
    pub(crate) fn add(&mut self, other: &Self) {
        for (count, other) in self.0.iter_mut().zip(other.0) {
            *count += other;
        }
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (&'static str, u64)> {
        NAMES.into_iter().zip(self.0)
    }

    fn count(&mut self, event: &Event) {
        let index = match event {
            Event::Published => 0,
            Event::Unpublished => 1,
            Event::Activated { .. } => 2,
            Event::Draining { .. } => 3,
            Event::WithdrawalAsked => 4,
            Event::Withdrawn => 5,
            Event::RecordGone => 6,
            Event::Revoked => 7,
            Event::Left => 9,
            Event::Returned => 10,
            Event::Checked | Event::Added | Event::WithdrawnByWord => return,
        };
        self.0[index] += 1;
    }
}

/// What really happened, in seconds that no clock can turn back.
#[derive(Default)]
pub(crate) struct Book {
    /// Since when a record was seen everywhere at each look that showed anything.
    seen: Table<Streak>,
    sights: Table<Option<Sight>>,
    /// When the last message was signed, and the longest TTL that was seen until then.
    signed: Table<Option<(u64, Option<Duration>)>>,
    /// Given up at the operator's word, who answers for it.
    pub(crate) forced: Table<bool>,
    /// For each algorithm: the domains that have a key.
    active: [[bool; DOMAINS.len()]; 2],
    selectors: Vec<Selector>,
    pub(crate) counts: Counts,
}

#[derive(Clone, Copy, Default)]
struct Streak {
    since: Option<u64>,
    negative_ttl: Duration,
    ttl: Option<Duration>,
}

impl Book {
    pub(crate) fn look(&mut self, place: Place, sight: Sight, real: u64) {
        *self.sights.at(place) = Some(sight);
        let streak = self.seen.at(place);
        match sight {
            Sight::Everywhere { ttl, negative_ttl } => {
                streak.since = streak.since.or(Some(real));
                streak.negative_ttl = streak.negative_ttl.max(negative_ttl.min(LONGEST_TTL));
                streak.ttl = streak.ttl.max(Some(ttl.min(LONGEST_TTL)));
            }
            Sight::Unknown => {}
            Sight::Absent { negative_ttl } => {
                streak.since = None;
                streak.negative_ttl = negative_ttl.min(LONGEST_TTL);
            }
            _ => streak.since = None,
        }
    }

    /// What the machine wants to do after these looks.
    pub(crate) fn check_plan(&mut self, changes: &[Change], timing: &Timing, real: u64) {
        for change in changes {
            let place = place(&change.selector, &change.domain);
            self.counts.count(&change.event);
            match &change.event {
                Event::Activated { .. } => self.check_activation(place, timing, real),
                Event::Published => {
                    let sight = self.sights.get(place);
                    assert!(
                        matches!(sight, Some(Sight::Everywhere { .. })),
                        "{change:?}"
                    );
                }
                Event::Draining { .. } => self.sign_one(place, real),
                Event::Left => {
                    self.sign_one(place, real);
                    self.left(change);
                }
                Event::Returned => {
                    let before = change.before.unwrap();
                    assert!(before.left.is_some() && before.withdrawal.is_none());
                    assert_eq!(before.revocation, None);
                    let sight = self.sights.get(place);
                    let seen = matches!(sight, Some(Sight::Everywhere { .. }));
                    assert!(seen, "a fresh look: {change:?}");
                }
                Event::WithdrawalAsked => self.check_given_up(place, timing, real),
                Event::Withdrawn => {
                    let sight = self.sights.get(place);
                    let gone =
                        matches!(sight, Some(Sight::Absent { .. } | Sight::RevokedEverywhere));
                    assert!(gone, "{change:?}");
                    let before = change.before.unwrap();
                    let asked = before.withdrawal == Some(Withdrawal::Asked);
                    assert!(asked || before.state == State::Revoked, "{change:?}");
                }
                _ => {}
            }
            if self.sights.get(place) == Some(Sight::Unknown) && change.moves() {
                let taken_over = matches!(change.event, Event::Draining { .. } | Event::Left);
                assert!(taken_over, "unknown is not bad, and not good: {change:?}");
            }
        }
        self.sights.all().for_each(|sight| *sight = None);
    }

    /// The domain is without a key, for the operator says so.
    fn left(&mut self, change: &Change) {
        let (_, index) = place(&change.selector, &change.domain);
        for active in &mut self.active {
            active[index] = false;
        }
    }

    fn check_activation(&self, place: Place, timing: &Timing, real: u64) {
        let streak = self.seen.get(place);
        let since = streak.since.expect("an active key was seen everywhere");
        let wait = timing.settle.max(streak.negative_ttl).as_secs();
        assert!(real - since >= wait, "{place:?}: {real} {since} {wait}");
    }

    /// That no message is on its way that needs the record.
    pub(crate) fn check_given_up(&self, place: Place, timing: &Timing, real: u64) {
        let Some((signed, ttl)) = self.signed.get(place).filter(|_| !self.forced.get(place)) else {
            return;
        };
        let ttl = ttl.unwrap_or(Duration::from_hours(24));
        let needed = (timing.drain + timing.longest_expiry + ttl).as_secs();
        assert!(
            real - signed >= needed,
            "{place:?}: {real} {signed} {needed}"
        );
    }

    /// Signs a message with each key that is active.
    pub(crate) fn sign(&mut self, keyring: &Keyring, real: u64) {
        for key in keyring.keys() {
            for (domain, publication) in &key.publications {
                if publication.state == State::Active {
                    self.sign_one(place(&key.selector, domain), real);
                }
            }
        }
    }

    fn sign_one(&mut self, place: Place, real: u64) {
        *self.signed.at(place) = Some((real, self.seen.get(place).ttl));
    }

    /// What holds at any time.
    pub(crate) fn check_keyring(&mut self, keyring: &Keyring) {
        let mut active = [[false; DOMAINS.len()]; 2];
        let mut revoked = active;
        for key in keyring.keys() {
            let algorithm = usize::from(key.algorithm == Algorithm::Ed25519Sha256);
            for (domain, publication) in &key.publications {
                let (_, index) = place(&key.selector, domain);
                if publication.state == State::Active {
                    assert!(!active[algorithm][index], "{domain} has two keys");
                    active[algorithm][index] = true;
                }
                revoked[algorithm][index] |=
                    publication.revocation == Some(Revocation::Compromised);
            }
        }
        for algorithm in 0..2 {
            for (index, domain) in DOMAINS.iter().enumerate() {
                let had = self.active[algorithm][index];
                let has = active[algorithm][index] || revoked[algorithm][index];
                assert!(has || !had, "{domain} was left without a key");
            }
        }
        self.active = active;
        let mut keys = keyring.keys().iter().map(|key| &key.selector);
        let kept = self
            .selectors
            .iter()
            .all(|selector| keys.next() == Some(selector));
        assert!(kept, "a key is forgotten");
        for selector in keys {
            assert!(!self.selectors.contains(selector), "a selector twice");
            self.selectors.push(selector.clone());
        }
    }

    pub(crate) fn revoked(&mut self) {
        self.counts.count(&Event::Revoked);
    }

    pub(crate) fn given_up(&mut self) {
        self.counts.0[8] += 1;
    }
}
