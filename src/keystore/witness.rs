//! What tells whoever reads the keystore that something is missing in it, or older than it was:
//! the mark, the audit log, and key files that no keyring names.
//!
//! Absence by itself is not taken for "never had one": mail of a domain that had a key in use
//! must not leave unsigned because a folder is gone.

use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
};

use jiff::Timestamp;

use super::{
    GENERATION, GenerationStamp, KEY_SUFFIX, KEYRING, Keystore,
    files::{Folder, TEMPORARY},
    identity::{KeystoreId, Standing},
    mark::{About, Comparison, Mark, Missing},
    problem::{FileError, KeystoreError},
    reading::View,
};
use crate::{
    dkim::key::Fingerprint,
    keys::{KeyEntry, KeyIdentity, Keyring},
    names::{DomainName, OrganisationId},
    organisation::Organisation,
};

/// The keystore at one moment, and what is known of it beside its keyrings.
pub struct Witness {
    root: Folder,
    mark: Option<Arc<Mark>>,
    problem: Option<String>,
    standing: Standing,
    generation: GenerationStamp,
    /// Read when an organisation makes it necessary: it is long.
    audit: OnceLock<Mark>,
}

/// Which keystore was read, and up to which change: what the next one is compared with.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Lineage {
    /// None of a keystore of 0.1.
    pub id: Option<KeystoreId>,
    /// The highest generation that was seen of it.
    pub generation: u64,
    /// Since when active keys have to be seen again, if an older keystore was put back.
    pub restored: Option<Timestamp>,
}

/// A domain whose mail must not be taken for that of one without a key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Doubt {
    /// Which one.
    pub domain: DomainName,
    /// The key that the keyring calls active and that was given up; none where one is missing.
    pub given_up: Option<Fingerprint>,
    /// What is missing or older, and the way out.
    pub reason: String,
}

impl Keystore {
    /// Looks at the keystore as a whole. To be asked before the keyrings are read.
    ///
    /// # Errors
    /// When the folder, its id or its generation cannot be read. What is wrong with the mark is
    /// a problem in the answer.
    pub fn witness(&self) -> Result<Witness, KeystoreError> {
        self.witness_by(|| self.mark.read())
    }

    /// The same for a writer that asks about one organisation.
    pub(super) fn witness_of(
        &self,
        organisation: &OrganisationId,
    ) -> Result<Witness, KeystoreError> {
        let asked = About::organisation(organisation);
        self.witness_by(|| self.mark.read_about(&asked))
    }

    fn witness_by(
        &self,
        read: impl Fn() -> Result<Option<Arc<Mark>>, FileError>,
    ) -> Result<Witness, KeystoreError> {
        // The mark first: it is written last, so that it is never ahead of what is read after it.
        let (mut mark, mut problem) = (None, None);
        match read() {
            Ok(read) => mark = read,
            Err(error) => problem = Some(error.to_string()),
        }
        let generation = self.generation_stamp()?;
        let standing = self.standing()?;
        if mark
            .as_ref()
            .is_some_and(|mark| mark.generation() < generation.number)
        {
            // Someone may be between the two just now.
            if let Ok(Some(again)) = read()
                && again.generation() <= generation.number
            {
                mark = Some(again);
            }
        }
        Ok(Witness {
            root: self.root()?,
            mark,
            problem,
            standing,
            generation,
            audit: OnceLock::new(),
        })
    }
}

impl Witness {
    /// The generation of the keystore.
    pub fn generation(&self) -> GenerationStamp {
        self.generation
    }

    /// What is wrong with the mark, if it can't be read.
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// Whether there is a keystore that was never written by a zegel that gives it an id.
    pub fn lacks_id(&self) -> bool {
        self.standing == Standing::WithoutId
    }

    /// Since when active keys have to be seen again in the DNS.
    pub fn restored(&self) -> Option<Timestamp> {
        self.mark.as_ref().and_then(|mark| mark.restored())
    }

