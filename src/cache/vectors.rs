//! What was asked, as vectors: which reply is to the nearest question.
//!
//! ```text
//! group (all of a request but its question, and who made the vector) -> rows (vector, name of the reply)
//! ```
//!
//! Only rows of one group are compared, so a group is small: every one of its vectors is looked at, and
//! the nearest is the nearest. An approximate index would buy nothing at such sizes, and could not forget
//! a row when its reply expires. Vectors have length one, so that the angle between two is their product.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use rustc_hash::FxHashMap;

/// What all vectors may take together, where nothing is said.
pub const VECTOR_BYTES: u64 = 64 * 1024 * 1024;
/// Rows of one group; of more, the one that was used least lately goes. What is looked at for one
/// question: a few milliseconds at most.
const ROWS_MAX: usize = 10_000;
/// Numbers of one vector: models have 4,096 at most.
const NUMBERS_MAX: usize = 8_192;
/// What the book-keeping of a row, and of a group, takes, roughly.
const ROW_BYTES: usize = 160;
const GROUP_BYTES: usize = 256;
/// Products that are added up side by side, so that the compiler uses wide registers.
const LANES: usize = 16;

/// A direction: numbers whose squares add up to one.
#[derive(Clone, Debug, PartialEq)]
pub struct Vector(Arc<[f32]>);

impl Vector {
    /// `None`: it has no direction, or is no vector of any model.
    #[must_use]
    pub fn of(mut numbers: Vec<f32>) -> Option<Self> {
        if numbers.is_empty() || numbers.len() > NUMBERS_MAX {
            return None;
        }
        let length = product(&numbers, &numbers).sqrt();
        if !length.is_normal() {
            return None;
        }
        numbers.iter_mut().for_each(|number| *number /= length);
        Some(Self(numbers.into()))
    }

    /// The cosine of the angle between two; of other lengths they have nothing in common.
    #[must_use]
    pub fn similarity(&self, other: &Self) -> f32 {
        if self.0.len() == other.0.len() { product(&self.0, &other.0) } else { 0.0 }
    }

    /// How many numbers it has.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        self.0.len()
    }

    /// Its numbers one after the other, the least byte of each first.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|number| number.to_le_bytes()).collect()
    }

    fn bytes(&self) -> usize {
        self.0.len() * size_of::<f32>()
    }
}

fn product(one: &[f32], other: &[f32]) -> f32 {
    let (one, other) = (one.chunks_exact(LANES), other.chunks_exact(LANES));
    let rest: f32 = one.remainder().iter().zip(other.remainder()).map(|(a, b)| a * b).sum();
    let mut sums = [0.0_f32; LANES];
    for (one, other) in one.zip(other) {
        for (sum, (a, b)) in sums.iter_mut().zip(one.iter().zip(other)) {
            *sum += a * b;
        }
    }
    sums.iter().sum::<f32>() + rest
}

/// Where a question belongs: what it is compared with, and its direction.
#[derive(Clone, Debug)]
pub struct Mark {
    pub group: Arc<str>,
    pub vector: Vector,
}

/// The nearest question that was asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Nearest {
    /// The name of its reply.
    pub name: Arc<str>,
    /// From -1 to 1; 1 is the same direction.
    pub similarity: f32,
}

#[derive(Debug)]
struct Row {
    name: Arc<str>,
    vector: Vector,
    made_ms: u64,
    expires_ms: u64,
    used: AtomicU64,
}

impl Row {
    fn bytes(&self) -> usize {
        self.vector.bytes() + self.name.len() + ROW_BYTES
    }

    fn is_fresh(&self, now_ms: u64, max_age: Option<Duration>) -> bool {
        let age = Duration::from_millis(now_ms.saturating_sub(self.made_ms));
        now_ms < self.expires_ms && max_age.is_none_or(|most| age <= most)
    }
}

#[derive(Debug, Default)]
struct Group {
    rows: RwLock<Vec<Row>>,
    used: AtomicU64,
}

type Groups = FxHashMap<Arc<str>, Arc<Group>>;

