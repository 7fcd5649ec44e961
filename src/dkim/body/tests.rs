use proptest::prelude::*;

use super::*;

fn canonical(canonicalisation: Canonicalisation, chunks: &[&[u8]]) -> Vec<u8> {
    let mut canonicaliser = BodyCanonicaliser::new(canonicalisation);
    let mut output = Vec::new();
    let mut emit = |bytes: &[u8]| output.extend_from_slice(bytes);
    for chunk in chunks {
        canonicaliser.update(chunk, &mut emit);
    }
    canonicaliser.finish(&mut emit);
    output
}

/// RFC 6376 §3.4.3 word by word, on the whole body at once.
fn naive_simple(body: &[u8]) -> Vec<u8> {
    let mut body = body.to_vec();
    while body.ends_with(b"\r\n") {
        body.truncate(body.len() - 2);
    }
    body.extend_from_slice(b"\r\n");
    body
}

/// RFC 6376 §3.4.4 word by word, on the whole body at once.
fn naive_relaxed(body: &[u8]) -> Vec<u8> {
    let mut lines: Vec<Vec<u8>> = Vec::new();
    let mut rest = body;
    loop {
        let end = rest.windows(2).position(|pair| pair == b"\r\n");
        let line = &rest[..end.unwrap_or(rest.len())];
        let mut reduced: Vec<u8> = Vec::new();
        for &octet in line {
            if !matches!(octet, b' ' | b'\t') {
                reduced.push(octet);
            } else if reduced.last() != Some(&b' ') {
                reduced.push(b' ');
            }
        }
        if reduced.last() == Some(&b' ') {
            reduced.pop();
        }
        lines.push(reduced);
        match end {
            Some(end) => rest = &rest[end + 2..],
            None => break,
        }
    }
    while lines.last().is_some_and(Vec::is_empty) {
        lines.pop();
    }
    let mut output = Vec::new();
    for line in lines {
        output.extend_from_slice(&line);
        output.extend_from_slice(b"\r\n");
    }
    output
}

#[test]
fn examples() {
    // RFC 6376 §3.4.5
    let body = b" C \r\nD \t E\r\n\r\n\r\n";
    assert_eq!(
        canonical(Canonicalisation::Relaxed, &[body]),
        b" C\r\nD E\r\n"
    );
    assert_eq!(
        canonical(Canonicalisation::Simple, &[body]),
        b" C \r\nD \t E\r\n"
    );
    for (body, simple, relaxed) in [
        (&b""[..], &b"\r\n"[..], &b""[..]),
        (b"\r\n", b"\r\n", b""),
        (b"\r\n\r\n", b"\r\n", b""),
        (b"x", b"x\r\n", b"x\r\n"),
        (b"x\r\n \t\r\n\r\n", b"x\r\n \t\r\n", b"x\r\n"),
        (b" \t\r\n", b" \t\r\n", b""),
        (b"  ", b"  \r\n", b""),
        (b"a\rb\n\r\n", b"a\rb\n\r\n", b"a\rb\n\r\n"),
        (b"a \r b", b"a \r b\r\n", b"a \r b\r\n"),
        (b"a\r", b"a\r\r\n", b"a\r\r\n"),
        (b"a \n b\r\r\n", b"a \n b\r\r\n", b"a \n b\r\r\n"),
        (b"\n", b"\n\r\n", b"\n\r\n"),
        (
            b"\0\x0b\x0c \x0b\r\n",
            b"\0\x0b\x0c \x0b\r\n",
            b"\0\x0b\x0c \x0b\r\n",
        ),
    ] {
        assert_eq!(
            canonical(Canonicalisation::Simple, &[body]),
            simple,
            "{body:?}"
        );
        assert_eq!(
            canonical(Canonicalisation::Relaxed, &[body]),
            relaxed,
            "{body:?}"
        );
        assert_eq!(naive_simple(body), simple, "naive, {body:?}");
        assert_eq!(naive_relaxed(body), relaxed, "naive, {body:?}");
    }
}

#[test]
fn ten_thousand_blank_lines_are_held_as_a_number() {
    let blank = b"\r\n".repeat(10_000);
    assert_eq!(
        canonical(Canonicalisation::Relaxed, &[b"x", &blank]),
        b"x\r\n"
    );
    let kept = canonical(Canonicalisation::Relaxed, &[b"x", &blank, b"y"]);
    assert_eq!(kept.len(), 1 + 20_000 + 1 + 2);
}

/// Every place in a block, and across the border of two, for all that a block can hold.
#[test]
fn every_place_in_a_block() {
    for odd in [
        &b"\t"[..],
        b"  ",
        b" \t",
        b"\t ",
        b" \r\n",
        b"\t\r\n",
        b"  \r\n \r\n",
        b" \r",
        b" \n",
        b" \r\r\n",
        b" \0",
        &[b' '; 70],
        &[b' '; 200],
        b" x  x  x  x  x  x  x  x  x  x  x  x  x  x  x",
    ] {
        for before in 0..140 {
            for after in [0, 1, 2, 61, 62, 63, 64, 65, 66, 67, 200] {
                let body = [&vec![b'x'; before], odd, &vec![b'y'; after]].concat();
                let expected = naive_relaxed(&body);
                for cut in [0, before, before + 1, body.len() / 2] {
                    let (one, other) = body.split_at(cut.min(body.len()));
                    let output = canonical(Canonicalisation::Relaxed, &[one, other]);
                    assert!(output == expected, "{before} {odd:?} {after}, cut at {cut}");
                }
            }
        }
    }
}

/// Pieces small and large, behind each other, around what the outlet gathers.
#[test]
fn what_is_gathered_stays_in_its_order() {
    for octets in [1, 63, 64, 1023, 1024, 4000, 4095, 4096, 4097, 4200] {
        for short in [1, 60, 64, 500] {
            let long: Vec<u8> = (b'a'..=b'z').cycle().take(octets).collect();
            let body = [&long[..], b"  ", &long[..short.min(octets)], b"\t\r\n"].concat();
            let body = body.repeat(12);
            let output = canonical(Canonicalisation::Relaxed, &[&body]);
            assert!(output == naive_relaxed(&body), "{octets} and {short}");
            let output = canonical(Canonicalisation::Simple, &[&body, b"x", &body]);
            let whole = [&body[..], b"x", &body].concat();
            assert!(output == naive_simple(&whole), "{octets} and {short}");
        }
    }
}

/// Octets that matter often, others seldom, long clean runs now and then.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let octets = prop_oneof![
        4 => Just(b"\r\n".to_vec()),
        3 => Just(b" ".to_vec()),
        2 => Just(b"\t".to_vec()),
        1 => Just(b"\r".to_vec()),
        1 => Just(b"\n".to_vec()),
        3 => Just(b"x".to_vec()),
        1 => any::<u8>().prop_map(|octet| vec![octet]),
        1 => "[a-z]{1,9}( [a-z]{1,9}){0,40}".prop_map(String::into_bytes),
        1 => (0..150_usize).prop_map(|octets| vec![b' '; octets]),
    ];
    proptest::collection::vec(octets, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn any_cut_gives_what_the_rfc_says(
        body in body(),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
        places.extend([0, body.len()]);
        places.sort_unstable();
        let chunks: Vec<&[u8]> = places.windows(2).map(|pair| &body[pair[0]..pair[1]]).collect();
        prop_assert_eq!(canonical(Canonicalisation::Simple, &chunks), naive_simple(&body));
        prop_assert_eq!(canonical(Canonicalisation::Relaxed, &chunks), naive_relaxed(&body));
    }
}
