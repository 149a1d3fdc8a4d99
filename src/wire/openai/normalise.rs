//! Streams and replies of providers that nearly follow OpenAI.
//!
//! Content chunks go on as they were sent. Rewritten are: usage on a chunk with choices (it moves to
//! a chunk of its own at the end), the end of a choice together with content (it becomes a chunk of
//! its own), finish reasons OpenAI does not have, tool calls that lack parts, content as a list, and
//! reasoning under another name.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::chunk::Chunk;
use super::stream::{ChoiceSet, Rewrite, Verdict, object};
use super::tool_calls::ToolCalls;
use super::usage;
use crate::failure::{Failure, FailureClass};
use crate::wire::json::{Edits, Object, elements};
use crate::wire::sse::event;
use crate::wire::stream::StreamOptions;

/// Brings the chunks of a provider to OpenAI's form.
#[derive(Debug, Default)]
pub struct Normalise {
    tool_calls: ToolCalls,
    chunks: u64,
    /// Choices whose end the client has seen.
    finished: ChoiceSet,
    /// Choices that got `""` for a finish reason.
    blank: ChoiceSet,
    /// A chunk without choices, to write the ends of blank choices into.
    head: Option<Bytes>,
    /// The usage chunk, held back until the end: providers send it with the last choice, alone
    /// after it, in both places or in every chunk.
    usage: Option<Bytes>,
}

impl Rewrite for Normalise {
    // Keep-alives of a provider that is known are of no use to the client: the gateway sends its own.
    fn keeps_comments(options: &StreamOptions) -> bool {
        options.quirks.imitates
    }

    fn chunk(
        &mut self,
        chunk: &Chunk,
        data: &[u8],
        options: &StreamOptions,
    ) -> Result<Verdict, Failure> {
        self.chunks += 1;
        let plain = chunk.usage.is_none()
            && !chunk.finish
            && !chunk.blank_finish
            && !chunk.tool_calls
            && !chunk.foreign_delta;
        if plain {
            return Ok(Verdict::Keep);
        }
        let object = object(data)?;
        if chunk.usage.is_some() && !chunk.choices && self.is_in_place(&object, options) {
            self.usage = None;
            return Ok(Verdict::Keep);
        }
        if chunk.usage.is_some() {
            self.hold_usage(&object, options);
            if !chunk.choices {
                return Ok(Verdict::Drop);
            }
        }
        let Some(Value::Array(mut choices)) = object.value("choices") else {
            return Ok(Verdict::Keep);
        };
        let before = choices.clone();
        let ends = self.choices(&mut choices, &object)?;
        let mut edits = Edits::new();
        if object.is_set("usage") {
            if options.show_usage {
                edits.set_raw("usage", &b"null"[..]);
            } else {
                edits.remove("usage");
            }
        } else if options.hides_usage() {
            edits.remove("usage");
        }
        if self.head.is_none() && chunk.blank_finish {
            self.head = Some(without_choices(&object));
        }
        if choices != before {
            edits.set("choices", &choices);
        }
        if choices.is_empty() && ends.is_empty() {
            return Ok(Verdict::Drop);
        }
        if ends.is_empty() {
            let edited = object.edit(&edits);
            return Ok(if edited == data {
                Verdict::Keep
            } else {
                Verdict::Replace(event(&edited))
            });
        }
        let first = event(&object.edit(&edits));
        edits.set("choices", &ends);
        let second = event(&object.edit(&edits));
        Ok(Verdict::Replace(Bytes::from([first, second].concat())))
    }

    fn closing(&mut self, _: &StreamOptions) -> Bytes {
        let mut events = Vec::new();
        // A choice whose only finish reason was `""` has ended all the same.
        let ends: Vec<Value> = self
            .blank
            .missing_in(self.finished)
            .map(|index| {
                let reason = if self.tool_calls.any(index) { "tool_calls" } else { "stop" };
                end_of(index, reason)
            })
            .collect();
        let head = self.head.take().filter(|_| !ends.is_empty());
        if let Some(head) = head.and_then(|head| Object::parse(head).ok()) {
            let mut edits = Edits::new();
            edits.set("choices", &ends);
            events.extend_from_slice(&event(&head.edit(&edits)));
        }
        if let Some(usage) = self.usage.take() {
            events.extend_from_slice(&usage);
        }
        Bytes::from(events)
    }
}

