//! Turns: the many messages of one sender must not keep those of others waiting.
//!
//! A *large message* goes on for many reads. Without turns, a small message that needs one
//! piece of work would wait for a piece of every large message that is there. So a message
//! works under a permit from [`LARGE_OCTETS`] on, and there are as many permits as
//! processors: a small message waits for one piece.
//!
//! A *signature* takes a quarter of a millisecond of arithmetic or more, and hundreds of
//! messages of one organisation may end at the same time. So a complete message is signed
//! when its turn comes: messages wait in a queue that goes round the organisations, and as
//! many are signed at a time as there are processors. Between two signatures, every
//! connection that is ready is read. Otherwise a message could wait in its socket, where
//! nobody sees whose it is.
//!
//! No queue is longer than there are connections.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    num::NonZero,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::available_parallelism,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    task::yield_now,
};

use crate::{names::OrganisationId, observe::metrics::Metrics};

/// A message that is larger than this takes turns.
pub(super) const LARGE_OCTETS: usize = 128 * 1024;

/// The turns of a process, shared by all of its listeners.
#[derive(Clone)]
pub struct Turns {
    large: Arc<Semaphore>,
    waiting: Arc<Mutex<Waiting>>,
    processors: usize,
    metrics: Metrics,
}

/// The right to work on a large message; never held while waiting for a peer.
pub(super) struct LargeTurn(#[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit);

/// The right to sign one message. Dropping it calls the next one.
pub(super) struct SigningTurn(#[expect(dead_code, reason = "held")] Option<oneshot::Sender<()>>);

/// The messages that wait to be signed.
struct Waiting {
    queue: FairQueue<OrganisationId, oneshot::Sender<SigningTurn>>,
    /// How many tasks hand out turns, each one turn at a time.
    callers: usize,
}

impl Turns {
    /// As many turns at a time as there are processors. The metrics show who waits.
    pub fn new(metrics: Metrics) -> Self {
        let processors = available_parallelism().map_or(1, NonZero::get);
        Self {
            large: Arc::new(Semaphore::new(processors)),
            waiting: Arc::new(Mutex::new(Waiting {
                queue: FairQueue::new(),
                callers: 0,
            })),
            processors,
            metrics,
        }
    }

    /// Waits for the turn of a large message. Gives none only if the semaphore is closed,
    /// which it never is.
    pub(super) async fn large(&self) -> Option<LargeTurn> {
        if let Ok(permit) = Arc::clone(&self.large).try_acquire_owned() {
            return Some(LargeTurn(permit));
        }
        let _waiting = self.metrics.waits_for_turn();
        let permit = Arc::clone(&self.large).acquire_owned().await;
        permit.ok().map(LargeTurn)
    }

    /// Waits until the turn of a message of this organisation comes.
    pub(super) async fn sign(&self, organisation: OrganisationId) -> SigningTurn {
        let counted = self.metrics.waits_for_signature();
        let (call, called) = oneshot::channel();
        let needs_caller = {
            let mut waiting = locked(&self.waiting);
            waiting.queue.push(organisation, call);
            let needs_caller = waiting.callers < self.processors;
            waiting.callers += usize::from(needs_caller);
            needs_caller
        };
        if needs_caller {
            tokio::spawn(Caller::new(Arc::clone(&self.waiting)).call_all());
        }
        let turn = called.await;
        drop(counted);
        // There is always a caller. If there were none, signing at once would be better than
        // waiting for ever.
        turn.unwrap_or(SigningTurn(None))
    }
}

/// A task that hands out one turn after the other. It counts as a caller while it may do so.
struct Caller {
    waiting: Arc<Mutex<Waiting>>,
    counted: bool,
}

impl Caller {
    fn new(waiting: Arc<Mutex<Waiting>>) -> Self {
        Self {
            waiting,
            counted: true,
        }
    }

    /// Hands out turns until nobody waits.
    async fn call_all(mut self) {
        while let Some(call) = self.next() {
            let (turn_ends, end_of_turn) = oneshot::channel();
            // Someone who has left in the meantime has no turn.
            if call.send(SigningTurn(Some(turn_ends))).is_ok() {
                let _ = end_of_turn.await;
                // Connections that are ready are read first. (If nobody else waits, a pause
                // would only wake up a thread.)
                if !locked(&self.waiting).queue.is_empty() {
                    yield_now().await;
                }
            }
        }
    }

    /// The next message whose turn it is. If there is none, this task no longer counts as a
    /// caller, and under the same lock: whoever comes next starts another.
    fn next(&mut self) -> Option<oneshot::Sender<SigningTurn>> {
        let mut waiting = locked(&self.waiting);
        let next = waiting.queue.pop();
        if next.is_none() && self.counted {
            self.counted = false;
            waiting.callers -= 1;
        }
        next
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        if self.counted {
            locked(&self.waiting).callers -= 1;
        }
    }
}

fn locked(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A queue that goes round the owners of what waits. Each owner has a lane; the lanes are
/// served in turn, each in the order of arrival.
#[derive(Debug)]
struct FairQueue<Owner, Item> {
    /// Never empty: an owner who waits for nothing has no lane.
    lanes: HashMap<Owner, VecDeque<Item>>,
    /// The owners of the lanes, the next one to be served first.
    order: VecDeque<Owner>,
}

impl<Owner: Clone + Eq + Hash, Item> FairQueue<Owner, Item> {
    fn new() -> Self {
        Self {
            lanes: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    /// Whether nothing waits.
    fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Adds an item at the end of its owner's lane.
    fn push(&mut self, owner: Owner, item: Item) {
        if let Some(lane) = self.lanes.get_mut(&owner) {
            return lane.push_back(item);
        }
        self.order.push_back(owner.clone());
        self.lanes.insert(owner, VecDeque::from([item]));
    }

    /// Takes the first item of the owner whose turn it is.
    fn pop(&mut self) -> Option<Item> {
        let owner = self.order.pop_front()?;
        let lane = self.lanes.get_mut(&owner)?;
        let item = lane.pop_front();
        if lane.is_empty() {
            self.lanes.remove(&owner);
        } else {
            self.order.push_back(owner);
        }
        item
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use tokio::{task::JoinSet, time::timeout};

    use super::*;

    fn organisation(name: &str) -> OrganisationId {
        name.parse().unwrap()
    }

    /// Has messages of these organisations signed, and gives the order in which that was.
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
            while locked(&turns.waiting).callers > 0 {
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

    #[test]
    fn one_of_many_waits_for_one_of_each_other() {
        let mut queue = FairQueue::new();
        for number in 0..100 {
            queue.push("flood", number);
        }
        queue.push("other", 1000);
        queue.push("third", 2000);
        let first: Vec<i32> = (0..5).filter_map(|_| queue.pop()).collect();
        assert_eq!(first, [0, 1000, 2000, 1, 2]);
    }

    proptest! {
        /// Nothing is lost or doubled, each owner keeps the order of arrival, and between
        /// two items of one owner, every other owner that waits is served.
        #[test]
        fn it_goes_round(steps in prop::collection::vec(prop::option::of(0..5_usize), 0..200)) {
            let mut queue = FairQueue::new();
            let mut waiting = [const { VecDeque::new() }; 5];
            // For each owner, how often each other was served since it began to wait.
            let mut passed = [[0; 5]; 5];
            for (number, step) in steps.into_iter().enumerate() {
                if let Some(owner) = step {
                    if waiting[owner].is_empty() {
                        passed[owner] = [0; 5];
                    }
                    waiting[owner].push_back(number);
                    queue.push(owner, (owner, number));
                } else if let Some((owner, number)) = queue.pop() {
                    prop_assert_eq!(waiting[owner].pop_front(), Some(number));
                    passed[owner] = [0; 5];
                    for other in (0..5).filter(|other| !waiting[*other].is_empty()) {
                        if other != owner {
                            passed[other][owner] += 1;
                            prop_assert!(passed[other][owner] <= 1);
                        }
                    }
                } else {
                    prop_assert!(waiting.iter().all(VecDeque::is_empty));
                }
            }
        }
    }
}
