//! What one sink could not deliver, on the disk: a folder of files, each a batch of payloads, one on a
//! line.
//!
//! A file is written beside its name and renamed, so that it is whole or not there; what a killed process
//! leaves of one is removed. Its name tells when it was written and how many payloads it holds. Whoever delivers it holds a lock on it
//! meanwhile: a process and the one that takes over from it may share a folder. Everything here
//! blocks.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use rustix::fs::{FlockOperation, flock};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

const SUFFIX: &str = "ndjson";
/// A file that is being written.
const UNFINISHED: &str = "part";
/// Nobody writes for so long.
const UNFINISHED_FOR: Duration = Duration::from_secs(60 * 60);

/// The folder of one sink.
#[derive(Debug)]
pub(super) struct Spill {
    folder: PathBuf,
    bytes_max: u64,
}

/// A file that is being delivered. Nobody else touches it until this is dropped.
#[derive(Debug)]
pub(super) struct Claim {
    path: PathBuf,
    /// Holds the lock.
    _file: File,
    pub(super) payloads: Vec<Bytes>,
}

/// A file as its name and the folder tell.
#[derive(Debug)]
struct Kept {
    path: PathBuf,
    count: u64,
    bytes: u64,
}

impl Spill {
    /// A folder in `folder`, named for the sink. It is made when something is written.
    pub(super) fn new(folder: &Path, sink: &str, bytes_max: u64) -> Self {
        let plain = |c: char| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '_' };
        let mut name: String = sink.chars().map(plain).collect();
        if name != sink {
            // Two callbacks never share a folder: the one would be sent what waits for the other.
            let hash = Sha256::digest(sink);
            name.extend(hash.iter().take(4).map(|byte| format!("{byte:02x}")));
        }
        Self { folder: folder.join(name), bytes_max }
    }

    /// Keeps payloads. Where there is no room, the oldest files go; returns how many payloads went
    /// with them.
    ///
    /// # Errors
    /// If the disk does not take them.
    pub(super) fn write(&self, payloads: &[Bytes]) -> io::Result<u64> {
        if payloads.is_empty() {
            return Ok(0);
        }
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        // Names that are in the order of time.
        let name = format!("{}.{}", Uuid::now_v7(), payloads.len());
        let unfinished = self.folder.join(format!("{name}.{UNFINISHED}"));
        let written = write_lines(&unfinished, payloads)
            .and_then(|()| fs::rename(&unfinished, self.folder.join(format!("{name}.{SUFFIX}"))));
        if let Err(error) = written {
            // A part of it is of no use.
            drop(fs::remove_file(&unfinished));
            return Err(error);
        }
        self.shrink()
    }

    /// Removes the oldest files until what is left is within its bound, and what nobody finished.
    fn shrink(&self) -> io::Result<u64> {
        let before =
            SystemTime::now().checked_sub(UNFINISHED_FOR).unwrap_or(SystemTime::UNIX_EPOCH);
        for entry in entries(&self.folder)?.iter().filter(|entry| is_older(entry, before)) {
            if entry.path().extension().is_some_and(|end| end == UNFINISHED) {
                remove(&entry.path())?;
            }
        }
        let kept = self.kept()?;
        let mut bytes: u64 = kept.iter().map(|file| file.bytes).sum();
        let mut dropped = 0;
        for file in kept {
            if bytes <= self.bytes_max {
                break;
            }
            remove(&file.path)?;
            bytes -= file.bytes;
            dropped += file.count;
        }
        Ok(dropped)
    }

    /// The oldest file that nobody else delivers.
    ///
    /// # Errors
    /// If the disk does not give it.
    pub(super) fn oldest(&self) -> io::Result<Option<Claim>> {
        for Kept { path, .. } in self.kept()? {
            let mut file = match File::open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let is_ours = flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
            // Delivered by another, between our look at the folder and the lock.
            if !is_ours || file.metadata()?.nlink() == 0 {
                continue;
            }
            let mut text = Vec::new();
            file.read_to_end(&mut text)?;
            let text = Bytes::from(text);
            let lines = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
            let payloads = lines.map(|line| text.slice_ref(line)).collect();
            return Ok(Some(Claim { path, _file: file, payloads }));
        }
        Ok(None)
    }

    /// A file was delivered; what is left of it is kept as a new one.
    ///
    /// # Errors
    /// If the disk does not do it: then all of it is delivered again.
    pub(super) fn delivered(&self, claim: &Claim, left: &[Bytes]) -> io::Result<u64> {
        let dropped = self.write(left)?;
        remove(&claim.path)?;
        Ok(dropped)
    }

    /// How many payloads wait here.
    pub(super) fn count(&self) -> io::Result<u64> {
        Ok(self.kept()?.iter().map(|file| file.count).sum())
    }

    /// The files, oldest first; of a folder that is not there, none.
    fn kept(&self) -> io::Result<Vec<Kept>> {
        let mut kept = Vec::new();
        for entry in entries(&self.folder)? {
            let path = entry.path();
            let Some(count) = count_of(&path) else { continue };
            let bytes = match entry.metadata() {
                Ok(metadata) => metadata.len(),
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            kept.push(Kept { path, count, bytes });
        }
        kept.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(kept)
    }
}

