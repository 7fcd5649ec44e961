//! What a process says of itself on `/status.json`: the types that both ends have, and what can
//! be asked for. `docs/status-json.md` describes them for other programs.
//!
//! A reader takes fields that it does not know, and what is not there is 0 or empty, so that a
//! field more is no new version.

use std::{collections::BTreeMap, str::FromStr};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::metrics::OTHER;
use crate::words::words;

/// The version of these documents. It rises when a field goes or means something else.
pub const VERSION: u32 = 1;

/// So many selectors of an organisation are told apart in [`OrganisationFigures::signed_by`].
pub const MOST_SELECTORS: usize = 16;

words! {
    /// Which process it is.
    #[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
    #[serde(rename_all = "lowercase")]
    pub enum Role {
        /// `zegel run`.
        Signer = "signer",
        /// `zegel keeper`.
        Keeper = "keeper",
    }
}

/// Of a signer.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct SignerStatus {
    /// [`VERSION`].
    pub version: u32,
    /// [`Role::Signer`].
    pub role: Role,
    /// What keeps it from being ready, if anything does.
    pub not_ready: Option<String>,
    /// With [`Ask::top`]: which organisations come first.
    pub top: Option<Top>,
    /// The numbers.
    pub figures: SignerFigures,
}

/// Of a keeper.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct KeeperStatus {
    /// [`VERSION`].
    pub version: u32,
    /// [`Role::Keeper`].
    pub role: Role,
    /// What keeps it from being ready, if anything does.
    pub not_ready: Option<String>,
    /// The numbers.
    pub figures: KeeperFigures,
}

/// The organisations that come first, and how fast their numbers grow.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Top {
    /// How many organisations have counted something, in all.
    pub of: usize,
    /// For [`Ask::since`] next time.
    pub sample: u64,
    /// The time that the rates are of.
    pub seconds: f64,
    /// In the order that was asked for.
    pub organisations: Vec<Rates>,
}

/// Messages a second of one organisation.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Rates {
    /// As in [`SignerFigures::organisations`].
    pub id: String,
    /// That were signed.
    pub signed_per_second: f64,
    /// That were not.
    pub unsigned_per_second: f64,
}

/// The numbers of a signer.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct SignerFigures {
    /// Of Zegel.
    pub version: String,
    /// The cryptography.
    pub backend: String,
    /// When the process began, in seconds since 1970, like the other times.
    pub started: u64,
    /// When the configuration in use was loaded.
    pub loaded: u64,
    /// The snapshot in use, counted from 1 at the start.
    pub snapshot_generation: u64,
    /// The generation of the keystore in use.
    pub keystore_generation: u64,
    /// Whether what is on disk could be loaded.
    pub last_reload_successful: bool,
    /// Since when the configuration on the disk is newer than the one in use; none if it is not.
    pub configuration_newer_since: Option<u64>,
    /// When the signer last looked whether it is, in milliseconds since 1970; none if it does not
    /// look.
    pub configuration_looked_at_ms: Option<u64>,
    /// Reloads that failed since the start.
    pub reloads_failed: u64,
    /// Organisations in the configuration in use.
    pub organisations_in_use: u64,
    /// Domains that send and have no key in use.
    pub domains_without_key: u64,
    /// Keys and keyrings that can't be used as they should be.
    pub key_problems: u64,
    /// Steps of a message that panicked.
    pub panics: u64,
    /// When a message last had the reason `signing_failure`.
    pub last_signing_failure: Option<u64>,
    /// Connections that each listener may have.
    pub connections_limit: u64,
    /// By its name.
    pub listeners: BTreeMap<String, ListenerFigures>,
    /// By its id; empty for mail of no organisation.
    pub organisations: BTreeMap<String, OrganisationFigures>,
    /// By its id: those that are together in `other`, each without its hazards. Empty with
    /// [`Ask::top`].
    pub beyond: BTreeMap<String, OrganisationFigures>,
    /// By its id: of those of which there is something to say.
    pub facts: BTreeMap<String, SignerFacts>,
}

/// Of one listener.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct ListenerFigures {
    /// That are open.
    pub connections: u64,
    /// That were closed at once, being over the limit.
    pub connections_refused: u64,
    /// From their MAIL to their reply.
    pub messages_in_progress: u64,
    /// By what became of them.
    pub messages: BTreeMap<String, u64>,
}

