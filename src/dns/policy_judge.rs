//! What the policies of a domain are worth. Pure.

use super::{
    finding::{Code, Finding, shown},
    policy::{MailPolicy, SpfVerdict},
    resolver::DnsError,
    spf::{RelayPart, first, mechanism},
};
use crate::{
    dmarc::{DmarcRecord, Wish},
    words::Severity,
};

/// What a parked domain should have (and what internet.nl checks for).
pub const PARKED_SPF: &str = "v=spf1 -all";
/// As [`PARKED_SPF`].
pub const PARKED_DMARC: &str = "v=DMARC1; p=reject;";
/// As [`PARKED_SPF`] (RFC 7505).
pub const NULL_MX: &str = "0 .";

/// What a domain that sends should have to begin with; an address for the reports comes to that.
pub const FIRST_DMARC: &str = "v=DMARC1; p=none";

/// The findings for a domain that sends mail through the relay, whose SPF record must have this
/// part.
pub fn judge_sending(policy: &MailPolicy, part: &RelayPart) -> Vec<Finding> {
    let mut report = PolicyReport::new(policy, FIRST_DMARC);
    report.spf(part);
    if let Some(record) = report.dmarc() {
        report.strength(&record);
        report.reports(&record);
    }
    report.findings
}

/// The findings for a domain that never sends mail. `has_to_wait`: one below it sends and has no
/// DMARC record of its own, so this one must not ask to reject yet.
pub fn judge_parked(policy: &MailPolicy, has_to_wait: bool) -> Vec<Finding> {
    let mut report = PolicyReport::new(policy, PARKED_DMARC);
    report.parked_spf();
    if has_to_wait {
        if let Err(error) = &policy.dmarc {
            report.unknown(error);
        }
    } else if let Some(record) = report.dmarc()
        && (record.policy != Wish::Reject || record.testing)
    {
        let seen = report.dmarc_text();
        report.add(Code::DmarcNotParked, Severity::Act, seen, PARKED_DMARC);
    }
    report.parked_mx();
    match &policy.has_keys {
        Ok(true) => {
            let seen = "something exists at or below _domainkey".to_owned();
            report.add(Code::ParkedKey, Severity::Warning, seen, "no DKIM record");
        }
        Ok(false) => {}
        Err(error) => report.unknown(error),
    }
    report.findings
}

struct PolicyReport<'a> {
    policy: &'a MailPolicy,
    /// What such a domain should have, where it has none that can be used.
    expected_dmarc: &'static str,
    findings: Vec<Finding>,
}

impl<'a> PolicyReport<'a> {
    fn new(policy: &'a MailPolicy, expected_dmarc: &'static str) -> Self {
        Self {
            policy,
            expected_dmarc,
            findings: Vec::new(),
        }
    }

    fn add(&mut self, code: Code, severity: Severity, seen: String, expected: &str) {
        let domain = self.policy.domain.clone();
        let name = match (code.as_str().split('.').next(), &self.policy.dmarc) {
            (Some("dmarc"), Ok(Some((owner, _)))) => format!("_dmarc.{owner}"),
            (Some("dmarc"), _) => format!("_dmarc.{domain}"),
            (Some("dkim"), _) => format!("_domainkey.{domain}"),
            _ => domain.clone(),
        };
        self.findings.push(Finding {
            code,
            severity,
            domain,
            selector: None,
            name,
            servers: Vec::new(),
            seen,
            expected: expected.to_owned(),
        });
    }

    fn unknown(&mut self, error: &DnsError) {
        let seen = shown(&error.to_string());
        self.add(Code::PolicyUnknown, Severity::Act, seen, "an answer");
    }

