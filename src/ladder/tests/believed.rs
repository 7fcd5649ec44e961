//! Who is believed, and what someone has to say.

use super::*;

/// Who reports more has no more to say, and who began of late has nothing to say.
#[test]
fn a_reporter_has_one_vote_a_day_and_a_newcomer_none() {
    let mut seen = facts(ON[0].1, 90, vec![ours(90)]);
    seen.policies.clear();
    let tags = |wish: &str| BTreeMap::from([("p".to_owned(), wish.to_owned())]);
    let mut add = |day, reporter: &str, wish, reports| {
        seen.policies.push(Policy {
            day,
            tags: tags(wish),
            reports,
            reporter: Some(reporter.to_owned()),
        });
    };
    for day in TODAY - 20..TODAY {
        add(day, "a", "quarantine", 1);
        add(day, "b", "quarantine", 3);
        // On the day of a change, both are seen.
        add(day, "b", "none", 2);
        add(day, "loud", "none", 1_000);
        for newcomer in ["x", "y", "z"] {
            add(day, newcomer, "reject", 1);
        }
    }
    assert_eq!(seen.since(Rung::Quarantine), None);
    seen.newcomers.0 = ["x", "y", "z"].map(|one| (one.to_owned(), TODAY)).into();
    assert_eq!(seen.since(Rung::Quarantine), Some(TODAY - 20));
}

#[test]
fn nobody_steps_back_on_the_word_of_a_newcomer() {
    let (_, record) = ON[4];
    let mut lost = facts(record, 90, vec![stream("ours", Class::Ours, 90, 100, 50)]);
    let back = standing(&lost, record);
    assert_eq!(back.advice.action, Action::StepBack);
    assert_eq!(back.lost, [("ours".to_owned(), 250)]);
    let doubt = |facts: &mut Facts, doubtful| {
        for day in facts.streams[0].days.values_mut() {
            day.doubtful = doubtful;
        }
    };
    doubt(&mut lost, 50);
    let stays = standing(&lost, record);
    assert_eq!(stays.lost, []);
    // But it is said.
    assert_eq!(stays.holds[0].code, HoldCode::FailingStream);
    assert_eq!(stays.advice.action, Action::Fix);
    doubt(&mut lost, 40);
    assert_eq!(standing(&lost, record).lost, [("ours".to_owned(), 50)]);
}

#[test]
fn who_wants_it_is_asked_each_year_whether_all_who_send_are_known() {
    let thresholds = Thresholds {
        confirm: true,
        ..Thresholds::default()
    };
    let ask = |record: &str, confirmed| {
        let mut facts = facts(record, 90, vec![ours(90)]);
        facts.confirmed = confirmed;
        let published = published(record);
        let subject = Subject {
            parked: false,
            published: Some(&published),
            reports: Some(OURS),
        };
        advise(&facts, subject, &thresholds)
    };
    for (_, record) in &ON[..3] {
        let found = ask(record, None);
        assert_eq!(found.advice.action, Action::Publish);
        assert_eq!(found.holds[0].code, HoldCode::Unconfirmed);
        assert_eq!(found.holds[0].blocks, Rung::Reject);
    }
    let (_, test) = ON[3];
    for (confirmed, action) in [
        (None, Action::Ask),
        (Some(TODAY - 365), Action::Ask),
        (Some(TODAY - 364), Action::Publish),
    ] {
        assert_eq!(ask(test, confirmed).advice.action, action, "{confirmed:?}");
    }
    assert_eq!(ask(ON[4].1, None).holds, []);
}
