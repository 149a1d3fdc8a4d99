use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::dialect::Endpoint;
use crate::failure::{Failure, FailureClass};
use crate::wire::json::Object;
use crate::wire::{Ending, RequestOptions, StreamOptions, Translate};

fn options(model: &str) -> RequestOptions<'_> {
    RequestOptions::plain(Endpoint::Chat, model)
}

fn object(body: &Value) -> Object {
    Object::parse(Bytes::from(body.to_string())).unwrap()
}

fn sent_to(model: &str, fields: &Value) -> Result<Value, Failure> {
    let mut body = json!({"model": "public", "messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let body = request(&object(&body), &options(model))?;
    Ok(serde_json::from_slice(&body).unwrap())
}

fn sent(fields: &Value) -> Result<Value, Failure> {
    sent_to("llama3.2", fields)
}

#[test]
fn parameters_go_into_the_options() {
    let schema = json!({"type": "object"});
    for (written, expected) in [
        (
            json!({"max_tokens": 5, "temperature": 0.5, "top_p": 0.9, "seed": 3, "stop": "x",
                   "num_ctx": 8192, "repeat_penalty": 1.1, "user": "u", "n": 1}),
            json!({"options": {"num_predict": 5, "temperature": 0.5, "top_p": 0.9, "seed": 3,
                               "stop": ["x"], "num_ctx": 8192, "repeat_penalty": 1.1}}),
        ),
        (
            json!({"max_completion_tokens": 5, "options": {"num_predict": 7, "mirostat": 1}}),
            json!({"options": {"num_predict": 7, "mirostat": 1}}),
        ),
        (json!({"keep_alive": "5m"}), json!({"keep_alive": "5m"})),
        (
            json!({"logprobs": true, "top_logprobs": 2}),
            json!({"logprobs": true, "top_logprobs": 2}),
        ),
        (json!({"response_format": {"type": "json_object"}}), json!({"format": "json"})),
        (
            json!({"response_format":
                {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}}),
            json!({"format": schema}),
        ),
        (json!({"format": "json"}), json!({"format": "json"})),
        (json!({"think": "high"}), json!({"think": "high"})),
        (json!({"thinking": {"type": "enabled"}}), json!({})),
        (json!({"reasoning_effort": "medium"}), json!({})),
        (json!({"reasoning_effort": "none"}), json!({})),
    ] {
        let mut expected = expected;
        expected["model"] = json!("llama3.2");
        expected["stream"] = json!(false);
        expected["messages"] = json!([{"role": "user", "content": "hi"}]);
        assert_eq!(sent(&written).unwrap(), expected, "{written}");
    }
    for (wish, think) in [
        (json!({"thinking": {"type": "enabled"}}), json!(true)),
        (json!({"thinking": {"type": "disabled"}}), json!(false)),
        (json!({"reasoning_effort": "medium"}), json!(true)),
        (json!({"reasoning_effort": "none"}), json!(false)),
    ] {
        for model in ["qwen3:8b", "somebody/llama3.2", "llama3.2-thinker"] {
            assert_eq!(sent_to(model, &wish).unwrap()["think"], think, "{model}");
        }
        for model in ["llama3.2:1b", "library/gemma3", "qwen3-coder:30b"] {
            assert_eq!(sent_to(model, &wish).unwrap().get("think"), None, "{model}");
        }
    }
    for (effort, think) in
        [("minimal", json!("low")), ("max", json!("high")), ("none", json!(false))]
    {
        let body = sent_to("gpt-oss:20b", &json!({"reasoning_effort": effort})).unwrap();
        assert_eq!(body["think"], think);
    }
}

#[test]
fn what_ollama_cannot_do_is_refused_or_dropped() {
    let tool = json!({"type": "function", "function": {"name": "f"}});
    for (written, param) in [
        (json!({"n": 2}), "n"),
        (json!({"logit_bias": {"1": 2}}), "logit_bias"),
        (json!({"parallel_tool_calls": false}), "parallel_tool_calls"),
        (json!({"tools": [tool], "tool_choice": "required"}), "tool_choice"),
        (json!({"tools": [{"type": "web_search"}]}), "tools"),
        (
            json!({"messages": [{"role": "user", "content":
                [{"type": "image_url", "image_url": {"url": "https://h/a.png"}}]}]}),
            "messages[0].content[0]",
        ),
        (
            json!({"messages": [{"role": "user", "content":
                [{"type": "image_url", "image_url": {"url": "data:Application/PDF;base64,JVBERi0="}}]}]}),
            "messages[0].content[0]",
        ),
        (
            json!({"messages": [{"role": "user", "content":
                [{"type": "image_url", "image_url": "data:image/svg+xml;charset=utf-8;base64,PHN2Zz4="}]}]}),
            "messages[0].content[0]",
        ),
    ] {
        let refused = sent(&written).expect_err(param);
        assert_eq!(refused.class, FailureClass::BadRequest);
        assert_eq!(refused.param.as_deref(), Some(param), "{written}");
    }
    let none = sent(&json!({"tools": [tool], "tool_choice": "none"})).unwrap();
    assert_eq!(none.get("tools"), None);
    let body = json!({"messages": [], "tools": [tool, {"type": "function", "function": {"name": "g"}}],
                      "tool_choice": {"type": "function", "function": {"name": "g"}}});
    let dropping = RequestOptions { drop_params: true, ..options("m") };
    let sent: Value = serde_json::from_slice(&request(&object(&body), &dropping).unwrap()).unwrap();
    assert_eq!(
        sent["tools"].as_array().unwrap().len(),
        1,
        "it is shown the one that it should call"
    );
    assert_eq!(sent["tools"][0]["function"]["name"], "g");
}

#[test]
fn the_conversation_is_said_in_ollamas_words() {
    let call = json!({"id": "c1", "type": "function",
                      "function": {"name": "f", "arguments": "{\"a\": 1}"}});
    let body = sent(&json!({"messages": [
        {"role": "developer", "content": "be brief"},
        {"role": "user", "content": [
            {"type": "text", "text": "look"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            {"type": "text", "text": "here"},
        ]},
        {"role": "assistant", "content": null, "reasoning_content": "hm", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "42"},
    ]}))
    .unwrap();
    assert_eq!(
        body["messages"],
        json!([
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "look\nhere", "images": ["AAAA"]},
            {"role": "assistant", "content": "", "thinking": "hm", "tool_calls":
                [{"id": "c1", "function": {"name": "f", "arguments": {"a": 1}}}]},
            {"role": "tool", "content": "42", "tool_name": "f", "tool_call_id": "c1"},
        ])
    );
}

#[test]
fn results_of_tools_say_what_was_called_and_that_it_failed() {
    let call = |id: &str, name: &str| json!({"id": id, "type": "function", "function": {"name": name, "arguments": ""}});
    let result = |id: &str, failed: bool| json!({"role": "tool", "tool_call_id": id, "content": "no such city", "is_error": failed});
    let body = sent(&json!({"messages": [
        {"role": "assistant", "content": "", "tool_calls": [call("1", "f"), call("2", "g")]},
        result("2", false), result("1", true),
    ]}))
    .unwrap();
    let [asked, second, first] = [0, 1, 2].map(|at| &body["messages"][at]);
    assert_eq!(asked["tool_calls"][0]["function"]["arguments"], json!({}));
    assert_eq!((&second["tool_name"], &second["content"]), (&json!("g"), &json!("no such city")));
    assert_eq!(first["tool_name"], "f");
    let told = first["content"].as_str().unwrap();
    assert!(told.contains("no such city") && told != "no such city", "{told}");
    let missing = json!({"messages": [{"role": "tool", "content": "x"}]});
    assert_eq!(sent(&missing).unwrap_err().param.as_deref(), Some("messages[0].tool_call_id"));
}

fn line(fields: &Value) -> Value {
    let mut line = json!({"model": "llama3.2", "created_at": "2026-11-21T10:00:00.123456789Z",
                          "done": false});
    line.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    line
}

fn message(message: &Value) -> Value {
    line(&json!({"message": message}))
}

fn last(reason: &str) -> Value {
    line(&json!({"message": {"role": "assistant", "content": ""}, "done": true,
                 "done_reason": reason, "prompt_eval_count": 11, "eval_count": 3}))
}

#[test]
fn a_whole_reply_becomes_a_chat_completion() {
    let mut body = last("stop");
    body["message"] = json!({"role": "assistant", "content": "hello", "thinking": "hm"});
    body["logprobs"] = json!([{"token": "hello", "logprob": -0.1}]);
    let reply = reply(Bytes::from(body.to_string()), 7).unwrap();
    assert_eq!(reply.usage.unwrap().total_tokens(), 14);
    let told: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!((&told["model"], &told["created"]), (&json!("llama3.2"), &json!(7)));
    let choice = &told["choices"][0];
    assert_eq!(choice["message"]["content"], "hello");
    assert_eq!(choice["message"]["reasoning_content"], "hm");
    assert_eq!(choice["finish_reason"], "stop");
    assert_eq!(choice["logprobs"]["content"][0]["token"], "hello");
    assert_eq!(told["usage"]["prompt_tokens"], 11);
}

#[test]
fn calls_get_ids_and_arguments_as_text() {
    let mut body = last("stop");
    body["message"] = json!({"role": "assistant", "content": "", "tool_calls": [
        {"function": {"name": "f", "arguments": {"a": [1]}}},
        {"id": "own", "function": {"name": "g", "arguments": "{}"}},
        {"function": {"name": "h"}},
    ]});
    let told = |body: &Value| -> Value {
        serde_json::from_slice(&reply(Bytes::from(body.to_string()), 0).unwrap().body).unwrap()
    };
    let first = told(&body);
    let calls = first["choices"][0]["message"]["tool_calls"].as_array().unwrap();
    let arguments: Vec<_> = calls.iter().map(|call| &call["function"]["arguments"]).collect();
    assert_eq!(arguments, ["{\"a\":[1]}", "{}", "{}"]);
    let ids: Vec<_> = calls.iter().map(|call| call["id"].as_str().unwrap()).collect();
    assert!(ids[0].starts_with("call_") && ids[0] != ids[2], "{ids:?}");
    assert_eq!(ids[1], "own");
    assert_eq!(first["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(first["choices"][0]["message"]["content"], Value::Null);
    assert_eq!(first, told(&body), "the same ids for the same reply");
    body["created_at"] = json!("2026-11-21T10:00:01.5Z");
    assert_ne!(told(&body)["choices"][0]["message"]["tool_calls"][0]["id"], ids[0]);
}

fn streamed(lines: &[Value]) -> (Vec<Value>, Option<Failure>, Ending) {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let whole = run([text.as_bytes()]);
    for cut in 0..text.len() {
        let (before, after) = text.as_bytes().split_at(cut);
        assert_eq!(run([before, after]), whole, "cut at {cut}");
    }
    let (out, failure, ending) = whole;
    let chunks = out
        .split_terminator("\n\n")
        .filter_map(|event| serde_json::from_str(event.strip_prefix("data: ").unwrap()).ok());
    (chunks.collect(), failure, ending)
}

fn run<const N: usize>(pieces: [&[u8]; N]) -> (String, Option<Failure>, Ending) {
    let options = StreamOptions { show_usage: true, ..StreamOptions::default() };
    let mut stream = StreamTranslator::new(options);
    let (mut out, mut failure) = (Vec::new(), None);
    for piece in pieces {
        let progress = stream.push(Bytes::copy_from_slice(piece), &mut out);
        failure = failure.or(progress.failure);
    }
    let ending = stream.finish(&mut out);
    (String::from_utf8(out.concat()).unwrap(), failure, ending)
}

#[test]
fn lines_become_chunks_wherever_they_are_cut() {
    let call = |name: &str| json!({"function": {"name": name, "arguments": {}}});
    let (chunks, failure, ending) = streamed(&[
        message(&json!({"role": "assistant", "content": "", "thinking": "hm"})),
        message(&json!({"role": "assistant", "content": "he"})),
        message(&json!({"role": "assistant", "content": "", "tool_calls": [call("f"), call("g")]})),
        message(&json!({"role": "assistant", "content": "", "tool_calls": [call("h")]})),
        last("stop"),
    ]);
    assert_eq!((failure, ending), (None, Ending::Complete));
    let deltas: Vec<_> = chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]).collect();
    assert_eq!(deltas[0], &json!({"role": "assistant", "content": ""}));
    assert_eq!(deltas[1], &json!({"reasoning_content": "hm"}));
    assert_eq!(deltas[2], &json!({"content": "he"}));
    let indexes: Vec<_> = deltas[3..6].iter().map(|it| &it["tool_calls"][0]["index"]).collect();
    assert_eq!(indexes, [&json!(0), &json!(1), &json!(2)]);
    assert_eq!(deltas[3]["tool_calls"][0]["function"], json!({"name": "f", "arguments": "{}"}));
    assert_eq!(chunks[6]["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(chunks[7]["usage"]["total_tokens"], 14);
    assert!(chunks.iter().all(|chunk| chunk["id"] == chunks[0]["id"]));
}

#[test]
fn every_end_has_its_word() {
    for (reason, word) in [("stop", "stop"), ("length", "length"), ("load", "stop")] {
        let (chunks, ..) = streamed(&[last(reason)]);
        assert_eq!(chunks[1]["choices"][0]["finish_reason"], word);
    }
}

#[test]
fn a_stream_that_fails_is_no_success() {
    let text = message(&json!({"role": "assistant", "content": "he"}));
    let (_, failure, ending) = streamed(&[text.clone(), json!({"error": "model runner died"})]);
    assert_eq!(failure.unwrap().message, "model runner died");
    assert_eq!(ending, Ending::Cut);
    assert_eq!(streamed(std::slice::from_ref(&text)).2, Ending::Cut);
    let (out, failure, ending) = run([text.to_string().as_bytes(), b"\n<html>\n"]);
    assert!(out.contains("he") && failure.is_some() && ending == Ending::Cut);
}

#[test]
fn embeddings_are_asked_for_and_told() {
    let body = object(&json!({"model": "x", "input": ["a", "b"], "encoding_format": "base64",
                              "dimensions": 4, "keep_alive": 0}));
    let sent: Value = serde_json::from_slice(&embed(&body, &options("m")).unwrap()).unwrap();
    assert_eq!(sent, json!({"model": "m", "input": ["a", "b"], "dimensions": 4, "keep_alive": 0}));
    for wrong in [json!({}), json!({"input": [1, 2]})] {
        let refused = embed(&object(&wrong), &options("m")).unwrap_err();
        assert_eq!(refused.param.as_deref(), Some("input"));
    }
    let body = json!({"model": "m", "embeddings": [[0.5, 1.0]], "prompt_eval_count": 8});
    let reply = embeddings(Bytes::from(body.to_string())).unwrap();
    assert_eq!(reply.usage.unwrap().input_tokens, 8);
    let list: Value = serde_json::from_slice(&reply.body).unwrap();
    let vector = json!({"object": "embedding", "index": 0, "embedding": [0.5, 1.0]});
    assert_eq!(list["data"], json!([vector]));
    let failed = embeddings(Bytes::from_static(b"{\"error\":\"no such model\"}")).unwrap_err();
    assert_eq!(failed.message, "no such model");
}
