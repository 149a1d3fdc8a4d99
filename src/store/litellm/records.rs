//! Rows of LiteLLM's as records of ours. Pure.
//!
//! What LiteLLM knows and Tollgate does not is a finding, so that nobody believes in a limit that is
//! not there.

use std::collections::{BTreeMap, HashMap};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::row::{Row, texts};
use crate::keys::record::{
    Allowance, BudgetRecord, EndUser, History, Key, KeyType, Member, MemberRole, ModelBudget,
    Organisation, Tag, Team, User,
};
use crate::keys::{Entry, KeyHash, Role, StoreError};
use crate::spend::{Period, Scope, ScopeKind};

/// Keys of this team are sessions of people in LiteLLM's dashboard.
const DASHBOARD: &str = "litellm-dashboard";
/// The user in whose row LiteLLM keeps what the whole proxy has spent.
const PROXY: &str = "litellm-proxy-budget";

/// What a row is here.
#[derive(Debug, Default)]
pub(super) struct Brought {
    /// `None`: no record.
    pub(super) entry: Option<Entry>,
    /// Who has spent how many dollars.
    pub(super) spend: Vec<(Scope, f64)>,
    /// What is not as it was.
    pub(super) findings: Vec<String>,
    /// What the row may be called in a message: never a key's hash.
    pub(super) name: String,
}

impl Brought {
    fn skipped(name: String, why: &str) -> Self {
        Self { name, findings: vec![why.to_owned()], ..Self::default() }
    }

    fn spent(mut self, kind: ScopeKind, id: &str, row: &Row) -> Self {
        self.spend.push((Scope::new(kind, id), row.float("spend").unwrap_or_default()));
        self
    }

    /// Notes each of these that is set.
    fn lacks(mut self, row: &Row, fields: &[(&str, &str)]) -> Self {
        let set = fields.iter().filter(|(field, _)| row.says(field));
        self.findings.extend(set.map(|(_, what)| (*what).to_owned()));
        self
    }
}

/// What belongs to teams and users and stands in other tables.
#[derive(Debug, Default)]
pub(super) struct Beside {
    /// Organisations by user, with the rows of the memberships.
    pub(super) organisations: HashMap<String, Vec<(String, Row)>>,
    /// Members by team: user, budget, dollars spent.
    pub(super) members: HashMap<String, Vec<(String, Option<String>, f64)>>,
    /// Aliases of models, by the number by which teams refer to them.
    pub(super) aliases: HashMap<u64, BTreeMap<String, String>>,
}

pub(super) fn budget(row: &Row) -> Result<Brought, StoreError> {
    let name = row.text("budget_id").unwrap_or_default();
    let mut findings = Vec::new();
    let record = BudgetRecord {
        allowance: allowance(row, &mut findings),
        model_max_budget: model_budgets(row, &mut findings),
        history: history(row),
    };
    let brought =
        Brought { entry: Some(Entry::of(&record)?), findings, name, ..Brought::default() };
    Ok(brought.lacks(row, &[TOKENS_PER_DAY, ("allowed_models", "models of members of teams")]))
}

pub(super) fn organisation(row: &Row) -> Result<Brought, StoreError> {
    let name = row.text("organization_id").unwrap_or_default();
    let mut findings = Vec::new();
    let record = Organisation {
        organization_id: name.clone(),
        organization_alias: row.text("organization_alias"),
        models: row.texts("models"),
        allowance: allowance(row, &mut findings),
        metadata: row.object("metadata"),
        history: history(row),
    };
    let entry = Some(Entry::of(&record)?);
    let brought = Brought { entry, findings, name: name.clone(), ..Brought::default() };
    Ok(brought.spent(ScopeKind::Organisation, &name, row).lacks(row, &[PERMISSIONS, MODEL_SPEND]))
}

