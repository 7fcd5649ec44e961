//! The load: many milter connections on one thread, so that it takes little from the daemon.

use std::{
    cell::{Cell, RefCell},
    io,
    path::Path,
    rc::Rc,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    sync::Barrier,
    task::LocalSet,
};

use crate::{
    message::Message,
    milter::{Frame, Offer, encode},
    organisations::{self, Choice, PLACEHOLDER},
    script::{ABORT, BUFFER, Script, Step},
};

/// Nobody needs that long to sign a message.
const PATIENCE: Duration = Duration::from_mins(1);

/// What some of the connections send.
pub(crate) struct Group<'a> {
    /// The message.
    pub(crate) message: &'a Message,
    /// Whose it is.
    pub(crate) choice: Choice,
    /// How many connections send it.
    pub(crate) connections: usize,
    /// The signatures that each message must get.
    pub(crate) signatures: usize,
    /// Each connection begins a message that often; without, as soon as the one before is done.
    pub(crate) pace: Option<Duration>,
}

/// What came of a group.
#[derive(Default)]
pub(crate) struct Sent {
    /// From the first byte of MAIL to the reply at the end, ascending; with a pace, from when
    /// it was due, so that a message that waits for another counts its wait.
    pub(crate) latencies: Vec<Duration>,
}

/// How long, and what is looked at before and after.
pub(crate) struct Run<'a> {
    /// Messages of each connection that do not count yet.
    pub(crate) warm_up: u32,
    /// For how long new messages are begun.
    pub(crate) time: Duration,
    /// Called when all connections are warm, and when the last reply is there.
    pub(crate) mark: &'a dyn Fn(),
}

/// Sends for a while; gives what came of each group, and how long it took.
///
/// # Errors
/// When a connection fails or any message is not signed as it must be.
pub(crate) fn send(
    socket: &Path,
    groups: Vec<Group<'_>>,
    run: &Run<'_>,
) -> Result<(Vec<Sent>, Duration), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    LocalSet::new().block_on(&runtime, send_all(socket, groups, run))
}

/// One message on a connection of its own.
///
/// # Errors
/// As [`send`].
pub(crate) fn send_one(
    socket: &Path,
    (message, number): (&Message, u32),
    signatures: usize,
) -> Result<(), String> {
    let group = Group {
        pace: None,
        message,
        choice: Choice::Only(number),
        connections: 1,
        signatures,
    };
    let run = Run {
        warm_up: 1,
        time: Duration::ZERO,
        mark: &|| {},
    };
    send(socket, vec![group], &run).map(|_| ())
}

/// What the connections of a group share.
struct Shared {
    script: Script,
    agreed: Agreed,
    choice: Choice,
    signatures: usize,
    pace: Option<Duration>,
    sent: RefCell<Sent>,
}

/// What all connections share.
struct Course {
    warm_up: u32,
    begin: Barrier,
    end: Barrier,
    /// Nothing until all are warm.
    deadline: Cell<Option<Instant>>,
}

async fn send_all(
    socket: &Path,
    groups: Vec<Group<'_>>,
    run: &Run<'_>,
) -> Result<(Vec<Sent>, Duration), String> {
    let connections: usize = groups.iter().map(|group| group.connections).sum();
    let course = Rc::new(Course {
        warm_up: run.warm_up,
        begin: Barrier::new(connections + 1),
        end: Barrier::new(connections + 1),
        deadline: Cell::new(None),
    });
    let mut all_shared = Vec::new();
    let mut tasks = tokio::task::JoinSet::new();
    for group in groups {
        let mut probe = Connection::open(socket).await?;
        let agreed = probe.negotiate().await?;
        probe.quit().await?;
        let shared = Rc::new(Shared {
            script: Script::new(group.message, agreed.0, &agreed.1),
            agreed,
            choice: group.choice,
            signatures: group.signatures,
            pace: group.pace,
            sent: RefCell::default(),
        });
        for index in 0..group.connections {
            let connection = Connection::open(socket).await?;
            // Connections with a pace take turns.
            let number = |count| u32::try_from(count).unwrap_or(u32::MAX);
            let delay = group.pace.unwrap_or_default() * number(index) / number(group.connections);
            tasks.spawn_local(converse(
                connection,
                Rc::clone(&shared),
                Rc::clone(&course),
                delay,
            ));
        }
        all_shared.push(shared);
    }
    let coordinate = async {
        course.begin.wait().await;
        (run.mark)();
        let begun = Instant::now();
        course.deadline.set(Some(begun + run.time));
        course.begin.wait().await;
        course.end.wait().await;
        let elapsed = begun.elapsed();
        (run.mark)();
        course.end.wait().await;
        elapsed
    };
    let failure = async {
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap_or_else(|panic| Err(panic.to_string()))?;
        }
        Ok::<(), String>(())
    };
    tokio::pin!(coordinate);
    tokio::pin!(failure);
    let elapsed = tokio::select! {
        biased;
        elapsed = &mut coordinate => {
            failure.await?;
            elapsed
        }
        failed = &mut failure => {
            failed?;
            coordinate.await
        }
    };
    let sent = all_shared.iter().map(|shared| {
        let mut sent = shared.sent.take();
        sent.latencies.sort_unstable();
        sent
    });
    Ok((sent.collect(), elapsed))
}

