//! Hand-over packs as files in a folder: one for each organisation that has something to do.

use std::{
    collections::{BTreeMap, HashSet},
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    failure::Failure,
    output::complain,
    placing::{Existing, FolderLock, failed, make_folder, put_all},
};
use crate::{
    config::{Loaded, SendersBelow},
    handover::{
        DomainPack, DomainTasks, Format, Handover, Pack, PolicyKind, PolicyPack, Scope,
        needs_public_key,
    },
    keys::{Task, What},
    keystore::{HandOver, Keystore},
    names::{DomainName, OrganisationId, Selector},
    organisation::Organisation,
    words::{Language, words},
};

/// Which files of the folder are ours, so that no other one is touched.
const LIST: &str = ".zegel-packs.json";

const VERSION: u32 = 1;

words! {
    /// What a record is about.
    #[derive(Clone, Copy, Debug, Eq, PartialEq)]
    pub(super) enum RecordKind {
        /// A key.
        Dkim = "dkim",
        /// The record that hands the keys over to the operator, where one does for all.
        Delegation = "delegation",
        /// Who may send.
        Spf = "spf",
        /// What is done with mail that only pretends.
        Dmarc = "dmarc",
    }
}

impl From<PolicyKind> for RecordKind {
    fn from(kind: PolicyKind) -> Self {
        match kind {
            PolicyKind::Spf => Self::Spf,
            PolicyKind::Dmarc => Self::Dmarc,
        }
    }
}

/// What a DNS administrator has to do with one record.
#[derive(Clone, Debug, Serialize)]
pub(super) struct OpenTask {
    pub(super) domain: DomainName,
    pub(super) kind: RecordKind,
    /// Of the key; none for a policy.
    pub(super) selector: Option<Selector>,
    pub(super) task: Task,
}

/// What somebody has to do: in each domain the keys, the most urgent first, and then the policies.
pub(super) fn open_tasks(pack: &Pack) -> Vec<OpenTask> {
    let mut open = Vec::new();
    for DomainPack {
        domain,
        tasks,
        delegation,
        ..
    } in &pack.domains
    {
        let task = |kind, selector: Option<Selector>, task| OpenTask {
            domain: domain.clone(),
            kind,
            selector,
            task,
        };
        match tasks {
            DomainTasks::Sending { keys, policies, .. } => {
                let asked = keys.iter().filter(|key| key.task != Task::Keep);
                open.extend(
                    asked.map(|key| task(RecordKind::Dkim, Some(key.selector.clone()), key.task)),
                );
                let asked = delegation.iter().filter(|one| one.is_asked);
                let records = asked.filter(|one| !one.records.is_empty());
                if records.count() > 0 {
                    // One record for all of these keys, each of which waits for it.
                    let waiting = keys.iter().filter(|key| key.next == What::Delegate);
                    let waiting = waiting.map(|key| Some(key.selector.clone()));
                    let mut waiting: Vec<Option<Selector>> = waiting.collect();
                    if waiting.is_empty() {
                        waiting.push(None);
                    }
                    let handed = waiting.into_iter();
                    let add = |selector| task(RecordKind::Delegation, selector, Task::Add);
                    open.extend(handed.map(add));
                }
                let policies = policies.iter().filter(|policy| is_asked(policy));
                open.extend(policies.map(|one| task(one.kind.into(), None, one.task)));
            }
            DomainTasks::Parked { remove, asked, .. } => {
                let end = format!("._domainkey.{domain}");
                let selector =
                    |name: &String| name.strip_suffix(&end).and_then(|name| name.parse().ok());
                let names = remove.iter();
                open.extend(names.map(|name| task(RecordKind::Dkim, selector(name), Task::Remove)));
                open.extend(
                    asked
                        .iter()
                        .map(|(kind, asked)| task((*kind).into(), None, *asked)),
                );
            }
        }
    }
    open
}

/// The pack of an organisation as things are. `below` has who sends below its domains that never
/// do.
pub(super) fn pack(
    loaded: &Loaded,
    keystore: &Keystore,
    (organisation, below): (&Organisation, &SendersBelow),
    scope: &Scope,
) -> Result<Pack, Failure> {
    let keys = keystore.read_public_keys(&organisation.id, needs_public_key)?;
    let (settings, now) = (&loaded.settings, Timestamp::now());
    let handover = Handover::new(organisation, below, &keys, settings, now);
    Ok(handover.pack(scope)?)
}

