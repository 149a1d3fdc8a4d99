//! What passes by is metered: the same reply tells the same usage and costs the same as by the main
//! route, whatever the provider's dialect.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::harness::*;

const PRICES: &str = "input_cost_per_token: 0.000001\noutput_cost_per_token: 0.000002";
const CLAUDE: &str = "us.anthropic.claude-haiku-4-5-20251001-v1:0";

/// One reply, by both routes.
struct Case {
    /// `provider/model`.
    model: &'static str,
    path: &'static str,
    content_type: &'static str,
    body: Bytes,
    streamed: bool,
    /// Input and output tokens, as the provider's own words mean them.
    usage: (u64, u64),
}

impl Case {
    fn reply(&self) -> mock::Reply {
        body_of(self.content_type, self.body.clone())
    }

    /// The request as the provider's own SDK writes it, as far as the gateway looks at it.
    fn request(&self) -> Value {
        let (_, model) = self.model.split_once('/').unwrap();
        json!({"messages": [{"role": "user", "content": "hi"}], "model": model})
    }
}

fn golden(folder: &str, file: &str) -> Bytes {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    std::fs::read(format!("{root}/{folder}/{file}")).unwrap().into()
}

fn lines(lines: &[Value]) -> Bytes {
    lines.iter().map(|line| format!("{line}\n")).collect::<String>().into()
}

/// What Google sends to those who do not ask for events.
fn listed(events: &Bytes) -> Bytes {
    let text = String::from_utf8(events.to_vec()).unwrap();
    let frames = text.lines().filter_map(|line| line.strip_prefix("data: "));
    format!("[{}]", frames.collect::<Vec<_>>().join(",\n")).into()
}

fn ollama(done: bool) -> Value {
    json!({"model": "llama3.2", "created_at": "2026-11-21T10:00:00.5Z", "done": done,
        "message": {"role": "assistant", "content": "hi"}, "done_reason": "stop",
        "prompt_eval_count": 7, "eval_count": 2})
}

fn completion() -> Value {
    json!({"id": "c", "object": "chat.completion", "created": 1, "model": "made-up",
        "choices": [{"index": 0, "finish_reason": "stop",
            "message": {"role": "assistant", "content": "hi"}}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}})
}

fn cases() -> Vec<Case> {
    let cohere = json!({"id": "c", "finish_reason": "COMPLETE",
        "message": {"role": "assistant", "content": [{"type": "text", "text": "hi"}]},
        "usage": {"billed_units": {"input_tokens": 20, "output_tokens": 12},
            "tokens": {"input_tokens": 900, "output_tokens": 40}}});
    let gemini_stream = golden("21-gemini-stream", "upstream_response.sse");
    let case = |model, path, content_type, body: Bytes, usage| Case {
        model,
        path,
        content_type,
        body,
        streamed: content_type != "application/json",
        usage,
    };
    let (json, sse) = ("application/json", "text/event-stream");
    vec![
        case(
            "gemini/gemini-3.5-flash",
            "/gemini/v1beta/models/gemini-3.5-flash:generateContent",
            json,
            golden("20-gemini-nonstream", "upstream_response.json"),
            (13, 56),
        ),
        case(
            "gemini/gemini-3.5-flash",
            "/gemini/v1beta/models/gemini-3.5-flash:streamGenerateContent?alt=sse",
            sse,
            gemini_stream,
            (0, 0),
        ),
        case(
            "bedrock/us.anthropic.claude-haiku-4-5-20251001-v1:0",
            "/bedrock/model/us.anthropic.claude-haiku-4-5-20251001-v1%3A0/converse",
            json,
            golden("30-bedrock-converse-nonstream", "upstream_response.json"),
            (1_210, 44),
        ),
        case(
            "bedrock/us.anthropic.claude-haiku-4-5-20251001-v1:0",
            "/bedrock/model/us.anthropic.claude-haiku-4-5-20251001-v1%3A0/converse-stream",
            "application/vnd.amazon.eventstream",
            golden("31-bedrock-conversestream", "upstream_response.bin"),
            (210, 44),
        ),
        case(
            "cohere/command-a-03-2025",
            "/cohere/v2/chat",
            json,
            cohere.to_string().into(),
            (0, 0),
        ),
        case(
            "cohere/command-a-03-2025",
            "/cohere/v2/chat",
            sse,
            golden("50-cohere-v2-stream-tool", "upstream_response.sse"),
            (0, 0),
        ),
        case("ollama/llama3.2", "/ollama/api/chat", json, ollama(true).to_string().into(), (7, 2)),
        case(
            "ollama/llama3.2",
            "/ollama/api/chat",
            "application/x-ndjson",
            lines(&[ollama(false), ollama(true)]),
            (7, 2),
        ),
        case(
            "hosted_vllm/made-up",
            "/vllm/v1/chat/completions",
            json,
            completion().to_string().into(),
            (11, 3),
        ),
        case(
            "mistral/mistral-medium-2508",
            "/mistral/v1/chat/completions",
            sse,
            golden("64-mistral-stream-tools", "upstream_response.sse"),
            (0, 0),
        ),
    ]
}

