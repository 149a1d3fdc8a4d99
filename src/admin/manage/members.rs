//! `/team/member_*`: who is in a team, and what they may use there.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::routing::post;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::spent::{self, Payer};
use super::{Desk, Draft, Fault, Form, Given, Operator, teams, users};
use crate::keys::record::{Allowance, Key, Member, MemberRole, Team, User};
use crate::keys::{Entry, Filter};
use crate::spend::{Scope, ScopeKind};

/// The most members of one request.
const MEMBERS_MAX: usize = 500;
/// How often users are added to a team before another gateway that changes it as well wins.
const ADD_ATTEMPTS: u32 = 10;

pub(super) fn router() -> Router<Arc<Desk>> {
    Router::new()
        .route("/team/member_add", post(add))
        .route("/team/bulk_member_add", post(add))
        .route("/team/member_update", post(update))
        .route("/team/member_delete", post(delete))
}

/// As what somebody joins a team.
#[derive(Clone, Debug, Default)]
pub(super) struct Joining {
    pub(super) role: MemberRole,
    pub(super) max_budget: Option<f64>,
    pub(super) budget_duration: Option<String>,
    pub(super) rpm_limit: Option<u64>,
    pub(super) tpm_limit: Option<u64>,
}

/// Puts a user into a team.
pub(super) fn join(team: &mut Team, user: &User, joining: &Joining) -> Result<(), Fault> {
    if team.members.iter().any(|member| member.user_id == user.user_id) {
        let message = format!("User={} is already in team={}.", user.user_id, team.team_id);
        return Err(Fault::conflict(400, "user_id", message));
    }
    team.members.push(Member {
        user_id: user.user_id.clone(),
        user_email: user.user_email.clone(),
        role: joining.role,
        allowance: Allowance {
            max_budget: joining.max_budget,
            budget_duration: joining.budget_duration.clone(),
            rpm_limit: joining.rpm_limit,
            tpm_limit: joining.tpm_limit,
            ..Allowance::default()
        },
    });
    Ok(())
}

/// Whether a caller may say who is in a team.
pub(super) fn check_rights(operator: &Operator, team: &Team) -> Result<(), Fault> {
    if operator.changes_all() || operator.runs(team) {
        return Ok(());
    }
    let message =
        format!("Call not allowed. User not proxy admin OR team admin. team_id={}", team.team_id);
    Err(Fault::forbidden(message).about("team_id"))
}

/// The team of a request, if the caller manages it. That a team is there is not told to others.
pub(super) async fn own_team(desk: &Desk, operator: &Operator, form: &Form) -> Result<Team, Fault> {
    run_team(desk, operator, &form.required("team_id")?).await
}

/// The same of a team that a path names.
pub(super) async fn run_team(
    desk: &Desk,
    operator: &Operator,
    team_id: &str,
) -> Result<Team, Fault> {
    match desk.find::<Team>(team_id).await? {
        Some(team) => check_rights(operator, &team).map(|()| team),
        None if operator.sees_all() => desk.team(team_id).await,
        None => {
            let team = Team { team_id: team_id.to_owned(), ..Team::default() };
            check_rights(operator, &team).map(|()| Team::default())
        }
    }
}

/// What a request says of somebody who joins.
fn joining(form: &Form, shared: &Form) -> Result<Joining, Fault> {
    Ok(Joining {
        role: users::member_role(form)?.value().unwrap_or_default(),
        max_budget: shared.dollars("max_budget_in_team")?.value(),
        budget_duration: shared.period("budget_duration")?.value(),
        rpm_limit: shared.count("rpm_limit")?.value(),
        tpm_limit: shared.count("tpm_limit")?.value(),
    })
}