/// What is noted when a pack is handed over: the records of its keys.
pub(super) fn hand_over(organisation: &OrganisationId, tasks: &[OpenTask]) -> HandOver {
    let record = |open: &OpenTask| Some((open.domain.clone(), open.selector.clone()?));
    HandOver {
        organisation: organisation.clone(),
        records: tasks.iter().filter_map(record).collect(),
    }
}

/// Whether there is a reason to hand the pack over.
pub(super) fn has_work(pack: &Pack) -> bool {
    !open_tasks(pack).is_empty()
}

/// Of what nobody has looked at yet, nobody knows whether it has to change.
fn is_asked(policy: &PolicyPack) -> bool {
    policy.task != Task::Keep && policy.seen.is_some()
}

/// A pack that is to be a file.
pub(super) struct PackFile {
    organisation: OrganisationId,
    name: String,
    content: Vec<u8>,
    tasks: Vec<OpenTask>,
}

/// Of which organisations the packs are.
pub(super) enum Coverage {
    /// Of these: others are left as they are.
    These,
    /// Of all but these; a pack of another one is of no use any more.
    AllBut(HashSet<OrganisationId>),
}

/// What was done.
#[derive(Serialize)]
pub(super) struct Written {
    folder: PathBuf,
    #[serde(rename = "written")]
    pub(super) packs: Vec<WrittenPack>,
    removed: Vec<String>,
    left: Vec<LeftFile>,
}

#[derive(Serialize)]
pub(super) struct WrittenPack {
    pub(super) organisation: OrganisationId,
    file: PathBuf,
    pub(super) tasks: Vec<OpenTask>,
}

/// A file that is in the way, or of no use any more, and stays.
#[derive(Serialize)]
struct LeftFile {
    file: String,
    why: &'static str,
    #[serde(skip)]
    is_in_the_way: bool,
}

#[derive(Deserialize, Serialize)]
struct List {
    version: u32,
    files: BTreeMap<String, Option<Mark>>,
}

/// By what a file is known to be as it was written.
#[derive(Clone, Copy, Deserialize, Eq, PartialEq, Serialize)]
struct Mark {
    octets: u64,
    modified: i64,
    nanoseconds: i64,
}

impl Mark {
    fn of(metadata: &Metadata) -> Self {
        Self {
            octets: metadata.len(),
            modified: metadata.mtime(),
            nanoseconds: metadata.mtime_nsec(),
        }
    }
}

impl PackFile {
    pub(super) fn new(pack: &Pack, format: Format, language: Language) -> Self {
        Self {
            organisation: pack.organisation.clone(),
            name: format!("{}.{}", pack.organisation, suffix(format)),
            content: pack.render(format, language).into_bytes(),
            tasks: open_tasks(pack),
        }
    }
}

/// How many records of keys there are for each task, and which policies: `add 2, SPF, DMARC`. A
/// pack of a sheet may ask for nothing.
fn asked(tasks: &[OpenTask]) -> String {
    let mut words: Vec<String> = Vec::new();
    let of = |kind| tasks.iter().filter(move |open| open.kind == kind);
    for task in Task::ALL {
        let keys = of(RecordKind::Dkim).filter(|open| open.task == task);
        let count = keys.count();
        if count > 0 {
            words.push(format!("{task} {count}"));
        }
    }
    for kind in [RecordKind::Delegation, RecordKind::Spf, RecordKind::Dmarc] {
        if of(kind).next().is_some() {
            let word = kind.as_str();
            words.push(match kind {
                RecordKind::Delegation => word.to_owned(),
                _ => word.to_uppercase(),
            });
        }
    }
    if words.is_empty() {
        return "nothing is asked".to_owned();
    }
    words.join(", ")
}

fn suffix(format: Format) -> &'static str {
    match format {
        Format::Text => "txt",
        Format::Zone => "zone",
        Format::Json => "json",
        Format::Html => "html",
        Format::Markdown => "md",
    }
}

impl Written {
    /// Says which files stay, and gives whether none is in the way.
    pub(super) fn say_left(&self) -> bool {
        for left in &self.left {
            let file = self.folder.join(&left.file);
            complain(format_args!("{}: {}", file.display(), left.why));
        }
        !self.left.iter().any(|left| left.is_in_the_way)
    }

    /// A line for each file.
    pub(super) fn lines(&self) -> Vec<String> {
        let written = self.packs.iter().map(|one| {
            let file = one.file.display();
            format!("{file}: {}", asked(&one.tasks))
        });
        let removed = self.removed.iter().map(|name| {
            let file = self.folder.join(name);
            format!(
                "{}: removed, nothing is to be done any more",
                file.display()
            )
        });
        written.chain(removed).collect()
    }
}

