//! From fields by what they mean.

use proptest::{collection::vec, prelude::*, sample::select};
use zegel::dkim::AuthorRefusal;

/// The value of a From field, by what it means.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    One(Mailbox),
    List(Vec<Mailbox>),
    EmptyElements {
        before: usize,
        mailbox: Mailbox,
        after: usize,
    },
    Group {
        name: &'static str,
        members: Vec<Mailbox>,
        beside: Option<Mailbox>,
    },
    Nobody(&'static str),
}

impl Value {
    /// The field as it is sent.
    pub(crate) fn text(&self) -> String {
        let list = |mailboxes: &[Mailbox]| {
            mailboxes
                .iter()
                .map(Mailbox::text)
                .collect::<Vec<_>>()
                .join(",")
        };
        match self {
            Self::One(mailbox) => mailbox.text(),
            Self::List(mailboxes) => list(mailboxes),
            Self::EmptyElements {
                before,
                mailbox,
                after,
            } => [",".repeat(*before), mailbox.text(), ", ".repeat(*after)].concat(),
            Self::Group {
                name,
                members,
                beside,
            } => {
                let beside = beside
                    .as_ref()
                    .map(|mailbox| [",", &mailbox.text()].concat());
                format!("{name}:{};{}", list(members), beside.unwrap_or_default())
            }
            Self::Nobody(text) => (*text).into(),
        }
    }

    /// What the parser must say if it is the only field.
    pub(crate) fn answer(&self) -> Result<&'static str, AuthorRefusal> {
        match self {
            Self::One(mailbox) => mailbox.name.ok_or(AuthorRefusal::Unparsable),
            Self::Nobody(_) => Err(AuthorRefusal::Unparsable),
            _ => Err(AuthorRefusal::SeveralMailboxes),
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Form {
    Bare,
    Angle,
    Route,
}

#[derive(Clone, Debug)]
pub(crate) struct Mailbox {
    form: Form,
    display_name: &'static str,
    local_part: &'static str,
    written: &'static str,
    name: Option<&'static str>,
    gaps: Vec<&'static str>,
}

impl Mailbox {
    fn text(&self) -> String {
        let mut gaps = self.gaps.iter().copied().cycle();
        let mut gap = || gaps.next().unwrap_or_default();
        let mut text = String::from(gap());
        if !matches!(self.form, Form::Bare) {
            text += self.display_name;
            text += gap();
            text += "<";
            text += gap();
        }
        if matches!(self.form, Form::Route) {
            for part in ["@", "route.example", ",", "@", "legit", ".", "example", ":"] {
                text += part;
                text += gap();
            }
        }
        text += self.local_part;
        text += gap();
        text += "@";
        if self.name.is_some() {
            for label in self.written.split_inclusive('.') {
                text += gap();
                text += label.trim_end_matches('.');
                text += gap();
                text += if label.ends_with('.') { "." } else { "" };
            }
        } else {
            text += self.written;
        }
        if !matches!(self.form, Form::Bare) {
            text += gap();
            text += ">";
        }
        text + gap()
    }
}

pub(crate) fn fields() -> impl Strategy<Value = Vec<Value>> {
    prop_oneof![
        1 => Just(Vec::new()),
        28 => value().prop_map(|value| vec![value]),
        2 => vec(value(), 2..4),
    ]
}

pub(crate) fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        12 => mailbox().prop_map(Value::One),
        4 => broken_mailbox().prop_map(Value::One),
        2 => vec(mailbox(), 2..4).prop_map(Value::List),
        2 => (0..3_usize, mailbox(), 1..3_usize, any::<bool>()).prop_map(|(some, mailbox, more, swap)| {
            let (before, after) = if swap { (more, some) } else { (some, more) };
            Value::EmptyElements { before, mailbox, after }
        }),
        2 => (select(&GROUP_NAMES[..]), vec(mailbox(), 0..3), prop::option::of(mailbox()))
            .prop_map(|(name, members, beside)| Value::Group { name, members, beside }),
        1 => select(&NOBODY[..]).prop_map(Value::Nobody),
    ]
}

