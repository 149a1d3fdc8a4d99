//! Everything that is known of one request when it is over.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::Method;
use serde::{Serialize, Serializer};

use crate::catalog::{Deployment, Served};
use crate::dialect::{ClientDialect, Endpoint};
use crate::failure::FailureClass;
use crate::keys::{Caller, Principal};
use crate::money::Usd;
use crate::trace::TraceId;
use crate::usage::Usage;

/// One finished request.
#[derive(Clone, Debug)]
pub struct RequestRecord {
    /// `x-request-id`: the client's, or ours if it sent none.
    pub request_id: ClientText,
    /// `x-litellm-call-id`: the client's, or ours if it sent none.
    pub call_id: ClientText,
    /// The trace that its spans are sent in, if they are.
    pub trace: Option<TraceId>,
    pub started: SystemTime,
    pub durations: Durations,
    pub route: Route,
    pub method: Method,
    /// The path as the client wrote it, without the query.
    pub path: ClientText,
    /// The status that the client got. 499 if it left before there was one.
    pub status: u16,
    pub stream: bool,
    /// A copy of a request, sent beside it (`silent_model`); no client saw the answer.
    pub shadow: bool,
    /// It asked for the vector of a question, for the cache.
    pub for_cache: bool,
    /// The model name as the client wrote it. For the log only: any text may stand here.
    pub model_asked: Option<ClientText>,
    /// The name in the configuration that `model_asked` stands for; `None` if nothing is known by
    /// that name. For a wildcard this is the group as written (`openai/*`).
    pub group_asked: Option<Arc<str>>,
    /// What answered; `None` if nothing did.
    pub served: Option<Served>,
    pub usage: Option<Usage>,
    pub cost: Option<Usd>,
    /// What the cache had to do with it; `None` if it was not looked into.
    pub cache: Option<CacheUse>,
    /// Labels of the metrics that the configuration adds.
    pub labels: Vec<(Box<str>, String)>,
    /// The guardrails that applied.
    pub guardrails: Vec<Arc<str>>,
    /// What they found: guardrail and kind of thing. Never the thing itself.
    pub findings: Vec<(Arc<str>, Arc<str>)>,
    /// In the order in which they were made.
    pub attempts: Vec<Attempt>,
    pub retries: u32,
    pub fallbacks: u32,
    pub client: Client,
    /// Set whenever the client did not get the whole reply, also if the status is 200 (a stream
    /// that broke after its head was sent).
    pub error: Option<ErrorRecord>,
    /// Body bytes read from the client.
    pub bytes_in: u64,
    /// Body bytes written to the client.
    pub bytes_out: u64,
}

impl RequestRecord {
    /// A request of which nothing is known yet but when and on which route it came.
    #[must_use]
    pub fn new(started: SystemTime, route: Route, method: Method) -> Self {
        Self {
            request_id: ClientText::default(),
            call_id: ClientText::default(),
            trace: None,
            started,
            durations: Durations::default(),
            route,
            method,
            path: ClientText::default(),
            status: 0,
            stream: false,
            shadow: false,
            for_cache: false,
            model_asked: None,
            group_asked: None,
            served: None,
            usage: None,
            cost: None,
            cache: None,
            labels: Vec::new(),
            guardrails: Vec::new(),
            findings: Vec::new(),
            attempts: Vec::new(),
            retries: 0,
            fallbacks: 0,
            client: Client::default(),
            error: None,
            bytes_in: 0,
            bytes_out: 0,
        }
    }

    /// The client did not get the whole of a successful reply.
    #[must_use]
    pub const fn failed(&self) -> bool {
        self.status >= 400 || self.error.is_some()
    }

    /// It failed, and not by its client's doing. A reply that ended early has a good status all the same:
    /// it broke off, unless its client left or what it said was refused.
    #[must_use]
    pub fn is_servers_fault(&self) -> bool {
        let by_client = ["client_closed", "guardrail", "content_policy"];
        let broke_off = || self.error.as_ref().is_some_and(|it| !by_client.contains(&it.class));
        self.status >= 500 || (self.status < 400 && broke_off())
    }
}

