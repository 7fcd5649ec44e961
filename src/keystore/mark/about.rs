//! What of a mark has to do with some domains, organisations and keys: of 100,000 organisations, a
//! command about one reads its lines alone.
//!
//! The lines are found by their text, which serde writes without blanks and in one order of
//! fields. A line that was written otherwise would be missed; nobody but this program writes one.

use std::{collections::BTreeSet, ops::AddAssign};

use memchr::{memchr, memchr_iter, memmem, memrchr};

use super::{Line, SPARE_LINES};
use crate::{
    dkim::key::Fingerprint,
    names::{DomainName, OrganisationId},
};

/// What a command is about.
#[derive(Clone, Debug, Default)]
pub(in crate::keystore) struct About {
    pub(in crate::keystore) domains: BTreeSet<DomainName>,
    pub(in crate::keystore) organisations: BTreeSet<OrganisationId>,
    pub(in crate::keystore) keys: BTreeSet<Fingerprint>,
}

impl About {
    pub(in crate::keystore) fn organisation(id: &OrganisationId) -> Self {
        Self::keys_for(id, &[])
    }

    pub(in crate::keystore) fn keys_for(id: &OrganisationId, domains: &[DomainName]) -> Self {
        Self {
            domains: domains.iter().cloned().collect(),
            organisations: [id.clone()].into(),
            keys: BTreeSet::new(),
        }
    }

    pub(in crate::keystore) fn key(fingerprint: Fingerprint) -> Self {
        Self {
            keys: [fingerprint].into(),
            ..Self::default()
        }
    }

    /// Takes in another one, and says whether that makes it more.
    pub(super) fn add(&mut self, other: &Self) -> bool {
        let count =
            |about: &Self| about.domains.len() + about.organisations.len() + about.keys.len();
        let before = count(self);
        self.domains.extend(other.domains.iter().cloned());
        self.organisations
            .extend(other.organisations.iter().cloned());
        self.keys.extend(&other.keys);
        count(self) > before
    }
}

/// How long a mark is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Size {
    lines: usize,
    /// Those that tell of a key that was made: one for each key, or more.
    keys: usize,
}

impl Size {
    pub(super) fn of(text: &[u8]) -> Self {
        Self {
            lines: memchr_iter(b'\n', text).count(),
            keys: memmem::find_iter(text, b"{\"what\":\"key\",").count(),
        }
    }

    /// What is needed counts for as much as [`super::Mark::is_lengthy`] lets it, or for more: a
    /// key that comes back is told of again.
    pub(super) fn may_be_lengthy(self) -> bool {
        self.lines > 2 * 3 * self.keys + SPARE_LINES
    }
}

impl AddAssign for Size {
    fn add_assign(&mut self, other: Self) {
        self.lines += other.lines;
        self.keys += other.keys;
    }
}

/// Beyond so many names it is faster to read everything.
const MOST: usize = 64;
/// Of these the last line counts.
const LAST: [&[u8]; 3] = [
    b"{\"what\":\"keystore\"",
    b"{\"what\":\"restored\"",
    b"{\"what\":\"generation\"",
];

/// The lines of whoever has or had a key for one of the domains, of the organisations, and of
/// those who have or had one of their keys; with the last of what is said of the keystore as a
/// whole. Everything, if that is much.
pub(super) fn lines_about(text: &[u8], about: &About) -> Vec<u8> {
    let mut search = Search {
        text,
        places: BTreeSet::new(),
        organisations: BTreeSet::new(),
        keys: BTreeSet::new(),
    };
    for key in &about.keys {
        search.find(&format!("\"{key}\""));
    }
    for domain in &about.domains {
        search.find(&format!("\"{domain}\""));
    }
    search.organisations.extend(about.organisations.clone());
    let own = search.organisations.clone();
    if about.keys.len() + about.domains.len() + own.len() > MOST {
        return text.to_vec();
    }
    for organisation in &own {
        search.find_organisation(organisation);
    }
    // A key that several have signs for none of them.
    let keys = search.keys.clone();
    if own.len() + keys.len() > MOST {
        return text.to_vec();
    }
    for key in &keys {
        search.find(&format!("\"{key}\""));
    }
    let others: Vec<OrganisationId> = search.organisations.difference(&own).cloned().collect();
    if others.len() > MOST {
        return text.to_vec();
    }
    for organisation in &others {
        search.find_organisation(organisation);
    }
    search.find_last();
    search.lines()
}

struct Search<'a> {
    text: &'a [u8],
    /// Where the lines begin that were found.
    places: BTreeSet<usize>,
    /// Whose they are, and of which keys.
    organisations: BTreeSet<OrganisationId>,
    keys: BTreeSet<Fingerprint>,
}

