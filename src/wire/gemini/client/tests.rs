//! Requests, replies and streams of Google's clients, against what they mean canonically.

use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::failure::Failure;
use crate::wire::client::{Asked, Canonical, ClientStream, Telling};
use crate::wire::json::Object;

fn object(value: &Value) -> Object {
    Object::parse(value.to_string().into()).unwrap()
}

fn canonical(body: &Value) -> Canonical {
    request(&object(body), Asked { model: Some("m"), stream: Some(false) }).unwrap()
}

fn tree(body: &Object) -> Value {
    serde_json::from_slice(body.bytes()).unwrap()
}

/// What a request without obstacles means.
fn meaning(body: &Value) -> Value {
    let canonical = canonical(body);
    assert!(canonical.obstacle.refusal(false).is_none(), "{:?}", canonical.obstacle);
    tree(&canonical.body)
}

fn refused(body: &Value) -> Failure {
    request(&object(body), Asked::default()).unwrap_err()
}

fn messages(contents: &Value) -> Value {
    meaning(&json!({"contents": contents}))["messages"].take()
}

#[test]
fn a_prompt_is_read_in_all_its_forms() {
    let hi = json!([{"role": "user", "content": "hi"}]);
    for contents in [
        json!([{"role": "user", "parts": [{"text": "hi"}]}]),
        json!([{"parts": [{"text": "hi"}]}]),
        json!({"parts": {"text": "hi"}}),
        json!("hi"),
        json!([{"role": "USER", "parts": [{"text": "hi"}, {"text": ""}]}]),
    ] {
        assert_eq!(messages(&contents), hi, "{contents}");
    }
}

#[test]
fn parameters_have_their_canonical_names_in_both_spellings() {
    let expected = json!({
        "model": "m",
        "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}],
        "temperature": 0.5, "top_p": 0.9, "top_k": 40, "max_completion_tokens": 100, "n": 2,
        "stop": ["x"], "seed": 7, "presence_penalty": 0.1, "frequency_penalty": 0.2,
        "logprobs": true, "top_logprobs": 3, "reasoning_effort": "low",
        "service_tier": "default", "num_retries": 2,
    });
    let camel = json!({
        "contents": [{"parts": [{"text": "hi"}]}],
        "systemInstruction": {"parts": [{"text": "be brief"}]},
        "generationConfig": {
            "temperature": 0.5, "topP": 0.9, "topK": 40.0, "maxOutputTokens": "100",
            "candidateCount": 2, "stopSequences": ["x"], "seed": 7, "presencePenalty": 0.1,
            "frequencyPenalty": 0.2, "responseLogprobs": true, "logprobs": 3,
            "thinkingConfig": {"thinkingBudget": 512, "includeThoughts": true},
            "responseMimeType": "text/plain", "mediaResolution": "MEDIA_RESOLUTION_LOW",
            "responseModalities": ["TEXT"],
        },
        "safetySettings": [{"category": "c", "threshold": "BLOCK_NONE"}], "labels": {"a": "b"},
        "serviceTier": "STANDARD", "num_retries": 2,
    });
    let snake = json!({
        "contents": [{"parts": [{"text": "hi"}]}],
        "system_instruction": "be brief",
        "generation_config": {
            "temperature": 0.5, "top_p": 0.9, "top_k": 40, "max_output_tokens": 100,
            "candidate_count": 2, "stop_sequences": ["x"], "seed": 7, "presence_penalty": 0.1,
            "frequency_penalty": 0.2, "response_logprobs": true, "logprobs": 3,
            "thinking_config": {"thinking_level": "low"},
        },
        "safety_settings": [], "service_tier": "standard", "num_retries": 2,
    });
    assert_eq!(meaning(&camel), expected);
    assert_eq!(meaning(&snake), expected);
}

