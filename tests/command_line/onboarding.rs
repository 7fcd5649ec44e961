//! `zegel org add`, of one organisation and of a sheet.

use std::{fmt::Write as _, fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use serde_json::Value;

use crate::setup::{Done, Setup, finish, zegel};

const ADD: [&str; 9] = [
    "org",
    "add",
    "nieuw",
    "--name",
    "Gemeente Nieuw",
    "--domain",
    "nieuw.nl",
    "--contact",
    "dns@nieuw.nl",
];

fn add(setup: &Setup, more: &[&str]) -> Done {
    setup.run(ADD.iter().chain(more))
}

fn strings(value: &Value) -> Vec<&str> {
    let items = value.as_array().unwrap().iter();
    items.map(|item| item.as_str().unwrap()).collect()
}

/// The names in a folder, without hidden ones, sorted.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
    names.sort();
    names
}

#[test]
fn an_organisation_is_added_with_one_command() {
    let setup = Setup::new();
    let done = add(
        &setup,
        &["--parked", "nieuw-oud.nl", "--sender-login", "nieuw"],
    )
    .expect(0)
    .complains(&["orgs.d/nieuw.toml: written; the key is nieuw-"]);
    assert!(done.out.contains("Gemeente Nieuw"), "{}", done.out);
    assert!(done.out.contains("._domainkey.nieuw.nl"), "{}", done.out);
    let file = setup.path("orgs.d/nieuw.toml");
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o644
    );
    assert_eq!(
        names(&setup.path("orgs.d")),
        ["nieuw.toml", "voorbeeld.toml"]
    );
    let shown = setup
        .run(["org", "show", "nieuw", "--json"])
        .expect(0)
        .json();
    assert_eq!(shown["name"], "Gemeente Nieuw");
    assert_eq!(shown["contact"], "dns@nieuw.nl");
    assert_eq!(strings(&shown["parked"]), ["nieuw-oud.nl"]);
    assert_eq!(strings(&shown["senders"]["auth"]), ["nieuw"]);
    setup.run(["org", "show", "nieuw"]).expect(0);
    // What is handed over is what `dns records` says.
    let again = setup.run(["dns", "records", "nieuw"]).expect(0);
    assert_eq!(again.out, done.out);
}

#[test]
fn whatever_the_umask_the_file_can_be_read() {
    let setup = Setup::new();
    fs::remove_dir_all(setup.path("orgs.d")).unwrap();
    let command = setup.command();
    let mut shell = Command::new("sh");
    shell.args(["-c", "umask 077; exec \"$0\" \"$@\""]);
    shell.arg(command.get_program()).args(command.get_args());
    finish(shell.args(ADD), b"").expect(0);
    let mode = |relative| {
        let metadata = fs::metadata(setup.path(relative)).unwrap();
        metadata.permissions().mode() & 0o777
    };
    assert_eq!(mode("orgs.d"), 0o755);
    assert_eq!(mode("orgs.d/nieuw.toml"), 0o644);
    assert_eq!(mode("keys/nieuw"), 0o700);
}

#[test]
fn an_addition_that_is_repeated_gives_the_same_records() {
    let setup = Setup::new();
    let more = ["--domain", "café-nieuw.nl", "--json"];
    let first = add(&setup, &more).expect(0).json();
    assert_eq!(first["id"], "nieuw");
    assert_eq!(first["made"], true);
    assert_eq!(first["keys"][0]["made"], true);
    assert_eq!(
        strings(&first["keys"][0]["domains"]),
        ["nieuw.nl", "xn--caf-nieuw-d4a.nl"]
    );
    let pack = setup.run(["dns", "records", "nieuw", "--format", "json"]);
    assert_eq!(first["records"], pack.expect(0).json());
    // A-labels are the same domain.
    let second = add(&setup, &["--domain", "xn--caf-nieuw-d4a.nl", "--json"]);
    let second = second.expect(0).json();
    assert_eq!(second["made"], false);
    assert_eq!(second["keys"][0]["made"], false);
    assert_eq!(second["records"], first["records"]);
    let selector = first["keys"][0]["selector"].as_str().unwrap();
    let assumed = ["key", "activate", "nieuw", selector, "--assume-published"];
    setup.run(assumed).expect(0);
    // Nor is there another key when it signs already.
    let third = add(&setup, &more).expect(0).json();
    assert_eq!(third["keys"].as_array().unwrap().len(), 1);
    let other = add(&setup, &["--domain", "ander.nl"]);
    other.expect(1).complains(&[
        "nieuw.toml is there already and says something else",
        "nothing was written",
    ]);
}

