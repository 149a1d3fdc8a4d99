//! `/model/*` and `/model_group/info`: what can be called, and deployments that are added, changed and
//! removed while the gateway runs.
//!
//! Added deployments are kept in the database, their `litellm_params` sealed, as entries of `model_list`
//! that stand behind those of the file. A change is tried with the whole configuration before it is
//! kept; then it is in force here, and a moment later on every gateway that shares the database.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::routing::{get, patch, post};
use axum::{Json, Router};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;

use super::config::{Operations, ReloadOutcome};
use super::fault::Fault;
use super::form::{Form, Parameters};
use super::insight::DeploymentInfo;
use super::page::Page;
use super::{Operator, Source, shortened};
use crate::keys::record::{Kind, Model};
use crate::keys::{Audit, Change, Directory, Entry, Filter, fetch, mask, read};

/// Entries on a page, and the most of them.
const PAGE: (u64, u64) = (50, 1000);
/// Of `litellm_params`, what every key sees that may call the model.
const OPEN_PARAMS: [&str; 2] = ["model", "custom_llm_provider"];
/// An id that a client makes up is no longer.
const ID_CHARS_MAX: usize = 200;

/// What the routes work with.
pub(super) struct Deployments {
    pub(super) directory: Arc<dyn Directory>,
    pub(super) source: Arc<dyn Source>,
    /// `None`: the configuration cannot be changed from here.
    pub(super) operations: Option<Arc<dyn Operations>>,
    /// Held from trying a change to its being in force, so that no two are tried apart.
    pub(super) turn: Mutex<()>,
}

pub(super) fn router<S: Clone + Send + Sync + 'static>(state: Arc<Deployments>) -> Router<S> {
    Router::new()
        .route("/model/info", get(info))
        .route("/v1/model/info", get(info))
        .route("/v2/model/info", get(paged))
        .route("/model_group/info", get(groups))
        .route("/model/new", post(new))
        .route("/model/update", post(update))
        .route("/model/{id}/update", patch(update_one))
        .route("/model/delete", post(delete))
        .with_state(state)
}

/// `GET /model/info`: of all deployments that the caller may use, or of one (`litellm_model_id`).
async fn info(
    State(state): State<Arc<Deployments>>,
    operator: Operator,
    Parameters(form): Parameters,
) -> Result<Json<Value>, Fault> {
    let mut found = state.visible(&operator);
    if let Some(id) = form.filled("litellm_model_id")? {
        found.retain(|one| *one.id == *id);
        if found.is_empty() {
            let message = format!("Model id = {} not found on the gateway", shortened(&id));
            return Err(Fault::value("litellm_model_id", message));
        }
    }
    let stored = state.stored_ids().await;
    let sees_all = operator.sees_all();
    let data: Vec<_> = found.into_iter().map(|one| shown(one, &stored, sees_all)).collect();
    Ok(Json(json!({"data": data})))
}

/// `GET /v2/model/info`: the same in pages; `search` looks into names, `modelId` and `model` name one.
async fn paged(
    State(state): State<Arc<Deployments>>,
    operator: Operator,
    Parameters(form): Parameters,
) -> Result<Json<Value>, Fault> {
    let text = |name| form.filled(name);
    let page = Page::read(&form, "size", PAGE)?;
    let mut found = state.visible(&operator);
    if let Some(model) = text("model")? {
        found.retain(|one| *one.group == *model);
    }
    if let Some(id) = text("modelId")? {
        found.retain(|one| *one.id == *id);
    }
    if let Some(part) = text("search")? {
        let part = part.to_lowercase();
        found.retain(|one| one.group.to_lowercase().contains(&part));
    }
    let stored = state.stored_ids().await;
    let total = found.len() as u64;
    let sees_all = operator.sees_all();
    let data = page.cut(found).map(|one| shown(one, &stored, sees_all));
    Ok(Json(json!({
        "data": data.collect::<Vec<_>>(),
        "total_count": total,
        "current_page": page.number,
        "total_pages": page.pages(total),
        "size": page.size,
    })))
}

/// A deployment as a caller sees it: how it is called is the operators' business. What is named like a
/// credential is nobody's.
fn shown(one: DeploymentInfo, stored: &BTreeSet<String>, sees_all: bool) -> Value {
    let DeploymentInfo { mut params, mut info, .. } = one;
    if !sees_all {
        params.retain(|name, _| OPEN_PARAMS.contains(&name.as_str()));
    }
    info.insert("db_model".to_owned(), json!(stored.contains(&*one.id)));
    let mut shown = json!({"model_name": one.group, "litellm_params": params, "model_info": info});
    mask(&mut shown);
    shown
}

