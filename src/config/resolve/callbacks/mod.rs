//! `callbacks`, `success_callback`, `failure_callback`, `default_team_settings`: who is told, with the options
//! and variables that each of them is given.
//!
//! A callback that lacks something is warned about and left out, as LiteLLM starts without it, too.

mod post;
mod s3;
mod teams;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{Context, Sections};
use crate::callbacks::{Settings, SinkSettings, Target, own};
use crate::config::problem::{Finding, Problems, Spot, nearest};
use crate::config::section::At;
use crate::config::yaml::Entry;

/// The lists, and what their callbacks are told: successes, failures.
const LISTS: [(&str, bool, bool); 3] = [
    ("callbacks", true, true),
    ("success_callback", true, false),
    ("failure_callback", false, true),
];

/// Metrics need no callback; traces and alerts have settings of their own.
const ELSEWHERE: [&str; 3] = ["prometheus", "otel", "slack"];

/// Those that need no entry of `callback_settings`.
const KNOWN: [&str; 6] = ["generic_api", "webhook", "langfuse", "datadog", "s3", "s3_v2"];

/// LiteLLM's.
const BATCH: u64 = 512;
const FLUSH_SECONDS: f64 = 5.0;
const S3_FLUSH_SECONDS: f64 = 10.0;
/// The most that Datadog takes at once.
const DATADOG_BATCH: u64 = 1_000;
const BATCH_MAX: u64 = 10_000;

const DISK_MB: f64 = 256.0;
const DISK_MB_MAX: f64 = 1_048_576.0;

/// Its entry of `callback_settings` is that of the traces.
const OTEL: &str = "otel";

/// The folder beside that of the journal.
const FOLDER: &str = "callbacks";

/// A callback as it is listed.
struct Named<'a> {
    name: &'a str,
    spot: Spot,
    successes: bool,
    failures: bool,
}

pub(super) fn read(sections: &mut Sections<'_>, context: &Context<'_>, journal: &Path) -> Settings {
    let named = named(sections);
    let own = sections.top.entry("callback_settings");
    let own: &[Entry] = match own.map(|entry| (entry, entry.node.map())) {
        None => &[],
        Some((_, Some(entries))) => entries,
        Some((entry, None)) => {
            let found = entry.node.found("");
            let message = format!("`callback_settings` must be a mapping, found {found}");
            let help = "write the names of callbacks, and below each its settings";
            context.problems.push(Finding::error(entry.spot, message).help(help));
            &[]
        }
    };
    let own = own.iter().filter(|entry| &*entry.key != OTEL);
    let own: Vec<_> = own.filter_map(|entry| post::Own::read(entry, context)).collect();
    let langfuse = post::Langfuse::read(sections);
    let bucket = s3::Written::read(sections, context);
    let var = Variables { context };
    let mut sinks = Vec::new();
    for Named { name, spot, mut successes, mut failures } in named {
        let own = own.iter().find(|own| own.name == name);
        let target = match name {
            _ if own.is_some() => own.and_then(|own| own.target(spot, &var)),
            "generic_api" | "webhook" => post::generic(name, spot, &var),
            "langfuse" => langfuse.target(spot, &var),
            "datadog" => post::datadog(spot, &var),
            "s3" | "s3_v2" => bucket.target(name, spot, &var),
            other => {
                unknown(other, spot, context.problems);
                None
            }
        };
        let Some(target) = target else { continue };
        if let Some((of_success, of_failure)) = own.and_then(|own| own.events) {
            (successes, failures) = (successes && of_success, failures && of_failure);
        }
        let (batch, every) = var.pace(&target, spot);
        let name = name.into();
        let sink = SinkSettings { name, target, successes, failures, batch, every };
        sinks.push(Arc::new(sink));
    }
    let off = sections.litellm.flag("turn_off_message_logging");
    let hides = sections.litellm.flag("redact_user_api_key_info");
    Settings {
        wants_text: off.is_some_and(|at| !at.value),
        sinks,
        hides_callers: hides.is_some_and(|at| at.value),
        folder: journal.with_file_name(FOLDER),
        spill_bytes: disk_bytes(sections, context.problems),
        own: of_keys_and_teams(sections, &langfuse, &var),
    }
}

