//! What is answered to a request.
//!
//! SECURITY: whoever can reach the socket reads the status page; it has no key but public
//! records. A page of elsewhere can't read it through the browser of an operator: the host of a
//! request is `localhost` or an address, never a name that someone else could point here. The
//! same holds for `/status.json`. Of `/metrics` the host is not looked at, since a Prometheus may
//! ask by any name.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
    time::Instant,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    HeaderMap, Method, Response, StatusCode,
    header::{self, HeaderName, HeaderValue},
    http::request,
};
use tokio::sync::Semaphore;

use super::{HttpState, Role, places::Place};
use crate::{
    judgement::SignerReport,
    observe::{metrics::CONTENT_TYPE, status::Ask},
    page::Page,
};

/// Requests for the status page beyond these are told to come back: health and metrics need
/// connections too.
const WAITING: usize = 8;

/// Nothing runs, nothing comes from elsewhere, and nobody frames it.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; \
                                       form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
const TEXT: &str = "text/plain; charset=utf-8";

type Answer = Response<Full<Bytes>>;

/// All that is served on one socket.
pub(super) struct Site {
    state: HttpState,
    /// Whether it is reached by a network address, so that browsers come here by names.
    checks_host: bool,
    /// One at a time of the metrics and of the status for programs: with many organisations each
    /// takes megabytes and a core.
    numbers_turn: Arc<Semaphore>,
    /// One at a time of the status page: it takes a core, and mail needs the others.
    page_turn: Arc<Semaphore>,
    page_waiting: Arc<Semaphore>,
}

/// What a path leads to.
enum Target<'a> {
    Live,
    Ready,
    Large(Large<'a>),
}

/// An answer that takes work to make and time to read.
enum Large<'a> {
    Metrics,
    Status,
    Page(&'a Page),
}

impl Site {
    pub(super) fn new(state: HttpState, checks_host: bool) -> Self {
        Self {
            state,
            checks_host,
            numbers_turn: Arc::new(Semaphore::new(1)),
            page_turn: Arc::new(Semaphore::new(1)),
            page_waiting: Arc::new(Semaphore::new(WAITING)),
        }
    }

