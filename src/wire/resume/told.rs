//! What the client has been told so far, and whether somebody else can go on from there.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::wire::json::Object;
use crate::wire::sse::{Fields, Splitter};

/// The longest text that is kept to be continued.
const TEXT_MAX: usize = 1024 * 1024;

/// The reply as the client has it.
#[derive(Debug, Default)]
pub struct Told {
    /// Of the first chunk: `id`, `model`, `created`, `system_fingerprint`, as JSON.
    pub(super) identity: Vec<(&'static str, Box<RawValue>)>,
    pub(super) role: bool,
    pub(super) text: String,
    obstacle: Option<Obstacle>,
}

/// Why a reply cannot be continued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    #[error("a tool call had begun")]
    ToolCall,
    #[error("the model had begun to refuse")]
    Refusal,
    #[error("the reply is not text")]
    NotText,
    #[error("the request asks for several replies")]
    SeveralChoices,
    #[error("the request asks for JSON")]
    StructuredOutput,
    #[error("the reply is longer than can be given back")]
    TooLong,
    #[error("the reply had ended")]
    Finished,
    #[error("the stream is not in the form of chat completion chunks")]
    UnknownForm,
}

/// A chunk, as far as a continuation depends on it.
#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    created: Option<&'a RawValue>,
    #[serde(borrow)]
    system_fingerprint: Option<&'a RawValue>,
    #[serde(default)]
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    index: u64,
    delta: Option<Delta>,
    finish_reason: Option<Value>,
}

#[derive(Deserialize)]
struct Delta {
    role: Option<Value>,
    content: Option<Value>,
    refusal: Option<Value>,
    tool_calls: Option<Value>,
    function_call: Option<Value>,
    audio: Option<Value>,
}

impl Told {
    /// Remembers what whole events say.
    pub(super) fn note(&mut self, events: &[Bytes]) {
        let mut splitter = Splitter::new();
        for bytes in events {
            splitter.push(bytes.clone());
            while let Ok(Some(event)) = splitter.next_event() {
                self.event(&splitter.fields(&event));
            }
        }
    }

    pub(super) fn obstacle(&self) -> Option<Obstacle> {
        self.obstacle
    }

    fn event(&mut self, fields: &Fields<'_>) {
        let Some(data) = fields.data.as_deref().map(<[u8]>::trim_ascii) else { return };
        if data.is_empty() || data == b"[DONE]" {
            return;
        }
        let Ok(chunk) = serde_json::from_slice::<Chunk<'_>>(data) else {
            self.obstacle.get_or_insert(Obstacle::UnknownForm);
            return;
        };
        // A preamble of the provider's may have no id; the first chunk that generates has one.
        if self.identity.is_empty() && !chunk.choices.is_empty() {
            let fields = [
                ("id", chunk.id),
                ("model", chunk.model),
                ("created", chunk.created),
                ("system_fingerprint", chunk.system_fingerprint),
            ];
            let given = fields.into_iter().filter_map(|(name, raw)| Some((name, raw?.to_owned())));
            self.identity = given.collect();
        }
        for choice in chunk.choices {
            if let Err(obstacle) = self.choice(choice) {
                self.obstacle.get_or_insert(obstacle);
            }
        }
    }

    fn choice(&mut self, choice: Choice) -> Result<(), Obstacle> {
        if choice.index > 0 {
            return Err(Obstacle::SeveralChoices);
        }
        if let Some(delta) = choice.delta {
            self.role |= says(delta.role.as_ref());
            if says(delta.tool_calls.as_ref()) || says(delta.function_call.as_ref()) {
                return Err(Obstacle::ToolCall);
            }
            if says(delta.refusal.as_ref()) {
                return Err(Obstacle::Refusal);
            }
            match delta.content {
                None | Some(Value::Null) => {}
                Some(Value::String(text)) if self.text.len() + text.len() <= TEXT_MAX => {
                    self.text += &text;
                }
                Some(Value::String(_)) => return Err(Obstacle::TooLong),
                Some(_) => return Err(Obstacle::NotText),
            }
            if says(delta.audio.as_ref()) {
                return Err(Obstacle::NotText);
            }
        }
        if says(choice.finish_reason.as_ref()) { Err(Obstacle::Finished) } else { Ok(()) }
    }
}

/// A field that is there and holds something.
fn says(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => false,
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(list)) => !list.is_empty(),
        Some(Value::Object(fields)) => !fields.is_empty(),
        Some(_) => true,
    }
}

/// What in a request keeps its reply from being continued: a second half of a JSON document or of
/// several replies at once cannot be asked for.
pub(super) fn obstacle_in(body: &Object) -> Option<Obstacle> {
    if body.u64("n").is_some_and(|count| count > 1) {
        return Some(Obstacle::SeveralChoices);
    }
    let format = body.object("response_format");
    if format.is_some_and(|format| format.str("type").is_some_and(|kind| kind != "text")) {
        return Some(Obstacle::StructuredOutput);
    }
    body.is_set("audio").then_some(Obstacle::NotText)
}
