//! Streams: what passes through, when it does, and how a stream ends that its provider breaks.

use std::io::Read;
use std::time::Duration;

use serde_json::{Value, json};
use tollgate::mock::Reply as Scripted;

use crate::harness::client::Frame;
use crate::harness::http2::Http2;
use crate::harness::raw;
use crate::harness::stepped::{Stepped, chunk};
use crate::harness::*;

const PATH: &str = "/v1/chat/completions";

fn question(model: &str) -> Value {
    json!({"model": model, "stream": true, "messages": [{"role": "user", "content": "hi"}]})
}

/// A 200 with these frames.
fn sent(these: &[&str]) -> Scripted {
    frames(these.iter().map(|frame| (*frame).to_owned()))
}

// --- What passes through ---

/// A stream as no serialiser writes it: whatever arrives unchanged was never written anew.
const ODD: &str = concat!(
    ": hello\n\n",
    "data:{\"id\":\"1\" , \"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,",
    "\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}],\"new\":1.50}\n\n",
    "id: 7\r\ndata: {\"id\":\"1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\\u00e9 \u{1f600}\"}}],",
    "\"model\":\"strange/model:free\",\"logprobs\":[-0.10]}\r\n\r\n",
    "data: {\"id\":\"1\",\ndata: \"choices\":[{\"index\":1,\"delta\":{\"tool_calls\":[{\"index\":0,",
    "\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":\"}}]}}]}\n\n",
    ": keep-alive\n\n",
    "data: {\"id\":\"1\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],",
    "\"usage\":null,\"obfuscation\":\"xY\"}\n\n",
    "data: {\"id\":\"1\",\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,",
    "\"total_tokens\":5}}\n\n",
    "data: [DONE]\n\n",
);

#[test]
fn streams_pass_byte_for_byte() {
    let body = || sent(&[ODD]);
    let upstream = upstream::openai()
        .first_replies([
            body(),
            body().in_pieces_of(1),
            body().in_pieces_of(3),
            body().in_pieces_of(97),
            body().chunked(),
            body().until_close(),
        ])
        .start();
    let gateway = gateway::with(group("gpt").deployment(&upstream)).start();
    let mut ask = question("gpt");
    ask["stream_options"] = json!({"include_usage": true});

    for round in 0..6 {
        let mut connection = raw::connect(&gateway);
        connection.send(raw::post(PATH, ask.to_string().as_bytes()));
        let reply = connection.read_reply();
        assert_eq!(reply.status, 200);
        assert_eq!(reply.body_text(), ODD, "round {round}");
        assert_eq!(reply.header("content-type"), "text/event-stream; charset=utf-8");
        assert_eq!(reply.header("cache-control"), "no-cache");
        assert_eq!(reply.header("x-accel-buffering"), "no");
    }
}

#[test]
fn only_the_usage_is_taken_out_for_who_did_not_ask_for_it() {
    let upstream = upstream::openai().replies(sent(&[ODD]).in_pieces_of(50)).start();
    let gateway = gateway::with(group("gpt").deployment(&upstream)).start();

    let mut connection = raw::connect(&gateway);
    connection.send(raw::post(PATH, question("gpt").to_string().as_bytes()));
    let reply = connection.read_reply();

    let usage = ODD.split_inclusive("\n\n").find(|frame| frame.contains("total_tokens")).unwrap();
    let without = ODD.replace(usage, "").replace(",\"usage\":null", "");
    assert_eq!(reply.body_text(), without);
    assert_eq!(upstream.last_request().json()["stream_options"], json!({"include_usage": true}));
}