/// What the cache had to do with a request.
#[derive(Clone, Debug)]
pub enum CacheUse {
    Miss,
    Hit {
        /// The name of the reply.
        key: Arc<str>,
        /// How near the question is to the one that was answered; `None`: it is the same.
        similarity: Option<f64>,
        /// The tokens that the reply used when it was made.
        tokens: u64,
        /// What it cost then.
        saved: Usd,
    },
}

/// Where the time went.
#[derive(Clone, Copy, Debug, Default)]
pub struct Durations {
    /// From the request's first byte to the reply's last.
    pub total: Duration,
    /// Spent waiting for providers; `None` if none was called.
    pub upstream: Option<Duration>,
    /// Added by the gateway itself.
    pub overhead: Duration,
    /// From the request's first byte to the first frame with content.
    pub ttft: Option<Duration>,
    /// Spent waiting for a place among those in flight; `None` where nothing bounds them.
    pub queued: Option<Duration>,
}

/// One try on one deployment.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub deployment: Arc<Deployment>,
    pub group: Arc<str>,
    pub outcome: Outcome,
    /// The provider's status; `None` if there was no response head.
    pub status: Option<u16>,
    pub began: Instant,
    pub duration: Duration,
    /// The failure put the deployment into cooldown.
    pub cooled_down: bool,
    /// `x-ratelimit-remaining-requests` of the provider.
    pub remaining_requests: Option<u64>,
    /// `x-ratelimit-remaining-tokens` of the provider.
    pub remaining_tokens: Option<u64>,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Success,
    Failed(FailureClass),
    /// The client left first: neither success nor failure of the deployment.
    Cancelled,
}

impl Outcome {
    /// One word for labels and log lines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failed(class) => class_name(class),
            Self::Cancelled => "cancelled",
        }
    }
}

/// Who called.
#[derive(Clone, Debug, Default)]
pub struct Client {
    pub ip: Option<IpAddr>,
    pub user_agent: Option<ClientText>,
    /// `None`: no key, or none that is known.
    pub caller: Option<Caller>,
    /// Who the client calls for. For the log only: any text may stand here.
    pub end_user: Option<ClientText>,
    /// The client closed the connection before it had the whole reply.
    pub disconnected: bool,
}

impl Client {
    /// Which kind of key it was.
    #[must_use]
    pub const fn key(&self) -> KeyKind {
        match &self.caller {
            None | Some(Caller::Anonymous) => KeyKind::None,
            Some(Caller::Master) => KeyKind::Master,
            Some(Caller::Key(_)) => KeyKind::Virtual,
        }
    }

    /// What is known of the key's holder.
    #[must_use]
    pub fn holder(&self) -> Option<&Principal> {
        self.caller.as_ref().and_then(Caller::principal).map(|holder| &**holder)
    }
}

/// Which kind of key a request was let in with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyKind {
    /// No key, or none that is known.
    #[default]
    None,
    Master,
    Virtual,
}

/// The error that the client saw.
#[derive(Clone, Debug)]
pub struct ErrorRecord {
    /// From a closed list: a [`class_name`], or the gateway's own word. Becomes a metric label.
    pub class: &'static str,
    /// The `code` of the error body; may come from the provider.
    pub code: ClientText,
}

/// Which family of paths a request belongs to. The label of metrics, so paths never are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Route {
    Inference(Endpoint, ClientDialect),
    /// A provider's own API, as it is.
    PassThrough,
    /// A conversation over a WebSocket.
    Realtime,
    Models,
    Health,
    Metrics,
    /// The landing page and every path that nothing answers to.
    Other,
}

impl Route {
    /// The canonical path.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inference(endpoint, dialect) => inference(endpoint, dialect),
            Self::PassThrough => "pass-through",
            Self::Realtime => "/v1/realtime",
            Self::Models => "/v1/models",
            Self::Health => "/health",
            Self::Metrics => "/metrics",
            Self::Other => "other",
        }
    }
}

