//! What is lost of the keystore, or put back.

use std::fs;

use super::World;
use crate::{
    book::{Fact, Facts},
    commands,
    events::{Event, ORGANISATIONS, Org},
    files::remove,
    witnesses::Copy,
};

impl World {
    pub(super) fn lose_of_one(&mut self, event: Event) {
        let (Event::FolderAway(org)
        | Event::FolderBack(org)
        | Event::KeyringGone(org)
        | Event::KeyringEmptied(org)
        | Event::KeyringOld(org, _)
        | Event::KeyFileGone(org, _)) = event
        else {
            unreachable!()
        };
        self.count_loss();
        self.suspended[org] = false;
        let name = ORGANISATIONS[org];
        let (folder, away) = (
            self.files.path("keys").join(name),
            self.files.path("away").join(name),
        );
        let keyring = self.files.of(org, "keyring.json");
        match event {
            Event::FolderAway(_) => {
                if folder.exists() {
                    remove(&away);
                    fs::rename(folder, away).unwrap();
                    self.keyrings_away[org] = self.witnesses.replace_keyring(org, Facts::new());
                    self.folders_away[org] = true;
                }
            }
            Event::FolderBack(_) => {
                if self.folders_away[org] && self.unmounted.is_none() {
                    remove(&folder);
                    fs::rename(away, folder).unwrap();
                    let facts = std::mem::take(&mut self.keyrings_away[org]);
                    self.witnesses.replace_keyring(org, facts);
                    self.folders_away[org] = false;
                }
            }
            Event::KeyringGone(_) => {
                if remove(&keyring) {
                    self.witnesses.replace_keyring(org, Facts::new());
                }
            }
            Event::KeyringEmptied(_) => {
                if keyring.exists() {
                    fs::write(keyring, r#"{"version":1,"keys":[]}"#).unwrap();
                    self.witnesses.replace_keyring(org, Facts::new());
                }
            }
            Event::KeyringOld(_, which) => self.put_back_keyring(org, which),
            Event::KeyFileGone(_, which) => {
                let keys = self.book.keys.iter().filter(|key| key.org == org);
                let selectors: Vec<_> = keys.map(|key| key.selector.to_string()).collect();
                if let Some(selector) = selectors.get(which % selectors.len().max(1)) {
                    remove(&self.files.of(org, &format!("{selector}.pem")));
                }
            }
            _ => unreachable!(),
        }
    }

    fn put_back_keyring(&mut self, org: Org, which: usize) {
        let number = which % self.backups.len().max(1);
        let Some(backup) = self.backups.get(number) else {
            return;
        };
        let from = format!("backup-{number}/{}/keyring.json", ORGANISATIONS[org]);
        let from = self.files.path(&from);
        let to = self.files.of(org, "keyring.json");
        if from.exists() && to.parent().unwrap().exists() {
            fs::copy(from, to).unwrap();
            let facts = backup.keyrings[org].clone();
            self.witnesses.replace_keyring(org, facts);
            self.counts.one("older copies");
        }
    }

    pub(super) fn lose_of_all(&mut self, event: Event) {
        self.count_loss();
        if !matches!(event, Event::Backup) {
            self.suspended = [false; 2];
        }
        match event {
            Event::GenerationGone => {
                remove(&self.files.path("keys/generation"));
            }
            Event::GenerationBack => {
                let path = self.files.path("keys/generation");
                let now = fs::read(&path).ok();
                if let (Some(then), Some(_)) = (&self.generation, &now) {
                    fs::write(path, then).unwrap();
                }
                self.generation = now;
            }
            Event::IdGone => {
                remove(&self.files.path("keys/keystore.id"));
            }
            Event::AuditGone | Event::AuditCut => {
                let path = self.files.path("keys/audit.log");
                let log = fs::read(&path).unwrap_or_default();
                let is_gone = matches!(event, Event::AuditGone);
                if is_gone && remove(&path) || !log.is_empty() && !is_gone {
                    if !is_gone {
                        fs::write(path, &log[..log.len() / 2]).unwrap();
                    }
                    self.witnesses.lose_audit();
                }
            }
            Event::MarkGone => {
                remove(&self.files.path("keys.mark"));
                self.witnesses.lose_mark();
            }
            Event::Backup | Event::RollBack(_) | Event::Unmount | Event::Mount => {
                self.exchange(event);
            }
            Event::Initialise => {
                let keystore = commands::open(&self.files).unwrap();
                let _ = keystore.initialise();
                self.note_writer();
            }
            _ => unreachable!(),
        }
    }

    /// The keystore as a whole is another one.
    fn exchange(&mut self, event: Event) {
        match event {
            Event::Backup => {
                if self.unmounted.is_none() {
                    let name = format!("backup-{}", self.backups.len());
                    self.files.copy("keys", &name);
                    self.backups.push(self.witnesses.copy());
                }
            }
            Event::RollBack(which) => {
                let number = which % self.backups.len().max(1);
                if let Some(backup) = self
                    .backups
                    .get(number)
                    .filter(|_| self.unmounted.is_none())
                {
                    self.files.copy(&format!("backup-{number}"), "keys");
                    self.witnesses.replace(&backup.clone());
                    self.counts.one("older copies");
                }
            }
            Event::Unmount => {
                if self.unmounted.is_none() {
                    fs::rename(self.files.path("keys"), self.files.path("unmounted")).unwrap();
                    self.files.make_folder("keys");
                    self.unmounted = Some(self.witnesses.copy());
                    self.witnesses.replace(&Copy::default());
                }
            }
            Event::Mount => {
                if let Some(copy) = self.unmounted.take() {
                    remove(&self.files.path("keys"));
                    fs::rename(self.files.path("unmounted"), self.files.path("keys")).unwrap();
                    self.witnesses.replace(&copy);
                }
            }
            _ => unreachable!(),
        }
    }

    fn count_loss(&mut self) {
        let mut truth = self.witnesses.truth.iter();
        if truth.any(|fact| matches!(fact, Fact::Active(..))) {
            self.counts.one("losses under a key in use");
        }
    }
}
