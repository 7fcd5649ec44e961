//! Whether the signer can take mail: each listener accepts, and nobody asked it to stop.

use std::{
    fmt,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

/// The readiness of the process. A clone is a handle to the same one.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Inner>);

/// Why the process is not ready; the text after `not ready: `.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotReady {
    /// It stops: messages in progress end, new connections are not taken.
    #[error("draining")]
    Draining,
    /// It has not come so far as to have a listener.
    #[error("starting")]
    Starting,
    /// This listener does not accept connections: it is not bound yet, or it ended.
    #[error("listener {0} does not accept")]
    Listener(String),
}

impl Readiness {
    /// Adds a listener that does not accept yet. All are added before the first accepts,
    /// so that the process is never ready too early.
    pub fn listener(&self, name: &str) -> ListenerReadiness {
        let accepts = Arc::new(AtomicBool::new(false));
        let listeners = self.0.listeners.write();
        let mut listeners = listeners.unwrap_or_else(PoisonError::into_inner);
        listeners.push((name.to_owned(), Arc::clone(&accepts)));
        ListenerReadiness(accepts)
    }

    /// The process stops. There is no way back.
    pub fn drain(&self) {
        self.0.draining.store(true, Relaxed);
    }

    /// Whether mail can come.
    ///
    /// # Errors
    ///
    /// What is missing; of several listeners the first.
    pub fn check(&self) -> Result<(), NotReady> {
        if self.0.draining.load(Relaxed) {
            return Err(NotReady::Draining);
        }
        let listeners = self.0.listeners.read();
        let listeners = listeners.unwrap_or_else(PoisonError::into_inner);
        if listeners.is_empty() {
            return Err(NotReady::Starting);
        }
        match listeners.iter().find(|(_, accepts)| !accepts.load(Relaxed)) {
            Some((name, _)) => Err(NotReady::Listener(name.clone())),
            None => Ok(()),
        }
    }
}

/// The flag of one listener. Dropping it, as a panic of the listener does, says that the
/// listener accepts no more.
pub struct ListenerReadiness(Arc<AtomicBool>);

impl ListenerReadiness {
    /// The listener is bound and takes connections.
    pub fn accepting(&self) {
        self.0.store(true, Relaxed);
    }

    /// The listener takes no connections for now.
    pub fn not_accepting(&self) {
        self.0.store(false, Relaxed);
    }
}

impl Drop for ListenerReadiness {
    fn drop(&mut self) {
        self.not_accepting();
    }
}

impl fmt::Debug for ListenerReadiness {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("ListenerReadiness")
            .field(&self.0.load(Relaxed))
            .finish()
    }
}

#[derive(Debug, Default)]
struct Inner {
    draining: AtomicBool,
    listeners: RwLock<Vec<(String, Arc<AtomicBool>)>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_is_when_every_listener_accepts() {
        let readiness = Readiness::default();
        assert_eq!(readiness.check(), Err(NotReady::Starting));
        let relay = readiness.listener("relay");
        let newsletter = readiness.listener("newsletter");
        relay.accepting();
        let missing = readiness.check().unwrap_err();
        assert_eq!(missing.to_string(), "listener newsletter does not accept");
        newsletter.accepting();
        assert_eq!(readiness.check(), Ok(()));
        drop(relay);
        let missing = readiness.check().unwrap_err();
        assert_eq!(missing.to_string(), "listener relay does not accept");
    }

    #[test]
    fn draining_is_for_good() {
        let readiness = Readiness::default();
        let relay = readiness.listener("relay");
        relay.accepting();
        readiness.drain();
        relay.accepting();
        assert_eq!(readiness.check(), Err(NotReady::Draining));
    }
}