pub(super) fn team(row: &Row, beside: &Beside) -> Result<Brought, StoreError> {
    let name = row.text("team_id").unwrap_or_default();
    let mut findings = Vec::new();
    let mut metadata = row.object("metadata");
    without_callbacks(&mut metadata, &mut findings);
    let shared = metadata.get("team_member_budget_id").and_then(Value::as_str).map(str::to_owned);
    let known = beside.members.get(&name).map(Vec::as_slice).unwrap_or_default();
    let mut members: Vec<Member> = match row.json("members_with_roles") {
        Some(Value::Array(list)) => list.iter().filter_map(member).collect(),
        _ => Vec::new(),
    };
    for (user, _, _) in known {
        // LiteLLM keeps members twice, and not always both times.
        if !members.iter().any(|member| member.user_id == *user) {
            members.push(Member { user_id: user.clone(), ..Member::default() });
        }
    }
    for member in &mut members {
        let own = known.iter().find(|(user, _, _)| *user == member.user_id);
        let own = own.and_then(|(_, budget, _)| budget.clone());
        member.allowance.budget_id = own.or_else(|| shared.clone());
    }
    let spend = known.iter().map(|(user, _, dollars)| {
        (Scope::new(ScopeKind::TeamMember, format!("{name}/{user}")), *dollars)
    });
    let spend = spend.collect();
    let aliases = row.whole("model_id").and_then(|id| beside.aliases.get(&id));
    let record = Team {
        team_id: name.clone(),
        team_alias: row.text("team_alias"),
        organization_id: row.text("organization_id"),
        members,
        models: row.texts("models"),
        model_aliases: aliases.cloned().unwrap_or_default(),
        allowance: allowance(row, &mut findings),
        blocked: row.flag("blocked"),
        model_rpm_limit: taken(&mut metadata, "model_rpm_limit"),
        model_tpm_limit: taken(&mut metadata, "model_tpm_limit"),
        tags: metadata.remove("tags").map(|tags| texts(&tags)).unwrap_or_default(),
        logging: None,
        metadata,
        history: history(row),
    };
    let entry = Some(Entry::of(&record)?);
    let brought = Brought { entry, spend, findings, name: name.clone() };
    let fields = [
        TOKENS_PER_DAY,
        WINDOWS,
        ROUTING,
        PERMISSIONS,
        POLICIES,
        GROUPS,
        MODEL_SPEND,
        ("model_max_budget", "budgets by model of a team"),
    ];
    Ok(brought.spent(ScopeKind::Team, &name, row).lacks(row, &fields))
}

fn member(entry: &Value) -> Option<Member> {
    let text = |name: &str| entry.get(name).and_then(Value::as_str).map(str::to_owned);
    let role = match entry.get("role").and_then(Value::as_str) {
        Some("admin") => MemberRole::Admin,
        _ => MemberRole::User,
    };
    let user_id = text("user_id")?;
    Some(Member { user_id, user_email: text("user_email"), role, ..Member::default() })
}

pub(super) fn user(row: &Row, beside: &Beside) -> Result<Brought, StoreError> {
    let name = row.text("user_id").unwrap_or_default();
    if name == PROXY {
        let brought = Brought { name, ..Brought::default() };
        return Ok(brought.spent(ScopeKind::Proxy, "", row));
    }
    let mut findings = Vec::new();
    let role = row.text("user_role");
    let user_role = role.as_deref().and_then(|role| read(json!(role)));
    if user_role.is_none() {
        findings.push("a role that is not known here: brought over as internal_user_viewer".into());
    }
    let mut user_role = user_role.unwrap_or(Role::InternalUserViewer);
    let mut organization_id = row.text("organization_id");
    for (organisation, membership) in beside.organisations.get(&name).into_iter().flatten() {
        if *organization_id.get_or_insert_with(|| organisation.clone()) != *organisation {
            findings.push("a further organisation of a user, who has one here".into());
            continue;
        }
        // Who sees or manages everything keeps that.
        if membership.text("user_role").as_deref() == Some("org_admin")
            && matches!(user_role, Role::InternalUser | Role::InternalUserViewer)
        {
            user_role = Role::OrgAdmin;
        }
        if membership.says("budget_id") {
            findings.push("a budget of a member of an organisation".into());
        }
        if membership.float("spend").is_some_and(|dollars| dollars > 0.0) {
            findings.push("what a member has spent for an organisation".into());
        }
    }
    let record = User {
        user_id: name.clone(),
        user_email: row.text("user_email"),
        user_alias: row.text("user_alias"),
        user_role,
        teams: row.texts("teams"),
        organization_id,
        models: row.texts("models"),
        allowance: allowance(row, &mut findings),
        blocked: false,
        metadata: row.object("metadata"),
        history: history(row),
    };
    let entry = Some(Entry::of(&record)?);
    let brought = Brought { entry, findings, name: name.clone(), ..Brought::default() };
    let fields = [
        TOKENS_PER_DAY,
        PERMISSIONS,
        POLICIES,
        MODEL_SPEND,
        ("password", "a password for LiteLLM's dashboard"),
        ("sso_user_id", "an identity of single sign-on"),
        ("model_max_budget", "budgets by model of a user"),
    ];
    Ok(brought.spent(ScopeKind::User, &name, row).lacks(row, &fields))
}

