//! Providers that write loosely, or say nothing of what they used, and what every client makes of it.

use serde_json::{Value, json};

use crate::harness::client::{Ask, Client};
use crate::harness::*;

const CLIENTS: [&str; 4] = ["chat", "messages", "responses", "gemini"];

/// The same question in the words of each client.
fn ask(client: &Client, dialect: &str, model: &str, stream: bool) -> Ask {
    let turns = json!([{"role": "user", "content": "what is this?"}]);
    match dialect {
        "chat" => client.post("/v1/chat/completions").json(&json!({
            "model": model, "messages": turns, "stream": stream,
            "stream_options": {"include_usage": stream}})),
        "messages" => client.post("/v1/messages").json(&json!({
            "model": model, "messages": turns, "stream": stream, "max_tokens": 100})),
        "responses" => client.post("/v1/responses").json(&json!({
            "model": model, "input": "what is this?", "stream": stream})),
        _ => {
            let method = if stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
            client.post(&format!("/v1beta/models/{model}:{method}")).json(&json!({
                "contents": [{"role": "user", "parts": [{"text": "what is this?"}]}]}))
        }
    }
}

fn at_openai(upstream: &Upstream) -> Gateway {
    gateway::with(group("gpt").deployment(upstream))
        .router("num_retries: 0\ndisable_cooldowns: true")
        .start()
}

#[test]
fn an_answer_needs_nothing_but_its_message() {
    for answer in [
        json!({"choices": [{"message": {"content": "tulip"}}]}),
        json!({"id": 5, "object": null, "created": 1.5, "model": null, "system_fingerprint": 1,
            "choices": [{"index": null, "finish_reason": null,
                "message": {"role": null, "content": "tulip", "annotations": {}, "tool_calls": null}}]}),
        json!({"id": "c", "created": "7", "model": "m", "choices": [{"index": 0,
            "message": {"content": [{"type": "text", "text": "tu"}, {"type": "text", "text": "lip"}],
                "reasoning": "r", "reasoning_content": "r"}}]}),
    ] {
        let upstream = upstream::openai().replies(json(&answer)).start();
        let gateway = at_openai(&upstream);
        for dialect in CLIENTS {
            let reply = ask(&gateway.client(), dialect, "gpt", false).send();
            let text = reply.body_text();
            assert_eq!(reply.status, 200, "{dialect} {answer}: {text}");
            assert!(text.contains("tu"), "{dialect}: {text}");
            let body = reply.json();
            match dialect {
                "messages" => {
                    assert_eq!(
                        body["content"].as_array().unwrap().last().unwrap()["text"],
                        "tulip"
                    );
                    assert!(body["id"].as_str().unwrap().len() > "msg_".len(), "{text}");
                    assert!(!body["model"].as_str().unwrap().is_empty(), "{text}");
                }
                "responses" => {
                    assert!(text.contains("tulip") && body["created_at"].is_u64(), "{text}");
                }
                "gemini" => assert!(text.contains("tulip"), "{text}"),
                _ => {}
            }
        }
        assert_eq!(upstream.requests().len(), CLIENTS.len());
    }
}

#[test]
fn an_answer_without_a_message_is_none() {
    for answer in [
        json!({"choices": ["x"]}),
        json!({"choices": []}),
        json!({"choices": [{"message": "hi"}]}),
        json!({"choices": [{"text": "hi"}]}),
    ] {
        let bad = upstream::openai().replies(json(&answer)).start();
        let gateway = at_openai(&bad);
        for dialect in CLIENTS {
            let reply = ask(&gateway.client(), dialect, "gpt", false).send();
            assert_eq!(reply.status, 502, "{dialect} {answer}: {}", reply.body_text());
            assert_eq!(gateway.logged(reply.request_id())["cost_usd"], Value::Null);
        }
    }
}

