//! A reply of `/v2/chat`, turned into a chat completion; and what a stream's pieces share with it.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use super::usage::{Written, shown};
use crate::failure::{Failure, FailureClass};
use crate::wire::Reply;
use crate::wire::chat::{Answer, Call, CallFunction, Completion, Raw, Turn};
use crate::wire::fields::Text;

/// Before the provider's id in ours.
pub(super) const ID_PREFIX: &str = "chatcmpl-";

/// Turns a whole reply. Cohere does not name the model that answers: `model` is the one asked for.
///
/// # Errors
/// The body is an error, no reply at all, or a reply that the provider could not finish.
pub fn reply(body: Bytes, model: &str, created: u64) -> Result<Reply, Failure> {
    let reply: Whole<'_> = serde_json::from_slice(&body)
        .map_err(|_| garbage("the provider's reply is not one of Cohere's"))?;
    let said = match reply.message {
        Some(raw) if raw.get().starts_with('{') => serde_json::from_str::<Said<'_>>(raw.get())
            .map_err(|_| garbage("the provider's reply holds no message"))?,
        Some(raw) => {
            let text: Text<'_> = serde_json::from_str(raw.get()).unwrap_or_default();
            return Err(garbage(text.0));
        }
        None => return Err(garbage("the provider's reply holds no message")),
    };
    let (mut text, mut reasoning) = (String::new(), String::new());
    reasoning.push_str(&said.tool_plan.map(|plan| plan.0).unwrap_or_default());
    for part in said.content.into_iter().flatten() {
        text.push_str(&part.text.map(|text| text.0).unwrap_or_default());
        reasoning.push_str(&part.thinking.map(|text| text.0).unwrap_or_default());
    }
    let calls: Vec<Call<'_>> =
        said.tool_calls.into_iter().flatten().map(ToolCall::into_call).collect();
    let reason = reply.finish_reason.as_deref();
    let finish_reason = finish_reason(reason, !calls.is_empty(), reply.error.as_deref())?;
    let annotations: Vec<_> = said.citations.iter().flatten().flat_map(annotations).collect();
    let usage = reply.usage.as_ref().and_then(Written::usage);
    let logprobs = reply.logprobs.as_deref().and_then(logprobs);

    let silent = text.is_empty() && !calls.is_empty();
    let turn = Turn {
        role: "assistant".into(),
        content: (!silent).then(|| text.into()),
        reasoning_content: (!reasoning.is_empty()).then(|| reasoning.into()),
        annotations: (!annotations.is_empty())
            .then(|| annotations.into_iter().map(Cow::Owned).collect()),
        tool_calls: (!calls.is_empty()).then_some(calls),
        ..Turn::default()
    };
    let id = format!("{ID_PREFIX}{}", reply.id.as_deref().unwrap_or_default());
    let mut completion = Completion::new(id, model, created);
    completion.choices.push(Answer {
        index: 0,
        message: turn,
        logprobs: logprobs.as_deref(),
        finish_reason: Some(finish_reason.into()),
        ..Answer::default()
    });
    let completion = completion.with_usage(usage.as_ref().map(shown));
    let body = serde_json::to_vec(&completion)
        .map_err(|_| garbage("the provider's reply cannot be put into chat completions"))?;
    Ok(Reply { body: body.into(), usage, model: Some(model.into()) })
}

pub(super) fn garbage(message: impl Into<String>) -> Failure {
    Failure::new(FailureClass::Server, message)
}

/// OpenAI's word for why the answer ended. `calls`: tools were called. `error`: what the provider
/// says beside a reason that is a failure.
///
/// # Errors
/// The provider could not finish.
pub(super) fn finish_reason(
    reason: Option<&str>,
    calls: bool,
    error: Option<&str>,
) -> Result<&'static str, Failure> {
    let failed = |class, usual: &str| Err(Failure::new(class, error.unwrap_or(usual)));
    match reason {
        Some("MAX_TOKENS") => Ok("length"),
        Some("TOOL_CALL") => Ok("tool_calls"),
        Some("ERROR_TOXIC") => Ok("content_filter"),
        Some("ERROR_LIMIT") => {
            failed(FailureClass::ContextWindow, "the conversation does not fit the model's context")
        }
        Some("ERROR") => {
            failed(FailureClass::Server, "the provider stopped generating because of an error")
        }
        Some("TIMEOUT") => {
            failed(FailureClass::Timeout, "the provider took too long and stopped generating")
        }
        _ if calls => Ok("tool_calls"),
        _ => Ok("stop"),
    }
}

#[derive(Deserialize)]
struct Whole<'a> {
    #[serde(borrow, default)]
    id: Option<Text<'a>>,
    #[serde(borrow, default)]
    finish_reason: Option<Text<'a>>,
    /// The answer; in an error, a text.
    #[serde(borrow, default)]
    message: Option<Raw<'a>>,
    #[serde(default)]
    usage: Option<Written>,
    #[serde(borrow, default)]
    logprobs: Option<Vec<TokenLog<'a>>>,
    #[serde(borrow, default)]
    error: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow, default)]
    content: Option<Vec<PartFields<'a>>>,
    #[serde(borrow, default)]
    tool_plan: Option<Text<'a>>,
    #[serde(borrow, default)]
    tool_calls: Option<Vec<ToolCall<'a>>>,
    #[serde(borrow, default)]
    citations: Option<Vec<Citation<'a>>>,
}

