//! Every state of an organisation on every surface: the page, `/status.json`, the metrics, and
//! what the commands print say the same of each.
//!
//! The files are real; no process runs and no DNS is asked. What a signer says comes from its
//! page, as it does over HTTP.

mod rows;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tempfile::TempDir;

use self::rows::{Also, Row};
use super::{
    check, dns, explain,
    judging::{Judge, Judgements},
    key, live,
};
use crate::{
    config::{self, Loaded, situation},
    dkim::Algorithm,
    judgement::{Judgement, SignerReport, Told},
    keys::{KeyEntry, Keyring, Lead, NewKey, Task, What},
    keystore::{
        Climbing, DomainSighting, FindingSeen, Held, Keystore, ReplaySeen, Senders, SendersOf,
        Sightings, StrangeKey,
    },
    ladder::Action,
    names::{DomainName, Selector},
    observe::{
        metrics::Metrics,
        status::{Ask, Rates, Top},
    },
    organisation::{Organisation, Refusal},
    page::Page,
    snapshot::{Snapshot, SnapshotHolder},
    words::{Language, Level},
};

/// A host with one organisation for each row, and what its signer says.
struct World {
    folder: TempDir,
    rows: Vec<Row>,
    keystore: Keystore,
    metrics: Metrics,
    page: Page,
    report: SignerReport,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let rows = rows::rows();
        let keystore = write(folder.path(), &rows);
        let loaded = load(folder.path());
        let metrics = Metrics::with_series(1000);
        for row in rows.iter().filter(|row| matches!(row.also, Also::Sends)) {
            let counters = metrics.organisation(&row.id.parse().unwrap());
            counters.unsigned(Refusal::AwaitingKey);
        }
        let built = Snapshot::first(loaded, &keystore, &metrics).unwrap();
        // As the first mail does.
        let names = built.snapshot.organisations().iter();
        for name in names.flat_map(|one| &one.domains) {
            let domain = built.snapshot.domain(name).unwrap();
            domain.keys.as_ref().unwrap().load();
        }
        let page = Page::new(SnapshotHolder::new(built.snapshot), metrics.clone());
        let (judgements, facts) = page.judgements();
        let mut report = SignerReport {
            status: metrics.status(None, &Ask::default()),
            judgements: Some(judgements),
        };
        report.status.figures.facts = facts;
        Self {
            folder,
            rows,
            keystore,
            metrics,
            page,
            report,
        }
    }

    fn loaded(&self) -> Loaded {
        load(self.folder.path())
    }

    /// How the signer says that it stands.
    fn told(&self, row: &Row) -> Told {
        let judgements = self.report.judgements.as_ref().unwrap();
        let well = || Judgement::default().told(&row.id.parse().unwrap());
        judgements.get(&row.id).cloned().unwrap_or_else(well)
    }

    fn judged(&self) -> Judgements {
        let loaded = self.loaded();
        let judge = Judge::new(&loaded, Some(&self.report.status.figures)).unwrap();
        judge.all()
    }
}

impl Row {
    fn domain(&self) -> DomainName {
        format!("{}.example", self.id).parse().unwrap()
    }
}

fn load(folder: &Path) -> Loaded {
    let loaded = config::load(&folder.join("zegel.toml")).unwrap();
    assert_eq!(loaded.mistakes.lines(), [].into());
    loaded
}

fn write(folder: &Path, rows: &[Row]) -> Keystore {
    let keys = folder.join("keys");
    let settings = format!("[keystore]\npath = \"{}\"\n", keys.display());
    fs::write(folder.join("zegel.toml"), settings).unwrap();
    fs::create_dir(folder.join("orgs.d")).unwrap();
    let keystore = Keystore::create(&keys).unwrap();
    for row in rows {
        let own = || format!("domains = [\"{}\"]\n", row.domain());
        let file = row.file.clone().unwrap_or_else(own);
        let algorithms = "algorithms = [\"ed25519-sha256\"]";
        let file = format!("name = \"{}\"\n{algorithms}\n{file}", row.id);
        fs::write(folder.join(format!("orgs.d/{}.toml", row.id)), file).unwrap();
        write_keys(&keystore, &keys.join(&row.id), row);
    }
    keystore
}