async fn converse(
    mut connection: Connection,
    shared: Rc<Shared>,
    course: Rc<Course>,
    delay: Duration,
) -> Result<(), String> {
    let agreed = connection.negotiate().await?;
    if agreed != shared.agreed {
        return Err("it does not agree to the same on every connection".to_owned());
    }
    let mut first = true;
    for step in &shared.script.greeting {
        connection.write_step(step, 0, "").await?;
        if step.reply {
            connection.expect_continue().await?;
        }
    }
    for _ in 0..course.warm_up {
        message(&mut connection, &shared, std::mem::take(&mut first)).await?;
    }
    course.begin.wait().await;
    course.begin.wait().await;
    let deadline = course.deadline.get().expect("the coordinator set it");
    let mut latencies = Vec::with_capacity(10_000);
    let mut due = Instant::now() + delay;
    loop {
        if shared.pace.is_some() {
            tokio::time::sleep_until(due.into()).await;
        }
        let now = Instant::now();
        if now >= deadline {
            break;
        }
        let begun = shared.pace.map_or(now, |_| due);
        due += shared.pace.unwrap_or_default();
        message(&mut connection, &shared, std::mem::take(&mut first)).await?;
        latencies.push(begun.elapsed());
    }
    course.end.wait().await;
    course.end.wait().await;
    shared.sent.borrow_mut().latencies.append(&mut latencies);
    connection.quit().await
}

