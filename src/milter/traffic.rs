//! What goes on at one listener: how many connections and messages there are, and whether
//! it is being drained.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::watch;

/// The traffic of one listener, shared by the listener and its connections.
#[derive(Clone)]
pub(super) struct Traffic(Arc<Inner>);

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
    /// It takes none any more, and connections end behind the message they carry.
    Draining,
    /// Time is up: connections end where they are.
    Cut,
}

impl Traffic {
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

    /// Counts a message from its MAIL until the token is dropped.
    pub(super) fn begin_message(&self) -> MessageToken {
        self.0.messages.fetch_add(1, Ordering::Relaxed);
        MessageToken(self.clone())
    }

    /// The listener comes to another stage.
    pub(super) fn enter(&self, stage: Stage) {
        self.0.stage.send_replace(stage);
    }

    /// Where it stands.
    pub(super) fn stage(&self) -> Stage {
        *self.0.stage.borrow()
    }

    /// Ends when the listener has come as far as `stage`.
    pub(super) fn reaches(&self, stage: Stage) -> impl Future<Output = ()> + Send + 'static {
        let mut receiver = self.0.stage.subscribe();
        async move {
            // An error means that the sender is gone, and with it the listener.
            let _ = receiver.wait_for(|reached| *reached >= stage).await;
        }
    }

    /// Ends when no connection is open. (That no message is in progress would not do: one
    /// may begin just then on a connection that has not heard of the draining yet.)
    pub(super) async fn quiet(&self) {
        let mut receiver = self.0.open.subscribe();
        let _ = receiver.wait_for(|open| *open == 0).await;
    }

    /// The number of messages in progress.
    pub(super) fn messages(&self) -> usize {
        self.0.messages.load(Ordering::Relaxed)
    }
}

/// One open connection; dropping it makes room for another.
pub(super) struct ConnectionToken(Traffic);

impl Drop for ConnectionToken {
    fn drop(&mut self) {
        self.0.0.open.send_modify(|open| *open -= 1);
    }
}

/// One message in progress.
pub(super) struct MessageToken(Traffic);

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
        let traffic = Traffic::new();
        let connection = traffic.connect(2).unwrap();
        let other = traffic.connect(2).unwrap();
        assert!(traffic.connect(2).is_none());
        // Those of another listener have places of their own.
        assert!(Traffic::new().connect(1).is_some());
        traffic.enter(Stage::Draining);
        let mut quiet = pin!(traffic.quiet());
        // A message may yet begin on either, if its MAIL is on the way.
        assert!(!is_ready(quiet.as_mut()).await);
        let message = traffic.begin_message();
        drop(other);
        drop(message);
        assert!(!is_ready(quiet.as_mut()).await);
        drop(connection);
        assert!(is_ready(quiet.as_mut()).await);
    }

    #[tokio::test]
    async fn stages_are_reached_in_turn() {
        let traffic = Traffic::new();
        let mut draining = pin!(traffic.reaches(Stage::Draining));
        let mut cut = pin!(traffic.reaches(Stage::Cut));
        assert!(!is_ready(draining.as_mut()).await);
        traffic.enter(Stage::Draining);
        assert!(is_ready(draining.as_mut()).await && !is_ready(cut.as_mut()).await);
        traffic.enter(Stage::Cut);
        assert!(is_ready(cut.as_mut()).await);
    }
}
