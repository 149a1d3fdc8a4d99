//! What of all that was spent a caller may see: those who see everything, what they ask for; a user,
//! what is the user's own; an admin of a team, the team's.

use super::super::Operator;
use super::super::fault::Fault;
use super::super::form::Form;
use super::Reports;
use crate::keys::record::Kind;
use crate::keys::record::{Key, Team};
use crate::keys::{Filter, KeyHash, fetch, read};

/// Whose requests are meant: those that fit all that is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Part {
    /// The key's hash.
    pub(in super::super) key: Option<String>,
    pub(in super::super) user: Option<String>,
    pub(in super::super) team: Option<String>,
}

impl Part {
    /// Whose requests are asked for by `api_key`, `user_id` (or `internal_user_id`) and `team_id`.
    pub(super) fn asked(form: &Form) -> Result<Self, Fault> {
        let first = |names: [&str; 2]| -> Result<Option<String>, Fault> {
            for name in names {
                let given = form.filled(name)?;
                if given.is_some() {
                    return Ok(given);
                }
            }
            Ok(None)
        };
        Ok(Self {
            key: first(["api_key", "key"])?.map(|key| hash_of(&key)),
            user: first(["user_id", "internal_user_id"])?,
            team: first(["team_id", "team"])?,
        })
    }

    const fn is_all(&self) -> bool {
        self.key.is_none() && self.user.is_none() && self.team.is_none()
    }
}

/// A key may be named as it is or by its hash.
pub(in super::super) fn hash_of(key: &str) -> String {
    if key.starts_with("sk-") { KeyHash::of(key.as_bytes()).to_string() } else { key.to_owned() }
}

fn not_yours(what: &str) -> Fault {
    Fault::forbidden(format!("{what} is not yours to see"))
}

impl Reports {
    /// What a caller sees of what it asks for. Who asks for nothing in particular sees what is its
    /// own.
    pub(in super::super) async fn sight(
        &self,
        operator: &Operator,
        asked: Part,
    ) -> Result<Part, Fault> {
        if operator.sees_all() {
            return Ok(asked);
        }
        if asked.is_all() {
            return Ok(own(operator));
        }
        if let Some(id) = &asked.team {
            let team = fetch::<Team>(&*self.directory, id).await?;
            let team = team.filter(|team| operator.is_in(team));
            // Whether there is such a team is nobody's business who is not in it.
            let team = team.ok_or_else(|| not_yours("The spend of this team"))?;
            if operator.runs(&team) {
                return Ok(asked);
            }
        }
        let own = own(operator);
        if let Some(key) = &asked.key
            && Some(key.as_str()) != operator.key_hash()
            && !self.owns(operator, key).await?
        {
            return Err(not_yours("The spend of this key"));
        }
        if asked.user.is_some() && asked.user != own.user {
            return Err(not_yours("The spend of this user"));
        }
        // A key of the caller's is all there is to see; of a team, the caller's part of it.
        match asked.key.is_some() {
            true => Ok(asked),
            false => Ok(Part { key: own.key, user: own.user, team: asked.team }),
        }
    }

    /// Whether a key is the caller's: one of its user, or of a team that it manages.
    async fn owns(&self, operator: &Operator, hash: &str) -> Result<bool, Fault> {
        let Some(key) = fetch::<Key>(&*self.directory, hash).await? else { return Ok(false) };
        if key.user_id.is_some() && key.user_id.as_deref() == operator.user_id() {
            return Ok(true);
        }
        let Some(team) = &key.team_id else { return Ok(false) };
        let team = fetch::<Team>(&*self.directory, team).await?;
        Ok(team.is_some_and(|team| operator.runs(&team)))
    }

    /// The teams whose spend a caller sees, of those that are asked for; `None`: all of them.
    pub(super) async fn teams(
        &self,
        operator: &Operator,
        asked: Option<Vec<String>>,
    ) -> Result<Option<Vec<String>>, Fault> {
        if operator.sees_all() {
            return Ok(asked);
        }
        let Some(asked) = asked else {
            let filter = Filter::default();
            let teams = self.directory.list(Kind::Team, &filter).await?;
            let teams: Vec<Team> = teams.into_iter().map(read).collect::<Result<_, _>>()?;
            let run = teams.into_iter().filter(|team| operator.runs(team));
            return Ok(Some(run.map(|team| team.team_id).collect()));
        };
        for id in &asked {
            let team = fetch::<Team>(&*self.directory, id).await?;
            if !team.is_some_and(|team| operator.runs(&team)) {
                return Err(not_yours("The spend of this team"));
            }
        }
        Ok(Some(asked))
    }
}

/// What is the caller's own: its user's, or that of a key without a user.
fn own(operator: &Operator) -> Part {
    match (operator.user_id(), operator.key_hash()) {
        (Some(user), _) => Part { user: Some(user.to_owned()), ..Part::default() },
        (None, Some(key)) => Part { key: Some(key.to_owned()), ..Part::default() },
        // Not a holder of a key: such a caller sees everything, and is not asked here.
        (None, None) => Part { key: Some(String::new()), ..Part::default() },
    }
}
