//! One listener from its socket to the end of its last message.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use super::{
    context::ListenerContext,
    door::{BoundSocket, Door},
    listener::PatientListener,
    traffic::{Connections, Stage, Traffic},
    turns::Turns,
};
use crate::{
    config::Outbound,
    observe::{metrics::Metrics, readiness::Readiness},
    snapshot::SnapshotHolder,
};

/// How long messages in progress may take to end once the listener drains.
const DRAIN_TIME: Duration = Duration::from_secs(25);
/// How long connections may take to end once they are cut: they need not wait for anybody.
const CUT_TIME: Duration = Duration::from_secs(2);

/// What a listener is made of. All of the outside world is in here.
pub struct ListenerParts {
    /// The name of the listener.
    pub name: String,
    /// The socket, listening.
    pub socket: BoundSocket,
    /// The numbers of the users whose processes may connect to a socket file; all without.
    pub allow_users: Option<Vec<u32>>,
    /// Which mail on it is outbound.
    pub outbound: Outbound,
    /// Whether it only looks on.
    pub observe: bool,
    /// The connections of all listeners together.
    pub connections: Connections,
    /// The turns of large messages of all listeners together.
    pub turns: Turns,
    /// Where the current snapshot is.
    pub snapshots: SnapshotHolder,
    /// Where messages are counted.
    pub metrics: Metrics,
    /// Where it says that it accepts connections.
    pub readiness: Readiness,
}

/// Serves a listener until `shutdown` ends and the messages in progress have come to their
/// end, for which they have 25 seconds.
pub async fn serve(parts: ListenerParts, shutdown: impl Future<Output = ()>) {
    let traffic = Traffic::new(parts.connections);
    let readiness = parts.readiness.listener(&parts.name);
    let context = Arc::new(ListenerContext {
        metrics: parts.metrics.listener(&parts.name),
        name: parts.name,
        outbound: parts.outbound,
        observe: parts.observe,
        snapshots: parts.snapshots,
        without_organisation: parts.metrics.without_organisation(),
        all_metrics: parts.metrics,
        turns: parts.turns,
    });
    let mut listener = PatientListener::new(
        Door::new(parts.socket, parts.allow_users),
        Arc::clone(&context),
        traffic.clone(),
        readiness,
    );
    tokio::select! {
        () = listener.accept_all() => {}
        () = shutdown => {}
    }
    // Closes the socket: no connection is taken any more.
    drop(listener);
    drain(&context.name, &traffic).await;
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
