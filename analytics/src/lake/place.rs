//! Where a lake is: named files that are written whole, some of them only if they are not there yet.

use std::fmt::Debug;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::store::file::{replace, sync_folder};

/// A file of a lake cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {path}")]
pub struct PlaceError {
    /// What was tried.
    pub action: &'static str,
    /// On which file or folder.
    pub path: String,
    /// How it failed.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl PlaceError {
    /// What was tried, on what, and how it failed.
    pub fn new(
        action: &'static str,
        path: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self { action, path: path.into(), source: source.into() }
    }
}

/// A place for files. Paths are relative to it, with slashes. All of it blocks.
pub trait Place: Debug + Send + Sync {
    /// The names of the files directly in a folder, in any order; none if there is no such folder.
    ///
    /// # Errors
    /// If it cannot be listed.
    fn list(&self, folder: &str) -> Result<Vec<String>, PlaceError>;

    /// A file's content.
    ///
    /// # Errors
    /// If it cannot be read, or is not there.
    fn read(&self, path: &str) -> Result<Vec<u8>, PlaceError>;

    /// Writes a file, durably, unless one of this name is there: then nothing is changed and the answer is `false`.
    ///
    /// # Errors
    /// If it cannot be written. Whether it was is then not known.
    fn create(&self, path: &str, content: &[u8]) -> Result<bool, PlaceError>;

    /// Writes a file, durably, or replaces the one of this name.
    ///
    /// # Errors
    /// If it cannot be written; then the old one stays.
    fn replace(&self, path: &str, content: &[u8]) -> Result<(), PlaceError>;

    /// Sees to it that a file of this machine is there under this path.
    ///
    /// # Errors
    /// If it cannot be brought there.
    fn bring(&self, path: &str, from: &Path) -> Result<(), PlaceError>;

    /// Removes a file, if it is there.
    ///
    /// # Errors
    /// If it cannot be removed.
    fn remove(&self, path: &str) -> Result<(), PlaceError>;
}

/// A folder of this machine.
#[derive(Debug)]
pub struct LocalPlace {
    root: PathBuf,
}

impl LocalPlace {
    /// A folder, which need not be there yet.
    pub const fn new(root: PathBuf) -> Self {
        Self { root }
    }

    fn full(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }
}

impl Place for LocalPlace {
    fn list(&self, folder: &str) -> Result<Vec<String>, PlaceError> {
        let failed = |source| PlaceError::new("list", folder, source);
        let entries = match fs::read_dir(self.full(folder)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            read => read.map_err(failed)?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed)?;
            if entry.file_type().map_err(failed)?.is_file() {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        Ok(names)
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, PlaceError> {
        fs::read(self.full(path)).map_err(|source| PlaceError::new("read", path, source))
    }

    fn create(&self, path: &str, content: &[u8]) -> Result<bool, PlaceError> {
        let full = self.full(path);
        let draft = full.with_extension("draft");
        let write = || -> std::io::Result<bool> {
            let folder = full.parent().unwrap_or(Path::new(""));
            if !folder.is_dir() {
                fs::create_dir_all(folder)?;
                folder.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())?;
            }
            let mut file = File::create(&draft)?;
            file.write_all(content)?;
            file.sync_all()?;
            // A link is never made over a file that is there; a rename would replace it.
            let created = match fs::hard_link(&draft, &full) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => false,
                linked => linked.map(|()| true)?,
            };
            fs::remove_file(&draft)?;
            Ok(created)
        };
        let created = write().map_err(|source| PlaceError::new("write", path, source))?;
        if let Some(folder) = full.parent() {
            sync_folder(folder).map_err(|source| PlaceError::new("write", path, source))?;
        }
        Ok(created)
    }

    fn replace(&self, path: &str, content: &[u8]) -> Result<(), PlaceError> {
        replace(&self.full(path), content).map_err(|source| PlaceError::new("write", path, source))
    }

    fn bring(&self, path: &str, from: &Path) -> Result<(), PlaceError> {
        let full = self.full(path);
        if full == from {
            return Ok(());
        }
        let content = fs::read(from).map_err(|source| PlaceError::new("copy", path, source))?;
        self.replace(path, &content)
    }

    fn remove(&self, path: &str) -> Result<(), PlaceError> {
        match fs::remove_file(self.full(path)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(PlaceError::new("remove", path, error)),
            _ => Ok(()),
        }
    }
}
