//! What another provider wants to see again, in a block that Anthropic's clients replay unread.
//!
//! `{"type": "redacted_thinking", "data": "tollgate.<base64 of JSON>"}` stands before the tool call
//! that it belongs to. Anthropic itself never sees one: see `native`.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Starts the data of such a block. Anthropic's own data is base64, which has no full stop.
pub(in crate::wire::anthropic) const MARK: &str = "tollgate.";

/// What is sealed.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(super) struct Sealed<'a> {
    /// `extra_content` of the tool call that follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) extra_content: Option<Cow<'a, RawValue>>,
    /// `reasoning_items` of the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reasoning_items: Option<Vec<Cow<'a, RawValue>>>,
}

impl Sealed<'_> {
    /// The data of the block.
    pub(super) fn data(&self) -> String {
        let json = serde_json::to_vec(self).unwrap_or_default();
        let mut data = String::with_capacity(MARK.len() + json.len() * 4 / 3 + 3);
        data.push_str(MARK);
        URL_SAFE_NO_PAD.encode_string(json, &mut data);
        data
    }

    /// Reads the data of a block; `None` if it is none of ours.
    pub(super) fn read(data: &str) -> Option<Sealed<'static>> {
        let json = URL_SAFE_NO_PAD.decode(data.strip_prefix(MARK)?).ok()?;
        #[derive(Deserialize)]
        struct Owned {
            extra_content: Option<Box<RawValue>>,
            reasoning_items: Option<Vec<Box<RawValue>>>,
        }
        let owned: Owned = serde_json::from_slice(&json).ok()?;
        Some(Sealed {
            extra_content: owned.extra_content.map(Cow::Owned),
            reasoning_items: owned
                .reasoning_items
                .map(|items| items.into_iter().map(Cow::Owned).collect()),
        })
    }
}
