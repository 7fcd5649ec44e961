//! What can be wrong with a record, as a closed list, and what is said about it.

use serde::Serialize;

use super::advice;

/// What is wrong. The words are for metrics, for JSON and for searching; they never change.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Code {
    /// No server has a record of the name.
    Missing,
    /// The record holds another key.
    Mismatch,
    /// More than one TXT record (RFC 6376 §3.6.2.2).
    TwoRecords,
    /// The record ends before its end; at 255 octets, mostly.
    Truncated,
    /// Quotes or backslashes have become part of the value.
    Quoting,
    /// White space inside `p=`: legal.
    Blanks,
    /// The name has records, and they are not TXT.
    WrongType,
    /// An alias leads to a name without a record.
    DanglingAlias,
    /// The record is at `NAME.ZONE.ZONE`.
    DoubledName,
    /// `t=y`.
    Testing,
    /// `p=` is empty.
    Revoked,
    /// A record that verifiers find no key in, for another reason.
    Malformed,
    /// A key with too few bits, or too many.
    Weak,
    /// The authoritative servers do not show the same.
    ServersDisagree,
    /// Some of the authoritative servers say that the name does not exist.
    NxdomainAtOne,
    /// A server gives no answer, or has no address.
    Unreachable,
    /// A server or a resolver says that it cannot answer.
    Servfail,
    /// A server is named for the zone and does not serve it.
    NotAuthoritative,
    /// Aliases lead in a circle, or too far.
    AliasLoop,
    /// A resolver still shows what was there before.
    ResolverBehind,
    /// A key of a selector that is not in the keystore.
    UnknownSelector,
    /// No SPF record.
    SpfMissing,
    /// More than one SPF record (RFC 7208 §4.5).
    SpfTwoRecords,
    /// SPF does not allow an address of the relay.
    SpfRelay,
    /// SPF cannot be evaluated (RFC 7208 §2.6.7).
    SpfBroken,
    /// SPF does not end in `-all` or `~all`.
    SpfOpen,
    /// A parked domain without `v=spf1 -all`.
    SpfNotParked,
    /// No DMARC record.
    DmarcMissing,
    /// More than one DMARC record.
    DmarcTwoRecords,
    /// A DMARC record that receivers ignore.
    DmarcMalformed,
    /// `p=none`.
    DmarcNone,
    /// `t=y`: one step less than `p=` says (RFC 9989 §4.7).
    DmarcTesting,
    /// `pct=`, which RFC 9989 has dropped.
    DmarcPercentage,
    /// `sp=` or `np=` is weaker than `p=`.
    DmarcSubdomains,
    /// No `rua=`.
    DmarcNoReports,
    /// The domain that reports go to has not said that it wants them.
    DmarcReportsUnwanted,
    /// A parked domain without `p=reject`.
    DmarcNotParked,
    /// A parked domain without a null MX (RFC 7505).
    MxNotNull,
    /// A parked domain with something at or below `_domainkey`.
    ParkedKey,
    /// Nobody knows: the resolvers give no answer.
    PolicyUnknown,
}

impl Code {
    /// Every code.
    pub const ALL: [Self; 40] = [
        Self::Missing,
        Self::Mismatch,
        Self::TwoRecords,
        Self::Truncated,
        Self::Quoting,
        Self::Blanks,
        Self::WrongType,
        Self::DanglingAlias,
        Self::DoubledName,
        Self::Testing,
        Self::Revoked,
        Self::Malformed,
        Self::Weak,
        Self::ServersDisagree,
        Self::NxdomainAtOne,
        Self::Unreachable,
        Self::Servfail,
        Self::NotAuthoritative,
        Self::AliasLoop,
        Self::ResolverBehind,
        Self::UnknownSelector,
        Self::SpfMissing,
        Self::SpfTwoRecords,
        Self::SpfRelay,
        Self::SpfBroken,
        Self::SpfOpen,
        Self::SpfNotParked,
        Self::DmarcMissing,
        Self::DmarcTwoRecords,
        Self::DmarcMalformed,
        Self::DmarcNone,
        Self::DmarcTesting,
        Self::DmarcPercentage,
        Self::DmarcSubdomains,
        Self::DmarcNoReports,
        Self::DmarcReportsUnwanted,
        Self::DmarcNotParked,
        Self::MxNotNull,
        Self::ParkedKey,
        Self::PolicyUnknown,
    ];

    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "dkim.missing",
            Self::Mismatch => "dkim.mismatch",
            Self::TwoRecords => "dkim.two_records",
            Self::Truncated => "dkim.truncated",
            Self::Quoting => "dkim.quoting",
            Self::Blanks => "dkim.blanks",
            Self::WrongType => "dkim.wrong_type",
            Self::DanglingAlias => "dkim.dangling_alias",
            Self::DoubledName => "dkim.doubled_name",
            Self::Testing => "dkim.testing",
            Self::Revoked => "dkim.revoked",
            Self::Malformed => "dkim.malformed",
            Self::Weak => "dkim.weak",
            Self::ServersDisagree => "dkim.servers_disagree",
            Self::NxdomainAtOne => "dkim.nxdomain_at_one",
            Self::Unreachable => "dkim.unreachable",
            Self::Servfail => "dkim.servfail",
            Self::NotAuthoritative => "dkim.not_authoritative",
            Self::AliasLoop => "dkim.alias_loop",
            Self::ResolverBehind => "dkim.resolver_behind",
            Self::UnknownSelector => "dkim.unknown_selector",
            Self::SpfMissing => "spf.missing",
            Self::SpfTwoRecords => "spf.two_records",
            Self::SpfRelay => "spf.relay_not_allowed",
            Self::SpfBroken => "spf.broken",
            Self::SpfOpen => "spf.open",
            Self::SpfNotParked => "spf.not_parked",
            Self::DmarcMissing => "dmarc.missing",
            Self::DmarcTwoRecords => "dmarc.two_records",
            Self::DmarcMalformed => "dmarc.malformed",
            Self::DmarcNone => "dmarc.policy_none",
            Self::DmarcTesting => "dmarc.testing",
            Self::DmarcPercentage => "dmarc.pct",
            Self::DmarcSubdomains => "dmarc.subdomains",
            Self::DmarcNoReports => "dmarc.no_reports",
            Self::DmarcReportsUnwanted => "dmarc.reports_unauthorised",
            Self::DmarcNotParked => "dmarc.not_parked",
            Self::MxNotNull => "mx.not_null",
            Self::ParkedKey => "dkim.parked_key",
            Self::PolicyUnknown => "dns.unknown",
        }
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// How much it matters.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing has to be done.
    Note,
    /// It works, and something should be mended.
    Warning,
    /// The key cannot be verified everywhere, or nobody can tell.
    Error,
}

