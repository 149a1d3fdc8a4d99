//! Single requests, as LiteLLM's spend log shows them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::super::Operator;
use super::super::fault::Fault;
use super::super::form::Parameters;
use super::super::page::Page;
use super::sight::Part;
use super::{Reports, dollars, named, span};
use crate::keys::fetch;
use crate::keys::record::{Key, Team};
use crate::spend::traffic::LOOKUP;
use crate::spend::{APPLIED_GUARDRAILS, Grouping, Query, SIMILARITY, SpendEvent, Spoken};

/// Rows of an answer that has no pages.
const ROWS: u64 = 100;
/// Rows of a page, and the most of them.
const PAGE: (u64, u64) = (50, 100);
/// Rows that are counted: beyond it, nobody turns page by page.
pub(in super::super) const COUNTED_MAX: u64 = 10_000;

/// By the deployments' ids.
type Addresses = HashMap<Arc<str>, String>;

/// `GET /spend/logs`: with a time, sums by day; else rows, newest first. `summarize=false` shows the
/// rows of a time.
pub(super) async fn logs(
    State(reports): State<Arc<Reports>>,
    operator: Operator,
    Parameters(form): Parameters,
) -> Result<Json<Value>, Fault> {
    let asked = Part::asked(&form)?;
    let span = span::given(&form)?;
    let request_id = form.filled("request_id")?;
    let summarised = form.flag("summarize")?.value().unwrap_or(true);
    if let Some(id) = request_id {
        let found = reports.row(&operator, &id).await?;
        let addresses = reports.addresses(&operator);
        let mut rows: Vec<_> = found.iter().map(|row| shown(row, &addresses)).collect();
        if let (Some(event), Some(row)) = (&found, rows.first_mut())
            && let Some(spoken) = reports.ledger.spoken(&event.request_id).await?
        {
            tell(row, &spoken);
        }
        return Ok(Json(Value::Array(rows)));
    }
    let part = reports.sight(&operator, asked).await?;
    if let (Some(span), true) = (span, summarised) {
        let by = [Grouping::Day, Grouping::Key, Grouping::User, Grouping::Model];
        let mut days = BTreeMap::<String, [BTreeMap<String, u64>; 3]>::new();
        for line in reports.report(span, &by, &part).await? {
            let sums = days.entry(named(&line, 0).to_owned()).or_default();
            for (at, sums) in sums.iter_mut().enumerate() {
                *sums.entry(named(&line, at + 1).to_owned()).or_default() += line.columns.cost_pico;
            }
        }
        return Ok(Json(days.into_iter().map(summary).collect()));
    }
    let query = Query {
        span,
        key: part.key,
        user: part.user,
        team: part.team,
        limit: ROWS,
        ..Query::default()
    };
    let rows = reports.ledger.search(&query).await?;
    let addresses = reports.addresses(&operator);
    Ok(Json(rows.iter().map(|row| shown(row, &addresses)).collect()))
}

/// One day of LiteLLM's summary: the keys' spend stands beside the fields.
fn summary((day, [keys, users, models]): (String, [BTreeMap<String, u64>; 3])) -> Value {
    let total = keys.values().sum();
    let sums = |sums: BTreeMap<String, u64>| -> Map<String, Value> {
        sums.into_iter().map(|(name, pico)| (name, json!(dollars(pico)))).collect()
    };
    let mut fields = sums(keys);
    fields.insert("startTime".into(), json!(day));
    fields.insert("spend".into(), json!(dollars(total)));
    fields.insert("users".into(), Value::Object(sums(users)));
    fields.insert("models".into(), Value::Object(sums(models)));
    Value::Object(fields)
}

impl Reports {
    /// Where deployments are called: may be within the operators' network, so it is for those who see
    /// everything. Of deployments that are gone it is not known.
    fn addresses(&self, operator: &Operator) -> Addresses {
        if operator.sees_all() { self.source.addresses() } else { Addresses::new() }
    }

