//! What the tests of the embedded log share.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use storage::contract::log::record;
use storage::log::embedded::disk::Disk;
use storage::log::embedded::{EmbeddedLog, EmbeddedLogOptions};
use storage::log::{Log, LogError, NewRecord, ReadLimit, Record, Topic};
use tempfile::TempDir;

/// A log of one partition in segments of 4 KiB, of whose tail little is kept in memory.
pub(crate) fn small(dir: &Path) -> EmbeddedLogOptions {
    EmbeddedLogOptions { segment_bytes: 4 << 10, tail_bytes: 700, min_free_bytes: 0, ..EmbeddedLogOptions::new(dir, 1) }
}

/// The folder as a crash at this moment leaves it.
///
/// A log that is open may rename its next segment meanwhile: a copy that missed it under both its names is none that a
/// crash leaves, so it is taken again.
pub(crate) fn crashed(dir: &Path) -> TempDir {
    loop {
        let image = tempfile::tempdir().unwrap();
        match copy(dir, image.path()) {
            Ok(()) => return image,
            Err(error) if error.kind() == io::ErrorKind::NotFound && dir.exists() => {}
            Err(error) => panic!("copying {}: {error}", dir.display()),
        }
    }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// As if the machine had been restarted since the folder was used.
pub(crate) fn forget_boot(dir: &Path) {
    let noted = fs::read_to_string(dir.join("LOCK")).unwrap();
    let (_, durability) = noted.split_once(' ').expect("the log was not closed");
    fs::write(dir.join("LOCK"), format!("another-boot {durability}")).unwrap();
}

/// The segments of a partition, in order.
pub(crate) fn segments(dir: &Path, topic: Topic) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(dir.join(topic.name()).join("0"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "log"))
        .collect();
    found.sort();
    found
}

pub(crate) fn flip(path: &Path, position: u64) {
    let mut bytes = fs::read(path).unwrap();
    bytes[usize::try_from(position).unwrap()] ^= 0x40;
    fs::write(path, bytes).unwrap();
}

/// Records with the texts `prefix 000`, `prefix 001`, …, each of `bytes`.
pub(crate) fn numbered(prefix: &str, count: usize, bytes: usize) -> Vec<NewRecord> {
    (0..count)
        .map(|n| {
            let text = format!("{prefix} {n:03} ");
            record(format!("{text:.<bytes$}"))
        })
        .collect()
}

pub(crate) async fn append_each(log: &EmbeddedLog, topic: Topic, records: Vec<NewRecord>) {
    for record in records {
        log.append(topic, 0, vec![record]).await.unwrap();
    }
}

/// Everything that a partition holds, or the error that reading it ends with.
pub(crate) async fn held(log: &dyn Log, topic: Topic) -> Result<Vec<Record>, LogError> {
    let bounds = log.bounds(topic, 0).await?;
    let mut all: Vec<Record> = Vec::new();
    let mut from = bounds.earliest;
    while from < bounds.next {
        all.extend(log.read(topic, 0, from, ReadLimit::default()).await?);
        from = all.last().map_or(bounds.next, |last| last.offset + 1);
    }
    Ok(all)
}

pub(crate) fn values(records: &[NewRecord]) -> Vec<bytes::Bytes> {
    records.iter().map(|record| record.value.clone()).collect()
}

pub(crate) fn held_values(records: &[Record]) -> Vec<bytes::Bytes> {
    records.iter().map(|record| record.value.clone()).collect()
}

/// A call of [`Disk`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Create,
    Write,
    Sync,
    SetLength,
    Reserve,
    Rename,
    SyncFolder,
}

/// Which calls fail, and how.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    /// `None`: any call.
    pub(crate) call: Option<Call>,
    /// Part of the file's path.
    pub(crate) path: &'static str,
    pub(crate) errno: i32,
    /// How many such calls succeed first.
    pub(crate) after: usize,
    /// How many fail then.
    pub(crate) times: usize,
}

#[derive(Debug, Default)]
struct Faults {
    fault: Option<Fault>,
    calls: usize,
    free_bytes: Option<u64>,
}

/// The file system, with faults.
#[derive(Debug, Default)]
pub(crate) struct FaultyDisk(Mutex<Faults>);

impl FaultyDisk {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Makes every such call fail from now on.
    pub(crate) fn fail(&self, call: Call, path: &'static str, errno: i32) {
        self.set(Some(Fault { call: Some(call), path, errno, after: 0, times: usize::MAX }));
    }

    /// Makes the next such call fail.
    pub(crate) fn fail_once(&self, call: Call, path: &'static str, errno: i32) {
        self.set(Some(Fault { call: Some(call), path, errno, after: 0, times: 1 }));
    }

    pub(crate) fn set(&self, fault: Option<Fault>) {
        self.0.lock().unwrap().fault = fault;
    }

    pub(crate) fn set_free_bytes(&self, free_bytes: u64) {
        self.0.lock().unwrap().free_bytes = Some(free_bytes);
    }

    /// Calls so far.
    pub(crate) fn calls(&self) -> usize {
        self.0.lock().unwrap().calls
    }

    fn strike(&self, call: Call, path: &Path) -> io::Result<()> {
        let mut faults = self.0.lock().unwrap();
        faults.calls += 1;
        let Some(fault) = &mut faults.fault else { return Ok(()) };
        let meant = fault.call.is_none_or(|meant| meant == call) && path.to_string_lossy().contains(fault.path);
        if !meant || fault.times == 0 {
            return Ok(());
        }
        if fault.after > 0 {
            fault.after -= 1;
            return Ok(());
        }
        fault.times -= 1;
        Err(io::Error::from_raw_os_error(fault.errno))
    }
}

impl Disk for FaultyDisk {
    fn create(&self, path: &Path) -> io::Result<fs::File> {
        self.strike(Call::Create, path)?;
        storage::log::embedded::disk::RealDisk.create(path)
    }

    fn write_at(&self, file: &fs::File, path: &Path, bytes: &[u8], position: u64) -> io::Result<()> {
        let real = storage::log::embedded::disk::RealDisk;
        if let Err(error) = self.strike(Call::Write, path) {
            // A write that fails has often written a part.
            real.write_at(file, path, &bytes[..bytes.len() / 2], position)?;
            return Err(error);
        }
        real.write_at(file, path, bytes, position)
    }

    fn sync_data(&self, file: &fs::File, path: &Path) -> io::Result<()> {
        // Not really synced: a process that is killed needs none, and the tests are quicker.
        let _ = file;
        self.strike(Call::Sync, path)
    }

    fn set_length(&self, file: &fs::File, path: &Path, length: u64) -> io::Result<()> {
        self.strike(Call::SetLength, path)?;
        file.set_len(length)
    }

    fn reserve(&self, file: &fs::File, path: &Path, from: u64, to: u64) -> io::Result<()> {
        self.strike(Call::Reserve, path)?;
        storage::log::embedded::disk::RealDisk.reserve(file, path, from, to)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.strike(Call::Rename, to)?;
        fs::rename(from, to)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.strike(Call::SyncFolder, path)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        match self.0.lock().unwrap().free_bytes {
            Some(free_bytes) => Ok(free_bytes),
            None => storage::log::embedded::disk::RealDisk.free_bytes(path),
        }
    }
}
