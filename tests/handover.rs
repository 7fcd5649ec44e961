//! The hand-over pack as a DNS administrator gets it: in every format and language as it was
//! approved (`ZEGEL_WRITE_GOLDEN=1` writes it anew), and its zones as real servers read them.

// Each file of tests/ is a crate of its own: nothing else can see these.
#![allow(unreachable_pub)]
// Helpers of tests, which clippy takes for something else.
#![allow(clippy::unwrap_used)]

#[path = "handover/facts.rs"]
mod facts;
#[path = "handover/fixture.rs"]
mod fixture;
#[path = "handover/goldens.rs"]
mod goldens;
#[path = "handover/ladder.rs"]
mod ladder;
mod support;
#[path = "handover/zones.rs"]
mod zones;