#[test]
fn thinking_becomes_an_effort() {
    for (config, effort) in [
        (json!({"thinkingBudget": 0}), json!("none")),
        (json!({"thinkingBudget": -1}), Value::Null),
        (json!({"thinkingBudget": 1024}), json!("low")),
        (json!({"thinkingBudget": 1025}), json!("medium")),
        (json!({"thinkingBudget": 24576}), json!("high")),
        (json!({"thinkingLevel": "MINIMAL"}), json!("minimal")),
        (json!({"thinkingLevel": "XHIGH"}), json!("xhigh")),
        (json!({"includeThoughts": true}), Value::Null),
    ] {
        let body = json!({"contents": "hi", "generationConfig": {"thinkingConfig": config}});
        assert_eq!(meaning(&body)["reasoning_effort"], effort, "{config}");
    }
}

#[test]
fn a_stream_always_tells_what_it_used() {
    let body = object(&json!({"contents": "hi"}));
    let streamed = request(&body, Asked { model: Some("m"), stream: Some(true) }).unwrap();
    let streamed = tree(&streamed.body);
    assert_eq!(streamed["stream"], true);
    assert_eq!(streamed["stream_options"], json!({"include_usage": true}));
}

#[test]
fn calls_and_results_meet_with_and_without_ids() {
    let call = |id: &str, city: &str| {
        json!({"id": id, "type": "function",
               "function": {"name": "weather", "arguments": format!(r#"{{"city":"{city}"}}"#)}})
    };
    let contents = json!([
        {"role": "user", "parts": [{"text": "Oslo and Rome?"}]},
        {"role": "model", "parts": [
            {"functionCall": {"name": "weather", "args": {"city": "Oslo"}}},
            {"functionCall": {"name": "weather", "args": {"city": "Rome"}}},
        ]},
        {"role": "user", "parts": [
            {"functionResponse": {"name": "weather", "response": {"output": "rain"}}},
            {"functionResponse": {"name": "weather", "response": {"error": "no data"}}},
            {"text": "and now?"},
        ]},
        {"role": "model", "parts": [
            {"functionCall": {"id": "a", "name": "weather", "args": {"city": "Bonn"}}},
            {"functionCall": {"id": "b", "name": "weather"}},
        ]},
        {"role": "function", "parts": [
            {"functionResponse": {"id": "b", "name": "weather", "response": {"result": {"t": 3}}}},
            {"functionResponse": {"id": "a", "name": "weather", "response": {"t": 1, "u": 2}}},
        ]},
    ]);
    let mut empty = call("b", "");
    empty["function"]["arguments"] = json!("{}");
    let result = |id: &str, text: &str| json!({"role": "tool", "content": text, "tool_call_id": id, "name": "weather"});
    let mut failed = result("call_1_1", "no data");
    failed["is_error"] = json!(true);
    assert_eq!(
        messages(&contents),
        json!([
            {"role": "user", "content": "Oslo and Rome?"},
            {"role": "assistant",
             "tool_calls": [call("call_1_0", "Oslo"), call("call_1_1", "Rome")]},
            result("call_1_0", "rain"),
            failed,
            {"role": "user", "content": "and now?"},
            {"role": "assistant", "tool_calls": [call("a", "Bonn"), empty]},
            result("b", r#"{"t":3}"#),
            result("a", r#"{"t":1,"u":2}"#),
        ])
    );
}

#[test]
fn pieces_of_one_answer_are_one_message() {
    let contents = json!([
        {"role": "model", "parts": [{"text": "thinking", "thought": true}]},
        {"role": "model", "parts": [{"text": "Hel"}]},
        {"role": "model", "parts": [{"text": "lo", "thoughtSignature": "c2ln"}]},
        {"role": "model", "parts": [{"functionCall": {"name": "f"}, "thoughtSignature": "_-8"}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {}}}]},
    ]);
    assert_eq!(
        messages(&contents),
        json!([
            {"role": "assistant", "content": "Hello", "reasoning_content": "thinking",
             "tool_calls": [{"id": "call_3_0", "type": "function",
                             "function": {"name": "f", "arguments": "{}"},
                             "extra_content": {"google": {"thought_signature": "/+8="}}}],
             "extra_content": {"google": {"thought_signature": "c2ln"}}},
            {"role": "tool", "content": "{}", "tool_call_id": "call_3_0", "name": "f"},
        ])
    );
}

#[test]
fn media_and_code_become_parts() {
    let contents = json!([{"parts": [
        {"text": "what is it?"},
        {"inline_data": {"mime_type": "image/png", "data": "AAAA"}},
        {"fileData": {"fileUri": "https://h/a.pdf", "mimeType": "application/pdf"}},
        {"executableCode": {"language": "PYTHON", "code": "1+1"}},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "2\n"}},
    ]}]);
    assert_eq!(
        messages(&contents)[0]["content"],
        json!([
            {"type": "text", "text": "what is it?"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            {"type": "file", "file": {"file_url": "https://h/a.pdf", "format": "application/pdf"}},
            {"type": "text", "text": "\n```python\n1+1\n```\n"},
            {"type": "text", "text": "\n```\n2\n```\n"},
        ])
    );
}

#[test]
fn functions_are_declared_in_either_kind_of_schema() {
    let body = json!({
        "contents": "hi",
        "tools": [
            {"functionDeclarations": [
                {"name": "a", "description": "d",
                 "parameters": {"type": "OBJECT", "properties": {"x": {"type": "STRING"}}}},
                {"name": "b", "parametersJsonSchema": {"type": "object", "oneOf": []}},
            ]},
            {"function_declarations": [{"name": "c", "response": {"type": "STRING"}}]},
        ],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
    });
    let seen = meaning(&body);
    let tool = |function: Value| json!({"type": "function", "function": function});
    assert_eq!(
        seen["tools"],
        json!([
            tool(json!({"name": "a", "description": "d",
                "parameters": {"type": "object", "properties": {"x": {"type": "string"}}}})),
            tool(json!({"name": "b", "parameters": {"type": "object", "oneOf": []}})),
            tool(json!({"name": "c"})),
        ])
    );
    assert_eq!(seen["tool_choice"], "required");

    let with = |config: Value| {
        let mut body = body.clone();
        body["toolConfig"]["functionCallingConfig"] = config;
        let seen = meaning(&body);
        let names = seen["tools"].as_array().unwrap().iter();
        let names: Vec<_> = names.map(|it| it["function"]["name"].as_str().unwrap()).collect();
        (names.join(","), seen["tool_choice"].clone())
    };
    for (config, names, choice) in [
        (json!({"mode": "AUTO"}), "a,b,c", Value::Null),
        (json!({"mode": "none"}), "a,b,c", json!("none")),
        (
            json!({"mode": "ANY", "allowed_function_names": ["b"]}),
            "b",
            json!({"type": "function", "function": {"name": "b"}}),
        ),
        (json!({"mode": "ANY", "allowedFunctionNames": ["a", "c"]}), "a,c", json!("required")),
        (json!({"mode": "VALIDATED", "allowedFunctionNames": ["a"]}), "a", Value::Null),
    ] {
        assert_eq!(with(config.clone()), (names.to_owned(), choice), "{config}");
    }
}

#[test]
fn the_form_of_the_answer_is_a_response_format() {
    let format = |config: Value| {
        meaning(&json!({"contents": "hi", "generationConfig": config}))["response_format"].take()
    };
    let json_type = |schema: &str, value: Value| {
        let mut config = json!({"responseMimeType": "application/json"});
        config[schema] = value;
        config
    };
    assert_eq!(format(json!({"responseMimeType": "text/plain"})), Value::Null);
    assert_eq!(
        format(json!({"responseMimeType": "application/json"})),
        json!({"type": "json_object"})
    );
    let expected = json!({"type": "json_schema", "json_schema":
        {"name": "response", "schema": {"type": "object"}}});
    assert_eq!(format(json_type("responseSchema", json!({"type": "OBJECT"}))), expected);
    assert_eq!(format(json_type("response_json_schema", json!({"type": "object"}))), expected);
}

#[test]
fn what_only_google_can_do_is_an_obstacle_and_no_mistake() {
    for (body, param, may_drop) in [
        (json!({"tools": [{"googleSearch": {}}]}), "tools[0].googleSearch", false),
        (json!({"tools": [{"code_execution": {}}]}), "tools[0].code_execution", false),
        (json!({"cachedContent": "cachedContents/x"}), "cachedContent", false),
        (
            json!({"contents": [{"parts": [{"toolCall": {}}]}]}),
            "contents[0].parts[0].toolCall",
            false,
        ),
        (
            json!({"contents": [{"parts": [{"fileData": {"fileUri": "gs://b/a"}}]}]}),
            "contents[0].parts[0].fileData.fileUri",
            false,
        ),
        (
            json!({"contents": [{"parts": [{"functionResponse": {"name": "f", "response": {}}}]}]}),
            "contents[0].parts[0].functionResponse",
            false,
        ),
        (json!({"generationConfig": {"new": 1}}), "generationConfig.new", true),
        (json!({"brandNew": 1}), "brandNew", true),
        (
            json!({"generationConfig": {"responseModalities": ["AUDIO"]}}),
            "generationConfig.responseModalities[0]",
            false,
        ),
        (
            json!({"generationConfig": {"responseMimeType": "text/x.enum"}}),
            "generationConfig.responseMimeType",
            true,
        ),
    ] {
        let mut body = body;
        if body.get("contents").is_none() {
            body["contents"] = json!("hi");
        }
        let canonical = canonical(&body);
        let refusal = canonical.obstacle.refusal(false).unwrap_or_else(|| panic!("{body}"));
        assert_eq!(refusal.param.as_deref(), Some(param), "{body}");
        assert_eq!(canonical.obstacle.refusal(true).is_none(), may_drop, "{body}");
    }
}

#[test]
fn mistakes_are_told_with_the_name_that_the_client_wrote() {
    for (body, param) in [
        (json!({}), "contents"),
        (json!({"contents": 5}), "contents"),
        (json!({"contents": [{"role": "robot"}]}), "contents[0].role"),
        (json!({"contents": [{"parts": [{"text": 5}]}]}), "contents[0].parts[0].text"),
        (
            json!({"contents": [{"parts": [{"inline_data": {"data": "AA"}}]}]}),
            "contents[0].parts[0].inline_data.mimeType",
        ),
        (
            json!({"contents": [{"role": "model", "parts": [{"functionCall": {"name": "f", "args": []}}]}]}),
            "contents[0].parts[0].functionCall.args",
        ),
        (
            json!({"contents": "a", "generation_config": {"max_output_tokens": "x"}}),
            "generation_config.max_output_tokens",
        ),
        (
            json!({"contents": "a", "tools": [{"functionDeclarations": [{}]}]}),
            "tools[0].functionDeclarations[0].name",
        ),
        (
            json!({"contents": "a", "toolConfig": {"functionCallingConfig": {"mode": "SOME"}}}),
            "toolConfig.functionCallingConfig.mode",
        ),
        (
            json!({"contents": "a", "generationConfig": {"thinkingConfig": {"thinkingLevel": "x"}}}),
            "generationConfig.thinkingConfig.thinkingLevel",
        ),
        (json!({"generateContentRequest": {}}), "generateContentRequest.contents"),
    ] {
        assert_eq!(refused(&body).param.as_deref(), Some(param), "{body}");
    }
}

#[test]
fn counting_tokens_takes_a_whole_request_too() {
    let body = json!({"generateContentRequest": {"model": "models/m", "contents": "hi",
        "systemInstruction": "s"}});
    let seen = meaning(&body)["messages"].take();
    assert_eq!(
        seen,
        json!([{"role": "system", "content": "s"}, {"role": "user", "content": "hi"}])
    );
}

// --- Replies ---

const THINKING: &str = r#"{"generationConfig":{"thinkingConfig":{"includeThoughts":true}}}"#;

fn told(completion: &Value, asked: &str) -> Value {
    let asked = Object::parse(asked.to_owned().into()).unwrap();
    let telling = Telling {
        request: Some(&asked),
        created: 1,
        model: "public",
        request_id: "req",
        array: false,
    };
    let body = reply(completion.to_string().as_bytes(), &telling).unwrap();
    serde_json::from_slice(&body).unwrap()
}

fn completion(message: &Value, finish_reason: &str) -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-4o",
        "choices": [{"index": 0, "message": message, "finish_reason": finish_reason}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 8, "total_tokens": 18,
                  "prompt_tokens_details": {"cached_tokens": 4},
                  "completion_tokens_details": {"reasoning_tokens": 5}},
    })
}

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

