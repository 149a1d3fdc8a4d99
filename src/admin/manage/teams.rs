//! `/team/*`: users that share models, limits and a budget.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use serde_json::{Map, Value, json};

use super::spent::{self, Payer};
use super::{
    Desk, Draft, Fault, Form, Operator, Page, Parameters, allowance, keys, logging, members, new_id,
};
use crate::callbacks::own::owner_of_team;
use crate::keys::Filter;
use crate::keys::record::{Key, Kind, MemberRole, Team, User};
use crate::spend::{Scope, ScopeKind};

/// What a team's record has no place for.
const UNSUPPORTED: [&str; 10] = [
    "callback_settings",
    "default_team_member_models",
    "model_max_budget",
    "secret_manager_settings",
    "team_member_budget",
    "team_member_budget_duration",
    "team_member_key_duration",
    "team_member_permissions",
    "team_member_rpm_limit",
    "team_member_tpm_limit",
];
/// What the admin of a team may change of it.
const BY_ITS_ADMIN: [&str; 3] = ["team_id", "team_alias", "metadata"];
/// The most teams of one request.
const TEAMS_MAX: usize = 500;
/// The most keys that a page about a team shows; the list of keys has all.
const KEYS_SHOWN: u64 = 100;

pub(super) fn router() -> Router<Arc<Desk>> {
    Router::new()
        .route("/team/new", post(make))
        .route("/team/update", post(update))
        .route("/team/delete", post(delete))
        .route("/team/block", post(block))
        .route("/team/unblock", post(unblock))
        .route("/team/info", get(info))
        .route("/team/list", get(list))
        .route("/v2/team/list", get(list_pages))
        .route("/team/available", get(available))
        .route("/team/model/add", post(add_models))
        .route("/team/model/delete", post(delete_models))
}

/// Teams as they are shown, in their order.
pub(super) async fn all_shown(
    desk: &Desk,
    teams: &[Team],
) -> Result<Vec<Map<String, Value>>, Fault> {
    fn payer(team: &Team) -> Payer<'_> {
        let scope = Scope::new(ScopeKind::Team, team.team_id.as_str());
        Payer::new(scope, &team.allowance)
    }
    let more = |team: &Team, _: &spent::Standing, fields: &mut Map<String, Value>| {
        let of = |role| -> Vec<&str> {
            let members = team.members.iter().filter(|member| member.role == role);
            members.map(|member| member.user_id.as_str()).collect()
        };
        let limits = [&team.model_rpm_limit, &team.model_tpm_limit];
        let own = team.logging.as_deref();
        allowance::show_lifted(&team.metadata, &team.tags, limits, own, fields);
        fields.insert("admins".to_owned(), json!(of(MemberRole::Admin)));
        fields.insert("members".to_owned(), json!(of(MemberRole::User)));
    };
    spent::shown(desk, teams, payer, more).await
}

pub(super) async fn one_shown(desk: &Desk, team: &Team) -> Result<Map<String, Value>, Fault> {
    Ok(all_shown(desk, std::slice::from_ref(team)).await?.pop().unwrap_or_default())
}

/// Reads everything but the id and the members.
fn read(form: &Form, team: &mut Team) -> Result<(), Fault> {
    form.unsupported(&UNSUPPORTED)?;
    form.name("team_alias")?.set(&mut team.team_alias);
    form.name("organization_id")?.set(&mut team.organization_id);
    form.texts("models")?.put(&mut team.models);
    form.typed("model_aliases", "an object of texts")?.put(&mut team.model_aliases);
    allowance::read(form, &mut team.allowance)?;
    form.flag("blocked")?.put(&mut team.blocked);
    let mut given = form.typed::<Map<String, Value>>("metadata", "an object")?;
    if let Some(lifted) = allowance::lifted(&mut given)? {
        limits(&lifted, team)?;
    }
    let guarded = team.metadata.get(keys::GUARDRAILS).cloned();
    given.put(&mut team.metadata);
    keys::guardrails(form, guarded, &mut team.metadata)?;
    limits(form, team)
}

fn limits(form: &Form, team: &mut Team) -> Result<(), Fault> {
    allowance::model_limits(form, "model_rpm_limit")?.put(&mut team.model_rpm_limit);
    allowance::model_limits(form, "model_tpm_limit")?.put(&mut team.model_tpm_limit);
    form.texts("tags")?.put(&mut team.tags);
    Ok(())
}

/// Whether what a team has is there, and within its organisation's bounds.
async fn check(desk: &Desk, team: &Team) -> Result<(), Fault> {
    allowance::check_budget(desk, &team.allowance).await?;
    if let Some(id) = &team.organization_id {
        let organisation = desk.organisation(id).await?;
        allowance::check_organisation(&team.models, &team.allowance, &organisation)?;
    }
    Ok(())
}

