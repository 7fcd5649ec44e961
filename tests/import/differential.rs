//! What an import says will sign, against what the real OpenDKIM signs: random tables and
//! lists of clients, from a fixed seed.

use std::{collections::BTreeSet, fmt::Write, net::IpAddr};

use zegel::organisation::network_of;

use crate::{
    setup::{Folder, Report, import},
    support::{
        milter::{Connection, Message, Offer, Peer, Reply},
        opendkim::OpenDkim,
    },
};

/// Numbers that are the same on each run (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).unwrap()
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }
}

/// `d=` and `s=` of a signature.
type Signer = (String, String);

/// The signatures that OpenDKIM gives a message; nothing when it puts the message off.
fn signed(milter: &OpenDkim, peer: &Peer, author: &str) -> Option<BTreeSet<Signer>> {
    let text = format!(
        "From: Post <{author}>\r\nTo: a@ontvanger.test\r\nSubject: hoi\r\n\
         Date: Mon, 05 Oct 2026 09:30:00 +0200\r\nMessage-ID: <1@a.example>\r\n\r\nDag\r\n"
    );
    let mut connection = Connection::negotiated(&milter.milter(), Offer::POSTFIX);
    assert!(connection.greet(peer).goes_on());
    let outcome = connection.send_message(&Message::parse(text.as_bytes()));
    if outcome.reply == Reply::TemporaryFailure {
        return None;
    }
    outcome.expect_accepted();
    let fields = outcome.inserted.iter();
    let fields = fields.filter(|field| field.name.eq_ignore_ascii_case("dkim-signature"));
    Some(fields.map(|field| signer(&field.value)).collect())
}

fn signer(value: &[u8]) -> Signer {
    let text = String::from_utf8_lossy(value);
    let tag = |name: &str| {
        let mut tags = text.split(';').map(str::trim);
        let found = tags.find_map(|tag| tag.strip_prefix(name)?.strip_prefix('='));
        found.unwrap_or_default().trim().to_owned()
    };
    (tag("d"), tag("s"))
}

const DOMAINS: [&str; 5] = [
    "a.example",
    "b.example",
    "sub.a.example",
    "deep.sub.a.example",
    "xa.example",
];
const LOCALS: [&str; 3] = ["anybody", "news", "info"];
const PATTERNS: [&str; 20] = [
    "*@a.example",
    "*@a.example",
    "*@b.example",
    "*@sub.a.example",
    "*@xa.example",
    "**@a.example",
    "*a.example",
    "*@*a.example",
    "*@*.a.example",
    "*.a.example",
    "*sub.a.example",
    "*@A.EXAMPLE",
    " *@a.example",
    "news@a.example",
    "n*s@a.example",
    "info@b.example",
    "news@*",
    "*@*",
    "*",
    "a.example",
];
const KEYS_OF_LISTS: [&str; 14] = [
    "a.example",
    "A.example",
    "b.example",
    "sub.a.example",
    "xa.example",
    ".a.example",
    ".example",
    "news@a.example",
    "news@.a.example",
    "info@b.example",
    "news@*",
    "*",
    "*@a.example",
    "deep.sub.a.example",
];
/// The domains of four keys, the selectors of which are s0 to s3.
const SIGNERS: [&str; 6] = ["%", "%", "%", "a.example", "b.example", "sub.a.example"];

/// Writes a set-up; what it is, for messages.
fn write_tables(random: &mut Random, folder: &Folder) -> String {
    let mut keys = String::new();
    for number in 0..4 {
        let domain = random.of(&SIGNERS);
        writeln!(keys, "k{number} {domain}:s{number}:{{}}/keys/{number}.pem").unwrap();
    }
    let kind = random.of(&["refile", "refile", "file", "csl"]);
    let patterns: &[&str] = if kind == "refile" {
        &PATTERNS
    } else {
        &KEYS_OF_LISTS
    };
    let lines: Vec<(&str, String)> = (0..2 + random.below(6))
        .map(|_| (random.of(patterns), format!("k{}", random.below(4))))
        .collect();
    let mut table = String::new();
    let value = if kind == "csl" {
        let items: Vec<String> = lines
            .iter()
            .map(|(key, name)| format!("{key}={name}"))
            .collect();
        format!("csl:{}", items.join(","))
    } else {
        for (key, name) in &lines {
            writeln!(table, "{key} {name}").unwrap();
        }
        folder.write("SigningTable", &table);
        format!("{kind}:{{}}/SigningTable")
    };
    folder.write("KeyTable", &keys);
    let multiple = random.of(&["no", "yes"]);
    let settings = format!(
        "Mode s\nKeyTable file:{{}}/KeyTable\nSigningTable {value}\nRequireSafeKeys no\n\
         MultipleSignatures {multiple}\nCanonicalization relaxed/relaxed\nInternalHosts 127.0.0.1\n"
    );
    folder.write("opendkim.conf", &settings);
    format!("{settings}{table}{keys}")
}