#[test]
fn what_is_wrong_is_said_before_anything_is_written() {
    let setup = Setup::new();
    let refused = |more: &[&str], status: i32, texts: &[&str]| {
        let done = add(&setup, more).expect(status);
        for text in texts {
            assert!(done.err.contains(text), "no {text:?} in:\n{}", done.err);
        }
        assert_eq!(names(&setup.path("orgs.d")), ["voorbeeld.toml"]);
        assert!(!setup.path("keys/nieuw").exists());
    };
    let claimed = "orgs.d/voorbeeld.toml already";
    refused(
        &["--domain", "voorbeeld.nl"],
        1,
        &["nieuw: domains: voorbeeld.nl is in ", claimed],
    );
    refused(&["--domain", "oud-voorbeeld.nl"], 1, &[claimed]);
    refused(
        &["--parked", "NIEUWS.voorbeeld.nl."],
        1,
        &["nieuw: parked: nieuws.voor", claimed],
    );
    refused(
        &["--parked", "nieuw.nl"],
        1,
        &["nieuw.nl is also in domains"],
    );
    refused(&["--domain", "geen domein"], 2, &["geen domein"]);
    // A file with a mistake has its domains all the same.
    setup.write(
        "orgs.d/voorbeeld.toml",
        "domains = [\"nieuw.nl\"]\nparkd = []\n",
    );
    refused(&[], 1, &["warning: ", "parkd", "nieuw.nl is in ", claimed]);
    let bad = |arguments: &[&str], text: &str| {
        let arguments = ["org", "add"].iter().chain(arguments);
        setup.run(arguments).expect(2).err.contains(text)
    };
    assert!(bad(
        &[
            "Nieuw",
            "--name",
            "N",
            "--domain",
            "n.nl",
            "--contact",
            "a@n.nl"
        ],
        "Nieuw"
    ));
    assert!(bad(
        &["nieuw", "--name", "N", "--contact", "a@n.nl"],
        "--domain"
    ));
    let reserved = [
        "org",
        "add",
        "lock",
        "--name",
        "N",
        "--domain",
        "n.nl",
        "--contact",
        "a@n.nl",
    ];
    setup
        .run(reserved)
        .expect(1)
        .complains(&["lock: ", "nothing was written"]);
    let contact = [
        "org",
        "add",
        "n",
        "--name",
        "N",
        "--domain",
        "n.nl",
        "--contact",
        "nobody",
    ];
    setup
        .run(contact)
        .expect(1)
        .complains(&["n: contact: ", "is no mail address"]);
}