#[test]
fn what_nobody_counts_is_estimated_alike_for_all() {
    // 18 bytes of text.
    let upstream = upstream::openai().replies(chat("this is a \"tulip\"").without_usage()).start();
    let gateway = at_openai(&upstream);
    let mut seen = Vec::new();
    for dialect in CLIENTS {
        let whole = ask(&gateway.client(), dialect, "gpt", false).send();
        let body = whole.json();
        let stream = ask(&gateway.client(), dialect, "gpt", true).stream();
        let end = match dialect {
            "messages" => stream.events.iter().rfind(|event| event["type"] == "message_delta"),
            _ => stream.events.last(),
        };
        let end = end.cloned().unwrap();
        let (whole_told, stream_told) = match dialect {
            "gemini" => (&body["usageMetadata"], &end["usageMetadata"]),
            "responses" => (&body["usage"], &end["response"]["usage"]),
            _ => (&body["usage"], &end["usage"]),
        };
        let names = match dialect {
            "chat" => ["prompt_tokens", "completion_tokens"],
            "gemini" => ["promptTokenCount", "candidatesTokenCount"],
            _ => ["input_tokens", "output_tokens"],
        };
        for (told, id) in [(whole_told, whole.request_id()), (stream_told, stream.request_id())] {
            let log = gateway.logged(id);
            let usage = &log["usage"];
            assert_eq!(usage["estimated"], true, "{log}");
            let logged = [&usage["input_tokens"], &usage["output_tokens"]];
            assert_eq!(names.map(|name| &told[name]), logged, "{dialect}: {told} {log}");
            seen.push(logged.map(Value::clone));
        }
    }
    let [input, output] = &seen[0];
    assert_eq!(output, 5);
    assert!((4..20).contains(&input.as_u64().unwrap()), "{input} tokens for three words");
    assert!(seen.iter().all(|other| *other == seen[0]), "{seen:?}");
}

fn chunk(text: &str) -> String {
    let chunk = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{"index": 0, "delta": {"content": text}}]});
    format!("data: {chunk}\n\n")
}

#[test]
fn the_last_words_of_a_stream_are_heard() {
    let error = r#"{"error":{"message":"mid boom","type":"rate_limit_error","code":"slow_down"}}"#;
    for last in [format!("data: {error}\n"), format!("{error}\n"), format!("data: {error}")] {
        for before in [vec![], vec![chunk("tulip")]] {
            let events: Vec<_> = before.iter().cloned().chain([last.clone()]).collect();
            let upstream = upstream::openai().replies(frames(events)).start();
            let gateway = at_openai(&upstream);
            let stream = ask(&gateway.client(), "chat", "gpt", true).stream();
            let text = String::from_utf8_lossy(&stream.bytes).into_owned();
            assert!(text.contains("mid boom") && text.contains("slow_down"), "{last}: {text}");
        }
    }
    let page = body_of("text/html; charset=utf-8", "<html><body>nope</body></html>");
    let upstream = upstream::openai().replies(page).start();
    let gateway = at_openai(&upstream);
    for stream in [true, false] {
        let reply = ask(&gateway.client(), "chat", "gpt", stream).send();
        assert_eq!(reply.status, 502);
        assert!(reply.error_message().contains("HTML"), "{}", reply.body_text());
    }
}

#[test]
fn errors_have_the_shape_that_the_client_reads() {
    let refused = json!({"error": {"message": "slow down", "type": "rate_limit"}});
    let claude = upstream::anthropic().replies(json(&refused).with_status(429)).start();
    let gateway = gateway::with(group("claude").deployment(anthropic(&claude)))
        .router("num_retries: 0\ndisable_cooldowns: true")
        .start();
    let reply = ask(&gateway.client(), "messages", "claude", false).send();
    assert_eq!(reply.status, 429);
    let body = reply.json();
    assert_eq!(
        (&body["type"], &body["error"]["type"]),
        (&json!("error"), &json!("rate_limit_error"))
    );
    assert!(body["error"]["message"].as_str().unwrap().contains("slow down"), "{body}");

    let foreign =
        json!({"type": "error", "error": {"type": "overloaded_error", "message": "full"}});
    let google = upstream::gemini().replies(json(&foreign).with_status(529)).start();
    let gateway = gateway::with(group("flash").deployment(gemini(&google)))
        .router("num_retries: 0\ndisable_cooldowns: true")
        .start();
    let reply = ask(&gateway.client(), "gemini", "flash", false).send();
    assert_eq!(
        (reply.status, &reply.json()["error"]["code"]),
        (503, &json!(503)),
        "{}",
        reply.body_text()
    );
}

