//! `router_settings`, and the policies within it.

use super::{Kind, Table, ignored, later, on};

/// `router_settings`.
pub(crate) const ROUTER_SETTINGS: Table = Table {
    name: "router_settings",
    place: "Section `router_settings`",
    open: false,
    options: &[
        on("routing_strategy", Kind::Text, "simple-shuffle", "how a deployment is chosen"),
        on("routing_strategy_args", Kind::Map, "{}", "what the strategy is told"),
        on("routing_groups", Kind::List, "[]", "groups with a strategy of their own, also as one"),
        on("num_retries", Kind::Count, "2", "further attempts in the same group"),
        on(
            "retry_after",
            Kind::Seconds,
            "0",
            "shortest sleep before a retry on the same deployment",
        ),
        on("max_retry_after", Kind::Seconds, "60", "longest wait a provider's Retry-After may ask"),
        on("timeout", Kind::Seconds, "600", "one attempt; of a stream, the wait for its head"),
        on("request_timeout", Kind::Seconds, "", "another spelling of `timeout`"),
        on("stream_timeout", Kind::Seconds, "300", "longest silence of a stream"),
        on("retry_policy", Kind::Map, "{}", "retries by kind of error"),
        on("model_group_retry_policy", Kind::Map, "{}", "the same, by model group"),
        on("allowed_fails", Kind::Count, "", "failures in a minute before a deployment rests"),
        on("allowed_fails_policy", Kind::Map, "{}", "the same, by kind of error"),
        on("cooldown_time", Kind::Seconds, "5", "how long a deployment rests"),
        on("disable_cooldowns", Kind::Flag, "false", "deployments never rest"),
        on("fallbacks", Kind::List, "[]", "groups to try instead: `[{a: [b, c]}]` or `[a, b, c]`"),
        on("default_fallbacks", Kind::List, "[]", "for every group without fallbacks of its own"),
        on("context_window_fallbacks", Kind::List, "[]", "when a prompt is too long"),
        on("content_policy_fallbacks", Kind::List, "[]", "when a provider refuses the content"),
        on("max_fallbacks", Kind::Count, "5", "groups that one request may fall back to"),
        on("model_group_alias", Kind::Map, "{}", "other names: a group, or groups with weights"),
        on(
            "custom_routing",
            Kind::List,
            "[]",
            "rules that choose the model: `condition`, `route_to`",
        ),
        on("timezone", Kind::Text, "UTC", "of `hour`, `minute` and `weekday` in those rules"),
        on("model_weights", Kind::Map, "{}", "divides requests for these models among all of them"),
        on(
            "enable_pre_call_checks",
            Kind::Flag,
            "false",
            "do not call what cannot serve a request",
        ),
        on("enable_health_check_routing", Kind::Flag, "false", "leave out what failed its check"),
        on("health_check_staleness_threshold", Kind::Seconds, "", "age of a check; 2 intervals"),
        on("health_check_ignore_transient_errors", Kind::Flag, "false", "429 and timeouts pass"),
        on("circuit_breaker", Kind::Map, "{}", "shares of failed and slow answers, and probes"),
        on(
            "near_limit",
            Kind::Number,
            "0.9",
            "share of a limit from which other deployments go first",
        ),
        on(
            "rate_limit_headers",
            Kind::Flag,
            "true",
            "heed what providers say is left of their limits",
        ),
        on("allowed_model_region", Kind::Text, "", "requests go to deployments there: `eu`, `us`"),
        on(
            "optional_pre_call_checks",
            Kind::List,
            "[]",
            "`session_affinity`, `deployment_affinity`, `prompt_caching`: stay with a deployment",
        ),
        on(
            "deployment_affinity_ttl_seconds",
            Kind::Seconds,
            "3600",
            "after a session's last request",
        ),
        on(
            "prompt_affinity_ttl",
            Kind::Seconds,
            "300",
            "how long a prompt cache is held to be warm",
        ),
        on("prompt_affinity_tokens", Kind::Count, "256", "how much of two prompts must be alike"),
        on(
            "mid_stream_failover",
            Kind::Flag,
            "false",
            "another deployment goes on with a broken stream; `true` or a list of groups",
        ),
        on("hedging", Kind::Map, "", "a second attempt beside one that takes long to begin"),
        on("enable_tag_filtering", Kind::Flag, "false", "route by the tags of requests"),
        on("default_max_parallel_requests", Kind::Count, "", "per deployment without own limits"),
        on("ignore_invalid_deployments", Kind::Flag, "false", "leave out faulty deployments"),
        ignored("set_verbose", "set `log_level` under `litellm_settings`"),
        ignored("debug_level", "set `log_level` under `litellm_settings`"),
        ignored("client_ttl", "connections are pooled by the gateway"),
        later("tag_filtering_match_any", "one common tag is enough"),
        later("tag_routing_prefix", "tags are compared as they are"),
        on(
            "provider_budget_config",
            Kind::Map,
            "{}",
            "budgets by provider: `budget_limit`, `time_period`",
        ),
        on("redis_url", Kind::Secret, "", "as `cache_params.url`, which wins"),
        on("redis_host", Kind::Text, "", "as `cache_params.host`, which wins"),
        on("redis_port", Kind::Count, "", "as `cache_params.port`, which wins"),
        on("redis_password", Kind::Secret, "", "as `cache_params.password`, which wins"),
        on("redis_db", Kind::Count, "", "as `cache_params.db`, which wins"),
        later("default_litellm_params", "set the parameters in each deployment"),
        later("default_priority", "requests are served as they come"),
        later("polling_interval", "requests are served as they come"),
        later("cache_responses", "write `cache: true` under `litellm_settings`"),
        later("cache_kwargs", "write `cache_params` under `litellm_settings`"),
        later("caching_groups", "each group keeps its own replies"),
        later("alerting_config", "write `alerting` under `general_settings`"),
        later("enable_weighted_failover", "another deployment is drawn by the same weights"),
        later("plugins", "no plugin is loaded"),
        later("search_tools", "no search tool is offered"),
        later("guardrail_list", "write `guardrails` at the top of the file"),
        later("assistants_config", "the assistants API is not served"),
    ],
};