/// `GET /model_group/info`: what can be asked for by one name, whoever serves it.
async fn groups(
    State(state): State<Arc<Deployments>>,
    operator: Operator,
    Parameters(form): Parameters,
) -> Result<Json<Value>, Fault> {
    let only = form.filled("model_group")?;
    let mut groups = BTreeMap::<Arc<str>, Vec<DeploymentInfo>>::new();
    for one in state.visible(&operator) {
        if only.as_ref().is_none_or(|only| **only == *one.group) {
            groups.entry(Arc::clone(&one.group)).or_default().push(one);
        }
    }
    let data: Vec<_> = groups.into_iter().map(|(name, all)| group(&name, &all)).collect();
    Ok(Json(json!({"data": data})))
}

/// The most that any of its deployments can, what the dearest costs, and all their limits together.
fn group(name: &str, all: &[DeploymentInfo]) -> Value {
    let most = |field: &str| {
        let values = all.iter().filter_map(|one| one.info.get(field)?.as_f64());
        values.max_by(f64::total_cmp)
    };
    let whole = |field: &str| most(field).map(|value| value as u64);
    let sum = |field: &str| {
        let values: Vec<u64> =
            all.iter().filter_map(|one| one.params.get(field)?.as_u64()).collect();
        (!values.is_empty()).then(|| values.into_iter().fold(0, u64::saturating_add))
    };
    let providers: BTreeSet<&str> = all.iter().map(|one| &*one.provider).collect();
    let mode = all.iter().find_map(|one| one.info.get("mode")?.as_str());
    let mut shown = json!({
        "model_group": name,
        "providers": providers,
        "mode": mode,
        "max_input_tokens": whole("max_input_tokens"),
        "max_output_tokens": whole("max_output_tokens"),
        "input_cost_per_token": most("input_cost_per_token"),
        "output_cost_per_token": most("output_cost_per_token"),
        "rpm": sum("rpm"),
        "tpm": sum("tpm"),
        // Always there, because clients read them without asking.
        "supports_function_calling": false,
        "supports_parallel_function_calling": false,
        "supports_vision": false,
    });
    for (field, value) in all.iter().flat_map(|one| &one.info) {
        if field.starts_with("supports_") && value.as_bool() == Some(true) {
            shown[field] = json!(true);
        }
    }
    shown
}

/// `POST /model/new`: an entry of `model_list`.
async fn new(
    State(state): State<Arc<Deployments>>,
    operator: Operator,
    form: Form,
) -> Result<Json<Value>, Fault> {
    let name = form.required("model_name")?;
    let params = object(&form, "litellm_params")?.ok_or_else(|| missing("litellm_params"))?;
    let mut info = object(&form, "model_info")?.unwrap_or_default();
    let id = match info.remove("id") {
        None | Some(Value::Null) => uuid::Uuid::now_v7().to_string(),
        Some(Value::String(id)) if is_id(&id) => id,
        Some(_) => return Err(bad_id()),
    };
    info.remove("db_model");
    let _turn = state.turn.lock().await;
    if state.source.deployments().iter().any(|one| *one.id == *id) {
        let message = format!("There is a model with the id {} already", shortened(&id));
        return Err(Fault::conflict(400, "model_info.id", message));
    }
    let now = Timestamp::now();
    let mut model = Model { model_id: id, model_name: name, model_info: info, ..Model::default() };
    model.sealed = state.sealed(&model.model_id, &params)?;
    model.history.created_at = Some(now);
    model.history.created_by = Some(operator.name().to_owned());
    state.make(&operator, None, Some(model)).await
}

/// `POST /model/update`: what is given replaces what is there; of `litellm_params` and `model_info`
/// field by field.
async fn update(
    State(state): State<Arc<Deployments>>,
    operator: Operator,
    form: Form,
) -> Result<Json<Value>, Fault> {
    let named = object(&form, "model_info")?;
    let named = named.and_then(|info| info.get("id")?.as_str().map(str::to_owned));
    let id = match named {
        Some(id) => id,
        None => form.text("model_id")?.value().ok_or_else(|| missing("model_info.id"))?,
    };
    change(&state, &operator, &form, &id).await
}

