use super::segment::Listing;
use super::*;

fn small(folder: &Path) -> Arc<Journal> {
    Arc::new(Journal { segment_bytes: 64, ..Journal::new(folder) })
}

/// Takes everything over that there is.
fn all(reader: &mut Reader) -> Vec<String> {
    let mut found = Vec::new();
    loop {
        match reader.next(3).unwrap() {
            Next::Records(batch) => {
                let records = batch.records.into_iter().map(|it| String::from_utf8(it).unwrap());
                found.extend(records);
                reader.taken();
            }
            Next::Finished(_) | Next::Buried => reader.finish().unwrap(),
            Next::Nothing => return found,
        }
    }
}

fn batch(reader: &mut Reader) -> Batch {
    match reader.next(10).unwrap() {
        Next::Records(batch) => batch,
        other => panic!("{other:?}"),
    }
}

fn numbers(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|n| format!("record {n}")).collect()
}

fn append(journal: &Journal, range: std::ops::Range<u32>) {
    for record in numbers(range) {
        let mut frame = Frame::default();
        frame.write_all(record.as_bytes()).unwrap();
        journal.append(&mut frame).unwrap();
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    Listing::of(folder).unwrap().segments
}

#[test]
fn records_come_in_their_order_and_segments_go_when_they_were_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let journal = small(folder.path());
    let mut reader = Reader::new(Arc::clone(&journal));
    assert_eq!(reader.next(3).unwrap(), Next::Nothing, "nothing was appended");
    append(&journal, 0..20);
    assert!(files(folder.path()).len() > 2);
    assert_eq!(all(&mut reader), numbers(0..20));
    append(&journal, 20..21);
    journal.probe().unwrap();
    assert_eq!(all(&mut reader), numbers(20..21));
    assert!(files(folder.path()).len() <= 1);
    assert_eq!(reader.backlog().unwrap(), 0);
}

#[test]
fn who_ends_with_nothing_to_tell_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let journal = small(folder.path());
    let mut reader = Reader::new(Arc::clone(&journal));
    append(&journal, 0..3);
    reader.retire().unwrap();
    assert_eq!(all(&mut reader), numbers(0..3));
    append(&journal, 3..4);
    reader.retire().unwrap();
    assert_eq!(all(&mut reader), numbers(3..4), "what was not taken over stays");
    reader.retire().unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    append(&journal, 4..5);
    assert_eq!(all(&mut reader), numbers(4..5));
}

#[test]
fn what_was_not_taken_over_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let journal = small(folder.path());
    append(&journal, 0..2);
    let mut reader = Reader::new(Arc::clone(&journal));
    let first = batch(&mut reader);
    assert_eq!(batch(&mut reader), first);
    reader.taken();
    assert_eq!(reader.next(10).unwrap(), Next::Nothing);
}

#[test]
fn what_a_process_leaves_is_found_by_the_next_and_not_before() {
    let folder = tempfile::tempdir().unwrap();
    let before = small(folder.path());
    append(&before, 0..10);
    let own = small(folder.path());
    let mut reader = Reader::new(Arc::clone(&own));
    assert!(!reader.adopt().unwrap(), "it is still being written");
    drop(before);
    append(&own, 10..12);
    let mut other = Reader::new(small(folder.path()));
    assert!(reader.adopt().unwrap());
    assert!(!other.adopt().unwrap(), "all of it belongs to who was first");
    assert_eq!(all(&mut reader), numbers(0..12));
    assert!(!reader.adopt().unwrap());
    assert!(files(folder.path()).len() <= 1, "only the own one is left");
}

#[test]
fn what_was_left_is_told_from_its_beginning_if_it_was_not_taken_over_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    append(&small(folder.path()), 0..20);
    let mut reader = Reader::new(small(folder.path()));
    assert!(reader.adopt().unwrap());
    for _ in 0..3 {
        assert!(!batch(&mut reader).records.is_empty());
        reader.taken();
    }
    drop(reader);
    let mut reader = Reader::new(small(folder.path()));
    assert!(reader.adopt().unwrap());
    assert_eq!(all(&mut reader), numbers(0..20));
    assert_eq!(Listing::of(folder.path()).unwrap().owners, Vec::<String>::new());
}

#[test]
fn segments_whose_lock_is_missing_are_found_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    append(&small(folder.path()), 0..3);
    let owner = Listing::of(folder.path()).unwrap().owners.remove(0);
    fs::remove_file(lock_of(folder.path(), &owner)).unwrap();
    let mut reader = Reader::new(small(folder.path()));
    assert!(reader.adopt().unwrap());
    assert_eq!(all(&mut reader), numbers(0..3));
}

#[test]
fn a_journal_that_is_cut_anywhere_gives_the_whole_records_before() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Arc::new(Journal::new(folder.path()));
    append(&journal, 0..3);
    drop(journal);
    let path = files(folder.path()).remove(0);
    let whole = fs::read(&path).unwrap();
    let record = HEAD_BYTES + "record 0".len();
    for cut in 1..whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        let mut reader = Reader::new(Arc::new(Journal::new(folder.path())));
        assert!(reader.adopt().unwrap());
        let batch = batch(&mut reader);
        assert_eq!(batch.records.len(), cut / record, "cut at {cut}");
        assert_eq!(batch.lost as usize, cut % record, "cut at {cut}");
    }
}

#[test]
fn a_damaged_segment_gives_what_is_before_the_damage_and_is_kept() {
    for at in 0..HEAD_BYTES + "record 0".len() {
        let folder = tempfile::tempdir().unwrap();
        append(&Journal::new(folder.path()), 0..3);
        let path = files(folder.path()).remove(0);
        let mut damaged = fs::read(&path).unwrap();
        damaged[HEAD_BYTES + "record 0".len() + at] ^= 0x10;
        fs::write(&path, &damaged).unwrap();
        let mut reader = Reader::new(Arc::new(Journal::new(folder.path())));
        assert!(reader.adopt().unwrap());
        let found = batch(&mut reader);
        assert_eq!((found.records.len(), found.lost > 0), (1, true), "at {at}");
        reader.taken();
        assert_eq!(reader.next(1).unwrap(), Next::Buried);
        reader.finish().unwrap();
        assert!(path.with_extension("damaged").exists(), "at {at}");
        assert!(!reader.adopt().unwrap());
    }
}

#[test]
fn a_disk_that_does_not_take_a_record_has_nothing_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let blocked = folder.path().join("blocked");
    fs::write(&blocked, "a file where the folder should be").unwrap();
    let journal = Arc::new(Journal::new(blocked.join("journal")));
    journal.probe().unwrap_err();
    fs::remove_file(&blocked).unwrap();
    append(&journal, 0..1);
    assert_eq!(all(&mut Reader::new(journal)), numbers(0..1));
}
