//! How many tokens a prompt has, before anybody has been asked.
//!
//! ```text
//! Prompt (prompt.rs)     what of a body is text, and what the rest comes to by rule
//!  |- text, counted      (encoding.rs) with the tables of OpenAI's own models
//!  '- text, estimated    (estimate.rs) everywhere else, within 30 %
//! ```
//!
//! Encoded media is never taken for text: a picture of a megabyte is no prompt of a million tokens.
//! Pure: knows no clock and starts no thread. Reading a table takes some 100 ms and 26 MB, once, and
//! only where something asks for it; [`Encoding::is_ready`] tells whether that is still to come, so
//! that the caller can do it beside the requests.

mod encoding;
mod estimate;
mod prompt;
mod texts;

#[cfg(test)]
mod tests;

pub use encoding::Encoding;
pub use prompt::Prompt;
pub use texts::{as_texts, has_tokens};

use crate::dialect::Endpoint;
use crate::wire::json::Object;

/// The tokens of a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    pub tokens: u64,
    /// Counted as the provider counts. Otherwise the text was estimated, or something of it goes by
    /// rule: images, audio, files and the definitions of tools.
    pub exact: bool,
}

/// Text up to here is counted at once: at the worst it takes 3 ms, usually a tenth of one.
pub const INLINE_TEXT_BYTES: usize = 16 * 1024;

/// Text beyond this is not looked at, but taken to be like the text before it. It bounds what a
/// hostile prompt costs: the tables are slow on a single word of this length (some 100 ms).
pub const COUNTED_TEXT_BYTES: usize = 256 * 1024;

/// Counts the prompt with the table of `model` if there is one, else as [`estimate`] does. Reads the
/// table first if it is not ready.
#[must_use]
pub fn count(body: &Object, endpoint: Endpoint, model: &str) -> Counted {
    Prompt::read(body, endpoint).count(Encoding::of(model))
}

/// About how many tokens the prompt has, for any model: no table is needed. The error is stated in
/// `estimate.rs` and held to by a test.
#[must_use]
pub fn estimate(body: &Object, endpoint: Endpoint) -> Counted {
    Prompt::read(body, endpoint).count(None)
}
