//! What becomes of records: lines, drops, rotation, the end.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::*;
use crate::telemetry::record::ClientText;
use crate::telemetry::sample;
use crate::trace::TraceId;

/// A file of its own, removed with its guard.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let id = std::process::id();
        Self(std::env::temp_dir().join(format!("tollgate-{id}-{name}.log")))
    }

    fn lines(path: &Path) -> Vec<Value> {
        let text = fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        for path in [self.0.clone(), self.0.with_extension("old")] {
            if path.exists() {
                fs::remove_file(path).unwrap();
            }
        }
    }
}

fn counter() -> IntCounter {
    IntCounter::new("dropped", "test").unwrap()
}

fn line(record: &RequestRecord) -> Value {
    serde_json::to_value(Line::of(record)).unwrap()
}

#[test]
fn an_answered_request_reads_like_this() {
    let text = serde_json::to_string(&Line::of(&sample::answered())).unwrap();
    assert_eq!(
        text,
        concat!(
            r#"{"time":"2023-11-14T22:13:20.123Z","request_id":"req-1","call_id":"call-1","#,
            r#""method":"POST","path":"/chat/completions","route":"/v1/chat/completions","#,
            r#""status":200,"client_ip":"192.0.2.7","key":"master","model":"gpt","group":"gpt","#,
            r#""deployment":"dep-1","provider":"openai","upstream_model":"gpt-4o","stream":true,"#,
            r#""total_ms":250.0,"upstream_ms":249.0,"overhead_ms":0.3,"ttft_ms":80.0,"#,
            r#""retries":0,"fallbacks":0,"usage":{"input_tokens":100,"output_tokens":20,"#,
            r#""cache_read_tokens":30,"cache_write_tokens":0,"reasoning_tokens":0,"#,
            r#""estimated":false},"cost_usd":0.000375,"bytes_in":512,"bytes_out":4096,"#,
            r#""client_disconnected":false}"#,
        )
    );
}

#[test]
fn attempts_are_listed_when_the_first_one_failed() {
    let line = line(&sample::after_fallback());
    assert_eq!(line["group"], "spare");
    assert_eq!(
        line["attempts"][0],
        json!({"deployment": "dep-1", "group": "gpt", "outcome": "rate_limited", "status": 429,
               "ms": 200.0, "cooled_down": true})
    );
    assert_eq!(line["attempts"][1]["outcome"], "success");
}

#[test]
fn a_traced_request_names_its_trace() {
    let mut record = sample::answered();
    assert_eq!(line(&record)["trace_id"], Value::Null);
    record.trace = Some(TraceId::new(0xabc));
    assert_eq!(line(&record)["trace_id"], "00000000000000000000000000000abc");
}

#[test]
fn what_clients_write_cannot_break_a_line() {
    let mut record = sample::refused();
    record.model_asked = Some("a\"b\nc\u{1b}[31m".into());
    record.client.user_agent = Some(ClientText::from_bytes(b"x\xff\r\n{}"));
    let text = serde_json::to_string(&Line::of(&record)).unwrap();
    assert!(!text.contains(['\n', '\r', '\u{1b}']), "{text}");
    assert_eq!(line(&record)["model"], "a\"b\nc\u{1b}[31m");
}

#[tokio::test]
async fn what_is_queued_at_shutdown_is_written() {
    let scratch = Scratch::new("shutdown");
    let (log, writer) = AccessLog::new(counter());
    for _ in 0..3 {
        log.request(sample::answered());
    }
    writer.run(Sink::File(scratch.0.clone()), std::future::ready(())).await.unwrap();
    assert_eq!(Scratch::lines(&scratch.0).len(), 3);
}

#[tokio::test]
async fn a_full_queue_drops_and_counts() {
    let scratch = Scratch::new("full");
    let (log, writer) = AccessLog::with_capacity(2, counter());
    for _ in 0..5 {
        log.request(sample::answered());
    }
    assert_eq!(log.dropped.get(), 3);
    writer.run(Sink::File(scratch.0.clone()), std::future::ready(())).await.unwrap();
    assert_eq!(Scratch::lines(&scratch.0).len(), 2);
}

#[tokio::test]
async fn a_reopened_log_follows_its_path() {
    let scratch = Scratch::new("reopen");
    let moved = scratch.0.with_extension("old");
    let (log, writer) = AccessLog::new(counter());
    let (stop, stopped) = oneshot::channel::<()>();
    let sink = Sink::File(scratch.0.clone());
    let task = tokio::spawn(writer.run(sink, async move {
        stopped.await.unwrap_or(());
    }));
    log.request(sample::answered());
    eventually(|| scratch.0.exists() && Scratch::lines(&scratch.0).len() == 1).await;

    fs::rename(&scratch.0, &moved).unwrap();
    log.reopen();
    eventually(|| scratch.0.exists()).await;
    log.request(sample::answered());
    stop.send(()).unwrap();
    task.await.unwrap().unwrap();
    assert_eq!(Scratch::lines(&moved).len(), 1);
    assert_eq!(Scratch::lines(&scratch.0).len(), 1);
}

#[tokio::test]
async fn a_file_that_cannot_be_opened_is_an_error_at_the_start() {
    let (_log, writer) = AccessLog::new(counter());
    let sink = Sink::File("/nonexistent/folder/access.log".into());
    assert!(writer.run(sink, std::future::pending()).await.is_err());
}

/// Waits for the writer's own pace; the test runner's timeout is the bound.
async fn eventually(mut done: impl FnMut() -> bool) {
    while !done() {
        tokio::task::yield_now().await;
    }
}
