//! What a caller may use: models, by name, wildcard or access group; and routes.
//!
//! Lists are LiteLLM's. An empty one allows everything; where key, team and organisation have lists, a
//! model must be in all of them. Knows nothing of the catalog: it is told what a name stands for.

use std::sync::Arc;

use super::principal::{Caller, Principal};
use super::record::{KeyType, Tag};
use crate::wildcard::matches;

/// Every model.
const ALL_PROXY_MODELS: &str = "all-proxy-models";
/// In a key's list: what its team may use.
const ALL_TEAM_MODELS: &str = "all-team-models";
/// In a user's list: nothing but what the user's teams may use.
const NO_DEFAULT_MODELS: &str = "no-default-models";

/// A model as a request names it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub name: &'a str,
    /// Other names for the same: its group, and how its provider calls it.
    pub also: &'a [&'a str],
    /// The access groups of its deployments.
    pub groups: &'a [Arc<str>],
}

impl<'a> Asked<'a> {
    /// A name that says all.
    #[must_use]
    pub const fn named(name: &'a str) -> Self {
        Self { name, also: &[], groups: &[] }
    }

    fn is_in(&self, list: &[String]) -> bool {
        let is_it = |entry: &String| {
            entry == ALL_PROXY_MODELS
                || [self.name].iter().chain(self.also).any(|name| matches(entry, name))
                || self.groups.iter().any(|group| **group == **entry)
        };
        list.is_empty() || list.iter().any(is_it)
    }
}

/// Whose list a model is not in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    Key,
    Team,
    User,
    Organisation,
    Tag,
}

impl Owner {
    /// The `type` of the error body, as LiteLLM names it.
    #[must_use]
    pub const fn denial(self) -> &'static str {
        match self {
            Self::Key => "key_model_access_denied",
            Self::Team => "team_model_access_denied",
            Self::User => "user_model_access_denied",
            Self::Organisation => "org_model_access_denied",
            Self::Tag => "tag_model_access_denied",
        }
    }

    /// One word for messages.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Team => "team",
            Self::User => "user",
            Self::Organisation => "organization",
            Self::Tag => "tag",
        }
    }
}

/// What a name of a key's own, or of its team, stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alias<'a> {
    pub target: &'a str,
    /// The team's: whoever may use the name may use what it stands for.
    pub is_teams: bool,
}

impl Principal {
    /// What a name stands for, if the key or its team has one of its own for it.
    #[must_use]
    pub fn alias(&self, name: &str) -> Option<Alias<'_>> {
        if let Some(target) = self.key.aliases.get(name) {
            return Some(Alias { target, is_teams: false });
        }
        let target = self.team.as_ref()?.model_aliases.get(name)?;
        Some(Alias { target, is_teams: true })
    }

    /// The names that only this key's requests know.
    pub fn aliases(&self) -> impl Iterator<Item = &str> {
        let of_team = self.team.iter().flat_map(|team| team.model_aliases.keys());
        let own = self.key.aliases.keys();
        own.chain(of_team.filter(|name| !self.key.aliases.contains_key(*name))).map(String::as_str)
    }

    /// # Errors
    /// Whose list does not have the model.
    pub fn may_call(&self, asked: &Asked<'_>) -> Result<(), Owner> {
        let models = &self.key.models;
        let is_of_team = |entry: &String| entry == ALL_TEAM_MODELS;
        // Without a team there is nothing that the word could mean but everything.
        if !models.iter().any(is_of_team) && !asked.is_in(models) {
            return Err(Owner::Key);
        }
        if let Some(team) = &self.team {
            if !asked.is_in(&team.models) {
                return Err(Owner::Team);
            }
        } else if let Some(user) = &self.user
            && (user.models.iter().any(|entry| entry == NO_DEFAULT_MODELS)
                || !asked.is_in(&user.models))
        {
            // The models of a team are the team's business.
            return Err(Owner::User);
        }
        let of = self.organisation.as_ref();
        if of.is_some_and(|organisation| !asked.is_in(&organisation.models)) {
            return Err(Owner::Organisation);
        }
        Ok(())
    }

    /// Whether there is a model that it may not call.
    #[must_use]
    pub const fn is_restricted(&self) -> bool {
        self.restricted
    }

    pub(super) fn is_short_of_models(&self) -> bool {
        // Nothing is called that, so only lists of everything have it.
        self.may_call(&Asked::named("\0")).is_err()
    }

    /// The models that its own list names, and that may be part of what a wildcard serves.
    pub fn named_models(&self) -> impl Iterator<Item = &str> {
        let teams = || self.team.iter().flat_map(|team| &team.models);
        let is_of_team = |entry: &String| entry == ALL_TEAM_MODELS;
        let own = &self.key.models;
        let takes_teams = own.is_empty() || own.iter().any(is_of_team);
        let names = own.iter().chain(teams().filter(move |_| takes_teams));
        names.map(String::as_str).filter(|entry| !entry.contains('*'))
    }

    /// Whether the key opens a path.
    #[must_use]
    pub fn opens(&self, path: &str, area: Area) -> bool {
        let routes = &self.key.allowed_routes;
        if !routes.is_empty() {
            return routes.iter().any(|route| area.is_meant_by(route) || is_path(route, path));
        }
        match self.key.key_type {
            KeyType::Default => true,
            KeyType::LlmApi => matches!(area, Area::LlmApi | Area::Models),
            KeyType::Management => matches!(area, Area::Management | Area::Info | Area::Models),
            KeyType::ReadOnly => matches!(area, Area::Info | Area::Models),
        }
    }
}

