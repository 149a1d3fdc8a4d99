//! Amazon Bedrock's Converse API behind an OpenAI chat client.

use bytes::Bytes;

use crate::failure::{Failure, FailureClass};
use crate::wire::json::Object;
use crate::wire::{Reply, RequestOptions};

pub fn request(_: &Object, _: &RequestOptions<'_>) -> Result<Bytes, Failure> {
    Err(Failure::new(FailureClass::BadRequest, "Bedrock's requests are not written yet"))
}

pub fn reply(_: Bytes, _: u64) -> Result<Reply, Failure> {
    Err(Failure::new(FailureClass::Server, "Bedrock's replies are not read yet"))
}