/// Whether a caller manages all teams of an organisation.
fn check_rights(operator: &Operator, organisation: Option<&str>) -> Result<(), Fault> {
    if operator.changes_all() || operator.leads(organisation) {
        return Ok(());
    }
    let message =
        "Only proxy admins, and organization admins within their organization, may do this.";
    Err(Fault::forbidden(message.to_owned()).about("organization_id"))
}

/// `POST /team/new`.
async fn make(
    State(desk): State<Arc<Desk>>,
    operator: Operator,
    form: Form,
) -> Result<Json<Value>, Fault> {
    let mut draft = Draft::by(&desk, &operator).await?;
    let mut team =
        Team { team_id: form.name("team_id")?.value().unwrap_or_else(new_id), ..Team::default() };
    read(&form, &mut team)?;
    check_rights(&operator, team.organization_id.as_deref())?;
    logging::read(&desk, &operator, &form, &owner_of_team(&team.team_id), &mut team.logging)?;
    let issuing = desk.source.issuing();
    team.allowance.complete(&issuing.team.allowance);
    if team.models.is_empty() {
        team.models.clone_from(&issuing.team.models);
    }
    if desk.has(Kind::Team, &team.team_id).await? {
        let message =
            format!("Team id = {} already exists. Please use a different team id.", team.team_id);
        return Err(Fault::conflict(400, "team_id", message));
    }
    check(&desk, &team).await?;
    keys::check_guardrails(&desk, &team.metadata)?;
    let mut list = form
        .typed::<Vec<Value>>("members_with_roles", "a list of members")?
        .value()
        .unwrap_or_default();
    // Whoever makes a team manages it.
    if let Some(own) = operator.user_id() {
        let named = |member: &Value| member["user_id"].as_str() == Some(own);
        if !list.iter().any(named) {
            list.push(json!({"user_id": own, "role": "admin"}));
        }
    }
    team.history = draft.begin();
    let shared = Form::default();
    members::enlist(&desk, &operator, &mut draft, &mut team, &list, &shared).await?;
    draft.create(&team)?;
    draft.make(&desk).await?;
    Ok(Json(Value::Object(one_shown(&desk, &team).await?)))
}

/// `POST /team/update`.
async fn update(
    State(desk): State<Arc<Desk>>,
    operator: Operator,
    form: Form,
) -> Result<Json<Value>, Fault> {
    let mut draft = Draft::by(&desk, &operator).await?;
    let before = members::own_team(&desk, &operator, &form).await?;
    let mut team = before.clone();
    read(&form, &mut team)?;
    logging::read(&desk, &operator, &form, &owner_of_team(&team.team_id), &mut team.logging)?;
    let lifted = |team: &Team| {
        (team.tags.clone(), [&team.model_rpm_limit, &team.model_tpm_limit].map(Clone::clone))
    };
    let rebounds = lifted(&team) != lifted(&before);
    let guards = |team: &Team| team.metadata.get(keys::GUARDRAILS).cloned();
    let unguards = guards(&team) != guards(&before);
    if check_rights(&operator, before.organization_id.as_deref()).is_err()
        && (form.says_more_than(&BY_ITS_ADMIN) || rebounds || unguards)
    {
        let message = "An admin of the team may change its team_alias and metadata, but for the tags, \
                       limits and guardrails in it; the rest is for admins of the proxy or the organization.";
        return Err(Fault::forbidden(message.to_owned()).about("team_id"));
    }
    if team.organization_id != before.organization_id {
        check_rights(&operator, team.organization_id.as_deref())?;
    }
    if unguards {
        keys::check_guardrails(&desk, &team.metadata)?;
    }
    check(&desk, &team).await?;
    draft.touch(&mut team.history);
    draft.replace("updated", &before, &team)?;
    draft.make(&desk).await?;
    let data = one_shown(&desk, &team).await?;
    Ok(Json(json!({"team_id": team.team_id, "data": data})))
}

