//! Who may enter which route: one table. Default deny: a route that is not in it is for proxy admins.
//!
//! A right is about the route as a whole. Where it is about what is the caller's own
//! ([`Right::SeeOwn`], [`Right::ChangeOwn`]), the route itself shows and changes nothing else.

use super::routes::{INFERENCE, KEPT};
use crate::keys::Role;

/// What a caller needs to enter a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Nothing: not even a key.
    Open,
    /// A key where the configuration wants one for metrics.
    Metrics,
    /// A key, whatever it is for: what it may ask for, and what it is.
    AnyKey,
    /// A key: it sees what is its own, its user's and its team's. Those who see everything, all.
    SeeOwn,
    /// The key of a user that may change things: what is the user's own, and the teams and the
    /// organisation that the user is an admin of.
    ChangeOwn,
    /// To see everything.
    SeeAll,
    /// To change everything.
    ChangeAll,
}

/// Every route that is not open to all, in the order of the documentation.
const RIGHTS: &[(&str, Right)] = &[
    ("/", Right::Open),
    ("/health", Right::Open),
    ("/health/liveliness", Right::Open),
    ("/health/liveness", Right::Open),
    ("/health/readiness", Right::Open),
    // The dashboard. Its files are no secret; what they show is asked for.
    ("/ui", Right::Open),
    ("/ui/", Right::Open),
    ("/ui/{*path}", Right::Open),
    ("/ui/api/session", Right::Open),
    ("/ui/api/overview", Right::SeeOwn),
    ("/ui/api/live", Right::SeeOwn),
    ("/ui/api/deployments", Right::AnyKey),
    ("/ui/api/config", Right::SeeAll),
    ("/ui/api/requests", Right::SeeOwn),
    ("/ui/api/requests/{id}", Right::SeeOwn),
    ("/metrics", Right::Metrics),
    ("/metrics/", Right::Metrics),
    ("/models", Right::AnyKey),
    ("/models/", Right::AnyKey),
    ("/models/{*name}", Right::AnyKey),
    ("/v1/models", Right::AnyKey),
    ("/v1/models/", Right::AnyKey),
    ("/v1/models/{*name}", Right::AnyKey),
    ("/v1beta/models", Right::AnyKey),
    ("/v1beta/models/", Right::AnyKey),
    ("/v1beta/models/{*name}", Right::AnyKey),
    ("/config/reload", Right::ChangeAll),
    ("/routing/explain", Right::SeeAll),
    // Models.
    ("/model/info", Right::AnyKey),
    ("/v1/model/info", Right::AnyKey),
    ("/v2/model/info", Right::AnyKey),
    ("/model_group/info", Right::AnyKey),
    ("/model/new", Right::ChangeAll),
    ("/model/update", Right::ChangeAll),
    ("/model/{id}/update", Right::ChangeAll),
    ("/model/delete", Right::ChangeAll),
    // Spend.
    ("/spend/logs", Right::SeeOwn),
    ("/spend/logs/v2", Right::SeeOwn),
    ("/spend/tags", Right::SeeAll),
    ("/spend/keys", Right::SeeAll),
    ("/spend/users", Right::SeeAll),
    ("/spend/calculate", Right::AnyKey),
    ("/cost/estimate", Right::AnyKey),
    ("/global/spend", Right::SeeAll),
    ("/global/spend/logs", Right::SeeOwn),
    ("/global/spend/tags", Right::SeeAll),
    ("/global/spend/all_tag_names", Right::SeeAll),
    ("/global/spend/keys", Right::SeeOwn),
    ("/global/spend/models", Right::SeeOwn),
    ("/global/spend/teams", Right::SeeAll),
    ("/global/spend/provider", Right::SeeOwn),
    ("/global/spend/end_users", Right::SeeAll),
    ("/global/spend/report", Right::SeeOwn),
    ("/global/activity", Right::SeeOwn),
    ("/global/activity/model", Right::SeeOwn),
    ("/user/daily/activity", Right::SeeOwn),
    ("/user/daily/activity/aggregated", Right::SeeOwn),
    ("/team/daily/activity", Right::SeeOwn),
    ("/organization/daily/activity", Right::SeeAll),
    ("/tag/daily/activity", Right::SeeAll),
    ("/customer/daily/activity", Right::SeeAll),
    ("/end_user/daily/activity", Right::SeeAll),
    ("/provider/budgets", Right::SeeAll),
    ("/audit", Right::SeeAll),
    // The cache.
    ("/cache/ping", Right::SeeAll),
    ("/cache/delete", Right::ChangeAll),
    ("/cache/flushall", Right::ChangeAll),
    ("/cache/redis/info", Right::SeeAll),
    // Callbacks.
    ("/callbacks/list", Right::SeeAll),
    ("/active/callbacks", Right::SeeAll),
    ("/health/services", Right::ChangeAll),
    // Guardrails.
    ("/guardrails/list", Right::AnyKey),
    ("/guardrails/apply_guardrail", Right::AnyKey),
    // What there is.
    ("/utils/token_counter", Right::AnyKey),
    ("/routes", Right::AnyKey),
    ("/openapi.json", Right::Open),
    // Keys.
    ("/key/generate", Right::ChangeOwn),
    ("/key/service-account/generate", Right::ChangeOwn),
    ("/key/update", Right::ChangeOwn),
    ("/key/bulk_update", Right::ChangeAll),
    ("/key/delete", Right::ChangeOwn),
    ("/key/regenerate", Right::ChangeOwn),
    ("/key/{key}/regenerate", Right::ChangeOwn),
    ("/key/{key}/reset_spend", Right::ChangeOwn),
    ("/key/block", Right::ChangeOwn),
    ("/key/unblock", Right::ChangeOwn),
    ("/key/info", Right::AnyKey),
    ("/v2/key/info", Right::SeeOwn),
    ("/key/health", Right::AnyKey),
    ("/key/list", Right::SeeOwn),
    ("/key/aliases", Right::SeeOwn),
    // Users.
    ("/user/new", Right::ChangeOwn),
    ("/user/update", Right::ChangeOwn),
    ("/user/delete", Right::ChangeAll),
    ("/user/info", Right::SeeOwn),
    ("/v2/user/info", Right::SeeOwn),
    ("/user/list", Right::SeeOwn),
    ("/user/available_roles", Right::SeeOwn),
    // Teams.
    ("/team/new", Right::ChangeOwn),
    ("/team/update", Right::ChangeOwn),
    ("/team/delete", Right::ChangeOwn),
    ("/team/block", Right::ChangeOwn),
    ("/team/unblock", Right::ChangeOwn),
    ("/team/info", Right::SeeOwn),
    ("/team/list", Right::SeeOwn),
    ("/v2/team/list", Right::SeeOwn),
    ("/team/available", Right::SeeOwn),
    ("/team/member_add", Right::ChangeOwn),
    ("/team/bulk_member_add", Right::ChangeOwn),
    ("/team/member_update", Right::ChangeOwn),
    ("/team/member_delete", Right::ChangeOwn),
    ("/team/model/add", Right::ChangeOwn),
    ("/team/model/delete", Right::ChangeOwn),
    ("/team/{team_id}/callback", Right::ChangeOwn),
    ("/team/{team_id}/callback/{name}", Right::ChangeOwn),
    ("/team/{team_id}/disable_logging", Right::ChangeOwn),
    // End users.
    ("/customer/new", Right::ChangeAll),
    ("/customer/update", Right::ChangeAll),
    ("/customer/delete", Right::ChangeAll),
    ("/customer/block", Right::ChangeAll),
    ("/customer/unblock", Right::ChangeAll),
    ("/customer/info", Right::SeeAll),
    ("/customer/list", Right::SeeAll),
    ("/end_user/new", Right::ChangeAll),
    ("/end_user/update", Right::ChangeAll),
    ("/end_user/delete", Right::ChangeAll),
    ("/end_user/block", Right::ChangeAll),
    ("/end_user/unblock", Right::ChangeAll),
    ("/end_user/info", Right::SeeAll),
    ("/end_user/list", Right::SeeAll),
    // Budgets.
    ("/budget/new", Right::ChangeAll),
    ("/budget/update", Right::ChangeAll),
    ("/budget/delete", Right::ChangeAll),
    ("/budget/info", Right::SeeAll),
    ("/budget/list", Right::SeeAll),
    ("/budget/settings", Right::SeeAll),
    // Organisations.
    ("/organization/new", Right::ChangeAll),
    ("/organization/update", Right::ChangeOwn),
    ("/organization/delete", Right::ChangeAll),
    ("/organization/info", Right::SeeOwn),
    ("/organization/list", Right::SeeOwn),
    ("/organization/member_add", Right::ChangeOwn),
    ("/organization/member_update", Right::ChangeOwn),
    ("/organization/member_delete", Right::ChangeOwn),
    // Tags.
    ("/tag/new", Right::ChangeAll),
    ("/tag/update", Right::ChangeAll),
    ("/tag/delete", Right::ChangeAll),
    ("/tag/info", Right::SeeAll),
    ("/tag/list", Right::SeeAll),
];

