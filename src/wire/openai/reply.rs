//! A whole reply in OpenAI's format: checked, counted, and passed on as it came where it can be.

use bytes::Bytes;
use serde_json::Value;

use super::error::ErrorBody;
use super::stream::server_failure;
use super::{normalise, usage};
use crate::dialect::{Endpoint, Quirks};
use crate::failure::Failure;
use crate::wire::json::{Broken, Cursor, Edits, Object};
use crate::wire::{Reply, media};

/// Reads the body of a 200.
///
/// # Errors
/// It is not JSON, holds an error, or has nothing in it that answers the request: the attempt
/// failed, whatever its status said.
pub fn reply(body: Bytes, quirks: Quirks, endpoint: Endpoint) -> Result<Reply, Failure> {
    let object = Object::parse(body).map_err(|malformed| {
        server_failure(format!("the provider's reply is not a JSON object: {malformed}"))
    })?;
    if let Some(failure) = error_in(&object) {
        return Err(failure);
    }
    let list = match endpoint {
        Endpoint::Chat | Endpoint::Completions => "choices",
        Endpoint::Embeddings => "data",
        _ => return media::reply(&object, endpoint),
    };
    let Some(listed) = object.raw_bytes(list).filter(|raw| raw.starts_with(b"[")) else {
        return Err(server_failure(format!("the provider's reply has no `{list}`")));
    };
    let answer = match endpoint {
        Endpoint::Chat => Some(("message", b'{')),
        Endpoint::Completions => Some(("text", b'"')),
        _ => None,
    };
    if let Some((name, opens)) = answer
        && !each_has(listed, name.as_bytes(), opens).unwrap_or(false)
    {
        let message = format!("the provider's reply has `choices` without a `{name}`");
        return Err(server_failure(message));
    }
    let counts = object.raw_bytes("usage");
    let usage = counts.and_then(|counts| usage::read(counts, quirks));
    let mut edits = Edits::new();
    if let Some(counts) = counts.and_then(|counts| usage::corrected(counts, quirks)) {
        edits.set_raw("usage", counts.to_vec());
    }
    if endpoint != Endpoint::Embeddings
        && quirks.is_normalised()
        && object.slice("choices").is_some_and(|choices| normalise::may_depart(&choices))
        && let Some(Value::Array(mut choices)) = object.value("choices")
        && normalise::reply(&mut choices, &normalise::seed(&object))?
    {
        edits.set("choices", &choices);
    }
    Ok(Reply {
        body: object.edit(&edits),
        usage,
        model: object.str("model").map(|model| model.into()),
    })
}

/// Whether there are choices and each of them has a member of this name, whose value begins so.
fn each_has(choices: &[u8], name: &[u8], opens: u8) -> Result<bool, Broken> {
    let mut cursor = Cursor::new(choices);
    cursor.open(b'[')?;
    let mut none = true;
    while cursor.element(none)? {
        none = false;
        if cursor.peek() != Some(b'{') {
            return Ok(false);
        }
        cursor.open(b'{')?;
        let (mut first, mut found) = (true, false);
        while let Some(field) = cursor.field(first)? {
            first = false;
            found |= choices[field] == *name && cursor.peek() == Some(opens);
            cursor.value()?;
        }
        if !found {
            return Ok(false);
        }
    }
    Ok(!none)
}

