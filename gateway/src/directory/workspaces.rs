//! Workspaces and labels.

use schemas::WorkspaceId;
use schemas::api::workspace::Label;
use schemas::tables::{LABELS, WORKSPACE_IDS, WORKSPACES};
use schemas::workspace::Workspace;
use storage::tables::{Key, Row, TablesError};

use super::{Directory, DirectoryError, checked_text, clustering_ids, in_workspace};

impl Directory {
    /// Makes a workspace.
    ///
    /// # Errors
    /// [`DirectoryError::Invalid`] for the name or time zone; [`DirectoryError::Tables`].
    pub async fn create_workspace(&self, name: &str, time_zone: Option<&str>) -> Result<Workspace, DirectoryError> {
        let at = self.now();
        let workspace = Workspace {
            id: WorkspaceId::new(at, &rand::random()),
            name: checked_text("name", name, 1, 100)?,
            time_zone: checked_time_zone(time_zone.unwrap_or("UTC"))?,
            business_hours: None,
            version: 0,
            created_at: at,
        };
        self.put(vec![
            (WORKSPACES, Row::new(Key::of([workspace.id.into()])).with_body(&workspace)?),
            (WORKSPACE_IDS, Row::new(Key::of(["all".into()]).at([workspace.id.into()]))),
        ])
        .await?;
        Ok(workspace)
    }

    /// A workspace.
    ///
    /// # Errors
    /// [`DirectoryError::NotFound`], [`DirectoryError::Tables`].
    pub async fn workspace(&self, workspace_id: WorkspaceId) -> Result<Workspace, DirectoryError> {
        self.entity(WORKSPACES, Key::of([workspace_id.into()]))
            .await?
            .ok_or(DirectoryError::NotFound { what: "workspace" })
    }

    /// The ids of all workspaces, for tasks that visit each; never for answers to anybody.
    ///
    /// # Errors
    /// Any of the tables.
    pub async fn all_workspace_ids(&self) -> Result<Vec<WorkspaceId>, TablesError> {
        let rows = self.rows(WORKSPACE_IDS, vec!["all".into()]).await?;
        Ok(clustering_ids(&rows).map(WorkspaceId::from_bytes).collect())
    }

    /// Changes a workspace's name or time zone.
    ///
    /// # Errors
    /// [`DirectoryError::NotFound`], [`DirectoryError::Invalid`], [`DirectoryError::Tables`].
    pub async fn change_workspace(
        &self,
        workspace_id: WorkspaceId,
        name: Option<&str>,
        time_zone: Option<&str>,
    ) -> Result<Workspace, DirectoryError> {
        let mut workspace = self.workspace(workspace_id).await?;
        if let Some(name) = name {
            workspace.name = checked_text("name", name, 1, 100)?;
        }
        if let Some(time_zone) = time_zone {
            workspace.time_zone = checked_time_zone(time_zone)?;
            workspace.version += 1;
        }
        self.put(vec![(WORKSPACES, Row::new(Key::of([workspace_id.into()])).with_body(&workspace)?)]).await?;
        Ok(workspace)
    }

    /// Up to `limit` labels that a workspace offers, by name, that follow `after`.
    ///
    /// # Errors
    /// Any of the tables.
    pub async fn labels_after(
        &self,
        workspace_id: WorkspaceId,
        after: Option<String>,
        limit: usize,
    ) -> Result<Vec<Label>, TablesError> {
        self.entities_after(LABELS, workspace_id, after, limit).await
    }

    /// Makes a label, or changes its colour.
    ///
    /// # Errors
    /// [`DirectoryError::Invalid`], [`DirectoryError::Tables`].
    pub async fn put_label(
        &self,
        workspace_id: WorkspaceId,
        name: &str,
        color: Option<String>,
    ) -> Result<Label, DirectoryError> {
        let name = checked_text("name", name, 1, 50)?;
        if color.as_deref().is_some_and(|color| !is_color(color)) {
            return Err(DirectoryError::invalid("color", "write # and six hexadecimal digits, such as #1f7a5c"));
        }
        let label = Label { name: name.clone(), color };
        self.put(vec![(LABELS, Row::new(in_workspace(workspace_id, name)).with_body(&label)?)]).await?;
        Ok(label)
    }

    /// Removes a label from what the workspace offers. Conversations keep it.
    ///
    /// # Errors
    /// [`DirectoryError::NotFound`], [`DirectoryError::Tables`].
    pub async fn remove_label(&self, workspace_id: WorkspaceId, name: &str) -> Result<(), DirectoryError> {
        let key = in_workspace(workspace_id, name);
        if self.tables.get(LABELS, key.clone()).await?.is_none() {
            return Err(DirectoryError::NotFound { what: "label" });
        }
        Ok(self.remove(vec![(LABELS, key)]).await?)
    }
}

fn is_color(text: &str) -> bool {
    text.strip_prefix('#').is_some_and(|digits| digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// The name of a zone that the IANA's time zone database knows, letter for letter.
fn checked_time_zone(name: &str) -> Result<String, DirectoryError> {
    match name.parse::<chrono_tz::Tz>() {
        Ok(zone) => Ok(zone.name().to_owned()),
        Err(_unknown) => {
            let shown: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
            let reason = format!(
                "there is no time zone {shown:?}: write a name of the IANA's database, such as Asia/Amman or UTC"
            );
            Err(DirectoryError::invalid("time_zone", reason))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::checked_time_zone;

    #[test]
    fn only_zones_that_exist_are_taken() {
        for known in ["UTC", "Asia/Amman", "America/Argentina/Buenos_Aires", "Etc/GMT+3"] {
            assert_eq!(checked_time_zone(known).unwrap(), known);
        }
        for unknown in ["", "Mars", "asia/amman", "Asia/Amman ", "Asia", "+03:00", "Asia/Amman\n"] {
            assert!(checked_time_zone(unknown).unwrap_err().to_string().contains("time_zone"), "{unknown:?}");
        }
    }
}
