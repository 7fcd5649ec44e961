//! Messages as people, programs and list servers write them, and worse.
//!
//! Left out is what `docs/verifiers.md` shows that verifiers disagree on, whoever signs: a
//! lone CR or LF anywhere; NUL, FF and VT in a field; a blank before a colon; lines in the
//! header section that are no fields; a body without CRLF at its end; and more than 4,096
//! octets of names in `h=`.

use crate::random::Random;

/// One field: its name, and everything behind the colon with folds as CRLF.
#[derive(Clone)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) value: Vec<u8>,
}

impl Field {
    pub(crate) fn new(name: &str, value: impl Into<Vec<u8>>) -> Self {
        let (name, value) = (name.to_owned(), value.into());
        Self { name, value }
    }
}

/// A message that is not signed yet.
#[derive(Clone)]
pub(crate) struct Mail {
    pub(crate) fields: Vec<Field>,
    pub(crate) body: Vec<u8>,
    /// Whether an empty line follows the header section; there may be none before no body.
    pub(crate) separated: bool,
}

impl Mail {
    /// The message as it is on the wire, with these lines on top.
    pub(crate) fn bytes(&self, top: &str) -> Vec<u8> {
        let mut bytes = top.as_bytes().to_vec();
        for field in &self.fields {
            bytes.extend_from_slice(field.name.as_bytes());
            bytes.push(b':');
            bytes.extend_from_slice(&field.value);
            bytes.extend_from_slice(b"\r\n");
        }
        if self.separated {
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// Fields that occur, and how often in a hundred messages.
const OPTIONAL: [(&str, usize); 27] = [
    ("To", 85),
    ("Cc", 30),
    ("Subject", 90),
    ("Reply-To", 20),
    ("Date", 80),
    ("Message-ID", 80),
    ("MIME-Version", 60),
    ("Content-Type", 60),
    ("Content-Transfer-Encoding", 40),
    ("In-Reply-To", 20),
    ("References", 20),
    ("List-Id", 15),
    ("List-Unsubscribe", 15),
    ("List-Unsubscribe-Post", 10),
    ("Sender", 15),
    ("Resent-Date", 10),
    ("Resent-From", 10),
    ("Resent-Sender", 5),
    ("Resent-To", 10),
    ("Resent-Cc", 5),
    ("Resent-Message-ID", 10),
    ("Received", 70),
    ("Return-Path", 20),
    ("Authentication-Results", 20),
    ("X-Mailer", 30),
    ("X-b", 10),
    ("x!#$%&'*+^_`{|}~", 5),
];

/// How a whole message may be out of the ordinary.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Shape {
    Ordinary,
    /// 2,000 fields of names that are not signed.
    ManyFields,
    /// 1,100 fields of a name that is signed.
    ManyRecipients,
    /// A header section of 64 KiB, most of it in one field.
    LongField,
    /// A body of 200 KB.
    LongBody,
}

/// A message from an address of `domain`.
pub(crate) fn mail(random: &mut Random, shape: Shape, domain: &str) -> Mail {
    let mut fields = vec![from(random, domain)];
    for (name, percent) in OPTIONAL {
        while random.percent(percent) {
            fields.push(Field::new(name, value(random)));
            // A second one is rarer, and a third again.
            if random.percent(70) {
                break;
            }
        }
    }
    if random.percent(25) {
        fields.push(foreign_signature(random));
    }
    match shape {
        Shape::ManyFields => {
            let names = ["Received", "X-Other", "X-b", "ARC-Seal", "Comments"];
            fields.extend((0..2000).map(|_| Field::new(random.pick(&names), value(random))));
        }
        Shape::ManyRecipients => {
            fields.extend((0..1100).map(|number| Field::new("To", format!(" {number}@a.example"))));
        }
        Shape::LongField => {
            let name = random.pick(&["References", "Subject", "X-Long"]);
            fields.push(Field::new(name, folded(random, 64 * 1024)));
        }
        Shape::Ordinary | Shape::LongBody => {}
    }
    shuffle(random, &mut fields);
    for field in &mut fields {
        change_case(random, &mut field.name);
    }
    let body = body(random, shape);
    let separated = !body.is_empty() || random.percent(70);
    Mail {
        fields,
        body,
        separated,
    }
}

fn from(random: &mut Random, domain: &str) -> Field {
    let before = random.pick(&[
        "",
        "Zegel ",
        "\"Z. \t Egel\" ",
        "Zégel\r\n ",
        "=?utf-8?q?Z=C3=A9?= ",
    ]);
    let behind = random.pick(&["", "", " (team)", "\r\n\t", " \t"]);
    Field::new("From", format!(" {before}<post@{domain}>{behind}"))
}

fn value(random: &mut Random) -> Vec<u8> {
    const ODD: [&[u8]; 14] = [
        b"",
        b" ",
        b" \t ",
        b"\r\n ",
        b"\r\n \r\n\t",
        b"none",
        b"\tx",
        b"\r\n\tx",
        b" \r\n x\r\n \t\r\n y \t ",
        b" b=; bh=x; h=from; b=y",
        b" : ; = :",
        b" \x07\x1b[0m\x7f",
        b" \xa0x\x85",
        b" \xc9\xe9n \xff",
    ];
    match random.below(10) {
        0 | 1 => random.pick(&ODD).to_vec(),
        2 => folded(random, 600),
        _ => {
            let words = random.between(1, 12);
            [b" ".to_vec(), line(random, words)].concat()
        }
    }
}

/// A value of about so many octets on many lines, one of which may be 900 octets long.
fn folded(random: &mut Random, octets: usize) -> Vec<u8> {
    let long = random.percent(20);
    let mut text = Vec::new();
    while text.len() < octets {
        let words = if long { 80 } else { random.between(1, 10) };
        let mut piece = line(random, words);
        piece.truncate(900);
        text.extend_from_slice(random.pick(&[&b" "[..], b"\t", b"  \t"]));
        text.extend(piece);
        if random.percent(80) {
            text.extend_from_slice(random.pick(&[&b"\r\n "[..], b"\r\n\t", b" \r\n \t "]));
            text.extend_from_slice(b"x");
        }
    }
    text
}

const WORDS: [&str; 16] = [
    "a",
    "zegel",
    "<1@example.com>,",
    "dinner?",
    "één",
    "日本語",
    "=?utf-8?B?w6k=?=",
    "b=",
    ";",
    "\"q\\\"\"",
    "ready",
    ".",
    "x:y",
    "(c)",
    "--",
    "\u{a0}",
];
const GAPS: [&str; 6] = [" ", " ", " ", "  ", "\t", " \t "];

fn line(random: &mut Random, words: usize) -> Vec<u8> {
    let mut text = Vec::new();
    for _ in 0..words {
        text.extend_from_slice(random.pick(&WORDS).as_bytes());
        text.extend_from_slice(random.pick(&GAPS).as_bytes());
    }
    if random.percent(80) {
        text.truncate(text.trim_ascii_end().len());
    }
    text
}

fn body(random: &mut Random, shape: Shape) -> Vec<u8> {
    let lines = match shape {
        Shape::LongBody => 5_000,
        _ if random.percent(10) => 0,
        _ => random.between(1, 30),
    };
    let mut body = Vec::new();
    for _ in 0..lines {
        body.extend(body_line(random));
        body.extend_from_slice(b"\r\n");
    }
    // What the ends of bodies are made of.
    for _ in 0..random.pick(&[0, 0, 1, 2, 5]) {
        body.extend_from_slice(random.pick(&[&b"\r\n"[..], b" \r\n", b"\t\r\n", b" \t \r\n"]));
    }
    body
}

fn body_line(random: &mut Random) -> Vec<u8> {
    const ODD: [&[u8]; 15] = [
        b"",
        b"",
        b" ",
        b"\t",
        b".",
        b"..",
        b"From me",
        b"--\x20",
        b"\x0c",
        b"a\x0b \x0c",
        b"\xff\xfe\xe9",
        b"x\xa0\x85",
        b"\x07 \x1b[0m \x7f",
        b"a\0b",
        b"\t \tindented   \t",
    ];
    match random.below(20) {
        0..6 => random.pick(&ODD).to_vec(),
        6 => line(random, 400),
        7 => vec![b'='; random.between(900, 1100)],
        _ => {
            let words = random.between(1, 14);
            line(random, words)
        }
    }
}

/// A signature of somebody else, whose key nobody has.
fn foreign_signature(random: &mut Random) -> Field {
    let text = random.pick(&[
        " v=1; a=rsa-sha256; c=relaxed/relaxed; d=foreign.example; s=x;\r\n\th=from:to:subject;\
         \r\n\tbh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n\tb=AuUoFEfDxTDkHlLXSZEpZj79\
         \r\n\t LICEps6eda7W3deTVFOk4yAUoqOB",
        " v=1; a=ed25519-sha256; d=foreign.example; s=y; h=from:from:dkim-signature; \
         bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=AuUoFEfDxTDkHlLXSZEpZj79LICEps6e;",
    ]);
    Field::new("DKIM-Signature", text)
}

fn change_case(random: &mut Random, name: &mut String) {
    match random.below(10) {
        0 => name.make_ascii_lowercase(),
        1 => name.make_ascii_uppercase(),
        2 => {
            let mixed = |letter: char| {
                if random.percent(50) {
                    letter.to_ascii_uppercase()
                } else {
                    letter.to_ascii_lowercase()
                }
            };
            *name = name.chars().map(mixed).collect();
        }
        _ => {}
    }
}

fn shuffle(random: &mut Random, fields: &mut [Field]) {
    for last in (1..fields.len()).rev() {
        fields.swap(last, random.below(last + 1));
    }
}
