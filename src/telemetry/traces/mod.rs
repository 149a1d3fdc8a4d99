//! Traces: one span for each request and one for each of its attempts, sent by OTLP.
//!
//! ```text
//! request --Tracer::request (try_send)--> bounded queue --Exporter::run--> spans.rs --> otlp.rs --> HTTP
//! ```
//!
//! A request hands over what it was and goes on; spans are made of it in the background. A collector
//! that is slow or dead fills the queue, and what does not fit is dropped and counted: it never slows
//! a request. Without traces in the configuration nothing here is called.

mod export;
pub mod otlp;
mod spans;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use prometheus::IntCounter;
use tokio::sync::{Notify, mpsc};

pub use self::export::Exporter;
use super::record::RequestRecord;
use crate::trace::{Context, SpanId};

/// Requests that may wait where the configuration says nothing: OpenTelemetry's number of spans.
pub const QUEUE: usize = 2_048;

/// A request that is over, with its place in a trace.
#[derive(Clone, Debug)]
pub struct Traced {
    pub record: RequestRecord,
    /// The span of the request itself.
    pub context: Context,
    /// The span of whoever called.
    pub parent: Option<SpanId>,
    /// W3C's `tracestate`, as it came.
    pub state: Box<str>,
    /// The client spoke TLS, to the gateway or to the proxy before it.
    pub secure: bool,
    /// Of the record's attempts, in the same order.
    pub attempts: Vec<AttemptSpan>,
    pub asked: Asked,
    pub answered: Answered,
}

impl Traced {
    /// What its prompt and its reply take.
    fn text_bytes(&self) -> usize {
        let Asked { messages, answers, .. } = &self.asked;
        [messages, answers].into_iter().flatten().map(|text| text.len()).sum()
    }
}

/// What else is known of an attempt.
#[derive(Clone, Copy, Debug)]
pub struct AttemptSpan {
    pub id: SpanId,
    /// Since the request's first byte.
    pub began: Duration,
}

/// What the request asked for, beside its model.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    pub temperature: Option<f64>,
    pub top_p: Option<f64>,
    pub max_tokens: Option<u64>,
    /// What was said, as JSON in OpenTelemetry's form; only where the configuration wants it.
    pub messages: Option<Box<str>>,
    /// What was answered, in the same form.
    pub answers: Option<Box<str>>,
}

/// What the reply says of itself.
#[derive(Clone, Debug, Default)]
pub struct Answered {
    pub id: Option<Box<str>>,
    /// Why it ended, of each of its choices.
    pub finish_reasons: Vec<Box<str>>,
}

/// The end of the queue that requests hold. Cheap to clone.
#[derive(Clone)]
pub struct Tracer {
    queue: mpsc::Sender<Box<Traced>>,
    full: Arc<Notify>,
    counts: Counts,
}

/// What became of requests that were to be traced.
#[derive(Clone)]
pub struct Counts {
    pub exported: IntCounter,
    /// The queue was full.
    pub dropped: IntCounter,
    /// The collector did not take them.
    pub failed: IntCounter,
}

impl Tracer {
    /// Both ends of a queue for so many requests.
    #[must_use]
    pub fn new(requests: usize, counts: Counts) -> (Self, Exporter) {
        let (queue, waiting) = mpsc::channel(requests.max(1));
        let full = Arc::new(Notify::new());
        let exporter = Exporter::new(waiting, Arc::clone(&full), counts.clone());
        (Self { queue, full, counts }, exporter)
    }

    /// Queues a request; never waits. `batch`: with so many it is time to send.
    pub fn request(&self, traced: Box<Traced>, batch: usize) {
        match self.queue.try_send(traced) {
            // Whoever sleeps until a batch is full is woken once for it.
            Ok(()) if self.waiting() == batch => self.full.notify_one(),
            Ok(()) => {}
            Err(_) => self.counts.dropped.inc(),
        }
    }

    /// How many requests wait to be sent.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }
}
