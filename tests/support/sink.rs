//! An SMTP server that keeps what it gets, byte for byte.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

/// A message as the sink got it.
#[derive(Debug, Clone)]
pub struct Received {
    /// The name that the client gave with EHLO.
    pub helo: String,
    /// What the client said by XFORWARD of the one it has the mail from.
    pub forwarded: String,
    /// The envelope sender without angle brackets; empty for bounces.
    pub from: String,
    /// What followed the address of MAIL, as `BODY=8BITMIME SMTPUTF8`.
    pub parameters: String,
    /// The recipients without angle brackets.
    pub recipients: Vec<String>,
    /// The message: exact bytes, lines end in CRLF as they came, dots unstuffed.
    pub bytes: Vec<u8>,
}

impl Received {
    /// The header fields from top to bottom: name and everything after the colon, folds included,
    /// without the last CRLF.
    pub fn headers(&self) -> Vec<(String, Vec<u8>)> {
        let mut fields: Vec<Vec<u8>> = Vec::new();
        for line in self.head().split_inclusive(|byte| *byte == b'\n') {
            match (line.first(), fields.last_mut()) {
                (Some(b' ' | b'\t'), Some(field)) => field.extend_from_slice(line),
                _ => fields.push(line.to_vec()),
            }
        }
        fields.iter().map(|field| split_field(field)).collect()
    }

    /// The values of all fields of that name, in any case, from top to bottom.
    pub fn header(&self, name: &str) -> Vec<String> {
        self.headers()
            .into_iter()
            .filter(|(field, _)| field.trim_end().eq_ignore_ascii_case(name))
            .map(|(_, value)| String::from_utf8_lossy(&value).trim().to_owned())
            .collect()
    }

    /// The header with the CRLF of its last field.
    pub fn head(&self) -> &[u8] {
        let start = self.body_start();
        let blank = if self.bytes[..start].ends_with(b"\r\n\r\n") {
            2
        } else {
            0
        };
        &self.bytes[..start - blank]
    }

    /// What follows the empty line.
    pub fn body(&self) -> &[u8] {
        &self.bytes[self.body_start()..]
    }

    /// True if the marker occurs anywhere in header or body.
    pub fn contains(&self, marker: &str) -> bool {
        let marker = marker.as_bytes();
        self.bytes.windows(marker.len()).any(|part| part == marker)
    }

    fn body_start(&self) -> usize {
        let end = self.bytes.windows(4).position(|part| part == b"\r\n\r\n");
        end.map_or(self.bytes.len(), |position| position + 4)
    }
}

/// What the sink offers and refuses.
#[derive(Debug, Clone)]
pub struct SinkOptions {
    /// The ESMTP keywords that it offers.
    pub keywords: Vec<&'static str>,
}

impl Default for SinkOptions {
    fn default() -> Self {
        Self {
            keywords: vec!["PIPELINING", "8BITMIME", "SMTPUTF8"],
        }
    }
}

/// The server. A recipient that begins with `reject` gets 550, one that begins with `defer` 450.
#[derive(Debug)]
pub struct Sink {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    options: SinkOptions,
    messages: Mutex<Vec<Received>>,
    arrival: Condvar,
    stopped: AtomicBool,
}

impl Sink {
    /// Starts a server with the default options.
    pub fn start() -> Self {
        Self::with(SinkOptions::default())
    }

    /// Starts a server on a free loopback port.
    pub fn with(options: SinkOptions) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port");
        let address = listener.local_addr().expect("the address of a listener");
        let shared = Arc::new(Shared {
            options,
            messages: Mutex::new(Vec::new()),
            arrival: Condvar::new(),
            stopped: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || accept(&listener, &accepting));
        Self { address, shared }
    }

    /// The port, for `relayhost` and the like.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// All messages so far, in order of arrival.
    pub fn received(&self) -> Vec<Received> {
        self.shared.messages().clone()
    }

    /// Forgets all messages.
    pub fn clear(&self) {
        self.shared.messages().clear();
    }

    /// Waits until there are at least `count` messages and returns all. Panics when time is up.
    pub fn wait_for(&self, count: usize, timeout: Duration) -> Vec<Received> {
        self.wait_until(&format!("{count} messages"), timeout, |messages| {
            (messages.len() >= count).then(|| messages.to_vec())
        })
    }

    /// Waits for a message that has `marker` as a recipient or anywhere in its bytes, and returns
    /// the first. Panics when time is up.
    pub fn find(&self, marker: &str, timeout: Duration) -> Received {
        self.wait_until(&format!("a message with {marker:?}"), timeout, |messages| {
            let matches = |message: &&Received| {
                message.recipients.iter().any(|r| r == marker) || message.contains(marker)
            };
            messages.iter().find(matches).cloned()
        })
    }

    fn wait_until<T>(
        &self,
        what: &str,
        timeout: Duration,
        found: impl Fn(&[Received]) -> Option<T>,
    ) -> T {
        let deadline = Instant::now() + timeout;
        let mut messages = self.shared.messages();
        loop {
            if let Some(result) = found(&messages) {
                return result;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "the sink waited {timeout:?} for {what}, but has {} messages, to {:?}",
                messages.len(),
                messages.iter().map(|m| &m.recipients).collect::<Vec<_>>()
            );
            let waited = self.shared.arrival.wait_timeout(messages, left);
            messages = waited.expect("no thread panics with the lock").0;
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts; those of connections end with their clients.
        TcpStream::connect(self.address).ok();
    }
}

impl Shared {
    fn messages(&self) -> MutexGuard<'_, Vec<Received>> {
        self.messages
            .lock()
            .expect("no thread panics with the lock")
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.stopped.load(Ordering::SeqCst) {
            return;
        }
        if let Ok(stream) = stream {
            let shared = Arc::clone(shared);
            // An error is a client that went away: there is nobody to tell.
            thread::spawn(move || Session::new(stream, shared)?.run());
        }
    }
}