/// Writes the packs, and removes those of before that are of no use, if nobody has changed them.
pub(super) fn write(
    folder: &Path,
    packs: &[PackFile],
    coverage: &Coverage,
) -> Result<Written, Failure> {
    make_folder(folder)?;
    let _lock = FolderLock::new(folder)?;
    let mut list = read_list(folder)?;
    let mut written = Written {
        folder: folder.to_owned(),
        packs: Vec::new(),
        removed: Vec::new(),
        left: Vec::new(),
    };
    let mut files = Vec::new();
    for pack in packs {
        let is_there = fs::symlink_metadata(folder.join(&pack.name)).is_ok();
        if is_there && !list.files.contains_key(&pack.name) {
            written.left.push(LeftFile {
                file: pack.name.clone(),
                why: "it is there, and zegel did not write it: the pack was not written; take \
                      the file away, or choose another folder",
                is_in_the_way: true,
            });
            continue;
        }
        // It is ours from before it is there: whoever dies in between leaves no stranger.
        list.files.entry(pack.name.clone()).or_insert(None);
        files.push((pack.name.clone(), pack.content.clone()));
        written.packs.push(WrittenPack {
            organisation: pack.organisation.clone(),
            file: folder.join(&pack.name),
            tasks: pack.tasks.clone(),
        });
    }
    write_list(folder, &list)?;
    put_all(folder, &files, Existing::Replaced)?;
    for (name, _) in &files {
        let metadata = fs::symlink_metadata(folder.join(name));
        list.files
            .insert(name.clone(), metadata.ok().as_ref().map(Mark::of));
    }
    remove_stale(folder, packs, coverage, &mut list, &mut written)?;
    write_list(folder, &list)?;
    Ok(written)
}

fn remove_stale(
    folder: &Path,
    packs: &[PackFile],
    coverage: &Coverage,
    list: &mut List,
    written: &mut Written,
) -> Result<(), Failure> {
    let Coverage::AllBut(kept) = coverage else {
        return Ok(());
    };
    let current: HashSet<&OrganisationId> = packs.iter().map(|pack| &pack.organisation).collect();
    let is_stale = |name: &str| {
        let id = name
            .rsplit_once('.')
            .map(|(id, _)| id.parse::<OrganisationId>());
        matches!(id, Some(Ok(id)) if !current.contains(&id) && !kept.contains(&id))
    };
    let stale = list.files.iter().filter(|(name, _)| is_stale(name));
    let stale: Vec<(String, Option<Mark>)> =
        stale.map(|(name, mark)| (name.clone(), *mark)).collect();
    for (name, mark) in stale {
        let path = folder.join(&name);
        match fs::symlink_metadata(&path) {
            Err(_) => {}
            Ok(metadata) if mark == Some(Mark::of(&metadata)) && metadata.is_file() => {
                fs::remove_file(&path).map_err(|error| failed(&path, &error))?;
                written.removed.push(name.clone());
            }
            Ok(_) => {
                written.left.push(LeftFile {
                    file: name.clone(),
                    why: "nothing is to be done any more, and somebody has changed the file: it \
                          stays; take it away when it is of no use",
                    is_in_the_way: false,
                });
            }
        }
        list.files.remove(&name);
    }
    Ok(())
}

fn read_list(folder: &Path) -> Result<List, Failure> {
    let path = folder.join(LIST);
    let refused = |why: String| {
        Failure::Other(format!(
            "{}: {why}; take it away, with the packs, or choose another folder",
            path.display()
        ))
    };
    match fs::read(&path) {
        Ok(json) => {
            let list: List =
                serde_json::from_slice(&json).map_err(|error| refused(error.to_string()))?;
            if list.version != VERSION {
                return Err(refused(format!("it has version {}", list.version)));
            }
            Ok(list)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(List {
            version: VERSION,
            files: BTreeMap::new(),
        }),
        Err(error) => Err(failed(&path, &error)),
    }
}

fn write_list(folder: &Path, list: &List) -> Result<(), Failure> {
    let mut json = serde_json::to_vec_pretty(list)
        .map_err(|error| Failure::Other(format!("{}: {error}", folder.display())))?;
    json.push(b'\n');
    put_all(folder, &[(LIST.to_owned(), json)], Existing::Replaced)
}
