//! `zegel report ingest`, over files as reporters send them.

use std::{fs, os::unix::fs::PermissionsExt};

use jiff::Timestamp;

use crate::setup::{Done, Setup, finish};

/// With the store of reports in the folder of the test.
fn setup() -> Setup {
    let setup = Setup::new();
    let file = setup.path("zegel.toml");
    let state = setup.path("reports");
    let text = fs::read_to_string(&file).unwrap();
    let text = format!("{text}[reports]\nstate = \"{}\"\n", state.display());
    fs::write(&file, text).unwrap();
    setup
}

/// A report about yesterday, with so many messages from one address.
pub(crate) fn report(id: &str, domain: &str, messages: u64) -> String {
    let begin = (Timestamp::now().as_second() / 86_400 - 1) * 86_400;
    let end = begin + 86_399;
    format!(
        "<?xml version=\"1.0\"?><feedback><version>1.0</version><report_metadata>\
         <org_name>google.com</org_name><email>noreply@google.com</email>\
         <report_id>{id}</report_id><date_range><begin>{begin}</begin><end>{end}</end></date_range>\
         </report_metadata><policy_published><domain>{domain}</domain><p>none</p>\
         </policy_published><record><row><source_ip>192.0.2.1</source_ip>\
         <count>{messages}</count><policy_evaluated><disposition>none</disposition>\
         <dkim>pass</dkim><spf>fail</spf></policy_evaluated></row><identifiers>\
         <header_from>{domain}</header_from></identifiers><auth_results><dkim>\
         <domain>{domain}</domain><selector>s1</selector><result>pass</result></dkim>\
         </auth_results></record></feedback>"
    )
}