/// An entry of `custom_routing`.
pub(crate) const CUSTOM_ROUTING: Table = Table {
    name: "custom_routing",
    place: "An entry of `custom_routing`",
    open: false,
    options: &[
        on("condition", Kind::Text, "", "what a request must be like; see docs/routing.md"),
        on(
            "route_to",
            Kind::Text,
            "",
            "the model group, alias or `provider/model` it then goes to",
        ),
        on(
            "default",
            Kind::Text,
            "",
            "where requests go that no condition fits; without the others",
        ),
    ],
};

/// `routing_strategy_args`, of the router and of a routing group.
pub(crate) const STRATEGY_ARGS: Table = Table {
    name: "routing_strategy_args",
    place: "`routing_strategy_args`; all are for `latency-based-routing`",
    open: false,
    options: &[
        on("ttl", Kind::Seconds, "3600", "how long a measured latency is remembered"),
        on(
            "lowest_latency_buffer",
            Kind::Number,
            "0.25",
            "how much slower than the fastest is as good: 0.25 is a quarter",
        ),
        on(
            "exploration",
            Kind::Number,
            "0.02",
            "share of requests for what was not measured lately",
        ),
        ignored("max_latency_list_size", "the average forgets by time and number"),
        later("ttft_percentile", "averages are compared"),
    ],
};

