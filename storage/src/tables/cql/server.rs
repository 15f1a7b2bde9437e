//! The servers as one: connecting, sending statements, and knowing whether they answer.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use schemas::tables::Table;
use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::policies::load_balancing::DefaultPolicy;
use scylla::policies::retry::{DefaultRetryPolicy, FallthroughRetryPolicy};
use scylla::policies::speculative_execution::SimpleSpeculativeExecutionPolicy;
use scylla::response::query_result::QueryResult;
use scylla::response::{PagingState, PagingStateResponse};
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::prepared::PreparedStatement;
use scylla::statement::{Consistency, SerialConsistency};

use super::CqlOptions;
use super::failure::Failure;
use super::limits::BatchLimits;
use super::statements::{Missing, Operation, Own, Profiles, Statements};
use super::values::Bind;
use crate::tables::TablesError;

/// After so many failures in a row the servers count as away.
const FAILURES_UNTIL_AWAY: u32 = 3;

/// How often servers that are away are asked whether they are back.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// How long a connection may be silent before it is asked for a sign of life, and how long that may take.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// How often the driver asks for the nodes of the cluster, beside being told of changes.
const METADATA_EVERY: Duration = Duration::from_mins(1);

/// A statement with its values.
pub(super) struct Bound<'a> {
    pub(super) statement: Arc<PreparedStatement>,
    pub(super) values: Vec<Bind<'a>>,
}

/// The node, and the shard of it, that holds a partition first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Owner {
    node: u128,
    shard: u32,
}

/// The connections to the servers.
#[derive(Debug)]
pub(super) struct Server {
    session: Session,
    statements: Statements,
    limits: BatchLimits,
    nodes: String,
    failures: AtomicU32,
    last_failure: Mutex<String>,
}

/// A session without anything around it, for opening and for migrations.
pub(super) async fn connect(options: &CqlOptions) -> Result<(Session, Profiles), TablesError> {
    options.check()?;
    let away = |reason: String| TablesError::Unavailable {
        reason: format!(
            "no CQL server answers at {}: {reason}; check tables.nodes, and that ScyllaDB or Cassandra runs there and takes clients on that port",
            options.nodes_text()
        ),
    };
    let profiles = profiles(options);
    let mut builder = SessionBuilder::new()
        .known_nodes(&options.nodes)
        .connection_timeout(options.connect_timeout)
        .default_execution_profile_handle(profiles.write.clone())
        .keepalive_interval(KEEPALIVE)
        .keepalive_timeout(KEEPALIVE)
        .cluster_metadata_refresh_interval(METADATA_EVERY)
        // Routing needs the keyspace's replication and its tables' names, and nothing of other keyspaces.
        .keyspaces_to_fetch([options.keyspace.as_str()])
        .fetch_full_schema_metadata(false)
        .refresh_metadata_on_auto_schema_agreement(false)
        .tls_context(options.tls_config()?);
    if let Some(datacenter) = &options.datacenter {
        builder = builder.prefer_datacenter(datacenter.clone());
    }
    if let Some(credentials) = &options.credentials {
        builder = builder.user(credentials.username.as_str(), credentials.password.expose());
    }
    let session = tokio::time::timeout(options.connect_timeout, Box::pin(builder.build()))
        .await
        .map_err(|_elapsed| away(format!("none within {} s", options.connect_timeout.as_secs_f32())))?
        .map_err(|error| {
            let reason = with_sources(&error);
            match advice(&reason) {
                Some(advice) => TablesError::Invalid {
                    reason: format!("the CQL server at {} lets nobody in: {reason}: {advice}", options.nodes_text()),
                },
                None => away(reason),
            }
        })?;
    Ok((session, profiles))
}

/// An error with what it stems from.
fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let part = error.to_string();
        if !text.contains(&part) {
            text = format!("{text}: {part}");
        }
        source = error.source();
    }
    text
}

