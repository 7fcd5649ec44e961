//! One connection of an MTA, from its first octet to its end: read, talk, write.
//!
//! All frames that have come are worked off before anything is written, so that a message
//! whose commands need no reply costs one read and one write.

use std::{io, sync::Arc};

use indymilter::message::command::CommandKind;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    task::{spawn_blocking, yield_now},
};

use super::{
    deadline::{Deadline, End},
    dialogue::{Dialogue, Lateness, Step, write_final_reply},
    memory::{OWN_OCTETS, Share},
    service::{ListenerContext, Place, Service},
    transaction::{Ending, Phase},
    turns::{LARGE_OCTETS, LargeTurn},
    wire::{Event, Frames},
};
use crate::{names::OrganisationId, observe::metrics::Limit, signer::PendingDecision};

/// After so many octets without a pause other connections have their turn.
const OCTETS_WITHOUT_PAUSE: usize = 128 * 1024;
/// Replies are written when so many octets of them have gathered, at the latest.
const OUTPUT_OCTETS: usize = 16 * 1024;

impl Service {
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
        if let Some(place) = self.context.place(limits) {
            run_connection(stream, place, Arc::clone(&self.context)).await;
        }
    }
}

/// Serves a connection until a side ends it.
pub(super) async fn run_connection<S>(stream: S, place: Place, listener: Arc<ListenerContext>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut connection = Connection {
        stream,
        frames: Frames::new(),
        dialogue: Dialogue::new(Arc::clone(&listener), &place.limits),
        output: Vec::new(),
        deadline: Deadline::new(Arc::clone(&listener), &place.limits),
        since_pause: 0,
        since_message: 0,
        share: listener.memory.share(place.limits.header_memory),
        listener,
        turn: None,
        _place: place,
    };
    let end = loop {
        if let Err(end) = connection.read_and_answer().await {
            break end;
        }
    };
    end.report(&connection.listener, connection.frames.between_frames());
}

struct Connection<S> {
    stream: S,
    frames: Frames,
    dialogue: Dialogue,
    output: Vec<u8>,
    deadline: Deadline,
    /// The octets that have been read without letting others have their turn.
    since_pause: usize,
    /// The octets that have been read since the last message.
    since_message: usize,
    listener: Arc<ListenerContext>,
    turn: Option<LargeTurn>,
    share: Share,
    /// Given back when the stream is closed.
    _place: Place,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    async fn read_and_answer(&mut self) -> Result<(), End> {
        self.read().await?;
        self.talk().await?;
        self.check_memory(self.frames.held())?;
        if self.dialogue.has_negotiated() {
            self.deadline.negotiated();
        }
        self.write().await
    }

    /// Counts what is held of a message that has not come whole, with the part of a frame that
    /// has come. If that is too much the message is given up; and if the frame alone is too
    /// much, the connection.
    fn check_memory(&mut self, frame: usize) -> Result<(), End> {
        if self.share.hold(frame + self.dialogue.held()) {
            return Ok(());
        }
        if frame <= OWN_OCTETS {
            self.dialogue.let_go();
            if self.share.hold(frame + self.dialogue.held()) {
                return Ok(());
            }
        }
        Err(End::TooMuch(Limit::HeaderMemory))
    }

    /// Reads what there is, or waits for it.
    async fn read(&mut self) -> Result<(), End> {
        let standing = self.dialogue.standing();
        if self.since_pause >= OCTETS_WITHOUT_PAUSE {
            self.since_pause = 0;
            yield_now().await;
            self.deadline.check_time(standing)?;
        }
        let between_frames = self.frames.between_frames();
        let room = self.frames.room();
        let capacity = room.capacity();
        let read = tokio::select! {
            // What has come is taken before time is up.
            biased;
            read = self.stream.read_buf(room) => read,
            end = self.deadline.passed(standing, between_frames) => return Err(end),
        };
        let octets = read.map_err(|_| End::Unreachable)?;
        if octets == 0 {
            return Err(End::Left);
        }
        if room.len() == capacity {
            self.frames.filled();
        }
        self.since_pause += octets;
        self.since_message += octets;
        if self.since_message > LARGE_OCTETS {
            self.turn = self.listener.turns.large().await;
        }
        Ok(())
    }

