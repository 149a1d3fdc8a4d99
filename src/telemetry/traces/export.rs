//! Sends spans to a collector: OTLP, protobuf over HTTP, in batches.
//!
//! What a collector refuses for the moment (429, 502, 503, 504, or no answer at all) is sent again,
//! after a pause that doubles or that it names; what it refuses for good is counted as failed. When
//! the process ends, what still waits is sent once.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use http::header::CONTENT_TYPE;
use prost::Message;
use tokio::sync::{Notify, mpsc};

use super::otlp::{
    AnyValue, KeyValue, Request, Resource, ResourceSpans, Response, Scope, ScopeSpans, Value,
};
use super::{Counts, Traced, spans};
use crate::outbound::{self, Bounds, causes};
use crate::trace::Settings;

/// Attempts for each batch.
const ATTEMPTS: u32 = 4;
/// The pause before the second attempt; each further one is twice as long.
const PAUSE: Duration = Duration::from_secs(1);
/// A collector that wants to be left alone for longer is asked again all the same: more would wait
/// meanwhile than fits.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// How long what still waits may take to be sent when the process ends.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);
/// A batch with so much of prompts and replies is full: collectors take some megabytes.
const TEXT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The longest answer that is read.
const ANSWER_MAX: usize = 64 * 1024;
/// What the log repeats of a collector's words, in characters.
const WORDS_MAX: usize = 200;
/// The conventions that the attributes follow.
const SCHEMA: &str = "https://opentelemetry.io/schemas/1.37.0";

/// The end of the queue that the background task holds.
pub struct Exporter {
    queue: mpsc::Receiver<Box<Traced>>,
    full: Arc<Notify>,
    counts: Counts,
}

/// Why a batch was not taken.
enum Refusal {
    /// For now; perhaps with the time to wait.
    ForNow(String, Option<Duration>),
    ForGood(String),
}

impl Exporter {
    pub(super) const fn new(
        queue: mpsc::Receiver<Box<Traced>>,
        full: Arc<Notify>,
        counts: Counts,
    ) -> Self {
        Self { queue, full, counts }
    }

    /// Sends what comes until `shutdown` completes, then what still waits. `settings` are those in
    /// force, asked for each batch; while there are none, what comes is thrown away.
    pub async fn run(
        mut self,
        settings: impl Fn() -> Option<Arc<Settings>>,
        shutdown: impl Future<Output = ()>,
    ) {
        let mut shutdown = pin!(shutdown);
        let mut sender = Sender { client: None, counts: self.counts.clone(), is_broken: false };
        let mut batch = Vec::new();
        loop {
            tokio::select! {
                first = self.queue.recv() => match first {
                    Some(first) => batch.push(*first),
                    None => return,
                },
                () = &mut shutdown => break,
            }
            let Some(settings) = settings() else {
                batch.clear();
                continue;
            };
            // After a collector was slow there may be more than one batch.
            if !fill(&mut batch, &mut self.queue, settings.batch) {
                let is_ending = tokio::select! {
                    () = tokio::time::sleep(settings.delay) => false,
                    () = self.full.notified() => false,
                    () = &mut shutdown => true,
                };
                if is_ending {
                    break;
                }
                fill(&mut batch, &mut self.queue, settings.batch);
            }
            if sender.send(&settings, &mut batch, shutdown.as_mut()).await {
                break;
            }
        }
        self.queue.close();
        let Some(settings) = settings() else { return };
        let flushed = async {
            loop {
                fill(&mut batch, &mut self.queue, settings.batch);
                if batch.is_empty() {
                    return;
                }
                let ended = pin!(std::future::ready(()));
                sender.send(&settings, &mut batch, ended).await;
            }
        };
        if tokio::time::timeout(FLUSH_TIMEOUT, flushed).await.is_err() {
            let lost = batch.len() + self.queue.len();
            self.counts.failed.inc_by(lost as u64);
            tracing::warn!(lost, "the last traces could not be sent in time");
        }
    }
}

/// Adds to a batch what waits, as far as there is room in it. Whether it is full then.
fn fill(
    batch: &mut Vec<Traced>,
    queue: &mut mpsc::Receiver<Box<Traced>>,
    requests_max: usize,
) -> bool {
    let mut text: usize = batch.iter().map(Traced::text_bytes).sum();
    while batch.len() < requests_max && text < TEXT_BYTES_MAX {
        let Ok(next) = queue.try_recv() else { return false };
        text += next.text_bytes();
        batch.push(*next);
    }
    true
}

