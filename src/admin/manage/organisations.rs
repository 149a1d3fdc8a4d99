//! `/organization/*`: teams that share models and a budget.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::routing::{delete, get, patch, post};
use serde_json::{Map, Value, json};

use super::spent::{self, Payer};
use super::{Desk, Draft, Fault, Form, Operator, Parameters, allowance, members, new_id, users};
use crate::keys::record::{Key, Kind, Organisation, Team, User};
use crate::keys::{Entry, Filter, Role};
use crate::spend::{Scope, ScopeKind};

/// What an organisation's record has no place for.
const UNSUPPORTED: [&str; 3] = ["model_max_budget", "model_rpm_limit", "model_tpm_limit"];
/// What its admin may change of it.
const BY_ITS_ADMIN: [&str; 3] = ["organization_id", "organization_alias", "metadata"];

pub(super) fn router() -> Router<Arc<Desk>> {
    Router::new()
        .route("/organization/new", post(make))
        .route("/organization/update", patch(update).post(update))
        .route("/organization/delete", delete(remove).post(remove))
        .route("/organization/info", get(info))
        .route("/organization/list", get(list))
        .route("/organization/member_add", post(add_members))
        .route("/organization/member_update", patch(update_member).post(update_member))
        .route("/organization/member_delete", delete(remove_member).post(remove_member))
}

/// Organisations as they are shown, in their order.
async fn all_shown(
    desk: &Desk,
    organisations: &[Organisation],
) -> Result<Vec<Map<String, Value>>, Fault> {
    fn payer(one: &Organisation) -> Payer<'_> {
        let scope = Scope::new(ScopeKind::Organisation, one.organization_id.as_str());
        Payer::new(scope, &one.allowance)
    }
    spent::shown(desk, organisations, payer, |_, standing, fields| standing.show_bounds(fields))
        .await
}

async fn one_shown(desk: &Desk, one: &Organisation) -> Result<Map<String, Value>, Fault> {
    Ok(all_shown(desk, std::slice::from_ref(one)).await?.pop().unwrap_or_default())
}

fn read(form: &Form, organisation: &mut Organisation) -> Result<(), Fault> {
    form.unsupported(&UNSUPPORTED)?;
    form.name("organization_alias")?.set(&mut organisation.organization_alias);
    form.texts("models")?.put(&mut organisation.models);
    allowance::read(form, &mut organisation.allowance)?;
    form.typed("metadata", "an object")?.put(&mut organisation.metadata);
    Ok(())
}

/// `POST /organization/new`.
async fn make(
    State(desk): State<Arc<Desk>>,
    operator: Operator,
    form: Form,
) -> Result<Json<Value>, Fault> {
    let mut draft = Draft::by(&desk, &operator).await?;
    form.required("organization_alias")?;
    let organization_id = form.name("organization_id")?.value().unwrap_or_else(new_id);
    let history = draft.begin();
    let mut organisation = Organisation { organization_id, history, ..Organisation::default() };
    read(&form, &mut organisation)?;
    if desk.has(Kind::Organisation, &organisation.organization_id).await? {
        let message = format!("Organization={} already exists", organisation.organization_id);
        return Err(Fault::conflict(400, "organization_id", message));
    }
    allowance::check_budget(&desk, &organisation.allowance).await?;
    draft.create(&organisation)?;
    draft.make(&desk).await?;
    Ok(Json(Value::Object(one_shown(&desk, &organisation).await?)))
}

/// The organisation of a request, if the caller is its admin.
async fn own(desk: &Desk, operator: &Operator, form: &Form) -> Result<Organisation, Fault> {
    let id = form.required("organization_id")?;
    if !operator.changes_all() && !operator.leads(Some(&id)) {
        let message = format!("You are not an admin of organization={id}.");
        return Err(Fault::forbidden(message).about("organization_id"));
    }
    desk.organisation(&id).await
}

