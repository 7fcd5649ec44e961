//! What operators do by hand, with the code behind the commands.

use std::collections::BTreeSet;

use jiff::Timestamp;
use zegel::{
    config::{self, Loaded, situation},
    dkim::Algorithm,
    keys::{self, NewKey, Timing, WantedKey},
    keystore::{Keystore, KeystoreError, Target, Writer},
    names::{DomainName, Selector},
    organisation::Organisation,
};

use crate::{
    events::{DOMAINS, Dom, Org},
    files::Files,
    keeper::{Written, id},
};

/// One command for one organisation. None where it was refused.
pub(crate) struct Command<'a> {
    pub(crate) files: &'a Files,
    pub(crate) org: Org,
    pub(crate) timing: &'a Timing,
}

impl Command<'_> {
    /// `zegel key roll`.
    pub(crate) fn roll(&self) -> Option<Written> {
        self.with_organisation(|loaded, keystore, organisation| {
            let keyring = keystore.read_keyring(&organisation.id)?;
            let away = loaded.claims().away(organisation, &keyring);
            let situation = situation(organisation, &keyring, &away, self.timing);
            let mut writer = keystore.writer()?;
            let mut written = Written::default();
            for wanted in situation.roll() {
                written
                    .made
                    .extend(make(&mut writer, organisation, &wanted)?);
            }
            Ok(written)
        })
    }

    /// `zegel key generate`.
    pub(crate) fn generate(&self) -> Option<Written> {
        self.with_organisation(|_, keystore, organisation| {
            if organisation.domains.is_empty() {
                return Ok(Written::default());
            }
            let key = NewKey::generate(Algorithm::Ed25519Sha256, 0).unwrap();
            let mut writer = keystore.writer()?;
            let domains = &organisation.domains;
            let made = writer.add_next(organisation, domains, &key, Timestamp::now())?;
            Ok(Written {
                made: vec![made],
                changes: Vec::new(),
            })
        })
    }

    /// `zegel key activate --assume-published`.
    pub(crate) fn activate(&self, which: usize) -> Option<Written> {
        self.with_organisation(|_, keystore, organisation| {
            let Some(selector) = selector(keystore, organisation, which)? else {
                return Ok(Written::default());
            };
            let target = Target {
                organisation: &organisation.id,
                selector: &selector,
                domains: &organisation.domains,
            };
            let changes = keystore.activate(&target, self.timing, Timestamp::now())?;
            Ok(Written {
                changes,
                made: Vec::new(),
            })
        })
    }

    /// `zegel key revoke`.
    pub(crate) fn revoke(&self, which: usize) -> Option<Written> {
        self.with_organisation(|_, keystore, organisation| {
            let Some(selector) = selector(keystore, organisation, which)? else {
                return Ok(Written::default());
            };
            let now = Timestamp::now();
            let keyring = keystore.read_keyring(&organisation.id)?;
            let changes = keys::revoke(&keyring, &selector, now).unwrap_or_default();
            keystore.writer()?.apply(&organisation.id, &changes, now)?;
            Ok(Written {
                changes,
                made: Vec::new(),
            })
        })
    }

    /// `zegel org retire --domain`. It is refused for what a file has, and for what nobody knows.
    pub(crate) fn retire(&self, dom: Dom) -> Option<Written> {
        let domain: DomainName = DOMAINS[dom].parse().unwrap();
        let loaded = config::load(&self.files.path("zegel.toml")).ok()?;
        let keystore = loaded.settings.open_keystore().ok()?;
        let id = id(self.org);
        let mut files = loaded.organisations.iter().filter(|one| one.id == id);
        if files.any(|one| one.domains.contains(&domain)) {
            return None;
        }
        let keyring = keystore.read_keyring(&id).ok()?;
        let mut keys = keyring.keys().iter();
        let is_there = keys.any(|key| key.publications.contains_key(&domain));
        if !is_there && !keystore.witness().ok()?.domains(&id).contains(&domain) {
            return None;
        }
        let now = Timestamp::now();
        let mut writer = keystore.writer().ok()?;
        let changes = writer.retire(&id, Some(&domain), self.timing, now);
        Some(Written {
            changes: changes.ok()?.changes,
            made: Vec::new(),
        })
    }

    /// `zegel org suspend` and `zegel org resume`.
    pub(crate) fn suspend(&self, is_suspended: bool) -> Option<()> {
        let mut writer = open(self.files)?.writer().ok()?;
        let (org, now) = (id(self.org), Timestamp::now());
        let done = if is_suspended {
            writer.suspend(&org, now)
        } else {
            writer.resume(&org, now)
        };
        done.ok()
    }

    fn with_organisation(
        &self,
        work: impl FnOnce(&Loaded, &Keystore, &Organisation) -> Result<Written, KeystoreError>,
    ) -> Option<Written> {
        let loaded = config::load(&self.files.path("zegel.toml")).ok()?;
        let keystore = loaded.settings.open_keystore().ok()?;
        let id = id(self.org);
        let organisation = loaded.organisations.iter().find(|one| one.id == id)?;
        work(&loaded, &keystore, organisation).ok()
    }
}

pub(crate) fn open(files: &Files) -> Option<Keystore> {
    Keystore::open(&files.path("keys")).ok()
}

fn selector(
    keystore: &Keystore,
    organisation: &Organisation,
    which: usize,
) -> Result<Option<Selector>, KeystoreError> {
    let keyring = keystore.read_keyring(&organisation.id)?;
    let keys = keyring.keys();
    Ok(keys
        .get(which % keys.len().max(1))
        .map(|key| key.selector.clone()))
}

fn make(
    writer: &mut Writer,
    organisation: &Organisation,
    wanted: &WantedKey,
) -> Result<Option<keys::KeyEntry>, KeystoreError> {
    if wanted.algorithm != Algorithm::Ed25519Sha256 {
        return Ok(None);
    }
    let key = NewKey::generate(wanted.algorithm, 0).unwrap();
    writer.avoid(BTreeSet::new());
    writer.add_wanted(organisation, wanted, &key, Timestamp::now())
}
