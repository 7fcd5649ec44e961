//! The organisations of `orgs.d/`, one file each: all files at once where there are many, and
//! of those that were read before only the ones that have changed since.

mod candidates;
mod delegation;
mod focus;
mod senders;

use std::{
    collections::{BTreeSet, HashMap, hash_map::Entry},
    ffi::{OsStr, OsString},
    fs::{self, File},
    io,
    os::unix::{ffi::OsStrExt, fs::DirEntryExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::fs::AtFlags;

pub use self::{
    candidates::{Candidate, Examined},
    focus::About,
};
use self::{focus::Looked, senders::Listeners};
use super::{
    contested::{conflicts, contested, leave_with_holders},
    mistakes::{Broken, Mistakes},
    on_disk,
    problem::{Fault, Report, Site},
    section::{List, Section, domain, owned_text, quoted, text, word},
    settings_file::read_policy,
    source::{self, Node, Value},
};
use crate::{
    dkim::key::Algorithm,
    files::{self, Stamp},
    names::{DomainName, OrganisationId},
    organisation::{Organisation, Policy, SelectorTemplate},
    words::Language,
};

/// The longest domain name in its text form (RFC 1035 §2.3.4).
const DOMAIN_OCTETS: usize = 253;

/// What `zegel.toml` says that organisations are read against.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Surroundings {
    pub(super) policy: Policy,
    /// Where keys are handed over to.
    pub(super) zone: Option<DomainName>,
    pub(super) name_servers: Vec<DomainName>,
    /// The names of the listeners; none when `zegel.toml` could not be read.
    pub(super) listeners: Option<Vec<String>>,
    /// Those of them that the process does not have, since they came after its start.
    pub(super) unbound: Vec<String>,
}

impl Surroundings {
    fn listeners(&self) -> Listeners<'_> {
        Listeners {
            named: self.listeners.as_deref(),
            unbound: &self.unbound,
        }
    }
}

/// What came of the files when they were last read.
#[derive(Debug, Default)]
pub(super) struct Memory {
    surroundings: Option<Surroundings>,
    /// As each file was when it was last good, in the order of their names.
    files: Vec<Known>,
    /// Who had which domains then.
    organisations: Vec<Arc<Organisation>>,
    has_contested: bool,
    /// Of a command about a few organisations.
    looked: Looked,
}

#[derive(Clone, Debug)]
struct Known {
    organisation: Arc<Organisation>,
    /// None when a change could leave no trace: then it is read again.
    stamp: Option<Stamp>,
}

/// A file of which something has to be told, and what could be made of it all the same.
struct Faulty {
    organisation: Option<Arc<Organisation>>,
    /// Words in it that can be domains.
    names: Vec<DomainName>,
    report: Report,
}

