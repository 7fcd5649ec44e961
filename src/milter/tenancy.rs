//! How long a connection may stay: its time in each phase, what it may say without an end,
//! and the draining of its listener.

use std::{pin::Pin, time::Duration};

use tokio::time::{Instant, Sleep, sleep_until};

use super::{
    dialogue::Phase,
    traffic::{ConnectionToken, MessageToken, Stage, Traffic},
    wire::Malformed,
};
use crate::observe::metrics::{Counted, Limit, ListenerMetrics};

/// How long an SMTP client may take between MAIL and the end of its data: libmilter's limit,
/// which its documentation advises not to go below.
const ENVELOPE_TIME: Duration = Duration::from_secs(7210);

/// The times that a connection may take, from `[limits]`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// Without a message.
    pub(super) idle: Duration,
    /// From the first header field to the reply.
    pub(super) message: Duration,
}

/// What may come without the end of a message, its body left out, from `[limits]`: macros
/// that are sent without end cost time, though no memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    /// Frames.
    pub(super) commands: usize,
    /// What is in them.
    pub(super) octets: usize,
}

/// What a connection holds of its listener until it is closed.
pub(super) struct Tenancy {
    pub(super) traffic: Traffic,
    pub(super) metrics: ListenerMetrics,
    pub(super) times: Times,
    pub(super) allowance: Allowance,
    /// Held, never read: dropping them counts the connection out.
    pub(super) _token: ConnectionToken,
    pub(super) _open: Counted,
}

/// Why a connection ends.
#[derive(Debug)]
pub(super) enum End {
    /// The MTA has taken its leave.
    Quit,
    /// The MTA has closed the connection.
    Left,
    /// The connection has failed.
    Unreachable,
    /// What came is not the milter protocol.
    Malformed,
    /// The MTA took too long.
    TooLong(Phase),
    /// The MTA said too much without coming to the end of a message.
    TooMuch(Limit),
    /// There was no message for too long, which is no fault.
    Idle,
    /// The listener drains, or its time is up.
    Drained,
}