/// The keyring and what belongs to it, as they are found.
fn write_keys(keystore: &Keystore, folder: &Path, row: &Row) {
    fs::create_dir(folder).unwrap();
    fs::set_permissions(folder, Permissions::from_mode(0o700)).unwrap();
    let put = |name: &str, octets: &[u8]| {
        let path = folder.join(name);
        fs::write(&path, octets).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    };
    let mut keyring = Keyring::default();
    for (publication, place) in row.keys.iter().zip(0..) {
        let key = NewKey::generate(Algorithm::Ed25519Sha256, 0).unwrap();
        let selector: Selector = format!("s{place}").parse().unwrap();
        let public = key.public_key();
        keyring.add(KeyEntry {
            selector: selector.clone(),
            algorithm: public.algorithm(),
            created: publication.since,
            fingerprint: public.fingerprint(),
            public_key: Some(public.clone()),
            publications: [(row.domain(), *publication)].into(),
        });
        if !matches!(row.also, Also::KeyGone) {
            put(&format!("{selector}.pem"), key.pem());
        }
    }
    let now = Timestamp::now();
    let mut json: Value = serde_json::from_slice(&keyring.to_json().unwrap()).unwrap();
    let mut seen = Sightings::default();
    match row.also {
        Also::Nothing | Also::Sends | Also::KeyGone => {}
        Also::SentOnce => write_counts(keystore, &row.id, now),
        Also::NoticeBroken => put("leaving.json", b"{\"version\": 1"),
        Also::KeyringBroken => json = json!("none"),
        Also::Suspended => json["suspended"] = json!(now),
        Also::Leaves { is_over } => {
            let day = SignedDuration::from_hours(24);
            let (until, ended) = if is_over {
                (now, Some(now))
            } else {
                (now + day, None)
            };
            let notice = json!({"since": now - day, "until": until, "ended": ended});
            let notices = json!({"version": 1, "organisation": notice});
            put("leaving.json", notices.to_string().as_bytes());
        }
        Also::Policy(code) => {
            let finding = FindingSeen {
                code: code.as_str().to_owned(),
                name: format!("_there.{}", row.domain()),
                servers: Vec::new(),
                seen: String::new(),
                expected: "what belongs there".to_owned(),
                since: now,
            };
            let sighting = DomainSighting {
                checked: now,
                spf: None,
                dmarc: None,
                dmarc_owner: None,
                is_under_parked: false,
                apart: BTreeSet::new(),
                below: BTreeMap::new(),
                findings: vec![finding],
            };
            seen.domains.insert(row.domain(), sighting);
        }
        Also::Held(code) => {
            let held = Held::of(code.as_str(), now);
            write_climbing(
                keystore,
                row,
                &Climbing::of(Action::Ask.as_str(), &[held], now),
            );
        }
        Also::Advised(action) => {
            write_climbing(keystore, row, &Climbing::of(action.as_str(), &[], now));
        }
        Also::StrangeKey => {
            let key = StrangeKey::of(row.domain().as_str(), now);
            let found = SendersOf {
                unknown_selectors: vec![key],
                ..found_in_reports(now)
            };
            write_senders(keystore, row, found);
        }
        Also::Replay => {
            let found = SendersOf {
                replays: vec![ReplaySeen::of("s0", jiff::civil::date(2026, 3, 2), now)],
                ..found_in_reports(now)
            };
            write_senders(keystore, row, found);
        }
        Also::InItsOwnZone => seen.leads.push(Lead {
            selector: "s0".parse().unwrap(),
            domain: row.domain(),
            is_ours: false,
        }),
    }
    put("keyring.json", json.to_string().as_bytes());
    let id = row.id.parse().unwrap();
    keystore.keep_sightings(&id, &seen).unwrap();
}

/// As the keeper found it in reports.
fn write_climbing(keystore: &Keystore, row: &Row, climbing: &Climbing) {
    let found = SendersOf {
        climbing: Some(climbing.clone()),
        ..found_in_reports(climbing.acting_since)
    };
    write_senders(keystore, row, found);
}

