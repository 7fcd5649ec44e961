//! Where an import goes: `orgs.d`, the keystore, and a `zegel.toml` if there is none.

use std::{
    fs,
    path::{Path, PathBuf},
};

use jiff::Timestamp;

use super::{
    keys::Keys,
    report::{KeyState, Report, TakenKey, TakenOrganisation},
};
use crate::{
    cli::{
        failure::Failure,
        keystore::say_initialised,
        placing::{make_folder, put, sync},
    },
    config::{self, Loaded, Problems, Settings},
    import::{
        Code, Finding, Hints, PlannedKey, PlannedOrganisation, Taken, organisation_file,
        settings_file,
    },
    keys::KeyEntry,
    keystore::{Addition, BATCH, KeystoreError, OrganisationsLock, Target},
    names::{DomainName, OrganisationId},
};

const SETTINGS: &str = "zegel.toml";
const ORGANISATIONS: &str = "orgs.d";

pub(super) struct Destination {
    folder: PathBuf,
    has_settings: bool,
    /// Those that are there, or the defaults; always of the keystore that keys go to.
    settings: Settings,
    /// The organisations that are there.
    pub(super) taken: Taken,
}

impl Destination {
    /// Looks what is there; makes nothing.
    pub(super) fn new(folder: &Path, keystore: Option<&Path>) -> Result<Self, Failure> {
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        let settings = folder.join(SETTINGS);
        let mut there = Taken::default();
        let has_settings = settings.exists();
        let mut known = Settings::default();
        if has_settings {
            let loaded = load_settings(&settings)?;
            there = taken(&loaded);
            known = loaded.settings;
            if keystore.is_some_and(|keystore| !is_same(keystore, &known.keystore_path)) {
                return Err(Failure::Usage(format!(
                    "{}: the keystore is {}; leave --keystore out, or change it there",
                    settings.display(),
                    known.keystore_path.display()
                )));
            }
        } else if fs::read_dir(folder.join(ORGANISATIONS)).is_ok_and(|mut any| any.next().is_some())
        {
            return Err(Failure::Usage(format!(
                "{} has organisations, and there is no {SETTINGS} beside it: put one there (an \
                 empty one will do), or choose another folder",
                folder.join(ORGANISATIONS).display()
            )));
        }
        if keystore.is_none() && !has_settings && known.keystore_path.exists() {
            // Its organisations are configured elsewhere: one of the same name would get keys
            // that nobody meant for it, and might sign with them.
            return Err(Failure::Usage(format!(
                "{} is a keystore that is there, and {} says nothing of it: name it with \
                 --keystore if it is meant, or another one for a trial",
                known.keystore_path.display(),
                settings.display()
            )));
        }
        if let Some(keystore) = keystore {
            known.keystore_path =
                std::path::absolute(keystore).unwrap_or_else(|_| keystore.to_owned());
        }
        if !has_settings {
            refuse_sealed(&known, &settings)?;
        }
        Ok(Self {
            folder,
            has_settings,
            settings: known,
            taken: there,
        })
    }

    /// Makes the keystore if need be, and keeps others from adding organisations. Looks again
    /// which are there: some may have come meanwhile.
    pub(super) fn lock(&mut self) -> Result<OrganisationsLock, Failure> {
        // The keystore may be in it.
        make_folder(&self.folder)?;
        let keystore = self.settings.make_keystore()?;
        // Without them each key would be refused, and the organisations written.
        keystore.sealing_keys().map_err(KeystoreError::Sealing)?;
        let lock = keystore.lock_organisations()?;
        let settings = self.folder.join(SETTINGS);
        if settings.exists() != self.has_settings {
            return Err(Failure::Other(format!(
                "{}: it came or went meanwhile; repeat the command",
                settings.display()
            )));
        }
        if self.has_settings {
            self.taken = taken(&load_settings(&settings)?);
        }
        Ok(lock)
    }

    fn organisation_file(&self, id: &OrganisationId) -> PathBuf {
        self.folder.join(ORGANISATIONS).join(format!("{id}.toml"))
    }

    /// Where settings are written, if none are there.
    fn new_settings(&self) -> Option<PathBuf> {
        (!self.has_settings).then(|| self.folder.join(SETTINGS))
    }

    /// What is done when all goes well.
    pub(super) fn report(
        &self,
        plan: &[PlannedOrganisation],
        findings: Vec<Finding>,
        assume_published: bool,
    ) -> Report {
        let taken_key = |key: &PlannedKey| {
            let signs = signs_for(key, assume_published);
            let (signs_for, waits_for) =
                (key.domains.iter().cloned()).partition(|domain| signs.contains(domain));
            TakenKey {
                selector: key.selector.clone(),
                algorithm: key.algorithm,
                signs_for,
                waits_for,
                state: KeyState::Added,
            }
        };
        let taken = plan.iter().map(|planned| TakenOrganisation {
            id: planned.id.clone(),
            file: self.organisation_file(&planned.id),
            unchanged: planned.is_there,
            domains: planned.domains.clone(),
            keys: planned.keys.iter().map(taken_key).collect(),
        });
        Report {
            dry_run: false,
            organisations: taken.collect(),
            findings,
            keystore: self.settings.keystore_path.clone(),
            settings: self.new_settings(),
            assume_published,
        }
    }

