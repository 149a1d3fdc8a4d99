//! Every metric: its name, what it says, its labels. There is no metric that is not in this list.
//!
//! Names and labels that begin with `litellm_` are LiteLLM's, so that its dashboards keep working.
//! Counters are listed as they are exported, with `_total`. Labels whose values
//! every client can invent (`end_user`, `client_ip`, `user_agent`) are left out: to PromQL a missing
//! label and an empty one are the same.

/// What a family counts.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Whole numbers that only grow.
    Counter,
    /// Amounts that only grow.
    AmountCounter,
    /// Up and down.
    Gauge,
    /// Computed when somebody asks.
    ScrapeGauge,
    /// As [`Kind::ScrapeGauge`], but it only grows.
    ScrapeCounter,
    /// Seconds, by these upper bounds.
    Seconds(&'static [f64]),
}

/// One metric.
#[derive(Debug)]
pub struct Family {
    pub name: &'static str,
    pub help: &'static str,
    pub kind: Kind,
    pub labels: &'static [&'static str],
}

/// LiteLLM's range, thinned out: every bucket is a series for each deployment.
const REQUEST_SECONDS: &[f64] = &[
    0.005, 0.0125, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.5, 10.0, 15.0,
    20.0, 30.0, 60.0, 120.0, 180.0, 300.0, 600.0,
];
/// What the gateway adds lies far below LiteLLM's first bucket of 5 ms.
const OVERHEAD_SECONDS: &[f64] =
    &[0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.0125, 0.025, 0.05, 0.1, 0.5, 1.0];
/// In this process a few microseconds, elsewhere up to its timeout.
const GUARDRAIL_SECONDS: &[f64] =
    &[0.000_05, 0.000_2, 0.001, 0.005, 0.0125, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
const TOKEN_SECONDS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 5.0];

/// Labels of a deployment, in this order wherever they occur.
const DEPLOYMENT: &[&str] = &["litellm_model_name", "model_id", "api_base", "api_provider"];
const DEPLOYMENT_IN_GROUP: &[&str] =
    &["requested_model", "litellm_model_name", "model_id", "api_base", "api_provider"];
const ANSWERED: &[&str] = &["requested_model", "model", "model_id", "api_provider"];
const ANSWERED_TO_KEY: &[&str] = &[
    "requested_model",
    "model",
    "model_id",
    "api_provider",
    "hashed_api_key",
    "api_key_alias",
    "team",
    "team_alias",
    "user",
];
/// Labels of what is counted of the cache.
const CACHED: &[&str] =
    &["requested_model", "model", "hashed_api_key", "api_key_alias", "team", "team_alias", "user"];
const FALLBACK: &[&str] = &[
    "requested_model",
    "fallback_model",
    "hashed_api_key",
    "api_key_alias",
    "team",
    "team_alias",
    "user",
    "exception_status",
    "exception_class",
];

/// The label that holds those of the configuration, which the page takes apart.
pub(super) const CUSTOM: &str = "tollgate_custom";
/// What has them: requests, tokens and money.
pub(super) const WITH_CUSTOM: [&Family; 7] = [
    &REQUESTS,
    &LLM_REQUESTS,
    &SPEND,
    &INPUT_TOKENS,
    &OUTPUT_TOKENS,
    &TOTAL_TOKENS,
    &CACHED_TOKENS,
];

macro_rules! families {
    ($($constant:ident = $name:literal, $kind:expr, $labels:expr, $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $constant: Family =
                Family { name: $name, help: $help, kind: $kind, labels: $labels };
        )*
        /// The whole list.
        pub const ALL: &[&Family] = &[$(&$constant),*];
    };
}

