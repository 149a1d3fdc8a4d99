//! `GET /global/spend/report`: a time by day, and by team, customer, key or user.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::super::Operator;
use super::super::fault::Fault;
use super::super::form::Parameters;
use super::sight::Part;
use super::{Names, Reports, add, dollars, named, span};
use crate::spend::{Columns, Grouping, Line, Span};

pub(super) async fn report(
    State(reports): State<Arc<Reports>>,
    operator: Operator,
    Parameters(form): Parameters,
) -> Result<Json<Value>, Fault> {
    let span = span::required(&form)?;
    let asked = Part::asked(&form)?;
    let group_by = form.filled("group_by")?;
    let customer = form.filled("customer_id")?;
    // Whose report it is says what is asked for, as in LiteLLM.
    let group_by = match group_by.as_deref() {
        Some(group_by) => group_by,
        None if asked.key.is_some() => "api_key",
        None if asked.user.is_some() => "internal_user_id",
        None if customer.is_some() => "customer",
        None => "team",
    };
    match group_by {
        "team" => {
            let teams = asked.team.clone().map(|team| vec![team]);
            let teams = reports.teams(&operator, teams).await?;
            by_team(&reports, span, teams).await
        }
        "customer" | "end_user" if operator.sees_all() => {
            by_customer(&reports, span, customer.as_deref()).await
        }
        "customer" | "end_user" => {
            Err(Fault::forbidden("The spend of customers is not yours to see".to_owned()))
        }
        "api_key" => {
            let part = reports.sight(&operator, asked).await?;
            detailed(&reports, span, &part, Grouping::Key, "api_key").await
        }
        "internal_user_id" => {
            let part = reports.sight(&operator, asked).await?;
            detailed(&reports, span, &part, Grouping::User, "user_id").await
        }
        _ => {
            let known = "group_by must be team, customer, api_key or internal_user_id".to_owned();
            Err(Fault::value("group_by", known))
        }
    }
}

/// Midnight of a day, as LiteLLM writes it.
fn midnight(day: &str) -> String {
    format!("{day}T00:00:00+00:00")
}

async fn by_team(
    reports: &Reports,
    span: Span,
    teams: Option<Vec<String>>,
) -> Result<Json<Value>, Fault> {
    let by = [Grouping::Day, Grouping::Team, Grouping::Model, Grouping::Key];
    let lines = match teams {
        None => reports.report(span, &by, &Part::default()).await?,
        Some(teams) => {
            let mut lines = Vec::new();
            for team in teams {
                let part = Part { team: Some(team), ..Part::default() };
                lines.extend(reports.report(span, &by, &part).await?);
            }
            lines
        }
    };
    let mut names = Names::default();
    let mut days = BTreeMap::<&str, BTreeMap<&str, (u64, Vec<Value>)>>::new();
    for line in &lines {
        let (pico, details) =
            days.entry(named(line, 0)).or_default().entry(named(line, 1)).or_default();
        *pico += line.columns.cost_pico;
        details.push(json!({
            "model": named(line, 2),
            "api_key": named(line, 3),
            "spend": dollars(line.columns.cost_pico),
            "total_tokens": line.columns.input_tokens + line.columns.output_tokens,
        }));
    }
    let mut shown = Vec::with_capacity(days.len());
    for (day, teams) in days {
        let mut of_day = Vec::with_capacity(teams.len());
        for (id, (pico, details)) in teams {
            let alias = names.team(reports, id).await?.and_then(|team| team.team_alias.clone());
            of_day.push(json!({
                "team_name": alias.unwrap_or_else(|| id.to_owned()),
                "team_id": id,
                "total_spend": dollars(pico),
                "metadata": details,
            }));
        }
        shown.push(json!({"group_by_day": midnight(day), "teams": of_day}));
    }
    Ok(Json(Value::Array(shown)))
}

/// Customers are very many, so they are not summed up by model: `metadata` is empty.
async fn by_customer(
    reports: &Reports,
    span: Span,
    only: Option<&str>,
) -> Result<Json<Value>, Fault> {
    let by = [Grouping::Day, Grouping::EndUser];
    let mut lines = reports.report(span, &by, &Part::default()).await?;
    if let Some(only) = only {
        lines.retain(|line| named(line, 1) == only);
    }
    let mut days = BTreeMap::<&str, Vec<Value>>::new();
    for line in &lines {
        days.entry(named(line, 0)).or_default().push(json!({
            "customer": named(line, 1),
            "total_spend": dollars(line.columns.cost_pico),
            "metadata": [],
        }));
    }
    let shown = days
        .into_iter()
        .map(|(day, customers)| json!({"group_by_day": midnight(day), "customers": customers}));
    Ok(Json(shown.collect()))
}

async fn detailed(
    reports: &Reports,
    span: Span,
    part: &Part,
    whose: Grouping,
    field: &str,
) -> Result<Json<Value>, Fault> {
    let lines = reports.report(span, &[whose, Grouping::Model], part).await?;
    let mut all = BTreeMap::<&str, (Columns, Vec<&Line>)>::new();
    for line in &lines {
        let (sum, models) = all.entry(named(line, 0)).or_default();
        add(sum, &line.columns);
        models.push(line);
    }
    let cost = |columns: &Columns| {
        json!({
            "total_cost": dollars(columns.cost_pico),
            "total_input_tokens": columns.input_tokens,
            "total_output_tokens": columns.output_tokens,
        })
    };
    let shown = all.into_iter().map(|(who, (sum, models))| {
        let models = models.into_iter().map(|line| {
            let mut model = cost(&line.columns);
            model["model"] = json!(named(line, 1));
            model
        });
        let models: Vec<Value> = models.collect();
        let mut shown = cost(&sum);
        shown[field] = json!(who);
        shown["model_details"] = Value::Array(models);
        shown
    });
    Ok(Json(shown.collect()))
}
