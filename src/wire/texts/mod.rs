//! The words of a body: where what a person or a model wrote stands in it, whatever its dialect.
//!
//! One walk over bytes that were checked before, which builds nothing but the texts. What is a text is
//! said by what is none (ids, kinds, addresses, data): a field that is new tomorrow is a text until
//! somebody says otherwise, so that it is not passed by unseen. Knows nothing of what is looked for.

mod cut;
mod event;
mod meant;
mod names;
mod walk;

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;

pub use cut::Cut;
pub use event::{Event, Events};
use walk::Walk;

use super::json::quoted;

/// Who says a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    System,
    User,
    Assistant,
    /// What a tool was found to say.
    Tool,
}

impl Role {
    /// As OpenAI's API calls it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }
}

/// One text of a body.
#[derive(Clone, Debug)]
pub struct Text<'b> {
    pub role: Role,
    /// As it is meant, without escapes.
    pub value: Cow<'b, str>,
    /// In a stream: it is a part of a text, whose parts have the same number and come one after the
    /// other. `None`: it is whole.
    pub lane: Option<u64>,
    /// It is a part of JSON text itself: the arguments of a call while they come.
    pub is_json: bool,
    /// Where it stands in the body, with its quotes.
    span: Range<usize>,
    /// Where it stands in the JSON text that stands there.
    inner: Option<Range<usize>>,
}

/// The texts of a body, in the order in which they stand there.
#[derive(Clone, Debug, Default)]
pub struct Texts<'b> {
    pub list: Vec<Text<'b>>,
    /// A part of the prompt is written as the numbers of its tokens.
    pub has_tokens: bool,
    /// The body is no JSON object: what stands behind the break is not in the list.
    pub is_broken: bool,
    /// Where pieces of the texts are told once more, with how likely each was.
    told_again: Vec<Range<usize>>,
}

/// What of a request is said to a model.
const ASKED: [&str; 26] = [
    "messages",
    "prompt",
    "input",
    "instructions",
    "system",
    "contents",
    "content",
    "systemInstruction",
    "system_instruction",
    "query",
    "documents",
    "prediction",
    "suffix",
    "requests",
    "generateContentRequest",
    "generate_content_request",
    // In other APIs than OpenAI's, Anthropic's and Google's, or beside theirs.
    "title",
    "instruction",
    "negative_prompt",
    "chat_template",
    "chat_template_kwargs",
    "inputs",
    "texts",
    "message",
    "preamble",
    "chat_history",
];

/// What of a reply repeats what its client said, or is said by nobody.
const REPEATED: [&str; 9] = [
    "error",
    "instructions",
    "metadata",
    "prompt",
    "prompt_cache_key",
    "safety_identifier",
    "tool_choice",
    "tools",
    "user",
];

/// Whether a field of a request is looked at.
#[must_use]
pub fn is_asked(name: &str) -> bool {
    ASKED.iter().any(|asked| names::is_alike(name, asked))
}

/// The texts of a request.
#[must_use]
pub fn of_request(body: &[u8]) -> Texts<'_> {
    Walk::over(body, Role::User, true).fields(is_asked)
}

/// The texts of a whole reply.
#[must_use]
pub fn of_reply(body: &[u8]) -> Texts<'_> {
    Walk::over(body, Role::Assistant, true).fields(|name| !REPEATED.contains(&name))
}

/// All texts of a whole reply, also where it repeats what it was asked.
#[must_use]
pub fn of_all(body: &[u8]) -> Texts<'_> {
    Walk::over(body, Role::Assistant, true).fields(|_| true)
}

/// The texts of one event of a stream: its `data`.
#[must_use]
pub fn of_event(data: &[u8]) -> Texts<'_> {
    Walk::over(data, Role::Assistant, false).fields(|name| name != "error")
}

impl Texts<'_> {
    /// The body with other texts in place of some: by their place in the list, in its order. Where a
    /// reply tells its pieces once more, nothing is left of that if anything is `hidden`.
    #[must_use]
    pub fn rewritten(&self, body: &[u8], new: &[(usize, String)], hidden: bool) -> Bytes {
        let mut changes: Vec<(Range<usize>, String)> = Vec::with_capacity(new.len());
        let mut new = new.iter().peekable();
        while let Some((at, text)) = new.next() {
            let Some(found) = self.list.get(*at) else { continue };
            let Some(inner) = &found.inner else {
                changes.push((found.span.clone(), quoted(text)));
                continue;
            };
            // All that changes within one JSON text is written together.
            let mut within = vec![(inner.clone(), quoted(text))];
            while let Some((next, text)) = new.peek() {
                let Some(other) = self.list.get(*next) else { break };
                let Some(inner) = other.inner.clone().filter(|_| other.span == found.span) else {
                    break;
                };
                within.push((inner, quoted(text)));
                new.next();
            }
            let raw = body.get(found.span.clone()).unwrap_or_default();
            let json = meant::meant(raw);
            let json = String::from_utf8(replaced(json.as_bytes(), &within)).unwrap_or_default();
            changes.push((found.span.clone(), quoted(&json)));
        }
        if hidden {
            changes.extend(self.told_again.iter().map(|span| (span.clone(), "null".to_owned())));
            changes.sort_by_key(|(span, _)| span.start);
        }
        replaced(body, &changes).into()
    }

    /// Whether pieces of the texts are told once more.
    #[must_use]
    pub fn tells_again(&self) -> bool {
        !self.told_again.is_empty()
    }
}

fn replaced(text: &[u8], changes: &[(Range<usize>, String)]) -> Vec<u8> {
    let more: usize = changes.iter().map(|(_, new)| new.len()).sum();
    let mut out = Vec::with_capacity(text.len() + more);
    let mut copied = 0;
    for (span, new) in changes {
        if span.start < copied {
            continue;
        }
        out.extend_from_slice(text.get(copied..span.start).unwrap_or_default());
        out.extend_from_slice(new.as_bytes());
        copied = span.end;
    }
    out.extend_from_slice(text.get(copied..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests;
