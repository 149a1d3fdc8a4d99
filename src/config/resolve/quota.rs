//! Limits and budgets of whoever calls, and where they are shared.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use jiff::tz::TimeZone;

use super::{Context, Sections};
use crate::admission::{Counts, Policy};
use crate::config::deployments::vendor_names;
use crate::config::options::BUDGET;
use crate::config::problem::{Finding, Problems, nearest};
use crate::config::section::{At, Section, first};
use crate::config::yaml::Entry;
use crate::money::Usd;
use crate::provider;
use crate::secret::Secret;
use crate::spend::{Budget, Period};
use crate::store::redis::RedisPlace;

/// LiteLLM's (1.106).
const EXCEEDED_STATUS: u16 = 422;
const REDIS_PORT: u16 = 6_379;
/// An operation of Redis takes a fraction of a millisecond; a request must not hang on it.
const REDIS_TIMEOUT: Duration = Duration::from_millis(500);

pub(super) fn policy(sections: &mut Sections<'_>) -> Policy {
    let (litellm, general) = (&mut sections.litellm, &mut sections.general);
    let problems = litellm.problems;
    let zone = litellm.text("timezone").and_then(|at| {
        let found = TimeZone::get(at.value);
        if found.is_err() {
            let message = format!("`{}` is not a time zone", at.value);
            let help = "write a name such as `Europe/Berlin` or `UTC`";
            problems.push(Finding::error(at.spot, message).help(help));
        }
        found.ok()
    });
    let max = dollars(litellm, "max_budget");
    let period = period(litellm, "budget_duration");
    let status = litellm.between("budget_exceeded_status_code", 400..=599);
    let status = status.and_then(|at| u16::try_from(at.value).ok());
    let counts = general.text("token_rate_limit_type").map(|at| match at.value {
        "total" => Counts::All,
        "input" => Counts::Input,
        "output" => Counts::Output,
        other => {
            let message = format!("`{other}` is no kind of tokens");
            let help = "write `total`, `input` or `output`";
            problems.push(Finding::error(at.spot, message).help(help));
            Counts::All
        }
    });
    let mut flag = |name| general.flag(name).is_some_and(|at| at.value);
    let reserves = !flag("disable_budget_reservation");
    let budgets_fail_closed = flag("fail_closed_budget_enforcement");
    let limits_fail_closed = flag("fail_closed_rate_limit_enforcement");
    Policy {
        zone: zone.unwrap_or(TimeZone::UTC),
        // As in LiteLLM, nothing is how one says that there is none.
        proxy: max.filter(|max| *max != Usd::ZERO).map(|max| Budget { max, period }),
        end_user: dollars(litellm, "max_end_user_budget").map(|max| Budget { max, period: None }),
        tags: budgets(litellm.entry("tag_budget_config"), problems, |_| true),
        providers: budgets(sections.router.entry("provider_budget_config"), problems, |entry| {
            let known = provider::vendor(&entry.key).is_some();
            if !known {
                let near = nearest(&entry.key, vendor_names());
                let help = near.map(|(near, _)| format!("did you mean `{near}`?"));
                let message = format!("`{}` is not a provider", entry.key);
                problems.push(Finding::error(entry.spot, message).maybe_help(help));
            }
            known
        }),
        deployments: BTreeMap::new(),
        key_parallel: general.positive("max_parallel_requests").map(|at| at.value),
        global_parallel: None,
        counts: counts.unwrap_or_default(),
        reserves,
        refuses_unpriced: litellm
            .flag("block_requests_for_models_without_pricing")
            .is_some_and(|at| at.value),
        exceeded_status: status.unwrap_or(EXCEEDED_STATUS),
        budgets_fail_closed,
        limits_fail_closed,
    }
}

/// The providers that have a budget.
pub(super) fn providers(policy: &Policy) -> HashSet<&'static str> {
    let vendors = policy.providers.keys().filter_map(|name| provider::vendor(name));
    vendors.map(|vendor| vendor.name).collect()
}

/// The budget of a deployment.
pub(super) fn budget(params: &mut Section<'_>) -> Option<Budget> {
    let max = dollars(params, "max_budget");
    let duration = params.written("budget_duration");
    let period = period(params, "budget_duration");
    if let Some(entry) = duration.filter(|_| max.is_none()) {
        let message = "`budget_duration` is the period of `max_budget`, which is not written";
        params.problems.push(Finding::error(entry.spot, message).help("add `max_budget`"));
    }
    max.map(|max| Budget { max, period })
}

fn dollars(section: &mut Section<'_>, name: &'static str) -> Option<Usd> {
    let At { value, spot } = section.number(name)?;
    let amount = Usd::from_dollars(value);
    if amount.is_none() {
        let message = format!("`{name}` is beyond 18 million dollars");
        section.problems.push(Finding::error(spot, message));
    }
    amount
}

