//! Streams that are not in the recorded cases.

use serde_json::{Value, json};

use super::{Ending, Told, deltas, event, translate};
use crate::failure::FailureClass;

fn start() -> String {
    event(&json!({"type": "message_start", "message": {"id": "msg_1", "model": "m", "content": [],
        "usage": {"input_tokens": 9, "cache_read_input_tokens": 1, "output_tokens": 1}}}))
}

fn block(index: u32, block: &Value) -> String {
    event(&json!({"type": "content_block_start", "index": index, "content_block": block}))
}

fn delta(index: u32, delta: &Value) -> String {
    event(&json!({"type": "content_block_delta", "index": index, "delta": delta}))
}

fn stop(index: u32) -> String {
    event(&json!({"type": "content_block_stop", "index": index}))
}

fn text(index: u32, text: &str) -> String {
    let begin = block(index, &json!({"type": "text", "text": ""}));
    begin + &delta(index, &json!({"type": "text_delta", "text": text})) + &stop(index)
}

fn fragment(index: u32, json: &str) -> String {
    delta(index, &json!({"type": "input_json_delta", "partial_json": json}))
}

fn tool(index: u32, name: &str) -> String {
    block(index, &json!({"type": "tool_use", "id": format!("t{index}"), "name": name, "input": {}}))
}

fn end(stop_reason: &str) -> String {
    event(&json!({"type": "message_delta", "delta": {"stop_reason": stop_reason},
        "usage": {"output_tokens": 5}}))
        + &event(&json!({"type": "message_stop"}))
}

fn tell(stream: &[String]) -> Told {
    let stream = stream.concat();
    let whole = translate([stream.as_bytes()], false);
    assert_eq!(translate(stream.as_bytes().chunks(1), false), whole);
    whole
}

fn role() -> Value {
    json!({"role": "assistant", "content": ""})
}

#[test]
fn every_stop_reason_has_its_finish_reason() {
    for (stop_reason, expected) in [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("pause_turn", "stop"),
        ("refusal", "content_filter"),
        ("something_new", "stop"),
    ] {
        let told = tell(&[start(), text(0, "a"), end(stop_reason)]);
        assert_eq!(deltas(&told.frames).last().unwrap(), expected, "{stop_reason}");
    }
}

#[test]
fn counts_are_totals_and_what_is_absent_is_kept() {
    let usage = tell(&[start(), text(0, "a"), end("end_turn")]).usage.unwrap();
    assert_eq!((usage.input_tokens, usage.output_tokens, usage.cache_read_tokens), (10, 5, 1));
    let cut = tell(&[start(), text(0, "a")]);
    assert_eq!(cut.usage.unwrap().output_tokens, 1);
    assert_eq!((cut.ending, cut.text_bytes), (Ending::Cut, 1));
}

#[test]
fn what_was_generated_before_a_cut_is_estimated() {
    let whole = tell(&[start(), text(0, "a"), end("end_turn")]).usage.unwrap();
    assert!(!whole.estimated);
    let cut = tell(&[start(), text(0, &"word".repeat(30))]).usage.unwrap();
    assert_eq!((cut.input_tokens, cut.output_tokens, cut.estimated), (10, 30, true));
}

#[test]
fn a_tool_without_fragments_ends_as_an_empty_object() {
    let told = tell(&[
        start(),
        tool(0, "now"),
        fragment(0, ""),
        stop(0),
        tool(1, "later"),
        stop(1),
        end("tool_use"),
    ]);
    assert_eq!(
        deltas(&told.frames)[1..],
        [
            json!({"tool_calls": [{"index": 0, "id": "t0", "type": "function",
                "function": {"name": "now", "arguments": ""}}]}),
            json!({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}),
            json!({"tool_calls": [{"index": 1, "id": "t1", "type": "function",
                "function": {"name": "later", "arguments": ""}}]}),
            json!({"tool_calls": [{"index": 1, "function": {"arguments": "{}"}}]}),
            json!("tool_calls"),
        ]
    );
}

