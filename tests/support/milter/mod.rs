//! A milter client: speaks as an MTA does, or not.
//!
//! ```ignore
//! let outcome = milter::send("unix:/path", &Message::parse(b"From: …\r\n\r\n…").login("crm"));
//! outcome.expect_accepted();
//! let signed = outcome.apply(&message);
//! ```

mod message;
mod reply;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

pub use message::{Inserted, Macros, Message, Outcome, Peer};
pub use reply::Reply;
pub use wire::{Command, Frame, LEADING_SPACE, SKIP, encode, strings};

use message::with_lf;
use reply::{inserted, reply};
use wire::Stream;

/// What an MTA offers: protocol version, allowed changes and protocol bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// 2 to 6.
    pub version: u32,
    /// `SMFIF_…`.
    pub actions: u32,
    /// `SMFIP_…`.
    pub protocol: u32,
}

impl Offer {
    /// What Postfix offers since 2.6 (`milter_protocol = 6`), and Sendmail since 8.14.
    pub const POSTFIX: Self = Self {
        version: 6,
        actions: 0x1ff,
        protocol: 0x1f_ffff,
    };

    /// What Postfix offers with an older `milter_protocol`.
    pub fn version(version: u32) -> Self {
        let (actions, protocol) = match version {
            ..=2 => (0x3f, 0x7f),
            3 => (0x3f, 0x17f),
            4 | 5 => (0x3f, 0x37f),
            _ => (Self::POSTFIX.actions, Self::POSTFIX.protocol),
        };
        Self {
            version,
            actions,
            protocol,
        }
    }

    /// This offer without some protocol bits.
    pub fn without(mut self, protocol: u32) -> Self {
        self.protocol &= !protocol;
        self
    }

    fn encode(self) -> Vec<u8> {
        [self.version, self.actions, self.protocol]
            .map(u32::to_be_bytes)
            .concat()
    }
}

/// A connection to a milter, as an MTA holds it.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    agreed: Offer,
    requested: Vec<(u32, String)>,
}

/// Shows one message to the milter as Postfix does, on a connection of its own from 127.0.0.1.
pub fn send(address: &str, message: &Message) -> Outcome {
    let mut connection = Connection::negotiated(address, Offer::POSTFIX);
    connection.greet(&Peer::local());
    let outcome = connection.send_message(message);
    connection.quit();
    outcome
}

impl Connection {
    /// Connects to `unix:/path` or `inet:127.0.0.1:port`, and says nothing. Replies are awaited
    /// for 10 seconds.
    pub fn open(address: &str) -> Self {
        Self::try_open(address)
            .unwrap_or_else(|error| panic!("cannot connect to the milter at {address}: {error}"))
    }

    /// The same where nobody may listen.
    ///
    /// # Errors
    ///
    /// When there is no connection.
    pub fn try_open(address: &str) -> io::Result<Self> {
        let stream = Stream::connect(address)?;
        stream.set_timeout(Duration::from_secs(10))?;
        Ok(Self {
            stream,
            agreed: Offer::version(6).without(u32::MAX),
            requested: Vec::new(),
        })
    }

    /// Connects, negotiates and greets as Postfix on this host does; none if nobody takes it.
    pub fn of_postfix(address: &str) -> Option<Self> {
        let mut connection = Self::try_open(address).ok()?;
        connection.negotiate(Offer::POSTFIX).ok()?;
        let reply = connection.greet(&Peer::local());
        reply.goes_on().then_some(connection)
    }

    /// Connects and negotiates. Panics if the milter does not agree to the offer.
    pub fn negotiated(address: &str, offer: Offer) -> Self {
        let mut connection = Self::open(address);
        let agreed = connection.negotiate(offer);
        let agreed = agreed.unwrap_or_else(|reply| panic!("no agreement on {offer:x?}: {reply:?}"));
        assert!(
            agreed.version <= offer.version
                && agreed.actions & !offer.actions == 0
                && agreed.protocol & !offer.protocol == 0,
            "the milter wants more than was offered: {agreed:x?} of {offer:x?}"
        );
        connection
    }

    /// Sends an offer. What the milter answers with counts from now on.
    ///
    /// # Errors
    ///
    /// Anything but an agreement.
    pub fn negotiate(&mut self, offer: Offer) -> Result<Offer, Reply> {
        self.write_frame(Command::Negotiate, &offer.encode());
        let frame = match self.read_frame() {
            Ok(Some(frame)) if frame.code == b'O' && frame.data.len() >= 12 => frame,
            other => return Err(reply(other)),
        };
        let number = |at: usize| {
            let bytes = frame.data[at..at + 4].try_into().expect("four bytes");
            u32::from_be_bytes(bytes)
        };
        self.agreed = Offer {
            version: number(0),
            actions: number(4),
            protocol: number(8),
        };
        self.requested = macro_requests(&frame.data[12..]);
        Ok(self.agreed)
    }

