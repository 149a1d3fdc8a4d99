//! Each provider's own path: whose key goes there, what of the client's head stays here, and what an
//! answer used.

use http::Method;
use serde_json::{Value, json};

use crate::clouds::server::{Seen, Server, json as answers, json_with};
use crate::clouds::{service_account, tokens};
use crate::harness::stepped::Stepped;
use crate::harness::*;

const KEY: &str = "sk-gateway";

/// One provider below its path.
struct Case {
    /// What its deployment is written as, beside address and key.
    model: &'static str,
    params: &'static [(&'static str, &'static str)],
    /// What the client asks for, and what of that the provider gets.
    path: &'static str,
    at_provider: &'static str,
    key: (&'static str, &'static str),
    body: Value,
    reply: Value,
    usage: (u64, u64),
}

fn openai_like(input: u64, output: u64) -> Value {
    // As a chat and as a text completion.
    let choice = json!({"index": 0, "message": {"role": "assistant", "content": "hi"},
                        "text": "hi", "finish_reason": "stop"});
    json!({"object": "chat.completion", "model": "m", "choices": [choice],
           "usage": {"prompt_tokens": input, "completion_tokens": output,
                     "total_tokens": input + output}})
}

fn cases() -> Vec<Case> {
    const BEARER: (&str, &str) = ("authorization", "Bearer sk-provider");
    let chat = |model: &str| json!({"model": model, "messages": []});
    let message = json!({"type": "message", "model": "claude-haiku-4-5", "content": [],
                         "usage": {"input_tokens": 5, "output_tokens": 3}});
    let gemini = json!({"candidates": [{"content": {"parts": [{"text": "hi"}]}}],
                        "usageMetadata": {"promptTokenCount": 6, "candidatesTokenCount": 2}});
    let cohere = json!({"text": "hi", "meta": {"tokens":
                        {"input_tokens": 9, "output_tokens": 4}}});
    let case = |model, path, at_provider, key, body, reply, usage| Case {
        model,
        params: &[],
        path,
        at_provider,
        key,
        body,
        reply,
        usage,
    };
    vec![
        case(
            "openai/gpt-4o-mini",
            "/openai_passthrough/v1/chat/completions?a=1&b=x%20y",
            "/v1/chat/completions?a=1&b=x%20y",
            BEARER,
            chat("gpt-4o-mini"),
            openai_like(11, 7),
            (11, 7),
        ),
        case(
            "mistral/mistral-small-latest",
            "/mistral/v1/chat/completions?q=1",
            "/v1/chat/completions?q=1",
            BEARER,
            chat("mistral-small-latest"),
            openai_like(12, 8),
            (12, 8),
        ),
        case(
            "hosted_vllm/llama",
            "/vllm/v1/completions?q=1",
            "/v1/completions?q=1",
            BEARER,
            chat("llama"),
            openai_like(3, 4),
            (3, 4),
        ),
        case(
            "anthropic/claude-haiku-4-5",
            "/anthropic/v1/messages?beta=true",
            "/v1/messages?beta=true",
            ("x-api-key", "sk-provider"),
            chat("claude-haiku-4-5"),
            message.clone(),
            (5, 3),
        ),
        case(
            "gemini/gemini-2.5-flash",
            "/gemini/v1beta/models/gemini-2.5-flash:generateContent?alt=json",
            "/v1beta/models/gemini-2.5-flash:generateContent?alt=json",
            ("x-goog-api-key", "sk-provider"),
            json!({"contents": []}),
            gemini,
            (6, 2),
        ),
        case(
            "cohere/command-a-03-2025",
            "/cohere/v1/chat?q=1",
            "/v1/chat?q=1",
            BEARER,
            json!({"model": "command-a-03-2025", "message": "hi"}),
            cohere,
            (9, 4),
        ),
        case(
            "cohere/command-a-03-2025",
            "/cohere/v2/chat",
            "/v2/chat",
            BEARER,
            chat("command-a-03-2025"),
            json!({"id": "1", "finish_reason": "COMPLETE",
                   "message": {"role": "assistant", "content": [{"type": "text", "text": "hi"}]},
                   "usage": {"tokens": {"input_tokens": 8, "output_tokens": 1}}}),
            (8, 1),
        ),
        case(
            "ollama/llama3",
            "/ollama/api/chat?q=1",
            "/api/chat?q=1",
            BEARER,
            chat("llama3"),
            json!({"model": "llama3", "message": {"role": "assistant", "content": "hi"},
                   "done": true, "done_reason": "stop", "prompt_eval_count": 2, "eval_count": 3}),
            (2, 3),
        ),
        Case {
            params: &[("api_version", "2024-10-21")],
            ..case(
                "azure/my-deployment",
                "/azure/openai/deployments/my-deployment/chat/completions?api-version=2024-10-21",
                "/openai/deployments/my-deployment/chat/completions?api-version=2024-10-21",
                ("api-key", "sk-provider"),
                json!({"messages": []}),
                openai_like(10, 20),
                (10, 20),
            )
        },
        Case {
            params: &[("api_version", "2024-10-21")],
            ..case(
                "azure_ai/mistral-large",
                "/azure_ai/anthropic/v1/messages?q=1",
                "/anthropic/v1/messages?q=1",
                ("api-key", "sk-provider"),
                chat("claude-haiku-4-5"),
                message,
                (5, 3),
            )
        },
    ]
}

