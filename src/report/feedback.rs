//! From elements and their values to the report they make.

use std::{borrow::Cow, net::IpAddr};

use super::{
    refusal::{Limits, Reason},
    row::{
        Disposition, Flags, Form, Identity, Mended, Outcome, Override, Policy, Report, Row, Rows,
        Signature, Spf,
    },
};
use crate::names::DomainName;

/// Signatures of a row that are looked at (RFC 9990 §3.1.3).
const SIGNATURES: usize = 100;
/// The greatest `count` that is believed.
const MESSAGES: u32 = 1_000_000_000;
/// A report may end this much after now, in seconds: clocks and time zones.
const AHEAD: i64 = 48 * 3_600;

/// An element, known by its name and by what it is in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Element {
    /// Around everything.
    Outside,
    /// Around the report.
    Wrapper,
    /// `feedback`
    Feedback,
    /// `report_metadata`
    Metadata,
    /// `date_range`
    DateRange,
    /// `policy_published`
    Policy,
    /// `record`
    Record,
    /// `row`
    Row,
    /// `policy_evaluated`
    Evaluated,
    /// `reason`
    Reason,
    /// `identifiers`; `identities` in the drafts.
    Identifiers,
    /// `auth_results`
    AuthResults,
    /// `dkim` of `auth_results`
    Dkim,
    /// `spf` of `auth_results`
    Spf,
    /// One that has only text in it.
    Value(Value),
    /// Skipped with all that is in it.
    Foreign,
}

/// An element whose text is read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Value {
    Version,
    OrgName,
    Email,
    ReportId,
    Begin,
    End,
    PolicyDomain,
    P,
    Sp,
    Np,
    Adkim,
    Aspf,
    Testing,
    Pct,
    DiscoveryMethod,
    Generator,
    SourceIp,
    Count,
    Disposition,
    DkimAligned,
    SpfAligned,
    ReasonType,
    HeaderFrom,
    DkimDomain,
    DkimSelector,
    DkimResult,
    SpfDomain,
    SpfScope,
    SpfResult,
}

impl Element {
    /// The element of this name in this one.
    pub(super) fn child(self, name: &str) -> Self {
        let value = match (self, name) {
            (Self::Outside | Self::Wrapper, "feedback") => return Self::Feedback,
            (Self::Outside | Self::Wrapper, _) => return Self::Wrapper,
            (Self::Feedback, "report_metadata") => return Self::Metadata,
            (Self::Feedback, "policy_published") => return Self::Policy,
            (Self::Feedback, "record") => return Self::Record,
            (Self::Metadata, "date_range") => return Self::DateRange,
            (Self::Record, "row") => return Self::Row,
            (Self::Record, "identifiers" | "identities") => return Self::Identifiers,
            (Self::Record, "auth_results") => return Self::AuthResults,
            (Self::Row, "policy_evaluated") => return Self::Evaluated,
            (Self::Evaluated, "reason") => return Self::Reason,
            (Self::AuthResults, "dkim") => return Self::Dkim,
            (Self::AuthResults, "spf") => return Self::Spf,
            (Self::Feedback, "version") => Value::Version,
            (Self::Metadata, "org_name") => Value::OrgName,
            (Self::Metadata, "email") => Value::Email,
            (Self::Metadata, "report_id") => Value::ReportId,
            (Self::Metadata, "generator") => Value::Generator,
            (Self::DateRange, "begin") => Value::Begin,
            (Self::DateRange, "end") => Value::End,
            (Self::Policy, name) => match Value::of_policy(name) {
                Some(value) => value,
                None => return Self::Foreign,
            },
            (Self::Row, "source_ip") => Value::SourceIp,
            (Self::Row, "count") => Value::Count,
            (Self::Evaluated, "disposition") => Value::Disposition,
            (Self::Evaluated, "dkim") => Value::DkimAligned,
            (Self::Evaluated, "spf") => Value::SpfAligned,
            (Self::Reason, "type") => Value::ReasonType,
            (Self::Identifiers, "header_from") => Value::HeaderFrom,
            (Self::Dkim, "domain") => Value::DkimDomain,
            (Self::Dkim, "selector") => Value::DkimSelector,
            (Self::Dkim, "result") => Value::DkimResult,
            (Self::Spf, "domain") => Value::SpfDomain,
            (Self::Spf, "scope") => Value::SpfScope,
            (Self::Spf, "result") => Value::SpfResult,
            _ => return Self::Foreign,
        };
        Self::Value(value)
    }

