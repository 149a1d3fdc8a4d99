//! `/key/*`: virtual keys.
//!
//! ```text
//! fields.rs   what a request says of a key
//! make.rs     new keys
//! change.rs   update, block, delete, regenerate, reset
//! show.rs     info and lists
//! ```

mod change;
mod fields;
mod make;
mod show;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use serde_json::{Map, Value, json};

use super::spent::{self, Payer, Standing};
use super::{Desk, Operator};
use crate::admin::fault::Fault;
use crate::keys::record::{BudgetRecord, Key, Team};
use crate::keys::{Entry, Filter, KeyHash};
use crate::spend::{Scope, ScopeKind};

pub(super) use self::fields::{GUARDRAILS, check_guardrails, guardrails};
pub(super) use self::make::issue_first;

pub(super) fn router() -> Router<Arc<Desk>> {
    Router::new()
        .route("/key/generate", post(make::generate))
        .route("/key/service-account/generate", post(make::service_account))
        .route("/key/update", post(change::update))
        .route("/key/bulk_update", post(change::bulk_update))
        .route("/key/delete", post(change::delete))
        .route("/key/block", post(change::block))
        .route("/key/unblock", post(change::unblock))
        .route("/key/regenerate", post(change::regenerate))
        .route("/key/{key}/regenerate", post(change::regenerate_this))
        .route("/key/{key}/reset_spend", post(change::reset_spend))
        .route("/key/info", get(show::info))
        .route("/v2/key/info", post(show::infos))
        .route("/key/list", get(show::list))
        .route("/key/aliases", get(show::aliases))
        .route("/key/health", post(show::health))
}

/// The hash of what a request calls a key: the key itself, or its hash.
fn hash_of(named: &str) -> KeyHash {
    named.parse().unwrap_or_else(|_| KeyHash::of(named.as_bytes()))
}

/// The scope that pays for a key's requests.
fn scope(key: &Key) -> Scope {
    Scope::new(ScopeKind::Key, key.account().to_string())
}

impl Desk {
    /// A key by itself or by its hash.
    async fn key(&self, named: &str) -> Result<Key, Fault> {
        let hash = hash_of(named);
        let absent = || Fault::absent("key", "Key not found in database".to_owned());
        self.find(&hash.to_string()).await?.ok_or_else(absent)
    }

    /// A key of the configuration file, which is in no database.
    fn static_key(&self, hash: KeyHash) -> Option<Key> {
        self.source.access().static_keys.get(&hash).map(|holder| holder.key.clone())
    }

    async fn key_by_alias(&self, alias: &str) -> Result<Option<Key>, Fault> {
        let filter = Filter { alias: Some(alias.to_owned()), limit: 1, ..Filter::default() };
        Ok(self.list(&filter).await?.pop())
    }

    async fn team_of(&self, key: &Key) -> Result<Option<Team>, Fault> {
        match &key.team_id {
            Some(team_id) => self.find(team_id).await,
            None => Ok(None),
        }
    }
}

/// Whether a caller manages a key: everything, or its team, or its organisation.
async fn runs(desk: &Desk, operator: &Operator, key: &Key) -> Result<bool, Fault> {
    if operator.changes_all() || operator.leads(key.organization_id.as_deref()) {
        return Ok(true);
    }
    Ok(desk.team_of(key).await?.is_some_and(|team| operator.runs(&team)))
}

/// Whether it is the caller's own.
fn owns(operator: &Operator, key: &Key) -> bool {
    key.user_id.is_some() && key.user_id.as_deref() == operator.user_id()
}

/// Whether a caller may see a key.
async fn sees(desk: &Desk, operator: &Operator, key: &Key) -> Result<bool, Fault> {
    let own = operator.key_hash() == Some(key.token.to_string().as_str());
    Ok(operator.sees_all() || own || owns(operator, key) || runs(desk, operator, key).await?)
}

/// A key as LiteLLM shows one, its hash included.
fn shown(
    key: &Key,
    standing: &Standing,
    budget: Option<&BudgetRecord>,
) -> Result<Map<String, Value>, Fault> {
    let Value::Object(mut fields) = Entry::of(key)?.record else { return Ok(Map::new()) };
    standing.show(&mut fields);
    fields.remove("account");
    let limits = [&key.model_rpm_limit, &key.model_tpm_limit];
    let own = key.logging.as_deref();
    super::allowance::show_lifted(&key.metadata, &key.tags, limits, own, &mut fields);
    let budget = budget.map(Entry::of).transpose()?.map(|entry| entry.record);
    fields.insert("litellm_budget_table".to_owned(), budget.unwrap_or(Value::Null));
    for name in ["config", "permissions", "model_spend"] {
        fields.insert(name.to_owned(), json!({}));
    }
    Ok(fields)
}

/// Several keys as they are shown, in their order.
pub(super) async fn all_shown(desk: &Desk, keys: &[Key]) -> Result<Vec<Map<String, Value>>, Fault> {
    let payers = keys.iter().map(|key| Payer::new(scope(key), &key.allowance));
    let payers: Vec<_> = payers.collect();
    let standings = spent::standings(desk, &payers, jiff::Timestamp::now()).await?;
    let budgets = spent::budgets(desk, keys.iter().map(|key| &key.allowance)).await?;
    let keys = keys.iter().zip(&standings);
    keys.map(|(key, standing)| {
        let budget = key.allowance.budget_id.as_ref().and_then(|id| budgets.get(id));
        shown(key, standing, budget)
    })
    .collect()
}

async fn one_shown(desk: &Desk, key: &Key) -> Result<Map<String, Value>, Fault> {
    Ok(all_shown(desk, std::slice::from_ref(key)).await?.pop().unwrap_or_default())
}

/// A key whose secret is told with it. It is told also if the database went away meanwhile: nobody
/// could make use of the key otherwise.
async fn shown_once(desk: &Desk, key: &Key) -> Result<Map<String, Value>, Fault> {
    match one_shown(desk, key).await {
        Ok(fields) => Ok(fields),
        Err(_) => shown(key, &Standing::default(), None),
    }
}
