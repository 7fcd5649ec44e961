//! An mbox: messages one after the other, each behind a line that begins with `From `
//! (RFC 4155, and the older forms).

use std::io::{BufRead, Read};

use super::{
    found::{Layers, Open, Place, Sink},
    message,
    refusal::{Reason, reason_of},
};

/// The longest line that is held, in octets: a message is longer only by its limit.
const LINE: u64 = 1 << 20;
/// Messages that are read.
const MESSAGES: u64 = 100_000;

/// Opens every message. One that is too large is refused, and the next one is read.
pub(super) fn messages(
    source: &mut dyn BufRead,
    opening: &dyn Open,
    place: &Place,
    layers: Layers,
    sink: &mut Sink<'_>,
) {
    // A mailbox in a message is a layer, as a message in a message is.
    let layers = if layers.is_first_message() {
        layers
    } else {
        layers.packed()
    };
    let limit = opening.message_limit();
    let mut number = 0;
    let mut octets: Vec<u8> = Vec::new();
    let mut line = Vec::new();
    let mut too_large = false;
    let mut blank = true;
    loop {
        line.clear();
        let read = match source.take(LINE).read_until(b'\n', &mut line) {
            Ok(read) => read,
            Err(error) => {
                opening.refuse(place, reason_of(&error, Reason::Unreadable), sink);
                return;
            }
        };
        if read == 0 || (blank && line.starts_with(b"From ")) {
            if number > 0 {
                let within = Place {
                    message: Some(number),
                    ..place.clone()
                };
                one(&octets, too_large, opening, &within, layers, sink);
            }
            if read == 0 {
                return;
            }
            number += 1;
            if number > MESSAGES {
                return opening.refuse(place, Reason::LimitReports, sink);
            }
            octets.clear();
            too_large = false;
            blank = false;
            continue;
        }
        blank = matches!(&*line, b"\n" | b"\r\n");
        if octets.len() as u64 + line.len() as u64 > limit {
            too_large = true;
            octets.clear();
        }
        if !too_large {
            octets.extend_from_slice(quoted(&line));
        }
    }
}

fn one(
    octets: &[u8],
    too_large: bool,
    opening: &dyn Open,
    place: &Place,
    layers: Layers,
    sink: &mut Sink<'_>,
) {
    if too_large {
        return opening.refuse(place, Reason::LimitMessage, sink);
    }
    // What comes out of an archive was expanded itself.
    if layers.deep == 0 && layers.is_first_message() {
        opening.comes(octets.len() as u64);
    }
    let mut noted = false;
    message::open(octets, opening, place, layers, &mut |place, found| {
        noted = true;
        sink(place, found);
    });
    if !noted {
        opening.refuse(place, Reason::NotAReport, sink);
    }
}

/// A line without the quoting of `From ` (the mboxrd form).
fn quoted(line: &[u8]) -> &[u8] {
    let bare = line.iter().position(|octet| *octet != b'>').unwrap_or(0);
    match line.first() {
        Some(b'>') if line[bare..].starts_with(b"From ") => &line[1..],
        _ => line,
    }
}
