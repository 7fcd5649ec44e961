//! What is missing, old, moved or doubled is never taken for what never was, in random histories:
//! a keystore and an `orgs.d/` in a folder, the real code that reads and writes them, a DNS and
//! operators of our own, and one message for each domain after everything that happens.
//!
//! `ZEGEL_PROMISES=50000 cargo test --test promises` runs so many histories instead of a few.
//! docs/what-is-lost.md has the table that this holds, and the limits (`witnesses.rs`).

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod book;
mod commands;
mod events;
mod files;
mod histories;
mod keeper;
mod signer;
mod witnesses;
mod world;

use std::cell::RefCell;

use proptest::test_runner::{Config, RngSeed, TestRunner};

use world::{Counts, World};

const HISTORIES: u32 = 150;

#[test]
fn whatever_is_lost_old_moved_or_doubled_the_promises_hold() {
    // Without a number the histories are the same each time: what is still open (see
    // docs/what-is-lost.md) would stop other work one time in ten.
    let (histories, rng_seed) = match std::env::var("ZEGEL_PROMISES") {
        Ok(number) => (number.parse().unwrap(), RngSeed::Random),
        Err(_) => (HISTORIES, RngSeed::Fixed(1)),
    };
    let mut runner = TestRunner::new(Config {
        cases: histories,
        rng_seed,
        failure_persistence: None,
        max_shrink_iters: 4000,
        ..Config::default()
    });
    let counts = RefCell::new(Counts::default());
    let outcome = runner.run(&events::history(), |(drains_long, events)| {
        let mut world = World::new(drains_long);
        for event in events {
            world.take(event);
        }
        counts.borrow_mut().add(&world.counts);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    let counts = counts.into_inner();
    println!("{histories} histories: {counts:?}");
    // A test in which nothing happens proves nothing.
    counts.check(histories);
}