/// `POST /team/delete`: the teams, their keys, and what users' records say of them.
async fn delete(
    State(desk): State<Arc<Desk>>,
    operator: Operator,
    form: Form,
) -> Result<Json<Value>, Fault> {
    let named = form.filled_texts("team_ids")?;
    let ids: BTreeSet<String> = named.iter().cloned().collect();
    if ids.len() > TEAMS_MAX {
        let message = format!("team_ids must name at most {TEAMS_MAX} teams");
        return Err(Fault::value("team_ids", message));
    }
    let mut draft = Draft::by(&desk, &operator).await?;
    let mut users = BTreeSet::new();
    for id in &ids {
        let team = match desk.find::<Team>(id).await? {
            Some(team) => team,
            None if operator.sees_all() => desk.team(id).await?,
            None => Team::default(),
        };
        check_rights(&operator, team.organization_id.as_deref())?;
        for key in desk.list::<Key>(&Filter { team: Some(id.clone()), ..Filter::default() }).await?
        {
            draft.delete(&key)?;
        }
        users.extend(team.members.iter().map(|member| member.user_id.clone()));
        draft.delete(&team)?;
    }
    for user_id in users {
        let Some(before) = desk.find::<User>(&user_id).await? else { continue };
        let mut user = before.clone();
        user.teams.retain(|team_id| !ids.contains(team_id));
        if user != before {
            draft.touch(&mut user.history);
            draft.replace("updated", &before, &user)?;
        }
    }
    draft.make(&desk).await?;
    Ok(Json(json!({"deleted_teams": named})))
}

/// `POST /team/block`.
async fn block(
    State(desk): State<Arc<Desk>>,
    operator: Operator,
    form: Form,
) -> Result<Json<Value>, Fault> {
    set_blocked(&desk, &operator, &form, true).await
}

/// `POST /team/unblock`.
async fn unblock(
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
    let before = members::own_team(desk, operator, form).await?;
    // Who has blocked a team did not do it for its admin to undo.
    check_rights(operator, before.organization_id.as_deref())?;
    let mut team = before.clone();
    team.blocked = blocked;
    draft.touch(&mut team.history);
    draft.replace(if blocked { "blocked" } else { "unblocked" }, &before, &team)?;
    draft.make(desk).await?;
    Ok(Json(Value::Object(one_shown(desk, &team).await?)))
}

/// `GET /team/info`.
async fn info(
    State(desk): State<Arc<Desk>>,
    operator: Operator,
    Parameters(form): Parameters,
) -> Result<Json<Value>, Fault> {
    let own = operator.principal().and_then(|principal| principal.team_id());
    let team_id = match own {
        Some(own) => form.name("team_id")?.value().unwrap_or_else(|| own.to_owned()),
        None => form.required("team_id")?,
    };
    let team: Option<Team> = desk.find(&team_id).await?;
    let team = match team {
        Some(team) if operator.sees_all() || operator.is_in(&team) => team,
        None if operator.sees_all() => desk.team(&team_id).await?,
        _ => {
            let message = "You are not authorized to see this team.".to_owned();
            return Err(Fault::forbidden(message).about("team_id"));
        }
    };
    let all = operator.sees_all() || operator.runs(&team);
    let filter = Filter {
        team: Some(team_id.clone()),
        user: operator.user_id().map(str::to_owned).filter(|_| !all),
        limit: KEYS_SHOWN,
        ..Filter::default()
    };
    // A key without a user sees the team and none of its other keys.
    let keys: Vec<Key> = match all || filter.user.is_some() {
        true => desk.list(&filter).await?,
        false => Vec::new(),
    };
    Ok(Json(json!({
        "team_id": team_id,
        "team_info": one_shown(&desk, &team).await?,
        "keys": keys::all_shown(&desk, &keys).await?,
        "team_memberships": members::memberships(&desk, &team).await?,
    })))
}

/// The teams that a request asks for, of those that the caller may see.
async fn asked(desk: &Desk, operator: &Operator, form: &Form) -> Result<Vec<Team>, Fault> {
    let user_id = form.name("user_id")?.value();
    let filter =
        Filter { organisation: form.name("organization_id")?.value(), ..Filter::default() };
    let alias = form.name("team_alias")?.value().map(|alias| alias.to_lowercase());
    let id = form.name("team_id")?.value();
    let own = operator.user_id();
    let leads = operator.leads(filter.organisation.as_deref());
    if user_id.is_some() && user_id.as_deref() != own && !operator.sees_all() && !leads {
        let message = "Only admin users can query all teams/other teams. Pass your own user_id.";
        return Err(Fault::forbidden(message.to_owned()).about("user_id"));
    }
    let named = |team: &Team| {
        let shown = || team.team_alias.as_deref().unwrap_or_default().to_lowercase();
        id.as_ref().is_none_or(|id| team.team_id == *id)
            && alias.as_ref().is_none_or(|alias| shown().contains(alias))
            && user_id
                .as_ref()
                .is_none_or(|user_id| team.members.iter().any(|member| member.user_id == *user_id))
    };
    if operator.sees_all() || leads {
        return desk.collect(filter, named).await;
    }
    // Few teams are somebody's own; all others need not be looked at.
    let principal = operator.principal();
    let user = principal.and_then(|principal| principal.user.as_ref());
    let ids = user.map(|user| user.teams.as_slice()).unwrap_or_default().iter().map(String::as_str);
    let ids: BTreeSet<&str> = ids.chain(principal.and_then(|one| one.team_id())).collect();
    let mut teams = Vec::new();
    for id in ids {
        let team: Option<Team> = desk.find(id).await?;
        let fits = |team: &Team| {
            let organisation = filter.organisation.as_ref();
            operator.is_in(team)
                && named(team)
                && organisation.is_none_or(|asked| team.organization_id.as_ref() == Some(asked))
        };
        teams.extend(team.filter(fits));
    }
    Ok(teams)
}

