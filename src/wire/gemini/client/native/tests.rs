//! Requests, replies and streams of Google's clients at Google itself.

use bytes::Bytes;
use serde_json::value::RawValue;

use super::*;
use crate::dialect::Endpoint;
use crate::failure::Failure;
use crate::usage::Usage;
use crate::wire::json::Object;
use crate::wire::{Ending, RequestOptions, Translate};

type Parameters = Vec<(Box<str>, Box<RawValue>)>;

fn parameters(list: &[(&str, &str)]) -> Parameters {
    let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
    list.iter().map(|(name, value)| ((*name).into(), raw(value))).collect()
}

fn options<'a>(
    defaults: &'a Parameters,
    overrides: &'a Parameters,
    drop: &'a [Box<str>],
) -> RequestOptions<'a> {
    RequestOptions {
        defaults,
        overrides,
        drop,
        ..RequestOptions::plain(Endpoint::Chat, "gemini-3-flash")
    }
}

fn sent(body: &str, options: &RequestOptions<'_>, counts: bool) -> String {
    let endpoint = if counts { Endpoint::CountTokens } else { options.endpoint };
    let options = &RequestOptions { endpoint, ..*options };
    let body = Object::parse(Bytes::copy_from_slice(body.as_bytes())).unwrap();
    String::from_utf8(request(&body, options).unwrap().to_vec()).unwrap()
}

#[test]
fn a_request_stays_as_it_is_but_for_what_is_the_gateways() {
    let none = Vec::new();
    let body = r#"{"contents": [ {"new":1.50} ], "brandNew":{}, "num_retries":2,
        "metadata":{"tags":[]}, "generation_config":{"top_k":40.0}}"#;
    let expected =
        r#"{"contents": [ {"new":1.50} ], "brandNew":{}, "generation_config":{"top_k":40.0}}"#;
    let seen = sent(body, &options(&none, &none, &[]), false);
    let squeeze = |text: &str| text.replace(['\n', ' '], "");
    assert_eq!(squeeze(&seen), squeeze(expected));
}