/// The error that a 200 holds.
fn error_in(object: &Object) -> Option<Failure> {
    let says_error = |name| object.raw_bytes(name).is_some_and(|value| *value == *b"\"error\"");
    let truthy = object
        .raw_bytes("error")
        .is_some_and(|error| !matches!(error, b"null" | b"false" | b"\"\"" | b"{}" | b"[]"));
    let no_answer = !object.is_set("choices") && !object.is_set("data");
    if truthy
        || says_error("object")
        || says_error("type")
        || no_answer && object.contains("detail")
    {
        let error = ErrorBody::read(object.bytes());
        return Some(error.map_or_else(
            || server_failure("the provider sent an error in a reply of status 200"),
            ErrorBody::into_failure,
        ));
    }
    // OpenRouter puts the error of the provider behind it into the choice. Few replies have the
    // word at all, so most are not built as a tree for this.
    let choices = object.raw_bytes("choices")?;
    memchr::memmem::find(choices, b"\"error\"")?;
    let choices = serde_json::from_slice::<Value>(choices).ok()?;
    let failed = |choice: &Value| {
        choice.get("error").filter(|error| error.is_object())?;
        ErrorBody::of(choice)
    };
    choices.as_array()?.iter().find_map(failed).map(ErrorBody::into_failure)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::failure::FailureClass;

    const PLAIN: Quirks = Quirks::NONE;
    const MISTRAL: Quirks = Quirks { mistral: true, ..PLAIN };

    fn chat(body: &Value, quirks: Quirks) -> Result<Reply, Failure> {
        reply(Bytes::from(body.to_string()), quirks, Endpoint::Chat)
    }

    fn changed(body: &Value, quirks: Quirks) -> Value {
        let reply = chat(body, quirks).expect("a reply");
        serde_json::from_slice(&reply.body).expect("JSON")
    }

    #[test]
    fn a_plain_reply_is_passed_as_the_same_bytes() {
        let text = " {\"choices\":[{\"message\":{\"content\":\"hi\"},\"logprobs\":{\"x\":1.50}}],\n\"new\":1e3,\"model\":\"m\",\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}} ";
        let body = Bytes::from_static(text.as_bytes());
        for quirks in [PLAIN, MISTRAL] {
            let reply = reply(body.clone(), quirks, Endpoint::Chat).unwrap();
            assert_eq!(reply.body.as_ptr(), body.as_ptr());
            assert_eq!(reply.usage.map(|usage| usage.total_tokens()), Some(7));
            assert_eq!(reply.model.as_deref(), Some("m"));
        }
    }

    #[test]
    fn an_error_in_a_200_is_a_failure() {
        let class = |text: &'static str| {
            let body = Bytes::from_static(text.as_bytes());
            reply(body, PLAIN, Endpoint::Chat).expect_err("a failure").class
        };
        assert_eq!(class(r#"{"error":{"message":"m","code":429}}"#), FailureClass::Server);
        assert_eq!(class(r#"{"error":"text"}"#), FailureClass::Server);
        assert_eq!(class(r#"{"object":"error","message":"m"}"#), FailureClass::Server);
        assert_eq!(class(r#"{"detail":"Unauthorized"}"#), FailureClass::Server);
        assert_eq!(
            class(r#"{"choices":[{"error":{"code":502,"message":"m"},"message":{}}]}"#),
            FailureClass::Server
        );
        assert_eq!(class("<html>503</html>"), FailureClass::Server);
        assert_eq!(class(""), FailureClass::Server);
        assert_eq!(class("[]"), FailureClass::Server);
        assert_eq!(class("{}"), FailureClass::Server);
        assert_eq!(class(r#"{"choices":null}"#), FailureClass::Server);
    }

    #[test]
    fn choices_without_an_answer_are_no_reply() {
        let read = |text: &'static str, endpoint| reply(text.into(), PLAIN, endpoint);
        for text in [
            r#"{"choices":[]}"#,
            r#"{"choices":["x"]}"#,
            r#"{"choices":[null]}"#,
            r#"{"choices":[{"message":"hi"}]}"#,
            r#"{"choices":[{"message":{}},{"message":null}]}"#,
            r#"{"choices":[{"text":"hi"}]}"#,
        ] {
            let failure = read(text, Endpoint::Chat).unwrap_err();
            assert_eq!(failure.class, FailureClass::Server, "{text}");
            assert!(failure.message.contains("`message`"), "{text}: {failure:?}");
        }
        let chat = r#"{"choices":[{"message":{"content":"hi"}}]}"#;
        assert!(read(chat, Endpoint::Completions).is_err());
        assert!(read(chat, Endpoint::Chat).is_ok());
        assert!(read(r#"{"choices":[{"text":"hi"}]}"#, Endpoint::Completions).is_ok());
    }

    #[test]
    fn the_word_error_is_no_error() {
        let body =
            json!({"choices": [{"message": {"content": "error"}, "error": null}], "error": null});
        assert!(chat(&body, PLAIN).is_ok());
    }

    #[test]
    fn embeddings_and_completions_are_passed() {
        let body = Bytes::from_static(
            br#"{"data":[{"embedding":[0.10]}],"usage":{"prompt_tokens":2,"total_tokens":2}}"#,
        );
        let answer = reply(body.clone(), MISTRAL, Endpoint::Embeddings).unwrap();
        assert_eq!((answer.body, answer.usage.unwrap().input_tokens), (body, 2));
        let body = Bytes::from_static(br#"{"choices":[{"text":"a","finish_reason":"stop"}]}"#);
        assert_eq!(reply(body.clone(), PLAIN, Endpoint::Completions).unwrap().body, body);
        assert!(reply(body, PLAIN, Endpoint::Embeddings).is_err());
    }

    #[test]
    fn reasons_of_text_completions_become_openais() {
        let quirks = Quirks { normalise_stream: true, ..PLAIN };
        let body = json!({"choices": [{"index": 0, "text": "a", "finish_reason": "eos"}]});
        let reply = reply(body.to_string().into(), quirks, Endpoint::Completions).unwrap();
        let seen: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(seen["choices"][0], json!({"index": 0, "text": "a", "finish_reason": "stop"}));
    }

    #[test]
    fn a_choice_that_departs_is_found_without_a_tree() {
        let departs = |choice: Value| normalise::may_depart(&json!([choice]).to_string().into());
        assert!(!departs(
            json!({"message": {"content": "a", "tool_calls": null}, "finish_reason": "length"})
        ));
        assert!(!departs(json!({"message": {"content": null}, "finish_reason": null})));
        for message in [
            json!({"content": [{"type": "text", "text": "a"}]}),
            json!({"content": "a", "reasoning": "b"}),
            json!({"content": null, "tool_calls": [{"id": "a"}]}),
        ] {
            assert!(departs(json!({"message": message, "finish_reason": "stop"})), "{message}");
        }
        assert!(departs(json!({"message": {"content": "a"}, "finish_reason": ""})));
    }

    #[test]
    fn lists_of_content_become_text_and_reasoning() {
        let body = json!({"id": "x", "choices": [{"index": 0, "finish_reason": "model_length", "message": {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}, {"type": "text", "text": "."}]},
                {"type": "text", "text": "a"}, {"type": "reference", "reference_ids": [1]}, {"type": "text", "text": "b"},
            ],
        }}]});
        let body = changed(&body, MISTRAL);
        let choice = &body["choices"][0];
        assert_eq!(choice["message"]["content"], "ab");
        assert_eq!(choice["message"]["reasoning_content"], "hm.");
        assert_eq!(choice["finish_reason"], "length");
    }

    #[test]
    fn tool_calls_are_completed() {
        let body = json!({"id": "x", "choices": [{"index": 0, "finish_reason": "", "message": {
            "content": "",
            "tool_calls": [{"id": "null", "function": {"name": "f", "arguments": {"a": [1]}}}],
        }}]});
        let body = changed(&body, MISTRAL);
        let call = &body["choices"][0]["message"]["tool_calls"][0];
        assert_eq!(call["type"], "function");
        assert_eq!(call["function"]["arguments"], "{\"a\":[1]}");
        assert_eq!(call["id"].as_str().map(str::len), Some(9));
        assert_eq!(body["choices"][0]["finish_reason"], "tool_calls");
    }

    #[test]
    fn a_choice_that_broke_off_is_a_failure() {
        let quirks = Quirks { normalise_stream: true, ..PLAIN };
        let body =
            json!({"choices": [{"message": {}, "finish_reason": "insufficient_system_resource"}]});
        assert_eq!(chat(&body, quirks).unwrap_err().class, FailureClass::Overloaded);
    }

    #[test]
    fn reasoning_outside_the_completion_is_added() {
        let quirks = Quirks { reasoning_outside_completion: true, ..PLAIN };
        let body = json!({"choices": [{"message": {"content": "a"}, "finish_reason": "stop"}], "usage": {
            "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 35,
            "completion_tokens_details": {"reasoning_tokens": 20},
        }});
        assert_eq!(changed(&body, quirks)["usage"]["completion_tokens"], 25);
        assert_eq!(chat(&body, quirks).unwrap().usage.unwrap().output_tokens, 25);
    }
}