impl From<Malformed> for End {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

/// Watches over the time of a connection.
pub(super) struct Watch {
    tenancy: Tenancy,
    phase: Phase,
    /// Since when the connection is in its phase; header and body are one.
    since: Instant,
    message: Option<(MessageToken, Counted)>,
    /// What is left until the end of a message.
    left: Allowance,
    /// Fires at the deadline or before it, and is then set anew: a deadline that moves
    /// further away with every message costs nothing.
    timer: Pin<Box<Sleep>>,
    /// Ends when the listener comes to its next stage.
    next_stage: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Watch {
    pub(super) fn new(tenancy: Tenancy) -> Self {
        let since = Instant::now();
        Self {
            phase: Phase::Idle,
            since,
            message: None,
            left: tenancy.allowance,
            timer: Box::pin(sleep_until(since + tenancy.times.idle)),
            next_stage: Box::pin(tenancy.traffic.reaches(Stage::Draining)),
            tenancy,
        }
    }

    /// Keeps the time and the count of messages in step with the dialogue.
    pub(super) fn phase(&mut self, phase: Phase) {
        let before = std::mem::replace(&mut self.phase, phase);
        if before == phase {
            return;
        }
        match phase {
            Phase::Idle => {
                self.message = None;
                self.left = self.tenancy.allowance;
            }
            Phase::Envelope | Phase::Header | Phase::Body => {
                if self.message.is_none() {
                    let counted = self.tenancy.metrics.begin_message();
                    self.message = Some((self.tenancy.traffic.begin_message(), counted));
                }
            }
        }
        if (before, phase) != (Phase::Header, Phase::Body) {
            self.since = Instant::now();
        }
    }

    /// Counts a command that is no body.
    pub(super) fn command(&mut self, octets: usize) -> Result<(), End> {
        let left = |left: usize, used, limit| {
            let left = left.checked_sub(used);
            left.ok_or(End::TooMuch(limit))
        };
        self.left = Allowance {
            commands: left(self.left.commands, 1, Limit::Commands)?,
            octets: left(self.left.octets, octets, Limit::CommandBytes)?,
        };
        Ok(())
    }

    /// Behind a message: ends a connection of a listener that drains, although the peer may
    /// have sent more already. Its MTA has that wait, as whatever comes after the end.
    pub(super) fn behind_message(&self) -> Result<(), End> {
        match self.tenancy.traffic.stage() {
            Stage::Open => Ok(()),
            Stage::Draining | Stage::Cut => Err(End::Drained),
        }
    }

    fn deadline(&self) -> Instant {
        self.since
            + match self.phase {
                Phase::Idle => self.tenancy.times.idle,
                Phase::Envelope => ENVELOPE_TIME,
                Phase::Header | Phase::Body => self.tenancy.times.message,
            }
    }

    /// Whether a connection that always has something to say has had its time.
    pub(super) fn check_time(&self) -> Result<(), End> {
        if self.tenancy.traffic.stage() == Stage::Cut {
            return Err(End::Drained);
        }
        if Instant::now() < self.deadline() {
            return Ok(());
        }
        Err(End::TooLong(self.phase))
    }

    /// Ends when the connection has to, although the peer keeps us waiting.
    pub(super) async fn until_end(&mut self, between_frames: bool) -> End {
        let idle = self.phase == Phase::Idle;
        loop {
            match self.tenancy.traffic.stage() {
                Stage::Draining if idle => return End::Drained,
                Stage::Cut => return End::Drained,
                Stage::Open | Stage::Draining => {}
            }
            let deadline = self.deadline();
            if deadline < self.timer.deadline() || self.timer.is_elapsed() {
                self.timer.as_mut().reset(deadline);
            }
            tokio::select! {
                () = &mut self.timer => {
                    if Instant::now() >= deadline {
                        return if idle && between_frames {
                            End::Idle
                        } else {
                            End::TooLong(self.phase)
                        };
                    }
                }
                () = &mut self.next_stage => {
                    self.next_stage = match self.tenancy.traffic.stage() {
                        Stage::Cut => Box::pin(std::future::pending()),
                        Stage::Open | Stage::Draining => {
                            Box::pin(self.tenancy.traffic.reaches(Stage::Cut))
                        }
                    };
                }
            }
        }
    }

    /// Ends when a message has kept the MTA waiting for as long as it may, which is for us to
    /// answer for: the limit is counted, and what is left of the message has its time anew.
    /// Ends as well when the time of the listener is up, which is seen behind the message.
    pub(super) async fn until_too_late(&mut self) {
        if let End::TooLong(_) = self.until_end(false).await {
            self.tenancy.metrics.limit_reached(Limit::Message);
            self.since = Instant::now();
        }
    }

    /// The connection is closed; counted before the peer sees it.
    pub(super) fn ended(&self, end: &End, between_frames: bool) {
        match end {
            End::Malformed => {
                tracing::warn!("connection closed: what the peer sends is not the milter protocol");
            }
            End::TooLong(phase) => {
                tracing::warn!(?phase, "connection closed: the MTA took too long");
                self.tenancy.metrics.limit_reached(match phase {
                    Phase::Idle => Limit::Idle,
                    Phase::Envelope => Limit::Envelope,
                    Phase::Header | Phase::Body => Limit::Message,
                });
            }
            End::TooMuch(limit) => {
                tracing::warn!(
                    "connection closed: limits.{} is reached without the end of a message",
                    limit.as_str()
                );
                self.tenancy.metrics.limit_reached(*limit);
            }
            End::Left | End::Unreachable if !between_frames => {
                tracing::warn!("the peer left in the middle of a frame");
            }
            End::Idle => return self.tenancy.metrics.limit_reached(Limit::Idle),
            End::Quit | End::Left | End::Unreachable | End::Drained => return,
        }
        self.tenancy.metrics.protocol_error();
    }
}
