//! What an MTA could say on a milter connection, in any order and cut anywhere: answered as
//! the protocol has it, signed only where that is right, and forgotten by the next message.
//!
//! Input: the listener, the number of lengths, the lengths in which the octets are read, and
//! a script of what is said (`zegel_fuzz::script`).
#![no_main]

use std::{collections::HashMap, sync::LazyLock};

use libfuzzer_sys::fuzz_target;
use tokio::runtime::{Builder, Runtime};
use zegel::{
    config::{Limits, Outbound},
    dkim::{HeaderSection, PublicKey, author_domain},
    milter::{HeaderMemory, Service, ServiceParts, Turns},
    names::DomainName,
    observe::metrics::Metrics,
    snapshot::{Signing, Snapshot, SnapshotHolder},
};
use zegel_fuzz::{
    from, input,
    pieces::Pieces,
    script,
    talk::{self, End, Mail, Reply, Talk},
    verify, world,
};

const HEADER_OCTETS: usize = 4096;
const HEADER_FIELDS: usize = 16;
/// The largest frame, and what is read at once; a buffer may grow to twice what it needs.
const MOST_ROOM: usize = 2 * (1024 * 1024 + 64 * 1024 + 16);

const LISTENERS: [Listener; 3] = [
    Listener {
        rule: true,
        observe: false,
        settings: b"",
    },
    Listener {
        rule: false,
        observe: false,
        settings: b"[signing]\ncanonicalization = \"simple/simple\"\n",
    },
    Listener {
        rule: false,
        observe: true,
        settings: b"",
    },
];

struct Listener {
    /// Only logins and clients of this host; else everybody.
    rule: bool,
    observe: bool,
    settings: &'static [u8],
}

struct World {
    services: Vec<Service>,
    keys: HashMap<DomainName, Vec<PublicKey>>,
    runtime: Runtime,
}

static WORLD: LazyLock<World> = LazyLock::new(World::new);

fuzz_target!(|input: &[u8]| {
    let mut rest = input;
    let which = usize::from(input::octet(&mut rest)) % LISTENERS.len();
    let lengths = usize::from(input::octet(&mut rest) % 8);
    let (lengths, script) = rest.split_at(lengths.min(rest.len()));
    let mut said = script::spoken(script);
    let before = talk::talk(&said);
    let goes_on = before.can_go_on();
    if goes_on {
        said.extend(script::well_formed(&before));
    }

    let talk = talk::talk(&said);
    let whole = check(which, &WORLD.answer(which, vec![&said]), &talk);
    let cut = check(
        which,
        &WORLD.answer(which, input::chunks(&said, lengths)),
        &talk,
    );
    if talk.end == End::Closed {
        // What was not a final reply may be lost with the connection, so the rest is the same.
        let only = |all: Vec<Outcome>| all.into_iter().filter(|one| *one != Outcome::Other);
        assert!(only(whole).eq(only(cut)));
    } else {
        assert_eq!(whole, cut, "cut another way");
        assert!(!goes_on || can_be_signed(which, talk.replies.last()));
    }

    // Whatever one peer says, the next one has its mail signed.
    let said = script::well_formed(&talk::talk(b""));
    let talk = talk::talk(&said);
    check(which, &WORLD.answer(which, vec![&said]), &talk);
    assert!(LISTENERS[which].observe || can_be_signed(which, talk.replies.last()));
});

impl World {
    fn new() -> Self {
        let limits = Limits {
            header_bytes: HEADER_OCTETS,
            header_fields: HEADER_FIELDS,
            commands: talk::COMMANDS,
            command_bytes: talk::COMMAND_OCTETS,
            ..Limits::default()
        };
        let metrics = Metrics::new();
        let service = |listener: &Listener| {
            let snapshot = world::snapshot_with(listener.settings, limits);
            Service::new(ServiceParts {
                name: "relay".to_owned(),
                outbound: match listener.rule {
                    true => Outbound::default(),
                    false => Outbound::All,
                },
                observe: listener.observe,
                turns: Turns::new(metrics.clone()),
                memory: HeaderMemory::new(metrics.clone()),
                snapshots: SnapshotHolder::new(snapshot),
                metrics: metrics.clone(),
            })
        };
        let runtime = Builder::new_current_thread().enable_time().build();
        Self {
            services: LISTENERS.iter().map(service).collect(),
            keys: keys(&world::snapshot()),
            runtime: runtime.expect("a runtime"),
        }
    }

