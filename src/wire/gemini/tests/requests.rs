//! Messages, media and tools.

use serde_json::{Value, json};

use super::{options, refusal, send, send_with};
use crate::dialect::{Endpoint, Quirks};
use crate::wire::RequestOptions;

const MODEL: &str = "gemini-3-flash-preview";

fn contents(model: &str, messages: &Value) -> Value {
    send(model, &json!({"messages": messages}))["contents"].clone()
}

fn call(id: &str, name: &str) -> Value {
    json!({"id": id, "type": "function", "function": {"name": name, "arguments": "{\"a\": 1}"}})
}

fn result(id: &str, content: &str) -> Value {
    json!({"role": "tool", "tool_call_id": id, "content": content})
}

fn asked() -> Value {
    json!({"role": "user", "content": "q"})
}

#[test]
fn messages_of_one_side_become_one_turn() {
    let body = send(
        MODEL,
        &json!({"messages": [
            {"role": "system", "content": "a"},
            {"role": "user", "content": "b"},
            {"role": "user", "content": [{"type": "text", "text": "c"}, {"type": "text", "text": ""}]},
            {"role": "assistant", "content": "d", "reasoning_content": "hidden"},
            {"role": "assistant", "content": "", "refusal": "e"},
            {"role": "developer", "content": [{"type": "text", "text": "f"}]},
            {"role": "user", "content": "g"},
        ]}),
    );
    assert_eq!(body["systemInstruction"], json!({"parts": [{"text": "a"}, {"text": "f"}]}));
    assert_eq!(
        body["contents"],
        json!([
            {"role": "user", "parts": [{"text": "b"}, {"text": "c"}]},
            {"role": "model", "parts": [{"text": "d"}, {"text": "e"}]},
            {"role": "user", "parts": [{"text": "g"}]},
        ])
    );
}

#[test]
fn a_conversation_always_has_the_users_words() {
    assert_eq!(
        contents(MODEL, &json!([{"role": "system", "content": "s"}])),
        json!([{"role": "user", "parts": [{"text": "."}]}])
    );
    let begins = contents(MODEL, &json!([{"role": "assistant", "content": "a"}, asked()]));
    assert_eq!(begins[0], json!({"role": "user", "parts": [{"text": "."}]}));
    let picture = json!([{"role": "user", "content": [
        {"type": "image_url", "image_url": "data:image/png;base64,AAAA"}]}]);
    assert_eq!(
        contents(MODEL, &picture)[0]["parts"],
        json!([{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}, {"text": " "}])
    );
    assert_eq!(
        send("gemma-3-27b-it", &json!({"messages": [{"role": "system", "content": "s"}, asked()]})),
        json!({"contents": [{"role": "user", "parts": [{"text": "s"}, {"text": "q"}]}]})
    );
}

#[test]
fn tool_results_stand_in_the_next_turn_in_the_order_of_their_calls() {
    let messages = json!([
        asked(),
        {"role": "assistant", "content": null, "tool_calls": [call("1", "f"), call("2", "f"), call("3", "g")]},
        result("3", "third"),
        {"role": "user", "content": "and?"},
        result("1", "{\"x\": 5}"),
        {"role": "tool", "tool_call_id": "2", "content": "no", "is_error": true},
        {"role": "assistant", "content": "done"},
    ]);
    let response = |name: &str, response: Value| json!({"functionResponse": {"name": name, "response": response}});
    let contents = contents(MODEL, &messages);
    assert_eq!(
        contents[2],
        json!({"role": "user", "parts": [
            response("f", json!({"output": {"x": 5}})),
            response("f", json!({"error": "no"})),
            response("g", json!({"output": "third"})),
            {"text": "and?"},
        ]})
    );
    assert_eq!(contents.as_array().unwrap().len(), 4);
    assert_eq!(contents[1]["parts"][1], json!({"functionCall": {"name": "f", "args": {"a": 1}}}));
}

#[test]
fn ids_are_told_to_the_models_that_have_them() {
    let messages = json!([
        asked(),
        {"role": "assistant", "tool_calls": [call("c1", "f")]},
        result("c1", "r"),
    ]);
    for (model, id) in [("gemini-3.5-flash", json!("c1")), (MODEL, Value::Null)] {
        let contents = contents(model, &messages);
        assert_eq!(contents[1]["parts"][0]["functionCall"]["id"], id, "{model}");
        assert_eq!(contents[2]["parts"][0]["functionResponse"]["id"], id, "{model}");
    }
}

