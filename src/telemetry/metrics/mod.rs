//! The numbers that Prometheus scrapes.
//!
//! [`names`] is the list of them. [`Metrics::request`] is called once for each request, when it is
//! over; [`Metrics::render`] writes the page. Label values come from the configuration or from
//! closed lists in the code; what a client sends never becomes one, except the model names that a
//! wildcard lets through, once a provider has answered to them, and of those only
//! [`WILDCARD_MODELS_MAX`].

mod custom;
mod families;
pub mod names;
mod scrape;
mod series;
mod shown;
mod status;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::{Mutex, RwLock};
use prometheus::{IntCounter, IntGauge, Registry, TextEncoder};
use rustc_hash::FxHashSet;

use self::families::Families;
pub use self::scrape::{DeploymentState, Scrape};
use self::series::{DeploymentSeries, KeyLabels, OTHER, RequestSeries, Table};
use super::live::Live;
use super::record::{Attempt, CacheUse, Outcome, RequestRecord, Route};
use super::traces;
use crate::catalog::Served;
use crate::keys::{KeyHash, Principal};
use crate::snapshot::Shown;

/// The most models behind wildcards that get a label value of their own.
const WILDCARD_MODELS_MAX: usize = 500;
/// The most keys that get label values of their own.
const KEYS_MAX: usize = 1_000;
/// The most teams that have them for keys that do not.
const TEAMS_MAX: usize = 1_000;
/// One for each class of failure, success and cancelled, with room to spare.
const OUTCOMES_MAX: usize = 32;

type ShownBy = Box<dyn Fn() -> Arc<Shown> + Send + Sync>;
type Scraper = Box<dyn Fn(&mut Scrape) + Send + Sync>;

/// All metrics of the process.
pub struct Metrics {
    registry: Registry,
    families: Families,
    requests: Table<RequestSeries, 11>,
    custom: custom::Values,
    deployments: Table<DeploymentSeries, 5>,
    attempts: [OnceLock<IntCounter>; OUTCOMES_MAX],
    wildcard_models: RwLock<FxHashSet<Arc<str>>>,
    keys: RwLock<FxHashSet<KeyHash>>,
    teams: RwLock<FxHashSet<Box<str>>>,
    scrapers: Mutex<Vec<Scraper>>,
    live: Arc<Live>,
    shown: OnceLock<ShownBy>,
}

impl Metrics {
    /// All at zero. `started` is when the process did.
    #[must_use]
    pub fn new(version: &str, started: SystemTime) -> Self {
        let registry = Registry::new();
        let families = Families::new(&registry);
        families.build_info.with_label_values(&[version]).set(1);
        families.process_start.set(unix_seconds(started));
        families.config_reload_ok.set(1);
        families.config_loaded.set(unix_seconds(started));
        families.config_reloaded.set(unix_seconds(started));
        for result in [ReloadResult::Success, ReloadResult::Unchanged, ReloadResult::Failure] {
            families.config_reloads.with_label_values(&[result.name()]);
        }
        Self {
            registry,
            families,
            requests: Table::new(),
            custom: custom::Values::default(),
            deployments: Table::new(),
            attempts: [const { OnceLock::new() }; OUTCOMES_MAX],
            wildcard_models: RwLock::default(),
            keys: RwLock::default(),
            teams: RwLock::default(),
            scrapers: Mutex::default(),
            live: Arc::default(),
            shown: OnceLock::new(),
        }
    }

    /// Counts a request that is over.
    pub fn request(&self, record: &RequestRecord) {
        self.live.see(record);
        if !matches!(record.route, Route::Inference(..)) {
            let labels = [record.route.name(), status::label(record.status)];
            self.families.other_requests.with_label_values(&labels).inc();
            return;
        }
        self.inference(record);
        let output_tokens = record.usage.map(|usage| usage.output_tokens);
        for attempt in &record.attempts {
            self.attempt(attempt, output_tokens);
        }
        self.families.received_bytes.inc_by(record.bytes_in);
        self.families.sent_bytes.inc_by(record.bytes_out);
        if record.client.disconnected {
            self.families.client_disconnects.inc();
        }
        if record.usage.is_some_and(|usage| usage.estimated) {
            self.families.estimated_usage.inc();
        }
        if let Some(cache) = &record.cache {
            self.cache(record, cache);
        }
        if record.failed() {
            self.failure(record);
        }
        if record.fallbacks > 0 {
            self.fallback(record);
        }
    }