struct Session {
    reader: BufReader<TcpStream>,
    shared: Arc<Shared>,
    helo: String,
    forwarded: String,
    message: Option<Received>,
}

impl Session {
    fn new(stream: TcpStream, shared: Arc<Shared>) -> std::io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_mins(5)))?;
        Ok(Self {
            reader: BufReader::new(stream),
            shared,
            helo: String::new(),
            forwarded: String::new(),
            message: None,
        })
    }

    fn run(mut self) -> std::io::Result<()> {
        self.reply("220 sink.example ESMTP")?;
        while let Some(line) = self.line()? {
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
            match verb.to_ascii_uppercase().as_str() {
                "EHLO" => self.greet(rest)?,
                "HELO" => {
                    rest.clone_into(&mut self.helo);
                    self.reply("250 sink.example")?;
                }
                "MAIL" => self.mail(rest)?,
                "RCPT" => self.recipient(rest)?,
                "DATA" => self.data()?,
                "RSET" => {
                    self.message = None;
                    self.reply("250 2.0.0 Ok")?;
                }
                "XFORWARD" => {
                    if rest.contains("ADDR=") {
                        rest.clone_into(&mut self.forwarded);
                    }
                    self.reply("250 2.0.0 Ok")?;
                }
                "NOOP" => self.reply("250 2.0.0 Ok")?,
                "QUIT" => return self.reply("221 2.0.0 Bye"),
                _ => self.reply("502 5.5.2 Unknown command")?,
            }
        }
        Ok(())
    }

    fn greet(&mut self, name: &str) -> std::io::Result<()> {
        name.clone_into(&mut self.helo);
        let keywords = self.shared.options.keywords.clone();
        let mut lines = vec!["sink.example".to_owned()];
        lines.extend(keywords.into_iter().map(str::to_owned));
        let last = lines.len() - 1;
        let text: Vec<_> = (lines.iter().enumerate())
            .map(|(index, line)| format!("250{}{line}", if index == last { ' ' } else { '-' }))
            .collect();
        self.reply(&text.join("\r\n"))
    }

    fn mail(&mut self, rest: &str) -> std::io::Result<()> {
        let (from, parameters) = address(rest);
        self.message = Some(Received {
            helo: self.helo.clone(),
            forwarded: self.forwarded.clone(),
            from,
            parameters,
            recipients: Vec::new(),
            bytes: Vec::new(),
        });
        self.reply("250 2.1.0 Ok")
    }

    fn recipient(&mut self, rest: &str) -> std::io::Result<()> {
        let (recipient, _) = address(rest);
        let Some(message) = &mut self.message else {
            return self.reply("503 5.5.1 MAIL first");
        };
        if recipient.starts_with("reject") {
            return self.reply("550 5.1.1 No such user here");
        }
        if recipient.starts_with("defer") {
            return self.reply("450 4.2.0 Not now");
        }
        message.recipients.push(recipient);
        self.reply("250 2.1.5 Ok")
    }

    fn data(&mut self) -> std::io::Result<()> {
        let has_recipients = |message: &Received| !message.recipients.is_empty();
        if !self.message.as_ref().is_some_and(has_recipients) {
            return self.reply("554 5.5.1 No valid recipients");
        }
        self.reply("354 Go ahead")?;
        let mut bytes = Vec::new();
        let mut at_line_start = true;
        loop {
            let Some(line) = self.line()? else {
                return Ok(());
            };
            if at_line_start && line == b".\r\n" {
                break;
            }
            let stuffed = at_line_start && line.starts_with(b".");
            bytes.extend_from_slice(&line[usize::from(stuffed)..]);
            at_line_start = line.ends_with(b"\r\n");
        }
        if let Some(mut message) = self.message.take() {
            message.bytes = bytes;
            self.shared.messages().push(message);
            self.shared.arrival.notify_all();
        }
        self.reply("250 2.0.0 Kept")
    }

    /// The next line with its end, or nothing when the client has gone.
    fn line(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        let length = self.reader.read_until(b'\n', &mut line)?;
        Ok((length > 0).then_some(line))
    }

    fn reply(&mut self, text: &str) -> std::io::Result<()> {
        write!(self.reader.get_mut(), "{text}\r\n")
    }
}

/// The address between angle brackets, and what follows it.
fn address(rest: &str) -> (String, String) {
    let inner = rest.split_once('<').map_or(rest, |(_, after)| after);
    let (address, parameters) = inner.rsplit_once('>').unwrap_or((inner, ""));
    (address.to_owned(), parameters.trim().to_owned())
}

fn split_field(field: &[u8]) -> (String, Vec<u8>) {
    let field = field.strip_suffix(b"\r\n").unwrap_or(field);
    let colon = field.iter().position(|byte| *byte == b':');
    let (name, value) = field.split_at(colon.unwrap_or(field.len()));
    let value = value.strip_prefix(b":").unwrap_or(value).to_vec();
    (String::from_utf8_lossy(name).into_owned(), value)
}