    /// What a peer is told that says these pieces and leaves.
    fn answer(&self, which: usize, pieces: Vec<&[u8]>) -> Vec<u8> {
        let mut stream = Pieces::new(pieces);
        let service = self.services[which].serve(&mut stream);
        self.runtime.block_on(service);
        assert!(stream.most_room <= MOST_ROOM, "{}", stream.most_room);
        stream.told
    }
}

/// The keys in use, first the one whose signature is on top.
fn keys(snapshot: &Snapshot) -> HashMap<DomainName, Vec<PublicKey>> {
    let keys = [world::OPEN, world::BOUND].map(|name| {
        let name: DomainName = name.parse().expect("a domain");
        let domain = snapshot.domain(&name).expect("it is ours");
        let keys = domain.keys.as_ref().expect("it sends").load();
        let Signing::Active(keys) = keys else {
            panic!("{name} has no key in use");
        };
        let keys = keys.iter().map(|key| key.signing_key.public_key().clone());
        (name, keys.collect())
    });
    keys.into()
}

#[derive(Debug, Eq, PartialEq)]
enum Outcome {
    Signed,
    Accepted,
    Refused,
    /// No final reply.
    Other,
}

/// Holds what was told against what must be; nothing else may have been told.
fn check(which: usize, told: &[u8], talk: &Talk) -> Vec<Outcome> {
    let frames = frames(told);
    let mut frames = frames.iter().copied().peekable();
    let mut outcomes = Vec::new();
    for reply in &talk.replies {
        if frames.peek().is_none() {
            // Replies of the moment in which the connection was closed.
            assert!(talk.end == End::Closed && !matches!(reply, Reply::Final(_)));
            continue;
        }
        outcomes.push(match reply {
            Reply::GoOn => {
                assert_eq!(frames.next(), Some((b'c', &b""[..])));
                Outcome::Other
            }
            Reply::Agreement(words) => {
                let (kind, data) = frames.next().expect("it was looked at");
                assert_eq!(kind, b'O');
                assert_eq!(data[..12], words.map(u32::to_be_bytes).concat());
                // Names of macros only for those who understand that.
                assert!(data.len() == 12 || words[1] & 0x100 != 0);
                Outcome::Other
            }
            Reply::Final(mail) => {
                let mut values = Vec::new();
                while let Some((_, data)) = frames.next_if(|(kind, _)| *kind == b'i') {
                    values.push(inserted(data));
                }
                let last = frames.next().expect("the reply that ends it");
                check_mail(&LISTENERS[which], mail, (&values, last))
            }
        });
    }
    assert_eq!(frames.next(), None, "nobody asked");
    outcomes
}