/// Removes what is older from all folders in `folder`, and those that are empty since; returns how many
/// payloads went.
///
/// # Errors
/// If the disk does not do it.
pub(super) fn remove_older(folder: &Path, before: SystemTime) -> io::Result<u64> {
    let mut dropped = 0;
    for inner in entries(folder)? {
        let is_old = |entry: &fs::DirEntry| is_older(entry, before);
        if !inner.file_type()?.is_dir() {
            continue;
        }
        for file in entries(&inner.path())?.iter().filter(|file| is_old(file)) {
            dropped += count_of(&file.path()).unwrap_or_default();
            remove(&file.path())?;
        }
        if is_old(&inner) {
            // It is not empty, mostly.
            drop(fs::remove_dir(inner.path()));
        }
    }
    Ok(dropped)
}

/// What is in a folder; of one that is not there, nothing.
fn entries(folder: &Path) -> io::Result<Vec<fs::DirEntry>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.collect(),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn is_older(entry: &fs::DirEntry, before: SystemTime) -> bool {
    let changed = entry.metadata().and_then(|metadata| metadata.modified());
    changed.is_ok_and(|changed| changed < before)
}

/// How many payloads a file holds, by its name; `None` for one that is none of ours.
fn count_of(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?.strip_suffix(SUFFIX)?.strip_suffix('.')?;
    name.rsplit_once('.')?.1.parse().ok()
}

