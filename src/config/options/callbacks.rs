//! What callbacks are given: `callback_settings`, `s3_callback_params` and `default_team_settings`.

use super::{Kind, Table, ignored, later, on};

/// An entry of `callback_settings`.
pub(crate) const CALLBACK: Table = Table {
    name: "callback_settings",
    place: "An entry of `callback_settings`, by the callback's name",
    open: false,
    options: &[
        on("callback_type", Kind::Text, "", "`generic_api`: each request as JSON to `endpoint`"),
        on("endpoint", Kind::Text, "$GENERIC_LOGGER_ENDPOINT", "where requests are told"),
        on("headers", Kind::Map, "$GENERIC_LOGGER_HEADERS", "headers, such as the receiver's key"),
        on(
            "event_types",
            Kind::List,
            "",
            "`llm_api_success`, `llm_api_failure`; default: as it is listed",
        ),
        on("log_format", Kind::Text, "json_array", "`json_array`, `ndjson`, or `single` requests"),
        later("callback_name", "no receiver is known by name"),
        later("message_logging", "`turn_off_message_logging` holds for all callbacks"),
        later("turn_off_message_logging", "it holds for all callbacks, in `litellm_settings`"),
    ],
};

/// An entry of `default_team_settings`.
pub(crate) const TEAM_CALLBACKS: Table = Table {
    name: "default_team_settings",
    place: "An entry of `default_team_settings` of `litellm_settings`",
    open: false,
    options: &[
        on("team_id", Kind::Text, "", "the team"),
        on("success_callback", Kind::List, "[]", "who is told of its successes: `langfuse`"),
        on("failure_callback", Kind::List, "[]", "who is told of its failures: `langfuse`"),
        on("langfuse_public_key", Kind::Text, "", "the public key of its project"),
        on("langfuse_secret_key", Kind::Secret, "", "the secret key of its project"),
        on("langfuse_secret", Kind::Secret, "", "the same by another name"),
        on("langfuse_host", Kind::Text, "the gateway's", "where its Langfuse is"),
        on("turn_off_message_logging", Kind::Flag, "false", "nobody is told what it says"),
        on("callback_vars", Kind::Map, "", "the keys, host and flag, in a mapping of their own"),
        later("langfuse_prompt_version", NO_OTHER),
        later("langsmith_api_key", NO_OTHER),
        later("langsmith_project", NO_OTHER),
        later("langsmith_base_url", NO_OTHER),
        later("langsmith_sampling_rate", NO_OTHER),
        later("gcs_bucket_name", NO_OTHER),
        later("gcs_path_service_account", NO_OTHER),
        later("humanloop_api_key", NO_OTHER),
        later("arize_api_key", NO_OTHER),
        later("arize_space_key", NO_OTHER),
        later("arize_space_id", NO_OTHER),
        later("posthog_api_key", NO_OTHER),
        later("posthog_api_url", NO_OTHER),
        later("langsmith_tenant_id", NO_OTHER),
        later("posthog_host", NO_OTHER),
        later("wandb_api_key", NO_OTHER),
        later("weave_project_id", NO_OTHER),
        later("dd_api_key", NO_OTHER),
        later("dd_site", NO_OTHER),
        later("braintrust_api_key", NO_OTHER),
        later("braintrust_project_id", NO_OTHER),
        later("braintrust_api_base", NO_OTHER),
        later("braintrust_host", NO_OTHER),
        later("lunary_public_key", NO_OTHER),
        later("logfire_token", NO_OTHER),
        later("slack_webhook_url", NO_OTHER),
    ],
};

/// `callback_vars` of such an entry.
pub(crate) const TEAM_CALLBACK_VARS: Table = Table {
    name: "callback_vars",
    place: "`callback_vars` of an entry of `default_team_settings`",
    open: false,
    options: &[
        on("langfuse_public_key", Kind::Text, "", "the public key of its project"),
        on("langfuse_secret_key", Kind::Secret, "", "the secret key of its project"),
        on("langfuse_secret", Kind::Secret, "", "the same by another name"),
        on("langfuse_host", Kind::Text, "the gateway's", "where its Langfuse is"),
        on("turn_off_message_logging", Kind::Flag, "false", "nobody is told what it says"),
        later("langsmith_api_key", NO_OTHER),
        later("langsmith_project", NO_OTHER),
        later("gcs_bucket_name", NO_OTHER),
        later("gcs_path_service_account", NO_OTHER),
    ],
};

const NO_OTHER: &str = "a team can have the callback `langfuse`";

/// `s3_callback_params`.
pub(crate) const S3_PARAMS: Table = Table {
    name: "s3_callback_params",
    place: "`s3_callback_params` of `litellm_settings`",
    open: false,
    options: &[
        on("s3_bucket_name", Kind::Text, "", "the bucket"),
        on("s3_region_name", Kind::Text, "$AWS_REGION", "its region"),
        on("s3_endpoint_url", Kind::Text, "", "where it is, if not at AWS: `http://minio:9000`"),
        on("s3_path", Kind::Text, "", "what the names of all objects begin with"),
        on("s3_aws_access_key_id", Kind::Text, "", "who writes; default: AWS's usual chain"),
        on("s3_aws_secret_access_key", Kind::Secret, "", "the secret of that key"),
        on("s3_aws_session_token", Kind::Secret, "", "its session, if it is a temporary one"),
        on("s3_aws_profile_name", Kind::Text, "", "a profile of `~/.aws`"),
        on("s3_aws_role_name", Kind::Text, "", "the ARN of a role to assume"),
        on("s3_aws_session_name", Kind::Text, "tollgate", "the name of the role's session"),
        on("s3_aws_web_identity_token", Kind::Secret, "", "a token that the role is given for"),
        on("s3_aws_sts_endpoint", Kind::Text, "", "where roles are assumed"),
        on("s3_use_team_prefix", Kind::Flag, "false", "a folder for each team, by its alias"),
        on("s3_use_key_prefix", Kind::Flag, "false", "a folder for each key, by its alias"),
        on(
            "s3_use_virtual_hosted_style",
            Kind::Flag,
            "false",
            "the bucket is part of the host of `s3_endpoint_url`",
        ),
        later("s3_server_side_encryption", "the bucket's own encryption holds"),
        later("s3_sse_kms_key_id", "the bucket's own encryption holds"),
        later("s3_verify", "certificates are checked"),
        later("s3_strip_base64_files", "prompts are told as they were sent"),
        later("s3_log_prompts_only", "prompts are told with their replies"),
        ignored("s3_api_version", "S3 has one"),
        ignored("s3_use_ssl", "`s3_endpoint_url` says it"),
        ignored("s3_config", "it belongs to Python"),
    ],
};
