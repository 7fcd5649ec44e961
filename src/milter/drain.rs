//! How a listener comes to its end: the connections and messages that it has, and how long
//! they may go on when it stops.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{sync::watch, time::timeout};

/// How long messages in progress may take to end once the listener drains.
const DRAIN_TIME: Duration = Duration::from_secs(25);
/// How long connections may take to end once they are cut: they wait for nobody then.
const CUT_TIME: Duration = Duration::from_secs(2);

/// The connections and messages of one listener, and whether it drains. The listener and its
/// connections share it.
#[derive(Clone)]
pub(super) struct Drain(Arc<Inner>);

struct Inner {
    /// The number of open connections.
    open: watch::Sender<usize>,
    stage: watch::Sender<Stage>,
    messages: AtomicUsize,
}

/// How far a listener has come; there is no way back.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Stage {
    /// It takes connections.
    Open,
    /// It takes none any more, and each connection ends behind the message that it carries.
    Draining,
    /// Time is up: connections end where they are.
    Cut,
}

impl Drain {
    pub(super) fn new() -> Self {
        Self(Arc::new(Inner {
            open: watch::Sender::new(0),
            stage: watch::Sender::new(Stage::Open),
            messages: AtomicUsize::new(0),
        }))
    }

    /// Counts a connection, unless there are `limit` of them already.
    pub(super) fn connect(&self, limit: usize) -> Option<ConnectionToken> {
        let is_below = self.0.open.send_if_modified(|open| {
            let is_below = *open < limit;
            *open += usize::from(is_below);
            is_below
        });
        is_below.then(|| ConnectionToken(self.clone()))
    }

    /// How many connections are open.
    pub(super) fn open(&self) -> usize {
        *self.0.open.borrow()
    }

    /// Counts a message from its MAIL until the token is dropped.
    pub(super) fn begin_message(&self) -> MessageToken {
        self.0.messages.fetch_add(1, Ordering::Relaxed);
        MessageToken(self.clone())
    }

    /// Lets messages in progress end, for which they have 25 seconds, and then cuts them.
    /// The caller has closed the socket.
    pub(super) async fn finish(&self, listener: &str) {
        self.enter(Stage::Draining);
        tracing::info!(
            listener,
            messages = self.messages(),
            "draining: no new connections, messages in progress end"
        );
        if timeout(DRAIN_TIME, self.all_closed()).await.is_err() {
            tracing::warn!(
                listener,
                messages = self.messages(),
                "messages in progress are cut: the MTA took too long"
            );
            self.enter(Stage::Cut);
            let _ = timeout(CUT_TIME, self.all_closed()).await;
        }
    }

    /// The listener comes to another stage.
    pub(super) fn enter(&self, stage: Stage) {
        self.0.stage.send_replace(stage);
    }

    /// Where it stands.
    pub(super) fn stage(&self) -> Stage {
        *self.0.stage.borrow()
    }

    /// Waits until the listener has come as far as `stage`.
    pub(super) fn reaches(&self, stage: Stage) -> impl Future<Output = ()> + Send + 'static {
        let mut receiver = self.0.stage.subscribe();
        async move {
            // An error means that the sender is gone, and with it the listener.
            let _ = receiver.wait_for(|reached| *reached >= stage).await;
        }
    }

    /// Waits until no connection is open. (It would not do to wait for the last message: the
    /// next may just begin on a connection that has not heard of the draining yet.)
    async fn all_closed(&self) {
        let mut receiver = self.0.open.subscribe();
        let _ = receiver.wait_for(|open| *open == 0).await;
    }

    /// The number of messages in progress.
    pub(super) fn messages(&self) -> usize {
        self.0.messages.load(Ordering::Relaxed)
    }
}

/// One open connection; dropping it makes room for another.
pub(super) struct ConnectionToken(Drain);

impl Drop for ConnectionToken {
    fn drop(&mut self) {
        self.0.0.open.send_modify(|open| *open -= 1);
    }
}

/// One message in progress.
pub(super) struct MessageToken(Drain);

impl Drop for MessageToken {
    fn drop(&mut self) {
        self.0.0.messages.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, pin::pin, task::Poll};

    use super::*;

    /// Whether a future has come to its end, without waiting for it.
    async fn is_ready(mut future: std::pin::Pin<&mut impl Future<Output = ()>>) -> bool {
        poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_ready())).await
    }

    #[tokio::test]
    async fn it_is_quiet_when_the_last_connection_is_gone() {
        let drain = Drain::new();
        let connection = drain.connect(2).unwrap();
        let other = drain.connect(2).unwrap();
        assert!(drain.connect(2).is_none());
        // Those of another listener have places of their own.
        assert!(Drain::new().connect(1).is_some());
        drain.enter(Stage::Draining);
        let mut all_closed = pin!(drain.all_closed());
        // A message may yet begin on either, if its MAIL is on the way.
        assert!(!is_ready(all_closed.as_mut()).await);
        let message = drain.begin_message();
        drop(other);
        drop(message);
        assert!(!is_ready(all_closed.as_mut()).await);
        drop(connection);
        assert!(is_ready(all_closed.as_mut()).await);
    }

    #[tokio::test]
    async fn stages_are_reached_in_turn() {
        let drain = Drain::new();
        let mut draining = pin!(drain.reaches(Stage::Draining));
        let mut cut = pin!(drain.reaches(Stage::Cut));
        assert!(!is_ready(draining.as_mut()).await);
        drain.enter(Stage::Draining);
        assert!(is_ready(draining.as_mut()).await && !is_ready(cut.as_mut()).await);
        drain.enter(Stage::Cut);
        assert!(is_ready(cut.as_mut()).await);
    }
}
