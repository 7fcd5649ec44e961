use std::{
    io::Write,
    sync::{Arc, Mutex},
};

use tracing::{debug, error, info, trace, warn};

use super::*;

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Write for Memory {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(text)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn log(style: Style, filter: &str, events: impl FnOnce()) -> String {
    let memory = Memory::default();
    let writer = memory.clone();
    let filter = LogFilter::new(filter).unwrap();
    let subscriber = subscriber(style, &filter, move || writer.clone()).unwrap();
    tracing::subscriber::with_default(subscriber, events);
    String::from_utf8(memory.0.lock().unwrap().clone()).unwrap()
}

#[test]
fn text_has_no_colours_and_the_journal_no_time() {
    let event = || info!(target: "zegel", queue_id = "4F1", outcome = "signed", "message");
    let plain = log(Style::Plain, "info", event);
    assert!(!plain.contains('\u{1b}'), "{plain}");
    assert!(plain.starts_with("20"), "{plain}");
    let journal = log(Style::Journal, "info", event);
    assert_eq!(
        journal,
        "<6> INFO zegel: message queue_id=\"4F1\" outcome=\"signed\"\n"
    );
    assert!(log(Style::Coloured, "info", event).contains('\u{1b}'));
}

#[test]
fn the_journal_gets_priorities() {
    let log = log(Style::Journal, "trace", || {
        error!("a");
        warn!("b");
        info!("c");
        debug!("d");
        trace!("e");
    });
    let priorities: Vec<&str> = log.lines().map(|line| &line[..3]).collect();
    assert_eq!(priorities, ["<3>", "<4>", "<6>", "<7>", "<7>"]);
}

#[test]
fn json_is_one_object_a_line() {
    let log = log(Style::Json, "info", || {
        info!(queue_id = "4F1", milliseconds = 3, "first\nof two");
        warn!("second");
    });
    let lines: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["level"], "INFO");
    assert_eq!(lines[0]["message"], "first\nof two");
    assert_eq!(lines[0]["queue_id"], "4F1");
    assert_eq!(lines[0]["milliseconds"], 3);
    assert!(lines[0]["timestamp"].is_string());
    assert_eq!(lines[1]["level"], "WARN");
}

#[test]
fn an_event_stays_on_one_line() {
    let forged = "x\r\n2026-01-01 INFO zegel: all is well";
    let log = log(
        Style::Plain,
        "info",
        || info!(login = %forged, "message {forged}"),
    );
    assert_eq!(log.lines().count(), 1, "{log}");
    assert!(log.contains(r"x\r\n2026"), "{log}");
    assert!(log.ends_with("well\n"), "{log}");
}

#[test]
fn libraries_are_quiet_until_asked() {
    let event = || debug!(target: "hickory_resolver::lookup", "noise");
    assert_eq!(log(Style::Plain, "trace", event), "");
    assert_ne!(log(Style::Plain, "info,hickory_resolver=debug", event), "");
    let event = || warn!(target: "mail_auth", "heard");
    assert_ne!(log(Style::Plain, "info", event), "");
}

#[test]
fn the_filter_chooses() {
    let events = || {
        debug!(target: "zegel::milter", "fine");
        info!(target: "zegel::http", "coarse");
    };
    let log = |filter| log(Style::Plain, filter, events).lines().count();
    assert_eq!(log("info"), 1);
    assert_eq!(log("debug"), 2);
    assert_eq!(log("warn, zegel::milter=debug"), 1);
    assert_eq!(log("info,"), 1);
    assert_eq!(log("off"), 0);
}

/// What [`LogFilter`] leaves to the log itself.
#[test]
fn wrong_filters_name_the_setting() {
    let filter = LogFilter::new("zegel[a{b=c}=info]x").unwrap();
    let error = match subscriber(Style::Plain, &filter, io::sink) {
        Ok(_) => panic!("{filter} was accepted"),
        Err(error) => error.to_string(),
    };
    assert!(
        error.starts_with("log.filter = \"zegel[a{b=c}=info]x\": "),
        "{error}"
    );
}