/// All vectors, bounded in bytes; what was used least lately goes first.
#[derive(Debug)]
pub struct Index {
    groups: Mutex<Groups>,
    bytes: AtomicUsize,
    bytes_max: usize,
    rows_max: usize,
    /// Counts uses: a clock that nobody has to look at.
    uses: AtomicU64,
}

impl Index {
    #[must_use]
    pub fn new(bytes_max: u64) -> Self {
        Self {
            groups: Mutex::default(),
            bytes: AtomicUsize::new(0),
            bytes_max: usize::try_from(bytes_max).unwrap_or(usize::MAX),
            rows_max: ROWS_MAX,
            uses: AtomicU64::new(0),
        }
    }

    /// How many rows a question of this group is compared with.
    #[must_use]
    pub fn rows_of(&self, group: &str) -> usize {
        let group = self.groups.lock().get(group).map(Arc::clone);
        group.map_or(0, |group| group.rows.read().len())
    }

    /// The nearest question in its group whose reply is not too old.
    #[must_use]
    pub fn nearest(&self, mark: &Mark, now_ms: u64, max_age: Option<Duration>) -> Option<Nearest> {
        let group = self.groups.lock().get(&mark.group).map(Arc::clone)?;
        let rows = group.rows.read();
        let fresh = rows.iter().filter(|row| row.is_fresh(now_ms, max_age));
        let compared = fresh.map(|row| (row, row.vector.similarity(&mark.vector)));
        let (row, similarity) = compared.max_by(|(_, one), (_, other)| one.total_cmp(other))?;
        let use_now = self.uses.fetch_add(1, Ordering::Relaxed);
        row.used.store(use_now, Ordering::Relaxed);
        group.used.store(use_now, Ordering::Relaxed);
        Some(Nearest { name: Arc::clone(&row.name), similarity })
    }

    /// Adds a question whose reply is kept under `name` from `made_ms` until `expires_ms`.
    pub fn add(&self, mark: Mark, name: &Arc<str>, made_ms: u64, expires_ms: u64) {
        let use_now = self.uses.fetch_add(1, Ordering::Relaxed);
        let Mark { group: key, vector } = mark;
        let row = Row {
            name: Arc::clone(name),
            vector,
            made_ms,
            expires_ms,
            used: AtomicU64::new(use_now),
        };
        let more = row.bytes();
        if more + GROUP_BYTES > self.bytes_max {
            return;
        }
        let mut groups = self.groups.lock();
        let group = groups.entry(key).or_insert_with_key(|key| {
            self.bytes.fetch_add(GROUP_BYTES + key.len(), Ordering::Relaxed);
            Arc::default()
        });
        group.used.store(use_now, Ordering::Relaxed);
        let mut less = 0;
        {
            let mut rows = group.rows.write();
            rows.retain(|old| {
                let stays = old.name != row.name && old.is_fresh(made_ms, None);
                less += if stays { 0 } else { old.bytes() };
                stays
            });
            if rows.len() >= self.rows_max {
                less += remove_oldest(&mut rows);
            }
            rows.push(row);
        }
        self.bytes.fetch_add(more, Ordering::Relaxed);
        self.bytes.fetch_sub(less, Ordering::Relaxed);
        while self.bytes.load(Ordering::Relaxed) > self.bytes_max {
            if !self.make_room(&mut groups) {
                break;
            }
        }
    }

    /// Removes the row that was used least lately from the group that was; whether there was one.
    fn make_room(&self, groups: &mut Groups) -> bool {
        let used = |group: &Arc<Group>| group.used.load(Ordering::Relaxed);
        let Some((key, group)) = groups.iter().min_by_key(|(_, group)| used(group)) else {
            return false;
        };
        let mut less = 0;
        let is_empty = {
            let mut rows = group.rows.write();
            less += remove_oldest(&mut rows);
            rows.is_empty()
        };
        let empty = is_empty.then(|| Arc::clone(key));
        if let Some(key) = empty {
            less += GROUP_BYTES + key.len();
            groups.remove(&key);
        }
        self.bytes.fetch_sub(less, Ordering::Relaxed);
        less > 0
    }

