//! `POST /config/reload`: the configuration file again, now, with the outcome as the answer.
//!
//! What a reload is lies elsewhere; the routes know it by the trait [`Operations`].

use std::sync::Arc;
use std::time::SystemTime;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use serde::Serialize;
use serde_json::json;

use super::{ClientDialect, Problem, Shared, request_id};
use crate::keys::record::Model;
use crate::telemetry::rfc3339;

/// What an operator may do to the running process.
pub trait Operations: Send + Sync + 'static {
    /// Reads the configuration file again. Blocks for as long as that takes.
    fn reload(&self) -> ReloadOutcome;
    /// Whether a deployment of the database would work beside the file and the others, or the rest
    /// without it if it is not among them; else a line for each problem. What is wrong with others does
    /// not matter. Blocks.
    fn check_deployments(&self, models: &[Model], changed: &str) -> Result<(), Vec<String>>;
    /// Puts them into force, instead of those of before. Blocks.
    fn use_deployments(&self, models: &[Model]) -> ReloadOutcome;
    /// What does not work as it is written in the configuration in force, a line each: in the file, or of
    /// the database.
    fn warnings(&self) -> Vec<Arc<str>>;
    /// The file that is read; `None`: the gateway was started without one.
    fn file(&self) -> Option<String>;
    /// The options that are written (`section.option`), with what is written where that is no secret and
    /// fits on a line.
    fn options(&self) -> Vec<(Box<str>, Option<Box<str>>)>;
    /// How the last reload went, if there was one.
    fn last_reload(&self) -> Option<LastReload>;
}

/// What became of a reload.
#[derive(Debug)]
pub enum ReloadOutcome {
    /// The file is good and in force.
    Done(Changes),
    /// It is not, and nothing is changed; a line for each problem.
    Refused(Vec<String>),
    /// The gateway was started without a file.
    NoFile,
}

/// What a reload changed: names only, no values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    pub deployments_added: Vec<Arc<str>>,
    pub deployments_removed: Vec<Arc<str>>,
    pub deployments_changed: Vec<Arc<str>>,
    /// `section.option`.
    pub options_changed: Vec<Box<str>>,
    /// Those of them that have no effect before a restart.
    pub needs_restart: Vec<Box<str>>,
    /// The TLS certificate is another one.
    pub certificate_changed: bool,
}

impl Changes {
    /// Whether the file says what was in force before.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// How the last reload went.
#[derive(Clone, Copy, Debug)]
pub struct LastReload {
    pub at: SystemTime,
    pub succeeded: bool,
}

impl LastReload {
    /// For pages that are open to everybody: without the problems, which may name what is inside.
    pub(super) fn shown(self) -> serde_json::Value {
        let result = if self.succeeded { "success" } else { "failure" };
        json!({"result": result, "at": rfc3339(self.at)})
    }
}

pub(super) async fn reload(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let Some(operations) = shared.operations.clone() else {
        return refused(&headers, "no_configuration_file", &[NO_FILE.to_owned()]);
    };
    // Reading a thousand deployments takes tens of milliseconds; no request may wait behind it.
    let done = tokio::task::spawn_blocking(move || (operations.reload(), operations.warnings()));
    match done.await {
        Ok((ReloadOutcome::Done(changes), warnings)) => Json(json!({
            "status": "reloaded",
            "unchanged": changes.is_empty(),
            "changes": changes,
            "warnings": warnings,
        }))
        .into_response(),
        Ok((ReloadOutcome::Refused(problems), _)) => {
            refused(&headers, "invalid_configuration", &problems)
        }
        Ok((ReloadOutcome::NoFile, _)) => {
            refused(&headers, "no_configuration_file", &[NO_FILE.to_owned()])
        }
        Err(error) => {
            tracing::error!(%error, "the reload broke");
            let problem = Problem {
                status: 500,
                kind: "internal_server_error",
                code: "internal_error",
                message: "The reload broke; the log has the reason.",
                param: None,
                request_id: request_id(&headers),
                telling: None,
            };
            problem.response(ClientDialect::OpenAi)
        }
    }
}

const NO_FILE: &str = "the gateway was started without a configuration file";

fn refused(headers: &HeaderMap, code: &str, problems: &[String]) -> Response {
    let message = format!("Nothing is changed: {}", problems.join("; "));
    let problem = Problem {
        status: 400,
        kind: "invalid_request_error",
        code,
        message: &message,
        param: None,
        request_id: request_id(headers),
        telling: None,
    };
    problem.response(ClientDialect::OpenAi)
}
