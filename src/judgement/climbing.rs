//! How far a domain has come on the ladder of DMARC, as matters.

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use super::{Fact, Matter, Witness};
use crate::{
    keys::Actor,
    keystore::{Climbed, Climbing, Held},
    ladder::{
        ADVICE_DAYS, Action,
        holds::{Asks, HoldCode},
    },
    names::DomainName,
    words::Level,
};

/// What holds a domain on its rung: all of one kind together, so that many streams are not many
/// matters.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Hold {
    /// Which kind.
    pub code: HoldCode,
    /// What the ladder says of the largest.
    pub text: String,
    /// A command, if one answers it.
    pub command: Option<String>,
    /// What its stream is called, or its id.
    pub stream: String,
    /// The messages that it is about.
    pub messages: u64,
    /// The days that are missing.
    pub days: u16,
    /// How many more there are of this kind.
    pub others: usize,
}

/// Another record that should be there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Advised {
    /// Whether it is weaker, since mail is lost.
    pub is_step_back: bool,
    /// Whether it is on the rung on which the domain is.
    pub is_same_rung: bool,
    /// What the ladder says of it.
    pub text: String,
    /// The name of the record.
    pub name: String,
    /// The record; none if nobody can tell.
    pub record: Option<String>,
    /// Of a step back: the legitimate messages that failed.
    pub lost: u64,
}

/// The word for programs, which never changes.
pub(super) fn word(code: HoldCode) -> &'static str {
    match code {
        HoldCode::UnknownRecord => "dmarc.unknown_record",
        HoldCode::RecordElsewhere => "dmarc.record_elsewhere",
        HoldCode::NotEnoughDays => "dmarc.not_enough_days",
        HoldCode::NoRecentReports => "dmarc.no_recent_reports",
        HoldCode::NoLegitimateMail => "dmarc.no_legitimate_mail",
        HoldCode::UnknownStream => "dmarc.unknown_stream",
        HoldCode::FailingStream => "dmarc.failing_stream",
        HoldCode::SpfOnlyStream => "dmarc.spf_only_stream",
        HoldCode::ListStream => "dmarc.list_stream",
        HoldCode::SubdomainStream => "dmarc.subdomain_stream",
        HoldCode::Unconfirmed => "dmarc.unconfirmed",
    }
}

/// What has to be done about the record of a domain, and what holds it.
pub(super) fn matters(domain: &DomainName, climbed: &Climbed) -> Vec<Matter> {
    let Some(climbing) = &climbed.climbing else {
        return Vec::new();
    };
    // What stands against a later rung only is no matter yet.
    let held = |code: HoldCode| -> Vec<&Held> {
        let all = climbing.holds.iter();
        all.filter(|one| one.is_next && one.code == code.as_str())
            .collect()
    };
    let holds = HoldCode::ALL
        .into_iter()
        .filter_map(|code| of_hold(code, &held(code), climbing));
    let mut matters: Vec<Matter> = advised(climbing).into_iter().chain(holds).collect();
    for matter in &mut matters {
        matter.domain = Some(domain.clone());
        matter.seen = Some(climbed.found);
    }
    matters
}

fn advised(climbing: &Climbing) -> Option<Matter> {
    let (level, is_step_back) = match Action::named(&climbing.action)? {
        // Receivers don't take mail that is legitimate.
        Action::StepBack => (Level::Unverifiable, true),
        Action::Publish => (Level::Act, false),
        Action::Ask | Action::Fix | Action::Wait | Action::Done => return None,
    };
    let fact = Fact::Advised(Advised {
        is_step_back,
        is_same_rung: climbing.step.as_deref() == Some(&climbing.to),
        text: climbing.text.clone(),
        name: climbing.name.clone(),
        record: climbing.record.clone(),
        lost: climbing.lost,
    });
    Some(Matter {
        since: Some(climbing.acting_since),
        actor: Actor::Administrator,
        ..Matter::new(level, fact, Witness::Keeper)
    })
}

/// Whether it asks for a stricter policy by what was found too long ago: mail of these days may not
/// pass any more. A step back stays, and so does what holds a domain.
pub(super) fn is_outdated(matter: &Matter, now: Timestamp) -> bool {
    let is_up = matches!(&matter.fact, Fact::Advised(advised) if !advised.is_step_back);
    let date = |moment: Timestamp| moment.to_zoned(TimeZone::UTC).date();
    let age = |seen| date(now).since(date(seen)).map_or(0, |age| age.get_days());
    is_up && matter.seen.is_some_and(|seen| age(seen) > ADVICE_DAYS)
}

