//! Finds out who sends in the names of the domains, and how far each has come: for the page, for
//! how organisations stand, and for the metrics. What is kept of a domain is read once for all of it.

use std::collections::HashSet;

use jiff::Timestamp;

use super::{
    climbing::{climbing, figures},
    hooks::Scene,
    passed::MOST_FACTS,
    shown::{bound, page, replays, selectors, shown, strange_keys},
};
use crate::{
    config::SendersBelow,
    evidence::{Store, rollup::DAY, selectors::PassedByDay, streams::Window},
    keystore::{Keystore, ReplaySeen, Senders, SendersOf, Sightings, StreamPage, StreamPages},
    ladder::facts::{DAYS, MOST_NAMES},
    names::{DomainName, OrganisationId},
    observe::{
        metrics::keeper::DomainFigures,
        status::{ReplayedSelector, UnknownSelectors, WeakerSelector},
    },
    organisation::Organisation,
    sending::{self, Covered, Ours, SendingError, Signatures, Weaker, date},
};

/// So many streams of a domain are shown.
const SHOWN: usize = 10;

/// What sorting finds.
#[derive(Default)]
pub(super) struct Found {
    /// Where keys sign that nobody knows.
    pub(super) unknown: Vec<UnknownSelectors>,
    /// New keys whose mail passes less often than that of the ones before.
    pub(super) weaker: Vec<WeakerSelector>,
    /// Selectors of ours with which far more mail passes than was signed.
    pub(super) replayed: Vec<ReplayedSelector>,
    /// The numbers of each domain with reports.
    pub(super) domains: Vec<DomainFigures>,
    /// Domains of which nobody could tell.
    failed: Vec<String>,
    /// Whether the keeper has looked at all domains that are reported about.
    pub(super) is_whole: bool,
}

impl Found {
    /// The alarms about one domain.
    fn add(&mut self, (id, domain): (&OrganisationId, &DomainName), sender: &Sender) {
        self.replayed
            .extend(replayed((id, domain), &sender.its.replays));
        if sender.unknown > 0 {
            self.unknown.push(UnknownSelectors {
                organisation: id.to_string(),
                domain: domain.to_string(),
                number: sender.unknown,
            });
        }
    }

    /// What was known stays where nobody can tell: a flood of mail must not end an alarm.
    pub(super) fn after(mut self, before: Self) -> Self {
        let failed = std::mem::take(&mut self.failed);
        let stays = before.unknown.into_iter();
        self.unknown
            .extend(stays.filter(|one| failed.contains(&one.domain)));
        let stays = before.weaker.into_iter();
        self.weaker
            .extend(stays.filter(|one| failed.contains(&one.domain)));
        let stays = before.replayed.into_iter();
        self.replayed
            .extend(stays.filter(|one| failed.contains(&one.domain)));
        let stay = before.domains.into_iter();
        self.domains
            .extend(stay.filter(|one| failed.contains(&one.domain)));
        self
    }
}

/// What is found of one domain.
struct Sender {
    its: SendersOf,
    /// Those of its largest streams.
    pages: Vec<StreamPage>,
    figures: DomainFigures,
    /// How many keys sign that nobody knows.
    unknown: u64,
    /// What passed with keys of ours.
    passed: PassedByDay,
}

/// What it is found out from.
struct Sorting<'a> {
    store: Option<&'a Store>,
    ours: Ours<'a>,
    keystore: &'a Keystore,
    /// Who sends below domains that never do.
    below: &'a SendersBelow,
    /// Where reports are to go.
    reports_to: Option<&'a str>,
    /// The domains that are reported about.
    with_reports: HashSet<&'a str>,
}

/// Finds out who sends, and keeps it for the page. What is wrong with one domain or organisation is
/// told, and the others go on.
pub(super) fn sort(scene: &Scene, keystore: &Keystore) -> Result<Found, SendingError> {
    let store = Store::read(&scene.reports.state)?;
    let numbers = store.as_ref().map(Store::numbers).transpose()?;
    let latest = numbers.unwrap_or_default().latest;
    let organisations = &scene.organisations;
    let ours = Ours::new(
        organisations,
        Some(keystore),
        &scene.relays,
        &scene.reports,
        MOST_FACTS,
    );
    let with_reports: HashSet<&str> = latest.keys().map(String::as_str).collect();
    let signatures = signatures(&ours, keystore, &with_reports);
    let sorting = Sorting {
        store: store.as_ref(),
        ours: ours
            .with_thresholds(scene.thresholds)
            .with_signatures(signatures),
        keystore,
        below: scene.claims.below(),
        reports_to: scene.reports_to.as_deref(),
        with_reports,
    };
    let mut found = Found {
        is_whole: true,
        ..Found::default()
    };
    for organisation in organisations {
        sorting.organisation(organisation, &mut found);
    }
    // Of those that are gone nothing stays.
    let known: HashSet<&OrganisationId> = organisations.iter().map(|one| &one.id).collect();
    for organisation in keystore.with_senders()? {
        if !known.contains(&organisation) {
            let before = keystore.senders(&organisation).unwrap_or_default();
            let nothing = (&Senders::default(), &StreamPages::default());
            keep(keystore, &organisation, &before, nothing);
        }
    }
    Ok(found)
}