/// An entry of `routing_groups`.
pub(crate) const ROUTING_GROUP: Table = Table {
    name: "routing_groups",
    place: "An entry of `routing_groups`",
    open: false,
    options: &[
        on("group_name", Kind::Text, "", "a name under which all of them can be asked for"),
        on("models", Kind::List, "", "the model groups"),
        on("routing_strategy", Kind::Text, "router's", "the strategy of each, and of all as one"),
        on("routing_strategy_args", Kind::Map, "router's", "what the strategy is told"),
        later("model_priorities", "set `order` on the deployments"),
    ],
};

/// `router`, another spelling of some of `router_settings`.
pub(crate) const ROUTER: Table = Table {
    name: "router",
    place: "Section `router`; the model name `auto` then stands for every group",
    open: false,
    options: &[
        on("type", Kind::Text, "", "as `routing_strategy`, and goes before it"),
        on("routing_strategy", Kind::Text, "", "as in `router_settings`, which wins"),
        on(
            "cost_threshold",
            Kind::Number,
            "",
            "USD per 1000 tokens; prompts below 100 tokens avoid what costs more",
        ),
        on("context_threshold", Kind::Count, "", "longer prompts need a long context"),
        on("weights", Kind::Map, "{}", "as `model_weights` in `router_settings`, which wins"),
    ],
};

/// `hedging`.
pub(crate) const HEDGING: Table = Table {
    name: "hedging",
    place: "`router_settings.hedging`",
    open: false,
    options: &[
        on("groups", Kind::List, "", "for which model groups; all if left out"),
        on("percentile", Kind::Number, "95", "wait as long as this percentage of answers takes"),
        on("after", Kind::Seconds, "0.1", "wait at least so long"),
        on("budget", Kind::Number, "0.1", "largest share of attempts that get a second one"),
    ],
};

/// `retry_policy`, and each value of `model_group_retry_policy`.
pub(crate) const RETRY_POLICY: Table = Table {
    name: "retry_policy",
    place: "`retry_policy`; `allowed_fails_policy` has the same names, ending in `AllowedFails`",
    open: false,
    options: &[
        on("BadRequestErrorRetries", Kind::Count, "0", "the request is wrong (400)"),
        on(
            "AuthenticationErrorRetries",
            Kind::Count,
            "",
            "the provider refused our key (401, 403)",
        ),
        on("TimeoutErrorRetries", Kind::Count, "", "nothing came in time (408, 504)"),
        on("RateLimitErrorRetries", Kind::Count, "", "too many requests, or no quota (429)"),
        on("ContentPolicyViolationErrorRetries", Kind::Count, "", "the content was refused"),
        on("InternalServerErrorRetries", Kind::Count, "", "the provider broke, or no connection"),
        on("ServiceUnavailableErrorRetries", Kind::Count, "", "no capacity (503, 529)"),
        on("NotFoundErrorRetries", Kind::Count, "", "unknown model or path (404)"),
        on("DefaultRetries", Kind::Count, "num_retries", "every other failure"),
    ],
};

/// `allowed_fails_policy`.
pub(crate) const ALLOWED_FAILS_POLICY: Table = Table {
    name: "allowed_fails_policy",
    place: "`allowed_fails_policy`",
    open: false,
    options: &[
        on("BadRequestErrorAllowedFails", Kind::Count, "", "the request is wrong (400)"),
        on("AuthenticationErrorAllowedFails", Kind::Count, "", "the provider refused our key"),
        on("TimeoutErrorAllowedFails", Kind::Count, "", "nothing came in time"),
        on("RateLimitErrorAllowedFails", Kind::Count, "", "too many requests, or no quota"),
        on("ContentPolicyViolationErrorAllowedFails", Kind::Count, "", "the content was refused"),
        on("InternalServerErrorAllowedFails", Kind::Count, "", "the provider broke"),
        on("ServiceUnavailableErrorAllowedFails", Kind::Count, "", "no capacity (503, 529)"),
        on("BadGatewayErrorAllowedFails", Kind::Count, "", "counted as the provider broke (502)"),
        on("NotFoundErrorAllowedFails", Kind::Count, "", "unknown model or path (404)"),
    ],
};
