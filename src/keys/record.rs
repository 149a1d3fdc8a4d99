//! Who there is: keys, users, teams and the rest, as they are stored and as the management routes
//! show them.
//!
//! The field names are LiteLLM's, because its clients read them. What has been spent is not here: it
//! changes with each request and belongs to the ledger. Knows nothing of databases and of HTTP.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::callback::OwnCallback;
use super::hash::KeyHash;
use super::role::Role;

/// What a record is about; each kind has a table of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Key,
    User,
    Team,
    Organisation,
    EndUser,
    Budget,
    Tag,
    /// A deployment that was added while the gateway ran.
    Model,
}

impl Kind {
    pub const ALL: [Self; 8] = [
        Self::Key,
        Self::User,
        Self::Team,
        Self::Organisation,
        Self::EndUser,
        Self::Budget,
        Self::Tag,
        Self::Model,
    ];

    /// The word by which stores and the audit log know it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::User => "user",
            Self::Team => "team",
            Self::Organisation => "organisation",
            Self::EndUser => "end_user",
            Self::Budget => "budget",
            Self::Tag => "tag",
            Self::Model => "model",
        }
    }
}

/// A record that the directory keeps.
pub trait Record: Serialize + DeserializeOwned + Send + Sync + 'static {
    const KIND: Kind;

    /// What it is found by: unique within its kind.
    fn id(&self) -> Cow<'_, str>;

    /// What it is listed by.
    fn links(&self) -> Links<'_>;
}

/// What records are listed by. An alias of a key or a user (its e-mail address) is unique.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Links<'a> {
    pub alias: Option<&'a str>,
    pub user: Option<&'a str>,
    pub team: Option<&'a str>,
    pub organisation: Option<&'a str>,
}

/// What one of them may use. An absent field means no bound.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Allowance {
    /// US dollars in each period, or ever if there is no period.
    pub max_budget: Option<f64>,
    /// Beyond it somebody is told, and nothing else happens.
    pub soft_budget: Option<f64>,
    /// The period, in LiteLLM's words: `30d`, `1mo`, `monthly`.
    pub budget_duration: Option<String>,
    pub rpm_limit: Option<u64>,
    pub tpm_limit: Option<u64>,
    pub max_parallel_requests: Option<u64>,
    /// A budget that other records share; what is written here outranks it.
    pub budget_id: Option<String>,
}

/// A budget for one model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ModelBudget {
    #[serde(alias = "max_budget")]
    pub budget_limit: f64,
    #[serde(alias = "budget_duration")]
    pub time_period: Option<String>,
}

/// Which routes a key opens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyType {
    /// What its owner's role allows.
    #[default]
    Default,
    LlmApi,
    Management,
    ReadOnly,
}

/// A virtual key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Key {
    pub token: KeyHash,
    /// What it spends is counted under this hash, if not under its own: that of the first of the keys
    /// that it has replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<KeyHash>,
    /// It was replaced by this one, in whose place it stands until it expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_by: Option<KeyHash>,
    /// What may be shown of it.
    #[serde(default)]
    pub key_name: String,
    #[serde(default)]
    pub key_alias: Option<String>,
    #[serde(default)]
    pub user_id: Option<String>,
    #[serde(default)]
    pub team_id: Option<String>,
    #[serde(default)]
    pub organization_id: Option<String>,
    /// Groups, wildcards and access groups that it may ask for; empty: what its team may.
    #[serde(default)]
    pub models: Vec<String>,
    /// Names that only this key's requests know.
    #[serde(default)]
    pub aliases: BTreeMap<String, String>,
    #[serde(flatten)]
    pub allowance: Allowance,
    #[serde(default)]
    pub model_rpm_limit: BTreeMap<String, u64>,
    #[serde(default)]
    pub model_tpm_limit: BTreeMap<String, u64>,
    #[serde(default)]
    pub model_max_budget: BTreeMap<String, ModelBudget>,
    #[serde(default)]
    pub key_type: KeyType,
    /// Paths that it opens; empty: those of its type.
    #[serde(default)]
    pub allowed_routes: Vec<String>,
    #[serde(default)]
    pub expires: Option<Timestamp>,
    #[serde(default)]
    pub blocked: bool,
    #[serde(default)]
    pub tags: Vec<String>,
    /// Callbacks of its own; `None`: those of its team.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logging: Option<Vec<OwnCallback>>,
    #[serde(default)]
    pub metadata: Map<String, Value>,
    #[serde(flatten)]
    pub history: History,
}

/// A person, or a service, that owns keys.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct User {
    pub user_id: String,
    pub user_email: Option<String>,
    pub user_alias: Option<String>,
    pub user_role: Role,
    pub teams: Vec<String>,
    pub organization_id: Option<String>,
    pub models: Vec<String>,
    #[serde(flatten)]
    pub allowance: Allowance,
    pub blocked: bool,
    pub metadata: Map<String, Value>,
    #[serde(flatten)]
    pub history: History,
}

/// Users that share models, limits and a budget.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Team {
    pub team_id: String,
    pub team_alias: Option<String>,
    pub organization_id: Option<String>,
    #[serde(rename = "members_with_roles")]
    pub members: Vec<Member>,
    pub models: Vec<String>,
    pub model_aliases: BTreeMap<String, String>,
    #[serde(flatten)]
    pub allowance: Allowance,
    /// What all its keys together may ask of single models.
    pub model_rpm_limit: BTreeMap<String, u64>,
    pub model_tpm_limit: BTreeMap<String, u64>,
    pub blocked: bool,
    pub tags: Vec<String>,
    /// Callbacks of its own, for all its keys that have none; `None`: nothing is said of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logging: Option<Vec<OwnCallback>>,
    pub metadata: Map<String, Value>,
    #[serde(flatten)]
    pub history: History,
}