    fn spf(&mut self, part: &RelayPart) {
        let policy = self.policy;
        let written = part.written();
        let text = match policy.spf.as_deref() {
            Err(error) => return self.unknown(error),
            Ok([]) => {
                let seen = "no SPF record".to_owned();
                let wanted =
                    written.map_or_else(|| "an SPF record".to_owned(), |part| first(&part));
                return self.add(Code::SpfMissing, Severity::Act, seen, &wanted);
            }
            Ok([text]) => text,
            Ok(texts) => {
                let seen = shown(&texts.join(" | "));
                return self.add(Code::SpfTwoRecords, Severity::Act, seen, "one SPF record");
            }
        };
        self.relays(text, part);
        let terms: Vec<_> = text
            .split_whitespace()
            .map(str::to_ascii_lowercase)
            .collect();
        let ends = |term: &str| terms.iter().any(|known| known == term);
        let redirects = terms.iter().any(|term| term.starts_with("redirect="));
        if !ends("-all") && !ends("~all") && !redirects {
            self.add(Code::SpfOpen, Severity::Warning, shown(text), "-all");
        }
    }

    /// Whether the record allows our relays: by what receivers make of it for each address, or, as
    /// long as the addresses are not configured, by its terms.
    fn relays(&mut self, text: &str, part: &RelayPart) {
        let policy = self.policy;
        let mut missing = Vec::new();
        for (relay, verdict) in &policy.relays {
            match verdict {
                SpfVerdict::Pass => {}
                SpfVerdict::NotAllowed | SpfVerdict::None => missing.push(mechanism(*relay)),
                SpfVerdict::Broken => {
                    let expected = part.written().unwrap_or_default();
                    return self.add(Code::SpfBroken, Severity::Act, shown(text), &expected);
                }
                SpfVerdict::Unknown => {
                    let seen = format!("SPF of {} for {relay}: no answer", policy.domain);
                    self.add(Code::PolicyUnknown, Severity::Act, seen, "an answer");
                }
            }
        }
        if part.terms.is_some() && part.is_in(text) {
            // The customer has done all that was asked: what is asked does not cover them.
            if !missing.is_empty() {
                let expected = missing.join(" ");
                self.add(Code::SpfRelay, Severity::Warning, shown(text), &expected);
            }
            return;
        }
        let expected = match &part.terms {
            Some(terms) if !missing.is_empty() => terms.clone(),
            Some(terms) if policy.relays.is_empty() && !part.is_in(text) => terms.clone(),
            _ => missing.join(" "),
        };
        if !expected.is_empty() {
            self.add(Code::SpfRelay, Severity::Act, shown(text), &expected);
        }
    }

    /// The one usable record, or the finding that there is none.
    fn dmarc(&mut self) -> Option<DmarcRecord> {
        let seen = self.dmarc_text();
        let texts = match &self.policy.dmarc {
            Ok(Some((_, texts))) => texts.as_slice(),
            Ok(None) => &[],
            Err(error) => {
                self.unknown(error);
                return None;
            }
        };
        let (code, seen, expected) = match texts {
            [] => {
                let seen = "no DMARC record".to_owned();
                (Code::DmarcMissing, seen, self.expected_dmarc)
            }
            [text] => match DmarcRecord::parse(text) {
                Ok(record) => return Some(record),
                Err(error) => (
                    Code::DmarcMalformed,
                    format!("{seen}: {error}"),
                    self.expected_dmarc,
                ),
            },
            _ => (Code::DmarcTwoRecords, seen, "one DMARC record"),
        };
        self.add(code, Severity::Act, seen, expected);
        None
    }

    fn dmarc_text(&self) -> String {
        match &self.policy.dmarc {
            Ok(Some((_, texts))) => shown(&texts.join(" | ")),
            _ => String::new(),
        }
    }

    fn strength(&mut self, record: &DmarcRecord) {
        let is_own =
            matches!(&self.policy.dmarc, Ok(Some((owner, _))) if *owner == self.policy.domain);
        let asked = if is_own {
            record.policy
        } else {
            record.subdomains
        };
        let seen = self.dmarc_text();
        if asked == Wish::None {
            let expected = "p=quarantine, then p=reject";
            self.add(Code::DmarcNone, Severity::Warning, seen.clone(), expected);
        } else if record.testing {
            self.add(
                Code::DmarcTesting,
                Severity::Warning,
                seen.clone(),
                "no t=y",
            );
        }
        if record.percentage.is_some() {
            self.add(
                Code::DmarcPercentage,
                Severity::Note,
                seen.clone(),
                "no pct=",
            );
        }
        if is_own && record.subdomains.min(record.nonexistent) < record.policy {
            let expected = "sp= and np= as strong as p=";
            self.add(Code::DmarcSubdomains, Severity::Warning, seen, expected);
        }
    }

