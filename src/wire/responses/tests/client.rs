//! Clients that speak the Responses API before providers that speak chat.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{blamed, events, object};
use crate::wire::client::{ClientStream, Telling};
use crate::wire::json::Object;
use crate::wire::responses::client::{Events, obstacle, reply, request};

fn canonical(body: &Value) -> Value {
    serde_json::from_slice(request(&object(body)).unwrap().bytes()).unwrap()
}

fn telling(request: &Object) -> Telling<'_> {
    Telling {
        request: Some(request),
        created: 7,
        model: "public",
        request_id: "req-1",
        ..Telling::default()
    }
}

#[test]
fn items_become_messages() {
    let body = canonical(&json!({
        "model": "m", "instructions": "Be brief.", "input": [
            {"role": "user", "content": [
                {"type": "input_text", "text": "look"},
                {"type": "input_image", "image_url": "https://h/a.png", "detail": "auto"},
                {"type": "input_file", "filename": "a.pdf", "file_data": "data:x"}]},
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}],
             "encrypted_content": "tollgate.thinking_blocks:[{\"type\":\"thinking\",\"thinking\":\"hm\",\"signature\":\"s\"}]"},
            {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
             "content": [{"type": "output_text", "text": "Let me see.", "annotations": []}]},
            {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": "{}"},
            {"type": "custom_tool_call", "call_id": "c2", "name": "g", "input": "x"},
            {"type": "function_call_output", "call_id": "c1", "output": "one"},
            {"type": "custom_tool_call_output", "call_id": "c2", "output": [
                {"type": "input_image", "image_url": "data:y"}]},
            {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "gAAA"},
            {"role": "developer", "content": "Go on."},
            {"role": "assistant", "content": "Yes."}]}));
    assert_eq!(
        body["messages"],
        json!([
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [
                {"type": "text", "text": "look"},
                {"type": "image_url", "image_url": {"url": "https://h/a.png", "detail": "auto"}},
                {"type": "file", "file": {"file_data": "data:x", "filename": "a.pdf"}}]},
            {"role": "assistant", "content": "Let me see.", "reasoning_content": "hm",
             "thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "s"}],
             "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                {"id": "c2", "type": "function", "function": {"name": "g", "arguments": "{\"input\":\"x\"}"}}]},
            {"role": "tool", "tool_call_id": "c1", "content": "one"},
            {"role": "tool", "tool_call_id": "c2", "content": [
                {"type": "image_url", "image_url": {"url": "data:y"}}]},
            {"role": "system", "content": "Go on."},
            {"role": "assistant", "content": "Yes."},
        ])
    );
}

