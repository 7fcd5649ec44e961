//! What other programs read in another way is not signed, and what all of them read alike is.
//! `tests/from_readers` asks these programs.

use super::{BAD, SEVERAL, all_are, all_octets_are, of_one};
use crate::dkim::named_domains;

#[test]
fn a_quoted_local_part_holds_nothing_that_ends_an_address() {
    all_are(
        BAD,
        &[
            "<\"<v@c.example>\"@b.example>",
            "\"v@c.example\"@b.example",
            "\"v@c.example \"@b.example",
            "Anna <\"v@c.example,\"@b.example>",
            "\"x <v@c.example> y\"@b.example",
            "\"a;v@c.example\"@b.example",
            "\"(v@c.example)\"@b.example",
            "\"a,b\"@b.example",
            "\"a<\"@b.example",
            "\">a\"@b.example",
            "u.\"v@c.example\"@b.example",
            "\"u\\@c.example\"@b.example",
        ],
    );
    all_are(
        Ok("b.example"),
        &["\"a b\"@b.example", "Anna <\"a;b\"@b.example>"],
    );
}

#[test]
fn routes_are_refused() {
    all_are(
        BAD,
        &[
            "<@c.example,@d.example:u@b.example>",
            "<@c.example:u@b.example>",
            "Anna <@b.example:u@b.example>",
            "<,@c.example:u@b.example>",
            "< @c.example : u@b.example >",
            "<@c.example,:u@b.example>",
            "(c) <(d)@c.example:u@b.example> (e)",
            "@c.example:u@b.example",
        ],
    );
}

/// ß, ς, ZWNJ and ZWJ (UTS #46 §2.2): with IDNA 2003 it is another name.
#[test]
fn u_labels_with_deviation_characters_are_refused() {
    all_are(
        BAD,
        &[
            "u@straße.example",
            "Anna <u@straße.example>",
            "u@faß.bücher.example",
            "u@ß.example",
            "u@βόλος.example",
            "u@νέος.b.example",
            "u@نامه\u{200c}ای.example",
            "u@ශ්\u{200d}රී.example",
            "u@क्\u{200d}ष.example",
            "u@xn--strae-oqa.straße.example",
        ],
    );
    all_are(Ok("xn--strae-oqa.example"), &["u@xn--strae-oqa.example"]);
    all_are(Ok("xn--nxasmm1c.example"), &["u@xn--nxasmm1c.example"]);
    all_are(
        Ok("xn--mgba3gch31f060k.example"),
        &["u@xn--mgba3gch31f060k.example"],
    );
}

#[test]
fn hidden_ends_stand_beside_nothing_that_could_be_found() {
    all_are(
        BAD,
        &[
            "\"x\\\\\" <u@b.example>(v@c.example)",
            "\"x\\\\\" <u@b.example> (v@c.example)",
            "\"x\\\"\" <u@b.example> (v@c.example)",
            "\"\\\" <v@c.example>\" <u@b.example>",
            "\"v@c.example\\\"\" <u@b.example>",
            "(\\) v@c.example) u@b.example",
            "(c (v@c.example)) <u@b.example>",
            "\"v@c.example\r\n x\" <u@b.example>",
            "(v@c.example\r\n) <u@b.example>",
            "u@b.example ((c) d)",
            "u@b.example (\\))",
            "\"x\\y\" <\"u\"@b.example>",
        ],
    );
    all_are(
        Ok("b.example"),
        &[
            "\"a \\\"b\\\" c\" <u@b.example>",
            "(\\)) \"x\r\n y\" <u@b.example> ((c) d)",
        ],
    );
}

#[test]
fn an_address_is_in_one_piece() {
    all_are(
        BAD,
        &[
            "<u@b.example(v@c.example)>",
            "<(v@c.example)u@b.example>",
            "<u@(v@c.example)b.example>",
            "u@b.example(v@c.example)",
            "<u@b.example>(c)",
            "u@b .example",
            "u@b. example",
            "u@b(c).example",
            "u(c)@b.example",
            "\"u v\"@bücher.example",
        ],
    );
}

