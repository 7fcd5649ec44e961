//! A message as far as it has come: its header section, within `[limits]`, and what it is
//! decided by.

use std::sync::Arc;

use crate::{
    dkim::HeaderSection, observe::metrics::Limit, signer::exceeded_limit, snapshot::Snapshot,
};

/// So many From fields are kept of what is beyond `[limits]`, to know whose message it is
/// that can't be signed: one tells that, and a second that it is nobody's. A frame bounds
/// each to 1 MiB.
const FROM_FIELDS_BEYOND_LIMITS: usize = 2;

/// A message as far as it has come.
pub(super) struct Collected {
    /// Taken when the content begins: the message keeps it to its end.
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) login: Option<String>,
    pub(super) header: HeaderSection,
    /// Whether it is within `[limits]`.
    pub(super) header_is_whole: bool,
    from_fields_beyond: usize,
    /// All that has come, kept or not.
    pub(super) octets: u64,
}

impl Collected {
    pub(super) fn new(snapshot: Arc<Snapshot>, login: Option<String>) -> Self {
        Self {
            snapshot,
            login,
            header: HeaderSection::default(),
            header_is_whole: true,
            from_fields_beyond: 0,
            octets: 0,
        }
    }

    /// Keeps a field as long as the header section is within `[limits]`; gives the limit
    /// when it is reached.
    pub(super) fn push(&mut self, name: &[u8], value: &[u8]) -> Option<Limit> {
        let limits = &self.snapshot.settings().limits;
        let octets = self.header.octets() + name.len() + value.len();
        self.octets += (name.len() + value.len()) as u64;
        let over = exceeded_limit(limits, octets, self.header.len() + 1);
        let first = over.filter(|_| self.header_is_whole);
        self.header_is_whole &= over.is_none();
        let is_from = name.trim_ascii_end().eq_ignore_ascii_case(b"from");
        if self.header_is_whole {
            self.header.push(name, value);
        } else if is_from && self.from_fields_beyond < FROM_FIELDS_BEYOND_LIMITS {
            self.from_fields_beyond += 1;
            self.header.push(name, value);
        }
        first
    }
}
