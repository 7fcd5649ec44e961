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

/// The keeper has read the file that is back, and puts keys into use; the signer has not.
const FILE_BACK_UNREAD: [Event; 8] = [
    Event::FileGone(0),
    Event::Restart,
    Event::FileBack(0),
    Event::Look(0, true),
    Event::Publish(0),
    Event::Publish(2),
    Event::Look(0, true),
    Event::Look(0, true),
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
    hold(&BEGUN, &FILE_BACK_UNREAD);
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
    hold(&[], &FILE_BACK_UNREAD);
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

#[test]
fn a_file_and_its_keyring_are_lost_together() {
    let losses = [
        Event::KeyringGone(0),
        Event::KeyringEmptied(0),
        Event::FolderAway(0),
        Event::Unmount,
        Event::AuditGone,
    ];
    for loss in losses {
        for lost in [Event::FileGone(0), Event::FolderOfFilesGone] {
            let events = [
                loss,
                lost,
                Event::Restart,
                Event::Restart,
                Event::Reload,
                Event::Roll(0),
            ];
            hold(&BEGUN, &events);
        }
        let events = [
            Event::Put(Place::Nowhere),
            loss,
            Event::Roll(0),
            Event::Reload,
            Event::Restart,
        ];
        hold(&BEGUN, &events);
    }
}

#[test]
fn what_was_lost_and_retires_is_settled() {
    let events = [
        Event::FolderAway(0),
        Event::FileGone(0),
        Event::Restart,
        Event::Retire(0, 0),
        Event::Retire(0, 2),
        Event::FolderBack(0),
        Event::FileBack(0),
        Event::Reload,
    ];
    hold(&BEGUN, &events);
}

#[test]
fn a_new_mark_tells_what_leaves() {
    let events = [Event::MarkGone, Event::Park(1), Event::Look(1, true)];
    hold(&BEGUN, &events);
}

#[test]
fn a_key_comes_into_use_while_an_older_keystore_is_looked_at() {
    let events = [
        Event::Backup,
        Event::Put(Place::Sent(1)),
        Event::Reload,
        Event::Look(0, true),
        Event::RollBack(0),
        Event::Activate(1, 0),
    ];
    hold(&BEGUN, &events);
}
