//! OpenAI's Responses API: clients that speak it before providers that do and that do not, and chat
//! clients whose model is offered there alone.

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use crate::harness::*;

const PATH: &str = "/v1/responses";

/// A deployment whose Responses API may be called.
fn responses(upstream: &Upstream, model: &str) -> Deployment {
    openai(upstream).model(model).with("use_chat_completions_api: false")
}

fn ask(gateway: &Gateway, model: &str) -> client::Ask {
    gateway.client().post(PATH).json(&json!({"model": model, "input": "hi"}))
}

/// A response as OpenAI writes it.
fn response(id: &str) -> Value {
    json!({
        "id": id, "object": "response", "created_at": 1, "status": "completed", "model": "gpt-6-luna",
        "output": [{"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
            "content": [{"type": "output_text", "text": "hello", "annotations": []}]}],
        "parallel_tool_calls": true, "tool_choice": "auto", "tools": [], "new_field": 1.50,
        "usage": {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7},
    })
}

fn frame(event: &Value) -> String {
    format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap())
}

fn events(list: &[Value]) -> mock::Reply {
    let numbered = list.iter().enumerate().map(|(number, event)| {
        let mut event = event.clone();
        event["sequence_number"] = number.into();
        frame(&event)
    });
    frames(numbered.map(Bytes::from))
}

fn recorded() -> Bytes {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/70-responses-stream-text");
    std::fs::read(format!("{folder}/upstream_response.sse")).unwrap().into()
}

/// The numbers of a stream have no gap, and its last event is this one.
#[track_caller]
fn whole(stream: &Stream, last: &str) {
    assert_eq!(stream.status, 200, "{stream:?}");
    for (number, event) in stream.events.iter().enumerate() {
        assert_eq!(event["sequence_number"], number, "{event}");
    }
    assert_eq!(stream.events.last().unwrap()["type"], last, "{stream:?}");
    assert!(!stream.cut && !stream.ended_with_done);
}

#[test]
fn a_client_of_the_api_is_answered_by_every_provider() {
    let chatting = upstream::openai().replies(stream(["hel", "lo"]).usage(3, 2)).start();
    let claude = upstream::anthropic().replies(stream(["hel", "lo"]).usage(3, 2)).start();
    let gateway = gateway::with(group("gpt").deployment(&chatting))
        .and(group("claude").deployment(anthropic(&claude)))
        .start();
    for model in ["gpt", "claude"] {
        let asked = ask(&gateway, model).set("instructions", "Be brief.");
        let reply = asked.clone().send();
        assert_eq!(reply.status, 200, "{}", reply.body_text());
        let told = reply.json();
        assert_eq!(told["output"][0]["content"][0]["text"], "hello", "{told}");
        assert_eq!((&told["status"], &told["store"]), (&json!("completed"), &json!(false)));
        assert_eq!(told["instructions"], "Be brief.");
        assert_eq!(told["usage"]["total_tokens"], 5);

        let stream = asked.stream();
        whole(&stream, "response.completed");
        let told = &stream.events.last().unwrap()["response"];
        assert_eq!(told["output"][0]["content"][0]["text"], "hello");
        assert_eq!(told["usage"]["input_tokens"], 3);
    }
    let sent = chatting.last_request();
    assert_eq!(sent.path, "/v1/chat/completions");
    assert_eq!(sent.json()["messages"][0], json!({"role": "system", "content": "Be brief."}));
    assert_eq!(claude.last_request().json()["messages"][0]["role"], "user");
}

#[test]
fn tools_come_one_after_another() {
    let calls = || tool_calls([("f", "{\"a\":1}"), ("g", "{}")]);
    let chatting = upstream::openai().replies(calls()).start();
    let claude = upstream::anthropic().replies(calls()).start();
    let gateway = gateway::with(group("gpt").deployment(&chatting))
        .and(group("claude").deployment(anthropic(&claude)))
        .start();
    for model in ["gpt", "claude"] {
        let tools = json!([{"type": "function", "name": "f", "parameters": {"type": "object"}},
            {"type": "function", "name": "g", "parameters": {"type": "object"}}]);
        let stream = ask(&gateway, model).set("tools", tools).stream();
        whole(&stream, "response.completed");
        let output = stream.events.last().unwrap()["response"]["output"].clone();
        let names: Vec<&Value> =
            output.as_array().unwrap().iter().map(|item| &item["name"]).collect();
        assert_eq!(names, ["f", "g"], "{output}");
        let arguments: Value =
            serde_json::from_str(output[0]["arguments"].as_str().unwrap()).unwrap();
        assert_eq!(arguments, json!({"a": 1}));
    }
}

