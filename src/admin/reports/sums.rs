//! Sums of a time: by key, user, team, model, provider, tag and customer.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value, json};

use super::super::Operator;
use super::super::fault::Fault;
use super::super::form::{Form, Parameters};
use super::super::insight::ProviderBudget;
use super::sight::Part;
use super::{Names, PICO, Reports, dollars, named, span};
use crate::keys::record::{Key, Kind, User};
use crate::keys::{Filter, read};
use crate::spend::{Grouping, Line, Scope, ScopeKind};

/// Entries of a list that does not say how many.
const LISTED: u64 = 100;
/// The most.
const LISTED_MAX: u64 = 1000;

fn limit(form: &Form, default: u64) -> Result<usize, Fault> {
    let limit = form.count("limit")?.value().unwrap_or(default);
    Ok(usize::try_from(limit.min(LISTED_MAX)).unwrap_or_default())
}

/// The dearest first.
fn dearest(mut lines: Vec<Line>, most: usize) -> Vec<Line> {
    lines.sort_by_key(|line| std::cmp::Reverse(line.columns.cost_pico));
    lines.truncate(most);
    lines
}

/// What the caller may see of the last days, or of those that are asked for.
async fn seen(
    reports: &Reports,
    operator: &Operator,
    form: &Form,
    by: Grouping,
) -> Result<Vec<Line>, Fault> {
    let part = reports.sight(operator, Part::asked(form)?).await?;
    reports.report(span::recent(form)?, &[by], &part).await
}

/// `GET /spend/tags`.
pub(super) async fn tags(
    State(reports): State<Arc<Reports>>,
    Parameters(form): Parameters,
) -> Result<Json<Value>, Fault> {
    let lines = by_tag(&reports, &form).await?;
    let shown = lines.iter().map(|line| {
        json!({
            "individual_request_tag": named(line, 0),
            "log_count": line.columns.requests,
            "total_spend": dollars(line.columns.cost_pico),
        })
    });
    Ok(Json(shown.collect()))
}

/// `GET /global/spend/tags`.
pub(super) async fn global_tags(
    State(reports): State<Arc<Reports>>,
    Parameters(form): Parameters,
) -> Result<Json<Value>, Fault> {
    let lines = by_tag(&reports, &form).await?;
    let shown = lines.iter().map(|line| {
        json!({
            "name": named(line, 0),
            "log_count": line.columns.requests,
            "spend": dollars(line.columns.cost_pico),
        })
    });
    Ok(Json(json!({"spend_per_tag": shown.collect::<Vec<_>>()})))
}

/// `GET /global/spend/all_tag_names`.
pub(super) async fn tag_names(State(reports): State<Arc<Reports>>) -> Result<Json<Value>, Fault> {
    let lines = by_tag(&reports, &Form::default()).await?;
    let names: Vec<_> = lines.iter().map(|line| named(line, 0)).collect();
    Ok(Json(json!({"tag_names": names})))
}

async fn by_tag(reports: &Reports, form: &Form) -> Result<Vec<Line>, Fault> {
    let wanted = form.text("tags")?.value().filter(|tags| !tags.is_empty() && tags != "all-tags");
    let wanted: Option<Vec<&str>> = wanted.as_deref().map(|tags| tags.split(',').collect());
    let span = span::recent(form)?;
    let mut lines = reports.report(span, &[Grouping::Tag], &Part::default()).await?;
    if let Some(wanted) = wanted {
        lines.retain(|line| wanted.contains(&named(line, 0)));
    }
    Ok(dearest(lines, limit(form, LISTED_MAX)?))
}

/// `GET /spend/keys`: the records, with what each key has spent.
pub(super) async fn keys(
    State(reports): State<Arc<Reports>>,
    Parameters(form): Parameters,
) -> Result<Json<Value>, Fault> {
    let most = limit(&form, LISTED)?;
    let filter = Filter { limit: LISTED_MAX, ..Filter::default() };
    let keys = reports.directory.list(Kind::Key, &filter).await?;
    let mut keys: Vec<Key> = keys.into_iter().map(read).collect::<Result<_, _>>()?;
    // What a key that was replaced spends is the other one's.
    keys.retain(|key| key.replaced_by.is_none());
    let scopes = keys.iter().map(|key| Scope::new(ScopeKind::Key, key.account().to_string()));
    let shown = with_spend(&reports, scopes.collect(), &keys, most).await?;
    Ok(Json(shown))
}

