//! Lines on their way to stderr, which is a pipe that may be slow or stuck: whoever logs
//! never waits for it.
//!
//! Lines gather in memory, and a thread writes what has gathered: a line of a message costs
//! a copy, not a system call. What says that something is wrong is written at once.

use std::{
    io::{self, Write},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, channel},
    },
    thread,
    time::Duration,
};

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

use super::json_line;
use crate::{config::LogFormat, observe::metrics::LostLines};

/// How long lines gather.
const GATHERING_TIME: Duration = Duration::from_millis(20);
/// How long is waited before a stream that takes nothing just now is tried again.
const PAUSE: Duration = Duration::from_millis(20);
/// How much is kept for a reader that is slow; lines beyond it are lost, and counted.
const LARGEST_BACKLOG: usize = 4 * 1024 * 1024;
/// How long the end of the process waits for the last lines to be written.
const FAREWELL_TIME: Duration = Duration::from_secs(2);

/// Takes lines for a stream that a thread of its own writes to.
#[derive(Clone, Debug)]
pub(super) struct Gathering(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    backlog: Mutex<Backlog>,
    /// There is something to do for the thread.
    wake: Condvar,
    /// All lines that were ever lost.
    lost: LostLines,
}

#[derive(Debug, Default)]
struct Backlog {
    lines: Vec<u8>,
    lost: u64,
    /// Not to wait for more.
    urgent: bool,
    closed: bool,
}

/// Holds the log open; dropping it writes what is left, as far as the stream takes it within
/// two seconds.
#[derive(Debug)]
#[must_use = "without it the last lines are lost"]
pub struct LogGuard {
    shared: Arc<Shared>,
    /// Ends when the thread has.
    written: Receiver<()>,
}

/// Starts a thread that writes to `stream`. Lines that are lost are counted in `lost`, and
/// told in the format of the others.
pub(super) fn start(
    stream: impl Write + Send + 'static,
    format: LogFormat,
    lost: LostLines,
) -> io::Result<(Gathering, LogGuard)> {
    let shared = Arc::new(Shared {
        lost,
        ..Shared::default()
    });
    let (alive, written) = channel();
    let of_thread = Arc::clone(&shared);
    thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || {
            of_thread.write_all(stream, format);
            drop(alive);
        })?;
    let gathering = Gathering(Arc::clone(&shared));
    Ok((gathering, LogGuard { shared, written }))
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Backlog> {
        self.backlog.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, line: &[u8], urgent: bool) {
        let mut backlog = self.lock();
        let was_quiet = backlog.lines.is_empty() && backlog.lost == 0;
        if backlog.lines.len() + line.len() > LARGEST_BACKLOG {
            backlog.lost += 1;
        } else {
            backlog.lines.extend_from_slice(line);
        }
        let hurry = urgent && !backlog.urgent;
        backlog.urgent |= urgent;
        drop(backlog);
        if was_quiet || hurry {
            self.wake.notify_one();
        }
    }

    /// Writes until the log is closed and empty.
    fn write_all(&self, mut stream: impl Write, format: LogFormat) {
        let mut lines = Vec::new();
        // Lost, and the log does not say so yet.
        let mut untold = 0;
        loop {
            let mut backlog = self.lock();
            while backlog.lines.is_empty() && backlog.lost == 0 {
                if backlog.closed {
                    return;
                }
                let woken = self.wake.wait(backlog);
                backlog = woken.unwrap_or_else(PoisonError::into_inner);
            }
            if !(backlog.urgent || backlog.closed) {
                let gathered = |backlog: &mut Backlog| !(backlog.urgent || backlog.closed);
                let waited = self
                    .wake
                    .wait_timeout_while(backlog, GATHERING_TIME, gathered);
                backlog = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
            lines.clear();
            std::mem::swap(&mut lines, &mut backlog.lines);
            let lost = std::mem::take(&mut backlog.lost);
            backlog.urgent = false;
            drop(backlog);
            self.lost.add(lost);
            let refused = memchr::memchr_iter(b'\n', put(&mut stream, &lines)).count() as u64;
            self.lost.add(refused);
            untold += lost + refused;
            if untold > 0 {
                let text = format!("{untold} lines are lost: the log did not take them");
                let told = match format {
                    LogFormat::Text => format!("{text}\n"),
                    LogFormat::Json => format!("{}\n", json_line("WARN", &text)),
                };
                if put(&mut stream, told.as_bytes()).is_empty() {
                    untold = 0;
                }
            }
            let _ = stream.flush();
        }
    }
}