impl Tag {
    /// # Errors
    /// Requests with this tag may not ask for the model.
    pub fn may_call(&self, asked: &Asked<'_>) -> Result<(), Owner> {
        if asked.is_in(&self.models) { Ok(()) } else { Err(Owner::Tag) }
    }
}

impl Caller {
    /// As [`Principal::may_call`]; who has no record may call everything.
    ///
    /// # Errors
    /// Whose list does not have the model.
    pub fn may_call(&self, asked: &Asked<'_>) -> Result<(), Owner> {
        self.principal().map_or(Ok(()), |holder| holder.may_call(asked))
    }

    /// As [`Principal::opens`].
    #[must_use]
    pub fn opens(&self, path: &str, area: Area) -> bool {
        self.principal().is_none_or(|holder| holder.opens(path, area))
    }
}

/// A family of paths, as keys are limited to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Area {
    /// Calls to models.
    LlmApi,
    /// The list of models, which is part of both APIs.
    Models,
    /// What shows records and changes nothing.
    Info,
    Management,
}

impl Area {
    /// Whether it is what LiteLLM calls so.
    fn is_meant_by(self, word: &str) -> bool {
        match word {
            "llm_api_routes" | "openai_routes" => matches!(self, Self::LlmApi | Self::Models),
            "info_routes" => matches!(self, Self::Info | Self::Models),
            "management_routes" => matches!(self, Self::Management | Self::Info),
            _ => false,
        }
    }
}

