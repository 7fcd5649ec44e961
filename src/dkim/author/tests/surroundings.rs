//! What stands around an address: display names, comments and folds.

use super::{BAD, all_are};
use crate::dkim::author::lexer::COMMENT_DEPTH;

#[test]
fn display_names() {
    all_are(
        Ok("b.example"),
        &[
            "A. van der Berg <a@b.example>", // obs-phrase
            "A.B.Berg <a@b.example>",
            "Gemeente c.example <a@b.example>",
            "Anna . . <a@b.example>",
            "\"Anna\" Berg \"(van der)\" <a@b.example>",
            "a\"b\"c <a@b.example>",
            "\"c@d.example\" <a@b.example>",
            "\"<c@d.example>\" <a@b.example>",
            "\"<c@d.example>,\" <a@b.example>",
            "\"\\\"Anna\\\"\" <a@b.example>",
            "\"DOMAIN\\\\anna\" <a@b.example>",
            ". <a@b.example>",
            ".Anna <a@b.example>",
            "Anna [Berg] <a@b.example>",
            "Anna ] <a@b.example>",
            "a@b.example <a@b.example>",
            "a@B.example (c) <c@b.example>",
            "\"Anna\r\n Berg\" <a@b.example>",
            "'c' <a@b.example>",
            "Zoë Müller <a@b.example>",
            "\"Zoë @ Müller\" <a@b.example>",
            "市役所 <a@b.example>",
        ],
    );
    all_are(
        BAD,
        &[
            "\"\\\" <c@d.example>\" <a@b.example>",
            "\"Anna\\\\\" <a@b.example>",
            ". (c@d.example) <a@b.example>",
            "[c@d.example] <a@b.example>",
            "Anna a@b.example <a@b.example>",
            "Anna @ Berg <a@b.example>",
            "c@d.example <a@b.example>",
            "'c@d.example' <a@b.example>",
            "Anna \\ Berg <a@b.example>",
            "Anna \u{7} <a@b.example>",
            "Anna \u{7f} <a@b.example>",
            "Anna \u{85} <a@b.example>",
            "Anna \u{2028} <a@b.example>",
            "\"Anna \u{2029}\" <a@b.example>",
        ],
    );
}

#[test]
fn encoded_words_are_atoms() {
    all_are(
        Ok("b.example"),
        &[
            "=?utf-8?Q?Zo=C3=AB?= <a@b.example>",
            "=?utf-8?B?PGFAYy5leGFtcGxlPg==?= <a@b.example>", // <a@c.example>
            "=?utf-8?Q?c=40d=2Eexample?= <a@b.example>",
            "\"=?utf-8?Q?c@d.example?=\" <a@b.example>",
            "=?utf-8?Q?a?= =?utf-8?Q?b?= <a@b.example>",
        ],
    );
    all_are(
        BAD,
        &[
            "=?utf-8?B?YUBiLmV4YW1wbGU=?=", // a@b.example
            "=?utf-8?Q?a=40b.example?=",
            "=?utf-8?Q?a?=@b.example",
            "<=?utf-8?Q?a?=@b.example>",
            "\"=?utf-8?Q?a?=\"@b.example",
            "a@=?utf-8?Q?b.example?=",
            "=?utf-8?Q?c@d.example?= <a@b.example>",
            "=?utf-8?Q?c,d?= <a@b.example>",
            "=?utf-8?B?YUA=?=b.example",
            "=?utf-8?Q?Anna_=3Ca=40b.example=3E?=",
        ],
    );
}

#[test]
fn comments_and_folds() {
    all_are(
        Ok("b.example"),
        &[
            "a@b.example (c@d.example)",
            "(c@d.example) a@b.example",
            "(<c@d.example>,) <a@b.example> (c)",
            "<a@b.example> (a (b (c) d) e)",
            "<a@b.example> (\\))",
            "<a@b.example> (\\() ",
            "a@b.example (\")",
            "a@b.example (zoë)",
            "Anna\r\n <a@b.example>",
            "Anna\n\t<a@b.example>",
            "\r\n a@b.example",
            "\r\n \r\n\ta@b.example\r\n ",
            "a@\r\n b.example",
            "(\r\n x) <a@b.example>",
        ],
    );
    all_are(
        BAD,
        &[
            "a@b.example(c)",
            "Anna <a@b.example>(c)",
            "Anna (c) <(c) a (c) @ (c) b (c) . (c) example (c)> (c)",
            "a(c)@b.example",
            "a@b(c).(c)example",
            "a @ b . example",
            "a@(c@d.example)b.example",
            "a@b.(c.)example",
            "a@b.example (a (b (c) d) e)",
            "a@b.example (\\))",
            "a@b.example (\\() ",
            "a@b.example (\r\n c)",
            "a@b.\r\n example",
            "<a@b\n .example(\n x)>",
            "a@b.example\r",
            "a@b.example\n",
            "a@b.example\r\n",
            "a\r@b.example",
            "a@b.exa\rmple",
            "a@b.exa\r\n mple",
            "Anna\r <a@b.example>",
            "Anna\r\r\n <a@b.example>",
            "Anna\nBerg <a@b.example>",
            "Anna\r\nTo: <a@b.example>",
            "(a\r)a@b.example",
            "(a\n)a@b.example",
            "(\\\r\n )a@b.example",
            "a@b.example(\u{0})",
            "\u{b}a@b.example",
            "\u{c}a@b.example",
            "a@b.example\u{0}",
            "a@b.example(c)c.example",
            "a@b.example (c) .",
            "a@(c)",
            "a@b(c)c.example",
            "a@b.\"example\"",
        ],
    );
    let nested = |depth: usize| format!("{}{}<a@b.example>", "(".repeat(depth), ")".repeat(depth));
    all_are(Ok("b.example"), &[&nested(COMMENT_DEPTH)]);
    all_are(BAD, &[&nested(COMMENT_DEPTH + 1)]);
}
