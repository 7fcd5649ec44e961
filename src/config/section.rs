//! A table that is read key by key until nothing is left; and the readers of single values,
//! each from a node to the value, or to what is wrong with it.

use std::{
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    path::{Path, PathBuf},
    time::Duration,
};

use humantime::format_duration;
use ipnet::IpNet;

use super::{
    problem::{Fault, Report, Site},
    source::{Node, Table, Value},
};
use crate::{
    dkim::NEVER_SIGNED,
    names::{DomainName, FieldName},
    organisation::{Action, NetworkError, WrittenNetwork},
};

/// A table that is being read: each key is taken out by its name, with the function that reads
/// it. [`Section::finish`] reports the keys that are left.
pub(super) struct Section<'r> {
    pub(super) site: Site,
    pub(super) report: &'r Report,
    entries: Table,
    known: Vec<&'static str>,
}

impl<'r> Section<'r> {
    /// The table in this node; an empty one, and a problem, when it is something else.
    pub(super) fn new(node: Node, report: &'r Report) -> Self {
        let entries = match node.value {
            Value::Table(entries) => entries,
            other => {
                let text = format!("this is {}, and must be a table", other.kind());
                let advice = format!("write it as a table: [{}]", node.site.key);
                report.problem(&node.site, Fault::new(text, advice));
                Table::new()
            }
        };
        Self {
            site: node.site,
            report,
            entries,
            known: Vec::new(),
        }
    }

    /// Takes out a value as it is.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Node> {
        self.known.push(key);
        self.entries.remove(key)
    }

    /// Takes out a table; an empty one when there is none.
    pub(super) fn section(&mut self, key: &'static str) -> Section<'r> {
        let node = self.take(key).unwrap_or_else(|| Node {
            site: self.site.child(key),
            value: Value::Table(Table::new()),
        });
        Section::new(node, self.report)
    }

    /// Reads a value; nothing when it is absent, or wrong and reported.
    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        reader: impl FnOnce(&Node) -> Result<T, Fault>,
    ) -> Option<T> {
        let node = self.take(key)?;
        reader(&node)
            .map_err(|fault| self.report.problem(&node.site, fault))
            .ok()
    }

    /// Reads a value that has a default.
    pub(super) fn read_or<T>(
        &mut self,
        key: &'static str,
        default: T,
        reader: impl FnOnce(&Node) -> Result<T, Fault>,
    ) -> T {
        self.read(key, reader).unwrap_or(default)
    }

    /// Reads a value that must be there.
    pub(super) fn required<T>(
        &mut self,
        key: &'static str,
        example: &str,
        reader: impl FnOnce(&Node) -> Result<T, Fault>,
    ) -> Option<T> {
        if !self.entries.contains_key(key) {
            let fault = Fault::new(format!("{key} is missing"), format!("add {example}"));
            self.report.problem(&self.site, fault);
        }
        self.read(key, reader)
    }

    /// Whether nothing is left in it.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Where a key is written, if it is.
    pub(super) fn written(&self, key: &str) -> Option<Site> {
        self.entries.get(key).map(|node| node.site.clone())
    }

    /// Where a key is written, or else the table.
    pub(super) fn site_of(&self, key: &str) -> Site {
        self.written(key).unwrap_or_else(|| self.site.clone())
    }

    /// How many items are written in a list; nothing when there is none.
    pub(super) fn length(&self, key: &str) -> Option<usize> {
        self.entries.get(key).map(|node| match &node.value {
            Value::List(nodes) => nodes.len(),
            _ => 1,
        })
    }

    /// Reads the items of a list, each with its place. Items that are wrong are reported
    /// and left out; nothing when there is no list.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        reader: impl Fn(&Node) -> Result<T, Fault>,
    ) -> Option<List<T>> {
        let node = self.take(key)?;
        self.list_in(node, reader)
    }

    /// Reads the items of a list where their places do not matter; none when there is no list.
    pub(super) fn values<T>(
        &mut self,
        key: &'static str,
        reader: impl Fn(&Node) -> Result<T, Fault>,
    ) -> Vec<T> {
        self.list(key, reader)
            .map(List::into_values)
            .unwrap_or_default()
    }

    /// Reads the items of a list that was taken out before.
    pub(super) fn list_in<T>(
        &self,
        node: Node,
        reader: impl Fn(&Node) -> Result<T, Fault>,
    ) -> Option<List<T>> {
        let nodes = match items(node.value, &node.site) {
            Ok(nodes) => nodes,
            Err(kind) => {
                let text = format!("this is {kind}, and must be a list");
                let key = node.site.key.rsplit('.').next().unwrap_or_default();
                let advice = format!("write {key} = [\"…\", \"…\"]");
                self.report.problem(&node.site, Fault::new(text, advice));
                return None;
            }
        };
        let mut list = List {
            empty: nodes.is_empty(),
            site: node.site,
            items: Vec::with_capacity(nodes.len()),
        };
        for node in nodes {
            match reader(&node) {
                Ok(item) => list.items.push((item, node.site)),
                Err(fault) => self.report.problem(&node.site, fault),
            }
        }
        Some(list)
    }

    /// Reports the keys that are left, each with the nearest that exists.
    pub(super) fn finish(self) {
        for (key, node) in &self.entries {
            let nearest = self
                .known
                .iter()
                .map(|known| (distance(key, known), known))
                .min()
                .filter(|(distance, known)| *distance <= known.len().div_ceil(3));
            let advice = match nearest {
                Some((_, known)) => format!("did you mean {known}?"),
                None => format!("take it out; known here: {}", self.known.join(", ")),
            };
            self.report
                .problem(&node.site, Fault::new("unknown key", advice));
        }
    }
}

