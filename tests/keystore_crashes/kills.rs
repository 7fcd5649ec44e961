//! SIGKILL at every system call that changes files; with `ZEGEL_TEST_ALL=1` at every other, too.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::operations::{Baseline, COMMANDS, KEEPER, Operation, SEAL, UNSEAL, is_short};
use crate::support::name_world::World;
use crate::support::{open_folder, require_root};
use crate::template::Template;
use crate::verdict::judge;

const WORKERS: usize = 3;
const SIGKILL: i32 = 9;

#[test]
fn a_command_that_is_killed_at_any_system_call_leaves_the_old_keys_or_the_new() {
    require_root();
    let template = Template::new("127.0.0.1:9");
    let killed: usize = COMMANDS
        .iter()
        .map(|operation| kill_everywhere(operation, &template))
        .sum();
    let expected = if is_short() { 150 } else { 500 };
    assert!(killed >= expected, "{killed} runs were killed");
}

#[test]
fn a_keeper_that_is_killed_at_any_change_leaves_the_old_keys_or_the_new() {
    require_root();
    let world = World::of_two_primaries();
    let template = Template::new(&world.resolver.address().to_string());
    publish(&world, &template);
    let killed = kill_everywhere(&KEEPER, &template);
    assert!(killed >= 60, "{killed} runs were killed");
}

#[test]
fn sealing_that_is_killed_at_any_system_call_leaves_keys_that_sign_and_can_go_on() {
    require_root();
    let template = Template::new("127.0.0.1:9");
    template.make_sealing_key();
    let expected = if is_short() { 20 } else { 100 };
    let killed = kill_everywhere(&SEAL, &template);
    assert!(killed >= expected, "{killed} runs were killed");
    template.seal();
    let killed = kill_everywhere(&UNSEAL, &template);
    assert!(killed >= expected, "{killed} runs were killed");
}

/// Sealed or not, each opens: both kinds may lie beside each other.
fn every_key_is_there(world: &Path) {
    let keystore = crate::verdict::open(world);
    for (organisation, keys) in [("een", 2), ("twee", 1)] {
        let id = organisation.parse().expect("an organisation");
        let loaded = keystore.load_organisation(&id).expect("its keys");
        assert_eq!(loaded.keys.len(), keys, "{:?}", loaded.refused);
    }
}

/// The records of all keys that there are.
fn publish(world: &World, template: &Template) {
    let keystore = crate::verdict::open(template.folder.path());
    for organisation in ["een", "twee", "drie"] {
        let id = organisation.parse().expect("an organisation");
        let loaded = keystore.load_organisation(&id).expect("its keys");
        let mut records = String::new();
        for key in loaded.keys {
            let record = key.signing_key.public_key().record();
            let selector = key.entry.selector;
            writeln!(records, "{selector}._domainkey TXT \"{record}\"").expect("a string");
        }
        world.set_both(&format!("{organisation}.example"), &records);
    }
}

/// Kills the operation everywhere and judges what is left. Gives the number of killed runs.
fn kill_everywhere(operation: &Operation, template: &Template) -> usize {
    let baseline = Baseline::record(operation, template);
    assert_eq!(
        baseline.old == baseline.new,
        operation.keeps_keyrings,
        "{}",
        operation.name
    );
    let places: Vec<_> = places(operation, &baseline).into_iter().collect();
    let (next, killed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(place) = places.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = thread::scope(|inner| {
                        let run = || kill_at(operation, place, (&baseline, template));
                        inner.spawn(run).join()
                    });
                    match outcome {
                        Ok(was_killed) => {
                            killed.fetch_add(was_killed.into(), Ordering::Relaxed);
                        }
                        Err(_) => failures.lock().expect("no panic").push(place.clone()),
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("no panic");
    let killed = killed.into_inner();
    eprintln!(
        "{}: {killed} of {} runs killed",
        operation.name,
        places.len()
    );
    assert!(failures.is_empty(), "{}: {failures:?}", operation.name);
    killed
}

/// A kind of system call, and which call of that kind by one thread.
type Place = (String, usize);

/// Every call after the keystore was opened. strace counts for each thread by itself.
fn places(operation: &Operation, baseline: &Baseline) -> BTreeSet<Place> {
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut places = BTreeSet::new();
    for (position, call) in baseline.calls.iter().enumerate() {
        let count = counts.entry((&call.thread, &call.name)).or_default();
        *count += 1;
        if position >= baseline.before && operation.is_killed_at(call) {
            places.insert((call.name.clone(), *count));
        }
    }
    places
}

/// Whether the program was killed, and did not end before it came there.
fn kill_at(
    operation: &Operation,
    (kind, count): &Place,
    (baseline, template): (&Baseline, &Template),
) -> bool {
    let parent = open_folder("killed");
    let world = template.copy(parent.path(), "world");
    let prefix = strace(kind, *count, &parent.path().join("strace"));
    let mut command = operation.under(&prefix, &world);
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    let status = status.expect("strace (tests/install-packages)");
    let was_killed = status.signal() == Some(SIGKILL);
    assert!(
        was_killed || matches!(status.code(), Some(0 | 1)),
        "{kind} {count}: {status}"
    );
    if operation.keeps_keyrings {
        every_key_is_there(&world);
        let done = operation.under(&[], &world).output();
        let done = done.expect("the program runs");
        assert!(done.status.success(), "{kind} {count}: {done:?}");
        let lying = crate::verdict::open(&world).lying().expect("a keystore");
        let plain = if operation.name == UNSEAL.name { 3 } else { 0 };
        assert_eq!(lying.plain, plain, "{kind} {count}: {lying:?}");
    }
    judge(&world, (&baseline.old, &baseline.new), template);
    was_killed
}

/// Without `--seccomp-bpf`, which strace 6.1 does not inject signals with.
fn strace(kind: &str, count: usize, log: &Path) -> Vec<String> {
    let log = log.display();
    let words = format!(
        "strace -f -qq -o {log} -e trace={kind} \
         -e inject={kind}:signal=KILL:when={count}"
    );
    words.split_whitespace().map(str::to_owned).collect()
}
