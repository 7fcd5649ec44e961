//! Mailboxes, local parts and domains.

use super::{AuthorRefusal, BAD, all_are, of_one};

#[test]
fn plain_mailboxes() {
    all_are(
        Ok("b.example"),
        &[
            "a@b.example",
            " a@b.example",
            "\ta@b.example ",
            "<a@b.example>",
            " Anna <a@b.example>",
            "Anna<a@b.example>",
            "Anna van der Berg <a@b.example>",
            "\"Berg, A. van der\" <a@b.example>",
            "\"\"<a@b.example>",
            "first.last+tag=x/y{z}|~!#$%&'*^_`?@b.example",
            "a@B.Example",
            "a%evil.example@b.example",
            "evil.example!a@b.example",
            "SRS0=hash=tt=c.example=user@b.example",
        ],
    );
    all_are(
        Ok("localhost"),
        &["root@localhost", "root <root@LOCALHOST>"],
    );
}

#[test]
fn nothing_is_repaired() {
    all_are(
        BAD,
        &[
            "",
            " ",
            "\r\n ",
            "()",
            "(a@b.example)",
            "<>",
            "< >",
            "Anna",
            "Anna <>",
            "Anna <a>",
            "a@",
            "@b.example",
            "@",
            "<a@>",
            "<@b.example>",
            "<@>",
            "a@b.example c",
            "a b@c.example",
            "a@b@c.example",
            "<a@b@c.example>",
            "a@@b.example",
            "a@b.example <c@d.example>",
            "<a@b.example> Anna",
            "<a@b.example> <a@b.example>",
            "<a@b.example><a@b.example>",
            "Anna a@b.example",
            "a@b.example \"Anna\"",
            "a@b.example:",
            ";",
            ":",
            ":;",
            ".",
            "mailto:a@b.example",
            "a\\@b.example",
            "\\a@b.example",
            "a@b.example\\",
            "\"a@b.example\"",
            "a at b.example",
            "a@b.example>",
            "<a@b.example",
            "<<a@b.example>>",
            "<a@b.example>>",
            "Anna >a@b.example<",
            "Anna <a@b.example",
            "Anna a@b.example>",
            "[a@b.example]",
            "(a@b.example",
            "a@b.example)",
            "a@b.example(",
            "a@b.example(()",
            "a@b.example())",
            "\"Anna <a@b.example>",
            "Anna\" <a@b.example>",
            "\"Anna\\\" <a@b.example>",
            "(\\) a@b.example",
        ],
    );
}

#[test]
fn local_parts() {
    all_are(
        Ok("b.example"),
        &[
            "\"a b\"@b.example",
            "\"\"@b.example",
            "\"a\".b@b.example",
            "a.\"b;c\"@b.example",
            "a @ b.example",
            "< a@b.example >",
            "a..b@b.example", // of one domain alone: no dot-atom, and no doubt either
            "a.@b.example",
            ".a@b.example",
            "zoë@b.example",
            "\"zoë\"@b.example",
        ],
    );
    all_are(
        BAD,
        &[
            "a.@b.example (c@d.example)",
            "a..b@b.example (,c@d.example)",
            "<\"a\"\"b\"@b.example>",
            "a . b@b.example",
            "a (c)@b.example",
            "\"a\\\"b\"@b.example",
            "\"a\r\n b\"@b.example",
            "\"a\"b@b.example",
            "\"a\" \"b\"@b.example",
            "<a b@b.example>",
            "\"a@b.example",
            "a\"@b.example",
            "\"a\\\"@b.example",
            "<.@b.example>",
            "a,@b.example",
            "[a]@b.example",
            "\"a\u{0}\"@b.example",
            "\"a\\\u{0}\"@b.example",
            "\"a\\\n\"@b.example",
        ],
    );
}

#[test]
fn domains() {
    let label_of_63 = format!("{}.example", "b".repeat(63));
    all_are(Ok(&label_of_63), &[&format!("a@{label_of_63}")]);
    let name_of_254 = ["b".repeat(62).as_str(); 4].join(".") + ".nl";
    all_are(
        BAD,
        &[
            &format!("a@b{label_of_63}"),
            &format!("a@{name_of_254}"),
            &format!("a@{}", "b.".repeat(5_000) + "b"),
            "a@b.example.",
            "<a@b.example.>",
            "a@.b.example",
            "a@b..example",
            "a@.",
            "a@..",
            "a@b. .example",
            "a@b_c.example",
            "a@-b.example",
            "a@b-.example",
            "a@*.example",
            "a@b!.example",
            "a@b'c.example",
            "a@b=c.example",
            "a@b/c.example",
            "a@b;c.example",
            "a@b:25",
            "a@b\\.example",
            "a@\"b.example\"",
            "a@[192.0.2.1]",
            "a@[IPv6:2001:db8::1]",
            "<a@[b.example]>",
            "a@[192.0.2.1",
            "a@192.0.2.1]",
            "a@[]",
            "a@[[x]]",
            "a@[x].example",
            "a@b.[x]",
        ],
    );
}

#[test]
fn utf8_domains() {
    all_are(
        Ok("xn--bcher-kva.example"),
        &[
            "a@bücher.example",
            "Zoë <zoë@Bücher.EXAMPLE>",
            "a@XN--BCHER-KVA.example",
        ],
    );
    all_are(
        Ok("xn--fa-hia.xn--bcher-kva"),
        &["a@xn--fa-hia.xn--bcher-kva", "a@xn--fa-hia.bücher"],
    );
    all_are(
        BAD,
        &[
            "a@BÜCHER.example",        // no U-label: upper case
            "a@bu\u{308}cher.example", // no U-label: not NFC
            "a@bücher。example",       // stops that only some readers take for a dot
            "a@b．example",
            "a@b｡example",
            "a@ｂ.example",
            "a@ⓑ.example",
            "a@\u{212a}.example", // would become ASCII
            "a@b\u{ad}.example",
            "a@b\u{200b}.example",
            "a@b\u{200d}.example",
            "a@\u{feff}b.example",
            "a@b\u{a0}.example",
            "a@b\u{2024}example",
            "a@b\u{202e}.example",
            "a@xn--\u{fc}.example",
            "a@xn--.example",
            "a@xn--a.example",
        ],
    );
    for value in [
        &b"a@b\xff.example"[..],
        b"a@b\xfccher.example",
        b"a@b.\xc0\xaeexample",
        b"\x00",
        b"a\x00@b.example",
        b"a@b.example\x00@c.example",
    ] {
        assert_eq!(of_one(value), Err(AuthorRefusal::Unparsable), "{value:?}");
    }
}
