//! What new keys, users and teams are to be like: mappings of `litellm_settings`.

use jiff::Timestamp;

use super::{Context, Sections};
use crate::config::options::{KEY_BOUNDS, KEY_DEFAULTS, TEAM_DEFAULTS, USER_DEFAULTS};
use crate::config::problem::{Finding, Problems};
use crate::config::section::{At, Section};
use crate::keys::record::Allowance;
use crate::keys::{Issuing, KeyBounds, KeyDefaults, Role, TeamDefaults, UserDefaults, expiry};
use crate::spend::Period;

pub(super) fn issuing(sections: &mut Sections<'_>, context: &Context<'_>) -> Issuing {
    let problems = context.problems;
    let key = sections.litellm.section("default_key_generate_params", &KEY_DEFAULTS);
    let bounds = sections.litellm.section("upperbound_key_generate_params", &KEY_BOUNDS);
    let user = sections.litellm.section("default_internal_user_params", &USER_DEFAULTS);
    let team = sections.litellm.section("default_team_params", &TEAM_DEFAULTS);
    Issuing {
        key: key_defaults(key, problems),
        bounds: key_bounds(bounds, problems),
        user: user_defaults(user, problems),
        team: team_defaults(team, problems),
    }
}

fn allowance(section: &mut Section<'_>, problems: &Problems) -> Allowance {
    Allowance {
        max_budget: dollars(section, problems),
        budget_duration: period(section, problems),
        rpm_limit: count(section, "rpm_limit"),
        tpm_limit: count(section, "tpm_limit"),
        max_parallel_requests: count(section, "max_parallel_requests"),
        ..Allowance::default()
    }
}

fn count(section: &mut Section<'_>, name: &'static str) -> Option<u64> {
    section.count(name, u32::MAX).map(|at| at.value.into())
}

fn dollars(section: &mut Section<'_>, problems: &Problems) -> Option<f64> {
    let At { value, spot } = section.number("max_budget")?;
    if value >= 0.0 {
        return Some(value);
    }
    let message = "`max_budget` is negative";
    problems.push(Finding::error(spot, message).help("write US dollars: `max_budget: 10`"));
    None
}

fn period(section: &mut Section<'_>, problems: &Problems) -> Option<String> {
    let At { value, spot } = section.text("budget_duration")?;
    if let Err(error) = value.parse::<Period>() {
        problems.push(Finding::error(spot, format!("`budget_duration`: {error}")));
        return None;
    }
    Some(value.to_owned())
}

fn lifetime(section: &mut Section<'_>, problems: &Problems) -> Option<String> {
    let At { value, spot } = section.text("duration")?;
    // Which moment it is counted from makes no difference to whether it can be read.
    if let Err(error) = expiry(value, Timestamp::UNIX_EPOCH) {
        problems.push(Finding::error(spot, format!("`duration`: {error}")));
        return None;
    }
    Some(value.to_owned())
}

fn texts(section: &mut Section<'_>, name: &'static str) -> Vec<String> {
    let list = section.texts(name).unwrap_or_default();
    list.into_iter().map(|at| at.value.to_owned()).collect()
}

fn key_defaults(mut section: Section<'_>, problems: &Problems) -> KeyDefaults {
    let metadata = section.entry("metadata").map(|entry| {
        let read = serde_json::from_str(&entry.node.json());
        let mut metadata = read.unwrap_or_else(|_| {
            let message = "`metadata` must be a mapping";
            problems.push(Finding::error(entry.node.spot, message));
            serde_json::Map::new()
        });
        if metadata.remove("logging").is_some() {
            let message = "`logging` is left out: callbacks are given to keys and teams one by one";
            let help = "write them with `/key/generate` or `POST /team/{team_id}/callback`";
            problems.push(Finding::warning(entry.node.spot, message).help(help));
        }
        metadata
    });
    let defaults = KeyDefaults {
        allowance: allowance(&mut section, problems),
        duration: lifetime(&mut section, problems),
        user_id: section.text("user_id").map(|at| at.value.to_owned()),
        team_id: section.text("team_id").map(|at| at.value.to_owned()),
        models: texts(&mut section, "models"),
        metadata: metadata.unwrap_or_default(),
    };
    section.finish();
    defaults
}

fn key_bounds(mut section: Section<'_>, problems: &Problems) -> KeyBounds {
    let bounds = KeyBounds {
        max_budget: dollars(&mut section, problems),
        budget_duration: period(&mut section, problems),
        duration: lifetime(&mut section, problems),
        rpm_limit: count(&mut section, "rpm_limit"),
        tpm_limit: count(&mut section, "tpm_limit"),
        max_parallel_requests: count(&mut section, "max_parallel_requests"),
    };
    section.finish();
    bounds
}

fn user_defaults(mut section: Section<'_>, problems: &Problems) -> UserDefaults {
    let role = section.text("user_role").and_then(|At { value, spot }| match value {
        "internal_user" => Some(Role::InternalUser),
        "internal_user_viewer" => Some(Role::InternalUserViewer),
        _ => {
            let message = format!("`user_role` cannot be `{value}`");
            let help = "write `internal_user` or `internal_user_viewer`; an admin is made by name";
            problems.push(Finding::error(spot, message).help(help));
            None
        }
    });
    let defaults = UserDefaults {
        role,
        allowance: allowance(&mut section, problems),
        models: texts(&mut section, "models"),
        teams: texts(&mut section, "teams"),
    };
    section.finish();
    defaults
}

fn team_defaults(mut section: Section<'_>, problems: &Problems) -> TeamDefaults {
    let defaults = TeamDefaults {
        allowance: allowance(&mut section, problems),
        models: texts(&mut section, "models"),
    };
    section.finish();
    defaults
}