impl Memory {
    /// The organisations in the files of this folder, and every mistake of every file; or only
    /// those that matter to what a command is about. One whose file has a mistake is as the file
    /// was when it was last good.
    pub(super) fn read(
        &mut self,
        path: &Path,
        surroundings: Surroundings,
        about: Option<&About>,
        report: &Report,
    ) -> (Vec<Arc<Organisation>>, Mistakes) {
        let nothing = || (Vec::new(), Mistakes::default());
        let mut folder = match Folder::open(path, report) {
            Ok(folder) => folder,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let fault = Fault::new(
                    "there is no such folder, so there are no organisations",
                    "make it, with one file for each organisation, such as voorbeeld.toml",
                );
                report.warning(&Site::file(path), fault);
                return nothing();
            }
            Err(error) => {
                report.problem(&Site::file(path), source::unreadable(path, &error));
                return nothing();
            }
        };
        if let Some(about) = about {
            folder.narrow(about, &surroundings, &mut self.looked);
        }
        let may_be_as_before = self.surroundings.as_ref() == Some(&surroundings);
        let named = self.with_known(&folder.names);
        let read = files::each(&named, |(name, known)| match known {
            Some(known) if may_be_as_before && folder.is_unchanged(name, known) => {
                Ok(Known::clone(known))
            }
            _ => folder.read(name, *known, &surroundings),
        });
        let pairs = named.iter().zip(read);
        let taken: Vec<Taken> = pairs
            .map(|((name, known), read)| Taken::new(folder.path.join(name), *known, read))
            .collect();
        // Domains that nobody has taken since are as far apart as they were.
        let mut pairs = taken.iter().zip(&named);
        let are_apart = !self.has_contested
            && pairs.all(|(taken, (_, old))| match (&taken.known, old) {
                (Some(new), Some(old)) => old.has_domains_of(new),
                _ => false,
            });
        let (organisations, mistakes) = folder.conclude(&taken, are_apart, &self.organisations);
        // What is refused as a whole was never in use.
        if !report.has_problems() && surroundings.listeners.is_some() {
            self.files = taken.into_iter().filter_map(|one| one.known).collect();
            self.surroundings = Some(surroundings);
            self.organisations.clone_from(&organisations);
            self.has_contested = !mistakes.contested.is_empty();
        }
        (organisations, mistakes)
    }

    /// These are in use, and have the domains that several files have.
    pub(super) fn go_on_from(&mut self, organisations: &[Arc<Organisation>]) {
        self.organisations = organisations.to_vec();
    }

    /// Each name with what is known of that file; both are in the same order.
    fn with_known<'a>(&'a self, names: &'a [OsString]) -> Vec<(&'a OsStr, Option<&'a Known>)> {
        let mut files = self.files.iter().peekable();
        let find = |name: &'a OsString| {
            while files.next_if(|known| known.comes_before(name)).is_some() {}
            let known = files.next_if(|known| known.is_in(name));
            (name.as_os_str(), known)
        };
        names.iter().map(find).collect()
    }
}

/// What is taken of a file.
struct Taken {
    /// As it is, or was when it was last good.
    known: Option<Known>,
    /// Of one with a mistake that was never good, what could be made of it.
    partly: Option<Arc<Organisation>>,
    broken: Option<Broken>,
}

impl Taken {
    fn new(path: PathBuf, before: Option<&Known>, read: Result<Known, Box<Faulty>>) -> Self {
        let faulty = match read {
            Ok(known) => {
                return Self {
                    known: Some(known),
                    partly: None,
                    broken: None,
                };
            }
            Err(faulty) => *faulty,
        };
        Self {
            // Read again, whatever its stamp.
            known: before.map(|before| Known {
                stamp: None,
                ..before.clone()
            }),
            partly: faulty.organisation.filter(|_| before.is_none()),
            broken: Some(Broken {
                organisation: id(path.file_name().unwrap_or_default()).ok(),
                file: path,
                problems: faulty.report.into_problems(),
                is_kept: before.is_some(),
                names: if before.is_some() {
                    Vec::new()
                } else {
                    faulty.names
                },
            }),
        }
    }

    fn organisation(&self) -> Option<&Arc<Organisation>> {
        let known = self.known.as_ref();
        known
            .map(|known| &known.organisation)
            .or(self.partly.as_ref())
    }
}

impl Known {
    fn is_in(&self, name: &OsStr) -> bool {
        let stem = name.as_bytes().strip_suffix(b".toml");
        stem == Some(self.organisation.id.as_str().as_bytes())
    }

    fn comes_before(&self, name: &OsStr) -> bool {
        let own = self.organisation.id.as_str().bytes();
        !self.is_in(name) && own.chain(*b".toml").lt(name.as_bytes().iter().copied())
    }

    fn has_domains_of(&self, other: &Self) -> bool {
        let (own, other) = (&self.organisation, &other.organisation);
        Arc::ptr_eq(own, other) || (own.domains == other.domains && own.parked == other.parked)
    }
}

/// `orgs.d/`, opened.
struct Folder {
    path: PathBuf,
    handle: File,
    /// Of the files of organisations, in their order.
    names: Vec<OsString>,
    /// Of each of them, as the folder has it.
    inodes: Vec<u64>,
}

