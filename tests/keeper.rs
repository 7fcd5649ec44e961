//! The keeper as a process: signals, a configuration that changes, a single round.

#[path = "support/mod.rs"]
mod support;

use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use support::keeper::{Keeper, command};
use support::name_world::World;
use support::port::Port;
use support::zegel::{Org, Zegel};

const DOMAIN: &str = "alfa.example";

fn settings(resolver: SocketAddr, http: &Port) -> String {
    let http = http.number();
    format!(
        "[keeper]\nresolvers = [\"{resolver}\"]\nhttp = \"127.0.0.1:{http}\"\ncheck_every = \"1h\"\n"
    )
}

fn finding(code: &str) -> String {
    format!("zegel_dns_finding{{organisation=\"een\",domain=\"{DOMAIN}\",code=\"{code}\"}} 1")
}

#[track_caller]
fn wait_for(keeper: &Keeper, what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        let log = keeper.log();
        assert!(begun.elapsed() < Duration::from_secs(30), "{what}\n{log}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_hangup_reads_the_configuration_and_looks_at_once() {
    let world = World::start();
    world.set_both(DOMAIN, "");
    let http = Port::free();
    let dead = SocketAddr::from((world.dead_address(), 53));
    let org = Org::new("een", &[DOMAIN]).without_keys();
    let zegel = Zegel::prepared(&[org], &settings(dead, &http));
    let mut keeper = Keeper::start(&zegel.path(""), &http);
    let counted = |text: &str| keeper.log().matches(text).count();
    let rounds = || counted("all organisations have been looked at");
    wait_for(&keeper, "a key is made", || rounds() == 1);
    keeper.signal("-HUP");
    let unreachable = finding("dkim.unreachable");
    wait_for(&keeper, &unreachable, || keeper.shows(&unreachable));
    // Many at once, half of it broken: the rest stays, and is complained of once.
    zegel.write_settings("[keeper]\ncheck_every = 1\n");
    for before in [rounds(), rounds() + 1] {
        wait_for(&keeper, "a round", || rounds() >= before);
        keeper.signal("-HUP");
        wait_for(&keeper, "one more", || rounds() > before);
    }
    let complaints = counted("the configuration has problems");
    assert_eq!(complaints, 1, "{}", keeper.log());
    // The resolvers count from now on, and not from the next start.
    zegel.write_settings(&settings(world.resolver.address(), &http));
    keeper.signal("-HUP");
    let missing = finding("dkim.missing");
    wait_for(&keeper, &missing, || keeper.shows(&missing));
    assert!(!keeper.shows(&unreachable));
    assert_eq!(counted("finding in DNS"), 2, "{}", keeper.log());
    assert!(counted("no longer found in DNS") == 1, "{}", keeper.log());
    assert!(keeper.end("-TERM").success());
}

/// For a timer: what waits for somebody else's first step is no failure.
#[test]
fn a_single_round_says_whether_somebody_should_look() {
    let world = World::start();
    world.set_both(DOMAIN, "");
    let org = Org::new("een", &[DOMAIN]).without_keys();
    let zegel = Zegel::prepared(&[org], &settings(world.resolver.address(), &Port::free()));
    let folder = zegel.path("");
    assert_eq!(once(&folder), Some(0));
    assert_eq!(once(&folder), Some(0));
    world.secondary.pause();
    assert_eq!(once(&folder), Some(1));
}

fn once(folder: &Path) -> Option<i32> {
    let output = command(folder, &["keeper", "--once"]);
    output.status.code()
}
