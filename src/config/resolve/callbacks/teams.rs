//! `default_team_settings`: callbacks that the configuration gives to teams.
//!
//! A callback that cannot be called is warned about and left out, as those of the gateway are.

use std::collections::BTreeMap;

use super::Context;
use crate::callbacks::own::{NAMES, OfTeam, Settings, Written};
use crate::config::options::{TEAM_CALLBACK_VARS, TEAM_CALLBACKS};
use crate::config::problem::{Finding, Spot};
use crate::config::resolve::Sections;
use crate::config::section::Section;
use crate::config::yaml::Node;
use crate::keys::Events;

const LIST: &str = "default_team_settings";
const SILENCE: &str = "turn_off_message_logging";
const VARS: [&str; 4] =
    ["langfuse_public_key", "langfuse_secret_key", "langfuse_secret", "langfuse_host"];

/// What is written of each team, by its id.
pub(super) fn read(
    sections: &mut Sections<'_>,
    settings: &Settings,
    context: &Context<'_>,
) -> BTreeMap<Box<str>, OfTeam> {
    let mut teams = BTreeMap::new();
    let Some(entry) = sections.litellm.entry(LIST) else { return teams };
    let Some(items) = entry.node.list() else {
        let message = format!("`{LIST}` must be a list, found {}", entry.node.found(LIST));
        let help = "write `- team_id: ...` and what holds for that team";
        context.problems.push(Finding::error(entry.spot, message).help(help));
        return teams;
    };
    for item in items {
        let Some((team_id, team)) = one(item, settings, context) else { continue };
        if teams.contains_key(&team_id) {
            let message =
                format!("`{LIST}` names the team `{team_id}` twice: the first entry holds");
            context.problems.push(Finding::warning(item.spot, message));
            continue;
        }
        teams.insert(team_id, team);
    }
    teams
}

fn one(item: &Node, settings: &Settings, context: &Context<'_>) -> Option<(Box<str>, OfTeam)> {
    let problems = context.problems;
    let mut section = Section::new(&TEAM_CALLBACKS, item, item.spot, problems);
    let mut inner = section.section("callback_vars", &TEAM_CALLBACK_VARS);
    let team_id = section.text("team_id");
    let listed = named(&mut section, context);
    let mut vars = vars(&mut section, context);
    vars.extend(self::vars(&mut inner, context));
    section.finish();
    inner.finish();
    let Some(team_id) = team_id.filter(|at| !at.value.is_empty()) else {
        let message = format!("an entry of `{LIST}` has no `team_id`");
        problems.push(Finding::error(item.spot, message).help("write `team_id: ...`"));
        return None;
    };
    let is_silent = vars.get(SILENCE).is_some_and(|value| value == "true");
    let mut team = OfTeam { callbacks: Vec::new(), is_silent };
    let warn = |spot: Spot, why: &str, help: &str| {
        let message = format!("no callback is called for the team `{}`: {why}", team_id.value);
        problems.push(Finding::warning(spot, message).help(help));
    };
    if listed.is_empty() && VARS.iter().any(|name| vars.contains_key(*name)) {
        warn(item.spot, "none is named", "write `success_callback: [langfuse]`");
    }
    for (name, events, spot) in listed {
        match settings.read(name, &vars) {
            Ok(Some(receiver)) => {
                team.callbacks.push(Written::new(settings, name, events, receiver));
            }
            Ok(None) => warn(spot, "it has no keys of Langfuse", "write its keys beside it"),
            // What is said of a variable that is not set is enough.
            Err(_) if item.is_unresolved() => {}
            Err(why) => {
                warn(spot, &why, "what is told of this team goes to the gateway's callbacks")
            }
        }
    }
    Some((team_id.value.into(), team))
}

/// The callbacks that a team can have of those that are named, each once.
fn named<'a>(section: &mut Section<'a>, context: &Context<'_>) -> Vec<(&'a str, Events, Spot)> {
    let mut all: Vec<(&str, Events, Spot)> = Vec::new();
    for (list, events) in
        [("success_callback", Events::Success), ("failure_callback", Events::Failure)]
    {
        for at in section.texts(list).unwrap_or_default() {
            if !NAMES.contains(&at.value) {
                let message = format!("a team cannot have the callback `{}`", at.value);
                let help = format!("there are: {}", NAMES.join(", "));
                context.problems.push(Finding::warning(at.spot, message).help(help));
                continue;
            }
            match all.iter_mut().find(|(name, _, _)| *name == at.value) {
                Some((_, known, _)) if *known != events => *known = Events::SuccessAndFailure,
                Some(_) => {}
                None => all.push((at.value, events, at.spot)),
            }
        }
    }
    all
}

/// The variables of a section.
fn vars(section: &mut Section<'_>, context: &Context<'_>) -> BTreeMap<String, String> {
    let mut vars = BTreeMap::new();
    for name in VARS {
        let Some(at) = section.text(name) else { continue };
        if name.contains("secret") {
            context.problems.keep_secret(at.value);
        }
        vars.insert(name.to_owned(), at.value.to_owned());
    }
    if let Some(at) = section.flag(SILENCE) {
        vars.insert(SILENCE.to_owned(), at.value.to_string());
    }
    vars
}