    /// The answer to a request that came on the connection with this place.
    pub(super) async fn answer(&self, request: &request::Parts, place: &Place) -> Answer {
        let answer = match self.target(request.uri.path()) {
            None => empty(StatusCode::NOT_FOUND),
            Some(_) if !matches!(request.method, Method::GET | Method::HEAD) => with(
                empty(StatusCode::METHOD_NOT_ALLOWED),
                &[(header::ALLOW, "GET,HEAD")],
            ),
            Some(Target::Live) => text(StatusCode::OK, "alive\n"),
            Some(Target::Ready) => match self.state.readiness.check() {
                Ok(()) => text(StatusCode::OK, "ready\n"),
                Err(missing) => text(
                    StatusCode::SERVICE_UNAVAILABLE,
                    format!("not ready: {missing}\n"),
                ),
            },
            Some(Target::Large(large)) if place.may_have_large_answer() => {
                let answer = match large {
                    Large::Metrics => self.metrics().await,
                    Large::Status => self.status(request).await,
                    Large::Page(page) => self.page(page, request).await,
                };
                place.has_large_answer();
                answer
            }
            Some(Target::Large(_)) => busy(),
        };
        // One request to a connection; no answer is true for longer than it takes to read.
        let always = [
            (header::CONNECTION, "close"),
            (header::CACHE_CONTROL, "no-store"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        with(answer, &always)
    }

    fn target(&self, path: &str) -> Option<Target<'_>> {
        match (path, &self.state.role) {
            ("/health/live", _) => Some(Target::Live),
            ("/health/ready", _) => Some(Target::Ready),
            ("/metrics", _) => Some(Target::Large(Large::Metrics)),
            ("/status.json", _) => Some(Target::Large(Large::Status)),
            (path, Role::Signer { page, .. }) if Page::has(path) => {
                page.as_ref().map(|page| Target::Large(Large::Page(page)))
            }
            _ => None,
        }
    }

    async fn metrics(&self) -> Answer {
        // Never an error, since the semaphore is never closed.
        let turn = Arc::clone(&self.numbers_turn).acquire_owned().await;
        let role = self.state.role.clone();
        let render = move || match role {
            Role::Signer { metrics, .. } => metrics.render(),
            Role::Keeper(metrics) => metrics.render(),
        };
        let Some(Ok(page)) = on_own_thread(turn, render).await else {
            tracing::error!("the metrics could not be written");
            return empty(StatusCode::INTERNAL_SERVER_ERROR);
        };
        body(StatusCode::OK, CONTENT_TYPE, page)
    }

    async fn status(&self, request: &request::Parts) -> Answer {
        if let Some(refused) = self.refused_host(&request.headers) {
            return refused;
        }
        let ask: Ask = match request.uri.query().unwrap_or_default().parse() {
            Ok(ask) => ask,
            Err(advice) => return text(StatusCode::BAD_REQUEST, format!("{advice}\n")),
        };
        let turn = Arc::clone(&self.numbers_turn).acquire_owned().await;
        let role = self.state.role.clone();
        let not_ready = self.state.readiness.check().err();
        let not_ready = not_ready.map(|missing| missing.to_string());
        let write = move || match role {
            Role::Signer { metrics, page } => {
                let mut report = SignerReport {
                    status: metrics.status(not_ready, &ask),
                    judgements: None,
                };
                if let Some(page) = page {
                    // Whoever asks for a few asks often: no others are read for that.
                    let top = report.status.top.as_ref();
                    let top = top.map(|top| top.organisations.iter().map(|one| one.id.as_str()));
                    let (judgements, facts) = match top {
                        Some(ids) => page.judgements_of(ids),
                        None => page.judgements(),
                    };
                    report.judgements = Some(judgements);
                    report.status.figures.facts = facts;
                }
                serde_json::to_vec(&report)
            }
            Role::Keeper(metrics) => serde_json::to_vec(&metrics.status(not_ready)),
        };
        let Some(Ok(status)) = on_own_thread(turn, write).await else {
            tracing::error!("the status could not be written");
            return empty(StatusCode::INTERNAL_SERVER_ERROR);
        };
        body(StatusCode::OK, "application/json", status)
    }

    /// The answer to a request that gives this socket the name of something else.
    fn refused_host(&self, headers: &HeaderMap) -> Option<Answer> {
        let host = headers.get(header::HOST);
        let is_ours = host.is_some_and(|host| host.to_str().is_ok_and(is_address));
        let advice = "open this page by its address or as localhost: a proxy in front of it \
                      sends Host: localhost\n";
        (self.checks_host && !is_ours).then(|| text(StatusCode::MISDIRECTED_REQUEST, advice))
    }

    async fn page(&self, page: &Page, request: &request::Parts) -> Answer {
        if let Some(refused) = self.refused_host(&request.headers) {
            return refused;
        }
        let Ok(waiting) = Arc::clone(&self.page_waiting).try_acquire_owned() else {
            return busy();
        };
        // Never an error, since the semaphore is never closed.
        let turn = Arc::clone(&self.page_turn).acquire_owned().await;
        let (page, uri) = (page.clone(), request.uri.clone());
        let write = move || {
            let begun = Instant::now();
            let answer = page.answer(uri.path(), uri.query().unwrap_or_default());
            (answer, begun.elapsed().as_secs_f64() * 1000.0)
        };
        let Some((answer, milliseconds)) = on_own_thread((waiting, turn), write).await else {
            return empty(StatusCode::INTERNAL_SERVER_ERROR);
        };
        let status = if answer.found {
            StatusCode::OK
        } else {
            StatusCode::NOT_FOUND
        };
        let timing = format!("page;dur={milliseconds:.1}");
        with(
            body(status, answer.content_type, answer.body),
            &[
                (HeaderName::from_static("server-timing"), &timing),
                (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
                (header::REFERRER_POLICY, "no-referrer"),
            ],
        )
    }
}

/// Does work that takes long. The permits are held until it is done, though its client may be
/// gone: work must not pile up. None: it panicked.
async fn on_own_thread<T: Send + 'static>(
    permits: impl Send + 'static,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let work = move || {
        let _permits = permits;
        work()
    };
    tokio::task::spawn_blocking(work).await.ok()
}

fn busy() -> Answer {
    let busy = text(StatusCode::SERVICE_UNAVAILABLE, "too busy\n");
    with(busy, &[(header::RETRY_AFTER, "1")])
}

fn empty(status: StatusCode) -> Answer {
    let mut answer = Answer::default();
    *answer.status_mut() = status;
    answer
}

fn text(status: StatusCode, text: impl Into<Bytes>) -> Answer {
    body(status, TEXT, text)
}

fn body(status: StatusCode, content_type: &str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    with(answer, &[(header::CONTENT_TYPE, content_type)])
}

fn with(mut answer: Answer, fields: &[(HeaderName, &str)]) -> Answer {
    for (name, value) in fields {
        // All values are ours, and visible ASCII.
        if let Ok(value) = HeaderValue::from_str(value) {
            answer.headers_mut().insert(name, value);
        }
    }
    answer
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