fn write_lines(path: &Path, payloads: &[Bytes]) -> io::Result<()> {
    // It may hold prompts.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let mut file = io::BufWriter::new(file);
    for payload in payloads {
        file.write_all(payload)?;
        file.write_all(b"\n")?;
    }
    file.flush()
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn payloads(texts: &[&'static str]) -> Vec<Bytes> {
        texts.iter().map(|text| Bytes::from_static(text.as_bytes())).collect()
    }

    #[test]
    fn what_is_kept_comes_back_oldest_first_and_once() {
        let folder = tempfile::tempdir().unwrap();
        let spill = Spill::new(folder.path(), "a/b", 1_000);
        assert!(spill.oldest().unwrap().is_none(), "there is no folder yet");
        spill.write(&payloads(&["{\"a\":1}", "{\"b\":2}"])).unwrap();
        spill.write(&payloads(&["{\"c\":3}"])).unwrap();
        assert_eq!(spill.count().unwrap(), 3);
        let first = spill.oldest().unwrap().unwrap();
        assert_eq!(first.payloads, ["{\"a\":1}", "{\"b\":2}"]);
        // Another process sees the same folder.
        let other = Spill::new(folder.path(), "a/b", 1_000);
        let second = other.oldest().unwrap().unwrap();
        assert_eq!(second.payloads, ["{\"c\":3}"], "the first one is in other hands");
        drop(second);
        spill.delivered(&first, &payloads(&["{\"b\":2}"])).unwrap();
        assert_eq!(spill.count().unwrap(), 2);
        let left: Vec<_> = [spill.oldest().unwrap().unwrap(), spill.oldest().unwrap().unwrap()]
            .into_iter()
            .flat_map(|claim| claim.payloads)
            .collect();
        assert_eq!(left, ["{\"c\":3}", "{\"b\":2}"]);
    }

    #[test]
    fn callbacks_of_different_names_have_different_folders() {
        let folder = tempfile::tempdir().unwrap();
        let names = ["a_b", "a.b", "a/b", "../a"];
        for name in names {
            Spill::new(folder.path(), name, 1_000).write(&payloads(&["{}"])).unwrap();
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), names.len());
        assert!(folder.path().join("a_b").is_dir());
    }

    #[test]
    fn a_full_folder_loses_its_oldest_files_and_says_how_much_was_in_them() {
        let folder = tempfile::tempdir().unwrap();
        let spill = Spill::new(folder.path(), "s", 16);
        assert_eq!(spill.write(&payloads(&["aaaa", "bbb"])).unwrap(), 0);
        assert_eq!(spill.write(&payloads(&["cccc"])).unwrap(), 0);
        assert_eq!(spill.write(&payloads(&["dddd"])).unwrap(), 2);
        assert_eq!(spill.oldest().unwrap().unwrap().payloads, ["cccc"]);
    }

    #[test]
    fn nobody_else_may_read_it_and_an_unfinished_file_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let spill = Spill::new(folder.path(), "s", 1_000);
        spill.write(&payloads(&["{}"])).unwrap();
        let inside = folder.path().join("s");
        assert_eq!(fs::metadata(&inside).unwrap().permissions().mode() & 0o777, 0o700);
        let file = spill.oldest().unwrap().unwrap().path;
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        fs::remove_file(file).unwrap();
        fs::write(inside.join(format!("x.1.{UNFINISHED}")), "{").unwrap();
        fs::write(inside.join("notes.txt"), "mine").unwrap();
        assert!(spill.oldest().unwrap().is_none());
        let unfinished = inside.join(format!("x.1.{UNFINISHED}"));
        spill.write(&payloads(&["{}"])).unwrap();
        assert!(unfinished.exists(), "somebody may be writing it");
        let long_ago = SystemTime::now() - UNFINISHED_FOR - Duration::from_secs(1);
        File::open(&unfinished).unwrap().set_modified(long_ago).unwrap();
        spill.write(&payloads(&["{}"])).unwrap();
        assert!(!unfinished.exists() && inside.join("notes.txt").exists());
    }

    #[test]
    fn what_is_old_goes_with_its_folder_and_what_is_new_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) =
            (Spill::new(folder.path(), "old", 1_000), Spill::new(folder.path(), "new", 1_000));
        old.write(&payloads(&["{}", "{}"])).unwrap();
        new.write(&payloads(&["{}"])).unwrap();
        let long_ago = SystemTime::now() - Duration::from_secs(1_000);
        for path in [old.oldest().unwrap().unwrap().path, folder.path().join("old")] {
            File::open(path).unwrap().set_modified(long_ago).unwrap();
        }
        let before = SystemTime::now() - Duration::from_secs(500);
        assert_eq!(remove_older(folder.path(), before).unwrap(), 2);
        assert_eq!((old.count().unwrap(), new.count().unwrap()), (0, 1));
        File::open(folder.path().join("old")).unwrap().set_modified(long_ago).unwrap();
        assert_eq!(remove_older(folder.path(), before).unwrap(), 0);
        assert!(!folder.path().join("old").exists(), "nothing is left in it");
        assert_eq!(remove_older(&folder.path().join("none"), before).unwrap(), 0);
    }
}
