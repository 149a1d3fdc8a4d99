//! `metadata.logging` of keys and teams, and `/team/{team_id}/callback`: callbacks of their own.
//!
//! Variables are sealed before anything is drafted and never shown again: a mark stands for each secret.
//! Whoever sends marks back keeps what is stored, as it is stored: were the rest of an entry changed
//! with them, a stored secret would go to an address of somebody else's choosing.
//!
//! Proxy admins name any receiver. Who runs a team names Langfuse's cloud, the gateway's own Langfuse and
//! hosts that the configuration allows.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde_json::{Map, Value, json};

use super::{Desk, Draft, Fault, Form, Given, Operator, members, teams};
use crate::admin::shortened;
use crate::callbacks::own::{self, HIDDEN, NAMES};
use crate::keys::record::Team;
use crate::keys::{Events, OwnCallback};
use crate::seal::Seal;

/// Where they stand, in a request and as they are shown.
pub(super) const LOGGING: &str = "logging";
const FIELD: &str = "metadata.logging";
/// The most callbacks of one key or team.
const CALLBACKS_MAX: usize = 8;
/// The longest value of a variable.
const VALUE_BYTES_MAX: usize = 2_000;

pub(super) fn router() -> Router<Arc<Desk>> {
    Router::new()
        .route("/team/{team_id}/callback", get(list).post(add))
        .route("/team/{team_id}/callback/{name}", delete(remove))
        .route("/team/{team_id}/disable_logging", post(disable))
}

/// Applies what a form says of them to those that are there. Whether it changes anything; who may change
/// them is the caller's business.
pub(super) fn read(
    desk: &Desk,
    operator: &Operator,
    form: &Form,
    owner: &str,
    logging: &mut Option<Vec<OwnCallback>>,
) -> Result<bool, Fault> {
    let given = form.typed::<Map<String, Value>>("metadata", "an object")?.value();
    let Some(given) = given.and_then(|mut metadata| metadata.remove(LOGGING)) else {
        return Ok(false);
    };
    let before = logging.as_deref().unwrap_or_default();
    let after = match given {
        Value::Null => None,
        Value::Array(list) if list.len() <= CALLBACKS_MAX => {
            let read = list.into_iter().map(|entry| one(desk, operator, entry, owner, before));
            Some(read.collect::<Result<Vec<_>, _>>()?)
        }
        Value::Array(_) => {
            return Err(Fault::value(
                FIELD,
                format!("{FIELD} has at most {CALLBACKS_MAX} entries"),
            ));
        }
        _ => return Err(Fault::shape(FIELD, format!("{FIELD} must be a list of objects"))),
    };
    let is_changed = after != *logging;
    *logging = after;
    Ok(is_changed)
}

/// Metadata without them: they are kept elsewhere.
pub(super) fn take_out(metadata: &mut Given<Map<String, Value>>) {
    if let Given::Value(metadata) = metadata {
        metadata.remove(LOGGING);
    }
}

/// As they are shown.
pub(super) fn shown(callbacks: &[OwnCallback]) -> Value {
    let shown = callbacks.iter().map(|callback| {
        json!({
            "callback_name": callback.callback_name,
            "callback_type": callback.callback_type,
            "callback_vars": callback.callback_vars,
        })
    });
    shown.collect()
}

/// Whoever is no admin of what has the callbacks may not change them.
pub(super) fn not_yours() -> Fault {
    let message =
        "Only admins of the proxy, of the team or of its organization may change callbacks.";
    Fault::forbidden(message.to_owned()).about(FIELD)
}