#[test]
fn each_report_counts_once_and_a_fuller_one_takes_its_place() {
    let setup = setup();
    let ingest = |text: &str| {
        let file = setup.write("a.xml", text);
        let found = setup
            .run(["report", "ingest", "--json", &file])
            .expect(0)
            .json();
        found["files"][0]["reports"][0]["outcome"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(ingest(&report("1", "voorbeeld.nl", 5)), "stored");
    assert_eq!(ingest(&report("1", "voorbeeld.nl", 5)), "duplicate");
    assert_eq!(ingest(&report("1", "voorbeeld.nl", 4)), "duplicate");
    assert_eq!(ingest(&report("1", "voorbeeld.nl", 9)), "replaced");
    assert_eq!(ingest(&report("1", "voorbeeld.nl", 9)), "duplicate");
    assert_eq!(ingest(&report("2", "spook.oud-voorbeeld.nl", 1)), "stored");
    assert_eq!(ingest(&report("2", "ander.nl", 1)), "not_ours");
    let state = setup.path("reports");
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(state.clone()), 0o750);
    assert_eq!(mode(state.join("reports.sqlite")), 0o640);
}

#[test]
fn a_folder_is_read_whole_and_a_bad_report_stops_nothing() {
    let setup = setup();
    let folder = setup.path("in");
    for name in ["", "cur", "new", "tmp"] {
        fs::create_dir_all(folder.join(name)).unwrap();
    }
    let one = report("1", "voorbeeld.nl", 5);
    fs::write(folder.join("a.xml"), &one).unwrap();
    fs::write(folder.join("b.xml"), &one[..300]).unwrap();
    fs::write(folder.join("tmp/c.xml"), "half").unwrap();
    let mail = format!("Subject: x\n\n{}", report("2", "voorbeeld.nl", 7));
    fs::write(folder.join("new/d"), &mail).unwrap();
    let failure = "Content-Type: multipart/report; report-type=feedback-report; boundary=x\n\n\
        --x\n\nsecret\n";
    fs::write(folder.join("new/e"), failure).unwrap();
    let folder = folder.display().to_string();
    let dry = ["report", "ingest", "--dry-run", &folder];
    setup.run(dry).expect(1).says(&["2 stored", "refused: 2"]);
    assert!(!setup.path("reports").exists());
    let done = setup.run(["report", "ingest", &folder]).expect(1);
    done.says(&["files: 4, reports: 2 (2 stored", "messages: 12"])
        .complains(&["b.xml: the XML ends before the report does"]);
    let kept: Vec<_> = fs::read_dir(setup.path("reports/refused"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(kept.len(), 2, "{kept:?}");
    for path in kept {
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains("secret"), "{text}");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
    let again = setup
        .run(["report", "ingest", "--json", "--sources", &folder])
        .expect(1);
    let again = again.json();
    assert_eq!(again["totals"]["duplicate"], 2, "{again}");
    assert_eq!(
        again["files"][0]["reports"][0]["sources"]["192.0.2.1"], 5,
        "{again}"
    );
}

#[test]
fn a_message_from_the_mta_comes_again_only_if_it_could_not_be_kept() {
    let setup = setup();
    let deliver = ["report", "ingest", "--deliver"];
    let mail = format!("Subject: x\n\n{}", report("1", "voorbeeld.nl", 5));
    let done = setup.run_with(&deliver, mail.as_bytes()).expect(0);
    assert_eq!(done.out, "");
    let rubbish = b"Subject: x\n\nhello\n";
    setup.run_with(&deliver, rubbish).expect(0);
    assert_eq!(names(&setup.path("reports/refused")).len(), 2);
    // An MTA may put such a line in front; two messages are a mailbox, of which there is no copy.
    let line = b"From a@b.example Mon Nov 30 00:00:00 2026\n";
    let lined = [&line[..], rubbish].concat();
    setup.run_with(&deliver, &lined).expect(0);
    assert_eq!(names(&setup.path("reports/refused")).len(), 4);
    let two = [&lined[..], b"\n", &lined].concat();
    setup.run_with(&deliver, &two).expect(0);
    assert_eq!(names(&setup.path("reports/refused")).len(), 5);
    let again = ["report", "ingest", "--json", "-"];
    let found = setup.run_with(&again, mail.as_bytes()).expect(0).json();
    assert_eq!(found["totals"]["duplicate"], 1, "{found}");
    fs::remove_dir_all(setup.path("reports")).unwrap();
    setup.write("reports", "a file");
    setup.run_with(&deliver, mail.as_bytes()).expect(75);
    setup.write("zegel.toml", "rubbish");
    setup.run_with(&deliver, mail.as_bytes()).expect(75);
}

/// A row: address, messages, what was evaluated (DKIM, SPF), and signatures with their results.
type Row<'a> = (
    &'a str,
    u64,
    (bool, bool),
    &'a [(&'a str, &'a str, &'a str)],
);

