//! One entry of `model_list`, ready to be called.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use serde_json::value::RawValue;

use super::capability::Capabilities;
use super::fleet::{Fleet, HealthCheck};
use super::identity::Authorisation;
use super::price::Price;
use super::price_book::PriceBook;
use crate::dialect::{CachePoint, Dialect, Endpoint, Quirks, ResponsesApi};
use crate::mapping::Mapping;
use crate::wildcard::filled;

/// The stable name of a deployment: `model_info.id`, or a hash of what it calls.
pub type DeploymentId = Arc<str>;

/// One entry of `model_list`: a provider, a model, credentials and limits.
#[derive(Clone, Debug)]
pub struct Deployment {
    pub id: DeploymentId,
    /// The same for all that ask one provider, at one address, with one credential: one of their
    /// ids. What the provider keeps for one of them, all of them can use. Set by the catalog.
    pub account: DeploymentId,
    /// `model_name`: the group this deployment belongs to. May hold a `*`.
    pub group: Arc<str>,
    /// LiteLLM's name of the provider: `openai`, `azure`, `groq`.
    pub provider: Arc<str>,
    pub dialect: Dialect,
    pub quirks: Quirks,
    /// How the bodies of a provider are made and read that the configuration describes.
    pub mapping: Option<Arc<Mapping>>,
    pub responses: ResponsesApi,
    /// The provider's model (Azure: the deployment name), without the provider prefix. A `*` is
    /// replaced by what the group's `*` matched.
    pub model: Arc<str>,
    pub target: Target,
    pub weight: Option<f64>,
    /// Lower goes first; higher ones serve when no lower one can.
    pub order: Option<i64>,
    /// Requests per minute.
    pub rpm: Option<u64>,
    /// Tokens per minute.
    pub tpm: Option<u64>,
    /// Attempts in flight at one time.
    pub max_parallel_requests: Option<u32>,
    pub caps: Caps,
    /// How its health is checked; `None`: by traffic alone.
    pub check: Option<HealthCheck>,
    pub timeouts: Timeouts,
    /// Overrides the router's `num_retries` when this deployment failed.
    pub num_retries: Option<u32>,
    /// Overrides the router's `cooldown_time`.
    pub cooldown: Option<Duration>,
    /// Default parameters of the body, in the order written: used where the client sent none.
    pub defaults: Vec<(Box<str>, Box<RawValue>)>,
    /// Body parameters removed before the call (`additional_drop_params`).
    pub drop_params: Vec<Box<str>>,
    /// Body parameters sent although the model is known to refuse them (`allowed_openai_params`).
    pub allowed_params: Vec<Box<str>>,
    /// Whether parameters that the model refuses are left out (`drop_params`); `None`: as for all.
    pub drops_refused: Option<bool>,
    /// Where marks for the prompt cache are put (`cache_control_injection_points`).
    pub cache_points: Vec<CachePoint>,
    pub tags: Vec<Box<str>>,
    /// `silent_model`: what gets a copy of every request that is sent here.
    pub silent_model: Option<Arc<str>>,
    /// Serves the pass-through path of its provider (`use_in_pass_through`).
    pub passes_through: bool,
    pub info: ModelInfo,
}

/// The deployment that answered.
#[derive(Clone, Debug)]
pub struct Served {
    pub deployment: Arc<Deployment>,
    /// The group it was chosen from: another one than asked for after a fallback.
    pub group: Arc<str>,
    /// The provider's model, with `*` replaced.
    pub model: Arc<str>,
}

impl Deployment {
    /// The model to name to the provider. Where it is written with a `*`, that stands for what the
    /// group's `*` matched.
    #[must_use]
    pub fn upstream_model(&self, captured: Option<&str>) -> Arc<str> {
        let Some(captured) = captured.filter(|_| self.is_wildcard()) else {
            return Arc::clone(&self.model);
        };
        // The group `*` matches whole names; the provider's prefix is not part of its model.
        let captured = captured
            .strip_prefix(&*self.provider)
            .and_then(|model| model.strip_prefix('/'))
            .filter(|_| &*self.group == "*")
            .unwrap_or(captured);
        filled(&self.model, captured).map_or_else(|| Arc::clone(&self.model), Arc::from)
    }

    /// What `model`, the one that was called, costs here. A wildcard deployment has as many prices
    /// as models; they are looked up in `book`.
    #[must_use]
    pub fn price(&self, model: &str, book: &PriceBook) -> Option<Arc<Price>> {
        let listed = || book.get(&self.provider, model).and_then(|listed| listed.price.clone());
        self.info.price.clone().or_else(|| if self.is_wildcard() { listed() } else { None })
    }