/// What is written of a provider at this address.
fn listed(case: &Case, address: &str) -> gateway::Builder {
    let mut params =
        format!("    model: {}\n    api_base: {address}\n    api_key: sk-provider\n", case.model);
    for (name, value) in case.params {
        params.push_str(&format!("    {name}: '{value}'\n"));
    }
    gateway::empty()
        .top(&format!("model_list:\n- model_name: m\n  litellm_params:\n{params}"))
        .master_key(KEY)
}

/// A request with all that a client's head may hold and a provider must not see.
fn asked(gateway: &Gateway, case: &Case) -> Reply {
    let client = gateway.client().with_key(Some(KEY));
    client
        .post(case.path)
        .header("x-api-key", KEY)
        .header("x-goog-api-key", KEY)
        .header("cookie", "session=sk-gateway")
        .header("x-mine", "kept")
        .header("x-litellm-tags", "a")
        .header("connection", "x-hop")
        .header("x-hop", "1")
        .header("keep-alive", "timeout=5")
        .header("proxy-authorization", "Basic sk-gateway")
        .header("te", "trailers")
        .json(&case.body)
        .send()
}

#[track_caller]
fn is_the_providers(seen: &Seen, case: &Case) {
    assert_eq!((&*seen.method, &*seen.path), ("POST", case.at_provider));
    assert_eq!(seen.header(case.key.0), case.key.1, "{}", case.path);
    assert_eq!(seen.header("x-mine"), "kept");
    assert_eq!(seen.json(), case.body);
    assert!(!format!("{seen:?}").contains(KEY), "{}: the key goes along: {seen:?}", case.path);
    for name in ["cookie", "x-hop", "keep-alive", "proxy-authorization", "te", "x-litellm-tags"] {
        assert_eq!(seen.header(name), "", "{}: {name} goes along", case.path);
    }
}

#[test]
fn every_provider_gets_its_own_key_and_is_metered() {
    for case in cases() {
        let reply = case.reply.clone();
        let provider = Server::start(move |_| {
            json_with(200, &[("set-cookie", "a=b"), ("x-request-id", "theirs")], &reply)
        });
        let gateway = listed(&case, &provider.url()).start();
        let answer = asked(&gateway, &case);
        assert_eq!(answer.status, 200, "{}: {}", case.path, answer.body_text());
        assert_eq!(answer.json(), case.reply);
        assert_eq!(answer.header("set-cookie"), "");
        assert_eq!(answer.header("llm_provider-x-request-id"), "theirs", "{answer:?}");
        is_the_providers(&provider.last(), &case);
        let line = gateway.logged(answer.request_id());
        let usage = (&line["usage"]["input_tokens"], &line["usage"]["output_tokens"]);
        assert_eq!(usage, (&case.usage.0.into(), &case.usage.1.into()), "{}: {line}", case.path);

        // What the provider refuses is told in its own words.
        let refusal = json!({"error": {"message": "no", "code": "theirs"}});
        let told = refusal.clone();
        provider.now(move |_| json_with(422, &[], &told));
        let refused = asked(&gateway, &case);
        assert_eq!((refused.status, refused.json()), (422, refusal), "{}", case.path);
        let nobody = gateway.client().with_key(None).post(case.path).json(&case.body).send();
        assert_eq!(nobody.status, 401, "{}", case.path);
        assert_eq!(provider.seen().len(), 2);
    }
}