/// Nothing that somebody should look at.
fn found_in_reports(now: Timestamp) -> SendersOf {
    let day = now.to_zoned(jiff::tz::TimeZone::UTC).date();
    SendersOf {
        found: now,
        from: day,
        to: day,
        reports: 1,
        streams: Vec::new(),
        others: 0,
        other_messages: 0,
        selectors: Vec::new(),
        coverage: None,
        unknown_selectors: Vec::new(),
        replays: Vec::new(),
        climbing: None,
        names_below: BTreeSet::new(),
    }
}

fn write_senders(keystore: &Keystore, row: &Row, found: SendersOf) {
    let senders = Senders {
        domains: [(row.domain(), found)].into(),
    };
    let id = row.id.parse().unwrap();
    keystore.keep_senders(&id, &senders).unwrap();
}

/// As the keeper counts: of today, mail for which there was no key.
fn write_counts(keystore: &Keystore, id: &str, now: Timestamp) {
    let day = now.to_zoned(jiff::tz::TimeZone::UTC).date();
    let counts = json!({
        "version": 1, "day": day, "until": now, "signers": {},
        "organisations": {id: {"unsigned": {"awaiting_key": 1}}},
    });
    let counts = counts.to_string();
    keystore
        .write_counts(day, counts.as_bytes(), day, 50)
        .unwrap();
}

/// The lines of a table that are about this organisation, by words.
fn lines_of<'a>(table: &'a str, place: usize, id: &str) -> Vec<Vec<&'a str>> {
    let lines = table.lines().map(|line| line.split_whitespace().collect());
    let lines = lines.filter(|words: &Vec<&str>| words.get(place) == Some(&id));
    lines.collect()
}

/// What is read on a page, without its marks.
fn text_of(html: &str) -> String {
    let mut text = String::new();
    for piece in html.split('<') {
        text += piece.split_once('>').map_or(piece, |(_, text)| text);
    }
    let marks = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&amp;", "&"),
    ];
    marks
        .into_iter()
        .fold(text, |text, (mark, sign)| text.replace(mark, sign))
}

/// As it is read where what is typed is set otherwise.
fn unquoted(sentence: &str) -> String {
    sentence.replace('`', "")
}

/// By itself in the words of the judgement: of a domain, or of a key in it.
fn level_of(told: &Told, domain: &DomainName, selector: Option<&str>) -> Level {
    let told = serde_json::to_value(told).unwrap();
    let matters = told["matters"].as_array().unwrap().iter();
    let is_its = |matter: &&Value| match selector {
        Some(selector) => matter["domain"] == domain.as_str() && matter["selector"] == selector,
        None => matter["domain"].is_null() || matter["domain"] == domain.as_str(),
    };
    let levels = matters.filter(is_its).map(|one| one["level"].as_str());
    let levels = levels.map(|one| Level::named(one.unwrap()).unwrap());
    levels.min().unwrap_or_default()
}

#[test]
fn every_kind_has_its_row() {
    let world = World::new();
    let find = |id: &str| {
        let mut rows = world.rows.iter();
        rows.find(|row| row.id == id)
            .unwrap_or_else(|| panic!("there is no row {id}"))
    };
    for row in &world.rows {
        let told = world.told(row);
        let worst = told.matters.first().map_or("", |one| one.what.as_str());
        match row.stands {
            Some(stands) => assert_eq!((told.level, worst), stands, "{}", row.id),
            None => assert!(matches!(told.level, Level::Act | Level::Well), "{}", row.id),
        }
    }
    for level in Level::ALL {
        assert_eq!(world.told(find(rows::of_level(level))).level, level);
    }
    let loaded = world.loaded();
    let judge = Judge::new(&loaded, Some(&world.report.status.figures)).unwrap();
    for organisation in &loaded.organisations {
        for matter in &judge.judge(organisation).matters {
            let row = find(&rows::of_fact(&matter.fact));
            let told = world.told(row);
            let mut kinds = told.matters.iter();
            let is_there = kinds.any(|one| one.what == matter.fact.as_str());
            // How a key stands that is not in use depends on what else the row has.
            let is_step = matches!(matter.fact, crate::judgement::Fact::Step(_));
            assert!(is_there || is_step, "{}: {:?}", row.id, matter.fact);
        }
    }
    for what in What::each() {
        let row = find(rows::of_step(&what));
        let steps = steps_of(&world, &loaded, row);
        let mut steps = steps.iter().map(|(_, what, _)| *what);
        assert!(steps.any(|one| one == what.as_str()), "{}", row.id);
    }
}

