//! `zegel status`: one look at the signer, and at the keeper if it shows metrics.

use std::collections::{BTreeMap, HashMap};

use clap::Args;
use jiff::Timestamp;

use super::{
    Source, SourceArguments, duration, on_runtime,
    screen::Screen,
    standing::{KeeperLook, Standing},
};
use crate::{
    cli::{
        context::{Context, now},
        failure::Failure,
        judging::{Judge, is_behind},
        output::{Table, printable},
        status::Status,
    },
    observe::status::{
        Ask, KeeperFigures, KeyFigures, ObservedFigures, OrganisationFigures, ReportFigures, Role,
        SignerFigures,
    },
    words::Level,
};

#[derive(Args, Debug)]
pub(in crate::cli) struct StatusArguments {
    #[command(flatten)]
    source: SourceArguments,

    /// Where the keeper serves its pages [default: keeper.http of the configuration]
    #[arg(long, value_name = "URL")]
    keeper_url: Option<String>,

    /// So many organisations at most, those that stand worst first
    #[arg(long, value_name = "N", default_value_t = 20)]
    count: usize,

    /// Everything, in JSON
    #[arg(long)]
    json: bool,
}

/// Exit status 1 says that something needs attention.
pub(in crate::cli) fn run(
    arguments: &StatusArguments,
    context: &mut Context,
) -> Result<Status, Failure> {
    let source = Source::new(&arguments.source, arguments.keeper_url.as_deref(), context)?;
    let (signer, keeper) = on_runtime(async {
        let signer = source.look(&Ask::default()).await;
        let keeper = match &source.keeper {
            Some(endpoint) => Some(KeeperLook {
                endpoint: endpoint.to_string(),
                status: endpoint.look(Role::Keeper, "/status.json").await,
            }),
            None => None,
        };
        (signer, keeper)
    })?;
    let figures = signer.as_ref().ok().map(|report| &report.status.figures);
    let judged = source.loaded.as_ref().map(|loaded| {
        Judge::new(loaded, figures)
            .map(|judge| judge.all())
            .map_err(|error| error.to_string())
    });
    // What another host has on its disk, nobody here can see.
    let here = source.loaded.is_some().then(|| context.config_file());
    let is_behind = here
        .zip(figures)
        .is_some_and(|(file, figures)| is_behind(figures, file));
    let looks = (signer, keeper);
    let standing = Standing::new(source.signer.to_string(), looks, is_behind, judged, now());
    if arguments.json {
        context.output.json(&standing);
    } else {
        for line in lines(&standing, arguments.count, Screen::of_output()) {
            context.output.line(line);
        }
    }
    if standing.attention.is_empty() {
        Ok(Status::Good)
    } else {
        Ok(Status::Finding)
    }
}

/// As it is printed, where the signer says this.
#[cfg(test)]
pub(in crate::cli) fn printed(
    report: crate::judgement::SignerReport,
    judged: crate::cli::judging::Judgements,
) -> String {
    let looks = (Ok(report), None);
    let standing = Standing::new("s".to_owned(), looks, false, Some(Ok(judged)), now());
    lines(&standing, usize::MAX, Screen::of_output()).join("\n")
}

fn lines(standing: &Standing, count: usize, screen: Screen) -> Vec<String> {
    let mut lines = vec![screen.bold(&printable(&format!(
        "signer {} at {}",
        standing.state, standing.signer
    )))];
    let no_keys = KeeperFigures::default();
    let keys = standing.keeper.as_ref().unwrap_or(&no_keys);
    if let Some(figures) = &standing.figures {
        lines.extend(process(figures).map(|line| screen.fit(&printable(&line))));
        lines.push(String::new());
        lines.extend(listeners(figures).lines().map(|line| screen.fit(line)));
        lines.push(String::new());
    }
    let table = organisations(standing, keys, count);
    lines.extend(table.lines().map(|line| screen.fit(line)));
    lines.push(String::new());
    if let Some(line) = standing
        .figures
        .as_ref()
        .and_then(|figures| trial(figures, count))
    {
        lines.extend([printable(&line), String::new()]);
    }
    if let Some(reports) = &keys.reports {
        lines.extend([screen.fit(&printable(&of_reports(reports))), String::new()]);
    }
    if !standing.keeper_was_asked {
        lines.push(
            "The keeper was not asked: see [keeper] http. What it saw is in the keystore.".into(),
        );
    }
    if standing.attention.is_empty() {
        lines.push("Nothing needs attention.".into());
    } else {
        lines.push(screen.bold("Needs attention:"));
    }
    // Never cut: the way out is at the end.
    let attention = standing.attention.iter().map(|one| printable(one));
    lines.extend(attention.map(|one| format!("- {one}")));
    lines
}

/// What was read, since the store was made.
fn of_reports(reports: &ReportFigures) -> String {
    let told = |numbers: &BTreeMap<String, u64>| -> String {
        let told = numbers.iter().filter(|(_, number)| **number > 0);
        let told: Vec<String> = told
            .map(|(word, number)| format!("{word} {number}"))
            .collect();
        if told.is_empty() {
            "none".to_owned()
        } else {
            told.join(", ")
        }
    };
    let newest = reports.latest.iter().map(|one| one.end).max();
    let newest = newest.map_or(String::new(), |end| {
        let ago = duration(now().saturating_sub(end));
        format!("; the newest covers mail up to {ago} ago")
    });
    format!(
        "DMARC reports: {}; refused: {}{newest}",
        told(&reports.outcomes),
        told(&reports.refusals)
    )
}

