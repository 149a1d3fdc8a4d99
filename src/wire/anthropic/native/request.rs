//! A client's own request, edited in place.

use bytes::Bytes;

use super::super::VERSION;
use super::super::betas;
use super::super::models::Capabilities;
use super::added::Request;
use super::thoughts;
use crate::dialect::Endpoint;
use crate::wire::RequestOptions;
use crate::wire::fields::Fields;
use crate::wire::json::{Edits, Object};
use crate::wire::request::is_own;

/// Fields of a Messages request that `count_tokens` takes; it refuses all others.
const COUNTED: [&str; 14] = [
    "model",
    "messages",
    "system",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "output_format",
    "cache_control",
    "mcp_servers",
    "context_management",
    "container",
    "betas",
    "speed",
];

/// A client's own request for a deployment that speaks its dialect.
#[derive(Debug)]
pub struct NativeRequest {
    pub body: Bytes,
    /// For the header `anthropic-beta`: named in the body, where LiteLLM's clients write them.
    pub betas: Vec<String>,
}

/// Writes the client's request for a deployment: with its model, its parameters, and without what is
/// for the gateway. `version` is that of the API.
///
/// What the client wrote itself is Anthropic's to judge; what the gateway adds must not be refused.
#[must_use]
pub fn request(body: &Object, options: &RequestOptions<'_>, version: &[u8]) -> NativeRequest {
    let counts = options.endpoint == Endpoint::CountTokens;
    let model = Capabilities::of(options.model_hint);
    let samples = version == VERSION.as_bytes() && model.sampling;
    let mut request = Request { body, edits: Edits::new(), model, samples };
    request.add(options, |name| !counts || COUNTED.contains(&name));
    if !counts
        && request.raw("max_tokens").is_none()
        && let Some(most) = options.max_output_tokens
    {
        request.edits.set("max_tokens", &most);
    }
    let messages = body.slice("messages");
    let own = messages.as_ref().and_then(thoughts::without_foreign);
    let sent = own.as_ref().or(messages.as_ref());
    let resumes = || sent.is_none_or(thoughts::resume);
    if request.budget().is_some() && !resumes() {
        request.edits.remove("thinking");
        thoughts::forget_clearing(&mut request);
    }
    let mut edits = request.edits;
    for name in body.names() {
        if is_own(name) || (counts && !COUNTED.contains(&name)) {
            edits.remove(name.to_owned());
        }
    }
    let betas = betas::named(&Fields::gather(body, options));
    for name in ["betas", "anthropic_beta", "stream_options"] {
        edits.remove(name);
    }
    if body.contains("metadata") {
        keep_user_id(body, &mut edits);
    }
    if !counts {
        match (options.stream, body.bool("stream")) {
            (true, Some(true)) | (false, None | Some(false)) => {}
            (stream, _) => edits.set("stream", &stream),
        }
    }
    if let Some(own) = own {
        edits.set_raw("messages", own.to_vec());
    }
    for name in options.drop {
        edits.remove(&**name);
    }
    match options.model {
        Some(model) => edits.set("model", model),
        None => edits.remove("model"),
    }
    NativeRequest { body: body.edit(&edits), betas }
}

/// Anthropic takes nothing but `user_id`; the rest was written for the gateway.
fn keep_user_id(body: &Object, edits: &mut Edits<'_>) {
    match body.object("metadata") {
        Some(metadata) => {
            let mut inner = Edits::new();
            metadata.names().filter(|name| *name != "user_id").for_each(|name| {
                inner.remove(name.to_owned());
            });
            if !metadata.is_set("user_id") {
                edits.remove("metadata");
            } else if let Some(changed) = metadata.changed(&inner) {
                edits.set_raw("metadata", changed.to_vec());
            }
        }
        None => edits.remove("metadata"),
    }
}
