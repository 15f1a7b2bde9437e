//! The folder of a log: its lock, its identity, the commits of its groups, and the names of its files.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use super::disk::Disk;
use super::format::FORMAT_VERSION;
use super::scan::failed;
use crate::log::{LogError, Topic};

const LOCK_FILE: &str = "LOCK";
const META_FILE: &str = "meta.json";
const GROUPS_FILE: &str = "groups.json";
/// The ending of a file that is being written and does not count yet.
const UNFINISHED: &str = "tmp";

/// What identifies a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Meta {
    /// The version of the layout.
    pub(crate) format: u32,
    /// 32 hexadecimal digits, random at creation.
    pub(crate) epoch: String,
    /// Partitions of each topic.
    pub(crate) partitions: u32,
}

impl Meta {
    /// A new identity.
    pub(crate) fn new(partitions: u32) -> io::Result<Self> {
        let mut random = [0; 16];
        File::open("/dev/urandom")?.read_exact(&mut random)?;
        Ok(Self { format: FORMAT_VERSION, epoch: format!("{:032x}", u128::from_be_bytes(random)), partitions })
    }

    /// The epoch as it stands in segments.
    pub(crate) fn epoch_bytes(&self) -> Option<[u8; 16]> {
        let well_formed = self.epoch.len() == 32;
        let number = u128::from_str_radix(&self.epoch, 16).ok();
        number.filter(|_| well_formed).map(u128::to_be_bytes)
    }
}

/// The right to use a folder, as long as it lives.
#[derive(Debug)]
pub(crate) struct FolderLock {
    _file: File,
    /// Whether the machine has not been restarted since the folder was last used: the page cache then kept every write.
    pub(crate) same_boot: bool,
}

/// Takes the right to use the folder, noting this boot of the machine.
pub(crate) fn lock_to_write(dir: &Path) -> Result<FolderLock, LogError> {
    let path = dir.join(LOCK_FILE);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let (mut file, noted) = lock(&path, &options)?;
    let boot = boot_id();
    if noted != boot {
        file.set_len(0)
            .and_then(|()| io::Seek::rewind(&mut file))
            .and_then(|()| file.write_all(boot.as_bytes()))
            .map_err(|error| failed("write to", &path, error))?;
    }
    Ok(FolderLock { _file: file, same_boot: noted == boot && !boot.is_empty() })
}

/// Takes the right to read the folder while no server uses it.
pub(crate) fn lock_to_read(dir: &Path) -> Result<FolderLock, LogError> {
    let path = dir.join(LOCK_FILE);
    let (file, noted) = lock(&path, OpenOptions::new().read(true))?;
    let boot = boot_id();
    Ok(FolderLock { _file: file, same_boot: noted == boot && !boot.is_empty() })
}

fn lock(path: &Path, options: &OpenOptions) -> Result<(File, String), LogError> {
    let mut file = options.open(path).map_err(|error| failed("open", path, error))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            return Err(LogError::Unavailable {
                reason: format!(
                    "another process holds {}: stop it first, since two of them would destroy the log",
                    path.display()
                ),
            });
        }
        Err(error) => return Err(failed("lock", path, error.into())),
    }
    let mut noted = Vec::new();
    file.read_to_end(&mut noted).map_err(|error| failed("read", path, error))?;
    Ok((file, String::from_utf8_lossy(&noted).into_owned()))
}

/// Names the present boot of the machine; empty if the system does not say.
fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|text| text.trim().to_owned()).unwrap_or_default()
}

/// The identity of the log in this folder; `None` if there is none.
pub(crate) fn read_meta(dir: &Path) -> Result<Option<Meta>, LogError> {
    let path = dir.join(META_FILE);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("read", &path, error)),
    };
    let unusable = |what: String| LogError::Unavailable { reason: format!("{}: {what}", path.display()) };
    let meta: Meta = serde_json::from_slice(&text)
        .map_err(|error| unusable(format!("it cannot be read ({error}): restore it from a backup")))?;
    if meta.format != FORMAT_VERSION {
        let found = meta.format;
        return Err(unusable(format!(
            "the log has format {found}, this program reads {FORMAT_VERSION}: use the version that wrote it"
        )));
    }
    if meta.epoch_bytes().is_none() || meta.partitions == 0 {
        return Err(unusable("its epoch or its partitions are impossible: restore it from a backup".to_owned()));
    }
    Ok(Some(meta))
}

