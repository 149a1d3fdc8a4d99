//! Everything that is answered from memory: landing page, health, models, metrics, and the refusals
//! for paths that nothing serves.
//!
//! The gateway sends each request that is not inference through [`Admin::answer`], a tower service
//! called in memory: there is no second port. What the routes need of the rest of the program comes
//! through one trait, [`Source`]; they know neither Pingora nor the catalog's structure.

mod anthropic_models;
pub mod auth;
mod cache;
mod callbacks;
pub mod config;
pub mod cors;
mod counter;
mod deployments;
mod fault;
mod form;
mod gate;
mod guardrails;
mod health;
pub mod insight;
mod landing;
mod manage;
mod models;
pub(crate) mod openapi;
mod page;
mod problem;
mod reports;
pub mod rights;
pub mod routes;
mod ui;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, Method, StatusCode, Uri};
use jiff::tz::TimeZone;
use tower::ServiceExt;

pub use self::cache::CacheView;
pub use self::config::Operations;
pub(crate) use self::gate::Operator;
use self::insight::Insight;
pub use self::problem::{ClientDialect, Problem};
pub use self::ui::{Sessions, Visitor};
use crate::books;
use crate::callbacks::Settings as Callbacks;
use crate::guard::Guardrails;
use crate::keys::{self, Access, Caller, Directory, Issuing, KeyRing};
pub use crate::snapshot::Dashboard;
use crate::spend::Ledger;
use crate::spend::Scope;
use crate::telemetry::{DeploymentState, Metrics};

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The header that names a request, in both directions.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// What the server as a whole takes.
const SERVER_METHODS: &str = "GET, HEAD, POST, OPTIONS";

/// Beyond this an answer is replaced by an error. Lists of models and metrics grow with the
/// configuration; 64 MiB is some hundred thousand of either.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What the routes need to know. Asked anew for each request, so a reload is seen at once.
pub trait Source: Insight {
    /// Who may call, as the configuration in force says.
    fn access(&self) -> Access;
    /// The models that can be asked for, in the order of the configuration; no hidden aliases.
    /// Of those that a key cannot call, none.
    fn models(&self, caller: &Caller) -> Vec<Model>;
    /// The model that a request by this name would be for, by any of its names: a wildcard's
    /// match, an alias, a deployment's id. `None` if such a request would be refused.
    fn model(&self, name: &str, caller: &Caller) -> Option<Model>;
    /// What the traffic so far says of each model group.
    fn groups(&self) -> Vec<GroupHealth>;
    /// What new keys, users and teams are to be like.
    fn issuing(&self) -> Arc<Issuing>;
    /// The calendar of budgets.
    fn zone(&self) -> TimeZone;
    /// What somebody is said to have spent was changed by hand; the ledger's revision of that.
    fn spent_changed(&self, _scope: &Scope, _revision: i64) {}
    /// Who counts limits and budgets; `None`: nobody else takes part in it.
    fn limits(&self) -> Option<LimitsHealth> {
        None
    }
    /// The cache of replies; `None`: it is off.
    fn cache(&self) -> Option<CacheView> {
        None
    }
    /// What is to be known of the pages at `/ui`.
    fn dashboard(&self) -> Arc<Dashboard>;
    /// Who looks at requests and replies.
    fn guardrails(&self) -> Arc<Guardrails> {
        Arc::default()
    }
    /// Who is told of requests.
    fn callbacks(&self) -> Arc<Callbacks> {
        Arc::default()
    }
    /// Has a receiver of callbacks or alerts told of something that did not happen.
    fn try_out(&self, _service: &str) -> BoxFuture<'static, Tried> {
        std::future::ready(Tried::Unknown).boxed()
    }
    /// The process is about to end: no new work should be sent here.
    fn draining(&self) -> bool;
    /// What would become of a request now, without calling anyone; or status and body of the error
    /// that it would get.
    fn explain(&self, headers: &HeaderMap, body: Bytes) -> Result<Bytes, (u16, Bytes)>;
}

/// What became of a trial of a receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tried {
    /// There is no such service.
    Unknown,
    /// There is one, and it is not configured.
    Unconfigured,
    /// A callback has taken it.
    Taken,
    /// Those who get alerts have taken it: of these types.
    Alerted(Vec<&'static str>),
    /// It was not taken: why.
    Failed(String),
}