/// Shows a message and looks at what comes back.
async fn message(connection: &mut Connection, shared: &Shared, first: bool) -> Result<(), String> {
    let id = organisations::id(shared.choice.next());
    let mut signatures = 0;
    let mut skip = false;
    let steps = &shared.script.message;
    for (index, step) in steps.iter().enumerate() {
        if skip && step.body {
            continue;
        }
        let begin = if first && index == 0 { ABORT } else { 0 };
        connection.write_step(step, begin, &id).await?;
        if !step.reply {
            continue;
        }
        if index + 1 < steps.len() {
            skip = connection.expect_continue().await?;
            continue;
        }
        loop {
            let frame = connection.read_frame().await?;
            match frame.code {
                b'p' => {}
                b'h' | b'i' if is_signature_of(&frame, &id) => signatures += 1,
                // rspamd adds fields of its own.
                b'h' | b'i' if !contains(&frame.data, b"DKIM-Signature\0") => {}
                b'a' | b'c' => break,
                _ => return Err(format!("for {id} it answers {}", text(&frame))),
            }
        }
    }
    if signatures == shared.signatures {
        Ok(())
    } else {
        Err(format!(
            "a message of {id} came back with {signatures} signatures, not {}",
            shared.signatures
        ))
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(bytes, part).is_some()
}

fn text(frame: &Frame) -> String {
    let code = char::from(frame.code);
    format!("{code:?} {}", frame.data.escape_ascii())
}

/// Whether it is a signature with exactly the domain of the organisation in `d=`.
fn is_signature_of(frame: &Frame, id: &str) -> bool {
    let data = match frame.code {
        b'i' => frame.data.get(4..).unwrap_or_default(),
        _ => &frame.data,
    };
    let Some(value) = data.strip_prefix(b"DKIM-Signature\0") else {
        return false;
    };
    let value = String::from_utf8_lossy(value);
    let mut domains = value.trim_end_matches('\0').split(';').filter_map(|tag| {
        let (name, value) = tag.split_once('=')?;
        (name.trim() == "d").then(|| value.trim().to_owned())
    });
    let found = domains.next();
    found.is_some_and(|found| found.strip_suffix(".example") == Some(id))
        && value.contains("b=")
        && domains.next().is_none()
}

/// An offer that the milter made, and the macros that it asked for.
type Agreed = (Offer, Vec<(u32, String)>);

/// A connection to a milter.
struct Connection {
    stream: UnixStream,
    patched: Vec<u8>,
    input: Vec<u8>,
    /// How much of `input` was taken.
    taken: usize,
}

impl Connection {
    async fn open(socket: &Path) -> Result<Self, String> {
        let stream = UnixStream::connect(socket).await;
        let stream =
            stream.map_err(|error| format!("no connection to {}: {error}", socket.display()))?;
        Ok(Self {
            stream,
            patched: Vec::with_capacity(2 * BUFFER),
            input: Vec::with_capacity(BUFFER),
            taken: 0,
        })
    }

    async fn negotiate(&mut self) -> Result<Agreed, String> {
        let offer = Offer::POSTFIX;
        let data = [offer.version, offer.actions, offer.protocol].map(u32::to_be_bytes);
        self.write(&encode(b'O', &data.concat())).await?;
        let frame = self.read_frame().await?;
        if frame.code != b'O' || frame.data.len() < 12 {
            return Err(format!("it does not negotiate: {}", text(&frame)));
        }
        let (numbers, macros) = frame.data.split_at(12);
        let number = |index: usize| {
            let bytes = numbers[4 * index..4 * index + 4].try_into();
            u32::from_be_bytes(bytes.expect("four bytes"))
        };
        let agreed = Offer {
            version: number(0),
            actions: number(1),
            protocol: number(2),
        };
        Ok((agreed, crate::milter::macro_requests(macros)))
    }

    async fn quit(mut self) -> Result<(), String> {
        self.write(&encode(b'Q', b"")).await
    }

    /// Puts the id where it belongs and writes everything, as from a buffer of [`BUFFER`] bytes.
    async fn write_step(&mut self, step: &Step, begin: usize, id: &str) -> Result<(), String> {
        if step.places.is_empty() {
            self.write(&step.head[begin..]).await?;
        } else {
            let mut patched = std::mem::take(&mut self.patched);
            patched.clear();
            patched.extend_from_slice(&step.head);
            for &place in &step.places {
                patched[place..place + PLACEHOLDER.len()].copy_from_slice(id.as_bytes());
            }
            let written = self.write(&patched[begin..]).await;
            self.patched = patched;
            written?;
        }
        self.write(&step.tail).await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        for piece in bytes.chunks(BUFFER) {
            let written = self.stream.write_all(piece).await;
            written.map_err(|error| format!("it does not read: {error}"))?;
        }
        Ok(())
    }

    /// Whether it wants no more of the body.
    async fn expect_continue(&mut self) -> Result<bool, String> {
        let frame = self.read_frame().await?;
        match frame.code {
            b'c' => Ok(false),
            b's' => Ok(true),
            _ => Err(format!("it does not go on: {}", text(&frame))),
        }
    }

    async fn read_frame(&mut self) -> Result<Frame, String> {
        loop {
            let input = &self.input[self.taken..];
            if let Some((length, rest)) = input.split_first_chunk::<4>() {
                let length = u32::from_be_bytes(*length) as usize;
                if let Some((&code, data)) = rest.get(..length).and_then(<[u8]>::split_first) {
                    let data = data.to_vec();
                    self.taken += 4 + length;
                    if self.taken == self.input.len() {
                        self.input.clear();
                        self.taken = 0;
                    }
                    return Ok(Frame { code, data });
                }
            }
            let read = tokio::time::timeout(PATIENCE, self.stream.read_buf(&mut self.input)).await;
            match read {
                Ok(Ok(0)) => return Err("it closed the connection".to_owned()),
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(failed(&error)),
                Err(_) => return Err(format!("no reply within {PATIENCE:?}")),
            }
        }
    }
}

fn failed(error: &io::Error) -> String {
    format!("the connection failed: {error}")
}
