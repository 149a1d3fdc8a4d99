use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;

use super::*;
use crate::keys::StoreError;
use crate::spend::traffic::{Counts, PayersQuery, Traffic, TrafficQuery};
use crate::spend::{
    Aged, Appended, Corrected, Ledger, Line, Query, Report, Scope, SpendEvent, Spoken,
};
use crate::store::journal::Journal;
use std::sync::Arc;

/// A ledger in memory that does as it is told.
#[derive(Default)]
struct Book {
    rows: Mutex<BTreeMap<String, SpendEvent>>,
    /// What it answers instead.
    fails: Mutex<Option<StoreError>>,
    /// A row that it never takes.
    refuses: Mutex<Option<&'static str>>,
    /// Up to when rows were removed.
    forgot: Mutex<Vec<(Aged, i64)>>,
    spoken: Mutex<Vec<Spoken>>,
}

#[async_trait]
impl Ledger for Book {
    async fn append(&self, events: &[SpendEvent]) -> Result<Appended, StoreError> {
        if let Some(error) = self.fails.lock().clone() {
            return Err(error);
        }
        let refused = *self.refuses.lock();
        if events.iter().any(|event| refused == Some(&*event.request_id)) {
            return Err(StoreError::Broken("a text that it has no place for".into()));
        }
        let mut rows = self.rows.lock();
        let mut appended = Appended::default();
        for event in events {
            let id = event.request_id.to_string();
            let new = !rows.contains_key(&id);
            appended.new += usize::from(new);
            appended.known += usize::from(!new);
            rows.entry(id).or_insert_with(|| event.clone());
        }
        Ok(appended)
    }

    async fn keep_spoken(&self, spoken: &[Spoken]) -> Result<(), StoreError> {
        if let Some(error) = self.fails.lock().clone() {
            return Err(error);
        }
        let refused = *self.refuses.lock();
        if spoken.iter().any(|one| refused == Some(&*one.request_id)) {
            return Err(StoreError::Broken("a text that it has no place for".into()));
        }
        self.spoken.lock().extend_from_slice(spoken);
        Ok(())
    }

    async fn spoken(&self, id: &str) -> Result<Option<Spoken>, StoreError> {
        Ok(self.spoken.lock().iter().find(|one| &*one.request_id == id).cloned())
    }

    async fn spent(&self, _: &Scope, _: Option<i64>) -> Result<i64, StoreError> {
        Ok(0)
    }

    async fn adjust(&self, _: &Scope, _: i64, _: i64) -> Result<i64, StoreError> {
        Ok(0)
    }

    async fn corrected_since(&self, _: Option<i64>) -> Result<Corrected, StoreError> {
        Ok((Vec::new(), 0))
    }

    async fn count_found(&self, _query: &Query, _most: u64) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn search(&self, _: &Query) -> Result<Vec<SpendEvent>, StoreError> {
        Ok(Vec::new())
    }

    async fn report(&self, _: &Report) -> Result<Vec<Line>, StoreError> {
        Ok(Vec::new())
    }

    async fn traffic(&self, _: &TrafficQuery) -> Result<Traffic, StoreError> {
        Ok(Traffic::default())
    }

    async fn payers(&self, _: &PayersQuery) -> Result<Vec<(Arc<str>, Counts)>, StoreError> {
        Ok(Vec::new())
    }

    async fn forget(&self, aged: Aged, before_us: i64) -> Result<u64, StoreError> {
        self.forgot.lock().push((aged, before_us));
        Ok(0)
    }
}

impl Book {
    fn ids(&self) -> Vec<String> {
        self.rows.lock().keys().cloned().collect()
    }
}

fn event(id: &str) -> SpendEvent {
    SpendEvent { request_id: id.into(), cost_pico: 7, status: 200, ..SpendEvent::default() }
}

fn books(folder: &Path) -> Arc<Books> {
    Arc::new(Books::new(Journal::new(folder), Arc::default()))
}

const PACE: Pace = Pace {
    batch_every: Duration::from_millis(1),
    keep: Keep { rows: None, sums: None, spoken: None, audit: None },
    forget_every: Duration::from_secs(3600),
};

/// Runs the writer of these books once, to its end.
async fn write(books: &Arc<Books>, book: &Arc<Book>, folder: &Path) {
    let ledger = Arc::clone(book) as Arc<dyn Ledger>;
    Writer::new(Arc::clone(books), ledger, folder).run(|| PACE, async {}).await;
}

