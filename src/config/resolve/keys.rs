//! Keys that are written in the file (`key_settings`), and how long others are believed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use jiff::Timestamp;

use super::Sections;
use crate::config::options::{KEY, KEY_BUDGET, KEY_RATE_LIMIT};
use crate::config::problem::{Finding, Problems};
use crate::config::section::{At, Section};
use crate::config::yaml::Node;
use crate::keys::record::{Allowance, Key};
use crate::keys::ring::{KEYS_MAX, Settings};
use crate::keys::{Budgets, KeyHash, Principal, masked};
use crate::secret::Secret;
use crate::spend::Period;

/// For how long known keys are let in without the database, where that was not asked for and where it
/// was.
const GRACE: Duration = Duration::from_secs(600);
const LONG_GRACE: Duration = Duration::from_secs(24 * 3_600);

/// Keys in memory, at most.
const CAPACITY_MAX: u32 = 100_000_000;

/// By their hashes.
pub(super) type Keys = BTreeMap<KeyHash, Arc<Principal>>;

pub(super) fn static_keys(sections: &mut Sections<'_>, master_key: Option<&Secret>) -> Keys {
    let problems = sections.top.problems;
    let mut keys = Keys::new();
    let Some(entry) = sections.top.entry("key_settings") else { return keys };
    let Some(items) = entry.node.list() else {
        let found = entry.node.found("");
        let message = format!("`key_settings` must be a list, found {found}");
        let help = "write `- api_key: os.environ/TEAM_A_KEY` for each key";
        problems.push(Finding::error(entry.value_spot(), message).help(help));
        return keys;
    };
    for item in items {
        let Some(At { value: key, spot }) = key(item, master_key, problems) else { continue };
        let hash = key.token;
        let holder = Principal::new(key, None, None, None, &Budgets::new()).of_file();
        if keys.insert(hash, Arc::new(holder)).is_some() {
            problems.push(Finding::error(spot, "the same key is written twice"));
        }
    }
    keys
}

fn key(item: &Node, master_key: Option<&Secret>, problems: &Problems) -> Option<At<Key>> {
    let mut section = Section::new(&KEY, item, item.spot, problems);
    let written = section.text("api_key");
    if written.is_none() && !section.has("api_key") {
        let finding = Finding::error(section.spot, "an entry of `key_settings` needs an `api_key`");
        problems.push(finding.help("write `api_key: os.environ/TEAM_A_KEY`"));
    }
    if let Some(At { value, spot }) = written
        && master_key.is_some_and(|master| master.matches(value.as_bytes()))
    {
        let message = "this is the master key: its limits would never be looked at";
        problems.push(Finding::error(spot, message).help("give this one a key of its own"));
    }
    let text = |at: At<&str>| at.value.to_owned();
    let list = |list: Vec<At<&str>>| list.into_iter().map(text).collect();
    let alias = section.text("alias").map(text);
    let models = section.texts("models").map(list).unwrap_or_default();
    let tags = section.texts("tags").map(list).unwrap_or_default();
    let (user_id, team_id) = (section.text("user").map(text), section.text("team").map(text));
    let aliases = section.entry("aliases").map(|entry| {
        serde_json::from_str(&entry.node.json()).unwrap_or_else(|_| {
            let message = "`aliases` must be a mapping of names to groups";
            problems.push(Finding::error(entry.value_spot(), message));
            Default::default()
        })
    });
    let expires = section.text("expires").and_then(|At { value, spot }| {
        let read = value.parse::<Timestamp>();
        if read.is_err() {
            let message = format!("`expires` is `{value}`, which is not a time");
            let help = "write `2027-01-31T00:00:00Z`";
            problems.push(Finding::error(spot, message).help(help));
        }
        read.ok()
    });
    let blocked = section.flag("blocked").is_some_and(|at| at.value);
    let mut limits = section.section("rate_limit", &KEY_RATE_LIMIT);
    let mut budget = section.section("budget", &KEY_BUDGET);
    let rates = Allowance {
        rpm_limit: limits.positive("requests_per_minute").map(|at| at.value),
        tpm_limit: limits.positive("tokens_per_minute").map(|at| at.value),
        max_parallel_requests: limits.positive("max_parallel_requests").map(|at| at.value),
        soft_budget: budget.number("soft_budget").map(|at| at.value),
        ..Allowance::default()
    };
    let (max_budget, budget_duration) = amount(&mut budget, problems);
    limits.finish();
    budget.finish();
    section.finish();
    let At { value, spot } = written?;
    let key = Key {
        token: KeyHash::of(value.as_bytes()),
        account: None,
        replaced_by: None,
        key_name: masked(value),
        key_alias: alias,
        user_id,
        team_id,
        organization_id: None,
        models,
        aliases: aliases.unwrap_or_default(),
        allowance: Allowance { max_budget, budget_duration, ..rates },
        model_rpm_limit: Default::default(),
        model_tpm_limit: Default::default(),
        model_max_budget: Default::default(),
        key_type: Default::default(),
        allowed_routes: Vec::new(),
        expires,
        blocked,
        tags,
        logging: None,
        metadata: Default::default(),
        history: Default::default(),
    };
    Some(At { value: key, spot })
}