    /// What was agreed.
    pub fn agreed(&self) -> Offer {
        self.agreed
    }

    /// The macros that the milter asked for: stage (0 connect, 1 helo, 2 mail, …) and names.
    pub fn requested_macros(&self) -> &[(u32, String)] {
        &self.requested
    }

    /// Sets how long replies are awaited.
    pub fn set_timeout(&self, timeout: Duration) {
        self.stream.set_timeout(timeout).expect("a timeout");
    }

    /// Sends CONNECT and HELO with their macros, and returns the first reply that ends the session,
    /// or the last one.
    pub fn greet(&mut self, peer: &Peer) -> Reply {
        let made = || connect_data(&peer.name, peer.address);
        let connect = peer.connect.clone().unwrap_or_else(made);
        let answer = self.step(Command::Connect, &connect, &peer.macros);
        if !answer.goes_on() {
            return answer;
        }
        self.step(
            Command::Helo,
            &strings([peer.helo.as_bytes()]),
            &peer.macros,
        )
    }

    /// Shows a message and ends it with ABORT, as Postfix does: another may follow.
    pub fn send_message(&mut self, message: &Message) -> Outcome {
        let outcome = self.transact(message);
        self.abort();
        outcome
    }

    /// Shows a message, without ABORT after it, as Sendmail does.
    pub fn transact(&mut self, message: &Message) -> Outcome {
        self.transact_with(message, b"")
    }

    /// As [`Self::transact`], with more of the body in the end of the message.
    pub fn transact_with(&mut self, message: &Message, end: &[u8]) -> Outcome {
        let (at, reply) = self.show(message);
        let mut outcome = self.outcome(at, reply);
        if outcome.reply.goes_on() {
            self.end_of_message(message, end, &mut outcome);
        }
        outcome
    }

    /// Ends a message of which everything else has been shown, and reads what is made of it.
    pub fn finish(&mut self, message: &Message) -> Outcome {
        let mut outcome = self.outcome(Command::EndOfMessage, Reply::Continue);
        self.end_of_message(message, b"", &mut outcome);
        outcome
    }

    fn end_of_message(&mut self, message: &Message, end: &[u8], outcome: &mut Outcome) {
        outcome.at = Command::EndOfMessage;
        self.macros(Command::EndOfMessage, &message.macros);
        self.write_frame(Command::EndOfMessage, end);
        self.read_changes(outcome);
    }

    fn outcome(&self, at: Command, reply: Reply) -> Outcome {
        Outcome {
            inserted: Vec::new(),
            other: Vec::new(),
            reply,
            at,
            leading_space: self.agreed.protocol & LEADING_SPACE != 0,
        }
    }

    /// Shows everything up to the end of message, which is left out: for what must be cut short.
    /// Returns the first reply that decides, or the last one, and what it answered.
    pub fn show(&mut self, message: &Message) -> (Command, Reply) {
        let mut last = (Command::Mail, Reply::Continue);
        for (command, data) in self.events(message) {
            if last.1 == Reply::Skip && last.0 == command {
                continue;
            }
            last = (command, self.step(command, &data, &message.macros));
            if !last.1.goes_on() {
                break;
            }
        }
        last
    }

    /// Sends macros and a command, and reads the reply: each as agreed. Postfix sends the macros
    /// even where the event was declined.
    pub fn step(&mut self, command: Command, data: &[u8], macros: &Macros) -> Reply {
        self.macros(command, macros);
        self.command(command, data)
    }

    /// Sends a command without macros before it, and reads the reply: each as agreed.
    pub fn command(&mut self, command: Command, data: &[u8]) -> Reply {
        if self.agreed.protocol & command.declined_by() != 0 {
            return Reply::Declined;
        }
        self.write_frame(command, data);
        if self.agreed.protocol & command.unanswered_by() != 0 {
            return Reply::Unawaited;
        }
        self.read_reply()
    }

    /// Sends those macros that belong to a command; an empty frame if there are none.
    pub fn macros(&mut self, command: Command, macros: &Macros) {
        let mut data = vec![command as u8];
        for (at, name, value) in macros {
            if *at == command {
                data.extend(strings([name.as_bytes(), value.as_bytes()]));
            }
        }
        self.write_frame(Command::Macros, &data);
    }

