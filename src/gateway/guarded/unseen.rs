//! What no guardrail can look at, and what becomes of it: what lets nothing go on unseen refuses it.
//!
//! Pictures and sound are not looked at and not refused: a guardrail for texts says nothing of them.

use std::sync::Arc;

use super::super::ctx::Call;
use super::super::error::GatewayError;
use super::refused;
use crate::dialect::Endpoint;
use crate::guard::{Chosen, Mode, Refusal, Why};
use crate::wire::texts;

/// Refuses what nobody can look at.
///
/// # Errors
/// A guardrail lets nothing go on unseen.
pub(super) fn check(chosen: &Chosen, call: &Call) -> Result<(), GatewayError> {
    let request = || of_request(call).map(|why| ([Mode::PreCall, Mode::DuringCall], why));
    let reply = || of_reply(call).map(|why| ([Mode::PostCall, Mode::PostCall], why));
    for (modes, why) in [request(), reply()].into_iter().flatten() {
        if let Some(pick) = chosen.closed(&modes) {
            let guardrail = Arc::clone(&pick.rail.name);
            return Err(refused(Refusal { guardrail, why: Why::Unseen(why) }));
        }
    }
    Ok(())
}

/// What of a request nobody can look at.
fn of_request(call: &Call) -> Option<&'static str> {
    let lists = call.fallbacks.iter().chain(call.class_fallbacks.iter().map(|(_, list)| list));
    let mut params = lists.flatten().flat_map(|fallback| &fallback.params);
    if params.any(|(name, _)| texts::is_asked(name) || **name == *"extra_body") {
        return Some("what a fallback says in the place of the request is not looked at");
    }
    if call.form.as_ref().is_some_and(|form| form.files().any(texts::is_asked)) {
        return Some("a prompt that comes as a file is not looked at");
    }
    match call.endpoint {
        Endpoint::Files if call.form.is_some() => Some("what is in a file is not looked at"),
        Endpoint::Batches
            if call.stored.as_ref().is_some_and(|stored| stored.is_new_batch(call.endpoint)) =>
        {
            Some("the requests of a batch are not looked at")
        }
        Endpoint::Completions | Endpoint::Embeddings => {
            let has_tokens = ["prompt", "input"].iter().any(|name| is_list(call, name))
                && texts::of_request(call.body.bytes()).has_tokens;
            has_tokens.then_some("numbers of tokens are not looked at: send the text")
        }
        _ => None,
    }
}

fn is_list(call: &Call, name: &str) -> bool {
    call.body.raw_bytes(name).is_some_and(|raw| raw.first() == Some(&b'['))
}

/// What of a reply nobody can look at.
fn of_reply(call: &Call) -> Option<&'static str> {
    match call.endpoint {
        Endpoint::Files if call.is_content() => Some("what is in a file is not looked at"),
        // Their events are the provider's own.
        Endpoint::Transcriptions | Endpoint::Translations if call.stream => {
            Some("a transcript that is streamed is not looked at")
        }
        _ => None,
    }
}
