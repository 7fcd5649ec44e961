//! `zegel database`: the PostgreSQL that several relays share.

use std::io;

use clap::{Args, Subcommand};
use serde::Serialize;
use tokio::runtime::{Builder, Runtime};

use super::{context::Context, failure::Failure, output::complain, status::Status};
use crate::{
    config::{DatabaseSettings, Settings},
    database::{self, Database, DatabaseError, Reach, Report, SCHEMA, Upload},
    keystore::KeystoreId,
    names::OrganisationId,
};

/// A relay that is behind for longer has something wrong with it.
const BEHIND_SECONDS: u64 = 60;

#[derive(Debug, Subcommand)]
pub(super) enum DatabaseCommand {
    /// Make the tables, or bring them to the newest version
    Init(InitArguments),
    /// Show what the database holds, and which relay has it
    Status(JsonArguments),
    /// Bring the folder of this relay up to date once
    Sync(JsonArguments),
    /// Bring what is in the folder of this relay into the database
    Upload(UploadArguments),
}

#[derive(Args, Debug)]
pub(super) struct InitArguments {
    /// Print the statements, and run none
    #[arg(long, conflicts_with = "json")]
    sql: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
pub(super) struct JsonArguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
pub(super) struct UploadArguments {
    /// Only say what would change
    #[arg(long)]
    dry_run: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Made {
    /// The version of the tables before; none: there were none.
    before: Option<u32>,
    schema: u32,
}

#[derive(Serialize)]
struct ShownReport<'a> {
    /// The version of the tables.
    schema: Option<u32>,
    /// Which keystore it holds; none before the first upload.
    keystore: Option<&'a KeystoreId>,
    /// The number of its last change.
    revision: Option<u64>,
    /// The relay whose keeper takes the steps; none if nobody has told so within a minute.
    leader: Option<&'a str>,
    relays: Vec<ShownRelay<'a>>,
}

#[derive(Serialize)]
struct ShownRelay<'a> {
    name: &'a str,
    revision: u64,
    version: &'a str,
    leads: bool,
    /// When it last told of itself.
    seen: String,
    /// Whether it has the last change, and told so within a minute.
    up_to_date: bool,
}

#[derive(Serialize)]
struct ShownSync {
    /// The number of the last change that the folder has.
    revision: Option<u64>,
    /// In so many organisations there was something new.
    organisations: usize,
    /// What stays as it was.
    refused: Vec<String>,
}

#[derive(Serialize)]
struct ShownUpload {
    /// The number of the last change in the database.
    revision: Option<u64>,
    dry_run: bool,
    /// The organisations that are changed there.
    organisations: Vec<OrganisationId>,
    /// What stays as it was.
    refused: Vec<String>,
}

pub(super) fn run(command: &DatabaseCommand, context: &mut Context) -> Result<Status, Failure> {
    match command {
        DatabaseCommand::Init(arguments) => init(arguments, context),
        DatabaseCommand::Status(arguments) => status(arguments, context),
        DatabaseCommand::Sync(arguments) => sync(arguments, context),
        DatabaseCommand::Upload(arguments) => upload(arguments, context),
    }
}

fn init(arguments: &InitArguments, context: &mut Context) -> Result<Status, Failure> {
    if arguments.sql {
        context.output.line(database::statements().trim_end());
        return Ok(Status::Good);
    }
    let loaded = context.load()?;
    let runtime = runtime()?;
    let (before, schema) = runtime.block_on(async {
        let mut database = connect(&loaded.settings).await?;
        Ok::<_, Failure>(database.init().await?)
    })?;
    if arguments.json {
        context.output.json(&Made { before, schema });
        return Ok(Status::Good);
    }
    context.output.line(match before {
        None => format!("The tables are made, in version {schema}."),
        Some(before) if before == schema => {
            format!("The tables have version {schema} already; nothing was changed.")
        }
        Some(before) => format!("The tables had version {before}, and have {schema} now."),
    });
    Ok(Status::Good)
}

fn status(arguments: &JsonArguments, context: &mut Context) -> Result<Status, Failure> {
    let loaded = context.load()?;
    let report = runtime()?.block_on(async {
        let database = connect(&loaded.settings).await?;
        Ok::<_, Failure>(database.report().await?)
    })?;
    let shown = ShownReport::of(&report);
    let is_good = shown.schema == Some(SCHEMA)
        && shown.leader.is_some()
        && shown.relays.iter().all(|relay| relay.up_to_date);
    let status = Status::of_check(is_good);
    if arguments.json {
        context.output.json(&shown);
        return Ok(status);
    }
    let output = &mut context.output;
    match (shown.schema, shown.keystore, shown.revision) {
        (None, ..) => output.line("The database has no tables of zegel: `zegel database init`."),
        (_, Some(id), Some(revision)) => output.line(format_args!(
            "keystore {id}, change {revision}; led by {}",
            shown.leader.unwrap_or("nobody")
        )),
        _ => output.line("The database holds no keys yet: `zegel database upload`."),
    }
    for relay in &shown.relays {
        let standing = if relay.up_to_date {
            "up to date"
        } else {
            "behind"
        };
        output.line(format_args!(
            "  {}: {standing}, change {}, last seen {}, zegel {}",
            relay.name, relay.revision, relay.seen, relay.version
        ));
    }
    Ok(status)
}

