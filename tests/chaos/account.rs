//! What became of each message: what was answered, and what arrived.

use std::collections::{BTreeMap, HashMap};
use std::iter::Sum;

use super::faults::Fault;
use super::support::signatures::PublicKeys;
use super::support::sink::Received;
use super::support::verifiers::{Verifier, verify_all};
use super::support::zegel::Zegel;
use super::traffic::{Answer, Attempt};

/// Signed messages of each row that dkimpy verifies too.
const SAMPLES: usize = 8;

/// The messages that were answered while one thing was done to the signer.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    name: &'static str,
    note: String,
    /// Attempts.
    sent: usize,
    taken: usize,
    put_off: usize,
    closed: usize,
    refused: usize,
    unknown: usize,
    given_up: usize,
    /// Of those that were taken.
    arrived: usize,
    /// Of those that arrived, with all signatures that they must have.
    signed: usize,
    /// Nobody's mail, and rightly without a signature.
    others: usize,
    /// They had to be signed and have no signature.
    unsigned: usize,
    /// They have another number of signatures, or some that do not verify.
    wrong: usize,
    /// Arrived more often than taken.
    doubled: usize,
    /// Taken and not arrived.
    lost: usize,
}

/// Matches attempts and arrivals.
pub(super) fn settle(
    attempts: &[Attempt],
    received: &[Received],
    zegel: &Zegel,
    faults: &[Fault],
    notes: Vec<String>,
) -> Vec<Row> {
    let keys = PublicKeys::of(&zegel.keystore());
    let mut rows: Vec<Row> = (faults.iter().zip(notes))
        .map(|(fault, note)| Row {
            name: fault.name(),
            note,
            ..Row::default()
        })
        .collect();
    let mut arrivals: HashMap<&str, Vec<&Received>> = HashMap::new();
    for one in received {
        let to = arrivals.entry(&one.recipients[0]).or_default();
        to.push(one);
    }
    let mut samples: BTreeMap<usize, Vec<Vec<u8>>> = BTreeMap::new();
    for attempt in attempts {
        let row = &mut rows[attempt.phase];
        row.sent += 1;
        row.given_up += usize::from(attempt.given_up);
        match attempt.answer {
            Answer::Taken => row.taken += 1,
            Answer::PutOff => row.put_off += 1,
            Answer::Closed => row.closed += 1,
            Answer::Refused => row.refused += 1,
            Answer::Unknown => row.unknown += 1,
        }
        if !matches!(attempt.answer, Answer::Taken | Answer::Unknown) {
            continue;
        }
        let came = arrivals.remove(attempt.to.as_str()).unwrap_or_default();
        match came.as_slice() {
            [] => row.lost += usize::from(attempt.answer == Answer::Taken),
            [_, more @ ..] => {
                row.arrived += 1;
                row.doubled += more.len();
            }
        }
        for message in came {
            let found = keys.verify(&message.bytes).map(|found| found.len());
            match (found, attempt.signatures) {
                (Ok(0), 0) => row.others += 1,
                (Ok(0), _) => row.unsigned += 1,
                (Ok(found), wanted) if found == wanted => {
                    row.signed += 1;
                    let samples = samples.entry(attempt.phase).or_default();
                    if samples.len() < SAMPLES {
                        samples.push(message.bytes.clone());
                    }
                }
                (Ok(_) | Err(_), _) => row.wrong += 1,
            }
        }
    }
    // What arrived though it was only put off or refused: it was, or will be, sent again.
    let last = rows.last_mut().expect("a row");
    last.doubled += arrivals.values().map(Vec::len).sum::<usize>();
    verify_samples(&samples.into_values().flatten().collect::<Vec<_>>(), zegel);
    rows
}

fn verify_samples(messages: &[Vec<u8>], zegel: &Zegel) {
    for verdicts in verify_all(Verifier::Dkimpy, messages, &zegel.records()) {
        let good = !verdicts.is_empty() && verdicts.iter().all(|verdict| verdict.passed);
        assert!(good, "dkimpy: {verdicts:?}");
    }
}

/// In Markdown.
pub(super) fn print_head() {
    println!(
        "| action | the signer is | sent | 250 | 4xx | 421 or closed | 5xx | no answer | arrived | \
         signed | not ours | unsigned | wrong | doubled | lost | meanwhile |\n|{}",
        "---|".repeat(16)
    );
}

impl Row {
    pub(super) fn print(&self, action: &str) {
        let name = if self.name.is_empty() {
            "(all rows)"
        } else {
            self.name
        };
        println!(
            "| {action} | {name} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} \
             | {} |",
            self.sent,
            self.taken,
            self.put_off,
            self.closed,
            self.refused,
            self.unknown,
            self.arrived,
            self.signed,
            self.others,
            self.unsigned,
            self.wrong,
            self.doubled,
            self.lost,
            self.note
        );
    }

    /// Panics unless what Postfix took arrived once, and whatever signatures there are verify.
    #[track_caller]
    pub(super) fn assert_nothing_lost(&self, action: &str) {
        let bad = self.lost + self.doubled + self.wrong + self.given_up + self.unknown;
        assert!(bad == 0 && self.signed > 0, "{action}: {self:?}");
    }

    /// Panics unless all that had to be signed is, and nothing was refused for good; and unless
    /// there was trouble.
    #[track_caller]
    pub(super) fn assert_safe(&self, action: &str) {
        let bad = self.unsigned + self.refused;
        let trouble = self.put_off + self.closed;
        assert!(bad == 0 && trouble > 0, "{action}: {self:?}");
    }
}

impl<'a> Sum<&'a Row> for Row {
    fn sum<I: Iterator<Item = &'a Row>>(rows: I) -> Self {
        rows.fold(Self::default(), |total, row| Self {
            sent: total.sent + row.sent,
            taken: total.taken + row.taken,
            put_off: total.put_off + row.put_off,
            closed: total.closed + row.closed,
            refused: total.refused + row.refused,
            unknown: total.unknown + row.unknown,
            given_up: total.given_up + row.given_up,
            arrived: total.arrived + row.arrived,
            signed: total.signed + row.signed,
            others: total.others + row.others,
            unsigned: total.unsigned + row.unsigned,
            wrong: total.wrong + row.wrong,
            doubled: total.doubled + row.doubled,
            lost: total.lost + row.lost,
            ..total
        })
    }
}
