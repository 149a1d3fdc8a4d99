//! What becomes of what requests spend: how often the database gets it, and for how long it stays.

use std::time::Duration;

use crate::config::problem::Finding;
use crate::config::section::{At, Section};
use crate::snapshot::Spending;

/// LiteLLM waits for ten; budgets of gateways that share a database see each other by it.
const BATCH_EVERY: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// A row tells that its request is counted: it has to stay for as long as that may be asked.
const KEEP_MIN: Duration = DAY;
/// By sums budgets know what was spent in their period: a month must always be there.
const KEEP_SUMS_MIN: Duration = Duration::from_secs(32 * 24 * 60 * 60);
const FORGET_MIN: Duration = Duration::from_secs(60);

pub(super) fn spending(general: &mut Section<'_>) -> Spending {
    let batch_every = general.timeout("proxy_batch_write_at").map_or(BATCH_EVERY, |at| at.value);
    let disabled = general.flag("disable_spend_logs").is_some_and(|at| at.value);
    let no_errors = general.flag("disable_error_logs").is_some_and(|at| at.value);
    let fails_closed = general.flag("fail_closed_spend_logging").is_some_and(|at| at.value);
    let keep = span(general, "maximum_spend_logs_retention_period", KEEP_MIN);
    let keep_sums = span(general, "maximum_spend_sums_retention_period", KEEP_SUMS_MIN);
    let keep_audit = span(general, "maximum_audit_logs_retention_period", DAY);
    let forget_every = span(general, "maximum_spend_logs_retention_interval", FORGET_MIN);
    Spending {
        batch_every,
        keep: if disabled { Some(KEEP_MIN) } else { keep },
        keep_sums,
        keep_audit,
        forget_every: forget_every.unwrap_or(DAY),
        keeps_errors: !no_errors,
        fails_closed,
    }
}

/// A time of any length: `90d`, `12h`, or seconds.
pub(super) fn span(
    general: &mut Section<'_>,
    name: &'static str,
    least: Duration,
) -> Option<Duration> {
    let At { value, spot } = general.text(name)?;
    let found = read(value);
    let problem = match found {
        Some(found) if found >= least => return Some(found),
        Some(_) => {
            format!("`{name}` must be at least {} seconds, found `{value}`", least.as_secs())
        }
        None => format!("`{name}` must be a time, found `{value}`"),
    };
    let help = "write a number and `s`, `m`, `h`, `d`, `w` or `mo`: `90d`";
    general.problems.push(Finding::error(spot, problem).help(help));
    None
}

fn read(written: &str) -> Option<Duration> {
    let end = written.find(|c: char| !c.is_ascii_digit()).unwrap_or(written.len());
    let (number, unit) = written.split_at(end);
    let seconds = match unit.trim() {
        "" | "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        "w" => 7 * 24 * 60 * 60,
        "mo" => 30 * 24 * 60 * 60,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(seconds).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_as_litellm_writes_them() {
        let days = |days: u64| Some(DAY * u32::try_from(days).unwrap());
        for (written, expected) in [
            ("90d", days(90)),
            ("1mo", days(30)),
            ("2w", days(14)),
            ("86400", days(1)),
            ("24h", days(1)),
            ("d", None),
            ("1y", None),
            ("99999999999999999999d", None),
            ("", None),
        ] {
            assert_eq!(read(written), expected, "{written}");
        }
    }
}
