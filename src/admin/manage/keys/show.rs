//! Keys as they are shown.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value, json};

use super::super::{Desk, Operator, Page, Parameters};
use super::{all_shown, hash_of, one_shown, sees};
use crate::admin::fault::Fault;
use crate::admin::form::Form;
use crate::keys::record::{Key, Kind, Team};
use crate::keys::{Filter, Order, OrderBy};

/// The most keys of one request.
const KEYS_MAX: usize = 1_000;

/// `GET /key/info`: the key that is asked for, or the caller's own.
pub(super) async fn info(
    State(desk): State<Arc<Desk>>,
    operator: Operator,
    Parameters(form): Parameters,
) -> Result<Json<Value>, Fault> {
    let named = form.name("key")?.value();
    let own = operator.key_hash();
    let Some(named) = named.or_else(|| own.map(str::to_owned)) else {
        return Err(Fault::absent("key", "Key not found in database".to_owned()));
    };
    let hash = hash_of(&named);
    let key = match desk.find::<Key>(&hash.to_string()).await?.or_else(|| desk.static_key(hash)) {
        Some(key) => key,
        None if operator.sees_all() => {
            return Err(Fault::absent("key", "Key not found in database".to_owned()));
        }
        None => return Err(not_yours(&operator)),
    };
    if !sees(&desk, &operator, &key).await? {
        return Err(not_yours(&operator));
    }
    let mut fields = one_shown(&desk, &key).await?;
    fields.remove("token");
    fields.insert("status".to_owned(), json!(status(&key)));
    Ok(Json(json!({"key": named, "info": fields})))
}

/// `POST /v2/key/info`: several keys; those that the caller may not see are left out.
pub(super) async fn infos(
    State(desk): State<Arc<Desk>>,
    operator: Operator,
    form: Form,
) -> Result<Json<Value>, Fault> {
    let named = form.required_texts("keys")?;
    let mut keys = Vec::new();
    for named in named.iter().take(KEYS_MAX) {
        let hash = hash_of(named);
        let found = desk.find::<Key>(&hash.to_string()).await?;
        if let Some(key) = found.or_else(|| desk.static_key(hash))
            && sees(&desk, &operator, &key).await?
        {
            keys.push(key);
        }
    }
    Ok(Json(json!({"key": named, "info": all_shown(&desk, &keys).await?})))
}

fn not_yours(operator: &Operator) -> Fault {
    let role = operator.role().map_or("none", crate::keys::Role::word);
    Fault::forbidden(format!("You are not allowed to access this key's info. Your role={role}"))
        .about("key")
}

fn status(key: &Key) -> &'static str {
    let expired = key.expires.is_some_and(|end| end <= jiff::Timestamp::now());
    match (key.blocked, expired) {
        (true, _) => "revoked",
        (false, true) => "expired",
        (false, false) => "active",
    }
}

/// Which keys a caller asks for, of those that it may see.
async fn filters(desk: &Desk, operator: &Operator, form: &Form) -> Result<Vec<Filter>, Fault> {
    let filter = Filter {
        alias: form.name("key_alias")?.value(),
        alias_part: form.name("search")?.value(),
        user: form.name("user_id")?.value(),
        team: form.name("team_id")?.value(),
        organisation: form.name("organization_id")?.value(),
        ..Filter::default()
    };
    if operator.sees_all() {
        return Ok(vec![filter]);
    }
    let Some(own) = operator.user_id() else {
        let message = "You are not authorized to access this endpoint. No 'user_id' is associated with \
                       your API key.";
        return Err(Fault::forbidden(message.to_owned()).about("user_id"));
    };
    if let Some(team_id) = &filter.team {
        let team: Option<Team> = desk.find(team_id).await?;
        let Some(team) = team.filter(|team| operator.is_in(team)) else {
            let message = "You are not authorized to check this team's keys";
            return Err(Fault::forbidden(message.to_owned()).about("team_id"));
        };
        if operator.runs(&team) {
            return Ok(vec![filter]);
        }
    }
    if filter.organisation.is_some() && operator.leads(filter.organisation.as_deref()) {
        return Ok(vec![filter]);
    }
    if filter.user.as_deref().is_some_and(|user| user != own) {
        let message = "You are not authorized to check another user's keys";
        return Err(Fault::forbidden(message.to_owned()).about("user_id"));
    }
    let with_teams = form.flag("include_team_keys")?.value().unwrap_or(false);
    let mut filters = Vec::new();
    if with_teams && filter.team.is_none() {
        let user = operator.principal().and_then(|principal| principal.user.as_ref());
        for team_id in user.map(|user| user.teams.as_slice()).unwrap_or_default() {
            let team: Option<Team> = desk.find(team_id).await?;
            if team.is_some_and(|team| operator.runs(&team)) {
                filters.push(Filter { team: Some(team_id.clone()), ..filter.clone() });
            }
        }
    }
    filters.push(Filter { user: Some(own.to_owned()), ..filter });
    Ok(filters)
}

