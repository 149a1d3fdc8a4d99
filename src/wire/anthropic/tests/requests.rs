//! The conversation of a request: system, messages, parts, tool calls and results.

use serde_json::{Value, json};

use super::{options, refusal, send, send_with, try_send};
use crate::wire::RequestOptions;

const OLD: &str = "claude-haiku-4-5";
const NEW: &str = "claude-opus-4-8";

fn say(model: &str, messages: &Value) -> Value {
    send(model, &json!({"model": "m", "messages": messages, "max_tokens": 9}))
}

fn turns(model: &str, messages: &Value) -> Value {
    say(model, messages)["messages"].clone()
}

fn text(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

fn user_parts(parts: &Value) -> Value {
    turns(OLD, &json!([{"role": "user", "content": parts}]))[0]["content"].clone()
}

fn refused_part(part: &Value) -> (String, String) {
    let messages = json!([{"role": "user", "content": [text("a"), part]}]);
    refusal(OLD, &json!({"messages": messages}))
}

#[test]
fn system_messages_at_the_start_become_the_system_prompt() {
    let body = say(
        OLD,
        &json!([
            {"role": "system", "content": "One."},
            {"role": "developer", "content": [
                {"type": "text", "text": "Two.", "cache_control": {"type": "ephemeral"}},
                {"type": "text", "text": " "}]},
            {"role": "user", "content": "Hi"},
        ]),
    );
    let marked = json!({"type": "text", "text": "Two.", "cache_control": {"type": "ephemeral"}});
    assert_eq!(body["system"], json!([text("One."), marked]));
    assert_eq!(body["messages"], json!([{"role": "user", "content": [text("Hi")]}]));
}

#[test]
fn a_later_system_message_is_said_by_the_user_or_stands_behind_the_user_turn() {
    let messages = json!([
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "system", "content": "now"},
        {"role": "user", "content": "c"},
        {"role": "assistant", "content": "d"},
        {"role": "system", "content": "end"},
    ]);
    assert_eq!(
        turns(OLD, &messages),
        json!([
            {"role": "user", "content": [text("a")]},
            {"role": "assistant", "content": [text("b")]},
            {"role": "user", "content": [text("now"), text("c")]},
            {"role": "assistant", "content": [text("d")]},
            {"role": "user", "content": [text("end")]},
        ])
    );
    assert_eq!(
        turns(NEW, &messages),
        json!([
            {"role": "user", "content": [text("a")]},
            {"role": "assistant", "content": [text("b")]},
            {"role": "user", "content": [text("c")]},
            {"role": "system", "content": [text("now")]},
            {"role": "assistant", "content": [text("d")]},
            {"role": "user", "content": [text("end")]},
        ])
    );
}

#[test]
fn a_system_message_never_comes_between_a_call_and_its_result() {
    let messages = json!([
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": "t1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "system", "content": "careful"},
        {"role": "tool", "tool_call_id": "t1", "content": "r"},
    ]);
    let result = json!({"type": "tool_result", "tool_use_id": "t1", "content": "r"});
    assert_eq!(turns(OLD, &messages)[2]["content"], json!([result, text("careful")]));
    let new = turns(NEW, &messages);
    assert_eq!(new[2], json!({"role": "user", "content": [result]}));
    assert_eq!(new[3], json!({"role": "system", "content": [text("careful")]}));
}

#[test]
fn results_of_parallel_calls_are_one_turn_and_come_first() {
    let call = |id: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": arguments}});
    let body = turns(
        OLD,
        &json!([
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": "Both.", "tool_calls": [
                call("a", "{\"z\":1,\"b\":2}"), call("b", "")]},
            {"role": "user", "content": "meanwhile"},
            {"role": "tool", "tool_call_id": "a", "content": "1"},
            {"role": "tool", "tool_call_id": "b", "content": [text("2"), {"type": "image_url",
                "image_url": {"url": "https://i.example/x.png"}}]},
            {"role": "user", "content": "and?"},
        ]),
    );
    assert_eq!(
        body[1]["content"],
        json!([
            text("Both."),
            {"type": "tool_use", "id": "a", "name": "f", "input": {"z": 1, "b": 2}},
            {"type": "tool_use", "id": "b", "name": "f", "input": {}},
        ])
    );
    assert_eq!(
        body[2]["content"],
        json!([
            {"type": "tool_result", "tool_use_id": "a", "content": "1"},
            {"type": "tool_result", "tool_use_id": "b", "content": [text("2"),
                {"type": "image", "source": {"type": "url", "url": "https://i.example/x.png"}}]},
            text("meanwhile"),
            text("and?"),
        ])
    );
}

