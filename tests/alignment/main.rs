//! The author domain against a model: From fields are built from what they mean, so the
//! right answer is known before the parser is asked.

mod model;

use idna::domain_to_ascii;
use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
};
use zegel::{
    dkim::{AuthorRefusal, author_domain},
    names::DomainName,
};

use self::model::{Value, fields, value};

proptest! {
    #![proptest_config(ProptestConfig { cases: 50_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_answer_is_that_of_the_model(fields in fields()) {
        let texts: Vec<String> = fields.iter().map(Value::text).collect();
        let expected = match fields.as_slice() {
            [] => Err(AuthorRefusal::Missing),
            [only] => only.answer(),
            _ => Err(AuthorRefusal::Repeated),
        };
        let found = author_domain(texts.iter().map(String::as_bytes));
        prop_assert_eq!(found.as_ref().map(DomainName::as_str), expected.as_ref().copied(), "{:?}", texts);
    }

    #[test]
    fn what_is_found_in_garbage_stands_there(value in garbage()) {
        if let Ok(name) = author_domain(std::iter::once(value.as_slice())) {
            let text = String::from_utf8_lossy(&value);
            let naive = naive_domains(&text);
            // An address may be its own display name.
            prop_assert!((1..=2).contains(&naive.len()), "{:?}", text);
            prop_assert!(naive.iter().all(|one| one == name.as_str()), "{:?}", text);
        }
    }
}

/// All that stands after an `@` outside comments and quoted strings, as A-labels.
fn naive_domains(text: &str) -> Vec<String> {
    let mut depth = 0;
    let mut quoted = false;
    let mut kept = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => drop(characters.next()),
            '"' if depth == 0 => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            _ if quoted || depth > 0 || character.is_ascii_whitespace() => (),
            _ => kept.push(character),
        }
    }
    if quoted || depth != 0 {
        return Vec::new();
    }
    kept.split('@')
        .skip(1)
        .filter_map(|rest| rest.split(['<', '>', ',', ';', ':']).next())
        .map(|domain| domain_to_ascii(domain).unwrap_or_default())
        .collect()
}

/// A well-formed field with some bytes changed, or the pieces of one in any order.
fn garbage() -> impl Strategy<Value = Vec<u8>> {
    let mutated = (value(), vec(mutation(), 1..4)).prop_map(|(value, mutations)| {
        let mut bytes = value.text().into_bytes();
        for (place, taken, put) in mutations {
            let begin = place.index(bytes.len() + 1);
            let end = bytes.len().min(begin + taken);
            bytes.splice(begin..end, put);
        }
        bytes
    });
    let shuffled = vec(select(&PIECES[..]), 1..12).prop_map(|pieces| pieces.concat().into_bytes());
    prop_oneof![3 => mutated, 1 => shuffled]
}

/// Where, how many bytes go, and what comes in their place.
fn mutation() -> impl Strategy<Value = (Index, usize, Vec<u8>)> {
    let put = prop_oneof![
        1 => Just(Vec::new()),
        4 => select(&PIECES[..]).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 1..3),
    ];
    (any::<Index>(), 0..3_usize, put)
}

const PIECES: [&str; 32] = [
    "<",
    ">",
    "@",
    ",",
    ";",
    ":",
    ".",
    "(",
    ")",
    "\"",
    "\\",
    "[",
    "]",
    " ",
    "\t",
    "\r\n ",
    "\n ",
    "\r",
    "\n",
    "\0",
    "a",
    "legit",
    "example",
    "b.example",
    "legit.example",
    "x@legit.example",
    "<x@legit.example>",
    "(c)",
    "\"q\"",
    "ü",
    "\u{ad}",
    "=?utf-8?Q?x=40legit.example?=",
];
