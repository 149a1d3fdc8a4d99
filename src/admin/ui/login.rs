//! The routes of a session: a key is shown once, and the browser keeps a cookie for it.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, SET_COOKIE};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::fault::Fault;
use super::super::gate::{Operator, by};
use super::super::rights::Right;
use super::super::{ClientDialect, Shared, VERSION, no_entry};
use super::sessions::{Session, Ticket, no_cookie};
use super::{Visitor, pages};
use crate::keys::access::Area;
use crate::keys::{self, AuthError, Caller, Moment, Role};

/// The longest body of a login: a key and the JSON around it.
const BODY_MAX: usize = 4096;

#[derive(Deserialize)]
struct Login {
    key: String,
}

/// `POST /ui/api/session`.
pub(super) async fn begin(
    State(shared): State<Arc<Shared>>,
    visitor: Option<Extension<Visitor>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let visitor = visitor.map_or_else(Visitor::default, |Extension(visitor)| visitor);
    if !shared.source.dashboard().enabled {
        return pages::disabled().into_response();
    }
    // A form of another site can send texts, but not JSON, and not from within our own pages.
    if !is_json(&headers) || is_foreign(&headers) {
        let message =
            "A login is JSON (Content-Type: application/json), sent by the gateway's own page";
        return Fault::body(415, message).into_response();
    }
    let login = Some(body).filter(|body| body.len() <= BODY_MAX);
    let login = login.and_then(|body| serde_json::from_slice::<Login>(&body).ok());
    let Some(Login { key }) = login else {
        return Fault::body(400, "A login is {\"key\": \"sk-...\"}").into_response();
    };
    let now = Moment::now();
    let tried = match shared.sessions.throttle.enter(visitor.ip, now.instant) {
        Ok(tried) => tried,
        Err(wait) => return too_many(wait),
    };
    let access = shared.source.access();
    let key = key.trim().as_bytes();
    let shown = || std::iter::once(key).filter(|key| !key.is_empty());
    let caller = match keys::identify(&access, &shared.stores.keys, shown, now).await {
        Ok(caller) => caller,
        Err(error) => {
            if error == AuthError::Unavailable {
                tried.forgive();
            }
            return private(no_entry(&error, &headers, ClientDialect::OpenAi));
        }
    };
    tried.forgive();
    if !caller.opens("/ui/api/overview", Area::Info) {
        let message = "This key is for other routes than the dashboard's".to_owned();
        return Fault::forbidden(message).into_response();
    }
    let lasts = shared.source.dashboard().session_duration;
    match shared.sessions.begin(&access, &caller, visitor, lasts, now.time) {
        Ok(None) => private(Json(shown_as(&shared, &caller, None)).into_response()),
        Ok(Some((ticket, cookie))) => {
            let shown = Json(shown_as(&shared, &caller, Some(&ticket)));
            by(caller, private(([(SET_COOKIE, cookie)], shown).into_response()))
        }
        Err(error) => {
            tracing::error!(%error, "a session could not be begun");
            Fault::broken("The session could not be begun; the log of the gateway has the reason")
                .into_response()
        }
    }
}

/// `GET /ui/api/session`.
pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    visitor: Option<Extension<Visitor>>,
    headers: HeaderMap,
) -> Response {
    let visitor = visitor.map_or_else(Visitor::default, |Extension(visitor)| visitor);
    if !shared.source.dashboard().enabled {
        return pages::disabled().into_response();
    }
    match found(&shared, visitor, &headers).await {
        Ok(Some(Session { caller, ticket })) => {
            let shown = Json(shown_as(&shared, &caller, Some(&ticket)));
            by(caller, private(shown.into_response()))
        }
        Ok(None) if !shared.source.access().is_guarded() => {
            private(Json(shown_as(&shared, &Caller::Anonymous, None)).into_response())
        }
        Ok(None) => private(no_entry(&AuthError::Missing, &headers, ClientDialect::OpenAi)),
        Err(error) => private(no_entry(&error, &headers, ClientDialect::OpenAi)),
    }
}

/// `DELETE /ui/api/session`.
pub(super) async fn end(
    State(shared): State<Arc<Shared>>,
    visitor: Option<Extension<Visitor>>,
    headers: HeaderMap,
) -> Response {
    let visitor = visitor.map_or_else(Visitor::default, |Extension(visitor)| visitor);
    let gone = || (StatusCode::NO_CONTENT, [(SET_COOKIE, no_cookie(visitor))]).into_response();
    match found(&shared, visitor, &headers).await {
        Ok(Some(session)) if !session.ticket.is_meant_by(&headers) => {
            private(no_entry(&AuthError::Forged, &headers, ClientDialect::OpenAi))
        }
        Ok(Some(session)) => {
            shared.sessions.end(&session.ticket, Moment::now().time);
            by(session.caller, private(gone()))
        }
        // It is over already.
        Ok(None) | Err(_) => private(gone()),
    }
}

async fn found(
    shared: &Shared,
    visitor: Visitor,
    headers: &HeaderMap,
) -> Result<Option<Session>, AuthError> {
    let access = shared.source.access();
    let found =
        shared.sessions.find(&access, &shared.stores.keys, headers, visitor, Moment::now()).await;
    match found {
        // Another gateway on this machine may have left its cookie; here it is not needed.
        Err(AuthError::SessionEnded) if !access.is_guarded() => Ok(None),
        other => other,
    }
}

fn shown_as(shared: &Shared, caller: &Caller, ticket: Option<&Ticket>) -> Value {
    let operator = Operator(caller.clone());
    let principal = operator.principal();
    let role = operator.role();
    json!({
        "role": role.map(Role::word),
        "user_id": operator.user_id(),
        "key_alias": principal.and_then(|it| it.key.key_alias.as_deref()),
        "key": operator.key_hash(),
        "team_id": principal.and_then(|it| it.team_id()),
        "sees_all": operator.sees_all(),
        "changes_all": operator.changes_all(),
        "changes_own": Right::ChangeOwn.is_given_to(role),
        "csrf": ticket.map(|ticket| &ticket.csrf),
        "expires": ticket.map(|ticket| ticket.expires),
        "version": VERSION,
        "baseline_model": shared.source.dashboard().baseline_model,
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    let written = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media = written.and_then(|written| written.split(';').next()).unwrap_or_default();
    media.trim().eq_ignore_ascii_case("application/json")
}

/// Whether a browser says that another site sent it.
fn is_foreign(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").map(|site| site.as_bytes());
    site.is_some_and(|site| !matches!(site, b"same-origin" | b"none"))
}

fn too_many(wait: Duration) -> Response {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    let mut refusal = Fault::too_many(
        "too_many_logins",
        format!("Too many wrong keys came from this address. Try again in {seconds} seconds"),
    )
    .into_response();
    refusal.headers_mut().insert(RETRY_AFTER, seconds.into());
    refusal
}

/// Nobody on the way keeps it.
fn private(mut answer: Response) -> Response {
    answer.headers_mut().insert(CACHE_CONTROL, http::HeaderValue::from_static("no-store"));
    answer
}
