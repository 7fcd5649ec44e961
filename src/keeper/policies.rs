//! What the keeper sees beside the states of the keys: SPF and DMARC of the domains, and what is
//! wrong with records. It is kept for the surfaces; no key depends on it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use tokio::{
    task,
    time::{Instant, timeout},
};

use super::{agenda::Lane, leads::LeadSeen};
use crate::{
    config::{MOST_BELOW, SendersBelow},
    dns::{Code, Finding, MailPolicy, RelayPart, Round, SpfVerdict, judge_parked, judge_sending},
    keys::{Lead, Timing},
    keystore::{
        DomainSighting, FindingSeen, KeySighting, Keystore, KeystoreError, Senders, Sightings,
    },
    names::{DomainName, OrganisationId},
    organisation::Organisation,
    words::Severity,
};

/// How long the policies of one organisation may take. Its keys have been looked at by then, and
/// what is not seen in time stays as it was.
const QUICK_TIME: Duration = Duration::from_secs(5);
/// The same for those that are known to take long.
const SLOW_TIME: Duration = Duration::from_secs(20);

/// How long names below one domain may take that are in the zones of others.
const OTHERS_TIME: Duration = Duration::from_secs(2);

/// How often the policies are looked at, and written down, where nothing is wrong.
const WELL: Duration = Duration::from_hours(6);

/// Looks at the policies, after the keys.
#[derive(Debug)]
pub(super) struct Policies {
    keystore: Keystore,
    /// When those of each organisation were last looked at: they change seldom, and where a key
    /// waits there is a look every minute.
    looked: Mutex<HashMap<OrganisationId, Instant>>,
    /// How often DMARC records were seen to be others.
    records: Arc<AtomicU64>,
}

/// One look at the policies of an organisation.
pub(super) struct PolicyLook<'a> {
    pub(super) organisation: &'a Organisation,
    pub(super) part: &'a RelayPart,
    /// Who sends below its domains that never do.
    pub(super) below: &'a SendersBelow,
    pub(super) timing: &'a Timing,
    /// What was found of its keys just now.
    pub(super) findings: &'a [Finding],
    /// Where their names were seen to lead.
    pub(super) leads: &'a [LeadSeen],
    /// Whether a command asks for it.
    pub(super) is_asked: bool,
}

impl Policies {
    pub(super) fn new(keystore: Keystore) -> Self {
        Self {
            keystore,
            looked: Mutex::default(),
            records: Arc::default(),
        }
    }

