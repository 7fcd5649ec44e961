//! A thousand reloads, good and broken in turn, under load: nothing is lost, nothing is signed
//! with a wrong key, and what is broken leaves what there was, with a line that says so.

#[path = "../support/mod.rs"]
mod support;

mod clients;
mod noticed;
mod refused;
mod restored;
mod worlds;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use clients::{Client, Tally};
use worlds::{Breakage, Stage, World};

/// With as many broken ones.
const GOOD_RELOADS: usize = 500;
/// Every so many good reloads only the keys change, and their generation says so.
const GENERATION_EVERY: usize = 50;

/// Lets clients end, also when the test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_thousand_reloads_lose_nothing() {
    let stage = Stage::start();
    let stop = AtomicBool::new(false);
    let tally = thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|number| {
                let client = Client::new(&stage, number);
                let stop = &stop;
                scope.spawn(move || client.send_until(stop))
            })
            .collect();
        {
            let _stop = Stop(&stop);
            reload_all(&stage);
        }
        let tallies = clients.into_iter().map(ScopedJoinHandle::join);
        tallies
            .map(|tally| tally.expect("a good client"))
            .sum::<Tally>()
    });
    println!("{tally:?}");
    assert!(tally.signed > 2 * GOOD_RELOADS, "{tally:?}");
    assert!(tally.accepted > 0 && tally.tempfailed > 0, "{tally:?}");
    stage.assert_log(GOOD_RELOADS);
}

fn reload_all(stage: &Stage) {
    for number in 0..GOOD_RELOADS {
        if number % GENERATION_EVERY == GENERATION_EVERY - 1 {
            stage.change_generation();
        } else {
            stage.change();
        }
        stage.break_it(Breakage::ALL[number % Breakage::ALL.len()]);
    }
}

/// Signals faster than anybody can reload.
#[test]
fn a_storm_of_signals_is_weathered() {
    let stage = Stage::start();
    let stop = AtomicBool::new(false);
    let tally = thread::scope(|scope| {
        let client = Client::new(&stage, 0);
        let running = &stop;
        let client = scope.spawn(move || client.send_until(running));
        let stop = Stop(&stop);
        let begun = Instant::now();
        let mut signals = 0;
        while begun.elapsed() < Duration::from_secs(3) {
            stage.hang_up();
            signals += 1;
        }
        stage.settle();
        let reloads = stage.counted("ok");
        assert!(reloads > 0 && reloads < signals, "{reloads} of {signals}");
        // And the next one counts.
        stage.change();
        thread::sleep(Duration::from_millis(200));
        drop(stop);
        client.join().expect("a good client")
    });
    assert!(tally.signed > 50, "{tally:?}");
    assert_eq!(stage.counted("failed"), 0);
}

/// Somebody reloads a broken configuration again and again: keys are rotated all the same.
#[test]
fn keys_change_while_the_configuration_is_broken() {
    let stage = Stage::start();
    stage.write_garbage();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let _stop = Stop(&stop);
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                stage.hang_up();
                thread::sleep(Duration::from_millis(300));
            }
        });
        stage.change_generation();
    });
    assert!(stage.counted("failed") > 2);
    let second_key = true;
    let expected = World {
        second_key,
        ..World::default()
    };
    assert_eq!(stage.now(), expected);
}
