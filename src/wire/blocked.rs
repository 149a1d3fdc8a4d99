//! Answers that a provider's policy kept back: the status says that all is well, and the end of the
//! answer that it is none.
//!
//! Looks at the endings of all APIs that a reply may be passed on in; knows not what is done about it.

use bytes::Bytes;
use serde_json::Value;

/// Why Google's models end an answer that may not be shown.
const GOOGLES: [&str; 7] = [
    "SAFETY",
    "PROHIBITED_CONTENT",
    "BLOCKLIST",
    "SPII",
    "RECITATION",
    "MODEL_ARMOR",
    "IMAGE_SAFETY",
];

/// Whether a whole reply was kept back.
#[must_use]
pub fn reply(body: &[u8]) -> bool {
    serde_json::from_slice(body).is_ok_and(|body| ends_refused(&body))
}

/// Whether a stream was kept back before it had any content. `events`: all that came so far.
#[must_use]
pub fn stream(events: &[Bytes]) -> bool {
    let lines = events.iter().flat_map(|event| event.split(|byte| *byte == b'\n'));
    let data = lines.filter_map(|line| line.strip_prefix(b"data:"));
    let mut refused = false;
    for data in data {
        let Ok(data) = serde_json::from_slice::<Value>(data) else { continue };
        if has_content(&data) {
            return false;
        }
        refused |= ends_refused(&data);
    }
    refused
}

/// Chat completions, Anthropic's, Google's and OpenAI's Responses, whole or in parts.
fn ends_refused(body: &Value) -> bool {
    let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str);
    let all = |list: &str, field: &str, refuses: &dyn Fn(&str) -> bool| {
        let list = body.get(list).and_then(Value::as_array).filter(|list| !list.is_empty());
        let reason = |one: &Value| one.get(field).and_then(Value::as_str).is_some_and(refuses);
        list.is_some_and(|list| list.iter().all(reason))
    };
    all("choices", "finish_reason", &|reason| reason == "content_filter")
        || all("candidates", "finishReason", &|reason| GOOGLES.contains(&reason))
        || text("/promptFeedback/blockReason").is_some()
        || [text("/stop_reason"), text("/delta/stop_reason")].contains(&Some("refusal"))
        || ["/incomplete_details/reason", "/response/incomplete_details/reason"]
            .iter()
            .any(|place| text(place) == Some("content_filter"))
}

/// Whether an event brings something of the answer.
fn has_content(event: &Value) -> bool {
    let filled = |value: &Value| match value {
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(_) => true,
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    };
    let parts = |list: &str, place: &str| {
        let list = event.get(list).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let parts = list.iter().filter_map(|one| one.pointer(place)).cloned();
        parts.collect::<Vec<_>>()
    };
    let is_piece = |delta: &Value| {
        let fields = delta.as_object().into_iter().flatten();
        fields.into_iter().any(|(name, value)| name != "role" && filled(value))
    };
    let kind = event.get("type").and_then(Value::as_str).unwrap_or_default();
    parts("choices", "/delta").iter().any(is_piece)
        || parts("candidates", "/content/parts").iter().any(filled)
        || kind.starts_with("content_block_")
        || kind.ends_with(".delta")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_without_an_answer_is_known_in_every_api() {
        for (body, refused) in [
            (r#"{"choices":[{"finish_reason":"content_filter"}]}"#, true),
            (r#"{"choices":[{"finish_reason":"stop"}]}"#, false),
            (r#"{"choices":[{"finish_reason":"content_filter"},{"finish_reason":"stop"}]}"#, false),
            (r#"{"choices":[]}"#, false),
            (r#"{"type":"message","stop_reason":"refusal"}"#, true),
            (r#"{"type":"message","stop_reason":"end_turn"}"#, false),
            (r#"{"promptFeedback":{"blockReason":"SAFETY"}}"#, true),
            (r#"{"candidates":[{"finishReason":"PROHIBITED_CONTENT"}]}"#, true),
            (r#"{"candidates":[{"finishReason":"STOP"}]}"#, false),
            (r#"{"incomplete_details":{"reason":"content_filter"}}"#, true),
            (r#"{"incomplete_details":{"reason":"max_output_tokens"}}"#, false),
            ("content_filter", false),
        ] {
            assert_eq!(reply(body.as_bytes()), refused, "{body}");
        }
    }

    #[test]
    fn a_stream_is_kept_back_only_before_its_first_content() {
        let of = |events: &[&str]| {
            let events = events.iter().map(|data| Bytes::from(format!("data: {data}\n\n")));
            stream(&events.collect::<Vec<_>>())
        };
        let begun =
            r#"{"choices":[{"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#;
        let text = r#"{"choices":[{"delta":{"content":"a"}}]}"#;
        let end = r#"{"choices":[{"delta":{},"finish_reason":"content_filter"}]}"#;
        assert!(of(&[begun, end, "[DONE]"]));
        assert!(!of(&[begun, text, end]));
        assert!(!of(&[begun]));
        let end = r#"{"type":"message_delta","delta":{"stop_reason":"refusal"}}"#;
        assert!(of(&[r#"{"type":"message_start","message":{"content":[]}}"#, end]));
        assert!(!of(&[r#"{"type":"content_block_start","index":0}"#, end]));
        assert!(of(&[r#"{"candidates":[{"finishReason":"SAFETY"}]}"#]));
        let shown =
            r#"{"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"SAFETY"}]}"#;
        assert!(!of(&[shown]));
    }
}