/// The patterns of all routes of the table.
pub fn patterns() -> impl Iterator<Item = &'static str> {
    RIGHTS.iter().map(|(pattern, _)| *pattern)
}

/// What it takes to enter a route, by its pattern in the router; `None` is a path that no route has.
#[must_use]
pub fn right(pattern: Option<&str>) -> Right {
    let Some(pattern) = pattern else { return Right::Open };
    if let Some((_, right)) = RIGHTS.iter().find(|(path, _)| *path == pattern) {
        return *right;
    }
    // They are served elsewhere; what comes this far is told which methods there are.
    let kept = pattern.strip_prefix("/v1").unwrap_or(pattern);
    let elsewhere = INFERENCE.iter().any(|(path, _)| *path == pattern)
        || KEPT.iter().any(|(path, _)| *path == kept);
    if elsewhere { Right::Open } else { Right::ChangeAll }
}

impl Right {
    /// Whether a user with this role may enter; `None` is a key without a user.
    #[must_use]
    pub const fn is_given_to(self, role: Option<Role>) -> bool {
        match (self, role) {
            (Self::Open | Self::Metrics | Self::AnyKey | Self::SeeOwn, _)
            | (_, Some(Role::ProxyAdmin))
            | (Self::SeeAll, Some(Role::ProxyAdminViewer))
            | (Self::ChangeOwn, Some(Role::OrgAdmin | Role::InternalUser)) => true,
            (Self::SeeAll | Self::ChangeAll | Self::ChangeOwn, _) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLES: [Option<Role>; 6] = [
        Some(Role::ProxyAdmin),
        Some(Role::ProxyAdminViewer),
        Some(Role::OrgAdmin),
        Some(Role::InternalUser),
        Some(Role::InternalUserViewer),
        None,
    ];

    #[test]
    fn a_route_that_is_not_in_the_table_is_for_proxy_admins() {
        for pattern in ["/new/route", "/key", "/key/generate/", "/config/other"] {
            assert_eq!(right(Some(pattern)), Right::ChangeAll, "{pattern}");
        }
        assert_eq!(right(None), Right::Open, "there is nothing to enter");
        assert_eq!(right(Some("/v1/chat/completions")), Right::Open, "it is only told to POST");
        assert_eq!(right(Some("/v1/files/{id}")), Right::Open);
    }

    #[test]
    fn roles_have_these_rights_and_no_others() {
        let given = |right: Right| ROLES.map(|role| right.is_given_to(role));
        for right in [Right::Open, Right::Metrics, Right::AnyKey, Right::SeeOwn] {
            assert_eq!(given(right), [true; 6], "{right:?}");
        }
        assert_eq!(given(Right::ChangeOwn), [true, false, true, true, false, false]);
        assert_eq!(given(Right::SeeAll), [true, true, false, false, false, false]);
        assert_eq!(given(Right::ChangeAll), [true, false, false, false, false, false]);
    }

    #[test]
    fn no_route_stands_in_the_table_twice() {
        let mut paths: Vec<_> = RIGHTS.iter().map(|(path, _)| *path).collect();
        paths.sort_unstable();
        let all = paths.len();
        paths.dedup();
        assert_eq!(paths.len(), all);
    }
}
