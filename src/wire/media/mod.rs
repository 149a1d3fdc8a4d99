//! Replies that are no text in tokens: images, sound, transcripts, orders of documents, verdicts.
//!
//! All of them are passed on as they came. What is read from them is what they used; where they do
//! not say, it is counted in the request or the reply, or estimated, which the usage tells.

mod events;
mod usage;

use bytes::Bytes;

pub use self::events::{ByteStream, MediaEvents};
pub use self::usage::estimate;
use super::Reply;
use super::json::{Object, elements};
use crate::dialect::{Endpoint, Quirks};
use crate::failure::{Failure, FailureClass};
use crate::usage::{Units, Usage};

/// Reads a whole reply in OpenAI's format that is known to be no error.
///
/// # Errors
/// It has nothing in it that answers the request.
pub fn reply(object: &Object, api: Endpoint) -> Result<Reply, Failure> {
    let list = match api {
        Endpoint::ImageGenerations | Endpoint::ImageEdits | Endpoint::ImageVariations => "data",
        Endpoint::Moderations | Endpoint::Rerank => "results",
        _ => "",
    };
    if !list.is_empty() && !object.raw_bytes(list).is_some_and(|raw| raw.starts_with(b"[")) {
        let message = format!("the provider's reply has no `{list}`");
        return Err(Failure::new(FailureClass::Server, message));
    }
    Ok(Reply {
        usage: usage::of(object, api),
        model: object.str("model").map(|model| model.into()),
        body: object.bytes().clone(),
    })
}

/// Reads a whole reply that is not JSON: a transcript as text or as subtitles.
///
/// # Errors
/// It is a page for people: something between here and the provider answered.
pub fn plain(body: Bytes, content_type: &str, api: Endpoint) -> Result<Reply, Failure> {
    if content_type.starts_with("text/html") && !api.is_stored() {
        let message = "the provider sent an HTML page in a reply of status 200";
        return Err(Failure::new(FailureClass::Server, message));
    }
    Ok(Reply { usage: usage::of_text(&body, api), model: None, body })
}

#[cfg(test)]
mod tests;
