//! Frames of the milter protocol on a socket.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// What an MTA sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Command {
    /// Option negotiation.
    Negotiate = b'O',
    /// Macros for the next command.
    Macros = b'D',
    /// A client.
    Connect = b'C',
    /// HELO or EHLO.
    Helo = b'H',
    /// MAIL.
    Mail = b'M',
    /// RCPT.
    Recipient = b'R',
    /// DATA, since version 4.
    Data = b'T',
    /// A header field.
    Header = b'L',
    /// The empty line.
    EndOfHeader = b'N',
    /// A part of the body.
    Body = b'B',
    /// End of message.
    EndOfMessage = b'E',
    /// A command that the MTA does not know, since version 3.
    Unknown = b'U',
    /// Forget this message.
    Abort = b'A',
    /// End of the connection.
    Quit = b'Q',
    /// End of the SMTP session; another follows on this connection. Since version 6.
    QuitAndReuse = b'K',
}

impl Command {
    /// The protocol bit by which a milter declines this event.
    pub fn declined_by(self) -> u32 {
        match self {
            Self::Connect => 0x01,
            Self::Helo => 0x02,
            Self::Mail => 0x04,
            Self::Recipient => 0x08,
            Self::Body => 0x10,
            Self::Header => 0x20,
            Self::EndOfHeader => 0x40,
            Self::Unknown => 0x100,
            Self::Data => 0x200,
            _ => 0,
        }
    }

    /// The protocol bit by which a milter promises no reply to this event.
    pub fn unanswered_by(self) -> u32 {
        match self {
            Self::Header => 0x80,
            Self::Connect => 0x1000,
            Self::Helo => 0x2000,
            Self::Mail => 0x4000,
            Self::Recipient => 0x8000,
            Self::Data => 0x1_0000,
            Self::Unknown => 0x2_0000,
            Self::EndOfHeader => 0x4_0000,
            Self::Body => 0x8_0000,
            _ => 0,
        }
    }
}

/// Header values come and go with the blank after the colon.
pub const LEADING_SPACE: u32 = 0x10_0000;

/// The milter may answer [`Command::Body`] with "skip the rest".
pub const SKIP: u32 = 0x400;

/// A packet: its command or reply byte, and what follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The byte that says what it is.
    pub code: u8,
    /// The rest.
    pub data: Vec<u8>,
}

/// A stream socket to a milter.
#[derive(Debug)]
pub enum Stream {
    /// A Unix socket.
    Unix(UnixStream),
    /// A TCP connection.
    Tcp(TcpStream),
}

impl Stream {
    /// Connects to `unix:/path` or `inet:host:port`.
    pub fn connect(address: &str) -> io::Result<Self> {
        match address.split_once(':') {
            Some(("unix", path)) => UnixStream::connect(path).map(Self::Unix),
            Some(("inet", address)) => {
                let stream = TcpStream::connect(address)?;
                stream.set_nodelay(true)?;
                Ok(Self::Tcp(stream))
            }
            _ => Err(io::Error::other(format!(
                "{address} is neither unix: nor inet:"
            ))),
        }
    }

    /// How long to wait for a reply.
    pub fn set_timeout(&self, timeout: Duration) -> io::Result<()> {
        match self {
            Self::Unix(stream) => stream.set_read_timeout(Some(timeout)),
            Self::Tcp(stream) => stream.set_read_timeout(Some(timeout)),
        }
    }

    /// How long to wait until the milter reads.
    pub fn set_write_timeout(&self, timeout: Duration) -> io::Result<()> {
        match self {
            Self::Unix(stream) => stream.set_write_timeout(Some(timeout)),
            Self::Tcp(stream) => stream.set_write_timeout(Some(timeout)),
        }
    }

    /// Writes bytes as they are.
    pub fn write_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Unix(stream) => stream.write_all(bytes),
            Self::Tcp(stream) => stream.write_all(bytes),
        }
    }

    /// Reads a frame; nothing if the milter closed the connection.
    pub fn read_frame(&mut self) -> io::Result<Option<Frame>> {
        let mut length = [0; 4];
        match self.read_exact(&mut length) {
            Err(error) if is_end(&error) => return Ok(None),
            result => result?,
        }
        let length = u32::from_be_bytes(length);
        if length == 0 || length > 0x100_0000 {
            return Err(io::Error::other(format!("a frame of {length} bytes")));
        }
        let mut frame = vec![0; usize::try_from(length).expect("below 2^24")];
        self.read_exact(&mut frame)?;
        let data = frame.split_off(1);
        let code = frame[0];
        Ok(Some(Frame { code, data }))
    }

    fn read_exact(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        match self {
            Self::Unix(stream) => stream.read_exact(bytes),
            Self::Tcp(stream) => stream.read_exact(bytes),
        }
    }
}

/// A packet as it is on the wire.
pub fn encode(code: u8, data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len() + 1).expect("a frame below 4 GiB");
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.push(code);
    bytes.extend_from_slice(data);
    bytes
}

/// The parts, each with a NUL at its end.
pub fn strings<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend_from_slice(part);
        bytes.push(0);
    }
    bytes
}

fn is_end(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof)
}
