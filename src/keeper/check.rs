//! One organisation, looked at once: what the DNS shows of its keys, and what follows.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    slice,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::{
    sync::watch,
    task::{JoinError, JoinSet},
};

use super::{
    alarms::Alarms,
    leads::{Handed, LeadSeen, known},
    passed::tell_if_kept,
};
use crate::{
    config::{Claims, situation},
    dkim::PublicKey,
    dns::{self, Code, Finding, Look, Observation, Pace, Round},
    keys::{
        Alarm, AlarmKind, Change, ChangeRefusal, KeyEntry, Keyring, LastPassed, Moment, Reported,
        Sight, Situation, State, Timing, WantedKey, What, unseen_since,
    },
    keystore::{Keystore, KeystoreError, Target, Writer},
    names::{DomainName, Selector},
    observe::metrics::keeper::{Facts, KeyFacts},
    organisation::Organisation,
    words::Severity,
};

/// Records of one organisation that are looked for together.
const RECORDS_AT_ONCE: usize = 8;
/// How often a plan is made anew because someone else changed the keyring meanwhile.
const PLANS: usize = 5;
/// So many selectors of a template are tried before a record there no longer counts.
const CANDIDATES: usize = 8;

/// What comes of a check.
pub(super) type Outcome = Result<Checked, KeystoreError>;

/// Looks at organisations.
#[derive(Debug)]
pub(super) struct Checker {
    keystore: Keystore,
    /// Those that were written down.
    pub(super) alarms: Alarms,
    /// What receivers report of keys; none before that is known.
    reported: watch::Receiver<Option<Arc<LastPassed>>>,
    /// False where nothing can be sealed, of which somebody was told.
    makes_keys: bool,
    /// Held with the lock of the keystore, whose waiting has an end: on a slow disk the
    /// organisations of one round would give up on each other.
    writing: Mutex<()>,
}

/// What a check of one organisation found and did.
#[derive(Debug, Default)]
pub(super) struct Checked {
    /// What is wrong, or could be better, in the DNS.
    pub(super) findings: Vec<Finding>,
    /// What was changed.
    pub(super) changes: Vec<Change>,
    /// What someone should be told.
    pub(super) alarms: Vec<Alarm>,
    /// Keys that were made.
    pub(super) made: Vec<Selector>,
    /// Keys that can't be used, and others of the kind, one line each.
    pub(super) problems: Vec<String>,
    /// Keys for which someone waits in vain.
    pub(super) awaited: Vec<Awaited>,
    /// Where the names of keys lead that are to be handed over.
    pub(super) leads: Vec<LeadSeen>,
    /// The keyring as it is now.
    pub(super) keyring: Keyring,
    /// The domains of its keys that the configuration has elsewhere.
    pub(super) away: Vec<DomainName>,
}

/// What the DNS shows of the keys of one organisation.
#[derive(Debug, Default)]
pub(super) struct Seen {
    sights: Sights,
    /// Selectors of new keys at which the DNS shows a record already.
    occupied: BTreeSet<Selector>,
    findings: Vec<Finding>,
    problems: Vec<String>,
    awaited: Vec<Awaited>,
    leads: Vec<LeadSeen>,
}

/// A key for which someone waits, and for which nothing can be concluded now.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Awaited {
    pub(super) selector: Selector,
    pub(super) domain: DomainName,
    /// What each server showed.
    pub(super) shown: String,
}

/// What the DNS shows of one of them.
struct SeenRecord {
    key: KeyEntry,
    domain: DomainName,
    sight: Sight,
    findings: Vec<Finding>,
    awaited: Option<Awaited>,
    lead: Option<LeadSeen>,
}

