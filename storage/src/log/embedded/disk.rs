//! What the log asks of the file system, as a trait whose methods are the real calls.
//!
//! Every write, sync and change of a folder goes through here, so that tests can make any of them fail as a disk does.
//! Reads do not: what they return is checked by its checksum anyway.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::FallocateFlags;

/// The calls that change files. Each method is the real call unless it is overridden.
pub trait Disk: Send + Sync + fmt::Debug {
    /// Makes a new, empty file, or empties the one that is there.
    ///
    /// # Errors
    /// As the system reports.
    fn create(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)
    }

    /// Writes all of `bytes` at `position`. After an error any part of them may have been written.
    ///
    /// # Errors
    /// As the system reports.
    fn write_at(&self, file: &File, path: &Path, bytes: &[u8], position: u64) -> io::Result<()> {
        let _ = path;
        file.write_all_at(bytes, position)
    }

    /// Makes the file's bytes durable (fdatasync).
    ///
    /// # Errors
    /// As the system reports.
    fn sync_data(&self, file: &File, path: &Path) -> io::Result<()> {
        let _ = path;
        file.sync_data()
    }

    /// Sets the file's length; what it gains reads as zeros.
    ///
    /// # Errors
    /// As the system reports.
    fn set_length(&self, file: &File, path: &Path, length: u64) -> io::Result<()> {
        let _ = path;
        file.set_len(length)
    }

    /// Reserves space for the bytes from `from` up to `to`, which then read as zeros, and lengthens the file to `to`.
    ///
    /// # Errors
    /// As the system reports.
    fn reserve(&self, file: &File, path: &Path, from: u64, to: u64) -> io::Result<()> {
        let _ = path;
        Ok(rustix::fs::fallocate(file, FallocateFlags::empty(), from, to.saturating_sub(from))?)
    }

    /// Gives a file another name in the same folder, replacing what had it.
    ///
    /// # Errors
    /// As the system reports.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    /// Makes the names in a folder durable.
    ///
    /// # Errors
    /// As the system reports.
    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    /// How many bytes an ordinary user may still write to the volume of `path`.
    ///
    /// # Errors
    /// As the system reports.
    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let volume = rustix::fs::statvfs(path)?;
        Ok(volume.f_bavail.saturating_mul(volume.f_frsize))
    }
}

/// The file system as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {}

/// Whether the call failed for want of room, so that it may succeed later.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
