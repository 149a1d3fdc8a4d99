//! How to route, as the configuration in force says it. Plain values; built by `config`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;

use crate::failure::FailureClass;

/// `router_settings` and what `litellm_settings` adds to it, after all defaults.
#[derive(Debug)]
pub struct Settings {
    pub strategy: Strategy,
    /// Further attempts in the same group after the first one.
    pub num_retries: u32,
    /// The shortest sleep before a retry on the same deployment.
    pub retry_after: Duration,
    pub retry_policy: RetryPolicy,
    pub group_retry_policy: HashMap<Arc<str>, RetryPolicy>,
    /// Failures within a minute that a deployment may have before it cools down. `None`: not
    /// written, the built-in rule decides (see `cooldown.rs`).
    pub allowed_fails: Option<u32>,
    pub allowed_fails_policy: ByClass,
    pub cooldown: Duration,
    /// The longest cooldown or wait that a provider's Retry-After may ask for.
    pub max_retry_after: Duration,
    pub disable_cooldowns: bool,
    /// General fallbacks by group. An entry for `*` serves every group without its own.
    pub fallbacks: HashMap<Arc<str>, Vec<Fallback>>,
    pub context_window_fallbacks: HashMap<Arc<str>, Vec<Fallback>>,
    pub content_policy_fallbacks: HashMap<Arc<str>, Vec<Fallback>>,
    /// The most groups that one request may fall back to.
    pub max_fallbacks: u32,
    /// `model_group_retry_policy`-like overrides of the number of retries from `fallback_config`.
    pub group_num_retries: HashMap<Arc<str>, u32>,
    /// The same for the sleep (`retry_delay`).
    pub group_retry_after: HashMap<Arc<str>, Duration>,
    /// Used for deployments that set neither `max_parallel_requests` nor rpm nor tpm.
    pub default_max_parallel_requests: Option<u32>,
    pub enable_tag_filtering: bool,
    /// Something in force looks at what a request needs; else nobody reads its body for that.
    pub reads_requests: bool,
}

/// LiteLLM's defaults, but for `max_retry_after`: there, no bound.
impl Default for Settings {
    fn default() -> Self {
        Self {
            strategy: Strategy::default(),
            num_retries: 2,
            retry_after: Duration::ZERO,
            retry_policy: RetryPolicy::default(),
            group_retry_policy: HashMap::new(),
            allowed_fails: None,
            allowed_fails_policy: ByClass::new(),
            cooldown: Duration::from_secs(5),
            max_retry_after: Duration::from_secs(60),
            disable_cooldowns: false,
            fallbacks: HashMap::new(),
            context_window_fallbacks: HashMap::new(),
            content_policy_fallbacks: HashMap::new(),
            max_fallbacks: 5,
            group_num_retries: HashMap::new(),
            group_retry_after: HashMap::new(),
            default_max_parallel_requests: None,
            enable_tag_filtering: false,
            reads_requests: false,
        }
    }
}

/// The rule of choice within a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// Random, by weight, else rpm, else tpm, else evenly.
    #[default]
    SimpleShuffle,
    /// Fewest attempts in flight.
    LeastBusy,
}

/// A group to try instead, with parameters that replace the request's own.
#[derive(Clone, Debug)]
pub struct Fallback {
    pub group: Arc<str>,
    pub params: Vec<(Box<str>, Box<RawValue>)>,
}

/// A count for each class of failure; `None`: not written.
pub type ByClass = HashMap<FailureClass, u32>;

/// Retries by class of failure; a class that is not written uses `default`, then `num_retries`.
#[derive(Clone, Debug, Default)]
pub struct RetryPolicy {
    pub by_class: ByClass,
    pub default: Option<u32>,
}
