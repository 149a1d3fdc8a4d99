//! A provider's whole reply, as the client gets it.

use bytes::Bytes;

use crate::usage::Usage;

/// A reply that is not a stream, in the client's format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub body: Bytes,
    /// `None`: the provider sent none.
    pub usage: Option<Usage>,
    /// The model that answered, as the provider names it.
    pub model: Option<Box<str>>,
}
