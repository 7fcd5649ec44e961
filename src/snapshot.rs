//! Everything that a message is decided and signed with, immutable and swapped whole:
//! configuration, organisations and keys. A message keeps the snapshot it started with.

mod contested;
mod held;
mod keys;
mod reading;
mod roster;
mod strays;

use std::{
    borrow::Cow,
    cell::OnceCell,
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use arc_swap::ArcSwap;

use self::{
    held::HeldKey,
    keys::KeySet,
    reading::{FoundKeys, Reading, Source},
    roster::{AllLost, Before, Member, Told},
    strays::{Claims, Idle},
};
pub use self::{
    held::{ActiveKey, KeyCare},
    keys::{Domain, DomainKeys, Signing},
};
use crate::{
    config::{self, Change, Effect, Loaded, Settings, SigningSettings, Value},
    files,
    keys::Keyring,
    keystore::{GenerationStamp, Keystore, KeystoreError, Lineage, Witness},
    names::{DomainName, OrganisationId},
    observe::metrics::Metrics,
    organisation::Organisation,
};

/// See the module.
pub struct Snapshot {
    loaded: Loaded,
    /// With what is held although its file is lost.
    organisations: Vec<Arc<Organisation>>,
    lost: AllLost,
    domains: HashMap<DomainName, Arc<Domain>>,
    /// The keys of each organisation as its keyring has them; in the order of organisations.
    found: Vec<FoundKeys>,
    /// The same, with each key marked that several organisations have: it signs for none.
    in_use: Vec<Arc<KeySet>>,
    /// Those that no file has, and that have no key in use.
    idle: Idle,
    generation: GenerationStamp,
    /// From which the keys were read; none of a snapshot that waits for one.
    keystore: Option<Keystore>,
    /// Which keystore this was read from; of one that has stepped back, the one before that.
    lineage: Lineage,
}

/// A snapshot and what went wrong while it was made.
pub struct Built {
    /// Usable all the same: the problems concern single keys or organisations.
    pub snapshot: Snapshot,
    /// One line each, with the way out.
    pub problems: Vec<String>,
    /// Whether the snapshot before had an organisation that this one does not have.
    pub has_lost: bool,
}

impl Snapshot {
    /// Makes a snapshot, and reads the keys of each organisation that has changed since
    /// `previous`.
    ///
    /// What can't be read any more is taken from `previous` if it is there, and is named among
    /// the problems. What is wrong with one organisation touches no other.
    ///
    /// # Errors
    ///
    /// When the keystore as a whole can't be read.
    pub fn build(
        loaded: Loaded,
        keystore: &Keystore,
        metrics: &Metrics,
        previous: Option<&Self>,
    ) -> Result<Built, KeystoreError> {
        make(loaded, keystore, Reading::AtOnce, metrics, (previous, None))
    }

    /// Makes a snapshot for mail of these domains alone. `loaded` has every organisation that has
    /// one of them in its file, or had a key for one ([`Witness::holders`]), and the mark tells of
    /// all keys ([`Witness::tells_of_all`]). What is wrong with others is not among the problems.
    ///
    /// # Errors
    ///
    /// When the keystore as a whole can't be read.
    pub fn about(
        loaded: Loaded,
        keystore: &Keystore,
        metrics: &Metrics,
        domains: &BTreeSet<DomainName>,
    ) -> Result<Built, KeystoreError> {
        let about = (None, Some(domains));
        make(loaded, keystore, Reading::AtOnce, metrics, about)
    }

    /// Makes the first snapshot of a signer. It reads the keyrings only; a key is read when
    /// mail needs it, or by [`KeyCare`] before that.
    ///
    /// # Errors
    ///
    /// When the keystore as a whole can't be read.
    pub fn first(
        loaded: Loaded,
        keystore: &Keystore,
        metrics: &Metrics,
    ) -> Result<Built, KeystoreError> {
        make(loaded, keystore, Reading::WhenNeeded, metrics, (None, None))
    }

    /// Makes the snapshot of a signer whose keystore can't be read yet. Nobody knows which keys
    /// are in use, so mail of every domain that sends is a
    /// [`SigningFailure`](crate::organisation::Refusal::SigningFailure); all other mail is
    /// treated as ever. A domain of `previous` that no file has any more may have a key in use
    /// too, and so may one of `marked` ([`Settings::marked_in_use`]), so their mail is put off as
    /// well. Reads nothing.
    pub fn waiting(
        loaded: Loaded,
        metrics: &Metrics,
        previous: Option<&Self>,
        marked: &[(OrganisationId, DomainName)],
    ) -> Built {
        let before = previous.map_or(&[][..], |previous| &previous.organisations);
        // What is in the files stays as it is, for the time when the keys can be read.
        let mut settled = loaded.clone();
        contested::settle_for_now(&mut settled);
        let organisations = &roster::unread_roster(&settled, before, marked);
        let unread = |one| FoundKeys::unread(one, None);
        let found: Vec<_> = organisations.iter().map(unread).collect();
        let in_use: Vec<_> = found.iter().map(|one| Arc::clone(&one.set)).collect();
        let has_lost = Places::new(organisations, previous).has_lost(previous);
        let nothing_before = Places::new(organisations, None);
        let snapshot = Self {
            domains: index(organisations, &in_use, metrics, &nothing_before, None),
            organisations: organisations.clone(),
            lost: AllLost::new(),
            loaded,
            found,
            in_use,
            idle: Idle::default(),
            generation: GenerationStamp::default(),
            lineage: Lineage::default(),
            keystore: None,
        };
        Built {
            snapshot,
            problems: Vec::new(),
            has_lost,
        }
    }

    /// The keystore from which the keys were read; none if none could be read so far
    /// ([`Snapshot::waiting`]).
    pub fn keystore(&self) -> Option<&Keystore> {
        self.keystore.as_ref()
    }

    /// What `zegel.toml` says.
    pub fn settings(&self) -> &Settings {
        &self.loaded.settings
    }

    /// What is signed, and how.
    pub fn signing(&self) -> &SigningSettings {
        &self.loaded.settings.signing
    }

    /// The configuration that this was made from.
    pub fn loaded(&self) -> &Loaded {
        &self.loaded
    }

    /// The organisations, in the order of their ids, and behind them those whose file is lost.
    pub fn organisations(&self) -> &[Arc<Organisation>] {
        &self.organisations
    }

    /// The configuration as it is in effect: with what is held although its file is lost.
    pub fn in_effect(&self) -> Loaded {
        Loaded {
            organisations: self.organisations.clone(),
            ..self.loaded.clone()
        }
    }

    /// One of the organisations as its file has it: without what is held although no file has it.
    pub fn by_files<'a>(&self, organisation: &'a Organisation) -> Cow<'a, Organisation> {
        let is_lost = |domain: &DomainName| self.lost.contains_key(domain);
        if !organisation.domains.iter().any(is_lost) {
            return Cow::Borrowed(organisation);
        }
        let mut by_files = organisation.clone();
        by_files.domains.retain(|domain| !is_lost(domain));
        Cow::Owned(by_files)
    }

    /// What is known of a domain, if an organisation has it: exactly this one, no parent.
    pub fn domain(&self, name: &DomainName) -> Option<&Arc<Domain>> {
        self.domains.get(name)
    }

    /// The domains of a keyring that the configuration has elsewhere: see [`config::away`].
    pub fn away(&self, organisation: &Organisation, keyring: &Keyring) -> Vec<DomainName> {
        let has = |domain: &Arc<Domain>| {
            let theirs = &domain.organisation;
            theirs.id != organisation.id
        };
        config::away(organisation, keyring, |name| {
            self.domain(name).is_some_and(has)
        })
    }

    /// How many domains that send have no key in use: their mail leaves unsigned.
    pub fn domains_without_key(&self) -> usize {
        self.domains
            .values()
            .filter_map(|domain| domain.keys.as_ref())
            .filter(|keys| keys.is_awaiting())
            .count()
    }

    /// The generation of the keystore from which the keys were read.
    pub fn generation(&self) -> GenerationStamp {
        self.generation
    }

    /// Whether the keystore has no id: a zegel of 0.1 made it, or it is a copy that is not whole.
    pub fn lacks_id(&self) -> bool {
        self.keystore.is_some() && self.lineage.id.is_none()
    }

    /// Whether a keyring could not be read or is gone, so that a revoked key may still be in
    /// use. Then a new snapshot is due although the generation is the same.
    pub fn has_unread_keyrings(&self) -> bool {
        self.found.iter().any(|found| found.is_unread)
    }

    /// How the keys in use differ from those of an earlier snapshot: domain by domain, in
    /// their order. What both snapshots share is not looked at.
    pub fn key_changes(&self, previous: &Self) -> Vec<Change> {
        let places = Places::new(self.organisations(), Some(previous));
        let differences = places.differences(Some(previous), self.organisations(), &self.in_use);
        let before = differences.old.iter();
        let after = differences.new.iter();
        let names: BTreeSet<&DomainName> = before
            .map(|place| &previous.organisations()[*place])
            .chain(after.map(|place| &self.organisations()[*place]))
            .flat_map(|one| one.domains.iter().chain(&one.parked))
            .collect();
        let describe = |snapshot: &Self, name: &DomainName| {
            let domain = snapshot.domain(name);
            let keys = domain.and_then(|domain| domain.keys.as_ref());
            Value::Text(keys.map_or_else(|| "none".to_owned(), ToString::to_string))
        };
        names
            .into_iter()
            .map(|name| Change {
                key: format!("keys of {name}"),
                before: Some(describe(previous, name)),
                after: Some(describe(self, name)),
                effect: Effect::AtOnce,
            })
            .filter(|change| change.before != change.after)
            .collect()
    }

    /// A round of care for all keys.
    pub fn key_care(&self) -> KeyCare {
        KeyCare::new(self.held().cloned().collect())
    }

    /// How many keys and keyrings can't be used as they should be: refused, shared by two
    /// organisations, unreadable or gone, or in use for a domain that no file has any more. A key
    /// counts once someone has read it; after a round of [`KeyCare`] all have been read.
    pub fn key_problems(&self) -> usize {
        let unread = self.found.iter().filter(|found| found.is_unread).count();
        let refused: usize = self.in_use.iter().map(|set| set.refused()).sum();
        unread + refused + self.lost.len()
    }

    fn held(&self) -> impl Iterator<Item = &Arc<HeldKey>> {
        self.found.iter().flat_map(|found| found.set.held())
    }
}

