//! Lists, groups, routes, and the examples of RFC 5322 appendix A.

use super::{BAD, SEVERAL, all_are};

#[test]
fn lists_and_groups() {
    all_are(
        SEVERAL,
        &[
            "a@b.example, c@d.example",
            "a@b.example,a@b.example",
            "<a@b.example>,<c@d.example>",
            "Anna <a@b.example>, \"Bert, C.\" <c@d.example>",
            "a@b.example; c@d.example",
            "a@b.example, (c@d.example)",
            "\"c@d.example\" <a@b.example>,",
            "g:;;",
            "g:;",
            "g: ;",
            "g:,;",
            "g: a@b.example;",
            "g: a@b.example, c@d.example;",
            "g:;, a@b.example",
            "a@b.example, g:;",
            "a@b.example, g: c@d.example;",
            "g:;, h:;",
            "\"a@b.example\":;",
            "Anna Berg (c) : <a@b.example> ; (c)",
            "g:,a@b.example,;,",
            "a.b: a@b.example;",
        ],
    );
    all_are(
        Ok("b.example"),
        &[
            "a@b.example,",
            ",a@b.example",
            ",,a@b.example,,",
            "a@b.example (c), (d)",
            "a@b.example;",
            "Anna <a@b.example>, ;",
            "\"a@b.example\" <a@b.example>,",
        ],
    );
    all_are(
        BAD,
        &[
            "a@[192.0.2.1], a@b.example",
            "Berg, Anna <a@b.example>",
            ",",
            ",,",
            "g:",
            "g: a@b.example",
            "g: h: a@b.example;;",
            "g:; a@b.example",
            "a@b.example g:;",
            "g: a@b.example c@d.example;",
            "a@b.example, c",
            "a@b.example, <>",
            "a@b.example,, (",
            ":a@b.example;",
            "a@g: b@c.example;",
            "g:; h:;",
            "<g: a@b.example;>",
            "<a@b.example, c@d.example>",
        ],
    );
}

#[test]
fn obsolete_routes() {
    all_are(
        BAD,
        &[
            "<@a.example:b@c.example>",
            "Anna <@a.example,@b.example:b@c.example>",
            "<,,@a.example , , @b.example (x) : b@c.example>",
            "<@[192.0.2.1]:b@c.example>",
        ],
    );
    all_are(
        BAD,
        &[
            "@a.example:b@c.example",
            "<@a.example>",
            "<@a.example:>",
            "<@a.example:b>",
            "<@a.example b@c.example>",
            "<@a.example,b@c.example>",
            "<:b@c.example>",
            "<,:b@c.example>",
            "<a.example:b@c.example>",
            "<@a.example::b@c.example>",
            "<@a.example:@b.example:b@c.example>",
            "<@:b@c.example>",
            "<@a.example@b.example:b@c.example>",
            "<b@c.example:@a.example>",
            "<@a.example;b@c.example>",
        ],
    );
}

#[test]
fn examples_of_rfc_5322() {
    // §A.1.1, §A.1.2, §A.2 and §A.4
    all_are(
        Ok("machine.example"),
        &[
            "John Doe <jdoe@machine.example>",
            "\"Joe Q. Public\" <john.q.public@machine.example>",
        ],
    );
    all_are(Ok("example.net"), &["Mary Smith <mary@example.net>"]);
    all_are(
        SEVERAL,
        &[
            "Mary Smith <mary@x.test>, jdoe@example.org, Who? <one@y.test>",
            "<boss@nil.test>, \"Giant; \\\"Big\\\" Box\" <sysservices@example.net>",
        ],
    );
    all_are(
        Ok("example.net"),
        &["\"Giant; \\\"Big\\\" Box\" <sysservices@example.net>"],
    );
    // §A.1.3
    all_are(
        SEVERAL,
        &[
            "A Group:Ed Jones <c@a.test>,joe@where.test,John <jdoe@one.test>;",
            "Undisclosed recipients:;",
        ],
    );
    // §A.5
    all_are(
        Ok("silly.test"),
        &["Pete(A nice \\) chap) <pete@silly.test>"],
    );
    all_are(
        BAD,
        &["Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>"],
    );
    all_are(
        SEVERAL,
        &[
            "A Group(Some people)\r\n     :Chris Jones <c@(Chris's host.)public.example>,\r\n \
             joe@example.org,\r\n  John <jdoe@one.test> (my dear friend); (the end of the group)",
            "(Empty list)(start)Hidden recipients  :(nobody(that I know))  ;",
        ],
    );
    // §A.6.1 and §A.6.3
    all_are(
        Ok("machine.example"),
        &["Joe Q. Public <john.q.public@machine.example>"],
    );
    all_are(
        BAD,
        &[
            "John Doe <jdoe@machine(comment).  example>",
            "jdoe@test  . example",
            "Mary Smith <@node.test:mary@example.net>",
        ],
    );
    all_are(
        BAD,
        &["Mary Smith <@node.test:mary@example.net>, , jdoe@test  . example"],
    );
    all_are(
        Ok("example.net"),
        &["Mary Smith\r\n          <mary@example.net>"],
    );
}