/// `GET /spend/users`: the same of users, or of one (`user_id`).
pub(super) async fn users(
    State(reports): State<Arc<Reports>>,
    Parameters(form): Parameters,
) -> Result<Json<Value>, Fault> {
    let most = limit(&form, LISTED)?;
    let one = form.filled("user_id")?;
    let users = match &one {
        Some(id) => reports.directory.get(Kind::User, id).await?.into_iter().collect(),
        None => {
            let filter = Filter { limit: LISTED_MAX, ..Filter::default() };
            reports.directory.list(Kind::User, &filter).await?
        }
    };
    let users: Vec<User> = users.into_iter().map(read).collect::<Result<_, _>>()?;
    let scopes = users.iter().map(|user| Scope::new(ScopeKind::User, &*user.user_id));
    let shown = with_spend(&reports, scopes.collect(), &users, most).await?;
    Ok(Json(shown))
}

/// Records with `spend` among their fields, the dearest first.
async fn with_spend<R: serde::Serialize>(
    reports: &Reports,
    scopes: Vec<Scope>,
    records: &[R],
    most: usize,
) -> Result<Value, Fault> {
    let scopes: Vec<_> = scopes.into_iter().map(|scope| (scope, None)).collect();
    let sums = reports.ledger.spent_by(&scopes).await?;
    let mut shown: Vec<(i64, Map<String, Value>)> = Vec::with_capacity(records.len());
    for (record, pico) in records.iter().zip(sums) {
        if let Ok(Value::Object(mut fields)) = serde_json::to_value(record) {
            fields.insert("spend".into(), json!(pico as f64 / PICO));
            shown.push((pico, fields));
        }
    }
    shown.sort_by_key(|(pico, _)| std::cmp::Reverse(*pico));
    Ok(shown.into_iter().take(most).map(|(_, fields)| Value::Object(fields)).collect())
}

/// `GET /global/spend`: of everybody, ever.
pub(super) async fn total(State(reports): State<Arc<Reports>>) -> Result<Json<Value>, Fault> {
    let pico = reports.ledger.spent(&Scope::new(ScopeKind::Proxy, ""), None).await?;
    Ok(Json(json!({"spend": pico as f64 / PICO, "max_budget": reports.source.max_budget()})))
}

/// `GET /global/spend/logs`: by day, of all or of one key.
pub(super) async fn days(
    State(reports): State<Arc<Reports>>,
    operator: Operator,
    Parameters(form): Parameters,
) -> Result<Json<Value>, Fault> {
    let lines = seen(&reports, &operator, &form, Grouping::Day).await?;
    let shown = lines
        .iter()
        .map(|line| json!({"date": named(line, 0), "spend": dollars(line.columns.cost_pico)}));
    Ok(Json(shown.collect()))
}

/// `GET /global/spend/keys`: the dearest keys of the last thirty days.
pub(super) async fn global_keys(
    State(reports): State<Arc<Reports>>,
    operator: Operator,
    Parameters(form): Parameters,
) -> Result<Json<Value>, Fault> {
    let lines = seen(&reports, &operator, &form, Grouping::Key).await?;
    let mut names = Names::default();
    let mut shown = Vec::new();
    for line in dearest(lines, limit(&form, LISTED)?) {
        let hash = named(&line, 0);
        let key = names.key(&reports, hash).await?;
        shown.push(json!({
            "api_key": hash,
            "key_alias": key.and_then(|key| key.key_alias.as_deref()),
            "key_name": key.map(|key| key.key_name.as_str()),
            "total_spend": dollars(line.columns.cost_pico),
        }));
    }
    Ok(Json(Value::Array(shown)))
}

/// `GET /global/spend/models`.
pub(super) async fn models(
    State(reports): State<Arc<Reports>>,
    operator: Operator,
    Parameters(form): Parameters,
) -> Result<Json<Value>, Fault> {
    let lines = seen(&reports, &operator, &form, Grouping::Model).await?;
    let shown = dearest(lines, limit(&form, LISTED)?);
    let shown = shown.iter().map(
        |line| json!({"model": named(line, 0), "total_spend": dollars(line.columns.cost_pico)}),
    );
    Ok(Json(shown.collect()))
}

