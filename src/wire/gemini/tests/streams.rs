//! Streams, wherever they are cut.

use bytes::Bytes;
use serde_json::{Value, json};

use super::CREATED;
use crate::failure::{Failure, FailureClass};
use crate::usage::Usage;
use crate::wire::gemini::StreamTranslator;
use crate::wire::{Ending, StreamOptions, Translate};

#[derive(Debug, PartialEq)]
struct Told {
    text: String,
    ending: Ending,
    failure: Option<Failure>,
    usage: Option<Usage>,
}

impl Told {
    fn chunks(&self) -> Vec<Value> {
        let events = self.text.split("\n\n").filter_map(|event| event.strip_prefix("data: "));
        events
            .filter(|data| *data != "[DONE]")
            .map(|data| serde_json::from_str(data).unwrap())
            .collect()
    }

    fn choices(&self) -> Vec<Value> {
        self.chunks().iter().filter_map(|chunk| chunk["choices"].get(0).cloned()).collect()
    }

    fn deltas(&self) -> Vec<Value> {
        self.choices().iter().map(|choice| choice["delta"].clone()).collect()
    }
}

fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Told {
    let options = StreamOptions { show_usage: true, created: CREATED, ..StreamOptions::default() };
    let mut translator = StreamTranslator::new(options);
    let (mut out, mut failure) = (Vec::new(), None);
    for piece in pieces {
        let progress = translator.push(Bytes::copy_from_slice(piece), &mut out);
        failure = failure.or(progress.failure);
    }
    let ending = translator.finish(&mut out);
    let text = String::from_utf8(out.concat()).unwrap();
    Told { text, ending, failure, usage: translator.usage() }
}

/// What a stream tells, which must not depend on how it is cut.
fn told(stream: &str) -> Told {
    let whole = read([stream.as_bytes()]);
    for cut in 0..=stream.len() {
        let (first, second) = stream.as_bytes().split_at(cut);
        assert_eq!(read([first, second]), whole, "cut at {cut}");
    }
    assert_eq!(read(stream.as_bytes().chunks(1)), whole);
    whole
}

fn frame(candidate: &Value) -> String {
    let frame = json!({"candidates": [candidate], "modelVersion": "m", "responseId": "r"});
    format!("data: {frame}\r\n\r\n")
}

fn parts(parts: &Value) -> String {
    frame(&json!({"content": {"parts": parts}, "index": 0}))
}

fn end(reason: &str) -> String {
    frame(&json!({"index": 0, "finishReason": reason}))
}

fn call(name: &str) -> Value {
    json!({"functionCall": {"name": name, "args": {"a": "b c"}}})
}

