//! Counting a prompt without holding up other requests.
//!
//! A short prompt is counted where it is; a long one on a blocking thread, while this request waits.
//! A table that has not been read yet is read there, too, and this request goes by the estimate: no
//! request waits for a table.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};

use super::ctx::Call;
use super::needs;
use crate::catalog::{Catalog, Deployment};
use crate::dialect::Endpoint;
use crate::failure::{Failure, FailureClass};
use crate::routing::Needs;
use crate::tokens::{Counted, Encoding, INLINE_TEXT_BYTES, Prompt};
use crate::wire::json::Object;

/// What the request needs, its prompt counted with the table of `model`, which is the one that it
/// asks for, as far as that is known. Of a group with several models, the first one's. `otherwise`:
/// the table for models that have none.
pub(super) async fn needs(
    call: &Call,
    model: &str,
    catalog: &Catalog,
    otherwise: Option<Encoding>,
) -> Needs {
    if let Some(known) = call.needs.get() {
        return *known;
    }
    let encoding = encoding_of(model, catalog).or(otherwise);
    let prompt = Prompt::read(&call.body, call.endpoint);
    let counted = match encoding.filter(|encoding| is_ready(*encoding)) {
        encoding if prompt.text_bytes() <= INLINE_TEXT_BYTES => prompt.count(encoding),
        encoding => {
            let counting = tokio::task::spawn_blocking(move || prompt.count(encoding));
            match counting.await {
                Ok(counted) => counted,
                Err(error) => {
                    tracing::error!(%error, "a prompt could not be counted");
                    return *call.needs();
                }
            }
        }
    };
    let needs = counted_as(counted, needs::of(call.endpoint, &call.body, call.stream));
    *call.needs.get_or_init(|| needs)
}

/// Counts the prompt for a deployment, as its provider would. Waits for the table: a count is what was
/// asked for.
///
/// # Errors
/// [`FailureClass::Server`]: counting broke.
pub(super) async fn count_for(
    call: &Call,
    deployment: &Deployment,
    model: &str,
) -> Result<Counted, Failure> {
    let encoding = Encoding::of(deployment.info.base_model.as_deref().unwrap_or(model));
    let prompt = Prompt::read(&call.body, counted_as_asked(call.endpoint));
    let here = encoding.is_none_or(Encoding::is_ready) && prompt.text_bytes() <= INLINE_TEXT_BYTES;
    if here {
        return Ok(prompt.count(encoding));
    }
    let counting = tokio::task::spawn_blocking(move || prompt.count(encoding));
    counting.await.map_err(|error| {
        tracing::error!(%error, "a prompt could not be counted");
        Failure::new(FailureClass::Server, "the prompt could not be counted")
    })
}

/// A request for embeddings whose input is tokens, with the texts that they stand for: only OpenAI's own
/// models read its tokens. A server that copies its API has models of others.
pub(super) async fn as_texts<'b>(
    call: &Call,
    deployment: &Deployment,
    body: Cow<'b, Object>,
) -> Cow<'b, Object> {
    let hint = deployment.info.base_model.as_deref().unwrap_or(&deployment.model);
    let is_openais =
        matches!(&*deployment.provider, "openai" | "azure") && !deployment.quirks.imitates;
    let reads_tokens = is_openais || Encoding::of(hint).is_some();
    if call.endpoint != Endpoint::Embeddings || reads_tokens || !crate::tokens::has_tokens(&body) {
        return body;
    }
    let tokens = body.clone().into_owned();
    let reading = tokio::task::spawn_blocking(move || crate::tokens::as_texts(&tokens));
    match reading.await {
        Ok(Some(texts)) => Cow::Owned(texts),
        // Refused where the provider's request is written.
        Ok(None) => body,
        Err(error) => {
            tracing::error!(%error, "tokens could not be read");
            body
        }
    }
}

/// The API whose canonical body is counted: what is asked of others is put into chat completions.
pub(super) const fn counted_as_asked(endpoint: Endpoint) -> Endpoint {
    match endpoint {
        Endpoint::CountTokens | Endpoint::Responses => Endpoint::Chat,
        other => other,
    }
}

/// Counts the prompt here and now, for a command that has nothing else to do.
pub(super) fn count(call: &Call, model: &str, catalog: &Catalog) {
    let encoding = encoding_of(model, catalog).unwrap_or(Encoding::O200k);
    let counted = Prompt::read(&call.body, call.endpoint).count(Some(encoding));
    let needs = needs::of(call.endpoint, &call.body, call.stream);
    // Whoever counted before has counted the same.
    call.needs.get_or_init(|| counted_as(counted, needs));
}

const fn counted_as(counted: Counted, needs: Needs) -> Needs {
    Needs { input_tokens: counted.tokens, is_counted: counted.exact, ..needs }
}

fn encoding_of(model: &str, catalog: &Catalog) -> Option<Encoding> {
    let found = catalog.resolve(model)?;
    let first = found.deployments.first()?;
    let base = first.info.base_model.as_deref().map(Into::into);
    Encoding::of(&base.unwrap_or_else(|| first.upstream_model(found.captured.as_deref())))
}

/// Whether the table can be used; has it read if nobody has.
fn is_ready(encoding: Encoding) -> bool {
    static CL100K: AtomicBool = AtomicBool::new(false);
    static O200K: AtomicBool = AtomicBool::new(false);
    if encoding.is_ready() {
        return true;
    }
    let is_coming = match encoding {
        Encoding::Cl100k => &CL100K,
        Encoding::O200k => &O200K,
    };
    if !is_coming.swap(true, Ordering::AcqRel) {
        // Nobody waits for it; `is_ready` tells when it is there.
        drop(tokio::task::spawn_blocking(move || encoding.load()));
    }
    false
}