fn period(section: &mut Section<'_>, name: &'static str) -> Option<Period> {
    let At { value, spot } = section.text(name)?;
    let period = value.parse::<Period>();
    if let Err(problem) = &period {
        section.problems.push(Finding::error(spot, problem.to_string()));
    }
    period.ok()
}

/// Budgets by name.
fn budgets(
    entry: Option<&Entry>,
    problems: &Problems,
    is_known: impl Fn(&Entry) -> bool,
) -> BTreeMap<Box<str>, Budget> {
    let mut budgets = BTreeMap::new();
    let Some(entry) = entry else { return budgets };
    let Some(entries) = entry.node.map() else {
        let message = format!("`{}` must be a mapping, found {}", entry.key, entry.node.found(""));
        let help = "write a name and its budget: `openai: {budget_limit: 100, time_period: 30d}`";
        problems.push(Finding::error(entry.value_spot(), message).help(help));
        return budgets;
    };
    for entry in entries {
        let mut section = Section::new(&BUDGET, &entry.node, entry.spot, problems);
        let max =
            first([dollars(&mut section, "budget_limit"), dollars(&mut section, "max_budget")]);
        let period =
            first([period(&mut section, "time_period"), period(&mut section, "budget_duration")]);
        let spot = section.spot;
        section.finish();
        match max {
            Some(max) if is_known(entry) => {
                // A provider may be known by several names.
                let name = provider::vendor(&entry.key).map_or(&*entry.key, |vendor| vendor.name);
                budgets.insert(name.into(), Budget { max, period });
            }
            Some(_) => {}
            None => {
                let message = format!("the budget of `{}` has no `budget_limit`", entry.key);
                problems.push(Finding::error(spot, message));
            }
        }
    }
    budgets
}

/// Where limits and budgets are shared: what is written in `cache_params`, or else what the variables
/// say. `caches_here`: replies are kept in memory, so that another type than `redis` means something.
pub(super) fn redis(
    params: &mut Section<'_>,
    is_written: bool,
    caches_here: bool,
    router: &mut Section<'_>,
    context: &Context<'_>,
) -> Option<RedisPlace> {
    let kind = params.text("type");
    let is_redis = kind.is_none_or(|at| matches!(at.value, "redis" | "redis-semantic"));
    let url = first([params.text("url"), router.text("redis_url")]);
    let host = first([params.text("host"), router.text("redis_host")]);
    let port =
        first([params.count("port", u16::MAX.into()), router.count("redis_port", u16::MAX.into())]);
    let password = first([params.text("password"), router.text("redis_password")]);
    let db = first([params.count("db", 1_000), router.count("redis_db", 1_000)]);
    let username = params.text("username");
    let tls = params.flag("ssl");
    let namespace = params.text("namespace");
    let timeout = params.timeout("socket_timeout");
    let elsewhere = ["redis_url", "redis_host"].into_iter().any(|name| router.has(name));
    if !is_redis && !elsewhere && caches_here {
        return None;
    }
    if let Some(At { value, spot }) = kind.filter(|_| !is_redis && !elsewhere) {
        let message = format!("nothing is cached or shared in `{value}`");
        let help = "`type: redis` shares limits and budgets among gateways";
        context.problems.push(Finding::warning(spot, message).help(help));
        return None;
    }
    let text = |written: Option<At<&str>>, name: &str| {
        written.map(|at| at.value.to_owned()).or_else(|| context.var(name))
    };
    let url = match (url, host) {
        (None, Some(_)) => None,
        (url, _) => text(url, "REDIS_URL"),
    };
    let host = text(host, "REDIS_HOST");
    // That something of it is written says that there is one.
    let host = host.or_else(|| (is_written && is_redis).then(|| "localhost".to_owned()));
    if url.is_none() && host.is_none() {
        return None;
    }
    // Kubernetes sets REDIS_PORT to an address of its own.
    let from_env = || context.var("REDIS_PORT").and_then(|port| port.parse::<u16>().ok());
    let port = port.and_then(|at| u16::try_from(at.value).ok());
    let place = RedisPlace {
        url: url.map(Secret::new),
        host: host.unwrap_or_default().into(),
        port: port.or_else(from_env).unwrap_or(REDIS_PORT),
        tls: tls.map_or_else(
            || context.var("REDIS_SSL").is_some_and(|it| it.eq_ignore_ascii_case("true")),
            |at| at.value,
        ),
        username: text(username, "REDIS_USERNAME").map(Into::into),
        password: text(password, "REDIS_PASSWORD").map(Secret::new),
        db: db.map_or(0, |at| i64::from(at.value)),
        namespace: namespace.map_or_else(Box::default, |at| format!("{}:", at.value).into()),
        timeout: timeout.map_or(REDIS_TIMEOUT, |at| at.value),
    };
    if let Err(problem) = place.check() {
        context.problems.push(Finding::error(None, problem).help(
            "write `redis://user:password@host:6379/0`, or `host`, `port` and `password` under \
             `cache_params`",
        ));
        return None;
    }
    Some(place)
}
