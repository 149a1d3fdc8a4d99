//! The request that asks another deployment for the rest of a reply.

use serde_json::json;

use super::told::Told;
use crate::usage::BYTES_PER_TOKEN;
use crate::wire::json::{Edits, Object};

/// How a model is made to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// The conversation ends with the assistant's text so far, and the model goes on with it.
    Prefix,
    /// The same, and the message says that it is a beginning (Mistral).
    MarkedPrefix,
    /// The same, said by parameters of the request (vLLM).
    FinalMessage,
    /// The model would answer such a conversation anew, so it is told what to do.
    Instruction,
}

/// What a model is told that cannot be given the beginning of its answer.
const INSTRUCTION: &str = "Your last message was cut off while it was sent. Continue it from the \
                           exact point where it stops. Write only what follows: repeat nothing of \
                           it, and add no introduction and no comment.";

/// The client's request, with what it was told so far. `None` if its messages cannot be read; the
/// reply to such a request cannot have begun.
///
/// The limit of tokens is lowered by an estimate of those that were generated already.
#[must_use]
pub fn request(body: &Object, told: &Told, style: Style) -> Option<Object> {
    // Only reasoning so far: the answer itself has not begun.
    if told.text.is_empty() {
        return Some(body.clone());
    }
    let written = body.raw("messages")?.strip_suffix(']')?.trim_end();
    let mut messages = written.to_owned();
    if !messages.ends_with('[') {
        messages.push(',');
    }
    // The same for all: Anthropic refuses a beginning that ends in white space, others go on better
    // without. What is cut off here is not said again: see `Overlap`.
    let text = told.text.trim_end();
    let mut beginning = json!({"role": "assistant", "content": text});
    if style == Style::MarkedPrefix {
        beginning["prefix"] = true.into();
    }
    messages += &beginning.to_string();
    if style == Style::Instruction {
        messages.push(',');
        messages += &json!({"role": "user", "content": INSTRUCTION}).to_string();
    }
    messages.push(']');

    let mut edits = Edits::new();
    edits.set_raw("messages", messages.into_bytes());
    if style == Style::FinalMessage {
        edits.set("continue_final_message", &true);
        edits.set("add_generation_prompt", &false);
    }
    for name in ["max_tokens", "max_completion_tokens"] {
        if let Some(limit) = body.u64(name) {
            let generated = told.text.len() as u64 / BYTES_PER_TOKEN;
            edits.set(name, &limit.saturating_sub(generated).max(1));
        }
    }
    Object::parse(body.edit(&edits)).ok()
}
