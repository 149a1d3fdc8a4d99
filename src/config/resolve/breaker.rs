//! `router_settings.circuit_breaker`.

use crate::config::options::CIRCUIT_BREAKER;
use crate::config::problem::Finding;
use crate::config::section::Section;
use crate::routing::Breaker;

/// More than this at one time is no probing.
const PROBES_MAX: u32 = 10_000;

pub(super) fn read(router: &mut Section<'_>) -> Breaker {
    let mut section = router.section("circuit_breaker", &CIRCUIT_BREAKER);
    let default = Breaker::default();
    let failure_ratio = ratio(&mut section, "failure_ratio");
    let slow_ratio = ratio(&mut section, "slow_call_ratio");
    let slow_call = section.timeout("slow_call_duration").map(|at| at.value);
    let spot = section.spot_of("slow_call_ratio");
    if slow_ratio.is_some() && slow_call.is_none() {
        let message = "`slow_call_ratio` has no effect without `slow_call_duration`";
        section.problems.push(Finding::warning(spot, message));
    }
    let mut count =
        |name, default| section.between(name, 1..=PROBES_MAX).map_or(default, |at| at.value);
    let breaker = Breaker {
        failure_ratio,
        slow_call,
        slow_ratio: slow_ratio.unwrap_or(default.slow_ratio),
        minimum_calls: count("minimum_calls", default.minimum_calls),
        probes: count("half_open_probes", default.probes),
        crowd: count("half_open_requests", default.crowd),
    };
    section.finish();
    breaker
}

fn ratio(section: &mut Section<'_>, name: &'static str) -> Option<f64> {
    let at = section.number(name)?;
    if at.value > 0.0 && at.value <= 1.0 {
        return Some(at.value);
    }
    let message = format!("`{name}` must be above 0 and at most 1, found `{}`", at.value);
    section.problems.push(Finding::error(at.spot, message).help("`0.5` is one half"));
    None
}
