//! The tables of a query's process: one workspace's files, and nothing else.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::ipc::reader::FileReader;
use datafusion::catalog::TableProvider;
use datafusion::common::{DataFusionError, Result};
use datafusion::dataframe::DataFrame;
use datafusion::datasource::MemTable;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::prelude::SessionContext;

use crate::schema::{self, Table};
use crate::sql::protocol::FileEntry;
use crate::store::file::FileKind;
use crate::{batch, kpi};

/// The conversations as they are now: of those in files over the base, the newest row of each; of the base, those that no
/// other file has. The files over the base are few rows, and stand on the side of the join that is kept in memory.
const CONVERSATIONS_NOW: &str = "
    SELECT * EXCEPT (newest_first) FROM (
        SELECT *, row_number() OVER (PARTITION BY conversation_id ORDER BY version DESC) AS newest_first
        FROM conversations_over_base
    ) WHERE newest_first = 1
    UNION ALL
    SELECT conversations_base.* FROM conversations_over_base
    RIGHT ANTI JOIN conversations_base ON conversations_over_base.conversation_id = conversations_base.conversation_id";

/// Registers every table.
pub(super) async fn register(session: &SessionContext, files: &[FileEntry]) -> Result<()> {
    let mut by_table: BTreeMap<&str, Vec<&FileEntry>> = BTreeMap::new();
    for file in files {
        by_table.entry(&file.table).or_default().push(file);
    }
    for table in schema::STORED {
        let files = by_table.remove(table.name).unwrap_or_default();
        let view = if table.name == schema::CONVERSATIONS.name {
            conversations(session, &files).await?
        } else {
            union(session, table, &files)?
        };
        session.register_table(table.name, view.into_view())?;
    }
    let definitions = kpi::definitions().map_err(|error| DataFusionError::External(Box::new(error)))?;
    for (table, batch) in
        [(schema::CATALOGUE, batch::catalogue()?), (schema::KPI_DEFINITIONS, batch::kpi_definitions(&definitions)?)]
    {
        session.register_table(table.name, memory(table, vec![batch])?)?;
    }
    Ok(())
}

async fn conversations(session: &SessionContext, files: &[&FileEntry]) -> Result<DataFrame> {
    let table = schema::CONVERSATIONS;
    let (base, over): (Vec<_>, Vec<_>) = files.iter().copied().partition(|file| file.kind == FileKind::Base);
    if over.is_empty() {
        return union(session, table, &base);
    }
    session.register_table("conversations_base", union(session, table, &base)?.into_view())?;
    session.register_table("conversations_over_base", union(session, table, &over)?.into_view())?;
    let now = session.sql(CONVERSATIONS_NOW).await?;
    // The view keeps what it reads; a query cannot name it.
    session.deregister_table("conversations_base")?;
    session.deregister_table("conversations_over_base")?;
    Ok(now)
}

/// All rows of these files.
fn union(session: &SessionContext, table: &Table, files: &[&FileEntry]) -> Result<DataFrame> {
    let (fresh, parquet): (Vec<_>, Vec<_>) = files.iter().partition(|file| file.kind == FileKind::Fresh);
    if parquet.is_empty() {
        return session.read_table(memory(table, read_fresh(&fresh)?)?);
    }
    let urls = parquet.iter().map(|file| ListingTableUrl::parse(format!("file:///{}", file.path)));
    let format = ParquetFormat::default().with_force_view_types(false);
    let config = ListingTableConfig::new_with_multi_paths(urls.collect::<Result<_>>()?)
        .with_listing_options(ListingOptions::new(Arc::new(format)))
        .with_schema(table.schema());
    let stored = session.read_table(Arc::new(ListingTable::try_new(config)?))?;
    if fresh.is_empty() {
        return Ok(stored);
    }
    stored.union(session.read_table(memory(table, read_fresh(&fresh)?)?)?)
}

fn memory(table: &Table, batches: Vec<RecordBatch>) -> Result<Arc<dyn TableProvider>> {
    Ok(Arc::new(MemTable::try_new(table.schema(), vec![batches])?))
}

fn read_fresh(files: &[&FileEntry]) -> Result<Vec<RecordBatch>> {
    let mut batches = Vec::new();
    for file in files {
        for batch in FileReader::try_new(File::open(&file.path)?, None)? {
            batches.push(batch?);
        }
    }
    Ok(batches)
}
