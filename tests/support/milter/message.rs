//! What a milter is shown, and what it makes of it.

use std::net::SocketAddr;

use super::reply::Reply;
use super::wire::{Command, Frame};

/// Macros by the command that they precede: name (`i`, `{auth_authen}`) and value.
pub type Macros = Vec<(Command, String, String)>;

/// The client of an SMTP session.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its name.
    pub name: String,
    /// Its address; without one it is shown as unknown.
    pub address: Option<SocketAddr>,
    /// The data of CONNECT, if that is not to be made of the two above.
    pub connect: Option<Vec<u8>>,
    /// What it says after EHLO.
    pub helo: String,
    /// What comes before CONNECT and HELO.
    pub macros: Macros,
}

impl Peer {
    /// `localhost [127.0.0.1]`, on the listener `mail.example`.
    pub fn local() -> Self {
        Self::at("127.0.0.1:40000")
    }

    /// A client with this address and port.
    pub fn at(address: &str) -> Self {
        Self {
            name: "localhost".to_owned(),
            address: Some(address.parse().expect("an address and a port")),
            connect: None,
            helo: "client.example".to_owned(),
            macros: Macros::new(),
        }
        .listener("mail.example")
        .defined(Command::Connect, "j", "mail.example")
    }

    /// The name that `{daemon_name}` has.
    pub fn listener(mut self, name: &str) -> Self {
        self.macros.retain(|(_, key, _)| key != "{daemon_name}");
        self.defined(Command::Connect, "{daemon_name}", name)
    }

    /// One more macro.
    pub fn defined(mut self, command: Command, name: &str, value: &str) -> Self {
        self.macros
            .push((command, name.to_owned(), value.to_owned()));
        self
    }
}

/// A message as an MTA takes it apart for a milter.
#[derive(Debug, Clone)]
pub struct Message {
    /// The sender, with angle brackets.
    pub from: String,
    /// The recipients, with angle brackets.
    pub recipients: Vec<String>,
    /// The header fields: the name, and everything after the colon as it stands in the message,
    /// blank and CRLF folds included.
    pub header: Vec<(Vec<u8>, Vec<u8>)>,
    /// The body, with CRLF.
    pub body: Vec<u8>,
    /// How large a part of the body a frame may carry.
    pub chunk: usize,
    /// What comes before the commands of this message.
    pub macros: Macros,
}

impl Message {
    /// Takes a message with CRLF apart. Chunks are those of Postfix: 65,535 bytes.
    pub fn parse(bytes: &[u8]) -> Self {
        let (head, body) = split_at_empty_line(bytes);
        let mut header: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        for line in head.split_inclusive(|byte| *byte == b'\n') {
            match (line.first(), header.last_mut()) {
                (Some(b' ' | b'\t'), Some((_, value))) => value.extend_from_slice(line),
                _ => header.push(split_at_colon(line)),
            }
        }
        for (_, value) in &mut header {
            if value.ends_with(b"\r\n") {
                value.truncate(value.len() - 2);
            }
        }
        Self {
            from: "<sender@client.example>".to_owned(),
            recipients: vec!["<recipient@elsewhere.example>".to_owned()],
            header,
            body: body.to_vec(),
            chunk: 65_535,
            macros: Macros::new(),
        }
        .queue_id("4TESTBED00")
    }

    /// The macro `i` before every command of the message, as Postfix sends it.
    pub fn queue_id(mut self, id: &str) -> Self {
        self.macros.retain(|(_, name, _)| name != "i");
        [
            Command::Mail,
            Command::Recipient,
            Command::Data,
            Command::Header,
            Command::EndOfHeader,
            Command::Body,
            Command::EndOfMessage,
        ]
        .into_iter()
        .fold(self, |message, command| message.defined(command, "i", id))
    }

    /// As if the client had logged in: `{auth_authen}` and `{auth_type}`.
    pub fn login(self, name: &str) -> Self {
        self.defined(Command::Mail, "{auth_authen}", name).defined(
            Command::Mail,
            "{auth_type}",
            "PLAIN",
        )
    }

