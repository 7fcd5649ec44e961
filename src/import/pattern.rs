//! Whose mail a line of a signing table is about.

use crate::names::DomainName;

/// What the first word of a line stands for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Pattern {
    /// Every address of one domain.
    Domain(DomainName),
    /// One address, or some of them.
    Address(DomainName),
    /// All domains below one, or some addresses of them.
    Subdomains(String),
    /// All mail there is.
    Everything,
    /// A pattern that is none of these.
    Other,
    /// No address is ever like this.
    Nothing,
    /// Not a domain name where one has to be.
    BadDomain(String),
}

impl Pattern {
    /// A pattern with `*`, which the whole address has to match.
    pub(super) fn of_wildcards(text: &str) -> Self {
        let Some((local, host)) = text.rsplit_once('@') else {
            return match text {
                "*" => Self::Everything,
                _ if !text.contains('*') => Self::Nothing,
                _ => match text.strip_prefix("*.") {
                    Some(parent) if !parent.contains('*') => Self::Subdomains(parent.to_owned()),
                    _ => Self::Other,
                },
            };
        };
        if !host.contains('*') {
            return match host.parse() {
                Ok(domain) if local.chars().all(|letter| letter == '*') && !local.is_empty() => {
                    Self::Domain(domain)
                }
                Ok(domain) => Self::Address(domain),
                Err(_) => Self::BadDomain(host.to_owned()),
            };
        }
        match host.strip_prefix("*.") {
            _ if host == "*" && local == "*" => Self::Everything,
            Some(parent) if !parent.contains('*') => Self::Subdomains(parent.to_owned()),
            _ => Self::Other,
        }
    }

    /// A key of a table in which `user@host`, `host`, `user@.domain`, `.domain`, `user@*` and
    /// `*` are looked up, each as it is.
    pub(super) fn of_lookup(text: &str) -> Self {
        let (local, host) = match text.rsplit_once('@') {
            Some((local, host)) => (Some(local), host),
            None => (None, text),
        };
        match (local, host) {
            (None, "*") => Self::Everything,
            (Some(local), _) if local.contains('*') => Self::Nothing,
            (Some(_), "*") => Self::Other,
            (_, host) if host.contains('*') => Self::Nothing,
            (_, host) => match (host.strip_prefix('.'), host.parse()) {
                (Some(parent), _) => Self::Subdomains(parent.to_owned()),
                (None, Err(_)) => Self::BadDomain(host.to_owned()),
                (None, Ok(domain)) if local.is_some() => Self::Address(domain),
                (None, Ok(domain)) => Self::Domain(domain),
            },
        }
    }
}
