//! A Messages request for a cloud that hosts Claude behind an API of its own: the model stands in
//! the path, the version in the body, and nothing is fetched from an address.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::Value;

use super::betas;
use super::request::VERSION;
use crate::failure::{Failure, FailureClass};
use crate::wire::fields::invalid;
use crate::wire::json::{Edits, Object, elements};

/// What Vertex AI calls the first version.
const VERTEX_VERSION: &str = "vertex-2023-10-16";

/// The only version that Bedrock has.
const BEDROCK_VERSION: &str = "bedrock-2023-05-31";

/// Turns a Messages request into one for InvokeModel at Bedrock, with those of the features `betas`
/// that it has.
///
/// # Errors
/// As [`vertex`].
pub fn bedrock(body: Bytes, betas: &[String]) -> Result<Bytes, Failure> {
    let body = checked(body, "Amazon Bedrock")?;
    let mut edits = Edits::default();
    // The path says both.
    edits.remove("model");
    edits.remove("stream");
    edits.remove("betas");
    let mut known: Vec<&str> = Vec::new();
    for own in betas.iter().filter_map(|beta| betas::known_at_amazon(beta)) {
        if !known.contains(&own) {
            known.push(own);
        }
    }
    if !known.is_empty() {
        edits.set("anthropic_beta", &known);
    }
    if !body.is_set("anthropic_version") {
        edits.set("anthropic_version", BEDROCK_VERSION);
    }
    Ok(body.edit(&edits))
}

/// Turns a Messages request into one for Vertex AI. `version` is what the header would say; `named`:
/// the path names no model, so the body does. Of `betas` those stay that Claude knows there, and what
/// the tools are behind is added.
///
/// # Errors
/// [`FailureClass::BadRequest`]: it names an image or a document by its address.
pub fn vertex(
    body: Bytes,
    version: &str,
    named: bool,
    betas: &mut Vec<String>,
) -> Result<Bytes, Failure> {
    let body = checked(body, "Vertex AI")?;
    let mut edits = Edits::default();
    if !named {
        edits.remove("model");
    }
    let tools = body.slice("tools").map(|tools| elements(&tools)).unwrap_or_default();
    let kinds = tools.iter().filter_map(|tool| tool.str("type").map(Cow::into_owned));
    betas::at_google(betas, &kinds.collect::<Vec<_>>());
    // They go into the header.
    edits.remove("betas");
    if !body.is_set("anthropic_version") {
        let version = if version == VERSION { VERTEX_VERSION } else { version };
        edits.set("anthropic_version", version);
    }
    Ok(body.edit(&edits))
}

/// The request, unless it asks a host to fetch something.
fn checked(body: Bytes, host: &str) -> Result<Object, Failure> {
    let malformed = |_| Failure::new(FailureClass::BadRequest, "the request is not a JSON object");
    let body = Object::parse(body).map_err(malformed)?;
    match body.value("messages") {
        Some(messages) if has_address(&messages) => {
            let message = format!(
                "Claude on {host} does not fetch images or documents from an address: send the \
                 content itself, as a `data:` URL"
            );
            Err(invalid("messages", message))
        }
        _ => Ok(body),
    }
}

/// Whether some block's source is an address; tool results hold blocks too.
fn has_address(value: &Value) -> bool {
    let Value::Array(items) = value else { return false };
    items.iter().any(|item| {
        let of_source = item.pointer("/source/type").and_then(Value::as_str) == Some("url");
        of_source || item.get("content").is_some_and(has_address)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(body: &'static str, version: &str) -> Result<Value, Failure> {
        let body = Bytes::from_static(body.as_bytes());
        let body = vertex(body, version, false, &mut Vec::new())?;
        Ok(serde_json::from_slice(&body).unwrap())
    }

    #[test]
    fn the_version_is_in_the_body_and_the_model_is_not() {
        let body = r#"{"model":"claude-x","max_tokens":1,"messages":[],"stream":true}"#;
        let expected = serde_json::json!({
            "max_tokens": 1, "messages": [], "stream": true,
            "anthropic_version": "vertex-2023-10-16",
        });
        assert_eq!(sent(body, "2023-06-01").unwrap(), expected);
        assert_eq!(sent(body, "2026-10-21").unwrap()["anthropic_version"], "2026-10-21");
        let own = r#"{"anthropic_version":"vertex-x","messages":[]}"#;
        assert_eq!(sent(own, "2023-06-01").unwrap()["anthropic_version"], "vertex-x");
    }

    #[test]
    fn only_the_betas_that_vertex_knows_are_named_there() {
        for (tools, named, expected) in [
            ("[]", &[][..], &[][..]),
            (r#"[{"type":"web_search_20250305"}]"#, &[], &["web-search-2025-03-05"]),
            (r#"[{"type":"computer_20250124"}]"#, &[], &["computer-use-2025-01-24"]),
            (
                "[]",
                &["claude-code-20250219", "context-1m-2025-08-07", "effort-2025-11-24"],
                &["context-1m-2025-08-07"],
            ),
        ] {
            let body = Bytes::from(format!(r#"{{"messages":[],"tools":{tools}}}"#));
            let mut betas: Vec<String> = named.iter().map(|beta| (*beta).to_owned()).collect();
            vertex(body, "2023-06-01", false, &mut betas).unwrap();
            assert_eq!(betas, expected, "{tools}");
        }
    }

    #[test]
    fn bedrock_is_told_what_it_knows() {
        let body = r#"{"model":"x","max_tokens":1,"messages":[],"stream":true,"betas":["a"]}"#;
        let betas = [
            "claude-code-20250219",
            "context-1m-2025-08-07",
            "advanced-tool-use-2025-11-20",
            "tool-search-tool-2025-10-19",
            "interleaved-thinking-2025-05-14",
            "structured-outputs-2025-11-13",
        ];
        let betas = betas.map(str::to_owned);
        let sent = |betas: &[String]| {
            let body = bedrock(Bytes::from_static(body.as_bytes()), betas).unwrap();
            serde_json::from_slice::<Value>(&body).unwrap()
        };
        let mut expected = serde_json::json!({
            "max_tokens": 1, "messages": [], "anthropic_version": "bedrock-2023-05-31",
        });
        assert_eq!(sent(&[]), expected);
        expected["anthropic_beta"] = serde_json::json!([
            "context-1m-2025-08-07",
            "tool-search-tool-2025-10-19",
            "interleaved-thinking-2025-05-14",
        ]);
        assert_eq!(sent(&betas), expected);
    }

    #[test]
    fn an_image_by_its_address_is_refused_wherever_it_stands() {
        for body in [
            r#"{"messages":[{"role":"user","content":[{"type":"image","source":{"type":"url","url":"https://a"}}]}]}"#,
            r#"{"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":[{"type":"image","source":{"type":"url","url":"https://a"}}]}]}]}"#,
        ] {
            let refused = sent(body, "2023-06-01").unwrap_err();
            assert_eq!(refused.class, FailureClass::BadRequest);
            assert_eq!(refused.param.as_deref(), Some("messages"));
            assert!(refused.message.contains("data:"), "{refused:?}");
        }
        let inline = r#"{"messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBO"}},{"type":"text","text":"\"type\":\"url\""}]}]}"#;
        assert!(sent(inline, "2023-06-01").is_ok());
    }
}