fn process(figures: &SignerFigures) -> [String; 3] {
    let time = |seconds: u64| {
        let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
        let time = Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH);
        time.to_string()
    };
    let reload = if figures.last_reload_successful {
        "ok"
    } else {
        "FAILED"
    };
    [
        format!(
            "version {} ({}), up {}",
            figures.version,
            figures.backend,
            duration(now().saturating_sub(figures.started))
        ),
        format!(
            "last reload {reload}; in use since {}, snapshot {}, keystore generation {}",
            time(figures.loaded),
            figures.snapshot_generation,
            figures.keystore_generation
        ),
        format!(
            "organisations: {}; domains without a key in use: {}; connections: {} ({} at most \
             for each listener)",
            figures.organisations_in_use,
            figures.domains_without_key,
            figures.connections(),
            figures.connections_limit
        ),
    ]
}

fn listeners(figures: &SignerFigures) -> String {
    let mut table = Table::new([
        "LISTENER",
        "CONNECTIONS",
        "IN PROGRESS",
        "SIGNED",
        "UNSIGNED",
        "TEMPFAILED",
        "REJECTED",
        "OBSERVED",
    ]);
    for (name, listener) in &figures.listeners {
        let messages = |result: &str| {
            let count = listener.messages.get(result);
            count.copied().unwrap_or_default().to_string()
        };
        table.row([
            name.clone(),
            listener.connections.to_string(),
            listener.messages_in_progress.to_string(),
            messages("signed"),
            messages("unsigned"),
            messages("tempfailed"),
            messages("rejected"),
            messages("observed"),
        ]);
    }
    table.to_string()
}

fn organisations(standing: &Standing, keeper: &KeeperFigures, count: usize) -> String {
    let (nothing, no_keys) = (OrganisationFigures::default(), KeyFigures::default());
    let no_figures = SignerFigures::default();
    let figures = standing.figures.as_ref().unwrap_or(&no_figures);
    let ids = figures.organisations.keys();
    let judged = standing.judgements.iter().map(|one| &one.organisation);
    let mut ids: Vec<&String> = ids
        .chain(keeper.organisations.keys())
        .chain(judged)
        .collect();
    ids.sort_unstable();
    ids.dedup();
    let of = |id: &String| figures.organisations.get(id).unwrap_or(&nothing);
    let levels: HashMap<&String, Level> = standing
        .judgements
        .iter()
        .map(|one| (&one.organisation, one.told.level))
        .collect();
    let level = |id: &String| levels.get(id).copied();
    ids.sort_by_key(|id| {
        let level = level(id).unwrap_or_default();
        (level, std::cmp::Reverse(of(id).all_unsigned()))
    });
    let mut table = Table::new(["ORGANISATION", "LEVEL", "SIGNED", "UNSIGNED", "WHY", "KEYS"]);
    for id in ids.iter().take(count) {
        let organisation = of(id);
        let keys = keeper.organisations.get(*id).unwrap_or(&no_keys);
        table.row([
            name_of(id),
            level(id).map_or("-", Level::as_str).to_owned(),
            organisation.signed.to_string(),
            organisation.all_unsigned().to_string(),
            organisation.reasons(),
            describe(keys),
        ]);
    }
    let more = ids.len().saturating_sub(count);
    if more > 0 {
        return format!("{table}\n… and {more} more (--count)");
    }
    table.to_string()
}

/// What would become of the mail of listeners that only look on; none if they saw nothing.
fn trial(figures: &SignerFigures, count: usize) -> Option<String> {
    let all = figures.each();
    let all: Vec<_> = all.filter(|(_, one)| !one.observed.is_empty()).collect();
    if all.is_empty() {
        return None;
    }
    let sum = |part: fn(&ObservedFigures) -> u64| -> u64 {
        all.iter().map(|(_, one)| part(&one.observed)).sum()
    };
    let signed = sum(|one| one.signed);
    let unverified = match sum(|one| one.unverified) {
        0 => String::new(),
        count => format!(", {count} with a signature that does not verify"),
    };
    let line = format!(
        "Listeners with observe = true: {signed} would be signed{unverified}; would be unsigned:"
    );
    let mut unsigned: Vec<_> = all.iter().map(|(id, one)| (*id, &one.observed)).collect();
    unsigned.retain(|(_, one)| one.all_unsigned() > 0);
    unsigned.sort_by_key(|(_, one)| std::cmp::Reverse(one.all_unsigned()));
    if unsigned.is_empty() {
        return Some(line + " none");
    }
    let named = unsigned.iter().take(count).map(|(id, one)| {
        let kept_back = match one.kept_back() {
            0 => String::new(),
            kept_back => format!("; {kept_back} of them put off or rejected"),
        };
        let (all, reasons) = (one.all_unsigned(), one.reasons());
        format!("{} {all} ({reasons}{kept_back})", name_of(id))
    });
    let mut named: Vec<String> = named.collect();
    let more = unsigned.len().saturating_sub(count);
    if more > 0 {
        named.push(format!("and {more} more (--count)"));
    }
    Some(format!("{line} {}", named.join(", ")))
}

/// Mail that belongs to none has no name.
pub(super) fn name_of(organisation: &str) -> String {
    if organisation.is_empty() {
        "(none)".to_owned()
    } else {
        organisation.to_owned()
    }
}

/// The keys but those that are gone, with their age and their next step.
fn describe(keys: &KeyFigures) -> String {
    let is_there = |state: &str| !matches!(state, "withdrawn" | "revoked");
    let there = keys.keys.iter().filter(|key| is_there(&key.state));
    let described = there.map(|key| {
        let mut steps = keys.next_steps.iter();
        let step = steps.find(|step| step.selector == key.selector);
        let step = step.map_or(String::new(), |step| format!(", next {}", step.step));
        let age = duration(key.age_seconds);
        format!("{} {} {age}{step}", key.selector, key.state)
    });
    described.collect::<Vec<_>>().join("; ")
}
