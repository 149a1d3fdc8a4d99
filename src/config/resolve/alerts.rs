//! Who is told of what goes wrong, and of budgets: `alerting` and what belongs to it.

use std::sync::Arc;
use std::time::Duration;

use super::{Context, Sections};
use crate::alerts::kind::UNTOLD;
use crate::alerts::{Kind, Outages, Settings};
use crate::config::env::Env;
use crate::config::options::ALERTING_ARGS;
use crate::config::problem::{Finding, Problems, Spot, nearest};
use crate::config::section::{At, Section};
use crate::config::yaml::{Entry, Node};
use crate::secret::Secret;

const SLACK_URL: &str = "SLACK_WEBHOOK_URL";
const WEBHOOK_URL: &str = "WEBHOOK_URL";
/// Where LiteLLM's callbacks are listed; one of them is `slack`.
const CALLBACKS: [&str; 3] = ["callbacks", "success_callback", "failure_callback"];
/// Errors of one deployment that are remembered at most.
const ERRORS_MAX: u32 = 10_000;
const SPEND_DAYS_MAX: u16 = 366;

pub(super) fn read(sections: &mut Sections<'_>, context: &Context<'_>) -> Settings {
    let problems = context.problems;
    let by_callback = CALLBACKS.into_iter().find_map(|name| {
        let node = &sections.litellm.written(name)?.node;
        let alone = std::slice::from_ref(node);
        let mut named = node.list().unwrap_or(alone).iter();
        named.find(|node| node.text() == Some("slack")).map(|node| node.spot)
    });
    let general = &mut sections.general;
    let mut settings = Settings::default();
    arguments(general, context.env, &mut settings);
    if let Some(threshold) = time(general, "alerting_threshold") {
        settings.threshold = threshold;
    }
    if let Some(days) = general.text("spend_report_frequency").and_then(|at| days(at, problems)) {
        settings.spend_days = days;
    }
    settings.proxy_url = variable(context.env, "PROXY_BASE_URL").map(Into::into);
    let wanted = kinds(general);
    let by_kind = general.entry("alert_to_webhook_url");
    let mut channels = general.texts("alerting").unwrap_or_default();
    if let Some(spot) = by_callback.filter(|_| channels.iter().all(|at| at.value != "slack")) {
        channels.push(At { value: "slack", spot });
    }
    let addresses = Addresses { problems, own: own(by_kind, problems) };
    let mut slack = None;
    for At { value, spot } in channels {
        match value {
            "slack" => {
                let default = variable(context.env, SLACK_URL);
                slack = Some(addresses.of_kinds(&wanted, default.as_deref(), spot));
            }
            "webhook" => {
                let found = variable(context.env, WEBHOOK_URL);
                if found.is_none() {
                    unknown(spot, "`webhook` is to be told", WEBHOOK_URL, problems);
                }
                settings.webhook = found.and_then(|url| addresses.url(&url, spot, "webhook"));
            }
            other => {
                let message = format!("no alert is sent by `{other}`");
                problems.push(Finding::warning(spot, message).help("write `slack` or `webhook`"));
            }
        }
    }
    if !wanted.contains(&Kind::Budgets) {
        settings.webhook = None;
    }
    let has_channel = slack.is_some();
    for (kind, urls) in slack.into_iter().flatten() {
        settings.tell(kind, urls);
    }
    if settings.webhook.is_some() && !has_channel {
        settings.tell(Kind::Budgets, Arc::from([]));
    }
    settings
}

/// `alerting_args`.
fn arguments(general: &mut Section<'_>, env: &dyn Env, settings: &mut Settings) {
    let problems = general.problems;
    let mut args = general.section("alerting_args", &ALERTING_ARGS);
    let from_env = || variable(env, "SLACK_DAILY_REPORT_FREQUENCY")?.parse().ok();
    let written = time(&mut args, "daily_report_frequency");
    let every = written.or_else(|| from_env().filter(|at| *at > 0).map(Duration::from_secs));
    let mut times = [
        (every, &mut settings.report_every),
        (time(&mut args, "report_check_interval"), &mut settings.check_reports_every),
        (args.seconds("budget_alert_ttl").map(|at| at.value), &mut settings.budget_ttl),
        (time(&mut args, "outage_alert_ttl"), &mut settings.outages.ttl),
        (time(&mut args, "region_outage_alert_ttl"), &mut settings.region_outage_ttl),
    ];
    for (written, into) in &mut times {
        if let Some(written) = written {
            **into = *written;
        }
    }
    // Reports are of whole seconds.
    settings.report_every = Duration::from_secs(settings.report_every.as_secs().max(1));
    let mut count = |name, into: &mut usize| {
        if let Some(at) = args.between(name, 1..=ERRORS_MAX) {
            *into = at.value as usize;
        }
    };
    let Outages { minor, major, list_max, .. } = &mut settings.outages;
    count("minor_outage_alert_threshold", minor);
    count("major_outage_alert_threshold", major);
    count("max_outage_alert_list_size", list_max);
    if let Some(at) = args.flag("log_to_console") {
        settings.log_to_console = at.value;
    }
    let (minor, major, list_max) = (*minor, *major, *list_max);
    if list_max < minor.max(major) {
        let spot = args.spot_of("max_outage_alert_list_size");
        let message = format!(
            "no more than {list_max} errors are remembered, so an outage of {} is never told",
            minor.max(major)
        );
        let help = "raise `max_outage_alert_list_size`";
        problems.push(Finding::warning(spot, message).help(help));
    }
    args.finish();
}

