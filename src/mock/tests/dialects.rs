//! The bodies and the order of frames in each dialect.

use base64::Engine as _;
use serde_json::{Value, json};

use super::{Client, Response, ask, prompt, streamed, with};
use crate::mock::{
    Upstream, chat, content_filtered, content_policy_violation, context_window_exceeded,
    insufficient_quota, overloaded, refusal, status, stream, tool_call, tool_calls,
};

const AZURE: &str = "/openai/deployments/gpt/chat/completions?api-version=2024-10-21";
const VERSION: &str = "anthropic-version: 2023-06-01\r\n";

fn contents(response: &Response) -> String {
    let data = response.data();
    data.iter().filter_map(|it| it["choices"][0]["delta"]["content"].as_str()).collect()
}

fn kinds(response: &Response) -> Vec<String> {
    let data = response.data();
    data.iter().map(|it| it["type"].as_str().unwrap_or_default().to_owned()).collect()
}

fn message(upstream: &Upstream, more: Value) -> Response {
    let body = with(with(prompt("claude", "hi"), json!({"max_tokens": 100})), more);
    Client::of(upstream).ask("/v1/messages", VERSION, &body)
}

fn tools() -> Value {
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    let tool =
        |name: &str| json!({"type": "function", "function": {"name": name, "parameters": schema}});
    json!({"tools": [tool("weather"), tool("time")]})
}

#[test]
fn an_echo_repeats_the_prompt_and_the_same_request_gets_the_same_bytes() {
    let upstream = Upstream::openai().start();
    let first = ask(&upstream, &prompt("gpt-4o", "ahoy"));
    let second = ask(&upstream, &prompt("gpt-4o", "ahoy"));

    assert_eq!(first.status(), 200);
    let body = first.json();
    assert_eq!(
        body["choices"][0]["message"]["content"],
        "Hello from the scripted provider. You said: ahoy"
    );
    assert_eq!(body["object"], "chat.completion");
    assert_eq!(body["model"], "gpt-4o");
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    let usage = &body["usage"];
    let sum =
        usage["prompt_tokens"].as_u64().unwrap() + usage["completion_tokens"].as_u64().unwrap();
    assert_eq!(usage["total_tokens"], sum);
    assert_eq!(first.body, second.body);
}

#[test]
fn openai_streams_role_deltas_finish_usage_and_done() {
    let upstream = Upstream::openai().replies(stream(["a", "b"])).start();
    let wanted = json!({"stream_options": {"include_usage": true}});
    let response = ask(&upstream, &with(streamed("gpt-4o", "hi"), wanted));

    assert!(response.complete);
    assert_eq!(response.header("content-type"), Some("text/event-stream; charset=utf-8"));
    let frames = response.data();
    assert_eq!(frames.len(), 5, "role, two deltas, finish, usage");
    assert_eq!(
        frames[0]["choices"][0]["delta"],
        json!({"role": "assistant", "content": "", "refusal": null})
    );
    assert_eq!(frames[1]["choices"][0]["delta"], json!({"content": "a"}));
    assert_eq!(frames[3]["choices"][0]["delta"], json!({}));
    assert_eq!(frames[3]["choices"][0]["finish_reason"], "stop");
    assert!(frames[..4].iter().all(|it| it.get("usage") == Some(&Value::Null)));
    assert_eq!(frames[4]["choices"], json!([]));
    assert!(frames[4]["usage"]["total_tokens"].as_u64().unwrap() > 0);
    assert_eq!(response.events().last().unwrap(), "[DONE]");
}

#[test]
fn usage_is_streamed_only_to_those_who_ask() {
    let upstream = Upstream::openai().replies(chat("hello there")).start();
    let response = ask(&upstream, &streamed("gpt-4o", "hi"));
    assert!(response.data().iter().all(|it| it.get("usage").is_none()));
    assert_eq!(contents(&response), "hello there");
}