/// What to look at if a connection was refused for its security.
fn advice(reason: &str) -> Option<&'static str> {
    let speaks_of = |words: &[&str]| words.iter().any(|word| reason.contains(word));
    if speaks_of(&["certificate", "UnknownIssuer"]) {
        Some("check ca_file in [scylla], and that the nodes' certificates hold their IP addresses")
    } else if speaks_of(&["uthentication", "username", "credentials"]) {
        Some("check username and password in [scylla]")
    } else {
        None
    }
}

fn profiles(options: &CqlOptions) -> Profiles {
    let mut policy = DefaultPolicy::builder().token_aware(true);
    if let Some(datacenter) = &options.datacenter {
        policy = policy.prefer_datacenter(datacenter.clone()).permit_dc_failover(false);
    }
    let base = ExecutionProfile::builder()
        .request_timeout(Some(options.request_timeout))
        .consistency(Consistency::LocalQuorum)
        .serial_consistency(Some(SerialConsistency::LocalSerial))
        .load_balancing_policy(policy.build())
        .retry_policy(Arc::new(DefaultRetryPolicy::new()))
        .build();
    let speculation = (!options.speculative_read_after.is_zero()).then(|| {
        Arc::new(SimpleSpeculativeExecutionPolicy {
            max_retry_count: 1,
            retry_interval: options.speculative_read_after,
        }) as Arc<_>
    });
    Profiles {
        read: base
            .to_builder()
            .speculative_execution_policy(speculation)
            .build()
            .into_handle_with_label("read".to_owned()),
        write: base.clone().into_handle_with_label("write".to_owned()),
        once: base
            .to_builder()
            .retry_policy(Arc::new(FallthroughRetryPolicy::new()))
            .build()
            .into_handle_with_label("once".to_owned()),
    }
}

impl Server {
    pub(super) fn new(options: &CqlOptions, session: Session, profiles: Profiles, limits: BatchLimits) -> Self {
        Self {
            session,
            limits,
            statements: Statements::new(&options.keyspace, profiles),
            nodes: options.nodes_text(),
            failures: AtomicU32::new(0),
            last_failure: Mutex::default(),
        }
    }

    /// What may go into one unlogged batch.
    pub(super) const fn batch_limits(&self) -> BatchLimits {
        self.limits
    }

    /// The statement for an operation on a table.
    pub(super) async fn prepare(
        &self,
        table: &'static Table,
        operation: Operation,
    ) -> Result<Arc<PreparedStatement>, Failure> {
        match self.statements.find(table, operation) {
            Ok(statement) => Ok(statement),
            Err(missing) => self.prepare_missing(missing).await,
        }
    }

    async fn prepare_missing(&self, missing: Missing) -> Result<Arc<PreparedStatement>, Failure> {
        let prepared = Box::pin(self.session.prepare(missing.text.as_str())).await;
        let statement = self.note(prepared.map_err(Failure::from))?;
        Ok(self.statements.keep(&missing, statement))
    }

    /// Executes a statement whose answer is small.
    pub(super) async fn execute(&self, bound: Bound<'_>) -> Result<QueryResult, Failure> {
        count(&bound.statement);
        let result = self.session.execute_unpaged(&bound.statement, &bound.values).await;
        self.note(result.map_err(Failure::from))
    }

    /// Executes an operation on a table.
    pub(super) async fn operate(
        &self,
        table: &'static Table,
        operation: Operation,
        values: Vec<Bind<'_>>,
    ) -> Result<QueryResult, Failure> {
        let statement = self.prepare(table, operation).await?;
        self.execute(Bound { statement, values }).await
    }

    /// Executes an operation on one of the engine's own tables.
    pub(super) async fn operate_own(&self, own: Own, values: Vec<Bind<'_>>) -> Result<QueryResult, Failure> {
        let statement = match self.statements.find_own(own) {
            Ok(statement) => statement,
            Err(missing) => self.prepare_missing(missing).await?,
        };
        self.execute(Bound { statement, values }).await
    }

