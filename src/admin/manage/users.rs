//! `/user/*`: people and services that own keys.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use serde_json::{Map, Value, json};

use super::keys;
use super::members::{self, Joining};
use super::spent::{self, Payer};
use super::{Desk, Draft, Fault, Form, Given, Operator, Page, Parameters, allowance, new_id};
use crate::keys::record::{Allowance, Key, Kind, MemberRole, Team, User};
use crate::keys::{Filter, Role};
use crate::spend::{Scope, ScopeKind};

/// What a user's record has no place for.
const UNSUPPORTED: [&str; 3] = ["model_max_budget", "model_rpm_limit", "model_tpm_limit"];
/// The most users of one request.
const USERS_MAX: usize = 500;
/// The most keys that a page about somebody shows; the list of keys has all.
const KEYS_SHOWN: u64 = 100;

pub(super) fn router() -> Router<Arc<Desk>> {
    Router::new()
        .route("/user/new", post(make))
        .route("/user/update", post(update))
        .route("/user/delete", post(delete))
        .route("/user/info", get(info))
        .route("/v2/user/info", get(info_alone))
        .route("/user/list", get(list))
        .route("/user/available_roles", get(roles))
}

/// The scope that pays for a user's requests.
fn scope(user_id: &str) -> Scope {
    Scope::new(ScopeKind::User, user_id)
}

/// Who pays for a user's requests, with the budget of users that have none.
fn payer<'a>(user: &'a User, defaults: &Allowance) -> Payer<'a> {
    let default = user.has_default().then(|| defaults.clone());
    Payer { default, ..Payer::new(scope(&user.user_id), &user.allowance) }
}

/// Users as they are shown, in their order.
async fn all_shown(desk: &Desk, users: &[User]) -> Result<Vec<Map<String, Value>>, Fault> {
    let defaults = &desk.source.access().ring.user_defaults;
    let more = |_: &User, _: &spent::Standing, fields: &mut Map<String, Value>| {
        fields.insert("sso_user_id".to_owned(), Value::Null);
    };
    spent::shown(desk, users, |user| payer(user, defaults), more).await
}

async fn one_shown(desk: &Desk, user: &User) -> Result<Map<String, Value>, Fault> {
    Ok(all_shown(desk, std::slice::from_ref(user)).await?.pop().unwrap_or_default())
}

/// Reads everything but the id and the teams.
fn read(form: &Form, user: &mut User) -> Result<(), Fault> {
    form.unsupported(&UNSUPPORTED)?;
    form.name("user_email")?.set(&mut user.user_email);
    form.name("user_alias")?.set(&mut user.user_alias);
    let roles = "proxy_admin, proxy_admin_viewer, org_admin, internal_user or internal_user_viewer";
    form.typed("user_role", roles)?.put(&mut user.user_role);
    form.texts("models")?.put(&mut user.models);
    allowance::read(form, &mut user.allowance)?;
    form.flag("blocked")?.put(&mut user.blocked);
    form.typed("metadata", "an object")?.put(&mut user.metadata);
    let organisations = form.texts("organizations")?.value().unwrap_or_default();
    match organisations.as_slice() {
        [] => {}
        [one] => user.organization_id = Some(one.clone()),
        _ => {
            let message = "organizations: a user can be in one organization only".to_owned();
            return Err(Fault::value("organizations", message));
        }
    }
    form.name("organization_id")?.set(&mut user.organization_id);
    Ok(())
}

/// Who somebody who is no proxy admin may make users of, and of which role.
fn check_rights(operator: &Operator, user: &User) -> Result<(), Fault> {
    if operator.changes_all() {
        return Ok(());
    }
    if !operator.leads(user.organization_id.as_deref()) {
        let message = "Only proxy admins, and organization admins within their organization, may \
                       manage users.";
        return Err(Fault::forbidden(message.to_owned()).about("organization_id"));
    }
    match user.user_role {
        Role::InternalUser | Role::InternalUserViewer => Ok(()),
        Role::ProxyAdmin | Role::ProxyAdminViewer | Role::OrgAdmin => {
            let role = user.user_role.word();
            let message = format!("Only proxy admins may give the role {role}.");
            Err(Fault::forbidden(message).about("user_role"))
        }
    }
}

