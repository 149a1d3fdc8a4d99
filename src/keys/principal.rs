//! Who is calling, with all that is known of them.
//!
//! A [`Principal`] is what the key ring keeps of a key: the key's record joined with those of its
//! user, team and organisation. It never changes; a change of a record makes a new one. Knows nothing
//! of where records are kept and of HTTP.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use super::callback::OwnCallback;
use super::identify::AuthError;
use super::record::{Allowance, BudgetRecord, Key, Kind, Member, Organisation, Team, User};
use super::role::Role;

/// Budgets by their ids.
pub type Budgets = BTreeMap<String, BudgetRecord>;

/// The holder of a key.
///
/// Allowances are effective: where a record says nothing, the budget that it names has been filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Principal {
    pub key: Key,
    // Apart, because there are very many keys, and most have only some of them.
    pub user: Option<Box<User>>,
    pub team: Option<Box<Team>>,
    pub organisation: Option<Box<Organisation>>,
    /// The key's hash as text, by which its requests are known and kept apart.
    hash: Arc<str>,
    /// What it spends is counted under this hash.
    account: Arc<str>,
    /// There is a model that it may not call.
    pub(super) restricted: bool,
    /// The place of the key's user among the team's members.
    member: Option<usize>,
    /// It is one of the configuration file.
    is_of_file: bool,
}

impl Principal {
    /// Joins the records. Budgets that are named and not in `budgets` bound nothing.
    #[must_use]
    pub fn new(
        mut key: Key,
        mut user: Option<User>,
        mut team: Option<Team>,
        mut organisation: Option<Organisation>,
        budgets: &Budgets,
    ) -> Self {
        let members = team.iter_mut().flat_map(|team| &mut team.members);
        members.for_each(|member| member.allowance.fill_in(budgets));
        let owners = [
            user.as_mut().map(|user| &mut user.allowance),
            team.as_mut().map(|team| &mut team.allowance),
            organisation.as_mut().map(|organisation| &mut organisation.allowance),
        ];
        owners.into_iter().flatten().for_each(|allowance| allowance.fill_in(budgets));
        if let Some(shared) = key.allowance.budget(budgets)
            && key.model_max_budget.is_empty()
        {
            key.model_max_budget.clone_from(&shared.model_max_budget);
        }
        key.allowance.fill_in(budgets);
        let user_id = key.user_id.as_deref();
        let is_user = |member: &Member| user_id.is_some_and(|id| member.user_id == id);
        let member = team.as_ref().and_then(|team| team.members.iter().position(is_user));
        let hash: Arc<str> = key.token.to_string().into();
        let account = key.account.map_or_else(|| Arc::clone(&hash), |it| it.to_string().into());
        let restricted = false;
        let (user, team) = (user.map(Box::new), team.map(Box::new));
        let organisation = organisation.map(Box::new);
        let mut made = Self {
            key,
            user,
            team,
            organisation,
            hash,
            account,
            restricted,
            member,
            is_of_file: false,
        };
        made.restricted = made.is_short_of_models();
        made
    }

    /// The same of a key that is written in the configuration file: it manages nothing, whoever its user is.
    #[must_use]
    pub fn of_file(self) -> Self {
        Self { is_of_file: true, ..self }
    }

    /// The key's hash: 64 hexadecimal digits.
    #[must_use]
    pub const fn hash(&self) -> &Arc<str> {
        &self.hash
    }

    /// The hash under which its limits and budgets are counted. A key that was replaced, and the one in
    /// its place, share it.
    #[must_use]
    pub const fn account(&self) -> &Arc<str> {
        &self.account
    }

    /// By which name rules know the key: its alias, or its hash.
    #[must_use]
    pub fn name(&self) -> &str {
        self.key.key_alias.as_deref().unwrap_or(&self.hash)
    }

    /// By which name rules know the key's team: its alias, or its id.
    #[must_use]
    pub fn team_name(&self) -> Option<&str> {
        self.team_alias().or_else(|| self.team_id())
    }

    /// The alias of the key's team.
    #[must_use]
    pub fn team_alias(&self) -> Option<&str> {
        self.team.as_ref()?.team_alias.as_deref()
    }

    /// The key's user as a member of its team.
    #[must_use]
    pub fn member(&self) -> Option<&Member> {
        self.team.as_ref()?.members.get(self.member?)
    }

    /// The id of the key's user, whether there is a record of them or not.
    #[must_use]
    pub fn user_id(&self) -> Option<&str> {
        self.key.user_id.as_deref()
    }

    /// The id of the key's team, whether there is a record of it or not.
    #[must_use]
    pub fn team_id(&self) -> Option<&str> {
        self.key.team_id.as_deref()
    }

