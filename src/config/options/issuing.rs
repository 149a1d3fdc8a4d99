//! What new keys, users and teams are to be like: mappings of `litellm_settings`.

use super::{Kind, Table, later, on};

const NOBODY: &str = "write `metadata: {guardrails: [name]}`";

/// `default_key_generate_params`.
pub(crate) const KEY_DEFAULTS: Table = Table {
    name: "default_key_generate_params",
    place: "`default_key_generate_params` of `litellm_settings`",
    open: false,
    options: &[
        on("max_budget", Kind::Number, "", "US dollars"),
        on("budget_duration", Kind::Text, "", "the period of the budget: `30d`, `monthly`"),
        on("duration", Kind::Text, "", "how long the key is valid: `30d`"),
        on("rpm_limit", Kind::Count, "", "requests in a minute"),
        on("tpm_limit", Kind::Count, "", "tokens in a minute"),
        on("max_parallel_requests", Kind::Count, "", "requests at one time"),
        on("models", Kind::List, "[]", "models that it may ask for"),
        on("user_id", Kind::Text, "", "whose key it is"),
        on("team_id", Kind::Text, "", "which team's key it is"),
        on("metadata", Kind::Map, "{}", "kept with the key"),
        later("guardrails", NOBODY),
        later("object_permission", "no tools or vector stores are served"),
    ],
};

/// `upperbound_key_generate_params`.
pub(crate) const KEY_BOUNDS: Table = Table {
    name: "upperbound_key_generate_params",
    place: "`upperbound_key_generate_params` of `litellm_settings`",
    open: false,
    options: &[
        on("max_budget", Kind::Number, "", "US dollars"),
        on("budget_duration", Kind::Text, "", "the longest period of a budget"),
        on("duration", Kind::Text, "", "the longest time that a key is valid"),
        on("rpm_limit", Kind::Count, "", "requests in a minute"),
        on("tpm_limit", Kind::Count, "", "tokens in a minute"),
        on("max_parallel_requests", Kind::Count, "", "requests at one time"),
    ],
};

/// `default_internal_user_params`.
pub(crate) const USER_DEFAULTS: Table = Table {
    name: "default_internal_user_params",
    place: "`default_internal_user_params` of `litellm_settings`",
    open: false,
    options: &[
        on("user_role", Kind::Text, "internal_user", "`internal_user` or `internal_user_viewer`"),
        on("max_budget", Kind::Number, "", "US dollars"),
        on("budget_duration", Kind::Text, "", "the period of the budget: `30d`, `monthly`"),
        on("rpm_limit", Kind::Count, "", "requests in a minute"),
        on("tpm_limit", Kind::Count, "", "tokens in a minute"),
        on("max_parallel_requests", Kind::Count, "", "requests at one time"),
        on("models", Kind::List, "[]", "models that the user's keys may ask for"),
        on("teams", Kind::List, "[]", "ids of teams that the user is put into"),
    ],
};

/// `default_team_params`.
pub(crate) const TEAM_DEFAULTS: Table = Table {
    name: "default_team_params",
    place: "`default_team_params` of `litellm_settings`",
    open: false,
    options: &[
        on("max_budget", Kind::Number, "", "US dollars"),
        on("budget_duration", Kind::Text, "", "the period of the budget: `30d`, `monthly`"),
        on("rpm_limit", Kind::Count, "", "requests in a minute"),
        on("tpm_limit", Kind::Count, "", "tokens in a minute"),
        on("max_parallel_requests", Kind::Count, "", "requests at one time"),
        on("models", Kind::List, "[]", "models that the team may ask for"),
        later(
            "team_member_permissions",
            "members see their keys, and admins of the team make them",
        ),
    ],
};
