//! Collects from the signers how much mail they did not sign, and why, for `zegel org unsigned`.
//! A signer forgets that at its end; here it stays for [`tally::DAYS`] days. What they know of
//! organisations beyond the keyrings goes to the hooks.
//!
//! It works beside the rounds, which never wait for it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::{Timestamp, civil::Date};
use tokio::{
    sync::{Notify, watch},
    task::{JoinSet, spawn_blocking},
    time::{Instant, sleep},
};

use crate::{
    config::{Settings, Signers},
    http::{Endpoint, LookError, Patience},
    keystore::Keystore,
    observe::{
        status::{Ask, Role, SignerFacts, SignerFigures, SignerStatus},
        tally::{self, Day},
    },
};

/// From one look to the next.
const EVERY: Duration = Duration::from_mins(1);
/// What one signer may take. 100,000 organisations make some 10 MB.
const PATIENCE: Patience = Patience {
    time: Duration::from_secs(5),
    octets: 64 * 1024 * 1024,
};
/// Where nothing changes, this often is written until when that is known.
const SIGN_OF_LIFE: Duration = Duration::from_hours(1);

/// What the signers know of organisations, by the id; none before they were asked.
pub(super) type Facts = Option<Arc<BTreeMap<String, SignerFacts>>>;

/// Those who are asked, and what is known so far.
pub(super) struct Collector {
    keystore: Keystore,
    signers: Vec<Endpoint>,
    /// None before it is read.
    day: Option<Day>,
    written: Option<Instant>,
    /// What was last said of the files, so that it is said once.
    complaint: String,
    facts: watch::Sender<Facts>,
}

impl Collector {
    /// None if there is nobody to ask. `facts` are told to whoever wants to know.
    pub(super) fn new(
        settings: &Settings,
        keystore: &Keystore,
        facts: watch::Sender<Facts>,
    ) -> Option<Self> {
        let signers: Vec<Endpoint> = match &settings.keeper.signers {
            Signers::ThisHost => Endpoint::of(&settings.http).into_iter().collect(),
            Signers::Listed(signers) => signers.iter().map(Endpoint::of_signer).collect(),
        };
        (!signers.is_empty()).then(|| Self {
            keystore: keystore.clone(),
            signers,
            day: None,
            written: None,
            complaint: String::new(),
            facts,
        })
    }

    /// Looks every minute, and when someone wants it now, until it is dropped. What is written is
    /// written whole.
    pub(super) async fn work(mut self, wish: Arc<Notify>) {
        loop {
            self.collect().await;
            self.tell_facts();
            tokio::select! {
                () = sleep(EVERY) => {}
                () = wish.notified() => {}
            }
        }
    }

    async fn collect(&mut self) {
        let now = Timestamp::now();
        let before = self.day.as_ref().map(|day| day.day);
        let Some(mut day) = self.take_day(now).await else {
            return;
        };
        let mut has_changed = before != Some(day.day);
        let names: Vec<String> = self.signers.iter().map(Endpoint::to_string).collect();
        day.retain(|signer| names.iter().any(|name| name == signer));
        for (signer, answer) in self.ask().await {
            let now = Timestamp::now();
            has_changed |= match answer {
                Ok(figures) => {
                    if day.silent.contains_key(&signer) {
                        tracing::info!(signer, "the signer answers again: its mail is counted");
                    }
                    day.add(&signer, &figures, now)
                }
                Err(error) => {
                    let is_new = day.miss(&signer, now);
                    if is_new {
                        let error = error.of(Role::Signer, &signer);
                        tracing::warn!(
                            "{error}; what it does not sign is not counted until it answers"
                        );
                    }
                    is_new
                }
            };
        }
        let is_due = self.written.is_none_or(|at| at.elapsed() >= SIGN_OF_LIFE);
        if has_changed || is_due {
            self.write(&day, Timestamp::now()).await;
        }
        self.day = Some(day);
    }

    /// What is not known yet is nothing: nobody waits for it any longer.
    fn tell_facts(&self) {
        let facts = self.day.as_ref().map(Day::facts).unwrap_or_default();
        self.facts.send_if_modified(|known| {
            let is_new = known.as_deref() != Some(&facts);
            if is_new {
                *known = Some(Arc::new(facts));
            }
            is_new
        });
    }

    /// All of them at the same time.
    async fn ask(&self) -> Vec<(String, Result<SignerFigures, LookError>)> {
        let mut asked = JoinSet::new();
        for signer in &self.signers {
            let signer = signer.clone();
            asked.spawn(async move {
                let path = format!("/status.json?{}", Ask::default());
                let look = signer.look_within::<SignerStatus>(Role::Signer, &path, PATIENCE);
                let figures = look.await.map(|status| status.figures);
                (signer.to_string(), figures)
            });
        }
        asked.join_all().await
    }

    /// What is known of the day of this moment; none if it can't be read, which is said.
    async fn take_day(&mut self, now: Timestamp) -> Option<Day> {
        let known = self.day.take();
        let date = known.as_ref().map(|day| day.day);
        // Nobody else writes the files: within a day they tell nothing new.
        if date == Some(tally::day_of(now)) {
            return known;
        }
        let keystore = self.keystore.clone();
        let read = spawn_blocking(move || read(&keystore, date, now)).await;
        match read.unwrap_or_else(|error| Err(error.to_string())) {
            Ok((to_come, stored)) => Some(Day::resume(known.or(to_come), stored, now)),
            Err(error) => {
                self.day = known;
                self.complain(error);
                None
            }
        }
    }