/// An address names one user.
async fn check_email(desk: &Desk, user: &User) -> Result<(), Fault> {
    let Some(email) = &user.user_email else { return Ok(()) };
    let known = desk.user_by_email(email).await?;
    if known.is_none_or(|known| known.user_id == user.user_id) {
        return Ok(());
    }
    let message = format!("User with email {email} already exists");
    Err(Fault::conflict(409, "user_email", message))
}

/// `POST /user/new`.
async fn make(
    State(desk): State<Arc<Desk>>,
    operator: Operator,
    form: Form,
) -> Result<Json<Value>, Fault> {
    let mut draft = Draft::by(&desk, &operator).await?;
    let mut user =
        User { user_id: form.name("user_id")?.value().unwrap_or_else(new_id), ..User::default() };
    let issuing = desk.source.issuing();
    user.user_role = issuing.user.role.unwrap_or_default();
    read(&form, &mut user)?;
    if matches!(user.user_role, Role::InternalUser | Role::InternalUserViewer) {
        user.allowance.complete(&issuing.user.allowance);
        if user.models.is_empty() {
            user.models.clone_from(&issuing.user.models);
        }
    }
    check_rights(&operator, &user)?;
    if desk.has(Kind::User, &user.user_id).await? {
        let message = format!("User with id {} already exists", user.user_id);
        return Err(Fault::conflict(409, "user_id", message));
    }
    check_email(&desk, &user).await?;
    allowance::check_budget(&desk, &user.allowance).await?;
    if let Some(organisation) = &user.organization_id {
        let organisation = desk.organisation(organisation).await?;
        allowance::check_organisation(&user.models, &user.allowance, &organisation)?;
    }
    let teams = teams_of(&form, &issuing.user.teams)?;
    for (team_id, joining) in teams {
        let before = desk.team(&team_id).await?;
        members::check_rights(&operator, &before)?;
        let mut team = before.clone();
        members::join(&mut team, &user, &joining)?;
        draft.touch(&mut team.history);
        draft.replace("updated", &before, &team)?;
        user.teams.push(team_id);
    }
    user.history = draft.begin();
    draft.create(&user)?;
    let wants_key = form.flag("auto_create_key")?.value().unwrap_or(true);
    let issued = match wants_key {
        true => {
            // Its bounds are the user's.
            let own = ["key", "key_alias", "duration", "models", "aliases", "key_type"];
            Some(keys::issue_first(&desk, &operator, &form.only(&own), &user, &mut draft).await?)
        }
        false => None,
    };
    draft.make(&desk).await?;
    let mut fields = one_shown(&desk, &user).await?;
    if let Some(issued) = issued {
        issued.tell(&mut fields);
        for (name, value) in [
            ("key_name", json!(issued.key.key_name)),
            ("key_alias", json!(issued.key.key_alias)),
            ("expires", json!(issued.key.expires)),
            ("aliases", json!(issued.key.aliases)),
        ] {
            fields.insert(name.to_owned(), value);
        }
    }
    Ok(Json(Value::Object(fields)))
}

/// `teams`: ids, or objects that say more.
fn teams_of(form: &Form, defaults: &[String]) -> Result<Vec<(String, Joining)>, Fault> {
    let teams = match form.typed::<Vec<Value>>("teams", "a list of teams")? {
        Given::Value(teams) => teams,
        Given::Null | Given::Absent => defaults.iter().map(|team| json!(team)).collect(),
    };
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for team in teams {
        let (team_id, joining) = match team {
            Value::String(team_id) => (team_id, Joining::default()),
            other => {
                let form = Form::of_value("teams", other)?;
                let role = form.typed("user_role", "user or admin")?.value().unwrap_or_default();
                let max_budget = form.dollars("max_budget_in_team")?.value();
                (form.required("team_id")?, Joining { role, max_budget, ..Joining::default() })
            }
        };
        if seen.insert(team_id.clone()) {
            found.push((team_id, joining));
        }
    }
    Ok(found)
}