/// What signs for a domain after the import.
fn signs_for(report: &Report, domain: &str) -> BTreeSet<String> {
    let organisations = report.json["organisations"].as_array().unwrap().iter();
    let keys = organisations.flat_map(|one| one["keys"].as_array().unwrap());
    let signing = keys.filter(|key| {
        let domains = key["signs_for"].as_array().unwrap();
        domains.iter().any(|one| one == domain)
    });
    signing
        .map(|key| key["selector"].as_str().unwrap().to_owned())
        .collect()
}

/// Whether a finding says that mail of this domain, or of domains that are not named, is signed
/// otherwise.
fn is_named(report: &Report, what: &str) -> bool {
    report.findings().iter().any(|(code, _, words)| {
        ["catch_all", "wildcard_pattern"].contains(&code.as_str()) || words.contains(what)
    })
}

#[test]
fn an_import_says_what_opendkim_signs_whatever_the_tables() {
    let mut random = Random(0x5eed_2026);
    let folder = Folder::with_keys(4);
    let mut same = 0;
    for round in 0..40 {
        let set_up = write_tables(&mut random, &folder);
        let file = folder.path("opendkim.conf");
        let milter = OpenDkim::over(&std::fs::read_to_string(&file).unwrap());
        let more = ["--dry-run", "--assume-published"];
        let report = import("opendkim", &file, &folder.path("out"), &more);
        for domain in DOMAINS {
            let ask = |local: &str| signed(&milter, &Peer::local(), &format!("{local}@{domain}"));
            let by_opendkim: Vec<_> = LOCALS.iter().map(|local| ask(local)).collect();
            let of_anybody = by_opendkim[0].clone().unwrap_or_default();
            let ours = signs_for(&report, domain);
            let context = || format!("{round} {domain}: {by_opendkim:?} {ours:?}\n{set_up}");
            for selector in &ours {
                let signer = (domain.to_owned(), selector.clone());
                let by_some = by_opendkim
                    .iter()
                    .flatten()
                    .any(|all| all.contains(&signer));
                let for_one = report
                    .findings()
                    .iter()
                    .any(|(code, _, words)| code == "single_address" && words.contains(domain));
                let is_right = of_anybody.contains(&signer) || (by_some && for_one);
                assert!(
                    is_right,
                    "{selector} signs: {}{:#?}",
                    context(),
                    report.findings()
                );
            }
            for (as_domain, selector) in &of_anybody {
                let is_taken = as_domain == domain && ours.contains(selector);
                same += usize::from(is_taken);
                let is_right = is_taken || is_named(&report, domain);
                assert!(
                    is_right,
                    "{selector} is dropped: {}{:#?}",
                    context(),
                    report.findings()
                );
            }
            for (local, other) in LOCALS.iter().zip(&by_opendkim).skip(1) {
                let address = format!("{local}@{domain}");
                let is_right = *other == by_opendkim[0] || is_named(&report, domain);
                assert!(is_right, "{address}: {}{:#?}", context(), report.findings());
            }
        }
    }
    assert!(same > 30, "only {same} signatures were taken over");
}

