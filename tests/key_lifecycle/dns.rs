//! The DNS of the customers, and those who administer it.

use std::time::Duration;

use zegel::keys::{Sight, What};

use super::{
    book::{Place, Table},
    random::Random,
};

/// What is really in DNS at one name.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Record {
    #[default]
    Nothing,
    Lagging,
    Present,
    Empty,
    Wrong,
}

/// All names, and how their administrators work.
pub(crate) struct Dns {
    records: Table<Record>,
    ttl: u64,
    negative_ttl: u64,
    /// How often in a thousand an administrator does what is asked at a check.
    pub(crate) diligence: u64,
    /// How often in a thousand something in DNS goes wrong by itself.
    pub(crate) trouble: u64,
    /// How often in a thousand a server does not answer.
    pub(crate) silence: u64,
}

impl Dns {
    pub(crate) fn new(random: &mut Random, check_every: u64) -> Self {
        let calm = random.chance(400);
        Self {
            records: Table::default(),
            ttl: random.below(2 * check_every),
            negative_ttl: random.below(2 * check_every),
            diligence: if calm { 900 } else { 300 },
            trouble: if calm { 2 } else { 60 },
            silence: if calm { 10 } else { 150 },
        }
    }

    pub(crate) fn record(&self, place: Place) -> Record {
        self.records.get(place)
    }

    pub(crate) fn look(&self, place: Place, random: &mut Random) -> Sight {
        if random.chance(self.silence) {
            return Sight::Unknown;
        }
        let (ttl, negative_ttl) = (
            Duration::from_secs(self.ttl),
            Duration::from_secs(self.negative_ttl),
        );
        match self.record(place) {
            Record::Nothing => Sight::Absent { negative_ttl },
            Record::Lagging => Sight::Partly,
            Record::Present => Sight::Everywhere { ttl, negative_ttl },
            Record::Empty => Sight::RevokedEverywhere,
            Record::Wrong => Sight::Wrong,
        }
    }

    /// The administrator reads what comes next, and perhaps does it. True when a record is
    /// given up because of that.
    pub(crate) fn administer(&mut self, place: Place, what: &What, random: &mut Random) -> bool {
        if random.chance(self.trouble) {
            let trouble = [
                Record::Nothing,
                Record::Lagging,
                Record::Wrong,
                Record::Empty,
            ];
            let record = random.one_of(&trouble);
            *self.records.at(place) = record;
            return false;
        }
        if !random.chance(self.diligence) {
            return false;
        }
        let (record, given_up) = match what {
            What::PublishRecord
            | What::MendRecord
            | What::Unrevoke
            | What::RestoreRecord
            | What::RestoreDrainingRecord => {
                (random.one_of(&[Record::Present, Record::Lagging]), false)
            }
            What::Look if random.chance(500) => (Record::Present, false),
            What::EmptyRecord => (random.one_of(&[Record::Empty, Record::Nothing]), true),
            What::RemoveRecord | What::Forget => (Record::Nothing, true),
            _ => return false,
        };
        *self.records.at(place) = record;
        given_up
    }

    /// A secondary catches up; a zone gets another TTL.
    pub(crate) fn pass_time(&mut self, random: &mut Random, check_every: u64) {
        for record in self.records.all() {
            if *record == Record::Lagging && random.chance(700) {
                *record = Record::Present;
            }
        }
        if random.chance(30) {
            self.ttl = random.below(3 * check_every);
            self.negative_ttl = random.below(3 * check_every);
        }
        if random.chance(2) {
            self.ttl = u64::from(u32::MAX);
        }
    }
}
