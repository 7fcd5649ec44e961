//! Debian's OpenDKIM with a thousand domains, converted: then both daemons sign the same mail
//! for the same domains with the same keys.

use std::fmt::Write;

use crate::{
    setup::{Folder, WEAK_KEY, import},
    support::{
        milter::{Connection, Message, Offer, Peer},
        opendkim::OpenDkim,
        signatures::PublicKeys,
        verifiers::assert_all_pass,
        zegel::Zegel,
    },
};

const KEYS: usize = 40;
const DOMAINS: usize = 1000;

/// The good ones: as many domains for each key, all of them below one name.
fn domains() -> impl Iterator<Item = (String, usize)> {
    (0..DOMAINS).map(|number| {
        let key = number % KEYS;
        (format!("d{number}.org-{key}.example"), key)
    })
}

/// What breaks a rule: lines of the two tables.
const PLANTED_KEYS: &str = "\
    gedeeld een.example:mail:{}/keys/40.pem\n\
    ook-gedeeld twee.test:mail:{}/keys/40.pem\n\
    zwak zwak.example:mail:{}/keys/zwak.pem\n\
    weg weg.example:mail:{}/keys/weg.pem\n\
    open open.example:mail:{}/keys/41.pem\n\
    platform platform.example:mail:{}/keys/42.pem\n\
    streepje streepje.example:ma_il:{}/keys/43.pem\n\
    nog-een een-keer.example:oud:{}/keys/44.pem\n\
    nog-een-keer een-keer.example:nieuw:{}/keys/45.pem\n";
const PLANTED_SIGNERS: &str = "\
    *@een.example gedeeld\n\
    *@twee.test ook-gedeeld\n\
    *@zwak.example zwak\n\
    *@weg.example weg\n\
    *@open.example open\n\
    *@platform.example platform\n\
    *@klant.test platform\n\
    *@streepje.example streepje\n\
    *@een-keer.example nog-een\n\
    *@een-keer.example nog-een-keer\n\
    *@*.diep.example platform\n\
    *@* platform\n";

/// Each with the line that it stands on, behind those of the good ones.
fn planted() -> Vec<(&'static str, String, &'static str)> {
    let signing = |line: usize| format!("SigningTable:{}", DOMAINS + line);
    let keys = |line: usize| format!("KeyTable:{}", DOMAINS + line);
    let option = |line: usize| format!("opendkim.conf:{line}");
    let nowhere = String::new;
    vec![
        ("shared_key", signing(1), "een.example, twee.test"),
        ("weak_key", signing(3), "1024 bits"),
        ("missing_key", signing(4), "weg.pem"),
        ("unsafe_key_file", signing(5), "mode 0644"),
        (
            "other_domain",
            signing(7),
            "klant.test is signed as d=platform.example",
        ),
        ("bad_selector", keys(7), "\"ma_il\" is no selector"),
        ("several_keys", signing(10), "een-keer.example is named"),
        ("wildcard_pattern", signing(11), "below diep.example"),
        ("catch_all", signing(12), "nothing was taken over of it"),
        ("not_from", option(7), "Sender,From"),
        ("unsupported_option", option(8), "MacroList"),
        (
            "client_name",
            "TrustedHosts:3".to_owned(),
            ".intern.example",
        ),
        ("dropped_option", nowhere(), "RequireSafeKeys"),
        // What follows from them.
        ("no_key", nowhere(), "zwak-example"),
        ("no_key", nowhere(), "weg-example"),
        ("no_key", nowhere(), "klant-test"),
        ("no_key", nowhere(), "streepje-example"),
    ]
}

fn write_setup(folder: &Folder) {
    let (mut keys, mut signers) = (String::new(), String::new());
    for (domain, key) in domains() {
        writeln!(keys, "{domain} {domain}:mail:{{}}/keys/{key}.pem").unwrap();
        writeln!(signers, "*@{domain} {domain}").unwrap();
    }
    folder.write("KeyTable", &(keys + PLANTED_KEYS));
    folder.write("SigningTable", &(signers + PLANTED_SIGNERS));
    folder.write("TrustedHosts", "127.0.0.1\n10.0.0.0/8\n.intern.example\n");
    std::fs::copy(WEAK_KEY, folder.path("keys/zwak.pem")).unwrap();
    folder.set_mode("keys/zwak.pem", 0o600);
    folder.set_mode("keys/41.pem", 0o644);
    folder.write(
        "opendkim.conf",
        "Mode s\nKeyTable file:{}/KeyTable\nSigningTable refile:{}/SigningTable\n\
         InternalHosts {}/TrustedHosts\nCanonicalization relaxed/simple\nOversignHeaders From\n\
         SenderHeaders Sender,From\nMacroList daemon_name|ORIGINATING\nRequireSafeKeys no\n\
         SignatureTTL 1209600\n",
    );
}

#[test]
fn both_sign_the_same_mail_with_the_same_keys() {
    let folder = Folder::with_keys(KEYS + 6);
    write_setup(&folder);
    let before = folder.snapshot();
    let opendkim_conf = folder.path("opendkim.conf");
    let old = OpenDkim::over(&std::fs::read_to_string(&opendkim_conf).unwrap());

    let mut new = Zegel::prepared(&[], "");
    let report = import(
        "opendkim",
        &opendkim_conf,
        &new.path(""),
        &["--assume-published"],
    );
    assert_eq!(report.status, 1);
    let planted = planted();
    let expected: Vec<(&str, &str, &str)> = planted
        .iter()
        .map(|(code, place, words)| (*code, place.as_str(), *words))
        .collect();
    report.expect_findings(&expected);
    assert_eq!(folder.snapshot(), before, "the input is as it was");
    let signs = &report.organisation("d0-org-0-example")["keys"][0]["signs_for"];
    assert_eq!(signs.as_array().unwrap().len(), DOMAINS / KEYS);

    new.launch();
    let keys = PublicKeys::of(&new.keystore());
    let (mut samples, mut old_samples) = (Vec::new(), Vec::new());
    let (mut ours, mut theirs) = (connect(&new.milter()), connect(&old.milter()));
    for (number, (domain, _)) in domains().enumerate() {
        let message = message(&domain);
        let by_us = signed(&mut ours, &message);
        let by_them = signed(&mut theirs, &message);
        for bytes in [&by_us, &by_them] {
            let signatures = keys.verify(bytes).unwrap();
            assert_eq!(signatures.len(), 1, "{domain}");
            assert_eq!(signatures[0].domain.as_str(), domain);
            assert_eq!(signatures[0].selector.as_str(), "mail");
        }
        if number < KEYS {
            samples.push(by_us);
            old_samples.push(by_them);
        }
    }
    assert_all_pass(&samples, &new.records(), 1);
    assert_all_pass(&old_samples, &new.records(), 1);
}

fn connect(address: &str) -> Connection {
    let mut connection = Connection::negotiated(address, Offer::POSTFIX);
    assert!(connection.greet(&Peer::local()).goes_on());
    connection
}

fn message(domain: &str) -> Message {
    let text = format!(
        "From: Post <post@{domain}>\r\nTo: a@ontvanger.test\r\nSubject: hoi\r\n\
         Date: Mon, 05 Oct 2026 09:30:00 +0200\r\nMessage-ID: <1@{domain}>\r\n\r\n\
         Dag,\r\n\r\nde groeten.\r\n"
    );
    Message::parse(text.as_bytes())
}

fn signed(connection: &mut Connection, message: &Message) -> Vec<u8> {
    let outcome = connection.send_message(message);
    outcome.expect_accepted();
    outcome.apply(message)
}