fn frames(mut told: &[u8]) -> Vec<(u8, &[u8])> {
    let mut frames = Vec::new();
    while let Some((length, rest)) = told.split_first_chunk::<4>() {
        let (whole, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
        frames.push((whole[0], &whole[1..]));
        told = rest;
    }
    assert!(told.is_empty(), "half a frame");
    frames
}

/// The value of a field that goes on top.
fn inserted(data: &[u8]) -> &str {
    let value = data.strip_prefix(b"\0\0\0\0DKIM-Signature\0");
    let value = value.and_then(|value| value.strip_suffix(b"\0"));
    let value = value.expect("a signature on top, and nothing else");
    assert!(!value.contains(&0) && !value.contains(&b'\r'));
    std::str::from_utf8(value).expect("it is text")
}

fn check_mail(listener: &Listener, mail: &Mail, of: (&[&str], (u8, &[u8]))) -> Outcome {
    let (values, last) = of;
    let owner = owner(listener, mail).filter(|_| !listener.observe);
    match last {
        (b'a', b"") if !values.is_empty() => {
            let author = owner.expect("it is not for us to sign");
            assert!(is_sound(mail), "{mail:?}");
            check_signatures(mail, &author, values);
            Outcome::Signed
        }
        (b'a', b"") => {
            let lost = owner.is_some() && is_understood(mail);
            assert!(!lost, "mail of ours leaves unsigned: {mail:?}");
            assert!(mail.agreed && !mail.broken || listener.observe);
            Outcome::Accepted
        }
        (b'y', text) => {
            assert!(values.is_empty() && text.starts_with(b"451 4.7.1 "));
            let fine = owner.is_some() && is_understood(mail) && is_sound(mail);
            assert!(!fine || is_near_limits(mail), "{mail:?}");
            assert!(!listener.observe);
            Outcome::Refused
        }
        (kind, _) => panic!("{} is no final reply", kind.escape_ascii()),
    }
}

/// Whose key signs it: what the listener lets out, of the domain in plain sight, from those
/// who may.
fn owner(listener: &Listener, mail: &Mail) -> Option<DomainName> {
    let client = mail.client.map(|address| address.to_string());
    let client = client.unwrap_or_default();
    let is_local = client.starts_with("127.") || client == "::1";
    if listener.rule && mail.login.is_none() && !is_local {
        return None;
    }
    let [value] = values(mail, "from")[..] else {
        return None;
    };
    let author = from::domain(value)?;
    let is_member = mail.login.as_deref() == Some(b"crm");
    let is_member = is_member || client.starts_with("10.") && !client.contains(':');
    match author.as_str() {
        world::OPEN => Some(author),
        world::BOUND if is_member => Some(author),
        _ => None,
    }
}

fn values<'a>(mail: &'a Mail, name: &str) -> Vec<&'a [u8]> {
    // As it is seen.
    let named = |own: &[u8]| {
        let seen = own.iter().filter(|octet| octet.is_ascii_graphic());
        seen.map(u8::to_ascii_lowercase).eq(name.bytes())
    };
    let fields = mail.fields.iter().filter(|(own, _)| named(own));
    fields.map(|(_, value)| value.as_slice()).collect()
}

/// Whether it can be signed at all.
fn is_sound(mail: &Mail) -> bool {
    let octets: usize = mail
        .fields
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    let within = octets <= HEADER_OCTETS && mail.fields.len() <= HEADER_FIELDS;
    mail.agreed && mail.may_add && !mail.broken && within
}

/// Whether it is almost too large: line ends and blanks count as well.
fn is_near_limits(mail: &Mail) -> bool {
    let all = mail.fields.iter();
    all.map(|(name, value)| name.len() + 1 + 2 * value.len())
        .sum::<usize>()
        > HEADER_OCTETS
}

/// Whether the author is read by Zegel as well (its own target holds it to that), and whether
/// it can't have been signed before.
fn is_understood(mail: &Mail) -> bool {
    let header = header(mail);
    author_domain(header.values("from")).is_ok() && values(mail, "dkim-signature").is_empty()
}

/// As the MTA will send it.
fn header(mail: &Mail) -> HeaderSection {
    let mut header = HeaderSection::default();
    for (name, value) in &mail.fields {
        push(&mut header, mail, (name, value));
    }
    header
}

fn push(header: &mut HeaderSection, mail: &Mail, (name, value): (&[u8], &[u8])) {
    let blank: &[u8] = if mail.leading_space { b"" } else { b" " };
    header.push(name, &[blank, value].concat());
}

fn check_signatures(mail: &Mail, author: &DomainName, values: &[&str]) {
    let mut sent = HeaderSection::default();
    // The last one put on top is on top.
    for value in values.iter().rev() {
        push(&mut sent, mail, (b"DKIM-Signature", value.as_bytes()));
    }
    for field in header(mail).fields() {
        sent.push(field.name, field.value);
    }
    let keys = &WORLD.keys[author];
    assert_eq!(values.len(), keys.len());
    for (place, (key, value)) in keys.iter().zip(values.iter().rev()).enumerate() {
        assert_eq!(verify::tag(value, "d"), Some(author.as_str()));
        let holds = verify::holds(&sent, place, &mail.body, key);
        assert_eq!(holds, Some(true), "{value}");
    }
}

/// Whether the last message is one to be signed, or the peer does not let us.
fn can_be_signed(which: usize, last: Option<&Reply>) -> bool {
    let Some(Reply::Final(mail)) = last else {
        return false;
    };
    let author = owner(&LISTENERS[which], mail);
    author.is_some_and(|author| author.as_str() == world::OPEN) && (is_sound(mail) || !mail.may_add)
}
