//! What the signer shows of itself: metrics, health and the log.
//!
//! Nothing here sees a message or a key. Each third-party crate of this part is named in
//! one place: `prometheus-client` in [`metrics`], `tracing-subscriber` in [`logging`].

pub mod logging;
pub mod metrics;
pub mod processor_time;
pub mod readiness;
pub mod status;
pub mod tally;
