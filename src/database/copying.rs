//! Between the database and the folder of this relay.
//!
//! `database.json` in the folder says up to which change the two agree, and which generation the
//! folder had then. What is newer on one side is brought to the other; where both have something
//! newer nobody can tell which is right, nothing is changed, and that is said.

use std::{
    collections::{BTreeMap, HashSet},
    panic::resume_unwind,
};

use jiff::Timestamp;
use tokio::task::spawn_blocking;

use super::{Database, DatabaseError, Numbered, keys::Changed};
use crate::{
    keystore::{
        COPIES, CopyState, Keystore, KeystoreError, KeystoreId, OrganisationCopy, Standing,
    },
    names::OrganisationId,
};

/// So often is a change tried that others come before.
const ATTEMPTS: usize = 5;

/// How much [`sync`] looks at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reach {
    /// What changed since the last time.
    News,
    /// Everything: also what was lost in the folder.
    Everything,
}

/// How [`upload`] is meant.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Upload {
    /// Say what would change.
    Dry,
    /// Bring what changed here. A database that went back is left alone.
    Changes,
    /// The same at the word of an operator, who knows that the database went back if it did.
    ByOperator,
}

/// What [`sync`] did.
#[derive(Debug, Default)]
pub struct Synced {
    /// Which change the database has; none if it holds no keystore yet.
    pub revision: Option<u64>,
    /// In so many organisations something was looked at.
    pub organisations: usize,
    /// What stays as it is in the folder, and why.
    pub refused: Vec<DatabaseError>,
}

/// What [`upload`] did, or would do.
#[derive(Debug, Default)]
pub struct Uploaded {
    /// The number of the last change in the database; none if it holds no keystore yet.
    pub revision: Option<u64>,
    /// The organisations in which something is changed there.
    pub organisations: Vec<OrganisationId>,
    /// What stays as it is in the database, and why.
    pub refused: Vec<DatabaseError>,
}

/// Brings the folder of this relay to what is in the database.
///
/// # Errors
/// When either can't be read or written, when they are of different keystores, when something was
/// changed in the folder, and when the database is behind it: nothing is changed then.
pub async fn sync(
    database: &mut Database,
    keystore: &Keystore,
    reach: Reach,
) -> Result<Synced, DatabaseError> {
    let here = keystore.clone();
    let state = blocking(move || Ok(here.copy_state()?)).await?;
    let known = state.as_ref().filter(|_| reach == Reach::News);
    let known = known.map(|state| (state.epoch.as_str(), state.revision));
    let changed = database.changed_after(known).await?;
    check_not_back(changed.keystore.as_ref(), state.as_ref())?;
    let Some(there) = changed.keystore else {
        return Ok(Synced::default());
    };
    check_same(&there, keystore)?;
    let mut synced = Synced {
        revision: Some(there.revision),
        organisations: changed.copies.len(),
        refused: changed.broken.into_iter().map(|(_, error)| error).collect(),
    };
    if reach == Reach::News && state.as_ref().is_some_and(|state| agrees(state, &there)) {
        return Ok(synced);
    }
    // What the database says is what is changed here.
    let here = keystore.clone().following(false);
    let is_whole = synced.refused.is_empty();
    let taking = Taking {
        keystore: here,
        there,
        state,
    };
    let refused = blocking(move || taking.take(&changed.copies, is_whole)).await?;
    let refused = refused.into_iter().map(DatabaseError::from);
    synced.refused.extend(refused);
    Ok(synced)
}

struct Taking {
    keystore: Keystore,
    there: Numbered,
    /// As it was before the database was asked.
    state: Option<CopyState>,
}