pub(super) fn key(row: &Row) -> Result<Brought, StoreError> {
    let alias = row.text("key_alias");
    let shown = row.text("key_name").unwrap_or_default();
    let name =
        alias.clone().unwrap_or_else(|| if shown.is_empty() { "a key".into() } else { shown });
    if row.text("team_id").as_deref() == Some(DASHBOARD) {
        return Ok(Brought::skipped(name, "a session of LiteLLM's dashboard"));
    }
    let Some(token) = row.text("token").and_then(|token| token.parse::<KeyHash>().ok()) else {
        return Ok(Brought::skipped(name, "a key that is not stored as a hash"));
    };
    let mut findings = Vec::new();
    let mut metadata = row.object("metadata");
    without_callbacks(&mut metadata, &mut findings);
    let (key_type, allowed_routes) = opens(row.texts("allowed_routes"));
    let record = Key {
        token,
        account: None,
        replaced_by: None,
        key_name: row.text("key_name").unwrap_or_default(),
        key_alias: alias,
        user_id: row.text("user_id"),
        team_id: row.text("team_id"),
        organization_id: row.text("organization_id"),
        models: row.texts("models"),
        aliases: read(Value::Object(row.object("aliases"))).unwrap_or_default(),
        allowance: allowance(row, &mut findings),
        model_rpm_limit: taken(&mut metadata, "model_rpm_limit"),
        model_tpm_limit: taken(&mut metadata, "model_tpm_limit"),
        model_max_budget: model_budgets(row, &mut findings),
        key_type,
        allowed_routes,
        expires: row.time("expires"),
        blocked: row.flag("blocked"),
        tags: metadata.remove("tags").map(|tags| texts(&tags)).unwrap_or_default(),
        logging: None,
        metadata,
        history: history(row),
    };
    let entry = Entry::of(&record)?;
    let id = entry.id.clone();
    let by_model = row.object("model_spend");
    let by_model = by_model.iter().filter_map(|(model, dollars)| {
        Some((Scope::new(ScopeKind::KeyModel, format!("{id}/{model}")), dollars.as_f64()?))
    });
    let spend = by_model.collect();
    let brought = Brought { entry: Some(entry), spend, findings, name };
    let fields = [
        TOKENS_PER_DAY,
        WINDOWS,
        ROUTING,
        PERMISSIONS,
        POLICIES,
        GROUPS,
        ("project_id", "the project of a key"),
        ("agent_id", "the agent of a key"),
        ("budget_fallbacks", "models to fall back to when a budget is spent"),
        ("allowed_cache_controls", "which cache controls a key may use"),
        ("auto_rotate", "rotation by itself"),
    ];
    Ok(brought.spent(ScopeKind::Key, &id, row).lacks(row, &fields))
}

