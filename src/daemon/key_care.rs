//! Care for the keys in the background: it works a little and rests a lot, so that mail does
//! not feel it.

use std::{sync::Arc, time::Duration};

use tokio::{sync::Notify, task::spawn_blocking, time::sleep};

use crate::{
    observe::metrics::Metrics,
    snapshot::{KeyCare, SnapshotHolder},
};

/// What waited for the start or the reload goes first.
const AT_FIRST: Duration = Duration::from_secs(2);
/// A turn of work, which may be longer by one key, and the rest after it: a sixth of one
/// processor at most.
const WORK: Duration = Duration::from_millis(5);
const REST: Duration = Duration::from_millis(25);

/// Goes along all keys once, and once more after each reload; then it is known how many of
/// them can't be used.
pub(super) async fn care(snapshots: SnapshotHolder, metrics: Metrics, other_keys: Arc<Notify>) {
    loop {
        sleep(AT_FIRST).await;
        let mut round = snapshots.current().key_care();
        while let Some(rest) = turn(round).await {
            round = rest;
            sleep(REST).await;
        }
        // If a reload came in between, it has asked for another round, which says it again.
        metrics.key_problems(snapshots.current().key_problems());
        other_keys.notified().await;
    }
}

/// What is left of the round; nothing when it is done.
async fn turn(mut round: KeyCare) -> Option<KeyCare> {
    let work = move || round.work(WORK).then_some(round);
    spawn_blocking(work).await.ok().flatten()
}
