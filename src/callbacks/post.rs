//! Sends one request to a receiver and says what its answer means for what was in it.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderName, HeaderValue, Method};
use reqwest::redirect::Policy;

/// One attempt, from the connection to the end of the answer.
const ATTEMPT_MAX: Duration = Duration::from_secs(10);
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// The longest answer that is read.
const ANSWER_MAX: usize = 4 * 1024 * 1024;

/// What became of one request.
#[derive(Debug)]
pub(super) enum Outcome {
    Taken(Answer),
    /// It is larger than the receiver takes.
    TooLarge,
    /// It will be no better another time.
    Refused(String),
    /// It may be better another time; perhaps with how long to wait.
    NotNow(String, Option<Duration>),
}

/// An answer of success.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// Sends requests. Redirects are not followed: what is sent is for the address that is written.
#[derive(Clone, Debug)]
pub(super) struct Client(reqwest::Client);

impl Client {
    /// # Errors
    /// The system has no usable authorities.
    pub(super) fn new() -> Result<Self, String> {
        // What is installed already is as good.
        rustls::crypto::ring::default_provider().install_default().ok();
        let client = reqwest::Client::builder().redirect(Policy::none());
        let client = client.user_agent(concat!("tollgate/", env!("CARGO_PKG_VERSION")));
        let client = client.connect_timeout(CONNECT_MAX).timeout(ATTEMPT_MAX).build();
        client.map(Self).map_err(|error| told(&error))
    }

    pub(super) async fn send(
        &self,
        method: Method,
        url: &str,
        headers: impl IntoIterator<Item = (HeaderName, HeaderValue)>,
        body: Bytes,
    ) -> Outcome {
        let mut request = self.0.request(method, url).body(body);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let mut answer = match request.send().await {
            Ok(answer) => answer,
            // The address may hold a password, and is in the error otherwise.
            Err(error) => return Outcome::NotNow(told(&error.without_url()), None),
        };
        let status = answer.status();
        let wait = answer.headers().get(RETRY_AFTER).and_then(|wait| wait.to_str().ok());
        let wait = wait.and_then(|wait| wait.trim().parse().ok()).map(Duration::from_secs);
        let mut said = Vec::new();
        while let Ok(Some(chunk)) = answer.chunk().await {
            said.extend_from_slice(&chunk);
            if said.len() > ANSWER_MAX {
                break;
            }
        }
        match status.as_u16() {
            200..=299 => Outcome::Taken(Answer { status: status.as_u16(), body: said }),
            413 => Outcome::TooLarge,
            // What is in it is wrong. Anything else may be put right: a key that is not accepted,
            // an address where nothing is, a bucket that is not there yet.
            400 | 422 => Outcome::Refused(status.to_string()),
            _ => Outcome::NotNow(status.to_string(), wait),
        }
    }
}

/// An error with its causes: the first one seldom says what it was.
fn told(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}
