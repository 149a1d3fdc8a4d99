//! Hands everything that is not inference to the `admin` router, in memory: no second port needed.

use axum::body::Body;
use http::{HeaderValue, Request, header};
use http_body_util::BodyExt;
use pingora_http::ResponseHeader;
use pingora_proxy::Session;
use tower::ServiceExt;

use super::Gateway;
use super::ctx::RequestCtx;
use super::error::GatewayError;
use super::intake;
use super::reply;

/// Bound of a management request's body.
const BODY_MAX: usize = 1024 * 1024;

/// Bound of a page; the largest are the metrics.
const PAGE_MAX: usize = 64 * 1024 * 1024;

/// Answers one request from the router.
pub(super) async fn answer(
    gateway: &Gateway,
    session: &mut Session,
    ctx: &mut RequestCtx,
) -> pingora_core::Result<()> {
    let body = match intake::read_body(session, BODY_MAX).await {
        Ok(body) => body,
        Err(error) => return reply::write_error(session, ctx, error, None).await,
    };
    let head = session.req_header();
    let mut request = Request::new(Body::from(body));
    *request.method_mut() = head.method.clone();
    *request.uri_mut() = head.uri.clone();
    *request.headers_mut() = head.headers.clone();
    if let Ok(id) = HeaderValue::from_str(&ctx.request_id) {
        request.headers_mut().insert("x-request-id", id);
    }
    let Ok(response) = gateway.pages.clone().oneshot(request).await;
    let (parts, body) = response.into_parts();
    let Ok(body) = http_body_util::Limited::new(body, PAGE_MAX).collect().await else {
        return reply::write_error(session, ctx, GatewayError::Internal, None).await;
    };
    let body = body.to_bytes();
    let mut head = ResponseHeader::build_no_case(parts.status, Some(parts.headers.len() + 4))?;
    for (name, value) in &parts.headers {
        head.append_header(name.clone(), value.clone())?;
    }
    if !head.headers.contains_key(header::CONTENT_LENGTH) {
        head.insert_header(header::CONTENT_LENGTH, body.len())?;
    }
    head.insert_header("x-request-id", ctx.request_id.as_ref())?;
    ctx.status = Some(parts.status.as_u16());
    ctx.relayed.bytes_sent = body.len() as u64;
    reply::write_whole(session, Box::new(head), body).await
}

/// Tells a browser what it may send to an inference route.
pub(super) async fn preflight(
    session: &mut Session,
    ctx: &mut RequestCtx,
) -> pingora_core::Result<()> {
    let mut head = ResponseHeader::build_no_case(204, Some(8))?;
    if let Some(origin) = &ctx.origin {
        head.insert_header(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone())?;
        head.insert_header(header::VARY, "origin")?;
        head.insert_header(header::ACCESS_CONTROL_ALLOW_METHODS, "POST, OPTIONS")?;
        let asked = session.req_header().headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS);
        let headers = asked.cloned().unwrap_or_else(|| HeaderValue::from_static("*"));
        head.insert_header(header::ACCESS_CONTROL_ALLOW_HEADERS, headers)?;
        head.insert_header(header::ACCESS_CONTROL_MAX_AGE, "600")?;
    }
    head.insert_header(header::ALLOW, "POST, OPTIONS")?;
    ctx.status = Some(204);
    reply::write_whole(session, Box::new(head), bytes::Bytes::new()).await
}
