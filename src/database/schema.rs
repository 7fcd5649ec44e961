//! The tables, version by version.

use super::{
    Database, DatabaseError, Numbered, Relay, Report,
    client::{PATIENCE, within},
};
use crate::keystore::KeystoreId;

/// The newest version of the tables that this zegel knows.
pub const SCHEMA: u32 = 1;

const VERSIONS: [&str; SCHEMA as usize] = [include_str!("schema/1.sql")];
/// Two who make tables at once wait for each other.
const LOCK: &str = "select pg_advisory_xact_lock(7305521183512354)";

/// What makes the tables, for a database administrator who lets no program do so.
pub fn statements() -> String {
    let steps = VERSIONS
        .iter()
        .map(|step| format!("begin;\n{step}commit;\n"));
    steps.collect()
}

impl Database {
    /// Makes the tables, or brings them to the newest version. Gives the versions before and now.
    ///
    /// # Errors
    /// When the role may not, or a newer zegel made them.
    pub async fn init(&mut self) -> Result<(Option<u32>, u32), DatabaseError> {
        within(PATIENCE, async {
            let transaction = self.client.transaction().await?;
            transaction.batch_execute(LOCK).await?;
            let before = version(transaction.client()).await?;
            check(before)?;
            let done = usize::try_from(before.unwrap_or(0)).unwrap_or(usize::MAX);
            for step in VERSIONS.iter().skip(done) {
                transaction.batch_execute(step).await?;
            }
            transaction.commit().await?;
            Ok((before, SCHEMA))
        })
        .await
    }

    /// What it says of itself and of the relays.
    ///
    /// # Errors
    /// When it can't be reached, or a newer zegel made its tables.
    pub async fn report(&self) -> Result<Report, DatabaseError> {
        within(PATIENCE, async {
            let schema = version(&self.client).await?;
            check(schema)?;
            let mut report = Report {
                schema,
                keystore: None,
                relays: Vec::new(),
            };
            if schema.is_none() {
                return Ok(report);
            }
            report.keystore = numbered(&self.client).await?;
            let sql = "select relay, revision, version, leads, extract(epoch from seen)::bigint, \
                       greatest(0, extract(epoch from now() - seen))::bigint \
                       from zegel.relay order by relay";
            for row in self.client.query(sql, &[]).await? {
                report.relays.push(Relay {
                    name: row.try_get(0)?,
                    revision: number(row.try_get(1)?),
                    version: row.try_get(2)?,
                    leads: row.try_get(3)?,
                    seen: jiff::Timestamp::from_second(row.try_get(4)?).unwrap_or_default(),
                    age: number(row.try_get(5)?),
                });
            }
            Ok(report)
        })
        .await
    }

    /// Which keystore it holds, and its last change; none before the first.
    ///
    /// # Errors
    /// As [`Database::report`], and when there are no tables.
    pub async fn last(&self) -> Result<Option<Numbered>, DatabaseError> {
        within(PATIENCE, numbered(&self.client)).await
    }

    /// Notes which change this relay has.
    ///
    /// # Errors
    /// When it can't be reached, or the role may not.
    pub async fn tell(&self, relay: &str, revision: u64, leads: bool) -> Result<(), DatabaseError> {
        within(PATIENCE, async {
            let sql = "insert into zegel.relay (relay, revision, version, leads, seen) \
                       values ($1, $2, $3, $4, now()) on conflict (relay) do update set \
                       revision = excluded.revision, version = excluded.version, \
                       leads = excluded.leads, seen = excluded.seen";
            let version = env!("CARGO_PKG_VERSION");
            let revision = signed(revision);
            self.client
                .execute(sql, &[&relay, &revision, &version, &leads])
                .await?;
            Ok(())
        })
        .await
    }
}

/// None before the tables are made.
pub(super) async fn version(
    client: &impl tokio_postgres::GenericClient,
) -> Result<Option<u32>, DatabaseError> {
    let there = "select to_regclass('zegel.schema') is not null";
    if !client.query_one(there, &[]).await?.try_get::<_, bool>(0)? {
        return Ok(None);
    }
    let newest = "select max(version) from zegel.schema";
    let newest: Option<i32> = client.query_one(newest, &[]).await?.try_get(0)?;
    Ok(newest.and_then(|newest| newest.try_into().ok()))
}

fn check(version: Option<u32>) -> Result<(), DatabaseError> {
    match version {
        Some(version) if version > SCHEMA => Err(DatabaseError::NewerSchema(version)),
        _ => Ok(()),
    }
}

/// Which keystore it holds; none before the first change.
pub(super) async fn numbered(
    client: &impl tokio_postgres::GenericClient,
) -> Result<Option<Numbered>, DatabaseError> {
    match version(client).await? {
        None => return Err(DatabaseError::NoSchema),
        some => check(some)?,
    }
    let sql = "select id, revision, epoch::text from zegel.keystore";
    let Some(row) = client.query_opt(sql, &[]).await? else {
        return Ok(None);
    };
    let (id, revision): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
    let id = KeystoreId::parse(id.as_bytes());
    let id = id.ok_or_else(|| DatabaseError::Refused("its id is none".to_owned()))?;
    Ok(Some(Numbered {
        id,
        epoch: row.try_get(2)?,
        revision: number(revision),
    }))
}

/// A number of the database, which is never negative.
pub(super) fn number(number: i64) -> u64 {
    number.try_into().unwrap_or(0)
}

pub(super) fn signed(number: u64) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}