/// One entry of `/v1/models`.
#[derive(Clone, Debug)]
pub struct Model {
    pub name: Arc<str>,
    /// LiteLLM says `openai` for every model; a provider's name says more where there is one only.
    pub owned_by: Arc<str>,
}

/// Who counts limits and budgets that several gateways share.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct LimitsHealth {
    /// `shared`, or `alone` while Redis is away.
    pub counted: &'static str,
    /// As far as was last heard.
    pub gateways: u32,
}

/// Passive health of one model group.
#[derive(Clone, Debug)]
pub struct GroupHealth {
    pub name: Arc<str>,
    pub deployments: Vec<DeploymentHealth>,
}

/// Passive health of one deployment.
#[derive(Clone, Copy, Debug)]
pub struct DeploymentHealth {
    pub state: DeploymentState,
    /// What is left of its cooldown.
    pub cooldown_left: Option<Duration>,
    /// What its last health check found; `None`: it is not checked.
    pub well: Option<bool>,
}

/// Where the routes find what outlives the process.
#[derive(Clone)]
pub struct Stores {
    pub keys: Arc<KeyRing>,
    pub directory: Arc<dyn Directory>,
    pub ledger: Arc<dyn Ledger>,
    pub books: Arc<books::State>,
}

/// The routes, ready to answer. Cheap to clone.
#[derive(Clone)]
pub struct Admin {
    router: Router,
    sessions: Arc<Sessions>,
}

pub(crate) struct Shared {
    source: Arc<dyn Source>,
    /// `None`: the process cannot be operated from here.
    operations: Option<Arc<dyn Operations>>,
    stores: Stores,
    metrics: Arc<Metrics>,
    sessions: Arc<Sessions>,
    /// Unix time of the start: `created` of every model.
    started: u64,
}

impl Admin {
    /// `started` is the Unix time of the start, in seconds.
    #[must_use]
    pub fn new(
        source: Arc<dyn Source>,
        stores: Stores,
        metrics: Arc<Metrics>,
        started: u64,
    ) -> Self {
        Self::with(source, None, stores, metrics, started)
    }

    /// The same, with routes by which the process is operated.
    #[must_use]
    pub fn operated(
        source: Arc<dyn Source>,
        operations: Arc<dyn Operations>,
        stores: Stores,
        metrics: Arc<Metrics>,
        started: u64,
    ) -> Self {
        Self::with(source, Some(operations), stores, metrics, started)
    }

    fn with(
        source: Arc<dyn Source>,
        operations: Option<Arc<dyn Operations>>,
        stores: Stores,
        metrics: Arc<Metrics>,
        started: u64,
    ) -> Self {
        let sessions = Arc::new(Sessions::default());
        let shared = Shared {
            source,
            operations,
            stores,
            metrics,
            sessions: Arc::clone(&sessions),
            started,
        };
        Self { router: router(Arc::new(shared)), sessions }
    }

    /// Who calls with a browser's session.
    #[must_use]
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// Answers as if there were no such path.
    pub async fn unknown(&self, request: http::Request<Bytes>) -> http::Response<Bytes> {
        let (head, _) = request.into_parts();
        let answer = unknown_route(head.method, head.uri, head.headers.clone()).await;
        let (mut answer, body) = answer.into_parts();
        if let Some(request_id) = head.headers.get(REQUEST_ID) {
            answer.headers.insert(REQUEST_ID, request_id.clone());
        }
        // It is a short text of our own.
        let body = axum::body::to_bytes(body, ANSWER_BYTES_MAX).await.unwrap_or_default();
        http::Response::from_parts(answer, body)
    }

