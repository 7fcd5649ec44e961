//! Who sends in the names of an organisation's domains, for the status page: what the keeper found
//! in the reports, shortened. Nothing that signs depends on it.

use std::collections::BTreeMap;

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};

use super::{
    Keystore, KeystoreError,
    files::Secrecy,
    sightings::{file, keep},
};
use crate::names::{DomainName, OrganisationId};

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
    /// How far its DMARC record has come; none if nobody knows which it has.
    #[serde(default)]
    pub climbing: Option<Climbing>,
}

/// How far a domain has come, as `zegel dmarc status` says it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Climbing {
    /// The word for the rung it stands on; none without a record.
    pub step: Option<String>,
    /// The record that was published then; none if there was none that receivers use.
    #[serde(default)]
    pub published: Option<String>,
    /// Since when reports show it.
    pub since: Option<Date>,
    /// The word for what someone has to do.
    pub action: String,
    /// The same in a sentence.
    pub text: String,
    /// The word for the rung of the record that should be there; none in what an earlier version
    /// kept.
    #[serde(default)]
    pub advised: Option<String>,
    /// How many legitimate messages were lost, where that asks for a weaker record.
    #[serde(default)]
    pub lost: u64,
    /// The name of the record that should be there.
    pub name: String,
    /// That record; none if it takes a look at the DNS to tell.
    pub record: Option<String>,
    /// The first day on which the next rung may come.
    pub not_before: Option<Date>,
    /// What holds it: the word, a sentence, and a command if one answers it.
    pub holds: Vec<(String, String, Option<String>)>,
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
}

impl Keystore {
    /// Who sends in the names of the organisation's domains, as the keeper last found out; empty
    /// if it found nothing, or if the file is of a kind that this version can't read.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn senders(&self, organisation: &OrganisationId) -> Result<Senders, KeystoreError> {
        let Some(folder) = self.root()?.child(FOLDER)? else {
            return Ok(Senders::default());
        };
        let read = folder.read(&file(organisation), Secrecy::State)?;
        Ok(read.map_or_else(Senders::default, |json| {
            serde_json::from_slice(&json).unwrap_or_default()
        }))
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
            if folder.has(&file(organisation)) {
                folder.remove(&file(organisation))?;
            }
            return Ok(());
        }
        Ok(keep(&folder, organisation, senders)?)
    }
}
