//! `zegel top`: who sends now, over and over.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    time::{Duration, Instant},
};

use clap::{Args, ValueEnum};
use tokio::{signal::ctrl_c, time::sleep};

use super::{
    Look, Source, SourceArguments,
    figures::{Figures, Organisation},
    on_runtime,
    screen::Screen,
    standing::duration,
    status::name_of,
};
use crate::cli::{
    context::{Context, now},
    failure::Failure,
    output::{Table, printable},
    status::Status,
};

/// Without a terminal that says how many there is room for.
const ORGANISATIONS: usize = 20;
/// Lines of a frame that are not about one organisation, and one for the cursor.
const OTHER_LINES: usize = 6;

#[derive(Args, Debug)]
pub(in crate::cli) struct TopArguments {
    #[command(flatten)]
    source: SourceArguments,

    /// From one look to the next, such as 2s or 500ms
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = interval)]
    interval: Duration,

    /// Which organisations come first
    #[arg(long, value_enum, default_value_t = Order::Rate)]
    by: Order,

    /// So many organisations [default: as many as there is room for]
    #[arg(long, value_name = "N")]
    count: Option<usize>,

    /// Two looks, one answer
    #[arg(long)]
    once: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Order {
    /// Messages a second
    Rate,
    /// Messages that were signed, since the start
    Signed,
    /// Messages that were not signed, since the start
    Unsigned,
    /// Messages that could not be signed, since the start
    Failures,
    /// Hazards, since the start
    Hazards,
    /// By the id
    Name,
}

fn interval(text: &str) -> Result<Duration, String> {
    let interval = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    let bounds = Duration::from_millis(100)..=Duration::from_hours(1);
    let is_good = bounds.contains(&interval);
    is_good
        .then_some(interval)
        .ok_or_else(|| "write a time from 100ms to 1h".to_owned())
}

/// Ends by SIGINT, or when nobody reads any more.
pub(in crate::cli) fn run(
    arguments: &TopArguments,
    context: &mut Context,
) -> Result<Status, Failure> {
    let source = Source::new(&arguments.source, None, context)?;
    on_runtime(async {
        tokio::select! {
            result = watch(arguments, &source, context) => result,
            _ = ctrl_c() => Ok(Status::Good),
        }
    })?
}

async fn watch(
    arguments: &TopArguments,
    source: &Source,
    context: &mut Context,
) -> Result<Status, Failure> {
    let failure =
        |error| Failure::Other(format!("no signer answers at {}: {error}", source.signer));
    // There is nothing to show without a first one.
    let first = source.look().await.map_err(failure)?;
    let mut before = (Instant::now(), first.figures);
    loop {
        sleep(arguments.interval).await;
        let look = source.look().await;
        let taken = Instant::now();
        let screen = Screen::of_output();
        let lines = match &look {
            Ok(look) => {
                let seconds = (taken - before.0).as_secs_f64();
                frame(
                    &source.signer.to_string(),
                    (look, &before.1, seconds),
                    arguments,
                    screen,
                )
            }
            Err(error) if arguments.once => return Err(failure(error.clone())),
            Err(error) => vec![screen.red(&printable(&failure(error.clone()).to_string()))],
        };
        show(&lines, screen, arguments.once, context);
        if !context.output.flush() || arguments.once {
            return Ok(Status::Good);
        }
        if let Ok(look) = look {
            before = (taken, look.figures);
        }
    }
}

/// Over the frame before, where that can be done.
fn show(lines: &[String], screen: Screen, once: bool, context: &mut Context) {
    let over = screen.is_terminal() && !once;
    if over {
        context.output.octets(b"\x1b[H");
    }
    for line in lines {
        // What the frame before had behind the line is wiped.
        context
            .output
            .line(format_args!("{line}{}", if over { "\x1b[K" } else { "" }));
    }
    if over {
        context.output.octets(b"\x1b[J");
    } else if !once {
        context.output.line("");
    }
}

/// An organisation between two looks.
struct Row<'a> {
    id: &'a str,
    organisation: &'a Organisation,
    /// Messages a second.
    signed: f64,
    unsigned: f64,
}

fn frame(
    signer: &str,
    (look, before, seconds): (&Look, &Figures, f64),
    arguments: &TopArguments,
    screen: Screen,
) -> Vec<String> {
    let figures = &look.figures;
    let rate = |result: &str| {
        let rate = rate(before.messages(result), figures.messages(result), seconds);
        format!("{rate:.1} {result}")
    };
    let results = ["signed", "unsigned", "tempfailed", "rejected", "observed"].map(rate);
    let state = look.not_ready.as_deref().unwrap_or("ready");
    let in_progress: u64 = figures
        .listeners
        .values()
        .map(|one| one.messages_in_progress)
        .sum();
    let up = duration(now().saturating_sub(figures.started));
    let mut lines = vec![
        screen.bold(&printable(&format!("zegel at {signer}: {state}, up {up}"))),
        screen.fit(&format!("messages a second: {}", results.join(", "))),
        screen.fit(&format!(
            "{} connections, {in_progress} messages in progress",
            figures.connections()
        )),
        String::new(),
    ];
    let room = screen
        .rows()
        .map_or(ORGANISATIONS, |rows| rows.saturating_sub(OTHER_LINES));
    let count = arguments.count.unwrap_or(room);
    let table = table(
        &rows(&before.organisations, &figures.organisations, seconds),
        arguments.by,
        count,
    );
    let mut table = table.lines();
    lines.extend(table.next().map(|headings| screen.bold(headings)));
    lines.extend(table.map(|line| screen.fit(line)));
    lines
}

