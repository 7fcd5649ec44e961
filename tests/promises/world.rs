//! One history: what happens to the files, and what must be so of every message.

mod losses;

use std::{collections::BTreeSet, fs};

use jiff::Timestamp;
use zegel::keys::{Event as Step, KeyEntry, State, Timing};

use crate::{
    book::{Book, Fact, KeyId, MadeKey},
    commands::{self, Command},
    events::{DOMAINS, Dom, Event, ORGANISATIONS, Org, Place},
    files::{Content, Files, remove},
    keeper::{Dns, Keeper, Looked, Written, dom, id, in_keyring, timing},
    signer::{Fate, Signer},
    witnesses::{Copy, Witnesses},
};

/// How often the things happened that this is about.
#[derive(Debug, Default)]
pub(crate) struct Counts([u64; 10]);

const NAMES: [&str; 10] = [
    "signed",
    "put off",
    "unsigned",
    "made",
    "activated",
    "left",
    "returned",
    "revoked",
    "older copies",
    "losses under a key in use",
];

impl Counts {
    pub(crate) fn add(&mut self, other: &Self) {
        self.0
            .iter_mut()
            .zip(other.0)
            .for_each(|(one, other)| *one += other);
    }

    pub(crate) fn check(&self, histories: u32) {
        for (name, count) in NAMES.into_iter().zip(self.0) {
            // Some are rare: a short run need not have them.
            let enough = u64::from(histories / 200);
            assert!(count >= enough, "{name}: only {count}");
        }
    }

    fn one(&mut self, name: &str) {
        let index = NAMES.iter().position(|one| *one == name).unwrap();
        self.0[index] += 1;
    }
}

/// How a file of `orgs.d/` is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum FileState {
    There,
    Lost,
}

pub(crate) struct World {
    pub(crate) counts: Counts,
    files: Files,
    timing: Timing,
    dns: Dns,
    signer: Signer,
    keeper: Keeper,

    book: Book,
    witnesses: Witnesses,
    /// Which records were seen everywhere, or are there by the operator's word, since the domain
    /// last came back.
    proven: BTreeSet<(KeyId, Dom)>,
    /// Those that the keeper has let go for files that the signer has not read, and with which it
    /// signs on until it has.
    signs_on: BTreeSet<(KeyId, Dom)>,
    /// By a command, with nothing of it lost since.
    suspended: [bool; ORGANISATIONS.len()],

    place: Place,
    parked: [bool; ORGANISATIONS.len()],
    has_algorithm: [bool; ORGANISATIONS.len()],
    organisation_files: [FileState; ORGANISATIONS.len()],
    /// What the signer goes by: the files as it read them last.
    view: [Option<Content>; ORGANISATIONS.len()],

    folders_away: [bool; ORGANISATIONS.len()],
    keyrings_away: [crate::book::Facts; ORGANISATIONS.len()],
    unmounted: Option<Copy>,
    backups: Vec<Copy>,
    generation: Option<Vec<u8>>,
}

impl World {
    pub(crate) fn new(drains_long: bool) -> Self {
        let files = Files::new();
        for org in 0..ORGANISATIONS.len() {
            files.write_organisation(org, &Content::of(org, Place::Sent(0), false, true));
        }
        let keystore = zegel::keystore::Keystore::create(&files.path("keys")).unwrap();
        drop(keystore.writer().unwrap());
        let mut world = Self {
            counts: Counts::default(),
            signer: Signer::start(&files),
            keeper: Keeper::start(&files),
            timing: timing(drains_long),
            dns: Dns::default(),
            book: Book::default(),
            witnesses: Witnesses::default(),
            proven: BTreeSet::new(),
            signs_on: BTreeSet::new(),
            suspended: [false; 2],
            place: Place::Sent(0),
            parked: [false; 2],
            has_algorithm: [true; 2],
            organisation_files: [FileState::There; 2],
            view: [None, None],
            folders_away: [false; 2],
            keyrings_away: Default::default(),
            unmounted: None,
            backups: Vec::new(),
            generation: None,
            files,
        };
        world.witnesses.writer_came();
        world.note_view(false);
        world
    }

