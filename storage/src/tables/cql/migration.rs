//! Making and changing tables, safely from several processes at once.
//!
//! What is there is compared with the declarations. If nothing is missing, nothing is done, and nobody waits. Else one process
//! at a time takes the lock (a row that one of them inserts and that expires by itself), compares again, makes what is
//! missing, waits until all nodes have the same schema, and lets go. A migration only ever adds: a table, or a column at the
//! end. Whatever else differs (another type, another key) is an error that says what to do, and nothing is changed then.
//! Columns that are there and are not declared belong to a later version and are left alone, so versions may run side by side.
//!
//! The keyspace and the lock's own table must be made before there is a lock. On Apache Cassandra two nodes that are asked for
//! them at the very same moment can disagree for good, so the first start of a cluster is best one process, or
//! `saler migrate`.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use schemas::tables::{Column, Table};
use scylla::client::session::Session;
use scylla::response::query_result::QueryResult;
use scylla::statement::{Consistency, SerialConsistency, Statement};
use tokio::time::Instant;

use super::CqlOptions;
use super::failure::Failure;
use super::schema::{self, SCHEMA_LOCK, SCHEMA_VERSION, quoted};
use super::server::connect;
use super::values::{Answer, AnswerRow, Bind, cql_type};
use crate::tables::{Migrated, TablesError};

/// How long a change of the schema may take: a busy cluster takes seconds for one.
const CHANGE_TIMEOUT: Duration = Duration::from_mins(1);

/// After so many seconds the lock of a process that has died is free. Renewed before each change, so longer than one takes.
const LOCK_S: i32 = 120;

/// How often a process that waits for the lock looks again.
const LOCK_POLL: Duration = Duration::from_millis(250);

/// How long it waits for the lock in all.
const LOCK_PATIENCE: Duration = Duration::from_mins(10);

/// What a keyspace is called in errors of no single table.
const WHOLE_SCHEMA: &str = "(schema)";

/// Makes the keyspace and all tables, and adds what they lack.
///
/// # Errors
/// [`TablesError::Unavailable`] if no server answers or another process keeps the lock, [`TablesError::Invalid`] if the
/// options make no sense, the user may not, or what is there cannot be made into what is declared.
pub async fn migrate(options: &CqlOptions) -> Result<Migrated, TablesError> {
    migrate_tables(options, schema::all()).await
}

/// As [`migrate`], for these tables.
///
/// # Errors
/// As [`migrate`].
pub async fn migrate_tables(options: &CqlOptions, tables: &[&'static Table]) -> Result<Migrated, TablesError> {
    let (session, _) = Box::pin(connect(options)).await?;
    Box::pin(Migration { session: &session, options }.run(tables)).await
}

/// One process's work on the schema.
pub(super) struct Migration<'a> {
    pub(super) session: &'a Session,
    pub(super) options: &'a CqlOptions,
}

