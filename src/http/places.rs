//! Who may stay when there are more clients than places.
//!
//! A client that keeps us waiting gives way to the next one. So health needs no place of its own:
//! its answer is a line, which the kernel takes at once, whoever reads the others slowly.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

use super::Limits;

/// The places of one server. A clone is a handle to the same ones.
#[derive(Clone)]
pub(super) struct Places {
    limits: Limits,
    /// The oldest first.
    taken: Arc<Mutex<VecDeque<Taken>>>,
}

struct Taken {
    /// What tells its connection to end.
    leave: Arc<Notify>,
    stage: Stage,
    since: Instant,
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    /// Its request has not come, or its answer is a line.
    Asking,
    /// A large answer is being made.
    Waiting,
    /// A large answer has been handed over and may be read slowly.
    Reading,
}

impl Places {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            taken: Arc::default(),
        }
    }

    /// A place for one more connection. If all are taken, the one that has kept us waiting for
    /// longest gives way, as soon as it has had `limits.courtesy` to say what it wants.
    pub(super) async fn take(&self) -> Place {
        loop {
            match self.try_take() {
                Ok(place) => return place,
                Err(wait) => sleep(wait).await,
            }
        }
    }

    /// A place, or how long it takes until one may be free.
    fn try_take(&self) -> Result<Place, Duration> {
        let mut taken = self.lock();
        let asking = |taken: &&Taken| taken.stage == Stage::Asking;
        if taken.iter().filter(asking).count() >= self.limits.connections {
            let oldest = taken.iter().position(|taken| asking(&taken));
            send_away(&mut taken, oldest, self.limits.courtesy)?;
        }
        let leave = Arc::new(Notify::new());
        taken.push_back(Taken {
            leave: Arc::clone(&leave),
            stage: Stage::Asking,
            since: Instant::now(),
        });
        let places = self.clone();
        Ok(Place { places, leave })
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Taken>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of one connection, until it is dropped.
pub(super) struct Place {
    places: Places,
    leave: Arc<Notify>,
}

impl Place {
    /// Ends when the connection has to give way to another.
    pub(super) async fn given_away(&self) {
        self.leave.notified().await;
    }

    /// Whether a large answer may be made for this connection. Of those who have had one and do
    /// not read it to its end, the one who has had it for longest gives way.
    pub(super) fn may_have_large_answer(&self) -> bool {
        let mut taken = self.places.lock();
        let large = taken.iter().filter(|taken| taken.stage != Stage::Asking);
        if large.count() >= self.places.limits.connections {
            let reading = taken.iter().enumerate();
            let oldest = reading
                .filter(|(_, taken)| taken.stage == Stage::Reading)
                .min_by_key(|(_, taken)| taken.since)
                .map(|(place, _)| place);
            let time = self.places.limits.header;
            if send_away(&mut taken, oldest, time).is_err() {
                return false;
            }
        }
        self.enter(&mut taken, Stage::Waiting);
        true
    }

    /// The large answer is made.
    pub(super) fn has_large_answer(&self) {
        self.enter(&mut self.places.lock(), Stage::Reading);
    }

    fn enter(&self, taken: &mut VecDeque<Taken>, stage: Stage) {
        // It is gone if it had to give way just now.
        if let Some(own) = taken.iter_mut().find(|taken| self.is(taken)) {
            own.stage = stage;
            own.since = Instant::now();
        }
    }

    fn is(&self, taken: &Taken) -> bool {
        Arc::ptr_eq(&taken.leave, &self.leave)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().retain(|taken| !self.is(taken));
    }
}

/// Ends the connection at this place if it has had this time; says how long it has still.
fn send_away(
    taken: &mut VecDeque<Taken>,
    place: Option<usize>,
    time: Duration,
) -> Result<(), Duration> {
    let had = |place: usize| taken.get(place).map(|taken| taken.since.elapsed());
    match place.and_then(|place| Some((place, had(place)?))) {
        Some((place, had)) if had >= time => {
            if let Some(sent_away) = taken.remove(place) {
                sent_away.leave.notify_one();
            }
            Ok(())
        }
        Some((_, had)) => Err(time.saturating_sub(had)),
        None => Err(time),
    }
}
