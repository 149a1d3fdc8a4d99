//! Chunks of a stream, as they are read by those who write them in another dialect.

use serde::Deserialize;

use super::{ExtraContent, Raw, loose};
use crate::wire::fields::Text;

/// What a client is told of a chunk that cannot be read: it might be a call, or the end, and what
/// follows would be half a reply.
pub const UNREADABLE: &str = "The provider sent a chunk that cannot be read.";

/// One chunk.
#[derive(Debug, Default, Deserialize)]
pub struct Piece<'a> {
    #[serde(borrow, default)]
    pub id: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub model: Option<Text<'a>>,
    /// The tier that served it.
    #[serde(borrow, default)]
    pub service_tier: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "loose::list")]
    pub choices: Vec<PieceChoice<'a>>,
    /// For [`super::read_usage`].
    #[serde(borrow, default)]
    pub usage: Option<Raw<'a>>,
}

impl<'a> Piece<'a> {
    /// Reads the data of one event.
    ///
    /// # Errors
    /// It is no chunk.
    pub fn read(data: &'a [u8]) -> serde_json::Result<Self> {
        let mut piece: Self = serde_json::from_slice(data)?;
        for delta in piece.choices.iter_mut().filter_map(|choice| choice.delta.as_mut()) {
            if delta.reasoning_content.as_deref().is_none_or(str::is_empty)
                && let Some(other) = delta.reasoning.take()
            {
                delta.reasoning_content = Some(other);
            }
        }
        Ok(piece)
    }
}

#[derive(Debug, Default, Deserialize)]
pub struct PieceChoice<'a> {
    #[serde(default)]
    pub index: u32,
    #[serde(borrow, default)]
    pub delta: Option<PieceDelta<'a>>,
    #[serde(borrow, default)]
    pub finish_reason: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "loose::named")]
    pub native_finish_reason: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "loose::named")]
    pub stop_sequence: Option<Text<'a>>,
    /// As OpenAI writes them.
    #[serde(borrow, default)]
    pub logprobs: Option<Raw<'a>>,
}

/// What a chunk adds. Several of these may come at once.
#[derive(Debug, Default, Deserialize)]
pub struct PieceDelta<'a> {
    #[serde(borrow, default)]
    pub content: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub reasoning_content: Option<Text<'a>>,
    /// Its other name. Some servers send both.
    #[serde(borrow, default)]
    reasoning: Option<Text<'a>>,
    /// Whole blocks, after the last piece of their text.
    #[serde(borrow, default)]
    pub thinking_blocks: Option<Vec<Raw<'a>>>,
    #[serde(borrow, default)]
    pub reasoning_items: Option<Vec<Raw<'a>>>,
    #[serde(borrow, default)]
    pub tool_calls: Option<Vec<CallPiece<'a>>>,
    #[serde(borrow, default)]
    pub refusal: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub annotations: Option<Vec<Raw<'a>>>,
    #[serde(borrow, default)]
    pub extra_content: Option<ExtraContent<'a>>,
    /// Images that were generated, as OpenRouter writes them.
    #[serde(borrow, default)]
    pub images: Option<Vec<Raw<'a>>>,
    #[serde(borrow, default)]
    pub audio: Option<Raw<'a>>,
}

/// A piece of a tool call: the first has its id and its name.
#[derive(Debug, Default, Deserialize)]
pub struct CallPiece<'a> {
    #[serde(default)]
    pub index: u32,
    #[serde(borrow, default)]
    pub id: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub function: Option<FunctionPiece<'a>>,
    #[serde(borrow, default)]
    pub custom: Option<CustomPiece<'a>>,
    #[serde(borrow, default)]
    pub extra_content: Option<ExtraContent<'a>>,
}

#[derive(Debug, Default, Deserialize)]
pub struct FunctionPiece<'a> {
    #[serde(borrow, default)]
    pub name: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub arguments: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
pub struct CustomPiece<'a> {
    #[serde(borrow, default)]
    pub name: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub input: Option<Text<'a>>,
}
