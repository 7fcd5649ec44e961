//! What a report says, in its parts.

use std::{collections::BTreeSet, fmt};

use jiff::Timestamp;
use serde::Serialize;

use super::period::Period;
use crate::{
    dkim::{Algorithm, key::Fingerprint},
    keys::Why,
    keystore::Recorded,
    names::{DomainName, OrganisationId, Selector},
};

/// The whole report.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Which days.
    pub period: Period,
    /// Only this organisation; none: all of them.
    pub organisation: Option<OrganisationId>,
    /// How long a key is meant to sign, in days, by the configuration that the report was made
    /// with.
    pub rotate_every_days: i64,
    /// The answer in short.
    pub summary: Summary,
    /// Those of which there is something to say.
    pub organisations: Vec<OrganisationReport>,
    /// What happened to the keystore as a whole, such as a backup that was restored.
    pub keystore: Vec<Done>,
    /// What it is made of, and what cannot be known.
    pub sources: Vec<String>,
}

/// Of one organisation.
#[derive(Clone, Debug, Serialize)]
pub struct OrganisationReport {
    /// Its id.
    pub organisation: OrganisationId,
    /// Keys that signed in the period, by their domains.
    pub keys: Vec<KeyReport>,
    /// Keys that took the place of others in the period.
    pub rotations: Vec<Rotation>,
    /// What was done in the period, by its time, and before it the alarms that stood at its begin.
    pub events: Vec<Done>,
    /// How many alarms stood at the begin of the period.
    pub alarms_standing: usize,
    /// Of all that was done, what is not listed too.
    #[serde(skip)]
    pub(super) counted: Counted,
    /// When none of its mail was signed, at the operator's word.
    pub suspensions: Vec<Suspension>,
    /// Keys of which it is not known whether they signed.
    pub unknown: Vec<Unknown>,
    /// Events and times that are not listed, since there are too many.
    pub left_out: u64,
}

/// A key that signed for a domain.
#[derive(Clone, Debug, Serialize)]
pub struct KeyReport {
    /// For which one.
    pub domain: DomainName,
    /// Its selector.
    pub selector: Selector,
    /// None where no keyring has the key any more; likewise the next two.
    pub algorithm: Option<Algorithm>,
    /// Of its public half.
    pub bits: Option<usize>,
    /// Of its public half.
    pub fingerprint: Option<Fingerprint>,
    /// When it was made, or imported.
    pub made: Option<Timestamp>,
    /// By whom, if the log tells.
    pub made_by: Option<Who>,
    /// Whether it was made elsewhere: its age is at least what is said.
    pub imported: bool,
    /// When it signed, as far as that touches the period.
    pub signed: Vec<Signed>,
    /// How long it had signed when it ended, or at the end of the period, in days.
    pub used_days: Option<i64>,
    /// Since it was made, at the same moment, in days.
    pub age_days: Option<i64>,
    /// Whether it signed for longer than a key is meant to.
    pub too_long: bool,
    /// Since when every server showed its record.
    pub record_first_seen: Option<Timestamp>,
    /// When they were last known to.
    pub record_last_seen: Option<Timestamp>,
    /// How often its record was lost before it signed.
    pub record_lost: u64,
    /// When its record was given up.
    pub withdrawn: Option<Done>,
    /// When it was revoked.
    pub revoked: Option<Done>,
    /// What is wrong with its record now; only if the period includes today.
    pub alarm: Option<Why>,
}

/// A time in which a key signed.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Signed {
    /// None if nothing tells.
    pub from: Option<Timestamp>,
    /// Who put it in use.
    pub by: Option<Who>,
    /// On the word of the operator that its record is in the DNS.
    pub assumed: bool,
    /// None if it signed on at the end of the period.
    pub until: Option<Timestamp>,
    /// How it ended.
    pub ending: Option<Ending>,
}

/// How a key ended to sign.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Ending {
    /// The word of the log.
    pub event: String,
    /// Who did it.
    pub by: Who,
}

/// A key that took the place of another.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Rotation {
    /// In which domain.
    pub domain: DomainName,
    /// The one before.
    pub from: Selector,
    /// The one after.
    pub to: Selector,
    /// When.
    pub time: Timestamp,
    /// How long the one before had signed, in days.
    pub after_days: Option<i64>,
    /// By whom.
    pub by: Option<Who>,
}

/// Something that was done.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Done {
    /// When.
    pub time: Timestamp,
    /// The word of the log.
    pub event: String,
    /// With which key; none: all of them.
    pub selector: Option<Selector>,
    /// For which domains.
    pub domains: Vec<DomainName>,
    /// `assumed` on the operator's word that the record is in the DNS; `compromised` or `aborted`
    /// of a key that was revoked; of an alarm, which one.
    pub word: Option<String>,
    /// Who did it.
    pub by: Who,
}

