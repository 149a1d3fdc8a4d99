//! `router_settings`, with what `litellm_settings` adds where it is silent.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::names::Names;
use super::{Sections, breaker, fallbacks, strategies};
use crate::catalog::{PriceBook, Timeouts};
use crate::config::options::{ALLOWED_FAILS_POLICY, HEDGING, RETRY_POLICY, Table};
use crate::config::problem::Finding;
use crate::config::section::{At, Section, first};
use crate::failure::FailureClass;
use crate::routing::{ByClass, GroupSet, Hedging, RetryPolicy, Settings};

/// More attempts than this are a slip of the pen, and a bill.
pub(super) const RETRIES_MAX: u32 = 100;

/// The defaults; the table of options shows the same numbers.
const NUM_RETRIES: u32 = 2;
const MAX_FALLBACKS: u32 = 5;
const COOLDOWN: Duration = Duration::from_secs(5);
/// LiteLLM sleeps for a Retry-After of up to 60 s, and rests a deployment for any; here both end
/// there, since a rest ends with a probe and not with full traffic.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);

const HEDGE_AFTER: Duration = Duration::from_millis(100);
const HEDGE_PERCENTILE: f64 = 95.0;
const HEDGE_BUDGET: f64 = 0.1;

/// Failures that may be counted before a deployment rests.
const FAILS_MAX: u32 = 1_000_000;

/// What every deployment takes over where it says nothing itself.
pub(super) struct AttemptDefaults {
    pub(super) timeouts: Timeouts,
    pub(super) ssl_verify: Option<Box<str>>,
}

/// Timeouts of one attempt. `request_timeout` is one attempt's in LiteLLM as well; the bound on a
/// whole request is `total_timeout`.
pub(super) fn attempt_defaults(sections: &mut Sections<'_>) -> AttemptDefaults {
    let (router, litellm) = (&mut sections.router, &mut sections.litellm);
    let request = first([
        router.timeout("timeout"),
        router.timeout("request_timeout"),
        litellm.timeout("request_timeout"),
        litellm.timeout("timeout"),
    ]);
    let stream = first([router.timeout("stream_timeout"), litellm.timeout("stream_timeout")]);
    let value = |at: At<Duration>| at.value;
    AttemptDefaults {
        timeouts: Timeouts { request: request.map(value), stream: stream.map(value) },
        ssl_verify: litellm.text("ssl_verify").map(|at| at.value.into()),
    }
}

/// The longest wait that a provider may ask for.
pub(super) fn max_retry_after(sections: &mut Sections<'_>) -> Duration {
    sections.router.seconds("max_retry_after").map_or(MAX_RETRY_AFTER, |at| at.value)
}

pub(super) fn settings(
    sections: &mut Sections<'_>,
    names: &Names,
    prices: Arc<PriceBook>,
) -> Settings {
    let mut fallbacks = fallbacks::read(sections, names, "fallbacks");
    let per_group = fallbacks::config(sections, names, &mut fallbacks);
    fallbacks::defaults(sections, names, &mut fallbacks);
    let context_window = fallbacks::read(sections, names, "context_window_fallbacks");
    let content_policy = fallbacks::read(sections, names, "content_policy_fallbacks");

    let (router, litellm) = (&mut sections.router, &mut sections.litellm);
    let choice = strategies::read(router, &mut sections.router_too, names);
    let mut count =
        |name, max| first([router.count(name, max), litellm.count(name, max)]).map(|at| at.value);
    let num_retries = count("num_retries", RETRIES_MAX);
    let max_fallbacks = count("max_fallbacks", RETRIES_MAX);
    let allowed_fails = count("allowed_fails", FAILS_MAX);
    let mut seconds =
        |name| first([router.seconds(name), litellm.seconds(name)]).map(|at| at.value);
    let retry_after = seconds("retry_after");
    let cooldown = seconds("cooldown_time");
    let mut settings = Settings {
        strategy: choice.strategy,
        tuning: choice.tuning,
        groups: choice.groups,
        cost_threshold: choice.cost_threshold,
        context_threshold: choice.context_threshold,
        affinity: strategies::affinity(router),
        pre_call_checks: router.flag("enable_pre_call_checks").is_some_and(|at| at.value),
        allowed_region: router.text("allowed_model_region").map(|at| at.value.into()),
        prices: Some(prices),
        num_retries: num_retries.unwrap_or(NUM_RETRIES),
        retry_after: retry_after.unwrap_or(Duration::ZERO),
        retry_policy: retry_policy(router.section("retry_policy", &RETRY_POLICY)),
        group_retry_policy: group_policies(router),
        allowed_fails,
        allowed_fails_policy: by_class(
            router.section("allowed_fails_policy", &ALLOWED_FAILS_POLICY),
            &ALLOWED_FAILS_POLICY,
            FAILS_MAX,
        ),
        cooldown_is_written: cooldown.is_some(),
        cooldown: cooldown.unwrap_or(COOLDOWN),
        max_retry_after: MAX_RETRY_AFTER,
        breaker: breaker::read(router),
        heeds_checks: None,
        disable_cooldowns: router.flag("disable_cooldowns").is_some_and(|at| at.value),
        fallbacks,
        context_window_fallbacks: context_window,
        content_policy_fallbacks: content_policy,
        max_fallbacks: max_fallbacks.unwrap_or(MAX_FALLBACKS),
        group_num_retries: per_group.num_retries,
        group_retry_after: per_group.retry_after,
        default_max_parallel_requests: router
            .count("default_max_parallel_requests", u32::MAX)
            .map(|at| at.value)
            .filter(|value| *value > 0),
        enable_tag_filtering: router.flag("enable_tag_filtering").is_some_and(|at| at.value),
        reads_requests: false,
        mid_stream_failover: groups(router, "mid_stream_failover", names),
        hedging: hedging(router, names),
    };
    settings.reads_requests = settings.looks_at_requests();
    settings
}