#[test]
fn errors_have_the_form_that_the_api_knows() {
    let busy = upstream::openai().replies(status(429).retry_after(60)).start();
    let breaks =
        upstream::openai().replies(stream(["a", "b", "c"]).error_frame_after(1, "overloaded", "x"));
    let breaks = breaks.start();
    let gateway = gateway::with(group("busy").deployment(&busy))
        .and(group("breaks").deployment(&breaks))
        .router("num_retries: 0")
        .start();
    let reply = ask(&gateway, "busy").send();
    assert_eq!((reply.status, reply.error_code().as_str()), (429, "rate_limit_exceeded"));

    let stream = ask(&gateway, "breaks").stream();
    whole(&stream, "response.failed");
    assert!(stream.events.iter().all(|event| event["type"] != "error"), "told once: {stream:?}");
    assert_eq!(stream.events.last().unwrap()["response"]["error"]["code"], "server_error");

    for (field, value, code) in [
        ("previous_response_id", json!("resp_1"), "previous_response_not_supported"),
        ("background", json!(true), "background_not_supported"),
        ("tools", json!([{"type": "web_search"}]), "unsupported_tool"),
        ("input", json!([{"type": "computer_call"}]), "unsupported_item"),
        ("input", json!(5), "invalid_type"),
        ("previous_response_id", json!("resp_tg0123456789abcdef_r"), "previous_response_not_found"),
    ] {
        let before = busy.requests().len();
        let reply = ask(&gateway, "breaks").set(field, value).send();
        assert_eq!((reply.status, reply.error_code().as_str()), (400, code), "{field}");
        assert_eq!(busy.requests().len(), before);
    }
}

#[test]
fn where_both_speak_it_bytes_are_passed_on() {
    let provider = upstream::openai().replies(frames([recorded()])).start();
    let deployment = responses(&provider, "openai/gpt-6-luna").with("max_tokens: 64");
    let gateway = gateway::with(group("gpt").deployment(deployment)).start();
    let asked = ask(&gateway, "gpt").set("unknown", json!({"x": 1})).set("tags", json!(["a"]));

    let stream = asked.stream();

    whole(&stream, "response.completed");
    let sent = provider.last_request();
    assert_eq!(sent.path, PATH);
    assert_eq!(
        sent.json(),
        json!({"model": "gpt-6-luna", "input": "hi", "unknown": {"x": 1}, "stream": true,
            "max_output_tokens": 64})
    );
    // All is as it was sent, except that the id names its deployment.
    let told = String::from_utf8(stream.bytes.clone()).unwrap();
    let id = stream.events[0]["response"]["id"].as_str().unwrap();
    assert_eq!(told.replace(id, "resp_made70").as_bytes(), &recorded()[..]);
    let logged = gateway.logged(stream.request_id());
    assert_eq!(logged["status"], 200, "{logged}");
    assert!(logged.to_string().contains("19"), "its usage is counted: {logged}");
}