/// The user that a request names by id or by address.
async fn named(desk: &Desk, form: &Form) -> Result<User, Fault> {
    if let Some(user_id) = form.name("user_id")?.value() {
        return desk.user(&user_id).await;
    }
    let Some(email) = form.name("user_email")?.value() else {
        let message = "Either user id or user email must be provided".to_owned();
        return Err(Fault::shape("user_id", message));
    };
    let absent =
        || Fault::absent("user_email", format!("User not found, passed user_email={email}"));
    desk.user_by_email(&email).await?.ok_or_else(absent)
}

/// `POST /user/update`.
async fn update(
    State(desk): State<Arc<Desk>>,
    operator: Operator,
    form: Form,
) -> Result<Json<Value>, Fault> {
    let mut draft = Draft::by(&desk, &operator).await?;
    let before = match named(&desk, &form).await {
        // Who exists is told only to those who see all.
        Err(fault) if fault.status == 404 && !operator.sees_all() => return Err(not_yours()),
        found => found?,
    };
    let mut user = before.clone();
    read(&form, &mut user)?;
    if !operator.changes_all() {
        let own = operator.user_id() == Some(before.user_id.as_str());
        let said = form.only(&["user_id", "user_email", "user_alias"]);
        if own && !form.says_more_than(&["user_id", "user_email", "user_alias"]) {
            // Their name is their own to change.
            let mut named = before.clone();
            read(&said, &mut named)?;
            user = named;
        } else if operator.leads(before.organization_id.as_deref()) && !own {
            check_rights(&operator, &before)?;
            check_rights(&operator, &user)?;
            if form.has("spend") {
                let message = "Only proxy admins can say what a user has spent.";
                return Err(Fault::forbidden(message.to_owned()).about("spend"));
            }
        } else {
            return Err(not_yours());
        }
    }
    check_email(&desk, &user).await?;
    if user.allowance != before.allowance {
        allowance::check_budget(&desk, &user.allowance).await?;
    }
    let is_bounded_anew = user.organization_id != before.organization_id
        || user.allowance != before.allowance
        || user.models != before.models;
    if is_bounded_anew && let Some(id) = &user.organization_id {
        let organisation = desk.organisation(id).await?;
        allowance::check_organisation(&user.models, &user.allowance, &organisation)?;
    }
    draft.touch(&mut user.history);
    draft.replace("updated", &before, &user)?;
    let at = draft.at;
    let spend = match form.spent("spend")?.value() {
        Some(spend) => {
            let payer = payer(&user, &desk.source.access().ring.user_defaults);
            let standing = spent::standing(&desk, payer, at).await?;
            draft.detail("spend", &json!(standing.spend), &json!(spend));
            Some((standing, spend))
        }
        None => None,
    };
    draft.make(&desk).await?;
    if let Some((standing, spend)) = spend {
        spent::correct(&desk, &scope(&user.user_id), &standing, spend, at).await?;
    }
    let data = one_shown(&desk, &user).await?;
    Ok(Json(json!({"user_id": user.user_id, "data": data})))
}

fn not_yours() -> Fault {
    let message = "You are not allowed to change this user; of your own only user_email and \
                   user_alias.";
    Fault::forbidden(message.to_owned()).about("user_id")
}

