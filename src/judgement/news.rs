//! What is new about an organisation since a program was last told: what began, what ended, and
//! which keys came into another state. Pure; `docs/platform.md` describes it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Judgement, ToldMatter};
use crate::{
    keys::{Keyring, State},
    names::{DomainName, OrganisationId, Selector},
    words::Level,
};

/// How an organisation stood when a program was last told.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Heard {
    level: Level,
    matters: Vec<ToldMatter>,
    keys: BTreeMap<DomainName, BTreeMap<Selector, State>>,
}

/// One document for a program.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct News {
    /// Of this form: 1.
    pub version: u32,
    /// Which one for this organisation, from 1: a program that gets it twice knows it by this.
    pub number: u64,
    /// When it was seen.
    pub time: Timestamp,
    /// Whose it is.
    pub organisation: OrganisationId,
    /// Whether the organisation is in the configuration no more.
    pub gone: bool,
    /// How it stands.
    pub level: Level,
    /// How it stood.
    pub before: Level,
    /// What is so now and was not.
    pub began: Vec<ToldMatter>,
    /// What was so and is no more.
    pub ended: Vec<ToldMatter>,
    /// Keys that came into another state.
    pub keys: Vec<KeyNews>,
}

/// A key that came into another state for a domain.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct KeyNews {
    /// For which.
    pub domain: DomainName,
    /// Which key.
    pub selector: Selector,
    /// The state; none if the keyring has the key no more.
    pub state: Option<State>,
    /// The state before; none if the key is new.
    pub before: Option<State>,
}

impl Heard {
    /// How an organisation stands now.
    pub fn now(organisation: &OrganisationId, judgement: &Judgement, keyring: &Keyring) -> Self {
        let told = judgement.told(organisation);
        let mut keys: BTreeMap<DomainName, BTreeMap<Selector, State>> = BTreeMap::new();
        for entry in keyring.keys() {
            for (domain, publication) in &entry.publications {
                let states = keys.entry(domain.clone()).or_default();
                states.insert(entry.selector.clone(), publication.state);
            }
        }
        Self {
            level: told.level,
            matters: told.matters,
            keys,
        }
    }

    /// How an organisation stands whose keyring can't be read: its keys are as before.
    pub fn unreadable(organisation: &OrganisationId, judgement: &Judgement, before: &Self) -> Self {
        let told = judgement.told(organisation);
        Self {
            level: told.level,
            matters: told.matters,
            keys: before.keys.clone(),
        }
    }

    /// What is new since `before`; none if nothing is.
    pub fn since(
        &self,
        before: &Self,
        organisation: &OrganisationId,
        (number, time): (u64, Timestamp),
    ) -> Option<News> {
        let news = self.told(before, organisation, (number, time));
        let is_news = news.level != news.before
            || !news.began.is_empty()
            || !news.ended.is_empty()
            || !news.keys.is_empty();
        is_news.then_some(news)
    }

    /// The same, also if it says that nothing is new.
    pub fn told(
        &self,
        before: &Self,
        organisation: &OrganisationId,
        (number, time): (u64, Timestamp),
    ) -> News {
        let lacks =
            |list: &[ToldMatter], one: &ToldMatter| !list.iter().any(|known| known.is_same(one));
        let only = |these: &[ToldMatter], those: &[ToldMatter]| -> Vec<ToldMatter> {
            these
                .iter()
                .filter(|one| lacks(those, one))
                .cloned()
                .collect()
        };
        News {
            version: 1,
            number,
            time,
            organisation: organisation.clone(),
            gone: false,
            level: self.level,
            before: before.level,
            began: only(&self.matters, &before.matters),
            ended: only(&before.matters, &self.matters),
            keys: self.keys_since(before),
        }
    }

    fn keys_since(&self, before: &Self) -> Vec<KeyNews> {
        let all = |heard: &Self| -> BTreeMap<(DomainName, Selector), State> {
            let domains = heard.keys.iter();
            domains
                .flat_map(|(domain, keys)| {
                    let key = |(selector, state): (&Selector, &State)| {
                        ((domain.clone(), selector.clone()), *state)
                    };
                    keys.iter().map(key)
                })
                .collect()
        };
        let (now, then) = (all(self), all(before));
        let mut names: Vec<_> = now.keys().chain(then.keys()).cloned().collect();
        names.sort();
        names.dedup();
        let news = names.into_iter().map(|name| {
            let (state, before) = (now.get(&name).copied(), then.get(&name).copied());
            let (domain, selector) = name;
            KeyNews {
                domain,
                selector,
                state,
                before,
            }
        });
        news.filter(|key| key.state != key.before).collect()
    }
}

impl ToldMatter {
    /// Whether it is about the same: times and words may differ.
    fn is_same(&self, other: &Self) -> bool {
        (self.level, &self.what) == (other.level, &other.what)
            && (&self.domain, &self.selector) == (&other.domain, &other.selector)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matter(what: &str, domain: &str, since: i64) -> ToldMatter {
        let json = serde_json::json!({
            "level": "act", "what": what, "domain": domain, "selector": null,
            "since": Timestamp::from_second(since).unwrap(), "seen": null, "seen_by": "keeper",
            "when": null, "due": null, "actor": "operator", "text": {"en": "", "nl": ""},
        });
        serde_json::from_value(json).unwrap()
    }

    fn heard(level: Level, matters: Vec<ToldMatter>, keys: &[(&str, State)]) -> Heard {
        let domain: DomainName = "een.example".parse().unwrap();
        let keys = keys
            .iter()
            .map(|(name, state)| (name.parse().unwrap(), *state));
        Heard {
            level,
            matters,
            keys: [(domain, keys.collect())].into(),
        }
    }

    fn news(before: &Heard, now: &Heard) -> Option<News> {
        let id = "een".parse().unwrap();
        now.since(before, &id, (7, Timestamp::UNIX_EPOCH))
    }

    #[test]
    fn only_what_is_new_is_told() {
        let quiet = heard(Level::Well, vec![], &[("s1", State::Active)]);
        assert_eq!(news(&quiet, &quiet), None);
        let one = heard(
            Level::Act,
            vec![matter("spf.missing", "een.example", 1)],
            &[("s1", State::Active), ("s2", State::Generated)],
        );
        let told = news(&quiet, &one).unwrap();
        assert_eq!((told.before, told.level), (Level::Well, Level::Act));
        assert_eq!((told.began.len(), told.ended.len()), (1, 0));
        let key = &told.keys[0];
        assert_eq!(key.selector.as_str(), "s2");
        assert_eq!((key.before, key.state), (None, Some(State::Generated)));
        // Seen once more: no news.
        let mut later = one.clone();
        later.matters = vec![matter("spf.missing", "een.example", 99)];
        assert_eq!(news(&one, &later), None);
        let told = news(&one, &quiet).unwrap();
        assert_eq!((told.began.len(), told.ended.len()), (0, 1));
        assert_eq!(told.keys[0].state, None);
    }
}