/// Reads one of them.
fn one(
    desk: &Desk,
    operator: &Operator,
    entry: Value,
    owner: &str,
    before: &[OwnCallback],
) -> Result<OwnCallback, Fault> {
    let form = Form::of_value(FIELD, entry)?;
    let callback_name = form.required("callback_name")?;
    if !NAMES.contains(&&*callback_name) {
        let message = format!(
            "callback_name: a key or a team cannot have the callback {}, only: {}",
            shortened(&callback_name),
            NAMES.join(", ")
        );
        return Err(Fault::value("callback_name", message));
    }
    let events = "success, failure or success_and_failure";
    let callback_type = form.typed::<Events>("callback_type", events)?.value().unwrap_or_default();
    let vars = vars(&form)?;
    if vars.values().any(|value| value == HIDDEN) {
        let same =
            |it: &&OwnCallback| it.callback_name == callback_name && it.callback_vars == vars;
        let kept = before.iter().find(same).cloned().ok_or_else(|| {
            let message = "callback_vars: what is hidden can only be kept with all the rest as it is shown; \
                           to change something, give the credentials anew";
            Fault::value("callback_vars", message.to_owned())
        })?;
        return Ok(OwnCallback { callback_type, ..kept });
    }
    let wrong = |message: String| Fault::value("callback_vars", message);
    let settings = desk.source.callbacks();
    let receiver = settings.own.read(&callback_name, &vars).map_err(wrong)?;
    if let Some(receiver) = &receiver
        && !operator.changes_all()
        && !settings.own.allows(receiver)
    {
        let message = "callback_vars: only proxy admins may name this host; others may name Langfuse's cloud, \
                       the proxy's own Langfuse, and the hosts in callback_allowed_hosts";
        return Err(Fault::forbidden(message.to_owned()).about("callback_vars"));
    }
    let sealed = receiver.map(|_| sealed(desk, owner, &vars)).transpose()?;
    let hide = |(name, value): (String, String)| match own::is_open(&name) {
        true => (name, value),
        false => (name, HIDDEN.to_owned()),
    };
    let callback_vars = vars.into_iter().map(hide).collect();
    Ok(OwnCallback { callback_name, callback_type, callback_vars, sealed })
}

/// Variables as texts; LiteLLM makes texts of them, too.
fn vars(form: &Form) -> Result<BTreeMap<String, String>, Fault> {
    let name = "callback_vars";
    let given = form.typed::<Map<String, Value>>(name, "an object")?.value().unwrap_or_default();
    let mut vars = BTreeMap::new();
    for (var, value) in given {
        let text = match value {
            Value::Null => continue,
            Value::String(text) => text,
            Value::Bool(value) => value.to_string(),
            Value::Number(value) => value.to_string(),
            Value::Array(_) | Value::Object(_) => {
                return Err(Fault::shape(name, format!("{name} must be an object of texts")));
            }
        };
        if text.len() > VALUE_BYTES_MAX || text.contains(char::is_control) {
            let message = format!(
                "{name}: a value has at most {VALUE_BYTES_MAX} bytes, and no control characters"
            );
            return Err(Fault::value(name, message));
        }
        vars.insert(var, text);
    }
    Ok(vars)
}

fn sealed(desk: &Desk, owner: &str, vars: &BTreeMap<String, String>) -> Result<String, Fault> {
    let seal = desk.source.access().salt.as_ref().and_then(Seal::new);
    let seal = seal.ok_or_else(|| {
        let message =
            "Credentials of callbacks are kept encrypted: set LITELLM_SALT_KEY or a master key";
        Fault::value("callback_vars", message.to_owned())
    })?;
    let sealed = seal.seal(owner, &json!(vars).to_string());
    sealed.map_err(|error| Fault::value("callback_vars", error.to_string()))
}

/// Replaces the callbacks of a team that the caller runs. Returns the team as it is then.
async fn set(
    desk: &Desk,
    operator: &Operator,
    team_id: &str,
    change: impl FnOnce(&mut Team) -> Result<(), Fault> + Send,
) -> Result<Value, Fault> {
    let mut draft = Draft::by(desk, operator).await?;
    let before = members::run_team(desk, operator, team_id).await?;
    let mut team = before.clone();
    change(&mut team)?;
    draft.touch(&mut team.history);
    draft.replace("updated", &before, &team)?;
    draft.make(desk).await?;
    teams::one_shown(desk, &team).await.map(Value::Object)
}

