//! The journal: what has happened is on disk before anybody is told, and moves to the database later.
//!
//! A folder that processes share. Each writes segments of its own, `<process>.<number>.journal`, and
//! holds a lock on `<process>.lock` for as long as it lives; what a dead process has left belongs to
//! whoever gets its lock. A record is its length, its CRC-32 (both four bytes, little-endian) and its
//! bytes, written at once: a process that is killed leaves whole records, and at worst the beginning
//! of one, which was never acknowledged. A segment goes when all of it was taken over; what was taken
//! over and not yet removed is told again, so whoever takes it must know what it has.
//!
//! ```text
//! Journal (mod.rs)      where a process appends
//! Reader (reader.rs)    what is appended, and what others have left
//! segment.rs            files and the records in them
//! ```
//!
//! Knows nothing of what the records mean.

mod reader;
mod segment;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::fs::{FlockOperation, flock};
use uuid::Uuid;

pub use self::reader::{Batch, Next, Reader};
use self::segment::{HEAD_BYTES, RECORD_BYTES_MAX, lock_of, segment_of};

/// A segment that has grown so far is followed by another.
const SEGMENT_BYTES: u64 = 8 * 1024 * 1024;
/// How often a name for this process is looked for that nobody else has taken.
const NAMES_TRIED: usize = 3;

/// Where this process appends.
#[derive(Debug)]
pub struct Journal {
    folder: PathBuf,
    segments: Mutex<Segments>,
    segment_bytes: u64,
}

/// The segments of this process.
#[derive(Debug, Default)]
struct Segments {
    /// The name of this process, and the lock that keeps others away; made with the first segment.
    owner: Option<(Uuid, File)>,
    /// Oldest first; the last one is written to, unless it is full.
    own: VecDeque<Segment>,
    /// The number of the next segment.
    next: u64,
    /// Something was appended since the last time that it was brought to the disk.
    unsynced: bool,
}

#[derive(Debug)]
struct Segment {
    number: u64,
    path: PathBuf,
    file: Arc<File>,
    bytes: u64,
}

/// A record that is being written, with room for its head.
#[derive(Debug)]
pub struct Frame(Vec<u8>);

impl Default for Frame {
    fn default() -> Self {
        let mut bytes = Vec::with_capacity(1_024);
        bytes.extend_from_slice(&[0; HEAD_BYTES]);
        Self(bytes)
    }
}

impl Frame {
    /// What the record says so far.
    #[must_use]
    pub fn record(&self) -> &[u8] {
        self.0.get(HEAD_BYTES..).unwrap_or_default()
    }

    fn seal(&mut self) {
        let record = self.record();
        // It is no larger than `RECORD_BYTES_MAX`.
        let (length, sum) = (record.len() as u32, crc32fast::hash(record));
        let head = length.to_le_bytes().into_iter().chain(sum.to_le_bytes());
        self.0.iter_mut().zip(head).for_each(|(byte, of_head)| *byte = of_head);
    }
}

impl Write for Frame {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Journal {
    /// A journal in a folder, which is made when the first record is appended.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), segments: Mutex::default(), segment_bytes: SEGMENT_BYTES }
    }

    /// Appends a record, and gives the number of the segment that it is in. When this returns, the
    /// record survives the process; see [`Self::sync`] for the machine.
    ///
    /// # Errors
    /// If the disk does not take it. Nothing of it is in the journal then.
    pub fn append(&self, frame: &mut Frame) -> io::Result<u64> {
        if frame.record().len() > RECORD_BYTES_MAX {
            return Err(io::Error::new(ErrorKind::InvalidInput, "the record is too large"));
        }
        frame.seal();
        let mut segments = self.segments.lock();
        let segments = &mut *segments;
        if segments.own.back().is_none_or(|last| last.bytes >= self.segment_bytes) {
            segments.begin(&self.folder)?;
        }
        let Some(segment) = segments.own.back_mut() else { return Ok(0) };
        if let Err(error) = (&*segment.file).write_all(&frame.0) {
            // A part of it may be there, and the next record must not follow it.
            if segment.file.set_len(segment.bytes).is_err() {
                segments.begin(&self.folder)?;
            }
            return Err(error);
        }
        segment.bytes += frame.0.len() as u64;
        segments.unsynced = true;
        Ok(segment.number)
    }

