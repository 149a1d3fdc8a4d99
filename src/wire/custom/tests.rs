//! Requests, replies and streams of an API that nobody has heard of, and what is wrong with them.

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::dialect::Endpoint;
use crate::mapping::{Expression, Framing, Response, Stream};
use crate::wire::{Ending, StreamOptions, Translate};

fn expression(source: &str) -> Option<Expression> {
    Some(Expression::parse(source).unwrap())
}

fn mapping(framing: Framing, done: Option<&str>) -> Mapping {
    Mapping {
        request: None,
        response: Some(Response {
            text: expression("body.out | join if body.out is defined else none"),
            tool_calls: expression("body.calls"),
            finish_reason: expression("body.why"),
            id: expression("body.ref"),
            input_tokens: expression("body.cost.read"),
            output_tokens: expression("body.cost.wrote"),
            error: expression("body.problem.text"),
            ..Response::default()
        }),
        stream: Some(Stream {
            framing,
            done: done.and_then(expression),
            event: Response {
                text: expression("event.piece"),
                reasoning: expression("event.thought"),
                tool_calls: expression("event.calls"),
                finish_reason: expression("event.why"),
                input_tokens: expression("event.cost.read"),
                output_tokens: expression("event.cost.wrote"),
                error: expression("event.problem"),
                ..Response::default()
            },
        }),
        error: expression("body.problem.text"),
    }
}

#[test]
fn a_request_is_what_the_template_says() {
    let template = Template::parse(&json!({
        "engine": "{{ model }}",
        "input": "{{ messages | map(attribute='content') | join('\n') }}",
        "options": {"max": "{{ max_tokens }}", "heat": "{{ temperature }}", "live": "{{ stream }}"},
        "everything": "{{ body | length }}",
    }));
    let body = json!({
        "model": "public", "max_tokens": 5, "num_retries": 3,
        "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}],
    });
    let options = RequestOptions { stream: true, ..RequestOptions::plain(Endpoint::Chat, "own") };
    let body = Object::parse(Bytes::from(body.to_string())).unwrap();
    let written = request(&body, &options, &template.unwrap()).unwrap();
    let written: Value = serde_json::from_slice(&written).unwrap();
    assert_eq!(
        written,
        json!({
            "engine": "own", "input": "be brief\nhi", "options": {"max": 5, "live": true},
            // The gateway's own field is not among them.
            "everything": 4,
        })
    );
}

fn plain() -> RequestOptions<'static> {
    RequestOptions::plain(Endpoint::Chat, "own")
}

fn sent(template: &Value, body: &Value, options: &RequestOptions<'_>) -> Result<Value, Failure> {
    let body = Object::parse(Bytes::from(body.to_string())).unwrap();
    let written = request(&body, options, &Template::parse(template).unwrap())?;
    Ok(serde_json::from_slice(&written).unwrap())
}

#[test]
fn a_mapping_of_contents_gets_texts() {
    let template = json!({"input": "{{ messages | map(attribute='content') | join('|') }}"});
    let body = json!({"messages": [
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "assistant", "content": null, "tool_calls": []},
        {"role": "assistant"},
        {"role": "user", "content": "c"},
    ]});
    assert_eq!(sent(&template, &body, &plain()).unwrap(), json!({"input": "a\nb|||c"}));

    let image = json!({"messages": [{"role": "user", "content": [
        {"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "data:,"}},
    ]}]});
    let refused = sent(&template, &image, &plain()).unwrap_err();
    assert_eq!(refused.class, FailureClass::BadRequest);
    assert_eq!(refused.param.as_deref(), Some("messages[0].content[1]"));
    assert!(refused.message.contains("`image_url`"), "{refused:?}");

    // Who takes messages as they are takes all of them.
    let whole = json!({"turns": "{{ messages }}"});
    assert_eq!(sent(&whole, &image, &plain()).unwrap()["turns"], image["messages"]);
}

#[test]
fn calls_of_tools_are_not_left_out_of_a_history_in_silence() {
    let template = json!({"input": "{{ messages | map(attribute='content') | join('|') }}"});
    let call = json!({"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let body = json!({"messages": [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": null, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "a", "content": "res"},
    ]});
    let refused = sent(&template, &body, &plain()).unwrap_err();
    assert_eq!(refused.class, FailureClass::BadRequest);
    assert_eq!(refused.param.as_deref(), Some("messages[1].tool_calls"));
    let dropping = RequestOptions { drop_params: true, ..plain() };
    assert_eq!(sent(&template, &body, &dropping).unwrap(), json!({"input": "x||res"}));
    let looking =
        json!({"input": "{% for m in messages %}{{ m.content }}{{ m.tool_calls }}{% endfor %}"});
    assert!(sent(&looking, &body, &plain()).is_ok());
}

