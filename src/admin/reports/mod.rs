//! What was spent, by whom and on what, with LiteLLM's answers.
//!
//! ```text
//! sight.rs      what of it a caller may see
//! span.rs       the time that is asked for
//! logs.rs       single requests: /spend/logs, /spend/logs/v2
//! sums.rs       sums of a time: /spend/*, /global/spend*
//! report.rs     /global/spend/report
//! activity.rs   by day: /global/activity, /user/daily/activity and the like
//! cost.rs       what a call costs or would cost: /spend/calculate, /cost/estimate
//! audit.rs      who changed what: /audit
//! ```
//!
//! All but single requests is read from daily roll-ups, so an answer takes as long after a year of
//! traffic as on the first day. Days are those of UTC.

mod activity;
mod audit;
mod cost;
mod logs;
mod report;
mod sight;
mod span;
mod sums;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

pub(super) use self::logs::COUNTED_MAX;
pub(super) use self::sight::{Part, hash_of};
use super::Source;
use super::fault::Fault;
use crate::keys::record::{Key, Team, User};
use crate::keys::{Directory, KeyHash, fetch};
use crate::spend::{Columns, Grouping, Ledger, Line, Report, Span};

/// Pico-dollars in a dollar.
const PICO: f64 = 1e12;

/// What the routes work with.
pub(super) struct Reports {
    pub(super) directory: Arc<dyn Directory>,
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) source: Arc<dyn Source>,
}

impl Reports {
    /// Sums over a time of what may be seen.
    async fn report(&self, span: Span, by: &[Grouping], part: &Part) -> Result<Vec<Line>, Fault> {
        let Part { key, user, team } = part.clone();
        let (group, provider, id) = (None, None, None);
        let report = Report { span, by: by.to_vec(), key, user, team, group, provider, id };
        Ok(self.ledger.report(&report).await?)
    }
}

/// Names of those who are known by ids, each looked up once.
#[derive(Default)]
struct Names {
    keys: BTreeMap<String, Option<Key>>,
    teams: BTreeMap<String, Option<Team>>,
    users: BTreeMap<String, Option<User>>,
}

/// How many of a kind are looked up for one answer; the others are shown by their ids.
const LOOKED_UP_MAX: usize = 1000;

impl Names {
    async fn key(&mut self, reports: &Reports, hash: &str) -> Result<Option<&Key>, Fault> {
        if !self.keys.contains_key(hash) && self.keys.len() < LOOKED_UP_MAX {
            let found = match hash.parse::<KeyHash>() {
                Ok(_) => fetch(&*reports.directory, hash).await?,
                Err(_) => None,
            };
            self.keys.insert(hash.to_owned(), found);
        }
        Ok(self.keys.get(hash).and_then(Option::as_ref))
    }

    async fn team(&mut self, reports: &Reports, id: &str) -> Result<Option<&Team>, Fault> {
        if !id.is_empty() && !self.teams.contains_key(id) && self.teams.len() < LOOKED_UP_MAX {
            let found = fetch(&*reports.directory, id).await?;
            self.teams.insert(id.to_owned(), found);
        }
        Ok(self.teams.get(id).and_then(Option::as_ref))
    }

    async fn user(&mut self, reports: &Reports, id: &str) -> Result<Option<&User>, Fault> {
        if !id.is_empty() && !self.users.contains_key(id) && self.users.len() < LOOKED_UP_MAX {
            let found = fetch(&*reports.directory, id).await?;
            self.users.insert(id.to_owned(), found);
        }
        Ok(self.users.get(id).and_then(Option::as_ref))
    }
}

/// For people and clients; sums are kept as integers.
fn dollars(pico: u64) -> f64 {
    pico as f64 / PICO
}

fn add(into: &mut Columns, more: &Columns) {
    into.requests += more.requests;
    into.failures += more.failures;
    into.cache_hits += more.cache_hits;
    into.input_tokens += more.input_tokens;
    into.output_tokens += more.output_tokens;
    into.cache_read_tokens += more.cache_read_tokens;
    into.cache_write_tokens += more.cache_write_tokens;
    into.reasoning_tokens += more.reasoning_tokens;
    into.cost_pico += more.cost_pico;
    into.duration_us += more.duration_us;
}

/// The part of a line's group, which has as many as were asked for.
fn named(line: &Line, at: usize) -> &str {
    line.group.get(at).map(String::as_str).unwrap_or_default()
}

/// The routes.
pub(super) fn router<S: Clone + Send + Sync + 'static>(reports: Arc<Reports>) -> Router<S> {
    Router::new()
        .route("/spend/logs", get(logs::logs))
        .route("/spend/logs/v2", get(logs::paged))
        .route("/spend/tags", get(sums::tags))
        .route("/spend/keys", get(sums::keys))
        .route("/spend/users", get(sums::users))
        .route("/spend/calculate", post(cost::calculate))
        .route("/cost/estimate", post(cost::estimate))
        .route("/global/spend", get(sums::total))
        .route("/global/spend/logs", get(sums::days))
        .route("/global/spend/tags", get(sums::global_tags))
        .route("/global/spend/all_tag_names", get(sums::tag_names))
        .route("/global/spend/keys", get(sums::global_keys))
        .route("/global/spend/models", get(sums::models))
        .route("/global/spend/teams", get(sums::teams))
        .route("/global/spend/provider", get(sums::providers))
        .route("/global/spend/end_users", post(sums::end_users))
        .route("/global/spend/report", get(report::report))
        .route("/global/activity", get(activity::global))
        .route("/global/activity/model", get(activity::by_model))
        .route("/user/daily/activity", get(activity::user))
        .route("/user/daily/activity/aggregated", get(activity::user))
        .route("/team/daily/activity", get(activity::team))
        .route("/organization/daily/activity", get(activity::organisation))
        .route("/tag/daily/activity", get(activity::tag))
        .route("/customer/daily/activity", get(activity::customer))
        .route("/end_user/daily/activity", get(activity::customer))
        .route("/provider/budgets", get(sums::provider_budgets))
        .route("/audit", get(audit::list))
        .with_state(reports)
}
