//! API tokens as rows. How a token is made and checked: [`crate::auth::api_token`].

use schemas::api::workspace::ApiToken;
use schemas::tables::{API_TOKENS, WORKSPACE_TOKENS};
use schemas::{TokenId, WorkspaceId};
use serde::{Deserialize, Serialize};
use storage::tables::{Key, Row, TablesError};

use super::{Directory, DirectoryError, clustering_ids, in_workspace};

/// A row of [`API_TOKENS`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// What the API shows.
    pub token: ApiToken,
    /// Whose it is.
    pub workspace_id: WorkspaceId,
    /// SHA-256 of the secret, in base64.
    pub secret_hash: String,
}

impl Directory {
    /// Stores a token.
    ///
    /// # Errors
    /// [`DirectoryError::Tables`].
    pub async fn create_token(&self, workspace_id: WorkspaceId, record: &TokenRecord) -> Result<(), DirectoryError> {
        self.put(vec![
            (API_TOKENS, Row::new(Key::of([record.token.id.into()])).with_body(record)?),
            (WORKSPACE_TOKENS, Row::new(in_workspace(workspace_id, record.token.id))),
        ])
        .await?;
        Ok(())
    }

    /// A token by its id alone: for checking a credential, which says the workspace.
    ///
    /// # Errors
    /// Any of the tables.
    pub async fn token(&self, token_id: TokenId) -> Result<Option<TokenRecord>, TablesError> {
        self.entity(API_TOKENS, Key::of([token_id.into()])).await
    }

    /// Up to `limit` tokens of a workspace that follow `after`, first made first.
    ///
    /// # Errors
    /// Any of the tables.
    pub async fn tokens_after(
        &self,
        workspace_id: WorkspaceId,
        after: Option<TokenId>,
        limit: usize,
    ) -> Result<Vec<TokenRecord>, TablesError> {
        let rows = self.rows_after(WORKSPACE_TOKENS, workspace_id, after, limit).await?;
        let keys = clustering_ids(&rows).map(|id| (API_TOKENS, Key::of([TokenId::from_bytes(id).into()]))).collect();
        self.tables.get_many(keys).await?.iter().flatten().map(|row| row.body(API_TOKENS)).collect()
    }

    /// Removes a token: from then on it is not believed.
    ///
    /// # Errors
    /// [`DirectoryError::NotFound`] if the workspace has no such token; [`DirectoryError::Tables`].
    pub async fn remove_token(
        &self,
        workspace_id: WorkspaceId,
        token_id: TokenId,
    ) -> Result<TokenRecord, DirectoryError> {
        let missing = DirectoryError::NotFound { what: "token" };
        let record = self.token(token_id).await?.ok_or(missing)?;
        if record.workspace_id != workspace_id {
            return Err(DirectoryError::NotFound { what: "token" });
        }
        self.remove(vec![
            (API_TOKENS, Key::of([token_id.into()])),
            (WORKSPACE_TOKENS, in_workspace(workspace_id, token_id)),
        ])
        .await?;
        Ok(record)
    }
}