/// `GET /team/list`: all at once, as LiteLLM's first version.
async fn list(
    State(desk): State<Arc<Desk>>,
    operator: Operator,
    Parameters(form): Parameters,
) -> Result<Json<Value>, Fault> {
    let teams = asked(&desk, &operator, &form).await?;
    let mut shown = all_shown(&desk, &teams).await?;
    for (fields, team) in shown.iter_mut().zip(&teams) {
        let memberships = members::memberships(&desk, team).await?;
        fields.insert("team_memberships".to_owned(), Value::Array(memberships));
    }
    Ok(Json(json!(shown)))
}

/// `GET /v2/team/list`.
async fn list_pages(
    State(desk): State<Arc<Desk>>,
    operator: Operator,
    Parameters(form): Parameters,
) -> Result<Json<Value>, Fault> {
    let page = Page::read(&form, "page_size", (10, 100))?;
    let mut teams = asked(&desk, &operator, &form).await?;
    let sort_by = form.name("sort_by")?.value();
    match sort_by.as_deref() {
        None => {}
        Some("team_id") => teams.sort_by(|one, other| one.team_id.cmp(&other.team_id)),
        Some("team_alias") => teams.sort_by(|one, other| one.team_alias.cmp(&other.team_alias)),
        Some("created_at") => {
            teams.sort_by_key(|team| team.history.created_at);
        }
        Some(other) => {
            let message =
                format!("sort_by={other} is not supported: team_id, team_alias or created_at");
            return Err(Fault::value("sort_by", message));
        }
    }
    match form.name("sort_order")?.value().as_deref() {
        None | Some("asc") => {}
        Some("desc") => teams.reverse(),
        Some(_) => {
            return Err(Fault::value("sort_order", "sort_order must be asc or desc".to_owned()));
        }
    }
    let total = teams.len() as u64;
    let teams = page.cut(teams).collect::<Vec<_>>();
    Ok(Json(json!({
        "teams": all_shown(&desk, &teams).await?,
        "total": total,
        "page": page.number,
        "page_size": page.size,
        "total_pages": page.pages(total),
    })))
}

/// `GET /team/available`: the teams that anybody may join. There are none: admins say who is in a team.
async fn available(_: Operator) -> Json<Value> {
    Json(json!([]))
}

/// `POST /team/model/add`.
async fn add_models(
    State(desk): State<Arc<Desk>>,
    operator: Operator,
    form: Form,
) -> Result<Json<Value>, Fault> {
    set_models(&desk, &operator, &form, |known, model| {
        if !known.contains(&model) {
            known.push(model);
        }
    })
    .await
}

/// `POST /team/model/delete`.
async fn delete_models(
    State(desk): State<Arc<Desk>>,
    operator: Operator,
    form: Form,
) -> Result<Json<Value>, Fault> {
    set_models(&desk, &operator, &form, |known, model| known.retain(|one| *one != model)).await
}

async fn set_models(
    desk: &Desk,
    operator: &Operator,
    form: &Form,
    set: impl Fn(&mut Vec<String>, String) + Send,
) -> Result<Json<Value>, Fault> {
    let mut draft = Draft::by(desk, operator).await?;
    let before = members::own_team(desk, operator, form).await?;
    check_rights(operator, before.organization_id.as_deref())?;
    let models = form.required_texts("models")?;
    let mut team = before.clone();
    models.into_iter().for_each(|model| set(&mut team.models, model));
    if team.models.is_empty() && !before.models.is_empty() {
        // An empty list would allow every model.
        let message = "A team without models may use all of them; write no-default-models instead.";
        return Err(Fault::value("models", message.to_owned()));
    }
    check(desk, &team).await?;
    draft.touch(&mut team.history);
    draft.replace("updated", &before, &team)?;
    draft.make(desk).await?;
    Ok(Json(Value::Object(one_shown(desk, &team).await?)))
}
