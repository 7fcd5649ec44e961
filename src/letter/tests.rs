//! What a letter says, of facts that are made up.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::date;

use super::{About, Format, Letter, month::day};
use crate::{
    evidence::streams::{Class, OfDay, Policy, Stream},
    ladder::{Standing, Subject, Thresholds, advise, facts::Facts, record::Published},
    names::DomainName,
    words::Language,
};

/// 3 November 2026.
const TODAY: i32 = 20_760;
/// 1 October and 1 September.
const OCTOBER: i32 = 20_727;
const SEPTEMBER: i32 = 20_697;

/// So many messages each day, of which so many are recognised.
fn stream(id: &str, class: Class, from: i32, messages: u64, aligned: u64) -> Stream {
    let day = OfDay {
        messages,
        aligned,
        ..OfDay::default()
    };
    let mut stream = Stream::made(id, class);
    stream.days = (from..TODAY).map(|at| (at, day)).collect();
    stream.first_seen = from;
    stream
}

/// Reports since the first of September show `p=` this.
fn facts(policy: &str, streams: Vec<Stream>) -> Facts {
    let tags: BTreeMap<String, String> = [("p".to_owned(), policy.to_owned())].into();
    let reporters: BTreeSet<String> = ["a", "b", "c"].map(str::to_owned).into();
    Facts {
        today: TODAY,
        streams,
        report_days: (SEPTEMBER..TODAY).collect(),
        reporters: reporters.clone(),
        recent_reporters: reporters,
        policies: (SEPTEMBER..TODAY)
            .map(|day| Policy {
                day,
                tags: tags.clone(),
                reports: 3,
                reporter: None,
            })
            .collect(),
        ..Facts::default()
    }
}

struct Domain {
    name: DomainName,
    owner: DomainName,
    parked: bool,
    facts: Facts,
    standing: Standing,
}

fn domain(name: &str, published: &str, parked: bool, facts: Facts) -> Domain {
    let published = match published {
        "" => Published::default(),
        text => Published::new(&[text.to_owned()]),
    };
    let subject = Subject {
        parked,
        published: Some(&published),
        reports: None,
    };
    Domain {
        name: name.parse().unwrap(),
        owner: name.parse().unwrap(),
        parked,
        standing: advise(&facts, subject, &Thresholds::default()),
        facts,
    }
}

fn letter(domains: &[Domain], format: Format, language: Language) -> String {
    let about = domains.iter().map(|one| About {
        domain: &one.name,
        parked: one.parked,
        owner: &one.owner,
        waits_for: None,
        is_broken: one.name.as_str() == "kapot.nl",
        facts: &one.facts,
        standing: &one.standing,
    });
    let letter = Letter {
        name: "Gemeente <Voorbeeld>",
        sender: None,
        questions: None,
        date: date(2026, 11, 3),
        month: "2026-10".parse().unwrap(),
        domains: about.collect(),
    };
    letter.render(format, language)
}

/// As text, without the ends of lines.
fn text(domains: &[Domain], language: Language) -> String {
    let text = letter(domains, Format::Text, language);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
}

#[test]
fn the_days_are_those_of_the_calendar() {
    assert_eq!(day(date(2026, 11, 3)), TODAY);
    assert_eq!(day(date(2026, 10, 1)), OCTOBER);
    assert_eq!(day(date(2026, 9, 1)), SEPTEMBER);
}

