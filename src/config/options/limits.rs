//! Limits of providers.

use super::{Kind, Table, on};

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