/// Of one organisation.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct OrganisationFigures {
    /// Messages: one that is signed twice counts once.
    pub signed: u64,
    /// Signatures by their selector: one message may have several. The first [`MOST_SELECTORS`]
    /// that signed; the others are together under the empty name. Empty for `other`.
    pub signed_by: BTreeMap<String, u64>,
    /// Messages that were not signed, by the reason.
    pub unsigned: BTreeMap<String, u64>,
    /// Those of them that were put off (451), by the reason.
    pub put_off: BTreeMap<String, u64>,
    /// Those of them that were rejected (550), by the reason.
    pub rejected: BTreeMap<String, u64>,
    /// Messages that held what breaks signatures, by the hazard.
    pub hazards: BTreeMap<String, u64>,
    /// On listeners that only look on.
    #[serde(skip_serializing_if = "ObservedFigures::is_empty")]
    pub observed: ObservedFigures,
}

/// What would have become of mail of one organisation, on listeners that only look on.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct ObservedFigures {
    /// Messages that would have been signed.
    pub signed: u64,
    /// Messages that would have got a signature that does not verify: a fault of ours.
    pub unverified: u64,
    /// Messages that would not have been signed, by the reason.
    pub unsigned: BTreeMap<String, u64>,
    /// Those of them that would have been put off (451), by the reason.
    pub put_off: BTreeMap<String, u64>,
    /// Those of them that would have been rejected (550), by the reason.
    pub rejected: BTreeMap<String, u64>,
}

/// What a signer knows of one organisation beyond its keyring.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct SignerFacts {
    /// Whether mail has come for which there was no key: since the signer began, or on a day that
    /// the keeper has counted.
    pub sends_without_key: bool,
    /// Domains of which the mail is put off, and why, for the operator: it may name files.
    pub put_off: BTreeMap<String, String>,
}

/// The numbers of a keeper.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct KeeperFigures {
    /// By its id.
    pub organisations: BTreeMap<String, KeyFigures>,
    /// Of the DMARC reports; none if none were ever read.
    pub reports: Option<ReportFigures>,
}

/// What was read of DMARC reports, since their store was made.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct ReportFigures {
    /// How many reports, by what became of them.
    pub outcomes: BTreeMap<String, u64>,
    /// How many files or parts of them were refused, by the reason.
    pub refusals: BTreeMap<String, u64>,
    /// The size of the store.
    pub store_bytes: u64,
    /// Of each domain with reports: until when the newest tells.
    pub latest: Vec<LatestReport>,
    /// Of each domain with such: selectors with which mail in its name passes, that are neither ours
    /// nor of a stream that the operator knows.
    pub unknown_selectors: Vec<UnknownSelectors>,
    /// New keys whose mail passes less often than that of the keys before.
    pub weaker_selectors: Vec<WeakerSelector>,
    /// Selectors of ours with which far more mail passes than was signed.
    pub replayed_selectors: Vec<ReplayedSelector>,
    /// Why the store can't be read; then the rest is what was last seen.
    pub problem: Option<String>,
}

/// Until when the newest report about a domain tells.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct LatestReport {
    /// Whose domain it is.
    pub organisation: String,
    /// The policy domain.
    pub domain: String,
    /// Its last second, since 1970.
    pub end: u64,
}

/// How many keys that nobody knows sign in the name of a domain.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct UnknownSelectors {
    /// Whose domain it is.
    pub organisation: String,
    /// The domain.
    pub domain: String,
    /// How many selectors.
    pub number: u64,
}

/// A new key whose mail passes less often than that of the key before, by reports of 56 days.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct WeakerSelector {
    /// Whose domain it is.
    pub organisation: String,
    /// The domain.
    pub domain: String,
    /// The selector that signs.
    pub selector: String,
    /// Messages with a signature of it.
    pub messages: u64,
    /// Of these, with one that passed.
    pub passed: u64,
    /// The selector that signed before.
    pub before: String,
    /// Messages with a signature of that.
    pub before_messages: u64,
    /// Of these, with one that passed.
    pub before_passed: u64,
}

/// A selector of ours with which far more mail passes at receivers than was signed.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct ReplayedSelector {
    /// Whose domain it is.
    pub organisation: String,
    /// The domain under whose policy the mail fell.
    pub domain: String,
    /// The selector.
    pub selector: String,
    /// Messages that passed with it, within seven days at most.
    pub passed: u64,
    /// Signatures of it that were made then.
    pub signed: u64,
}

