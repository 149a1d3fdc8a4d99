//! New keys.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value, json};

use super::super::draft::Draft;
use super::super::spent::Payer;
use super::super::{Desk, Operator, allowance, logging, new_id, spent};
use super::{fields, runs, scope, shown_once};
use crate::admin::fault::Fault;
use crate::admin::form::{Form, Given};
use crate::callbacks::own::owner_of_key;
use crate::keys::record::{Key, KeyType, Team, User};
use crate::keys::{KeyHash, Role, masked, new_key};

/// A key of fewer characters could be guessed.
const CUSTOM_KEY_MIN: usize = 16;

/// The key of a user, or of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    Personal,
    /// Of a team, and of nobody in it.
    Service,
}

/// `POST /key/generate`.
pub(super) async fn generate(
    State(desk): State<Arc<Desk>>,
    operator: Operator,
    form: Form,
) -> Result<Json<Value>, Fault> {
    answer(&desk, &operator, &form, Request::Personal).await
}

/// `POST /key/service-account/generate`.
pub(super) async fn service_account(
    State(desk): State<Arc<Desk>>,
    operator: Operator,
    form: Form,
) -> Result<Json<Value>, Fault> {
    answer(&desk, &operator, &form, Request::Service).await
}

async fn answer(
    desk: &Desk,
    operator: &Operator,
    form: &Form,
    request: Request,
) -> Result<Json<Value>, Fault> {
    let mut draft = Draft::by(desk, operator).await?;
    let issued = issue(desk, operator, form, request, &mut draft).await?;
    let spent = form.spent("spend")?.value().filter(|spent| *spent > 0.0);
    if let Some(spent) = spent.filter(|_| operator.changes_all()) {
        // Before the key is there: what it is said to have spent by mistake then bounds nothing. Whoever
        // tries again with the same key corrects it to the same sum.
        let payer = Payer::new(scope(&issued.key), &issued.key.allowance);
        let standing = spent::standing(desk, payer, draft.at).await?;
        spent::correct(desk, &scope(&issued.key), &standing, spent, draft.at).await?;
    }
    draft.make(desk).await?;
    let mut fields = shown_once(desk, &issued.key).await?;
    issued.tell(&mut fields);
    Ok(Json(Value::Object(fields)))
}

/// A key with what only its maker is told.
pub(in super::super) struct Issued {
    pub(in super::super) key: Key,
    pub(super) secret: String,
}

impl Issued {
    /// Writes the key itself into an answer.
    pub(in super::super) fn tell(&self, fields: &mut Map<String, Value>) {
        let hash = self.key.token.to_string();
        fields.insert("key".to_owned(), json!(self.secret));
        fields.insert("token".to_owned(), json!(hash));
        fields.insert("token_id".to_owned(), json!(hash));
    }
}

/// Drafts a new key by what a request says.
async fn issue(
    desk: &Desk,
    operator: &Operator,
    form: &Form,
    request: Request,
    draft: &mut Draft<'_>,
) -> Result<Issued, Fault> {
    let secret = secret(desk, form, "key").await?;
    let mut key = fields::blank(KeyHash::of(secret.as_bytes()));
    key.key_name = masked(&secret);
    fields::read(form, &mut key, draft.at)?;
    fields::check_guardrails(desk, &key.metadata)?;
    check_rights(operator, form, &key)?;
    allowance::check_ceiling(operator, &key.allowance)?;
    apply_defaults(desk, operator, form, request, &mut key, draft.at)?;
    check_owner(desk, operator, request, &mut key).await?;
    callbacks(desk, operator, form, &mut key).await?;
    finish(desk, key, secret, draft).await
}

/// Reads the callbacks of a key, if the caller may give it any.
pub(super) async fn callbacks(
    desk: &Desk,
    operator: &Operator,
    form: &Form,
    key: &mut Key,
) -> Result<(), Fault> {
    let owner = owner_of_key(&key.account().to_string());
    let mut own = key.logging.take();
    let is_changed = logging::read(desk, operator, form, &owner, &mut own)?;
    key.logging = own;
    match is_changed && !runs(desk, operator, key).await? {
        true => Err(logging::not_yours()),
        false => Ok(()),
    }
}

/// Drafts the key of a user who is made together with it: whoever makes the user may.
pub(in super::super) async fn issue_first(
    desk: &Desk,
    operator: &Operator,
    form: &Form,
    user: &User,
    draft: &mut Draft<'_>,
) -> Result<Issued, Fault> {
    let secret = secret(desk, form, "key").await?;
    let mut key = fields::blank(KeyHash::of(secret.as_bytes()));
    key.key_name = masked(&secret);
    fields::read(form, &mut key, draft.at)?;
    fields::check_guardrails(desk, &key.metadata)?;
    check_rights(operator, form, &key)?;
    key.user_id = Some(user.user_id.clone());
    callbacks(desk, operator, form, &mut key).await?;
    bound(desk, &mut key, draft.at)?;
    finish(desk, key, secret, draft).await
}

