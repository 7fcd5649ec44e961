//! Sockets that MTAs connect to. No failed `accept` ends a listener.
//!
//! SECURITY: whoever can connect here can have mail signed. A unix socket is protected by
//! its mode and group; a TCP socket by nothing but the network.

use std::{io, sync::Arc, time::Duration};

use tokio::time::sleep;

use super::{
    connection,
    context::ListenerContext,
    door::{Door, Stranger, Stream},
    service::Service,
    tenancy::Tenancy,
};
use crate::observe::{metrics::Limit, readiness::ListenerReadiness};

const SHORTEST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Accepts connections, whatever happens.
pub(super) struct PatientListener {
    door: Door,
    service: Service,
    readiness: ListenerReadiness,
    next_wait: Duration,
    /// Whether the last connection was one too many, so that the log says it once.
    full: bool,
}

impl Drop for PatientListener {
    fn drop(&mut self) {
        self.readiness.not_accepting();
    }
}

/// What is done about a failed `accept`.
enum AfterError {
    /// That connection is lost, the next one need not be.
    Next,
    /// The system is short of something: give it time.
    Wait,
}

fn after_error(error: &io::Error) -> AfterError {
    use io::ErrorKind;
    match error.kind() {
        ErrorKind::ConnectionAborted
        | ErrorKind::ConnectionReset
        | ErrorKind::Interrupted
        | ErrorKind::TimedOut => AfterError::Next,
        _ => AfterError::Wait,
    }
}

impl PatientListener {
    pub(super) fn new(door: Door, service: Service, readiness: ListenerReadiness) -> Self {
        readiness.accepting();
        Self {
            door,
            service,
            readiness,
            next_wait: SHORTEST_WAIT,
            full: false,
        }
    }

    /// Gives each connection a task of its own, for ever: drop it to close the socket.
    pub(super) async fn accept_all(&mut self) {
        loop {
            let accepted = tokio::select! {
                // The other two find out only that none waits that could be accepted.
                biased;
                accepted = self.door.accept() => accepted,
                () = self.readiness.asked() => {
                    self.accepts();
                    continue;
                }
                () = sleep(LONGEST_WAIT), if self.next_wait > SHORTEST_WAIT => {
                    self.accepts();
                    continue;
                }
            };
            match accepted {
                Ok(stream) => {
                    self.accepts();
                    self.serve(stream);
                }
                Err(error) => self.accept_failed(&error).await,
            }
        }
    }

    fn accepts(&mut self) {
        self.next_wait = SHORTEST_WAIT;
        self.readiness.accepting();
    }

    async fn accept_failed(&mut self, error: &io::Error) {
        self.context().metrics.accept_error();
        if matches!(after_error(error), AfterError::Next) {
            return;
        }
        tracing::error!(
            listener = self.context().name,
            %error,
            "no connection can be accepted, trying again in {:?}",
            self.next_wait
        );
        self.readiness.not_accepting();
        sleep(self.next_wait).await;
        self.next_wait = (self.next_wait * 2).min(LONGEST_WAIT);
    }

    fn serve(&mut self, stream: Stream) {
        if let Err(stranger) = self.door.admit(&stream) {
            return self.turn_away(&stranger);
        }
        let Some(tenancy) = self.tenancy() else {
            return;
        };
        let context = Arc::clone(self.context());
        match stream {
            Stream::Tcp(stream) => tokio::spawn(connection::serve(stream, tenancy, context)),
            Stream::Unix(stream) => tokio::spawn(connection::serve(stream, tenancy, context)),
        };
    }

    fn turn_away(&self, stranger: &Stranger) {
        self.context().metrics.peer_refused();
        if let Some(times) = stranger.to_be_said {
            tracing::warn!(
                listener = self.context().name,
                user = stranger.user,
                times,
                "connection closed at once: allow_users does not name the user of the peer \
                 (65534 is also what other users look like under PrivateUsers=yes)"
            );
        }
    }

    /// A place for one more connection, if there is one: a surplus connection is closed at
    /// once, not left waiting.
    fn tenancy(&mut self) -> Option<Tenancy> {
        // A reload changes them for connections to come.
        let limits = self.context().snapshot().settings().limits;
        let tenancy = self.service.tenancy(&limits);
        let was_full = std::mem::replace(&mut self.full, tenancy.is_none());
        if tenancy.is_none() {
            let context = self.context();
            context.metrics.connection_refused();
            context.metrics.limit_reached(Limit::Connections);
            if !was_full {
                tracing::warn!(
                    listener = context.name,
                    "limits.connections ({}) is reached: further connections to this listener are \
                     closed at once",
                    limits.connections
                );
            }
        }
        tenancy
    }

    fn context(&self) -> &Arc<ListenerContext> {
        &self.service.context
    }
}
