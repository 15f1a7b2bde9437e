//! The durable mark: the number of the last batch that was acknowledged as durable, in a file of its own.
//!
//! Every batch carries its number in a row of the store. If the store is opened and ends at a smaller number than the mark
//! says, rows that somebody was told are safe are gone, and that is an error and not a shorter history.
//!
//! ```text
//! file = slot ‖ zeros up to 512 ‖ slot ‖ zeros up to 1,024
//! slot = "SALRMRK1" ‖ number (u64) ‖ CRC-32 of what stands before (u32), little endian
//! ```
//!
//! Slots are written by turns, so a write that is cut short leaves the other one, whose number was true before.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

const MAGIC: [u8; 8] = *b"SALRMRK1";
const SLOT_BYTES: usize = 20;
const SECTOR_BYTES: u64 = 512;

/// The name of the file.
pub(super) const FILE: &str = "durable";

#[derive(Debug)]
pub(super) struct Mark {
    file: File,
    number: u64,
    /// Where the next number goes: 0 or 1.
    next_slot: u64,
}

/// What the file says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// There is no file.
    Nothing,
    /// Neither slot can be read.
    Damaged,
    /// The last number.
    Number(u64),
}

impl Mark {
    pub(super) fn find(dir: &Path) -> io::Result<Found> {
        let file = match File::open(dir.join(FILE)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
            Err(error) => return Err(error),
        };
        Ok(read_slots(&file).into_iter().flatten().max().map_or(Found::Damaged, Found::Number))
    }

    /// Opens the file, or makes it, and writes a number into it.
    pub(super) fn open(dir: &Path, number: u64) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(dir.join(FILE))?;
        file.set_len(2 * SECTOR_BYTES)?;
        let [first, second] = read_slots(&file);
        let mut mark =
            Self { file, number: first.max(second).unwrap_or_default(), next_slot: u64::from(first > second) };
        mark.write(number)?;
        mark.file.sync_all()?;
        File::open(dir)?.sync_all()?;
        Ok(mark)
    }

    /// Makes the number durable. Numbers only grow; a smaller one is passed over.
    pub(super) fn write(&mut self, number: u64) -> io::Result<()> {
        if number <= self.number {
            return Ok(());
        }
        self.file.write_all_at(&encode_slot(number), self.next_slot * SECTOR_BYTES)?;
        self.file.sync_data()?;
        self.number = number;
        self.next_slot = 1 - self.next_slot;
        Ok(())
    }
}

fn read_slots(file: &File) -> [Option<u64>; 2] {
    [0, SECTOR_BYTES].map(|position| {
        let mut slot = [0; SLOT_BYTES];
        file.read_exact_at(&mut slot, position).ok()?;
        let (magic, rest) = slot.split_first_chunk::<8>()?;
        let (number, _) = rest.split_first_chunk::<8>()?;
        let number = u64::from_le_bytes(*number);
        (*magic == MAGIC && slot == encode_slot(number)).then_some(number)
    })
}

fn encode_slot(number: u64) -> [u8; SLOT_BYTES] {
    let mut bytes = Vec::with_capacity(SLOT_BYTES);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&number.to_le_bytes());
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
    let mut slot = [0; SLOT_BYTES];
    for (place, byte) in slot.iter_mut().zip(bytes) {
        *place = byte;
    }
    slot
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_number_comes_back_and_a_torn_slot_leaves_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Mark::find(dir.path()).unwrap(), Found::Nothing);
        let mut mark = Mark::open(dir.path(), 3).unwrap();
        for number in [4, 9, 7] {
            mark.write(number).unwrap();
        }
        assert_eq!(Mark::find(dir.path()).unwrap(), Found::Number(9));
        let torn = (1 - mark.next_slot) * SECTOR_BYTES + 12;
        mark.file.write_all_at(&[0xAA], torn).unwrap();
        assert_eq!(Mark::find(dir.path()).unwrap(), Found::Number(4));
        let reopened = Mark::open(dir.path(), 10).unwrap();
        assert_eq!(Mark::find(dir.path()).unwrap(), Found::Number(10));
        for position in [0, SECTOR_BYTES] {
            reopened.file.write_all_at(&[0; 8], position).unwrap();
        }
        assert_eq!(Mark::find(dir.path()).unwrap(), Found::Damaged);
    }
}
