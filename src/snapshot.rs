//! The configuration in force: one immutable value, swapped whole.
//!
//! A request takes one `Arc<Snapshot>` at its start and sees one configuration to its end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::admission;
use crate::alerts;
use crate::cache;
use crate::callbacks;
use crate::catalog::{Catalog, PriceBook};
use crate::edge;
use crate::guard::{Guardrails, Redaction};
pub use crate::keys::Access;
use crate::keys::Issuing;
use crate::routing;
use crate::store;
use crate::trace;

/// Everything that the configuration file says, resolved.
#[derive(Debug)]
pub struct Snapshot {
    pub catalog: Catalog,
    /// What models cost that no deployment names: those that a `*` stands for.
    pub prices: Arc<PriceBook>,
    pub routing: routing::Settings,
    /// What is decided by name, before the catalog is asked.
    pub rules: routing::rules::Rules,
    pub access: Access,
    /// What new keys, users and teams are to be like.
    pub issuing: Arc<Issuing>,
    pub traffic: Traffic,
    pub fetching: Fetching,
    /// Shared, because each connection asks for it.
    pub edge: Arc<edge::Settings>,
    pub checks: Checks,
    pub logs: Logs,
    /// What of the metrics is served.
    pub shown: Arc<Shown>,
    /// How traces are sent; `None` for not at all.
    pub traces: Option<Arc<trace::Settings>>,
    /// Who is told what is said in requests.
    pub words: Words,
    /// Who is told of requests that are over.
    pub callbacks: Arc<callbacks::Settings>,
    /// Where keys and spend are kept; looked at when the process starts.
    pub store: store::Settings,
    pub spending: Spending,
    /// Whether and how replies are kept; `None` for not at all.
    pub cache: Option<cache::Settings>,
    /// Who looks at requests and replies.
    pub guardrails: Arc<Guardrails>,
    /// Limits and budgets.
    pub admission: admission::Policy,
    /// Where limits and budgets are shared; looked at when the process starts.
    pub redis: Option<store::redis::RedisPlace>,
    /// Who is told of what goes wrong, and of budgets.
    pub alerts: Arc<alerts::Settings>,
    /// The pages at `/ui`.
    pub dashboard: Arc<Dashboard>,
    /// What `check` warned about, one line each.
    pub warnings: Vec<Arc<str>>,
}

impl Snapshot {
    /// Whether anybody is told what is said in a request. `by_own`: its key or its team has callbacks.
    #[must_use]
    pub fn transcribes(&self, by_own: bool) -> bool {
        let traced = self.traces.as_ref().is_some_and(|traces| traces.content);
        let called = self.callbacks.wants_text && (by_own || !self.callbacks.sinks.is_empty());
        !self.words.off && (traced || self.words.stored.is_some() || called)
    }
}

/// What of all that is said may be told, whoever is told.
#[derive(Debug, Default)]
pub struct Words {
    /// Nobody is told anything.
    pub off: bool,
    /// A request may say that nobody is to be told of it.
    pub heeds_requests: bool,
    /// What is to be read nowhere.
    pub redaction: Option<Redaction>,
    /// It is stored, with texts up to so many bytes.
    pub stored: Option<usize>,
    /// How old what is stored may become; `None` for no bound.
    pub keep: Option<Duration>,
}

