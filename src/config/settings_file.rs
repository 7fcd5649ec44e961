//! `zegel.toml`: from its tree to the settings.

use std::{
    collections::HashSet,
    net::SocketAddr,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    database, dmarc, handover, hooks,
    listener::{self, check_reach},
    log,
    problem::{Fault, Report, Site},
    reports,
    section::{
        List, Section, action, address, duration, field_name, number, socket_address, socket_path,
        text, truth, word,
    },
    settings::{
        HttpListen, KeeperSettings, Limits, ListenerSettings, Resolvers, Settings, SigningSettings,
        Socket,
    },
    signers::read_signers,
    source::{Node, Value},
};
use crate::{
    dkim::{Canonicalisation, CanonicalisationPair, HeaderRules},
    names::FieldName,
    organisation::Policy,
};

const MEBIBYTE: usize = 1024 * 1024;
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
/// Of times within a connection.
const SESSION_BOUNDS: RangeInclusive<Duration> = Duration::from_secs(1)..=DAY;
/// Of times in the life of a key.
const KEEPER_BOUNDS: RangeInclusive<Duration> = Duration::from_secs(1)..=DAY.saturating_mul(3653);
const EXPIRE_BOUNDS: RangeInclusive<Duration> = HOUR..=DAY.saturating_mul(366);

/// Reads the tree of `zegel.toml`. What is wrong is reported, and has its default.
pub(super) fn read(root: Node, report: &Report) -> Settings {
    let defaults = Settings::default();
    let folder = root.site.file.parent().unwrap_or(Path::new("")).to_owned();
    let mut section = Section::new(root, report);
    let listeners = listener::read(section.take("listener"), report);
    let http = read_http(section.section("http"), &defaults);
    let (mut keeper, keeper_http) = read_keeper(section.section("keeper"));
    give_way(&mut keeper, &http, &listeners);
    check_http(&http, &keeper.http, &keeper_http, &listeners, report);
    let keystore = read_keystore(section.section("keystore"), &folder);
    let settings = Settings {
        keystore_path: keystore.path.unwrap_or(defaults.keystore_path),
        keystore_mark: keystore.mark,
        sealing_keys: keystore.sealing_keys,
        listeners,
        signing: read_signing(section.section("signing")),
        policy: read_policy(section.section("policy"), defaults.policy),
        limits: read_limits(section.section("limits")),
        http: http.listen,
        organisation_series: http.organisation_series,
        http_page: http.page,
        log: log::read(section.section("log")),
        keeper,
        handover: handover::read(section.section("handover")),
        hooks: hooks::read(section.section("hooks")),
        reports: reports::read(section.section("reports"), &folder),
        dmarc: dmarc::read(section.section("dmarc")),
        database: database::read(section.section("database"), &folder),
    };
    section.finish();
    settings
}

/// Reads a `[policy]` table over another policy.
pub(super) fn read_policy(mut section: Section<'_>, under: Policy) -> Policy {
    let mut take = |key, under| section.read_or(key, under, action);
    let policy = Policy {
        unknown_domain: take("unknown_domain", under.unknown_domain),
        bad_from: take("bad_from", under.bad_from),
        unauthorised_sender: take("unauthorised_sender", under.unauthorised_sender),
        suspended: take("suspended", under.suspended),
        awaiting_key: take("awaiting_key", under.awaiting_key),
        parked_domain: take("parked_domain", under.parked_domain),
        signing_failure: take("signing_failure", under.signing_failure),
        hazard: take("hazard", under.hazard),
    };
    section.finish();
    policy
}

/// The `[keystore]` table.
struct KeystoreSettings {
    path: Option<PathBuf>,
    mark: Option<PathBuf>,
    sealing_keys: Vec<PathBuf>,
}

fn read_keystore(mut section: Section<'_>, folder: &Path) -> KeystoreSettings {
    // Relative to the file, so that it does not matter where a command is started.
    let place = |node: &Node| text(node).map(|text| folder.join(text));
    let path = section.read("path", place);
    let mark = section.read("mark", place);
    let sealing_keys = section.values("sealing_keys", |node| sealing_key(node, folder));
    section.finish();
    KeystoreSettings {
        path,
        mark,
        sealing_keys,
    }
}

/// A path, or the name of a credential of systemd.
fn sealing_key(node: &Node, folder: &Path) -> Result<PathBuf, Fault> {
    match text(node)? {
        "" | "." | ".." => Err(Fault::new(
            "this is no file",
            "write a path such as /etc/zegel/sealing.key, or the name of a credential of systemd",
        )),
        name if !name.contains('/') => Ok(name.into()),
        path => Ok(folder.join(path)),
    }
}

