//! A command about one organisation among many: the file of that one is read, and those that may
//! name its domains. Each other file is looked through for these, and not parsed.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    ffi::{OsStr, OsString},
};

use rustix::fs::{Mode, OFlags};

use super::{Folder, Surroundings, Taken};
use crate::{
    files,
    names::{DomainName, OrganisationId},
};

/// What a command is about.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct About {
    /// These organisations, whether they have files or not.
    pub organisations: BTreeSet<OrganisationId>,
    /// These domains, beside those that are in the files of the organisations.
    pub domains: BTreeSet<DomainName>,
}

/// The domains that are looked for, as they are in the DNS.
#[derive(Debug, Default, Eq, PartialEq)]
struct Wanted {
    domains: HashSet<String>,
    /// Those that never send: whoever sends below them is of interest too
    /// ([`crate::config::SendersBelow`]).
    parked: HashSet<String>,
    /// The names above all of them: of whom never sends there.
    above: HashSet<String>,
}

/// In which files something was looked for, and whether it may be there.
#[derive(Debug, Default)]
pub(super) struct Looked {
    wanted: Wanted,
    /// By name and inode: a file that another one has replaced has another inode.
    files: HashMap<(OsString, u64), bool>,
}

impl Folder {
    /// Leaves only the files that matter. What was looked through before, and was not replaced
    /// since, is not looked through again.
    pub(super) fn narrow(
        &mut self,
        about: &About,
        surroundings: &Surroundings,
        before: &mut Looked,
    ) {
        let organisations = about.organisations.iter();
        let own: HashSet<OsString> = organisations
            .map(|id| OsString::from(format!("{id}.toml")))
            .collect();
        let wanted = self.wanted(about, &own, surroundings);
        if before.wanted != wanted {
            *before = Looked {
                wanted,
                files: HashMap::new(),
            };
        }
        let wanted = &before.wanted;
        let entries: Vec<(OsString, u64)> = std::mem::take(&mut self.names)
            .into_iter()
            .zip(std::mem::take(&mut self.inodes))
            .collect();
        let may_name: Vec<bool> = files::each(&entries, |entry| {
            let known = before.files.get(entry).copied();
            known.unwrap_or_else(|| !wanted.domains.is_empty() && self.may_name(&entry.0, wanted))
        });
        for (entry, matters) in entries.iter().zip(&may_name) {
            if *matters || own.contains(&entry.0) {
                self.names.push(entry.0.clone());
                self.inodes.push(entry.1);
            }
        }
        before.files = entries.into_iter().zip(may_name).collect();
    }

    /// The domains to look for.
    fn wanted(
        &self,
        about: &About,
        own: &HashSet<OsString>,
        surroundings: &Surroundings,
    ) -> Wanted {
        let mut wanted = Wanted {
            domains: about.domains.iter().map(ToString::to_string).collect(),
            parked: HashSet::new(),
            above: HashSet::new(),
        };
        for name in own {
            if self.names.binary_search(name).is_err() {
                continue;
            }
            let taken = Taken::new(
                self.path.join(name),
                None,
                self.read(name, None, surroundings),
            );
            if let Some(organisation) = taken.organisation() {
                let lists = [
                    &organisation.domains,
                    &organisation.parked,
                    &organisation.incoming,
                ];
                let domains = lists.into_iter().flatten().map(ToString::to_string);
                wanted.domains.extend(domains);
                let parked = organisation.parked.iter().map(ToString::to_string);
                wanted.parked.extend(parked);
            }
        }
        for domain in &wanted.domains {
            let mut above = domain.split_once('.');
            while let Some((_, name)) = above.filter(|(_, name)| name.contains('.')) {
                wanted.above.insert(name.to_owned());
                above = name.split_once('.');
            }
        }
        wanted
    }

