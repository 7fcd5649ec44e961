//! Texts from the DNS of strangers: key records, SPF and DMARC, and what is said of them.
//!
//! Input: a form (0: TXT records with a NUL between them, with the octet 1 between the
//! strings of one; else the key of a record), and that.
#![no_main]

use std::{collections::BTreeSet, sync::LazyLock, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use libfuzzer_sys::fuzz_target;
use zegel::{
    dkim::{Algorithm, PublicKey, SigningKey, record::Record},
    dmarc::DmarcRecord,
    dns::{
        Delegation, DnsError, Finding, Link, MailPolicy, Observation, Outcome, RelayPart,
        ServerAnswer, SpfVerdict, Text, ZoneSeen, judge, judge_parked, judge_sending,
        judge_unknown,
    },
    keys::Sight,
    words::Language,
};
use zegel_fuzz::input;

const NAME: &str = "s1._domainkey.voorbeeld.example";
const DOMAIN: &str = "voorbeeld.example";

static OURS: LazyLock<PublicKey> = LazyLock::new(|| {
    let pem = include_bytes!("../../tests/fixtures/keys/unsafe-rfc8463-v1.pem");
    let key = SigningKey::from_pem(pem).expect("a key of the tests");
    key.public_key().clone()
});

fuzz_target!(|input: &[u8]| {
    let mut rest = input;
    match input::octet(&mut rest) {
        0 => {
            let texts: Vec<Text> = rest.split(|&octet| octet == 0).map(text).collect();
            check_keys(&texts);
            check_policies(&texts);
        }
        form => {
            let key_type = ["rsa", "ed25519"][usize::from(form % 2)];
            check_record(&format!(
                "v=DKIM1; k={key_type}; p={}",
                STANDARD.encode(rest)
            ));
        }
    }
});

fn text(octets: &[u8]) -> Text {
    Text(
        octets
            .split(|&octet| octet == 1)
            .map(<[u8]>::to_vec)
            .collect(),
    )
}

/// What is a record for us says the same when we write it.
fn check_record(text: &str) {
    let Ok(record) = Record::parse(text) else {
        return;
    };
    let key = &record.public_key;
    assert_eq!(PublicKey::from_record(&key.record()).as_ref(), Ok(key));
    assert_eq!(key.fingerprint().to_string().parse(), Ok(key.fingerprint()));
    assert!(key.algorithm() == Algorithm::Ed25519Sha256 || key.bits() >= 1024);
}

/// Our key is seen when there is one record and our key stands in it, and never else.
fn check_keys(texts: &[Text]) {
    let answer = |server: &str, outcome| ServerAnswer {
        server: server.to_owned(),
        address: Some([192, 0, 2, 1].into()),
        outcome,
    };
    let ttl = Duration::from_hours(1);
    let shown = || Outcome::Texts {
        texts: texts.to_vec(),
        ttl,
    };
    let whole: Vec<String> = texts.iter().map(Text::joined).collect();
    for text in &whole {
        check_record(text);
    }
    let observation = Observation {
        name: NAME.to_owned(),
        links: vec![Link {
            name: NAME.to_owned(),
            zone: Ok(ZoneSeen {
                apex: DOMAIN.to_owned(),
                negative_ttl: ttl,
                delegation: Delegation::Agrees,
            }),
            answers: vec![
                answer("ns1.example", shown()),
                answer("ns2.example", shown()),
            ],
        }],
        endless: false,
        resolvers: Vec::new(),
        other_types: Vec::new(),
        doubled: None,
    };
    let (sight, findings) = judge(&observation, &OURS);
    check_findings(&findings);
    check_findings(&judge_unknown(&observation));
    if let Sight::Everywhere { .. } = sight {
        let [text] = &whole[..] else {
            panic!("seen in {} records", whole.len());
        };
        let record = OURS.record();
        let (_, key) = record.rsplit_once('=').map_or(("", ""), |_| {
            record.split_once("p=").expect("a record has p=")
        });
        let without_blanks: String = text.split_ascii_whitespace().collect();
        assert!(without_blanks.contains(&format!("p={key}")), "{text:?}");
    } else {
        assert!(whole != [OURS.record()], "not seen: {sight:?}");
    }
}

/// Both judges, with the texts as SPF and as DMARC.
fn check_policies(texts: &[Text]) {
    let texts: Vec<String> = texts.iter().map(Text::joined).collect();
    let (spf, dmarc) = texts.split_at(texts.len() / 2);
    let records = dmarc
        .iter()
        .filter_map(|text| DmarcRecord::parse(text).ok());
    // As the round that asks the DNS takes them from the record.
    let targets: BTreeSet<String> = records
        .flat_map(|record| record.reports)
        .filter_map(|address| {
            let mailbox = address.strip_prefix("mailto:")?;
            let (_, domain) = mailbox.split('!').next()?.rsplit_once('@')?;
            Some(domain.to_ascii_lowercase())
        })
        .collect();
    for (number, verdict) in [SpfVerdict::Pass, SpfVerdict::NotAllowed, SpfVerdict::Broken]
        .into_iter()
        .enumerate()
    {
        let policy = MailPolicy {
            domain: DOMAIN.to_owned(),
            spf: Ok(spf.to_vec()),
            relays: vec![([192, 0, 2, 25].into(), verdict)],
            dmarc: match (dmarc, number) {
                (_, 2) => Err(DnsError::Failure(dmarc.concat())),
                ([], _) => Ok(None),
                _ => Ok(Some((DOMAIN.to_owned(), dmarc.to_vec()))),
            },
            report_targets: targets
                .iter()
                .map(|name| (name.clone(), Ok(false)))
                .collect(),
            mx: Ok(spf.to_vec()),
            has_keys: Ok(number == 0),
        };
        let part = RelayPart {
            terms: None,
            addresses: vec![[192, 0, 2, 25].into()],
        };
        check_findings(&judge_sending(&policy, &part));
        for has_to_wait in [false, true] {
            check_findings(&judge_parked(&policy, has_to_wait));
        }
    }
}

/// What goes to a terminal, a log or a page says something and does no harm.
fn check_findings(findings: &[Finding]) {
    for finding in findings {
        for language in [Language::English, Language::Dutch] {
            let advice = finding.advice(language);
            assert!(!advice.is_empty());
            for text in [&advice, &finding.seen, &finding.expected, &finding.name] {
                assert!(!text.contains(char::is_control), "{finding:?}");
            }
        }
    }
}
