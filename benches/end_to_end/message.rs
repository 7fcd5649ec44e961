//! The messages: header fields that Postfix would show, and bodies like those of newsletters.

use std::fmt::Write as _;

use crate::organisations::PLACEHOLDER;

/// A message of the organisation that [`PLACEHOLDER`] stands for.
pub(crate) struct Message {
    /// Names and values; the values as Postfix sends them when no leading space was agreed,
    /// with LF folds.
    pub(crate) header: Vec<(&'static str, String)>,
    /// With CRLF.
    pub(crate) body: Vec<u8>,
}

impl Message {
    /// With a body of this many bytes.
    pub(crate) fn new(body_bytes: usize) -> Self {
        let header = vec![
            ("Date", "Sun, 22 Nov 2026 09:30:00 +0100 (CET)".to_owned()),
            (
                "From",
                format!("\"Nieuwsbrief\" <nieuws@{PLACEHOLDER}.example>"),
            ),
            ("Reply-To", format!("antwoord@{PLACEHOLDER}.example")),
            (
                "To",
                "Een Lezer <lezer@elsewhere.example>".to_owned(),
            ),
            (
                "Message-ID",
                format!("<20261122093000.4TESTBED00@mail.{PLACEHOLDER}.example>"),
            ),
            (
                "Subject",
                "=?UTF-8?Q?Wegwerkzaamheden_aan_de_Dorpsstraat,?=\n =?UTF-8?Q?_en_het_nieuwe_caf=C3=A9?="
                    .to_owned(),
            ),
            ("MIME-Version", "1.0".to_owned()),
            (
                "Content-Type",
                "multipart/alternative;\n boundary=\"----=_Part_4711_0815.1795336200\"".to_owned(),
            ),
            (
                "List-Unsubscribe",
                format!("<https://lijst.{PLACEHOLDER}.example/af?lezer=4f2a91c07d>,\n <mailto:af@{PLACEHOLDER}.example>"),
            ),
            (
                "List-Unsubscribe-Post",
                "List-Unsubscribe=One-Click".to_owned(),
            ),
            ("List-Id", format!("Nieuwsbrief <nieuws.{PLACEHOLDER}.example>")),
            ("X-Mailer", "Nieuwsbriefmaker 7.2".to_owned()),
        ];
        Self {
            header,
            body: body(body_bytes),
        }
    }
}

const WORDS: &[&str] = &[
    "de",
    "gemeente",
    "een",
    "wegwerkzaamheden",
    "van",
    "inwoners",
    "het",
    "op",
    "maandag",
    "vergadering",
    "in",
    "raad",
    "nieuwe",
    "en",
    "fietspad",
    "aan",
    "zwembad",
    "voor",
    "te",
    "bibliotheek",
    "met",
    "afval",
    "geopend",
    "zijn",
    "deze",
    "week",
    "tot",
    "uur",
    "bij",
];

/// A third text, two thirds HTML, as in a multipart/alternative.
fn body(bytes: usize) -> Vec<u8> {
    const BOUNDARY: &str = "------=_Part_4711_0815.1795336200";
    let mut words = Words(0x2545_f491_4f6c_dd1d);
    let mut text = format!(
        "{BOUNDARY}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"
    );
    while text.len() < bytes / 3 {
        for _ in 0..4 {
            let line = words.line(72);
            write!(text, "{line}\r\n").expect("a string");
        }
        text.push_str("\r\n");
    }
    write!(
        text,
        "{BOUNDARY}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\n\
         <html>\r\n  <body style=\"margin:0; padding:0\">\r\n    <table width=\"100%\">\r\n"
    )
    .expect("a string");
    while text.len() + 300 < bytes {
        let (title, line) = (words.line(30), words.line(90));
        write!(
            text,
            "      <tr>\r\n        <td class=\"item\" style=\"padding: 8px 12px;\tfont-size: 14px\">\r\n          \
             <h2>{title}</h2>\r\n          <p>{line}</p>\r\n        </td>\r\n      </tr>\r\n"
        )
        .expect("a string");
    }
    write!(
        text,
        "    </table>\r\n  </body>\r\n</html>\r\n{BOUNDARY}--\r\n"
    )
    .expect("a string");
    let mut body = text.into_bytes();
    // What lacks is a last line of its own; what is too much falls off.
    while body.len() + 2 < bytes {
        let line = (bytes - 2 - body.len()).min(76);
        body.resize(body.len() + line, b'x');
        body.extend_from_slice(b"\r\n");
    }
    body.truncate(bytes.saturating_sub(2));
    body.extend_from_slice(b"\r\n");
    body
}

/// Always the same words (xorshift).
struct Words(u64);

impl Words {
    fn line(&mut self, length: usize) -> String {
        let mut line = String::with_capacity(length + 20);
        while line.len() < length {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            let index = usize::try_from(self.0 >> 40).unwrap_or(0) % WORDS.len();
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(WORDS[index]);
        }
        line
    }
}
