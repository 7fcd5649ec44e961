//! The signer inside the restrictions of its unit, with nothing that is not allowed there: a
//! system call that the unit forbids ends it.

use std::fs;

use super::support::zegel::Zegel;
use super::support::{checkout, sandbox};
use super::{of_nobody, sign};

/// The words in front of the signer, which has `run` in its folder to write in.
pub(crate) fn inside(zegel: &Zegel, network: &[&str], more: &[&str]) -> Vec<String> {
    let run = zegel.path("run").display().to_string();
    sandbox::words(network, &[&["--writable", &run], more].concat())
}

pub(crate) fn launch(zegel: &mut Zegel, prefix: &[String]) {
    let prefix: Vec<&str> = prefix.iter().map(String::as_str).collect();
    zegel.launch_by(&prefix);
}

fn status(process: u32, field: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{process}/status")).expect("a process");
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    line.expect("a field").trim().to_owned()
}

/// The whole of its life: start, sign, reload, pages, drain, stop.
#[track_caller]
pub(crate) fn lives(zegel: &mut Zegel) {
    assert_eq!(status(zegel.id(), "CapEff:"), "0000000000000000");
    assert_eq!(status(zegel.id(), "NoNewPrivs:"), "1");
    // Both filters, and not only for the thread that was there first.
    assert_eq!(status(zegel.id(), "Seccomp_filters:"), "2");
    sign(zegel, 20);
    zegel.signal("HUP");
    zegel.wait_for_log(" reloaded ", 1);
    sign(zegel, 20);
    // A reload that fails, and one that is right again.
    let settings = fs::read_to_string(zegel.path("zegel.toml")).expect("settings");
    fs::write(zegel.path("zegel.toml"), "[limits").expect("settings");
    zegel.signal("HUP");
    zegel.wait_for_log("reload failed", 1);
    fs::write(zegel.path("zegel.toml"), settings).expect("settings");
    zegel.signal("HUP");
    zegel.wait_for_log(" reloaded ", 2);
    sign(zegel, 1);
    let ended = zegel.terminate();
    assert!(ended.success(), "{ended}:\n{}", zegel.log());
    let left: Vec<_> = fs::read_dir(zegel.path("run")).expect("a folder").collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_signer_lives_inside_the_restrictions_of_its_unit() {
    let mut zegel = of_nobody("");
    let prefix = inside(&zegel, &[], &[]);
    launch(&mut zegel, &prefix);
    assert!(
        zegel
            .page("/metrics")
            .is_some_and(|page| page.contains("200 OK"))
    );
    lives(&mut zegel);
}

/// As under systemd/unix-sockets.conf: there is no network at all.
#[test]
fn a_signer_on_unix_sockets_needs_no_network() {
    let mut zegel = of_nobody("[http]\nlisten = \"unix:{folder}/run/http.sock\"\n");
    let prefix = inside(&zegel, &["--net"], &["--drop-in", &drop_in()]);
    launch(&mut zegel, &prefix);
    let network = |process| fs::read_link(format!("/proc/{process}/ns/net")).expect("a process");
    assert_ne!(network(zegel.id()), network(std::process::id()));
    lives(&mut zegel);
}

fn drop_in() -> String {
    let path = checkout().join("systemd/zegel.service.d/unix-sockets.conf");
    path.display().to_string()
}