fn make(
    mut loaded: Loaded,
    keystore: &Keystore,
    reading: Reading,
    metrics: &Metrics,
    (previous, about): (Option<&Snapshot>, Option<&BTreeSet<DomainName>>),
) -> Result<Built, KeystoreError> {
    if previous.is_none() && !loaded.organisations.is_empty() {
        // Nothing is to be concluded from what an empty folder does not have.
        keystore.check_initialised()?;
    }
    // Read first: what is written meanwhile then causes one more reload, and is not missed.
    let witness = keystore.witness()?;
    let lineage = previous.map(|previous| &previous.lineage);
    let step_back = witness.step_back(lineage);
    let lineage = witness.lineage(lineage, step_back.is_some());
    let source = Source {
        keystore,
        view: &keystore.view()?,
        witness: &witness,
        has_stepped_back: step_back.is_some(),
        reading,
    };
    if previous.is_none() {
        contested::settle_by_keys(&mut loaded, source.view);
    }
    let mut problems: Vec<String> = problems_of(&witness, step_back, previous).collect();
    let (mut members, mut lost) = members(&loaded, &source, previous);
    let claims = Claims::new(&loaded, previous, about);
    strays::add_marked(&mut members, &mut lost, &source, &claims);
    let idle = previous.map(|previous| &previous.idle);
    let mut idle = strays::add_others(&mut members, &source, (&claims, idle), &mut problems);
    let mut found = find(&members, &source, previous, &mut problems);
    strays::put_off(&mut members, &mut found, &mut lost, &mut idle, &claims);
    problems.extend(reading::waiting(&found));
    problems.extend(
        lost.iter()
            .map(|(domain, lost)| Told(domain, lost).to_string()),
    );
    let organisations: Vec<_> = members.into_iter().map(|one| one.organisation).collect();
    let places = Places::new(&organisations, previous);
    let in_use = reading::mark_shared(&found, keystore, &mut problems);
    let snapshot = Snapshot {
        domains: index(&organisations, &in_use, metrics, &places, previous),
        organisations,
        lost,
        loaded,
        found,
        in_use,
        idle,
        generation: witness.generation(),
        lineage,
        keystore: Some(keystore.clone()),
    };
    Ok(Built {
        snapshot,
        problems,
        has_lost: places.has_lost(previous),
    })
}

