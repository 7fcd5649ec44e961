//! Resource records as they are handed over.

use std::fmt;

use serde::Serialize;

use super::{Handover, HandoverError};
use crate::{dns::NULL_MX, keys::KeyEntry, names::DomainName};

/// The time to live that is advised for every record, in seconds.
///
/// An hour: a mistake, or a stolen key that is emptied, is out of all caches within the
/// hour, and the name servers are still spared. It need not be lowered before a change,
/// because a key never takes the name of another: of a new name no cache holds anything.
pub const TTL: u32 = 3600;

/// The longest string in a TXT record, in octets (RFC 1035 §3.3).
const STRING_OCTETS: usize = 255;

/// A record to be added, kept or changed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ResourceRecord {
    /// The whole name, without trailing dot.
    pub name: String,
    /// In seconds.
    pub ttl: u32,
    /// Type and value.
    pub data: Data,
}

/// The types of records that are handed over, with their values.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Data {
    /// TXT: ASCII, all its strings joined.
    Text(String),
    /// CNAME: the name it points to, without trailing dot.
    Alias(String),
    /// DNAME: where all names below lead (RFC 6672), without trailing dot.
    Subtree(String),
    /// NS: a name server of the zone, without trailing dot.
    Server(String),
    /// MX: a domain that takes no mail (RFC 7505 §3).
    NullMx,
}

impl ResourceRecord {
    pub(super) fn new(name: String, data: Data) -> Self {
        Self {
            name,
            ttl: TTL,
            data,
        }
    }
}

impl Data {
    /// The value of the record of a key.
    pub(super) fn of_key(handover: &Handover<'_>, entry: &KeyEntry) -> Result<Self, HandoverError> {
        let key = handover.public_keys.get(&entry.selector);
        key.filter(|key| key.fingerprint() == entry.fingerprint)
            .map(|key| Self::Text(key.record()))
            .ok_or_else(|| HandoverError::NoPublicKey(entry.selector.clone()))
    }

    /// The value of a record that says that its key is revoked (RFC 6376 §3.6.1).
    pub(super) fn empty(entry: &KeyEntry) -> Self {
        Self::Text(format!("v=DKIM1; k={}; p=", entry.algorithm.key_type()))
    }

    /// The type, as a panel and a zone file have it.
    pub fn record_type(&self) -> &'static str {
        match self {
            Self::Text(_) => "TXT",
            Self::Alias(_) => "CNAME",
            Self::Subtree(_) => "DNAME",
            Self::Server(_) => "NS",
            Self::NullMx => "MX",
        }
    }

    /// The value on one line, as it is entered in a panel that cuts by itself.
    pub fn value(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Alias(target) | Self::Subtree(target) | Self::Server(target) => {
                format!("{target}.")
            }
            Self::NullMx => NULL_MX.to_owned(),
        }
    }

    /// The strings of a TXT record, each of at most 255 octets; receivers join them with
    /// nothing in between (RFC 6376 §3.6.2.2). Nothing for the other types.
    pub fn strings(&self) -> Vec<String> {
        let Self::Text(text) = self else {
            return Vec::new();
        };
        let mut strings = vec![String::new()];
        for character in text.chars() {
            let last = strings.last().map_or(0, String::len);
            if last + character.len_utf8() > STRING_OCTETS {
                strings.push(String::new());
            }
            if let Some(string) = strings.last_mut() {
                string.push(character);
            }
        }
        strings
    }
}

/// The value in the presentation format of a zone file (RFC 1035 §5.1).
impl fmt::Display for Data {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Text(_) = self else {
            return formatter.write_str(&self.value());
        };
        let strings: Vec<String> = self.strings().iter().map(|text| quoted(text)).collect();
        if let [one] = strings.as_slice() {
            return formatter.write_str(one);
        }
        formatter.write_str("(")?;
        for string in strings {
            write!(formatter, "\n    {string}")?;
        }
        formatter.write_str(" )")
    }
}

/// A line of a zone file, or several in parentheses; the name is absolute, so that it means
/// the same below any `$ORIGIN`.
impl fmt::Display for ResourceRecord {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, ttl, data } = self;
        write!(formatter, "{name}. {ttl} IN {} {data}", data.record_type())
    }
}

