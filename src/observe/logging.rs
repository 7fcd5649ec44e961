//! The log: lines on stderr, for journald or as JSON.
//!
//! SECURITY: nothing of a message but its queue id, its From domain and the outcome goes
//! into the log: no local part, no login, no subject, no body, no recipients, no frame, and
//! never key material (`tests/logs.rs`). That is the duty of whoever logs; foreign text goes
//! into a field, never into the message of an event. What this module holds to is that one
//! event is one line.
//!
//! `docs/logging.md` is the reference of the lines that others may rely on.

mod format;
mod gathering;

use std::{
    fmt,
    io::{self, IsTerminal, Write},
    os::unix::fs::MetadataExt,
};

use tracing::Subscriber;
use tracing_subscriber::{
    EnvFilter, Layer, Registry, filter,
    fmt::{self as lines, MakeWriter},
    layer::SubscriberExt,
    registry::LookupSpan,
};

use self::format::{JournalPriority, OneLine};
pub use self::gathering::LogGuard;
use super::metrics::LostLines;
use crate::config::{LogFilter, LogFormat};

/// The target of the one line that each message has.
pub const MESSAGES: &str = "zegel::message";

/// The target of what happens to keys, and of what is found of them.
pub const KEYS: &str = "zegel::key";

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The filter cannot be understood.
    #[error(
        "log.filter = {filter:?}: {source}; write levels (error, warn, info, debug, trace, \
         off) or TARGET=LEVEL, with commas between"
    )]
    Filter {
        /// As configured.
        filter: String,
        /// What is wrong with it.
        source: filter::ParseError,
    },
    /// There is a log in this process already.
    #[error("the log was started twice")]
    Started,
    /// There can be no thread that writes it.
    #[error("the log can't be written: {0}")]
    Thread(#[from] io::Error),
}

/// Starts the log of the process on stderr. The last lines are written when the guard is
/// dropped.
///
/// # Errors
///
/// The filter is wrong, or there is a log already.
pub fn init(format: LogFormat, filter: &LogFilter) -> Result<LogGuard, LoggingError> {
    let (gathering, guard) = gathering::start(io::stderr(), format, LostLines::of_process())?;
    let subscriber = subscriber(Style::for_stderr(format), filter, gathering)?;
    tracing::subscriber::set_global_default(subscriber).map_err(|_| LoggingError::Started)?;
    Ok(guard)
}

/// Says on stderr why the process ends, though there may be no log: not yet, not any more, or
/// not for this level. `format` is that of the log, as far as it is known.
pub fn last_words(format: LogFormat, reason: &impl fmt::Display) {
    let mut stream = io::stderr().lock();
    for line in reason.to_string().lines() {
        // Nobody is left to hear of an error here.
        let _ = match format {
            LogFormat::Text => writeln!(stream, "zegel: {line}"),
            LogFormat::Json => writeln!(stream, "{}", json_line("ERROR", line)),
        };
    }
}

/// A line as tracing-subscriber writes it.
fn json_line(level: &str, message: &str) -> serde_json::Value {
    let timestamp = jiff::Timestamp::now().to_string();
    serde_json::json!({
        "timestamp": timestamp, "level": level, "message": message, "target": "zegel",
    })
}

/// How a line looks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Style {
    Json,
    /// With colours and the time.
    Coloured,
    /// With the priority in front, and without the time: the journal has its own.
    Journal,
    /// With the time.
    Plain,
}

impl Style {
    /// That which suits whatever reads stderr.
    fn for_stderr(format: LogFormat) -> Self {
        if format == LogFormat::Json {
            return Self::Json;
        }
        if io::stderr().is_terminal() {
            return Self::Coloured;
        }
        // Device and inode of the stream; the variable is inherited by children whose
        // stderr goes elsewhere (systemd.exec(5), $JOURNAL_STREAM).
        let named = std::env::var("JOURNAL_STREAM").ok();
        let actual = std::fs::metadata("/proc/self/fd/2");
        match (named, actual) {
            (Some(named), Ok(actual)) if named == format!("{}:{}", actual.dev(), actual.ino()) => {
                Self::Journal
            }
            _ => Self::Plain,
        }
    }
}

/// Libraries that say more than an operator wants to read.
const QUIET: &str = "h2=warn,hickory_net=warn,hickory_proto=warn,hickory_resolver=warn,\
                     hyper=warn,hyper_util=warn,mail_auth=warn";

fn subscriber<W>(
    style: Style,
    filter: &LogFilter,
    writer: W,
) -> Result<impl Subscriber, LoggingError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    // What comes later wins, so the setting can ask for any of the quiet ones.
    let words: Vec<&str> = std::iter::once(QUIET).chain(filter.words()).collect();
    let parsed = EnvFilter::builder().parse(words.join(","));
    let filter = parsed.map_err(|source| LoggingError::Filter {
        filter: filter.to_string(),
        source,
    })?;
    let layer = layer(style, writer).with_filter(filter);
    Ok(Registry::default().with(layer))
}

fn layer<S, W>(style: Style, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let layer = lines::layer()
        .with_writer(OneLine(writer))
        .with_ansi(style == Style::Coloured)
        // Otherwise a full disk behind stderr is reported on stderr, with a panic.
        .log_internal_errors(false);
    match style {
        Style::Json => layer
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .boxed(),
        Style::Coloured | Style::Plain => layer.boxed(),
        Style::Journal => {
            let text = lines::format().without_time().with_ansi(false);
            layer.event_format(JournalPriority(text)).boxed()
        }
    }
}

#[cfg(test)]
mod tests;
