//! `/tag/*`: tags of requests that have a budget, or that somebody wants to describe.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use serde_json::{Map, Value, json};

use super::spent::{self, Payer};
use super::{Desk, Draft, Fault, Form, Operator, allowance};
use crate::keys::Filter;
use crate::keys::record::{Kind, Tag};
use crate::spend::{Scope, ScopeKind};

/// What a tag's record has no place for.
const UNSUPPORTED: [&str; 1] = ["model_max_budget"];

pub(super) fn router() -> Router<Arc<Desk>> {
    Router::new()
        .route("/tag/new", post(make))
        .route("/tag/update", post(update))
        .route("/tag/delete", post(delete))
        .route("/tag/info", post(info))
        .route("/tag/list", get(list))
}

/// Tags as they are shown, in their order.
async fn all_shown(desk: &Desk, tags: &[Tag]) -> Result<Vec<Map<String, Value>>, Fault> {
    fn payer(tag: &Tag) -> Payer<'_> {
        let scope = Scope::new(ScopeKind::Tag, tag.name.as_str());
        Payer::new(scope, &tag.allowance)
    }
    spent::shown(desk, tags, payer, |_, standing, fields| standing.show_bounds(fields)).await
}

async fn one_shown(desk: &Desk, tag: &Tag) -> Result<Map<String, Value>, Fault> {
    Ok(all_shown(desk, std::slice::from_ref(tag)).await?.pop().unwrap_or_default())
}

async fn find(desk: &Desk, name: &str) -> Result<Tag, Fault> {
    let absent = || Fault::absent("name", format!("Tag {name} not found"));
    desk.find(name).await?.ok_or_else(absent)
}

fn read(form: &Form, tag: &mut Tag) -> Result<(), Fault> {
    form.unsupported(&UNSUPPORTED)?;
    form.text("description")?.set(&mut tag.description);
    form.texts("models")?.put(&mut tag.models);
    allowance::read(form, &mut tag.allowance)
}

/// `POST /tag/new`.
async fn make(
    State(desk): State<Arc<Desk>>,
    operator: Operator,
    form: Form,
) -> Result<Json<Value>, Fault> {
    let mut draft = Draft::by(&desk, &operator).await?;
    let mut tag = Tag { name: form.required("name")?, history: draft.begin(), ..Tag::default() };
    read(&form, &mut tag)?;
    allowance::check_budget(&desk, &tag.allowance).await?;
    if desk.has(Kind::Tag, &tag.name).await? {
        let message = format!("Tag {} already exists", tag.name);
        return Err(Fault::conflict(400, "name", message));
    }
    draft.create(&tag)?;
    draft.make(&desk).await?;
    let message = format!("Tag {} created successfully", tag.name);
    Ok(Json(json!({"message": message, "tag": one_shown(&desk, &tag).await?})))
}

/// `POST /tag/update`.
async fn update(
    State(desk): State<Arc<Desk>>,
    operator: Operator,
    form: Form,
) -> Result<Json<Value>, Fault> {
    let mut draft = Draft::by(&desk, &operator).await?;
    let before = find(&desk, &form.required("name")?).await?;
    let mut tag = before.clone();
    read(&form, &mut tag)?;
    allowance::check_budget(&desk, &tag.allowance).await?;
    draft.touch(&mut tag.history);
    draft.replace("updated", &before, &tag)?;
    draft.make(&desk).await?;
    let message = format!("Tag {} updated successfully", tag.name);
    Ok(Json(json!({"message": message, "tag": one_shown(&desk, &tag).await?})))
}

/// `POST /tag/delete`.
async fn delete(
    State(desk): State<Arc<Desk>>,
    operator: Operator,
    form: Form,
) -> Result<Json<Value>, Fault> {
    let mut draft = Draft::by(&desk, &operator).await?;
    let tag = find(&desk, &form.required("name")?).await?;
    draft.delete(&tag)?;
    draft.make(&desk).await?;
    Ok(Json(json!({"message": format!("Tag {} deleted successfully", tag.name)})))
}

/// `POST /tag/info`: those of the tags that there are, by their names.
async fn info(
    State(desk): State<Arc<Desk>>,
    _: Operator,
    form: Form,
) -> Result<Json<Value>, Fault> {
    let mut found = Map::new();
    for name in form.required_texts("names")? {
        if let Some(tag) = desk.find::<Tag>(&name).await? {
            found.insert(name, Value::Object(one_shown(&desk, &tag).await?));
        }
    }
    if found.is_empty() {
        return Err(Fault::absent("names", "No tags found".to_owned()));
    }
    Ok(Json(Value::Object(found)))
}

/// `GET /tag/list`.
async fn list(State(desk): State<Arc<Desk>>, _: Operator) -> Result<Json<Value>, Fault> {
    let tags = desk.collect(Filter::default(), |_: &Tag| true).await?;
    Ok(Json(json!(all_shown(&desk, &tags).await?)))
}
