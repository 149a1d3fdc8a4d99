//! Tools that a client runs under other names than the model calls, and items of tools that ran elsewhere.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{canonical, telling};
use crate::wire::client::ClientStream;
use crate::wire::responses::client::{Events, obstacle, reply};
use crate::wire::responses::tests::{events, object};

/// As codex sends the tools of its MCP servers, and its own.
fn asked() -> Value {
    json!({"model": "m", "input": "hi", "tools": [
        {"type": "function", "name": "plain", "parameters": {"type": "object"}},
        {"type": "namespace", "name": "mcp__files__", "description": "Files.", "tools": [
            {"type": "function", "name": "read", "description": "Reads.",
             "parameters": {"type": "object"}, "strict": false}]},
        {"type": "local_shell"},
    ]})
}

fn call(id: &str, name: &str, arguments: &str) -> Value {
    json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
}

#[test]
fn the_tools_of_a_namespace_are_functions_there_and_back() {
    let asked = asked();
    assert_eq!(obstacle(&object(&asked), false, false).map(|it| it.message), None);
    let sent = canonical(&asked);
    let names: Vec<&Value> =
        sent["tools"].as_array().unwrap().iter().map(|tool| &tool["function"]["name"]).collect();
    assert_eq!(names, ["plain", "mcp__files__read", "local_shell"]);
    assert_eq!(sent["tools"][1]["function"]["description"], "Reads.");
    assert_eq!(sent["tools"][2]["function"]["parameters"]["required"], json!(["command"]));

    let calls = [
        call("c0", "plain", "{}"),
        call("c1", "mcp__files__read", r#"{"path":"a"}"#),
        call("c2", "local_shell", r#"{"command":["ls","-l"],"timeout_ms":9}"#),
    ];
    let action = json!({"type": "exec", "command": ["ls", "-l"], "env": {}, "timeout_ms": 9});
    let expected = |output: &Value| {
        let [plain, read, shell] = output.as_array().unwrap().as_slice() else {
            panic!("{output}")
        };
        assert_eq!((&plain["name"], plain.get("namespace")), (&json!("plain"), None));
        assert_eq!((&read["type"], &read["name"]), (&json!("function_call"), &json!("read")));
        assert_eq!(read["namespace"], "mcp__files__");
        assert_eq!(read["arguments"], r#"{"path":"a"}"#);
        assert_eq!((&shell["type"], &shell["call_id"]), (&json!("local_shell_call"), &json!("c2")));
        assert_eq!(shell["action"], action);
    };
    let request = object(&asked);
    let body = json!({"id": "chatcmpl-1", "object": "o", "created": 1, "model": "m", "choices": [{
        "index": 0, "finish_reason": "tool_calls",
        "message": {"role": "assistant", "content": null, "tool_calls": calls}}]});
    let told = reply(&Bytes::from(body.to_string()), &telling(&request)).unwrap();
    let told: Value = serde_json::from_slice(&told).unwrap();
    expected(&told["output"]);

    let mut stream = Events::new(&telling(&request));
    let chunk = |choice: Value| {
        let chunk = json!({"id": "chatcmpl-1", "model": "m", "choices": [choice]});
        Bytes::from(format!("data: {chunk}\n\n"))
    };
    let mut out: Vec<Bytes> = Vec::new();
    for (index, call) in calls.iter().enumerate() {
        let mut call = call.clone();
        call["index"] = index.into();
        out.push(chunk(json!({"index": 0, "delta": {"tool_calls": [call]}})));
    }
    out.push(chunk(json!({"index": 0, "delta": {}, "finish_reason": "tool_calls"})));
    out.push(Bytes::from_static(b"data: [DONE]\n\n"));
    stream.pass(&mut out);
    let all = events(&out.concat());
    expected(&all.last().unwrap().1["response"]["output"]);
    let added: Vec<&Value> = all
        .iter()
        .filter(|(name, _)| name == "response.output_item.added")
        .map(|(_, event)| &event["item"])
        .collect();
    assert_eq!(added.len(), 3);
    assert_eq!(added[1]["namespace"], "mcp__files__", "from the first event on");
    assert_eq!(added[2]["action"], action);

    let output = told["output"].as_array().unwrap();
    let mut input = output.clone();
    input.push(json!({"type": "function_call_output", "call_id": "c0", "output": "0"}));
    input.push(json!({"type": "function_call_output", "call_id": "c1", "output": "1"}));
    input.push(json!({"type": "local_shell_call_output", "call_id": "c2", "output": "2"}));
    let mut again = asked;
    again["input"] = input.into();
    assert_eq!(obstacle(&object(&again), false, false).map(|it| it.message), None);
    let sent = canonical(&again);
    let sent = sent["messages"].as_array().unwrap();
    assert_eq!(sent[0]["tool_calls"][1]["function"]["name"], "mcp__files__read");
    let shell = &sent[0]["tool_calls"][2]["function"];
    let arguments: Value = serde_json::from_str(shell["arguments"].as_str().unwrap()).unwrap();
    assert_eq!(shell["name"], "local_shell");
    assert_eq!(arguments, json!({"command": ["ls", "-l"], "timeout_ms": 9}));
    assert_eq!(sent[3], json!({"role": "tool", "tool_call_id": "c2", "content": "2"}));
    // A tool that the client has no more has its name in the history still.
    again["tools"] = json!([]);
    let sent = canonical(&again);
    assert_eq!(sent["messages"][0]["tool_calls"][1]["function"]["name"], "mcp__files__read");
}

#[test]
fn a_choice_may_be_of_a_namespace() {
    let mut asked = asked();
    asked["tool_choice"] = json!({"type": "function", "namespace": "mcp__files__", "name": "read"});
    let expected = json!({"type": "function", "function": {"name": "mcp__files__read"}});
    assert_eq!(canonical(&asked)["tool_choice"], expected);
}

#[test]
fn what_tools_did_elsewhere_is_told_as_far_as_it_can_be() {
    let input = json!([
        {"role": "user", "content": "go"},
        {"type": "web_search_call", "id": "ws", "status": "completed", "action": {"type": "search"}},
        {"type": "file_search_call", "id": "fs", "queries": [], "results": null},
        {"type": "mcp_list_tools", "id": "l", "server_label": "s", "tools": []},
        {"type": "ghost_snapshot", "ghost_commit": {"id": "1"}},
        {"type": "mcp_call", "id": "mcp_1", "server_label": "docs", "name": "find",
         "arguments": "{\"q\":1}", "output": "found"},
        {"type": "mcp_call", "id": "mcp_2", "server_label": "docs", "name": "find",
         "arguments": "{}", "output": null, "error": null},
        {"type": "code_interpreter_call", "id": "ci", "code": "1+1",
         "outputs": [{"type": "logs", "logs": "2"}]},
        {"type": "shell_call", "call_id": "sh", "action": {"commands": ["ls"]}},
        {"type": "shell_call_output", "call_id": "sh", "output": [{"stdout": "a"}]},
        {"type": "apply_patch_call", "call_id": "ap", "operation": {"type": "delete_file"}},
        {"type": "apply_patch_call_output", "call_id": "ap", "status": "completed"},
    ]);
    let body = json!({"model": "m", "input": input});
    assert_eq!(obstacle(&object(&body), false, false).map(|it| it.message), None);
    assert_eq!(
        canonical(&body)["messages"],
        json!([
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": null,
             "tool_calls": [call("mcp_1", "docs__find", "{\"q\":1}")]},
            {"role": "tool", "tool_call_id": "mcp_1", "content": "found"},
            {"role": "assistant", "content": "```python\n1+1\n```\n```\n2\n```",
             "tool_calls": [call("sh", "shell", "{\"commands\":[\"ls\"]}")]},
            {"role": "tool", "tool_call_id": "sh", "content": "[{\"stdout\":\"a\"}]"},
            {"role": "assistant", "content": null,
             "tool_calls": [call("ap", "apply_patch", "{\"type\":\"delete_file\"}")]},
            {"role": "tool", "tool_call_id": "ap", "content": "completed"},
        ])
    );
    let compacted = json!({"input": [{"type": "compaction", "encrypted_content": "x"}]});
    assert!(obstacle(&object(&compacted), true, true).is_some());
    let shell = json!({"input": "x", "tools": [{"type": "shell"}]});
    let refused = obstacle(&object(&shell), false, true).unwrap();
    assert!(refused.message.contains("known to OpenAI's models only"), "{}", refused.message);
}
