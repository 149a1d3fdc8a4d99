//! Replies to questions that mean the same as one before, where no request was the very same.
//!
//! Compared are only the words of the last message, among requests that are the same in all the rest:
//! tenant, model, instructions, tools, parameters, earlier turns. The vector of a question is asked of a
//! model group of the configuration, by a call of the gateway's own (`own.rs`). Whatever goes wrong with
//! that is a miss.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::HeaderMap;
use pingora_proxy::Session;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Semaphore;

use super::Gateway;
use super::cached::milliseconds;
use super::ctx::{Call, RequestCtx};
use super::intake::{self, left};
use super::own::{Own, Purpose, Unmade};
use super::route::Asked;
use crate::cache::{Entry, Mark, Meaning, Nearest, Place, Replies, Vector};
use crate::dialect::{ClientDialect, Endpoint};
use crate::failure::FailureClass;

/// Longer questions are not compared: models for vectors read some 8,000 tokens.
const TEXT_BYTES_MAX: usize = 24 * 1024;
/// Replies that are looked for until one is still there.
const CANDIDATES_MAX: usize = 3;
/// Numbers that are looked at in place; more of them are a matter for another thread.
const NUMBERS_HERE: usize = 1_000_000;
/// Vectors that are asked for at one time after the reply. Beyond it replies are not found by meaning.
const LATER_MAX: usize = 64;
/// What is lost where numbers are rounded: the same question has the similarity 1.
const ROUNDING: f32 = 1e-5;

static LATER: Semaphore = Semaphore::const_new(LATER_MAX);

/// What a request asks in words.
pub(super) struct Question {
    pub text: String,
    /// The name of all the rest of it.
    pub rest: String,
}

/// Where replies are, and which are wanted.
pub(super) struct Wanted<'l> {
    pub place: Place,
    /// The name of the very request.
    pub name: &'l str,
    pub max_age: Option<Duration>,
}

/// A reply to a question that means the same.
pub(super) struct Found {
    pub entry: Arc<Entry>,
    pub near: Nearest,
}

/// What looking for one came to.
pub(super) enum Sought {
    Found(Found),
    Nothing {
        /// The similarity of the nearest question.
        nearest: Option<f32>,
        /// Where the question belongs, if that is known.
        mark: Option<Mark>,
    },
    ClientGone,
}

/// How a reply that is kept is found by its question.
pub(super) enum Marking {
    Known(Mark),
    /// Nobody has asked yet.
    Later(Box<Later>),
}

/// A vector to ask for.
pub(super) struct Later {
    own: Own,
    rest: String,
    timeout: Duration,
}

/// The reply to another question that this one is known to be near to.
pub(super) async fn twin(
    replies: &Replies,
    meaning: &Meaning,
    wanted: &Wanted<'_>,
) -> Option<Found> {
    let meanings = replies.meanings();
    let near = meanings.twin(&meaning.model, wanted.name)?;
    if !is_near(meaning, near.similarity) {
        return None;
    }
    let now_ms = milliseconds(SystemTime::now());
    let found = replies.find(wanted.place, &near.name, now_ms, wanted.max_age).await;
    if found.is_none() {
        meanings.forget_twin(&meaning.model, wanted.name);
    }
    found.map(|entry| Found { entry, near })
}

