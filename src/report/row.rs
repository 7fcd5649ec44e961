//! What a report says: its metadata, and its rows in a form that takes little memory.

use std::{collections::HashMap, net::IpAddr};

use super::refusal::Reason;
use crate::words::words;

words! {
    /// Which rules a report was written by.
    #[derive(Clone, Copy, Debug, Eq, PartialEq)]
    pub enum Form {
        /// RFC 9990.
        Rfc9990 = "rfc9990",
        /// RFC 7489, Appendix C.
        Rfc7489 = "rfc7489",
        /// The drafts before it: no version.
        Draft = "draft",
    }
}

words! {
    /// What a receiver did with the messages of a row (RFC 9990 §3.1.1.8).
    #[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
    pub enum Disposition {
        /// The policy asked for nothing.
        None = "none",
        /// DMARC passed.
        Pass = "pass",
        /// Set aside.
        Quarantine = "quarantine",
        /// Refused.
        Reject = "reject",
        /// Another word, or none.
        #[default]
        Unknown = "unknown",
    }
}

words! {
    /// The result of DKIM or SPF (RFC 8601 §2.7.1 and §2.7.2).
    #[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
    pub enum Outcome {
        /// Verified.
        Pass = "pass",
        /// Did not verify; SPF's `hardfail` is that too.
        Fail = "fail",
        /// SPF: probably not authorised.
        Softfail = "softfail",
        /// Neither.
        Neutral = "neutral",
        /// Not signed, no record.
        None = "none",
        /// Signed, but not acceptably.
        Policy = "policy",
        /// Could not be told this time.
        Temperror = "temperror",
        /// Could not be told at all.
        Permerror = "permerror",
        /// Another word, or none.
        #[default]
        Unknown = "unknown",
    }
}

words! {
    /// What was put right on reading, where no record could be lost by it: `mended[]`.
    #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
    pub enum Mended {
        /// A start tag within a value that never ends, such as `<email><a@b></email>`.
        Tag = "tag",
        /// An element around the report that never ends.
        Wrapper = "wrapper",
        /// An entity that XML does not define.
        Entity = "entity",
        /// An ampersand that begins nothing.
        Ampersand = "ampersand",
        /// Octets that are not valid in the encoding, which were replaced.
        Encoding = "encoding",
    }
}

words! {
    /// Why a receiver did not do what the policy asked for (RFC 9990 §3.1.1.11, RFC 7489
    /// Appendix C).
    #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
    pub enum Override {
        /// Policy of the receiver.
        LocalPolicy = "local_policy",
        /// Came by a mailing list.
        MailingList = "mailing_list",
        /// Another reason.
        Other = "other",
        /// The policy is in test mode (RFC 9990).
        PolicyTestMode = "policy_test_mode",
        /// Came by a forwarder that the receiver trusts.
        TrustedForwarder = "trusted_forwarder",
        /// Seen to be forwarded (RFC 7489).
        Forwarded = "forwarded",
        /// Outside the sample of `pct` (RFC 7489).
        SampledOut = "sampled_out",
    }
}

/// The policy that a report says was in force. The words are as published, in lower case.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Policy {
    /// The domain whose record it is, in A-labels.
    pub domain: String,
    /// `p`
    pub p: String,
    /// `sp`
    pub sp: String,
    /// `np`
    pub np: String,
    /// `adkim`
    pub adkim: String,
    /// `aspf`
    pub aspf: String,
    /// `testing`
    pub testing: String,
    /// `pct`
    pub pct: String,
}

/// One signature of a row, by places in [`Rows::words`].
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Signature {
    /// `d=`
    pub domain: u32,
    /// `s=`; the empty word when the reporter leaves it out.
    pub selector: u32,
    /// What came of it.
    pub outcome: Outcome,
}

/// One SPF check of a row, by places in [`Rows::words`].
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Spf {
    /// The domain that was checked.
    pub domain: u32,
    /// The name of HELO and not the sender.
    pub helo: bool,
    /// What came of it.
    pub outcome: Outcome,
}

/// How the messages of a row proved who sent them.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Identity {
    /// The signatures, sorted, each once.
    pub signatures: Box<[Signature]>,
    /// The SPF checks, sorted, each once.
    pub spf: Box<[Spf]>,
}

/// What a row says besides identity and count: one value for each combination, in 16 bits.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Flags(u16);

impl Flags {
    const DKIM: u16 = 1 << 3;
    const SPF: u16 = 1 << 4;

    /// Of what the receiver evaluated.
    pub fn new(disposition: Disposition, dkim: bool, spf: bool) -> Self {
        let aligned = if dkim { Self::DKIM } else { 0 } | if spf { Self::SPF } else { 0 };
        Self(disposition as u16 | aligned)
    }

    /// With one reason more.
    pub fn with(self, reason: Override) -> Self {
        Self(self.0 | 1 << (5 + reason as u16))
    }

    /// As the store keeps it.
    pub fn bits(self) -> u16 {
        self.0
    }

