//! `dashboard`: the pages at `/ui`.

use std::time::Duration;

use super::{Context, Sections};
use crate::catalog::{Catalog, PriceBook};
use crate::config::options::DASHBOARD;
use crate::config::problem::{Finding, Problems, Spot};
use crate::snapshot::Dashboard;

/// LiteLLM's way to leave its pages out.
const DISABLED_VAR: &str = "DISABLE_ADMIN_UI";
const SESSION_MIN: Duration = Duration::from_secs(60);
const SESSION_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The section, and where it names the baseline.
pub(super) fn dashboard(
    sections: &mut Sections<'_>,
    context: &Context<'_>,
) -> (Dashboard, Option<Spot>) {
    let default = Dashboard::default();
    let mut section = sections.top.section("dashboard", &DASHBOARD);
    let disabled = context.var(DISABLED_VAR);
    let disabled = disabled.is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let enabled = section.flag("enabled").map_or(!disabled, |at| at.value);
    let baseline = section.text("baseline_model");
    let session_duration = match section.seconds("session_duration") {
        None => default.session_duration,
        Some(at) if (SESSION_MIN..=SESSION_MAX).contains(&at.value) => at.value,
        Some(at) => {
            let problem = "`session_duration` must be between a minute and 30 days";
            context.problems.push(Finding::error(at.spot, problem));
            default.session_duration
        }
    };
    section.finish();
    let spot = baseline.map(|at| at.spot);
    let baseline_model = baseline.map(|at| at.value.into());
    (Dashboard { enabled, baseline_model, session_duration }, spot)
}

/// Warns of a baseline that nobody knows the price of: savings would be shown as unknown.
pub(super) fn check_baseline(
    dashboard: &Dashboard,
    spot: Option<Spot>,
    (catalog, prices): (&Catalog, &PriceBook),
    problems: &Problems,
) {
    let Some(model) = dashboard.baseline_model.as_deref() else { return };
    let of_deployment = catalog.asked(model).and_then(|found| {
        let first = found.deployments.first()?;
        first.price(&first.upstream_model(found.captured.as_deref()), prices)
    });
    let listed = || prices.lookup(Some(model), "openai", model)?.price.clone();
    if of_deployment.or_else(listed).is_none() {
        let problem = format!("the price of `{model}` is not known: no savings are shown");
        let help =
            "name a model group whose price is known, or a model of the price book: `gpt-4o`";
        problems.push(Finding::warning(spot, problem).help(help));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::*;
    use crate::config::{load_text, report};

    fn load(yaml: &str, env: &[(&str, &str)]) -> (Option<Dashboard>, String) {
        let env: BTreeMap<_, _> =
            env.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        let yaml = format!("model_list: []\n{yaml}");
        let loaded = load_text(Path::new("test"), &yaml, &env);
        let (report, _) = report(&loaded.problems, false, false);
        (loaded.snapshot.map(|snapshot| (*snapshot.dashboard).clone()), report)
    }

    #[test]
    fn pages_are_there_unless_somebody_does_not_want_them() {
        let enabled = |yaml, env: &[_]| load(yaml, env).0.unwrap().enabled;
        let variable = [("DISABLE_ADMIN_UI", "True")];
        assert!(enabled("", &[]));
        assert!(!enabled("", &variable));
        assert!(!enabled("dashboard: {enabled: false}", &[]));
        assert!(enabled("dashboard: {enabled: true}", &variable));
    }

    #[test]
    fn a_session_lasts_as_long_as_is_written_within_bounds() {
        let (dashboard, _) = load("dashboard: {session_duration: 30m}", &[]);
        assert_eq!(dashboard.unwrap().session_duration, Duration::from_secs(1800));
        for (wrong, told) in [("0", "30 days"), ("59s", "30 days"), ("31d", "session_duration")] {
            let (dashboard, report) =
                load(&format!("dashboard: {{session_duration: {wrong}}}"), &[]);
            assert!(dashboard.is_none() && report.contains(told), "{wrong}: {report}");
        }
    }

    #[test]
    fn a_baseline_without_a_price_is_warned_of() {
        let (dashboard, report) = load("dashboard: {baseline_model: gpt-4o}", &[]);
        assert_eq!(dashboard.unwrap().baseline_model.as_deref(), Some("gpt-4o"));
        assert!(!report.contains("price of"), "{report}");
        let (dashboard, report) = load("dashboard: {baseline_model: no-such}", &[]);
        assert!(dashboard.is_some() && report.contains("the price of `no-such`"), "{report}");
    }
}
