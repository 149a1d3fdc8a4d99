//! Sections at the top of a file.

use super::{Kind, Table, ignored, later, on};

/// The sections themselves.
pub(crate) const TOP: Table = Table {
    name: "sections",
    place: "The sections of a file",
    open: false,
    options: &[
        on("model_list", Kind::List, "", "the deployments"),
        on("router_settings", Kind::Map, "", "choice, retries, fallbacks, cooldowns"),
        on("litellm_settings", Kind::Map, "", "request parameters and logs"),
        on("general_settings", Kind::Map, "", "keys, limits and timeouts of the gateway"),
        on("environment_variables", Kind::Map, "", "variables for this file, over the process's"),
        on("include", Kind::List, "", "further files, relative to this one; their lists are added"),
        on("fallback_config", Kind::List, "", "fallbacks by group, with retries of their own"),
        on("credential_list", Kind::List, "", "credentials that deployments share by name"),
        on(
            "regional_routing",
            Kind::Map,
            "{}",
            "which model serves which region: `us-east: model`",
        ),
        on("router", Kind::Map, "", "another spelling of `router_settings`"),
        later("rate_limit_settings", "no limit per provider is held"),
        later("database", "nothing is stored in a database"),
        later("key_settings", "these keys are refused; only the master key opens the gateway"),
        later("callback_settings", "no callback is called"),
        later("guardrails", "no guardrail looks at requests or replies"),
        later("policies", "no policy is applied"),
        later("policy_attachments", "no policy is applied"),
        later("prompts", "prompts are sent as the client wrote them"),
        later("mcp_servers", "no MCP server is offered"),
        later("mcp_tools", "no MCP tool is offered"),
        later("agents", "no agent is offered"),
        later("agent_list", "no agent is offered"),
        later("search_tools", "no search tool is offered"),
        later("sandbox_tools", "no sandbox tool is offered"),
        later("vector_store_registry", "no vector store is offered"),
        later("assistant_settings", "the assistants API is not served"),
        later("finetune_settings", "the fine-tuning API is not served"),
        later("files_settings", "the files API is not served"),
        later("default_vertex_config", "requests in Vertex AI's own format are not served"),
        ignored("worker_registry", "one process serves everything"),
    ],
};

/// An entry of `fallback_config`.
pub(crate) const FALLBACK_CONFIG: Table = Table {
    name: "fallback_config",
    place: "An entry of `fallback_config`",
    open: false,
    options: &[
        on("model_name", Kind::Text, "", "the model group that failed"),
        on("fallback_to", Kind::List, "", "the groups to try instead, in this order"),
        on("retry_attempts", Kind::Count, "num_retries", "retries in the group itself, before"),
        on("retry_delay", Kind::Seconds, "retry_after", "shortest sleep between those retries"),
    ],
};

/// An entry of `credential_list`.
pub(crate) const CREDENTIAL: Table = Table {
    name: "credential_list",
    place: "An entry of `credential_list`",
    open: false,
    options: &[
        on("credential_name", Kind::Text, "", "the name for `litellm_credential_name`"),
        on("credential_values", Kind::Map, "", "`litellm_params` for the deployments that name it"),
        on("credential_info", Kind::Map, "", "for people; not read"),
    ],
};
