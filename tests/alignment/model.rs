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
            Self::One(mailbox) => mailbox.answer(false).ok_or(AuthorRefusal::Unparsable),
            Self::EmptyElements { mailbox, .. } => {
                mailbox.answer(true).ok_or(AuthorRefusal::SeveralMailboxes)
            }
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

/// A mailbox as it is sent.
#[derive(Default)]
struct Written {
    text: String,
    /// Where the mailbox ends, without what follows.
    end: usize,
    /// A comment within the address, or something around a dot.
    is_broken: bool,
}

impl Written {
    fn gap(&mut self, gap: &str, is_fine: bool) {
        self.text += gap;
        self.is_broken |= !is_fine;
    }
}

impl Mailbox {
    fn text(&self) -> String {
        self.written().text
    }

    /// The domain, if all readers are to see it: RFC 5322 without what divides them.
    fn answer(&self, has_separators: bool) -> Option<&'static str> {
        let written = self.written();
        let has_quotes = self.local_part.contains('"');
        let is_bare = matches!(self.form, Form::Bare);
        let name = if is_bare { "" } else { self.display_name };
        let has_hidden_end = [name, self.local_part]
            .iter()
            .any(|text| text.contains(['\\', '\r']))
            || written.text.contains("(\\");
        let names_another = written.text.split('@').skip(1).any(|rest| {
            let rest = rest.trim_start().to_lowercase();
            let behind = rest.strip_prefix(&self.written.to_lowercase());
            behind.is_none_or(|behind| behind.starts_with(char::is_alphanumeric))
        });
        let is_refused = written.is_broken
            || has_hidden_end && (is_bare || has_quotes)
            || has_quotes && !self.written.is_ascii()
            || written.text[written.end..].starts_with('(')
            || names_another && (has_hidden_end || has_separators);
        self.name.filter(|_| !is_refused)
    }

    fn written(&self) -> Written {
        let mut gaps = self.gaps.iter().copied().cycle();
        let mut gap = || gaps.next().unwrap_or_default();
        let has_no_comment = |gap: &str| !gap.contains('(');
        let mut written = Written::default();
        written.text += gap();
        if !matches!(self.form, Form::Bare) {
            written.text += self.display_name;
            written.text += gap();
            written.text += "<";
            let inside = gap();
            written.gap(inside, has_no_comment(inside));
        }
        if matches!(self.form, Form::Route) {
            for part in ["@", "route.example", ",", "@", "legit", ".", "example", ":"] {
                written.text += part;
                written.text += gap();
            }
        }
        written.text += self.local_part;
        let before = gap();
        written.gap(before, has_no_comment(before));
        written.text += "@";
        if self.name.is_some() {
            for (number, label) in self.written.split('.').enumerate() {
                let (dot, before) = (if number > 0 { "." } else { "" }, gap());
                written.text += dot;
                written.gap(
                    before,
                    before.is_empty() || number == 0 && has_no_comment(before),
                );
                written.text += label;
                written.end = written.text.len();
                let is_last =
                    self.written.ends_with(label) && self.written.split('.').count() == number + 1;
                let after = gap();
                let is_outside = is_last && matches!(self.form, Form::Bare);
                written.gap(
                    after,
                    after.is_empty() || is_outside || is_last && has_no_comment(after),
                );
            }
        } else {
            written.text += self.written;
        }
        if !matches!(self.form, Form::Bare) {
            let inside = gap();
            written.gap(inside, has_no_comment(inside));
            written.text += ">";
            written.end = written.text.len();
        }
        written.text += gap();
        written
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
    let form = prop_oneof![1 => Just(Form::Bare), 2 => Just(Form::Angle)];
    (
        form,
        select(&DISPLAY_NAMES[..]),
        select(&LOCAL_PARTS[..]),
        select(&DOMAINS[..]),
        prop_oneof![
            vec(select(&GAPS[..]), 1..20),
            vec(select(&["", "", " "][..]), 1..20)
        ],
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

/// Without a domain that could be meant, or so that some readers find another one.
fn broken_mailbox() -> impl Strategy<Value = Mailbox> {
    let broken = |mailbox| Mailbox {
        name: None,
        ..mailbox
    };
    prop_oneof![
        2 => (mailbox(), select(&NO_DOMAINS[..])).prop_map(move |(mailbox, written)| broken(Mailbox { written, ..mailbox })),
        1 => (mailbox(), select(&NO_LOCAL_PARTS[..])).prop_map(move |(mailbox, local_part)| broken(Mailbox { local_part, ..mailbox })),
        1 => mailbox().prop_map(move |mailbox| broken(Mailbox { form: Form::Route, ..mailbox })),
    ]
}

/// A domain as it is written, and the name that it is.
type Domain = (&'static str, &'static str);

const DOMAINS: [Domain; 11] = [
    ("b.example", "b.example"),
    ("B.Example", "b.example"),
    ("legit.example", "legit.example"),
    ("mail.gemeente-voorbeeld.nl", "mail.gemeente-voorbeeld.nl"),
    ("localhost", "localhost"),
    ("1.2.example", "1.2.example"),
    ("bücher.example", "xn--bcher-kva.example"),
    ("Bücher.EXAMPLE", "xn--bcher-kva.example"),
    ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
    ("市.例え.example", "xn--7st.xn--r8jz45g.example"),
    ("bücher.xn--fa-hia", "xn--bcher-kva.xn--fa-hia"),
];

/// What is written as a domain and must never become one.
const NO_DOMAINS: [&str; 16] = [
    "faß.example",
    "bücher.νέος",
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

/// What ends an address for some reader, and an encoded word.
const NO_LOCAL_PARTS: [&str; 8] = [
    "\"x@legit.example\"",
    "\"<x@legit.example>\"",
    "\"a,b\"",
    "\">\"",
    "\"a\\\\\"",
    "\"a\" b",
    "\"a\"\"b\"",
    "=?utf-8?Q?a?=",
];

const LOCAL_PARTS: [&str; 10] = [
    "a",
    "first.last",
    "a+tag",
    "legit.example",
    "zoë",
    "\"a b\"",
    "\"\"",
    "\"a\\\"b\"",
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
