//! What a request becomes as spans, and what becomes of them when nobody takes them.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use prometheus::IntCounter;
use prost::Message;

use super::otlp::{Request, Span, SpanKind, StatusCode, Value};
use super::*;
use crate::secret::Secret;
use crate::telemetry::record::{ErrorRecord, RequestRecord};
use crate::telemetry::sample;
use crate::trace::{Sampler, Settings, TraceId};

fn counts() -> Counts {
    let counter = |name: &str| IntCounter::new(name, "test").unwrap();
    Counts { exported: counter("a"), dropped: counter("b"), failed: counter("c") }
}

fn settings(endpoint: &str) -> Settings {
    Settings {
        endpoint: Secret::new(endpoint),
        headers: vec![(http::HeaderName::from_static("x-token"), Secret::new("for-the-collector"))],
        timeout: Duration::from_secs(5),
        resource: vec![("service.name".into(), "tests".into())],
        sampler: Sampler::default(),
        content: false,
        anonymous: false,
        forwards: true,
        queue: 2,
        batch: 10,
        delay: Duration::from_millis(1),
    }
}

fn traced(record: RequestRecord) -> Box<Traced> {
    let attempts = (1..=record.attempts.len() as u64)
        .map(|number| AttemptSpan {
            id: SpanId::new(100 + number),
            began: Duration::from_millis(number),
        })
        .collect();
    Box::new(Traced {
        record,
        context: Context { trace: TraceId::new(7), span: SpanId::new(8), sampled: true },
        parent: Some(SpanId::new(9)),
        state: "vendor=1".into(),
        secure: true,
        attempts,
        asked: Asked { temperature: Some(0.5), ..Asked::default() },
        answered: Answered { id: Some("r1".into()), finish_reasons: vec!["stop".into()] },
    })
}

fn of<'a>(span: &'a Span, key: &str) -> Option<&'a Value> {
    let mut found = span.attributes.iter().filter(|one| one.key == key);
    let first = found.next()?.value.as_ref()?.value.as_ref();
    assert!(found.next().is_none(), "{key} is there twice");
    first
}

fn text(span: &Span, key: &str) -> String {
    match of(span, key) {
        Some(Value::Text(text)) => text.clone(),
        other => panic!("{key} is {other:?}"),
    }
}

#[test]
fn a_request_is_a_server_span_and_its_attempts_are_client_spans_below_it() {
    let spans = spans::of(&traced(sample::after_fallback()));
    let [server, failed, answered] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!(server.kind(), SpanKind::Server);
    assert_eq!(server.name, "POST /v1/chat/completions");
    assert_eq!(server.parent_span_id, 9u64.to_be_bytes());
    assert_eq!(server.trace_id, 7u128.to_be_bytes());
    assert_eq!(text(server, "http.route"), "/v1/chat/completions");
    assert_eq!(text(server, "url.scheme"), "https");
    assert_eq!(text(server, "gen_ai.operation.name"), "chat");
    assert_eq!(text(server, "gen_ai.request.model"), "gpt");
    assert_eq!(text(server, "gen_ai.response.model"), "gpt-4o-mini");
    assert_eq!(of(server, "gen_ai.usage.input_tokens"), Some(&Value::Int(100)));
    assert_eq!(of(server, "gen_ai.usage.cache_read.input_tokens"), Some(&Value::Int(30)));
    assert_eq!(of(server, "gen_ai.request.temperature"), Some(&Value::Double(0.5)));
    assert_eq!(server.status.as_ref().unwrap().code(), StatusCode::Unset);
    assert_eq!(of(server, "error.type"), None);
    for (number, attempt) in [failed, answered].into_iter().enumerate() {
        assert_eq!(attempt.kind(), SpanKind::Client);
        assert_eq!(attempt.parent_span_id, 8u64.to_be_bytes());
        assert_eq!(attempt.span_id, (101 + number as u64).to_be_bytes());
        assert_eq!(attempt.trace_state, "vendor=1");
        assert_eq!(text(attempt, "gen_ai.provider.name"), "openai");
        let after = attempt.start_time_unix_nano - server.start_time_unix_nano;
        assert_eq!(after, (number as u64 + 1) * 1_000_000);
        let took = attempt.end_time_unix_nano - attempt.start_time_unix_nano;
        assert_eq!(took, 200_000_000);
    }
    assert_eq!(text(failed, "error.type"), "rate_limited");
    assert_eq!(of(failed, "http.response.status_code"), Some(&Value::Int(429)));
    assert_eq!(failed.status.as_ref().unwrap().code(), StatusCode::Error);
    assert_eq!(of(failed, "gen_ai.usage.input_tokens"), None, "it answered nothing");
    assert_eq!(answered.name, "chat gpt-4o-mini");
    assert_eq!(of(answered, "gen_ai.usage.output_tokens"), Some(&Value::Int(20)));
    assert_eq!(of(answered, "http.request.resend_count"), Some(&Value::Int(1)));
    assert_eq!(of(answered, "error.type"), None);
}

#[test]
fn a_clients_mistake_is_no_error_of_the_server_and_a_broken_stream_is() {
    let mut refused = traced(sample::refused());
    let spans = spans::of(&refused);
    assert_eq!(spans.len(), 1);
    assert_eq!(text(&spans[0], "error.type"), "model_not_found");
    assert_eq!(spans[0].status.as_ref().unwrap().code(), StatusCode::Unset);
    refused.record.status = 200;
    let mut ended_by = |class| {
        refused.record.error = Some(ErrorRecord { class, code: class.into() });
        spans::of(&refused)[0].status.as_ref().unwrap().code()
    };
    assert_eq!(ended_by("connection"), StatusCode::Error);
    // Streams that a client gives up are everyday, and what a guardrail does is asked for.
    assert_eq!(ended_by("client_closed"), StatusCode::Unset);
    assert_eq!(ended_by("guardrail"), StatusCode::Unset);
}

