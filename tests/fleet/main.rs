//! Several relays with one database: real PostgreSQL, and for each relay a signer, a keeper and a
//! folder of its own.

#[path = "../support/mod.rs"]
mod support;

mod kills;
mod promises;
mod way;

use std::fs;
use std::time::{Duration, Instant};

use support::keeper::{Keeper, command};
use support::milter::{self, Message};
use support::port::Port;
use support::postgres::Postgres;
use support::zegel::{Org, Zegel};
use zegel::dkim::Algorithm::Ed25519Sha256;

const PATIENCE: Duration = Duration::from_secs(30);

/// A relay, whose keeper is not started yet.
struct Relay {
    zegel: Zegel,
    http: Port,
}

fn een() -> Org {
    Org::new("een", &["een.example"]).signing_by(Ed25519Sha256)
}

impl Relay {
    /// Its keeper takes the steps, and its folder has the keys.
    fn leading(postgres: &Postgres) -> Self {
        let relay = Self::new(&postgres.settings("relay1"), true);
        relay.zegel.make_sealing_key();
        relay.write_settings(&postgres.settings("relay1"), true);
        relay.zegel.add(&een());
        relay
    }

    /// Its folder is empty, and it has the sealing key of that one.
    fn following(postgres: &Postgres, name: &str, first: &Self) -> Self {
        let relay = Self::new(&postgres.settings(name), false);
        for folder in ["keys", "keys.mark"] {
            let _ = fs::remove_dir_all(relay.zegel.path(folder));
        }
        let sealing_key = relay.zegel.path("sealing.key");
        fs::copy(first.zegel.path("sealing.key"), sealing_key).expect("the sealing key");
        relay.write_settings(&postgres.settings(name), false);
        relay.zegel.add(&een().without_keys());
        relay
    }

    fn new(database: &str, leads: bool) -> Self {
        let http = Port::free();
        let settings = Self::settings(&http, database, leads);
        let zegel = Zegel::prepared(&[], &settings);
        Self { zegel, http }
    }

    fn settings(http: &Port, database: &str, leads: bool) -> String {
        format!(
            "[keeper]\nhttp = \"127.0.0.1:{}\"\nresolvers = [\"127.0.0.1:9\"]\nlead = {leads}\n\
             {database}",
            http.number()
        )
    }

    fn write_settings(&self, database: &str, leads: bool) {
        let settings = Self::settings(&self.http, database, leads);
        self.zegel.write_settings(&settings);
    }

    fn keep(&self) -> Keeper {
        Keeper::start(&self.zegel.path(""), &self.http)
    }

