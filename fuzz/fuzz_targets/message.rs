//! A message on its way to the signature, as the milter and `zegel sign` take it: decided,
//! canonicalised, signed, and verified by the rules as they are written.
//!
//! Input: how it is signed, who sends it, the number of lengths, the lengths of the chunks of
//! the body, the message.
#![no_main]

use std::{net::IpAddr, sync::LazyLock};

use libfuzzer_sys::fuzz_target;
use zegel::{
    config::{Outbound, SigningSettings},
    dkim::{
        Canonicalisation, CanonicalisationPair, HeaderSection, LeadingSpace, Message, NEVER_SIGNED,
        ParsedSignature, SignatureField,
    },
    organisation::{Action, Client, Policy, Refusal},
    signer::{Body, Circumstances, Signed, Work, decide},
    snapshot::Snapshot,
};
use zegel_fuzz::{canonical, from, input, verify, world};

const NOW: u64 = 1_600_000_000;

static SNAPSHOT: LazyLock<Snapshot> = LazyLock::new(world::snapshot);
static SETTINGS: LazyLock<[SigningSettings; 2]> = LazyLock::new(world::signing_settings);

fuzz_target!(|input: &[u8]| {
    let mut rest = input;
    let (how, who) = (input::octet(&mut rest), input::octet(&mut rest));
    let lengths = usize::from(input::octet(&mut rest) % 8);
    let (lengths, bytes) = rest.split_at(lengths.min(rest.len()));
    let Ok(message) = Message::parse(bytes) else {
        return;
    };
    check_canonical_form(&message.header);

    let login = [None, Some("crm"), Some("other")][usize::from(who % 3)];
    let client: IpAddr = [[10, 1, 2, 3], [192, 0, 2, 1]][usize::from(who >> 7)].into();
    let circumstances = Circumstances {
        listener: "relay",
        outbound: &Outbound::All,
        login,
        client: Client::At(client),
        header_is_whole: who & 64 == 0,
    };
    let decision = decide(&SNAPSHOT, &message.header, &circumstances).read_keys();
    if decision.verdict.is_err() {
        return;
    }
    let author = decision.author.as_ref().expect("it is signed for someone");
    check_decision(&message.header, author.as_str(), &circumstances);

    let which = |bit: u8| match how & bit {
        0 => Canonicalisation::Relaxed,
        _ => Canonicalisation::Simple,
    };
    let canonicalisation = CanonicalisationPair {
        header: which(1),
        body: which(2),
    };
    let policy = Policy {
        hazard: [Action::Accept, Action::Tempfail][usize::from(how >> 7)],
        ..Policy::default()
    };
    let work = Work::new(&decision, &SNAPSHOT, &message.header, canonicalisation, NOW);
    let work = Work {
        rules: &SETTINGS[usize::from(how >> 2 & 1)],
        policy: &policy,
        ..work.expect("it was decided to sign")
    };
    let sign = |work: &Work<'_>| {
        let mut passing = Body::new(canonicalisation);
        for chunk in input::chunks(message.body, lengths) {
            passing.update(chunk);
        }
        work.sign(passing)
    };
    match sign(&work) {
        Err(refused) => match refused.refusal {
            Refusal::AlreadySigned => {
                assert!(is_signed(&work, message.body), "by nobody");
            }
            Refusal::Hazard => {
                assert!(policy.hazard != Action::Accept && !refused.hazards.is_empty());
            }
            other => panic!("{other:?} with good keys"),
        },
        Ok(signed) => {
            assert!(policy.hazard == Action::Accept || signed.hazards.is_empty());
            let header = check_signed(&work, &signed, bytes);
            let again = Work {
                header: &header,
                ..work
            };
            let refused = sign(&again).expect_err("it is signed already");
            assert_eq!(refused.refusal, Refusal::AlreadySigned);
        }
    }
});

/// Each field as the rules have it, and the same whether folds come as LF or as CRLF.
fn check_canonical_form(header: &HeaderSection) {
    for field in header.fields() {
        for canonicalisation in [Canonicalisation::Simple, Canonicalisation::Relaxed] {
            let mut output = Vec::new();
            canonicalisation.header_field(field.name, field.value, &mut output);
            let expected = canonical::field(canonicalisation, field.name, field.value);
            assert_eq!(output, expected, "{canonicalisation}");
        }
        let mut pushed = HeaderSection::default();
        let value = String::from_utf8_lossy(field.value).replace('\r', "");
        pushed.push(field.name, value.as_bytes());
        let mut again = HeaderSection::default();
        again.push(field.name, value.replace('\n', "\r\n").as_bytes());
        assert!(pushed.fields().eq(again.fields()));
    }
}

