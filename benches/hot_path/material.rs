//! What is worked on: bodies of several kinds, header sections, keys.

use zegel::dkim::HeaderSection;

/// Bodies of this many bytes show the speed of a loop, and fit into no first-level cache.
pub const BODY: usize = 1 << 20;

/// The kinds of bodies, by name.
pub fn bodies(bytes: usize) -> [(&'static str, Vec<u8>); 4] {
    [
        ("text", repeat(bytes, TEXT)),
        ("html", repeat(bytes, HTML)),
        ("base64", repeat(bytes, BASE64)),
        ("whitespace", repeat(bytes, WHITESPACE)),
    ]
}

/// Lines as people write them.
const TEXT: &[&str] = &[
    "Beste inwoner,",
    "",
    "Vanaf maandag 4 december wordt er gewerkt aan de Dorpsstraat. De straat is dan",
    "tot en met vrijdag afgesloten voor alle verkeer, behalve voor fietsers en",
    "voetgangers. Bewoners kunnen hun auto gratis kwijt op het terrein achter de",
    "sporthal. De huisvuilwagen komt op dinsdag langs het begin van de straat.",
    "",
    "Heeft u vragen? Bel dan met het klantcontactcentrum, op werkdagen van 9 tot 17",
    "uur, of kijk op de website. Daar staat ook een kaart met de omleidingen.",
];

/// Indented markup, as programs make it.
const HTML: &[&str] = &[
    "      <tr>",
    "        <td class=\"item\" style=\"padding: 8px 12px; font-size: 14px; color: #333333\">",
    "          <h2 style=\"margin: 0\">Wegwerkzaamheden aan de Dorpsstraat</h2>",
    "          <p>De straat is tot en met vrijdag afgesloten voor alle verkeer.</p>",
    "          <a href=\"https://www.voorbeeld.example/nieuws/4711?bron=nieuwsbrief\">Lees meer</a>",
    "        </td>",
    "      </tr>",
];

/// No blanks at all.
const BASE64: &[&str] = &[
    "JVBERi0xLjQKJcOkw7zDtsOfCjIgMCBvYmoKPDwvTGVuZ3RoIDMgMCBSL0ZpbHRlci9GbGF0ZURl",
    "Y29kZT4+CnN0cmVhbQp4nD2OywoCMQxF9/mKrAU7SZq2aRkUXLgXXPoBogtBcDb+vu0w4yYQTs69",
];

/// What a canonicaliser has the most to do with.
const WHITESPACE: &[&str] = &[
    "a  b\tc   d \t e    f  ",
    "\t\tkolom 1\t\t\tkolom 2\t \tkolom 3   ",
    "   ",
    "",
    "x = 1 ;      y   =  2  ;   ",
];

fn repeat(bytes: usize, lines: &[&str]) -> Vec<u8> {
    let mut body = Vec::with_capacity(bytes + 128);
    for line in lines.iter().cycle() {
        body.extend_from_slice(line.as_bytes());
        body.extend_from_slice(b"\r\n");
        if body.len() >= bytes {
            break;
        }
    }
    body.truncate(bytes - 3);
    body.extend_from_slice(b"x\r\n");
    body
}

/// The header section of a newsletter, as Postfix shows it.
pub fn header() -> HeaderSection {
    let mut header = HeaderSection::default();
    for (name, value) in [
        ("Date", " Sun, 22 Nov 2026 09:30:00 +0100 (CET)"),
        ("From", " \"Nieuwsbrief\" <nieuws@voorbeeld.example>"),
        ("Reply-To", " antwoord@voorbeeld.example"),
        ("To", " Een Lezer <lezer@elsewhere.example>"),
        (
            "Message-ID",
            " <20261122093000.4TESTBED00@mail.voorbeeld.example>",
        ),
        (
            "Subject",
            " =?UTF-8?Q?Wegwerkzaamheden_aan_de_Dorpsstraat,?=\n =?UTF-8?Q?_en_meer?=",
        ),
        ("MIME-Version", " 1.0"),
        (
            "Content-Type",
            " multipart/alternative;\n boundary=\"----=_Part_4711_0815.1795336200\"",
        ),
        (
            "List-Unsubscribe",
            " <https://lijst.voorbeeld.example/af?lezer=4f2a91c07d>,\n <mailto:af@voorbeeld.example>",
        ),
        ("List-Unsubscribe-Post", " List-Unsubscribe=One-Click"),
        ("List-Id", " Nieuwsbrief <nieuws.voorbeeld.example>"),
        ("X-Mailer", " Nieuwsbriefmaker 7.2"),
    ] {
        header.push(name.as_bytes(), value.as_bytes());
    }
    header
}
