//! DMARC reports that go elsewhere: then nobody here can tell who sends in the name of a domain.

use super::Finding;
use crate::{
    ladder::{Subject, Thresholds, advise, facts::Facts, record::Published},
    names::DomainName,
    words::Severity,
};

/// So many domains are named one by one.
const NAMED: usize = 10;

/// A domain of ours, with what the keeper saw.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The domain.
    pub domain: &'a DomainName,
    /// Whether it never sends.
    pub parked: bool,
    /// The DMARC records at its own name.
    pub texts: &'a [String],
}

/// What is to be said of the records of domains, if reports are to come to `address`.
pub fn examine<'a>(records: impl Iterator<Item = Record<'a>>, address: &str) -> Vec<Finding> {
    let mut found = records.filter_map(|record| of_record(record, address));
    let mut findings: Vec<Finding> = found.by_ref().take(NAMED).collect();
    let more = found.count();
    if more > 0 {
        findings.push(finding(
            format!("reports about {more} more domains do not come to {address} either"),
            "zegel dmarc status".to_owned(),
        ));
    }
    findings
}

fn of_record(record: Record<'_>, address: &str) -> Option<Finding> {
    let Record {
        domain,
        parked,
        texts,
    } = record;
    let published = Published::new(texts);
    let elsewhere = published.reports_elsewhere(address)?.join(", ");
    let subject = Subject {
        parked,
        published: Some(&published),
        reports: Some(address),
    };
    // On the rung on which it is, whatever reports would say.
    let advice = advise(&Facts::default(), subject, &Thresholds::default()).advice;
    let record = advice.record?;
    let command = if parked {
        // One below it that sends may need a record of its own first.
        "zegel dmarc status".to_owned()
    } else {
        format!("have this in the DNS: _dmarc.{domain} TXT \"{record}\"")
    };
    Some(finding(
        format!("DMARC reports about {domain} go to {elsewhere}, and not to {address}"),
        command,
    ))
}

fn finding(found: String, command: String) -> Finding {
    Finding {
        severity: Severity::Note,
        code: "reports_elsewhere",
        found,
        why: "without reports Zegel can't tell who sends in the name of the domain, nor when its \
              policy may be stricter",
        command,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(texts: &[&str], parked: bool) -> Vec<Finding> {
        let domain = "een.nl".parse().unwrap();
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        let record = Record {
            domain: &domain,
            parked,
            texts: &texts,
        };
        examine([record].into_iter(), "dmarc@relay.nl")
    }

    #[test]
    fn a_record_that_sends_reports_only_elsewhere_is_given_our_address() {
        for text in [
            "v=DMARC1; p=none",
            "v=DMARC1; p=none; rua=mailto:a@b.nl, MAILTO:DMARC@relay.nl!10m",
        ] {
            assert_eq!(findings(&[text], false), [], "{text}");
        }
        let elsewhere = "v=DMARC1; p=quarantine; rua=mailto:a@b.nl";
        // Receivers use none of several.
        assert_eq!(findings(&[], false), []);
        assert_eq!(findings(&[elsewhere, elsewhere], false), []);
        let found = findings(&[elsewhere], false);
        let [finding] = &found[..] else {
            panic!("{found:?}");
        };
        assert_eq!(finding.severity, Severity::Note);
        assert_eq!(
            finding.found,
            "DMARC reports about een.nl go to mailto:a@b.nl, and not to dmarc@relay.nl"
        );
        assert_eq!(
            finding.command,
            "have this in the DNS: _dmarc.een.nl TXT \"v=DMARC1; p=quarantine; \
             rua=mailto:a@b.nl,mailto:dmarc@relay.nl\""
        );
        let parked = findings(&["v=DMARC1; p=reject; rua=mailto:a@b.nl"], true);
        assert_eq!(parked[0].command, "zegel dmarc status");
    }

    #[test]
    fn of_many_domains_the_first_are_named() {
        let domains: Vec<DomainName> = (0..30)
            .map(|number| format!("d{number}.nl").parse().unwrap())
            .collect();
        let texts = ["v=DMARC1; p=none; rua=mailto:a@b.nl".to_owned()];
        let records = domains.iter().map(|domain| Record {
            domain,
            parked: false,
            texts: &texts,
        });
        let found = examine(records, "dmarc@relay.nl");
        assert_eq!(found.len(), NAMED + 1);
        assert!(
            found[NAMED].found.contains(" 20 more domains "),
            "{found:?}"
        );
    }
}
