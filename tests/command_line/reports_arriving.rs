//! A Maildir that is emptied, and a store that belongs to another user.

use std::{fs, os::unix::fs::PermissionsExt};

use crate::{
    reports::{names, report, setup},
    setup::{Done, Setup, finish},
};

/// With an empty Maildir in the folder of the test, for the user nobody if this is root.
fn with_maildir() -> Setup {
    let setup = setup();
    for name in ["Maildir", "Maildir/cur", "Maildir/new", "Maildir/tmp"] {
        fs::create_dir(setup.path(name)).unwrap();
    }
    let text = fs::read_to_string(setup.path("zegel.toml")).unwrap();
    let maildir = setup.path("Maildir");
    let text = format!("{text}maildir = \"{}\"\n", maildir.display());
    setup.write("zegel.toml", &text);
    setup
}

#[test]
fn a_maildir_is_emptied_of_what_is_kept_or_put_aside() {
    let setup = with_maildir();
    let empty = ["report", "ingest", "--maildir"];
    let mail = |text: &str| format!("Subject: x\n\n{text}");
    let ours = mail(&report("1", "voorbeeld.nl", 5));
    setup.write("Maildir/new/1", &ours);
    setup.write("Maildir/cur/2:2,S", &ours);
    setup.write("Maildir/new/3", &mail(&report("2", "ander.nl", 5)));
    setup.write("Maildir/new/4", "Subject: x\n\nhello\n");
    setup.write("Maildir/new/.5", "not a message");
    setup.write("Maildir/tmp/6", &ours);
    setup.write("outside", &ours);
    let link = setup.path("Maildir/new/7");
    std::os::unix::fs::symlink(setup.path("outside"), link).unwrap();
    std::os::unix::net::UnixListener::bind(setup.path("Maildir/new/8")).unwrap();
    let made = std::process::Command::new("mkfifo")
        .arg(setup.path("Maildir/new/9"))
        .status();
    assert!(made.unwrap().success());
    fs::create_dir(setup.path("Maildir/new/folder")).unwrap();

    let dry = setup.run([&empty[..], &["--dry-run"]].concat()).expect(0);
    dry.says(&["files: 4", "1 stored"]);
    assert_eq!(names(&setup.path("Maildir/new")).len(), 8);
    let done = setup.run(empty).expect(0);
    done.says(&[
        "files: 4",
        "1 stored",
        "1 there already",
        "1 of other domains",
    ])
    .complains(&["Maildir/new/4: "]);
    let left = [".5", "7", "8", "9", "folder"];
    assert_eq!(names(&setup.path("Maildir/new")), left);
    assert_eq!(names(&setup.path("Maildir/cur")), [""; 0]);
    assert_eq!(names(&setup.path("Maildir/tmp")), ["6"]);
    assert!(setup.path("outside").exists());
    assert_eq!(names(&setup.path("reports/refused")).len(), 2);
    let again = setup.run(empty).expect(0);
    assert_eq!((again.out.as_str(), again.err.as_str()), ("", ""));
}

#[test]
fn nothing_goes_from_a_maildir_that_could_not_be_kept() {
    let setup = with_maildir();
    let empty = ["report", "ingest", "--maildir"];
    let mail = format!("Subject: x\n\n{}", report("1", "voorbeeld.nl", 5));
    setup.write("Maildir/new/1", &mail);
    setup.write("Maildir/new/2", "Subject: x\n\nhello\n");
    setup.write("reports", "a file");
    setup.run(empty).expect(75).complains(&["reports"]);
    assert_eq!(names(&setup.path("Maildir/new")), ["1", "2"]);
    fs::remove_file(setup.path("reports")).unwrap();
    // What is refused cannot be put aside.
    fs::create_dir(setup.path("reports")).unwrap();
    setup.write("reports/refused", "a file");
    setup.run(empty).expect(75);
    assert_eq!(names(&setup.path("Maildir/new")), ["1", "2"]);
    fs::remove_file(setup.path("reports/refused")).unwrap();
    setup.run(empty).expect(0).says(&["1 stored"]);
    assert_eq!(names(&setup.path("Maildir/new")), [""; 0]);

    fs::remove_dir(setup.path("Maildir/cur")).unwrap();
    let none = setup.run(empty).expect(2);
    none.complains(&["is no Maildir: cur in it", "[reports] maildir"]);
    let other = self::setup();
    other.run(empty).expect(2).complains(&["no Maildir is set"]);
}

fn open_to_all(setup: &Setup) {
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(setup.path(""), open).unwrap();
}

