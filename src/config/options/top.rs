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
        on("rate_limit_settings", Kind::Map, "", "limits over all deployments of a provider"),
        on("fallback_config", Kind::List, "", "fallbacks by group, with retries of their own"),
        on("credential_list", Kind::List, "", "credentials that deployments share by name"),
        on(
            "regional_routing",
            Kind::Map,
            "{}",
            "which model serves which region: `us-east: model`",
        ),
        on(
            "custom_providers",
            Kind::List,
            "",
            "APIs of your own: address and mapping of their bodies",
        ),
        on("router", Kind::Map, "", "another spelling of `router_settings`"),
        on("database", Kind::Map, "", "where keys and spend are kept; default: an SQLite file"),
        on("dashboard", Kind::Map, "", "the pages at `/ui`"),
        on("key_settings", Kind::List, "[]", "keys with limits and budgets, without a database"),
        on(
            "callback_settings",
            Kind::Map,
            "{}",
            "callbacks of your own, by their names; and `otel`",
        ),
        on("guardrails", Kind::List, "[]", "who looks at requests and replies"),
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

/// `otel` of `callback_settings`.
pub(crate) const CALLBACK_OTEL: Table = Table {
    name: "otel",
    place: "`otel` of `callback_settings`",
    open: false,
    options: &[
        on(
            "message_logging",
            Kind::Flag,
            "$OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT",
            "spans hold prompts and replies; here the default is false",
        ),
        on("service_name", Kind::Text, "$OTEL_SERVICE_NAME, tollgate", "who we are"),
        on("attributes", Kind::Map, "{}", "what else describes the process: names and texts"),
    ],
};

/// `database`.
pub(crate) const DATABASE: Table = Table {
    name: "database",
    place: "Section `database`",
    open: false,
    options: &[
        on("type", Kind::Text, "sqlite", "`sqlite`, or `postgres`"),
        on("path", Kind::Text, "tollgate.db", "the SQLite file; default: in the state directory"),
        on(
            "connection_string",
            Kind::Secret,
            "$DATABASE_URL",
            "of PostgreSQL; another spelling of `general_settings.database_url`",
        ),
        on("max_connections", Kind::Count, "10", "connections to PostgreSQL"),
        on(
            "journal",
            Kind::Text,
            "journal",
            "the folder of spend on its way to the database; default: in the state directory",
        ),
    ],
};

/// `dashboard`.
pub(crate) const DASHBOARD: Table = Table {
    name: "dashboard",
    place: "Section `dashboard`",
    open: false,
    options: &[
        on(
            "enabled",
            Kind::Flag,
            "true",
            "serve the pages; default: unless `$DISABLE_ADMIN_UI` is true",
        ),
        on(
            "baseline_model",
            Kind::Text,
            "",
            "the model that savings are measured against: what its tokens would have cost",
        ),
        on("session_duration", Kind::Seconds, "12h", "after which a browser has to log in again"),
    ],
};

/// An entry of `custom_providers`.
pub(crate) const CUSTOM_PROVIDER: Table = Table {
    name: "custom_providers",
    place: "An entry of `custom_providers`",
    open: false,
    options: &[
        on("name", Kind::Text, "", "the prefix of its models: `name/model`"),
        on("base_url", Kind::Text, "", "its address, where a deployment writes none"),
        on("api_key", Kind::Secret, "", "its key, where a deployment writes none"),
        on("path", Kind::Text, "/chat/completions", "where requests go; `{model}` is replaced"),
        on("stream_path", Kind::Text, "", "where requests for a stream go, if elsewhere"),
        on("auth_header", Kind::Text, "Authorization", "the header of the key"),
        on(
            "auth_prefix",
            Kind::Text,
            "",
            "what stands before the key; `Bearer ` in `Authorization`",
        ),
        on("headers", Kind::Map, "{}", "further headers of each request"),
        on("request", Kind::Map, "", "the body: texts with `{{ expression }}`; default: OpenAI's"),
        on("response", Kind::Map, "", "expressions for the parts of a reply; default: OpenAI's"),
        on("stream", Kind::Map, "", "expressions for the events of a stream; default: OpenAI's"),
        on("error", Kind::Text, "", "expression for the message of an error's `body`"),
    ],
};

macro_rules! parts {
    ($($more:expr,)*) => {
        &[
            $($more,)*
            on("text", Kind::Text, "", "expression: the text"),
            on("reasoning", Kind::Text, "", "expression: the text of the reasoning"),
            on("tool_calls", Kind::Text, "", "expression: a list in OpenAI's form"),
            on("finish_reason", Kind::Text, "", "expression: why it ended"),
            on("id", Kind::Text, "", "expression: the name of the reply"),
            on("model", Kind::Text, "", "expression: the model that answered"),
            on("input_tokens", Kind::Text, "", "expression: a number"),
            on("output_tokens", Kind::Text, "", "expression: a number"),
            on("cached_tokens", Kind::Text, "", "expression: a number, part of the input"),
            on("reasoning_tokens", Kind::Text, "", "expression: a number, part of the output"),
            on("error", Kind::Text, "", "expression: a message, or true, if the provider failed"),
        ]
    };
}

/// `response` of a custom provider.
pub(crate) const RESPONSE_MAPPING: Table = Table {
    name: "response",
    place: "`response` of an entry of `custom_providers`; the reply is `body`",
    open: false,
    options: parts![],
};

/// `stream` of a custom provider.
pub(crate) const STREAM_MAPPING: Table = Table {
    name: "stream",
    place: "`stream` of an entry of `custom_providers`; an event is `event`, its text `data`",
    open: false,
    options: parts![
        on("framing", Kind::Text, "sse", "`sse`, or `lines` of JSON"),
        on("done", Kind::Text, "", "expression: true for the event that ends the stream"),
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
