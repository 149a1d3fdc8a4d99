//! LiteLLM's pages about the cache: whether it is well, and what of it is to go.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value, json};

use super::Shared;
use super::fault::Fault;
use super::form::Form;
use crate::cache::{Place, Replies, Scope, Settings};

/// Names that are deleted at once.
const NAMES_MAX: usize = 10_000;

/// The cache in force and where its entries are.
pub struct CacheView {
    pub settings: Settings,
    pub replies: Arc<Replies>,
}

impl CacheView {
    const fn kind(&self) -> &'static str {
        match (self.settings.place, &self.settings.meaning) {
            (Place::Memory, None) => "local",
            (Place::Redis, None) => "redis",
            (Place::Memory, Some(_)) => "local-semantic",
            (Place::Redis, Some(_)) => "redis-semantic",
        }
    }

    fn told(&self) -> Value {
        let Settings { scope, namespace, ttl, only_on_request, memory_bytes, .. } = &self.settings;
        let scope = match scope {
            Scope::Key => "key",
            Scope::EndUser => "end_user",
            Scope::Team => "team",
            Scope::Global => "global",
        };
        let mut told = json!({
            "type": self.kind(),
            "mode": if *only_on_request { "default_off" } else { "default_on" },
            "ttl": ttl.as_secs_f64(),
            "namespace": namespace,
            "scope": scope,
            "max_size_mb": memory_bytes / (1024 * 1024),
        });
        if let Some(meaning) = &self.settings.meaning {
            // As it was written, and not as the nearest binary fraction of 64 bits.
            told["similarity_threshold"] = number(&meaning.threshold.to_string());
            told["semantic_cache_embedding_model"] = (*meaning.model).into();
            told["semantic_cache_timeout"] = meaning.timeout.as_secs_f64().into();
            told["semantic_cache_max_size_mb"] = (meaning.memory_bytes / (1024 * 1024)).into();
        }
        told
    }
}

fn view(shared: &Shared) -> Result<CacheView, Fault> {
    let off = "the cache is off: `cache: true` under `litellm_settings` turns it on";
    shared.source.cache().ok_or_else(|| Fault::unavailable(off.to_owned()))
}

fn silent() -> Fault {
    Fault::unavailable("Redis does not answer".to_owned())
}

/// `GET /cache/ping`.
pub(super) async fn ping(State(shared): State<Arc<Shared>>) -> Result<Json<Value>, Fault> {
    let view = view(&shared)?;
    let mut answer = json!({
        "status": "healthy",
        "cache_type": view.kind(),
        "litellm_cache_params": view.told(),
    });
    if view.settings.meaning.is_some() {
        let (vectors, bytes) = view.replies.meanings().index.stats();
        answer["vectors"] = vectors.into();
        answer["vector_bytes"] = bytes.into();
    }
    match (view.settings.place, view.replies.remote()) {
        (Place::Memory, _) => {
            let (entries, bytes, _) = view.replies.stats();
            answer["entries"] = entries.into();
            answer["bytes"] = bytes.into();
        }
        (Place::Redis, Some(remote)) if remote.ping().await => {
            answer["ping_response"] = true.into();
            answer["set_cache_response"] = "success".into();
        }
        (Place::Redis, _) => return Err(silent()),
    }
    Ok(Json(answer))
}

/// `POST /cache/delete` `{"keys": [...]}`: the names are those of `x-litellm-cache-key`.
pub(super) async fn delete(
    State(shared): State<Arc<Shared>>,
    form: Form,
) -> Result<Json<Value>, Fault> {
    let view = view(&shared)?;
    let names = form.texts("keys")?.value().unwrap_or_default();
    if names.is_empty() {
        let message = "keys must be a list of `x-litellm-cache-key`s".to_owned();
        return Err(Fault::value("keys", message));
    }
    if names.len() > NAMES_MAX {
        let message = format!("at most {NAMES_MAX} keys at once");
        return Err(Fault::value("keys", message));
    }
    let gone = view.replies.delete(view.settings.place, &names).await.ok_or_else(silent)?;
    Ok(Json(json!({"status": "success", "deleted": gone})))
}

/// `POST /cache/flushall`: replies, and nothing else that is in the same Redis.
pub(super) async fn flush(State(shared): State<Arc<Shared>>) -> Result<Json<Value>, Fault> {
    let view = view(&shared)?;
    let gone = view.replies.flush(view.settings.place).await.ok_or_else(silent)?;
    Ok(Json(json!({"status": "success", "deleted": gone})))
}

/// `GET /cache/redis/info`; there is none where replies are kept in memory.
pub(super) async fn redis(State(shared): State<Arc<Shared>>) -> Result<Json<Value>, Fault> {
    let view = view(&shared)?;
    let remote = view.replies.remote().filter(|_| view.settings.place == Place::Redis);
    let Some(remote) = remote else {
        let message = "replies are kept in memory, not in Redis".to_owned();
        return Err(Fault::absent("cache_params", message));
    };
    let (info, clients) = remote.info().await.ok_or_else(silent)?;
    let clients: Vec<Value> = clients.lines().filter_map(client).collect();
    Ok(Json(json!({"num_clients": clients.len(), "clients": clients, "info": fields(&info)})))
}

/// `name:value` lines, as Redis writes them.
fn fields(info: &str) -> Value {
    let lines = info.lines().filter(|line| !line.starts_with('#'));
    let fields = lines.filter_map(|line| line.split_once(':'));
    fields
        .map(|(name, value)| (name.to_owned(), number(value.trim())))
        .collect::<Map<_, _>>()
        .into()
}

/// A line of `CLIENT LIST`: `name=value` between spaces.
fn client(line: &str) -> Option<Value> {
    let fields = line.split_ascii_whitespace().filter_map(|field| field.split_once('='));
    let fields: Map<_, _> =
        fields.map(|(name, value)| (name.to_owned(), Value::from(value))).collect();
    (!fields.is_empty()).then(|| fields.into())
}

fn number(text: &str) -> Value {
    match (text.parse::<i64>(), text.parse::<f64>()) {
        (Ok(number), _) => number.into(),
        (_, Ok(number)) if number.is_finite() => number.into(),
        _ => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_redis_says_of_itself_is_put_into_json() {
        let info =
            fields("# Server\r\nredis_version:7.0.1\r\nuptime:12\r\nratio:0.5\r\nname:a:b\r\n");
        assert_eq!(
            info,
            json!({"redis_version": "7.0.1", "uptime": 12, "ratio": 0.5, "name": "a:b"})
        );
        assert_eq!(
            client("id=3 addr=1.2.3.4:5 name="),
            Some(json!({"id": "3", "addr": "1.2.3.4:5", "name": ""}))
        );
        assert_eq!(client(""), None);
    }
}
