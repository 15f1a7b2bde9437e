//! Cursors of lists: opaque, and good only for the workspace, the list and the filters that gave them.
//!
//! A cursor is base64url of its JSON followed by 16 bytes of HMAC-SHA-256 over the workspace, the name of the list with
//! its filters, and the JSON.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use schemas::WorkspaceId;
use schemas::api::{PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX, Page};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::error::ApiError;

const TAG_BYTES: usize = 16;
/// The longest cursor that is looked at, in characters.
const LONGEST: usize = 1_024;

/// Seals and opens cursors.
#[derive(Clone)]
pub struct Cursors {
    key: [u8; 32],
}

impl std::fmt::Debug for Cursors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cursors(***)")
    }
}

impl Cursors {
    /// With the installation's key.
    pub const fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    /// A cursor for the place after which the next page begins.
    pub fn seal(&self, workspace_id: WorkspaceId, list: &str, place: &impl Serialize) -> String {
        let mut bytes = serde_json::to_vec(place).unwrap_or_default();
        let tag = self.tag(workspace_id, list, &bytes);
        bytes.extend_from_slice(&tag);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The page of a list for which one item more than its limit was read. `place` says after which place of the list an
    /// item's successor begins.
    pub fn page<T, P: Serialize>(
        &self,
        workspace_id: WorkspaceId,
        list: &str,
        (mut items, limit): (Vec<T>, usize),
        place: impl FnOnce(&T) -> P,
    ) -> Page<T> {
        let more = items.len() > limit;
        items.truncate(limit);
        let end = items.last().filter(|_| more);
        Page { next_cursor: end.map(|item| self.seal(workspace_id, list, &place(item))), items }
    }

    /// The place in a cursor.
    ///
    /// # Errors
    /// A problem that names the parameter, if it is not a cursor of this list.
    pub fn open<T: DeserializeOwned>(
        &self,
        workspace_id: WorkspaceId,
        list: &str,
        cursor: Option<&str>,
    ) -> Result<Option<T>, ApiError> {
        let Some(cursor) = cursor else { return Ok(None) };
        let place = (cursor.len() <= LONGEST).then(|| self.read(workspace_id, list, cursor)).flatten();
        let wrong = "it is not a cursor of this list and these filters: begin again without one";
        place.map(Some).ok_or_else(|| ApiError::invalid("cursor", wrong))
    }

    fn read<T: DeserializeOwned>(&self, workspace_id: WorkspaceId, list: &str, cursor: &str) -> Option<T> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (json, tag) = bytes.split_at_checked(bytes.len().checked_sub(TAG_BYTES)?)?;
        let ours: bool = self.tag(workspace_id, list, json).ct_eq(tag).into();
        ours.then(|| serde_json::from_slice(json).ok()).flatten()
    }

    fn tag(&self, workspace_id: WorkspaceId, list: &str, json: &[u8]) -> [u8; TAG_BYTES] {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("a key of any length");
        mac.update(workspace_id.as_bytes());
        mac.update(&(list.len() as u64).to_le_bytes());
        mac.update(list.as_bytes());
        mac.update(json);
        let whole: [u8; 32] = mac.finalize().into_bytes().into();
        let mut tag = [0; TAG_BYTES];
        tag.copy_from_slice(whole.split_at(TAG_BYTES).0);
        tag
    }
}

/// A page with each item as it is shown.
pub fn shown<T, U>(page: Page<T>, show: impl FnMut(T) -> U) -> Page<U> {
    Page { items: page.items.into_iter().map(show).collect(), next_cursor: page.next_cursor }
}

/// The number of items of a page.
///
/// # Errors
/// A problem that names the parameter, if it is out of range.
pub fn page_limit(limit: Option<u32>) -> Result<usize, ApiError> {
    let limit = limit.unwrap_or(PAGE_LIMIT_DEFAULT);
    if (1..=PAGE_LIMIT_MAX).contains(&limit) {
        Ok(limit as usize)
    } else {
        Err(ApiError::invalid("limit", format!("it is {limit}: write 1 to {PAGE_LIMIT_MAX}")))
    }
}

#[cfg(test)]
mod tests {
    use schemas::Timestamp;

    use super::*;

    #[test]
    fn a_cursor_opens_only_where_it_was_sealed() {
        let cursors = Cursors::new([1; 32]);
        let at = Timestamp::from_unix_millis(1);
        let (a, b) = (WorkspaceId::new(at, &[1; 10]), WorkspaceId::new(at, &[2; 10]));
        let cursor = cursors.seal(a, "contacts", &(7_u64, "x"));
        let open = |workspace, list, cursor: &str| cursors.open::<(u64, String)>(workspace, list, Some(cursor));
        assert_eq!(open(a, "contacts", &cursor).unwrap(), Some((7, "x".to_owned())));
        assert!(open(b, "contacts", &cursor).is_err() && open(a, "messages", &cursor).is_err());
        assert!(open(a, "contacts", "").is_err() && open(a, "contacts", &"A".repeat(1_100)).is_err());
        assert!(Cursors::new([2; 32]).open::<(u64, String)>(a, "contacts", Some(&cursor)).is_err());
    }
}
