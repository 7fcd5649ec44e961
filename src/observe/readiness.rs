//! Whether the signer can take mail: each listener accepts and has room for one more connection,
//! and nobody asked it to stop.
//!
//! A flag tells what a listener last said of itself. Whether it is still there to say so is
//! another question, which it is asked where it waits for connections: [`Readiness::answer`].

use std::{
    fmt,
    sync::{
        Arc, OnceLock, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use tokio::sync::watch;

/// The readiness of the process. A clone is a handle to the same one.
#[derive(Clone, Default)]
pub struct Readiness(Arc<Inner>);

impl fmt::Debug for Readiness {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("Readiness")
            .field(&self.check())
            .finish()
    }
}

/// Why the process is not ready; the text after `not ready: `.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotReady {
    /// It stops: messages in progress end, new connections are not taken.
    #[error("draining")]
    Draining,
    /// It has not come so far as to have a listener.
    #[error("starting")]
    Starting,
    /// Something that it needs is not there yet: it looks for it again and again.
    #[error("{0}")]
    Waits(String),
    /// This listener does not accept connections: it is not bound yet, or it ended.
    #[error("listener {0} does not accept")]
    Listener(String),
    /// This listener has as many connections as it may have: it closes the next one at once.
    #[error("listener {0} is full: limits.connections is reached")]
    Full(String),
}

impl Readiness {
    /// Adds a listener that does not accept yet. All are added before the first accepts,
    /// so that the process is never ready too early.
    pub fn listener(&self, name: &str) -> ListenerReadiness {
        let listener = Arc::new(Listener {
            name: name.to_owned(),
            accepts: AtomicBool::new(false),
            waits_for: RwLock::default(),
            is_full: OnceLock::new(),
            asked: watch::Sender::new(0),
            answered: watch::Sender::new(0),
        });
        let listeners = self.0.listeners.write();
        let mut listeners = listeners.unwrap_or_else(PoisonError::into_inner);
        listeners.push(Arc::clone(&listener));
        ListenerReadiness(listener)
    }

    /// The process as a whole waits for something, and this is why; nothing: it waits no more.
    pub fn waits_for(&self, reason: Option<&str>) {
        set(&self.0.waits_for, reason);
    }

    /// The process stops. There is no way back.
    pub fn drain(&self) {
        self.0.draining.store(true, Relaxed);
        let listeners = self.0.listeners.read();
        for listener in &*listeners.unwrap_or_else(PoisonError::into_inner) {
            listener.answered.send_replace(u64::MAX);
        }
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
        waited_for(&self.0.waits_for)?;
        let listeners = self.0.listeners.read();
        let listeners = listeners.unwrap_or_else(PoisonError::into_inner);
        if listeners.is_empty() {
            return Err(NotReady::Starting);
        }
        for listener in &*listeners {
            waited_for(&listener.waits_for)?;
            if !listener.accepts.load(Relaxed) {
                return Err(NotReady::Listener(listener.name.clone()));
            }
            if listener.is_full.get().is_some_and(|is_full| is_full()) {
                return Err(NotReady::Full(listener.name.clone()));
            }
        }
        Ok(())
    }

    /// Asks every listener, and ends when all have answered from where they accept: not
    /// while one of them can't, or has ended. A signer that drains has nothing to answer.
    pub async fn answer(&self) {
        let listeners = self.0.listeners.read();
        let listeners = listeners.unwrap_or_else(PoisonError::into_inner).clone();
        let ask = |listener: &Arc<Listener>| {
            listener.asked.send_modify(|number| *number += 1);
            (*listener.asked.borrow(), listener.answered.subscribe())
        };
        let questions: Vec<_> = listeners.iter().map(ask).collect();
        for (number, mut answered) in questions {
            let _ = answered.wait_for(|answer| *answer >= number).await;
        }
    }
}

/// The flag of one listener. Dropping it, as a panic of the listener does, says that the
/// listener accepts no more.
pub struct ListenerReadiness(Arc<Listener>);

impl ListenerReadiness {
    /// The listener is bound and takes connections; whoever asked is answered.
    pub fn accepting(&self) {
        self.0.accepts.store(true, Relaxed);
        self.answer();
    }

    /// The listener can't be bound for now, and this is why; nothing: it waits no more. That it
    /// tries is an answer to whoever asked.
    pub fn waits_for(&self, reason: Option<&str>) {
        set(&self.0.waits_for, reason);
        self.answer();
    }

    fn answer(&self) {
        let asked = *self.0.asked.borrow();
        self.0.answered.send_if_modified(|answered| {
            let is_new = *answered < asked;
            *answered = asked.max(*answered);
            is_new
        });
    }

