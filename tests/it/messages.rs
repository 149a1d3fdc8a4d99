//! Clients that speak Anthropic Messages, before Anthropic itself and before a provider that speaks as
//! OpenAI does.

use serde_json::{Value, json};

use crate::harness::client::{Ask, Client, Stream};
use crate::harness::*;

fn body(model: &str) -> Value {
    json!({"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]})
}

fn ask(client: &Client, model: &str) -> Ask {
    client.post("/v1/messages").json(&body(model))
}

/// A gateway with `claude` at Anthropic and `gpt` at OpenAI.
fn both(claude: &Upstream, gpt: &Upstream) -> Gateway {
    gateway::with(group("claude").deployment(anthropic(claude)))
        .and(group("gpt").deployment(gpt))
        .router("num_retries: 0\ndisable_cooldowns: true")
        .start()
}

/// The names of a stream's events, and that each goes with its data.
fn names(stream: &Stream) -> Vec<String> {
    let text = String::from_utf8_lossy(&stream.bytes).into_owned();
    let frames = text.split("\n\n").filter(|frame| frame.starts_with("event: "));
    frames
        .map(|frame| {
            let (name, data) = frame.split_once('\n').unwrap();
            let name = name.strip_prefix("event: ").unwrap();
            let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
            assert_eq!(data["type"], name);
            name.to_owned()
        })
        .collect()
}

fn said(stream: &Stream) -> String {
    let pieces = stream.events.iter();
    pieces.filter_map(|event| event["delta"]["text"].as_str()).collect()
}

fn inputs(stream: &Stream) -> Vec<Value> {
    let starts = stream.events.iter().filter(|event| event["content_block"]["type"] == "tool_use");
    starts
        .map(|start| {
            let pieces = stream.events.iter().filter(|event| event["index"] == start["index"]);
            let json: String =
                pieces.filter_map(|event| event["delta"]["partial_json"].as_str()).collect();
            serde_json::from_str(&json).unwrap()
        })
        .collect()
}

#[test]
fn text_is_a_message_wherever_it_comes_from() {
    let claude =
        upstream::anthropic().replies(chat("hello there").usage(30, 7).cached(10, 5)).start();
    let gpt = upstream::openai().replies(chat("hello there").usage(30, 7).cached(10, 0)).start();
    let gateway = both(&claude, &gpt);
    let client = gateway.client();

    for (model, input, written) in [("claude", 15, 5), ("gpt", 20, 0)] {
        for path in ["/v1/messages", "/v1/messages?beta=true", "/messages"] {
            let reply = client.post(path).json(&body(model)).send();
            assert_eq!(reply.status, 200, "{}", reply.body_text());
            let message = reply.json();
            assert_eq!(message["type"], "message");
            assert_eq!(message["content"], json!([{"type": "text", "text": "hello there"}]));
            assert_eq!(message["stop_reason"], "end_turn");
            assert!(message["id"].as_str().unwrap().starts_with("msg_"), "{message}");
            assert_eq!(message["usage"]["input_tokens"], input);
            assert_eq!(message["usage"]["cache_read_input_tokens"], 10);
            assert_eq!(message["usage"]["cache_creation_input_tokens"], written);
            assert_eq!(message["usage"]["output_tokens"], 7);
            let log = gateway.logged(reply.request_id());
            assert_eq!(
                (&log["usage"]["input_tokens"], &log["route"]),
                (&json!(30), &json!("/v1/messages"))
            );
        }
        let stream = ask(&client, model).stream();
        assert_eq!(said(&stream), "hello there");
        let names = names(&stream);
        assert_eq!(names.first().map(String::as_str), Some("message_start"));
        assert_eq!(names.last().map(String::as_str), Some("message_stop"));
        let end = stream.events.iter().find(|event| event["type"] == "message_delta").unwrap();
        assert_eq!(end["usage"]["input_tokens"], input, "{end}");
        assert_eq!(end["usage"]["output_tokens"], 7);
        let log = gateway.logged(stream.request_id());
        assert_eq!(log["usage"]["input_tokens"], 30, "{log}");
    }
    let sent = gpt.last_request().json();
    assert_eq!(sent["stream_options"], json!({"include_usage": true}));
    assert_eq!(sent["max_completion_tokens"], 100);
}

#[test]
fn what_a_client_of_anthropic_sends_anthropic_arrives_as_it_was_written() {
    let claude = upstream::anthropic().replies(chat("hello")).start();
    let gateway = gateway::with(group("claude").deployment(anthropic(&claude))).start();
    let written = "{ \"model\":\"claude\", \"max_tokens\" : 5,\"new_field\":{\"a\":1.50},\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"new_block\",\"x\":1e2}]}], \"fallbacks\":[],\"metadata\":{\"tags\":[\"t\"]}}";
    let reply = gateway
        .client()
        .post("/v1/messages")
        .header("anthropic-version", "2026-10-21")
        .header("anthropic-beta", "new-beta-2027-01-01,b")
        .header("content-type", "application/json")
        .bytes(written)
        .send();
    assert_eq!(reply.status, 200, "{}", reply.body_text());
    let sent = claude.last_request();
    assert_eq!(
        String::from_utf8_lossy(&sent.body),
        "{ \"model\":\"claude-sonnet-4-5\", \"max_tokens\" : 5,\"new_field\":{\"a\":1.50},\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"new_block\",\"x\":1e2}]}]}"
    );
    assert_eq!(sent.header("anthropic-version"), Some("2026-10-21"));
    assert_eq!(sent.header("anthropic-beta"), Some("new-beta-2027-01-01,b"));
    assert_eq!(sent.path, "/v1/messages");
}

#[test]
fn a_reply_and_a_stream_of_anthropic_pass_byte_for_byte() {
    let message = r#"{"id":"msg_1", "type":"message","role":"assistant","model":"m","content":[{"type":"future_block","n":1.0}],"stop_reason":"end_turn","usage":{"input_tokens":3,"output_tokens":2},"diagnostics":{}}"#;
    let claude = upstream::anthropic()
        .replies(body_of("application/json", message).header("request-id", "req_of_anthropic"))
        .start();
    let gateway = gateway::with(group("claude").deployment(anthropic(&claude))).start();
    let client = gateway.client();
    let reply = ask(&client, "claude").send();
    assert_eq!(reply.body_text(), message);
    assert_eq!(reply.header("request-id"), "req_of_anthropic");
    assert_eq!(gateway.logged(reply.request_id())["usage"]["output_tokens"], 2);

    let events = [
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"usage\":{\"input_tokens\":3,\"output_tokens\":1}}}\n\n",
        "event: future_event\ndata: {\"type\":\"future_event\", \"x\":1.0}\n\n",
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"future_block\"}}\n\n",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"future_delta\",\"x\":\"y\"}}\n\n",
        "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":4}}\n\n",
        "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    ];
    claude.now_replies(frames(events));
    let stream = ask(&client, "claude").stream();
    assert_eq!(String::from_utf8_lossy(&stream.bytes), events.concat());
    let log = gateway.logged(stream.request_id());
    assert_eq!(
        (&log["usage"]["input_tokens"], &log["usage"]["output_tokens"]),
        (&json!(3), &json!(4))
    );
}

#[test]
fn parallel_tools_are_called_one_after_the_other() {
    let calls = || tool_calls([("f", "{\"x\":1}"), ("g", "{\"y\":[2]}")]);
    let claude = upstream::anthropic().replies(calls()).start();
    let gpt = upstream::openai().replies(calls()).start();
    let gateway = both(&claude, &gpt);
    let tools = json!([{"name": "f", "input_schema": {"type": "object"}},
                       {"name": "g", "input_schema": {"type": "object"}}]);
    for model in ["claude", "gpt"] {
        let client = gateway.client();
        let message = ask(&client, model).set("tools", tools.clone()).send().json();
        assert_eq!(message["stop_reason"], "tool_use", "{message}");
        assert_eq!(message["content"][0]["input"], json!({"x": 1}));
        assert_eq!(message["content"][1]["input"], json!({"y": [2]}));
        let stream = ask(&client, model).set("tools", tools.clone()).stream();
        assert_eq!(inputs(&stream), [json!({"x": 1}), json!({"y": [2]})]);
    }
    assert_eq!(gpt.last_request().json()["tools"][1]["function"]["name"], "g");
}

#[test]
fn images_thinking_and_structured_output_reach_openai_in_its_words() {
    let gpt = upstream::openai().replies(chat("{}").reasoning(["hm"])).start();
    let gateway = gateway::with(group("gpt").deployment(openai(&gpt).model("deepseek/x"))).start();
    let image = json!({"type": "image", "source":
        {"type": "base64", "media_type": "image/png", "data": "AA=="}});
    let schema = json!({"type": "object", "properties": {}, "additionalProperties": false});
    let ask = || {
        ask(&gateway.client(), "gpt")
            .set("thinking", json!({"type": "enabled", "budget_tokens": 12000}))
            .set("output_config", json!({"format": {"type": "json_schema", "schema": schema}}))
            .set("messages", json!([
                {"role": "user", "content": [{"type": "text", "text": "look", "cache_control": {"type": "ephemeral"}}]},
                {"role": "assistant", "content": [
                    {"type": "thinking", "thinking": "before", "signature": ""},
                    {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1",
                    "is_error": true, "content": [{"type": "text", "text": "no"}, image]}]},
            ]))
    };
    let message = ask().send().json();
    assert_eq!(message["content"][0]["thinking"], "hm", "{message}");
    let stream = ask().stream();
    let thought = stream.events.iter().find_map(|event| event["delta"]["thinking"].as_str());
    assert_eq!(thought, Some("hm"));
    let sent = gpt.last_request().json();
    // DeepSeek's own words for it.
    assert_eq!(sent["thinking"]["type"], "enabled", "{sent}");
    assert_eq!(sent["response_format"]["json_schema"]["schema"], schema);
    assert_eq!(
        sent["messages"],
        json!([
            {"role": "user", "content": [{"type": "text", "text": "look"}]},
            {"role": "assistant", "content": Value::Null, "reasoning_content": "before", "tool_calls": [
                {"id": "toolu_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "content": "Error: no", "tool_call_id": "toolu_1"},
            {"role": "user", "content": [{"type": "text", "text": "Returned by the tool:"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]},
        ]).as_array().map(|all| {
            let mut all = all.clone();
            all[1].as_object_mut().unwrap().remove("content");
            Value::from(all)
        }).unwrap()
    );
}

#[test]
fn errors_of_anthropic_are_passed_on_and_others_are_put_in_its_words() {
    let claude = upstream::anthropic().start();
    let gpt = upstream::openai().start();
    let gateway = both(&claude, &gpt);
    let client = gateway.client();

    let text = r#"{"type":"error", "error":{"type":"invalid_request_error","message":"max_tokens: 5 > 4","details":{"error_code":"x"}},"request_id":"req_9"}"#;
    claude.now_replies(body_of("application/json", text).with_status(400));
    for reply in [ask(&client, "claude").send(), ask(&client, "claude").set("stream", true).send()]
    {
        assert_eq!((reply.status, reply.body_text().as_str()), (400, text));
    }
    claude.now_replies(overloaded());
    let busy = ask(&client, "claude").send();
    assert_eq!((busy.status, &busy.json()["error"]["type"]), (529, &json!("overloaded_error")));
    claude.now_replies(status(401).json_error("authentication_error", "invalid x-api-key"));
    let hidden = ask(&client, "claude").send();
    assert_eq!(hidden.status, 401);
    assert!(!hidden.body_text().contains("x-api-key"), "{}", hidden.body_text());

    gpt.now_replies(rate_limited());
    let limited = ask(&client, "gpt").send();
    assert_eq!(
        (limited.status, &limited.json()["error"]["type"]),
        (429, &json!("rate_limit_error"))
    );
    assert_eq!(limited.json()["type"], "error");
    gpt.now_replies(context_window_exceeded());
    let long = ask(&client, "gpt").send();
    assert_eq!(long.status, 400);
    let message = long.error_message();
    assert!(
        message.starts_with("prompt is too long: ") && message.ends_with(" maximum"),
        "{message}"
    );
    let unknown = ask(&client, "nothing").send();
    assert_eq!(
        (unknown.status, &unknown.json()["error"]["type"]),
        (404, &json!("not_found_error"))
    );
    let hosted = json!([{"type": "web_search_20250305", "name": "web_search"}]);
    gpt.now_replies(chat("hello"));
    let refused = ask(&client, "gpt").set("tools", hosted).send();
    assert_eq!(refused.status, 400);
    assert!(refused.error_message().contains("web_search_20250305"), "{}", refused.error_message());
    let wrong = ask(&client, "gpt")
        .set("messages", json!([{"role": "user", "content": [{"type": "text"}]}]));
    assert!(wrong.send().error_message().contains("messages.0.content.0.text"));
}

#[test]
fn a_stream_that_fails_or_breaks_ends_with_an_error_event() {
    let claude = upstream::anthropic().start();
    let gpt = upstream::openai().start();
    let gateway = both(&claude, &gpt);
    let client = gateway.client();
    let begun = || stream(["one ", "two ", "three"]).each_frame_alone();

    claude.now_replies(begun().error_frame_after(1, "overloaded_error", "Overloaded"));
    gpt.now_replies(begun().error_frame_after(1, "server_error", "broke"));
    for (model, kind) in [("claude", "overloaded_error"), ("gpt", "api_error")] {
        let stream = ask(&client, model).stream();
        assert_eq!(said(&stream), "one ", "{model}");
        assert_eq!(stream.error.as_ref().unwrap()["type"], kind, "{model}");
        assert_eq!(names(&stream).last().map(String::as_str), Some("error"));
    }
    claude.now_replies(begun().cut_after(2));
    gpt.now_replies(begun().cut_after(2));
    for model in ["claude", "gpt"] {
        let stream = ask(&client, model).stream();
        assert_eq!(said(&stream), "one two ", "{model}");
        assert_eq!(stream.error.as_ref().unwrap()["type"], "api_error", "{model}");
        assert_eq!(names(&stream).last().map(String::as_str), Some("error"));
    }
}

#[test]
fn a_broken_stream_is_gone_on_with_as_one_message() {
    let breaking = || stream(["one ", "two "]).each_frame_alone().cut_after(2);
    for first_is_claude in [true, false] {
        let claude = upstream::anthropic().start();
        let gpt = upstream::openai().start();
        let (first, second) = if first_is_claude { (&claude, &gpt) } else { (&gpt, &claude) };
        first.now_replies(breaking());
        second.now_replies(stream(["three ", "four"]));
        let gateway = gateway::with(
            group("both")
                .deployment(anthropic(&claude).with(if first_is_claude {
                    "order: 1"
                } else {
                    "order: 2"
                }))
                .deployment(openai(&gpt).with(if first_is_claude {
                    "order: 2"
                } else {
                    "order: 1"
                })),
        )
        .router("mid_stream_failover: true\nnum_retries: 2")
        .start();
        let stream = ask(&gateway.client(), "both").stream();
        assert_eq!(
            said(&stream),
            "one two three four",
            "{}",
            String::from_utf8_lossy(&stream.bytes)
        );
        let names = names(&stream);
        for once in ["message_start", "content_block_start", "content_block_stop", "message_stop"] {
            assert_eq!(names.iter().filter(|name| *name == once).count(), 1, "{once}: {names:?}");
        }
        assert!(stream.error.is_none());
    }
}

#[test]
fn a_fallback_keeps_the_history_and_leaves_out_what_it_would_refuse() {
    let claude = upstream::anthropic().start();
    let gpt = upstream::openai().start();
    let gateway = gateway::with(group("claude").deployment(anthropic(&claude)))
        .and(group("gpt").deployment(&gpt))
        .router("num_retries: 0\nfallbacks: [{claude: [gpt]}, {gpt: [claude]}]\ndisable_cooldowns: true")
        .start();
    let history = json!([
        {"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}]},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "of another", "signature": ""},
            {"type": "text", "text": "b"}]},
        {"role": "user", "content": "c"},
    ]);
    claude.now_replies(status(500));
    gpt.now_replies(chat("from gpt"));
    let reply = ask(&gateway.client(), "claude").set("messages", history.clone()).send();
    assert_eq!(reply.json()["content"][0]["text"], "from gpt");
    assert!(!String::from_utf8_lossy(&gpt.last_request().body).contains("cache_control"));

    gpt.now_replies(status(500));
    claude.now_replies(chat("from claude"));
    let reply = ask(&gateway.client(), "gpt").set("messages", history).send();
    assert_eq!(reply.json()["content"][0]["text"], "from claude");
    let sent = claude.last_request().json();
    assert_eq!(sent["messages"][0]["content"][0]["cache_control"]["type"], "ephemeral");
    assert_eq!(sent["messages"][1]["content"], json!([{"type": "text", "text": "b"}]));
}

#[test]
fn tokens_are_counted_by_anthropic_or_here() {
    let claude = upstream::anthropic().start();
    let gpt = upstream::openai().start();
    let gateway = both(&claude, &gpt);
    let client = gateway.client();
    let count = |model: &str| {
        let body = json!({"model": model, "messages": [{"role": "user", "content": "hello there"}],
                          "num_retries": 0});
        client.post("/v1/messages/count_tokens").json(&body).send()
    };
    let counted = count("claude");
    assert_eq!(counted.status, 200, "{}", counted.body_text());
    assert!(counted.json()["input_tokens"].as_u64() > Some(0));
    let sent = claude.last_request();
    assert_eq!(sent.path, "/v1/messages/count_tokens");
    assert_eq!(sent.json()["model"], "claude-sonnet-4-5");
    assert_eq!(sent.json()["num_retries"], Value::Null);
    let here = count("gpt");
    assert_eq!(here.json(), json!({"input_tokens": 9}));
    assert_eq!(here.header("x-tollgate-token-count"), "exact");
    assert_eq!(gpt.request_count(), 0);
    let log = gateway.logged(counted.request_id());
    assert_eq!((&log["usage"], &log["status"]), (&Value::Null, &json!(200)), "counting is free");
}

#[test]
fn a_key_is_taken_from_either_header() {
    let claude = upstream::anthropic().replies(chat("hello")).start();
    let gateway = gateway::with(group("claude").deployment(anthropic(&claude)))
        .master_key("sk-right")
        .start();
    let client = gateway.client().with_key(None);
    for (headers, status) in [
        (vec![("x-api-key", "sk-right")], 200),
        (vec![("authorization", "Bearer sk-right")], 200),
        (vec![("x-api-key", "sk-right"), ("authorization", "Bearer placeholder")], 200),
        (vec![("x-api-key", "placeholder"), ("authorization", "Bearer sk-right")], 200),
        (vec![("x-api-key", "sk-wrong")], 401),
        (vec![], 401),
    ] {
        for version in ["2023-06-01", "2026-10-21"] {
            let mut ask = ask(&client, "claude").header("anthropic-version", version);
            for (name, value) in &headers {
                ask = ask.header(name, value);
            }
            let reply = ask.send();
            assert_eq!(reply.status, status, "{headers:?}: {}", reply.body_text());
            if status == 401 {
                assert_eq!(reply.json()["error"]["type"], "authentication_error");
            } else {
                assert_eq!(claude.last_request().key(), Some("sk-upstream-of-the-tests"));
                assert_eq!(claude.last_request().header("authorization"), None);
            }
        }
    }
}

#[test]
fn claude_code_s_calls_are_answered_in_their_order() {
    let claude = upstream::anthropic().replies(chat("done").reasoning(["hm"])).start();
    let gpt = upstream::openai().replies(chat("done")).start();
    let gateway = both(&claude, &gpt);
    let client = gateway.client();
    let as_it_asks = |ask: Ask| {
        ask.header("anthropic-version", "2023-06-01")
            .header("anthropic-beta", "claude-code-20250219,interleaved-thinking-2025-05-14")
            .header("x-app", "cli")
    };
    // Whether anybody is there.
    assert_eq!(client.request(http::Method::HEAD, "/").send().status, 200);
    for model in ["claude", "gpt"] {
        let mut quota = body(model);
        quota["max_tokens"] = json!(1);
        quota["metadata"] = json!({"user_id": "user_1_account__session_2"});
        let reply = as_it_asks(client.post("/v1/messages?beta=true")).json(&quota).send();
        assert_eq!(reply.status, 200, "{}", reply.body_text());

        let tools = json!([{"name": "Bash", "description": "runs", "input_schema": {
            "$schema": "http://json-schema.org/draft-07/schema#", "type": "object",
            "properties": {"command": {"type": "string"}}, "required": ["command"],
            "additionalProperties": false}}]);
        let counted = json!({"model": model, "tools": tools,
            "messages": [{"role": "user", "content": "foo"}]});
        let path = "/v1/messages/count_tokens?beta=true";
        let reply = as_it_asks(client.post(path)).json(&counted).send();
        assert!(reply.json()["input_tokens"].as_u64() > Some(1), "{}", reply.body_text());

        let work = json!({"model": model, "max_tokens": 32_000, "tools": tools,
            "system": [{"type": "text", "text": "You are Claude Code",
                "cache_control": {"type": "ephemeral"}}],
            "thinking": {"type": "enabled", "budget_tokens": 10_000},
            "metadata": {"user_id": "user_1"},
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "hi",
                    "cache_control": {"type": "ephemeral"}}]},
                {"role": "assistant", "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
                    {"type": "tool_use", "id": "toolu_1", "name": "Bash",
                        "input": {"command": "ls"}}]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1",
                    "content": "a", "is_error": false}]}]});
        let stream = as_it_asks(client.post("/v1/messages?beta=true")).json(&work).stream();
        assert_eq!(said(&stream), "done", "{stream:?}");
        assert_eq!(names(&stream).last().map(String::as_str), Some("message_stop"));
    }
    let sent = claude.last_request();
    assert_eq!(
        sent.header("anthropic-beta"),
        Some("claude-code-20250219,interleaved-thinking-2025-05-14")
    );
    assert_eq!(sent.json()["metadata"], json!({"user_id": "user_1"}));
    assert_eq!(sent.json()["messages"][1]["content"][0]["signature"], "c2ln");
    let sent = gpt.last_request();
    assert_eq!((sent.header("anthropic-beta"), &sent.json()["user"]), (None, &json!("user_1")));
}
