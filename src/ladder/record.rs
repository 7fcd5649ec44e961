//! DMARC records on the ladder: what one that is published means, and the one that should be.

use super::Rung;
use crate::{
    dmarc::{DmarcRecord, Wish, tags},
    evidence::streams::Policy,
};

/// What is published for a domain.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Published {
    /// The record as it is written; none if there is none that receivers use.
    pub text: Option<String>,
    /// What it says.
    record: Option<DmarcRecord>,
}

/// The tags that a record may keep: others go.
const TAGS: [&str; 12] = [
    "v", "p", "sp", "np", "adkim", "aspf", "t", "pct", "rua", "ruf", "fo", "psd",
];

/// What the record should say beside its rung.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Extras {
    /// `sp=`, where names below are treated differently.
    pub(super) subdomains: Option<Wish>,
    /// `np=reject`
    pub(super) nonexistent: bool,
    /// Whether `np=` stays as it is, if it is another policy.
    pub(super) keeps_nonexistent: bool,
    /// `adkim=s; aspf=s`
    pub(super) strict: bool,
}

impl Published {
    /// Of the TXT records that are meant as DMARC records: with several, or a wrong one, receivers
    /// act as if there were none (RFC 9989 §4.10).
    pub fn new(texts: &[String]) -> Self {
        let [text] = texts else {
            return Self::default();
        };
        let record = DmarcRecord::parse(text).ok();
        Self {
            text: record.as_ref().map(|_| text.clone()),
            record,
        }
    }

    /// The rung that it stands on. Where only some receivers take it for a test, or it is for a part
    /// of the mail, it counts as one: the rung above has not been tried.
    pub fn rung(&self) -> Option<Rung> {
        let record = self.record.as_ref()?;
        let is_part = record.percentage.as_deref().is_some_and(is_part);
        Some(rung(record.policy, record.testing || is_part))
    }

    /// What receivers do with mail from the domain itself, the strictest of them.
    pub(super) fn enforced(&self) -> Wish {
        let Some(record) = &self.record else {
            return Wish::None;
        };
        self.eased(record.policy)
    }

    /// What they do with mail from names below, of which some may not be in the DNS.
    pub(super) fn enforced_below(&self, nonexistent: bool) -> Wish {
        let Some(record) = &self.record else {
            return Wish::None;
        };
        let others = if nonexistent {
            record.nonexistent
        } else {
            Wish::None
        };
        self.eased(record.subdomains.max(others))
    }

    /// One step less where both old and new receivers take it for a test.
    fn eased(&self, wish: Wish) -> Wish {
        let is_test = self.record.as_ref().is_some_and(|record| {
            record.testing && record.percentage.as_deref().is_some_and(is_zero)
        });
        match wish {
            Wish::Reject if is_test => Wish::Quarantine,
            Wish::Quarantine if is_test => Wish::None,
            other => other,
        }
    }

    /// The policy for names below, if it is another one.
    pub(super) fn subdomains(&self) -> Option<Wish> {
        let record = self.record.as_ref()?;
        (record.subdomains != record.policy).then_some(record.subdomains)
    }

    pub(super) fn is_strict(&self) -> bool {
        self.has("adkim", "s") && self.has("aspf", "s")
    }

    fn has(&self, tag: &str, value: &str) -> bool {
        let Ok(tags) = tags(self.text.as_deref().unwrap_or_default()) else {
            return false;
        };
        tags.iter()
            .any(|(name, found)| name == tag && found.eq_ignore_ascii_case(value))
    }

    /// The record on this rung. What is there and harmless stays (other addresses, `fo`, `psd`,
    /// strict alignment); `reports` is added if it is missing; `rf`, `ri`, `pct` above the tests
    /// and what nobody knows goes.
    pub(super) fn on(&self, rung: Rung, extras: Extras, reports: Option<&str>) -> String {
        let text = self.text.as_deref().unwrap_or_default();
        let known = tags(text).unwrap_or_default();
        let value = |tag: &str| {
            let found = known.iter().find(|(name, _)| name == tag);
            found.map(|(_, value)| *value)
        };
        let wish = wish(rung);
        let mut record = format!("v=DMARC1; p={}", wish.as_str());
        let mut add = |tag: &str, value: &str| {
            record.push_str("; ");
            record.push_str(tag);
            record.push('=');
            record.push_str(value);
        };
        let below = extras.subdomains.unwrap_or(wish);
        if below != wish {
            add("sp", below.as_str());
        }
        let other = self
            .record
            .as_ref()
            .filter(|record| extras.keeps_nonexistent && record.nonexistent != record.subdomains)
            .map(|record| record.nonexistent);
        let nonexistent = match other {
            _ if extras.nonexistent => Wish::Reject,
            Some(other) => other,
            None => below,
        };
        if nonexistent != below {
            add("np", nonexistent.as_str());
        }
        for tag in ["adkim", "aspf"] {
            if extras.strict || self.has(tag, "s") {
                add(tag, "s");
            }
        }
        if matches!(rung, Rung::QuarantineTest | Rung::RejectTest) {
            add("t", "y");
            add("pct", "0");
        }
        let addresses = with_address(value("rua").unwrap_or_default(), reports);
        if !addresses.is_empty() {
            add("rua", &addresses);
        }
        let failures = with_address(value("ruf").unwrap_or_default(), None);
        if !failures.is_empty() {
            add("ruf", &failures);
        }
        if let Some(options) = value("fo").filter(|value| is_options(value)) {
            add("fo", options);
        }
        let suffix = value("psd").unwrap_or_default().to_ascii_lowercase();
        if matches!(suffix.as_str(), "y" | "n" | "u") {
            add("psd", &suffix);
        }
        record
    }