    /// How many tokens `model`, the one that is called, generates at most.
    #[must_use]
    pub fn max_output_tokens(&self, model: &str, book: &PriceBook) -> Option<u64> {
        let listed = || book.get(&self.provider, model).and_then(|listed| listed.max_output_tokens);
        self.info.max_output_tokens.or_else(|| if self.is_wildcard() { listed() } else { None })
    }

    /// Whether it calls whatever model the client names.
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        self.model.contains('*')
    }
}

/// Where a deployment's requests go: everything that does not change from request to request.
#[derive(Clone, Debug)]
pub struct Target {
    pub tls: bool,
    /// Host name or address, without port; IPv6 without brackets.
    pub host: Box<str>,
    pub port: u16,
    /// `Host` header / `:authority`: the port is left out where it is the scheme's own.
    pub authority: HeaderValue,
    /// What all paths of the provider's API begin with: `/v1`, or nothing.
    pub root: Box<str>,
    /// Path and query for each endpoint, by [`Endpoint::index`]. `{model}` in it stands for the
    /// upstream model (Azure's deployment path). `None`: the provider has no such API.
    pub paths: [Option<Box<str>>; Endpoint::ALL.len()],
    /// The path of a streamed chat, where it is another than that of a whole reply.
    pub stream_path: Option<Box<str>>,
    /// Credentials, version headers, then `extra_headers`. Credentials are marked sensitive.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// What is added to each request when it is sent; `None`: `headers` say all.
    pub authorisation: Option<Authorisation>,
    /// Shown in metrics and to operators: no credentials, no query.
    pub api_base: Box<str>,
    /// Verify the certificate (`ssl_verify`).
    pub verify_tls: bool,
    /// PEM file of the authorities to trust instead of the system's.
    pub ca_file: Option<Box<str>>,
    /// Further servers of the same kind. What is above is that of the first.
    pub fleet: Option<Fleet>,
    /// Speak HTTP/2 where the upstream offers it. Over cleartext this is prior knowledge.
    pub http2: bool,
}

/// Limits that a deployment shares with others, and how limits are kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Caps {
    /// Requests per minute over all deployments of the provider (`rate_limit_settings`).
    pub provider_rpm: Option<u64>,
    /// Tokens per minute over all of them.
    pub provider_tpm: Option<u64>,
    /// The provider has a budget (`provider_budget_config`).
    pub has_budget: bool,
    /// It has one itself (`max_budget`).
    pub has_own_budget: bool,
    /// The share of a limit from which on other deployments go first.
    pub near: f64,
    /// For how long the provider's own word about what is left is believed; `None`: not at all.
    pub believe: Option<Duration>,
}

impl Default for Caps {
    fn default() -> Self {
        Self {
            provider_rpm: None,
            provider_tpm: None,
            has_budget: false,
            has_own_budget: false,
            near: 0.9,
            believe: Some(Duration::from_secs(60)),
        }
    }
}

/// Timeouts of one attempt; `None` leaves it to the router's settings.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timeouts {
    /// `timeout`: the whole attempt when not streaming, the wait for the head when streaming.
    pub request: Option<Duration>,
    /// `stream_timeout`: the longest silence of a stream, the wait for its first frame included.
    pub stream: Option<Duration>,
}

/// What is known of the model behind a deployment: `model_info` over the price book.
#[derive(Clone, Debug, Default)]
pub struct ModelInfo {
    /// `chat`, `embedding`, `completion`, ... as LiteLLM writes it.
    pub mode: Option<Box<str>>,
    /// Name under which price and limits are looked up (`base_model`).
    pub base_model: Option<Box<str>>,
    pub price: Option<Arc<Price>>,
    pub max_input_tokens: Option<u64>,
    pub max_output_tokens: Option<u64>,
    pub capabilities: Capabilities,
    /// Names under which keys may be given it along with others (`access_groups`).
    pub access_groups: Vec<Arc<str>>,
    /// What the operator says it is good at (`metadata.capabilities`).
    pub names: Vec<Box<str>>,
    /// What the operator expects a reply to take (`metadata.latency`), until it was measured.
    pub expected_latency: Option<Duration>,
    /// Where it stands (`region_name`).
    pub region: Option<Box<str>>,
    /// Everything written under `model_info`, for `/model/info`.
    pub written: serde_json::Map<String, serde_json::Value>,
}
