//! A reply for one request, in bytes: status, headers and body or frames, in the dialect asked.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::json;

use super::asked::{Asked, Operation};
use super::problem::Problem;
use super::reply::{Reply, Says};
use super::speech::{Frame, Place, Speech};
use super::{anthropic, bedrock, cohere, gemini, house, ollama, openai, responses};
use crate::dialect::Dialect;

/// The models that `/v1/models` lists.
const LISTED: [&str; 4] = ["gpt-4o", "gpt-4o-mini", "claude-sonnet-4-5", "mock-429"];

/// Everything of a reply that does not depend on HTTP's version.
#[derive(Debug)]
pub(super) struct Rendered {
    pub(super) status: u16,
    pub(super) headers: Vec<(Cow<'static, str>, String)>,
    pub(super) payload: Payload,
}

#[derive(Debug)]
pub(super) enum Payload {
    Whole(Bytes),
    Frames(Vec<Frame>),
}

/// Renders `reply` as the answer to what was `asked`.
pub(super) fn render(asked: &Asked, reply: &Reply) -> Rendered {
    let request_id = format!("req_mock{:016x}", asked.id);
    let dialect = asked.dialect;
    let in_band = reply.conduct.error_frame.as_ref().filter(|_| !asked.stream);
    // What a test has written byte for byte is the answer on every path.
    let written = matches!(reply.says, Says::Verbatim { .. } | Says::Frames(_));
    let refused = asked.refused.as_ref();
    let refused = refused.filter(|_| !(written && asked.operation == Operation::Unknown));
    let (status, content_type, payload) = match (refused, in_band, &reply.says) {
        (Some(problem), _, _) => error(problem, dialect, &request_id),
        // Without a stream, the error in a 200 is the whole body.
        (None, Some((_, problem)), _) => {
            let (_, content_type, payload) = error(problem, dialect, &request_id);
            (200, content_type, payload)
        }
        (None, None, Says::Problem(problem)) => error(problem, dialect, &request_id),
        (None, None, Says::Verbatim { content_type, body }) => {
            (200, Cow::Owned(content_type.clone()), Payload::Whole(body.clone()))
        }
        (None, None, Says::Frames(frames)) => {
            let content =
                |bytes: &Bytes| Frame { bytes: bytes.clone(), place: Place::Content, tokens: 1 };
            (200, EVENTS, Payload::Frames(frames.iter().map(content).collect()))
        }
        (None, None, Says::Answer(answer)) => answered(asked, || Speech::compose(asked, answer)),
    };
    let status = match refused {
        Some(_) => status,
        None => reply.status.unwrap_or(status),
    };
    let id_header = match dialect {
        Dialect::Anthropic => "request-id",
        Dialect::OpenAi | Dialect::Cohere | Dialect::Ollama | Dialect::Custom => "x-request-id",
        Dialect::Bedrock => "x-amzn-requestid",
        Dialect::Azure => "apim-request-id",
        Dialect::Gemini => "x-goog-request-id",
    };
    let mut headers = vec![
        (Cow::Borrowed("content-type"), content_type.into_owned()),
        (Cow::Borrowed(id_header), request_id),
    ];
    let problem = match (refused, in_band, &reply.says) {
        (Some(problem), ..) | (None, None, Says::Problem(problem)) => Some(problem),
        _ => None,
    };
    if let Some((name, value)) = problem.and_then(|problem| problem.header(dialect)) {
        headers.push((Cow::Borrowed(name), value));
    }
    for (name, value) in &reply.headers {
        headers.retain(|(known, _)| known != name);
        headers.push((Cow::Owned(name.clone()), value.clone()));
    }
    Rendered { status, headers, payload }
}

const JSON: Cow<'static, str> = Cow::Borrowed("application/json");
const EVENTS: Cow<'static, str> = Cow::Borrowed("text/event-stream; charset=utf-8");

type Parts = (u16, Cow<'static, str>, Payload);

fn error(problem: &Problem, dialect: Dialect, request_id: &str) -> Parts {
    (problem.status(dialect), JSON, Payload::Whole(problem.body(dialect, request_id)))
}

fn answered(asked: &Asked, speech: impl Fn() -> Speech) -> Parts {
    let dialect = asked.dialect;
    let whole = match &asked.operation {
        Operation::Chat | Operation::Completions | Operation::Responses if asked.stream => {
            let (content_type, frames) = streamed(asked, &speech());
            return (200, content_type, Payload::Frames(frames));
        }
        Operation::Chat | Operation::Completions | Operation::Responses => said(asked, &speech()),
        Operation::Embeddings if dialect == Dialect::Cohere => cohere::embeddings(asked),
        Operation::Embeddings if dialect == Dialect::Gemini => gemini::embeddings(asked),
        Operation::Embeddings if dialect == Dialect::Ollama => ollama::embeddings(asked),
        Operation::Embeddings => openai::embeddings(asked),
        Operation::Rerank => cohere::order(asked),
        Operation::CountTokens if dialect == Dialect::Gemini => gemini::count(asked),
        Operation::CountTokens => anthropic::count(asked),
        Operation::Models => models(dialect),
        Operation::Model(id) => Bytes::from(model(dialect, id).to_string()),
        Operation::Health | Operation::Unknown => Bytes::from_static(b"{\"status\":\"ok\"}"),
    };
    (200, JSON, Payload::Whole(whole))
}

/// A whole reply.
fn said(asked: &Asked, speech: &Speech) -> Bytes {
    if asked.operation == Operation::Responses {
        return responses::whole(asked, speech);
    }
    match asked.dialect {
        Dialect::OpenAi | Dialect::Azure => {
            openai::whole(asked, speech, asked.operation == Operation::Completions)
        }
        Dialect::Anthropic => anthropic::whole(asked, speech),
        Dialect::Gemini => gemini::whole(asked, speech),
        Dialect::Bedrock => bedrock::whole(speech),
        Dialect::Cohere => cohere::whole(asked, speech),
        Dialect::Ollama => ollama::whole(asked, speech),
        Dialect::Custom => house::whole(speech),
    }
}

/// What a stream is sent as, and its frames.
fn streamed(asked: &Asked, speech: &Speech) -> (Cow<'static, str>, Vec<Frame>) {
    if asked.operation == Operation::Responses {
        return (EVENTS, responses::frames(asked, speech));
    }
    let frames = match asked.dialect {
        Dialect::OpenAi | Dialect::Azure => {
            openai::frames(asked, speech, asked.operation == Operation::Completions)
        }
        Dialect::Anthropic => anthropic::frames(asked, speech),
        Dialect::Gemini => gemini::frames(asked, speech),
        Dialect::Bedrock => bedrock::frames(speech),
        Dialect::Cohere => cohere::frames(asked, speech),
        Dialect::Ollama => ollama::frames(asked, speech),
        Dialect::Custom => house::frames(speech),
    };
    let content_type = match asked.dialect {
        Dialect::Bedrock => Cow::Borrowed(bedrock::EVENT_STREAM),
        Dialect::Ollama => Cow::Borrowed(ollama::LINES),
        _ => EVENTS,
    };
    (content_type, frames)
}

fn models(dialect: Dialect) -> Bytes {
    let data: Vec<_> = LISTED.iter().map(|id| model(dialect, id)).collect();
    let list = match dialect {
        Dialect::Anthropic => json!({
            "data": data,
            "has_more": false,
            "first_id": LISTED.first(),
            "last_id": LISTED.last(),
        }),
        Dialect::OpenAi
        | Dialect::Azure
        | Dialect::Cohere
        | Dialect::Ollama
        | Dialect::Custom
        | Dialect::Bedrock
        | Dialect::Gemini => {
            json!({"object": "list", "data": data})
        }
    };
    Bytes::from(list.to_string())
}

fn model(dialect: Dialect, id: &str) -> serde_json::Value {
    match dialect {
        Dialect::Anthropic => json!({
            "type": "model",
            "id": id,
            "display_name": id,
            "created_at": "2026-01-01T00:00:00Z",
        }),
        Dialect::OpenAi
        | Dialect::Azure
        | Dialect::Cohere
        | Dialect::Ollama
        | Dialect::Custom
        | Dialect::Bedrock
        | Dialect::Gemini => {
            json!({
                "id": id,
                "object": "model",
                "created": openai::CREATED,
                "owned_by": "mock",
            })
        }
    }
}
