//! What Gemini generates, as far as it is read: a whole reply, and every frame of a stream.

use std::borrow::Cow;

use serde::Deserialize;

use super::usage::Counts;
use crate::failure::{Failure, FailureClass};
use crate::wire::chat::Raw;
use crate::wire::fields::Text;

/// One `GenerateContentResponse`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Generated<'a> {
    #[serde(borrow)]
    pub(super) candidates: Option<Vec<Candidate<'a>>>,
    #[serde(borrow)]
    pub(super) prompt_feedback: Option<Feedback<'a>>,
    pub(super) usage_metadata: Option<Counts>,
    #[serde(borrow)]
    pub(super) model_version: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) response_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) error: Option<Raw<'a>>,
}

impl Generated<'_> {
    /// Why the prompt was refused.
    pub(super) fn block_reason(&self) -> Option<&str> {
        self.prompt_feedback.as_ref()?.block_reason.as_deref().filter(|reason| !reason.is_empty())
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Feedback<'a> {
    #[serde(borrow)]
    block_reason: Option<Text<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Candidate<'a> {
    pub(super) index: Option<u32>,
    #[serde(borrow)]
    content: Option<Content<'a>>,
    #[serde(borrow)]
    finish_reason: Option<Text<'a>>,
    #[serde(borrow)]
    finish_message: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) grounding_metadata: Option<Raw<'a>>,
    #[serde(borrow)]
    pub(super) citation_metadata: Option<Raw<'a>>,
    #[serde(borrow)]
    pub(super) logprobs_result: Option<Raw<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Content<'a> {
    #[serde(borrow)]
    parts: Option<Vec<Part<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Part<'a> {
    #[serde(borrow)]
    text: Option<Text<'a>>,
    pub(super) thought: Option<bool>,
    #[serde(borrow)]
    thought_signature: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) function_call: Option<FunctionCall<'a>>,
    #[serde(borrow)]
    pub(super) inline_data: Option<Blob<'a>>,
    #[serde(borrow)]
    executable_code: Option<Code<'a>>,
    #[serde(borrow)]
    code_execution_result: Option<Outcome<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct FunctionCall<'a> {
    #[serde(borrow)]
    pub(super) id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) name: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) args: Option<Raw<'a>>,
}

/// Base64 with its type.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Blob<'a> {
    #[serde(borrow)]
    pub(super) mime_type: Text<'a>,
    #[serde(borrow)]
    pub(super) data: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Code<'a> {
    #[serde(borrow)]
    language: Option<Text<'a>>,
    #[serde(borrow)]
    code: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Outcome<'a> {
    #[serde(borrow)]
    output: Option<Text<'a>>,
}

impl<'a> Candidate<'a> {
    pub(super) fn parts(&self) -> &[Part<'a>] {
        self.content.as_ref().and_then(|content| content.parts.as_deref()).unwrap_or_default()
    }

    /// Why the answer ended; `None` while it goes on.
    pub(super) fn finish_reason(&self) -> Option<&str> {
        self.finish_reason.as_deref().filter(|reason| !reason.is_empty())
    }

    /// What the model did wrong, if that is how its answer ended.
    pub(super) fn fault(&self) -> Option<Failure> {
        let reason = self.finish_reason()?;
        if !FAULTS.contains(&reason) {
            return None;
        }
        let mut message = format!("the model's answer ended with {reason}");
        if let Some(why) = self.finish_message.as_deref().filter(|why| !why.is_empty()) {
            message.push_str(": ");
            message.push_str(why);
        }
        let class = match reason {
            "MISSING_THOUGHT_SIGNATURE" => FailureClass::BadRequest,
            _ => FailureClass::Server,
        };
        let mut failure = Failure::new(class, message);
        failure.code = Some(reason.to_ascii_lowercase().into());
        // A prompt that leads a model astray says nothing about the deployment.
        Some(failure.without_blame())
    }
}

/// Ends of an answer that is none. Told as an empty answer that "stopped", they would be hidden.
const FAULTS: [&str; 5] = [
    "MALFORMED_FUNCTION_CALL",
    "UNEXPECTED_TOOL_CALL",
    "TOO_MANY_TOOL_CALLS",
    "MALFORMED_RESPONSE",
    "MISSING_THOUGHT_SIGNATURE",
];

/// OpenAI's word for why the answer ended. `tools`: tools were called anywhere in it; Gemini says
/// `STOP` then, too.
pub(super) fn finish_reason(reason: &str, tools: bool) -> &'static str {
    match reason {
        "MAX_TOKENS" | "CONTINUATION" => "length",
        "SAFETY"
        | "RECITATION"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "LANGUAGE"
        | "MODEL_ARMOR"
        | "ESCALATION"
        | "PUP_LIMITED_DISABLED"
        | "NO_IMAGE"
        | "OTHER" => "content_filter",
        reason if reason.starts_with("IMAGE_") => "content_filter",
        _ if tools => "tool_calls",
        _ => "stop",
    }
}

/// What a client is told of an answer that was withheld.
pub(super) fn refusal(reason: &str) -> String {
    format!("Blocked by provider: {reason}")
}

impl Part<'_> {
    /// The seal of what was thought before this part.
    pub(super) fn signature(&self) -> Option<&str> {
        self.thought_signature.as_deref().filter(|signature| !signature.is_empty())
    }

    /// What is read: text, and code that ran at the provider as a block of code.
    pub(super) fn text(&self) -> Option<Cow<'_, str>> {
        if let Some(text) = &self.text {
            return Some(Cow::Borrowed(text));
        }
        if let Some(Code { language, code }) = &self.executable_code {
            let language = language.as_deref().unwrap_or_default().to_ascii_lowercase();
            let language = language.strip_prefix("language_").unwrap_or(&language);
            return Some(Cow::Owned(fenced(language, code)));
        }
        let output = self.code_execution_result.as_ref()?.output.as_deref()?;
        (!output.is_empty()).then(|| Cow::Owned(fenced("", output)))
    }
}

fn fenced(language: &str, text: &str) -> String {
    let end = if text.ends_with('\n') { "" } else { "\n" };
    format!("\n```{language}\n{text}{end}```\n")
}

impl Blob<'_> {
    pub(super) fn is_audio(&self) -> bool {
        self.mime_type.starts_with("audio/")
    }

    /// As a data URL.
    pub(super) fn url(&self) -> String {
        format!("data:{};base64,{}", &*self.mime_type, &*self.data)
    }
}