/// A part of the answer, of type `text` or `thinking`.
#[derive(Default, Deserialize)]
pub(super) struct PartFields<'a> {
    #[serde(borrow, default)]
    pub(super) text: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) thinking: Option<Text<'a>>,
}

#[derive(Deserialize)]
pub(super) struct ToolCall<'a> {
    #[serde(borrow, default)]
    pub(super) id: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) function: Option<ToolFunction<'a>>,
}

#[derive(Deserialize)]
pub(super) struct ToolFunction<'a> {
    #[serde(borrow, default)]
    pub(super) name: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) arguments: Option<Text<'a>>,
}

impl<'a> ToolCall<'a> {
    fn into_call(self) -> Call<'a> {
        let (name, arguments) = self.function.map_or((None, None), |it| (it.name, it.arguments));
        // A function without parameters is called with nothing, which clients cannot parse.
        let arguments = arguments.filter(|text| !is_nothing(text)).unwrap_or_else(|| "{}".into());
        Call {
            id: Some(self.id.unwrap_or_default()),
            kind: Some("function".into()),
            function: Some(CallFunction {
                name: name.unwrap_or_default(),
                arguments: to_raw_value(&arguments).ok().map(Cow::Owned),
            }),
            custom: None,
            cache_control: None,
            extra_content: None,
        }
    }
}

/// Whether a call's arguments are none: they are told to clients as an empty object.
pub(super) fn is_nothing(arguments: &str) -> bool {
    matches!(arguments.trim(), "" | "null")
}

/// A part of the answer that rests on sources.
#[derive(Deserialize)]
pub(super) struct Citation<'a> {
    /// What it is a part of: `TEXT_CONTENT`, `THINKING_CONTENT` or `PLAN`.
    #[serde(borrow, default, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(default)]
    start: u64,
    #[serde(default)]
    end: u64,
    #[serde(borrow, default)]
    sources: Option<Vec<Source<'a>>>,
}

#[derive(Deserialize)]
struct Source<'a> {
    #[serde(borrow, default)]
    id: Option<Text<'a>>,
    #[serde(borrow, default)]
    document: Option<SourceDocument<'a>>,
    #[serde(borrow, default)]
    tool_output: Option<SourceDocument<'a>>,
}

#[derive(Default, Deserialize)]
struct SourceDocument<'a> {
    #[serde(borrow, default)]
    url: Option<Raw<'a>>,
    #[serde(borrow, default)]
    title: Option<Raw<'a>>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Annotation<'a> {
    UrlCitation { url_citation: UrlCitation<'a> },
    FileCitation { file_citation: FileCitation<'a> },
}

#[derive(Serialize)]
struct UrlCitation<'a> {
    url: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<Text<'a>>,
    start_index: u64,
    end_index: u64,
}

#[derive(Serialize)]
struct FileCitation<'a> {
    file_id: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filename: Option<Text<'a>>,
    start_index: u64,
    end_index: u64,
}

/// A citation as OpenAI writes it, once for each of its sources. A source with an address is a web
/// page; any other is known by its id. Annotations are about the text that the client reads: what is
/// cited in the reasoning has other places.
pub(super) fn annotations(citation: &Citation<'_>) -> Vec<Box<RawValue>> {
    fn text(raw: Raw<'_>) -> Option<Text<'_>> {
        serde_json::from_str(raw.get()).ok().filter(|text: &Text<'_>| !text.is_empty())
    }
    if matches!(citation.kind.as_deref(), Some("THINKING_CONTENT" | "PLAN")) {
        return Vec::new();
    }
    let (start_index, end_index) = (citation.start, citation.end);
    let sources = citation.sources.iter().flatten();
    let annotations = sources.filter_map(|source| {
        let told = source.document.as_ref().or(source.tool_output.as_ref());
        let title = told.and_then(|told| text(told.title?));
        let annotation = match told.and_then(|told| text(told.url?)) {
            Some(url) => Annotation::UrlCitation {
                url_citation: UrlCitation { url, title, start_index, end_index },
            },
            None => Annotation::FileCitation {
                file_citation: FileCitation {
                    file_id: Text(Cow::Borrowed(&*source.id.as_ref()?.0)),
                    filename: title,
                    start_index,
                    end_index,
                },
            },
        };
        to_raw_value(&annotation).ok()
    });
    annotations.collect()
}

/// How likely some tokens were. Cohere gives a text for several tokens at times.
#[derive(Deserialize)]
pub(super) struct TokenLog<'a> {
    #[serde(borrow, default)]
    text: Option<Text<'a>>,
    #[serde(default)]
    logprobs: Option<Vec<f64>>,
}

/// The same as OpenAI writes it. A text of several tokens is as likely as all of them together.
pub(super) fn logprobs(logs: &[TokenLog<'_>]) -> Option<Box<RawValue>> {
    #[derive(Serialize)]
    struct Logprobs<'a> {
        content: Vec<Token<'a>>,
        refusal: Option<()>,
    }
    #[derive(Serialize)]
    struct Token<'a> {
        token: &'a str,
        logprob: f64,
        bytes: &'a [u8],
        top_logprobs: [(); 0],
    }
    let content: Vec<Token<'_>> = logs
        .iter()
        .map(|log| {
            let token = log.text.as_deref().unwrap_or_default();
            let logprob = log.logprobs.iter().flatten().sum();
            Token { token, logprob, bytes: token.as_bytes(), top_logprobs: [] }
        })
        .collect();
    (!content.is_empty()).then(|| to_raw_value(&Logprobs { content, refusal: None }).ok()).flatten()
}
