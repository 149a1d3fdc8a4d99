//! Options of an entry of `model_list`.

use super::{Kind, Table, ignored, later, on};

/// The entry itself.
pub(crate) const ENTRY: Table = Table {
    name: "model_list",
    place: "An entry of `model_list`",
    open: false,
    options: &[
        on("model_name", Kind::Text, "", "the model group; what clients ask for; may hold a `*`"),
        on("litellm_params", Kind::Map, "", "what is called, and how"),
        on("model_info", Kind::Map, "", "what is known of the model"),
    ],
};

/// `litellm_params`. Names that are not listed are body parameters for the provider.
pub(crate) const LITELLM_PARAMS: Table = Table {
    name: "litellm_params",
    place: "`litellm_params` of a deployment; other names become parameters of the request body, \
            used where the client sent none",
    open: true,
    options: &[
        on("model", Kind::Text, "", "`provider/model`; the prefix may go where the name tells"),
        on("custom_llm_provider", Kind::Text, "", "the provider, instead of a prefix of `model`"),
        on("api_key", Kind::Secret, "provider's", "by default the provider's variable is read"),
        on(
            "api_base",
            Kind::Text,
            "provider's",
            "address, with or without `/v1` and the full path; or a list of them",
        ),
        on("base_url", Kind::Text, "", "another spelling of `api_base`"),
        on("load_balancing", Kind::Text, "round_robin", "`least_connections`, `consistent_hash`"),
        on("api_version", Kind::Text, "", "Azure: the `api-version` of the query"),
        on("organization", Kind::Text, "", "OpenAI organization; a list makes one deployment each"),
        on("azure_ad_token", Kind::Secret, "", "Azure: an Entra token instead of `api_key`"),
        on(
            "tenant_id",
            Kind::Text,
            "AZURE_TENANT_ID",
            "Azure: whose Entra service principal calls",
        ),
        on("client_id", Kind::Text, "AZURE_CLIENT_ID", "Azure: the service principal"),
        on("client_secret", Kind::Secret, "AZURE_CLIENT_SECRET", "Azure: its secret"),
        on("azure_scope", Kind::Text, "AZURE_SCOPE", "Azure: what the Entra token is for"),
        on(
            "aws_region_name",
            Kind::Text,
            "AWS_REGION",
            "AWS: where; else as the model's name tells",
        ),
        on("aws_access_key_id", Kind::Text, "", "AWS: a key; else the usual chain is asked"),
        on("aws_secret_access_key", Kind::Secret, "", "AWS: its secret"),
        on("aws_session_token", Kind::Secret, "", "AWS: that of a temporary key"),
        on("aws_profile_name", Kind::Text, "AWS_PROFILE", "AWS: a profile of `~/.aws`"),
        on("aws_role_name", Kind::Text, "", "AWS: the ARN of a role to assume"),
        on("aws_session_name", Kind::Text, "tollgate", "AWS: the name of the role's session"),
        on("aws_external_id", Kind::Text, "", "AWS: what the role asks for"),
        on(
            "aws_web_identity_token",
            Kind::Secret,
            "",
            "AWS: a token for the role: itself, or `oidc/file/PATH`",
        ),
        on("aws_sts_endpoint", Kind::Text, "AWS's", "AWS: where roles are assumed"),
        on("aws_bedrock_runtime_endpoint", Kind::Text, "", "AWS: another spelling of `api_base`"),
        on("vertex_project", Kind::Text, "VERTEXAI_PROJECT", "Vertex AI: else as the key tells"),
        on("vertex_location", Kind::Text, "us-central1", "Vertex AI: region, `global`, `us`, `eu`"),
        on(
            "vertex_credentials",
            Kind::Secret,
            "ADC",
            "Vertex AI: a key's file, or the key; else the application default credentials",
        ),
        on("litellm_credential_name", Kind::Text, "", "an entry of `credential_list` to take over"),
        on("weight", Kind::Number, "", "share of the group's requests (`simple-shuffle`)"),
        on("order", Kind::Count, "", "lower goes first; higher serve when no lower one can"),
        on(
            "rpm",
            Kind::Count,
            "",
            "requests a minute, at most; their share where no weight is set",
        ),
        on(
            "tpm",
            Kind::Count,
            "",
            "tokens a minute, at most; the share where no rpm is set either",
        ),
        on("silent_model", Kind::Text, "", "a group that gets a copy of each request, unseen"),
        on("max_parallel_requests", Kind::Count, "", "attempts in flight at one time"),
        on("timeout", Kind::Seconds, "router's", "one attempt; of a stream, the wait for its head"),
        on("stream_timeout", Kind::Seconds, "router's", "longest silence of a stream"),
        on("num_retries", Kind::Count, "router's", "retries after a failure of this deployment"),
        on("cooldown_time", Kind::Seconds, "router's", "rest after failures"),
        on("tags", Kind::List, "[]", "serve only requests with one of these tags"),
        on("region_name", Kind::Text, "", "where it stands, for `allowed_model_region`"),
        on(
            "metadata",
            Kind::Map,
            "{}",
            "`cost` (USD of 1000 tokens), `latency` (ms), `max_tokens` (window), `capabilities`",
        ),
        on("extra_headers", Kind::Map, "{}", "headers for the provider"),
        on("headers", Kind::Map, "{}", "another spelling of `extra_headers`"),
        on("extra_body", Kind::Map, "{}", "body parameters, as if written one by one"),
        on("additional_drop_params", Kind::List, "[]", "body parameters never to be sent"),
        on(
            "allowed_openai_params",
            Kind::List,
            "[]",
            "body parameters to send although the model is known to refuse them",
        ),
        on("drop_params", Kind::Flag, "as for all", "leave out what the model is known to refuse"),
        on(
            "use_chat_completions_api",
            Kind::Flag,
            "by address",
            "true: the Responses API is never called; false: it may be, at any `api_base`",
        ),
        on(
            "cache_control_injection_points",
            Kind::List,
            "[]",
            "marks for the prompt cache: `location: message` with `role` or `index`, `tool_config`",
        ),
        on("ssl_verify", Kind::Text, "true", "check the certificate; or a PEM file to trust"),
        on("http2", Kind::Flag, "false", "HTTP/2 where the provider offers it; over http: always"),
        on("input_cost_per_token", Kind::Number, "price book", "USD; so all `*_cost_per_*` names"),
        on("output_cost_per_token", Kind::Number, "price book", "USD"),
        ignored("max_retries", "retries are the router's: set `num_retries`"),
        ignored("stream", "the request says whether the reply is streamed"),
        ignored("use_litellm_proxy", "every provider is called directly"),
        ignored("model_info", "it is read beside `litellm_params`, not within"),
        later("itpm", "no limit on input tokens is held"),
        later("otpm", "no limit on output tokens is held"),
        later("timeout_by_service_tier", "`timeout` holds for every tier"),
        later("stream_timeout_by_service_tier", "`stream_timeout` holds for every tier"),
        later("tag_regex", "only `tags` are compared"),
        later("max_budget", NO_BUDGET),
        later("budget_duration", NO_BUDGET),
        later("default_api_key_tpm_limit", "no limit per key is held"),
        later("default_api_key_rpm_limit", "no limit per key is held"),
        on(
            "use_in_pass_through",
            Kind::Flag,
            "false",
            "serves the pass-through path of its provider",
        ),
        later("configurable_clientside_auth_params", "the client's credentials are not passed on"),
        later("mock_response", "the provider is called; try failures with `tollgate mock`"),
        later("merge_reasoning_content_in_choices", "reasoning stays in its own field"),
        later("keepalive_seconds", "connections are kept for the gateway's own time"),
        later("allow_client_keepalive_override", "connections are kept for the gateway's own time"),
        later("guardrails", "no guardrail looks at requests or replies"),
        later("azure_username", NO_ENTRA),
        later("azure_password", NO_ENTRA),
        later("auto_router_config", NO_AUTO),
        later("auto_router_config_path", NO_AUTO),
        later("auto_router_default_model", NO_AUTO),
        later("auto_router_embedding_model", NO_AUTO),
        later("complexity_router_config", NO_AUTO),
        later("complexity_router_default_model", NO_AUTO),
        later("adaptive_router_config", NO_AUTO),
        later("quality_router_config", NO_AUTO),
    ],
};

