//! Stands for the engines of a cluster in a program that was built without them.

use std::convert::Infallible;

use storage::tables::Migrated;
use tokio::runtime::Handle;

use super::engines::{EngineSetupError, Engines};
use crate::config::Config;

/// There is no such log here.
#[derive(Clone, Debug)]
pub struct Leaving(Infallible);

impl Leaving {
    #[expect(clippy::unused_async, reason = "as the log that there may be")]
    pub(super) async fn leave(self) {
        match self.0 {}
    }
}

#[expect(clippy::unused_async, reason = "as the engines that there may be")]
pub(super) async fn open(_config: &Config, _node: &str, _background: &Handle) -> Result<Engines, EngineSetupError> {
    Err(EngineSetupError::NotBuilt)
}

/// Makes nothing.
///
/// # Errors
/// [`EngineSetupError::NotBuilt`].
pub async fn migrate(_config: &Config) -> Result<Migrated, EngineSetupError> {
    Err(EngineSetupError::NotBuilt)
}