#[test]
fn what_changes_the_form_of_an_answer_is_not_left_out_in_silence() {
    let template = json!({"input": "{{ messages | map(attribute='content') | join('\n') }}"});
    for (name, value, refused) in [
        ("tools", json!([{"type": "function", "function": {"name": "f"}}]), true),
        ("tools", json!([]), false),
        ("tool_choice", json!("required"), true),
        ("tool_choice", json!("auto"), false),
        ("response_format", json!({"type": "json_object"}), true),
        ("response_format", json!({"type": "text"}), false),
        ("n", json!(2), true),
        ("n", json!(1), false),
        ("logprobs", json!(true), true),
        ("temperature", json!(0.5), false),
    ] {
        let body = json!({"messages": [{"role": "user", "content": "hi"}], name: value});
        let outcome = sent(&template, &body, &plain());
        assert_eq!(outcome.is_err(), refused, "{name} {value}");
        if let Err(failure) = outcome {
            assert_eq!(failure.param.as_deref(), Some(name));
            assert_eq!(failure.class, FailureClass::BadRequest);
        }
        let dropped = RequestOptions { drop_params: true, ..plain() };
        assert_eq!(sent(&template, &body, &dropped).unwrap(), json!({"input": "hi"}));
        let using = json!({"it": format!("{{{{ {name} }}}}")});
        assert_eq!(sent(&using, &body, &plain()).unwrap()["it"], body[name]);
        assert!(sent(&json!({"it": "{{ body }}"}), &body, &plain()).is_ok());
    }
}

#[test]
fn an_error_is_one_without_being_mapped() {
    let mut map = mapping(Framing::Lines, None);
    for part in [map.response.as_mut(), map.stream.as_mut().map(|stream| &mut stream.event)] {
        part.unwrap().error = None;
    }
    let body = r#"{"error":{"message":"inner","code":503}}"#;
    let failure = reply(Bytes::from(body), &map, "m", 7).unwrap_err();
    assert_eq!((&*failure.message, failure.status), ("inner", Some(503)));
    let events = b"{\"piece\":\"a\"}\n{\"error\":\"mid boom\"}\n";
    let (_, told, ending) = streamed(&Arc::new(map), events, 1000);
    assert_eq!((ending, told.as_deref()), (Ending::Cut, Some("mid boom")));
}