async fn finish(
    desk: &Desk,
    mut key: Key,
    secret: String,
    draft: &mut Draft<'_>,
) -> Result<Issued, Fault> {
    allowance::check_budget(desk, &key.allowance).await?;
    check_alias(desk, &key).await?;
    key.history = draft.begin();
    draft.create(&key)?;
    Ok(Issued { key, secret })
}

/// A new key, or the one that the request brings under this name.
pub(super) async fn secret(desk: &Desk, form: &Form, name: &'static str) -> Result<String, Fault> {
    let Some(own) = form.name(name)?.value() else {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|error| {
            tracing::error!(%error, "the system has no random numbers");
            Fault::value(name, "The system has no random numbers to make a key of.".to_owned())
        })?;
        return Ok(new_key(random));
    };
    if !own.starts_with("sk-") {
        let message = "Invalid key format. A virtual key must start with 'sk-'.";
        return Err(Fault::value(name, message.to_owned()));
    }
    if own.len() < CUSTOM_KEY_MIN || !own.bytes().all(|byte| byte.is_ascii_graphic()) {
        let message = format!(
            "Invalid key format. A virtual key has at least {CUSTOM_KEY_MIN} letters, digits and signs."
        );
        return Err(Fault::value(name, message));
    }
    let master = desk.source.access().master_key;
    let taken = master.is_some_and(|master| master.matches(own.as_bytes()))
        || desk.find::<Key>(&KeyHash::of(own.as_bytes()).to_string()).await?.is_some();
    match taken {
        true => Err(Fault::conflict(400, name, "This key exists already.".to_owned())),
        false => Ok(own),
    }
}

/// What only proxy admins may give a key.
pub(super) fn check_rights(operator: &Operator, form: &Form, key: &Key) -> Result<(), Fault> {
    if operator.changes_all() {
        return Ok(());
    }
    if form.has("allowed_routes") && !key.allowed_routes.is_empty() {
        let message = "Only proxy admins can set `allowed_routes` on a key. Use `key_type` to pick a \
                       preset of routes instead.";
        return Err(Fault::forbidden(message.to_owned()).about("allowed_routes"));
    }
    if form.has("key_type") && key.key_type == KeyType::Management {
        let message = "Only proxy admins can make keys for management.";
        return Err(Fault::forbidden(message.to_owned()).about("key_type"));
    }
    if form.has("spend") {
        let message = "Only proxy admins can say what a key has spent.";
        return Err(Fault::forbidden(message.to_owned()).about("spend"));
    }
    Ok(())
}

/// What the configuration wants keys to be like, where the request says nothing, and at most.
fn apply_defaults(
    desk: &Desk,
    operator: &Operator,
    form: &Form,
    request: Request,
    key: &mut Key,
    now: jiff::Timestamp,
) -> Result<(), Fault> {
    let issuing = desk.source.issuing();
    let defaults = &issuing.key;
    key.allowance.complete(&defaults.allowance);
    if form.has("budget_duration") && form.name("budget_duration")?.value().is_none() {
        // Asked for: a budget for ever.
        key.allowance.budget_duration = None;
    }
    if key.models.is_empty() {
        key.models.clone_from(&defaults.models);
    }
    if key.metadata.is_empty() {
        key.metadata.clone_from(&defaults.metadata);
    }
    key.team_id = key.team_id.take().or_else(|| defaults.team_id.clone());
    if request == Request::Personal {
        let own = || operator.user_id().map(str::to_owned);
        let user_id = key.user_id.take().or_else(|| defaults.user_id.clone());
        key.user_id =
            user_id.or_else(|| own().filter(|_| key.team_id.is_none() || !operator.changes_all()));
    }
    if key.expires.is_none()
        && !form.has("duration")
        && let Some(duration) = &defaults.duration
    {
        key.expires = crate::keys::expiry(duration, now).ok();
    }
    bound(desk, key, now)
}

/// Holds a new key within the bounds of the configuration.
fn bound(desk: &Desk, key: &mut Key, now: jiff::Timestamp) -> Result<(), Fault> {
    let issuing = desk.source.issuing();
    issuing.bounds.fill_in(&mut key.allowance);
    check_bounds(desk, key, now)?;
    let expires = issuing.bounds.expires(key.expires, now);
    key.expires = expires.map_err(|beyond| beyond_bound(&beyond))?;
    Ok(())
}