/// The languages of the advice.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Language {
    /// English.
    #[default]
    English,
    /// Dutch.
    Dutch,
}

/// Something that was found.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Finding {
    /// What.
    pub code: Code,
    /// How much it matters.
    pub severity: Severity,
    /// The domain that mail comes from.
    pub domain: String,
    /// The selector, of a key record.
    pub selector: Option<String>,
    /// The name that was asked for, or that an alias led to.
    pub name: String,
    /// Where it was seen: `ns1.example.nl (192.0.2.1)`.
    pub servers: Vec<String>,
    /// What was seen: shortened, and harmless to a terminal.
    pub seen: String,
    /// What should be there.
    pub expected: String,
}

impl Finding {
    /// What to tell the administrator of the DNS.
    pub fn advice(&self, language: Language) -> String {
        match language {
            Language::English => advice::english(self),
            Language::Dutch => advice::dutch(self),
        }
    }
}

/// A text of unknown origin for people: its begin and its end, and no control characters.
pub(super) fn shown(text: &str) -> String {
    const BEGIN: usize = 100;
    const END: usize = 24;
    let characters: Vec<char> = text.chars().collect();
    let escaped = |part: &[char]| -> String {
        let mut out = String::new();
        for character in part {
            match character {
                ' '..='~' => out.push(*character),
                other => out.extend(other.escape_default()),
            }
        }
        out
    };
    if characters.len() <= BEGIN + END {
        return escaped(&characters);
    }
    let (begin, rest) = characters.split_at(BEGIN);
    let end = &rest[rest.len() - END..];
    let length = characters.len();
    format!("{}…{} ({length} characters)", escaped(begin), escaped(end))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_code_has_its_own_word_and_advice_in_both_languages() {
        let words: HashSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(words.len(), Code::ALL.len());
        let mut said = HashSet::new();
        for code in Code::ALL {
            let finding = Finding {
                code,
                severity: Severity::Error,
                domain: "voorbeeld.nl".to_owned(),
                selector: Some("s1".to_owned()),
                name: "s1._domainkey.voorbeeld.nl".to_owned(),
                servers: vec!["ns1.voorbeeld.nl (192.0.2.1)".to_owned()],
                seen: "something".to_owned(),
                expected: "v=DKIM1; k=rsa; p=AAAA".to_owned(),
            };
            for language in [Language::English, Language::Dutch] {
                let advice = finding.advice(language);
                assert!(advice.ends_with('.'), "{advice}");
                assert!(said.insert(advice), "{code:?} {language:?}");
            }
        }
    }

    #[test]
    fn what_is_shown_is_short_and_harmless() {
        assert_eq!(shown("a\x1b[31mb\n"), r"a\u{1b}[31mb\n");
        assert_eq!(shown("v=DKIM1; p=\"x\\;\""), "v=DKIM1; p=\"x\\;\"");
        let long = shown(&"x".repeat(100_000));
        assert!(long.len() < 200, "{long}");
        assert!(long.ends_with("(100000 characters)"));
        assert!(shown(&"\u{202e}".repeat(9)).is_ascii());
    }
}
