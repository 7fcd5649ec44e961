//! What may be spent on one zone, one record, one organisation: time and questions. What is
//! beyond is not asked, and nothing is concluded.
//!
//! A zone is in strangers' hands: it can name thousands of servers, silent or slow ones, and
//! lead on to other zones that do the same.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, timeout_at};

/// How long one zone may take when the record of one name in it is looked for: to find its
/// servers, and to ask them.
pub const ZONE_TIME: Duration = Duration::from_secs(20);
/// How many questions that may take. 13 servers with two addresses each need some 90.
pub const ZONE_QUESTIONS: u32 = 160;
/// How long one record may take, with all zones that aliases lead to.
pub const RECORD_TIME: Duration = Duration::from_secs(30);
/// How many questions that may take.
pub const RECORD_QUESTIONS: u32 = 480;
/// How long one organisation may take, whatever number of records it has.
pub const ORGANISATION_TIME: Duration = Duration::from_secs(40);
/// What each record adds to that; together at most the time from one look to the next.
const TIME_FOR_EACH: Duration = Duration::from_secs(1);
/// How many questions an organisation may take, whatever number of records it has.
const ORGANISATION_QUESTIONS: u32 = 960;
/// What each record adds to that.
const QUESTIONS_FOR_EACH: u32 = 64;

/// More than may be spent on something.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Excess(String);

/// As `the zone example.nl takes more than 160 questions`.
impl fmt::Display for Excess {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What is left for something.
#[derive(Debug)]
pub(super) struct Budget {
    /// What it is for, in words; may be found out later.
    what: OnceLock<String>,
    most: u32,
    left: AtomicU32,
    time: Duration,
    deadline: Instant,
    /// Of what this is a part: what is spent here is spent there too.
    above: Option<Arc<Self>>,
}

impl Budget {
    fn new(time: Duration, questions: u32, above: Option<Arc<Self>>) -> Self {
        Self {
            what: OnceLock::new(),
            most: questions,
            left: AtomicU32::new(questions),
            time,
            deadline: Instant::now() + time,
            above,
        }
    }

    /// For a look at an organisation with so many records, every so often.
    pub(super) fn of_organisation(records: usize, check_every: Duration) -> Self {
        let records = u32::try_from(records).unwrap_or(u32::MAX);
        let time = TIME_FOR_EACH.saturating_mul(records).min(check_every);
        let questions = QUESTIONS_FOR_EACH.saturating_mul(records);
        let questions = ORGANISATION_QUESTIONS.saturating_add(questions);
        let budget = Self::new(ORGANISATION_TIME + time, questions, None);
        budget.is_for("all records of the organisation together".to_owned());
        budget
    }

    /// For one record.
    pub(super) fn of_record(name: &str, above: Option<Arc<Self>>) -> Self {
        let budget = Self::new(RECORD_TIME, RECORD_QUESTIONS, above);
        budget.is_for(format!("{name} with its aliases"));
        budget
    }

    /// For the zone of a name in it.
    pub(super) fn of_zone(above: Option<Arc<Self>>) -> Self {
        Self::new(ZONE_TIME, ZONE_QUESTIONS, above)
    }

    /// Says what it is for, if that is not known yet.
    pub(super) fn is_for(&self, what: String) {
        self.what.get_or_init(|| what);
    }

    /// Spends one question.
    ///
    /// # Errors
    ///
    /// When there is none left, here or above.
    pub(super) fn spend(&self) -> Result<(), Excess> {
        if let Some(above) = &self.above {
            above.spend()?;
        }
        let less = |left: u32| left.checked_sub(1);
        let spent = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        match spent {
            Ok(_) => Ok(()),
            Err(_) => Err(self.excess(&format!("{} questions", self.most))),
        }
    }

    /// What the future gives, if that is in time here and above.
    ///
    /// # Errors
    ///
    /// When it is not.
    pub(super) async fn in_time<F: Future>(&self, future: F) -> Result<F::Output, Excess> {
        let first = self.first_to_end();
        let ended = timeout_at(first.deadline, future).await;
        ended.map_err(|_| first.excess(&format!("{} seconds", first.time.as_secs())))
    }

    /// Of this and those above, the one whose time is over first.
    fn first_to_end(&self) -> &Self {
        match self.above.as_deref().map(Self::first_to_end) {
            Some(above) if above.deadline < self.deadline => above,
            _ => self,
        }
    }