#[test]
fn a_stream_that_names_no_model_is_of_the_one_that_was_called() {
    let mut translator = StreamTranslator::new(StreamOptions::default()).called("gemini-x");
    let mut out = Vec::new();
    let frame =
        json!({"candidates": [{"content": {"parts": [{"text": "a"}]}, "finishReason": "STOP"}]});
    translator.push(Bytes::from(format!("data: {frame}\n\n")), &mut out);
    translator.finish(&mut out);
    let text = String::from_utf8(out.concat()).unwrap();
    assert!(text.contains(r#""model":"gemini-x""#), "{text}");
    assert!(!text.contains(r#""model":"""#), "{text}");
}

#[test]
fn tool_calls_are_counted_over_the_whole_stream() {
    let stream = [
        parts(&json!([{"text": "So:"}])),
        parts(&json!([call("f"), call("f")])),
        parts(&json!([call("g")])),
        end("STOP"),
    ];
    let told = told(&stream.concat());
    assert_eq!(told.ending, Ending::Complete);
    let calls: Vec<Value> = told
        .deltas()
        .iter()
        .filter_map(|delta| Some(delta.get("tool_calls")?[0].clone()))
        .collect();
    let indices: Vec<_> = calls.iter().map(|call| call["index"].as_u64().unwrap()).collect();
    assert_eq!(indices, [0, 1, 2]);
    assert_ne!(calls[0]["id"], calls[1]["id"]);
    assert_eq!(calls[0]["function"], json!({"name": "f", "arguments": "{\"a\":\"b c\"}"}));
    let ends: Vec<_> =
        told.choices().iter().map(|choice| choice["finish_reason"].clone()).collect();
    assert_eq!(ends.last(), Some(&json!("tool_calls")));
    assert!(told.text.ends_with("data: [DONE]\n\n"));
}

#[test]
fn signatures_go_with_what_they_are_about() {
    let stream = [
        parts(&json!([{"text": "a", "thoughtSignature": "S1"}])),
        parts(&json!([{"text": "", "thoughtSignature": "S2"}])),
        end("STOP"),
    ];
    let signed = |signature: &str| json!({"google": {"thought_signature": signature}});
    assert_eq!(
        told(&stream.concat()).deltas(),
        [
            json!({"role": "assistant", "content": ""}),
            json!({"content": "a", "extra_content": signed("S1")}),
            json!({"extra_content": signed("S2")}),
            json!({}),
        ]
    );
    // What has no place for it in its own chunk is signed by the next one, at the end too.
    let last = json!({"index": 0, "finishReason": "STOP", "content": {"parts": [
        {"inlineData": {"mimeType": "image/png", "data": "AA"}, "thoughtSignature": "S4"}]}});
    let stream =
        [parts(&json!([{"text": "hm", "thought": true, "thoughtSignature": "S3"}])), frame(&last)];
    let deltas = told(&stream.concat()).deltas();
    assert_eq!(deltas[1], json!({"reasoning_content": "hm"}));
    assert_eq!(deltas[2], json!({"extra_content": signed("S3")}));
    assert!(deltas[3].get("images").is_some());
    assert_eq!(deltas[4], json!({"extra_content": signed("S4")}));
}

#[test]
fn an_error_is_one_in_whatever_shape_it_comes() {
    let begun = parts(&json!([{"text": "a"}]));
    let error =
        r#"{"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}"#;
    let pretty = "{\n  \"error\": {\n    \"code\": 503,\n    \"message\": \"The model is overloaded.\",\n    \"status\": \"UNAVAILABLE\"\n  }\n}\n";
    for last in [
        format!("data: {error}\r\n\r\n"),
        error.to_owned(),
        format!("{error}\n"),
        format!("{error}\r\n\r\n"),
        format!("[{error}]"),
        pretty.to_owned(),
    ] {
        let told = told(&format!("{begun}{last}"));
        assert_eq!(told.ending, Ending::Cut, "{last}");
        let failure = told.failure.expect(&last);
        assert_eq!(failure.class, FailureClass::Overloaded, "{last}");
        assert!(!told.text.contains("overloaded") && !told.text.contains("[DONE]"), "{last}");
    }
}

#[test]
fn only_a_stream_that_said_why_it_ended_is_whole() {
    let begun = parts(&json!([{"text": "a"}]));
    assert_eq!(told(&begun).ending, Ending::Cut);
    assert_eq!(told("").ending, Ending::Cut);
    assert_eq!(told(&format!("{begun}{}", end("STOP"))).ending, Ending::Complete);
    // Without the blank line of its last frame.
    let stream = format!("{begun}{}", end("MAX_TOKENS"));
    assert_eq!(read([stream.trim_end().as_bytes()]).ending, Ending::Complete);
    let first =
        frame(&json!({"index": 0, "finishReason": "STOP", "content": {"parts": [{"text": "a"}]}}));
    let second = frame(&json!({"index": 1, "content": {"parts": [{"text": "b"}]}}));
    assert_eq!(told(&format!("{first}{second}")).ending, Ending::Cut);
}

#[test]
fn several_answers_keep_apart() {
    let both = json!({"candidates": [
        {"index": 0, "content": {"parts": [{"text": "a"}]}, "finishReason": "STOP"},
        {"index": 1, "content": {"parts": [call("f")]}, "finishReason": "STOP"},
    ]});
    let told = told(&format!("data: {both}\n\n"));
    assert_eq!(told.ending, Ending::Complete);
    let ends: Vec<_> = told
        .choices()
        .iter()
        .filter(|choice| !choice["finish_reason"].is_null())
        .map(|choice| (choice["index"].clone(), choice["finish_reason"].clone()))
        .collect();
    assert_eq!(ends, [(json!(0), json!("stop")), (json!(1), json!("tool_calls"))]);
}

#[test]
fn an_answer_that_is_none_leaves_the_others() {
    let wrong = json!({"index": 0, "finishReason": "MALFORMED_FUNCTION_CALL"});
    let both = |other: &Value| format!("data: {}\r\n\r\n", json!({"candidates": [wrong, other]}));
    let text = json!({"index": 1, "content": {"parts": [{"text": "b"}]}});
    let rest = frame(&json!({"index": 1, "finishReason": "STOP"}));
    let told_of_both = told(&format!("{}{rest}", both(&text)));
    assert_eq!((told_of_both.ending, &told_of_both.failure), (Ending::Complete, &None));
    let of = |index: u64| -> Vec<Value> {
        told_of_both.choices().into_iter().filter(|choice| choice["index"] == index).collect()
    };
    let refusal = of(0)[1]["delta"]["refusal"].as_str().unwrap().to_owned();
    assert!(refusal.contains("MALFORMED_FUNCTION_CALL"), "{refusal}");
    assert_eq!(of(0).last().unwrap()["finish_reason"], "stop");
    assert_eq!(of(1)[1]["delta"]["content"], "b");
    let also_wrong = json!({"index": 1, "finishReason": "MALFORMED_RESPONSE"});
    for stream in [both(&also_wrong), format!("{}{}", both(&text), frame(&also_wrong))] {
        let told = told(&stream);
        assert_eq!(told.ending, Ending::Cut);
        assert_eq!(told.failure.unwrap().code.as_deref(), Some("malformed_function_call"));
    }
}

#[test]
fn ends_after_content_keep_it() {
    let said = |reason: &str, part: Value| {
        let last = json!({"index": 0, "finishReason": reason, "content": {"parts": [part]}});
        let told = told(&format!("{}{}", parts(&json!([{"text": "a"}])), frame(&last)));
        assert_eq!(told.ending, Ending::Complete, "{reason}");
        let choices = told.choices();
        assert!(choices.iter().all(|choice| choice["delta"].get("refusal").is_none()));
        (choices[2]["delta"].clone(), choices[3]["finish_reason"].clone())
    };
    let (delta, word) = said("SAFETY", json!({"text": "b"}));
    assert_eq!((&delta["content"], &word), (&json!("b"), &json!("content_filter")));
    let (delta, word) = said("MAX_TOKENS", call("f"));
    assert_eq!(
        (&delta["tool_calls"][0]["function"]["name"], &word),
        (&json!("f"), &json!("length"))
    );
}

#[test]
fn a_refusal_is_told_with_its_reason() {
    let blocked = "data: {\"promptFeedback\":{\"blockReason\":\"SAFETY\"},\"usageMetadata\":{\"promptTokenCount\":9,\"totalTokenCount\":9}}\r\n\r\n";
    for (stream, reason) in [(blocked.to_owned(), "SAFETY"), (end("RECITATION"), "RECITATION")] {
        let told = told(&stream);
        assert_eq!(told.ending, Ending::Complete);
        let refusal = format!("Blocked by provider: {reason}");
        assert_eq!(told.deltas()[1], json!({"refusal": refusal}));
        assert_eq!(told.choices()[2]["finish_reason"], "content_filter");
    }
}

#[test]
fn a_model_that_went_wrong_is_an_error() {
    for (reason, class) in [
        ("MALFORMED_FUNCTION_CALL", FailureClass::Server),
        ("UNEXPECTED_TOOL_CALL", FailureClass::Server),
        ("TOO_MANY_TOOL_CALLS", FailureClass::Server),
        ("MALFORMED_RESPONSE", FailureClass::Server),
        ("MISSING_THOUGHT_SIGNATURE", FailureClass::BadRequest),
    ] {
        for begun in [String::new(), parts(&json!([{"text": "a"}, call("f")]))] {
            let told = told(&format!("{begun}{}", end(reason)));
            assert_eq!(told.ending, Ending::Cut);
            let failure = told.failure.unwrap();
            assert_eq!(failure.code, Some(reason.to_ascii_lowercase().into()));
            assert_eq!(failure.class, class);
            assert!(failure.blameless);
        }
    }
}

#[test]
fn the_last_counts_are_all_of_them() {
    let counted = |said: u64, reason: Option<&str>| {
        let candidate = json!({"index": 0, "finishReason": reason, "content": {"parts": [{"text": "abcdefgh"}]}});
        let usage = json!({"promptTokenCount": 5, "candidatesTokenCount": said, "totalTokenCount": 5 + said});
        format!("data: {}\n\n", json!({"candidates": [candidate], "usageMetadata": usage}))
    };
    let whole = told(&format!("{}{}", counted(1, None), counted(7, Some("STOP"))));
    assert_eq!(whole.usage, Some(Usage { input_tokens: 5, output_tokens: 7, ..Usage::default() }));
    assert_eq!(whole.chunks().last().unwrap()["usage"]["completion_tokens"], 7);
    let broken = told(&counted(1, None));
    let expected = Usage { input_tokens: 5, output_tokens: 2, estimated: true, ..Usage::default() };
    assert_eq!(broken.usage, Some(expected));
}

#[test]
fn pictures_sources_and_unknown_fields_are_no_obstacle() {
    let stream = [
        parts(&json!([{"text": "Grüße", "brandNew": {"x": 1}}])),
        parts(&json!([{"inlineData": {"mimeType": "image/png", "data": "AA"}}])),
        frame(&json!({"index": 0, "finishReason": "STOP", "extra": [], "groundingMetadata":
            {"groundingChunks": [{"web": {"uri": "https://a"}}]}})),
    ];
    let deltas = told(&stream.concat()).deltas();
    assert_eq!(deltas[2]["images"][0]["image_url"]["url"], "data:image/png;base64,AA");
    assert_eq!(
        deltas[3]["annotations"],
        json!([{"type": "url_citation", "url_citation":
            {"url": "https://a", "start_index": 0, "end_index": 5}}])
    );
}
