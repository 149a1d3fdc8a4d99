//! `/customer/*`, by another name `/end_user/*`: those for whom clients call.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use serde_json::{Map, Value, json};

use super::spent::{self, Payer};
use super::{Desk, Draft, Fault, Form, Operator, Page, Parameters, allowance};
use crate::keys::record::{EndUser, Kind};
use crate::keys::{Caller, Filter};
use crate::spend::{Scope, ScopeKind};

/// The most end users of one request.
const END_USERS_MAX: usize = 500;

pub(super) fn router() -> Router<Arc<Desk>> {
    let mut router = Router::new();
    for word in ["customer", "end_user"] {
        router = router
            .route(&format!("/{word}/new"), post(make))
            .route(&format!("/{word}/update"), post(update))
            .route(&format!("/{word}/delete"), post(delete))
            .route(&format!("/{word}/block"), post(block))
            .route(&format!("/{word}/unblock"), post(unblock))
            .route(&format!("/{word}/info"), get(info))
            .route(&format!("/{word}/list"), get(list));
    }
    router
}

/// End users as they are shown, in their order.
async fn all_shown(desk: &Desk, users: &[EndUser]) -> Result<Vec<Map<String, Value>>, Fault> {
    fn payer(user: &EndUser) -> Payer<'_> {
        let scope = Scope::new(ScopeKind::EndUser, user.user_id.as_str());
        Payer::new(scope, &user.allowance)
    }
    spent::shown(desk, users, payer, |_, standing, fields| standing.show_bounds(fields)).await
}

async fn one_shown(desk: &Desk, user: &EndUser) -> Result<Value, Fault> {
    let shown = all_shown(desk, std::slice::from_ref(user)).await?.pop();
    Ok(Value::Object(shown.unwrap_or_default()))
}

async fn find(desk: &Desk, id: &str) -> Result<EndUser, Fault> {
    let absent = || Fault::absent("user_id", format!("End User Id={id} does not exist in db"));
    desk.find(id).await?.ok_or_else(absent)
}

/// Reads everything but the id, and holds it against what there is.
async fn read(desk: &Desk, form: &Form, user: &mut EndUser) -> Result<(), Fault> {
    form.name("alias")?.set(&mut user.alias);
    form.flag("blocked")?.put(&mut user.blocked);
    form.name("allowed_model_region")?.set(&mut user.allowed_model_region);
    form.name("default_model")?.set(&mut user.default_model);
    allowance::read(form, &mut user.allowance)?;
    form.typed("metadata", "an object")?.put(&mut user.metadata);
    match user.allowed_model_region.as_deref() {
        None | Some("eu" | "us") => {}
        Some(_) => {
            let message = "allowed_model_region must be eu or us".to_owned();
            return Err(Fault::shape("allowed_model_region", message));
        }
    }
    if form.has("default_model")
        && let Some(model) = &user.default_model
        && desk.source.model(model, &Caller::Master).is_none()
    {
        let message = format!(
            "Default Model not on proxy! Configure via `/model/new` or config.yaml. \
             Default_model={model}"
        );
        return Err(Fault::shape("default_model", message));
    }
    allowance::check_budget(desk, &user.allowance).await
}

/// `POST /customer/new`.
async fn make(
    State(desk): State<Arc<Desk>>,
    operator: Operator,
    form: Form,
) -> Result<Json<Value>, Fault> {
    let mut draft = Draft::by(&desk, &operator).await?;
    let mut user = EndUser {
        user_id: form.required("user_id")?,
        history: draft.begin(),
        ..EndUser::default()
    };
    read(&desk, &form, &mut user).await?;
    if desk.has(Kind::EndUser, &user.user_id).await? {
        let message = format!(
            "Customer already exists, passed user_id={}. Please pass a new user_id.",
            user.user_id
        );
        return Err(Fault::conflict(400, "user_id", message));
    }
    draft.create(&user)?;
    draft.make(&desk).await?;
    Ok(Json(one_shown(&desk, &user).await?))
}

