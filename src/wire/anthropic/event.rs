//! The events of a Messages stream, as far as they are read.

use std::borrow::Cow;

use serde::Deserialize;

use super::content::Raw;
use super::error::{garbage, within};
use super::reply::StopDetails;
use super::usage::Written;
use crate::failure::Failure;
use crate::wire::fields::Text;

/// The events that are read; `ping` and what the API may add are not.
const EVENTS: [&[u8]; 7] = [
    b"content_block_delta",
    b"content_block_start",
    b"content_block_stop",
    b"message_start",
    b"message_delta",
    b"message_stop",
    b"error",
];

/// What kind of event it is; `None`: nothing that needs to be read.
///
/// Anthropic names its events. Vendors that copy the API leave the name out or give all events one
/// name, and some end as OpenAI does; the data has the type too.
pub(super) fn event_kind<'a>(
    name: Option<&'a [u8]>,
    data: &'a [u8],
) -> Result<Option<Cow<'a, [u8]>>, Failure> {
    match name {
        Some(name) if EVENTS.contains(&name) => return Ok(Some(Cow::Borrowed(name))),
        None if data.is_empty() || data == b"[DONE]" => return Ok(None),
        _ => {}
    }
    match parse::<Kind<'_>>(data) {
        Ok(Kind { kind: Some(Text(Cow::Borrowed(kind))), .. }) => {
            Ok(Some(Cow::Borrowed(kind.as_bytes())))
        }
        Ok(Kind { kind: Some(Text(Cow::Owned(kind))), .. }) => {
            Ok(Some(Cow::Owned(kind.into_bytes())))
        }
        Ok(Kind { kind: None, error: Some(_) }) => Ok(Some(Cow::Borrowed(b"error"))),
        Ok(_) => Ok(None),
        Err(failure) if name.is_none() => Err(failure),
        Err(_) => Ok(None),
    }
}

pub(super) fn parse<'a, T: Deserialize<'a>>(data: &'a [u8]) -> Result<T, Failure> {
    serde_json::from_slice(data).map_err(|_| {
        within(data).unwrap_or_else(|| garbage("the provider sent an event that cannot be read"))
    })
}

#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    error: Option<Raw<'a>>,
}

#[derive(Deserialize)]
pub(super) struct MessageStart<'a> {
    #[serde(borrow)]
    pub(super) message: Message<'a>,
}

#[derive(Deserialize)]
pub(super) struct Message<'a> {
    #[serde(borrow)]
    pub(super) id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) model: Option<Text<'a>>,
    pub(super) usage: Option<Written>,
}

#[derive(Deserialize)]
pub(super) struct BlockStart<'a> {
    pub(super) index: u64,
    #[serde(borrow)]
    pub(super) content_block: Raw<'a>,
}

#[derive(Deserialize)]
pub(super) struct BlockStop {
    pub(super) index: u64,
}

#[derive(Deserialize)]
pub(super) struct BlockDelta<'a> {
    pub(super) index: u64,
    #[serde(borrow)]
    pub(super) delta: DeltaFields<'a>,
}

#[derive(Deserialize)]
pub(super) struct DeltaFields<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Text<'a>,
    #[serde(borrow)]
    pub(super) text: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) partial_json: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) thinking: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) signature: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) citation: Option<Raw<'a>>,
}

#[derive(Deserialize)]
pub(super) struct MessageDelta<'a> {
    #[serde(borrow)]
    pub(super) delta: Stop<'a>,
    pub(super) usage: Option<Written>,
}

#[derive(Deserialize)]
pub(super) struct Stop<'a> {
    #[serde(borrow)]
    pub(super) stop_reason: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) stop_sequence: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) stop_details: Option<StopDetails<'a>>,
}
