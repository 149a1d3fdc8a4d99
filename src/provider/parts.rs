//! Requests that a provider takes only in several: which, and how their answers are put together.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::call::Call;
use super::text_of;
use crate::catalog::Deployment;
use crate::dialect::{Dialect, Endpoint};
use crate::failure::Failure;
use crate::wire::json::Object;
use crate::wire::{self, RequestOptions};

/// Where Bedrock says how many tokens it read, if the model does not.
pub(super) const AMAZON_INPUT_TOKENS: &str = "x-amzn-bedrock-input-token-count";

/// And how many it wrote.
pub(super) const AMAZON_OUTPUT_TOKENS: &str = "x-amzn-bedrock-output-token-count";

/// The requests in which a client's is asked for; `None`: it is one.
///
/// # Errors
/// [`BadRequest`](crate::failure::FailureClass::BadRequest),
/// [`NotFound`](crate::failure::FailureClass::NotFound): the request cannot be made of this model.
pub fn parts(
    deployment: &Deployment,
    body: &Object,
    call: &Call<'_>,
) -> Result<Option<Vec<Object>>, Failure> {
    if deployment.dialect != Dialect::Bedrock || call.endpoint != Endpoint::Embeddings {
        return Ok(None);
    }
    // The deployment is named by its path.
    let options = RequestOptions { model: None, ..call.options(deployment) };
    wire::bedrock::parts(body, &options)
}

/// The answers to [`parts`], in their order, as one: its head is the first one's, but for what all of
/// them count.
#[must_use]
pub fn joined(answers: Vec<(HeaderMap, Bytes)>) -> (HeaderMap, Bytes) {
    let tokens = answers.iter().map(|(headers, _)| input_tokens(headers));
    let tokens: Option<u64> = tokens.sum();
    let body = wire::bedrock::joined(answers.iter().map(|(_, body)| body));
    let mut headers = answers.into_iter().next().map(|(headers, _)| headers).unwrap_or_default();
    if let Some(tokens) = tokens {
        let name = HeaderName::from_static(AMAZON_INPUT_TOKENS);
        headers.insert(name, HeaderValue::from(tokens));
    }
    (headers, body)
}

/// How many tokens the head of an answer tells that were generated.
pub(super) fn output_tokens(headers: &HeaderMap) -> Option<u64> {
    text_of(headers, AMAZON_OUTPUT_TOKENS)?.parse().ok()
}

/// How many tokens the head of an answer tells that were read.
pub(super) fn input_tokens(headers: &HeaderMap) -> Option<u64> {
    text_of(headers, AMAZON_INPUT_TOKENS)?.parse().ok()
}