/// `GET /key/list`.
pub(super) async fn list(
    State(desk): State<Arc<Desk>>,
    operator: Operator,
    Parameters(form): Parameters,
) -> Result<Json<Value>, Fault> {
    let page = Page::read(&form, "size", (10, 100))?;
    let order = order(&form)?;
    if let Some(status) = form.name("status")?.value() {
        let message = format!("status={status} is not supported: only keys that exist are kept");
        return Err(Fault::value("status", message));
    }
    let (keys, total) = match form.name("key_hash")?.value() {
        Some(hash) => {
            let absent = || match operator.sees_all() {
                true => Fault::absent("key_hash", "Key Hash not found.".to_owned()),
                false => not_yours(&operator),
            };
            let key = desk.find::<Key>(&hash_of(&hash).to_string()).await?.ok_or_else(absent)?;
            if !sees(&desk, &operator, &key).await? {
                return Err(not_yours(&operator));
            }
            (vec![key], 1)
        }
        None => page_of(&desk, &filters(&desk, &operator, &form).await?, page, order).await?,
    };
    let whole = form.flag("return_full_object")?.value().unwrap_or(false);
    let shown: Vec<Value> = match whole {
        true => all_shown(&desk, &keys).await?.into_iter().map(Value::Object).collect(),
        false => keys.iter().map(|key| json!(key.token)).collect(),
    };
    Ok(Json(json!({
        "keys": shown,
        "total_count": total,
        "current_page": page.number,
        "total_pages": page.pages(total),
    })))
}

/// A page of the keys that fit any of the filters, and how many there are.
async fn page_of(
    desk: &Desk,
    filters: &[Filter],
    page: Page,
    order: Order,
) -> Result<(Vec<Key>, u64), Fault> {
    if let [filter] = filters {
        let total = desk.directory.count(Kind::Key, filter).await?;
        let part = Filter { order, skip: page.skip(), limit: page.size, ..filter.clone() };
        return Ok((desk.list(&part).await?, total));
    }
    let mut found = BTreeMap::new();
    for filter in filters {
        let keys = desk.collect(filter.clone(), |_: &Key| true).await?;
        found.extend(keys.into_iter().map(|key| (key.token, key)));
    }
    let mut keys: Vec<Key> = found.into_values().collect();
    keys.sort_by(|one, other| compare(order, one, other));
    let total = keys.len() as u64;
    Ok((page.cut(keys).collect(), total))
}

/// The order of a list; newest first where nobody says another.
fn order(form: &Form) -> Result<Order, Fault> {
    let by = match form.name("sort_by")?.value().as_deref() {
        None | Some("created_at") => OrderBy::CreatedAt,
        Some("updated_at") => OrderBy::UpdatedAt,
        Some("token") => OrderBy::Id,
        Some("key_alias") => OrderBy::Alias,
        Some("max_budget") => OrderBy::MaxBudget,
        Some(other) => {
            let message = format!(
                "sort_by={other} is not supported: created_at, updated_at, token, key_alias or \
                 max_budget"
            );
            return Err(Fault::value("sort_by", message));
        }
    };
    let descending = match form.name("sort_order")?.value().as_deref() {
        None | Some("desc") => true,
        Some("asc") => false,
        Some(_) => {
            let message = "sort_order must be asc or desc".to_owned();
            return Err(Fault::value("sort_order", message));
        }
    };
    Ok(Order { by, descending })
}

/// The order in memory, where keys come from several lists.
fn compare(order: Order, one: &Key, other: &Key) -> Ordering {
    let budget = |key: &Key| key.allowance.max_budget.unwrap_or(f64::INFINITY);
    let by = match order.by {
        OrderBy::Id => Ordering::Equal,
        OrderBy::Alias => one.key_alias.cmp(&other.key_alias),
        OrderBy::CreatedAt => one.history.created_at.cmp(&other.history.created_at),
        OrderBy::UpdatedAt => one.history.updated_at.cmp(&other.history.updated_at),
        OrderBy::MaxBudget => budget(one).total_cmp(&budget(other)),
    };
    let by = by.then_with(|| one.token.cmp(&other.token));
    if order.descending { by.reverse() } else { by }
}

/// `GET /key/aliases`.
pub(super) async fn aliases(
    State(desk): State<Arc<Desk>>,
    operator: Operator,
    Parameters(form): Parameters,
) -> Result<Json<Value>, Fault> {
    let page = Page::read(&form, "size", (50, 100))?;
    let search = form.name("search")?.value().map(|text| text.to_lowercase());
    let mut aliases = std::collections::BTreeSet::new();
    let fits = |key: &Key| {
        let found = |alias: &String| {
            search.as_ref().is_none_or(|search| alias.to_lowercase().contains(search))
        };
        key.key_alias.as_ref().is_some_and(found)
    };
    for filter in filters(&desk, &operator, &form).await? {
        let keys = desk.collect(filter, fits).await?;
        aliases.extend(keys.into_iter().filter_map(|key| key.key_alias));
    }
    let total = aliases.len() as u64;
    Ok(Json(json!({
        "aliases": page.cut(aliases).collect::<Vec<_>>(),
        "total_count": total,
        "current_page": page.number,
        "total_pages": page.pages(total),
        "size": page.size,
    })))
}

/// `POST /key/health`: that the caller got here says that its key is well.
pub(super) async fn health(_: Operator) -> Json<Map<String, Value>> {
    let mut fields = Map::new();
    fields.insert("key".to_owned(), json!("healthy"));
    fields.insert("logging_callbacks".to_owned(), Value::Null);
    Json(fields)
}