/// Looks for a reply to a question that means the same.
pub(super) async fn seek(
    gateway: &Gateway,
    session: &mut Session,
    ctx: &mut RequestCtx,
    call: &Call,
    (meaning, question, wanted): (&Meaning, Question, &Wanted<'_>),
) -> Sought {
    let replies = &gateway.replies;
    let nothing = Sought::Nothing { nearest: None, mark: None };
    if !replies.meanings().reach.may_ask(milliseconds(SystemTime::now())) {
        gateway.metrics.embedding_left_out();
        return nothing;
    }
    let bound =
        left(call.deadline).min(call.timeout.unwrap_or(meaning.timeout)).min(meaning.timeout);
    let Some(later) = later(gateway, ctx, meaning, question, bound) else { return nothing };
    let began = Instant::now();
    // A task of its own: what was asked is paid, and told, also if the client leaves.
    let mut asking = tokio::spawn(later.mark());
    let mark = {
        let client = session.as_downstream_mut().read_body_or_idle(true);
        let mut client = pin!(client);
        tokio::select! {
            biased;
            asked = &mut asking => asked.ok().flatten(),
            _ = &mut client => return Sought::ClientGone,
        }
    };
    ctx.relayed.upstream += began.elapsed();
    let Some(mark) = mark else { return nothing };
    let mut best = None;
    for _ in 0..CANDIDATES_MAX {
        let now_ms = milliseconds(SystemTime::now());
        let Some(near) = nearest(replies, wanted, &mark, now_ms).await else { break };
        let similarity = *best.get_or_insert(near.similarity);
        if !is_near(meaning, near.similarity) {
            break;
        }
        let found = replies.find(wanted.place, &near.name, now_ms, wanted.max_age).await;
        if let Some(entry) = found {
            replies.meanings().is_twin(&meaning.model, wanted.name, near.clone());
            return Sought::Found(Found { entry, near });
        }
        if wanted.max_age.is_some() {
            // It may be there, and too old for this request.
            break;
        }
        tracing::trace!(similarity, "the reply to a near question is gone");
        match replies.comparer(wanted.place).await {
            Some(remote) => remote.unmark(&mark, &near.name).await,
            None => replies.meanings().index.forget(&mark.group, &near.name),
        }
    }
    Sought::Nothing { nearest: best, mark: Some(mark) }
}

/// For a reply that is kept without having been looked for.
pub(super) fn later(
    gateway: &Gateway,
    ctx: &RequestCtx,
    meaning: &Meaning,
    question: Question,
    timeout: Duration,
) -> Option<Box<Later>> {
    let Question { text, rest } = question;
    if text.len() > TEXT_BYTES_MAX {
        return None;
    }
    let body = json!({"model": &*meaning.model, "input": text}).to_string();
    let asked = Asked::new(Endpoint::Embeddings, ClientDialect::OpenAi);
    let call = intake::understand(ctx, &HeaderMap::new(), "", asked, body.into()).ok()?;
    // Nobody's but the gateway's; and its bound is no fault of the deployment that exceeds it.
    let call = Call { caller: None, timeout: Some(timeout), ..call };
    let own = Own {
        gateway: gateway.clone(),
        snapshot: Arc::clone(&ctx.snapshot),
        request_id: Arc::clone(&ctx.request_id),
        call: Arc::new(call),
        group: Arc::clone(&meaning.model),
        purpose: Purpose::Meaning,
    };
    Some(Box::new(Later { own, rest, timeout }))
}

impl Later {
    /// Asks for the vector.
    async fn mark(self: Box<Self>) -> Option<Mark> {
        let Self { own, rest, timeout } = *self;
        let made = own.run(timeout).await;
        let reach = &own.gateway.replies.meanings().reach;
        let answer = match made {
            Ok(answer) => answer,
            Err(Unmade::LeftOut) => return None,
            Err(Unmade::Failed(class)) => {
                if !is_the_questions_fault(class) {
                    reach.failed(milliseconds(SystemTime::now()));
                }
                return None;
            }
        };
        let Some(vector) = vector(&answer.body) else {
            tracing::warn!(model = %own.group, "what the model for the cache answers is no vector");
            reach.failed(milliseconds(SystemTime::now()));
            return None;
        };
        reach.answered();
        // Vectors of two models have nothing in common, whatever the name of their group.
        let group = format!("{rest}/{}/{}/{}", own.group, answer.model, vector.dimensions());
        Some(Mark { group: group.into(), vector })
    }
}

impl Marking {
    /// Lets a reply that is kept be found by its question.
    pub(super) async fn set(self, gateway: &Gateway, kept: At) {
        let replies = Arc::clone(&gateway.replies);
        match self {
            Self::Known(mark) => kept.mark(&replies, mark).await,
            Self::Later(later) => {
                let may_ask = replies.meanings().reach.may_ask(milliseconds(SystemTime::now()));
                let Some(room) = LATER.try_acquire().ok().filter(|_| may_ask) else {
                    gateway.metrics.embedding_left_out();
                    return;
                };
                tokio::spawn(async move {
                    if let Some(mark) = later.mark().await {
                        kept.mark(&replies, mark).await;
                    }
                    drop(room);
                });
            }
        }
    }
}

/// Where a reply is kept, and from when until when.
pub(super) struct At {
    pub place: Place,
    pub name: Arc<str>,
    pub made_ms: u64,
    pub expires_ms: u64,
}

impl At {
    async fn mark(&self, replies: &Replies, mark: Mark) {
        let Self { place, name, made_ms, expires_ms } = self;
        let Some(remote) = replies.comparer(*place).await else {
            return replies.meanings().index.add(mark, name, *made_ms, *expires_ms);
        };
        let ttl = Duration::from_millis(expires_ms.saturating_sub(*made_ms));
        // If it cannot be, the reply is found by its name.
        remote.mark(&mark, name, ttl).await;
    }
}

fn is_near(meaning: &Meaning, similarity: f32) -> bool {
    similarity >= meaning.threshold - ROUNDING
}

/// Whether another question would have been answered.
const fn is_the_questions_fault(class: FailureClass) -> bool {
    matches!(
        class,
        FailureClass::BadRequest | FailureClass::ContextWindow | FailureClass::ContentPolicy
    )
}

async fn nearest(
    replies: &Arc<Replies>,
    wanted: &Wanted<'_>,
    mark: &Mark,
    now_ms: u64,
) -> Option<Nearest> {
    if let Some(remote) = replies.comparer(wanted.place).await {
        return remote.nearest(mark).await;
    }
    let max_age = wanted.max_age;
    let index = &replies.meanings().index;
    if index.rows_of(&mark.group) * mark.vector.dimensions() <= NUMBERS_HERE {
        return index.nearest(mark, now_ms, max_age);
    }
    let (replies, mark) = (Arc::clone(replies), mark.clone());
    let looking = move || replies.meanings().index.nearest(&mark, now_ms, max_age);
    tokio::task::spawn_blocking(looking).await.ok().flatten()
}

/// The one vector of a reply in OpenAI's form.
fn vector(body: &Bytes) -> Option<Vector> {
    #[derive(Deserialize)]
    struct Reply {
        data: [Item; 1],
    }
    #[derive(Deserialize)]
    struct Item {
        embedding: Vec<f32>,
    }
    let Reply { data: [Item { embedding }] } = serde_json::from_slice(body).ok()?;
    Vector::of(embedding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_vector_is_read_and_nothing_else() {
        let read = |body: &'static str| vector(&Bytes::from_static(body.as_bytes()));
        let found =
            read(r#"{"object":"list","data":[{"index":0,"embedding":[3,4.0]}],"model":"m"}"#);
        assert_eq!(found, Vector::of(vec![3.0, 4.0]));
        assert!(found.is_some());
        for body in [
            "{}",
            r#"{"data":[]}"#,
            r#"{"data":[{"embedding":[]}]}"#,
            r#"{"data":[{"embedding":[0,0]}]}"#,
            r#"{"data":[{"embedding":"AAAA"}]}"#,
            r#"{"data":[{"embedding":[1]},{"embedding":[1]}]}"#,
        ] {
            assert_eq!(read(body), None, "{body}");
        }
    }
}