    /// Answers one request. The caller sets `x-request-id` beforehand; the answer carries it, and the
    /// CORS headers. Who was let in, or is known and was refused, is an extension of it ([`Caller`]).
    pub async fn open(&self, request: http::Request<Bytes>) -> http::Response<Answer> {
        let request_id = request.headers().get(REQUEST_ID).cloned();
        let answer = match self.router.clone().oneshot(request.map(Body::from)).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        };
        let (mut head, body) = answer.into_parts();
        if head.status == StatusCode::NO_CONTENT {
            // The router adds a length of zero, which a 204 must not have (RFC 9110, 8.6).
            head.headers.remove(CONTENT_LENGTH);
        }
        if let Some(request_id) = request_id {
            head.headers.insert(REQUEST_ID, request_id);
        }
        let kind = head.headers.get(CONTENT_TYPE).map(http::HeaderValue::as_bytes);
        if kind.is_some_and(|kind| kind.starts_with(b"text/event-stream")) {
            return http::Response::from_parts(head, Answer::Stream(body));
        }
        match axum::body::to_bytes(body, ANSWER_BYTES_MAX).await {
            Ok(body) => http::Response::from_parts(head, Answer::Whole(body)),
            Err(_) => {
                let mut answer = http::Response::new(Answer::Whole(Bytes::new()));
                *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                answer
            }
        }
    }
}

/// The body of an answer.
pub enum Answer {
    Whole(Bytes),
    /// Events as they happen. It does not end by itself.
    Stream(Body),
}

fn router(shared: Arc<Shared>) -> Router {
    let mut router = Router::new()
        .route("/", get(landing::landing))
        .route("/health", get(health::summary))
        .route("/health/liveliness", get(health::alive))
        .route("/health/liveness", get(health::alive))
        .route("/health/readiness", get(health::ready))
        .route("/config/reload", post(config::reload))
        .route("/routing/explain", post(explain))
        .route("/utils/token_counter", post(counter::count))
        .route("/cache/ping", get(cache::ping))
        .route("/cache/delete", post(cache::delete))
        .route("/cache/flushall", post(cache::flush))
        .route("/cache/redis/info", get(cache::redis))
        .route("/callbacks/list", get(callbacks::list))
        .route("/active/callbacks", get(callbacks::active))
        .route("/health/services", get(callbacks::test))
        .route("/guardrails/list", get(guardrails::list))
        .route("/guardrails/apply_guardrail", post(guardrails::apply))
        .route("/openapi.json", get(openapi::description))
        .route("/routes", get(openapi::routes))
        .route("/metrics", get(metrics))
        .route("/metrics/", get(metrics));
    for prefix in ["", "/v1"] {
        router = router
            .route(&format!("{prefix}/models"), get(models::list))
            .route(&format!("{prefix}/models/"), get(models::list))
            // The names of models hold slashes.
            .route(&format!("{prefix}/models/{{*name}}"), get(models::one));
    }
    router = router
        .route("/v1beta/models", get(models::google_list))
        .route("/v1beta/models/", get(models::google_list))
        // What is posted there and comes this far is a method that no model has.
        .route("/v1beta/models/{*name}", get(models::google_one).post(unknown_route));
    // The gateway serves these for POST; whatever else comes for them ends here.
    for (path, _) in routes::INFERENCE {
        router = router.route(path, any(only_post));
    }
    for under in routes::KEPT_UNDER {
        for (path, allow) in routes::KEPT {
            let refuse = move |method: Method, uri: Uri, headers: HeaderMap| async move {
                let mut refusal = wrong_method(method, uri, headers).await;
                refusal.headers_mut().insert(ALLOW, http::HeaderValue::from_static(allow));
                refusal
            };
            router = router.route(&format!("{under}{path}"), any(refuse));
        }
    }
    let reports = Arc::new(reports::Reports {
        directory: Arc::clone(&shared.stores.directory),
        ledger: Arc::clone(&shared.stores.ledger),
        source: Arc::clone(&shared.source),
    });
    let deployments = Arc::new(deployments::Deployments {
        directory: Arc::clone(&shared.stores.directory),
        source: Arc::clone(&shared.source),
        operations: shared.operations.clone(),
        turn: tokio::sync::Mutex::default(),
    });
    router
        .merge(ui::router(&shared, &reports))
        .merge(reports::router(reports))
        .merge(deployments::router(deployments))
        .merge(manage::router(&shared))
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), gate::enter))
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), across_origins))
        .with_state(shared)
}

