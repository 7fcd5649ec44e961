//! What can be wrong with a record, as a closed list, and what is said about it.

use serde::Serialize;

use crate::words::{Severity, words};

words! {
    /// What is wrong. The words are for metrics, for JSON and for searching; they never change.
    #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
    pub enum Code {
        /// No server has a record of the name.
        Missing = "dkim.missing",
        /// The record holds another key.
        Mismatch = "dkim.mismatch",
        /// More than one TXT record (RFC 6376 §3.6.2.2).
        TwoRecords = "dkim.two_records",
        /// The record ends before its end; at 255 octets, mostly.
        Truncated = "dkim.truncated",
        /// Quotes or backslashes have become part of the value.
        Quoting = "dkim.quoting",
        /// White space inside `p=`: legal.
        Blanks = "dkim.blanks",
        /// The name has records, and they are not TXT.
        WrongType = "dkim.wrong_type",
        /// An alias leads to a name without a record.
        DanglingAlias = "dkim.dangling_alias",
        /// The record is at `NAME.ZONE.ZONE`.
        DoubledName = "dkim.doubled_name",
        /// `t=y`.
        Testing = "dkim.testing",
        /// `p=` is empty.
        Revoked = "dkim.revoked",
        /// A record that verifiers find no key in, for another reason.
        Malformed = "dkim.malformed",
        /// A record that only some verifiers read, though RFC 6376 allows it.
        PartlyRead = "dkim.partly_read",
        /// A key with too few bits, or too many.
        Weak = "dkim.weak",
        /// The authoritative servers do not show the same.
        ServersDisagree = "dkim.servers_disagree",
        /// Some of the authoritative servers say that the name does not exist.
        NxdomainAtOne = "dkim.nxdomain_at_one",
        /// A server gives no answer, or has no address.
        Unreachable = "dkim.unreachable",
        /// A server or a resolver says that it cannot answer.
        Servfail = "dkim.servfail",
        /// A server is named for the zone and does not serve it: a lame delegation.
        NotAuthoritative = "dkim.not_authoritative",
        /// The zone and its parent do not name the same servers.
        DelegationDiffers = "dkim.delegation_differs",
        /// No server of the parent tells who serves the zone.
        ParentSilent = "dkim.parent_silent",
        /// An address of a server is of a kind that is not asked.
        AddressPassedOver = "dkim.address_passed_over",
        /// A zone takes more time or questions than it may.
        OverBudget = "dkim.over_budget",
        /// Aliases lead in a circle, or too far.
        AliasLoop = "dkim.alias_loop",
        /// A resolver still shows what was there before.
        ResolverBehind = "dkim.resolver_behind",
        /// A key of a selector that is not in the keystore.
        UnknownSelector = "dkim.unknown_selector",
        /// No SPF record.
        SpfMissing = "spf.missing",
        /// More than one SPF record (RFC 7208 §4.5).
        SpfTwoRecords = "spf.two_records",
        /// SPF does not allow an address of the relay.
        SpfRelay = "spf.relay_not_allowed",
        /// SPF cannot be evaluated (RFC 7208 §2.6.7).
        SpfBroken = "spf.broken",
        /// SPF does not end in `-all` or `~all`.
        SpfOpen = "spf.open",
        /// A parked domain without `v=spf1 -all`.
        SpfNotParked = "spf.not_parked",
        /// No DMARC record.
        DmarcMissing = "dmarc.missing",
        /// More than one DMARC record.
        DmarcTwoRecords = "dmarc.two_records",
        /// A DMARC record that receivers ignore.
        DmarcMalformed = "dmarc.malformed",
        /// `p=none`.
        DmarcNone = "dmarc.policy_none",
        /// `t=y`: one step less than `p=` says (RFC 9989 §4.7).
        DmarcTesting = "dmarc.testing",
        /// `pct=`, which RFC 9989 has dropped.
        DmarcPercentage = "dmarc.pct",
        /// `sp=` or `np=` is weaker than `p=`.
        DmarcSubdomains = "dmarc.subdomains",
        /// No `rua=`.
        DmarcNoReports = "dmarc.no_reports",
        /// The domain that reports go to has not said that it wants them.
        DmarcReportsUnwanted = "dmarc.reports_unauthorised",
        /// A parked domain without `p=reject`.
        DmarcNotParked = "dmarc.not_parked",
        /// A parked domain without a null MX (RFC 7505).
        MxNotNull = "mx.not_null",
        /// A parked domain with something at or below `_domainkey`.
        ParkedKey = "dkim.parked_key",
        /// Nobody knows: the resolvers give no answer.
        PolicyUnknown = "dns.unknown",
    }
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
    use super::*;

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
