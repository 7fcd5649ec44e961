//! DMARC reports, from the octets of a file to what is kept of them.
//!
//! Input: a form (0: the rest is the file; 1: gzip around the rest; 2: a message around it; 3:
//! both), and that.
#![no_main]

use std::io::{self, Cursor, Read, Write};

use base64::{Engine, engine::general_purpose::STANDARD};
use flate2::{Compression, write::GzEncoder};
use libfuzzer_sys::fuzz_target;
use zegel::{
    evidence::Rollup,
    report::{Found, Limits, Mended, Place, Reading, Reason, Report},
};
use zegel_fuzz::input;

/// 1 March 2026.
const NOW: i64 = 1_772_323_200;

/// The greatest `count` that is believed.
const MESSAGES: u32 = 1_000_000_000;
/// Reports and refusals of one file or message, and the one that says that there are more.
const FINDINGS: usize = 1_001;

fuzz_target!(|input: &[u8]| {
    let mut rest = input;
    let form = input::octet(&mut rest);
    let file = match form {
        1 => gzip(rest),
        2 => message(rest),
        3 => message(&gzip(rest)),
        _ => rest.to_vec(),
    };
    let found = read(&mut Cursor::new(&file));
    check(&found);
    // How a file arrives changes nothing.
    assert_eq!(read(&mut Slow(&file)), found);
    if rest.trim_ascii_start().starts_with(b"<") {
        same_however_packed(rest);
    }
});

/// What is in a document is in it wherever the document is.
fn same_however_packed(document: &[u8]) {
    let bare = read(&mut Cursor::new(document));
    for packed in [gzip(document), message(document)] {
        let packed = read(&mut Cursor::new(&packed));
        assert_eq!(reports(&packed), reports(&bare));
    }
}

/// What was found, in an order that can be compared.
fn read(source: &mut dyn Read) -> Vec<(Place, Result<Report, Reason>)> {
    let reading = Reading {
        limits: Limits {
            message: 64 << 10,
            expanded: 1 << 20,
            records: 50,
            entries: 5,
            nesting: 3,
        },
        now: NOW,
        authserv_id: Some("mx.relay.example".to_owned()),
    };
    let mut all = Vec::new();
    reading.read(source, &mut |place, found| {
        let found = match found {
            Found::Report(mut report) => {
                // Of several reports in one document, those before it may have this as well.
                report.mended.retain(|one| *one != Mended::Encoding);
                Ok(*report)
            }
            Found::Refused(refusal) => {
                assert!(!refusal.text.is_empty() && !refusal.text.contains(char::is_control));
                Err(refusal.reason)
            }
        };
        all.push((place.clone(), found));
    });
    all
}

fn reports(found: &[(Place, Result<Report, Reason>)]) -> Vec<&Report> {
    found
        .iter()
        .filter_map(|(_, found)| found.as_ref().ok())
        .collect()
}

/// Nothing is passed over in silence, and what is kept is what a report can say.
fn check(found: &[(Place, Result<Report, Reason>)]) {
    assert!(!found.is_empty());
    if found.iter().all(|(place, _)| place.message.is_none()) {
        assert!(found.len() <= FINDINGS);
    }
    for (place, found) in found {
        if let Some(entry) = &place.entry {
            assert!(entry.chars().count() <= 200 && !entry.contains(char::is_control));
        }
        // Who sent it is known only of a message that may be believed.
        assert!(place.author.is_none() || place.authenticated == Some(true));
        if let Ok(report) = found {
            check_report(report);
        }
    }
}

fn check_report(report: &Report) {
    assert!(!report.org_name.is_empty() && !report.report_id.is_empty());
    assert!(0 <= report.begin && report.begin <= report.end && report.end <= NOW + 48 * 3_600);
    assert!(report.mended.is_sorted());
    let domain = |text: &str| {
        text.len() <= 253
            && text.bytes().all(|octet| {
                octet.is_ascii_lowercase() || octet.is_ascii_digit() || b"-._".contains(&octet)
            })
    };
    assert!(!report.policy.domain.is_empty() && domain(&report.policy.domain));
    let rows = &report.rows;
    assert!(!rows.rows.is_empty() && rows.rows.len() <= 50);
    let words = rows.words.in_order();
    let identities = rows.identities.in_order();
    let mut messages = 0;
    for row in &rows.rows {
        assert!(row.count <= MESSAGES);
        assert_eq!(row.address, row.address.to_canonical());
        assert!(domain(words[row.from as usize]) && row.from > 0);
        let identity = identities[row.identity as usize];
        assert!(identity.signatures.len() <= 100 && identity.spf.len() <= 100);
        for signature in &identity.signatures {
            assert!(domain(words[signature.domain as usize]));
            assert!(words[signature.selector as usize].len() <= 253);
        }
        for check in &identity.spf {
            assert!(domain(words[check.domain as usize]));
        }
        messages += u64::from(row.count);
    }
    let rollup = Rollup::new(report, |_| true, |_| false);
    assert_eq!(rollup.messages(), messages);
    // Every message is on one of the days.
    assert!(!rollup.days.is_empty() && rollup.days.is_sorted());
    let spread: u64 = rollup.spread(messages).map(|(_, messages)| messages).sum();
    assert_eq!(spread, messages);
}

fn gzip(octets: &[u8]) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::fast());
    out.write_all(octets).expect("memory");
    out.finish().expect("memory")
}

fn message(octets: &[u8]) -> Vec<u8> {
    let base64 = STANDARD.encode(octets);
    format!(
        "Authentication-Results: mx.relay.example; dmarc=pass header.from=google.com\r\n\
         Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n\
         {base64}\r\n"
    )
    .into_bytes()
}

/// Gives one octet at a time.
struct Slow<'a>(&'a [u8]);

impl Read for Slow<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let amount = buffer.len().min(1);
        self.0.read(&mut buffer[..amount])
    }
}
