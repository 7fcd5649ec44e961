//! Messages of every shape that mail servers, milters and verifiers have trouble with.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use super::process::program;
use super::smtp::Message;

/// Words that stand in the subject, the body and the recipients of every specimen: no log may
/// ever hold them.
pub const SECRETS: [&str; 3] = ["onderwerpgeheim", "tekstgeheim", "ontvangergeheim"];

/// A message without its author and its recipient.
#[derive(Clone, Debug)]
pub struct Specimen {
    /// What it is about: a word for recipients and panics.
    pub name: &'static str,
    /// What MAIL has to carry.
    pub parameters: &'static str,
    /// With `{address}` and `{to}`.
    text: Vec<u8>,
}

impl Specimen {
    fn new(name: &'static str, fields: &str, body: &str) -> Self {
        Self::from_bytes(name, format!("{fields}\r\n{body}").into_bytes())
    }

    fn from_bytes(name: &'static str, text: Vec<u8>) -> Self {
        Self {
            name,
            parameters: "",
            text,
        }
    }

    fn parameters(self, parameters: &'static str) -> Self {
        Self { parameters, ..self }
    }

    /// From this author to a recipient of its own, whose name begins with `way`.
    pub fn message(&self, way: &str, author: &str) -> Message {
        let domain = author.rsplit('@').next().unwrap_or(author);
        let label = domain.split('.').next().unwrap_or(domain);
        let label = label.replace(|letter: char| !letter.is_ascii(), "-");
        let name = self.name;
        let to = format!("{way}-{name}-{label}-{}@elsewhere.example", SECRETS[2]);
        let text = replaced(&self.text, b"{address}", author.as_bytes());
        let text = replaced(&text, b"{to}", to.as_bytes());
        Message::new(author, &to, text).parameters(self.parameters)
    }
}

/// From and To, as they are in most specimens.
const ENDS: &str = "From: Jan de Vries <{address}>\r\nTo: {to}\r\n";
const IDENTITY: &str = "Date: Fri, 21 Nov 2025 10:00:00 +0100\r\n\
                        Message-ID: <20251121.onderwerpgeheim@testbed.example>\r\n";
const SUBJECT: &str = "Subject: onderwerpgeheim\r\n";
const TEXT: &str = "tekstgeheim\r\n";

fn usual(name: &'static str, body: &str) -> Specimen {
    Specimen::new(name, &format!("{ENDS}{SUBJECT}{IDENTITY}"), body)
}

fn with_fields(name: &'static str, fields: &str) -> Specimen {
    Specimen::new(name, &format!("{ENDS}{IDENTITY}{fields}"), TEXT)
}

/// All that a mail server passes on as it is, or changes before a milter sees it.
pub fn specimens() -> Vec<Specimen> {
    let mut all = vec![usual("plain", TEXT)];
    all.extend(headers());
    all.extend(authors());
    all.extend(bodies());
    all.extend(multiparts());
    all.push(smime());
    all.push(pgp());
    all
}

fn headers() -> Vec<Specimen> {
    let references = "\r\n <00000001.onderwerpgeheim@testbed.example>".repeat(60);
    let everything = "Reply-To: antwoord@testbed.example\r\nSender: {address}\r\n\
        In-Reply-To: <1@testbed.example>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\
        Content-Transfer-Encoding: 7bit\r\nList-Id: <lijst.testbed.example>\r\n\
        List-Unsubscribe: <https://testbed.example/u>,\r\n\t<mailto:u@testbed.example>\r\n\
        List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\nPrecedence: bulk\r\n";
    let older = "Received: from a.example by b.example; Fri, 21 Nov 2025 09:00:00 +0000\r\n\
        DKIM-Signature: v=1; a=rsa-sha256; d=elsewhere.example; s=old; h=from;\r\n\tbh=AAAA; b=AAAA\r\n\
        Authentication-Results: b.example; dkim=none\r\nX-Spam-Status: No\r\n";
    vec![
        with_fields(
            "folds",
            &format!(
                "Subject: onderwerpgeheim\r\n folded,\r\n\tand with a tab,\r\n   \t with several \
                 \r\n and a blank before the fold\r\nReferences:{references}\r\n"
            ),
        ),
        with_fields(
            "blanks",
            "Subject:\tonderwerpgeheim\t\twith  blanks \t \r\n",
        ),
        with_fields("no-blank", "Subject:onderwerpgeheim\r\nX-Other:1\r\n"),
        with_fields("two-blanks", "Subject:  onderwerpgeheim\r\n"),
        with_fields("empty-subject", "Subject:\r\nX-Empty: \r\nX-Last:\r\n"),
        with_fields(
            "letters",
            "sUBJECT: onderwerpgeheim\r\nMIME-VERSION: 1.0\r\n",
        ),
        with_fields("long-field", &format!("Subject: {}\r\n", "x".repeat(989))),
        with_fields("everything", &format!("{SUBJECT}{everything}")),
        with_fields("older", &format!("{older}{SUBJECT}")),
        with_fields(
            "twice",
            &format!("{SUBJECT}{SUBJECT}Comments: a\r\nComments: b\r\n"),
        ),
        Specimen::from_bytes(
            "eight-bit-field",
            [
                ENDS.as_bytes(),
                IDENTITY.as_bytes(),
                b"Subject: onderwerpgeheim \xe9\xff\r\n\r\nx\r\n",
            ]
            .concat(),
        )
        .parameters("BODY=8BITMIME"),
        with_fields("utf-8-field", "Subject: onderwerpgeheim naïef €\r\n")
            .parameters("BODY=8BITMIME"),
        Specimen::new("no-date-and-id", &format!("{ENDS}{SUBJECT}"), TEXT),
        Specimen::new(
            "no-date",
            &format!("{ENDS}{SUBJECT}Message-Id: <1@testbed.example>\r\n"),
            TEXT,
        ),
    ]
}

