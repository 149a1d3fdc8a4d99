//! Anthropic's clients at Anthropic's own API: requests are edited in place, replies and streams are
//! passed on as they come, and only looked at for usage, errors, content and the end.
//!
//! Fields, events and types of blocks that nobody here knows survive.

mod added;
mod request;
mod stream;
mod thoughts;

use bytes::Bytes;
use serde::Deserialize;

use super::PROVIDER;
use super::content::Raw;
use super::error::{garbage, within};
use super::usage::{Tally, Written};
use crate::failure::Failure;
use crate::wire::Reply;
use crate::wire::fields::Text;

pub use request::{NativeRequest, request};
pub use stream::NativeStream;

/// A whole reply: the bytes as they came, and what it used.
///
/// # Errors
/// It is an error, or no message.
pub fn reply(body: Bytes) -> Result<Reply, Failure> {
    #[derive(Deserialize)]
    struct Message<'a> {
        #[serde(borrow)]
        #[expect(dead_code, reason = "a message has content")]
        content: Raw<'a>,
        #[serde(borrow, default)]
        model: Option<Text<'a>>,
        #[serde(default)]
        usage: Option<Written>,
    }

    let (usage, model) = match serde_json::from_slice::<Message<'_>>(&body) {
        Ok(message) => {
            let mut tally = Tally::new();
            if let Some(usage) = &message.usage {
                tally.update(usage);
            }
            (tally.usage(), message.model.map(|model| model.0.into()))
        }
        Err(_) => {
            let unreadable = || garbage(format!("the reply of {PROVIDER} is not a message"));
            return Err(within(&body).unwrap_or_else(unreadable));
        }
    };
    Ok(Reply { body, usage, model })
}

/// The answer to `count_tokens`, as it came.
///
/// # Errors
/// It is an error, or no count.
pub fn count(body: &Bytes) -> Result<u64, Failure> {
    #[derive(Deserialize)]
    struct Count {
        input_tokens: u64,
    }
    serde_json::from_slice::<Count>(body)
        .map(|count| count.input_tokens)
        .map_err(|_| within(body).unwrap_or_else(|| garbage("the provider's reply is no count")))
}

#[cfg(test)]
mod tests;
