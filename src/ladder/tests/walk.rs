//! A year of a domain, day by day: parties send, receivers report, and whatever the ladder says is
//! done, and nothing else. What each message really is, is known: so it can be said whether mail
//! that matters was lost.

mod parties;
mod receivers;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use self::{
    parties::{Owner, Parties, RELAYS, STRANGER, STRANGER_ADDRESS, TAX_ADDRESS, truth},
    receivers::{RECEIVERS, forged, part, praise},
};
use super::{Action, Facts, Finding, OURS, Published, Rung, Standing, Subject, Thresholds, advise};
use crate::{
    evidence::{
        Incoming, Rollup, Store,
        rollup::DAY,
        standing,
        streams::{Class, Name, Stream, Window, streams},
        tests::{FROM, made::Chance, made::Sent, read},
    },
    ladder::{facts::DAYS, holds::Asks},
};

const FIRST: i32 = 20_000;
const YEAR: i32 = 365;
/// What is kept is sorted each day: a whole year of it would take long.
const KEPT: i32 = 63;
const SELECTOR: &str = "dkim:voorbeeld.nl/old2019";

/// When the letters about tax begin.
#[derive(Clone, Copy)]
enum Season {
    Never,
    /// On this day of the year.
    OnDay(i32),
    /// Just after this rung is reached.
    After(Rung),
}

/// Somebody whose reports are not true.
#[derive(Clone, Copy, PartialEq)]
enum Liar {
    None,
    /// His messages do not pass DMARC, and he names receivers.
    Forges,
    /// They do, by a domain of his own. He begins on day 30 and praises all there is for four weeks.
    Praises,
}

/// What is different from year to year.
#[derive(Clone, Copy)]
struct Plan {
    season: Season,
    /// Whether the letters about tax are right from the first.
    is_well: bool,
    /// Whether the operator finds out whose key the stranger has.
    is_found_out: bool,
    /// Who sends reports that are made up.
    liar: Liar,
    /// So many days of reports are kept.
    kept: i32,
    /// So many days at the top are looked at.
    stays: i32,
}

const PLAIN: Plan = Plan {
    season: Season::Never,
    is_well: false,
    is_found_out: false,
    liar: Liar::None,
    kept: KEPT,
    stays: 21,
};

/// Mail that a receiver refused.
#[derive(Debug)]
struct Rejected {
    day: i32,
    address: String,
}

/// A domain on its way.
struct Walk {
    plan: Plan,
    parties: Parties,
    chance: Chance,
    store: Store,
    _folder: tempfile::TempDir,
    /// What is in the DNS, each from a day on.
    records: Vec<(i32, String)>,
    /// When the operator says what these streams are.
    names: BTreeMap<String, i32>,
    /// Messages of each day, by what they really are.
    truth: BTreeMap<(i32, Class), u64>,
    /// Legitimate mail.
    rejected: Vec<Rejected>,
    /// What was said on each day.
    diary: Vec<(i32, Action, Rung, String)>,
    /// The streams of the last day.
    streams: Vec<Stream>,
}

/// The record on a day.
fn on(records: &[(i32, String)], day: i32) -> &str {
    let earlier = records.iter().rev().find(|(from, _)| *from <= day);
    earlier.map_or("", |(_, record)| record)
}

fn counts(flags: u16) -> bool {
    flags & standing::NOT_AUTHENTICATED == 0
}