#[test]
fn settings_become_nested() {
    let body = canonical(&json!({
        "model": "m", "input": "hi", "stream": true, "max_output_tokens": 9, "store": true,
        "truncation": "disabled", "reasoning": {"effort": "low", "summary": "auto"},
        "text": {"verbosity": "low", "format":
            {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": true}},
        "tools": [{"type": "function", "name": "f", "parameters": {}, "strict": null},
                  {"type": "custom", "name": "g", "description": "d", "format":
                    {"type": "grammar", "syntax": "lark", "definition": "start: x"}},
                  {"type": "web_search"}],
        "tool_choice": {"type": "function", "name": "f"}, "fallbacks": ["x"], "temperature": null,
        "include": ["message.output_text.logprobs"], "top_logprobs": 2,
    }));
    assert_eq!(
        body,
        json!({
            "model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": true,
            "stream_options": {"include_usage": true}, "max_completion_tokens": 9,
            "reasoning_effort": "low", "verbosity": "low",
            "response_format": {"type": "json_schema", "json_schema":
                {"name": "n", "schema": {"type": "object"}, "strict": true}},
            "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}},
                      {"type": "function", "function": {"name": "g",
                        "description": "d\n\n`input` has to follow this lark grammar:\nstart: x",
                        "parameters": {"type": "object", "required": ["input"],
                            "additionalProperties": false, "properties": {"input":
                            {"type": "string", "description": "The whole input of the tool, as plain text."}}}}}],
            "tool_choice": {"type": "function", "function": {"name": "f"}}, "fallbacks": ["x"],
            "logprobs": true, "top_logprobs": 2,
        })
    );
}

#[test]
fn what_clients_always_send_is_left_out_where_the_chat_api_refuses_it() {
    let plain = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    let idle = json!({"model": "m", "input": "hi", "instructions": "", "tools": [], "text": {},
        "tool_choice": "auto", "parallel_tool_calls": false, "top_logprobs": 5, "include": [],
        "truncation": "auto", "max_tool_calls": 3, "reasoning": {"summary": "auto"},
        "stream_options": {"include_obfuscation": false}, "previous_response_id": null,
        "max_output_tokens": null, "background": false, "store": true,
        "client_metadata": {"session": "s"}});
    assert_eq!(canonical(&idle), plain);
    let tool = json!([{"type": "function", "name": "f", "parameters": null}]);
    let chosen = canonical(&json!({"model": "m", "input": "hi", "tools": tool,
        "tool_choice": "none", "parallel_tool_calls": false}));
    assert_eq!(
        (&chosen["tool_choice"], &chosen["parallel_tool_calls"]),
        (&json!("none"), &json!(false))
    );
    let forced = canonical(&json!({"model": "m", "input": "hi", "tool_choice": "required"}));
    assert_eq!(forced["tool_choice"], "required", "that is a mistake for the provider to tell");
}

#[test]
fn probabilities_are_told_as_the_api_has_them() {
    let asked = object(&json!({"model": "public", "input": "hi"}));
    let token = json!({"token": "hi", "logprob": -0.5, "bytes": [104, 105], "top_logprobs": []});
    let logprobs = json!({"content": [token], "refusal": null});
    let body = json!({"id": "chatcmpl-1", "object": "o", "created": 1, "model": "m", "choices": [{
        "index": 0, "finish_reason": "stop", "logprobs": logprobs,
        "message": {"role": "assistant", "content": "hi"}}]});
    let told = reply(&Bytes::from(body.to_string()), &telling(&asked)).unwrap();
    let told: Value = serde_json::from_slice(&told).unwrap();
    assert_eq!(told["output"][0]["content"][0]["logprobs"], json!([token]));

    let mut stream = Events::new(&telling(&asked));
    let mut out = Vec::new();
    for choice in [
        json!({"index": 0, "delta": {"content": "hi"}, "logprobs": logprobs}),
        json!({"index": 0, "delta": {"content": "!"}}),
        json!({"index": 0, "delta": {}, "finish_reason": "stop"}),
    ] {
        let chunk = json!({"id": "chatcmpl-1", "model": "m", "choices": [choice]});
        let mut events = vec![Bytes::from(format!("data: {chunk}\n\n"))];
        stream.pass(&mut events);
        out.extend(events);
    }
    let mut events_out = vec![Bytes::from_static(b"data: [DONE]\n\n")];
    stream.pass(&mut events_out);
    out.extend(events_out);
    let told = events(&out.concat());
    let of = |kind: &str| {
        let found = told.iter().filter(|(name, _)| name == kind);
        found.map(|(_, event)| event["logprobs"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(of("response.output_text.delta"), [json!([token]), json!([])]);
    assert_eq!(of("response.output_text.done"), [json!([token])]);
    let last = &told.last().unwrap().1["response"]["output"][0]["content"][0];
    assert_eq!(last["logprobs"], json!([token]));
}

#[test]
fn an_image_that_was_generated_is_an_item_and_can_be_sent_back() {
    let asked = object(&json!({"model": "public", "input": "hi"}));
    let image = |url: &str| json!({"type": "image_url", "index": 0, "image_url": {"url": url}});
    let images = json!([image("data:image/webp;base64,AAAA"), image("https://h/a.png")]);
    let body = json!({"id": "chatcmpl-1", "object": "o", "created": 1, "model": "m", "choices": [{
        "index": 0, "finish_reason": "stop",
        "message": {"role": "assistant", "content": null, "images": images}}]});
    let told = reply(&Bytes::from(body.to_string()), &telling(&asked)).unwrap();
    let told: Value = serde_json::from_slice(&told).unwrap();
    let item = &told["output"][0];
    assert_eq!(
        *item,
        json!({"type": "image_generation_call", "id": item["id"], "status": "completed",
               "result": "AAAA", "output_format": "webp"})
    );
    assert!(item["id"].as_str().unwrap().starts_with("ig_"));
    assert_eq!(told["output"][1]["content"][0]["text"], "![image](https://h/a.png)");
    assert_eq!(told["output"].as_array().unwrap().len(), 2);

    let mut stream = Events::new(&telling(&asked));
    let chunk = |choice: Value| {
        let chunk = json!({"id": "chatcmpl-1", "model": "m", "choices": [choice]});
        Bytes::from(format!("data: {chunk}\n\n"))
    };
    let mut out = vec![
        chunk(json!({"index": 0, "delta": {"images": images}})),
        chunk(json!({"index": 0, "delta": {}, "finish_reason": "stop"})),
        Bytes::from_static(b"data: [DONE]\n\n"),
    ];
    stream.pass(&mut out);
    let all = events(&out.concat());
    let last = &all.last().unwrap().1["response"];
    assert_eq!(last["output"][0], *item, "streamed or not");
    assert_eq!(last["output"].as_array().unwrap().len(), 2);
    let done = all.iter().find(|(name, _)| name == "response.output_item.done").unwrap();
    assert_eq!(done.1["item"], *item);

    let again = json!({"model": "m", "input": [item, {"role": "user", "content": "Make it red."}]});
    assert_eq!(obstacle(&object(&again), false).map(|refusal| refusal.message), None);
    let url = "data:image/webp;base64,AAAA";
    assert_eq!(
        canonical(&again)["messages"][0],
        json!({"role": "user", "content": [
            {"type": "text", "text": "The image that you generated:"},
            {"type": "image_url", "image_url": {"url": url}}]})
    );
}

#[test]
fn what_is_wrong_is_told_in_the_clients_words() {
    for (body, told) in [
        (json!({}), "input missing_required_parameter"),
        (json!({"input": 5}), "input invalid_type"),
        (json!({"input": [{"content": "x"}]}), "input[0].role missing_required_parameter"),
        (
            json!({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}),
            "input[0].content[0].text missing_required_parameter",
        ),
        (
            json!({"input": [{"role": "user", "content": [{"type": "image_url"}]}]}),
            "input[0].content[0].type invalid_value",
        ),
        (
            json!({"input": [{"type": "function_call", "name": "f"}]}),
            "input[0].call_id missing_required_parameter",
        ),
        (
            json!({"input": "x", "tools": [{"type": "function"}]}),
            "tools[0].name missing_required_parameter",
        ),
        (
            json!({"input": "x", "text": {"format": {"type": "json_schema"}}}),
            "text.format.schema missing_required_parameter",
        ),
        (json!({"input": "x", "max_output_tokens": "9"}), "max_output_tokens invalid_type"),
    ] {
        assert_eq!(blamed(&request(&object(&body)).unwrap_err()), told, "{body}");
    }
}

#[test]
fn what_needs_state_or_hosted_tools_is_an_obstacle() {
    for (body, told) in [
        (
            json!({"previous_response_id": "r"}),
            "previous_response_id previous_response_not_supported",
        ),
        (json!({"conversation": "c"}), "conversation unsupported_parameter"),
        (json!({"background": true}), "background background_not_supported"),
        (json!({"tools": [{"type": "function"}, {"type": "mcp"}]}), "tools[1] unsupported_tool"),
        (json!({"tool_choice": {"type": "file_search"}}), "tool_choice unsupported_tool"),
        (
            json!({"input": [{"type": "item_reference", "id": "x"}]}),
            "input[0] previous_response_not_supported",
        ),
        (json!({"input": [{"type": "computer_call"}]}), "input[0] unsupported_item"),
        (
            json!({"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]}),
            "input[0].content unsupported_value",
        ),
    ] {
        let failure = obstacle(&object(&body), false).unwrap();
        assert_eq!((blamed(&failure).as_str(), failure.telling().status), (told, 400), "{body}");
        assert!(failure.blameless, "another deployment may serve it");
    }
    let fine = json!({"input": [{"role": "user", "content": "x"}, {"type": "reasoning"}],
        "store": true, "background": false, "previous_response_id": null, "tool_choice": "auto"});
    assert!(obstacle(&object(&fine), false).is_none());
}

#[test]
fn hosted_tools_are_dropped_where_that_is_wished() {
    let search = json!({"type": "web_search", "external_web_access": false});
    let own = json!({"type": "function", "name": "f", "parameters": {}});
    for choice in [
        json!("required"),
        json!({"type": "web_search"}),
        json!({"type": "allowed_tools", "mode": "required", "tools": [{"type": "web_search"}]}),
    ] {
        let body = json!({"model": "m", "input": "hi", "tools": [search], "tool_choice": choice});
        assert_eq!(obstacle(&object(&body), true).map(|it| it.message), None, "{body}");
        assert!(obstacle(&object(&body), false).is_some(), "{body}");
        let left = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
        assert_eq!(canonical(&body), left);
    }
    let body = canonical(&json!({"model": "m", "input": "hi", "tools": [search, own],
        "tool_choice": "required"}));
    assert_eq!(body["tools"].as_array().unwrap().len(), 1);
    assert_eq!(body["tool_choice"], "required");
    let stored = json!({"previous_response_id": "r", "tools": [search]});
    assert!(obstacle(&object(&stored), true).is_some(), "this cannot be left out");
}

#[test]
fn a_completion_becomes_a_response() {
    let asked = object(&json!({"model": "public", "input": "hi", "text": {"verbosity": "low"},
        "metadata": {"a": "b"}, "instructions": "I"}));
    let body = json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "choices": [{
            "index": 0, "finish_reason": "tool_calls", "message": {"role": "assistant",
                "content": "hi", "reasoning_content": "hm",
                "thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "s"}],
                "annotations": [{"type": "url_citation", "url_citation": {"url": "u"}}],
                "tool_calls": [{"id": "c1", "type": "function", "function":
                    {"name": "f", "arguments": "{\"a\": 1}"}}]}}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 6, "total_tokens": 11,
            "completion_tokens_details": {"reasoning_tokens": 2}},
    });
    let told = reply(&Bytes::from(body.to_string()), &telling(&asked)).unwrap();
    let told: Value = serde_json::from_slice(&told).unwrap();
    assert_eq!(told["id"], "resp_1");
    assert_eq!(
        (&told["object"], &told["status"], &told["store"], &told["created_at"]),
        (&json!("response"), &json!("completed"), &json!(false), &json!(7))
    );
    assert_eq!(told["instructions"], "I");
    assert_eq!(told["text"], json!({"format": {"type": "text"}, "verbosity": "low"}));
    assert_eq!(told["metadata"], json!({"a": "b"}));
    for required in ["model", "parallel_tool_calls", "tool_choice", "tools"] {
        assert!(!told[required].is_null(), "{required}");
    }
    let output = told["output"].as_array().unwrap();
    let kinds: Vec<&str> = output.iter().map(|item| item["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["reasoning", "message", "function_call"]);
    assert_eq!(output[1]["content"][0]["annotations"][0]["url"], "u");
    assert_eq!(output[2]["arguments"], "{\"a\": 1}");
    assert_eq!(told["usage"]["output_tokens_details"]["reasoning_tokens"], 2);
    // What was sealed leads back to the blocks.
    let again = canonical(&json!({"model": "m", "input": told["output"]}));
    assert_eq!(again["messages"][0]["thinking_blocks"][0]["signature"], "s");
    let cut = json!({"id": "x", "object": "o", "created": 1, "model": "", "choices": [{
        "message": {"role": "assistant", "content": ""}, "finish_reason": "length"}]});
    let told = reply(&Bytes::from(cut.to_string()), &telling(&asked)).unwrap();
    let told: Value = serde_json::from_slice(&told).unwrap();
    assert_eq!(told["status"], "incomplete");
    assert_eq!(told["incomplete_details"]["reason"], "max_output_tokens");
    assert_eq!((&told["model"], &told["usage"]), (&json!("public"), &Value::Null));
    assert_eq!(told["output"][0]["content"][0]["text"], "");
}

/// Events for chunks with these deltas; the last one is a finish reason.
fn streamed(deltas: &[Value], finish: &str) -> Vec<(String, Value)> {
    let asked = object(&json!({"model": "public", "input": "hi"}));
    let mut chunks: Vec<Bytes> = Vec::new();
    let chunk = |choices: Value, usage: Value| {
        let chunk = json!({"id": "chatcmpl-1", "model": "m", "choices": choices, "usage": usage});
        Bytes::from(format!("data: {chunk}\n\n"))
    };
    for delta in deltas {
        chunks.push(chunk(json!([{"index": 0, "delta": delta}]), Value::Null));
    }
    chunks.push(chunk(json!([{"index": 0, "delta": {}, "finish_reason": finish}]), Value::Null));
    chunks.push(chunk(json!([]), json!({"prompt_tokens": 1, "completion_tokens": 2})));
    chunks.push(Bytes::from_static(b"data: [DONE]\n\n"));
    // All chunks in one piece are the same as one by one.
    let joined = vec![Bytes::from(chunks.concat())];
    let [apart, together] = [chunks, joined].map(|pieces| {
        let mut stream = Events::new(&telling(&asked));
        let mut out = Vec::new();
        for piece in pieces {
            let mut events = vec![piece];
            stream.pass(&mut events);
            out.extend(events);
        }
        out.concat()
    });
    assert_eq!(apart, together);
    let events = events(&apart);
    for (number, (name, event)) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], number, "{name}");
        assert_eq!(event["type"], **name);
    }
    events
}

fn names(events: &[(String, Value)]) -> Vec<&str> {
    events.iter().map(|(name, _)| name.strip_prefix("response.").unwrap_or(name)).collect()
}

#[test]
fn a_text_has_every_event() {
    let events = streamed(
        &[
            json!({"role": "assistant", "content": ""}),
            json!({"content": "he"}),
            json!({"content": "llo"}),
        ],
        "stop",
    );
    assert_eq!(
        names(&events),
        [
            "created",
            "in_progress",
            "output_item.added",
            "content_part.added",
            "output_text.delta",
            "output_text.delta",
            "output_text.done",
            "content_part.done",
            "output_item.done",
            "completed"
        ]
    );
    assert_eq!(events[6].1["text"], "hello");
    assert_eq!(events[4].1["logprobs"], json!([]));
    assert_eq!(events[7].1["part"]["text"], "hello");
    assert_eq!(events[8].1["item"]["content"][0]["text"], "hello");
    let id = &events[2].1["item"]["id"];
    assert!(events[3..8].iter().all(|(_, event)| event["item_id"] == *id));
    let last = &events[9].1["response"];
    assert_eq!(last["output"][0], events[8].1["item"]);
    assert_eq!(last["usage"]["total_tokens"], 3);
    assert_eq!(last["id"], events[0].1["response"]["id"]);
}

#[test]
fn items_come_one_after_another() {
    let call = |index: u32, fields: Value| {
        let mut call = json!({"index": index});
        call.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        json!({"tool_calls": [call]})
    };
    let events = streamed(
        &[
            json!({"reasoning_content": "hm"}),
            json!({"thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "s"}]}),
            json!({"content": "a"}),
            json!({"refusal": "no"}),
            call(0, json!({"id": "c0", "function": {"name": "f", "arguments": ""}})),
            call(0, json!({"function": {"arguments": "{}"}})),
            call(1, json!({"id": "c1", "function": {"name": "g", "arguments": "{\"x\""}})),
            call(2, json!({"id": "c2", "custom": {"name": "h", "input": "1 "}})),
            call(1, json!({"function": {"arguments": ":1}"}})),
        ],
        "tool_calls",
    );
    let done: Vec<(u64, String)> = events
        .iter()
        .filter(|(name, _)| name == "response.output_item.done")
        .map(|(_, event)| {
            let kind = event["item"]["type"].as_str().unwrap().to_owned();
            (event["output_index"].as_u64().unwrap(), kind)
        })
        .collect();
    let expected = ["reasoning", "message", "function_call", "function_call", "custom_tool_call"];
    let expected: Vec<_> = (0..).zip(expected.map(str::to_owned)).collect();
    assert_eq!(done, expected);
    let output = &events.last().unwrap().1["response"]["output"];
    assert!(output[0]["encrypted_content"].as_str().unwrap().contains("\"s\""));
    assert_eq!(output[1]["content"][1], json!({"type": "refusal", "refusal": "no"}));
    assert_eq!(output[3]["arguments"], "{\"x\":1}");
    assert_eq!(output[4]["input"], "1 ");
    assert_eq!(output[2]["call_id"], "c0");
}

#[test]
fn other_ends_have_their_events() {
    let last = |finish: &str| {
        let events = streamed(&[json!({"content": "a"})], finish);
        let (name, event) = events.last().unwrap().clone();
        (name, event["response"]["incomplete_details"]["reason"].clone())
    };
    assert_eq!(last("length"), ("response.incomplete".into(), json!("max_output_tokens")));
    assert_eq!(last("content_filter"), ("response.incomplete".into(), json!("content_filter")));
    assert_eq!(last("stop"), ("response.completed".into(), Value::Null));
    let nothing = streamed(&[], "stop");
    let output = &nothing.last().unwrap().1["response"]["output"];
    assert_eq!(output[0]["content"][0]["text"], "");
}

#[test]
fn a_broken_stream_ends_with_an_error() {
    let asked = object(&json!({"model": "public", "input": "hi"}));
    let problem = Bytes::from_static(br#"{"error":{"param":"p"}}"#);
    let mut stream = Events::new(&telling(&asked));
    let mut begun = vec![Bytes::from_static(
        b"data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n",
    )];
    stream.pass(&mut begun);
    let told = stream.fail(&problem, "overloaded", "m");
    let all = events(&[&begun.concat()[..], &told].concat());
    let tail: Vec<&str> = names(&all).into_iter().rev().take(2).collect();
    assert_eq!(tail[0], "failed");
    assert_ne!(tail[1], "error", "one end is told");
    let failed = &all.last().unwrap().1;
    assert_eq!(failed["sequence_number"], all.len() - 1);
    assert_eq!(failed["response"]["status"], "failed");
    assert_eq!(failed["response"]["error"]["message"], "m");
    // Before anything was said there is no response that could have failed.
    let told = Events::new(&telling(&asked)).fail(&problem, "overloaded", "m");
    let told = events(&told);
    assert_eq!(names(&told), ["error"]);
    let error = &told[0].1;
    assert_eq!(
        (&error["code"], &error["message"], &error["param"]),
        (&json!("overloaded"), &json!("m"), &json!("p"))
    );
}

#[test]
fn what_a_provider_told_is_not_told_again() {
    let asked = object(&json!({"model": "public", "input": "hi"}));
    let heard = |events: &'static str| {
        let mut stream = Events::new(&telling(&asked));
        stream.pass_native(&mut vec![Bytes::from_static(events.as_bytes())], false);
        stream.fail(&Bytes::new(), "c", "m")
    };
    let failed =
        "event: response.failed\ndata: {\"type\":\"response.failed\",\"sequence_number\":4}\n\n";
    assert!(heard(failed).is_empty());
    let spaced = "data: {\"sequence_number\": 4, \"type\": \"response.failed\"}\n\n";
    assert!(heard(spaced).is_empty());
    let quoted = "data: {\"type\":\"response.output_text.delta\",\"delta\":\"{\\\"type\\\":\\\"error\\\"}\"}\n\n";
    assert!(!heard(quoted).is_empty());
    let delta = "event: x\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"\\\"sequence_number\\\":9\",\"sequence_number\":4}\n\n";
    let told = heard(delta);
    assert_eq!(events(&told)[0].1["sequence_number"], 5);
}

#[test]
fn a_call_that_was_cut_off_is_not_complete() {
    let call = |id: &str, index: u64, arguments: &str| json!({"tool_calls": [{"index": index, "id": id, "function": {"name": "f", "arguments": arguments}}]});
    let events = streamed(&[call("a", 0, "{}"), call("b", 1, "{\"x\":")], "length");
    let (name, last) = events.last().unwrap();
    assert_eq!(name, "response.incomplete");
    let statuses = |output: &Value| {
        let all = output.as_array().unwrap().iter();
        all.map(|item| item["status"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(statuses(&last["response"]["output"]), ["completed", "incomplete"]);
    let calls = json!([
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
        {"id": "b", "type": "function", "function": {"name": "f", "arguments": "{\"x\":"}}]);
    let body = json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [
        {"index": 0, "finish_reason": "length", "message": {"role": "assistant", "content": null, "tool_calls": calls}}]});
    let asked = object(&json!({"model": "public", "input": "hi"}));
    let told = reply(&body.to_string().into(), &telling(&asked)).unwrap();
    let told: Value = serde_json::from_slice(&told).unwrap();
    assert_eq!(statuses(&told["output"]), ["completed", "incomplete"]);
}

#[test]
fn the_tier_is_the_one_that_served() {
    let asked = object(&json!({"model": "public", "input": "hi", "service_tier": "flex"}));
    let tier = |tier: Value| {
        let body = json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m",
            "service_tier": tier, "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "a"}}]});
        let told = reply(&body.to_string().into(), &telling(&asked)).unwrap();
        serde_json::from_slice::<Value>(&told).unwrap()["service_tier"].clone()
    };
    assert_eq!((tier(json!("default")), tier(Value::Null)), (json!("default"), Value::Null));
    let mut stream = Events::new(&telling(&asked));
    let chunk = json!({"id": "c", "service_tier": "default", "choices": [
        {"index": 0, "delta": {"content": "a"}, "finish_reason": "stop"}]});
    let mut out = vec![Bytes::from(format!("data: {chunk}\n\ndata: [DONE]\n\n"))];
    stream.pass(&mut out);
    for (name, event) in
        events(&out.concat()).iter().filter(|(_, event)| event["response"].is_object())
    {
        assert_eq!(event["response"]["service_tier"], "default", "{name}");
    }
}

#[test]
fn a_chunk_that_cannot_be_read_ends_the_stream_with_an_error() {
    let asked = object(&json!({"model": "public", "input": "hi"}));
    let mut stream = Events::new(&telling(&asked));
    let text = json!({"id": "c", "choices": [{"index": 0, "delta": {"content": "a"}}]});
    let broken = json!({"choices": [{"index": 0, "delta": {"tool_calls": [
        {"index": 0, "id": "x", "function": {"name": "f", "arguments": {"a": 1}}}]}}]});
    let mut out = vec![Bytes::from(format!("data: {text}\n\ndata: {broken}\n\ndata: [DONE]\n\n"))];
    stream.pass(&mut out);
    let told = events(&out.concat());
    let all = names(&told);
    assert_eq!(all.last(), Some(&"failed"));
    assert!(!all.contains(&"completed"));
}

#[test]
fn reasoning_under_both_of_its_names_is_one() {
    let both = json!({"content": "", "reasoning": "hm", "reasoning_content": "hm"});
    let events = streamed(&[both, json!({"reasoning": ".", "reasoning_content": null})], "stop");
    let item = &events.last().unwrap().1["response"]["output"][0];
    assert_eq!(item["summary"][0]["text"], "hm.");
}

/// The reasoning of a response: each item's summary and what is sealed in it.
fn reasoned(response: &Value) -> Vec<(Vec<String>, String)> {
    let items = response["output"].as_array().unwrap().iter();
    let items = items.filter(|item| item["type"] == "reasoning");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    items
        .map(|item| {
            let summary = item["summary"].as_array().unwrap().iter();
            (summary.map(|part| text(&part["text"])).collect(), text(&item["encrypted_content"]))
        })
        .collect()
}

#[test]
fn every_item_of_reasoning_is_told_in_its_order() {
    let item = |number: u32, summary: &[&str]| {
        let parts: Vec<Value> =
            summary.iter().map(|text| json!({"type": "summary_text", "text": text})).collect();
        json!({"type": "reasoning", "id": format!("rs_{number}"), "summary": parts,
               "encrypted_content": format!("gAAA{number}")})
    };
    let asked = object(&json!({"model": "public", "input": "hi"}));
    let whole = |message: Value| {
        let body = json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]});
        let told = reply(&body.to_string().into(), &telling(&asked)).unwrap();
        reasoned(&serde_json::from_slice(&told).unwrap())
    };
    let expected = |items: &[(&[&str], &str)]| -> Vec<(Vec<String>, String)> {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        items.iter().map(|(summary, sealed)| (owned(summary), (*sealed).to_owned())).collect()
    };
    let items = json!([item(1, &["a", "b"]), item(2, &[]), item(3, &["c"])]);
    let told = whole(json!({"role": "assistant", "content": "x",
        "reasoning_content": "a\n\nb\n\nc", "reasoning_items": items}));
    assert_eq!(told, expected(&[(&["a", "b"], "gAAA1"), (&[], "gAAA2"), (&["c"], "gAAA3")]));
    // Some of the text came without an item: nothing is lost, and nothing is said twice.
    let told = whole(json!({"role": "assistant", "content": "x",
        "reasoning_content": "a\n\nb\n\nc\n\nd", "reasoning_items": items}));
    assert_eq!(told, expected(&[(&["a\n\nb\n\nc\n\nd"], "gAAA1"), (&[], "gAAA2"), (&[], "gAAA3")]));
    let told = whole(json!({"role": "assistant", "content": "x", "reasoning_content": "a"}));
    assert_eq!(told, expected(&[(&["a"], "")]));

    // As the bridge streams them.
    let events = streamed(
        &[
            json!({"reasoning_content": "a"}),
            json!({"reasoning_items": [item(1, &["a"])]}),
            json!({"reasoning_items": [item(2, &[])]}),
            json!({"reasoning_content": "\n\n"}),
            json!({"reasoning_content": "c"}),
            json!({"reasoning_items": [item(3, &["c"])]}),
            json!({"content": "x"}),
        ],
        "stop",
    );
    let told = reasoned(&events.last().unwrap().1["response"]);
    assert_eq!(told, expected(&[(&["a"], "gAAA1"), (&[], "gAAA2"), (&["c"], "gAAA3")]));
}

#[test]
fn a_request_over_several_lines_is_repeated_in_one() {
    let pretty = "{\n \"model\": \"m\",\n \"input\": \"hi\",\n \"metadata\": {\r\n  \"a\": \"b\"\r\n },\n \"tools\": [\n  {\n   \"type\": \"function\",\n\n   \"name\": \"f\"\n  }\n ]\n}";
    let asked = Object::parse(Bytes::from(pretty)).unwrap();
    let mut stream = Events::new(&telling(&asked));
    let mut out = vec![Bytes::from_static(
        b"data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\ndata: [DONE]\n\n",
    )];
    stream.pass(&mut out);
    let events = events(&out.concat());
    for (name, event) in [events.first().unwrap(), events.last().unwrap()] {
        assert_eq!(
            event["response"]["tools"],
            json!([{"type": "function", "name": "f"}]),
            "{name}"
        );
        assert_eq!(event["response"]["metadata"], json!({"a": "b"}));
    }
}

#[test]
fn a_function_that_stands_for_free_text_is_told_as_such() {
    let request = object(&json!({"tools": [{"type": "custom", "name": "apply_patch"},
        {"type": "function", "name": "f"}]}));
    let call = |name: &str, arguments: &str| json!({"id": "c1", "type": "function", "function": {"name": name, "arguments": arguments}});
    let calls = [call("apply_patch", "{\"input\":\"*** A\\n\"}"), call("f", "{}")];
    let body = json!({"id": "chatcmpl-1", "model": "m", "choices": [{"index": 0,
        "finish_reason": "tool_calls", "message": {"role": "assistant", "tool_calls": calls}}]});
    let whole = reply(&Bytes::from(body.to_string()), &telling(&request)).unwrap();
    let whole: Value = serde_json::from_slice(&whole).unwrap();
    assert_eq!(whole["output"][0]["type"], "custom_tool_call");
    assert_eq!(whole["output"][0]["input"], "*** A\n");
    assert_eq!(whole["output"][1]["type"], "function_call");

    let mut stream = Events::new(&telling(&request));
    let piece = |call: Value| {
        let chunk = json!({"id": "chatcmpl-1", "model": "m", "choices": [{"index": 0,
            "delta": {"tool_calls": [call]}}]});
        format!("data: {chunk}\n\n")
    };
    let mut text = piece(json!({"index": 0, "id": "c1", "type": "function",
        "function": {"name": "apply_patch", "arguments": ""}}));
    for part in ["{\"inp", "ut\":\"*** A", "\\n\"}"] {
        text += &piece(json!({"index": 0, "function": {"arguments": part}}));
    }
    let end = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]});
    text += &format!("data: {end}\n\ndata: [DONE]\n\n");
    let mut out = vec![Bytes::from(text)];
    stream.pass(&mut out);
    let told = events(&out.concat());
    let of = |kind: &str| told.iter().filter(|(name, _)| name == kind).collect::<Vec<_>>();
    let deltas = of("response.custom_tool_call_input.delta");
    assert_eq!((deltas.len(), &deltas[0].1["delta"]), (1, &json!("*** A\n")));
    assert_eq!(of("response.custom_tool_call_input.done")[0].1["input"], "*** A\n");
    assert!(of("response.function_call_arguments.delta").is_empty());
    let (_, last) = told.last().unwrap();
    assert_eq!(last["response"]["output"], json!([whole["output"][0]]));
}
