//! XML: entities, depth, length, encodings, and what is not well-formed.

use std::fs;

use crate::kinds::{Kind, RECORD, SECRET, Sizes, around, file, head, made, pieces, report, stream};

pub(crate) fn kinds(port: u16) -> Vec<Kind> {
    [
        entities(port),
        hidden(port),
        long_lists(),
        long_values(),
        forms(),
        encodings(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Document types, with what would be read or fetched.
fn entities(port: u16) -> Vec<Kind> {
    let laughs = (1..12).map(|number| {
        let before = format!("&e{};", number - 1).repeat(10);
        format!("<!ENTITY e{number} \"{before}\">")
    });
    let laughs = laughs.collect::<Vec<_>>().concat();
    let quadratic = format!("<!ENTITY a \"{}\">", "x".repeat(50_000));
    let declared = |inside: &str| format!("<!DOCTYPE feedback [{inside}]>");
    let fetched = format!("http://127.0.0.1:{port}/x");
    let typed = |name: &str, begin: &str, used: &str| {
        let text = format!("<?xml version=\"1.0\"?>{begin}{}", report(used));
        file(name, "dtd", text)
    };
    vec![
        typed("a document type", "<!DOCTYPE feedback>", ""),
        typed("an entity", &declared("<!ENTITY a 'b'>"), "&a;"),
        typed(
            "a billion laughs",
            &declared(&format!("<!ENTITY e0 'x'>{laughs}")),
            "&e11;",
        ),
        typed(
            "a long entity many times",
            &declared(&quadratic),
            &"&a;".repeat(50_000),
        ),
        typed("an entity of itself", &declared("<!ENTITY a '&a;'>"), "&a;"),
        typed(
            "an entity by HTTP",
            &declared(&format!("<!ENTITY a SYSTEM '{fetched}'>")),
            "&a;",
        ),
        typed(
            "a parameter entity by HTTP",
            &declared(&format!("<!ENTITY % a SYSTEM '{fetched}'> %a;")),
            "",
        ),
        typed(
            "a document type by HTTP",
            &format!("<!DOCTYPE feedback SYSTEM '{fetched}'>"),
            "",
        ),
        typed(
            "a public document type by HTTP",
            &format!("<!DOCTYPE feedback PUBLIC '-//x//EN' '{fetched}'>"),
            "",
        ),
        typed(
            "a document type in small letters",
            "<!doctype feedback>",
            "",
        ),
        typed("a notation", &declared("<!NOTATION n SYSTEM 'sh'>"), ""),
        typed(
            "an element declaration outside of one",
            "<!ELEMENT a ANY>",
            "",
        ),
        typed("a conditional section", "<![INCLUDE[x]]>", ""),
    ]
}

/// Document types elsewhere, and what only looks like one.
fn hidden(port: u16) -> Vec<Kind> {
    let fetched = format!("http://127.0.0.1:{port}/x");
    let mut all = vec![
        file(
            "a document type within a record",
            "dtd",
            report("<!DOCTYPE a>"),
        ),
        file(
            "a document type in UTF-16",
            "dtd",
            utf16("<!DOCTYPE a><feedback/>"),
        ),
        file(
            "a document type in a comment",
            "stored",
            report("<!-- <!DOCTYPE a> -->"),
        ),
        file(
            "a document type in CDATA",
            "stored",
            report("<x><![CDATA[<!DOCTYPE a>]]></x>"),
        ),
        file("a stylesheet by HTTP", "stored", {
            format!("<?xml-stylesheet href='{fetched}'?>{}", report(""))
        }),
        file("XInclude by HTTP", "stored", {
            let include =
                format!("<i:include href='{fetched}' xmlns:i='http://www.w3.org/2001/XInclude'/>");
            report(&include)
        }),
        file("a schema by HTTP", "stored", {
            report("").replace(
                "<feedback>",
                &format!("<feedback schemaLocation='x {fetched}'>"),
            )
        }),
    ];
    all.push(made("an entity by a file", "dtd", |folder, _| {
        let secret = folder.join("secret");
        fs::write(&secret, SECRET).unwrap();
        let begin = format!(
            "<!DOCTYPE a [<!ENTITY a SYSTEM 'file://{}'>]>",
            secret.display()
        );
        let path = folder.join("file");
        let named = report("").replace(">google.com<", ">&a;<");
        fs::write(&path, begin + &named).unwrap();
        path
    }));
    all
}

/// A report with so much in its middle.
fn long(
    name: &str,
    expected: &'static str,
    begin: &'static str,
    middle: &'static str,
    end: &'static str,
    times: usize,
) -> Kind {
    stream(name, expected, move |out, sizes: &Sizes| {
        let head = format!("<feedback>{}{begin}", head());
        let tail = format!("{end}{RECORD}</feedback>");
        // A thousand at a time: a piece of its own takes some octets.
        let many = middle.repeat(1_000);
        let parts: [(&[u8], usize); 3] = [
            (head.as_bytes(), 1),
            (many.as_bytes(), sizes.of(times) / 1_000),
            (tail.as_bytes(), 1),
        ];
        pieces(out, &parts);
    })
}

const FIFTY: &str = "0123456789012345678901234567890123456789012345678 ";

fn long_lists() -> Vec<Kind> {
    const RECORDS: usize = 10_000_000;
    vec![
        long(
            "a comment of 200 MiB",
            "stored",
            "<!--",
            FIFTY,
            "-->",
            4_000_000,
        ),
        long(
            "an instruction of 200 MiB",
            "stored",
            "<?x ",
            FIFTY,
            "?>",
            4_000_000,
        ),
        long(
            "a comment of hyphens",
            "stored",
            "<!--",
            "- ",
            "-->",
            10_000_000,
        ),
        long(
            "10 million records",
            "limit_records",
            "",
            RECORD,
            "",
            RECORDS,
        ),
        long(
            "a million empty records",
            "limit_records",
            "",
            "<record/>",
            "",
            1_000_000,
        ),
        long("a million levels", "limit_levels", "", "<a>", "", 1_000_000),
        long(
            "ten million elements of others",
            "stored",
            "",
            "<a/>",
            "",
            10_000_000,
        ),
        long(
            "a million ends of nothing",
            "xml",
            "",
            "</a>",
            "",
            1_000_000,
        ),
        long(
            "a million CDATA sections",
            "stored",
            "<x>",
            "<![CDATA[]]>",
            "</x>",
            1_000_000,
        ),
        long(
            "a million references",
            "stored",
            "<x>",
            "&lt;",
            "</x>",
            1_000_000,
        ),
        long(
            "a million signatures in one row",
            "stored",
            SIGNED,
            "<dkim><domain>a.nl</domain></dkim>",
            END,
            1_000_000,
        ),
        long(
            "ten million dates",
            "stored",
            "<row>",
            "<count>2</count>",
            "</row>",
            1_000_000,
        ),
    ]
}

fn long_values() -> Vec<Kind> {
    vec![
        long(
            "a text of 200 MiB",
            "limit_value",
            "<x>",
            FIFTY,
            "</x>",
            4_000_000,
        ),
        long(
            "CDATA of 200 MiB",
            "limit_value",
            "<x><![CDATA[",
            FIFTY,
            "]]></x>",
            4_000_000,
        ),
        long(
            "a tag of 200 MiB",
            "limit_value",
            "<x",
            FIFTY,
            "/>",
            4_000_000,
        ),
        long(
            "an attribute of 200 MiB",
            "limit_value",
            "<x a='",
            FIFTY,
            "'/>",
            4_000_000,
        ),
        long(
            "30 million attributes",
            "limit_value",
            "<x ",
            "a='b' ",
            "/>",
            30_000_000,
        ),
    ]
}

/// A record that is open where its signatures stand.
const SIGNED: &str = "<record><row><source_ip>192.0.2.9</source_ip><count>1</count>\
    <policy_evaluated/></row><auth_results>";
const END: &str = "</auth_results></record>";

fn forms() -> Vec<Kind> {
    let feedback = |inside: &str| format!("<feedback>{inside}</feedback>");
    vec![
        file("nothing", "empty", ""),
        file("a blank", "not_a_report", " "),
        file("an octet", "not_a_report", "\x01"),
        file("a less-than", "not_a_report", "<"),
        file("HTML", "not_a_report", "<!doctype html><html><p>no"),
        file("an element that is no report", "not_a_report", "<a/>"),
        file("an empty report", "incomplete", "<feedback/>"),
        file("a report without rows", "no_rows", feedback(&head())),
        file(
            "a report without its beginning",
            "incomplete",
            feedback(RECORD),
        ),
        file(
            "a record that does not end",
            "xml",
            feedback(&(head() + "<record><row>")),
        ),
        file(
            "crossed ends",
            "xml",
            report("<record><row></record></row>"),
        ),
        file("a report in a report", "ends_early", {
            format!("<feedback>{}<feedback></feedback>", report(""))
        }),
        file("two reports", "stored", report("") + &report("")),
        file("a thousand reports and one", "stored limit_reports", {
            (0..1_001).map(|_| report("")).collect::<String>()
        }),
        file(
            "rubbish behind the report",
            "stored",
            report("") + "rubbish",
        ),
        file(
            "a record in a record",
            "stored",
            report(&format!("<record>{RECORD}</record>")),
        ),
        file(
            "wrappers without end",
            "stored",
            around("<a><b>", "", 0, &report("")),
        ),
        file(
            "entities that nobody has defined",
            "stored",
            report("<x>&nbsp;&foo;</x>"),
        ),
        file("ampersands", "stored", report("<x>a & b && c &</x>")),
        file(
            "references to nothing",
            "stored",
            report("<x>&#xffffffff;&#xd800;&#;&#99999999999999999999;</x>"),
        ),
        file("attributes without quotes", "stored", report("<x a=b c/>")),
        file("another namespace for each name", "stored", {
            report("")
                .replace("<row>", "<a:row>")
                .replace("</row>", "</a:row>")
        }),
        file("a tag within a value", "stored", {
            report("").replace("a@google.com", "<a@google.com>")
        }),
    ]
}

fn utf16(text: &str) -> Vec<u8> {
    let mut octets = vec![0xff, 0xfe];
    octets.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
    octets
}

fn encodings() -> Vec<Kind> {
    let declared = |name: &str| format!("<?xml version='1.0' encoding='{name}'?>{}", report(""));
    let utf32: Vec<u8> = report("")
        .chars()
        .flat_map(|one| (one as u32).to_le_bytes())
        .collect();
    let without_mark = |mark: bool| {
        let octets = utf16(&report(""));
        octets[if mark { 0 } else { 2 }..].to_vec()
    };
    let mut odd = without_mark(true);
    odd.pop();
    vec![
        file("UTF-16", "stored", without_mark(true)),
        file("UTF-16 without its mark", "stored", without_mark(false)),
        file("UTF-16 with half a character at its end", "ends_early", odd),
        file("UTF-16 with lone surrogates", "stored", {
            let mut octets = without_mark(true);
            octets.extend([0x00, 0xd8, 0x00, 0xd8]);
            octets
        }),
        file("UTF-16 that is UTF-8", "stored", declared("UTF-16")),
        file("UTF-32", "not_a_report", utf32),
        file("UTF-7", "stored", declared("UTF-7")),
        file(
            "an encoding that does not exist",
            "stored",
            declared("x-klingon"),
        ),
        file(
            "an encoding of 100,000 letters",
            "stored",
            declared(&"x".repeat(100_000)),
        ),
        file("UTF-8 that is not valid", "stored", {
            [
                &b"<feedback><x>\xff\xc0\x80\xed\xa0\x80\xf8</x>"[..],
                &report("").as_bytes()[10..],
            ]
            .concat()
        }),
        file("a NUL between two tags", "stored", report("\0")),
        file("EBCDIC", "not_a_report", &b"\x4c\xa7\x94\x93\x40"[..]),
        file(
            "two marks",
            "not_a_report",
            format!("\u{feff}\u{feff}{}", report("")),
        ),
        file("a mark", "stored", format!("\u{feff}{}", report(""))),
        file(
            "a thousand blank lines before the report",
            "not_a_report",
            "\n".repeat(1_000) + &report(""),
        ),
    ]
}
