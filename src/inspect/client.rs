//! One question, one answer, in bounded time.

use std::sync::LazyLock;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::guard::NoAnswer;

/// The longest answer that is read.
const ANSWER_MAX: usize = 16 * 1024 * 1024;

/// How long, and how many at one time.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub timeout: Duration,
    pub at_once: usize,
}

/// Shared by all: connections outlive a reload. `None`: the system has no usable authorities.
static CLIENT: LazyLock<Option<reqwest::Client>> = LazyLock::new(|| {
    // What is installed already is as good; other code of this process may be first.
    rustls::crypto::ring::default_provider().install_default().ok();
    reqwest::Client::builder()
        .redirect(Policy::none())
        .user_agent(concat!("tollgate/", env!("CARGO_PKG_VERSION")))
        .build()
        .ok()
});

/// Asks one service.
#[derive(Debug)]
pub(super) struct Client {
    bounds: Bounds,
    turns: Semaphore,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Client {
    pub(super) fn new(bounds: Bounds, headers: Vec<(HeaderName, HeaderValue)>) -> Self {
        Self { bounds, turns: Semaphore::new(bounds.at_once), headers }
    }

    /// Posts a question.
    pub(super) async fn post(&self, url: &str, question: &Value) -> Result<Value, NoAnswer> {
        let waited = tokio::time::timeout(self.bounds.timeout, self.exchange(url, question)).await;
        waited.unwrap_or_else(|_elapsed| {
            Err(NoAnswer(format!("no answer within {} seconds", self.bounds.timeout.as_secs_f64())))
        })
    }

    async fn exchange(&self, url: &str, question: &Value) -> Result<Value, NoAnswer> {
        // Never closed.
        let _turn = self.turns.acquire().await.map_err(|_| NoAnswer("closed".to_owned()))?;
        let client = CLIENT.as_ref();
        let client = client.ok_or_else(|| NoAnswer("no certificate authorities".to_owned()))?;
        let mut request = client
            .post(url)
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(question.to_string());
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let failed = |error: reqwest::Error| NoAnswer(error.without_url().to_string());
        let mut response = request.send().await.map_err(failed)?;
        let status = response.status();
        if !status.is_success() {
            return Err(NoAnswer(format!("status {}", status.as_u16())));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > ANSWER_MAX {
                return Err(NoAnswer(format!("an answer of more than {ANSWER_MAX} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&body).map_err(|_| NoAnswer("an answer that is no JSON".to_owned()))
    }
}