/// A field name without the blanks that may stand before the colon: SP and TAB, no line end.
fn without_blanks(name: &[u8]) -> &[u8] {
    match name {
        [rest @ .., b' ' | b'\t'] => without_blanks(rest),
        name => name,
    }
}

/// Only for the domain in plain sight, and only for those who may.
fn check_decision(header: &HeaderSection, author: &str, of: &Circumstances<'_>) {
    let is_from = |name: &[u8]| without_blanks(name).eq_ignore_ascii_case(b"from");
    let mut fields = header.fields().filter(|field| is_from(field.name));
    let field = fields.next().expect("there is a From field");
    assert!(fields.next().is_none(), "there are two From fields");
    let seen = from::domain(field.value).expect("the From field has a domain");
    assert_eq!(seen.as_str(), author);
    assert!(of.header_is_whole);
    match author {
        world::OPEN => {}
        world::BOUND => {
            let address = of.client.address().expect("there is a client").to_string();
            assert!(of.login == Some("crm") || address.starts_with("10."));
        }
        other => panic!("{other} has no key in use"),
    }
}

/// Whether a key of the author has signed this message before.
fn is_signed(work: &Work<'_>, body: &[u8]) -> bool {
    (0..work.header.len()).any(|place| {
        let verifies = |key: &std::sync::Arc<zegel::snapshot::ActiveKey>| {
            let key = key.signing_key.public_key();
            verify::holds(work.header, place, body, key) == Some(true)
        };
        work.keys.iter().any(verifies)
    })
}

/// What is sent verifies, field by field; returns its header section.
fn check_signed(work: &Work<'_>, signed: &Signed, bytes: &[u8]) -> HeaderSection {
    assert_eq!(signed.fields.len(), work.keys.len());
    let lines = signed.fields.iter().map(SignatureField::line);
    let sent = [lines.collect::<String>().as_bytes(), bytes].concat();
    let sent = Message::parse(&sent).expect("a message stays a message");
    assert_eq!(sent.header.len(), signed.fields.len() + work.header.len());
    for (place, (field, key)) in signed.fields.iter().zip(work.keys).enumerate() {
        check_form(work, field);
        let public = key.signing_key.public_key();
        let holds = verify::holds(&sent.header, place, sent.body, public);
        assert_eq!(holds, Some(true), "{}", field.line());

        let shown = sent.header.fields().nth(place).expect("it was put there");
        let parsed = ParsedSignature::parse(shown.name, shown.value).expect("what we write");
        assert_eq!(parsed.domain, *work.author);
        assert_eq!(parsed.selector, key.selector);
        let mut hasher = parsed.body_hasher();
        hasher.update(sent.body);
        let verified = parsed.verify(&sent.header, &hasher.finish(), public, NOW);
        assert_eq!(verified, Ok(()), "{}", field.line());
    }
    sent.header
}

/// The field as it goes over the wire, and what it lists.
fn check_form(work: &Work<'_>, field: &SignatureField) {
    let value = field.value();
    assert!(value.is_ascii() && value.starts_with(' '), "{value:?}");
    let longest = value.split("\r\n").map(str::len).max().unwrap_or_default();
    assert!(longest + "DKIM-Signature:".len() <= 998, "{value:?}");
    let bare = value.replace("\r\n\t", "");
    assert!(!bare.contains(char::is_control), "{value:?}");
    let ours = field.milter_value(LeadingSpace::Ours);
    assert_eq!(ours.replace('\n', "\r\n"), value);
    let theirs = field.milter_value(LeadingSpace::AddedByMta);
    assert_eq!(format!(" {theirs}"), ours);

    assert_eq!(verify::tag(value, "l"), None);
    assert_eq!(verify::tag(value, "d"), Some(work.author.as_str()));
    let names = verify::tag(value, "h")
        .expect("it lists fields")
        .to_ascii_lowercase();
    let names: Vec<&str> = names.split(':').map(str::trim).collect();
    let listed = |name: &str| names.iter().filter(|listed| **listed == name).count();
    let present = |name: &str| {
        let is_it = |own: &[u8]| without_blanks(own).eq_ignore_ascii_case(name.as_bytes());
        work.header
            .fields()
            .filter(|field| is_it(field.name))
            .count()
    };
    assert!(listed("from") >= 1);
    for never in NEVER_SIGNED {
        assert_eq!(listed(never), 0, "{never}");
    }
    for name in &work.rules.headers.oversign {
        assert_eq!(listed(name.as_str()), present(name.as_str()) + 1, "{name}");
    }
}
