//! Which fields of its own messages a provider wants to see again.

use super::call::Reading;
use crate::catalog::Deployment;
use crate::dialect::{Dialect, Endpoint};
use crate::recall::Fields;

/// The fields that a deployment's replies come with, and that it looks for in a history.
#[must_use]
pub fn replayed(deployment: &Deployment) -> Fields {
    let none = Fields::default();
    match deployment.dialect {
        Dialect::Gemini => Fields { extra_content: true, ..none },
        // Claude's; other models of Bedrock's have no signatures, and nothing of theirs is kept.
        Dialect::Anthropic | Dialect::Bedrock => Fields { thinking_blocks: true, ..none },
        _ => Fields { reasoning_content: deployment.quirks.replays_reasoning, ..none },
    }
}

/// The fields that only the deployment itself can read when it sees them again: what a Responses API
/// sealed for a client that speaks chat. Another account's is refused. Whether that API is called
/// is known once a request is written.
#[must_use]
pub fn sealed(reading: Reading) -> Fields {
    let is_bridged = reading.api == Endpoint::Responses && reading.native.is_none();
    Fields { reasoning_items: is_bridged, ..Fields::default() }
}