/// `POST /user/delete`: the users, their keys, and their places in teams.
async fn delete(
    State(desk): State<Arc<Desk>>,
    operator: Operator,
    form: Form,
) -> Result<Json<Value>, Fault> {
    let ids: BTreeSet<String> = form.filled_texts("user_ids")?.into_iter().collect();
    if ids.len() > USERS_MAX {
        let message = format!("user_ids must name at most {USERS_MAX} users");
        return Err(Fault::value("user_ids", message));
    }
    let mut draft = Draft::by(&desk, &operator).await?;
    let mut teams = BTreeSet::new();
    for id in &ids {
        let user = desk.user(id).await?;
        for key in desk.list::<Key>(&Filter { user: Some(id.clone()), ..Filter::default() }).await?
        {
            draft.delete(&key)?;
        }
        teams.extend(user.teams.iter().cloned());
        draft.delete(&user)?;
    }
    for team_id in teams {
        let Some(before) = desk.find::<Team>(&team_id).await? else { continue };
        let mut team = before.clone();
        team.members.retain(|member| !ids.contains(&member.user_id));
        if team != before {
            draft.touch(&mut team.history);
            draft.replace("updated", &before, &team)?;
        }
    }
    draft.make(&desk).await?;
    Ok(Json(json!(ids.len())))
}

/// Whether a caller may see a user.
fn sees(operator: &Operator, user: &User) -> bool {
    operator.sees_all()
        || operator.user_id() == Some(user.user_id.as_str())
        || operator.leads(user.organization_id.as_deref())
}

/// The user that a page is about: the one that is asked for, or the caller's own.
async fn asked(desk: &Desk, operator: &Operator, form: &Form) -> Result<Option<User>, Fault> {
    let own = operator.user_id().map(str::to_owned);
    let Some(user_id) = form.name("user_id")?.value().or(own) else {
        return Ok(None);
    };
    let user: Option<User> = desk.find(&user_id).await?;
    match user {
        Some(user) if sees(operator, &user) => Ok(Some(user)),
        None if operator.sees_all() || operator.user_id() == Some(&user_id) => {
            Err(Fault::absent("user_id", format!("User {user_id} not found")))
        }
        _ => {
            let message = "key not allowed to access this user's info.".to_owned();
            Err(Fault::forbidden(message).about("user_id"))
        }
    }
}

/// `GET /user/info`: a user with keys and teams. Who sees all and names nobody gets those of all.
async fn info(
    State(desk): State<Arc<Desk>>,
    operator: Operator,
    Parameters(form): Parameters,
) -> Result<Json<Value>, Fault> {
    let user = asked(&desk, &operator, &form).await?;
    if user.is_none() && !operator.sees_all() {
        let message = "No user belongs to this key.".to_owned();
        return Err(Fault::absent("user_id", message));
    }
    let user_id = user.as_ref().map(|user| user.user_id.clone());
    let filter = Filter { user: user_id.clone(), limit: KEYS_SHOWN, ..Filter::default() };
    let keys: Vec<Key> = desk.list(&filter).await?;
    let teams: Vec<Team> = match &user {
        Some(user) => {
            let mut teams = Vec::new();
            for team_id in &user.teams {
                teams.extend(desk.find::<Team>(team_id).await?);
            }
            teams
        }
        None => desk.list(&Filter { limit: KEYS_SHOWN, ..Filter::default() }).await?,
    };
    let shown = match &user {
        Some(user) => Value::Object(one_shown(&desk, user).await?),
        None => Value::Null,
    };
    Ok(Json(json!({
        "user_id": user_id,
        "user_info": shown,
        "keys": keys::all_shown(&desk, &keys).await?,
        "teams": super::teams::all_shown(&desk, &teams).await?,
    })))
}

/// `GET /v2/user/info`: the user alone.
async fn info_alone(
    State(desk): State<Arc<Desk>>,
    operator: Operator,
    Parameters(form): Parameters,
) -> Result<Json<Value>, Fault> {
    let missing = || Fault::absent("user_id", "No user belongs to this key.".to_owned());
    let user = asked(&desk, &operator, &form).await?.ok_or_else(missing)?;
    Ok(Json(Value::Object(one_shown(&desk, &user).await?)))
}