families! {
    // Requests, as clients see them.
    REQUESTS = "litellm_proxy_total_requests_metric_total", Kind::Counter,
        &["requested_model", "model_id", "api_provider", "hashed_api_key", "api_key_alias", "team", "team_alias", "user", "route", "status_code"],
        "Inference requests, by the status that the client got.";
    FAILED_REQUESTS = "litellm_proxy_failed_requests_metric_total", Kind::Counter,
        &["requested_model", "hashed_api_key", "api_key_alias", "team", "team_alias", "user", "route", "exception_status", "exception_class"],
        "Inference requests whose client did not get the whole of a successful reply.";
    REQUEST_LATENCY = "litellm_request_total_latency_metric", Kind::Seconds(REQUEST_SECONDS),
        ANSWERED, "From a request's first byte to its reply's last, in seconds.";
    OVERHEAD_LATENCY = "litellm_overhead_latency_metric", Kind::Seconds(OVERHEAD_SECONDS),
        ANSWERED, "Time that the gateway itself added, in seconds.";
    LLM_API_LATENCY = "litellm_llm_api_latency_metric", Kind::Seconds(REQUEST_SECONDS),
        ANSWERED, "Time spent waiting for providers, in seconds.";
    TTFT = "litellm_llm_api_time_to_first_token_metric", Kind::Seconds(REQUEST_SECONDS),
        ANSWERED,
        "From a streamed request's first byte to the first frame with content, in seconds.";
    QUEUE_TIME = "litellm_request_queue_time_seconds", Kind::Seconds(OVERHEAD_SECONDS),
        ANSWERED,
        "How long a request waited for a place because too many were in flight, in seconds; only where `max_in_flight` bounds them.";
    LLM_REQUESTS = "litellm_requests_metric_total", Kind::Counter, ANSWERED_TO_KEY,
        "Inference requests that were answered in full.";
    IN_FLIGHT = "litellm_in_flight_requests", Kind::Gauge, &[], "Inference requests being served.";

    // Tokens and money.
    SPEND = "litellm_spend_metric_total", Kind::AmountCounter, ANSWERED_TO_KEY,
        "Cost of the replies, in US dollars.";
    INPUT_TOKENS = "litellm_input_tokens_metric_total", Kind::Counter, ANSWERED_TO_KEY,
        "Prompt tokens, cached ones included.";
    OUTPUT_TOKENS = "litellm_output_tokens_metric_total", Kind::Counter, ANSWERED_TO_KEY,
        "Completion tokens, reasoning included.";
    TOTAL_TOKENS = "litellm_total_tokens_metric_total", Kind::Counter, ANSWERED_TO_KEY,
        "Prompt and completion tokens.";
    CACHED_TOKENS = "litellm_input_cached_tokens_metric_total", Kind::Counter, ANSWERED_TO_KEY,
        "Prompt tokens that the provider's prompt cache answered.";
    CACHE_HITS = "litellm_cache_hits_metric_total", Kind::Counter, CACHED,
        "Requests that were answered from the cache.";
    CACHE_NEAR_HITS = "tollgate_cache_semantic_hits_total", Kind::Counter, CACHED,
        "Those of them that asked something that only means the same.";
    CACHE_MISSES = "litellm_cache_misses_metric_total", Kind::Counter, CACHED,
        "Requests that were looked up in the cache and not found.";
    CACHE_TOKENS = "litellm_cached_tokens_metric_total", Kind::Counter, CACHED,
        "Tokens of replies from the cache, as they were counted when the replies were made.";
    CACHE_SAVED = "tollgate_cache_saved_dollars_total", Kind::AmountCounter, CACHED,
        "What replies from the cache had cost when they were made, in US dollars.";
    CACHE_ENTRIES = "tollgate_cache_entries", Kind::ScrapeGauge, &[],
        "Replies that are kept in memory.";
    CACHE_BYTES = "tollgate_cache_bytes", Kind::ScrapeGauge, &[],
        "What the replies in memory take, in bytes.";
    CACHE_KEPT = "tollgate_cache_kept_total", Kind::ScrapeCounter, &[],
        "Replies that were kept, in memory or in Redis.";
    CACHE_VECTORS = "tollgate_cache_vectors", Kind::ScrapeGauge, &[],
        "Questions in memory whose replies are found by meaning.";
    CACHE_VECTOR_BYTES = "tollgate_cache_vector_bytes", Kind::ScrapeGauge, &[],
        "What the vectors of those questions take, in bytes.";
    CACHE_EMBEDDINGS = "tollgate_cache_embeddings_total", Kind::Counter, &["outcome"],
        "Vectors that the cache asked for: success, failure, or left out because nobody could be asked.";
    UNITS = "tollgate_units_total", Kind::Counter,
        &["requested_model", "model", "model_id", "api_provider", "unit"],
        "What replies used that has no tokens: images, audio_milliseconds, characters, searches, web_searches.";

    // Deployments.
    DEPLOYMENT_STATE = "litellm_deployment_state", Kind::ScrapeGauge, DEPLOYMENT,
        "0: healthy, 1: failed lately or on probation, 2: cooling down.";
    DEPLOYMENT_WELL = "tollgate_deployment_health_check", Kind::ScrapeGauge, DEPLOYMENT,
        "1 if the last health check of a deployment succeeded, else 0; only of those that are checked.";
    COOLDOWN_LEFT = "tollgate_deployment_cooldown_seconds", Kind::ScrapeGauge, DEPLOYMENT,
        "How long a deployment will still cool down, in seconds; 0 for one that does not.";
    DEPLOYMENT_RPM = "litellm_deployment_rpm_limit", Kind::ScrapeGauge, DEPLOYMENT,
        "Requests that a deployment may be sent in a minute, where that is configured.";
    DEPLOYMENT_TPM = "litellm_deployment_tpm_limit", Kind::ScrapeGauge, DEPLOYMENT,
        "Tokens that a deployment may be sent in a minute, where that is configured.";
    GROUP_DEPLOYMENTS = "tollgate_group_deployments", Kind::ScrapeGauge, &["model_group"],
        "Deployments of a model group.";
    GROUP_AVAILABLE = "tollgate_group_available_deployments", Kind::ScrapeGauge,
        &["model_group"], "Deployments of a model group that are not cooling down.";
    DEPLOYMENT_REQUESTS = "litellm_deployment_total_requests_total", Kind::Counter,
        DEPLOYMENT_IN_GROUP, "Attempts on a deployment that ended.";
    DEPLOYMENT_SUCCESSES = "litellm_deployment_success_responses_total", Kind::Counter,
        DEPLOYMENT_IN_GROUP, "Attempts on a deployment that succeeded.";
    DEPLOYMENT_FAILURES = "litellm_deployment_failure_responses_total", Kind::Counter,
        &["requested_model", "litellm_model_name", "model_id", "api_base", "api_provider",
          "exception_status", "exception_class"],
        "Attempts on a deployment that failed, by the provider's status and the class of failure.";
    COOLED_DOWN = "litellm_deployment_cooled_down_total", Kind::Counter,
        &["litellm_model_name", "model_id", "api_base", "api_provider", "exception_status"],
        "How often a failure put a deployment into cooldown.";
    LATENCY_PER_TOKEN = "litellm_deployment_latency_per_output_token", Kind::Seconds(TOKEN_SECONDS),
        DEPLOYMENT,
        "Duration of a successful attempt divided by its completion tokens, in seconds.";
    SUCCESSFUL_FALLBACKS = "litellm_deployment_successful_fallbacks_total", Kind::Counter,
        FALLBACK, "Requests that another group than the one asked for answered.";
    FAILED_FALLBACKS = "litellm_deployment_failed_fallbacks_total", Kind::Counter, FALLBACK,
        "Requests that failed although another group was tried.";
    REMAINING_REQUESTS = "litellm_remaining_requests_metric", Kind::Gauge,
        &["model_group", "litellm_model_name", "model_id", "api_base", "api_provider"],
        "Requests that the provider last said are left in its window.";
    REMAINING_TOKENS = "litellm_remaining_tokens_metric", Kind::Gauge,
        &["model_group", "litellm_model_name", "model_id", "api_base", "api_provider"],
        "Tokens that the provider last said are left in its window.";

    // Guardrails.
    GUARDRAIL_REQUESTS = "litellm_guardrail_requests_total", Kind::Counter,
        &["guardrail_name", "status", "hook_type"],
        "Looks of guardrails: at a request, a reply, or a stream as a whole.";
    GUARDRAIL_ERRORS = "litellm_guardrail_errors_total", Kind::Counter,
        &["guardrail_name", "error_type", "hook_type"],
        "Looks that found something (`blocked`) or came to nothing (`no_answer`).";
    GUARDRAIL_LATENCY = "litellm_guardrail_latency_seconds", Kind::Seconds(GUARDRAIL_SECONDS),
        &["guardrail_name", "status", "error_type", "hook_type"],
        "How long guardrails looked, in seconds; at a stream, all its windows together.";

    // Tollgate's own.
    BUILD_INFO = "tollgate_build_info", Kind::Gauge, &["version"],
        "Always 1; the version is a label.";
    ATTEMPTS = "tollgate_attempts_total", Kind::Counter, &["outcome"],
        "Attempts of all deployments, by how they ended.";
    OPEN_STREAMS = "tollgate_open_streams", Kind::Gauge, &[],
        "Streamed replies whose head was sent and whose end was not.";
    CLIENT_DISCONNECTS = "tollgate_client_disconnects_total", Kind::Counter, &[],
        "Requests whose client left before it had the whole reply.";
    ESTIMATED_USAGE = "tollgate_estimated_usage_total", Kind::Counter, &[],
        "Replies whose provider sent no usage, so that the tokens are an estimate.";
    SHADOW_REQUESTS = "tollgate_shadow_requests_total", Kind::Counter, &["outcome"],
        "Copies of requests for a `silent_model`: success, failure, or left out for want of room.";
    FETCHES = "tollgate_fetches_total", Kind::Counter, &["outcome"],
        "Images and files asked for by URL: fetched, kept, refused (not a public address), timeout or failure.";
    OTHER_REQUESTS = "tollgate_other_requests_total", Kind::Counter, &["route", "status_code"],
        "Requests that are not inference: model lists, health, metrics, unknown paths.";
    RECEIVED_BYTES = "tollgate_received_bytes_total", Kind::Counter, &[],
        "Body bytes read from clients of inference.";
    SENT_BYTES = "tollgate_sent_bytes_total", Kind::Counter, &[],
        "Body bytes written to clients of inference.";
    ACCESS_LOG_DROPPED = "tollgate_access_log_dropped_total", Kind::Counter, &[],
        "Access-log lines lost because the queue was full or the file could not be written.";
    ACCESS_LOG_QUEUED = "tollgate_access_log_queued", Kind::ScrapeGauge, &[],
        "Access-log lines that wait to be written.";
    TRACES = "tollgate_traces_total", Kind::Counter, &["result"],
        "Requests that were to be traced: `exported`, `dropped` (the queue was full) or `failed` (the collector did not take them).";
    TRACES_QUEUED = "tollgate_traces_queued", Kind::ScrapeGauge, &[],
        "Traced requests that wait to be sent.";
    STORED_PROMPTS = "tollgate_stored_prompts_total", Kind::ScrapeCounter, &["result"],
        "Prompts with their replies that were to be kept: `stored`, `dropped` (the queue was full) or `failed` (the database did not take them).";
    TRANSCRIPTS_LEFT_OUT = "tollgate_transcripts_left_out_total", Kind::ScrapeCounter, &[],
        "Prompts or replies that were too long to be told to traces, callbacks or the database, or for which there was no room.";
    CALLBACKS = "tollgate_callbacks_total", Kind::ScrapeCounter, &["callback", "result"],
        "Requests that callbacks were to be told: `sent`, `failed` (refused for good), `dropped` (no room) or `spilled` (put on disk; counted again when they leave it).";
    CALLBACKS_WAITING = "tollgate_callbacks_waiting", Kind::ScrapeGauge, &["callback", "place"],
        "Requests that wait to be told to callbacks, in `memory` or on `disk`.";
    KEYS_KNOWN = "tollgate_known_keys", Kind::ScrapeGauge, &[],
        "Virtual keys that are kept in memory, those included that are known not to exist.";
    KEY_LOOKUPS = "tollgate_key_lookups_total", Kind::ScrapeCounter, &["result"],
        "Virtual keys asked for: hit, miss (the database is asked), stale (it is away) or failure.";
    SERIES_OVERFLOW = "tollgate_metric_series_overflow_total", Kind::Counter, &[],
        "Records counted under `other` because the bound on series was reached.";
    CONNECTIONS = "tollgate_connections_total", Kind::ScrapeCounter, &[],
        "Connections of clients that were accepted, refused ones included.";
    REFUSED_CONNECTIONS = "tollgate_refused_connections_total", Kind::ScrapeCounter, &[],
        "Connections that were closed at once because there were too many.";
    OPEN_CONNECTIONS = "tollgate_open_connections", Kind::ScrapeGauge, &[],
        "Connections of clients that are open.";
    QUEUED = "tollgate_queued_requests", Kind::Gauge, &[],
        "Inference requests that wait because too many are in flight.";
    CONFIG_RELOADS = "tollgate_config_reloads_total", Kind::Counter, &["result"],
        "Reloads of the configuration: success, unchanged or failure.";
    CONFIG_RELOAD_OK = "tollgate_config_last_reload_successful", Kind::Gauge, &[],
        "1 if the configuration in force is the one in the file, 0 if the last reload failed.";
    // Limits and budgets of whoever calls.
    LIMIT_DECISIONS = "tollgate_limit_decisions_total", Kind::ScrapeCounter, &["result"],
        "Requests that a limit or a budget decided about: `admitted`, `rate_limited`, ...";
    LIMITS_ALONE = "tollgate_limits_alone_total", Kind::ScrapeCounter, &[],
        "Requests decided about without Redis, because it was away.";
    LIMITS_UNKNOWN = "tollgate_limits_unknown_spend_total", Kind::ScrapeCounter, &[],
        "Times that the database did not say what a budget had spent.";
    LIMITED = "tollgate_limits_counted", Kind::ScrapeGauge, &[],
        "Keys, teams and others that are counted in memory.";
    LIMITS_SHARED = "tollgate_limits_shared", Kind::ScrapeGauge, &[],
        "1 while limits and budgets are shared through Redis, 0 while it is away.";
    GATEWAYS = "tollgate_gateways", Kind::ScrapeGauge, &[],
        "Gateways that share the same Redis, as last heard.";
    REDIS_FAILURES = "tollgate_redis_failures_total", Kind::ScrapeCounter, &[],
        "Operations of Redis that failed or came too late.";
    REDIS_WAITING = "tollgate_redis_waiting", Kind::ScrapeGauge, &[],
        "Settlements that wait for Redis.";
    BUDGET_ALERTS = "tollgate_budget_alerts_total", Kind::ScrapeCounter, &["result"],
        "Alerts of budgets: `sent`, `failed` or `dropped`.";
    ALERTS = "tollgate_alerts_total", Kind::ScrapeCounter, &["type", "result"],
        "Alerts of all kinds, by `alert_types`: `sent`, `failed` or `dropped`.";

    // Budgets, of those who have called since the process started.
    KEY_BUDGET_LEFT = "litellm_remaining_api_key_budget_metric", Kind::ScrapeGauge,
        &["hashed_api_key", "api_key_alias"], "What a key may still spend in the present period, in US dollars.";
    KEY_BUDGET = "litellm_api_key_max_budget_metric", Kind::ScrapeGauge,
        &["hashed_api_key", "api_key_alias"], "The budget of a key, in US dollars.";
    KEY_BUDGET_HOURS = "litellm_api_key_budget_remaining_hours_metric", Kind::ScrapeGauge,
        &["hashed_api_key", "api_key_alias"], "Hours until the budget of a key starts anew.";
    TEAM_BUDGET_LEFT = "litellm_remaining_team_budget_metric", Kind::ScrapeGauge,
        &["team", "team_alias"], "What a team may still spend in the present period, in US dollars.";
    TEAM_BUDGET = "litellm_team_max_budget_metric", Kind::ScrapeGauge,
        &["team", "team_alias"], "The budget of a team, in US dollars.";
    TEAM_BUDGET_HOURS = "litellm_team_budget_remaining_hours_metric", Kind::ScrapeGauge,
        &["team", "team_alias"], "Hours until the budget of a team starts anew.";
    USER_BUDGET_LEFT = "litellm_remaining_user_budget_metric", Kind::ScrapeGauge,
        &["user"], "What a user may still spend in the present period, in US dollars.";
    USER_BUDGET = "litellm_user_max_budget_metric", Kind::ScrapeGauge,
        &["user"], "The budget of a user, in US dollars.";
    USER_BUDGET_HOURS = "litellm_user_budget_remaining_hours_metric", Kind::ScrapeGauge,
        &["user"], "Hours until the budget of a user starts anew.";
    ORG_BUDGET_LEFT = "litellm_remaining_org_budget_metric", Kind::ScrapeGauge,
        &["org_id", "org_alias"], "What an organisation may still spend in the present period, in US dollars.";
    ORG_BUDGET = "litellm_org_max_budget_metric", Kind::ScrapeGauge,
        &["org_id", "org_alias"], "The budget of an organisation, in US dollars.";
    ORG_BUDGET_HOURS = "litellm_org_budget_remaining_hours_metric", Kind::ScrapeGauge,
        &["org_id", "org_alias"], "Hours until the budget of an organisation starts anew.";
    PROVIDER_BUDGET_LEFT = "litellm_provider_remaining_budget_metric", Kind::ScrapeGauge,
        &["api_provider"], "What a provider may still cost in the present period, in US dollars.";
    BUDGETS_LEFT_OUT = "tollgate_budgets_left_out", Kind::ScrapeGauge, &[],
        "Budgets without a series because the bound was reached: those of which the largest share is left.";

    CONFIG_LOADED = "tollgate_config_last_reload_success_timestamp_seconds", Kind::Gauge, &[],
        "When the configuration was last read without an error, in seconds since 1970.";
    CONFIG_RELOADED = "tollgate_config_last_reload_timestamp_seconds", Kind::Gauge, &[],
        "When the configuration was last read, in seconds since 1970.";

    // What was spent, on its way to the database.
    SPEND_RECORDS = "tollgate_spend_records_total", Kind::ScrapeCounter, &["result"],
        "What became of records of spend: appended, written, known, interrupted, failed_batches, \
refused, unjournaled, lost, damaged_bytes.";
    SPEND_PENDING_RECORDS = "tollgate_spend_pending_records", Kind::ScrapeGauge, &[],
        "Requests of this process that are in its journal and not in the database yet.";
    SPEND_PENDING_BYTES = "tollgate_spend_pending_bytes", Kind::ScrapeGauge, &[],
        "Bytes of the journal that the database does not have yet.";
    SPEND_LAG = "tollgate_spend_lag_seconds", Kind::ScrapeGauge, &[],
        "Since when something waits for the database, in seconds; 0 if nothing does.";
    JOURNAL_BLOCKED = "tollgate_spend_journal_blocked", Kind::ScrapeGauge, &[],
        "Whether the disk takes no records of spend: they wait in memory.";
    DATABASE_UP = "tollgate_database_up", Kind::ScrapeGauge, &[],
        "Whether the database answers.";

    // The process, under the names that every Prometheus client uses.
    PROCESS_START = "process_start_time_seconds", Kind::Gauge, &[],
        "When the process started, in seconds since 1970.";
    PROCESS_CPU = "process_cpu_seconds_total", Kind::ScrapeCounter, &[],
        "Processor time used, user and system, in seconds.";
    PROCESS_MEMORY = "process_resident_memory_bytes", Kind::ScrapeGauge, &[],
        "Resident memory, in bytes.";
    PROCESS_FDS = "process_open_fds", Kind::ScrapeGauge, &[], "Open file descriptors.";
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique_and_counters_end_in_total() {
        let mut seen = HashSet::new();
        for family in ALL {
            assert!(seen.insert(family.name), "{} is listed twice", family.name);
            let counts =
                matches!(family.kind, Kind::Counter | Kind::AmountCounter | Kind::ScrapeCounter);
            assert_eq!(family.name.ends_with("_total"), counts, "{}", family.name);
        }
    }

    #[test]
    fn the_docs_list_every_metric() {
        let page = include_str!("../../../docs/metrics.md");
        for family in ALL {
            assert!(page.contains(&format!("`{}`", family.name)), "{} is missing", family.name);
        }
    }
}
