//! How an event becomes a line.

use std::{
    fmt,
    io::{self, Write},
};

use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter, format::Writer},
    registry::LookupSpan,
};

/// Puts the priority of syslog in front of a line, as journald reads it
/// (sd-daemon(3), SD_ERR and the others).
pub(super) struct JournalPriority<F>(pub(super) F);

impl<S, N, F> FormatEvent<S, N> for JournalPriority<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let priority = match *event.metadata().level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            Level::DEBUG | Level::TRACE => 7,
        };
        write!(writer, "<{priority}>")?;
        self.0.format_event(context, writer, event)
    }
}

/// Keeps an event on one line: a line break within a value would let a sender of mail
/// write lines of his own into the log.
#[derive(Debug)]
pub(super) struct OneLine<W>(pub(super) W);

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for OneLine<W> {
    type Writer = OneLineWriter<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        OneLineWriter(self.0.make_writer())
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Self::Writer {
        OneLineWriter(self.0.make_writer_for(metadata))
    }
}

pub(super) struct OneLineWriter<W>(W);

impl<W: Write> Write for OneLineWriter<W> {
    /// Takes a whole event, which is how tracing-subscriber writes.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let line = event.strip_suffix(b"\n").unwrap_or(event);
        if !line.iter().any(|octet| matches!(octet, b'\n' | b'\r')) {
            return self.0.write_all(event).map(|()| event.len());
        }
        let mut escaped = Vec::with_capacity(event.len() + 16);
        for octet in line {
            match octet {
                b'\n' => escaped.extend(br"\n"),
                b'\r' => escaped.extend(br"\r"),
                other => escaped.push(*other),
            }
        }
        escaped.push(b'\n');
        self.0.write_all(&escaped).map(|()| event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
