//! Conversations: turns, blocks, tools and their results.

use serde_json::{Value, json};

use super::*;

fn turns(messages: Value) -> Value {
    With::default().send(&json!({ "messages": messages })).unwrap()["messages"].take()
}

fn call(id: &str, name: &str) -> Value {
    json!({"id": id, "type": "function", "function": {"name": name, "arguments": "{\"a\":1}"}})
}

#[test]
fn turns_alternate_and_the_user_begins() {
    let sent = turns(json!([
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "a"},
        {"role": "user", "content": [{"type": "text", "text": " "}, {"type": "text", "text": "b"}]},
        {"role": "system", "content": "Be terse."},
        {"role": "assistant", "content": ""},
        {"role": "user", "content": "c"},
    ]));
    let expected = json!([
        {"role": "user", "content": [{"text": "."}]},
        {"role": "assistant", "content": [{"text": "Hello."}]},
        {"role": "user", "content": [
            {"text": "a"}, {"text": "b"}, {"text": "Be terse."}, {"text": "c"},
        ]},
    ]);
    assert_eq!(sent, expected);
    assert_eq!(
        turns(json!([{"role": "system", "content": "alone"}])),
        json!([{"role": "user", "content": [{"text": "alone"}]}])
    );
}

#[test]
fn results_of_one_turn_stand_together_and_first() {
    let body = json!({
        "messages": [
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": "Looking.", "tool_calls": [call("a/1", "f.x"), call("b", "g")]},
            {"role": "tool", "tool_call_id": "a/1", "content": "1"},
            {"role": "user", "content": "and"},
            {"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "text": "2"}], "is_error": true},
        ],
        "tools": [{"type": "function", "function": {"name": "f.x"}}],
    });
    let sent = With::default().send(&body).unwrap();
    let id = sent["messages"][1]["content"][1]["toolUse"]["toolUseId"].as_str().unwrap();
    assert!(id.starts_with("_x-") && id.len() <= 64);
    assert_eq!(
        sent["messages"][1]["content"],
        json!([
            {"text": "Looking."},
            {"toolUse": {"toolUseId": id, "name": "_x-f-2Ex", "input": {"a": 1}}},
            {"toolUse": {"toolUseId": "b", "name": "g", "input": {"a": 1}}},
        ])
    );
    assert_eq!(
        sent["messages"][2]["content"],
        json!([
            {"toolResult": {"toolUseId": id, "content": [{"text": "1"}]}},
            {"toolResult": {"toolUseId": "b", "content": [{"text": "2"}], "status": "error"}},
            {"text": "and"},
        ])
    );
    assert_eq!(sent["toolConfig"]["tools"][0]["toolSpec"]["name"], "_x-f-2Ex");
    let llama = to(LLAMA).send(&body).unwrap();
    assert_eq!(llama["messages"][2]["content"][1]["toolResult"].get("status"), None);
    let apart = With { modify_params: true, ..to(LLAMA) }.send(&body).unwrap();
    let roles: Vec<_> =
        apart["messages"].as_array().unwrap().iter().map(|it| &it["role"]).collect();
    assert_eq!(roles[..3], ["user", "assistant", "user"]);
}

#[test]
fn tools_stay_where_history_needs_them() {
    let history = json!([
        {"role": "user", "content": "go"},
        {"role": "assistant", "tool_calls": [call("a", "f")]},
        {"role": "tool", "tool_call_id": "a", "content": "1"},
    ]);
    let tools = json!([{"type": "function", "function": {"name": "g", "description": " "}}]);
    let kept = json!({"toolSpec": {"name": "g", "inputSchema": {"json": {"type": "object", "properties": {}}}}});

    let none = json!({"messages": history, "tools": tools, "tool_choice": "none"});
    let sent = With::default().send(&none).unwrap();
    assert_eq!(sent["toolConfig"], json!({ "tools": [kept] }));
    assert!(sent["system"][0]["text"].as_str().unwrap().contains("No tool"));

    let without = With::default().send(&json!({ "messages": history })).unwrap();
    assert_eq!(without["toolConfig"]["tools"][0]["toolSpec"]["name"], "f");
    assert_eq!(without["toolConfig"].get("toolChoice"), None);

    let plain = json!([{"role": "user", "content": "go"}]);
    let none = json!({"messages": plain, "tools": tools, "tool_choice": "none"});
    assert_eq!(With::default().send(&none).unwrap().get("toolConfig"), None);
    assert_eq!(With::default().send(&none).unwrap().get("system"), None);
    let empty = json!({"messages": plain, "tools": [], "tool_choice": "auto"});
    assert_eq!(With::default().send(&empty).unwrap().get("toolConfig"), None);
}

#[test]
fn media_become_blocks_by_their_type() {
    let sent = turns(json!([{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
        {"type": "file", "file": {"filename": "a.b.pdf", "file_data": "data:application/pdf;base64,AA=="}},
        {"type": "file", "file": {"filename": "a-b.docx", "file_data": "AA=="}},
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
        {"type": "video_url", "video_url": {"url": "s3://bucket/v.mp4"}},
        {"type": "guarded_text", "text": "look"},
    ]}]));
    let bytes = json!({"bytes": "AA=="});
    assert_eq!(
        sent[0]["content"],
        json!([
            {"image": {"format": "png", "source": bytes}},
            {"document": {"format": "pdf", "name": "a-b", "source": bytes}},
            {"document": {"format": "docx", "name": "a-b (2)", "source": bytes}},
            {"audio": {"format": "wav", "source": bytes}},
            {"video": {"format": "mp4", "source": {"s3Location": {"uri": "s3://bucket/v.mp4"}}}},
            {"guardContent": {"text": {"text": "look"}}},
            {"text": "."},
        ])
    );
}

