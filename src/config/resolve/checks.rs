//! Health checks: which deployments are checked, how, how often, and what comes of it.

use std::time::Duration;

use super::Sections;
use crate::catalog::{CheckKind, HealthCheck};
use crate::config::problem::{Finding, nearest};
use crate::config::section::{At, Section, first};
use crate::snapshot::Checks;

/// LiteLLM's.
const INTERVAL: Duration = Duration::from_secs(300);
const CALL_TIMEOUT: Duration = Duration::from_secs(60);
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(5);
const CONCURRENCY: u32 = 8;
const CONCURRENCY_MAX: u32 = 1_000;

/// What holds for every deployment that says nothing else.
#[derive(Clone, Copy)]
pub(super) struct Defaults {
    /// `background_health_checks`.
    on: bool,
    mode: Mode,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Tcp,
    Http,
    Call,
}

const MODES: [(&str, Mode); 3] = [("call", Mode::Call), ("http", Mode::Http), ("tcp", Mode::Tcp)];

/// What `general_settings` and `router_settings` say. The last value: how old a result may be that
/// routing heeds, if it heeds any.
pub(super) fn settings(sections: &mut Sections<'_>) -> (Checks, Defaults, Option<Duration>) {
    let Sections { general, router, .. } = sections;
    let on = general.flag("background_health_checks").is_some_and(|at| at.value);
    let interval = general.timeout("health_check_interval").map_or(INTERVAL, |at| at.value);
    let mode = mode(general).unwrap_or(Mode::Call);
    let at_once = general.between("health_check_concurrency", 1..=CONCURRENCY_MAX);
    let routes = first([
        router.flag("enable_health_check_routing"),
        general.flag("enable_health_check_routing"),
    ]);
    let stale = router.timeout("health_check_staleness_threshold").map(|at| at.value);
    let lenient = router.flag("health_check_ignore_transient_errors");
    let checks = Checks {
        interval,
        at_once: at_once.map_or(CONCURRENCY, |at| at.value) as usize,
        ignores_transient: lenient.is_some_and(|at| at.value),
    };
    let heeded = routes.is_some_and(|at| at.value);
    (checks, Defaults { on, mode }, heeded.then(|| stale.unwrap_or(interval * 2)))
}

/// The check of one deployment, from its `model_info`.
pub(super) fn of(info: &mut Section<'_>, defaults: Defaults) -> Option<HealthCheck> {
    let off = info.flag("disable_background_health_check").is_some_and(|at| at.value);
    let written = mode(info);
    let path = info.text("health_check_path");
    let status = info.between("health_check_status", 100..=599);
    let model = info.text("health_check_model");
    let timeout = info.timeout("health_check_timeout").map(|at| at.value);
    if let Some(at) = path.filter(|at| !at.value.starts_with('/')) {
        let message = format!("`health_check_path` must begin with `/`, found `{}`", at.value);
        info.problems.push(Finding::error(at.spot, message));
    }
    let mode = written.or_else(|| path.map(|_| Mode::Http));
    if off || (!defaults.on && mode.is_none()) {
        return None;
    }
    let kind = match mode.unwrap_or(defaults.mode) {
        Mode::Tcp => CheckKind::Tcp,
        Mode::Http => CheckKind::Http {
            path: path.map_or("/health", |at| at.value).into(),
            status: status.and_then(|at| u16::try_from(at.value).ok()),
        },
        Mode::Call => CheckKind::Call { model: model.map(|at| at.value.into()) },
    };
    let usual = if matches!(kind, CheckKind::Call { .. }) { CALL_TIMEOUT } else { ADDRESS_TIMEOUT };
    Some(HealthCheck { kind, timeout: timeout.unwrap_or(usual) })
}

fn mode(section: &mut Section<'_>) -> Option<Mode> {
    let At { value, spot } = section.text("health_check_mode")?;
    let word = value.to_ascii_lowercase();
    if let Some((_, mode)) = MODES.iter().find(|(name, _)| *name == word) {
        return Some(*mode);
    }
    let help = match nearest(&word, MODES.map(|(name, _)| name)) {
        Some((near, _)) => format!("did you mean `{near}`?"),
        None => "write `tcp`, `http` or `call`".to_owned(),
    };
    let message = format!("`{value}` is not a kind of health check");
    section.problems.push(Finding::error(spot, message).help(help));
    None
}
