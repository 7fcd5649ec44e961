//! Fields that a plain message lacks, and what comes of adding one behind the signer.

use zegel::dkim::{Canonicalisation, CanonicalisationPair, HeaderRules};

use crate::{
    mail::{Field, Mail},
    random::Random,
    signer::{Choice, Keys, Order, Signed, sign},
};

/// What shows the message as another one: its text, to whom it is, or where a reply goes.
const BREAKS: [(&str, &str); 14] = [
    ("Content-Type", "text/html"),
    ("Content-Type", "multipart/mixed; boundary=\"-\""),
    ("Content-Type", "text/plain; charset=utf-7"),
    ("Content-Type", "message/rfc822"),
    ("Content-Transfer-Encoding", "base64"),
    ("Content-Transfer-Encoding", "quoted-printable"),
    (
        "Content-Disposition",
        "attachment; filename=\"invoice.html\"",
    ),
    ("Content-Disposition", "inline"),
    ("MIME-Version", "1.0"),
    ("Subject", "Pay at once"),
    ("To", "eve@example.org"),
    ("Cc", "eve@example.org"),
    ("Reply-To", "eve@example.org"),
    ("From", "eve@example.org"),
];

/// What `docs/reliability.md` says may still be added: lists and mail servers add some of these,
/// and the others are in no list that is signed by default.
const STAYS: [(&str, &str); 24] = [
    ("Sender", "list-bounces@example.org"),
    ("Date", "Fri, 1 Aug 2025 10:00:00 +0200"),
    ("Message-ID", "<1@example.org>"),
    ("In-Reply-To", "<1@example.org>"),
    ("References", "<1@example.org>"),
    ("Resent-From", "eve@example.org"),
    ("Resent-To", "eve@example.org"),
    ("List-Id", "<list.example.org>"),
    ("List-Post", "<mailto:list@example.org>"),
    ("List-Unsubscribe", "<https://example.org/>"),
    ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
    ("Content-ID", "<1@example.org>"),
    ("Content-Description", "an invoice"),
    ("Content-Language", "nl"),
    ("Content-Location", "https://example.org/"),
    ("Content-Base", "https://example.org/"),
    ("Disposition-Notification-To", "eve@example.org"),
    ("Mail-Followup-To", "eve@example.org"),
    ("Mail-Reply-To", "eve@example.org"),
    ("Autocrypt", "addr=post@example.com; keydata=AA=="),
    ("Importance", "high"),
    ("Organization", "Another"),
    ("Comments", "read this"),
    ("Received", "from a by b; Fri, 1 Aug 2025 10:00:00 +0200"),
];

/// A plain message with one more field on top; the second half is whether it must break.
pub(crate) fn with_one_added(keys: &Keys) -> Vec<(String, Signed, bool)> {
    let mail = Mail {
        fields: vec![Field::new("From", " Zegel <post@example.com>")],
        body: b"Plain text.\r\n\r\n---\r\n\r\n<b>not shown so</b>\r\n".to_vec(),
        separated: true,
    };
    let order = Order {
        keys,
        identity: &keys.identities[0],
        choice: Choice::Both,
        rules: &HeaderRules::default(),
        canonicalisation: CanonicalisationPair {
            header: Canonicalisation::Relaxed,
            body: Canonicalisation::Relaxed,
        },
    };
    let signed = sign(&mut Random::new(1), &mail, &order);
    let added = |(name, value): (&str, &str), breaks: bool| {
        let line = format!("{name}: {value}\r\n");
        let bytes = [line.as_bytes(), &signed.bytes].concat();
        let signed = Signed {
            bytes,
            ..signed.clone()
        };
        (line, signed, breaks)
    };
    let breaks = BREAKS.map(|field| added(field, true));
    let stays = STAYS.map(|field| added(field, false));
    breaks.into_iter().chain(stays).collect()
}
