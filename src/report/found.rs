//! What a file turns out to hold, and how what is packed in something is opened.

use std::io::{BufRead, Read};

use super::{
    refusal::{Reason, Refusal},
    row::Report,
};

/// What is found in a file, in its order.
#[derive(Debug)]
pub enum Found {
    /// A report that can be kept.
    Report(Box<Report>),
    /// Something that is refused.
    Refused(Refusal),
}

/// Where something was found, and what the message around it says of itself.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Place {
    /// The place in an mbox, from 1.
    pub message: Option<u64>,
    /// The entry of the archive or the part of the message, as it is called there; printable, at
    /// most 200 characters.
    pub entry: Option<String>,
    /// Whether the message passed DMARC at the receiving MTA; none if nothing says so, or if
    /// there is no message.
    pub authenticated: Option<bool>,
    /// The From domain of a message that passed.
    pub author: Option<String>,
}

/// Where what is found goes.
pub type Sink<'a> = dyn FnMut(&Place, Found) + 'a;

/// How deep something is packed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Layers {
    /// Gzip, zip, and messages or mboxes within a message.
    pub(super) deep: u32,
    /// Within a message.
    message: bool,
}

impl Layers {
    /// What is in an archive.
    pub(super) fn packed(self) -> Self {
        Self {
            deep: self.deep + 1,
            ..self
        }
    }

    /// What is in a message; the outermost one is no layer.
    pub(super) fn message(self) -> Self {
        Self {
            deep: self.deep + u32::from(self.message),
            message: true,
        }
    }

    /// Whether this is the outermost message.
    pub(super) fn is_first_message(self) -> bool {
        !self.message
    }
}

/// Opens layer by layer: a message knows its parts, and not what they are.
pub(super) trait Open {
    /// Opens what `source` gives.
    fn open(
        &self,
        source: Box<dyn BufRead + '_>,
        place: &Place,
        layers: Layers,
        sink: &mut Sink<'_>,
    );

    /// Everything that `source` gives, if the limits allow for it.
    fn whole(&self, source: &mut dyn Read) -> Result<Vec<u8>, Reason>;

    /// Refuses what is at this place.
    fn refuse(&self, place: &Place, reason: Reason, sink: &mut Sink<'_>);

    /// A message of so many octets of the file itself comes next.
    fn comes(&self, octets: u64);

    /// Octets of a message.
    fn message_limit(&self) -> u64;

    /// Counts a part of the outermost message, and tells which one it is; `first` begins anew.
    fn part(&self, first: bool) -> u32;

    /// The name of the receiving MTA.
    fn authserv_id(&self) -> Option<&str>;
}

/// A text of a stranger, fit for a line of JSON or of a log.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .take(200)
        .map(|character| {
            if character.is_control() {
                '\u{fffd}'
            } else {
                character
            }
        })
        .collect()
}