/// Puts those whom a list names into a team; makes those who are not known yet, if the caller may.
/// Returns the users with the team in their records.
pub(super) async fn enlist(
    desk: &Desk,
    operator: &Operator,
    draft: &mut Draft<'_>,
    team: &mut Team,
    list: &[Value],
    shared: &Form,
) -> Result<Vec<User>, Fault> {
    let mut joined = Vec::new();
    for value in list {
        let form = Form::of_value("member", value.clone())?;
        let (user_id, email) = (form.name("user_id")?.value(), form.name("user_email")?.value());
        let known = match (&user_id, &email) {
            (Some(id), _) => desk.find::<User>(id).await?,
            (None, Some(email)) => desk.user_by_email(email).await?,
            (None, None) => {
                let message = "Either user_id or user_email must be provided".to_owned();
                return Err(Fault::shape("member", message));
            }
        };
        let mut user = match &known {
            Some(known) => known.clone(),
            None if operator.changes_all() => users::newcomer(draft, user_id, email),
            None => {
                let message = "Only proxy admins can add a user who does not exist yet.".to_owned();
                return Err(Fault::forbidden(message).about("member"));
            }
        };
        join(team, &user, &joining(&form, shared)?)?;
        if !user.teams.contains(&team.team_id) {
            user.teams.push(team.team_id.clone());
        }
        match &known {
            Some(before) => {
                draft.touch(&mut user.history);
                draft.replace("updated", before, &user)?;
            }
            None => draft.create(&user)?,
        }
        joined.push(user);
    }
    Ok(joined)
}

/// The members of a request: one, or a list.
pub(super) fn listed(form: &Form) -> Result<Vec<Value>, Fault> {
    let given = match form.any("member") {
        Given::Absent => form.any("members"),
        given => given,
    };
    let list = match given {
        Given::Value(Value::Array(list)) => list,
        Given::Value(one @ Value::Object(_)) => vec![one],
        _ => {
            return Err(Fault::shape(
                "member",
                "member must be a member, or a list of them".into(),
            ));
        }
    };
    if list.is_empty() || list.len() > MEMBERS_MAX {
        let message = format!("member must name 1 to {MEMBERS_MAX} users");
        return Err(Fault::value("member", message));
    }
    Ok(list)
}

/// `POST /team/member_add`.
async fn add(
    State(desk): State<Arc<Desk>>,
    operator: Operator,
    form: Form,
) -> Result<Json<Value>, Fault> {
    form.unsupported(&["allowed_models"])?;
    let mut attempt = 1;
    loop {
        match add_once(&desk, &operator, &form).await {
            // Many are added at once where people are brought over, by several gateways.
            Err(fault) if fault.is_stale() && attempt < ADD_ATTEMPTS => attempt += 1,
            done => return done,
        }
    }
}

async fn add_once(desk: &Desk, operator: &Operator, form: &Form) -> Result<Json<Value>, Fault> {
    let mut draft = Draft::by(desk, operator).await?;
    let before = own_team(desk, operator, form).await?;
    let mut team = before.clone();
    let list = listed(form)?;
    let joined = enlist(desk, operator, &mut draft, &mut team, &list, form).await?;
    draft.touch(&mut team.history);
    draft.replace("updated", &before, &team)?;
    draft.make(desk).await?;
    let mut fields = teams::one_shown(desk, &team).await?;
    let ids: Vec<&str> = joined.iter().map(|user| user.user_id.as_str()).collect();
    let mut memberships = memberships(desk, &team).await?;
    memberships.retain(|entry| entry["user_id"].as_str().is_some_and(|id| ids.contains(&id)));
    let joined: Result<Vec<Value>, Fault> =
        joined.iter().map(|user| Ok(Entry::of(user)?.record)).collect();
    fields.insert("updated_users".to_owned(), Value::Array(joined?));
    fields.insert("updated_team_memberships".to_owned(), Value::Array(memberships));
    Ok(Json(Value::Object(fields)))
}

/// Where in a team the user is that a request names.
async fn place(desk: &Desk, form: &Form, team: &Team) -> Result<usize, Fault> {
    let absent = || Fault::value("user_id", "User not found in team".to_owned());
    let (user_id, email) = (form.name("user_id")?.value(), form.name("user_email")?.value());
    let user_id = match (user_id, &email) {
        (Some(user_id), _) => user_id,
        (None, Some(email)) => match desk.user_by_email(email).await? {
            Some(user) => user.user_id,
            None => {
                // Somebody who was added by an address and has no record any more.
                let named = |member: &Member| member.user_email.as_ref() == Some(email);
                return team.members.iter().position(named).ok_or_else(absent);
            }
        },
        (None, None) => {
            let message = "Either user_id or user_email needs to be provided".to_owned();
            return Err(Fault::value("user_id", message));
        }
    };
    team.members.iter().position(|member| member.user_id == user_id).ok_or_else(absent)
}

