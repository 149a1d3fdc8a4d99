//! Sends one request to a receiver and says what its answer means for what was in it.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode};

use crate::outbound::{self, Bounds, causes};

/// One attempt.
const BOUNDS: Bounds = Bounds { time: Duration::from_secs(10), answer: 4 * 1024 * 1024 };

/// What became of one request.
#[derive(Debug)]
pub(super) enum Outcome {
    Taken(Answer),
    /// The receiver does not take what is in it, or not so much at once. It will be no better another
    /// time.
    Refused(Answer),
    /// It may be better another time; perhaps with how long to wait.
    NotNow(String, Option<Duration>),
}

/// What a receiver says of what it was sent.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
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
        let (status, pause) = (answer.status, answer.pause());
        let answer = Answer { status, body: answer.body.unwrap_or_default() };
        match status.as_u16() {
            200..=299 => Outcome::Taken(answer),
            // What is in it is wrong, or too much. Anything else may be put right: a key that is not
            // accepted, an address where nothing is, a bucket that is not there yet.
            400 | 413 | 422 => Outcome::Refused(answer),
            _ => Outcome::NotNow(status.to_string(), pause),
        }
    }
}
