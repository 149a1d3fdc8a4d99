//! Responses that a provider keeps: in which account one is, and calls about it.
//!
//! The id says who made it (`wire::responses`), so nothing is remembered here. What is asked of a
//! response can be answered by a deployment of its account alone.

use std::sync::Arc;

use bytes::Bytes;

use super::ctx::{Call, RequestCtx};
use super::error::GatewayError;
use super::intake;
use super::route::Asked;
use crate::catalog::{Catalog, DeploymentId};
use crate::dialect::{ClientDialect, Endpoint};
use crate::failure::{Failure, FailureClass};
use crate::wire;
use crate::wire::json::Object;
use crate::wire::responses::{Action, Made, Owner, Resource};

/// What a path names of the Responses API, besides making a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named<'a> {
    InputTokens,
    Compact,
    /// A response, by the id that its client has.
    Response {
        id: &'a str,
        action: Action,
    },
}

/// The call that a request about a response is.
///
/// # Errors
/// No deployment made a response with this id.
pub(super) fn understand(
    ctx: &RequestCtx,
    headers: &http::HeaderMap,
    id: &str,
    action: Action,
    query: Option<&str>,
) -> Result<Call, GatewayError> {
    let made = Made::read(id);
    let owner = made.and_then(|made| account(&ctx.snapshot.catalog, made.by));
    let (Some(made), Some(owner)) = (made, owner) else { return Err(unknown(id)) };
    let streams = action == Action::Retrieve
        && query.is_some_and(|query| query.split('&').any(|pair| pair == "stream=true"));
    let body = serde_json::json!({"model": *owner, "stream": streams, "messages": []});
    let asked = Asked::new(Endpoint::Responses, ClientDialect::OpenAi);
    let call = intake::understand(ctx, headers, "", asked, Bytes::from(body.to_string()))?;
    Ok(Call {
        dialect: ClientDialect::Responses,
        stream: streams,
        native: Object::parse(Bytes::from_static(b"{}")).ok(),
        resource: Some(Resource::Stored {
            id: made.id.into(),
            action,
            query: query.map(Box::from),
        }),
        owner: Some(owner),
        ..call
    })
}

/// The account that has the response that a request goes on from; `None`: it goes on from
/// none, or from one that was not made through a gateway.
///
/// # Errors
/// The deployment is gone.
pub(super) fn owner(
    catalog: &Catalog,
    native: Option<&Object>,
) -> Result<Option<DeploymentId>, GatewayError> {
    let Some(id) = native.and_then(|body| body.str("previous_response_id")) else {
        return Ok(None);
    };
    let Some(made) = Made::read(&id) else { return Ok(None) };
    account(catalog, made.by).map(Some).ok_or_else(|| GatewayError::BadBody {
        message: format!("Previous response with id '{id}' not found."),
        param: Some("previous_response_id"),
        code: "previous_response_not_found",
    })
}

/// A conversation with the provider's own ids of the files that it names, and the account that keeps
/// them; `None`: it names none that were uploaded through a gateway.
///
/// # Errors
/// The deployment is gone.
pub(super) fn files(
    catalog: &Catalog,
    body: Bytes,
) -> Result<(Bytes, Option<DeploymentId>), GatewayError> {
    let Some(id) = wire::stored::named(&body) else { return Ok((body, None)) };
    let mut all = catalog.deployments().iter();
    let owner = all.find(|deployment| *deployment.id == *id.deployment);
    let owner = owner.ok_or_else(|| GatewayError::BadBody {
        message:
            "The deployment that keeps the file in `file_id` is not configured any more: upload \
                  the file again."
                .to_owned(),
        param: Some("file_id"),
        code: "file_not_found",
    })?;
    Ok((wire::stored::with_own_ids(&body, &owner.id), Some(Arc::clone(&owner.account))))
}

fn account(catalog: &Catalog, owner: Owner) -> Option<DeploymentId> {
    let mut all = catalog.deployments().iter();
    all.find(|deployment| Owner::of(&deployment.id) == owner).map(|it| Arc::clone(&it.account))
}

fn unknown(id: &str) -> GatewayError {
    let message = format!(
        "Response with id '{}' not found. Only a response of a provider with a Responses API of its \
         own is kept, and only there.",
        crate::admin::shortened(id)
    );
    GatewayError::Upstream(Box::new(Failure {
        status: Some(404),
        kind: Some("invalid_request_error".into()),
        code: Some("response_not_found".into()),
        param: Some("response_id".into()),
        ..Failure::new(FailureClass::NotFound, message)
    }))
}