const CLIENTS: [&str; 16] = [
    "10.0.0.5",
    "10.0.0.4",
    "10.0.1.1",
    "10.1.2.3",
    "10.255.255.255",
    "11.0.0.1",
    "127.0.0.1",
    "192.0.2.1",
    "192.0.2.129",
    "::1",
    "2001:db8::1",
    "2001:db8::2",
    "2001:db8:0:1::1",
    "2001:db8:ffff::1",
    "2001:db9::1",
    "fe80::1",
];
const HOSTS: [&str; 36] = [
    "10.0.0.0/8",
    "!10.0.0.5",
    "10.0.0.5",
    "!10.0.0.0/24",
    "10.0.0.0/24",
    "10.1.2.3/8",
    "!10.1.2.3/16",
    "[10.0.0.5]",
    "![10.0.0.5]",
    "[10.0.0.0]/24",
    "![10.0.0.0]/24",
    "[10.0.0.0/24]",
    "10.0.0.4/31",
    "!10.0.0.4/32",
    "10.0.0.0/255.0.0.0",
    "10.0.0.0/08",
    "010.0.0.5",
    "0.0.0.0/0",
    "!0.0.0.0/0",
    "192.0.2.0/25",
    "!192.0.2.128/25",
    "::ffff:10.0.0.0/104",
    "::1",
    "[::1]",
    "::/0",
    "!::/0",
    "2001:db8::/32",
    "!2001:DB8::1",
    "2001:DB8:0:1::/64",
    "!2001:db8:0::/48",
    "2001:0db8::/32",
    "!2001:db8::/48",
    "[2001:db8::]/48",
    "![2001:db8::1]",
    "fe80::/10",
    "127.0.0.1",
];

#[test]
fn an_import_takes_the_clients_that_opendkim_takes() {
    let mut random = Random(0xc11e_2026);
    let folder = Folder::with_keys(1);
    let mut outbound = 0;
    for round in 0..40 {
        let mut list =
            || -> Vec<&str> { (0..=random.below(7)).map(|_| random.of(&HOSTS)).collect() };
        let (hosts, peers) = (list(), list());
        folder.write("hosts", &(hosts.join("\n") + "\n"));
        let hosts = match round % 3 {
            0 => format!("csl:{}", hosts.join(", ")),
            1 => "{}/hosts".to_owned(),
            _ => "refile:{}/hosts".to_owned(),
        };
        let peers = match round % 4 {
            0 => format!("PeerList csl:{}\n", peers.join(",")),
            _ => String::new(),
        };
        folder.write(
            "opendkim.conf",
            &format!(
                "Mode s\nDomain a.example\nSelector s\nKeyFile {{}}/keys/0.pem\n\
                 RequireSafeKeys no\nInternalHosts {hosts}\n{peers}"
            ),
        );
        let file = folder.path("opendkim.conf");
        let text = std::fs::read_to_string(&file).unwrap();
        let milter = OpenDkim::over(&text);
        let out = folder.path(&format!("out{round}"));
        let keystore = out.join("keys");
        import(
            "opendkim",
            &file,
            &out,
            &["--keystore", keystore.to_str().unwrap()],
        );
        let settings = zegel::config::load(&out.join("zegel.toml"))
            .unwrap()
            .settings;
        let zegel::config::Outbound::Rule { networks, .. } = &settings.listeners[0].outbound else {
            panic!("a rule is needed");
        };
        for client in CLIENTS {
            let address: IpAddr = client.parse().unwrap();
            let mut peer = Peer::at("127.0.0.1:40000");
            peer.address = Some((address, 40000).into());
            peer.name = "client.test".to_owned();
            let theirs = is_signed(&milter, &peer);
            let ours = network_of(networks, Some(address)).is_some();
            outbound += usize::from(ours);
            assert_eq!(
                ours,
                theirs,
                "{round} {client}: {networks:?}\n{text}{}",
                std::fs::read_to_string(folder.path("hosts")).unwrap()
            );
        }
    }
    assert!(outbound > 80, "only {outbound} clients were outbound");
}

/// A client of `PeerList` is let through without a look.
fn is_signed(milter: &OpenDkim, peer: &Peer) -> bool {
    let mut connection = Connection::negotiated(&milter.milter(), Offer::POSTFIX);
    if !connection.greet(peer).goes_on() {
        return false;
    }
    let message = Message::parse(
        b"From: <x@a.example>\r\nDate: Mon, 05 Oct 2026 09:30:00 +0200\r\n\r\nDag\r\n",
    );
    let outcome = connection.send_message(&message);
    outcome.expect_accepted();
    !outcome.inserted.is_empty()
}
