use std::{
    fs,
    num::NonZero,
    path::{Path, PathBuf},
    sync::mpsc,
    thread::available_parallelism,
    time::Duration,
};

use jiff::Timestamp;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    runtime::Builder,
    task::{JoinHandle, spawn_blocking, yield_now},
    time::sleep,
};
use tracing::subscriber::DefaultGuard;

use super::{super::traffic::Stage, *};
use crate::{
    config,
    dkim::Algorithm,
    keys::{self, Evidence},
    keystore::{Keystore, Target},
    names::OrganisationId,
    snapshot::Snapshot,
};

const ORGANISATION: &str = "een";

/// A listener on which all mail is outbound, with one organisation, `een.example`, whose key
/// is in use, and the folder of its files. A message may take a second.
pub(in crate::milter) fn service() -> (Service, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore(&folder.path().join("keys"));
    let file = folder.path().join("zegel.toml");
    let settings = format!(
        "[keystore]\npath = \"{}\"\n[limits]\nmessage = \"1s\"\n[[listener]]\nname = \"relay\"\n\
         socket = \"unix:/run/zegel/relay.sock\"\noutbound = \"all\"\n",
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
    keystore.activate(&target, Evidence::Assumed, now).unwrap();
    keystore
}

/// A connection of an MTA that wants no reply but the final ones.
async fn connected(service: &Service) -> (DuplexStream, JoinHandle<()>) {
    let (mut mta, stream) = tokio::io::duplex(64 * 1024);
    let served = service.clone();
    let served = tokio::spawn(async move { served.serve(stream).await });
    let offer = [[0, 0, 0, 6], [0, 0, 0, 1], [0, 0x1f, 0xff, 0xff]].concat();
    mta.write_all(&frame(b'O', &offer)).await.unwrap();
    let mut agreement = [0; 17];
    mta.read_exact(&mut agreement).await.unwrap();
    assert_eq!(agreement[4], b'O');
    (mta, served)
}

fn frame(kind: u8, data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len() + 1).unwrap();
    [&length.to_be_bytes()[..], &[kind], data].concat()
}

/// What the MTA is told next: the kind of the frame, and what is in it.
async fn reply(mta: &mut DuplexStream) -> (u8, Vec<u8>) {
    let length = mta.read_u32().await.unwrap();
    let kind = mta.read_u8().await.unwrap();
    let mut data = vec![0; length as usize - 1];
    mta.read_exact(&mut data).await.unwrap();
    (kind, data)
}

fn begin() -> Vec<u8> {
    let queue_id = frame(b'D', b"Mi\0Q1\0");
    [queue_id, frame(b'M', b"<a@b.example>\0")].concat()
}

fn header(from: &str) -> Vec<u8> {
    let from = format!("From\0 {from}\0");
    [frame(b'L', from.as_bytes()), frame(b'N', b"")].concat()
}

fn end() -> Vec<u8> {
    frame(b'E', b"")
}

/// From the header section to the end of a message from this address.
fn rest(from: &str) -> Vec<u8> {
    [header(from), end()].concat()
}

/// Until it is dropped, what is logged on this thread is in the file.
fn logged(folder: &TempDir) -> (DefaultGuard, PathBuf) {
    let path = folder.path().join("log");
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(fs::File::create(&path).unwrap())
        .finish();
    (tracing::subscriber::set_default(subscriber), path)
}