impl Taking {
    /// Takes the copies into the folder, and notes up to which change it has all.
    fn take(
        &self,
        copies: &[OrganisationCopy],
        is_whole: bool,
    ) -> Result<Vec<KeystoreError>, DatabaseError> {
        let (keystore, there) = (&self.keystore, &self.there);
        keystore.initialise_as(&there.id)?;
        let mut expected = self.state.clone();
        self.begin(&mut expected)?;
        let mut refused = Vec::new();
        let mut taken = None;
        for copies in copies.chunks(COPIES) {
            let mut writer = keystore.writer()?;
            self.check_unchanged(expected.as_ref(), taken)?;
            refused.extend(writer.take_copies(&there.id, copies, Timestamp::now())?);
            taken = Some(keystore.generation()?);
        }
        let writer = keystore.writer()?;
        self.check_unchanged(expected.as_ref(), taken)?;
        let state = self.state.as_ref();
        let before = state.filter(|state| state.epoch == there.epoch);
        let revision = if is_whole && refused.is_empty() {
            there.revision
        } else {
            before.map_or(0, |state| state.revision)
        };
        let numbers = (there.epoch.clone(), revision);
        let generation = keystore.generation()?;
        writer.set_copy_state(&CopyState::new(there.id.clone(), numbers, generation))?;
        Ok(refused)
    }

    /// Notes that from now on the generation grows by what is taken.
    fn begin(&self, expected: &mut Option<CopyState>) -> Result<(), DatabaseError> {
        let writer = self.keystore.writer()?;
        self.check_unchanged(expected.as_ref(), None)?;
        if let Some(state) = expected {
            state.is_taking = true;
            writer.set_copy_state(state)?;
        }
        Ok(())
    }

    /// That nobody else changed the folder since it agreed with the database, or since this took
    /// something, which left this generation. Only under the lock.
    fn check_unchanged(
        &self,
        expected: Option<&CopyState>,
        taken: Option<u64>,
    ) -> Result<(), DatabaseError> {
        if self.keystore.copy_state()?.as_ref() != expected {
            return Err(DatabaseError::Busy);
        }
        let agreed = expected.filter(|state| !state.is_taking);
        let generation = taken.or(agreed.map(|state| state.generation));
        let now = self.keystore.generation()?;
        if generation.is_some_and(|generation| generation < now) {
            return Err(DatabaseError::LocalChanges);
        }
        Ok(())
    }
}

/// Brings what is in the folder of this relay into the database.
///
/// # Errors
/// When either can't be read or written, when they are of different keystores, and when the
/// database has changes that the folder lacks: nothing is changed then.
pub async fn upload(
    database: &mut Database,
    keystore: &Keystore,
    how: Upload,
) -> Result<Uploaded, DatabaseError> {
    for _ in 0..ATTEMPTS {
        match attempt(database, keystore, how).await {
            Err(DatabaseError::Busy) => {}
            done => return done,
        }
    }
    Err(DatabaseError::Busy)
}

async fn attempt(
    database: &mut Database,
    keystore: &Keystore,
    how: Upload,
) -> Result<Uploaded, DatabaseError> {
    let changed = database.changed_after(None).await?;
    if let Some(there) = &changed.keystore {
        check_same(there, keystore)?;
    }
    let base = changed.keystore.clone();
    let here = keystore.clone();
    let folder = blocking(move || Folder::read(&here, changed)).await?;
    let state = folder.state.as_ref();
    if how == Upload::Changes {
        check_not_back(base.as_ref(), state)?;
    }
    let is_current = match &base {
        Some(there) => state.is_some_and(|state| is_ahead(state, there)),
        None => true,
    };
    let last = base.as_ref().map_or(0, |there| there.revision);
    if !is_current && !folder.copies.is_empty() {
        return Err(DatabaseError::NotCurrent(last));
    }
    let mut uploaded = Uploaded {
        revision: base.as_ref().map(|there| there.revision),
        organisations: names(&folder.copies),
        refused: folder.refused,
    };
    if how == Upload::Dry {
        return Ok(uploaded);
    }
    let known = state.map_or(0, |state| state.revision);
    let written = write(database, &folder.id, (base, known), &folder.copies).await?;
    uploaded.organisations = written.organisations;
    uploaded.refused.extend(written.refused);
    let is_whole = uploaded.refused.is_empty();
    if let Some(last) = written.last.filter(|_| is_current || is_whole) {
        uploaded.revision = Some(last.revision);
        // What was refused is still to be brought: nothing may take its place here.
        let generation = if is_whole {
            folder.generation
        } else {
            state.map_or(0, |state| state.generation)
        };
        let here = keystore.clone();
        let numbers = (last.epoch, last.revision);
        let state = CopyState::new(folder.id, numbers, generation);
        blocking(move || Ok(here.writer()?.set_copy_state(&state)?)).await?;
    }
    Ok(uploaded)
}

