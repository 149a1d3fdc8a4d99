//! Usage where a provider tells none: the canonical prompt counted, and the reply's text by its length.
//! The same whatever dialects client and provider speak and whether the reply is streamed, and the
//! client is told what is written into the log.
//!
//! Nobody comes here whose provider counts.

use bytes::Bytes;

use super::ctx::Call;
use super::tokens;
use crate::catalog::Deployment;
use crate::dialect::{Dialect, Endpoint};
use crate::provider::Reading;
use crate::routing::Attempt;
use crate::usage::{BYTES_PER_TOKEN, Usage};
use crate::wire;
use crate::wire::chat::{Length, Shown, text_bytes};
use crate::wire::json::{Edits, Object};

/// Usage of a reply with so many bytes of generated text.
pub(super) async fn usage(
    call: &Call,
    deployment: &Deployment,
    model: &str,
    text_bytes: u64,
) -> Usage {
    if !call.endpoint.is_text() {
        return wire::media::estimate(call.endpoint, &call.body, text_bytes);
    }
    let counted = tokens::count_for(call, deployment, model).await;
    let input_tokens = counted.map_or_else(|_| prompt(call), |counted| counted.tokens);
    Usage { input_tokens, ..of_text(text_bytes) }
}

/// Usage of a whole reply.
pub(super) async fn of_reply(
    call: &Call,
    attempt: &Attempt,
    reading: Reading,
    body: &Bytes,
) -> Usage {
    let deployment = &attempt.deployment;
    let length = match call.endpoint {
        Endpoint::Embeddings => 0,
        endpoint if !endpoint.is_text() => body.len() as u64,
        _ => match (reading.native, deployment.dialect) {
            (Some(_), _) => text_bytes(body, Length::Foreign),
            // Their streams are counted as they are written.
            (None, Dialect::OpenAi | Dialect::Azure) => text_bytes(body, Length::Written),
            (None, _) => text_bytes(body, Length::Text),
        },
    };
    usage(call, deployment, &attempt.model, length).await
}

/// Usage of an attempt that was given up before it said anything.
pub(super) fn of_prompt(call: &Call) -> Usage {
    if !call.endpoint.is_text() {
        return wire::media::estimate(call.endpoint, &call.body, 0);
    }
    Usage { input_tokens: prompt(call), ..of_text(0) }
}

/// The reply with its usage in it.
pub(super) fn told(body: Bytes, usage: &Usage) -> Bytes {
    let Ok(reply) = Object::parse(body.clone()) else { return body };
    let mut edits = Edits::new();
    edits.set("usage", &Shown::of(usage, false).without_details());
    reply.edit(&edits)
}

fn prompt(call: &Call) -> u64 {
    crate::tokens::estimate(&call.body, tokens::counted_as_asked(call.endpoint)).tokens
}

fn of_text(text_bytes: u64) -> Usage {
    let output_tokens = text_bytes.div_ceil(BYTES_PER_TOKEN);
    Usage { output_tokens, estimated: true, ..Usage::default() }
}