#[test]
fn every_publisher_on_vertex_is_metered() {
    let google = Server::start(tokens(3600));
    let vertex = Server::start(|_| answers(json!({})));
    let credentials = Value::from(service_account(&google)).to_string();
    let gateway = gateway::empty()
        .top(&format!(
            "model_list:\n- model_name: m\n  litellm_params:\n    model: vertex_ai/gemini-2.5-flash\n    \
             api_base: {}\n    vertex_location: us-east5\n    vertex_credentials: {credentials}\n",
            vertex.url()
        ))
        .master_key(KEY)
        .start();
    let place = "/v1/projects/p/locations/us-east5";
    for (rest, reply, counts) in [
        (
            "publishers/google/models/gemini-2.5-flash:generateContent",
            json!({"candidates": [{"content": {"parts": [{"text": "hi"}]}}],
                   "usageMetadata": {"promptTokenCount": 6, "candidatesTokenCount": 2}}),
            (6, 2),
        ),
        (
            "publishers/anthropic/models/claude-haiku-4-5@20251001:rawPredict",
            json!({"type": "message", "content": [],
                   "usage": {"input_tokens": 5, "output_tokens": 3}}),
            (5, 3),
        ),
        ("publishers/mistralai/models/mistral-small-2503:rawPredict", openai_like(4, 1), (4, 1)),
        ("endpoints/openapi/chat/completions", openai_like(7, 9), (7, 9)),
        (
            "publishers/google/models/text-embedding-005:predict",
            json!({"predictions": [{"embeddings": {"values": [0.5],
                                                   "statistics": {"token_count": 3}}}]}),
            (3, 0),
        ),
    ] {
        let told = reply.clone();
        vertex.now(move |_| answers(told.clone()));
        for mount in ["/vertex_ai", "/vertex-ai"] {
            let path = format!("{mount}{place}/{rest}");
            let client = gateway.client().with_key(Some(KEY));
            let answer = client.post(&path).json(&json!({"model": "meta/llama"})).send();
            assert_eq!((answer.status, answer.json()), (200, reply.clone()), "{path}");
            let seen = vertex.last();
            assert_eq!(seen.path, format!("{place}/{rest}"));
            assert!(seen.header("authorization").starts_with("Bearer t"), "Google's token");
            assert!(!format!("{seen:?}").contains(KEY), "the client's key stays here");
            let line = gateway.logged(answer.request_id());
            let usage = (&line["usage"]["input_tokens"], &line["usage"]["output_tokens"]);
            assert_eq!(usage, (&counts.0.into(), &counts.1.into()), "{rest}: {line}");
            let priced = rest.contains("gemini") || rest.contains("claude");
            let costs = line["cost_usd"].as_f64().is_some_and(|cost| cost > 0.0);
            assert!(costs || !priced, "{rest}: {line}");
        }
    }
}

#[test]
fn a_stream_goes_out_as_it_comes() {
    let provider = Stepped::start();
    let gateway = gateway::with(group("gpt").deployment(provider.deployment("openai/gpt-4o-mini")))
        .master_key(KEY)
        .start();
    let client = gateway.client().with_key(Some(KEY));
    let body = json!({"model": "gpt-4o-mini", "stream": true, "messages": []});
    let opening = meanwhile(move || {
        client.post("/openai_passthrough/v1/chat/completions").json(&body).open()
    });
    let mut called = provider.called();
    called.begin_stream();
    called.send_delta(r#"{"content":"one"}"#);
    let mut open = opening.join().unwrap();
    assert_eq!(open.next_text().as_deref(), Some("one"), "before anything else was sent");
    called.send_delta(r#"{"content":"two"}"#);
    assert_eq!(open.next_text().as_deref(), Some("two"));
    called.end();
}

#[test]
fn a_stream_of_coheres_first_version_is_metered() {
    let lines = concat!(
        "{\"is_finished\":false,\"event_type\":\"stream-start\",\"generation_id\":\"g\"}\n",
        "{\"is_finished\":false,\"event_type\":\"text-generation\",\"text\":\"hi\"}\n",
        "{\"is_finished\":true,\"event_type\":\"stream-end\",\"finish_reason\":\"COMPLETE\",",
        "\"response\":{\"text\":\"hi\",\"meta\":{\"tokens\":{\"input_tokens\":9,\"output_tokens\":4}}}}\n",
    );
    let provider =
        Server::start(move |_| (200, "application/stream+json".to_owned(), lines.to_owned()));
    let case = cases().into_iter().find(|case| case.path.starts_with("/cohere/v1/")).unwrap();
    let gateway = listed(&case, &provider.url()).start();
    let client = gateway.client().with_key(Some(KEY));
    let body = json!({"model": "command-a-03-2025", "message": "hi", "stream": true});
    let answer = client.request(Method::POST, "/cohere/v1/chat").json(&body).send();
    assert_eq!(answer.body_text(), lines);
    let line = gateway.logged(answer.request_id());
    let usage = (&line["usage"]["input_tokens"], &line["usage"]["output_tokens"]);
    assert_eq!(usage, (&json!(9), &json!(4)), "{line}");
    assert!(line["cost_usd"].as_f64().is_some_and(|cost| cost > 0.0), "{line}");
}