fn read_signing(mut section: Section<'_>) -> SigningSettings {
    let defaults = SigningSettings::default();
    let settings = SigningSettings {
        canonicalisation: section.read_or(
            "canonicalization",
            defaults.canonicalisation,
            canonicalisation,
        ),
        expire: section.read_or("expire", defaults.expire, expire),
        headers: read_headers(section.section("headers")),
    };
    section.finish();
    settings
}

fn canonicalisation(node: &Node) -> Result<CanonicalisationPair, Fault> {
    use Canonicalisation::{Relaxed, Simple};
    let pair = |header, body| CanonicalisationPair { header, body };
    let choices = [
        ("relaxed/relaxed", pair(Relaxed, Relaxed)),
        ("relaxed/simple", pair(Relaxed, Simple)),
        ("simple/relaxed", pair(Simple, Relaxed)),
        ("simple/simple", pair(Simple, Simple)),
    ];
    word(node, &choices)
}

fn expire(node: &Node) -> Result<Option<Duration>, Fault> {
    match &node.value {
        Value::Text(text) | Value::Environment(text) if text == "off" => Ok(None),
        _ => duration(node, &EXPIRE_BOUNDS).map(Some).map_err(|fault| {
            let advice = format!("{}, or \"off\"", fault.advice);
            Fault { advice, ..fault }
        }),
    }
}

/// A list that is written replaces the built-in one, and its names leave the other built-in
/// lists.
fn read_headers(mut section: Section<'_>) -> HeaderRules {
    const KEYS: [&str; 3] = ["sign", "oversign", "oversign_if_present"];
    let lists = KEYS.map(|key| section.list(key, field_name));
    let mut named = HashSet::new();
    for (name, site) in lists.iter().flatten().flat_map(|list| &list.items) {
        if !named.insert(name.clone()) {
            let text = format!("{name} is named more than once");
            let advice = "name it once, in one of the lists";
            section.report.problem(site, Fault::new(text, advice));
        }
    }
    let places = lists.iter().flatten().next().map(|list| list.site.clone());
    let resolve = |list: Option<List<FieldName>>, built_in: Vec<FieldName>| match list {
        Some(list) => list.into_values(),
        None => built_in
            .into_iter()
            .filter(|name| !named.contains(name))
            .collect(),
    };
    let built_in = HeaderRules::default();
    let [sign, oversign, oversign_if_present] = lists;
    let headers = HeaderRules {
        sign: resolve(sign, built_in.sign),
        oversign: resolve(oversign, built_in.oversign),
        oversign_if_present: resolve(oversign_if_present, built_in.oversign_if_present),
    };
    let mut certain = headers.sign.iter().chain(&headers.oversign);
    if !certain.any(|name| name.as_str() == "from") {
        let advice = "put From in oversign: a signature without it is worth nothing";
        let site = places.unwrap_or_else(|| section.site.clone());
        section
            .report
            .problem(&site, Fault::new("From is not signed", advice));
    }
    section.finish();
    headers
}

fn read_limits(mut section: Section<'_>) -> Limits {
    let defaults = Limits::default();
    let time = |node: &Node| duration(node, &SESSION_BOUNDS);
    let header_bytes = number(4096..=64 * MEBIBYTE);
    let header_memory = number(MEBIBYTE..=64 * 1024 * MEBIBYTE);
    let command_bytes = number(MEBIBYTE..=64 * 1024 * MEBIBYTE);
    let report = section.report;
    let mut memory_site = section.site.child("header_memory");
    let limits = Limits {
        connections: section.read_or("connections", defaults.connections, number(1..=100_000)),
        idle: section.read_or("idle", defaults.idle, time),
        message: section.read_or("message", defaults.message, time),
        header_bytes: section.read_or("header_bytes", defaults.header_bytes, header_bytes),
        header_fields: section.read_or(
            "header_fields",
            defaults.header_fields,
            number(16..=100_000),
        ),
        header_memory: section.read_or("header_memory", defaults.header_memory, |node| {
            memory_site = node.site.clone();
            header_memory(node)
        }),
        commands: section.read_or("commands", defaults.commands, number(1000..=1_000_000_000)),
        command_bytes: section.read_or("command_bytes", defaults.command_bytes, command_bytes),
    };
    section.finish();
    if limits.header_memory < limits.header_bytes {
        let (memory, bytes) = (limits.header_memory, limits.header_bytes);
        let text = format!(
            "all connections together may hold {memory} bytes of large header sections, less \
             than the {bytes} of header_bytes that one message may have: the largest of ours are \
             put off each time that they come"
        );
        let advice =
            "make it at least header_bytes, times the large messages that may come at once";
        report.warning(&memory_site, Fault::new(text, advice));
    }
    limits
}