    /// Whether its text is read.
    pub(super) fn is_value(self) -> bool {
        matches!(self, Self::Value(_))
    }
}

impl Value {
    fn of_policy(name: &str) -> Option<Self> {
        Some(match name {
            "domain" => Self::PolicyDomain,
            "p" => Self::P,
            "sp" => Self::Sp,
            "np" => Self::Np,
            "adkim" => Self::Adkim,
            "aspf" => Self::Aspf,
            "testing" => Self::Testing,
            "pct" => Self::Pct,
            "discovery_method" => Self::DiscoveryMethod,
            _ => return None,
        })
    }
}

/// A report on its way.
#[derive(Default)]
pub(super) struct Building {
    version: bool,
    rfc9990: bool,
    metadata: bool,
    org_name: String,
    email: String,
    report_id: String,
    begin: Option<i64>,
    end: Option<i64>,
    policy: Policy,
    rows: Rows,
    records: u64,
    skipped: u64,
    mended: Vec<Mended>,
    record: Record,
}

/// A row on its way.
#[derive(Default)]
struct Record {
    address: Option<IpAddr>,
    count: Option<u32>,
    evaluated: bool,
    disposition: Disposition,
    dkim: bool,
    spf: bool,
    reasons: Flags,
    from: Option<u32>,
    signatures: Vec<Signature>,
    spf_checks: Vec<Spf>,
    open: Check,
    /// Octets of the names in signatures and SPF checks.
    octets: usize,
}

/// The signature or SPF check that is open.
#[derive(Default)]
struct Check {
    domain: u32,
    selector: u32,
    helo: bool,
    outcome: Outcome,
}

impl Building {
    /// With the attributes of `feedback`, as they are written.
    pub(super) fn begin(attributes: &str) -> Self {
        Self {
            rfc9990: attributes.contains("urn:ietf:params:xml:ns:dmarc-2.0"),
            ..Self::default()
        }
    }

    /// Notes that something was put right.
    pub(super) fn mended(&mut self, mended: Mended) {
        if !self.mended.contains(&mended) {
            self.mended.push(mended);
        }
    }

    /// An element begins.
    pub(super) fn start(&mut self, element: Element) {
        match element {
            Element::Metadata => self.metadata = true,
            Element::Record => self.record = Record::default(),
            Element::Evaluated => self.record.evaluated = true,
            Element::Dkim | Element::Spf => self.record.open = Check::default(),
            _ => {}
        }
    }

    /// An element that is neither a value nor a record has ended.
    pub(super) fn end(&mut self, element: Element) {
        let record = &mut self.record;
        match element {
            Element::Dkim if record.signatures.len() < SIGNATURES => {
                record.signatures.push(Signature {
                    domain: record.open.domain,
                    selector: record.open.selector,
                    outcome: record.open.outcome,
                });
            }
            Element::Spf if record.spf_checks.len() < SIGNATURES => record.spf_checks.push(Spf {
                domain: record.open.domain,
                helo: record.open.helo,
                outcome: record.open.outcome,
            }),
            _ => {}
        }
    }

