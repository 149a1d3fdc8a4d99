use serde_json::{Value, json};

use super::estimate as usage_of;
use super::*;
use crate::wire::{Ending, StreamRelay};

fn usage(api: Endpoint, body: Value) -> Option<Usage> {
    let object = Object::parse(body.to_string().into()).unwrap();
    reply(&object, api).unwrap().usage
}

fn units(units: Units) -> Usage {
    Usage { units, ..Usage::default() }
}

#[test]
fn usage_is_read_from_every_kind_of_reply() {
    let images = json!({"created": 1, "data": [{"b64_json": "AA"}, {"b64_json": "AA"}], "usage": {
        "total_tokens": 120, "input_tokens": 20, "output_tokens": 100,
        "input_tokens_details": {"text_tokens": 5, "image_tokens": 15}}});
    let expected = Usage {
        input_tokens: 20,
        output_tokens: 100,
        image_input_tokens: 15,
        ..units(Units { images: 2, image_output_tokens: 100, ..Units::default() })
    };
    assert_eq!(usage(Endpoint::ImageGenerations, images), Some(expected));

    let tokens = json!({"text": "hi", "usage": {"type": "tokens", "input_tokens": 14,
        "input_token_details": {"text_tokens": 4, "audio_tokens": 10}, "output_tokens": 45,
        "total_tokens": 59}, "duration": 9.5});
    let expected =
        Usage { input_tokens: 14, output_tokens: 45, audio_input_tokens: 10, ..Usage::default() };
    assert_eq!(usage(Endpoint::Transcriptions, tokens), Some(expected));
    for body in [
        json!({"text": "hi", "usage": {"type": "duration", "seconds": 9.5}}),
        json!({"text": "hi", "duration": 9.5}),
        json!({"text": "hi", "duration": "9.5"}),
    ] {
        let expected = units(Units { audio_ms: 9_500, ..Units::default() });
        assert_eq!(usage(Endpoint::Transcriptions, body), Some(expected));
    }
    assert_eq!(usage(Endpoint::Translations, json!({"text": "hi"})), None);

    // A batch that is done says so each time that it is looked at.
    let batch = json!({"id": "batch_1", "status": "completed", "usage": {"input_tokens": 1000,
        "output_tokens": 2000, "total_tokens": 3000}});
    assert_eq!(usage(Endpoint::Batches, batch), Some(Usage::default()));

    let billed = json!({"results": [], "meta": {"billed_units": {"search_units": 2}}});
    let expected = units(Units { searches: 2, ..Units::default() });
    assert_eq!(usage(Endpoint::Rerank, billed), Some(expected));
    let counted = json!({"results": [], "usage": {"total_tokens": 815}});
    let expected = Usage { input_tokens: 815, ..Usage::default() };
    assert_eq!(usage(Endpoint::Rerank, counted), Some(expected));
    assert_eq!(usage(Endpoint::Moderations, json!({"results": []})), Some(Usage::default()));
}

