//! Whose turn it is to derive rows from a partition of the log, for engines that one process has to itself.

use std::collections::BTreeMap;

use super::{Derivation, TablesError};

/// The last turn of each partition. Turns of a process that has ended need not be remembered: it cannot write any more.
#[derive(Debug, Default)]
pub(super) struct Turns(BTreeMap<u32, u64>);

impl Turns {
    /// Begins a new turn and returns its number; those before it are over.
    pub(super) fn take(&mut self, partition: u32) -> u64 {
        let turn = self.0.entry(partition).or_default();
        *turn += 1;
        *turn
    }

    /// Whether a batch comes from the turn that is on.
    pub(super) fn check(&self, derivation: Option<Derivation>) -> Result<(), TablesError> {
        match derivation {
            Some(Derivation { partition, turn, .. }) if self.0.get(&partition) != Some(&turn) => {
                Err(TablesError::Superseded { partition })
            }
            _ => Ok(()),
        }
    }
}