fn authors() -> Vec<Specimen> {
    let from = |name, from: &str| {
        let fields = format!("To: {{to}}\r\n{SUBJECT}From:{from}\r\n{IDENTITY}");
        Specimen::new(name, &fields, TEXT)
    };
    vec![
        from("bare-author", " {address}"),
        from("quoted-author", " \"Vries, Jan de\" <{address}>"),
        from("encoded-author", " =?utf-8?q?J=C3=A4n?= <{address}>"),
        from("folded-author", " \"Jan de\r\n Vries\"\r\n\t<{address}>"),
    ]
}

/// What needs SMTPUTF8 where the author does.
pub fn international() -> Vec<Specimen> {
    let name = "Jän €uro";
    let text = "Content-Type: text/plain; charset=utf-8\r\nMIME-Version: 1.0\r\n\
                Content-Transfer-Encoding: 8bit\r\n";
    let fields = format!("From: {name} <{{address}}>\r\nTo: {{to}}\r\n{IDENTITY}{text}");
    let subject = format!("{fields}Subject: naïef\r\n λόγος €\r\n");
    let reply_to = format!("{fields}Reply-To: {name} <ü@bücher.example>\r\n");
    let all = [
        usual("u-plain", TEXT),
        Specimen::new("u-text", &subject, "λόγος €\r\n"),
        Specimen::new("u-names", &reply_to, "é\r\n"),
    ];
    all.map(|one| one.parameters("BODY=8BITMIME SMTPUTF8"))
        .into()
}

fn bodies() -> Vec<Specimen> {
    let eight_bit = format!(
        "{ENDS}{SUBJECT}{IDENTITY}MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Transfer-Encoding: 8bit\r\n"
    );
    vec![
        usual("empty", ""),
        usual("one-line-end", "\r\n"),
        usual("only-line-ends", "\r\n\r\n\r\n"),
        usual("only-blanks", "  \t \r\n"),
        usual("unfinished", "tekstgeheim without an end"),
        usual("line-ends", "tekstgeheim\r\n\r\n\r\n\r\n"),
        usual("blanks-last", "tekstgeheim \t\r\n \t \r\n\t\r\n  \r\n"),
        usual("blanks-inside", " tekstgeheim\t\ta  b \r\n\r\n  \r\nc\r\n"),
        usual("dots", ".\r\n..\r\n.tekstgeheim\r\n...\r\na.\r\n.\r\n"),
        usual(
            "field-like",
            "From: someone\r\nSubject: tekstgeheim\r\n\r\nFrom here\r\n",
        ),
        usual("long-lines", &format!("{}\r\n", "x".repeat(980)).repeat(50)),
        Specimen::new("eight-bit", &eight_bit, "tekstgeheim naïef €\r\n")
            .parameters("BODY=8BITMIME"),
    ]
}