/// `PATCH /organization/update`.
async fn update(
    State(desk): State<Arc<Desk>>,
    operator: Operator,
    form: Form,
) -> Result<Json<Value>, Fault> {
    let mut draft = Draft::by(&desk, &operator).await?;
    let before = own(&desk, &operator, &form).await?;
    if !operator.changes_all() && form.says_more_than(&BY_ITS_ADMIN) {
        let message = "An admin of the organization may change its organization_alias and metadata; \
                       the rest is for proxy admins.";
        return Err(Fault::forbidden(message.to_owned()).about("organization_id"));
    }
    let mut organisation = before.clone();
    read(&form, &mut organisation)?;
    allowance::check_budget(&desk, &organisation.allowance).await?;
    draft.touch(&mut organisation.history);
    draft.replace("updated", &before, &organisation)?;
    draft.make(&desk).await?;
    Ok(Json(Value::Object(one_shown(&desk, &organisation).await?)))
}

/// `DELETE /organization/delete`: the organisations with their teams and keys; their users stay.
async fn remove(
    State(desk): State<Arc<Desk>>,
    operator: Operator,
    form: Form,
) -> Result<Json<Value>, Fault> {
    let mut draft = Draft::by(&desk, &operator).await?;
    let ids: BTreeSet<String> = form.filled_texts("organization_ids")?.into_iter().collect();
    let mut removed = Vec::new();
    let (mut keys, mut left) = (BTreeSet::new(), BTreeSet::new());
    for id in &ids {
        let organisation = desk.organisation(id).await?;
        removed.push(one_shown(&desk, &organisation).await?);
        let within = Filter { organisation: Some(id.clone()), ..Filter::default() };
        for team in desk.list::<Team>(&within).await? {
            let of_team = Filter { team: Some(team.team_id.clone()), ..Filter::default() };
            for key in desk.list::<Key>(&of_team).await? {
                if keys.insert(key.token) {
                    draft.delete(&key)?;
                }
            }
            left.extend(
                team.members.iter().map(|member| (member.user_id.clone(), team.team_id.clone())),
            );
            draft.delete(&team)?;
        }
        for key in desk.list::<Key>(&within).await? {
            if keys.insert(key.token) {
                draft.delete(&key)?;
            }
        }
        draft.delete(&organisation)?;
    }
    let mut people: BTreeSet<String> = left.iter().map(|(user_id, _)| user_id.clone()).collect();
    for id in &ids {
        let within = Filter { organisation: Some(id.clone()), ..Filter::default() };
        people.extend(desk.list::<User>(&within).await?.into_iter().map(|user| user.user_id));
    }
    for user_id in people {
        let Some(before) = desk.find::<User>(&user_id).await? else { continue };
        let mut user = before.clone();
        user.teams.retain(|team_id| !left.contains(&(user_id.clone(), team_id.clone())));
        if user.organization_id.as_ref().is_some_and(|id| ids.contains(id)) {
            leave(&mut user);
        }
        if user != before {
            draft.touch(&mut user.history);
            draft.replace("updated", &before, &user)?;
        }
    }
    draft.make(&desk).await?;
    Ok(Json(json!(removed)))
}

/// `GET /organization/info`.
async fn info(
    State(desk): State<Arc<Desk>>,
    operator: Operator,
    Parameters(form): Parameters,
) -> Result<Json<Value>, Fault> {
    let id = form.required("organization_id")?;
    if !operator.sees_all() && own_id(&operator) != Some(id.as_str()) {
        let message = "You are not authorized to see this organization.".to_owned();
        return Err(Fault::forbidden(message).about("organization_id"));
    }
    let organisation = desk.organisation(&id).await?;
    let mut fields = one_shown(&desk, &organisation).await?;
    if operator.sees_all() || operator.leads(Some(&id)) {
        let within = Filter { organisation: Some(id), ..Filter::default() };
        let members = desk.list::<User>(&within).await?;
        let members = members.iter().map(|user| {
            json!({"user_id": user.user_id, "user_email": user.user_email,
                "user_role": user.user_role, "organization_id": user.organization_id})
        });
        fields.insert("members".to_owned(), members.collect());
        let teams = desk.list::<Team>(&within).await?;
        let teams = teams
            .iter()
            .map(|team| json!({"team_id": team.team_id, "team_alias": team.team_alias}));
        fields.insert("teams".to_owned(), teams.collect());
    }
    Ok(Json(Value::Object(fields)))
}