/// Whether a key is within the bounds of the configuration.
pub(super) fn check_bounds(desk: &Desk, key: &Key, now: jiff::Timestamp) -> Result<(), Fault> {
    let bounds = &desk.source.issuing().bounds;
    bounds.check(&key.allowance).map_err(|beyond| beyond_bound(&beyond))?;
    let period = |text: &Option<String>| text.as_deref()?.parse::<crate::spend::Period>().ok();
    let zone = desk.zone();
    let length = |period: crate::spend::Period| {
        let term = period.term(now, &zone);
        term.end.duration_since(term.start)
    };
    let asked = period(&key.allowance.budget_duration).map(length);
    match (asked, period(&bounds.budget_duration).map(length)) {
        (Some(asked), Some(most)) if asked > most => {
            let written = key.allowance.budget_duration.clone().unwrap_or_default();
            let max = bounds.budget_duration.clone().unwrap_or_default();
            let beyond = crate::keys::Beyond { field: "budget_duration", value: written, max };
            Err(beyond_bound(&beyond))
        }
        _ => Ok(()),
    }
}

/// In LiteLLM's words.
pub(super) fn beyond_bound(beyond: &crate::keys::Beyond) -> Fault {
    let crate::keys::Beyond { field, value, max } = beyond;
    let message =
        format!("{field} is over max limit set in config - user_value={value}; max_value={max}");
    Fault::value(field, message)
}

/// Whether the caller may make a key for its user, its team and its organisation.
pub(super) async fn check_owner(
    desk: &Desk,
    operator: &Operator,
    request: Request,
    key: &mut Key,
) -> Result<(), Fault> {
    let all = operator.changes_all();
    if request == Request::Service {
        let message = "team_id is required for service account keys. Please specify `team_id` in the \
                       request body.";
        if key.team_id.is_none() {
            return Err(Fault::value("team_id", message.to_owned()));
        }
        key.user_id = None;
        let id = key.key_alias.clone().unwrap_or_else(new_id);
        key.metadata.entry("service_account_id").or_insert(Value::String(id));
    }
    let own = key.user_id.as_deref() == operator.user_id();
    let leads = operator.role() == Some(Role::OrgAdmin);
    match key.team_id.clone() {
        Some(team_id) => {
            let unknown = || {
                let message = format!("Unable to find team object in database. Team ID: {team_id}");
                Fault::value("team_id", message)
            };
            let team: Team = desk.find(&team_id).await?.ok_or_else(unknown)?;
            check_member(key.user_id.as_deref(), &team)?;
            if !all && !operator.runs(&team) {
                let user = operator.user_id().unwrap_or_default();
                let message = format!(
                    "User={user} is not an admin of team={team_id}, and may make no keys for it."
                );
                return Err(Fault::forbidden(message).about("team_id"));
            }
            allowance::check_team(&key.models, &key.allowance, &team)?;
        }
        None if !all && !own => {
            let message = format!(
                "User can only create keys for themselves. Got user_id={}, Your ID={}",
                key.user_id.as_deref().unwrap_or_default(),
                operator.user_id().unwrap_or_default()
            );
            return Err(Fault::forbidden(message).about("user_id"));
        }
        None => {}
    }
    if let Some(id) = &key.organization_id {
        let organisation = desk.organisation(id).await?;
        if !(all || leads && operator.leads(Some(id))) {
            let message = format!("You are not an admin of organization={id}.");
            return Err(Fault::forbidden(message).about("organization_id"));
        }
        allowance::check_organisation(&key.models, &key.allowance, &organisation)?;
    }
    Ok(())
}

fn check_member(user_id: Option<&str>, team: &Team) -> Result<(), Fault> {
    let Some(user_id) = user_id else { return Ok(()) };
    if team.members.iter().any(|member| member.user_id == user_id) {
        return Ok(());
    }
    let message = format!("User={user_id} not assigned to team={}", team.team_id);
    Err(Fault::value("user_id", message))
}

/// An alias names one key.
pub(super) async fn check_alias(desk: &Desk, key: &Key) -> Result<(), Fault> {
    let Some(alias) = &key.key_alias else { return Ok(()) };
    let known = desk.key_by_alias(alias).await?;
    if known.is_none_or(|known| known.token == key.token) {
        return Ok(());
    }
    let message = format!(
        "Key with alias '{alias}' already exists. Unique key aliases across all keys are required."
    );
    Err(Fault::conflict(400, "key_alias", message))
}

/// Whether anything that only who runs the key may change is named.
pub(super) fn changes_budget(form: &Form) -> bool {
    const ADMINS: [&str; 5] =
        ["max_budget", "soft_budget", "budget_duration", "budget_id", "spend"];
    ADMINS.iter().any(|name| !matches!(form.any(name), Given::Absent))
}
