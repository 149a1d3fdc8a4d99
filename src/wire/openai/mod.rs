//! OpenAI's formats (chat completions, completions, embeddings) and those of its many imitators.
//!
//! The client speaks this format too, so the rule is to change as little as possible: a request is
//! edited field by field, a reply is passed as it came unless a quirk of the provider says
//! otherwise, and a stream is scanned, not parsed. `messages` and `normalise` hold the quirks.

mod azure;
mod chunk;
mod error;
mod foreign;
mod likeness;
mod mentions;
mod messages;
mod mistral;
mod normalise;
mod params;
mod reasoning;
mod reply;
mod request;
mod stream;
mod tool_calls;
mod usage;

pub use azure::Azure;
pub use chunk::Chunk;
pub use error::ErrorBody;
pub use normalise::Normalise;
pub(super) use params::changes as param_changes;
pub use reply::reply;
pub(super) use request::drop_path;
pub use request::request;
pub use stream::{AsSent, ChatStream, Rewrite, Verdict};
pub(super) use usage::read as read_usage;
