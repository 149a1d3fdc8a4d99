use bytes::Bytes;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::*;
use crate::dialect::{Endpoint, Quirks};
use crate::failure::{Failure, FailureClass};
use crate::wire::json::Object;
use crate::wire::{Ending, RequestOptions, StreamOptions, Translate};

fn options(model: &str) -> RequestOptions<'_> {
    RequestOptions {
        endpoint: Endpoint::Chat,
        model: Some(model),
        stream: false,
        quirks: Quirks::default(),
        defaults: &[],
        overrides: &[],
        drop: &[],
        allowed: &[],
        drop_params: false,
        modify_params: false,
        max_output_tokens: None,
        model_hint: model,
    }
}

fn object(body: &Value) -> Object {
    Object::parse(Bytes::from(body.to_string())).unwrap()
}

/// The request with these fields beside a question.
fn asked(fields: &Value) -> Value {
    let mut body = json!({"model": "public", "messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    body
}

fn sent(fields: &Value) -> Result<Value, Failure> {
    let body = request(&object(&asked(fields)), &options("command-a-03-2025"))?;
    Ok(serde_json::from_slice(&body).unwrap())
}

fn turns(model: &str, messages: &Value) -> Result<Value, Failure> {
    let body = request(&object(&json!({"messages": messages})), &options(model))?;
    Ok(serde_json::from_slice::<Value>(&body).unwrap()["messages"].take())
}

fn tool(name: &str) -> Value {
    json!({"type": "function", "function": {"name": name, "parameters": {"type": "object"}}})
}

#[test]
fn parameters_get_coheres_names() {
    for (written, expected) in [
        (json!({"top_p": 0.8, "top_k": 3}), json!({"p": 0.8, "k": 3})),
        (json!({"p": 0.5, "top_p": 0.8}), json!({"p": 0.5})),
        (json!({"stop": "a"}), json!({"stop_sequences": ["a"]})),
        (json!({"stop": ["a", "b"]}), json!({"stop_sequences": ["a", "b"]})),
        (json!({"max_completion_tokens": 9}), json!({"max_tokens": 9})),
        (
            json!({"temperature": 0.1, "seed": 1, "frequency_penalty": 0.2, "presence_penalty": 0.3}),
            json!({"temperature": 0.1, "seed": 1, "frequency_penalty": 0.2, "presence_penalty": 0.3}),
        ),
        (json!({"logprobs": true}), json!({"logprobs": true})),
        (json!({"user": "u", "n": 1, "store": true, "stream_options": {}}), json!({})),
        (json!({"safety_mode": "STRICT"}), json!({"safety_mode": "STRICT"})),
        (json!({"reasoning_effort": "none"}), json!({"thinking": {"type": "disabled"}})),
        (
            json!({"reasoning_effort": "low"}),
            json!({"thinking": {"type": "enabled", "token_budget": 1024}}),
        ),
        (
            json!({"reasoning_effort": "high", "max_tokens": 1000}),
            json!({"thinking": {"type": "enabled", "token_budget": 500}, "max_tokens": 1000}),
        ),
        (
            json!({"reasoning_effort": "low", "max_tokens": 4000}),
            json!({"thinking": {"type": "enabled", "token_budget": 1024}, "max_tokens": 4000}),
        ),
        (
            json!({"reasoning_effort": "low", "max_tokens": 1}),
            json!({"thinking": {"type": "disabled"}, "max_tokens": 1}),
        ),
        (
            json!({"thinking": {"type": "enabled", "budget_tokens": 7}}),
            json!({"thinking": {"type": "enabled", "token_budget": 7}}),
        ),
        (json!({"response_format": {"type": "text"}}), json!({})),
        (
            json!({"response_format": {"type": "json_object"}}),
            json!({"response_format": {"type": "json_object"}}),
        ),
        (
            json!({"response_format": {"type": "json_schema", "json_schema":
                {"name": "n", "schema": {"type": "object"}}}}),
            json!({"response_format": {"type": "json_object", "json_schema": {"type": "object"}}}),
        ),
        (
            json!({"response_format": {"type": "json_object", "json_schema": {"type": "object"}}}),
            json!({"response_format": {"type": "json_object", "json_schema": {"type": "object"}}}),
        ),
        (
            json!({"documents": ["a", {"data": {"t": "b"}, "id": "1"}, {"title": "c", "id": "2"}]}),
            json!({"documents": ["a", {"data": {"t": "b"}, "id": "1"},
                {"data": {"title": "c", "id": "2"}, "id": "2"}]}),
        ),
    ] {
        let mut expected = expected;
        expected["model"] = json!("command-a-03-2025");
        expected["messages"] = json!([{"role": "user", "content": "hi"}]);
        assert_eq!(sent(&written).unwrap(), expected, "{written}");
    }
}

#[test]
fn what_cohere_cannot_do_is_refused_or_dropped() {
    for (written, param) in [
        (json!({"n": 2}), "n"),
        (json!({"logit_bias": {"1": 2}}), "logit_bias"),
        (json!({"top_logprobs": 2}), "top_logprobs"),
        (json!({"parallel_tool_calls": false}), "parallel_tool_calls"),
        (json!({"tools": [{"type": "web_search"}]}), "tools"),
        (json!({"tools": [tool("f")], "tool_choice": {"function": {"name": "g"}}}), "tool_choice"),
        (json!({"reasoning_effort": "enormous"}), "reasoning_effort"),
        (json!({"max_tokens": "many"}), "max_tokens"),
    ] {
        let refused = sent(&written).expect_err(param);
        assert_eq!(refused.class, FailureClass::BadRequest);
        assert_eq!(refused.param.as_deref(), Some(param), "{written}");
    }
    let body = object(&asked(&json!({"logit_bias": {"1": 2}, "tools": [{"type": "web_search"}]})));
    let dropped = request(&body, &RequestOptions { drop_params: true, ..options("m") }).unwrap();
    let dropped: Value = serde_json::from_slice(&dropped).unwrap();
    assert_eq!(dropped.as_object().unwrap().keys().collect::<Vec<_>>(), ["messages", "model"]);
}

#[test]
fn one_tool_is_chosen_by_leaving_out_the_others() {
    let tools = json!([tool("f"), tool("g")]);
    for (choice, names, word) in [
        (json!("auto"), vec!["f", "g"], None),
        (json!("none"), vec!["f", "g"], Some("NONE")),
        (json!("required"), vec!["f", "g"], Some("REQUIRED")),
        (json!({"type": "function", "function": {"name": "g"}}), vec!["g"], Some("REQUIRED")),
        (
            json!({"type": "allowed_tools", "allowed_tools":
                {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]}}),
            vec!["f"],
            None,
        ),
    ] {
        let body = sent(&json!({"tools": tools, "tool_choice": choice})).unwrap();
        let kept = body["tools"].as_array().unwrap();
        let kept: Vec<_> = kept.iter().map(|it| it["function"]["name"].as_str().unwrap()).collect();
        assert_eq!((kept, body["tool_choice"].as_str()), (names, word), "{choice}");
    }
    let strict = json!({"type": "function", "function": {"name": "h", "strict": true}});
    let body = sent(&json!({"tools": [strict]})).unwrap();
    assert_eq!(body["strict_tools"], true);
    let declared = json!({"type": "function", "function":
        {"name": "h", "parameters": {"type": "object", "properties": {}}}});
    assert_eq!(body["tools"], json!([declared]), "parameters are required there");
}

#[test]
fn the_conversation_is_said_in_coheres_words() {
    let call = json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let messages = json!([
        {"role": "developer", "content": "be brief"},
        {"role": "user", "content": [
            {"type": "text", "text": "look"},
            {"type": "image_url", "image_url": {"url": "http://h/a.png", "detail": "low"}},
        ]},
        {"role": "assistant", "content": null, "reasoning_content": "I look", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "42"}]},
        {"role": "assistant", "content": "so", "reasoning_content": "hm", "refusal": null},
    ]);
    let mut expected = json!([
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": [
            {"type": "text", "text": "look"},
            {"type": "image_url", "image_url": {"url": "http://h/a.png", "detail": "low"}},
        ]},
        {"role": "assistant", "tool_plan": "I look", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "42"},
        {"role": "assistant", "content": "so"},
    ]);
    assert_eq!(turns("command-r", &messages).unwrap(), expected);
    expected[4]["content"] =
        json!([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "so"}]);
    assert_eq!(turns("command-a-reasoning-08-2025", &messages).unwrap(), expected);
}

