//! What goes on at one listener: how many connections and messages there are, and whether
//! it is being drained.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::watch;

/// The number of open connections, over all listeners.
#[derive(Clone, Debug, Default)]
pub struct Connections(Arc<AtomicUsize>);

/// The traffic of one listener, shared by the listener and its connections.
#[derive(Clone)]
pub(super) struct Traffic(Arc<Inner>);

struct Inner {
    connections: Connections,
    draining: watch::Sender<bool>,
    messages: watch::Sender<usize>,
}

impl Traffic {
    pub(super) fn new(connections: Connections) -> Self {
        Self(Arc::new(Inner {
            connections,
            draining: watch::Sender::new(false),
            messages: watch::Sender::new(0),
        }))
    }

    /// Counts a connection, unless there are `limit` of them already.
    pub(super) fn connect(&self, limit: usize) -> Option<ConnectionToken> {
        let below = |open: usize| (open < limit).then_some(open + 1);
        let connections = &self.0.connections;
        connections
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, below)
            .ok()
            .map(|_| ConnectionToken(connections.clone()))
    }

    /// Counts a message from its MAIL until the token is dropped.
    pub(super) fn begin_message(&self) -> MessageToken {
        self.0.messages.send_modify(|messages| *messages += 1);
        MessageToken(self.clone())
    }

    /// No new connection and no new message from now on.
    pub(super) fn drain(&self) {
        self.0.draining.send_replace(true);
    }

    /// Ends when [`Self::drain`] is called.
    pub(super) fn draining(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut receiver = self.0.draining.subscribe();
        async move {
            // An error means that the sender is gone, and with it the listener.
            let _ = receiver.wait_for(|draining| *draining).await;
        }
    }

    /// Ends when no message is in progress.
    pub(super) async fn quiet(&self) {
        let mut receiver = self.0.messages.subscribe();
        let _ = receiver.wait_for(|messages| *messages == 0).await;
    }

    /// The number of messages in progress.
    pub(super) fn messages(&self) -> usize {
        *self.0.messages.borrow()
    }
}

/// One open connection; dropping it makes room for another.
pub(super) struct ConnectionToken(Connections);

impl Drop for ConnectionToken {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One message in progress.
pub(super) struct MessageToken(Traffic);

impl Drop for MessageToken {
    fn drop(&mut self) {
        self.0.0.messages.send_modify(|messages| *messages -= 1);
    }
}