    /// Something happens, the signer notices, and there is mail.
    pub(crate) fn take(&mut self, event: Event) {
        match event {
            Event::Look(..)
            | Event::Publish(_)
            | Event::Unpublish(..)
            | Event::Roll(_)
            | Event::Generate(_)
            | Event::Activate(..)
            | Event::Revoke(..)
            | Event::Suspend(_)
            | Event::Resume(_)
            | Event::Retire(..)
            | Event::Restore => self.live(event),
            Event::FolderAway(_)
            | Event::FolderBack(_)
            | Event::KeyringGone(_)
            | Event::KeyringEmptied(_)
            | Event::KeyringOld(..)
            | Event::KeyFileGone(..) => self.lose_of_one(event),
            Event::GenerationGone
            | Event::GenerationBack
            | Event::IdGone
            | Event::AuditGone
            | Event::AuditCut
            | Event::MarkGone
            | Event::Backup
            | Event::RollBack(_)
            | Event::Unmount
            | Event::Mount
            | Event::Initialise => self.lose_of_all(event),
            Event::FileGone(_)
            | Event::FileIsFolder(_)
            | Event::FileBack(_)
            | Event::FolderOfFilesGone
            | Event::FolderOfFilesBack
            | Event::Put(_)
            | Event::Park(_)
            | Event::Algorithm(_) => self.configure(event),
            Event::Reload => {
                if self.signer.reload() {
                    self.note_view(true);
                    let (book, view) = (&self.book, &self.view);
                    self.signs_on.retain(|(key, dom)| {
                        let own = view[book.keys[*key].org].as_ref();
                        own.is_some_and(|own| own.sent.contains(dom))
                    });
                }
            }
            Event::Restart => {
                self.signer = Signer::start(&self.files);
                self.signs_on.clear();
                self.note_view(false);
            }
            Event::KeeperRestart => self.keeper = Keeper::start(&self.files),
        }
        self.signer.look();
        (0..DOMAINS.len()).for_each(|dom| self.send(dom));
    }

