//! The keys of organisations as rows.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use tokio_postgres::{GenericClient, IsolationLevel, Row};
use zeroize::Zeroizing;

use super::{
    Database, DatabaseError, Numbered,
    client::{TRANSFER, within},
    schema::{numbered, signed},
};
use crate::{
    keys::Keyring,
    keystore::{KeystoreId, OrganisationCopy},
    names::OrganisationId,
};

/// A relay that is cut off in the middle holds up nobody for long.
const LIMITS: &str = "set local idle_in_transaction_session_timeout = '30s'; \
                      set local lock_timeout = '10s'";

/// What changed since a number.
#[derive(Debug, Default)]
pub(super) struct Changed {
    /// Which keystore it is of, and at which change; none before the first.
    pub(super) keystore: Option<Numbered>,
    /// All keys of each organisation in which something changed.
    pub(super) copies: Vec<OrganisationCopy>,
    /// Organisations that can't be used.
    pub(super) broken: Vec<(String, DatabaseError)>,
}

/// An organisation as its rows are read.
#[derive(Default)]
struct Gathered {
    suspended: Option<String>,
    /// JSON: files by name.
    beside: String,
    /// Entries of a keyring.
    keys: Vec<Value>,
    key_files: Vec<(String, Vec<u8>)>,
}

/// Rows as PostgreSQL takes many at once: a list for each column.
#[derive(Default)]
struct Columns<'a> {
    organisations: Vec<&'a str>,
    suspended: Vec<Option<String>>,
    beside: Vec<String>,
    key_organisations: Vec<&'a str>,
    key_places: Vec<i32>,
    key_documents: Vec<String>,
    key_files: Vec<Option<&'a [u8]>>,
    publications: Vec<Publication<'a>>,
}

struct Publication<'a> {
    organisation: &'a str,
    selector: String,
    algorithm: String,
    domain: String,
    document: String,
    is_active: bool,
}

impl Database {
    /// What changed after this number of this epoch; with none, or another epoch, everything.
    pub(super) async fn changed_after(
        &mut self,
        known: Option<(&str, u64)>,
    ) -> Result<Changed, DatabaseError> {
        within(TRANSFER, async {
            let transaction = self.client.build_transaction().read_only(true);
            let transaction = transaction.isolation_level(IsolationLevel::RepeatableRead);
            let transaction = transaction.start().await?;
            let keystore = numbered(&transaction).await?;
            let epoch = keystore.as_ref().map(|there| there.epoch.as_str());
            let known = known.filter(|(known, _)| Some(*known) == epoch);
            let after = signed(known.map_or(0, |(_, revision)| revision));
            let mut gathered: BTreeMap<String, Result<Gathered, DatabaseError>> = BTreeMap::new();
            let sql = "select organisation, suspended, beside::text from zegel.organisation \
                       where revision > $1";
            for row in transaction.query(sql, &[&after]).await? {
                let organisation = Gathered {
                    suspended: row.try_get(1)?,
                    beside: row.try_get(2)?,
                    ..Gathered::default()
                };
                gathered.insert(row.try_get(0)?, Ok(organisation));
            }
            let sql = "select key.organisation, key.document::text, key.sealed, \
                       coalesce((select jsonb_object_agg(domain, one.document) \
                           from zegel.publication one where one.organisation = key.organisation \
                           and one.selector = key.selector), '{}')::text \
                       from zegel.key join zegel.organisation using (organisation) \
                       where organisation.revision > $1 order by key.organisation, key.place";
            for row in transaction.query(sql, &[&after]).await? {
                let organisation: String = row.try_get(0)?;
                if let Some(Ok(known)) = gathered.get_mut(&organisation)
                    && let Err(error) = known.take(&row)
                {
                    // The others can be used all the same.
                    gathered.insert(organisation, Err(error));
                }
            }
            let mut changed = Changed {
                keystore,
                ..Changed::default()
            };
            for (organisation, gathered) in gathered {
                match gathered.and_then(|gathered| gathered.copy(&organisation)) {
                    Ok(copy) => changed.copies.push(copy),
                    Err(error) => changed.broken.push((organisation, error)),
                }
            }
            Ok(changed)
        })
        .await
    }