/// The valid items of a list, each with its place.
pub(super) struct List<T> {
    pub(super) site: Site,
    /// Whether nothing was written, as against nothing valid.
    pub(super) empty: bool,
    pub(super) items: Vec<(T, Site)>,
}

impl<T> List<T> {
    /// The items alone.
    pub(super) fn into_values(self) -> Vec<T> {
        self.items.into_iter().map(|(item, _)| item).collect()
    }
}

/// The items of a list, or what it is instead.
fn items(value: Value, site: &Site) -> Result<Vec<Node>, &'static str> {
    match value {
        Value::List(nodes) => Ok(nodes),
        Value::Environment(text) => {
            let item = |word: &str| Node {
                site: site.clone(),
                value: Value::Environment(word.trim().to_owned()),
            };
            let words = text.split(',').filter(|word| !word.trim().is_empty());
            Ok(words.map(item).collect())
        }
        other => Err(other.kind()),
    }
}

/// How many letters must be added, taken away or changed (Levenshtein) to make one word of
/// the other.
pub(crate) fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    // A key is as long as someone cares to make it; the end of a long one decides nothing.
    for (line, from) in left.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, to) in right.iter().enumerate() {
            let changed = diagonal + usize::from(from != *to);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

/// Longest path of a Unix socket: `sun_path` is 108 octets with its final NUL.
const SOCKET_PATH_OCTETS: usize = 107;

/// What is said of a value that is something else.
pub(super) fn wrong_kind(node: &Node, expected: &str, advice: impl Into<String>) -> Fault {
    let text = format!("this is {}, and must be {expected}", node.value.kind());
    Fault::new(text, advice)
}

/// A text of one line, not empty.
pub(super) fn text(node: &Node) -> Result<&str, Fault> {
    match &node.value {
        Value::Text(text) | Value::Environment(text) => {
            if text.trim().is_empty() {
                Err(Fault::new(
                    "the text is empty",
                    "fill it in, or take the key out",
                ))
            } else if text.contains(char::is_control) {
                let advice = "write it on one line";
                Err(Fault::new("the text holds control characters", advice))
            } else {
                Ok(text)
            }
        }
        _ => Err(wrong_kind(node, "a text", "write it in quotes: \"…\"")),
    }
}

/// A text that owns itself.
pub(super) fn owned_text(node: &Node) -> Result<String, Fault> {
    text(node).map(ToOwned::to_owned)
}

/// `true` or `false`.
pub(super) fn truth(node: &Node) -> Result<bool, Fault> {
    match &node.value {
        Value::Truth(truth) => Ok(*truth),
        Value::Environment(text) if text == "true" => Ok(true),
        Value::Environment(text) if text == "false" => Ok(false),
        _ => Err(wrong_kind(
            node,
            "true or false",
            "write true or false, without quotes",
        )),
    }
}

/// One of a few words.
pub(super) fn word<T: Copy>(node: &Node, choices: &[(&str, T)]) -> Result<T, Fault> {
    let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
    let advice = || format!("write one of: {}", words.join(", "));
    let (Value::Text(text) | Value::Environment(text)) = &node.value else {
        return Err(wrong_kind(node, "a word in quotes", advice()));
    };
    choices
        .iter()
        .find(|(word, _)| word == text)
        .map(|(_, value)| *value)
        .ok_or_else(|| Fault::new(format!("{} is not known here", quoted(text)), advice()))
}

/// An action of the policy.
pub(super) fn action(node: &Node) -> Result<Action, Fault> {
    word(node, &Action::ALL.map(|action| (action.as_str(), action)))
}

/// The reader of a number within bounds; with `K` or `M` (1024, 1024²) when it is a text.
pub(super) fn number(bounds: RangeInclusive<usize>) -> impl FnOnce(&Node) -> Result<usize, Fault> {
    move |node| {
        let (low, high) = (bounds.start(), bounds.end());
        let advice = format!("write a number from {low} to {high}");
        let number = match &node.value {
            Value::Number(number) => usize::try_from(*number).ok(),
            Value::Text(text) | Value::Environment(text) => size(text),
            _ => return Err(wrong_kind(node, "a number", advice)),
        };
        number
            .filter(|number| bounds.contains(number))
            .ok_or_else(|| Fault::new("this is no number within bounds", advice))
    }
}

fn size(text: &str) -> Option<usize> {
    let unit_at = text
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(unit_at);
    let factor = match unit.trim() {
        "" => 1,
        "K" | "KiB" => 1024,
        "M" | "MiB" => 1024 * 1024,
        _ => return None,
    };
    digits.parse::<usize>().ok()?.checked_mul(factor)
}

/// A duration such as `600s` or `26w`, within bounds.
pub(super) fn duration(node: &Node, bounds: &RangeInclusive<Duration>) -> Result<Duration, Fault> {
    let (low, high) = (*bounds.start(), *bounds.end());
    let advice = format!(
        "write a duration with its unit, such as 600s, 12h or 26w, from {} to {}",
        format_duration(low),
        format_duration(high)
    );
    let (Value::Text(text) | Value::Environment(text)) = &node.value else {
        return Err(wrong_kind(node, "a duration in quotes", advice));
    };
    let duration = humantime::parse_duration(text)
        .map_err(|_| Fault::new(format!("{} is no duration", quoted(text)), advice.clone()))?;
    if bounds.contains(&duration) {
        Ok(duration)
    } else {
        Err(Fault::new(
            format!("{} is out of bounds", quoted(text)),
            advice,
        ))
    }
}

/// A domain name, in any of its forms.
pub(super) fn domain(node: &Node) -> Result<DomainName, Fault> {
    let text = text(node)?;
    text.trim().parse().map_err(|error| {
        let advice = if text.contains('*') {
            "name every From domain in full: Zegel signs for exactly the domains named here"
        } else if text.contains('@') {
            "write only what comes after the @"
        } else if text.contains("//") {
            "write only the name of the domain"
        } else {
            "write a name such as voorbeeld.nl"
        };
        Fault::new(
            format!("{} is no domain name: {error}", quoted(text)),
            advice,
        )
    })
}

/// The name of a header field that may be signed.
pub(super) fn field_name(node: &Node) -> Result<FieldName, Fault> {
    let text = text(node)?;
    let name: FieldName = text.parse().map_err(|error| {
        let text = format!("{} is no name of a header field: {error}", quoted(text));
        Fault::new(text, "write a name such as List-Id, without a colon")
    })?;
    if NEVER_SIGNED.contains(&name.as_str()) {
        return Err(Fault::new(
            format!("{text} must not be signed"),
            "take it out: it is added or changed on the way, and the signature would break",
        ));
    }
    Ok(name)
}

/// A network in CIDR form, or one address.
pub(super) fn network(node: &Node) -> Result<IpNet, Fault> {
    let text = text(node)?;
    let network: WrittenNetwork = text.parse().map_err(|error| match error {
        NetworkError::NotANetwork => Fault::new(
            format!("{} is no network", quoted(text)),
            "write a network such as 10.20.0.0/16 or 2001:db8::/32",
        ),
        NetworkError::AroundIpv4 => Fault::new(
            format!("{}: {error}", quoted(text)),
            "write 0.0.0.0/0 for all of IPv4 and ::/0 for all of IPv6, or, better, \
             the networks that are yours",
        ),
    })?;
    let (written, network) = (network.as_written(), network.network());
    if written != network {
        let text = format!("{written} has bits beyond its length");
        let single = written.addr();
        let advice = format!("write {network} for the network, or {single} for the host");
        return Err(Fault::new(text, advice));
    }
    Ok(network)
}

/// An address and a port.
pub(super) fn socket_address(text: &str) -> Result<SocketAddr, Fault> {
    text.parse().map_err(|_| {
        let what = format!("{} is no address with a port", quoted(text));
        Fault::new(
            what,
            "write an address, not a name: 127.0.0.1:8891 or [::1]:8891",
        )
    })
}

/// An address without a port; an IPv4-mapped one is the IPv4 one.
pub(super) fn address(node: &Node) -> Result<IpAddr, Fault> {
    let text = text(node)?;
    let address = text.parse().map(|address: IpAddr| address.to_canonical());
    address.map_err(|_| {
        let what = format!("{} is no IP address", quoted(text));
        Fault::new(what, "write an address such as 192.0.2.25 or 2001:db8::25")
    })
}

/// The path of a Unix socket.
pub(super) fn socket_path(text: &str) -> Result<PathBuf, Fault> {
    let path = Path::new(text);
    if !path.is_absolute() || text.ends_with('/') {
        let what = format!("{} is no absolute path of a socket", quoted(text));
        return Err(Fault::new(
            what,
            "write one such as unix:/run/zegel/relay.sock",
        ));
    }
    if text.len() > SOCKET_PATH_OCTETS {
        let what = format!("the path is longer than {SOCKET_PATH_OCTETS} octets");
        return Err(Fault::new(
            what,
            "choose a shorter path: this is a limit of the system",
        ));
    }
    Ok(path.to_owned())
}

/// A text from the file in quotes, cut when it is very long.
pub(super) fn quoted(text: &str) -> String {
    const SHOWN: usize = 80;
    if text.chars().count() <= SHOWN {
        return format!("{text:?}");
    }
    let start: String = text.chars().take(SHOWN).collect();
    format!("{start:?}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (left, right, expected) in [
            ("idle", "idle", 0),
            ("idel", "idle", 2),
            ("canonicalisation", "canonicalization", 1),
            ("", "idle", 4),
            ("idle", "", 4),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(left, right), expected, "{left} {right}");
        }
    }
}
