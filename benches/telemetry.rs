//! What the metrics and the access log cost one request, on its own thread.
//!
//! `cargo bench --bench telemetry`

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::Method;
use tollgate::catalog::{Deployment, Served, sample};
use tollgate::dialect::{ClientDialect, Endpoint};
use tollgate::keys::Caller;
use tollgate::money::Usd;
use tollgate::telemetry::traces::{self, Answered, Asked, AttemptSpan, Traced, Tracer};
use tollgate::telemetry::{AccessLog, Attempt, Durations, Metrics, Outcome, RequestRecord, Route};
use tollgate::trace::{Context, SpanId, TraceId};
use tollgate::usage::Usage;

fn main() {
    divan::main();
}

fn deployment(number: usize) -> Arc<Deployment> {
    let line = format!("gpt-4o = openai/gpt-4o-2024-11-20 #3f2a9c{number:034x}");
    Arc::new(sample::deployment(&line))
}

fn record(number: usize) -> RequestRecord {
    let deployment = deployment(number);
    let route = Route::Inference(Endpoint::Chat, ClientDialect::OpenAi);
    let mut record = RequestRecord::new(SystemTime::UNIX_EPOCH, route, Method::POST);
    record.request_id = "0198c5f2-6a1e-7c3b-9d4f-2b1a0c9e8d7f".into();
    record.call_id = "0198c5f2-6a1e-7c3b-9d4f-2b1a0c9e8d7f".into();
    record.durations = Durations {
        total: Duration::from_millis(850),
        upstream: Some(Duration::from_millis(849)),
        overhead: Duration::from_micros(90),
        ttft: Some(Duration::from_millis(310)),
        queued: None,
    };
    record.path = "/v1/chat/completions".into();
    record.status = 200;
    record.stream = true;
    record.model_asked = Some("gpt-4o".into());
    record.group_asked = Some("gpt-4o".into());
    record.attempts = vec![Attempt {
        deployment: Arc::clone(&deployment),
        group: "gpt-4o".into(),
        outcome: Outcome::Success,
        status: Some(200),
        began: std::time::Instant::now(),
        duration: Duration::from_millis(849),
        cooled_down: false,
        remaining_requests: Some(4_999),
        remaining_tokens: Some(149_000),
    }];
    record.served =
        Some(Served { deployment, group: "gpt-4o".into(), model: "gpt-4o-2024-11-20".into() });
    record.usage = Some(Usage { input_tokens: 1_200, output_tokens: 310, ..Usage::default() });
    record.cost = Usd::from_dollars(0.0061);
    record.client.ip = Some([192, 0, 2, 7].into());
    record.client.caller = Some(Caller::Master);
    record
}

/// One request on a gateway with this many deployments, all of them seen before.
#[divan::bench(args = [1, 100, 1_000])]
fn metrics_of_one_request(bencher: divan::Bencher<'_, '_>, deployments: usize) {
    let metrics = Metrics::new("bench", SystemTime::UNIX_EPOCH);
    let records: Vec<_> = (0..deployments).map(record).collect();
    records.iter().for_each(|record| metrics.request(record));
    let mut next = 0;
    bencher.bench_local(|| {
        next = (next + 1) % records.len();
        metrics.request(&records[next]);
    });
}

/// The same from two threads on the same series, the worst case for the counters.
#[divan::bench(threads = [2])]
fn metrics_from_two_threads(bencher: divan::Bencher<'_, '_>) {
    let metrics = Metrics::new("bench", SystemTime::UNIX_EPOCH);
    let record = record(0);
    bencher.bench(|| metrics.request(&record));
}

/// Handing a record to a log whose writer does not run: a full queue, as under overload.
#[divan::bench]
fn access_log_full(bencher: divan::Bencher<'_, '_>) {
    let metrics = Metrics::new("bench", SystemTime::UNIX_EPOCH);
    let (log, _writer) = AccessLog::new(metrics.access_log_dropped());
    let record = record(0);
    bencher.with_inputs(|| record.clone()).bench_local_values(|record| log.request(record));
}

/// Handing a request to the traces while nobody takes them: the queue fills, and then it is dropped.
#[divan::bench]
fn trace_of_one_request(bencher: divan::Bencher<'_, '_>) {
    let metrics = Metrics::new("bench", SystemTime::UNIX_EPOCH);
    let (tracer, _exporter) = Tracer::new(traces::QUEUE, metrics.traces());
    let record = record(0);
    let context = Context { trace: TraceId::new(1), span: SpanId::new(2), sampled: true };
    bencher.bench_local(|| {
        let attempts = vec![AttemptSpan { id: SpanId::new(3), began: Duration::ZERO }];
        let traced = Traced {
            record: record.clone(),
            context,
            parent: None,
            state: Box::default(),
            secure: false,
            attempts,
            asked: Asked::default(),
            answered: Answered::default(),
        };
        tracer.request(Box::new(traced), traces::QUEUE);
    });
}

/// The page of a gateway with a thousand busy deployments.
#[divan::bench(sample_count = 10)]
fn scrape_of_1000_deployments(bencher: divan::Bencher<'_, '_>) {
    let metrics = Metrics::new("bench", SystemTime::UNIX_EPOCH);
    (0..1_000).map(record).for_each(|record| metrics.request(&record));
    bencher.bench_local(|| metrics.render());
}