impl Search<'_> {
    fn find_organisation(&mut self, organisation: &OrganisationId) {
        self.find(&format!("\"organisation\":\"{organisation}\""));
    }

    /// Takes each line with this in it.
    fn find(&mut self, text: &str) {
        let all = self.text;
        for place in memmem::find_iter(all, text.as_bytes()) {
            let begin = self.begin(place);
            if !self.places.insert(begin) {
                continue;
            }
            let line = serde_json::from_slice(self.line(begin));
            if let Ok(
                Line::Key {
                    organisation,
                    fingerprint,
                    ..
                }
                | Line::InUse {
                    organisation,
                    fingerprint,
                    ..
                }
                | Line::GivenUp {
                    organisation,
                    fingerprint,
                    ..
                },
            ) = line
            {
                self.organisations.insert(organisation);
                self.keys.extend(fingerprint);
            }
        }
    }

    fn find_last(&mut self) {
        for begin in LAST {
            // Faster than from the end, where most of them are not near.
            self.places
                .extend(memmem::find_iter(self.text, begin).last());
        }
    }

    fn begin(&self, place: usize) -> usize {
        let before = self.text.get(..place).unwrap_or_default();
        memrchr(b'\n', before).map_or(0, |end| end + 1)
    }

    fn line(&self, begin: usize) -> &[u8] {
        let rest = self.text.get(begin..).unwrap_or_default();
        let end = memchr(b'\n', rest).unwrap_or(rest.len());
        rest.get(..end).unwrap_or_default()
    }

    fn lines(&self) -> Vec<u8> {
        let lines = self.places.iter().map(|begin| self.line(*begin));
        lines
            .flat_map(|line| [line, b"\n"])
            .flatten()
            .copied()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::keystore::mark::Mark;

    fn lines() -> impl Strategy<Value = String> {
        let key = (0_u8..3, 0_u8..12, 0_u8..9, 0_u8..8, any::<bool>());
        let line = key.prop_map(|(what, organisation, domain, key, knows_key)| {
            let fingerprint = if knows_key {
                format!(",\"fingerprint\":\"{}\"", format!("{key:02x}").repeat(32))
            } else {
                String::new()
            };
            let what = ["key", "in_use", "given_up"][usize::from(what)];
            let time = if what == "given_up" {
                "\"time\":\"2026-01-01T00:00:00Z\","
            } else {
                ""
            };
            format!(
                "{{\"what\":\"{what}\",{time}\"organisation\":\"o{organisation}\",\
                 \"selector\":\"s{key}\"{fingerprint},\"domains\":[\"d{domain}.nl\"]}}\n"
            )
        });
        let number = (0_u64..99)
            .prop_map(|number| format!("{{\"what\":\"generation\",\"number\":{number}}}\n"));
        proptest::collection::vec(prop_oneof![5 => line, 1 => number], 0..60)
            .prop_map(|lines| lines.concat())
    }

    fn mark(text: &[u8]) -> Mark {
        let mut mark = Mark::default();
        mark.read(text);
        mark
    }

    proptest! {
        /// Of what it is about, a part of the mark tells the same as all of it.
        #[test]
        fn a_part_tells_the_same_as_all(
            text in lines(),
            domain in 0_u8..9,
            asked in 0_u8..12,
            key in 0_u8..9,
        ) {
            let key: Fingerprint = format!("{key:02x}").repeat(32).parse().unwrap();
            let domain: DomainName = format!("d{domain}.nl").parse().unwrap();
            let asked: OrganisationId = format!("o{asked}").parse().unwrap();
            let about = About {
                domains: [domain.clone()].into(),
                organisations: [asked.clone()].into(),
                keys: [key].into(),
            };
            let all = mark(text.as_bytes());
            let part = mark(&lines_about(text.as_bytes(), &about));
            prop_assert_eq!(all.generation(), part.generation());
            prop_assert_eq!(all.holders(&domain), part.holders(&domain));
            let mut own: BTreeSet<OrganisationId> = all.holders(&domain).iter().cloned().collect();
            own.insert(asked);
            let sharing = all.sharing(&own);
            prop_assert_eq!(&sharing, &part.sharing(&own));
            for organisation in own.iter().chain(&sharing) {
                let keys = |mark: &Mark| -> Vec<_> { mark.keys(organisation).cloned().collect() };
                prop_assert_eq!(keys(&all), keys(&part));
            }
            let gave_up = |mark: &Mark| {
                let keys = mark.given_up_keys().filter(|(one, ..)| *one == key);
                keys.map(|(_, organisation, selector)| (organisation.clone(), selector.clone()))
                    .collect::<BTreeSet<_>>()
            };
            prop_assert_eq!(gave_up(&all), gave_up(&part));
        }
    }

    #[test]
    fn much_is_read_whole() {
        let about = About {
            domains: (0..100)
                .map(|n| format!("d{n}.nl").parse().unwrap())
                .collect(),
            ..About::default()
        };
        assert_eq!(lines_about(b"x\n", &about), b"x\n");
        assert_eq!(lines_about(b"no line", &About::default()), b"");
    }
}
