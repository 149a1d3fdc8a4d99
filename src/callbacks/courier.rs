//! Brings batches of payloads to one receiver, in its own form.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;

use super::payload::{self, Facts};
use super::post::{Answer, Client, Outcome};
use super::settings::{Format, Post, SinkSettings, Target};
use super::{datadog, generic, langfuse, s3};
use crate::identity::Identities;
use crate::outbound;

/// Requests that a receiver refuses one by one before the rest is kept for later. It may be that each of
/// them is wrong; it is more likely that the receiver is, and nothing more is to be lost by it.
const REFUSED_MAX: usize = 8;
/// What is told of the receiver's own words, in characters.
const WORDS_MAX: usize = 200;
/// Shorter parts of a header are no secrets.
const SECRET_MIN: usize = 8;

/// What became of a batch.
#[derive(Debug, Default)]
pub(super) struct Delivery {
    pub(super) sent: usize,
    /// The receiver will never take them.
    pub(super) refused: Vec<Refused>,
    /// To be sent another time.
    pub(super) left: Vec<Bytes>,
    /// Why something was left.
    pub(super) why: Option<String>,
    /// How long the receiver wants to be left alone.
    pub(super) wait: Option<Duration>,
}

/// A request that is given up.
#[derive(Debug)]
pub(super) struct Refused {
    /// The payload's.
    pub(super) id: String,
    pub(super) why: String,
}

impl Refused {
    /// With what the receiver says of it. Of a request that is told with its prompt only the status
    /// stays: the words may repeat the prompt.
    pub(super) fn of(payload: &Bytes, status: &str, words: &str) -> Self {
        let words = outbound::line(words, WORDS_MAX);
        let Facts { id, has_text } = payload::facts(payload);
        let why = match words.trim() {
            "" => status.to_owned(),
            _ if has_text => format!("{status} (the rest may repeat the prompt)"),
            words => format!("{status}: {words}"),
        };
        Self { id, why }
    }
}

impl Delivery {
    pub(super) fn add(&mut self, other: Self) {
        self.sent += other.sent;
        self.refused.extend(other.refused);
        self.left.extend(other.left);
        self.why = other.why.or_else(|| self.why.take());
        self.wait = other.wait.or(self.wait);
    }

    /// All of it was taken.
    pub(super) fn taken(count: usize) -> Self {
        Self { sent: count, ..Self::default() }
    }

    pub(super) fn refused(one: Refused) -> Self {
        Self { refused: vec![one], ..Self::default() }
    }

    pub(super) fn left(payloads: Vec<Bytes>, why: String, wait: Option<Duration>) -> Self {
        Self { left: payloads, why: Some(why), wait, ..Self::default() }
    }
}

/// One receiver.
pub(super) struct Courier {
    settings: Arc<SinkSettings>,
    client: Client,
    identities: Arc<Identities>,
}

impl Courier {
    pub(super) const fn new(
        settings: Arc<SinkSettings>,
        client: Client,
        identities: Arc<Identities>,
    ) -> Self {
        Self { settings, client, identities }
    }

    /// Makes one attempt for each of the payloads. A batch that the receiver refuses goes in halves, until
    /// what it does not take stands alone.
    pub(super) async fn deliver(&self, payloads: Vec<Bytes>) -> Delivery {
        let mut parts: Vec<Vec<Bytes>> = match &self.settings.target {
            Target::S3(bucket) => {
                return s3::deliver(bucket, &self.client, &self.identities, payloads).await;
            }
            Target::Generic { format: Format::Single, .. } => {
                payloads.into_iter().rev().map(|payload| vec![payload]).collect()
            }
            _ => vec![payloads],
        };
        let mut all = Delivery::default();
        let mut refused_in_a_row = 0;
        while all.left.is_empty() && refused_in_a_row < REFUSED_MAX {
            let Some(mut part) = parts.pop() else { return all };
            match self.post(&part).await {
                (Outcome::Taken(answer), kind) => {
                    refused_in_a_row = 0;
                    all.add(match kind {
                        Kind::Langfuse => langfuse::judge(&answer, part),
                        Kind::Other => Delivery::taken(part.len()),
                    });
                }
                (Outcome::Refused(_), _) if part.len() > 1 => {
                    let second = part.split_off(part.len() / 2);
                    parts.extend([second, part]);
                }
                (Outcome::Refused(answer), _) => {
                    refused_in_a_row += 1;
                    let (status, words) = (answer.status.to_string(), self.words(&answer));
                    all.refused.extend(part.iter().map(|it| Refused::of(it, &status, &words)));
                }
                (Outcome::NotNow(why, wait), _) => all.add(Delivery::left(part, why, wait)),
            }
        }
        if all.left.is_empty() && !parts.is_empty() {
            let why = format!("it refused {REFUSED_MAX} requests, one after the other");
            all.why = all.refused.last().map(|last| format!("{why}; the last one: {}", last.why));
        }
        // The receiver was not there a moment ago, or did not want anything.
        all.left.extend(parts.into_iter().rev().flatten());
        all
    }

    /// What a receiver says, without what it was given to know us by.
    fn words(&self, answer: &Answer) -> String {
        let mut words = String::from_utf8_lossy(&answer.body).into_owned();
        let (Target::Generic { post, .. }
        | Target::Langfuse { post, .. }
        | Target::Datadog { post, .. }) = &self.settings.target
        else {
            return words;
        };
        for value in post.headers.iter().filter_map(|(_, value)| value.to_str().ok()) {
            // `Bearer`, and what comes after it.
            for part in value.split(' ').filter(|part| part.len() >= SECRET_MIN) {
                words = words.replace(part, "***");
            }
        }
        words
    }

    async fn post(&self, payloads: &[Bytes]) -> (Outcome, Kind) {
        let (post, kind, body) = match &self.settings.target {
            Target::Generic { post, format } => {
                (post, Kind::Other, Ok(generic::body(payloads, *format)))
            }
            Target::Langfuse { post, default_tags } => {
                let (payloads, tags) = (payloads.to_vec(), default_tags.clone());
                let making = move || langfuse::body(&payloads, &tags);
                (post, Kind::Langfuse, tokio::task::spawn_blocking(making).await)
            }
            Target::Datadog { post, labels } => {
                let (payloads, labels) = (payloads.to_vec(), labels.clone());
                let making = move || datadog::body(&payloads, &labels);
                (post, Kind::Other, tokio::task::spawn_blocking(making).await)
            }
            // Has a way of its own.
            Target::S3(_) => return (Outcome::NotNow(String::new(), None), Kind::Other),
        };
        match body {
            Ok(body) => (self.send(post, body).await, kind),
            // The process is ending.
            Err(error) => (Outcome::NotNow(error.to_string(), None), kind),
        }
    }

    async fn send(&self, post: &Post, body: Bytes) -> Outcome {
        self.client.send(Method::POST, &post.url, post.headers.iter().cloned(), body).await
    }
}

/// How an answer of success is read.
#[derive(Clone, Copy)]
enum Kind {
    Langfuse,
    Other,
}