#[test]
fn the_months_stand_side_by_side() {
    let mut abuse = stream("abuse", Class::Abuse, SEPTEMBER, 10, 0);
    for day in abuse.days.values_mut() {
        (day.rejected, day.quarantined) = (2, 3);
    }
    let new = stream("via:nieuw.example", Class::Unknown, OCTOBER + 9, 100, 0);
    let streams = vec![
        stream("ours", Class::Ours, SEPTEMBER, 1_000, 1_000),
        stream("forwarding", Class::Forwarding, SEPTEMBER, 7, 7),
        new,
        abuse,
    ];
    let domains = [domain(
        "voorbeeld.nl",
        "v=DMARC1; p=none",
        false,
        facts("none", streams),
    )];
    let dutch = text(&domains, Language::Dutch);
    says(
        &dutch,
        &[
            "E-mail uit naam van Gemeente <Voorbeeld>: oktober 2026",
            "* Uiterlijk 17 november 2026: laat ons weten wie hierachter zit: via nieuw.example \
             (2.400 berichten), in acht weken uit naam van voorbeeld.nl.",
            "Stap 1 van 5, sinds 1 september 2026. Ontvangers doen alleen verslag, en houden niets \
             tegen.",
            "onze mailservers 31.000 100% 30.000",
            "via nieuw.example (onbekend) 2.200 0% 0",
            "door lezers doorgestuurd 217 100% 210",
            "Vals: 310 berichten. Daarvan 62 geweigerd en 93 bij de ongewenste e-mail gezet. Voor \
             de andere 155 vroeg",
            "Vergeleken met september 2026: van uw eigen afzenders werd 100% herkend (toen 100%); \
             nieuw: via nieuw.example.",
        ],
    );
    let english = text(&domains, Language::English);
    says(
        &english,
        &[
            "E-mail in the name of Gemeente <Voorbeeld>: October 2026",
            "* By 17 November 2026: let us know who is behind this: through nieuw.example (2,400 \
             messages)",
            "our mail servers 31,000 100% 30,000",
            "through nieuw.example (unknown) 2,200 0% 0",
            "False: 310 messages. Of these, 62 refused and 93 put into the junk mail.",
        ],
    );
}

#[test]
fn the_largest_are_shown_and_the_rest_is_summed() {
    let streams = (1..=40_u64).map(|number| {
        let id = format!("via:leverancier-{number}.example");
        stream(&id, Class::Unknown, SEPTEMBER, number, 0)
    });
    let domains = [domain(
        "voorbeeld.nl",
        "v=DMARC1; p=none",
        false,
        facts("none", streams.collect()),
    )];
    let text = text(&domains, Language::Dutch);
    // 1 + … + 30 a day, in 31 days.
    says(
        &text,
        &[
            "via leverancier-40.example (onbekend)",
            "30 andere afzenders 14.415 0% 13.950",
            "Daarna: er zijn nog",
        ],
    );
    assert!(!text.contains("leverancier-30.example"), "{text}");
}

#[test]
fn what_strangers_wrote_is_markup_nowhere() {
    let nasty = "<script>alert(1)</script>[x](http://kwaad.example)|`*\u{202e}\n# kop";
    let mut labelled = stream("via:kwaad.example", Class::Known, SEPTEMBER, 100, 0);
    labelled.label = Some(nasty.to_owned());
    let ids = [
        format!("via:{nasty}"),
        format!("dkim:{nasty}/{nasty}"),
        format!("list:{}", "x".repeat(5_000)),
    ];
    let mut streams: Vec<Stream> = (ids.iter())
        .map(|id| stream(id, Class::Unknown, SEPTEMBER, 50, 10))
        .collect();
    streams.push(labelled);
    let mut facts = facts("none", streams);
    let selector = (nasty.to_owned(), nasty.to_owned());
    facts.unknown_selectors.insert(selector, ids[1].clone());
    let domains = [domain("voorbeeld.nl", "v=DMARC1; p=none", false, facts)];
    for language in Language::ALL {
        let html = letter(&domains, Format::Html, language);
        let body = html.split_once("<body>").unwrap().1;
        for tag in body.split('<').skip(1) {
            let name: String = (tag.trim_start_matches('/').chars())
                .take_while(char::is_ascii_alphanumeric)
                .collect();
            let ours = [
                "main",
                "h1",
                "h2",
                "p",
                "ul",
                "li",
                "code",
                "dl",
                "dt",
                "dd",
                "figure",
                "figcaption",
                "pre",
                "table",
                "thead",
                "tbody",
                "tr",
                "th",
                "td",
                "strong",
                "body",
                "html",
            ];
            assert!(ours.contains(&name.as_str()), "<{name}");
        }
        says(body, &["&lt;script&gt;", "Gemeente &lt;Voorbeeld&gt;"]);
        let markdown = letter(&domains, Format::Markdown, language);
        for line in markdown.lines() {
            let is_markup = line.contains("<script") && !line.contains('`');
            assert!(!is_markup, "{line}");
            assert!(!line.starts_with("# kop"), "{line}");
            if line.starts_with("| ") {
                // Four cells, whatever is in them.
                let bars = line.replace("\\|", "").matches('|').count();
                assert_eq!(bars, 5, "{line}");
            }
        }
        for format in Format::ALL {
            let text = letter(&domains, format, language);
            assert!(!text.contains('\u{202e}'), "{text}");
            assert!(!text.contains(&"x".repeat(100)), "{text}");
        }
    }
}

