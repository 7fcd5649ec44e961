//! From what reports prove, and what is published, to the next record: nobody goes up with a hold
//! or leaves a rung out, nobody steps back unless mail is lost, and every record is one that our
//! own parser and the grammar of internet.nl take.
//!
//! Input: lines. `row`: the day, the From domain, the reporter, the flags, the network, the
//! messages, and what the row is known by, with `;` for the ends of lines. `policy`: the day, the
//! reporter, and tags. `name`: a stream and its class. `record`: a text in the DNS. `none`, of a
//! name below that is not there. `parked`.
#![no_main]

use std::collections::{BTreeMap, BTreeSet};

use libfuzzer_sys::fuzz_target;
use zegel::{
    dmarc::{DmarcRecord, tags},
    evidence::{
        identity::KnownBy,
        streams::{Class, Evidence, Line, Name, Policy, Window, streams},
    },
    ladder::{
        Action, Rung, Standing, Subject, Thresholds, advise, facts::Facts, record::Published,
    },
};

const DOMAIN: &str = "voorbeeld.nl";
const TODAY: i32 = 20_500;
const KNOWN: [&str; 12] = [
    "v", "p", "sp", "np", "adkim", "aspf", "t", "pct", "rua", "ruf", "fo", "psd",
];

#[derive(Default)]
struct Input {
    evidence: Evidence,
    policies: Vec<Policy>,
    records: Vec<String>,
    missing: BTreeSet<String>,
    parked: bool,
}

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let input = Input::read(text);
    let ours = BTreeSet::from([(DOMAIN.to_owned(), "s1".to_owned())]);
    let relays = ["192.0.2.1".parse().expect("an address")];
    let window = Window {
        from: TODAY - 3_650,
        to: TODAY,
    };
    let sorted = streams(DOMAIN, &input.evidence, &ours, &relays, window, |_| true);
    let rows = input.evidence.lines.iter();
    let rows: u64 = rows
        .filter(|line| window.from <= line.day && line.day <= window.to)
        .map(|line| line.messages)
        .sum();
    assert_eq!(sorted.iter().map(|one| one.messages).sum::<u64>(), rows);
    let mut facts = Facts::new(&input.evidence, sorted, input.policies, TODAY);
    facts.nonexistent = Some(input.missing);
    let published = Published::new(&input.records);
    let subject = Subject {
        parked: input.parked,
        published: Some(&published),
        reports: Some("dmarc@relay.example"),
    };
    let thresholds = Thresholds::default();
    let standing = advise(&facts, subject, &thresholds);
    judge(&standing, input.parked);
    // Whoever publishes it is not asked for it again.
    let record = standing.advice.record.clone().expect("a record");
    let published = Published::new(std::slice::from_ref(&record));
    let done = Subject {
        published: Some(&published),
        ..subject
    };
    let again = advise(&facts, done, &thresholds);
    judge(&again, input.parked);
    let is_same = again.advice.record == Some(record);
    assert!(!is_same || again.advice.action != Action::Publish);
});

fn judge(standing: &Standing, parked: bool) {
    let record = standing.advice.record.as_deref().expect("a record");
    assert!(is_taken(record), "{record}");
    let step = standing.advice.step;
    if parked {
        assert_eq!(step, Rung::Reject);
        return;
    }
    let rung = standing.step.unwrap_or(Rung::None);
    assert!(step <= rung || Some(step) == rung.next());
    if step > rung {
        let mut holds = standing.holds.iter();
        assert!(!holds.any(|hold| hold.code.is_against(step)));
        assert!(standing.lost.is_empty());
    }
    assert_eq!(
        standing.advice.action == Action::StepBack,
        !standing.lost.is_empty()
    );
}

/// What internet.nl takes: known tags, each once, the version and the policy first.
fn is_taken(record: &str) -> bool {
    let Ok(tags) = tags(record) else {
        return false;
    };
    let names: Vec<&str> = tags.iter().map(|(name, _)| name.as_str()).collect();
    let once: BTreeSet<&&str> = names.iter().collect();
    record.starts_with("v=DMARC1; p=")
        && once.len() == names.len()
        && names.iter().all(|name| KNOWN.contains(name))
        && record.bytes().all(|octet| (0x20..0x7f).contains(&octet))
        && DmarcRecord::parse(record).is_ok()
}

impl Input {
    fn read(text: &str) -> Self {
        let mut input = Self::default();
        for line in text.lines().take(200) {
            let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
            match kind {
                "row" => drop(input.row(rest)),
                "policy" => drop(input.policy(rest)),
                "name" => drop(input.name(rest)),
                "record" => input.records.push(rest.to_owned()),
                "none" => drop(input.missing.insert(rest.to_owned())),
                "parked" => input.parked = true,
                _ => {}
            }
        }
        input
    }

    fn row(&mut self, rest: &str) -> Option<()> {
        let mut words = rest.splitn(7, ' ');
        let day = day(words.next()?)?;
        let from = words.next()?.to_owned();
        let reporter = words.next()?.to_owned();
        let flags = words.next()?.parse().ok()?;
        let network = match words.next()? {
            "-" => String::new(),
            network => network.to_owned(),
        };
        // What reports can say: sums stay far below the largest number.
        let messages: u32 = words.next()?.parse().ok()?;
        let known_by = words.next().unwrap_or_default().replace(';', "\n");
        self.evidence.identities.push(KnownBy::read(&known_by));
        self.evidence.lines.push(Line {
            day,
            from,
            reporter,
            identity: self.evidence.identities.len() - 1,
            flags,
            network,
            messages: u64::from(messages),
        });
        Some(())
    }

    fn policy(&mut self, rest: &str) -> Option<()> {
        let mut words = rest.split(' ');
        let day = day(words.next()?)?;
        let reporter = Some(words.next()?).filter(|name| *name != "-");
        let tags: BTreeMap<String, String> = words
            .filter_map(|tag| tag.split_once('='))
            .map(|(tag, value)| (tag.to_owned(), value.to_owned()))
            .collect();
        self.policies.push(Policy {
            day,
            tags,
            reports: 1,
            reporter: reporter.map(str::to_owned),
        });
        Some(())
    }

    fn name(&mut self, rest: &str) -> Option<()> {
        let (stream, class) = rest.rsplit_once(' ')?;
        let class = Class::ALL.into_iter().find(|one| one.as_str() == class)?;
        if matches!(class, Class::Ours | Class::Unknown) {
            return None;
        }
        let name = Name {
            class,
            label: None,
            owner: None,
            networks: BTreeSet::new(),
        };
        self.evidence.names.insert(stream.to_owned(), name);
        Some(())
    }
}

/// So many days ago.
fn day(word: &str) -> Option<i32> {
    let ago: u16 = word.parse().ok()?;
    Some(TODAY - i32::from(ago))
}