    /// The id of the organisation that the key, its team or, without a team, its user belongs to.
    #[must_use]
    pub fn organisation_id(&self) -> Option<&str> {
        organisation_of(&self.key, self.user.as_deref(), self.team.as_deref())
    }

    /// Callbacks of its own: the key's, else its team's. A key with an empty list has none at all;
    /// `None`: neither record says anything of them.
    #[must_use]
    pub fn logging(&self) -> Option<&[OwnCallback]> {
        let of_team = || self.team.as_ref().and_then(|team| team.logging.as_deref());
        self.key.logging.as_deref().or_else(of_team)
    }

    /// The records that this one is made of, beside the key's, whether they are there or not.
    pub(super) fn links(&self) -> impl Iterator<Item = (Kind, &str)> {
        let user = self.user.as_ref().map(|user| &user.allowance);
        let team = self.team.as_ref().map(|team| &team.allowance);
        let organisation = self.organisation.as_ref().map(|of| &of.allowance);
        let member = self.member().map(|member| &member.allowance);
        let allowances = [Some(&self.key.allowance), user, team, organisation, member];
        let budgets = allowances.into_iter().flatten().filter_map(|of| of.budget_id.as_deref());
        let owners = [
            (Kind::User, self.user_id()),
            (Kind::Team, self.team_id()),
            (Kind::Organisation, self.organisation_id()),
        ];
        let owners = owners.into_iter().filter_map(|(kind, id)| Some((kind, id?)));
        owners.chain(budgets.map(|id| (Kind::Budget, id)))
    }

    /// Why the key opens nothing, if so.
    ///
    /// # Errors
    /// Expired, or blocked: itself, its team or its user.
    pub fn check(&self, now: SystemTime) -> Result<(), AuthError> {
        if let Some(expires) = self.key.expires
            && SystemTime::from(expires) <= now
        {
            return Err(AuthError::Expired(expires));
        }
        if self.key.blocked {
            return Err(AuthError::Blocked);
        }
        if self.team.as_ref().is_some_and(|team| team.blocked) {
            return Err(AuthError::TeamBlocked);
        }
        if self.user.as_ref().is_some_and(|user| user.blocked) {
            return Err(AuthError::UserBlocked);
        }
        Ok(())
    }

    /// What the key's user may manage with it.
    #[must_use]
    pub fn role(&self) -> Role {
        self.user_role().unwrap_or_default()
    }

    /// The same; `None`: the key has no user. A key of a team manages no more than what is its user's
    /// own: whoever runs the team makes keys for its members, and must not get their power by it.
    #[must_use]
    pub fn user_role(&self) -> Option<Role> {
        let role = self.user.as_ref().filter(|_| !self.is_of_file)?.user_role;
        Some(match role {
            Role::ProxyAdmin | Role::OrgAdmin if self.key.team_id.is_some() => Role::InternalUser,
            Role::ProxyAdminViewer if self.key.team_id.is_some() => Role::InternalUserViewer,
            role => role,
        })
    }
}

/// See [`Principal::organisation_id`].
pub(super) fn organisation_of<'a>(
    key: &'a Key,
    user: Option<&'a User>,
    team: Option<&'a Team>,
) -> Option<&'a str> {
    let of_team = || team.and_then(|team| team.organization_id.as_deref());
    let of_user = || user.and_then(|user| user.organization_id.as_deref());
    let key_says = key.organization_id.as_deref();
    key_says.or_else(of_team).or_else(|| of_user().filter(|_| key.team_id.is_none()))
}

impl Allowance {
    fn budget<'a>(&self, budgets: &'a Budgets) -> Option<&'a BudgetRecord> {
        budgets.get(self.budget_id.as_ref()?)
    }

    /// Takes from a default what it does not say itself.
    pub fn default_to(&mut self, default: &Self) {
        if self.max_budget.is_none() && default.max_budget.is_some() {
            self.max_budget = default.max_budget;
            self.budget_duration.clone_from(&default.budget_duration);
        }
    }

    /// Takes from the budget that it names what it does not say itself.
    pub fn fill_in(&mut self, budgets: &Budgets) {
        let Some(shared) = self.budget(budgets) else { return };
        let shared = &shared.allowance;
        if self.max_budget.is_none() {
            self.max_budget = shared.max_budget;
        }
        if self.soft_budget.is_none() {
            self.soft_budget = shared.soft_budget;
        }
        if self.budget_duration.is_none() {
            self.budget_duration.clone_from(&shared.budget_duration);
        }
        self.rpm_limit = self.rpm_limit.or(shared.rpm_limit);
        self.tpm_limit = self.tpm_limit.or(shared.tpm_limit);
        self.max_parallel_requests = self.max_parallel_requests.or(shared.max_parallel_requests);
    }
}

