//! What belongs to a key: its user, its team, its organisation, and the budgets that they name.

use futures::future::try_join;

use super::{KeyRing, Settings};
use crate::keys::directory::{StoreError, fetch};
use crate::keys::hash::KeyHash;
use crate::keys::principal::{Budgets, Principal, organisation_of};
use crate::keys::record::{Allowance, BudgetRecord, Key, Organisation, Record, Team, User};

/// A key may stand for one that stands for another, and so on; more than these are nobody's.
const REPLACED_MAX: usize = 16;

impl KeyRing {
    /// A key joined with what belongs to it.
    pub(super) async fn read(
        &self,
        hash: KeyHash,
        settings: &Settings,
    ) -> Result<Option<Principal>, StoreError> {
        match self.standing(hash).await? {
            Some(key) => Ok(Some(self.join(key, settings).await?)),
            None => Ok(None),
        }
    }

    /// The record of a key. One that was replaced is the key in its place, as long as it is valid itself.
    async fn standing(&self, hash: KeyHash) -> Result<Option<Key>, StoreError> {
        let Some(mut key) = fetch::<Key>(&*self.directory, &hash.to_string()).await? else {
            return Ok(None);
        };
        for _ in 0..REPLACED_MAX {
            let Some(next) = key.replaced_by else { return Ok(Some(key)) };
            {
                let mut replaced = self.replaced.lock();
                let replaced = replaced.entry(next).or_default();
                if !replaced.contains(&hash) {
                    replaced.push(hash);
                }
            }
            let Some(current) = fetch::<Key>(&*self.directory, &next.to_string()).await? else {
                return Ok(None);
            };
            let ends = [key.expires, current.expires].into_iter().flatten().min();
            key = Key { expires: ends, blocked: key.blocked || current.blocked, ..current };
        }
        Ok(None)
    }

    pub(super) async fn join(
        &self,
        key: Key,
        settings: &Settings,
    ) -> Result<Principal, StoreError> {
        let user = self.belonging::<User>(key.user_id.as_deref());
        let team = self.belonging::<Team>(key.team_id.as_deref());
        let (mut user, mut team) = try_join(user, team).await?;
        if let Some(team) = &mut team {
            // Of a large team each of its keys would keep all members.
            team.members.retain(|member| key.user_id.as_ref() == Some(&member.user_id));
        }
        let organisation = organisation_of(&key, user.as_ref(), team.as_ref());
        let organisation = self.belonging::<Organisation>(organisation).await?;
        if user.is_none() && settings.user_defaults != Allowance::default() {
            user = key.user_id.clone().map(|user_id| User { user_id, ..User::default() });
        }
        let mut budgets = Budgets::new();
        let allowances = [
            Some(&key.allowance),
            user.as_ref().map(|user| &user.allowance),
            team.as_ref().map(|team| &team.allowance),
            organisation.as_ref().map(|organisation| &organisation.allowance),
        ];
        let members = team.iter().flat_map(|team| &team.members).map(|member| &member.allowance);
        for allowance in allowances.into_iter().flatten().chain(members) {
            self.budget(allowance, &mut budgets).await?;
        }
        let mut principal = Principal::new(key, user, team, organisation, &budgets);
        if let Some(user) = &mut principal.user
            && user.has_default()
        {
            user.allowance.default_to(&settings.user_defaults);
        }
        Ok(principal)
    }

    /// The record that a link names. That it may name nothing is no failure.
    async fn belonging<R: Record>(&self, id: Option<&str>) -> Result<Option<R>, StoreError> {
        match id {
            Some(id) => fetch(&*self.directory, id).await,
            None => Ok(None),
        }
    }

    pub(super) async fn budget(
        &self,
        allowance: &Allowance,
        budgets: &mut Budgets,
    ) -> Result<(), StoreError> {
        if let Some(id) = &allowance.budget_id
            && !budgets.contains_key(id)
            && let Some(budget) = fetch::<BudgetRecord>(&*self.directory, id).await?
        {
            budgets.insert(id.clone(), budget);
        }
        Ok(())
    }
}
