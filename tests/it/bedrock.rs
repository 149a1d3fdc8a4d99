//! Amazon Bedrock behind the gateway: paths, key, and the binary event stream as it comes.

use serde_json::json;

use crate::harness::stepped::Stepped;
use crate::harness::*;

const MODEL: &str = "bedrock/us.anthropic.claude-haiku-4-5-20251001-v1:0";
const STREAM: &[u8] = include_bytes!("../golden/31-bedrock-conversestream/upstream_response.bin");
const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/vnd.amazon.eventstream\r\n\
                    x-amzn-requestid: r-1\r\n\r\n";

/// Where the frames of a stream end.
fn ends(stream: &[u8]) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut at = 0;
    while let Some(length) = stream.get(at..at + 4) {
        at += u32::from_be_bytes(length.try_into().unwrap()) as usize;
        ends.push(at);
    }
    ends
}

#[test]
fn frames_reach_the_client_as_they_come() {
    let provider = Stepped::start();
    let gateway = gateway::with(group("claude").deployment(provider.deployment(MODEL))).start();
    let client = gateway.client();
    let opening = meanwhile(move || client.ask("claude", "Weather in Oslo?").open());
    let mut called = provider.called();
    let asked: serde_json::Value = serde_json::from_slice(&called.body).unwrap();
    assert_eq!(
        asked,
        json!({"messages": [{"role": "user", "content": [{"text": "Weather in Oslo?"}]}]})
    );
    let ends = ends(STREAM);
    called.send(HEAD);
    // The first text, and the half of the second.
    let half = (ends[1] + ends[2]) / 2;
    called.send(&STREAM[..half]);
    let mut open = opening.join().unwrap();
    assert_eq!(open.next_text().as_deref(), Some("Check"));
    called.send(&STREAM[half..ends[2]]);
    assert_eq!(open.next_text().as_deref(), Some("ing."));
    called.send(&STREAM[ends[2]..]);
    let stream = open.read_to_end();
    assert_eq!((stream.finish_reason(), stream.error_code()), (Some("tool_calls"), None));
    let line = gateway.logged(stream.request_id());
    assert_eq!(
        (&line["usage"]["input_tokens"], &line["usage"]["output_tokens"]),
        (&210.into(), &44.into()),
        "{line}"
    );
    called.end();
}

#[test]
fn damage_and_a_cut_are_never_a_success() {
    let provider = Stepped::start();
    let gateway = gateway::with(group("claude").deployment(provider.deployment(MODEL))).start();
    let ends = ends(STREAM);
    let mut damaged = STREAM.to_vec();
    damaged[ends[2] + 20] ^= 1;
    let cut = STREAM[..ends[2]].to_vec();
    for (bytes, code) in [(damaged, "damaged"), (cut, "cut")] {
        let client = gateway.client();
        let asking = meanwhile(move || client.ask("claude", "hi").stream());
        let mut called = provider.called();
        called.send(HEAD);
        called.send(bytes);
        called.end();
        let stream = asking.join().unwrap();
        assert_eq!(stream.text(), "Checking.", "{code}");
        assert!(stream.error_code().is_some(), "{code}");
        assert_eq!(stream.finish_reason(), None, "{code}");
    }
}