// --- Streams ---

const CHUNKS: &str = concat!(
    r#"data: {"id":"chatcmpl-1","model":"gpt-4o","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#,
    "\n\n",
    r#"data: {"id":"chatcmpl-1","choices":[{"index":0,"delta":{"reasoning_content":"hm"}}]}"#,
    "\n\n: ping\n\n",
    r#"data: {"id":"chatcmpl-1","choices":[{"index":0,"delta":{"content":"Gr\u00fc"}}]}"#,
    "\r\n\r\n",
    r#"data: {"id":"chatcmpl-1","choices":[{"index":0,"delta":{"content":"ße","extra_content":{"google":{"thought_signature":"c2ln"}}}}]}"#,
    "\n\n",
    r#"data: {"id":"chatcmpl-1","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\""}}]}}]}"#,
    "\n\n",
    r#"data: {"id":"chatcmpl-1","choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"b","function":{"name":"f","arguments":""}}]}}]}"#,
    "\n\n",
    r#"data: {"id":"chatcmpl-1","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]}}]}"#,
    "\n\n",
    r#"data: {"id":"chatcmpl-1","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#,
    "\n\n",
    r#"data: {"id":"chatcmpl-1","choices":[],"usage":{"prompt_tokens":10,"completion_tokens":8,"total_tokens":18}}"#,
    "\n\ndata: [DONE]\n\n",
);

