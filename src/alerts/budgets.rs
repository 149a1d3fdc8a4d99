//! Budgets that are nearly used up: once for each level in each period, whichever gateway sees it.

use std::pin::pin;
use std::time::Duration;

use jiff::Timestamp;
use rustc_hash::FxHashMap;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::delivery::{Letter, Post};
use super::kind::Kind;
use super::text::{Gravity, escaped};
use super::{NOTE_MAX, Scene};
use crate::admission::{Crossed, Level, Notices};
use crate::keys::record::{Key, Organisation, Team, User};
use crate::keys::{Directory, StoreError, fetch};
use crate::money::Usd;
use crate::patience::within;
use crate::spend::ScopeKind;

/// Levels that are remembered as told; the oldest are forgotten first.
const TOLD_MAX: usize = 10_000;

/// Tells what comes, for ever.
pub(super) async fn run<S: Notices + Directory>(
    mut crossings: mpsc::Receiver<Crossed>,
    post: &Post,
    scene: &dyn Scene,
    store: &S,
) {
    let mut told = Told::default();
    while let Some(crossed) = crossings.recv().await {
        let settings = scene.settings();
        let now = Timestamp::now();
        let until = until(&crossed, settings.budget_ttl, now);
        if !told.is_new(&crossed, now, until) {
            continue;
        }
        let notice = notice(&crossed);
        let noted = pin!(store.note(&notice, now, until));
        // Where that is not known: better twice than never.
        if let Ok(Ok(false)) = within(NOTE_MAX, noted).await {
            continue;
        }
        // Nobody is looked up for the log alone.
        let looked_up = pin!(Payer::of(&crossed, store));
        let payer = match settings.webhook {
            Some(_) => within(NOTE_MAX, looked_up).await.ok().and_then(Result::ok),
            None => None,
        };
        let payer = payer.unwrap_or_else(|| Payer::told(&crossed));
        let plain = text(&crossed);
        let event = event(&crossed, &payer, &plain);
        let letter = Letter {
            kind: Kind::Budgets,
            gravity: Some(Gravity::High),
            text: escaped(&plain),
            event: Some(event),
        };
        post.send(letter, &settings, now);
    }
}

/// Whose budget it is, in the fields of LiteLLM's webhook.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Payer {
    token: Option<String>,
    key_alias: Option<String>,
    user_id: Option<String>,
    user_email: Option<String>,
    team_id: Option<String>,
    team_alias: Option<String>,
    organisation_id: Option<String>,
    organisation_alias: Option<String>,
    customer_id: Option<String>,
}

impl Payer {
    /// What can be said without asking anybody.
    fn told(crossed: &Crossed) -> Self {
        let (id, name) = (&*crossed.scope.id, crossed.name.as_deref());
        let (own, named) = (Some(id.to_owned()), name.map(str::to_owned));
        match crossed.scope.kind {
            ScopeKind::Key | ScopeKind::KeyModel => {
                // The hash has no slash; of a model, its name follows.
                let token = id.split_once('/').map_or(id, |(token, _)| token);
                Self {
                    token: Some(token.to_owned()),
                    key_alias: name.and_then(bare_alias),
                    ..Self::default()
                }
            }
            ScopeKind::Team => Self { team_id: own, team_alias: named, ..Self::default() },
            ScopeKind::TeamMember => {
                let team = name.and_then(|user| id.strip_suffix(user)?.strip_suffix('/'));
                Self { team_id: team.map(str::to_owned), user_id: named, ..Self::default() }
            }
            ScopeKind::User => Self { user_id: own, ..Self::default() },
            ScopeKind::Organisation => {
                Self { organisation_id: own, organisation_alias: named, ..Self::default() }
            }
            ScopeKind::EndUser => Self { customer_id: own, ..Self::default() },
            ScopeKind::Proxy
            | ScopeKind::Model
            | ScopeKind::TeamModel
            | ScopeKind::Tag
            | ScopeKind::Provider
            | ScopeKind::Deployment => Self::default(),
        }
    }

