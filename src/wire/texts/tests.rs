use serde_json::{Value, json};

use super::*;
use crate::dialect::ClientDialect;

fn asked(body: &Value) -> Vec<(&'static str, String)> {
    let body = body.to_string();
    let texts = of_request(body.as_bytes());
    texts.list.into_iter().map(|text| (text.role.word(), text.value.into_owned())).collect()
}

fn pairs<const N: usize>(pairs: [(&'static str, &str); N]) -> Vec<(&'static str, String)> {
    pairs.map(|(role, text)| (role, text.to_owned())).to_vec()
}

#[test]
fn what_is_said_is_found_in_every_dialect_and_whose_it_is() {
    let chat = json!({"model": "no", "user": "no", "messages": [
        {"content": "be kind", "role": "system"},
        {"role": "user", "content": [{"type": "text", "text": "look"},
            {"type": "image_url", "image_url": {"url": "https://no/"}}]},
        {"role": "assistant", "content": null, "tool_calls": [{"id": "no", "type": "function",
            "function": {"name": "no", "arguments": "{\"id\":\"caf\\u00e9\",\"n\":[1,\"two\"]}"}}]},
        {"role": "tool", "tool_call_id": "no", "content": "found"}], "tools": [{"type": "no"}]});
    let found = pairs([
        ("system", "be kind"),
        ("user", "look"),
        ("assistant", "id"),
        ("assistant", "café"),
        ("assistant", "n"),
        ("assistant", "1"),
        ("assistant", "two"),
        ("tool", "found"),
    ]);
    assert_eq!(asked(&chat), found);

    let messages = json!({"system": [{"type": "text", "text": "be kind"}], "messages": [
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "no",
            "content": [{"type": "text", "text": "found"}]}, {"type": "text", "text": "so?"}]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "no", "name": "no",
            "input": {"id": "seven", "url": "https://x"}}]},
        {"role": "user", "content": [{"type": "document", "source":
            {"type": "text", "media_type": "text/plain", "data": "a letter"}}]}]});
    let mut found = pairs([
        ("system", "be kind"),
        ("tool", "found"),
        ("user", "so?"),
        ("assistant", "id"),
        ("assistant", "seven"),
        ("assistant", "url"),
        ("assistant", "https://x"),
        ("user", "a letter"),
    ]);
    // As they are written, which is by name here.
    found.rotate_left(1);
    assert_eq!(asked(&messages), found);

    let responses = json!({"instructions": "be kind", "input": [
        {"role": "user", "content": [{"type": "input_text", "text": "hi"}]},
        {"type": "function_call_output", "call_id": "no", "output": "found"}]});
    let found = pairs([("user", "hi"), ("tool", "found"), ("system", "be kind")]);
    assert_eq!(asked(&responses), found);

    let gemini = json!({"systemInstruction": {"parts": [{"text": "be kind"}]}, "contents": [
        {"role": "user", "parts": [{"text": "hi"}, {"inlineData": {"mimeType": "no",
            "data": "A".repeat(300)}}]},
        {"role": "model", "parts": [{"functionCall": {"name": "no", "args": {"name": "Ann"}}}]}]});
    let found =
        pairs([("user", "hi"), ("assistant", "name"), ("assistant", "Ann"), ("system", "be kind")]);
    assert_eq!(asked(&gemini), found);

    let inputs = json!({"input": ["one", "two"]});
    assert_eq!(asked(&inputs), pairs([("user", "one"), ("user", "two")]));
}

#[test]
fn who_says_a_message_says_all_of_it() {
    let part = |role: &str| json!({"type": "text", "role": role, "text": role});
    let parts = ["system", "assistant"].map(part);
    let body = json!({"messages": [{"role": "user", "content": parts}], "role": "system"});
    assert_eq!(asked(&body), pairs([("user", "system"), ("user", "assistant")]));
}