/// Answers preflights and marks every answer with what browsers may do with it.
async fn across_origins(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Response {
    let access = shared.source.access();
    let headers = request.headers();
    if let Some(preflight) = cors::preflight(&access, request.method(), headers) {
        return (StatusCode::NO_CONTENT, preflight).into_response();
    }
    let origin = headers.get(http::header::ORIGIN).cloned();
    let mut answer = next.run(request).await;
    cors::mark(&access, origin.as_ref(), |name, value| {
        answer.headers_mut().append(name, value);
    });
    answer
}

async fn metrics(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    // The page of a thousand busy deployments takes tens of milliseconds to write; no request may
    // wait behind it.
    match tokio::task::spawn_blocking(move || shared.metrics.render()).await {
        Ok(page) => ([(CONTENT_TYPE, Metrics::CONTENT_TYPE)], page).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics could not be rendered");
            let problem = Problem {
                status: 500,
                kind: "internal_server_error",
                code: "internal_error",
                message: "The metrics could not be rendered.",
                param: None,
                request_id: request_id(&headers),
                telling: None,
            };
            problem.response(ClientDialect::OpenAi)
        }
    }
}

/// `POST /routing/explain`: the body is a request as it would be sent to a model.
async fn explain(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let json = [(CONTENT_TYPE, "application/json")];
    match shared.source.explain(&headers, body) {
        Ok(explained) => (json, explained).into_response(),
        Err((status, body)) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
            (status, json, body).into_response()
        }
    }
}

fn no_entry(error: &keys::AuthError, headers: &HeaderMap, dialect: ClientDialect) -> Response {
    let problem = Problem {
        status: error.status(),
        kind: error.kind(),
        code: error.code(),
        message: &error.to_string(),
        param: error.param(),
        request_id: request_id(headers),
        telling: None,
    };
    let mut refusal = problem.response(dialect);
    if error.status() == 401 {
        refusal.headers_mut().insert(http::header::WWW_AUTHENTICATE, auth::CHALLENGE);
    }
    refusal
}

async fn unknown_route(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    if method == Method::OPTIONS && uri.path() == "*" {
        // About the server as a whole (RFC 9110, 9.3.7).
        return (StatusCode::NO_CONTENT, [(ALLOW, SERVER_METHODS)]).into_response();
    }
    let path = uri.path().strip_prefix("/v1").unwrap_or_else(|| uri.path());
    let more = match path.starts_with("/realtime/") {
        // Such a key is the provider's: nothing that is done with it would come by here.
        true => {
            ". Keys for single conversations (`client_secrets`, `sessions`) are not made for models \
             of the gateway: connect to /v1/realtime with a key of the gateway, or ask OpenAI for \
             one by /openai/v1/realtime/client_secrets"
        }
        false => "",
    };
    let message = format!("Unknown route: {method} {}{more}", shortened(uri.path()));
    refused(404, "unknown_route", &message, &uri, &headers)
}

/// The router adds the `Allow` header.
async fn wrong_method(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    if method == Method::OPTIONS {
        return StatusCode::NO_CONTENT.into_response();
    }
    let message = format!("Method {method} is not allowed for {}", shortened(uri.path()));
    refused(405, "method_not_allowed", &message, &uri, &headers)
}

async fn only_post(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    if method == Method::POST {
        // Not one that the gateway knows, such as a path whose model is empty.
        return unknown_route(method, uri, headers).await;
    }
    let mut refusal = wrong_method(method, uri, headers).await;
    refusal.headers_mut().insert(ALLOW, http::HeaderValue::from_static("POST, OPTIONS"));
    refusal
}

fn refused(status: u16, code: &str, message: &str, uri: &Uri, headers: &HeaderMap) -> Response {
    let kind = "invalid_request_error";
    let request_id = request_id(headers);
    let problem = Problem { status, kind, code, message, param: None, request_id, telling: None };
    problem.response(ClientDialect::of_path(uri.path()))
}

pub(crate) fn request_id(headers: &HeaderMap) -> Option<&str> {
    headers.get(REQUEST_ID)?.to_str().ok()
}

/// The part of a client's text that is worth repeating to it.
pub(crate) fn shortened(text: &str) -> String {
    const CHARS_MAX: usize = 200;
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}...", text.split_at(end).0),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
