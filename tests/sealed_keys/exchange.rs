//! Other sealing keys by a reload: no process is started again, everything signs, and a list that
//! can't be used changes nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::support::keeper::Keeper;
use super::support::name_world::World;
use super::support::port::Port;
use super::support::zegel::{Org, Zegel};
use super::{
    assert_put_off, assert_sealed_with, assert_signed, configure, make_sealing_key, public_keys,
    run, sealed, wait_until,
};

/// Has it reload, and waits for the line of the log that says so once more.
#[track_caller]
fn reload(zegel: &Zegel, line: &str) {
    let times = zegel.log().matches(line).count();
    zegel.signal("HUP");
    zegel.wait_for_log(line, times + 1);
}

#[test]
fn a_sealing_key_is_replaced_by_reloads_alone() {
    let mut zegel = sealed();
    let keys = public_keys(&zegel);
    zegel.launch();
    assert_signed(&zegel, &keys, "een.example", 2);
    let process = zegel.id();

    let second = make_sealing_key(&zegel, "second.key");
    configure(&zegel, &["second.key", "sealing.key"]);
    reload(&zegel, "reloaded: keystore.sealing_keys: ");
    assert_signed(&zegel, &keys, "een.example", 2);
    run(&zegel, &["keystore", "seal"]);
    assert_sealed_with(&zegel, &second);
    // One that was read already, and one that is read now.
    assert_signed(&zegel, &keys, "een.example", 2);
    assert_signed(&zegel, &keys, "twee.example", 1);

    configure(&zegel, &["second.key"]);
    reload(&zegel, "reloaded: keystore.sealing_keys: ");
    fs::remove_file(zegel.path("sealing.key")).expect("the old sealing key");
    // A reload that changes nothing there does not ask for the files again.
    let away = zegel.path("away");
    fs::rename(zegel.path("second.key"), &away).expect("a file");
    reload(&zegel, " reloaded ");
    fs::rename(&away, zegel.path("second.key")).expect("a file");
    assert_signed(&zegel, &keys, "een.example", 2);

    let new = ["key", "generate", "twee", "--another", "--selector", "n1"];
    run(&zegel, &new);
    run(
        &zegel,
        &["key", "activate", "twee", "n1", "--assume-published"],
    );
    zegel.wait_for_log("twee-rsa -> n1", 1);
    let keystore = zegel.keystore().sealed_by(&[zegel.path("second.key")]);
    let keys = super::PublicKeys::of(&keystore);
    assert_signed(&zegel, &keys, "twee.example", 1);
    assert_eq!(zegel.id(), process);
    assert!(!zegel.log().contains("ERROR"), "{}", zegel.log());
}

#[test]
fn a_list_of_sealing_keys_that_cannot_be_used_changes_nothing() {
    let mut zegel = sealed();
    let keys = public_keys(&zegel);
    let second = make_sealing_key(&zegel, "second.key");
    let first = zegel::keystore::Keystore::open(&zegel.path("keys"))
        .expect("the keystore")
        .sealed_by(&[zegel.path("sealing.key")])
        .sealing_keys()
        .expect("a sealing key")
        .ids()[0];
    fs::write(
        zegel.path("open.key"),
        fs::read(zegel.path("second.key")).expect("a file"),
    )
    .expect("a file");
    fs::set_permissions(zegel.path("open.key"), fs::Permissions::from_mode(0o644)).expect("a mode");
    fs::write(
        zegel.path("none.key"),
        "no sealing key at all, but some words\n",
    )
    .expect("a file");
    fs::set_permissions(zegel.path("none.key"), fs::Permissions::from_mode(0o600)).expect("a mode");
    zegel.launch();
    assert_signed(&zegel, &keys, "een.example", 2);
    let failed = || zegel.counter("zegel_reload_total{result=\"failed\"}");
    let needed = format!("keys are still sealed with {first}");
    for (number, (list, says)) in [
        (
            &["missing.key", "sealing.key"][..],
            "missing.key: it does not exist",
        ),
        (&["sealing.key", "open.key"], "mode 0644"),
        (&["none.key", "sealing.key"], "this is no sealing key"),
        (&["second.key"], "no key of this keystore can be opened"),
        (&[], "no key of this keystore can be opened"),
    ]
    .into_iter()
    .enumerate()
    {
        configure(&zegel, list);
        reload(&zegel, "reload failed, all stays as it was: ");
        let log = zegel.log();
        let mut last = log.lines().filter(|line| line.contains("reload failed"));
        let last = last.next_back().expect("a line");
        assert!(last.contains(says), "{list:?}: {last}");
        assert_eq!(failed(), number as u64 + 1);
        assert_signed(&zegel, &keys, "een.example", 2);
    }
    // Half of the keys are sealed with the new one, and the old one is taken out too early.
    configure(&zegel, &["second.key", "sealing.key"]);
    reload(&zegel, "reloaded: keystore.sealing_keys: ");
    fs::rename(zegel.path("keys/twee"), zegel.path("away")).expect("a folder");
    run(&zegel, &["keystore", "seal"]);
    fs::rename(zegel.path("away"), zegel.path("keys/twee")).expect("a folder");
    configure(&zegel, &["second.key"]);
    reload(&zegel, "reload failed, all stays as it was: ");
    assert!(zegel.log().contains(&needed), "{}", zegel.log());
    // What was never read is opened with the old one all the same.
    assert_signed(&zegel, &keys, "twee.example", 1);
    configure(&zegel, &["second.key", "sealing.key"]);
    run(&zegel, &["keystore", "seal"]);
    assert_sealed_with(&zegel, &second);
    configure(&zegel, &["second.key"]);
    reload(&zegel, "reloaded: keystore.sealing_keys: ");
    assert_signed(&zegel, &keys, "twee.example", 1);
}

