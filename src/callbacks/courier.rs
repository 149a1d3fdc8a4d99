//! Brings batches of payloads to one receiver, in its own form.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;

use super::post::{Client, Outcome};
use super::settings::{Format, Post, SinkSettings, Target};
use super::{datadog, generic, langfuse, s3};
use crate::identity::Identities;

/// What became of a batch.
#[derive(Debug, Default)]
pub(super) struct Delivery {
    pub(super) sent: usize,
    /// The receiver will never take so many.
    pub(super) refused: usize,
    /// To be sent another time.
    pub(super) left: Vec<Bytes>,
    /// Why something was refused or left.
    pub(super) why: Option<String>,
    /// How long the receiver wants to be left alone.
    pub(super) wait: Option<Duration>,
}

impl Delivery {
    pub(super) fn add(&mut self, other: Self) {
        self.sent += other.sent;
        self.refused += other.refused;
        self.left.extend(other.left);
        self.why = other.why.or_else(|| self.why.take());
        self.wait = other.wait.or(self.wait);
    }

    /// All of it was taken.
    pub(super) fn taken(count: usize) -> Self {
        Self { sent: count, ..Self::default() }
    }

    pub(super) fn refused(count: usize, why: String) -> Self {
        Self { refused: count, why: Some(why), ..Self::default() }
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

    /// Makes one attempt for each of the payloads. A batch that the receiver finds too large goes in
    /// halves.
    pub(super) async fn deliver(&self, payloads: Vec<Bytes>) -> Delivery {
        if let Target::S3(bucket) = &self.settings.target {
            return s3::deliver(bucket, &self.client, &self.identities, payloads).await;
        }
        let mut all = Delivery::default();
        let mut parts: Vec<Vec<Bytes>> = match self.settings.target {
            Target::Generic { format: Format::Single, .. } => {
                payloads.into_iter().rev().map(|payload| vec![payload]).collect()
            }
            _ => vec![payloads],
        };
        while let Some(mut part) = parts.pop() {
            if all.wait.is_some() || !all.left.is_empty() {
                // It was not there a moment ago.
                all.left.append(&mut part);
                continue;
            }
            match self.post(&part).await {
                (Outcome::Taken(answer), post) => all.add(match post {
                    Kind::Langfuse => langfuse::judge(&answer, part),
                    Kind::Other => Delivery::taken(part.len()),
                }),
                (Outcome::TooLarge, _) if part.len() > 1 => {
                    let second = part.split_off(part.len() / 2);
                    parts.extend([second, part]);
                }
                (Outcome::TooLarge, _) => {
                    all.add(Delivery::refused(1, "one request is larger than it takes".to_owned()));
                }
                (Outcome::Refused(why), _) => all.add(Delivery::refused(part.len(), why)),
                (Outcome::NotNow(why, wait), _) => all.add(Delivery::left(part, why, wait)),
            }
        }
        all
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
            Target::S3(_) => return (Outcome::Refused(String::new()), Kind::Other),
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
