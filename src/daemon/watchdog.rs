//! The watchdog of systemd (`WatchdogSec=`): it hears from us only while connections can be
//! accepted.
//!
//! A timer that pings whatever happens would prove that there is a timer. Here each ping
//! takes the runtime a round through every listener, to where it accepts.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{sleep, timeout};

use super::tell_systemd;
use crate::observe::readiness::Readiness;

/// So many pings may be lost until systemd ends the process.
const PINGS: u32 = 4;

/// Pings for as long as systemd wants it.
pub(super) async fn ping(readiness: Readiness) {
    let Some(period) = sd_notify::watchdog_enabled() else {
        return;
    };
    let rest = (period / PINGS).max(Duration::from_millis(1));
    loop {
        if timeout(rest, readiness.answer()).await.is_ok() {
            tell_systemd(&[NotifyState::Watchdog]);
        } else {
            tracing::error!("a listener does not answer: systemd is not told that all is well");
        }
        sleep(rest).await;
    }
}