    fn excess(&self, number: &str) -> Excess {
        let what = self.what.get().map_or("the zone", String::as_str);
        Excess(format!(
            "{what}: more than {number}, so the rest is not asked"
        ))
    }
}

/// The longest that a look at one organisation can take.
pub fn longest_look(records: usize, check_every: Duration) -> Duration {
    Budget::of_organisation(records, check_every).time
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain() -> (Arc<Budget>, Arc<Budget>, Arc<Budget>) {
        let organisation = Budget::of_organisation(1, Duration::from_hours(1));
        let organisation = Arc::new(organisation);
        let above = Some(Arc::clone(&organisation));
        let record = Arc::new(Budget::of_record("s1._domainkey.a.example", above));
        let zone = Arc::new(Budget::of_zone(Some(Arc::clone(&record))));
        zone.is_for("the zone a.example".to_owned());
        (organisation, record, zone)
    }

    #[test]
    fn what_is_spent_in_a_zone_is_spent_above_and_not_beside() {
        let (organisation, record, zone) = chain();
        for _ in 0..ZONE_QUESTIONS {
            zone.spend().unwrap();
        }
        let excess = zone.spend().unwrap_err().to_string();
        assert!(
            excess.starts_with("the zone a.example: more than 160 questions"),
            "{excess}"
        );
        // Another zone of the same record has its own, until that of the record is spent.
        let mut spent = 0;
        let excess = loop {
            let other = Budget::of_zone(Some(Arc::clone(&record)));
            match (0..ZONE_QUESTIONS).try_for_each(|_| other.spend()) {
                Ok(()) => spent += 1,
                Err(excess) => break excess.to_string(),
            }
        };
        assert!(spent <= 2);
        assert!(
            excess.contains("s1._domainkey.a.example with its aliases"),
            "{excess}"
        );
        let another = Budget::of_record("b", Some(organisation));
        another.spend().unwrap();
    }

    #[tokio::test]
    async fn the_first_deadline_counts_and_is_named() {
        let budget = |what: &str, milliseconds, above| {
            let budget = Budget::new(Duration::from_millis(milliseconds), 1, above);
            budget.is_for(what.to_owned());
            Arc::new(budget)
        };
        let over = async |budget: &Budget| {
            let never = std::future::pending::<()>();
            budget.in_time(never).await.unwrap_err().to_string()
        };
        let above = budget("above", 20, None);
        let zone = budget("the zone", 1, Some(Arc::clone(&above)));
        assert!(
            over(&zone)
                .await
                .starts_with("the zone: more than 0 seconds")
        );
        let other = budget("another zone", 60_000, Some(above));
        assert!(over(&other).await.starts_with("above: more than 0 seconds"));
        let free = budget("free", 60_000, None);
        assert_eq!(free.in_time(async { 1 }).await, Ok(1));
        let (organisation, record, zone) = chain();
        assert!(zone.deadline < record.deadline && record.deadline < organisation.deadline);
    }

    #[test]
    fn a_look_is_over_before_the_next_one_matters() {
        for minutes in [1, 60] {
            let every = Duration::from_mins(minutes);
            for records in [0, 1, 10, 1_000, 1_000_000] {
                let longest = longest_look(records, every);
                assert!(longest <= ORGANISATION_TIME + every);
                assert!(longest <= every.saturating_mul(2), "{longest:?}");
            }
        }
    }

    #[test]
    fn the_documented_numbers_are_these() {
        let page = include_str!("../../docs/rotation.md");
        let zone = format!("| {} s | {ZONE_QUESTIONS} |", ZONE_TIME.as_secs());
        let record = format!("| {} s | {RECORD_QUESTIONS} |", RECORD_TIME.as_secs());
        let (time, each) = (ORGANISATION_TIME.as_secs(), TIME_FOR_EACH.as_secs());
        let organisation = format!(
            "| {time} s, and {each} s for each record, but at most `check_every` more | \
             {ORGANISATION_QUESTIONS}, and {QUESTIONS_FOR_EACH} for each record |"
        );
        let longest = format!("is {} s for each name", ZONE_TIME.as_secs());
        for text in [zone, record, organisation, longest] {
            assert!(page.contains(&text), "{text}");
        }
    }
}