#[test]
fn the_keys_of_a_former_customer_are_no_keys_of_a_new_one() {
    let setup = Setup::new();
    add(&setup, &["--domain", "ook.nl"]).expect(0);
    let file = setup.path("orgs.d/nieuw.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::remove_file(&file).unwrap();
    // The same domain, and another one that this customer never had.
    add(&setup, &["--domain", "ander.nl"])
        .expect(1)
        .complains(&[
            "nieuw: the keystore has keys of a former organisation of this id, for ook.nl; choose \
         another id, or put its file back",
            "nothing was written",
        ]);
    assert!(!file.exists());
    // With all of its domains it is the one that was there.
    let more = ["--domain", "ook.nl"];
    add(&setup, &more).expect(0);
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
}

/// A sheet as a Dutch spreadsheet writes it.
fn sheet(count: usize) -> String {
    let mut text = String::from("\u{feff}ID;Name;Domains;Parked;Contact;Sender_login\r\n");
    for at in 1..=count {
        write!(
            text,
            "klant{at};\"Klant; nummer {at}\";klant{at}.nl nieuws.klant{at}.nl;;dns@klant{at}.nl;\r\n"
        )
        .unwrap();
    }
    text
}

#[test]
fn fifty_are_added_from_a_sheet_of_a_spreadsheet() {
    let setup = Setup::new();
    let file = setup.write("klanten.csv", &sheet(50));
    let out = setup.path("packs").display().to_string();
    let from = ["org", "add", "--from", &file, "--out", &out];
    let done = setup.run(from).expect(0);
    assert!(
        done.out.contains("50 organisations are in orgs.d now"),
        "{}",
        done.out
    );
    assert_eq!(names(&setup.path("orgs.d")).len(), 51);
    assert_eq!(names(&setup.path("packs")).len(), 50);
    let pack = fs::read_to_string(setup.path("packs/klant7.txt")).unwrap();
    assert!(pack.contains("nieuws.klant7.nl"), "{pack}");
    assert!(!pack.contains("PRIVATE"));
    let listed = setup
        .run(["org", "list", "--json"])
        .expect(0)
        .member("organisations");
    assert_eq!(listed[0]["name"], "Klant; nummer 1");
    setup.run(["check"]).expect(0);
    // The sheet grows by one row, and is added again.
    let more = format!("{}extra;Extra;extra.nl;;dns@extra.nl;extra\r\n", sheet(50));
    setup.write("klanten.csv", &more);
    let json = setup.run(from.iter().chain(&["--json"])).expect(0).json();
    let organisations = json["organisations"].as_array().unwrap();
    assert_eq!(organisations.len(), 51);
    let made = |one: &&Value| one["made"] == true;
    assert_eq!(organisations.iter().filter(made).count(), 1);
    for one in organisations {
        assert_eq!(one["keys"].as_array().unwrap().len(), 1, "{one}");
        assert_eq!(one["records"]["organisation"]["id"], one["id"]);
    }
    assert_eq!(json["mistakes"].as_array().unwrap().len(), 0);
}

#[test]
fn every_mistake_of_a_sheet_is_named_with_its_line() {
    let setup = Setup::new();
    let text = "id,name,domains,parked,contact,sender_login,delegation\n\
                goed,Goed,goed.nl,,dns@goed.nl,\n\
                Fout,Fout,fout..nl,,,\n\
                \n\
                twee,Twee,twee.nl,,dns at twee,\n\
                goed,Weer,weer.nl,,dns@weer.nl,\n\
                drie,Drie,drie.nl goed.nl,,dns@drie.nl,\n\
                vier,Vier,voorbeeld.nl,,dns@vier.nl,\n\
                vijf,Vijf,vijf.nl,,dns@vijf.nl,,mx\n";
    let file = setup.write("klanten.csv", text);
    let told = [
        "klanten.csv:3: id: \"Fout\"",
        "klanten.csv:3: domains: \"fout..nl\"",
        "klanten.csv:3: contact: it is empty",
        "klanten.csv:5: twee: contact: ",
        "klanten.csv:6: goed: id: it is in line 2 too",
        "klanten.csv:7: drie: goed.nl is in line 2 too",
        "klanten.csv:8: vier: domains: voorbeeld.nl is in ",
        "klanten.csv:9: delegation: \"mx\": write cname or dname or ns, or leave it empty",
    ];
    let from = ["org", "add", "--from", &file];
    let refused = setup.run(from).expect(1).complains(&told);
    let refused = refused.complains(&["nothing was written; --keep-going"]);
    assert_eq!(refused.out, "");
    assert_eq!(names(&setup.path("orgs.d")), ["voorbeeld.toml"]);
    let done = setup.run(from.iter().chain(&["--keep-going", "--json"]));
    let json = done.expect(1).warns(&[]).json();
    let mistakes = json["mistakes"].as_array().unwrap().iter();
    assert_eq!(mistakes.count(), told.len());
    assert_eq!(json["mistakes"][0]["line"], 3);
    assert_eq!(json["organisations"].as_array().unwrap().len(), 1);
    assert_eq!(
        names(&setup.path("orgs.d")),
        ["goed.toml", "voorbeeld.toml"]
    );
    let file = setup.write(
        "klanten.csv",
        "id,naam,domains,contact\na,A,a.nl,dns@a.nl\n",
    );
    let from = ["org", "add", "--from", &file];
    setup.run(from).expect(1).complains(&[
        "klanten.csv:1: there is no column naam; did you mean name?",
        "klanten.csv:1: the column name is missing",
    ]);
    fs::write(&file, b"id,name,domains,contact\na,Caf\xe9,a.nl,dns@a.nl\n").unwrap();
    setup
        .run(from)
        .expect(1)
        .complains(&["klanten.csv:2: it is not UTF-8"]);
}

#[test]
fn two_who_add_at_once_do_not_both_get_a_domain() {
    let setup = Setup::new();
    let ids = ["een", "twee", "drie", "vier"];
    let running: Vec<_> = ids
        .iter()
        .map(|id| {
            let mut command = setup.command();
            let shared = ["--domain", "samen.nl", "--contact", "dns@samen.nl"];
            command.args(["org", "add", id, "--name", id]).args(shared);
            std::thread::spawn(move || finish(&mut command, b"").status)
        })
        .collect();
    let mut statuses: Vec<i32> = running.into_iter().map(|one| one.join().unwrap()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [0, 1, 1, 1]);
    assert_eq!(names(&setup.path("orgs.d")).len(), 2);
    setup.run(["check"]).expect(0);
}

fn hold(path: &Path) -> fs::File {
    let file = fs::File::open(path).unwrap();
    rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).unwrap();
    file
}

