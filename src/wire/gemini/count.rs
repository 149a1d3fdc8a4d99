//! Counting tokens: `countTokens`, told as OpenAI's `response.input_tokens`.

use serde::{Deserialize, Serialize};

use super::error::{garbage, within};
use crate::failure::Failure;
use crate::wire::Reply;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Counted {
    total_tokens: u64,
}

#[derive(Serialize)]
struct Told {
    object: &'static str,
    input_tokens: u64,
}

/// Turns a count.
///
/// # Errors
/// The body is an error, or has no count.
pub(super) fn reply(body: &[u8]) -> Result<Reply, Failure> {
    let unreadable = || garbage("the provider's reply has no count of tokens");
    let counted: Counted =
        serde_json::from_slice(body).map_err(|_| within(body).unwrap_or_else(unreadable))?;
    let told = Told { object: "response.input_tokens", input_tokens: counted.total_tokens };
    let body = serde_json::to_vec(&told).map_err(|_| unreadable())?;
    Ok(Reply { body: body.into(), usage: Some(crate::usage::Usage::default()), model: None })
}