    fn reports(&mut self, record: &DmarcRecord) {
        if record.reports.is_empty() {
            let seen = self.dmarc_text();
            self.add(Code::DmarcNoReports, Severity::Note, seen, "rua=mailto:…");
        }
        for (target, wanted) in &self.policy.report_targets {
            match wanted {
                Ok(true) => {}
                Ok(false) => {
                    let Ok(Some((owner, _))) = &self.policy.dmarc else {
                        continue;
                    };
                    // From a record that others wrote: it goes to terminals and logs.
                    let seen = shown(target);
                    let expected = format!("{owner}._report._dmarc.{seen} TXT \"v=DMARC1\"");
                    self.add(
                        Code::DmarcReportsUnwanted,
                        Severity::Warning,
                        seen,
                        &expected,
                    );
                }
                Err(error) => self.unknown(error),
            }
        }
    }

    fn parked_spf(&mut self) {
        match self.policy.spf.as_deref() {
            Err(error) => self.unknown(error),
            Ok([text]) if is_closed(text) => {}
            Ok(texts) => {
                let seen = match texts {
                    [] => "no SPF record".to_owned(),
                    _ => shown(&texts.join(" | ")),
                };
                self.add(Code::SpfNotParked, Severity::Act, seen, PARKED_SPF);
            }
        }
    }

    fn parked_mx(&mut self) {
        match self.policy.mx.as_deref() {
            Err(error) => self.unknown(error),
            Ok([one]) if one == NULL_MX => {}
            Ok(servers) => {
                let seen = match servers {
                    [] => "no MX record".to_owned(),
                    _ => shown(&servers.join(", ")),
                };
                self.add(Code::MxNotNull, Severity::Warning, seen, NULL_MX);
            }
        }
    }
}

