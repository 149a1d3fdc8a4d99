//! Taking records over: those of this process, and what processes have left that are gone.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FlockOperation, flock};

use super::Journal;
use super::segment::{Listing, Reading, lock_of};

/// Takes records over, segment by segment. There is one for a journal.
#[derive(Debug)]
pub struct Reader {
    journal: Arc<Journal>,
    own: Option<Reading>,
    left: Option<Left>,
    /// Whether what was read last was left by another process.
    from_left: bool,
}

/// What a process has left. It stays until all of it was taken over, so that records of one request
/// are told together again if whoever takes them dies as well.
#[derive(Debug)]
struct Left {
    owner: String,
    /// Held, so that nobody else takes the same over.
    lock: File,
    waiting: VecDeque<PathBuf>,
    reading: Option<Reading>,
    /// Taken over, and whether it is damaged.
    done: Vec<(PathBuf, bool)>,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// To be taken over, and then acknowledged by [`Reader::taken`].
    Records(Batch),
    /// All of this process's segment of this number was taken over, and nothing more comes into it;
    /// [`Reader::finish`] removes it.
    Finished(u64),
    /// All that a process has left was taken over; [`Reader::finish`] removes it.
    Buried,
    Nothing,
}

/// What was read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Batch {
    pub records: Vec<Vec<u8>>,
    /// Bytes that are no record: their writer was killed within one, or the disk is damaged.
    pub lost: u64,
    /// Of a process that is gone.
    pub left: bool,
}

impl Reader {
    #[must_use]
    pub const fn new(journal: Arc<Journal>) -> Self {
        Self { journal, own: None, left: None, from_left: false }
    }

    /// Looks for what a process has left, and reads it next. Says whether there is something.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn adopt(&mut self) -> io::Result<bool> {
        if self.left.is_some() {
            return Ok(true);
        }
        let folder = &self.journal.folder;
        for owner in Listing::of(folder)?.owners {
            if self.journal.is_own(&owner) {
                continue;
            }
            let mut options = OpenOptions::new();
            // One that is missing was removed by somebody who tidied up; the segments count.
            let lock =
                options.append(true).create(true).mode(0o600).open(lock_of(folder, &owner))?;
            if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
                continue;
            }
            // Listed again: whoever held the lock may have removed them.
            let waiting = Listing::of(folder)?.into_segments_of(&owner).into();
            let left = Left { owner, lock, waiting, reading: None, done: Vec::new() };
            self.left = Some(left);
            return Ok(true);
        }
        Ok(false)
    }

    /// What comes next, at most so many records. What was read before and not acknowledged is read
    /// again.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn next(&mut self, records_max: usize) -> io::Result<Next> {
        self.from_left = self.left.is_some();
        if let Some(left) = &mut self.left {
            return left.next(records_max);
        }
        let Some((number, path, end, open)) = self.journal.oldest() else {
            return Ok(Next::Nothing);
        };
        let reading = match &mut self.own {
            Some(reading) if reading.path == path => reading,
            own => own.insert(Reading::open(path)?),
        };
        if reading.taken() < end {
            let (records, lost) = reading.records(records_max, end)?;
            return Ok(Next::Records(Batch { records, lost, left: false }));
        }
        Ok(if open { Next::Nothing } else { Next::Finished(number) })
    }

    /// The records that were read last are where they belong.
    pub fn taken(&mut self) {
        let left = self.left.as_mut().and_then(|left| left.reading.as_mut());
        let reading = if self.from_left { left } else { self.own.as_mut() };
        reading.into_iter().for_each(Reading::take);
    }

    /// Removes what was taken over to its end. What is damaged is kept, under another name.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn finish(&mut self) -> io::Result<()> {
        if !self.from_left {
            self.own = None;
            return self.journal.remove_oldest();
        }
        let Some(left) = self.left.take() else { return Ok(()) };
        for (path, is_damaged) in &left.done {
            match is_damaged {
                true => fs::rename(path, path.with_extension("damaged"))?,
                false => fs::remove_file(path)?,
            }
        }
        // The lock is the last to go: without it, segments would be found by two.
        let removed = fs::remove_file(lock_of(&self.journal.folder, &left.owner));
        drop(left.lock);
        removed
    }

    /// Removes what is there of this process, if all of it was taken over: there is nothing to tell
    /// whoever comes next.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn retire(&mut self) -> io::Result<()> {
        let taken = self.own.as_ref().map_or(0, Reading::taken);
        if self.journal.retire(taken)? {
            self.own = None;
        }
        Ok(())
    }

    /// Bytes that wait to be taken over, those of other processes included.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn backlog(&self) -> io::Result<u64> {
        let length = |path: &Path| fs::metadata(path).map_or(0, |found| found.len());
        let listing = Listing::of(&self.journal.folder)?;
        let all: u64 = listing.segments.iter().map(|path| length(path)).sum();
        let left = self.left.as_ref();
        let done = left.into_iter().flat_map(|left| &left.done);
        let done: u64 = done.map(|(path, _)| length(path)).sum();
        let readings = [self.own.as_ref(), left.and_then(|left| left.reading.as_ref())];
        let taken: u64 = readings.into_iter().flatten().map(Reading::taken).sum();
        Ok(all.saturating_sub(taken + done))
    }
}

impl Left {
    fn next(&mut self, records_max: usize) -> io::Result<Next> {
        loop {
            let reading = match &mut self.reading {
                Some(reading) => reading,
                None => {
                    let Some(path) = self.waiting.front() else { return Ok(Next::Buried) };
                    let reading = Reading::open(path.clone())?;
                    self.waiting.pop_front();
                    self.reading.insert(reading)
                }
            };
            let end = reading.end()?;
            if reading.taken() < end {
                let (records, lost) = reading.records(records_max, end)?;
                return Ok(Next::Records(Batch { records, lost, left: true }));
            }
            if let Some(reading) = self.reading.take() {
                self.done.push((reading.path, reading.is_damaged));
            }
        }
    }
}