/// Ten days of one reporter, each with a report of these rows.
fn days(setup: &Setup, rows: &[Row<'_>]) {
    let now = Timestamp::now().as_second() / 86_400;
    let folder = setup.path("in");
    fs::create_dir_all(&folder).unwrap();
    let records = rows.iter().map(record).collect::<Vec<_>>().concat();
    for day in now - 10..now {
        let begin = day * 86_400;
        let text = format!(
            "<feedback><report_metadata><org_name>google.com</org_name><report_id>{day}\
             </report_id><date_range><begin>{begin}</begin><end>{}</end></date_range>\
             </report_metadata><policy_published><domain>voorbeeld.nl</domain>\
             </policy_published>{records}</feedback>",
            begin + 86_399
        );
        fs::write(folder.join(format!("{day}.xml")), text).unwrap();
    }
    let folder = folder.display().to_string();
    setup.run(["report", "ingest", &folder]).expect(0);
}

fn record((address, count, (dkim, spf), signatures): &Row<'_>) -> String {
    let word = |is: &bool| if *is { "pass" } else { "fail" };
    let signature = |(domain, selector, result): &(&str, &str, &str)| {
        format!(
            "<dkim><domain>{domain}</domain><selector>{selector}</selector>\
             <result>{result}</result></dkim>"
        )
    };
    let signatures = signatures
        .iter()
        .map(signature)
        .collect::<Vec<_>>()
        .concat();
    format!(
        "<record><row><source_ip>{address}</source_ip><count>{count}</count>\
         <policy_evaluated><disposition>none</disposition><dkim>{}</dkim>\
         <spf>{}</spf></policy_evaluated></row><identifiers>\
         <header_from>voorbeeld.nl</header_from></identifiers>\
         <auth_results>{signatures}</auth_results></record>",
        word(dkim),
        word(spf)
    )
}

/// The ids, classes and messages of the streams, which add up.
fn streams(setup: &Setup) -> Vec<(String, String, u64)> {
    let found = setup.run(["report", "streams", "voorbeeld.nl", "--json"]);
    let found = found.expect(0).json();
    let told = |one: &serde_json::Value| {
        let word = |member: &str| one[member].as_str().unwrap().to_owned();
        (word("id"), word("class"), one["messages"].as_u64().unwrap())
    };
    let streams: Vec<_> = found["streams"]
        .as_array()
        .unwrap()
        .iter()
        .map(told)
        .collect();
    let sum: u64 = streams.iter().map(|(_, _, messages)| messages).sum();
    assert_eq!(found["messages"], sum, "{found}");
    streams
}

#[test]
fn who_sends_is_sorted_named_and_forgotten() {
    let setup = Setup::with_key();
    let file = setup.path("zegel.toml");
    let text = fs::read_to_string(&file).unwrap();
    let state = setup.path("reports");
    let relay = text.replace(
        "[keeper]\n",
        "[keeper]\nrelay_addresses = [\"192.0.2.1\"]\n",
    );
    let reports = format!("[reports]\nstate = \"{}\"\n", state.display());
    fs::write(&file, format!("{relay}{reports}")).unwrap();
    let none = setup.run(["report", "streams", "voorbeeld.nl"]).expect(1);
    none.complains(&["no report has been read yet"]);
    let ours = ("voorbeeld.nl", "s1", "pass");
    let broken = [("voorbeeld.nl", "s1", "fail"), ("lijst.org", "l", "pass")];
    days(
        &setup,
        &[
            ("192.0.2.1", 100, (true, true), &[ours]),
            ("198.51.100.1", 7, (true, false), &[ours]),
            ("198.51.100.2", 5, (false, false), &broken),
            (
                "203.0.113.4",
                40,
                (false, false),
                &[("factuur.nl", "fs", "pass")],
            ),
            ("203.0.113.5", 2, (false, true), &[]),
            ("2001:db8::1", 3, (false, false), &[]),
        ],
    );
    let expected = |factuur: &str| {
        [
            ("ours", "ours", 1_000),
            ("via:factuur.nl", factuur, 400),
            ("forwarding", "forwarding", 70),
            ("list:lijst.org", "list", 50),
            ("abuse", "abuse", 30),
            ("net:203.0.113.0/24", "unknown", 20),
        ]
        .map(|(id, class, messages)| (id.to_owned(), class.to_owned(), messages))
    };
    assert_eq!(streams(&setup), expected("unknown"));
    let name = ["report", "name", "voorbeeld.nl"];
    let known = ["via:factuur.nl", "--as", "known", "--label", "=Facturen"];
    setup.run([&name[..], &known].concat()).expect(0);
    assert_eq!(streams(&setup), expected("known"));
    let csv = ["report", "streams", "voorbeeld.nl", "--format", "csv"];
    setup
        .run(csv)
        .expect(0)
        .says(&["via:factuur.nl,known,'=Facturen,"]);
    let one = ["report", "streams", "voorbeeld.nl", "via:factuur.nl"];
    let shown = setup.run(one).expect(0);
    shown.says(&["203.0.113.4", "factuur.nl fs", "=Facturen"]);
    let missing = ["report", "streams", "voorbeeld.nl", "via:other.nl"];
    let missing = setup.run(missing).expect(2);
    missing.complains(&["has no stream via:other.nl"]);
    let forget = [&name[..], &["via:factuur.nl", "--forget"]].concat();
    setup.run(forget).expect(0);
    setup
        .run([&name[..], &["--rest", "--as", "abuse"]].concat())
        .expect(0);
    assert_eq!(streams(&setup), expected("abuse"));
    setup.run(["report", "forget", "voorbeeld.nl"]).expect(0);
    assert_eq!(streams(&setup), []);
}

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

fn names(folder: &std::path::Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
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