struct Written {
    /// The last change in the database now.
    last: Option<Numbered>,
    organisations: Vec<OrganisationId>,
    refused: Vec<DatabaseError>,
}

/// Writes all of it as one change; where the database refuses that, each organisation by itself.
async fn write(
    database: &mut Database,
    id: &KeystoreId,
    (base, known): (Option<Numbered>, u64),
    copies: &[OrganisationCopy],
) -> Result<Written, DatabaseError> {
    let mut written = Written {
        last: base,
        organisations: Vec::new(),
        refused: Vec::new(),
    };
    let is_back = written
        .last
        .as_ref()
        .is_some_and(|there| there.revision < known);
    if copies.is_empty() && !is_back {
        return Ok(written);
    }
    match database
        .write(id, (written.last.as_ref(), known), copies)
        .await
    {
        Err(DatabaseError::Refused(_)) if copies.len() > 1 => {}
        Err(error @ DatabaseError::Refused(_)) => {
            let organisations = names(copies).into_iter();
            let problem = error.to_string();
            let refused = organisations.map(|organisation| DatabaseError::NotGiven {
                organisation,
                problem: problem.clone(),
            });
            written.refused.extend(refused);
            return Ok(written);
        }
        done => {
            written.last = Some(done?);
            written.organisations = names(copies);
            return Ok(written);
        }
    }
    for copy in copies {
        let base = (written.last.as_ref(), known);
        match database.write(id, base, std::slice::from_ref(copy)).await {
            Ok(last) => {
                written.last = Some(last);
                written.organisations.push(copy.organisation.clone());
            }
            Err(error @ DatabaseError::Refused(_)) => {
                written.refused.push(DatabaseError::NotGiven {
                    organisation: copy.organisation.clone(),
                    problem: error.to_string(),
                });
            }
            Err(error) => return Err(error),
        }
    }
    Ok(written)
}

fn names(copies: &[OrganisationCopy]) -> Vec<OrganisationId> {
    copies
        .iter()
        .map(|copy| copy.organisation.clone())
        .collect()
}

/// What the folder has that the database has not.
struct Folder {
    id: KeystoreId,
    /// Before anything else was read.
    generation: u64,
    state: Option<CopyState>,
    copies: Vec<OrganisationCopy>,
    /// What can't be given.
    refused: Vec<DatabaseError>,
}

impl Folder {
    fn read(keystore: &Keystore, changed: Changed) -> Result<Self, DatabaseError> {
        // One that has no id yet gets it.
        drop(keystore.writer()?);
        let Standing::Initialised(id) = keystore.standing()? else {
            let path = keystore.path().to_owned();
            return Err(KeystoreError::NotInitialised(path).into());
        };
        let mut folder = Self {
            id,
            generation: keystore.generation()?,
            state: keystore.copy_state()?,
            copies: Vec::new(),
            refused: Vec::new(),
        };
        let mut broken: HashSet<String> = HashSet::new();
        for (organisation, error) in changed.broken {
            folder.refused.push(error);
            broken.insert(organisation);
        }
        let there = changed.copies.into_iter();
        let mut there: BTreeMap<OrganisationId, OrganisationCopy> = there
            .map(|copy| (copy.organisation.clone(), copy))
            .collect();
        for organisation in keystore.organisations()? {
            let there = there.remove(&organisation);
            if broken.contains(organisation.as_str()) {
                continue;
            }
            match given(keystore, &organisation, there.as_ref()) {
                Ok(copy) => folder.copies.extend(copy),
                Err(error) => folder.refused.push(error),
            }
        }
        // Their folders are gone here.
        let lost = there.values().filter_map(|copy| lacking(copy, None));
        folder.refused.extend(lost);
        Ok(folder)
    }
}

