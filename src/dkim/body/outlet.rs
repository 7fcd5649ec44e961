//! Gathers small pieces on their way out, so that a hash gets large ones.

use super::relaxed::BLOCK;

/// How many octets are gathered: with that a call of the hash costs next to nothing.
const ROOM: usize = 4096;
/// A piece of so many octets goes out as it is, without a copy.
const LARGE: usize = 1024;

/// What has not been handed out yet, in its order.
pub(super) struct Outlet {
    /// A block can be written behind [`ROOM`] octets.
    octets: Box<[u8; ROOM + BLOCK]>,
    filled: usize,
}

impl Outlet {
    pub(super) fn new() -> Self {
        Self {
            octets: Box::new([0; ROOM + BLOCK]),
            filled: 0,
        }
    }

    /// Puts a piece behind what is here.
    pub(super) fn put(&mut self, piece: &[u8], emit: &mut impl FnMut(&[u8])) {
        if piece.len() >= LARGE {
            self.flush(emit);
            emit(piece);
            return;
        }
        let (blocks, rest) = piece.as_chunks::<BLOCK>();
        for block in blocks {
            self.put_front(block, BLOCK, emit);
        }
        if !rest.is_empty() {
            if self.filled > ROOM {
                self.flush(emit);
            }
            self.octets[self.filled..][..rest.len()].copy_from_slice(rest);
            self.filled += rest.len();
        }
    }

    /// Puts the first `count` octets of a block behind what is here. The whole block is
    /// copied: that takes eight instructions, where a part of it takes a function call.
    #[inline]
    pub(super) fn put_front(
        &mut self,
        block: &[u8; BLOCK],
        count: usize,
        emit: &mut impl FnMut(&[u8]),
    ) {
        if self.filled > ROOM {
            self.flush(emit);
        }
        self.octets[self.filled..][..BLOCK].copy_from_slice(block);
        self.filled += count;
    }

    /// Hands out what is here.
    pub(super) fn flush(&mut self, emit: &mut impl FnMut(&[u8])) {
        if self.filled > 0 {
            emit(&self.octets[..self.filled]);
            self.filled = 0;
        }
    }
}