impl SeenRecord {
    fn new(
        key: KeyEntry,
        domain: DomainName,
        observation: &Observation,
        (public_key, handed): (&PublicKey, Option<Handed>),
    ) -> Self {
        let lead = handed.map(|handed| LeadSeen {
            selector: key.selector.clone(),
            domain: domain.clone(),
            is_ours: handed.is_ours(observation),
        });
        let (sight, findings) = dns::judge(observation, public_key);
        let awaited = is_awaited(&key, &domain, sight).then(|| Awaited {
            selector: key.selector.clone(),
            domain: domain.clone(),
            shown: dns::shown_by_each(observation, public_key),
        });
        Self {
            key,
            domain,
            sight,
            findings,
            awaited,
            lead,
        }
    }
}

impl Seen {
    fn take(&mut self, ended: Result<SeenRecord, JoinError>) {
        match ended {
            Ok(record) => {
                let findings = record.findings.into_iter();
                let weighed = findings.filter_map(|one| weigh(&record.key, &record.domain, one));
                self.findings.extend(weighed);
                self.awaited.extend(record.awaited);
                self.leads.extend(record.lead);
                let place = (record.key.selector, record.domain);
                self.sights.insert(place, record.sight);
            }
            // What is not among the sights is unknown.
            Err(error) => self.problems.push(format!("a look broke off: {error}")),
        }
    }
}

/// What was seen of each key in each domain.
type Sights = HashMap<(Selector, DomainName), Sight>;

impl Seen {
    fn sight(&self, selector: &Selector, domain: &DomainName) -> Sight {
        let seen = self.sights.get(&(selector.clone(), domain.clone()));
        // A key that was not there when we looked.
        seen.copied().unwrap_or(Sight::Unknown)
    }
}

impl Checker {
    /// For the keys of this keystore, with what receivers report of them.
    pub(super) fn new(
        keystore: Keystore,
        reported: watch::Receiver<Option<Arc<LastPassed>>>,
    ) -> Self {
        Self {
            alarms: Alarms::new(keystore.clone()),
            keystore,
            reported,
            makes_keys: true,
            writing: Mutex::default(),
        }
    }

    /// What organisations want is not made from now on.
    pub(super) fn make_no_keys(&mut self) {
        self.makes_keys = false;
    }

    /// What the DNS shows of the keys of an organisation; may be dropped at any moment, and has
    /// then done nothing.
    ///
    /// # Errors
    ///
    /// When the keyring can't be read.
    pub(super) async fn look(
        &self,
        organisation: &Organisation,
        timing: &Timing,
        (round, pace): (&Arc<Round>, Pace),
    ) -> Result<Seen, KeystoreError> {
        let keyring = self.keystore.read_keyring(&organisation.id)?;
        // Where a domain is otherwise has no say in what is looked at.
        let situation = situation(organisation, &keyring, &[], timing);
        let mut records: Vec<_> = situation.watched().collect();
        if !records.is_empty() {
            // Where a look ends before all could be asked, the next one begins elsewhere.
            let begin = usize::try_from(Timestamp::now().as_second()).unwrap_or(0) % records.len();
            records.rotate_left(begin);
        }
        let look = round.look(pace, records.len(), timing.check_every);
        let mut seen = self.look_at(organisation, records, (round, &look)).await;
        let now = Timestamp::now();
        let plan = situation.plan(Moment::steady(now), |selector, domain| {
            seen.sight(selector, domain)
        });
        for wanted in &plan.wanted {
            let within = (round.as_ref(), &look);
            let occupied = self.occupied(organisation, wanted, now, within).await?;
            seen.occupied.extend(occupied);
        }
        Ok(seen)
    }

