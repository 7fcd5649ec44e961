//! Between the database and the folder of this relay.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tokio::task::spawn_blocking;

use super::{Database, DatabaseError, Numbered};
use crate::{
    keystore::{
        COPIES, CopyState, Keystore, KeystoreError, KeystoreId, OrganisationCopy, Standing,
    },
    names::OrganisationId,
};

/// So often is a change tried that others come before.
const ATTEMPTS: usize = 5;

/// What [`sync`] did.
#[derive(Debug, Default)]
pub struct Synced {
    /// Which change the folder has now; none if the database holds no keystore yet.
    pub revision: Option<u64>,
    /// In so many organisations something was to be changed.
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
}

/// Brings the folder of this relay to what is in the database.
///
/// # Errors
/// When either can't be read or written, when they are of different keystores, and when the
/// database is behind the folder: nothing is changed then.
pub async fn sync(database: &mut Database, keystore: &Keystore) -> Result<Synced, DatabaseError> {
    let here = keystore.clone();
    let state = blocking(move || here.copy_state()).await?;
    let after = state.as_ref().map_or(0, |state| state.revision);
    let changed = database.changed_after(after).await?;
    let Some(there) = changed.keystore else {
        return match state {
            None => Ok(Synced::default()),
            Some(state) => Err(DatabaseError::WentBack {
                database: 0,
                folder: state.revision,
            }),
        };
    };
    check_same(&there, keystore)?;
    if there.revision < after {
        return Err(DatabaseError::WentBack {
            database: there.revision,
            folder: after,
        });
    }
    let mut synced = Synced {
        revision: Some(there.revision),
        organisations: changed.copies.len(),
        refused: changed.broken,
    };
    if state.is_some() && there.revision == after {
        return Ok(synced);
    }
    // What the database says is what is changed here.
    let here = keystore.clone().following(false);
    let is_whole = synced.refused.is_empty();
    let refused = blocking(move || take(&here, &changed.copies, &there, is_whole)).await?;
    synced
        .refused
        .extend(refused.into_iter().map(DatabaseError::from));
    Ok(synced)
}

/// Takes the copies into the folder, and notes which change it has, if all of it was taken.
fn take(
    keystore: &Keystore,
    copies: &[OrganisationCopy],
    there: &Numbered,
    is_whole: bool,
) -> Result<Vec<KeystoreError>, KeystoreError> {
    keystore.initialise_as(&there.id)?;
    let mut refused = Vec::new();
    for copies in copies.chunks(COPIES) {
        refused.extend(keystore.writer()?.take_copies(copies, Timestamp::now())?);
    }
    if is_whole && refused.is_empty() {
        let generation = keystore.generation()?;
        let state = CopyState::new(there.id.clone(), there.revision, generation);
        keystore.writer()?.set_copy_state(&state)?;
    }
    Ok(refused)
}

/// Brings what is in the folder of this relay into the database.
///
/// # Errors
/// When either can't be read or written, when they are of different keystores, when a key lies in
/// the clear, and when the database has a key that the folder lacks: nothing is changed then.
pub async fn upload(
    database: &mut Database,
    keystore: &Keystore,
    is_dry: bool,
) -> Result<Uploaded, DatabaseError> {
    for _ in 0..ATTEMPTS {
        match attempt(database, keystore, is_dry).await {
            Err(DatabaseError::Busy) => {}
            done => return done,
        }
    }
    Err(DatabaseError::Busy)
}

async fn attempt(
    database: &mut Database,
    keystore: &Keystore,
    is_dry: bool,
) -> Result<Uploaded, DatabaseError> {
    let changed = database.changed_after(0).await?;
    if let Some(broken) = changed.broken.into_iter().next() {
        return Err(broken);
    }
    if let Some(there) = &changed.keystore {
        check_same(there, keystore)?;
    }
    let base = changed.keystore.map(|there| there.revision);
    let here = keystore.clone();
    let (id, generation, copies) = blocking(move || folder(&here)).await?;
    let there = changed.copies.into_iter();
    let there: BTreeMap<_, _> = there
        .map(|copy| (copy.organisation.clone(), copy))
        .collect();
    let copies = differing(copies, &there)?;
    let mut uploaded = Uploaded {
        revision: base,
        organisations: copies
            .iter()
            .map(|copy| copy.organisation.clone())
            .collect(),
    };
    if is_dry {
        return Ok(uploaded);
    }
    if !copies.is_empty() {
        uploaded.revision = Some(database.write(&id, base, &copies).await?);
    }
    if let Some(revision) = uploaded.revision {
        let here = keystore.clone();
        let state = CopyState::new(id, revision, generation);
        blocking(move || here.writer()?.set_copy_state(&state)).await?;
    }
    Ok(uploaded)
}

/// Everything that the folder has, and the generation that it had before it was read.
fn folder(keystore: &Keystore) -> Result<(KeystoreId, u64, Vec<OrganisationCopy>), KeystoreError> {
    // One that has no id yet gets it.
    drop(keystore.writer()?);
    let Standing::Initialised(id) = keystore.standing()? else {
        let path = keystore.path().to_owned();
        return Err(KeystoreError::NotInitialised(path));
    };
    let generation = keystore.generation()?;
    let organisations = keystore.organisations()?;
    let copies = organisations.iter().map(|one| keystore.copy_of(one));
    Ok((id, generation, copies.collect::<Result<_, _>>()?))
}

/// Those that the database has otherwise, each of which has all keys that the database has.
fn differing(
    copies: Vec<OrganisationCopy>,
    there: &BTreeMap<OrganisationId, OrganisationCopy>,
) -> Result<Vec<OrganisationCopy>, DatabaseError> {
    let here: BTreeMap<_, _> = copies
        .iter()
        .map(|copy| (&copy.organisation, copy))
        .collect();
    for (organisation, copy) in there {
        let own = here.get(organisation).map(|own| &own.keyring);
        let lacks = |selector| own.is_none_or(|own| own.key(selector).is_none());
        let mut keys = copy.keyring.keys().iter();
        if let Some(key) = keys.find(|key| lacks(&key.selector)) {
            return Err(DatabaseError::Behind {
                organisation: organisation.clone(),
                selector: key.selector.clone(),
            });
        }
    }
    let differs = |copy: &OrganisationCopy| match there.get(&copy.organisation) {
        None => !copy.keyring.keys().is_empty(),
        Some(there) => {
            let mut files = copy.key_files.iter();
            !there.keyring.has_same_keys(&copy.keyring)
                || files.any(|(selector, text)| there.key_files.get(selector) != Some(text))
        }
    };
    Ok(copies.into_iter().filter(differs).collect())
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

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, KeystoreError> + Send + 'static,
) -> Result<T, DatabaseError> {
    match spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
