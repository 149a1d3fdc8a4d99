//! The formats as they meet: bodies and events of both sides.

mod client;
mod golden;
mod native;
mod request;
mod stream;

use bytes::Bytes;
use serde_json::Value;

use crate::dialect::Endpoint;
use crate::failure::Failure;
use crate::wire::RequestOptions;
use crate::wire::json::Object;

pub(super) fn object(json: &Value) -> Object {
    Object::parse(Bytes::from(json.to_string())).unwrap()
}

pub(super) fn options(model: &'static str) -> RequestOptions<'static> {
    RequestOptions::plain(Endpoint::Chat, model)
}

/// What failed, as `param code`.
pub(super) fn blamed(failure: &Failure) -> String {
    let text = |text: &Option<Box<str>>| text.clone().unwrap_or_default();
    format!("{} {}", text(&failure.param), text(&failure.code))
}

/// The events of a stream: their names and what they hold.
pub(super) fn events(stream: &[u8]) -> Vec<(String, Value)> {
    let text = std::str::from_utf8(stream).unwrap();
    let event = |event: &str| {
        let (name, data) = event.split_once('\n')?;
        let data = serde_json::from_str(data.strip_prefix("data: ")?).unwrap();
        Some((name.strip_prefix("event: ")?.to_owned(), data))
    };
    text.split("\n\n").filter_map(event).collect()
}
