//! One history: an organisation, its keys, the DNS of its domains, a clock and an operator.

use std::time::Duration;

use jiff::Timestamp;
use zegel::{
    dkim::key::{Algorithm, Fingerprint},
    keys::{
        self, Change, ChangeRefusal, Clock, CommandError, Delegated, Event, Insistence, KeyEntry,
        Keyring, Moment, Publication, Reported, Sight, Situation, State, Timing, WantedKey,
    },
    names::{DomainName, Selector},
};

use super::{
    book::{Book, Counts, DOMAINS, Place, place},
    dns::Dns,
    random::Random,
};

const ALGORITHMS: [Algorithm; 2] = [Algorithm::RsaSha256, Algorithm::Ed25519Sha256];

pub(crate) struct World {
    random: Random,
    timing: Timing,
    check_every: u64,
    domains: Vec<DomainName>,
    /// Those of the others that the configuration has elsewhere.
    away: Vec<DomainName>,
    algorithms: Vec<Algorithm>,
    keyring: Keyring,
    dns: Dns,
    book: Book,
    /// Seconds since the beginning, that nothing can turn back.
    real: u64,
    /// What the wall clock is ahead.
    offset: i64,
    clock: Clock,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let check_every = random.one_of(&[1, 60, 3600]);
        let multiple = |random: &mut Random, most: u64| {
            Duration::from_secs(check_every) * u32::try_from(random.below(most)).unwrap()
        };
        let rotate_every = multiple(&mut random, 12) + Duration::from_secs(2 * check_every);
        let timing = Timing {
            check_every: Duration::from_secs(check_every),
            settle: Duration::from_secs(1) + multiple(&mut random, 3),
            drain: Duration::from_secs(1) + multiple(&mut random, 4),
            longest_expiry: multiple(&mut random, 3),
            rotate_every,
            lead_time: rotate_every / random.one_of(&[2, 3, 5]),
        };
        let domains = DOMAINS.map(|name| name.parse().unwrap());
        Self {
            domains: domains[..random.one_of(&[1, 1, 2, 3])].to_vec(),
            away: Vec::new(),
            algorithms: ALGORITHMS[..random.one_of(&[1, 1, 2])].to_vec(),
            keyring: Keyring::default(),
            dns: Dns::new(&mut random, check_every),
            book: Book::default(),
            real: 0,
            offset: 1_790_000_000,
            clock: Clock::Steady,
            check_every,
            timing,
            random,
        }
    }

    pub(crate) fn run(mut self) -> Counts {
        for _ in 0..8 + self.random.below(20) {
            self.pass_time();
            self.book.sign(&self.keyring, self.real);
            if !self.away.is_empty() && self.random.chance(250) {
                self.domains.append(&mut self.away);
            }
            match self.random.below(100) {
                0..=1 => self.restart(),
                2..=5 => self.jump(),
                6..=11 => self.operate(),
                12..=16 => self.reconfigure(),
                _ => {}
            }
            self.check_round();
            self.book.check_keyring(&self.keyring);
        }
        self.book.counts
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.offset + i64::try_from(self.real).unwrap()).unwrap()
    }

    fn situation(&self) -> Situation<'_> {
        Situation {
            keyring: &self.keyring,
            domains: &self.domains,
            incoming: &[],
            away: &self.away,
            algorithms: &self.algorithms,
            timing: &self.timing,
            delegated: Delegated::default(),
            reported: Reported::default(),
        }
    }

    fn pass_time(&mut self) {
        let every = self.check_every;
        let patience = self.timing.patience().as_secs();
        let odd = [
            0,
            1,
            every / 2,
            2 * every,
            patience,
            patience + 1,
            20 * every,
        ];
        self.real += if self.random.chance(200) {
            self.random.one_of(&odd)
        } else {
            every
        };
        self.dns.pass_time(&mut self.random, every);
    }

    fn restart(&mut self) {
        let json = self.keyring.to_json().unwrap();
        let again = Keyring::parse(&json).unwrap();
        assert_eq!(again, self.keyring);
        self.keyring = again;
        // While nobody looks the clock may go back by anything, or forth by a lot. A small
        // step forth in that time cannot be told from time that passes.
        self.clock = Clock::Steady;
        if self.random.chance(300) {
            let far = i64::try_from(self.timing.patience().as_secs()).unwrap() + 1;
            let back = -i64::try_from(self.random.below(50 * self.check_every)).unwrap();
            self.offset += self.random.one_of(&[far, 315_360_000, back, -31_536_000]);
            self.keep_clock_sane();
        }
    }

    fn jump(&mut self) {
        let small = i64::try_from(self.random.below(8 * self.check_every)).unwrap();
        let jumps = [small, -small, 315_360_000, -31_536_000, -1_000_000_000];
        self.offset += self.random.one_of(&jumps);
        self.keep_clock_sane();
        self.clock = Clock::Jumped;
    }

    fn keep_clock_sane(&mut self) {
        self.offset = self.offset.clamp(-1_000_000_000, 100_000_000_000);
    }

    /// The keeper looks at everything, plans and writes; then the administrators read what
    /// is asked of them.
    fn check_round(&mut self) {
        let places: Vec<Place> = self
            .situation()
            .watched()
            .map(|(key, domain)| place(&key.selector, domain))
            .collect();
        let mut sights: Vec<(Place, Sight)> = Vec::new();
        for place in places {
            let sight = self.dns.look(place, &mut self.random);
            self.book.look(place, sight, self.real);
            sights.push((place, sight));
        }
        let moment = Moment {
            now: self.now(),
            clock: std::mem::take(&mut self.clock),
        };
        let look = |selector: &Selector, domain: &DomainName| {
            let at = place(selector, domain);
            let mut sights = sights.iter();
            let sight = sights.find(|(place, _)| *place == at);
            sight.map_or(Sight::Unknown, |(_, sight)| *sight)
        };
        let mut plan = self.situation().plan(moment, look);
        if self.random.chance(10) {
            self.operate();
        }
        if let Err((_, refusal)) = self.keyring.apply(&plan.changes) {
            assert_eq!(refusal, ChangeRefusal::Stale);
            plan = self.situation().plan(moment, look);
            self.keyring.apply(&plan.changes).unwrap();
        }
        self.book.check_plan(&plan.changes, &self.timing, self.real);
        for wanted in plan.wanted {
            if !self.random.chance(100) {
                self.make(&wanted);
            }
        }
        self.administer();
    }

    fn make(&mut self, wanted: &WantedKey) {
        assert!(!wanted.domains.is_empty());
        let waits =
            |domain: &&DomainName| self.keyring.waiting_key(domain, wanted.algorithm).is_none();
        let domains: Vec<DomainName> = wanted.domains.iter().filter(waits).cloned().collect();
        if !domains.is_empty() {
            self.add(wanted.algorithm, &domains);
        }
    }

    fn add(&mut self, algorithm: Algorithm, domains: &[DomainName]) {
        let number = self.keyring.keys().len();
        let now = self.now();
        self.keyring.add(KeyEntry {
            selector: format!("s{number}").parse().unwrap(),
            algorithm,
            created: now,
            fingerprint: format!("{number:064x}").parse::<Fingerprint>().unwrap(),
            public_key: None,
            publications: domains
                .iter()
                .map(|domain| (domain.clone(), Publication::generated(now)))
                .collect(),
        });
    }

    fn administer(&mut self) {
        let mut asked = Vec::new();
        let situation = self.situation();
        for key in self.keyring.keys() {
            for (domain, publication) in &key.publications {
                let step = situation.next_step(key, domain);
                let at = place(&key.selector, domain);
                asked.push((at, step.what, publication.revocation.is_some()));
            }
        }
        for (place, what, revoked) in asked {
            if self.dns.administer(place, &what, &mut self.random) {
                self.book.given_up();
                if !revoked {
                    self.book.check_given_up(place, &self.timing, self.real);
                }
            }
        }
    }

    /// A domain or an algorithm comes or goes; the file comes back as it was, mostly.
    fn reconfigure(&mut self) {
        if self.random.chance(500) {
            let all = DOMAINS.map(|name| name.parse().unwrap());
            let (here, others) = all.split_at(self.random.one_of(&[0, 1, 2, 3]));
            self.domains = here.to_vec();
            // Claimed by another, parked, or missing from all files.
            self.away = others.to_vec();
            self.away.truncate(self.random.one_of(&[0, 3]));
        } else {
            self.algorithms = ALGORITHMS[..self.random.one_of(&[1, 2])].to_vec();
        }
    }

    fn operate(&mut self) {
        let keys = self.keyring.keys();
        let Some(index) = keys.len().checked_sub(1) else {
            return;
        };
        let index = self.random.below(index as u64 + 1);
        let selector = keys[usize::try_from(index).unwrap()].selector.clone();
        let now = self.now();
        let changes = match self.random.below(8) {
            0 => keys::revoke(&self.keyring, &selector, now),
            1 => keys::abort(&self.keyring, &selector, &self.domains, now),
            2 => self.withdraw(&selector, Insistence::WhenDue),
            3 => self.withdraw(&selector, Insistence::Force),
            4 => {
                for wanted in self.situation().roll() {
                    self.make(&wanted);
                }
                return;
            }
            5 => return self.assume(&selector),
            6 => return self.add_by_hand(),
            _ => return,
        };
        if let Ok(changes) = changes {
            self.keyring.apply(&changes).unwrap();
            self.note(&changes);
        }
    }

    /// What the operator answers for.
    fn note(&mut self, changes: &[Change]) {
        for change in changes {
            let at = place(&change.selector, &change.domain);
            if change.event == Event::Revoked {
                self.book.revoked();
            }
            if change
                .before
                .is_some_and(|before| before.withdrawal.is_none())
            {
                *self.book.forced.at(at) = true;
            }
        }
    }

    fn assume(&mut self, selector: &Selector) {
        let now = self.now();
        let changes = keys::activate(&self.keyring, selector, &self.domains, &self.timing, now);
        if let Ok(changes) = changes {
            self.keyring.apply(&changes).unwrap();
        }
    }

    fn withdraw(
        &self,
        selector: &Selector,
        insistence: Insistence,
    ) -> Result<Vec<Change>, CommandError> {
        keys::withdraw(
            &self.keyring,
            selector,
            &self.domains,
            insistence,
            self.now(),
        )
    }

    /// `zegel key generate`, whatever waits already.
    fn add_by_hand(&mut self) {
        let algorithm = self.random.one_of(&ALGORITHMS);
        let domains = self.domains.clone();
        let signs = |key: &KeyEntry| {
            key.publications
                .values()
                .any(|one| one.state == State::Active)
        };
        if self.keyring.keys().iter().any(signs) {
            self.add(algorithm, &domains);
        }
    }
}