/// `PATCH /model/{id}/update`: the same.
async fn update_one(
    State(state): State<Arc<Deployments>>,
    operator: Operator,
    Path(id): Path<String>,
    form: Form,
) -> Result<Json<Value>, Fault> {
    change(&state, &operator, &form, &id).await
}

async fn change(
    state: &Deployments,
    operator: &Operator,
    form: &Form,
    id: &str,
) -> Result<Json<Value>, Fault> {
    let _turn = state.turn.lock().await;
    let before = state.stored(id).await?;
    let mut after = before.clone();
    if let Some(name) = form.text("model_name")?.value() {
        after.model_name = name;
    }
    if let Some(info) = object(form, "model_info")? {
        let info = info.into_iter().filter(|(name, _)| !matches!(&**name, "id" | "db_model"));
        overlay(&mut after.model_info, info);
    }
    if let Some(changed) = object(form, "litellm_params")? {
        let mut params = state.opened(&before)?;
        overlay(&mut params, changed);
        after.sealed = state.sealed(id, &params)?;
    }
    after.history.updated_at = Some(Timestamp::now());
    after.history.updated_by = Some(operator.name().to_owned());
    state.make(operator, Some(before), Some(after)).await
}

/// Null takes a field away.
fn overlay(into: &mut Map<String, Value>, more: impl IntoIterator<Item = (String, Value)>) {
    for (name, value) in more {
        match value {
            Value::Null => drop(into.remove(&name)),
            value => drop(into.insert(name, value)),
        }
    }
}

/// `POST /model/delete`: `{"id"}`.
async fn delete(
    State(state): State<Arc<Deployments>>,
    operator: Operator,
    form: Form,
) -> Result<Json<Value>, Fault> {
    let id = form.required("id")?;
    let _turn = state.turn.lock().await;
    let before = match state.directory.get(Kind::Model, &id).await? {
        // One that cannot be read goes, too.
        Some(stored) => read(stored).unwrap_or_else(|_| Model { model_id: id, ..Model::default() }),
        None => state.stored(&id).await?,
    };
    state.make(&operator, Some(before), None).await
}

impl Deployments {
    /// The deployments that a caller may use.
    fn visible(&self, operator: &Operator) -> Vec<DeploymentInfo> {
        let mut all = self.source.deployments();
        if let Some(principal) = operator.principal()
            && !operator.sees_all()
        {
            all.retain(|one| self.source.may_use(principal, &one.group));
        }
        all
    }

    /// The ids of the deployments that are in the database; none while it is away.
    async fn stored_ids(&self) -> BTreeSet<String> {
        let stored = self.directory.list(Kind::Model, &Filter::default()).await;
        stored.unwrap_or_default().into_iter().map(|stored| stored.id).collect()
    }

    async fn stored(&self, id: &str) -> Result<Model, Fault> {
        if let Some(model) = fetch::<Model>(&*self.directory, id).await? {
            return Ok(model);
        }
        let id_shown = shortened(id);
        if self.source.deployments().iter().any(|one| *one.id == *id) {
            let message =
                format!("The model {id_shown} is in the configuration file: change it there");
            return Err(Fault::value("id", message));
        }
        Err(Fault::absent("id", format!("Model with id={id_shown} not found in db")))
    }

    fn operations(&self) -> Result<&Arc<dyn Operations>, Fault> {
        self.operations.as_ref().ok_or_else(|| {
            let message = "The configuration of this gateway cannot be changed".to_owned();
            Fault::value("model_name", message)
        })
    }

    fn seal(&self) -> Result<crate::seal::Seal, Fault> {
        let access = self.source.access();
        access.salt.as_ref().and_then(crate::seal::Seal::new).ok_or_else(|| {
            let message =
                "Credentials of models are kept encrypted: set LITELLM_SALT_KEY or a master key";
            Fault::value("litellm_params", message.to_owned())
        })
    }

    fn sealed(&self, id: &str, params: &Map<String, Value>) -> Result<String, Fault> {
        let text = Value::Object(params.clone()).to_string();
        let sealed = self.seal()?.seal(id, &text);
        sealed.map_err(|error| Fault::value("litellm_params", error.to_string()))
    }

