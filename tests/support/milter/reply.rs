//! What a milter answers.

use std::io;

use super::message::Inserted;
use super::wire::Frame;

/// What a milter says to a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// It declined the event, so the command was not sent.
    Declined,
    /// It promised no reply to this event, so none was read.
    Unawaited,
    /// Go on.
    Continue,
    /// Take it, and show no more of it.
    Accept,
    /// Refuse it with the MTA's words.
    Reject,
    /// Refuse it for now with the MTA's words.
    TemporaryFailure,
    /// Refuse it with these words: code, enhanced code and text.
    Refuse(String),
    /// Take it and throw it away.
    Discard,
    /// Show no more of the body.
    Skip,
    /// Something else.
    Other(Frame),
    /// The milter closed the connection.
    Closed,
    /// Nothing came in time, or nonsense.
    Failed(String),
}

impl Reply {
    /// True if the MTA shows the milter more of this message.
    pub fn goes_on(&self) -> bool {
        matches!(
            self,
            Self::Declined | Self::Unawaited | Self::Continue | Self::Skip
        )
    }
}

/// The reply in what was read.
pub(super) fn reply(frame: io::Result<Option<Frame>>) -> Reply {
    let frame = match frame {
        Ok(Some(frame)) => frame,
        Ok(None) => return Reply::Closed,
        Err(error) => return Reply::Failed(error.to_string()),
    };
    match frame.code {
        b'c' => Reply::Continue,
        b'a' => Reply::Accept,
        b'r' => Reply::Reject,
        b't' => Reply::TemporaryFailure,
        b'd' => Reply::Discard,
        b's' => Reply::Skip,
        b'y' => {
            let text = String::from_utf8_lossy(&frame.data);
            Reply::Refuse(text.trim_end_matches('\0').to_owned())
        }
        _ => Reply::Other(frame),
    }
}

/// The header field in an insertion.
pub(super) fn inserted(frame: &Frame) -> Inserted {
    let start = if frame.code == b'i' { 4 } else { 0 };
    let (index, text) = frame.data.split_at(start);
    let mut parts = text.splitn(2, |byte| *byte == 0);
    let name = parts.next().unwrap_or_default();
    let value = parts.next().unwrap_or_default();
    Inserted {
        index: index.try_into().ok().map(u32::from_be_bytes),
        name: String::from_utf8_lossy(name).into_owned(),
        value: value.strip_suffix(b"\0").unwrap_or(value).to_vec(),
    }
}
