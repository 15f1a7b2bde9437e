//! Settings of the installation that it makes for itself at the first start.

use schemas::tables::{INSTALLATION, Value};
use storage::tables::{Key, Row, TablesError};

use super::Directory;

impl Directory {
    /// The 32 random bytes that are kept under `name`; made and stored durably at the first call. Two processes that start
    /// at once get the same.
    ///
    /// # Errors
    /// Any of the tables; [`TablesError::Corrupt`] if what is there is not 32 bytes.
    pub async fn installation_secret(&self, name: &str) -> Result<[u8; 32], TablesError> {
        let fresh: [u8; 32] = rand::random();
        let row = Row::new(Key::of([name.into()])).with("body", fresh.to_vec());
        match self.tables.insert_if_absent(INSTALLATION, row).await? {
            None => Ok(fresh),
            Some(kept) => match kept.get("body") {
                Some(Value::Blob(bytes)) => bytes.as_slice().try_into().map_err(|_length| TablesError::Corrupt {
                    table: INSTALLATION.name,
                    reason: format!("the secret {name} has {} bytes instead of 32", bytes.len()),
                }),
                _ => Err(TablesError::Corrupt {
                    table: INSTALLATION.name,
                    reason: format!("the secret {name} has no body"),
                }),
            },
        }
    }
}
