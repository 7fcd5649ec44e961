//! A raw SMTP client: sends exactly the bytes that it is given and shows every reply.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType};

const TIMEOUT: Duration = Duration::from_mins(2);

/// A reply of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The three-digit code; 0 if the server closed the connection instead.
    pub code: u16,
    /// The text of each line, after the code.
    pub lines: Vec<String>,
}

impl Reply {
    /// True for 2xx and 3xx.
    pub fn is_positive(&self) -> bool {
        (200..400).contains(&self.code)
    }

    /// All lines as one text.
    pub fn text(&self) -> String {
        self.lines.join("\n")
    }

    /// Panics unless the code is this one.
    #[track_caller]
    pub fn expect(self, code: u16) -> Self {
        assert_eq!(self.code, code, "unexpected reply: {self:?}");
        self
    }
}

/// A message with its envelope.
#[derive(Debug, Clone, Default)]
pub struct Message {
    /// The sender without angle brackets; empty is the null sender.
    pub from: String,
    /// What follows the sender on the MAIL line, as `BODY=8BITMIME`.
    pub parameters: String,
    /// The recipients without angle brackets.
    pub to: Vec<String>,
    /// Header and body. Only dots after CRLF are stuffed; where the last CRLF is missing it is
    /// added. All else goes out as it is: bare CR and LF, NUL, 8-bit, lines of any length.
    pub bytes: Vec<u8>,
}

impl Message {
    /// A message to one recipient.
    pub fn new(from: &str, to: &str, bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            from: from.to_owned(),
            parameters: String::new(),
            to: vec![to.to_owned()],
            bytes: bytes.into(),
        }
    }

    /// With `BODY=8BITMIME`, or whatever MAIL shall carry.
    pub fn parameters(mut self, parameters: &str) -> Self {
        parameters.clone_into(&mut self.parameters);
        self
    }

    fn mail_line(&self) -> String {
        format!("MAIL FROM:<{}> {}", self.from, self.parameters)
            .trim_end()
            .to_owned()
    }
}

/// The replies to one message, step by step.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The reply to MAIL.
    pub mail: Reply,
    /// The replies to each RCPT; empty if MAIL failed.
    pub recipients: Vec<Reply>,
    /// The reply to DATA, if it was sent.
    pub data: Option<Reply>,
    /// The reply to the end of the message, if it was sent.
    pub end: Option<Reply>,
}

impl Delivery {
    /// The reply that decided: to the end of message, or the one that ended it before.
    pub fn verdict(&self) -> &Reply {
        let refused = |reply: &&Reply| !reply.is_positive();
        self.end
            .as_ref()
            .or(self.data.as_ref().filter(refused))
            .or(self.recipients.iter().rev().find(refused))
            .unwrap_or(&self.mail)
    }

    /// Panics unless the message was taken.
    #[track_caller]
    pub fn expect_accepted(&self) -> &Self {
        let taken = self.end.as_ref().is_some_and(Reply::is_positive);
        assert!(taken, "the message was not accepted: {self:?}");
        self
    }
}

/// A connection to a server.
#[derive(Debug)]
pub struct Client {
    reader: BufReader<TcpStream>,
    greeting: Reply,
}

impl Client {
    /// Connects to a loopback port and reads the greeting.
    pub fn connect(port: u16) -> Self {
        Self::connect_from(Ipv4Addr::LOCALHOST, port)
    }