    /// The text of a value. The first one counts, if an element comes twice.
    pub(super) fn value(&mut self, element: Element, text: &str) -> Result<(), Reason> {
        let Element::Value(value) = element else {
            return Ok(());
        };
        match value {
            Value::Version => self.version = true,
            Value::Generator => self.rfc9990 = true,
            Value::OrgName => first(&mut self.org_name, text),
            Value::Email => first(&mut self.email, text),
            Value::ReportId => first(&mut self.report_id, text),
            Value::Begin => self.begin = self.begin.or_else(|| second(text)),
            Value::End => self.end = self.end.or_else(|| second(text)),
            Value::PolicyDomain
            | Value::P
            | Value::Sp
            | Value::Np
            | Value::Adkim
            | Value::Aspf
            | Value::Testing
            | Value::Pct
            | Value::DiscoveryMethod => self.policy_value(value, text),
            _ => return self.record_value(value, text),
        }
        Ok(())
    }

    fn policy_value(&mut self, value: Value, text: &str) {
        self.rfc9990 |= matches!(value, Value::Np | Value::Testing | Value::DiscoveryMethod);
        let policy = &mut self.policy;
        let held = match value {
            Value::PolicyDomain => {
                if let (true, Some(domain)) = (policy.domain.is_empty(), domain(text)) {
                    policy.domain = domain.into_owned();
                }
                return;
            }
            Value::P => &mut policy.p,
            Value::Sp => &mut policy.sp,
            Value::Np => &mut policy.np,
            Value::Adkim => &mut policy.adkim,
            Value::Aspf => &mut policy.aspf,
            Value::Testing => &mut policy.testing,
            Value::Pct => &mut policy.pct,
            _ => return,
        };
        // Each is a word or a number; what is longer is neither.
        if held.is_empty() && text.len() <= 32 {
            *held = text.to_ascii_lowercase();
        }
    }

    fn record_value(&mut self, value: Value, text: &str) -> Result<(), Reason> {
        let record = &mut self.record;
        if matches!(
            value,
            Value::DkimDomain | Value::DkimSelector | Value::SpfDomain
        ) {
            record.octets += text.len();
        }
        match value {
            Value::SourceIp => record.address = record.address.or_else(|| address(text)),
            Value::Count => record.count = record.count.or_else(|| count(text)),
            Value::Disposition => record.disposition = disposition(text),
            Value::DkimAligned => record.dkim = text.eq_ignore_ascii_case("pass"),
            Value::SpfAligned => record.spf = text.eq_ignore_ascii_case("pass"),
            Value::ReasonType => {
                let known = Override::ALL
                    .into_iter()
                    .find(|one| text.eq_ignore_ascii_case(one.as_str()));
                record.reasons = record.reasons.with(known.unwrap_or(Override::Other));
            }
            Value::HeaderFrom => {
                if let (None, Some(domain)) = (record.from, domain(text)) {
                    record.from = Some(self.rows.words.place(&domain)?);
                }
            }
            Value::DkimDomain | Value::SpfDomain => {
                record.open.domain = self.rows.words.place(&domain(text).unwrap_or_default())?;
            }
            Value::DkimSelector => {
                let selector = if text.len() <= 253 {
                    lower(text)
                } else {
                    Cow::default()
                };
                record.open.selector = self.rows.words.place(&selector)?;
            }
            Value::SpfScope => record.open.helo = text.eq_ignore_ascii_case("helo"),
            Value::DkimResult | Value::SpfResult => record.open.outcome = outcome(text),
            _ => {}
        }
        Ok(())
    }

    /// A record has ended: it is a row, or it is left out.
    pub(super) fn record(&mut self, limits: &Limits) -> Result<(), Reason> {
        self.records += 1;
        if self.records > limits.records {
            return Err(Reason::LimitRecords);
        }
        let record = std::mem::take(&mut self.record);
        let (Some(address), Some(count), true) = (record.address, record.count, record.evaluated)
        else {
            self.skipped += 1;
            return Ok(());
        };
        let mut flags = Flags::new(record.disposition, record.dkim, record.spf);
        for reason in Override::ALL {
            if record.reasons.has(reason) {
                flags = flags.with(reason);
            }
        }
        let identity = Identity {
            signatures: sorted(record.signatures),
            spf: sorted(record.spf_checks),
        };
        self.rows.rows.push(Row {
            from: record.from.unwrap_or_default(),
            identity: self.rows.identities.place(identity, record.octets)?,
            flags,
            address,
            count,
        });
        Ok(())
    }