/// What was signed by those whose keys reports may tell of. Without it nothing is compared.
fn signatures(ours: &Ours<'_>, keystore: &Keystore, with_reports: &HashSet<&str>) -> Signatures {
    let names = with_reports.iter().filter_map(|name| name.parse().ok());
    let names: Vec<DomainName> = names.collect();
    let wanted = names.iter().flat_map(|name| ours.related(name));
    let wanted: HashSet<&str> = wanted.map(|one| one.id.as_str()).collect();
    if wanted.is_empty() {
        return Signatures::default();
    }
    let read = sending::signatures(keystore, today(), |id| wanted.contains(id));
    read.unwrap_or_else(|error| {
        tracing::warn!("reports are not compared with what was signed: {error}");
        Signatures::default()
    })
}

/// In days since 1970.
fn today() -> i32 {
    let days = Timestamp::now().as_second().div_euclid(DAY);
    i32::try_from(days).unwrap_or(i32::MAX)
}

impl Sorting<'_> {
    fn organisation(&self, organisation: &Organisation, found: &mut Found) {
        let id = &organisation.id;
        let (store, keystore) = (self.store, self.keystore);
        let before = keystore.senders(id).unwrap_or_default();
        let mut senders = Senders::default();
        let mut pages = StreamPages::default();
        let (mut passed, mut is_partial) = (Vec::new(), false);
        let sightings = keystore.sightings(id);
        let domains = organisation.domains.iter().chain(&organisation.parked);
        for domain in domains.filter(|one| self.with_reports.contains(one.as_str())) {
            // One whose DNS does not answer is not waited for: when it does, that is news.
            let is_seen = |sightings: &Sightings| sightings.domains.contains_key(domain);
            found.is_whole &= sightings.as_ref().map_or(true, is_seen);
            let Some(store) = store else {
                continue;
            };
            // Without them nobody can tell what has to be done, and an alarm must not end by that.
            let its = sightings.as_ref().map_err(ToString::to_string);
            let its = its.and_then(|sightings| {
                self.domain(store, (organisation, domain), sightings)
                    .map_err(|error| error.to_string())
            });
            match its {
                Ok(sender) => {
                    found.add((id, domain), &sender);
                    passed.push(sender.passed);
                    senders.domains.insert(domain.clone(), sender.its);
                    pages.domains.insert(domain.clone(), sender.pages);
                    found.domains.push(sender.figures);
                }
                Err(error) => {
                    tracing::warn!("who sends in the name of {domain} is not known: {error}");
                    found.failed.push(domain.to_string());
                    is_partial = true;
                    // What was found before stays, with its time.
                    let known = before.domains.get(domain).cloned();
                    senders
                        .domains
                        .extend(known.map(|known| (domain.clone(), known)));
                    let known = keystore.stream_pages(id).unwrap_or_default();
                    let known = known.domains.get(domain).cloned();
                    pages
                        .domains
                        .extend(known.map(|known| (domain.clone(), known)));
                }
            }
        }
        if is_partial {
            keep_coverage(&before, &mut senders);
        } else {
            self.cover(id, &passed, &mut senders);
        }
        found.weaker.extend(self.weaker(id, &senders));
        bound(&mut senders, &mut pages);
        keep(keystore, id, &before, (&senders, &pages));
    }

    fn weaker(&self, id: &OrganisationId, senders: &Senders) -> Vec<WeakerSelector> {
        if senders.domains.is_empty() {
            return Vec::new();
        }
        // One that can't be read has been told of.
        let keyring = self.keystore.read_keyring(id).unwrap_or_default();
        let weaker = sending::weaker(&keyring, senders).into_iter();
        weaker.map(|one| told(id, one)).collect()
    }

    fn domain(
        &self,
        store: &Store,
        (organisation, domain): (&Organisation, &DomainName),
        sightings: &Sightings,
    ) -> Result<Sender, SendingError> {
        let now = Timestamp::now();
        let today = today();
        let (climb, sorted) = sending::climb_and_sort(store, &self.ours, domain, today)?;
        let streams = sorted.streams;
        let others = streams.iter().skip(SHOWN);
        let unknown = u64::try_from(sorted.unknown_selectors.len()).unwrap_or(u64::MAX);
        let mut facts = climb.facts;
        let reports = facts.reports;
        let mut names_below = facts.names_below(domain.as_str());
        if names_below.len() > MOST_NAMES {
            names_below.clear();
        }
        let about = (organisation.parked.contains(domain), self.reports_to);
        // One that has to wait for the record of another is told so by its pack.
        let climbing = match self.below.waits_for(domain, sightings, now) {
            Some(_) => None,
            None => climbing(&mut facts, &self.ours, sightings, domain, about, now),
        };
        let figures = figures(&facts, climbing.as_ref(), (&organisation.id, domain));
        let before = sightings.climbed.get(domain);
        let its = SendersOf {
            found: now,
            from: date(today - DAYS + 1),
            to: date(today),
            reports,
            others: others.clone().count(),
            other_messages: others.map(|stream| stream.messages).sum(),
            streams: streams.iter().take(SHOWN).map(shown).collect(),
            selectors: selectors(&sorted.selectors),
            // Known once all of its domains are.
            coverage: None,
            unknown_selectors: strange_keys(
                &sorted.unknown_selectors,
                &sorted.policy_domain,
                before,
                now,
            ),
            replays: replays(&facts.replays, before, now),
            climbing,
            names_below,
        };
        let window = Window {
            from: today - DAYS + 1,
            to: today,
        };
        let largest = streams.iter().take(SHOWN);
        Ok(Sender {
            its,
            pages: largest.map(|stream| page(stream, window)).collect(),
            figures,
            unknown,
            passed: climb.passed,
        })
    }

    /// How much of its mail reports tell of, from what passed under its policies.
    fn cover(&self, id: &OrganisationId, passed: &[PassedByDay], senders: &mut Senders) {
        if passed.is_empty() {
            return;
        }
        // One that can't be read has been told of.
        let keyring = self.keystore.read_keyring(id).unwrap_or_default();
        let signatures = self.ours.signatures();
        let covered = Covered::new(signatures, (id, &keyring), passed.iter(), today());
        for (domain, found) in &mut senders.domains {
            found.coverage = covered.of(domain);
        }
    }
}