#[test]
fn what_cannot_be_said_is_told_with_its_place() {
    for (message, param) in [
        (json!({"role": "robot", "content": "x"}), "messages[0].role"),
        (json!({"role": "tool", "content": "x"}), "messages[0].tool_call_id"),
        (
            json!({"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}),
            "messages[0].content[0]",
        ),
        (
            json!({"role": "assistant", "content": [{"type": "image_url", "image_url": "http://h"}]}),
            "messages[0].content[0]",
        ),
    ] {
        let refused = turns("m", &json!([message])).expect_err(param);
        assert_eq!(refused.param.as_deref(), Some(param), "{}", refused.message);
    }
}

#[test]
fn images_of_tools_are_shown_by_the_user() {
    let image = json!({"type": "image_url", "image_url": {"url": "http://h/a.png"}});
    let call = |id: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let messages = json!([
        {"role": "user", "content": "look"},
        {"role": "assistant", "content": null, "tool_calls": [call("a"), call("b")]},
        {"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "one"}, image]},
        {"role": "tool", "tool_call_id": "b", "content": "two"},
        {"role": "user", "content": "and?"},
    ]);
    let turns = turns("m", &messages).unwrap();
    let roles: Vec<_> = turns.as_array().unwrap().iter().map(|turn| &turn["role"]).collect();
    assert_eq!(roles, ["user", "assistant", "tool", "tool", "user", "user"]);
    assert_eq!(turns[2]["content"], "one");
    assert_eq!(turns[4]["content"][1], image);
}

fn told(body: &Value) -> Result<(Value, crate::wire::Reply), Failure> {
    let reply = reply(Bytes::from(body.to_string()), "command-a", 7)?;
    Ok((serde_json::from_slice(&reply.body).unwrap(), reply))
}

#[test]
fn a_whole_reply_becomes_a_chat_completion() {
    let (completion, reply) = told(&json!({
        "id": "x", "finish_reason": "COMPLETE", "new": 1,
        "message": {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "hm"},
            {"type": "text", "text": "It is "}, {"type": "text", "text": "42."},
        ], "citations": [
            {"start": 6, "end": 8, "text": "42", "type": "TEXT_CONTENT", "sources": [
                {"type": "document", "id": "doc:0", "document": {"id": "doc:0", "title": "T"}},
                {"type": "tool", "id": "t:1", "tool_output": {"url": "http://h", "title": ""}},
            ]},
        ]},
        "logprobs": [{"text": "It", "token_ids": [1], "logprobs": [-0.5]}],
        "usage": {"billed_units": {"input_tokens": 1}, "cached_tokens": 4.0,
                  "tokens": {"input_tokens": 10.0, "output_tokens": 5.0}},
    }))
    .unwrap();
    assert_eq!(
        completion,
        json!({
            "id": "chatcmpl-x", "object": "chat.completion", "created": 7, "model": "command-a",
            "choices": [{"index": 0, "finish_reason": "stop", "message": {
                "role": "assistant", "content": "It is 42.", "refusal": null,
                "reasoning_content": "hm", "annotations": [
                    {"type": "file_citation", "file_citation":
                        {"file_id": "doc:0", "filename": "T", "start_index": 6, "end_index": 8}},
                    {"type": "url_citation", "url_citation":
                        {"url": "http://h", "start_index": 6, "end_index": 8}},
                ],
            }, "logprobs": {"refusal": null, "content": [
                {"token": "It", "logprob": -0.5, "bytes": [73, 116], "top_logprobs": []},
            ]}}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15,
                      "prompt_tokens_details": {"cached_tokens": 4}},
        })
    );
    let usage = reply.usage.unwrap();
    assert_eq!((usage.input_tokens, usage.cache_read_tokens), (10, 4));
}

#[test]
fn a_reply_with_tool_calls_has_its_plan_as_reasoning() {
    let (completion, reply) = told(&json!({
        "id": "x", "finish_reason": "TOOL_CALL",
        "message": {"role": "assistant", "tool_plan": "I look.", "tool_calls": [
            {"id": "f_1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}},
        ]},
        "usage": {"billed_units": {"input_tokens": 3.0, "output_tokens": 2.0}},
    }))
    .unwrap();
    let choice = &completion["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    assert_eq!(choice["message"]["content"], Value::Null);
    assert_eq!(choice["message"]["reasoning_content"], "I look.");
    let call = &choice["message"]["tool_calls"][0];
    assert_eq!(call["function"], json!({"name": "f", "arguments": "{\"a\":1}"}));
    assert_eq!((call["id"].as_str(), call["type"].as_str()), (Some("f_1"), Some("function")));
    assert_eq!(reply.usage.unwrap().output_tokens, 2, "billed units, for want of anything better");
}

#[test]
fn every_end_has_its_word() {
    let ended = |reason: &str| {
        told(&json!({"finish_reason": reason, "error": "why", "message": {"content": []}}))
            .map(|(body, _)| body["choices"][0]["finish_reason"].as_str().unwrap().to_owned())
            .map_err(|failure| (failure.class, failure.message))
    };
    for (reason, word) in [
        ("COMPLETE", "stop"),
        ("STOP_SEQUENCE", "stop"),
        ("MAX_TOKENS", "length"),
        ("TOOL_CALL", "tool_calls"),
        ("ERROR_TOXIC", "content_filter"),
        ("SOMETHING_NEW", "stop"),
    ] {
        assert_eq!(ended(reason), Ok(word.to_owned()), "{reason}");
    }
    for (reason, class) in [
        ("ERROR", FailureClass::Server),
        ("TIMEOUT", FailureClass::Timeout),
        ("ERROR_LIMIT", FailureClass::ContextWindow),
    ] {
        assert_eq!(ended(reason), Err((class, "why".to_owned())), "{reason}");
    }
}

#[test]
fn what_is_no_reply_is_a_failure() {
    for (body, message) in [
        (json!({"message": "too many tokens"}), "too many tokens"),
        (json!({"id": "x"}), "holds no message"),
        (json!("text"), "not one of Cohere's"),
    ] {
        let failure = reply(Bytes::from(body.to_string()), "m", 0).unwrap_err();
        assert!(failure.message.contains(message), "{}", failure.message);
    }
}

/// What a stream of these events says, the failure it ends with, and how it ends.
fn streamed(events: &[Value]) -> (Vec<Value>, Option<Failure>, Ending) {
    let options = StreamOptions { show_usage: true, ..StreamOptions::default() };
    let mut stream = StreamTranslator::new(options, "command-a");
    let (mut out, mut failure) = (Vec::new(), None);
    for event in events {
        let name = event["type"].as_str().unwrap_or("odd");
        let text = format!("event: {name}\r\ndata: {event}\r\n\r\n");
        let progress = stream.push(Bytes::from(text), &mut out);
        failure = failure.or(progress.failure);
    }
    let ending = stream.finish(&mut out);
    let text = String::from_utf8(out.concat()).unwrap();
    let chunks = text
        .split_terminator("\n\n")
        .filter_map(|event| serde_json::from_str(event.strip_prefix("data: ").unwrap()).ok());
    (chunks.collect(), failure, ending)
}

fn content(kind: &str, content: &Value) -> Value {
    json!({"type": kind, "index": 0, "delta": {"message": {"content": content}}})
}

fn end(delta: &Value) -> Value {
    json!({"type": "message-end", "delta": delta})
}

#[test]
fn thinking_text_citations_and_logprobs_are_streamed() {
    let start = json!({"type": "message-start", "id": "x",
        "delta": {"message": {"role": "assistant", "content": [], "citations": []}}});
    let mut said = content("content-delta", &json!({"text": "so"}));
    said["logprobs"] = json!({"text": "so", "token_ids": [1], "logprobs": [-1.0]});
    let cited = json!({"type": "citation-start", "index": 0, "delta": {"message": {"citations":
        {"start": 0, "end": 2, "text": "so", "sources": [{"type": "document", "id": "d"}]}}}});
    let usage = json!({"tokens": {"input_tokens": 1.0, "output_tokens": 2.0}});
    let (chunks, failure, ending) = streamed(&[
        start,
        json!({"type": "debug", "prompt": "..."}),
        content("content-start", &json!({"type": "thinking", "thinking": ""})),
        content("content-delta", &json!({"thinking": "hm"})),
        json!({"type": "content-end", "index": 0}),
        content("content-start", &json!({"type": "text", "text": ""})),
        said,
        cited,
        json!({"type": "citation-end", "index": 0}),
        end(&json!({"finish_reason": "COMPLETE", "usage": usage})),
    ]);
    assert_eq!((failure, ending), (None, Ending::Complete));
    let deltas: Vec<_> = chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]).collect();
    assert_eq!(
        deltas[..5],
        [
            &json!({"role": "assistant", "content": ""}),
            &json!({"reasoning_content": "hm"}),
            &json!({"content": "so"}),
            &json!({"annotations": [{"type": "file_citation", "file_citation":
                {"file_id": "d", "start_index": 0, "end_index": 2}}]}),
            &json!({}),
        ]
    );
    assert_eq!(chunks[2]["choices"][0]["logprobs"]["content"][0]["logprob"], -1.0);
    assert_eq!(chunks[4]["choices"][0]["finish_reason"], "stop");
    assert_eq!(chunks[5]["usage"]["total_tokens"], 3);
    assert!(
        chunks.iter().all(|chunk| chunk["model"] == "command-a" && chunk["id"] == "chatcmpl-x")
    );
}

#[test]
fn parallel_calls_are_numbered_over_the_whole_stream() {
    let begin = |index: u64, id: &str| {
        json!({"type": "tool-call-start", "index": index, "delta": {"message": {"tool_calls":
            {"id": id, "type": "function", "function": {"name": "f", "arguments": ""}}}}})
    };
    let more = |index: u64, piece: &str| {
        json!({"type": "tool-call-delta", "index": index, "delta": {"message": {"tool_calls":
            {"function": {"arguments": piece}}}}})
    };
    // Both have the index 0 at first, then they take turns.
    let (chunks, ..) = streamed(&[
        begin(0, "a"),
        more(0, "{"),
        begin(0, "b"),
        more(0, "["),
        begin(2, "c"),
        more(0, "]"),
        more(2, "}"),
        end(&json!({"finish_reason": "TOOL_CALL"})),
    ]);
    let calls: Vec<_> = chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["tool_calls"].get(0))
        .map(|call| {
            (call["index"].as_u64().unwrap(), call["function"]["arguments"].as_str().unwrap())
        })
        .collect();
    assert_eq!(calls, [(0, ""), (0, "{"), (1, ""), (1, "["), (2, ""), (1, "]"), (2, "}")]);
}

