//! Collects from the signers how much mail they did not sign, and why, for `zegel org unsigned`.
//! A signer forgets that at its end; here it stays for [`tally::DAYS`] days.
//!
//! It works beside the rounds, which never wait for it.

use std::{sync::Arc, time::Duration};

use jiff::{Span, Timestamp, civil::Date};
use tokio::{
    sync::Notify,
    task::{JoinSet, spawn_blocking},
    time::{Instant, sleep},
};

use crate::{
    config::{Settings, Signers},
    http::{Endpoint, LookError, Patience},
    keystore::Keystore,
    observe::{
        status::{Ask, Role, SignerFigures, SignerStatus},
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

/// Those who are asked, and what is known so far.
pub(super) struct Collector {
    keystore: Keystore,
    signers: Vec<Endpoint>,
    /// None before it is read.
    day: Option<Day>,
    written: Option<Instant>,
    /// What was last said of the files, so that it is said once.
    complaint: String,
}

impl Collector {
    /// None if there is nobody to ask.
    pub(super) fn new(settings: &Settings, keystore: &Keystore) -> Option<Self> {
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
        })
    }

    /// Looks every minute, and when someone wants it now, until it is dropped. What is written is
    /// written whole.
    pub(super) async fn work(mut self, wish: Arc<Notify>) {
        loop {
            self.collect().await;
            tokio::select! {
                () = sleep(EVERY) => {}
                () = wish.notified() => {}
            }
        }
    }

    async fn collect(&mut self) {
        let Some(mut day) = self.take_day().await else {
            return;
        };
        let now = Timestamp::now();
        let before = day.day;
        day = day.at(now);
        let mut has_changed = day.day != before;
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
            self.write(&day).await;
        }
        self.day = Some(day);
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

    /// What is known so far; none if it can't be read, which is said.
    async fn take_day(&mut self) -> Option<Day> {
        if let Some(day) = self.day.take() {
            return Some(day);
        }
        let keystore = self.keystore.clone();
        let read = spawn_blocking(move || read(&keystore)).await;
        match read.unwrap_or_else(|error| Err(error.to_string())) {
            Ok(day) => Some(day.unwrap_or_else(|| Day::new(Timestamp::now()))),
            Err(error) => {
                self.complain(error);
                None
            }
        }
    }

    async fn write(&mut self, day: &Day) {
        let (keystore, date) = (self.keystore.clone(), day.day);
        let written = match day.to_json() {
            Ok(json) => spawn_blocking(move || {
                let written = keystore.write_counts(date, &json, first_kept(date));
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

/// The last day that was written.
fn read(keystore: &Keystore) -> Result<Option<Day>, String> {
    let days = keystore.counted_days().map_err(|error| error.to_string())?;
    let Some(&last) = days.last() else {
        return Ok(None);
    };
    let content = keystore.read_counts(last);
    let Some(content) = content.map_err(|error| error.to_string())? else {
        return Ok(None);
    };
    let day = Day::parse(&content).map_err(|error| {
        let place = keystore.counts_place(last);
        format!("{place}: {error}; without the file it is counted anew")
    })?;
    Ok(Some(day))
}

fn first_kept(today: Date) -> Date {
    let days = Span::new().days(tally::DAYS - 1);
    today.saturating_sub(days)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_kept_for_five_weeks() {
        let first = first_kept("2026-11-29".parse().unwrap());
        assert_eq!(first.to_string(), "2026-10-26");
    }
}
