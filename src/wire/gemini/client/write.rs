//! A `GenerateContentResponse` as it is written, and the words in it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use crate::usage::{Usage, is_zero};
use crate::wire::chat::{Raw, arguments};
use crate::wire::fields::Text;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Response<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<Candidate<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_feedback: Option<PromptFeedback<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage_metadata: Option<UsageMetadata>,
    pub model_version: &'a str,
    pub response_id: &'a str,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Candidate<'a> {
    pub content: Content<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finish_message: Option<&'static str>,
    pub index: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub citation_metadata: Option<CitationMetadata<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub avg_logprobs: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logprobs_result: Option<LogprobsResult<'a>>,
}

#[derive(Debug, Serialize)]
pub(super) struct Content<'a> {
    parts: Vec<Part<'a>>,
    role: &'static str,
}

impl<'a> Content<'a> {
    pub(super) const fn of(parts: Vec<Part<'a>>) -> Self {
        Self { parts, role: "model" }
    }
}

impl Default for Content<'_> {
    fn default() -> Self {
        Self::of(Vec::new())
    }
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Part<'a> {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub thought: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inline_data: Option<Blob<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function_call: Option<FunctionCall<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thought_signature: Option<Cow<'a, str>>,
}

impl<'a> Part<'a> {
    pub(super) fn text(text: Cow<'a, str>) -> Self {
        Self { text: Some(text), ..Self::default() }
    }

    pub(super) fn thought(text: Cow<'a, str>) -> Self {
        Self { thought: true, ..Self::text(text) }
    }

    pub(super) fn signed(self, signature: Option<Cow<'a, str>>) -> Self {
        Self { thought_signature: signature, ..self }
    }

    pub(super) fn call(call: FunctionCall<'a>) -> Self {
        Self { function_call: Some(call), ..Self::default() }
    }

    /// An image that was generated: `{"image_url": {"url": "data:..."}}`. `None`: it has no bytes.
    pub(super) fn image(raw: &'a RawValue) -> Option<Self> {
        #[derive(Deserialize)]
        struct Image<'a> {
            #[serde(borrow)]
            image_url: Url<'a>,
        }
        #[derive(Deserialize)]
        struct Url<'a> {
            #[serde(borrow)]
            url: Text<'a>,
        }

        let image: Image<'a> = serde_json::from_str(raw.get()).ok()?;
        let (mime_type, data) =
            image.image_url.url.strip_prefix("data:")?.split_once(";base64,")?;
        let (mime_type, data) = (mime_type.to_owned(), data.to_owned());
        Some(Self {
            inline_data: Some(Blob { mime_type: mime_type.into(), data: data.into() }),
            ..Self::default()
        })
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Blob<'a> {
    mime_type: Cow<'a, str>,
    data: Cow<'a, str>,
}

#[derive(Debug, Serialize)]
pub(super) struct FunctionCall<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Cow<'a, str>>,
    name: Cow<'a, str>,
    args: Cow<'a, RawValue>,
}

impl<'a> FunctionCall<'a> {
    /// A call with its arguments as the provider wrote them: JSON text in a string, or an object.
    /// `None`: they are no object, so the call was cut off or the model got it wrong.
    pub(super) fn new(
        id: Option<Cow<'a, str>>,
        name: Cow<'a, str>,
        written: Option<&RawValue>,
    ) -> Option<Self> {
        let args = arguments(written);
        let is_whole = !args.get().starts_with(r#"{"INVALID_JSON":"#)
            || written.is_some_and(|raw| raw.get().contains("INVALID_JSON"));
        let args = Cow::Owned(args.into_owned());
        let id = id.filter(|id| !id.is_empty());
        is_whole.then_some(Self { id, name, args })
    }

    /// The same, with the text of the arguments put together from pieces.
    pub(super) fn gathered(
        id: Option<Cow<'a, str>>,
        name: Cow<'a, str>,
        text: &str,
    ) -> Option<Self> {
        let written = to_raw_value(text).ok()?;
        Self::new(id, name, Some(&written))
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PromptFeedback<'a> {
    pub block_reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_reason_message: Option<Cow<'a, str>>,
}

/// Google's counts: what was thought is apart from what was said, what was cached is inside.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UsageMetadata {
    prompt_token_count: u64,
    #[serde(skip_serializing_if = "is_zero")]
    cached_content_token_count: u64,
    candidates_token_count: u64,
    #[serde(skip_serializing_if = "is_zero")]
    thoughts_token_count: u64,
    total_token_count: u64,
}

impl From<Usage> for UsageMetadata {
    fn from(usage: Usage) -> Self {
        Self {
            prompt_token_count: usage.input_tokens,
            cached_content_token_count: usage.cache_read_tokens,
            candidates_token_count: usage.output_tokens.saturating_sub(usage.reasoning_tokens),
            thoughts_token_count: usage.reasoning_tokens,
            total_token_count: usage.total_tokens(),
        }
    }
}

/// Why a candidate ended. Whole calls of functions end like a text.
pub(super) fn finish_reason(reason: Option<&str>) -> &'static str {
    match reason {
        None | Some("stop" | "tool_calls" | "function_call") => "STOP",
        Some("length") => "MAX_TOKENS",
        Some("content_filter") => "SAFETY",
        Some(_) => "OTHER",
    }
}