#[test]
fn octets_of_a_display_name_decide_nothing() {
    all_octets_are(
        Ok("b.example"),
        &[
            b"Zo\xeb <a@b.example>", // Latin-1
            b"\"Zo\xeb, v.d. Berg\" <a@b.example>",
            b"a@b.example (Zo\xeb)",
            b"\x8akoda \x9eel <a@b.example>",   // Windows-1250
            b"\xb1\xb6\xbc <a@b.example>",      // Latin-2
            b"\"\xa4@\xa4\xe5\" <a@b.example>", // Big5, with an @ as second octet
            b"\xa5\xab\xac\xf9 <a@b.example>",  // Big5
            b"\xca\xd0\xd5\xfe\xb8\xae <a@b.example>", // GB 2312
            b"\x8es\x96\xf0\x8f\x8a <a@b.example>", // Shift JIS
            b"\xcf\xf0\xe8\xe2\xe5\xf2 <a@b.example> (\xff)", // Windows-1251
            b"\x85\x80 <a@b.example>",          // octets that are C1 in Latin-1
            b"\xc3 <a@b.example>",              // UTF-8 cut short
            b"\xed\xa0\x80 Zo\xc3\xab <a@b.example>",
            b"\"\xeb v@c.example\" <a@b.example>",
        ],
    );
    all_octets_are(
        BAD,
        &[
            b"zo\xeb@b.example",
            b"\"zo\xeb\"@b.example",
            b"Zo\xeb <zo\xc3\xab@b.example>",
            b"Zo\xeb <a@b\xc3\xbccher.example>",
            b"\"\xb3\\\" <a@b.example>",
            b"\"\xb3\\\xa4\" <a@b.example>",
            b"\xa4@\xa4 <a@b.example>",
            b"\xc2\x85 <a@b.example>",
            b"\xeb\x00 <a@b.example>",
            b"a@b.example\xeb",
        ],
    );
}

#[test]
fn one_address_behind_any_phrase_is_the_address() {
    all_are(
        Ok("b.example"),
        &[
            ". <a@b.example>",
            ".. <a@b.example>",
            ". Anna <a@b.example>",
            ".(c) <a@b.example>",
            "... \"Anna\" <a@b.example>",
            "[Naam] <a@b.example>",
            "[Anna van der] Berg <a@b.example>",
            "Anna [b.example] <a@b.example>",
            "Anna ] <a@b.example>",
            "[[x]] \"y\" <a@b.example> (c)",
            "[a.b] (a@b.example) <a@b.example>",
        ],
    );
    all_are(
        BAD,
        &[
            "[c@d.example] <a@b.example>",
            "[x] (c@d.example) <a@b.example>",
            ". \"c@d.example\" <a@b.example>",
            "[x, y] <a@b.example>",
            "[a]@b.example",
        ],
    );
}

#[test]
fn an_address_is_its_own_display_name() {
    all_are(
        Ok("b.example"),
        &[
            "a@b.example <a@b.example>",
            "a@B.EXAMPLE <a@b.example>",
            "c@b.example <a@b.example>",
            "a@b.example (c) <a@b.example>",
            "a@b.example<a@b.example>",
            "\"a\"@b.example <a@b.example>,",
        ],
    );
    all_are(
        BAD,
        &[
            "a@c.example <a@b.example>",
            "a@b.example.c.example <a@b.example>",
            "a@www.b.example <a@b.example>",
            "'a@b.example' <a@b.example>",
            "a@b.example Anna <a@b.example>",
        ],
    );
}

#[test]
fn separators_around_the_one_mailbox_are_nothing() {
    all_are(
        Ok("b.example"),
        &[
            "a@b.example,",
            "a@b.example, ",
            ", a@b.example",
            "Anna <a@b.example>,",
            "Anna <a@b.example>;",
            "(c), \"a@b.example\" <a@b.example> ,,",
            "a@b.example\r\n ,",
        ],
    );
    all_are(
        SEVERAL,
        &[
            "a@b.example, a@b.example",
            "a@b.example, (c@d.example)",
            "a@b.example; c@d.example",
        ],
    );
    all_are(
        BAD,
        &[
            "a@b.example, Anna",
            "Berg, Anna <a@b.example>",
            ",",
            "a@b.example,\r\n",
        ],
    );
}

#[test]
fn a_refused_field_still_names_domains() {
    for (value, expected) in [
        (
            &b"a@b.example, c@D.example."[..],
            &["b.example", "d.example"][..],
        ),
        (b"\"v@c.example\"@b.example", &["c.example", "b.example"]),
        (b"Zo\xeb <a@ b.example", &["b.example"]),
        (b"g: a@b\xc3\xbccher.example;", &["xn--bcher-kva.example"]),
        (b"a@b\xfccher.example, @, @@", &[]),
        (b"b.example", &[]),
    ] {
        assert!(of_one(value).is_err(), "{}", value.escape_ascii());
        let found: Vec<String> = named_domains([value].into_iter())
            .map(|domain| domain.to_string())
            .collect();
        assert_eq!(found, expected, "{}", value.escape_ascii());
    }
}
