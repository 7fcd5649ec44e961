//! Tables of From values, one value a line.

mod addresses;
mod attacks;
mod lists;
mod readers;
mod surroundings;

use std::iter;

use super::{AuthorRefusal, author_domain};

const MISSING: Result<&str, AuthorRefusal> = Err(AuthorRefusal::Missing);
const REPEATED: Result<&str, AuthorRefusal> = Err(AuthorRefusal::Repeated);
const SEVERAL: Result<&str, AuthorRefusal> = Err(AuthorRefusal::SeveralMailboxes);
const BAD: Result<&str, AuthorRefusal> = Err(AuthorRefusal::Unparsable);

fn of_one(value: &[u8]) -> Result<String, AuthorRefusal> {
    author_domain(iter::once(value)).map(|domain| domain.to_string())
}

#[track_caller]
fn all_are(expected: Result<&str, AuthorRefusal>, values: &[&str]) {
    for value in values {
        let found = of_one(value.as_bytes());
        assert_eq!(found.as_deref(), expected.as_ref().copied(), "{value:?}");
    }
}

#[track_caller]
fn all_octets_are(expected: Result<&str, AuthorRefusal>, values: &[&[u8]]) {
    for value in values {
        let found = of_one(value);
        let text = value.escape_ascii();
        assert_eq!(found.as_deref(), expected.as_ref().copied(), "{text}");
    }
}

#[test]
fn number_of_fields() {
    let a: &[u8] = b" a@b.example";
    let bad: &[u8] = b" ";
    for (fields, expected) in [
        (&[][..], MISSING),
        (&[a], Ok("b.example")),
        (&[a, a], REPEATED),
        (&[a, bad], REPEATED),
        (&[bad, a], REPEATED),
        (&[bad, bad, bad], REPEATED),
    ] {
        let found = author_domain(fields.iter().copied()).map(|domain| domain.to_string());
        assert_eq!(found.as_deref(), expected.as_ref().copied(), "{fields:?}");
    }
}