    /// Counts a copy of a request: its attempts are real, the request is not a client's.
    pub fn shadow(&self, record: &RequestRecord) {
        let outcome = if record.failed() { "failure" } else { "success" };
        self.families.shadow_requests.with_label_values(&[outcome]).inc();
        let output_tokens = record.usage.map(|usage| usage.output_tokens);
        for attempt in &record.attempts {
            self.attempt(attempt, output_tokens);
        }
    }

    /// Counts a copy that was not sent: too many are in flight, or its group rests.
    pub fn shadow_left_out(&self) {
        self.families.shadow_requests.with_label_values(&["left_out"]).inc();
    }

    /// Counts a vector that the cache asked for, as it counts a copy.
    pub fn embedding(&self, record: &RequestRecord) {
        let outcome = if record.failed() { "failure" } else { "success" };
        self.families.cache_embeddings.with_label_values(&[outcome]).inc();
        for attempt in &record.attempts {
            self.attempt(attempt, None);
        }
    }

    /// Counts a vector that was not asked for: nobody could be, or lately nobody answered.
    pub fn embedding_left_out(&self) {
        self.families.cache_embeddings.with_label_values(&["left_out"]).inc();
    }

    /// Counts something that was to be fetched by its URL.
    pub fn fetch(&self, outcome: &'static str) {
        self.families.fetches.with_label_values(&[outcome]).inc();
    }

    /// Counts that a guardrail has looked: at which moment, and why nothing goes on because of it.
    pub fn guardrail(&self, name: &str, hook: &str, error: Option<&str>, took: Duration) {
        let status = if error.is_some() { "error" } else { "success" };
        self.families.guardrail_requests.with_label_values(&[name, status, hook]).inc();
        if let Some(error) = error {
            self.families.guardrail_errors.with_label_values(&[name, error, hook]).inc();
        }
        let labels = [name, status, error.unwrap_or("none"), hook];
        self.families.guardrail_latency.with_label_values(&labels).observe(took.as_secs_f64());
    }

    fn inference(&self, record: &RequestRecord) {
        let custom = self.custom.joined(&record.labels);
        let served = record.served.as_ref();
        let [hash, alias, team, team_alias, user] = self.key_labels(record);
        let labels = [
            group_label(record),
            served.map_or("", |served| self.model_label(served, record.failed())),
            served.map_or("", |served| &*served.deployment.id),
            served.map_or("", |served| &*served.deployment.provider),
            record.route.name(),
            hash,
            alias,
            team,
            team_alias,
            user,
            &custom,
        ];
        self.requests.with(
            labels,
            &self.families.series_overflow,
            |labels| RequestSeries::new(&self.families, labels),
            |series, labels| series.record(&self.families, labels, record),
        );
    }

    fn cache(&self, record: &RequestRecord, used: &CacheUse) {
        let served = record.served.as_ref();
        let model = served.map_or("", |served| self.model_label(served, record.failed()));
        let [hash, alias, team, team_alias, user] = self.key_labels(record);
        let labels = [group_label(record), model, hash, alias, team, team_alias, user];
        match used {
            CacheUse::Miss => self.families.cache_misses.with_label_values(&labels).inc(),
            CacheUse::Hit { tokens, saved, similarity, .. } => {
                if similarity.is_some() {
                    self.families.cache_near_hits.with_label_values(&labels).inc();
                }
                self.families.cache_hits.with_label_values(&labels).inc();
                self.families.cache_tokens.with_label_values(&labels).inc_by(*tokens);
                self.families.cache_saved.with_label_values(&labels).inc_by(saved.dollars());
            }
        }
    }