    /// One more macro.
    pub fn defined(mut self, command: Command, name: &str, value: &str) -> Self {
        self.macros
            .push((command, name.to_owned(), value.to_owned()));
        self
    }

    /// The body in frames of this many bytes at most.
    pub fn chunk(mut self, bytes: usize) -> Self {
        self.chunk = bytes;
        self
    }

    /// The message as it stands, with CRLF.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (name, value) in &self.header {
            bytes.extend_from_slice(&[name, b":".as_slice(), value, b"\r\n"].concat());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// A header field that the milter wants in the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inserted {
    /// Where: 0 is above everything, 1 below the MTA's own Received; nothing for "add" (at the end).
    pub index: Option<u32>,
    /// Its name.
    pub name: String,
    /// Its value as it came, with LF folds.
    pub value: Vec<u8>,
}

/// What the milter made of a message.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The header fields that it inserted or added, in that order.
    pub inserted: Vec<Inserted>,
    /// All other changes that it asked for.
    pub other: Vec<Frame>,
    /// The reply that decided.
    pub reply: Reply,
    /// What that reply answered: end of message, unless it came early.
    pub at: Command,
    /// True if header values carry their own blank after the colon.
    pub leading_space: bool,
}

impl Outcome {
    /// Of the signature that was inserted; none without one.
    pub fn selector(&self) -> Option<String> {
        let value = String::from_utf8_lossy(&self.inserted.first()?.value).into_owned();
        let unfolded: String = value.split_whitespace().collect();
        let (_, rest) = unfolded.split_once(";s=")?;
        Some(rest.split(';').next()?.to_owned())
    }

    /// The message with the inserted fields, as the MTA would send it.
    pub fn apply(&self, message: &Message) -> Vec<u8> {
        let mut message = message.clone();
        for inserted in &self.inserted {
            let blank: &[u8] = if self.leading_space { b"" } else { b" " };
            let value = [blank, &with_crlf(&inserted.value)].concat();
            let field = (inserted.name.clone().into_bytes(), value);
            // The MTA's own Received is not among these fields: 0 and 1 are both the top.
            let index = inserted
                .index
                .map_or(usize::MAX, |index| index.saturating_sub(1) as usize);
            message
                .header
                .insert(index.min(message.header.len()), field);
        }
        message.bytes()
    }

    /// Panics unless the message was let through and nothing but header fields was added to it.
    #[track_caller]
    pub fn expect_accepted(&self) -> &Self {
        let passed = matches!(self.reply, Reply::Continue | Reply::Accept);
        assert!(
            passed && self.other.is_empty(),
            "not accepted as it is: {self:?}"
        );
        self
    }
}

/// LF where there is CRLF: how folds go over the wire.
pub fn with_lf(value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(value.len());
    for (index, byte) in value.iter().enumerate() {
        if !(*byte == b'\r' && value.get(index + 1) == Some(&b'\n')) {
            bytes.push(*byte);
        }
    }
    bytes
}

fn with_crlf(value: &[u8]) -> Vec<u8> {
    let lines: Vec<_> = value.split(|byte| *byte == b'\n').collect();
    lines.join(b"\r\n".as_slice())
}

fn split_at_empty_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    if let Some(body) = bytes.strip_prefix(b"\r\n") {
        return (b"", body);
    }
    let end = bytes.windows(4).position(|part| part == b"\r\n\r\n");
    end.map_or((bytes, b"".as_slice()), |end| {
        (&bytes[..end + 2], &bytes[end + 4..])
    })
}

fn split_at_colon(line: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let colon = line.iter().position(|byte| *byte == b':');
    let colon = colon.unwrap_or_else(|| panic!("no colon in {}", line.escape_ascii()));
    (line[..colon].to_vec(), line[colon + 1..].to_vec())
}
