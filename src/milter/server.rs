//! One listener from its socket to the end of its last message.

use std::time::Duration;

use tokio::time::timeout;

use super::{
    door::{BoundSocket, Door},
    listener::PatientListener,
    service::{Service, ServiceParts},
    traffic::{Stage, Traffic},
};
use crate::observe::readiness::Readiness;

/// How long messages in progress may take to end once the listener drains.
const DRAIN_TIME: Duration = Duration::from_secs(25);
/// How long connections may take to end once they are cut: they need not wait for anybody.
const CUT_TIME: Duration = Duration::from_secs(2);

/// What a listener is made of. All of the outside world is in here.
pub struct ListenerParts {
    /// What it does for its connections.
    pub service: ServiceParts,
    /// The socket, listening.
    pub socket: BoundSocket,
    /// The numbers of the users whose processes may connect to a socket file; all without.
    pub allow_users: Option<Vec<u32>>,
    /// Where it says that it accepts connections.
    pub readiness: Readiness,
}

/// Serves a listener until `shutdown` ends and the messages in progress have come to their
/// end, for which they have 25 seconds.
pub async fn serve(parts: ListenerParts, shutdown: impl Future<Output = ()>) {
    let readiness = parts.readiness.listener(&parts.service.name);
    let service = Service::new(parts.service);
    let door = Door::new(parts.socket, parts.allow_users);
    let mut listener = PatientListener::new(door, service.clone(), readiness);
    tokio::select! {
        () = listener.accept_all() => {}
        () = shutdown => {}
    }
    // Closes the socket: no connection is taken any more.
    drop(listener);
    drain(&service.context.name, &service.traffic).await;
}

async fn drain(listener: &str, traffic: &Traffic) {
    traffic.enter(Stage::Draining);
    let messages = traffic.messages();
    tracing::info!(
        listener,
        messages,
        "draining: no new connections, messages in progress end"
    );
    if timeout(DRAIN_TIME, traffic.quiet()).await.is_err() {
        let messages = traffic.messages();
        tracing::warn!(
            listener,
            messages,
            "messages in progress are cut: the MTA took too long"
        );
        traffic.enter(Stage::Cut);
        let _ = timeout(CUT_TIME, traffic.quiet()).await;
    }
}
