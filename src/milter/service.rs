//! What a listener does for its connections, whatever brings them.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use super::{
    drain::{ConnectionToken, Drain},
    memory::HeaderMemory,
    turns::Turns,
};
use crate::{
    config::{Limits, Outbound},
    names::DomainName,
    observe::metrics::{Counted, ListenerMetrics, Metrics, OrganisationMetrics},
    snapshot::{Snapshot, SnapshotHolder},
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
    /// What may be held of large header sections, over all listeners.
    pub memory: HeaderMemory,
    /// Where the current snapshot is.
    pub snapshots: SnapshotHolder,
    /// Where messages are counted.
    pub metrics: Metrics,
}

/// A listener without its socket: signs what comes on the connections that it is given
/// ([`Service::serve`]).
#[derive(Clone)]
pub struct Service {
    pub(super) context: Arc<ListenerContext>,
}

/// What all connections of a listener share.
pub(super) struct ListenerContext {
    pub(super) name: String,
    pub(super) outbound: Outbound,
    /// Every message is accepted as it came; what would have become of it is told.
    pub(super) observe: bool,
    pub(super) snapshots: SnapshotHolder,
    pub(super) metrics: ListenerMetrics,
    pub(super) without_organisation: OrganisationMetrics,
    pub(super) all_metrics: Metrics,
    pub(super) turns: Turns,
    pub(super) memory: HeaderMemory,
    pub(super) drain: Drain,
    /// Whether the log has been told of mail that only its missing address keeps from being
    /// signed.
    has_told_of_no_address: AtomicBool,
}

/// The place that a connection has until it is closed.
pub(super) struct Place {
    /// As they were when the connection came: a reload changes them for connections to come.
    pub(super) limits: Limits,
    /// Held, never read: dropping them counts the connection out.
    _token: ConnectionToken,
    _open: Counted,
}

impl Service {
    /// Puts it together.
    pub fn new(parts: ServiceParts) -> Self {
        Self {
            context: Arc::new(ListenerContext {
                metrics: parts.metrics.listener(&parts.name),
                name: parts.name,
                outbound: parts.outbound,
                observe: parts.observe,
                snapshots: parts.snapshots,
                without_organisation: parts.metrics.without_organisation(),
                all_metrics: parts.metrics,
                turns: parts.turns,
                memory: parts.memory,
                drain: Drain::new(),
                has_told_of_no_address: AtomicBool::new(false),
            }),
        }
    }
}

impl ListenerContext {
    /// The snapshot of this moment.
    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshots.current()
    }

    /// Says once that mail of this domain of ours is not outbound since the MTA shows no
    /// address of its client: nobody would find that out from a count of `not_outbound`.
    pub(super) fn tell_of_no_address(&self, domain: &DomainName) {
        if self.has_told_of_no_address.swap(true, Relaxed) {
            return;
        }
        tracing::warn!(
            listener = self.name,
            %domain,
            "mail of ours came from a client of which the MTA shows no address, so it is not \
             outbound and leaves unsigned: if all such mail is made on this host (sendmail -bs, \
             unix sockets), add without_address = true to the outbound rule of this listener \
             and restart; the log says this once"
        );
    }

    /// Whether the next connection would be one too many.
    pub(super) fn is_full(&self) -> bool {
        self.drain.open() >= self.snapshot().settings().limits.connections
    }

    /// A place for one more connection, if `limits.connections` leaves one.
    pub(super) fn place(&self, limits: Limits) -> Option<Place> {
        Some(Place {
            _token: self.drain.connect(limits.connections)?,
            _open: self.metrics.connection(),
            limits,
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::{fs, path::Path};

    use jiff::Timestamp;
    use tempfile::TempDir;

    use super::*;
    use crate::{
        config,
        dkim::Algorithm,
        keys,
        keystore::{Keystore, Target},
    };

    pub(in crate::milter) const ORGANISATION: &str = "een";

    /// A listener on which all mail is outbound, with one organisation, `een.example`, whose
    /// key is in use, and the folder of its files. A message may take a second.
    pub(in crate::milter) fn service() -> (Service, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let keystore = keystore(&folder.path().join("keys"));
        let file = folder.path().join("zegel.toml");
        let settings = format!(
            "[keystore]\npath = \"{}\"\n[limits]\nmessage = \"1s\"\n[[listener]]\n\
             name = \"relay\"\nsocket = \"unix:/run/zegel/relay.sock\"\noutbound = \"all\"\n",
            keystore.path().display()
        );
        fs::write(&file, settings).unwrap();
        let organisation = "name = \"Een\"\ndomains = [\"een.example\"]\n\
                            algorithms = [\"ed25519-sha256\"]\n";
        fs::create_dir(folder.path().join("orgs.d")).unwrap();
        fs::write(folder.path().join("orgs.d/een.toml"), organisation).unwrap();
        let metrics = Metrics::new();
        let snapshot = snapshot(folder.path(), &metrics);
        let service = Service::new(ServiceParts {
            name: "relay".into(),
            outbound: Outbound::All,
            observe: false,
            turns: Turns::new(metrics.clone()),
            memory: HeaderMemory::new(metrics.clone()),
            snapshots: SnapshotHolder::new(snapshot),
            metrics,
        });
        (service, folder)
    }

    /// Of the files of [`service`] as they are now.
    fn snapshot(folder: &Path, metrics: &Metrics) -> Snapshot {
        let loaded = config::load(&folder.join("zegel.toml")).unwrap();
        let keystore = Keystore::open(&folder.join("keys")).unwrap();
        let built = Snapshot::first(loaded, &keystore, metrics).unwrap();
        built.snapshot
    }

    /// The key of [`service`] is revoked, and the snapshot replaced; gives the one before.
    pub(in crate::milter) fn revoke(service: &Service, folder: &TempDir) -> Arc<Snapshot> {
        let keystore = Keystore::open(&folder.path().join("keys")).unwrap();
        let organisation = ORGANISATION.parse().unwrap();
        let keyring = keystore.read_keyring(&organisation).unwrap();
        let now = Timestamp::now();
        let changes = keys::revoke(&keyring, &"s1".parse().unwrap(), now).unwrap();
        let mut writer = keystore.writer().unwrap();
        writer.apply(&organisation, &changes, now).unwrap();
        let next = snapshot(folder.path(), &service.context.all_metrics);
        service.context.snapshots.replace(next)
    }

    fn keystore(path: &Path) -> Keystore {
        let keystore = Keystore::create(path).unwrap();
        let target = Target {
            organisation: &ORGANISATION.parse().unwrap(),
            selector: &"s1".parse().unwrap(),
            domains: &["een.example".parse().unwrap()],
        };
        let now = Timestamp::now();
        keystore
            .generate(&target, Algorithm::Ed25519Sha256, 0, now)
            .unwrap();
        keystore
            .activate(&target, &config::Settings::default().timing(), now)
            .unwrap();
        keystore
    }
}
