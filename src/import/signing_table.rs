//! A table that says which key signs whose mail, and a table of keys.

use std::{collections::BTreeSet, path::PathBuf};

use super::{
    finding::{Code, Place},
    setup::{KeySource, Secret, Setup, Signing},
    table::{Comparison, DataSet, Entry},
};
use crate::names::{DomainName, Selector};

const NAME_THEM: &str = "name every domain that sends in a file of orgs.d";

/// Two tables, as OpenDKIM and rspamd have them.
pub(super) struct Tables<'a> {
    pub(super) signing: &'a DataSet,
    pub(super) keys: &'a DataSet,
    /// Whether every line that matches signs, and not only the first.
    pub(super) multiple: bool,
    /// What a path is relative to.
    pub(super) resolve: &'a dyn Fn(&str) -> PathBuf,
}

/// Reads what the tables say of each domain.
pub(super) fn read(tables: &Tables<'_>, setup: &mut Setup) {
    let mut reader = Reader {
        tables,
        catch_all: None,
        used: BTreeSet::new(),
        setup,
    };
    for entry in &tables.signing.entries {
        reader.line(entry, tables.signing.comparison);
    }
    reader.unused();
}

struct Reader<'a> {
    tables: &'a Tables<'a>,
    /// What OpenDKIM never comes past.
    catch_all: Option<Place>,
    /// Names in the key table.
    used: BTreeSet<String>,
    setup: &'a mut Setup,
}

/// A line of the key table.
struct Key {
    /// None where it says `%`: the domain in From.
    domain: Option<DomainName>,
    selector: Selector,
    /// With its `%`.
    data: String,
}