#[test]
fn mail_that_is_lost_comes_first_and_then_who_has_a_key() {
    let mut news = stream("via:nieuws.example", Class::Known, SEPTEMBER, 100, 100);
    for (_, day) in news.days.range_mut(TODAY - 3..) {
        (day.aligned, day.rejected) = (0, 100);
    }
    news.label = Some("Nieuwsbrief".to_owned());
    let stranger = stream("dkim:voorbeeld.nl/oud", Class::Unknown, TODAY - 2, 1, 1);
    let ours = stream("ours", Class::Ours, SEPTEMBER, 1_000, 1_000);
    let mut facts = facts("reject", vec![ours, news, stranger]);
    let selector = ("voorbeeld.nl".to_owned(), "oud".to_owned());
    (facts.unknown_selectors).insert(selector, "dkim:voorbeeld.nl/oud".to_owned());
    let domains = [
        domain(
            "anders.nl",
            "",
            false,
            Facts {
                today: TODAY,
                ..Facts::default()
            },
        ),
        domain(
            "kapot.nl",
            "",
            false,
            Facts {
                today: TODAY,
                ..Facts::default()
            },
        ),
        domain("voorbeeld.nl", "v=DMARC1; p=reject", false, facts),
    ];
    let text = text(&domains, Language::English);
    let parts = [
        "!! Today: have your DNS administrator replace the record of voorbeeld.nl. Genuine e-mail \
         of yours is being lost; in the last days not recognised as yours: Nieuwsbrief (300 \
         messages).",
        "TXT record under _dmarc.voorbeeld.nl",
        "v=DMARC1; p=quarantine; t=y; pct=0",
        "!! Today: find out whose key oud of voorbeeld.nl is.",
        "have oud._domainkey.voorbeeld.nl removed from your DNS",
        "By 17 November 2026: have your DNS administrator add the record below for anders.nl.",
        "By 17 November 2026: have your DNS administrator replace the record of kapot.nl.",
        "By 1 December 2026: have this put right: Nieuwsbrief (300 messages)",
        "There is no record against false e-mail yet. We received no reports about this domain for \
         October 2026",
        "Step 5 of 5, since 1 September 2026.",
    ];
    says(&text, &parts);
    let places: Vec<usize> = parts[..8]
        .iter()
        .map(|part| text.find(part).unwrap())
        .collect();
    assert!(places.is_sorted(), "{places:?}\n{text}");
}

#[test]
fn what_our_own_servers_do_wrong_is_for_us() {
    let ours = stream("ours", Class::Ours, SEPTEMBER, 1_000, 900);
    let domains = [domain(
        "voorbeeld.nl",
        "v=DMARC1; p=none",
        false,
        facts("none", vec![ours]),
    )];
    let text = text(&domains, Language::Dutch);
    says(
        &text,
        &[
            "Wij doen dit: wij zoeken uit waarom een deel van onze eigen e-mail uit naam van \
             voorbeeld.nl niet als de uwe herkend wordt: onze mailservers (1.400 berichten).",
        ],
    );
    assert!(!text.contains("leverancier"), "{text}");
}