    /// A page of rows, and how many there are in all, of which [`COUNTED_MAX`] are counted. A page that is not
    /// full says so itself: what fits hardly any row is looked for in all of them, and once is enough.
    pub(in super::super) async fn found(
        &self,
        query: &Query,
    ) -> Result<(Vec<SpendEvent>, u64), Fault> {
        let rows = self.ledger.search(query).await?;
        let found = rows.len() as u64;
        let is_last = found < query.limit && (found > 0 || query.skip == 0);
        let total = match is_last {
            true => (query.skip + found).min(COUNTED_MAX),
            false => self.ledger.count_found(query, COUNTED_MAX).await?,
        };
        Ok((rows, total))
    }

    /// The row of one request, if the caller may see it.
    pub(in super::super) async fn row(
        &self,
        operator: &Operator,
        id: &str,
    ) -> Result<Option<SpendEvent>, Fault> {
        let query = Query { request_id: Some(id.to_owned()), limit: 1, ..Query::default() };
        let Some(event) = self.ledger.search(&query).await?.pop() else { return Ok(None) };
        if operator.sees_all() || Some(&*event.key) == operator.key_hash() {
            return Ok(Some(event));
        }
        let user = event.user.as_deref();
        if user.is_some() && user == operator.user_id() {
            return Ok(Some(event));
        }
        // Who sees a key's spend sees its requests.
        let key = fetch::<Key>(&*self.directory, &event.key).await?;
        let team = event.team.as_deref().or_else(|| key.as_ref()?.team_id.as_deref());
        let Some(team) = team else { return Ok(None) };
        let team = fetch::<Team>(&*self.directory, team).await?;
        Ok(team.is_some_and(|team| operator.runs(&team)).then_some(event))
    }
}

/// `GET /spend/logs/v2`: a page of the rows of a time, newest first.
pub(super) async fn paged(
    State(reports): State<Arc<Reports>>,
    operator: Operator,
    Parameters(form): Parameters,
) -> Result<Json<Value>, Fault> {
    let span = span::required(&form)?;
    let text = |name| form.filled(name);
    let page = Page::read(&form, "page_size", PAGE)?;
    let failed = match text("status_filter")?.as_deref() {
        None => None,
        Some("success") => Some(false),
        Some("failure") => Some(true),
        Some(_) => {
            let message = "status_filter must be success or failure".to_owned();
            return Err(Fault::value("status_filter", message));
        }
    };
    let pico = |name: &str| -> Result<Option<u64>, Fault> {
        let given = form.dollars(name)?.value();
        Ok(given.map(|dollars| (dollars * super::PICO).round() as u64))
    };
    let part = reports.sight(&operator, Part::asked(&form)?).await?;
    let query = Query {
        span: Some(span),
        request_id: text("request_id")?,
        key: part.key,
        user: part.user,
        team: part.team,
        end_user: text("end_user")?,
        group: text("model")?.or(text("model_group")?),
        tag: text("tag")?,
        failed,
        min_cost_pico: pico("min_spend")?,
        max_cost_pico: pico("max_spend")?,
        skip: page.skip(),
        limit: page.size,
        ..Query::default()
    };
    let (rows, total) = reports.found(&query).await?;
    let addresses = reports.addresses(&operator);
    Ok(Json(json!({
        "data": rows.iter().map(|row| shown(row, &addresses)).collect::<Vec<_>>(),
        "total": total,
        "page": page.number,
        "page_size": page.size,
        "total_pages": page.pages(total),
    })))
}

/// Puts what was said into a row.
fn tell(row: &mut Value, spoken: &Spoken) {
    let read = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| json!({}));
    let request: Value = read(&spoken.request);
    let said =
        ["messages", "input", "contents", "prompt"].iter().find_map(|name| request.get(name));
    row["messages"] = said.cloned().unwrap_or_else(|| json!({}));
    row["proxy_server_request"] = request;
    row["response"] = spoken.reply.as_deref().map_or_else(|| json!({}), read);
}