    /// Plans, and does what is due. Blocks.
    ///
    /// # Errors
    ///
    /// When the keyring can't be read, or what is due can't be written: the keystore is then
    /// as it was. A key that can't be made is a problem in the answer.
    pub(super) fn conclude(
        &self,
        organisation: &Organisation,
        claims: &Claims,
        timing: &Timing,
        moment: Moment,
        mut seen: Seen,
    ) -> Outcome {
        let keyring = self.keystore.read_keyring(&organisation.id)?;
        let mut checked = Checked {
            findings: std::mem::take(&mut seen.findings),
            problems: std::mem::take(&mut seen.problems),
            away: claims.away(organisation, &keyring),
            awaited: std::mem::take(&mut seen.awaited),
            leads: std::mem::take(&mut seen.leads),
            ..Checked::default()
        };
        let leaving = keyring.departures_problem();
        checked.problems.extend(leaving.map(|problem| {
            let id = &organisation.id;
            format!(
                "{problem}; nobody can tell whether {id} or a domain of it leaves, so no key is \
                 made and none comes back: restore that file, or remove it and say again who leaves \
                 (`zegel org retire {id}`)"
            )
        }));
        let wanted = self.apply(organisation, timing, moment, &seen, &mut checked)?;
        // From here on something is written, and to be told, whatever else fails.
        for wanted in wanted.iter().filter(|_| self.makes_keys) {
            match self.make_key(organisation, wanted, (moment, &seen)) {
                Ok(made) => checked.made.extend(made.map(|key| key.selector)),
                Err(error) => checked.problems.push(error.to_string()),
            }
        }
        match self.keystore.read_keyring(&organisation.id) {
            Ok(keyring) => checked.keyring = keyring,
            Err(error) => checked.problems.push(error.to_string()),
        }
        Ok(checked)
    }

    /// What the DNS shows of every key that is to be watched, several at a time: a slow zone is
    /// slow for its own records only.
    async fn look_at(
        &self,
        organisation: &Organisation,
        records: Vec<(&KeyEntry, &DomainName)>,
        (round, look): (&Arc<Round>, &Look),
    ) -> Seen {
        let mut seen = Seen::default();
        let mut running = JoinSet::new();
        for (key, domain) in records {
            if running.len() >= RECORDS_AT_ONCE
                && let Some(ended) = running.join_next().await
            {
                seen.take(ended);
            }
            match self.keystore.public_key(&organisation.id, key) {
                Ok(public_key) => {
                    let name = key.selector.record_name(domain);
                    let handed = Handed::of(organisation, &key.selector, domain);
                    let (key, domain) = (key.clone(), domain.clone());
                    let (round, look) = (Arc::clone(round), look.clone());
                    running.spawn(async move {
                        let observation = round.observe_within(&look, &name).await;
                        SeenRecord::new(key, domain, &observation, (&public_key, handed))
                    });
                }
                Err(problem) => {
                    seen.problems.push(problem.to_string());
                    let record = (key.selector.clone(), domain.clone());
                    seen.sights.insert(record, Sight::Unknown);
                }
            }
        }
        while let Some(ended) = running.join_next().await {
            seen.take(ended);
        }
        seen
    }

    /// The selectors that a new key would get, and at which the DNS shows a record: it can't be
    /// that of a key which is not made yet. What does not answer is in nobody's way.
    async fn occupied(
        &self,
        organisation: &Organisation,
        wanted: &WantedKey,
        now: Timestamp,
        (round, look): (&Round, &Look),
    ) -> Result<BTreeSet<Selector>, KeystoreError> {
        let mut occupied = BTreeSet::new();
        while occupied.len() < CANDIDATES {
            let candidate = self.keystore.next_selector(organisation, &occupied, now)?;
            let Some(selector) = candidate else {
                break;
            };
            let mut is_free = true;
            for domain in &wanted.domains {
                let observation = round
                    .observe_within(look, &selector.record_name(domain))
                    .await;
                is_free &= !dns::holds_record(&observation);
            }
            if is_free {
                return Ok(occupied);
            }
            occupied.insert(selector);
        }
        // A wildcard, more likely than so many keys.
        Ok(BTreeSet::new())
    }

    /// The writer; to be dropped before the turn.
    fn writer(&self) -> Result<(MutexGuard<'_, ()>, Writer), KeystoreError> {
        let turn = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        Ok((turn, self.keystore.writer()?))
    }

