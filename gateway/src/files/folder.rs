//! Blobs in a folder of the machine: `<folder>/<workspace>/<first two digits>/<digest>`, each written once.
//!
//! A file is written beside its place, synced and renamed, so what stands under a digest is whole. Gateways that share the
//! folder see each other's files. Nothing is taken once the disk has less room than the folder must leave: the log, which is
//! likely on the same disk, needs it more.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};
use schemas::WorkspaceId;
use tokio::io::AsyncReadExt;

use super::{Blobs, Content, Digest};

/// How much is read at a time, in bytes.
const CHUNK: usize = 64 << 10;

/// The blobs below a folder.
#[derive(Clone, Debug)]
pub struct Folder {
    root: PathBuf,
    min_free_bytes: u64,
}

impl Folder {
    /// The blobs below `root`, which is made when it is first needed. So many bytes of the disk are left free.
    pub fn new(root: PathBuf, min_free_bytes: u64) -> Self {
        Self { root, min_free_bytes }
    }

    fn path(&self, workspace_id: WorkspaceId, digest: &Digest) -> PathBuf {
        let name = digest.as_str();
        self.root.join(workspace_id.to_string()).join(name.get(..2).unwrap_or(name)).join(name)
    }
}

impl Blobs for Folder {
    fn put(&self, workspace_id: WorkspaceId, content: Bytes) -> BoxFuture<'_, io::Result<Digest>> {
        async move {
            let digest = Digest::of(&content);
            let path = self.path(workspace_id, &digest);
            let min_free = self.min_free_bytes;
            tokio::task::spawn_blocking(move || write(&path, &content, min_free)).await.map_err(io::Error::other)??;
            Ok(digest)
        }
        .boxed()
    }

    fn open(&self, workspace_id: WorkspaceId, digest: Digest) -> BoxFuture<'_, io::Result<Option<Content>>> {
        async move {
            let file = match tokio::fs::File::open(self.path(workspace_id, &digest)).await {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            };
            let length = file.metadata().await?.len();
            let chunks = stream::try_unfold(file, async |mut file| {
                let mut chunk = Vec::with_capacity(CHUNK);
                let read = (&mut file).take(CHUNK as u64).read_to_end(&mut chunk).await?;
                Ok((read > 0).then(|| (Bytes::from(chunk), file)))
            });
            Ok(Some(Content { length, chunks: chunks.boxed() }))
        }
        .boxed()
    }
}

fn write(path: &Path, content: &[u8], min_free_bytes: u64) -> io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    fs::create_dir_all(folder)?;
    let room = rustix::fs::statvfs(folder)?;
    if room.f_bavail.saturating_mul(room.f_frsize) < min_free_bytes.saturating_add(content.len() as u64) {
        return Err(io::Error::new(io::ErrorKind::StorageFull, "the disk has too little room for further files"));
    }
    let beside = path.with_extension(format!("{:016x}.part", rand::random::<u64>()));
    let written = (|| {
        let mut file = fs::File::create_new(&beside)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        fs::File::open(folder)?.sync_all()
    })();
    if written.is_err() {
        // What is left is no file of anybody's; that it could not be removed either says nothing more.
        drop(fs::remove_file(&beside));
    }
    written
}
