//! Brings batches of payloads to one receiver, in its own form.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Method};

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
        let SinkSettings { target, batch, .. } = &*self.settings;
        let count_max = match target {
            Target::S3(bucket) => {
                return s3::deliver(bucket, &self.client, &self.identities, payloads).await;
            }
            Target::Generic { format: Format::Single, .. } => 1,
            Target::Generic { .. } | Target::Langfuse { .. } | Target::Datadog { .. } => *batch,
        };
        // The first one at the end.
        let mut parts = batches(payloads, count_max, target.batch_bytes());
        parts.reverse();
        let mut all = Delivery::default();
        let mut refused_in_a_row = 0;
        while all.left.is_empty() && refused_in_a_row < REFUSED_MAX {
            let Some(mut part) = parts.pop() else { return all };
            match self.post(&part).await {
                (Outcome::Taken(answer), kind) => {
                    refused_in_a_row = 0;
                    all.add(match kind {
                        Kind::Langfuse => langfuse::judge(&self.discreet(answer), part),
                        Kind::Other => Delivery::taken(part.len()),
                    });
                }
                (Outcome::Refused(_), _) if part.len() > 1 => {
                    let second = part.split_off(part.len() / 2);
                    parts.extend([second, part]);
                }
                (Outcome::Refused(answer), _) => {
                    refused_in_a_row += 1;
                    let Answer { status, body } = self.discreet(answer);
                    let (status, words) = (status.to_string(), String::from_utf8_lossy(&body));
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
    fn discreet(&self, answer: Answer) -> Answer {
        let (Target::Generic { post, .. }
        | Target::Langfuse { post, .. }
        | Target::Datadog { post, .. }) = &self.settings.target
        else {
            return answer;
        };
        let mut body = String::from_utf8_lossy(&answer.body).into_owned();
        let values = post.headers.iter().map(|(_, value)| value);
        for secret in values.filter(|value| value.is_sensitive()).flat_map(secrets) {
            body = body.replace(&secret, "***");
        }
        Answer { body: body.into(), ..answer }
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

/// What of a header may be a secret: each of its words, and what is packed in it (`Basic ...`).
fn secrets(value: &HeaderValue) -> Vec<String> {
    let mut found = Vec::new();
    for word in value.to_str().unwrap_or_default().split(' ') {
        let packed = BASE64_STANDARD.decode(word).ok().and_then(|it| String::from_utf8(it).ok());
        let parts = packed.iter().flat_map(|packed| packed.split(':'));
        found.extend(parts.chain([word]).map(str::to_owned));
    }
    found.retain(|secret| secret.len() >= SECRET_MIN);
    found
}

/// Batches within bounds: what waited on the disk was put together by others.
fn batches(payloads: Vec<Bytes>, count_max: usize, bytes_max: usize) -> Vec<Vec<Bytes>> {
    let (mut batches, mut bytes) = (Vec::<Vec<Bytes>>::new(), 0);
    for payload in payloads {
        let has_room =
            |batch: &&mut Vec<Bytes>| batch.len() < count_max && bytes + payload.len() <= bytes_max;
        match batches.last_mut().filter(has_room) {
            Some(batch) => {
                bytes += payload.len();
                batch.push(payload);
            }
            None => {
                bytes = payload.len();
                batches.push(vec![payload]);
            }
        }
    }
    batches
}

/// How an answer of success is read.
#[derive(Clone, Copy)]
enum Kind {
    Langfuse,
    Other,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_batch_has_as_many_as_its_receiver_takes_and_one_at_least() {
        let payloads = ["aa", "b", "cccccc", "d", "e", "f"];
        let payloads: Vec<_> = payloads.map(|text| Bytes::from_static(text.as_bytes())).into();
        let parts = batches(payloads.clone(), 2, 4);
        let parts: Vec<_> = parts.iter().map(|part| part.concat()).collect();
        assert_eq!(parts, [&b"aab"[..], b"cccccc", b"de", b"f"]);
        assert_eq!(batches(payloads, 1, 100).len(), 6);
        assert!(batches(Vec::new(), 2, 4).is_empty());
    }

    #[test]
    fn what_a_receiver_knows_us_by_is_hidden_however_it_is_written() {
        let of = |text: &'static str| secrets(&HeaderValue::from_static(text));
        assert_eq!(of("Bearer for-your-eyes"), ["for-your-eyes"]);
        assert_eq!(of("Basic cGs6czNjcmV0LWtleQ=="), ["s3cret-key", "cGs6czNjcmV0LWtleQ=="]);
    }

    #[test]
    fn what_a_receiver_says_is_told_where_it_cannot_be_a_prompt() {
        let payload = |prompt: &str| {
            let messages = json!([{"role": "user", "content": prompt}]);
            Bytes::from(json!({"id": "1", "messages": messages}).to_string())
        };
        let hidden = Refused::of(&payload("redacted-by-litellm"), "400 Bad Request", "no\nid ");
        assert_eq!((&*hidden.id, &*hidden.why), ("1", "400 Bad Request: no id"));
        let open = Refused::of(&payload("the plan"), "400 Bad Request", "bad: the plan");
        assert!(!open.why.contains("plan"), "{}", open.why);
        let long = Refused::of(&payload("redacted-by-litellm"), "400", &"x".repeat(1_000));
        assert_eq!(long.why.len(), "400: ".len() + WORDS_MAX);
        assert_eq!(Refused::of(&payload("the plan"), "422", " ").why, "422");
    }
}