/// The organisation that the caller's key, or its user, is in.
fn own_id(operator: &Operator) -> Option<&str> {
    let principal = operator.principal()?;
    let user = principal.user.as_ref().and_then(|user| user.organization_id.as_deref());
    principal.organisation_id().or(user)
}

/// `GET /organization/list`.
async fn list(State(desk): State<Arc<Desk>>, operator: Operator) -> Result<Json<Value>, Fault> {
    let found: Vec<Organisation> = if operator.sees_all() {
        desk.collect(Filter::default(), |_: &Organisation| true).await?
    } else {
        match own_id(&operator) {
            Some(id) => desk.find(id).await?.into_iter().collect(),
            None => Vec::new(),
        }
    };
    Ok(Json(json!(all_shown(&desk, &found).await?)))
}

/// `POST /organization/member_add`.
async fn add_members(
    State(desk): State<Arc<Desk>>,
    operator: Operator,
    form: Form,
) -> Result<Json<Value>, Fault> {
    has_no_budget(&form)?;
    let mut draft = Draft::by(&desk, &operator).await?;
    let organisation = own(&desk, &operator, &form).await?;
    let mut joined: Vec<User> = Vec::new();
    for value in members::listed(&form)? {
        let user = enlist(&desk, &operator, &mut draft, &organisation, value).await?;
        if joined.iter().any(|known| known.user_id == user.user_id) {
            let message = format!("member names user={} twice", user.user_id);
            return Err(Fault::value("member", message));
        }
        joined.push(user);
    }
    draft.make(&desk).await?;
    let memberships = joined.iter().map(|user| {
        json!({"user_id": user.user_id, "organization_id": organisation.organization_id,
            "user_role": user.user_role})
    });
    let memberships: Vec<Value> = memberships.collect();
    let users: Result<Vec<Value>, Fault> =
        joined.iter().map(|user| Ok(Entry::of(user)?.record)).collect();
    Ok(Json(json!({
        "organization_id": organisation.organization_id,
        "updated_users": users?,
        "updated_organization_memberships": memberships,
    })))
}

async fn enlist(
    desk: &Desk,
    operator: &Operator,
    draft: &mut Draft<'_>,
    organisation: &Organisation,
    value: Value,
) -> Result<User, Fault> {
    let form = Form::of_value("member", value)?;
    let (user_id, email) = (form.name("user_id")?.value(), form.name("user_email")?.value());
    let known = match (&user_id, &email) {
        (Some(id), _) => desk.find::<User>(id).await?,
        (None, Some(email)) => desk.user_by_email(email).await?,
        (None, None) => {
            let message = "Either user_id or user_email must be provided".to_owned();
            return Err(Fault::shape("member", message));
        }
    };
    let role = member_role(&form)?.unwrap_or_default();
    let before = match known {
        Some(known) => known,
        None if operator.changes_all() => {
            let mut user = users::newcomer(draft, user_id, email);
            user.user_role = role;
            user.organization_id = Some(organisation.organization_id.clone());
            draft.create(&user)?;
            return Ok(user);
        }
        None => {
            let message = "Only proxy admins can add a user who does not exist yet.".to_owned();
            return Err(Fault::forbidden(message).about("member"));
        }
    };
    let id = organisation.organization_id.as_str();
    let elsewhere = before.organization_id.as_deref().is_some_and(|other| other != id);
    let admin = matches!(before.user_role, Role::ProxyAdmin | Role::ProxyAdminViewer);
    // Whoever is in no organisation is not for the admin of one to take.
    if !operator.changes_all() && (admin || before.organization_id.as_deref() != Some(id)) {
        let message = "Only proxy admins may take a user into an organization.".to_owned();
        return Err(Fault::forbidden(message).about("member"));
    }
    if elsewhere {
        let message = format!("User={} is in another organization.", before.user_id);
        return Err(Fault::conflict(400, "member", message));
    }
    let mut user = before.clone();
    user.organization_id = Some(id.to_owned());
    if !admin {
        user.user_role = role;
    }
    draft.touch(&mut user.history);
    draft.replace("updated", &before, &user)?;
    Ok(user)
}

