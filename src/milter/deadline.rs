//! When a connection has to end although its peer would go on: it took too long, or its
//! listener drains.

use std::{pin::Pin, sync::Arc, time::Duration};

use tokio::time::{Instant, Sleep, sleep_until};

use super::{
    drain::Stage,
    service::ListenerContext,
    transaction::{Phase, Standing},
    wire::Malformed,
};
use crate::{config::Limits, observe::metrics::Limit};

/// How long an SMTP client may take between MAIL and the end of its data: libmilter's limit,
/// which its documentation advises not to go below.
const ENVELOPE_TIME: Duration = Duration::from_secs(7210);

/// How long a peer may take to offer what it can, which an MTA does at once.
const NEGOTIATION_TIME: Duration = Duration::from_secs(10);

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
    /// The peer did not negotiate: it is no MTA, or one that hangs.
    NotNegotiated,
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

impl End {
    /// Logs and counts it. To be done before the peer sees it.
    pub(super) fn report(&self, listener: &ListenerContext, between_frames: bool) {
        let metrics = &listener.metrics;
        match self {
            Self::Malformed => {
                tracing::warn!("connection closed: what the peer sends is not the milter protocol");
            }
            Self::TooLong(phase) => {
                tracing::warn!(?phase, "connection closed: the MTA took too long");
                metrics.limit_reached(match phase {
                    Phase::Idle => Limit::Idle,
                    Phase::Envelope => Limit::Envelope,
                    Phase::Header | Phase::Body => Limit::Message,
                });
            }
            Self::TooMuch(limit) => {
                tracing::warn!(
                    "connection closed: limits.{} is reached without the end of a message",
                    limit.as_str()
                );
                metrics.limit_reached(*limit);
            }
            Self::Left | Self::Unreachable if !between_frames => {
                tracing::warn!("the peer left in the middle of a frame");
            }
            Self::NotNegotiated => return metrics.limit_reached(Limit::Negotiation),
            Self::Idle => return metrics.limit_reached(Limit::Idle),
            Self::Quit | Self::Left | Self::Unreachable | Self::Drained => return,
        }
        metrics.protocol_error();
    }
}

/// The deadline of a connection. It follows from where the message stands, which the caller
/// tells with every question.
pub(super) struct Deadline {
    listener: Arc<ListenerContext>,
    /// How long there may be no message.
    idle: Duration,
    /// How long it may take from the first header field to the reply.
    message: Duration,
    /// Until when there must be an agreement; none once there is one.
    negotiate_by: Option<Instant>,
    /// Fires at the deadline or before it, and is then set again: a deadline that moves
    /// further away with every message costs nothing.
    timer: Pin<Box<Sleep>>,
    /// Ends when the listener comes to its next stage.
    next_stage: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Deadline {
    pub(super) fn new(listener: Arc<ListenerContext>, limits: &Limits) -> Self {
        let negotiate_by = Instant::now() + NEGOTIATION_TIME;
        Self {
            idle: limits.idle,
            message: limits.message,
            negotiate_by: Some(negotiate_by),
            timer: Box::pin(sleep_until(negotiate_by)),
            next_stage: Box::pin(listener.drain.reaches(Stage::Draining)),
            listener,
        }
    }

    /// The two sides have agreed.
    pub(super) fn negotiated(&mut self) {
        self.negotiate_by = None;
    }

    /// Asked behind each message: whether the listener drains. The connection ends then,
    /// although the peer may have sent more already; its MTA treats that like anything that
    /// it sends after the end.
    pub(super) fn check_drain(&self) -> Result<(), End> {
        match self.listener.drain.stage() {
            Stage::Open => Ok(()),
            Stage::Draining | Stage::Cut => Err(End::Drained),
        }
    }

    /// Whether a connection that always has something to say has had its time.
    pub(super) fn check_time(&self, standing: Standing) -> Result<(), End> {
        if self.listener.drain.stage() == Stage::Cut {
            return Err(End::Drained);
        }
        if Instant::now() < self.at(standing) {
            return Ok(());
        }
        Err(self.too_late(standing, false))
    }

    /// Waits until the connection has to end, although the peer keeps us waiting.
    pub(super) async fn passed(&mut self, standing: Standing, between_frames: bool) -> End {
        let idle = standing.phase == Phase::Idle;
        let deadline = self.at(standing);
        loop {
            match self.listener.drain.stage() {
                Stage::Draining if idle => return End::Drained,
                Stage::Cut => return End::Drained,
                Stage::Open | Stage::Draining => {}
            }
            if deadline < self.timer.deadline() || self.timer.is_elapsed() {
                self.timer.as_mut().reset(deadline);
            }
            tokio::select! {
                () = &mut self.timer => {
                    if Instant::now() >= deadline {
                        return self.too_late(standing, between_frames);
                    }
                }
                () = &mut self.next_stage => {
                    self.next_stage = match self.listener.drain.stage() {
                        Stage::Cut => Box::pin(std::future::pending()),
                        Stage::Open | Stage::Draining => {
                            Box::pin(self.listener.drain.reaches(Stage::Cut))
                        }
                    };
                }
            }
        }
    }

    /// Waits until a message has kept the MTA waiting for as long as it may, which is our
    /// fault: the limit is counted. Ends as well when the listener is cut, which is seen
    /// behind the message.
    pub(super) async fn passed_by_our_fault(&mut self, standing: Standing) {
        if let End::TooLong(_) = self.passed(standing, false).await {
            self.listener.metrics.limit_reached(Limit::Message);
        }
    }

    fn at(&self, standing: Standing) -> Instant {
        let time = match standing.phase {
            Phase::Idle => self.idle,
            Phase::Envelope => ENVELOPE_TIME,
            Phase::Header | Phase::Body => self.message,
        };
        let end = standing.since + time;
        self.negotiate_by.map_or(end, |by| by.min(end))
    }

    /// What the end is called when the deadline has passed.
    fn too_late(&self, standing: Standing, between_frames: bool) -> End {
        if self.negotiate_by.is_some_and(|by| Instant::now() >= by) {
            return End::NotNegotiated;
        }
        if standing.phase == Phase::Idle && between_frames {
            return End::Idle;
        }
        End::TooLong(standing.phase)
    }
}