/// `hedging`; off where it is not written.
fn hedging(router: &mut Section<'_>, names: &Names) -> Hedging {
    let on = router.has("hedging");
    let mut section = router.section("hedging", &HEDGING);
    let groups = match (on, section.has("groups")) {
        (false, _) => GroupSet::None,
        (true, false) => GroupSet::All,
        (true, true) => groups(&mut section, "groups", names),
    };
    let after = section.seconds("after").map_or(HEDGE_AFTER, |at| at.value);
    let percentile = within(&mut section, "percentile", 100.0).unwrap_or(HEDGE_PERCENTILE);
    let budget = within(&mut section, "budget", 1.0).unwrap_or(HEDGE_BUDGET);
    section.finish();
    Hedging { groups, after, percentile, budget }
}

/// A number above zero that is at most `max`.
fn within(section: &mut Section<'_>, name: &'static str, max: f64) -> Option<f64> {
    let At { value, spot } = section.number(name)?;
    if value > 0.0 && value <= max {
        return Some(value);
    }
    let message = format!("`{name}` must be above 0 and at most {max}, found {value}");
    section.problems.push(Finding::error(spot, message));
    None
}

/// `true`, `false`, or a list of the groups for which something is on.
fn groups(router: &mut Section<'_>, name: &'static str, names: &Names) -> GroupSet {
    let Some(list) = router.written(name).filter(|entry| entry.node.list().is_some()) else {
        return if router.flag(name).is_some_and(|at| at.value) {
            GroupSet::All
        } else {
            GroupSet::None
        };
    };
    let (problems, spot) = (router.problems, list.spot);
    let written = router.texts(name).unwrap_or_default();
    if written.is_empty() {
        problems.push(Finding::warning(spot, format!("`{name}` names no group: it is off")));
    }
    for At { value, spot } in &written {
        if !names.resolves(value) {
            let message = format!("`{name}` names `{value}`, which nothing serves");
            problems.push(Finding::error(*spot, message).help(names.help(value)));
        }
    }
    GroupSet::Only(written.into_iter().map(|at| Arc::from(at.value)).collect())
}

fn retry_policy(mut section: Section<'_>) -> RetryPolicy {
    let default = section.count("DefaultRetries", RETRIES_MAX).map(|at| at.value);
    RetryPolicy { by_class: by_class(section, &RETRY_POLICY, RETRIES_MAX), default }
}

fn group_policies(router: &mut Section<'_>) -> HashMap<Arc<str>, RetryPolicy> {
    let problems = router.problems;
    let Some(entry) = router.entry("model_group_retry_policy") else { return HashMap::new() };
    let Some(groups) = entry.node.map() else {
        let found = entry.node.found("");
        let message = format!("`model_group_retry_policy` must be a mapping, found {found}");
        problems.push(Finding::error(entry.value_spot(), message));
        return HashMap::new();
    };
    let policies = groups.iter().map(|group| {
        let section = Section::new(&RETRY_POLICY, &group.node, group.spot, problems);
        (Arc::from(&*group.key), retry_policy(section))
    });
    policies.collect()
}

/// LiteLLM's exceptions in our classes. A class that two exceptions stand for takes the first that
/// is written: LiteLLM raises `InternalServerError` for a refused connection as well.
const CLASSES: [(&str, &[FailureClass]); 9] = [
    ("BadRequestError", &[FailureClass::BadRequest]),
    ("AuthenticationError", &[FailureClass::Auth]),
    ("TimeoutError", &[FailureClass::Timeout]),
    ("RateLimitError", &[FailureClass::RateLimited, FailureClass::Quota]),
    ("ContentPolicyViolationError", &[FailureClass::ContentPolicy]),
    ("InternalServerError", &[FailureClass::Server, FailureClass::Connection]),
    ("BadGatewayError", &[FailureClass::Server, FailureClass::Connection]),
    ("ServiceUnavailableError", &[FailureClass::Overloaded]),
    ("NotFoundError", &[FailureClass::NotFound]),
];

fn by_class(mut section: Section<'_>, table: &'static Table, max: u32) -> ByClass {
    let mut counts = ByClass::new();
    for (exception, classes) in CLASSES {
        let option = table.names().find(|name| {
            name.strip_prefix(exception)
                .is_some_and(|end| end == "Retries" || end == "AllowedFails")
        });
        let Some(At { value, .. }) = option.and_then(|name| section.count(name, max)) else {
            continue;
        };
        for class in classes {
            counts.entry(*class).or_insert(value);
        }
    }
    section.finish();
    counts
}