/// Whether a route of a list is a path: `/v1/*` is all below. OpenAI's paths are served with and
/// without their `/v1`, so either is meant by either.
fn is_path(route: &str, path: &str) -> bool {
    matches(route, path)
        || path
            .strip_prefix("/v1")
            .is_some_and(|path| path.starts_with('/') && matches(route, path))
        || route.strip_prefix("/v1").is_some_and(|route| matches(route, path))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::keys::Budgets;
    use crate::keys::sample::key;

    fn of<R: serde::de::DeserializeOwned>(value: &Value) -> Option<R> {
        (!value.is_null()).then(|| serde_json::from_value(value.clone()).unwrap())
    }

    /// A key with the lists of those whom it belongs to; null for none.
    fn holder(lists: [Value; 4]) -> Principal {
        let [own, team, user, organisation] = lists;
        let record = |id: &str, models: Value| match models {
            Value::Null => Value::Null,
            models => json!({id: id, "models": models}),
        };
        let own = of(&key("sk-1", &json!({"models": own}))).unwrap();
        let team = of(&record("team_id", team));
        let user = of(&record("user_id", user));
        let organisation = of(&record("organization_id", organisation));
        Principal::new(own, user, team, organisation, &Budgets::new())
    }

    #[test]
    fn a_model_must_be_in_every_list_that_there_is() {
        let all = Value::Null;
        let asks = |lists: [Value; 4], name| holder(lists).may_call(&Asked::named(name));
        let (own, none) = (json!(["a", "b"]), json!([]));
        assert_eq!(asks([own.clone(), all.clone(), all.clone(), all.clone()], "a"), Ok(()));
        assert_eq!(
            asks([own.clone(), all.clone(), all.clone(), all.clone()], "c"),
            Err(Owner::Key)
        );
        assert_eq!(asks([own, json!(["b"]), all.clone(), all.clone()], "a"), Err(Owner::Team));
        assert_eq!(
            asks([none.clone(), all.clone(), json!(["b"]), all.clone()], "a"),
            Err(Owner::User)
        );
        assert_eq!(
            asks([none.clone(), none.clone(), json!(["b"]), all.clone()], "a"),
            Ok(()),
            "in a team the user's own list says nothing"
        );
        assert_eq!(
            asks([none.clone(), none.clone(), all, json!(["b"])], "a"),
            Err(Owner::Organisation)
        );
        assert_eq!(asks([none.clone(), none.clone(), none.clone(), none], "a"), Ok(()));
    }

    #[test]
    fn the_words_of_lists_mean_what_they_say() {
        let all = Value::Null;
        let asks = |lists: [Value; 4], name| holder(lists).may_call(&Asked::named(name));
        let everything = json!(["all-proxy-models"]);
        assert_eq!(asks([everything, all.clone(), all.clone(), all.clone()], "a"), Ok(()));
        let teams = json!(["all-team-models"]);
        let with = |team: Value| [teams.clone(), team, all.clone(), all.clone()];
        assert_eq!(asks(with(json!(["a"])), "a"), Ok(()));
        assert_eq!(asks(with(json!(["b"])), "a"), Err(Owner::Team));
        assert_eq!(asks(with(json!([])), "a"), Ok(()));
        let nothing = json!(["no-default-models"]);
        assert_eq!(
            asks([json!([]), all.clone(), nothing.clone(), all.clone()], "a"),
            Err(Owner::User)
        );
        assert_eq!(asks([json!([]), json!(["a"]), nothing, all], "a"), Ok(()));
    }

    #[test]
    fn groups_and_other_names_count() {
        let null = Value::Null;
        let holder = holder([json!(["beta", "openai/*"]), null.clone(), null.clone(), null]);
        let groups = ["beta".into()];
        let in_group = Asked { name: "x", also: &[], groups: &groups };
        assert_eq!(holder.may_call(&in_group), Ok(()));
        let behind = Asked { name: "gpt", also: &["openai/gpt-4o"], groups: &[] };
        assert_eq!(holder.may_call(&behind), Ok(()));
        assert_eq!(holder.may_call(&Asked::named("gpt")), Err(Owner::Key));
        assert!(holder.is_restricted());
    }

    #[test]
    fn a_key_opens_what_its_type_or_its_routes_say() {
        let opens = |more: Value, path: &str, area| {
            let own = of(&key("sk-1", &more)).unwrap();
            Principal::new(own, None, None, None, &Budgets::new()).opens(path, area)
        };
        for (kind, expected) in [
            ("default", [true, true, true, true]),
            ("llm_api", [true, true, false, false]),
            ("management", [false, true, true, true]),
            ("read_only", [false, true, true, false]),
        ] {
            let areas = [Area::LlmApi, Area::Models, Area::Info, Area::Management];
            let opened = areas.map(|area| opens(json!({"key_type": kind}), "/x", area));
            assert_eq!(opened, expected, "{kind}");
        }
        let routes = json!({"allowed_routes": ["/chat/completions", "/v1/files/*"]});
        for (path, expected) in [
            ("/chat/completions", true),
            ("/v1/chat/completions", true),
            ("/v1/files/abc", true),
            ("/files/abc", true),
            ("/v1/embeddings", false),
            ("/v1/chat/completions/x", false),
        ] {
            assert_eq!(opens(routes.clone(), path, Area::LlmApi), expected, "{path}");
        }
        let words = json!({"allowed_routes": ["llm_api_routes", "/key/info"]});
        assert!(opens(words.clone(), "/v1/embeddings", Area::LlmApi));
        assert!(opens(words.clone(), "/key/info", Area::Info));
        assert!(!opens(words, "/key/generate", Area::Management));
    }

    #[test]
    fn a_keys_own_names_go_before_its_teams() {
        let own = of(&key("sk-1", &json!({"aliases": {"fast": "own"}}))).unwrap();
        let team = of(&json!({"team_id": "t", "model_aliases": {"fast": "x", "slow": "y"}}));
        let holder = Principal::new(own, None, team, None, &Budgets::new());
        assert_eq!(holder.alias("fast"), Some(Alias { target: "own", is_teams: false }));
        assert_eq!(holder.alias("slow"), Some(Alias { target: "y", is_teams: true }));
        assert_eq!(holder.alias("other"), None);
        assert_eq!(holder.aliases().collect::<Vec<_>>(), ["fast", "slow"]);
    }
}
