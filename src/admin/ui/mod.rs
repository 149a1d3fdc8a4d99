//! The dashboard: its files, sessions of browsers, and what its pages ask for beside LiteLLM's
//! management routes. `docs/ui-api.md` has the shapes.
//!
//! ```text
//! pages.rs      the files, as they are in the program
//! login.rs      the routes of a session
//! sessions.rs   what a cookie stands for: asked by the gate, and by the gateway for calls to models
//! throttle.rs   how often wrong keys may be tried
//! overview.rs   a span of time at one look, from sums
//! live.rs       what happens now, as events
//! deployments.rs, requests.rs, config.rs   what can be called; single requests; what is in force
//! shapes.rs     what several answers have in common
//! ```

mod config;
mod deployments;
mod live;
mod login;
mod overview;
mod pages;
mod requests;
mod sessions;
mod shapes;
mod throttle;

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::routing::get;

pub use self::sessions::Sessions;
use super::Shared;
use super::reports::Reports;

/// What a request's connection says of who sends it. The gateway puts it into the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Visitor {
    /// The client's address, where it has one.
    pub ip: Option<IpAddr>,
    /// The request came by TLS, to here or to the proxy in front.
    pub is_secure: bool,
}

/// What the routes work with.
struct Ui {
    shared: Arc<Shared>,
    reports: Arc<Reports>,
}

/// The routes.
pub(super) fn router<S: Clone + Send + Sync + 'static>(
    shared: &Arc<Shared>,
    reports: &Arc<Reports>,
) -> Router<S> {
    let ui = Arc::new(Ui { shared: Arc::clone(shared), reports: Arc::clone(reports) });
    let data = Router::new()
        .route("/ui/api/overview", get(overview::overview))
        .route("/ui/api/live", get(live::live))
        .route("/ui/api/deployments", get(deployments::list))
        .route("/ui/api/config", get(config::show))
        .route("/ui/api/requests", get(requests::list))
        .route("/ui/api/requests/{id}", get(requests::one))
        .with_state(ui);
    Router::new()
        .route("/ui", get(pages::page))
        .route("/ui/", get(pages::page))
        .route("/ui/{*path}", get(pages::page))
        .route("/ui/api/session", get(login::show).post(login::begin).delete(login::end))
        .with_state(Arc::clone(shared))
        .merge(data)
}
