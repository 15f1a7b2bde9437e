//! Files of messages: kept once by their content, and found by links that only the hub can make.
//!
//! A link says for itself which file of which workspace it leads to, under which name and until when, and is sealed with the
//! installation's key; so links need no table, and every gateway can read them. Two kinds: to a file that the hub keeps, which
//! providers and visitors fetch, and to a file of a message, which may stand at the provider and is fetched from there.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use schemas::api::file::{FileLink, UploadedFile};
use schemas::message::Attachment;
use schemas::{ChannelId, ConversationId, Timestamp, WorkspaceId};
use serde::{Deserialize, Serialize};
use sha2::Digest as _;
use storage::clock::Clock;
use tokio::sync::Semaphore;

use crate::http::cursor::Cursors;

pub mod folder;
pub mod kind;
pub mod provider;

/// For how long a provider, or a visitor, can fetch a file that was sent.
const SENT_FOR: Duration = Duration::from_hours(7 * 24);
/// For how long somebody who sees a message can fetch its file by one link.
const SEEN_FOR: Duration = Duration::from_hours(1);
/// The most characters of a name.
const NAME_CHARS: usize = 100;
/// Files that are taken, or fetched from providers, at the same time: each is in memory meanwhile.
const AT_ONCE: usize = 8;
/// For how long a visitor may begin an upload that was allowed.
const UPLOAD_WITHIN: Duration = Duration::from_mins(10);
/// What links are sealed for, so that nothing else of the same key can stand for one.
const PURPOSE: &str = "file";
/// What allowed uploads are sealed for.
const UPLOAD: &str = "upload";

/// The SHA-256 of a content, as 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(String);

impl Digest {
    /// Of this content.
    pub fn of(content: &[u8]) -> Self {
        let mut digits = String::with_capacity(64);
        for byte in sha2::Sha256::digest(content) {
            for half in [byte >> 4, byte & 0xf] {
                digits.extend(char::from_digit(half.into(), 16));
            }
        }
        Self(digits)
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A content that is being read.
pub struct Content {
    /// Bytes.
    pub length: u64,
    /// The bytes, in their order.
    pub chunks: BoxStream<'static, io::Result<Bytes>>,
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Content({} bytes)", self.length)
    }
}

/// Where contents are kept. A workspace's are its own: the same content of two workspaces is kept twice, so that nobody
/// learns what others have.
pub trait Blobs: Send + Sync + std::fmt::Debug {
    /// Keeps a content; durable when this returns. The same again changes nothing.
    fn put(&self, workspace_id: WorkspaceId, content: Bytes) -> BoxFuture<'_, io::Result<Digest>>;

    /// A content; `None` if there is none with this digest.
    fn open(&self, workspace_id: WorkspaceId, digest: Digest) -> BoxFuture<'_, io::Result<Option<Content>>>;
}

/// What a link leads to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// A file that the hub keeps.
    #[serde(rename = "k")]
    Kept {
        /// Its content.
        #[serde(rename = "d")]
        digest: Digest,
        /// Its media type.
        #[serde(rename = "t")]
        content_type: String,
    },
    /// A file of a message, wherever it is.
    #[serde(rename = "m")]
    OfMessage {
        /// In which conversation.
        #[serde(rename = "c")]
        conversation_id: ConversationId,
        /// The message's number.
        #[serde(rename = "s")]
        seq: u64,
        /// Which of its files, counted from 0.
        #[serde(rename = "i")]
        index: usize,
    },
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    #[serde(rename = "g")]
    target: Target,
    /// Seconds since 1970.
    #[serde(rename = "u")]
    until: i64,
}

#[derive(Serialize, Deserialize)]
struct AllowedUpload {
    channel_id: ChannelId,
    /// Seconds since 1970.
    until: i64,
}

/// Why a file is not taken.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Its content is of no kind that is taken.
    #[error("this kind of file is not taken: send {}", kind::TAKEN)]
    Kind,
    /// It cannot be kept now.
    #[error("the file cannot be kept")]
    Io(#[source] io::Error),
}

/// The files of this installation.
#[derive(Debug)]
pub struct Files {
    /// Where contents are.
    pub blobs: Arc<dyn Blobs>,
    /// The largest file, in bytes.
    pub max_bytes: usize,
    /// Files of members and of providers that are in memory.
    pub at_once: Semaphore,
    /// Files of visitors that are in memory: strangers who upload slowly hold up nobody but each other.
    pub of_visitors_at_once: Semaphore,
    /// For files at providers.
    pub client: reqwest::Client,
    seals: Cursors,
    base: String,
    uploads: String,
    clock: Arc<dyn Clock>,
}

impl Files {
    /// The files in a folder, with links that begin with the hub's public address.
    ///
    /// # Errors
    /// If the TLS library cannot be set up.
    pub fn new(
        folder: folder::Folder,
        max_mb: usize,
        (seals, public_url): (Cursors, &str),
        clock: Arc<dyn Clock>,
    ) -> Result<Self, reqwest::Error> {
        Ok(Self {
            blobs: Arc::new(folder),
            max_bytes: max_mb << 20,
            at_once: Semaphore::new(AT_ONCE),
            of_visitors_at_once: Semaphore::new(AT_ONCE),
            client: provider::client()?,
            seals,
            base: format!("{public_url}/files/"),
            uploads: format!("{public_url}/api/v1/visitor/files/"),
            clock,
        })
    }