    /// Connects from another loopback address, as 127.0.0.2: a client that the server, or the
    /// milter behind it, may not take for one of its own.
    pub fn connect_from(source: Ipv4Addr, port: u16) -> Self {
        let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None)
            .expect("a TCP socket");
        rustix::net::bind(&socket, &SocketAddrV4::new(source, 0)).expect("a loopback address");
        let server = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
        rustix::net::connect(&socket, &server)
            .unwrap_or_else(|error| panic!("cannot connect to {server}: {error}"));
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true).expect("TCP_NODELAY");
        stream.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
        let mut client = Self {
            reader: BufReader::new(stream),
            greeting: Reply {
                code: 0,
                lines: Vec::new(),
            },
        };
        client.greeting = client.read_reply();
        client
    }

    /// Connects and says EHLO.
    pub fn greeted(port: u16) -> Self {
        let mut client = Self::connect(port);
        client.ehlo("client.example").expect(250);
        client
    }

    /// Connects, says EHLO and logs in.
    pub fn logged_in(port: u16, login: &str, password: &str) -> Self {
        let mut client = Self::greeted(port);
        client.auth_plain(login, password).expect(235);
        client
    }

    /// What the server said on connecting.
    pub fn greeting(&self) -> &Reply {
        &self.greeting
    }

    /// Sends EHLO; the lines of the reply are the keywords.
    pub fn ehlo(&mut self, name: &str) -> Reply {
        self.command(&format!("EHLO {name}"))
    }

    /// Sends AUTH PLAIN with an initial response.
    pub fn auth_plain(&mut self, login: &str, password: &str) -> Reply {
        let response = base64(format!("\0{login}\0{password}").as_bytes());
        self.command(&format!("AUTH PLAIN {response}"))
    }

    /// Sends XCLIENT (Postfix only, whose test instances allow it): the server then takes this
    /// connection for one from elsewhere, as `ADDR=198.51.100.7 NAME=outside.example`.
    pub fn xclient(&mut self, attributes: &str) -> Reply {
        self.command(&format!("XCLIENT {attributes}"))
    }

    /// Sends one line and reads the reply.
    pub fn command(&mut self, line: &str) -> Reply {
        self.write_raw(format!("{line}\r\n").as_bytes());
        self.read_reply()
    }

    /// Sends one message in lock step, and stops where the server refuses it.
    pub fn send(&mut self, message: &Message) -> Delivery {
        let mail = self.command(&message.mail_line());
        let mut delivery = Delivery {
            mail,
            recipients: Vec::new(),
            data: None,
            end: None,
        };
        if delivery.mail.is_positive() {
            for recipient in &message.to {
                let reply = self.command(&format!("RCPT TO:<{recipient}>"));
                delivery.recipients.push(reply);
            }
        }
        if delivery.recipients.iter().any(Reply::is_positive) {
            let data = self.command("DATA");
            if data.code == 354 {
                self.write_raw(&stuffed(&message.bytes));
                delivery.end = Some(self.read_reply());
            }
            delivery.data = Some(data);
        }
        if delivery.end.is_none() && delivery.verdict().code != 0 {
            self.rset();
        }
        delivery
    }

    /// Sends several messages with RFC 2920 pipelining: envelope and DATA in one write, and the
    /// end of one message together with the envelope of the next.
    pub fn pipeline(&mut self, messages: &[Message]) -> Vec<Delivery> {
        let mut pending = Vec::new();
        let mut deliveries: Vec<Delivery> = Vec::new();
        for message in messages {
            pending.extend_from_slice(&envelope(message));
            self.write_raw(&pending);
            pending.clear();
            if let Some(previous) = deliveries.last_mut().filter(|previous| is_open(previous)) {
                previous.end = Some(self.read_reply());
            }
            let mail = self.read_reply();
            let recipients = message.to.iter().map(|_| self.read_reply()).collect();
            let data = self.read_reply();
            if data.code == 354 {
                pending = stuffed(&message.bytes);
            } else {
                pending = b"RSET\r\n".to_vec();
            }
            deliveries.push(Delivery {
                mail,
                recipients,
                data: Some(data),
                end: None,
            });
            if !pending.starts_with(b"RSET") {
                continue;
            }
            self.write_raw(&std::mem::take(&mut pending));
            self.read_reply();
        }
        self.write_raw(&pending);
        if let Some(last) = deliveries.last_mut().filter(|last| is_open(last)) {
            last.end = Some(self.read_reply());
        }
        deliveries
    }

    /// Forgets a message that was begun.
    pub fn rset(&mut self) -> Reply {
        self.command("RSET")
    }

    /// Ends the session.
    pub fn quit(mut self) -> Reply {
        self.command("QUIT")
    }

    /// Sends bytes as they are; errors show in the next reply.
    pub fn write_raw(&mut self, bytes: &[u8]) {
        self.reader.get_mut().write_all(bytes).ok();
    }

    /// Reads one reply. Code 0 is the end of the connection.
    pub fn read_reply(&mut self) -> Reply {
        let mut lines = Vec::new();
        loop {
            let mut line = Vec::new();
            let length = self
                .reader
                .by_ref()
                .take(65_536)
                .read_until(b'\n', &mut line);
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            let code = line.get(..3).and_then(|code| code.parse().ok());
            let (Ok(1..), Some(code)) = (&length, code) else {
                lines.push(format!("connection ended ({length:?}) {line}"));
                return Reply { code: 0, lines };
            };
            lines.push(line.get(4..).unwrap_or("").to_owned());
            if line.as_bytes().get(3) != Some(&b'-') {
                return Reply { code, lines };
            }
        }
    }
}

/// A message after RFC 5321 §4.5.2, with the dot that ends it.
pub fn stuffed(bytes: &[u8]) -> Vec<u8> {
    let mut wire = Vec::with_capacity(bytes.len() + 64);
    for byte in bytes {
        let at_line_start = wire.is_empty() || wire.ends_with(b"\r\n");
        if *byte == b'.' && at_line_start {
            wire.push(b'.');
        }
        wire.push(*byte);
    }
    if !(wire.is_empty() || wire.ends_with(b"\r\n")) {
        wire.extend_from_slice(b"\r\n");
    }
    wire.extend_from_slice(b".\r\n");
    wire
}

fn envelope(message: &Message) -> Vec<u8> {
    let mut lines = vec![message.mail_line()];
    lines.extend(message.to.iter().map(|to| format!("RCPT TO:<{to}>")));
    lines.push("DATA\r\n".to_owned());
    lines.join("\r\n").into_bytes()
}

/// True while the content is sent but not yet answered.
fn is_open(delivery: &Delivery) -> bool {
    delivery.end.is_none() && delivery.data.as_ref().is_some_and(|data| data.code == 354)
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let mut bits = 0_usize;
        for index in 0..3 {
            bits = bits << 8 | usize::from(group.get(index).copied().unwrap_or(0));
        }
        for index in 0..4 {
            let digit = ALPHABET[bits >> (18 - 6 * index) & 63];
            text.push(if index <= group.len() {
                char::from(digit)
            } else {
                '='
            });
        }
    }
    text
}