/// Sends batches, one after the other.
struct Sender {
    /// Made when it is first needed.
    client: Option<reqwest::Client>,
    counts: Counts,
    /// The last batch was not taken: said once, not for every batch.
    is_broken: bool,
}

impl Sender {
    /// Sends a batch, if need be again and again until the process ends. Whether it does; the batch
    /// is kept only then, and only if it was not sent.
    async fn send(
        &mut self,
        settings: &Settings,
        batch: &mut Vec<Traced>,
        mut shutdown: Pin<&mut impl Future<Output = ()>>,
    ) -> bool {
        let body = bytes::Bytes::from(message(settings, batch).encode_to_vec());
        let count = batch.len() as u64;
        let mut pause = PAUSE;
        let mut is_ending = false;
        let mut refused = String::new();
        for attempt in 1..=ATTEMPTS {
            let posted = {
                let mut posting = pin!(self.post(settings, body.clone()));
                tokio::select! {
                    posted = &mut posting => posted,
                    // The attempt that is under way may be the one that succeeds.
                    () = &mut shutdown, if !is_ending => {
                        is_ending = true;
                        posting.await
                    }
                }
            };
            let wait = match posted {
                Ok(()) => {
                    self.taken(count);
                    batch.clear();
                    return is_ending;
                }
                Err(Refusal::ForGood(why)) => {
                    refused = why;
                    break;
                }
                Err(Refusal::ForNow(why, wait)) => {
                    refused = why;
                    wait.unwrap_or(pause).min(PAUSE_MAX)
                }
            };
            pause *= 2;
            if is_ending || attempt == ATTEMPTS {
                break;
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                // Sent once more with the rest.
                () = &mut shutdown => return true,
            }
        }
        batch.clear();
        self.counts.failed.inc_by(count);
        if !std::mem::replace(&mut self.is_broken, true) {
            tracing::warn!(why = refused, "traces are not taken by the collector");
        }
        is_ending
    }

    fn taken(&mut self, count: u64) {
        self.counts.exported.inc_by(count);
        if std::mem::take(&mut self.is_broken) {
            tracing::info!("traces are taken by the collector again");
        }
    }

    async fn post(&mut self, settings: &Settings, body: bytes::Bytes) -> Result<(), Refusal> {
        let client = match &self.client {
            Some(client) => client,
            None => {
                let client = outbound::client().build();
                let client = client.map_err(|error| Refusal::ForGood(causes(&error)))?;
                self.client.insert(client)
            }
        };
        let mut request = client.post(settings.endpoint.expose());
        for (name, value) in &settings.headers {
            request = request.header(name, value.expose());
        }
        let request = request.header(CONTENT_TYPE, "application/x-protobuf").body(body);
        let bounds = Bounds { time: settings.timeout, answer: ANSWER_MAX };
        let answer = outbound::ask(request, bounds).await;
        let answer = answer.map_err(|failed| Refusal::ForNow(failed.to_string(), None))?;
        match answer.status.as_u16() {
            200..=299 => {
                partly(&answer.body.unwrap_or_default());
                Ok(())
            }
            429 | 502 | 503 | 504 => {
                Err(Refusal::ForNow(answer.status.to_string(), answer.pause()))
            }
            _ => Err(Refusal::ForGood(answer.status.to_string())),
        }
    }
}

/// Says what a collector has left out of what it took.
fn partly(said: &[u8]) {
    let Ok(Response { partial_success: Some(partly) }) = Response::decode(said) else { return };
    if partly.rejected_spans > 0 || !partly.error_message.is_empty() {
        let why = outbound::line(&partly.error_message, WORDS_MAX);
        let spans = partly.rejected_spans;
        tracing::warn!(spans, why, "the collector has left out some spans");
    }
}

fn message(settings: &Settings, batch: &[Traced]) -> Request {
    let attribute = |(key, value): &(Box<str>, Box<str>)| KeyValue {
        key: key.to_string(),
        value: Some(AnyValue { value: Some(Value::Text(value.to_string())) }),
    };
    let scope = Scope { name: "tollgate".into(), version: env!("CARGO_PKG_VERSION").into() };
    Request {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: settings.resource.iter().map(attribute).collect(),
            }),
            scope_spans: vec![ScopeSpans {
                scope: Some(scope),
                spans: batch.iter().flat_map(spans::of).collect(),
                schema_url: SCHEMA.into(),
            }],
            schema_url: String::new(),
        }],
    }
}