    /// Sends ABORT: the message is forgotten. There is no reply.
    pub fn abort(&mut self) {
        self.write_frame(Command::Abort, b"");
    }

    /// Sends QUIT. There is no reply.
    pub fn quit(mut self) {
        self.write_frame(Command::Quit, b"");
    }

    /// Sends a frame. An error shows when the reply is read.
    pub fn write_frame(&mut self, command: Command, data: &[u8]) {
        self.write_raw(&encode(command as u8, data));
    }

    /// Sends bytes as they are. An error shows when the reply is read.
    pub fn write_raw(&mut self, bytes: &[u8]) {
        self.stream.write_raw(bytes).ok();
    }

    /// Sends a frame, as far as the peer reads.
    ///
    /// # Errors
    ///
    /// When the connection is closed, or the time for writing is up.
    pub fn try_write_frame(&mut self, command: Command, data: &[u8]) -> io::Result<()> {
        self.stream.write_raw(&encode(command as u8, data))
    }

    /// Sets how long a write may wait for the peer to read; no limit at first.
    pub fn set_write_timeout(&self, timeout: Duration) {
        self.stream.set_write_timeout(timeout).expect("a timeout");
    }

    /// Reads a frame; nothing if the milter closed the connection.
    ///
    /// # Errors
    ///
    /// When the time is up, or the frame is nonsense.
    pub fn read_frame(&mut self) -> io::Result<Option<Frame>> {
        self.stream.read_frame()
    }

    /// Reads a reply. Progress is passed over.
    pub fn read_reply(&mut self) -> Reply {
        loop {
            match self.read_frame() {
                Ok(Some(frame)) if frame.code == b'p' => {}
                other => return reply(other),
            }
        }
    }

    /// The commands from MAIL to the last part of the body, in the form that was agreed.
    pub fn events(&self, message: &Message) -> Vec<(Command, Vec<u8>)> {
        let mut events = vec![(Command::Mail, strings([message.from.as_bytes()]))];
        for recipient in &message.recipients {
            events.push((Command::Recipient, strings([recipient.as_bytes()])));
        }
        if self.agreed.version >= 4 {
            events.push((Command::Data, Vec::new()));
        }
        let leading_space = self.agreed.protocol & LEADING_SPACE != 0;
        for (name, value) in &message.header {
            let value = with_lf(value);
            let bare = value.strip_prefix(b" ").unwrap_or(&value);
            let value = if leading_space { &value } else { bare };
            events.push((Command::Header, strings([name.as_slice(), value])));
        }
        events.push((Command::EndOfHeader, Vec::new()));
        let chunks = message.body.chunks(message.chunk);
        events.extend(chunks.map(|chunk| (Command::Body, chunk.to_vec())));
        events
    }

    fn read_changes(&mut self, outcome: &mut Outcome) {
        outcome.reply = loop {
            match self.read_frame() {
                Ok(Some(frame)) if frame.code == b'p' => {}
                Ok(Some(frame)) if matches!(frame.code, b'h' | b'i') => {
                    outcome.inserted.push(inserted(&frame));
                }
                Ok(Some(frame)) if b"+2-bemq".contains(&frame.code) => outcome.other.push(frame),
                other => break reply(other),
            }
        };
    }
}

/// The macros that a milter asks for behind the numbers of its negotiation.
pub fn macro_requests(mut bytes: &[u8]) -> Vec<(u32, String)> {
    let mut requests = Vec::new();
    while let Some((stage, rest)) = bytes.split_first_chunk::<4>() {
        let end = rest
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(rest.len());
        let names = String::from_utf8_lossy(&rest[..end]).into_owned();
        requests.push((u32::from_be_bytes(*stage), names));
        bytes = rest.get(end + 1..).unwrap_or_default();
    }
    requests
}

/// The data of CONNECT.
pub fn connect_data(name: &str, address: Option<SocketAddr>) -> Vec<u8> {
    let mut data = strings([name.as_bytes()]);
    match address {
        None => data.push(b'U'),
        Some(address) => {
            data.push(if address.is_ipv4() { b'4' } else { b'6' });
            data.extend_from_slice(&address.port().to_be_bytes());
            let text = match address {
                SocketAddr::V4(address) => address.ip().to_string(),
                SocketAddr::V6(address) => format!("IPv6:{}", address.ip()),
            };
            data.extend(strings([text.as_bytes()]));
        }
    }
    data
}