fn mailbox() -> impl Strategy<Value = Mailbox> {
    let form = prop_oneof![4 => Just(Form::Bare), 8 => Just(Form::Angle), 1 => Just(Form::Route)];
    (
        form,
        select(&DISPLAY_NAMES[..]),
        select(&LOCAL_PARTS[..]),
        select(&DOMAINS[..]),
        vec(select(&GAPS[..]), 1..20),
    )
        .prop_map(
            |(form, display_name, local_part, (written, name), gaps)| Mailbox {
                form,
                display_name,
                local_part,
                written,
                name: Some(name),
                gaps,
            },
        )
}

fn broken_mailbox() -> impl Strategy<Value = Mailbox> {
    (mailbox(), select(&NO_DOMAINS[..])).prop_map(|(mailbox, written)| Mailbox {
        written,
        name: None,
        ..mailbox
    })
}

/// A domain as it is written, and the name that it is.
type Domain = (&'static str, &'static str);

const DOMAINS: [Domain; 12] = [
    ("b.example", "b.example"),
    ("B.Example", "b.example"),
    ("legit.example", "legit.example"),
    ("mail.gemeente-voorbeeld.nl", "mail.gemeente-voorbeeld.nl"),
    ("localhost", "localhost"),
    ("1.2.example", "1.2.example"),
    ("bücher.example", "xn--bcher-kva.example"),
    ("Bücher.EXAMPLE", "xn--bcher-kva.example"),
    ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
    ("faß.example", "xn--fa-hia.example"),
    ("市.例え.example", "xn--7st.xn--r8jz45g.example"),
    ("bücher.xn--fa-hia", "xn--bcher-kva.xn--fa-hia"),
];

/// What is written as a domain and must never become one.
const NO_DOMAINS: [&str; 14] = [
    "b.example.",
    ".b.example",
    "b..example",
    "b_c.example",
    "-b.example",
    "b-.example",
    "BÜCHER.example",
    "bücher。example",
    "ｂ.example",
    "b\u{ad}.example",
    "[192.0.2.1]",
    "[IPv6:2001:db8::1]",
    "=?utf-8?Q?b.example?=",
    "b'c.example",
];

const LOCAL_PARTS: [&str; 14] = [
    "a",
    "first.last",
    "a+tag",
    "legit.example",
    "zoë",
    "\"a b\"",
    "\"\"",
    "\"x@legit.example\"",
    "\"<x@legit.example>\"",
    "\"a,b\"",
    "\"a\\\"b\"",
    "\"a\\\\\"",
    "\"a\r\n b\"",
    "\"(\"",
];

const DISPLAY_NAMES: [&str; 14] = [
    "",
    "Anna",
    "Anna van Berg",
    "A. B. Berg",
    "Anna.Berg",
    "\"Berg, Anna\"",
    "\"x@legit.example\"",
    "\"<x@legit.example>,\"",
    "\"\\\" <x@legit.example>\"",
    "=?utf-8?Q?x=40legit.example?=",
    "=?utf-8?B?PHhAbGVnaXQuZXhhbXBsZT4=?=",
    "Zoë Müller",
    "legit.example",
    "\"a\" b \"c\"",
];

const GROUP_NAMES: [&str; 4] = [
    "g",
    "\"x@legit.example\"",
    "Anna Berg (c) ",
    " legit.example",
];

const NOBODY: [&str; 16] = [
    "",
    " ",
    "\r\n ",
    "<>",
    "Anna <>",
    "Anna",
    "(x@legit.example)",
    ",",
    ";",
    ":;",
    "@b.example",
    "a@",
    "(x a@b.example",
    "\"x a@b.example",
    "=?utf-8?Q?a?=@b.example",
    "<a@b.example",
];

/// Comments and folding white space, which may stand between any two tokens.
const GAPS: [&str; 14] = [
    "",
    "",
    "",
    "",
    "",
    " ",
    "\t",
    "\r\n ",
    "\n\t",
    " \r\n \r\n ",
    "(c)",
    "(<x@legit.example>,)",
    " (a (b (\\)) c)\r\n d) ",
    "(\")",
];