/// Writes what can be written, and gives the rest.
fn put<'a>(stream: &mut impl Write, octets: &'a [u8]) -> &'a [u8] {
    let mut rest = octets;
    while !rest.is_empty() {
        match stream.write(rest) {
            Ok(0) => break,
            Ok(written) => rest = &rest[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // A pipe that somebody else made not to wait: this thread may.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(PAUSE),
            Err(_) => break,
        }
    }
    rest
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.wake.notify_one();
        // Nothing is ever sent: the end of the thread is what ends it.
        let _ = self.written.recv_timeout(FAREWELL_TIME);
    }
}

/// Takes one line.
pub(super) struct Line<'a> {
    shared: &'a Shared,
    urgent: bool,
}

impl Write for Line<'_> {
    /// Takes a whole line, which is how tracing-subscriber writes.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.shared.add(line, self.urgent);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Gathering {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line {
            shared: &self.0,
            urgent: false,
        }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Line<'a> {
        Line {
            shared: &self.0,
            urgent: *metadata.level() <= Level::WARN,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::Sender;

    use super::*;

    /// A stream that sends on what it is given, and takes nothing until it may.
    struct Slow {
        may: Receiver<()>,
        sent: Sender<Vec<u8>>,
    }

    impl Write for Slow {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            let _ = self.may.recv();
            let _ = self.sent.send(octets.to_vec());
            Ok(octets.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn nobody_waits_for_a_stuck_stream_and_what_is_lost_is_told() {
        let (go, may) = channel();
        let (sent, received) = channel();
        let lost = LostLines::default();
        let (gathering, guard) = start(Slow { may, sent }, LogFormat::Json, lost).unwrap();
        let line = [[b'x'; 1023].as_slice(), b"\n"].concat();
        gathering.0.add(b"first\n", true);
        // The thread may have taken a backlog with it, and holds it; then there is another.
        for _ in 0..3 * LARGEST_BACKLOG / line.len() {
            gathering.0.add(&line, false);
        }
        drop(go);
        drop(guard);
        let all = received.iter().flatten().collect::<Vec<u8>>();
        let all = String::from_utf8_lossy(&all);
        assert!(all.starts_with("first\n"));
        assert!(all.contains(" lines are lost"), "{} octets", all.len());
        let told = all.lines().find(|line| line.contains(" lines are lost"));
        let told: serde_json::Value = serde_json::from_str(told.unwrap()).unwrap();
        assert_eq!(told["level"], "WARN");
        assert!(all.len() <= 2 * LARGEST_BACKLOG + 1024);
    }

    #[test]
    fn the_end_writes_all() {
        let (go, may) = channel();
        drop(go);
        let (sent, received) = channel();
        let lost = LostLines::default();
        let (gathering, guard) = start(Slow { may, sent }, LogFormat::Text, lost).unwrap();
        for _ in 0..1000 {
            gathering.make_writer().write_all(b"line\n").unwrap();
        }
        drop(guard);
        assert_eq!(received.iter().flatten().count(), 5000);
    }

    /// A pipe that does not wait, then a disk that is full for a while.
    struct Refusing {
        times: usize,
        sent: Sender<Vec<u8>>,
    }

    impl Write for Refusing {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.times += 1;
            match self.times {
                1 => Err(io::ErrorKind::WouldBlock.into()),
                // The second of its lines, and word of that.
                3 | 4 => Err(io::ErrorKind::StorageFull.into()),
                _ => {
                    let some = octets.len().min(4);
                    let _ = self.sent.send(octets[..some].to_vec());
                    Ok(some)
                }
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_a_stream_refuses_are_counted_and_told() {
        let (sent, received) = channel();
        let lost = LostLines::default();
        let stream = Refusing { times: 0, sent };
        let (gathering, guard) = start(stream, LogFormat::Text, lost.clone()).unwrap();
        gathering.0.add(b"one\ntwo\n", true);
        while lost.get() == 0 {
            thread::sleep(Duration::from_millis(1));
        }
        gathering.0.add(b"three\n", true);
        drop(guard);
        let all = received.iter().flatten().collect::<Vec<u8>>();
        let expected = "one\nthree\n1 lines are lost: the log did not take them\n";
        assert_eq!(String::from_utf8_lossy(&all), expected);
        assert_eq!(lost.get(), 1);
    }
}
