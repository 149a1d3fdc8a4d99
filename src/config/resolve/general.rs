//! Who may call, the bounds of the data path, and what is logged.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;

use super::{Context, Sections, keys};
use crate::config::problem::{self, Finding, Problems, Spot, nearest};
use crate::config::section::{At, Section, first};
use crate::secret::Secret;
use crate::snapshot::{Access, Logs, Traffic};

/// Variables that hold the master key where the file holds none.
const MASTER_KEY_VARS: [&str; 2] = ["TOLLGATE_MASTER_KEY", "LITELLM_MASTER_KEY"];

/// Keys that stand in articles and examples, and so in every scanner's list.
const WELL_KNOWN_KEYS: [&str; 16] = [
    "1234",
    "admin",
    "change-me",
    "changeme",
    "master-key",
    "my-master-key",
    "password",
    "secret",
    "sk-1234",
    "sk-12345",
    "sk-123456",
    "sk-1234567890",
    "sk-1234567890abcdef",
    "sk-master-key",
    "sk-your-master-key",
    "your-secret-key-here",
];

/// A key with fewer characters can be guessed.
const KEY_CHARS_MIN: usize = 8;

/// The defaults of the data path; the table of options shows the same numbers.
const MAX_BODY_MB: f64 = 64.0;
const TOTAL_TIMEOUT: Duration = Duration::from_secs(6_000);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const CLIENT_HEADER_TIMEOUT: Duration = Duration::from_secs(60);
const CLIENT_BODY_TIMEOUT: Duration = Duration::from_secs(60);
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(600);
const STREAM_IDLE_TIMEOUT: Duration = Duration::from_secs(300);
const HEARTBEAT: Duration = Duration::from_secs(15);
const DRAIN_TIMEOUT: Duration = Duration::from_secs(60);
const TOOL_CALL_MEMORY: Duration = Duration::from_secs(3_600);

/// Holds what credentials in the database are sealed with.
const SALT_VAR: &str = "LITELLM_SALT_KEY";

/// Largest body that an option may allow, in megabytes.
const BODY_MB_MAX: f64 = 2_048.0;

pub(super) fn access(sections: &mut Sections<'_>, context: &Context<'_>, fragment: bool) -> Access {
    let problems = context.problems;
    let has_keys = sections.top.has("key_settings");
    let general = &mut sections.general;
    let weak_is_fine = general.flag("dangerously_permit_weak_or_unset_master_key");
    let weak_is_fine = weak_is_fine.is_some_and(|at| at.value);
    let written = general.text("master_key");
    let from_env = || MASTER_KEY_VARS.iter().find_map(|name| context.var(name));
    let key = written.map(|at| at.value.to_owned()).or_else(from_env);
    let spot = written.map(|at| at.spot);
    match &key {
        Some(key) if !weak_is_fine && is_weak(key) => problems.push(
            Finding::warning(spot, "the master key is well known or short: anyone can guess it")
                .help(
                    "write `master_key: os.environ/LITELLM_MASTER_KEY` and set a long random key",
                ),
        ),
        // A variable that is not set has been reported, and is no decision to have no key.
        None if !fragment && !has_keys && !general.has("master_key") => problems
            .push(Finding::warning(None, problem::NO_MASTER_KEY).help(
                "write `master_key: os.environ/LITELLM_MASTER_KEY` under `general_settings`",
            )),
        Some(_) | None => {}
    }
    let key_header = general.text("litellm_key_header_name").and_then(|At { value, spot }| {
        let name = value.parse::<HeaderName>();
        if name.is_err() {
            let message = format!("`{value}` cannot be the name of a header");
            problems.push(Finding::error(spot, message));
        }
        name.ok()
    });
    let metrics = first([
        general.flag("require_auth_for_metrics_endpoint"),
        sections.litellm.flag("require_auth_for_metrics_endpoint"),
    ]);
    let master_key = key.map(Secret::new);
    let salt = context.env.var(SALT_VAR).filter(|salt| !salt.is_empty()).map(Secret::new);
    let static_keys = Arc::new(keys::static_keys(sections, master_key.as_ref()));
    let (ring, ring_capacity) = keys::ring(sections);
    let enforces = sections.general.flag("enforce_fallback_model_access");
    Access {
        salt: salt.or_else(|| master_key.clone()),
        enforces_fallbacks: enforces.is_some_and(|at| at.value),
        end_user_headers: keys::end_user_headers(sections),
        master_key,
        static_keys,
        ring: Arc::new(ring),
        ring_capacity,
        key_header,
        require_auth_for_metrics: metrics.is_some_and(|at| at.value),
        cors_origins: origins(&mut sections.general),
    }
}

fn is_weak(key: &str) -> bool {
    WELL_KNOWN_KEYS.contains(&key.to_ascii_lowercase().as_str()) || key.len() < KEY_CHARS_MIN
}

fn origins(general: &mut Section<'_>) -> Vec<Box<str>> {
    let mut origins = Vec::new();
    for At { value, spot } in general.texts("cors_allow_origins").unwrap_or_default() {
        let rest = value.strip_prefix("https://").or_else(|| value.strip_prefix("http://"));
        if value == "*" || rest.is_some_and(|host| !host.is_empty() && !host.contains('/')) {
            origins.push(value.into());
        } else {
            let message = format!("`{value}` is not an origin");
            let help = "write `https://app.example.com`: scheme and host, no path; `*` for all";
            general.problems.push(Finding::error(spot, message).help(help));
        }
    }
    origins
}