impl Normalise {
    /// Normalises the choices of one chunk; ends that must follow in their own chunk are returned.
    fn choices(
        &mut self,
        choices: &mut Vec<Value>,
        object: &Object,
    ) -> Result<Vec<Value>, Failure> {
        let seed = seed(object);
        let mut ends = Vec::new();
        let mut repeated = Vec::new();
        for (place, choice) in choices.iter_mut().enumerate() {
            let Some(choice) = choice.as_object_mut() else { continue };
            let index = choice.get("index").and_then(Value::as_u64).unwrap_or_default();
            let mut generates = false;
            if let Some(delta) = choice.get_mut("delta").and_then(Value::as_object_mut) {
                flatten(delta);
                if let Some(calls) = delta.get_mut("tool_calls").and_then(Value::as_array_mut) {
                    self.tool_calls.normalise(calls, index, self.chunks, &seed);
                }
                generates = delta.iter().any(|(name, value)| name != "role" && !is_empty(value));
            }
            let Some(reason) = choice.get("finish_reason").and_then(Value::as_str) else {
                continue;
            };
            if reason.is_empty() {
                self.blank.add(index);
                choice.insert("finish_reason".to_owned(), Value::Null);
                continue;
            }
            let reason = finish_reason(reason, self.tool_calls.any(index))?.to_owned();
            let is_text = choice.contains_key("text");
            if self.finished.contains(index) {
                choice.insert("finish_reason".to_owned(), Value::Null);
                if !generates && !is_text {
                    repeated.push(place);
                }
            } else if generates {
                choice.insert("finish_reason".to_owned(), Value::Null);
                ends.push(end_of(index, &reason));
            } else {
                choice.insert("finish_reason".to_owned(), Value::String(reason));
            }
            self.finished.add(index);
        }
        for place in repeated.into_iter().rev() {
            choices.remove(place);
        }
        Ok(ends)
    }

    /// Whether usage is where OpenAI has it, as OpenAI counts: alone, after the end.
    fn is_in_place(&self, object: &Object, options: &StreamOptions) -> bool {
        let counts = object.raw_bytes("usage");
        !self.finished.is_empty()
            && object.raw_bytes("choices").is_some_and(|choices| choices.starts_with(b"["))
            && counts.is_some_and(|counts| usage::corrected(counts, options.quirks).is_none())
    }

    fn hold_usage(&mut self, object: &Object, options: &StreamOptions) {
        if !options.show_usage {
            return;
        }
        let groq = object.object("x_groq");
        let counted = |object: &Object| object.slice("usage").filter(|raw| raw.starts_with(b"{"));
        let Some(counts) = counted(object).or_else(|| counted(groq.as_ref()?)) else { return };
        let correct = usage::corrected(&counts, options.quirks).unwrap_or(counts);
        let mut edits = Edits::new();
        edits.set_raw("choices", &b"[]"[..]);
        edits.set_raw("usage", correct.to_vec());
        edits.remove("x_groq");
        self.usage = Some(event(&object.edit(&edits)));
    }
}

/// What tells a reply from all others, for ids that are made up: its id, or else its time.
pub(super) fn seed(reply: &Object) -> Cow<'_, str> {
    let id = reply.str("id").filter(|id| !id.is_empty());
    let created = || String::from_utf8_lossy(reply.raw_bytes("created").unwrap_or_default());
    id.unwrap_or_else(created)
}

/// Brings the choices of a whole reply to OpenAI's form. True if something changed.
///
/// # Errors
/// A choice says that the provider failed.
pub(super) fn reply(choices: &mut [Value], id: &str) -> Result<bool, Failure> {
    let mut changed = false;
    for choice in choices.iter_mut().filter_map(Value::as_object_mut) {
        let index = choice.get("index").and_then(Value::as_u64).unwrap_or_default();
        let mut calls = false;
        if let Some(message) = choice.get_mut("message").and_then(Value::as_object_mut) {
            changed |= flatten(message);
            changed |= super::tool_calls::complete_all(message, index, id);
            calls = message.get("tool_calls").is_some_and(|calls| !is_empty(calls));
        }
        if let Some(reason) = choice.get("finish_reason").and_then(Value::as_str) {
            let meant = match reason {
                "" if calls => "tool_calls",
                "" => "stop",
                reason => finish_reason(reason, calls)?,
            };
            if meant != reason {
                let meant = Value::from(meant);
                choice.insert("finish_reason".to_owned(), meant);
                changed = true;
            }
        }
    }
    Ok(changed)
}