    async fn write(&mut self, day: &Day, now: Timestamp) {
        let (keystore, date, latest) = (self.keystore.clone(), day.day, tally::latest(now));
        let most = usize::try_from(tally::DAYS).unwrap_or(usize::MAX);
        let written = match day.to_json() {
            Ok(json) => spawn_blocking(move || {
                let written = keystore.write_counts(date, &json, latest, most);
                written.map_err(|error| error.to_string())
            })
            .await
            .unwrap_or_else(|error| Err(error.to_string())),
            Err(error) => Err(error.to_string()),
        };
        match written {
            Ok(()) => {
                self.written = Some(Instant::now());
                self.complaint.clear();
            }
            Err(error) => {
                // The next time writes it all.
                self.written = None;
                self.complain(error);
            }
        }
    }

    fn complain(&mut self, error: String) {
        if self.complaint != error {
            tracing::warn!("mail that is not signed can't be counted: {error}");
            self.complaint = error;
        }
    }
}

/// What [`Day::resume`] needs of the files: one whose day is yet to come, if no day is `known`, and
/// the last of the others, if it tells more than the known one.
fn read(
    keystore: &Keystore,
    known: Option<Date>,
    now: Timestamp,
) -> Result<(Option<Day>, Option<Day>), String> {
    let latest = tally::latest(now);
    let days = keystore.counted_days().map_err(|error| error.to_string())?;
    let last = days.iter().rev().find(|day| **day <= latest).copied();
    let is_wanted = |last: &Date| known.is_none_or(|known| known > latest || known < *last);
    let last = last.filter(is_wanted);
    let stored = last.map(|day| read_day(keystore, day)).transpose()?;
    let to_come = days.last().copied();
    let to_come = to_come.filter(|day| known.is_none() && *day > latest);
    // Without it, less is known of the signers; that is no reason to count nothing.
    let to_come = to_come.and_then(|day| read_day(keystore, day).ok());
    Ok((to_come.flatten(), stored.flatten()))
}

fn read_day(keystore: &Keystore, date: Date) -> Result<Option<Day>, String> {
    let content = keystore.read_counts(date);
    let Some(content) = content.map_err(|error| error.to_string())? else {
        return Ok(None);
    };
    let day = Day::parse(&content).map_err(|error| {
        let place = keystore.counts_place(date);
        format!("{place}: {error}; without the file it is counted anew")
    })?;
    Ok(Some(day))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collector(keystore: &Keystore) -> Collector {
        Collector {
            keystore: keystore.clone(),
            signers: Vec::new(),
            day: None,
            written: None,
            complaint: String::new(),
            facts: watch::Sender::new(None),
        }
    }

    /// Looks and writes at noon of this day, and tells which day that is then.
    async fn noon(collector: &mut Collector, date: &str) -> String {
        let now = format!("{date}T12:00:00Z").parse().unwrap();
        let day = collector.take_day(now).await.unwrap();
        collector.write(&day, now).await;
        assert_eq!(collector.complaint, "");
        let date = day.day.to_string();
        collector.day = Some(day);
        date
    }

    fn days(keystore: &Keystore) -> Vec<String> {
        let days = keystore.counted_days().unwrap();
        days.iter().map(Date::to_string).collect()
    }

    #[tokio::test]
    async fn the_newest_thirty_five_days_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let keystore = Keystore::create(&folder.path().join("keys")).unwrap();
        let mut collector = collector(&keystore);
        for day in 1..=31 {
            noon(&mut collector, &format!("2026-10-{day:02}")).await;
        }
        // The keeper was down for a while.
        for day in 20..=25 {
            noon(&mut collector, &format!("2026-11-{day}")).await;
        }
        let days = days(&keystore);
        assert_eq!((days.len(), days[0].as_str()), (35, "2026-10-03"));
    }

    #[tokio::test]
    async fn a_clock_that_was_wrong_removes_nothing_and_does_not_stay() {
        let folder = tempfile::tempdir().unwrap();
        let keystore = Keystore::create(&folder.path().join("keys")).unwrap();
        let mut running = collector(&keystore);
        for date in ["2026-11-27", "2026-11-28", "2036-01-01", "1970-01-01"] {
            assert_eq!(noon(&mut running, date).await, date);
        }
        // The one that ran on, and one that begins with the right time.
        assert_eq!(noon(&mut running, "2026-11-29").await, "2026-11-29");
        assert_eq!(noon(&mut running, "2036-01-01").await, "2036-01-01");
        assert_eq!(noon(&mut running, "2026-11-29").await, "2026-11-29");
        let mut begun = collector(&keystore);
        assert_eq!(noon(&mut begun, "2026-11-29").await, "2026-11-29");
        // A day that can't be read and is yet to come stops nothing.
        let place = keystore.counts_place("2036-01-01".parse().unwrap());
        std::fs::write(place, "").unwrap();
        let mut begun = collector(&keystore);
        assert_eq!(noon(&mut begun, "2026-11-30").await, "2026-11-30");
        let expected = [
            "1970-01-01",
            "2026-11-27",
            "2026-11-28",
            "2026-11-29",
            "2026-11-30",
            "2036-01-01",
        ];
        assert_eq!(days(&keystore), expected);
    }
}