#[tokio::test]
async fn what_is_over_is_in_the_ledger_once() {
    let folder = tempfile::tempdir().unwrap();
    let (books, book) = (books(folder.path()), Arc::<Book>::default());
    books.begun(&event("a"));
    for id in ["a", "b"] {
        books.over(event(id));
    }
    books.begun(&event("c"));
    write(&books, &book, folder.path()).await;
    assert_eq!(book.ids(), ["a", "b"], "what is not over has no row yet");
    assert_eq!(books.state().count(Count::Written), 2);
    // Somebody who does not know what was taken over.
    write(&books, &book, folder.path()).await;
    assert_eq!(books.state().count(Count::Known), 2);
    assert_eq!(book.ids(), ["a", "b"]);
}

#[tokio::test]
async fn what_a_dead_process_had_begun_is_a_row_that_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let before = books(folder.path());
    for id in ["a", "b"] {
        before.begun(&event(id));
    }
    // It had come further when the process ended.
    before.begun(&SpendEvent { cost_pico: 9, ..event("a") });
    before.over(event("b"));
    drop(before);
    let (books, book) = (books(folder.path()), Arc::<Book>::default());
    write(&books, &book, folder.path()).await;
    let rows = book.rows.lock().clone();
    assert_eq!(rows["a"].error.as_deref(), Some("interrupted"));
    assert_eq!((rows["a"].cost_pico, rows["a"].usage.estimated), (9, true));
    assert_eq!(rows["b"], event("b"));
    assert_eq!(books.state().count(Count::Interrupted), 1);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left");
}

#[tokio::test]
async fn a_long_stream_outlives_the_segment_that_it_began_in() {
    let folder = tempfile::tempdir().unwrap();
    let (before, book) = (books(folder.path()), Arc::<Book>::default());
    before.begun(&event("long"));
    let large = SpendEvent { metadata: Some("x".repeat(500_000).into()), ..SpendEvent::default() };
    for n in 0..40 {
        before.over(SpendEvent { request_id: format!("{n}").into(), ..large.clone() });
    }
    write(&before, &book, folder.path()).await;
    let bytes: u64 = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    assert!(bytes < 10_000_000, "the segments that were taken over are gone: {bytes}");
    drop(before);
    write(&books(folder.path()), &book, folder.path()).await;
    assert_eq!(book.rows.lock()["long"].error.as_deref(), Some("interrupted"));
}

#[tokio::test]
async fn nothing_is_lost_while_the_database_is_away() {
    let folder = tempfile::tempdir().unwrap();
    let (books, book) = (books(folder.path()), Arc::<Book>::default());
    for error in [StoreError::Unavailable("gone".into()), StoreError::Broken("no table".into())] {
        *book.fails.lock() = Some(error);
        books.over(event("a"));
        books.over(event("b"));
        write(&books, &book, folder.path()).await;
    }
    assert!(book.ids().is_empty());
    *book.fails.lock() = None;
    write(&books, &book, folder.path()).await;
    assert_eq!(book.ids(), ["a", "b"]);
}

#[tokio::test]
async fn what_no_database_takes_is_set_aside_and_holds_up_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let (books, book) = (books(folder.path()), Arc::<Book>::default());
    *book.refuses.lock() = Some("b");
    for id in ["a", "b", "c"] {
        books.over(event(id));
    }
    write(&books, &book, folder.path()).await;
    assert_eq!(book.ids(), ["a", "c"]);
    assert_eq!(books.state().count(Count::Refused), 1);
    let aside = std::fs::read_to_string(folder.path().join("refused.jsonl")).unwrap();
    let mut aside: serde_json::Value = serde_json::from_str(&aside).unwrap();
    assert!(aside["reason"].as_str().unwrap().contains("a text that it has no place for"));
    let kept: SpendEvent = serde_json::from_value(aside["event"].take()).unwrap();
    assert_eq!(kept, event("b"));
}

#[tokio::test]
async fn rows_that_are_all_refused_hold_up_nobody_who_comes_later() {
    let folder = tempfile::tempdir().unwrap();
    let (books, book) = (books(folder.path()), Arc::<Book>::default());
    *book.fails.lock() = Some(StoreError::Refused("numbers".into()));
    for id in ["a", "b", "c"] {
        books.over(event(id));
    }
    write(&books, &book, folder.path()).await;
    assert_eq!(books.state().count(Count::Refused), 3);
    *book.fails.lock() = None;
    books.over(event("d"));
    write(&books, &book, folder.path()).await;
    assert_eq!(book.ids(), ["d"]);
    let aside = std::fs::read_to_string(folder.path().join("refused.jsonl")).unwrap();
    assert_eq!(aside.lines().count(), 3);
}