    /// Takes a file.
    ///
    /// # Errors
    /// [`FileError`].
    pub async fn take(&self, workspace_id: WorkspaceId, name: &str, content: Bytes) -> Result<UploadedFile, FileError> {
        let content_type = kind::sniff(&content, name).ok_or(FileError::Kind)?.to_owned();
        let digest = self.blobs.put(workspace_id, content).await.map_err(FileError::Io)?;
        let name = tidy(name);
        let target = Target::Kept { digest, content_type: content_type.clone() };
        Ok(UploadedFile { url: self.address(workspace_id, target, &name, SENT_FOR).url, content_type, name })
    }

    /// A link for somebody who sees the message.
    pub fn link_of_message(
        &self,
        workspace_id: WorkspaceId,
        (conversation_id, seq, index): (ConversationId, u64, usize),
        name: &str,
    ) -> FileLink {
        self.address(workspace_id, Target::OfMessage { conversation_id, seq, index }, &tidy(name), SEEN_FOR)
    }

    fn address(&self, workspace_id: WorkspaceId, target: Target, name: &str, good_for: Duration) -> FileLink {
        let expires_at = self.clock.now().after(good_for);
        let sealed = Sealed { target, until: expires_at.unix_seconds() };
        let token = self.seals.seal(workspace_id, PURPOSE, &sealed);
        let plain = format!("{}{workspace_id}/{token}/", self.base);
        let url = url::Url::parse(&plain).ok().and_then(|mut url| {
            url.path_segments_mut().ok()?.pop_if_empty().push(name);
            Some(url.to_string())
        });
        FileLink { url: url.unwrap_or(plain), expires_at }
    }

    /// What a link of this workspace leads to, as long as it is good.
    pub fn open_link(&self, workspace_id: WorkspaceId, token: &str) -> Option<(Target, Timestamp)> {
        let sealed: Sealed = self.seals.open(workspace_id, PURPOSE, Some(token)).ok().flatten()?;
        (sealed.until > self.clock.now().unix_seconds())
            .then(|| (sealed.target, Timestamp::from_unix_seconds(sealed.until)))
    }

    /// What an address of ours leads to, even if it is good no more: for those who may see the message that holds it.
    pub fn own(&self, workspace_id: WorkspaceId, url: &str) -> Option<Target> {
        self.read_own(workspace_id, url).map(|(target, _name)| target)
    }

    fn read_own(&self, workspace_id: WorkspaceId, url: &str) -> Option<(Target, String)> {
        let (workspace, rest) = url.strip_prefix(&self.base)?.split_once('/')?;
        if workspace != workspace_id.to_string() {
            return None;
        }
        let (token, name) = rest.split_once('/')?;
        let sealed: Sealed = self.seals.open(workspace_id, PURPOSE, Some(token)).ok().flatten()?;
        // A segment of a path is written like a value of a form, but for these two.
        let value = format!("name={}", name.replace('+', "%2B").replace('&', "%26"));
        let (_, name) = url::form_urlencoded::parse(value.as_bytes()).next()?;
        Some((sealed.target, tidy(&name)))
    }

    /// The file that an upload was answered with, to be attached to a message.
    pub fn attached(&self, workspace_id: WorkspaceId, url: &str) -> Option<Attachment> {
        match self.read_own(workspace_id, url)? {
            (Target::Kept { content_type, .. }, name) => {
                Some(Attachment { url: url.to_owned(), content_type, name: Some(name) })
            }
            (Target::OfMessage { .. }, _) => None,
        }
    }

    /// Gives a file of the hub a link that is good from now on, for a visitor who looks at their conversation.
    pub fn renew(&self, workspace_id: WorkspaceId, file: &mut Attachment) {
        if let Some((target @ Target::Kept { .. }, name)) = self.read_own(workspace_id, &file.url) {
            file.url = self.address(workspace_id, target, &name, SENT_FOR).url;
        }
    }

    /// Where a visitor of this channel may upload a file.
    pub fn upload_address(&self, workspace_id: WorkspaceId, channel_id: ChannelId) -> String {
        let until = self.clock.now().after(UPLOAD_WITHIN).unix_seconds();
        let ticket = self.seals.seal(workspace_id, UPLOAD, &AllowedUpload { channel_id, until });
        format!("{}{workspace_id}/{ticket}", self.uploads)
    }

    /// The channel whose visitor may upload a file with this ticket.
    pub fn open_upload(&self, workspace_id: WorkspaceId, ticket: &str) -> Option<ChannelId> {
        let allowed: AllowedUpload = self.seals.open(workspace_id, UPLOAD, Some(ticket)).ok().flatten()?;
        (allowed.until > self.clock.now().unix_seconds()).then_some(allowed.channel_id)
    }
}

/// A name that every system takes: no path, no control characters, not too long.
fn tidy(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let clean: String = last.chars().filter(|one| !one.is_control()).collect();
    let clean = clean.trim().trim_start_matches('.');
    let skipped = clean.chars().count().saturating_sub(NAME_CHARS);
    // The end of a name says what it is.
    let kept: String = clean.chars().skip(skipped).collect();
    if kept.is_empty() { "file".to_owned() } else { kept }
}

#[cfg(test)]
mod tests {
    use super::tidy;

    #[test]
    fn names_are_no_paths() {
        for (given, kept) in [
            ("../../etc/passwd", "passwd"),
            ("C:\\Users\\x\\صورة.png", "صورة.png"),
            (".htaccess", "htaccess"),
            ("a\r\nb: c.txt", "ab: c.txt"),
            ("  ", "file"),
        ] {
            assert_eq!(tidy(given), kept);
        }
        let long = tidy(&format!("{}.pdf", "x".repeat(300)));
        assert_eq!((long.chars().count(), long.rsplit_once('.').unwrap().1), (super::NAME_CHARS, "pdf"));
    }
}
