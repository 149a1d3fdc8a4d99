//! What the translation must do, row by row; the cases of `tests/golden` are in `golden.rs`.

mod golden;
mod replies;
mod requests;
mod settings;
mod streams;

use bytes::Bytes;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Outgoing, StreamTranslator, VERSION, request};
use crate::dialect::{Endpoint, Quirks};
use crate::failure::{Failure, FailureClass};
use crate::wire::json::Object;
use crate::wire::{Ending, RequestOptions, StreamOptions, Translate};

const CREATED: u64 = 1_795_262_400;

/// Options for a model, with everything else at rest.
fn options(model: &str) -> RequestOptions<'_> {
    RequestOptions::plain(Endpoint::Chat, model)
}

fn try_send(body: &Value, options: &RequestOptions<'_>) -> Result<Outgoing, Failure> {
    let bytes = serde_json::to_vec(body).unwrap();
    request(&Object::parse(Bytes::from(bytes)).unwrap(), options, VERSION)
}

/// The body that a provider gets.
fn send_with(body: &Value, options: &RequestOptions<'_>) -> Value {
    serde_json::from_slice(&try_send(body, options).unwrap().body).unwrap()
}

fn send(model: &str, body: &Value) -> Value {
    send_with(body, &options(model))
}

/// The refusal of a request: the parameter and the message.
fn refusal(model: &str, body: &Value) -> (String, String) {
    let failure = try_send(body, &options(model)).unwrap_err();
    assert_eq!(failure.class, FailureClass::BadRequest);
    assert_eq!(failure.kind.as_deref(), Some("invalid_request_error"));
    (failure.param.unwrap().into(), failure.message)
}

fn params(list: &[(&str, &str)]) -> Vec<(Box<str>, Box<RawValue>)> {
    let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
    list.iter().map(|(name, value)| (Box::from(*name), raw(value))).collect()
}

/// Everything that a stream brought.
#[derive(Debug, PartialEq)]
struct Told {
    frames: String,
    meaningful: bool,
    failure: Option<Failure>,
    ending: Ending,
    usage: Option<crate::usage::Usage>,
    text_bytes: u64,
}

fn translate<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, show_usage: bool) -> Told {
    let options = StreamOptions { show_usage, created: CREATED, quirks: Quirks::default() };
    let mut translator = StreamTranslator::new(options);
    let (mut out, mut meaningful, mut failure) = (Vec::new(), false, None);
    for piece in pieces {
        let progress = translator.push(Bytes::copy_from_slice(piece), &mut out);
        meaningful |= progress.meaningful;
        failure = failure.or(progress.failure);
    }
    let ending = translator.finish(&mut out);
    let frames = String::from_utf8(out.concat()).unwrap();
    Told {
        frames,
        meaningful,
        failure,
        ending,
        usage: translator.usage(),
        text_bytes: translator.text_bytes(),
    }
}

/// The chunks of a stream, `[DONE]` as a string.
fn chunks(frames: &str) -> Vec<Value> {
    let data = frames.split("\n\n").filter(|frame| !frame.is_empty());
    let data = data.map(|frame| frame.strip_prefix("data: ").unwrap());
    data.map(|text| serde_json::from_str(text).unwrap_or_else(|_| text.into())).collect()
}

/// The deltas of a stream, and the finish reasons.
fn deltas(frames: &str) -> Vec<Value> {
    let choices =
        chunks(frames).into_iter().filter_map(|chunk| chunk.get("choices")?.get(0).cloned());
    choices
        .map(|choice| match choice["finish_reason"].as_str() {
            Some(reason) => reason.into(),
            None => choice["delta"].clone(),
        })
        .collect()
}

/// One event, with its name.
fn event(data: &Value) -> String {
    format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap())
}