/// Whether choices of a whole reply may depart from OpenAI's form. No tree is built for this: most
/// follow it, and are passed on as they came.
pub(super) fn may_depart(choices: &Bytes) -> bool {
    elements(choices).iter().any(|choice| {
        let message = choice.object("message");
        let in_message = message.is_some_and(|message| {
            ["tool_calls", "reasoning", "thinking"].iter().any(|name| message.is_set(name))
                || message.raw_bytes("content").is_some_and(|content| content.starts_with(b"["))
        });
        in_message || choice.str("finish_reason").is_some_and(|reason| !is_openais(&reason))
    })
}

/// Whether a finish reason is one that OpenAI has.
fn is_openais(reason: &str) -> bool {
    matches!(reason, "stop" | "length" | "tool_calls" | "content_filter" | "function_call")
}

/// OpenAI's word for a provider's finish reason. One that is not known here stays.
///
/// # Errors
/// The reason is that the provider could not go on.
fn finish_reason(reason: &str, tool_calls: bool) -> Result<&str, Failure> {
    Ok(match reason {
        "stop" | "eos" | "eos_token" | "stop_sequence" | "end_turn" if tool_calls => "tool_calls",
        "eos" | "eos_token" | "stop_sequence" | "end_turn" => "stop",
        "model_length" | "max_tokens" => "length",
        "tool_call" | "tool_use" => "tool_calls",
        "insufficient_system_resource" => {
            return Err(Failure::new(
                FailureClass::Overloaded,
                "the provider ran out of capacity while generating",
            ));
        }
        "error" | "abort" => {
            return Err(Failure::new(
                FailureClass::Server,
                format!("the provider stopped generating (finish reason `{reason}`)"),
            ));
        }
        reason => reason,
    })
}

/// Turns a list of content parts into text and reasoning, and gives reasoning its documented name.
/// True if something changed.
fn flatten(message: &mut Map<String, Value>) -> bool {
    let mut changed = false;
    if let Some(Value::Array(parts)) = message.get("content") {
        let (mut text, mut reasoning) = (String::new(), String::new());
        for part in parts {
            match part {
                Value::String(piece) => text.push_str(piece),
                part => match part.get("thinking") {
                    Some(thinking) => push_text(&mut reasoning, thinking),
                    None => push_text(&mut text, part),
                },
            }
        }
        let nothing = text.is_empty() && !reasoning.is_empty();
        let text = if nothing { Value::Null } else { Value::String(text) };
        message.insert("content".to_owned(), text);
        if !reasoning.is_empty() {
            message.insert("reasoning_content".to_owned(), Value::String(reasoning));
        }
        changed = true;
    }
    for name in ["reasoning", "thinking"] {
        if !message.get(name).is_some_and(Value::is_string) {
            continue;
        }
        if let Some(reasoning) = message.remove(name) {
            // Some send a copy under the documented name, too.
            let said = message.get("reasoning_content").and_then(Value::as_str);
            if said.is_none_or(str::is_empty) {
                message.insert("reasoning_content".to_owned(), reasoning);
            }
            changed = true;
        }
    }
    changed
}

/// Appends the text of a part, or of the parts of a list.
fn push_text(to: &mut String, part: &Value) {
    match part {
        Value::String(text) => to.push_str(text),
        Value::Array(parts) => parts.iter().for_each(|part| push_text(to, part)),
        part => to.push_str(part.get("text").and_then(Value::as_str).unwrap_or_default()),
    }
}

fn end_of(index: u64, reason: &str) -> Value {
    json!({"index": index, "delta": {}, "finish_reason": reason})
}

