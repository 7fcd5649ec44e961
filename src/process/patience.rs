//! Sockets that can't be had yet: their address, folder or group may still come.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::Complaint;
use crate::sockets::SocketError;

/// How often it is tried again.
const TRY_EVERY: Duration = Duration::from_secs(2);

/// Binds the socket `what` until it can be had, after this first error. `tell` hears after each
/// try why it can't, and nothing when it can. The log hears of it, more and more seldom.
pub async fn patiently<T, F>(
    what: &str,
    first: SocketError,
    bind: impl Fn() -> F,
    tell: impl Fn(Option<&str>),
) -> T
where
    F: Future<Output = Result<T, SocketError>>,
{
    let mut complaint = Complaint::default();
    let mut error = first;
    loop {
        let text = format!("{what}: {error}");
        tell(Some(&text));
        if complaint.is_due(&text, Instant::now()) {
            tracing::error!("{text}; it is tried again, and the rest goes on without it");
        }
        sleep(TRY_EVERY).await;
        match bind().await {
            Ok(socket) => {
                tell(None);
                tracing::info!("{what}: it can be had now");
                return socket;
            }
            Err(again) => error = again,
        }
    }
}