    /// Whether one of these domains may be in a file. What can't be read counts as such: what is
    /// wrong with it is told when it is read as it should be.
    fn may_name(&self, file: &OsStr, wanted: &Wanted) -> bool {
        /// Most files of organisations are far shorter.
        const OCTETS: usize = 8 * 1024;
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let Ok(opened) = rustix::fs::openat(&self.handle, file, flags, Mode::empty()) else {
            return true;
        };
        let mut text = [0; OCTETS];
        match rustix::io::read(&opened, &mut text) {
            // A file that is longer than this is read as a whole.
            Ok(octets) if octets < OCTETS => may_name(&text[..octets], wanted),
            _ => true,
        }
    }
}

/// Whether one of these domains may be in the text of a file. It is if the text can't tell: with
/// letters beyond ASCII, or with escapes, a domain can be written in many ways.
fn may_name(text: &[u8], wanted: &Wanted) -> bool {
    text.split(|octet| *octet == b'\n').any(|line| {
        let is_plain = line.is_ascii() && !line.contains(&b'\\');
        // No domain is in a name for people.
        (!is_plain && !is_name(line)) || words(line).any(|word| is_wanted(word, wanted))
    })
}

/// Whether this is the line of the key `name`.
fn is_name(line: &[u8]) -> bool {
    let after = line.trim_ascii_start().strip_prefix(b"name");
    after.is_some_and(|rest| {
        let rest = rest.trim_ascii_start();
        // A text of several lines ends where it likes.
        rest.starts_with(b"=")
            && !rest.contains(&b'\'')
            && memchr::memmem::find(rest, b"\"\"\"").is_none()
    })
}

/// What may be domains. With an @ before it, it is none.
fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let is_within =
        |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-' | b'_' | b'@');
    let words = line.split(move |octet| !is_within(*octet));
    words.filter(|word| word.contains(&b'.') && !word.contains(&b'@'))
}

fn is_wanted(word: &[u8], wanted: &Wanted) -> bool {
    let word = word.strip_suffix(b".").unwrap_or(word);
    let Ok(word) = std::str::from_utf8(word) else {
        return true;
    };
    if word.bytes().any(|octet| octet.is_ascii_uppercase()) {
        wanted.has(&word.to_ascii_lowercase())
    } else {
        wanted.has(word)
    }
}

impl Wanted {
    /// A domain in lower case, or what looks like one.
    fn has(&self, word: &str) -> bool {
        self.domains.contains(word)
            || self.above.contains(word)
            || (!self.parked.is_empty() && self.is_below(word))
    }

    fn is_below(&self, word: &str) -> bool {
        let mut above = word.split_once('.');
        while let Some((_, name)) = above {
            if self.parked.contains(name) {
                return true;
            }
            above = name.split_once('.');
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> bool {
        let wanted = Wanted {
            domains: ["een.example", "xn--bcher-kva.example", "oud.example"]
                .map(str::to_owned)
                .into(),
            parked: ["oud.example".to_owned()].into(),
            above: ["boven.example".to_owned()].into(),
        };
        may_name(text.as_bytes(), &wanted)
    }

    #[test]
    fn a_domain_is_found_however_it_is_written() {
        for text in [
            "domains = [\"een.example\"]",
            "domains = [\"twee.example\",\n  'EEN.Example.',\n]",
            "domains = [\"xn--bcher-kva.example\"]",
            "domains = [\"b\u{fc}cher.example\"]",
            "domains = [\"\\u0065en.example\"]",
            "# een.example is elsewhere",
            "name = \"\"\"\u{e9}\"\"\"\ndomains = [\"\"\"een.example\"\"\"]",
            "names = \"\u{e9}\"",
            // Whoever sends below one that never does.
            "domains = [\"mail.deel.OUD.example\"]",
            // And whoever never sends above them.
            "parked = [\"boven.example\"]",
        ] {
            assert!(names(text), "{text}");
        }
        let not_ascii = [b"domains = [\"".as_slice(), &[0xff], b"\"]"].concat();
        assert!(may_name(&not_ascii, &Wanted::default()));
    }

    #[test]
    fn what_only_looks_like_it_is_passed_over() {
        for text in [
            "",
            "domains = [\"een.example.org\", \"geen.example\", \"www.een.example\"]",
            "name = \"Caf\u{e9} \\\"Een\\\"\"\ncontact = \"dns@een.example\"",
        ] {
            assert!(!names(text), "{text}");
        }
    }
}