    /// A number that grows when DMARC records are seen to be others.
    pub(super) fn records(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.records)
    }

    /// Forgets the organisations that are no more.
    pub(super) fn retain(&self, keep: impl Fn(&OrganisationId) -> bool) {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        looked.retain(|id, _| keep(id));
    }

    /// Looks where it is time to, and keeps what was seen.
    ///
    /// # Errors
    ///
    /// When the keystore can't be read or written.
    pub(super) async fn look(
        &self,
        look: &PolicyLook<'_>,
        round: &Round,
        lane: Lane,
    ) -> Result<(), KeystoreError> {
        let id = &look.organisation.id;
        let before = task::block_in_place(|| self.keystore.sightings(id))?;
        let now = Timestamp::now();
        let mut sightings = Sightings {
            domains: before.domains.clone(),
            keys: keys(look.findings, &before, now),
            leads: leads(look.leads, &before),
            // That is in a file of its own.
            climbed: BTreeMap::new(),
        };
        // Without them less is known of the ladder; that they can't be read is told elsewhere.
        let reported = task::block_in_place(|| self.keystore.senders(id)).unwrap_or_default();
        let every = interval(&before, &reported, look);
        if look.is_asked || self.is_due(id, every) {
            let time = match lane {
                Lane::Quick => QUICK_TIME,
                Lane::Slow => SLOW_TIME,
            };
            // What is not seen in time is seen another time.
            let _ = timeout(time, domains(look, &reported, round, &mut sightings)).await;
            let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
            looked.insert(id.clone(), Instant::now());
        }
        let organisation = look.organisation;
        let is_ours = |domain: &DomainName| {
            organisation.domains.contains(domain) || organisation.parked.contains(domain)
        };
        sightings.domains.retain(|domain, _| is_ours(domain));
        if is_news(&sightings, &before) {
            task::block_in_place(|| self.keystore.keep_sightings(id, &sightings))?;
            if has_other_records(&sightings, &before) {
                self.records.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    fn is_due(&self, id: &OrganisationId, every: Duration) -> bool {
        let looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        looked
            .get(id)
            .is_none_or(|looked| looked.elapsed() + Duration::from_secs(1) >= every)
    }
}

/// How often the policies are looked at: what is well changes seldom.
fn interval(before: &Sightings, reported: &Senders, look: &PolicyLook<'_>) -> Duration {
    let check_every = look.timing.check_every;
    let all = look.organisation.domains.iter();
    let all = all.chain(&look.organisation.parked);
    let is_well = |domain: &DomainName| {
        let names = reported.domains.get(domain).map(|one| &one.names_below);
        let mut names = names.into_iter().flatten();
        before.domains.get(domain).is_some_and(|seen| {
            seen.findings.is_empty() && names.all(|name| seen.below.contains_key(name))
        })
    };
    if all.into_iter().all(is_well) {
        check_every.max(WELL)
    } else {
        check_every
    }
}

/// Whether a DMARC record, or what the ladder has to know beside it, is another one than before, or
/// known now.
fn has_other_records(now: &Sightings, before: &Sightings) -> bool {
    let mut all = now.domains.iter();
    all.any(|(domain, now)| {
        let before = before.domains.get(domain);
        before.is_none_or(|one| {
            one.dmarc != now.dmarc
                || one.dmarc_owner != now.dmarc_owner
                || one.is_under_parked != now.is_under_parked
                || one.apart != now.apart
                || one.below != now.below
        })
    })
}

/// Whether there is more to write than when it was seen once more.
fn is_news(now: &Sightings, before: &Sightings) -> bool {
    let is_same = |(domain, now): (&DomainName, &DomainSighting)| {
        before.domains.get(domain).is_some_and(|before| {
            let age = now.checked.duration_since(before.checked).unsigned_abs();
            age < WELL
                && DomainSighting {
                    checked: before.checked,
                    ..now.clone()
                } == *before
        })
    };
    now.keys != before.keys
        || now.leads != before.leads
        || now.domains.len() != before.domains.len()
        || !now.domains.iter().all(is_same)
}

/// The policies of each domain, one after the other.
async fn domains(
    look: &PolicyLook<'_>,
    reported: &Senders,
    round: &Round,
    sightings: &mut Sightings,
) {
    let PolicyLook {
        organisation,
        part,
        below,
        ..
    } = look;
    let sending = organisation.domains.iter().map(|domain| (domain, true));
    let parked = organisation.parked.iter().map(|domain| (domain, false));
    let mut all: Vec<(&DomainName, bool)> = sending.chain(parked).collect();
    // Where there are too many for one look, those come first that were not looked at for longest.
    all.sort_by_key(|(domain, _)| sightings.domains.get(*domain).map(|seen| seen.checked));
    let mut looked = Vec::with_capacity(all.len());
    for (domain, sends) in all {
        let addresses: &[_] = if sends { &part.addresses } else { &[] };
        let policy = round.mail_policy(domain.as_str(), addresses).await;
        let reported = reported.domains.get(domain).map(|one| &one.names_below);
        let other = Others {
            senders: if sends { &[] } else { below.names(domain) },
            reported: reported.into_iter().flatten().collect(),
        };
        let before = sightings.domains.get(domain);
        let answers = Answers::default();
        let seen = seen(look, (&policy, sends), &other, (before, &answers));
        sightings.domains.insert(domain.clone(), seen);
        if !other.senders.is_empty() || !other.reported.is_empty() {
            looked.push((domain, (policy, sends), other));
        }
    }
    // Names in the zones of others come last, and none of them for long: they may never answer.
    for (domain, (policy, sends), other) in looked {
        let mut answers = Answers::default();
        let _ = timeout(OTHERS_TIME, answers.ask(&other, round)).await;
        let before = sightings.domains.get(domain);
        let seen = seen(look, (&policy, sends), &other, (before, &answers));
        sightings.domains.insert(domain.clone(), seen);
    }
}

/// Names below a domain that its policy depends on.
struct Others<'a> {
    /// Of a domain that never sends: those that do.
    senders: &'a [DomainName],
    /// Those that send by the reports.
    reported: Vec<&'a String>,
}

/// What is known of them, as far as there were answers in time.
#[derive(Default)]
struct Answers {
    /// Whether a name that sends has a record of its own.
    own: BTreeMap<DomainName, bool>,
    /// Whether a name is in the DNS.
    there: BTreeMap<String, bool>,
}

impl Answers {
    async fn ask(&mut self, others: &Others<'_>, round: &Round) {
        for name in others.senders.iter().take(MOST_BELOW) {
            let has_own = round.has_own_dmarc(name).await.ok();
            self.own
                .extend(has_own.map(|has_own| (name.clone(), has_own)));
        }
        for name in &others.reported {
            let is_there = round.has_address(name).await.ok();
            self.there
                .extend(is_there.map(|is_there| ((*name).clone(), is_there)));
        }
    }

    /// What nobody could tell now stays as it was.
    fn apart(&self, others: &Others<'_>, before: Option<&DomainSighting>) -> BTreeSet<DomainName> {
        let is_apart = |name: &&DomainName| {
            let known = || before.is_some_and(|before| before.apart.contains(*name));
            self.own.get(*name).copied().unwrap_or_else(known)
        };
        others.senders.iter().filter(is_apart).cloned().collect()
    }

    /// A name that was there and does not answer any more is not known: a policy depends on it.
    fn below(
        &self,
        others: &Others<'_>,
        before: Option<&DomainSighting>,
    ) -> BTreeMap<String, bool> {
        let known = |name: &String| before.and_then(|before| before.below.get(name).copied());
        let answer = |name: &&String| {
            let missing = || known(name).filter(|is_there| !is_there);
            let is_there = self.there.get(*name).copied().or_else(missing)?;
            Some(((*name).clone(), is_there))
        };
        others.reported.iter().filter_map(answer).collect()
    }
}

/// What is kept of one domain.
fn seen(
    look: &PolicyLook<'_>,
    (policy, sends): (&MailPolicy, bool),
    others: &Others<'_>,
    (before, answers): (Option<&DomainSighting>, &Answers),
) -> DomainSighting {
    let apart = answers.apart(others, before);
    let has_to_wait = others.senders.iter().any(|one| !apart.contains(one));
    let own = policy.without_record_of(|owner| look.below.is_above(owner));
    let findings = if sends {
        judge_sending(&own, look.part)
    } else {
        judge_parked(policy, has_to_wait)
    };
    let mut seen = sighting(policy, &findings, before, Timestamp::now());
    if has_to_wait {
        // Also what stays since nobody could tell.
        seen.findings.retain(|one| !one.code.starts_with("dmarc."));
    }
    DomainSighting {
        is_under_parked: sends && own != *policy,
        below: answers.below(others, before),
        apart,
        ..seen
    }
}

/// What nobody could tell now stays as it was.
fn sighting(
    policy: &MailPolicy,
    findings: &[Finding],
    before: Option<&DomainSighting>,
    now: Timestamp,
) -> DomainSighting {
    let known = before.map_or(&[][..], |before| &before.findings);
    let mut verdicts = policy.relays.iter().map(|(_, verdict)| verdict);
    let no_verdict = verdicts.any(|verdict| *verdict == SpfVerdict::Unknown);
    let is_unknown = |code: &str| match code.split('.').next() {
        Some("spf") if no_verdict && code != Code::SpfMissing.as_str() => true,
        Some("spf") => policy.spf.is_err(),
        Some("dmarc") => policy.dmarc.is_err(),
        Some("mx") => policy.mx.is_err(),
        _ => policy.has_keys.is_err(),
    };
    let stay = known.iter().filter(|one| is_unknown(&one.code)).cloned();
    let told = findings
        .iter()
        .filter(|one| one.severity == Severity::Act && !is_unknown(one.code.as_str()))
        // That nobody knows is no fault of the record, and mostly over soon. What our own keys
        // leave there is told of by their states.
        .filter(|one| !matches!(one.code, Code::PolicyUnknown | Code::ParkedKey))
        .map(|one| finding(one, known, now));
    let mut spf = policy.spf.as_ref().ok().cloned();
    // A resolver gives them in any order.
    if let Some(texts) = &mut spf {
        texts.sort_unstable();
    }
    let dmarc = policy.dmarc.as_ref().ok();
    let owner = match dmarc {
        Some(found) => found.as_ref().map(|(owner, _)| owner.clone()),
        None => before.and_then(|before| before.dmarc_owner.clone()),
    };
    let dmarc = dmarc.map(|found| found.iter().flat_map(|(_, texts)| texts).cloned().collect());
    DomainSighting {
        checked: now,
        spf: spf.or_else(|| before.and_then(|before| before.spf.clone())),
        dmarc: dmarc.or_else(|| before.and_then(|before| before.dmarc.clone())),
        dmarc_owner: owner,
        is_under_parked: false,
        apart: BTreeSet::new(),
        below: BTreeMap::new(),
        findings: told.chain(stay).collect(),
    }
}

/// What is wrong with the records of keys, by key and domain.
fn keys(findings: &[Finding], before: &Sightings, now: Timestamp) -> Vec<KeySighting> {
    let mut keys: Vec<KeySighting> = Vec::new();
    for one in findings {
        let selector = one.selector.as_ref().and_then(|name| name.parse().ok());
        let (Some(selector), Ok(domain)) = (selector, one.domain.parse::<DomainName>()) else {
            continue;
        };
        let known = before.of_key(&selector, &domain);
        let known = known.map_or(&[][..], |known| &known.findings);
        let seen = finding(one, known, now);
        let mut there = keys.iter_mut();
        match there.find(|key| key.selector == selector && key.domain == domain) {
            Some(key) => key.findings.push(seen),
            None => keys.push(KeySighting {
                selector,
                domain,
                findings: vec![seen],
            }),
        }
    }
    keys
}

/// Where names lead; what nobody could tell now stays as it was.
fn leads(seen: &[LeadSeen], before: &Sightings) -> Vec<Lead> {
    let lead = |seen: &LeadSeen| {
        let mut known = before.leads.iter();
        let known =
            known.find(|known| known.selector == seen.selector && known.domain == seen.domain);
        Some(Lead {
            selector: seen.selector.clone(),
            domain: seen.domain.clone(),
            is_ours: seen.is_ours.or(known.map(|known| known.is_ours))?,
        })
    };
    let mut leads: Vec<Lead> = seen.iter().filter_map(lead).collect();
    // They are asked for in any order.
    leads.sort_by(|one, other| (&one.domain, &one.selector).cmp(&(&other.domain, &other.selector)));
    leads
}

/// With the time since which it is so.
fn finding(one: &Finding, known: &[FindingSeen], now: Timestamp) -> FindingSeen {
    let is_same = |known: &&FindingSeen| known.code == one.code.as_str() && known.name == one.name;
    FindingSeen {
        code: one.code.as_str().to_owned(),
        name: one.name.clone(),
        servers: one.servers.clone(),
        seen: one.seen.clone(),
        expected: one.expected.clone(),
        since: known.iter().find(is_same).map_or(now, |known| known.since),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::DnsError;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn policy() -> MailPolicy {
        MailPolicy {
            domain: "een.example".to_owned(),
            spf: Ok(vec!["v=spf1 -all".to_owned()]),
            relays: Vec::new(),
            dmarc: Ok(None),
            report_targets: Vec::new(),
            mx: Ok(Vec::new()),
            has_keys: Ok(true),
        }
    }

    fn part() -> RelayPart {
        RelayPart {
            terms: Some("include:_spf.relay.example".to_owned()),
            addresses: Vec::new(),
        }
    }

    fn seen(policy: &MailPolicy, before: Option<&DomainSighting>, second: i64) -> DomainSighting {
        sighting(policy, &judge_sending(policy, &part()), before, at(second))
    }

    fn codes(sighting: &DomainSighting) -> Vec<(&str, i64)> {
        let findings = sighting.findings.iter();
        let codes = findings.map(|one| (one.code.as_str(), one.since.as_second()));
        codes.collect()
    }

    #[test]
    fn what_lasts_keeps_its_time_and_what_nobody_can_tell_stays() {
        let first = seen(&policy(), None, 1);
        let both = [("spf.relay_not_allowed", 1), ("dmarc.missing", 1)];
        assert_eq!(codes(&first), both);
        let mut silent = policy();
        silent.spf = Err(DnsError::NoResolver("none answers".to_owned()));
        let second = seen(&silent, Some(&first), 2);
        let both = [("dmarc.missing", 1), ("spf.relay_not_allowed", 1)];
        assert_eq!(codes(&second), both);
        assert_eq!(second.spf, first.spf);
        let mut good = policy();
        good.spf = Ok(vec!["v=spf1 include:_spf.relay.example -all".to_owned()]);
        let third = seen(&good, Some(&second), 3);
        assert_eq!(codes(&third), [("dmarc.missing", 1)]);
        let fourth = seen(&policy(), Some(&third), 4);
        let both = [("spf.relay_not_allowed", 4), ("dmarc.missing", 1)];
        assert_eq!(codes(&fourth), both);
    }

    #[test]
    fn what_is_wrong_with_a_record_is_kept_by_key_and_domain() {
        let one = |selector: &str, domain: &str, code| Finding {
            code,
            severity: Severity::Act,
            domain: domain.to_owned(),
            selector: Some(selector.to_owned()),
            name: format!("{selector}._domainkey.{domain}"),
            servers: Vec::new(),
            seen: "v=DKIM1; p=A".to_owned(),
            expected: "v=DKIM1; p=B".to_owned(),
        };
        let findings = [
            one("a", "een.example", Code::Mismatch),
            one("a", "een.example", Code::ServersDisagree),
            one("a", "twee.example", Code::Mismatch),
        ];
        let keys = keys(&findings, &Sightings::default(), at(5));
        let numbers: Vec<usize> = keys.iter().map(|key| key.findings.len()).collect();
        assert_eq!(numbers, [2, 1]);
        let before = Sightings {
            keys,
            ..Sightings::default()
        };
        let later = super::keys(&findings[..1], &before, at(9));
        assert_eq!(later[0].findings[0].since, at(5));
    }

    /// A resolver that says of every name that it has no such record, and nothing of one name.
    fn resolver_without(silent: &'static [u8]) -> std::net::SocketAddr {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        std::thread::spawn(move || {
            let mut octets = [0; 4096];
            while let Ok((length, client)) = socket.recv_from(&mut octets) {
                let question = &octets[12..length];
                if question.starts_with(silent) {
                    continue;
                }
                let end = question.iter().position(|octet| *octet == 0).unwrap() + 5;
                let mut answer = octets[..2].to_vec();
                answer.extend([0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0]);
                answer.extend(&question[..end]);
                let _ = socket.send_to(&answer, client);
            }
        });
        address
    }

    #[test]
    fn a_name_that_never_answers_keeps_no_other_domain_from_being_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let keystore = Keystore::create(&folder.path().join("keys")).unwrap();
        let id: OrganisationId = "een".parse().unwrap();
        let mut organisation = Organisation::without_file(&id);
        let domains = ["een.example", "twee.example"];
        organisation.domains = domains.iter().map(|name| name.parse().unwrap()).collect();
        let reported = |below: &str| {
            serde_json::json!({
                "found": at(1), "from": "2026-01-01", "to": "2026-01-02", "reports": 1,
                "streams": [], "others": 0, "other_messages": 0, "names_below": [below],
            })
        };
        let below = ["stil.een.example", "mail.twee.example"];
        let senders = serde_json::json!({
            "domains": {domains[0]: reported(below[0]), domains[1]: reported(below[1])},
        });
        let senders: Senders = serde_json::from_value(senders).unwrap();
        keystore.keep_senders(&id, &senders).unwrap();
        let resolver = resolver_without(b"\x04stil\x03een");
        let resolvers = crate::config::Resolvers::Addresses(vec![resolver]);
        let observer = crate::dns::Observer::new(&resolvers, crate::dns::Limits::default());
        let round = observer.unwrap().round();
        let part = part();
        let timing = Timing {
            check_every: Duration::from_mins(1),
            settle: Duration::ZERO,
            drain: Duration::ZERO,
            longest_expiry: Duration::ZERO,
            rotate_every: Duration::from_hours(24 * 365),
            lead_time: Duration::ZERO,
        };
        let look = PolicyLook {
            organisation: &organisation,
            part: &part,
            below: &SendersBelow::default(),
            timing: &timing,
            findings: &[],
            leads: &[],
            is_asked: true,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap();
        let policies = Policies::new(keystore.clone());
        let looked = runtime.block_on(policies.look(&look, &round, Lane::Quick));
        looked.unwrap();
        let seen = keystore.sightings(&id).unwrap();
        let known: Vec<&BTreeMap<String, bool>> =
            seen.domains.values().map(|one| &one.below).collect();
        // The first is not known, and the second is not there.
        let there = BTreeMap::from([(below[1].to_owned(), false)]);
        assert_eq!(known, [&BTreeMap::new(), &there]);
    }
}
