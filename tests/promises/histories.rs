//! Histories that once broke a promise, or might have, each as short as it can be.

use crate::{
    events::{Event, Place},
    world::World,
};

/// Both organisations, and every domain, have a key in use.
const BEGUN: [Event; 9] = [
    Event::Look(0, true),
    Event::Look(1, true),
    Event::Publish(0),
    Event::Publish(1),
    Event::Publish(2),
    Event::Look(0, true),
    Event::Look(1, true),
    Event::Look(0, true),
    Event::Look(1, true),
];

fn hold(begun: &[Event], events: &[Event]) {
    for drains_long in [true, false] {
        let mut world = World::new(drains_long);
        for event in begun.iter().chain(events) {
            world.take(*event);
        }
    }
}

#[test]
fn a_file_that_is_back_and_that_the_signer_has_not_read() {
    let back = [
        Event::FileGone(0),
        Event::Restart,
        Event::FileBack(0),
        Event::Look(0, true),
        Event::Publish(0),
        Event::Publish(2),
        Event::Look(0, true),
        Event::Look(0, true),
    ];
    hold(&BEGUN, &back);
}

#[test]
fn a_domain_that_only_the_keeper_has_read() {
    // The third domain is new to the file that is back, so no key is in use for it at the start.
    let first = [
        Event::Put(Place::Nowhere),
        Event::Reload,
        Event::Look(0, true),
        Event::Publish(0),
        Event::Look(0, true),
        Event::Look(0, true),
        Event::FileGone(0),
        Event::Restart,
        Event::Put(Place::Sent(0)),
        Event::FileBack(0),
        Event::Look(0, true),
        Event::Publish(2),
        Event::Look(0, true),
        Event::Look(0, true),
    ];
    hold(&[], &first);
}

#[test]
fn an_organisation_that_only_the_keeper_has_read() {
    let events = [
        Event::FileGone(0),
        Event::Restart,
        Event::FileBack(0),
        Event::Look(0, true),
        Event::Publish(0),
        Event::Publish(2),
        Event::Look(0, true),
        Event::Look(0, true),
    ];
    hold(&[], &events);
}

#[test]
fn a_domain_that_went_on_to_nowhere_before_the_keeper_looked() {
    let events = [
        Event::Put(Place::Sent(1)),
        Event::Reload,
        Event::Put(Place::Nowhere),
        Event::Reload,
        Event::Look(0, true),
    ];
    hold(&BEGUN, &events);
}

#[test]
fn a_domain_that_was_parked_elsewhere_and_is_in_no_file() {
    let events = [
        Event::Put(Place::Parked(1)),
        Event::Reload,
        Event::Put(Place::Nowhere),
        Event::Reload,
    ];
    hold(&BEGUN, &events);
}