/// Whoever has named the wrong file puts that right without a start.
#[test]
fn a_signer_that_waits_takes_other_sealing_keys() {
    let mut zegel = sealed();
    let keys = public_keys(&zegel);
    configure(&zegel, &["missing.key"]);
    let why = zegel.launch_unready(&[]);
    assert!(why.contains("missing.key"), "{why}");
    assert_put_off(&zegel, "een.example");
    configure(&zegel, &["sealing.key"]);
    zegel.signal("HUP");
    wait_until("it is ready", || zegel.why_unready().is_none());
    assert_signed(&zegel, &keys, "een.example", 2);
}

#[test]
fn a_keeper_seals_with_the_key_that_a_reload_brings() {
    let world = World::start();
    let zegel = sealed();
    let port = Port::free();
    let set = |list: &[&str]| {
        configure(&zegel, list);
        let settings = fs::read_to_string(zegel.path("zegel.toml")).expect("settings");
        let keeper = format!(
            "{settings}\n[keeper]\nhttp = \"127.0.0.1:{}\"\nlocal_servers = true\n\
             resolvers = [\"{}\"]\n",
            port.number(),
            world.resolver.address()
        );
        fs::write(zegel.path("zegel.toml"), keeper).expect("settings");
    };
    let add = |id: &str| {
        let domain = format!("{id}.example");
        world.set_both(&domain, "");
        zegel.add(&Org::new(id, &[&domain]).without_keys());
    };
    let first_line = |id: &str| {
        let entries = fs::read_dir(zegel.path(&format!("keys/{id}"))).ok()?;
        let mut paths = entries.map(|entry| entry.expect("an entry").path());
        let key = paths.find(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            path.extension().is_some_and(|end| end == "pem") && !name.starts_with('.')
        })?;
        let text = fs::read_to_string(key).ok()?;
        text.lines().next().map(str::to_owned)
    };
    for domain in ["een.example", "twee.example"] {
        world.set_both(domain, "");
    }
    set(&["sealing.key"]);
    let mut keeper = Keeper::start(&zegel.path(""), &port);
    let second = make_sealing_key(&zegel, "second.key");
    set(&["second.key", "sealing.key"]);
    keeper.signal("-HUP");
    wait_until("it has the new list", || {
        keeper.log().contains("reloaded: keystore.sealing_keys: ")
    });
    add("drie");
    wait_until("a key is made", || first_line("drie").is_some());
    let with_second = Some(format!("zegel-sealed-key 1 sealing-key={second}"));
    assert_eq!(first_line("drie"), with_second);
    // A list with a file that is missing: all stays, organisations too, and it says so.
    set(&["missing.key", "second.key"]);
    keeper.signal("-HUP");
    wait_until("it refuses the list", || {
        let log = keeper.log();
        log.contains("missing.key: it does not exist")
            && log.contains("the configuration has problems, all stays as it was")
    });
    set(&["second.key", "sealing.key"]);
    add("vier");
    keeper.signal("-HUP");
    wait_until("a key is made", || first_line("vier").is_some());
    assert_eq!(first_line("vier"), with_second);
    let log = keeper.log();
    assert!(
        !log.contains("takes effect at the next start only"),
        "{log}"
    );
    assert!(keeper.end("-TERM").success());
}