/// LiteLLM keeps the type of a key as the name of a set of routes.
fn opens(routes: Vec<String>) -> (KeyType, Vec<String>) {
    let kind = match routes.as_slice() {
        [one] => match one.as_str() {
            "llm_api_routes" => KeyType::LlmApi,
            "management_routes" => KeyType::Management,
            "info_routes" => KeyType::ReadOnly,
            _ => return (KeyType::Default, routes),
        },
        _ => return (KeyType::Default, routes),
    };
    (kind, Vec::new())
}

pub(super) fn customer(row: &Row) -> Result<Brought, StoreError> {
    let name = row.text("user_id").unwrap_or_default();
    let record = EndUser {
        user_id: name.clone(),
        alias: row.text("alias"),
        blocked: row.flag("blocked"),
        allowed_model_region: row.text("allowed_model_region"),
        default_model: row.text("default_model"),
        allowance: allowance(row, &mut Vec::new()),
        ..EndUser::default()
    };
    let brought =
        Brought { entry: Some(Entry::of(&record)?), name: name.clone(), ..Brought::default() };
    Ok(brought.spent(ScopeKind::EndUser, &name, row).lacks(row, &[PERMISSIONS]))
}

pub(super) fn tag(row: &Row) -> Result<Brought, StoreError> {
    let name = row.text("tag_name").unwrap_or_default();
    let record = Tag {
        name: name.clone(),
        description: row.text("description"),
        models: row.texts("models"),
        allowance: allowance(row, &mut Vec::new()),
        history: history(row),
    };
    let brought =
        Brought { entry: Some(Entry::of(&record)?), name: name.clone(), ..Brought::default() };
    Ok(brought.spent(ScopeKind::Tag, &name, row))
}

const MODEL_SPEND: (&str, &str) = ("model_spend", "spend by model, which is counted for keys only");
const TOKENS_PER_DAY: (&str, &str) = ("tpd_limit", "a limit of tokens per day");
const WINDOWS: (&str, &str) = ("budget_limits", "several budgets at once (budget_limits)");
const ROUTING: (&str, &str) = ("router_settings", "router settings of its own");
const PERMISSIONS: (&str, &str) =
    ("object_permission_id", "permissions for MCP servers, vector stores and agents");
const POLICIES: (&str, &str) = ("policies", "policies of guardrails");
const GROUPS: (&str, &str) = ("access_group_ids", "access groups of the database");

fn allowance(row: &Row, findings: &mut Vec<String>) -> Allowance {
    let duration = row.text("budget_duration");
    let understood = duration.as_ref().is_none_or(|text| text.parse::<Period>().is_ok());
    if !understood {
        findings.push("a budget_duration that is none: the budget is for ever".into());
    }
    Allowance {
        max_budget: row.float("max_budget"),
        soft_budget: row.float("soft_budget"),
        budget_duration: duration.filter(|_| understood),
        rpm_limit: row.whole("rpm_limit"),
        tpm_limit: row.whole("tpm_limit"),
        max_parallel_requests: row.whole("max_parallel_requests"),
        budget_id: row.text("budget_id"),
    }
}

/// LiteLLM has written a budget for a model as a number, and as an object since.
fn model_budgets(row: &Row, findings: &mut Vec<String>) -> BTreeMap<String, ModelBudget> {
    let mut budgets = BTreeMap::new();
    for (model, budget) in row.object("model_max_budget") {
        let budget = match &budget {
            Value::Number(limit) => read(json!({ "budget_limit": limit })),
            other => read(other.clone()),
        };
        match budget {
            Some(budget) => drop(budgets.insert(model, budget)),
            None => findings.push("a budget for a model that cannot be read".into()),
        }
    }
    budgets
}

fn history(row: &Row) -> History {
    History {
        created_at: row.time("created_at"),
        created_by: row.text("created_by"),
        updated_at: row.time("updated_at"),
        updated_by: row.text("updated_by"),
    }
}

fn read<T: DeserializeOwned>(value: Value) -> Option<T> {
    serde_json::from_value(value).ok()
}

