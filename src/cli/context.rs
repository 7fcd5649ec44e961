//! What every command has at hand, and what the arguments of several stand for.

use std::{
    borrow::Cow,
    path::{Path, PathBuf},
};

use jiff::Timestamp;

use super::{
    failure::Failure,
    output::{Output, warn},
};
use crate::{
    config::{self, About, Loaded, Problems, Reader, Settings, distance},
    keystore::{Keystore, KeystoreError},
    names::{DomainName, OrganisationId},
    organisation::Organisation,
};

const DEFAULT_CONFIG: &str = "/etc/zegel/zegel.toml";

/// The common options, and where to print.
pub(super) struct Context {
    config: Option<PathBuf>,
    /// The words of the command, such as `key roll`.
    command: String,
    /// The one that a command writes.
    keystore: Option<Keystore>,
    pub(super) output: Output,
}

impl Context {
    pub(super) fn new(config: Option<PathBuf>, command: String) -> Self {
        Self {
            config,
            command,
            keystore: None,
            output: Output::new(),
        }
    }

    /// The file of the configuration, there or not.
    pub(super) fn config_file(&self) -> &Path {
        self.config.as_deref().unwrap_or(Path::new(DEFAULT_CONFIG))
    }

    /// The configuration. Mistakes in the files of organisations are warned of: they stop nobody
    /// who is about another one.
    pub(super) fn load(&self) -> Result<Loaded, Failure> {
        let loaded = config::load(self.config_file())?;
        warn_of(&loaded);
        Ok(loaded)
    }

    /// The configuration, for a command about one organisation: others are in it only as far as
    /// they have domains of its file or its keyring. All of them, if there is no such
    /// organisation: one of them may be meant.
    pub(super) fn load_of(&self, id: &str) -> Result<Loaded, Failure> {
        let Ok(id) = id.parse::<OrganisationId>() else {
            return self.load();
        };
        let mut is_known = false;
        let loaded = Reader::new(self.config_file()).load_about(|settings| {
            let keystore = settings.open_keystore();
            let keyring = keystore.and_then(|keystore| keystore.read_keyring(&id));
            let keyring = keyring.unwrap_or_default();
            is_known = !keyring.keys().is_empty();
            let keys = keyring.keys().iter();
            About {
                organisations: [id.clone()].into(),
                domains: keys
                    .flat_map(|key| key.publications.keys())
                    .cloned()
                    .collect(),
            }
        })?;
        is_known |= loaded.organisations.iter().any(|one| one.id == id)
            || loaded.mistakes.of(id.as_str()).is_some();
        if !is_known {
            return self.load();
        }
        warn_of(&loaded);
        Ok(loaded)
    }

    /// As [`Context::load_of`], or of all if none is named.
    pub(super) fn load_of_or_all(&self, id: Option<&str>) -> Result<Loaded, Failure> {
        id.map_or_else(|| self.load(), |id| self.load_of(id))
    }

    /// The configuration, for what would be wrong if an organisation were left out.
    pub(super) fn load_whole(&self) -> Result<Loaded, Failure> {
        let loaded = config::load(self.config_file())?;
        if loaded.mistakes.is_empty() {
            return Ok(loaded);
        }
        Err(Failure::Organisations(Problems(loaded.mistakes.problems())))
    }

    /// The keystore, for a command that writes it.
    pub(super) fn open_keystore(&mut self, settings: &Settings) -> Result<Keystore, KeystoreError> {
        let keystore = settings.open_keystore()?.by(&self.command);
        self.keystore = Some(keystore.clone());
        Ok(keystore)
    }

    /// Says what was wrong with the mark of the keystore: it held up nothing.
    pub(super) fn say_mark_problem(&self) {
        if let Some(problem) = self.keystore.as_ref().and_then(Keystore::mark_problem) {
            warn(problem);
        }
    }

    /// The configuration, unless nobody named one and there is none at the usual place.
    pub(super) fn load_if_there(&self) -> Result<Option<Loaded>, Failure> {
        if self.config.is_none() && !self.config_file().exists() {
            return Ok(None);
        }
        self.load().map(Some)
    }
}

/// Warns of mistakes in files of organisations.
pub(super) fn warn_of(loaded: &Loaded) {
    for problem in loaded.mistakes.problems() {
        warn(problem);
    }
}

/// The time in seconds since 1970.
pub(super) fn now() -> u64 {
    u64::try_from(Timestamp::now().as_second()).unwrap_or(0)
}