const fn inference(endpoint: Endpoint, dialect: ClientDialect) -> &'static str {
    match (endpoint, dialect) {
        (Endpoint::Chat, ClientDialect::OpenAi) => "/v1/chat/completions",
        (Endpoint::Chat, ClientDialect::Anthropic) => "/v1/messages",
        (Endpoint::Chat, ClientDialect::Gemini) => "/v1beta/models:generateContent",
        (Endpoint::Chat, ClientDialect::Responses) | (Endpoint::Responses, _) => "/v1/responses",
        (Endpoint::CountTokens, ClientDialect::Gemini) => "/v1beta/models:countTokens",
        (Endpoint::CountTokens, _) => "/v1/messages/count_tokens",
        (Endpoint::Completions, _) => "/v1/completions",
        (Endpoint::Embeddings, _) => "/v1/embeddings",
        (Endpoint::ImageGenerations, _) => "/v1/images/generations",
        (Endpoint::ImageEdits, _) => "/v1/images/edits",
        (Endpoint::ImageVariations, _) => "/v1/images/variations",
        (Endpoint::Transcriptions, _) => "/v1/audio/transcriptions",
        (Endpoint::Translations, _) => "/v1/audio/translations",
        (Endpoint::Speech, _) => "/v1/audio/speech",
        (Endpoint::Rerank, _) => "/v1/rerank",
        (Endpoint::Moderations, _) => "/v1/moderations",
        (Endpoint::Files, _) => "/v1/files",
        (Endpoint::Batches, _) => "/v1/batches",
    }
}

/// The name of a class of failure in labels and log lines.
#[must_use]
pub const fn class_name(class: FailureClass) -> &'static str {
    match class {
        FailureClass::BadRequest => "bad_request",
        FailureClass::ContextWindow => "context_window",
        FailureClass::ContentPolicy => "content_policy",
        FailureClass::NotFound => "not_found",
        FailureClass::Auth => "auth",
        FailureClass::Quota => "quota",
        FailureClass::RateLimited => "rate_limited",
        FailureClass::Overloaded => "overloaded",
        FailureClass::Timeout => "timeout",
        FailureClass::Connection => "connection",
        FailureClass::Server => "server",
        FailureClass::Conflict => "conflict",
    }
}

/// Text that a stranger chose, cut to a length that a log line and a queue can bear.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ClientText(Box<str>);

impl ClientText {
    /// The longest text kept, in bytes.
    pub const MAX: usize = 256;

    /// Keeps at most [`Self::MAX`] bytes, cut between two characters.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut end = text.len().min(Self::MAX);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let (kept, _) = text.split_at(end);
        Self(kept.into())
    }

    /// The same for header values and other bytes that need not be UTF-8.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        // One character has at most four bytes, so this much is enough to cut at the right place.
        let (kept, _) = bytes.split_at(bytes.len().min(Self::MAX + 4));
        Self::new(&String::from_utf8_lossy(kept))
    }

    /// The text that was kept.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Nothing was sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<&str> for ClientText {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl fmt::Debug for ClientText {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, out)
    }
}

impl Serialize for ClientText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_strangers_is_cut_between_characters() {
        let long = "ä".repeat(ClientText::MAX);
        assert_eq!(ClientText::new(&long).as_str().len(), ClientText::MAX);
        assert_eq!(ClientText::new(&format!("x{long}")).as_str().len(), ClientText::MAX - 1);
        assert_eq!(ClientText::from_bytes(long.as_bytes()), ClientText::new(&long));
        assert_eq!(ClientText::from_bytes(b"a\xffb").as_str(), "a\u{fffd}b");
    }

    #[test]
    fn a_stream_that_broke_after_its_head_counts_as_failed() {
        let mut record = RequestRecord::new(SystemTime::UNIX_EPOCH, Route::Other, Method::POST);
        record.status = 200;
        assert!(!record.failed());
        record.error = Some(ErrorRecord { class: "server", code: "upstream_cut".into() });
        assert!(record.failed());
    }
}