#[test]
fn a_reply_is_read_where_the_mapping_looks() {
    let map = mapping(Framing::Sse, None);
    let body = json!({
        "ref": "r1", "out": ["a", "b"], "why": "MAX_TOKENS", "cost": {"read": 3.0, "wrote": 4},
        "calls": [{"id": "c1", "function": {"name": "f", "arguments": {"x": 1}}}], "unknown": {},
    });
    let read = reply(Bytes::from(body.to_string()), &map, "m", 7).unwrap();
    let answer: Value = serde_json::from_slice(&read.body).unwrap();
    assert_eq!(answer["id"], "chatcmpl-r1");
    assert_eq!((&answer["model"], &answer["created"]), (&json!("m"), &json!(7)));
    let choice = &answer["choices"][0];
    assert_eq!(
        (&choice["message"]["content"], &choice["finish_reason"]),
        (&json!("ab"), &json!("length"))
    );
    assert_eq!(choice["message"]["tool_calls"][0]["function"]["arguments"], r#"{"x":1}"#);
    assert_eq!(read.usage.map(|usage| (usage.input_tokens, usage.output_tokens)), Some((3, 4)));

    for (body, told) in [
        (r#"{"problem":{"text":"no room"}}"#, "no room"),
        (r#"{"other":1}"#, "no text where its mapping looks"),
        (r#"{"out":5}"#, "cannot be applied to its answer"),
        ("<html>", "not JSON"),
    ] {
        let failure = reply(Bytes::from(body), &map, "m", 7).unwrap_err();
        assert!(failure.message.contains(told), "{body}: {}", failure.message);
    }
    let message = error_message(&map, br#"{"problem":{"text":"too long"}}"#);
    assert_eq!(message.as_deref(), Some("too long"));
    assert_eq!(error_message(&map, b"<html>"), None);
}

#[test]
fn calls_without_an_id_get_one_that_no_other_reply_has() {
    let map = mapping(Framing::Lines, None);
    let body = r#"{"calls":[{"name":"f","arguments":{}},{"name":"f","arguments":{}}]}"#;
    let ids = |created: u64| {
        let read = reply(Bytes::from(body), &map, "m", created).unwrap();
        let answer: Value = serde_json::from_slice(&read.body).unwrap();
        let calls = answer["choices"][0]["message"]["tool_calls"].as_array().unwrap().clone();
        calls.iter().map(|call| call["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let mut all = [ids(7), ids(8)].concat();
    assert!(all.iter().all(|id| id.starts_with("call_")), "{all:?}");
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 4);
}

/// What a client gets of a stream that is read in pieces of this size.
fn streamed(map: &Arc<Mapping>, bytes: &[u8], size: usize) -> (String, Option<String>, Ending) {
    let options = StreamOptions { show_usage: true, created: 7, ..StreamOptions::default() };
    let mut stream = StreamTranslator::new(Arc::clone(map), "m", options);
    let (mut out, mut failure) = (Vec::new(), None);
    for piece in bytes.chunks(size) {
        let progress = stream.push(Bytes::copy_from_slice(piece), &mut out);
        failure = failure.or_else(|| progress.failure.map(|failure| failure.message));
    }
    let ending = stream.finish(&mut out);
    let text = String::from_utf8(out.concat()).unwrap();
    // The chunks are the same wherever the reads cut; how they are joined is not.
    (text, failure, ending)
}

#[test]
fn streams_are_read_in_both_framings_wherever_they_are_cut() {
    let events = [
        r#"{"thought":"hm"}"#,
        r#"{"piece":"a"}"#,
        r#"{"piece":"ü"}"#,
        r#"{"calls":[{"index":0,"id":"c","name":"f","arguments":"{\"x\""}]}"#,
        r#"{"calls":[{"index":0,"arguments":":1}"}]}"#,
        r#"{"why":"stop","cost":{"read":2,"wrote":3},"over":true}"#,
    ];
    for (framing, text) in [
        (Framing::Sse, events.map(|event| format!("event: x\ndata: {event}\n\n")).concat()),
        (Framing::Lines, events.map(|event| format!("{event}\n")).concat()),
    ] {
        let map = Arc::new(mapping(framing, Some("event.over")));
        let whole = streamed(&map, text.as_bytes(), text.len());
        assert_eq!((whole.1.as_deref(), whole.2), (None, Ending::Complete));
        for part in [
            r#""reasoning_content":"hm""#,
            r#""content":"a""#,
            r#""content":"ü""#,
            r#""finish_reason":"tool_calls""#,
            r#""arguments":":1}""#,
            r#""total_tokens":5"#,
        ] {
            assert!(whole.0.contains(part), "{framing:?} {part}: {}", whole.0);
        }
        assert!(whole.0.ends_with("data: [DONE]\n\n"));
        for size in 1..40 {
            assert_eq!(streamed(&map, text.as_bytes(), size), whole, "{framing:?} by {size}");
        }
    }
}

#[test]
fn a_stream_ends_as_the_mapping_says() {
    let sse =
        |events: &[&str]| events.iter().map(|it| format!("data: {it}\n\n")).collect::<String>();
    for (done, events, ending, failure) in [
        (None, &[r#"{"piece":"a"}"#, "[DONE]"][..], Ending::Complete, None),
        (None, &[r#"{"piece":"a","why":"stop"}"#], Ending::Complete, None),
        (None, &[r#"{"piece":"a"}"#], Ending::Cut, None),
        (Some("data == 'bye'"), &[r#"{"piece":"a"}"#, "bye"], Ending::Complete, None),
        (Some("event.over"), &[r#"{"piece":"a","why":"stop"}"#], Ending::Cut, None),
        (
            None,
            &[r#"{"piece":"a"}"#, r#"{"problem":"out of memory"}"#],
            Ending::Cut,
            Some("out of memory"),
        ),
        (None, &["garbage"], Ending::Cut, Some("the provider sent an event that is not JSON")),
    ] {
        let map = Arc::new(mapping(Framing::Sse, done));
        let (text, told, ended) = streamed(&map, sse(events).as_bytes(), 1000);
        assert_eq!((ended, told.as_deref()), (ending, failure), "{done:?} {events:?}: {text}");
    }
}

#[test]
fn a_stream_of_endless_calls_is_refused() {
    let call = |at: usize| format!("data: {{\"calls\":[{{\"index\":{at},\"name\":\"f\"}}]}}\n\n");
    let map = Arc::new(mapping(Framing::Sse, None));
    let most: String = (0..512).map(call).collect();
    assert_eq!(streamed(&map, most.as_bytes(), 1000).1, None);
    let (_, told, ending) = streamed(&map, (most + &call(512)).as_bytes(), 1000);
    assert_eq!(told.as_deref(), Some("the provider's stream has too many tool calls"));
    assert_eq!(ending, Ending::Cut);
}