impl Walk {
    fn new(plan: Plan) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let record = format!("v=DMARC1; p=none; rua=mailto:{OURS}");
        Self {
            plan,
            parties: Parties::new(plan.season, plan.is_well),
            chance: Chance(0x9e37_79b9_7f4a_7c15),
            store: Store::open(folder.path()).unwrap(),
            _folder: folder,
            records: vec![(i32::MIN, record)],
            names: BTreeMap::new(),
            truth: BTreeMap::new(),
            rejected: Vec::new(),
            diary: Vec::new(),
            streams: Vec::new(),
        }
    }

    /// The whole year, or until the domain has been at the top for as long as the plan says.
    fn of(plan: Plan) -> Self {
        let mut walk = Self::new(plan);
        for day in FIRST..FIRST + YEAR {
            walk.send(day);
            walk.ask(day + 1);
            if walk.is_there(day + 1) {
                break;
            }
        }
        walk
    }

    fn is_there(&self, today: i32) -> bool {
        let (from, record) = self.records.last().unwrap();
        let is_top = Published::new(std::slice::from_ref(record)).rung() == Some(Rung::Reject);
        let season = self.parties.season.is_some_and(|from| from < today);
        let is_over = season || matches!(self.plan.season, Season::Never);
        is_top && is_over && today - from >= self.plan.stays
    }

    /// What is sent on a day, and the reports about it.
    fn send(&mut self, day: i32) {
        let sent = self.parties.sent(day, &mut self.chance);
        self.store.begin().unwrap();
        for (place, receiver) in RECEIVERS.iter().enumerate() {
            let parts = part(&sent, place, day);
            if parts.is_empty() {
                continue;
            }
            let record = receiver.sees(&self.records, day).to_owned();
            for one in &parts {
                self.note(one, receiver.enforces(&record), day);
            }
            let text = receiver.report(&record, day, &parts);
            for _ in 0..=u8::from(receiver.doubles) {
                self.take(receiver.name, &text, day, true);
            }
        }
        if self.plan.liar == Liar::Forges {
            for name in ["nep.example", "google.com"] {
                let text = forged(day, name);
                self.take(name, &text, day, false);
            }
            // Who knows when a receiver reports knows its next key too.
            let text = forged(day + 1, "outlook.com");
            self.take("outlook.com", &text, day, false);
        }
        if self.plan.liar == Liar::Praises && (30..58).contains(&(day - FIRST)) {
            // His domain is his own: what he sends passes DMARC, whatever it says.
            for (name, about) in [
                ("boef.example", day),
                ("a.boef.example", day),
                ("b.boef.example", day - 25),
            ] {
                let text = praise(about, name);
                self.take(name, &text, day, true);
            }
        }
        self.store.commit().unwrap();
        if day % 7 == 0 {
            self.store.forget_before(day - self.plan.kept).unwrap();
            self.truth.retain(|(on, _), _| *on >= day - KEPT);
        }
    }

    /// What a message really is, and what became of it.
    fn note(&mut self, one: &Sent, enforced: &str, day: i32) {
        let mut class = one.truth.unwrap();
        if one.address == STRANGER_ADDRESS && self.plan.is_found_out {
            class = Class::Known;
        }
        *self.truth.entry((day, class)).or_default() += one.messages;
        let is_lost = one.is_aligned() == (false, false) && enforced == "reject";
        if is_lost && matches!(class, Class::Ours | Class::Known | Class::Unknown) {
            self.rejected.push(Rejected {
                day,
                address: one.address.clone(),
            });
        }
    }

    fn take(&mut self, reporter: &str, text: &str, day: i32, is_real: bool) {
        let report = read(text, i64::from(day + 1) * DAY);
        let is_relay = |address: IpAddr| RELAYS.iter().any(|one| one.parse() == Ok(address));
        let rollup = Rollup::new(&report, |_| true, is_relay);
        let incoming = Incoming {
            reporter,
            report: &report,
            rollup: &rollup,
            authenticated: Some(is_real),
            today: day + 1,
        };
        self.store.add(incoming).unwrap();
    }

    /// What the ladder says on a day, and what is done.
    fn ask(&mut self, today: i32) {
        self.say_names(today);
        let (facts, standing) = self.standing(today);
        self.look(&facts, &standing, today);
        self.streams = facts.streams;
        let advice = &standing.advice;
        let record = advice.record.clone().unwrap();
        self.diary
            .push((today, advice.action, advice.step, record.clone()));
        match advice.action {
            Action::Publish | Action::StepBack => self.publish(today + 1, advice.step, record),
            Action::Ask | Action::Fix => self.act(&standing, today),
            Action::Wait | Action::Done => {}
        }
        for (finding, stream) in standing.findings {
            // An alarm asks whose the key is.
            if let (Finding::UnknownSelector, Some(stream)) = (finding, stream) {
                self.find_out(stream, today);
            }
        }
    }

    fn standing(&self, today: i32) -> (Facts, Standing) {
        let evidence = self.store.evidence(FROM, usize::MAX, counts).unwrap();
        let ours = BTreeSet::from([(FROM.to_owned(), "s1".to_owned())]);
        let relays = RELAYS.map(|relay| relay.parse().unwrap());
        let window = Window {
            from: FIRST,
            to: today,
        };
        let sorted = streams(FROM, &evidence, &ours, &relays, window, |_| true);
        let policies = self.store.policies(FROM, counts).unwrap();
        let mut facts = Facts::new(&evidence, sorted, policies, today);
        let lately = Window {
            from: today - DAYS + 1,
            to: today,
        };
        let reports = self.store.reports(FROM, lately, counts).unwrap();
        (facts.reports, facts.ignored_reports) = reports;
        facts.nonexistent = Some(BTreeSet::new());
        let published = Published::new(&[on(&self.records, today).to_owned()]);
        let subject = Subject {
            parked: false,
            published: Some(&published),
            reports: Some(OURS),
        };
        let standing = advise(&facts, subject, &Thresholds::default());
        (facts, standing)
    }

    /// What has to be so on every day.
    fn look(&self, facts: &Facts, standing: &Standing, today: i32) {
        let day = today - FIRST;
        let list = facts.streams.len();
        assert!(list <= 25 || day % 7 != 0, "day {day}: {list} streams");
        let known = facts
            .streams
            .iter()
            .any(|one| one.id == SELECTOR && one.named);
        let alarm = (Finding::UnknownSelector, Some(SELECTOR.to_owned()));
        let is_due = today > STRANGER && !known;
        assert_eq!(standing.findings.contains(&alarm), is_due, "day {day}");
        let against = (Finding::NotStrict, Some("dkim:voorbeeld.nl/afs".to_owned()));
        let is_top = standing.step == Some(Rung::Reject) && standing.lost.is_empty();
        assert!(!is_top || standing.findings.contains(&against), "day {day}");
        let record = standing.advice.record.as_deref().unwrap_or_default();
        assert!(!record.contains("adkim") && !record.contains("aspf"));
        assert_eq!(
            facts.ignored_reports > 0,
            (self.plan.liar == Liar::Forges),
            "day {day}"
        );
    }

    fn publish(&mut self, from: i32, rung: Rung, record: String) {
        self.records.push((from, record));
        if let Season::After(after) = self.plan.season
            && after == rung
            && self.parties.season.is_none()
        {
            self.parties.season = Some(from + 2);
        }
    }

    /// Does what the holds ask that are against the next rung.
    fn act(&mut self, standing: &Standing, today: i32) {
        let rung = standing.step.unwrap();
        let next = rung.next().unwrap_or(rung);
        for hold in &standing.holds {
            let (true, Some(stream)) = (hold.code.is_against(next), hold.stream.clone()) else {
                continue;
            };
            match (standing.advice.action, hold.code.asks()) {
                (Action::Ask, Asks::Ask) => self.find_out(stream, today),
                (Action::Fix, Asks::Fix) => {
                    let owner = Owner::of(&stream);
                    let owner = owner.unwrap_or_else(|| panic!("nobody can mend {stream}"));
                    let mended = self.parties.mended.entry(owner);
                    mended.or_insert(today + owner.takes());
                }
                _ => {}
            }
        }
    }

    /// The operator needs a day or two to find out whose a stream is.
    fn find_out(&mut self, stream: String, today: i32) {
        if stream == SELECTOR && !self.plan.is_found_out {
            return;
        }
        let days = 1 + i32::from(stream.len().is_multiple_of(2));
        self.names.entry(stream).or_insert(today + days);
    }

    fn say_names(&mut self, today: i32) {
        let due: Vec<String> = self
            .names
            .iter()
            .filter(|(_, day)| **day <= today)
            .map(|(stream, _)| stream.clone())
            .collect();
        for id in due {
            self.names.remove(&id);
            let stream = self.streams.iter().find(|stream| stream.id == id).unwrap();
            let name = Name {
                class: truth(&id).unwrap_or(Class::Known),
                label: None,
                owner: None,
                networks: stream.main_networks(),
            };
            self.store.set_name(FROM, &id, Some(&name), 0).unwrap();
        }
    }

    /// The days on which a record was published, with its rung.
    fn steps(&self) -> Vec<(i32, Action, Rung)> {
        let done = |action: &Action| matches!(action, Action::Publish | Action::StepBack);
        self.diary
            .iter()
            .filter(|(_, action, _, _)| done(action))
            .map(|(day, action, rung, _)| (day - FIRST, *action, *rung))
            .collect()
    }

    fn table(&self) -> String {
        let lines = self.streams.iter().map(|one| {
            let (rule, class, id) = (one.rule, one.class, &one.id);
            format!("{rule} {class} {id} {} {}", one.messages, one.aligned)
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// What has to be so after each year.
    fn check(&self) {
        let steps = self.steps();
        let mut rung = Rung::None;
        for (day, action, step) in &steps {
            if *action == Action::Publish {
                assert_eq!(rung.next(), Some(*step), "day {day}: {steps:?}");
            } else {
                assert!(*step < rung, "day {day}: {steps:?}");
            }
            rung = *step;
        }
        assert_eq!(rung, Rung::Reject, "{steps:?}\n{:?}", self.diary.last());
        let mut found: BTreeMap<Class, u64> = BTreeMap::new();
        for stream in &self.streams {
            *found.entry(stream.class).or_default() += stream.messages;
        }
        let mut truth: BTreeMap<Class, u64> = BTreeMap::new();
        for ((_, class), messages) in &self.truth {
            *truth.entry(*class).or_default() += messages;
        }
        for (class, messages) in &truth {
            let told = found.get(class).copied().unwrap_or_default();
            let wrong = told.abs_diff(*messages);
            assert!(
                wrong * 100 <= messages * 3,
                "{class}: {told} of {messages}\n{}",
                self.table()
            );
        }
        let all: u64 = truth.values().sum();
        found.retain(|class, _| !truth.contains_key(class));
        let other: u64 = found.values().sum();
        assert!(other * 1_000 <= all, "{}", self.table());
    }
}

#[test]
fn a_domain_without_a_season_arrives_and_made_up_reports_change_nothing() {
    let plan = Plan {
        stays: YEAR,
        ..PLAIN
    };
    let forged = Plan {
        liar: Liar::Forges,
        ..PLAIN
    };
    let [honest, forged] = std::thread::scope(|scope| {
        [plan, forged]
            .map(|plan| scope.spawn(move || Walk::of(plan)))
            .map(|walk| walk.join().unwrap())
    });
    for walk in [&honest, &forged] {
        walk.check();
        assert!(walk.rejected.is_empty(), "{:?}", walk.rejected);
    }
    // That year is looked at until it has arrived.
    for (one, other) in forged.diary.iter().zip(&honest.diary) {
        assert_eq!(one, other);
    }
}

#[test]
fn praise_by_somebody_who_began_to_report_of_late_changes_nothing() {
    // For as long as it is known since when each reports.
    let honest = Plan { kept: 120, ..PLAIN };
    let praised = Plan {
        liar: Liar::Praises,
        ..honest
    };
    let [honest, praised] = std::thread::scope(|scope| {
        [honest, praised]
            .map(|plan| scope.spawn(move || Walk::of(plan)))
            .map(|walk| walk.join().unwrap())
    });
    assert!(praised.rejected.is_empty(), "{:?}", praised.rejected);
    assert_eq!(praised.diary, honest.diary);
}

#[test]
fn a_season_before_the_top_loses_no_mail() {
    for season in [Season::OnDay(130), Season::After(Rung::QuarantineTest)] {
        let walk = Walk::of(Plan {
            season,
            is_found_out: matches!(season, Season::After(_)),
            ..PLAIN
        });
        walk.check();
        assert!(walk.rejected.is_empty(), "{:?}", walk.rejected);
    }
}

#[test]
fn a_season_that_begins_at_the_top_loses_nine_days_at_most() {
    let plan = Plan {
        season: Season::After(Rung::Reject),
        ..PLAIN
    };
    let walk = Walk::of(plan);
    walk.check();
    let begins = walk.parties.season.unwrap();
    let is_tax = |one: &Rejected| one.address == TAX_ADDRESS;
    assert!(walk.rejected.iter().all(is_tax), "{:?}", walk.rejected);
    let last = walk.rejected.iter().map(|one| one.day).max().unwrap();
    assert!(last < begins + 9, "{begins}: {:?}", walk.rejected);
    let back = |action: &Action| *action == Action::StepBack;
    assert_eq!(
        walk.steps().iter().filter(|(_, one, _)| back(one)).count(),
        1
    );
}

#[test]
fn a_season_that_is_right_from_the_first_changes_nothing() {
    let walk = Walk::of(Plan {
        season: Season::After(Rung::Reject),
        is_well: true,
        ..PLAIN
    });
    walk.check();
    assert!(walk.rejected.is_empty(), "{:?}", walk.rejected);
}