/// The keys of an organisation, if the database has them otherwise. It gets no key that it could
/// not give back.
fn given(
    keystore: &Keystore,
    organisation: &OrganisationId,
    there: Option<&OrganisationCopy>,
) -> Result<Option<OrganisationCopy>, DatabaseError> {
    let copy = keystore.copy_of(organisation)?;
    let Some(there) = there else {
        check_keys(keystore, &copy, None)?;
        return Ok(Some(copy).filter(|copy| !copy.keyring.keys().is_empty()));
    };
    if let Some(error) = lacking(there, Some(&copy)) {
        return Err(error);
    }
    let mut files = there.key_files.keys();
    if let Some(gone) = files.find(|selector| !copy.key_files.contains_key(*selector)) {
        return Err(DatabaseError::NotGiven {
            organisation: organisation.clone(),
            problem: format!(
                "the file of the key {gone} is gone here, and the database has it: run `zegel \
                 database sync`"
            ),
        });
    }
    if there.is_like(&copy) {
        return Ok(None);
    }
    check_keys(keystore, &copy, Some(there))?;
    Ok(Some(copy))
}

/// That each key file that the database does not have yet is one that opens.
fn check_keys(
    keystore: &Keystore,
    copy: &OrganisationCopy,
    there: Option<&OrganisationCopy>,
) -> Result<(), DatabaseError> {
    for (selector, text) in &copy.key_files {
        let known = there.and_then(|there| there.key_files.get(selector));
        let entry = copy.keyring.key(selector);
        if let Some(entry) = entry.filter(|_| known != Some(text)) {
            let opened = keystore.load_key(&copy.organisation, entry);
            opened.map_err(|problem| DatabaseError::NotGiven {
                organisation: copy.organisation.clone(),
                problem: problem.to_string(),
            })?;
        }
    }
    Ok(())
}

/// A key that the database has and the folder has not.
fn lacking(there: &OrganisationCopy, here: Option<&OrganisationCopy>) -> Option<DatabaseError> {
    let mut keys = there.keyring.keys().iter();
    let is_there = |selector| here.is_some_and(|here| here.keyring.key(selector).is_some());
    let key = keys.find(|key| !is_there(&key.selector))?;
    Some(DatabaseError::Behind {
        organisation: there.organisation.clone(),
        selector: key.selector.clone(),
    })
}

/// Whether the folder has this change of the database, and no later one.
fn agrees(state: &CopyState, there: &Numbered) -> bool {
    !state.is_taking && state.epoch == there.epoch && state.revision == there.revision
}

/// Whether the folder has seen all that the database has.
fn is_ahead(state: &CopyState, there: &Numbered) -> bool {
    state.epoch == there.epoch && state.revision >= there.revision
}

/// That the database has every change that this relay knows of.
fn check_not_back(
    there: Option<&Numbered>,
    state: Option<&CopyState>,
) -> Result<(), DatabaseError> {
    let Some(state) = state.filter(|state| state.revision > 0) else {
        return Ok(());
    };
    let database = match there {
        None => 0,
        Some(there) if there.epoch == state.epoch => there.revision,
        Some(_) => return Ok(()),
    };
    if database < state.revision {
        return Err(DatabaseError::WentBack {
            database,
            folder: state.revision,
        });
    }
    Ok(())
}

/// That both are the same keystore, or the folder is to become one.
fn check_same(there: &Numbered, keystore: &Keystore) -> Result<(), DatabaseError> {
    match keystore.standing()? {
        Standing::Initialised(folder) if folder != there.id => Err(DatabaseError::OtherKeystore {
            database: there.id.clone(),
            folder,
        }),
        _ => Ok(()),
    }
}

/// Work on the folder, which may take its time.
///
/// # Errors
/// Those of the work.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DatabaseError> + Send + 'static,
) -> Result<T, DatabaseError> {
    match spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => resume_unwind(error.into_panic()),
    }
}
