//! Reads fjall's journals before fjall does, and tells a torn end from damage.
//!
//! fjall takes the first entry that it cannot read for the end of that journal, cuts the file there and goes on, with the
//! next journal if there is one: damage in the middle makes batches disappear without a word. On the other hand it refuses
//! to open over a batch whose checksum is wrong, even if that is the end that a loss of power has torn. So here:
//!
//! - A journal that is followed by another was made durable before the other was begun. It must be whole.
//! - In the last journal, batches up to the durable mark must be whole. If what cannot be read comes after them, it was
//!   never promised to anybody, and the file is cut there.
//!
//! ```text
//! journal = batches ‖ zeros (the file is made larger in advance)
//! batch   = 1 ‖ items (u32) ‖ sequence number (u64) ‖ item … ‖ 3 ‖ XXH3-64 of all items (u64) ‖ "FJL" 3
//! item    = 2 ‖ type (u8) ‖ compression (u8) ‖ keyspace (u64) ‖ key length (u16) ‖ value length (u32)
//!           ‖ stored length (u32) ‖ key ‖ stored value
//! ```
//!
//! All little endian: the format of fjall 3.1. Its checksum does not cover the sequence number. A test reads journals that fjall has just written, so another format in a
//! later version fails there.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3;

use super::opening::{ALL_TABLES, BATCH_NUMBER_KEY};
use crate::tables::TablesError;

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const TRAILER: [u8; 4] = *b"FJL\x03";
/// Everything of an item before its key.
const ITEM_HEADER_BYTES: usize = 21;
const BUFFER_BYTES: usize = 256 << 10;

/// What a journal holds.
#[derive(Debug, Default, PartialEq, Eq)]
struct Summary {
    /// The byte after the last whole batch.
    end: u64,
    /// The number of the last whole batch that has one.
    last_number: Option<u64>,
    /// Why reading ended there, if the journal does not end there too.
    damage: Option<&'static str>,
}

/// Checks all journals in fjall's folder, which may not be there yet, against the number of the last durable batch.
pub(super) fn check(store: &Path, marked: u64, advice: &str) -> Result<(), TablesError> {
    let unreadable = |path: &Path, error: &io::Error| TablesError::Unavailable {
        reason: format!("cannot read {}: {error}", path.display()),
    };
    let journals = journals(store).map_err(|error| unreadable(store, &error))?;
    let mut last_number = 0;
    for (index, path) in journals.iter().enumerate() {
        let summary = read(path).map_err(|error| unreadable(path, &error))?;
        last_number = last_number.max(summary.last_number.unwrap_or_default());
        let Some(damage) = summary.damage else { continue };
        if index + 1 < journals.len() || last_number < marked {
            return Err(TablesError::Corrupt {
                table: ALL_TABLES,
                reason: format!(
                    "the journal {} is damaged at byte {} ({damage}), before what was acknowledged as durable ends; {advice}",
                    path.display(),
                    summary.end
                ),
            });
        }
        tracing::warn!(journal = %path.display(), position = summary.end, damage, "the end of the journal is torn and is cut off");
        cut(path, summary.end).map_err(|error| unreadable(path, &error))?;
    }
    Ok(())
}

fn cut(path: &Path, end: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len(end)?;
    file.sync_all()
}

/// The journals, oldest first.
fn journals(store: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(store) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut journals = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let number = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".jnl")?.parse::<u64>().ok());
        journals.extend(number.map(|number| (number, path)));
    }
    journals.sort();
    Ok(journals.into_iter().map(|(_, path)| path).collect())
}

fn read(path: &Path) -> io::Result<Summary> {
    let file = File::open(path)?;
    let mut reader = Reader {
        length: file.metadata()?.len(),
        file: BufReader::with_capacity(BUFFER_BYTES, file),
        position: 0,
        buffer: Vec::new(),
    };
    let mut summary = Summary::default();
    loop {
        match reader.batch() {
            Ok(Step::Batch(number)) => {
                summary.end = reader.position;
                summary.last_number = number.or(summary.last_number);
            }
            Ok(Step::End) => return Ok(summary),
            Err(Fault::Io(error)) => return Err(error),
            Err(Fault::Damage(damage)) => {
                summary.damage = Some(damage);
                return Ok(summary);
            }
        }
    }
}

enum Step {
    /// A whole batch, with its number.
    Batch(Option<u64>),
    /// The end of the file, or nothing but zeros up to it.
    End,
}

enum Fault {
    Io(io::Error),
    Damage(&'static str),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return Self::Damage("it ends within a batch");
        }
        Self::Io(error)
    }
}

struct Reader {
    file: BufReader<File>,
    length: u64,
    position: u64,
    buffer: Vec<u8>,
}

impl Reader {
    fn batch(&mut self) -> Result<Step, Fault> {
        if self.position >= self.length {
            return Ok(Step::End);
        }
        match self.array::<1>()? {
            [START] => {}
            [0] if self.only_zeros_follow()? => return Ok(Step::End),
            _ => return Err(Fault::Damage("no batch begins there")),
        }
        let items = u32::from_le_bytes(self.array()?);
        let _sequence_number: [u8; 8] = self.array()?;
        let mut checksum = Xxh3::new();
        let mut number = None;
        for _ in 0..items {
            number = self.item(&mut checksum)?.or(number);
        }
        if self.array()? != [END] {
            return Err(Fault::Damage("a batch does not end where it should"));
        }
        let expected = u64::from_le_bytes(self.array()?);
        if self.array()? != TRAILER {
            return Err(Fault::Damage("the end of a batch is cut short"));
        }
        if checksum.digest() != expected {
            return Err(Fault::Damage("a batch has a wrong checksum"));
        }
        Ok(Step::Batch(number))
    }

