//! Channels with their secrets.

use schemas::channel::{Channel, ChannelRecord, Credentials};
use schemas::tables::{CHANNEL_WORKSPACES, CHANNELS};
use schemas::{ChannelId, WorkspaceId};
use storage::tables::{Key, Row, TablesError};

use super::{Directory, DirectoryError, in_workspace};

impl Directory {
    /// A fresh id for a channel.
    pub fn new_channel_id(&self) -> ChannelId {
        ChannelId::new(self.now(), &rand::random())
    }

    /// Stores a channel that was just made.
    ///
    /// # Errors
    /// [`DirectoryError::Tables`].
    pub async fn create_channel(
        &self,
        workspace_id: WorkspaceId,
        channel: Channel,
        credentials: Credentials,
    ) -> Result<ChannelRecord, DirectoryError> {
        let record = ChannelRecord { channel: Channel { workspace_id, ..channel }, credentials };
        self.put(vec![
            (CHANNELS, Row::new(in_workspace(workspace_id, record.channel.id)).with_body(&record)?),
            (CHANNEL_WORKSPACES, Row::new(Key::of([record.channel.id.into()])).with("workspace_id", workspace_id)),
        ])
        .await?;
        Ok(record)
    }

    /// A channel of a workspace.
    ///
    /// # Errors
    /// [`DirectoryError::NotFound`], [`DirectoryError::Tables`].
    pub async fn channel(
        &self,
        workspace_id: WorkspaceId,
        channel_id: ChannelId,
    ) -> Result<ChannelRecord, DirectoryError> {
        self.entity(CHANNELS, in_workspace(workspace_id, channel_id))
            .await?
            .ok_or(DirectoryError::NotFound { what: "channel" })
    }

    /// The channel that a webhook or a visitor names; its workspace follows from it.
    ///
    /// # Errors
    /// Any of the tables.
    pub async fn channel_by_id(&self, channel_id: ChannelId) -> Result<Option<ChannelRecord>, TablesError> {
        let Some(row) = self.tables.get(CHANNEL_WORKSPACES, Key::of([channel_id.into()])).await? else {
            return Ok(None);
        };
        match row.workspace_id() {
            Some(workspace_id) => self.entity(CHANNELS, in_workspace(workspace_id, channel_id)).await,
            None => Ok(None),
        }
    }

    /// Every channel of a workspace, first made first.
    ///
    /// # Errors
    /// Any of the tables.
    pub async fn channels(&self, workspace_id: WorkspaceId) -> Result<Vec<ChannelRecord>, TablesError> {
        self.entities(CHANNELS, vec![workspace_id.into()]).await
    }

    /// Up to `limit` channels of a workspace that follow `after`, first made first.
    ///
    /// # Errors
    /// Any of the tables.
    pub async fn channels_after(
        &self,
        workspace_id: WorkspaceId,
        after: Option<ChannelId>,
        limit: usize,
    ) -> Result<Vec<ChannelRecord>, TablesError> {
        self.entities_after(CHANNELS, workspace_id, after, limit).await
    }

    /// Changes a channel; its version grows by one.
    ///
    /// # Errors
    /// [`DirectoryError::NotFound`], what `change` returns, [`DirectoryError::Tables`].
    pub async fn change_channel(
        &self,
        workspace_id: WorkspaceId,
        channel_id: ChannelId,
        change: impl FnOnce(&mut ChannelRecord) -> Result<(), DirectoryError>,
    ) -> Result<ChannelRecord, DirectoryError> {
        let mut record = self.channel(workspace_id, channel_id).await?;
        change(&mut record)?;
        record.channel.version += 1;
        self.put(vec![(CHANNELS, Row::new(in_workspace(workspace_id, channel_id)).with_body(&record)?)]).await?;
        Ok(record)
    }
}
