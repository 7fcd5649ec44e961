//! Organisations in every state, written as the keeper would have left them.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::support::milter::{Connection, Message, Offer, Peer};
use super::support::zegel::{Org, Zegel};

/// A name that would do harm where it is not escaped.
pub(crate) const HOSTILE: &str = "<script>alert(1)</script><img src=x onerror=alert(2)> & \"Co\"";

/// `hours` ago, as a keyring has it.
fn ago(hours: i64) -> String {
    (Timestamp::now() - SignedDuration::from_hours(hours)).to_string()
}

/// A publication in this state, of this many hours ago, looked at a quarter of an hour ago.
fn publication(state: &str, hours: i64, why: &str) -> Value {
    let checked = (Timestamp::now() - SignedDuration::from_mins(15)).to_string();
    let mut publication = json!({
        "state": state, "since": ago(hours), "checked": checked, "why": why,
    });
    if ["signing", "settling", "draining"].contains(&why) {
        publication["seen_since"] = json!(ago(hours));
        publication["seen_last"] = json!(checked);
        publication["negative_ttl"] = json!(3600);
    }
    if state == "draining" {
        publication["drain_until"] = json!(ago(-100));
    }
    publication
}

/// What a further key of an organisation is.
pub(crate) struct Further<'a> {
    pub(crate) selector: &'a str,
    pub(crate) domain: &'a str,
    pub(crate) state: &'a str,
    pub(crate) why: &'a str,
}

/// Organisations with real keys, one for each way to stand.
pub(crate) fn signer() -> Zegel {
    let orgs = [
        Org::new("amstel", &["amstel.example", "nieuws.amstel.example"])
            .signing_twice()
            .parked(&["oud-amstel.example"])
            .more("contact = \"dns@amstel.example\""),
        Org::new("bouw", &["bouw.example"]),
        Org::new("cultuur", &["cultuur.example", "xn--caf-dma.example"]),
        Org::new("dijk", &["dijk.example"]).without_keys(),
        Org::new("erfgoed", &["erfgoed.example"]),
        Org::new("hostile", &["hostile.example"]),
        Org::new(
            "zeer-lange-naam-van-een-organisatie-hier",
            &["een-buitengewoon-lange-domeinnaam-zonder-enige-gelegenheid-om.example"],
        ),
    ];
    let zegel = Zegel::prepared(&orgs, "");
    rename(&zegel, "hostile", HOSTILE);
    rename(&zegel, "amstel", "Waterschap Amstel en Omstreken");
    rename(&zegel, "bouw", "Bouw- en Woningtoezicht");
    rename(&zegel, "cultuur", "Café Cultuur");
    rename(&zegel, "dijk", "Dijkgraafschap Zuid");
    rename(
        &zegel,
        "zeer-lange-naam-van-een-organisatie-hier",
        "Interprovinciaalsamenwerkingsverbandvoordrinkwatervoorziening",
    );
    for (org, state, why) in [
        ("amstel", "active", "signing"),
        ("bouw", "active", "not_seen"),
        ("cultuur", "active", "signing"),
        ("erfgoed", "active", "signing"),
        ("hostile", "active", "signing"),
        (
            "zeer-lange-naam-van-een-organisatie-hier",
            "active",
            "signing",
        ),
    ] {
        edit(&zegel, org, |key| {
            for publication_of in key["publications"]
                .as_object_mut()
                .expect("domains")
                .values_mut()
            {
                *publication_of = publication(state, 2000, why);
            }
        });
    }
    for (org, further) in [
        (
            "amstel",
            Further {
                selector: "amstel-2027a",
                domain: "amstel.example",
                state: "published",
                why: "settling",
            },
        ),
        (
            "amstel",
            Further {
                selector: "amstel-2025b",
                domain: "amstel.example",
                state: "draining",
                why: "draining",
            },
        ),
        (
            "cultuur",
            Further {
                selector: "cultuur-2027a",
                domain: "cultuur.example",
                state: "generated",
                why: "not_seen",
            },
        ),
        (
            "zeer-lange-naam-van-een-organisatie-hier",
            Further {
                selector: "zeer-lange-naam-van-een-organisatie-hier-2027a",
                domain: "een-buitengewoon-lange-domeinnaam-zonder-enige-gelegenheid-om.example",
                state: "generated",
                why: "seen_partly",
            },
        ),
    ] {
        add(&zegel, org, &further);
    }
    zegel
}

/// Organisations as a relay may have them on a usual day, for the picture of the README.
pub(crate) fn usual_signer() -> Zegel {
    let states = [
        ("linde", "Gemeente Linde", "active", "signing"),
        ("aa", "Waterschap Aa", "active", "signing"),
        ("noord", "Provincie Noord", "active", "not_seen"),
        ("west", "Omgevingsdienst West", "generated", "not_seen"),
        ("bron", "Museum De Bron", "published", "settling"),
        ("kade", "Veiligheidsregio Kade", "active", "signing"),
    ];
    let is_new = |state: &str| state != "active";
    let orgs = states.map(|(id, _, state, _)| {
        let org = Org::new(id, &[&format!("{id}.example")]);
        if is_new(state) {
            org.without_keys()
        } else {
            org
        }
    });
    let zegel = Zegel::prepared(&orgs, "");
    let further = |org: &str, state, why| {
        let (selector, domain) = (format!("{org}-2027a"), format!("{org}.example"));
        let key = Further {
            selector: &selector,
            domain: &domain,
            state,
            why,
        };
        add(&zegel, org, &key);
    };
    for (id, name, state, why) in states {
        rename(&zegel, id, name);
        if is_new(state) {
            further(id, state, why);
            continue;
        }
        edit(&zegel, id, |key| {
            let domains = key["publications"].as_object_mut().expect("domains");
            for one in domains.values_mut() {
                *one = publication(state, 2000, why);
            }
        });
    }
    further("aa", "generated", "not_seen");
    zegel
}