#[test]
fn what_was_made_is_asked_for_where_it_was_made() {
    let made = |id: &str| {
        let stored = response(id);
        upstream::openai()
            .when(
                |it| it.method == Method::DELETE,
                json(&json!({"id": id, "object": "response", "deleted": true})),
            )
            .when(
                |it| it.path.contains("/input_items"),
                json(&json!({"object": "list", "data": []})),
            )
            .when(
                |it| it.path.ends_with("/input_tokens"),
                json(&json!({"object": "response.input_tokens", "input_tokens": 11})),
            )
            .replies(json(&stored))
            .start()
    };
    let (one, two) = (made("resp_one"), made("resp_two"));
    let gateway = gateway::with(
        group("gpt")
            .deployment(responses(&one, "openai/gpt-6-luna").id("one"))
            .deployment(responses(&two, "openai/gpt-6-luna").id("two")),
    )
    .start();
    for _ in 0..6 {
        let reply = ask(&gateway, "gpt").send();
        assert_eq!(reply.status, 200, "{}", reply.body_text());
        let id = reply.json()["id"].as_str().unwrap().to_owned();
        let (owner, own) =
            if id.ends_with("resp_one") { (&one, "resp_one") } else { (&two, "resp_two") };
        assert!(id.starts_with("resp_tg"), "{id}");
        let seen = owner.requests().len();
        let client = gateway.client();

        let again = client.get(&format!("{PATH}/{id}?include[]=x"));
        assert_eq!((again.status, again.json()["id"].as_str()), (200, Some(&*id)));
        let sent = owner.last_request();
        assert_eq!((sent.method, sent.path), (Method::GET, format!("{PATH}/{own}?include[]=x")));
        assert_eq!(client.get(&format!("{PATH}/{id}/input_items")).json()["object"], "list");
        let cancelled = client.post(&format!("{PATH}/{id}/cancel")).send();
        assert_eq!(cancelled.status, 200, "{}", cancelled.body_text());
        assert_eq!(owner.last_request().path, format!("{PATH}/{own}/cancel"));
        let deleted = client.request(Method::DELETE, &format!("{PATH}/{id}")).send();
        assert_eq!((&deleted.json()["id"], &deleted.json()["deleted"]), (&json!(id), &json!(true)));
        assert_eq!(owner.last_request().method, Method::DELETE);

        let next = ask(&gateway, "gpt").set("previous_response_id", id.as_str()).send();
        assert_eq!(next.status, 200);
        assert_eq!(owner.last_request().json()["previous_response_id"], own);
        assert_eq!(owner.requests().len(), seen + 5, "all of it went to its maker");
    }
    let counted = gateway.client().post(&format!("{PATH}/input_tokens"));
    let counted = counted.json(&json!({"model": "gpt", "input": "hi"})).send();
    assert_eq!(counted.json()["input_tokens"], 11);
    for id in ["resp_unknown", "resp_tg0123456789abcdef_resp_1"] {
        let gone = gateway.client().get(&format!("{PATH}/{id}"));
        assert_eq!((gone.status, gone.error_code().as_str()), (404, "response_not_found"));
    }
    assert_eq!(gateway.client().request(Method::PUT, PATH).send().status, 405);
}

#[test]
fn a_response_that_failed_before_it_said_anything_is_tried_elsewhere() {
    let created = json!({"type": "response.created", "response": response("resp_1")});
    let failed = json!({"type": "response.failed", "response": {"id": "resp_1", "object": "response",
        "status": "failed", "error": {"code": "server_error", "message": "Our servers are currently overloaded."}}});
    let added = json!({"type": "response.output_item.added", "output_index": 0, "item": {"type": "message"}});
    let broken = upstream::openai().replies(events(&[created.clone(), failed.clone()])).start();
    let breaks = upstream::openai().replies(events(&[created, added, failed])).start();
    let well = upstream::openai().replies(frames([recorded()])).start();
    let pair = |bad: &Upstream| {
        let bad = responses(bad, "openai/gpt-6-luna").order(1);
        let good = responses(&well, "openai/gpt-6-luna").order(2);
        group("gpt").deployment(bad).deployment(good)
    };
    let gateway = gateway::with(pair(&broken)).start();
    whole(&ask(&gateway, "gpt").stream(), "response.completed");
    assert_eq!(broken.requests().len(), 1);

    let gateway = gateway::with(pair(&breaks)).start();
    let stream = ask(&gateway, "gpt").stream();
    whole(&stream, "response.failed");
    assert_eq!(stream.events.len(), 3, "it is told once: {stream:?}");
}

#[test]
fn a_chat_client_reaches_models_that_take_tools_there_alone() {
    let folder =
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/08-openai-chat-bridged-to-responses");
    let file = |name: &str| std::fs::read(format!("{folder}/{name}")).unwrap();
    let provider = upstream::openai()
        .when(
            |it| it.json()["stream"] == true,
            frames([Bytes::from(file("upstream_response.sse"))]),
        )
        .when(|it| it.path == PATH, json(&response("resp_1")))
        .replies(chat("by chat"))
        .start();
    let at = |option: &str| openai(&provider).model("openai/gpt-5.6-terra").with(option);
    let gateway = gateway::with(group("gpt").deployment(at("use_chat_completions_api: false")))
        .and(group("custom").deployment(openai(&provider).model("openai/gpt-5.6-terra")))
        .and(group("marked").deployment(openai(&provider).model("openai/responses/gpt-4o")))
        .and(group("moded").deployment(openai(&provider).info("mode: responses")))
        .start();
    let mut body: Value = serde_json::from_slice(&file("client_request.json")).unwrap();
    body["model"] = json!("gpt");
    let stream = gateway.client().post("/v1/chat/completions").json(&body).stream();
    assert!(stream.ended_with_done && stream.finish_reason() == Some("tool_calls"), "{stream:?}");
    assert_eq!(stream.usage().unwrap()["total_tokens"], 99);
    let sent = provider.last_request();
    let expected: Value = serde_json::from_slice(&file("upstream_request.json")).unwrap();
    assert_eq!((sent.path.as_str(), sent.json()), (PATH, expected));

    let without = gateway.client().chat("gpt", "hi");
    assert_eq!(without.text(), "by chat", "without tools the chat API will do");
    for (model, path) in [("custom", "/v1/chat/completions"), ("marked", PATH), ("moded", PATH)] {
        let tools = json!([{"type": "function", "function": {"name": "f"}}]);
        let reply = gateway.client().ask(model, "hi").set("tools", tools).send();
        assert_eq!(reply.status, 200, "{}", reply.body_text());
        assert_eq!(provider.last_request().path, path, "{model}");
    }
    let reply = gateway.client().ask("marked", "hi").set("n", 2).send();
    assert_eq!((reply.status, reply.error_code().as_str()), (400, "unsupported_parameter"));
}

