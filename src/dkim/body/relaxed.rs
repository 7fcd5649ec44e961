//! Relaxed body canonicalisation (RFC 6376 §3.4.4) of octets that are followed by an
//! ordinary one, in blocks.
//!
//! Whether an octet goes is told by the two behind it, and by nothing before it: a blank
//! goes if a blank or CRLF is behind it. So whole blocks are tested at once, and most need
//! no work. In the others the octets that stay are found as the bits of a mask, and are
//! moved together run by run (`␠` SP, `→` TAB):
//!
//! ```text
//!  block      ␠ ␠ ␠ ␠ < p > T h e ␠ ␠ m a i l → t e x t → ␍ ␊
//!  stays      0 0 0 1 1 1 1 1 1 1 0 1 1 1 1 1 1 1 1 1 1 0 1 1
//!  runs             └───────────┘   └─────────────────┘   └─┘
//!  canonical  ␠ < p > T h e ␠ m a i l ␠ t e x t ␍ ␊
//! ```
//!
//! The loops over the octets of a block have no branch in them and no index but the
//! loop's, so that the compiler makes vector instructions of them (SSE2 on any x86-64).

use super::outlet::Outlet;

/// How many octets are looked at together: one for each bit of a mask.
pub(super) const BLOCK: usize = 64;
/// A block and the two octets behind it.
type Window = [u8; BLOCK + 2];

/// Hands out the canonical form of `settled`, which ends with an octet that is neither a
/// blank nor CR nor LF, or is empty.
pub(super) fn reduce(settled: &[u8], outlet: &mut Outlet, emit: &mut impl FnMut(&[u8])) {
    let mut clean = 0;
    let mut place = 0;
    while let Some(window) = settled[place..].first_chunk() {
        if is_irregular(window) {
            outlet.put(&settled[clean..place], emit);
            move_together(window, BLOCK, outlet, emit);
            clean = place + BLOCK;
        }
        place += BLOCK;
    }
    outlet.put(&settled[clean..place], emit);
    // What is behind the last octet makes no difference to any, so it can be anything.
    while place < settled.len() {
        let mut window: Window = [b'x'; _];
        let rest = &settled[place..];
        let filled = rest.len().min(window.len());
        window[..filled].copy_from_slice(&rest[..filled]);
        let count = rest.len().min(BLOCK);
        move_together(&window, count, outlet, emit);
        place += count;
    }
}

/// Whether there may be work in a block: a TAB, or a SP with a blank or a control character
/// behind it.
#[expect(
    clippy::needless_bitwise_bool,
    reason = "a branch would stop vectorisation"
)]
fn is_irregular(window: &Window) -> bool {
    let pairs = window[..BLOCK].iter().zip(&window[1..=BLOCK]);
    let marks = pairs.fold(0, |marks, (&octet, &next)| {
        marks | u8::from((octet == b'\t') | ((octet == b' ') & (next <= b' ')))
    });
    marks != 0
}

/// Hands out what stays of the first `count` octets, of which there is at least one.
#[inline]
fn move_together(window: &Window, count: usize, outlet: &mut Outlet, emit: &mut impl FnMut(&[u8])) {
    // Twice as long, so that there is a whole block from each place in it.
    let mut octets = [0; 2 * BLOCK];
    let mut stays = reduced(window, &mut octets) & (u64::MAX >> (BLOCK - count));
    while stays != 0 {
        // Two at a time, the second of which may be empty: most blocks have no more, and a
        // branch between them would be guessed wrong half of the time.
        for _ in 0..2 {
            let start = stays.trailing_zeros();
            let run = (!stays.checked_shr(start).unwrap_or(0)).trailing_zeros();
            if let Some(block) = octets[start as usize..].first_chunk() {
                outlet.put_front(block, run as usize, emit);
            }
            // The carry runs through the lowest run of ones.
            stays &= stays.wrapping_add(stays & stays.wrapping_neg());
        }
    }
}

/// Which octets of a block stay, as the bits of a mask, and their canonical form.
#[expect(
    clippy::needless_bitwise_bool,
    reason = "a branch would stop vectorisation"
)]
#[inline]
fn reduced(window: &Window, octets: &mut [u8; 2 * BLOCK]) -> u64 {
    /// The bit of an octet within its eight.
    const BITS: [u8; BLOCK] = {
        let mut bits = [0; BLOCK];
        let mut place = 0;
        while place < BLOCK {
            bits[place] = 1 << (place % 8);
            place += 1;
        }
        bits
    };
    let is_blank = |octet: u8| (octet == b' ') | (octet == b'\t');
    let mut goes = [0; BLOCK];
    for place in 0..BLOCK {
        let [octet, next, after] = [window[place], window[place + 1], window[place + 2]];
        let before_line_end = (next == b'\r') & (after == b'\n');
        let gone = is_blank(octet) & (is_blank(next) | before_line_end);
        goes[place] = if gone { BITS[place] } else { 0 };
        octets[place] = if octet == b'\t' { b' ' } else { octet };
    }
    let mut mask = 0;
    for (place, eight) in goes.as_chunks().0.iter().enumerate() {
        // The product has the sum of the eight in its highest octet.
        let sum = u64::from_le_bytes(*eight).wrapping_mul(0x0101_0101_0101_0101) >> 56;
        mask |= sum << (8 * place);
    }
    !mask
}
