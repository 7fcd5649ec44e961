//! `/metrics`, `/health/live` and `/health/ready` over HTTP/1, and the status page at `/`.
//!
//! SECURITY: whoever can reach the socket can read the metrics, which name organisations
//! and listeners, and the status page if there is one. Nothing here can reach messages, and
//! no request changes anything. A connection serves one request and lives for 10 seconds at
//! most, and there are at most 64 of them, so a slow client holds up nobody but itself. hyper
//! refuses requests with more than 100 fields or 400 KiB of them.

mod socket;
mod status_page;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing,
};
use tokio::sync::{Semaphore, oneshot};

pub use self::socket::HttpListener;
use self::socket::LimitedListener;
use crate::{
    observe::{
        metrics::{CONTENT_TYPE, Exposition},
        readiness::Readiness,
    },
    page::Page,
};

/// What the pages show.
#[derive(Clone, Debug)]
pub struct HttpState {
    /// For `/metrics`.
    pub metrics: Arc<dyn Exposition>,
    /// For `/health/ready`.
    pub readiness: Readiness,
    /// What `/` shows; none: there is no such page.
    pub page: Option<Page>,
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
    connections: usize,
    /// From accept to close, whatever happens between.
    lifetime: Duration,
    /// How long requests in progress may hold up the shutdown.
    grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 64,
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
    let (stopped, stopping) = oneshot::channel::<()>();
    let signal = async move {
        shutdown.await;
        // Nobody listens any more if the server below has ended by itself.
        let _ = stopped.send(());
    };
    let has_address = listener.tcp_address().is_some();
    let listener = LimitedListener::new(listener, limits.connections, limits.lifetime);
    let server = axum::serve(listener, router(state, has_address)).with_graceful_shutdown(signal);
    let deadline = async {
        // An error means that the signal was dropped with the server: it has ended.
        let _ = stopping.await;
        tokio::time::sleep(limits.grace).await;
    };
    tokio::select! {
        _ = server => {}
        () = deadline => tracing::debug!("HTTP clients that did not finish in time were left"),
    }
}

fn router(mut state: HttpState, has_address: bool) -> Router {
    let page = state.page.take();
    let state = Pages {
        state,
        rendering: Arc::new(Semaphore::new(1)),
    };
    let router = Router::new()
        .route("/metrics", routing::get(metrics))
        .route("/health/live", routing::get(live))
        .route("/health/ready", routing::get(ready))
        .with_state(state);
    let router = match page {
        Some(page) => router.merge(status_page::router(page, has_address)),
        None => router,
    };
    router.layer(middleware::map_response(finish))
}

#[derive(Clone, Debug)]
struct Pages {
    state: HttpState,
    /// One page at a time: with many organisations each takes megabytes and a whole core.
    rendering: Arc<Semaphore>,
}

async fn metrics(State(pages): State<Pages>) -> Response {
    // The semaphore is never closed.
    let turn = pages.rendering.acquire_owned().await;
    let metrics = Arc::clone(&pages.state.metrics);
    let render = move || {
        // Until the page is done, though its client may be gone: pages must not pile up.
        let _turn = turn;
        metrics.render()
    };
    let Ok(Ok(page)) = tokio::task::spawn_blocking(render).await else {
        tracing::error!("the metrics could not be written");
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], page).into_response()
}

async fn live() -> &'static str {
    "alive\n"
}

async fn ready(State(pages): State<Pages>) -> Response {
    match pages.state.readiness.check() {
        Ok(()) => "ready\n".into_response(),
        Err(missing) => {
            let page = format!("not ready: {missing}\n");
            (StatusCode::SERVICE_UNAVAILABLE, page).into_response()
        }
    }
}

/// One request to a connection; no answer is true for longer than it takes to read.
async fn finish(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

#[cfg(test)]
mod tests;
