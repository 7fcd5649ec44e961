//! A connection in memory: what the peer says comes in pieces of our choice, and what it is
//! told is kept. It never waits, so that nothing depends on time.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// See the module.
pub struct Pieces<'a> {
    to_come: Vec<&'a [u8]>,
    /// What the peer was told.
    pub told: Vec<u8>,
    /// The most room that was ever made for one reading.
    pub most_room: usize,
}

impl<'a> Pieces<'a> {
    /// A peer that says these and then leaves.
    pub fn new(pieces: Vec<&'a [u8]>) -> Self {
        let mut to_come = pieces;
        // Nothing would be read as the end.
        to_come.retain(|piece| !piece.is_empty());
        to_come.reverse();
        Self {
            to_come,
            told: Vec::new(),
            most_room: 0,
        }
    }
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.most_room = self.most_room.max(buffer.remaining());
        if let Some(piece) = self.to_come.pop() {
            let (now, later) = piece.split_at(piece.len().min(buffer.remaining()));
            buffer.put_slice(now);
            if !later.is_empty() {
                self.to_come.push(later);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pieces<'_> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.told.extend_from_slice(octets);
        Poll::Ready(Ok(octets.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