#[test]
fn what_a_model_thought_comes_back_to_the_deployment_that_sealed_it() {
    let thought = json!({"type": "reasoning", "id": "rs_1", "summary": [],
        "encrypted_content": "sealed=="});
    let call = json!({"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f",
        "arguments": "{}", "status": "completed"});
    let mut made = response("resp_1");
    made["output"] = json!([thought, call]);
    let done = |index: usize, item: &Value| {
        let (at, item) = (json!(index), item.clone());
        ["added", "done"].map(|what| {
            json!({"type": format!("response.output_item.{what}"), "output_index": at, "item": item})
        })
    };
    let completed = json!({"type": "response.completed", "response": made});
    let streamed = events(&[&done(0, &thought)[..], &done(1, &call), &[completed]].concat());
    for (first, stream) in [(json(&made), false), (streamed, true)] {
        let answer = || json(&response("resp_2"));
        let provider = upstream::openai().first_replies([first]).replies(answer()).start();
        let other = upstream::openai()
            .when(|it| it.path == PATH, answer())
            .replies(chat("by chat"))
            .start();
        let at = |upstream: &Upstream| responses(upstream, "openai/gpt-5.6-terra");
        let gateway = gateway::with(group("gpt").deployment(at(&provider).id("one")))
            .and(group("other").deployment(at(&other).id("two")))
            .and(group("chat").deployment(openai(&other)))
            .start();
        let tools = json!([{"type": "function", "function": {"name": "f"}}]);
        let ask = gateway.client().ask("gpt", "hi").set("tools", tools.clone());
        let told = if stream {
            let told = ask.stream();
            assert_eq!(told.finish_reason(), Some("tool_calls"), "{told:?}");
            told.events
                .iter()
                .find_map(|it| it["choices"][0]["delta"]["reasoning_items"].get(0).cloned())
        } else {
            let told = ask.send().json();
            told["choices"][0]["message"]["reasoning_items"].get(0).cloned()
        };
        let told = told.unwrap();
        let sealed = told["encrypted_content"].as_str().unwrap();
        assert!(sealed.ends_with(".sealed=="), "the client may keep it, with its owner: {sealed}");

        // A client that knows only fields of the chat API.
        let history = json!([{"role": "user", "content": "hi"},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "call_1", "content": "7"}]);
        let next = |model: &str| {
            let ask = gateway.client().ask(model, "").set("messages", history.clone());
            let reply = ask.set("tools", tools.clone()).send();
            assert_eq!(reply.status, 200, "{}", reply.body_text());
        };
        next("gpt");
        let input = provider.last_request().json()["input"].clone();
        let kinds: Vec<&Value> =
            input.as_array().unwrap().iter().map(|item| &item["type"]).collect();
        assert_eq!(kinds, ["message", "reasoning", "function_call", "function_call_output"]);
        assert_eq!(input[1]["encrypted_content"], "sealed==");
        assert_eq!(input[1].get("id"), None, "ids of what is not kept are refused");
        next("other");
        let sent = other.last_request();
        assert!(!sent.json().to_string().contains("sealed=="), "another account cannot open it");
        next("chat");
        assert_eq!(other.last_request().path, "/v1/chat/completions");
        assert!(!other.last_request().json().to_string().contains("sealed=="));
    }
}

