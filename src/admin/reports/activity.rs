//! Requests, tokens and spend by day, as LiteLLM's dashboard reads them.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use jiff::civil::Date;
use serde_json::{Map, Value, json};

use super::super::Operator;
use super::super::fault::Fault;
use super::super::form::{Form, Parameters};
use super::super::page::Page;
use super::sight::Part;
use super::{Names, Reports, add, dollars, named, span};
use crate::spend::{Columns, Grouping, Line, Span};

/// Days on a page, and the most of them.
const PAGE: (u64, u64) = (1000, 1000);

/// `GET /global/activity`.
pub(super) async fn global(
    State(reports): State<Arc<Reports>>,
    operator: Operator,
    Parameters(form): Parameters,
) -> Result<Json<Value>, Fault> {
    let span = span::required(&form)?;
    let part = reports.sight(&operator, Part::asked(&form)?).await?;
    let lines = reports.report(span, &[Grouping::Day], &part).await?;
    Ok(Json(Value::Object(daily(lines.iter()))))
}

/// `GET /global/activity/model`: the same for each model, the busiest first.
pub(super) async fn by_model(
    State(reports): State<Arc<Reports>>,
    operator: Operator,
    Parameters(form): Parameters,
) -> Result<Json<Value>, Fault> {
    let span = span::required(&form)?;
    let part = reports.sight(&operator, Part::asked(&form)?).await?;
    let lines = reports.report(span, &[Grouping::Day, Grouping::Model], &part).await?;
    let mut models = BTreeMap::<&str, Vec<&Line>>::new();
    for line in &lines {
        models.entry(named(line, 1)).or_default().push(line);
    }
    let requests = |lines: &[&Line]| lines.iter().map(|line| line.columns.requests).sum::<u64>();
    let mut models: Vec<_> = models.into_iter().collect();
    models.sort_by_key(|(_, lines)| std::cmp::Reverse(requests(lines)));
    let shown = models.into_iter().map(|(model, lines)| {
        let mut shown = daily(lines.into_iter());
        shown.insert("model".into(), json!(model));
        Value::Object(shown)
    });
    Ok(Json(shown.collect()))
}

/// Days with their sums, and the sum of all.
fn daily<'l>(lines: impl Iterator<Item = &'l Line>) -> Map<String, Value> {
    let (mut days, mut all) = (Vec::new(), Columns::default());
    for line in lines {
        add(&mut all, &line.columns);
        days.push(json!({
            "date": short(named(line, 0)),
            "api_requests": line.columns.requests,
            "total_tokens": tokens(&line.columns),
        }));
    }
    let fields = [
        ("daily_data", Value::Array(days)),
        ("sum_api_requests", json!(all.requests)),
        ("sum_total_tokens", json!(tokens(&all))),
    ];
    fields.map(|(name, value)| (name.to_owned(), value)).into_iter().collect()
}

/// `Jan 31`, as LiteLLM's charts label it.
fn short(day: &str) -> String {
    day.parse::<Date>().map_or_else(|_| day.to_owned(), |day| day.strftime("%b %d").to_string())
}

const fn tokens(columns: &Columns) -> u64 {
    columns.input_tokens + columns.output_tokens
}

/// `GET /user/daily/activity`.
pub(super) async fn user(
    State(reports): State<Arc<Reports>>,
    operator: Operator,
    Parameters(form): Parameters,
) -> Result<Json<Value>, Fault> {
    let asked = Asked::read(&form)?;
    let part = reports.sight(&operator, Part::asked(&form)?).await?;
    let mut days = Days::default();
    days.read(&reports, asked.span, &part, Some(Grouping::User)).await?;
    days.shown(&reports, &asked, Grouping::User).await
}

