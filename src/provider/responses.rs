//! OpenAI's Responses API at a deployment: whether it has one, and when it is called.

use std::borrow::Cow;

use bytes::Bytes;

use super::azure;
use super::call::{Call, Outgoing, Reading};
use super::native;
use super::table::is_openais;
use super::url::BaseUrl;
use super::{Sending, Vendor, Written, filled};
use crate::catalog::{Deployment, PriceBook, Target};
use crate::dialect::{ClientDialect, Dialect, Endpoint, ResponsesApi};
use crate::failure::{Failure, FailureClass};
use crate::wire::fields::Fields;
use crate::wire::json::Object;
use crate::wire::responses::{self, Need, Owner};
use crate::wire::{Reply, RequestOptions};

/// Whether a deployment's Responses API is called where nothing is written: at OpenAI's own
/// addresses, and at Azure's undated ones. At Azure's dated ones only for a model that is known to
/// need it (`model`: what a deployment there is of), and from the version that has it.
#[must_use]
pub fn offered(
    vendor: &Vendor,
    written: &Written<'_>,
    target: &Target,
    model: &str,
) -> ResponsesApi {
    const FIRST_VERSION: &str = "2025-03-01";
    let own = match filled(written.api_base).and_then(|text| BaseUrl::parse(text).ok()) {
        None => true,
        Some(base) => is_openais(&base.host),
    };
    let undated = !target.paths[Endpoint::Chat.index()]
        .as_deref()
        .is_some_and(|path| path.contains("/deployments/"));
    match vendor.name {
        "openai" if own => ResponsesApi::Offered,
        "azure" if undated && azure::is_azure(&target.host) => ResponsesApi::Offered,
        "azure" if azure::is_azure(&target.host) => {
            let path = target.paths[Endpoint::Responses.index()].as_deref().unwrap_or_default();
            let version = path.split_once("api-version=").map(|(_, version)| version);
            let has_it = version.is_some_and(|version| version >= FIRST_VERSION);
            let is_needed = responses::need(model) != Need::Nothing;
            if has_it && is_needed { ResponsesApi::Offered } else { ResponsesApi::None }
        }
        _ => ResponsesApi::None,
    }
}

/// The request, if it goes to the deployment's Responses API; `None` if it goes elsewhere.
///
/// # Errors
/// It asks for what only a Responses API has, and the deployment has none.
pub(super) fn request<'a>(
    deployment: &'a Deployment,
    body: &Object,
    call: &Call<'_>,
    options: &RequestOptions<'_>,
) -> Result<Option<Outgoing<'a>>, Failure> {
    let path = deployment.target.paths[Endpoint::Responses.index()].as_deref();
    let path = path.filter(|_| deployment.responses != ResponsesApi::None);
    let native = call.native.filter(|native| native.dialect == ClientDialect::Responses);
    // The path does not name the model, so the body has to.
    let options = RequestOptions { model: Some(call.model), ..*options };
    let Some(native) = native else {
        let Some(path) = path.filter(|_| call.endpoint == Endpoint::Chat) else { return Ok(None) };
        if !needed(deployment, body, call, &options) {
            return Ok(None);
        }
        // What is only said in the client's own dialect cannot be said here either, but for a search.
        let obstacle = call.native.map(|native| native.obstacle);
        if let Some(refusal) = obstacle.and_then(|it| it.refusal_beside_search(call.drop_params)) {
            return Err(refusal.clone());
        }
        let searching = obstacle.and_then(|obstacle| obstacle.with_search(body));
        let body = searching.as_ref().unwrap_or(body);
        let reading = Reading { api: Endpoint::Responses, native: None };
        let body = responses::request(body, &options, Some(Owner::of(&deployment.account)))?;
        return Ok(Some(outgoing(Cow::Borrowed(path), body, reading)));
    };
    let reading = Reading { api: Endpoint::Responses, native: Some(ClientDialect::Responses) };
    let owner = Owner::of(&deployment.account);
    match (path, native.resource) {
        (Some(path), Some(resource)) => {
            let body = match resource.is_stored() {
                true => Bytes::new(),
                false => responses::native_request(native.body, &options, owner)?,
            };
            let method = resource.method();
            let sending = Sending { method, rest: Vec::new(), whole_head: false };
            let sending = resource.is_stored().then(|| Box::new(sending));
            let path = Cow::Owned(resource.path(path));
            Ok(Some(Outgoing { sending, ..outgoing(path, body, reading) }))
        }
        (Some(path), None) => {
            let body = responses::native_request(native.body, &options, owner)?;
            Ok(Some(outgoing(Cow::Borrowed(path), body, reading)))
        }
        (None, Some(_)) => {
            let message = "the provider of this model has no Responses API of its own";
            Err(Failure::new(FailureClass::NotFound, message))
        }
        (None, None) => {
            let searches = native::searches(native, deployment);
            match responses::client::obstacle(native.body, call.drop_params, searches) {
                Some(obstacle) => Err(obstacle),
                None => Ok(None),
            }
        }
    }
}

const fn outgoing(path: Cow<'_, str>, body: Bytes, reading: Reading) -> Outgoing<'_> {
    Outgoing { path, headers: Vec::new(), body, reading, sending: None }
}

/// Whether a conversation goes to the deployment's Responses API, whoever wrote it.
pub(super) fn is_spoken(deployment: &Deployment, body: &Object, call: &Call<'_>) -> bool {
    let has_path = deployment.target.paths[Endpoint::Responses.index()].is_some();
    if !has_path || deployment.responses == ResponsesApi::None {
        return false;
    }
    let options = call.options(deployment);
    call.native.is_some_and(|native| native.dialect == ClientDialect::Responses)
        || needed(deployment, body, call, &options)
}

/// Whether the chat API would not do.
fn needed(
    deployment: &Deployment,
    body: &Object,
    call: &Call<'_>,
    options: &RequestOptions<'_>,
) -> bool {
    const MODE: Option<&str> = Some("responses");
    if !matches!(deployment.dialect, Dialect::OpenAi | Dialect::Azure) {
        return false;
    }
    if deployment.responses == ResponsesApi::Always || deployment.info.mode.as_deref() == MODE {
        return true;
    }
    // The chat API lets only models search that do nothing else.
    if call.native.is_some_and(|native| native.obstacle.searches()) {
        return true;
    }
    match responses::need(options.model_hint) {
        Need::Nothing => {
            // What a wildcard calls is in the price book, if anywhere.
            deployment.is_wildcard()
                && PriceBook::built_in()
                    .get(&deployment.provider, call.model)
                    .is_some_and(|listed| listed.mode.as_deref() == MODE)
        }
        Need::Everything => true,
        need @ Need::Tools { .. } => need.holds(&Fields::gather(body, options)),
    }
}

/// What the client is to get of a reply about something that was made before.
#[must_use]
pub fn stored(deployment: &Deployment, body: Bytes) -> Bytes {
    responses::stored(body, Owner::of(&deployment.account))
}

/// Reads a reply of the Responses API.
pub(super) fn reply(
    deployment: &Deployment,
    reading: Reading,
    body: Bytes,
    created: u64,
) -> Result<Reply, Failure> {
    let owner = Some(Owner::of(&deployment.account));
    match reading.native {
        Some(_) => responses::native_reply(body, owner),
        None => responses::reply(body, created, owner),
    }
}
