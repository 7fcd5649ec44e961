//! What Zegel signs verifies everywhere: in dkimpy, Mail::DKIM, OpenDKIM, mail-auth and in
//! Zegel; and what is changed on the way verifies nowhere.
//!
//! The messages are random, but the same on every run. `ZEGEL_SEED=n` takes others, and
//! `ZEGEL_MESSAGES=n` takes more of them.

mod absent;
mod changes;
mod mail;
mod mail_auth;
mod random;
mod record_shapes;
mod record_texts;
mod signer;
#[path = "../support/standards.rs"]
mod standards;
#[path = "../support/verifiers.rs"]
mod verifiers;

use std::slice;

use zegel::dkim::{Canonicalisation, CanonicalisationPair, HeaderRules};

use changes::{Changed, harmful, harmless};
use mail::{Field, Mail, Shape, mail};
use random::Random;
use signer::{Choice, Keys, Order, Signed, TIME, sign};
use standards::verify;
use verifiers::{Records, Verdict, Verifier, verify_all};

#[test]
fn what_zegel_signs_verifies_everywhere() {
    let (seed, count) = (number("ZEGEL_SEED", 6376), number("ZEGEL_MESSAGES", 2_600));
    println!("ZEGEL_SEED={seed} ZEGEL_MESSAGES={count}");
    let keys = Keys::new();
    let mut random = Random::new(seed);
    let signed: Vec<Signed> = (0..count)
        .map(|index| message(&mut random, &keys, index))
        .collect();
    let mut failures = Vec::new();
    for (verifier, results) in verdicts(&signed, &keys.records()) {
        let pairs = signed.iter().zip(&results).enumerate();
        let failed = pairs.filter(|(_, (signed, verdicts))| {
            let expected = verifier != mail_auth::NAME || !mail_auth::misreads(signed);
            signed.passed(verdicts) != expected
        });
        failures.extend(
            failed.map(|(index, (_, verdicts))| (index, format!("{verifier}: {verdicts:?}"))),
        );
    }
    for (index, signed) in signed.iter().enumerate() {
        let verdicts = own_verdicts(&signed.bytes, &keys);
        let ours = verdicts.get(..signed.signatures.len());
        if !ours.is_some_and(|ours| ours.iter().all(|good| *good)) {
            failures.push((index, format!("Zegel: {verdicts:?}")));
        }
    }
    for (index, failure) in &failures {
        let path = format!("{}/message-{index}.eml", env!("CARGO_TARGET_TMPDIR"));
        std::fs::write(&path, &signed[*index].bytes).expect("target is writable");
        println!("{path}: {failure}");
    }
    assert!(
        failures.is_empty(),
        "{} failures with seed {seed}",
        failures.len()
    );
}

#[test]
fn what_is_changed_on_the_way_verifies_nowhere() {
    let keys = Keys::new();
    let changed = harmful(&keys);
    assert!(changed.len() > 300, "{}", changed.len());
    let wrong = all_verdicts(&keys, &changed)
        .filter(|(_, _, passed)| passed.is_empty() || passed.iter().any(|passed| *passed));
    assert_none(wrong);
}

#[test]
fn what_is_added_on_the_way_does_no_harm() {
    let keys = Keys::new();
    let changed = harmless(&keys);
    assert!(changed.len() > 100, "{}", changed.len());
    let wrong = all_verdicts(&keys, &changed).filter(|(verifier, changed, passed)| {
        let expected = *verifier != mail_auth::NAME || !mail_auth::misreads(&changed.signed);
        passed.len() != changed.signed.signatures.len() || passed.contains(&!expected)
    });
    assert_none(wrong);
}