/// A string in quotes. In there, only the quote and the backslash are special; what is not
/// printable ASCII is written as its octets.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for octet in text.bytes() {
        match octet {
            b'"' | b'\\' => quoted.extend(['\\', char::from(octet)]),
            b' '..=b'~' => quoted.push(char::from(octet)),
            _ => quoted.extend(format!("\\{octet:03}").chars()),
        }
    }
    quoted.push('"');
    quoted
}

/// A zone that a name may be kept in, and what the name is called there.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Placement {
    /// The zone.
    pub zone: String,
    /// The name relative to it; `@` for the zone itself.
    pub relative: String,
}

impl Placement {
    /// Where a record at `name`, which belongs to `domain`, may be kept: the likely zone
    /// first. Without DNS it cannot be known whether a subdomain is a zone of its own.
    pub(super) fn of(name: &str, domain: &DomainName, others: &[DomainName]) -> Vec<Self> {
        let domain = domain.as_str();
        let below = |zone: &str| domain.strip_suffix(zone).is_some_and(|l| l.ends_with('.'));
        let parent = domain.split_once('.').map(|(_, parent)| parent);
        let enclosing = others
            .iter()
            .map(DomainName::as_str)
            .filter(|other| below(other))
            .min_by_key(|z| z.len());
        let zones = match (enclosing, parent) {
            (Some(enclosing), _) => vec![enclosing, domain],
            (None, Some(parent)) if parent.contains('.') => vec![domain, parent],
            (None, _) => vec![domain],
        };
        let place = |zone: &str| Self {
            zone: zone.to_owned(),
            relative: relative(name, zone),
        };
        zones.into_iter().map(place).collect()
    }
}

fn relative(name: &str, zone: &str) -> String {
    match name.strip_suffix(zone) {
        Some("") => "@".to_owned(),
        Some(labels) => labels.trim_end_matches('.').to_owned(),
        None => format!("{name}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placements(name: &str, domain: &str, others: &[&str]) -> Vec<(String, String)> {
        let others: Vec<DomainName> = others.iter().map(|o| o.parse().unwrap()).collect();
        Placement::of(name, &domain.parse().unwrap(), &others)
            .into_iter()
            .map(|placement| (placement.zone, placement.relative))
            .collect()
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected
            .iter()
            .map(|(a, b)| ((*a).into(), (*b).into()))
            .collect()
    }

    #[test]
    fn long_values_are_cut_at_255_octets() {
        for (length, expected) in [(1, 1), (255, 1), (256, 2), (510, 2), (511, 3)] {
            let text = "a".repeat(length);
            let strings = Data::Text(text.clone()).strings();
            assert_eq!(strings.len(), expected, "{length}");
            assert!(strings.iter().all(|string| string.len() <= 255));
            assert_eq!(strings.concat(), text);
        }
    }

    #[test]
    fn strings_are_quoted_for_zone_files() {
        assert_eq!(quoted("v=DKIM1; p="), "\"v=DKIM1; p=\"");
        assert_eq!(quoted("a\"b\\c\nd"), "\"a\\\"b\\\\c\\010d\"");
    }

    #[test]
    fn names_are_relative_to_the_likely_zone() {
        let name = "s._domainkey.voorbeeld.nl";
        assert_eq!(
            placements(name, "voorbeeld.nl", &["voorbeeld.nl"]),
            pairs(&[("voorbeeld.nl", "s._domainkey")])
        );
        let name = "s._domainkey.nieuws.voorbeeld.nl";
        let expected = pairs(&[
            ("voorbeeld.nl", "s._domainkey.nieuws"),
            ("nieuws.voorbeeld.nl", "s._domainkey"),
        ]);
        let others = [
            "nieuws.voorbeeld.nl",
            "voorbeeld.nl",
            "anders.nl",
            "beeld.nl",
        ];
        assert_eq!(placements(name, "nieuws.voorbeeld.nl", &others), expected);
        let expected: Vec<_> = expected.into_iter().rev().collect();
        assert_eq!(placements(name, "nieuws.voorbeeld.nl", &[]), expected);
        assert_eq!(
            placements("voorbeeld.nl", "voorbeeld.nl", &[]),
            pairs(&[("voorbeeld.nl", "@")])
        );
    }
}
