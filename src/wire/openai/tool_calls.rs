//! Tool calls as OpenAI writes them, from providers that leave parts out.
//!
//! In a stream, OpenAI numbers the calls of a choice from 0, and names a call (id, type, function)
//! in its first chunk only. Others send 0 for every call, repeat the id, leave `type` out, send
//! `"null"` for an id, or arguments as an object.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// Bound of the calls that are kept apart in one stream. Later ones keep the index they came with.
const MAX_CALLS: usize = 512;

/// Bound of an id that is remembered; a longer one is remembered by its hash.
const MAX_ID_BYTES: usize = 64;

/// The tool calls seen in a stream so far, of all choices.
#[derive(Debug, Default)]
pub(super) struct ToolCalls {
    seen: Vec<Seen>,
}

#[derive(Debug)]
struct Seen {
    choice: u64,
    /// The index the provider gave, if it gave one.
    sent: Option<u64>,
    id: Option<Box<str>>,
    /// Which chunk began it.
    chunk: u64,
    /// Its place among the calls of its choice.
    index: u64,
}

impl ToolCalls {
    /// True if a choice has called a tool.
    pub(super) fn any(&self, choice: u64) -> bool {
        self.seen.iter().any(|call| call.choice == choice)
    }

    /// Brings the calls of one delta into OpenAI's form. `chunk` counts the chunks of the stream;
    /// `seed` goes into ids that have to be made up.
    pub(super) fn normalise(&mut self, calls: &mut [Value], choice: u64, chunk: u64, seed: &str) {
        for call in calls.iter_mut().filter_map(Value::as_object_mut) {
            let id = given_id(call).map(remembered);
            let sent = call.get("index").and_then(Value::as_u64);
            match self.find(choice, id.as_deref(), sent, chunk) {
                Some(index) => {
                    for name in ["id", "type"] {
                        call.remove(name);
                    }
                    if let Some(function) = call.get_mut("function").and_then(Value::as_object_mut)
                    {
                        function.remove("name");
                        stringify_arguments(function);
                    }
                    call.insert("index".to_owned(), Value::from(index));
                }
                None => {
                    let index = self.seen.iter().filter(|call| call.choice == choice).count();
                    let index = index as u64;
                    if self.seen.len() < MAX_CALLS {
                        self.seen.push(Seen { choice, sent, id, chunk, index });
                        call.insert("index".to_owned(), Value::from(index));
                    }
                    complete(call, || made_up_id(seed, choice, index));
                }
            }
        }
    }

    /// The call that a delta continues; `None` if it begins one.
    fn find(&self, choice: u64, id: Option<&str>, sent: Option<u64>, chunk: u64) -> Option<u64> {
        let mut own = self.seen.iter().rev().filter(|call| call.choice == choice);
        let found = match id {
            Some(id) => own.find(|call| call.id.as_deref() == Some(id)),
            // Without an id, the same index continues, but not within one chunk: whole calls that
            // arrive together all have 0 at some providers.
            None => own
                .find(|call| sent.is_none() || call.sent == sent)
                .filter(|call| call.chunk != chunk),
        };
        found.map(|call| call.index)
    }
}

/// Completes a whole call in a reply that is not a stream. True if something was missing.
pub(super) fn complete_all(message: &mut Map<String, Value>, choice: u64, seed: &str) -> bool {
    let mut changed = false;
    let calls = message.get_mut("tool_calls").and_then(Value::as_array_mut);
    for (index, call) in calls.into_iter().flatten().enumerate() {
        if let Some(call) = call.as_object_mut() {
            changed |= complete(call, || made_up_id(seed, choice, index as u64));
        }
    }
    changed
}

/// Adds what the beginning of a call must have. True if something was missing.
fn complete(call: &mut Map<String, Value>, id: impl FnOnce() -> String) -> bool {
    let mut changed = false;
    if given_id(call).is_none() {
        call.insert("id".to_owned(), Value::String(id()));
        changed = true;
    }
    if !call.get("type").is_some_and(Value::is_string) {
        call.insert("type".to_owned(), Value::from("function"));
        changed = true;
    }
    if let Some(function) = call.get_mut("function").and_then(Value::as_object_mut) {
        changed |= stringify_arguments(function);
        if !function.get("arguments").is_some_and(Value::is_string) {
            function.insert("arguments".to_owned(), Value::from(""));
            changed = true;
        }
    }
    changed
}

/// Arguments are JSON text in a string; some providers send the JSON itself.
fn stringify_arguments(function: &mut Map<String, Value>) -> bool {
    match function.get_mut("arguments") {
        Some(arguments @ (Value::Object(_) | Value::Array(_))) => {
            *arguments = Value::String(arguments.to_string());
            true
        }
        _ => false,
    }
}

/// The id of a call; Mistral's models sometimes send the word `null` for none.
fn given_id(call: &Map<String, Value>) -> Option<&str> {
    call.get("id").and_then(Value::as_str).filter(|id| !id.is_empty() && *id != "null")
}

