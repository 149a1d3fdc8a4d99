//! The journal: what has happened is on disk before anybody is told, and moves to the database later.
//!
//! A folder of segments, each written by one process and locked by it for as long as it lives. A
//! record is its length, its CRC-32 (both four bytes, little-endian) and its bytes, written at once:
//! a process that is killed leaves whole records, and at worst the beginning of one, which was never
//! acknowledged. Segments of processes that are gone are read by whoever finds them first. A
//! segment goes when all of it was taken over; what was taken over and not yet removed is told
//! again, so whoever takes it must know what it has.
//!
//! Knows nothing of what the records mean.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, ErrorKind, Read, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::fs::{FlockOperation, flock};
use uuid::Uuid;

/// A segment that has grown so far is followed by another.
const SEGMENT_BYTES: u64 = 8 * 1024 * 1024;
const HEAD_BYTES: usize = 8;
/// No record is larger; what says so is damaged.
const RECORD_BYTES_MAX: usize = 1024 * 1024;
const SUFFIX: &str = "journal";

/// Where records are appended.
#[derive(Debug)]
pub struct Journal {
    folder: PathBuf,
    segments: Mutex<Segments>,
    segment_bytes: u64,
}

/// The segments of this process.
#[derive(Debug, Default)]
struct Segments {
    /// Oldest first; the last one is written to, unless it is full.
    own: VecDeque<Segment>,
}

#[derive(Debug)]
struct Segment {
    path: PathBuf,
    /// Locked for as long as it is open.
    file: Arc<File>,
    bytes: u64,
}

impl Journal {
    /// A journal in a folder, which is made when the first record is appended.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), segments: Mutex::default(), segment_bytes: SEGMENT_BYTES }
    }

    /// Appends a record. When this returns, the record survives the process; see [`Self::sync`] for
    /// the machine.
    ///
    /// # Errors
    /// If the disk does not take it. Nothing of it is in the journal then.
    pub fn append(&self, record: &[u8]) -> io::Result<()> {
        if record.len() > RECORD_BYTES_MAX {
            return Err(io::Error::new(ErrorKind::InvalidInput, "the record is too large"));
        }
        let mut framed = Vec::with_capacity(HEAD_BYTES + record.len());
        // It is no larger than the bound above.
        framed.extend_from_slice(&(record.len() as u32).to_le_bytes());
        framed.extend_from_slice(&crc32fast::hash(record).to_le_bytes());
        framed.extend_from_slice(record);
        let mut segments = self.segments.lock();
        if segments.own.back().is_none_or(|last| last.bytes >= self.segment_bytes) {
            segments.own.push_back(Segment::create(&self.folder)?);
        }
        let Some(segment) = segments.own.back_mut() else { return Ok(()) };
        if let Err(error) = (&*segment.file).write_all(&framed) {
            // A part of it may be there, and the next record must not follow it.
            if segment.file.set_len(segment.bytes).is_err() {
                segments.own.push_back(Segment::create(&self.folder)?);
            }
            return Err(error);
        }
        segment.bytes += framed.len() as u64;
        Ok(())
    }

    /// Brings what was appended to the disk itself, so that it survives the machine, too.
    ///
    /// # Errors
    /// If the disk does not take it.
    pub fn sync(&self) -> io::Result<()> {
        // Outside of the lock: it takes as long as a request.
        let file = self.segments.lock().own.back().map(|segment| Arc::clone(&segment.file));
        file.map_or(Ok(()), |file| file.sync_data())
    }

    /// The oldest segment of this process that is after the one before, how far it is written, and
    /// whether more may come.
    fn oldest(&self) -> Option<(PathBuf, u64, bool)> {
        let segments = self.segments.lock();
        let oldest = segments.own.front()?;
        let open = segments.own.len() == 1 && oldest.bytes < self.segment_bytes;
        Some((oldest.path.clone(), oldest.bytes, open))
    }

    /// Lets go of the oldest segment of this process: all of it was taken over.
    fn remove_oldest(&self) -> io::Result<()> {
        let Some(oldest) = self.segments.lock().own.pop_front() else { return Ok(()) };
        fs::remove_file(oldest.path)
    }
}

impl Segment {
    fn create(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        // Names that are in the order of time.
        let path = folder.join(format!("{}.{SUFFIX}", Uuid::now_v7()));
        let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(&path)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self { path, file: Arc::new(file), bytes: 0 })
    }
}

