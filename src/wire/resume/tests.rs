use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::wire::sse::Splitter;

fn chunk(id: &str, delta: &Value, finish: &Value) -> Bytes {
    let chunk = json!({
        "id": id, "object": "chat.completion.chunk", "created": 1, "model": "m-of-a",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    });
    format!("data: {chunk}\n\n").into()
}

fn text(id: &str, content: &str) -> Bytes {
    chunk(id, &json!({"content": content}), &Value::Null)
}

/// What a client makes of events: the text, and every id it saw.
fn heard(events: &[Bytes]) -> (String, Vec<String>) {
    let (mut said, mut ids) = (String::new(), Vec::new());
    let mut splitter = Splitter::new();
    for bytes in events {
        splitter.push(bytes.clone());
        while let Some(event) = splitter.next_event().unwrap() {
            let fields = splitter.fields(&event);
            let Ok(chunk) = serde_json::from_slice::<Value>(&fields.data.unwrap_or_default())
            else {
                continue;
            };
            ids.extend(chunk["id"].as_str().map(str::to_owned));
            said += chunk["choices"][0]["delta"]["content"].as_str().unwrap_or_default();
        }
    }
    (said, ids)
}

/// The client's side when `first` was sent, the stream broke, and another model said `rest`.
fn spliced(first: &[&str], rest: &[&str], style: Style) -> (String, Vec<String>) {
    let mut resume = Resume::default();
    let mut client = vec![chunk("a", &json!({"role": "assistant", "content": ""}), &Value::Null)];
    client.extend(first.iter().map(|piece| text("a", piece)));
    resume.pass(&mut client);
    resume.continue_with(style, Usage::default());
    let role = chunk("b", &json!({"role": "assistant", "content": ""}), &Value::Null);
    let pieces = rest.iter().map(|piece| text("b", piece));
    let end = [chunk("b", &json!({}), &json!("stop")), Bytes::from_static(b"data: [DONE]\n\n")];
    for event in std::iter::once(role).chain(pieces).chain(end) {
        let mut events = vec![event];
        resume.pass(&mut events);
        client.append(&mut events);
    }
    heard(&client)
}

#[test]
fn the_client_reads_one_reply_wherever_it_broke() {
    let whole = "Grüße aus Köln, where it rains 🌧 and the river is brown.";
    for (at, _) in whole.char_indices() {
        let (before, after) = whole.split_at(at);
        let letters: Vec<String> = after.chars().map(String::from).collect();
        let letters: Vec<&str> = letters.iter().map(String::as_str).collect();
        for style in [Style::Prefix, Style::Instruction] {
            for rest in [&[after][..], &letters] {
                let (said, ids) = spliced(&[before], rest, style);
                assert_eq!(said, whole, "{at} {style:?}");
                assert!(ids.iter().all(|id| id == "a"), "{ids:?}");
            }
        }
    }
}

#[test]
fn what_an_instructed_model_repeats_is_said_once() {
    for (told, rest) in [
        // All of it, the last words, the broken word.
        ("The quick brown fox", &["The quick brown", " fox jumps."][..]),
        ("The quick brown fox", &["The quick brown fox jumps."]),
        ("One. Two. The quick brown f", &["The quick", " brown fox jumps."]),
        ("The quick brown fo", &["fox", " jumps."]),
        ("The quick brown fox ", &["fox jumps."]),
        ("The quick brown fox ", &[" jumps."]),
    ] {
        let (said, _) = spliced(&[told], rest, Style::Instruction);
        assert!(said.ends_with("brown fox jumps."), "{told:?}: {said:?}");
        assert_eq!(said.matches("fox").count(), 1, "{said:?}");
    }
    // Repetitions that are the text's own.
    assert_eq!(spliced(&["ha"], &["-ha-ha"], Style::Instruction).0, "ha-ha-ha");
    assert_eq!(spliced(&["no, no"], &[", no, no!"], Style::Instruction).0, "no, no, no, no!");
}

#[test]
fn white_space_that_the_model_was_not_given_is_not_said_again() {
    for style in [Style::Prefix, Style::Instruction] {
        assert_eq!(spliced(&["a line\n\n"], &["\n\n", "b"], style).0, "a line\n\nb");
        assert_eq!(spliced(&["one "], &[" two"], style).0, "one two");
        assert_eq!(spliced(&["one "], &["two"], style).0, "one two");
    }
}