fn remembered(id: &str) -> Box<str> {
    if id.len() <= MAX_ID_BYTES { id.into() } else { nine_letters(id).into() }
}

fn made_up_id(seed: &str, choice: u64, index: u64) -> String {
    nine_letters(&format!("{seed}/{choice}/{index}"))
}

/// The id that Mistral is given for a foreign one: it accepts exactly nine letters and digits.
///
/// A pure hash, so that a call and its result, in this request and in all later ones, stay a pair
/// without anything being stored.
pub(super) fn nine_letters(id: &str) -> String {
    const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    if id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return id.to_owned();
    }
    // 62^9 < 2^54: eight bytes of the hash are more than enough.
    let digest = Sha256::digest(id.as_bytes());
    let mut rest = digest.iter().take(8).fold(0_u64, |sum, &byte| sum << 8 | u64::from(byte));
    (0..9)
        .map(|_| {
            let letter = LETTERS[(rest % 62) as usize];
            rest /= 62;
            char::from(letter)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn normalise(chunks: &[Value]) -> Vec<Value> {
        let mut calls = ToolCalls::default();
        let mut seen = Vec::new();
        for (number, chunk) in chunks.iter().enumerate() {
            let mut deltas = chunk.as_array().unwrap().clone();
            calls.normalise(&mut deltas, 0, number as u64, "seed");
            seen.extend(deltas);
        }
        seen
    }

    #[test]
    fn whole_calls_with_one_index_are_numbered() {
        let seen = normalise(&[json!([
            {"index": 0, "id": "Ab3dE5gH1", "function": {"name": "f", "arguments": {"a": 1}}},
            {"index": 0, "id": "Ab3dE5gH2", "function": {"name": "f", "arguments": "{}"}},
            {"index": 0, "id": "null", "function": {"name": "g"}},
        ])]);
        assert_eq!(
            seen[..2],
            [
                json!({"index": 0, "id": "Ab3dE5gH1", "type": "function",
                       "function": {"name": "f", "arguments": "{\"a\":1}"}}),
                json!({"index": 1, "id": "Ab3dE5gH2", "type": "function",
                       "function": {"name": "f", "arguments": "{}"}}),
            ]
        );
        assert_eq!(seen[2]["index"], 2);
        assert_eq!(seen[2]["id"].as_str().map(str::len), Some(9));
        assert_eq!(seen[2]["function"]["arguments"], "");
    }

    #[test]
    fn fragments_follow_their_call_by_id_or_by_index() {
        let seen = normalise(&[
            json!([{"index": 3, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}]),
            json!([{"index": 3, "id": "a", "type": "function", "function": {"name": "f", "arguments": "{"}}]),
            json!([{"index": 3, "function": {"arguments": "}"}}]),
            json!([{"index": 3, "id": "b", "function": {"name": "g", "arguments": "1"}}]),
            json!([{"id": "a", "function": {"arguments": "2"}}]),
            json!([{"function": {"arguments": "3"}}]),
        ]);
        let places = seen.iter().map(|call| call["index"].as_u64().unwrap()).collect::<Vec<_>>();
        assert_eq!(places, [0, 0, 0, 1, 0, 1]);
        assert_eq!(seen[1], json!({"index": 0, "function": {"arguments": "{"}}));
        assert_eq!(seen[3]["type"], "function");
    }

    #[test]
    fn the_calls_of_two_choices_are_numbered_apart() {
        let mut calls = ToolCalls::default();
        for choice in [0, 1] {
            let mut delta = [json!({"index": 0, "id": "a", "function": {"name": "f"}})];
            calls.normalise(&mut delta, choice, 0, "seed");
            assert_eq!(delta[0]["index"], 0);
            assert_eq!(delta[0]["id"], "a");
        }
        assert!(calls.any(0) && calls.any(1) && !calls.any(2));
    }

    #[test]
    fn endless_calls_take_bounded_memory() {
        let mut calls = ToolCalls::default();
        for number in 0..10_000 {
            let id = format!("{number}").repeat(100);
            let mut delta = [json!({"index": number, "id": id, "function": {}})];
            calls.normalise(&mut delta, 0, number, "seed");
        }
        assert_eq!(calls.seen.len(), MAX_CALLS);
    }

    #[test]
    fn nine_letters_are_a_pure_function() {
        assert_eq!(nine_letters("Ab3dE5gH1"), "Ab3dE5gH1");
        assert_eq!(nine_letters("call_x"), nine_letters("call_x"));
        assert_ne!(nine_letters("call_x"), nine_letters("call_y"));
        for id in ["", "call_x", "toolu_0123456789", "abc-efghi", "ünïcödéß"] {
            let letters = nine_letters(id);
            assert!(letters.len() == 9 && letters.bytes().all(|b| b.is_ascii_alphanumeric()));
        }
    }
}
