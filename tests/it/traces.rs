//! Traces: what a collector is sent, what providers are told, and what a collector that is dead, slow
//! or angry does to requests. `tests/clients/python/test_traces.py` reads the same with OpenTelemetry's
//! own messages.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use prost::Message;
use serde_json::{Value, json};
use tollgate::telemetry::traces::otlp::{self, Span, SpanKind, StatusCode};

use crate::harness::*;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn traced(group: Group, collector: &str) -> gateway::Builder {
    gateway::with(group)
        .litellm("callbacks: [otel]")
        .variable("OTEL_EXPORTER_OTLP_ENDPOINT", collector)
        .variable("OTEL_BSP_SCHEDULE_DELAY", "10")
}

/// Every span that a collector was sent.
fn spans(collector: &Upstream) -> Vec<Span> {
    let mut spans = Vec::new();
    for request in collector.requests() {
        assert_eq!(request.path, "/v1/traces");
        assert_eq!(request.header("content-type"), Some("application/x-protobuf"));
        let sent = otlp::Request::decode(request.body.clone()).unwrap();
        for resource in sent.resource_spans {
            spans.extend(resource.scope_spans.into_iter().flat_map(|scope| scope.spans));
        }
    }
    spans
}

/// The spans, as soon as there are so many.
#[track_caller]
fn wait_for(collector: &Upstream, count: usize) -> Vec<Span> {
    let spans = eventually_some("the spans arrive", || {
        let spans = spans(collector);
        (spans.len() >= count).then_some(spans)
    });
    assert_eq!(spans.len(), count, "{spans:#?}");
    spans
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attributes(span: &Span) -> BTreeMap<&str, Value> {
    let of = |value: &otlp::AnyValue| match value.value.as_ref().unwrap() {
        otlp::Value::Text(text) => json!(text),
        otlp::Value::Bool(flag) => json!(flag),
        otlp::Value::Int(number) => json!(number),
        otlp::Value::Double(number) => json!(number),
        otlp::Value::List(list) => list
            .values
            .iter()
            .map(|one| match one.value.as_ref().unwrap() {
                otlp::Value::Text(text) => json!(text),
                other => panic!("{other:?} in a list"),
            })
            .collect(),
    };
    let all: BTreeMap<_, _> =
        span.attributes.iter().map(|one| (&*one.key, of(one.value.as_ref().unwrap()))).collect();
    assert_eq!(all.len(), span.attributes.len(), "each has its own name: {span:?}");
    all
}

#[test]
fn a_request_and_its_attempts_are_spans_of_the_callers_trace() {
    let busy = upstream::openai().replies(status(503)).start();
    let free = upstream::openai().replies(chat("hello").usage(10, 5)).start();
    let collector = collector();
    let group = group("gpt")
        .deployment(openai(&busy).order(1).id("busy"))
        .deployment(openai(&free).order(2).id("free").model("openai/gpt-4o"));
    let gateway = traced(group, &collector.url())
        .variable("OTEL_SERVICE_NAME", "the-gateway")
        .variable("OTEL_RESOURCE_ATTRIBUTES", "team=a%20b")
        .variable("OTEL_EXPORTER_OTLP_HEADERS", "x-token=for%20you")
        .start();
    let asked = gateway.client().ask("gpt", "the secret plan").set("temperature", 0.25);
    let asked = asked.header("traceparent", PARENT).header("tracestate", "vendor=1");
    let reply = asked.send();
    assert_eq!(reply.text(), "hello");

    let spans = wait_for(&collector, 3);
    let [server, failed, answered] = spans.as_slice() else { unreachable!() };
    assert_eq!(gateway.logged(reply.request_id())["trace_id"], TRACE, "from a line to its trace");
    assert_eq!(server.kind(), SpanKind::Server);
    assert_eq!(hex(&server.parent_span_id), "00f067aa0ba902b7");
    assert_eq!(server.name, "POST /v1/chat/completions");
    let of = attributes(server);
    for (key, value) in [
        ("http.request.method", json!("POST")),
        ("http.response.status_code", json!(200)),
        ("gen_ai.operation.name", json!("chat")),
        ("gen_ai.request.model", json!("gpt")),
        ("gen_ai.response.model", json!("gpt-4o")),
        ("gen_ai.provider.name", json!("openai")),
        ("gen_ai.request.temperature", json!(0.25)),
        ("gen_ai.usage.input_tokens", json!(10)),
        ("gen_ai.usage.output_tokens", json!(5)),
        ("tollgate.retries", json!(1)),
        ("tollgate.request_id", json!(reply.request_id())),
    ] {
        assert_eq!(of.get(key), Some(&value), "{key} in {of:#?}");
    }
    for (span, provider, id) in [(failed, &busy, "busy"), (answered, &free, "free")] {
        assert_eq!(span.kind(), SpanKind::Client);
        assert_eq!(span.parent_span_id, server.span_id);
        assert_eq!(attributes(span)["tollgate.deployment.id"], id);
        assert!(server.start_time_unix_nano <= span.start_time_unix_nano);
        assert!(span.end_time_unix_nano <= server.end_time_unix_nano);
        // Who works for a span is told its name.
        let told = provider.last_request();
        let expected = format!("00-{TRACE}-{}-01", hex(&span.span_id));
        assert_eq!(told.header("traceparent"), Some(&*expected));
        assert_eq!(told.header("tracestate"), Some("vendor=1"));
    }
    assert!(failed.end_time_unix_nano <= answered.start_time_unix_nano, "one after the other");
    assert_eq!(attributes(failed)["error.type"], "overloaded");
    assert_eq!(attributes(failed)["http.response.status_code"], 503);
    assert_eq!(failed.status.as_ref().unwrap().code(), StatusCode::Error);
    assert!(
        spans.iter().all(|span| hex(&span.trace_id) == TRACE && span.trace_state == "vendor=1")
    );

    let request = collector.last_request();
    assert_eq!(request.header("x-token"), Some("for you"));
    let sent = otlp::Request::decode(request.body.clone()).unwrap();
    let resource = sent.resource_spans[0].resource.as_ref().unwrap();
    let of = |key: &str| {
        let found = resource.attributes.iter().find(|one| one.key == key).unwrap();
        found.value.as_ref().unwrap().value.clone().unwrap()
    };
    assert_eq!(of("service.name"), otlp::Value::Text("the-gateway".into()));
    assert_eq!(of("team"), otlp::Value::Text("a b".into()));
    let raw = String::from_utf8_lossy(&request.body);
    assert!(!raw.contains("secret plan"), "nobody has asked for prompts");
    assert!(!raw.contains("sk-"), "nobody asks for keys");
    eventually("it is counted", || gateway.shows("tollgate_traces_total{result=\"exported\"} 1"));
}

#[test]
fn a_stream_a_refusal_and_a_passed_request_are_traced_and_pages_are_not() {
    let upstream = upstream::openai().replies(chat("hello").usage(3, 4)).start();
    let collector = collector();
    let gateway = traced(group("gpt").deployment(openai(&upstream).id("one")), &collector.url())
        .master_key("sk-right")
        .start();
    let client = gateway.client();
    for page in ["/health", "/metrics", "/v1/models", "/nothing"] {
        client.get(page);
    }
    assert_eq!(client.stream("gpt", "hi").text(), "hello");
    let spans = wait_for(&collector, 2);
    let stream = attributes(&spans[0]);
    assert_eq!(stream["gen_ai.request.stream"], true);
    let first = stream["gen_ai.response.time_to_first_chunk"].as_f64().unwrap();
    assert!(first > 0.0, "{stream:?}");
    assert_eq!(spans[0].parent_span_id, Vec::<u8>::new(), "nobody has called for us");
    let told = upstream.last_request();
    let told = told.header("traceparent").unwrap();
    assert!(told.contains(&hex(&spans[0].trace_id)) && told.contains(&hex(&spans[1].span_id)));

    assert_eq!(client.chat("nope", "hi").status, 404);
    let spans = wait_for(&collector, 3);
    assert_eq!(attributes(&spans[2])["error.type"], "model");
    assert_eq!(spans[2].status.as_ref().unwrap().code(), StatusCode::Unset, "its own mistake");

    let body = json!({"model": "gpt-4o-mini", "messages": []});
    let passed = client.post("/openai_passthrough/v1/chat/completions").json(&body);
    let passed = passed.header("traceparent", PARENT).send();
    assert_eq!(passed.status, 200, "{passed:?}");
    let spans = wait_for(&collector, 5);
    let (server, attempt) = (&spans[3], &spans[4]);
    assert_eq!(attributes(server)["http.route"], "pass-through");
    assert_eq!(attempt.parent_span_id, server.span_id);
    let expected = format!("00-{TRACE}-{}-01", hex(&attempt.span_id));
    assert_eq!(upstream.last_request().header("traceparent"), Some(&*expected), "not the client's");
}

#[test]
fn the_id_of_a_reply_and_why_it_ended_are_told_as_its_client_reads_them() {
    let upstream = upstream::openai()
        .replies_in_circle([chat("hello"), chat("hel").finish_reason("length")])
        .start();
    let collector = collector();
    let gateway = traced(group("gpt").deployment(&upstream), &collector.url()).start();
    let client = gateway.client();
    let whole = client.chat("gpt", "hi");
    let stream = client.stream("gpt", "hi");
    let ask = |path: &str, body: Value| client.post(path).json(&body).send();
    let content = json!([{"role": "user", "content": "hi"}]);
    let body = json!({"model": "gpt", "max_tokens": 9, "messages": content});
    let message = ask("/v1/messages", body.clone());
    let mut streamed = body;
    streamed["stream"] = json!(true);
    let messages = ask("/v1/messages", streamed);
    let response = ask("/v1/responses", json!({"model": "gpt", "input": "hi"}));
    let responses = ask("/v1/responses", json!({"model": "gpt", "input": "hi", "stream": true}));

    let id_in = |reply: &Reply, place: &str| {
        let text = reply.body_text();
        let data = text.lines().find_map(|line| line.strip_prefix("data:")).unwrap();
        let data: Value = serde_json::from_str(data).unwrap();
        data.pointer(place).unwrap().clone()
    };
    let expected = [
        (whole.json()["id"].clone(), "stop"),
        (stream.events[0]["id"].clone(), "length"),
        (message.json()["id"].clone(), "end_turn"),
        (id_in(&messages, "/message/id"), "max_tokens"),
        (response.json()["id"].clone(), "completed"),
        (id_in(&responses, "/response/id"), "max_output_tokens"),
    ];
    let spans = wait_for(&collector, 2 * expected.len());
    for (pair, (id, reason)) in spans.chunks(2).zip(expected) {
        assert!(id.as_str().is_some_and(|id| !id.is_empty()), "{id}");
        for span in pair {
            let of = attributes(span);
            assert_eq!(of.get("gen_ai.response.id"), Some(&id), "{of:#?}");
            assert_eq!(of.get("gen_ai.response.finish_reasons"), Some(&json!([reason])), "{of:#?}");
        }
    }
}

#[test]
fn prompts_are_told_where_they_are_asked_for() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let collector = collector();
    let gateway = traced(group("gpt").deployment(&upstream), &collector.url())
        .variable("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true")
        .start();
    gateway.client().chat("gpt", "the secret plan");
    let spans = wait_for(&collector, 2);
    let told = attributes(&spans[0])["gen_ai.input.messages"].clone();
    let told: Value = serde_json::from_str(told.as_str().unwrap()).unwrap();
    let parts = json!([{"type": "text", "content": "the secret plan"}]);
    assert_eq!(told, json!([{"role": "user", "parts": parts}]));
    assert!(!attributes(&spans[1]).contains_key("gen_ai.input.messages"), "once is enough");
}