/// `GET /user/list`.
async fn list(
    State(desk): State<Arc<Desk>>,
    operator: Operator,
    Parameters(form): Parameters,
) -> Result<Json<Value>, Fault> {
    let page = Page::read(&form, "page_size", (25, 100))?;
    let mut filter =
        Filter { organisation: form.name("organization_id")?.value(), ..Filter::default() };
    if !operator.sees_all() {
        let own = operator.principal().and_then(|principal| principal.user.as_ref());
        let own = own.and_then(|user| user.organization_id.as_deref());
        if !operator.leads(own) {
            let message = "Only proxy admins, and organization admins within their organization, may \
                           list users.";
            return Err(Fault::forbidden(message.to_owned()));
        }
        filter.organisation = own.map(str::to_owned);
    }
    let role = form.typed::<Role>("role", "a role")?.value();
    let role = role.or(form.typed::<Role>("user_role", "a role")?.value());
    let email = form.name("user_email")?.value().map(|email| email.to_lowercase());
    let team = form.name("team")?.value();
    let ids = form.name("user_ids")?.value();
    let ids: Option<Vec<String>> =
        ids.map(|ids| ids.split(',').map(|id| id.trim().to_owned()).collect());
    let (users, total) = if role.is_none() && email.is_none() && team.is_none() && ids.is_none() {
        let total = desk.directory.count(Kind::User, &filter).await?;
        let part = Filter { skip: page.skip(), limit: page.size, ..filter };
        (desk.list::<User>(&part).await?, total)
    } else {
        let fits = |user: &User| {
            let address = || user.user_email.as_deref().unwrap_or_default().to_lowercase();
            role.is_none_or(|role| user.user_role == role)
                && email.as_ref().is_none_or(|email| address().contains(email))
                && team.as_ref().is_none_or(|team| user.teams.contains(team))
                && ids.as_ref().is_none_or(|ids| ids.contains(&user.user_id))
        };
        let users = desk.collect(filter, fits).await?;
        let total = users.len() as u64;
        (page.cut(users).collect(), total)
    };
    let mut shown = all_shown(&desk, &users).await?;
    for (fields, user) in shown.iter_mut().zip(&users) {
        let filter = Filter { user: Some(user.user_id.clone()), ..Filter::default() };
        let keys = desk.directory.count(Kind::Key, &filter).await?;
        fields.insert("key_count".to_owned(), json!(keys));
    }
    Ok(Json(json!({
        "users": shown,
        "total": total,
        "page": page.number,
        "page_size": page.size,
        "total_pages": page.pages(total),
    })))
}

/// `GET /user/available_roles`.
async fn roles(_: Operator) -> Json<Value> {
    let role = |ui_label: &str, description: &str| json!({"ui_label": ui_label, "description": description});
    Json(json!({
        "proxy_admin": role("Admin (All Permissions)", "sees and changes everything"),
        "proxy_admin_viewer": role("Admin (View Only)", "sees everything"),
        "org_admin": role("Organization Admin", "manages the teams and users of an organization"),
        "internal_user": role("Internal User (Create/Delete/View)", "manages their own keys"),
        "internal_user_viewer": role("Internal User (View Only)", "sees their own keys and spend"),
    }))
}

/// A record of a user who is named as a member and not known yet.
pub(super) fn newcomer(draft: &Draft<'_>, user_id: Option<String>, email: Option<String>) -> User {
    User {
        user_id: user_id.unwrap_or_else(new_id),
        user_email: email,
        history: draft.begin(),
        ..User::default()
    }
}

/// A role in a team by the name that LiteLLM's clients write.
pub(super) fn member_role(form: &Form) -> Result<Given<MemberRole>, Fault> {
    form.typed("role", "admin or user")
}
