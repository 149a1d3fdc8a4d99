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
fn names_that_only_google_takes_come_back_as_they_were() {
    let long = "long_".repeat(20);
    let names = ["mcp.server.tool:x", "plain_name-1", &long];
    let declared = names.map(|name| json!({"name": name}));
    let asked = json!({
        "contents": [
            {"role": "user", "parts": [{"text": "hi"}]},
            {"role": "model", "parts": [{"functionCall": {"name": names[0], "args": {}}}]},
            {"role": "user", "parts": [{"functionResponse": {"name": names[0], "response": {}}}]},
        ],
        "tools": [{"functionDeclarations": [declared[0], declared[1]]},
                  {"function_declarations": [declared[2]]}],
        "toolConfig": {"functionCallingConfig": {"mode": "AUTO", "allowedFunctionNames": names}},
    });
    let sent = meaning(&asked);
    let sent_names: Vec<String> = (0..3)
        .map(|at| sent["tools"][at]["function"]["name"].as_str().unwrap().to_owned())
        .collect();
    for name in &sent_names {
        let taken = |b: u8| b.is_ascii_alphanumeric() || b"_-".contains(&b);
        assert!(name.len() <= 64 && name.bytes().all(taken), "{name}");
    }
    assert!(sent_names[0].starts_with("mcp_server_tool_x_"), "{}", sent_names[0]);
    assert_eq!(sent_names[1], names[1]);
    let call = &sent["messages"][1]["tool_calls"][0];
    assert_eq!(call["function"]["name"], sent_names[0]);
    assert_eq!(sent["messages"][2]["tool_call_id"], call["id"]);
    assert_eq!(sent["messages"][2]["name"], sent_names[0]);

    for (at, name) in names.iter().enumerate() {
        let call = json!({"id": "1", "function": {"name": sent_names[at], "arguments": "{}"}});
        let seen = told(&completion(&json!({"tool_calls": [call]}), "stop"), &asked.to_string());
        let part = &seen["candidates"][0]["content"]["parts"][0];
        assert_eq!(part["functionCall"]["name"], *name);
        let seen = told_in_a_stream(&sent_names[at], &asked);
        assert_eq!(seen, *name);
    }
}

/// How a call of a function is named in a stream.
fn told_in_a_stream(name: &str, asked: &Value) -> String {
    let asked = object(asked);
    let mut stream = Stream::new(&Telling { request: Some(&asked), ..Telling::default() });
    let call = json!({"index": 0, "id": "1", "function": {"name": name, "arguments": "{}"}});
    let chunk = json!({"choices": [{"index": 0, "delta": {"tool_calls": [call]},
        "finish_reason": "tool_calls"}]});
    let mut events = vec![format!("data: {chunk}\n\ndata: [DONE]\n\n").into()];
    crate::wire::client::ClientStream::pass(&mut stream, &mut events);
    let text = String::from_utf8(events.concat()).unwrap();
    let frame: Value = serde_json::from_str(text.trim().strip_prefix("data: ").unwrap()).unwrap();
    let part = &frame["candidates"][0]["content"]["parts"][0];
    part["functionCall"]["name"].as_str().unwrap().to_owned()
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
