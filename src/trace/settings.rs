//! Where traces go and what they may hold, as configuration and environment say.

use std::time::Duration;

use http::HeaderName;

use super::sampler::Sampler;
use crate::secret::Secret;

/// How traces are made and sent.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Takes OTLP as protobuf over HTTP. A secret, because it may hold a password.
    pub endpoint: Secret,
    /// Of every request to it.
    pub headers: Vec<(HeaderName, Secret)>,
    /// One attempt to send.
    pub timeout: Duration,
    /// Who we are: `service.name` and whatever else describes the process.
    pub resource: Vec<(Box<str>, Box<str>)>,
    pub sampler: Sampler,
    /// Spans hold what was asked and answered.
    pub content: bool,
    /// Spans do not say who called.
    pub anonymous: bool,
    /// Providers are told of the trace.
    pub forwards: bool,
    /// Requests that may wait to be sent; looked at when the process starts.
    pub queue: usize,
    /// The most requests that are sent together.
    pub batch: usize,
    /// How long a request waits for company.
    pub delay: Duration,
}