/// The gateway with a deployment of this model, whose prices are written.
fn priced(case: &Case, upstream: &Upstream) -> Gateway {
    let deployment = Deployment::at(case.model, &upstream.url()).with(PRICES);
    gateway::with(group("g").deployment(deployment)).start()
}

#[test]
fn a_reply_costs_the_same_by_both_routes() {
    for case in cases() {
        let upstream = upstream::openai().replies(case.reply()).start();
        let gateway = priced(&case, &upstream);
        let client = gateway.client();
        let asked = client.ask("g", "hi");
        let main = if case.streamed {
            let stream = asked.stream();
            assert_eq!((stream.status, stream.error_code()), (200, None), "{}", case.path);
            stream.request_id().to_owned()
        } else {
            let reply = asked.send();
            assert_eq!(reply.status, 200, "{}: {}", case.path, reply.body_text());
            reply.request_id().to_owned()
        };
        let main = gateway.logged(&main);
        let passed = client.post(case.path).json(&case.request()).send();
        assert_eq!(passed.status, 200, "{}: {}", case.path, passed.body_text());
        assert!(passed.body == case.body, "{}: it comes as it was sent", case.path);
        let passed = gateway.logged(passed.request_id());
        assert_eq!(passed["route"], "pass-through");
        assert_eq!(passed["usage"], main["usage"], "{}", case.path);
        assert_eq!(passed["cost_usd"], main["cost_usd"], "{}", case.path);
        assert!(passed["cost_usd"].as_f64().is_some_and(|cost| cost > 0.0), "{passed}");
        if case.usage != (0, 0) {
            let counts = (&passed["usage"]["input_tokens"], &passed["usage"]["output_tokens"]);
            assert_eq!(counts, (&json!(case.usage.0), &json!(case.usage.1)), "{}", case.path);
        }
    }
}

#[test]
fn google_s_list_of_replies_counts_as_its_stream_does() {
    let events = golden("21-gemini-stream", "upstream_response.sse");
    let upstream = upstream::gemini()
        .when(|it| it.path.contains("alt=sse"), body_of("text/event-stream", events.clone()))
        .replies(body_of("application/json", listed(&events)))
        .start();
    let gateway = gateway::with(group("g").deployment(gemini(&upstream))).start();
    let usage = |query: &str| {
        let path = format!("/gemini/v1beta/models/gemini-3.5-flash:streamGenerateContent{query}");
        let reply = gateway.client().post(&path).json(&json!({"contents": []})).send();
        assert_eq!(reply.status, 200, "{}", reply.body_text());
        let line = gateway.logged(reply.request_id());
        (line["usage"].clone(), line["cost_usd"].clone())
    };
    let (whole, cost) = usage("");
    assert!(whole["output_tokens"].as_u64().is_some_and(|tokens| tokens > 0), "{whole}");
    assert_eq!((whole, cost), usage("?alt=sse"));
}

#[test]
fn what_is_paid_is_the_model_that_was_asked_for() {
    let reply = json!({"id": "c", "finish_reason": "COMPLETE",
        "message": {"role": "assistant", "content": [{"type": "text", "text": "hi"}]},
        "usage": {"billed_units": {"input_tokens": 1000, "output_tokens": 1000},
            "tokens": {"input_tokens": 1000, "output_tokens": 1000}}});
    let upstream = upstream::openai().replies(json(&reply)).start();
    let deployment = Deployment::at("cohere/command-a-03-2025", &upstream.url()).with(PRICES);
    let gateway = gateway::with(group("g").deployment(deployment)).start();
    let client = gateway.client();
    let cost = |model: &str| {
        let request = json!({"messages": [{"role": "user", "content": "hi", "model": "no"}],
            "model": model});
        let reply = client.post("/cohere/v2/chat").json(&request).send();
        let line = gateway.logged(reply.request_id());
        assert_eq!(line["upstream_model"], model, "{line}");
        line["cost_usd"].as_f64()
    };
    let own = cost("command-a-03-2025").unwrap();
    assert!((own - 0.003).abs() < 1e-9, "its configured price: {own}");
    let other = cost("command-r7b-12-2024").unwrap();
    assert!(other > 0.0 && other < own, "the price in the list of another model: {other}");
    assert_eq!(cost("nobody-knows"), None, "not the price of the deployment's model");
}

