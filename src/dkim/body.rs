//! Body canonicalisation (RFC 6376 §3.4.3 and §3.4.4), streamed: one pass, no copy of what
//! needs no change, and one result however the body is cut into chunks.

use super::{Canonicalisation, digest::Sha256};

const CRLF: [u8; 2] = *b"\r\n";
/// How many bytes are looked at together for blanks that need work.
const BLOCK: usize = 64;

/// Hashes a body as it comes; one hash serves all signatures of a message.
pub struct BodyHasher {
    canonicaliser: BodyCanonicaliser,
    sha256: Sha256,
}

impl BodyHasher {
    /// A hasher that has seen nothing yet.
    pub fn new(canonicalisation: Canonicalisation) -> Self {
        Self {
            canonicaliser: BodyCanonicaliser::new(canonicalisation),
            sha256: Sha256::new(),
        }
    }

    /// Takes the next chunk of the body, cut anywhere.
    pub fn update(&mut self, chunk: &[u8]) {
        let Self {
            canonicaliser,
            sha256,
        } = self;
        canonicaliser.update(chunk, &mut |bytes: &[u8]| sha256.update(bytes));
    }

    /// The body hash, as it goes into `bh=` (before base64).
    pub fn finish(mut self) -> [u8; 32] {
        let Self {
            canonicaliser,
            sha256,
        } = &mut self;
        canonicaliser.finish(&mut |bytes: &[u8]| sha256.update(bytes));
        self.sha256.finish()
    }
}

/// Turns a body into its canonical form, chunk by chunk.
///
/// What may turn out to be nothing (line ends at the end of the body, blanks at the end of a
/// line, a CR whose LF is in the next chunk) is held back as counts and flags, so memory
/// does not grow with the body. The held output is: `held_lines` times CRLF, then one SP if
/// `held_blank`, then a CR if `held_return`.
pub struct BodyCanonicaliser {
    canonicalisation: Canonicalisation,
    held_lines: usize,
    held_blank: bool,
    held_return: bool,
    wrote: bool,
}

impl BodyCanonicaliser {
    /// A canonicaliser at the start of a body.
    pub fn new(canonicalisation: Canonicalisation) -> Self {
        Self {
            canonicalisation,
            held_lines: 0,
            held_blank: false,
            held_return: false,
            wrote: false,
        }
    }

    /// Takes the next chunk and hands canonical bytes to `emit`, in pieces of any size.
    pub fn update(&mut self, chunk: &[u8], emit: &mut impl FnMut(&[u8])) {
        // What the chunk ends with may be the end of the body: it goes the slow way.
        let tail = chunk
            .iter()
            .rev()
            .take_while(|&&octet| octet == b'\n' || self.needs_work(octet))
            .count();
        let (mut rest, tail) = chunk.split_at(chunk.len() - tail);
        while let Some((&octet, behind)) = rest.split_first() {
            if self.holds_something() || self.needs_work(octet) {
                self.take(octet, emit);
                rest = behind;
            } else {
                let clean = self.clean_run(rest);
                self.write(&rest[..clean], emit);
                rest = &rest[clean..];
            }
        }
        for &octet in tail {
            self.take(octet, emit);
        }
    }

    /// Ends the body: hands out what the end of it still needs.
    pub fn finish(&mut self, emit: &mut impl FnMut(&[u8])) {
        if self.held_return {
            // A CR with nothing behind it is no line end but an ordinary octet.
            self.release(emit);
        }
        let ends_with_line = match self.canonicalisation {
            // RFC 6376 §3.4.3: an empty body is one CRLF.
            Canonicalisation::Simple => true,
            // RFC 6376 §3.4.4: an empty body, or one of blanks alone, is nothing.
            Canonicalisation::Relaxed => self.wrote,
        };
        if ends_with_line {
            self.write(&CRLF, emit);
        }
        *self = Self::new(self.canonicalisation);
    }

    fn holds_something(&self) -> bool {
        self.held_return || self.held_blank || self.held_lines > 0
    }

    fn needs_work(&self, octet: u8) -> bool {
        match octet {
            b'\r' => true,
            b' ' | b'\t' => self.canonicalisation == Canonicalisation::Relaxed,
            _ => false,
        }
    }

    /// One octet through the slow way, which knows every case.
    fn take(&mut self, octet: u8, emit: &mut impl FnMut(&[u8])) {
        match octet {
            b'\n' if self.held_return => {
                self.held_return = false;
                self.held_blank = false;
                self.held_lines += 1;
            }
            b'\r' => {
                if self.held_return {
                    self.release(emit);
                }
                self.held_return = true;
            }
            b' ' | b'\t' if self.canonicalisation == Canonicalisation::Relaxed => {
                if self.held_return {
                    self.release(emit);
                }
                self.held_blank = true;
            }
            _ => {
                self.release(emit);
                self.write(&[octet], emit);
            }
        }
    }

    /// Hands out what was held back: something follows, so it counts.
    fn release(&mut self, emit: &mut impl FnMut(&[u8])) {
        const LINES: [u8; 128] = {
            let mut lines = [b'\r'; 128];
            let mut index = 1;
            while index < lines.len() {
                lines[index] = b'\n';
                index += 2;
            }
            lines
        };
        let mut octets = self.held_lines * CRLF.len();
        self.held_lines = 0;
        while octets > 0 {
            let piece = octets.min(LINES.len());
            self.write(&LINES[..piece], emit);
            octets -= piece;
        }
        if std::mem::take(&mut self.held_blank) {
            self.write(b" ", emit);
        }
        if std::mem::take(&mut self.held_return) {
            self.write(b"\r", emit);
        }
    }

    fn write(&mut self, bytes: &[u8], emit: &mut impl FnMut(&[u8])) {
        self.wrote = true;
        emit(bytes);
    }

    /// How many octets from the start are their own canonical form, whatever follows them.
    ///
    /// `bytes` begins with an octet that needs no work and ends with one that is neither a
    /// blank nor part of a line end.
    fn clean_run(&self, bytes: &[u8]) -> usize {
        match self.canonicalisation {
            Canonicalisation::Simple => bytes.len(),
            Canonicalisation::Relaxed => first_irregular(bytes),
        }
    }
}

/// The place of the first blank that relaxed canonicalisation may change: a TAB, or a SP with
/// a blank or a control character behind it. `bytes` does not end with a blank.
///
/// Whole blocks are tested without a branch in them, so that the compiler vectorises it.
fn first_irregular(bytes: &[u8]) -> usize {
    #[expect(
        clippy::needless_bitwise_bool,
        reason = "a branch would stop vectorisation"
    )]
    let irregular = |octet: u8, next: u8| (octet == b'\t') | ((octet == b' ') & (next <= b' '));
    let next = &bytes[1..];
    let mut start = 0;
    for (block, block_next) in bytes.chunks_exact(BLOCK).zip(next.chunks_exact(BLOCK)) {
        let dirty = block
            .iter()
            .zip(block_next)
            .fold(0_u8, |dirty, (&octet, &next)| {
                dirty | u8::from(irregular(octet, next))
            });
        if dirty != 0 {
            break;
        }
        start += BLOCK;
    }
    bytes[start..]
        .iter()
        .zip(&next[start.min(next.len())..])
        .position(|(&octet, &next)| irregular(octet, next))
        .map_or(bytes.len(), |place| start + place)
}

#[cfg(test)]
mod tests {
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
}