    /// Runs a command to its end.
    #[track_caller]
    fn run(&self, arguments: &[&str]) -> String {
        let output = command(&self.zegel.path(""), arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// What it says against it.
    #[track_caller]
    fn refuses(&self, arguments: &[&str]) -> String {
        let output = command(&self.zegel.path(""), arguments);
        assert!(!output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stderr).expect("text")
    }

    /// The selector that mail is signed with here; the signature is verified with the records of
    /// the one that leads.
    #[track_caller]
    fn signs_with(&self, first: &Self) -> Option<String> {
        let message = Message::parse(b"From: a@een.example\r\nSubject: one\r\n\r\na line\r\n");
        let outcome = milter::send(&self.zegel.milter(), &message);
        let selector = outcome.selector()?;
        let keys = support::signatures::PublicKeys::of(&first.zegel.keystore());
        let signers = keys.signers(&outcome.apply(&message));
        assert_eq!(signers, [("een.example".to_owned(), selector.clone())]);
        Some(selector)
    }
}

#[track_caller]
fn wait_for(what: &str, log: &dyn Fn() -> String, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "never: {what}\n{}", log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_key_of_one_relay_signs_on_all_whether_the_database_is_there_or_not() {
    let postgres = Postgres::start();
    let first = Relay::leading(&postgres);
    first.run(&["database", "init"]);
    let leader = first.keep();
    let mut second = Relay::following(&postgres, "relay2", &first);
    let follower = second.keep();
    let log = || format!("{}\n{}", leader.log(), follower.log());
    wait_for("the key comes", &log, || {
        second.zegel.path("keys/een/keyring.json").exists()
    });
    second.zegel.launch();
    wait_for("it signs", &log, || {
        second.signs_with(&first).as_deref() == Some("een-ed25519")
    });
    // The same keystore, and what lies there is sealed.
    let file = |relay: &Relay, name: &str| {
        fs::read_to_string(relay.zegel.path("keys").join(name)).expect("a file")
    };
    assert_eq!(file(&first, "keystore.id"), file(&second, "keystore.id"));
    assert_eq!(
        file(&first, "een/een-ed25519.pem"),
        file(&second, "een/een-ed25519.pem")
    );
    assert!(!file(&second, "een/een-ed25519.pem").contains("PRIVATE KEY"));
    // Another key, which follows by itself.
    first.run(&["key", "generate", "een", "--another", "--selector", "s2"]);
    first.run(&["key", "activate", "een", "s2", "--assume-published"]);
    wait_for("the other key signs", &log, || {
        second.signs_with(&first).as_deref() == Some("s2")
    });
    let said = second.refuses(&["key", "generate", "een", "--another"]);
    assert!(said.contains("this relay follows the database"), "{said}");
    wait_for("all have told of themselves", &log, || {
        command(&second.zegel.path(""), &["database", "status"])
            .status
            .success()
    });
    let status = second.run(&["database", "status", "--json"]);
    let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
    assert_eq!(status["leader"], "relay1");
    assert_eq!(status["relays"].as_array().map(Vec::len), Some(2));
    // It dies in the middle, and comes back.
    postgres.crash();
    first.run(&["key", "generate", "een", "--another", "--selector", "s3"]);
    first.run(&["key", "activate", "een", "s3", "--assume-published"]);
    assert_eq!(second.signs_with(&first).as_deref(), Some("s2"));
    let said = second.refuses(&["database", "sync"]);
    assert!(said.contains("can't be reached"), "{said}");
    postgres.launch();
    wait_for("what was made meanwhile comes", &log, || {
        second.signs_with(&first).as_deref() == Some("s3")
    });
}

#[test]
fn a_database_that_went_back_changes_nothing_and_gets_back_what_it_lacks() {
    let postgres = Postgres::start();
    let first = Relay::leading(&postgres);
    first.run(&["database", "init"]);
    let said = first.run(&["database", "upload", "--dry-run", "--json"]);
    let said: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(said["organisations"], serde_json::json!(["een"]));
    assert_eq!(said["revision"], serde_json::Value::Null);
    first.run(&["database", "upload"]);
    let second = Relay::following(&postgres, "relay2", &first);
    let dump = postgres.dump();
    first.run(&["key", "generate", "een", "--another", "--selector", "s2"]);
    first.run(&["key", "activate", "een", "s2", "--assume-published"]);
    first.run(&["database", "upload"]);
    second.run(&["database", "sync"]);
    let keyring = || fs::read(second.zegel.path("keys/een/keyring.json")).expect("a keyring");
    let before = keyring();
    postgres.restore(&dump);
    let said = second.refuses(&["database", "sync"]);
    assert!(said.contains("the database went back"), "{said}");
    assert_eq!(keyring(), before);
    // From the relay that has it all. Numbers may have been given twice by then, and nobody misses
    // anything for that.
    first.run(&["database", "upload"]);
    let rows = postgres.psql("select selector from zegel.key order by place");
    assert_eq!(rows, "een-ed25519\ns2\n");
    second.run(&["database", "sync"]);
    first.run(&["key", "revoke", "een", "s2", "--compromised"]);
    first.run(&["database", "upload"]);
    second.run(&["database", "sync"]);
    let keyring = String::from_utf8(keyring()).expect("text");
    assert!(keyring.contains("\"revoked\""), "{keyring}");
}

/// Who was away, and leads then, takes nothing back.
#[test]
fn a_relay_that_is_behind_overwrites_nothing() {
    let postgres = Postgres::start();
    let first = Relay::leading(&postgres);
    first.run(&["database", "init"]);
    first.run(&["database", "upload"]);
    let second = Relay::following(&postgres, "relay2", &first);
    second.run(&["database", "sync"]);
    first.run(&["org", "suspend", "een"]);
    first.run(&["database", "upload"]);
    let is_suspended = || postgres.psql("select suspended is not null from zegel.organisation");
    assert_eq!(is_suspended(), "t\n");
    second.write_settings(&postgres.settings("relay2"), true);
    let said = second.refuses(&["database", "upload"]);
    assert!(
        said.contains("changes that this relay does not have"),
        "{said}"
    );
    assert_eq!(is_suspended(), "t\n");
    // Its keeper looks before it leads.
    let keeper = second.keep();
    let keyring = second.zegel.path("keys/een/keyring.json");
    wait_for("it is suspended there", &|| keeper.log(), || {
        fs::read_to_string(&keyring).is_ok_and(|text| text.contains("\"suspended\""))
    });
    assert_eq!(is_suspended(), "t\n");
    drop(keeper);
    // What both changed nobody decides.
    second.run(&["key", "generate", "een", "--another", "--selector", "s3"]);
    first.run(&["org", "resume", "een"]);
    first.run(&["database", "upload"]);
    let said = second.refuses(&["database", "sync"]);
    assert!(
        said.contains("has changes that the database does not have"),
        "{said}"
    );
}

#[test]
fn what_is_lost_or_broken_on_one_relay_comes_back_and_harms_no_other() {
    let postgres = Postgres::start();
    let first = Relay::leading(&postgres);
    let twee = Org::new("twee", &["twee.example"]).signing_by(Ed25519Sha256);
    first.zegel.add(&twee);
    first.run(&["database", "init"]);
    first.run(&["database", "upload"]);
    let second = Relay::following(&postgres, "relay2", &first);
    second.run(&["database", "sync"]);
    let file = second.zegel.path("keys/een/een-ed25519.pem");
    let whole = fs::read(&file).expect("a key");
    // A folder that is gone.
    fs::remove_dir_all(second.zegel.path("keys/een")).expect("its folder");
    second.run(&["database", "sync"]);
    assert_eq!(fs::read(&file).expect("a key"), whole);
    // A key file that does not open is given to nobody, and what else changed is.
    let own = first.zegel.path("keys/een/een-ed25519.pem");
    let mut text = fs::read_to_string(&own).expect("a key");
    let first_line = text.find('\n').expect("a line");
    text.truncate(first_line + 1);
    fs::write(&own, text + "rubbish\n").expect("a key");
    first.run(&["org", "suspend", "een"]);
    first.run(&["org", "suspend", "twee"]);
    let said = first.refuses(&["database", "upload"]);
    assert!(
        said.contains("een is not brought into the database"),
        "{said}"
    );
    let suspended = "select organisation from zegel.organisation \
                     where suspended is not null order by organisation";
    assert_eq!(postgres.psql(suspended), "twee\n");
    fs::write(&own, &whole).expect("a key");
    // Rows that nobody can use stop nobody else.
    postgres.psql(
        "insert into zegel.organisation values ('kapot', 1, null); \
         insert into zegel.key (organisation, place, document) values ('kapot', 0, \
         '{\"selector\": \"x\", \"algorithm\": \"y\", \"fingerprint\": \"z\", \"new\": 1}')",
    );
    let said = first.refuses(&["database", "upload"]);
    assert!(said.contains("what the database says of kapot"), "{said}");
    assert_eq!(postgres.psql(suspended), "een\ntwee\n");
    let said = second.refuses(&["database", "sync"]);
    assert!(said.contains("what the database says of kapot"), "{said}");
    let keyring = fs::read_to_string(second.zegel.path("keys/een/keyring.json"));
    assert!(keyring.expect("a keyring").contains("\"suspended\""));
    // Who leaves is known everywhere.
    postgres.psql("update zegel.key set document = document - 'new' where selector = 'x'");
    first.run(&["org", "retire", "een"]);
    let _ = command(&first.zegel.path(""), &["database", "upload"]);
    let _ = command(&second.zegel.path(""), &["database", "sync"]);
    assert!(second.zegel.path("keys/een/leaving.json").exists());
}

/// Keys of which nobody can tell whose they are.
#[test]
fn a_folder_of_another_keystore_is_left_alone() {
    let postgres = Postgres::start();
    let first = Relay::leading(&postgres);
    first.run(&["database", "init"]);
    first.run(&["database", "upload"]);
    let other = Relay::leading(&postgres);
    fs::remove_file(other.zegel.path("keys/keystore.id")).expect("an id");
    fs::remove_dir_all(other.zegel.path("keys.mark")).expect("a mark");
    other.write_settings(&postgres.settings("relay2"), false);
    let said = other.refuses(&["database", "sync"]);
    assert!(said.contains("another keystore"), "{said}");
    assert!(!other.zegel.path("keys/keystore.id").exists());
}

#[test]
fn a_relay_that_has_other_keys_takes_nothing_and_gives_nothing() {
    let postgres = Postgres::start();
    let first = Relay::leading(&postgres);
    first.run(&["database", "init"]);
    first.run(&["database", "upload"]);
    // Another keystore.
    let other = Relay::leading(&postgres);
    for command in ["sync", "upload"] {
        let said = other.refuses(&["database", command]);
        assert!(said.contains("the database holds the keystore"), "{said}");
    }
    // The same keystore, which went another way.
    let copy = Relay::following(&postgres, "relay2", &first);
    copy.run(&["database", "sync"]);
    copy.write_settings(&postgres.settings("relay2"), true);
    first.run(&["key", "generate", "een", "--another", "--selector", "s2"]);
    first.run(&["database", "upload"]);
    copy.run(&["key", "generate", "een", "--another", "--selector", "s3"]);
    let said = copy.refuses(&["database", "upload"]);
    assert!(said.contains("has the key s2 of een"), "{said}");
    let said = copy.refuses(&["database", "sync"]);
    assert!(
        said.contains("has changes that the database does not have"),
        "{said}"
    );
    // What lies in the clear is given to nobody.
    let plain = Postgres::start();
    let third = Relay::new(&plain.settings("relay3"), true);
    third.write_settings(&plain.settings("relay3"), true);
    third.zegel.add(&een());
    third.run(&["database", "init"]);
    if !third.zegel.path("sealing.key").exists() {
        let said = third.refuses(&["database", "upload"]);
        assert!(said.contains("lies in the clear"), "{said}");
        assert_eq!(plain.psql("select count(*) from zegel.key"), "0\n");
    }
}