#[test]
fn what_does_not_fit_is_dropped_and_counted() {
    let counts = counts();
    let (tracer, _exporter) = Tracer::new(2, counts.clone());
    for _ in 0..5 {
        tracer.request(traced(sample::answered()), 10);
    }
    assert_eq!((tracer.waiting(), counts.dropped.get()), (2, 3));
}

/// A collector that answers so, one request after the other; what it was sent.
fn collector(answers: &'static [&'static str]) -> (String, std::thread::JoinHandle<Vec<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}/v1/traces", listener.local_addr().unwrap());
    let serving = std::thread::Builder::new().spawn(move || {
        let mut heard = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut buffer = [0; 4_096];
            let head = loop {
                let count = stream.read(&mut buffer).unwrap();
                request.extend_from_slice(&buffer[..count]);
                if let Some(at) = request.windows(4).position(|four| four == b"\r\n\r\n") {
                    break at + 4;
                }
            };
            let text = String::from_utf8(request[..head].to_vec()).unwrap().to_lowercase();
            assert!(text.contains("content-type: application/x-protobuf"), "{text}");
            assert!(text.contains("x-token: for-the-collector"), "{text}");
            let length = text.split("content-length: ").nth(1).unwrap();
            let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
            while request.len() < head + length {
                let count = stream.read(&mut buffer).unwrap();
                request.extend_from_slice(&buffer[..count]);
            }
            heard.push(request[head..].to_vec());
            let answer = format!(
                "HTTP/1.1 {answer}\r\nconnection: close\r\ncontent-length: 0\r\nretry-after: 0\r\n\r\n"
            );
            stream.write_all(answer.as_bytes()).unwrap();
        }
        heard
    });
    let serving = serving.unwrap();
    (endpoint, serving)
}

#[tokio::test]
async fn what_is_refused_for_now_is_sent_again_and_the_rest_when_the_process_ends() {
    let (endpoint, serving) = collector(&["503 Busy", "200 OK", "200 OK"]);
    let counts = counts();
    let (tracer, exporter) = Tracer::new(10, counts.clone());
    let settings = Arc::new(settings(&endpoint));
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    tracer.request(traced(sample::answered()), settings.batch);
    let in_force = Arc::clone(&settings);
    let running = tokio::spawn(
        exporter.run(move || Some(Arc::clone(&in_force)), async move { drop(ended.await) }),
    );
    while counts.exported.get() < 1 {
        tokio::task::yield_now().await;
    }
    tracer.request(traced(sample::after_fallback()), settings.batch);
    end.send(()).unwrap();
    running.await.unwrap();
    let heard = serving.join().unwrap();
    assert_eq!((counts.exported.get(), counts.failed.get()), (2, 0));
    assert_eq!(heard[0], heard[1], "the same batch twice");
    let last = Request::decode(heard[2].as_slice()).unwrap();
    let resource = last.resource_spans[0].resource.as_ref().unwrap();
    assert_eq!(resource.attributes[0].key, "service.name");
    assert_eq!(last.resource_spans[0].scope_spans[0].spans.len(), 3);
}

#[tokio::test]
async fn what_is_refused_for_good_is_counted_as_failed() {
    let (endpoint, serving) = collector(&["400 Bad Request"]);
    let counts = counts();
    let (tracer, exporter) = Tracer::new(10, counts.clone());
    let settings = Arc::new(settings(&endpoint));
    tracer.request(traced(sample::answered()), settings.batch);
    drop(tracer);
    exporter.run(move || Some(Arc::clone(&settings)), std::future::pending()).await;
    serving.join().unwrap();
    assert_eq!((counts.exported.get(), counts.failed.get()), (0, 1));
}

#[tokio::test]
async fn what_has_gathered_while_a_collector_was_slow_is_sent_at_once() {
    let (endpoint, serving) = collector(&["200 OK"; 3]);
    let counts = counts();
    let (tracer, exporter) = Tracer::new(10, counts.clone());
    let never = Duration::from_secs(3_600);
    let settings = Arc::new(Settings { batch: 2, delay: never, ..settings(&endpoint) });
    // Nobody listens while they come, so nobody is woken when a batch is full but once.
    for _ in 0..6 {
        tracer.request(traced(sample::answered()), settings.batch);
    }
    tokio::spawn(exporter.run(move || Some(Arc::clone(&settings)), std::future::pending()));
    while counts.exported.get() < 6 {
        tokio::task::yield_now().await;
    }
    assert_eq!(serving.join().unwrap().len(), 3);
}

#[tokio::test]
async fn long_texts_go_in_several_batches() {
    let (endpoint, serving) = collector(&["200 OK"; 2]);
    let counts = counts();
    let (tracer, exporter) = Tracer::new(10, counts.clone());
    let settings = Arc::new(settings(&endpoint));
    for _ in 0..3 {
        let mut long = traced(sample::answered());
        long.asked.messages = Some("x".repeat(2 * 1024 * 1024).into());
        tracer.request(long, settings.batch);
    }
    tokio::spawn(exporter.run(move || Some(Arc::clone(&settings)), std::future::pending()));
    while counts.exported.get() < 3 {
        tokio::task::yield_now().await;
    }
    let sizes: Vec<_> = serving.join().unwrap().iter().map(|body| body.len() >> 20).collect();
    assert_eq!(sizes, [4, 2]);
}
