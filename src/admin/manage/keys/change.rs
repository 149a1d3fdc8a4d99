//! Changes of keys.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::draft::Draft;
use super::super::spent::{self, Payer};
use super::super::{Desk, Operator, allowance};
use super::fields::{self, GUARDRAILS};
use super::make::{self, Issued, Request};
use super::{hash_of, one_shown, owns, runs, scope, shown_once};
use crate::admin::fault::Fault;
use crate::admin::form::{Form, Given};
use crate::keys::record::{Key, KeyType};
use crate::keys::{KeyHash, expiry, masked};

/// The most keys of one request.
const KEYS_MAX: usize = 500;

/// Whose a key is, or that there is one, is told to nobody else.
fn not_yours() -> Fault {
    let message = "You are not allowed to change this key.";
    Fault::forbidden(message.to_owned()).about("key")
}

/// The key that a request is about, if it is the caller's to change.
async fn own_key(desk: &Desk, operator: &Operator, named: &str) -> Result<Key, Fault> {
    match desk.key(named).await {
        Ok(key) if owns(operator, &key) || runs(desk, operator, &key).await? => Ok(key),
        Ok(_) => Err(not_yours()),
        Err(fault) if fault.status == 404 && !operator.sees_all() => Err(not_yours()),
        Err(fault) if fault.status == 404 && desk.static_key(hash_of(named)).is_some() => {
            let message = "This key stands in the configuration file: it is changed there.";
            Err(Fault::value("key", message.to_owned()))
        }
        Err(fault) => Err(fault),
    }
}

/// The same by its alias.
async fn own_key_by_alias(
    desk: &Desk,
    operator: &Operator,
    field: &'static str,
    alias: &str,
) -> Result<Key, Fault> {
    match desk.key_by_alias(alias).await? {
        Some(key) => own_key(desk, operator, &key.token.to_string()).await,
        None if operator.sees_all() => {
            let message = format!("Key not found. No key with key_alias='{alias}'.");
            Err(Fault::absent(field, message))
        }
        None => Err(not_yours()),
    }
}

/// The key of a request that only who runs it may make.
async fn run_key(desk: &Desk, operator: &Operator, named: &str) -> Result<Key, Fault> {
    let key = own_key(desk, operator, named).await?;
    if runs(desk, operator, &key).await? {
        return Ok(key);
    }
    let message = "Only an admin of the key's team or of the proxy may do this to it.";
    Err(Fault::forbidden(message.to_owned()).about("key"))
}

/// The key that a body names by itself, its hash or its alias.
async fn named_key(desk: &Desk, operator: &Operator, form: &Form) -> Result<Key, Fault> {
    if let Some(key) = form.name("key")?.value() {
        return own_key(desk, operator, &key).await;
    }
    let missing = || Fault::shape("key", "either key or key_alias must be provided".to_owned());
    let alias = form.name("key_alias")?.value().ok_or_else(missing)?;
    own_key_by_alias(desk, operator, "key_alias", &alias).await
}