#[test]
fn an_openai_path_of_another_dialect_is_read_as_openai_s() {
    let body = completion();
    for (model, path) in [
        ("ollama/made-up", "/ollama/v1/chat/completions"),
        ("gemini/made-up", "/gemini/v1beta/openai/chat/completions"),
        ("cohere/made-up", "/cohere/compatibility/v1/chat/completions"),
    ] {
        let stream = json!({"id": "c", "object": "chat.completion.chunk", "created": 1,
            "model": "made-up", "choices": [], "usage": body["usage"]});
        let stream = frames([format!("data: {stream}\n\n"), "data: [DONE]\n\n".to_owned()]);
        let upstream = upstream::openai()
            .when(|it| it.json()["stream"] == true, stream)
            .replies(json(&body))
            .start();
        let gateway =
            gateway::with(group("g").deployment(Deployment::at(model, &upstream.url()))).start();
        for streamed in [false, true] {
            let request = json!({"model": "made-up", "messages": [], "stream": streamed});
            let reply = gateway.client().post(path).json(&request).send();
            let line = gateway.logged(reply.request_id());
            assert_eq!(line["usage"]["input_tokens"], 11, "{path}, streamed: {streamed}: {line}");
        }
    }
}

#[test]
fn a_stream_that_says_that_it_failed_is_no_success() {
    let broken = [
        (
            "anthropic/claude-haiku-4-5",
            "/anthropic/v1/messages",
            body_of(
                "text/event-stream",
                golden("14-anthropic-overloaded-midstream", "upstream_response.sse"),
            ),
        ),
        (
            "openai/gpt-4o-mini",
            "/openai_passthrough/v1/chat/completions",
            body_of(
                "text/event-stream",
                golden("07-openai-midstream-error", "upstream_response.sse"),
            ),
        ),
        (
            "ollama/m",
            "/ollama/api/chat",
            body_of("application/x-ndjson", lines(&[ollama(false), json!({"error": "died"})])),
        ),
    ];
    for (model, path, reply) in broken {
        let (upstream, other) = (
            upstream::openai().replies(reply.clone()).start(),
            upstream::openai().replies(reply).start(),
        );
        let at = |upstream: &Upstream| Deployment::at(model, &upstream.url());
        let gateway = gateway::with(group("g").deployment(at(&upstream)).deployment(at(&other)))
            .router("allowed_fails: 0")
            .start();
        let reply = gateway.client().post(path).json(&json!({"model": "m", "stream": true})).send();
        assert_eq!(reply.status, 200, "the head was out already");
        let line = gateway.logged(reply.request_id());
        assert!(!line["error"].is_null(), "{path}: {line}");
        assert_eq!(gateway.cooling("g"), 1, "{path}: the deployment rests");
    }
}

#[test]
fn what_nobody_knows_passes_without_usage() {
    let bodies = [
        body_of("application/json", "not json"),
        body_of("application/json", "[]"),
        body_of("application/json", json!({"usage": {"tokens": 3}}).to_string()),
        body_of("text/plain", "data: {\"usage\":{\"prompt_tokens\":1}}\n\n"),
        body_of("application/octet-stream", vec![0, 1, 2, 255]),
        frames(["data: nothing\n\n", "event: x\ndata: {}\n\n"]),
        body_of("application/json", ""),
    ];
    for reply in bodies {
        let upstream = upstream::openai().replies(reply).start();
        let gateway = gateway::with(
            group("g").deployment(Deployment::at("gemini/gemini-3.5-flash", &upstream.url())),
        )
        .and(group("o").deployment(&upstream))
        .start();
        for path in
            ["/gemini/v1beta/models/m:generateContent", "/openai_passthrough/v1/chat/completions"]
        {
            let reply = gateway.client().post(path).json(&json!({"model": "m"})).send();
            assert_eq!(reply.status, 200, "{path}");
            let line = gateway.logged(reply.request_id());
            assert!(line["usage"].is_null() && line["cost_usd"].is_null(), "{path}: {line}");
        }
    }
}