    /// Forgets a row whose reply is gone.
    pub fn forget(&self, group: &str, name: &str) {
        let mut groups = self.groups.lock();
        let Some(found) = groups.get(group) else { return };
        let mut less = 0;
        let is_empty = {
            let mut rows = found.rows.write();
            if let Some(at) = rows.iter().position(|row| *row.name == *name) {
                less += rows.swap_remove(at).bytes();
            }
            rows.is_empty()
        };
        if is_empty {
            groups.remove(group);
            less += GROUP_BYTES + group.len();
        }
        self.bytes.fetch_sub(less, Ordering::Relaxed);
    }

    /// Forgets everything.
    pub fn clear(&self) {
        let mut groups = self.groups.lock();
        groups.clear();
        self.bytes.store(0, Ordering::Relaxed);
    }

    /// Rows and their bytes.
    #[must_use]
    pub fn stats(&self) -> (u64, u64) {
        let groups = self.groups.lock();
        let rows: usize = groups.values().map(|group| group.rows.read().len()).sum();
        (rows as u64, self.bytes.load(Ordering::Relaxed) as u64)
    }
}

/// The bytes of the row that was used least lately, which is gone.
fn remove_oldest(rows: &mut Vec<Row>) -> usize {
    let used = |row: &Row| row.used.load(Ordering::Relaxed);
    let oldest = rows.iter().enumerate().min_by_key(|(_, row)| used(row)).map(|(at, _)| at);
    oldest.map_or(0, |at| rows.swap_remove(at).bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000_000;
    const LATER: u64 = NOW + 60_000;

    fn mark(group: &str, numbers: &[f32]) -> Mark {
        Mark { group: group.into(), vector: Vector::of(numbers.to_vec()).unwrap() }
    }

    fn nearest(index: &Index, mark: &Mark) -> Option<(String, f32)> {
        let found = index.nearest(mark, NOW, None)?;
        Some((found.name.to_string(), (found.similarity * 100.0).round() / 100.0))
    }

    #[test]
    fn the_nearest_question_of_the_group_is_found() {
        let index = Index::new(VECTOR_BYTES);
        index.add(mark("g", &[1.0, 0.0]), &"east".into(), NOW, LATER);
        index.add(mark("g", &[0.0, 2.0]), &"north".into(), NOW, LATER);
        index.add(mark("h", &[1.0, 1.0]), &"other".into(), NOW, LATER);
        let asked = |numbers| nearest(&index, &mark("g", numbers));
        assert_eq!(asked(&[3.0, 0.0]), Some(("east".into(), 1.0)));
        assert_eq!(asked(&[3.0, 4.0]), Some(("north".into(), 0.8)));
        assert_eq!(asked(&[-1.0, -0.01]), Some(("north".into(), -0.01)));
        assert_eq!(asked(&[1.0, 0.0, 0.0]).unwrap().1, 0.0, "another number of numbers");
        assert_eq!(nearest(&index, &mark("none", &[1.0, 0.0])), None);
        assert_eq!((index.rows_of("g"), index.rows_of("none")), (2, 0));
    }

    #[test]
    fn what_is_no_direction_is_no_vector() {
        for numbers in [
            vec![],
            vec![0.0; 8],
            vec![f32::NAN, 1.0],
            vec![f32::INFINITY],
            vec![1.0; NUMBERS_MAX + 1],
        ] {
            assert_eq!(Vector::of(numbers), None);
        }
        let long = Vector::of((0_u8..100).map(f32::from).collect()).unwrap();
        assert!((long.similarity(&long) - 1.0).abs() < 1e-5);
        assert_eq!(long.dimensions(), 100);
    }

    #[test]
    fn a_row_ends_with_its_reply() {
        let index = Index::new(VECTOR_BYTES);
        let east = mark("g", &[1.0, 0.0]);
        index.add(east.clone(), &"a".into(), NOW, NOW + 1_000);
        assert!(index.nearest(&east, NOW + 999, None).is_some());
        assert!(index.nearest(&east, NOW + 1_000, None).is_none());
        let age = Some(Duration::from_millis(500));
        assert!(index.nearest(&east, NOW + 500, age).is_some());
        assert!(index.nearest(&east, NOW + 501, age).is_none());
        // What is too old goes when something comes.
        index.add(mark("g", &[0.0, 1.0]), &"b".into(), NOW + 2_000, LATER);
        assert_eq!(index.stats().0, 1);
        index.forget("g", "nothing");
        assert_eq!(index.stats().0, 1);
        index.forget("g", "b");
        assert_eq!(index.stats(), (0, 0));
        assert!(index.nearest(&east, NOW, None).is_none());
    }

    #[test]
    fn a_name_has_one_row() {
        let index = Index::new(VECTOR_BYTES);
        index.add(mark("g", &[1.0, 0.0]), &"a".into(), NOW, LATER);
        let bytes = index.stats().1;
        index.add(mark("g", &[0.0, 1.0]), &"a".into(), NOW + 1, LATER);
        assert_eq!(index.stats(), (1, bytes));
        assert_eq!(nearest(&index, &mark("g", &[0.0, 1.0])), Some(("a".into(), 1.0)));
        index.clear();
        assert_eq!(index.stats(), (0, 0));
    }

    #[test]
    fn all_rows_together_are_bounded_and_the_least_used_go_first() {
        let row = 2 * size_of::<f32>() + 1 + ROW_BYTES;
        // Two groups of one row and one group of two.
        let index = Index::new((3 * row + 2 * (GROUP_BYTES + 1)) as u64);
        index.add(mark("g", &[1.0, 0.0]), &"a".into(), NOW, LATER);
        index.add(mark("g", &[0.0, 1.0]), &"b".into(), NOW, LATER);
        index.add(mark("h", &[0.0, 1.0]), &"c".into(), NOW, LATER);
        assert_eq!(index.stats().0, 3);
        assert_eq!(nearest(&index, &mark("g", &[1.0, 0.0])).unwrap().0, "a");
        // `h` was used before `g`, and is gone as a whole.
        index.add(mark("g", &[1.0, 1.0]), &"d".into(), NOW, LATER);
        assert_eq!((index.rows_of("h"), index.rows_of("g")), (0, 3));
        index.add(mark("i", &[1.0, 1.0]), &"e".into(), NOW, LATER);
        let rest: Vec<_> = ["a", "b", "d"]
            .into_iter()
            .zip([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
            .filter(|(name, numbers)| nearest(&index, &mark("g", numbers)).unwrap().0 == **name)
            .map(|(name, _)| name)
            .collect();
        assert_eq!(rest, ["a", "d"], "`b` was not asked for since");
        let (rows, bytes) = index.stats();
        assert!(rows == 3 && bytes <= index.bytes_max as u64, "{rows} {bytes}");
        // What would not fit by itself is not begun.
        let tiny = Index::new(100);
        tiny.add(mark("g", &[1.0]), &"a".into(), NOW, LATER);
        assert_eq!(tiny.stats(), (0, 0));
    }

    #[test]
    fn a_group_is_bounded() {
        let index = Index { rows_max: 3, ..Index::new(VECTOR_BYTES) };
        let numbers = [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]];
        for (name, numbers) in ["a", "b", "c"].into_iter().zip(&numbers) {
            index.add(mark("g", numbers), &name.into(), NOW, LATER);
        }
        assert_eq!(nearest(&index, &mark("g", &numbers[0])).unwrap().0, "a");
        index.add(mark("g", &numbers[3]), &"d".into(), NOW, LATER);
        assert_eq!(index.rows_of("g"), 3);
        assert_eq!(nearest(&index, &mark("g", &numbers[0])), Some(("a".into(), 1.0)));
        assert_ne!(nearest(&index, &mark("g", &numbers[1])).unwrap().0, "b");
    }
}