/// Applies what a form says to a key, as far as the caller may.
async fn apply(
    desk: &Desk,
    operator: &Operator,
    form: &Form,
    before: &Key,
    now: Timestamp,
) -> Result<Key, Fault> {
    let mut key = before.clone();
    fields::read(form, &mut key, now)?;
    let unguards = key.metadata.get(GUARDRAILS) != before.metadata.get(GUARDRAILS);
    if unguards {
        fields::check_guardrails(desk, &key.metadata)?;
    }
    if !operator.changes_all() {
        let by_admin = runs(desk, operator, before).await?;
        if make::changes_budget(form) && !by_admin {
            let message = "Only an admin of the key's team or of the proxy may change its budget.";
            return Err(Fault::forbidden(message.to_owned()).about("max_budget"));
        }
        // What somebody else has set, its user does not widen.
        let made = before.history.created_by.as_deref() == operator.user_id();
        if !by_admin && !made {
            let message = "Only who made this key, or an admin, may change it.";
            return Err(Fault::forbidden(message.to_owned()).about("key"));
        }
        // Who has blocked a key, or put it into a team, did not do it for its user to undo.
        let moved = key.team_id != before.team_id || key.organization_id != before.organization_id;
        if !by_admin && (moved || key.blocked != before.blocked) {
            let message = "Only an admin may move a key to another team, block and unblock it.";
            return Err(Fault::forbidden(message.to_owned()).about("key"));
        }
        if unguards {
            let message = "Only proxy admins may change who looks at a key's requests.";
            return Err(Fault::forbidden(message.to_owned()).about(GUARDRAILS));
        }
        if key.user_id != before.user_id {
            let message = "Only proxy admins may give a key to another user.";
            return Err(Fault::forbidden(message.to_owned()).about("user_id"));
        }
        if before.key_type != KeyType::Default && key.key_type != before.key_type
            || before.allowed_routes != key.allowed_routes
        {
            let message = "Only proxy admins may change which routes a key opens.";
            return Err(Fault::forbidden(message.to_owned()).about("key_type"));
        }
        make::check_rights(operator, form, &key)?;
        allowance::check_ceiling(operator, &key.allowance)?;
    }
    let moved = key.team_id != before.team_id
        || key.organization_id != before.organization_id
        || key.user_id != before.user_id
        || key.models != before.models
        || key.allowance != before.allowance;
    if moved && (key.team_id.is_some() || key.organization_id.is_some() || !operator.changes_all())
    {
        let service = key.team_id.is_some() && key.user_id.is_none();
        if !service || operator.changes_all() || key.team_id != before.team_id {
            make::check_owner(desk, operator, Request::Personal, &mut key).await?;
        } else if let Some(team) = desk.team_of(&key).await? {
            allowance::check_team(&key.models, &key.allowance, &team)?;
        }
    }
    if key.allowance != before.allowance {
        make::check_bounds(desk, &key, now)?;
        allowance::check_budget(desk, &key.allowance).await?;
    }
    if key.expires != before.expires {
        let bound = desk.source.issuing().bounds.expires(key.expires, now);
        key.expires = bound.map_err(|beyond| make::beyond_bound(&beyond))?;
    }
    make::check_alias(desk, &key).await?;
    make::callbacks(desk, operator, form, &mut key).await?;
    Ok(key)
}

/// `POST /key/update`.
pub(super) async fn update(
    State(desk): State<Arc<Desk>>,
    operator: Operator,
    form: Form,
) -> Result<Json<Value>, Fault> {
    let named = form.name("key")?.value();
    let key = update_one(&desk, &operator, &form).await?;
    let mut fields = one_shown(&desk, &key).await?;
    let hash = fields.remove("token");
    // As it was sent; who named it by its alias is told its hash.
    fields.insert("key".to_owned(), named.map(Value::String).or(hash).unwrap_or_default());
    Ok(Json(Value::Object(fields)))
}

async fn update_one(desk: &Desk, operator: &Operator, form: &Form) -> Result<Key, Fault> {
    let mut draft = Draft::by(desk, operator).await?;
    let before = in_force(named_key(desk, operator, form).await?)?;
    let mut key = apply(desk, operator, form, &before, draft.at).await?;
    draft.touch(&mut key.history);
    draft.replace("updated", &before, &key)?;
    let at = draft.at;
    let spend = match form.spent("spend")?.value() {
        Some(spend) => {
            let payer = Payer::new(scope(&key), &key.allowance);
            let standing = spent::standing(desk, payer, at).await?;
            draft.detail("spend", &json!(standing.spend), &json!(spend));
            Some((standing, spend))
        }
        None => None,
    };
    draft.make(desk).await?;
    if let Some((standing, spend)) = spend {
        spent::correct(desk, &scope(&key), &standing, spend, at).await?;
    }
    Ok(key)
}

/// `POST /key/bulk_update`: what can be updated is, and the answer says what was not.
pub(super) async fn bulk_update(
    State(desk): State<Arc<Desk>>,
    operator: Operator,
    form: Form,
) -> Result<Json<Value>, Fault> {
    let given = form.typed::<Vec<Value>>("keys", "a list of objects")?.value();
    let updates = given.filter(|keys| !keys.is_empty() && keys.len() <= KEYS_MAX);
    let wrong = || Fault::value("keys", format!("keys must name 1 to {KEYS_MAX} keys"));
    let updates = updates.ok_or_else(wrong)?;
    let total = updates.len();
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for update in updates {
        let named = update.get("key").cloned().unwrap_or_default();
        let one = async {
            let form = Form::of_body(update.to_string().as_bytes())?;
            let key = update_one(&desk, &operator, &form).await?;
            one_shown(&desk, &key).await
        };
        match one.await {
            Ok(fields) => done.push(json!({"key": named, "key_info": fields})),
            Err(fault) => failed.push(json!({"key": named, "failed_reason": fault.message})),
        }
    }
    Ok(Json(
        json!({"total_requested": total, "successful_updates": done, "failed_updates": failed}),
    ))
}

