//! Body canonicalisation (RFC 6376 §3.4.3 and §3.4.4), streamed: one pass, no copy of what
//! needs no change, and one result however the body is cut into chunks.

mod outlet;
mod relaxed;
#[cfg(test)]
mod tests;

use self::outlet::Outlet;
use super::{Canonicalisation, digest::Sha256};

const CRLF: [u8; 2] = *b"\r\n";

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
///
/// Only the two ends of a chunk have to do with what is held back, and they are taken octet
/// by octet. What is between them is settled, and passes whole or in blocks:
///
/// ```text
///  ␠␠x│the text␍␊␍␊of this   chunk y│␠␠␍␊␍␊␠        ␠: blank, ␍␊: CRLF
///  to │                             │from the last ordinary octet on:
///  the│  settled: what follows an   │the next chunk or the end of the
///  first octet is in the chunk      │body tells what becomes of it
///  ordinary octet, while something was held back
/// ```
pub struct BodyCanonicaliser {
    canonicalisation: Canonicalisation,
    held_lines: usize,
    held_blank: bool,
    held_return: bool,
    wrote: bool,
    outlet: Outlet,
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
            outlet: Outlet::new(),
        }
    }

    /// Takes the next chunk and hands canonical bytes to `emit`, in pieces of any size, some
    /// of them not before the next chunk or the end.
    pub fn update(&mut self, chunk: &[u8], emit: &mut impl FnMut(&[u8])) {
        let tail = chunk
            .iter()
            .rev()
            .take_while(|&&octet| octet == b'\n' || self.needs_work(octet))
            .count();
        let (mut settled, tail) = chunk.split_at(chunk.len() - tail);
        while self.holds_something()
            && let Some((&octet, behind)) = settled.split_first()
        {
            self.take(octet, emit);
            settled = behind;
        }
        if !settled.is_empty() {
            self.wrote = true;
            match self.canonicalisation {
                Canonicalisation::Simple => self.outlet.put(settled, emit),
                Canonicalisation::Relaxed => relaxed::reduce(settled, &mut self.outlet, emit),
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
        self.outlet.flush(emit);
        self.held_lines = 0;
        self.held_blank = false;
        self.wrote = false;
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
        const LINES: [[u8; 2]; 64] = [CRLF; 64];
        let mut lines = std::mem::take(&mut self.held_lines);
        while lines > 0 {
            let piece = lines.min(LINES.len());
            self.write(LINES[..piece].as_flattened(), emit);
            lines -= piece;
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
        self.outlet.put(bytes, emit);
    }
}
