//! Messages and mboxes.

use std::fmt::Write as _;

use crate::kinds::{Kind, file, report, stream};

pub(crate) fn kinds() -> Vec<Kind> {
    [parts(), headers(), mailboxes()]
        .into_iter()
        .flatten()
        .collect()
}

fn multipart(number: usize, part: &str) -> String {
    let mut text = "Content-Type: multipart/mixed; boundary=b\n\n".to_owned();
    for _ in 0..number {
        let _ = write!(text, "--b\n\n{part}\n");
    }
    text + "--b--\n"
}

fn parts() -> Vec<Kind> {
    let encoded = |encoding: &str, body: &str| {
        format!("Subject: x\nContent-Transfer-Encoding: {encoding}\n\n{body}")
    };
    let mut deep = String::new();
    for level in 0..500 {
        let _ = write!(
            deep,
            "Content-Type: multipart/mixed; boundary=b{level}x\n\n--b{level}x\n"
        );
    }
    let within = "Content-Type: message/rfc822\n\n".repeat(500) + "Subject: x\n\n" + &report("");
    vec![
        file("20,000 parts", "limit_parts", multipart(20_000, "x")),
        file("900 parts with a report each", "stored", {
            let mut text = "Content-Type: multipart/mixed; boundary=b\n\n".to_owned();
            for _ in 0..900 {
                let _ = write!(text, "--b\n\n{}\n", report(""));
            }
            text
        }),
        file("500 multiparts in each other", "limit_parts", deep),
        file("500 messages in each other", "limit_nesting", within),
        file(
            "a multipart without a boundary",
            "not_a_report",
            "Content-Type: multipart/mixed\n\nx",
        ),
        file(
            "a multipart with an empty boundary",
            "not_a_report",
            "Content-Type: multipart/mixed; boundary=\"\"\n\n--\n\nx",
        ),
        file(
            "a multipart that never begins",
            "not_a_report",
            "Content-Type: multipart/mixed; boundary=b\n\nx",
        ),
        file("a multipart of itself", "not_a_report", {
            multipart(100, "Content-Type: multipart/mixed; boundary=b\n\nx")
        }),
        file(
            "base64 that is none",
            "not_a_report",
            encoded("base64", "!!!! ???? ===="),
        ),
        file(
            "base64 in one line of 1 MiB",
            "not_a_report",
            encoded("base64", &"QUFB".repeat(1 << 18)),
        ),
        file(
            "base64 of blanks",
            "not_a_report",
            encoded("base64", &" \n".repeat(100_000)),
        ),
        file(
            "quoted-printable that is none",
            "not_a_report",
            encoded("quoted-printable", &"=ZZ=".repeat(10_000)),
        ),
        file(
            "an encoding that nobody has",
            "stored",
            encoded("x-rot13", &report("")),
        ),
        file(
            "a failure report",
            "failure_report",
            "Content-Type: multipart/report; report-type=feedback-report; boundary=b\n\n--b\n\nx",
        ),
        file(
            "a failure report in a multipart",
            "failure_report",
            multipart(
                1,
                "Content-Type: message/feedback-report\n\nFeedback-Type: auth-failure",
            ),
        ),
        file(
            "a message with HTML",
            "not_a_report",
            "Content-Type: text/html\n\n<html><p>no",
        ),
        file(
            "a message with a NUL in each line",
            "not_a_report",
            "Subject: \0\n\0\n\n\0",
        ),
        file(
            "a message with CR alone",
            "not_a_report",
            "Subject: x\r\rhello\r",
        ),
    ]
}

fn headers() -> Vec<Kind> {
    let after = |name: &str, value: &str| format!("{name}: {value}\n\n{}", report(""));
    vec![
        file(
            "a header field of 1 MiB",
            "limit_header",
            after("Subject", &"x".repeat(1 << 20)),
        ),
        file(
            "a header field of 2,000 lines",
            "limit_header",
            after("Subject", &"x\n ".repeat(2_000)),
        ),
        file(
            "100,000 header fields",
            "limit_header",
            "A: b\n".repeat(100_000) + "\n" + &report(""),
        ),
        file("a header without end", "not_a_report", "Subject: x"),
        file(
            "a file name with control characters",
            "not_a_report",
            after("Content-Disposition", "attachment; filename=\"\x1b[2J\"").replace('<', "["),
        ),
        file("a file name in a hundred pieces", "stored", {
            let mut value = "attachment".to_owned();
            for number in 0..100 {
                let _ = write!(value, ";\n filename*{number}*=UTF-8''%ff%00");
            }
            after("Content-Disposition", &value)
        }),
        file(
            "encoded words without end",
            "stored",
            after("From", &"=?utf-8?B?".repeat(1_000)),
        ),
        file(
            "comments in each other",
            "stored",
            after("Authentication-Results", &"(".repeat(10_000)),
        ),
        file(
            "a Content-Type of quotes",
            "stored",
            after("Content-Type", &"\"\\".repeat(10_000)),
        ),
        file("a thousand Content-Types", "stored", {
            "Content-Type: multipart/mixed; boundary=b\n".repeat(900)
                + "Content-Type: text/xml\n\n"
                + &report("")
        }),
    ]
}

fn mailboxes() -> Vec<Kind> {
    vec![
        stream(
            "an mbox of two million From lines",
            "limit_reports not_a_report",
            |out, _| {
                let line = "From a\n\n".repeat(1_000);
                for _ in 0..110 {
                    out.write_all(line.as_bytes()).unwrap();
                }
            },
        ),
        stream(
            "an mbox with a message beyond the limit",
            "limit_message stored",
            |out, sizes| {
                out.write_all(b"From a\nSubject: x\n\n").unwrap();
                let line = "x".repeat(99) + "\n";
                for _ in 0..=sizes.message / 100 {
                    out.write_all(line.as_bytes()).unwrap();
                }
                write!(out, "\nFrom a\nSubject: x\n\n{}\n", report("")).unwrap();
            },
        ),
        stream(
            "an mbox with one line beyond the limit",
            "limit_message",
            |out, sizes| {
                out.write_all(b"From a\nSubject: x\n\n").unwrap();
                out.write_all(&vec![b'x'; sizes.message + 1]).unwrap();
            },
        ),
        file("an mbox with nothing in it", "not_a_report", "From "),
        file("an mbox in a message in an mbox", "stored", {
            format!(
                "From a\nSubject: x\n\n>From b\nSubject: y\n\n{}",
                report("")
            )
        }),
    ]
}
