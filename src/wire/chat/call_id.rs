//! Ids of tool calls that are too long for OpenAI.
//!
//! Some providers put more into an id than a name. The same long id becomes the same short one, so
//! that a call and its result, in this request and in all later ones, still belong together.

use std::borrow::Cow;

/// The longest id of a call that OpenAI takes.
pub const MAX_CALL_ID: usize = 64;

/// An id that OpenAI takes.
#[must_use]
pub fn short_call_id(id: &str) -> Cow<'_, str> {
    if id.len() <= MAX_CALL_ID {
        return Cow::Borrowed(id);
    }
    // FNV-1a with 128 bits.
    let sum = id.bytes().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128, |sum, byte| {
        (sum ^ u128::from(byte)).wrapping_mul(0x0100_0000_0000_0000_0000_013b)
    });
    Cow::Owned(format!("call_{sum:032x}"))
}