#[test]
fn parameters_of_the_deployment_find_their_place() {
    let defaults = parameters(&[
        ("temperature", "0.1"),
        ("max_tokens", "7"),
        ("stop", "\"x\""),
        ("safety_settings", "[]"),
        ("service_tier", "\"default\""),
        ("metadata", "{}"),
    ]);
    let overrides = parameters(&[("top_p", "0.5")]);
    let drop = ["seed".into(), "labels".into()];
    let options = options(&defaults, &overrides, &drop);
    assert_eq!(
        sent(
            r#"{"contents":[],"labels":{},"generation_config":{"max_output_tokens":9,"topP":1,"seed":3}}"#,
            &options,
            false
        ),
        concat!(
            r#"{"contents":[],"generation_config":{"max_output_tokens":9,"topP":0.5,"#,
            r#""temperature":0.1,"stopSequences":["x"]},"safetySettings":[],"serviceTier":"standard"}"#
        )
    );
    assert_eq!(
        sent(r#"{"contents":[]}"#, &options, true),
        r#"{"contents":[]}"#,
        "counting knows none"
    );
    assert_eq!(
        sent(r#"{"generateContentRequest":{"model":"models/public"}}"#, &options, true),
        r#"{"generateContentRequest":{"model":"models/gemini-3-flash"}}"#
    );
}

#[test]
fn every_parameter_of_the_deployment_is_translated() {
    let none = Vec::new();
    let schema = r#"{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object"}}}"#;
    let defaults = parameters(&[
        ("reasoning_effort", "\"low\""),
        ("logprobs", "true"),
        ("top_logprobs", "3"),
        ("response_format", schema),
        ("modalities", r#"["text","image"]"#),
        ("audio", r#"{"voice":"Kore"}"#),
        ("media_resolution", "\"LOW\""),
    ]);
    let of = |body: &str, options: &RequestOptions<'_>| -> serde_json::Value {
        let sent: serde_json::Value = serde_json::from_str(&sent(body, options, false)).unwrap();
        sent["generationConfig"].clone()
    };
    let expected = serde_json::json!({
        "thinkingConfig": {"thinkingLevel": "LOW", "includeThoughts": true},
        "responseLogprobs": true, "logprobs": 3, "responseMimeType": "application/json",
        "responseJsonSchema": {"type": "object"}, "responseModalities": ["TEXT", "IMAGE"],
        "speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}},
        "mediaResolution": "LOW",
    });
    assert_eq!(of(r#"{"contents":[]}"#, &options(&defaults, &none, &[])), expected);
    // Who says something of the form of the answer says all of it; a fallback has the last word.
    let asked = r#"{"contents":[],"generationConfig":{"responseMimeType":"text/x.enum","responseSchema":{},"thinkingConfig":{"thinkingBudget":1}}}"#;
    let own = of(asked, &options(&defaults, &none, &[]));
    assert_eq!(own["responseMimeType"], "text/x.enum");
    assert_eq!(own.get("responseJsonSchema"), None);
    assert_eq!(own["thinkingConfig"], serde_json::json!({"thinkingBudget": 1}));
    let replaced = of(asked, &options(&none, &defaults, &[]));
    assert_eq!(replaced, expected);
    let drop = ["response_format", "thinking", "logprobs", "modalities", "audio"].map(Box::from);
    let left = of(asked, &options(&defaults, &none, &drop));
    assert_eq!(left, serde_json::json!({"mediaResolution": "LOW"}));
    let wrong = parameters(&[("reasoning_effort", "\"enormous\"")]);
    let body = Object::parse(Bytes::from_static(b"{}")).unwrap();
    let refused = request(&body, &options(&wrong, &none, &[])).unwrap_err();
    assert_eq!(refused.param.as_deref(), Some("reasoning_effort"));
}

#[test]
fn a_reply_is_passed_on_and_read() {
    let body = Bytes::from_static(
        br#"{"candidates":[{"new":1}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2,"thoughtsTokenCount":4,"totalTokenCount":9},"modelVersion":"g"}"#,
    );
    let seen = reply(body.clone(), Endpoint::Chat).unwrap();
    assert_eq!(seen.body, body);
    let usage = seen.usage.unwrap();
    assert_eq!((usage.input_tokens, usage.output_tokens), (3, 6));
    assert_eq!(seen.model.as_deref(), Some("g"));
    for wrong in [
        "<html>",
        "{}",
        r#"{"error":{"code":503,"message":"The model is overloaded","status":"UNAVAILABLE"}}"#,
    ] {
        assert!(reply(Bytes::from_static(wrong.as_bytes()), Endpoint::Chat).is_err(), "{wrong}");
    }
}

const STREAM: &str = concat!(
    "data: {\"candidates\":[{\"index\":0,\"content\":{\"parts\":[{\"text\":\"Gr\u{fc}\"}]}}],\"new\":[1.50],",
    "\"usageMetadata\":{\"promptTokenCount\":3,\"totalTokenCount\":3}}\r\n\r\n",
    "data: {\"candidates\":[{\"index\":0,\"content\":{\"parts\":[{\"newPart\":{}}]},\"finishReason\":\"STOP\"}],",
    "\"usageMetadata\":{\"promptTokenCount\":3,\"candidatesTokenCount\":5,\"totalTokenCount\":8}}\r\n\r\n",
);

fn read(pieces: &[&str]) -> (String, Vec<Failure>, Ending, Option<Usage>) {
    let mut stream = NativeStream::default();
    let (mut out, mut failures) = (Vec::new(), Vec::new());
    for piece in pieces {
        let progress = stream.push(Bytes::copy_from_slice(piece.as_bytes()), &mut out);
        failures.extend(progress.failure);
    }
    let ending = stream.finish(&mut out);
    (String::from_utf8(out.concat()).unwrap(), failures, ending, stream.usage())
}

#[test]
fn a_stream_passes_byte_for_byte_wherever_it_is_cut() {
    for cut in (0..=STREAM.len()).filter(|cut| STREAM.is_char_boundary(*cut)) {
        let (first, second) = STREAM.split_at(cut);
        let (seen, failures, ending, usage) = read(&[first, second]);
        assert_eq!((seen.as_str(), ending), (STREAM, Ending::Complete), "cut at {cut}");
        assert!(failures.is_empty());
        assert_eq!(usage.unwrap().output_tokens, 5);
    }
}

#[test]
fn a_stream_without_its_end_is_cut_and_errors_are_seen() {
    let first = STREAM.get(..STREAM.find("\r\n\r\n").unwrap() + 4).unwrap();
    let (_, _, ending, usage) = read(&[first]);
    assert_eq!(ending, Ending::Cut);
    let usage = usage.unwrap();
    assert_eq!((usage.output_tokens, usage.estimated), (1, true), "said, but not counted yet");
    assert_eq!(read(&[""]).2, Ending::Cut);
    let error = r#"{"error":{"code":503,"message":"overloaded","status":"UNAVAILABLE"}}"#;
    for end in [format!("data: {error}\r\n\r\n"), format!("{error}\r\n\r\n"), error.to_owned()] {
        let (seen, failures, ending, _) = read(&[first, &end]);
        assert_eq!(seen, first, "{end}");
        assert_eq!(failures.len(), 1, "{end}");
        assert_eq!(failures[0].class, crate::failure::FailureClass::Overloaded);
        assert_eq!(ending, Ending::Cut);
    }
}

#[test]
fn a_refused_prompt_is_a_whole_stream() {
    let refused = "data: {\"promptFeedback\":{\"blockReason\":\"SAFETY\"}}\n\n";
    let (seen, failures, ending, _) = read(&[refused]);
    assert_eq!((seen.as_str(), failures.len(), ending), (refused, 0, Ending::Complete));
}
