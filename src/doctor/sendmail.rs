//! What is dangerous in a sendmail.cf.

use super::{Finding, Findings, Ours};
use crate::{
    config::{ListenerSettings, Socket},
    words::Severity,
};

/// Everything that is to be said of a sendmail.cf.
pub fn examine(text: &str, ours: Ours<'_>) -> Vec<Finding> {
    let mut findings = Findings::default();
    filters(text, ours, &mut findings);
    if let Some(macros) = option(text, "Milter.macros.envfrom")
        && !macros.contains("{auth_authen}")
    {
        findings.add(
            Severity::Warning,
            "login_unknown",
            "Milter.macros.envfrom is without {auth_authen}",
            "Zegel cannot see who has logged in, so that such mail is not outbound",
            "take confMILTER_MACROS_ENVFROM from conf/sendmail/zegel.mc",
        );
    }
    let masquerade = text.lines().find_map(|line| line.strip_prefix("DM"));
    if let Some(domain) = masquerade.filter(|domain| !domain.trim().is_empty()) {
        findings.add(
            Severity::Warning,
            "changed_behind",
            format!("masquerading as {}", domain.trim()),
            "From is written anew behind the milter, which breaks the signature",
            "take MASQUERADE_AS out of the .mc file, and let senders write full addresses",
        );
    }
    findings.worst_first()
}

/// Whether mail comes to us, and what becomes of it when we do not answer.
fn filters(text: &str, ours: Ours<'_>, findings: &mut Findings) {
    let filters = text.lines().filter_map(Filter::parse);
    let linked: Vec<(Filter<'_>, &ListenerSettings)> = filters
        .filter_map(|filter| {
            let listener = ours.listeners.iter().find(|one| filter.is(one))?;
            Some((filter, listener))
        })
        .collect();
    if linked.is_empty() {
        findings.add(
            Severity::Act,
            "not_connected",
            "no filter (X line) is a listener of Zegel",
            "mail leaves unsigned",
            "put conf/sendmail/zegel.mc into the .mc file, make the .cf, restart Sendmail",
        );
    }
    let in_use: Vec<&str> = option(text, "InputMailFilters")
        .map_or(Vec::new(), |list| list.split(',').map(str::trim).collect());
    let ports: String = text
        .lines()
        .filter(|line| line.starts_with("O DaemonPortOptions"))
        .collect();
    for (filter, listener) in linked {
        let name = filter.name;
        if !in_use.contains(&name) && !ports.contains(name) {
            findings.add(
                Severity::Act,
                "filter_not_used",
                format!("the filter {name} is not among InputMailFilters"),
                "it is defined and not used: mail leaves unsigned",
                format!("define it by INPUT_MAIL_FILTER(`{name}', ...), not by MAIL_FILTER"),
            );
        }
        let flags = filter.equate("F").unwrap_or_default();
        let why = match flags {
            _ if listener.observe => continue,
            "" => "without F= mail passes unsigned while Zegel does not answer",
            "R" => "with F=R mail is lost to its senders (550) while Zegel does not answer",
            _ => continue,
        };
        findings.add(
            Severity::Act,
            "default_action",
            format!("the filter {name} has F={flags}"),
            why,
            format!(
                "write F=T in INPUT_MAIL_FILTER(`{name}', ...), make the .cf, restart Sendmail"
            ),
        );
    }
}

/// `Xzegel, S=local:/run/zegel/relay.sock, F=T, T=C:10s`
struct Filter<'a> {
    name: &'a str,
    equates: Vec<(&'a str, &'a str)>,
}

impl<'a> Filter<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (name, rest) = line.strip_prefix('X')?.split_once(',')?;
        let equates = rest.split(',').filter_map(|part| part.split_once('='));
        Some(Self {
            name: name.trim(),
            equates: equates
                .map(|(key, value)| (key.trim(), value.trim()))
                .collect(),
        })
    }

    fn equate(&self, key: &str) -> Option<&'a str> {
        let mut equates = self.equates.iter();
        equates
            .find(|(name, _)| *name == key)
            .map(|(_, value)| *value)
    }

    fn is(&self, listener: &ListenerSettings) -> bool {
        let socket = self.equate("S").unwrap_or_default();
        match &listener.socket {
            Socket::Unix { path, .. } => {
                let path = path.display().to_string();
                socket == format!("local:{path}") || socket == format!("unix:{path}")
            }
            Socket::Tcp(address) => {
                let family = if address.is_ipv6() { "inet6" } else { "inet" };
                let port = address.port();
                socket == format!("{family}:{port}@{}", address.ip())
                    || (address.ip().is_loopback()
                        && socket == format!("{family}:{port}@localhost"))
            }
            Socket::Inherited(name) => socket.ends_with(&format!("/{name}.sock")),
        }
    }
}

fn option<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (key, value) = line.strip_prefix("O ")?.split_once('=')?;
        (key.trim() == name).then_some(value.trim())
    })
}