/// A time that is not nothing.
fn time(section: &mut Section<'_>, name: &'static str) -> Option<Duration> {
    let At { value, spot } = section.seconds(name)?;
    if value.is_zero() {
        let message = format!("`{name}` must be more than 0");
        section.problems.push(Finding::error(spot, message));
    }
    Some(value)
}

/// `7d`: how many days.
fn days(at: At<&str>, problems: &Problems) -> Option<u16> {
    let days = at.value.trim().strip_suffix(['d', 'D']).and_then(|days| days.parse::<u16>().ok());
    let days = days.filter(|days| (1..=SPEND_DAYS_MAX).contains(days));
    if days.is_none() {
        let message = format!("`spend_report_frequency` must be days, found `{}`", at.value);
        let help = "write `7d`, or another number of days up to `366d`";
        problems.push(Finding::error(at.spot, message).help(help));
    }
    days
}

/// `alert_types`; all that there are if it says nothing, as in LiteLLM.
fn kinds(general: &mut Section<'_>) -> Vec<Kind> {
    let Some(written) = general.texts("alert_types") else { return Kind::ALL.to_vec() };
    let known = |at: &At<&str>| kind(at.value, at.spot, general.problems);
    written.iter().filter_map(known).collect()
}

fn kind(word: &str, spot: Spot, problems: &Problems) -> Option<Kind> {
    let kind = Kind::of(word);
    if kind.is_none() {
        let is_known = UNTOLD.contains(&word);
        let near = nearest(word, Kind::ALL.into_iter().map(Kind::word));
        let (message, help) = match near.filter(|_| !is_known) {
            Some((near, _)) => {
                (format!("`{word}` is no type of alert"), Some(format!("did you mean `{near}`?")))
            }
            None if is_known => (format!("nobody is told of `{word}` in this version"), None),
            None => (format!("`{word}` is no type of alert"), None),
        };
        problems.push(Finding::warning(spot, message).maybe_help(help));
    }
    kind
}

/// What `alert_to_webhook_url` says.
fn own<'a>(entry: Option<&'a Entry>, problems: &Problems) -> Vec<(Kind, &'a Entry)> {
    let Some(entry) = entry else { return Vec::new() };
    let Some(entries) = entry.node.map() else {
        let message = format!("`{}` must be a mapping, found {}", entry.key, entry.node.found(""));
        problems.push(Finding::error(entry.spot, message).help("write `name: value` lines"));
        return Vec::new();
    };
    let known = |entry: &'a Entry| Some((kind(&entry.key, entry.spot, problems)?, entry));
    entries.iter().filter_map(known).collect()
}

/// The addresses that are written.
struct Addresses<'a> {
    problems: &'a Problems,
    own: Vec<(Kind, &'a Entry)>,
}

impl Addresses<'_> {
    /// Where each of the kinds goes.
    fn of_kinds(
        &self,
        kinds: &[Kind],
        url: Option<&str>,
        spot: Spot,
    ) -> Vec<(Kind, Arc<[Secret]>)> {
        let default = url.and_then(|url| self.url(url, spot, "slack"));
        let default: Arc<[Secret]> = default.into_iter().collect();
        let mut lacking = Vec::new();
        let mut all = Vec::new();
        for kind in Kind::ALL.into_iter().filter(|kind| kinds.contains(kind)) {
            let own = self.own.iter().find(|(own, _)| *own == kind);
            let urls = own.map_or_else(|| Arc::clone(&default), |(_, entry)| self.written(entry));
            if url.is_none() && own.is_none() {
                lacking.push(kind.word());
            }
            all.push((kind, urls));
        }
        if !lacking.is_empty() {
            let what = match lacking.len() == all.len() {
                true => "`slack` is to be told".to_owned(),
                false => format!("`slack` is to be told of `{}`", lacking.join("`, `")),
            };
            unknown(spot, &what, SLACK_URL, self.problems);
        }
        all
    }

    /// One address, or a list.
    fn written(&self, entry: &Entry) -> Arc<[Secret]> {
        let alone: &[Node] = std::slice::from_ref(&entry.node);
        let nodes = entry.node.list().unwrap_or(alone);
        let urls = nodes.iter().filter_map(|node| match node.text() {
            Some(url) => self.url(url.trim(), node.spot, &entry.key),
            None if node.is_unresolved() => None,
            None => {
                let message = format!("`{}` takes URLs", entry.key);
                self.problems.push(Finding::error(node.spot, message));
                None
            }
        });
        urls.collect()
    }

    fn url(&self, url: &str, spot: Spot, name: &str) -> Option<Secret> {
        // Whoever knows it may write there.
        self.problems.keep_secret(url);
        let is_url = url.parse::<http::Uri>().is_ok_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some()
        });
        if !is_url {
            let message = format!("the URL by which `{name}` is told is none");
            self.problems.push(Finding::error(spot, message).help("write `https://host/path`"));
        }
        is_url.then(|| Secret::new(url))
    }
}

fn unknown(spot: Spot, what: &str, variable: &str, problems: &Problems) {
    let message = format!("{what}, and no URL is known for it");
    problems.push(Finding::warning(spot, message).help(format!("set the variable {variable}")));
}

fn variable(env: &dyn Env, name: &str) -> Option<String> {
    env.var(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}