/// `POST /team/member_update`.
async fn update(
    State(desk): State<Arc<Desk>>,
    operator: Operator,
    form: Form,
) -> Result<Json<Value>, Fault> {
    form.unsupported(&["allowed_models"])?;
    let mut draft = Draft::by(&desk, &operator).await?;
    let before = own_team(&desk, &operator, &form).await?;
    let mut team = before.clone();
    let place = place(&desk, &form, &team).await?;
    let Some(member) = team.members.get_mut(place) else {
        return Err(Fault::value("user_id", "User not found in team".to_owned()));
    };
    users::member_role(&form)?.put(&mut member.role);
    form.dollars("max_budget_in_team")?.set(&mut member.allowance.max_budget);
    form.period("budget_duration")?.set(&mut member.allowance.budget_duration);
    form.count("rpm_limit")?.set(&mut member.allowance.rpm_limit);
    form.count("tpm_limit")?.set(&mut member.allowance.tpm_limit);
    let answer = json!({
        "team_id": before.team_id,
        "user_id": member.user_id,
        "user_email": member.user_email,
        "role": member.role,
        "max_budget_in_team": member.allowance.max_budget,
        "budget_duration": member.allowance.budget_duration,
        "rpm_limit": member.allowance.rpm_limit,
        "tpm_limit": member.allowance.tpm_limit,
    });
    draft.touch(&mut team.history);
    draft.replace("updated", &before, &team)?;
    draft.make(&desk).await?;
    Ok(Json(answer))
}

/// `POST /team/member_delete`: the membership, and the member's keys of the team.
async fn delete(
    State(desk): State<Arc<Desk>>,
    operator: Operator,
    form: Form,
) -> Result<Json<Value>, Fault> {
    let mut draft = Draft::by(&desk, &operator).await?;
    let before = own_team(&desk, &operator, &form).await?;
    let mut team = before.clone();
    let member = team.members.remove(place(&desk, &form, &team).await?);
    if let Some(known) = desk.find::<User>(&member.user_id).await? {
        let mut user = known.clone();
        user.teams.retain(|team_id| *team_id != team.team_id);
        draft.touch(&mut user.history);
        draft.replace("updated", &known, &user)?;
    }
    let filter = Filter {
        user: Some(member.user_id),
        team: Some(team.team_id.clone()),
        ..Filter::default()
    };
    for key in desk.list::<Key>(&filter).await? {
        draft.delete(&key)?;
    }
    draft.touch(&mut team.history);
    draft.replace("updated", &before, &team)?;
    draft.make(&desk).await?;
    Ok(Json(Value::Object(teams::one_shown(&desk, &team).await?)))
}

/// The members of a team with what they have spent there.
pub(super) async fn memberships(desk: &Desk, team: &Team) -> Result<Vec<Value>, Fault> {
    let payers = team.members.iter().map(|member| {
        let id = format!("{}/{}", team.team_id, member.user_id);
        Payer::new(Scope::new(ScopeKind::TeamMember, id), &member.allowance)
    });
    let payers: Vec<_> = payers.collect();
    let standings = spent::standings(desk, &payers, Timestamp::now()).await?;
    let members = team.members.iter().zip(standings);
    let shown = members.map(|(member, standing)| {
        let mut fields = Map::new();
        fields.insert("user_id".to_owned(), json!(member.user_id));
        fields.insert("team_id".to_owned(), json!(team.team_id));
        fields.insert("budget_id".to_owned(), json!(member.allowance.budget_id));
        fields.insert("litellm_budget_table".to_owned(), json!(member.allowance));
        standing.show(&mut fields);
        Value::Object(fields)
    });
    Ok(shown.collect())
}
