//! Business hours of a workspace.

use schemas::WorkspaceId;
use schemas::hours::BusinessHours;
use schemas::tables::WORKSPACES;
use schemas::workspace::Workspace;
use storage::tables::{Key, Row};

use super::{Directory, DirectoryError};

impl Directory {
    /// Sets a workspace's business hours, which were checked, or removes them.
    ///
    /// # Errors
    /// [`DirectoryError::NotFound`], [`DirectoryError::Tables`].
    pub async fn set_business_hours(
        &self,
        workspace_id: WorkspaceId,
        hours: Option<BusinessHours>,
    ) -> Result<Workspace, DirectoryError> {
        let mut workspace = self.workspace(workspace_id).await?;
        workspace.business_hours = hours;
        workspace.version += 1;
        self.put(vec![(WORKSPACES, Row::new(Key::of([workspace_id.into()])).with_body(&workspace)?)]).await?;
        Ok(workspace)
    }
}
