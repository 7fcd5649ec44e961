//! What was told of one organisation, and what is still to be told.

use std::collections::VecDeque;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    judgement::{Heard, News},
    keystore::{Keystore, KeystoreError},
    names::OrganisationId,
};

/// The file of one organisation. It is replaced in one step, so what is told and what was heard
/// never differ.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Queue {
    /// The last number that was given.
    number: u64,
    /// How it stood when the last document was made.
    heard: Heard,
    /// The first is told next.
    waiting: VecDeque<News>,
    /// Whether the last document says that it is in the configuration no more.
    #[serde(default)]
    gone: bool,
}

impl Queue {
    /// Of an organisation that stands so, with nothing to tell.
    pub(super) fn silent(heard: Heard) -> Self {
        Self {
            heard,
            ..Self::default()
        }
    }

    /// Of an organisation whose file is of no use: a number that was given before would be taken
    /// for a document that was had.
    pub(super) fn lost() -> Self {
        let seconds = Timestamp::now().as_second();
        Self {
            number: u64::try_from(seconds).unwrap_or_default(),
            ..Self::default()
        }
    }

    /// As it was kept.
    pub(super) fn read(keystore: &Keystore, id: &OrganisationId) -> Result<Self, KeystoreError> {
        let kept = keystore.hook(id)?.unwrap_or_default();
        Ok(serde_json::from_slice(&kept).unwrap_or_else(|error| {
            let id = id.as_str();
            tracing::warn!(
                organisation = id,
                "hooks: what was told before is lost: {error}"
            );
            Self::lost()
        }))
    }

    pub(super) fn keep(
        &self,
        keystore: &Keystore,
        id: &OrganisationId,
    ) -> Result<(), KeystoreError> {
        match serde_json::to_vec(self) {
            Ok(json) => keystore.keep_hook(id, &json),
            // Nothing in it fails to serialise.
            Err(_) => Ok(()),
        }
    }

    /// With what is new, as the organisation stands now; none if nothing is.
    pub(super) fn with_news(
        &self,
        heard: &Heard,
        id: &OrganisationId,
        now: Timestamp,
    ) -> Option<Self> {
        let news = heard.since(&self.heard, id, (self.number + 1, now));
        let news = match news {
            // It is back.
            None if self.gone => heard.told(&self.heard, id, (self.number + 1, now)),
            news => news?,
        };
        Some(self.with(news, heard.clone()))
    }

    /// With the news that the organisation is in the configuration no more; none if that was said.
    pub(super) fn with_end(&self, id: &OrganisationId, now: Timestamp) -> Option<Self> {
        if self.gone {
            return None;
        }
        let nothing = Heard::default();
        let mut news = nothing.told(&self.heard, id, (self.number + 1, now));
        news.gone = true;
        Some(self.with(news, nothing))
    }

    fn with(&self, news: News, heard: Heard) -> Self {
        let mut waiting = self.waiting.clone();
        let (number, gone) = (news.number, news.gone);
        waiting.push_back(news);
        Self {
            number,
            heard,
            waiting,
            gone,
        }
    }

    /// How the organisation stood when the last document was made.
    pub(super) fn heard(&self) -> &Heard {
        &self.heard
    }

    /// What is to be told next.
    pub(super) fn first(&self) -> Option<&News> {
        self.waiting.front()
    }

    /// Without what was told, if that is still the first.
    pub(super) fn without(&self, number: u64) -> Self {
        let mut queue = self.clone();
        if queue.first().is_some_and(|news| news.number == number) {
            queue.waiting.pop_front();
        }
        queue
    }
}