#[test]
fn calls_of_one_turn_may_come_in_several_messages() {
    let messages = json!([
        asked(),
        {"role": "assistant", "tool_calls": [call("1", "f")]},
        {"role": "assistant", "tool_calls": [call("2", "g")]},
        result("1", "a"),
        result("2", "b"),
    ]);
    let contents = contents(MODEL, &messages);
    assert_eq!(contents.as_array().unwrap().len(), 3);
    assert_eq!(contents[1]["parts"].as_array().unwrap().len(), 2);
    assert_eq!(contents[2]["parts"][1]["functionResponse"]["name"], "g");
}

#[test]
fn every_call_has_its_result_or_the_client_is_told() {
    let unanswered = json!([
        asked(),
        {"role": "assistant", "tool_calls": [call("1", "f"), call("2", "g")]},
        result("1", "a"),
        {"role": "user", "content": "never mind"},
    ]);
    let (param, message) = refusal(MODEL, &json!({"messages": unanswered}));
    assert_eq!(param, "messages[1]");
    assert!(message.contains("'2'"), "{message}");
    let modify = RequestOptions { modify_params: true, ..options(MODEL) };
    let mended = send_with(&json!({"messages": unanswered}), &modify);
    assert_eq!(
        mended["contents"][2]["parts"][1]["functionResponse"],
        json!({"name": "g", "response": {"error": "the call was not answered"}})
    );

    let orphan = json!([asked(), result("9", "a")]);
    let (param, _) = refusal(MODEL, &json!({"messages": orphan}));
    assert_eq!(param, "messages[1]");
    let mended = send_with(&json!({"messages": orphan}), &modify);
    assert_eq!(mended["contents"][0]["parts"], json!([{"text": "q"}, {"text": "a"}]));

    let ends = json!([asked(), {"role": "assistant", "tool_calls": [call("1", "f")]}]);
    assert_eq!(refusal(MODEL, &json!({"messages": ends})).0, "messages[1]");
}

#[test]
fn the_old_form_of_calls_is_understood() {
    let messages = json!([
        asked(),
        {"role": "assistant", "function_call": {"name": "f", "arguments": ""}},
        {"role": "function", "name": "f", "content": "r"},
    ]);
    let contents = contents("gemini-2.5-flash", &messages);
    assert_eq!(contents[1]["parts"], json!([{"functionCall": {"name": "f", "args": {}}}]));
    assert_eq!(contents[2]["parts"][0]["functionResponse"]["response"], json!({"output": "r"}));
}

#[test]
fn results_are_passed_without_loss() {
    for (content, expected) in [
        ("12 C", json!("12 C")),
        ("42", json!("42")),
        ("[1]", json!("[1]")),
        ("{\"a\": \"b\"}", json!({"a": "b"})),
        ("{\"id\": 12345678901234567890}", json!("{\"id\": 12345678901234567890}")),
        ("{not json", json!("{not json")),
        ("", json!("")),
    ] {
        let messages = json!([asked(), {"role": "assistant", "tool_calls": [call("1", "f")]}, result("1", content)]);
        let contents = contents(MODEL, &messages);
        assert_eq!(
            contents[2]["parts"][0]["functionResponse"]["response"]["output"], expected,
            "{content}"
        );
    }
}

