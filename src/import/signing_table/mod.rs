//! A table that says which key signs whose mail, and a table of keys.
//!
//! Zegel has one key of a kind for a domain. So for each domain that is named the line counts
//! that takes the mail of any of its addresses; those for single addresses are named.

mod lines;
mod pattern;

use std::{
    collections::{BTreeSet, HashMap},
    path::PathBuf,
};

use self::lines::Lines;
pub(super) use self::pattern::Pattern;
use super::{
    finding::{Code, Place},
    setup::{KeySource, Secret, Setup, Signing},
    table::{Comparison, DataSet, Entry},
};
use crate::names::{DomainName, Selector};

const NAME_THEM: &str = "name every domain that sends in a file of orgs.d";

/// Two tables, as OpenDKIM and rspamd have them.
pub(super) struct Tables<'a> {
    pub(super) signing: &'a DataSet,
    pub(super) keys: &'a DataSet,
    /// Whether every line that matches signs, and not only the first.
    pub(super) multiple: bool,
    /// What a path is relative to.
    pub(super) resolve: &'a dyn Fn(&str) -> PathBuf,
}

/// Reads what the tables say of each domain.
pub(super) fn read(tables: &Tables<'_>, setup: &mut Setup) {
    let mut reader = Reader {
        tables,
        lines: Lines::new(tables.signing),
        domains: Vec::new(),
        places: HashMap::new(),
        wide: Vec::new(),
        used: BTreeSet::new(),
        setup,
    };
    for at in 0..tables.signing.entries.len() {
        reader.line(at);
    }
    reader.name_those_with_keys();
    for at in 0..reader.domains.len() {
        reader.decide(at);
    }
    reader.say_wide();
    reader.unused();
}

/// A domain, and the lines that name it.
struct Named {
    domain: DomainName,
    /// For every address.
    whole: Vec<usize>,
    /// For some of them.
    addresses: Vec<usize>,
}

/// Which lines count for a domain.
struct Decision {
    /// Those that take all its mail, in the order in which OpenDKIM comes to them, and then
    /// those that name it in vain.
    lines: Vec<usize>,
    /// How many are of the first kind.
    taking: usize,
    /// Those that name it.
    naming: Vec<usize>,
    /// One that hides even the first.
    above: Option<usize>,
}

/// A line for domains that it does not name.
struct Wide {
    at: usize,
    code: Code,
    found: String,
    /// Those that are named elsewhere, and that it signs for.
    taken: Vec<DomainName>,
}

struct Reader<'a> {
    tables: &'a Tables<'a>,
    lines: Lines<'a>,
    domains: Vec<Named>,
    /// Where in `domains` a domain is.
    places: HashMap<DomainName, usize>,
    wide: Vec<Wide>,
    /// Names in the key table.
    used: BTreeSet<String>,
    setup: &'a mut Setup,
}

/// A line of the key table.
struct Key {
    /// None where it says `%`: the domain in From.
    domain: Option<DomainName>,
    selector: Selector,
    /// With its `%`.
    data: String,
}

impl Key {
    fn signs_as(&self, author: &DomainName) -> bool {
        self.domain.as_ref().is_none_or(|domain| domain == author)
    }
}

