//! `zegel report ingest`, over files as reporters send them.

use std::{collections::HashMap, fs, os::unix::fs::PermissionsExt};

use jiff::Timestamp;

use crate::{
    dns_server::{Answer, serve},
    setup::Setup,
};

/// With the store of reports in the folder of the test.
pub(crate) fn setup() -> Setup {
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

/// The names of what is in a folder, in order.
pub(crate) fn names(folder: &std::path::Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
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

#[test]
fn what_is_refused_is_kept_whole_and_once() {
    let setup = setup();
    let text = fs::read_to_string(setup.path("zegel.toml")).unwrap();
    let text = format!("{text}[reports.limits]\nmessage = \"1K\"\n");
    setup.write("zegel.toml", &text);
    let large = setup.write("large", &format!("Subject: x\n\n{}", "x".repeat(5000)));
    let ingest = ["report", "ingest", &large];
    setup.run(ingest).expect(1);
    let refused = setup.path("reports/refused");
    let kept = names(&refused);
    let [copy, note] = &*kept else {
        panic!("{kept:?}");
    };
    assert_eq!(note, &format!("{copy}.json"));
    let copied = |copy: &str| fs::read(refused.join(copy)).unwrap();
    assert_eq!(copied(copy), fs::read(&large).unwrap());
    assert!(
        String::from_utf8(copied(note))
            .unwrap()
            .contains("limit_message")
    );
    // It stays for as long as if it had come now, and what is missing of it comes again.
    let old = std::time::SystemTime::now() - std::time::Duration::from_hours(24 * 29);
    let age = |name: &str| {
        let opened = fs::File::options()
            .write(true)
            .open(refused.join(name))
            .unwrap();
        opened.set_modified(old).unwrap();
    };
    age(copy);
    age(note);
    for missing in ["", copy, note] {
        if !missing.is_empty() {
            fs::remove_file(refused.join(missing)).unwrap();
        }
        setup.run(ingest).expect(1);
        assert_eq!(names(&refused), kept);
        for name in &kept {
            let modified = fs::metadata(refused.join(name)).unwrap().modified();
            assert!(
                modified.unwrap() > old + std::time::Duration::from_hours(24),
                "{name}"
            );
        }
    }
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
    // Who said it is in the audit log.
    let audit = ["audit", "voorbeeld"];
    setup.run(audit).expect(0).says(&[
        "stream_named (via:factuur.nl known)",
        "zegel report name (user",
    ]);
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
    setup.run(&forget).expect(0);
    setup
        .run(audit)
        .expect(0)
        .says(&["stream_name_dropped (via:factuur.nl)"]);
    // What was said holds, also if the log can't be written.
    let log = setup.path("keys/audit.log");
    fs::rename(&log, setup.path("away")).unwrap();
    fs::create_dir(&log).unwrap();
    let known = [&name[..], &["via:factuur.nl", "--as", "known"]].concat();
    let known = setup.run(known).expect(1);
    known
        .says(&["via:factuur.nl: known"])
        .complains(&["not in the audit log of the keystore"]);
    assert_eq!(streams(&setup), expected("known"));
    fs::remove_dir(&log).unwrap();
    fs::rename(setup.path("away"), &log).unwrap();
    setup.run(&forget).expect(0);
    setup
        .run([&name[..], &["--rest", "--as", "abuse"]].concat())
        .expect(0);
    assert_eq!(streams(&setup), expected("abuse"));
    setup.run(["report", "forget", "voorbeeld.nl"]).expect(0);
    assert_eq!(streams(&setup), []);
}

#[test]
fn mail_from_a_name_below_is_shown_by_itself() {
    let setup = setup();
    let rows: [Row<'_>; 2] = [
        (
            "203.0.113.4",
            40,
            (false, false),
            &[("factuur.nl", "fs", "pass")],
        ),
        ("203.0.113.5", 2, (false, true), &[]),
    ];
    days(&setup, &rows);
    let begin = (Timestamp::now().as_second() / 86_400 - 1) * 86_400;
    let below = |policy: &str, from: &str| {
        let record =
            record(&rows[0]).replace("<header_from>voorbeeld.nl", &format!("<header_from>{from}"));
        let text = format!(
            "<feedback><report_metadata><org_name>kpn.com</org_name><report_id>{policy} {from}\
             </report_id><date_range><begin>{begin}</begin><end>{}</end></date_range>\
             </report_metadata><policy_published><domain>{policy}</domain></policy_published>\
             {record}</feedback>",
            begin + 86_399
        );
        let file = setup.write("below.xml", &text);
        setup.run(["report", "ingest", &file]).expect(0);
    };
    below("voorbeeld.nl", "a.mail.voorbeeld.nl");
    below("voorbeeld.nl", "nomail.voorbeeld.nl");
    let asked = |domain: &str| {
        let found = setup.run(["report", "streams", domain, "--json"]).expect(0);
        let found = found.json();
        let streams = found["streams"].as_array().unwrap();
        let sum: u64 = streams
            .iter()
            .map(|one| one["messages"].as_u64().unwrap())
            .sum();
        assert_eq!(found["messages"], sum, "{found}");
        (
            found["policy_domain"].as_str().unwrap().to_owned(),
            streams.len(),
            sum,
        )
    };
    let under = |domain: &str, streams, messages| (domain.to_owned(), streams, messages);
    assert_eq!(asked("voorbeeld.nl"), under("voorbeeld.nl", 2, 500));
    assert_eq!(asked("mail.voorbeeld.nl"), under("voorbeeld.nl", 1, 40));
    assert_eq!(asked("other.voorbeeld.nl"), under("voorbeeld.nl", 0, 0));
    let text = ["report", "streams", "mail.voorbeeld.nl"];
    let text = setup.run(text).expect(0);
    text.says(&["it fell under the policy of voorbeeld.nl"]);
    let name = ["report", "name", "mail.voorbeeld.nl", "via:factuur.nl"];
    let name = setup
        .run([&name[..], &["--as", "known"]].concat())
        .expect(2);
    name.complains(&["say zegel report name voorbeeld.nl"]);
    // With a policy of its own, what fell under that is meant.
    below("mail.voorbeeld.nl", "mail.voorbeeld.nl");
    assert_eq!(
        asked("mail.voorbeeld.nl"),
        under("mail.voorbeeld.nl", 1, 40)
    );
}

#[test]
fn names_of_addresses_are_asked_for_and_cannot_harm_a_terminal() {
    let setup = setup();
    let file = setup.path("zegel.toml");
    let text = fs::read_to_string(&file).unwrap();
    let labels = |name: &str| Answer::Pointer(name.split('.').map(str::to_owned).collect());
    let answers = HashMap::from([
        (
            "4.113.0.203.in-addr.arpa".to_owned(),
            labels("mail.factuur.nl"),
        ),
        (
            "5.113.0.203.in-addr.arpa".to_owned(),
            labels("\u{1b}[31m.evil.example"),
        ),
    ]);
    let resolver = serve(answers).to_string();
    fs::write(&file, text.replace("127.0.0.1:1", &resolver)).unwrap();
    let signed = [("factuur.nl", "fs", "pass")];
    let row = |address, messages| (address, messages, (false, false), &signed[..]);
    days(
        &setup,
        &[
            row("203.0.113.4", 40),
            row("203.0.113.5", 7),
            row("203.0.113.6", 3),
        ],
    );
    let streams = ["report", "streams", "voorbeeld.nl", "via:factuur.nl"];
    let asked = [&streams[..], &["--names"]].concat();
    let shown = setup.run(&asked).expect(0);
    assert!(!shown.out.contains('\u{1b}'), "{}", shown.out);
    shown.says(&["203.0.113.4 mail.factuur.nl", "evil.example"]);
    let found = setup.run([&asked[..], &["--json"]].concat()).expect(0);
    let found = found.json();
    let names = &found["streams"][0]["names"];
    assert_eq!(names["203.0.113.4"][0], "mail.factuur.nl", "{found}");
    assert_eq!(names.as_object().unwrap().len(), 2, "{found}");
    assert_eq!(found["warnings"].as_array().unwrap().len(), 0, "{found}");
    let quiet = setup.run(streams).expect(0);
    assert!(!quiet.out.contains("mail.factuur.nl"), "{}", quiet.out);
    let usage = [&asked[..], &["--format", "csv"]].concat();
    setup.run(usage).expect(2);
    setup
        .run(["report", "streams", "voorbeeld.nl", "--names"])
        .expect(2);
}