    /// Writes these organisations as they are, as one change, whose number is higher than
    /// `known`, the last that this relay knows. Gives it.
    ///
    /// # Errors
    /// [`DatabaseError::Busy`] if the last change is not `base` any more.
    pub(super) async fn write(
        &mut self,
        id: &KeystoreId,
        (base, known): (Option<&Numbered>, u64),
        copies: &[OrganisationCopy],
    ) -> Result<Numbered, DatabaseError> {
        let columns = Columns::of(copies);
        let mut publications: Vec<&Publication<'_>> = columns.publications.iter().collect();
        // A key that signs no more is written before the one that takes its place.
        publications.sort_by_key(|one| one.is_active);
        within(TRANSFER, async {
            let transaction = self.client.transaction().await?;
            transaction.batch_execute(LIMITS).await?;
            let next = take_number(&transaction, id, (base, known)).await?;
            let sql = "insert into zegel.organisation (organisation, revision, suspended, beside) \
                       select organisation, $2, suspended, beside::jsonb from \
                       unnest($1::text[], $3::text[], $4::text[]) \
                       rows (organisation, suspended, beside) \
                       on conflict (organisation) do update set revision = excluded.revision, \
                       suspended = excluded.suspended, beside = excluded.beside";
            let (organisations, suspended) = (&columns.organisations, &columns.suspended);
            let (revision, beside) = (signed(next.revision), &columns.beside);
            transaction
                .execute(sql, &[organisations, &revision, suspended, beside])
                .await?;
            let sql = "insert into zegel.key (organisation, place, document, sealed) \
                       select organisation, place, document::jsonb, sealed from \
                       unnest($1::text[], $2::int[], $3::text[], $4::bytea[]) \
                       rows (organisation, place, document, sealed) \
                       on conflict (organisation, selector) do update set \
                       place = excluded.place, document = excluded.document, \
                       sealed = coalesce(excluded.sealed, key.sealed) \
                       where (key.place, key.document, key.sealed) is distinct from \
                       (excluded.place, excluded.document, coalesce(excluded.sealed, key.sealed))";
            let (documents, files) = (&columns.key_documents, &columns.key_files);
            let (owners, places) = (&columns.key_organisations, &columns.key_places);
            transaction
                .execute(sql, &[owners, places, documents, files])
                .await?;
            put_publications(&transaction, &publications).await?;
            transaction.commit().await?;
            Ok(next)
        })
        .await
    }
}

/// Takes the next number; whoever else wants to change something waits for the end of this.
async fn take_number(
    transaction: &impl GenericClient,
    id: &KeystoreId,
    (base, known): (Option<&Numbered>, u64),
) -> Result<Numbered, DatabaseError> {
    let sql = "insert into zegel.keystore (id, revision, epoch) \
               values ($1, $2, gen_random_uuid()) on conflict do nothing";
    let made = transaction
        .execute(sql, &[&id.to_string(), &signed(known)])
        .await?;
    let sql = "select 1 from zegel.keystore for update";
    transaction.query_one(sql, &[]).await?;
    let found = numbered(transaction).await?.ok_or(DatabaseError::Busy)?;
    if found.id != *id || (made == 0 && Some(&found) != base) {
        return Err(DatabaseError::Busy);
    }
    let next = found.revision.max(known).saturating_add(1);
    // It went back: numbers up to this one may have been given to other changes.
    let sql = "update zegel.keystore set revision = $1, \
               epoch = case when $2 then gen_random_uuid() else epoch end";
    transaction
        .execute(sql, &[&signed(next), &(found.revision < known)])
        .await?;
    numbered(transaction).await?.ok_or(DatabaseError::Busy)
}

