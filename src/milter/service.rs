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
    /// The turns of large messages of all listeners together.
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
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        task::yield_now,
    };

    use super::{super::traffic::Stage, *};
    use crate::{
        config::{Loaded, Settings},
        keystore::Keystore,
        snapshot::Snapshot,
    };

    fn service() -> Service {
        let metrics = Metrics::new();
        let folder = tempfile::tempdir().unwrap();
        let keystore = Keystore::create(&folder.path().join("keys")).unwrap();
        let loaded = Loaded {
            settings: Settings::default(),
            organisations: Vec::new(),
            warnings: Vec::new(),
        };
        let built = Snapshot::first(loaded, &keystore, &metrics).unwrap();
        Service::new(ServiceParts {
            name: "relay".into(),
            outbound: Outbound::All,
            observe: false,
            turns: Turns::new(metrics.clone()),
            snapshots: SnapshotHolder::new(built.snapshot),
            metrics,
        })
    }

    fn frame(kind: u8, data: &[u8]) -> Vec<u8> {
        let length = u32::try_from(data.len() + 1).unwrap();
        [&length.to_be_bytes()[..], &[kind], data].concat()
    }

    /// An MTA that has the next message ready whenever one ends does not hold up the end.
    #[tokio::test]
    async fn a_busy_connection_ends_behind_its_message() {
        let service = service();
        let (mut mta, stream) = tokio::io::duplex(64 * 1024);
        let served = service.clone();
        let served = tokio::spawn(async move { served.serve(stream).await });
        // No reply but the final ones.
        let offer = [[0, 0, 0, 6], [0, 0, 0, 1], [0, 0x1f, 0xff, 0xff]].concat();
        let begin = frame(b'M', b"<a@b.example>\0");
        let end = [
            frame(b'L', b"From\0 a@b.example\0"),
            frame(b'N', b""),
            frame(b'E', b""),
        ]
        .concat();
        mta.write_all(&[frame(b'O', &offer), begin.clone()].concat())
            .await
            .unwrap();
        while service.traffic.messages() == 0 {
            yield_now().await;
        }
        service.traffic.enter(Stage::Draining);
        let more = [begin, end.clone()].concat().repeat(10);
        mta.write_all(&[end, more].concat()).await.unwrap();
        served.await.unwrap();
        let mut told = Vec::new();
        mta.read_to_end(&mut told).await.unwrap();
        let (agreement, replies) = told.split_at(17);
        assert_eq!(agreement[4], b'O');
        assert_eq!(replies, frame(b'a', b""));
    }
}
