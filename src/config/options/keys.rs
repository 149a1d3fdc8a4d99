//! Keys that are written in the file.

use super::{Kind, Table, on};

/// An entry of `key_settings`.
pub(crate) const KEY: Table = Table {
    name: "key_settings",
    place: "An entry of `key_settings`",
    open: false,
    options: &[
        on("api_key", Kind::Secret, "", "the key, as clients send it"),
        on("alias", Kind::Text, "", "its name in logs and metrics"),
        on("models", Kind::List, "[]", "groups, wildcards and access groups; default: all"),
        on("aliases", Kind::Map, "{}", "names that only this key knows: `fast: gpt-4o-mini`"),
        on("user", Kind::Text, "", "the user whose key it is"),
        on("team", Kind::Text, "", "the team whose key it is"),
        on("tags", Kind::List, "[]", "tags of all its requests"),
        on("rate_limit", Kind::Map, "", "requests and tokens"),
        on("budget", Kind::Map, "", "US dollars"),
        on("expires", Kind::Text, "", "when it ends: `2027-01-31T00:00:00Z`"),
        on("blocked", Kind::Flag, "false", "it opens nothing"),
    ],
};

/// `rate_limit` of a key.
pub(crate) const KEY_RATE_LIMIT: Table = Table {
    name: "rate_limit",
    place: "`rate_limit` of an entry of `key_settings`",
    open: false,
    options: &[
        on("requests_per_minute", Kind::Count, "", "requests in a minute"),
        on("tokens_per_minute", Kind::Count, "", "tokens in a minute"),
        on("max_parallel_requests", Kind::Count, "", "requests at one time"),
    ],
};

/// `budget` of a key.
pub(crate) const KEY_BUDGET: Table = Table {
    name: "budget",
    place: "`budget` of an entry of `key_settings`",
    open: false,
    options: &[
        on("monthly_limit", Kind::Number, "", "US dollars in a calendar month"),
        on("weekly_limit", Kind::Number, "", "the same, in a week"),
        on("daily_limit", Kind::Number, "", "the same, in a day"),
        on("max_budget", Kind::Number, "", "the same, in a `budget_duration`; without one, ever"),
        on("budget_duration", Kind::Text, "", "the period of `max_budget`: `30d`, `monthly`"),
        on("soft_budget", Kind::Number, "", "beyond it somebody is told, and nothing else happens"),
    ],
};
