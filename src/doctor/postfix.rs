//! What `postconf -n` and `postconf -M` print.

use std::{collections::BTreeMap, path::PathBuf};

use crate::config::{ListenerSettings, Socket};

/// Parameters that name each other go no deeper than this in any sane configuration.
const DEPTH: usize = 8;

/// The settings of a Postfix.
#[derive(Clone, Debug, Default)]
pub struct Postfix {
    settings: BTreeMap<String, String>,
    /// The lines of master.cf.
    pub services: Vec<Service>,
    /// `mail_version`, if it is known: 3.7.11 as 3, 7, 11.
    pub version: Option<(u32, u32, u32)>,
}

/// A service of master.cf.
#[derive(Clone, Debug)]
pub struct Service {
    /// `smtp/inet`, as `postconf -P` wants it.
    pub name: String,
    /// Whether it says `y` for chroot.
    pub chroot: bool,
    /// The most processes, if it says so; 0 is no limit.
    pub processes: Option<usize>,
    /// The program, such as `smtpd`.
    pub program: String,
    /// What it sets with `-o`.
    options: BTreeMap<String, String>,
}

/// One milter of a list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Milter {
    pub(super) address: String,
    options: BTreeMap<String, String>,
}

impl Postfix {
    /// Of what `postconf -n` and `postconf -M` print, and `postconf -h mail_version`.
    pub fn parse(parameters: &str, services: &str, version: Option<&str>) -> Self {
        let settings = joined(parameters).into_iter().filter_map(|line| {
            let (name, value) = line.split_once('=')?;
            Some((name.trim().to_owned(), value.trim().to_owned()))
        });
        Self {
            settings: settings.collect(),
            services: joined(services)
                .iter()
                .filter_map(|line| service(line))
                .collect(),
            version: version.and_then(numbers),
        }
    }

    /// A setting with what it names put in, for a service or for all; none if it is not set.
    pub(super) fn get(&self, service: Option<&Service>, name: &str) -> Option<String> {
        self.raw(service, name)
            .map(|value| self.expand(service, value, DEPTH))
    }

    fn raw<'a>(&'a self, service: Option<&'a Service>, name: &str) -> Option<&'a str> {
        let own = service.and_then(|service| service.options.get(name));
        own.or_else(|| self.settings.get(name)).map(String::as_str)
    }

    /// `$name`, `${name}` and `$(name)`; what is unknown or conditional stays.
    fn expand(&self, service: Option<&Service>, value: &str, depth: usize) -> String {
        let Some((before, rest)) = value.split_once('$').filter(|_| depth > 0) else {
            return value.to_owned();
        };
        let close = match rest.chars().next() {
            Some('{') => Some('}'),
            Some('(') => Some(')'),
            _ => None,
        };
        let (name, behind) = if let Some(close) = close {
            rest[1..].split_once(close).unwrap_or((rest, ""))
        } else {
            let word = |character: char| character.is_ascii_alphanumeric() || character == '_';
            rest.split_at(
                rest.find(|character| !word(character))
                    .unwrap_or(rest.len()),
            )
        };
        let meant = match self.raw(service, name) {
            Some(meant) => self.expand(service, meant, depth - 1),
            None => default(name).to_owned(),
        };
        format!("{before}{meant}{}", self.expand(service, behind, depth - 1))
    }

    /// The milters of a list, for a service or for all.
    pub(super) fn milters(&self, service: Option<&Service>, name: &str) -> Vec<Milter> {
        milters(&self.get(service, name).unwrap_or_default())
    }

    /// A setting of one milter, or of all.
    pub(super) fn of_milter(
        &self,
        service: Option<&Service>,
        milter: &Milter,
        name: &str,
    ) -> Option<String> {
        milter
            .options
            .get(name)
            .cloned()
            .or_else(|| self.get(service, &format!("milter_{name}")))
    }

    /// Where relative socket paths begin.
    pub fn queue_directory(&self) -> String {
        let directory = self.get(None, "queue_directory");
        directory.unwrap_or_else(|| default("queue_directory").to_owned())
    }

    /// The user that Postfix connects as.
    pub fn mail_owner(&self) -> String {
        let owner = self.get(None, "mail_owner");
        owner.unwrap_or_else(|| default("mail_owner").to_owned())
    }

    /// The file that the socket of a listener is to be, if it is one and if that is known.
    pub fn socket_file(&self, listener: &ListenerSettings) -> Option<PathBuf> {
        if let Socket::Unix { path, .. } = &listener.socket {
            return Some(path.clone());
        }
        self.services
            .iter()
            .map(Some)
            .chain([None])
            .flat_map(|service| self.milters(service, "smtpd_milters"))
            .filter(|milter| self.is(milter, listener))
            .find_map(|milter| self.path(&milter))
            .map(PathBuf::from)
    }