    #[expect(
        clippy::redundant_closure_for_method_calls,
        reason = "a method of one lifetime does not serve for every one"
    )]
    fn live(&mut self, event: Event) {
        match event {
            Event::Look(org, answers) => {
                let looked = self.keeper.look(org, (&self.dns, answers), &self.timing);
                self.note_writer();
                if let Some(looked) = looked {
                    self.note_look(org, &looked);
                }
            }
            Event::Publish(dom) => self.publish(dom),
            Event::Unpublish(dom, which) => {
                let names: Vec<_> = self
                    .dns
                    .0
                    .keys()
                    .filter(|(at, _)| *at == dom)
                    .cloned()
                    .collect();
                if let Some(name) = names.get(which % names.len().max(1)) {
                    self.dns.0.remove(name);
                }
            }
            Event::Roll(org) => self.command(org, false, |one| one.roll()),
            Event::Generate(org) => self.command(org, false, |one| one.generate()),
            Event::Activate(org, which) => self.command(org, true, |one| one.activate(which)),
            Event::Revoke(org, which) => self.command(org, false, |one| one.revoke(which)),
            Event::Retire(org, dom) => {
                let mut is_done = false;
                self.command(org, false, |one| {
                    let written = one.retire(dom);
                    is_done = written.is_some();
                    written
                });
                let keys = 0..self.book.keys.len();
                for key in keys.filter(|key| is_done && self.book.keys[*key].org == org) {
                    self.witnesses.end(org, Fact::Active(key, dom));
                }
            }
            Event::Suspend(org) => self.suspend(org, true),
            Event::Resume(org) => self.suspend(org, false),
            Event::Restore => self.restore(),
            _ => unreachable!(),
        }
    }

    fn command(
        &mut self,
        org: Org,
        is_word: bool,
        run: impl FnOnce(&Command<'_>) -> Option<Written>,
    ) {
        let command = Command {
            files: &self.files,
            org,
            timing: &self.timing,
        };
        let written = run(&command);
        self.note_writer();
        if let Some(written) = written {
            self.note(org, &written, is_word);
        }
    }

    fn suspend(&mut self, org: Org, is_suspended: bool) {
        let command = Command {
            files: &self.files,
            org,
            timing: &self.timing,
        };
        let done = command.suspend(is_suspended).is_some();
        self.note_writer();
        if done {
            self.suspended[org] = is_suspended;
        }
    }

    fn restore(&mut self) {
        let Some(keystore) = commands::open(&self.files) else {
            return;
        };
        let restored = keystore.restore(Timestamp::now());
        self.note_writer();
        for (organisation, change) in restored.map(|one| one.given_up).unwrap_or_default() {
            let org = ORGANISATIONS
                .iter()
                .position(|one| *one == organisation.as_str());
            let written = Written {
                changes: vec![change],
                made: Vec::new(),
            };
            self.note(org.unwrap(), &written, false);
        }
    }

    /// The administrators do what the keyrings ask of them.
    fn publish(&mut self, at: Dom) {
        let Some(keystore) = commands::open(&self.files) else {
            return;
        };
        for org in 0..ORGANISATIONS.len() {
            let Ok(keyring) = keystore.read_keyring(&id(org)) else {
                continue;
            };
            for key in keyring.keys() {
                let mut publications = key.publications.iter();
                let Some((_, publication)) = publications.find(|(name, _)| dom(name) == at) else {
                    continue;
                };
                let name = (at, key.selector.clone());
                if publication.holds_key() {
                    self.dns.0.insert(name, Some(key.fingerprint));
                } else if publication.state == State::Revoked || self.dns.0.contains_key(&name) {
                    self.dns.0.insert(name, None);
                }
            }
        }
    }

    fn note_writer(&mut self) {
        if self.files.path("keys.mark/mark.jsonl").exists() {
            self.witnesses.writer_came();
        }
    }

    fn note_look(&mut self, org: Org, looked: &Looked) {
        for (fingerprint, dom) in &looked.seen {
            if let Some(key) = self.book.find(*fingerprint)
                && !looked.elsewhere.contains(dom)
            {
                self.proven.insert((key, *dom));
                if self.witnesses.keyrings[org].contains(&Fact::Made(key)) {
                    self.witnesses.end(org, Fact::Left(key, *dom));
                }
            }
        }
        self.note(org, &looked.written, false);
        for dom in &looked.elsewhere {
            for key in 0..self.book.keys.len() {
                let is_own = self.book.keys[key].org == org;
                if is_own && self.witnesses.leave(org, key, *dom) {
                    self.proven.remove(&(key, *dom));
                    let own = self.view[org].as_ref();
                    if own.is_some_and(|own| own.sent.contains(dom)) {
                        self.signs_on.insert((key, *dom));
                    }
                }
            }
        }
    }

    fn note(&mut self, org: Org, written: &Written, is_word: bool) {
        let keystore = commands::open(&self.files).unwrap();
        let keyring = keystore.read_keyring(&id(org)).unwrap();
        for entry in &written.made {
            self.note_made(org, entry);
        }
        for (entry, change) in in_keyring(&keyring, &written.changes) {
            let key = self.book.find(entry.fingerprint).expect("made here");
            let dom = dom(&change.domain);
            let witnesses = &mut self.witnesses;
            match &change.event {
                Step::Added => self
                    .book
                    .widen(key, dom, |one| witnesses.has_forgotten(one)),
                Step::Activated { .. } | Step::Returned => {
                    if is_word {
                        self.proven.insert((key, dom));
                        witnesses.end(org, Fact::Left(key, dom));
                    }
                    witnesses.learn(org, Fact::Active(key, dom));
                    let returned = matches!(change.event, Step::Returned);
                    self.counts
                        .one(if returned { "returned" } else { "activated" });
                }
                Step::Revoked => {
                    witnesses.end(org, Fact::Active(key, dom));
                    witnesses.learn(org, Fact::Revoked(key, dom));
                    self.counts.one("revoked");
                }
                Step::Left => {
                    witnesses.end(org, Fact::Active(key, dom));
                    self.counts.one("left");
                }
                _ if change.after.state != State::Active => {
                    witnesses.end(org, Fact::Active(key, dom));
                }
                _ => {}
            }
        }
    }

    fn note_made(&mut self, org: Org, entry: &KeyEntry) {
        let key = MadeKey {
            org,
            selector: entry.selector.clone(),
            fingerprint: entry.fingerprint,
            public_key: entry
                .public_key
                .clone()
                .expect("a new key has its public half"),
            domains: entry.publications.keys().map(dom).collect(),
        };
        let witnesses = &self.witnesses;
        let key = self.book.enter(key, |one| witnesses.has_forgotten(one));
        self.witnesses.learn(org, Fact::Made(key));
        self.counts.one("made");
    }

    fn configure(&mut self, event: Event) {
        let folder = self.files.path("orgs.d");
        match event {
            Event::FileGone(org) => {
                remove(&self.files.organisation_file(org));
                self.organisation_files[org] = FileState::Lost;
            }
            Event::FileIsFolder(org) if folder.exists() => {
                let path = self.files.organisation_file(org);
                remove(&path);
                fs::create_dir(path).unwrap();
                self.organisation_files[org] = FileState::Lost;
            }
            Event::FileBack(org) if folder.exists() => {
                self.organisation_files[org] = FileState::There;
            }
            Event::FolderOfFilesGone => {
                remove(&folder);
                self.organisation_files = [FileState::Lost; 2];
            }
            Event::FolderOfFilesBack => {
                let _ = fs::create_dir(&folder);
                self.organisation_files = [FileState::There; 2];
            }
            Event::Put(place) => self.place = place,
            Event::Park(org) => self.parked[org] = !self.parked[org],
            Event::Algorithm(org) => self.has_algorithm[org] = !self.has_algorithm[org],
            _ => {}
        }
        for org in 0..ORGANISATIONS.len() {
            if self.organisation_files[org] == FileState::There {
                self.files.write_organisation(org, &self.content(org));
            }
        }
    }

    fn content(&self, org: Org) -> Content {
        Content::of(org, self.place, self.parked[org], self.has_algorithm[org])
    }

    /// The signer has read the files. What is lost it knows from before, if it was running.
    fn note_view(&mut self, was_running: bool) {
        let before = self.view.clone();
        for org in 0..ORGANISATIONS.len() {
            match self.organisation_files[org] {
                FileState::There => self.view[org] = Some(self.content(org)),
                FileState::Lost if was_running => {}
                FileState::Lost => self.view[org] = None,
            }
        }
        if self.place == Place::Both && self.organisation_files == [FileState::There; 2] {
            self.note_contested(was_running.then_some(&before));
        }
    }

    /// Two files have the third domain. It stays with the one that had it; at a start it goes to
    /// the one that has a key in use for it, if it is one.
    fn note_contested(&mut self, before: Option<&[Option<Content>; ORGANISATIONS.len()]>) {
        let has = |org: Org| {
            if let Some(before) = before {
                let before = before[org].as_ref();
                before.is_some_and(|one| one.sent.contains(&2) || one.parked.contains(&2))
            } else {
                let facts = &self.witnesses.keyrings[org];
                (0..self.book.keys.len()).any(|key| facts.contains(&Fact::Active(key, 2)))
            }
        };
        let mut holders = (0..ORGANISATIONS.len()).filter(|org| has(*org));
        let holder = holders.next().filter(|_| holders.next().is_none());
        for org in (0..ORGANISATIONS.len()).filter(|org| Some(*org) != holder) {
            if let Some(view) = &mut self.view[org] {
                view.sent.retain(|dom| *dom != 2);
            }
        }
    }

    /// One message, and what must be so of it.
    fn send(&mut self, dom: Dom) {
        let fate = self.signer.send(dom);
        match &fate {
            Fate::Signed(signatures) => {
                self.counts.one("signed");
                for signature in signatures {
                    let key = self.book.find(signature.key).expect("made here");
                    let known = &self.book.keys[key];
                    assert_eq!(signature.organisation, ORGANISATIONS[known.org]);
                    assert_eq!(signature.selector, known.selector.as_str());
                    signature.check(dom, &known.public_key);
                    let is_revoked = self.witnesses.knows(Fact::Revoked(key, dom));
                    assert!(
                        !is_revoked,
                        "{} signs {} and is revoked",
                        signature.selector, DOMAINS[dom]
                    );
                    let left = Fact::Left(key, dom);
                    let is_let_off =
                        self.witnesses.truth.contains(&left) && !self.witnesses.knows(left);
                    assert!(
                        self.proven.contains(&(key, dom))
                            || self.signs_on.contains(&(key, dom))
                            || is_let_off,
                        "{} signs {} and was not seen since it came back",
                        signature.selector,
                        DOMAINS[dom]
                    );
                    let suspended = self.suspended[known.org];
                    assert!(!suspended, "{} is suspended", signature.organisation);
                }
            }
            Fate::Unsigned(refusal) => {
                self.counts.one("unsigned");
                if let Some(key) = self.in_use(dom) {
                    panic!(
                        "mail of {} leaves unsigned ({refusal}), and {} of {} is in use",
                        DOMAINS[dom],
                        self.book.keys[key].selector,
                        ORGANISATIONS[self.book.keys[key].org]
                    );
                }
            }
            Fate::PutOff | Fate::Waits => self.counts.one("put off"),
        }
        assert!(self.signer.is_up() || matches!(fate, Fate::Waits));
    }

    /// A key in use for a domain, unless its organisation does not have the domain any more, by
    /// what the signer has read: another one has it, it is parked, or the algorithm is off.
    fn in_use(&self, dom: Dom) -> Option<KeyId> {
        let is_elsewhere = |org: Org| {
            let others = (0..ORGANISATIONS.len()).filter(|other| *other != org);
            let mut others = others.filter_map(|other| self.view[other].as_ref());
            let own = self.view[org].as_ref();
            others.any(|other| other.sent.contains(&dom) || other.parked.contains(&dom))
                || own.is_some_and(|own| own.parked.contains(&dom) || !own.has_algorithm)
        };
        (0..self.book.keys.len()).find(|key| {
            self.witnesses.knows(Fact::Active(*key, dom)) && !is_elsewhere(self.book.keys[*key].org)
        })
    }
}