/// The keys of each member, in their order.
fn find(
    members: &[Member],
    source: &Source<'_>,
    previous: Option<&Snapshot>,
    problems: &mut Vec<String>,
) -> Vec<FoundKeys> {
    let mut found = Vec::with_capacity(members.len());
    if let Some(previous) = previous {
        let organisations: Vec<_> = members
            .iter()
            .map(|one| Arc::clone(&one.organisation))
            .collect();
        let places = Places::new(&organisations, Some(previous));
        // One after the other, for mail needs the other processors.
        for (place, member) in members.iter().enumerate() {
            let before = places.of(place).map(|before| &previous.found[before]);
            found.push(FoundKeys::load(member, source, before, problems));
        }
    } else {
        let load = |member: &Member| {
            let mut problems = Vec::new();
            let keys = FoundKeys::load(member, source, None, &mut problems);
            (keys, problems)
        };
        for (keys, more) in files::each(members, load) {
            found.push(keys);
            problems.extend(more);
        }
    }
    found
}

/// What is wrong with the keystore as a whole.
fn problems_of(
    witness: &Witness,
    step_back: Option<String>,
    previous: Option<&Snapshot>,
) -> impl Iterator<Item = String> {
    let goes_on = match previous {
        Some(_) => "; what is in memory stays in use",
        None => "; keys that its mark gave up do not sign",
    };
    let step_back = step_back.map(|problem| format!("{problem}{goes_on}"));
    let mark = witness.problem().map(str::to_owned);
    step_back.into_iter().chain(mark)
}