#[test]
fn the_order_of_arguments_is_kept() {
    let body = json!({"messages": [
        {"role": "user", "content": "go"},
        {"role": "assistant", "tool_calls": [{"id": "a", "type": "function",
            "function": {"name": "f", "arguments": "{\"z\": 1, \"a\": 1.50}"}}]},
        {"role": "tool", "tool_call_id": "a", "content": ""}]});
    let sent = try_send(&body, &options(OLD)).unwrap().body;
    let sent = String::from_utf8(sent.to_vec()).unwrap();
    assert!(sent.contains("\"input\":{\"z\": 1, \"a\": 1.50}"), "{sent}");
    assert!(sent.contains("{\"type\":\"tool_result\",\"tool_use_id\":\"a\"}"), "{sent}");
}

#[test]
fn arguments_that_are_no_object_are_kept_as_text() {
    for (arguments, input) in [
        (json!("{\"a\": tru"), json!({"INVALID_JSON": "{\"a\": tru"})),
        (json!("[1]"), json!({"INVALID_JSON": "[1]"})),
        (json!("null"), json!({})),
        (json!(" "), json!({})),
        (Value::Null, json!({})),
        (json!({"a": 1}), json!({"a": 1})),
    ] {
        let body = turns(
            OLD,
            &json!([{"role": "user", "content": "a"}, {"role": "assistant", "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": arguments}}]}]),
        );
        assert_eq!(body[1]["content"][0]["input"], input, "{arguments}");
    }
}

#[test]
fn ids_of_other_providers_stay_paired_and_apart() {
    let call = |id: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let body = turns(
        OLD,
        &json!([
            {"role": "user", "content": "a"},
            {"role": "assistant", "tool_calls": [call("f:0"), call("f.0"), call("call_1")]},
            {"role": "tool", "tool_call_id": "f:0", "content": "x"},
            {"role": "tool", "tool_call_id": "f.0", "content": "y"},
            {"role": "tool", "tool_call_id": "call_1", "content": "z"},
        ]),
    );
    for position in 0..3 {
        let (call, result) = (&body[1]["content"][position], &body[2]["content"][position]);
        assert_eq!(call["id"], result["tool_use_id"]);
        let id = call["id"].as_str().unwrap();
        assert!(id.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b)), "{id}");
    }
    assert_ne!(body[1]["content"][0]["id"], body[1]["content"][1]["id"]);
    assert_eq!(body[1]["content"][2]["id"], "call_1");
}

#[test]
fn thinking_goes_back_first_and_unchanged() {
    let blocks = json!([
        {"type": "thinking", "thinking": "Hm", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "eA=="},
    ]);
    let foreign = json!({"type": "thinking", "thinking": "no signature"});
    let mut sent = blocks.as_array().unwrap().clone();
    sent.push(foreign);
    let body = turns(
        OLD,
        &json!([
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": "b", "reasoning_content": "Hm", "thinking_blocks": sent,
             "tool_calls": [{"id": "t", "type": "function",
                "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "t", "content": "r"},
        ]),
    );
    let use_block = json!({"type": "tool_use", "id": "t", "name": "f", "input": {}});
    assert_eq!(body[1]["content"], json!([blocks[0], blocks[1], text("b"), use_block]));
}

#[test]
fn one_side_is_one_turn_and_blank_text_is_left_out() {
    assert_eq!(
        turns(
            OLD,
            &json!([
                {"role": "user", "content": "a", "name": "Ann"},
                {"role": "user", "content": ""},
                {"role": "user", "content": [text("\n"), text("b")]},
                {"role": "assistant", "content": null},
                {"role": "assistant", "content": [text("c"), {"type": "refusal", "refusal": "no"}]},
                {"role": "assistant", "content": "d", "refusal": "e"},
                {"role": "user", "content": "f"},
            ])
        ),
        json!([
            {"role": "user", "content": [text("a"), text("b")]},
            {"role": "assistant", "content": [text("c"), text("no"), text("d"), text("e")]},
            {"role": "user", "content": [text("f")]},
        ])
    );
}

#[test]
fn a_conversation_begins_and_ends_with_somebody_who_speaks() {
    let lone = say(OLD, &json!([{"role": "system", "content": "Write a poem."}]));
    assert_eq!(lone["messages"], json!([{"role": "user", "content": [text("Write a poem.")]}]));
    assert_eq!(lone.get("system"), None);

    let first = json!([{"role": "assistant", "content": "Hi"}, {"role": "user", "content": "a"}]);
    assert_eq!(turns(OLD, &first)[0], json!({"role": "user", "content": [text(".")]}));

    let silent = json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},
        {"role": "user", "content": ""}]);
    assert_eq!(turns(NEW, &silent)[2], json!({"role": "user", "content": [text(".")]}));

    let blank = json!([{"role": "user", "content": ""}, {"role": "system", "content": ""}]);
    assert_eq!(refusal(OLD, &json!({"messages": blank})).0, "messages");
    assert_eq!(refusal(OLD, &json!({"messages": []})).0, "messages");
    assert_eq!(refusal(OLD, &json!({"model": "m"})).0, "messages");
}

