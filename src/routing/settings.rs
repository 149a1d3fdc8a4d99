//! How to route, as the configuration in force says it. Plain values; built by `config`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;

use super::breaker::Breaker;
use crate::catalog::PriceBook;
use crate::failure::FailureClass;
use crate::money::Usd;

/// `router_settings` and what `litellm_settings` adds to it, after all defaults.
#[derive(Debug)]
pub struct Settings {
    pub strategy: Strategy,
    pub tuning: Tuning,
    /// Strategies of single groups (`routing_groups`), by the name that is asked for or the group.
    pub groups: HashMap<Arc<str>, GroupStrategy>,
    /// `enable_pre_call_checks`: deployments that cannot serve a request are not called.
    pub pre_call_checks: bool,
    /// Where requests may go that do not say it themselves (`allowed_model_region`).
    pub allowed_region: Option<Box<str>>,
    /// Prompts of fewer than [`SHORT_PROMPT`] tokens avoid what costs more per thousand tokens.
    pub cost_threshold: Option<Usd>,
    /// Prompts of more tokens go to long-context deployments only.
    pub context_threshold: Option<u64>,
    pub affinity: Affinity,
    /// What models cost that deployments with a wildcard call.
    pub prices: Option<Arc<PriceBook>>,
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
    /// It stands in the configuration, and so holds for every class of failure.
    pub cooldown_is_written: bool,
    /// The longest cooldown or wait that a provider's Retry-After may ask for.
    pub max_retry_after: Duration,
    pub disable_cooldowns: bool,
    pub breaker: Breaker,
    /// How old a health check may be that keeps a deployment out; `None`: none does.
    pub heeds_checks: Option<Duration>,
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
    /// Groups whose broken streams another deployment goes on with.
    pub mid_stream_failover: GroupSet,
    pub hedging: Hedging,
}

/// LiteLLM's defaults, but for `max_retry_after`: there, no bound.
impl Default for Settings {
    fn default() -> Self {
        Self {
            strategy: Strategy::default(),
            tuning: Tuning::default(),
            groups: HashMap::new(),
            pre_call_checks: false,
            allowed_region: None,
            cost_threshold: None,
            context_threshold: None,
            affinity: Affinity::default(),
            prices: None,
            num_retries: 2,
            retry_after: Duration::ZERO,
            retry_policy: RetryPolicy::default(),
            group_retry_policy: HashMap::new(),
            allowed_fails: None,
            allowed_fails_policy: ByClass::new(),
            cooldown: Duration::from_secs(5),
            cooldown_is_written: false,
            max_retry_after: Duration::from_secs(60),
            disable_cooldowns: false,
            breaker: Breaker::default(),
            heeds_checks: None,
            fallbacks: HashMap::new(),
            context_window_fallbacks: HashMap::new(),
            content_policy_fallbacks: HashMap::new(),
            max_fallbacks: 5,
            group_num_retries: HashMap::new(),
            group_retry_after: HashMap::new(),
            default_max_parallel_requests: None,
            enable_tag_filtering: false,
            reads_requests: false,
            mid_stream_failover: GroupSet::default(),
            hedging: Hedging::default(),
        }
    }
}

/// The rule of choice within a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// Random, by weight, else rpm, else tpm, else evenly.
    #[default]
    SimpleShuffle,
    /// In turns, by the same weights; see [`super::Smooth`].
    Weighted,
    /// Fewest attempts in flight.
    LeastBusy,
    /// Fastest to answer.
    Latency,
    /// Cheapest for the request.
    Cost,
    /// Least of its rpm or tpm used.
    Usage,
    /// Those that can serve the request; of those that are known to, the cheapest.
    Capability,
    /// Of those that can serve the request, the dearest: the only sign of quality that a gateway
    /// can see.
    Quality,
}

impl Strategy {
    pub const ALL: [Self; 8] = [
        Self::SimpleShuffle,
        Self::Weighted,
        Self::LeastBusy,
        Self::Latency,
        Self::Cost,
        Self::Usage,
        Self::Capability,
        Self::Quality,
    ];

    /// The name that messages and explanations use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SimpleShuffle => "simple-shuffle",
            Self::Weighted => "weighted",
            Self::LeastBusy => "least-busy",
            Self::Latency => "latency-based-routing",
            Self::Cost => "cost-based-routing",
            Self::Usage => "usage-based-routing",
            Self::Capability => "capability-based",
            Self::Quality => "quality-based",
        }
    }

    /// By any name that users write, LiteLLM's first; `_` is as good as `-`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let word = name.trim().to_ascii_lowercase().replace('_', "-");
        NAMES.iter().find(|(known, _)| *known == word).map(|(_, strategy)| *strategy)
    }

    /// Every name that [`Strategy::named`] knows.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(name, _)| *name)
    }
}