/// `POST /customer/update`.
async fn update(
    State(desk): State<Arc<Desk>>,
    operator: Operator,
    form: Form,
) -> Result<Json<Value>, Fault> {
    let mut draft = Draft::by(&desk, &operator).await?;
    let before = find(&desk, &form.required("user_id")?).await?;
    let mut user = before.clone();
    read(&desk, &form, &mut user).await?;
    draft.touch(&mut user.history);
    draft.replace("updated", &before, &user)?;
    draft.make(&desk).await?;
    Ok(Json(one_shown(&desk, &user).await?))
}

/// The end users that a body names.
fn named(form: &Form) -> Result<BTreeSet<String>, Fault> {
    let ids = form.texts("user_ids")?.value().unwrap_or_default();
    if ids.is_empty() || ids.len() > END_USERS_MAX || ids.iter().any(String::is_empty) {
        let message = format!("user_ids must name 1 to {END_USERS_MAX} end users");
        return Err(Fault::shape("user_ids", message));
    }
    Ok(ids.into_iter().collect())
}

/// `POST /customer/delete`.
async fn delete(
    State(desk): State<Arc<Desk>>,
    operator: Operator,
    form: Form,
) -> Result<Json<Value>, Fault> {
    let mut draft = Draft::by(&desk, &operator).await?;
    let ids = named(&form)?;
    for id in &ids {
        draft.delete(&find(&desk, id).await?)?;
    }
    draft.make(&desk).await?;
    let message = format!("Successfully deleted customers with ids: {ids:?}");
    Ok(Json(json!({"deleted_customers": ids.len(), "message": message})))
}

/// `POST /customer/block`: also those who have not called yet.
async fn block(
    State(desk): State<Arc<Desk>>,
    operator: Operator,
    form: Form,
) -> Result<Json<Value>, Fault> {
    let mut draft = Draft::by(&desk, &operator).await?;
    let mut blocked = Vec::new();
    for id in named(&form)? {
        match desk.find::<EndUser>(&id).await? {
            Some(before) => blocked.push(set_blocked(&mut draft, &before, true)?),
            None => {
                let history = draft.begin();
                let user = EndUser { user_id: id, blocked: true, history, ..EndUser::default() };
                draft.create(&user)?;
                blocked.push(user);
            }
        }
    }
    draft.make(&desk).await?;
    Ok(Json(json!({"blocked_users": all_shown(&desk, &blocked).await?})))
}

/// `POST /customer/unblock`.
async fn unblock(
    State(desk): State<Arc<Desk>>,
    operator: Operator,
    form: Form,
) -> Result<Json<Value>, Fault> {
    let mut draft = Draft::by(&desk, &operator).await?;
    let mut unblocked = Vec::new();
    for id in named(&form)? {
        unblocked.push(set_blocked(&mut draft, &find(&desk, &id).await?, false)?);
    }
    draft.make(&desk).await?;
    Ok(Json(json!({"unblocked_users": all_shown(&desk, &unblocked).await?})))
}

fn set_blocked(draft: &mut Draft<'_>, before: &EndUser, blocked: bool) -> Result<EndUser, Fault> {
    let mut user = before.clone();
    user.blocked = blocked;
    draft.touch(&mut user.history);
    draft.replace(if blocked { "blocked" } else { "unblocked" }, before, &user)?;
    Ok(user)
}

/// `GET /customer/info`.
async fn info(
    State(desk): State<Arc<Desk>>,
    _: Operator,
    Parameters(form): Parameters,
) -> Result<Json<Value>, Fault> {
    let id = match form.name("end_user_id")?.value() {
        Some(id) => id,
        None if form.has("user_id") => form.required("user_id")?,
        None => form.required("end_user_id")?,
    };
    let user = find(&desk, &id).await?;
    Ok(Json(one_shown(&desk, &user).await?))
}

/// `GET /customer/list`: all, or a page of them where one is asked for.
async fn list(
    State(desk): State<Arc<Desk>>,
    _: Operator,
    Parameters(form): Parameters,
) -> Result<Json<Value>, Fault> {
    let users: Vec<EndUser> = if form.has("page") || form.has("page_size") {
        let page = Page::read(&form, "page_size", (100, 100))?;
        desk.list(&Filter { skip: page.skip(), limit: page.size, ..Filter::default() }).await?
    } else {
        desk.collect(Filter::default(), |_: &EndUser| true).await?
    };
    Ok(Json(json!(all_shown(&desk, &users).await?)))
}
