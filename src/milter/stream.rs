//! One connection of an MTA: its frames, watched, and its time, limited.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use super::{
    frames::{Commands, Phase, Replies},
    traffic::{ConnectionToken, MessageToken, Stage, Traffic},
};
use crate::observe::metrics::{ListenerMetrics, OpenConnection};

/// How much is read at once where frames are small.
const READ_OCTETS: usize = 8192;
/// How long an SMTP client may take between MAIL and the end of its data: libmilter's limit,
/// which its documentation advises not to go below.
pub(super) const ENVELOPE_TIME: Duration = Duration::from_secs(7210);

/// The times that a connection may take, from `[limits]`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// Without a message.
    pub(super) idle: Duration,
    /// From the first header field to the reply.
    pub(super) message: Duration,
}

/// What a connection holds of its listener until it is closed.
pub(super) struct Tenancy {
    pub(super) traffic: Traffic,
    pub(super) metrics: ListenerMetrics,
    pub(super) times: Times,
    /// Held, never read: dropping them counts the connection out.
    pub(super) _token: ConnectionToken,
    pub(super) _open: OpenConnection,
}

/// A stream that ends itself: at a frame that is none, when a time is over, and between two
/// messages while the listener drains.
pub(super) struct GuardedStream<S> {
    inner: S,
    tenancy: Tenancy,
    commands: Commands,
    replies: Replies,
    input: Box<[u8; READ_OCTETS]>,
    /// What has been looked at and not been read yet.
    output: Vec<u8>,
    output_read: usize,
    message: Option<MessageToken>,
    /// Since when the connection is in its phase.
    since: Instant,
    timer: Pin<Box<Sleep>>,
    /// Ends when the listener comes to its next stage.
    next_stage: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// By the peer or by ourselves.
    ended: bool,
}

impl<S> GuardedStream<S> {
    pub(super) fn new(inner: S, tenancy: Tenancy) -> Self {
        let since = Instant::now();
        Self {
            inner,
            commands: Commands::new(),
            replies: Replies::default(),
            input: Box::new([0; READ_OCTETS]),
            output: Vec::with_capacity(READ_OCTETS),
            output_read: 0,
            message: None,
            since,
            timer: Box::pin(sleep_until(since + tenancy.times.idle)),
            next_stage: Box::pin(tenancy.traffic.reaches(Stage::Draining)),
            ended: false,
            tenancy,
        }
    }

    fn deadline(&self) -> Instant {
        self.since
            + match self.commands.phase() {
                Phase::Idle => self.tenancy.times.idle,
                Phase::Envelope => ENVELOPE_TIME,
                Phase::Content | Phase::Reply => self.tenancy.times.message,
            }
    }

    /// Keeps the count of messages and the times in step with the phase.
    fn phase_changed(&mut self, before: Phase) {
        let phase = self.commands.phase();
        match phase {
            Phase::Idle => self.message = None,
            Phase::Envelope | Phase::Content | Phase::Reply => {
                if self.message.is_none() {
                    self.message = Some(self.tenancy.traffic.begin_message());
                }
            }
        }
        let same_time = matches!(
            (before, phase),
            (Phase::Content | Phase::Reply, Phase::Content | Phase::Reply)
        );
        if !same_time {
            self.since = Instant::now();
        }
    }

    /// Looks at octets that came, and keeps what indymilter is to see.
    fn feed(&mut self, octets: usize) {
        let before = self.commands.phase();
        self.output.clear();
        self.output_read = 0;
        let fed = self.commands.feed(&self.input[..octets], &mut self.output);
        self.phase_changed(before);
        if fed.is_err() {
            tracing::warn!("connection closed: what the peer sends is not the milter protocol");
            self.tenancy.metrics.protocol_error();
            self.ended = true;
        }
    }