#[test]
fn what_is_not_sampled_is_passed_on_and_not_sent() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let collector = collector();
    let gateway = traced(group("gpt").deployment(&upstream), &collector.url()).start();
    let ask = |parent: &str| {
        let asked = gateway.client().ask("gpt", "hi").header("traceparent", parent).send();
        assert_eq!(asked.status, 200);
        upstream.last_request().header("traceparent").map(str::to_owned).unwrap()
    };
    let told = ask(&PARENT.replace("-01", "-00"));
    assert!(told.starts_with(&format!("00-{TRACE}-")) && told.ends_with("-00"), "{told}");
    assert!(!told.contains("00f067aa0ba902b7"), "the span is ours: {told}");
    let told = ask("00-broken");
    assert!(told.ends_with("-01") && !told.contains(TRACE), "a trace of its own: {told}");
    wait_for(&collector, 2);
}

#[test]
fn without_the_callback_nobody_is_told_of_anything() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let collector = collector();
    let gateway = gateway::with(group("gpt").deployment(&upstream))
        .variable("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url())
        .start();
    let asked = gateway.client().ask("gpt", "hi").header("traceparent", PARENT).send();
    assert_eq!(asked.status, 200);
    assert_eq!(upstream.last_request().header("traceparent"), None);
    let quiet = traced(group("gpt").deployment(&upstream), &collector.url())
        .litellm("forward_traceparent_to_llm_provider: false")
        .start();
    quiet.client().chat("gpt", "hi");
    assert_eq!(upstream.last_request().header("traceparent"), None);
    wait_for(&collector, 2);
}