#[test]
fn a_reply_without_its_list_is_none() {
    for (api, body) in [
        (Endpoint::ImageEdits, "{}"),
        (Endpoint::Rerank, r#"{"data":[]}"#),
        (Endpoint::Moderations, r#"{"results":null}"#),
    ] {
        let object = Object::parse(Bytes::from_static(body.as_bytes())).unwrap();
        assert_eq!(reply(&object, api).unwrap_err().class, FailureClass::Server, "{body}");
    }
}

#[test]
fn subtitles_tell_how_long_the_sound_was() {
    for (text, audio_ms) in [
        (
            "1\n00:00:00,000 --> 00:00:03,360\nHi\n\n2\n00:00:03,360 --> 01:02:03,004\nHo\n",
            3_723_004,
        ),
        ("WEBVTT\n\n00:00.000 --> 00:59.500 align:start\nHi\n", 59_500),
    ] {
        let reply =
            plain(Bytes::from_static(text.as_bytes()), "text/vtt", Endpoint::Transcriptions);
        let usage = reply.unwrap().usage.unwrap();
        assert_eq!((usage.units.audio_ms, usage.estimated), (audio_ms, true), "{text}");
    }
    for text in ["a --> b", "-->", "just words", "--> 99999999999999999999:00,000", "--> 1:2,5000"]
    {
        let reply =
            plain(Bytes::from_static(text.as_bytes()), "text/plain", Endpoint::Transcriptions);
        assert_eq!(reply.unwrap().usage, None, "{text}");
    }
    let page = plain(Bytes::from_static(b"<html>"), "text/html", Endpoint::Transcriptions);
    assert_eq!(page.unwrap_err().class, FailureClass::Server);
}

#[test]
fn what_nobody_counted_is_estimated() {
    let estimate = |api, request: Value| {
        usage_of(api, &Object::parse(request.to_string().into()).unwrap(), 400)
    };
    let spoken = estimate(Endpoint::Speech, json!({"input": "sch\u{f6}n"}));
    assert_eq!((spoken.units.characters, spoken.estimated), (5, true));
    let drawn = estimate(Endpoint::ImageGenerations, json!({"prompt": "a cat on a mat"}));
    assert_eq!((drawn.input_tokens, drawn.estimated), (4, true));
    let documents: Vec<_> = (0..101).map(|n| n.to_string()).collect();
    let ranked = estimate(Endpoint::Rerank, json!({"query": "q", "documents": documents}));
    assert_eq!(ranked.units.searches, 2);
    let heard = estimate(Endpoint::Transcriptions, json!({}));
    assert_eq!((heard.output_tokens, heard.units.audio_ms, heard.estimated), (100, 26_666, true));
}

const IMAGES: &str = "event: image_generation.partial_image\ndata: {\"type\":\"image_generation.partial_image\",\"b64_json\":\"AA\"}\n\n\
    event: image_generation.completed\ndata: {\"type\":\"image_generation.completed\",\"b64_json\":\"AA\",\"usage\":{\"input_tokens\":5,\"output_tokens\":7,\"total_tokens\":12}}\n\n";

#[test]
fn events_pass_as_they_are_wherever_they_are_cut() {
    for cut in 0..=IMAGES.len() {
        let mut relay = StreamRelay::media(Endpoint::ImageGenerations, true);
        let mut out = Vec::new();
        let (one, two) = IMAGES.as_bytes().split_at(cut);
        for part in [one, two] {
            assert_eq!(relay.push(Bytes::copy_from_slice(part), &mut out).failure, None);
        }
        assert_eq!(relay.finish(&mut out), Ending::Complete);
        assert_eq!(out.concat(), IMAGES.as_bytes(), "{cut}");
        let usage = relay.usage().unwrap();
        assert_eq!((usage.total_tokens(), usage.units.images), (12, 1));
        assert_eq!(usage.units.image_output_tokens, 7);
    }
}

#[test]
fn a_stream_of_events_that_breaks_is_noticed() {
    for (events, complete) in [
        ("data: {\"type\":\"transcript.text.delta\",\"delta\":\"a\"}\n\n", false),
        ("data: {\"type\":\"transcript.text.done\",\"text\":\"a\"}\n\n", true),
        ("data: {\"type\":\"transcript.text.done\",\"text\":\"a\"}", true),
        ("data: {\"type\":\"speech.audio.delta\",\"audio\":\"AA", false),
        ("data: {\"type\":\"transcript.text.delta\"}\n\ndata: [DONE]\n\n", true),
        ("", false),
    ] {
        let mut relay = StreamRelay::media(Endpoint::Transcriptions, true);
        let mut out = Vec::new();
        relay.push(Bytes::from_static(events.as_bytes()), &mut out);
        let ending = if complete { Ending::Complete } else { Ending::Cut };
        assert_eq!(relay.finish(&mut out), ending, "{events}");
    }
    let mut relay = StreamRelay::media(Endpoint::Speech, true);
    let error =
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"message\":\"m\",\"code\":\"c\"}}\n\n";
    let mut out = Vec::new();
    let failure = relay.push(Bytes::from_static(error.as_bytes()), &mut out).failure.unwrap();
    assert_eq!((failure.message.as_str(), failure.code.as_deref()), ("m", Some("c")));
    assert!(out.is_empty());
}

#[test]
fn bytes_are_bytes() {
    let mut relay = StreamRelay::media(Endpoint::Speech, false);
    let mut out = Vec::new();
    let sound = Bytes::from_static(b"data: {\"error\":1}\n\n");
    assert!(relay.push(sound.clone(), &mut out).meaningful);
    assert_eq!(out[0].as_ptr(), sound.as_ptr());
    assert_eq!(relay.finish(&mut out), Ending::Complete);
    assert!(relay.may_be_empty());
}
