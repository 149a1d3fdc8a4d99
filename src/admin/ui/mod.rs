//! The dashboard: its files, sessions of browsers, and what its pages ask for beside LiteLLM's
//! management routes. `docs/ui-api.md` has the shapes.
//!
//! ```text
//! pages.rs      the files, as they are in the program
//! login.rs      the routes of a session
//! sessions.rs   what a cookie stands for: asked by the gate, and by the gateway for calls to models
//! throttle.rs   how often wrong keys may be tried
//! ```

mod login;
mod pages;
mod sessions;
mod throttle;

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::routing::get;

pub use self::sessions::Sessions;
use super::Shared;

/// What a request's connection says of who sends it. The gateway puts it into the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Visitor {
    /// The client's address, where it has one.
    pub ip: Option<IpAddr>,
    /// The request came by TLS, to here or to the proxy in front.
    pub is_secure: bool,
}

/// The routes.
pub(super) fn router() -> Router<Arc<Shared>> {
    Router::new()
        .route("/ui", get(pages::page))
        .route("/ui/", get(pages::page))
        .route("/ui/{*path}", get(pages::page))
        .route("/ui/api/session", get(login::show).post(login::begin).delete(login::end))
}
