//! What the first word of a line stands for.

use super::lines::is_regular;
use crate::names::DomainName;

#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::import) enum Pattern {
    /// Every address of one domain.
    Domain(DomainName),
    /// Every address of one domain, and of each whose name ends with its name.
    Ending(DomainName),
    /// One address, or some of them.
    Address(DomainName),
    /// All domains below one, or some addresses of them.
    Subdomains(String),
    /// All mail there is.
    Everything,
    /// A pattern that is none of these.
    Other,
    /// A regular expression.
    Regular,
    /// No address is ever like this.
    Nothing,
    /// Not a domain name where one has to be.
    BadDomain(String),
}

impl Pattern {
    /// A pattern with `*`, which the whole address has to match.
    pub(in crate::import) fn of_wildcards(text: &str) -> Self {
        if is_regular(text) {
            return Self::Regular;
        }
        let Some((local, host)) = text.rsplit_once('@') else {
            return match text.strip_prefix('*') {
                Some(end) => Self::of_end(end),
                None if text.contains('*') => Self::Other,
                None => Self::Nothing,
            };
        };
        let is_anybody = !local.is_empty() && local.chars().all(|letter| letter == '*');
        if !host.contains('*') {
            return match host.parse() {
                Ok(domain) if is_anybody => Self::Domain(domain),
                Ok(domain) => Self::Address(domain),
                Err(_) => Self::BadDomain(host.to_owned()),
            };
        }
        match host.strip_prefix('*') {
            Some(end) if is_anybody => Self::of_end(end),
            Some(end) => match Self::of_end(end) {
                Self::Subdomains(parent) => Self::Subdomains(parent),
                _ => Self::Other,
            },
            None => Self::Other,
        }
    }

    /// Behind a `*` that stands for any local part and any beginning of a host.
    fn of_end(end: &str) -> Self {
        match (end, end.strip_prefix('.')) {
            _ if end.contains('*') => match end.trim_start_matches('*') {
                end if end.contains('*') => Self::Other,
                end => Self::of_end(end),
            },
            ("", _) => Self::Everything,
            (_, Some(parent)) => Self::Subdomains(parent.to_owned()),
            (end, None) => end.parse().map_or(Self::Other, Self::Ending),
        }
    }

    /// A key of a table in which `user@host`, `host`, `user@.domain`, `.domain`, `user@*` and
    /// `*` are looked up, each as it is.
    pub(in crate::import) fn of_lookup(text: &str) -> Self {
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
