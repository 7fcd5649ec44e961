//! How a report comes into the store, and gives way to a fuller one.

use std::net::IpAddr;

use rusqlite::{OptionalExtension, params};

use super::{
    Incoming, Store, Taken,
    sql::{ADD_FACT, ADD_POLICY, ADD_REPORT, ADD_SOURCE, CLEAR_FACTS, FIND_REPORT, SET_LATEST},
    standing,
};
use crate::{
    evidence::{
        identity::KnownBy,
        rollup::{known_by_network, network, spread},
        varint,
    },
    report::{Flags, Identity, Report},
};

/// A report that is there.
struct Earlier {
    messages: i64,
    flags: u16,
    /// What it added, unless that is forgotten.
    rows: Option<Vec<u8>>,
}

impl Earlier {
    /// Whether one of the same key takes its place: one that proves more, or else a fuller one. A
    /// forged report knows the key of a real one, and says as much as it likes.
    fn gives_way(&self, flags: u16, messages: i64) -> bool {
        let proves = |flags: u16| match flags {
            0 => 2,
            standing::BARE => 1,
            _ => 0,
        };
        self.rows.is_some() && (proves(flags), messages) > (proves(self.flags), self.messages)
    }
}

impl Store {
    pub(super) fn add_within(&mut self, incoming: Incoming<'_>) -> rusqlite::Result<Taken> {
        let Incoming { report, rollup, .. } = incoming;
        let reporter = self.word(incoming.reporter)?;
        let domain = self.word(&report.policy.domain)?;
        let messages = signed(rollup.messages());
        let earlier = match self.find_report(reporter, domain, report)? {
            None => self.find_earlier(incoming)?,
            found => found,
        };
        let flags = match incoming.authenticated {
            Some(true) => 0,
            Some(false) => standing::NOT_AUTHENTICATED,
            None => standing::BARE,
        };
        // What a report proves that did not count before has to be counted now.
        let is_new = earlier.as_ref().is_none_or(|one| one.flags != flags);
        let taken = match earlier {
            None => Taken::Stored,
            Some(earlier) if earlier.gives_way(flags, messages) => {
                self.undo(domain, reporter, &earlier.rows.unwrap_or_default())?;
                Taken::Replaced
            }
            Some(_) => return Ok(Taken::Duplicate),
        };
        let rows = self.add_rows(domain, reporter, flags, incoming)?;
        let day = rollup.days.last().copied().unwrap_or_default();
        self.add_policy(domain, day, (incoming, reporter), i64::from(is_new))?;
        self.connection
            .prepare_cached(ADD_REPORT)?
            .execute(params![
                reporter,
                domain,
                report.report_id,
                report.begin,
                report.end,
                day,
                messages,
                flags,
                incoming.today,
                rows,
            ])?;
        self.connection
            .prepare_cached(SET_LATEST)?
            .execute(params![domain, report.end])?;
        Ok(taken)
    }

    fn find_report(
        &self,
        reporter: i64,
        domain: i64,
        report: &Report,
    ) -> rusqlite::Result<Option<Earlier>> {
        let mut found = self.connection.prepare_cached(FIND_REPORT)?;
        let key = params![reporter, domain, report.report_id, report.begin, report.end];
        found
            .query_row(key, |row| {
                Ok(Earlier {
                    messages: row.get(0)?,
                    flags: row.get(1)?,
                    rows: row.get(2)?,
                })
            })
            .optional()
    }

    /// The same of the store that a trial stands upon. What it added there is no part of this one.
    fn find_earlier(&self, incoming: Incoming<'_>) -> rusqlite::Result<Option<Earlier>> {
        let Some(earlier) = &self.earlier else {
            return Ok(None);
        };
        let report = incoming.report;
        let (Some(reporter), Some(domain)) = (
            earlier.find_word(incoming.reporter)?,
            earlier.find_word(&report.policy.domain)?,
        ) else {
            return Ok(None);
        };
        let found = earlier.find_report(reporter, domain, report)?;
        Ok(found.map(|found| Earlier {
            rows: found.rows.map(|_| Vec::new()),
            ..found
        }))
    }

    /// Adds facts and sources, and gives back what is needed to take them away again.
    fn add_rows(
        &mut self,
        domain: i64,
        reporter: i64,
        standing: u16,
        incoming: Incoming<'_>,
    ) -> rusqlite::Result<Vec<u8>> {
        let Incoming { report, rollup, .. } = incoming;
        let texts = report.rows.words.in_order();
        let identities = report.rows.identities.in_order();
        let mut words: Vec<Option<i64>> = vec![None; texts.len()];
        let mut known: Vec<Option<i64>> = vec![None; identities.len()];
        let nothing = Identity::default();
        let mut undo = varint::Writer::default();
        // Days follow one another: the first, and how many.
        let first = rollup.days.first().copied().unwrap_or_default();
        undo.number(u64::try_from(first).unwrap_or_default());
        undo.number(rollup.days.len() as u64);
        for fact in &rollup.facts {
            let text = |place: u32| texts.get(place as usize).map_or("", |text| text);
            let sender = at(&mut words, fact.from, || self.word(text(fact.from)))?;
            let identity = identities
                .get(fact.identity as usize)
                .copied()
                .unwrap_or(&nothing);
            let known_by = at(&mut known, fact.identity, || {
                self.word(&KnownBy::text(identity, |place| text(place).to_owned()))
            })?;
            let network = if known_by_network(Flags::from_bits(fact.flags), identity) {
                self.word(&network(fact.address).to_string())?
            } else {
                0
            };
            undo.fact(&[
                sender,
                known_by,
                i64::from(fact.flags | standing),
                network,
                signed(fact.messages),
            ]);
            undo.octets(&octets(fact.address));
        }
        let rows = undo.finish();
        self.apply(domain, reporter, &rows, 1)?;
        Ok(rows)
    }

