//! The DataFusion session of a query's process: few functions, no settings, no formats, no files but the workspace's.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::execution::context::{SQLOptions, SessionContext};
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::object_store::ObjectStoreRegistry;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF, WindowUDF};
use datafusion::object_store::ObjectStore;
use datafusion::object_store::local::LocalFileSystem;
use datafusion::prelude::SessionConfig;

use crate::kpi::functions;
use crate::sql::functions::is_needed;

/// What plans may not hold.
pub(super) fn options() -> SQLOptions {
    SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false)
}

/// Opens a session over the working folder.
pub(super) fn open(pool_bytes: usize) -> Result<SessionContext> {
    let mut config = SessionConfig::new()
        .with_target_partitions(1)
        .with_information_schema(false)
        .with_create_default_catalog_and_schema(true);
    let options = config.options_mut();
    options.execution.enable_recursive_ctes = false;
    options.execution.time_zone = Some("UTC".to_owned());
    options.execution.parquet.schema_force_view_types = false;
    options.sql_parser.map_string_types_to_utf8view = false;
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(pool_bytes)))
        .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
        .with_object_store_registry(Arc::new(WorkingFolder::open()?))
        .build_arc()?;
    let mut builder = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_default_features()
        .with_higher_order_functions(Vec::new());
    // With the defaults come file formats, table functions and hundreds of functions: only the allowed ones stay.
    *builder.file_formats() = Some(Vec::new());
    *builder.table_functions() = None;
    builder.table_factories().take();
    if let Some(functions) = builder.scalar_functions() {
        functions.retain(|function: &Arc<ScalarUDF>| is_any_needed(function.name(), function.aliases()));
    }
    if let Some(functions) = builder.aggregate_functions() {
        functions.retain(|function: &Arc<AggregateUDF>| is_any_needed(function.name(), function.aliases()));
    }
    if let Some(functions) = builder.window_functions() {
        functions.retain(|function: &Arc<WindowUDF>| is_any_needed(function.name(), function.aliases()));
    }
    let session = SessionContext::new_with_state(builder.build());
    functions::register(&session);
    Ok(session)
}

fn is_any_needed(name: &str, aliases: &[String]) -> bool {
    is_needed(name) || aliases.iter().any(|alias| is_needed(alias))
}

/// An object store registry that knows the working folder and nothing else.
#[derive(Debug)]
struct WorkingFolder(Arc<dyn ObjectStore>);

impl WorkingFolder {
    fn open() -> Result<Self> {
        Ok(Self(Arc::new(LocalFileSystem::new_with_prefix(".")?)))
    }
}

impl ObjectStoreRegistry for WorkingFolder {
    fn register_store(&self, _url: &url::Url, _store: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        None
    }

    fn get_store(&self, url: &url::Url) -> Result<Arc<dyn ObjectStore>> {
        if url.scheme() == "file" {
            return Ok(Arc::clone(&self.0));
        }
        Err(datafusion::common::DataFusionError::Plan("there is nothing but the tables of the catalogue".to_owned()))
    }
}