/// The organisation with this id.
pub(super) fn organisation<'a>(loaded: &'a Loaded, id: &str) -> Result<&'a Organisation, Failure> {
    refuse_broken(loaded, id)?;
    let organisations = &loaded.organisations;
    organisations
        .iter()
        .find(|organisation| organisation.id.as_str() == id)
        .map(AsRef::as_ref)
        .ok_or_else(|| {
            let known = organisations
                .iter()
                .map(|organisation| organisation.id.as_str());
            let advice = nearest(id, known);
            Failure::Usage(format!(
                "there is no organisation {id}; {}",
                advice.unwrap_or_else(|| "see `zegel org list`".to_owned())
            ))
        })
}

/// The organisation with this id, or one of which the keystore has keys and no file says anything
/// any more: it has no domains and makes no keys.
pub(super) fn organisation_or_gone<'a>(
    loaded: &'a Loaded,
    keystore: &Keystore,
    id: &str,
) -> Result<Cow<'a, Organisation>, Failure> {
    let known = organisation(loaded, id);
    if known.is_err()
        && loaded.mistakes.of(id).is_none()
        && let Ok(id) = id.parse::<OrganisationId>()
        && !keystore.read_keyring(&id)?.keys().is_empty()
    {
        return Ok(Cow::Owned(gone(&id)));
    }
    known.map(Cow::Borrowed)
}

/// The organisations of the configuration, and behind them those of which only the keystore knows.
/// Not those whose file has mistakes: nobody knows what they want.
pub(super) fn with_gone<'a>(
    loaded: &'a Loaded,
    keystore: &Keystore,
) -> Result<Vec<Cow<'a, Organisation>>, KeystoreError> {
    let files = loaded.organisations.iter();
    let broken = loaded.mistakes.broken.iter();
    let broken = broken.filter_map(|one| one.organisation.as_ref());
    let known = files.clone().map(|one| &one.id).chain(broken);
    let others = keystore.without_file(known)?;
    let others = others.iter().map(|id| Cow::Owned(gone(id)));
    Ok(files
        .map(|one| Cow::Borrowed(&**one))
        .chain(others)
        .collect())
}

/// What is known of an organisation that no file names.
pub(super) fn gone(id: &OrganisationId) -> Organisation {
    let mut organisation = Organisation::without_file(id);
    organisation.algorithms.clear();
    organisation
}

/// What leaves is not known where that can't be read: who goes by it stops there.
pub(super) fn refuse_unread_notices(
    keystore: &Keystore,
    id: &OrganisationId,
) -> Result<(), Failure> {
    let keyring = keystore.read_keyring(id)?;
    keyring.departures_problem().map_or(Ok(()), |problem| {
        Err(Failure::Other(format!(
            "{problem}: restore that file, or remove it and say again who leaves (`zegel org retire \
             {id}`)"
        )))
    })
}

/// What a file with mistakes says of its organisation is not known.
pub(super) fn refuse_broken(loaded: &Loaded, id: &str) -> Result<(), Failure> {
    loaded.mistakes.of(id).map_or(Ok(()), |broken| {
        Err(Failure::Other(format!(
            "{}: the file of {id} has mistakes (above); correct them first",
            broken.file.display()
        )))
    })
}

/// The domains that are named, each one of the organisation's.
pub(super) fn domains_of(
    organisation: &Organisation,
    names: &[DomainName],
) -> Result<Vec<DomainName>, Failure> {
    let id = &organisation.id;
    for name in names {
        if organisation.parked.contains(name) {
            return Err(Failure::Usage(format!(
                "{name} is parked: it never sends mail, so it needs no key; to send from it, \
                 move it from parked to domains in orgs.d/{id}.toml"
            )));
        }
        if !organisation.keyed().any(|one| one == name) {
            let known = organisation.domains.iter().map(DomainName::as_str);
            let advice = nearest(name.as_str(), known);
            return Err(Failure::Usage(format!(
                "{name} is no domain of {id}; {}",
                advice.unwrap_or_else(|| format!("add it to domains in orgs.d/{id}.toml"))
            )));
        }
    }
    let mut names = names.to_vec();
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// A question that names what was probably meant.
pub(super) fn nearest<'a>(text: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    let (steps, name) = known
        .map(|name| (distance(text, name), name))
        .min_by_key(|(steps, _)| *steps)?;
    let close = steps <= 3.max(name.len() / 3) || name.contains(text);
    close.then(|| format!("did you mean {name}?"))
}