fn without_choices(object: &Object) -> Bytes {
    let mut edits = Edits::new();
    edits.set_raw("choices", &b"[]"[..]);
    edits.remove("usage");
    object.edit(&edits)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::stream::ChatStream;
    use super::*;
    use crate::dialect::Quirks;
    use crate::wire::Ending;

    const SHOWN: StreamOptions = StreamOptions {
        show_usage: true,
        created: 0,
        quirks: Quirks {
            reasoning_outside_completion: true,
            normalise_stream: true,
            ..Quirks::NONE
        },
    };

    fn relay(options: StreamOptions, chunks: &[Value]) -> (Vec<Value>, Ending, Option<Failure>) {
        let mut stream = ChatStream::<Normalise>::new(options);
        let mut out = Vec::new();
        let mut failure = None;
        for chunk in chunks {
            let data = chunk.as_str().map_or_else(|| chunk.to_string(), str::to_owned);
            let progress = stream.push(Bytes::from(format!("data: {data}\n\n")), &mut out);
            failure = failure.or(progress.failure);
        }
        let ending = stream.finish(&mut out);
        let text = String::from_utf8(out.concat()).unwrap();
        let events = text.split_terminator("\n\n").map(|event| {
            let data = event.strip_prefix("data: ").unwrap();
            serde_json::from_str(data).unwrap_or_else(|_| json!(data))
        });
        (events.collect(), ending, failure)
    }

    fn delta(delta: &Value, reason: &Value) -> Value {
        json!({"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})
    }

    #[test]
    fn reasons_become_openais() {
        for (sent, seen) in [("eos", "stop"), ("model_length", "length"), ("stop", "stop")] {
            let (events, ending, _) =
                relay(SHOWN, &[delta(&json!({}), &json!(sent)), json!("[DONE]")]);
            assert_eq!(events[0]["choices"][0]["finish_reason"], seen);
            assert_eq!(ending, Ending::Complete);
        }
    }

    #[test]
    fn what_follows_openai_is_passed_as_the_same_memory() {
        let options = StreamOptions { quirks: Quirks { imitates: true, ..Quirks::NONE }, ..SHOWN };
        let head = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\
                    \"content\":\"\"},\"finish_reason\":null}]}\n\n";
        let text = "data: {\"id\":\"c\", \"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\
                    \"logprobs\":null,\"finish_reason\":null}]}\n\n";
        let end = "data: {\"id\":\"c\",\"choices\":[{\"delta\":{},\"index\":0,\
                   \"finish_reason\":\"stop\"}]}\n\n";
        let usage = "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":3,\
                     \"completion_tokens\":4,\"total_tokens\":7}}\n\n";
        let read =
            Bytes::from([head, ": alive\n\n", text, end, usage, "data: [DONE]\n\n"].concat());
        let mut stream = ChatStream::<Normalise>::new(options);
        let mut out = Vec::new();
        stream.push(read.clone(), &mut out);
        assert_eq!(out.len(), 1, "one slice of what was read");
        assert_eq!((out[0].as_ptr(), out[0].len()), (read.as_ptr(), read.len()));
    }

    #[test]
    fn groqs_own_place_for_usage_is_told_like_any_other() {
        let end = json!({"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
            "x_groq": {"id": "r", "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}}});
        let (events, ..) = relay(SHOWN, &[end.clone(), json!("[DONE]")]);
        assert_eq!(events[1]["usage"]["total_tokens"], 7, "{events:?}");
        assert_eq!(events[1]["choices"], json!([]));
        let hidden = StreamOptions { show_usage: false, ..SHOWN };
        let (events, ..) = relay(hidden, &[end, json!("[DONE]")]);
        assert_eq!(events.len(), 2, "{events:?}");
    }

    #[test]
    fn what_a_marketplace_adds_stays() {
        let delta = json!({"content": "a", "reasoning": "hm",
            "reasoning_details": [{"type": "reasoning.text", "text": "hm", "signature": "s"}]});
        let choice = json!({"index": 0, "delta": delta, "finish_reason": null, "native_finish_reason": null});
        let end = json!({"index": 0, "delta": {"content": ""}, "finish_reason": "stop",
            "native_finish_reason": "end_turn"});
        let (events, ending, _) = relay(
            SHOWN,
            &[
                json!({"id": "c", "choices": [choice]}),
                json!({"id": "c", "choices": [end]}),
                json!("[DONE]"),
            ],
        );
        assert_eq!(ending, Ending::Complete);
        let said = &events[0]["choices"][0]["delta"];
        assert_eq!(said["reasoning_details"][0]["signature"], "s");
        assert_eq!((&said["content"], &said["reasoning_content"]), (&json!("a"), &json!("hm")));
        assert_eq!(events[1]["choices"][0]["native_finish_reason"], "end_turn");
    }

    #[test]
    fn usage_that_goes_on_with_every_chunk_is_told_once() {
        let counted = |text: &str, tokens: u64| {
            json!({"id": "c", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}],
                "usage": {"prompt_tokens": 3, "completion_tokens": tokens, "total_tokens": 3 + tokens}})
        };
        let mut end = delta(&json!({}), &json!("stop"));
        end["usage"] = json!({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5});
        let (events, ..) = relay(SHOWN, &[counted("a", 1), counted("b", 2), end, json!("[DONE]")]);
        let told: Vec<&Value> = events.iter().filter(|it| it["usage"].is_object()).collect();
        assert_eq!(told.len(), 1, "{events:?}");
        assert_eq!(
            (&told[0]["usage"]["total_tokens"], &told[0]["choices"]),
            (&json!(5), &json!([]))
        );
    }

    #[test]
    fn a_blank_reason_is_filled_in_at_the_end() {
        let call = json!({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}]});
        let usage = json!({"id": "c", "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 13,
                           "completion_tokens_details": {"reasoning_tokens": 10}}});
        let (events, _, _) = relay(
            SHOWN,
            &[
                delta(&json!({"content": "a"}), &json!("")),
                delta(&call, &json!("")),
                usage,
                json!("[DONE]"),
            ],
        );
        assert_eq!(events.len(), 5);
        assert_eq!(events[0]["choices"][0]["finish_reason"], Value::Null);
        assert_eq!(events[1]["choices"][0]["delta"]["tool_calls"][0]["type"], "function");
        assert_eq!(
            events[2],
            json!({"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]})
        );
        assert_eq!(events[3]["usage"]["completion_tokens"], 12, "reasoning is included");
        assert_eq!(events[4], "[DONE]");
    }

    #[test]
    fn an_end_is_told_once_and_usage_last() {
        let mut end = delta(&json!({"content": "b"}), &json!("stop"));
        end["usage"] = json!({"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2});
        let mut again = delta(&json!({"content": ""}), &json!("stop"));
        again["usage"] = json!({"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3});
        let (events, ending, _) = relay(SHOWN, &[end.clone(), again.clone()]);
        assert_eq!(ending, Ending::Complete, "no [DONE] was sent");
        assert_eq!(
            events[0],
            json!({"id": "c", "choices": [{"index": 0, "delta": {"content": "b"}, "finish_reason": null}], "usage": null})
        );
        assert_eq!(
            events[1],
            json!({"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": null})
        );
        assert_eq!(events[2]["usage"]["total_tokens"], 3);
        assert_eq!(events[2]["choices"], json!([]));
        assert_eq!(events[3], "[DONE]");
        assert_eq!(events.len(), 4);

        let hidden = StreamOptions { show_usage: false, ..SHOWN };
        let (events, _, _) = relay(hidden, &[end, again, json!("[DONE]")]);
        assert_eq!(events.len(), 3);
        assert!(events.iter().all(|event| event.get("usage").is_none()));
    }

    #[test]
    fn lists_and_other_names_become_content_and_reasoning() {
        let thinking = json!({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]});
        let text = json!({"content": [{"type": "text", "text": "a"}]});
        let named = json!({"reasoning": "so", "content": ""});
        let chunks = [&thinking, &text, &named].map(|sent| delta(sent, &Value::Null));
        let (events, _, _) = relay(SHOWN, &chunks);
        let deltas = events.iter().map(|event| &event["choices"][0]["delta"]).collect::<Vec<_>>();
        assert_eq!(*deltas[0], json!({"content": null, "reasoning_content": "hm"}));
        assert_eq!(*deltas[1], json!({"content": "a"}));
        assert_eq!(*deltas[2], json!({"content": "", "reasoning_content": "so"}));
    }

    #[test]
    fn a_reason_that_is_a_failure_is_one() {
        let (events, ending, failure) = relay(
            SHOWN,
            &[
                delta(&json!({"content": "a"}), &Value::Null),
                delta(&json!({}), &json!("insufficient_system_resource")),
            ],
        );
        assert_eq!((events.len(), ending), (1, Ending::Cut));
        assert_eq!(failure.map(|failure| failure.class), Some(FailureClass::Overloaded));
    }

    #[test]
    fn unknown_fields_of_a_rewritten_chunk_stay_as_written() {
        let chunk = r#"{"id":"c", "new":1.50, "choices":[{"index":0,"delta":{},"finish_reason":"eos"}],"z":1e2}"#;
        let mut stream = ChatStream::<Normalise>::new(SHOWN);
        let mut out = Vec::new();
        stream.push(Bytes::from(format!("data: {chunk}\n\n")), &mut out);
        assert_eq!(
            out.concat(),
            format!(
                "data: {}\n\n",
                chunk.replace(
                    r#"{"index":0,"delta":{},"finish_reason":"eos"}"#,
                    r#"{"delta":{},"finish_reason":"stop","index":0}"#
                )
            )
            .into_bytes()
        );
    }
}