#[test]
fn input_that_comes_with_the_start_is_used_where_no_fragment_follows() {
    let whole = json!({"type": "tool_use", "id": "t", "name": "f", "input": {"b": 1}});
    let told = tell(&[start(), block(0, &whole), stop(0), end("tool_use")]);
    let expected = json!({"tool_calls": [{"index": 0, "function": {"arguments": r#"{"b":1}"#}}]});
    assert_eq!(deltas(&told.frames)[2], expected);
}

#[test]
fn a_missing_block_stop_is_made_up_for() {
    let told = tell(&[
        start(),
        tool(0, "a"),
        tool(1, "b"),
        fragment(1, "{\"x\": \"cut"),
        end("max_tokens"),
    ]);
    let deltas = deltas(&told.frames);
    assert_eq!(deltas[2]["tool_calls"][0]["function"]["arguments"], "{}");
    assert_eq!(deltas[4]["tool_calls"][0]["function"]["arguments"], "{\"x\": \"cut");
    assert_eq!(deltas[5], "length");
    assert_eq!(told.ending, Ending::Complete);
}

#[test]
fn names_are_given_back_as_the_client_wrote_them() {
    let told = tell(&[start(), tool(0, "_x-files-2Eread"), stop(0), end("tool_use")]);
    assert_eq!(deltas(&told.frames)[1]["tool_calls"][0]["function"]["name"], "files.read");
}

#[test]
fn an_answer_given_by_our_tool_is_text() {
    let told = tell(&[
        start(),
        tool(0, "_json_output"),
        fragment(0, "{\"a\""),
        fragment(0, ":1}"),
        stop(0),
        end("tool_use"),
    ]);
    assert_eq!(
        deltas(&told.frames),
        [role(), json!({"content": "{\"a\""}), json!({"content": ":1}"}), json!("stop")]
    );
}

#[test]
fn a_signature_without_text_still_comes_back() {
    let told = tell(&[
        start(),
        block(0, &json!({"type": "thinking", "thinking": "", "signature": ""})),
        delta(0, &json!({"type": "signature_delta", "signature": "c2ln"})),
        stop(0),
        text(1, "a"),
        end("end_turn"),
    ]);
    let block = json!({"type": "thinking", "thinking": "", "signature": "c2ln"});
    assert_eq!(deltas(&told.frames)[1], json!({"thinking_blocks": [block]}));
}

#[test]
fn a_refusal_explains_itself() {
    let refused = json!({"type": "message_delta", "delta": {"stop_reason": "refusal",
        "stop_details": {"type": "refusal", "category": null, "explanation": "Not this."}}});
    let told =
        tell(&[start(), text(0, ""), event(&refused), event(&json!({"type": "message_stop"}))]);
    assert_eq!(
        deltas(&told.frames),
        [role(), json!({"refusal": "Not this."}), json!("content_filter")]
    );
}

#[test]
fn pings_unknown_events_and_unknown_blocks_are_swallowed() {
    let told = tell(&[
        start(),
        event(&json!({"type": "ping"})),
        event(&json!({"type": "brand_new", "index": "x"})),
        ": comment\n\n".to_owned(),
        "event: other\ndata: not json\n\n".to_owned(),
        block(0, &json!({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}})),
        fragment(0, "{\"query\":\"x\"}"),
        stop(0),
        block(1, &json!({"type": "web_search_tool_result", "tool_use_id": "s", "content": []})),
        stop(1),
        block(2, &json!({"type": "text", "text": ""})),
        delta(2, &json!({"type": "citations_delta", "citation": {"url": "u"}})),
        delta(2, &json!({"type": "text_delta", "text": "b"})),
        stop(2),
        end("end_turn"),
    ]);
    let cited = json!({"url": "u", "title": null, "start_index": 0, "end_index": 1});
    let cited = json!({"annotations": [{"type": "url_citation", "url_citation": cited}]});
    assert_eq!(deltas(&told.frames), [role(), json!({"content": "b"}), cited, json!("stop")]);
    assert_eq!(told.failure, None);
}

#[test]
fn citations_stand_where_their_text_does() {
    let page = json!({"type": "web_search_result_location", "url": "https://w", "title": "W"});
    let told = tell(&[
        start(),
        text(0, "\u{e9}t\u{e9}: "),
        block(1, &json!({"type": "text", "text": "", "citations": []})),
        delta(1, &json!({"type": "text_delta", "text": "wa"})),
        delta(1, &json!({"type": "citations_delta", "citation": page})),
        delta(1, &json!({"type": "citations_delta", "citation": {"type": "char_location"}})),
        delta(1, &json!({"type": "text_delta", "text": "rm"})),
        stop(1),
        text(2, "."),
        end("end_turn"),
    ]);
    let told: Vec<Value> = deltas(&told.frames)
        .into_iter()
        .filter_map(|delta| delta.get("annotations").cloned())
        .collect();
    let cited = json!({"url": "https://w", "title": "W", "start_index": 5, "end_index": 9});
    assert_eq!(told, [json!([{"type": "url_citation", "url_citation": cited}])]);
}

#[test]
fn nothing_is_meaningful_before_something_was_generated() {
    let preamble = [
        start(),
        event(&json!({"type": "ping"})),
        block(0, &json!({"type": "text", "text": ""})),
        delta(0, &json!({"type": "text_delta", "text": ""})),
    ];
    assert!(!tell(&preamble).meaningful);
    let with_tool = preamble.concat() + &tool(1, "f");
    assert!(tell(&[with_tool]).meaningful);
    assert!(tell(&[start(), end("end_turn")]).meaningful);
}

#[test]
fn an_error_comes_first_or_in_the_middle_and_ends_everything() {
    let error = |kind: &str| {
        event(&json!({"type": "error", "error": {"type": kind, "message": "m", "details": null}}))
    };
    for (kind, class) in [
        ("overloaded_error", FailureClass::Overloaded),
        ("rate_limit_error", FailureClass::RateLimited),
        ("api_error", FailureClass::Server),
        ("timeout_error", FailureClass::Timeout),
        ("authentication_error", FailureClass::Auth),
        ("invalid_request_error", FailureClass::BadRequest),
        ("unheard_of", FailureClass::Server),
    ] {
        let told = tell(&[error(kind), text(0, "late"), end("end_turn")]);
        assert_eq!((told.frames.as_str(), told.meaningful), ("", false));
        assert_eq!(told.ending, Ending::Cut);
        assert_eq!(told.failure.unwrap().class, class, "{kind}");
    }
    let told = tell(&[start(), text(0, "a"), error("overloaded_error"), end("end_turn")]);
    assert_eq!(deltas(&told.frames), [role(), json!({"content": "a"})]);
    assert_eq!((told.meaningful, told.ending), (true, Ending::Cut));
}

#[test]
fn an_event_that_cannot_be_read_is_a_failure() {
    for broken in [
        "event: content_block_delta\ndata: {\"index\":0\n\n",
        "data: <html>\n\n",
        "event: error\ndata: gone\n\n",
    ] {
        let told = tell(&[start(), broken.to_owned(), end("end_turn")]);
        assert_eq!(told.failure.unwrap().class, FailureClass::Server, "{broken}");
    }
    let bare = "data: {\"error\":{\"message\":\"no\"}}\n\n".to_owned();
    assert_eq!(tell(&[bare]).failure.unwrap().message, "no");
}

#[test]
fn events_without_names_are_read_by_their_type() {
    let named = [start(), text(0, "a"), end("end_turn")].concat();
    let bare: String =
        named.split_inclusive('\n').filter(|line| !line.starts_with("event: ")).collect();
    assert_eq!(tell(&[bare + "data: [DONE]\n\n"]), tell(&[named]));
}

#[test]
fn a_stream_closed_after_its_stop_reason_is_complete() {
    let whole = [start(), text(0, "a"), end("end_turn")].concat();
    let expected = tell(std::slice::from_ref(&whole));
    let (without_stop, _) = whole.split_once("event: message_stop").unwrap();
    assert_eq!(tell(&[without_stop.to_owned()]), expected);
    assert_eq!(tell(&[whole.trim_end().to_owned()]), expected);
    assert!(expected.frames.ends_with("data: [DONE]\n\n"));
}

#[test]
fn what_breaks_after_the_stop_reason_does_not_break_the_answer() {
    let whole = [start(), text(0, "a"), end("end_turn")].concat();
    let expected = tell(std::slice::from_ref(&whole));
    let (said, _) = whole.split_once("event: message_stop").unwrap();
    let error = json!({"type": "error", "error": {"type": "api_error", "message": "m"}});
    for after in [event(&error), "data: {broken\n\n".to_owned()] {
        assert_eq!(tell(&[said.to_owned(), after]), expected);
    }
}

#[test]
fn an_endless_thought_is_streamed_but_not_kept() {
    let thought = "x".repeat(1 << 20);
    let mut stream =
        start() + &block(0, &json!({"type": "thinking", "thinking": "", "signature": ""}));
    for _ in 0..5 {
        stream += &delta(0, &json!({"type": "thinking_delta", "thinking": thought}));
    }
    stream += &delta(0, &json!({"type": "signature_delta", "signature": "s"}));
    stream += &(stop(0) + &end("end_turn"));
    let told = translate([stream.as_bytes()], false);
    assert_eq!(told.text_bytes, 5 << 20);
    assert!(!told.frames.contains("thinking_blocks"));
}