    fn opened(&self, model: &Model) -> Result<Map<String, Value>, Fault> {
        let text = self.seal()?.open(&model.model_id, &model.sealed);
        let text = text.map_err(|error| Fault::value("litellm_params", error.to_string()))?;
        Ok(serde_json::from_str(&text).unwrap_or_default())
    }

    /// Tries a change, keeps it, and puts it into force.
    async fn make(
        &self,
        operator: &Operator,
        before: Option<Model>,
        after: Option<Model>,
    ) -> Result<Json<Value>, Fault> {
        let operations = self.operations()?;
        let id = after.as_ref().or(before.as_ref()).map(|model| model.model_id.clone());
        let id = id.unwrap_or_default();
        let mut all = self.models().await?;
        all.retain(|model| model.model_id != id);
        all.extend(after.clone());
        let (trying, trial, about) = (Arc::clone(operations), all.clone(), id.clone());
        let tried = blocking(move || trying.check_deployments(&trial, &about)).await?;
        tried.map_err(|problems| refused(&problems))?;

        let audit = Audit {
            at: Timestamp::now(),
            by: operator.name().to_owned(),
            key: operator.key_hash().map(str::to_owned),
            action: match (&before, &after) {
                (None, _) => "created",
                (Some(_), Some(_)) => "updated",
                (Some(_), None) => "deleted",
            }
            .into(),
            kind: Kind::Model,
            id: id.clone(),
            before: before.as_ref().map(Entry::of).transpose()?.map(|entry| entry.record),
            after: after.as_ref().map(Entry::of).transpose()?.map(|entry| entry.record),
        };
        let changed = match &after {
            Some(model) if before.is_none() => Change::Insert(Kind::Model, Entry::of(model)?),
            Some(model) => Change::Put(Kind::Model, Entry::of(model)?),
            None => Change::Delete(Kind::Model, id.clone()),
        };
        self.directory.change(vec![changed], vec![audit]).await?;
        let using = Arc::clone(operations);
        // It was just tried. What has changed in the file since is told by the log, and tried again
        // with the next change of it.
        if let ReloadOutcome::Refused(problems) =
            blocking(move || using.use_deployments(&all)).await?
        {
            tracing::error!(?problems, %id, "a model is kept, but not in force");
        }
        let Some(model) = after else {
            return Ok(Json(json!({"message": format!("Model: {id} deleted successfully")})));
        };
        let in_force = self.source.deployments().into_iter().find(|one| *one.id == *id);
        let params = in_force.map(|one| one.params).unwrap_or_default();
        let mut info = model.model_info;
        info.insert("id".to_owned(), json!(id));
        info.insert("db_model".to_owned(), json!(true));
        Ok(Json(json!({
            "model_id": id,
            "model_name": model.model_name,
            "litellm_params": params,
            "model_info": info,
            "created_at": model.history.created_at,
            "created_by": model.history.created_by,
            "updated_at": model.history.updated_at,
            "updated_by": model.history.updated_by,
        })))
    }

    /// Those that can be read: about the others the log is told whenever the models change.
    async fn models(&self) -> Result<Vec<Model>, Fault> {
        let stored = self.directory.list(Kind::Model, &Filter::default()).await?;
        Ok(stored.into_iter().filter_map(|stored| read(stored).ok()).collect())
    }
}

/// Reading a configuration takes milliseconds; no request may wait behind it.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        let broken = format!("the configuration could not be tried: {error}");
        Fault::from(crate::keys::StoreError::Broken(broken))
    })
}

fn refused(problems: &[String]) -> Fault {
    let message = format!("Nothing is changed: {}", problems.join("; "));
    Fault::value("litellm_params", message)
}

fn object(form: &Form, name: &str) -> Result<Option<Map<String, Value>>, Fault> {
    match form.any(name).value() {
        None => Ok(None),
        Some(Value::Object(fields)) => Ok(Some(fields)),
        Some(_) => Err(Fault::shape(name, format!("{name} must be an object"))),
    }
}

fn missing(name: &str) -> Fault {
    Fault::shape(name, format!("{name} is missing"))
}

fn is_id(id: &str) -> bool {
    !id.is_empty() && id.chars().count() <= ID_CHARS_MAX && !id.chars().any(char::is_control)
}

fn bad_id() -> Fault {
    let message = format!("model_info.id must be a text of up to {ID_CHARS_MAX} characters");
    Fault::shape("model_info.id", message)
}
