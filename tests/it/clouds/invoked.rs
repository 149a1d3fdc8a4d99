//! InvokeModel at Bedrock: Claude in its own format (`bedrock/invoke/...`), and what is passed as it is
//! and metered all the same; agents and knowledge bases.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Value, json};

use super::bedrock::{is_signed, with_keys};
use super::server::{Server, json as answers, json_with};
use crate::harness::stepped::Stepped;
use crate::harness::*;

const CLAUDE: &str = "bedrock/invoke/us.anthropic.claude-haiku-4-5-20251001-v1:0";
const PATH: &str = "/model/us.anthropic.claude-haiku-4-5-20251001-v1%3A0";
const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/vnd.amazon.eventstream\r\n\
                    connection: close\r\n\r\n";

fn message() -> Value {
    json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-haiku-4-5-20251001",
        "content": [{"type": "text", "text": "from Claude"}], "stop_reason": "end_turn",
        "usage": {"input_tokens": 3, "cache_read_input_tokens": 4, "output_tokens": 2},
    })
}

/// A frame of a stream, with one event of a model in it.
fn frame(event: &Value) -> Vec<u8> {
    let mut headers = Vec::new();
    for (name, value) in [(":event-type", "chunk"), (":message-type", "event")] {
        headers.push(u8::try_from(name.len()).unwrap());
        headers.extend_from_slice(name.as_bytes());
        headers.push(7);
        headers.extend_from_slice(&u16::try_from(value.len()).unwrap().to_be_bytes());
        headers.extend_from_slice(value.as_bytes());
    }
    let payload = json!({"bytes": STANDARD.encode(event.to_string())}).to_string();
    let total = u32::try_from(16 + headers.len() + payload.len()).unwrap();
    let mut frame = total.to_be_bytes().to_vec();
    frame.extend_from_slice(&u32::try_from(headers.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
    frame.extend_from_slice(&headers);
    frame.extend_from_slice(payload.as_bytes());
    frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
    frame
}

fn events() -> Vec<Vec<u8>> {
    let usage = json!({"input_tokens": 3, "cache_read_input_tokens": 4, "output_tokens": 1});
    let started = json!({"id": "msg_1", "type": "message", "role": "assistant", "content": [],
                         "model": "claude-haiku-4-5-20251001", "usage": usage});
    let text = |text: &str| {
        json!({"type": "content_block_delta", "index": 0,
               "delta": {"type": "text_delta", "text": text}})
    };
    let events = [
        json!({"type": "message_start", "message": started}),
        json!({"type": "content_block_start", "index": 0,
               "content_block": {"type": "text", "text": ""}}),
        text("from "),
        text("Claude"),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"},
               "usage": {"output_tokens": 2}}),
        json!({"type": "message_stop", "amazon-bedrock-invocationMetrics":
               {"inputTokenCount": 3, "outputTokenCount": 2, "cacheReadInputTokenCount": 4}}),
    ];
    events.iter().map(frame).collect()
}

#[track_caller]
fn used(gateway: &Gateway, id: &str, input: u64, output: u64) -> Value {
    let line = gateway.logged(id);
    let usage = (&line["usage"]["input_tokens"], &line["usage"]["output_tokens"]);
    assert_eq!(usage, (&input.into(), &output.into()), "{line}");
    line
}

#[test]
fn claude_is_called_in_its_own_format() {
    let bedrock = Server::start(|_| answers(message()));
    let gateway = with_keys(&bedrock.url(), CLAUDE, &[]).start();
    let reply = gateway.client().chat("m", "hi");
    assert_eq!(reply.text(), "from Claude", "{}", reply.body_text());
    let seen = bedrock.last();
    assert_eq!(seen.path, format!("{PATH}/invoke"));
    is_signed(&seen);
    let sent = seen.json();
    assert_eq!(sent["anthropic_version"], "bedrock-2023-05-31");
    assert_eq!(sent["messages"][0]["role"], "user");
    for absent in ["model", "stream", "anthropic_beta"] {
        assert!(sent.get(absent).is_none(), "{sent}");
    }
    assert!(sent["max_tokens"].is_u64(), "{sent}");
    assert!(seen.header("anthropic-version").is_empty());
    let line = used(&gateway, reply.request_id(), 7, 2);
    assert!(line["cost_usd"].as_f64().is_some_and(|cost| cost > 0.0), "{line}");
}

#[test]
fn its_own_clients_are_passed_on_to_it() {
    let bedrock = Server::start(|_| answers(message()));
    let gateway = with_keys(&bedrock.url(), CLAUDE, &[]).start();
    let body = json!({"model": "m", "max_tokens": 9, "unknown": {"kept": true},
                      "messages": [{"role": "user", "content": "hi"}]});
    let client = gateway.client();
    let reply = client
        .post("/v1/messages")
        .header("anthropic-beta", "claude-code-20250219,context-1m-2025-08-07")
        .json(&body)
        .send();
    assert_eq!(reply.json(), message(), "{}", reply.body_text());
    assert_eq!(
        bedrock.last().json(),
        json!({"max_tokens": 9, "unknown": {"kept": true}, "messages": body["messages"],
               "anthropic_version": "bedrock-2023-05-31",
               "anthropic_beta": ["context-1m-2025-08-07"]})
    );
    bedrock.now(|_| {
        let kind = ("x-amzn-errortype", "ValidationException");
        json_with(400, &[kind], &json!({"message": "messages: at least one is needed"}))
    });
    let refused = client.post("/v1/messages").json(&body).send();
    assert_eq!(refused.status, 400, "{}", refused.body_text());
    assert_eq!(refused.json()["type"], "error", "in the client's dialect");
}