/// `POST /team/{team_id}/callback`: one more.
async fn add(
    State(desk): State<Arc<Desk>>,
    operator: Operator,
    Path(team_id): Path<String>,
    form: Form,
) -> Result<Json<Value>, Fault> {
    let change = |team: &mut Team| {
        let before = team.logging.clone().unwrap_or_default();
        let given = form.only(&["callback_name", "callback_type", "callback_vars"]);
        let entry = Value::Object(given.fields());
        let new = one(&desk, &operator, entry, &own::owner_of_team(&team.team_id), &before)?;
        let same = |it: &OwnCallback| {
            (&it.callback_name, it.callback_type) == (&new.callback_name, new.callback_type)
        };
        if before.iter().any(same) {
            let message = format!(
                "callback_name = {} already exists in team_callback_settings, for team_id = {} and event = {}",
                new.callback_name,
                team.team_id,
                json!(new.callback_type).as_str().unwrap_or_default()
            );
            return Err(Fault::conflict(400, "callback_name", message));
        }
        if before.len() >= CALLBACKS_MAX {
            let message = format!("a team has at most {CALLBACKS_MAX} callbacks");
            return Err(Fault::value("callback_name", message));
        }
        team.logging.get_or_insert_default().push(new);
        Ok(())
    };
    let data = set(&desk, &operator, &team_id, change).await?;
    Ok(Json(json!({"status": "success", "data": data})))
}

/// `GET /team/{team_id}/callback`: their names by what they are told of, and their variables.
async fn list(
    State(desk): State<Arc<Desk>>,
    operator: Operator,
    Path(team_id): Path<String>,
) -> Result<Json<Value>, Fault> {
    let team = members::run_team(&desk, &operator, &team_id).await?;
    let own = team.logging.as_deref().unwrap_or_default();
    // As LiteLLM puts them together: of a name that is given twice, the last one.
    let vars: BTreeMap<_, _> = own.iter().flat_map(|it| &it.callback_vars).collect();
    Ok(Json(json!({
        "status": "success",
        "data": {
            "team_id": team_id,
            "success_callbacks": names(own, false),
            "failure_callbacks": names(own, true),
            "callback_vars": vars,
        },
    })))
}

/// The names of those that are told of successes or of failures.
fn names(own: &[OwnCallback], failed: bool) -> Vec<&str> {
    let mut names = Vec::new();
    for callback in own.iter().filter(|callback| callback.callback_type.has(failed)) {
        if !names.contains(&&*callback.callback_name) {
            names.push(&callback.callback_name);
        }
    }
    names
}

/// `DELETE /team/{team_id}/callback/{name}`: all of this name.
async fn remove(
    State(desk): State<Arc<Desk>>,
    operator: Operator,
    Path((team_id, name)): Path<(String, String)>,
) -> Result<Json<Value>, Fault> {
    let mut left = Vec::new();
    let change = |team: &mut Team| {
        let own = team.logging.get_or_insert_default();
        let before = own.len();
        own.retain(|callback| callback.callback_name != name);
        if own.len() == before {
            let message = format!(
                "callback_name = {} is not registered for team_id = {}.",
                shortened(&name),
                team.team_id
            );
            return Err(Fault::absent("callback_name", message));
        }
        left.clone_from(own);
        Ok(())
    };
    set(&desk, &operator, &team_id, change).await?;
    Ok(Json(json!({
        "status": "success",
        "message": format!("Callback {} removed for team {team_id}", shortened(&name)),
        "data": {
            "team_id": team_id,
            "success_callbacks": names(&left, false),
            "failure_callbacks": names(&left, true),
        },
    })))
}

/// `POST /team/{team_id}/disable_logging`: the team has no callbacks any more.
async fn disable(
    State(desk): State<Arc<Desk>>,
    operator: Operator,
    Path(team_id): Path<String>,
) -> Result<Json<Value>, Fault> {
    let change = |team: &mut Team| {
        team.logging = Some(Vec::new());
        Ok(())
    };
    set(&desk, &operator, &team_id, change).await?;
    Ok(Json(json!({
        "status": "success",
        "message": format!("Logging disabled for team {team_id}"),
        "data": {"team_id": team_id, "success_callbacks": [], "failure_callbacks": []},
    })))
}