    fn id(&self) -> Option<&KeystoreId> {
        match &self.standing {
            Standing::Initialised(id) => Some(id),
            Standing::WithoutId | Standing::Empty => None,
        }
    }

    /// Why this is an older keystore than there was, or another one: by the mark, and by what
    /// was read before. None if it goes on from there.
    pub fn step_back(&self, before: Option<&Lineage>) -> Option<String> {
        let number = self.generation.number;
        let mark = self.mark.as_ref();
        let is_marked = mark.is_some_and(|mark| mark.id().is_some() && mark.id() == self.id());
        let is_other = |known: Option<&KeystoreId>| {
            known.is_some() && self.id().is_some() && known != self.id()
        };
        let earlier = if mark.is_some_and(|mark| is_other(mark.id())) {
            "it has another id than its mark".to_owned()
        } else if let Some(mark) = mark.filter(|mark| number < mark.generation()) {
            format!(
                "it has generation {number}, and had {} according to its mark",
                mark.generation()
            )
        } else if let Some(before) = before.filter(|before| number < before.generation) {
            format!("it has generation {number}, and had {}", before.generation)
        } else if before.is_some_and(|before| is_other(before.id.as_ref())) && !is_marked {
            "it has another id than before".to_owned()
        } else {
            return None;
        };
        Some(format!(
            "{}: this is an older copy of the keystore, or another one: {earlier}. Put the right \
             one back, or run `zegel keystore restore` if this is meant (docs/restore.md)",
            self.root.path(GENERATION).display()
        ))
    }

    /// What the next keystore is compared with.
    pub fn lineage(&self, before: Option<&Lineage>, has_stepped_back: bool) -> Lineage {
        match before.filter(|_| has_stepped_back) {
            Some(before) => before.clone(),
            None => Lineage {
                id: self.id().cloned(),
                generation: self.generation.number,
                restored: self.restored(),
            },
        }
    }

    /// The domains of an organisation for which its keyring can't be believed: it calls a key
    /// active that was given up, or has none in use while another source tells of a key that is
    /// not there.
    pub fn doubts(&self, organisation: &Organisation, keyring: &Keyring) -> Vec<Doubt> {
        let mut doubts: Vec<Doubt> = Vec::new();
        let mut whole_keyring = None;
        for domain in &organisation.domains {
            for algorithm in &organisation.algorithms {
                let active = keyring.active_key(domain, *algorithm);
                let doubt = match active {
                    Some(entry) => self.given_up(organisation, entry, domain),
                    None => self.missing(organisation, keyring, domain).or_else(|| {
                        let keyring_gone = whole_keyring
                            .get_or_insert_with(|| self.missing_keyring(organisation, keyring));
                        keyring_gone.clone().map(|reason| Doubt {
                            domain: domain.clone(),
                            given_up: None,
                            reason,
                        })
                    }),
                };
                doubts.extend(doubt.filter(|doubt| !doubts.contains(doubt)));
            }
        }
        doubts
    }

    /// Whether a key was given up for a domain, by the mark.
    pub fn has_given_up(
        &self,
        organisation: &OrganisationId,
        key: &KeyIdentity,
        domain: &DomainName,
    ) -> bool {
        let mark = self.mark.as_ref();
        mark.is_some_and(|mark| mark.has_given_up(organisation, key, domain))
    }

    /// Whether a key that the keyring calls active was given up for a domain, by the mark.
    pub fn gave_up(
        &self,
        organisation: &OrganisationId,
        entry: &KeyEntry,
        domain: &DomainName,
    ) -> bool {
        let mark = self.mark.as_ref();
        mark.is_some_and(|mark| mark.gave_up(organisation, entry, domain).is_some())
    }