    /// Reads an item, and returns the number of the batch if this is the row that holds it.
    fn item(&mut self, checksum: &mut Xxh3) -> Result<Option<u64>, Fault> {
        let header: [u8; ITEM_HEADER_BYTES] = self.array()?;
        let [ITEM, .., k0, k1, _, _, _, _, s0, s1, s2, s3] = header else {
            return Err(Fault::Damage("a batch has too few items"));
        };
        let key_length = usize::from(u16::from_le_bytes([k0, k1]));
        let length = u64::from(u16::from_le_bytes([k0, k1])) + u64::from(u32::from_le_bytes([s0, s1, s2, s3]));
        if length > self.length.saturating_sub(self.position) {
            return Err(Fault::Damage("an item is longer than its journal"));
        }
        self.buffer.clear();
        let read = (&mut self.file).take(length).read_to_end(&mut self.buffer)?;
        self.position += length;
        if u64::try_from(read).unwrap_or_default() != length {
            return Err(Fault::Damage("it ends within a batch"));
        }
        checksum.update(&header);
        checksum.update(&self.buffer);
        let number = self
            .buffer
            .split_at_checked(key_length)
            .filter(|(key, _)| *key == BATCH_NUMBER_KEY)
            .and_then(|(_, value)| value.try_into().ok().map(u64::from_be_bytes));
        Ok(number)
    }

    fn only_zeros_follow(&mut self) -> io::Result<bool> {
        let mut chunk = vec![0; BUFFER_BYTES];
        loop {
            let read = self.file.read(&mut chunk)?;
            if read == 0 {
                return Ok(true);
            }
            if chunk.iter().take(read).any(|byte| *byte != 0) {
                return Ok(false);
            }
        }
    }

    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.file.read_exact(&mut bytes)?;
        self.position += u64::try_from(N).unwrap_or_default();
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use fjall::{Database, KeyspaceCreateOptions, PersistMode};

    use super::*;

    /// Writes batches 1 to `batches` with fjall and returns its folder and its one journal, with the zeros at its end cut.
    fn journal_of(batches: u64) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        {
            let database = Database::builder(dir.path()).worker_threads(1).open().unwrap();
            let rows = database.keyspace("rows", KeyspaceCreateOptions::default).unwrap();
            for number in 1..=batches {
                let mut batch = database.batch().durability(Some(PersistMode::Buffer));
                // One compressible value over fjall's threshold for compression, one small one, one deletion.
                batch.insert(&rows, format!("large {number}"), vec![7; 5_000]);
                batch.insert(&rows, format!("small {number}"), [1, 2, 3]);
                batch.remove(&rows, "gone");
                batch.insert(&rows, BATCH_NUMBER_KEY, number.to_be_bytes());
                batch.commit().unwrap();
            }
        }
        let path = journals(dir.path()).unwrap().pop().unwrap();
        let end = read(&path).unwrap().end;
        cut(&path, end).unwrap();
        (dir, path)
    }

    #[test]
    fn reads_the_journals_that_fjall_writes() {
        let dir = tempfile::tempdir().unwrap();
        check(&dir.path().join("nowhere"), 0, "").unwrap();
        let (dir, path) = journal_of(5);
        let whole = read(&path).unwrap();
        assert_eq!((whole.last_number, whole.damage), (Some(5), None));
        // Zeros at the end are the part of the file that is not used yet.
        let length = std::fs::metadata(&path).unwrap().len();
        assert_eq!(whole.end, length);
        OpenOptions::new().write(true).open(&path).unwrap().set_len(length + 100_000).unwrap();
        assert_eq!(read(&path).unwrap(), whole);
        check(dir.path(), 5, "").unwrap();
    }

    #[test]
    fn every_torn_end_is_cut_and_every_flipped_byte_before_the_mark_is_reported() {
        let (dir, path) = journal_of(3);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        let before_last = usize::try_from(read(&path).unwrap().end).unwrap();
        for length in before_last + 1..bytes.len() {
            std::fs::write(&path, &bytes[..length]).unwrap();
            check(dir.path(), 2, "").unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), bytes[..before_last], "cut to {length}");
        }
        for position in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[position] ^= 0x20;
            std::fs::write(&path, &flipped).unwrap();
            let is_sequence_number = read(&path).unwrap().damage.is_none();
            let result = check(dir.path(), 3, "ask for help");
            match result {
                Err(TablesError::Corrupt { reason, .. }) => assert!(reason.contains("ask for help"), "{reason}"),
                Ok(()) if is_sequence_number => {}
                other => panic!("byte {position}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_journal_before_another_must_be_whole_whatever_the_mark_says() {
        let (dir, path) = journal_of(3);
        std::fs::write(path.with_file_name("9.jnl"), []).unwrap();
        check(dir.path(), 0, "").unwrap();
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        assert!(matches!(check(dir.path(), 0, ""), Err(TablesError::Corrupt { .. })));
    }
}
