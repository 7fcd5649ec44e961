//! `zegel top`: who sends now, over and over.

use std::time::{Duration, Instant};

use clap::{Args, ValueEnum, builder::PossibleValue};
use tokio::{signal::ctrl_c, time::sleep};

use super::{
    LookError, Source, SourceArguments, duration, on_runtime, screen::Screen, status::name_of,
};
use crate::{
    cli::{
        context::{Context, now},
        failure::Failure,
        output::{Table, printable},
        status::Status,
    },
    judgement::SignerReport,
    observe::status::{Ask, Order, OrganisationFigures, Role, SignerFigures},
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

impl ValueEnum for Order {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let help = match self {
            Self::Rate => "Messages a second",
            Self::Signed => "Messages that were signed, since the start",
            Self::Unsigned => "Messages that were not signed, since the start",
            Self::Failures => "Messages that could not be signed, since the start",
            Self::Hazards => "Hazards, since the start",
            Self::Name => "By the id",
        };
        Some(PossibleValue::new(self.as_str()).help(help))
    }
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
    let signer = source.signer.to_string();
    let failure = |error: &LookError| Failure::Other(error.of(Role::Signer, &signer));
    let mut ask = Ask {
        by: arguments.by,
        ..Ask::default()
    };
    // There is nothing to show without a first one.
    ask.top = Some(0);
    let mut before = (
        Instant::now(),
        source.look(&ask).await.map_err(|error| failure(&error))?,
    );
    loop {
        sleep(arguments.interval).await;
        let screen = Screen::of_output();
        let room = screen
            .rows()
            .map_or(ORGANISATIONS, |rows| rows.saturating_sub(OTHER_LINES));
        ask.top = Some(arguments.count.unwrap_or(room));
        ask.since = before.1.status.top.as_ref().map(|top| top.sample);
        let look = source.look(&ask).await;
        let taken = Instant::now();
        let lines = match &look {
            Ok(look) => {
                let seconds = (taken - before.0).as_secs_f64();
                frame(&signer, look, &before.1.status.figures, seconds, screen)
            }
            Err(error) if arguments.once => return Err(failure(error)),
            Err(error) => vec![screen.red(&printable(&failure(error).to_string()))],
        };
        show(&lines, screen, arguments.once, context);
        if !context.output.flush() || arguments.once {
            return Ok(Status::Good);
        }
        if let Ok(look) = look {
            before = (taken, look);
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

fn frame(
    signer: &str,
    report: &SignerReport,
    before: &SignerFigures,
    seconds: f64,
    screen: Screen,
) -> Vec<String> {
    let look = &report.status;
    let figures = &look.figures;
    let rate = |result: &str| {
        let rate = rate(before.messages(result), figures.messages(result), seconds);
        format!("{rate:.1} {result}")
    };
    let results = ["signed", "unsigned", "tempfailed", "rejected", "observed"].map(rate);
    let state = match &look.not_ready {
        Some(missing) => format!("not ready: {missing}"),
        None => "ready".to_owned(),
    };
    let listeners = figures.listeners.values();
    let in_progress: u64 = listeners.map(|one| one.messages_in_progress).sum();
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
    let table = table(report);
    let mut table = table.lines();
    lines.extend(table.next().map(|headings| screen.bold(headings)));
    lines.extend(table.map(|line| screen.fit(line)));
    lines
}

/// A counter that is less than before began anew: the signer was started again.
#[expect(clippy::cast_precision_loss, reason = "it is for the eye")]
fn rate(before: u64, after: u64, seconds: f64) -> f64 {
    let more = after.checked_sub(before).unwrap_or(after);
    more as f64 / seconds.max(f64::MIN_POSITIVE)
}

/// The organisations as the signer has put them in order.
fn table(
    SignerReport {
        status: look,
        judgements,
    }: &SignerReport,
) -> String {
    let mut table = Table::new([
        "ORGANISATION",
        "LEVEL",
        "SIGNED/s",
        "UNSIGNED/s",
        "SIGNED",
        "UNSIGNED",
        "HAZARDS",
        "WHY UNSIGNED",
    ]);
    let nothing = OrganisationFigures::default();
    for rates in look.top.iter().flat_map(|top| &top.organisations) {
        let organisations = &look.figures.organisations;
        let organisation = organisations.get(&rates.id).unwrap_or(&nothing);
        let level = judgements.as_ref().map_or("-", |all| {
            let told = all.get(&rates.id);
            told.map(|told| told.level).unwrap_or_default().as_str()
        });
        table.row([
            name_of(&rates.id),
            level.to_owned(),
            format!("{:.1}", rates.signed_per_second),
            format!("{:.1}", rates.unsigned_per_second),
            organisation.signed.to_string(),
            organisation.all_unsigned().to_string(),
            organisation.all_hazards().to_string(),
            organisation.reasons(),
        ]);
    }
    table.to_string()
}

/// The rows that are shown of this.
#[cfg(test)]
pub(in crate::cli) fn printed(report: &SignerReport) -> String {
    table(report)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::status::{Rates, SignerStatus, Top, VERSION};

    #[test]
    fn a_counter_that_is_less_than_before_began_anew() {
        for (before, after, expected) in [(10, 14, 2.0), (100, 2, 1.0), (7, 7, 0.0)] {
            assert!((rate(before, after, 2.0) - expected).abs() < 1e-9);
        }
    }

    #[test]
    fn rows_are_as_the_signer_gives_them_and_no_text_is_too_odd() {
        let rates = |id: &str, signed_per_second| Rates {
            id: id.to_owned(),
            signed_per_second,
            unsigned_per_second: 1.25,
        };
        let odd = "c\u{1b}[2J";
        let organisation = OrganisationFigures {
            signed: 7,
            ..OrganisationFigures::default()
        };
        let status = SignerStatus {
            version: VERSION,
            role: Role::Signer,
            not_ready: None,
            top: Some(Top {
                organisations: vec![rates(odd, 0.5), rates("a", 2.0), rates("", 0.0)],
                ..Top::default()
            }),
            figures: SignerFigures {
                organisations: [("a".to_owned(), organisation)].into(),
                ..SignerFigures::default()
            },
        };
        let table = table(&SignerReport {
            status,
            judgements: None,
        });
        assert!(!table.contains('\u{1b}'), "{table}");
        let rows: Vec<Vec<&str>> = table
            .lines()
            .skip(1)
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(rows[0][1..], ["-", "0.5", "1.2", "0", "0", "0"]);
        assert_eq!(rows[1], ["a", "-", "2.0", "1.2", "7", "0", "0"]);
        assert_eq!(rows[2], ["(none)", "-", "0.0", "1.2", "0", "0", "0"]);
    }

    #[test]
    fn intervals_have_bounds() {
        assert_eq!(interval("500ms"), Ok(Duration::from_millis(500)));
        for wrong in ["2", "50ms", "2h", "-1s", ""] {
            assert!(interval(wrong).is_err(), "{wrong}");
        }
    }
}
