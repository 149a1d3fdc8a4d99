//! The recorded cases: requests, replies and streams, these also cut at every byte.

use std::fs;
use std::path::PathBuf;

use bytes::Bytes;
use serde_json::Value;

use super::*;
use crate::wire::anthropic::reply;

const STREAMS: [&str; 4] = [
    "11-anthropic-stream-text",
    "12-anthropic-stream-parallel-tools",
    "13-anthropic-stream-thinking",
    "14-anthropic-overloaded-midstream",
];

fn file(case: &str, name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(case).join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn json(case: &str, name: &str) -> Value {
    serde_json::from_slice(&file(case, name)).unwrap()
}

/// The error that a client of OpenAI is shown.
fn shown(failure: &Failure) -> Value {
    serde_json::json!({"error": {
        "message": failure.message,
        "type": failure.kind,
        "param": failure.param,
        "code": failure.code,
    }})
}

#[test]
fn requests_are_translated_as_recorded() {
    for case in [
        "10-anthropic-nonstream",
        "11-anthropic-stream-text",
        "12-anthropic-stream-parallel-tools",
        "13-anthropic-stream-thinking",
    ] {
        let request = json(case, "client_request.json");
        let options = RequestOptions {
            stream: request["stream"] == true,
            max_output_tokens: Some(64_000),
            ..options(request["model"].as_str().unwrap())
        };
        assert_eq!(send_with(&request, &options), json(case, "upstream_request.json"), "{case}");
    }
}

#[test]
fn replies_are_translated_as_recorded() {
    let case = "10-anthropic-nonstream";
    let reply = reply(Bytes::from(file(case, "upstream_response.json")), CREATED).unwrap();
    let body: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(body, json(case, "client_response.json"));
    assert_eq!(reply.model.as_deref(), Some("claude-haiku-4-5-20251001"));
    assert_eq!(reply.usage.unwrap().cache_write_tokens, 100);
}

#[test]
fn streams_are_translated_as_recorded_wherever_they_are_cut() {
    for case in STREAMS {
        let stream = file(case, "upstream_response.sse");
        let show_usage =
            json(case, "client_request.json")["stream_options"]["include_usage"] == true;
        let whole = translate([&stream[..]], show_usage);
        let expected = String::from_utf8(file(case, "client_response.sse")).unwrap();
        let (mut expected, failed) = (chunks(&expected), whole.failure.is_some());
        if let Some(failure) = &whole.failure {
            assert_eq!(shown(failure), expected.pop().unwrap(), "{case}");
        }
        assert_eq!(chunks(&whole.frames), expected, "{case}");
        assert_eq!(whole.ending, if failed { Ending::Cut } else { Ending::Complete }, "{case}");

        for cut in 0..=stream.len() {
            let told = translate([&stream[..cut], &stream[cut..]], show_usage);
            assert_eq!(told, whole, "{case} cut at {cut}");
        }
        assert_eq!(translate(stream.chunks(1), show_usage), whole, "{case} byte by byte");
        let returns = String::from_utf8(stream).unwrap();
        for line_end in ["\r\n", "\r"] {
            let told = translate([returns.replace('\n', line_end).as_bytes()], show_usage);
            assert_eq!(told, whole, "{case} with {line_end:?}");
        }
    }
}
