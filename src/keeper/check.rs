//! One organisation, looked at once: what the DNS shows of its keys, and what follows.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::{Timestamp, tz::TimeZone};

use crate::{
    dkim::{Fingerprint, PublicKey},
    dns::{self, Finding, Round, Severity},
    keystore::{
        ChangeRefusal, KeyEntry, KeyProblem, Keyring, Keystore, KeystoreError, NewKey, Target,
        Writer,
        lifecycle::{Alarm, AlarmKind, Change, Event, Moment, Sight, Situation, Timing, WantedKey},
    },
    names::{DomainName, Selector},
    observe::metrics::keeper::Facts,
    organisation::Organisation,
};

/// The size of the RSA keys that are made, in bits.
const RSA_BITS: usize = 2048;
/// How often a plan is made anew because somebody else changed the keyring meanwhile.
const PLANS: usize = 5;
/// How many selectors are tried for a new key.
const CANDIDATES: usize = 20;

/// What comes of a check.
pub(super) type Outcome = Result<Checked, KeystoreError>;

/// Looks at organisations. Remembers public keys, so that a private one is read once.
#[derive(Debug)]
pub struct Checker {
    keystore: Keystore,
    public_keys: Mutex<HashMap<Fingerprint, PublicKey>>,
    /// Held with the lock of the keystore, whose waiting has an end: on a slow disk the
    /// organisations of one round would give up on each other.
    writing: Mutex<()>,
}

/// What a check of one organisation found and did.
#[derive(Debug, Default)]
pub struct Checked {
    /// What is wrong, or could be better, in the DNS.
    pub findings: Vec<Finding>,
    /// What was changed.
    pub changes: Vec<Change>,
    /// What somebody should be told.
    pub alarms: Vec<Alarm>,
    /// Keys that were made.
    pub made: Vec<Selector>,
    /// Keys that can't be used, and others of the kind, one line each.
    pub problems: Vec<String>,
    /// The keyring as it is now.
    pub keyring: Keyring,
}

/// What was seen of each key in each domain.
type Sights = HashMap<(Selector, DomainName), Sight>;

impl Checker {
    /// For the keys of this keystore.
    pub fn new(keystore: Keystore) -> Self {
        Self {
            keystore,
            public_keys: Mutex::default(),
            writing: Mutex::default(),
        }
    }

    /// Looks, plans, and does what is due. Must be called within a multi-threaded runtime.
    ///
    /// # Errors
    ///
    /// When the keyring can't be read, or what is due can't be written: the keystore is then
    /// as it was, or as far as one of several keys.
    pub async fn check(
        &self,
        organisation: &Organisation,
        (timing, moment): (&Timing, Moment),
        round: &Round,
    ) -> Outcome {
        let mut checked = Checked::default();
        let keyring = self.keystore.read_keyring(&organisation.id)?;
        let situation = situation(organisation, &keyring, timing);
        let sights = self
            .look((organisation, &situation), round, &mut checked)
            .await;
        tokio::task::block_in_place(|| {
            let wanted = self.apply((organisation, timing), moment, &sights, &mut checked)?;
            for wanted in &wanted {
                self.make_key(organisation, wanted, moment, &mut checked)?;
            }
            checked.keyring = self.keystore.read_keyring(&organisation.id)?;
            Ok(checked)
        })
    }

