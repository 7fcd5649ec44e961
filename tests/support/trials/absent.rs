//! What a mail server adds to plain mail behind the signer, for a next hop without 8BITMIME.

use std::slice;
use std::time::Duration;

use super::senders::letter;
use crate::support::arrivals::{Sent, added_fields, assert_broken, assert_verified};
use crate::support::corpus::replaced;
use crate::support::sink::{Sink, SinkOptions};
use crate::support::smtp::Client;
use crate::support::stage::{Mta, signatures_of};
use crate::support::zegel::{Org, Zegel};

const TIMEOUT: Duration = Duration::from_secs(20);

/// With each of these settings: plain 7-bit mail, declared as 7-bit, as 8-bit or not at all,
/// stays as it is and verifies, though the signature lists the fields of MIME as absent. 8-bit mail
/// either does so too, or its body was changed, which breaks any signature.
pub fn no_field_of_mime_is_added<M: Mta>(
    settings: &[&str],
    start: impl Fn(&Zegel, &Sink, &str) -> M,
) {
    let zegel = Zegel::start(&[Org::new("voorbeeld", &["voorbeeld.example"])]);
    for setting in settings {
        let sink = Sink::with(SinkOptions {
            keywords: vec!["PIPELINING"],
        });
        let mta = start(&zegel, &sink, setting);
        for (name, parameters, text) in [
            ("undeclared", "", "naief\r\n"),
            ("seven", "BODY=7BIT", "naief\r\n"),
            ("eight", "BODY=8BITMIME", "naief\r\n"),
            ("letters", "BODY=8BITMIME", "naïef\r\n"),
        ] {
            sink.clear();
            let mut message = letter("jan@voorbeeld.example", name).parameters(parameters);
            let empty = format!("{name}\r\n");
            message.bytes = replaced(
                &message.bytes,
                format!("\r\n\r\n{empty}").as_bytes(),
                format!("\r\n\r\n{text}").as_bytes(),
            );
            let mut client = Client::greeted(mta.relay_port());
            client.send(&message).expect_accepted();
            let received = sink.wait_for(1, TIMEOUT).remove(0);
            let mut added = match added_fields(&received.bytes, &message.bytes) {
                Ok(added) => added,
                Err(problem) => {
                    assert!(!text.is_ascii(), "{setting}, {name}: {problem}");
                    assert_broken(&received, &zegel.records());
                    continue;
                }
            };
            added.retain(|field| field != "received");
            assert_eq!(added, ["dkim-signature"], "{setting}, {name}");
            assert!(
                received.header("DKIM-Signature")[0].contains("content-disposition"),
                "{received:?}"
            );
            let sent = Sent {
                message,
                signatures: signatures_of("@voorbeeld.example"),
            };
            assert_verified(slice::from_ref(&(sent, received)), &zegel.records());
        }
    }
}
