//! What keeps the signer from starting: all of it is said at once, and nothing is left behind.

use super::support::zegel::{Org, Zegel};
use super::{orgs, refusal, refusal_by};

#[test]
fn a_broken_configuration_is_refused_with_all_its_problems() {
    let orgs = [
        Org::new("alfa", &["alfa.example", "not a domain"]).without_keys(),
        Org::new("beta", &["beta.example", "alfa.example"]).without_keys(),
    ];
    let zegel = Zegel::prepared(
        &orgs,
        "[limits]\nidel = \"600s\"\nconnections = 0\n[policy]\nbad_from = \"ignore\"\n\
         [log]\nfilter = \"inof\"\n",
    );
    let (status, text) = refusal(&zegel, &[]);
    assert_eq!(status, Some(78), "{text}");
    for (place, about) in [
        ("zegel.toml:", "limits.idel"),
        ("zegel.toml:", "limits.connections"),
        ("zegel.toml:", "policy.bad_from"),
        ("zegel.toml:", "log.filter"),
        ("orgs.d/alfa.toml:", "not a domain"),
        ("orgs.d/beta.toml:", "alfa.example"),
    ] {
        let is_named = |line: &str| line.contains(place) && line.contains(about);
        assert!(text.lines().any(is_named), "{about}:\n{text}");
    }
    assert!(
        text.lines().all(|line| line.starts_with("zegel: ")),
        "{text}"
    );
    assert!(!zegel.socket().exists());
}

#[test]
fn a_configuration_that_is_no_toml_is_refused() {
    let zegel = Zegel::prepared(&orgs(), "[limits\n");
    let (status, text) = refusal(&zegel, &[]);
    assert_eq!(status, Some(78), "{text}");
    assert!(text.contains("zegel.toml:"), "{text}");
}

#[test]
fn a_socket_that_nobody_would_answer_on_is_refused() {
    let zegel = Zegel::prepared(&orgs(), "");
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket");
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::empty()).expect("an open socket");
    let script = format!(
        "exec 3<&{}; export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=relay; exec \"$@\"",
        std::os::fd::AsRawFd::as_raw_fd(&socket)
    );
    let (status, text) = refusal_by(&zegel, &["bash", "-c", &script, "activate"]);
    assert_eq!(status, Some(78), "{text}");
    assert!(text.contains("relay") && text.contains("fd:NAME"), "{text}");
    assert!(!zegel.socket().exists());
}