#[test]
fn pictures_that_a_tool_returned_go_with_its_result() {
    let messages = json!([
        asked(),
        {"role": "assistant", "tool_calls": [call("1", "f")]},
        {"role": "tool", "tool_call_id": "1", "content": [
            {"type": "text", "text": "see"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]},
    ]);
    let picture = json!({"inlineData": {"mimeType": "image/png", "data": "AAAA"}});
    let newer = contents(MODEL, &messages);
    assert_eq!(newer[2]["parts"][0]["functionResponse"]["parts"], json!([picture]));
    let older = contents("gemini-2.5-flash", &messages);
    assert_eq!(older[2]["parts"][0]["functionResponse"]["response"], json!({"output": "see"}));
    assert_eq!(older[2]["parts"][1], picture);
}

#[test]
fn signatures_go_back_to_where_they_came_from() {
    let extra = |signature: &str| json!({"google": {"thought_signature": signature}});
    let mut signed = call("1", "f");
    signed["extra_content"] = extra("S1");
    let messages = json!([
        asked(),
        {"role": "assistant", "content": "t", "extra_content": extra("S0"),
         "tool_calls": [signed, call("2", "f")]},
        result("1", "a"),
        result("2", "b"),
        {"role": "assistant", "tool_calls": [call("3", "f"), call("4", "f")]},
        result("3", "a"),
        result("4", "b"),
    ]);
    let signature = |contents: &Value, turn: usize, part: usize| {
        contents[turn]["parts"][part]["thoughtSignature"].clone()
    };
    let newer = contents(MODEL, &messages);
    assert_eq!(signature(&newer, 1, 0), "S0");
    assert_eq!(signature(&newer, 1, 1), "S1");
    assert_eq!(signature(&newer, 1, 2), Value::Null);
    assert_eq!(signature(&newer, 3, 0), "skip_thought_signature_validator");
    assert_eq!(signature(&newer, 3, 1), Value::Null);
    let older = contents("gemini-2.5-flash", &messages);
    assert_eq!(signature(&older, 1, 1), "S1");
    assert_eq!(signature(&older, 3, 0), Value::Null);
}

#[test]
fn media_are_sent_as_data_or_by_an_address_that_google_fetches() {
    let part = |model: &str, part: &Value, vertex: bool| {
        let quirks = Quirks { vertex, ..Quirks::default() };
        let body = json!({"messages": [{"role": "user", "content": [part]}]});
        let options = RequestOptions { quirks, ..options(model) };
        send_with(&body, &options)["contents"][0]["parts"][0].clone()
    };
    let image = |url: &str| json!({"type": "image_url", "image_url": {"url": url}});
    let file = |file: Value| json!({"type": "file", "file": file});
    let inline = |mime: &str, data: &str| json!({"inlineData": {"mimeType": mime, "data": data}});
    let named = |mime: &str, uri: &str| json!({"fileData": {"mimeType": mime, "fileUri": uri}});
    for (given, expected) in [
        (image("data:image/PNG;base64,AA=="), inline("image/png", "AA==")),
        (image("data:text/plain,a%20b"), inline("text/plain", "YSBi")),
        (image("https://x.example/a.jpg?s=1"), named("image/jpeg", "https://x.example/a.jpg?s=1")),
        (
            json!({"type": "image_url", "image_url": {"url": "https://x.example/a", "format": "image/png"}}),
            named("image/png", "https://x.example/a"),
        ),
        (
            json!({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}),
            inline("audio/wav", "AAAA"),
        ),
        (
            file(json!({"file_data": "data:application/pdf;base64,AAAA"})),
            inline("application/pdf", "AAAA"),
        ),
        (file(json!({"file_data": "AAAA", "filename": "a.csv"})), inline("text/csv", "AAAA")),
        (
            file(json!({"file_id": "files/abc", "format": "application/pdf"})),
            named("application/pdf", "https://generativelanguage.googleapis.com/v1beta/files/abc"),
        ),
        (
            json!({"type": "video_url", "video_url": {"url": "https://youtu.be/x"}}),
            json!({"fileData": {"fileUri": "https://youtu.be/x"}}),
        ),
    ] {
        assert_eq!(part(MODEL, &given, false), expected, "{given}");
    }
    assert_eq!(
        part(MODEL, &image("gs://bucket/a.png"), true),
        named("image/png", "gs://bucket/a.png")
    );
    for (model, given, says) in [
        (MODEL, image("gs://bucket/a.png"), "Vertex"),
        (MODEL, image("http://x.example/a.png"), "base64"),
        (MODEL, image("https://x.example/a"), "format"),
        ("gemini-2.0-flash", image("https://x.example/a.png"), "base64"),
        (MODEL, image("data:nothing"), "cannot be read"),
        (MODEL, file(json!({})), "needs"),
        (MODEL, json!({"type": "hologram"}), "hologram"),
    ] {
        let body = json!({"messages": [{"role": "user", "content": [given]}]});
        let (param, message) = refusal(model, &body);
        assert!(param.starts_with("messages[0].content[0]"), "{param}");
        assert!(message.contains(says), "{message}");
    }
}

#[test]
fn functions_stand_in_one_tool_with_their_schema() {
    let schema = json!({"type": "object", "additionalProperties": false,
        "properties": {"a": {"type": ["string", "null"]}}});
    let tools = json!([
        {"type": "function", "function": {"name": "f", "description": "d", "parameters": schema, "strict": true}},
        {"type": "function", "function": {"name": "1st", "description": ""}},
        {"googleSearch": {"x": 1}},
        {"type": "code_interpreter"},
    ]);
    let body = json!({"messages": [asked()], "tools": tools, "tool_choice": "auto"});
    let newer = send(MODEL, &body);
    assert_eq!(
        newer["tools"],
        json!([
            {"functionDeclarations": [
                {"name": "f", "description": "d", "parametersJsonSchema": schema},
                {"name": "_x.1st"},
            ]},
            {"codeExecution": {}},
            {"googleSearch": {"x": 1}},
        ])
    );
    let older = send("gemini-2.0-flash", &body);
    assert_eq!(
        older["tools"][0]["functionDeclarations"][0]["parameters"],
        json!({"type": "OBJECT", "properties": {"a": {"type": "STRING", "nullable": true}}})
    );
    let (param, message) =
        refusal(MODEL, &json!({"messages": [asked()], "tools": [{"type": "mcp"}]}));
    assert_eq!(param, "tools");
    assert!(message.contains("mcp"), "{message}");
}

#[test]
fn the_choice_of_tools_has_its_modes() {
    let functions: Vec<Value> =
        ["f", "g"].map(|name| json!({"type": "function", "function": {"name": name}})).into();
    let allowed = |mode: &str| json!({"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": [functions[0]]}});
    let config = |model: &str, choice: &Value| {
        let body = json!({"messages": [asked()], "tools": functions, "tool_choice": choice});
        send(model, &body)
    };
    for (choice, expected) in [
        (json!("auto"), json!({"mode": "AUTO"})),
        (json!("none"), json!({"mode": "NONE"})),
        (json!("required"), json!({"mode": "ANY"})),
        (
            json!({"type": "function", "function": {"name": "g"}}),
            json!({"mode": "ANY", "allowedFunctionNames": ["g"]}),
        ),
        (allowed("required"), json!({"mode": "ANY", "allowedFunctionNames": ["f"]})),
        (allowed("auto"), json!({"mode": "VALIDATED", "allowedFunctionNames": ["f"]})),
    ] {
        let body = config(MODEL, &choice);
        assert_eq!(body["toolConfig"]["functionCallingConfig"], expected, "{choice}");
    }
    let older = config("gemini-2.0-flash", &allowed("auto"));
    assert_eq!(older["toolConfig"]["functionCallingConfig"], json!({"mode": "AUTO"}));
    assert_eq!(older["tools"][0]["functionDeclarations"], json!([{"name": "f"}]));
}