/// Writes the identity of a new log.
pub(crate) fn write_meta(disk: &dyn Disk, dir: &Path, meta: &Meta) -> Result<(), LogError> {
    let text = serde_json::to_vec(meta).unwrap_or_default();
    write_whole(disk, &dir.join(META_FILE), &text)
}

/// The commits of consumer groups: group, then `topic/partition`, then the offset.
pub(crate) type Groups = BTreeMap<String, BTreeMap<String, u64>>;

/// The key of a partition in [`Groups`].
pub(crate) fn group_key(topic: Topic, partition: u32) -> String {
    format!("{topic}/{partition}")
}

/// The commits as last written; none if there is no file.
pub(crate) fn read_groups(dir: &Path) -> Result<Groups, LogError> {
    let path = dir.join(GROUPS_FILE);
    match fs::read(&path) {
        Ok(text) => serde_json::from_slice(&text).map_err(|error| LogError::Unavailable {
            reason: format!(
                "{} cannot be read ({error}): restore it, or remove it so that every group begins again",
                path.display()
            ),
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Groups::new()),
        Err(error) => Err(failed("read", &path, error)),
    }
}

/// Replaces the written commits.
pub(crate) fn write_groups(disk: &dyn Disk, dir: &Path, groups: &Groups) -> Result<(), LogError> {
    let text = serde_json::to_vec(groups).unwrap_or_default();
    write_whole(disk, &dir.join(GROUPS_FILE), &text)
}

/// Replaces a small file so that a crash leaves the old one or the new one.
fn write_whole(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<(), LogError> {
    let unfinished = path.with_extension(UNFINISHED);
    let file = disk.create(&unfinished).map_err(|error| failed("create", &unfinished, error))?;
    disk.write_at(&file, &unfinished, bytes, 0).map_err(|error| failed("write to", &unfinished, error))?;
    disk.sync_data(&file, &unfinished).map_err(|error| failed("sync", &unfinished, error))?;
    disk.rename(&unfinished, path).map_err(|error| failed("rename", &unfinished, error))?;
    let folder = path.parent().unwrap_or(path);
    disk.sync_folder(folder).map_err(|error| failed("sync", folder, error))
}

/// The folder of a partition.
pub(crate) fn partition_dir(dir: &Path, topic: Topic, partition: u32) -> PathBuf {
    dir.join(topic.name()).join(partition.to_string())
}

/// The file of the segment that begins with this offset.
pub(crate) fn segment_path(partition_dir: &Path, first_offset: u64) -> PathBuf {
    partition_dir.join(format!("{first_offset:020}.log"))
}

/// The index of a segment.
pub(crate) fn index_path(segment: &Path) -> PathBuf {
    segment.with_extension("index")
}

/// The name of a segment until it counts.
pub(crate) fn unfinished_path(segment: &Path) -> PathBuf {
    segment.with_extension(UNFINISHED)
}

/// The segments of a partition by their first offset, in order; none if there is no such folder.
pub(crate) fn segment_files(partition_dir: &Path) -> Result<Vec<(u64, PathBuf)>, LogError> {
    let mut found = Vec::new();
    for path in files_of(partition_dir)? {
        let first = path
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.strip_suffix(".log"))
            .filter(|digits| digits.len() == 20)
            .and_then(|digits| digits.parse().ok());
        if let Some(first) = first {
            found.push((first, path));
        }
    }
    found.sort();
    Ok(found)
}

/// Removes what a crash left behind: unfinished files, and indexes whose segment is gone.
pub(crate) fn remove_leftovers(partition_dir: &Path) -> Result<(), LogError> {
    for path in files_of(partition_dir)? {
        let ending = path.extension().and_then(|ending| ending.to_str());
        let orphan = ending == Some("index") && !path.with_extension("log").exists();
        if orphan || ending == Some(UNFINISHED) {
            fs::remove_file(&path).map_err(|error| failed("remove", &path, error))?;
        }
    }
    Ok(())
}

fn files_of(dir: &Path) -> Result<Vec<PathBuf>, LogError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed("read", dir, error)),
    };
    entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<_>>()
        .map_err(|error| failed("read", dir, error))
}