/// A message of ours was put off as one that could not be signed, by its organisation's
/// numbers and its line, and nobody says that it was the MTA's fault.
fn assert_put_off(service: &Service, reply: &(u8, Vec<u8>), log: &str) {
    let text = String::from_utf8_lossy(&reply.1);
    assert_eq!(reply.0, b'y', "{text}");
    assert!(text.starts_with("451 4.7.1 "), "{text}");
    let page = service.context.all_metrics.render().unwrap();
    for counted in [
        r#"zegel_messages_total{listener="relay",result="tempfailed"} 1"#,
        r#"zegel_unsigned_total{organisation="een",reason="signing_failure"} 1"#,
        r#"zegel_limits_reached_total{listener="relay",limit="message"} 1"#,
        r#"zegel_protocol_errors_total{listener="relay"} 0"#,
    ] {
        assert!(page.contains(counted), "no {counted} in {page}");
    }
    assert!(!page.contains("zegel_last_signing_failure_timestamp_seconds 0.0"));
    let line = log.lines().find(|line| line.contains("zegel::message"));
    for field in [
        r#"queue_id="Q1""#,
        r#"organisation="een""#,
        r#"domain="een.example""#,
        r#"result="tempfailed""#,
        r#"reason="signing_failure""#,
    ] {
        assert!(
            line.is_some_and(|line| line.contains(field)),
            "no {field} in {log}"
        );
    }
    assert!(!log.contains("the MTA"), "{log}");
}

/// An MTA that has the next message ready whenever one ends does not hold up the end.
#[tokio::test]
async fn a_busy_connection_ends_behind_its_message() {
    let (service, _folder) = service();
    let (mut mta, served) = connected(&service).await;
    mta.write_all(&begin()).await.unwrap();
    while service.traffic.messages() == 0 {
        yield_now().await;
    }
    service.traffic.enter(Stage::Draining);
    let end = rest("a@b.example");
    let more = [begin(), end.clone()].concat().repeat(10);
    mta.write_all(&[end, more].concat()).await.unwrap();
    served.await.unwrap();
    let mut replies = Vec::new();
    mta.read_to_end(&mut replies).await.unwrap();
    assert_eq!(replies, frame(b'a', b""));
}

/// Nobody hears nothing of a message that is whole; and the next one is signed.
#[tokio::test]
async fn a_message_without_a_turn_in_time_is_put_off() {
    let (service, folder) = service();
    let (_guard, log) = logged(&folder);
    let organisation: OrganisationId = ORGANISATION.parse().unwrap();
    let mut held = Vec::new();
    for _ in 0..available_parallelism().map_or(1, NonZero::get) {
        held.push(service.context.turns.sign(organisation.clone()).await);
    }
    let message = [begin(), rest("a@een.example")].concat();
    let (mut mta, _served) = connected(&service).await;
    mta.write_all(&message).await.unwrap();
    let told = reply(&mut mta).await;
    let log = fs::read_to_string(log).unwrap();
    assert_put_off(&service, &told, &log);
    assert!(log.contains("no turn to be signed in time"), "{log}");

    drop(held);
    mta.write_all(&message).await.unwrap();
    let (kind, _) = reply(&mut mta).await;
    assert_eq!(kind, b'i', "a signature is inserted");
}

/// The same where a disk hangs; the rest of the message has its time.
#[test]
fn a_message_whose_keys_are_not_read_in_time_is_put_off() {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .max_blocking_threads(1)
        .build();
    runtime.unwrap().block_on(async {
        let (service, folder) = service();
        let (_guard, log) = logged(&folder);
        // The one thread that could read files is away.
        let (release, away) = mpsc::channel::<()>();
        let away = spawn_blocking(move || away.recv());
        let (mut mta, served) = connected(&service).await;
        let head = [begin(), header("a@een.example")].concat();
        mta.write_all(&head).await.unwrap();
        while !fs::read_to_string(&log)
            .unwrap()
            .contains("not read in time")
        {
            assert!(!served.is_finished());
            sleep(Duration::from_millis(10)).await;
        }
        mta.write_all(&end()).await.unwrap();
        let told = reply(&mut mta).await;
        assert_put_off(&service, &told, &fs::read_to_string(&log).unwrap());

        drop(release);
        away.await.unwrap().unwrap_err();
        let message = [head, end()].concat();
        mta.write_all(&message).await.unwrap();
        let (kind, _) = reply(&mut mta).await;
        assert_eq!(kind, b'i', "a signature is inserted");
    });
}