    /// With what their records say.
    async fn of(crossed: &Crossed, directory: &dyn Directory) -> Result<Self, StoreError> {
        let mut payer = Self::told(crossed);
        if let Some(token) = &payer.token
            && let Some(key) = fetch::<Key>(directory, token).await?
        {
            payer.key_alias = key.key_alias.or(payer.key_alias);
            (payer.user_id, payer.team_id) = (key.user_id, key.team_id);
            payer.organisation_id = key.organization_id;
        }
        if let Some(team) = &payer.team_id
            && let Some(team) = fetch::<Team>(directory, team).await?
        {
            payer.team_alias = team.team_alias;
            payer.organisation_id = payer.organisation_id.or(team.organization_id);
        }
        if let Some(user) = &payer.user_id
            && let Some(user) = fetch::<User>(directory, user).await?
        {
            payer.user_email = user.user_email;
        }
        if let Some(organisation) = &payer.organisation_id
            && let Some(found) = fetch::<Organisation>(directory, organisation).await?
        {
            payer.organisation_alias = found.organization_alias;
        }
        Ok(payer)
    }
}

/// `ci` of `ci (sk-...abcd), model gpt`; a key without an alias has none.
fn bare_alias(name: &str) -> Option<String> {
    name.rfind(" (sk-").and_then(|end| name.get(..end)).map(str::to_owned)
}

/// What was told, and until when it is not told again.
#[derive(Debug, Default)]
struct Told(FxHashMap<String, Timestamp>);

/// Until when a level is not told again.
fn until(crossed: &Crossed, repeat_after: Duration, now: Timestamp) -> Timestamp {
    crossed.resets.or_else(|| now.checked_add(repeat_after).ok()).unwrap_or(now)
}

/// What a level of a budget is noted by. A budget of another amount is another one.
fn notice(crossed: &Crossed) -> String {
    let Crossed { scope, level, max, soft, .. } = crossed;
    let (level, amount) = match level {
        Level::Soft => ("soft".to_owned(), soft),
        Level::Percent(share) => (share.to_string(), max),
    };
    let amount = amount.map_or(0, Usd::pico);
    format!("budget {} {level} {amount} {}", scope.kind.word(), scope.id)
}

impl Told {
    fn is_new(&mut self, crossed: &Crossed, now: Timestamp, until: Timestamp) -> bool {
        if self.0.len() >= TOLD_MAX {
            self.0.retain(|_, until| *until > now);
        }
        let key = notice(crossed);
        if self.0.get(&key).is_some_and(|until| *until > now) {
            return false;
        }
        if self.0.len() < TOLD_MAX {
            self.0.insert(key, until);
        }
        true
    }
}

/// Who it is, in LiteLLM's words.
const fn group(kind: ScopeKind) -> &'static str {
    match kind {
        ScopeKind::Proxy => "proxy",
        ScopeKind::Organisation => "organization",
        ScopeKind::Team => "team",
        ScopeKind::TeamMember => "team_member",
        ScopeKind::User => "internal_user",
        ScopeKind::Key => "key",
        ScopeKind::EndUser => "customer",
        ScopeKind::Model => "model",
        ScopeKind::KeyModel => "key_model",
        ScopeKind::TeamModel => "team_model",
        ScopeKind::Tag => "tag",
        ScopeKind::Provider => "provider",
        ScopeKind::Deployment => "deployment",
    }
}

fn name(crossed: &Crossed) -> &str {
    match (&crossed.name, crossed.scope.kind) {
        (Some(name), _) => name,
        // A key without a name has a hash only, which is nobody's business.
        (None, ScopeKind::Key | ScopeKind::KeyModel) => "",
        (None, _) => &crossed.scope.id,
    }
}

fn text(crossed: &Crossed) -> String {
    let Crossed { level, spent, max, soft, resets, scope, .. } = crossed;
    let who = format!("{} {}", group(scope.kind), name(crossed));
    let who = who.trim_end();
    let what = match level {
        Level::Soft => format!(
            "Soft budget crossed: {who} has spent ${spent} of a soft budget of ${}",
            soft.unwrap_or_default()
        ),
        Level::Percent(100) => {
            format!("Budget crossed: {who} has spent ${spent} of ${}", max.unwrap_or_default())
        }
        Level::Percent(share) => format!(
            "{share}% threshold crossed: {who} has spent ${spent} of ${}",
            max.unwrap_or_default()
        ),
    };
    match resets {
        Some(resets) => format!("{what}. It starts anew at {resets}."),
        None => format!("{what}."),
    }
}

