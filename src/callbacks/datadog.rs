//! Datadog's logs API: each payload is the text of one log entry, in a batch that is packed.

use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::settings::Labels;

/// Beyond this Datadog cuts a text where it likes, and what is left is no JSON.
const MESSAGE_BYTES_MAX: usize = 900 * 1024;
/// What is left of a long text then; LiteLLM's number.
const TEXT_CHARS_MAX: usize = 10_000;

/// The body for a batch, packed by gzip.
pub(super) fn body(payloads: &[Bytes], labels: &Labels) -> Bytes {
    let entries: Vec<Value> = payloads.iter().filter_map(|it| entry(it, labels)).collect();
    let text = Value::Array(entries).to_string();
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing to memory does not fail.
    let written = packed.write_all(text.as_bytes()).and_then(|()| packed.finish());
    Bytes::from(written.unwrap_or_default())
}

/// `None`: it is no payload.
fn entry(written: &Bytes, labels: &Labels) -> Option<Value> {
    let mut payload: Value = serde_json::from_slice(written).ok()?;
    let tags = tags(&payload, labels);
    let is_long = written.len() > MESSAGE_BYTES_MAX;
    let message = match is_long {
        false => String::from_utf8_lossy(written).into_owned(),
        true => {
            for name in ["messages", "response", "error_str"] {
                cut(&mut payload[name]);
            }
            payload.to_string()
        }
    };
    Some(json!({
        "ddsource": labels.source,
        "ddtags": tags,
        "hostname": labels.hostname,
        "message": message,
        "service": labels.service,
        "status": if payload["status"] == "failure" { "error" } else { "info" },
    }))
}

fn tags(payload: &Value, labels: &Labels) -> String {
    let mut tags: Vec<String> = labels.tags.iter().map(ToString::to_string).collect();
    let requested = payload["request_tags"].as_array().into_iter().flatten();
    tags.extend(requested.filter_map(Value::as_str).map(|tag| format!("request_tag:{tag}")));
    let metadata = &payload["metadata"];
    let team = ["user_api_key_team_alias", "user_api_key_team_id"];
    if let Some(team) = team.into_iter().find_map(|name| metadata[name].as_str()) {
        tags.push(format!("team:{team}"));
    }
    tags.join(",")
}

/// Replaces a value that is long as text by its beginning.
fn cut(value: &mut Value) {
    let text = match &*value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if let Some((end, _)) = text.char_indices().nth(TEXT_CHARS_MAX) {
        let (kept, _) = text.split_at(end);
        *value = json!(format!("{kept}... (the rest is too long for Datadog)"));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;

    use super::*;

    fn labels() -> Labels {
        Labels {
            source: "litellm".into(),
            service: "litellm-server".into(),
            hostname: "h".into(),
            tags: vec!["env:prod".into()],
        }
    }

    fn unpacked(payloads: &[Value]) -> Value {
        let payloads: Vec<_> = payloads.iter().map(|it| Bytes::from(it.to_string())).collect();
        let mut text = String::new();
        GzDecoder::new(&*body(&payloads, &labels())).read_to_string(&mut text).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_payload_is_the_text_of_an_entry_with_its_tags() {
        let payload = json!({
            "status": "failure", "request_tags": ["a"],
            "metadata": {"user_api_key_team_alias": null, "user_api_key_team_id": "t1"},
        });
        let sent = unpacked(&[payload.clone(), json!({"status": "success"})]);
        assert_eq!(sent[0]["ddtags"], "env:prod,request_tag:a,team:t1");
        assert_eq!((&sent[0]["status"], &sent[1]["status"]), (&json!("error"), &json!("info")));
        assert_eq!((&sent[0]["ddsource"], &sent[0]["hostname"]), (&json!("litellm"), &json!("h")));
        let message: Value = serde_json::from_str(sent[0]["message"].as_str().unwrap()).unwrap();
        assert_eq!(message, payload);
    }

    #[test]
    fn what_is_too_long_is_cut_and_stays_json() {
        let long = "ä".repeat(MESSAGE_BYTES_MAX);
        let sent =
            unpacked(&[json!({"id": "1", "messages": [{"content": long}], "response": null})]);
        let message = sent[0]["message"].as_str().unwrap();
        assert!(message.len() < 100_000, "{}", message.len());
        let message: Value = serde_json::from_str(message).unwrap();
        assert!(message["messages"].as_str().unwrap().ends_with("too long for Datadog)"));
        assert_eq!(message["id"], "1");
    }
}