/// What comes next for the keys of a row, and what that is for a DNS administrator.
fn steps_of(
    world: &World,
    loaded: &Loaded,
    row: &Row,
) -> Vec<(String, &'static str, Option<Task>)> {
    let organisation = organisation_of(loaded, row);
    let Ok(keyring) = world.keystore.read_keyring(&organisation.id) else {
        return Vec::new();
    };
    let sightings = world.keystore.sightings(&organisation.id).unwrap();
    let timing = loaded.settings.timing();
    let away = loaded.claims().away(organisation, &keyring);
    let situation = situation(organisation, &keyring, &away, &timing).seen(&sightings.leads);
    let domain = row.domain();
    let steps = keyring.keys().iter().map(|entry| {
        let step = situation.next_step(entry, &domain);
        (entry.selector.to_string(), step.what.as_str(), step.task)
    });
    steps.collect()
}

fn organisation_of<'a>(loaded: &'a Loaded, row: &Row) -> &'a Organisation {
    let mut organisations = loaded.organisations.iter();
    let found = organisations.find(|one| one.id.as_str() == row.id);
    found.unwrap()
}

#[test]
fn the_page_and_the_numbers_say_it() {
    let world = World::new();
    let mut numbers = BTreeMap::new();
    for row in &world.rows {
        let told = world.told(row);
        *numbers.entry(told.level).or_insert(0) += 1;
        let id = &row.id;
        let list = world.page.answer("/", &format!("q={id}")).body;
        let href = format!("href=\"/org/{id}\"");
        let line = list.split("<tr").find(|line| line.contains(&href)).unwrap();
        assert_eq!(
            line.contains("class=\"level"),
            told.level != Level::Well,
            "{id}"
        );
        if let Some(worst) = told.matters.first() {
            assert!(
                line.contains(&format!("class=\"level {}\"", told.level)),
                "{id}"
            );
            let text = text_of(line);
            assert!(text.contains(&unquoted(&worst.text.en)), "{id}: {text}");
        }
        for said_in in [Language::English, Language::Dutch] {
            let query = format!("lang={said_in}");
            let page = world.page.answer(&format!("/org/{id}"), &query).body;
            let (_, part) = page.split_once("id=\"standing\"").unwrap();
            let part = part.split("<section").next().unwrap();
            let levels = part.matches("class=\"level ").count();
            assert_eq!(levels, told.matters.len().max(1), "{id}");
            assert!(
                part.contains(&format!("class=\"level {}\"", told.level)),
                "{id}"
            );
            let text = text_of(part);
            for matter in &told.matters {
                // The language of the page is English, whichever one the records are in.
                assert!(text.contains(&unquoted(&matter.text.en)), "{id}: {text}");
            }
        }
    }
    world.page.count_levels();
    let metrics = world.metrics.render().unwrap();
    for level in Level::ALL {
        let number = numbers.get(&level).copied().unwrap_or(0);
        let line = format!("organisations_by_level{{level=\"{level}\"}} {number}\n");
        assert!(metrics.contains(&line), "{line}: {metrics}");
    }
}

#[test]
fn status_and_top_say_it() {
    let world = World::new();
    let judged = world.judged();
    let status = live::status_printed(world.report.clone(), judged.clone());
    let mut report = world.report.clone();
    let rates = world.rows.iter().map(|row| Rates {
        id: row.id.clone(),
        ..Rates::default()
    });
    report.status.top = Some(Top {
        organisations: rates.collect(),
        ..Top::default()
    });
    let top = live::top_printed(&report);
    for row in &world.rows {
        let (id, told) = (&row.id, world.told(row));
        let here = serde_json::to_value(&judged[id]).unwrap();
        assert_eq!(here, serde_json::to_value(&told).unwrap(), "{id}");
        for (name, table) in [("status", &status), ("top", &top)] {
            let lines = lines_of(table, 0, id);
            assert_eq!(lines.len(), 1, "{name} {id}");
            assert_eq!(lines[0][1], told.level.as_str(), "{name} {id}");
        }
        let asks = status
            .lines()
            .find(|line| line.starts_with(&format!("- {id}: ")));
        assert_eq!(asks.is_some(), told.level <= Level::Act, "{id}");
        if let Some(line) = asks {
            let expected = format!("- {id}: {}: {}", told.level, told.matters[0].text.en);
            assert!(line.starts_with(&expected), "{line}");
        }
    }
}