fn stream(asked: &str, array: bool) -> Stream {
    let asked = Object::parse(asked.to_owned().into()).unwrap();
    Stream::new(&Telling {
        request: Some(&asked),
        created: 1,
        model: "public",
        request_id: "req",
        array,
    })
}

fn passed(stream: &mut Stream, text: &str) -> String {
    let mut events = vec![Bytes::copy_from_slice(text.as_bytes())];
    stream.pass(&mut events);
    String::from_utf8(events.concat()).unwrap()
}

fn frames(text: &str) -> Vec<Value> {
    let data = text.split("\n\n").filter(|frame| !frame.is_empty());
    data.map(|frame| serde_json::from_str(frame.strip_prefix("data: ").unwrap()).unwrap()).collect()
}

#[test]
fn a_stream_is_told_in_frames() {
    let seen = frames(&passed(&mut stream(THINKING, false), CHUNKS));
    let part = |part: Value| {
        json!({"candidates": [{"content": {"parts": [part], "role": "model"}, "index": 0}],
               "modelVersion": "gpt-4o", "responseId": "chatcmpl-1"})
    };
    assert_eq!(
        seen,
        [
            part(json!({"thought": true, "text": "hm"})),
            part(json!({"text": "Grü"})),
            part(json!({"text": "ße", "thoughtSignature": "c2ln"})),
            json!({
                "candidates": [{"content": {"role": "model", "parts": [
                    {"functionCall": {"id": "a", "name": "f", "args": {"x": 1}}},
                    {"functionCall": {"id": "b", "name": "f", "args": {}}},
                ]}, "finishReason": "STOP", "index": 0}],
                "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 8,
                                  "totalTokenCount": 18},
                "modelVersion": "gpt-4o", "responseId": "chatcmpl-1",
            }),
        ]
    );
}