    fn path(&self, milter: &Milter) -> Option<String> {
        let path = milter.address.strip_prefix("unix:")?;
        if path.starts_with('/') {
            return Some(path.to_owned());
        }
        Some(format!("{}/{path}", self.queue_directory()))
    }

    /// Whether a milter is this listener of ours.
    pub(super) fn is(&self, milter: &Milter, listener: &ListenerSettings) -> bool {
        let path = self.path(milter);
        match (&listener.socket, path) {
            (Socket::Unix { path: ours, .. }, Some(path)) => ours.as_os_str() == path.as_str(),
            // Only systemd knows where it is; this is where our unit has it.
            (Socket::Inherited(name), Some(path)) => path.ends_with(&format!("/{name}.sock")),
            (Socket::Tcp(ours), None) => {
                let address = milter.address.strip_prefix("inet:").unwrap_or_default();
                let (host, port) = address.rsplit_once(':').unwrap_or_default();
                let host = host.trim_matches(['[', ']']);
                let same = match host {
                    "localhost" => ours.ip().is_loopback(),
                    host => host.parse() == Ok(ours.ip()),
                };
                same && port == ours.port().to_string()
            }
            _ => false,
        }
    }
}

impl Service {
    /// Whether it takes mail by SMTP.
    pub(super) fn is_smtpd(&self) -> bool {
        self.program == "smtpd"
    }

    /// Whether it says something of this setting itself.
    pub(super) fn sets(&self, name: &str) -> bool {
        self.options.contains_key(name)
    }
}

/// Defaults of Postfix that the rules need.
fn default(name: &str) -> &'static str {
    match name {
        "queue_directory" => "/var/spool/postfix",
        "mail_owner" => "postfix",
        _ => "",
    }
}

/// Logical lines: without comments, with their continuations.
fn joined(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        match lines.last_mut().filter(|_| line.starts_with([' ', '\t'])) {
            Some(last) => {
                last.push(' ');
                last.push_str(line.trim());
            }
            None => lines.push(line.to_owned()),
        }
    }
    lines
}

fn service(line: &str) -> Option<Service> {
    let words = split(line, char::is_whitespace);
    let [
        name,
        kind,
        _,
        _,
        chroot,
        _,
        processes,
        program,
        arguments @ ..,
    ] = words.as_slice()
    else {
        return None;
    };
    let mut options = BTreeMap::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let option = match argument.strip_prefix("-o") {
            Some("") => arguments.next().map(String::as_str),
            other => other,
        };
        if let Some((name, value)) = option.and_then(|option| option.split_once('=')) {
            options.insert(name.trim().to_owned(), value.trim().to_owned());
        }
    }
    Some(Service {
        name: format!("{name}/{kind}"),
        chroot: chroot == "y",
        processes: processes.parse().ok(),
        program: program.clone(),
        options,
    })
}

fn milters(list: &str) -> Vec<Milter> {
    let separator = |character: char| character == ',' || character.is_whitespace();
    let milter = |item: String| {
        let mut parts = split(&item, separator).into_iter();
        let address = parts.next()?;
        let option = |part: String| {
            let (name, value) = part.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        };
        Some(Milter {
            address,
            options: parts.filter_map(option).collect(),
        })
    };
    split(list, separator)
        .into_iter()
        .filter_map(milter)
        .collect()
}

/// The parts of a text; what is in braces is one part, without them.
fn split(text: &str, is_separator: impl Fn(char) -> bool) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0_usize;
    for character in text.chars() {
        let is_outer = match character {
            '{' => {
                depth += 1;
                depth == 1
            }
            '}' => {
                depth = depth.saturating_sub(1);
                depth == 0
            }
            _ => false,
        };
        if depth == 0 && is_separator(character) {
            parts.push(String::new());
        } else if !is_outer && let Some(part) = parts.last_mut() {
            part.push(character);
        }
    }
    parts.retain(|part| !part.trim().is_empty());
    parts
}

fn numbers(version: &str) -> Option<(u32, u32, u32)> {
    let version = version.trim().split('-').next()?;
    let mut parts = version.split('.').map(|part| part.parse().ok());
    Some((
        parts.next()??,
        parts.next()??,
        parts.next().flatten().unwrap_or(0),
    ))
}

/// `30s`, `5m`, `1h`; without a letter it is seconds.
pub(super) fn seconds(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return None,
    };
    digits.trim().parse::<u64>().ok()?.checked_mul(factor)
}
