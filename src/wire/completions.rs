//! Text completions of models that only chat: a prompt becomes the message of a user, and the answer
//! the text that completes it.
//!
//! What the old API says of the text itself (`echo`, `suffix`, `logprobs`, `best_of`) a conversation has
//! no words for. One prompt makes one request; there are no several ones, nor prompts in tokens.

use bytes::Bytes;
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::chat::{Completion, Piece};
use super::client::{ClientStream, Telling};
use super::fields::{Text, impossible, missing, read, unsupported};
use super::json::{Edits, Object};
use super::sse;
use crate::failure::{Failure, FailureClass};

const PROVIDER: &str = "chat";
const DONE: &[u8] = b"data: [DONE]\n\n";

/// Puts a request for a text completion into a chat completion.
///
/// # Errors
/// [`FailureClass::BadRequest`]: there is not one prompt in it that is a text, or it asks for what a
/// conversation has no words for and `drop_params` is not set.
pub fn request(body: &Object, drop_params: bool) -> Result<Object, Failure> {
    let raw = body.raw("prompt").filter(|raw| *raw != "null").ok_or_else(|| missing("prompt"))?;
    let prompt: Text<'_> = match raw.starts_with('[') {
        false => read("prompt", raw)?,
        true => {
            let prompts: Vec<&RawValue> = read("prompt", raw)?;
            match prompts.as_slice() {
                [only] if only.get().starts_with('"') => read("prompt", only.get())?,
                _ => {
                    let message = "`prompt`: a model that chats takes one text; send several in \
                                   requests of their own, and no tokens";
                    return Err(impossible("prompt", message));
                }
            }
        }
    };
    let mut edits = Edits::new();
    for name in ["echo", "suffix", "logprobs", "best_of"] {
        let Some(raw) = body.raw(name) else { continue };
        let asks_nothing = match name {
            "best_of" => matches!(raw, "null" | "1"),
            _ => matches!(raw, "null" | "false" | "\"\""),
        };
        if !asks_nothing && !drop_params {
            return Err(unsupported(PROVIDER, name));
        }
        edits.remove(name);
    }
    edits.remove("prompt");
    edits.set("messages", &json!([{"role": "user", "content": &*prompt}]));
    Object::parse(body.edit(&edits)).map_err(|_| missing("prompt"))
}

#[derive(Serialize)]
struct Written<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: Vec<Choice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Choice<'a> {
    text: &'a str,
    index: u32,
    logprobs: Option<()>,
    finish_reason: Option<&'a str>,
}

/// Puts a chat completion into a text completion.
///
/// # Errors
/// [`FailureClass::Server`]: it is no chat completion.
pub fn reply(body: &Bytes, telling: &Telling<'_>) -> Result<Bytes, Failure> {
    let completion = Completion::read(body)?;
    let choices = completion.choices.iter().map(|answer| Choice {
        text: answer.message.content.as_deref().unwrap_or_default(),
        index: answer.index,
        logprobs: None,
        finish_reason: answer.finish_reason.as_deref().or(Some("stop")),
    });
    let or = |text: &'_ str, other: &'_ str| if text.is_empty() { other } else { text }.to_owned();
    let written = Written {
        id: &id(&or(&completion.id, telling.request_id)),
        object: "text_completion",
        created: if completion.created == 0 { telling.created } else { completion.created },
        model: &or(&completion.model, telling.model),
        choices: choices.collect(),
        usage: completion.usage.as_deref(),
    };
    serde_json::to_vec(&written).map(Into::into).map_err(|_| {
        let message = "the provider's reply cannot be put into a text completion";
        Failure::new(FailureClass::Server, message)
    })
}

fn id(id: &str) -> String {
    format!("cmpl-{}", id.strip_prefix("chatcmpl-").unwrap_or(id))
}

/// Chunks of chat completions, as those of a text completion.
#[derive(Debug)]
pub struct TextStream {
    id: String,
    model: String,
    created: u64,
}

impl TextStream {
    #[must_use]
    pub fn new(telling: &Telling<'_>) -> Self {
        let Telling { request_id, model, created, .. } = *telling;
        Self { id: id(request_id), model: model.to_owned(), created }
    }

    fn take(&self, data: &[u8], out: &mut Vec<u8>) {
        if data == b"[DONE]" {
            out.extend_from_slice(DONE);
            return;
        }
        let Ok(piece) = serde_json::from_slice::<Piece<'_>>(data) else { return };
        let choices = piece.choices.iter().filter_map(|choice| {
            let text = choice.delta.as_ref().and_then(|delta| delta.content.as_deref());
            let finish_reason = choice.finish_reason.as_deref();
            let text = text.unwrap_or_default();
            let says = !text.is_empty() || finish_reason.is_some();
            says.then_some(Choice { text, index: choice.index, logprobs: None, finish_reason })
        });
        let choices: Vec<_> = choices.collect();
        let usage = piece.usage.filter(|usage| usage.get() != "null");
        if choices.is_empty() && usage.is_none() {
            return;
        }
        let (id, model, created) = (&self.id, &self.model, self.created);
        let object = "text_completion";
        let written = Written { id, object, created, model, choices, usage };
        if let Ok(json) = serde_json::to_vec(&written) {
            out.extend_from_slice(b"data: ");
            out.extend_from_slice(&json);
            out.extend_from_slice(b"\n\n");
        }
    }
}