#[tokio::test]
async fn a_database_that_takes_nothing_is_at_fault_and_not_its_rows() {
    let folder = tempfile::tempdir().unwrap();
    let (books, book) = (books(folder.path()), Arc::<Book>::default());
    *book.fails.lock() = Some(StoreError::Broken("its table is gone".into()));
    books.over(event("a"));
    books.over(event("b"));
    write(&books, &book, folder.path()).await;
    assert_eq!(books.state().count(Count::Refused), 0);
    *book.fails.lock() = None;
    write(&books, &book, folder.path()).await;
    assert_eq!(book.ids(), ["a", "b"], "they waited");
}

#[tokio::test]
async fn what_the_disk_does_not_take_goes_to_the_database_from_memory() {
    let folder = tempfile::tempdir().unwrap();
    let blocked = folder.path().join("blocked");
    std::fs::write(&blocked, "a file where the folder should be").unwrap();
    let (books, book) = (books(&blocked), Arc::<Book>::default());
    books.over(event("a"));
    assert!(books.state().is_blocked());
    write(&books, &book, folder.path()).await;
    assert_eq!(book.ids(), ["a"]);
    assert_eq!(books.state().count(Count::Unjournaled), 1);
    std::fs::remove_file(&blocked).unwrap();
    books.over(event("b"));
    assert!(!books.state().is_blocked());
    write(&books, &book, &blocked).await;
    assert_eq!(book.ids(), ["a", "b"]);
}

#[tokio::test]
async fn old_rows_are_removed_when_all_is_in_the_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let (books, book) = (books(folder.path()), Arc::<Book>::default());
    let day = Some(Duration::from_secs(86_400));
    let pace = Pace { keep: Keep { rows: day, sums: None, spoken: None, audit: day }, ..PACE };
    let ledger = Arc::clone(&book) as Arc<dyn Ledger>;
    let writer = Writer::new(Arc::clone(&books), ledger, folder.path());
    let forgot = async {
        while book.forgot.lock().len() < 2 {
            tokio::task::yield_now().await;
        }
    };
    writer.run(|| pace, forgot).await;
    let day_us = 86_400_000_000;
    let now = jiff::Timestamp::now().as_microsecond();
    let forgot = book.forgot.lock();
    let aged: Vec<_> = forgot.iter().map(|(aged, _)| *aged).collect();
    assert_eq!(aged, [Aged::Rows, Aged::Audit], "sums have no bound here");
    for (_, before) in &*forgot {
        assert!((now - day_us - before).abs() < 60_000_000, "{before}");
    }
}

fn heard(id: &str) -> Box<Heard> {
    Box::new(Heard {
        request_id: id.into(),
        started_us: 1,
        request: r#"{"messages":[]}"#.into(),
        reply: None,
        text_max: 100,
    })
}

#[tokio::test]
async fn what_was_said_is_stored_and_one_that_is_refused_is_left_out() {
    let book = Arc::<Book>::default();
    *book.refuses.lock() = Some("b");
    let (contents, writer) = Contents::new(Arc::clone(&book) as _);
    ["a", "b", "c"].into_iter().for_each(|id| contents.keep(heard(id)));
    let stored = async {
        while book.spoken.lock().len() < 2 {
            tokio::task::yield_now().await;
        }
    };
    writer.run(stored).await;
    assert!(book.spoken("a").await.unwrap().is_some_and(|it| it.request.contains("messages")));
    assert_eq!(book.spoken("b").await.unwrap(), None);
    assert_eq!(contents.counts(), [("stored", 2), ("dropped", 0), ("failed", 1)]);
}

#[tokio::test]
async fn without_a_database_what_was_said_is_dropped_and_nobody_waits() {
    let book = Arc::<Book>::default();
    *book.fails.lock() = Some(StoreError::Unavailable("it is away".into()));
    let (contents, writer) = Contents::new(Arc::clone(&book) as _);
    (0..1030).for_each(|id| contents.keep(heard(&id.to_string())));
    assert_eq!(contents.counts()[1], ("dropped", 6), "the queue has an end");
    // The end has come: each is tried once.
    writer.run(std::future::ready(())).await;
    assert_eq!(contents.counts(), [("stored", 0), ("dropped", 6), ("failed", 1024)]);
}