#[test]
fn nothing_hides_behind_spellings() {
    for body in [
        r#"{"m\u0065ssages":[{"content":"hidden"}]}"#,
        r#"{"messages":[{"cont\u0065nt":"hidden"}],"messages":[]}"#,
        r#"{"messages":[{"content":"\u0068idden"}]}"#,
        r#"{"messages":[{"something_new":{"words":"hidden"}}]}"#,
        r#"{"Messages":[{"content":"hidden"}]}"#,
        r#"{"me\u017fſages":[{"content":"hidden"}]}"#,
        r#"{"Documents":["hidden"]}"#,
    ] {
        let texts = of_request(body.as_bytes());
        assert_eq!(texts.list.first().map(|text| &*text.value), Some("hidden"), "{body}");
    }
    // Half a character.
    for (body, meant) in [
        (r#"{"prompt":"\ud800hidden"}"#, "\u{fffd}hidden"),
        (r#"{"prompt":"hidden\udc00 \n\ud83d\ude00 \u0041"}"#, "hidden\u{fffd} \n😀 A"),
    ] {
        assert_eq!(of_request(body.as_bytes()).list[0].value, meant);
    }
    assert_eq!(of_request(br#"{"documents":[{"name":"hidden"}]}"#).list[1].value, "hidden");
    assert!(of_request(br#"{"prompt":[[1,2],[3]]}"#).has_tokens);
    assert!(!of_request(br#"{"prompt":["a"],"n":1}"#).has_tokens);
}

#[test]
fn what_looks_like_data_is_none_where_it_is_called_a_text() {
    let long = format!("/hidden/{}", "A".repeat(300));
    for said in ["data: hidden", "data:text/plain,hidden", &*long, "data:text/plain;base64,hidden"]
    {
        let source = json!({"data": said, "type": "text", "media_type": "text/plain"});
        let body = json!({"messages": [{"content": [{"type": "document", "source": source}]}]});
        assert_eq!(asked(&body), pairs([("user", said)]));
    }
    let picture = json!({"messages": [{"content": [{"source": {"type": "base64", "data": long}},
        {"file": {"file_data": "data:text/plain;base64,AAAA"}}]}]});
    assert_eq!(asked(&picture), []);
}

#[test]
fn what_is_nested_too_deeply_is_no_json() {
    let deep = |depth: usize| format!("{}\"hidden\"{}", "[".repeat(depth), "]".repeat(depth));
    let called = |arguments: &str| {
        let call = json!({"function": {"arguments": arguments}});
        asked(&json!({"messages": [{"role": "assistant", "tool_calls": [call]}]}))
    };
    assert_eq!(called(&deep(100)), pairs([("assistant", "hidden")]));
    // Then it is a text like any.
    for depth in [127, 200_000] {
        assert_eq!(called(&deep(depth)), pairs([("assistant", &*deep(depth))]));
    }
    let reply = format!(r#"{{"choices":{},"text":"hidden"}}"#, deep(200_000));
    assert!(of_reply(reply.as_bytes()).is_broken && of_event(reply.as_bytes()).is_broken);
}

#[test]
fn other_texts_are_written_in_their_places() {
    let body = r#"{ "messages":[{"role":"user","content":"a \"b\""},{"tool_calls":[{"function":{"arguments":"{\"x\": \"c\", \"y\":\"d\"}"}}]}],"n":1.0 }"#;
    let texts = of_request(body.as_bytes());
    let new = texts.list.iter().map(|text| format!("<{}>", text.value)).enumerate();
    let new: Vec<_> = new.collect();
    let written = texts.rewritten(body.as_bytes(), &new, false);
    let written = std::str::from_utf8(&written).unwrap();
    assert_eq!(
        written,
        r#"{ "messages":[{"role":"user","content":"<a \"b\">"},{"tool_calls":[{"function":{"arguments":"{\"<x>\": \"<c>\", \"<y>\":\"<d>\"}"}}]}],"n":1.0 }"#
    );
    assert_eq!(texts.rewritten(body.as_bytes(), &[], false), body);
    let body = r#"{"messages":[{"content":[{"input":{"card": 4111,"at":-1,"x":[1.5,true]}}]}]}"#;
    let texts = of_request(body.as_bytes());
    let list: Vec<_> = texts.list.iter().map(|text| &*text.value).collect();
    assert_eq!(list, ["card", "4111", "at", "-1", "x"]);
    let written = texts.rewritten(body.as_bytes(), &[(1, "<1>".to_owned())], false);
    assert_eq!(written, body.replace("4111", "\"<1>\""));
}

#[test]
fn how_likely_each_piece_was_does_not_tell_what_was_hidden() {
    let body = br#"{"choices":[{"message":{"content":"secret"},"logprobs":{"content":[{"token":"secret"}]}}]}"#;
    let texts = of_reply(body);
    assert!(texts.tells_again() && texts.list.len() == 1);
    let new = [(0, "*".to_owned())];
    let written = texts.rewritten(body, &new, true);
    assert_eq!(written, r#"{"choices":[{"message":{"content":"*"},"logprobs":null}]}"#);
}

#[test]
fn all_of_a_reply_is_told_but_what_repeats_its_request() {
    let body = r#"{"id":"no","object":"no","instructions":"no","tools":[{"description":"no"}],
        "text":"call 555","segments":[{"text":"call"}],"words":[{"word":"555"}],"citations":["so"]}"#;
    let texts = of_reply(body.as_bytes());
    let list: Vec<_> = texts.list.iter().map(|text| &*text.value).collect();
    assert_eq!(list, ["call 555", "call", "so"]);
    let written = texts.rewritten(body.as_bytes(), &[(0, "*".to_owned())], true);
    let expected = body.replace("call 555", "*").replace(r#"[{"word":"555"}]"#, "null");
    assert_eq!(written, expected);
}

#[test]
fn parts_of_one_text_are_known_by_their_numbers() {
    let lane = |data: Value| {
        let data = data.to_string();
        let texts = of_event(data.as_bytes());
        assert_eq!(texts.list.len(), 1, "{data}");
        texts.list[0].lane
    };
    let chunk = |choice: u64, call: u64, text: &str| {
        let call = json!({"index": call, "function": {"arguments": text}});
        json!({"id": "no", "choices": [{"delta": {"tool_calls": [call]}, "index": choice}]})
    };
    assert_eq!(lane(chunk(0, 1, "a")), lane(chunk(0, 1, "b")));
    let lanes = [lane(chunk(0, 0, "a")), lane(chunk(0, 1, "a")), lane(chunk(1, 0, "a"))];
    assert!(lanes[0] != lanes[1] && lanes[1] != lanes[2] && lanes[0] != lanes[2]);
    let block = |index: u64| {
        json!({"type": "content_block_delta", "index": index,
            "delta": {"type": "text_delta", "text": "a"}})
    };
    assert_ne!(lane(block(0)), lane(block(1)));
    let delta = json!({"type": "response.output_text.delta", "output_index": 0, "delta": "a"});
    assert!(lane(delta).is_some());
    let done = json!({"type": "response.output_text.done", "output_index": 0, "text": "a"});
    assert_eq!(lane(done), None);
    let whole = json!({"type": "response.completed", "response": {"instructions": "no",
        "output": [{"type": "message", "content": [{"type": "output_text", "text": "a"}]}]}});
    assert_eq!(lane(whole), None);
}

#[test]
fn events_are_taken_apart_and_put_together() {
    let mut events = Events::new(false);
    let mut seen = Vec::new();
    let text = "event: a\ndata: {\"x\":1}\n\n: ping\n\ndata: {\ndata: \"y\":2}\n\n";
    events.push(Bytes::from_static(text.as_bytes()), |event| seen.push(event));
    assert_eq!(seen.len(), 3);
    assert_eq!(seen[0].data(), b"{\"x\":1}");
    assert_eq!(seen[1].data(), b"");
    assert_eq!(seen[2].data(), b"{ \"y\":2}");
    let other = seen.swap_remove(0).with(b"{}");
    assert_eq!((&other.bytes()[..], other.data()), (&b"event: a\ndata: {}\n\n"[..], &b"{}"[..]));

    let mut elements = Vec::new();
    Events::new(true).push(Bytes::from_static(b"[{\"x\":1},\n{\"y\":2}]\n"), |event| {
        elements.push(event);
    });
    assert_eq!(elements.len(), 3);
    assert_eq!(elements[1].bytes(), ",\n{\"y\":2}");
    assert_eq!(elements[1].data(), b"{\"y\":2}");
    assert_eq!(elements[2].bytes(), "]\n");
}

#[test]
fn a_stream_that_is_cut_closes_what_it_opened() {
    let mut cut = Cut::new(ClientDialect::OpenAi, false);
    cut.passes(br#"{"id":"c","object":"chat.completion.chunk","model":"m","created":1,"choices":[{"index":1,"delta":{"content":"a"}}]}"#);
    let end = cut.end();
    let end = std::str::from_utf8(&end).unwrap();
    assert!(end.ends_with("data: [DONE]\n\n") && end.contains(r#""index":1"#), "{end}");
    assert!(end.contains(r#""finish_reason":"content_filter""#) && end.contains(r#""id":"c""#));

    let mut cut = Cut::new(ClientDialect::Anthropic, false);
    assert!(!cut.has_begun());
    cut.passes(br#"{"type":"content_block_start","index":2,"content_block":{}}"#);
    let end = cut.end();
    let end = std::str::from_utf8(&end).unwrap();
    let names: Vec<_> = end.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    assert_eq!(names, ["content_block_stop", "message_delta", "message_stop"]);
    assert!(end.contains(r#""stop_reason":"refusal""#));

    let mut cut = Cut::new(ClientDialect::Responses, false);
    cut.passes(br#"{"type":"response.created","sequence_number":4,"response":{"id":"r"}}"#);
    let end = cut.end();
    let end = std::str::from_utf8(&end).unwrap();
    assert!(end.contains(r#""sequence_number":5"#) && end.contains(r#""id":"r""#), "{end}");
    assert!(end.contains(r#""reason":"content_filter""#));

    let mut cut = Cut::new(ClientDialect::Gemini, true);
    cut.passes(br#"{"modelVersion":"m"}"#);
    let end = cut.end();
    let end = std::str::from_utf8(&end).unwrap();
    assert!(end.starts_with(",\n{") && end.ends_with("}]\n") && end.contains("SAFETY"), "{end}");
}
