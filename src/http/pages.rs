//! The HTTP pages of a process: nothing waits for their address.

use std::net::SocketAddr;

use super::{HttpListener, HttpState, serve};
use crate::{config::HttpListen, process::patiently};

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