/// internet.nl: `^v=spf1 +(exp=… )?-all$`.
fn is_closed(text: &str) -> bool {
    let terms: Vec<_> = text.split(' ').filter(|term| !term.is_empty()).collect();
    match terms.as_slice() {
        [version, rest @ .., last] => {
            let explained = match rest {
                [] => true,
                [one] => one.to_ascii_lowercase().starts_with("exp="),
                _ => false,
            };
            version.eq_ignore_ascii_case("v=spf1") && explained && last.eq_ignore_ascii_case("-all")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> MailPolicy {
        let relay = "192.0.2.25".parse().expect("an address");
        MailPolicy {
            domain: "voorbeeld.nl".to_owned(),
            spf: Ok(vec!["v=spf1 ip4:192.0.2.25 -all".to_owned()]),
            relays: vec![(relay, SpfVerdict::Pass)],
            dmarc: dmarc("v=DMARC1; p=reject; rua=mailto:d@voorbeeld.nl"),
            report_targets: Vec::new(),
            mx: Ok(vec!["10 mail.voorbeeld.nl".to_owned()]),
            has_keys: Ok(true),
        }
    }

    fn part() -> RelayPart {
        RelayPart {
            terms: None,
            addresses: vec!["192.0.2.25".parse().expect("an address")],
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "the type of the field")]
    fn dmarc(text: &str) -> Result<Option<(String, Vec<String>)>, DnsError> {
        Ok(Some(("voorbeeld.nl".to_owned(), vec![text.to_owned()])))
    }

    fn sending(change: impl Fn(&mut MailPolicy)) -> Vec<Code> {
        let mut policy = policy();
        change(&mut policy);
        judge_sending(&policy, &part())
            .iter()
            .map(|finding| finding.code)
            .collect()
    }

    fn parked(change: impl Fn(&mut MailPolicy)) -> Vec<Code> {
        let mut policy = policy();
        policy.spf = Ok(vec![PARKED_SPF.to_owned()]);
        policy.dmarc = dmarc(PARKED_DMARC);
        policy.mx = Ok(vec![NULL_MX.to_owned()]);
        policy.has_keys = Ok(false);
        change(&mut policy);
        judge_parked(&policy, false)
            .iter()
            .map(|finding| finding.code)
            .collect()
    }

    #[test]
    fn a_good_domain_has_no_findings() {
        assert_eq!(sending(|_| {}), []);
        assert_eq!(parked(|_| {}), []);
        assert_eq!(
            parked(|policy| policy.spf = Ok(vec!["v=spf1  exp=x.nl -all".to_owned()])),
            []
        );
    }

    #[test]
    fn what_is_wrong_with_a_sending_domain_is_found() {
        let spf = |text: &str| vec![text.to_owned()];
        assert_eq!(
            sending(|policy| policy.spf = Ok(vec![])),
            [Code::SpfMissing]
        );
        assert_eq!(
            sending(|policy| policy.spf = Ok(spf("v=spf1 ?all"))),
            [Code::SpfOpen]
        );
        let verdict = |verdict| move |policy: &mut MailPolicy| policy.relays[0].1 = verdict;
        assert_eq!(sending(verdict(SpfVerdict::NotAllowed)), [Code::SpfRelay]);
        assert_eq!(sending(verdict(SpfVerdict::Broken)), [Code::SpfBroken]);
        assert_eq!(sending(verdict(SpfVerdict::Unknown)), [Code::PolicyUnknown]);
        let with = |text: &str| sending(|policy| policy.dmarc = dmarc(text));
        assert_eq!(
            with("v=DMARC1; p=none"),
            [Code::DmarcNone, Code::DmarcNoReports]
        );
        let rua = "rua=mailto:d@voorbeeld.nl";
        assert_eq!(
            with(&format!("v=DMARC1; p=reject; t=y; {rua}")),
            [Code::DmarcTesting]
        );
        assert_eq!(
            with(&format!("v=DMARC1; p=reject; pct=9; {rua}")),
            [Code::DmarcPercentage]
        );
        assert_eq!(
            with(&format!("v=DMARC1; p=reject; np=none; {rua}")),
            [Code::DmarcSubdomains]
        );
        assert_eq!(with("v=DMARC1; p=everything"), [Code::DmarcMalformed]);
        assert_eq!(
            sending(|policy| policy.dmarc = Ok(None)),
            [Code::DmarcMissing]
        );
    }

    /// Found by fuzzing.
    #[test]
    fn a_target_of_reports_harms_no_terminal() {
        let mut policy = policy();
        policy.report_targets = vec![("x\u{1b}[31m.nl".to_owned(), Ok(false))];
        let findings = judge_sending(&policy, &part());
        let [finding] = &findings[..] else {
            panic!("one finding: {findings:?}");
        };
        assert_eq!(finding.code, Code::DmarcReportsUnwanted);
        assert_eq!(
            finding.expected,
            r#"voorbeeld.nl._report._dmarc.x\u{1b}[31m.nl TXT "v=DMARC1""#
        );
        assert!(!finding.seen.contains(char::is_control));
    }

    #[test]
    fn what_is_wrong_with_a_parked_domain_is_found() {
        assert_eq!(
            parked(|policy| policy.spf = Ok(vec!["v=spf1 a -all".to_owned()])),
            [Code::SpfNotParked]
        );
        assert_eq!(
            parked(|policy| policy.dmarc = dmarc("v=DMARC1; p=reject; t=y")),
            [Code::DmarcNotParked]
        );
        assert_eq!(parked(|policy| policy.mx = Ok(vec![])), [Code::MxNotNull]);
        assert_eq!(
            parked(|policy| policy.has_keys = Ok(true)),
            [Code::ParkedKey]
        );
    }
}