/// What is told of the keys of a domain with which more mail passes than was signed.
fn replayed(
    (organisation, domain): (&OrganisationId, &DomainName),
    replays: &[ReplaySeen],
) -> Vec<ReplayedSelector> {
    let told = replays.iter().map(|one| ReplayedSelector {
        organisation: organisation.to_string(),
        domain: domain.to_string(),
        selector: one.selector.to_string(),
        passed: one.passed,
        signed: one.signed,
    });
    told.collect()
}

/// What is told of one new key.
fn told(organisation: &OrganisationId, weaker: Weaker) -> WeakerSelector {
    let Weaker { new, old } = weaker;
    WeakerSelector {
        organisation: organisation.to_string(),
        domain: new.domain.to_string(),
        selector: new.selector.to_string(),
        messages: new.messages,
        passed: new.passed,
        before: old.selector.to_string(),
        before_messages: old.messages,
        before_passed: old.passed,
    }
}

/// Where one of the domains can't be told of, what was known before stays.
fn keep_coverage(before: &Senders, senders: &mut Senders) {
    for (domain, found) in &mut senders.domains {
        let known = before.domains.get(domain);
        found.coverage = known.and_then(|known| known.coverage);
    }
}

fn keep(
    keystore: &Keystore,
    organisation: &OrganisationId,
    before: &Senders,
    (senders, pages): (&Senders, &StreamPages),
) {
    let mut kept = Ok(());
    if !is_same(before, senders) {
        kept = keystore.keep_senders(organisation, senders);
    }
    let known = keystore.stream_pages(organisation).unwrap_or_default();
    if kept.is_ok() && known != *pages {
        kept = keystore.keep_stream_pages(organisation, pages);
    }
    if let Err(error) = kept {
        tracing::warn!("who sends in the names of {organisation} can't be kept: {error}");
    }
}

/// Whether nothing but the time is another one.
fn is_same(known: &Senders, found: &Senders) -> bool {
    let all = known.domains.iter().zip(&found.domains);
    known.domains.len() == found.domains.len()
        && all.into_iter().all(|((domain, known), (other, found))| {
            let found = SendersOf {
                found: known.found,
                ..found.clone()
            };
            domain == other && *known == found
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_stays_where_nobody_can_tell() {
        let unknown = |domain: &str| UnknownSelectors {
            organisation: "een".to_owned(),
            domain: domain.to_owned(),
            number: 1,
        };
        let figures = |domain: &str| DomainFigures {
            domain: domain.to_owned(),
            ..DomainFigures::default()
        };
        let replayed = |domain: &str| ReplayedSelector {
            domain: domain.to_owned(),
            ..ReplayedSelector::default()
        };
        let before = Found {
            unknown: vec![unknown("een.nl"), unknown("twee.nl")],
            replayed: vec![replayed("een.nl"), replayed("twee.nl")],
            domains: vec![figures("een.nl"), figures("twee.nl")],
            ..Found::default()
        };
        let now = Found {
            unknown: vec![unknown("drie.nl")],
            domains: vec![figures("drie.nl")],
            failed: vec!["een.nl".to_owned()],
            is_whole: true,
            ..Found::default()
        };
        let found = now.after(before);
        let unknown: Vec<&str> = (found.unknown.iter())
            .map(|one| one.domain.as_str())
            .collect();
        assert_eq!(unknown, ["drie.nl", "een.nl"]);
        assert_eq!(found.domains, [figures("drie.nl"), figures("een.nl")]);
        assert_eq!(found.replayed, [replayed("een.nl")]);
    }
}