#[test]
fn an_array_says_the_same_as_the_events_wherever_they_are_cut() {
    let expected = frames(&passed(&mut stream("{}", false), CHUNKS));
    assert_eq!(expected.len(), 3, "no thoughts");
    for cut in (0..CHUNKS.len()).filter(|cut| CHUNKS.is_char_boundary(*cut)) {
        let (first, second) = CHUNKS.split_at(cut);
        for array in [false, true] {
            let mut stream = stream("{}", array);
            let text = passed(&mut stream, first) + &passed(&mut stream, second);
            let seen = match array {
                true => serde_json::from_str(&text).unwrap(),
                false => frames(&text),
            };
            assert_eq!(seen, expected, "cut at {cut}");
        }
    }
}

#[test]
fn an_error_ends_a_stream_well_formed() {
    let problem =
        Bytes::from_static(br#"{"error":{"code":502,"message":"m","status":"INTERNAL"}}"#);
    let error: Value = serde_json::from_slice(&problem).unwrap();
    for begun in ["", CHUNKS.get(..CHUNKS.find("ße").unwrap() - 70).unwrap()] {
        let mut events = stream("{}", false);
        let text = passed(&mut events, begun);
        let end = events.fail(&problem, "c", "m");
        let seen = frames(&(text + std::str::from_utf8(&end).unwrap()));
        assert_eq!(seen.last(), Some(&error));

        let mut array = stream("{}", true);
        let text = passed(&mut array, begun);
        let ping = std::str::from_utf8(array.ping()).unwrap().to_owned();
        let end = array.fail(&problem, "c", "m");
        let text = text + &ping + std::str::from_utf8(&end).unwrap();
        let seen: Vec<Value> = serde_json::from_str(&text).unwrap();
        assert_eq!(seen.last(), Some(&error));
        assert_eq!(passed(&mut array, CHUNKS), "", "nothing follows the end");
    }
}

#[test]
fn native_events_become_elements_where_an_array_is_wanted() {
    let events = "data: {\"a\":1}\r\n\r\ndata: {\"b\":2}\r\n\r\n";
    let mut array = stream("{}", true);
    let mut seen = String::new();
    for (at, byte) in events.bytes().enumerate() {
        let mut batch = vec![Bytes::copy_from_slice(&[byte])];
        array.pass_native(&mut batch, at + 1 == events.len());
        seen.push_str(std::str::from_utf8(&batch.concat()).unwrap());
    }
    assert_eq!(serde_json::from_str::<Value>(&seen).unwrap(), json!([{"a": 1}, {"b": 2}]));

    let mut same = vec![Bytes::from_static(events.as_bytes())];
    stream("{}", false).pass_native(&mut same, true);
    assert_eq!(same, [events]);
}

#[test]
fn a_refused_prompt_is_told_in_a_stream_too() {
    let chunks = concat!(
        r#"data: {"id":"1","model":"m","choices":[{"index":0,"delta":{"refusal":"no"}}]}"#,
        "\n\n",
        r#"data: {"id":"1","choices":[{"index":0,"delta":{},"finish_reason":"content_filter"}]}"#,
        "\n\ndata: [DONE]\n\n",
    );
    let seen = frames(&passed(&mut stream("{}", false), chunks));
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0]["promptFeedback"]["blockReasonMessage"], "no");
    assert!(seen[0].get("candidates").is_none());
}