impl Folder {
    fn open(path: &Path, report: &Report) -> io::Result<Self> {
        let entries = fs::read_dir(path)?;
        let handle = File::open(path)?;
        if source::is_world_writable(&rustix::fs::fstat(&handle)?) {
            report.problem(&Site::file(path), source::open_to_all(path));
        }
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            // Hidden files, and locks of Emacs (.#voorbeeld.toml).
            if name.as_bytes().starts_with(b".") {
                continue;
            }
            // A link may lead to a folder, too.
            let is_folder = match entry.file_type() {
                Ok(kind) if !kind.is_symlink() => kind.is_dir(),
                _ => entry.path().is_dir(),
            };
            if is_folder {
                let text = "subfolders are not read";
                let advice = "put the files of organisations into orgs.d itself";
                report.warning(&Site::file(&entry.path()), Fault::new(text, advice));
            } else if on_disk::is_organisation_file(&name) {
                names.push((name, entry.ino()));
            }
        }
        names.sort_unstable();
        let (names, inodes) = names.into_iter().unzip();
        Ok(Self {
            path: path.to_owned(),
            handle,
            names,
            inodes,
        })
    }

    fn is_unchanged(&self, name: &OsStr, known: &Known) -> bool {
        known.stamp.is_some_and(|stamp| {
            rustix::fs::statat(&self.handle, name, AtFlags::empty())
                .is_ok_and(|stat| stamp == Stamp::from(&stat))
        })
    }

    fn read(
        &self,
        name: &OsStr,
        known: Option<&Known>,
        surroundings: &Surroundings,
    ) -> Result<Known, Box<Faulty>> {
        let report = Report::default();
        let path = self.path.join(name);
        let site = Site::file(&path);
        let id = id(name).unwrap_or_else(|fault| {
            report.problem(&site, fault);
            // What is in the file is checked all the same.
            "x".parse().expect("this is an id")
        });
        let (text, stamp) = match source::read_text(&self.handle, name, &path) {
            Ok((text, stamp)) => (Some(text), stamp),
            Err(fault) => {
                report.problem(&site, fault);
                (None, None)
            }
        };
        let root = text
            .as_ref()
            .and_then(|text| source::parse(&site, text, &report));
        let read = root.map(|root| read_organisation(root, id, surroundings, &report));
        match read {
            Some(read) if report.is_empty() => {
                let organisation = match known {
                    Some(known) if *known.organisation == read => Arc::clone(&known.organisation),
                    _ => Arc::new(read),
                };
                Ok(Known {
                    organisation,
                    stamp,
                })
            }
            read => Err(Box::new(Faulty {
                organisation: read.map(Arc::new),
                names: text.as_deref().map(names).unwrap_or_default(),
                report,
            })),
        }
    }

    /// The organisations, and what is wrong with each file in its order and with each domain
    /// that two files have, unless the domains are known to be apart.
    fn conclude(
        &self,
        taken: &[Taken],
        are_apart: bool,
        before: &[Arc<Organisation>],
    ) -> (Vec<Arc<Organisation>>, Mistakes) {
        let known = |one: &Taken| {
            one.known
                .as_ref()
                .map(|known| Arc::clone(&known.organisation))
        };
        let mut organisations: Vec<_> = taken.iter().filter_map(known).collect();
        let broken = |one: &Taken| one.broken.clone();
        let mut mistakes = Mistakes {
            broken: taken.iter().filter_map(broken).collect(),
            contested: Vec::new(),
        };
        if are_apart {
            return (organisations, mistakes);
        }
        let files: Vec<_> = taken.iter().map(Taken::organisation).collect();
        let mut between_good = Vec::new();
        for conflict in conflicts(&files) {
            let (first, other) = (conflict.first, conflict.other);
            let site = self.site_of(other, conflict.domain);
            let fault = is_taken(conflict.domain, &self.site_of(first, conflict.domain));
            let problem = site.problem(fault);
            let is_bad = |place: &&usize| taken[**place].known.is_none();
            // A file that is not used takes nothing from anybody.
            match [other, first].iter().find(is_bad) {
                None => between_good.push((conflict, problem)),
                Some(bad) => {
                    let bad = self.path.join(&self.names[*bad]);
                    let mut broken = mistakes.broken.iter_mut();
                    if let Some(broken) = broken.find(|one| one.file == bad) {
                        broken.problems.push(problem);
                    }
                }
            }
        }
        mistakes.contested = contested(between_good.into_iter(), &files, before);
        leave_with_holders(&mut organisations, &mistakes.contested, before);
        (organisations, mistakes)
    }

    /// Where this domain is written in a file. Places are not kept, so the file is read again.
    fn site_of(&self, place: usize, name: &DomainName) -> Site {
        let report = Report::default();
        let path = self.path.join(&self.names[place]);
        let file = Site::file(&path);
        let text = source::read_text(&self.handle, &self.names[place], &path).ok();
        let root = text.and_then(|(text, _)| source::parse(&file, &text, &report));
        let written = root.and_then(|root| {
            let mut section = Section::new(root, &report);
            let lists = ["domains", "parked"].map(|key| section.list(key, domain));
            let mut items = lists.into_iter().flatten().flat_map(|list| list.items);
            items.find(|(item, _)| item == name)
        });
        written.map_or_else(|| file.child("domains"), |(_, site)| site)
    }
}