/// `POST /key/delete`.
pub(super) async fn delete(
    State(desk): State<Arc<Desk>>,
    operator: Operator,
    form: Form,
) -> Result<Json<Value>, Fault> {
    let keys = form.texts("keys")?.value().unwrap_or_default();
    let aliases = form.texts("key_aliases")?.value().unwrap_or_default();
    let count = keys.len() + aliases.len();
    if count == 0 || count > KEYS_MAX {
        let message = format!("keys or key_aliases must name 1 to {KEYS_MAX} keys");
        return Err(Fault::value("keys", message));
    }
    let mut draft = Draft::by(&desk, &operator).await?;
    let mut seen = std::collections::BTreeSet::new();
    for named in &keys {
        let key = own_key(&desk, &operator, named).await?;
        if seen.insert(key.token) {
            draft.delete(&key)?;
        }
    }
    for alias in &aliases {
        let key = own_key_by_alias(&desk, &operator, "key_aliases", alias).await?;
        if seen.insert(key.token) {
            draft.delete(&key)?;
        }
    }
    draft.make(&desk).await?;
    let named: Vec<String> = keys.into_iter().chain(aliases).collect();
    Ok(Json(json!({"deleted_keys": named})))
}

/// `POST /key/block`.
pub(super) async fn block(
    State(desk): State<Arc<Desk>>,
    operator: Operator,
    form: Form,
) -> Result<Json<Value>, Fault> {
    set_blocked(&desk, &operator, &form, true).await
}

/// `POST /key/unblock`.
pub(super) async fn unblock(
    State(desk): State<Arc<Desk>>,
    operator: Operator,
    form: Form,
) -> Result<Json<Value>, Fault> {
    set_blocked(&desk, &operator, &form, false).await
}

async fn set_blocked(
    desk: &Desk,
    operator: &Operator,
    form: &Form,
    blocked: bool,
) -> Result<Json<Value>, Fault> {
    let mut draft = Draft::by(desk, operator).await?;
    // Who has blocked a key did not do it for its user to undo.
    let before = run_key(desk, operator, &form.required("key")?).await?;
    let mut key = before.clone();
    key.blocked = blocked;
    draft.touch(&mut key.history);
    draft.replace(if blocked { "blocked" } else { "unblocked" }, &before, &key)?;
    draft.make(desk).await?;
    Ok(Json(Value::Object(one_shown(desk, &key).await?)))
}

/// `POST /key/regenerate`.
pub(super) async fn regenerate(
    State(desk): State<Arc<Desk>>,
    operator: Operator,
    form: Form,
) -> Result<Json<Value>, Fault> {
    let missing = || Fault::value("key", "No key passed in.".to_owned());
    let named = form.name("key")?.value().ok_or_else(missing)?;
    replace(&desk, &operator, &form, &named).await
}

/// `POST /key/{key}/regenerate`.
pub(super) async fn regenerate_this(
    State(desk): State<Arc<Desk>>,
    operator: Operator,
    named: Result<Path<String>, PathRejection>,
    form: Form,
) -> Result<Json<Value>, Fault> {
    replace(&desk, &operator, &form, &in_path(named)).await
}

/// The key that a path names; one that is no text is nobody's.
fn in_path(named: Result<Path<String>, PathRejection>) -> String {
    named.map(|Path(named)| named).unwrap_or_default()
}

