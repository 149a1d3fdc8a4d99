//! The canonical form: a chat completion, with what other dialects can say besides.
//!
//! Every client's request becomes one of these before a provider is chosen, and every provider's
//! reply becomes one before the client's dialect is written. So a new dialect needs two
//! translations and not two for each of the others. It is OpenAI's format because most clients and
//! most providers speak it: for them nothing is translated at all.
//!
//! What OpenAI has no words for is said in these fields, which our own clients may use too:
//!
//! | field | where | meaning |
//! | --- | --- | --- |
//! | `reasoning_content` | assistant message, delta | the text of the reasoning |
//! | `thinking_blocks` | assistant message, delta | Anthropic's blocks of reasoning, whole, with their signatures: `{"type": "thinking", "thinking", "signature"}`, `{"type": "redacted_thinking", "data"}` |
//! | `reasoning_items` | assistant message, delta | Responses' reasoning items, whole, with their `encrypted_content` |
//! | `extra_content` | tool call, message, delta | `{"google": {"thought_signature": "..."}}`, Google's own spelling |
//! | `cache_control` | part, message, tool | Anthropic's marker of a prefix to cache |
//! | `is_error` | tool message | what the tool returned is an error |
//! | parts other than text | tool message | what the tool returned besides text: `image_url`, `file` |
//! | `annotations` | assistant message, delta | citations, as OpenAI writes them; of a document that has no address: `{"type": "file_citation", "file_citation": {"file_id", "filename", "start_index", "end_index"}}` |
//! | `native_finish_reason` | choice | Anthropic's word for the end where `finish_reason` says less: `stop_sequence`, `model_context_window_exceeded` (OpenRouter's name of the field) |
//! | `stop_sequence` | choice | the sequence that ended the answer, where the provider tells |
//! | `images`, `audio` | assistant message, delta | what was generated besides text: `{"type": "image_url", "index", "image_url"}`, OpenAI's `{"id", "data", ...}` |
//!
//! Clients that replay Anthropic's content have its blocks of reasoning among the parts:
//! [`gather_thoughts`] puts them where the table says.
//!
//! A message has its reasoning first, then its text, then its calls. Blocks of reasoning that a model of
//! Anthropic's put between these keep their own order, but not their places.
//!
//! [`Message`] and [`Part`] are read and written, [`Tools`] and [`Choice`] too; [`Completion`] is a
//! whole reply, [`Chunk`] what is written of a stream and [`Piece`] what is read of one. [`Writer`]
//! writes the whole of a stream.

mod call_id;
mod chunk;
mod completion;
mod length;
mod loose;
mod message;
mod part;
mod piece;
mod thoughts;
mod tool;
mod usage;
mod writer;

pub use call_id::{MAX_CALL_ID, short_call_id};
pub use chunk::{
    Audio, Chunk, Custom, Delta, ExtraContent, Function, Google, Image, ThinkingBlock, ToolCall,
    image_url, write_done,
};
pub use completion::{Answer, Completion, Turn, native_finish_reason};
pub use length::{Length, add_usage, text_bytes};
pub use message::{Call, CallFunction, Message, arguments, failed, unknown_role};
pub use part::{AudioData, FileData, Foreign, ImageUrl, Part, parts};
pub use piece::{
    CallPiece, CustomPiece, FunctionPiece, Piece, PieceChoice, PieceDelta, UNREADABLE,
};
pub use thoughts::gather_thoughts;
pub use tool::{Choice, Format, FunctionTool, Schema, Tools};
pub use usage::{Shown, read_usage};
pub use writer::Writer;

use serde_json::value::RawValue;

/// JSON text that is passed on as it was read.
pub type Raw<'a> = &'a RawValue;
