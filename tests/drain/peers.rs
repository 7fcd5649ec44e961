//! Who may connect: users of this host by their number, other hosts only when asked for.

use std::time::Instant;

use super::support::milter::Connection;
use super::support::port::Port;
use super::support::signatures::PublicKeys;
use super::support::zegel::Zegel;
use super::{assert_signed, orgs, refusal, send};

fn refused(zegel: &Zegel, listener: &str) -> u64 {
    zegel.counter(&format!(
        "zegel_peers_refused_total{{listener=\"{listener}\"}}"
    ))
}

/// A listener for all mail, and who may connect.
fn listener(name: &str, users: &str) -> String {
    format!(
        "[[listener]]\nname = \"{name}\"\nsocket = \"unix:{{folder}}/{name}.sock\"\n\
         outbound = \"all\"\nallow_users = [{users}]\n"
    )
}

#[test]
fn only_the_users_that_are_named_may_connect() {
    let own = rustix::process::geteuid().as_raw();
    let settings = [
        listener("ours", &format!("\"daemon\", \"{own}\"")),
        listener("theirs", "\"daemon\""),
    ];
    let zegel = Zegel::with_settings(&orgs(), &settings.concat());
    let keys = PublicKeys::of(&zegel.keystore());
    let begun = Instant::now();
    for times in 1..=20 {
        let mut connection = Connection::open(&zegel.milter_of("theirs"));
        assert!(!matches!(connection.read_frame(), Ok(Some(_))));
        assert_eq!(refused(&zegel, "theirs"), times);
        assert_signed(&keys, &send(&zegel.milter_of("ours")));
    }
    assert_eq!(refused(&zegel, "ours"), 0);
    let said = zegel.log().matches("allow_users does not name").count();
    let seconds = usize::try_from(begun.elapsed().as_secs()).expect("a number");
    assert!((1..=seconds + 1).contains(&said), "{said}");
    // They take nobody's place.
    assert!(zegel.metric("zegel_connections{listener=\"theirs\"}") < 1.0);
}

#[test]
fn a_user_that_is_not_there_is_named_at_the_start() {
    let zegel = Zegel::prepared(&orgs(), &listener("relay", "\"postfiks\""));
    let (status, text) = refusal(&zegel, &[]);
    assert_eq!(status, Some(78), "{text}");
    assert!(
        text.contains("\"postfiks\" is no user of this host"),
        "{text}"
    );
}

/// In so many words, and with a warning at every start.
#[test]
fn a_socket_for_other_hosts_is_warned_of_at_each_start() {
    let port = Port::free();
    let open = |more: &str| {
        format!(
            "[[listener]]\nname = \"relay\"\nsocket = \"inet:0.0.0.0:{}\"\noutbound = \"all\"\n{more}",
            port.number()
        )
    };
    let mut zegel = Zegel::prepared(&orgs(), &open(""));
    let (status, text) = refusal(&zegel, &[]);
    assert_eq!(status, Some(78), "{text}");
    assert!(text.contains("add allow_remote = true"), "{text}");
    zegel.write_settings(&open("allow_remote = true"));
    for _ in 0..2 {
        zegel.launch();
        zegel.wait_for_log("this socket is open to other hosts", 1);
        assert!(zegel.log().contains("only your own hosts can reach it"));
        assert!(zegel.terminate().success());
    }
}
