//! Whole replies in Google's words.

use super::*;

#[test]
fn a_reply_is_told_in_googles_words() {
    let message = json!({
        "role": "assistant", "content": "Hello", "reasoning_content": "hm",
        "extra_content": {"google": {"thought_signature": "c2ln"}},
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"},
             "extra_content": {"google": {"thought_signature": "c2lnMg=="}}},
            {"id": "call_2", "type": "function", "function": {"name": "f", "arguments": ""}},
        ],
    });
    let seen = told(&completion(&message, "tool_calls"), THINKING);
    assert_eq!(
        seen,
        json!({
            "candidates": [{
                "content": {"role": "model", "parts": [
                    {"text": "hm", "thought": true},
                    {"text": "Hello", "thoughtSignature": "c2ln"},
                    {"functionCall": {"id": "call_1", "name": "f", "args": {"a": 1}},
                     "thoughtSignature": "c2lnMg=="},
                    {"functionCall": {"id": "call_2", "name": "f", "args": {}}},
                ]},
                "finishReason": "STOP", "index": 0,
            }],
            "usageMetadata": {"promptTokenCount": 10, "cachedContentTokenCount": 4,
                "candidatesTokenCount": 3, "thoughtsTokenCount": 5, "totalTokenCount": 18},
            "modelVersion": "gpt-4o", "responseId": "chatcmpl-1",
        })
    );
    let quiet = told(&completion(&message, "tool_calls"), "{}");
    assert_eq!(quiet["candidates"][0]["content"]["parts"][0]["text"], "Hello");
}

#[test]
fn finish_reasons_are_googles() {
    for (reason, expected) in [
        ("stop", "STOP"),
        ("length", "MAX_TOKENS"),
        ("content_filter", "SAFETY"),
        ("tool_calls", "STOP"),
        ("weird", "OTHER"),
    ] {
        let seen = told(&completion(&json!({"content": "a"}), reason), "{}");
        assert_eq!(seen["candidates"][0]["finishReason"], expected);
    }
}

#[test]
fn a_call_that_was_cut_off_is_not_told_as_a_call() {
    let message = json!({"tool_calls": [
        {"id": "1", "function": {"name": "f", "arguments": "{\"a\":"}},
        {"id": "2", "function": {"name": "g", "arguments": "{\"INVALID_JSON\":1}"}},
    ]});
    for (reason, expected) in [("length", "MAX_TOKENS"), ("tool_calls", "MALFORMED_FUNCTION_CALL")]
    {
        let seen = &told(&completion(&message, reason), "{}")["candidates"][0];
        assert_eq!(seen["finishReason"], expected);
        let parts = seen["content"]["parts"].as_array().unwrap();
        assert_eq!(parts.len(), 1);
        assert_eq!(parts[0]["functionCall"]["name"], "g");
    }
}

#[test]
fn a_refused_prompt_has_feedback_and_no_candidate() {
    let mut refused = completion(&json!({"content": null, "refusal": "no"}), "content_filter");
    refused["usage"] = json!({"prompt_tokens": 3, "completion_tokens": 0, "total_tokens": 3});
    let seen = told(&refused, "{}");
    assert!(seen.get("candidates").is_none(), "{seen}");
    assert_eq!(
        seen["promptFeedback"],
        json!({"blockReason": "SAFETY", "blockReasonMessage": "no"})
    );
    assert_eq!(seen["usageMetadata"]["promptTokenCount"], 3);
}

#[test]
fn citations_probabilities_and_images_are_told() {
    let message = json!({
        "content": "ab",
        "annotations": [{"type": "url_citation", "url_citation":
            {"start_index": 0, "end_index": 1, "url": "http://h", "title": "T"}}],
        "images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}],
    });
    let mut completion = completion(&message, "stop");
    let token = |token: &str, logprob: f64| json!({"token": token, "logprob": logprob});
    let mut first = token("a", -1.0);
    first["top_logprobs"] = json!([token("a", -1.0), token("b", -2.0)]);
    completion["choices"][0]["logprobs"] = json!({"content": [first, token("b", -2.0)]});
    let seen = &told(&completion, "{}")["candidates"][0];
    assert_eq!(
        seen["citationMetadata"]["citationSources"],
        json!([{"startIndex": 0, "endIndex": 1, "uri": "http://h", "title": "T"}])
    );
    assert_eq!(
        seen["content"]["parts"][1]["inlineData"],
        json!({"mimeType": "image/png", "data": "AAAA"})
    );
    assert_eq!(seen["avgLogprobs"], -1.5);
    let chosen = &seen["logprobsResult"]["chosenCandidates"];
    assert_eq!(chosen[1], json!({"token": "b", "logProbability": -2.0}));
    let top = &seen["logprobsResult"]["topCandidates"][0]["candidates"];
    assert_eq!(top[1]["logProbability"], -2.0);
}
