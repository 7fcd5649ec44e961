//! Who sends in the names of an organisation's domains, for the status page: what the keeper found
//! in the reports, shortened. Nothing that signs depends on it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};

use super::{
    Keystore, KeystoreError,
    climbing::{Climbing, ReplaySeen, StrangeKey},
    files::Secrecy,
    sightings::{file, keep},
};
use crate::names::{DomainName, OrganisationId, Selector};

/// No organisation has a dot in its name.
pub(super) const FOLDER: &str = "keeper.senders";

/// What is known of the domains of one organisation; only of those with reports.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Senders {
    /// By the policy domain.
    #[serde(default)]
    pub domains: BTreeMap<DomainName, SendersOf>,
}

/// Who sends in the name of one domain.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SendersOf {
    /// When it was found out.
    pub found: Timestamp,
    /// The first day that counts, UTC.
    pub from: Date,
    /// The last.
    pub to: Date,
    /// How many reports tell of these days.
    pub reports: u64,
    /// The largest streams, the largest first.
    pub streams: Vec<SendingStream>,
    /// How many others there are.
    pub others: usize,
    /// Their messages.
    pub other_messages: u64,
    /// What is said of selectors of ours, those with the most messages.
    #[serde(default)]
    pub selectors: Vec<SelectorSeen>,
    /// How much of the mail with its selectors reports tell of; none if nobody can tell.
    #[serde(default)]
    pub coverage: Option<Coverage>,
    /// Keys in its zone that sign, and that nobody knows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown_selectors: Vec<StrangeKey>,
    /// Its selectors with which far more mail passes than was signed.
    #[serde(default)]
    pub replays: Vec<ReplaySeen>,
    /// How far its DMARC record has come; none if nobody knows which it has.
    #[serde(default)]
    pub climbing: Option<Climbing>,
    /// The names below it that send mail which may be legitimate: the ladder asks whether they are
    /// in the DNS. None if there are too many to ask.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub names_below: BTreeSet<String>,
}

/// How much of the mail reports tell of.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Coverage {
    /// Messages that passed, by reports.
    pub passed: u64,
    /// Signatures that were made.
    pub signed: u64,
    /// On so many days.
    pub days: u16,
}

impl Coverage {
    /// Messages for each signature, in hundredths; over 1 where receivers count many recipients of
    /// one message.
    pub fn rounded(self) -> f64 {
        let hundredths = u128::from(self.passed) * 100 / u128::from(self.signed.max(1));
        f64::from(u32::try_from(hundredths).unwrap_or(u32::MAX)) / 100.0
    }
}

/// As `reports tell of 41 % of 61230 signatures, on 28 days`; what is over 100 % is said to be that.
impl fmt::Display for Coverage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            passed,
            signed,
            days,
        } = self;
        let percent = u128::from(*passed) * 100 / u128::from((*signed).max(1));
        let more = if percent > 100 { " and more" } else { "" };
        let percent = percent.min(100);
        write!(
            formatter,
            "reports tell of {percent} %{more} of {signed} signatures, on {days} days"
        )
    }
}

/// What receivers report of mail that is signed with a selector.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SelectorSeen {
    /// In the name of which domain.
    pub domain: DomainName,
    /// Which.
    pub selector: Selector,
    /// Messages.
    pub messages: u64,
    /// Of these, with a signature of it that passed.
    pub passed: u64,
    /// The last day on which one passed.
    pub last_seen: Option<Date>,
}

impl SelectorSeen {
    /// The part that passed in per cent, with one digit that is rounded down: one message that
    /// failed never reads as 100 %.
    pub fn share(&self) -> String {
        let passed = u128::from(self.passed.min(self.messages));
        let per_mille = passed * 1_000 / u128::from(self.messages.max(1));
        format!("{}.{} %", per_mille / 10, per_mille % 10)
    }
}

impl Senders {
    /// What is said of a key in the name of a domain, whichever policy the mail fell under; none if
    /// nobody reports it.
    pub fn of_key(&self, domain: &DomainName, selector: &Selector) -> Option<SelectorSeen> {
        let found = self.domains.values().flat_map(|found| &found.selectors);
        let found = found.filter(|one| one.domain == *domain && one.selector == *selector);
        found.cloned().reduce(|sum, one| SelectorSeen {
            messages: sum.messages.saturating_add(one.messages),
            passed: sum.passed.saturating_add(one.passed),
            last_seen: sum.last_seen.max(one.last_seen),
            ..sum
        })
    }
}

/// One stream, as `zegel report streams` shows it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SendingStream {
    /// Its id.
    pub id: String,
    /// The word for its class; a later version may have others.
    pub class: String,
    /// What the operator calls it.
    pub name: Option<String>,
    /// Messages.
    pub messages: u64,
    /// Of these, with DKIM or SPF aligned.
    pub aligned: u64,
    /// Of these, refused by their receivers.
    pub rejected: u64,
    /// Messages by week, the last one last.
    pub weeks: Vec<u64>,
    /// Whether there is more of it in [`StreamPages`].
    #[serde(default)]
    pub has_page: bool,
}

/// All that is told of the streams of an organisation. A file of its own: only their pages need it.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct StreamPages {
    /// By the policy domain; of each the largest streams.
    #[serde(default)]
    pub domains: BTreeMap<DomainName, Vec<StreamPage>>,
}

