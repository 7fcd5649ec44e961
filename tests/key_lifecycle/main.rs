//! The life of keys under a virtual clock, in a world where everything happens: records that
//! come late, wrong or half, servers that do not answer, a clock that jumps, restarts, and
//! an operator who does as he likes.
//!
//! `ZEGEL_HISTORIES` sets the number of histories, `ZEGEL_SEED` runs a single one.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test may panic, and its numbers are small"
)]

mod book;
mod dns;
mod random;
mod world;

use std::thread;

use book::Counts;
use world::World;

const HISTORIES: u64 = 100_000;

#[test]
fn whatever_happens_the_promises_hold() {
    if let Some(seed) = number("ZEGEL_SEED") {
        World::new(seed).run();
        return;
    }
    let histories = number("ZEGEL_HISTORIES").unwrap_or(HISTORIES);
    let threads = thread::available_parallelism().map_or(1, |number| number.get() as u64);
    let counts = thread::scope(|scope| {
        let run = |first: u64| {
            let mut counts = Counts::default();
            for seed in (first..histories).step_by(threads as usize) {
                let _named = Named(seed);
                counts.add(&World::new(seed).run());
            }
            counts
        };
        let workers: Vec<_> = (0..threads)
            .map(|first| scope.spawn(move || run(first)))
            .collect();
        let mut counts = Counts::default();
        for worker in workers {
            counts.add(&worker.join().expect("a promise was broken; see above"));
        }
        counts
    });
    println!("{histories} histories: {counts:?}");
    // A test in which nothing happens proves nothing.
    let enough = histories / 20;
    for (what, count) in counts.all() {
        assert!(count >= enough, "{what}: only {count}");
    }
}

/// Says which history it was when a promise is broken.
struct Named(u64);

impl Drop for Named {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("again with ZEGEL_SEED={}", self.0);
        }
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}