#[test]
fn a_tool_call_opens_with_the_role_and_streams_its_arguments() {
    let upstream =
        Upstream::openai().replies(tool_call("weather", r#"{"city": "Zürich"}"#)).start();
    let response = ask(&upstream, &streamed("gpt-4o", "hi"));

    let frames = response.data();
    let opening = &frames[0]["choices"][0]["delta"];
    assert_eq!(opening["role"], "assistant");
    assert_eq!(opening["content"], Value::Null);
    assert_eq!(opening["tool_calls"][0]["function"], json!({"name": "weather", "arguments": ""}));
    assert!(opening["tool_calls"][0]["id"].as_str().unwrap().starts_with("call_"));
    let arguments: String = frames
        .iter()
        .filter_map(|it| {
            it["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"].as_str()
        })
        .collect();
    assert_eq!(arguments, r#"{"city": "Zürich"}"#);
    assert_eq!(frames.last().unwrap()["choices"][0]["finish_reason"], "tool_calls");
}

#[test]
fn parallel_calls_have_an_index_each_and_a_name_once() {
    let upstream = Upstream::openai().replies(tool_calls([("a", "{}"), ("b", "{}")])).start();
    let frames = ask(&upstream, &streamed("gpt-4o", "hi")).data();
    let calls: Vec<&Value> =
        frames.iter().map(|it| &it["choices"][0]["delta"]["tool_calls"][0]).collect();
    let named: Vec<_> = calls.iter().filter(|it| it["id"].is_string()).collect();
    assert_eq!(named.len(), 2);
    assert_eq!((&named[0]["index"], &named[1]["index"]), (&json!(0), &json!(1)));

    let body = ask(&upstream, &prompt("gpt-4o", "hi")).json();
    assert_eq!(body["choices"][0]["message"]["content"], Value::Null);
    assert_eq!(body["choices"][0]["message"]["tool_calls"].as_array().unwrap().len(), 2);
    assert_eq!(body["choices"][0]["finish_reason"], "tool_calls");
}

#[test]
fn a_forced_tool_is_called_with_arguments_that_fit_its_schema() {
    let upstream = Upstream::openai().start();
    let forced = json!({"tool_choice": {"type": "function", "function": {"name": "time"}}});
    let body = with(with(prompt("gpt-4o", "hi"), tools()), forced);
    let call = ask(&upstream, &body).json()["choices"][0]["message"]["tool_calls"][0].clone();
    assert_eq!(call["function"], json!({"name": "time", "arguments": r#"{"city":"text"}"#}));

    let free = with(prompt("gpt-4o", "hi"), tools());
    let message = ask(&upstream, &free).json()["choices"][0]["message"].clone();
    assert!(message.get("tool_calls").is_none(), "a choice that is free stays with text");

    let two = with(prompt("mock-tools-2", "hi"), tools());
    let message = ask(&upstream, &two).json()["choices"][0]["message"].clone();
    assert_eq!(message["tool_calls"].as_array().unwrap().len(), 2);
}

#[test]
fn a_schema_is_answered_with_json_that_fits_it() {
    let upstream = Upstream::openai().start();
    let schema = json!({
        "type": "object",
        "$defs": {"step": {"type": "object", "properties": {"n": {"type": "integer"}}}},
        "properties": {
            "name": {"type": "string"},
            "size": {"enum": ["big", "small"]},
            "steps": {"type": "array", "items": {"$ref": "#/$defs/step"}},
            "maybe": {"anyOf": [{"type": "null"}, {"type": "string"}]},
            "self": {"$ref": "#"},
        },
    });
    let format = json!({"type": "json_schema", "json_schema": {"name": "x", "schema": schema}});
    let body = with(prompt("gpt-4o", "hi"), json!({"response_format": format}));
    let reply = ask(&upstream, &body).json();
    let text = reply["choices"][0]["message"]["content"].as_str().unwrap();
    let value: Value = serde_json::from_str(text).unwrap();
    assert_eq!(value["name"], "text");
    assert_eq!(value["size"], "big");
    assert_eq!(value["steps"], json!([{"n": 1}]));
    assert_eq!(value["maybe"], Value::Null);
}

#[test]
fn an_echo_obeys_the_token_limit_and_several_choices() {
    let upstream = Upstream::openai().start();
    let body = with(prompt("gpt-4o", "hi"), json!({"max_tokens": 2, "n": 3}));
    let reply = ask(&upstream, &body).json();
    let choices = reply["choices"].as_array().unwrap();
    assert_eq!(choices.len(), 3);
    assert_eq!(choices[2]["index"], 2);
    assert_eq!(choices[0]["message"]["content"], "Hello from ");
    assert_eq!(choices[0]["finish_reason"], "length");
}

#[test]
fn images_and_tool_results_are_noticed() {
    let upstream = Upstream::openai().start();
    let image = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}});
    let content = json!([{"type": "text", "text": "what is this?"}, image]);
    let body = json!({"model": "m", "messages": [{"role": "user", "content": content}]});
    let text = ask(&upstream, &body).json()["choices"][0]["message"]["content"].to_string();
    assert!(text.contains("what is this? I see 1 image."), "{text}");

    let body = json!({"model": "m", "messages": [{"role": "tool", "content": "12 degrees"}]});
    let text = ask(&upstream, &body).json()["choices"][0]["message"]["content"].to_string();
    assert!(text.contains("The tool said: 12 degrees"), "{text}");
}

#[test]
fn a_refusal_and_a_filter_end_in_their_own_ways() {
    let upstream =
        Upstream::openai().replies_in_turn([refusal("I will not"), content_filtered("so")]);
    let upstream = upstream.start();
    let refused = ask(&upstream, &prompt("gpt-4o", "hi")).json();
    assert_eq!(refused["choices"][0]["message"]["refusal"], "I will not");
    assert_eq!(refused["choices"][0]["message"]["content"], Value::Null);
    let filtered = ask(&upstream, &prompt("gpt-4o", "hi")).json();
    assert_eq!(filtered["choices"][0]["finish_reason"], "content_filter");
}

#[test]
fn azure_sends_a_preamble_and_filter_results() {
    let upstream = Upstream::azure().replies(stream(["a"])).start();
    let mut body = streamed("ignored", "hi");
    body.as_object_mut().unwrap().remove("model");
    let response = Client::of(&upstream).ask(AZURE, "api-key: k\r\n", &body);

    let frames = response.data();
    assert_eq!(frames[0]["choices"], json!([]));
    assert_eq!(frames[0]["id"], "");
    assert_eq!(frames[0]["prompt_filter_results"][0]["prompt_index"], 0);
    assert_eq!(frames[1]["model"], "gpt", "the deployment's name of the path");
    assert_eq!(frames[2]["choices"][0]["content_filter_results"]["hate"]["filtered"], false);
    assert!(response.header("apim-request-id").is_some());

    let whole = Client::of(&upstream).ask("/openai/v1/chat/completions", "", &prompt("g", "hi"));
    assert!(whole.json()["prompt_filter_results"].is_array());
}

#[test]
fn a_dated_azure_path_needs_its_api_version() {
    let upstream = Upstream::azure().start();
    let path = AZURE.split('?').next().unwrap();
    let response = Client::of(&upstream).ask(path, "", &prompt("x", "hi"));
    assert_eq!((response.status(), &response.json()["error"]["code"]), (404, &json!("404")));
}

#[test]
fn anthropic_streams_named_events_in_the_order_of_the_api() {
    let upstream =
        Upstream::anthropic().replies(stream(["a", "b"]).usage(30, 7).cached(10, 5)).start();
    let response = message(&upstream, json!({"stream": true}));

    assert_eq!(
        kinds(&response),
        [
            "message_start",
            "content_block_start",
            "ping",
            "content_block_delta",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop",
        ]
    );
    assert!(response.text().starts_with("event: message_start\ndata: {\"type\":\"message_start\""));
    let data = response.data();
    assert_eq!(data[0]["message"]["usage"]["input_tokens"], 15, "cached tokens are apart");
    assert_eq!(data[0]["message"]["usage"]["output_tokens"], 1);
    assert_eq!(data[3]["delta"], json!({"type": "text_delta", "text": "a"}));
    assert_eq!(data[6]["delta"]["stop_reason"], "end_turn");
    assert_eq!(data[6]["usage"]["output_tokens"], 7);
    assert_eq!(data[6]["usage"]["cache_read_input_tokens"], 10);
}

#[test]
fn anthropic_thinks_first_and_signs_it() {
    let upstream = Upstream::anthropic().replies(chat("b").reasoning(["a"])).start();
    let response = message(&upstream, json!({"stream": true}));
    let data = response.data();
    assert_eq!(
        data[1]["content_block"],
        json!({"type": "thinking", "thinking": "", "signature": ""})
    );
    let signature = data.iter().position(|it| it["delta"]["type"] == "signature_delta").unwrap();
    assert_eq!(data[signature + 1]["type"], "content_block_stop");
    assert_eq!(data[signature + 2]["index"], 1);

    let whole = message(&upstream, json!({})).json();
    assert_eq!(whole["content"][0]["type"], "thinking");
    assert_eq!(whole["content"][1]["text"], "b");
}

#[test]
fn anthropic_tools_stream_one_block_after_another() {
    let upstream = Upstream::anthropic().replies(tool_calls([("a", r#"{"x":1}"#), ("b", "{}")]));
    let upstream = upstream.start();
    let response = message(&upstream, json!({"stream": true}));
    let data = response.data();
    let starts: Vec<_> = data.iter().filter(|it| it["type"] == "content_block_start").collect();
    assert_eq!(starts.len(), 2);
    assert_eq!((&starts[0]["index"], &starts[1]["index"]), (&json!(0), &json!(1)));
    assert_eq!(starts[0]["content_block"]["input"], json!({}));
    assert_eq!(data[2]["delta"], json!({"type": "input_json_delta", "partial_json": ""}));

    let whole = message(&upstream, json!({})).json();
    assert_eq!(whole["stop_reason"], "tool_use");
    assert_eq!(whole["content"][0]["input"], json!({"x": 1}));
}

#[test]
fn anthropic_refuses_what_the_api_refuses() {
    let upstream = Upstream::anthropic().start();
    let complete = with(prompt("claude", "hi"), json!({"max_tokens": 10}));
    let no_version = Client::of(&upstream).ask("/v1/messages", "", &complete);
    assert_eq!(no_version.status(), 400);
    assert_eq!(no_version.json()["error"]["message"], "anthropic-version: header is required");
    let no_limit = Client::of(&upstream).ask("/v1/messages", VERSION, &prompt("claude", "hi"));
    assert_eq!(no_limit.json()["error"]["message"], "max_tokens: Field required");
    let refused = Upstream::anthropic().replies(refusal("")).start();
    let refused = message(&refused, json!({})).json();
    assert_eq!(refused["stop_reason"], "refusal");
    assert_eq!(refused["stop_details"]["type"], "refusal");
}

#[test]
fn every_dialect_has_its_own_words_for_trouble() {
    type Case = (fn() -> crate::mock::Reply, u16, Value, u16, &'static str);
    let cases: [Case; 5] = [
        (|| status(401), 401, json!("invalid_api_key"), 401, "authentication_error"),
        (|| status(529), 529, Value::Null, 529, "overloaded_error"),
        (
            context_window_exceeded,
            400,
            json!("context_length_exceeded"),
            400,
            "invalid_request_error",
        ),
        (insufficient_quota, 429, json!("insufficient_quota"), 402, "billing_error"),
        (overloaded, 503, Value::Null, 529, "overloaded_error"),
    ];
    for (reply, openai_status, code, anthropic_status, kind) in cases {
        let openai = ask(&Upstream::openai().replies(reply()).start(), &prompt("m", "hi"));
        assert_eq!((openai.status(), &openai.json()["error"]["code"]), (openai_status, &code));
        let anthropic = message(&Upstream::anthropic().replies(reply()).start(), json!({}));
        assert_eq!(anthropic.status(), anthropic_status);
        assert_eq!(anthropic.json()["error"]["type"], kind);
        assert_eq!(anthropic.json()["type"], "error");
    }
    let azure = Upstream::azure().replies(content_policy_violation()).start();
    let error = ask(&azure, &prompt("m", "hi")).json()["error"].clone();
    assert_eq!(error["code"], "content_filter");
    assert_eq!(error["innererror"]["code"], "ResponsibleAIPolicyViolation");
    assert_eq!(error["type"], Value::Null);
}

#[test]
fn text_completions_embeddings_models_and_health_are_served() {
    let upstream = Upstream::openai().start();
    let mut client = Client::of(&upstream);
    let body = json!({"model": "m", "prompt": "once"});
    let text = client.ask("/v1/completions", "", &body).json();
    assert_eq!(text["object"], "text_completion");
    assert!(text["choices"][0]["text"].as_str().unwrap().ends_with("once"));
    let streamed = client.ask("/v1/completions", "", &with(body, json!({"stream": true})));
    assert_eq!(streamed.data()[0]["choices"][0]["text"], "Hello ");

    let body = json!({"model": "m", "input": ["a", "b"], "dimensions": 3});
    let vectors = client.ask("/v1/embeddings", "", &body).json();
    assert_eq!(vectors["data"].as_array().unwrap().len(), 2);
    assert_eq!(vectors["data"][1]["embedding"].as_array().unwrap().len(), 3);
    let body = with(body, json!({"encoding_format": "base64"}));
    let coded = client.ask("/openai/v1/embeddings", "", &body).json();
    let coded = coded["data"][0]["embedding"].as_str().unwrap();
    let bytes = base64::engine::general_purpose::STANDARD.decode(coded).unwrap();
    assert_eq!(bytes.len(), 12);

    client.send("GET /v1/models HTTP/1.1\r\n\r\n");
    assert_eq!(client.response().json()["data"][0]["object"], "model");
    client.send("GET /v1/models/gpt-4o HTTP/1.1\r\n\r\n");
    assert_eq!(client.response().json()["id"], "gpt-4o");
    client.send("GET /health HTTP/1.1\r\n\r\n");
    assert_eq!(client.response().status(), 200);
    client.send("GET /nowhere HTTP/1.1\r\n\r\n");
    assert_eq!(client.response().status(), 404);
    client.send("GET /v1/chat/completions HTTP/1.1\r\n\r\n");
    assert_eq!(client.response().status(), 405);
    let tokens = client.ask("/v1/messages/count_tokens", VERSION, &prompt("c", "hi")).json();
    assert!(tokens["input_tokens"].as_u64().unwrap() > 0);
}

#[test]
fn every_prefix_of_a_known_provider_works() {
    let upstream = Upstream::openai().start();
    for path in [
        "/chat/completions",
        "/openai/v1/chat/completions",
        "/inference/v1/chat/completions",
        "/api/v1/chat/completions",
    ] {
        let response = Client::of(&upstream).ask(path, "", &prompt("m", "hi"));
        assert_eq!(response.status(), 200, "{path}");
        assert!(response.json().get("prompt_filter_results").is_none(), "{path}");
    }
}

#[test]
fn every_path_is_answered_in_its_own_dialect() {
    let upstream = Upstream::openai().replies(stream(["a", "b"]).usage(3, 2)).start();
    let content = json!([{"role": "user", "content": "hi"}]);
    let parts = json!([{"role": "user", "content": [{"text": "hi"}]}]);
    let converse = json!({ "messages": parts });
    let house = json!({"engine": "m", "turns": content});
    let cohere = json!({"model": "m", "messages": content});
    let ollama = with(cohere.clone(), json!({"stream": false}));
    let response = json!({"model": "m", "input": "hi"});
    let vertex = json!({"messages": content, "max_tokens": 9, "anthropic_version": "vertex"});
    let gemini = json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]});
    let claude = "/v1/publishers/anthropic/models/claude@1:rawPredict";
    let google = "/v1beta1/publishers/google/models/gemini:generateContent";
    for (path, body, text) in [
        ("/model/claude%3A0/converse", &converse, "/output/message/content/0/text"),
        ("/v2/chat", &cohere, "/message/content/0/text"),
        ("/api/chat", &ollama, "/message/content"),
        ("/v1/responses", &response, "/output/0/content/0/text"),
        ("/house/say", &house, "/out/text"),
        (claude, &vertex, "/content/0/text"),
        (google, &gemini, "/candidates/0/content/parts/0/text"),
    ] {
        let response = Client::of(&upstream).ask(path, "", body);
        assert_eq!(response.json().pointer(text), Some(&json!("ab")), "{path}");
    }
    for (path, body, content_type) in [
        ("/model/claude/converse-stream", &converse, "application/vnd.amazon.eventstream"),
        ("/api/chat", &cohere, "application/x-ndjson"),
        (claude, &with(vertex, json!({"stream": true})), "text/event-stream; charset=utf-8"),
    ] {
        let response = Client::of(&upstream).ask(path, "", body);
        assert_eq!(response.header("content-type"), Some(content_type), "{path}");
        assert!(response.complete, "{path}");
    }
}

#[test]
fn errors_are_in_the_words_of_the_path() {
    let upstream = Upstream::openai().replies(status(429)).start();
    let user = json!([{"role": "user", "content": [{"text": "hi"}]}]);
    let body = json!({"model": "m", "messages": user, "input": "hi", "turns": user, "engine": "m"});
    for (path, text) in [
        ("/model/claude/converse", "/message"),
        ("/v2/chat", "/message"),
        ("/api/chat", "/error"),
        ("/v1/responses", "/error/message"),
        ("/house/say", "/problem/text"),
    ] {
        let response = Client::of(&upstream).ask(path, "", &body);
        assert_eq!(response.status(), 429, "{path}");
        assert!(response.json().pointer(text).is_some_and(Value::is_string), "{path}");
    }
    let refused = Client::of(&upstream).ask("/model/claude/converse", "", &body);
    let kind = refused.header("x-amzn-errortype").unwrap();
    assert!(kind.starts_with("ThrottlingException:"), "{kind}");
}

#[test]
fn the_frames_of_bedrock_are_amazons() {
    // The recorded stream of the golden tests shows how a frame is laid out.
    let upstream = Upstream::bedrock().replies(stream(["a"])).start();
    let body = json!({"messages": [{"role": "user", "content": [{"text": "hi"}]}]});
    let bytes = Client::of(&upstream).ask("/model/claude/converse-stream", "", &body).body;
    let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let (mut at, mut payloads) = (0, Vec::new());
    while at < bytes.len() {
        let (total, headers) = (number(at), number(at + 4));
        assert_eq!(number(at + 8) as u32, crc32fast::hash(&bytes[at..at + 8]));
        let end = at + total - 4;
        assert_eq!(number(end) as u32, crc32fast::hash(&bytes[at..end]));
        payloads.push(String::from_utf8(bytes[at + 12 + headers..end].to_vec()).unwrap());
        at += total;
    }
    assert_eq!(payloads[0], r#"{"role":"assistant"}"#);
    assert_eq!(payloads[1], r#"{"contentBlockIndex":0,"delta":{"text":"a"}}"#);
    assert!(payloads.last().unwrap().contains("usage"));
}