    /// The domains that nobody claims, and for which a key was in use that its keyring does not
    /// have in use: by the mark, and, if `asks_audit` and the mark does not tell of all, by the
    /// audit log. Keyrings are read of organisations alone that have such a domain.
    pub fn lost(
        &self,
        view: &View,
        asks_audit: bool,
        is_claimed: impl Fn(&DomainName) -> bool,
    ) -> BTreeSet<(OrganisationId, DomainName)> {
        let mark = self.mark.as_deref().into_iter();
        let audit = asks_audit.then(|| self.audit_where_needed()).flatten();
        let told = mark.chain(audit).flat_map(Mark::in_use);
        let told: BTreeSet<(&OrganisationId, &DomainName)> =
            told.filter(|(_, domain)| !is_claimed(domain)).collect();
        let mut last: Option<(&OrganisationId, Option<Keyring>)> = None;
        let mut found = BTreeSet::new();
        for (id, domain) in told {
            if last.as_ref().is_none_or(|(last, _)| *last != id) {
                let keyring = view.read_keyring(id).ok().map(|(keyring, _)| keyring);
                last = Some((id, keyring));
            }
            let keyring = last.as_ref().and_then(|(_, keyring)| keyring.as_ref());
            // One that can't be read says nothing against it.
            if keyring.is_none_or(|keyring| self.lacks_in_use(id, keyring, domain)) {
                found.insert((id.clone(), domain.clone()));
            }
        }
        found
    }

    /// Whether a key was in use for a domain that the keyring does not have in use.
    pub fn lacks_in_use(
        &self,
        organisation: &OrganisationId,
        keyring: &Keyring,
        domain: &DomainName,
    ) -> bool {
        // There, an organisation or domain without a file was removed.
        let is_of_0_1 = keyring.is_of_0_1() && !keyring.keys().is_empty();
        let is_behind = self.is_mark_behind();
        let lacks = |(told, is_behind): (&Mark, bool)| {
            told.lacks_in_use(organisation, keyring, domain, is_behind)
        };
        let mark = self.mark.as_deref().map(|mark| (mark, is_behind));
        let audit = || self.audit_where_needed().map(|audit| (audit, false));
        !is_of_0_1 && (mark.is_some_and(lacks) || audit().is_some_and(lacks))
    }

    /// Whether the organisation had keys for the domain, and has given up all of them.
    pub fn has_ended(&self, organisation: &OrganisationId, domain: &DomainName) -> bool {
        let mark = self.mark.as_ref().filter(|_| self.is_mark_complete());
        mark.is_some_and(|mark| mark.has_ended(organisation, domain))
    }

    /// Whether the mark tells of every key, so that no keyring has to be read to know who has one.
    pub fn tells_of_all(&self) -> bool {
        self.is_mark_complete()
    }

    /// Who has or had a key for one of these domains, by the mark.
    pub fn holders(&self, domains: &BTreeSet<DomainName>) -> BTreeSet<OrganisationId> {
        let marks = self.mark.iter();
        let holders = marks.flat_map(|mark| domains.iter().flat_map(|one| mark.holders(one)));
        holders.cloned().collect()
    }

    /// Who has or had a key of one of these organisations, and is none of them, by the mark.
    pub fn sharing(&self, organisations: &BTreeSet<OrganisationId>) -> BTreeSet<OrganisationId> {
        let mark = self.mark.as_ref();
        mark.map(|mark| mark.sharing(organisations))
            .unwrap_or_default()
    }

    /// The domains that mark or audit log know of an organisation.
    pub fn domains(&self, organisation: &OrganisationId) -> BTreeSet<DomainName> {
        let domains = self.sources().flat_map(|told| told.domains(organisation));
        domains.cloned().collect()
    }

    /// The keys that mark or audit log know of, and the keyring does not have: for a domain, or for
    /// all.
    pub(super) fn missing_keys(
        &self,
        organisation: &OrganisationId,
        keyring: &Keyring,
        domain: Option<&DomainName>,
    ) -> Vec<Missing> {
        let missing = self.sources();
        missing
            .flat_map(|told| told.missing(organisation, keyring, domain))
            .collect()
    }

    /// Each of them knows of keys. The audit log is asked only where the mark does not tell of all.
    fn sources(&self) -> impl Iterator<Item = &Mark> {
        let mark = self.mark.as_deref().into_iter();
        mark.chain(self.audit_where_needed())
    }