fn rows<'a>(
    before: &BTreeMap<String, Organisation>,
    after: &'a BTreeMap<String, Organisation>,
    seconds: f64,
) -> Vec<Row<'a>> {
    let nothing = Organisation::default();
    let row = |(id, organisation): (&'a String, &'a Organisation)| {
        let before = before.get(id).unwrap_or(&nothing);
        Row {
            id,
            organisation,
            signed: rate(before.signed, organisation.signed, seconds),
            unsigned: rate(before.all_unsigned(), organisation.all_unsigned(), seconds),
        }
    };
    after.iter().map(row).collect()
}

/// A counter that is less than before began anew: the signer was started again.
#[expect(clippy::cast_precision_loss, reason = "it is for the eye")]
fn rate(before: u64, after: u64, seconds: f64) -> f64 {
    let more = after.checked_sub(before).unwrap_or(after);
    more as f64 / seconds.max(f64::MIN_POSITIVE)
}

fn table(rows: &[Row<'_>], order: Order, count: usize) -> String {
    let mut rows: Vec<&Row<'_>> = rows.iter().collect();
    // They are in the order of their ids, which decides among equals.
    match order {
        Order::Rate => rows.sort_by(|left, right| {
            let sum = |row: &Row<'_>| row.signed + row.unsigned;
            sum(right).total_cmp(&sum(left))
        }),
        Order::Signed => rows.sort_by_key(|row| Reverse(row.organisation.signed)),
        Order::Unsigned => rows.sort_by_key(|row| Reverse(row.organisation.all_unsigned())),
        Order::Failures => rows.sort_by_key(|row| Reverse(row.organisation.failures())),
        Order::Hazards => rows.sort_by_key(|row| Reverse(row.organisation.all_hazards())),
        Order::Name => {}
    }
    let mut table = Table::new([
        "ORGANISATION",
        "SIGNED/s",
        "UNSIGNED/s",
        "SIGNED",
        "UNSIGNED",
        "HAZARDS",
        "WHY UNSIGNED",
    ]);
    for row in rows.into_iter().take(count) {
        table.row([
            name_of(row.id),
            format!("{:.1}", row.signed),
            format!("{:.1}", row.unsigned),
            row.organisation.signed.to_string(),
            row.organisation.all_unsigned().to_string(),
            row.organisation.all_hazards().to_string(),
            row.organisation.reasons(),
        ]);
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn organisation(signed: u64, unsigned: u64) -> Organisation {
        Organisation {
            signed,
            unsigned: [("awaiting_key".to_owned(), unsigned)].into(),
            hazards: BTreeMap::new(),
        }
    }

    #[test]
    fn rates_are_differences_and_a_restart_begins_anew() {
        let before = [
            ("a".to_owned(), organisation(10, 0)),
            ("b".to_owned(), organisation(100, 7)),
        ];
        let after = [
            ("a".to_owned(), organisation(14, 3)),
            ("b".to_owned(), organisation(2, 7)),
            ("c\u{1b}[2J".to_owned(), organisation(1, 0)),
        ];
        let (before, after) = (BTreeMap::from(before), BTreeMap::from(after));
        let rows = rows(&before, &after, 2.0);
        let rates: Vec<_> = rows.iter().map(|row| (row.signed, row.unsigned)).collect();
        assert_eq!(rates, [(2.0, 1.5), (1.0, 0.0), (0.5, 0.0)]);
        let first = |order, count| {
            let table = table(&rows, order, count);
            assert!(!table.contains('\u{1b}'), "{table}");
            let names = table.lines().skip(1).map(|line| line[..1].to_owned());
            names.collect::<String>()
        };
        assert_eq!(first(Order::Rate, 9), "abc");
        assert_eq!(first(Order::Unsigned, 9), "bac");
        assert_eq!(first(Order::Signed, 2), "ab");
        assert_eq!(first(Order::Name, 1), "a");
    }

    #[test]
    fn intervals_have_bounds() {
        assert_eq!(interval("500ms"), Ok(Duration::from_millis(500)));
        for wrong in ["2", "50ms", "2h", "-1s", ""] {
            assert!(interval(wrong).is_err(), "{wrong}");
        }
    }
}
