//! Numbers, addresses and names that are none.

use crate::kinds::{Kind, file, head, report, with};

pub(crate) fn kinds() -> Vec<Kind> {
    [counts(), dates(), addresses(), names()]
        .into_iter()
        .flatten()
        .collect()
}

fn counts() -> Vec<Kind> {
    [
        ("negative", "-1"),
        ("with a sign", "+1"),
        ("a fraction", "1.5"),
        ("of 1e9", "1e9"),
        ("in hexadecimal", "0x10"),
        ("of a billion and one", "1000000001"),
        ("beyond 32 bits", "4294967297"),
        ("beyond 64 bits", "18446744073709551617"),
        ("of no number", "NaN"),
        ("in other digits", "\u{661}\u{662}"),
        ("of nothing", ""),
        ("with blanks within", "1 000"),
    ]
    .into_iter()
    .map(|(name, count)| {
        let text = with("<count>1<", &format!("<count>{count}<"));
        file(&format!("a count {name}"), "no_rows", text)
    })
    .chain([file(
        "a count of a hundred digits",
        "no_rows",
        with("<count>1<", &format!("<count>{}<", "9".repeat(100))),
    )])
    .collect()
}

fn dates() -> Vec<Kind> {
    [
        (
            "before 1970",
            "<begin>-1</begin><end>1772236799</end>",
            "dates",
        ),
        (
            "backwards",
            "<begin>1772236799</begin><end>1772150400</end>",
            "dates",
        ),
        (
            "in the year 9999",
            "<begin>1772150400</begin><end>253402300799</end>",
            "dates",
        ),
        (
            "at the end of 64 bits",
            "<begin>0</begin><end>9223372036854775807</end>",
            "dates",
        ),
        (
            "beyond 64 bits",
            "<begin>0</begin><end>99999999999999999999</end>",
            "incomplete",
        ),
        (
            "in words",
            "<begin>2026-02-27</begin><end>now</end>",
            "incomplete",
        ),
        (
            "from 1970 on",
            "<begin>0</begin><end>1772236799</end>",
            "stored",
        ),
    ]
    .into_iter()
    .map(|(name, dates, expected)| {
        let text = report("");
        let begin = text.find("<begin>").unwrap();
        let end = text.find("</date_range>").unwrap();
        let text = [&text[..begin], dates, &text[end..]].concat();
        file(&format!("dates {name}"), expected, text)
    })
    .collect()
}

fn addresses() -> Vec<Kind> {
    [
        ("a network", "192.0.2.0/24"),
        ("a zone", "fe80::1%eth0"),
        ("three numbers", "1.2.3"),
        ("one number", "3221225985"),
        ("octal", "0300.0.2.1"),
        ("too large", "192.0.2.256"),
        ("a name", "localhost"),
        ("a URL", "http://127.0.0.1/"),
    ]
    .into_iter()
    .map(|(name, address)| {
        let text = with("192.0.2.1", address);
        file(&format!("an address that is {name}"), "no_rows", text)
    })
    .chain([file(
        "an address in IPv6 that is IPv4",
        "stored",
        with("192.0.2.1", "::ffff:192.0.2.1"),
    )])
    .collect()
}

fn names() -> Vec<Kind> {
    let reporter = |name: &str| report("").replace(">google.com<", &format!(">{name}<"));
    let selector = |name: &str| with(">s1<", &format!(">{name}<"));
    let long = "x".repeat(100_000);
    vec![
        file(
            "a reporter that is a formula",
            "stored",
            reporter("=cmd|'/c calc'!A0"),
        ),
        file(
            "a reporter that clears the terminal",
            "stored",
            reporter("\u{1b}[2J\u{7}"),
        ),
        file(
            "a reporter that turns the text round",
            "stored",
            reporter("\u{202e}moc.elgoog"),
        ),
        file(
            "a reporter with SQL in it",
            "stored",
            reporter("'); DROP TABLE report; --"),
        ),
        file(
            "a reporter with a script in it",
            "stored",
            reporter("&lt;script>alert(1)&lt;/script>"),
        ),
        file("a reporter with a NUL", "stored", reporter("a\0b")),
        file(
            "a reporter with a NUL by reference",
            "stored",
            reporter("a&#0;b"),
        ),
        file("a reporter of 100,000 letters", "stored", reporter(&long)),
        file("a reporter of blanks", "incomplete", reporter(" \n\t ")),
        file("a selector that is a formula", "stored", selector("=1+1")),
        file(
            "a selector with lines in it",
            "stored",
            selector("s1\nspf voorbeeld.nl pass"),
        ),
        file("a selector of 100,000 letters", "stored", selector(&long)),
        file("a From domain that is no name", "stored", {
            with(">voorbeeld.nl</header_from>", ">..\u{0}/../</header_from>")
        }),
        file("a policy domain of 64 labels too long", "incomplete", {
            format!(
                "<feedback>{}</feedback>",
                head().replace("voorbeeld.nl", &"a.".repeat(200))
            )
        }),
    ]
}
