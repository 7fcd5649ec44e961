//! What systemd is told of a process (sd_notify(3)); nothing if it was not started by systemd.

use std::time::Duration;

use sd_notify::NotifyState;

/// It has started, or a reload has ended.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// A reload begins. With the time, by which `Type=notify-reload` tells this reload from one
/// before it.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// What it waits for, or that it waits no more; `systemctl status` shows the last one.
pub fn status(text: &str) {
    tell(&[NotifyState::Status(text)]);
}

/// It comes to its end.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// For the watchdog: all is well.
pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// How often the watchdog wants to hear of it (`WatchdogSec=`); none: never.
pub fn watchdog_period() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd could not be told");
    }
}
