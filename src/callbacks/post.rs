//! Sends one request to a receiver and says what its answer means for what was in it.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};

use crate::outbound::{self, Bounds, causes};

/// One attempt.
const BOUNDS: Bounds = Bounds { time: Duration::from_secs(10), answer: 4 * 1024 * 1024 };

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
    /// Empty where it could not be read.
    pub(super) body: Bytes,
}

/// Sends requests.
#[derive(Clone, Debug)]
pub(super) struct Client(reqwest::Client);

impl Client {
    /// # Errors
    /// The system has no usable authorities.
    pub(super) fn new() -> Result<Self, String> {
        outbound::client().build().map(Self).map_err(|error| causes(&error))
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
        let answer = match outbound::ask(request, BOUNDS).await {
            Ok(answer) => answer,
            Err(failed) => return Outcome::NotNow(failed.to_string(), None),
        };
        let status = answer.status;
        match status.as_u16() {
            200..=299 => Outcome::Taken(Answer {
                status: status.as_u16(),
                body: answer.body.unwrap_or_default(),
            }),
            413 => Outcome::TooLarge,
            // What is in it is wrong. Anything else may be put right: a key that is not accepted,
            // an address where nothing is, a bucket that is not there yet.
            400 | 422 => Outcome::Refused(status.to_string()),
            _ => Outcome::NotNow(status.to_string(), answer.pause()),
        }
    }
}