/// None if nothing holds it so.
fn of_hold(code: HoldCode, held: &[&Held], climbing: &Climbing) -> Option<Matter> {
    let largest = held.first()?;
    let (level, actor) = match code.asks() {
        Asks::Ask | Asks::Fix => (Level::Act, Actor::Operator),
        Asks::Wait => (Level::Waits, Actor::Nobody),
    };
    let name = largest.name.as_ref().or(largest.stream.as_ref());
    let fact = Fact::Held(Hold {
        code,
        text: largest.text.clone(),
        command: largest.command.clone(),
        stream: name.cloned().unwrap_or_default(),
        messages: largest.messages,
        days: largest.days,
        others: held.len() - 1,
    });
    let comes = climbing
        .not_before
        .filter(|_| code == HoldCode::NotEnoughDays);
    Some(Matter {
        since: held.iter().map(|one| one.since).min(),
        when: comes.and_then(begin_of),
        actor,
        ..Matter::new(level, fact, Witness::Keeper)
    })
}

fn begin_of(date: Date) -> Option<Timestamp> {
    Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

#[cfg(test)]
impl Hold {
    /// By one stream.
    pub(crate) fn of(code: HoldCode) -> Self {
        Self {
            code,
            text: "it is held".to_owned(),
            command: Some("zegel report streams een.example".to_owned()),
            stream: "via:dienst.example".to_owned(),
            messages: 20,
            days: 7,
            others: 2,
        }
    }
}

#[cfg(test)]
impl Advised {
    pub(crate) fn of(is_step_back: bool) -> Self {
        Self {
            is_step_back,
            is_same_rung: false,
            text: "publish this record".to_owned(),
            name: "_dmarc.een.example".to_owned(),
            record: Some("v=DMARC1; p=none".to_owned()),
            lost: 12,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::{
        judgement::Judgement,
        keystore::{DomainSighting, FindingSeen, Sightings},
        organisation::Organisation,
        words::Language,
    };

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn later(hours: i64) -> Timestamp {
        NOW + jiff::SignedDuration::from_hours(hours)
    }

    fn sightings(climbing: Climbing) -> Sightings {
        let climbed = Climbed {
            found: later(2),
            climbing: Some(climbing),
            unknown_selectors: Vec::new(),
            replays: Vec::new(),
        };
        let mut sightings = Sightings::default();
        sightings
            .climbed
            .insert("een.example".parse().unwrap(), climbed);
        sightings
    }

    fn judge(sightings: &Sightings) -> Judgement {
        let mut organisation = Organisation::without_file(&"een".parse().unwrap());
        organisation.domains = vec!["een.example".parse().unwrap()];
        Judgement::default().saw(&organisation, sightings)
    }

    #[test]
    fn what_holds_the_next_rung_is_a_matter_of_its_kind() {
        let held = |code: HoldCode, since| Held::of(code.as_str(), later(since));
        let far = Held {
            is_next: false,
            ..held(HoldCode::ListStream, 0)
        };
        let new = Held {
            code: "of_a_later_version".to_owned(),
            ..held(HoldCode::ListStream, 0)
        };
        let days = Held {
            stream: None,
            ..held(HoldCode::NotEnoughDays, 1)
        };
        let unknown = held(HoldCode::UnknownStream, 1);
        let holds = [days, unknown, held(HoldCode::UnknownStream, 0), far, new];
        let climbing = Climbing {
            not_before: Some(jiff::civil::date(1970, 1, 8)),
            ..Climbing::of("ask", &holds, NOW)
        };
        let judgement = judge(&sightings(climbing));
        let told = judgement.matters.iter();
        let told = told.map(|one| (one.level, one.fact.as_str(), one.actor, one.since, one.when));
        let expected = [
            (
                Level::Act,
                "dmarc.unknown_stream",
                Actor::Operator,
                Some(later(0)),
                None,
            ),
            (
                Level::Waits,
                "dmarc.not_enough_days",
                Actor::Nobody,
                Some(later(1)),
                Some(later(7 * 24)),
            ),
        ];
        assert_eq!(told.collect::<Vec<_>>(), expected);
        let matter = &judgement.matters[0];
        assert_eq!(matter.seen, Some(later(2)));
        let id = "een".parse().unwrap();
        assert_eq!(
            matter.sentence(&id, Language::English),
            "een.example stays on its rung of DMARC: via:dienst.example sent 20 messages: \
             `zegel report name een.example via:dienst.example`. More of this kind: 1."
        );
        assert_eq!(
            matter.sentence(&id, Language::Dutch),
            "een.example blijft op zijn trede van DMARC: via:dienst.example verstuurde 20 \
             berichten in acht weken, en niemand heeft gezegd wie dat is; zoek het uit, en geef \
             het een naam (known, list, forwarding of abuse): `zegel report name een.example \
             via:dienst.example`. Meer van deze soort: 1."
        );
    }

    #[test]
    fn a_record_is_the_turn_of_the_dns_administrator() {
        let of = |action: &str| judge(&sightings(Climbing::of(action, &[], later(1))));
        for action in ["ask", "fix", "wait", "done", "of_a_later_version"] {
            assert_eq!(of(action), Judgement::default(), "{action}");
        }
        let publish = of("publish");
        let matter = &publish.matters[0];
        assert_eq!(
            (publish.level, matter.actor),
            (Level::Act, Actor::Administrator)
        );
        assert_eq!(matter.since, Some(later(1)));
        let id = "een".parse().unwrap();
        assert_eq!(
            matter.sentence(&id, Language::English),
            "DMARC of een.example: publish this record: it is time. The DNS administrator sets \
             `_dmarc.een.example TXT \"v=DMARC1; p=quarantine; t=y; pct=0\"`."
        );
        assert_eq!(of("step_back").level, Level::Unverifiable);
        let text = of("step_back").matters[0].sentence(&id, Language::Dutch);
        assert!(text.contains("direct: 12 legitieme berichten"), "{text}");
    }

    /// A keeper that can't read the reports any more must not have a policy made stricter.
    #[test]
    fn an_advice_of_long_ago_is_none_but_mail_that_is_lost_is_told() {
        let level = |action: &str, hours| {
            let sightings = sightings(Climbing::of(action, &[], NOW));
            let every = std::time::Duration::from_hours(1);
            judge(&sightings).looked(None, every, later(hours)).level
        };
        assert_eq!(level("publish", 3 * 24 - 1), Level::Act);
        assert_eq!(level("publish", 3 * 24), Level::Well);
        assert_eq!(level("step_back", 3 * 24), Level::Unverifiable);
    }

    #[test]
    fn a_record_that_is_missing_is_said_once() {
        let mut sightings = sightings(Climbing::of("publish", &[], NOW));
        let finding = FindingSeen {
            code: "dmarc.missing".to_owned(),
            name: "_dmarc.een.example".to_owned(),
            servers: Vec::new(),
            seen: String::new(),
            expected: String::new(),
            since: NOW,
        };
        let sighting = DomainSighting {
            checked: NOW,
            spf: None,
            dmarc: Some(Vec::new()),
            dmarc_owner: None,
            is_under_parked: false,
            apart: BTreeSet::new(),
            below: BTreeMap::new(),
            findings: vec![finding],
        };
        let domain: DomainName = "een.example".parse().unwrap();
        sightings.domains.insert(domain.clone(), sighting);
        let told = |sightings: &Sightings| -> Vec<&'static str> {
            let judgement = judge(sightings);
            judgement
                .matters
                .iter()
                .map(|one| one.fact.as_str())
                .collect()
        };
        assert_eq!(told(&sightings), ["dmarc.missing"]);
        // Of a domain that is no more, or without reports, nothing is said.
        let climbed = sightings.climbed.remove(&domain).unwrap();
        assert_eq!(told(&sightings), ["dmarc.missing"]);
        let mut others = Sightings::default();
        others
            .climbed
            .insert("weg.example".parse().unwrap(), climbed);
        assert_eq!(told(&others), [""; 0]);
    }

    #[test]
    fn where_no_key_signs_yet_nothing_waits_but_that() {
        let mut organisation = Organisation::without_file(&"een".parse().unwrap());
        organisation.domains = vec!["een.example".parse().unwrap()];
        let judge = |code: HoldCode| {
            let no_key = Matter::new(Level::NotLive, Fact::NoKey, Witness::Keystore);
            let judgement = Judgement {
                level: Level::NotLive,
                matters: vec![no_key],
            };
            let held = Held::of(code.as_str(), NOW);
            let seen = sightings(Climbing::of("ask", &[held], NOW));
            judgement.saw(&organisation, &seen).level
        };
        assert_eq!(judge(HoldCode::NotEnoughDays), Level::NotLive);
        assert_eq!(judge(HoldCode::UnknownStream), Level::Act);
    }

    #[test]
    fn what_others_chose_looks_like_nothing_that_is_typed() {
        let held = Held {
            text: "a `rm` of\n\u{1b}[31m someone".to_owned(),
            command: None,
            ..Held::of("unknown_stream", NOW)
        };
        let judgement = judge(&sightings(Climbing::of("ask", &[held], NOW)));
        let text = judgement.matters[0].sentence(&"een".parse().unwrap(), Language::English);
        let expected = "een.example stays on its rung of DMARC: a 'rm' of  [31m someone.";
        assert_eq!(text, expected);
    }
}
