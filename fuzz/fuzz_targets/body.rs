//! The body, cut anywhere: canonical form, hash and hazards are those of the whole.
//!
//! Input: the number of lengths, the lengths of the chunks, the body.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zegel::dkim::{BodyCanonicaliser, BodyHasher, BodyInspector, Canonicalisation, digest::sha256};
use zegel_fuzz::{canonical, hazards, input};

fuzz_target!(|input: &[u8]| {
    let mut rest = input;
    let lengths = usize::from(input::octet(&mut rest) % 16);
    let (lengths, body) = rest.split_at(lengths.min(rest.len()));
    let chunks = input::chunks(body, lengths);

    for canonicalisation in [Canonicalisation::Simple, Canonicalisation::Relaxed] {
        let expected = canonical::body(canonicalisation, body);
        let mut canonicaliser = BodyCanonicaliser::new(canonicalisation);
        let mut hasher = BodyHasher::new(canonicalisation);
        let mut output = Vec::new();
        let mut emit = |octets: &[u8]| output.extend_from_slice(octets);
        for chunk in &chunks {
            canonicaliser.update(chunk, &mut emit);
            hasher.update(chunk);
        }
        canonicaliser.finish(&mut emit);
        assert_eq!(output, expected, "{canonicalisation}, cut at {lengths:?}");
        assert_eq!(hasher.finish(), sha256(&expected));
    }

    let declared = lengths.first().is_some_and(|&length| length > 127);
    let mut inspector = BodyInspector::default();
    for chunk in &chunks {
        inspector.update(chunk);
    }
    let expected = hazards::of_body(body, declared);
    assert_eq!(inspector.finish(declared), expected, "cut at {lengths:?}");
});