#[test]
fn cache_points_follow_what_is_marked_if_the_model_takes_them() {
    let mark = json!({"type": "ephemeral"});
    let hour = json!({"type": "ephemeral", "ttl": "1h"});
    let body = json!({
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "s", "cache_control": hour}]},
            {"role": "user", "content": "u", "cache_control": mark},
            {"role": "assistant", "tool_calls": [call("a", "f")]},
            {"role": "tool", "tool_call_id": "a", "content": "1", "cache_control": mark},
            {"role": "tool", "tool_call_id": "b", "content": "2"},
        ],
        "tools": [{"type": "function", "function": {"name": "f"}, "cache_control": mark}],
    });
    let point = json!({"cachePoint": {"type": "default"}});
    let sent = With::default().send(&body).unwrap();
    assert_eq!(sent["system"][1], json!({"cachePoint": {"type": "default", "ttl": "1h"}}));
    assert_eq!(sent["messages"][0]["content"], json!([{"text": "u"}, point]));
    assert_eq!(sent["messages"][2]["content"][1], point);
    assert_eq!(sent["messages"][2]["content"][2]["toolResult"]["toolUseId"], "b");
    assert_eq!(sent["toolConfig"]["tools"][1], point);
    let nova = to(NOVA).send(&body).unwrap();
    assert_eq!(nova["toolConfig"]["tools"].as_array().unwrap().len(), 1);
    assert_eq!(nova["messages"][0]["content"][1], point);
    let llama = to(LLAMA).send(&body).unwrap();
    assert!(!llama.to_string().contains("cachePoint"));
}

#[test]
fn reasoning_goes_back_first_and_unchanged_where_it_is_taken() {
    let body = json!({"messages": [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": "x", "reasoning_content": "t", "thinking_blocks": [
            {"type": "thinking", "thinking": "t", "signature": "s"},
            {"type": "thinking", "thinking": "of another"},
            {"type": "redacted_thinking", "data": "QUI="},
        ]},
        {"role": "user", "content": "on"},
    ]});
    let sent = With::default().send(&body).unwrap();
    assert_eq!(
        sent["messages"][1]["content"],
        json!([
            {"reasoningContent": {"reasoningText": {"text": "t", "signature": "s"}}},
            {"reasoningContent": {"redactedContent": "QUI="}},
            {"text": "x"},
        ])
    );
    let nova = to(NOVA).send(&body).unwrap();
    assert_eq!(nova["messages"][1]["content"], json!([{"text": "x"}]));
}

#[test]
fn calls_and_results_that_lost_each_other_are_repaired_on_request() {
    let body = json!({"messages": [
        {"role": "user", "content": "go"},
        {"role": "tool", "tool_call_id": "z", "content": "of nobody"},
        {"role": "assistant", "tool_calls": [call("a", "f"), call("b", "f")]},
        {"role": "tool", "tool_call_id": "b", "content": "2"},
    ]});
    let sent = With { modify_params: true, ..With::default() }.send(&body).unwrap();
    assert_eq!(sent["messages"][0]["content"], json!([{"text": "go"}]));
    let results: Vec<_> = sent["messages"][2]["content"]
        .as_array()
        .unwrap()
        .iter()
        .map(|block| block["toolResult"]["toolUseId"].as_str().unwrap())
        .collect();
    assert_eq!(results, ["a", "b"]);
}

#[test]
fn what_cannot_be_said_is_refused_with_its_place() {
    for (messages, param) in [
        (json!([]), "messages"),
        (json!([{"role": "system", "content": ""}]), "messages"),
        (json!([{"role": "robot", "content": "x"}]), "messages[0].role"),
        (
            json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://h/a.png"}}]}]),
            "messages[0].content[0]",
        ),
        (
            json!([{"role": "system", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]}]),
            "messages[0].content[0]",
        ),
        (json!([{"role": "user", "content": [{"type": "hologram"}]}]), "messages[0].content[0]"),
        (json!([{"role": "tool", "content": "x"}]), "messages[0].tool_call_id"),
        (
            json!([{"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "n".repeat(65)}}]}]),
            "messages[0].tool_calls[0].function.name",
        ),
        (
            json!([{"role": "tool", "tool_call_id": "a", "content": [{"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}]}]),
            "messages[0].content[0]",
        ),
    ] {
        let refused = With::default().send(&json!({ "messages": messages })).unwrap_err();
        assert_eq!(refused.param.as_deref(), Some(param), "{messages}: {}", refused.message);
    }
    let begun = json!({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b \n"}]});
    assert_eq!(With::default().send(&begun).unwrap()["messages"][1]["content"][0]["text"], "b");
    assert!(to("anthropic.claude-sonnet-4-6").send(&begun).is_err());
}