#[test]
fn lists_and_checks_say_it() {
    let world = World::new();
    let loaded = world.loaded();
    let figures = &world.report.status.figures;
    let list = key::list_printed(&loaded, &world.keystore, figures);
    let dns = dns::check_printed(&loaded, &world.keystore, figures);
    let (said, checked) = check::printed(world.loaded(), figures.clone());
    let built = Snapshot::build(world.loaded(), &world.keystore, &Metrics::new(), None).unwrap();
    for row in &world.rows {
        let (id, told) = (&row.id, world.told(row));
        let organisation = organisation_of(&loaded, row);
        for domain in &organisation.domains {
            let level = level_of(&told, domain, None);
            let find = |table, place| {
                let mut lines = lines_of(table, place, id).into_iter();
                lines.find(|words| words.contains(&domain.as_str()))
            };
            let words = find(&checked, 0).unwrap();
            assert!(words.contains(&level.as_str()), "check {id}: {words:?}");
            let words = find(&dns, 1);
            let shown = words.map_or(Level::Well.as_str(), |words| words[0]);
            assert_eq!(shown, level.as_str(), "dns check {id}");
            let explained = explain::stands(&built, organisation, (domain, figures));
            assert_eq!(explained, level, "explain {id}");
        }
        for matter in told.matters.iter().filter(|one| one.level.is_urgent()) {
            let line = format!("{id}: {}: {}", matter.level, matter.text.en);
            assert!(said.contains(&line), "check {id}: {said}");
        }
        if matches!(row.also, Also::NoticeBroken) {
            let line = format!("{id}: {}", told.matters[0].text.en);
            assert!(said.contains(&line), "check {id}: {said}");
        }
        for words in lines_of(&list, 0, id) {
            let domain: DomainName = words.iter().find_map(|word| word.parse().ok()).unwrap();
            let domain = if domain == row.domain() {
                domain
            } else {
                row.domain()
            };
            let level = match row.also {
                // Nobody sees how it stands but who looks for its file.
                Also::KeyGone => told.level,
                _ => level_of(&told, &domain, Some(words[1])),
            };
            assert!(words.contains(&level.as_str()), "key list {id}: {words:?}");
        }
    }
}

#[test]
fn the_pack_asks_for_what_comes_next() {
    let world = World::new();
    let loaded = world.loaded();
    for row in &world.rows {
        let id = &row.id;
        let answer = world.page.answer(&format!("/org/{id}/records.json"), "");
        if matches!(row.also, Also::KeyringBroken) {
            assert!(!answer.found, "{id}");
            continue;
        }
        let lacks_target = row.stands.is_some_and(|(_, what)| what == rows::NO_TARGET);
        if lacks_target && !answer.found {
            // There is no record to ask for as long as nobody knows where it leads.
            assert!(answer.body.contains("does not say to where"), "{id}");
            continue;
        }
        assert!(answer.found, "{id}: {}", answer.body);
        let pack: Value = serde_json::from_str(&answer.body).unwrap();
        let domains = pack["domains"].as_array().unwrap();
        let domain = domains
            .iter()
            .find(|one| one["domain"] == row.domain().as_str());
        for (selector, what, task) in steps_of(&world, &loaded, row) {
            let keys = domain.and_then(|domain| domain["keys"].as_array());
            let mut keys = keys.into_iter().flatten();
            let key = keys.find(|key| key["selector"] == selector.as_str());
            let asked = key.and_then(|key| key["task"].as_str());
            let is_parked = domain.is_some_and(|domain| domain["parked"] == true);
            // There it names only what is to go.
            let expected = task.filter(|_| !is_parked).map(Task::as_str);
            let removed = domain.map(|domain| domain["remove"].to_string());
            let is_removed = removed.is_some_and(|names| names.contains(&selector));
            assert!(!is_removed || task != Some(Task::Keep), "{id} {selector}");
            assert_eq!(asked, expected, "{id} {selector} {what}: {}", answer.body);
        }
    }
}