/// The reason of a candidate with a call whose arguments are no object: cut off, or garbled.
pub(super) fn with_broken_call(reason: &'static str) -> (&'static str, Option<&'static str>) {
    match reason {
        "MAX_TOKENS" => (reason, None),
        _ => (
            "MALFORMED_FUNCTION_CALL",
            Some("The arguments of a function call are not a JSON object."),
        ),
    }
}

/// Where parts of the text come from.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CitationMetadata<'a> {
    citation_sources: Vec<CitationSource<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct CitationSource<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    start_index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_index: Option<u64>,
    uri: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<Text<'a>>,
}

/// OpenAI's annotations: those that cite an address.
pub(super) fn citations<'a>(
    annotations: impl Iterator<Item = &'a RawValue>,
) -> Option<CitationMetadata<'a>> {
    #[derive(Deserialize)]
    struct Annotation<'a> {
        #[serde(borrow)]
        url_citation: Cited<'a>,
    }
    #[derive(Deserialize)]
    struct Cited<'a> {
        #[serde(default)]
        start_index: Option<u64>,
        #[serde(default)]
        end_index: Option<u64>,
        #[serde(borrow)]
        url: Text<'a>,
        #[serde(borrow, default)]
        title: Option<Text<'a>>,
    }

    let read = |raw: &'a RawValue| serde_json::from_str::<Annotation<'a>>(raw.get()).ok();
    let source = |Annotation { url_citation: cited }| {
        let Cited { start_index, end_index, url, title } = cited;
        CitationSource { start_index, end_index, uri: url, title }
    };
    let citation_sources: Vec<_> = annotations.filter_map(read).map(source).collect();
    (!citation_sources.is_empty()).then_some(CitationMetadata { citation_sources })
}

/// How likely each token was.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LogprobsResult<'a> {
    top_candidates: Vec<TopCandidates<'a>>,
    chosen_candidates: Vec<Token<'a>>,
}

#[derive(Debug, Serialize)]
struct TopCandidates<'a> {
    candidates: Vec<Token<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Token<'a> {
    token: Text<'a>,
    log_probability: f64,
}

impl<'a> LogprobsResult<'a> {
    /// Reads OpenAI's `logprobs`; the mean of the chosen tokens with it.
    pub(super) fn read(raw: Option<Raw<'a>>) -> Option<(Self, f64)> {
        #[derive(Deserialize)]
        struct Logprobs<'a> {
            #[serde(borrow)]
            content: Vec<Chosen<'a>>,
        }
        #[derive(Deserialize)]
        struct Chosen<'a> {
            #[serde(borrow)]
            token: Text<'a>,
            logprob: f64,
            #[serde(borrow, default)]
            top_logprobs: Vec<Self>,
        }

        let Logprobs { content } = serde_json::from_str(raw?.get()).ok()?;
        if content.is_empty() {
            return None;
        }
        let token = |Chosen { token, logprob, .. }| Token { token, log_probability: logprob };
        let (mut result, mut sum) = (Self::default(), 0.0);
        let count = u32::try_from(content.len()).ok()?;
        for mut chosen in content {
            let candidates: Vec<_> =
                std::mem::take(&mut chosen.top_logprobs).into_iter().map(token).collect();
            if !candidates.is_empty() {
                result.top_candidates.push(TopCandidates { candidates });
            }
            sum += chosen.logprob;
            result.chosen_candidates.push(token(chosen));
        }
        Some((result, sum / f64::from(count)))
    }
}