#[test]
fn calls_beyond_the_bound_end_the_stream_with_an_error() {
    let piece = json!({"choices": [{"index": 0, "delta": {"tool_calls": [
        {"index": 0, "function": {"name": "f", "arguments": "x".repeat(1 << 20)}}]}}]});
    let event = format!("data: {piece}\n\n");
    let mut stream = stream("{}", false);
    let mut seen = String::new();
    for _ in 0..9 {
        seen += &passed(&mut stream, &event);
    }
    let seen = frames(&seen);
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0]["error"]["code"], 502);
    assert_eq!(passed(&mut stream, "data: [DONE]\n\n"), "");
}

/// What a client was told goes back with its next request and means the same.
#[test]
fn history_comes_back_as_it_went() {
    let message = json!({
        "role": "assistant", "content": "Hello", "reasoning_content": "hm",
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"},
             "extra_content": {"google": {"thought_signature": "c2lnMg=="}}},
            {"id": "call_2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
        ],
        "extra_content": {"google": {"thought_signature": "c2ln"}},
    });
    let whole = told(&completion(&message, "tool_calls"), THINKING);
    let contents = json!([whole["candidates"][0]["content"]]);
    assert_eq!(messages(&contents), json!([message]));

    let pieces = frames(&passed(&mut stream(THINKING, false), CHUNKS));
    let contents: Vec<_> =
        pieces.iter().map(|frame| frame["candidates"][0]["content"].clone()).collect();
    let seen = messages(&json!(contents));
    assert_eq!(seen.as_array().map(Vec::len), Some(1));
    assert_eq!(seen[0]["content"], "Grüße");
    assert_eq!(seen[0]["reasoning_content"], "hm");
    assert_eq!(seen[0]["tool_calls"][1]["id"], "b");
    assert_eq!(seen[0]["tool_calls"][0]["function"]["arguments"], r#"{"x":1}"#);
}