/// Who is in the snapshot: the organisations of the files, and those whose file is lost.
fn members(
    loaded: &Loaded,
    source: &Source<'_>,
    previous: Option<&Snapshot>,
) -> (Vec<Member>, AllLost) {
    if let Some(previous) = previous {
        let had_key = |name: &DomainName| {
            let domain = previous.domain(name);
            let keys = domain.and_then(|domain| domain.keys.as_ref());
            keys.is_some_and(|keys| !keys.is_awaiting())
        };
        let before = Before {
            organisations: &previous.organisations,
            lost: &previous.lost,
            had_key: &had_key,
        };
        return roster::roster(loaded, &before, (source.view, source.witness));
    }
    let members = loaded.organisations.iter().map(Member::of_file);
    (members.collect(), AllLost::new())
}

/// All domains by name. A domain of which nothing has changed is that of `previous`.
fn index(
    organisations: &[Arc<Organisation>],
    in_use: &[Arc<KeySet>],
    metrics: &Metrics,
    places: &Places,
    previous: Option<&Snapshot>,
) -> HashMap<DomainName, Arc<Domain>> {
    let mut domains = if let Some(previous) = previous {
        previous.domains.clone()
    } else {
        let numbers = organisations
            .iter()
            .map(|one| one.domains.len() + one.parked.len());
        HashMap::with_capacity(numbers.sum())
    };
    let differences = places.differences(previous, organisations, in_use);
    if let Some(previous) = previous {
        // First what has gone: a domain may have moved from one organisation to another.
        for place in differences.old {
            let organisation = &previous.organisations()[place];
            for name in organisation.domains.iter().chain(&organisation.parked) {
                domains.remove(name);
            }
        }
    }
    for place in differences.new {
        let (organisation, set) = (&organisations[place], &in_use[place]);
        let counters = metrics.organisation(&organisation.id);
        let mut insert = |name: &DomainName, keys| {
            let domain = Domain {
                organisation: Arc::clone(organisation),
                metrics: counters.clone(),
                keys,
            };
            domains.insert(name.clone(), Arc::new(domain));
        };
        for name in &organisation.domains {
            insert(name, Some(DomainKeys::new(name, set)));
        }
        for name in &organisation.parked {
            insert(name, None);
        }
    }
    domains
}

