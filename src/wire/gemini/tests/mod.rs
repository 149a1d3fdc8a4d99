//! What the translation must do, row by row; the cases of `tests/golden` are run with those of the
//! other providers.

mod replies;
mod requests;
mod settings;
mod streams;

use bytes::Bytes;
use serde_json::Value;

use super::request;
use crate::dialect::Endpoint;
use crate::failure::{Failure, FailureClass};
use crate::wire::RequestOptions;
use crate::wire::json::Object;

const CREATED: u64 = 1_795_262_400;

/// Options for a model, with everything else at rest.
fn options(model: &str) -> RequestOptions<'_> {
    RequestOptions::plain(Endpoint::Chat, model)
}

fn try_send(body: &Value, options: &RequestOptions<'_>) -> Result<Bytes, Failure> {
    let bytes = serde_json::to_vec(body).unwrap();
    request(&Object::parse(Bytes::from(bytes)).unwrap(), options)
}

/// The body that a provider gets.
fn send_with(body: &Value, options: &RequestOptions<'_>) -> Value {
    serde_json::from_slice(&try_send(body, options).unwrap()).unwrap()
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