/// The program, run by the user nobody.
fn as_nobody(setup: &Setup, arguments: &[&str], input: &str) -> Done {
    assert!(
        rustix::process::geteuid().is_root(),
        "this test runs as root, as those with real mail servers"
    );
    open_to_all(setup);
    let program = setup.path("zegel");
    if !program.exists() {
        fs::copy(env!("CARGO_BIN_EXE_zegel"), &program).unwrap();
    }
    let mut command = std::process::Command::new("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&program)
        .arg("--config")
        .arg(setup.path("zegel.toml"))
        .args(arguments)
        .current_dir("/");
    finish(&mut command, input.as_bytes())
}

#[test]
fn what_cannot_be_read_or_deleted_stays_in_the_maildir() {
    let setup = with_maildir();
    let empty = ["report", "ingest", "--maildir"];
    fs::create_dir(setup.path("reports")).unwrap();
    std::os::unix::fs::chown(setup.path("reports"), Some(65_534), Some(65_534)).unwrap();
    let mail = format!("Subject: x\n\n{}", report("1", "voorbeeld.nl", 5));
    setup.write("Maildir/cur/1", &mail);
    setup.write("Maildir/new/2", "secret");
    let secret = fs::Permissions::from_mode(0o600);
    fs::set_permissions(setup.path("Maildir/new/2"), secret).unwrap();
    let done = as_nobody(&setup, &empty, "").expect(1);
    done.says(&["1 stored"]).complains(&[
        "cur/1: it is read and cannot be deleted: Permission denied",
        "new/2: Permission denied",
    ]);
    assert_eq!(names(&setup.path("Maildir/cur")), ["1"]);
    assert_eq!(names(&setup.path("Maildir/new")), ["2"]);
    // It counts once, however often it is read.
    as_nobody(&setup, &empty, "")
        .expect(1)
        .says(&["1 there already"]);
}

/// The store of another user: root works in it as that user.
#[test]
fn what_root_does_to_the_store_locks_its_owner_out_of_nothing() {
    let setup = Setup::with_key();
    let state = setup.path("reports");
    fs::create_dir(&state).unwrap();
    std::os::unix::fs::chown(&state, Some(65_534), Some(65_534)).unwrap();
    let text = fs::read_to_string(setup.path("zegel.toml")).unwrap();
    let text = format!("{text}[reports]\nstate = \"{}\"\n", state.display());
    setup.write("zegel.toml", &text);
    open_to_all(&setup);
    // Root makes the store, and puts the first thing aside.
    let rubbish = setup.write("rubbish", "hello");
    let first = setup.write("first.xml", &report("1", "voorbeeld.nl", 5));
    setup
        .run(["report", "ingest", &rubbish, &first])
        .expect(1)
        .says(&["1 stored"]);
    let name = ["report", "name", "voorbeeld.nl", "forwarding"];
    let name = [&name[..], &["--as", "forwarding"]].concat();
    for number in 2..5 {
        let mail = format!(
            "Subject: x\n\n{}",
            report(&number.to_string(), "voorbeeld.nl", 5)
        );
        as_nobody(&setup, &["report", "ingest", "--deliver"], &mail).expect(0);
        as_nobody(
            &setup,
            &["report", "ingest", "--deliver"],
            "Subject: x\n\nx\n",
        )
        .expect(0);
        setup.run(&name).expect(0);
        setup
            .run(["report", "streams", "voorbeeld.nl"])
            .expect(0)
            .says(&["forwarding"]);
    }
    let done = setup.run(["report", "forget", "--before", "2020-01-01"]);
    done.expect(0);
    let owned = std::process::Command::new("find")
        .arg(&state)
        .args(["!", "-user", "nobody", "-o", "!", "-group", "nogroup"])
        .output();
    assert_eq!(String::from_utf8(owned.unwrap().stdout).unwrap(), "");
    // And it can read no key, nor say what streams are: that takes the keys of the organisation.
    let streams = as_nobody(&setup, &["report", "streams", "voorbeeld.nl"], "");
    assert_ne!(streams.status, 0, "{}", streams.out);
    let key = setup.path("keys/voorbeeld/s1.pem");
    assert!(key.exists());
    let read = std::process::Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "cat"])
        .arg(&key)
        .output();
    assert!(!read.unwrap().status.success());
}

/// It is a hint: what is wrong is something else.
#[test]
fn check_says_where_nobody_can_tell_a_forged_report() {
    let hints = |setup: &Setup| {
        let found = setup.run(["check", "--json"]).json();
        let warnings = found["warnings"].as_array().unwrap().iter();
        let hints = warnings.filter(|one| one["key"] == "reports.authserv_id");
        let hints: Vec<_> = hints.map(|one| one["severity"].clone()).collect();
        assert_eq!(found["problems"].as_array().unwrap().len(), 0, "{found}");
        hints
    };
    let without_reports = Setup::with_key();
    assert_eq!(hints(&without_reports).len(), 0);
    let setup = with_maildir();
    setup.run(["check"]).complains(&["[reports] authserv_id"]);
    assert_eq!(hints(&setup), ["note"]);
    let text = fs::read_to_string(setup.path("zegel.toml")).unwrap();
    let maildir = text.lines().last().unwrap();
    // By a pipe, to the address that the packs ask for; once a report has come.
    let piped = text.replace(maildir, "[handover]\nrua = \"dmarc@relay.example\"");
    setup.write("zegel.toml", &piped);
    assert_eq!(hints(&setup).len(), 0);
    let file = setup.write("report.xml", &report("1", "voorbeeld.nl", 5));
    setup.run(["report", "ingest", &file]).expect(0);
    assert_eq!(hints(&setup), ["note"]);
    setup.write(
        "zegel.toml",
        &format!("{text}authserv_id = \"mx.relay.example\"\n"),
    );
    assert_eq!(hints(&setup).len(), 0);
}