    /// What the DNS shows of every key that is to be watched.
    async fn look(
        &self,
        (organisation, situation): (&Organisation, &Situation<'_>),
        round: &Round,
        checked: &mut Checked,
    ) -> Sights {
        let mut sights = Sights::new();
        for (key, domain) in situation.watched() {
            let public_key = tokio::task::block_in_place(|| self.public_key(organisation, key));
            let sight = match public_key {
                Ok(public_key) => {
                    let name = key.selector.record_name(domain);
                    let (sight, findings) = dns::judge(&round.observe(&name).await, &public_key);
                    checked.findings.extend(findings);
                    sight
                }
                Err(problem) => {
                    checked.problems.push(problem.to_string());
                    Sight::Unknown
                }
            };
            sights.insert((key.selector.clone(), domain.clone()), sight);
        }
        sights
    }

    fn public_key(
        &self,
        organisation: &Organisation,
        key: &KeyEntry,
    ) -> Result<PublicKey, Box<KeyProblem>> {
        let known = self.known();
        if let Some(public_key) = known.get(&key.fingerprint) {
            return Ok(public_key.clone());
        }
        drop(known);
        let loaded = self.keystore.load_key(&organisation.id, key)?;
        let public_key = loaded.public_key().clone();
        self.known().insert(key.fingerprint, public_key.clone());
        Ok(public_key)
    }

    /// The writer; to be dropped before the turn.
    fn writer(&self) -> Result<(MutexGuard<'_, ()>, Writer), KeystoreError> {
        let turn = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        Ok((turn, self.keystore.writer()?))
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Fingerprint, PublicKey>> {
        self.public_keys
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Plans and writes; anew, with the same sights, if somebody else wrote meanwhile. Gives
    /// the keys that are to be made.
    fn apply(
        &self,
        (organisation, timing): (&Organisation, &Timing),
        moment: Moment,
        sights: &Sights,
        checked: &mut Checked,
    ) -> Result<Vec<WantedKey>, KeystoreError> {
        let sight = |selector: &Selector, domain: &DomainName| {
            let seen = sights.get(&(selector.clone(), domain.clone()));
            // A key that was not there when we looked.
            seen.copied().unwrap_or(Sight::Unknown)
        };
        let mut attempt = 1;
        loop {
            let keyring = self.keystore.read_keyring(&organisation.id)?;
            let plan = situation(organisation, &keyring, timing).plan(moment, sight);
            let (_turn, mut writer) = self.writer()?;
            match writer.apply(&organisation.id, &plan.changes, moment.now) {
                Ok(problems) => {
                    let lines = problems.iter().map(ToString::to_string);
                    checked.problems.extend(lines);
                    checked.changes = plan.changes;
                    checked.alarms = plan.alarms;
                    return Ok(plan.wanted);
                }
                Err(KeystoreError::Change {
                    refusal: ChangeRefusal::Stale,
                    ..
                }) if attempt < PLANS => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Makes a successor, or a first key, under the next selector that is free.
    fn make_key(
        &self,
        organisation: &Organisation,
        wanted: &WantedKey,
        moment: Moment,
        checked: &mut Checked,
    ) -> Result<(), KeystoreError> {
        // Before the lock is taken: it takes long.
        let key = NewKey::generate(wanted.algorithm, RSA_BITS)?;
        let date = moment.now.to_zoned(TimeZone::UTC).date();
        let keyring = self.keystore.read_keyring(&organisation.id)?;
        let free = organisation
            .selector
            .candidates(date)
            .filter(|selector| keyring.key(selector).is_none());
        for selector in free.take(CANDIDATES) {
            let target = Target {
                organisation: &organisation.id,
                selector: &selector,
                domains: &wanted.domains,
            };
            let (_turn, mut writer) = self.writer()?;
            match writer.add_wanted(&target, &key, moment.now) {
                Ok(Some(_)) => {
                    checked.made.push(selector);
                    return Ok(());
                }
                // One waits by now: somebody else was faster.
                Ok(None) => return Ok(()),
                // A key file that a crash left without its keyring entry.
                Err(KeystoreError::UnusableKey(_) | KeystoreError::SelectorUsed { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        checked.problems.push(format!(
            "{}: no selector is free for a new key; change `selector` in the file of the organisation",
            organisation.id
        ));
        Ok(())
    }
}

fn situation<'a>(
    organisation: &'a Organisation,
    keyring: &'a Keyring,
    timing: &'a Timing,
) -> Situation<'a> {
    Situation {
        keyring,
        domains: &organisation.domains,
        algorithms: &organisation.algorithms,
        timing,
    }
}

impl Checked {
    /// Whether somebody should look at it.
    pub fn needs_attention(&self) -> bool {
        let wrong = |finding: &Finding| finding.severity == Severity::Error;
        !self.alarms.is_empty() || !self.problems.is_empty() || self.findings.iter().any(wrong)
    }

    /// What the metrics show of it.
    pub(super) fn facts(&self, organisation: &Organisation, now: Timestamp) -> Facts {
        let finding = |finding: &Finding| (finding.domain.clone(), finding.code.as_str());
        let alarm = |alarm: &Alarm| (alarm.domain.to_string(), alarm.kind.as_str());
        let overdue = |alarm: &Alarm| alarm.kind == AlarmKind::RotationOverdue;
        let states = |key: &KeyEntry| {
            let states = key.publications.values().map(|one| one.state.as_str());
            let mut states: Vec<_> = states.collect();
            states.sort_unstable();
            states.dedup();
            (key.selector.to_string(), key.created, states)
        };
        Facts {
            organisation: organisation.id.clone(),
            checked: now,
            findings: self.findings.iter().map(finding).collect(),
            alarms: self.alarms.iter().map(alarm).collect(),
            rotation_overdue: self.alarms.iter().any(overdue),
            keys: self.keyring.keys().iter().map(states).collect(),
        }
    }

    /// One line for each thing that happened, or that somebody should do.
    pub(super) fn log(&self, organisation: &str) {
        for change in self
            .changes
            .iter()
            .filter(|one| one.event != Event::Checked)
        {
            tracing::info!(
                organisation,
                selector = change.selector.as_str(),
                domain = change.domain.as_str(),
                "key {}",
                change.event.as_str()
            );
        }
        for selector in &self.made {
            tracing::info!(
                organisation,
                selector = selector.as_str(),
                "a key was made: hand over its records with `zegel dns records {organisation}`"
            );
        }
        for finding in &self.findings {
            let (code, name) = (finding.code.as_str(), finding.name.as_str());
            let (seen, expected) = (finding.seen.as_str(), finding.expected.as_str());
            tracing::warn!(organisation, code, name, seen, expected, "finding in DNS");
        }
        for alarm in &self.alarms {
            tracing::error!(
                organisation,
                domain = alarm.domain.as_str(),
                selector = alarm.selector.as_ref().map_or("", Selector::as_str),
                "alarm: {}",
                alarm.kind.as_str()
            );
        }
        for problem in &self.problems {
            tracing::error!(organisation, "{problem}");
        }
    }
}