async fn put_publications(
    transaction: &impl GenericClient,
    rows: &[&Publication<'_>],
) -> Result<(), DatabaseError> {
    fn column<'a>(
        rows: &[&'a Publication<'_>],
        of: impl Fn(&'a Publication<'_>) -> &'a str,
    ) -> Vec<&'a str> {
        rows.iter().map(|row| of(row)).collect()
    }
    let sql = "insert into zegel.publication \
               (organisation, selector, algorithm, domain, document) \
               select organisation, selector, algorithm, domain, document::jsonb from \
               unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[]) \
               with ordinality rows (organisation, selector, algorithm, domain, document, place) \
               order by place \
               on conflict (organisation, selector, domain) do update set \
               document = excluded.document \
               where publication.document is distinct from excluded.document";
    transaction
        .execute(
            sql,
            &[
                &column(rows, |row| row.organisation),
                &column(rows, |row| &row.selector),
                &column(rows, |row| &row.algorithm),
                &column(rows, |row| &row.domain),
                &column(rows, |row| &row.document),
            ],
        )
        .await?;
    Ok(())
}

impl<'a> Columns<'a> {
    fn of(copies: &'a [OrganisationCopy]) -> Self {
        let mut columns = Self::default();
        for copy in copies {
            columns.add(copy);
        }
        columns
    }

    fn add(&mut self, copy: &'a OrganisationCopy) {
        let organisation = copy.organisation.as_str();
        self.organisations.push(organisation);
        let suspended = copy.keyring.suspended();
        self.suspended
            .push(suspended.map(|since| since.to_string()));
        self.beside.push(json!(copy.beside).to_string());
        for (place, entry) in copy.keyring.keys().iter().enumerate() {
            let algorithm = entry.algorithm.as_str();
            let mut document = json!(entry);
            let publications = document
                .as_object_mut()
                .and_then(|entry| entry.remove("publications"));
            for (domain, document) in publications.iter().filter_map(Value::as_object).flatten() {
                self.publications.push(Publication {
                    organisation,
                    selector: entry.selector.to_string(),
                    algorithm: algorithm.to_owned(),
                    domain: domain.clone(),
                    document: document.to_string(),
                    is_active: document["state"] == "active",
                });
            }
            self.key_organisations.push(organisation);
            self.key_places.push(place.try_into().unwrap_or(i32::MAX));
            self.key_documents.push(document.to_string());
            let file = copy.key_files.get(&entry.selector);
            self.key_files.push(file.map(|file| file.as_slice()));
        }
    }
}

impl Gathered {
    /// Takes a key.
    fn take(&mut self, row: &Row) -> Result<(), DatabaseError> {
        let broken = |problem: serde_json::Error| DatabaseError::Broken {
            organisation: row.try_get(0).unwrap_or_default(),
            problem: problem.to_string(),
        };
        let (document, publications): (&str, &str) = (row.try_get(1)?, row.try_get(3)?);
        let mut document: Map<String, Value> = serde_json::from_str(document).map_err(broken)?;
        let publications: Value = serde_json::from_str(publications).map_err(broken)?;
        document.insert("publications".to_owned(), publications);
        let sealed: Option<Vec<u8>> = row.try_get(2)?;
        let selector = document.get("selector").and_then(Value::as_str);
        if let (Some(sealed), Some(selector)) = (sealed, selector) {
            self.key_files.push((selector.to_owned(), sealed));
        }
        self.keys.push(Value::Object(document));
        Ok(())
    }

    fn copy(self, name: &str) -> Result<OrganisationCopy, DatabaseError> {
        let broken = |problem: String| DatabaseError::Broken {
            organisation: name.to_owned(),
            problem,
        };
        let organisation: OrganisationId = name.parse().map_err(|_| {
            let problem = "this is no id of an organisation";
            broken(problem.to_owned())
        })?;
        let mut document = json!({"version": Keyring::VERSION, "keys": self.keys});
        if let Some(suspended) = self.suspended {
            document["suspended"] = suspended.into();
        }
        let keyring = Keyring::parse(document.to_string().as_bytes());
        let keyring = keyring.map_err(|problem| broken(problem.to_string()))?;
        let key_files = self.key_files.into_iter().map(|(selector, text)| {
            let selector = selector.parse().map_err(|_| broken(selector.clone()))?;
            Ok((selector, Zeroizing::new(text)))
        });
        let beside = serde_json::from_str(&self.beside);
        let beside = beside.map_err(|error| broken(error.to_string()))?;
        Ok(OrganisationCopy {
            organisation,
            keyring,
            beside,
            key_files: key_files.collect::<Result<_, DatabaseError>>()?,
        })
    }
}