    /// Who holds the partition that a statement writes; `None` if the driver does not know.
    pub(super) fn owner(&self, bound: &Bound<'_>) -> Option<Owner> {
        let token = bound.statement.calculate_token(&bound.values).ok()??;
        let table = bound.statement.get_table_spec()?;
        let endpoints =
            self.session.get_cluster_state().get_token_endpoints(table.ks_name(), table.table_name(), token);
        endpoints.first().map(|(node, shard)| Owner { node: node.host_id.as_u128(), shard: *shard })
    }

    /// One page of the answer to a statement.
    pub(super) async fn page(
        &self,
        bound: &Bound<'_>,
        from: PagingState,
    ) -> Result<(QueryResult, PagingStateResponse), Failure> {
        count(&bound.statement);
        let result = self.session.execute_single_page(&bound.statement, &bound.values, from).await;
        self.note(result.map_err(Failure::from))
    }

    /// Executes statements as one batch.
    pub(super) async fn batch(&self, kind: BatchType, is_repeatable: bool, all: Vec<Bound<'_>>) -> Result<(), Failure> {
        let mut batch = Batch::new(kind);
        batch.set_consistency(Consistency::LocalQuorum);
        batch.set_is_idempotent(is_repeatable);
        batch.set_execution_profile_handle(Some(self.statements.write_profile()));
        metrics::counter!("saler_tables_requests_total", "kind" => "write").increment(1);
        metrics::counter!("saler_tables_rows_written_total").increment(all.len() as u64);
        let mut values = Vec::with_capacity(all.len());
        for bound in all {
            batch.append_statement(PreparedStatement::clone(&bound.statement));
            values.push(bound.values);
        }
        let result = self.session.batch(&batch, values).await;
        self.note(result.map_err(Failure::from)).map(drop)
    }

    /// Remembers whether servers answer.
    fn note<T>(&self, result: Result<T, Failure>) -> Result<T, Failure> {
        match &result {
            Err(failure) if failure.is_outage() => {
                let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
                *self.last_failure.lock().unwrap_or_else(PoisonError::into_inner) = failure.to_string();
                metrics::counter!("saler_tables_request_failures_total").increment(1);
                if failures == FAILURES_UNTIL_AWAY {
                    metrics::gauge!("saler_tables_stalled").set(1.0);
                    tracing::error!(nodes = %self.nodes, reason = %failure, "the servers of the tables do not answer");
                }
            }
            _ => {
                if self.failures.swap(0, Ordering::Relaxed) >= FAILURES_UNTIL_AWAY {
                    metrics::gauge!("saler_tables_stalled").set(0.0);
                    tracing::info!(nodes = %self.nodes, "the servers of the tables answer again");
                }
            }
        }
        result
    }

    /// Why the servers count as away, if they do.
    pub(super) fn away(&self) -> Option<String> {
        if self.failures.load(Ordering::Relaxed) >= FAILURES_UNTIL_AWAY {
            let reason = self.last_failure.lock().unwrap_or_else(PoisonError::into_inner).clone();
            return Some(format!("the servers of the tables ({}) do not answer: {reason}", self.nodes));
        }
        let cluster = self.session.get_cluster_state();
        if cluster.get_nodes_info().iter().any(|node| node.is_connected()) {
            return None;
        }
        Some(format!("no server of the tables ({}) is connected; connecting goes on", self.nodes))
    }

    /// Asks servers that are away whether they are back, for ever.
    pub(super) async fn probe(self: Arc<Self>) {
        loop {
            tokio::time::sleep(PROBE_EVERY).await;
            if self.failures.load(Ordering::Relaxed) >= FAILURES_UNTIL_AWAY {
                let answer = self.operate_own(Own::Probe, Vec::new()).await;
                tracing::debug!(nodes = %self.nodes, is_back = answer.is_ok(), "the servers of the tables were probed");
            }
        }
    }
}

/// Counts a request by what it asks for. Its text says that.
fn count(statement: &PreparedStatement) {
    let text = statement.get_statement();
    let kind = if text.starts_with("SELECT") {
        "read"
    } else if text.contains(" IF ") {
        "conditional"
    } else {
        metrics::counter!("saler_tables_rows_written_total").increment(1);
        "write"
    };
    metrics::counter!("saler_tables_requests_total", "kind" => kind).increment(1);
}
