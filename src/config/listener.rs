//! The `[[listener]]` tables.

use std::net::SocketAddr;

use super::{
    problem::{Fault, Report, Site},
    section::{
        Section, network, owned_text, quoted, socket_address, socket_path, text, truth, wrong_kind,
    },
    settings::{AllowedUser, ListenerSettings, Outbound, Socket},
    source::{Node, Value},
};
use crate::sockets::user_number;

/// Reads the listeners; the default one when there is no table.
pub(super) fn read(node: Option<Node>, report: &Report) -> Vec<ListenerSettings> {
    let Some(node) = node else {
        return vec![ListenerSettings::default()];
    };
    let Value::List(nodes) = node.value else {
        let advice = "write [[listener]], with two brackets";
        report.problem(&node.site, wrong_kind(&node, "a list of tables", advice));
        return Vec::new();
    };
    if nodes.is_empty() {
        let advice = "describe one under [[listener]], or take the key out for the default";
        report.problem(&node.site, Fault::new("there is no listener", advice));
    }
    let mut seen = Seen::default();
    nodes
        .into_iter()
        .filter_map(|node| read_one(node, report))
        .inspect(|found| seen.check(found, report))
        .map(|found| found.settings)
        .collect()
}

/// A TCP socket that is not only for this host must be asked for in so many words.
pub(super) fn check_reach(
    address: SocketAddr,
    allow_remote: Option<bool>,
    site: &Site,
    report: &Report,
) {
    if address.ip().to_canonical().is_loopback() {
        return;
    }
    if allow_remote == Some(true) {
        let advice = "see that only your own hosts can reach it: there is no log-in";
        let fault = Fault::new("this socket is open to other hosts", advice);
        report.warning(site, fault);
    } else {
        let advice = "use 127.0.0.1 or [::1], or add allow_remote = true if that is meant";
        let fault = Fault::new("this socket would be open to other hosts", advice);
        report.problem(site, fault);
    }
}

struct Found {
    settings: ListenerSettings,
    name_site: Site,
    socket_site: Site,
}

/// The listeners so far, by what must be unique.
#[derive(Default)]
struct Seen {
    names: Vec<(String, Site)>,
    sockets: Vec<(String, Site)>,
}

impl Seen {
    fn check(&mut self, found: &Found, report: &Report) {
        let name = &found.settings.name;
        if let Some((_, first)) = self.names.iter().find(|(other, _)| other == name) {
            let text = format!("the listener of {first} is called {name} too");
            let advice = "give each listener its own name";
            report.problem(&found.name_site, Fault::new(text, advice));
        }
        self.names.push((name.clone(), found.name_site.clone()));

        // Port 0 is a free port, each time another.
        if matches!(&found.settings.socket, Socket::Tcp(address) if address.port() == 0) {
            return;
        }
        let socket = found.settings.socket.to_string();
        if let Some((_, first)) = self.sockets.iter().find(|(other, _)| *other == socket) {
            let text = format!("the listener of {first} is on {socket} too");
            let advice = "give each listener its own socket";
            report.problem(&found.socket_site, Fault::new(text, advice));
        }
        self.sockets.push((socket, found.socket_site.clone()));
    }
}

fn read_one(node: Node, report: &Report) -> Option<Found> {
    let mut section = Section::new(node, report);
    let (name_site, socket_site) = (section.site_of("name"), section.site_of("socket"));
    let name = section.required("name", "name = \"relay\"", name);
    let address = section.required("socket", "socket = \"unix:/run/zegel/relay.sock\"", socket);
    let mode_site = section.written("mode");
    let mode = section.read("mode", mode);
    let group_site = section.written("group");
    let group = section.read("group", owned_text);
    let users_site = section.written("allow_users");
    let allow_users = read_users(&mut section);
    let outbound = section.take("outbound");
    let observe_site = section.site_of("observe");
    let observe = section.read("observe", truth).unwrap_or(false);
    let allow_remote = section.read("allow_remote", truth);
    let outbound = outbound.map_or_else(Outbound::default, |node| read_outbound(node, report));
    section.finish();

    if observe {
        let text = "this listener only looks on: no mail on it is signed";
        let advice = "when the trial is over, take observe out and restart Zegel";
        report.warning(&observe_site, Fault::new(text, advice));
    }
    let address = address?;
    if let Socket::Tcp(address) = &address {
        check_reach(*address, allow_remote, &socket_site, report);
        if let Some(site) = users_site {
            let text = "who connects by TCP has no user that could be asked for";
            let advice = "take it out, or choose a unix: socket";
            report.problem(&site, Fault::new(text, advice));
        }
    }
    let socket = match address {
        Socket::Unix { path, .. } => Socket::Unix {
            path,
            mode: mode.unwrap_or(Socket::DEFAULT_MODE),
            group,
        },
        other => {
            for site in [mode_site, group_site].into_iter().flatten() {
                let advice = "take it out, or choose a unix: socket";
                report.problem(&site, Fault::new("only a unix: socket has this", advice));
            }
            other
        }
    };
    Some(Found {
        settings: ListenerSettings {
            name: name?,
            socket,
            allow_users,
            outbound,
            observe,
        },
        name_site,
        socket_site,
    })
}