#[test]
fn parked_domains_are_summed_up_and_one_record_is_for_all_that_need_it() {
    let quiet = || Facts {
        today: TODAY,
        ..Facts::default()
    };
    let mut abuse = stream("abuse", Class::Abuse, SEPTEMBER, 4, 0);
    for day in abuse.days.values_mut() {
        day.rejected = 4;
    }
    let domains = [
        domain(
            "dicht.nl",
            "v=DMARC1; p=reject",
            true,
            facts("reject", vec![abuse]),
        ),
        domain("stil.nl", "v=DMARC1; p=reject", true, quiet()),
        domain("open.nl", "", true, quiet()),
        domain("ook.nl", "", true, quiet()),
    ];
    let text = text(&domains, Language::Dutch);
    says(
        &text,
        &[
            "laat uw DNS-beheerder vastleggen dat er van open.nl en ook.nl geen e-mail komt",
            "TXT-record onder elk van deze namen: _dmarc.open.nl, _dmarc.ook.nl",
            "v=DMARC1; p=reject; Domeinen",
            "dicht.nl 124 124 0 120",
            "Geen e-mail gezien uit naam van stil.nl.",
            "Geen verslagen over open.nl en ook.nl.",
        ],
    );
    assert_eq!(text.matches("v=DMARC1; p=reject").count(), 1, "{text}");
}

#[test]
fn a_name_below_is_told_of_with_its_owner_or_leads_to_who_has_it() {
    let ours = stream("ours", Class::Ours, SEPTEMBER, 1_000, 1_000);
    let facts_of = || facts("none", vec![ours.clone()]);
    let mut below = domain("nieuws.voorbeeld.nl", "", false, facts_of());
    below.owner = "voorbeeld.nl".parse().unwrap();
    below.standing.advice.action = crate::ladder::Action::Done;
    let mut others = domain("dienst.ministerie.nl", "", false, facts_of());
    others.owner = "ministerie.nl".parse().unwrap();
    others.standing.advice.action = crate::ladder::Action::Done;
    let above = domain("voorbeeld.nl", "v=DMARC1; p=none", false, facts_of());
    let text = text(&[above, below, others], Language::Dutch);
    says(
        &text,
        &[
            "E-mail uit naam van nieuws.voorbeeld.nl telt hier mee.",
            "Voor dit domein geldt het record van ministerie.nl.",
        ],
    );
    // Nothing of what others send.
    assert_eq!(text.matches("onze mailservers").count(), 1, "{text}");
}

#[test]
fn the_next_step_has_a_day_unless_reports_do_not_come() {
    let ours = || stream("ours", Class::Ours, OCTOBER, 1_000, 1_000);
    let unknown = || stream("via:nieuw.example", Class::Unknown, OCTOBER, 100, 0);
    let since_october = |streams: Vec<Stream>| Facts {
        report_days: (OCTOBER..TODAY).collect(),
        ..facts("none", streams)
    };
    let said = |facts: Facts| {
        let domains = [domain("voorbeeld.nl", "v=DMARC1; p=none", false, facts)];
        text(&domains, Language::Dutch)
    };
    says(
        &said(since_october(vec![ours()])),
        &["tegen. De volgende stap kan op zijn vroegst op 26 november 2026. "],
    );
    says(
        &said(since_october(vec![ours(), unknown()])),
        &[
            "tegen. De volgende stap kan als is gedaan wat hierboven staat, en op zijn vroegst op \
             26 november 2026. ",
        ],
    );
    let mut silent = since_october(vec![ours()]);
    silent.recent_reporters.clear();
    says(
        &said(silent),
        &["tegen. Er komen te weinig verslagen binnen om verder te gaan. "],
    );
}