impl ClientStream for TextStream {
    fn pass(&mut self, events: &mut Vec<Bytes>) {
        sse::rewrite(events, |data, out| self.take(data, out));
    }

    fn fail(&mut self, problem: &Bytes, _code: &str, _message: &str) -> Bytes {
        [b"data: ", &problem[..], b"\n\n"].concat().into()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn asked(body: &Value, drop_params: bool) -> Result<Value, Failure> {
        let body = Object::parse(body.to_string().into()).unwrap();
        let chat = request(&body, drop_params)?;
        Ok(serde_json::from_slice(chat.bytes()).unwrap())
    }

    #[test]
    fn a_prompt_is_a_message() {
        for prompt in [json!("x"), json!(["x"])] {
            let body = json!({"model": "m", "prompt": prompt, "max_tokens": 5, "echo": false,
                "best_of": 1, "suffix": null, "stream": true});
            let chat = json!({"model": "m", "max_tokens": 5, "stream": true,
                "messages": [{"role": "user", "content": "x"}]});
            assert_eq!(asked(&body, false).unwrap(), chat);
        }
        for prompt in
            [json!(["x", "y"]), json!([1, 2]), json!([[1]]), json!([]), json!(5), json!(null)]
        {
            let failure = asked(&json!({"prompt": prompt}), true).unwrap_err();
            assert_eq!(failure.class, FailureClass::BadRequest);
            assert_eq!(failure.param.as_deref(), Some("prompt"), "{prompt}");
        }
        for (name, value) in [
            ("echo", json!(true)),
            ("suffix", json!("s")),
            ("logprobs", json!(0)),
            ("best_of", json!(2)),
        ] {
            let body = json!({"prompt": "x", name: value});
            assert_eq!(asked(&body, false).unwrap_err().param.as_deref(), Some(name));
            assert!(asked(&body, true).unwrap().get(name).is_none());
        }
    }

    const TELLING: Telling<'static> = Telling {
        request: None,
        created: 7,
        model: "m",
        request_id: "r",
        array: false,
        embeds: false,
    };

    #[test]
    fn an_answer_is_a_text() {
        let body = br#"{"id":"chatcmpl-1","created":3,"model":"n","choices":[{"message":{"content":"hi"},"finish_reason":"length"}],"usage":{"total_tokens":4}}"#;
        let written = reply(&Bytes::from_static(body), &TELLING).unwrap();
        let written: Value = serde_json::from_slice(&written).unwrap();
        let text = json!({"id": "cmpl-1", "object": "text_completion", "created": 3, "model": "n",
            "choices": [{"text": "hi", "index": 0, "logprobs": null, "finish_reason": "length"}],
            "usage": {"total_tokens": 4}});
        assert_eq!(written, text);
        let bare =
            reply(&Bytes::from_static(br#"{"choices":[{"message":{}}]}"#), &TELLING).unwrap();
        let bare: Value = serde_json::from_slice(&bare).unwrap();
        assert_eq!(
            (&bare["id"], &bare["created"], &bare["model"]),
            (&json!("cmpl-r"), &json!(7), &json!("m"))
        );
        assert_eq!(bare["choices"][0]["text"], "");
    }

    #[test]
    fn chunks_are_texts() {
        let mut stream = TextStream::new(&TELLING);
        let events = concat!(
            "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n",
            ": ping\n\n",
            "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"},\"finish_reason\":null}]}\n\n",
            "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
            "data: {\"choices\":[],\"usage\":{\"total_tokens\":4}}\n\ndata: [DONE]\n\n",
        );
        let mut events = vec![Bytes::from_static(events.as_bytes())];
        stream.pass(&mut events);
        let text = String::from_utf8(events.concat()).unwrap();
        let (chunks, end) = text.strip_suffix("\n\n").unwrap().rsplit_once("\n\n").unwrap();
        assert_eq!(end, "data: [DONE]");
        let chunks: Vec<Value> = chunks
            .split("\n\n")
            .map(|chunk| serde_json::from_str(chunk.strip_prefix("data: ").unwrap()).unwrap())
            .collect();
        assert_eq!(chunks.len(), 3, "{text}");
        assert!(
            chunks
                .iter()
                .all(|chunk| chunk["object"] == "text_completion" && chunk["id"] == "cmpl-r")
        );
        assert_eq!(chunks[0]["choices"][0]["text"], "hi");
        assert_eq!(chunks[1]["choices"][0]["finish_reason"], "stop");
        assert_eq!(chunks[2]["usage"]["total_tokens"], 4);
    }
}