/// A row in LiteLLM's words.
fn shown(event: &SpendEvent, addresses: &Addresses) -> Value {
    let api_base = event.deployment.as_deref().and_then(|id| addresses.get(id));
    let at = |us: i64| Timestamp::from_microsecond(us).ok().map(|at| at.to_string());
    let ends = event.started_us.saturating_add(event.duration_us);
    let first = event.first_token_us.map(|us| event.started_us.saturating_add(us));
    let metadata = event.metadata.as_deref().and_then(|text| serde_json::from_str(text).ok());
    let mut metadata: Option<Value> = metadata;
    let mut taken = |mark: &str| metadata.as_mut()?.as_object_mut()?.remove(mark);
    let (guardrails, similarity) = (taken(APPLIED_GUARDRAILS), taken(SIMILARITY));
    // There was nothing but the marks.
    let is_marked = guardrails.is_some() || similarity.is_some();
    let metadata = metadata.filter(|it| !is_marked || *it != json!({}));
    let usage = &event.usage;
    let metadata = json!({
        "user_api_key_alias": event.key_alias,
        "user_api_key_user_id": event.user,
        "user_api_key_team_id": event.team,
        "user_api_key_org_id": event.organisation,
        "status_code": event.status,
        "error_class": event.error,
        "stream": event.stream,
        "client_gone": event.client_gone,
        "requested_model": event.model,
        "attempted_retries": event.retries,
        "attempted_fallbacks": event.fallbacks,
        "usage_object": usage,
        "spend_logs_metadata": metadata,
        "applied_guardrails": guardrails.unwrap_or_else(|| json!([])),
        "semantic_similarity": similarity,
        "saved_cache_cost": dollars(event.saved_pico),
        "saved_cache_tokens": event.saved_tokens,
    });
    json!({
        "request_id": event.request_id,
        "call_type": call_type(&event.route),
        "api_key": event.key,
        "spend": dollars(event.cost_pico),
        "total_tokens": usage.total_tokens(),
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "startTime": at(event.started_us),
        "endTime": at(ends),
        "completionStartTime": first.and_then(at),
        "request_duration_ms": event.duration_us / 1000,
        "model": event.upstream_model.as_ref().unwrap_or(&event.model),
        "model_id": event.deployment,
        "model_group": event.group,
        "custom_llm_provider": event.provider,
        "api_base": api_base.map_or("", String::as_str),
        "user": event.user,
        "team_id": event.team,
        "organization_id": event.organisation,
        "end_user": event.end_user,
        "request_tags": event.tags,
        "requester_ip_address": event.client_ip,
        "session_id": event.session,
        "cache_hit": if event.cache_hit { "True" } else { "False" },
        "cache_key": event.cache_key,
        "status": if event.status >= 400 { "failure" } else { "success" },
        "litellm_call_id": event.request_id,
        // What was said is told of a single row, if it is kept.
        "messages": {},
        "proxy_server_request": {},
        "response": {},
        "metadata": metadata,
    })
}

/// LiteLLM's name of a call, by its path.
fn call_type(route: &str) -> &'static str {
    let route = route.trim_end_matches('/');
    let ends = |part: &str| route.ends_with(part);
    match () {
        () if ends("/chat/completions") => "acompletion",
        () if ends("/completions") => "atext_completion",
        () if ends("/embeddings") || route == LOOKUP => "aembedding",
        () if ends("/messages") => "anthropic_messages",
        () if ends("/responses") => "aresponses",
        () if ends("/images/generations") => "aimage_generation",
        () if ends("/images/edits") => "aimage_edit",
        () if ends("/images/variations") => "aimage_variation",
        () if ends("/audio/transcriptions") || ends("/audio/translations") => "atranscription",
        () if ends("/audio/speech") => "aspeech",
        () if ends("/moderations") => "amoderation",
        () if ends("/rerank") => "arerank",
        () if ends("/realtime") => "_arealtime",
        () if ends("/messages/count_tokens") => "acount_tokens",
        () if route.contains(":streamGenerateContent") => "agenerate_content_stream",
        () if route.contains(":generateContent") => "agenerate_content",
        () => "pass_through_endpoint",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_has_litellms_name() {
        for (route, name) in [
            ("/v1/chat/completions", "acompletion"),
            ("/openai/deployments/gpt/completions/", "atext_completion"),
            ("/v1/messages", "anthropic_messages"),
            ("/v1/messages/count_tokens", "acount_tokens"),
            ("/v1/audio/translations", "atranscription"),
            ("/v1beta/models/gemini:streamGenerateContent", "agenerate_content_stream"),
            (LOOKUP, "aembedding"),
            ("/bedrock/model/x/invoke", "pass_through_endpoint"),
        ] {
            assert_eq!(call_type(route), name, "{route}");
        }
    }
}