/// Who is calling. Cheap to clone.
#[derive(Clone, Debug, PartialEq)]
pub enum Caller {
    /// No key is configured, so everybody who reaches the listener may call.
    Anonymous,
    /// The holder of the master key.
    Master,
    /// The holder of a virtual key, or of one of the configuration file.
    Key(Arc<Principal>),
}

impl Caller {
    /// Whose what is kept for this caller is: callers with the same name share it.
    #[must_use]
    pub fn owner(&self) -> &str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Master => "master",
            Self::Key(principal) => &principal.hash,
        }
    }

    /// Who it is, if there are records of them.
    #[must_use]
    pub const fn principal(&self) -> Option<&Arc<Principal>> {
        match self {
            Self::Anonymous | Self::Master => None,
            Self::Key(principal) => Some(principal),
        }
    }

    /// What the caller may manage. Without a master key only this machine is served, and whoever is
    /// on it may manage all.
    #[must_use]
    pub fn role(&self) -> Role {
        match self {
            Self::Anonymous | Self::Master => Role::ProxyAdmin,
            Self::Key(principal) => principal.role(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::keys::KeyHash;

    fn of<R: serde::de::DeserializeOwned>(value: serde_json::Value) -> R {
        serde_json::from_value(value).unwrap()
    }

    fn key(more: &serde_json::Value) -> Key {
        let mut value = json!({"token": KeyHash::of(b"sk-1")});
        value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        of(value)
    }

    #[test]
    fn a_shared_budget_fills_in_what_a_record_does_not_say() {
        let shared = of(json!({"budget_id": "b", "max_budget": 5.0, "rpm_limit": 10,
            "budget_duration": "1d", "model_max_budget": {"m": {"budget_limit": 1.0}}}));
        let budgets = Budgets::from([("b".to_owned(), shared)]);
        let team = of(json!({"team_id": "t", "budget_id": "b", "max_budget": 9.0,
            "members_with_roles": [{"user_id": "u", "role": "admin", "budget_id": "b"}]}));
        let key = key(&json!({"budget_id": "b", "rpm_limit": 3, "user_id": "u", "team_id": "t"}));
        let principal = Principal::new(key, None, Some(team), None, &budgets);
        let of_key = &principal.key.allowance;
        assert_eq!((of_key.max_budget, of_key.rpm_limit), (Some(5.0), Some(3)));
        assert_eq!(principal.key.model_max_budget["m"].budget_limit, 1.0);
        let of_team = &principal.team.as_ref().unwrap().allowance;
        assert_eq!((of_team.max_budget, of_team.rpm_limit), (Some(9.0), Some(10)));
        let member = principal.member().unwrap();
        assert_eq!(member.user_id, "u");
        assert_eq!(member.allowance.budget_duration.as_deref(), Some("1d"));
    }

    #[test]
    fn an_unknown_budget_bounds_nothing_and_a_stranger_is_no_member() {
        let team = of(json!({"team_id": "t", "members_with_roles": [{"user_id": "u"}]}));
        let key = key(&json!({"budget_id": "gone", "team_id": "t"}));
        let principal = Principal::new(key, None, Some(team), None, &Budgets::new());
        assert_eq!(principal.key.allowance.max_budget, None);
        assert!(principal.member().is_none());
    }

    #[test]
    fn the_organisation_is_the_keys_then_the_teams_then_the_users() {
        let user: User = of(json!({"user_id": "u", "organization_id": "of-user"}));
        let team: Team = of(json!({"team_id": "t", "organization_id": "of-team"}));
        let outside: Team = of(json!({"team_id": "t"}));
        let cases = [
            (json!({"organization_id": "own", "team_id": "t"}), Some(&team), Some("own")),
            (json!({"team_id": "t"}), Some(&team), Some("of-team")),
            (json!({"team_id": "t"}), Some(&outside), None),
            (json!({}), None, Some("of-user")),
        ];
        for (said, team, expected) in cases {
            let (key, user) = (key(&said), Some(user.clone()));
            let principal = Principal::new(key, user, team.cloned(), None, &Budgets::new());
            assert_eq!(principal.organisation_id(), expected, "{said}");
        }
    }

    #[test]
    fn a_key_has_its_users_role_and_else_the_least() {
        let holder = |user: Option<User>| {
            let principal = Principal::new(key(&json!({})), user, None, None, &Budgets::new());
            Caller::Key(Arc::new(principal))
        };
        let admin = of(json!({"user_id": "u", "user_role": "proxy_admin"}));
        assert_eq!(holder(Some(admin)).role(), Role::ProxyAdmin);
        assert_eq!(holder(None).role(), Role::InternalUser);
        assert_eq!(Caller::Master.role(), Role::ProxyAdmin);
        assert_eq!(Caller::Anonymous.role(), Role::ProxyAdmin);
        assert_eq!(holder(None).owner(), KeyHash::of(b"sk-1").to_string());
    }
}
