//! Settings of a workspace's service: one row for each kind, whose version every change compares.

use schemas::WorkspaceId;
use schemas::service::{ServiceSetting, VersionedSetting};
use schemas::tables::{SERVICE_SETTINGS, Value};
use storage::tables::{Row, TablesError};

use super::{Directory, DirectoryError, in_workspace};

impl Directory {
    /// All settings of a workspace's service that were ever set.
    ///
    /// # Errors
    /// Any of the tables.
    pub async fn service_settings(&self, workspace_id: WorkspaceId) -> Result<Vec<VersionedSetting>, TablesError> {
        self.rows(SERVICE_SETTINGS, vec![workspace_id.into()]).await?.iter().map(setting_of).collect()
    }

    /// The setting of this kind; `None` if it was never set.
    ///
    /// # Errors
    /// Any of the tables.
    pub async fn service_setting(
        &self,
        workspace_id: WorkspaceId,
        kind: &str,
    ) -> Result<Option<VersionedSetting>, TablesError> {
        let row = self.tables.get(SERVICE_SETTINGS, in_workspace(workspace_id, kind)).await?;
        row.as_ref().map(setting_of).transpose()
    }

    /// Sets a setting, which was checked, in place of the one with this version (0: there is none yet).
    ///
    /// # Errors
    /// [`DirectoryError::Conflict`] if it has another version by now; [`DirectoryError::Tables`].
    pub async fn put_service_setting(
        &self,
        workspace_id: WorkspaceId,
        setting: ServiceSetting,
        version: u64,
    ) -> Result<VersionedSetting, DirectoryError> {
        let next = version.saturating_add(1);
        let key = in_workspace(workspace_id, setting.kind());
        let row = Row::new(key).with("version", next.cast_signed()).with_body(&setting)?;
        let expected = (version > 0).then_some(Value::Int(version.cast_signed()));
        if !self.tables.update_if(SERVICE_SETTINGS, row, "version", expected).await? {
            return Err(DirectoryError::Conflict);
        }
        Ok(VersionedSetting { version: next, setting })
    }
}

fn setting_of(row: &Row) -> Result<VersionedSetting, TablesError> {
    let version = row.int("version").unwrap_or(0).cast_unsigned();
    Ok(VersionedSetting { version, setting: row.body(SERVICE_SETTINGS)? })
}
