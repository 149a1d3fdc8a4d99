//! `POST /utils/token_counter`: how many tokens a request would have.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value, json};

use super::Shared;
use super::fault::Fault;
use super::form::{Form, Parameters};
use super::insight::Counting;

/// What of a body is counted besides the messages.
const BESIDE: [&str; 3] = ["system", "tools", "functions"];

/// `{"model", "messages"}` or `{"model", "prompt"}`.
pub(super) async fn count(
    State(shared): State<Arc<Shared>>,
    Parameters(asks): Parameters,
    form: Form,
) -> Result<Json<Value>, Fault> {
    if asks.flag("call_endpoint")?.value() == Some(true) {
        let message = "providers are not asked here: POST /v1/messages/count_tokens asks them";
        return Err(Fault::value("call_endpoint", message.to_owned()));
    }
    let model = form.required("model")?;
    let mut body = Map::new();
    if let Some(messages) = form.any("messages").value() {
        let shaped = messages.as_array().is_some_and(|all| all.iter().all(Value::is_object));
        if !shaped {
            let message = "messages must be a list of objects".to_owned();
            return Err(Fault::shape("messages", message));
        }
        body.insert("messages".to_owned(), messages);
        for name in BESIDE {
            if let Some(value) = form.any(name).value() {
                body.insert(name.to_owned(), value);
            }
        }
    } else if let Some(prompt) = form.any("prompt").value() {
        if !prompt.is_string() && !prompt.is_array() {
            return Err(Fault::shape("prompt", "prompt must be a text".to_owned()));
        }
        body.insert("prompt".to_owned(), prompt);
    } else {
        let message = "prompt or messages must be provided".to_owned();
        return Err(Fault::value("messages", message));
    }
    let body = Value::Object(body);
    let counted = shared.source.count(Counting { model: model.clone(), body }).await;
    Ok(Json(json!({
        "total_tokens": counted.tokens,
        "request_model": model,
        "model_used": counted.model,
        // LiteLLM counts what it has no table for with a table all the same.
        "tokenizer_type": if counted.tabled { "openai_tokenizer" } else { "estimate" },
        "original_response": null,
        "error": false,
        "error_message": null,
        "status_code": null,
    })))
}