#[test]
fn its_stream_comes_out_of_the_frames_as_it_comes() {
    let provider = Stepped::start();
    let gateway = gateway::with(group("m").deployment(provider.deployment(CLAUDE))).start();
    let client = gateway.client();
    let opening = meanwhile(move || client.ask("m", "hi").open());
    let mut called = provider.called();
    let events = events();
    called.send(HEAD);
    called.send(events[..3].concat());
    let mut open = opening.join().unwrap();
    assert_eq!(open.next_text().as_deref(), Some("from "));
    called.send(events[3..].concat());
    called.end();
    let stream = open.read_to_end();
    assert_eq!((stream.finish_reason(), stream.error_code()), (Some("stop"), None));
    used(&gateway, stream.request_id(), 7, 2);

    // A stream that is cut is none that ended.
    let client = gateway.client();
    let asking = meanwhile(move || client.ask("m", "hi").stream());
    let mut called = provider.called();
    called.send(HEAD);
    called.send(events[..4].concat());
    called.end();
    let stream = asking.join().unwrap();
    assert_eq!(stream.text(), "from Claude");
    assert!(stream.error_code().is_some() && stream.finish_reason().is_none());
}

#[test]
fn what_is_passed_of_it_is_metered_by_body_or_by_head() {
    let bedrock = Server::start(|_| answers(message()));
    let model = "bedrock/amazon.nova-pro-v1:0";
    let gateway = with_keys(&bedrock.url(), model, &[]).start();
    let client = gateway.client();
    let invoke = |model: &str| {
        let path = format!("/bedrock/model/{model}/invoke?trace=a%20b");
        client.post(&path).json(&json!({"max_tokens": 1})).send()
    };
    let reply = invoke("us.anthropic.claude-haiku-4-5-20251001-v1:0");
    assert_eq!(reply.json(), message());
    assert_eq!(bedrock.last().path, format!("{PATH}/invoke?trace=a%20b"));
    let line = used(&gateway, reply.request_id(), 7, 2);
    assert!(line["cost_usd"].as_f64().is_some_and(|cost| cost > 0.0), "{line}");

    bedrock.now(|_| {
        let counts = [
            ("x-amzn-bedrock-input-token-count", "25"),
            ("x-amzn-bedrock-output-token-count", "18"),
        ];
        json_with(200, &counts, &json!({"outputs": [{"text": "hi"}]}))
    });
    let reply = invoke("mistral.mistral-large-2402-v1:0");
    used(&gateway, reply.request_id(), 25, 18);
    bedrock.now(|_| {
        answers(
            json!({"inputTextTokenCount": 5, "results": [{"tokenCount": 2, "outputText": "x"}]}),
        )
    });
    let reply = invoke("amazon.titan-text-express-v1");
    used(&gateway, reply.request_id(), 5, 2);
}

#[test]
fn a_passed_stream_of_invoke_is_metered_and_goes_out_as_it_comes() {
    let provider = Stepped::start();
    let address = format!("http://{}", provider.address());
    let gateway = with_keys(&address, "bedrock/amazon.nova-pro-v1:0", &[]).start();
    let last = json!({"generation": "", "stop_reason": "stop", "amazon-bedrock-invocationMetrics":
                      {"inputTokenCount": 8, "outputTokenCount": 6}});
    let llama = [frame(&json!({"generation": "Hi"})), frame(&last)].concat();
    for (model, stream, counts) in [
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", events().concat(), (7, 2)),
        ("meta.llama3-1-70b-instruct-v1:0", llama, (8, 6)),
    ] {
        let client = gateway.client();
        let path = format!("/bedrock/model/{model}/invoke-with-response-stream");
        let asking = meanwhile(move || client.post(&path).json(&json!({})).send());
        let mut called = provider.called();
        called.send(HEAD);
        called.send(&stream[..50]);
        called.send(&stream[50..]);
        called.end();
        let reply = asking.join().unwrap();
        assert!(reply.body == stream, "{} bytes came", reply.body.len());
        used(&gateway, reply.request_id(), counts.0, counts.1);
    }
}

#[test]
fn agents_and_knowledge_bases_are_signed_too() {
    let bedrock = Server::start(|_| answers(json!({"retrievalResults": []})));
    let gateway = with_keys(&bedrock.url(), "bedrock/amazon.nova-pro-v1:0", &[])
        .master_key("sk-gateway")
        .start();
    let client = gateway.client().with_key(Some("sk-gateway"));
    for (method, path) in [
        (Method::POST, "/knowledgebases/KB1/retrieve"),
        (Method::POST, "/retrieveAndGenerate"),
        (Method::POST, "/rerank"),
        (Method::POST, "/agents/A1/agentAliases/B1/sessions/S1/text"),
        (Method::GET, "/agents/A1/agentAliases/B1/memories?memoryId=1"),
    ] {
        let reply = client
            .request(method.clone(), &format!("/bedrock{path}"))
            .header("content-type", "application/json")
            .bytes(b"{}".to_vec())
            .send();
        assert_eq!(reply.status, 200, "{path}: {}", reply.body_text());
        let seen = bedrock.last();
        assert_eq!((&*seen.method, &*seen.path), (method.as_str(), path));
        is_signed(&seen);
        assert!(!format!("{seen:?}").contains("sk-gateway"), "the client's key stays here");
    }
}
