//! Who writes the mark: every writer of the keystore, under its lock.

use jiff::Timestamp;

use super::{Comparison, Line, Mark, Missing, news};
use crate::{
    dkim::key::Fingerprint,
    keys::{Keyring, Revision},
    keystore::{
        GENERATION, Keystore, Target, audit,
        files::Folder,
        identity::KeystoreId,
        problem::{FileError, KeystoreError},
    },
    names::OrganisationId,
};

impl Keystore {
    /// Compares the keystore with its mark before something is written: makes a mark where there
    /// is none, takes in what it lacks, and notices an older keystore that was put back.
    ///
    /// # Errors
    /// When the keystore cannot be read, or its generation cannot be lifted above that of the
    /// mark. What is wrong with the mark is a warning.
    pub(in crate::keystore) fn follow_mark(
        &self,
        root: &Folder,
        id: &KeystoreId,
    ) -> Result<(), KeystoreError> {
        let generation = self.generation()?;
        let mark = match self.mark.read_head() {
            Ok(mark) => mark,
            Err(error) => {
                self.mark.complain(&error);
                return Ok(());
            }
        };
        let comparison = mark.as_ref().map_or(Comparison::Behind, |mark| {
            mark.compare(Some(id), generation)
        });
        match (comparison, mark) {
            (Comparison::Earlier, Some(mark)) => {
                let lifted = generation.max(mark.generation).saturating_add(1);
                self.notice_earlier(root, (id, lifted))
            }
            (Comparison::Behind, _) => {
                // Reading every keyring in vain would take long for each change.
                if !self.mark.has_failed() {
                    // It is written anew, and must not lose what was left out.
                    let mark = match self.mark.read() {
                        Ok(mark) => mark,
                        Err(error) => {
                            self.mark.complain(&error);
                            return Ok(());
                        }
                    };
                    let is_new = mark.is_none();
                    let mut mark = mark.map(|mark| Mark::clone(&mark)).unwrap_or_default();
                    self.complete(&mut mark);
                    if is_new {
                        // Of a mark that lags behind, it would also tell what a crash left undone.
                        mark.take_audit(&Mark::of_audit(root));
                    }
                    mark.id = Some(id.clone());
                    mark.generation = generation;
                    self.say_failure(self.mark.replace(root, &mark));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Writes down when it was, and lifts the generation above that of the mark, so that every
    /// signer looks at it.
    fn notice_earlier(
        &self,
        root: &Folder,
        (id, lifted): (&KeystoreId, u64),
    ) -> Result<(), KeystoreError> {
        tracing::error!(
            "{}: an older copy of the keystore was put back, or another keystore: no key is \
             replaced in an organisation until the DNS has shown each of its active keys again; \
             see docs/restore.md, and run `zegel keystore restore`",
            self.path.display()
        );
        let told = [
            Line::Keystore { id: id.clone() },
            Line::Restored {
                time: Timestamp::now(),
            },
        ];
        self.say_failure(self.mark.append(root, &told));
        root.prepare(GENERATION, format!("{lifted}\n").as_bytes())?
            .rename()?;
        root.sync()?;
        let number = Line::Generation { number: lifted };
        self.say_failure(self.mark.append(root, &[number]));
        Ok(())
    }

    /// What the keyrings tell.
    pub(in crate::keystore) fn mark_of_keyrings(&self) -> Mark {
        let mut mark = Mark::default();
        self.complete(&mut mark);
        mark
    }

    /// Takes in what the keyrings tell and the mark does not.
    fn complete(&self, mark: &mut Mark) {
        for organisation in self.organisations().unwrap_or_default() {
            // One that can't be read is told of when it can.
            let Ok(keyring) = self.read_keyring(&organisation) else {
                continue;
            };
            for mut line in news(&organisation, &Keyring::default(), &keyring) {
                if matches!(line, Line::InUse { .. }) && keyring.is_of_0_1() {
                    continue;
                }
                if let Line::Key {
                    selector, domains, ..
                }
                | Line::InUse {
                    selector, domains, ..
                } = &mut line
                {
                    let entry = keyring.key(selector);
                    domains.retain(|domain| {
                        entry.is_none_or(|entry| {
                            mark.gave_up(&organisation, entry, domain).is_none()
                        })
                    });
                }
                mark.take(line);
            }
        }
    }

    /// Tells of a change that was announced with this generation.
    pub(in crate::keystore) fn mark_change(
        &self,
        root: &Folder,
        revisions: &[Revision<'_>],
        generation: u64,
    ) {
        let lines = revisions
            .iter()
            .flat_map(|one| news(one.organisation, &one.before, &one.after));
        self.append_to_mark(root, lines.collect(), generation);
    }

    /// Tells that keys were given up that no keyring has, which was announced with this
    /// generation.
    pub(in crate::keystore) fn mark_ends(
        &self,
        root: &Folder,
        organisation: &OrganisationId,
        (missing, now): (&[Missing], Timestamp),
        generation: u64,
    ) {
        let lines = missing.iter().map(|one| one.end(organisation, now));
        self.append_to_mark(root, lines.collect(), generation);
    }

    fn append_to_mark(&self, root: &Folder, mut lines: Vec<Line>, generation: u64) {
        lines.push(Line::Generation { number: generation });
        match self.mark.read_head() {
            // The next writer makes one that is whole.
            Ok(None) => return,
            Err(error) => return self.mark.complain(&error),
            Ok(Some(mark)) if mark.generation.saturating_add(1) < generation => return,
            Ok(Some(_)) => {}
        }
        self.say_failure(self.mark.append(root, &lines));
        if let Ok(Some(_)) = self.mark.read_head()
            && self.mark.may_be_lengthy()
            && let Ok(Some(mark)) = self.mark.read()
            && mark.is_lengthy()
        {
            self.say_failure(self.mark.replace(root, &mark));
        }
    }

    fn say_failure(&self, written: Result<(), FileError>) {
        if let Err(error) = written {
            self.mark.complain(&error);
        }
    }
}

impl Mark {
    /// What the audit log tells; nothing where there is none, or it can't be read.
    pub(in crate::keystore) fn of_audit(root: &Folder) -> Self {
        let mut mark = Self::default();
        audit::each(root, |event| {
            let in_use = event.is_in_use().then(|| Line::InUse {
                organisation: event.organisation.clone(),
                selector: event.selector.clone(),
                fingerprint: None,
                domains: event.domains.clone(),
            });
            mark.take(if event.is_given_up() {
                Line::GivenUp {
                    time: event.time,
                    organisation: event.organisation,
                    selector: event.selector,
                    fingerprint: None,
                    domains: event.domains,
                    compromised: false,
                }
            } else {
                Line::Key {
                    organisation: event.organisation,
                    selector: event.selector,
                    fingerprint: None,
                    domains: event.domains,
                }
            });
            if let Some(line) = in_use {
                mark.take(line);
            }
        });
        mark
    }

    /// Takes in a key that was added.
    pub(in crate::keystore) fn take_key(&mut self, target: &Target<'_>, fingerprint: Fingerprint) {
        self.take(Line::Key {
            organisation: target.organisation.clone(),
            selector: target.selector.clone(),
            fingerprint: Some(fingerprint),
            domains: target.domains.to_vec(),
        });
    }

    /// Takes in the keys that only the audit log tells of.
    fn take_audit(&mut self, told: &Self) {
        for (organisation, keys) in &told.organisations {
            for key in keys {
                if !self.names(organisation, &key.selector) {
                    key.lines(organisation)
                        .into_iter()
                        .for_each(|line| self.take(line));
                }
            }
        }
        self.take_in_use(told);
    }
}
