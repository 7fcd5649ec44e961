//! A keystore whose writers are killed at every system call, or find the disk full or slow.
//!
//! strace kills the program as it enters its n-th call of a kind, for every kind and every n from
//! the moment it opens the keystore. As nothing but system calls changes files, this is every
//! state that a crash can leave behind, but for what a power failure takes from the disk. The
//! short form takes the calls that change files, which leaves the same states;
//! `ZEGEL_TEST_ALL=1 tests/run --test keystore_crashes` takes all.

#[path = "../support/mod.rs"]
mod support;

mod full_disk;
mod kills;
mod operations;
mod slow_disk;
mod template;
mod verdict;
