//! What is in the store.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
};

use rusqlite::{OptionalExtension, params};

use super::{
    Store, StoreError,
    sql::{CONFIRMED, FACTS, FIRST_RECEIVED, NAMES, POLICIES, REPORTS, SOURCES},
    standing,
};
use crate::evidence::{
    identity::KnownBy,
    streams::{Class, Evidence, Line, Name, Policy, Source, Window},
};

impl Store {
    /// What is kept about a policy domain. `counts` tells by the flags of a fact whether it is
    /// evidence.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or there are more than `most` facts.
    pub fn evidence(
        &self,
        domain: &str,
        most: usize,
        counts: impl Fn(u16) -> bool,
    ) -> Result<Evidence, StoreError> {
        let found = self.evidence_within(domain, most, counts);
        found
            .map_err(self.fails())?
            .ok_or_else(|| StoreError::TooMuch {
                domain: domain.to_owned(),
                most,
            })
    }

    /// None if it is too much.
    fn evidence_within(
        &self,
        domain: &str,
        most: usize,
        counts: impl Fn(u16) -> bool,
    ) -> rusqlite::Result<Option<Evidence>> {
        let mut evidence = Evidence::default();
        let Some(id) = self.find_word(domain)? else {
            return Ok(Some(evidence));
        };
        let mut places: HashMap<i64, usize> = HashMap::new();
        let mut facts = self.connection.prepare(FACTS)?;
        let mut rows = facts.query([id])?;
        while let Some(row) = rows.next()? {
            let flags: u16 = row.get(5)?;
            if !counts(flags) {
                continue;
            }
            if evidence.lines.len() >= most {
                return Ok(None);
            }
            let next = evidence.identities.len();
            let identity = *places.entry(row.get(3)?).or_insert(next);
            if identity == next {
                evidence
                    .identities
                    .push(KnownBy::read(&row.get::<_, String>(4)?));
            }
            evidence.lines.push(Line {
                day: row.get(0)?,
                from: row.get(1)?,
                reporter: row.get::<_, Option<String>>(2)?.unwrap_or_default(),
                identity,
                flags,
                network: row.get::<_, Option<String>>(6)?.unwrap_or_default(),
                messages: u64::try_from(row.get::<_, i64>(7)?).unwrap_or_default(),
            });
        }
        let mut sources = self.connection.prepare(SOURCES)?;
        let mut rows = sources.query([id])?;
        while let Some(row) = rows.next()? {
            let (Some(identity), Some(address)) = (
                places.get(&row.get::<_, i64>(0)?),
                address(row.get_ref(1)?.as_blob()?),
            ) else {
                continue;
            };
            evidence.sources.push(Source {
                identity: *identity,
                address,
                first: row.get(2)?,
                last: row.get(3)?,
                messages: u64::try_from(row.get::<_, i64>(4)?).unwrap_or_default(),
            });
        }
        evidence.names = self.names(domain)?;
        evidence.first_received = self.first_received(id, counts)?;
        Ok(Some(evidence))
    }

    fn first_received(
        &self,
        domain: i64,
        counts: impl Fn(u16) -> bool,
    ) -> rusqlite::Result<BTreeMap<String, i32>> {
        let mut first = BTreeMap::new();
        let mut received = self.connection.prepare(FIRST_RECEIVED)?;
        let mut rows = received.query([domain])?;
        while let Some(row) = rows.next()? {
            if counts(row.get(1)?) {
                let day: i32 = row.get(2)?;
                let known = first.entry(row.get(0)?).or_insert(day);
                *known = day.min(*known);
            }
        }
        Ok(first)
    }

    /// The operator's words for the streams of a domain.
    fn names(&self, domain: &str) -> rusqlite::Result<BTreeMap<String, Name>> {
        let mut all = BTreeMap::new();
        let mut names = self.connection.prepare(NAMES)?;
        let mut rows = names.query([domain])?;
        while let Some(row) = rows.next()? {
            let Some(class) = Class::named(&row.get::<_, String>(1)?) else {
                continue;
            };
            let name = Name {
                class,
                label: row.get(2)?,
                owner: row.get(3)?,
                networks: row
                    .get::<_, String>(4)?
                    .split_whitespace()
                    .filter_map(|network| network.parse().ok())
                    .collect(),
            };
            all.insert(row.get(0)?, name);
        }
        Ok(all)
    }

    /// How many reports of a policy domain are about days from `from` to `to`: those that count
    /// as evidence, and the others.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn reports(
        &self,
        domain: &str,
        window: Window,
        counts: impl Fn(u16) -> bool,
    ) -> Result<(u64, u64), StoreError> {
        let read = || -> rusqlite::Result<(u64, u64)> {
            let Some(id) = self.find_word(domain)? else {
                return Ok((0, 0));
            };
            let mut reports = self.connection.prepare(REPORTS)?;
            let mut rows = reports.query(params![id, window.from, window.to])?;
            let mut sums = (0, 0);
            while let Some(row) = rows.next()? {
                let number = u64::try_from(row.get::<_, i64>(1)?).unwrap_or_default();
                let sum = if counts(row.get(0)?) {
                    &mut sums.0
                } else {
                    &mut sums.1
                };
                *sum += number;
            }
            Ok(sums)
        };
        read().map_err(self.fails())
    }
}

impl Store {
    /// The records of a policy domain as reporters saw them, the first day first. `counts` tells by
    /// flags as those of a fact whether a report is evidence.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn policies(
        &self,
        domain: &str,
        counts: impl Fn(u16) -> bool,
    ) -> Result<Vec<Policy>, StoreError> {
        let read = || -> rusqlite::Result<Vec<Policy>> {
            let mut policies = Vec::new();
            let Some(id) = self.find_word(domain)? else {
                return Ok(policies);
            };
            let mut asked = self.connection.prepare(POLICIES)?;
            let mut rows = asked.query([id])?;
            while let Some(row) = rows.next()? {
                let text: String = row.get(1)?;
                let mut tags: BTreeMap<String, String> = text
                    .split(' ')
                    .filter_map(|tag| tag.split_once('='))
                    .map(|(tag, value)| (tag.to_owned(), value.to_owned()))
                    .collect();
                let flags = match tags.remove("authenticated").as_deref() {
                    None => 0,
                    Some("bare") => standing::BARE,
                    Some(_) => standing::NOT_AUTHENTICATED,
                };
                if counts(flags) {
                    policies.push(Policy {
                        day: row.get(0)?,
                        tags,
                        reports: u64::try_from(row.get::<_, i64>(2)?).unwrap_or_default(),
                        reporter: row.get(3)?,
                    });
                }
            }
            Ok(policies)
        };
        read().map_err(self.fails())
    }
}

impl Store {
    /// The day on which the operator last said that all who send are known, in days since 1970.
    ///
    /// # Errors
    ///
    /// When it can't be read.
    pub fn confirmed(&self, domain: &str) -> Result<Option<i32>, StoreError> {
        let day = self
            .connection
            .query_row(CONFIRMED, [domain], |row| row.get(0))
            .optional();
        day.map_err(self.fails())
    }
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    match octets.len() {
        4 => <[u8; 4]>::try_from(octets).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(octets).ok().map(IpAddr::from),
        _ => None,
    }
}
