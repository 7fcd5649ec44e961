use super::*;
use crate::{
    keys::Delegations,
    organisation::{Organisation, Policy, SelectorTemplate},
    page::{history::Hour, standing::STATES},
};

fn organisation(id: &str, name: &str, domains: &[&str]) -> Organisation {
    Organisation {
        id: id.parse().unwrap(),
        name: name.to_owned(),
        domains: domains.iter().map(|one| one.parse().unwrap()).collect(),
        parked: Vec::new(),
        incoming: Vec::new(),
        contact: None,
        selector: SelectorTemplate::new("{org}", &id.parse().unwrap()).unwrap(),
        algorithms: Vec::new(),
        senders: None,
        delegations: Delegations::default(),
        language: crate::words::Language::default(),
        policy: Policy::default(),
    }
}

fn row(id: &str, name: &str, domain: &str, level: Level) -> Row {
    let standing = crate::page::standing::Standing {
        states: [0; STATES.len()],
        judgement: Judgement {
            level,
            matters: Vec::new(),
        },
        finding: None,
        has_wrong_policy: false,
        overdue: None,
        checked: None,
    };
    Row::of(organisation(id, name, &[domain]), standing)
}

/// Without a signer.
fn judge(row: &Row) -> Judgement {
    row.standing.judgement.clone()
}

fn overview() -> Overview {
    Overview::of(vec![
        row("aap", "Zaanstad", "zaanstad.example", Level::Well),
        row("bes", "Amersfoort", "xn--caf-dma.example", Level::Unsigned),
        row("cel", "élan", "elan.example", Level::Well),
        row("dak", "Breda", "breda.example", Level::Act),
    ])
}

fn days() -> HashMap<OrganisationId, Day> {
    let day = |signed, unsigned| {
        let mut day = Day::default();
        day.0[3] = Hour {
            signed,
            unsigned,
            kept_back: 0,
        };
        day
    };
    let days = [("aap", day(5, 0)), ("cel", day(5, 9)), ("dak", day(7, 0))];
    days.map(|(id, day)| (id.parse().unwrap(), day)).into()
}

fn ids(query: &str) -> Vec<String> {
    let (overview, days) = (overview(), days());
    let part = select(&overview, &days, &Wish::parse(query), judge);
    let ids = part.rows.iter().map(|entry| &entry.row.organisation.id);
    ids.map(ToString::to_string).collect()
}

#[test]
fn the_most_urgent_come_first_unless_asked_otherwise() {
    for (query, expected) in [
        // Of those that are well the one with unsigned mail first.
        ("", ["bes", "dak", "cel", "aap"]),
        ("sort=-level", ["aap", "cel", "dak", "bes"]),
        ("sort=name", ["bes", "dak", "aap", "cel"]),
        ("sort=-name", ["cel", "aap", "dak", "bes"]),
        // What is equal is in the order of the ids.
        ("sort=signed", ["dak", "aap", "cel", "bes"]),
        ("sort=-signed", ["bes", "aap", "cel", "dak"]),
        ("sort=unsigned", ["cel", "aap", "bes", "dak"]),
        ("sort=checked", ["aap", "bes", "cel", "dak"]),
    ] {
        assert_eq!(ids(query), expected, "{query}");
    }
}

#[test]
fn ids_names_and_domains_are_searched() {
    for (query, expected) in [
        ("q=AAP", vec!["aap"]),
        ("q=BREDA", vec!["dak"]),
        ("q=%C3%89LAN", vec!["cel"]),
        ("q=caf%C3%A9", vec!["bes"]),
        ("q=xn--caf", vec!["bes"]),
        ("q=.example&only=well&sort=name", vec!["aap", "cel"]),
        ("q=nothing", vec![]),
        ("q=%3Cscript%3E", vec![]),
    ] {
        assert_eq!(ids(query), expected, "{query}");
    }
}

#[test]
fn the_tally_is_of_what_the_search_finds() {
    let (overview, days) = (overview(), days());
    let part = select(&overview, &days, &Wish::parse("q=a&only=unsigned"), judge);
    assert_eq!(part.tally, [0, 0, 0, 1, 1, 0, 0, 2]);
    assert_eq!((part.found, part.all), (1, 4));
}

#[test]
fn a_page_holds_a_hundred_and_there_is_none_beyond_the_last() {
    let rows = (0..250).map(|place| {
        let id = format!("o{place:03}");
        row(&id, &id, "a.example", Level::Well)
    });
    let (overview, days) = (Overview::of(rows.collect()), HashMap::new());
    let part = |query| select(&overview, &days, &Wish::parse(query), judge);
    let first = part("");
    assert_eq!((first.rows.len(), first.pages, first.page), (100, 3, 1));
    let last = part("page=9");
    assert_eq!((last.rows.len(), last.page), (50, 3));
    assert_eq!(last.rows[49].row.organisation.id.as_str(), "o249");
    let none = part("q=none&page=2");
    assert_eq!((none.rows.len(), none.page, none.pages), (0, 1, 1));
}