    /// Plans and writes; anew, with the same sights, if someone else wrote meanwhile. Gives
    /// the keys that are to be made.
    fn apply(
        &self,
        organisation: &Organisation,
        timing: &Timing,
        moment: Moment,
        seen: &Seen,
        checked: &mut Checked,
    ) -> Result<Vec<WantedKey>, KeystoreError> {
        let mut attempt = 1;
        loop {
            let keyring = self.keystore.read_keyring(&organisation.id)?;
            let reported = self.reported.borrow().clone();
            let reported = reported
                .as_deref()
                .map_or(Reported::Awaited, Reported::Known);
            let situation = situation(organisation, &keyring, &checked.away, timing);
            let situation = situation.reported(reported);
            let mut plan = situation.plan(moment, |selector, domain| seen.sight(selector, domain));
            let (_turn, mut writer) = self.writer()?;
            plan.avoid_taken(&keyring, |selector, domain| {
                let taken = writer.taken(&Target {
                    organisation: &organisation.id,
                    selector,
                    domains: slice::from_ref(domain),
                });
                taken.map(|taken| taken.is_some())
            })?;
            if let Some(restored) = writer.restored() {
                let (domains, algorithms) = (situation.domains, situation.algorithms);
                plan.hold_back(unseen_since(&keyring, domains, algorithms, restored));
            }
            let doubts = writer.doubts(organisation, &keyring)?;
            if !doubts.is_empty() {
                // A new key would hide that one is missing.
                plan.wanted.clear();
            }
            match writer.apply(&organisation.id, &plan.changes, moment.now) {
                Ok(problems) => {
                    let lines = problems.iter().map(ToString::to_string);
                    checked.problems.extend(lines);
                    checked
                        .problems
                        .extend(doubts.into_iter().map(|doubt| doubt.reason));
                    if plan.ends_departures {
                        writer.end_departures(&organisation.id, moment.now)?;
                    }
                    plan.changes.iter().for_each(tell_if_kept);
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

    /// Makes a successor, or a first key.
    fn make_key(
        &self,
        organisation: &Organisation,
        wanted: &WantedKey,
        (moment, seen): (Moment, &Seen),
    ) -> Result<Option<KeyEntry>, KeystoreError> {
        // Before the lock is taken: it takes long.
        let key = wanted.generate()?;
        let (_turn, mut writer) = self.writer()?;
        writer.avoid(seen.occupied.clone());
        writer.add_wanted(organisation, wanted, &key, moment.now)
    }
}

/// Whether someone waits for the key to be seen, or its record to go, and it is not so.
fn is_awaited(key: &KeyEntry, domain: &DomainName, sight: Sight) -> bool {
    let Some(publication) = key.publications.get(domain) else {
        return false;
    };
    match publication.state {
        State::Generated | State::Published => !matches!(sight, Sight::Everywhere { .. }),
        State::Draining if publication.withdrawal.is_none() => false,
        State::Draining | State::Revoked => {
            !matches!(sight, Sight::RevokedEverywhere | Sight::Absent { .. })
        }
        State::Withdrawn => !matches!(sight, Sight::Absent { .. }),
        State::Active => false,
    }
}

/// What a finding is worth in the state that the key is in: nothing, if its record is to go
/// anyway; less, if it is not there yet and nobody signs with it.
fn weigh(key: &KeyEntry, domain: &DomainName, mut finding: Finding) -> Option<Finding> {
    let publication = key.publications.get(domain)?;
    let is_to_go = publication.withdrawal.is_some()
        || matches!(publication.state, State::Revoked | State::Withdrawn);
    match finding.code {
        // Nothing can be concluded for as long as it is so.
        Code::Unreachable
        | Code::Servfail
        | Code::NotAuthoritative
        | Code::OverBudget
        | Code::AddressPassedOver => {}
        _ if is_to_go => return None,
        Code::Missing if publication.state == State::Generated => {
            finding.severity = finding.severity.min(Severity::Warning);
        }
        _ => {}
    }
    Some(finding)
}

impl Checked {
    /// Whether someone should look at it.
    pub(super) fn needs_attention(&self) -> bool {
        let wrong = |finding: &Finding| finding.severity == Severity::Act;
        !self.alarms.is_empty() || !self.problems.is_empty() || self.findings.iter().any(wrong)
    }

    /// Whether a zone took more than it may.
    pub(super) fn is_over_budget(&self) -> bool {
        let mut findings = self.findings.iter();
        findings.any(|finding| finding.code == Code::OverBudget)
    }

    /// What the metrics show of it, that is over now and took so long.
    pub(super) fn facts(
        &self,
        organisation: &Organisation,
        timing: &Timing,
        (now, took): (Timestamp, Duration),
    ) -> Facts {
        let finding = |finding: &Finding| (finding.domain.clone(), finding.code.as_str());
        let alarm = |alarm: &Alarm| (alarm.domain.to_string(), alarm.kind.as_str());
        let overdue = |alarm: &Alarm| alarm.kind == AlarmKind::RotationOverdue;
        let states = |key: &KeyEntry| {
            let states = key.publications.values().map(|one| one.state.as_str());
            let mut states: Vec<_> = states.collect();
            states.sort_unstable();
            states.dedup();
            KeyFacts {
                selector: key.selector.to_string(),
                created: key.created,
                states,
            }
        };
        Facts {
            organisation: organisation.id.clone(),
            checked: now,
            took,
            findings: self.findings.iter().map(finding).collect(),
            alarms: self.alarms.iter().map(alarm).collect(),
            rotation_overdue: self.alarms.iter().any(overdue),
            keys: self.keyring.keys().iter().map(states).collect(),
            next_steps: {
                let leads = known(&self.leads);
                let situation = situation(organisation, &self.keyring, &self.away, timing);
                next_steps(&situation.seen(&leads))
            },
        }
    }
}

/// The steps that are still to come, by selector and word, and in how many domains.
fn next_steps(situation: &Situation<'_>) -> BTreeMap<(String, &'static str), i64> {
    let mut steps = BTreeMap::new();
    for key in situation.keyring.keys() {
        for domain in key.publications.keys() {
            let what = situation.next_step(key, domain).what;
            if what != What::Nothing {
                let step = (key.selector.to_string(), what.as_str());
                *steps.entry(step).or_insert(0) += 1;
            }
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{Publication, Withdrawal};

    fn severity(state: State, withdrawal: Option<Withdrawal>, code: Code) -> Option<Severity> {
        let domain: DomainName = "een.example".parse().unwrap();
        let publication = Publication {
            state,
            withdrawal,
            ..Publication::generated(Timestamp::UNIX_EPOCH)
        };
        let json = serde_json::json!({
            "selector": "s1", "algorithm": "rsa-sha256", "created": Timestamp::UNIX_EPOCH,
            "fingerprint": "0".repeat(64), "publications": {"een.example": publication},
        });
        let key: KeyEntry = serde_json::from_value(json).unwrap();
        let finding = Finding {
            code,
            severity: Severity::Act,
            domain: domain.to_string(),
            selector: None,
            name: String::new(),
            servers: Vec::new(),
            seen: String::new(),
            expected: String::new(),
        };
        weigh(&key, &domain, finding).map(|finding| finding.severity)
    }

    #[test]
    fn a_record_that_is_to_go_may_be_gone() {
        let asked = Some(Withdrawal::Asked);
        for (state, withdrawal, code, expected) in [
            (State::Active, None, Code::Missing, Some(Severity::Act)),
            (
                State::Generated,
                None,
                Code::Missing,
                Some(Severity::Warning),
            ),
            (State::Generated, None, Code::Mismatch, Some(Severity::Act)),
            (State::Draining, None, Code::Missing, Some(Severity::Act)),
            (State::Draining, asked, Code::Missing, None),
            (
                State::Draining,
                asked,
                Code::Unreachable,
                Some(Severity::Act),
            ),
            (
                State::Withdrawn,
                Some(Withdrawal::Emptied),
                Code::Revoked,
                None,
            ),
            (State::Revoked, None, Code::Revoked, None),
        ] {
            assert_eq!(
                severity(state, withdrawal, code),
                expected,
                "{state} {code:?}"
            );
        }
    }
}
