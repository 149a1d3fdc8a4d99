//! `/budget/*`: allowances that others refer to by `budget_id`.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Desk, Draft, Fault, Form, Operator, Parameters, allowance, new_id, spent};
use crate::keys::record::{
    Allowance, BudgetRecord, EndUser, Key, Kind, Organisation, Tag, Team, User,
};
use crate::keys::{Entry, Filter};

/// The fields of a budget, with their types, as LiteLLM's pages name them.
const FIELDS: [(&str, &str, &str); 7] = [
    ("max_budget", "Float", "US dollars in each period; requests are refused beyond it."),
    ("soft_budget", "Float", "US dollars in each period; an alert is sent beyond it."),
    ("budget_duration", "String", "The period: 1h, 1d, 7d, 30d, 1mo, daily, weekly, monthly."),
    ("rpm_limit", "Integer", "Requests in a minute."),
    ("tpm_limit", "Integer", "Tokens in a minute."),
    ("max_parallel_requests", "Integer", "Requests at one time."),
    ("model_max_budget", "Object", "A budget for each of some models."),
];

pub(super) fn router() -> Router<Arc<Desk>> {
    Router::new()
        .route("/budget/new", post(make))
        .route("/budget/update", post(update))
        .route("/budget/delete", post(delete))
        .route("/budget/info", post(info))
        .route("/budget/list", get(list))
        .route("/budget/settings", get(settings))
}

fn shown(desk: &Desk, budget: &BudgetRecord) -> Result<Value, Fault> {
    let mut record = Entry::of(budget)?.record;
    let term = spent::term(desk, &budget.allowance, Timestamp::now());
    record["budget_reset_at"] = json!(term.map(|term| term.end.to_string()));
    Ok(record)
}

async fn find(desk: &Desk, id: &str) -> Result<BudgetRecord, Fault> {
    let absent = || Fault::absent("budget_id", format!("Budget not found, passed budget_id={id}"));
    desk.find(id).await?.ok_or_else(absent)
}

/// Reads everything but the id, which stays what it is.
fn read(form: &Form, budget: &mut BudgetRecord) -> Result<(), Fault> {
    let id = budget.allowance.budget_id.take();
    allowance::read(form, &mut budget.allowance)?;
    budget.allowance.budget_id = id;
    allowance::model_budgets(form)?.put(&mut budget.model_max_budget);
    Ok(())
}

/// `POST /budget/new`.
async fn make(
    State(desk): State<Arc<Desk>>,
    operator: Operator,
    form: Form,
) -> Result<Json<Value>, Fault> {
    let mut draft = Draft::by(&desk, &operator).await?;
    let id = form.name("budget_id")?.value().unwrap_or_else(new_id);
    let mut budget = BudgetRecord { history: draft.begin(), ..BudgetRecord::default() };
    budget.allowance.budget_id = Some(id.clone());
    read(&form, &mut budget)?;
    if desk.has(Kind::Budget, &id).await? {
        let message = format!("Budget with id '{id}' already exists.");
        return Err(Fault::conflict(400, "budget_id", message));
    }
    draft.create(&budget)?;
    draft.make(&desk).await?;
    Ok(Json(shown(&desk, &budget)?))
}

/// `POST /budget/update`.
async fn update(
    State(desk): State<Arc<Desk>>,
    operator: Operator,
    form: Form,
) -> Result<Json<Value>, Fault> {
    let mut draft = Draft::by(&desk, &operator).await?;
    let before = find(&desk, &form.required("budget_id")?).await?;
    let mut budget = before.clone();
    read(&form, &mut budget)?;
    draft.touch(&mut budget.history);
    draft.replace("updated", &before, &budget)?;
    draft.make(&desk).await?;
    Ok(Json(shown(&desk, &budget)?))
}

/// Who would be bound by nothing without a budget, in words; `None`: nobody.
async fn users_of(desk: &Desk, id: &str) -> Result<Option<String>, Fault> {
    let is = |allowance: &Allowance| allowance.budget_id.as_deref() == Some(id);
    let members = |team: &Team| team.members.iter().any(|member| is(&member.allowance));
    let counts = [
        ("keys", desk.count(|key: &Key| is(&key.allowance)).await?),
        ("teams", desk.count(|team: &Team| is(&team.allowance) || members(team)).await?),
        ("users", desk.count(|user: &User| is(&user.allowance)).await?),
        ("end users", desk.count(|user: &EndUser| is(&user.allowance)).await?),
        ("organizations", desk.count(|one: &Organisation| is(&one.allowance)).await?),
        ("tags", desk.count(|tag: &Tag| is(&tag.allowance)).await?),
    ];
    let counts = counts.into_iter().filter(|(_, count)| *count > 0);
    let words: Vec<String> = counts.map(|(kind, count)| format!("{count} {kind}")).collect();
    Ok((!words.is_empty()).then(|| words.join(", ")))
}

/// `POST /budget/delete`. Who refers to a budget that is gone is bound by nothing, so LiteLLM's answer to
/// deleting one in use, which opens keys without a word, has to be asked for: `force`.
async fn delete(
    State(desk): State<Arc<Desk>>,
    operator: Operator,
    form: Form,
) -> Result<Json<Value>, Fault> {
    let mut draft = Draft::by(&desk, &operator).await?;
    let id = form.required("id")?;
    let budget = find(&desk, &id).await?;
    if form.flag("force")?.value() != Some(true)
        && let Some(users) = users_of(&desk, &id).await?
    {
        let message = format!(
            "Budget {id} bounds {users}, and nothing would bound them without it. Give them another \
             one, or send \"force\": true."
        );
        return Err(Fault::value("id", message));
    }
    draft.delete(&budget)?;
    draft.make(&desk).await?;
    Ok(Json(shown(&desk, &budget)?))
}

/// `POST /budget/info`: those of the budgets that there are.
async fn info(
    State(desk): State<Arc<Desk>>,
    _: Operator,
    form: Form,
) -> Result<Json<Value>, Fault> {
    let ids = form.texts("budgets")?.value().filter(|ids| !ids.is_empty());
    let missing = || Fault::value("budgets", "Specify list of budget id's to query.".to_owned());
    let mut found = Vec::new();
    for id in ids.ok_or_else(missing)? {
        if let Some(budget) = desk.find::<BudgetRecord>(&id).await? {
            found.push(shown(&desk, &budget)?);
        }
    }
    Ok(Json(Value::Array(found)))
}

/// `GET /budget/list`.
async fn list(State(desk): State<Arc<Desk>>, _: Operator) -> Result<Json<Value>, Fault> {
    let budgets = desk.collect(Filter::default(), |_: &BudgetRecord| true).await?;
    let shown: Result<Vec<Value>, Fault> =
        budgets.iter().map(|budget| shown(&desk, budget)).collect();
    Ok(Json(Value::Array(shown?)))
}

/// `GET /budget/settings`: the fields of a budget, as a form is made of them.
async fn settings(
    State(desk): State<Arc<Desk>>,
    _: Operator,
    Parameters(form): Parameters,
) -> Result<Json<Value>, Fault> {
    let id = form.required("budget_id")?;
    let budget: Option<BudgetRecord> = desk.find(&id).await?;
    let record = budget.as_ref().map(Entry::of).transpose()?.map(|entry| entry.record);
    let record = record.unwrap_or_default();
    let field = |(name, kind, description): &(&str, &str, &str)| {
        json!({
            "field_name": name,
            "field_type": kind,
            "field_description": description,
            "field_value": record[*name],
            "stored_in_db": true,
            "field_default_value": null,
        })
    };
    Ok(Json(FIELDS.iter().map(field).collect()))
}
