//! A provider's whole reply, as the client gets it.

use bytes::Bytes;

use crate::usage::Usage;

/// What is known of an answer without its body. Formats that say it in the body do not look here.
#[derive(Clone, Copy, Debug, Default)]
pub struct Origin<'a> {
    /// The model that was called, by the provider's name.
    pub model: &'a str,
    /// The provider's id of the request.
    pub request_id: Option<&'a str>,
    /// Tokens that the provider read.
    pub input_tokens: Option<u64>,
    /// Tokens that it generated.
    pub output_tokens: Option<u64>,
}

/// A reply that is not a stream, in the client's format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub body: Bytes,
    /// `None`: the provider sent none.
    pub usage: Option<Usage>,
    /// The model that answered, as the provider names it.
    pub model: Option<Box<str>>,
}