/// A user in a team.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Member {
    pub user_id: String,
    pub user_email: Option<String>,
    pub role: MemberRole,
    /// What this member may use within the team.
    #[serde(flatten)]
    pub allowance: Allowance,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberRole {
    Admin,
    #[default]
    User,
}

/// Teams that share models and a budget.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Organisation {
    pub organization_id: String,
    pub organization_alias: Option<String>,
    pub models: Vec<String>,
    #[serde(flatten)]
    pub allowance: Allowance,
    pub metadata: Map<String, Value>,
    #[serde(flatten)]
    pub history: History,
}

/// Who a client calls for: `user` of the request. LiteLLM also says customer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndUser {
    pub user_id: String,
    pub alias: Option<String>,
    pub blocked: bool,
    pub allowed_model_region: Option<String>,
    pub default_model: Option<String>,
    #[serde(flatten)]
    pub allowance: Allowance,
    pub metadata: Map<String, Value>,
    #[serde(flatten)]
    pub history: History,
}

/// An allowance that others refer to by `budget_id`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BudgetRecord {
    #[serde(flatten)]
    pub allowance: Allowance,
    pub model_max_budget: BTreeMap<String, ModelBudget>,
    #[serde(flatten)]
    pub history: History,
}

/// A tag of requests that has a budget.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tag {
    pub name: String,
    pub description: Option<String>,
    pub models: Vec<String>,
    #[serde(flatten)]
    pub allowance: Allowance,
    #[serde(flatten)]
    pub history: History,
}

/// A deployment that was added while the gateway ran.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Model {
    pub model_id: String,
    /// The group that it belongs to.
    pub model_name: String,
    /// How it is called, with the provider's credentials: sealed, as JSON.
    pub sealed: String,
    pub model_info: Map<String, Value>,
    #[serde(flatten)]
    pub history: History,
}

/// Who made a record and who changed it last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct History {
    pub created_at: Option<Timestamp>,
    pub created_by: Option<String>,
    pub updated_at: Option<Timestamp>,
    pub updated_by: Option<String>,
}

macro_rules! records {
    ($($record:ident is $kind:ident by $id:ident { $($link:ident: $field:ident),* })*) => {
        $(impl Record for $record {
            const KIND: Kind = Kind::$kind;

            fn id(&self) -> Cow<'_, str> {
                Cow::Borrowed(&self.$id)
            }

            fn links(&self) -> Links<'_> {
                Links { $($link: self.$field.as_deref(),)* ..Links::default() }
            }
        })*
    };
}

records! {
    User is User by user_id { alias: user_email, organisation: organization_id }
    Team is Team by team_id { alias: team_alias, organisation: organization_id }
    Organisation is Organisation by organization_id { alias: organization_alias }
    EndUser is EndUser by user_id { alias: alias }
    Tag is Tag by name {}
}

impl Key {
    /// The hash under which what it spends is counted.
    #[must_use]
    pub fn account(&self) -> KeyHash {
        self.account.unwrap_or(self.token)
    }

    /// The models that have limits or budgets of their own, as they are written; one may come twice.
    pub fn limited_models(&self) -> impl Iterator<Item = &str> {
        let limited = self.model_rpm_limit.keys().chain(self.model_tpm_limit.keys());
        limited.chain(self.model_max_budget.keys()).map(String::as_str)
    }
}

impl User {
    /// Whether the default budget of internal users holds for them.
    #[must_use]
    pub fn has_default(&self) -> bool {
        matches!(self.user_role, Role::InternalUser | Role::InternalUserViewer)
    }
}

impl Team {
    /// The models that have limits of their own, as they are written; one may come twice.
    pub fn limited_models(&self) -> impl Iterator<Item = &str> {
        self.model_rpm_limit.keys().chain(self.model_tpm_limit.keys()).map(String::as_str)
    }
}

impl Record for Model {
    const KIND: Kind = Kind::Model;

    fn id(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.model_id)
    }

    fn links(&self) -> Links<'_> {
        Links { alias: Some(&self.model_name), ..Links::default() }
    }
}

impl Record for Key {
    const KIND: Kind = Kind::Key;

    fn id(&self) -> Cow<'_, str> {
        Cow::Owned(self.token.to_string())
    }

    fn links(&self) -> Links<'_> {
        Links {
            alias: self.key_alias.as_deref(),
            user: self.user_id.as_deref(),
            team: self.team_id.as_deref(),
            organisation: self.organization_id.as_deref(),
        }
    }
}

impl Record for BudgetRecord {
    const KIND: Kind = Kind::Budget;

    fn id(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.allowance.budget_id.as_deref().unwrap_or_default())
    }

    fn links(&self) -> Links<'_> {
        Links::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_is_written_and_with_little_in_it() {
        let token = KeyHash::of(b"sk-test");
        let text = serde_json::json!({
            "token": token, "key_alias": "ci", "models": ["gpt-4o"], "max_budget": 1.5,
            "budget_duration": "monthly", "expires": "2030-01-01T00:00:00Z",
            "model_max_budget": {"gpt-4o": {"budget_limit": 1.0, "time_period": "1d"}},
        });
        let key: Key = serde_json::from_value(text).unwrap();
        assert_eq!(key.allowance.max_budget, Some(1.5));
        assert_eq!(key.model_max_budget["gpt-4o"].budget_limit, 1.0);
        assert_eq!(key.links().alias, Some("ci"));
        let again: Key = serde_json::from_str(&serde_json::to_string(&key).unwrap()).unwrap();
        assert_eq!(again, key);
    }
}