    /// Whether the connection has to end now although the peer keeps us waiting.
    fn must_end(&mut self, context: &mut Context<'_>) -> bool {
        let idle = self.commands.phase() == Phase::Idle;
        match self.stage(context) {
            Stage::Draining if idle => return true,
            Stage::Cut => return true,
            Stage::Open | Stage::Draining => {}
        }
        let deadline = self.deadline();
        if self.timer.deadline() != deadline {
            self.timer.as_mut().reset(deadline);
        }
        if self.timer.as_mut().poll(context).is_pending() {
            return false;
        }
        if !(idle && self.commands.between_frames()) {
            let phase = self.commands.phase();
            tracing::warn!(?phase, "connection closed: the MTA took too long");
            self.tenancy.metrics.protocol_error();
        }
        true
    }

    /// The stage of the listener; the task is woken when it changes.
    fn stage(&mut self, context: &mut Context<'_>) -> Stage {
        while self.next_stage.as_mut().poll(context).is_ready() {
            self.next_stage = match self.tenancy.traffic.stage() {
                Stage::Cut => Box::pin(std::future::pending()),
                Stage::Open | Stage::Draining => Box::pin(self.tenancy.traffic.reaches(Stage::Cut)),
            };
        }
        self.tenancy.traffic.stage()
    }

    /// indymilter closes the connection, which it does without a word when it can't read a
    /// frame. Counted before the peer sees the end.
    fn closed(&mut self) {
        let expected = self.ended || self.commands.has_quit();
        if !expected && self.tenancy.traffic.stage() == Stage::Open {
            tracing::warn!("connection closed: what the peer says makes no sense");
            self.tenancy.metrics.protocol_error();
        }
        self.ended = true;
    }

    /// The peer has left, or can't be reached any more.
    fn left(&mut self) {
        if !self.commands.between_frames() && !self.ended {
            tracing::warn!("the peer left in the middle of a frame");
            self.tenancy.metrics.protocol_error();
        }
        self.ended = true;
    }
}

impl<S> Drop for GuardedStream<S> {
    fn drop(&mut self) {
        self.closed();
    }
}

impl<S: AsyncRead + Unpin> GuardedStream<S> {
    fn read_input(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut buffer = ReadBuf::new(&mut self.input[..]);
        let read = ready!(Pin::new(&mut self.inner).poll_read(context, &mut buffer));
        match buffer.filled().len() {
            0 => self.left(),
            octets => self.feed(octets),
        }
        Poll::Ready(read)
    }

    /// Reads the payload of a large frame straight to where it is wanted.
    fn read_payload(
        &mut self,
        context: &mut Context<'_>,
        target: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let wanted = self.commands.payload().min(target.remaining());
        let mut part = ReadBuf::new(target.initialize_unfilled_to(wanted));
        let read = ready!(Pin::new(&mut self.inner).poll_read(context, &mut part));
        let octets = part.filled().len();
        target.advance(octets);
        self.commands.passed(octets);
        if octets == 0 {
            self.left();
        }
        Poll::Ready(read)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for GuardedStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        target: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            let unread = &this.output[this.output_read..];
            if !unread.is_empty() {
                let octets = unread.len().min(target.remaining());
                target.put_slice(&unread[..octets]);
                this.output_read += octets;
                return Poll::Ready(Ok(()));
            }
            if this.ended {
                return Poll::Ready(Ok(()));
            }
            let straight =
                this.commands.payload() > READ_OCTETS && target.remaining() > READ_OCTETS;
            let read = if straight {
                this.read_payload(context, target)
            } else {
                this.read_input(context)
            };
            match read {
                Poll::Ready(Ok(())) if straight => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending if this.must_end(context) => this.ended = true,
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for GuardedStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = match Pin::new(&mut this.inner).poll_write(context, octets) {
            Poll::Pending if this.must_end(context) => {
                this.ended = true;
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Err(error)) => {
                this.ended = true;
                return Poll::Ready(Err(error));
            }
            Poll::Ready(Ok(written)) => written,
        };
        let is_final = this.replies.feed(&octets[..written]);
        if is_final && this.commands.phase() == Phase::Reply {
            this.commands.replied();
            this.phase_changed(Phase::Reply);
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.closed();
        Pin::new(&mut this.inner).poll_shutdown(context)
    }
}