#[test]
fn an_answer_that_was_begun_is_continued_where_the_model_can() {
    let messages =
        json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": "{ \n"}]);
    assert_eq!(turns(OLD, &messages)[1]["content"], json!([text("{")]));
    assert_eq!(refusal("claude-sonnet-4-6", &json!({"messages": messages})).0, "messages");
    let repair = RequestOptions { modify_params: true, ..options("claude-sonnet-4-6") };
    let body = send_with(&json!({"messages": messages}), &repair);
    assert_eq!(body["messages"][2]["role"], "user");
}

#[test]
fn modify_params_answers_open_calls_and_drops_lost_results() {
    let messages = json!([
        {"role": "user", "content": "a"},
        {"role": "assistant", "tool_calls": [
            {"id": "t1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            {"id": "t2", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "t2", "content": "r"},
        {"role": "tool", "tool_call_id": "t9", "content": "lost"},
        {"role": "assistant", "tool_calls": [
            {"id": "t3", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
    ]);
    let repair = RequestOptions { modify_params: true, ..options(OLD) };
    let body = send_with(&json!({"messages": messages}), &repair);
    let ids = |turn: usize| -> Vec<&str> {
        let content = body["messages"][turn]["content"].as_array().unwrap();
        content.iter().map(|block| block["tool_use_id"].as_str().unwrap()).collect()
    };
    assert_eq!(ids(2), ["t1", "t2"]);
    assert_eq!(ids(4), ["t3"]);
}

#[test]
fn images_come_from_data_urls_and_addresses() {
    let png = json!({"type": "image", "source":
        {"type": "base64", "media_type": "image/png", "data": "iVBO"}});
    let jpeg = json!({"type": "image", "source":
        {"type": "base64", "media_type": "image/jpeg", "data": "/9j/"}, "cache_control": {"type": "ephemeral"}});
    assert_eq!(
        user_parts(&json!([
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO", "detail": "low"}},
            {"type": "image_url", "image_url": {"url": "DATA:image/JPG;x=y;base64,/9j/"},
             "cache_control": {"type": "ephemeral"}},
            {"type": "image_url", "image_url": "https://i.example/a.gif?x=1"},
        ])),
        json!([png, jpeg, {"type": "image", "source":
            {"type": "url", "url": "https://i.example/a.gif?x=1"}}])
    );
    for url in ["data:image/svg+xml;base64,PHN2Zz4=", "data:image/png,raw", "ftp://x/y.png", "x"] {
        let (param, message) =
            refused_part(&json!({"type": "image_url", "image_url": {"url": url}}));
        assert_eq!(param, "messages[0].content[1]", "{message}");
    }
    let svg =
        json!({"type": "image_url", "image_url": {"url": "data:image/svg+xml;base64,PHN2Zz4="}});
    assert!(refused_part(&svg).1.contains("image/svg+xml"));
}

#[test]
fn files_become_documents() {
    let document = |source: Value| json!({"type": "document", "source": source});
    let pdf = json!({"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="});
    let plain = json!({"type": "text", "media_type": "text/plain", "data": "h\u{e9}"});
    for (file, source) in [
        (
            json!({"file_data": "data:application/pdf;base64,JVBERi0=", "filename": "a.pdf"}),
            pdf.clone(),
        ),
        (json!({"file_data": "JVBERi0="}), pdf),
        (json!({"file_data": "data:text/plain;base64,aMOp"}), plain.clone()),
        (json!({"file_data": "data:text/plain;charset=utf-8,h%C3%A9"}), plain),
        (
            json!({"file_data": "https://x.example/a.pdf"}),
            json!({"type": "url", "url": "https://x.example/a.pdf"}),
        ),
        (
            json!({"file_id": "https://x.example/a.pdf"}),
            json!({"type": "url", "url": "https://x.example/a.pdf"}),
        ),
        (json!({"file_id": "file_1"}), json!({"type": "file", "file_id": "file_1"})),
    ] {
        let part = json!({"type": "file", "file": file});
        assert_eq!(user_parts(&json!([part])), json!([document(source)]), "{file}");
    }
    let image = json!({"type": "file", "file": {"file_data": "data:image/png;base64,iVBO"}});
    assert_eq!(user_parts(&json!([image]))[0]["type"], "image");
    for file in [
        json!({"file_data": "data:application/zip;base64,UEs="}),
        json!({"file_data": "data:text/plain;base64,/w=="}),
        json!({"file_data": "abc"}),
        json!({"filename": "a.pdf"}),
    ] {
        let (param, _) = refused_part(&json!({"type": "file", "file": file}));
        assert_eq!(param, "messages[0].content[1]", "{file}");
    }
}

#[test]
fn what_cannot_be_said_is_refused_by_name() {
    let audio = json!({"type": "input_audio", "input_audio": {"data": "x", "format": "wav"}});
    assert!(refused_part(&audio).1.contains("audio"));
    assert!(refused_part(&json!({"type": "video_url"})).1.contains("`video_url`"));
    let document = json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": [
        {"type": "document", "source": {}}]}, {"role": "user", "content": "b"}]);
    assert_eq!(refusal(OLD, &json!({"messages": document})).0, "messages[1].content[0]");
    let role = json!({"messages": [{"role": "robot", "content": "a"}]});
    assert_eq!(refusal(OLD, &role).0, "messages[0].role");
    let orphan = json!({"messages": [{"role": "tool", "content": "a"}]});
    assert_eq!(refusal(OLD, &orphan).0, "messages[0].tool_call_id");
    let number = json!({"messages": [{"role": "user", "content": 7}]});
    assert_eq!(refusal(OLD, &number).0, "messages[0].content");
}

#[test]
fn anthropics_own_blocks_and_markers_pass() {
    let document = json!({"type": "document", "source": {"type": "url", "url": "u"}, "title": "T",
        "citations": {"enabled": true}});
    assert_eq!(user_parts(&json!([document, text("a")])), json!([document, text("a")]));

    let marker = json!({"type": "ephemeral", "ttl": "1h"});
    let body = say(
        OLD,
        &json!([
            {"role": "system", "content": "s", "cache_control": marker},
            {"role": "user", "content": "a", "cache_control": marker},
            {"role": "assistant", "tool_calls": [{"id": "t", "type": "function",
                "function": {"name": "f", "arguments": "{}"}, "cache_control": marker}]},
            {"role": "tool", "tool_call_id": "t", "is_error": true, "content": [
                {"type": "text", "text": "r", "cache_control": marker}]},
        ]),
    );
    assert_eq!(body["system"][0]["cache_control"], marker);
    for turn in 0..3 {
        assert_eq!(body["messages"][turn]["content"][0]["cache_control"], marker, "{turn}");
    }
    let result = &body["messages"][2]["content"][0];
    assert_eq!(result["is_error"], true);
    assert_eq!(result["content"], json!([text("r")]));
}

#[test]
fn the_deprecated_function_call_is_a_tool_call() {
    let body = turns(
        OLD,
        &json!([
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": null, "function_call": {"name": "f", "arguments": "{}"}},
            {"role": "function", "name": "f", "content": "r"},
        ]),
    );
    assert_eq!(body[1]["content"][0]["id"], body[2]["content"][0]["tool_use_id"]);
}

#[test]
fn a_call_that_stands_in_the_content_is_not_said_twice() {
    let native = json!({"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}});
    let call = |id: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let turns = turns(
        OLD,
        &json!([
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": [native], "tool_calls": [call("t"), call("u")]},
            {"role": "tool", "tool_call_id": "t", "content": "r"},
            {"role": "tool", "tool_call_id": "u", "content": "s"},
        ]),
    );
    let ids: Vec<_> = turns[1]["content"].as_array().unwrap().iter().map(|b| &b["id"]).collect();
    assert_eq!(ids, ["t", "u"]);
    assert_eq!(turns[1]["content"][0], native);
}

#[test]
fn modify_params_sees_anthropics_own_calls_and_results() {
    let repair = RequestOptions { modify_params: true, ..options(OLD) };
    let turns = |messages: Value| {
        let body = json!({"model": "m", "messages": messages, "max_tokens": 9});
        send_with(&body, &repair)["messages"].clone()
    };
    let native = json!({"type": "tool_use", "id": "t", "name": "f", "input": {}});
    let result = |id: &str| json!({"type": "tool_result", "tool_use_id": id, "content": "r"});
    let open = turns(json!([{"role": "user", "content": "a"},
        {"role": "assistant", "content": [native]}, {"role": "user", "content": "b"}]));
    assert_eq!(open[2]["content"][0]["tool_use_id"], "t");
    let answered = turns(json!([{"role": "user", "content": "a"},
        {"role": "assistant", "content": [native]},
        {"role": "user", "content": [result("t"), result("lost"), result("t")]}]));
    assert_eq!(answered[2]["content"], json!([result("t")]));
}