#[test]
fn a_text_is_completed_by_a_model_that_chats() {
    let claude = upstream::anthropic().replies(chat("tulip").usage(3, 2)).start();
    let gateway = gateway::with(group("claude").deployment(anthropic(&claude)))
        .router("num_retries: 0\ndisable_cooldowns: true")
        .start();
    let ask = |more: Value| {
        let mut body = json!({"model": "claude", "prompt": ["once upon"], "max_tokens": 9});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        gateway.client().post("/v1/completions").json(&body)
    };
    let reply = ask(json!({})).send();
    let body = reply.json();
    assert_eq!((reply.status, &body["object"]), (200, &json!("text_completion")), "{body}");
    assert_eq!(
        (&body["choices"][0]["text"], &body["choices"][0]["finish_reason"]),
        (&json!("tulip"), &json!("stop"))
    );
    assert_eq!(body["usage"]["total_tokens"], 5);
    let sent = claude.last_request().json();
    assert_eq!((&sent["max_tokens"], sent["messages"].as_array().unwrap().len()), (&json!(9), 1));
    assert!(sent["messages"].to_string().contains("once upon"), "{sent}");

    let stream = ask(json!({"stream": true, "stream_options": {"include_usage": true}})).stream();
    let texts = stream.events.iter().filter_map(|event| event["choices"][0]["text"].as_str());
    assert_eq!(texts.collect::<String>(), "tulip");
    assert!(stream.events.iter().all(|event| event["object"] == "text_completion"));
    assert_eq!(stream.events.last().unwrap()["usage"]["total_tokens"], 5);
    assert!(stream.bytes.ends_with(b"data: [DONE]\n\n"));

    for refused in [json!({"echo": true}), json!({"prompt": ["a", "b"]}), json!({"prompt": [1, 2]})]
    {
        let reply = ask(refused.clone()).send();
        assert_eq!(reply.status, 400, "{refused}: {}", reply.body_text());
    }
    assert_eq!(claude.requests().len(), 2);
}

#[test]
fn tokens_become_texts_for_those_who_have_others() {
    let google =
        upstream::gemini().replies(json(&json!({"embeddings": [{"values": [0.5]}]}))).start();
    let model = gemini(&google).model("gemini/gemini-embedding-001");
    let gateway = gateway::with(group("vectors").deployment(model)).start();
    let body = json!({"model": "vectors", "input": [[15339, 1917]], "encoding_format": "float"});
    let reply = gateway.client().post("/v1/embeddings").json(&body).send();
    assert_eq!(reply.status, 200, "{}", reply.body_text());
    let sent = google.last_request().json().to_string();
    assert!(sent.contains("hello world"), "{sent}");
}

#[test]
fn a_compressed_body_is_refused_by_its_name() {
    let upstream = upstream::openai().replies(chat("tulip")).start();
    let gateway = at_openai(&upstream);
    let ask = |coding| {
        let ask = gateway.client().post("/v1/chat/completions").header("content-encoding", coding);
        ask.bytes(r#"{"model":"gpt","messages":[]}"#).send()
    };
    let reply = ask("gzip");
    assert_eq!((reply.status, &*reply.error_code()), (415, "unsupported_content_encoding"));
    assert_eq!(ask("identity").status, 200);
}

#[test]
fn models_are_listed_as_anthropics_clients_read_them() {
    let upstream = upstream::openai().replies(chat("tulip")).start();
    let gateway = gateway::with(group("one").deployment(&upstream))
        .and(group("two").deployment(&upstream))
        .and(group("three").deployment(&upstream))
        .start();
    let get = |path: &str| {
        let ask = gateway.client().request(http::Method::GET, path);
        ask.header("anthropic-version", "2023-06-01").send()
    };
    let all = get("/v1/models").json();
    assert_eq!(
        (&all["first_id"], &all["last_id"], &all["has_more"]),
        (&json!("one"), &json!("three"), &json!(false))
    );
    let first = &all["data"][0];
    assert_eq!((&first["type"], &first["display_name"]), (&json!("model"), &json!("one")));
    assert!(first["created_at"].as_str().unwrap().ends_with('Z'), "{first}");
    let page = get("/v1/models?limit=1&after_id=one").json();
    assert_eq!((&page["first_id"], &page["has_more"]), (&json!("two"), &json!(true)));
    let before = get("/v1/models?limit=1&before_id=three").json();
    assert_eq!((&before["first_id"], &before["has_more"]), (&json!("two"), &json!(true)));
    assert_eq!(get("/v1/models/two").json()["display_name"], "two");
    let missing = get("/v1/models/four");
    assert_eq!((missing.status, &missing.json()["type"]), (404, &json!("error")));
    assert_eq!(gateway.get("/v1/models").json()["object"], "list");
}