    /// Works off all frames that have come whole.
    async fn talk(&mut self) -> Result<(), End> {
        while let Some(event) = self.frames.next()? {
            let step = match event {
                Event::Body(piece) => {
                    self.dialogue.body(piece);
                    continue;
                }
                Event::Command(command, data) => {
                    if command != CommandKind::BodyChunk {
                        self.dialogue.spend(data.len()).map_err(End::TooMuch)?;
                    }
                    let step = self.dialogue.command(command, data, &mut self.output)?;
                    if command == CommandKind::Header {
                        self.check_memory(0)?;
                    }
                    step
                }
            };
            match step {
                Step::GoOn => {}
                Step::ReadKeys(pending) => self.read_keys(pending).await,
                Step::ToSign(organisation) => self.sign(organisation).await?,
                Step::Ended(ending) => self.end_message(ending).await?,
                Step::Quit => return Err(End::Quit),
            }
            if self.dialogue.standing().phase == Phase::Idle {
                self.since_message = 0;
            }
            if self.output.len() > OUTPUT_OCTETS {
                self.write().await?;
            }
        }
        Ok(())
    }

    /// Has keys read that the message waits for: files, so not on this thread. A disk may
    /// hang; the message is not signed then, and the connection goes on.
    async fn read_keys(&mut self, pending: PendingDecision) {
        self.turn = None;
        let standing = self.dialogue.standing();
        tokio::select! {
            decision = spawn_blocking(move || pending.read_keys()) => {
                self.dialogue.keys_read(decision.ok());
            }
            () = self.deadline.passed_by_our_fault(standing) => {
                self.dialogue.give_up_signing(Lateness::Keys);
            }
        }
    }

    /// Signs the message when the turn of its organisation comes. If that takes too long the
    /// message is not signed although it is whole, and the connection goes on.
    async fn sign(&mut self, organisation: OrganisationId) -> Result<(), End> {
        self.turn = None;
        let standing = self.dialogue.standing();
        let turn = tokio::select! {
            biased;
            turn = self.listener.turns.sign(organisation) => Some(turn),
            () = self.deadline.passed_by_our_fault(standing) => None,
        };
        if turn.is_none() {
            self.dialogue.give_up_signing(Lateness::Turn);
        }
        let ending = self.dialogue.end_of_message();
        drop(turn);
        self.end_message(ending).await
    }

    /// Only what has been handed over counts as signed.
    async fn end_message(&mut self, ending: Ending) -> Result<(), End> {
        write_final_reply(&ending, &mut self.output);
        let written = self.write().await;
        self.dialogue.answered(&ending, written.is_ok());
        written?;
        self.deadline.check_drain()
    }

    async fn write(&mut self) -> Result<(), End> {
        // Never held while waiting for the peer.
        self.turn = None;
        if self.output.is_empty() {
            return Ok(());
        }
        let standing = self.dialogue.standing();
        let written: io::Result<()> = tokio::select! {
            biased;
            written = self.stream.write_all(&self.output) => written,
            end = self.deadline.passed(standing, false) => return Err(end),
        };
        self.output.clear();
        written.map_err(|_| End::Unreachable)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs, num::NonZero, path::PathBuf, sync::mpsc, thread::available_parallelism, time::Duration,
    };

    use tempfile::TempDir;
    use tokio::{io::DuplexStream, runtime::Builder, task::JoinHandle, time::sleep};
    use tracing::subscriber::DefaultGuard;

    use super::*;
    use crate::milter::{
        drain::Stage,
        service::tests::{ORGANISATION, service},
    };

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
        while service.context.drain.messages() == 0 {
            yield_now().await;
        }
        service.context.drain.enter(Stage::Draining);
        let end = rest("a@b.example");
        let more = [begin(), end.clone()].concat().repeat(10);
        mta.write_all(&[end, more].concat()).await.unwrap();
        served.await.unwrap();
        let mut replies = Vec::new();
        mta.read_to_end(&mut replies).await.unwrap();
        assert_eq!(replies, frame(b'a', b""));
    }

    /// Its MTA has a reply, since the message is whole; and the next one is signed.
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
}