/// All that is told of one stream, the largest of each kind first.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct StreamPage {
    /// As in the list.
    #[serde(flatten)]
    pub stream: SendingStream,
    /// Whether the operator has said what it is.
    pub named: bool,
    /// The word for why that does not hold any more.
    pub changed: Option<String>,
    /// Whose it is.
    pub owner: Option<String>,
    /// The rule that made it, of `docs/reports.md`.
    pub rule: u8,
    /// Messages with an aligned signature that passed.
    pub dkim_aligned: u64,
    /// With SPF passed and aligned.
    pub spf_aligned: u64,
    /// With SPF aligned and DKIM not.
    pub spf_only: u64,
    /// Set aside by receivers.
    pub quarantined: u64,
    /// The first day of it that is kept.
    pub first_seen: Date,
    /// The last.
    pub last_seen: Date,
    /// Messages by week that were aligned, and that were not, the last one last; of reports that
    /// tell the day.
    pub by_week: Vec<(u64, u64)>,
    /// Networks that sent it: a /24, or a /48 of IPv6.
    pub networks: Largest<String>,
    /// Signing domain, selector and result.
    pub signatures: Largest<(String, String, String)>,
    /// The domain that SPF was checked for, and the result.
    pub checks: Largest<(String, String)>,
    /// From domains.
    pub names: Largest<String>,
    /// Who reported it; no messages are told of them.
    pub reporters: Largest<String>,
}

/// The largest of many, with their messages, and how many others there are.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Largest<Of> {
    /// The largest first.
    pub most: Vec<(Of, u64)>,
    /// Those that are left out.
    pub others: usize,
}

impl Keystore {
    /// Who sends in the names of the organisation's domains, as the keeper last found out; empty
    /// if it found nothing, or if the file is of a kind that this version can't read.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn senders(&self, organisation: &OrganisationId) -> Result<Senders, KeystoreError> {
        self.view()?.senders(organisation)
    }

    /// Of which organisations something is kept here.
    ///
    /// # Errors
    /// When that can't be listed.
    pub fn with_senders(&self) -> Result<Vec<OrganisationId>, KeystoreError> {
        let Some(folder) = self.root()?.child(FOLDER)? else {
            return Ok(Vec::new());
        };
        let names = folder.names()?;
        let ids = names.iter().filter_map(|name| name.strip_suffix(".json"));
        Ok(ids.filter_map(|id| id.parse().ok()).collect())
    }

    /// Keeps who sends; nothing if nobody does. Only for the one keeper.
    ///
    /// # Errors
    /// When it can't be written; what was there is there still.
    pub fn keep_senders(
        &self,
        organisation: &OrganisationId,
        senders: &Senders,
    ) -> Result<(), KeystoreError> {
        let folder = self.root()?.child_or_new(FOLDER)?;
        if senders.domains.is_empty() {
            for name in [file(organisation), pages(organisation)] {
                if folder.has(&name) {
                    folder.remove(&name)?;
                }
            }
            return Ok(());
        }
        Ok(keep(&folder, organisation, senders)?)
    }

    /// All that is told of the streams of an organisation, each on a page of its own; as
    /// [`Keystore::senders`].
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn stream_pages(
        &self,
        organisation: &OrganisationId,
    ) -> Result<StreamPages, KeystoreError> {
        let Some(folder) = self.root()?.child(FOLDER)? else {
            return Ok(StreamPages::default());
        };
        let read = folder.read(&pages(organisation), Secrecy::State)?;
        Ok(read.map_or_else(StreamPages::default, |json| {
            serde_json::from_slice(&json).unwrap_or_default()
        }))
    }

    /// Keeps that. Only for the one keeper, after [`Keystore::keep_senders`].
    ///
    /// # Errors
    /// When it can't be written; what was there is there still.
    pub fn keep_stream_pages(
        &self,
        organisation: &OrganisationId,
        found: &StreamPages,
    ) -> Result<(), KeystoreError> {
        // Nothing that is kept so fails to serialise.
        let Ok(json) = serde_json::to_vec(found) else {
            return Ok(());
        };
        let folder = self.root()?.child_or_new(FOLDER)?;
        let mut file = folder.prepare_unsynced(&pages(organisation), &json)?;
        Ok(file.rename()?)
    }
}

/// Beside the file with all senders.
fn pages(organisation: &OrganisationId) -> String {
    format!("{organisation}.streams.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coverage_is_said_in_per_cent_and_no_more_than_all_of_it() {
        let of = |passed, signed| Coverage {
            passed,
            signed,
            days: 28,
        };
        let half = of(1_000, 2_001);
        assert_eq!(half.rounded().to_string(), "0.49");
        let text = "reports tell of 49 % of 2001 signatures, on 28 days";
        assert_eq!(half.to_string(), text);
        let more = of(3_500, 2_000);
        assert_eq!(more.rounded().to_string(), "1.75");
        let text = "reports tell of 100 % and more of 2000 signatures, on 28 days";
        assert_eq!(more.to_string(), text);
        assert!(of(u64::MAX, 1).rounded() > 1.0 && of(0, 0).rounded() < 1.0);
    }
}
