//! Known attacks on the author domain, and input that is made to exhaust a parser.
//!
//! In all of these the attacker may use attack.example, and wants mail that is read as
//! coming from legit.example.

use std::time::{Duration, Instant};

use super::{BAD, SEVERAL, all_are, of_one};

/// Chen, Paxson, Jiang: Composition Kills (USENIX Security 2020), the attacks on From.
/// Those on HELO, on MAIL FROM and on the tags of a signature do not reach this parser,
/// and those with several From fields are in `number_of_fields`.
#[test]
fn composition_kills() {
    all_are(
        SEVERAL,
        &[
            "<any@attack.example>, <admin@legit.example>",
            "admin@legit.example, <any@attack.example>",
            "<admin@legit.example>,<any@attack.example>",
            "(any@attack.example), admin@legit.example",
            "any@attack.example,(admin@legit.example)",
            "=?utf-8?B?PGFkbWluQGxlZ2l0LmV4YW1wbGU+?= <a@b.example>,<any@attack.example>",
            "legit.example:<any@attack.example>;",
            "<any@attack.example>;<admin@legit.example>",
        ],
    );
    all_are(
        BAD,
        &[
            "<admin@legit.example>admin@attack.example",
            "<any@attack.example> <admin@legit.example>",
            "<any@attack.example><admin@legit.example>",
            "any@attack.example admin@legit.example",
            "any@attack.example <admin@legit.example>",
            "admin@legit.example <any@attack.example>",
            "<any@attack.example>:<admin@legit.example>",
            "<admin@legit.example>\\,<any@attack.example>",
            "admin@legit.example\\,<any@attack.example>",
            "admin@legit.example\\0<any@attack.example>",
            "admin@legit.example\u{0}any@attack.example",
            "admin@legit.example\u{0},any@attack.example",
            "<admin@legit.example\u{0}@attack.example>",
            "admin@legit.example@attack.example",
            "<admin@legit.example@attack.example>",
            "=?utf-8?B?PGFkbWluQGxlZ2l0LmV4YW1wbGU+?=,<any@attack.example>",
            "=?utf-8?B?YWRtaW5AbGVnaXQuZXhhbXBsZQ==?=",
            "=?utf-8?B?YWRtaW5AbGVnaXQuZXhhbXBsZSw=?=@attack.example",
            "admin@legit.example(.attack.example",
            "admin@legit.example'a.attack.example",
            "admin@legit.example`.attack.example",
            "admin@legit.example\n\nany@attack.example",
            "admin@legit.example\r\nFrom: any@attack.example",
            "\"admin@legit.example\" any@attack.example",
            "<admin@legit.example> \"any@attack.example\"",
            "[admin@legit.example] any@attack.example",
            "admin@[legit.example].attack.example",
            "@legit.example,@attack.example:any@attack.example",
        ],
    );
}

/// Legal: what no reader takes for anything but the mailbox is signed for its domain, and what
/// some read in another way is not signed.
#[test]
fn composition_kills_with_one_legal_mailbox() {
    all_are(
        Ok("legit.example"),
        &[
            "admin@legit.example (any@attack.example)",
            "(<any@attack.example>) admin@legit.example",
            "\"<any@attack.example>\" <admin@legit.example>",
            "\"any@attack.example,\" <admin@legit.example>",
            "=?utf-8?B?PGFueUBhdHRhY2suZXhhbXBsZT4=?= <admin@legit.example>",
        ],
    );
    all_are(
        Ok("attack.example"),
        &[
            "any@attack.example (admin@legit.example)",
            "\"admin@legit.example\" <any@attack.example>",
            "admin%legit.example@attack.example",
            "legit.example <any@attack.example>",
        ],
    );
    all_are(
        BAD,
        &[
            "<@attack.example,@any.example:admin@legit.example>",
            "<@legit.example:any@attack.example>",
            "\"any@attack.example\"@legit.example",
            "admin@legit.example(any@attack.example)",
            "any@attack.example(admin@legit.example)",
        ],
    );
}

#[test]
fn cves_of_opendmarc() {
    // CVE-2019-16378 and CVE-2021-34555: several addresses in one field
    all_are(
        SEVERAL,
        &[
            "any@attack.example,admin@legit.example",
            "Any <any@attack.example>, Admin <admin@legit.example>",
            "any@attack.example,\r\n admin@legit.example",
        ],
    );
    // CVE-2020-12272: what a parenthesis or a quote does to a domain
    all_are(
        BAD,
        &[
            "any@legit.example(.attack.example",
            "any@legit.example'.attack.example",
            "any@legit.example\".attack.example",
            "any@legit.example).attack.example",
            "any@legit.example(x).attack.example)",
            "any@legit(.example",
        ],
    );
    // OpenDMARC #174 and #342: angle brackets that do not match
    all_are(
        BAD,
        &[
            "any@attack.example>",
            "Any <any@attack.example",
            "Any any@attack.example>",
            "<<any@attack.example>",
            "<any@attack.example>>",
            "Any <any@attack.example> >",
            "any@attack.example <",
            ">any@attack.example",
        ],
    );
    // OpenDKIM #106: nothing to be found in the field
    all_are(BAD, &["", "<>", "MAILER-DAEMON", "undisclosed"]);
}

#[test]
fn long_values_take_linear_time() {
    const LENGTH: usize = 1 << 20;
    let endings = ["", " <a@b.example>", "@b.example", ">", ";", "\"", ")"];
    let units = [
        "(", ")", "\"", ",", "<", ">", "@", ":", ";", ".", "[", "]", "\\", " ", "\t", "\r\n ",
        "\n ", "\n", "\0", "a", "a.", "a ", "a,", "é", "()", "(\\)", "\"\"", "\\\"", "\"\".", "a@",
        "<a@b>", "a@b,", "a@b.", "a@b .", "g:;", "g:;,", "@a,", "<@a:", "=?", "a@[", "(a)",
    ];
    for unit in units {
        for prefix in ["", "\"", "(", "g:", "a@b", "<@a", "a@"] {
            for ending in endings {
                let value = format!("{prefix}{}{ending}", unit.repeat(LENGTH / 64 / unit.len()));
                let _ = of_one(value.as_bytes());
            }
        }
        let value = unit.repeat(LENGTH / unit.len());
        let begin = Instant::now();
        assert!(of_one(value.as_bytes()).is_err(), "{unit:?}");
        let time = begin.elapsed();
        assert!(time < Duration::from_secs(5), "{unit:?}: {time:?}");
    }
}
