//! A table of one workspace for DataFusion: rows in Parquet files and rows in memory as one.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::common::Result;
use datafusion::dataframe::DataFrame;
use datafusion::datasource::MemTable;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::prelude::SessionContext;

use crate::schema::Table;

/// All rows of these Parquet files (`file:///…`) and of these batches. A column that a file does not have reads as null.
pub(crate) fn union(
    session: &SessionContext,
    table: &Table,
    files: &[String],
    batches: Vec<RecordBatch>,
) -> Result<DataFrame> {
    if files.is_empty() {
        return session.read_table(memory(table, batches)?);
    }
    let urls = files.iter().map(ListingTableUrl::parse);
    let format = ParquetFormat::default().with_force_view_types(false);
    let config = ListingTableConfig::new_with_multi_paths(urls.collect::<Result<_>>()?)
        .with_listing_options(ListingOptions::new(Arc::new(format)))
        .with_schema(table.schema());
    let stored = session.read_table(Arc::new(ListingTable::try_new(config)?))?;
    if batches.is_empty() {
        return Ok(stored);
    }
    stored.union(session.read_table(memory(table, batches)?)?)
}

/// A table of rows in memory.
pub(crate) fn memory(table: &Table, batches: Vec<RecordBatch>) -> Result<Arc<dyn TableProvider>> {
    Ok(Arc::new(MemTable::try_new(table.schema(), vec![batches])?))
}