fn read_users(section: &mut Section<'_>) -> Option<Vec<AllowedUser>> {
    let list = section.list("allow_users", user)?;
    if list.empty {
        let advice = "name the user of your MTA, such as postfix, or take the key out";
        let fault = Fault::new("nobody could connect", advice);
        section.report.problem(&list.site, fault);
    }
    Some(list.into_values())
}

fn user(node: &Node) -> Result<AllowedUser, Fault> {
    let name = text(node)?;
    let number = user_number(name).map_err(|error| {
        let what = format!("{} is no user of this host ({error})", quoted(name));
        let advice = "write the name of a user in /etc/passwd, or its number in quotes";
        Fault::new(what, advice)
    })?;
    let name = name.to_owned();
    Ok(AllowedUser { name, number })
}

/// Names of listeners are labels, log words and values in `senders.listeners`.
fn name(node: &Node) -> Result<String, Fault> {
    let text = text(node)?;
    let valid = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'-';
    if text.len() > 40 || !text.bytes().all(valid) {
        let what = format!("{} is no name for a listener", quoted(text));
        return Err(Fault::new(
            what,
            "use a to z, 0 to 9 and -, at most 40 of them",
        ));
    }
    Ok(text.to_owned())
}

fn socket(node: &Node) -> Result<Socket, Fault> {
    let text = text(node)?;
    if let Some(path) = text.strip_prefix("unix:") {
        return Ok(Socket::Unix {
            path: socket_path(path)?,
            mode: Socket::DEFAULT_MODE,
            group: None,
        });
    }
    if let Some(address) = text.strip_prefix("inet:") {
        return socket_address(address).map(Socket::Tcp);
    }
    if let Some(name) = text.strip_prefix("fd:") {
        // systemd.socket(5): ASCII without control characters and colons, at most 255.
        let valid = |octet: u8| octet.is_ascii_graphic() && octet != b':';
        if !name.is_empty() && name.len() <= 255 && name.bytes().all(valid) {
            return Ok(Socket::Inherited(name.to_owned()));
        }
    }
    Err(Fault::new(
        format!("{} is no socket", quoted(text)),
        "write unix:/path, inet:127.0.0.1:8891, inet:[::1]:8891, \
         or fd:NAME with the FileDescriptorName= of a systemd socket",
    ))
}

fn mode(node: &Node) -> Result<u32, Fault> {
    const ADVICE: &str = "write mode = \"0660\", or \"0600\" if the MTA runs as the same user";
    let Value::Text(text) = &node.value else {
        return Err(wrong_kind(node, "a text", ADVICE));
    };
    let octal = text.len() == 4 && text.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
    let mode = u32::from_str_radix(text, 8)
        .ok()
        .filter(|mode| octal && *mode <= 0o777);
    match mode {
        None => Err(Fault::new(
            format!("{} is no mode of four octal digits", quoted(text)),
            ADVICE,
        )),
        Some(mode) if mode & 0o002 != 0 => Err(Fault::new(
            format!("{text} lets every user of this host have mail signed"),
            "write mode = \"0660\" and group = \"postfix\", the group of your MTA",
        )),
        Some(mode) => Ok(mode),
    }
}

fn read_outbound(node: Node, report: &Report) -> Outbound {
    const ADVICE: &str = "write \"all\", or \
        { authenticated = true, networks = [\"127.0.0.0/8\", \"::1/128\"] }";
    match &node.value {
        Value::Text(text) if text == "all" => return Outbound::All,
        Value::Table(_) => {}
        _ => {
            let fault = Fault::new("this is no rule for outbound mail", ADVICE);
            report.problem(&node.site, fault);
            return Outbound::All;
        }
    }
    let mut section = Section::new(node, report);
    let authenticated_written = section.written("authenticated").is_some();
    let authenticated = section.read("authenticated", truth);
    let networks_empty = section.length("networks").is_none_or(|length| length == 0);
    let networks = section.values("networks", network);
    let without_address = section.read("without_address", truth).unwrap_or(false);
    if networks_empty
        && !without_address
        && authenticated.map_or(!authenticated_written, |truth| !truth)
    {
        let text = "by this rule no mail is ever outbound, and nothing would be signed";
        report.problem(&section.site, Fault::new(text, ADVICE));
    }
    section.finish();
    Outbound::Rule {
        authenticated: authenticated.unwrap_or(false),
        networks,
        without_address,
    }
}