impl Reader<'_> {
    fn say(&mut self, code: Code, place: &Place, found: String, done: impl Into<String>) {
        self.setup.say(code, place, found, done);
    }

    fn line(&mut self, entry: &Entry, comparison: Comparison) {
        let name = entry.value.split(':').next().unwrap_or_default().trim();
        if name.is_empty() {
            let found = format!("{:?} names no key", entry.key);
            self.say(Code::BadEntry, &entry.place, found, "it was left out");
            return;
        }
        let pattern = match comparison {
            Comparison::Exact => Pattern::of_lookup(&entry.key),
            Comparison::Wildcards => Pattern::of_wildcards(&entry.key),
        };
        self.identity(entry);
        match pattern {
            Pattern::Domain(domain) => self.domain(domain, name, &entry.place),
            Pattern::Address(domain) => {
                let found = format!("only {} is signed for, of {domain}", entry.key);
                let done = format!(
                    "Zegel goes by domains: mail of every address of {domain} will be signed; \
                     if that is not meant, restrict it with [senders]"
                );
                self.say(Code::SingleAddress, &entry.place, found, done);
                self.domain(domain, name, &entry.place);
            }
            Pattern::Everything => self.everything(entry, name, comparison),
            Pattern::Subdomains(parent) => {
                let found = format!("{} stands for every domain below {parent}", entry.key);
                self.say(Code::WildcardPattern, &entry.place, found, NAME_THEM);
                self.used.insert(name.to_lowercase());
            }
            Pattern::Other => {
                let found = format!("{} stands for domains that are not named", entry.key);
                self.say(Code::WildcardPattern, &entry.place, found, NAME_THEM);
                self.used.insert(name.to_lowercase());
            }
            Pattern::Nothing => {
                let found = format!("no address is ever like {}", entry.key);
                let done = "it was left out, since OpenDKIM never signed by it; wildcards need \
                            refile:, and there user@host has to match";
                self.say(Code::NeverMatches, &entry.place, found, done);
            }
            Pattern::BadDomain(text) => {
                let found = format!("{text:?} is no domain name");
                self.say(Code::BadDomain, &entry.place, found, "it was left out");
            }
        }
    }

    /// The second field names whom `i=` is to name.
    fn identity(&mut self, entry: &Entry) {
        if let Some((_, identity)) = entry.value.split_once(':') {
            let found = format!("{} is signed with i={}", entry.key, identity.trim());
            let done = "Zegel writes no i=, which then is the domain itself";
            self.say(Code::DroppedOption, &entry.place, found, done);
        }
    }

    fn domain(&mut self, author: DomainName, name: &str, place: &Place) {
        let in_use = self.catch_all.is_none() || self.tables.multiple;
        if let (false, Some(before)) = (in_use, &self.catch_all) {
            let found = format!("{author} is never looked up, because {before} is for all mail");
            let done = "its key was taken over as one that does not sign yet; see that its \
                        record is in the DNS";
            self.say(Code::NeverMatches, place, found, done);
        }
        let name = if name == "%" { author.as_str() } else { name };
        match self.key(name, place) {
            Some(key) => self.add(author, &key, place, in_use),
            None => self.setup.keyless.push(author),
        }
    }

    fn add(&mut self, author: DomainName, key: &Key, place: &Place, in_use: bool) {
        let data = key.data.replace('%', author.as_str());
        let is_path = ["/", "./", "../"]
            .iter()
            .any(|start| data.starts_with(start));
        let source = if is_path {
            KeySource::File((self.tables.resolve)(&data))
        } else {
            KeySource::Inline(Secret::new(key.data.clone()))
        };
        self.setup.signings.push(Signing {
            signer: key.domain.clone().unwrap_or_else(|| author.clone()),
            author,
            selector: key.selector.clone(),
            key: source,
            in_use,
            place: place.clone(),
        });
    }

    /// All mail, whoever it is from: the domains for which that comes out right are those of
    /// the key table itself.
    fn everything(&mut self, entry: &Entry, name: &str, comparison: Comparison) {
        let place = &entry.place;
        let mut domains = Vec::new();
        if name == "%" {
            let names: Vec<String> = self
                .tables
                .keys
                .entries
                .iter()
                .map(|entry| entry.key.clone())
                .collect();
            for name in names {
                if let Ok(author) = name.parse::<DomainName>()
                    && let Some(key) = self.key(&name, place)
                {
                    domains.push(author.to_string());
                    self.add(author, &key, place, self.catch_all.is_none());
                }
            }
        } else if let Some(key) = self.key(name, place)
            && let Some(domain) = key.domain.clone()
        {
            domains.push(domain.to_string());
            self.add(domain, &key, place, self.catch_all.is_none());
        }
        let taken = match domains.as_slice() {
            [] => "nothing was taken over of it".to_owned(),
            [one] => format!("of it only {one} was taken over"),
            [first, ..] => format!(
                "of it the {} domains of the key table were taken over, such as {first}",
                domains.len()
            ),
        };
        let found = format!("{} is for all mail, whoever it is from", entry.key);
        self.say(
            Code::CatchAll,
            place,
            found,
            format!("{taken}; {NAME_THEM}"),
        );
        if comparison == Comparison::Wildcards && self.catch_all.is_none() {
            self.catch_all = Some(place.clone());
        }
    }

    /// The line of the key table with this name. What is wrong is said at the line of the
    /// signing table.
    fn key(&mut self, name: &str, place: &Place) -> Option<Key> {
        self.used.insert(name.to_lowercase());
        let Some(entry) = self.tables.keys.get(name) else {
            let found = format!("the key table has no {name:?}");
            let done = "it was left out, and OpenDKIM does not sign by it either";
            self.say(Code::UnknownKeyName, place, found, done);
            return None;
        };
        let fields: Vec<&str> = entry.value.splitn(3, ':').map(str::trim).collect();
        let [domain, selector, data] = fields[..] else {
            let found = format!("{name:?} is not domain:selector:key");
            self.say(Code::BadEntry, &entry.place, found, "it was left out");
            return None;
        };
        let Ok(selector) = selector.parse() else {
            let found = format!("{selector:?} is no selector (RFC 6376 §3.1)");
            let done = "its key was not taken over; make a new one with `zegel key generate`";
            self.say(Code::BadSelector, &entry.place, found, done);
            return None;
        };
        let domain = match (domain, domain.parse()) {
            ("%", _) => None,
            (_, Ok(domain)) => Some(domain),
            (text, Err(_)) => {
                let found = format!("{text:?} is no domain name");
                self.say(Code::BadDomain, &entry.place, found, "it was left out");
                return None;
            }
        };
        Some(Key {
            domain,
            selector,
            data: data.to_owned(),
        })
    }

    fn unused(&mut self) {
        for entry in &self.tables.keys.entries {
            if !self.used.contains(&entry.key.to_lowercase()) {
                let found = format!("no line of the signing table uses the key {}", entry.key);
                self.say(Code::UnusedKey, &entry.place, found, "it was left out");
            }
        }
    }
}

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
