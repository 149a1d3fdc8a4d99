//! One question, one answer, in bounded time.

use std::sync::LazyLock;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::guard::NoAnswer;
use crate::outbound;

/// The longest answer that is read.
const ANSWER_MAX: usize = 16 * 1024 * 1024;

/// How long, and how many at one time.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub timeout: Duration,
    pub at_once: usize,
}

/// Shared by all: connections outlive a reload. `None`: the system has no usable authorities.
static CLIENT: LazyLock<Option<reqwest::Client>> =
    LazyLock::new(|| outbound::client().build().ok());

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
        let bounds = outbound::Bounds { time: self.bounds.timeout, answer: ANSWER_MAX };
        let failed = |failed: outbound::Failed| NoAnswer(failed.to_string());
        let answer = outbound::ask(request, bounds).await.map_err(failed)?;
        if !answer.status.is_success() {
            return Err(NoAnswer(format!("status {}", answer.status.as_u16())));
        }
        let body = answer.body.map_err(failed)?;
        serde_json::from_slice(&body).map_err(|_| NoAnswer("an answer that is no JSON".to_owned()))
    }
}
