//! A Messages request for a cloud that hosts Claude behind an API of its own: the model stands in
//! the path, the version in the body, and nothing is fetched from an address.

use std::borrow::Cow;

use bytes::Bytes;
use memchr::memmem;
use serde_json::Value;

use super::betas;
use super::request::VERSION;
use crate::failure::{Failure, FailureClass};
use crate::wire::fields::invalid;
use crate::wire::json::{Edits, Object, elements, map_elements};

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
    leave_out(&body, &known, &mut edits);
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
    let known: Vec<&str> = betas.iter().map(String::as_str).collect();
    leave_out(&body, &known, &mut edits);
    // They go into the header.
    edits.remove("betas");
    if !body.is_set("anthropic_version") {
        let version = if version == VERSION { VERTEX_VERSION } else { version };
        edits.set("anthropic_version", version);
    }
    Ok(body.edit(&edits))
}

/// Hints of how Anthropic itself is to serve a request, which no host knows.
const OF_ANTHROPIC: [&str; 3] = ["cache_control", "speed", "inference_geo"];

/// Hints in a tool, and the beta feature that a host knows them by, if it has them at all.
const OF_TOOLS: [(&str, Option<&str>); 3] = [
    ("eager_input_streaming", None),
    ("input_examples", Some("tool-examples-")),
    ("defer_loading", Some("tool-search-tool-")),
];

/// Takes out what a host refuses and what changes no answer: `betas` are those that it is told.
fn leave_out(body: &Object, betas: &[&str], edits: &mut Edits<'_>) {
    OF_ANTHROPIC.into_iter().for_each(|name| edits.remove(name));
    for name in ["system", "messages"] {
        if let Some(list) = body.slice(name).filter(|list| list.starts_with(b"["))
            && memmem::find(&list, b"\"scope\"").is_some()
            && let Some(changed) = map_elements(&list, without_scope)
        {
            edits.set_raw(name, changed.to_vec());
        }
    }
    let is_known = |feature: &str| betas.iter().any(|beta| beta.starts_with(feature));
    let unknown = OF_TOOLS.iter().filter(|(_, feature)| !feature.is_some_and(is_known));
    let unknown: Vec<&str> = unknown.map(|(name, _)| *name).collect();
    let fitted = |tool: &Object| {
        let mut edits = scope_edits(tool);
        unknown.iter().for_each(|name| edits.remove(*name));
        tool.changed(&edits)
    };
    if let Some(changed) = body.slice("tools").and_then(|tools| map_elements(&tools, fitted)) {
        edits.set_raw("tools", changed.to_vec());
    }
}

/// A message or a block without the scope of its cache markers, and of those within it.
fn without_scope(object: &Object) -> Option<Bytes> {
    let mut edits = scope_edits(object);
    if let Some(content) = object.slice("content").filter(|content| content.starts_with(b"["))
        && let Some(changed) = map_elements(&content, without_scope)
    {
        edits.set_raw("content", changed.to_vec());
    }
    object.changed(&edits)
}

fn scope_edits(object: &Object) -> Edits<'static> {
    let mut edits = Edits::new();
    let mut scope = Edits::new();
    scope.remove("scope");
    if let Some(marker) = object.object("cache_control").and_then(|it| it.changed(&scope)) {
        edits.set_raw("cache_control", marker.to_vec());
    }
    edits
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
                &["context-1m-2025-08-07", "effort-2025-11-24"],
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
    fn what_a_host_refuses_and_no_answer_needs_is_left_out() {
        let body = r#"{"max_tokens":1,"speed":"fast","inference_geo":"us","cache_control":{"type":"ephemeral"},
            "output_config":{"effort":"low"},
            "system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral","scope":"global"}}],
            "messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":[
                {"type":"text","text":"x","cache_control":{"scope":"global","type":"ephemeral"}}]}]}],
            "tools":[{"name":"f","input_schema":{"scope":1},"eager_input_streaming":true,
                "input_examples":[{}],"defer_loading":true}]}"#;
        let seen = |sent: &Value| {
            let marker = serde_json::json!({"type": "ephemeral"});
            assert_eq!(sent["system"][0]["cache_control"], marker);
            assert_eq!(
                sent.pointer("/messages/0/content/0/content/0/cache_control"),
                Some(&marker)
            );
            assert_eq!(sent["output_config"]["effort"], "low");
            assert_eq!(sent["tools"][0]["input_schema"]["scope"], 1);
            for name in OF_ANTHROPIC {
                assert_eq!(sent.get(name), None, "{name}");
            }
            let tool = sent["tools"][0].as_object().unwrap();
            OF_TOOLS.map(|(name, _)| tool.contains_key(name))
        };
        let bytes = Bytes::from_static(body.as_bytes());
        let at_amazon = |betas: &[&str]| {
            let betas: Vec<String> = betas.iter().map(|beta| (*beta).to_owned()).collect();
            serde_json::from_slice::<Value>(&bedrock(bytes.clone(), &betas).unwrap()).unwrap()
        };
        let named = ["fast-mode-2026-02-01", "prompt-caching-scope-2026-01-05"];
        assert_eq!(seen(&at_amazon(&named)), [false; 3]);
        let named = ["advanced-tool-use-2025-11-20", "tool-examples-2025-10-29"];
        assert_eq!(seen(&at_amazon(&named)), [false, true, true]);
        let mut betas =
            ["effort-2025-11-24", "fast-mode-2026-02-01", "advanced-tool-use-2025-11-20"]
                .map(str::to_owned)
                .to_vec();
        let sent = vertex(bytes.clone(), "2023-06-01", false, &mut betas).unwrap();
        assert_eq!(seen(&serde_json::from_slice(&sent).unwrap()), [false, false, true]);
        assert_eq!(betas, ["effort-2025-11-24", "tool-search-tool-2025-10-19"]);
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