const NAMES: [(&str, Strategy); 33] = [
    ("simple-shuffle", Strategy::SimpleShuffle),
    ("least-busy", Strategy::LeastBusy),
    ("latency-based-routing", Strategy::Latency),
    ("cost-based-routing", Strategy::Cost),
    ("usage-based-routing", Strategy::Usage),
    ("usage-based-routing-v2", Strategy::Usage),
    ("weighted", Strategy::Weighted),
    ("weighted-round-robin", Strategy::Weighted),
    ("round-robin", Strategy::Weighted),
    ("capability-based", Strategy::Capability),
    ("capability-based-routing", Strategy::Capability),
    ("capability", Strategy::Capability),
    ("quality-based", Strategy::Quality),
    ("quality-based-routing", Strategy::Quality),
    ("quality", Strategy::Quality),
    ("shuffle", Strategy::SimpleShuffle),
    ("random", Strategy::SimpleShuffle),
    ("least-connections", Strategy::LeastBusy),
    ("latency", Strategy::Latency),
    ("latency-based", Strategy::Latency),
    ("latency-optimized", Strategy::Latency),
    ("least-latency", Strategy::Latency),
    ("lowest-latency", Strategy::Latency),
    ("cost", Strategy::Cost),
    ("cost-based", Strategy::Cost),
    ("cost-optimized", Strategy::Cost),
    ("least-cost", Strategy::Cost),
    ("lowest-cost", Strategy::Cost),
    ("usage", Strategy::Usage),
    ("usage-based", Strategy::Usage),
    ("least-usage", Strategy::Usage),
    ("lowest-tpm-rpm", Strategy::Usage),
    ("lowest-usage", Strategy::Usage),
];

/// `routing_strategy_args`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tuning {
    /// How long a measured latency is remembered (`ttl`).
    pub latency_ttl: Duration,
    /// How much slower than the fastest still counts as fast, as a share
    /// (`lowest_latency_buffer`).
    pub latency_buffer: f64,
    /// Which share of the requests tries a deployment whose latency was not measured for a while.
    pub exploration: f64,
}

/// LiteLLM's, but for the buffer: with its 0, every gateway sends everything to one deployment.
impl Default for Tuning {
    fn default() -> Self {
        Self { latency_ttl: Duration::from_secs(3600), latency_buffer: 0.25, exploration: 0.02 }
    }
}

/// The strategy of one group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GroupStrategy {
    pub strategy: Strategy,
    pub tuning: Tuning,
}

/// Which requests stay with a deployment (`optional_pre_call_checks`); all off by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Affinity {
    /// Requests of one session.
    pub session: bool,
    /// Requests of one caller that name no session.
    pub caller: bool,
    /// Requests whose prompts begin alike.
    pub prompt: bool,
    /// How long a session is remembered after its last request.
    pub session_ttl: Duration,
    /// How long a provider's prompt cache is taken to be warm.
    pub prompt_ttl: Duration,
    /// Tokens of a prompt that must be alike; shorter prompts are not tied.
    pub prefix_tokens: u32,
}

impl Default for Affinity {
    fn default() -> Self {
        Self {
            session: false,
            caller: false,
            prompt: false,
            session_ttl: Duration::from_secs(3600),
            prompt_ttl: Duration::from_secs(300),
            prefix_tokens: 256,
        }
    }
}

impl Affinity {
    /// Whether requests are tied at all.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.session || self.caller || self.prompt
    }
}

/// A second attempt beside one that takes long to its first content.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hedging {
    pub groups: GroupSet,
    /// The shortest time for which an attempt is left alone.
    pub after: Duration,
    /// It is left alone for as long as this percentage of the group's answers takes.
    pub percentile: f64,
    /// The largest share of attempts that are hedged.
    pub budget: f64,
}

/// For which model groups something is switched on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum GroupSet {
    #[default]
    None,
    All,
    Only(Vec<Arc<str>>),
}

impl GroupSet {
    /// Whether it is on for a group under any of its names.
    #[must_use]
    pub fn has<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Only(groups) => {
                names.into_iter().any(|name| groups.iter().any(|group| **group == *name))
            }
        }
    }
}

/// Prompts below so many tokens are short: `cost_threshold` is for them.
pub const SHORT_PROMPT: u64 = 100;

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