/// The words that can be domains, wherever they stand and whether the file is TOML or not.
fn names(text: &str) -> Vec<DomainName> {
    let is_between = |c: char| c.is_whitespace() || "\"',[]{}=#@".contains(c);
    let words = text.split(is_between).filter(|word| word.contains('.'));
    let names: BTreeSet<DomainName> = words.filter_map(|word| word.parse().ok()).collect();
    names.into_iter().collect()
}

/// The id that a file gives its organisation.
fn id(file: &OsStr) -> Result<OrganisationId, Fault> {
    let stem = Path::new(file)
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy();
    stem.parse().map_err(|error| {
        Fault::new(
            format!("{} is no id for an organisation: {error}", quoted(&stem)),
            "rename the file: a to z, 0 to 9 and -, at most 40 of them, then .toml",
        )
    })
}

/// Reads the tree of an organisation. What is wrong is reported, and is left out or has its
/// default.
fn read_organisation(
    root: Node,
    id: OrganisationId,
    surroundings: &Surroundings,
    report: &Report,
) -> Organisation {
    let mut section = Section::new(root, report);
    let name = section.read("name", owned_text);
    let nothing = |key| section.length(key).is_none_or(|length| length == 0);
    if ["domains", "parked", "incoming"].into_iter().all(nothing) {
        let advice = "name each From domain: domains = [\"voorbeeld.nl\"]";
        let fault = Fault::new("the organisation has no domains", advice);
        report.problem(&section.site_of("domains"), fault);
    }
    let domains = section.list("domains", domain);
    let parked = section.list("parked", domain);
    let incoming = section.list("incoming", domain);
    report_doubled([&domains, &parked, &incoming], report);
    let contact = section.read("contact", contact);
    let language = section.read("language", language);
    let selector = read_selector(&mut section, &id, domains.as_ref());
    let algorithms = read_algorithms(&mut section);
    let senders = section
        .take("senders")
        .map(|node| senders::read(node, surroundings.listeners(), report));
    let delegations = section.take("delegation").map(|node| {
        let domains = domains.iter().chain(&incoming).flat_map(|list| &list.items);
        let domains: Vec<&DomainName> = domains.map(|(domain, _)| domain).collect();
        delegation::read(node, &domains, surroundings, report)
    });
    let policy = read_policy(section.section("policy"), surroundings.policy);
    section.finish();
    Organisation {
        name: name.unwrap_or_else(|| id.to_string()),
        domains: domains.map(List::into_values).unwrap_or_default(),
        parked: parked.map(List::into_values).unwrap_or_default(),
        incoming: incoming.map(List::into_values).unwrap_or_default(),
        contact,
        language: language.unwrap_or_default(),
        selector,
        algorithms,
        senders,
        delegations: delegations.unwrap_or_default(),
        policy,
        id,
    }
}

fn language(node: &Node) -> Result<Language, Fault> {
    word(node, &Language::ALL.map(|one| (one.as_str(), one)))
}

fn is_taken(domain: &DomainName, first: &Site) -> Fault {
    Fault::new(
        format!("{domain} is also in {} of {first}", first.key),
        "take it out of one of the two: a domain belongs to one organisation, and is either sent \
         from or parked",
    )
}