    fn audit_where_needed(&self) -> Option<&Mark> {
        (!self.is_mark_complete()).then(|| self.audit())
    }

    fn given_up(
        &self,
        organisation: &Organisation,
        entry: &KeyEntry,
        domain: &DomainName,
    ) -> Option<Doubt> {
        let given_up = self
            .mark
            .as_ref()?
            .gave_up(&organisation.id, entry, domain)?;
        Some(Doubt {
            domain: domain.clone(),
            given_up: Some(entry.fingerprint),
            reason: format!(
                "{}: {} is active for {domain} here, and was given up on {:.0}: an older \
                 keyring was put back; restore the newest one, or run `zegel keystore restore`",
                self.keyring_path(&organisation.id),
                entry.selector,
                given_up.time
            ),
        })
    }

    /// A key that mark or audit log tell of.
    fn missing(
        &self,
        organisation: &Organisation,
        keyring: &Keyring,
        domain: &DomainName,
    ) -> Option<Doubt> {
        let id = &organisation.id;
        let marked = self.mark.as_ref();
        let is_behind = self.is_mark_behind();
        let lacking = marked.and_then(|mark| mark.lacking(id, keyring, domain, is_behind));
        let (selector, source) = match lacking {
            Some(selector) => (selector, "the mark"),
            None if self.is_mark_complete() || self.is_half_made(organisation) => return None,
            None => {
                let audit = self.audit();
                (audit.lacking(id, keyring, domain, false)?, "audit.log")
            }
        };
        Some(Doubt {
            domain: domain.clone(),
            given_up: None,
            reason: format!(
                "{}: {} of {domain} is not there, and {source} tells of it{}: restore the folder \
                 from a backup, or make a new key with `zegel key generate {id}`; until one is in \
                 use, mail of {domain} counts as signing_failure",
                self.keyring_path(id),
                selector,
                match keyring.key(selector) {
                    None => "",
                    Some(key) if key.publications.contains_key(domain) => {
                        " with another key, or in use"
                    }
                    Some(_) => " for this domain",
                },
            ),
        })
    }

    /// Why the keyring itself is missing: there are key files beside the place where it was.
    fn missing_keyring(&self, organisation: &Organisation, keyring: &Keyring) -> Option<String> {
        let id = &organisation.id;
        if !keyring.keys().is_empty() || self.is_mark_complete() || self.has_audit() {
            return None;
        }
        let folder = self.root.child(id.as_str()).ok()??;
        let names = folder.names().ok()?;
        let key_file = names.iter().find(|name| name.ends_with(KEY_SUFFIX))?;
        (!self.is_half_made(organisation)).then(|| {
            format!(
                "{}: there is no keyring, and {key_file} is there: restore the keyring from a \
                 backup, or make a new key with `zegel key generate {id}`; until one is in use, \
                 mail of {id} counts as signing_failure",
                self.keyring_path(id)
            )
        })
    }

    /// Whether the mark tells of every key that there was.
    fn is_mark_complete(&self) -> bool {
        self.mark.as_ref().is_some_and(|mark| {
            mark.compare(self.id(), self.generation.number) == Comparison::Current
                && mark.id() == self.id()
        })
    }

    /// Whether there was a change that the mark does not tell of.
    fn is_mark_behind(&self) -> bool {
        self.mark.as_ref().is_some_and(|mark| {
            mark.compare(self.id(), self.generation.number) == Comparison::Behind
        })
    }

    /// Whether the process that made the first key died before its keyring was there.
    fn is_half_made(&self, organisation: &Organisation) -> bool {
        self.root
            .has(&format!("{}/{TEMPORARY}{KEYRING}", organisation.id))
    }

    fn has_audit(&self) -> bool {
        super::audit::is_about_keys(&self.root)
    }

    fn audit(&self) -> &Mark {
        self.audit.get_or_init(|| Mark::of_audit(&self.root))
    }

    fn keyring_path(&self, organisation: &OrganisationId) -> impl std::fmt::Display {
        self.root.place(&format!("{organisation}/{KEYRING}"))
    }
}