/// What MTAs and lists add, and what is in no list by default, may still be added.
#[test]
fn what_shows_plain_mail_otherwise_cannot_be_added_to_it() {
    let keys = Keys::new();
    let added = absent::with_one_added(&keys);
    let signed: Vec<Signed> = added.iter().map(|(_, signed, _)| signed.clone()).collect();
    let mut wrong = Vec::new();
    for (verifier, results) in verdicts(&signed, &keys.records()) {
        for ((line, signed, breaks), verdicts) in added.iter().zip(results) {
            let passed = signed.passed(&verdicts);
            if passed == *breaks || verdicts.is_empty() {
                wrong.push(format!("{verifier}: {line:?}: {verdicts:?}"));
            }
        }
    }
    for (line, signed, breaks) in &added {
        if own_verdicts(&signed.bytes, &keys).contains(breaks) {
            wrong.push(format!("Zegel: {line:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The two faults for which [`mail_auth::misreads`] excuses it. When this fails, they are fixed,
/// and the excuse goes.
#[test]
fn mail_auth_gets_two_kinds_of_body_wrong() {
    let keys = Keys::new();
    let signed = |body: &str, method| {
        let mail = Mail {
            fields: vec![Field::new("From", " post@example.com")],
            body: body.as_bytes().to_vec(),
            separated: true,
        };
        let order = Order {
            keys: &keys,
            identity: &keys.identities[0],
            choice: Choice::Rsa,
            rules: &HeaderRules::default(),
            canonicalisation: CanonicalisationPair {
                header: Canonicalisation::Relaxed,
                body: method,
            },
        };
        sign(&mut Random::new(1), &mail, &order)
    };
    let verdict = |signed: &Signed| {
        let verdicts = mail_auth::verify_all(slice::from_ref(&signed.bytes), &keys.records());
        assert_eq!(own_verdicts(&signed.bytes, &keys), [true]);
        verdicts[0][0].passed
    };
    for (body, simple, relaxed) in [
        ("one  line \t\r\n\r\n", true, true),
        (" \tblank \r\n x\r\n", true, true),
        ("a line of blanks\r\n \t\r\n", true, false),
        ("the same, not the last\r\n \r\n\r\n", true, false),
        ("bare\rCR\r\n", false, false),
    ] {
        for (method, right) in [
            (Canonicalisation::Simple, simple),
            (Canonicalisation::Relaxed, relaxed),
        ] {
            let signed = signed(body, method);
            assert_eq!(verdict(&signed), right, "{body:?}, {method}");
            assert_eq!(mail_auth::misreads(&signed), !right, "{body:?}, {method}");
        }
    }
}

/// What each verifier, Zegel included, says of each signature of each message.
fn all_verdicts<'a>(
    keys: &Keys,
    changed: &'a [Changed],
) -> impl Iterator<Item = (&'static str, &'a Changed, Vec<bool>)> {
    let signed: Vec<Signed> = changed
        .iter()
        .map(|changed| changed.signed.clone())
        .collect();
    let mut results: Vec<(&str, Vec<Vec<bool>>)> = Vec::new();
    for (verifier, verdicts) in verdicts(&signed, &keys.records()) {
        let passed =
            |verdicts: Vec<Verdict>| verdicts.iter().map(|verdict| verdict.passed).collect();
        results.push((verifier, verdicts.into_iter().map(passed).collect()));
    }
    let own = signed
        .iter()
        .map(|signed| own_verdicts(&signed.bytes, keys))
        .collect();
    results.push(("Zegel", own));
    results.into_iter().flat_map(move |(name, results)| {
        let pairs = changed.iter().zip(results);
        pairs.map(move |(changed, passed)| (name, changed, passed))
    })
}

fn assert_none<'a>(wrong: impl Iterator<Item = (&'static str, &'a Changed, Vec<bool>)>) {
    let wrong: Vec<String> = wrong
        .map(|(name, changed, passed)| format!("{name}: {}: {passed:?}", changed.what))
        .collect();
    assert!(wrong.is_empty(), "wrong verdicts:\n{}", wrong.join("\n"));
}

/// One of the messages; what is rare has its turn by number.
fn message(random: &mut Random, keys: &Keys, index: u64) -> Signed {
    let shape = match index % 400 {
        11 => Shape::ManyFields,
        111 => Shape::ManyRecipients,
        211 => Shape::LongField,
        311 => Shape::LongBody,
        _ => Shape::Ordinary,
    };
    let identity = &keys.identities[random.below(keys.identities.len())];
    let mail = mail(random, shape, identity.domain.as_str());
    let mut rules = HeaderRules::default();
    if random.percent(20) {
        rules
            .sign
            .extend(["x-mailer", "x!#$%&'*+^_`{|}~"].map(|name| name.parse().expect("a name")));
        rules.sign.append(&mut rules.oversign);
    }
    let methods = [Canonicalisation::Simple, Canonicalisation::Relaxed];
    let canonicalisation = CanonicalisationPair {
        header: random.pick(&methods),
        body: random.pick(&methods),
    };
    let order = Order {
        keys,
        identity,
        choice: random.pick(&[Choice::Rsa, Choice::Ed25519, Choice::Both]),
        rules: &rules,
        canonicalisation,
    };
    sign(random, &mail, &order)
}

impl Signed {
    /// Whether all our signatures, which are on top, passed.
    fn passed(&self, verdicts: &[Verdict]) -> bool {
        verdicts.len() >= self.signatures.len()
            && self
                .signatures
                .iter()
                .zip(verdicts)
                .all(|((domain, selector), verdict)| {
                    verdict.passed && verdict.domain == *domain && verdict.selector == *selector
                })
    }
}

/// All verifiers but ours, at once.
fn verdicts(signed: &[Signed], records: &Records) -> Vec<(&'static str, Vec<Vec<Verdict>>)> {
    let messages: Vec<Vec<u8>> = signed.iter().map(|signed| signed.bytes.clone()).collect();
    let messages = &messages;
    std::thread::scope(|scope| {
        let running = Verifier::ALL.map(|verifier| {
            let verify = move || verify_all(verifier, messages, records);
            (verifier.name(), scope.spawn(verify))
        });
        let mail_auth = mail_auth::verify_all(messages, records);
        let others = running.map(|(name, thread)| (name, thread.join().expect("it runs")));
        others
            .into_iter()
            .chain([(mail_auth::NAME, mail_auth)])
            .collect()
    })
}

fn own_verdicts(message: &[u8], keys: &Keys) -> Vec<bool> {
    verify(message, TIME + 60, |signature| {
        keys.public_key(&signature.domain, &signature.selector)
    })
    .iter()
    .map(Result::is_ok)
    .collect()
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}
