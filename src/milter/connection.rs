//! One connection of an MTA, from its first octet to its end: read, talk, write.
//!
//! All frames that have come are worked off before anything is written, so that a message
//! whose commands need no reply costs one read and one write.

use std::{io, sync::Arc};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    task::{spawn_blocking, yield_now},
};

use super::{
    context::ListenerContext,
    dialogue::{Dialogue, Lateness, Phase, Step, write_ending},
    session::Ending,
    tenancy::{End, Tenancy, Watch},
    turns::{LARGE_OCTETS, Turn, Turns},
    wire::{Command, Event, Frames},
};
use crate::{names::OrganisationId, signer::PendingDecision};

/// After so many octets without a pause other connections have their turn.
const TURN_OCTETS: usize = 128 * 1024;
/// Replies are written when so many octets of them have gathered, at the latest.
const OUTPUT_OCTETS: usize = 16 * 1024;

/// Serves a connection until one side ends it.
pub(super) async fn serve<S>(stream: S, tenancy: Tenancy, listener: Arc<ListenerContext>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let turns = listener.turns.clone();
    let mut connection = Connection {
        stream,
        frames: Frames::new(),
        dialogue: Dialogue::new(listener),
        output: Vec::new(),
        watch: Watch::new(tenancy),
        since_pause: 0,
        since_message: 0,
        turns,
        turn: None,
    };
    let end = connection.serve().await;
    let between_frames = connection.frames.between_frames();
    connection.watch.ended(&end, between_frames);
}

struct Connection<S> {
    stream: S,
    frames: Frames,
    dialogue: Dialogue,
    output: Vec<u8>,
    watch: Watch,
    /// The octets that have been read without letting others have their turn.
    since_pause: usize,
    /// The octets that have been read since the last message.
    since_message: usize,
    turns: Turns,
    turn: Option<Turn>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    async fn serve(&mut self) -> End {
        loop {
            let round = async {
                self.read().await?;
                self.talk().await?;
                self.write().await
            };
            if let Err(end) = round.await {
                return end;
            }
        }
    }

    /// Reads what there is, or waits for it.
    async fn read(&mut self) -> Result<(), End> {
        if self.since_pause >= TURN_OCTETS {
            self.since_pause = 0;
            yield_now().await;
            self.watch.check_time()?;
        }
        let between_frames = self.frames.between_frames();
        let room = self.frames.room();
        let capacity = room.capacity();
        let read = tokio::select! {
            // What has come is taken before time is up.
            biased;
            read = self.stream.read_buf(room) => read,
            end = self.watch.until_end(between_frames) => return Err(end),
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
            self.turn = self.turns.large().await;
        }
        Ok(())
    }

    /// Works off all frames that have come whole.
    async fn talk(&mut self) -> Result<(), End> {
        while let Some(event) = self.frames.next().map_err(End::from)? {
            let step = match event {
                Event::Body(piece) => {
                    self.dialogue.body(piece);
                    continue;
                }
                Event::Command(command, data) => {
                    if command != Command::Body {
                        self.watch.command(data.len())?;
                    }
                    self.dialogue.command(command, data, &mut self.output)?
                }
            };
            match step {
                Step::GoOn => self.phase(),
                Step::ReadKeys(pending) => self.read_keys(pending).await,
                Step::ToSign(organisation) => self.sign(organisation).await?,
                Step::Ended(ending) => self.end_message(ending).await?,
                Step::Quit => return Err(End::Quit),
            }
            if self.output.len() > OUTPUT_OCTETS {
                self.write().await?;
            }
        }
        Ok(())
    }

    /// Has keys read that the message waits for: files, so not on this thread. A disk may
    /// hang; the message is put off then, and the connection goes on.
    async fn read_keys(&mut self, pending: PendingDecision) {
        self.turn = None;
        self.phase();
        tokio::select! {
            decision = spawn_blocking(move || pending.read_keys()) => {
                self.dialogue.keys_read(decision.ok());
            }
            () = self.watch.until_too_late() => self.dialogue.put_off(Lateness::Keys),
        }
    }

    /// Signs when it is the organisation's turn. A message that has none in time is put off,
    /// although it is whole, and the connection goes on.
    async fn sign(&mut self, organisation: OrganisationId) -> Result<(), End> {
        self.turn = None;
        let turn = tokio::select! {
            biased;
            turn = self.turns.sign(organisation) => Some(turn),
            () = self.watch.until_too_late() => None,
        };
        if turn.is_none() {
            self.dialogue.put_off(Lateness::Turn);
        }
        let ending = self.dialogue.end_of_message();
        drop(turn);
        self.end_message(ending).await
    }

    /// Only what has been handed over counts as signed.
    async fn end_message(&mut self, ending: Ending) -> Result<(), End> {
        write_ending(&ending, &mut self.output);
        let written = self.write().await;
        self.dialogue.told(&ending, written.is_ok());
        self.phase();
        written?;
        self.watch.behind_message()
    }

    /// Keeps time and turns in step with the dialogue.
    fn phase(&mut self) {
        let phase = self.dialogue.phase();
        if phase == Phase::Idle {
            self.since_message = 0;
        }
        self.watch.phase(phase);
    }

    async fn write(&mut self) -> Result<(), End> {
        // Never held while waiting for the peer.
        self.turn = None;
        if self.output.is_empty() {
            return Ok(());
        }
        let written: io::Result<()> = tokio::select! {
            biased;
            written = self.stream.write_all(&self.output) => written,
            end = self.watch.until_end(false) => return Err(end),
        };
        self.output.clear();
        written.map_err(|_| End::Unreachable)
    }
}