/// What a keeper says of one organisation.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct KeyFigures {
    /// One in several states is there several times.
    pub keys: Vec<Key>,
    /// What comes next for the keys.
    pub next_steps: Vec<NextStep>,
    /// Domain and kind.
    pub alarms: Vec<[String; 2]>,
    /// Domain and code.
    pub findings: Vec<[String; 2]>,
    /// Organisations of which a key is longer in use than it should be: 0 or 1 of one.
    pub rotation_overdue: u64,
    /// When its DNS was last looked at.
    pub last_check: u64,
}

/// A key in one of its states.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Key {
    /// Its selector.
    pub selector: String,
    /// In the DNS of a domain.
    pub state: String,
    /// Since it was made.
    pub age_seconds: u64,
}

/// What comes next for a key, in so many domains.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct NextStep {
    /// Of the key.
    pub selector: String,
    /// The word for it.
    pub step: String,
    /// How many.
    pub domains: u64,
}

impl SignerFigures {
    /// Of all listeners.
    pub fn connections(&self) -> u64 {
        self.listeners.values().map(|one| one.connections).sum()
    }

    /// Each organisation by itself, and mail of none. Those together in `other` are told one by
    /// one, unless the signer was asked for the first ones only.
    pub fn each(&self) -> impl Iterator<Item = (&String, &OrganisationFigures)> {
        let beyond = &self.beyond;
        let own = self.organisations.iter();
        let own = own.filter(|(id, _)| beyond.is_empty() || *id != OTHER);
        own.chain(beyond)
    }

    /// Messages that ended so, over all listeners.
    pub fn messages(&self, result: &str) -> u64 {
        let listeners = self.listeners.values();
        listeners.filter_map(|one| one.messages.get(result)).sum()
    }
}

/// Counts signatures of a selector, or under the empty name if it is one too many.
pub fn add_signatures(by_selector: &mut BTreeMap<String, u64>, selector: &str, more: u64) {
    let told = by_selector.keys().filter(|name| !name.is_empty()).count();
    let is_told = told < MOST_SELECTORS || by_selector.contains_key(selector);
    let name = if is_told { selector } else { "" };
    let sum = by_selector.entry(name.to_owned()).or_default();
    *sum = sum.saturating_add(more);
}

impl OrganisationFigures {
    /// Messages without a signature.
    pub fn all_unsigned(&self) -> u64 {
        self.unsigned.values().sum()
    }

    /// Messages that hold something that breaks signatures, each hazard by itself.
    pub fn all_hazards(&self) -> u64 {
        self.hazards.values().sum()
    }

    /// The reasons with their numbers, the most frequent first.
    pub fn reasons(&self) -> String {
        listed(&self.unsigned)
    }
}

impl ObservedFigures {
    /// Whether nothing was looked at.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Messages that would not have been signed.
    pub fn all_unsigned(&self) -> u64 {
        self.unsigned.values().sum()
    }

    /// The reasons with their numbers, the most frequent first.
    pub fn reasons(&self) -> String {
        listed(&self.unsigned)
    }

    /// How many would have been put off or rejected.
    pub fn kept_back(&self) -> u64 {
        self.put_off.values().chain(self.rejected.values()).sum()
    }
}

fn listed(reasons: &BTreeMap<String, u64>) -> String {
    let mut reasons: Vec<_> = reasons.iter().filter(|(_, n)| **n > 0).collect();
    reasons.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let words = reasons
        .iter()
        .map(|(reason, count)| format!("{reason} {count}"));
    words.collect::<Vec<_>>().join(", ")
}

words! {
    /// Which organisations come first. Among equals it is the order of their ids.
    #[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
    pub enum Order {
        /// Messages a second.
        #[default]
        Rate = "rate",
        /// Messages that were signed, since the start.
        Signed = "signed",
        /// Messages that were not signed, since the start.
        Unsigned = "unsigned",
        /// Messages that could not be signed, since the start.
        Failures = "failures",
        /// Hazards, since the start.
        Hazards = "hazards",
        /// By the id.
        Name = "name",
    }
}

/// What is asked of a signer, in the text after the question mark.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Ask {
    /// Only so many organisations; none: all.
    pub top: Option<usize>,
    /// Which these are.
    pub by: Order,
    /// [`Top::sample`] of the answer before: the rates are since then.
    pub since: Option<u64>,
}

impl FromStr for Ask {
    type Err = String;

