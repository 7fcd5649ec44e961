//! What became of a message on its way: what was added to it, and whether anything else changed.

use std::collections::HashMap;
use std::slice;
use std::time::Duration;

use super::sink::{Received, Sink};
use super::smtp::Message;
use super::verifiers::{Records, Verifier, verify_all};

/// The fields that a mail server adds; all but Received only where there was none.
const ADDED_BY_MTA: [&str; 4] = ["received", "date", "from", "message-id"];
const SIGNATURE: &str = "dkim-signature";

/// A message that was sent, and how many signatures it was to get.
#[derive(Clone, Debug)]
pub struct Sent {
    /// As it was handed over.
    pub message: Message,
    /// From the top: the `d=` and `s=` of each signature.
    pub signatures: Vec<(String, String)>,
}

/// Waits for all messages and gives them in the order in which they were sent; each must have
/// come once, and nothing else.
pub fn await_all(sink: &Sink, sent: &[Sent]) -> Vec<Received> {
    let received = sink.wait_for(sent.len(), Duration::from_mins(1));
    assert_eq!(received.len(), sent.len(), "messages came that nobody sent");
    let mut by_recipient: HashMap<String, Received> = HashMap::new();
    for one in received {
        let recipient = one.recipients[0].clone();
        let again = by_recipient.insert(recipient.clone(), one);
        assert!(again.is_none(), "{recipient} got two messages");
    }
    let find = |sent: &Sent| {
        let to = &sent.message.to[0];
        by_recipient
            .remove(to)
            .unwrap_or_else(|| panic!("nothing came for {to}"))
    };
    sent.iter().map(find).collect()
}

/// Panics unless each message has exactly its signatures on top, which all three verifiers accept,
/// and is otherwise as it was sent but for what the mail server adds.
pub fn assert_all_right(arrivals: &[(Sent, Received)], records: &Records) {
    for (sent, received) in arrivals {
        assert_only_added(received, &sent.message.bytes, sent.signatures.len());
    }
    assert_verified(arrivals, records);
}

/// Panics unless all three verifiers find the signatures that were to be there, and find them good.
pub fn assert_verified(arrivals: &[(Sent, Received)], records: &Records) {
    let signed: Vec<_> = arrivals
        .iter()
        .filter(|(sent, _)| !sent.signatures.is_empty())
        .collect();
    let messages: Vec<_> = signed
        .iter()
        .map(|(_, received)| received.bytes.clone())
        .collect();
    for verifier in Verifier::ALL {
        let results = verify_all(verifier, &messages, records);
        for ((sent, received), verdicts) in signed.iter().zip(results) {
            let ours = &verdicts[..sent.signatures.len().min(verdicts.len())];
            let names = ours
                .iter()
                .map(|one| (one.domain.clone(), one.selector.clone()));
            assert!(
                ours.iter().all(|verdict| verdict.passed) && names.eq(sent.signatures.clone()),
                "{} on the message to {}: {verdicts:?}\n{}",
                verifier.name(),
                sent.message.to[0],
                excerpt(&received.bytes)
            );
        }
    }
}

/// Panics unless the only signature of the message is good in no verifier's eyes.
pub fn assert_broken(received: &Received, records: &Records) {
    for verifier in Verifier::ALL {
        let results = verify_all(verifier, slice::from_ref(&received.bytes), records);
        let broken = results[0].len() == 1 && !results[0][0].passed;
        assert!(broken, "{}: {results:?}", verifier.name());
    }
}

/// Panics unless the message is as it was sent, below `signatures` DKIM-Signature fields and
/// with nothing added but what a mail server adds.
#[track_caller]
pub fn assert_only_added(received: &Received, sent: &[u8], signatures: usize) {
    let added = added_fields(&received.bytes, sent).unwrap_or_else(|problem| {
        panic!(
            "{problem}\n--- sent\n{}\n--- came\n{}",
            excerpt(sent),
            excerpt(&received.bytes)
        )
    });
    let (ours, others) = added.split_at(signatures.min(added.len()));
    let (head, _) = split(sent);
    let missing = |name: &str| !fields(head).iter().any(|field| name_of(field) == name);
    let by_mta = |name: &String| {
        ADDED_BY_MTA.contains(&name.as_str()) && (name == "received" || missing(name))
    };
    assert!(
        ours.iter().all(|name| name == SIGNATURE) && others.iter().all(by_mta),
        "{signatures} signatures were expected, but {added:?} was added to\n{}",
        excerpt(&received.bytes)
    );
}

/// The names of the fields that `received` has more than `sent`, from the top; an error says what
/// is not there any more.
pub fn added_fields(received: &[u8], sent: &[u8]) -> Result<Vec<String>, String> {
    let ((head, body), (sent_head, sent_body)) = (split(received), split(sent));
    if with_last_line_end(body) != with_last_line_end(sent_body) {
        return Err("the body is not what was sent".to_owned());
    }
    let mut added = Vec::new();
    let sent_fields = fields(sent_head);
    let mut expected = sent_fields.iter().peekable();
    for field in fields(head) {
        if expected.next_if(|next| **next == field).is_none() {
            added.push(name_of(field));
        }
    }
    match expected.next() {
        None => Ok(added),
        Some(lost) => Err(format!(
            "this field was changed or lost: {}",
            lost.escape_ascii()
        )),
    }
}

/// SMTP has no message without an end to its last line.
fn with_last_line_end(body: &[u8]) -> Vec<u8> {
    let end: &[u8] = if body.is_empty() || body.ends_with(b"\r\n") {
        b""
    } else {
        b"\r\n"
    };
    [body, end].concat()
}

/// The header section with the line end of its last field, and the body.
fn split(message: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memmem::find(message, b"\r\n\r\n") {
        Some(place) => (&message[..place + 2], &message[place + 4..]),
        None => (message, b""),
    }
}

/// The fields, each with all of its line ends.
fn fields(head: &[u8]) -> Vec<&[u8]> {
    let mut fields = Vec::new();
    let mut rest = head;
    while !rest.is_empty() {
        let end = (0..rest.len())
            .find(|&at| rest[at] == b'\n' && !matches!(rest.get(at + 1), Some(b' ' | b'\t')))
            .map_or(rest.len(), |at| at + 1);
        let (field, behind) = rest.split_at(end);
        fields.push(field);
        rest = behind;
    }
    fields
}

fn name_of(field: &[u8]) -> String {
    let name = field
        .split(|octet| *octet == b':')
        .next()
        .unwrap_or_default();
    String::from_utf8_lossy(name)
        .trim_end()
        .to_ascii_lowercase()
}

/// Enough of a message to see what is wrong with it.
fn excerpt(message: &[u8]) -> String {
    let text = message
        .escape_ascii()
        .to_string()
        .replace("\\r\\n", "\\r\\n\n");
    text.chars().take(6_000).collect()
}
