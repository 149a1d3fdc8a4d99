//! The way of what was said, where it is kept: from a request into a bounded queue, and from there to the
//! database.
//!
//! Unlike what was spent it may be lost: nothing waits for it, it is in no journal, and what does not fit into the
//! queue or is not taken by the database after some tries is dropped and counted.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::keys::StoreError;
use crate::spend::{Ledger, Spoken};

/// Requests that may wait.
const QUEUE: usize = 1024;
/// The most of one transaction.
const BATCH: usize = 64;
/// The longest request and the longest reply that is kept, once its texts are cut.
const BODY_MAX: usize = 256 * 1024;
/// Where it is longer, its texts are cut to this.
const TEXT_LEAST: usize = 64;
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);
/// What the end of the process waits for the last ones.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What was said in a request that is over.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Of its row.
    pub request_id: Arc<str>,
    pub started_us: i64,
    /// Both are JSON.
    pub request: Bytes,
    pub reply: Option<Bytes>,
    /// The longest text that is kept, in bytes.
    pub text_max: usize,
}

/// The end of the queue that requests hold. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Contents {
    queue: mpsc::Sender<Box<Heard>>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    stored: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
}

/// The other end.
pub struct ContentsWriter {
    queue: mpsc::Receiver<Box<Heard>>,
    counts: Arc<Counts>,
    ledger: Arc<dyn Ledger>,
}

impl Contents {
    /// Both ends of a queue to this ledger.
    #[must_use]
    pub fn new(ledger: Arc<dyn Ledger>) -> (Self, ContentsWriter) {
        let (sender, queue) = mpsc::channel(QUEUE);
        let counts = Arc::<Counts>::default();
        let writer = ContentsWriter { queue, counts: Arc::clone(&counts), ledger };
        (Self { queue: sender, counts }, writer)
    }

    /// Hands over what was said; never waits.
    pub fn keep(&self, heard: Box<Heard>) {
        if self.queue.try_send(heard).is_err() {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many are stored, did not fit into the queue, or were not taken by the database.
    #[must_use]
    pub fn counts(&self) -> [(&'static str, u64); 3] {
        let Counts { stored, dropped, failed } = &*self.counts;
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        [("stored", of(stored)), ("dropped", of(dropped)), ("failed", of(failed))]
    }
}

impl ContentsWriter {
    /// Works until `end`, and then stores what is there, if that is soon done.
    pub async fn run(mut self, end: impl Future<Output = ()>) {
        let mut end = pin!(end);
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let came = tokio::select! {
                came = self.queue.recv_many(&mut batch, BATCH) => came,
                () = &mut end => break,
            };
            if came == 0 {
                return;
            }
            tokio::select! {
                () = self.store(&batch, TRIES) => batch.clear(),
                () = &mut end => break,
            }
        }
        self.queue.close();
        let last = async {
            if !batch.is_empty() {
                self.store(&std::mem::take(&mut batch), 1).await;
            }
            while self.queue.recv_many(&mut batch, BATCH).await > 0 {
                self.store(&std::mem::take(&mut batch), 1).await;
            }
        };
        if tokio::time::timeout(LAST_WORDS, last).await.is_err() {
            tracing::warn!("not all prompts and replies are in the database");
        }
    }

    async fn store(&self, batch: &[Box<Heard>], tries: u32) {
        let spoken: Vec<_> = batch.iter().map(|heard| spoken(heard)).collect();
        for tried in 1..=tries {
            match self.ledger.keep_spoken(&spoken).await {
                Ok(()) => return self.add(&self.counts.stored, spoken.len()),
                Err(StoreError::Unavailable(_)) if tried < tries => {
                    tokio::time::sleep(PAUSE).await;
                }
                Err(StoreError::Unavailable(_)) => break,
                Err(_) if spoken.len() > 1 => return self.store_each(&spoken).await,
                Err(error) => {
                    tracing::warn!(%error, "a prompt is not stored");
                    break;
                }
            }
        }
        self.add(&self.counts.failed, spoken.len());
    }

    /// One that the database does not take is no reason to lose the others.
    async fn store_each(&self, spoken: &[Spoken]) {
        for one in spoken {
            match self.ledger.keep_spoken(std::slice::from_ref(one)).await {
                Ok(()) => self.add(&self.counts.stored, 1),
                Err(error) => {
                    tracing::warn!(%error, "a prompt is not stored");
                    self.add(&self.counts.failed, 1);
                }
            }
        }
    }

    fn add(&self, count: &AtomicU64, more: usize) {
        count.fetch_add(more as u64, Ordering::Relaxed);
    }
}

fn spoken(heard: &Heard) -> Spoken {
    Spoken {
        request_id: Arc::clone(&heard.request_id),
        started_us: heard.started_us,
        request: shortened(&heard.request, heard.text_max),
        reply: heard.reply.as_ref().map(|reply| shortened(reply, heard.text_max)),
    }
}

/// JSON without the middle of its long texts.
fn shortened(body: &[u8], text_max: usize) -> String {
    let Ok(mut value) = serde_json::from_slice::<Value>(body) else { return "{}".to_owned() };
    for most in [text_max, TEXT_LEAST] {
        cut(&mut value, most);
        let written = value.to_string();
        if written.len() <= BODY_MAX.max(text_max) {
            return written;
        }
    }
    json!({"litellm_truncated": format!("{} bytes are not kept", body.len())}).to_string()
}

fn cut(value: &mut Value, most: usize) {
    match value {
        Value::String(text) if text.len() > most => *text = without_middle(text, most),
        Value::Array(list) => list.iter_mut().for_each(|value| cut(value, most)),
        Value::Object(fields) => fields.values_mut().for_each(|value| cut(value, most)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// As LiteLLM cuts: a third of what stays is the beginning, and its mark says how much is missing.
fn without_middle(text: &str, most: usize) -> String {
    let front = boundary(text, most * 35 / 100);
    let back = boundary(text, text.len() - most * 65 / 100);
    let missing = text.get(front..back).map_or(0, |middle| middle.chars().count());
    let (front, back) = (text.get(..front), text.get(back..));
    format!(
        "{}... (litellm_truncated skipped {missing} chars) ...{}",
        front.unwrap_or_default(),
        back.unwrap_or_default()
    )
}

/// The last place up to `at` where a text may be cut.
fn boundary(text: &str, at: usize) -> usize {
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_text_the_middle_is_missing() {
        let text = format!("begin{}end", "ä".repeat(5000));
        let body = json!({"messages": [{"content": text, "role": "user"}]}).to_string();
        let told: Value = serde_json::from_str(&shortened(body.as_bytes(), 100)).unwrap();
        let told = told["messages"][0]["content"].as_str().unwrap();
        assert!(told.starts_with("begin") && told.ends_with("end"), "{told}");
        assert!(told.contains("... (litellm_truncated skipped 49"), "{told}");
        assert!(told.len() < 200, "{told}");
        let short = json!({"a": "short"}).to_string();
        assert_eq!(shortened(short.as_bytes(), 100), short);
    }

    #[test]
    fn what_is_long_all_over_is_kept_as_its_length() {
        let many: Vec<_> = (0..50_000).map(|at| format!("word {at}")).collect();
        let body = json!({"messages": many}).to_string();
        let told = shortened(body.as_bytes(), 2048);
        assert!(told.len() < 100 && told.contains("are not kept"), "{told}");
        let long = vec!["x".repeat(2000); 500];
        let told = shortened(json!({"messages": long}).to_string().as_bytes(), 2048);
        assert!(told.len() < BODY_MAX && told.contains("skipped"), "{}", told.len());
    }
}