    /// Adds the facts of a report on each of its days, and their addresses; or takes them away,
    /// with the sign -1.
    fn apply(
        &mut self,
        domain: i64,
        reporter: i64,
        rows: &[u8],
        sign: i64,
    ) -> rusqlite::Result<Vec<i32>> {
        let mut facts = self.connection.prepare_cached(ADD_FACT)?;
        let mut sources = self.connection.prepare_cached(ADD_SOURCE)?;
        let mut reader = varint::Reader::new(rows);
        let days = days(&mut reader);
        let (Some(first), Some(last)) = (days.first(), days.last()) else {
            return Ok(days);
        };
        let mut add = |[sender, known_by, flags, network]: [i64; 4], messages: u64| {
            for (day, messages) in spread(&days, messages) {
                facts.execute(params![
                    domain,
                    day,
                    sender,
                    reporter,
                    known_by,
                    flags,
                    network,
                    sign * signed(messages)
                ])?;
            }
            Ok::<_, rusqlite::Error>(())
        };
        // Facts that differ in nothing but their addresses follow one another, and are one here.
        let mut same = ([0; 4], 0_u64);
        while let Some([sender, known_by, flags, network, messages]) = reader.fact() {
            let address = reader.octets();
            // From where a stream comes is evidence too, and has no flags by which to leave it out.
            if flags & i64::from(standing::NOT_AUTHENTICATED) == 0 {
                sources.execute(params![
                    domain,
                    known_by,
                    address,
                    first,
                    last,
                    sign.saturating_mul(messages)
                ])?;
            }
            let key = [sender, known_by, flags, network];
            if same.0 != key {
                add(same.0, same.1)?;
                same = (key, 0);
            }
            same.1 += messages.unsigned_abs();
        }
        add(same.0, same.1)?;
        Ok(days)
    }

    /// Takes away what a report has added.
    fn undo(&mut self, domain: i64, reporter: i64, rows: &[u8]) -> rusqlite::Result<()> {
        for day in self.apply(domain, reporter, rows, -1)? {
            self.connection
                .prepare_cached(CLEAR_FACTS)?
                .execute(params![domain, day])?;
        }
        Ok(())
    }

    fn add_policy(
        &mut self,
        domain: i64,
        day: i32,
        (incoming, reporter): (Incoming<'_>, i64),
        reports: i64,
    ) -> rusqlite::Result<()> {
        let policy = &incoming.report.policy;
        let authenticated = match incoming.authenticated {
            Some(true) => "",
            Some(false) => "no",
            None => "bare",
        };
        let tags = [
            ("p", &policy.p),
            ("sp", &policy.sp),
            ("np", &policy.np),
            ("adkim", &policy.adkim),
            ("aspf", &policy.aspf),
            ("t", &policy.testing),
            ("pct", &policy.pct),
        ];
        let tags: Vec<String> = tags
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(tag, value)| (tag, value.replace(char::is_whitespace, "_")))
            // No tag of a record: whether the report counts.
            .chain((!authenticated.is_empty()).then(|| ("authenticated", authenticated.to_owned())))
            .map(|(tag, value)| format!("{tag}={value}"))
            .collect();
        let word = self.word(&tags.join(" "))?;
        self.connection
            .prepare_cached(ADD_POLICY)?
            .execute(params![domain, day, word, reporter, reports])?;
        Ok(())
    }
}

/// The days of what was added: the first, and how many.
fn days(reader: &mut varint::Reader<'_>) -> Vec<i32> {
    let mut number = || i32::try_from(reader.number()?).ok();
    match (number(), number()) {
        (Some(first), Some(length)) => (first..first.saturating_add(length)).collect(),
        _ => Vec::new(),
    }
}

/// The place of a word in the store, asked for once for each report.
fn at(
    held: &mut [Option<i64>],
    place: u32,
    find: impl FnOnce() -> rusqlite::Result<i64>,
) -> rusqlite::Result<i64> {
    let slot = held.get_mut(place as usize);
    match slot {
        Some(Some(id)) => Ok(*id),
        Some(slot) => {
            let id = find()?;
            *slot = Some(id);
            Ok(id)
        }
        None => find(),
    }
}

fn signed(messages: u64) -> i64 {
    i64::try_from(messages).unwrap_or(i64::MAX)
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}
