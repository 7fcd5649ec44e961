//! What a listener does for its connections, whatever brings them.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    connection,
    context::ListenerContext,
    tenancy::{Allowance, Tenancy, Times},
    traffic::Traffic,
    turns::Turns,
};
use crate::{
    config::{Limits, Outbound},
    observe::metrics::Metrics,
    snapshot::SnapshotHolder,
};

/// What a service is made of.
pub struct ServiceParts {
    /// The name of the listener.
    pub name: String,
    /// Which mail on it is outbound.
    pub outbound: Outbound,
    /// Whether it only looks on.
    pub observe: bool,
    /// Who may work when, over all listeners.
    pub turns: Turns,
    /// Where the current snapshot is.
    pub snapshots: SnapshotHolder,
    /// Where messages are counted.
    pub metrics: Metrics,
}

/// A listener without its socket: signs what comes on the connections that it is given.
#[derive(Clone)]
pub struct Service {
    pub(super) context: Arc<ListenerContext>,
    pub(super) traffic: Traffic,
}

impl Service {
    /// Puts it together.
    pub fn new(parts: ServiceParts) -> Self {
        Self {
            traffic: Traffic::new(),
            context: Arc::new(ListenerContext {
                metrics: parts.metrics.listener(&parts.name),
                name: parts.name,
                outbound: parts.outbound,
                observe: parts.observe,
                snapshots: parts.snapshots,
                without_organisation: parts.metrics.without_organisation(),
                all_metrics: parts.metrics,
                turns: parts.turns,
            }),
        }
    }

    /// Serves one connection until a side ends it; at once if `limits.connections` is
    /// reached. Needs a runtime of tokio with its clock.
    ///
    /// A listener does this for every connection that it accepts. Here the stream can be
    /// anything, such as octets in memory.
    pub async fn serve<S>(&self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let limits = self.context.snapshot().settings().limits;
        if let Some(tenancy) = self.tenancy(&limits) {
            connection::serve(stream, tenancy, Arc::clone(&self.context)).await;
        }
    }

    /// A place for one more connection, if there is one.
    pub(super) fn tenancy(&self, limits: &Limits) -> Option<Tenancy> {
        let token = self.traffic.connect(limits.connections)?;
        Some(Tenancy {
            traffic: self.traffic.clone(),
            metrics: self.context.metrics.clone(),
            times: Times {
                idle: limits.idle,
                message: limits.message,
            },
            allowance: Allowance {
                commands: limits.commands,
                octets: limits.command_bytes,
            },
            _token: token,
            _open: self.context.metrics.connection(),
        })
    }
}

#[cfg(test)]
pub(super) mod tests;
