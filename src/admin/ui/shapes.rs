//! The shapes that several answers share: counts, durations, lines of a breakdown.

use serde::Serialize;
use serde_json::{Value, json};

use crate::spend::Histogram;
use crate::spend::traffic::{Counts, Times};

/// Pico-dollars in a dollar.
pub(super) const PICO: f64 = 1e12;
const US_PER_MS: i64 = 1_000;

pub(super) fn dollars(pico: u64) -> f64 {
    pico as f64 / PICO
}

pub(super) const fn ms(us: i64) -> i64 {
    us.div_euclid(US_PER_MS)
}

/// A duration in milliseconds, to the microsecond.
pub(super) fn duration(us: i64) -> f64 {
    us as f64 / US_PER_MS as f64
}

/// A share; `None` of nothing.
pub(super) fn rate(part: u64, of: u64) -> Option<f64> {
    (of > 0).then(|| part as f64 / of as f64)
}

/// `{"count", "mean", "p50", "p95", "p99"}`, or null.
pub(super) fn quantiles(histogram: &Histogram) -> Value {
    let Some(mean) = histogram.mean() else { return Value::Null };
    let at = |share| histogram.quantile(share).map(tenths);
    json!({
        "count": histogram.count(),
        "mean": tenths(mean),
        "p50": at(0.5),
        "p95": at(0.95),
        "p99": at(0.99),
    })
}

/// Milliseconds, as exact as is of use.
fn tenths(us: f64) -> f64 {
    (us / 100.0).round() / 10.0
}

/// What of the counts is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// All of it: sums by place.
    All,
    /// Sums of hours by who paid.
    Hours,
    /// Sums of days by who paid.
    Days,
}

/// The totals of a span.
pub(super) fn totals(counts: &Counts, times: &Times, known: Known) -> Value {
    let all = known == Known::All;
    let of_all = |number: u64| all.then_some(number);
    let timeouts = (known != Known::Days).then_some(counts.timeouts);
    let of_tokens = |number: u64| (known != Known::Hours).then_some(number);
    json!({
        "requests": counts.requests,
        "failures": counts.failures,
        "timeouts": timeouts,
        "cache_hits": counts.cache_hits,
        "fallbacks": of_all(counts.fallbacks),
        "fallbacks_succeeded": of_all(counts.fallbacks_succeeded),
        "retries": of_all(counts.retries),
        "input_tokens": counts.input_tokens,
        "output_tokens": counts.output_tokens,
        "cache_read_tokens": of_tokens(counts.cache_read_tokens),
        "cache_write_tokens": of_tokens(counts.cache_write_tokens),
        "reasoning_tokens": of_tokens(counts.reasoning_tokens),
        "cost": dollars(counts.cost_pico),
        "cache_saved": all.then(|| dollars(counts.saved_pico)),
        "failure_rate": rate(counts.failures, counts.requests),
        "timeout_rate": timeouts.and_then(|timeouts| rate(timeouts, counts.requests)),
        "cache_hit_rate": rate(counts.cache_hits, counts.requests),
        "fallback_success_rate": rate(counts.fallbacks_succeeded, counts.fallbacks),
        "latency": quantiles(&times.latency),
        "ttft": quantiles(&times.first_token),
    })
}

/// A line of a breakdown.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    pub(super) id: Option<String>,
    pub(super) name: String,
    pub(super) requests: u64,
    pub(super) failures: u64,
    pub(super) timeouts: Option<u64>,
    pub(super) cache_hits: u64,
    pub(super) input_tokens: u64,
    pub(super) output_tokens: u64,
    pub(super) cost: f64,
}

/// Lines of a breakdown; the rest is summed up.
const LINES_MAX: usize = 50;

/// The most expensive first; those that are too many in one line. An empty name is what has none.
pub(super) fn lines(mut sums: Vec<(String, Counts)>, known: Known) -> Vec<Line> {
    sums.retain(|(_, counts)| counts.requests > 0 || counts.cost_pico > 0);
    sums.sort_by(|(a_name, a), (b_name, b)| {
        (b.cost_pico, b.requests, a_name).cmp(&(a.cost_pico, a.requests, b_name))
    });
    let rest = sums.split_off(sums.len().min(LINES_MAX));
    let line = |id: Option<String>, counts: &Counts| Line {
        name: id.clone().unwrap_or_else(|| "other".to_owned()),
        id,
        requests: counts.requests,
        failures: counts.failures,
        timeouts: (known != Known::Days).then_some(counts.timeouts),
        cache_hits: counts.cache_hits,
        input_tokens: counts.input_tokens,
        output_tokens: counts.output_tokens,
        cost: dollars(counts.cost_pico),
    };
    let mut shown: Vec<_> = sums.into_iter().map(|(id, counts)| line(Some(id), &counts)).collect();
    if !rest.is_empty() {
        let mut sum = Counts::default();
        rest.iter().for_each(|(_, counts)| sum.add(counts));
        shown.push(line(None, &sum));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_breakdown_names_the_most_expensive_and_sums_up_the_rest() {
        let sums = (0..60_u64)
            .map(|at| {
                let counts = Counts { requests: 1, cost_pico: at, ..Counts::default() };
                (format!("k{at}"), counts)
            })
            .collect();
        let shown = lines(sums, Known::Days);
        assert_eq!(shown.len(), LINES_MAX + 1);
        assert_eq!((shown[0].id.as_deref(), shown[0].timeouts), (Some("k59"), None));
        let rest = shown.last().unwrap();
        assert_eq!((rest.id.as_deref(), &*rest.name, rest.requests), (None, "other", 10));
    }

    #[test]
    fn what_was_not_counted_is_null_and_not_zero() {
        let counts = Counts { requests: 4, failures: 1, ..Counts::default() };
        let shown = totals(&counts, &Times::default(), Known::Days);
        assert_eq!(shown["failure_rate"], 0.25);
        for unknown in ["timeouts", "timeout_rate", "fallbacks", "fallback_success_rate", "ttft"] {
            assert_eq!(shown[unknown], Value::Null, "{unknown}");
        }
        let nothing = totals(&Counts::default(), &Times::default(), Known::All);
        assert_eq!(nothing["failure_rate"], Value::Null);
        assert_eq!(nothing["timeouts"], 0);
    }
}
