//! Names that are parsed once and are valid from then on: domains, selectors,
//! organisations and header fields.
//!
//! Nothing here knows of files, DNS or keys. A value of one of these types can be
//! written into a signature, a file name or a log line as it is. A clone shares the text:
//! with 100,000 organisations a name has many holders.

use std::{
    borrow::{Borrow, Cow},
    fmt,
    str::FromStr,
    sync::Arc,
};

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

/// Why a text is not the name it was meant to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NameError {
    /// Nothing but white space, or nothing at all.
    #[error("the name is empty")]
    Empty,
    /// A label of more than 63 octets (RFC 1035 §2.3.4), in A-label form.
    #[error("a label is longer than 63 octets")]
    LabelTooLong,
    /// More than 253 octets, more than 40 for an organisation, or more than 255 for a
    /// header field.
    #[error("the name is too long")]
    TooLong,
    /// A character outside letters, digits and hyphen, or an invalid U-label.
    #[error("the name holds a character that it may not hold, or an invalid label")]
    Invalid,
}

/// The longest domain name in its text form without the trailing dot (RFC 1035 §2.3.4).
const DOMAIN_OCTETS: usize = 253;
const LABEL_OCTETS: usize = 63;
const ORGANISATION_OCTETS: usize = 40;
/// Far more than there is, and well within the 998 octets of a line (RFC 5322 §2.1.1): `h=`
/// cannot be folded within a name.
const FIELD_OCTETS: usize = 255;

/// A domain name: lower-case A-labels of letters, digits and hyphens, no trailing dot,
/// at most 253 octets.
///
/// Parsing takes U-labels (RFC 5890), upper case and one trailing dot, and normalises
/// them away: parsing what was parsed gives the same name.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct DomainName(Arc<str>);

impl DomainName {
    /// The name as it is written in `d=`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name with its U-labels (RFC 5890 §2.3.2.1), as people write it.
    pub fn unicode(&self) -> Cow<'_, str> {
        // An error marks labels that are no IDNA labels; those stay as they are.
        let (text, _) =
            Uts46::new().to_unicode(self.0.as_bytes(), AsciiDenyList::STD3, Hyphens::Allow);
        text
    }

    fn parse(text: &str) -> Result<Self, NameError> {
        // A U-label is never longer than its A-label in octets per character by more than
        // a factor of four; this only keeps absurd input away from the IDNA tables.
        if text.len() > 4 * DOMAIN_OCTETS {
            return Err(NameError::TooLong);
        }
        let ascii = Uts46::new()
            .to_ascii(
                text.as_bytes(),
                AsciiDenyList::STD3,
                Hyphens::Allow,
                DnsLength::Ignore,
            )
            .map_err(|_| NameError::Invalid)?;
        // Only now: UTS #46 maps full-width stops to dots.
        let ascii = ascii.strip_suffix('.').unwrap_or(&ascii);
        check_labels(ascii)?;
        if ascii.len() > DOMAIN_OCTETS {
            return Err(NameError::TooLong);
        }
        Ok(Self(ascii.into()))
    }
}

/// Labels as RFC 5321 §4.1.2 has them for `sub-domain`: letters, digits, hyphens inside.
fn check_labels(text: &str) -> Result<(), NameError> {
    for label in text.split('.') {
        if label.is_empty() {
            return Err(NameError::Empty);
        }
        if label.len() > LABEL_OCTETS {
            return Err(NameError::LabelTooLong);
        }
        let hyphen_at_edge = label.starts_with('-') || label.ends_with('-');
        let letters = label
            .bytes()
            .all(|octet| octet.is_ascii_alphanumeric() || octet == b'-');
        if hyphen_at_edge || !letters {
            return Err(NameError::Invalid);
        }
    }
    Ok(())
}

fn check_length(text: &str, octets: usize) -> Result<(), NameError> {
    match text.len() {
        0 => Err(NameError::Empty),
        length if length > octets => Err(NameError::TooLong),
        _ => Ok(()),
    }
}

/// The selector of a key (RFC 6376 §3.1): one or more labels, lower case.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Selector(Arc<str>);