/// Takes records over, segment by segment. There is one for a journal.
#[derive(Debug)]
pub struct Reader {
    journal: Arc<Journal>,
    /// A segment that another process has left.
    adopted: Option<Reading>,
    own: Option<Reading>,
    /// Whether what was read last is of the adopted one.
    from_adopted: bool,
}

#[derive(Debug)]
struct Reading {
    path: PathBuf,
    file: File,
    /// How far records were taken over.
    taken: u64,
    /// How far they were read.
    read: u64,
}

/// What was read: to be taken over, and then acknowledged by [`Reader::taken`].
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Batch {
    pub records: Vec<Vec<u8>>,
    /// Bytes at the end of a segment that are no record: its writer was killed within it, or the
    /// disk is damaged.
    pub damaged: u64,
}

impl Reader {
    #[must_use]
    pub const fn new(journal: Arc<Journal>) -> Self {
        Self { journal, adopted: None, own: None, from_adopted: false }
    }

    /// Looks for a segment that another process has left, and reads it next. Says whether there is
    /// one.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn adopt(&mut self) -> io::Result<bool> {
        if self.adopted.is_some() {
            return Ok(true);
        }
        for path in files(&self.journal.folder)? {
            let file = match File::open(&path) {
                Ok(file) => file,
                // Another process was faster.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            // Whoever writes it holds the lock, this process included.
            if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() && path.exists() {
                self.adopted = Some(Reading { path, file, taken: 0, read: 0 });
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Reads the next records, at most so many; none if all were taken over. What was read before
    /// and not acknowledged is read again.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn next(&mut self, records_max: usize) -> io::Result<Batch> {
        if let Some(adopted) = &mut self.adopted {
            let end = adopted.file.metadata()?.len();
            let batch = adopted.records(records_max, end)?;
            if !batch.records.is_empty() || batch.damaged > 0 {
                self.from_adopted = true;
                return Ok(batch);
            }
            fs::remove_file(&adopted.path)?;
            self.adopted = None;
        }
        self.from_adopted = false;
        loop {
            let Some((path, end, open)) = self.journal.oldest() else {
                return Ok(Batch::default());
            };
            let reading = match &mut self.own {
                Some(reading) if reading.path == path => reading,
                own => {
                    let file = File::open(&path)?;
                    own.insert(Reading { path, file, taken: 0, read: 0 })
                }
            };
            let batch = reading.records(records_max, end)?;
            if open || !batch.records.is_empty() || batch.damaged > 0 {
                return Ok(batch);
            }
            self.own = None;
            self.journal.remove_oldest()?;
        }
    }

    /// The records that were read last are where they belong.
    pub fn taken(&mut self) {
        let reading = if self.from_adopted { &mut self.adopted } else { &mut self.own };
        if let Some(reading) = reading {
            reading.taken = reading.read;
        }
    }

    /// Bytes that wait to be taken over, those of other processes included.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn backlog(&self) -> io::Result<u64> {
        let files = files(&self.journal.folder)?;
        let all: u64 =
            files.iter().map(|path| fs::metadata(path).map_or(0, |found| found.len())).sum();
        let readings = [&self.adopted, &self.own].into_iter().flatten();
        Ok(all.saturating_sub(readings.map(|reading| reading.taken).sum()))
    }
}

impl Reading {
    /// Reads up to an end. What is no record is skipped with all that follows.
    fn records(&mut self, records_max: usize, end: u64) -> io::Result<Batch> {
        let mut batch = Batch::default();
        self.read = self.taken;
        self.file.seek(SeekFrom::Start(self.taken))?;
        let mut bytes = BufReader::new(&self.file).take(end.saturating_sub(self.taken));
        while batch.records.len() < records_max && self.read < end {
            match record(&mut bytes)? {
                Some(record) => {
                    self.read += (HEAD_BYTES + record.len()) as u64;
                    batch.records.push(record);
                }
                None => {
                    batch.damaged = end - self.read;
                    self.read = end;
                }
            }
        }
        Ok(batch)
    }
}

/// The next record; `None` if what follows is none.
fn record(bytes: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut head = [0; HEAD_BYTES];
    if !filled(bytes, &mut head)? {
        return Ok(None);
    }
    let [a, b, c, d, rest @ ..] = head;
    let length = u32::from_le_bytes([a, b, c, d]) as usize;
    if length > RECORD_BYTES_MAX {
        return Ok(None);
    }
    let mut record = vec![0; length];
    let whole = filled(bytes, &mut record)?;
    Ok((whole && crc32fast::hash(&record) == u32::from_le_bytes(rest)).then_some(record))
}

fn filled(bytes: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match bytes.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// The segments in a folder, oldest first.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = paths.collect::<io::Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|suffix| suffix == SUFFIX));
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small(folder: &Path) -> Arc<Journal> {
        Arc::new(Journal { segment_bytes: 64, ..Journal::new(folder) })
    }

    fn all(reader: &mut Reader) -> Vec<String> {
        let mut found = Vec::new();
        loop {
            let batch = reader.next(3).unwrap();
            if batch.records.is_empty() {
                return found;
            }
            found.extend(batch.records.into_iter().map(|it| String::from_utf8(it).unwrap()));
            reader.taken();
        }
    }

    fn numbers(range: std::ops::Range<u32>) -> Vec<String> {
        range.map(|n| format!("record {n}")).collect()
    }

    fn append(journal: &Journal, range: std::ops::Range<u32>) {
        for record in numbers(range) {
            journal.append(record.as_bytes()).unwrap();
        }
    }

    #[test]
    fn records_come_in_their_order_and_segments_go_when_they_were_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let journal = small(folder.path());
        let mut reader = Reader::new(Arc::clone(&journal));
        assert_eq!(reader.next(3).unwrap(), Batch::default(), "nothing was appended");
        append(&journal, 0..20);
        assert!(files(folder.path()).unwrap().len() > 2);
        assert_eq!(all(&mut reader), numbers(0..20));
        append(&journal, 20..21);
        assert_eq!(all(&mut reader), numbers(20..21));
        assert!(files(folder.path()).unwrap().len() <= 1);
        assert_eq!(reader.backlog().unwrap(), 0);
    }