pub(super) fn traffic(sections: &mut Sections<'_>, context: &Context<'_>) -> Traffic {
    let (general, litellm) = (&mut sections.general, &mut sections.litellm);
    let max_parallel = first([
        general.positive("global_max_parallel_requests"),
        litellm.positive("max_parallel_requests"),
    ]);
    // Zero is how one says never; it is not a time.
    let heartbeat = first([
        general.seconds("heartbeat"),
        litellm.seconds("sse_keepalive_ping_interval_seconds"),
    ]);
    let heartbeat = heartbeat.map_or(HEARTBEAT, |at| at.value);
    let memory = general.seconds("tool_call_memory").map_or(TOOL_CALL_MEMORY, |at| at.value);
    let time = |found: Option<At<Duration>>, default| found.map_or(default, |at| at.value);
    let total = general.timeout("total_timeout");
    let connect = general.timeout("connect_timeout");
    let client_header = general.timeout("client_header_timeout");
    let client_body = general.timeout("client_body_timeout");
    let first_byte = general.timeout("first_byte_timeout");
    let stream_idle = general.timeout("stream_idle_timeout");
    let passed_idle = general.timeout("pass_through_request_timeout");
    let drain = general.timeout("drain_timeout");
    Traffic {
        max_request_bytes: megabytes(general, "max_request_size_mb", context.problems),
        max_response_bytes: megabytes(general, "max_response_size_mb", context.problems),
        total_timeout: time(total, TOTAL_TIMEOUT),
        connect_timeout: time(connect, CONNECT_TIMEOUT),
        client_header_timeout: time(client_header, CLIENT_HEADER_TIMEOUT),
        client_body_timeout: time(client_body, CLIENT_BODY_TIMEOUT),
        first_byte_timeout: time(first_byte, FIRST_BYTE_TIMEOUT),
        stream_idle_timeout: time(stream_idle, STREAM_IDLE_TIMEOUT),
        passed_idle_timeout: time(passed_idle.or(stream_idle), STREAM_IDLE_TIMEOUT),
        drain_timeout: time(drain, DRAIN_TIMEOUT),
        heartbeat: (!heartbeat.is_zero()).then_some(heartbeat),
        max_parallel_requests: max_parallel.and_then(|at| usize::try_from(at.value).ok()),
        drop_params: litellm.flag("drop_params").is_some_and(|at| at.value),
        modify_params: litellm.flag("modify_params").is_some_and(|at| at.value),
        tool_call_memory: (!memory.is_zero()).then_some(memory),
        tls: tls(general, context),
    }
}

/// In bytes.
fn megabytes(general: &mut Section<'_>, name: &'static str, problems: &Problems) -> usize {
    let written = general.number(name);
    let value = written.map_or(MAX_BODY_MB, |at| at.value);
    if let Some(At { value, spot }) = written
        && !(0.001..=BODY_MB_MAX).contains(&value)
    {
        let message = format!("`{name}` must be between 0.001 and {BODY_MB_MAX}, found `{value}`");
        problems.push(Finding::error(spot, message));
    }
    // Saturates at the ends of the range, which were refused above.
    (value * 1_048_576.0) as usize
}

fn tls(general: &mut Section<'_>, context: &Context<'_>) -> Option<(Box<str>, Box<str>)> {
    let certificate = general.text("ssl_certfile_path");
    let key = general.text("ssl_keyfile_path");
    match (certificate, key) {
        (Some(certificate), Some(key)) => {
            Some((context.file(certificate.value), context.file(key.value)))
        }
        (None, None) => None,
        (Some(At { spot, .. }), None) => lacks(context, spot, "ssl_keyfile_path"),
        (None, Some(At { spot, .. })) => lacks(context, spot, "ssl_certfile_path"),
    }
}

fn lacks<T>(context: &Context<'_>, spot: Spot, name: &str) -> Option<T> {
    let message = format!("TLS takes a certificate and its key: `{name}` is missing");
    context.problems.push(Finding::error(spot, message));
    None
}

const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

pub(super) fn logs(sections: &mut Sections<'_>, context: &Context<'_>) -> Logs {
    let litellm = &mut sections.litellm;
    let verbose = litellm.flag("set_verbose").is_some_and(|at| at.value);
    let written = litellm.text("log_level");
    let level = match written {
        Some(At { value, spot }) => level(value).unwrap_or_else(|| {
            let help = match nearest(value, LEVELS) {
                Some((near, _)) => format!("did you mean `{near}`?"),
                None => format!("write one of {}", LEVELS.map(|l| format!("`{l}`")).join(", ")),
            };
            let message = format!("`log_level` is `{value}`, which is not a level");
            context.problems.push(Finding::error(spot, message).help(help));
            "info"
        }),
        None if verbose => "debug",
        None => context.env.var("LITELLM_LOG").and_then(|value| level(&value)).unwrap_or("info"),
    };
    let to_file = litellm.flag("log_to_file");
    let path = litellm.text("log_file_path");
    if let (Some(At { value: true, spot }), None) = (to_file, path) {
        let message = "`log_to_file` is on, and `log_file_path` does not say which file";
        context.problems.push(Finding::error(spot, message).help("add `log_file_path`"));
    }
    let general = &mut sections.general;
    Logs {
        level: level.into(),
        json: sections.litellm.flag("json_logs").is_some_and(|at| at.value),
        access_log: general.flag("access_log").is_none_or(|at| at.value),
        file: path.filter(|_| to_file.is_none_or(|at| at.value)).map(|at| context.file(at.value)),
    }
}

/// The level in our word, from Python's or ours.
fn level(written: &str) -> Option<&'static str> {
    let lower = written.to_ascii_lowercase();
    let ours = match lower.as_str() {
        "warning" => "warn",
        "critical" | "fatal" => "error",
        other => other,
    };
    LEVELS.into_iter().find(|level| *level == ours)
}