/// `model_info`. Names that are not listed are kept and shown by `/model/info`.
pub(crate) const MODEL_INFO: Table = Table {
    name: "model_info",
    place: "`model_info` of a deployment; other names are kept and shown, and change nothing",
    open: true,
    options: &[
        on("id", Kind::Text, "hash", "stable name of the deployment; no two may share one"),
        on("mode", Kind::Text, "chat", "`chat`, `completion`, `embedding` or `responses`"),
        on("base_model", Kind::Text, "model", "name in the price book; Azure needs it"),
        on("max_tokens", Kind::Count, "", "another spelling of `max_output_tokens`"),
        on("max_input_tokens", Kind::Count, "price book", "context window"),
        on("max_output_tokens", Kind::Count, "price book", "longest completion"),
        on("input_cost_per_token", Kind::Number, "price book", "USD; so all `*_cost_per_*` names"),
        on("output_cost_per_token", Kind::Number, "price book", "USD"),
        on("cost_per_1k_input_tokens", Kind::Number, "price book", "USD for a thousand"),
        on("cost_per_1k_output_tokens", Kind::Number, "price book", "USD for a thousand"),
        on("supports_function_calling", Kind::Flag, "price book", "tools"),
        on("supports_parallel_function_calling", Kind::Flag, "price book", "several tools at once"),
        on("supports_vision", Kind::Flag, "price book", "images in messages"),
        on("supports_audio_input", Kind::Flag, "price book", "audio in messages"),
        on("supports_pdf_input", Kind::Flag, "price book", "files in messages"),
        on("supports_response_schema", Kind::Flag, "price book", "replies by a JSON schema"),
        on("supports_reasoning", Kind::Flag, "price book", "reasoning that can be asked for"),
        on("cooldown_time", Kind::Seconds, "router's", "rest after failures; wins over the other"),
        on("order", Kind::Count, "", "as in `litellm_params`"),
        on("weight", Kind::Number, "", "as in `litellm_params`"),
        on("tags", Kind::List, "[]", "as in `litellm_params`"),
        later("access_groups", "every key may use every group"),
        later("team_id", "every key may use every group"),
        later("team_public_model_name", "the group is called by its `model_name`"),
        later("tier", "free and paid deployments are chosen alike"),
        later("blocked", "the deployment is called; remove the entry to stop it"),
        later("discoverable", "every group is listed"),
        later("access_windows", "the deployment serves at every hour"),
        later("ptu_count", "provisioned units are not priced"),
        later("cost_per_ptu_per_hour", "provisioned units are not priced"),
        later("allow_fail_open", "no guardrail looks at requests or replies"),
        later("enable_tag_filtering", "set it for all groups under `router_settings`"),
        later("allowed_fails", "set it for all groups under `router_settings`"),
        later("allowed_fails_policy", "set it for all groups under `router_settings`"),
        later("supported_environments", "the entry is used in every environment"),
        on("disable_background_health_check", Kind::Flag, "false", "no health check"),
        on("health_check_mode", Kind::Text, "", "`tcp`, `http` or `call`; turns the check on"),
        on("health_check_path", Kind::Text, "/health", "what `http` asks for; turns the check on"),
        on("health_check_status", Kind::Count, "any 2xx", "the status that `http` expects"),
        on("health_check_model", Kind::Text, "", "the model that `call` names to the provider"),
        on("health_check_timeout", Kind::Seconds, "5", "one check; of `call`, 60 by default"),
        ignored("internal_router_model", "no model chooses models here"),
    ],
};