#[test]
fn an_account_is_not_shown_what_another_one_sealed() {
    let mut made = response("resp_1");
    made["output"] = json!([{"type": "reasoning", "id": "rs_1", "summary": [],
        "encrypted_content": "sealed=="}]);
    let [one, two] = [made.clone(), response("resp_2")]
        .map(|answer| upstream::openai().replies(json(&answer)).start());
    let at = |upstream: &Upstream| responses(upstream, "openai/gpt-6-luna");
    let gateway = gateway::with(group("gpt").deployment(at(&one).id("one")))
        .and(group("other").deployment(at(&two).id("two")))
        .start();
    let first = ask(&gateway, "gpt").send().json();
    let item = first["output"][0].clone();
    let input = json!([item, {"role": "user", "content": "go on"}]);
    let again =
        |model: &str| gateway.client().post(PATH).json(&json!({"model": model, "input": input}));
    assert_eq!(again("gpt").send().status, 200);
    assert_eq!(one.last_request().json()["input"][0], made["output"][0]);
    assert_eq!(again("other").send().status, 200);
    assert_eq!(two.last_request().json()["input"], json!([{"role": "user", "content": "go on"}]));
}

#[test]
fn a_conversation_is_compacted_and_a_response_is_streamed_again() {
    let compacted = json!({"id": "cmp_1", "object": "response.compaction", "created_at": 1,
        "output": [{"type": "compaction", "id": "cmp_1", "encrypted_content": "sealed=="}],
        "usage": {"input_tokens": 30, "output_tokens": 4, "total_tokens": 34}});
    let queued = json!({"type": "response.queued", "response": {"id": "resp_1", "object": "response",
        "status": "queued", "output": []}});
    let completed = json!({"type": "response.completed", "response": response("resp_1")});
    let provider = upstream::openai()
        .when(|it| it.path == "/v1/responses/compact", json(&compacted))
        .when(|it| it.path == "/v1/responses/resp_1?stream=true", events(&[queued, completed]))
        .replies(json(&response("resp_1")))
        .start();
    let gateway =
        gateway::with(group("gpt").deployment(responses(&provider, "openai/gpt-6-luna"))).start();
    let asked = gateway.client().post(&format!("{PATH}/compact"));
    let reply = asked.json(&json!({"model": "gpt", "input": "hi"})).send();
    assert_eq!((reply.status, reply.json()), (200, compacted), "{}", reply.body_text());
    let sent = provider.last_request().json();
    assert_eq!((&sent["model"], &sent["input"]), (&json!("gpt-6-luna"), &json!("hi")));
    let made = ask(&gateway, "gpt").send().json();
    let id = made["id"].as_str().unwrap();
    let asked = gateway.client().request(Method::GET, &format!("{PATH}/{id}?stream=true"));
    let stream = asked.stream();
    whole(&stream, "response.completed");
    assert_eq!(stream.events.last().unwrap()["response"]["id"], made["id"]);
}

#[test]
fn what_a_response_goes_on_from_is_reserved_as_well() {
    let long = |id: &str| {
        let mut response = response(id);
        response["usage"] = json!({"input_tokens": 990, "output_tokens": 10, "total_tokens": 1000});
        response
    };
    let begun = json!({"type": "response.created", "response": long("resp_2")});
    let done = json!({"type": "response.completed", "response": long("resp_2")});
    let provider = upstream::openai()
        .first_replies([json(&long("resp_1")), events(&[begun, done])])
        .replies(json(&response("resp_3")))
        .start();
    let gateway = gateway::with(group("gpt").deployment(responses(&provider, "openai/gpt-6-luna")))
        .master_key("sk-master-of-this-test")
        .start();
    let made = gateway.client().post("/key/generate").json(&json!({"tpm_limit": 2500})).send();
    let key = made.json()["key"].as_str().unwrap().to_owned();
    let client = gateway.client().with_key(Some(&key));
    let asks = || {
        let body = json!({"model": "gpt", "input": "hi", "max_output_tokens": 10});
        client.post(PATH).json(&body)
    };
    let first = asks().send().json()["id"].as_str().unwrap().to_owned();
    let second = asks().stream();
    let second = second.events.first().unwrap()["response"]["id"].as_str().unwrap().to_owned();
    // Of 2500 tokens 2000 are used.
    for id in [first, second] {
        let refused = asks().set("previous_response_id", id.as_str()).send();
        assert_eq!(refused.status, 429, "{}", refused.body_text());
    }
    let unknown = asks().set("previous_response_id", "resp_of_another").send();
    assert_eq!(unknown.status, 200, "what nobody knows is not counted: {}", unknown.body_text());
    assert_eq!(asks().send().status, 200);
}
