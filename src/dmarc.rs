//! DMARC records (RFC 9989 §4.7) and which of them speaks for a domain (§4.10). Pure.

use crate::words::words;

/// What a DMARC record says, as far as it matters for advice.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DmarcRecord {
    /// `p=`; `none` when it is missing, or a policy in the record is none that is known, and there
    /// is `rua=` (RFC 7489 §6.6.3, RFC 9989 §4.7).
    pub policy: Wish,
    /// `sp=`, else as `policy`.
    pub subdomains: Wish,
    /// `np=`, else as `subdomains`.
    pub nonexistent: Wish,
    /// `t=y`: one step less than is asked for.
    pub testing: bool,
    /// `pct=`, which RFC 9989 no longer has.
    pub percentage: Option<String>,
    /// `psd=y` or `psd=n`.
    pub public_suffix: Option<bool>,
    /// The addresses in `rua=`, as written.
    pub reports: Vec<String>,
}

words! {
    /// What receivers are asked to do.
    #[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
    pub enum Wish {
        /// `none`
        None = "none",
        /// `quarantine`
        Quarantine = "quarantine",
        /// `reject`
        Reject = "reject",
    }
}

impl Wish {
    fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|wish| text.eq_ignore_ascii_case(wish.as_str()))
    }
}

/// Why receivers do not use a record.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DmarcError {
    /// Not `name=value` with semicolons between.
    #[error("{0:?} is not a tag of the form name=value")]
    NotATag(String),
    /// An unknown policy, or none and no address for reports either.
    #[error("p= must be none, quarantine or reject, and so must sp= and np=")]
    Policy,
}

/// Whether a TXT is meant as a DMARC record: `v=DMARC1` comes first, exactly so.
pub(crate) fn is_meant(text: &str) -> bool {
    text.split(';')
        .next()
        .unwrap_or_default()
        .split_once('=')
        .is_some_and(|(name, value)| name.trim() == "v" && value.trim() == "DMARC1")
}

impl DmarcRecord {
    /// Reads the text of a record that begins with `v=DMARC1`.
    ///
    /// # Errors
    ///
    /// When receivers would ignore it.
    pub fn parse(text: &str) -> Result<Self, DmarcError> {
        let tags = tags(text)?;
        let value = |name: &str| {
            tags.iter()
                .find(|(known, _)| known == name)
                .map(|(_, value)| *value)
        };
        let reports: Vec<String> = value("rua")
            .unwrap_or_default()
            .split(',')
            .map(|address| address.trim().to_owned())
            .filter(|address| !address.is_empty())
            .collect();
        let policies = ["p", "sp", "np"].map(|tag| value(tag).map(Wish::parse));
        let is_wrong = policies.contains(&Some(None));
        let [policy, subdomains, nonexistent] = policies.map(Option::flatten);
        let (policy, subdomains, nonexistent) = match policy {
            Some(policy) if !is_wrong => (policy, subdomains, nonexistent),
            _ if !reports.is_empty() => (Wish::None, None, None),
            _ => return Err(DmarcError::Policy),
        };
        let subdomains = subdomains.unwrap_or(policy);
        let is = |name: &str, letter: &str| {
            value(name).is_some_and(|value| value.eq_ignore_ascii_case(letter))
        };
        let public_suffix = match (is("psd", "y"), is("psd", "n")) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        };
        Ok(Self {
            policy,
            subdomains,
            nonexistent: nonexistent.unwrap_or(subdomains),
            testing: is("t", "y"),
            percentage: value("pct").map(str::to_owned),
            public_suffix,
            reports,
        })
    }
}

impl DmarcRecord {
    /// Whether it is a test, at least to some receivers: by `t=y`, or by `pct=0` to those of
    /// RFC 7489.
    pub fn is_test(&self) -> bool {
        let is_zero = |percentage: &str| percentage.parse() == Ok(0_u8);
        self.testing || self.percentage.as_deref().is_some_and(is_zero)
    }

    /// Whether receivers are asked to act on mail that fails, and it is no test: from the domain
    /// of the record, or from one below that has none of its own.
    pub fn is_enforced(&self, below: bool) -> bool {
        let policy = if below { self.subdomains } else { self.policy };
        policy != Wish::None && !self.is_test()
    }
}

/// The tags of a record in their order, their names in lower case.
///
/// # Errors
///
/// When a piece of it is no tag.
pub fn tags(text: &str) -> Result<Vec<(String, &str)>, DmarcError> {
    let pieces = text
        .split(';')
        .map(str::trim)
        .filter(|piece| !piece.is_empty());
    let tags = pieces.map(|piece| {
        let not_a_tag = || DmarcError::NotATag(piece.chars().take(60).collect());
        let (name, value) = piece.split_once('=').ok_or_else(not_a_tag)?;
        Ok((name.trim().to_ascii_lowercase(), value.trim()))
    });
    tags.collect()
}