/// Gives a key a new secret. It keeps its settings and its account: what was spent counts on, and so
/// does what is still under way with the old secret.
async fn replace(
    desk: &Desk,
    operator: &Operator,
    form: &Form,
    named: &str,
) -> Result<Json<Value>, Fault> {
    if form.name("new_master_key")?.value().is_some() {
        let message = "new_master_key is not supported: it is written in the configuration";
        return Err(Fault::value("new_master_key", message.to_owned()));
    }
    let mut draft = Draft::by(desk, operator).await?;
    let before = in_force(own_key(desk, operator, named).await?)?;
    let secret = make::secret(desk, form, "new_key").await?;
    // What a blank form changes needs no right beyond that to the key itself.
    let mut key = match form.says_more_than(&["key", "new_key", "grace_period"]) {
        true => apply(desk, operator, form, &before, draft.at).await?,
        false => before.clone(),
    };
    key.token = KeyHash::of(secret.as_bytes());
    key.account = Some(before.account());
    key.key_name = masked(&secret);
    draft.touch(&mut key.history);
    match grace(form, draft.at)? {
        Some(until) => {
            let mut stays = stand_in(&before, &key, until);
            draft.touch(&mut stays.history);
            draft.succeed("regenerated", &before, &stays, &key)?;
        }
        None => draft.rename("regenerated", &before, &key)?,
    }
    let (at, spend) = (draft.at, form.spent("spend")?.value());
    draft.make(desk).await?;
    if let Some(spend) = spend {
        let payer = Payer::new(scope(&key), &key.allowance);
        let standing = spent::standing(desk, payer, at).await?;
        spent::correct(desk, &scope(&key), &standing, spend, at).await?;
    }
    let mut fields = shown_once(desk, &key).await?;
    Issued { key, secret }.tell(&mut fields);
    Ok(Json(Value::Object(fields)))
}

/// Until when the old secret works, if for a while.
fn grace(form: &Form, now: Timestamp) -> Result<Option<Timestamp>, Fault> {
    let Some(text) = form.name("grace_period")?.value() else { return Ok(None) };
    let is_none =
        text.starts_with('0') && text.chars().all(|sign| sign == '0' || sign.is_ascii_alphabetic());
    if is_none {
        return Ok(None);
    }
    let until = expiry(&text, now);
    until.map(Some).map_err(|error| Fault::value("grace_period", format!("grace_period: {error}")))
}

/// What is left of a key that was replaced: it stands for the new one until then. It still belongs to
/// whom it belonged, who may delete it before.
fn stand_in(before: &Key, after: &Key, until: Timestamp) -> Key {
    Key {
        account: Some(before.account()),
        replaced_by: Some(after.token),
        key_name: before.key_name.clone(),
        user_id: before.user_id.clone(),
        team_id: before.team_id.clone(),
        organization_id: before.organization_id.clone(),
        expires: Some(before.expires.map_or(until, |end| end.min(until))),
        history: before.history.clone(),
        ..fields::blank(before.token)
    }
}

/// A key that has settings of its own.
fn in_force(key: Key) -> Result<Key, Fault> {
    match key.replaced_by {
        None => Ok(key),
        Some(_) => {
            let message = "This key was regenerated, and only stands for the new one until it expires. It \
                           can be blocked and deleted; everything else is done to the new one.";
            Err(Fault::value("key", message.to_owned()))
        }
    }
}

/// `POST /key/{key}/reset_spend`.
pub(super) async fn reset_spend(
    State(desk): State<Arc<Desk>>,
    operator: Operator,
    named: Result<Path<String>, PathRejection>,
    form: Form,
) -> Result<Json<Value>, Fault> {
    let named = in_path(named);
    let reset_to = match form.spent("reset_to")? {
        Given::Value(dollars) => dollars,
        Given::Null | Given::Absent => {
            return Err(Fault::shape("reset_to", "reset_to is required".to_owned()));
        }
    };
    let mut draft = Draft::by(&desk, &operator).await?;
    // A key of the file has no record, but spends like any other.
    let of_file = desk.static_key(hash_of(&named)).filter(|_| operator.changes_all());
    let key = match &of_file {
        Some(key) => key.clone(),
        None => in_force(run_key(&desk, &operator, &named).await?)?,
    };
    let payer = Payer::new(scope(&key), &key.allowance);
    let standing = spent::standing(&desk, payer, draft.at).await?;
    if reset_to > standing.spend {
        let message =
            format!("reset_to ({reset_to}) must be <= current spend ({})", standing.spend);
        return Err(Fault::value("reset_to", message));
    }
    match of_file {
        Some(_) => draft.tell("spend_reset", &key)?,
        None => {
            let mut after = key.clone();
            draft.touch(&mut after.history);
            draft.replace("spend_reset", &key, &after)?;
        }
    }
    draft.detail("spend", &json!(standing.spend), &json!(reset_to));
    let at = draft.at;
    draft.make(&desk).await?;
    spent::correct(&desk, &scope(&key), &standing, reset_to, at).await?;
    Ok(Json(json!({
        "key_hash": hash_of(&named).to_string(),
        "spend": reset_to,
        "previous_spend": standing.spend,
        "max_budget": key.allowance.max_budget,
        "budget_reset_at": standing.term.map(|term| term.end.to_string()),
    })))
}