#[test]
fn held_text_is_said_before_the_end_and_before_a_tool_call() {
    let (said, _) = spliced(&["The quick brown fox runs"], &["The quick"], Style::Instruction);
    assert_eq!(said, "The quick brown fox runsThe quick");

    let mut resume = Resume::default();
    resume.pass(&mut vec![text("a", "Let me look that up")]);
    resume.continue_with(Style::Instruction, Usage::default());
    let call = json!({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f"}}]});
    let mut events = vec![text("b", "Let me"), chunk("b", &call, &Value::Null)];
    resume.pass(&mut events);
    assert_eq!(events.len(), 2);
    assert_eq!(heard(&events[..1]).0, "Let me");
    assert!(events[1].windows(10).any(|part| part == b"tool_calls"));
    assert_eq!(resume.told().obstacle(), Some(Obstacle::ToolCall));
}

#[test]
fn a_continuation_does_not_think_aloud() {
    let mut resume = Resume::default();
    resume.pass(&mut vec![text("a", "So")]);
    resume.continue_with(Style::Prefix, Usage::default());
    let mut events = vec![chunk("b", &json!({"reasoning_content": "hm"}), &Value::Null)];
    resume.pass(&mut events);
    assert!(events.is_empty(), "{events:?}");
}

#[test]
fn usage_shown_is_that_of_all_attempts() {
    let mut resume = Resume::default();
    resume.pass(&mut vec![text("a", "So")]);
    let spent = Usage { input_tokens: 10, output_tokens: 5, ..Usage::default() };
    resume.continue_with(Style::Prefix, spent);
    let usage = json!({"prompt_tokens": 15, "completion_tokens": 7, "total_tokens": 22});
    let last = json!({"id": "b", "choices": [], "usage": usage});
    let mut events = vec![Bytes::from(format!("data: {last}\n\n"))];
    resume.pass(&mut events);
    let shown: Value = serde_json::from_slice(&events[0][6..]).unwrap();
    assert_eq!(shown["id"], "a");
    let sums = json!({"prompt_tokens": 25, "completion_tokens": 12, "total_tokens": 37});
    assert_eq!(shown["usage"], sums);
}

#[test]
fn the_request_gives_the_text_back_in_the_way_the_model_takes() {
    let body = br#"{"model":"m","messages":[{"role":"user","content":"hi"}],"max_tokens":100}"#;
    let body = Object::parse(Bytes::from_static(body)).unwrap();
    let mut resume = Resume::default();
    resume.pass(&mut vec![text("a", "Twelve bytes, and a \"quote\" \n")]);
    let ask = |style| {
        let asked = request(&body, resume.told(), style).unwrap();
        serde_json::from_slice::<Value>(asked.bytes()).unwrap()
    };
    let prefix = ask(Style::Prefix);
    let beginning = json!({"role": "assistant", "content": "Twelve bytes, and a \"quote\""});
    assert_eq!(prefix["messages"][1], beginning);
    assert_eq!(prefix["max_tokens"], 93);
    assert_eq!(ask(Style::MarkedPrefix)["messages"][1]["prefix"], true);
    assert_eq!(ask(Style::FinalMessage)["continue_final_message"], true);
    let instructed = ask(Style::Instruction);
    assert_eq!(instructed["messages"][1], beginning);
    assert_eq!(instructed["messages"][2]["role"], "user");
}

#[test]
fn a_reply_without_text_is_asked_for_again_as_it_was() {
    let body = Object::parse(Bytes::from_static(br#"{"messages":[]}"#)).unwrap();
    let mut resume = Resume::default();
    resume.pass(&mut vec![chunk("a", &json!({"reasoning_content": "hm"}), &Value::Null)]);
    assert_eq!(resume.obstacle(&body), None);
    let again = request(&body, resume.told(), Style::Prefix).unwrap();
    assert_eq!(again.bytes(), body.bytes());
}

#[test]
fn what_cannot_be_continued_is_named() {
    let plain = br#"{"messages":[]}"#;
    let after = |body: &'static [u8], event: Bytes| {
        let mut resume = Resume::default();
        resume.pass(&mut vec![event]);
        resume.obstacle(&Object::parse(Bytes::from_static(body)).unwrap())
    };
    let call = chunk("a", &json!({"tool_calls": [{"index": 0}]}), &Value::Null);
    assert_eq!(after(plain, call), Some(Obstacle::ToolCall));
    let refusal = chunk("a", &json!({"refusal": "I"}), &Value::Null);
    assert_eq!(after(plain, refusal), Some(Obstacle::Refusal));
    let end = chunk("a", &json!({}), &json!("stop"));
    assert_eq!(after(plain, end), Some(Obstacle::Finished));
    assert_eq!(after(plain, Bytes::from_static(b"data: [1]\n\n")), Some(Obstacle::UnknownForm));
    assert_eq!(after(br#"{"n":2}"#, text("a", "x")), Some(Obstacle::SeveralChoices));
    let json = br#"{"response_format":{"type":"json_object"}}"#;
    assert_eq!(after(json, text("a", "x")), Some(Obstacle::StructuredOutput));
    assert_eq!(after(br#"{"response_format":{"type":"text"}}"#, text("a", "x")), None);
}