/// Finds organisations by their ids. It is fast when they are asked for in their order, as
/// the next snapshot does.
struct Finder<'a> {
    organisations: &'a [Arc<Organisation>],
    next: usize,
    by_id: OnceCell<HashMap<&'a OrganisationId, usize>>,
}

impl Finder<'_> {
    fn find(&mut self, id: &OrganisationId) -> Option<usize> {
        let is_next = |one: &Arc<Organisation>| one.id == *id;
        if !self.organisations.get(self.next).is_some_and(is_next) {
            let by_id = self.by_id.get_or_init(|| {
                let ids = self.organisations.iter().map(|one| &one.id);
                ids.zip(0..).collect()
            });
            self.next = *by_id.get(id)?;
        }
        self.next += 1;
        Some(self.next - 1)
    }
}

/// What differs between a snapshot and the one before it, by places of organisations.
struct Differences {
    /// In the snapshot before: what has gone, or was otherwise.
    old: Vec<usize>,
    /// In the next one: what has come, or is otherwise.
    new: Vec<usize>,
}

/// For each organisation the place that it had in the snapshot before. So what both have in
/// common is found without a look at all that is the same.
struct Places(Vec<Option<usize>>);

impl Places {
    fn new(organisations: &[Arc<Organisation>], previous: Option<&Snapshot>) -> Self {
        let mut finder = Finder {
            organisations: previous.map_or(&[], Snapshot::organisations),
            next: 0,
            by_id: OnceCell::new(),
        };
        let places = organisations.iter().map(|one| finder.find(&one.id));
        Self(places.collect())
    }

    fn of(&self, place: usize) -> Option<usize> {
        self.0.get(place).copied().flatten()
    }

    /// What differs between the two.
    fn differences(
        &self,
        previous: Option<&Snapshot>,
        organisations: &[Arc<Organisation>],
        in_use: &[Arc<KeySet>],
    ) -> Differences {
        let mut is_other = vec![true; previous.map_or(0, |previous| previous.in_use.len())];
        let mut new = Vec::new();
        for (place, (organisation, set)) in organisations.iter().zip(in_use).enumerate() {
            let before = self.of(place).zip(previous).filter(|(before, previous)| {
                Arc::ptr_eq(&previous.organisations()[*before], organisation)
                    && Arc::ptr_eq(&previous.in_use[*before], set)
            });
            match before {
                Some((before, _)) => is_other[before] = false,
                None => new.push(place),
            }
        }
        Differences {
            old: (0..)
                .zip(is_other)
                .filter_map(|(place, is_other)| is_other.then_some(place))
                .collect(),
            new,
        }
    }

    /// Whether an organisation has gone.
    fn has_lost(&self, previous: Option<&Snapshot>) -> bool {
        let found = self.0.iter().flatten().count();
        previous.is_some_and(|previous| found < previous.organisations().len())
    }
}

/// Where the current snapshot is: read by every message, replaced by a reload.
#[derive(Clone)]
pub struct SnapshotHolder(Arc<ArcSwap<Snapshot>>);

impl SnapshotHolder {
    /// Holds a first snapshot.
    pub fn new(snapshot: Snapshot) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(snapshot)))
    }

    /// The snapshot of this moment.
    pub fn current(&self) -> Arc<Snapshot> {
        self.0.load_full()
    }

    /// Puts another snapshot in its place and returns the one that was there. Messages in
    /// progress keep theirs. Hold it until nobody else does: the last holder drops it, which
    /// takes time that no message should spend.
    #[must_use = "a message would have to drop it"]
    pub fn replace(&self, snapshot: Snapshot) -> Arc<Snapshot> {
        self.0.swap(Arc::new(snapshot))
    }
}

#[cfg(test)]
mod tests;