    #[test]
    fn what_was_not_taken_over_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let journal = small(folder.path());
        append(&journal, 0..2);
        let mut reader = Reader::new(Arc::clone(&journal));
        let first = reader.next(10).unwrap();
        assert_eq!(reader.next(10).unwrap(), first);
        reader.taken();
        assert_eq!(reader.next(10).unwrap(), Batch::default());
    }

    #[test]
    fn what_a_process_leaves_is_found_by_the_next_and_not_before() {
        let folder = tempfile::tempdir().unwrap();
        let before = small(folder.path());
        append(&before, 0..10);
        let mut reader = Reader::new(small(folder.path()));
        assert!(!reader.adopt().unwrap(), "it is still being written");
        drop(before);
        append(&reader.journal, 10..12);
        let mut found = Vec::new();
        while reader.adopt().unwrap() {
            found.extend(all(&mut reader));
        }
        found.extend(all(&mut reader));
        found.sort_by_key(|record| record["record ".len()..].parse::<u32>().unwrap());
        assert_eq!(found, numbers(0..12));
        assert!(files(folder.path()).unwrap().len() <= 1, "only the own one is left");
    }

    #[test]
    fn a_journal_that_is_cut_anywhere_gives_the_whole_records_before() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Arc::new(Journal::new(folder.path()));
        append(&journal, 0..3);
        drop(journal);
        let path = files(folder.path()).unwrap().remove(0);
        let whole = fs::read(&path).unwrap();
        let record = HEAD_BYTES + "record 0".len();
        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let mut reader = Reader::new(Arc::new(Journal::new(folder.path())));
            assert!(reader.adopt().unwrap());
            let batch = reader.next(10).unwrap();
            assert_eq!(batch.records.len(), cut / record, "cut at {cut}");
            assert_eq!(batch.damaged as usize, cut % record, "cut at {cut}");
        }
        // A bit that fell over.
        for at in 0..record {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x10;
            fs::write(&path, &damaged).unwrap();
            let mut reader = Reader::new(Arc::new(Journal::new(folder.path())));
            assert!(reader.adopt().unwrap());
            let batch = reader.next(10).unwrap();
            assert!(batch.records.is_empty() && batch.damaged > 0, "at {at}");
        }
    }
}
