//! A message as Postfix 3.7 sends it to a milter: which bytes, when they are flushed, and where
//! a reply is awaited.

use crate::{
    message::Message,
    milter::{Command, LEADING_SPACE, Offer, encode, strings},
    organisations::PLACEHOLDER,
};

/// Postfix's buffer of a stream (`VSTREAM_BUFSIZE`): it is written when it is full, or before a
/// reply is awaited.
pub(crate) const BUFFER: usize = 4096;

/// The largest part of a body in one frame (`MILTER_CHUNK_SIZE`).
const CHUNK: usize = 65_535;

/// What is sent until the next flush.
pub(crate) struct Step {
    /// The part with the name of the organisation, a multiple of [`BUFFER`] unless `tail` is empty.
    pub(crate) head: Vec<u8>,
    /// Where in `head` that name goes.
    pub(crate) places: Vec<usize>,
    /// The rest, the same in all messages.
    pub(crate) tail: Vec<u8>,
    /// Whether a reply follows.
    pub(crate) reply: bool,
    /// Whether it is a part of the body and nothing else, which the milter may want no more of.
    pub(crate) body: bool,
}

/// All that Postfix sends on a connection after the negotiation.
pub(crate) struct Script {
    /// CONNECT and HELO.
    pub(crate) greeting: Vec<Step>,
    /// From MAIL to the end of the message. The first step begins with the ABORT that ends the
    /// message before.
    pub(crate) message: Vec<Step>,
}

/// The octets of the ABORT frame at the begin of a message.
pub(crate) const ABORT: usize = 5;

/// Stages of the macro requests in a negotiation.
fn stage(command: Command) -> Option<u32> {
    Some(match command {
        Command::Connect => 0,
        Command::Helo => 1,
        Command::Mail => 2,
        Command::Recipient => 3,
        Command::Data => 4,
        // Postfix takes the macros of the end of header for fields and those of the end of
        // message for the body.
        Command::EndOfMessage | Command::Body => 5,
        Command::EndOfHeader | Command::Header => 6,
        _ => return None,
    })
}

/// What Postfix sends by default (`milter_connect_macros` and so on), as far as it is defined
/// for a client that has logged in.
fn default_macros(command: Command) -> &'static str {
    match command {
        Command::Connect => "j {daemon_name} {daemon_addr} v _",
        Command::Mail => "{auth_type} {auth_authen} {mail_addr} {mail_host} {mail_mailer}",
        Command::Recipient => "{rcpt_addr} {rcpt_host} {rcpt_mailer}",
        Command::Helo => "",
        _ => "i",
    }
}

fn macro_value(name: &str) -> Option<String> {
    Some(match name {
        "i" => "4TESTBED00".to_owned(),
        "j" | "{daemon_name}" => "mail.example".to_owned(),
        "{daemon_addr}" | "{client_addr}" => "127.0.0.1".to_owned(),
        "{daemon_port}" => "587".to_owned(),
        "{client_name}" | "{client_ptr}" => "localhost".to_owned(),
        "{client_port}" => "40000".to_owned(),
        "v" => "Postfix 3.7.11".to_owned(),
        "_" => "localhost [127.0.0.1]".to_owned(),
        "{auth_type}" => "PLAIN".to_owned(),
        "{auth_authen}" => "newsletter".to_owned(),
        "{mail_addr}" => format!("nieuws@{PLACEHOLDER}.example"),
        "{mail_host}" => format!("{PLACEHOLDER}.example"),
        "{mail_mailer}" | "{rcpt_mailer}" => "smtp".to_owned(),
        "{rcpt_addr}" => "lezer@elsewhere.example".to_owned(),
        "{rcpt_host}" => "elsewhere.example".to_owned(),
        _ => return None,
    })
}

impl Script {
    /// For what a milter agreed to, and the macros that it asked for.
    pub(crate) fn new(message: &Message, agreed: Offer, requested: &[(u32, String)]) -> Self {
        let mut writer = Writer {
            agreed,
            requested,
            steps: Vec::new(),
            buffer: Vec::new(),
        };
        writer.event(
            Command::Connect,
            &crate::milter::connect_data("localhost", "127.0.0.1:40000".parse().ok()),
        );
        writer.event(Command::Helo, b"client.example\0");
        writer.flush(false);
        let greeting = std::mem::take(&mut writer.steps);
        writer.buffer = encode(Command::Abort as u8, b"");
        let sender = format!("<nieuws@{PLACEHOLDER}.example>");
        writer.event(Command::Mail, &strings([sender.as_bytes()]));
        writer.event(
            Command::Recipient,
            &strings([b"<lezer@elsewhere.example>".as_slice()]),
        );
        writer.event(Command::Data, b"");
        // smtpd(8) is done, cleanup(8) goes on with a buffer of its own.
        writer.flush(false);
        let blank = if agreed.protocol & LEADING_SPACE != 0 {
            " "
        } else {
            ""
        };
        for (name, value) in &message.header {
            let value = format!("{blank}{value}");
            writer.event(
                Command::Header,
                &strings([name.as_bytes(), value.as_bytes()]),
            );
        }
        writer.event(Command::EndOfHeader, b"");
        for chunk in message.body.chunks(CHUNK) {
            writer.event(Command::Body, chunk);
        }
        writer.event(Command::EndOfMessage, b"");
        Self {
            greeting,
            message: writer.steps,
        }
    }
}

struct Writer<'a> {
    agreed: Offer,
    requested: &'a [(u32, String)],
    steps: Vec<Step>,
    buffer: Vec<u8>,
}

impl Writer<'_> {
    fn event(&mut self, command: Command, data: &[u8]) {
        self.macros(command);
        if self.agreed.protocol & command.declined_by() != 0 {
            return;
        }
        self.buffer.extend(encode(command as u8, data));
        if self.agreed.protocol & command.unanswered_by() == 0 {
            self.flush(true);
            let answered = self.steps.last_mut().expect("a step was just made");
            answered.body = command == Command::Body;
        }
    }

    /// Before every command, even one that the milter declined.
    fn macros(&mut self, command: Command) {
        let requested = stage(command).and_then(|stage| {
            let mut requests = self.requested.iter();
            requests.find(|(wanted, _)| *wanted == stage)
        });
        let names = requested.map_or_else(|| default_macros(command), |(_, names)| names);
        let mut data = vec![command as u8];
        for name in names.split([' ', ',']) {
            if let Some(value) = macro_value(name) {
                data.extend(strings([name.as_bytes(), value.as_bytes()]));
            }
        }
        if data.len() > 1 {
            self.buffer.extend(encode(Command::Macros as u8, &data));
        }
    }

    fn flush(&mut self, reply: bool) {
        let mut head = std::mem::take(&mut self.buffer);
        if head.is_empty() {
            return;
        }
        let places: Vec<usize> = memchr::memmem::find_iter(&head, PLACEHOLDER.as_bytes()).collect();
        let end = places.last().map_or(0, |place| place + PLACEHOLDER.len());
        let tail = head.split_off(end.next_multiple_of(BUFFER).min(head.len()));
        self.steps.push(Step {
            head,
            places,
            tail,
            reply,
            body: false,
        });
    }
}