/// `GET /global/spend/provider`.
pub(super) async fn providers(
    State(reports): State<Arc<Reports>>,
    operator: Operator,
    Parameters(form): Parameters,
) -> Result<Json<Value>, Fault> {
    let lines = seen(&reports, &operator, &form, Grouping::Provider).await?;
    let shown = dearest(lines, usize::MAX);
    let shown = shown
        .iter()
        .map(|line| json!({"provider": named(line, 0), "spend": dollars(line.columns.cost_pico)}));
    Ok(Json(shown.collect()))
}

/// `GET /global/spend/teams`: by day and team.
pub(super) async fn teams(
    State(reports): State<Arc<Reports>>,
    Parameters(form): Parameters,
) -> Result<Json<Value>, Fault> {
    let by = [Grouping::Day, Grouping::Team];
    let lines = reports.report(span::recent(&form)?, &by, &Part::default()).await?;
    let mut names = Names::default();
    // By names, of which several teams may have the same one.
    let mut days = BTreeMap::<String, BTreeMap<String, u64>>::new();
    let mut totals = BTreeMap::<String, u64>::new();
    for line in &lines {
        let id = named(line, 1);
        let alias = names.team(&reports, id).await?.and_then(|team| team.team_alias.clone());
        let name =
            alias.unwrap_or_else(|| if id.is_empty() { "Unassigned".into() } else { id.into() });
        let day = days.entry(named(line, 0).to_owned()).or_default();
        *day.entry(name.clone()).or_default() += line.columns.cost_pico;
        *totals.entry(name).or_default() += line.columns.cost_pico;
    }
    let daily = days.into_iter().map(|(day, teams)| {
        let sums = teams.into_iter().map(|(name, pico)| (name, json!(dollars(pico))));
        let mut shown: Map<String, Value> = sums.collect();
        shown.insert("date".into(), json!(day));
        Value::Object(shown)
    });
    let mut dearest: Vec<_> = totals.iter().collect();
    dearest.sort_by_key(|(_, pico)| std::cmp::Reverse(**pico));
    let sums =
        dearest.iter().map(|(name, pico)| json!({"team_id": name, "total_spend": dollars(**pico)}));
    Ok(Json(json!({
        "daily_spend": daily.collect::<Vec<_>>(),
        "teams": totals.keys().collect::<Vec<_>>(),
        "total_spend_per_team": sums.collect::<Vec<_>>(),
    })))
}

/// `POST /global/spend/end_users`: the dearest customers.
pub(super) async fn end_users(
    State(reports): State<Arc<Reports>>,
    form: Form,
) -> Result<Json<Value>, Fault> {
    if form.filled("api_key")?.is_some() {
        let message = "customers are not summed up by key".to_owned();
        return Err(Fault::value("api_key", message));
    }
    let span = span::between(&form, "startTime", "endTime")?.unwrap_or_else(span::last_days);
    let lines = reports.report(span, &[Grouping::EndUser], &Part::default()).await?;
    let shown = dearest(lines, limit(&form, LISTED)?);
    let shown = shown.iter().map(|line| {
        json!({
            "end_user": named(line, 0),
            "total_count": line.columns.requests,
            "total_spend": dollars(line.columns.cost_pico),
        })
    });
    Ok(Json(shown.collect()))
}

/// `GET /provider/budgets`: what may be spent with each provider, and what was.
pub(super) async fn provider_budgets(
    State(reports): State<Arc<Reports>>,
) -> Result<Json<Value>, Fault> {
    let budgets = reports.source.provider_budgets();
    let scope = |budget: &ProviderBudget| {
        let since = budget.term.map(|term| term.start.as_microsecond());
        (Scope::new(ScopeKind::Provider, Arc::clone(&budget.provider)), since)
    };
    let scopes: Vec<_> = budgets.iter().map(scope).collect();
    let sums = reports.ledger.spent_by(&scopes).await?;
    let mut providers = Map::new();
    for (budget, pico) in budgets.iter().zip(sums) {
        let shown = json!({
            "budget_limit": budget.limit,
            "time_period": budget.period,
            "spend": pico as f64 / PICO,
            "budget_reset_at": budget.term.map(|term| term.end.to_string()),
        });
        providers.insert(budget.provider.to_string(), shown);
    }
    Ok(Json(json!({"providers": providers})))
}
