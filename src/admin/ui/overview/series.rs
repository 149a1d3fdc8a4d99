//! What there is over time: a point for every step, and strips of cells for attempts.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

use super::super::shapes::{Known, dollars, ms};
use super::steps::Steps;
use crate::spend::traffic::{Counts, Times, Traffic};
use crate::spend::{Histogram, Span};

/// Cells of a strip: more would be thinner than the eye sees.
const CELLS_MAX: i64 = 96;

#[derive(Serialize)]
pub(super) struct Point {
    at: i64,
    requests: u64,
    failures: u64,
    timeouts: Option<u64>,
    cost: f64,
    input_tokens: u64,
    output_tokens: u64,
    cache_hits: u64,
    latency: Option<Percentiles>,
    ttft: Option<Percentiles>,
}

#[derive(Clone, Copy, Serialize)]
struct Percentiles {
    p50: f64,
    p95: f64,
    p99: f64,
}

impl Percentiles {
    pub(super) fn of(histogram: &Histogram) -> Option<Self> {
        let at = |share| Some((histogram.quantile(share)? / 100.0).round() / 10.0);
        Some(Self { p50: at(0.5)?, p95: at(0.95)?, p99: at(0.99)? })
    }
}

/// A point for every step until now, also where nothing happened. Durations may be known in longer steps: a
/// point has those of the step that it lies in.
pub(super) fn series(
    steps: &Steps,
    by_time: &[(i64, Counts)],
    times: &[(i64, Times)],
    known: Known,
) -> Vec<Point> {
    let by_time: BTreeMap<i64, &Counts> = by_time.iter().map(|(at, it)| (*at, it)).collect();
    let times: BTreeMap<i64, [Option<Percentiles>; 2]> = times
        .iter()
        .map(|(at, it)| (*at, [&it.latency, &it.first_token].map(Percentiles::of)))
        .collect();
    let nothing = Counts::default();
    let mut points = Vec::new();
    let mut at_us = steps.span.from_us;
    while at_us < steps.until_us {
        let counts = by_time.get(&at_us).copied().unwrap_or(&nothing);
        let of = steps.times.slot(at_us) * steps.times.us();
        let [latency, ttft] = times.get(&of).copied().unwrap_or_default();
        points.push(Point {
            at: ms(at_us),
            requests: counts.requests,
            failures: counts.failures,
            timeouts: (known != Known::Days).then_some(counts.timeouts),
            cost: dollars(counts.cost_pico),
            input_tokens: counts.input_tokens,
            output_tokens: counts.output_tokens,
            cache_hits: counts.cache_hits,
            latency,
            ttft,
        });
        at_us += steps.step.us();
    }
    points
}

/// How a provider or a deployment did over time.
#[derive(Clone, Copy, Default, Serialize)]
pub(super) struct Cell {
    pub(super) at: i64,
    pub(super) attempts: u64,
    pub(super) failures: u64,
}

/// Attempts over time, by provider and by deployment.
pub(super) struct Strips {
    /// Of one cell.
    pub(super) us: i64,
    pub(super) by_provider: BTreeMap<Arc<str>, Vec<Cell>>,
    pub(super) by_deployment: BTreeMap<Arc<str>, Vec<Cell>>,
}

impl Strips {
    pub(super) fn of(traffic: &Traffic, steps: &Steps) -> Self {
        let Span { from_us, to_us } = steps.span;
        let all = (to_us - from_us).div_euclid(steps.step.us()).max(1);
        // Whole steps are joined.
        let us = (all + CELLS_MAX - 1).div_euclid(CELLS_MAX) * steps.step.us();
        let count = (to_us - from_us + us - 1).div_euclid(us);
        let empty: Vec<Cell> =
            (0..count).map(|at| Cell { at: ms(from_us + at * us), ..Cell::default() }).collect();
        let mut strips = Self { us, by_provider: BTreeMap::new(), by_deployment: BTreeMap::new() };
        for tally in &traffic.attempts {
            let at = usize::try_from((tally.at_us - from_us).div_euclid(us)).unwrap_or(usize::MAX);
            let strips = [
                (&mut strips.by_provider, &tally.provider),
                (&mut strips.by_deployment, &tally.deployment),
            ];
            for (strips, name) in strips {
                let strip = strips.entry(Arc::clone(name)).or_insert_with(|| empty.clone());
                if let Some(cell) = strip.get_mut(at) {
                    cell.attempts += tally.attempts;
                    cell.failures += tally.failures;
                }
            }
        }
        strips
    }

    pub(super) fn providers(&self) -> Vec<Value> {
        let strips = self.by_provider.iter().filter(|(provider, _)| !provider.is_empty());
        strips
            .map(|(provider, cells)| {
                json!({"provider": provider, "step": ms(self.us), "cells": cells})
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spend::traffic::{Step, Tally};

    const HOUR_US: i64 = Step::Hour.us();
    const DAY_US: i64 = Step::Day.us();

    #[test]
    fn a_series_has_a_point_for_every_step() {
        let steps = Steps {
            span: Span { from_us: 0, to_us: 4 * HOUR_US },
            // Nobody knows what comes: that is no zero.
            until_us: 2 * HOUR_US,
            step: Step::Quarter,
            times: Step::Hour,
            times_of_places: Step::Hour,
            daily: false,
        };
        let counts = Counts { requests: 3, timeouts: 1, ..Counts::default() };
        let mut times = Times::default();
        times.latency.add(Histogram::bucket(100_000), 1, 100_000);
        let points =
            series(&steps, &[(Step::Quarter.us(), counts)], &[(HOUR_US, times)], Known::All);
        assert_eq!(points.len(), 8);
        assert_eq!((points[0].requests, points[1].requests), (0, 3));
        assert_eq!(points[1].timeouts, Some(1));
        assert!(points[3].latency.is_none() && points[4].latency.is_some());
        assert!(points[7].latency.is_some() && points[7].ttft.is_none());
    }

    #[test]
    fn strips_have_a_bounded_number_of_cells_and_lose_nothing() {
        let steps = Steps {
            span: Span { from_us: 0, to_us: 14 * DAY_US },
            until_us: 14 * DAY_US,
            step: Step::Hour,
            times: Step::Day,
            times_of_places: Step::Day,
            daily: true,
        };
        let attempts = (0..336)
            .map(|at| Tally {
                at_us: at * HOUR_US,
                provider: "openai".into(),
                deployment: "a".into(),
                attempts: 2,
                failures: 1,
            })
            .collect();
        let traffic = Traffic { attempts, ..Traffic::default() };
        let strips = Strips::of(&traffic, &steps);
        let cells = &strips.by_deployment["a"];
        assert!(cells.len() <= CELLS_MAX as usize, "{}", cells.len());
        assert_eq!(strips.us, 4 * HOUR_US);
        assert_eq!(cells.iter().map(|cell| cell.attempts).sum::<u64>(), 672);
        assert_eq!(cells.iter().map(|cell| cell.failures).sum::<u64>(), 336);
    }
}
