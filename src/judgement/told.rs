//! A judgement for programs; `docs/status-json.md` describes it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Judgement, Matter, alarms};
use crate::{
    names::{DomainName, OrganisationId, Selector},
    observe::status::SignerStatus,
    words::{Language, Level},
};

/// What a signer shows on `/status.json`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct SignerReport {
    /// The process and its numbers.
    #[serde(flatten)]
    pub status: SignerStatus,
    /// How things stand, by the id of the organisation: of those that are not well. None if the
    /// signer has no status page.
    #[serde(default)]
    pub judgements: Option<BTreeMap<String, Told>>,
}

/// How things stand with one organisation, with the sentences.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Told {
    /// The worst of the matters.
    pub level: Level,
    /// The worst first.
    pub matters: Vec<ToldMatter>,
}

/// One matter.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ToldMatter {
    /// How bad it is.
    pub level: Level,
    /// A word that never changes.
    pub what: String,
    pub(super) domain: Option<DomainName>,
    pub(super) selector: Option<Selector>,
    since: Option<Timestamp>,
    seen: Option<Timestamp>,
    seen_by: String,
    when: Option<Timestamp>,
    due: Option<Timestamp>,
    actor: String,
    /// What is so, and who has to do what.
    pub text: Sentences,
}

/// The same in two languages.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Sentences {
    /// English.
    pub en: String,
    /// Dutch.
    pub nl: String,
}

impl Judgement {
    /// For programs; `organisation` is whose it is.
    pub fn told(&self, organisation: &OrganisationId) -> Told {
        let matters = self.matters.iter();
        Told {
            level: self.level,
            matters: matters.map(|matter| matter.told(organisation)).collect(),
        }
    }
}

impl ToldMatter {
    /// Which domain it is about; none: the organisation.
    pub fn domain(&self) -> Option<&DomainName> {
        self.domain.as_ref()
    }

    /// Whether reports show that a key of a stranger signs, or mail that was not signed: it may not
    /// be hidden by what is worse.
    pub fn is_reported_key(&self) -> bool {
        [alarms::UNKNOWN_SELECTOR, alarms::REPLAY].contains(&self.what.as_str())
    }
}

impl Matter {
    fn told(&self, organisation: &OrganisationId) -> ToldMatter {
        ToldMatter {
            level: self.level,
            what: self.fact.as_str().to_owned(),
            domain: self.domain.clone(),
            selector: self.selector.clone(),
            since: self.since,
            seen: self.seen,
            seen_by: self.seen_by.as_str().to_owned(),
            when: self.when,
            due: self.due,
            actor: self.actor.as_str().to_owned(),
            text: Sentences {
                en: self.sentence(organisation, Language::English),
                nl: self.sentence(organisation, Language::Dutch),
            },
        }
    }
}