impl Reader<'_> {
    fn say(&mut self, code: Code, place: &Place, found: String, done: impl Into<String>) {
        self.setup.say(code, place, found, done);
    }

    fn entry(&self, at: usize) -> &Entry {
        &self.tables.signing.entries[at]
    }

    fn place(&self, at: usize) -> Place {
        self.entry(at).place.clone()
    }

    /// Says what a line is, and notes whom it is about.
    fn line(&mut self, at: usize) {
        let entry = self.entry(at).clone();
        if entry.indented {
            let found = format!("the line of {} begins with white space", entry.key);
            let done = "it was left out, since OpenDKIM passes over such lines of a refile:";
            return self.say(Code::NeverMatches, &entry.place, found, done);
        }
        let name = key_name(&entry);
        if name.is_empty() {
            let found = format!("{:?} names no key", entry.key);
            return self.say(Code::BadEntry, &entry.place, found, "it was left out");
        }
        let pattern = match self.tables.signing.comparison {
            Comparison::Exact => Pattern::of_lookup(&entry.key),
            Comparison::Wildcards => Pattern::of_wildcards(&entry.key),
        };
        self.identity(&entry);
        match pattern {
            Pattern::Domain(domain) => self.named(domain).whole.push(at),
            Pattern::Address(domain) => self.named(domain).addresses.push(at),
            Pattern::Ending(domain) => {
                self.named(domain.clone()).whole.push(at);
                let found = format!(
                    "{} stands for {domain} and every domain whose name ends so",
                    entry.key
                );
                self.wide(at, Code::WildcardPattern, found);
            }
            Pattern::Everything => {
                let found = format!("{} is for all mail, whoever it is from", entry.key);
                self.wide(at, Code::CatchAll, found);
            }
            Pattern::Subdomains(parent) => {
                let found = format!("{} stands for every domain below {parent}", entry.key);
                self.wide(at, Code::WildcardPattern, found);
            }
            Pattern::Other => {
                let found = format!("{} stands for domains that are not named", entry.key);
                self.wide(at, Code::WildcardPattern, found);
            }
            Pattern::Regular => self.say_regular(&entry),
            Pattern::Nothing => {
                let found = format!("no address is ever like {}", entry.key);
                let done = "it was left out, since OpenDKIM never signed by it; wildcards need \
                            refile:, and there user@host has to match";
                self.say(Code::NeverMatches, &entry.place, found, done);
            }
            Pattern::BadDomain(text) => {
                let found = format!("{text:?} is no domain name");
                self.say(Code::BadDomain, &entry.place, found, "it was left out");
            }
        }
    }

    fn say_regular(&mut self, entry: &Entry) {
        let found = format!("{} is a regular expression", entry.key);
        let done = format!(
            "whose mail it takes was not worked out, so the keys of the lines below were taken \
             over as ones that do not sign yet; {NAME_THEM}"
        );
        self.say(Code::WildcardPattern, &entry.place, found, done);
        self.used.insert(key_name(entry).to_lowercase());
    }

    /// The second field names whom `i=` is to name.
    fn identity(&mut self, entry: &Entry) {
        if let Some((_, identity)) = entry.value.split_once(':') {
            let found = format!("{} is signed with i={}", entry.key, identity.trim());
            let done = "Zegel writes no i=, which then is the domain itself";
            self.say(Code::DroppedOption, &entry.place, found, done);
        }
    }

    fn named(&mut self, domain: DomainName) -> &mut Named {
        let domains = &mut self.domains;
        let at = *self.places.entry(domain.clone()).or_insert_with(|| {
            domains.push(Named {
                domain,
                whole: Vec::new(),
                addresses: Vec::new(),
            });
            domains.len() - 1
        });
        &mut domains[at]
    }

    fn wide(&mut self, at: usize, code: Code, found: String) {
        let name = key_name(self.entry(at)).to_lowercase();
        if name != "%" {
            self.used.insert(name);
        }
        self.wide.push(Wide {
            at,
            code,
            found,
            taken: Vec::new(),
        });
    }

    /// A line for many domains signs for those that only the key table knows, too.
    fn name_those_with_keys(&mut self) {
        if self.wide.is_empty() {
            return;
        }
        for entry in &self.tables.keys.entries {
            let domain = entry.value.split(':').next().unwrap_or_default();
            for text in [entry.key.as_str(), domain.trim()] {
                if let Ok(domain) = text.parse::<DomainName>() {
                    self.named(domain);
                }
            }
        }
    }

    /// Gives a domain the keys of the lines that take its mail, and says which do not.
    fn decide(&mut self, at: usize) {
        let Named {
            domain,
            whole,
            addresses,
        } = &self.domains[at];
        let (domain, whole, addresses) = (domain.clone(), whole.clone(), addresses.clone());
        let taking = self.lines.taking_all_of(&domain);
        let mut decision = Decision {
            taking: taking.len(),
            lines: taking,
            naming: [whole.clone(), addresses.clone()].concat(),
            above: None,
        };
        let by_itself = decision
            .lines
            .first()
            .is_some_and(|at| self.signs_as(*at, &domain));
        if let (true, false, Some(first)) = (whole.is_empty(), by_itself, addresses.first()) {
            // Nothing but addresses names it: the first of them stands for it.
            decision.above = self.hides(&decision.lines, *first);
            decision.lines = vec![*first];
            decision.taking = 1;
        } else {
            // Where a name stands twice, a look-up finds the first.
            let others = whole.iter().filter(|at| !decision.lines.contains(at));
            let others: Vec<usize> = others.copied().collect();
            decision.lines.extend(others);
        }
        self.add_lines(&domain, &decision);
        self.say_addresses(&domain, &decision.lines, &addresses);
    }

    /// Whether a line signs mail of `domain` as that domain.
    fn signs_as(&self, at: usize, domain: &DomainName) -> bool {
        let name = key_name(self.entry(at));
        let name = if name == "%" { domain.as_str() } else { name };
        let entry = self.tables.keys.get(name);
        let signer = entry.and_then(|entry| entry.value.split(':').next());
        signer.is_some_and(|signer| {
            let signer = signer.trim();
            signer == "%" || signer.eq_ignore_ascii_case(domain.as_str())
        })
    }

    /// The line that leaves nothing to one for an address, among those that take all mail of its
    /// domain.
    fn hides(&self, taking: &[usize], address: usize) -> Option<usize> {
        if self.tables.signing.comparison == Comparison::Exact {
            return None;
        }
        let (first, last) = (*taking.first()?, *taking.last()?);
        let is_behind = !self.tables.multiple || address < last;
        (first < address && is_behind).then_some(first)
    }

    /// The line because of which this one does not sign. With `MultipleSignatures`, OpenDKIM 2.11
    /// signs by the first and by the last that match: its list loses those in between.
    fn hidden_by(&self, decision: &Decision, at: usize) -> Option<usize> {
        let first = decision.lines.first().copied();
        let last = decision.lines[..decision.taking].last().copied();
        let unknown = self.lines.unknown;
        let last = last.filter(|_| self.tables.multiple && unknown.is_none());
        let signs = [first, last].contains(&Some(at));
        unknown
            .filter(|unknown| *unknown < at)
            .or(decision.above)
            .or(last.or(first).filter(|_| !signs))
    }

    fn add_lines(&mut self, domain: &DomainName, decision: &Decision) {
        let mut keys = Vec::new();
        for at in &decision.lines {
            let place = self.place(*at);
            let name = key_name(self.entry(*at)).to_owned();
            let name = if name == "%" { domain.as_str() } else { &name };
            keys.push(self.key(name, &place));
        }
        // By a name that the key table does not have, OpenDKIM puts the mail off.
        let needed = if self.tables.multiple { keys.len() } else { 1 };
        let is_broken = keys.iter().take(needed).any(Option::is_none);
        for (at, key) in decision.lines.iter().zip(keys) {
            let names_it = decision.naming.contains(at);
            let Some(key) = key else {
                if names_it {
                    self.setup.keyless.push(domain.clone());
                }
                continue;
            };
            let before = self.hidden_by(decision, *at);
            // A line for many domains is no matter where it does not sign as this one.
            if !names_it && (before.is_some() || !key.signs_as(domain)) {
                continue;
            }
            let hidden_by = before.map(|before| self.place(before));
            let in_use = hidden_by.is_none() && !is_broken;
            self.add(domain, &key, *at, in_use, hidden_by);
            if let Some(wide) = self.wide.iter_mut().find(|wide| wide.at == *at) {
                wide.taken.push(domain.clone());
            }
        }
    }

    fn add(
        &mut self,
        author: &DomainName,
        key: &Key,
        at: usize,
        in_use: bool,
        hidden_by: Option<Place>,
    ) {
        let data = key.data.replace('%', author.as_str());
        let is_path = ["/", "./", "../"]
            .iter()
            .any(|start| data.starts_with(start));
        let source = if is_path {
            KeySource::File((self.tables.resolve)(&data))
        } else {
            KeySource::Inline(Secret::new(key.data.clone()))
        };
        self.setup.signings.push(Signing {
            signer: key.domain.clone().unwrap_or_else(|| author.clone()),
            author: author.clone(),
            selector: key.selector.clone(),
            key: source,
            in_use,
            hidden_by,
            place: self.place(at),
        });
    }

    /// The lines for single addresses, but for those that say what counts for all of them.
    fn say_addresses(&mut self, domain: &DomainName, lines: &[usize], addresses: &[usize]) {
        let by = lines.first().copied();
        let name_of = |at: usize| key_name(self.entry(at)).to_lowercase();
        let counting = by.map(name_of);
        let others: Vec<(usize, bool)> = (addresses.iter().copied())
            .map(|at| (at, counting == Some(name_of(at))))
            .collect();
        let is_address = by.is_some_and(|by| addresses.contains(&by));
        for (at, is_same) in others {
            let hidden = !is_address && self.hides(lines, at).is_some();
            let Entry {
                key, value, place, ..
            } = self.entry(at).clone();
            self.used.insert(key_name(self.entry(at)).to_lowercase());
            let (found, done) = if is_same && is_address {
                (
                    format!("only {key} is signed for, of {domain}"),
                    format!(
                        "Zegel goes by domains: mail of every address of {domain} will be signed; \
                         if that is not meant, restrict it with [senders]"
                    ),
                )
            } else if is_same {
                // It says what the line of the domain says.
                continue;
            } else if hidden {
                let found = format!("{key} is never looked at: the lines above take its mail");
                let done = "it was left out";
                self.say(Code::NeverMatches, &place, found, done);
                continue;
            } else {
                let place = by.map(|by| self.place(by).to_string()).unwrap_or_default();
                (
                    format!("{key} alone is signed with the key {value}"),
                    format!(
                        "it was left out: Zegel has one key of a kind for a domain, and mail of \
                         every address of {domain} will be signed as {place} says; if receivers \
                         still need the record of {value}, leave that in the DNS"
                    ),
                )
            };
            self.say(Code::SingleAddress, &place, found, done);
        }
    }

    fn say_wide(&mut self) {
        for wide in std::mem::take(&mut self.wide) {
            let taken = match wide.taken.as_slice() {
                [] => "nothing was taken over of it".to_owned(),
                [one] => format!("of it only {one} was taken over"),
                [first, ..] => format!(
                    "of it {} domains that are named were taken over, such as {first}",
                    wide.taken.len()
                ),
            };
            let done = format!("{taken}; {NAME_THEM}");
            let place = self.place(wide.at);
            self.say(wide.code, &place, wide.found, done);
        }
    }

    /// The line of the key table with this name. What is wrong is said at the line of the
    /// signing table.
    fn key(&mut self, name: &str, place: &Place) -> Option<Key> {
        self.used.insert(name.to_lowercase());
        let Some(entry) = self.tables.keys.get(name) else {
            let found = format!("the key table has no {name:?}");
            let done = "it was left out, and OpenDKIM does not sign by it either, but puts such \
                        mail off; names of keys are the same only in the same case";
            self.say(Code::UnknownKeyName, place, found, done);
            return None;
        };
        let fields: Vec<&str> = entry.value.splitn(3, ':').map(str::trim).collect();
        let [domain, selector, data] = fields[..] else {
            let found = format!("{name:?} is not domain:selector:key");
            self.say(Code::BadEntry, &entry.place, found, "it was left out");
            return None;
        };
        let Ok(selector) = selector.parse() else {
            let found = format!("{selector:?} is no selector (RFC 6376 §3.1)");
            let done = "its key was not taken over; make a new one with `zegel key generate`";
            self.say(Code::BadSelector, &entry.place, found, done);
            return None;
        };
        let domain = match (domain, domain.parse()) {
            ("%", _) => None,
            (_, Ok(domain)) => Some(domain),
            (text, Err(_)) => {
                let found = format!("{text:?} is no domain name");
                self.say(Code::BadDomain, &entry.place, found, "it was left out");
                return None;
            }
        };
        Some(Key {
            domain,
            selector,
            data: data.to_owned(),
        })
    }

    fn unused(&mut self) {
        for entry in &self.tables.keys.entries {
            if !self.used.contains(&entry.key.to_lowercase()) {
                let found = format!("no line of the signing table uses the key {}", entry.key);
                self.say(Code::UnusedKey, &entry.place, found, "it was left out");
            }
        }
    }
}

/// The first field of what is behind the pattern.
fn key_name(entry: &Entry) -> &str {
    entry.value.split(':').next().unwrap_or_default().trim()
}