/// The `[http]` table, and where its `listen` is written.
struct Http {
    listen: HttpListen,
    organisation_series: usize,
    site: Site,
    allow_remote: Option<bool>,
    /// Whether the status page is served; as written, or else only to this host.
    page: bool,
}

/// More than there are organisations anywhere.
const MOST_SERIES: usize = 10_000_000;

fn read_http(mut section: Section<'_>, defaults: &Settings) -> Http {
    let site = section.site_of("listen");
    let listen = section.read_or("listen", defaults.http.clone(), http_address);
    let http = Http {
        page: section.read_or("page", listen.is_local(), truth),
        listen,
        organisation_series: section.read_or(
            "organisations",
            defaults.organisation_series,
            number(0..=MOST_SERIES),
        ),
        site,
        allow_remote: section.read("allow_remote", truth),
    };
    section.finish();
    http
}

/// An address with a port, `unix:/path` or `off`.
fn http_address(node: &Node) -> Result<HttpListen, Fault> {
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

/// Has the keeper serve no pages at its default address where the operator has put something else.
fn give_way(keeper: &mut KeeperSettings, http: &Http, listeners: &[ListenerSettings]) {
    let is_default = keeper.http == KeeperSettings::default().http;
    let mut listeners = listeners.iter();
    let is_taken =
        http.listen == keeper.http || listeners.any(|one| is_same(&one.socket, &keeper.http));
    if is_default && is_taken {
        keeper.http = HttpListen::Off;
    }
}

/// Checks the reach of the sockets of signer and keeper, and that nothing else is on them.
fn check_http(
    http: &Http,
    keeper: &HttpListen,
    keeper_site: &Site,
    listeners: &[ListenerSettings],
    report: &Report,
) {
    for (listen, site) in [(&http.listen, &http.site), (keeper, keeper_site)] {
        if let HttpListen::Tcp(address) = listen {
            check_reach(*address, http.allow_remote, site, report);
        }
        if let Some(listener) = listeners
            .iter()
            .find(|other| is_same(&other.socket, listen))
        {
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

fn is_same(socket: &Socket, listen: &HttpListen) -> bool {
    match (socket, listen) {
        (Socket::Unix { path, .. }, HttpListen::Unix(other)) => path == other,
        (Socket::Tcp(address), HttpListen::Tcp(other)) => address == other && address.port() != 0,
        _ => false,
    }
}

/// The settings, and where `http` is written.
fn read_keeper(mut section: Section<'_>) -> (KeeperSettings, Site) {
    let defaults = KeeperSettings::default();
    let resolvers = section
        .take("resolvers")
        .and_then(|node| read_resolvers(node, &section));
    let (lead_site, http_site) = (section.site_of("lead_time"), section.site_of("http"));
    let time = |node: &Node| duration(node, &KEEPER_BOUNDS);
    let settings = KeeperSettings {
        resolvers: resolvers.unwrap_or(defaults.resolvers),
        local_servers: section.read_or("local_servers", defaults.local_servers, truth),
        private_servers: section.read_or("private_servers", defaults.private_servers, truth),
        check_every: section.read_or("check_every", defaults.check_every, time),
        rotate_every: section.read_or("rotate_every", defaults.rotate_every, time),
        lead_time: section.read_or("lead_time", defaults.lead_time, time),
        settle: section.read_or("settle", defaults.settle, time),
        drain: section.read_or("drain", defaults.drain, time),
        retire_grace: section.read_or("retire_grace", defaults.retire_grace, time),
        relay_addresses: section.values("relay_addresses", address),
        http: section.read_or("http", defaults.http, http_address),
        lead: section.read_or("lead", defaults.lead, truth),
        signers: read_signers(&mut section),
    };
    if settings.lead_time >= settings.rotate_every {
        let text = "a successor would be made before the key itself";
        let advice = "make lead_time shorter than rotate_every";
        section.report.problem(&lead_site, Fault::new(text, advice));
    }
    section.finish();
    (settings, http_site)
}

fn read_resolvers(node: Node, section: &Section<'_>) -> Option<Resolvers> {
    if matches!(&node.value, Value::Text(text) | Value::Environment(text) if text == "system") {
        return Some(Resolvers::System);
    }
    let resolver = |node: &Node| -> Result<SocketAddr, Fault> {
        socket_address(text(node)?).map_err(|fault| Fault {
            advice: "write an address with a port, such as 127.0.0.1:53 or [::1]:53".into(),
            ..fault
        })
    };
    let list = section.list_in(node, resolver)?;
    if list.empty {
        let advice = "name one, or write resolvers = \"system\"";
        section
            .report
            .problem(&list.site, Fault::new("there is no resolver", advice));
    }
    Some(Resolvers::Addresses(list.into_values()))
}