#[test]
fn what_a_provider_adds_because_it_was_asked_to_count_is_for_those_who_asked() {
    let chunk = |choices: Value, usage: Value| {
        let head = json!({"id": "1", "object": "chat.completion.chunk", "model": "m"});
        let mut chunk = head.as_object().unwrap().clone();
        chunk.insert("choices".into(), choices);
        chunk.insert("usage".into(), usage);
        format!("data: {}\n\n", Value::from(chunk))
    };
    let said = |delta: Value, reason: Value| {
        chunk(json!([{"index": 0, "delta": delta, "finish_reason": reason}]), Value::Null)
    };
    let counts = json!({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5});
    let frames = [
        said(json!({"role": "assistant", "content": ""}), Value::Null),
        said(json!({"content": "a"}), Value::Null),
        said(json!({"content": "b \"usage\":null"}), Value::Null),
        said(json!({}), json!("stop")),
        chunk(json!([]), counts),
        "data: [DONE]\n\n".to_owned(),
    ];
    let whole = frames.concat();
    let reply = sent(&frames.each_ref().map(String::as_str));
    let plain = upstream::openai().replies(reply.clone()).start();
    let microsoft = upstream::azure().replies(reply).start();
    let gateway = gateway::with(group("plain").deployment(&plain))
        .and(group("azure").deployment(azure(&microsoft)))
        .start();

    for model in ["plain", "azure"] {
        let ask = gateway.client().ask(model, "hi");
        let told = ask.clone().set("stream_options", json!({"include_usage": true})).stream();
        assert_eq!(String::from_utf8(told.bytes.clone()).unwrap(), whole, "{model}");
        let untold = ask.stream();
        assert!(untold.events.iter().all(|event| event.get("usage").is_none()), "{untold:?}");
        assert_eq!((untold.events.len(), untold.text().as_str()), (4, "ab \"usage\":null"));
        assert!(untold.ended_with_done);
        assert_eq!(gateway.logged(untold.request_id())["usage"]["output_tokens"], 2);
    }
}

#[test]
fn a_stream_of_nothing_is_a_failure_and_another_deployment_answers() {
    let empty = upstream::openai().replies(sent(&["data: [DONE]\n\n"])).start();
    let full = upstream::openai().replies(chat("hello")).start();
    let gateway = gateway::with(group("gpt").deployment(openai(&empty).order(1)))
        .and(group("gpt").deployment(openai(&full).order(2)))
        .start();
    assert_eq!(gateway.client().stream("gpt", "hi").text(), "hello");

    let gateway = gateway::with(group("gpt").deployment(&empty)).router("num_retries: 0").start();
    let stream = gateway.client().stream("gpt", "hi");
    assert_eq!((stream.status, stream.error_code().as_deref()), (502, Some("upstream_error")));
    let log = gateway.logged(stream.request_id());
    assert_eq!(log["error"], "server", "{log}");
}

#[test]
fn many_streams_at_once_keep_their_frames() {
    let upstream = upstream::openai().replies(echo().gap(Duration::from_millis(2))).start();
    let gateway = gateway::with(group("gpt").deployment(&upstream)).start();

    let asked: Vec<_> = (0..40)
        .map(|number| {
            let client = gateway.client();
            let prompt = format!("alpha-{number} beta-{number} gamma-{number}");
            meanwhile(move || (client.stream("gpt", &prompt), prompt))
        })
        .collect();
    for one in asked {
        let (stream, prompt) = one.join().unwrap();
        assert!(stream.text().contains(&prompt), "{prompt}: {}", stream.text());
        assert!(stream.ended_with_done && !stream.cut);
    }
}

#[test]
fn large_frames_pass_and_endless_ones_are_given_up() {
    let text = "y".repeat(1_000_000);
    let endless = format!("data: {{\"choices\": [{{\"text\": \"{}", "z".repeat(17 * 1024 * 1024));
    let delta = json!({"content": text}).to_string();
    let upstream = upstream::openai()
        .first_replies([
            sent(&[&chunk(&delta, "null"), &chunk("{}", "\"stop\""), "data: [DONE]\n\n"]),
            sent(&[&endless]),
        ])
        .start();
    let gateway =
        gateway::with(group("gpt").deployment(&upstream)).router("num_retries: 0").start();

    assert_eq!(gateway.client().stream("gpt", "hi").text().len(), text.len());
    let given_up = gateway.client().stream("gpt", "hi");
    assert_eq!(given_up.status, 502, "{:?}", given_up.error);
}

// --- When it passes ---