/// What a table lacks.
enum Step {
    Table(&'static Table),
    Column(&'static Table, &'static Column),
}

/// A column as the servers have it: its type, its part of the row (`partition_key`, `clustering`, `regular`), its place in
/// the key, its order.
#[derive(Debug)]
struct Found {
    cql_type: String,
    kind: String,
    position: i64,
    order: String,
}

type FoundTables = BTreeMap<String, BTreeMap<String, Found>>;

impl Migration<'_> {
    /// Makes what is missing.
    pub(super) async fn run(&self, tables: &[&'static Table]) -> Result<Migrated, TablesError> {
        let steps = self.steps(tables).await?;
        if steps.is_empty() && self.has_own_tables().await? {
            return Ok(Migrated { version: self.version().await?, ..Migrated::default() });
        }
        self.make_keyspace().await?;
        for (_, text) in schema::create_own_tables(&self.options.keyspace) {
            self.change(&text).await?;
        }
        let holder = format!("{:016x}", std::hash::RandomState::new().build_hasher().finish());
        self.lock(&holder).await?;
        let result = self.make(tables, &holder).await;
        let unlocked = self.unlock(&holder).await;
        let migrated = result?;
        // The lock expires by itself.
        if let Err(error) = unlocked {
            tracing::warn!(%error, "the lock of the schema could not be let go");
        }
        Ok(migrated)
    }

    /// Whether all is there, without making anything.
    pub(super) async fn check(&self, tables: &[&'static Table]) -> Result<(), TablesError> {
        let steps = self.steps(tables).await?;
        if steps.is_empty() && self.has_own_tables().await? {
            return Ok(());
        }
        let missing = match steps.first() {
            Some(Step::Table(table)) => format!("the table {}", table.name),
            Some(Step::Column(table, column)) => format!("the column {} of the table {}", column.name, table.name),
            None => "a table of the engine's own".to_owned(),
        };
        Err(TablesError::Invalid {
            reason: format!("the keyspace {} lacks {missing}: run `saler migrate`", self.options.keyspace),
        })
    }

    async fn make(&self, tables: &[&'static Table], holder: &str) -> Result<Migrated, TablesError> {
        let mut migrated = Migrated::default();
        // Another process may have made it all while this one waited for the lock.
        for step in self.steps(tables).await? {
            self.renew(holder).await?;
            let text = match &step {
                Step::Table(table) => schema::create_table(&self.options.keyspace, table, self.options.replication),
                Step::Column(table, column) => schema::add_column(&self.options.keyspace, table, column),
            };
            self.change(&text).await?;
            match step {
                Step::Table(_) => migrated.tables += 1,
                Step::Column(table, column) => {
                    tracing::info!(table = table.name, column = column.name, "a column was added");
                    migrated.columns += 1;
                }
            }
        }
        self.session.await_schema_agreement().await.map_err(|error| unavailable(&error))?;
        if !self.steps(tables).await?.is_empty() {
            return Err(TablesError::Unavailable {
                reason: "the servers do not show a table that was just made: their nodes do not agree on the schema; look at `nodetool describecluster`".to_owned(),
            });
        }
        migrated.version = self.version().await?;
        if (migrated.tables, migrated.columns) != (0, 0) {
            migrated.version += 1;
            let text = format!(
                "INSERT INTO {} (\"name\", \"version\", \"fingerprint\") VALUES ('tables', ?, ?)",
                self.own(SCHEMA_VERSION)
            );
            let fingerprint = schema::fingerprint(tables);
            self.ask(&text, vec![Bind::Int(migrated.version), Bind::Text(&fingerprint)]).await?;
            tracing::info!(keyspace = %self.options.keyspace, tables = migrated.tables, columns = migrated.columns, version = migrated.version, "the tables were made or changed");
        }
        Ok(migrated)
    }

    /// How often tables were made or changed.
    async fn version(&self) -> Result<i64, TablesError> {
        let text = format!("SELECT \"version\" FROM {} WHERE \"name\" = 'tables'", self.own(SCHEMA_VERSION));
        Ok(self.rows(&text, Vec::new()).await?.first_mut().and_then(|row| row.int("version")).unwrap_or(0))
    }

    fn own(&self, table: &str) -> String {
        format!("{}.{}", quoted(&self.options.keyspace), quoted(table))
    }

    async fn make_keyspace(&self) -> Result<(), TablesError> {
        let there = self
            .rows(
                "SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = ?",
                vec![Bind::Text(&self.options.keyspace)],
            )
            .await?;
        if !there.is_empty() {
            return Ok(());
        }
        let datacenter = match &self.options.datacenter {
            Some(name) => name.clone(),
            None => self.local_datacenter().await?,
        };
        let text = |without_tablets| {
            schema::create_keyspace(&self.options.keyspace, &datacenter, self.options.replication, without_tablets)
        };
        let is_scylla = self.rows("SELECT keyspace_name FROM system_schema.scylla_keyspaces LIMIT 1", Vec::new()).await;
        if is_scylla.is_ok() && self.change(&text(true)).await.is_ok() {
            return Ok(());
        }
        self.change(&text(false)).await
    }

    async fn local_datacenter(&self) -> Result<String, TablesError> {
        let rows = self.rows("SELECT data_center FROM system.local", Vec::new()).await?;
        rows.into_iter().next().and_then(|mut row| row.text("data_center")).ok_or_else(|| TablesError::Unavailable {
            reason: "the server does not say in which datacenter it is: name it in tables.datacenter".to_owned(),
        })
    }

    async fn has_own_tables(&self) -> Result<bool, TablesError> {
        let found = self.found().await?;
        Ok(schema::create_own_tables("").all(|(name, _)| found.contains_key(name)))
    }

    /// What is missing, in the order in which it is to be made.
    async fn steps(&self, tables: &[&'static Table]) -> Result<Vec<Step>, TablesError> {
        let found = self.found().await?;
        let mut steps = Vec::new();
        for table in tables {
            match found.get(table.name) {
                None => steps.push(Step::Table(table)),
                Some(columns) => self.compare(table, columns, &mut steps)?,
            }
        }
        Ok(steps)
    }

    fn compare(
        &self,
        table: &'static Table,
        found: &BTreeMap<String, Found>,
        steps: &mut Vec<Step>,
    ) -> Result<(), TablesError> {
        let fault = |what: String| TablesError::Invalid {
            reason: format!(
                "the table {} of the keyspace {} is another one than this version of saler works with: {what}; use the version that made it, another keyspace, or copy its rows into a table that is made anew",
                table.name, self.options.keyspace
            ),
        };
        let order = schema::direction(table.order).to_lowercase();
        for (part, columns, order) in [
            ("partition_key", table.partition_key, "none"),
            ("clustering", table.clustering_key, order.as_str()),
            ("regular", table.columns, "none"),
        ] {
            for (position, column) in (0_i64..).zip(columns) {
                let Some(there) = found.get(column.name) else {
                    if part != "regular" {
                        return Err(fault(format!("its key has no column {}", column.name)));
                    }
                    steps.push(Step::Column(table, column));
                    continue;
                };
                let wanted = cql_type(column.kind);
                if there.cql_type != wanted {
                    return Err(fault(format!("its column {} is {}, not {wanted}", column.name, there.cql_type)));
                }
                let has_place = part == "regular" || (there.position == position && there.order == order);
                if there.kind != part || !has_place {
                    return Err(fault(format!(
                        "its column {} is column {} of the {}, order {}",
                        column.name, there.position, there.kind, there.order
                    )));
                }
            }
            let extra = found.iter().find(|(name, there)| {
                there.kind == part && part != "regular" && columns.iter().all(|column| column.name != name.as_str())
            });
            if let Some((name, _)) = extra {
                return Err(fault(format!("its key has the column {name} too")));
            }
        }
        Ok(())
    }

    async fn found(&self) -> Result<FoundTables, TablesError> {
        let text = "SELECT table_name, column_name, type, kind, position, clustering_order FROM system_schema.columns WHERE keyspace_name = ?";
        let mut found = FoundTables::new();
        for mut row in self.rows(text, vec![Bind::Text(&self.options.keyspace)]).await? {
            let (Some(table), Some(name)) = (row.text("table_name"), row.text("column_name")) else { continue };
            let column = Found {
                cql_type: row.text("type").unwrap_or_default(),
                kind: row.text("kind").unwrap_or_default(),
                position: row.small("position").unwrap_or(-1),
                order: row.text("clustering_order").unwrap_or_default(),
            };
            found.entry(table).or_default().insert(name, column);
        }
        Ok(found)
    }

    async fn lock(&self, holder: &str) -> Result<(), TablesError> {
        let until = Instant::now() + LOCK_PATIENCE;
        let text = format!(
            "INSERT INTO {} (\"name\", \"holder\") VALUES ('schema', ?) IF NOT EXISTS USING TTL {LOCK_S}",
            self.own(SCHEMA_LOCK)
        );
        loop {
            match self.ask(&text, vec![Bind::Text(holder)]).await {
                Ok(result) => {
                    let mut rows = rows_of(result)?;
                    let Some(row) = rows.first_mut() else { continue };
                    // An earlier try may have been carried out though nobody heard of it.
                    if row.was_applied() || row.text("holder").as_deref() == Some(holder) {
                        return Ok(());
                    }
                }
                Err(error @ TablesError::Unavailable { .. }) => {
                    tracing::debug!(%error, "the lock of the schema is tried again");
                }
                Err(error) => return Err(error),
            }
            if Instant::now() > until {
                return Err(TablesError::Unavailable {
                    reason: format!(
                        "another process has been making or changing tables for {} minutes: see what it waits for",
                        LOCK_PATIENCE.as_secs() / 60
                    ),
                });
            }
            tokio::time::sleep(LOCK_POLL).await;
        }
    }

    /// Keeps the lock for the next change. If it was lost, another process works now.
    async fn renew(&self, holder: &str) -> Result<(), TablesError> {
        let text = format!(
            "UPDATE {} USING TTL {LOCK_S} SET \"holder\" = ? WHERE \"name\" = 'schema' IF \"holder\" = ?",
            self.own(SCHEMA_LOCK)
        );
        let result = self.ask(&text, vec![Bind::Text(holder), Bind::Text(holder)]).await?;
        if rows_of(result)?.first_mut().is_some_and(AnswerRow::was_applied) {
            return Ok(());
        }
        Err(TablesError::Unavailable {
            reason: "the lock of the schema was lost: another process makes or changes tables now; start again"
                .to_owned(),
        })
    }

    async fn unlock(&self, holder: &str) -> Result<(), TablesError> {
        let text = format!("DELETE FROM {} WHERE \"name\" = 'schema' IF \"holder\" = ?", self.own(SCHEMA_LOCK));
        self.ask(&text, vec![Bind::Text(holder)]).await.map(drop)
    }

    /// Changes the schema, and waits until all nodes have taken it over.
    async fn change(&self, text: &str) -> Result<(), TablesError> {
        match self.execute(text, Vec::new()).await {
            Ok(_) => Ok(()),
            // A retried change finds that it was made the first time; what is there is compared afterwards in any case.
            Err(Failure::Refused(reason))
                if reason.contains("already exist") || reason.contains("conflicts with an existing") =>
            {
                Ok(())
            }
            Err(failure) => Err(failure.into()),
        }
    }

    async fn ask(&self, text: &str, values: Vec<Bind<'_>>) -> Result<QueryResult, TablesError> {
        self.execute(text, values).await.map_err(TablesError::from)
    }

    async fn execute(&self, text: &str, values: Vec<Bind<'_>>) -> Result<QueryResult, Failure> {
        let mut statement = Statement::new(text);
        statement.set_request_timeout(Some(CHANGE_TIMEOUT));
        statement.set_serial_consistency(Some(SerialConsistency::LocalSerial));
        // What the servers know of their schema, each of them has.
        let is_system = text.contains("FROM system");
        statement.set_consistency(if is_system { Consistency::One } else { Consistency::LocalQuorum });
        Box::pin(self.session.query_unpaged(statement, &values)).await.map_err(Failure::from)
    }

    async fn rows(&self, text: &str, values: Vec<Bind<'_>>) -> Result<Vec<AnswerRow>, TablesError> {
        rows_of(self.ask(text, values).await?)
    }
}

fn rows_of(result: QueryResult) -> Result<Vec<AnswerRow>, TablesError> {
    let rows = result.into_rows_result().map_err(|error| unavailable(&error))?;
    Ok(Answer::new(WHOLE_SCHEMA, &rows)?.into_rows().collect())
}

fn unavailable(error: &dyn std::fmt::Display) -> TablesError {
    TablesError::Unavailable { reason: error.to_string() }
}