    /// Brings what was appended to the disk itself, so that it survives the machine, too. Blocks.
    ///
    /// # Errors
    /// If the disk does not take it.
    pub fn sync(&self) -> io::Result<()> {
        // Outside of the lock: it takes as long as a request.
        let files: Vec<_> = {
            let mut segments = self.segments.lock();
            if !std::mem::take(&mut segments.unsynced) {
                return Ok(());
            }
            // A record may be at the end of the one before.
            segments.own.iter().rev().take(2).map(|segment| Arc::clone(&segment.file)).collect()
        };
        for file in files {
            if let Err(error) = file.sync_data() {
                self.segments.lock().unsynced = true;
                return Err(error);
            }
        }
        Ok(())
    }

    /// Whether records can be appended; tried by an empty one.
    ///
    /// # Errors
    /// Why not.
    pub fn probe(&self) -> io::Result<()> {
        self.append(&mut Frame::default()).map(drop)
    }

    /// The oldest segment of this process: its number, its file, how far it is written, and whether
    /// more may come.
    fn oldest(&self) -> Option<(u64, PathBuf, u64, bool)> {
        let segments = self.segments.lock();
        let oldest = segments.own.front()?;
        let open = segments.own.len() == 1 && oldest.bytes < self.segment_bytes;
        Some((oldest.number, oldest.path.clone(), oldest.bytes, open))
    }

    /// Lets go of the oldest segment of this process: all of it was taken over.
    fn remove_oldest(&self) -> io::Result<()> {
        let Some(oldest) = self.segments.lock().own.pop_front() else { return Ok(()) };
        fs::remove_file(oldest.path)
    }

    /// Removes everything of this process, if all of it was taken over up to here; says whether it
    /// was. What is appended afterwards begins anew.
    fn retire(&self, taken: u64) -> io::Result<bool> {
        let mut segments = self.segments.lock();
        match segments.own.make_contiguous() {
            // A full one went when its last record was taken over.
            [] => {}
            [only] if only.bytes <= taken => fs::remove_file(&only.path)?,
            _ => return Ok(false),
        }
        segments.own.clear();
        if let Some((owner, lock)) = segments.owner.take() {
            fs::remove_file(lock_of(&self.folder, &owner.to_string()))?;
            drop(lock);
        }
        Ok(true)
    }

    /// Whether a process of this name is this one.
    fn is_own(&self, name: &str) -> bool {
        let segments = self.segments.lock();
        segments.owner.as_ref().is_some_and(|(own, _)| own.to_string() == name)
    }
}

impl Segments {
    /// Begins a segment.
    fn begin(&mut self, folder: &Path) -> io::Result<()> {
        let owner = match &self.owner {
            Some((owner, _)) => *owner,
            None => self.owner.insert(claim(folder)?).0,
        };
        let number = self.next;
        let path = segment_of(folder, &owner.to_string(), number);
        let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(&path)?;
        self.next += 1;
        self.own.push_back(Segment { number, path, file: Arc::new(file), bytes: 0 });
        Ok(())
    }
}

/// Takes a name that no other process has, and keeps the others away from it.
fn claim(folder: &Path) -> io::Result<(Uuid, File)> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut taken = io::Error::from(ErrorKind::AlreadyExists);
    for _ in 0..NAMES_TRIED {
        // Names that are in the order of time.
        let name = Uuid::now_v7();
        let path = lock_of(folder, &name.to_string());
        let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok((name, file)),
            // Somebody has taken the new file for one that was left.
            Err(error) => taken = error.into(),
        }
    }
    Err(taken)
}