    /// Where reports go, if they go somewhere and not to `ours`.
    pub fn reports_elsewhere(&self, ours: &str) -> Option<&[String]> {
        let reports = &self.record.as_ref()?.reports;
        let is_elsewhere = !reports.is_empty() && !reports.iter().any(|one| is_address(one, ours));
        is_elsewhere.then_some(reports)
    }

    /// Whether it has nothing that only its author knows: no grammar takes that.
    pub(super) fn is_plain(&self) -> bool {
        let text = self.text.as_deref().unwrap_or_default();
        let is_printable = text.bytes().all(|octet| (0x20..0x7f).contains(&octet));
        let known = tags(text).unwrap_or_default();
        let mut names = known.iter().map(|(name, _)| name.as_str());
        is_printable && names.all(|name| TAGS.contains(&name))
    }

    /// Whether receivers act otherwise than this record asks, or reports do not come to
    /// `reports`.
    pub(super) fn needs(&self, record: &str, reports: Option<&str>) -> bool {
        let Some(text) = &self.text else {
            return true;
        };
        let (Ok(published), Ok(wanted)) = (tags(text), tags(record)) else {
            return true;
        };
        let value = |tags: &[(String, &str)], tag: &str| {
            let found = tags.iter().find(|(name, _)| name == tag);
            found.map(|(_, value)| value.to_ascii_lowercase())
        };
        let comes = reports.is_none_or(|address| {
            let rua = value(&published, "rua").unwrap_or_default();
            addresses(&rua).any(|one| is_address(one, address))
        });
        let is_test = value(&wanted, "t").is_some();
        !comes
            || value(&published, "p") != value(&wanted, "p")
            || (is_test
                && ["t", "pct"]
                    .iter()
                    .any(|tag| value(&published, tag) != value(&wanted, tag)))
    }
}

/// Whether two records say the same, in whatever order.
pub fn same(one: &str, other: &str) -> bool {
    let sorted = |text: &str| {
        let mut tags: Vec<String> = tags(text)
            .unwrap_or_default()
            .into_iter()
            .map(|(name, value)| format!("{name}={}", value.replace(' ', "").to_ascii_lowercase()))
            .collect();
        tags.sort();
        tags
    };
    sorted(one) == sorted(other)
}

/// The rung of a record as reporters saw it: those of RFC 7489 do not know `t`, those of RFC 9990
/// do not know `pct`.
pub(super) fn reported(policy: &Policy) -> (Option<Rung>, Option<Wish>) {
    let tag = |name: &str| {
        policy
            .tags
            .get(name)
            .map(|value| value.to_ascii_lowercase())
    };
    let wish = |name: &str| {
        let value = tag(name)?;
        Wish::ALL.into_iter().find(|wish| wish.as_str() == value)
    };
    let is_test = tag("t").is_some_and(|value| value == "y")
        || tag("pct").is_some_and(|value| is_part(&value));
    let asked = wish("p");
    (
        asked.map(|asked| rung(asked, is_test)),
        wish("sp").or(asked),
    )
}

fn rung(wish: Wish, is_test: bool) -> Rung {
    match (wish, is_test) {
        (Wish::None, _) => Rung::None,
        (Wish::Quarantine, true) => Rung::QuarantineTest,
        (Wish::Quarantine, false) => Rung::Quarantine,
        (Wish::Reject, true) => Rung::RejectTest,
        (Wish::Reject, false) => Rung::Reject,
    }
}

pub(super) fn wish(rung: Rung) -> Wish {
    match rung {
        Rung::None => Wish::None,
        Rung::QuarantineTest | Rung::Quarantine => Wish::Quarantine,
        Rung::RejectTest | Rung::Reject => Wish::Reject,
    }
}

fn is_part(percentage: &str) -> bool {
    percentage
        .parse()
        .is_ok_and(|percentage: u8| percentage < 100)
}

fn is_zero(percentage: &str) -> bool {
    percentage.parse() == Ok(0_u8)
}

fn addresses(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|one| !one.is_empty())
}

/// Those that receivers can use, and ours.
fn with_address(list: &str, ours: Option<&str>) -> String {
    let usable = |one: &&str| {
        let is_mail = one
            .get(..7)
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case("mailto:"));
        let is_plain = one
            .bytes()
            .all(|octet| octet.is_ascii_graphic() && !matches!(octet, b';' | b'"' | b'\\'));
        is_mail && is_plain && one.contains('@')
    };
    let mut all: Vec<String> = addresses(list).filter(usable).map(str::to_owned).collect();
    if let Some(ours) = ours
        && !all.iter().any(|one| is_address(one, ours))
    {
        all.push(format!("mailto:{ours}"));
    }
    all.join(",")
}

/// Whether a URI of `rua` is this address; a limit of size may follow (RFC 7489 §6.2).
fn is_address(uri: &str, address: &str) -> bool {
    let Some((scheme, mailbox)) = uri.split_once(':') else {
        return false;
    };
    let mailbox = mailbox.split('!').next().unwrap_or_default();
    scheme.eq_ignore_ascii_case("mailto") && mailbox.eq_ignore_ascii_case(address)
}

/// `fo=` (RFC 9991 §3.3).
fn is_options(value: &str) -> bool {
    value
        .split(':')
        .all(|one| matches!(one.trim(), "0" | "1" | "d" | "s"))
}