/// Members have no budget of their own in an organisation.
fn has_no_budget(form: &Form) -> Result<(), Fault> {
    let name = "max_budget_in_organization";
    match form.dollars(name)?.value() {
        None => Ok(()),
        Some(_) => {
            let message =
                format!("{name} is not supported: give the user a budget by /user/update");
            Err(Fault::value(name, message))
        }
    }
}

/// The role that a request gives within an organisation.
fn member_role(form: &Form) -> Result<Option<Role>, Fault> {
    let roles = "org_admin, internal_user or internal_user_viewer";
    match form.typed::<Role>("role", roles)?.value() {
        Some(Role::ProxyAdmin | Role::ProxyAdminViewer) => {
            Err(Fault::shape("role", format!("role must be {roles}")))
        }
        role => Ok(role),
    }
}

/// The member that a request names.
async fn member(desk: &Desk, organisation: &Organisation, form: &Form) -> Result<User, Fault> {
    let user = match form.name("user_id")?.value() {
        Some(id) => desk.find::<User>(&id).await?,
        None => desk.user_by_email(&form.required("user_email")?).await?,
    };
    let id = organisation.organization_id.as_str();
    let member = user.filter(|user| user.organization_id.as_deref() == Some(id));
    let absent = || Fault::absent("user_id", format!("Member not found in organization={id}"));
    member.ok_or_else(absent)
}

/// `PATCH /organization/member_update`: a member's role.
async fn update_member(
    State(desk): State<Arc<Desk>>,
    operator: Operator,
    form: Form,
) -> Result<Json<Value>, Fault> {
    has_no_budget(&form)?;
    let mut draft = Draft::by(&desk, &operator).await?;
    let organisation = own(&desk, &operator, &form).await?;
    let before = member(&desk, &organisation, &form).await?;
    let mut user = before.clone();
    if let Some(role) = member_role(&form)? {
        if matches!(before.user_role, Role::ProxyAdmin | Role::ProxyAdminViewer) {
            let message = format!("User={} has a role in the whole proxy.", before.user_id);
            return Err(Fault::value("role", message));
        }
        user.user_role = role;
    }
    if user != before {
        draft.touch(&mut user.history);
        draft.replace("updated", &before, &user)?;
        draft.make(&desk).await?;
    }
    Ok(Json(json!({
        "user_id": user.user_id,
        "organization_id": user.organization_id,
        "user_role": user.user_role,
        "budget_id": null,
        "created_at": user.history.created_at,
        "updated_at": user.history.updated_at,
    })))
}

/// Takes a user out of the organisation, with the role there.
fn leave(user: &mut User) {
    user.organization_id = None;
    if user.user_role == Role::OrgAdmin {
        user.user_role = Role::InternalUser;
    }
}

/// `DELETE /organization/member_delete`.
async fn remove_member(
    State(desk): State<Arc<Desk>>,
    operator: Operator,
    form: Form,
) -> Result<Json<Value>, Fault> {
    let mut draft = Draft::by(&desk, &operator).await?;
    let organisation = own(&desk, &operator, &form).await?;
    let before = member(&desk, &organisation, &form).await?;
    let mut user = before.clone();
    leave(&mut user);
    draft.touch(&mut user.history);
    draft.replace("updated", &before, &user)?;
    draft.make(&desk).await?;
    Ok(Json(Entry::of(&user)?.record))
}