/// `GET /team/daily/activity`: of `team_ids`, or of all teams that the caller manages.
pub(super) async fn team(
    State(reports): State<Arc<Reports>>,
    operator: Operator,
    Parameters(form): Parameters,
) -> Result<Json<Value>, Fault> {
    let asked = Asked::read(&form)?;
    let teams = reports.teams(&operator, listed(&form, "team_ids")?).await?;
    let without = listed(&form, "exclude_team_ids")?.unwrap_or_default();
    let key = Part::asked(&form)?.key;
    let mut days = Days::default();
    match teams {
        // Those of all teams are few, or there would be no list of them: each is asked for.
        Some(teams) => {
            for team in teams.into_iter().filter(|team| !without.contains(team)) {
                let part = Part { team: Some(team), key: key.clone(), ..Part::default() };
                days.read(&reports, asked.span, &part, Some(Grouping::Team)).await?;
            }
        }
        None if without.is_empty() => {
            let part = Part { key, ..Part::default() };
            days.read(&reports, asked.span, &part, Some(Grouping::Team)).await?;
        }
        None => {
            let lines = reports.report(asked.span, &[Grouping::Team], &Part::default()).await?;
            for line in lines.iter().filter(|line| !without.iter().any(|it| it == named(line, 0))) {
                let team = Some(named(line, 0).to_owned());
                let part = Part { team, key: key.clone(), ..Part::default() };
                days.read(&reports, asked.span, &part, Some(Grouping::Team)).await?;
            }
        }
    }
    days.shown(&reports, &asked, Grouping::Team).await
}

/// `GET /organization/daily/activity`: of all organisations.
pub(super) async fn organisation(
    State(reports): State<Arc<Reports>>,
    Parameters(form): Parameters,
) -> Result<Json<Value>, Fault> {
    whole(&reports, &form, Grouping::Organisation, "organization_ids").await
}

/// `GET /tag/daily/activity`: of `tags`, or of all.
pub(super) async fn tag(
    State(reports): State<Arc<Reports>>,
    Parameters(form): Parameters,
) -> Result<Json<Value>, Fault> {
    whole(&reports, &form, Grouping::Tag, "tags").await
}

/// `GET /customer/daily/activity`: of `end_user_ids`, or of all.
pub(super) async fn customer(
    State(reports): State<Arc<Reports>>,
    Parameters(form): Parameters,
) -> Result<Json<Value>, Fault> {
    whole(&reports, &form, Grouping::EndUser, "end_user_ids").await
}

/// Those who are summed up by day only: their days are broken down by themselves and by nothing else.
async fn whole(
    reports: &Reports,
    form: &Form,
    by: Grouping,
    names: &str,
) -> Result<Json<Value>, Fault> {
    let asked = Asked::read(form)?;
    let only = listed(form, names)?;
    let mut days = Days::default();
    for line in reports.report(asked.span, &[Grouping::Day, by], &Part::default()).await? {
        if only.as_ref().is_none_or(|only| only.iter().any(|it| it == named(&line, 1))) {
            let day = days.0.entry(named(&line, 0).to_owned()).or_default();
            add(&mut day.all, &line.columns);
            add(day.entities.entry(named(&line, 1).to_owned()).or_default(), &line.columns);
        }
    }
    days.shown(reports, &asked, by).await
}

fn listed(form: &Form, name: &str) -> Result<Option<Vec<String>>, Fault> {
    let text = form.filled(name)?;
    Ok(text.map(|text| text.split(',').map(|part| part.trim().to_owned()).collect()))
}

/// Which days, and which page of them.
struct Asked {
    span: Span,
    page: Page,
}

impl Asked {
    fn read(form: &Form) -> Result<Self, Fault> {
        let span = span::required(form)?;
        let page = Page::read(form, "page_size", PAGE)?;
        if form.filled("model")?.is_some() {
            let message = "days are not narrowed to a model: each has its models' sums".to_owned();
            return Err(Fault::value("model", message));
        }
        Ok(Self { span, page })
    }
}

type Sums = BTreeMap<String, Columns>;

/// A day, and what its sums are made of.
#[derive(Default)]
struct Day {
    all: Columns,
    models: Sums,
    providers: Sums,
    keys: Sums,
    entities: Sums,
}

#[derive(Default)]
struct Days(BTreeMap<String, Day>);