#[test]
fn tools_are_chosen_by_the_names_that_the_client_gave_them() {
    let tool = |name: &str| json!({"type": "function", "function": {"name": name}});
    let asking = |named: &str| {
        json!({"messages": [asked()], "tools": [tool("1st"), tool("g")], "tool_choice":
            {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [tool(named)]}}})
    };
    let older = send("gemini-2.0-flash", &asking("1st"));
    assert_eq!(older["tools"][0]["functionDeclarations"], json!([{"name": "_x.1st"}]));
    assert_eq!(refusal("gemini-2.0-flash", &asking("h")).0, "tool_choice");
    let newer = send(MODEL, &asking("1st"));
    let config = &newer["toolConfig"]["functionCallingConfig"];
    assert_eq!(config, &json!({"mode": "VALIDATED", "allowedFunctionNames": ["_x.1st"]}));
}

#[test]
fn parameters_of_older_models_are_one_object_or_none() {
    let declared = |model: &str, parameters: Value| {
        let function = json!({"name": "f", "parameters": parameters});
        let tools = json!([{"type": "function", "function": function}]);
        let body = send(model, &json!({"messages": [asked()], "tools": tools}));
        body["tools"][0]["functionDeclarations"][0].clone()
    };
    let choice = json!({"anyOf": [
        {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
        {"type": "object", "properties": {"b": {"type": "string"}}, "required": ["b"]},
    ]});
    assert_eq!(
        declared("gemini-2.0-flash", choice)["parameters"],
        json!({"type": "OBJECT", "propertyOrdering": ["a", "b"],
               "properties": {"a": {"type": "STRING"}, "b": {"type": "STRING"}}})
    );
    // An object without properties is refused by older models, and taken by newer ones.
    for empty in [json!({"type": "object"}), json!({"type": "object", "properties": {}})] {
        assert_eq!(declared("gemini-2.0-flash", empty.clone()), json!({"name": "f"}));
        assert_eq!(declared("gemma-3-27b-it", empty.clone()), json!({"name": "f"}));
        assert_eq!(declared(MODEL, empty.clone())["parametersJsonSchema"], empty);
    }
}

#[test]
fn tokens_are_counted_of_the_whole_request() {
    let body = json!({"messages": [{"role": "system", "content": "s"}, asked()]});
    let count = RequestOptions { endpoint: Endpoint::CountTokens, ..options(MODEL) };
    assert_eq!(
        send_with(&body, &count),
        json!({"generateContentRequest": {
            "model": format!("models/{MODEL}"),
            "systemInstruction": {"parts": [{"text": "s"}]},
            "contents": [{"role": "user", "parts": [{"text": "q"}]}],
        }})
    );
}

#[test]
fn texts_are_embedded_in_one_batch() {
    let embed =
        RequestOptions { endpoint: Endpoint::Embeddings, ..options("gemini-embedding-001") };
    let body = json!({"input": ["a", "b"], "dimensions": 8, "encoding_format": "base64"});
    let part = |text: &str| {
        json!({"model": "models/gemini-embedding-001", "content": {"parts": [{"text": text}]},
               "outputDimensionality": 8})
    };
    assert_eq!(send_with(&body, &embed), json!({"requests": [part("a"), part("b")]}));
    let refused = super::try_send(&json!({"input": [1, 2]}), &embed).unwrap_err();
    assert!(refused.message.contains("token ids"), "{}", refused.message);
}
