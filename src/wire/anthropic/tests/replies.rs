//! Whole replies.

use bytes::Bytes;
use serde_json::{Value, json};

use super::CREATED;
use crate::failure::FailureClass;
use crate::wire::anthropic::reply;

fn read(message: &Value) -> Value {
    let reply = reply(Bytes::from(message.to_string()), CREATED).unwrap();
    serde_json::from_slice(&reply.body).unwrap()
}

fn message(content: &Value, stop_reason: &str) -> Value {
    json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x",
        "content": content, "stop_reason": stop_reason,
        "usage": {"input_tokens": 3, "output_tokens": 4}})
}

fn choice(content: &Value, stop_reason: &str) -> Value {
    read(&message(content, stop_reason))["choices"][0].clone()
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
        let choice = choice(&json!([{"type": "text", "text": "a"}]), stop_reason);
        assert_eq!(choice["finish_reason"], expected, "{stop_reason}");
    }
    let tool = json!([{"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}]);
    assert_eq!(choice(&tool, "tool_use")["finish_reason"], "tool_calls");
    assert_eq!(choice(&tool, "max_tokens")["finish_reason"], "length");
}

#[test]
fn what_openai_has_no_word_for_stands_beside_the_finish_reason() {
    let text = json!([{"type": "text", "text": "a"}]);
    let mut stopped = message(&text, "stop_sequence");
    stopped["stop_sequence"] = "END".into();
    let stopped = &read(&stopped)["choices"][0];
    assert_eq!(stopped["native_finish_reason"], "stop_sequence");
    assert_eq!(stopped["stop_sequence"], "END");
    let full = choice(&text, "model_context_window_exceeded");
    assert_eq!(full["native_finish_reason"], "model_context_window_exceeded");
    let usual = choice(&text, "end_turn");
    assert_eq!(usual.get("native_finish_reason").or_else(|| usual.get("stop_sequence")), None);
}

#[test]
fn tool_calls_keep_the_order_and_the_spelling_of_their_input() {
    let body = r#"{"id":"msg_1","model":"m","content":[
        {"type":"text","text":"Look:"},
        {"type":"tool_use","id":"toolu_1","name":"_x-files-2Eread","input":{ "z" : 1.0, "a" : [ "x y", "\" {" ] },"caller":{"type":"direct"}},
        {"type":"tool_use","id":"toolu_2","name":"now","input":{}}],
        "stop_reason":"tool_use","usage":{"input_tokens":1,"output_tokens":2}}"#;
    let reply = reply(Bytes::from(body), CREATED).unwrap();
    let reply: Value = serde_json::from_slice(&reply.body).unwrap();
    let message = &reply["choices"][0]["message"];
    assert_eq!(message["content"], "Look:");
    assert_eq!(
        message["tool_calls"],
        json!([
            {"id": "toolu_1", "type": "function", "function": {
                "name": "files.read", "arguments": r#"{"z":1.0,"a":["x y","\" {"]}"#}},
            {"id": "toolu_2", "type": "function", "function": {"name": "now", "arguments": "{}"}},
        ])
    );
}

#[test]
fn thinking_comes_as_text_and_as_blocks_to_send_back() {
    let blocks = json!([
        {"type": "thinking", "thinking": "Hm. ", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "ZGF0YQ=="},
        {"type": "thinking", "thinking": "", "signature": "c2lnMg=="},
    ]);
    let mut content = blocks.as_array().unwrap().clone();
    content.push(json!({"type": "text", "text": "Yes."}));
    let message = choice(&content.into(), "end_turn")["message"].clone();
    assert_eq!(message["reasoning_content"], "Hm. ");
    assert_eq!(message["thinking_blocks"], blocks);
    assert_eq!(message["content"], "Yes.");
}

#[test]
fn a_refusal_explains_itself() {
    let mut refused = message(&json!([{"type": "text", "text": ""}]), "refusal");
    refused["stop_details"] =
        json!({"type": "refusal", "category": "cyber", "explanation": "Not this."});
    let choice = read(&refused)["choices"][0].clone();
    assert_eq!(choice["finish_reason"], "content_filter");
    assert_eq!(choice["message"]["refusal"], "Not this.");
    assert_eq!(choice["message"]["content"], Value::Null);
}

#[test]
fn silence_is_an_empty_text_and_null_beside_tool_calls() {
    assert_eq!(choice(&json!([]), "max_tokens")["message"]["content"], "");
    let tool = json!([{"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}]);
    assert_eq!(choice(&tool, "tool_use")["message"]["content"], Value::Null);
}

#[test]
fn an_answer_given_by_our_tool_is_text() {
    let content =
        json!([{"type": "tool_use", "id": "t", "name": "_json_output", "input": {"a": 1}}]);
    let choice = choice(&content, "tool_use");
    assert_eq!(choice["message"]["content"], r#"{"a":1}"#);
    assert_eq!(choice["message"].get("tool_calls"), None);
    assert_eq!(choice["finish_reason"], "stop");
}

#[test]
fn what_runs_at_the_provider_is_not_shown_and_web_citations_are() {
    let choice = choice(
        &json!([
            {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
            {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
            {"type": "text", "text": "\u{e9}t\u{e9}: "},
            {"type": "text", "text": "warm", "citations": [
                {"type": "web_search_result_location", "url": "https://w.example", "title": "W",
                 "cited_text": "warm", "encrypted_index": "x"},
                {"type": "char_location", "cited_text": "c", "document_index": 0},
                {"type": "page_location", "document_title": "Almanac", "document_index": 1},
                {"type": "search_result_location", "source": "https://s.example", "title": "S"}]},
        ]),
        "end_turn",
    );
    assert_eq!(choice["message"]["content"], "\u{e9}t\u{e9}: warm");
    assert_eq!(choice["message"].get("tool_calls"), None);
    assert_eq!(
        choice["message"]["annotations"],
        json!([{"type": "url_citation", "url_citation":
            {"url": "https://w.example", "title": "W", "start_index": 5, "end_index": 9}},
            {"type": "file_citation", "file_citation": {"file_id": null, "filename": "Almanac",
             "start_index": 5, "end_index": 9}},
            {"type": "url_citation", "url_citation":
            {"url": "https://s.example", "title": "S", "start_index": 5, "end_index": 9}}])
    );
}

#[test]
fn searches_of_the_web_are_counted() {
    let mut body = message(&json!([]), "end_turn");
    body["usage"] = json!({"input_tokens": 1, "output_tokens": 2,
        "server_tool_use": {"web_search_requests": 3, "web_fetch_requests": 1}});
    let usage = reply(Bytes::from(body.to_string()), CREATED).unwrap().usage.unwrap();
    assert_eq!(usage.units.web_searches, 3);
}

#[test]
fn usage_follows_openais_convention() {
    let mut body = message(&json!([]), "end_turn");
    body["usage"] = json!({"input_tokens": 10, "output_tokens": 50,
        "cache_read_input_tokens": 200, "cache_creation_input_tokens": 30,
        "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
        "output_tokens_details": {"thinking_tokens": 40}, "service_tier": "standard"});
    let usage = reply(Bytes::from(body.to_string()), CREATED).unwrap().usage.unwrap();
    assert_eq!((usage.input_tokens, usage.output_tokens), (240, 50));
    assert_eq!((usage.cache_read_tokens, usage.cache_write_tokens), (200, 30));
    assert_eq!((usage.cache_write_1h_tokens, usage.reasoning_tokens), (20, 40));
    assert_eq!(
        read(&body)["usage"],
        json!({"prompt_tokens": 240, "completion_tokens": 50, "total_tokens": 290,
            "prompt_tokens_details": {"cached_tokens": 200, "cache_write_tokens": 30},
            "completion_tokens_details": {"reasoning_tokens": 40}})
    );

    body["usage"]["iterations"] = json!([
        {"type": "compaction", "input_tokens": 100, "output_tokens": 7},
        {"type": "message", "input_tokens": 10, "output_tokens": 50, "cache_read_input_tokens": 200}]);
    let usage = reply(Bytes::from(body.to_string()), CREATED).unwrap().usage.unwrap();
    assert_eq!((usage.input_tokens, usage.output_tokens), (310, 57));
}

#[test]
fn a_200_that_is_no_message_is_a_failure() {
    let read = |body: &'static str| reply(Bytes::from(body), CREATED).unwrap_err();
    let error =
        read(r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#);
    assert_eq!(
        (error.class, error.code.as_deref()),
        (FailureClass::Overloaded, Some("overloaded"))
    );
    for garbage in ["", "<html>", "null", "{}", r#"{"content":"text"}"#, r#"{"content":[1]}"#] {
        assert_eq!(read(garbage).class, FailureClass::Server, "{garbage}");
    }
}