impl Days {
    /// Adds what fits a part.
    async fn read(
        &mut self,
        reports: &Reports,
        span: Span,
        part: &Part,
        entity: Option<Grouping>,
    ) -> Result<(), Fault> {
        let mut by = vec![Grouping::Day, Grouping::Model, Grouping::Provider, Grouping::Key];
        by.extend(entity);
        for line in reports.report(span, &by, part).await? {
            let day = self.0.entry(named(&line, 0).to_owned()).or_default();
            add(&mut day.all, &line.columns);
            let parts = [&mut day.models, &mut day.providers, &mut day.keys, &mut day.entities];
            for (at, sums) in parts.into_iter().enumerate().take(by.len() - 1) {
                add(sums.entry(named(&line, at + 1).to_owned()).or_default(), &line.columns);
            }
        }
        Ok(())
    }

    /// LiteLLM's answer: the newest day first.
    async fn shown(
        &self,
        reports: &Reports,
        asked: &Asked,
        entity: Grouping,
    ) -> Result<Json<Value>, Fault> {
        let mut all = Columns::default();
        self.0.values().for_each(|day| add(&mut all, &day.all));
        let mut names = Names::default();
        let mut results = Vec::new();
        for (date, day) in asked.page.cut(self.0.iter().rev()) {
            let mut keys = Map::new();
            for (hash, columns) in &day.keys {
                let key = names.key(reports, hash).await?;
                let metadata = json!({
                    "key_alias": key.and_then(|key| key.key_alias.as_deref()),
                    "team_id": key.and_then(|key| key.team_id.as_deref()),
                });
                keys.insert(
                    hash.clone(),
                    json!({"metrics": metrics(columns), "metadata": metadata}),
                );
            }
            let mut entities = Map::new();
            for (id, columns) in &day.entities {
                let metadata = match entity {
                    Grouping::Team => {
                        let team = names.team(reports, id).await?;
                        json!({"team_alias": team.and_then(|team| team.team_alias.as_deref())})
                    }
                    Grouping::User => {
                        let user = names.user(reports, id).await?;
                        json!({"user_email": user.and_then(|user| user.user_email.as_deref())})
                    }
                    _ => json!({}),
                };
                entities.insert(id.clone(), part(columns, metadata));
            }
            results.push(json!({
                "date": date,
                "metrics": metrics(&day.all),
                "breakdown": {
                    "models": broken_down(&day.models),
                    "model_groups": broken_down(&day.models),
                    "providers": broken_down(&day.providers),
                    "api_keys": keys,
                    "entities": entities,
                    "mcp_servers": {},
                    "endpoints": {},
                },
            }));
        }
        let total = self.0.len() as u64;
        let pages = asked.page.pages(total).max(1);
        Ok(Json(json!({
            "results": results,
            "metadata": {
                "total_spend": dollars(all.cost_pico),
                "total_prompt_tokens": all.input_tokens,
                "total_completion_tokens": all.output_tokens,
                "total_tokens": tokens(&all),
                "total_api_requests": all.requests,
                "total_successful_requests": all.requests.saturating_sub(all.failures),
                "total_failed_requests": all.failures,
                "total_cache_read_input_tokens": all.cache_read_tokens,
                "total_cache_creation_input_tokens": all.cache_write_tokens,
                "page": asked.page.number,
                "total_pages": pages,
                "has_more": asked.page.number < pages,
            },
        })))
    }
}

fn broken_down(sums: &Sums) -> Map<String, Value> {
    sums.iter().map(|(name, columns)| (name.clone(), part(columns, json!({})))).collect()
}

fn part(columns: &Columns, metadata: Value) -> Value {
    json!({"metrics": metrics(columns), "metadata": metadata, "api_key_breakdown": {}})
}

fn metrics(columns: &Columns) -> Value {
    json!({
        "spend": dollars(columns.cost_pico),
        "prompt_tokens": columns.input_tokens,
        "completion_tokens": columns.output_tokens,
        "cache_read_input_tokens": columns.cache_read_tokens,
        "cache_creation_input_tokens": columns.cache_write_tokens,
        "total_tokens": tokens(columns),
        "successful_requests": columns.requests.saturating_sub(columns.failures),
        "failed_requests": columns.failures,
        "api_requests": columns.requests,
    })
}