    /// Keys first: an organisation without its keys would be worse than the reverse. Under the
    /// lock.
    pub(super) fn write(
        &self,
        plan: &[PlannedOrganisation],
        hints: &Hints,
        keys: &Keys,
        report: &mut Report,
    ) -> Result<(), Failure> {
        make_folder(&self.folder.join(ORGANISATIONS))?;
        self.write_keys(plan, keys, report)?;
        for organisation in plan.iter().filter(|organisation| !organisation.is_there) {
            let file = self.organisation_file(&organisation.id);
            put(&file, organisation_file(organisation).as_bytes())?;
        }
        if let Some(file) = self.new_settings() {
            let keystore = &self.settings.keystore_path;
            let text = settings_file(hints, keystore).ok_or_else(|| {
                Failure::Usage(format!("{}: it is not UTF-8", keystore.display()))
            })?;
            put(&file, text.as_bytes())?;
        }
        sync(&self.folder.join(ORGANISATIONS))?;
        self.check(report);
        Ok(())
    }

    fn write_keys(
        &self,
        plan: &[PlannedOrganisation],
        keys: &Keys,
        report: &mut Report,
    ) -> Result<(), Failure> {
        let now = Timestamp::now();
        let keystore = self.settings.make_keystore()?;
        say_initialised(&keystore, keystore.initialise()?);
        let timing = self.settings.timing();
        let mut new = Vec::new();
        for (at, organisation) in plan.iter().enumerate() {
            let keyring = keystore.read_keyring(&organisation.id)?;
            for (place, planned) in organisation.keys.iter().enumerate() {
                let Some(key) = keys.get(&planned.source) else {
                    continue;
                };
                let is_it = |entry: &KeyEntry| entry.fingerprint == key.public_key().fingerprint();
                if keyring.key(&planned.selector).is_some_and(is_it) {
                    report.organisations[at].keys[place].state = KeyState::Unchanged;
                } else {
                    new.push(((at, place), organisation, planned, key));
                }
            }
        }
        for batch in new.chunks(BATCH) {
            let additions: Vec<Addition<'_>> = batch
                .iter()
                .map(|(_, organisation, planned, key)| Addition {
                    target: Target {
                        organisation: &organisation.id,
                        selector: &planned.selector,
                        domains: &planned.domains,
                    },
                    key,
                    signs_for: signs_for(planned, report.assume_published),
                })
                .collect();
            // The lock is let go of in between, for whoever else writes.
            let answers = keystore.writer()?.add_all(&additions, &timing, now)?;
            for (((at, place), organisation, planned, _), answer) in batch.iter().zip(answers) {
                if let Err(error) = answer {
                    report.organisations[*at].keys[*place].state = KeyState::Refused;
                    report.say(
                        Code::KeystoreRefusal,
                        format!(
                            "{}: the key with the selector {} of {}: {error}",
                            planned.place, planned.selector, organisation.id
                        ),
                        "it was not taken over",
                    );
                }
            }
        }
        Ok(())
    }

    /// The result is read as `zegel run` would.
    fn check(&self, report: &mut Report) {
        let problems = match config::load(&self.folder.join(SETTINGS)) {
            Ok(loaded) => loaded.mistakes.problems(),
            Err(problems) => problems.0,
        };
        for problem in problems {
            report.say(
                Code::Configuration,
                problem.to_string(),
                "it was written all the same: correct it before Zegel reads it",
            );
        }
    }
}

fn load_settings(settings: &Path) -> Result<Loaded, Failure> {
    let loaded = config::load(settings)?;
    if loaded.mistakes.is_empty() {
        return Ok(loaded);
    }
    // Which domains are taken is not known.
    Err(Failure::Organisations(Problems(loaded.mistakes.problems())))
}

/// Nobody has said with what new keys are to be sealed: beside sealed ones they would lie in the
/// clear.
fn refuse_sealed(defaults: &Settings, settings: &Path) -> Result<(), Failure> {
    let lying = defaults
        .open_keystore()
        .and_then(|keystore| keystore.lying());
    // What can't be read is told when it is written.
    if lying.is_ok_and(|lying| !lying.sealed.is_empty()) {
        return Err(Failure::Usage(format!(
            "{} has sealed keys: name it and its sealing keys in {}, under [keystore], before the \
             import",
            defaults.keystore_path.display(),
            settings.display()
        )));
    }
    Ok(())
}

fn taken(loaded: &Loaded) -> Taken {
    let mut taken = Taken::default();
    for organisation in &loaded.organisations {
        taken.insert(&organisation.id, &organisation.domains);
        taken.insert(&organisation.id, &organisation.parked);
    }
    taken
}

fn signs_for(planned: &PlannedKey, assume_published: bool) -> &[DomainName] {
    if assume_published {
        &planned.in_use
    } else {
        &[]
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| {
        fs::canonicalize(path)
            .or_else(|_| std::path::absolute(path))
            .unwrap_or_else(|_| path.to_owned())
    };
    real(one) == real(other)
}
