//! Callbacks that the configuration gives to teams (`default_team_settings`), beside those of records.
//!
//! They hold for a team as long as neither the key's record nor the team's says anything of callbacks.

use std::sync::Arc;

use super::Settings;
use crate::callbacks::settings::SinkSettings;
use crate::callbacks::told::Told;
use crate::keys::{Events, OwnCallback, Principal};

use super::{Receiver, owner};

/// What the configuration says of one team.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OfTeam {
    pub callbacks: Vec<Written>,
    /// The team keeps to itself what it says.
    pub is_silent: bool,
}

/// One callback of a team, as the configuration has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    name: Box<str>,
    events: Events,
    sink: Arc<SinkSettings>,
}

/// A callback of the key or the team that a request is of.
#[derive(Clone, Copy, Debug)]
pub(in crate::callbacks) enum Own<'a> {
    /// Of a record, sealed.
    Kept(&'a OwnCallback),
    /// Of the configuration.
    Written(&'a Written),
}

impl Written {
    /// A callback whose variables were read by these settings.
    #[must_use]
    pub fn new(settings: &Settings, name: &str, events: Events, receiver: Receiver) -> Self {
        Self { name: name.into(), events, sink: Arc::new(settings.sink(name, receiver)) }
    }

    pub(super) const fn sink(&self) -> &Arc<SinkSettings> {
        &self.sink
    }
}

impl Own<'_> {
    pub(in crate::callbacks) fn name(&self) -> &str {
        match self {
            Self::Kept(callback) => &callback.callback_name,
            Self::Written(written) => &written.name,
        }
    }

    pub(in crate::callbacks) const fn events(&self) -> Events {
        match self {
            Self::Kept(callback) => callback.callback_type,
            Self::Written(written) => written.events,
        }
    }

    /// Whether it stands in the place of the gateway's callback of this name.
    pub(in crate::callbacks) fn replaces(&self, name: &str) -> bool {
        match self {
            Self::Kept(callback) => callback.replaces(name),
            Self::Written(written) => &*written.name == name,
        }
    }
}

impl Settings {
    /// What the configuration says of a request's team; `None`: nothing that holds.
    #[must_use]
    pub fn of_team(&self, holder: &Principal) -> Option<&OfTeam> {
        if self.teams.is_empty() || holder.logging().is_some() {
            return None;
        }
        self.teams.get(holder.team_id()?)
    }

    /// Whether a key or its team has callbacks of its own.
    #[must_use]
    pub fn has_own(&self, holder: &Principal) -> bool {
        match holder.logging() {
            Some(kept) => !kept.is_empty(),
            None => self.of_team(holder).is_some_and(|team| !team.callbacks.is_empty()),
        }
    }

    /// The callbacks of the key or the team of a request that are to hear of it, and whose they are.
    pub(in crate::callbacks) fn of<'a>(&'a self, told: &'a Told) -> (String, Vec<Own<'a>>) {
        let holder = told.caller.as_ref().and_then(|caller| caller.principal());
        let Some(holder) = holder.filter(|holder| self.has_own(holder)) else {
            return <_>::default();
        };
        let kept = holder.logging().unwrap_or_default().iter().map(Own::Kept);
        let written = self.of_team(holder).map_or(&[][..], |team| &team.callbacks);
        let all = kept.chain(written.iter().map(Own::Written));
        (owner(holder), all.filter(|callback| told.is_for_own(callback)).collect())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::callbacks::sample::told;
    use crate::keys::record::{Key, Team};
    use crate::keys::{Budgets, Caller, KeyHash};

    fn settings() -> Settings {
        let mut settings = Settings::default();
        let vars = [("langfuse_public_key", "pk"), ("langfuse_secret", "sk")];
        let vars = vars.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let receiver = settings.read("langfuse", &vars).unwrap().unwrap();
        let written = Written::new(&settings, "langfuse", Events::Success, receiver);
        let team = OfTeam { callbacks: vec![written], is_silent: false };
        settings.teams.insert("web".into(), team);
        settings
    }

    /// Names of the callbacks that hear of a request by a key and a team that say this.
    fn named(key: &serde_json::Value, team: &serde_json::Value, failed: bool) -> Vec<String> {
        let mut record = json!({"token": KeyHash::of(b"sk-1"), "team_id": "web", "logging": key});
        record.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        let key: Key = serde_json::from_value(record).unwrap();
        let mut record = json!({"team_id": "web", "logging": team});
        record.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        let team: Team = serde_json::from_value(record).unwrap();
        let holder = Principal::new(key, None, Some(team), None, &Budgets::new());
        let mut told = told();
        told.caller = Some(Caller::Key(Arc::new(holder)));
        if failed {
            told.failed = Some(crate::callbacks::Failed {
                class: "Timeout",
                code: "408".into(),
                message: None,
            });
        }
        let settings = settings();
        let (owner, own) = settings.of(&told);
        let kind = |own: &Own<'_>| match own {
            Own::Kept(_) => "kept",
            Own::Written(_) => "written",
        };
        own.iter().map(|own| format!("{} {} {owner}", kind(own), own.name())).collect()
    }

    #[test]
    fn the_configuration_speaks_where_records_are_silent() {
        let (null, none) = (json!(null), json!([]));
        let kept = json!([{"callback_name": "langfuse", "sealed": "v1:x"}]);
        assert_eq!(named(&null, &null, false), ["written langfuse callbacks of team web"]);
        assert!(named(&null, &null, true).is_empty(), "it hears of successes");
        assert!(named(&none, &null, false).is_empty(), "the key has none, it says");
        assert!(named(&null, &none, false).is_empty(), "logging of the team was disabled");
        assert_eq!(named(&null, &kept, true), ["kept langfuse callbacks of team web"]);
    }
}