    /// How to find out whether the listener has no room for one more connection. Asked anew with
    /// every check: a flag would be stale when a reload changes the limit.
    pub fn full_while(&self, is_full: impl Fn() -> bool + Send + Sync + 'static) {
        let _ = self.0.is_full.set(Box::new(is_full));
    }

    /// The listener takes no connections for now.
    pub fn not_accepting(&self) {
        self.0.accepts.store(false, Relaxed);
    }

    /// Ends when somebody asks; [`accepting`](Self::accepting) is the answer.
    pub async fn asked(&self) {
        let mut asked = self.0.asked.subscribe();
        let answered = *self.0.answered.borrow();
        // No error: the sender is in here too.
        let _ = asked.wait_for(|number| *number > answered).await;
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
            .field(&self.0.accepts.load(Relaxed))
            .finish()
    }
}

#[derive(Default)]
struct Inner {
    draining: AtomicBool,
    waits_for: RwLock<Option<String>>,
    listeners: RwLock<Vec<Arc<Listener>>>,
}

struct Listener {
    name: String,
    accepts: AtomicBool,
    /// Why it can't be bound for now.
    waits_for: RwLock<Option<String>>,
    /// Whether there is no room for one more connection.
    is_full: OnceLock<Box<dyn Fn() -> bool + Send + Sync>>,
    /// The number of the last question, and of the last one that was answered.
    asked: watch::Sender<u64>,
    answered: watch::Sender<u64>,
}

fn set(place: &RwLock<Option<String>>, reason: Option<&str>) {
    *place.write().unwrap_or_else(PoisonError::into_inner) = reason.map(str::to_owned);
}

fn waited_for(place: &RwLock<Option<String>>) -> Result<(), NotReady> {
    let reason = place.read().unwrap_or_else(PoisonError::into_inner);
    reason
        .clone()
        .map_or(Ok(()), |reason| Err(NotReady::Waits(reason)))
}

#[cfg(test)]
mod tests {
    use std::{
        future::poll_fn,
        pin::{Pin, pin},
        task::Poll,
    };

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
    fn a_full_listener_is_not_ready_until_it_has_room() {
        let readiness = Readiness::default();
        let (relay, other) = (readiness.listener("relay"), readiness.listener("other"));
        let is_full = Arc::new(AtomicBool::new(true));
        let probe = Arc::clone(&is_full);
        other.full_while(move || probe.load(Relaxed));
        relay.accepting();
        other.accepting();
        let missing = readiness.check().unwrap_err();
        assert_eq!(
            missing.to_string(),
            "listener other is full: limits.connections is reached"
        );
        is_full.store(false, Relaxed);
        assert_eq!(readiness.check(), Ok(()));
    }

    #[test]
    fn what_is_waited_for_is_why_it_is_not_ready() {
        let readiness = Readiness::default();
        let relay = readiness.listener("relay");
        relay.accepting();
        let says = |readiness: &Readiness| readiness.check().unwrap_err().to_string();
        readiness.waits_for(Some("no keystore"));
        assert_eq!(says(&readiness), "no keystore");
        relay.waits_for(Some("no address"));
        assert_eq!(says(&readiness), "no keystore");
        readiness.waits_for(None);
        assert_eq!(says(&readiness), "no address");
        relay.waits_for(None);
        assert_eq!(readiness.check(), Ok(()));
        readiness.waits_for(Some("no keystore"));
        readiness.drain();
        assert_eq!(says(&readiness), "draining");
    }

    #[tokio::test]
    async fn only_all_listeners_together_answer() {
        let readiness = Readiness::default();
        let (relay, newsletter) = (readiness.listener("relay"), readiness.listener("b"));
        for _ in 0..3 {
            let mut answer = pin!(readiness.answer());
            assert!(!is_ready(answer.as_mut()).await);
            relay.asked().await;
            relay.accepting();
            assert!(!is_ready(pin!(relay.asked())).await);
            // The other one does not accept, or is gone.
            newsletter.not_accepting();
            assert!(!is_ready(answer.as_mut()).await);
            newsletter.asked().await;
            newsletter.accepting();
            assert!(is_ready(answer.as_mut()).await);
        }
        drop(newsletter);
        let mut answer = pin!(readiness.answer());
        assert!(!is_ready(answer.as_mut()).await);
        relay.accepting();
        assert!(!is_ready(answer.as_mut()).await);
        readiness.drain();
        assert!(is_ready(pin!(readiness.answer())).await);
    }

    /// Whether a future has come to its end, without waiting for it.
    async fn is_ready(mut future: Pin<&mut impl Future<Output = ()>>) -> bool {
        poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_ready())).await
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