/// The amount of a budget and its period; there is one.
fn amount(budget: &mut Section<'_>, problems: &Problems) -> (Option<f64>, Option<String>) {
    let duration = budget.text("budget_duration");
    if let Some(At { value, spot }) = duration
        && let Err(error) = value.parse::<Period>()
    {
        problems.push(Finding::error(spot, format!("`budget_duration`: {error}")));
    }
    let written = [
        (budget.number("monthly_limit"), Some("monthly")),
        (budget.number("weekly_limit"), Some("weekly")),
        (budget.number("daily_limit"), Some("daily")),
        (budget.number("max_budget"), duration.map(|at| at.value)),
    ];
    let mut written = written.into_iter().filter_map(|(amount, period)| Some((amount?, period)));
    let first = written.next();
    if let Some((second, _)) = written.next() {
        let message = "a key has one budget, and this is a second one";
        problems.push(Finding::error(second.spot, message).help("leave one of them"));
    }
    if let Some(At { spot, .. }) = duration
        && budget.written("max_budget").is_none()
    {
        let message = "`budget_duration` is the period of `max_budget`, which is not written";
        problems.push(Finding::error(spot, message).help("add `max_budget`"));
    }
    let (amount, period) = first.map_or((None, None), |(amount, period)| (Some(amount), period));
    (amount.map(|at| at.value), period.map(str::to_owned))
}

/// How long virtual keys are believed, and how many are kept.
pub(super) fn ring(sections: &mut Sections<'_>) -> (Settings, u64) {
    let general = &mut sections.general;
    let default = Settings::default();
    let age = general.seconds("user_api_key_cache_ttl").map_or(default.age, |at| at.value);
    let unknown = general.seconds("invalid_virtual_key_cache_ttl");
    let long = general.flag("allow_requests_on_db_unavailable").is_some_and(|at| at.value);
    let capacity = general.count("user_api_key_cache_max_size", CAPACITY_MAX);
    let litellm = &mut sections.litellm;
    let max_budget = litellm.number("max_internal_user_budget").map(|at| at.value);
    let duration = litellm.text("internal_user_budget_duration");
    if let Some(At { value, spot }) = duration
        && let Err(error) = value.parse::<Period>()
    {
        let message = format!("`internal_user_budget_duration`: {error}");
        litellm.problems.push(Finding::error(spot, message));
    }
    let settings = Settings {
        age,
        unknown_age: unknown.map_or(default.unknown_age, |at| at.value),
        grace: if long { LONG_GRACE } else { GRACE },
        user_defaults: Allowance {
            max_budget,
            budget_duration: duration
                .map(|at| at.value.to_owned())
                .filter(|_| max_budget.is_some()),
            ..Allowance::default()
        },
        end_user_budget: litellm.text("max_end_user_budget_id").map(|at| at.value.into()),
    };
    (settings, capacity.map_or(KEYS_MAX, |at| at.value.into()))
}

/// Headers that name the end user.
pub(super) fn end_user_headers(sections: &mut Sections<'_>) -> Vec<HeaderName> {
    let general = &mut sections.general;
    let problems = general.problems;
    let name = |value: &str, spot| {
        let name = value.parse::<HeaderName>();
        if name.is_err() {
            let message = format!("`{value}` cannot be the name of a header");
            problems.push(Finding::error(spot, message));
        }
        name.ok()
    };
    let mut headers = Vec::new();
    if let Some(entry) = general.entry("user_header_mappings") {
        for (item, header, role) in mappings(&entry.node) {
            match (header, role) {
                // Other roles are of users, and a key says whose it is.
                (Some(header), Some("customer")) => headers.extend(name(header, item.spot)),
                (Some(_), Some(_)) => problems.push(Finding::warning(
                    item.spot,
                    "only headers of the role `customer` are looked at: a key says whose it is",
                )),
                _ => {
                    let message = "an entry of `user_header_mappings` needs a header and a role";
                    let help = "write `header_name: x-user` and `litellm_user_role: customer`";
                    problems.push(Finding::error(item.spot, message).help(help));
                }
            }
        }
    }
    let single = general.text("user_header_name");
    headers.extend(single.and_then(|At { value, spot }| name(value, spot)));
    headers
}

/// The entries of a list, or the one that stands alone.
fn mappings(node: &Node) -> impl Iterator<Item = (&Node, Option<&str>, Option<&str>)> {
    let items = node.list().unwrap_or_else(|| std::slice::from_ref(node));
    items.iter().map(|item| {
        let field = |name: &str| {
            let entry = item.map()?.iter().find(|entry| &*entry.key == name)?;
            entry.node.text()
        };
        (item, field("header_name"), field("litellm_user_role"))
    })
}
