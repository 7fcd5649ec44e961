//! `/metrics`, `/status.json`, `/health/live` and `/health/ready` over HTTP/1, and the status page
//! at `/`; and the client that asks for them.
//!
//! hyper alone, on both ends: one request to a connection, and a handful of paths that are
//! matched in [`site`]. A framework above it has nothing to do here.
//!
//! SECURITY: whoever can reach the socket can read the metrics and the status, which name
//! organisations and listeners, and the status page if there is one; the status then says how
//! things stand as the page does. Nothing here can reach messages, and no request changes
//! anything. A connection serves one request, has a second to ask it, and lives for 10 seconds at
//! most. There are at most 64 that ask and 64 that have large answers made or
//! read; beyond that the slowest are dropped ([`places`]), so a slow client holds up nobody but
//! itself. hyper refuses requests with more than 100 fields or 400 KiB of them.

mod client;
mod listener;
mod look;
mod pages;
mod places;
mod site;

use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};

use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::time::timeout;

pub use self::{
    client::{Endpoint, Patience, Reply},
    listener::HttpListener,
    look::LookError,
    pages::{optional_pages, pages},
};
use self::{places::Places, site::Site};
use crate::{
    observe::{
        metrics::{Metrics, keeper::KeeperMetrics},
        readiness::Readiness,
    },
    page::Page,
};

/// What is served.
#[derive(Clone, Debug)]
pub struct HttpState {
    /// Whose numbers, and what else that process shows.
    pub role: Role,
    /// For `/health/ready`.
    pub readiness: Readiness,
}

/// The process that serves.
#[derive(Clone, Debug)]
pub enum Role {
    /// `zegel run`.
    Signer {
        /// For `/metrics` and `/status.json`.
        metrics: Metrics,
        /// What `/` shows; none: there is no such page.
        page: Option<Page>,
    },
    /// `zegel keeper`.
    Keeper(KeeperMetrics),
}

/// Serves until `shutdown` completes; requests in progress then have two seconds.
///
/// An error of one connection, or in accepting one, does not end it.
pub async fn serve(
    listener: HttpListener,
    state: HttpState,
    shutdown: impl Future<Output = ()> + Send + 'static,
) {
    serve_within(Limits::default(), listener, state, shutdown).await;
}

/// What one client may take.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// How many may ask, and how many may have large answers.
    connections: usize,
    /// How long a client may take to send the header of its request, and to read a large answer
    /// while others want one.
    header: Duration,
    /// How long a client has at least to send its request, however many others come.
    courtesy: Duration,
    /// From accept to close, whatever happens between.
    lifetime: Duration,
    /// How long requests in progress may hold up the shutdown.
    grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 64,
            header: Duration::from_secs(1),
            // A request comes right behind its connection.
            courtesy: Duration::from_millis(50),
            // What Prometheus gives a scrape by default.
            lifetime: Duration::from_secs(10),
            grace: Duration::from_secs(2),
        }
    }
}

async fn serve_within(
    limits: Limits,
    listener: HttpListener,
    state: HttpState,
    shutdown: impl Future<Output = ()> + Send + 'static,
) {
    let site = Arc::new(Site::new(state, listener.tcp_address().is_some()));
    let places = Places::new(limits);
    let connections = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new());
    http.header_read_timeout(limits.header);
    let mut shutdown = pin!(shutdown);
    loop {
        let next = async {
            let stream = listener.accept_patiently().await;
            (stream, Arc::new(places.take().await))
        };
        let (stream, place) = tokio::select! {
            () = &mut shutdown => break,
            next = next => next,
        };
        let (site, own_place) = (Arc::clone(&site), Arc::clone(&place));
        let service = service_fn(move |request: Request<Incoming>| {
            let (site, place) = (Arc::clone(&site), Arc::clone(&own_place));
            async move { Ok::<_, Infallible>(site.answer(&request.into_parts().0, &place).await) }
        });
        let connection = http.serve_connection(TokioIo::new(stream), service);
        let connection = timeout(limits.lifetime, connections.watch(connection));
        tokio::spawn(async move {
            tokio::select! {
                // What has come is answered before the connection gives way.
                biased;
                // Whatever ends it is the client's doing, and the client knows.
                _ = connection => {}
                () = place.given_away() => {}
            }
        });
    }
    drop(listener);
    if timeout(limits.grace, connections.shutdown()).await.is_err() {
        tracing::debug!("HTTP clients that did not finish in time were left");
    }
}

#[cfg(test)]
mod tests;