    fn attempt(&self, attempt: &Attempt, output_tokens: Option<u64>) {
        let place = match attempt.outcome {
            Outcome::Success => 0,
            Outcome::Cancelled => 1,
            Outcome::Failed(class) => 2 + class as usize,
        };
        if let Some(counter) = self.attempts.get(place) {
            let name = attempt.outcome.name();
            counter.get_or_init(|| self.families.attempts.with_label_values(&[name])).inc();
        }
        let deployment = &attempt.deployment;
        let labels = [
            &*attempt.group,
            &*deployment.model,
            &*deployment.id,
            &*deployment.target.api_base,
            &*deployment.provider,
        ];
        self.deployments.with(
            labels,
            &self.families.series_overflow,
            |labels| DeploymentSeries::new(&self.families, labels),
            |series, labels| series.record(&self.families, labels, attempt, output_tokens),
        );
    }

    fn failure(&self, record: &RequestRecord) {
        let class = record.error.as_ref().map_or("unknown", |error| error.class);
        let [hash, alias, team, team_alias, user] = self.key_labels(record);
        let labels = [
            group_label(record),
            hash,
            alias,
            team,
            team_alias,
            user,
            record.route.name(),
            status::label(record.status),
            class,
        ];
        self.families.failed_requests.with_label_values(&labels).inc();
    }

    /// The labels name the group that answered, or the last one that was tried, and the last
    /// failure that made it necessary.
    fn fallback(&self, record: &RequestRecord) {
        let last_tried = record.attempts.last().map_or(OTHER, |attempt| &*attempt.group);
        let group = record.served.as_ref().map_or(last_tried, |served| &*served.group);
        let cause = record.attempts.iter().rev().find_map(|attempt| match attempt.outcome {
            Outcome::Failed(_) => Some((attempt.status, attempt.outcome.name())),
            Outcome::Success | Outcome::Cancelled => None,
        });
        let (status, class) = cause.unwrap_or((None, "unknown"));
        let family = if record.failed() {
            &self.families.failed_fallbacks
        } else {
            &self.families.successful_fallbacks
        };
        let status = status::label_or_none(status);
        let [hash, alias, team, team_alias, user] = self.key_labels(record);
        let labels =
            [group_label(record), group, hash, alias, team, team_alias, user, status, class];
        family.with_label_values(&labels).inc();
    }

