//! The tables of a query's process: one workspace's files, and nothing else.

use std::collections::BTreeMap;
use std::fs::File;

use arrow::array::RecordBatch;
use arrow::ipc::reader::FileReader;
use datafusion::common::{DataFusionError, Result};
use datafusion::dataframe::DataFrame;
use datafusion::prelude::SessionContext;

use crate::schema::{self, Table};
use crate::sql::protocol::FileEntry;
use crate::store::file::FileKind;
use crate::{batch, kpi, scan};

/// What changes, as it is now: of the rows in files over the base, the newest of each thing; of the base, those that no other
/// file has. The files over the base are few rows, and stand on the side of the join that is kept in memory.
fn newest_sql(table: &str, key: &str) -> String {
    format!(
        "SELECT * EXCEPT (newest_first) FROM (
            SELECT *, row_number() OVER (PARTITION BY {key} ORDER BY version DESC) AS newest_first
            FROM {table}_over_base
        ) WHERE newest_first = 1
        UNION ALL
        SELECT {table}_base.* FROM {table}_over_base
        RIGHT ANTI JOIN {table}_base ON {table}_over_base.{key} = {table}_base.{key}"
    )
}

/// The changes of status among the steps of deliveries.
const MESSAGE_STATUSES: &str = "
    SELECT workspace_id, event_id, message_id, conversation_id, channel_id, seq, from_status, status, error_code, changed_at
    FROM deliveries WHERE from_status IS NOT NULL";

/// Registers every table.
pub(super) async fn register(session: &SessionContext, files: &[FileEntry]) -> Result<()> {
    let mut by_table: BTreeMap<&str, Vec<&FileEntry>> = BTreeMap::new();
    for file in files {
        by_table.entry(&file.table).or_default().push(file);
    }
    for table in schema::STORED {
        let files = by_table.remove(table.name).unwrap_or_default();
        let view = match table.newest_of {
            Some(key) => newest(session, table, key, &files).await?,
            None => union(session, table, &files)?,
        };
        session.register_table(table.name, view.into_view())?;
    }
    let statuses = session.sql(MESSAGE_STATUSES).await?;
    session.register_table(schema::MESSAGE_STATUSES.name, statuses.into_view())?;
    let definitions = kpi::definitions().map_err(|error| DataFusionError::External(Box::new(error)))?;
    for (table, batch) in [
        (schema::CATALOGUE, batch::catalogue()?),
        (schema::CATALOGUE_TABLES, batch::catalogue_tables()?),
        (schema::KPI_DEFINITIONS, batch::kpi_definitions(&definitions)?),
    ] {
        session.register_table(table.name, scan::memory(table, vec![batch])?)?;
    }
    Ok(())
}

async fn newest(session: &SessionContext, table: &Table, key: &str, files: &[&FileEntry]) -> Result<DataFrame> {
    let (base, over): (Vec<_>, Vec<_>) = files.iter().copied().partition(|file| file.kind == FileKind::Base);
    if over.is_empty() {
        return union(session, table, &base);
    }
    let name = table.name;
    let (base_name, over_name) = (format!("{name}_base"), format!("{name}_over_base"));
    session.register_table(&base_name, union(session, table, &base)?.into_view())?;
    session.register_table(&over_name, union(session, table, &over)?.into_view())?;
    let now = session.sql(&newest_sql(name, key)).await?;
    // The view keeps what it reads; a query cannot name it.
    session.deregister_table(&base_name)?;
    session.deregister_table(&over_name)?;
    Ok(now)
}

/// All rows of these files, whose paths are relative to the working folder.
fn union(session: &SessionContext, table: &Table, files: &[&FileEntry]) -> Result<DataFrame> {
    let (fresh, parquet): (Vec<&FileEntry>, Vec<&FileEntry>) =
        files.iter().copied().partition(|file| file.kind == FileKind::Fresh);
    let parquet: Vec<_> = parquet.iter().map(|file| format!("file:///{}", file.path)).collect();
    scan::union(session, table, &parquet, read_fresh(&fresh)?)
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