fn sync(arguments: &JsonArguments, context: &mut Context) -> Result<Status, Failure> {
    let loaded = context.load()?;
    let keystore = loaded.settings.make_keystore()?.by("database sync");
    let synced = runtime()?.block_on(async {
        let mut database = connect(&loaded.settings).await?;
        Ok::<_, Failure>(database::sync(&mut database, &keystore, Reach::Everything).await?)
    })?;
    let (refused, status) = say_refused(&synced.refused, arguments.json);
    if arguments.json {
        context.output.json(&ShownSync {
            revision: synced.revision,
            organisations: synced.organisations,
            refused,
        });
        return Ok(status);
    }
    match synced.revision {
        Some(revision) => context.output.line(format_args!(
            "organisations in the database: {}; its last change is {revision}",
            synced.organisations
        )),
        None => context.output.line("The database holds no keys yet."),
    }
    Ok(status)
}

fn upload(arguments: &UploadArguments, context: &mut Context) -> Result<Status, Failure> {
    let loaded = context.load()?;
    let keystore = loaded.settings.open_keystore()?.by("database upload");
    let is_dry = arguments.dry_run;
    let how = if is_dry {
        Upload::Dry
    } else {
        Upload::ByOperator
    };
    let uploaded = runtime()?.block_on(async {
        let mut database = connect(&loaded.settings).await?;
        Ok::<_, Failure>(database::upload(&mut database, &keystore, how).await?)
    })?;
    let (refused, status) = say_refused(&uploaded.refused, arguments.json);
    if arguments.json {
        context.output.json(&ShownUpload {
            revision: uploaded.revision,
            dry_run: is_dry,
            organisations: uploaded.organisations,
            refused,
        });
        return Ok(status);
    }
    let count = uploaded.organisations.len();
    if is_dry {
        context.output.line(format_args!(
            "organisations that would be changed in the database: {count}"
        ));
    } else {
        let revision = uploaded.revision.unwrap_or(0);
        context.output.line(format_args!(
            "organisations changed in the database: {count}; it has change {revision}"
        ));
    }
    Ok(status)
}

/// What stays as it is, on standard error unless it is in the document, and the status for it.
fn say_refused(refused: &[DatabaseError], is_json: bool) -> (Vec<String>, Status) {
    let refused: Vec<String> = refused.iter().map(ToString::to_string).collect();
    for problem in refused.iter().filter(|_| !is_json) {
        complain(problem);
    }
    let status = Status::of_check(refused.is_empty());
    (refused, status)
}

fn runtime() -> Result<Runtime, Failure> {
    let made = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    made.map_err(|error: io::Error| Failure::Other(error.to_string()))
}

async fn connect(settings: &Settings) -> Result<Database, Failure> {
    Ok(Database::connect(of(settings)?).await?)
}

fn of(settings: &Settings) -> Result<&DatabaseSettings, Failure> {
    let missing = || {
        Failure::Usage(
            "there is no database: name it as url in the table [database] of zegel.toml".to_owned(),
        )
    };
    settings.database.as_ref().ok_or_else(missing)
}

impl From<DatabaseError> for Failure {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Keystore(error) => Self::Keystore(error),
            other => Self::Other(other.to_string()),
        }
    }
}

impl<'a> ShownReport<'a> {
    fn of(report: &'a Report) -> Self {
        let revision = report.keystore.as_ref().map(|one| one.revision);
        let relays: Vec<ShownRelay<'a>> = report
            .relays
            .iter()
            .map(|relay| ShownRelay {
                name: &relay.name,
                revision: relay.revision,
                version: &relay.version,
                leads: relay.leads,
                seen: relay.seen.to_string(),
                up_to_date: relay.age <= BEHIND_SECONDS && Some(relay.revision) >= revision,
            })
            .collect();
        let mut told = report.relays.iter();
        let leader = told.find(|relay| relay.leads && relay.age <= BEHIND_SECONDS);
        Self {
            schema: report.schema,
            keystore: report.keystore.as_ref().map(|one| &one.id),
            revision,
            leader: leader.map(|relay| relay.name.as_str()),
            relays,
        }
    }
}
