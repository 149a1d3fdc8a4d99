//! What is said of places: every deployment, groups that share a name, and what the same tokens would have
//! cost at another one.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::Ui;
use super::super::deployments::state;
use super::super::shapes::{Known, dollars, quantiles, rate, totals};
use super::Asked;
use super::series::Strips;
use crate::spend::traffic::{Counts, Place, Times, Traffic};
use crate::usage::Usage;

/// Deployments in the order of the configuration, then those that are gone but had traffic.
pub(super) fn deployments(
    ui: &Ui,
    asked: &Asked,
    traffic: &Traffic,
    strips: &Strips,
) -> Vec<Value> {
    struct Sum<'a> {
        place: &'a Place,
        counts: Counts,
        times: Times,
    }
    let mut sums = BTreeMap::<&str, Sum<'_>>::new();
    for (place, counts) in traffic.by_place.iter().filter(|(it, _)| !it.deployment.is_empty()) {
        let new = || Sum { place, counts: Counts::default(), times: Times::default() };
        sums.entry(&place.deployment).or_insert_with(new).counts.add(counts);
    }
    for (place, times) in &traffic.times_by_place {
        if let Some(sum) = sums.get_mut(&*place.deployment) {
            sum.times.merge(times);
        }
    }
    let source = &ui.shared.source;
    let fits =
        |filter: &Option<String>, text: &str| filter.as_deref().is_none_or(|filter| filter == text);
    let configured = source.deployments();
    let configured = configured.iter().filter(|info| {
        fits(&asked.group, &info.group)
            && fits(&asked.provider, &info.provider)
            && fits(&asked.deployment, &info.id)
    });
    let shown = |id: &str, group: &str, provider: &str, sum: Option<&Sum<'_>>, more: Value| {
        let counts = sum.map(|sum| sum.counts).unwrap_or_default();
        let nothing = Times::default();
        let times = sum.map_or(&nothing, |sum| &sum.times);
        let mut shown = json!({
            "id": id,
            "group": group,
            "provider": provider,
            "attempts": counts.attempts,
            "attempt_failures": counts.attempt_failures,
            "attempt_timeouts": counts.attempt_timeouts,
            "error_rate": rate(counts.attempt_failures, counts.attempts),
            "timeout_rate": rate(counts.attempt_timeouts, counts.attempts),
            "requests": counts.requests,
            "cost": dollars(counts.cost_pico),
            "input_tokens": counts.input_tokens,
            "output_tokens": counts.output_tokens,
            "latency": quantiles(&times.latency),
            "ttft": quantiles(&times.first_token),
            "cells": strips.by_deployment.get(id).map(Vec::as_slice).unwrap_or_default(),
        });
        if let (Some(fields), Value::Object(more)) = (shown.as_object_mut(), more) {
            fields.extend(more);
        }
        shown
    };
    let mut all = Vec::new();
    for info in configured {
        let sum = sums.remove(&*info.id);
        let model = info.params.get("model").and_then(Value::as_str).unwrap_or_default();
        let model = model.split_once('/').map_or(model, |(_, model)| model);
        let state = state(&source.seen(&info.id));
        let more = json!({"configured": true, "model": model, "state": state});
        all.push(shown(&info.id, &info.group, &info.provider, sum.as_ref(), more));
    }
    for (id, sum) in &sums {
        let more = json!({"configured": false, "model": null, "state": null});
        all.push(shown(id, &sum.place.group, &sum.place.provider, Some(sum), more));
    }
    all
}

/// What the tokens would have cost at the baseline's price of today.
pub(super) fn savings(ui: &Ui, asked: &Asked, now: &Counts, before: &Counts) -> Option<Value> {
    let source = &ui.shared.source;
    let configured = source.dashboard();
    let model = asked.baseline.as_deref().or(configured.baseline_model.as_deref())?;
    let mut price = (*source.priced(model)?.price?).clone();
    // A sum of prompts is no long prompt.
    price.tiers.clear();
    let cost = |counts: &Counts| {
        let usage = Usage {
            input_tokens: counts.input_tokens,
            output_tokens: counts.output_tokens,
            cache_read_tokens: counts.cache_read_tokens,
            cache_write_tokens: counts.cache_write_tokens,
            reasoning_tokens: counts.reasoning_tokens,
            ..Usage::default()
        };
        let (cost, baseline) = (dollars(counts.token_cost_pico), price.cost(&usage).dollars());
        json!({"cost": cost, "baseline_cost": baseline, "saved": baseline - cost})
    };
    let (mut shown, before) = (cost(now), cost(before));
    shown["model"] = json!(model);
    shown["before"] = before;
    Some(shown)
}

/// Names whose requests are divided, with what came by them.
pub(super) fn variants(ui: &Ui, traffic: &Traffic) -> Vec<Value> {
    let came_by = |place: &Place, name: &str, group: &str| {
        let asked = if place.asked.is_empty() { &place.group } else { &place.asked };
        &**asked == name && &*place.group == group
    };
    let shown = ui.shared.source.variants().into_iter().map(|variant| {
        let weights: f64 = variant.members.iter().map(|(_, weight)| weight).sum();
        let members: Vec<(_, _, Counts, Times)> = variant
            .members
            .iter()
            .map(|(group, weight)| {
                let (mut counts, mut times) = (Counts::default(), Times::default());
                let of = |place: &Place| came_by(place, &variant.name, group);
                traffic.by_place.iter().filter(|(it, _)| of(it)).for_each(|(_, it)| counts.add(it));
                let all = traffic.times_by_place.iter();
                all.filter(|(it, _)| of(it)).for_each(|(_, it)| times.merge(it));
                (group, weight / weights.max(f64::MIN_POSITIVE), counts, times)
            })
            .collect();
        let requests: u64 = members.iter().map(|(_, _, counts, _)| counts.requests).sum();
        let members: Vec<_> = members
            .iter()
            .map(|(group, weight, counts, times)| {
                json!({
                    "group": group,
                    "weight": weight,
                    "share": rate(counts.requests, requests),
                    "totals": totals(counts, times, Known::All),
                    "latency": quantiles(&times.latency),
                    "ttft": quantiles(&times.first_token),
                })
            })
            .collect();
        json!({"name": variant.name, "members": members})
    });
    shown.collect()
}
