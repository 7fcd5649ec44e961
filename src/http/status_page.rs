//! The status page: who may ask for it, and how many at a time.
//!
//! SECURITY: whoever can reach the socket reads it; it has no key but public records. A page
//! of elsewhere can't read it through the browser of an operator: the host of a request is
//! `localhost` or an address, never a name that somebody else could point here.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
    time::Instant,
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::page::Page;

/// Requests beyond these are told to come back: health and metrics need connections too.
const WAITING: usize = 8;

/// Nothing runs, nothing comes from elsewhere, and nobody frames it.
const CONTENT_SECURITY_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
     base-uri 'none'; frame-ancestors 'none'",
);

#[derive(Clone, Debug)]
struct Served {
    by: Page,
    /// Whether it is reached by a network address, so that browsers come here by names.
    checks_host: bool,
    waiting: Arc<Semaphore>,
    /// One at a time: it takes a core, and mail needs the others.
    turn: Arc<Semaphore>,
}

/// The addresses of the page.
pub(super) fn router(page: Page, checks_host: bool) -> Router {
    let served = Served {
        by: page,
        checks_host,
        waiting: Arc::new(Semaphore::new(WAITING)),
        turn: Arc::new(Semaphore::new(1)),
    };
    let mut router = Router::new();
    for path in [
        "/",
        "/style.css",
        "/seal.svg",
        "/org/{organisation}",
        "/org/{organisation}/{file}",
    ] {
        router = router.route(path, routing::get(show));
    }
    router.with_state(served)
}

async fn show(State(served): State<Served>, headers: HeaderMap, uri: Uri) -> Response {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    if served.checks_host && !host.is_some_and(is_address) {
        let advice = "open this page by its address or as localhost: a proxy in front of it \
                      sends Host: localhost\n";
        return (StatusCode::MISDIRECTED_REQUEST, advice).into_response();
    }
    let Ok(waiting) = Arc::clone(&served.waiting).try_acquire_owned() else {
        let again = [(header::RETRY_AFTER, "1")];
        return (StatusCode::SERVICE_UNAVAILABLE, again, "too busy\n").into_response();
    };
    // Never an error, since the semaphore is never closed.
    let turn = Arc::clone(&served.turn).acquire_owned().await.ok();
    let work = move || write(&served, &uri, (waiting, turn));
    match tokio::task::spawn_blocking(work).await {
        Ok(response) => response,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// The permits are held until the page is written, also if nobody waits for it any more.
fn write(
    served: &Served,
    uri: &Uri,
    _permits: (OwnedSemaphorePermit, Option<OwnedSemaphorePermit>),
) -> Response {
    let begun = Instant::now();
    let answer = served
        .by
        .answer(uri.path(), uri.query().unwrap_or_default());
    let milliseconds = begun.elapsed().as_secs_f64() * 1000.0;
    let status = if answer.found {
        StatusCode::OK
    } else {
        StatusCode::NOT_FOUND
    };
    let timing = format!("page;dur={milliseconds:.1}");
    let mut response = (status, [("server-timing", timing)], answer.body).into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(answer.content_type),
    );
    headers.insert(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY);
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    response
}

/// Whether a `Host` field is an address or `localhost`, with or without a port.
fn is_address(host: &str) -> bool {
    if let Some(rest) = host.strip_prefix('[') {
        let address = rest.split_once(']').map(|(address, _)| address);
        return address.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
    }
    let name = host.split_once(':').map_or(host, |(name, _)| name);
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_are_hosts_of_ours() {
        for host in [
            "localhost",
            "LOCALHOST:9465",
            "127.0.0.1:9465",
            "192.0.2.1",
            "[::1]:9465",
            "[2001:db8::1]",
        ] {
            assert!(is_address(host), "{host}");
        }
        for host in [
            "",
            ":9465",
            "attacker.example:9465",
            "localhost.attacker.example",
            "127.0.0.1.attacker.example",
            "[attacker.example]:9465",
            "[::1",
            "1",
        ] {
            assert!(!is_address(host), "{host}");
        }
    }
}
