//! `zegel report ingest`, over files as reporters send them.

use std::{fs, os::unix::fs::PermissionsExt};

use jiff::Timestamp;

use crate::setup::Setup;

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
    setup.run_with(&deliver, b"Subject: x\n\nhello\n").expect(0);
    assert_eq!(
        fs::read_dir(setup.path("reports/refused")).unwrap().count(),
        2
    );
    let again = ["report", "ingest", "--json", "-"];
    let found = setup.run_with(&again, mail.as_bytes()).expect(0).json();
    assert_eq!(found["totals"]["duplicate"], 1, "{found}");
    fs::remove_dir_all(setup.path("reports")).unwrap();
    setup.write("reports", "a file");
    setup.run_with(&deliver, mail.as_bytes()).expect(75);
    setup.write("zegel.toml", "rubbish");
    setup.run_with(&deliver, mail.as_bytes()).expect(75);
}
