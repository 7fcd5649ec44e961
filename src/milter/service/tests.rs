use std::{fs, num::NonZero, path::Path, thread::available_parallelism};

use jiff::Timestamp;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    task::{JoinHandle, yield_now},
};

use super::{super::traffic::Stage, *};
use crate::{
    config,
    dkim::Algorithm,
    keystore::{Evidence, Keystore, Target},
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
    let loaded = config::load(&file).unwrap();
    let built = Snapshot::first(loaded, &keystore, &metrics).unwrap();
    let service = Service::new(ServiceParts {
        name: "relay".into(),
        outbound: Outbound::All,
        observe: false,
        turns: Turns::new(metrics.clone()),
        snapshots: SnapshotHolder::new(built.snapshot),
        metrics,
    });
    (service, folder)
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

fn begin() -> Vec<u8> {
    frame(b'M', b"<a@b.example>\0")
}

/// From the header section to the end of a message from this address.
fn rest(from: &str) -> Vec<u8> {
    let from = format!("From\0 {from}\0");
    [
        frame(b'L', from.as_bytes()),
        frame(b'N', b""),
        frame(b'E', b""),
    ]
    .concat()
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
    let (service, _folder) = service();
    let organisation: OrganisationId = ORGANISATION.parse().unwrap();
    let mut held = Vec::new();
    for _ in 0..available_parallelism().map_or(1, NonZero::get) {
        held.push(service.context.turns.sign(organisation.clone()).await);
    }
    let message = [begin(), rest("a@een.example")].concat();
    let (mut mta, served) = connected(&service).await;
    mta.write_all(&message).await.unwrap();
    let mut replies = Vec::new();
    mta.read_to_end(&mut replies).await.unwrap();
    served.await.unwrap();
    let text = String::from_utf8_lossy(&replies);
    assert!(text.contains("451 4.7.1"), "{text}");
    let page = service.context.all_metrics.render().unwrap();
    let counted = r#"zegel_messages_total{listener="relay",result="tempfailed"} 1"#;
    assert!(page.contains(counted), "{page}");

    drop(held);
    let (mut mta, _served) = connected(&service).await;
    mta.write_all(&message).await.unwrap();
    let mut first = [0; 5];
    mta.read_exact(&mut first).await.unwrap();
    assert_eq!(first[4], b'i', "a signature is inserted");
}