/// What callbacks of keys and teams follow.
fn of_keys_and_teams(
    sections: &mut Sections<'_>,
    langfuse: &post::Langfuse<'_>,
    var: &Variables<'_>,
) -> own::Settings {
    let name = "callback_allowed_hosts";
    let written = sections.general.texts(name).unwrap_or_default();
    for At { value, spot } in &written {
        if value.is_empty()
            || value.contains(['/', '@', '*'])
            || value.contains(char::is_whitespace)
        {
            let message = format!("`{name}`: `{value}` is no host");
            let help = "write `langfuse.example.com`, or `host:port`";
            var.context.problems.push(Finding::error(*spot, message).help(help));
        }
    }
    let number = |name: &str| var.get(name).and_then(|text| text.parse::<f64>().ok());
    let number = |name: &str| number(name).filter(|it| it.is_finite() && *it > 0.0);
    let batch = number("DEFAULT_BATCH_SIZE").unwrap_or(BATCH as f64).clamp(1.0, BATCH_MAX as f64);
    let every = number("DEFAULT_FLUSH_INTERVAL_SECONDS").unwrap_or(FLUSH_SECONDS).min(3_600.0);
    let mut settings = own::Settings {
        langfuse_host: langfuse.host(var).into(),
        default_tags: langfuse.default_tags(),
        hosts: written.iter().map(|at| at.value.into()).collect(),
        teams: BTreeMap::new(),
        batch: batch as usize,
        every: Duration::from_secs_f64(every),
    };
    settings.teams = teams::read(sections, &settings, var.context);
    settings
}

/// Each name once, with all that it is told.
fn named<'a>(sections: &mut Sections<'a>) -> Vec<Named<'a>> {
    let mut all: Vec<Named<'a>> = Vec::new();
    for (list, successes, failures) in LISTS {
        for At { value: name, spot } in sections.litellm.texts(list).unwrap_or_default() {
            if ELSEWHERE.contains(&name) {
                continue;
            }
            match all.iter_mut().find(|known| known.name == name) {
                Some(known) => {
                    known.successes |= successes;
                    known.failures |= failures;
                }
                None => all.push(Named { name, spot, successes, failures }),
            }
        }
    }
    all
}

fn unknown(name: &str, spot: Spot, problems: &Problems) {
    let known = KNOWN.into_iter().chain(ELSEWHERE);
    let help = match nearest(name, known.clone()) {
        Some((near, _)) => format!("did you mean `{near}`?"),
        None => {
            let known: Vec<_> = known.map(|name| format!("`{name}`")).collect();
            format!("there are {}; others by `callback_settings`", known.join(", "))
        }
    };
    let message = format!("`{name}` is not called: there is no such callback");
    problems.push(Finding::warning(spot, message).help(help));
}

fn disk_bytes(sections: &mut Sections<'_>, problems: &Problems) -> u64 {
    let name = "callback_disk_max_mb";
    let written = sections.general.number(name);
    let megabytes = written.map_or(DISK_MB, |at| at.value);
    if let Some(At { value, spot }) = written
        && !(1.0..=DISK_MB_MAX).contains(&value)
    {
        let message = format!("`{name}` must be between 1 and {DISK_MB_MAX}, found `{value}`");
        problems.push(Finding::error(spot, message));
    }
    // Saturates at the ends of the range, which were refused above.
    (megabytes * 1_048_576.0) as u64
}

/// The environment.
struct Variables<'a> {
    context: &'a Context<'a>,
}

impl Variables<'_> {
    fn get(&self, name: &str) -> Option<String> {
        self.context.var(name)
    }

    /// The same of one that nobody is to see.
    fn secret(&self, name: &str) -> Option<String> {
        self.get(name).inspect(|value| self.context.problems.keep_secret(value))
    }

    fn warn(&self, spot: Spot, message: String, help: &str) {
        self.context.problems.push(Finding::warning(spot, message).help(help));
    }

    /// How many at once, and how long the first one waits for the others.
    fn pace(&self, target: &Target, spot: Spot) -> (usize, Duration) {
        let (batch, usual, every, seconds) = match target {
            Target::Generic { .. } | Target::Langfuse { .. } => {
                ("DEFAULT_BATCH_SIZE", BATCH, "DEFAULT_FLUSH_INTERVAL_SECONDS", FLUSH_SECONDS)
            }
            Target::Datadog { .. } => {
                ("DD_BATCH_SIZE", DATADOG_BATCH, "DEFAULT_FLUSH_INTERVAL_SECONDS", FLUSH_SECONDS)
            }
            Target::S3(_) => (
                "DEFAULT_S3_BATCH_SIZE",
                BATCH,
                "DEFAULT_S3_FLUSH_INTERVAL_SECONDS",
                S3_FLUSH_SECONDS,
            ),
        };
        let most = if matches!(target, Target::Datadog { .. }) { DATADOG_BATCH } else { BATCH_MAX };
        let size = self.number(batch, usual as f64, spot).clamp(1.0, most as f64);
        let seconds = self.number(every, seconds, spot).min(3_600.0);
        (size as usize, Duration::from_secs_f64(seconds))
    }

    /// A number above zero.
    fn number(&self, name: &str, usual: f64, spot: Spot) -> f64 {
        let Some(written) = self.get(name) else { return usual };
        let number =
            written.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0);
        number.unwrap_or_else(|| {
            let message = format!("`{name}` is `{written}`, which is no number above 0");
            self.warn(spot, message, &format!("{usual} is used"));
            usual
        })
    }
}

/// Whether something can be posted there.
fn is_url(text: &str) -> bool {
    text.parse::<http::Uri>()
        .is_ok_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some())
}