    /// From the store; a bit that nobody knows is left out.
    pub fn from_bits(bits: u16) -> Self {
        Self(bits & 0xfff)
    }

    /// What the receiver did.
    pub fn disposition(self) -> Disposition {
        Disposition::ALL
            .into_iter()
            .find(|one| *one as u16 == self.0 & 0b111)
            .unwrap_or_default()
    }

    /// An aligned signature passed.
    pub fn dkim_aligned(self) -> bool {
        self.0 & Self::DKIM != 0
    }

    /// SPF passed and is aligned.
    pub fn spf_aligned(self) -> bool {
        self.0 & Self::SPF != 0
    }

    /// DMARC passes: one of the two is aligned (RFC 9989 §4.4).
    pub fn passed(self) -> bool {
        self.dkim_aligned() || self.spf_aligned()
    }

    /// Whether the receiver gave this reason.
    pub fn has(self, reason: Override) -> bool {
        self.0 & (1 << (5 + reason as u16)) != 0
    }
}

/// One row of a report.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Row {
    /// The From domain, by its place in [`Rows::words`].
    pub from: u32,
    /// By its place in [`Rows::identities`].
    pub identity: u32,
    /// Alignment, disposition, reasons.
    pub flags: Flags,
    /// Who sent; IPv4 is never written as IPv6.
    pub address: IpAddr,
    /// Messages: 0 to 1,000,000,000.
    pub count: u32,
}

/// The rows of a report, with each different text and identity held once.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rows {
    /// Domains and selectors; the first is the empty word.
    pub words: Words,
    /// The identities.
    pub identities: Identities,
    /// The rows, in the order of the report.
    pub rows: Vec<Row>,
}

impl Default for Rows {
    fn default() -> Self {
        let mut words = Words::default();
        words.places.insert("".into(), 0);
        Self {
            words,
            identities: Identities::default(),
            rows: Vec::new(),
        }
    }
}

/// Different values, each with a place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Places<Value: Eq + std::hash::Hash> {
    places: HashMap<Value, u32>,
    octets: usize,
}

/// The texts of a report.
pub type Words = Places<Box<str>>;
/// The identities of a report.
pub type Identities = Places<Identity>;

impl<Value: Eq + std::hash::Hash> Default for Places<Value> {
    fn default() -> Self {
        Self {
            places: HashMap::new(),
            octets: 0,
        }
    }
}

/// What the different texts and identities of one report may take, in octets.
const NAMES: usize = 16 << 20;

impl<Value: Eq + std::hash::Hash + Clone> Places<Value> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The values, each at its place.
    pub fn in_order(&self) -> Vec<&Value> {
        let mut pairs: Vec<_> = self.places.iter().collect();
        pairs.sort_unstable_by_key(|(_, place)| **place);
        pairs.into_iter().map(|(value, _)| value).collect()
    }

    fn insert(&mut self, value: Value, octets: usize) -> Result<u32, Reason> {
        // 64 is about what a place in the table takes besides.
        self.octets += octets + 64;
        if self.octets > NAMES {
            return Err(Reason::LimitNames);
        }
        let place = u32::try_from(self.places.len()).map_err(|_| Reason::LimitNames)?;
        self.places.insert(value, place);
        Ok(place)
    }
}

impl Words {
    /// The place of a text.
    ///
    /// # Errors
    ///
    /// When the texts of the report have more than 16 MiB.
    pub fn place(&mut self, text: &str) -> Result<u32, Reason> {
        match self.places.get(text) {
            Some(place) => Ok(*place),
            None => self.insert(text.into(), text.len()),
        }
    }
}

impl Identities {
    /// The place of an identity, whose names have so many octets.
    ///
    /// # Errors
    ///
    /// When the identities of the report have more than 16 MiB.
    pub fn place(&mut self, identity: Identity, names: usize) -> Result<u32, Reason> {
        if let Some(place) = self.places.get(&identity) {
            return Ok(*place);
        }
        let octets = size_of_val(&*identity.signatures) + size_of_val(&*identity.spf);
        self.insert(identity, octets + names)
    }
}

/// A report that was read and may be kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Which rules it was written by.
    pub form: Form,
    /// Who reports, as it calls itself.
    pub org_name: String,
    /// The reporter's address; may be empty.
    pub email: String,
    /// The reporter's name for this report.
    pub report_id: String,
    /// The first second that it is about, in seconds since 1970.
    pub begin: i64,
    /// The last second.
    pub end: i64,
    /// The policy in force.
    pub policy: Policy,
    /// The rows that count.
    pub rows: Rows,
    /// Rows without an address, a count or an evaluation, which were left out.
    pub skipped: u64,
    /// What was put right, sorted, each once.
    pub mended: Vec<Mended>,
}

impl Report {
    /// Notes that something was put right.
    pub(super) fn note(&mut self, mended: Mended) {
        if let Err(place) = self.mended.binary_search(&mended) {
            self.mended.insert(place, mended);
        }
    }
}