/// A domain is in one of these lists, and once.
fn report_doubled([domains, parked, incoming]: [&Option<List<DomainName>>; 3], report: &Report) {
    let mut first = HashMap::new();
    let here = domains.iter().chain(parked).flat_map(|list| &list.items);
    let here = here.map(|item| (item, is_taken as fn(&DomainName, &Site) -> Fault));
    let comes = incoming.iter().flat_map(|list| &list.items);
    let comes = comes.map(|item| (item, is_here as fn(&DomainName, &Site) -> Fault));
    for ((domain, site), fault) in here.chain(comes) {
        match first.entry(domain) {
            Entry::Vacant(free) => {
                free.insert(site);
            }
            Entry::Occupied(first) => report.problem(site, fault(domain, first.get())),
        }
    }
}

fn is_here(domain: &DomainName, first: &Site) -> Fault {
    Fault::new(
        format!("{domain} is also in {} of {first}", first.key),
        "take it out of incoming: that is for domains which another organisation still has",
    )
}

fn contact(node: &Node) -> Result<String, Fault> {
    let text = text(node)?;
    let valid = text.rsplit_once('@').is_some_and(|(local, domain)| {
        let unfit = |letter: char| letter.is_whitespace() || "<>,;".contains(letter);
        !local.is_empty() && !local.contains(unfit) && domain.parse::<DomainName>().is_ok()
    });
    if valid {
        Ok(text.to_owned())
    } else {
        let what = format!("{} is no mail address", quoted(text));
        Err(Fault::new(what, "write one such as dns@voorbeeld.nl"))
    }
}

fn read_selector(
    section: &mut Section<'_>,
    id: &OrganisationId,
    domains: Option<&List<DomainName>>,
) -> SelectorTemplate {
    const ADVICE: &str = "write letters, digits and hyphens with {org}, {year} and {half}, \
                          such as {org}-{year}{half}, which is the default";
    let site = section.site_of("selector");
    let report = section.report;
    let is_written = section.written("selector").is_some();
    let template = section.read("selector", owned_text);
    let in_its_place = || SelectorTemplate::new("s", id).expect("a letter is a selector");
    let template = match &template {
        Some(template) => template,
        None if is_written => return in_its_place(),
        None => SelectorTemplate::DEFAULT,
    };
    let selector = match SelectorTemplate::new(template, id) {
        Ok(selector) => selector,
        Err(error) => {
            let text = format!("{} is no template for selectors: {error}", quoted(template));
            report.problem(&site, Fault::new(text, ADVICE));
            return in_its_place();
        }
    };
    // On every date it is as long as on this one.
    let sample = selector.render(jiff::civil::date(2026, 1, 1));
    for (domain, site) in domains.iter().flat_map(|list| &list.items) {
        // Room for the "-999" of a further key.
        if sample.record_name(domain).len() + "-999".len() > DOMAIN_OCTETS {
            let text = "with the selector before it, this name is too long for the DNS";
            report.problem(site, Fault::new(text, "choose a shorter selector"));
        }
    }
    selector
}

fn read_algorithms(section: &mut Section<'_>) -> Vec<Algorithm> {
    let algorithms = [Algorithm::RsaSha256, Algorithm::Ed25519Sha256];
    let choices = algorithms.map(|algorithm| (algorithm.as_str(), algorithm));
    let list = section.list("algorithms", |node| {
        if matches!(&node.value, Value::Text(text) if text == "rsa-sha1") {
            let advice = "write rsa-sha256: SHA-1 is no longer accepted (RFC 8301 §3.1)";
            return Err(Fault::new("rsa-sha1 must not be used", advice));
        }
        word(node, &choices)
    });
    let Some(list) = list else {
        return vec![Algorithm::RsaSha256];
    };
    if list.empty {
        let fault = Fault::new(
            "there is no algorithm",
            "write algorithms = [\"rsa-sha256\"]",
        );
        section.report.problem(&list.site, fault);
    }
    let mut seen = Vec::new();
    for (algorithm, site) in &list.items {
        if seen.contains(algorithm) {
            let text = format!("{} is named more than once", algorithm.as_str());
            section
                .report
                .problem(site, Fault::new(text, "name it once"));
        } else {
            seen.push(*algorithm);
        }
    }
    list.into_values()
}
