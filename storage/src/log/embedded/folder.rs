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
use crate::log::{Durability, LogError, Topic};

const LOCK_FILE: &str = "LOCK";
/// What LOCK says after a clean stop.
const CLOSED: &str = "closed";
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
    /// How often acknowledged records may have been lost.
    #[serde(default)]
    pub(crate) generation: u64,
    /// Partitions of each topic.
    pub(crate) partitions: u32,
}

impl Meta {
    /// A new identity.
    pub(crate) fn new(partitions: u32) -> io::Result<Self> {
        let mut random = [0; 16];
        File::open("/dev/urandom")?.read_exact(&mut random)?;
        let epoch = format!("{:032x}", u128::from_be_bytes(random));
        Ok(Self { format: FORMAT_VERSION, epoch, generation: 0, partitions })
    }

    /// The name of this history of records.
    pub(crate) fn full_epoch(&self) -> String {
        format!("{}.{}", self.epoch, self.generation)
    }

    /// The epoch as it stands in segments.
    pub(crate) fn epoch_bytes(&self) -> Option<[u8; 16]> {
        let well_formed = self.epoch.len() == 32;
        let number = u128::from_str_radix(&self.epoch, 16).ok();
        number.filter(|_| well_formed).map(u128::to_be_bytes)
    }
}

/// How the folder was used last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LastUse {
    /// It was closed cleanly, or not used before.
    Closed,
    /// By a process that was killed; the machine runs since, so that the page cache has kept every write.
    Killed,
    /// The machine was restarted meanwhile. What was acknowledged was durable.
    PowerLost,
    /// The machine was restarted meanwhile, and what was acknowledged last may not have been durable.
    PowerLostWithoutFsync,
}

impl LastUse {
    fn parse(noted: &str) -> Self {
        let mut words = noted.splitn(2, ' ');
        let (boot, durability) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if noted.is_empty() || noted == CLOSED {
            Self::Closed
        } else if boot_id().is_some_and(|id| id == boot) {
            Self::Killed
        } else if durability == Durability::Fsync.to_string() {
            Self::PowerLost
        } else {
            Self::PowerLostWithoutFsync
        }
    }

    /// Whether what was written later cannot be on the disk without what was written before.
    pub(crate) const fn kept_order(self) -> bool {
        matches!(self, Self::Closed | Self::Killed)
    }
}

/// The right to use a folder, as long as it lives.
#[derive(Debug)]
pub(crate) struct FolderLock {
    file: File,
    path: PathBuf,
    /// How the folder was used before.
    pub(crate) last_use: LastUse,
}

impl FolderLock {
    /// Notes that the folder is used from now on, on this boot of the machine, with this durability.
    pub(crate) fn note_use(&mut self, durability: &str) -> Result<(), LogError> {
        let boot = boot_id();
        self.note(&format!("{} {durability}", boot.as_deref().unwrap_or("unknown")))
    }

    /// Notes that everything in the folder is durable and nobody uses it.
    pub(crate) fn note_closed(&mut self) -> Result<(), LogError> {
        self.note(CLOSED)
    }

    fn note(&mut self, text: &str) -> Result<(), LogError> {
        self.file
            .set_len(0)
            .and_then(|()| io::Seek::rewind(&mut self.file))
            .and_then(|()| self.file.write_all(text.as_bytes()))
            .and_then(|()| self.file.sync_data())
            .map_err(|error| failed("write to", &self.path, error))
    }
}

/// Takes the right to use the folder.
pub(crate) fn lock_to_write(dir: &Path) -> Result<FolderLock, LogError> {
    lock(dir, OpenOptions::new().read(true).write(true).create(true).truncate(false))
}

/// Takes the right to read the folder while no server uses it.
pub(crate) fn lock_to_read(dir: &Path) -> Result<FolderLock, LogError> {
    lock(dir, OpenOptions::new().read(true))
}

fn lock(dir: &Path, options: &OpenOptions) -> Result<FolderLock, LogError> {
    let path = dir.join(LOCK_FILE);
    let mut file = options.open(&path).map_err(|error| failed("open", &path, error))?;
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
        Err(error) => return Err(failed("lock", &path, error.into())),
    }
    let mut noted = Vec::new();
    file.read_to_end(&mut noted).map_err(|error| failed("read", &path, error))?;
    let last_use = LastUse::parse(String::from_utf8_lossy(&noted).trim());
    Ok(FolderLock { file, path, last_use })
}

/// Names the present boot of the machine; `None` if the system does not say.
fn boot_id() -> Option<String> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned()).filter(|id| !id.is_empty())
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
    write_whole(disk, &dir.join(META_FILE), &text)?;
    disk.sync_folder(dir).map_err(|error| failed("sync", dir, error))
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

/// Replaces a small file so that a crash leaves the old one or the new one, whichever the folder then names.
fn write_whole(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<(), LogError> {
    let unfinished = path.with_extension(UNFINISHED);
    let file = disk.create(&unfinished).map_err(|error| failed("create", &unfinished, error))?;
    disk.write_at(&file, &unfinished, bytes, 0).map_err(|error| failed("write to", &unfinished, error))?;
    disk.sync_data(&file, &unfinished).map_err(|error| failed("sync", &unfinished, error))?;
    disk.rename(&unfinished, path).map_err(|error| failed("rename", &unfinished, error))
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