#[test]
fn a_collector_that_hangs_slows_nobody_and_what_does_not_fit_is_counted() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    // Connections are made to it, and nobody answers.
    let hanging = upstream::openai().never_accepts().start();
    let gateway = traced(group("gpt").deployment(&upstream), &hanging.url())
        .variable("OTEL_BSP_MAX_QUEUE_SIZE", "2")
        .variable("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1")
        .start();
    let began = Instant::now();
    for _ in 0..10 {
        assert_eq!(gateway.client().chat("gpt", "hi").status, 200);
    }
    // One attempt to send takes ten seconds to give up.
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    eventually("what does not fit is counted", || {
        let page = gateway.get("/metrics").body_text();
        let line =
            page.lines().find(|line| line.contains("tollgate_traces_total{result=\"dropped\"}"));
        let dropped = line.and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
        dropped.is_some_and(|dropped| (6..=9).contains(&dropped))
            && page.contains("\ntollgate_traces_queued 2\n")
    });
}

#[test]
fn what_still_waits_is_sent_when_the_process_ends() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let collector = collector();
    let mut gateway = traced(group("gpt").deployment(&upstream), &collector.url())
        .variable("OTEL_BSP_SCHEDULE_DELAY", "3600000")
        .start();
    for _ in 0..3 {
        assert_eq!(gateway.client().chat("gpt", "hi").status, 200);
    }
    assert_eq!(collector.request_count(), 0, "it is not time yet");
    gateway.signal("TERM");
    assert!(gateway.wait_for_end().success());
    assert_eq!(spans(&collector).len(), 6);
}

#[test]
fn a_collector_that_cannot_be_reached_is_told_of_once() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let nobody = upstream::openai().refuses_connections().start();
    let gateway = traced(group("gpt").deployment(&upstream), &nobody.url())
        .variable("OTEL_EXPORTER_OTLP_TIMEOUT", "200")
        .start();
    assert_eq!(gateway.client().chat("gpt", "hi").status, 200);
    let told = gateway.wait_for_message("traces are not taken by the collector");
    assert!(told.contains("WARN"), "{told}");
    eventually("it is counted", || gateway.shows("tollgate_traces_total{result=\"failed\"} 1"));
}