fn multiparts() -> Vec<Specimen> {
    let fields = |kind: &str, boundary: &str| {
        format!(
            "{ENDS}{SUBJECT}{IDENTITY}MIME-Version: 1.0\r\n\
             Content-Type: multipart/{kind};\r\n boundary=\"{boundary}\"\r\n"
        )
    };
    let alternative = "\r\nPreamble\r\n--a\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n\
        tekstgeheim\r\n--a\r\nContent-Type: text/html; charset=us-ascii\r\n\
        Content-Transfer-Encoding: quoted-printable\r\n\r\n<p>tekstgeheim =E2=82=AC =\r\n</p>\r\n\
        --a--\r\n\r\nEpilogue \r\n\r\n";
    // Of 1 MiB, in lines of 76.
    let encoded = format!("{}\r\n", "QUJD".repeat(19)).repeat(13_443);
    let attachment = format!(
        "--b\r\nContent-Type: text/plain\r\n\r\ntekstgeheim\r\n--b\r\n\
         Content-Type: application/octet-stream; name=\"a.bin\"\r\n\
         Content-Disposition: attachment; filename=\"a.bin\"\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n{encoded}--b--\r\n"
    );
    vec![
        Specimen::new("alternative", &fields("alternative", "a"), alternative),
        Specimen::new("attachment", &fields("mixed", "b"), &attachment),
    ]
}

/// What somebody signed with S/MIME, which openssl must find unharmed.
fn smime() -> Specimen {
    static MADE: OnceLock<Vec<u8>> = OnceLock::new();
    let signed = MADE.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        sign_smime(folder.path())
    });
    let fields = format!("{ENDS}{SUBJECT}{IDENTITY}");
    Specimen::from_bytes("smime", [fields.as_bytes(), signed].concat())
}

fn sign_smime(folder: &Path) -> Vec<u8> {
    let inner =
        "Content-Type: text/plain; charset=us-ascii\r\n\r\ntekstgeheim  \r\n \t\r\n.dot\r\n\r\n";
    fs::write(folder.join("inner"), inner).expect("a file");
    openssl(
        folder,
        &[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=Jan",
            "-keyout",
            "key",
            "-out",
            "certificate",
        ],
    );
    openssl(
        folder,
        &[
            "smime",
            "-sign",
            "-in",
            "inner",
            "-signer",
            "certificate",
            "-inkey",
            "key",
            "-out",
            "signed",
        ],
    );
    let signed = fs::read(folder.join("signed")).expect("what openssl made");
    let signed = replaced(&signed, b"\r\n", b"\n");
    replaced(&signed, b"\n", b"\r\n")
}

/// Whether openssl accepts the S/MIME signature in a message; the certificate is in there too.
pub fn smime_is_intact(message: &[u8]) -> bool {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("message"), message).expect("a file");
    Command::new(program("/usr/bin/openssl"))
        .current_dir(folder.path())
        .args([
            "smime",
            "-verify",
            "-noverify",
            "-in",
            "message",
            "-out",
            "inner",
        ])
        .output()
        .expect("openssl runs")
        .status
        .success()
}

fn openssl(folder: &Path, arguments: &[&str]) {
    let output = Command::new(program("/usr/bin/openssl"))
        .current_dir(folder)
        .args(arguments)
        .output()
        .expect("openssl runs");
    assert!(output.status.success(), "openssl {arguments:?}: {output:?}");
}

/// PGP/MIME (RFC 3156): what matters is that not one octet of it changes.
fn pgp() -> Specimen {
    let fields = format!(
        "{ENDS}{SUBJECT}{IDENTITY}MIME-Version: 1.0\r\nContent-Type: multipart/signed; \
         micalg=pgp-sha256;\r\n\tprotocol=\"application/pgp-signature\"; boundary=\"p\"\r\n"
    );
    let body = "--p\r\nContent-Type: text/plain; charset=us-ascii\r\n\
        Content-Transfer-Encoding: quoted-printable\r\n\r\n- tekstgeheim=20\r\n-- =20\r\nJan\r\n\
        --p\r\nContent-Type: application/pgp-signature; name=\"signature.asc\"\r\n\
        Content-Description: OpenPGP digital signature\r\n\r\n-----BEGIN PGP SIGNATURE-----\r\n\r\n\
        iHUEABYIAB0WIQTKaXqjFZ2hSNmRJqFzZWdlbAUCZz8AAAAKCRBzZWdlbHplZ2Vs\r\n\
        AQDzZWdlbA==\r\n=AbCd\r\n-----END PGP SIGNATURE-----\r\n\r\n--p--\r\n";
    Specimen::new("pgp", &fields, body)
}

/// With every occurrence of `from` replaced.
pub fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut result = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(place) = memchr::memmem::find(rest, from) {
        result.extend_from_slice(&rest[..place]);
        result.extend_from_slice(to);
        rest = &rest[place + from.len()..];
    }
    result.extend_from_slice(rest);
    result
}