    fn from_str(query: &str) -> Result<Self, String> {
        fn number<T: FromStr>(name: &str, value: &str) -> Result<Option<T>, String> {
            let number = value.parse().map(Some);
            number.map_err(|_| format!("{name}={value}: write a number"))
        }
        let mut ask = Self::default();
        for pair in query.split('&') {
            match pair.split_once('=') {
                Some(("top", value)) => ask.top = number("top", value)?,
                Some(("since", value)) => ask.since = number("since", value)?,
                Some(("by", value)) => {
                    ask.by = Order::named(value).ok_or_else(|| {
                        let words = Order::ALL.map(Order::as_str).join(", ");
                        format!("by={value}: write one of {words}")
                    })?;
                }
                _ => {}
            }
        }
        Ok(ask)
    }
}

impl std::fmt::Display for Ask {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "by={}", self.by)?;
        let numbers = [
            ("top", self.top.map(|top| top as u64)),
            ("since", self.since),
        ];
        for (name, number) in numbers {
            if let Some(number) = number {
                write!(formatter, "&{name}={number}")?;
            }
        }
        Ok(())
    }
}

/// Why a document can't be read. The text continues "the signer at ADDRESS".
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum UnreadableStatus {
    /// Of another process.
    #[error("is a {0}")]
    Role(Role),
    /// Of a later Zegel.
    #[error("speaks version {0} of /status.json, and this zegel {VERSION}: ask it with its own")]
    Version(u32),
    /// No JSON, or not such.
    #[error("gives a /status.json that can't be read: {0}")]
    Malformed(String),
}

/// Reads what a process of this role has said.
///
/// # Errors
///
/// Why it can't be read.
pub fn read_status<T: DeserializeOwned>(role: Role, text: &str) -> Result<T, UnreadableStatus> {
    #[derive(Deserialize)]
    struct Head {
        version: u32,
        role: Role,
    }
    fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, UnreadableStatus> {
        serde_json::from_str(text).map_err(|error| UnreadableStatus::Malformed(error.to_string()))
    }
    let head: Head = parse(text)?;
    if head.version != VERSION {
        return Err(UnreadableStatus::Version(head.version));
    }
    if head.role != role {
        return Err(UnreadableStatus::Role(head.role));
    }
    parse(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_written_and_read_alike() {
        for ask in [
            Ask::default(),
            Ask {
                top: Some(20),
                by: Order::Failures,
                since: Some(7),
            },
        ] {
            assert_eq!(ask.to_string().parse(), Ok(ask));
        }
        assert_eq!("".parse(), Ok(Ask::default()));
        assert_eq!("other=1&top=0".parse::<Ask>().unwrap().top, Some(0));
        for (wrong, advice) in [
            ("top=", "write a number"),
            ("top=-1", "write a number"),
            ("top=1&since=x", "write a number"),
            (
                "by=colour",
                "rate, signed, unsigned, failures, hazards, name",
            ),
        ] {
            let error = wrong.parse::<Ask>().unwrap_err();
            assert!(error.contains(advice), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_reader_takes_what_it_does_not_know_and_says_what_it_cannot_read() {
        let read = |text| read_status::<SignerStatus>(Role::Signer, text);
        let status = r#"{"version":1,"role":"signer","new":[1],
            "figures":{"panics":2,"organisations":{"een":{"signed":3,"new":{}}}}}"#;
        let status = read(status).unwrap();
        assert_eq!(status.figures.panics, 2);
        assert_eq!(status.figures.organisations["een"].signed, 3);
        assert_eq!(status.top, None);
        for (text, expected) in [
            (r#"{"version":2,"role":"signer"}"#, "speaks version 2"),
            (
                r#"{"version":1,"role":"keeper","figures":{}}"#,
                "is a keeper",
            ),
            (
                r#"{"version":1,"role":"signer"}"#,
                "missing field `figures`",
            ),
            ("<html>", "can't be read"),
            ("", "can't be read"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn reasons_come_with_the_most_frequent_first() {
        let unsigned = [("awaiting_key", 1), ("hazard", 0), ("signing_failure", 2)];
        let organisation = OrganisationFigures {
            unsigned: unsigned
                .map(|(word, count)| (word.to_owned(), count))
                .into(),
            ..OrganisationFigures::default()
        };
        assert_eq!(organisation.all_unsigned(), 3);
        assert_eq!(organisation.reasons(), "signing_failure 2, awaiting_key 1");
    }
}