#[test]
fn every_frame_is_there_before_the_next_one_is_sent() {
    let provider = Stepped::start();
    let gateway =
        gateway::with(group("gpt").deployment(provider.deployment("openai/gpt-4o-mini"))).start();

    let client = gateway.client();
    let opening = meanwhile(move || client.ask("gpt", "hi").open());
    let mut called = provider.called();
    called.begin_stream();
    called.send_delta(r#"{"role":"assistant"}"#);
    called.send_delta(r#"{"content":"0"}"#);
    let mut open = opening.join().unwrap();
    assert_eq!(open.next_text().as_deref(), Some("0"));
    for number in 1..20 {
        // The half of a frame has nobody to go to; the other half completes it.
        let frame = chunk(&format!(r#"{{"content":"{number}"}}"#), "null");
        let (half, rest) = frame.split_at(frame.len() / 2);
        called.send(half);
        called.send(rest);
        assert_eq!(open.next_text(), Some(number.to_string()));
    }
    called.send(chunk("{}", "\"stop\""));
    called.send("data: [DONE]\n\n");
    let stream = open.read_to_end();
    assert!(stream.ended_with_done, "the end does not wait for the provider's connection");
    called.end();
}

#[test]
fn what_is_there_already_leaves_in_one_piece() {
    let provider = Stepped::start();
    let gateway =
        gateway::with(group("gpt").deployment(provider.deployment("openai/gpt-4o-mini"))).start();
    // More than once: pieces that are sent right after each other can still arrive as one.
    for _ in 0..10 {
        let mut client = raw::connect(&gateway);
        client.send(raw::post(PATH, question("gpt").to_string().as_bytes()));
        let mut called = provider.called();
        assert!(called.in_one_piece, "the request");
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
        let content = chunk(r#"{"content":"hello"}"#, "\"stop\"");
        called.send([head, &content, "data: [DONE]\n\n"].concat());
        let mut read = vec![0; 16 * 1024];
        let count = client.socket().read(&mut read).unwrap();
        assert!(read[..count].starts_with(b"HTTP/1.1 200 OK"), "the reply's head");
        assert!(read[..count].ends_with(b"\r\n0\r\n\r\n"), "and the end of its body");
        called.end();
    }
}

#[test]
fn translated_frames_do_not_wait_either() {
    let provider = Stepped::start();
    let deployment = provider.deployment("anthropic/claude-sonnet-4-5");
    let gateway = gateway::with(group("claude").deployment(deployment)).start();
    let event = |name: &str, data: &str| format!("event: {name}\ndata: {data}\n\n");

    let client = gateway.client();
    let opening = meanwhile(move || client.ask("claude", "hi").open());
    let mut called = provider.called();
    called.begin_stream();
    called.send(event(
        "message_start",
        r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude","content":[],"stop_reason":null,"usage":{"input_tokens":5,"output_tokens":1}}}"#,
    ));
    called.send(event(
        "content_block_start",
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
    ));
    called.send(event("ping", r#"{"type":"ping"}"#));
    let delta = |text: &str| {
        let data = format!(
            r#"{{"type":"content_block_delta","index":0,"delta":{{"type":"text_delta","text":"{text}"}}}}"#
        );
        event("content_block_delta", &data)
    };
    called.send(delta("0"));
    let mut open = opening.join().unwrap();
    assert_eq!(open.next_text().as_deref(), Some("0"));
    for number in 1..10 {
        called.send(delta(&number.to_string()));
        assert_eq!(open.next_text(), Some(number.to_string()));
    }
    called.send(event("content_block_stop", r#"{"type":"content_block_stop","index":0}"#));
    called.send(event(
        "message_delta",
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":9}}"#,
    ));
    called.send(event("message_stop", r#"{"type":"message_stop"}"#));
    let stream = open.read_to_end();
    assert!(stream.ended_with_done, "the end does not wait for the provider's connection");
    assert_eq!(stream.finish_reason(), Some("stop"));
}

// --- The head waits for the first meaningful event ---

#[test]
fn an_error_in_a_200_is_tried_elsewhere_unseen() {
    let failing = [
        chat("a").error_frame_after(Point::Preamble, "server_error", "It broke."),
        chat("a").cut_after(Point::Preamble),
        chat("a").cut_after(Point::Preamble).cut_with_reset(),
        sent(&["data: {\"error\":{\"message\":\"no\",\"type\":\"server_error\"}}\n\n"]),
        sent(&["data: not JSON\n\n"]),
        sent(&[": nothing but a comment\n\n"]),
        sent(&[""]),
        json(&json!({"error": {"message": "no", "type": "server_error", "code": 500}})),
        body_of("text/html", "<html>no stream</html>"),
    ];
    let count = failing.len();
    let broken = upstream::openai().first_replies(failing).start();
    let sound = upstream::openai().replies(chat("hello")).start();
    let gateway = gateway::with(
        group("gpt").deployment(openai(&broken).order(1)).deployment(openai(&sound).order(2)),
    )
    .router("disable_cooldowns: true")
    .start();

    for round in 1..=count {
        let stream = gateway.client().stream("gpt", "hi");
        assert_eq!((stream.status, stream.text().as_str()), (200, "hello"), "round {round}");
        assert_eq!(stream.header("x-litellm-attempted-retries"), "1", "round {round}");
        assert!(stream.error.is_none() && stream.ended_with_done, "round {round}");
        let roles = stream
            .events
            .iter()
            .filter(|event| event["choices"][0]["delta"]["role"] != Value::Null);
        assert_eq!(roles.count(), 1, "round {round}: nothing of the first attempt is left");
        assert_eq!(broken.request_count(), round);
    }
}

#[test]
fn azures_and_anthropics_preambles_are_no_content() {
    let azure_broken = upstream::azure()
        .replies(chat("a").error_frame_after(Point::Preamble, "server_error", "It broke."))
        .start();
    let anthropic_broken = upstream::anthropic()
        .replies(chat("a").error_frame_after(Point::Preamble, "overloaded_error", "Overloaded"))
        .start();
    let sound = upstream::anthropic().replies(chat("hello")).start();
    let gateway = gateway::with(
        group("gpt")
            .deployment(azure(&azure_broken).order(1))
            .deployment(anthropic(&anthropic_broken).order(2))
            .deployment(anthropic(&sound).order(3)),
    )
    .start();

    let stream = gateway.client().stream("gpt", "hi");

    assert_eq!((stream.status, stream.text().as_str()), (200, "hello"));
    assert_eq!(stream.header("x-litellm-attempted-retries"), "2");
    assert_eq!((azure_broken.request_count(), anthropic_broken.request_count()), (1, 1));
}

#[test]
fn without_another_deployment_the_error_has_its_own_status() {
    let provider = Stepped::start();
    let gateway = gateway::with(group("gpt").deployment(provider.deployment("openai/gpt-4o-mini")))
        .router("num_retries: 0")
        .start();

    let client = gateway.client();
    let asking = meanwhile(move || client.ask("gpt", "hi").set("stream", true).send());
    let mut called = provider.called();
    called.begin_stream();
    called.send_delta(r#"{"role":"assistant","content":""}"#);
    called
        .send("data: {\"error\":{\"message\":\"Slow down\",\"code\":\"rate_limit_exceeded\"}}\n\n");
    let reply = asking.join().unwrap();

    assert_eq!((reply.status, reply.error_code().as_str()), (429, "rate_limit_exceeded"));
    assert_eq!(reply.header("content-type"), "application/json");
}

// --- Heartbeats ---

#[test]
fn silence_is_filled_with_comments() {
    let provider = Stepped::start();
    let gateway = gateway::with(group("gpt").deployment(provider.deployment("openai/gpt-4o-mini")))
        .general("heartbeat: 0.05")
        .start();
    let open = gateway.client();
    let opening = meanwhile(move || open.ask("gpt", "hi").open());
    let mut called = provider.called();

    // The provider has not even sent a head.
    let mut open = opening.join().unwrap();
    assert_eq!(
        (open.status(), open.header("content-type")),
        (200, "text/event-stream; charset=utf-8")
    );
    for _ in 0..3 {
        assert_eq!(open.next_frame(), Some(Frame::Comment));
    }
    called.begin_stream();
    called.send_delta(r#"{"role":"assistant","content":""}"#);
    assert_eq!(open.next_frame(), Some(Frame::Comment), "a preamble is no sign of life");
    called.send_delta(r#"{"content":"a"}"#);
    assert_eq!(open.next_text().as_deref(), Some("a"));
    let frame = chunk(r#"{"content":"b"}"#, "null");
    let (half, rest) = frame.split_at(20);
    called.send(half);
    for _ in 0..2 {
        assert_eq!(open.next_frame(), Some(Frame::Comment), "between frames, not within one");
    }
    called.send(rest);
    assert_eq!(open.next_text().as_deref(), Some("b"));
    called.send(chunk("{}", "\"stop\""));
    called.send("data: [DONE]\n\n");
    let stream = open.read_to_end();
    assert!(stream.ended_with_done && stream.error.is_none() && !stream.cut);
    assert!(String::from_utf8(stream.bytes).unwrap().contains("\n\n: ping\n\n"));
}

#[test]
fn after_a_heartbeat_another_deployment_may_still_answer_or_the_error_is_a_frame() {
    let silent = upstream::openai().replies(never_answers()).start();
    let sound = upstream::openai().replies(chat("hello")).start();
    let bounded = || openai(&silent).order(1).with("stream_timeout: 0.4");
    let gateway =
        gateway::with(group("two").deployment(bounded()).deployment(openai(&sound).order(2)))
            .and(group("one").deployment(bounded()))
            .general("heartbeat: 0.1")
            .router("num_retries: 1\ndisable_cooldowns: true")
            .start();

    let two = gateway.client().stream("two", "hi");
    assert!(two.comments > 0, "the first attempt was silent");
    assert_eq!((two.status, two.text().as_str()), (200, "hello"));
    assert!(two.ended_with_done && two.error.is_none() && !two.cut);
    let log = gateway.logged(two.request_id());
    assert_eq!((&log["status"], &log["retries"]), (&json!(200), &json!(1)));

    let one = gateway.client().stream("one", "hi");
    assert_eq!(one.status, 200, "the head went out with the first heartbeat");
    assert_eq!(one.error_code().as_deref(), Some("upstream_first_byte_timeout"));
    assert!(!one.ended_with_done && !one.cut);
    assert_eq!(gateway.logged(one.request_id())["error_code"], "upstream_first_byte_timeout");
}

#[test]
fn silence_between_attempts_is_filled_too() {
    let busy = upstream::openai()
        .first_replies([rate_limited().header("retry-after-ms", "600")])
        .replies(chat("hello"))
        .start();
    let gateway = gateway::with(group("gpt").deployment(&busy))
        .general("heartbeat: 0.1")
        .router("num_retries: 1\ndisable_cooldowns: true")
        .start();

    let stream = gateway.client().stream("gpt", "hi");
    assert!(stream.comments > 0, "{:?}", stream.comments);
    assert_eq!((stream.status, stream.text().as_str()), (200, "hello"));
    assert!(stream.ended_with_done && stream.error.is_none());

    let slow = upstream::openai()
        .first_replies([
            status(500).latency(Duration::from_millis(300)),
            status(500).latency(Duration::from_millis(300)),
        ])
        .replies(chat("hello"))
        .start();
    // Others are tried at once.
    let three = group("gpt").deployment(&slow).deployment(openai(&slow).id("b"));
    let gateway = gateway::with(three.deployment(openai(&slow).id("c")))
        .general("heartbeat: 0.45")
        .router("num_retries: 2\ndisable_cooldowns: true")
        .start();
    let stream = gateway.client().stream("gpt", "hi");
    assert!(stream.comments > 0, "no attempt was that long, both together were");
    assert_eq!(stream.text(), "hello");
}

#[test]
fn heartbeats_can_be_left_out() {
    let upstream =
        upstream::openai().replies(chat("a b").latency(Duration::from_millis(300))).start();
    let gateway = gateway::with(group("gpt").deployment(&upstream)).general("heartbeat: 0").start();
    assert_eq!(gateway.client().stream("gpt", "hi").comments, 0);
    let json = gateway::with(group("gpt").deployment(&upstream)).general("heartbeat: 0.05").start();
    assert_eq!(json.client().chat("gpt", "hi").text(), "a b", "a JSON reply has none");
}

#[test]
fn the_wait_for_the_first_content_is_the_providers() {
    let upstream =
        upstream::openai().replies(chat("hello").ttft(Duration::from_millis(400))).start();
    let gateway = gateway::with(group("gpt").deployment(&upstream)).start();

    let stream = gateway.client().stream("gpt", "hi");

    let told = |name: &str| stream.header(name).parse::<f64>().unwrap();
    let log = gateway.logged(stream.request_id());
    assert!(log["ttft_ms"].as_f64() >= Some(400.0), "{log}");
    assert!(log["upstream_ms"].as_f64() >= Some(390.0), "{log}");
    assert!(log["overhead_ms"].as_f64() < Some(200.0), "{log}");
    assert!(told("x-litellm-response-duration-ms") >= 400.0);
    assert!(told("x-litellm-overhead-duration-ms") < 200.0);
}

// --- Usage and cost ---

#[test]
fn usage_is_known_whether_it_is_shown_or_not() {
    let said = || chat("one two three").usage(1_000, 100).cached(600, 0);
    let openai_upstream = upstream::openai().replies(said()).start();
    let azure_upstream = upstream::azure().replies(said()).start();
    let anthropic_upstream = upstream::anthropic().replies(said()).start();
    let prices = |deployment: Deployment| {
        deployment.info(
            "input_cost_per_token: 0.000001\noutput_cost_per_token: 0.000002\n\
             cache_read_input_token_cost: 0.0000001",
        )
    };
    let gateway = gateway::with(group("openai").deployment(prices(openai(&openai_upstream))))
        .and(group("azure").deployment(prices(azure(&azure_upstream))))
        .and(group("anthropic").deployment(prices(anthropic(&anthropic_upstream))))
        .start();
    // 400 fresh tokens, 600 cached ones, 100 written.
    let cost = 0.000_66;

    for group in ["openai", "azure", "anthropic"] {
        let reply = gateway.client().chat(group, "hi");
        assert_eq!(reply.json()["usage"]["prompt_tokens"], 1_000, "{group}");
        assert_eq!(
            reply.header("x-litellm-response-cost").parse::<f64>().unwrap(),
            cost,
            "{group}"
        );
        let hidden = gateway.client().stream(group, "hi");
        assert_eq!(hidden.usage(), None, "{group}");
        assert!(hidden.ended_with_done);
        let options = json!({"include_usage": true});
        let shown = gateway.client().ask(group, "hi").set("stream_options", options).stream();
        let usage = shown.usage().unwrap_or_else(|| panic!("{group}: {shown:?}"));
        assert_eq!(
            (&usage["prompt_tokens"], &usage["completion_tokens"], &usage["total_tokens"]),
            (&json!(1_000), &json!(100), &json!(1_100)),
            "{group}"
        );
        assert_eq!(usage["prompt_tokens_details"]["cached_tokens"], 600, "{group}");
        let last = shown.events.last().unwrap();
        assert_eq!(last["choices"], json!([]), "{group}: a chunk of its own, as OpenAI sends it");

        for id in [reply.request_id(), hidden.request_id(), shown.request_id()] {
            let log = gateway.logged(id);
            assert_eq!(log["cost_usd"].as_f64(), Some(cost), "{group}: {log}");
            let usage = &log["usage"];
            assert_eq!(usage["input_tokens"], 1_000, "{group}: {log}");
            assert_eq!(usage["output_tokens"], 100, "{group}: {log}");
            assert_eq!(usage["cache_read_tokens"], 600, "{group}: {log}");
            assert_eq!(usage["estimated"], false, "{group}: {log}");
        }
    }
}

#[test]
fn usage_that_no_provider_tells_is_estimated() {
    let text = "word ".repeat(100);
    let upstream = upstream::openai().replies(chat(&text).without_usage()).start();
    let gateway = gateway::with(group("gpt").deployment(&upstream)).start();

    let stream = gateway.client().stream("gpt", "hi");
    let log = gateway.logged(stream.request_id());
    assert_eq!(log["usage"]["estimated"], true, "{log}");
    let tokens = log["usage"]["output_tokens"].as_u64().unwrap();
    assert!((50..=200).contains(&tokens), "{tokens} tokens for 100 words");
}

#[test]
fn images_are_not_estimated_as_if_they_were_text() {
    let upstream = upstream::openai().replies(chat("a cat").without_usage()).start();
    let gateway = gateway::with(group("gpt").deployment(&upstream)).start();
    let url = format!("data:image/png;base64,{}", "iVBORw0KGgo/".repeat(50_000));
    let sound = json!({"data": "UklGRigA".repeat(50_000), "format": "wav"});
    let content = json!([
        {"type": "text", "text": "what is this?"},
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "input_audio", "input_audio": sound},
    ]);

    let ask = gateway.client().ask("gpt", "");
    let reply = ask.set("messages", json!([{"role": "user", "content": content}])).send();

    let log = gateway.logged(reply.request_id());
    let tokens = log["usage"]["input_tokens"].as_u64().unwrap();
    assert!((10..1_000).contains(&tokens), "{tokens} tokens for three words and a million bytes");
}

#[test]
fn usage_of_a_broken_stream_is_not_forgotten() {
    let upstream =
        upstream::openai().replies(stream(["word "]).repeated(100).cut_after(80)).start();
    let gateway = gateway::with(group("gpt").deployment(&upstream)).start();

    let stream = gateway.client().stream("gpt", "hi");
    let log = gateway.logged(stream.request_id());
    assert_eq!(log["usage"]["estimated"], true, "{log}");
    assert!(log["usage"]["output_tokens"].as_u64() >= Some(40), "{log}");
}

// --- Streams that break ---

#[test]
fn a_broken_stream_ends_with_one_error() {
    let pieces = || stream(["one ", "two ", "three"]);
    let garbage = "data: {\"choices\": [<html>\n\n";
    let good = chunk(r#"{"content":"one two "}"#, "null");
    let breaks = [
        (pieces().cut_after(2), "upstream_connection_error"),
        (pieces().cut_after(2).cut_with_reset(), "upstream_connection_error"),
        (pieces().error_frame_after(2, "server_error", "It broke."), "server_error"),
        (sent(&[&good, garbage]), "upstream_error"),
        (sent(&[&good]), "upstream_connection_error"),
        (sent(&[&good]).until_close(), "upstream_connection_error"),
        (sent(&[&good, good.split_at(30).0]), "upstream_connection_error"),
    ];
    let upstream =
        upstream::openai().replies_in_circle(breaks.iter().map(|(reply, _)| reply.clone())).start();
    let spare = upstream::openai().replies(chat("never")).start();
    let gateway = gateway::with(
        group("gpt").deployment(openai(&upstream).order(1)).deployment(openai(&spare).order(2)),
    )
    .router("disable_cooldowns: true")
    .start();

    for (round, (_, code)) in breaks.iter().enumerate() {
        let stream = gateway.client().stream("gpt", "hi");
        let what = format!("round {round}: {}", String::from_utf8_lossy(&stream.bytes));
        assert_eq!((stream.status, stream.text().as_str()), (200, "one two "), "{what}");
        assert_eq!(stream.error_code().as_deref(), Some(*code), "{what}");
        let error = stream.error.clone().unwrap();
        assert!(error["message"].is_string() && error["type"].is_string(), "{what}");
        assert!(!stream.ended_with_done && !stream.cut, "{what}");
        let last = what.trim_end().rsplit("\n\n").next().unwrap();
        assert!(last.starts_with("data: {\"error\":"), "nothing follows the error; {what}");
        let log = gateway.logged(stream.request_id());
        assert_eq!((&log["status"], &log["error_code"]), (&json!(200), &json!(code)), "{what}");
    }
    assert_eq!(spare.request_count(), 0, "what was said cannot be taken back");

    let http2 = Http2::connect(&gateway);
    for (_, code) in &breaks {
        let reply = http2.post(PATH, question("gpt").to_string().as_bytes());
        assert!(
            reply.body_text().contains(&format!("\"code\":\"{code}\"")),
            "{}",
            reply.body_text()
        );
        assert!(reply.body_text().ends_with("}}\n\n"), "{}", reply.body_text());
    }
}

#[test]
fn a_translated_stream_breaks_in_the_clients_dialect() {
    let upstream = upstream::anthropic()
        .first_replies([
            stream(["one ", "two ", "three"]).error_frame_after(
                2,
                "overloaded_error",
                "Overloaded",
            ),
            stream(["one ", "two ", "three"]).cut_after(2),
        ])
        .start();
    let gateway = gateway::with(group("claude").deployment(anthropic(&upstream)))
        .router("disable_cooldowns: true")
        .start();

    for code in ["overloaded", "upstream_connection_error"] {
        let stream = gateway.client().stream("claude", "hi");
        assert_eq!(stream.text(), "one two ");
        let what = String::from_utf8_lossy(&stream.bytes);
        assert!(stream.error_code().is_some_and(|found| found.contains(code)), "{what}");
        assert!(!stream.ended_with_done && !stream.cut, "{what}");
        assert!(!what.contains("event:"), "OpenAI's events have no names: {what}");
    }
}

#[test]
fn the_connection_of_a_broken_stream_serves_again() {
    let upstream = upstream::openai()
        .first_replies([stream(["a", "b"]).cut_after(1)])
        .replies(chat("hello"))
        .start();
    let gateway =
        gateway::with(group("gpt").deployment(&upstream)).router("disable_cooldowns: true").start();
    let mut connection = raw::connect(&gateway);

    connection.send(raw::post(PATH, question("gpt").to_string().as_bytes()));
    assert!(connection.read_reply().body_text().contains("upstream_connection_error"));
    connection.send(b"GET /health HTTP/1.1\r\nhost: gateway\r\n\r\n");
    assert_eq!(connection.read_reply().status, 200);
}

// --- The end ---

#[test]
fn a_finished_stream_always_ends_with_done() {
    let text = chunk(r#"{"content":"hello"}"#, "null");
    let stop = chunk("{}", "\"stop\"");
    let upstream = upstream::openai()
        .first_replies([
            sent(&[&text, &stop, "data: [DONE]\n\n"]),
            sent(&[&text, &stop]),
            sent(&[&text, stop.trim_end()]),
            sent(&[&text, &stop, "data: [DONE]"]),
            sent(&[&text, &stop, "data: [DONE]\n\n", ": after\n\n", "data: junk\n\n"]),
            sent(&[&text, &stop]).until_close(),
            sent(&[&text, &stop]).cut_with_reset(),
            sent(&[&text.replace("\n\n", "\r\r"), &stop.replace("\n\n", "\r\r")]),
        ])
        .start();
    let gateway =
        gateway::with(group("gpt").deployment(&upstream)).router("num_retries: 0").start();

    for round in 0..8 {
        let mut connection = raw::connect(&gateway);
        connection.send(raw::post(PATH, question("gpt").to_string().as_bytes()));
        let reply = connection.read_reply();
        let body = reply.body_text();
        assert_eq!(reply.status, 200, "round {round}: {body}");
        assert!(body.contains("hello"), "round {round}: {body}");
        assert_eq!(body.matches("data: [DONE]").count(), 1, "round {round}: {body}");
        assert!(body.trim_end().ends_with("data: [DONE]"), "round {round}: {body}");
        assert!(!body.contains("junk"), "round {round}: {body}");
    }
}

#[test]
fn text_completions_stream_too() {
    let upstream = upstream::openai().replies(chat("one two")).start();
    let completing = openai(&upstream).info("mode: completion");
    let gateway = gateway::with(group("gpt").deployment(completing)).start();
    let body = json!({"model": "gpt", "prompt": "hi"});

    let stream = gateway.client().post("/v1/completions").json(&body).stream();

    let said: String =
        stream.events.iter().filter_map(|event| event["choices"][0]["text"].as_str()).collect();
    assert_eq!((said.as_str(), stream.ended_with_done), ("one two", true));
}
