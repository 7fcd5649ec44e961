//! Who may work now, so that the many messages of one do not keep those of others waiting.
//!
//! A *large message* goes on for many reads, and a dozen of them at once would each have
//! their piece before a small one has its only one. So what goes beyond [`LARGE_OCTETS`] is
//! worked off under a permit, of which there are as many as processors: whoever else is
//! ready waits for one piece, not for one of each large message.
//!
//! A *signature* is a quarter of a millisecond of arithmetic or more, and one organisation
//! may have hundreds of messages that end at the same time. So what is to be signed waits in
//! a queue that goes round the organisations, and as many sign at a time as there are
//! processors. Between two signatures every connection that is ready is read from: else a
//! message could wait in its socket, where nobody sees whose it is.
//!
//! No queue has more places than there are connections.

use std::{
    num::NonZero,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::available_parallelism,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    task::yield_now,
};

use super::fair_queue::FairQueue;
use crate::{names::OrganisationId, observe::metrics::Metrics};

/// A message that is larger than this takes turns.
pub(super) const LARGE_OCTETS: usize = 128 * 1024;

/// The turns of a process, shared by all of its listeners.
#[derive(Clone)]
pub struct Turns {
    large: Arc<Semaphore>,
    to_sign: Arc<Mutex<ToSign>>,
    processors: usize,
    metrics: Metrics,
}