#[test]
fn who_holds_a_lock_does_not_hold_up_an_addition_for_ever() {
    let setup = Setup::new();
    // Every user of the host can open this folder.
    let _held = hold(&setup.path("orgs.d"));
    add(&setup, &[]).expect(0);
    let lock = setup.path("keys/orgs.lock");
    let mode = fs::metadata(&lock).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let _held_too = hold(&lock);
    let opendkim = setup.write("opendkim.conf", "Mode s\n");
    let out = setup.path("").display().to_string();
    let import = ["import", "opendkim", "--config", &opendkim, "--out", &out];
    let mut command = zegel();
    command.args(import);
    let importing = std::thread::spawn(move || finish(&mut command, b""));
    let told = ["orgs.lock: the keystore is locked by another process"];
    let other = ["org", "add", "ander", "--name", "A", "--domain", "ander.nl"];
    let other = other.iter().chain(&["--contact", "dns@ander.nl"]);
    setup.run(other).expect(1).complains(&told);
    importing.join().unwrap().expect(1).complains(&told);
    assert_eq!(
        names(&setup.path("orgs.d")),
        ["nieuw.toml", "voorbeeld.toml"]
    );
}

#[test]
fn its_file_says_in_which_language_its_texts_are() {
    let setup = Setup::new();
    let pack = |more: &[&str]| {
        let arguments = ["dns", "records", "nieuw"].iter().chain(more);
        setup.run(arguments).expect(0).out
    };
    let made = add(&setup, &["--lang", "en"]).expect(0);
    let file = setup.path("orgs.d/nieuw.toml");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("\nlanguage = \"en\"\n"), "{text}");
    assert_eq!(pack(&[]), made.out);
    assert_eq!(pack(&["--lang", "en"]), made.out);
    assert_ne!(pack(&["--lang", "nl"]), made.out);
    let farewell = |more: &[&str]| {
        let arguments = ["org", "retire", "nieuw", "--grace", "10d"]
            .iter()
            .chain(more);
        let told = setup.run(arguments).expect(0).out;
        setup.run(["org", "retire", "nieuw", "--undo"]).expect(0);
        told
    };
    assert_eq!(farewell(&[]), farewell(&["--lang", "en"]));
    let shown = setup
        .run(["org", "show", "nieuw", "--json"])
        .expect(0)
        .json();
    assert_eq!(shown["language"], "en");
    // The same command again, and one for a pack in another language, change nothing.
    for more in [&["--lang", "en"][..], &["--lang", "nl"], &[]] {
        add(&setup, more).expect(0).complains(&["there already"]);
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    // Without the line it is Dutch.
    fs::write(&file, text.replace("language = \"en\"\n", "")).unwrap();
    assert_eq!(pack(&[]), pack(&["--lang", "nl"]));
}
