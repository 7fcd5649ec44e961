//! A queue that goes round those who wait, however many places each of them has taken.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
};

/// What waits, in one lane for each owner; the lanes are served in turn, each in the order
/// of arrival.
#[derive(Debug)]
pub(super) struct FairQueue<Owner, Item> {
    /// Never empty: an owner without anything to wait for has no lane.
    lanes: HashMap<Owner, VecDeque<Item>>,
    /// The owners of the lanes, the next one to be served first.
    order: VecDeque<Owner>,
}

impl<Owner: Clone + Eq + Hash, Item> FairQueue<Owner, Item> {
    /// One in which nothing waits.
    pub(super) fn new() -> Self {
        Self {
            lanes: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Adds an item at the end of its owner's lane.
    pub(super) fn push(&mut self, owner: Owner, item: Item) {
        if let Some(lane) = self.lanes.get_mut(&owner) {
            return lane.push_back(item);
        }
        self.order.push_back(owner.clone());
        self.lanes.insert(owner, VecDeque::from([item]));
    }

    /// Takes the first item of the owner whose turn it is.
    pub(super) fn pop(&mut self) -> Option<Item> {
        let owner = self.order.pop_front()?;
        let lane = self.lanes.get_mut(&owner)?;
        let item = lane.pop_front();
        if lane.is_empty() {
            self.lanes.remove(&owner);
        } else {
            self.order.push_back(owner);
        }
        item
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_of_many_waits_for_one_of_each_other() {
        let mut queue = FairQueue::new();
        for number in 0..100 {
            queue.push("flood", number);
        }
        queue.push("other", 1000);
        queue.push("third", 2000);
        let first: Vec<i32> = (0..5).filter_map(|_| queue.pop()).collect();
        assert_eq!(first, [0, 1000, 2000, 1, 2]);
    }

    proptest! {
        /// Nothing is lost or doubled, each owner keeps the order of arrival, and between
        /// two items of one owner every other one who waits is served.
        #[test]
        fn it_goes_round(steps in prop::collection::vec(prop::option::of(0..5_usize), 0..200)) {
            let mut queue = FairQueue::new();
            let mut waiting = [const { VecDeque::new() }; 5];
            // For each owner those who have been served since it began to wait.
            let mut passed = [[0; 5]; 5];
            for (number, step) in steps.into_iter().enumerate() {
                if let Some(owner) = step {
                    if waiting[owner].is_empty() {
                        passed[owner] = [0; 5];
                    }
                    waiting[owner].push_back(number);
                    queue.push(owner, (owner, number));
                } else if let Some((owner, number)) = queue.pop() {
                    prop_assert_eq!(waiting[owner].pop_front(), Some(number));
                    passed[owner] = [0; 5];
                    for other in (0..5).filter(|other| !waiting[*other].is_empty()) {
                        if other != owner {
                            passed[other][owner] += 1;
                            prop_assert!(passed[other][owner] <= 1);
                        }
                    }
                } else {
                    prop_assert!(waiting.iter().all(VecDeque::is_empty));
                }
            }
        }
    }
}
