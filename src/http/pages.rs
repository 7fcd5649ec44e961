//! The HTTP pages of a process: nothing waits for their address.

use std::{net::SocketAddr, time::Duration};

use tokio::time::sleep;

use super::{HttpListener, HttpState, serve};
use crate::{config::HttpListen, process::patiently, sockets::SocketError};

/// How often an address is tried again that nobody has asked for.
const TRY_EVERY: Duration = Duration::from_secs(10);

/// Binds the pages of a process, and gives what serves them until `stopped` ends, together with
/// their TCP address, if they have one by now. If the address of `setting` can't be had yet, it
/// is tried again.
pub async fn pages(
    setting: &'static str,
    address: HttpListen,
    state: HttpState,
    stopped: impl Future<Output = ()> + Send + 'static,
) -> (Option<SocketAddr>, impl Future<Output = ()> + Send) {
    let first = HttpListener::bind(&address).await;
    let bound = first.as_ref().ok().and_then(Option::as_ref);
    let tcp_address = bound.and_then(HttpListener::tcp_address);
    let serving = async move {
        let mut stopped = Box::pin(stopped);
        let listener = match first {
            Ok(listener) => listener,
            Err(error) => {
                let bind = || HttpListener::bind(&address);
                tokio::select! {
                    listener = patiently(setting, error, bind, |_| {}) => listener,
                    () = &mut stopped => return,
                }
            }
        };
        if let Some(listener) = listener {
            serve(listener, state, stopped).await;
        }
    };
    (tcp_address, serving)
}

/// As [`pages`], at an address that is only the default: if it can't be had, there is one warning,
/// and the pages are served when it becomes free.
pub async fn optional_pages(
    setting: &'static str,
    address: HttpListen,
    state: HttpState,
    stopped: impl Future<Output = ()> + Send + 'static,
) -> impl Future<Output = ()> + Send {
    let first = HttpListener::bind(&address).await;
    async move {
        let mut stopped = Box::pin(stopped);
        let listener = match first {
            Ok(listener) => listener,
            Err(error) => tokio::select! {
                listener = quietly(setting, error, &address) => listener,
                () = &mut stopped => return,
            },
        };
        if let Some(listener) = listener {
            serve(listener, state, stopped).await;
        }
    }
}

async fn quietly(setting: &str, error: SocketError, address: &HttpListen) -> Option<HttpListener> {
    tracing::warn!(
        "{setting}: {error}; nothing is served there for now. Nobody has set this address: name \
         another one, or say off"
    );
    loop {
        sleep(TRY_EVERY).await;
        if let Ok(listener) = HttpListener::bind(address).await {
            tracing::info!("{setting}: it can be had now");
            return listener;
        }
    }
}
