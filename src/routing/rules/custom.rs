//! `custom_routing`: conditions and where they lead.

use std::sync::Arc;

use jiff::tz::TimeZone;
use rustc_hash::FxHashSet;

use super::language::{Condition, Facts};
use super::{AUTO, REGIONAL, Reason};

/// The rules in the order written; the first that holds decides.
#[derive(Clone, Debug)]
pub struct Custom {
    rules: Box<[Rule]>,
    default: Option<Arc<str>>,
    /// The names that the rules speak of.
    models: FxHashSet<Arc<str>>,
    /// Of `hour`, `minute` and `weekday`.
    zone: TimeZone,
}

/// One rule.
#[derive(Clone, Debug)]
pub struct Rule {
    pub condition: Condition,
    /// The condition as it is written.
    pub written: Arc<str>,
    pub route_to: Arc<str>,
}

impl Custom {
    /// `aliases`: further names, each with the one it stands for; an alias of a model that the
    /// rules speak of is decided like it.
    #[must_use]
    pub fn new<'a>(
        rules: Vec<Rule>,
        default: Option<Arc<str>>,
        zone: TimeZone,
        aliases: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let mut models: FxHashSet<Arc<str>> =
            rules.iter().flat_map(|rule| rule.condition.models()).map(Arc::from).collect();
        models.extend(rules.iter().map(|rule| Arc::clone(&rule.route_to)));
        models.extend(default.clone());
        let rules: Box<[Rule]> = rules.into();
        let meant: Vec<Arc<str>> = aliases
            .into_iter()
            .filter(|(_, group)| models.contains(*group) || speak_of(&rules, group))
            .map(|(alias, _)| alias.into())
            .collect();
        models.extend(meant);
        models.remove(REGIONAL);
        Self { rules, default, models, zone }
    }

    /// Whether the rules decide for requests of this name: a model that they mention, or `auto`.
    #[must_use]
    pub fn decides(&self, asked: &str) -> bool {
        asked == AUTO || self.models.contains(asked) || speak_of(&self.rules, asked)
    }

    pub(super) fn asks_for_tokens(&self) -> bool {
        self.rules.iter().any(|rule| rule.condition.asks_for_tokens())
    }

    /// The model that a request on `auto` gets where nothing else is known of it.
    pub(super) fn usual(&self) -> Option<&str> {
        let first = || self.rules.first().map(|rule| &rule.route_to);
        self.default.as_ref().or_else(first).map(|model| &**model)
    }

    pub(super) fn decide(&self, facts: &dyn Facts) -> Option<(Arc<str>, Reason)> {
        let held = self.rules.iter().position(|rule| rule.condition.holds(facts, &self.zone));
        if let Some((index, rule)) = held.and_then(|index| Some((index, self.rules.get(index)?))) {
            let model = Arc::clone(&rule.route_to);
            let reason = Reason::Rule {
                number: index + 1,
                condition: Arc::clone(&rule.written),
                model: Arc::clone(&model),
            };
            return Some((model, reason));
        }
        let model = Arc::clone(self.default.as_ref()?);
        Some((Arc::clone(&model), Reason::Default { model }))
    }
}

fn speak_of(rules: &[Rule], model: &str) -> bool {
    rules.iter().any(|rule| rule.condition.speaks_of(model))
}