    /// The upstream model as a label value. One that a client put in the place of a `*` is shown
    /// only after a success, so that invented names cannot use up the bound.
    fn model_label<'a>(&self, served: &'a Served, failed: bool) -> &'a str {
        let configured = &*served.deployment.model;
        if !configured.contains('*') {
            return &served.model;
        }
        {
            let known = self.wildcard_models.read();
            if known.contains(&served.model) {
                return &served.model;
            }
            if failed || known.len() >= WILDCARD_MODELS_MAX {
                return configured;
            }
        }
        let mut known = self.wildcard_models.write();
        if known.len() >= WILDCARD_MODELS_MAX && !known.contains(&served.model) {
            return configured;
        }
        known.insert(Arc::clone(&served.model));
        &served.model
    }

    /// The labels of the key. Those of keys beyond the bound are `other`, so that the totals of groups
    /// and deployments stay whole; so do those of teams, of which there are far fewer.
    fn key_labels<'a>(&self, record: &'a RequestRecord) -> KeyLabels<'a> {
        let Some(holder) = record.client.holder() else { return [""; 5] };
        let hash = holder.key.token;
        if !self.keys.read().contains(&hash) {
            let mut known = self.keys.write();
            if known.len() >= KEYS_MAX && !known.contains(&hash) {
                drop(known);
                let [team, team_alias] = self.team_labels(holder);
                return [OTHER, OTHER, team, team_alias, OTHER];
            }
            known.insert(hash);
        }
        [
            holder.hash(),
            holder.key.key_alias.as_deref().unwrap_or_default(),
            holder.team_id().unwrap_or_default(),
            holder.team_alias().unwrap_or_default(),
            holder.user_id().unwrap_or_default(),
        ]
    }

    /// The labels of the team of a key that has none of its own.
    fn team_labels<'a>(&self, holder: &'a Principal) -> [&'a str; 2] {
        let team = holder.team_id().unwrap_or_default();
        if !self.teams.read().contains(team) {
            let mut known = self.teams.write();
            if known.len() >= TEAMS_MAX && !known.contains(team) {
                return [OTHER; 2];
            }
            known.insert(team.into());
        }
        [team, holder.team_alias().unwrap_or_default()]
    }

    /// Counts an inference request as being served until the guard is dropped.
    #[must_use]
    pub fn in_flight(&self) -> Counted {
        Counted::new(&self.families.in_flight)
    }

    /// How many streamed replies are open.
    #[must_use]
    pub fn streams_open(&self) -> u64 {
        u64::try_from(self.families.open_streams.get()).unwrap_or(0)
    }

    /// Requests as they end.
    #[must_use]
    pub const fn live(&self) -> &Arc<Live> {
        &self.live
    }

    /// How many inference requests are being served, for whoever waits until none is.
    #[must_use]
    pub fn requests_in_flight(&self) -> u64 {
        u64::try_from(self.families.in_flight.get()).unwrap_or(0)
    }

    /// Counts an inference request as waiting until the guard is dropped.
    #[must_use]
    pub fn queued(&self) -> Counted {
        Counted::new(&self.families.queued)
    }

    /// Counts a streamed reply as open until the guard is dropped.
    #[must_use]
    pub fn open_stream(&self) -> Counted {
        Counted::new(&self.families.open_streams)
    }

    /// Counts a reload of the configuration.
    pub fn reloaded(&self, result: ReloadResult, at: SystemTime) {
        self.families.config_reloads.with_label_values(&[result.name()]).inc();
        self.families.config_reloaded.set(unix_seconds(at));
        let failed = matches!(result, ReloadResult::Failure);
        self.families.config_reload_ok.set((!failed).into());
        if !failed {
            self.families.config_loaded.set(unix_seconds(at));
        }
    }

    /// The counter of lost access-log lines, for the log to count on.
    #[must_use]
    pub fn access_log_dropped(&self) -> IntCounter {
        self.families.access_log_dropped.clone()
    }

    /// The counters of traces, for their queue to count on.
    #[must_use]
    pub fn traces(&self) -> traces::Counts {
        let of = |result| self.families.traces.with_label_values(&[result]);
        traces::Counts { exported: of("exported"), dropped: of("dropped"), failed: of("failed") }
    }

    /// Adds a source of values that are computed at each scrape, such as the states of
    /// deployments. It is called with a lock held: it must not call back into the metrics.
    pub fn on_scrape(&self, scraper: impl Fn(&mut Scrape) + Send + Sync + 'static) {
        self.scrapers.lock().push(Box::new(scraper));
    }

    /// Says what of the page is served; asked at each scrape. Until then it is all of it.
    pub fn shown_by(&self, shown: impl Fn() -> Arc<Shown> + Send + Sync + 'static) {
        // Whoever was first goes on being asked: there is one configuration.
        self.shown.set(Box::new(shown)).ok();
    }

    /// The page in Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> String {
        let mut scrape = Scrape::new();
        scrape.process();
        for scraper in &*self.scrapers.lock() {
            scraper(&mut scrape);
        }
        let mut families = self.registry.gather();
        custom::take_apart(&mut families);
        families.extend(scrape.into_families());
        if let Some(shown) = self.shown.get() {
            families = shown::apply(&shown(), families);
        }
        families.sort_by(|a, b| a.name().cmp(b.name()));
        TextEncoder::new().encode_to_string(&families).unwrap_or_else(|error| {
            // Only an empty family can fail, and the registry leaves those out.
            format!("# {error}\n")
        })
    }

    /// The media type of [`Self::render`].
    pub const CONTENT_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";
}

/// What became of a reload of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReloadResult {
    Success,
    /// The file says what was in force before.
    Unchanged,
    Failure,
}

impl ReloadResult {
    /// The word in metrics.
    const fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Unchanged => "unchanged",
            Self::Failure => "failure",
        }
    }
}

fn unix_seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// One on a gauge, given back when dropped, also by a panic.
#[derive(Debug)]
pub struct Counted(IntGauge);

impl Counted {
    fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn group_label(record: &RequestRecord) -> &str {
    record.group_asked.as_deref().unwrap_or(OTHER)
}

#[cfg(test)]
mod tests;