/// Bounds and timeouts of the data path.
#[derive(Debug)]
pub struct Traffic {
    pub max_request_bytes: usize,
    /// Bound of a reply that is held in memory (not streamed).
    pub max_response_bytes: usize,
    /// The whole request, all attempts included.
    pub total_timeout: Duration,
    pub connect_timeout: Duration,
    /// The whole head of a request, from its first byte; the first byte of a connection too.
    pub client_header_timeout: Duration,
    /// Longest silence while a client sends its body.
    pub client_body_timeout: Duration,
    /// From the request's last byte to the head of the response.
    pub first_byte_timeout: Duration,
    /// Longest silence between two frames of a stream.
    pub stream_idle_timeout: Duration,
    /// Longest silence of the target of a pass-through path.
    pub passed_idle_timeout: Duration,
    /// How long requests in flight may go on after the process was told to stop.
    pub drain_timeout: Duration,
    /// After how much silence a stream gets a `: ping`; `None` for never.
    pub heartbeat: Option<Duration>,
    /// Requests in flight at one time, over all clients; `None` for no bound.
    pub max_parallel_requests: Option<usize>,
    /// Drop parameters that a provider has no word for, instead of refusing the request.
    pub drop_params: bool,
    /// Repair requests that a provider would refuse (add a missing user turn, and so on).
    pub modify_params: bool,
    /// For how long what clients forget of a reply with tool calls is kept; `None` for not at all.
    pub tool_call_memory: Option<Duration>,
    /// Certificate and key of the TLS listener (PEM files).
    pub tls: Option<(Box<str>, Box<str>)>,
}

/// What of the addresses that clients name is fetched, for providers that take data only.
#[derive(Debug)]
pub struct Fetching {
    /// Only public addresses are.
    pub validates: bool,
    /// Hosts that may be anywhere, as they stand in addresses: `host`, or `host:port`.
    pub allowed_hosts: Vec<Box<str>>,
    /// The longest thing; zero for nothing at all.
    pub max_bytes: usize,
}

/// Health checks without traffic; which deployments have one, they say themselves.
#[derive(Clone, Copy, Debug)]
pub struct Checks {
    /// Between two checks of the same deployment.
    pub interval: Duration,
    pub at_once: usize,
    /// A rate limit or a timeout leaves the last result as it was.
    pub ignores_transient: bool,
}

/// What becomes of what requests spend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spending {
    /// How often the database gets what is new.
    pub batch_every: Duration,
    /// How old a row may become; `None` for no bound.
    pub keep: Option<Duration>,
    /// How old the sum of a quarter of an hour may become; `None` for no bound.
    pub keep_sums: Option<Duration>,
    /// How old an entry of the audit log may become; `None` for no bound.
    pub keep_audit: Option<Duration>,
    /// How often what is older is removed.
    pub forget_every: Duration,
    /// Requests that failed and cost nothing have rows, too.
    pub keeps_errors: bool,
    /// Requests are refused while the disk takes no record of them.
    pub fails_closed: bool,
}

/// The pages at `/ui`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dashboard {
    pub enabled: bool,
    /// What savings are measured against: a name that clients may use, or one of the price book.
    pub baseline_model: Option<Box<str>>,
    /// After which a browser has to log in again.
    pub session_duration: Duration,
}

impl Default for Dashboard {
    fn default() -> Self {
        let session_duration = Duration::from_secs(12 * 60 * 60);
        Self { enabled: true, baseline_model: None, session_duration }
    }
}

/// What of the metrics is served. Names are as they are exported, or without `_total`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// Of LiteLLM's metrics only these; `None`: all of them.
    pub only: Option<BTreeMap<Box<str>, Labels>>,
    pub without_metrics: Vec<Box<str>>,
    pub without_labels: Vec<Box<str>>,
    /// What requests, tokens and money are counted by besides.
    pub custom: Vec<CustomLabel>,
}

/// A label that the configuration adds to metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomLabel {
    pub name: Box<str>,
    pub of: LabelOf,
}

/// Where the value of such a label is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LabelOf {
    /// A field of the metadata, the names on the way to it.
    Metadata(Vec<Box<str>>),
    /// Whether the request has a tag; `*` stands for anything.
    Tag(Box<str>),
}

/// Which labels a metric has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Labels {
    All,
    Only(Vec<Box<str>>),
}

/// What is written to the log.
#[derive(Debug)]
pub struct Logs {
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: Box<str>,
    /// JSON lines instead of text.
    pub json: bool,
    /// One line per request.
    pub access_log: bool,
    /// File for the access log; `None` is standard output.
    pub file: Option<Box<str>>,
}
