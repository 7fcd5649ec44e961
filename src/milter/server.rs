//! One listener from its socket to the end of its last message.

use std::{io, sync::Arc, time::Duration};

use tokio::sync::Semaphore;

use super::{
    callbacks::callbacks,
    context::ListenerContext,
    listener::{BoundSocket, PatientListener},
    stream::ENVELOPE_TIME,
    traffic::{Connections, Stage, Traffic},
};
use crate::{
    config::Outbound,
    observe::{metrics::Metrics, readiness::Readiness},
    snapshot::SnapshotHolder,
};

/// How long messages in progress may take to end once the listener drains.
const DRAIN_TIME: Duration = Duration::from_secs(25);
/// indymilter's own time per frame lies beyond all of ours.
const FRAME_TIME: Duration = ENVELOPE_TIME.saturating_add(Duration::from_mins(1));

/// What a listener is made of. All of the outside world is in here.
pub struct ListenerParts {
    /// The name of the listener.
    pub name: String,
    /// The socket, listening.
    pub socket: BoundSocket,
    /// Which mail on it is outbound.
    pub outbound: Outbound,
    /// The connections of all listeners together.
    pub connections: Connections,
    /// Where the current snapshot is.
    pub snapshots: SnapshotHolder,
    /// Where messages are counted.
    pub metrics: Metrics,
    /// Where it says that it accepts connections.
    pub readiness: Readiness,
}

/// Serves a listener until `shutdown` ends and the messages in progress have come to their
/// end, for which they have 25 seconds.
///
/// # Errors
///
/// None that the listener could help; failed `accept`s are not among them.
pub async fn serve(parts: ListenerParts, shutdown: impl Future<Output = ()>) -> io::Result<()> {
    let traffic = Traffic::new(parts.connections);
    let listener_metrics = parts.metrics.listener(&parts.name);
    let listener_readiness = parts.readiness.listener(&parts.name);
    let listener = PatientListener::new(
        (parts.name.clone(), parts.socket),
        traffic.clone(),
        (listener_metrics.clone(), listener_readiness),
        parts.snapshots.clone(),
    );
    let context = Arc::new(ListenerContext {
        name: parts.name,
        outbound: parts.outbound,
        snapshots: parts.snapshots,
        metrics: listener_metrics,
        without_organisation: parts.metrics.without_organisation(),
        all_metrics: parts.metrics,
    });
    let configuration = indymilter::Config {
        // The limit is ours: surplus connections are closed at once, not left waiting.
        max_connections: Semaphore::MAX_PERMITS,
        connection_timeout: FRAME_TIME,
        ..indymilter::Config::default()
    };
    let name = context.name.clone();
    let drained = async {
        shutdown.await;
        drain(&name, &traffic).await;
    };
    indymilter::run(listener, callbacks(context), configuration, drained).await
}

async fn drain(listener: &str, traffic: &Traffic) {
    traffic.enter(Stage::Draining);
    let messages = traffic.messages();
    tracing::info!(
        listener,
        messages,
        "draining: no new connections, messages in progress end"
    );
    if tokio::time::timeout(DRAIN_TIME, traffic.quiet())
        .await
        .is_err()
    {
        let messages = traffic.messages();
        tracing::warn!(
            listener,
            messages,
            "messages in progress are cut: the MTA took too long"
        );
        // What waits for its peer would not hear of indymilter's own end.
        traffic.enter(Stage::Cut);
    }
}
