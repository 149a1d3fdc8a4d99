//! Limits of providers, and the entries of other lists.

use super::{Kind, Table, later, on};

/// A value of `rate_limit_settings`.
pub(crate) const RATE_LIMIT: Table = Table {
    name: "rate_limit_settings",
    place: "A value of `rate_limit_settings`; the key is the provider",
    open: false,
    options: &[
        on(
            "max_requests_per_minute",
            Kind::Count,
            "",
            "requests over all deployments of the provider",
        ),
        on("max_tokens_per_minute", Kind::Count, "", "tokens over all deployments of the provider"),
    ],
};

/// A value of `provider_budget_config` and of `tag_budget_config`.
pub(crate) const BUDGET: Table = Table {
    name: "budget_config",
    place: "A value of `provider_budget_config`, by provider, and of `tag_budget_config`, by tag",
    open: false,
    options: &[
        on("budget_limit", Kind::Number, "", "US dollars in each period"),
        on("time_period", Kind::Text, "", "`1d`, `7d`, `30d`, `1mo`, `monthly`; default: ever"),
        on("max_budget", Kind::Number, "", "another spelling of `budget_limit`"),
        on("budget_duration", Kind::Text, "", "another spelling of `time_period`"),
    ],
};

/// An entry of `pass_through_endpoints`.
pub(crate) const PASS_THROUGH: Table = Table {
    name: "pass_through_endpoints",
    place: "An entry of `pass_through_endpoints`",
    open: false,
    options: &[
        on("path", Kind::Text, "", "where clients find it: `/v1/rerank`"),
        on("target", Kind::Text, "", "the address that it stands for"),
        on("headers", Kind::Map, "{}", "sent to the target: its credentials"),
        on("include_subpath", Kind::Flag, "false", "paths below it are served too"),
        on("forward_headers", Kind::Flag, "false", "the client's headers go on, without its key"),
        on("auth", Kind::Flag, "true", "a key of the gateway is asked for"),
        on("methods", Kind::List, "", "methods that are served; default: all"),
        on("default_query_params", Kind::Map, "{}", "for the query, where the client sends none"),
        on("cost_per_request", Kind::Number, "", "USD for a request that tells no usage"),
        later("guardrails", "what is passed is not looked at: see `unreachable_fallback`"),
    ],
};

/// `circuit_breaker`.
pub(crate) const CIRCUIT_BREAKER: Table = Table {
    name: "circuit_breaker",
    place: "`circuit_breaker` of `router_settings`",
    open: false,
    options: &[
        on("failure_ratio", Kind::Number, "", "share of failed attempts that puts to rest"),
        on("minimum_calls", Kind::Count, "10", "attempts in a minute before a share is looked at"),
        on("slow_call_duration", Kind::Seconds, "", "an answer that takes longer is slow"),
        on("slow_call_ratio", Kind::Number, "0.5", "share of slow answers that puts to rest"),
        on("half_open_probes", Kind::Count, "1", "probes at one time, all of which must succeed"),
        on(
            "half_open_requests",
            Kind::Count,
            "10",
            "attempts in flight on a half-open deployment, if nothing else can serve",
        ),
    ],
};

/// An entry of `api_base`, where that is a list.
pub(crate) const API_BASE: Table = Table {
    name: "api_base",
    place: "An entry of `api_base`, where that is a list",
    open: false,
    options: &[
        on("url", Kind::Text, "", "the address; an entry may also be the address alone"),
        on("weight", Kind::Number, "1", "its share of the deployment's requests"),
    ],
};