/// The names whose `_dmarc` is asked for: the domain, and then up the tree, at most eight
/// questions (RFC 9989 §4.10).
pub(crate) fn walk(domain: &str) -> Vec<&str> {
    const LONGEST: usize = 8;
    let mut names = vec![domain];
    let mut rest = domain;
    while let Some((_, parent)) = rest.split_once('.') {
        rest = parent;
        if rest.split('.').count() < LONGEST {
            names.push(rest);
        }
    }
    names
}

/// The place, in the records found on the walk, of the one that speaks for a domain: its
/// own, or that of its organisational domain.
pub(crate) fn choose(domain: &str, found: &[(String, DmarcRecord)]) -> Option<usize> {
    if let Some(own) = found.iter().position(|(name, _)| name == domain) {
        return Some(own);
    }
    let says = |wanted: bool| {
        found
            .iter()
            .position(|(_, record)| record.public_suffix == Some(wanted))
    };
    match (says(false), says(true)) {
        (Some(organisational), _) => Some(organisational),
        // The organisational domain is just below a public suffix; without a record there,
        // that of the suffix speaks.
        (None, Some(suffix)) => {
            let labels = |name: &str| name.split('.').count();
            let below = labels(&found[suffix].0) + 1;
            let mut records = found.iter();
            records
                .position(|(name, _)| labels(name) == below)
                .or(Some(suffix))
        }
        (None, None) => found.len().checked_sub(1),
    }
}

/// The domains, other than that of the record, that reports go to: each must say that it
/// wants them (RFC 9990 §4).
pub(crate) fn report_domains(reports: &[String]) -> Vec<String> {
    let mut domains = Vec::new();
    for address in reports {
        let Some(("mailto", mailbox)) = address.split_once(':') else {
            continue;
        };
        // A limit of size may follow (`!10m`), in records of old.
        let Some((_, domain)) = mailbox
            .split('!')
            .next()
            .unwrap_or_default()
            .rsplit_once('@')
        else {
            continue;
        };
        let domain = domain.to_ascii_lowercase();
        if !domains.contains(&domain) {
            domains.push(domain);
        }
    }
    domains
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_as_receivers_do() {
        let record = DmarcRecord::parse(
            "v=DMARC1; p=Quarantine ;t=y; np=reject; pct=50; rua=mailto:a@x.nl!10m, mailto:b@Y.nl",
        )
        .expect("a record");
        assert_eq!(record.policy, Wish::Quarantine);
        assert_eq!(
            (record.subdomains, record.nonexistent),
            (Wish::Quarantine, Wish::Reject)
        );
        assert!(record.testing);
        assert_eq!(record.percentage.as_deref(), Some("50"));
        assert_eq!(report_domains(&record.reports), ["x.nl", "y.nl"]);
        assert_eq!(
            DmarcRecord::parse("v=DMARC1; p=strict"),
            Err(DmarcError::Policy)
        );
        let reports_only = DmarcRecord::parse("v=DMARC1; rua=mailto:a@x.nl").expect("a record");
        assert_eq!(reports_only.policy, Wish::None);
        assert!(matches!(
            DmarcRecord::parse("v=DMARC1; p"),
            Err(DmarcError::NotATag(_))
        ));
        assert!(is_meant("v = DMARC1 ; p=none"));
        assert!(!is_meant("v=dmarc1; p=none"));
    }

    #[test]
    fn the_walk_is_short_and_ends_at_the_top() {
        assert_eq!(walk("a.b.nl"), ["a.b.nl", "b.nl", "nl"]);
        let names = walk("a.b.c.d.e.f.g.h.i.j.nl");
        assert_eq!(names.len(), 8);
        assert_eq!(names[1], "e.f.g.h.i.j.nl");
    }

    #[test]
    fn the_right_record_of_the_tree_speaks() {
        let record = |text: &str| DmarcRecord::parse(text).expect("a record");
        let found = |list: &[(&str, &str)]| -> Vec<(String, DmarcRecord)> {
            let one = |(name, text): &(&str, &str)| ((*name).to_owned(), record(text));
            list.iter().map(one).collect()
        };
        let plain = "v=DMARC1; p=none";
        let list = found(&[("a.b.nl", plain), ("b.nl", plain)]);
        assert_eq!(choose("a.b.nl", &list), Some(0));
        assert_eq!(choose("x.a.b.nl", &list), Some(1));
        let list = found(&[("a.b.nl", "v=DMARC1; p=none; psd=n"), ("b.nl", plain)]);
        assert_eq!(choose("x.a.b.nl", &list), Some(0));
        let list = found(&[("b.nl", plain), ("nl", "v=DMARC1; p=none; psd=y")]);
        assert_eq!(choose("x.b.nl", &list), Some(0));
        assert_eq!(choose("x.c.nl", &list[1..]), Some(0));
        assert_eq!(choose("x.c.nl", &[]), None);
    }
}