fn taken(metadata: &mut Map<String, Value>, name: &str) -> BTreeMap<String, u64> {
    metadata.remove(name).and_then(read).unwrap_or_default()
}

/// Callbacks of a key or a team hold credentials that are sealed otherwise there, and lead to receivers
/// that nobody has allowed here. That nobody is to be told what is said stays.
fn without_callbacks(metadata: &mut Map<String, Value>, findings: &mut Vec<String>) {
    const SILENCE: &str = "turn_off_message_logging";
    let logging = metadata.remove("logging");
    let settings = metadata.remove("callback_settings");
    let listed = logging.as_ref().and_then(Value::as_array).into_iter().flatten();
    let vars = listed.chain(settings.as_ref()).filter_map(|entry| entry.get("callback_vars"));
    let says = |value: &Value| match value {
        Value::Bool(value) => *value,
        Value::String(text) => text.eq_ignore_ascii_case("true"),
        _ => false,
    };
    let mut count = 0;
    for vars in vars {
        count += 1;
        if vars.get(SILENCE).is_some_and(says) {
            metadata.insert(SILENCE.to_owned(), Value::Bool(true));
        }
    }
    if count > 0 {
        findings.push("callbacks of its own (metadata.logging): give them anew".into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(fields: Value) -> Row {
        Row::new(fields.as_object().unwrap().clone())
    }

    #[test]
    fn the_type_of_a_key_is_read_from_its_routes() {
        assert_eq!(opens(vec!["llm_api_routes".into()]), (KeyType::LlmApi, Vec::new()));
        let own = vec!["/v1/chat/completions".to_owned()];
        assert_eq!(opens(own.clone()), (KeyType::Default, own));
    }

    #[test]
    fn a_key_of_an_old_schema_is_a_key() {
        let token = KeyHash::of(b"sk-old").to_string();
        let brought = key(&row(json!({"token": token, "spend": 1.5, "models": []}))).unwrap();
        assert_eq!(brought.entry.unwrap().id, token);
        assert_eq!(brought.spend, [(Scope::new(ScopeKind::Key, &*token), 1.5)]);
        assert!(brought.findings.is_empty());
        assert!(!brought.name.contains(&token), "a hash is not shown");
    }

    #[test]
    fn callbacks_stay_behind_and_silence_is_kept() {
        let token = KeyHash::of(b"sk-1").to_string();
        let metadata = json!({"owner": "me", "logging": [{"callback_name": "langfuse", "callback_vars":
            {"langfuse_secret_key": "hush", "turn_off_message_logging": "True"}}]});
        let brought = key(&row(json!({"token": token, "metadata": metadata}))).unwrap();
        let record = brought.entry.unwrap().record;
        assert_eq!(record["metadata"], json!({"owner": "me", "turn_off_message_logging": true}));
        assert!(!record.to_string().contains("hush"), "{record}");
        assert_eq!(brought.findings.len(), 1);
    }

    #[test]
    fn what_is_no_key_is_not_brought_over() {
        let plain = key(&row(json!({"token": "sk-plain", "key_alias": "odd"}))).unwrap();
        assert!(plain.entry.is_none() && plain.spend.is_empty());
        let token = KeyHash::of(b"sk-ui").to_string();
        let session = key(&row(json!({"token": token, "team_id": DASHBOARD}))).unwrap();
        assert!(session.entry.is_none());
    }

    #[test]
    fn a_user_without_a_role_that_is_known_may_only_look() {
        let brought =
            user(&row(json!({"user_id": "u", "user_role": "team"})), &Beside::default()).unwrap();
        assert_eq!(brought.entry.unwrap().record["user_role"], "internal_user_viewer");
        assert_eq!(brought.findings.len(), 1);
        let proxy =
            user(&row(json!({"user_id": PROXY, "spend": 3.0})), &Beside::default()).unwrap();
        assert!(proxy.entry.is_none());
        assert_eq!(proxy.spend, [(Scope::new(ScopeKind::Proxy, ""), 3.0)]);
    }
}
