//! One request, as the ledger keeps it.
//!
//! Written to the journal as JSON and to the database as a row; a field that is added must be
//! optional, because a journal may be older than the program that reads it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::scope::{Scope, ScopeKind};
use super::traffic::{LOOKUP, SHADOW, Tried};
use crate::usage::{Usage, is_zero};

/// Where the metadata of an event tell which guardrails applied.
pub const APPLIED_GUARDRAILS: &str = "_applied_guardrails";
/// Where they tell how near the question was that was answered before, if it was not the same.
pub const SIMILARITY: &str = "_semantic_similarity";

/// What one request was, what it used and what it cost. Times are microseconds since 1970 (UTC).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SpendEvent {
    /// Unique: the ledger keeps one row for each, however often it is told.
    pub request_id: Arc<str>,
    /// The name that the client knows it by, which may not be unique: `x-request-id`,
    /// `x-litellm-call-id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_id: Option<Arc<str>>,
    pub started_us: i64,
    pub duration_us: i64,
    /// From the start to the first content of a stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_token_us: Option<i64>,
    /// The hash of the key; `master`, or empty where no key is asked for.
    pub key: Arc<str>,
    /// What the key spends is counted under this hash: that of the first of those that it replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_alias: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organisation: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_user: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Arc<str>>,
    /// What of the API was called: `/v1/chat/completions`.
    pub route: Arc<str>,
    /// The model as the client named it.
    pub model: Arc<str>,
    /// The group that served, or would have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<Arc<str>>,
    /// The names by which the key's budgets for single models count it: they are those of what was asked
    /// for, whoever served. Empty: the group.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub key_models: Vec<Arc<str>>,
    /// The group that was asked for, if another one served: after a fallback, or where a name's
    /// requests are divided among groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<Arc<str>>,
    /// The model as the provider names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_model: Option<Arc<str>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stream: bool,
    pub status: u16,
    /// The class of the error, if it was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Arc<str>>,
    /// The client left before the end.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub client_gone: bool,
    /// The reply was kept from before: it used and cost nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cache_hit: bool,
    /// The name of what was kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_key: Option<Arc<str>>,
    /// What the same reply cost when it was made, in pico-dollars.
    #[serde(skip_serializing_if = "is_zero")]
    pub saved_pico: u64,
    /// The tokens that it used then.
    #[serde(skip_serializing_if = "is_zero")]
    pub saved_tokens: u64,
    pub usage: Usage,
    /// Pico-dollars.
    #[serde(skip_serializing_if = "is_zero")]
    pub cost_pico: u64,
    #[serde(skip_serializing_if = "is_none")]
    pub retries: u32,
    #[serde(skip_serializing_if = "is_none")]
    pub fallbacks: u32,
    /// The attempts, where there is more to say of them than that one succeeded.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<Tried>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_ip: Option<Arc<str>>,
    /// What the client wants to find it by: `x-litellm-session-id`, `x-litellm-trace-id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<Arc<str>>,
    /// `metadata.spend_logs_metadata` of the request, as JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Arc<str>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
const fn is_none(count: &u32) -> bool {
    *count == 0
}

impl SpendEvent {
    /// Whether the client did not get the whole of a successful reply.
    #[must_use]
    pub const fn has_failed(&self) -> bool {
        self.status >= 400 || self.error.is_some()
    }

    /// Whether time was what it ended by.
    #[must_use]
    pub fn has_timed_out(&self) -> bool {
        matches!(self.error.as_deref(), Some("timeout" | "deadline"))
    }

    /// Whether it is a call of the gateway's own, which no client made.
    #[must_use]
    pub fn is_own(&self) -> bool {
        matches!(&*self.route, SHADOW | LOOKUP)
    }

    /// Everybody who pays for it.
    pub fn scopes(&self) -> impl Iterator<Item = Scope> + '_ {
        let one = |kind, id: &Option<Arc<str>>| id.clone().map(|id| Scope { kind, id });
        let member = self.team.as_ref().zip(self.user.as_ref());
        let member =
            member.map(|(team, user)| Scope::new(ScopeKind::TeamMember, format!("{team}/{user}")));
        let key = Some(self.account.as_ref().unwrap_or(&self.key)).filter(|key| !key.is_empty());
        let key = key.cloned();
        let served = self.group.as_slice().iter().filter(|_| self.key_models.is_empty());
        let keyed = self.key_models.iter().chain(served).zip(std::iter::repeat(key.clone()));
        let keyed = keyed.filter_map(|(model, key)| {
            Some(Scope::new(ScopeKind::KeyModel, format!("{}/{model}", key?)))
        });
        let tags = self.tags.iter().map(|tag| Scope::new(ScopeKind::Tag, Arc::clone(tag)));
        [
            Some(Scope::new(ScopeKind::Proxy, "")),
            one(ScopeKind::Organisation, &self.organisation),
            one(ScopeKind::Team, &self.team),
            member,
            one(ScopeKind::User, &self.user),
            one(ScopeKind::Key, &key),
            one(ScopeKind::EndUser, &self.end_user),
            one(ScopeKind::Model, &self.group),
            one(ScopeKind::Provider, &self.provider),
            one(ScopeKind::Deployment, &self.deployment),
        ]
        .into_iter()
        .flatten()
        .chain(keyed)
        .chain(tags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_pays_is_who_is_named() {
        let event = SpendEvent {
            key: "k".into(),
            team: Some("t".into()),
            user: Some("u".into()),
            group: Some("gpt".into()),
            tags: vec!["a".into(), "b".into()],
            ..SpendEvent::default()
        };
        let scopes: Vec<_> =
            event.scopes().map(|scope| format!("{}:{}", scope.kind.word(), scope.id)).collect();
        assert_eq!(
            scopes,
            [
                "proxy:",
                "team:t",
                "team_member:t/u",
                "user:u",
                "key:k",
                "model:gpt",
                "key_model:k/gpt",
                "tag:a",
                "tag:b",
            ]
        );
        assert_eq!(SpendEvent::default().scopes().count(), 1, "the proxy itself always pays");
        let replaced = SpendEvent {
            account: Some("first".into()),
            key_models: vec!["asked".into(), "alias".into()],
            ..event
        };
        let of_key = replaced.scopes().map(|scope| format!("{}:{}", scope.kind.word(), scope.id));
        let of_key: Vec<_> = of_key.filter(|scope| scope.starts_with("key")).collect();
        let expected = ["key:first", "key_model:first/asked", "key_model:first/alias"];
        assert_eq!(of_key, expected, "its account, and what it asked for");
    }
}
