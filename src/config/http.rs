//! Where metrics, health and the status page are served.

use super::{
    listener::check_reach,
    problem::{Fault, Report, Site},
    section::Section,
    settings::{HttpListen, ListenerSettings, Settings, Socket},
    tree::Node,
    values::{number, socket_address, socket_path, text, truth},
};

/// The `[http]` table, and where its `listen` is written.
pub(super) struct Http {
    pub(super) listen: HttpListen,
    pub(super) organisation_series: usize,
    site: Site,
    allow_remote: Option<bool>,
    /// Whether the status page is served; as written, or else only to this host.
    pub(super) page: bool,
}

/// More than there are organisations anywhere.
const MOST_SERIES: usize = 10_000_000;

pub(super) fn read_section(mut section: Section<'_>, defaults: &Settings) -> Http {
    let site = section.site_of("listen");
    let series = section.read("organisations", |node| number(node, 0..=MOST_SERIES));
    let listen = section
        .read("listen", listen)
        .unwrap_or_else(|| defaults.http.clone());
    let page = section.read("page", truth);
    let http = Http {
        page: page.unwrap_or(listen.is_local()),
        listen,
        organisation_series: series.unwrap_or(defaults.organisation_series),
        site,
        allow_remote: section.read("allow_remote", truth),
    };
    section.finish();
    http
}

/// An address with a port, `unix:/path` or `off`.
pub(super) fn listen(node: &Node) -> Result<HttpListen, Fault> {
    let text = text(node)?;
    if text == "off" {
        return Ok(HttpListen::Off);
    }
    if let Some(path) = text.strip_prefix("unix:") {
        return socket_path(path).map(HttpListen::Unix);
    }
    let address = socket_address(text).map_err(|fault| Fault {
        advice: "write 127.0.0.1:9465, [::1]:9465, unix:/run/zegel/http.sock or off".into(),
        ..fault
    })?;
    Ok(HttpListen::Tcp(address))
}

/// Checks the reach of the sockets of signer and keeper, and that nothing else is on them.
pub(super) fn check(
    http: &Http,
    (keeper, keeper_site): (&HttpListen, &Site),
    listeners: &[ListenerSettings],
    report: &Report,
) {
    for (listen, site) in [(&http.listen, &http.site), (keeper, keeper_site)] {
        if let HttpListen::Tcp(address) = listen {
            check_reach(*address, http.allow_remote, site, report);
        }
        if let Some(listener) = listeners.iter().find(|other| same(&other.socket, listen)) {
            let text = format!("the listener {} is on this socket too", listener.name);
            report.problem(site, Fault::new(text, "choose another for one of them"));
        }
    }
    let free_port = matches!(keeper, HttpListen::Tcp(address) if address.port() == 0);
    if *keeper == http.listen && *keeper != HttpListen::Off && !free_port {
        let text = "http.listen is on this socket too: signer and keeper are two processes";
        let advice = "choose another, such as 127.0.0.1:9466";
        report.problem(keeper_site, Fault::new(text, advice));
    }
}

fn same(socket: &Socket, listen: &HttpListen) -> bool {
    match (socket, listen) {
        (Socket::Unix { path, .. }, HttpListen::Unix(other)) => path == other,
        (Socket::Tcp(address), HttpListen::Tcp(other)) => address == other && address.port() != 0,
        _ => false,
    }
}
