//! The program's own log: text or JSON lines on standard error.
//!
//! Messages are constant sentences, facts are fields. Levels: `error` somebody must act; `warn`
//! somebody should look; `info` the life of the process; `debug` the life of a request. Nothing
//! that happens once for each request is above `debug`: that is what the access log is for.
//! No level shows keys, prompts or replies.

use std::io::{self, IsTerminal};

use thiserror::Error;
use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// Variables that set the level, the first that is not empty wins. They go before the configuration
/// because whoever sets one is debugging.
pub const VARIABLES: [&str; 3] = ["TOLLGATE_LOG", "LITELLM_LOG", "RUST_LOG"];

/// Libraries whose own idea of `info` is noise here, and what they may say up to which level of
/// ours. Pingora logs every connection that a client resets as an error of its proxy.
const QUIET: [(&str, &str, &str); 7] = [
    // Target, below `debug`, from `debug` on.
    ("pingora_proxy", "off", "warn"),
    ("pingora_core", "warn", "info"),
    ("pingora_load_balancing", "warn", "info"),
    ("pingora", "warn", "info"),
    ("rustls", "error", "warn"),
    ("h2", "error", "warn"),
    ("hyper", "error", "warn"),
];

/// Why the log could not be set up.
#[derive(Debug, Error)]
pub enum LoggingError {
    #[error("`{filter}` is no log level: expected error, warn, info, debug, trace, or directives")]
    Filter { filter: String },
    #[error("a log is already set up: {0}")]
    Twice(#[from] TryInitError),
}

/// Starts the log. Call it once, before the server is built; records of the `log` crate, which
/// Pingora uses, arrive here too.
///
/// `level` is the configuration's; `variable` looks into the environment.
///
/// # Errors
/// If the level is none, or a log was set up before.
pub fn init(
    level: &str,
    json: bool,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<(), LoggingError> {
    let directives = directives(level, variable);
    let filter = EnvFilter::try_new(&directives)
        .map_err(|_| LoggingError::Filter { filter: directives.clone() })?;
    let log = tracing_subscriber::registry().with(filter).with(filter_fn(is_discreet));
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        // It would be told on standard error too, in a way that panics if that is closed.
        .log_internal_errors(false);
    if json {
        let lines = lines.json().flatten_event(true);
        log.with(lines.with_current_span(false).with_span_list(false)).try_init()?;
    } else {
        log.with(lines.with_ansi(io::stderr().is_terminal())).try_init()?;
    }
    Ok(())
}

/// Whether a record may be written at all, whatever the level. Below `info` the libraries write
/// whole heads and bodies, with the keys and prompts in them.
fn is_discreet(record: &Metadata<'_>) -> bool {
    let ours = record.target().split("::").next() == Some(env!("CARGO_PKG_NAME"));
    ours || *record.level() <= Level::INFO
}

/// The filter's text: a bare level is completed with the quiet libraries, directives are taken as
/// they are.
fn directives(level: &str, variable: impl Fn(&str) -> Option<String>) -> String {
    let wanted = VARIABLES
        .iter()
        .filter_map(|name| variable(name))
        .find(|value| !value.trim().is_empty())
        .unwrap_or_else(|| level.to_owned());
    let wanted = wanted.trim();
    if wanted.contains(['=', ',']) {
        return wanted.to_owned();
    }
    let level = match wanted.to_ascii_lowercase().as_str() {
        // Python's words, as LiteLLM's users write them.
        "warning" => "warn".to_owned(),
        "critical" | "fatal" => "error".to_owned(),
        other => other.to_owned(),
    };
    let mut directives = level.clone();
    // At `trace` the libraries may say what they may ever say.
    if level == "trace" || level == "off" || level == "error" {
        return directives;
    }
    for (target, usually, debugging) in QUIET {
        let level = if level == "debug" { debugging } else { usually };
        directives.push_str(&format!(",{target}={level}"));
    }
    directives
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none(_: &str) -> Option<String> {
        None
    }

    #[test]
    fn a_bare_level_quietens_the_libraries() {
        let info = directives("INFO", none);
        assert!(info.starts_with("info,pingora_proxy=off,pingora_core=warn"), "{info}");
        assert!(directives("debug", none).contains("pingora_core=info"));
        assert_eq!(directives("trace", none), "trace");
        assert_eq!(directives("error", none), "error");
    }

    #[test]
    fn variables_go_before_the_configuration_in_their_order() {
        let both = |name: &str| match name {
            "TOLLGATE_LOG" => Some(" ".to_owned()),
            "LITELLM_LOG" => Some("WARNING".to_owned()),
            "RUST_LOG" => Some("trace".to_owned()),
            _ => None,
        };
        assert!(directives("info", both).starts_with("warn,"));
    }

    #[test]
    fn directives_are_taken_as_written_and_all_filters_parse() {
        let rust_log = |name: &str| (name == "RUST_LOG").then(|| "info,h2=trace".to_owned());
        assert_eq!(directives("warn", rust_log), "info,h2=trace");
        for level in ["error", "warn", "info", "debug", "trace", "critical"] {
            EnvFilter::try_new(directives(level, none)).unwrap();
        }
    }
}