/// A time in which no mail of an organisation was signed, at the operator's word.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Suspension {
    /// Its beginning.
    pub from: Timestamp,
    /// Who began it.
    pub by: Who,
    /// None if it went on at the end of the period.
    pub until: Option<Timestamp>,
}

/// A key of which the log tells nothing.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Unknown {
    /// In which domain.
    pub domain: DomainName,
    /// Its selector.
    pub selector: Selector,
    /// What it signs with.
    pub algorithm: Algorithm,
    /// Of its public half.
    pub bits: Option<usize>,
    /// Of its public half.
    pub fingerprint: Fingerprint,
    /// When it was made or imported, by its keyring.
    pub made: Timestamp,
}

/// The answer in short. A key that signs for several domains counts once.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Summary {
    /// With keys that signed.
    pub organisations: usize,
    /// For which a key signed.
    pub domains: usize,
    /// Keys that signed.
    pub keys: usize,
    /// Of the shortest RSA key that signed.
    pub shortest_rsa_bits: Option<usize>,
    /// Keys that signed with RSA of less than 2048 bits.
    pub rsa_below_2048: usize,
    /// Keys that signed, of which no keyring tells how long they are.
    pub bits_unknown: usize,
    /// The oldest of those that signed at the end of the period.
    pub oldest_active: Option<OldestKey>,
    /// Keys that signed for longer than they are meant to.
    pub in_use_too_long: Vec<LongUse>,
    /// Organisations whose keyring can't be read: their keys are missing, or lack what only the
    /// keyring tells.
    pub unreadable_keyrings: Vec<OrganisationId>,
    /// Organisations with domains that have no key in use now, as far as their keyring can be
    /// read; none if the period is over.
    pub without_key: Option<Vec<WithoutKey>>,
    /// Keys that several organisations used, by their fingerprint; none if one organisation was
    /// asked for, as the others were not looked at.
    pub keys_of_several: Option<Vec<Fingerprint>>,
    /// Selectors in a domain at which several organisations had a key, as `SELECTOR.DOMAIN`; none
    /// likewise.
    pub selectors_of_several: Option<Vec<String>>,
    /// Keys that took the place of others, each domain by itself.
    pub rotations: usize,
    /// Keys that were revoked.
    pub revoked: usize,
    /// Keys whose record was given up.
    pub withdrawn: usize,
    /// Times that a key was put in use on the operator's word.
    pub assumed: usize,
    /// Suspensions of organisations.
    pub suspensions: usize,
    /// Alarms that the keeper raised in the period.
    pub alarms: usize,
    /// Alarms that began before the period and stood at its begin.
    pub alarms_standing: usize,
    /// Domains and keys whose record is not as it should be now; none if the period is over.
    pub wrong_now: Option<usize>,
    /// Keys of which it is not known whether they signed.
    pub unknown: usize,
}

/// A key that signed at the end of the period.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct OldestKey {
    /// Whose.
    pub organisation: OrganisationId,
    /// Which one.
    pub selector: Selector,
    /// Since it was made.
    pub age_days: i64,
}

/// A key that signed for longer than it was meant to.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct LongUse {
    /// Whose.
    pub organisation: OrganisationId,
    /// Which one.
    pub selector: Selector,
    /// For how long it signed.
    pub used_days: i64,
}

/// An organisation with domains that have no key in use.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct WithoutKey {
    /// Its id.
    pub organisation: OrganisationId,
    /// These.
    pub domains: Vec<DomainName>,
}

/// Who did it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Who {
    /// The user who ran the program.
    pub uid: u32,
    /// `keeper`, or the words of the command; none if the line of the log does not tell.
    pub by: Option<String>,
}

impl Who {
    pub(super) fn of(line: &Recorded) -> Self {
        Self {
            uid: line.uid,
            by: line.by.clone(),
        }
    }
}

/// As people read it.
impl fmt::Display for Who {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.by.as_deref() {
            Some("keeper") => write!(formatter, "the keeper (user {})", self.uid),
            Some(command) => write!(formatter, "zegel {command} (user {})", self.uid),
            None => write!(formatter, "user {}", self.uid),
        }
    }
}

impl Done {
    pub(super) fn of(line: &Recorded) -> Self {
        let revocation = line.publication.and_then(|one| one.revocation);
        let revocation = revocation.filter(|_| line.event == "revoked");
        let word = revocation.and_then(|word| serde_json::to_value(word).ok());
        let word = word.and_then(|word| word.as_str().map(str::to_owned));
        Self {
            time: line.time,
            event: line.event.clone(),
            selector: line.selector.clone(),
            domains: line.domains.clone(),
            word: word.or_else(|| line.evidence.clone()),
            by: Who::of(line),
        }
    }
}

/// How many events there were of those that a summary counts. Each key and each word counts once,
/// however many domains and lines it has.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Counted {
    pub(super) revoked: BTreeSet<Option<Selector>>,
    pub(super) withdrawn: BTreeSet<Option<Selector>>,
    pub(super) alarms: usize,
    pub(super) assumed: usize,
}
