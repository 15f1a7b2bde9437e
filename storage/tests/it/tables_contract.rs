//! The contract suite of the tables, over every engine that needs nothing but this machine.

use std::sync::Arc;

use async_trait::async_trait;
use storage::contract::tables::Factory;
use storage::tables::Tables;
use storage::tables::embedded::{EmbeddedTables, EmbeddedTablesOptions};
use storage::tables::memory::MemoryTables;
use tempfile::TempDir;

pub(crate) struct Memory;

#[async_trait]
impl Factory for Memory {
    async fn open(&self) -> Arc<dyn Tables> {
        Arc::new(MemoryTables::new())
    }

    fn is_persistent(&self) -> bool {
        false
    }
}

pub(crate) struct Embedded(TempDir);

impl Embedded {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }
}

#[async_trait]
impl Factory for Embedded {
    async fn open(&self) -> Arc<dyn Tables> {
        Arc::new(EmbeddedTables::open(small(&self.0)).unwrap())
    }

    fn is_persistent(&self) -> bool {
        true
    }
}

/// Options under which little data makes the store write files and merge them.
pub(crate) fn small(dir: &TempDir) -> EmbeddedTablesOptions {
    EmbeddedTablesOptions {
        cache_bytes: 1 << 20,
        write_buffer_bytes: 128 << 10,
        minimum_free_bytes: 0,
        ..EmbeddedTablesOptions::new(dir.path())
    }
}

storage::tables_contract!(memory, crate::tables_contract::Memory);
storage::tables_contract!(embedded, crate::tables_contract::Embedded::new());
