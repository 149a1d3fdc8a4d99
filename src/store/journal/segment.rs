//! Segments: their names, and the records in them.

use std::fs::{self, File};
use std::io::{self, BufReader, ErrorKind, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

pub(super) const HEAD_BYTES: usize = 8;
/// No record is larger; what says so is damaged.
pub(super) const RECORD_BYTES_MAX: usize = 1024 * 1024;

const SEGMENT: &str = "journal";
const LOCK: &str = "lock";

pub(super) fn lock_of(folder: &Path, owner: &str) -> PathBuf {
    folder.join(format!("{owner}.{LOCK}"))
}

pub(super) fn segment_of(folder: &Path, owner: &str, number: u64) -> PathBuf {
    // So that they sort by their numbers.
    folder.join(format!("{owner}.{number:010}.{SEGMENT}"))
}

/// A segment as its name tells: whose, and which.
fn named(path: &Path) -> Option<(&str, u64)> {
    let name = path.file_name()?.to_str()?.strip_suffix(SEGMENT)?.strip_suffix('.')?;
    let (owner, number) = name.rsplit_once('.')?;
    Some((owner, number.parse().ok()?))
}

/// Everything in a folder: the segments, by their owners and numbers, and the owners of locks.
pub(super) struct Listing {
    pub(super) segments: Vec<PathBuf>,
    pub(super) owners: Vec<String>,
}

impl Listing {
    /// Lists a folder; one that is not there is empty.
    pub(super) fn of(folder: &Path) -> io::Result<Self> {
        let mut listing = Self { segments: Vec::new(), owners: Vec::new() };
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(listing),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let path = entry?.path();
            if let Some((owner, _)) = named(&path) {
                listing.owners.push(owner.to_owned());
                listing.segments.push(path);
            } else if path.extension().is_some_and(|suffix| suffix == LOCK)
                && let Some(owner) = path.file_stem().and_then(|stem| stem.to_str())
            {
                listing.owners.push(owner.to_owned());
            }
        }
        listing.segments.sort();
        listing.owners.sort();
        listing.owners.dedup();
        Ok(listing)
    }

    /// The segments of one owner, oldest first.
    pub(super) fn into_segments_of(self, owner: &str) -> Vec<PathBuf> {
        let mut segments = self.segments;
        segments.retain(|path| named(path).is_some_and(|(whose, _)| whose == owner));
        segments
    }
}

/// A segment that is being read.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) path: PathBuf,
    file: File,
    /// How far records were taken over.
    taken: u64,
    /// How far they were read.
    read: u64,
    /// Something in it is no record.
    pub(super) is_damaged: bool,
}

impl Reading {
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        let file = File::open(&path)?;
        Ok(Self { path, file, taken: 0, read: 0, is_damaged: false })
    }

    /// How far it is written, for one that nobody writes to.
    pub(super) fn end(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Reads records up to an end, at most so many, from where they were taken over; with the bytes
    /// that are none. What follows such bytes cannot be found.
    pub(super) fn records(
        &mut self,
        records_max: usize,
        end: u64,
    ) -> io::Result<(Vec<Vec<u8>>, u64)> {
        let (mut records, mut lost) = (Vec::new(), 0);
        self.read = self.taken;
        self.file.seek(SeekFrom::Start(self.taken))?;
        let mut bytes = BufReader::new(&self.file).take(end.saturating_sub(self.taken));
        while records.len() < records_max && self.read < end {
            let Some(record) = record(&mut bytes)? else {
                self.is_damaged = true;
                lost = end - self.read;
                self.read = end;
                break;
            };
            self.read += (HEAD_BYTES + record.len()) as u64;
            // One that only tries the disk says nothing.
            if !record.is_empty() {
                records.push(record);
            }
        }
        Ok((records, lost))
    }

    /// What was read last is where it belongs.
    pub(super) fn take(&mut self) {
        self.taken = self.read;
    }

    pub(super) const fn taken(&self) -> u64 {
        self.taken
    }
}

/// The next record; `None` if what follows is none.
fn record(bytes: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut head = [0; HEAD_BYTES];
    if !filled(bytes, &mut head)? {
        return Ok(None);
    }
    let [a, b, c, d, sum @ ..] = head;
    let length = u32::from_le_bytes([a, b, c, d]) as usize;
    if length > RECORD_BYTES_MAX {
        return Ok(None);
    }
    let mut record = vec![0; length];
    let whole = filled(bytes, &mut record)?;
    Ok((whole && crc32fast::hash(&record) == u32::from_le_bytes(sum)).then_some(record))
}

fn filled(bytes: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match bytes.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