const NO_BUDGET: &str = "no budget is held";
const NO_ENTRA: &str = "no user signs in; use `tenant_id`, `client_id` and `client_secret`";
const NO_AUTO: &str = "no model chooses the model; clients name it";

/// Whether a name is one of LiteLLM's price fields (about eighty, and more each release).
pub(crate) fn is_price(name: &str) -> bool {
    name.contains("_cost_per_")
        || name.starts_with("cost_per_1k_")
        || (name.starts_with("cache_") && name.contains("_token_cost"))
}

/// Body parameters that providers are known to take: never a slip of the pen.
pub(crate) const BODY_PARAMETERS: &[&str] = &[
    "audio",
    "dimensions",
    "encoding_format",
    "frequency_penalty",
    "function_call",
    "functions",
    "include_reasoning",
    "keep_alive",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "min_p",
    "min_tokens",
    "modalities",
    "n",
    "num_ctx",
    "num_predict",
    "options",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_retention",
    "provider",
    "reasoning",
    "reasoning_effort",
    "repetition_penalty",
    "response_format",
    "route",
    "safe_prompt",
    "safety_identifier",
    "safety_settings",
    "seed",
    "service_tier",
    "stop",
    "stop_sequences",
    "store",
    "system",
    "temperature",
    "thinking",
    "tool_choice",
    "tools",
    "top_a",
    "top_k",
    "top_logprobs",
    "top_p",
    "transforms",
    "truncate",
    "user",
    "verbosity",
    "web_search_options",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn price_fields_are_known_by_their_form() {
        for name in ["input_cost_per_audio_token", "cache_read_input_token_cost"] {
            assert!(is_price(name), "{name}");
        }
        assert!(!is_price("cache_control"));
    }
}
