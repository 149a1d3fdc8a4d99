//! Whole replies and errors.

use bytes::Bytes;
use serde_json::{Value, json};

use super::CREATED;
use crate::dialect::Endpoint;
use crate::failure::FailureClass;
use crate::wire::Reply;
use crate::wire::gemini::error::within;
use crate::wire::gemini::reply;

fn told(body: &Value) -> Value {
    let Reply { body, .. } = reply(Bytes::from(body.to_string()), Endpoint::Chat, CREATED).unwrap();
    serde_json::from_slice(&body).unwrap()
}

fn choice(candidate: &Value) -> Value {
    let body = json!({"candidates": [candidate], "modelVersion": "m", "responseId": "r"});
    told(&body)["choices"][0].clone()
}

fn parts(parts: &Value) -> Value {
    choice(&json!({"content": {"role": "model", "parts": parts}, "finishReason": "STOP"}))
}

#[test]
fn parts_become_openais_fields() {
    let choice = parts(&json!([
        {"text": "hm", "thought": true},
        {"text": "a"},
        {"executableCode": {"language": "PYTHON", "code": "print(1)"}},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1\n"}},
        {"text": "b", "thoughtSignature": "S"},
        {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
        {"videoMetadata": {}},
    ]));
    assert_eq!(
        choice["message"],
        json!({
            "role": "assistant", "refusal": null, "reasoning_content": "hm",
            "content": "a\n```python\nprint(1)\n```\n\n```\n1\n```\nb",
            "extra_content": {"google": {"thought_signature": "S"}},
            "images": [{"type": "image_url", "index": 0,
                        "image_url": {"url": "data:image/png;base64,AAAA"}}],
        })
    );
    assert_eq!(choice["finish_reason"], "stop");
}

#[test]
fn calls_have_ids_of_their_own_and_their_signatures() {
    let body = json!([
        {"functionCall": {"name": "f", "args": {"b": 1, "a": [1, 2]}}, "thoughtSignature": "S"},
        {"functionCall": {"name": "f", "args": {"b": 1, "a": [1, 2]}}},
        {"functionCall": {"id": "own-1", "name": "_x.1st"}},
    ]);
    let choice = parts(&body);
    assert_eq!(choice["finish_reason"], "tool_calls");
    assert_eq!(choice["message"]["content"], Value::Null);
    let calls = choice["message"]["tool_calls"].as_array().unwrap();
    assert_eq!(calls[0]["function"], json!({"name": "f", "arguments": "{\"a\":[1,2],\"b\":1}"}));
    assert_eq!(calls[0]["extra_content"], json!({"google": {"thought_signature": "S"}}));
    assert_eq!(calls[1].get("extra_content"), None);
    assert_ne!(calls[0]["id"], calls[1]["id"]);
    assert_eq!(calls[2]["id"], "own-1");
    assert_eq!(calls[2]["function"], json!({"name": "1st", "arguments": "{}"}));
    assert_eq!(parts(&body), choice, "the same reply has the same ids");
}

#[test]
fn every_end_has_openais_word() {
    for (reason, word) in [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("CONTINUATION", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("BLOCKLIST", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("SPII", "content_filter"),
        ("LANGUAGE", "content_filter"),
        ("IMAGE_SAFETY", "content_filter"),
        ("IMAGE_SOMETHING_NEW", "content_filter"),
        ("MODEL_ARMOR", "content_filter"),
        ("ESCALATION", "content_filter"),
        ("PUP_LIMITED_DISABLED", "content_filter"),
        ("NO_IMAGE", "content_filter"),
        ("OTHER", "content_filter"),
        ("FINISH_REASON_UNSPECIFIED", "stop"),
        ("BRAND_NEW", "stop"),
    ] {
        // Neither parts nor content have to be there.
        for candidate in [
            json!({"finishReason": reason}),
            json!({"finishReason": reason, "content": {"role": "model"}}),
        ] {
            let choice = choice(&candidate);
            assert_eq!(choice["finish_reason"], word, "{reason}");
            let refusal = choice["message"]["refusal"].as_str().map(str::to_owned);
            let expected =
                (word == "content_filter").then(|| format!("Blocked by provider: {reason}"));
            assert_eq!(refusal, expected, "{reason}");
            let content = &choice["message"]["content"];
            assert_eq!(content.is_null(), word == "content_filter", "{reason}");
        }
    }
}

#[test]
fn ends_after_content_keep_it() {
    let ended = |reason: &str, parts: Value| {
        choice(&json!({"finishReason": reason, "content": {"parts": parts}}))
    };
    let call = json!([{"functionCall": {"name": "f", "args": {}}}]);
    let cut = ended("MAX_TOKENS", call.clone());
    assert_eq!(cut["finish_reason"], "length", "a call that was cut off is not to be run");
    assert_eq!(cut["message"]["tool_calls"][0]["function"]["name"], "f");
    assert_eq!(ended("STOP", call)["finish_reason"], "tool_calls");
    let filtered = ended("SAFETY", json!([{"text": "so f"}]));
    assert_eq!(filtered["finish_reason"], "content_filter");
    assert_eq!(filtered["message"]["content"], "so f");
    assert_eq!(filtered["message"]["refusal"], Value::Null);
}

#[test]
fn an_answer_that_is_none_is_an_error() {
    for reason in ["UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MALFORMED_RESPONSE"] {
        for parts in [json!([]), json!([{"text": "a"}])] {
            let body =
                json!({"candidates": [{"finishReason": reason, "content": {"parts": parts}}]});
            let failed = reply(Bytes::from(body.to_string()), Endpoint::Chat, CREATED).unwrap_err();
            assert_eq!(failed.class, FailureClass::Server);
            assert_eq!(failed.code, Some(reason.to_ascii_lowercase().into()));
        }
    }
    for (body, class) in [
        (
            json!({"candidates": [{"finishReason": "MALFORMED_FUNCTION_CALL", "finishMessage": "bad call"}]}),
            FailureClass::Server,
        ),
        (
            json!({"candidates": [{"finishReason": "MISSING_THOUGHT_SIGNATURE"}]}),
            FailureClass::BadRequest,
        ),
        (json!({"candidates": []}), FailureClass::Server),
        (json!({}), FailureClass::Server),
        (json!([]), FailureClass::Server),
        (
            json!({"error": {"code": 503, "status": "UNAVAILABLE", "message": "m"}}),
            FailureClass::Overloaded,
        ),
        (
            json!([{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "m"}}]),
            FailureClass::RateLimited,
        ),
    ] {
        let failed = reply(Bytes::from(body.to_string()), Endpoint::Chat, CREATED).unwrap_err();
        assert_eq!(failed.class, class, "{body}");
    }
    let two = json!({"candidates": [
        {"index": 0, "finishReason": "MALFORMED_FUNCTION_CALL"},
        {"index": 1, "finishReason": "STOP", "content": {"parts": [{"text": "a"}]}},
    ]});
    let told = told(&two);
    assert!(told["choices"][0]["message"]["refusal"].is_string());
    assert_eq!(told["choices"][1]["message"]["content"], "a");
}

#[test]
fn probabilities_and_sources_are_told() {
    let choice = choice(&json!({
        "content": {"parts": [{"text": "Grüße."}]}, "finishReason": "STOP",
        "logprobsResult": {"chosenCandidates": [{"token": "G", "logProbability": -0.5}],
            "topCandidates": [{"candidates": [{"token": "H", "logProbability": -1.5}]}]},
        "groundingMetadata": {"groundingChunks": [{"web": {"uri": "https://a", "title": "A"}}],
            "groundingSupports": [{"segment": {"startIndex": 0, "endIndex": 8}, "groundingChunkIndices": [0]}]},
    }));
    assert_eq!(
        choice["logprobs"]["content"],
        json!([{"token": "G", "logprob": -0.5, "bytes": [71],
            "top_logprobs": [{"token": "H", "logprob": -1.5, "bytes": [72]}]}])
    );
    assert_eq!(
        choice["message"]["annotations"],
        json!([{"type": "url_citation", "url_citation":
            {"url": "https://a", "title": "A", "start_index": 0, "end_index": 6}}])
    );
}

#[test]
fn counts_and_embeddings_are_told_as_openai_tells_them() {
    let reply = |body: Value, api| reply(Bytes::from(body.to_string()), api, CREATED);
    let counted = reply(json!({"totalTokens": 31, "more": 1}), Endpoint::CountTokens).unwrap();
    assert_eq!(counted.body, r#"{"object":"response.input_tokens","input_tokens":31}"#);
    let embedded = json!({"embeddings": [{"values": [0.5, 1]}, {"values": [2]}]});
    let embedded = reply(embedded, Endpoint::Embeddings).unwrap();
    let body: Value = serde_json::from_slice(&embedded.body).unwrap();
    assert_eq!(body["data"][0], json!({"object": "embedding", "index": 0, "embedding": [0.5, 1]}));
    assert_eq!(body["data"][1]["index"], 1);
    for api in [Endpoint::CountTokens, Endpoint::Embeddings] {
        let error = json!({"error": {"status": "UNAVAILABLE", "message": "m"}});
        assert_eq!(reply(error, api).unwrap_err().class, FailureClass::Overloaded);
    }
}

#[test]
fn errors_mean_what_their_status_says() {
    let key =
        json!([{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]);
    let daily = json!([{"violations": [{"quotaId": "GenerateRequestsPerDayPerProject"}]}]);
    for (code, status, message, details, class) in [
        (
            400,
            "INVALID_ARGUMENT",
            "API key not valid. Please pass a valid API key.",
            key,
            FailureClass::Auth,
        ),
        (400, "INVALID_ARGUMENT", "Unknown name", json!([]), FailureClass::BadRequest),
        (
            400,
            "FAILED_PRECONDITION",
            "User location is not supported",
            json!([]),
            FailureClass::BadRequest,
        ),
        (
            400,
            "INVALID_ARGUMENT",
            "The input token count (9) exceeds the maximum number of tokens allowed (8).",
            json!([]),
            FailureClass::ContextWindow,
        ),
        (403, "PERMISSION_DENIED", "m", json!([]), FailureClass::Auth),
        (404, "NOT_FOUND", "m", json!([]), FailureClass::NotFound),
        (
            429,
            "RESOURCE_EXHAUSTED",
            "m",
            json!([{"retryDelay": "1.5s"}]),
            FailureClass::RateLimited,
        ),
        (429, "RESOURCE_EXHAUSTED", "m", daily, FailureClass::Quota),
        (500, "INTERNAL", "m", json!([]), FailureClass::Server),
        (503, "UNAVAILABLE", "The model is overloaded.", json!([]), FailureClass::Overloaded),
        (504, "DEADLINE_EXCEEDED", "m", json!([]), FailureClass::Timeout),
    ] {
        let error = json!({"error": {"code": code, "status": status, "message": message, "details": details}});
        for body in [error.clone(), json!([error])] {
            let failed = within(body.to_string().as_bytes()).expect("an error");
            assert_eq!(failed.class, class, "{body}");
            assert_eq!(failed.message, message);
        }
    }
}