    /// The report, if it may be kept.
    pub(super) fn finish(mut self, now: i64) -> Result<Report, Reason> {
        let (Some(begin), Some(end)) = (self.begin, self.end) else {
            return Err(Reason::Incomplete);
        };
        let named = !self.org_name.is_empty() && !self.report_id.is_empty();
        if !self.metadata || !named || self.policy.domain.is_empty() {
            return Err(Reason::Incomplete);
        }
        if end < begin || begin < 0 || end > now.saturating_add(AHEAD) {
            return Err(Reason::Dates);
        }
        if self.rows.rows.is_empty() {
            return Err(Reason::NoRows);
        }
        // A row that does not say has the domain whose policy it fell under.
        let policy_domain = self.rows.words.place(&self.policy.domain)?;
        for row in &mut self.rows.rows {
            if row.from == 0 {
                row.from = policy_domain;
            }
        }
        self.mended.sort_unstable();
        let form = match (self.rfc9990, self.version) {
            (true, _) => Form::Rfc9990,
            (false, true) => Form::Rfc7489,
            (false, false) => Form::Draft,
        };
        Ok(Report {
            form,
            org_name: self.org_name,
            email: self.email,
            report_id: self.report_id,
            begin,
            end,
            policy: self.policy,
            rows: self.rows,
            skipped: self.skipped,
            mended: self.mended,
        })
    }
}

fn first(held: &mut String, text: &str) {
    if held.is_empty() {
        text.clone_into(held);
    }
}

fn sorted<Item: Ord>(mut items: Vec<Item>) -> Box<[Item]> {
    items.sort_unstable();
    items.dedup();
    items.into_boxed_slice()
}

/// A domain in lower-case A-labels. Underscores are let through, which domains of SPF have.
fn domain(text: &str) -> Option<Cow<'_, str>> {
    let text = text.trim_end_matches('.');
    if text.is_empty() {
        return None;
    }
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_');
    if text.bytes().all(plain) {
        let labels = text.split('.').all(|label| (1..=63).contains(&label.len()));
        return (text.len() <= 253 && labels).then(|| lower(text));
    }
    text.parse::<DomainName>()
        .ok()
        .map(|name| Cow::Owned(name.as_str().to_owned()))
}

/// In lower case, which nearly everything is already.
fn lower(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|octet| octet.is_ascii_uppercase()) {
        Cow::Owned(text.to_ascii_lowercase())
    } else {
        Cow::Borrowed(text)
    }
}

fn address(text: &str) -> Option<IpAddr> {
    text.parse::<IpAddr>()
        .ok()
        .map(|address| address.to_canonical())
}

fn count(text: &str) -> Option<u32> {
    // `+1` is a number to the standard library, and to nobody else.
    let digits = !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
    let count = digits.then(|| text.parse().ok()).flatten()?;
    (count <= MESSAGES).then_some(count)
}

/// A second since 1970. `+1` is none, as above.
fn second(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|octet| octet.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

fn disposition(text: &str) -> Disposition {
    Disposition::ALL
        .into_iter()
        .find(|one| text.eq_ignore_ascii_case(one.as_str()))
        .unwrap_or_default()
}

fn outcome(text: &str) -> Outcome {
    if text.eq_ignore_ascii_case("hardfail") {
        return Outcome::Fail;
    }
    Outcome::ALL
        .into_iter()
        .find(|one| text.eq_ignore_ascii_case(one.as_str()))
        .unwrap_or_default()
}
