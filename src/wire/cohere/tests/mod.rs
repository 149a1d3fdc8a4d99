mod embeddings;
mod replies;
mod requests;
mod streams;

use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::dialect::Endpoint;
use crate::failure::Failure;
use crate::wire::RequestOptions;
use crate::wire::json::Object;

fn options(model: &str) -> RequestOptions<'_> {
    RequestOptions::plain(Endpoint::Chat, model)
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

fn told(body: &Value) -> Result<(Value, crate::wire::Reply), Failure> {
    let reply = reply(Bytes::from(body.to_string()), "command-a", 7)?;
    Ok((serde_json::from_slice(&reply.body).unwrap(), reply))
}
