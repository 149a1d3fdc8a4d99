//! The children of the families that one request touches, resolved once and kept together.
//!
//! Looking a child up by its labels costs the `prometheus` crate a hash and a lock for each of a
//! dozen families. Here one lookup finds all of them, and the rest of a record is atomic adds.

use std::hash::BuildHasher;
use std::sync::OnceLock;

use hashbrown::HashTable;
use parking_lot::RwLock;
use prometheus::{Counter, Histogram, IntCounter, IntGauge};
use rustc_hash::FxBuildHasher;

use super::families::Families;
use super::status;
use crate::telemetry::record::{Attempt, Outcome, RequestRecord};
use crate::usage::Units;

/// The most label sets of one table. Configured names times statuses stay far below it; it bounds
/// what reloads and, with virtual keys, aliases can add in the life of a process.
const TABLE_MAX: usize = 20_000;

/// The value of a label that would be one too many, or that is not a configured name.
pub(super) const OTHER: &str = "other";

/// Series by their labels. Entries are never removed: a counter that vanished and came back would
/// read as a reset.
pub(super) struct Table<S, const N: usize> {
    entries: RwLock<HashTable<Entry<S, N>>>,
    overflow: OnceLock<S>,
}

struct Entry<S, const N: usize> {
    hash: u64,
    labels: [Box<str>; N],
    series: S,
}

impl<S, const N: usize> Table<S, N> {
    pub(super) const fn new() -> Self {
        Self { entries: RwLock::new(HashTable::new()), overflow: OnceLock::new() }
    }

    /// Calls `record` with the series of these labels, made by `make` the first time. Beyond
    /// [`TABLE_MAX`] that is one series whose labels are all `other`; `record` gets the labels that
    /// hold, and `overflowed` is counted.
    pub(super) fn with(
        &self,
        labels: [&str; N],
        overflowed: &IntCounter,
        make: impl Fn([&str; N]) -> S,
        record: impl FnOnce(&S, [&str; N]),
    ) {
        let hash = FxBuildHasher.hash_one(labels);
        let same = |entry: &Entry<S, N>| {
            entry.hash == hash && entry.labels.iter().zip(labels).all(|(a, b)| &**a == b)
        };
        if let Some(entry) = self.entries.read().find(hash, same) {
            return record(&entry.series, labels);
        }
        let mut entries = self.entries.write();
        if entries.len() >= TABLE_MAX && entries.find(hash, same).is_none() {
            overflowed.inc();
            let labels = [OTHER; N];
            return record(self.overflow.get_or_init(|| make(labels)), labels);
        }
        let entry = entries.entry(hash, same, |entry| entry.hash).or_insert_with(|| Entry {
            hash,
            labels: labels.map(Box::from),
            series: make(labels),
        });
        record(&entry.get().series, labels);
    }
}

/// Labels of a key: its hash and alias, its team's id and alias, its user's id.
pub(super) type KeyLabels<'a> = [&'a str; 5];

/// Labels of a [`RequestSeries`]: group asked for, upstream model, deployment id, provider, route,
/// those of the key, and those of the configuration in one.
pub(super) type RequestLabels<'a> = [&'a str; 11];

/// What one kind of request counts on.
pub(super) struct RequestSeries {
    by_status: [OnceLock<IntCounter>; status::COUNT],
    latency: Histogram,
    overhead: Histogram,
    llm_api_latency: OnceLock<Histogram>,
    ttft: OnceLock<Histogram>,
    queue_time: OnceLock<Histogram>,
    answered: OnceLock<IntCounter>,
    tokens: OnceLock<Box<TokenSeries>>,
}

struct TokenSeries {
    input: IntCounter,
    output: IntCounter,
    total: IntCounter,
    cached: IntCounter,
    spend: Counter,
}

impl RequestSeries {
    pub(super) fn new(families: &Families, labels: RequestLabels<'_>) -> Self {
        let [group, model, id, provider, ..] = labels;
        let answered = [group, model, id, provider];
        Self {
            by_status: [const { OnceLock::new() }; status::COUNT],
            latency: families.request_latency.with_label_values(&answered),
            overhead: families.overhead_latency.with_label_values(&answered),
            llm_api_latency: OnceLock::new(),
            ttft: OnceLock::new(),
            queue_time: OnceLock::new(),
            answered: OnceLock::new(),
            tokens: OnceLock::new(),
        }
    }