/// The body of LiteLLM's webhook.
fn event(crossed: &Crossed, payer: &Payer, text: &str) -> Value {
    let event = match crossed.level {
        Level::Soft => "soft_budget_crossed",
        Level::Percent(100) => "budget_crossed",
        Level::Percent(_) => "threshold_crossed",
    };
    json!({
        "event": event,
        "event_group": group(crossed.scope.kind),
        "event_message": text,
        "spend": crossed.spent.dollars(),
        "max_budget": crossed.max.map(Usd::dollars),
        "soft_budget": crossed.soft.map(Usd::dollars),
        "threshold": match crossed.level {
            Level::Percent(share) => Some(f64::from(share) / 100.0),
            Level::Soft => None,
        },
        "token": payer.token,
        "key_alias": payer.key_alias,
        "user_id": payer.user_id,
        "user_email": payer.user_email,
        "team_id": payer.team_id,
        "team_alias": payer.team_alias,
        "organization_id": payer.organisation_id,
        "organization_alias": payer.organisation_alias,
        "customer_id": payer.customer_id,
        "projected_exceeded_date": null,
        "projected_spend": null,
        "budget_reset_at": crossed.resets,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spend::Scope;

    fn crossed(level: Level, resets: Option<&str>) -> Crossed {
        let usd = |dollars| Usd::from_dollars(dollars).unwrap();
        Crossed {
            scope: Scope::new(ScopeKind::Team, "t1"),
            name: Some("core".into()),
            level,
            spent: usd(8.5),
            max: Some(usd(10.0)),
            soft: Some(usd(5.0)),
            resets: resets.map(|at| at.parse().unwrap()),
        }
    }

    #[test]
    fn a_level_is_told_once_in_each_period() {
        let mut told = Told::default();
        let day = Duration::from_secs(86_400);
        let mut is_new = |level, resets, now: &str| {
            let (crossed, now) = (crossed(level, resets), now.parse().unwrap());
            told.is_new(&crossed, now, until(&crossed, day, now))
        };
        let (first, second) = (Some("2026-12-01T00:00:00Z"), Some("2027-01-01T00:00:00Z"));
        assert!(is_new(Level::Soft, first, "2026-11-21T00:00:00Z"));
        assert!(!is_new(Level::Soft, first, "2026-11-30T00:00:00Z"));
        assert!(is_new(Level::Percent(85), first, "2026-11-30T00:00:00Z"));
        assert!(is_new(Level::Soft, second, "2026-12-01T00:00:00Z"));
        assert!(is_new(Level::Percent(95), None, "2026-12-01T00:00:00Z"));
        assert!(!is_new(Level::Percent(95), None, "2026-12-01T23:00:00Z"));
        assert!(is_new(Level::Percent(95), None, "2026-12-02T00:00:00Z"));
    }

    #[test]
    fn people_and_programs_are_told_the_same() {
        let crossed = crossed(Level::Percent(85), Some("2026-12-01T00:00:00Z"));
        let text = text(&crossed);
        assert_eq!(
            text,
            "85% threshold crossed: team core has spent $8.5 of $10. It starts anew at \
             2026-12-01T00:00:00Z."
        );
        let event = event(&crossed, &Payer::told(&crossed), &text);
        assert_eq!(event["event"], "threshold_crossed");
        assert_eq!((&event["team_id"], &event["token"]), (&json!("t1"), &Value::Null));
        assert_eq!((&event["team_alias"], &event["key_alias"]), (&json!("core"), &Value::Null));
        assert_eq!(event["spend"], 8.5);
    }

    #[test]
    fn who_pays_is_known_by_the_scope_alone() {
        let payer = |kind, id: &str, name: Option<&str>| {
            let scope = Scope::new(kind, id);
            let name = name.map(Into::into);
            Payer::told(&Crossed { scope, name, ..crossed(Level::Soft, None) })
        };
        let text = |text: &str| Some(text.to_owned());
        let key = payer(ScopeKind::Key, "abc", Some("ci (old) (sk-...abcd)"));
        assert_eq!((key.token, key.key_alias), (text("abc"), text("ci (old)")));
        assert_eq!(payer(ScopeKind::Key, "abc", Some("sk-...abcd")).key_alias, None);
        let model = payer(ScopeKind::KeyModel, "abc/a/b", Some("ci (sk-...abcd), model a/b"));
        assert_eq!((model.token, model.key_alias), (text("abc"), text("ci")));
        let member = payer(ScopeKind::TeamMember, "t/1/u/2", Some("u/2"));
        assert_eq!((member.team_id, member.user_id), (text("t/1"), text("u/2")));
        assert_eq!(payer(ScopeKind::EndUser, "ada", None).customer_id, text("ada"));
    }
}
