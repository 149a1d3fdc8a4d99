//! Which fields of its own messages a provider wants to see again.

use crate::catalog::Deployment;
use crate::dialect::Dialect;
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