    pub(super) fn record(
        &self,
        families: &Families,
        labels: RequestLabels<'_>,
        record: &RequestRecord,
    ) {
        let [group, model, id, provider, route, hash, alias, team, team_alias, user, custom] =
            labels;
        let answered = [group, model, id, provider];
        if let Some(requests) = self.by_status.get(status::index(record.status)) {
            let status = status::label(record.status);
            let with_status =
                [group, id, provider, hash, alias, team, team_alias, user, route, status, custom];
            requests.get_or_init(|| families.requests.with_label_values(&with_status)).inc();
        }
        let times = &record.durations;
        self.latency.observe(times.total.as_secs_f64());
        self.overhead.observe(times.overhead.as_secs_f64());
        if let Some(upstream) = times.upstream {
            self.llm_api_latency
                .get_or_init(|| families.llm_api_latency.with_label_values(&answered))
                .observe(upstream.as_secs_f64());
        }
        if let Some(ttft) = times.ttft.filter(|_| record.stream) {
            self.ttft
                .get_or_init(|| families.ttft.with_label_values(&answered))
                .observe(ttft.as_secs_f64());
        }
        if let Some(queued) = times.queued {
            self.queue_time
                .get_or_init(|| families.queue_time.with_label_values(&answered))
                .observe(queued.as_secs_f64());
        }
        let to_key = [group, model, id, provider, hash, alias, team, team_alias, user, custom];
        if !record.failed() {
            let requests = || families.llm_requests.with_label_values(&to_key);
            self.answered.get_or_init(requests).inc();
        }
        let Some(usage) = &record.usage else { return };
        let tokens = self.tokens.get_or_init(|| {
            Box::new(TokenSeries {
                input: families.input_tokens.with_label_values(&to_key),
                output: families.output_tokens.with_label_values(&to_key),
                total: families.total_tokens.with_label_values(&to_key),
                cached: families.cached_tokens.with_label_values(&to_key),
                spend: families.spend.with_label_values(&to_key),
            })
        });
        tokens.input.inc_by(usage.input_tokens);
        tokens.output.inc_by(usage.output_tokens);
        tokens.total.inc_by(usage.total_tokens());
        if usage.cache_read_tokens > 0 {
            tokens.cached.inc_by(usage.cache_read_tokens);
        }
        if let Some(cost) = record.cost {
            tokens.spend.inc_by(cost.dollars());
        }
        if usage.units != Units::default() {
            for (unit, count) in [
                ("images", usage.units.images),
                ("audio_milliseconds", usage.units.audio_ms),
                ("characters", usage.units.characters),
                ("searches", usage.units.searches),
                ("web_searches", usage.units.web_searches),
            ] {
                if count > 0 {
                    let labels = [group, model, id, provider, unit];
                    families.units.with_label_values(&labels).inc_by(count);
                }
            }
        }
    }
}

/// Labels of a [`DeploymentSeries`]: group, model as configured, id, address, provider.
pub(super) type DeploymentLabels<'a> = [&'a str; 5];

/// What the attempts on one deployment count on.
pub(super) struct DeploymentSeries {
    requests: IntCounter,
    successes: IntCounter,
    latency_per_token: OnceLock<Histogram>,
    remaining_requests: OnceLock<IntGauge>,
    remaining_tokens: OnceLock<IntGauge>,
}

impl DeploymentSeries {
    pub(super) fn new(families: &Families, labels: DeploymentLabels<'_>) -> Self {
        Self {
            requests: families.deployment_requests.with_label_values(&labels),
            successes: families.deployment_successes.with_label_values(&labels),
            latency_per_token: OnceLock::new(),
            remaining_requests: OnceLock::new(),
            remaining_tokens: OnceLock::new(),
        }
    }

    /// Counts one attempt. `output_tokens` belong to the attempt that answered.
    pub(super) fn record(
        &self,
        families: &Families,
        labels: DeploymentLabels<'_>,
        attempt: &Attempt,
        output_tokens: Option<u64>,
    ) {
        let [group, model, id, api_base, provider] = labels;
        let deployment = [model, id, api_base, provider];
        self.requests.inc();
        match attempt.outcome {
            Outcome::Success => {
                self.successes.inc();
                if let Some(tokens) = output_tokens.filter(|&tokens| tokens > 0) {
                    self.latency_per_token
                        .get_or_init(|| families.latency_per_token.with_label_values(&deployment))
                        .observe(attempt.duration.as_secs_f64() / tokens as f64);
                }
            }
            // Failures are rare enough, and their labels many enough, to be looked up each time.
            Outcome::Failed(_) => {
                let status = status::label_or_none(attempt.status);
                let class = attempt.outcome.name();
                families
                    .deployment_failures
                    .with_label_values(&[group, model, id, api_base, provider, status, class])
                    .inc();
                if attempt.cooled_down {
                    families
                        .cooled_down
                        .with_label_values(&[model, id, api_base, provider, status])
                        .inc();
                }
            }
            Outcome::Cancelled => {}
        }
        let in_group = [group, model, id, api_base, provider];
        if let Some(left) = attempt.remaining_requests {
            self.remaining_requests
                .get_or_init(|| families.remaining_requests.with_label_values(&in_group))
                .set(i64::try_from(left).unwrap_or(i64::MAX));
        }
        if let Some(left) = attempt.remaining_tokens {
            self.remaining_tokens
                .get_or_init(|| families.remaining_tokens.with_label_values(&in_group))
                .set(i64::try_from(left).unwrap_or(i64::MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_table_sends_new_labels_to_one_series_and_keeps_old_ones() {
        let overflowed = IntCounter::new("overflowed", "test").unwrap();
        let table = Table::<IntCounter, 1>::new();
        let make = |_: [&str; 1]| IntCounter::new("series", "test").unwrap();
        for number in 0..TABLE_MAX + 3 {
            let name = number.to_string();
            table.with([&name], &overflowed, make, |series, _| series.inc());
        }
        assert_eq!(overflowed.get(), 3);
        assert_eq!(table.overflow.get().unwrap().get(), 3);
        table.with(["0"], &overflowed, make, |series, labels| {
            assert_eq!((series.get(), labels), (1, ["0"]));
        });
        table.with(["one too many"], &overflowed, make, |_, labels| assert_eq!(labels, [OTHER]));
    }
}