fn rename(zegel: &Zegel, org: &str, name: &str) {
    let file = zegel.path("orgs.d").join(format!("{org}.toml"));
    let text = fs::read_to_string(&file).expect("an organisation file");
    let (_, rest) = text.split_once('\n').expect("lines");
    fs::write(&file, format!("name = {}\n{rest}", json!(name))).expect("an organisation file");
}

/// Changes every key of the keyring of an organisation.
fn edit(zegel: &Zegel, org: &str, change: impl Fn(&mut Value)) {
    with_keyring(zegel, org, |keyring| {
        keyring["keys"]
            .as_array_mut()
            .expect("keys")
            .iter_mut()
            .for_each(change);
    });
}

/// Makes one more key, and puts it into this state.
fn add(zegel: &Zegel, org: &str, further: &Further<'_>) {
    let target = zegel::keystore::Target {
        organisation: &org.parse().expect("an id"),
        selector: &further.selector.parse().expect("a selector"),
        domains: &[further.domain.parse().expect("a domain")],
    };
    let algorithm = zegel::dkim::Algorithm::Ed25519Sha256;
    zegel
        .keystore()
        .generate(&target, algorithm, 2048, Timestamp::now())
        .expect("a key");
    with_keyring(zegel, org, |keyring| {
        let keys = keyring["keys"].as_array_mut().expect("keys");
        let key = keys
            .iter_mut()
            .find(|key| key["selector"] == further.selector);
        let hours = if further.state == "draining" { 30 } else { 0 };
        key.expect("the key")["publications"][further.domain] =
            publication(further.state, hours, further.why);
    });
}

pub(crate) fn with_keyring(zegel: &Zegel, org: &str, change: impl FnOnce(&mut Value)) {
    let file = zegel.path("keys").join(org).join("keyring.json");
    let text = fs::read(&file).expect("a keyring");
    let mut keyring: Value = serde_json::from_slice(&text).expect("a keyring");
    change(&mut keyring);
    write(&file, &keyring);
}

fn write(file: &Path, keyring: &Value) {
    let text = serde_json::to_vec(keyring).expect("JSON");
    fs::write(file, text).expect("a keyring");
}

/// Two thousand organisations with a keyring each; of their keys there is only that.
pub(crate) fn large_signer(number: usize) -> Zegel {
    let zegel = Zegel::prepared(&[], "");
    for place in 0..number {
        let id = format!("org-{place:04}");
        let domain = format!("{id}.example");
        let file = format!("name = \"Gemeente nummer {place}\"\ndomains = [\"{domain}\"]\n");
        fs::write(zegel.path("orgs.d").join(format!("{id}.toml")), file).expect("a file");
        let folder = zegel.path("keys").join(&id);
        std::os::unix::fs::DirBuilderExt::mode(&mut fs::DirBuilder::new(), 0o700)
            .create(&folder)
            .expect("a folder");
        let (state, why) = [
            ("active", "signing"),
            ("active", "signing"),
            ("active", "unreachable"),
            ("generated", "not_seen"),
        ][place % 4];
        let mut fingerprint = String::new();
        write!(fingerprint, "{place:064x}").expect("a String");
        let keyring = json!({ "version": 1, "keys": [{
            "selector": format!("{id}-2026b"),
            "algorithm": "rsa-sha256",
            "created": ago(3000),
            "fingerprint": fingerprint,
            "publications": { domain: publication(state, 2000, why) },
        }]});
        write(&folder.join("keyring.json"), &keyring);
    }
    zegel
}

/// Sends messages of this domain, one after another.
pub(crate) fn send(zegel: &Zegel, domain: &str, number: usize) {
    let mut connection = Connection::negotiated(&zegel.milter(), Offer::POSTFIX);
    connection.greet(&Peer::local());
    for _ in 0..number {
        let text = format!("From: a@{domain}\r\nSubject: x\r\n\r\nbody\r\n");
        connection.send_message(&Message::parse(text.as_bytes()));
    }
    connection.quit();
}

/// What the keeper would have counted of the mail of an organisation today and yesterday.
pub(crate) fn count_days(zegel: &Zegel, id: &str) {
    for hours in [24, 0] {
        let until = ago(hours);
        let (date, _) = until.split_once('T').expect("a time");
        let day = json!({
            "version": 1, "day": date, "until": until, "signers": {}, "organisations": { id: {
                "signed": 3,
                "unsigned": { "awaiting_key": 12_345 + hours },
                "put_off": { "signing_failure": 7 },
                "rejected": { "from_several_mailboxes": hours },
            }},
        });
        let date = date.parse().expect("a day");
        let json = day.to_string();
        let written = zegel
            .keystore()
            .write_counts(date, json.as_bytes(), date, 35);
        written.expect("the counts");
    }
}

/// Waits until the page of an organisation says so: a message is counted when its reply is
/// out, which is when the test goes on, too.
pub(crate) fn await_counts(zegel: &Zegel, id: &str, (signed, unsigned): (u32, u32)) {
    let expected = format!("{signed} signed and {unsigned} not signed in the last 24 hours");
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let page = zegel.page(&format!("/org/{id}")).expect("a page");
        if page.contains(&expected) {
            return;
        }
        assert!(Instant::now() < end, "not {expected} in {page}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