impl Selector {
    /// The selector as it is written in `s=`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the TXT record of this selector below `domain`, without trailing dot.
    pub fn record_name(&self, domain: &DomainName) -> String {
        format!("{self}._domainkey.{domain}")
    }

    fn parse(text: &str) -> Result<Self, NameError> {
        check_length(text, DOMAIN_OCTETS)?;
        check_labels(text)?;
        Ok(Self(text.to_ascii_lowercase().into()))
    }
}

/// The id of an organisation: `[a-z0-9-]`, 1 to 40 characters; the stem of its file.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct OrganisationId(Arc<str>);

impl OrganisationId {
    /// The id as it is written in labels, logs and file names.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parse(text: &str) -> Result<Self, NameError> {
        check_length(text, ORGANISATION_OCTETS)?;
        let valid =
            |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'-';
        if !text.bytes().all(valid) {
            return Err(NameError::Invalid);
        }
        Ok(Self(text.into()))
    }
}

/// The name of a header field (RFC 5322 §3.6.8), kept in lower case.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct FieldName(Arc<str>);

impl FieldName {
    /// The name in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parse(text: &str) -> Result<Self, NameError> {
        check_length(text, FIELD_OCTETS)?;
        // A semicolon is an ftext, but would end the h= tag (RFC 6376 §3.5).
        let valid = |octet: u8| octet.is_ascii_graphic() && octet != b':' && octet != b';';
        if !text.bytes().all(valid) {
            return Err(NameError::Invalid);
        }
        Ok(Self(text.to_ascii_lowercase().into()))
    }
}

macro_rules! text_name {
    ($($name:ty),*) => {$(
        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::parse(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(|error| {
                    serde::de::Error::custom(format_args!("{text:?}: {error}"))
                })
            }
        }
    )*};
}

text_name!(DomainName, Selector, OrganisationId, FieldName);

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(text: &str) -> Result<String, NameError> {
        text.parse::<DomainName>().map(|name| name.to_string())
    }

    #[test]
    fn domains_have_one_form() {
        for (text, expected) in [
            ("Voorbeeld.NL", "voorbeeld.nl"),
            ("voorbeeld.nl.", "voorbeeld.nl"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
            ("a-b.c1", "a-b.c1"),
            ("localhost", "localhost"),
        ] {
            assert_eq!(domain(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn domains_can_be_shown_with_u_labels() {
        for (text, expected) in [
            ("XN--BCHER-KVA.example", "bücher.example"),
            ("Voorbeeld.NL", "voorbeeld.nl"),
        ] {
            assert_eq!(text.parse::<DomainName>().unwrap().unicode(), expected);
        }
    }

    #[test]
    fn what_is_no_domain() {
        let label_of_64 = format!("{}.nl", "a".repeat(64));
        let name_of_254 = format!("{}.nl", ["a".repeat(62).as_str(); 4].join("."));
        for text in [
            "",
            ".",
            "a..b",
            ".a",
            "a b.nl",
            "a_b.nl",
            "-a.nl",
            "a-.nl",
            "[192.0.2.1]",
            "a;b.nl",
            "a.nl..",
            "a\r\nb.nl",
            "xn--zzzzzzzzz999999.nl\u{0}",
            &label_of_64,
            &name_of_254,
        ] {
            assert!(domain(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn selectors_and_ids() {
        assert_eq!(
            "Org-2026B".parse::<Selector>().unwrap().as_str(),
            "org-2026b"
        );
        assert!("a.b".parse::<Selector>().is_ok());
        for text in ["", "a;b", "a b", "-a", "a.", "a\nb", "é"] {
            assert!(text.parse::<Selector>().is_err(), "{text:?}");
        }
        assert!("gemeente-1".parse::<OrganisationId>().is_ok());
        for text in ["", "A", "a.b", "a/b", "..", &"a".repeat(41)] {
            assert!(text.parse::<OrganisationId>().is_err(), "{text:?}");
        }
        assert!("List-Id".parse::<FieldName>().is_ok());
        for text in ["", "a:b", "a b", "a;b", "é", &"a".repeat(256)] {
            assert!(text.parse::<FieldName>().is_err(), "{text:?}");
        }
    }
}