/// The right to work on a large message; never held while waiting for a peer.
pub(super) struct Turn(#[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit);

/// The right to sign one message; the next one is called when it is dropped.
pub(super) struct SigningTurn(#[expect(dead_code, reason = "held")] Option<oneshot::Sender<()>>);

/// What is to be signed.
struct ToSign {
    queue: FairQueue<OrganisationId, oneshot::Sender<SigningTurn>>,
    /// How many tasks call one after the other.
    callers: usize,
}

impl Turns {
    /// As many at a time as there are processors; who waits is shown in the metrics.
    pub fn new(metrics: Metrics) -> Self {
        let processors = available_parallelism().map_or(1, NonZero::get);
        Self {
            large: Arc::new(Semaphore::new(processors)),
            to_sign: Arc::new(Mutex::new(ToSign {
                queue: FairQueue::new(),
                callers: 0,
            })),
            processors,
            metrics,
        }
    }

    /// Waits for a turn of a large message. Gives none only if there are no turns any more,
    /// which is never.
    pub(super) async fn large(&self) -> Option<Turn> {
        if let Ok(permit) = Arc::clone(&self.large).try_acquire_owned() {
            return Some(Turn(permit));
        }
        let _waiting = self.metrics.waits_for_turn();
        let permit = Arc::clone(&self.large).acquire_owned().await;
        permit.ok().map(Turn)
    }

    /// Waits until a message of this organisation may be signed.
    pub(super) async fn sign(&self, organisation: OrganisationId) -> SigningTurn {
        let waiting = self.metrics.waits_for_signature();
        let (call, called) = oneshot::channel();
        let needs_caller = {
            let mut to_sign = locked(&self.to_sign);
            to_sign.queue.push(organisation, call);
            let needs_caller = to_sign.callers < self.processors;
            to_sign.callers += usize::from(needs_caller);
            needs_caller
        };
        if needs_caller {
            tokio::spawn(call_all(Caller::new(Arc::clone(&self.to_sign))));
        }
        let turn = called.await;
        drop(waiting);
        // Without a caller, which can't be, it is better to sign than to wait for ever.
        turn.unwrap_or(SigningTurn(None))
    }
}

/// Calls one after the other until nobody waits.
async fn call_all(mut caller: Caller) {
    while let Some(call) = caller.next() {
        let (ended, end) = oneshot::channel();
        // Who has gone in the meantime has no turn.
        if call.send(SigningTurn(Some(ended))).is_ok() {
            let _ = end.await;
            // Whoever is ready to be read from comes first. (With nobody else to sign for
            // that would only wake up a thread.)
            if caller.somebody_waits() {
                yield_now().await;
            }
        }
    }
}

/// A task that calls, counted as long as it may call somebody.
struct Caller {
    to_sign: Arc<Mutex<ToSign>>,
    counted: bool,
}

impl Caller {
    fn new(to_sign: Arc<Mutex<ToSign>>) -> Self {
        Self {
            to_sign,
            counted: true,
        }
    }

    fn somebody_waits(&self) -> bool {
        !locked(&self.to_sign).queue.is_empty()
    }

    /// The next one to be called. After the last one the task does not count any more, in
    /// the same moment: who comes then needs another.
    fn next(&mut self) -> Option<oneshot::Sender<SigningTurn>> {
        let mut to_sign = locked(&self.to_sign);
        let next = to_sign.queue.pop();
        if next.is_none() && self.counted {
            self.counted = false;
            to_sign.callers -= 1;
        }
        next
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        if self.counted {
            locked(&self.to_sign).callers -= 1;
        }
    }
}

fn locked(to_sign: &Mutex<ToSign>) -> MutexGuard<'_, ToSign> {
    to_sign.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{task::JoinSet, time::timeout};

    use super::*;

    fn organisation(name: &str) -> OrganisationId {
        name.parse().unwrap()
    }

    /// Has messages of these organisations signed, and gives the order in which they were.
    async fn signed(turns: &Turns, organisations: &[&'static str]) -> Vec<&'static str> {
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut messages = JoinSet::new();
        for &name in organisations {
            let (turns, order) = (turns.clone(), Arc::clone(&order));
            messages.spawn(async move {
                let _turn = turns.sign(organisation(name)).await;
                order.lock().unwrap().push(name);
            });
        }
        let all = timeout(Duration::from_mins(1), messages.join_all());
        all.await.expect("everybody has a turn");
        let order = order.lock().unwrap();
        order.clone()
    }

    #[tokio::test]
    async fn a_flood_lets_others_pass() {
        let metrics = Metrics::new();
        let turns = Turns::new(metrics.clone());
        let mut organisations = vec!["flood"; 50];
        organisations.push("other");
        let order = signed(&turns, &organisations).await;
        assert_eq!(order.len(), 51);
        let place = order.iter().position(|name| *name == "other").unwrap();
        // Those at work when it came, and one more of the flood.
        assert!(place <= turns.processors + 1, "{place}");
        let page = metrics.render().unwrap();
        assert!(page.contains("zegel_signing_queue_messages 0\n"), "{page}");
        assert!(page.contains("zegel_signing_queue_seconds_count 51\n"));
    }

    #[tokio::test]
    async fn who_leaves_keeps_nobody_waiting() {
        let turns = Turns::new(Metrics::new());
        for _ in 0..3 {
            let mut left: Vec<_> = (0..10)
                .map(|_| Box::pin(turns.sign(organisation("impatient"))))
                .collect();
            for one in &mut left {
                // Far enough to be in the queue.
                assert!(has_to_wait(one.as_mut()).await);
            }
            drop(left);
            assert_eq!(signed(&turns, &["patient"; 5]).await.len(), 5);
        }
        let no_callers = async {
            while locked(&turns.to_sign).callers > 0 {
                yield_now().await;
            }
        };
        timeout(Duration::from_mins(1), no_callers).await.unwrap();
    }

    /// Polls once; whether it has to wait.
    async fn has_to_wait<F: Future>(mut future: std::pin::Pin<&mut F>) -> bool {
        std::future::poll_fn(|context| {
            std::task::Poll::Ready(future.as_mut().poll(context).is_pending())
        })
        .await
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn everybody_has_a_turn_whoever_comes_when() {
        let turns = Turns::new(Metrics::new());
        for _ in 0..200 {
            let names = ["one", "two", "three", "one", "one", "two"];
            assert_eq!(signed(&turns, &names).await.len(), names.len());
        }
    }
}