#[test]
fn a_call_without_arguments_has_an_empty_object() {
    for written in ["", "null", " null ", "{}"] {
        let (completion, _) = told(&json!({"finish_reason": "TOOL_CALL", "message": {"tool_calls":
            [{"id": "a", "type": "function", "function": {"name": "f", "arguments": written}}]}}))
        .unwrap();
        let call = &completion["choices"][0]["message"]["tool_calls"][0];
        assert_eq!(call["function"]["arguments"], "{}", "{written:?}");
    }
    let event = |kind: &str, pieces: &[&str]| -> Vec<Value> {
        let event = |piece: &&str| {
            json!({"type": kind, "index": 0, "delta": {"message": {"tool_calls":
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": piece}}}}})
        };
        pieces.iter().map(event).collect()
    };
    for (first, pieces, expected) in [
        ("", &[][..], "{}"),
        ("null", &[], "{}"),
        ("", &["nu", "ll"], "{}"),
        ("", &["{}"], "{}"),
        ("", &[" ", "{\"a\"", ":null}"], " {\"a\":null}"),
        ("{\"a\":", &["1}"], "{\"a\":1}"),
    ] {
        for closed in [true, false] {
            let mut events = event("tool-call-start", &[first]);
            events.extend(event("tool-call-delta", pieces));
            if closed {
                events.push(json!({"type": "tool-call-end", "index": 0}));
            }
            events.push(end(&json!({"finish_reason": "TOOL_CALL"})));
            let (chunks, ..) = streamed(&events);
            let arguments: String = chunks
                .iter()
                .filter_map(|chunk| chunk["choices"][0]["delta"]["tool_calls"].get(0))
                .map(|call| call["function"]["arguments"].as_str().unwrap())
                .collect();
            assert_eq!(arguments, expected, "{first:?} {pieces:?}");
        }
    }
}

#[test]
fn what_the_reasoning_cites_is_no_annotation_of_the_text() {
    let cited = |kind: &str| json!({"start": 0, "end": 2, "type": kind, "sources": [{"type": "document", "id": kind}]});
    let kinds = ["PLAN", "THINKING_CONTENT", "TEXT_CONTENT"];
    let (completion, _) = told(&json!({"finish_reason": "COMPLETE", "message": {
        "content": [{"type": "text", "text": "so"}], "citations": kinds.map(cited)}}))
    .unwrap();
    let expected = json!([{"type": "file_citation", "file_citation":
        {"file_id": "TEXT_CONTENT", "start_index": 0, "end_index": 2}}]);
    assert_eq!(completion["choices"][0]["message"]["annotations"], expected);
    let mut events = vec![content("content-delta", &json!({"text": "so"}))];
    events.extend(kinds.map(|kind| {
        json!({"type": "citation-start", "index": 0,
               "delta": {"message": {"citations": cited(kind)}}})
    }));
    let (chunks, ..) = streamed(&events);
    let found: Vec<_> =
        chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"].get("annotations")).collect();
    assert_eq!(found, [&expected]);
}

#[test]
fn done_ends_a_stream_that_was_finished_and_no_other() {
    let run = |events: &[Value]| {
        let mut stream = StreamTranslator::new(StreamOptions::default(), "m");
        let mut out = Vec::new();
        let mut text: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
        text.push_str("data: [DONE]\n\n");
        let done = stream.push(Bytes::from(text), &mut out).done;
        (done, stream.finish(&mut out), out.concat().ends_with(b"data: [DONE]\n\n"))
    };
    let text = content("content-delta", &json!({"text": "a"}));
    let last = end(&json!({"finish_reason": "COMPLETE"}));
    assert_eq!(run(&[text.clone(), last]), (true, Ending::Complete, true));
    assert_eq!(run(&[text]), (false, Ending::Cut, false));
}

#[test]
fn ends_of_a_stream_mean_what_they_mean_of_a_reply() {
    let text = content("content-delta", &json!({"text": "a"}));
    let ended = |reason: &str| streamed(&[text.clone(), end(&json!({"finish_reason": reason}))]);
    let (chunks, failure, ending) = ended("ERROR_TOXIC");
    assert_eq!((failure, ending), (None, Ending::Complete));
    let said: Vec<_> = chunks.iter().map(|chunk| &chunk["choices"][0]).collect();
    assert_eq!(said[1]["delta"]["content"], "a");
    assert_eq!(said[2]["finish_reason"], "content_filter");
    let (_, failure, ending) = ended("ERROR_LIMIT");
    assert_eq!(failure.unwrap().class, FailureClass::ContextWindow);
    assert_eq!(ending, Ending::Cut);
}

#[test]
fn results_of_tools_keep_their_documents_and_say_that_they_are_errors() {
    let document = json!({"type": "document", "document": {"data": {"t": 1}, "id": "d"}});
    let result = |content: Value, is_error: bool| {
        let messages = json!([{"role": "tool", "tool_call_id": "c", "content": content,
                               "is_error": is_error}]);
        turns("command-a", &messages).unwrap()[0].clone()
    };
    assert_eq!(
        result(json!([document]), false),
        json!({"role": "tool", "tool_call_id": "c", "content": [document]})
    );
    assert_eq!(result(json!("no such city"), false)["content"], "no such city");
    let failed = result(json!("no such city"), true);
    let text = failed["content"].as_str().unwrap();
    assert!(text.contains("no such city") && text != "no such city", "{text}");
    let failed = result(json!([document]), true);
    assert_eq!(failed["content"][1], document);
    assert!(!failed["content"][0]["text"].as_str().unwrap().is_empty(), "{failed}");
}

#[test]
fn a_stream_that_fails_is_no_success() {
    let text = content("content-delta", &json!({"text": "a"}));
    for (last, message) in [
        (end(&json!({"finish_reason": "ERROR", "error": "it broke"})), "it broke"),
        (end(&json!({"finish_reason": "ERROR"})), "because of an error"),
        (end(&json!({"finish_reason": "TIMEOUT"})), "too long"),
        (json!({"message": "internal server error"}), "internal server error"),
    ] {
        let (chunks, failure, ending) = streamed(&[text.clone(), last]);
        assert!(failure.unwrap().message.contains(message));
        assert_eq!(ending, Ending::Cut);
        assert!(chunks.iter().all(|chunk| chunk["choices"][0]["finish_reason"].is_null()));
    }
    assert_eq!(streamed(&[text]).2, Ending::Cut);
}

#[test]
fn embeddings_are_asked_for_and_told() {
    let sent = |fields: Value| -> Result<Value, Failure> {
        let body = embed(&object(&fields), &options("embed-v4.0"))?;
        Ok(serde_json::from_slice(&body).unwrap())
    };
    let plain = json!({"model": "embed-v4.0", "texts": ["a"], "input_type": "search_document",
                       "embedding_types": ["float"]});
    assert_eq!(sent(json!({"input": "a", "user": "u"})).unwrap(), plain);
    assert_eq!(
        sent(json!({"input": ["a", "b"], "encoding_format": "base64", "dimensions": 256,
                    "input_type": "search_query", "truncate": "END"}))
        .unwrap(),
        json!({"model": "embed-v4.0", "texts": ["a", "b"], "input_type": "search_query",
               "embedding_types": ["base64"], "output_dimension": 256, "truncate": "END"})
    );
    assert_eq!(sent(json!({})).unwrap_err().param.as_deref(), Some("input"));
    assert_eq!(sent(json!({"input": [1, 2]})).unwrap_err().param.as_deref(), Some("input"));

    for (vectors, first) in [
        (json!({"float": [[0.1, 0.20], [1, 2]]}), json!([0.1, 0.20])),
        (json!({"int8": null, "base64": ["AAAA", "BBBB"]}), json!("AAAA")),
    ] {
        let body = json!({"id": "x", "embeddings": vectors, "texts": ["a", "b"],
                          "meta": {"billed_units": {"input_tokens": 6.0}}});
        let reply = embeddings(Bytes::from(body.to_string()), "embed-v4.0").unwrap();
        assert_eq!(reply.usage.unwrap().input_tokens, 6);
        let list: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(list["data"][0], json!({"object": "embedding", "index": 0, "embedding": first}));
        assert_eq!(list["data"][1]["index"], 1);
        assert_eq!(list["usage"], json!({"prompt_tokens": 6, "total_tokens": 6}));
    }
    let failed = embeddings(Bytes::from_static(b"{\"message\":\"no such model\"}"), "m");
    assert_eq!(failed.unwrap_err().message, "no such model");
}

#[test]
fn the_deployments_parameters_are_used_where_the_client_is_silent() {
    let default = |name: &str, value: &str| {
        (Box::from(name), RawValue::from_string(value.to_owned()).unwrap())
    };
    let defaults = [default("top_p", "0.1"), default("safety_mode", "\"OFF\"")];
    let body = object(&asked(&json!({"top_p": 0.9})));
    let sent = request(&body, &RequestOptions { defaults: &defaults, ..options("m") }).unwrap();
    let sent: Value = serde_json::from_slice(&sent).unwrap();
    assert_eq!((&sent["p"], &sent["safety_mode"]), (&json!(0.9), &json!("OFF")));
}
